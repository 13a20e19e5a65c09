/* SPDX-License-Identifier: Apache-2.0 */
/* What options mean together: roles, contradictions, versions and suites, keys. */
#include "options/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "core/error.h"
#include "options/profile.h"
#include "record/suite.h"
#include "support/certs.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct sluice_options *new_set(void)
{
	struct sluice_options *opts;

	assert_int_equal(sluice_options_new(&opts), 0);
	return opts;
}

/* Sets and demands success. */
static void set(struct sluice_options *opts, enum sluice_option id, const char *text)
{
	struct sluice_error err;

	if (sluice_options_set(opts, id, text, &err) < 0)
		fail_msg("%s = %s: %s", option_row((int)id)->name, text, err.text);
}

/* --- roles and contradictions --------------------------------------------------------------- */

static const struct contradiction {
	enum sluice_role role;
	const char *text;
	int code;
	const char *says;
} contradictions[] = {
	{ SLUICE_CLIENT, "fail_if_no_peer_cert = true", SLUICE_E_OPTION_ROLE,
	  "fail_if_no_peer_cert: not an option of a client" },
	{ SLUICE_CLIENT, "alpn_preferred_protocols = h2", SLUICE_E_OPTION_ROLE, "of a client" },
	{ SLUICE_CLIENT, "honor_cipher_order = true", SLUICE_E_OPTION_ROLE, "of a client" },
	{ SLUICE_CLIENT, "ticket_count = 1", SLUICE_E_OPTION_ROLE, "of a client" },
	{ SLUICE_SERVER, "server_name_indication = x", SLUICE_E_OPTION_ROLE, "of a server" },
	{ SLUICE_SERVER, "alpn_advertised_protocols = h2", SLUICE_E_OPTION_ROLE, "of a server" },
	{ SLUICE_SERVER, "verify = verify_none", SLUICE_E_NO_CERT, "certfile" },
	{ SLUICE_SERVER, "keyfile = /x", SLUICE_E_NO_CERT, "certfile" },
	{ SLUICE_SERVER, "certfile = /x\nfail_if_no_peer_cert = true", SLUICE_E_OPTION_CONFLICT,
	  "fail_if_no_peer_cert: needs verify = verify_peer" },
	{ SLUICE_SERVER, "certfile = /x\nverify = verify_peer", SLUICE_E_OPTION_CONFLICT,
	  "needs cacertfile" },
	{ SLUICE_SERVER, "certfile = /x\nsession_tickets = disabled\nticket_count = 1",
	  SLUICE_E_OPTION_CONFLICT, "ticket_count" },
	{ SLUICE_SERVER, "certfile = /x\nticket_count = 1", SLUICE_E_OPTION_CONFLICT,
	  "session_tickets is disabled" },
	{ SLUICE_SERVER, "certfile = /x\nsession_tickets = manual", SLUICE_E_OPTION_ROLE,
	  "session_tickets: a server takes disabled or stateless" },
	{ SLUICE_SERVER, "certfile = /x\nsession_tickets = auto", SLUICE_E_OPTION_ROLE,
	  "a server" },
	{ SLUICE_CLIENT, "session_tickets = stateless", SLUICE_E_OPTION_ROLE,
	  "session_tickets: a client takes disabled, manual or auto" },
	{ SLUICE_CLIENT, "session_tickets = auto", 0, NULL },
	{ SLUICE_CLIENT, "keyfile = /x", SLUICE_E_OPTION_CONFLICT, "without certfile" },
	{ SLUICE_CLIENT, "certfile = /x", 0, NULL },
	{ SLUICE_SERVER, "certfile = /x\nfail_if_no_peer_cert = false", 0, NULL },
	{ SLUICE_SERVER, "certfile = /x\nallow_peers = dns:a.test", SLUICE_E_OPTION_CONFLICT,
	  "allow_peers: needs verify = verify_peer" },
	{ SLUICE_SERVER, "certfile = /x\ndeny_peers = dns:a.test", SLUICE_E_OPTION_CONFLICT,
	  "deny_peers: needs verify = verify_peer" },
	{ SLUICE_CLIENT, "verify = verify_none\npeer_identity = dns", SLUICE_E_OPTION_CONFLICT,
	  "peer_identity: needs verify = verify_peer" },
	{ SLUICE_SERVER,
	  "certfile = /x\nverify = verify_peer\ncacertfile = /x\nallow_peers = dns:a.test",
	  SLUICE_E_OPTION_CONFLICT,
	  "allow_peers: needs fail_if_no_peer_cert = true, or whoever has no certificate gets in" },
	{ SLUICE_SERVER,
	  "certfile = /x\nverify = verify_peer\ncacertfile = /x\ndeny_peers = dns:a.test", 0,
	  NULL },
	{ SLUICE_SERVER, "certfile = /x\nsession_tickets = disabled\nticket_count = 0", 0, NULL },
	{ SLUICE_CLIENT, "secure_renegotiate = false", SLUICE_E_UNSAFE_REFUSED, "RFC 5746" },
	{ SLUICE_SERVER, "certfile = /x\nsecure_renegotiate = false", SLUICE_E_UNSAFE_REFUSED,
	  "RFC 5746" },
	{ SLUICE_SERVER, "certfile = /x\ncacertfile = /y\nverify = verify_peer", 0, NULL },
};

