/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target: the user record path. The first three bytes choose suite, mode and how the transport
 * cuts; the rest is, by mode, the peer's bytes as they are, the content of records that are sealed
 * properly on their way (so that what lies behind the AEAD is reached), or a program for a sender
 * and a receiver. The last two have a model that says what must come out.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "record/record.h"
#include "support/handmade.h"
#include "support/mem_link.h"

#define MUST(condition)                                                                 \
	do {                                                                            \
		if (!(condition)) {                                                     \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                       \
	} while (0)

#define N_SUITES 12 /* rows of suite_at() */
#define MAX_CONTENT 18600
#define MAX_SENDS 32
#define MAX_SEND 40000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t len;
};

static uint8_t take(struct input *in)
{
	if (in->len == 0)
		return 0;
	in->len--;
	return *in->data++;
}

static size_t take_u16(struct input *in)
{
	size_t high = take(in);

	return high << 8 | take(in);
}

/* The fixed keys of a suite: the bytes 0, 1, 2, ... */
static struct traffic *make_traffic(const struct suite *suite)
{
	struct traffic *rx, *tx;
	uint8_t bytes[88];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	if (suite->version == TLS13) {
		MUST(traffic_new_tls13(&tx, suite, bytes, suite->id == 0x1302 ? 48 : 32, 0) == 0);
		return tx;
	}
	MUST(traffic_new_tls12(&rx, &tx, suite, bytes, traffic_key_block_len(suite), false, 0, 0) ==
	     0);
	traffic_free(rx);
	return tx;
}

/* What is true of every outcome. */
static void check(struct mem_link *link, int r, const struct record *record, uint64_t n_records)
{
	struct record again;
	struct msghdr msg;

	MUST(link->rx->records == n_records);
	MUST(ERR_peek_error() == 0);
	if (r == RECORD_READY) {
		MUST(record->end && record->len <= RECORD_MAX_PLAIN);
		return;
	}
	MUST(r == RECORD_MORE || r == -SLUICE_E_PROTOCOL || r == -SLUICE_E_BAD_RECORD_MAC ||
	     r == -SLUICE_E_RECORD_OVERFLOW);
	/* An error stays; without one the transport may end here. */
	MUST(link->rx->ops->next(link->rx, NULL, 0, &again) == r);
	MUST(link->rx->ops->prep(link->rx, NULL, 0, &msg) == r);
	if (r == RECORD_MORE) {
		MUST(msg.msg_iovlen == 1 && msg.msg_iov[0].iov_len > 0);
		MUST(link->rx->ops->done(link->rx, 0, &msg, &again) == RECORD_EOF);
	}
}

static void run_raw(struct mem_link *link, struct input *in, uint8_t *buf, size_t buf_len)
{
	static uint8_t copy[RECORD_MAX_PLAIN]; /* every byte is there to be read */
	struct record record;
	uint64_t n = 0;
	int r;

	mem_link_put(link, in->data, in->len);
	while ((r = mem_link_recv(link, buf, buf_len, &record)) == RECORD_READY) {
		check(link, r, &record, ++n);
		memcpy(copy, record.data, record.len);
	}
	check(link, r, &record, n);
}

/* RFC 8446, 5.2 and 5.4, RFC 5246, 6.2.3: what protected content stands for. */
static int model(const struct suite *suite, uint8_t outer_type, const uint8_t *content, size_t len,
		 struct record *ret_record)
{
	struct record record = { .type = outer_type, .end = true, .data = content, .len = len };

	if (suite->version == TLS13 && outer_type != RECORD_DATA)
		return -SLUICE_E_PROTOCOL;
	if (len > RECORD_MAX_PLAIN + (size_t)(suite->version == TLS13))
		return -SLUICE_E_RECORD_OVERFLOW;
	if (suite->version == TLS13) {
		while (record.len > 0 && content[record.len - 1] == 0)
			record.len--;
		if (record.len == 0)
			return -SLUICE_E_PROTOCOL;
		record.type = content[--record.len];
	}
	*ret_record = record;
	return RECORD_READY;
}

/* A record's content: fuzzed bytes, then the rest of its length in one value (padding, say). */
static size_t take_content(struct input *in, uint8_t *content)
{
	size_t given = take(in), len = given + (take_u16(in) * (size_t)(take(in) & 1));
	uint8_t fill = take(in);

	if (len > MAX_CONTENT)
		len = MAX_CONTENT;
	memset(content, fill, len);
	for (size_t i = 0; i < given && i < len; i++)
		content[i] = take(in);
	return len;
}

