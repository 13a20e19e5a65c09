/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles: what the options make of BoringSSL, seen in handshakes between two profiles. */
#include "options/profile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "core/secret.h"
#include "options/credentials.h"
#include "options/options.h"
#include "record/suite.h"
#include "support/certs.h"
#include "support/profile_pair.h"

/* Handshakes between profiles of these options; the profiles are gone afterwards. */
static bool connects(struct bssl_pair *pair, const char *const client_pairs[],
		     const char *const server_pairs[])
{
	struct sluice_profile *client = new_client(client_pairs),
			      *server = new_server(server_pairs);
	bool ok;

	pair_new(pair, client, server);
	ok = handshake(pair);
	sluice_profile_unref(client);
	sluice_profile_unref(server);
	return ok;
}

/* --- what is in a profile ------------------------------------------------------------------- */

static void fields_follow_the_options(void **state)
{
	struct sluice_profile *p =
		new_client(PAIRS("depth", "0", "record_path", "kernel", "handshake", "hello",
				 "handshake_timeout", "77", "max_handshake_size", "1000",
				 "server_name_indication", "example.test", "exporter", "true"));

	assert_int_equal(p->role, SLUICE_CLIENT);
	assert_true(p->verify_peer);
	assert_int_equal(p->depth, 0);
	assert_int_equal(p->path_mode, PATH_KERNEL);
	assert_true(p->pause_hello);
	assert_true(p->keep_exporter);
	assert_int_equal(p->handshake_timeout_ms, 77);
	assert_int_equal(p->max_handshake_size, 1000);
	assert_string_equal(p->sni, "example.test");
	assert_false(p->sni_disabled);
	assert_int_equal(p->suites13, 7);
	assert_null(p->alpn_preferred);
	assert_non_null(p->trust);
	sluice_profile_unref(p);

	p = new_server(PAIRS("alpn_preferred_protocols", "h2,x", "ciphers",
			     "TLS_AES_256_GCM_SHA384,ECDHE-ECDSA-AES128-GCM-SHA256"));
	assert_false(p->verify_peer);
	assert_false(p->pause_hello);
	assert_int_equal(p->path_mode, PATH_AUTO);
	assert_int_equal(p->suites13, 2);
	assert_int_equal(p->alpn_preferred_len, 5);
	assert_memory_equal(p->alpn_preferred, "\2h2\1x", 5);
	assert_null(p->trust);
	sluice_profile_unref(p);
}

static void CL_16_CL_18_server_name_indication(void **state)
{
	struct sluice_profile *p = new_client(PAIRS("server_name_indication", "disable"));

	assert_true(p->sni_disabled);
	assert_null(p->sni);
	sluice_profile_unref(p);
	p = new_client(PAIRS(NULL));
	assert_false(p->sni_disabled);
	assert_null(p->sni);
	sluice_profile_unref(p);
}

static void OC_22_ten_intermediates_by_default(void **state)
{
	struct sluice_profile *client = new_client(PAIRS(NULL)), *server = new_server(PAIRS(NULL));

	assert_int_equal(client->depth, 10);
	assert_int_equal(server->depth, 10);
	sluice_profile_unref(client);
	sluice_profile_unref(server);
}

static void a_context_has_no_default_that_was_not_chosen(void **state)
{
	struct sluice_profile *p = new_server(PAIRS(NULL));
	const STACK_OF(SSL_CIPHER) *ciphers = SSL_CTX_get_ciphers(p->ctx);
	size_t i;

	assert_int_equal(SSL_CTX_get_min_proto_version(p->ctx), TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_get_max_proto_version(p->ctx), TLS1_3_VERSION);
	assert_int_equal(sk_SSL_CIPHER_num(ciphers), 6);
	for (i = 0; i < 6; i++)
		assert_non_null(
			suite_find(SSL_CIPHER_get_protocol_id(sk_SSL_CIPHER_value(ciphers, i))));
	assert_int_equal(SSL_CTX_get_session_cache_mode(p->ctx), SSL_SESS_CACHE_OFF);
	assert_int_equal(SSL_CTX_get_verify_mode(p->ctx), SSL_VERIFY_NONE);
	assert_int_equal(SSL_CTX_get_quiet_shutdown(p->ctx), 1);
	assert_int_equal(SSL_CTX_get_max_cert_list(p->ctx), 262144);
	assert_false(SSL_CTX_get_options(p->ctx) &
		     (SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE));
	sluice_profile_unref(p);
}

