/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many records at once: on both record paths and versions, what one receive brings goes to the caller
 * whole and in order, whatever stands between, at the system calls that docs/performance.md says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/tcp.h"

#define BULK (4 * RECORD_MAX_PLAIN)
#define RUN_MS 20000

/* struct talk - a client of ours, and a server that sends what the test writes. */
struct talk {
	struct pair pair;
	struct peer peer;
	uint8_t wire[8 * PEER_MAX_RECORD];
	size_t wire_len;
	size_t put; /* bytes of the stream that were written */
	uint8_t in[BULK + 1];
};

static struct talk talk;

static void begin(const char *path, const char *version)
{
	memset(&talk, 0, sizeof(talk));
	pair_open(&talk.pair, &(struct pair_setup){ .path = path });
	peer_open_live(&talk.peer, &talk.pair, SLUICE_SERVER,
		       strcmp(version, "tlsv1.3") ? TLS12 : TLS13);
	assert_string_equal(sluice_path_name(check_info(talk.peer.conn).rx.path), path);
}

static void end(void)
{
	peer_close(&talk.peer);
	pair_close(&talk.pair);
}

static bool on_user_path(void)
{
	return check_info(talk.peer.conn).rx.path == SLUICE_PATH_USER;
}

/* Writes the next @len bytes of the stream as one record. */
static void put_data(size_t len, size_t pad)
{
	uint8_t plain[RECORD_MAX_PLAIN];

	pair_pattern(plain, len, talk.put);
	talk.put += len;
	talk.wire_len +=
		peer_seal(&talk.peer.tx, RECORD_DATA, plain, len, pad, talk.wire + talk.wire_len);
}

static void put_control(uint8_t type, const void *bytes, size_t len)
{
	talk.wire_len += peer_seal(&talk.peer.tx, type, bytes, len, 0, talk.wire + talk.wire_len);
}

/* Everything that was written is in the socket of the library. */
static void deliver(void)
{
	peer_send(&talk.peer, talk.wire, talk.wire_len);
	tcp_flush(talk.peer.fd, sluice_conn_fd(talk.peer.conn));
	talk.wire_len = 0;
}

static void expect_stream(size_t at, size_t len)
{
	static uint8_t expected[BULK];

	assert_true(len <= sizeof(expected));
	pair_pattern(expected, len, at);
	assert_memory_equal(talk.in, expected, len);
}

/* Receives by at most @size bytes until @len are there. Returns the number of receives. */
static unsigned int expect_bytes(size_t at, size_t len, size_t size)
{
	unsigned int n_calls = 0;
	size_t end_at = at + len;
	ssize_t n;

	for (; at < end_at; at += (size_t)n, n_calls++) {
		n = sluice_recv(talk.peer.conn, talk.in, size, RUN_MS);
		assert_in_range(n, 1, size);
		expect_stream(at, (size_t)n);
	}
	return n_calls;
}

#define FOR_EACH(path, version)  \
	PAIR_FOR_EACH_PATH(path) \
	PAIR_FOR_EACH_VERSION(version)

static void four_records_are_one_receive(void **state)
{
	int i;

	FOR_EACH(path, version)
	{
		begin(path, version);
		for (i = 0; i < 4; i++)
			put_data(RECORD_MAX_PLAIN, 0);
		deliver();
		fault_install();
		assert_int_equal(sluice_recv(talk.peer.conn, talk.in, BULK, SLUICE_NOWAIT), BULK);
		assert_int_equal(fault_count("recvmsg"), 1);
		assert_int_equal(fault_count("poll") + fault_count("getsockopt"), 0);
		fault_uninstall();
		expect_stream(0, BULK);
		end();
	}
}

static void four_records_are_one_send(void **state)
{
	struct pair pair;
	static uint8_t out[BULK];

	FOR_EACH(path, version)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = version });
		assert_int_equal(pair_connect(&pair), 0);
		fault_install();
		assert_int_equal(sluice_send(pair.client, out, BULK, SLUICE_NOWAIT), BULK);
		assert_int_equal(fault_count("sendmsg"), 1);
		assert_int_equal(fault_count("poll") + fault_count("getsockopt"), 0);
		fault_uninstall();
		pair_close(&pair);
	}
}

/* A warning, which is no more than counted: the data on both sides of it are one stream. */
static void a_control_record_in_the_middle(void **state)
{
	static const uint8_t user_canceled[] = { 1, 90 };
	unsigned int n_calls;

	FOR_EACH(path, version)
	{
		begin(path, version);
		put_data(RECORD_MAX_PLAIN, 0);
		put_control(RECORD_ALERT, user_canceled, sizeof(user_canceled));
		put_data(RECORD_MAX_PLAIN, 0);
		put_data(100, 0);
		deliver();
		n_calls = expect_bytes(0, talk.put, BULK);
		/* The kernel's receive ends there, and what it gave is not kept back for more. */
		assert_in_range(n_calls, 1, on_user_path() ? 1 : 2);
		assert_int_equal(check_info(talk.peer.conn).rx.bytes, talk.put);
		end();
	}
}

