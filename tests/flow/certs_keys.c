/* SPDX-License-Identifier: Apache-2.0 */
/* Several own certificates: which one a peer gets, whatever it can take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

enum own {
	OWN_NONE,
	OWN_RSA,
	OWN_P256,
	OWN_ED25519,
};

static const char *cert_of(enum own own)
{
	const struct certs *c = certs_get();

	return own == OWN_RSA    ? c->server_rsa
	       : own == OWN_P256 ? c->server_p256
				 : c->server_ed25519;
}

static const char *key_of(enum own own)
{
	const struct certs *c = certs_get();

	return own == OWN_RSA    ? c->server_rsa_key
	       : own == OWN_P256 ? c->server_p256_key
				 : c->server_ed25519_key;
}

static void add(struct sluice_options *opts, const char *cert, const char *key)
{
	struct sluice_options *pair;
	struct sluice_error err;

	assert_int_equal(sluice_options_new(&pair), 0);
	assert_int_equal(sluice_options_set(pair, SLUICE_OPT_CERTFILE, cert, NULL), 0);
	assert_int_equal(sluice_options_set(pair, SLUICE_OPT_KEYFILE, key, NULL), 0);
	if (sluice_options_add_cert_key(opts, pair, &err) < 0)
		fail_msg("%s", err.text);
	sluice_options_free(pair);
}

/* struct setting - who has which certificates. */
struct setting {
	enum sluice_role role;
	enum own own[4]; /* up to OWN_NONE */
};

static int accept_all(struct sluice_conn *conn, const struct sluice_verify_event *event,
		      void **state, int *reason)
{
	return SLUICE_VRET_VALID;
}

static void set(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct setting *setting = arg;
	size_t i;

	/* What the certificates are for does not matter here. */
	if (role == SLUICE_SERVER && setting->role == SLUICE_CLIENT)
		assert_int_equal(sluice_options_set_verify_fun(opts, accept_all, NULL, NULL), 0);

	if (role == setting->role)
		for (i = 0; setting->own[i]; i++)
			add(opts, cert_of(setting->own[i]), key_of(setting->own[i]));
}

/* Which certificate @conn was shown. */
static enum own shown(const struct sluice_conn *conn)
{
	const uint8_t *der;
	uint8_t *expected;
	size_t len, expected_len;
	enum own own;
	bool same;

	if (sluice_peercert(conn, 0, &der, &len) < 0)
		return OWN_NONE;
	for (own = OWN_RSA; own <= OWN_ED25519; own++) {
		expected = certs_der(cert_of(own), 0, &expected_len);
		same = len == expected_len && !memcmp(der, expected, len);
		free(expected);
		if (same)
			return own;
	}
	fail_msg("another certificate");
	return OWN_NONE;
}

/* --- a server ----------------------------------------------------------------------------- */

#define ECDSA_FIRST                         \
	{                                   \
		OWN_P256, OWN_RSA, OWN_NONE \
	}
#define RSA_FIRST                           \
	{                                   \
		OWN_RSA, OWN_P256, OWN_NONE \
	}

static const struct server_case {
	enum own own[4];
	const char *versions, *client;
	enum own shown;
} server_cases[] = {
	/* Whoever can take all gets the first. */
	{ ECDSA_FIRST, "tlsv1.3", "", OWN_P256 },
	{ ECDSA_FIRST, "tlsv1.2", "", OWN_P256 },
	{ RSA_FIRST, "tlsv1.3", "", OWN_RSA },
	{ RSA_FIRST, "tlsv1.2", "", OWN_RSA },
	{ { OWN_ED25519, OWN_P256, OWN_RSA, OWN_NONE }, "tlsv1.3", "", OWN_ED25519 },
	/* By signature algorithms. */
	{ ECDSA_FIRST, "tlsv1.3", "signature_algs = rsa_pss_rsae_sha256", OWN_RSA },
	{ ECDSA_FIRST, "tlsv1.2", "signature_algs = rsa_pss_rsae_sha256", OWN_RSA },
	{ ECDSA_FIRST, "tlsv1.2", "signature_algs = rsa_pkcs1_sha256", OWN_RSA },
	{ RSA_FIRST, "tlsv1.3", "signature_algs = ecdsa_secp256r1_sha256", OWN_P256 },
	{ RSA_FIRST, "tlsv1.2", "signature_algs = ecdsa_secp256r1_sha256", OWN_P256 },
	{ { OWN_ED25519, OWN_RSA, OWN_P256, OWN_NONE },
	  "tlsv1.3",
	  "signature_algs = ecdsa_secp256r1_sha256",
	  OWN_P256 },
	{ { OWN_ED25519, OWN_RSA, OWN_P256, OWN_NONE },
	  "tlsv1.2",
	  "signature_algs = ecdsa_secp256r1_sha256,ed25519",
	  OWN_ED25519 },
	/* TLS 1.3 binds the scheme to the curve, TLS 1.2 does not. */
	{ ECDSA_FIRST, "tlsv1.3", "signature_algs = ecdsa_secp384r1_sha384,rsa_pss_rsae_sha256",
	  OWN_RSA },
	{ ECDSA_FIRST, "tlsv1.2", "signature_algs = ecdsa_secp384r1_sha384,ecdsa_secp256r1_sha256",
	  OWN_P256 },
	/* By TLS 1.2 suites. */
	{ ECDSA_FIRST, "tlsv1.2", "ciphers = ECDHE-RSA-AES128-GCM-SHA256", OWN_RSA },
	{ RSA_FIRST, "tlsv1.2", "ciphers = ECDHE-ECDSA-AES128-GCM-SHA256", OWN_P256 },
	/* By the curve of the key. */
	{ ECDSA_FIRST, "tlsv1.2", "supported_groups = x25519", OWN_RSA },
	{ ECDSA_FIRST, "tlsv1.2", "supported_groups = x25519,secp256r1", OWN_P256 },
	{ ECDSA_FIRST, "tlsv1.3", "supported_groups = x25519", OWN_P256 },
};

