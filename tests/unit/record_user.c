/* SPDX-License-Identifier: Apache-2.0 */
/* The user record path, sender against receiver: every suite, size, cut and refusal. */
#include "record/record.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "support/fault.h"
#include "support/mem_link.h"

#define MAX_SIZE 100000

static uint8_t plain[MAX_SIZE];

static int setup(void **state)
{
	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 31 + (i >> 8));
	return 0;
}

static int teardown(void **state)
{
	fault_uninstall();
	return secret_live() == 0 ? 0 : -1;
}

/* The state of one direction of a connection; @of_server says which. */
static struct traffic *make_traffic(const struct suite *suite, bool of_server, uint64_t seq)
{
	uint8_t bytes[88];
	struct traffic *rx, *tx;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i + 100 * of_server);
	if (suite->version == TLS13) {
		size_t len = suite->id == 0x1302 ? 48 : 32;

		assert_int_equal(traffic_new_tls13(&tx, suite, bytes, len, seq), 0);
		return tx;
	}
	assert_int_equal(traffic_new_tls12(&rx, &tx, suite, bytes, traffic_key_block_len(suite),
					   of_server, seq, seq),
			 0);
	traffic_free(rx);
	return tx;
}

static void open_link(struct mem_link *link, uint16_t id)
{
	struct traffic *traffic = make_traffic(suite_find(id), false, 0);

	assert_int_equal(mem_link_open(link, traffic), 0);
	traffic_free(traffic);
}

/* Receives records of @type until @len bytes are there, and holds them against @expected. */
static void expect(struct mem_link *link, uint8_t type, const uint8_t *expected, size_t len)
{
	size_t done = 0;

	while (done < len) {
		size_t left = len - done;
		struct record record;

		assert_int_equal(mem_link_recv(link, NULL, 0, &record), RECORD_READY);
		assert_int_equal(record.type, type);
		assert_true(record.end);
		/* Records are filled. */
		assert_int_equal(record.len, left < RECORD_MAX_PLAIN ? left : RECORD_MAX_PLAIN);
		assert_memory_equal(record.data, expected + done, record.len);
		done += record.len;
	}
}

static void expect_nothing(struct mem_link *link)
{
	struct record record;

	assert_int_equal(mem_link_recv(link, NULL, 0, &record), RECORD_MORE);
}

static void round_trips(struct mem_link *link)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 16383, 16384, 16385, 32768, MAX_SIZE };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(mem_link_send(link, RECORD_DATA, plain, sizes[i]), 0);
		expect(link, RECORD_DATA, plain, sizes[i]);
		assert_int_equal(link->rx->records, link->tx->records);
	}
	expect_nothing(link);
	/* Everything at once: the receiver reads ahead. */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_int_equal(mem_link_send(link, RECORD_DATA, plain, sizes[i]), 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		expect(link, RECORD_DATA, plain, sizes[i]);
	expect_nothing(link);
	assert_int_equal(link->rx->records, link->tx->records);
}

static void every_suite(size_t chunk, bool stutter)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		for (int of_server = 0; of_server < 2; of_server++) {
			struct traffic *traffic = make_traffic(suite_at(i), of_server, i);
			struct mem_link link;

			assert_int_equal(mem_link_open(&link, traffic), 0);
			assert_int_equal(link.tx->ops->path, SLUICE_PATH_USER);
			assert_int_equal(link.rx->ops->path, SLUICE_PATH_USER);
			assert_int_equal(link.tx->records, i);
			link.chunk = chunk;
			link.stutter = stutter;
			round_trips(&link);
			mem_link_close(&link);
			traffic_free(traffic);
		}
	}
}

static void every_suite_and_size(void **state)
{
	every_suite(0, false);
}

static void every_suite_and_size_with_refusals(void **state)
{
	every_suite(0, true);
	every_suite(1000, true);
}

static void every_suite_and_size_byte_at_a_time(void **state)
{
	every_suite(1, false);
}

static void odd_chunks(void **state)
{
	for (size_t chunk = 2; chunk < 40; chunk++) {
		struct mem_link link;

		open_link(&link, 0x1301);
		link.chunk = chunk;
		for (size_t size = 1; size < 60; size++)
			assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, size), 0);
		for (size_t size = 1; size < 60; size++)
			expect(&link, RECORD_DATA, plain, size);
		expect_nothing(&link);
		mem_link_close(&link);
	}
}

