/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and certificates: every combination that works, and for every one that does not the alert
 * and the code on both sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sys.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000

#define ONLY_TLS13 "tlsv1.3"
#define ONLY_TLS12 "tlsv1.2"

/* The peer's certificate @index is block @block of the file. */
static void assert_cert(const struct sluice_conn *conn, size_t index, const char *file,
			size_t block)
{
	const uint8_t *der;
	uint8_t *expected;
	size_t len, expected_len;

	assert_int_equal(sluice_peercert(conn, index, &der, &len), 0);
	expected = certs_der(file, block, &expected_len);
	assert_int_equal(len, expected_len);
	assert_memory_equal(der, expected, len);
	free(expected);
}

/* --- keys -------------------------------------------------------------------------------- */

static void LC_57_LC_59_OC_03_IN_17_every_kind_of_key(void **state)
{
	const struct certs *certs = certs_get();
	const struct {
		const char *cert, *key;
		uint16_t signature;
	} keys[] = {
		{ certs->server_rsa, certs->server_rsa_key, 0x0804 },
		{ certs->server_p256, certs->server_p256_key, 0x0403 },
		{ certs->server_ed25519, certs->server_ed25519_key, 0x0807 },
	};
	struct sluice_conn_info info;
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		PAIR_FOR_EACH_VERSION(version)
		{
			PAIR_FOR_EACH_PATH(path)
			{
				pair_open(&pair, &(struct pair_setup){ .path = path,
								       .versions = version,
								       .cert = keys[i].cert,
								       .key = keys[i].key });
				assert_int_equal(pair_connect(&pair), 0);
				info = check_info(pair.client);
				assert_int_equal(info.version, version_i ? TLS12 : TLS13);
				assert_int_equal(info.signature, keys[i].signature);
				assert_true(info.peer_verified);
				assert_false(info.resumed);
				assert_cert(pair.client, 0, keys[i].cert, 0);
				assert_cert(pair.client, 1, certs->intermediate, 0);
				info = check_info(pair.server);
				assert_int_equal(info.signature, 0);
				assert_false(info.peer_verified);
				pair_exchange(&pair, 40000);
				pair_close(&pair);
			}
		}
	}
}

/* --- certificates of clients ------------------------------------------------------------- */

struct client_case {
	const char *server_options; /* behind cacertfile */
	bool shows;                 /* the client has a certificate */
	bool accepted, verified;
};

static void run_client_case(const struct client_case *c, const char *path, const char *version)
{
	const struct certs *certs = certs_get();
	bool tls13 = !strcmp(version, ONLY_TLS13);
	char server[600], client[600];
	const uint8_t *der;
	struct pair pair;
	size_t len;

	snprintf(server, sizeof(server), "cacertfile = %s\n%s", certs->ca, c->server_options);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	pair_open(&pair, &(struct pair_setup){ .path = path,
					       .versions = version,
					       .server_options = server,
					       .client_options = c->shows ? client : NULL });
	pair_connect(&pair);
	if (c->accepted) {
		assert_int_equal(pair.server_result, 0);
		assert_int_equal(pair.client_result, 0);
		assert_int_equal(check_info(pair.server).peer_verified, c->verified);
		if (c->verified)
			assert_cert(pair.server, 0, certs->client, 0);
		else
			assert_int_equal(sluice_peercert(pair.server, 0, &der, &len),
					 -SLUICE_E_NO_PEERCERT);
		pair_exchange(&pair, 40000);
	} else {
		/* RFC 8446, 4.4.2.4; RFC 5246, 7.4.6. */
		check_refused(&pair, SLUICE_SERVER, SLUICE_E_NO_PEERCERT,
			      tls13 ? SLUICE_ALERT_CERTIFICATE_REQUIRED
				    : SLUICE_ALERT_HANDSHAKE_FAILURE);
	}
	pair_close(&pair);
}

static void LC_59_SV_06_SV_07_SV_09_AL_41_client_certificates(void **state)
{
	static const struct client_case cases[] = {
		{ "verify = verify_none\n", false, true, false },
		{ "verify = verify_none\n", true, true, false },
		{ "verify = verify_peer\n", false, true, false },
		{ "verify = verify_peer\n", true, true, true },
		{ "verify = verify_peer\nfail_if_no_peer_cert = true\n", false, false, false },
		{ "verify = verify_peer\nfail_if_no_peer_cert = true\n", true, true, true },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		PAIR_FOR_EACH_VERSION(version)
		{
			PAIR_FOR_EACH_PATH(path)
			run_client_case(&cases[i], path, version);
		}
	}
}

static void SV_08_AL_08_AL_09_AL_23_a_client_certificate_of_an_unknown_ca(void **state)
{
	const struct certs *certs = certs_get();
	char server[600], client[600];

	/* By its name the client takes it for its own. */
	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s\n",
		 certs->namesake_ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			check_refusal(SLUICE_SERVER, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA,
				      .path = path, .versions = version, .server_options = server,
				      .client_options = client);
		}
	}
}

/* --- a clock that can be wrong ----------------------------------------------------------- */

