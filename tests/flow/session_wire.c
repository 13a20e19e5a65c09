/* SPDX-License-Identifier: Apache-2.0 */
/* Tickets as they come over the wire: split, joined, unusable; and early data, which is off. */
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

#define RUN_MS 20000

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

static void RS_11_tickets_split_and_joined_in_any_way(void **state)
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
		cmocka_unit_test(RS_11_tickets_split_and_joined_in_any_way),
		cmocka_unit_test(a_ticket_that_cannot_be_used_is_dropped),
		cmocka_unit_test(RS_29_a_client_offers_no_early_data),
		cmocka_unit_test(RS_29_a_server_offers_no_early_data),
	};

	return cmocka_run_group_tests_name("flow/session_wire", tests, leaks_setup, leaks_teardown);
}
