/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user record path: TLS records over EVP_AEAD, for whatever the kernel cannot take. The
 * connection calls it through record.h and makes the system calls. It must never use a record
 * number twice, show a byte that was not authenticated, or let a record overtake another.
 *
 * What it costs. Sending: one system call for up to SEAL_MAX_PLAIN bytes; the plaintext is
 * encrypted from the caller's buffer into the wire buffer, without a copy. Receiving: one system
 * call reads to the end of the buffer, that is one record of full length or many short ones; a
 * record is opened in place, or straight into the buffer given to prep() if that has room for its
 * padding too. What follows it is moved to the front of the buffer once, at most a record's length.
 * Records are opened one at a time, when they are asked for: what was read ahead is still sealed
 * when the keys change, and so is opened with the keys of its own epoch.
 *
 * Memory: neither direction holds a buffer while it has nothing in it.
 */
#include "record/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/aead.h>
#include <openssl/err.h>

#include <sluice/error.h>

#include "core/error.h"
#include "core/secret.h"
#include "core/sys.h"

#define NONCE_LEN 12
#define TLS12_AAD_LEN 13
/* Of one send: 64 KiB that a program reads at a time, and a head before them. */
#define SEAL_MAX_PLAIN (5 * RECORD_MAX_PLAIN)

/* The keys of one epoch, in memory of secret_new(). */
struct user_keys {
	EVP_AEAD_CTX aead;
	uint8_t iv[SUITE_MAX_IV];
	uint8_t nonce[NONCE_LEN]; /* of the record at hand */
};

/* What both directions are made of. */
struct user_cipher {
	const struct suite *suite;
	struct user_keys *keys;
	uint64_t seq; /* of the next record */
};

struct user_rx {
	struct record_rx base;
	struct user_cipher cipher;
	uint8_t *buf; /* NULL while empty: bytes from start to end are of the transport */
	size_t start, end;
	size_t dirty;  /* nothing was ever written behind */
	uint8_t *dest; /* from prep() to done(): where plaintext may go */
	size_t dest_len;
	struct iovec iov;
	int error; /* a record was wrong: nothing behind it can be trusted */
};

struct user_tx {
	struct record_tx base;
	struct user_cipher cipher;
	uint8_t *buf; /* NULL while empty: sealed bytes from start to end wait for the socket */
	size_t start, end;
	size_t taken; /* by the prep() whose done() is yet to come */
	struct iovec iov;
	int error; /* sealed bytes are lost: no later record may be sent */
};

static struct user_keys *keys_free(struct user_keys *keys)
{
	if (keys != NULL)
		EVP_AEAD_CTX_cleanup(&keys->aead);
	return secret_free(keys);
}

static int keys_new(struct user_keys **ret_keys, const struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;
	struct user_keys *keys = secret_new(sizeof(*keys));

	if (keys == NULL)
		return -SLUICE_E_NOMEM;
	if (!EVP_AEAD_CTX_init(&keys->aead, suite->aead(), traffic->key, suite->key_len,
			       SUITE_TAG_LEN, NULL)) {
		secret_free(keys);
		return err_bssl();
	}
	memcpy(keys->iv, traffic->iv, suite->fixed_iv_len);
	*ret_keys = keys;
	return 0;
}

/* Puts the keys of @traffic in force, or leaves the old ones. */
static int cipher_set(struct user_cipher *cipher, const struct traffic *traffic)
{
	struct user_keys *keys = NULL;
	int r = keys_new(&keys, traffic);

	if (r < 0)
		return r;
	keys_free(cipher->keys);
	cipher->suite = traffic->suite;
	cipher->keys = keys;
	cipher->seq = traffic->seq;
	return 0;
}

static void put_u64(uint8_t out[8], uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		out[i] = (uint8_t)value;
}

