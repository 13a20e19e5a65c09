/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate over a scripted transport: what it asks the socket for, what it lets through to
 * BoringSSL, what it holds back and what it refuses. Linked with --wrap=malloc,--wrap=realloc.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/bio.h>

#include <sluice/error.h>

#include "bssl/gate.h"
#include "core/sys.h"
#include "record/record.h"
#include "tls/control.h"

#include "support/gate_world.h"

/* --- reading ----------------------------------------------------------------------------- */

static void would_block_and_interrupts_lose_nothing(void **state)
{
	static const int errs[] = { EAGAIN, EINTR };
	struct fixture *f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(errs); i++) {
		f = start(NO_LIMIT);
		tp.piece = 1;
		tp.err = errs[i];
		put_record(RECORD_HANDSHAKE, 40);
		put_record(RECORD_DATA, 40);
		read_all(f, 16);
		assert_int_equal(f->got_len, tp.len);
		assert_memory_equal(f->got, tp.stream, tp.len);
	}
}

static void the_end_is_told_wherever_it_comes(void **state)
{
	struct fixture *f;
	size_t cut;

	for (cut = 0; cut <= 2 * 15; cut++) {
		f = start(NO_LIMIT);
		put_record(RECORD_HANDSHAKE, 10);
		put_record(RECORD_HANDSHAKE, 10);
		tp.len = cut;
		tp.at_end = true;
		assert_int_equal(read_all(f, 15), 0);
		assert_int_equal(f->gate.status, GATE_EOF);
		assert_false(BIO_should_retry(f->bio));
		/* Half a record is nobody's. */
		assert_int_equal(f->got_len, cut / 15 * 15);
	}
}

static void a_failed_receive_keeps_its_errno(void **state)
{
	static const struct {
		int err, code;
	} rows[] = { { ECONNRESET, SLUICE_E_RESET },
		     { ETIMEDOUT, SLUICE_E_IO },
		     { ENOMEM, SLUICE_E_NOMEM } };
	struct fixture *f;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		f = start(NO_LIMIT);
		PUT("\x16\3");
		tp.end_err = rows[i].err;
		assert_int_equal(read_all(f, 5), -1);
		assert_int_equal(f->gate.status, GATE_FAILED);
		assert_int_equal(f->gate.code, rows[i].code);
		assert_int_equal(f->gate.sys_errno, rows[i].err);
		assert_false(BIO_should_retry(f->bio));
		/* It is final. */
		tp.end_err = 0;
		put_record(RECORD_HANDSHAKE, 1);
		assert_int_equal(read_once(f, 5), -1);
		assert_int_equal(f->gate.status, GATE_FAILED);
	}
}

static void out_of_memory_is_an_error_of_the_gate(void **state)
{
	uint8_t hello[100];
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, 10);
	memory_is_full = true;
	assert_int_equal(read_once(f, 5), -1);
	memory_is_full = false;
	assert_int_equal(f->gate.status, GATE_FAILED);
	assert_int_equal(f->gate.code, SLUICE_E_NOMEM);
	assert_int_equal(f->gate.sys_errno, ENOMEM);
	assert_int_equal(tp.used, 0);

	/* The record has room, the copy of the hello has none. */
	f = start(NO_LIMIT);
	f->gate.hold_hello = true;
	put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
	put_handshake(hello, make_hello(hello, sizeof(hello), NULL));
	assert_int_equal(read_once(f, 6), 6);
	memory_is_full = true;
	assert_int_equal(read_once(f, 5), -1);
	memory_is_full = false;
	assert_int_equal(f->gate.status, GATE_FAILED);
	assert_int_equal(f->gate.code, SLUICE_E_NOMEM);
}

/* --- refusing ---------------------------------------------------------------------------- */