/* What was read ahead is opened by the keys of its own epoch. */
static void new_keys_in_the_middle(void **state)
{
	static const uint8_t key_update[] = { 24, 0, 0, 1, 0 };
	int i;

	begin("user", "tlsv1.3");
	for (i = 0; i < 3; i++) {
		put_data(RECORD_MAX_PLAIN, 0);
		put_control(RECORD_HANDSHAKE, key_update, sizeof(key_update));
		peer_next_epoch(&talk.peer.tx);
	}
	put_data(5000, 0);
	deliver();
	assert_int_equal(expect_bytes(0, talk.put, BULK), 1);
	assert_int_equal(check_info(talk.peer.conn).rx.epoch, 3);
	end();
}

/* The good records in front of it arrive; nothing of it does, nor of what stands behind. */
static void a_bad_record_in_the_middle(void **state)
{
	size_t good = 2 * RECORD_MAX_PLAIN, got = 0, i;
	ssize_t n;

	FOR_EACH(path, version)
	{
		begin(path, version);
		put_data(RECORD_MAX_PLAIN, 0);
		put_data(RECORD_MAX_PLAIN, 0);
		put_data(RECORD_MAX_PLAIN, 0);
		talk.wire[talk.wire_len - 1] ^= 1;
		put_data(RECORD_MAX_PLAIN, 0);
		deliver();
		memset(talk.in, 0, sizeof(talk.in));
		for (got = 0; got < good; got += (size_t)n) {
			n = sluice_recv(talk.peer.conn, talk.in + got, BULK - got, RUN_MS);
			assert_true(n > 0);
		}
		assert_int_equal(got, good);
		assert_int_equal(sluice_recv(talk.peer.conn, talk.in + got, BULK - got, RUN_MS),
				 -SLUICE_E_BAD_RECORD_MAC);
		expect_stream(0, good);
		for (i = good; on_user_path() && i < BULK; i++)
			assert_int_equal(talk.in[i], 0);
		end();
	}
}

/* Receives of any size, among them some that no record fits into. */
static void any_size_of_receive(void **state)
{
	static const size_t sizes[] = { 1000,
					RECORD_MAX_PLAIN - 1,
					RECORD_MAX_PLAIN,
					20000,
					RECORD_MAX_PLAIN + 1,
					2 * RECORD_MAX_PLAIN,
					50000,
					BULK };
	size_t i, k;

	FOR_EACH(path, version)
	{
		begin(path, version);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			size_t at = talk.put;

			for (k = 0; k < 5; k++)
				put_data(RECORD_MAX_PLAIN, 0);
			deliver();
			expect_bytes(at, talk.put - at, sizes[i]);
		}
		end();
	}
}

/* Records of any length, and padded: reads do not end where records do. */
static void any_size_of_record(void **state)
{
	static const size_t sizes[] = { 1, 100, 1400, 4096, 8192, 12000, 16000, 16383, 16384 };
	size_t i, k, at;

	FOR_EACH(path, version)
	{
		begin(path, version);
		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			at = talk.put;
			for (k = 0; k < 6; k++)
				put_data(sizes[(i + k * k) % (i + 1)], 0);
			/* RFC 8446, 5.4: what is padded is no longer than a full record. */
			if (!strcmp(version, "tlsv1.3"))
				put_data(16000, 384);
			deliver();
			expect_bytes(at, talk.put - at, BULK);
		}
		end();
	}
}

/* The peer stops inside a record, and goes on later. */
static void a_record_that_comes_in_two_pieces(void **state)
{
	size_t i, cut, len, at, whole;

	FOR_EACH(path, version)
	{
		begin(path, version);
		for (i = 1; i < 20; i++) {
			at = talk.put;
			put_data(RECORD_MAX_PLAIN, 0);
			put_data(RECORD_MAX_PLAIN, 0);
			whole = talk.wire_len;
			put_data(RECORD_MAX_PLAIN, 0);
			len = talk.wire_len;
			cut = whole + (i < 8 ? i : (len - whole) * i / 20);
			talk.wire_len = cut;
			deliver();
			expect_bytes(at, 2 * RECORD_MAX_PLAIN, BULK);
			assert_int_equal(sluice_recv(talk.peer.conn, talk.in, BULK, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
			memmove(talk.wire, talk.wire + cut, len - cut);
			talk.wire_len = len - cut;
			deliver();
			expect_bytes(at + 2 * RECORD_MAX_PLAIN, RECORD_MAX_PLAIN, BULK);
		}
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(four_records_are_one_receive),
		cmocka_unit_test(four_records_are_one_send),
		cmocka_unit_test(a_control_record_in_the_middle),
		cmocka_unit_test(new_keys_in_the_middle),
		cmocka_unit_test(a_bad_record_in_the_middle),
		cmocka_unit_test(any_size_of_receive),
		cmocka_unit_test(any_size_of_record),
		cmocka_unit_test(a_record_that_comes_in_two_pieces),
	};

	return cmocka_run_group_tests_name("flow/bulk", tests, leaks_setup, leaks_teardown);
}
