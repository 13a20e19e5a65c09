/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles made from others: what they share, who may resume where, a change after the hello. */
#include "options/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "core/sys.h"
#include "options/credentials.h"
#include "options/trust.h"
#include "record/suite.h"
#include "support/certs.h"
#include "support/profile_pair.h"

/* --- sessions ------------------------------------------------------------------------------- */

/* Connects with the last session; tells whether it was resumed. */
static bool resumes(struct sluice_profile *client, struct sluice_profile *server)
{
	struct bssl_pair pair;
	bool resumed;

	pair_new(&pair, client, server);
	if (sessions.last)
		assert_int_equal(SSL_set_session(pair.client, sessions.last), 1);
	assert_true(handshake(&pair));
	pass_tickets(&pair);
	resumed = SSL_session_reused(pair.server);
	assert_int_equal(SSL_session_reused(pair.client), resumed);
	bssl_pair_deinit(&pair);
	return resumed;
}

static struct sluice_profile *derive(const struct sluice_profile *base, const char *const pairs[])
{
	struct sluice_options *extra = new_options(pairs);
	struct sluice_profile *profile;
	struct sluice_error err = { 0 };

	if (profile_derive(&profile, base, extra, &err) < 0)
		fail_msg("%s: %s", pairs[0], err.text);
	sluice_options_free(extra);
	return profile;
}

static void LC_13_sessions_resume_across_derived_profiles(void **state)
{
	static const char *const versions[] = { "tlsv1.2", "tlsv1.3" };
	struct sluice_profile *client, *base = new_server(PAIRS(NULL)), *derived;
	size_t i;

	derived = derive(base, PAIRS("alpn_preferred_protocols", "h2", "record_path", "user"));
	for (i = 0; i < 2; i++) {
		forget_sessions();
		client = new_client(PAIRS("versions", versions[i]));
		assert_false(resumes(client, base));
		assert_true(resumes(client, base));
		assert_true(resumes(client, derived));
		assert_true(resumes(client, base));
		sluice_profile_unref(client);
	}
	sluice_profile_unref(base);
	sluice_profile_unref(derived);
	forget_sessions();
}

/* Other rules for clients, another certificate: the old session proves nothing there. */
static void SV_19_no_session_gets_around_other_rules(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client, *base, *derived;
	const char *const *const others[] = {
		PAIRS("fail_if_no_peer_cert", "true"),
		PAIRS("depth", "3"),
		PAIRS("cacertfile", c->other_ca),
		PAIRS("verify", "verify_none"),
		PAIRS("certfile", c->server_ed25519, "keyfile", c->server_ed25519_key),
	};
	size_t i;

	client = new_client(PAIRS("certfile", c->client, "keyfile", c->client_key));
	base = new_server(PAIRS("verify", "verify_peer", "cacertfile", c->ca));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		derived = derive(base, others[i]);
		forget_sessions();
		assert_false(resumes(client, base));
		assert_true(resumes(client, base));
		assert_false(resumes(client, derived));
		sluice_profile_unref(derived);
	}
	sluice_profile_unref(client);
	sluice_profile_unref(base);
	forget_sessions();
}