static void references_are_counted(void **state)
{
	size_t secrets = secret_live();
	struct sluice_profile *p = new_server(PAIRS("password", "x"));

	assert_int_equal(secret_live(), secrets + 1);
	assert_ptr_equal(sluice_profile_ref(p), p);
	assert_null(sluice_profile_unref(p));
	assert_int_equal(p->role, SLUICE_SERVER);
	assert_null(sluice_profile_unref(p));
	assert_null(sluice_profile_ref(NULL));
	assert_null(sluice_profile_unref(NULL));
	assert_int_equal(secret_live(), secrets);
}

static void bad_arguments_are_refused(void **state)
{
	struct sluice_options *opts = new_options(PAIRS(NULL));
	struct sluice_profile *p = NULL;
	struct sluice_error err;

	assert_int_equal(sluice_profile_new(NULL, opts, SLUICE_CLIENT, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_profile_new(&p, NULL, SLUICE_CLIENT, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_profile_new(&p, opts, (enum sluice_role)3, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_profile_new(&p, opts, SLUICE_SERVER, NULL), -SLUICE_E_NO_CERT);
	assert_null(p);
	sluice_options_free(opts);
}

static void LC_06_more_than_a_handshake_has_room_for(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts = new_options(PAIRS("keyfile", c->server_p256_key));
	struct cert_spec spec = { .ca = true, .key = certs_key(CERT_KEY_P256) };
	struct sluice_profile *p;
	struct sluice_error err;
	char cn[65];
	int i, len;

	for (i = 0; i < 33; i++)
		set_der(opts, SLUICE_OPT_CERT, c->server_p256, 0);
	assert_int_equal(sluice_profile_new(&p, opts, SLUICE_SERVER, &err), -SLUICE_E_OPTION_RANGE);
	assert_non_null(strstr(err.text, "at most 32 certificates"));
	sluice_options_free(opts);

	opts = new_options(PAIRS("certfile", c->server_combined, "verify", "verify_peer"));
	spec.cn = cn;
	for (i = 0; i < 750; i++) {
		uint8_t *der = NULL;
		X509 *x509;

		snprintf(cn, sizeof(cn), "%060d", i);
		x509 = certs_make(&spec);
		len = i2d_X509(x509, &der);
		assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CACERTS, der, (size_t)len,
							 NULL),
				 0);
		OPENSSL_free(der);
		X509_free(x509);
	}
	assert_int_equal(sluice_profile_new(&p, opts, SLUICE_SERVER, &err), -SLUICE_E_OPTION_RANGE);
	assert_non_null(strstr(err.text, "room for 65535"));
	sluice_options_free(opts);
	EVP_PKEY_free(spec.key);
}

/* --- what is negotiated --------------------------------------------------------------------- */

static const struct negotiation {
	const char *client[5], *server[5];
	uint16_t version, suite, group; /* version 0: the handshake fails; suite, group 0: any */
} negotiations[] = {
	{ { NULL }, { NULL }, TLS13, 0, SSL_CURVE_X25519 },
	{ { "versions", "tlsv1.2" }, { NULL }, TLS12, 0, SSL_CURVE_X25519 },
	{ { NULL }, { "versions", "tlsv1.2" }, TLS12, 0, 0 },
	{ { "versions", "tlsv1.3" }, { "versions", "tlsv1.2" }, 0, 0, 0 },

	/* Suites of one version only: the other one is not offered. */
	{ { "ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384" }, { NULL }, TLS12, 0xc02c, 0 },
	{ { NULL }, { "ciphers", "ECDHE-ECDSA-CHACHA20-POLY1305" }, TLS12, 0xcca9, 0 },
	{ { "ciphers", "ECDHE-RSA-AES256-GCM-SHA384" }, { NULL }, 0, 0, 0 },
	{ { "ciphers", "TLS_AES_128_GCM_SHA256" }, { "versions", "tlsv1.2" }, 0, 0, 0 },

	/* Whose order counts. */
	{ { "ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-ECDSA-AES128-GCM-SHA256" },
	  { "ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-ECDSA-AES256-GCM-SHA384" },
	  TLS12,
	  0xc02c,
	  0 },
	{ { "ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-ECDSA-AES128-GCM-SHA256" },
	  { "ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-ECDSA-AES256-GCM-SHA384",
	    "honor_cipher_order", "true" },
	  TLS12,
	  0xc02b,
	  0 },
	{ { "supported_groups", "secp384r1,x25519" },
	  { "supported_groups", "x25519,secp384r1" },
	  TLS13,
	  0,
	  SSL_CURVE_SECP384R1 },
	{ { "supported_groups", "secp384r1,x25519" },
	  { "supported_groups", "x25519,secp384r1", "honor_cipher_order", "true" },
	  TLS13,
	  0,
	  SSL_CURVE_X25519 },

	/* Groups. */
	{ { "supported_groups", "secp521r1" },
	  { "supported_groups", "secp521r1" },
	  TLS13,
	  0,
	  SSL_CURVE_SECP521R1 },
	{ { "supported_groups", "secp521r1" }, { NULL }, 0, 0, 0 },
	{ { "supported_groups", "x25519" }, { "supported_groups", "secp256r1" }, 0, 0, 0 },
	{ { "versions", "tlsv1.2" },
	  { "supported_groups", "secp256r1" },
	  TLS12,
	  0,
	  SSL_CURVE_SECP256R1 },

	/* Signature algorithms. */
	{ { "signature_algs", "ecdsa_secp256r1_sha256" }, { NULL }, TLS13, 0, 0 },
	{ { "signature_algs", "ecdsa_secp384r1_sha384" }, { NULL }, 0, 0, 0 },
	{ { "signature_algs", "ecdsa_secp384r1_sha384" }, { "versions", "tlsv1.2" }, TLS12, 0, 0 },
	{ { "signature_algs", "rsa_pss_rsae_sha256" }, { NULL }, 0, 0, 0 },
};

static void OC_14_OC_19_OC_43_CL_24_SV_13_SV_20_what_two_profiles_agree_on(void **state)
{
	const struct negotiation *n;
	struct bssl_pair pair;
	size_t i;
	bool ok;

	for (i = 0; i < sizeof(negotiations) / sizeof(negotiations[0]); i++) {
		n = &negotiations[i];
		ok = connects(&pair, n->client, n->server);
		if (ok != (n->version != 0))
			fail_msg("negotiation %zu: %s", i, ok ? "agreed" : "failed");
		if (ok && (SSL_version(pair.client) != n->version ||
			   (n->suite && SSL_CIPHER_get_protocol_id(
						SSL_get_current_cipher(pair.client)) != n->suite) ||
			   (n->group && SSL_get_curve_id(pair.client) != n->group)))
			fail_msg("negotiation %zu: %s %s %s", i, SSL_get_version(pair.client),
				 SSL_get_cipher(pair.client),
				 SSL_get_curve_name(SSL_get_curve_id(pair.client)));
		bssl_pair_deinit(&pair);
	}
	forget_sessions();
}

/* BoringSSL leaves both out of what it accepts by default. */
static void CL_25_ed25519_and_p521_are_accepted(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	const struct certs *c = certs_get();
	struct sluice_profile *client, *server;
	struct bssl_pair pair;
	size_t i;

	for (i = 0; i < 2; i++) {
		client = new_client(PAIRS("versions", versions[i]));
		server = build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_ed25519, "keyfile",
						       c->server_ed25519_key));
		pair_new(&pair, client, server);
		assert_true(handshake(&pair));
		assert_int_equal(SSL_get_peer_signature_algorithm(pair.client), 0x0807);
		bssl_pair_deinit(&pair);
		sluice_profile_unref(client);
		sluice_profile_unref(server);
	}
	forget_sessions();
}