static void http_requests_are_named(void **state)
{
	static const char *const requests[] = {
		"GET / HTTP/1.1\r\n",     "HEAD / HTTP/1.1\r\n",    "POST /form HTTP/1.1\r\n",
		"PUT /x HTTP/1.1\r\n",    "DELETE /x HTTP/1.1\r\n", "CONNECT a:443 HTTP/1.1\r\n",
		"OPTIONS * HTTP/1.1\r\n", "TRACE / HTTP/1.1\r\n",   "PATCH / HTTP/1.1\r\n",
		"PRI * HTTP/2.0\r\n",
	};
	struct fixture *f;
	unsigned int n_recv;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(requests); i++) {
		f = start(NO_LIMIT);
		put_bytes(requests[i], strlen(requests[i]));
		assert_int_equal(read_all(f, 5), -1);
		assert_refused(f, SLUICE_E_HTTP_REQUEST, -1);
		/* It is final: nothing more is taken from the socket. */
		n_recv = tp.n_recv;
		assert_int_equal(read_once(f, 5), -1);
		assert_refused(f, SLUICE_E_HTTP_REQUEST, -1);
		assert_int_equal(tp.n_recv, n_recv);
		assert_int_equal(f->got_len, 0);
	}
}

static void a_version_2_hello_is_refused(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	PUT("\x80\x2e\1\3\1\0\x15\0\0\0\x10");
	assert_int_equal(read_all(f, 5), -1);
	assert_refused(f, SLUICE_E_UNSUPPORTED_VERSION, SLUICE_ALERT_PROTOCOL_VERSION);
}

static void what_is_not_a_record_is_not_tls(void **state)
{
	struct fixture *f;
	unsigned int type;

	for (type = 0; type < 256; type++) {
		f = start(NO_LIMIT);
		put_header(type, 1);
		PUT("\1");
		read_all(f, 5);
		if (type >= RECORD_CHANGE_CIPHER_SPEC && type <= RECORD_DATA) {
			assert_int_equal(f->gate.status, GATE_WANT_READ);
			assert_int_equal(f->got_len, tp.len);
		} else {
			assert_refused(f, SLUICE_E_NOT_TLS, SLUICE_ALERT_UNEXPECTED_MESSAGE);
			assert_int_equal(f->got_len, 0);
		}
	}
}

static void a_record_of_another_major_version_is_not_tls(void **state)
{
	static const uint8_t majors[] = { 0, 2, 4, 254 };
	struct fixture *f;
	size_t i, first;

	for (first = 0; first < 2; first++) {
		for (i = 0; i < ARRAY_SIZE(majors); i++) {
			f = start(NO_LIMIT);
			if (!first)
				put_record(RECORD_HANDSHAKE, 4);
			put_record(RECORD_HANDSHAKE, 4);
			tp.stream[tp.len - 8] = majors[i];
			assert_int_equal(read_all(f, 9), -1);
			assert_refused(f, SLUICE_E_NOT_TLS, SLUICE_ALERT_PROTOCOL_VERSION);
			assert_int_equal(f->got_len, first ? 0 : 9);
		}
	}
}

/* Later records are BoringSSL's: it knows which types may come, and says so by an alert. */
static void only_the_first_record_decides_about_plain_text(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, 4);
	put_record(99, 4);
	assert_int_equal(read_all(f, 9), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_int_equal(f->got_len, 18);
}

static void too_long_a_record_is_refused_by_its_header(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, RECORD_MAX_CIPHER_TLS13);
	assert_int_equal(read_all(f, LARGEST), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_int_equal(f->got_len, LARGEST);

	f = start(NO_LIMIT);
	put_record(RECORD_HANDSHAKE, RECORD_MAX_CIPHER_TLS13 + 1);
	assert_int_equal(read_all(f, LARGEST), -1);
	assert_refused(f, SLUICE_E_RECORD_OVERFLOW, SLUICE_ALERT_RECORD_OVERFLOW);
	assert_int_equal(tp.used, LEAST_FINISHED);
}

