/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's record path over real sockets, against the user's: every suite, both families, each
 * direction, control records, and what each kind of broken record comes to. Where this kernel
 * cannot do it, a test says why and counts as skipped.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "record/ktls.h"
#include "record/record.h"
#include "record/traffic.h"
#include "support/record_link.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KERNEL SLUICE_PATH_KERNEL
#define USER SLUICE_PATH_USER

static void open_pair(struct link *link, uint16_t suite, enum sluice_path near,
		      enum sluice_path far)
{
	link_open(link,
		  &(struct link_setup){
			  .suite = link_need_suite(suite), .seq = 1, .near = near, .far = far });
}

/* ---- data and control records, both ways ---- */

static const struct link_item conversation[] = {
	{ RECORD_DATA, 1 },          { RECORD_DATA, 16383 },     { RECORD_HANDSHAKE, 5 },
	{ RECORD_DATA, 16384 },      { RECORD_DATA, 16385 },     { RECORD_ALERT, 2 },
	{ RECORD_ALERT, 2 },         { RECORD_HANDSHAKE, 1000 }, { RECORD_DATA, 100000 },
	{ RECORD_HANDSHAKE, 16384 }, { RECORD_DATA, 3 },         { RECORD_ALERT, 2 },
};

/* The same in small, for receivers that take a few bytes at a time. */
static const struct link_item small_conversation[] = {
	{ RECORD_DATA, 1 },   { RECORD_HANDSHAKE, 5 },  { RECORD_DATA, 300 },
	{ RECORD_DATA, 200 }, { RECORD_HANDSHAKE, 70 }, { RECORD_HANDSHAKE, 9 },
	{ RECORD_DATA, 17 },  { RECORD_ALERT, 2 },
};

static void converse(int family, enum sluice_path near, enum sluice_path far)
{
	static const size_t buf_lens[] = { 1000, 16384, 65536 };
	static const size_t small_buf_lens[] = { 1, 2, 7, 64 };

	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		struct link link;

		link_open(&link, &(struct link_setup){ .family = family,
						       .suite = link_need_suite(link_suites[i]),
						       .near = near,
						       .far = far });
		for (size_t j = 0; j < ARRAY_SIZE(buf_lens); j++)
			link_run(&link.near, &link.far, conversation, ARRAY_SIZE(conversation),
				 buf_lens[j]);
		for (size_t j = 0; j < ARRAY_SIZE(small_buf_lens); j++)
			link_run(&link.far, &link.near, small_conversation,
				 ARRAY_SIZE(small_conversation), small_buf_lens[j]);
		link_close(&link);
	}
}

static void LC_57_LC_58_user_to_kernel_ipv4(void **state)
{
	converse(AF_INET, USER, KERNEL);
}

static void LC_57_LC_58_kernel_to_user_ipv4(void **state)
{
	converse(AF_INET, KERNEL, USER);
}

static void LC_29_LC_58_user_to_kernel_ipv6(void **state)
{
	converse(AF_INET6, USER, KERNEL);
}

static void LC_29_LC_58_kernel_to_user_ipv6(void **state)
{
	converse(AF_INET6, KERNEL, USER);
}

static void LC_58_kernel_to_kernel(void **state)
{
	converse(AF_INET, KERNEL, KERNEL);
	converse(AF_INET6, KERNEL, KERNEL);
}

/* What MSG_EOR tells of data that the kernel joined: that a record ended, not where. */
static void LC_36_end_of_joined_data(void **state)
{
	static const struct {
		size_t take;
		bool end;
	} steps[] = { { 150, true }, { 20, false }, { 1000, true } };
	static const uint8_t data[100];

	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		struct link link;

		open_pair(&link, link_suites[i], USER, KERNEL);
		for (int n = 0; n < 3; n++)
			link_send_all(&link.near, RECORD_DATA, data, sizeof(data));
		for (size_t j = 0; j < ARRAY_SIZE(steps); j++) {
			struct record record;
			uint8_t buf[1000];

			assert_int_equal(link_recv(&link.far, buf, steps[j].take, &record),
					 RECORD_READY);
			assert_int_equal(record.end, steps[j].end);
		}
		link_close(&link);
	}
}

/* ---- record numbers ---- */

