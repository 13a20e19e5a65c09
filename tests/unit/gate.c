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

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FD 1000
#define NO_LIMIT 1000000
#define STREAM_MAX 70000
#define LARGEST (RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS13)

/* --- a memory that runs out -------------------------------------------------------------- */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool memory_is_full;

void *__wrap_malloc(size_t size)
{
	return memory_is_full ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return memory_is_full ? NULL : __real_realloc(p, size);
}

/* --- the transport ----------------------------------------------------------------------- */

/*
 * struct transport - gives @stream in pieces of at most @piece bytes, with errno @err between two
 * of them; at the end of the stream it is at EOF, or not yet (EAGAIN), or broken (@end_err).
 */
static struct transport {
	uint8_t stream[STREAM_MAX];
	size_t len, used;
	size_t piece; /* 0: all that is asked for */
	int err;      /* 0: nothing between the pieces */
	bool at_end;  /* EOF follows */
	int end_err;
	bool err_due;
	unsigned int n_recv;

	uint8_t sent[STREAM_MAX];
	size_t sent_len, room; /* what one send takes at most; 0: all */
	int send_errs[4];      /* one per send, 0: it works */
	unsigned int n_send;
} tp;

/* The end of what the gate may ask for now: of a header, or of the record that it announces. */
static size_t exact_end(void)
{
	size_t at = 0, end;

	for (;;) {
		if (at + RECORD_HEADER_LEN > tp.used)
			return at + RECORD_HEADER_LEN;
		end = at + RECORD_HEADER_LEN + ((size_t)tp.stream[at + 3] << 8 | tp.stream[at + 4]);
		if (end > tp.used)
			return end;
		at = end;
	}
}

static ssize_t fake_recvmsg(int fd, struct msghdr *msg, int flags)
{
	size_t n = msg->msg_iov[0].iov_len, left = tp.len - tp.used;

	assert_int_equal(fd, FD);
	assert_int_equal(flags, MSG_DONTWAIT);
	assert_int_equal(msg->msg_iovlen, 1);
	assert_true(n > 0);
	/* What stands behind the record belongs to the record path. */
	assert_int_equal(tp.used + n, exact_end());
	tp.n_recv++;
	if (tp.err && tp.err_due) {
		tp.err_due = false;
		errno = tp.err;
		return -1;
	}
	tp.err_due = true;
	if (!left) {
		errno = tp.end_err ? tp.end_err : EAGAIN;
		return tp.at_end ? 0 : -1;
	}
	if (n > left)
		n = left;
	if (tp.piece && n > tp.piece)
		n = tp.piece;
	memcpy(msg->msg_iov[0].iov_base, tp.stream + tp.used, n);
	tp.used += n;
	return n;
}

static ssize_t fake_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	size_t n = msg->msg_iov[0].iov_len;
	int err = tp.n_send < ARRAY_SIZE(tp.send_errs) ? tp.send_errs[tp.n_send] : 0;

	assert_int_equal(fd, FD);
	assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
	assert_int_equal(msg->msg_iovlen, 1);
	tp.n_send++;
	if (err) {
		errno = err;
		return -1;
	}
	if (tp.room && n > tp.room)
		n = tp.room;
	memcpy(tp.sent + tp.sent_len, msg->msg_iov[0].iov_base, n);
	tp.sent_len += n;
	return n;
}

/* --- building a stream ------------------------------------------------------------------- */

static void put_bytes(const void *bytes, size_t len)
{
	assert_true(tp.len + len <= sizeof(tp.stream));
	memcpy(tp.stream + tp.len, bytes, len);
	tp.len += len;
}

#define PUT(string) put_bytes(string, sizeof(string) - 1)

static void put_header(uint8_t type, size_t len)
{
	const uint8_t header[] = { type, 3, 3, len >> 8, len & 0xff };

	put_bytes(header, sizeof(header));
}

/* A record whose bytes tell their position. */
static void put_record(uint8_t type, size_t len)
{
	uint8_t byte;

	put_header(type, len);
	while (len--) {
		byte = tp.len * 31;
		put_bytes(&byte, 1);
	}
}

static void put_handshake(const uint8_t *message, size_t len)
{
	put_header(RECORD_HANDSHAKE, len);
	put_bytes(message, len);
}

/* RFC 8446, 4.1.3: this random makes a HelloRetryRequest of a ServerHello. */
static const uint8_t retry_random[32] = { 0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11,
					  0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
					  0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e,
					  0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c };

/* A message of the shape of a ServerHello; its length is that of the body and the header. */
static size_t make_hello(uint8_t *out, size_t len, const uint8_t random[32])
{
	size_t body = len - 4, i;

	for (i = 0; i < len; i++)
		out[i] = i * 7 + 1;
	out[0] = 2;
	out[1] = body >> 16;
	out[2] = body >> 8;
	out[3] = body;
	out[4] = 3;
	out[5] = 3;
	if (random)
		memcpy(out + 6, random, 32);
	return len;
}