/* Nor around versions and suites: what a session was made with has to be on still. */
static void SV_19_a_session_of_a_suite_that_is_off(void **state)
{
	struct sluice_profile *client, *base = new_server(PAIRS(NULL)), *derived[3];
	size_t i;

	derived[0] =
		derive(base, PAIRS("ciphers", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"));
	derived[1] = derive(base, PAIRS("versions", "tlsv1.3"));
	derived[2] = derive(base, PAIRS("versions", "tlsv1.2"));
	for (i = 0; i < 3; i++) {
		forget_sessions();
		client = new_client(PAIRS("versions", "tlsv1.2"));
		assert_false(resumes(client, base));
		assert_true(resumes(client, base));
		sluice_profile_unref(client);
		client = new_client(PAIRS(NULL));
		assert_int_equal(resumes(client, derived[i]), i == 2);
		sluice_profile_unref(client);
		sluice_profile_unref(derived[i]);
	}
	sluice_profile_unref(base);
	forget_sessions();
}

/* Two servers of the same options are two servers. */
static void tickets_of_another_profile_are_not_taken(void **state)
{
	struct sluice_profile *client = new_client(PAIRS(NULL));
	struct sluice_profile *one = new_server(PAIRS(NULL)), *two = new_server(PAIRS(NULL));

	forget_sessions();
	assert_false(resumes(client, one));
	assert_false(resumes(client, two));
	sluice_profile_unref(client);
	sluice_profile_unref(one);
	sluice_profile_unref(two);
	forget_sessions();
}

/* --- derived profiles ----------------------------------------------------------------------- */

static int no_open(const char *path, int flags, mode_t mode)
{
	fail_msg("opened %s", path);
	return -1;
}

/* Stands in for a system that trusts the test CA. */
static int open_ca_instead(const char *path, int flags, mode_t mode)
{
	if (!strcmp(path, TRUST_SYSTEM_FILE))
		path = certs_get()->ca;
	return sys_real.open(path, flags, mode);
}

static void LC_13_deriving_reads_only_what_has_changed(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *base = new_server(PAIRS(NULL)), *derived;
	struct sys_ops ops = sys_real;

	ops.open = no_open;
	sys = &ops;
	derived = derive(base, PAIRS("versions", "tlsv1.2", "depth", "2"));
	assert_ptr_equal(derived->creds, base->creds);
	sluice_profile_unref(base);
	assert_int_equal(SSL_CTX_get_max_proto_version(derived->ctx), TLS1_2_VERSION);
	sys = &sys_real;

	/* From a derived one further on; what the first one set stays. */
	base = derive(derived,
		      PAIRS("certfile", c->server_ed25519, "keyfile", c->server_ed25519_key));
	assert_ptr_not_equal(derived->creds, base->creds);
	assert_int_equal(SSL_CTX_get_max_proto_version(base->ctx), TLS1_2_VERSION);
	assert_int_equal(base->depth, 2);
	assert_int_equal(EVP_PKEY_id(base->creds->own[0].key), EVP_PKEY_ED25519);
	sluice_profile_unref(base);
	sluice_profile_unref(derived);
}

/* What a client trusts is loaded when it begins to matter. */
static void LC_13_a_derived_profile_that_verifies_has_anchors(void **state)
{
	struct sluice_profile *base, *derived;
	struct sys_ops ops = sys_real;

	ops.open = open_ca_instead;
	sys = &ops;
	base = build_ok(SLUICE_CLIENT, PAIRS("verify", "verify_none"));
	assert_null(base->trust);
	derived = derive(base, PAIRS("verify", "verify_peer"));
	assert_non_null(derived->trust);
	sys = &sys_real;
	sluice_profile_unref(base);
	sluice_profile_unref(derived);
}

static void LC_13_extra_options_are_checked_like_others(void **state)
{
	static const struct {
		const char *name, *value;
		int code;
	} cases[] = {
		{ "server_name_indication", "x", SLUICE_E_OPTION_ROLE },
		{ "fail_if_no_peer_cert", "true", SLUICE_E_OPTION_CONFLICT },
		{ "verify", "verify_peer", SLUICE_E_OPTION_CONFLICT },
		{ "certfile", "/none/c", SLUICE_E_FILE },
		{ "signature_algs", "rsa_pss_rsae_sha256", SLUICE_E_OPTION_CONFLICT },
	};
	struct sluice_profile *base = new_server(PAIRS(NULL)), *derived = NULL;
	struct sluice_options *extra;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		extra = new_options(PAIRS(cases[i].name, cases[i].value));
		memset(&err, 0, sizeof(err));
		assert_int_equal(profile_derive(&derived, base, extra, &err), -cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		assert_null(derived);
		sluice_options_free(extra);
	}
	sluice_profile_unref(base);
}

/* --- a change of profile in the middle ------------------------------------------------------ */

static const struct sluice_profile *to_apply;

/* Where a server stops after the ClientHello. */
static enum ssl_select_cert_result_t on_hello(const SSL_CLIENT_HELLO *hello)
{
	assert_int_equal(profile_apply(to_apply, hello->ssl), 0);
	SSL_set_custom_verify(hello->ssl, SSL_get_verify_mode(hello->ssl), accept_any);
	return ssl_select_cert_success;
}

/* Handshakes with a server of @base that becomes one of @derived after the hello. */
static bool connects_applied(struct bssl_pair *pair, struct sluice_profile *client,
			     struct sluice_profile *base, struct sluice_profile *derived)
{
	to_apply = derived;
	unhooked(derived);
	pair_new(pair, client, base);
	SSL_CTX_set_select_certificate_cb(pair->server_ctx, on_hello);
	return handshake(pair);
}

static void LC_17_a_server_changes_its_mind_after_the_hello(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client, *base, *derived;
	struct bssl_pair pair;

	client = new_client(PAIRS("certfile", c->client, "keyfile", c->client_key));
	base = new_server(PAIRS("honor_cipher_order", "true", "max_handshake_size", "20000"));
	derived = derive(base,
			 PAIRS("versions", "tlsv1.2", "ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305",
			       "supported_groups", "secp384r1", "certfile", c->server_ed25519,
			       "keyfile", c->server_ed25519_key, "verify", "verify_peer",
			       "cacertfile", c->ca, "honor_cipher_order", "false",
			       "max_handshake_size", "30000", "session_tickets", "disabled"));
	forget_sessions();
	assert_true(connects_applied(&pair, client, base, derived));
	assert_int_equal(SSL_version(pair.client), TLS12);
	assert_int_equal(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(pair.client)), 0xcca9);
	assert_int_equal(SSL_get_curve_id(pair.client), SSL_CURVE_SECP384R1);
	assert_int_equal(SSL_get_peer_signature_algorithm(pair.client), 0x0807);
	assert_int_equal(sk_CRYPTO_BUFFER_num(SSL_get0_peer_certificates(pair.server)), 2);
	assert_int_equal(SSL_get_max_cert_list(pair.server), 30000);
	assert_int_equal(SSL_get_options(pair.server) &
				 (SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE),
			 SSL_OP_NO_TICKET);
	bssl_pair_deinit(&pair);
	sluice_profile_unref(client);
	sluice_profile_unref(derived);
	sluice_profile_unref(base);
	forget_sessions();
}

static void LC_17_a_server_becomes_stricter_after_the_hello(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client = new_client(PAIRS("versions", "tlsv1.2")), *base, *derived;
	const char *const *const stricter[] = {
		PAIRS("versions", "tlsv1.3"),
		PAIRS("supported_groups", "secp521r1"),
		PAIRS("ciphers", "TLS_AES_128_GCM_SHA256"),
		PAIRS("signature_algs", "ecdsa_secp521r1_sha512,ecdsa_secp256r1_sha256", "verify",
		      "verify_peer", "cacertfile", c->ca, "fail_if_no_peer_cert", "true"),
	};
	struct bssl_pair pair;
	size_t i;

	base = new_server(PAIRS(NULL));
	for (i = 0; i < sizeof(stricter) / sizeof(stricter[0]); i++) {
		derived = derive(base, stricter[i]);
		if (connects_applied(&pair, client, base, derived))
			fail_msg("case %zu", i);
		bssl_pair_deinit(&pair);
		sluice_profile_unref(derived);
	}
	sluice_profile_unref(client);
	sluice_profile_unref(base);
	forget_sessions();
}

/* What it asks a client to sign with, as well. */
static void LC_17_SV_20_signature_algorithms_change_after_the_hello(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client, *base, *derived;
	struct bssl_pair pair;

	client = new_client(PAIRS("certfile", c->client, "keyfile", c->client_key));
	base = build_ok(SLUICE_SERVER,
			PAIRS("certfile", c->server_ed25519, "keyfile", c->server_ed25519_key,
			      "verify", "verify_peer", "cacertfile", c->ca));
	derived = derive(base, PAIRS("record_path", "user"));
	assert_true(connects_applied(&pair, client, base, derived));
	bssl_pair_deinit(&pair);
	sluice_profile_unref(derived);
	derived = derive(base, PAIRS("signature_algs", "ed25519")); /* the client's is ECDSA */
	assert_false(connects_applied(&pair, client, base, derived));
	bssl_pair_deinit(&pair);
	sluice_profile_unref(derived);
	sluice_profile_unref(client);
	sluice_profile_unref(base);
	forget_sessions();
}

/* A session of the first profile is judged by the rules of the second one. */
static void SV_19_LC_17_resumption_follows_the_applied_profile(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client = new_client(PAIRS(NULL)), *base = new_server(PAIRS(NULL));
	struct sluice_profile *same, *other;
	struct bssl_pair pair;

	same = derive(base, PAIRS("record_path", "user"));
	other = derive(base, PAIRS("verify", "verify_peer", "cacertfile", c->ca));
	forget_sessions();
	assert_false(resumes(client, base));
	to_apply = same;
	unhooked(same);
	pair_new(&pair, client, base);
	SSL_CTX_set_select_certificate_cb(pair.server_ctx, on_hello);
	SSL_set_session(pair.client, sessions.last);
	assert_true(handshake(&pair));
	assert_true(SSL_session_reused(pair.server));
	bssl_pair_deinit(&pair);

	assert_true(resumes(client, base));
	to_apply = other;
	unhooked(other);
	pair_new(&pair, client, base);
	SSL_CTX_set_select_certificate_cb(pair.server_ctx, on_hello);
	SSL_set_session(pair.client, sessions.last);
	assert_true(handshake(&pair));
	assert_false(SSL_session_reused(pair.server));
	bssl_pair_deinit(&pair);

	sluice_profile_unref(client);
	sluice_profile_unref(base);
	sluice_profile_unref(same);
	sluice_profile_unref(other);
	forget_sessions();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_13_sessions_resume_across_derived_profiles),
		cmocka_unit_test(SV_19_no_session_gets_around_other_rules),
		cmocka_unit_test(SV_19_a_session_of_a_suite_that_is_off),
		cmocka_unit_test(tickets_of_another_profile_are_not_taken),
		cmocka_unit_test(LC_13_deriving_reads_only_what_has_changed),
		cmocka_unit_test(LC_13_a_derived_profile_that_verifies_has_anchors),
		cmocka_unit_test(LC_13_extra_options_are_checked_like_others),
		cmocka_unit_test(LC_17_a_server_changes_its_mind_after_the_hello),
		cmocka_unit_test(LC_17_a_server_becomes_stricter_after_the_hello),
		cmocka_unit_test(LC_17_SV_20_signature_algorithms_change_after_the_hello),
		cmocka_unit_test(SV_19_LC_17_resumption_follows_the_applied_profile),
	};

	return cmocka_run_group_tests_name("unit/profile-derive", tests, NULL, NULL);
}