static void SV_09_contradictions_are_named(void **state)
{
	const struct contradiction *c;
	struct sluice_options *opts;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(contradictions); i++) {
		c = &contradictions[i];
		opts = new_set();
		assert_int_equal(sluice_options_parse(opts, c->text, strlen(c->text), &err), 0);
		if (options_check(opts, c->role, &err) != -c->code ||
		    (c->code && !strstr(err.text, c->says)))
			fail_msg("\"%s\": %s", c->text, err.text);
		sluice_options_free(opts);
	}
}

static void KY_01_renegotiation_is_safe_or_refused(void **state)
{
	struct sluice_option_info info;
	struct sluice_options *opts;
	struct sluice_error err = { 0 };

	assert_int_equal(sluice_option_info(SLUICE_OPT_SECURE_RENEGOTIATE, &info, sizeof(info)), 0);
	assert_string_equal(info.def, "true");
	assert_int_equal(sluice_options_new(&opts), 0);
	set(opts, SLUICE_OPT_SECURE_RENEGOTIATE, "true");
	assert_int_equal(options_check(opts, SLUICE_CLIENT, &err), 0);
	set(opts, SLUICE_OPT_SECURE_RENEGOTIATE, "false");
	assert_int_equal(options_check(opts, SLUICE_CLIENT, &err), -SLUICE_E_UNSAFE_REFUSED);
	assert_int_equal(err.kind, SLUICE_KIND_UNSUPPORTED);
	sluice_options_free(opts);
}

static void OC_01_a_certificate_in_bytes_needs_a_key(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;

	err_clear(&err);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, "x", 1, NULL), 0);
	assert_int_equal(options_check(opts, SLUICE_CLIENT, &err), -SLUICE_E_OPTION_CONFLICT);
	assert_non_null(strstr(err.text, "needs key or keyfile"));
	set(opts, SLUICE_OPT_KEYFILE, "/x");
	assert_int_equal(options_check(opts, SLUICE_CLIENT, NULL), 0);
	sluice_options_free(opts);
}

/* --- after the hello ------------------------------------------------------------------------ */

static void LC_17_what_a_client_can_still_change_after_the_hello(void **state)
{
	static const enum sluice_option in_time[] = {
		SLUICE_OPT_CERTFILE,    SLUICE_OPT_KEYFILE,  SLUICE_OPT_PASSWORD,
		SLUICE_OPT_CACERTFILE,  SLUICE_OPT_DEPTH,    SLUICE_OPT_VERIFY,
		SLUICE_OPT_RECORD_PATH, SLUICE_OPT_EXPORTER,
	};
	static const char *const values[] = { "/x", "/x",          "x",    "/x",
					      "1",  "verify_none", "user", "true" };
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	size_t i;
	int id;

	for (i = 0; i < ARRAY_LEN(in_time); i++)
		set(opts, in_time[i], values[i]);
	assert_int_equal(options_check_late(opts, SLUICE_CLIENT, NULL), 0);
	assert_int_equal(options_check_late(opts, SLUICE_SERVER, NULL), 0);
	sluice_options_free(opts);

	for (id = 0; id < SLUICE_OPTIONS; id++) {
		if (!option_row(id)->def || !(option_row(id)->roles & SLUICE_CLIENT) ||
		    (option_row(id)->late & SLUICE_CLIENT))
			continue;
		opts = new_set();
		set(opts, (enum sluice_option)id, option_row(id)->def);
		err_clear(&err);
		assert_int_equal(options_check_late(opts, SLUICE_CLIENT, &err),
				 -SLUICE_E_OPTION_TOO_LATE);
		assert_non_null(strstr(err.text, option_row(id)->name));
		sluice_options_free(opts);
	}
}

