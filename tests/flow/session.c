/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Resumption: from the server's tickets to a client's session, and from there to the next
 * connection. Files of sessions are in flow/session_file.
 */
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
#include "support/pause.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define IN_A_ROW 1000

/* TLS 1.3 brings the tickets behind the handshake: they are taken when the client receives. */
static void receive_tickets(struct pair *pair)
{
	uint8_t byte;

	assert_int_equal(sluice_send(pair->server, "x", 1, RUN_MS), 1);
	assert_int_equal(sluice_recv(pair->client, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, 'x');
}

static struct sluice_session *take(struct pair *pair)
{
	struct sluice_session *session;

	receive_tickets(pair);
	assert_int_equal(sluice_take_session(pair->client, &session), 0);
	return session;
}

/*
 * What to offer next: a TLS 1.3 session is good for one connection; under TLS 1.2 a server sends a
 * new ticket only when the old one will not do any more.
 */
static struct sluice_session *take_next(struct pair *pair, struct sluice_session *session)
{
	struct sluice_session *next = NULL;

	receive_tickets(pair);
	if (sluice_take_session(pair->client, &next) < 0) {
		assert_int_equal(check_info(pair->client).version, TLS12);
		return session;
	}
	sluice_session_free(session);
	return next;
}

/* A session of a first, full handshake. */
static struct sluice_session *first_session(struct pair *pair)
{
	struct sluice_session *session;

	assert_int_equal(pair_connect(pair), 0);
	assert_false(check_info(pair->client).resumed);
	session = take(pair);
	pair_drop(pair);
	return session;
}

static void assert_resumed(struct pair *pair, struct sluice_session *session, bool resumed)
{
	assert_int_equal(pair_resume(pair, session), 0);
	assert_int_equal(check_info(pair->client).resumed, resumed);
	assert_int_equal(check_info(pair->server).resumed, resumed);
	sluice_session_free(session);
}

static void RS_30_a_session_resumes_and_keeps_the_identity(void **state)
{
	const uint8_t *der, *der_before;
	struct sluice_session *session;
	struct sluice_conn_info info;
	struct sluice_conn *first;
	size_t len, len_before;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path, .versions = version });
			assert_int_equal(pair_connect(&pair), 0);
			first = pair.client;
			assert_int_equal(sluice_peercert(first, 0, &der_before, &len_before), 0);
			session = take(&pair);
			sluice_close(pair.server);
			pair.server = pair.client = NULL;
			assert_resumed(&pair, session, true);
			info = check_info(pair.client);
			assert_true(info.peer_verified);
			assert_string_equal(check_info(pair.server).sni, "localhost");
			assert_int_equal(sluice_peercert(pair.client, 0, &der, &len), 0);
			assert_int_equal(len, len_before);
			assert_memory_equal(der, der_before, len);
			pair_exchange(&pair, 100000);
			sluice_close(first);
			pair_close(&pair);
		}
	}
}

static void SV_07_RS_30_a_resumed_client_is_still_who_it_was(void **state)
{
	const struct certs *certs = certs_get();
	struct sluice_session *session;
	char server[600], client[600];
	const uint8_t *der;
	uint8_t *expected;
	struct pair pair;
	size_t len, expected_len;

	snprintf(server, sizeof(server),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n", certs->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	expected = certs_der(certs->client, 0, &expected_len);
	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = version,
							       .server_options = server,
							       .client_options = client });
			session = first_session(&pair);
			assert_resumed(&pair, session, true);
			assert_true(check_info(pair.server).peer_verified);
			assert_int_equal(sluice_peercert(pair.server, 0, &der, &len), 0);
			assert_int_equal(len, expected_len);
			assert_memory_equal(der, expected, len);
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
	}
	free(expected);
}

static void RS_11_every_one_of_a_thousand_resumes(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	unsigned int i;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path, .versions = version });
			session = first_session(&pair);
			for (i = 0; i < IN_A_ROW; i++) {
				assert_int_equal(pair_resume(&pair, session), 0);
				assert_true(check_info(pair.client).resumed);
				assert_true(check_info(pair.server).resumed);
				session = take_next(&pair, session);
				pair_drop(&pair);
			}
			sluice_session_free(session);
			pair_close(&pair);
		}
	}
}

