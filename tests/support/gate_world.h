/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gate stands between in its unit test: a scripted transport, streams of handshake records,
 * and a memory that can run out. Included by the programs about the gate.
 */
#ifndef SLUICE_TESTS_SUPPORT_GATE_WORLD_H
#define SLUICE_TESTS_SUPPORT_GATE_WORLD_H

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
#define LEAST_FINISHED 37
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
	bool answers; /* the gate is a server's, which may take all of a first flight */
	int end_err;
	bool err_due;
	bool end_told; /* a receive has found the end */
	unsigned int n_recv;

	uint8_t sent[STREAM_MAX];
	size_t sent_len, room; /* what one send takes at most; 0: all */
	int send_errs[4];      /* one per send, 0: it works */
	unsigned int n_send;
} tp;

/*
 * The end of what the gate may ask for now: what is certain to come of a handshake. At the beginning of a record
 * a Finished is due, also behind a ChangeCipherSpec and a message in the clear before one; an encrypted record may be
 * the last, and each behind the first of them.
 */
static size_t certain_end(void)
{
	bool ccs = false, finishing = false;
	size_t at = 0, end;
	uint8_t type;

	for (;;) {
		if (at + RECORD_HEADER_LEN > tp.used)
			return at + (finishing ? RECORD_HEADER_LEN : LEAST_FINISHED);
		type = tp.stream[at];
		finishing |= type == RECORD_DATA || (type == RECORD_HANDSHAKE && ccs);
		end = at + RECORD_HEADER_LEN + ((size_t)tp.stream[at + 3] << 8 | tp.stream[at + 4]);
		ccs |= type == RECORD_CHANGE_CIPHER_SPEC;
		if (end > tp.used)
			return !finishing && (type == RECORD_CHANGE_CIPHER_SPEC ||
					      type == RECORD_HANDSHAKE)
				       ? end + LEAST_FINISHED
				       : end;
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
	/* What stands behind the handshake belongs to the record path. */
	if (!tp.answers)
		assert_int_equal(tp.used + n, certain_end());
	tp.n_recv++;
	if (tp.err && tp.err_due) {
		tp.err_due = false;
		errno = tp.err;
		return -1;
	}
	tp.err_due = true;
	if (!left) {
		tp.end_told = true;
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

__attribute__((unused)) static void put_handshake(const uint8_t *message, size_t len)
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
__attribute__((unused)) static size_t make_hello(uint8_t *out, size_t len, const uint8_t random[32])
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

/*
 * Reads pieces of @want bytes until a read does not go through; retries what can be retried, as whoever is told
 * that the socket is readable.
 */
static int read_all(struct fixture *f, size_t want)
{
	unsigned int turns = 0;
	int n;

	tp.end_told = false;
	for (;;) {
		n = read_once(f, want);
		if (n <= 0 && (f->gate.status != GATE_WANT_READ || tp.end_told))
			return n;
		if (n <= 0)
			assert_true(BIO_should_read(f->bio));
		assert_true(turns++ < 4 * STREAM_MAX);
	}
}

__attribute__((unused)) static void assert_refused(const struct fixture *f, int code, int alert)
{
	assert_int_equal(f->gate.status, GATE_REFUSED);
	assert_int_equal(f->gate.code, code);
	assert_int_equal(f->gate.alert, alert);
	assert_non_null(f->gate.text);
	assert_false(BIO_should_retry(f->bio));
}

#endif
