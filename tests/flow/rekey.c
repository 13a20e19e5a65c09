/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key updates of live connections: our own, the peer's, both, many; with data around them; against
 * another end of ours and against BoringSSL; and where the version or the kernel has none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conn/rio.h"
#include "support/check.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/old_kernel.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/tcp.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define EPOCHS 20
#define KEY_UPDATE "\x18\0\0\1"
#define REQUESTED "\1"
#define NOT_REQUESTED "\0"

/* Whether connections on this path can change their keys; the kernel path is the kernel's to say. */
static bool can_rekey(const struct pair *pair, const char *path)
{
	struct sluice_capabilities caps;

	assert_int_equal(sluice_capabilities(pair->sluice, &caps, sizeof(caps)), 0);
	return strcmp(path, "kernel") != 0 || (!caps.rekey_tx_errno && !caps.rekey_rx_errno);
}

#define FOR_EACH_REKEYING_PATH(pair) \
	PAIR_FOR_EACH_PATH(path)     \
	for (bool once = open_rekeying(pair, path); once; once = (pair_close(pair), false))

/* Opens a pair and connects it; false, with nothing open, where keys cannot change. */
static bool open_rekeying(struct pair *pair, const char *path)
{
	pair_open(pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.3" });
	assert_int_equal(pair_connect(pair), 0);
	if (can_rekey(pair, path))
		return true;
	pair_close(pair);
	return false;
}

static void assert_epochs(const struct sluice_conn *conn, uint64_t tx, uint64_t rx)
{
	struct sluice_conn_info info = check_info(conn);

	assert_int_equal(info.tx.epoch, tx);
	assert_int_equal(info.rx.epoch, rx);
}

/* One byte over: the receiver has seen whatever came before it. */
static void one_byte(struct sluice_conn *from, struct sluice_conn *to)
{
	uint8_t byte = 0;

	assert_int_equal(sluice_send(from, "b", 1, RUN_MS), 1);
	assert_int_equal(sluice_recv(to, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, 'b');
}

static void KY_11_our_sending_key_changes_alone(void **state)
{
	struct sluice_conn *self, *other;
	struct pair pair;
	uint64_t i;
	int role;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		for (role = 0; role < 2; role++) {
			self = role ? pair.server : pair.client;
			other = role ? pair.client : pair.server;
			for (i = 1; i <= EPOCHS; i++) {
				assert_int_equal(sluice_update_keys(self, 0, RUN_MS), 0);
				assert_int_equal(check_info(self).tx.records, 0);
				one_byte(self, other);
				one_byte(other, self);
				assert_epochs(self, i, role ? EPOCHS : 0);
				assert_epochs(other, role ? EPOCHS : 0, i);
			}
		}
		pair_exchange(&pair, 100000);
	}
}

static void KY_12_both_keys_change_on_request(void **state)
{
	struct sluice_conn *self, *other;
	struct pair pair;
	uint64_t i;
	int role;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		for (i = 1; i <= EPOCHS; i++) {
			role = i % 2;
			self = role ? pair.server : pair.client;
			other = role ? pair.client : pair.server;
			assert_int_equal(sluice_update_keys(self, 1, RUN_MS), 0);
			assert_epochs(self, i, i - 1);
			one_byte(self, other);
			assert_epochs(other, i - 1, i); /* it owes an answer, */
			one_byte(other, self);
			assert_epochs(other, i, i); /* which goes before its next data */
			assert_epochs(self, i, i);
			pair_exchange(&pair, 40000);
		}
	}
}

/* Both ask at once: each answers the other's request as well. */
static void KY_12_requests_that_cross(void **state)
{
	struct pair pair;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), 0);
		assert_int_equal(sluice_update_keys(pair.server, 1, RUN_MS), 0);
		pair_exchange(&pair, 40000);
		pair_exchange(&pair, 40000);
		assert_epochs(pair.client, 2, 2);
		assert_epochs(pair.server, 2, 2);
	}
}

/* Reads the pattern of full_fill() at the server while the client sends what has found no room. */
static void drain(struct pair *pair, size_t filled)
{
	static uint8_t in[FULL_PIECE], expected[FULL_PIECE];
	size_t got = 0;
	ssize_t n = 0;
	int r;

	do {
		r = sluice_conn_dispatch(pair->client);
		assert_true(r == 0 || r == -SLUICE_E_AGAIN);
		while (got < filled &&
		       (n = sluice_recv(pair->server, in, sizeof(in), SLUICE_NOWAIT)) > 0) {
			pair_pattern(expected, n, got);
			assert_memory_equal(in, expected, n);
			got += n;
		}
		assert_true(got == filled || n == -SLUICE_E_AGAIN);
	} while (got < filled || r == -SLUICE_E_AGAIN);
	assert_int_equal(got, filled);
}