static void LC_58_IN_14_record_numbers(void **state)
{
	static const uint64_t starts[] = { 0, 1, 255, 0xffffffff, 0x0102030405060708 };

	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(starts); j++) {
			const struct suite *suite = link_need_suite(link_suites[i]);
			struct link link;
			uint64_t seq = 0;

			link_open(&link, &(struct link_setup){ .suite = suite,
							       .seq = starts[j],
							       .near = KERNEL,
							       .far = USER });
			assert_true(link.near.rx->records == starts[j]);
			assert_true(link.near.tx->records == starts[j]);
			for (int n = 0; n < 3; n++) {
				link_send_all(&link.near, RECORD_DATA, "abc", 3);
				link_expect(&link.far, RECORD_DATA, "abc", 3);
				link_send_all(&link.far, RECORD_HANDSHAKE, "defg", 4);
				link_expect(&link.near, RECORD_HANDSHAKE, "defg", 4);
			}
			assert_int_equal(ktls_record_seq(link.near.fd, KTLS_TX, suite, &seq), 0);
			assert_true(seq == starts[j] + 3 && link.near.tx->records == seq);
			assert_int_equal(ktls_record_seq(link.near.fd, KTLS_RX, suite, &seq), 0);
			assert_true(seq == starts[j] + 3 && link.near.rx->records == seq);
			link_close(&link);
		}
	}
}

/* Records that came before the receiving keys are the first to be read with them. */
static void LC_58_records_that_wait_for_the_keys(void **state)
{
	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		const struct suite *suite = link_need_suite(link_suites[i]);
		struct link link = { 0 };

		link_tcp(AF_INET, &link.near.fd, &link.far.fd);
		link_keys(&link, suite, 2);
		link_arm(&link.far, USER);
		link_send_all(&link.far, RECORD_DATA, "first", 5);
		link_send_all(&link.far, RECORD_ALERT, "\1\0", 2);
		link_arm(&link.near, KERNEL);
		link_expect(&link.near, RECORD_DATA, "first", 5);
		link_expect(&link.near, RECORD_ALERT, "\1\0", 2);
		link_close(&link);
	}
}

/* ---- empty and padded records ---- */

static void LC_36_empty_records(void **state)
{
	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		struct record record;
		uint8_t buf[64];
		struct link link;
		size_t len = 0;

		open_pair(&link, link_suites[i], USER, KERNEL);
		/* An empty control record is a record. */
		link_send_sealed(&link.near, 1, RECORD_HANDSHAKE, "", 0, 0);
		link_expect(&link.far, RECORD_HANDSHAKE, "", 0);
		/* So is empty data before one; it may also be passed over. */
		link_send_sealed(&link.near, 2, RECORD_DATA, "", 0, 0);
		link_send_sealed(&link.near, 3, RECORD_ALERT, "\1\0", 2, 0);
		assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record), RECORD_READY);
		if (record.type == RECORD_DATA) {
			assert_int_equal(record.len, 0);
			assert_true(record.end);
			assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record),
					 RECORD_READY);
		}
		assert_int_equal(record.type, RECORD_ALERT);
		assert_int_equal(record.len, 2);
		/* Among data it changes nothing, and never looks like the end. */
		link_send_sealed(&link.near, 4, RECORD_DATA, "ab", 2, 0);
		link_send_sealed(&link.near, 5, RECORD_DATA, "", 0, 0);
		link_send_sealed(&link.near, 6, RECORD_DATA, "cd", 2, 0);
		while (len < 4) {
			assert_int_equal(link_recv(&link.far, buf + len, sizeof(buf) - len,
						   &record),
					 RECORD_READY);
			assert_int_equal(record.type, RECORD_DATA);
			len += record.len;
		}
		assert_memory_equal(buf, "abcd", 4);
		link_close(&link);
	}
}

static void LC_58_padded_records(void **state)
{
	static const size_t pads[] = { 1, 100, 16380 };
	struct link link;
	uint64_t seq = 1;

	open_pair(&link, 0x1301, USER, KERNEL);
	for (int no_pad = 0; no_pad <= 1; no_pad++) {
		/* A peer that pads though it should not costs time, not data. */
		if (no_pad)
			assert_int_equal(ktls_set_option(link.far.fd, KTLS_NO_PAD, 1), 0);
		for (size_t i = 0; i < ARRAY_SIZE(pads); i++) {
			link_send_sealed(&link.near, seq++, RECORD_DATA, "data", 4, pads[i]);
			link_expect(&link.far, RECORD_DATA, "data", 4);
			link_send_sealed(&link.near, seq++, RECORD_ALERT, "\1\0", 2, pads[i]);
			link_expect(&link.far, RECORD_ALERT, "\1\0", 2);
			link_send_sealed(&link.near, seq++, RECORD_HANDSHAKE, "", 0, pads[i]);
			link_expect(&link.far, RECORD_HANDSHAKE, "", 0);
		}
	}
	link_close(&link);
}

/* ---- broken records ---- */

