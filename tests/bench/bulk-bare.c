/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floors: what it costs to move TLS records with nothing around it. They know that only full records of
 * data come, and no library could: no control records, no keys that change, no partial sends, no time-outs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/aead.h>

#include "bench/bulk.h"
#include "record/ktls.h"
#include "support/tcp.h"

#define BATCH 4 /* records of one send or receive */
#define ALL 16  /* of a turn: what is sealed before the first is opened where there is no socket */
#define OVERHEAD_MAX 32

struct traffic *bulk_traffic(const struct suite *suite)
{
	uint8_t bytes[88];
	struct traffic *rx = NULL, *tx = NULL;
	int r;

	memset(bytes, 0x5a, sizeof(bytes));
	if (suite->version == TLS13)
		r = traffic_new_tls13(&tx, suite, bytes, suite->id == 0x1302 ? 48 : 32, 0);
	else
		r = traffic_new_tls12(&rx, &tx, suite, bytes, traffic_key_block_len(suite), false,
				      0, 0);
	bulk_need(r == 0, "keys");
	traffic_free(rx);
	return tx;
}

void bulk_connect(struct lane *lane)
{
	int fds[2], one = 1;

	tcp_pair(fds);
	lane->tx_fd = fds[0];
	lane->rx_fd = fds[1];
	bulk_room(lane->tx_fd, lane->rx_fd);
	setsockopt(lane->tx_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

void bulk_ktls_close(struct lane *lane)
{
	close(lane->tx_fd);
	close(lane->rx_fd);
}

/* --- the kernel's TLS ----------------------------------------------------------------------- */

void bulk_ktls_open(struct lane *lane)
{
	struct traffic *traffic = bulk_traffic(lane->bulk->suite);

	bulk_connect(lane);
	bulk_need(!ktls_attach(lane->tx_fd) && !ktls_attach(lane->rx_fd), "attaching kernel TLS");
	bulk_need(!ktls_install(lane->tx_fd, KTLS_TX, traffic) &&
			  !ktls_install(lane->rx_fd, KTLS_RX, traffic),
		  "kernel TLS keys");
	traffic_free(traffic);
}

static void ktls_send(struct lane *lane, uint64_t n)
{
	uint64_t end = lane->sent + n;
	ssize_t r;

	while (lane->sent < end) {
		r = bulk_call(send(lane->tx_fd, bulk_next(lane), lane->bulk->size, MSG_NOSIGNAL));
		bulk_need(r == (ssize_t)lane->bulk->size, "send");
		lane->sent += (uint64_t)r;
	}
}

static void ktls_receive(struct lane *lane, uint64_t n)
{
	uint64_t end = lane->received + n;
	ssize_t r;

	while (lane->received < end) {
		r = bulk_call(recv(lane->rx_fd, lane->in, lane->bulk->size, 0));
		bulk_need(r > 0, "recv");
		bulk_arrived(lane, (size_t)r);
	}
}

static void ktls_sendfile(struct lane *lane, uint64_t n)
{
	uint64_t end = lane->sent + n;
	off_t offset;
	ssize_t r;

	while (lane->sent < end) {
		offset = (off_t)(lane->sent % BULK_FILE_LEN);
		r = bulk_call(sendfile(lane->tx_fd, lane->bulk->file, &offset, lane->bulk->size));
		bulk_need(r > 0, "sendfile");
		lane->sent += (uint64_t)r;
	}
}

/* --- EVP_AEAD ------------------------------------------------------------------------------- */

struct half {
	EVP_AEAD_CTX aead;
	uint8_t iv[SUITE_MAX_IV];
	uint64_t seq;
};

struct bare {
	const struct suite *suite;
	bool tls13;
	size_t head, overhead; /* before the plaintext, and altogether */
	struct half tx, rx;
	uint8_t *wire;    /* what was sealed */
	uint8_t *rx_wire; /* what is to be opened: the same where there is no socket */
	uint8_t *file;    /* BATCH plain ones */
	size_t wire_len;
};

static void half_init(struct half *half, const struct traffic *traffic)
{
	bulk_need(EVP_AEAD_CTX_init(&half->aead, traffic->suite->aead(), traffic->key,
				    traffic->suite->key_len, SUITE_TAG_LEN, NULL),
		  "EVP_AEAD_CTX_init");
	memcpy(half->iv, traffic->iv, sizeof(half->iv));
}

static void alone_open(struct lane *lane)
{
	struct traffic *traffic = bulk_traffic(lane->bulk->suite);
	struct bare *bare = calloc(1, sizeof(*bare));

	bulk_need(bare != NULL, "memory");
	bare->suite = lane->bulk->suite;
	bare->tls13 = bare->suite->version == TLS13;
	bare->head = RECORD_HEADER_LEN + bare->suite->explicit_len;
	bare->overhead = bare->head + bare->tls13 + SUITE_TAG_LEN;
	half_init(&bare->tx, traffic);
	half_init(&bare->rx, traffic);
	bare->wire = malloc(ALL * (RECORD_MAX_PLAIN + OVERHEAD_MAX));
	bare->rx_wire = bare->wire;
	bare->file = malloc(BATCH * RECORD_MAX_PLAIN);
	bulk_need(bare->wire && bare->file, "memory");
	lane->own = bare;
	traffic_free(traffic);
}

static void alone_close(struct lane *lane)
{
	struct bare *bare = lane->own;

	EVP_AEAD_CTX_cleanup(&bare->tx.aead);
	EVP_AEAD_CTX_cleanup(&bare->rx.aead);
	free(bare->wire);
	free(bare->file);
	free(bare);
}

static void aead_open(struct lane *lane)
{
	struct bare *bare;

	alone_open(lane);
	bare = lane->own;
	bare->rx_wire = malloc(BATCH * (RECORD_MAX_PLAIN + OVERHEAD_MAX));
	bulk_need(bare->rx_wire != NULL, "memory");
	bulk_connect(lane);
}

static void aead_close(struct lane *lane)
{
	struct bare *bare = lane->own;

	bulk_ktls_close(lane);
	free(bare->rx_wire);
	alone_close(lane);
}

static void put_u64(uint8_t out[8], uint64_t value)
{
	value = __builtin_bswap64(value);
	memcpy(out, &value, sizeof(value));
}

/* Nonce and additional data of the next record; @explicit are the 8 bytes of TLS 1.2 GCM. */
static size_t prepare(const struct bare *bare, struct half *half, const uint8_t *header,
		      const uint8_t *explicit, size_t len, uint8_t nonce[12], uint8_t aad[13])
{
	uint8_t seq[8];

	put_u64(seq, half->seq++);
	memcpy(nonce, half->iv, 12);
	if (bare->suite->explicit_len)
		memcpy(nonce + 4, explicit, 8);
	else
		for (int i = 0; i < 8; i++)
			nonce[4 + i] ^= seq[i];
	if (bare->tls13) {
		memcpy(aad, header, RECORD_HEADER_LEN);
		return RECORD_HEADER_LEN;
	}
	memcpy(aad, seq, 8);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(len >> 8);
	aad[12] = (uint8_t)len;
	return 13;
}

static void seal(struct bare *bare, const uint8_t *in, size_t len)
{
	static const uint8_t type = RECORD_DATA;
	uint8_t *header = bare->wire + bare->wire_len, *out = header + bare->head;
	size_t body_len = len + bare->overhead - RECORD_HEADER_LEN, aad_len, tag_len;
	uint8_t nonce[12], aad[13];

	memcpy(header, (uint8_t[]){ RECORD_DATA, 3, 3, body_len >> 8, body_len },
	       RECORD_HEADER_LEN);
	if (bare->suite->explicit_len)
		put_u64(header + RECORD_HEADER_LEN, bare->tx.seq);
	aad_len = prepare(bare, &bare->tx, header, header + RECORD_HEADER_LEN, len, nonce, aad);
	bulk_need(EVP_AEAD_CTX_seal_scatter(&bare->tx.aead, out, out + len, &tag_len,
					    SUITE_TAG_LEN + 1, nonce, 12, in, len, &type,
					    bare->tls13, aad, aad_len),
		  "seal");
	bare->wire_len += len + bare->overhead;
}

/* @out has room for one byte more, which is the type under TLS 1.3. */
static void open_record(struct bare *bare, const uint8_t *header, uint8_t *out, size_t len)
{
	const uint8_t *in = header + bare->head;
	size_t inner_len = len + bare->tls13, aad_len;
	uint8_t nonce[12], aad[13];

	aad_len = prepare(bare, &bare->rx, header, header + RECORD_HEADER_LEN, len, nonce, aad);
	bulk_need(EVP_AEAD_CTX_open_gather(&bare->rx.aead, out, nonce, 12, in, inner_len,
					   in + inner_len, SUITE_TAG_LEN, aad, aad_len),
		  "open");
	bulk_need(bare->tls13 ? out[len] == RECORD_DATA : header[0] == RECORD_DATA, "type");
}

static void seal_batch(struct bare *bare, const uint8_t *in, size_t len)
{
	size_t done;

	bare->wire_len = 0;
	for (done = 0; done < len; done += RECORD_MAX_PLAIN)
		seal(bare, in + done, RECORD_MAX_PLAIN);
}

static size_t batch_len(const struct lane *lane, uint64_t left)
{
	size_t most = BATCH * RECORD_MAX_PLAIN;

	if (most > lane->bulk->size)
		most = lane->bulk->size;
	return left < most ? (size_t)left : most;
}

static void send_wire(struct lane *lane, const struct bare *bare, size_t len)
{
	ssize_t r = bulk_call(send(lane->tx_fd, bare->wire, bare->wire_len, MSG_NOSIGNAL));

	bulk_need(r == (ssize_t)bare->wire_len, "send");
	lane->sent += len;
}

static void aead_send(struct lane *lane, uint64_t n)
{
	struct bare *bare = lane->own;
	uint64_t end = lane->sent + n;
	size_t len;

	while (lane->sent < end) {
		len = batch_len(lane, end - lane->sent);
		seal_batch(bare, bulk_next(lane), len);
		send_wire(lane, bare, len);
	}
}

static void aead_sendfile(struct lane *lane, uint64_t n)
{
	struct bare *bare = lane->own;
	uint64_t end = lane->sent + n;
	size_t len;
	ssize_t r;

	while (lane->sent < end) {
		len = batch_len(lane, end - lane->sent);
		r = bulk_call(pread(lane->bulk->file, bare->file, len,
				    (off_t)(lane->sent % BULK_FILE_LEN)));
		bulk_need(r == (ssize_t)len, "pread");
		seal_batch(bare, bare->file, len);
		send_wire(lane, bare, len);
	}
}

static void open_batch(struct lane *lane, size_t len)
{
	struct bare *bare = lane->own;
	size_t done, at = 0;

	for (done = 0; done < len; done += RECORD_MAX_PLAIN) {
		open_record(bare, bare->rx_wire + at, lane->in + done, RECORD_MAX_PLAIN);
		at += RECORD_MAX_PLAIN + bare->overhead;
	}
	bulk_arrived(lane, len);
}

static void aead_receive(struct lane *lane, uint64_t n)
{
	const struct bare *bare = lane->own;
	uint64_t end = lane->received + n;
	size_t len, wire_len;
	ssize_t r;

	while (lane->received < end) {
		len = batch_len(lane, end - lane->received);
		wire_len = len / RECORD_MAX_PLAIN * (RECORD_MAX_PLAIN + bare->overhead);
		r = bulk_call(recv(lane->rx_fd, bare->rx_wire, wire_len, MSG_WAITALL));
		bulk_need(r == (ssize_t)wire_len, "recv");
		open_batch(lane, len);
	}
}

/* --- EVP_AEAD without a socket -------------------------------------------------------------- */

static void alone_send(struct lane *lane, uint64_t n)
{
	seal_batch(lane->own, bulk_next(lane), (size_t)n);
	lane->sent += n;
}

static void alone_receive(struct lane *lane, uint64_t n)
{
	open_batch(lane, (size_t)n);
}

const struct way bulk_bare_ways[] = {
	{ "aead-alone", NULL, false, true, alone_open, alone_send, alone_receive, alone_close },
	{ "aead", NULL, false, false, aead_open, aead_send, aead_receive, aead_close },
	{ "aead-file", NULL, false, false, aead_open, aead_sendfile, aead_receive, aead_close },
	{ "ktls", NULL, true, false, bulk_ktls_open, ktls_send, ktls_receive, bulk_ktls_close },
	{ "ktls-file", NULL, true, false, bulk_ktls_open, ktls_sendfile, ktls_receive,
	  bulk_ktls_close },
	{ NULL },
};