#define DAY_S 86400

static struct sys_ops shifted_sys;
static int64_t shift_s;

static int64_t shifted_wall_s(void)
{
	return sys_real.wall_s() + shift_s;
}

/* A server that was set up when its certificate was good: a profile checks that. */
static void open_at(struct pair *pair, const struct pair_setup *setup, int64_t days)
{
	shifted_sys = sys_real;
	shifted_sys.wall_s = shifted_wall_s;
	shift_s = days * DAY_S;
	sys = &shifted_sys;
	pair_open(pair, setup);
	sys = &sys_real;
}

/* --- verification of servers ------------------------------------------------------------- */

static void CL_05_AL_09_AL_17_AL_20_AL_23_servers_that_do_not_verify(void **state)
{
	const struct certs *certs = certs_get();
	const struct {
		const char *cert;
		int code, alert;
		int days; /* when the server was set up */
	} cases[] = {
		{ certs->expired, SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED, -2 },
		{ certs->not_yet, SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED, 2 },
		{ certs->wrong_name, SLUICE_E_HOSTNAME, SLUICE_ALERT_BAD_CERTIFICATE, 0 },
		{ certs->self_signed, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, 0 },
		{ certs->server_bare, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0 },
	};
	struct sluice_error err;
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		PAIR_FOR_EACH_VERSION(version)
		{
			PAIR_FOR_EACH_PATH(path)
			{
				struct pair_setup setup = { .path = path,
							    .versions = version,
							    .cert = cases[i].cert };

				open_at(&pair, &setup, cases[i].days);
				pair_connect(&pair);
				check_refused(&pair, SLUICE_CLIENT, cases[i].code, cases[i].alert);
				sluice_conn_error(pair.client, &err, sizeof(err));
				assert_int_not_equal(err.x509_error, 0);
				assert_int_equal(err.stage, SLUICE_STAGE_VERIFY);
				pair_close(&pair);
			}
		}
	}
}

/* BoringSSL looks at the leaf only: what stands behind it is first read when it is verified. */
static void AL_17_an_issuer_that_cannot_be_parsed(void **state)
{
	static const uint8_t garbage[] = "this is not a certificate";
	CRYPTO_BUFFER *chain[2];
	EVP_PKEY *key;
	uint8_t *der;
	struct pair pair;
	struct peer peer;
	size_t len;

	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_SERVER);
	peer_ssl(&peer, TLS13, NULL);
	der = certs_der(certs_get()->server_p256, 0, &len);
	chain[0] = CRYPTO_BUFFER_new(der, len, NULL);
	chain[1] = CRYPTO_BUFFER_new(garbage, sizeof(garbage), NULL);
	key = SSL_CTX_get0_privatekey(peer.ctx);
	assert_int_equal(SSL_set_chain_and_key(peer.ssl, chain, 2, key, NULL), 1);
	peer_handshake(&peer);
	assert_int_equal(peer.result, -SLUICE_E_VERIFY);
	check_error(peer.conn, SLUICE_E_VERIFY, ALERT_SENT(SLUICE_ALERT_BAD_CERTIFICATE));
	peer_step(&peer);
	assert_int_equal(peer.alert, SLUICE_ALERT_BAD_CERTIFICATE);
	CRYPTO_BUFFER_free(chain[0]);
	CRYPTO_BUFFER_free(chain[1]);
	free(der);
	peer_close(&peer);
	pair_close(&pair);
}

static void CL_05_AL_23_a_client_that_trusts_another_ca(void **state)
{
	const struct certs *certs = certs_get();
	struct pair pair;
	char text[600];

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		sluice_profile_unref(pair.client_profile);
		snprintf(text, sizeof(text),
			 "cacertfile = %s\nserver_name_indication = localhost\n", certs->other_ca);
		pair.client_profile = pair_profile(SLUICE_CLIENT, text);
		pair_connect(&pair);
		check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
		pair_close(&pair);
	}
}

static void CL_01_CL_02_verify_none_has_to_be_asked_for(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .cert = certs_get()->wrong_name,
					       .client_options = "verify = verify_none\n" });
	assert_int_equal(pair_connect(&pair), 0);
	assert_false(check_info(pair.client).peer_verified);
	assert_cert(pair.client, 0, certs_get()->wrong_name, 0);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_57_LC_59_OC_03_IN_17_every_kind_of_key),
		cmocka_unit_test(LC_59_SV_06_SV_07_SV_09_AL_41_client_certificates),
		cmocka_unit_test(SV_08_AL_08_AL_09_AL_23_a_client_certificate_of_an_unknown_ca),
		cmocka_unit_test(CL_05_AL_09_AL_17_AL_20_AL_23_servers_that_do_not_verify),
		cmocka_unit_test(AL_17_an_issuer_that_cannot_be_parsed),
		cmocka_unit_test(CL_05_AL_23_a_client_that_trusts_another_ca),
		cmocka_unit_test(CL_01_CL_02_verify_none_has_to_be_asked_for),
	};

	return cmocka_run_group_tests_name("flow/keys", tests, leaks_setup, leaks_teardown);
}