static const struct broken {
	const char *name;
	int want;
	size_t flip;       /* a byte of the record to change; 0: none */
	uint8_t header[5]; /* instead of the record's own, if not zero */
} broken[] = {
	{ "bad tag", -SLUICE_E_BAD_RECORD_MAC, 25, { 0 } },
	{ "too short", -SLUICE_E_BAD_RECORD_MAC, 0, { 23, 3, 3, 0, 3 } },
	{ "too long", -SLUICE_E_RECORD_OVERFLOW, 0, { 23, 3, 3, 0x48, 0x01 } },
	{ "version", -SLUICE_E_PROTOCOL, 0, { 23, 2, 0, 0, 40 } },
};

/* Sends a record of 20 bytes that is broken so. */
static void send_broken(struct link_end *end, uint64_t seq, const struct broken *how)
{
	uint8_t out[LINK_MAX_SEALED];
	size_t len = link_seal(out, end->tx_keys, seq, RECORD_DATA, "01234567890123456789", 20, 0);

	out[how->flip] ^= how->flip ? 1 : 0;
	if (how->header[0])
		memcpy(out, how->header, sizeof(how->header));
	link_send_raw(end, out, len);
}

/* What came before a broken record is delivered, then it is named, then our alert gets out. */
static void LC_58_broken_record_then_our_alert(void **state)
{
	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(broken); j++) {
			struct record record;
			uint8_t buf[64];
			struct link link;

			open_pair(&link, link_suites[i], USER, KERNEL);
			link_send_sealed(&link.near, 1, RECORD_DATA, "good", 4, 0);
			send_broken(&link.near, 2, &broken[j]);
			link_expect(&link.far, RECORD_DATA, "good", 4);
			assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record),
					 broken[j].want);
			link_send_all(&link.far, RECORD_ALERT, "\2\24", 2);
			link_expect(&link.near, RECORD_ALERT, "\2\24", 2);
			link_close(&link);
		}
	}
}

/* The kernel reads headers as they arrive: here a send meets the error before any receive. */
static void LC_58_broken_header_met_by_a_send(void **state)
{
	for (size_t j = 1; j < ARRAY_SIZE(broken); j++) {
		struct link link;
		ssize_t n = 0;

		open_pair(&link, 0x1301, USER, KERNEL);
		send_broken(&link.near, 1, &broken[j]);
		for (int tries = 0; tries < 200 && n >= 0; tries++) {
			n = link_send(&link.far, RECORD_DATA, "x", 1);
			usleep(1000);
		}
		assert_int_equal(n, broken[j].want);
		link_send_all(&link.far, RECORD_ALERT, "\2\106", 2);
		link_close(&link);
	}
}

/* ---- the transport's end ---- */

static void LC_36_end_without_close_notify(void **state)
{
	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		for (int inside = 0; inside <= 1; inside++) {
			struct record record;
			uint8_t out[LINK_MAX_SEALED], buf[64];
			struct link link;
			size_t len;

			open_pair(&link, link_suites[i], USER, KERNEL);
			len = link_seal(out, link.near.tx_keys, 2, RECORD_DATA, "lost", 4, 0);
			link_send_sealed(&link.near, 1, RECORD_DATA, "data", 4, 0);
			if (inside)
				link_send_raw(&link.near, out, len - 1);
			assert_int_equal(shutdown(link.near.fd, SHUT_WR), 0);
			link_expect(&link.far, RECORD_DATA, "data", 4);
			for (int again = 0; again < 2; again++)
				assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record),
						 RECORD_EOF);
			/* The other direction goes on. */
			link_send_all(&link.far, RECORD_ALERT, "\1\0", 2);
			link_expect(&link.near, RECORD_ALERT, "\1\0", 2);
			link_close(&link);
		}
	}
}

/* Whichever direction is used first hears of it; the kernel tells only once. */
static void LC_35_LC_36_reset(void **state)
{
	const struct linger linger = { .l_onoff = 1 };

	for (int by_sending = 0; by_sending <= 1; by_sending++) {
		struct record record;
		uint8_t buf[64];
		struct link link;

		open_pair(&link, 0x1301, USER, KERNEL);
		assert_int_equal(setsockopt(link.near.fd, SOL_SOCKET, SO_LINGER, &linger,
					    sizeof(linger)),
				 0);
		close(link.near.fd);
		link.near.fd = -1;
		if (by_sending)
			assert_int_equal(link_send(&link.far, RECORD_DATA, "x", 1),
					 -SLUICE_E_RESET);
		else
			assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record),
					 -SLUICE_E_RESET);
		link_close(&link);
	}
}