static void OC_03_SV_20_the_first_that_a_client_can_take(void **state)
{
	const struct server_case *c;
	struct setting setting;
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(server_cases); i++) {
		c = &server_cases[i];
		setting = (struct setting){ .role = SLUICE_SERVER };
		memcpy(setting.own, c->own, sizeof(setting.own));
		pair_open(&pair, &(struct pair_setup){ .versions = c->versions,
						       .client_options = c->client,
						       .set = set,
						       .arg = &setting });
		if (pair_connect(&pair) != 0)
			fail_msg("case %zu: %d %d", i, pair.client_result, pair.server_result);
		if (shown(pair.client) != c->shown)
			fail_msg("case %zu: certificate %d", i, shown(pair.client));
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* Without ECDHE the key signs nothing: the schemes do not matter. */
static void OC_03_a_suite_without_ecdhe_takes_the_rsa_key(void **state)
{
	struct setting setting = { SLUICE_SERVER, ECDSA_FIRST };
	struct pair pair;

	pair_open(&pair,
		  &(struct pair_setup){
			  .versions = "tlsv1.2",
			  .server_options =
				  "ciphers = AES128-GCM-SHA256,ECDHE-ECDSA-AES128-GCM-SHA256",
			  .client_options = "ciphers = AES128-GCM-SHA256",
			  .set = set,
			  .arg = &setting });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(shown(pair.client), OWN_RSA);
	pair_close(&pair);
}

/* What suits nobody is refused as one certificate that does not suit is. */
static void OC_03_none_that_a_client_can_take(void **state)
{
	struct setting setting = { SLUICE_SERVER, ECDSA_FIRST };
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version,
						       .client_options = "signature_algs = ed25519",
						       .set = set,
						       .arg = &setting });
		pair_connect(&pair);
		check_refused(&pair, SLUICE_SERVER, SLUICE_E_NO_SHARED,
			      SLUICE_ALERT_HANDSHAKE_FAILURE);
		pair_close(&pair);
	}
}

/* A session is of the server, whichever of its certificates it was made with. */
static void OC_03_SV_19_sessions_resume_across_the_certificates(void **state)
{
	struct setting setting = { SLUICE_SERVER, ECDSA_FIRST };
	struct sluice_session *session;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .versions = version,
						.server_options = "session_tickets = stateless",
						.client_options = "session_tickets = manual",
						.set = set,
						.arg = &setting });
		assert_int_equal(pair_connect(&pair), 0);
		pair_exchange(&pair, 100);
		assert_int_equal(sluice_take_session(pair.client, &session), 0);
		pair_drop(&pair);
		assert_int_equal(pair_resume(&pair, session), 0);
		assert_true(check_info(pair.client).resumed);
		sluice_session_free(session);
		pair_close(&pair);
	}
}

/* A host of sni_hosts, and options of one connection, have their own. */
static void set_host(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	struct sluice_options *host;

	if (role != SLUICE_SERVER)
		return;
	assert_int_equal(sluice_options_new(&host), 0);
	add(host, cert_of(OWN_ED25519), key_of(OWN_ED25519));
	add(host, cert_of(OWN_RSA), key_of(OWN_RSA));
	assert_int_equal(sluice_options_add_sni_host(opts, "localhost", host, NULL), 0);
	sluice_options_free(host);
}

