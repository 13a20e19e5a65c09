/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that change by themselves: after so many bytes or records, and what happens where a key has
 * sealed all it may and cannot change. Limits are set small by options; their defaults are checked
 * by their arithmetic.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "record/ktls.h"
#include "support/check.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/old_kernel.h"
#include "support/pair.h"
#include "support/peer.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define LEN 200000
#define AT 30000   /* bytes */
#define RECORDS 10 /* of whatever length */
#define UPDATES ((LEN - 1) / AT)
#define KEY_UPDATE "\x18\0\0\1"
#define REQUESTED "\1"

#define FOR_EACH_REKEYING_PATH(pair, options) \
	PAIR_FOR_EACH_PATH(path)              \
	for (bool once = open_rekeying(pair, path, options); once; once = (pair_close(pair), false))

/* Opens a pair and connects it; false, with nothing open, where keys cannot change. */
static bool open_rekeying(struct pair *pair, const char *path, const char *options)
{
	pair_open(pair, &(struct pair_setup){ .path = path,
					      .versions = "tlsv1.3",
					      .server_options = options,
					      .client_options = options });
	assert_int_equal(pair_connect(pair), 0);
	if (check_info(pair->client).can_rekey)
		return true;
	pair_close(pair);
	return false;
}

static void assert_updates(const struct sluice_conn *from, const struct sluice_conn *to,
			   enum sluice_rekey_cause cause, uint64_t n)
{
	struct sluice_conn_info info = check_info(from);
	int i;

	assert_int_equal(info.tx.epoch, n);
	assert_int_equal(check_info(to).rx.epoch, n);
	for (i = 0; i < SLUICE_REKEY_CAUSES; i++)
		assert_int_equal(info.rekeys[i], i == (int)cause ? n : 0);
}

static void receive_pattern(struct sluice_conn *conn, size_t len)
{
	static uint8_t in[LEN], expected[LEN];

	assert_int_equal(sluice_recv_exact(conn, in, len, RUN_MS), len);
	pair_pattern(expected, len, 0);
	assert_memory_equal(in, expected, len);
}

static ssize_t by_send(struct sluice_conn *conn, const uint8_t *buf, int file)
{
	return sluice_send(conn, buf, LEN, RUN_MS);
}

static ssize_t by_sendv(struct sluice_conn *conn, const uint8_t *buf, int file)
{
	struct iovec iov[] = { { (void *)buf, AT - 1 },
			       { (void *)(buf + AT - 1), 2 },
			       { (void *)(buf + AT + 1), LEN - AT - 1 } };

	return sluice_sendv(conn, iov, ARRAY_SIZE(iov), RUN_MS);
}

static ssize_t by_sendfile(struct sluice_conn *conn, const uint8_t *buf, int file)
{
	off_t offset = 0;
	ssize_t n = sluice_sendfile(conn, file, &offset, LEN, RUN_MS);

	assert_int_equal(offset, LEN);
	return n;
}

static void KY_08_KY_10_after_so_many_bytes(void **state)
{
	ssize_t (*const sends[])(struct sluice_conn *, const uint8_t *, int) = { by_send, by_sendv,
										 by_sendfile };
	static uint8_t out[LEN];
	char name[] = "/tmp/sluice-rekey-XXXXXX";
	int file = mkstemp(name);
	struct pair pair;
	size_t i;

	pair_pattern(out, LEN, 0);
	assert_true(file >= 0);
	assert_int_equal(write(file, out, LEN), LEN);
	for (i = 0; i < ARRAY_SIZE(sends); i++) {
		FOR_EACH_REKEYING_PATH(&pair, "key_update_at = 30000")
		{
			assert_int_equal(sends[i](pair.client, out, file), LEN);
			receive_pattern(pair.server, LEN);
			assert_updates(pair.client, pair.server, SLUICE_REKEY_BYTES, UPDATES);
			assert_int_equal(sends[i](pair.server, out, file), LEN);
			receive_pattern(pair.client, LEN);
			assert_updates(pair.server, pair.client, SLUICE_REKEY_BYTES, UPDATES);
		}
	}
	close(file);
	unlink(name);
}

/* A client's first record number is not 0 where it has sent something before: the Finished. */
static void KY_10_after_so_many_records(void **state)
{
	struct pair pair;
	uint8_t byte;
	int i;

	FOR_EACH_REKEYING_PATH(&pair, "key_update_records = 10")
	{
		for (i = 1; i <= 5 * RECORDS; i++) {
			assert_int_equal(sluice_send(pair.client, "x", 1, RUN_MS), 1);
			assert_int_equal(sluice_recv(pair.server, &byte, 1, RUN_MS), 1);
			assert_in_range(check_info(pair.client).tx.records, 1, RECORDS);
			assert_int_equal(check_info(pair.client).tx.epoch, (i - 1) / RECORDS);
		}
		assert_updates(pair.client, pair.server, SLUICE_REKEY_RECORDS, 4);
	}
}