/* The ULP cannot be attached behind the peer's end; where it is, the keys still go in. */
static void LC_22_attach_before_the_peers_end(void **state)
{
	const struct suite *suite = link_need_suite(0x1301);
	struct record record;
	uint8_t buf[64];
	struct link link = { 0 };

	link_tcp(AF_INET, &link.near.fd, &link.far.fd);
	link_keys(&link, suite, 0);
	link_arm(&link.near, USER);
	assert_int_equal(ktls_attach(link.far.fd), 0);
	link_send_all(&link.near, RECORD_DATA, "last", 4);
	assert_int_equal(shutdown(link.near.fd, SHUT_WR), 0);
	assert_int_equal(recv(link.far.fd, buf, 1, MSG_PEEK), 1); /* plain bytes, until the keys */
	assert_int_equal(buf[0], RECORD_DATA);
	assert_int_equal(ktls_attach_reason(ktls_attach(link.far.fd)), SLUICE_REASON_ULP_TAKEN);
	assert_int_equal(ktls_install(link.far.fd, KTLS_RX, link.far.rx_keys), 0);
	assert_int_equal(record_kernel_rx_new(&link.far.rx, link.far.fd, link.far.rx_keys), 0);
	link_expect(&link.far, RECORD_DATA, "last", 4);
	assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record), RECORD_EOF);
	link_close(&link);

	link_tcp(AF_INET, &link.near.fd, &link.far.fd);
	assert_int_equal(shutdown(link.near.fd, SHUT_WR), 0);
	assert_int_equal(recv(link.far.fd, buf, 1, 0), 0);
	assert_int_equal(ktls_attach_reason(ktls_attach(link.far.fd)),
			 SLUICE_REASON_NOT_ESTABLISHED);
	link_close(&link);
}

/* ---- a full socket ---- */

/*
 * Nothing is lost or cut where the socket has no room: what was accepted arrives, what was not is
 * given again, and an alert goes whole or not at all.
 */
static void LC_30_LC_35_full_socket(void **state)
{
	static uint8_t chunk[50000];
	struct record record;
	static uint8_t buf[65536];
	struct link link;
	size_t sent = 0, received = 0;
	ssize_t n;

	link_open(&link, &(struct link_setup){ .suite = link_need_suite(0x1301),
					       .near = KERNEL,
					       .far = USER,
					       .send_buf = 20000 });
	do {
		n = link_send(&link.near, RECORD_DATA, chunk, sizeof(chunk));
		assert_true(n >= 0);
		sent += (size_t)n;
		assert_true(sent < 100000000);
	} while (n > 0);
	assert_int_equal(link_send(&link.near, RECORD_ALERT, "\1\0", 2), 0);
	while (received < sent) {
		assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record), RECORD_READY);
		assert_int_equal(record.type, RECORD_DATA);
		received += record.len;
	}
	assert_int_equal(received, sent);
	link_send_all(&link.near, RECORD_ALERT, "\1\0", 2);
	link_expect(&link.far, RECORD_ALERT, "\1\0", 2);
	link_close(&link);
}

static void largest_record_is_an_option(void **state)
{
	static const uint8_t data[5000];
	uint8_t buf[5000];
	struct record record;
	struct link link;
	size_t received = 0;

	link_need_ktls();
	link_need(link_caps.max_payload_errno, "option for the largest record");
	open_pair(&link, 0xc02f, KERNEL, USER);
	assert_int_equal(ktls_set_option(link.near.fd, KTLS_MAX_PAYLOAD, 512), 0);
	link_send_all(&link.near, RECORD_DATA, data, sizeof(data));
	while (received < sizeof(data)) {
		assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record), RECORD_READY);
		assert_in_range(record.len, 1, 512);
		received += record.len;
	}
	link_close(&link);
}

static size_t live_before;

static int setup(void **state)
{
	live_before = secret_live();
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(secret_live(), live_before);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(LC_57_LC_58_user_to_kernel_ipv4),
		TEST(LC_57_LC_58_kernel_to_user_ipv4),
		TEST(LC_29_LC_58_user_to_kernel_ipv6),
		TEST(LC_29_LC_58_kernel_to_user_ipv6),
		TEST(LC_58_kernel_to_kernel),
		TEST(LC_36_end_of_joined_data),
		TEST(LC_58_IN_14_record_numbers),
		TEST(LC_58_records_that_wait_for_the_keys),
		TEST(LC_36_empty_records),
		TEST(LC_58_padded_records),
		TEST(LC_58_broken_record_then_our_alert),
		TEST(LC_58_broken_header_met_by_a_send),
		TEST(LC_36_end_without_close_notify),
		TEST(LC_35_LC_36_reset),
		TEST(LC_22_attach_before_the_peers_end),
		TEST(LC_30_LC_35_full_socket),
		TEST(largest_record_is_an_option),
	};

	return cmocka_run_group_tests_name("flow/kernel_record", tests, link_probe, NULL);
}