/* By the server's order, of what the client takes. */
static void SV_20_a_server_signs_by_its_preference(void **state)
{
	static const struct {
		const char *algs;
		uint16_t chosen;
	} cases[] = {
		{ "rsa_pss_rsae_sha512,rsa_pss_rsae_sha256", 0x0806 },
		{ "rsa_pss_rsae_sha384,rsa_pss_rsae_sha512", 0x0805 },
	};
	const struct certs *c = certs_get();
	struct sluice_profile *client = new_client(PAIRS(NULL)), *server;
	struct bssl_pair pair;
	size_t i;

	for (i = 0; i < 2; i++) {
		server = build_ok(SLUICE_SERVER,
				  PAIRS("certfile", c->server_rsa, "keyfile", c->server_rsa_key,
					"signature_algs", cases[i].algs));
		pair_new(&pair, client, server);
		assert_true(handshake(&pair));
		assert_int_equal(SSL_get_peer_signature_algorithm(pair.client), cases[i].chosen);
		bssl_pair_deinit(&pair);
		sluice_profile_unref(server);
	}
	sluice_profile_unref(client);
	forget_sessions();
}

static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
		   unsigned int in_len, void *arg)
{
	assert_int_equal(in_len, 12);
	assert_memory_equal(in, "\x02h2\x08http/1.1", 12);
	return SSL_TLSEXT_ERR_NOACK;
}

static void CL_06_alpn_is_offered(void **state)
{
	struct sluice_profile *client, *server = new_server(PAIRS(NULL));
	struct bssl_pair pair;

	client = new_client(PAIRS("alpn_advertised_protocols", "h2,http/1.1"));
	pair_new(&pair, client, server);
	SSL_CTX_set_alpn_select_cb(pair.server_ctx, on_alpn, NULL);
	assert_true(handshake(&pair));
	bssl_pair_deinit(&pair);
	sluice_profile_unref(client);
	sluice_profile_unref(server);
	forget_sessions();
}