/* --- one gate ---------------------------------------------------------------------------- */

struct fixture {
	struct gate gate;
	BIO *bio;
	uint8_t got[STREAM_MAX];
	size_t got_len;
};

static struct sys_ops fake_sys;
static struct fixture fixture;

static struct fixture *start(size_t max_in)
{
	gate_deinit(&fixture.gate);
	BIO_free(fixture.bio);
	memset(&tp, 0, sizeof(tp));
	fixture.got_len = 0;
	gate_init(&fixture.gate, FD, max_in);
	fixture.bio = gate_bio(&fixture.gate);
	assert_non_null(fixture.bio);
	return &fixture;
}

static int setup(void **state)
{
	fake_sys = sys_real;
	fake_sys.recvmsg = fake_recvmsg;
	fake_sys.sendmsg = fake_sendmsg;
	sys = &fake_sys;
	memory_is_full = false;
	memset(&fixture, 0, sizeof(fixture));
	return 0;
}

static int teardown(void **state)
{
	BIO_free(fixture.bio);
	gate_deinit(&fixture.gate);
	gate_deinit(&fixture.gate); /* may be called twice */
	sys = &sys_real;
	return 0;
}

/* Reads once, as BoringSSL would. Returns what the BIO returned. */
static int read_once(struct fixture *f, size_t want)
{
	int n = BIO_read(f->bio, f->got + f->got_len, want);

	if (n > 0)
		f->got_len += n;
	return n;
}

/* Reads pieces of @want bytes until a read does not go through; retries what can be retried. */
static int read_all(struct fixture *f, size_t want)
{
	unsigned int turns = 0;
	int n;

	for (;;) {
		n = read_once(f, want);
		if (n <= 0 && (f->gate.status != GATE_WANT_READ || tp.used == tp.len))
			return n;
		if (n <= 0)
			assert_true(BIO_should_read(f->bio));
		assert_true(turns++ < 4 * STREAM_MAX);
	}
}

static void assert_refused(const struct fixture *f, int code, int alert)
{
	assert_int_equal(f->gate.status, GATE_REFUSED);
	assert_int_equal(f->gate.code, code);
	assert_int_equal(f->gate.alert, alert);
	assert_non_null(f->gate.text);
	assert_false(BIO_should_retry(f->bio));
}

/* --- reading ----------------------------------------------------------------------------- */

static void LC_12_nothing_is_read_past_a_record(void **state)
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

static void two_receives_a_record_when_all_is_there(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, 300);
	assert_int_equal(read_once(f, RECORD_HEADER_LEN), RECORD_HEADER_LEN);
	assert_int_equal(read_once(f, 300), 300);
	assert_int_equal(tp.n_recv, 2);
}

static void a_read_never_joins_two_records(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, 10);
	put_record(RECORD_HANDSHAKE, 10);
	assert_int_equal(read_once(f, 1000), 15);
	assert_int_equal(tp.used, 15);
}

static void AL_07_would_block_and_interrupts_lose_nothing(void **state)
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

static void AL_05_the_end_is_told_wherever_it_comes(void **state)
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

static void AL_07_a_failed_receive_keeps_its_errno(void **state)
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
		assert_int_equal(read_once(f, 5), -1);
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
		assert_int_equal(tp.used, RECORD_HEADER_LEN);
		/* It is final: nothing more is taken from the socket. */
		n_recv = tp.n_recv;
		assert_int_equal(read_once(f, 5), -1);
		assert_refused(f, SLUICE_E_HTTP_REQUEST, -1);
		assert_int_equal(tp.n_recv, n_recv);
		assert_int_equal(f->got_len, 0);
	}
}