static void run_sealed(struct mem_link *link, const struct traffic *traffic, struct input *in,
		       uint8_t *buf, size_t buf_len)
{
	static uint8_t content[MAX_CONTENT], wire[MAX_CONTENT + HANDMADE_OVERHEAD_MAX];
	struct record record, expected = { 0 };
	uint64_t n = 0;
	int r = RECORD_READY;

	while (in->len > 0 && r == RECORD_READY) {
		uint8_t type = take(in), flip = take(in);
		size_t at = take_u16(in), len = take_content(in, content), wire_len;
		int want = model(traffic->suite, type, content, len, &expected);

		wire_len = handmade_record(wire, traffic, n, type, content, len);
		wire[at % wire_len] ^= flip;
		mem_link_put(link, wire, wire_len);
		r = mem_link_recv(link, buf, buf_len, &record);
		if (flip != 0) {
			MUST(r != RECORD_READY);
		} else {
			MUST(r == want);
		}
		if (r == RECORD_READY) {
			MUST(record.type == expected.type && record.len == expected.len);
			MUST(record.len == 0 ||
			     memcmp(record.data, expected.data, record.len) == 0);
		}
		check(link, r, &record, r == RECORD_READY ? ++n : n);
	}
}

/* What the sender was given, in order. */
struct sent {
	uint8_t type;
	size_t len;
};

/* Bytes from @at on of an endless stream: what is sent, and so what must arrive. */
static const uint8_t *stream(size_t at)
{
	static uint8_t bytes[65536 + MAX_SEND]; /* of period 65536 */
	static bool made;

	for (uint32_t i = 0; !made && i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)((i * 0x9e3779b1U) >> 8);
	made = true;
	return bytes + at % 65536;
}

static struct traffic *next_epoch(struct traffic *traffic)
{
	struct traffic *next;

	MUST(traffic_next_epoch(&next, traffic) == 0);
	traffic_free(traffic);
	return next;
}

static size_t send_program(struct mem_link *link, const struct suite *suite, struct input *in,
			   struct sent sent[MAX_SENDS])
{
	struct traffic *traffic = make_traffic(suite);
	size_t n = 0, at = 0;

	while (in->len > 0 && n < MAX_SENDS) {
		uint8_t what = take(in);
		struct sent *item = &sent[n++];

		link->chunk = take(in);
		link->stutter = what & 1;
		item->type = what & 4 ? RECORD_HANDSHAKE : RECORD_DATA;
		item->len = what & 8 ? take_u16(in) % MAX_SEND : take(in);
		/* Long records byte by byte would only take time. */
		link->chunk += link->chunk > 0 ? item->len / 32 : 0;
		MUST(mem_link_send(link, item->type, stream(at), item->len) == 0);
		at += item->len;
		/* A handshake record is a KeyUpdate here. */
		if (item->type == RECORD_HANDSHAKE && item->len > 0 && suite->version == TLS13) {
			traffic = next_epoch(traffic);
			MUST(link->tx->ops->rekey(link->tx, traffic) == 0);
		}
	}
	traffic_free(traffic);
	return n;
}

static void run_program(struct mem_link *link, const struct suite *suite, struct input *in,
			uint8_t *buf, size_t buf_len)
{
	struct traffic *traffic = make_traffic(suite);
	struct sent sent[MAX_SENDS];
	size_t n = send_program(link, suite, in, sent), at = 0;
	struct record record;

	link->chunk += link->chunk > 0 ? link->wire_end / 512 : 0;
	for (size_t i = 0; i < n; i++) {
		size_t left = sent[i].len;

		while (left > 0) {
			MUST(mem_link_recv(link, buf, buf_len, &record) == RECORD_READY);
			MUST(record.type == sent[i].type && record.end);
			MUST(record.len == (left < RECORD_MAX_PLAIN ? left : RECORD_MAX_PLAIN));
			MUST(memcmp(record.data, stream(at), record.len) == 0);
			at += record.len;
			left -= record.len;
			if (left > 0 || sent[i].type != RECORD_HANDSHAKE || suite->version != TLS13)
				continue;
			traffic = next_epoch(traffic);
			MUST(link->rx->ops->rekey(link->rx, traffic) == 0);
		}
	}
	MUST(mem_link_recv(link, buf, buf_len, &record) == RECORD_MORE);
	MUST(link->rx->records == link->tx->records);
	traffic_free(traffic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t buf_lens[] = { 0, 1, 100, 16384, 16385, 40000 };
	struct input in = { data, size };
	uint8_t choice = take(&in), cut = take(&in), room = take(&in);
	const struct suite *suite = suite_at((choice >> 2) % N_SUITES);
	size_t buf_len = buf_lens[room % (sizeof(buf_lens) / sizeof(buf_lens[0]))];
	struct traffic *traffic;
	struct mem_link link;
	uint8_t *buf;

	buf = malloc(buf_len > 0 ? buf_len : 1); /* exactly: a byte too far is seen */
	MUST(buf != NULL);
	traffic = make_traffic(suite);
	MUST(mem_link_open(&link, traffic) == 0);
	link.stutter = cut & 1;
	link.chunk = cut >> 1;
	switch (choice & 3) {
	case 0:
		run_raw(&link, &in, buf, buf_len);
		break;
	case 1:
		run_program(&link, suite, &in, buf, buf_len);
		break;
	default:
		run_sealed(&link, traffic, &in, buf, buf_len);
	}
	mem_link_close(&link);
	traffic_free(traffic);
	free(buf);
	MUST(secret_live() == 0);
	return 0;
}