/* One call with more bytes than the key's records can hold does not overrun them. */
static void KY_10_a_send_of_more_than_a_key_may_seal(void **state)
{
	static uint8_t out[3 * 16384 * 2];
	static uint8_t in[sizeof(out)];
	struct pair pair;

	pair_pattern(out, sizeof(out), 0);
	FOR_EACH_REKEYING_PATH(&pair, "key_update_records = 2")
	{
		assert_int_equal(sluice_send(pair.client, out, sizeof(out), RUN_MS), sizeof(out));
		assert_int_equal(sluice_recv_exact(pair.server, in, sizeof(in), RUN_MS),
				 sizeof(in));
		assert_memory_equal(in, out, sizeof(out));
		assert_updates(pair.client, pair.server, SLUICE_REKEY_RECORDS, 2);
	}
}

/* The kernel makes smaller records than the estimate thinks; it is asked in time. */
static void the_kernels_own_count_decides(void **state)
{
	struct pair pair;
	uint8_t byte;
	int i;

	FOR_EACH_REKEYING_PATH(&pair, "key_update_records = 100")
	{
		if (strcmp(path, "kernel") != 0)
			continue;
		for (i = 0; i < 2; i++) {
			assert_int_equal(sluice_send(pair.client, "x", 1, RUN_MS), 1);
			assert_int_equal(sluice_recv(pair.server, &byte, 1, RUN_MS), 1);
		}
		pair.client->tx->records = 50; /* a wrong estimate */
		assert_int_equal(sluice_send(pair.client, "x", 1, RUN_MS), 1);
		assert_int_equal(sluice_recv(pair.server, &byte, 1, RUN_MS), 1);
		assert_in_range(pair.client->tx->records, 3, 4);
	}
}

/* 2^24.5 full records of 2^14 bytes are 2^38.5 bytes; the square of twice that is 2^79. */
static void KY_09_the_defaults(void **state)
{
	struct sluice_option_info at, records;
	uint64_t n;

	assert_int_equal(sluice_option_info(SLUICE_OPT_KEY_UPDATE_AT, &at, sizeof(at)), 0);
	assert_int_equal(
		sluice_option_info(SLUICE_OPT_KEY_UPDATE_RECORDS, &records, sizeof(records)), 0);
	n = strtoull(at.def, NULL, 10);
	assert_int_equal(n, 388736063997);
	assert_int_equal(at.max, n);
	assert_true((unsigned __int128)(2 * n - 1) * (2 * n - 1) < (unsigned __int128)1 << 79);
	assert_true((unsigned __int128)(2 * n + 1) * (2 * n + 1) > (unsigned __int128)1 << 79);
	assert_int_equal(suite_find(0x1301)->record_limit, n >> 14);
	assert_int_equal(suite_find(0x1302)->record_limit, n >> 14);
	assert_int_equal(records.max, n >> 14);
	assert_int_equal(strtoull(records.def, NULL, 10), 1 << 23);
}

/* --- few answers to many questions --------------------------------------------------------- */

static void KY_12_a_second_request_waits_for_the_first_answer(void **state)
{
	struct pair pair;

	FOR_EACH_REKEYING_PATH(&pair, NULL)
	{
		assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), 0);
		assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), 0);
		pair_exchange(&pair, 100);
		assert_int_equal(check_info(pair.client).tx.epoch, 2);
		assert_int_equal(check_info(pair.client).rx.epoch, 1);
		assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), 0);
		pair_exchange(&pair, 100);
		assert_int_equal(check_info(pair.client).rx.epoch, 2);
	}
}