/* No data between the message and the new key, also when the socket has no room for it. */
static void KY_11_an_update_waits_behind_what_was_accepted(void **state)
{
	struct pair pair;
	size_t filled;
	int i;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		filled = full_fill(pair.client);
		assert_int_equal(sluice_update_keys(pair.client, 0, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(check_info(pair.client).tx.epoch, 0);
		assert_int_equal(sluice_send(pair.client, "x", 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
		/* One update that waits serves all who want one. */
		for (i = 0; i < 100; i++)
			assert_int_equal(sluice_update_keys(pair.client, 0, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
		drain(&pair, filled);
		one_byte(pair.client, pair.server);
		assert_epochs(pair.client, 1, 0);
		assert_epochs(pair.server, 0, 1);
		pair_exchange(&pair, 40000);
	}
}

/* A ring has a send under way when the daemon asks for new keys: it is sent once, and the message behind it. */
static void KY_11_an_update_waits_for_a_send_in_flight(void **state)
{
	struct msghdr *msg;
	struct pair pair;
	char buf[100];

	FOR_EACH_REKEYING_PATH(&pair)
	{
		assert_int_equal(rio_send_prep(pair.client, "in flight", 9, &msg), 9);
		assert_int_equal(sluice_update_keys(pair.client, 0, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(rio_send_done(pair.client,
					       sendmsg(sluice_conn_fd(pair.client), msg, 0)),
				 9);
		assert_int_equal(sluice_recv(pair.server, buf, sizeof(buf), RUN_MS), 9);
		assert_memory_equal(buf, "in flight", 9);
		assert_epochs(pair.client, 0, 0);
		one_byte(pair.client, pair.server);
		assert_epochs(pair.client, 1, 0);
		pair_exchange(&pair, 40000);
	}
}

/* --- against BoringSSL -------------------------------------------------------------------- */

/* Lets BoringSSL read what has come, up to one byte of data. Returns whether there was one. */
static bool bssl_reads(struct peer *peer)
{
	uint8_t byte = 0;

	peer_receive(peer);
	if (peer->in_len)
		assert_int_equal(BIO_write(SSL_get_rbio(peer->ssl), peer->in, peer->in_len),
				 peer->in_len);
	peer->in_len = 0;
	if (SSL_read(peer->ssl, &byte, 1) != 1)
		return false;
	assert_int_equal(byte, 'b');
	return true;
}

static void bssl_sends(struct peer *peer)
{
	uint8_t byte = 0;

	assert_int_equal(SSL_write(peer->ssl, "b", 1), 1);
	peer_flush(peer);
	assert_int_equal(sluice_recv(peer->conn, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, 'b');
}

static void bssl_receives(struct peer *peer)
{
	assert_int_equal(sluice_send(peer->conn, "b", 1, RUN_MS), 1);
	while (!bssl_reads(peer))
		tcp_wait(peer->fd);
}

static void KY_11_KY_12_KY_13_updates_with_another_implementation(void **state)
{
	static const enum sluice_role roles[] = { SLUICE_CLIENT, SLUICE_SERVER };
	struct pair pair;
	struct peer peer;
	uint64_t i;
	size_t r;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		for (r = 0; r < ARRAY_SIZE(roles); r++) {
			peer_open(&peer, &pair, roles[r]);
			peer_ssl(&peer, TLS13, NULL);
			peer_handshake(&peer);
			assert_int_equal(peer.result, 0);
			for (i = 1; i <= EPOCHS; i++) {
				/* Ours, with an answer; then the peer's, with ours. */
				assert_int_equal(sluice_update_keys(peer.conn, 1, RUN_MS), 0);
				bssl_receives(&peer);
				bssl_sends(&peer);
				assert_epochs(peer.conn, 2 * i - 1, 2 * i - 1);
				assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED),
						 1);
				bssl_sends(&peer);
				bssl_receives(&peer);
				assert_epochs(peer.conn, 2 * i, 2 * i);
			}
			assert_int_equal(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
			bssl_sends(&peer);
			assert_epochs(peer.conn, 2 * EPOCHS, 2 * EPOCHS + 1);
			peer_close(&peer);
		}
	}
}

/* A KeyUpdate in the same segment as data of both epochs, and in the same read. */
static void KY_13_a_new_epoch_in_the_middle_of_a_segment(void **state)
{
	static uint8_t wire[PEER_BUFFER];
	struct pair pair;
	struct peer peer;
	uint8_t buf[100];
	size_t len;
	int i;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		for (i = 1; i <= EPOCHS; i++) {
			len = peer_seal(&peer.tx, RECORD_DATA, "old ", 4, 0, wire);
			len += peer_seal(&peer.tx, RECORD_HANDSHAKE, KEY_UPDATE NOT_REQUESTED, 5, 0,
					 wire + len);
			peer_next_epoch(&peer.tx);
			len += peer_seal(&peer.tx, RECORD_DATA, "new", 3, 0, wire + len);
			peer_send(&peer, wire, len);
			assert_int_equal(sluice_recv_exact(peer.conn, buf, 7, RUN_MS), 7);
			assert_memory_equal(buf, "old new", 7);
			assert_epochs(peer.conn, 0, i);
		}
		peer_close(&peer);
	}
}

/* New keys cost us work, and the peer nothing: there is an end to those that come to no purpose. */
static void KY_13_too_many_updates_in_a_row(void **state)
{
	struct pair pair;
	struct peer peer;
	uint8_t byte;
	int i, row;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		for (row = 0; row < 2; row++) {
			for (i = 0; i < CONTROL_MAX_REQUESTS; i++) {
				peer_send_record(&peer, RECORD_HANDSHAKE, KEY_UPDATE NOT_REQUESTED,
						 5);
				peer_next_epoch(&peer.tx);
			}
			peer_send_record(&peer, RECORD_DATA, "b", 1);
			assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), 1);
		}
		for (i = 0; i <= CONTROL_MAX_REQUESTS; i++) {
			peer_send_record(&peer, RECORD_HANDSHAKE, KEY_UPDATE NOT_REQUESTED, 5);
			peer_next_epoch(&peer.tx);
		}
		assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_PROTOCOL);
		check_error(peer.conn, SLUICE_E_PROTOCOL,
			    ALERT_SENT(SLUICE_ALERT_UNEXPECTED_MESSAGE));
		peer_expect_alert(&peer, ALERT_LEVEL_FATAL, SLUICE_ALERT_UNEXPECTED_MESSAGE);
		peer_close(&peer);
	}
}

static void KY_03_the_limits_are_options(void **state)
{
	static const char *const options[] = { "limit_key_updates = 3",
					       "limit_control_records = 3" };
	struct pair pair;
	struct peer peer;
	uint8_t byte;
	size_t i;
	int n;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = "tlsv1.3",
							       .server_options = options[i] });
			assert_int_equal(pair_connect(&pair), 0);
			if (!can_rekey(&pair, path)) {
				pair_close(&pair);
				continue;
			}
			peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
			for (n = 0; n < 4; n++) {
				peer_send_record(&peer, RECORD_HANDSHAKE, KEY_UPDATE NOT_REQUESTED,
						 5);
				peer_next_epoch(&peer.tx);
				assert_int_equal(sluice_recv(peer.conn, &byte, 1,
							     n < 3 ? 10 : RUN_MS),
						 n < 3 ? -SLUICE_E_TIMEOUT : -SLUICE_E_PROTOCOL);
			}
			assert_int_equal(check_info(peer.conn).key_updates_received,
					 i == 0 ? 4 : 3);
			peer_expect_alert(&peer, ALERT_LEVEL_FATAL,
					  SLUICE_ALERT_UNEXPECTED_MESSAGE);
			peer_close(&peer);
			pair_close(&pair);
		}
	}
}

