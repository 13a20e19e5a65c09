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

static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };

#define FOR_EACH_VERSION(version)                              \
	for (size_t version_i = 0; version_i < 2; version_i++) \
		for (const char *version = versions[version_i]; version; version = NULL)

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

	FOR_EACH_VERSION(version)
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
	FOR_EACH_VERSION(version)
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

static void every_one_of_a_thousand_resumes(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	unsigned int i;

	FOR_EACH_VERSION(version)
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
	static const char off[] = "session_tickets = false\n";
	struct sluice_session *session, *old;
	struct pair pair;
	int side;

	FOR_EACH_VERSION(version)
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

	FOR_EACH_VERSION(version)
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
	FOR_EACH_VERSION(version)
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

	FOR_EACH_VERSION(version)
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
	FOR_EACH_VERSION(version)
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

/* --- tickets on the wire ----------------------------------------------------------------- */

/*
 * The plaintext of the tickets that a server sends after its handshake. The sequence number is as
 * if they had not been sent.
 */
static size_t ticket_messages(struct peer *peer, uint8_t *out)
{
	const struct suite *suite;
	const uint8_t *record;
	uint8_t nonce[12];
	size_t len, out_len, i;

	peer_take_keys(peer);
	assert_int_equal(SSL_write(peer->ssl, "", 0), 0);
	record = peer_output(peer, &len);
	suite = peer->tx.suite;
	assert_true(suite && len > RECORD_HEADER_LEN);
	memcpy(nonce, peer->tx.iv, sizeof(nonce));
	for (i = 0; i < 8; i++)
		nonce[11 - i] ^= (uint8_t)(peer->tx.seq >> (8 * i));
	assert_int_equal(EVP_AEAD_CTX_open(peer->tx.aead, out, &out_len, RECORD_MAX_PLAIN, nonce,
					   sizeof(nonce), record + RECORD_HEADER_LEN,
					   len - RECORD_HEADER_LEN, record, RECORD_HEADER_LEN),
			 1);
	assert_int_equal(BIO_reset(SSL_get_wbio(peer->ssl)), 1);
	assert_int_equal(out[out_len - 1], RECORD_HANDSHAKE);
	return out_len - 1;
}

static void assert_tickets(struct peer *peer, uint64_t expected)
{
	uint8_t byte = 0;

	peer_send_record(peer, RECORD_DATA, "d", 1);
	assert_int_equal(sluice_recv(peer->conn, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, 'd');
	assert_int_equal(check_info(peer->conn).tickets, expected);
}

static void tickets_split_and_joined_in_any_way(void **state)
{
	static uint8_t messages[RECORD_MAX_PLAIN];
	struct sluice_session *session;
	uint64_t tickets = 0;
	struct pair pair;
	struct peer peer;
	size_t len, cut;

	PAIR_FOR_EACH_PATH(path)
	{
		tickets = 0;
		pair_open(&pair, &(struct pair_setup){ .path = path });
		peer_open(&peer, &pair, SLUICE_SERVER);
		peer_ssl(&peer, TLS13, NULL);
		peer_handshake(&peer);
		assert_int_equal(peer.result, 0);
		len = ticket_messages(&peer, messages);
		assert_true(len > 100);

		/* All in one record, as BoringSSL sends them. */
		peer_send_record(&peer, RECORD_HANDSHAKE, messages, len);
		assert_tickets(&peer, tickets += 2);
		/* Two records, cut at every byte. */
		for (cut = 1; cut < len; cut++) {
			peer_send_record(&peer, RECORD_HANDSHAKE, messages, cut);
			peer_send_record(&peer, RECORD_HANDSHAKE, messages + cut, len - cut);
			tickets += 2;
		}
		assert_tickets(&peer, tickets);
		/* A record for every byte. */
		for (cut = 0; cut < len; cut++)
			peer_send_record(&peer, RECORD_HANDSHAKE, messages + cut, 1);
		assert_tickets(&peer, tickets += 2);
		/* Four in one record. */
		memcpy(messages + len, messages, len);
		peer_send_record(&peer, RECORD_HANDSHAKE, messages, 2 * len);
		assert_tickets(&peer, tickets += 4);

		assert_int_equal(sluice_take_session(peer.conn, &session), 0);
		sluice_session_free(session);
		peer_close(&peer);
		pair_close(&pair);
	}
}

/* A ticket that says nothing sensible to BoringSSL costs a later full handshake, no more. */
static void a_ticket_that_cannot_be_used_is_dropped(void **state)
{
	/* RFC 8446, 4.6.1, with an early_data extension that is too short. */
	static const uint8_t ticket[] = { 4, 0, 0, 20,  0, 0, 1, 0,  0, 0, 0, 0,
					  0, 0, 1, 't', 0, 6, 0, 42, 0, 2, 0, 1 };
	struct sluice_session *session;
	struct pair pair;
	struct peer peer;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		peer_open(&peer, &pair, SLUICE_SERVER);
		peer_ssl(&peer, TLS13, NULL);
		peer_handshake(&peer);
		peer_take_keys(&peer);
		peer_send_record(&peer, RECORD_HANDSHAKE, ticket, sizeof(ticket));
		assert_tickets(&peer, 0);
		assert_int_equal(sluice_take_session(peer.conn, &session), -SLUICE_E_UNDEFINED);
		peer_close(&peer);
		pair_close(&pair);
	}
}

/* The server says what it is told of early data: that none was offered. */
static void RS_29_a_client_offers_no_early_data(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	struct peer peer;
	SSL_CTX *ctx;
	uint8_t byte;

	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_SERVER);
	peer_ssl(&peer, TLS13, NULL);
	SSL_set_early_data_enabled(peer.ssl, 1);
	peer_handshake(&peer);
	assert_int_equal(SSL_write(peer.ssl, "d", 1), 1);
	peer_flush(&peer);
	assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), 1);
	assert_int_equal(sluice_take_session(peer.conn, &session), 0);
	ctx = peer.ctx;
	SSL_CTX_up_ref(ctx);
	peer_close(&peer);

	peer_open_offered(&peer, &pair, session);
	sluice_session_free(session);
	peer_ssl_again(&peer, ctx);
	SSL_set_early_data_enabled(peer.ssl, 1);
	peer_handshake(&peer);
	assert_int_equal(peer.result, 0);
	assert_true(check_info(peer.conn).resumed);
	assert_int_equal(SSL_get_early_data_reason(peer.ssl), ssl_early_data_peer_declined);
	peer_close(&peer);
	pair_close(&pair);
}