/* The two directions of a connection have different keys. */
static void a_direction_does_not_open_the_other_ones_records(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct traffic *client = make_traffic(suite_at(i), false, 0);
		struct traffic *server = make_traffic(suite_at(i), true, 0);
		struct mem_link to_server, to_client;
		struct record record;

		assert_int_equal(mem_link_open(&to_server, client), 0);
		assert_int_equal(mem_link_open(&to_client, server), 0);
		assert_int_equal(mem_link_send(&to_server, RECORD_DATA, plain, 100), 0);
		/* A reflected record. */
		mem_link_put(&to_client, to_server.wire, to_server.wire_end);
		assert_int_equal(mem_link_recv(&to_client, NULL, 0, &record),
				 -SLUICE_E_BAD_RECORD_MAC);
		mem_link_close(&to_server);
		mem_link_close(&to_client);
		traffic_free(client);
		traffic_free(server);
	}
}

static void a_replayed_or_reordered_record_does_not_open(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		struct mem_link link;
		struct record record;
		uint8_t copy[100];
		size_t len;

		open_link(&link, suite_at(i)->id);
		assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 5), 0);
		len = link.wire_end;
		memcpy(copy, link.wire, len);
		expect(&link, RECORD_DATA, plain, 5);
		mem_link_put(&link, copy, len);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), -SLUICE_E_BAD_RECORD_MAC);
		mem_link_close(&link);

		open_link(&link, suite_at(i)->id);
		assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 5), 0);
		link.wire_end = 0; /* the first record is lost */
		assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 5), 0);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), -SLUICE_E_BAD_RECORD_MAC);
		mem_link_close(&link);
	}
}

static struct traffic *next_epoch(struct traffic *traffic)
{
	struct traffic *next;

	assert_int_equal(traffic_next_epoch(&next, traffic), 0);
	traffic_free(traffic);
	return next;
}

/*
 * Both ends change keys behind a KeyUpdate. Everything is on the wire before the first receive, so
 * that records of the new epoch are read ahead while the old keys are in force.
 */
static void rekeys(uint16_t id, size_t chunk, bool stutter)
{
	static const uint8_t key_update[5] = { 24, 0, 0, 1, 0 };
	struct traffic *sender = make_traffic(suite_find(id), false, 3);
	struct traffic *receiver = make_traffic(suite_find(id), false, 3);
	struct mem_link link;

	assert_int_equal(mem_link_open(&link, sender), 0);
	link.chunk = chunk;
	link.stutter = stutter;
	for (int epoch = 0; epoch < 4; epoch++) {
		assert_int_equal(mem_link_send(&link, RECORD_DATA, plain + epoch, 300), 0);
		assert_int_equal(mem_link_send(&link, RECORD_HANDSHAKE, key_update, 5), 0);
		sender = next_epoch(sender);
		assert_int_equal(link.tx->ops->rekey(link.tx, sender), 0);
		assert_int_equal(link.tx->records, 0);
	}
	for (int epoch = 0; epoch < 4; epoch++) {
		expect(&link, RECORD_DATA, plain + epoch, 300);
		expect(&link, RECORD_HANDSHAKE, key_update, 5);
		receiver = next_epoch(receiver);
		assert_int_equal(link.rx->ops->rekey(link.rx, receiver), 0);
		assert_int_equal(link.rx->records, 0);
	}
	round_trips(&link);
	mem_link_close(&link);
	traffic_free(sender);
	traffic_free(receiver);
}

static void both_ends_change_keys(void **state)
{
	for (uint16_t id = 0x1301; id <= 0x1303; id++) {
		rekeys(id, 0, false);
		rekeys(id, 1, false);
		rekeys(id, 50, true);
	}
}

/* What was sealed but not sent when the keys change stays in its epoch. */
static void pending_bytes_keep_their_epoch(void **state)
{
	struct traffic *traffic = make_traffic(suite_find(0x1301), false, 0);
	const struct record_tx_ops *ops;
	struct mem_link link;
	struct msghdr msg;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	ops = link.tx->ops;
	assert_int_equal(ops->prep(link.tx, RECORD_HANDSHAKE, plain, 5, &msg), 5);
	mem_link_put(&link, msg.msg_iov[0].iov_base, 7);
	assert_int_equal(ops->done(link.tx, 7), 5);
	assert_true(ops->pending(link.tx));
	traffic = next_epoch(traffic);
	assert_int_equal(ops->rekey(link.tx, traffic), 0);
	assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 20), 0);
	expect(&link, RECORD_HANDSHAKE, plain, 5);
	assert_int_equal(link.rx->ops->rekey(link.rx, traffic), 0);
	expect(&link, RECORD_DATA, plain, 20);
	mem_link_close(&link);
	traffic_free(traffic);
}