static void the_bytes_of_a_handshake_are_bounded(void **state)
{
	struct fixture *f;
	int over;

	for (over = 0; over < 2; over++) {
		f = start(2 * (RECORD_HEADER_LEN + 100));
		put_record(RECORD_HANDSHAKE, 100);
		put_record(RECORD_HANDSHAKE, 100 + over);
		assert_int_equal(read_all(f, 105), -1);
		if (over) {
			assert_refused(f, SLUICE_E_HANDSHAKE_TOO_LARGE,
				       SLUICE_ALERT_HANDSHAKE_FAILURE);
			assert_int_equal(tp.used, 105 + LEAST_FINISHED);
		} else {
			assert_int_equal(f->gate.status, GATE_WANT_READ);
			assert_int_equal(f->got_len, 210);
		}
	}
}

/* --- holding ----------------------------------------------------------------------------- */

static struct fixture *start_holding(void)
{
	struct fixture *f = start(NO_LIMIT);

	f->gate.hold_hello = true;
	return f;
}

/* What is held is @hello; once released, all of the stream goes through. */
static void assert_held(struct fixture *f, const uint8_t *hello, size_t hello_len)
{
	assert_int_equal(f->gate.status, GATE_HELD);
	assert_int_equal(f->gate.hello_len, hello_len);
	assert_memory_equal(f->gate.hello, hello, hello_len);
	assert_true(BIO_should_read(f->bio));
	/* It stays held, without another look at the socket. */
	tp.at_end = true;
	assert_int_equal(read_once(f, 5), -1);
	assert_int_equal(f->gate.status, GATE_HELD);
	gate_release(&f->gate);
	assert_int_equal(f->gate.status, GATE_OPEN);
	assert_int_equal(read_all(f, 100), 0);
	assert_int_equal(f->got_len, tp.len);
	assert_memory_equal(f->got, tp.stream, tp.len);
}

static void a_server_hello_is_held(void **state)
{
	uint8_t hello[90];
	struct fixture *f;
	size_t piece;

	make_hello(hello, sizeof(hello), NULL);
	for (piece = 0; piece < 8; piece++) {
		f = start_holding();
		tp.piece = piece;
		put_handshake(hello, sizeof(hello));
		put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
		put_record(RECORD_DATA, 500);
		assert_int_equal(read_all(f, 5), -1);
		assert_int_equal(f->got_len, 0);
		/* What follows is in the socket still, but for what must be of the handshake. */
		assert_in_range(tp.used, RECORD_HEADER_LEN + sizeof(hello),
				RECORD_HEADER_LEN + sizeof(hello) + LEAST_FINISHED);
		assert_held(f, hello, sizeof(hello));
	}
}