static SSL_SESSION *newest;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(newest);
	newest = session;
	return 1;
}

static void RS_29_a_server_offers_no_early_data(void **state)
{
	struct pair pair;
	struct peer peer;

	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	SSL_CTX_set_session_cache_mode(peer.ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(peer.ctx, on_session);
	peer_handshake(&peer);
	assert_int_equal(peer.result, 0);
	while (!newest)
		peer_step(&peer);
	assert_false(SSL_SESSION_early_data_capable(newest));
	SSL_SESSION_free(newest);
	newest = NULL;
	peer_close(&peer);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(RS_30_a_session_resumes_and_keeps_the_identity),
		cmocka_unit_test(SV_07_RS_30_a_resumed_client_is_still_who_it_was),
		cmocka_unit_test(every_one_of_a_thousand_resumes),
		cmocka_unit_test(RS_18_tickets_follow_the_handshake),
		cmocka_unit_test(tickets_can_be_off_on_either_side),
		cmocka_unit_test(RS_31_a_session_that_fails_costs_a_full_handshake),
		cmocka_unit_test(a_session_of_another_version_is_not_resumed),
		cmocka_unit_test(a_session_is_no_way_around_verification),
		cmocka_unit_test(other_options_do_not_keep_a_session_from_resuming),
		cmocka_unit_test(SV_19_a_ticket_is_no_way_around_client_certificates),
		cmocka_unit_test(tickets_split_and_joined_in_any_way),
		cmocka_unit_test(a_ticket_that_cannot_be_used_is_dropped),
		cmocka_unit_test(RS_29_a_client_offers_no_early_data),
		cmocka_unit_test(RS_29_a_server_offers_no_early_data),
	};

	return cmocka_run_group_tests_name("flow/session", tests, leaks_setup, leaks_teardown);
}