/* --- client certificates -------------------------------------------------------------------- */

static CRYPTO_BUFFER *asked_for; /* the one CA name that the server has sent */

static int on_certificate_request(SSL *ssl, void *arg)
{
	const STACK_OF(CRYPTO_BUFFER) *names = SSL_get0_server_requested_CAs(ssl);

	assert_int_equal(sk_CRYPTO_BUFFER_num(names), 1);
	asked_for = sk_CRYPTO_BUFFER_value(names, 0);
	CRYPTO_BUFFER_up_ref(asked_for);
	return 1;
}

static void SV_02_SV_07_a_verifying_server_names_its_authorities(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *client, *server;
	struct bssl_pair pair;
	uint8_t *der, *name = NULL;
	const uint8_t *p;
	size_t len;
	X509 *ca;

	client = new_client(PAIRS("certfile", c->client, "keyfile", c->client_key));
	server = new_server(PAIRS("verify", "verify_peer", "cacertfile", c->ca));
	pair_new(&pair, client, server);
	SSL_set_cert_cb(pair.client, on_certificate_request, NULL);
	assert_true(handshake(&pair));
	assert_int_equal(sk_CRYPTO_BUFFER_num(SSL_get0_peer_certificates(pair.server)), 2);

	der = certs_der(c->ca, 0, &len);
	p = der;
	ca = d2i_X509(NULL, &p, (long)len);
	assert_int_equal(i2d_X509_NAME(X509_get_subject_name(ca), &name),
			 CRYPTO_BUFFER_len(asked_for));
	assert_memory_equal(CRYPTO_BUFFER_data(asked_for), name, CRYPTO_BUFFER_len(asked_for));

	OPENSSL_free(name);
	X509_free(ca);
	free(der);
	CRYPTO_BUFFER_free(asked_for);
	bssl_pair_deinit(&pair);
	sluice_profile_unref(client);
	sluice_profile_unref(server);
	forget_sessions();
}

static void SV_06_SV_09_who_must_have_a_certificate(void **state)
{
	const char *ca = certs_get()->ca;
	const struct {
		const char *const *server;
		bool ok;
	} cases[] = {
		{ PAIRS(NULL), true },
		{ PAIRS("cacertfile", ca), true },
		{ PAIRS("cacertfile", ca, "verify", "verify_peer"), true },
		{ PAIRS("cacertfile", ca, "verify", "verify_peer", "fail_if_no_peer_cert", "true"),
		  false },
	};
	static const char *const versions[] = { "tlsv1.2", "tlsv1.3" };
	struct bssl_pair pair;
	size_t i;

	for (i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = connects(&pair, PAIRS("versions", versions[i & 1]), cases[i / 2].server);

		if (ok != cases[i / 2].ok)
			fail_msg("case %zu, %s", i / 2, versions[i & 1]);
		bssl_pair_deinit(&pair);
	}
	forget_sessions();
}

/* --- tickets -------------------------------------------------------------------------------- */

static void tickets_are_counted(void **state)
{
	const struct {
		const char *const *server;
		unsigned int n;
	} cases[] = {
		{ PAIRS(NULL), 2 },
		{ PAIRS("ticket_count", "0"), 0 },
		{ PAIRS("ticket_count", "1"), 1 },
		{ PAIRS("ticket_count", "4"), 4 },
		{ PAIRS("session_tickets", "disabled"), 0 },
	};
	struct bssl_pair pair;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		forget_sessions();
		assert_true(connects(&pair, PAIRS("versions", "tlsv1.3"), cases[i].server));
		pass_tickets(&pair);
		assert_int_equal(sessions.n, cases[i].n);
		bssl_pair_deinit(&pair);
	}
	forget_sessions();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_follow_the_options),
		cmocka_unit_test(CL_16_CL_18_server_name_indication),
		cmocka_unit_test(OC_22_ten_intermediates_by_default),
		cmocka_unit_test(a_context_has_no_default_that_was_not_chosen),
		cmocka_unit_test(references_are_counted),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(LC_06_more_than_a_handshake_has_room_for),
		cmocka_unit_test(OC_14_OC_19_OC_43_CL_24_SV_13_SV_20_what_two_profiles_agree_on),
		cmocka_unit_test(CL_25_ed25519_and_p521_are_accepted),
		cmocka_unit_test(SV_20_a_server_signs_by_its_preference),
		cmocka_unit_test(CL_06_alpn_is_offered),
		cmocka_unit_test(SV_02_SV_07_a_verifying_server_names_its_authorities),
		cmocka_unit_test(SV_06_SV_09_who_must_have_a_certificate),
		cmocka_unit_test(tickets_are_counted),
	};

	return cmocka_run_group_tests_name("unit/profile", tests, NULL, NULL);
}