/* What was sealed with the old key after the update is not taken for anything. */
static void KY_13_a_record_of_the_old_epoch_does_not_decrypt(void **state)
{
	struct pair pair;
	struct peer peer;
	uint8_t byte;

	FOR_EACH_REKEYING_PATH(&pair)
	{
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		peer_send_record(&peer, RECORD_HANDSHAKE, KEY_UPDATE NOT_REQUESTED, 5);
		peer_send_record(&peer, RECORD_DATA, "old", 3);
		assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS),
				 -SLUICE_E_BAD_RECORD_MAC);
		check_error(peer.conn, SLUICE_E_BAD_RECORD_MAC,
			    ALERT_SENT(SLUICE_ALERT_BAD_RECORD_MAC));
		peer_expect_alert(&peer, ALERT_LEVEL_FATAL, SLUICE_ALERT_BAD_RECORD_MAC);
		peer_close(&peer);
	}
}

/* --- where there is none ------------------------------------------------------------------ */

static void KY_14_tls12_has_no_key_update(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.2" });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_update_keys(pair.client, 0, RUN_MS), -SLUICE_E_UNDEFINED);
		assert_int_equal(sluice_update_keys(pair.server, 1, RUN_MS), -SLUICE_E_UNDEFINED);
		pair_exchange(&pair, 40000);
		pair_close(&pair);
	}
}