static void LC_54_a_version_2_hello_is_refused(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	PUT("\x80\x2e\1\3\1\0\x15\0\0\0\x10");
	assert_int_equal(read_all(f, 5), -1);
	assert_refused(f, SLUICE_E_UNSUPPORTED_VERSION, ALERT_PROTOCOL_VERSION);
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
			assert_refused(f, SLUICE_E_NOT_TLS, ALERT_UNEXPECTED_MESSAGE);
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
			assert_refused(f, SLUICE_E_NOT_TLS, ALERT_PROTOCOL_VERSION);
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

static void AL_15_too_long_a_record_is_refused_by_its_header(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	put_record(RECORD_HANDSHAKE, RECORD_MAX_CIPHER_TLS13);
	assert_int_equal(read_all(f, LARGEST), -1);
	assert_int_equal(f->gate.status, GATE_WANT_READ);
	assert_int_equal(f->got_len, LARGEST);

	f = start(NO_LIMIT);
	put_record(RECORD_HANDSHAKE, RECORD_MAX_CIPHER_TLS13 + 1);
	assert_int_equal(read_all(f, LARGEST), -1);
	assert_refused(f, SLUICE_E_RECORD_OVERFLOW, ALERT_RECORD_OVERFLOW);
	assert_int_equal(tp.used, RECORD_HEADER_LEN);
}

static void OC_49_the_bytes_of_a_handshake_are_bounded(void **state)
{
	struct fixture *f;
	int over;

	for (over = 0; over < 2; over++) {
		f = start(2 * (RECORD_HEADER_LEN + 100));
		put_record(RECORD_HANDSHAKE, 100);
		put_record(RECORD_HANDSHAKE, 100 + over);
		assert_int_equal(read_all(f, 105), -1);
		if (over) {
			assert_refused(f, SLUICE_E_HANDSHAKE_TOO_LARGE, ALERT_HANDSHAKE_FAILURE);
			assert_int_equal(tp.used, 105 + RECORD_HEADER_LEN);
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

static void LC_15_a_server_hello_is_held(void **state)
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
		/* What follows is in the socket still. */
		assert_int_equal(tp.used, RECORD_HEADER_LEN + sizeof(hello));
		assert_held(f, hello, sizeof(hello));
	}
}

static void LC_15_a_hello_with_others_in_its_record_is_held(void **state)
{
	uint8_t flight[3000];
	struct fixture *f = start_holding();

	make_hello(flight, sizeof(flight), NULL);
	make_hello(flight, 90, NULL);
	put_handshake(flight, sizeof(flight));
	read_all(f, 5);
	assert_held(f, flight, 90);
}

static void LC_15_a_hello_in_several_records_is_held_at_its_last(void **state)
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
static void LC_15_a_hello_in_front_of_a_full_record_is_held(void **state)
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

static void LC_15_a_retry_request_goes_through(void **state)
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
static void LC_15_a_random_like_that_of_a_retry_is_held(void **state)
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
static void LC_15_a_short_hello_is_held(void **state)
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
	assert_refused(f, SLUICE_E_PROTOCOL, ALERT_ILLEGAL_PARAMETER);
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

static void AL_07_a_failed_send_keeps_its_errno(void **state)
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
static void AL_09_a_refusal_does_not_stop_writing(void **state)
{
	struct fixture *f = start(NO_LIMIT);

	PUT("SSH-2.0-OpenSSH\r\n");
	read_all(f, 5);
	assert_refused(f, SLUICE_E_NOT_TLS, ALERT_UNEXPECTED_MESSAGE);
	assert_int_equal(BIO_write(f->bio, "\x15\3\1\0\2\2\x0a", 7), 7);
	assert_int_equal(tp.sent_len, 7);
	assert_refused(f, SLUICE_E_NOT_TLS, ALERT_UNEXPECTED_MESSAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(LC_12_nothing_is_read_past_a_record),
		TEST(two_receives_a_record_when_all_is_there),
		TEST(a_read_never_joins_two_records),
		TEST(AL_07_would_block_and_interrupts_lose_nothing),
		TEST(AL_05_the_end_is_told_wherever_it_comes),
		TEST(AL_07_a_failed_receive_keeps_its_errno),
		TEST(out_of_memory_is_an_error_of_the_gate),
		TEST(http_requests_are_named),
		TEST(LC_54_a_version_2_hello_is_refused),
		TEST(what_is_not_a_record_is_not_tls),
		TEST(a_record_of_another_major_version_is_not_tls),
		TEST(only_the_first_record_decides_about_plain_text),
		TEST(AL_15_too_long_a_record_is_refused_by_its_header),
		TEST(OC_49_the_bytes_of_a_handshake_are_bounded),
		TEST(LC_15_a_server_hello_is_held),
		TEST(LC_15_a_hello_with_others_in_its_record_is_held),
		TEST(LC_15_a_hello_in_several_records_is_held_at_its_last),
		TEST(LC_15_a_hello_in_front_of_a_full_record_is_held),
		TEST(LC_15_a_retry_request_goes_through),
		TEST(LC_15_a_random_like_that_of_a_retry_is_held),
		TEST(LC_15_a_short_hello_is_held),
		TEST(what_is_not_a_server_hello_is_not_held),
		TEST(a_server_hello_without_end_is_refused),
		TEST(a_flight_goes_out_as_the_socket_has_room),
		TEST(a_full_socket_is_waited_for),
		TEST(AL_07_a_failed_send_keeps_its_errno),
		TEST(AL_09_a_refusal_does_not_stop_writing),
	};

	return cmocka_run_group_tests_name("unit/gate", tests, NULL, NULL);
}
