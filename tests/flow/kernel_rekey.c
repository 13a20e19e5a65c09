/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New keys on the kernel's record path, against the user's: in which order records, KeyUpdates and
 * keys may come, and what is left when the kernel refuses. Where this kernel cannot do it, a test
 * says why and counts as skipped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
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
#define KEY_UPDATE "\x18\x00\x00\x01\x00"

static const struct link_item conversation[] = {
	{ RECORD_DATA, 1 },  { RECORD_HANDSHAKE, 5 }, { RECORD_DATA, 100000 },
	{ RECORD_ALERT, 2 }, { RECORD_DATA, 16384 },  { RECORD_HANDSHAKE, 1000 },
};

static void open_pair(struct link *link, uint16_t suite, enum sluice_path near,
		      enum sluice_path far)
{
	link_open(link,
		  &(struct link_setup){
			  .suite = link_need_suite(suite), .seq = 1, .near = near, .far = far });
}

static void rekey_for_sending(void **state)
{
	link_need_rekey();
	for (size_t i = 0; i < LINK_N_SUITES_TLS13; i++) {
		const struct suite *suite = link_need_suite(link_suites[i]);
		struct link link;
		uint64_t seq = 99;

		open_pair(&link, link_suites[i], KERNEL, USER);
		for (int epoch = 0; epoch < 3; epoch++) {
			link_run(&link.near, &link.far, conversation, ARRAY_SIZE(conversation),
				 16384);
			link_send_all(&link.near, RECORD_HANDSHAKE, KEY_UPDATE, 5);
			assert_int_equal(link_rekey_tx(&link.near), 0);
			assert_int_equal(link.near.tx->records, 0);
			assert_int_equal(ktls_record_seq(link.near.fd, KTLS_TX, suite, &seq), 0);
			assert_int_equal(seq, 0);
			link_expect(&link.far, RECORD_HANDSHAKE, KEY_UPDATE, 5);
			assert_int_equal(link_rekey_rx(&link.far), 0);
		}
		link_run(&link.near, &link.far, conversation, ARRAY_SIZE(conversation), 16384);
		link_close(&link);
	}
}

/*
 * All three records are there before the first is asked for. The kernel may decrypt the KeyUpdate
 * with the data before it, and then keeps it, and the data behind, until it is asked again.
 */
static void rekey_for_receiving(void **state)
{
	link_need_rekey();
	for (size_t i = 0; i < LINK_N_SUITES_TLS13; i++) {
		struct link link;
		struct record record;
		uint8_t buf[1000];

		open_pair(&link, link_suites[i], USER, KERNEL);
		for (int epoch = 0; epoch < 3; epoch++) {
			link_send_all(&link.near, RECORD_DATA, "old", 3);
			link_send_all(&link.near, RECORD_HANDSHAKE, KEY_UPDATE, 5);
			assert_int_equal(link_rekey_tx(&link.near), 0);
			link_send_all(&link.near, RECORD_DATA, "new", 3);
			link_expect(&link.far, RECORD_DATA, "old", 3);
			link_expect(&link.far, RECORD_HANDSHAKE, KEY_UPDATE, 5);
			for (int again = 0; again < 2; again++)
				assert_int_equal(link_recv(&link.far, buf, sizeof(buf), &record),
						 RECORD_REKEY);
			assert_int_equal(link_rekey_rx(&link.far), 0);
			assert_int_equal(link.far.rx->records, 0);
			link_expect(&link.far, RECORD_DATA, "new", 3);
			assert_int_equal(link.far.rx->records, 1);
		}
		link_close(&link);
	}
}

/* Behind another message the kernel does not see the KeyUpdate; the keys are taken all the same. */
static void rekey_that_the_kernel_did_not_see_coming(void **state)
{
	static const char messages[] = "\x04\x00\x00\x01\x00" KEY_UPDATE;
	struct link link;

	link_need_rekey();
	open_pair(&link, 0x1301, USER, KERNEL);
	link_send_all(&link.near, RECORD_HANDSHAKE, messages, 10);
	assert_int_equal(link_rekey_tx(&link.near), 0);
	link_send_all(&link.near, RECORD_DATA, "new", 3);
	link_expect(&link.far, RECORD_HANDSHAKE, messages, 10);
	assert_int_equal(link_rekey_rx(&link.far), 0);
	link_expect(&link.far, RECORD_DATA, "new", 3);
	link_close(&link);
}

static void key_update_in_pieces(void **state)
{
	struct link link;
	struct record record;
	uint8_t byte;

	link_need_rekey();
	open_pair(&link, 0x1302, USER, KERNEL);
	link_send_all(&link.near, RECORD_HANDSHAKE, KEY_UPDATE, 5);
	assert_int_equal(link_rekey_tx(&link.near), 0);
	link_send_all(&link.near, RECORD_DATA, "new", 3);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(link_recv(&link.far, &byte, 1, &record), RECORD_READY);
		assert_int_equal(record.type, RECORD_HANDSHAKE);
		assert_int_equal(byte, (uint8_t)KEY_UPDATE[i]);
		assert_int_equal(record.end, i == 4);
	}
	assert_int_equal(link_rekey_rx(&link.far), 0);
	link_expect(&link.far, RECORD_DATA, "new", 3);
	link_close(&link);
}

/* Refused: TLS 1.2 always, TLS 1.3 by older kernels. The old keys go on. */
static void refused_rekey_leaves_the_keys(void **state)
{
	for (size_t i = 0; i < LINK_N_SUITES; i++) {
		const struct suite *suite = link_need_suite(link_suites[i]);
		struct link link;

		if (suite->version == TLS13 && link_caps.rekey_tx_errno == 0)
			continue;
		open_pair(&link, link_suites[i], KERNEL, USER);
		assert_int_equal(link.near.tx->ops->rekey(link.near.tx, link.near.tx_keys),
				 -SLUICE_E_REKEY);
		assert_int_equal(link.near.rx->ops->rekey(link.near.rx, link.near.rx_keys),
				 -SLUICE_E_REKEY);
		link_send_all(&link.near, RECORD_DATA, "abc", 3);
		link_expect(&link.far, RECORD_DATA, "abc", 3);
		link_send_all(&link.far, RECORD_DATA, "def", 3);
		link_expect(&link.near, RECORD_DATA, "def", 3);
		link_close(&link);
	}
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
		TEST(rekey_for_sending),
		TEST(rekey_for_receiving),
		TEST(rekey_that_the_kernel_did_not_see_coming),
		TEST(key_update_in_pieces),
		TEST(refused_rekey_leaves_the_keys),
	};

	return cmocka_run_group_tests_name("flow/kernel_rekey", tests, link_probe, NULL);
}
