/* SPDX-License-Identifier: Apache-2.0 */
/* Wildcards, rules of one's own about host names, and who may connect by identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/error.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct sluice_profile *client_profile(const char *text,
					     const struct sluice_hostname_check *check)
{
	struct sluice_options *opts;
	struct sluice_profile *profile;
	struct sluice_error err;
	char whole[1024];

	snprintf(whole, sizeof(whole), "cacertfile = %s\nalert_timeout = 0\n%s\n", certs_get()->ca,
		 text);
	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set_hostname_check(opts, check), 0);
	assert_int_equal(sluice_options_parse(opts, whole, strlen(whole), &err), 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err), 0);
	sluice_options_free(opts);
	return profile;
}

/* A client of @profile, which is consumed, for @host; its result. */
static int upgrade(struct pair *pair, const char *host, struct sluice_profile *profile)
{
	struct sluice_error err;
	int fds[2];

	pair_drop(pair);
	sluice_profile_unref(pair->client_profile);
	pair->client_profile = profile;
	tcp_pair(fds);
	pair->client_result = sluice_connect_fd(pair->sluice, fds[0], host, profile, NULL,
						SLUICE_NOWAIT, &pair->client, &err);
	pair->server_result = sluice_handshake_fd(pair->sluice, fds[1], pair->server_profile,
						  SLUICE_NOWAIT, &pair->server, &err);
	pair_run(pair);
	return pair->client_result;
}

/* --- host names ------------------------------------------------------------------------------ */

/* The server's certificate is for localhost and *.example.test. */
static void CL_21_what_a_wildcard_stands_for(void **state)
{
	static const struct {
		const char *options, *host;
		int code;
	} cases[] = {
		{ "", "www.example.test", SLUICE_E_HOSTNAME },
		{ "", "localhost", 0 },
		{ "customize_hostname_check = strict", "www.example.test", SLUICE_E_HOSTNAME },
		{ "customize_hostname_check = https", "www.example.test", 0 },
		{ "customize_hostname_check = https", "a.www.example.test", SLUICE_E_HOSTNAME },
		{ "customize_hostname_check = https", "example.test", SLUICE_E_HOSTNAME },
		{ "customize_hostname_check = ldap", "www.example.test", 0 },
		{ "verify = verify_none", "www.example.test", 0 },
	};
	struct sluice_error err;
	struct pair pair;
	size_t i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < N(cases); i++) {
		if (upgrade(&pair, cases[i].host, client_profile(cases[i].options, NULL)) !=
		    -cases[i].code)
			fail_msg("%s, %s: %d", cases[i].options, cases[i].host, pair.client_result);
		if (!cases[i].code)
			continue;
		sluice_conn_error(pair.client, &err, sizeof(err));
		assert_int_equal(err.alert, SLUICE_ALERT_BAD_CERTIFICATE);
		/* Who only lacks the option is told so. */
		assert_int_equal(!strstr(err.text, "customize_hostname_check"),
				 strcmp(cases[i].host, "www.example.test") != 0);
	}
	pair_close(&pair);
}

static int derive(void *arg, const char *asked, char *ret_name, size_t size)
{
	if (strncmp(asked, "service.", 8) != 0)
		return strcmp(asked, "nobody.test") ? 0 : -1;
	snprintf(ret_name, size, "%s", asked + 8);
	return 1;
}

static int match(void *arg, const char *name, int kind, const void *presented, size_t len)
{
	unsigned int *n = arg;

	(*n)++;
	if (kind == SLUICE_NAME_DNS && len == 14 && !memcmp(presented, "*.example.test", len))
		return !strcmp(name, "a.b.example.test");
	return -1;
}

static void CL_21_functions_decide(void **state)
{
	unsigned int n = 0;
	const struct sluice_hostname_check names = { .name = derive };
	const struct sluice_hostname_check matches = { .match = match, .arg = &n };
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(upgrade(&pair, "service.localhost", client_profile("", &names)), 0);
	assert_int_equal(upgrade(&pair, "localhost", client_profile("", &names)), 0);
	assert_int_equal(upgrade(&pair, "nobody.test", client_profile("", &names)),
			 -SLUICE_E_HOSTNAME);
	assert_int_equal(upgrade(&pair, "a.b.example.test", client_profile("", &matches)), 0);
	assert_true(n > 0);
	/* What it says no to no rule makes good; what it says nothing about the rule decides. */
	assert_int_equal(upgrade(&pair, "www.example.test",
				 client_profile("customize_hostname_check = https", &matches)),
			 -SLUICE_E_HOSTNAME);
	assert_int_equal(upgrade(&pair, "localhost", client_profile("", &matches)), 0);
	/* No name, no question. */
	n = 0;
	assert_int_equal(upgrade(&pair, "www.example.test",
				 client_profile("server_name_indication = disable", &matches)),
			 0);
	assert_int_equal(n, 0);
	pair_close(&pair);
}