/* RFC 5288, 3 (TLS 1.2 GCM: @explicit is in the record); RFC 8446, 5.3 and RFC 7905, 2. */
static void make_nonce(const struct user_cipher *cipher, const uint8_t *explicit)
{
	uint8_t *nonce = cipher->keys->nonce, seq[8];

	memcpy(nonce, cipher->keys->iv, cipher->suite->fixed_iv_len);
	if (cipher->suite->explicit_len > 0) {
		memcpy(nonce + cipher->suite->fixed_iv_len, explicit, cipher->suite->explicit_len);
		return;
	}
	put_u64(seq, cipher->seq);
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[NONCE_LEN - sizeof(seq) + i] ^= seq[i];
}

/* RFC 8446, 5.2: the header; RFC 5246, 6.2.3.3: seq, type, version and length of the plaintext. */
static size_t make_aad(const struct user_cipher *cipher, const uint8_t *header, size_t plain_len,
		       uint8_t aad[TLS12_AAD_LEN])
{
	if (cipher->suite->version == TLS13) {
		memcpy(aad, header, RECORD_HEADER_LEN);
		return RECORD_HEADER_LEN;
	}
	put_u64(aad, cipher->seq);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(plain_len >> 8);
	aad[12] = (uint8_t)plain_len;
	return TLS12_AAD_LEN;
}

/* The errnos that mean: nothing happened, do it again. io_uring adds its own for a cancellation. */
static bool is_again(int err)
{
	return err == EAGAIN || err == EINTR || err == ECANCELED;
}

/* Receiving */

static struct user_rx *user_rx(struct record_rx *base)
{
	return (struct user_rx *)base;
}

static size_t max_body(const struct user_rx *rx)
{
	return rx->cipher.suite->version == TLS13 ? RECORD_MAX_CIPHER_TLS13
						  : RECORD_MAX_CIPHER_TLS12;
}

/* What was opened in place is application data: do not leave it to the heap. */
static void rx_release(struct user_rx *rx)
{
	secret_wipe(rx->buf, rx->dirty);
	free(rx->buf);
	rx->buf = NULL;
	rx->start = rx->end = rx->dirty = 0;
}

/*
 * Looks at the header in front, as soon as it is there: an impossible record need not be waited
 * for. Returns READY with its body's length when the record is complete, MORE, or an error.
 */
static int rx_check(const struct user_rx *rx, size_t *ret_body_len)
{
	size_t len = rx->end - rx->start, body_len;
	const uint8_t *header;

	if (len < RECORD_HEADER_LEN)
		return RECORD_MORE;
	header = rx->buf + rx->start;
	/* RFC 8446, 5.2: the outer type is data; 5: no change_cipher_spec after the Finished. */
	if (rx->cipher.suite->version == TLS13 && header[0] != RECORD_DATA)
		return -SLUICE_E_PROTOCOL;
	/* Both versions write 0x0303 (RFC 8446, 5.2), and it is part of what is authenticated. */
	if (header[1] != TLS12 >> 8 || header[2] != (TLS12 & 0xff))
		return -SLUICE_E_PROTOCOL;
	body_len = (size_t)header[3] << 8 | header[4];
	if (body_len > max_body(rx))
		return -SLUICE_E_RECORD_OVERFLOW;
	if (body_len < (size_t)rx->cipher.suite->explicit_len + SUITE_TAG_LEN)
		return -SLUICE_E_BAD_RECORD_MAC;
	if (len < RECORD_HEADER_LEN + body_len)
		return RECORD_MORE;
	*ret_body_len = body_len;
	return RECORD_READY;
}

/*
 * RFC 8446, 5.4: the type is the last byte that is not zero. Without one, or with more than 2^14
 * bytes before it, padding included, the record is wrong.
 */
static int strip_padding(struct record *record)
{
	size_t len = record->len;

	if (len > RECORD_MAX_PLAIN + 1)
		return -SLUICE_E_RECORD_OVERFLOW;
	while (len > 0 && record->data[len - 1] == 0)
		len--;
	if (len == 0)
		return -SLUICE_E_PROTOCOL;
	record->type = record->data[len - 1];
	record->len = len - 1;
	return 0;
}