/* However many requests come while we are silent: one answer (RFC 8446, 4.6.3). */
static void KY_13_many_requests_get_one_answer(void **state)
{
	static uint8_t plain[RECORD_MAX_PLAIN];
	struct pair pair;
	struct peer peer;
	uint8_t byte, type;
	int i;

	FOR_EACH_REKEYING_PATH(&pair, NULL)
	{
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		for (i = 0; i < 20; i++) {
			peer_send_record(&peer, RECORD_HANDSHAKE, KEY_UPDATE REQUESTED, 5);
			peer_next_epoch(&peer.tx);
			peer_wait(&peer);
			assert_int_equal(sluice_recv(peer.conn, &byte, 1, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
			assert_int_equal(sluice_conn_events(peer.conn), POLLIN);
		}
		assert_int_equal(check_info(peer.conn).rx.epoch, 20);
		assert_int_equal(check_info(peer.conn).tx.epoch, 0);
		peer_skip_handshake(&peer);
		for (i = 0; i < 3; i++)
			assert_int_equal(sluice_send(peer.conn, "b", 1, RUN_MS), 1);
		assert_int_equal(check_info(peer.conn).rekeys[SLUICE_REKEY_PEER], 1);
		assert_int_equal(peer_next_record(&peer, &type, plain), 5);
		assert_int_equal(type, RECORD_HANDSHAKE);
		assert_memory_equal(plain, KEY_UPDATE "\0", 5);
		peer_next_epoch(&peer.rx);
		for (i = 0; i < 3; i++) {
			assert_int_equal(peer_next_record(&peer, &type, plain), 1);
			assert_int_equal(type, RECORD_DATA);
		}
		peer_close(&peer);
	}
}

/* --- where keys cannot change -------------------------------------------------------------- */

/* Lets @conn's key seal @n records more, then has it say that it is exhausted. */
static void exhaust(struct sluice_conn *conn, struct sluice_conn *other, int n)
{
	struct suite small = *conn->suite;
	uint8_t byte;
	int i;

	small.record_limit = conn->tx->records + n;
	conn->suite = &small;
	for (i = 0; i < n; i++) {
		assert_int_equal(sluice_send(conn, "x", 1, RUN_MS), 1);
		assert_int_equal(sluice_recv(other, &byte, 1, RUN_MS), 1);
	}
	assert_int_equal(sluice_send(conn, "x", 1, RUN_MS), -SLUICE_E_KEY_EXHAUSTED);
	assert_int_equal(sluice_send(conn, "x", 1, RUN_MS), -SLUICE_E_KEY_EXHAUSTED);
	check_error(conn, SLUICE_E_KEY_EXHAUSTED, NO_ALERT);
	assert_int_equal(sluice_recv(other, &byte, 1, RUN_MS), -SLUICE_E_CLOSED);
	assert_int_equal(sluice_send(other, "y", 1, RUN_MS), 1);
	assert_int_equal(sluice_recv(conn, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, 'y');
}

static void KY_07_a_tls12_key_ends_in_order(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.2" });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(check_info(pair.client).can_rekey, 0);
		exhaust(pair.client, pair.server, 50);
		pair_drop(&pair);
		assert_int_equal(pair_connect(&pair), 0);
		exhaust(pair.server, pair.client, 50);
		pair_close(&pair);
	}
}

static void a_key_that_the_kernel_cannot_change_ends_in_order(void **state)
{
	struct pair pair;

	if (!old_kernel_begin(&pair, NULL))
		skip();
	assert_int_equal(pair_connect(&pair), 0);
	exhaust(pair.client, pair.server, 50);
	pair_close(&pair);
	old_kernel_end();
}

static void who_cannot_change_keys_can_be_told_to_leave_them_to_us(void **state)
{
	struct sluice_conn_info info;
	struct pair pair;

	if (!old_kernel_begin(&pair, "rekey_unsupported = user_path"))
		skip();
	assert_int_equal(pair_connect(&pair), 0);
	info = check_info(pair.client);
	assert_int_equal(info.can_rekey, 1);
	assert_int_equal(info.tx.path, SLUICE_PATH_USER);
	assert_int_equal(info.rx.path, SLUICE_PATH_USER);
	assert_int_equal(info.tx.reason, SLUICE_REASON_REKEY);
	assert_int_equal(info.rx.reason, SLUICE_REASON_REKEY);
	assert_int_equal(sluice_update_keys(pair.client, 1, RUN_MS), 0);
	pair_exchange(&pair, 100000);
	assert_int_equal(check_info(pair.client).rx.epoch, 1);
	pair_close(&pair);
	old_kernel_end();
}

/* TLS 1.2 never changes keys: the kernel serves it as well as we do. */
static void tls12_stays_with_the_kernel(void **state)
{
	struct pair pair;

	if (!old_kernel_begin(&pair, "rekey_unsupported = user_path\nversions = tlsv1.2"))
		skip();
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(check_info(pair.client).tx.path, SLUICE_PATH_KERNEL);
	pair_exchange(&pair, 40000);
	pair_close(&pair);
	old_kernel_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KY_08_KY_10_after_so_many_bytes),
		cmocka_unit_test(KY_10_after_so_many_records),
		cmocka_unit_test(KY_10_a_send_of_more_than_a_key_may_seal),
		cmocka_unit_test(the_kernels_own_count_decides),
		cmocka_unit_test(KY_09_the_defaults),
		cmocka_unit_test(KY_12_a_second_request_waits_for_the_first_answer),
		cmocka_unit_test(KY_13_many_requests_get_one_answer),
		cmocka_unit_test(KY_07_a_tls12_key_ends_in_order),
		cmocka_unit_test(a_key_that_the_kernel_cannot_change_ends_in_order),
		cmocka_unit_test(who_cannot_change_keys_can_be_told_to_leave_them_to_us),
		cmocka_unit_test(tls12_stays_with_the_kernel),
	};

	return cmocka_run_group_tests_name("flow/rekey_auto", tests, leaks_setup, leaks_teardown);
}