/* --- who may connect ------------------------------------------------------------------------- */

static void AL_24_servers_by_identity(void **state)
{
	static const struct {
		const char *options;
		int alert; /* 0: accepted */
		const char *identity;
	} cases[] = {
		{ "", 0, "" },
		{ "peer_identity = dns", 0, "localhost" },
		{ "peer_identity = ip", 0, "127.0.0.1" },
		{ "allow_peers = dns:*.example.test", 0, "*.example.test" },
		{ "peer_identity = dns\nallow_peers = dns:localhost, dns:b.test", 0, "localhost" },
		{ "peer_identity = dns\nallow_peers = issuer:Intermediate", 0, "localhost" },
		{ "peer_identity = spiffe", SLUICE_ALERT_BAD_CERTIFICATE, "" },
		{ "allow_peers = dns:b.test", SLUICE_ALERT_ACCESS_DENIED, "" },
		{ "deny_peers = dns:localhost", SLUICE_ALERT_ACCESS_DENIED, "" },
		{ "allow_peers = dns:localhost\ndeny_peers = issuer:Intermediate",
		  SLUICE_ALERT_ACCESS_DENIED, "" },
	};
	struct sluice_error err;
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		for (i = 0; i < N(cases); i++) {
			upgrade(&pair, "localhost", client_profile(cases[i].options, NULL));
			if (pair.client_result != (cases[i].alert ? -SLUICE_E_PEER_REFUSED : 0))
				fail_msg("%s: %d", cases[i].options, pair.client_result);
			if (!cases[i].alert) {
				assert_string_equal(check_info(pair.client).peer_identity,
						    cases[i].identity);
				continue;
			}
			sluice_conn_error(pair.client, &err, sizeof(err));
			assert_int_equal(err.alert, cases[i].alert);
			assert_int_equal(err.stage, SLUICE_STAGE_VERIFY);
			assert_int_equal(pair.server_result, -SLUICE_E_ALERT);
			sluice_conn_error(pair.server, &err, sizeof(err));
			assert_int_equal(err.alert, cases[i].alert);
		}
		pair_close(&pair);
	}
}

static void AL_24_clients_by_identity(void **state)
{
	static const struct {
		const char *options;
		int code;
	} cases[] = {
		{ "allow_peers = issuer:Intermediate, issuer:Root", 0 },
		{ "deny_peers = dns:localhost", 0 },
		{ "allow_peers = issuer:Somebody else", SLUICE_E_PEER_REFUSED },
		{ "deny_peers = issuer:Intermediate, issuer:Root", SLUICE_E_PEER_REFUSED },
		{ "peer_identity = dns", SLUICE_E_PEER_REFUSED },
	};
	const struct certs *certs = certs_get();
	char server[800], client[400];
	struct pair pair;
	size_t i;

	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	for (i = 0; i < N(cases); i++) {
		snprintf(server, sizeof(server),
			 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n%s\n",
			 certs->ca, cases[i].options);
		pair_open(&pair, &(struct pair_setup){ .server_options = server,
						       .client_options = client });
		pair_connect(&pair);
		if (pair.server_result != -cases[i].code)
			fail_msg("%s: %d", cases[i].options, pair.server_result);
		pair_close(&pair);
	}
}

/* Who resumes is who it was, by the same rules; by others it is asked again. */
static void AL_24_RS_30_a_session_is_no_way_around_the_lists(void **state)
{
	const char *const accepted = "session_tickets = manual\npeer_identity = dns";
	struct sluice_session *session;
	struct pair pair;
	uint8_t byte;

	pair_open(&pair, &(struct pair_setup){ .server_options = "session_tickets = stateless" });
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = client_profile(accepted, NULL);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_send(pair.server, "x", 1, 10000), 1);
	assert_int_equal(sluice_recv(pair.client, &byte, 1, 10000), 1);
	assert_int_equal(sluice_take_session(pair.client, &session), 0);
	pair_drop(&pair);
	assert_int_equal(pair_resume(&pair, session), 0);
	assert_true(check_info(pair.client).resumed);
	assert_string_equal(check_info(pair.client).peer_identity, "localhost");
	pair_drop(&pair);

	sluice_profile_unref(pair.client_profile);
	pair.client_profile = client_profile("session_tickets = manual\npeer_identity = dns\n"
					     "deny_peers = dns:localhost",
					     NULL);
	pair_resume(&pair, session);
	assert_int_equal(pair.client_result, -SLUICE_E_PEER_REFUSED);
	sluice_session_free(session);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_21_what_a_wildcard_stands_for),
		cmocka_unit_test(CL_21_functions_decide),
		cmocka_unit_test(AL_24_servers_by_identity),
		cmocka_unit_test(AL_24_clients_by_identity),
		cmocka_unit_test(AL_24_RS_30_a_session_is_no_way_around_the_lists),
	};

	return cmocka_run_group_tests_name("flow/peers", tests, leaks_setup, leaks_teardown);
}
