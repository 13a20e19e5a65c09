/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How far the gate reads, over a scripted transport: as far as what comes is certainly of the handshake, and
 * not a byte behind it. Linked with --wrap=malloc,--wrap=realloc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/bio.h>

#include "bssl/gate.h"
#include "record/record.h"

#include "support/gate_world.h"

static void nothing_is_read_past_the_handshake(void **state)
{
	static const size_t wants[] = { 1, 3, 5, 6, 100, 20000 };
	static const size_t pieces[] = { 0, 1, 2, 5, 7 };
	struct fixture *f;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(wants); i++) {
		for (j = 0; j < ARRAY_SIZE(pieces); j++) {
			f = start(NO_LIMIT);
			tp.piece = pieces[j];
			put_record(RECORD_HANDSHAKE, 90);
			put_record(RECORD_HANDSHAKE, 0);
			put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
			put_record(RECORD_DATA, 700);
			assert_int_equal(read_all(f, wants[i]), -1);
			assert_int_equal(f->gate.status, GATE_WANT_READ);
			assert_int_equal(f->got_len, tp.len);
			assert_memory_equal(f->got, tp.stream, tp.len);
			assert_int_equal(f->gate.bytes_in, tp.len);
		}
	}
}

/* With their ends known, the last two records of a handshake take three receives at most. */
static void few_receives_when_all_is_there(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
	put_record(RECORD_DATA, 53); /* the Finished of TLS 1.3 */
	put_record(RECORD_DATA, 1000);
	assert_int_equal(read_once(f, 6), 6);
	assert_int_equal(tp.n_recv, 1);
	assert_int_equal(read_once(f, 58), 58);
	assert_int_equal(tp.n_recv, 2);
	assert_int_equal(tp.used, 6 + 58);
	assert_int_equal(gate_left(&f->gate), 0);
}

/* By a loop that is told again as long as there is something to read. */
static void a_first_flight_takes_one_receive(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	f->gate.answers = tp.answers = f->gate.told_again = true;
	put_record(RECORD_HANDSHAKE, 300);
	assert_int_equal(read_once(f, RECORD_HEADER_LEN), RECORD_HEADER_LEN);
	assert_int_equal(read_once(f, 300), 300);
	/* It has brought less than there was room for: nothing is there, and nobody asks. */
	assert_int_equal(read_once(f, 5), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_int_equal(tp.n_recv, 1);
	/* Whoever comes again has been told. */
	assert_int_equal(BIO_write(f->bio, "flight", 6), 6);
	tp.answers = false;
	put_record(RECORD_DATA, 53);
	assert_int_equal(read_once(f, 5), -1);
	assert_int_equal(tp.n_recv, 1);
	assert_int_equal(read_once(f, 5), 5);
	assert_int_equal(tp.n_recv, 3);
}

/* An edge tells of bytes and of the end behind them at once: who is not told again asks until it knows. */
static void behind_a_short_receive_the_end_is_found(void **state)
{
	static const bool ends[] = { false, true };
	struct fixture *f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		f = start(NO_LIMIT);
		f->gate.answers = tp.answers = true;
		tp.at_end = ends[i];
		put_record(RECORD_HANDSHAKE, 300);
		assert_int_equal(read_once(f, RECORD_HEADER_LEN), RECORD_HEADER_LEN);
		assert_int_equal(read_once(f, 300), 300);
		assert_int_equal(tp.n_recv, 1);
		assert_int_equal(read_once(f, 5), ends[i] ? 0 : -1);
		assert_int_equal(f->gate.status, ends[i] ? GATE_EOF : GATE_WANT_READ);
		assert_int_equal(tp.n_recv, 2);
	}
}

/* It is what the peer could send before it has heard anything: no part of it is data. */
static void of_a_first_flight_nothing_is_lost(void **state)
{
	struct fixture *f;
	size_t i;

	for (i = 0; i < 200; i += 7) {
		f = start(NO_LIMIT);
		f->gate.answers = tp.answers = true;
		put_record(RECORD_HANDSHAKE, 300);
		put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
		while (tp.len < 20000)
			put_record(RECORD_DATA, i);
		read_all(f, 16384);
		assert_int_equal(f->got_len, tp.len);
		assert_memory_equal(f->got, tp.stream, tp.len);
		assert_int_equal(gate_left(&f->gate), 0);
	}
}

/* A Finished in pieces: what is behind the last of them is not touched, however short they are. */
static void of_a_finished_in_pieces_nothing_is_read_ahead(void **state)
{
	static const uint8_t types[] = { RECORD_DATA, RECORD_HANDSHAKE }; /* TLS 1.3, TLS 1.2 */
	struct fixture *f;
	size_t i, n, end;

	for (i = 0; i < 2; i++) {
		f = start(NO_LIMIT);
		put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
		for (n = 0; n < 36; n++)
			put_record(types[i], 18);
		end = tp.len;
		put_record(RECORD_DATA, 1000);
		while (f->got_len < end)
			assert_true(read_once(f, 5) > 0);
		assert_int_equal(f->got_len, end);
		assert_int_equal(tp.used, end);
		assert_int_equal(gate_left(&f->gate), 0);
	}
}

/* A peer that sends less than TLS has: EXPORT refuses what is left. */
static void what_was_read_behind_the_end_is_left(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
	put_record(RECORD_DATA, 4);
	put_record(RECORD_DATA, 1000);
	assert_int_equal(read_once(f, 6), 6);
	assert_int_equal(read_once(f, 9), 9);
	assert_int_equal(tp.used, LEAST_FINISHED);
	assert_int_equal(gate_left(&f->gate), LEAST_FINISHED - 6 - 9);
}

/* By a loop that is told again as long as there is something to read. */
static void behind_a_flight_of_ours_the_answer_is_waited_for(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	f->gate.told_again = true;
	put_record(RECORD_DATA, 53);
	assert_int_equal(BIO_write(f->bio, "flight", 6), 6);
	assert_int_equal(read_once(f, 5), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_true(BIO_should_read(f->bio));
	assert_int_equal(tp.n_recv, 0);
	assert_int_equal(read_once(f, 5), 5);
}

static void a_read_never_joins_two_records(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, 10);
	put_record(RECORD_HANDSHAKE, 10);
	assert_int_equal(read_once(f, 1000), 15);
	assert_int_equal(read_once(f, 1000), 15);
	assert_int_equal(tp.n_recv, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_read_past_the_handshake),
		TEST(few_receives_when_all_is_there),
		TEST(a_first_flight_takes_one_receive),
		TEST(behind_a_short_receive_the_end_is_found),
		TEST(of_a_first_flight_nothing_is_lost),
		TEST(of_a_finished_in_pieces_nothing_is_read_ahead),
		TEST(what_was_read_behind_the_end_is_left),
		TEST(behind_a_flight_of_ours_the_answer_is_waited_for),
		TEST(a_read_never_joins_two_records),
	};

	return cmocka_run_group_tests_name("unit/gate_reach", tests, NULL, NULL);
}