static void KY_11_not_before_the_handshake_and_not_after_the_end(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .versions = "tlsv1.3" });
	pair_start(&pair, NULL);
	assert_int_equal(sluice_update_keys(pair.client, 0, RUN_MS), -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(pair_run(&pair), 0);
	assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, RUN_MS), 0);
	assert_int_equal(sluice_update_keys(pair.client, 0, RUN_MS), -SLUICE_E_CLOSED);
	pair_close(&pair);
}

static void KY_14_a_kernel_without_rekey_says_so_before_anything_is_sent(void **state)
{
	struct pair pair;
	uint64_t records;

	if (!old_kernel_begin(&pair, NULL))
		skip();
	assert_int_equal(pair_connect(&pair), 0);
	pair_exchange(&pair, 40000);
	records = check_info(pair.client).tx.records;
	assert_int_equal(sluice_update_keys(pair.client, 0, RUN_MS), -SLUICE_E_REKEY);
	assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), -SLUICE_E_REKEY);
	assert_int_equal(check_info(pair.client).tx.records, records);
	assert_epochs(pair.client, 0, 0);
	pair_exchange(&pair, 40000);
	assert_epochs(pair.server, 0, 0);
	pair_close(&pair);
	old_kernel_end();
}

static void KY_13_AL_30_an_update_that_a_kernel_cannot_follow(void **state)
{
	static const char *const messages[] = { KEY_UPDATE NOT_REQUESTED, KEY_UPDATE REQUESTED };
	struct pair pair;
	struct peer peer;
	uint8_t buf[16];
	size_t i;

	if (!old_kernel_begin(&pair, NULL))
		skip();
	assert_int_equal(pair_connect(&pair), 0);
	for (i = 0; i < ARRAY_SIZE(messages); i++) {
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		peer_send_record(&peer, RECORD_DATA, "before", 6);
		peer_send_record(&peer, RECORD_HANDSHAKE, messages[i], 5);
		assert_int_equal(sluice_recv_exact(peer.conn, buf, 6, RUN_MS), 6);
		assert_int_equal(sluice_recv(peer.conn, buf, 1, RUN_MS), -SLUICE_E_REKEY);
		check_error(peer.conn, SLUICE_E_REKEY, ALERT_SENT(SLUICE_ALERT_INTERNAL_ERROR));
		peer_expect_alert(&peer, ALERT_LEVEL_FATAL, SLUICE_ALERT_INTERNAL_ERROR);
		assert_int_equal(peer_close_conn(&peer), 0);
		peer_expect_end(&peer, PEER_FIN, NULL, 0);
		peer_close(&peer);
		pair_exchange(&pair, 100);
	}
	pair_close(&pair);
	old_kernel_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KY_11_our_sending_key_changes_alone),
		cmocka_unit_test(KY_12_both_keys_change_on_request),
		cmocka_unit_test(KY_12_requests_that_cross),
		cmocka_unit_test(KY_11_an_update_waits_behind_what_was_accepted),
		cmocka_unit_test(KY_11_an_update_waits_for_a_send_in_flight),
		cmocka_unit_test(KY_11_KY_12_KY_13_updates_with_another_implementation),
		cmocka_unit_test(KY_13_a_new_epoch_in_the_middle_of_a_segment),
		cmocka_unit_test(KY_13_too_many_updates_in_a_row),
		cmocka_unit_test(KY_03_the_limits_are_options),
		cmocka_unit_test(KY_13_a_record_of_the_old_epoch_does_not_decrypt),
		cmocka_unit_test(KY_14_tls12_has_no_key_update),
		cmocka_unit_test(KY_11_not_before_the_handshake_and_not_after_the_end),
		cmocka_unit_test(KY_14_a_kernel_without_rekey_says_so_before_anything_is_sent),
		cmocka_unit_test(KY_13_AL_30_an_update_that_a_kernel_cannot_follow),
	};

	return cmocka_run_group_tests_name("flow/rekey", tests, leaks_setup, leaks_teardown);
}