static void a_failed_rekey_leaves_the_old_keys(void **state)
{
	struct traffic *traffic, *next;
	struct mem_link link, other;
	void *hold[256];
	size_t n = 0;

	fault_install();
	traffic = make_traffic(suite_find(0x1301), false, 0);
	assert_int_equal(traffic_next_epoch(&next, traffic), 0);
	assert_int_equal(mem_link_open(&link, traffic), 0);
	fault_arm_from("mmap", 1, ENOMEM);
	/* The class of the key contexts. */
	while (n < 256 && (hold[n] = secret_new(700)) != NULL)
		n++;
	assert_true(n < 256);
	assert_int_equal(link.tx->ops->rekey(link.tx, next), -SLUICE_E_NOMEM);
	assert_int_equal(link.rx->ops->rekey(link.rx, next), -SLUICE_E_NOMEM);
	/* Neither end can be made, or only the first. */
	assert_int_equal(mem_link_open(&other, traffic), -SLUICE_E_NOMEM);
	secret_free(hold[--n]);
	assert_int_equal(mem_link_open(&other, traffic), -SLUICE_E_NOMEM);
	round_trips(&link);
	while (n > 0)
		secret_free(hold[--n]);
	mem_link_close(&link);
	traffic_free(traffic);
	traffic_free(next);
}

/* An alert that is due while data waits for the socket goes behind it, and only once. */
static void a_control_record_is_not_overtaken(void **state)
{
	static const uint8_t close_notify[2] = { 1, 0 };
	struct mem_link link;
	struct msghdr msg;
	const struct record_tx_ops *ops;
	size_t first;

	open_link(&link, 0x1303);
	ops = link.tx->ops;
	assert_false(ops->pending(link.tx));
	assert_int_equal(ops->prep(link.tx, RECORD_DATA, plain, 40000, &msg), 40000);
	first = msg.msg_iov[0].iov_len;
	assert_int_equal(ops->done(link.tx, -EAGAIN), 40000);
	assert_true(ops->pending(link.tx));
	assert_int_equal(ops->prep(link.tx, RECORD_ALERT, close_notify, 2, &msg), 0);
	assert_int_equal(msg.msg_iov[0].iov_len, first);
	mem_link_put(&link, msg.msg_iov[0].iov_base, 20000);
	assert_int_equal(ops->done(link.tx, 20000), 0);
	assert_int_equal(ops->prep(link.tx, RECORD_ALERT, close_notify, 2, &msg), 0);
	assert_int_equal(msg.msg_iov[0].iov_len, first - 20000);
	mem_link_put(&link, msg.msg_iov[0].iov_base, first - 20000);
	assert_int_equal(ops->done(link.tx, (ssize_t)first - 20000), 0);
	assert_false(ops->pending(link.tx));
	assert_int_equal(mem_link_send(&link, RECORD_ALERT, close_notify, 2), 0);
	expect(&link, RECORD_DATA, plain, 40000);
	expect(&link, RECORD_ALERT, close_notify, 2);
	expect_nothing(&link);
	mem_link_close(&link);
}

static void one_send_carries_a_bounded_amount(void **state)
{
	struct mem_link link;
	struct msghdr msg;

	open_link(&link, 0x1301);
	assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, MAX_SIZE, &msg),
			 5 * RECORD_MAX_PLAIN);
	assert_int_equal(msg.msg_iov[0].iov_len, 5 * (RECORD_MAX_PLAIN + 5 + 1 + 16));
	assert_int_equal(link.tx->ops->done(link.tx, 0), 5 * RECORD_MAX_PLAIN);
	assert_true(link.tx->ops->pending(link.tx));
	/* With nothing to send there is nothing to hand to the kernel. */
	mem_link_close(&link);
	open_link(&link, 0x1301);
	assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, NULL, 0, &msg), 0);
	assert_int_equal(msg.msg_iovlen, 0);
	assert_int_equal(link.tx->ops->done(link.tx, 0), 0);
	mem_link_close(&link);
}

/* Plaintext goes straight to where the caller wants it, if there is room for all of it. */
static void plaintext_lands_in_the_callers_buffer(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		size_t inner = 100 + (suite_at(i)->version == TLS13);
		struct mem_link link;
		struct record record;

		open_link(&link, suite_at(i)->id);
		for (size_t len = inner - 2; len <= inner + 1; len++) {
			uint8_t *buf = malloc(len); /* exactly: a byte too far is seen */

			assert_non_null(buf);
			assert_int_equal(mem_link_send(&link, RECORD_DATA, plain, 100), 0);
			assert_int_equal(mem_link_recv(&link, buf, len, &record), RECORD_READY);
			assert_int_equal(record.data == buf, len >= inner);
			assert_int_equal(record.len, 100);
			assert_memory_equal(record.data, plain, 100);
			free(buf);
		}
		mem_link_close(&link);
	}
}