/* Opens the record in front, into @dest if it fits. */
static int rx_open(struct user_rx *rx, size_t body_len, uint8_t *dest, size_t dest_len,
		   struct record *ret_record)
{
	struct user_cipher *cipher = &rx->cipher;
	uint8_t *header = rx->buf + rx->start, *body = header + RECORD_HEADER_LEN, *in, *out;
	size_t plain_len = body_len - cipher->suite->explicit_len - SUITE_TAG_LEN;
	uint8_t aad[TLS12_AAD_LEN];
	size_t aad_len = make_aad(cipher, header, plain_len, aad);
	struct record record = { .type = header[0], .end = true, .len = plain_len };
	int r = 0;

	/* RFC 8446, 5.3: the number must not wrap. The peer should have changed its keys. */
	if (cipher->seq == UINT64_MAX)
		return -SLUICE_E_PROTOCOL;
	in = body + cipher->suite->explicit_len;
	out = plain_len > 0 && plain_len <= dest_len ? dest : in;
	make_nonce(cipher, body);
	/* The form that writes exactly plain_len bytes, also when it fails. */
	if (!EVP_AEAD_CTX_open_gather(&cipher->keys->aead, out, cipher->keys->nonce, NONCE_LEN, in,
				      plain_len, in + plain_len, SUITE_TAG_LEN, aad, aad_len)) {
		ERR_clear_error();
		return -SLUICE_E_BAD_RECORD_MAC;
	}
	record.data = out;
	if (cipher->suite->version == TLS13)
		r = strip_padding(&record);
	else if (plain_len > RECORD_MAX_PLAIN)
		r = -SLUICE_E_RECORD_OVERFLOW;
	if (r < 0)
		return r;
	rx->start += RECORD_HEADER_LEN + body_len;
	rx->base.records = ++cipher->seq;
	*ret_record = record;
	return RECORD_READY;
}

static int rx_take(struct user_rx *rx, uint8_t *dest, size_t dest_len, struct record *ret_record)
{
	size_t body_len;
	int r;

	if (rx->error < 0)
		return rx->error;
	r = rx_check(rx, &body_len);
	if (r == RECORD_READY)
		r = rx_open(rx, body_len, dest, dest_len, ret_record);
	if (r < 0)
		rx->error = r;
	if (r == RECORD_MORE && rx->start == rx->end)
		rx_release(rx);
	return r;
}

static int user_rx_next(struct record_rx *base, struct record *ret_record)
{
	return rx_take(user_rx(base), NULL, 0, ret_record);
}

static int user_rx_prep(struct record_rx *base, void *buf, size_t buf_len, struct msghdr *msg)
{
	struct user_rx *rx = user_rx(base);
	size_t size = RECORD_HEADER_LEN + max_body(rx);

	if (rx->error < 0)
		return rx->error;
	if (rx->buf == NULL) {
		rx->buf = malloc(size);
		if (rx->buf == NULL)
			return -SLUICE_E_NOMEM;
	} else if (rx->start > 0) {
		memmove(rx->buf, rx->buf + rx->start, rx->end - rx->start);
		rx->end -= rx->start;
		rx->start = 0;
	}
	/* An incomplete record leaves room, and done() has taken a complete one: never 0 bytes. */
	assert(rx->end < size);
	rx->dest = buf;
	rx->dest_len = buf_len;
	rx->iov = (struct iovec){ .iov_base = rx->buf + rx->end, .iov_len = size - rx->end };
	*msg = (struct msghdr){ .msg_iov = &rx->iov, .msg_iovlen = 1 };
	return 0;
}

static int user_rx_done(struct record_rx *base, ssize_t res, struct msghdr *msg,
			struct record *ret_record)
{
	struct user_rx *rx = user_rx(base);
	uint8_t *dest = rx->dest;
	size_t dest_len = rx->dest_len;

	rx->dest = NULL;
	rx->dest_len = 0;
	if (res <= 0) {
		if (rx->start == rx->end)
			rx_release(rx);
		if (res == 0)
			return RECORD_EOF;
		return is_again((int)-res) ? RECORD_MORE : -sys_errno_code((int)-res);
	}
	if ((size_t)res > rx->iov.iov_len)
		return -SLUICE_E_INTERNAL;
	rx->end += (size_t)res;
	if (rx->dirty < rx->end)
		rx->dirty = rx->end;
	return rx_take(rx, dest, dest_len, ret_record);
}