static void LC_17_what_a_server_can_still_change_after_the_hello(void **state)
{
	static const struct {
		const char *name, *value;
		int result;
	} cases[] = {
		{ "versions", "tlsv1.2", 0 },
		{ "ciphers", "TLS_AES_128_GCM_SHA256", 0 },
		{ "supported_groups", "secp256r1", 0 },
		{ "signature_algs", "ed25519", 0 },
		{ "alpn_preferred_protocols", "h2", 0 },
		{ "honor_cipher_order", "true", 0 },
		{ "fail_if_no_peer_cert", "true", 0 },
		{ "session_tickets", "disabled", 0 },
		{ "ticket_count", "1", -SLUICE_E_OPTION_TOO_LATE },
		{ "handshake", "hello", -SLUICE_E_OPTION_TOO_LATE },
		{ "handshake_timeout", "5", -SLUICE_E_OPTION_TOO_LATE },
		{ "max_handshake_size", "5", -SLUICE_E_OPTION_TOO_LATE },
		{ "server_name_indication", "x", -SLUICE_E_OPTION_ROLE },
		{ "alpn_advertised_protocols", "h2", -SLUICE_E_OPTION_ROLE },
	};
	struct sluice_options *opts;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		opts = new_set();
		assert_int_equal(sluice_options_set_name(opts, cases[i].name, cases[i].value, NULL),
				 0);
		assert_int_equal(options_check_late(opts, SLUICE_SERVER, NULL), cases[i].result);
		sluice_options_free(opts);
	}
}

/* --- versions and suites -------------------------------------------------------------------- */

static struct protocol resolve(const char *text, int result)
{
	struct sluice_options *opts = new_set();
	struct protocol protocol = { 0 };
	struct sluice_error err;

	assert_int_equal(sluice_options_parse(opts, text, strlen(text), &err), 0);
	assert_int_equal(protocol_resolve(opts, &protocol, &err), result);
	if (result)
		assert_non_null(strstr(err.text, "which versions asks for"));
	sluice_options_free(opts);
	return protocol;
}

static void OC_14_suites_and_versions_come_together(void **state)
{
	struct protocol p = resolve("", 0);

	assert_int_equal(p.min_version, TLS12);
	assert_int_equal(p.max_version, TLS13);
	assert_int_equal(p.n_suites, 9);

	/* Only suites of one version: the other one is out. */
	p = resolve("ciphers = ECDHE-RSA-AES128-GCM-SHA256", 0);
	assert_int_equal(p.min_version, TLS12);
	assert_int_equal(p.max_version, TLS12);
	p = resolve("ciphers = TLS_CHACHA20_POLY1305_SHA256", 0);
	assert_int_equal(p.min_version, TLS13);
	assert_int_equal(p.max_version, TLS13);

	/* The suites of a version that is off do not count. */
	p = resolve("versions = tlsv1.3", 0);
	assert_int_equal(p.min_version, TLS13);
	assert_int_equal(p.n_suites, 3);

	/* Unless the version was asked for. */
	resolve("versions = tlsv1.3\nciphers = ECDHE-RSA-AES128-GCM-SHA256",
		-SLUICE_E_OPTION_CONFLICT);
	resolve("versions = tlsv1.2\nciphers = TLS_AES_128_GCM_SHA256", -SLUICE_E_OPTION_CONFLICT);
	resolve("versions = tlsv1.2,tlsv1.3\nciphers = TLS_AES_128_GCM_SHA256",
		-SLUICE_E_OPTION_CONFLICT);
}

