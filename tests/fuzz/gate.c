/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate under arbitrary bytes in arbitrary pieces. Whatever comes: it asks the socket for no
 * byte behind the record that it is in, it gives out the stream's bytes in order or none, and what
 * it holds is a ServerHello that lies in the stream.
 *
 * The input: a byte of flags, a byte for the bound on the handshake, two numbers that cut the
 * stream into receives and reads, and then the stream.
 */
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>

#include "bssl/gate.h"
#include "core/sys.h"
#include "record/record.h"

#define HEAD 4
#define LEAST_FINISHED 37
#define FLAG_HOLD 1
#define FLAG_BLOCKS 2
#define FLAG_EOF 4
#define FLAG_STOP 8
#define FLAG_ANSWERS 16 /* a server's, which may take all of a first flight */

#define SERVER_HELLO 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	const uint8_t *bytes;
	size_t len, used;
	size_t piece;
	bool blocks, block_due, at_end, answers;
} stream;

/* How far it is certain that a handshake goes on: see tests/support/gate_world.h. */
static size_t max_ask(void)
{
	bool ccs = false, finishing = false;
	size_t at = 0, end;
	uint8_t type;

	for (;;) {
		if (at + RECORD_HEADER_LEN > stream.used)
			return at + (finishing ? RECORD_HEADER_LEN : LEAST_FINISHED) - stream.used;
		type = stream.bytes[at];
		finishing |= type == RECORD_DATA || (type == RECORD_HANDSHAKE && ccs);
		end = at + RECORD_HEADER_LEN +
		      ((size_t)stream.bytes[at + 3] << 8 | stream.bytes[at + 4]);
		ccs |= type == RECORD_CHANGE_CIPHER_SPEC;
		if (end > stream.used)
			return (!finishing && (type == RECORD_CHANGE_CIPHER_SPEC ||
					       type == RECORD_HANDSHAKE)
					? end + LEAST_FINISHED
					: end) -
			       stream.used;
		at = end;
	}
}

static ssize_t fuzz_recvmsg(int fd, struct msghdr *msg, int flags)
{
	size_t n = msg->msg_iov[0].iov_len;

	assert(msg->msg_iovlen == 1 && n > 0 && (stream.answers || n <= max_ask()));
	if (stream.blocks && (stream.block_due = !stream.block_due)) {
		errno = EAGAIN;
		return -1;
	}
	if (n > stream.len - stream.used)
		n = stream.len - stream.used;
	if (n > stream.piece)
		n = stream.piece;
	if (n == 0 && !stream.at_end) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(msg->msg_iov[0].iov_base, stream.bytes + stream.used, n);
	stream.used += n;
	return n;
}

static void check_held(const struct gate *gate)
{
	const uint8_t *hello = gate->hello;
	size_t len;

	assert(gate->hello_len >= 4 && gate->hello_len <= stream.used);
	len = 4 + ((size_t)hello[1] << 16 | (size_t)hello[2] << 8 | hello[3]);
	assert(hello[0] == SERVER_HELLO && len == gate->hello_len);
}

/* Reads until nothing goes through any more; @want bytes at a time. */
static void run(struct gate *gate, BIO *bio, size_t want, bool stops)
{
	static uint8_t out[1 << 16];
	size_t served = 0, before;
	unsigned int idle = 0;
	int n;

	for (;;) {
		before = stream.used;
		n = BIO_read(bio, out, want);
		if (n > 0) {
			assert(gate->status == GATE_OPEN);
			assert(served + n <= stream.used);
			assert(memcmp(out, stream.bytes + served, n) == 0);
			served += n;
			idle = 0;
			continue;
		}
		switch (gate->status) {
		case GATE_HELD:
			check_held(gate);
			gate_release(gate);
			gate->stop_behind = stops;
			continue;
		case GATE_WANT_READ:
			assert(BIO_should_read(bio));
			/* All of the record that was held has gone through, and nothing of what was read behind it. */
			if (gate->stop_behind) {
				assert(served + gate_left(gate) == stream.used);
				return;
			}
			/* A block between two pieces is over when it is asked again, as is an emptied socket. */
			if (stream.used == before && stream.used == stream.len && idle++)
				return;
			continue;
		case GATE_REFUSED:
			assert(gate->code > 0 && gate->text);
			/* fall through */
		case GATE_EOF:
			assert(!BIO_should_retry(bio));
			return;
		case GATE_OPEN:
		case GATE_WANT_WRITE:
		case GATE_FAILED:
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct sys_ops fuzz_sys;
	struct gate gate;
	BIO *bio;

	if (size < HEAD)
		return 0;
	fuzz_sys = sys_real;
	fuzz_sys.recvmsg = fuzz_recvmsg;
	sys = &fuzz_sys;
	memset(&stream, 0, sizeof(stream));
	stream.bytes = data + HEAD;
	stream.len = size - HEAD;
	stream.piece = 1 + data[2] * data[2];
	stream.blocks = data[0] & FLAG_BLOCKS;
	stream.at_end = data[0] & FLAG_EOF;
	stream.answers = data[0] & FLAG_ANSWERS;

	gate_init(&gate, -1, 1 + 64 * (size_t)data[1]);
	gate.hold_hello = data[0] & FLAG_HOLD;
	gate.answers = stream.answers;
	bio = gate_bio(&gate);
	assert(bio);
	run(&gate, bio, 1 + data[3] * (data[3] & 0x0f), data[0] & FLAG_STOP);
	assert(gate.bytes_in == stream.used);
	BIO_free(bio);
	gate_deinit(&gate);
	sys = &sys_real;
	return 0;
}