/* A client that refuses the hello lets BoringSSL have it, for the keys of the alert, and no more. */
static void nothing_goes_through_behind_a_refused_hello(void **state)
{
	uint8_t hello[90];
	struct fixture *f = start_holding();
	unsigned int n_recv;

	put_handshake(hello, make_hello(hello, sizeof(hello), NULL));
	put_record(RECORD_DATA, 500);
	read_all(f, 5);
	assert_int_equal(f->gate.status, GATE_HELD);
	n_recv = tp.n_recv;
	gate_release(&f->gate);
	f->gate.stop_behind = true;
	assert_int_equal(read_once(f, 5), 5);
	assert_int_equal(read_once(f, 1000), sizeof(hello));
	assert_int_equal(read_once(f, 5), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_true(BIO_should_read(f->bio));
	assert_int_equal(tp.n_recv, n_recv);
	assert_int_equal(BIO_write(f->bio, "\x15\3\3\0\2\2\x5a", 7), 7);
}

static void a_hello_with_others_in_its_record_is_held(void **state)
{
	uint8_t flight[3000];
	struct fixture *f = start_holding();

	make_hello(flight, sizeof(flight), NULL);
	make_hello(flight, 90, NULL);
	put_handshake(flight, sizeof(flight));
	read_all(f, 5);
	assert_held(f, flight, 90);
}

static void a_hello_in_several_records_is_held_at_its_last(void **state)
{
	uint8_t hello[90];
	struct fixture *f;
	size_t cut;

	make_hello(hello, sizeof(hello), NULL);
	for (cut = 1; cut < sizeof(hello); cut++) {
		f = start_holding();
		put_handshake(hello, cut);
		put_handshake(hello + cut, 0);
		put_handshake(hello + cut, sizeof(hello) - cut);
		read_all(f, 7);
		assert_int_equal(f->got_len, 2 * RECORD_HEADER_LEN + cut);
		assert_held(f, hello, sizeof(hello));
	}
}

/* A first record that has only begun the hello, and a second one full of certificates. */
static void a_hello_in_front_of_a_full_record_is_held(void **state)
{
	static uint8_t flight[RECORD_MAX_PLAIN + 1];
	struct fixture *f = start_holding();

	make_hello(flight, sizeof(flight), NULL);
	make_hello(flight, 90, NULL);
	put_handshake(flight, 1);
	put_handshake(flight + 1, RECORD_MAX_PLAIN);
	read_all(f, 5);
	assert_held(f, flight, 90);
}

static void a_retry_request_goes_through(void **state)
{
	uint8_t retry[60], hello[90];
	struct fixture *f = start_holding();

	put_handshake(retry, make_hello(retry, sizeof(retry), retry_random));
	put_record(RECORD_CHANGE_CIPHER_SPEC, 1);
	put_handshake(hello, make_hello(hello, sizeof(hello), NULL));
	read_all(f, 100);
	assert_int_equal(f->got_len, 65 + 6);
	assert_held(f, hello, sizeof(hello));
}

/* Any other random is a hello's, however near it comes. */
static void a_random_like_that_of_a_retry_is_held(void **state)
{
	uint8_t hello[90], random[32];
	struct fixture *f;
	int i;

	for (i = 0; i < 32; i++) {
		memcpy(random, retry_random, sizeof(random));
		random[i] ^= 1;
		f = start_holding();
		put_handshake(hello, make_hello(hello, sizeof(hello), random));
		read_all(f, 100);
		assert_held(f, hello, sizeof(hello));
	}
}

/* A hello too short for a random is still a hello; that it cannot be parsed is found out later. */
static void a_short_hello_is_held(void **state)
{
	uint8_t hello[90];
	struct fixture *f;
	size_t len;

	for (len = 6; len < 38; len++) {
		f = start_holding();
		make_hello(hello, 90, retry_random);
		hello[3] = len - 4;
		put_handshake(hello, len);
		read_all(f, 100);
		assert_held(f, hello, len);
	}
}

static void what_is_not_a_server_hello_is_not_held(void **state)
{
	uint8_t message[60];
	struct fixture *f;
	unsigned int type;

	for (type = 0; type < 30; type++) {
		if (type == 2)
			continue;
		f = start_holding();
		make_hello(message, sizeof(message), NULL);
		message[0] = type;
		put_handshake(message, sizeof(message));
		tp.at_end = true;
		assert_int_equal(read_all(f, 100), 0);
		assert_int_equal(f->got_len, tp.len);
	}
	f = start_holding();
	put_record(RECORD_ALERT, 2);
	tp.at_end = true;
	assert_int_equal(read_all(f, 100), 0);
	assert_int_equal(f->got_len, tp.len);
}

static void a_server_hello_without_end_is_refused(void **state)
{
	static uint8_t hello[20000];
	struct fixture *f = start_holding();

	make_hello(hello, sizeof(hello), NULL);
	put_handshake(hello, 10000);
	put_handshake(hello + 10000, 10000);
	read_all(f, 20000);
	assert_refused(f, SLUICE_E_PROTOCOL, SLUICE_ALERT_ILLEGAL_PARAMETER);
}

/* --- writing ----------------------------------------------------------------------------- */

static void a_flight_goes_out_as_the_socket_has_room(void **state)
{
	struct fixture *f = start(NO_LIMIT);
	uint8_t flight[1000];
	size_t sent = 0;
	int n;

	memset(flight, 0x5a, sizeof(flight));
	tp.room = 300;
	while (sent < sizeof(flight)) {
		n = BIO_write(f->bio, flight + sent, sizeof(flight) - sent);
		assert_true(n > 0 && n <= 300);
		sent += n;
	}
	assert_int_equal(BIO_flush(f->bio), 1);
	assert_int_equal(tp.n_send, 4);
	assert_int_equal(tp.sent_len, sizeof(flight));
	assert_memory_equal(tp.sent, flight, sizeof(flight));
	assert_int_equal(f->gate.bytes_out, sizeof(flight));
}

static void a_full_socket_is_waited_for(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	tp.send_errs[0] = EINTR;
	tp.send_errs[1] = EAGAIN;
	assert_int_equal(BIO_write(f->bio, "abc", 3), -1);
	assert_int_equal(f->gate.status, GATE_WANT_WRITE);
	assert_true(BIO_should_write(f->bio));
	assert_false(BIO_should_read(f->bio));
	assert_int_equal(BIO_write(f->bio, "abc", 3), 3);
	assert_false(BIO_should_retry(f->bio));
	assert_int_equal(tp.n_send, 3);
}

static void a_failed_send_keeps_its_errno(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	tp.send_errs[0] = EPIPE;
	assert_int_equal(BIO_write(f->bio, "abc", 3), -1);
	assert_int_equal(f->gate.status, GATE_FAILED);
	assert_int_equal(f->gate.code, SLUICE_E_RESET);
	assert_int_equal(f->gate.sys_errno, EPIPE);
	assert_false(BIO_should_retry(f->bio));
}

/* The alert for a refused peer goes through the gate that refused it. */
static void a_refusal_does_not_stop_writing(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	PUT("SSH-2.0-OpenSSH\r\n");
	read_all(f, 5);
	assert_refused(f, SLUICE_E_NOT_TLS, SLUICE_ALERT_UNEXPECTED_MESSAGE);
	assert_int_equal(BIO_write(f->bio, "\x15\3\1\0\2\2\x0a", 7), 7);
	assert_int_equal(tp.sent_len, 7);
	assert_refused(f, SLUICE_E_NOT_TLS, SLUICE_ALERT_UNEXPECTED_MESSAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(would_block_and_interrupts_lose_nothing),
		TEST(the_end_is_told_wherever_it_comes),
		TEST(a_failed_receive_keeps_its_errno),
		TEST(out_of_memory_is_an_error_of_the_gate),
		TEST(http_requests_are_named),
		TEST(a_version_2_hello_is_refused),
		TEST(what_is_not_a_record_is_not_tls),
		TEST(a_record_of_another_major_version_is_not_tls),
		TEST(only_the_first_record_decides_about_plain_text),
		TEST(too_long_a_record_is_refused_by_its_header),
		TEST(the_bytes_of_a_handshake_are_bounded),
		TEST(a_server_hello_is_held),
		TEST(nothing_goes_through_behind_a_refused_hello),
		TEST(a_hello_with_others_in_its_record_is_held),
		TEST(a_hello_in_several_records_is_held_at_its_last),
		TEST(a_hello_in_front_of_a_full_record_is_held),
		TEST(a_retry_request_goes_through),
		TEST(a_random_like_that_of_a_retry_is_held),
		TEST(a_short_hello_is_held),
		TEST(what_is_not_a_server_hello_is_not_held),
		TEST(a_server_hello_without_end_is_refused),
		TEST(a_flight_goes_out_as_the_socket_has_room),
		TEST(a_full_socket_is_waited_for),
		TEST(a_failed_send_keeps_its_errno),
		TEST(a_refusal_does_not_stop_writing),
	};

	return cmocka_run_group_tests_name("unit/gate", tests, NULL, NULL);
}
