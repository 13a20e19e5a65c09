/* SPDX-License-Identifier: Apache-2.0 */
/* Which certificate a client shows to a server that asks for one: its own if that suits, or none. */
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

/* Connects a client that has @cert; tells whether it showed it. */
static bool shows(const char *version, const char *cert, const char *key, const char *server)
{
	struct pair pair;
	const uint8_t *der;
	char client[600];
	size_t len;
	bool shown;

	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", cert, key);
	pair_open(&pair, &(struct pair_setup){ .versions = version,
					       .server_options = server,
					       .client_options = client });
	assert_int_equal(pair_connect(&pair), 0);
	shown = sluice_peercert(pair.server, 0, &der, &len) == 0;
	assert_int_equal(check_info(pair.server).peer_verified, shown);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
	return shown;
}

static void CL_26_nothing_is_shown_to_who_does_not_ask(void **state)
{
	const struct certs *c = certs_get();

	PAIR_FOR_EACH_VERSION(version)
	{
		assert_false(shows(version, c->client, c->client_key, NULL));
	}
}

static void CL_26_the_authorities_that_a_server_names(void **state)
{
	const struct certs *c = certs_get();
	char both[300], other[300], text[400];
	char *root, *more, *joined;
	size_t root_len, more_len;

	root = certs_read(c->ca, &root_len);
	more = certs_read(c->other_ca, &more_len);
	joined = malloc(root_len + more_len);
	assert_non_null(joined);
	memcpy(joined, more, more_len);
	memcpy(joined + more_len, root, root_len);
	snprintf(both, sizeof(both), "%s", certs_file("both-cas.pem", joined, root_len + more_len));
	snprintf(other, sizeof(other), "verify = verify_peer\ncacertfile = %s\n", c->other_ca);
	snprintf(text, sizeof(text), "verify = verify_peer\ncacertfile = %s\n", both);
	PAIR_FOR_EACH_VERSION(version)
	{
		assert_false(shows(version, c->client, c->client_key, other));
		/* By its intermediate's issuer, and any of several will do. */
		assert_true(shows(version, c->client, c->client_key, text));
	}
	free(root);
	free(more);
	free(joined);
}

static void CL_26_the_schemes_that_a_server_takes(void **state)
{
	const struct certs *c = certs_get();
	const struct {
		const char *cert, *key, *schemes;
		bool shown[2]; /* TLS 1.3, TLS 1.2 */
	} cases[] = {
		{ c->client, c->client_key, "ecdsa_secp256r1_sha256", { true, true } },
		{ c->client, c->client_key, "ecdsa_secp256r1_sha256,ed25519", { true, true } },
		{ c->server_ed25519,
		  c->server_ed25519_key,
		  "ecdsa_secp256r1_sha256",
		  { false, false } },
		{ c->server_rsa, c->server_rsa_key, "ecdsa_secp256r1_sha256", { false, false } },
	};
	char text[500];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text),
			 "verify = verify_peer\ncacertfile = %s\nsignature_algs = %s\n", c->ca,
			 cases[i].schemes);
		PAIR_FOR_EACH_VERSION(version)
		{
			if (cases[i].shown[0])
				assert_int_equal(shows(version, cases[i].cert, cases[i].key, text),
						 cases[i].shown[version_i]);
			else
				assert_false(shows(version, cases[i].cert, cases[i].key, text));
		}
	}
}

/* A server that will not do without is told so, and not given one that it does not take. */
static void CL_26_SV_09_a_server_that_must_have_one(void **state)
{
	const struct certs *c = certs_get();
	char server[400], client[400];
	struct pair pair;

	snprintf(server, sizeof(server),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n",
		 c->other_ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", c->client, c->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version,
						       .server_options = server,
						       .client_options = client });
		pair_connect(&pair);
		check_refused(&pair, SLUICE_SERVER, SLUICE_E_NO_PEERCERT,
			      version_i ? SLUICE_ALERT_HANDSHAKE_FAILURE
					: SLUICE_ALERT_CERTIFICATE_REQUIRED);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_26_nothing_is_shown_to_who_does_not_ask),
		cmocka_unit_test(CL_26_the_authorities_that_a_server_names),
		cmocka_unit_test(CL_26_the_schemes_that_a_server_takes),
		cmocka_unit_test(CL_26_SV_09_a_server_that_must_have_one),
	};

	return cmocka_run_group_tests_name("flow/client_cert", tests, leaks_setup, leaks_teardown);
}