static void RS_18_tickets_follow_the_handshake(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	char text[100];
	uint8_t byte;
	int count;

	PAIR_FOR_EACH_PATH(path)
	{
		for (count = 0; count <= 4; count++) {
			snprintf(text, sizeof(text), "ticket_count = %d\n", count);
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = "tlsv1.3",
							       .server_options = text });
			assert_int_equal(pair_connect(&pair), 0);
			/* The server's program writes nothing: it closes. */
			sluice_close(pair.server);
			pair.server = NULL;
			assert_int_equal(sluice_recv(pair.client, &byte, 1, RUN_MS),
					 -SLUICE_E_CLOSED);
			assert_int_equal(check_info(pair.client).tickets, count);
			assert_int_equal(sluice_take_session(pair.client, &session),
					 count ? 0 : -SLUICE_E_UNDEFINED);
			if (count)
				sluice_session_free(session);
			/* It is handed over once. */
			assert_int_equal(sluice_take_session(pair.client, &session),
					 -SLUICE_E_UNDEFINED);
			pair_close(&pair);
		}
	}
}

static void tickets_can_be_off_on_either_side(void **state)
{
	static const char off[] = "session_tickets = disabled\n";
	struct sluice_session *session, *old;
	struct pair pair;
	int side;

	PAIR_FOR_EACH_VERSION(version)
	{
		for (side = 0; side < 2; side++) {
			pair_open(&pair,
				  &(struct pair_setup){ .versions = version,
							.server_options = side ? NULL : off,
							.client_options = side ? off : NULL });
			assert_int_equal(pair_connect(&pair), 0);
			receive_tickets(&pair);
			assert_int_equal(check_info(pair.client).tickets, 0);
			assert_int_equal(sluice_take_session(pair.client, &session),
					 -SLUICE_E_UNDEFINED);
			pair_close(&pair);
		}
		/* A server that had them on a moment ago: the session is not taken, and no harm. */
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		old = first_session(&pair);
		pair_close(&pair);
		pair_open(&pair,
			  &(struct pair_setup){ .versions = version, .server_options = off });
		assert_resumed(&pair, old, false);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

static void RS_31_a_session_that_fails_costs_a_full_handshake(void **state)
{
	struct sluice_session *session;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		session = first_session(&pair);
		pair_close(&pair);
		/* The same server after a restart has other ticket keys. */
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		assert_resumed(&pair, session, false);
		assert_true(check_info(pair.client).peer_verified);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

static void a_session_of_another_version_is_not_resumed(void **state)
{
	struct sluice_session *session;
	struct sluice_profile *both;
	struct pair pair;
	char text[400];

	/* Made under TLS 1.2 by a server that speaks 1.3 as well now. */
	pair_open(&pair, &(struct pair_setup){ .client_options = "versions = tlsv1.2\n" });
	session = first_session(&pair);
	snprintf(text, sizeof(text), "cacertfile = %s\nserver_name_indication = localhost\n",
		 certs_get()->ca);
	both = pair.client_profile;
	pair.client_profile = pair_profile(SLUICE_CLIENT, text);
	sluice_profile_unref(both);
	assert_int_equal(pair_resume(&pair, session), 0);
	sluice_session_free(session);
	assert_int_equal(check_info(pair.client).version, TLS13);
	assert_false(check_info(pair.client).resumed);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

/* --- sessions and verdicts --------------------------------------------------------------- */

/* Makes a session under @before and offers it under @after: both have to judge the server. */
static void expect_judged_again(const char *version, const char *before, const char *after,
				int result)
{
	struct sluice_session *session;
	struct pair pair;
	char text[600];

	pair_open(&pair, &(struct pair_setup){ .versions = version });
	sluice_profile_unref(pair.client_profile);
	snprintf(text, sizeof(text), "versions = %s\n%s", version, before);
	pair.client_profile = pair_profile(SLUICE_CLIENT, text);
	session = first_session(&pair);
	sluice_profile_unref(pair.client_profile);
	snprintf(text, sizeof(text), "versions = %s\n%s", version, after);
	pair.client_profile = pair_profile(SLUICE_CLIENT, text);
	pair_resume(&pair, session);
	sluice_session_free(session);
	assert_int_equal(pair.client_result, result);
	if (result == 0) {
		assert_true(check_info(pair.client).peer_verified);
		assert_false(check_info(pair.client).resumed);
	}
	pair_close(&pair);
}

/* A session stands for the verdict of its first handshake: under other rules it is not offered. */
static void a_session_is_no_way_around_verification(void **state)
{
	const struct certs *certs = certs_get();
	char unverified[300], verified[300], other_ca[300], other_name[300];

	snprintf(unverified, sizeof(unverified),
		 "verify = verify_none\nserver_name_indication = localhost\n");
	snprintf(verified, sizeof(verified),
		 "cacertfile = %s\nserver_name_indication = localhost\n", certs->ca);
	snprintf(other_ca, sizeof(other_ca),
		 "cacertfile = %s\nserver_name_indication = localhost\n", certs->other_ca);
	snprintf(other_name, sizeof(other_name),
		 "cacertfile = %s\nserver_name_indication = elsewhere.test\n", certs->ca);
	PAIR_FOR_EACH_VERSION(version)
	{
		expect_judged_again(version, unverified, verified, 0);
		expect_judged_again(version, unverified, other_ca, -SLUICE_E_VERIFY);
		expect_judged_again(version, verified, other_ca, -SLUICE_E_VERIFY);
		expect_judged_again(version, verified, other_name, -SLUICE_E_HOSTNAME);
	}
}

/* The same profile in other words: what says nothing about verification is no reason. */
static void other_options_do_not_keep_a_session_from_resuming(void **state)
{
	struct sluice_session *session;
	struct sluice_options *extra;
	struct pair pair;
	char text[600];

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		session = first_session(&pair);
		sluice_profile_unref(pair.client_profile);
		snprintf(text, sizeof(text),
			 "versions = %s\ncacertfile = %s\nserver_name_indication = localhost\n"
			 "handshake = hello\nhandshake_timeout = 5000\n",
			 version, certs_get()->ca);
		pair.client_profile = pair_profile(SLUICE_CLIENT, text);
		pair_start(&pair, session);
		sluice_session_free(session);
		pause_run(&pair, SLUICE_CLIENT);
		/* Nor does an option that is set during the pause. */
		extra = check_options("record_path = user\n");
		pair.client_result = sluice_handshake_continue(pair.client, extra, SLUICE_NOWAIT);
		sluice_options_free(extra);
		assert_int_equal(pair_run(&pair), 0);
		assert_true(check_info(pair.client).resumed);
		assert_true(check_info(pair.client).peer_verified);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* A server that asks this client for a certificate does not take a ticket of the time before. */
static void SV_19_a_ticket_is_no_way_around_client_certificates(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	char text[400];

	snprintf(text, sizeof(text),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n",
		 certs_get()->ca);
	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .versions = version, .server_options = PAUSE });
		pair_start(&pair, NULL);
		pause_run(&pair, SLUICE_SERVER);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
		session = take(&pair);
		pair_drop(&pair);

		pair_start(&pair, session);
		pause_run(&pair, SLUICE_SERVER);
		pause_continue(&pair, SLUICE_SERVER, text);
		assert_int_equal(pair.server_result, -SLUICE_E_NO_PEERCERT);
		pair_drop(&pair);

		/* Nor does one host's ticket serve under another host's certificate. */
		pair_start(&pair, session);
		pause_run(&pair, SLUICE_SERVER);
		snprintf(text, sizeof(text), "certfile = %s\nkeyfile = %s\n",
			 certs_get()->server_ed25519, certs_get()->server_ed25519_key);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, text), 0);
		assert_false(check_info(pair.server).resumed);
		pair_drop(&pair);

		/* With the options as they were, it does. */
		pair_start(&pair, session);
		pause_run(&pair, SLUICE_SERVER);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
		assert_true(check_info(pair.server).resumed);
		sluice_session_free(session);
		pair_close(&pair);
		snprintf(text, sizeof(text),
			 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n",
			 certs_get()->ca);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(RS_30_a_session_resumes_and_keeps_the_identity),
		cmocka_unit_test(SV_07_RS_30_a_resumed_client_is_still_who_it_was),
		cmocka_unit_test(RS_11_every_one_of_a_thousand_resumes),
		cmocka_unit_test(RS_18_tickets_follow_the_handshake),
		cmocka_unit_test(tickets_can_be_off_on_either_side),
		cmocka_unit_test(RS_31_a_session_that_fails_costs_a_full_handshake),
		cmocka_unit_test(a_session_of_another_version_is_not_resumed),
		cmocka_unit_test(a_session_is_no_way_around_verification),
		cmocka_unit_test(other_options_do_not_keep_a_session_from_resuming),
		cmocka_unit_test(SV_19_a_ticket_is_no_way_around_client_certificates),
	};

	return cmocka_run_group_tests_name("flow/session", tests, leaks_setup, leaks_teardown);
}