static int user_rx_rekey(struct record_rx *base, const struct traffic *next)
{
	struct user_rx *rx = user_rx(base);
	int r = cipher_set(&rx->cipher, next);

	if (r < 0)
		return r;
	base->records = next->seq;
	return 0;
}

static struct record_rx *user_rx_free(struct record_rx *base)
{
	struct user_rx *rx = user_rx(base);

	if (rx != NULL) {
		rx_release(rx);
		keys_free(rx->cipher.keys);
		free(rx);
	}
	return NULL;
}

static const struct record_rx_ops user_rx_ops = {
	.path = SLUICE_PATH_USER,
	.next = user_rx_next,
	.prep = user_rx_prep,
	.done = user_rx_done,
	.rekey = user_rx_rekey,
	.free = user_rx_free,
};

int record_user_rx_new(struct record_rx **ret_rx, const struct traffic *traffic)
{
	struct user_rx *rx = calloc(1, sizeof(*rx));
	int r;

	if (rx == NULL)
		return -SLUICE_E_NOMEM;
	rx->base.ops = &user_rx_ops;
	r = user_rx_rekey(&rx->base, traffic);
	if (r < 0) {
		user_rx_free(&rx->base);
		return r;
	}
	*ret_rx = &rx->base;
	return 0;
}

/* Sending */

static struct user_tx *user_tx(struct record_tx *base)
{
	return (struct user_tx *)base;
}

static void tx_release(struct user_tx *tx)
{
	free(tx->buf);
	tx->buf = NULL;
	tx->start = tx->end = 0;
}

/* What a record is longer than its plaintext. */
static size_t overhead(const struct suite *suite)
{
	size_t type_len = suite->version == TLS13 ? 1 : 0;

	return RECORD_HEADER_LEN + suite->explicit_len + type_len + SUITE_TAG_LEN;
}

/* Seals one record of @len bytes behind tx->end, where there is room for it. */
static int tx_seal(struct user_tx *tx, uint8_t type, const uint8_t *in, size_t len)
{
	struct user_cipher *cipher = &tx->cipher;
	bool tls13 = cipher->suite->version == TLS13;
	uint8_t *header = tx->buf + tx->end, *body = header + RECORD_HEADER_LEN, *out;
	size_t body_len = len + overhead(cipher->suite) - RECORD_HEADER_LEN, tag_len;
	uint8_t aad[TLS12_AAD_LEN];
	size_t aad_len;

	header[0] = tls13 ? RECORD_DATA : type;
	header[1] = TLS12 >> 8;
	header[2] = TLS12 & 0xff;
	header[3] = (uint8_t)(body_len >> 8);
	header[4] = (uint8_t)body_len;
	/* RFC 5288, 3: the explicit nonce may be the record number, which never repeats. */
	if (cipher->suite->explicit_len > 0)
		put_u64(body, cipher->seq);
	out = body + cipher->suite->explicit_len;
	make_nonce(cipher, body);
	aad_len = make_aad(cipher, header, len, aad);
	if (!EVP_AEAD_CTX_seal_scatter(&cipher->keys->aead, out, out + len, &tag_len,
				       SUITE_TAG_LEN + tls13, cipher->keys->nonce, NONCE_LEN, in,
				       len, &type, tls13, aad, aad_len)) {
		ERR_clear_error();
		return -SLUICE_E_INTERNAL;
	}
	tx->end += RECORD_HEADER_LEN + body_len;
	tx->base.records = ++cipher->seq;
	return 0;
}