static void OC_03_SV_15_a_host_has_several(void **state)
{
	static const struct {
		const char *client;
		enum own shown;
	} cases[] = {
		{ "verify = verify_none\nserver_name_indication = localhost", OWN_ED25519 },
		{ "verify = verify_none\nserver_name_indication = localhost\nsignature_algs = "
		  "rsa_pss_rsae_sha256,ecdsa_secp256r1_sha256",
		  OWN_RSA },
		{ "verify = verify_none\nserver_name_indication = a.example.test", OWN_P256 },
	};
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		PAIR_FOR_EACH_VERSION(version)
		{
			pair_open(&pair,
				  &(struct pair_setup){ .versions = version, .set = set_host });
			sluice_profile_unref(pair.client_profile);
			pair.client_profile = pair_profile(SLUICE_CLIENT, cases[i].client);
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(shown(pair.client), cases[i].shown);
			pair_close(&pair);
		}
}

/* --- a client ----------------------------------------------------------------------------- */

static void CL_26_OC_03_the_first_that_a_server_asks_for(void **state)
{
	static const struct {
		enum own own[4];
		const char *schemes;
		enum own shown;
	} cases[] = {
		{ ECDSA_FIRST, "rsa_pss_rsae_sha256,ecdsa_secp256r1_sha256", OWN_P256 },
		{ RSA_FIRST, "rsa_pss_rsae_sha256,ecdsa_secp256r1_sha256", OWN_RSA },
		{ { OWN_ED25519, OWN_RSA, OWN_P256, OWN_NONE },
		  "ecdsa_secp256r1_sha256",
		  OWN_P256 },
		{ { OWN_ED25519, OWN_P256, OWN_RSA, OWN_NONE },
		  "ecdsa_secp256r1_sha256,ed25519",
		  OWN_ED25519 },
		{ { OWN_ED25519, OWN_RSA, OWN_NONE }, "ecdsa_secp256r1_sha256", OWN_NONE },
	};
	struct setting setting;
	struct pair pair;
	char server[500];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		PAIR_FOR_EACH_VERSION(version)
		{
			setting = (struct setting){ .role = SLUICE_CLIENT };
			memcpy(setting.own, cases[i].own, sizeof(setting.own));
			snprintf(server, sizeof(server),
				 "verify = verify_peer\ncacertfile = %s\nsignature_algs = %s",
				 certs_get()->ca, cases[i].schemes);
			pair_open(&pair, &(struct pair_setup){ .versions = version,
							       .server_options = server,
							       .set = set,
							       .arg = &setting });
			if (pair_connect(&pair) != 0)
				fail_msg("case %zu: %d", i, pair.client_result);
			if (shown(pair.server) != cases[i].shown)
				fail_msg("case %zu: certificate %d", i, shown(pair.server));
			pair_close(&pair);
		}
}

/* The second is of the authority that the server names. */
static void set_of_two_authorities(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct certs *c = certs_get();

	if (role != SLUICE_CLIENT)
		return;
	add(opts, c->self_signed, c->server_p256_key);
	add(opts, c->client, c->client_key);
}

static void CL_26_OC_03_the_one_that_the_authorities_issued(void **state)
{
	const struct certs *c = certs_get();
	struct pair pair;
	char server[400];
	const uint8_t *der;
	uint8_t *expected;
	size_t len, expected_len;

	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s", c->ca);
	expected = certs_der(c->client, 0, &expected_len);
	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version,
						       .server_options = server,
						       .set = set_of_two_authorities });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_peercert(pair.server, 0, &der, &len), 0);
		assert_int_equal(len, expected_len);
		assert_memory_equal(der, expected, len);
		pair_close(&pair);
	}
	free(expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_03_SV_20_the_first_that_a_client_can_take),
		cmocka_unit_test(OC_03_a_suite_without_ecdhe_takes_the_rsa_key),
		cmocka_unit_test(OC_03_none_that_a_client_can_take),
		cmocka_unit_test(OC_03_SV_19_sessions_resume_across_the_certificates),
		cmocka_unit_test(OC_03_SV_15_a_host_has_several),
		cmocka_unit_test(CL_26_OC_03_the_first_that_a_server_asks_for),
		cmocka_unit_test(CL_26_OC_03_the_one_that_the_authorities_issued),
	};

	return cmocka_run_group_tests_name("flow/certs_keys", tests, leaks_setup, leaks_teardown);
}