static void tx_errors_end_the_direction(void **state)
{
	static const struct {
		ssize_t res;
		int error;
	} cases[] = {
		{ -EPIPE, -SLUICE_E_RESET },
		{ -ECONNRESET, -SLUICE_E_RESET },
		/* It may pass, but the bytes are sealed: given again they would be sent twice. */
		{ -ENOBUFS, -SLUICE_E_NOMEM },
		{ -ETIMEDOUT, -SLUICE_E_IO },
		{ 1000, -SLUICE_E_INTERNAL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mem_link link;
		struct msghdr msg;

		open_link(&link, 0x1301);
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, 10, &msg), 10);
		assert_int_equal(link.tx->ops->done(link.tx, cases[i].res), cases[i].error);
		assert_false(link.tx->ops->pending(link.tx));
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, plain, 10, &msg),
				 cases[i].error);
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, NULL, 0, &msg),
				 cases[i].error);
		mem_link_close(&link);
	}
}

static void rx_errors_of_the_transport_have_names(void **state)
{
	struct mem_link link;
	struct record record;
	struct msghdr msg;

	open_link(&link, 0x1301);
	assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
	assert_int_equal(link.rx->ops->done(link.rx, -ECONNRESET, &msg, &record), -SLUICE_E_RESET);
	assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
	assert_int_equal(link.rx->ops->done(link.rx, -ETIMEDOUT, &msg, &record), -SLUICE_E_IO);
	assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
	assert_int_equal(link.rx->ops->done(link.rx, (ssize_t)msg.msg_iov[0].iov_len + 1, &msg,
					    &record),
			 -SLUICE_E_INTERNAL);
	mem_link_close(&link);
}

/* Without a call of next() every done() gives one record: the buffer cannot fill up. */
static void a_caller_who_does_not_drain_loses_nothing(void **state)
{
	struct mem_link link;
	struct record record;
	struct msghdr msg;
	int got = 0;

	open_link(&link, 0x1301);
	for (int i = 0; i < 2000; i++)
		assert_int_equal(mem_link_send(&link, RECORD_DATA, plain + i, 1), 0);
	while (link.wire_end > 0) {
		int r;

		assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), 0);
		/* A receive of no bytes would look like the end of the transport. */
		assert_true(msg.msg_iov[0].iov_len > 0);
		r = link.rx->ops->done(link.rx, mem_link_get(&link, &msg), &msg, &record);
		if (r == RECORD_READY)
			assert_int_equal(record.data[0], plain[got++]);
		else
			assert_int_equal(r, RECORD_MORE);
	}
	assert_true(got > 0);
	while (got < 2000)
		expect(&link, RECORD_DATA, plain + got++, 1);
	expect_nothing(&link);
	mem_link_close(&link);
}

static void free_takes_null(void **state)
{
	struct mem_link link;
	const struct record_rx_ops *rx_ops;
	const struct record_tx_ops *tx_ops;

	open_link(&link, 0x1301);
	rx_ops = link.rx->ops;
	tx_ops = link.tx->ops;
	mem_link_close(&link);
	assert_null(rx_ops->free(NULL));
	assert_null(tx_ops->free(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(every_suite_and_size, teardown),
		cmocka_unit_test_teardown(every_suite_and_size_with_refusals, teardown),
		cmocka_unit_test_teardown(every_suite_and_size_byte_at_a_time, teardown),
		cmocka_unit_test_teardown(odd_chunks, teardown),
		cmocka_unit_test_teardown(a_direction_does_not_open_the_other_ones_records,
					  teardown),
		cmocka_unit_test_teardown(a_replayed_or_reordered_record_does_not_open, teardown),
		cmocka_unit_test_teardown(both_ends_change_keys, teardown),
		cmocka_unit_test_teardown(pending_bytes_keep_their_epoch, teardown),
		cmocka_unit_test_teardown(a_failed_rekey_leaves_the_old_keys, teardown),
		cmocka_unit_test_teardown(a_control_record_is_not_overtaken, teardown),
		cmocka_unit_test_teardown(one_send_carries_a_bounded_amount, teardown),
		cmocka_unit_test_teardown(plaintext_lands_in_the_callers_buffer, teardown),
		cmocka_unit_test_teardown(tx_errors_end_the_direction, teardown),
		cmocka_unit_test_teardown(rx_errors_of_the_transport_have_names, teardown),
		cmocka_unit_test_teardown(a_caller_who_does_not_drain_loses_nothing, teardown),
		cmocka_unit_test_teardown(free_takes_null, teardown),
	};

	return cmocka_run_group_tests_name("unit/record_user", tests, setup, NULL);
}