static const struct key_case {
	enum cert_key key;
	const char *text;
	int result;
} key_cases[] = {
	{ CERT_KEY_P256, "", 0 },
	{ CERT_KEY_P384, "", 0 },
	{ CERT_KEY_P521, "", 0 },
	{ CERT_KEY_ED25519, "", 0 },
	{ CERT_KEY_RSA2048, "", 0 },
	{ CERT_KEY_RSA2048, "signature_algs = ed25519", -SLUICE_E_OPTION_CONFLICT },
	{ CERT_KEY_ED25519, "signature_algs = rsa_pss_rsae_sha256", -SLUICE_E_OPTION_CONFLICT },
	/* RSASSA-PKCS1-v1_5 signs in TLS 1.2 only; a P-384 key is not bound to SHA-384 there. */
	{ CERT_KEY_RSA2048, "signature_algs = rsa_pkcs1_sha256", -SLUICE_E_OPTION_CONFLICT },
	{ CERT_KEY_RSA2048, "signature_algs = rsa_pkcs1_sha256\nversions = tlsv1.2", 0 },
	{ CERT_KEY_P384, "signature_algs = ecdsa_secp256r1_sha256", -SLUICE_E_OPTION_CONFLICT },
	{ CERT_KEY_P384, "signature_algs = ecdsa_secp256r1_sha256\nversions = tlsv1.2", 0 },
	{ CERT_KEY_P256, "ciphers = ECDHE-RSA-AES128-GCM-SHA256", -SLUICE_E_OPTION_CONFLICT },
	{ CERT_KEY_RSA2048, "ciphers = ECDHE-ECDSA-AES128-GCM-SHA256", -SLUICE_E_OPTION_CONFLICT },
	{ CERT_KEY_RSA2048, "ciphers = AES128-GCM-SHA256", 0 },
	{ CERT_KEY_ED25519, "ciphers = ECDHE-ECDSA-CHACHA20-POLY1305", 0 },
	{ CERT_KEY_ED25519, "ciphers = TLS_AES_128_GCM_SHA256", 0 },
};

static void SV_20_a_server_key_that_could_sign_nothing_is_refused(void **state)
{
	struct protocol protocol;
	EVP_PKEY *key;
	size_t i;

	for (i = 0; i < ARRAY_LEN(key_cases); i++) {
		protocol = resolve(key_cases[i].text, 0);
		key = certs_key(key_cases[i].key);
		if (protocol_check_keys(&protocol, SLUICE_SERVER, &key, 1, NULL) !=
		    key_cases[i].result)
			fail_msg("key %d, \"%s\"", key_cases[i].key, key_cases[i].text);
		EVP_PKEY_free(key);
	}
}

/* Each key must be of use in one version, and each version have a key. */
static void OC_03_SV_20_several_keys_share_the_versions(void **state)
{
	static const struct {
		enum cert_key keys[2];
		const char *text;
		int result;
	} cases[] = {
		{ { CERT_KEY_P256, CERT_KEY_RSA2048 }, "", 0 },
		/* The one has TLS 1.3, the other TLS 1.2. */
		{ { CERT_KEY_P256, CERT_KEY_RSA2048 },
		  "ciphers = TLS_AES_128_GCM_SHA256,ECDHE-RSA-AES128-GCM-SHA256\n"
		  "signature_algs = ecdsa_secp256r1_sha256,rsa_pkcs1_sha256",
		  0 },
		{ { CERT_KEY_P256, CERT_KEY_RSA2048 },
		  "signature_algs = rsa_pss_rsae_sha256",
		  -SLUICE_E_OPTION_CONFLICT },
		{ { CERT_KEY_P256, CERT_KEY_P256 },
		  "ciphers = TLS_AES_128_GCM_SHA256,ECDHE-RSA-AES128-GCM-SHA256",
		  -SLUICE_E_OPTION_CONFLICT },
	};
	struct protocol protocol;
	EVP_PKEY *keys[2];
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		protocol = resolve(cases[i].text, 0);
		keys[0] = certs_key(cases[i].keys[0]);
		keys[1] = certs_key(cases[i].keys[1]);
		if (protocol_check_keys(&protocol, SLUICE_SERVER, keys, 2, NULL) != cases[i].result)
			fail_msg("case %zu, \"%s\"", i, cases[i].text);
		EVP_PKEY_free(keys[0]);
		EVP_PKEY_free(keys[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(SV_09_contradictions_are_named),
		cmocka_unit_test(KY_01_renegotiation_is_safe_or_refused),
		cmocka_unit_test(OC_01_a_certificate_in_bytes_needs_a_key),
		cmocka_unit_test(LC_17_what_a_client_can_still_change_after_the_hello),
		cmocka_unit_test(LC_17_what_a_server_can_still_change_after_the_hello),
		cmocka_unit_test(OC_14_suites_and_versions_come_together),
		cmocka_unit_test(SV_20_a_server_key_that_could_sign_nothing_is_refused),
		cmocka_unit_test(OC_03_SV_20_several_keys_share_the_versions),
	};

	return cmocka_run_group_tests_name("unit/options-check", tests, NULL, NULL);
}