/* Seals as much of @in as one send is to carry. Returns the bytes taken, or an error. */
static ssize_t tx_fill(struct user_tx *tx, uint8_t type, const uint8_t *in, size_t len)
{
	uint64_t left = UINT64_MAX - tx->cipher.seq;
	size_t max = tx->base.max_payload, n_records, taken = 0;

	if (len > SEAL_MAX_PLAIN)
		len = SEAL_MAX_PLAIN;
	n_records = (len + max - 1) / max;
	/* RFC 8446, 5.3: the number must not wrap. A new epoch should have begun long ago. */
	if (left < n_records) {
		n_records = (size_t)left;
		len = n_records * max;
	}
	if (n_records == 0)
		return -SLUICE_E_REKEY;
	tx->buf = malloc(len + n_records * overhead(tx->cipher.suite));
	if (tx->buf == NULL)
		return -SLUICE_E_NOMEM;
	while (taken < len) {
		size_t part = len - taken < max ? len - taken : max;
		int r = tx_seal(tx, type, in + taken, part);

		if (r < 0) {
			/* Numbers were used for records that will not be sent. */
			tx->error = r;
			tx_release(tx);
			return r;
		}
		taken += part;
	}
	return (ssize_t)taken;
}

static bool user_tx_pending(const struct record_tx *base)
{
	const struct user_tx *tx = (const struct user_tx *)base;

	return tx->start != tx->end;
}

/* Sealed bytes go first, alone: so no record overtakes another. */
static ssize_t user_tx_prep(struct record_tx *base, uint8_t type, const void *buf, size_t len,
			    struct msghdr *msg)
{
	struct user_tx *tx = user_tx(base);
	ssize_t taken = 0;

	if (tx->error < 0)
		return tx->error;
	if (!user_tx_pending(base) && len > 0) {
		taken = tx_fill(tx, type, buf, len);
		if (taken < 0)
			return taken;
	}
	tx->taken = (size_t)taken;
	*msg = (struct msghdr){ 0 };
	if (!user_tx_pending(base))
		return 0;
	tx->iov = (struct iovec){ .iov_base = tx->buf + tx->start, .iov_len = tx->end - tx->start };
	msg->msg_iov = &tx->iov;
	msg->msg_iovlen = 1;
	return taken;
}

/*
 * Sealed bytes have their numbers: the caller must not give them again, whatever became of the
 * call. So an error that is not "again" ends this direction, even one that may pass (ENOMEM).
 */
static ssize_t user_tx_done(struct record_tx *base, ssize_t res)
{
	struct user_tx *tx = user_tx(base);
	size_t taken = tx->taken;

	tx->taken = 0;
	if (res < 0 && is_again((int)-res))
		return (ssize_t)taken;
	if (res < 0 || (size_t)res > tx->end - tx->start) {
		tx->error = res < 0 ? -sys_errno_code((int)-res) : -SLUICE_E_INTERNAL;
		tx_release(tx);
		return tx->error;
	}
	tx->start += (size_t)res;
	if (tx->start == tx->end)
		tx_release(tx);
	return (ssize_t)taken;
}

static void user_tx_limit(struct record_tx *base, uint16_t max_payload)
{
	base->max_payload = max_payload;
}

/* What waits was sealed in the old epoch and is sent before the first record of the new one. */
static int user_tx_rekey(struct record_tx *base, const struct traffic *next)
{
	struct user_tx *tx = user_tx(base);
	int r = cipher_set(&tx->cipher, next);

	if (r < 0)
		return r;
	base->records = next->seq;
	return 0;
}

static struct record_tx *user_tx_free(struct record_tx *base)
{
	struct user_tx *tx = user_tx(base);

	if (tx != NULL) {
		tx_release(tx);
		keys_free(tx->cipher.keys);
		free(tx);
	}
	return NULL;
}

static const struct record_tx_ops user_tx_ops = {
	.path = SLUICE_PATH_USER,
	.prep = user_tx_prep,
	.done = user_tx_done,
	.pending = user_tx_pending,
	.limit = user_tx_limit,
	.rekey = user_tx_rekey,
	.free = user_tx_free,
};

int record_user_tx_new(struct record_tx **ret_tx, const struct traffic *traffic)
{
	struct user_tx *tx = calloc(1, sizeof(*tx));
	int r;

	if (tx == NULL)
		return -SLUICE_E_NOMEM;
	tx->base.ops = &user_tx_ops;
	tx->base.max_payload = RECORD_MAX_PLAIN;
	r = user_tx_rekey(&tx->base, traffic);
	if (r < 0) {
		user_tx_free(&tx->base);
		return r;
	}
	*ret_tx = &tx->base;
	return 0;
}
