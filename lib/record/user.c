/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user record path: TLS records over EVP_AEAD, for whatever the kernel cannot take. The
 * connection calls it through record.h and makes the system calls. It must never use a record
 * number twice, show a byte that was not authenticated, or let a record overtake another.
 *
 * What it costs. Sending: one system call for as many records as BUFFER_LEN has room for; the plaintext is
 * encrypted from the caller's buffer into the wire buffer, without a copy. Receiving: one system call
 * asks for as many records of full length as the caller has room for, so that records end where reads
 * do and nothing is moved; a record is opened straight into the caller's buffer if that has room for
 * its padding and type too, else in place. Records are opened one at a time, when they are asked for:
 * what was read ahead is still sealed when the keys change, and so is opened with the keys of its own
 * epoch.
 *
 * Memory: neither direction holds a buffer while it has nothing in it, and none that is much larger
 * than what must wait in it.
 */
#include "record/record.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/error.h>

#include "core/buffer.h"
#include "core/secret.h"
#include "core/sys.h"
#include "record/cipher.h"

_Static_assert(BUFFER_RECORD_LEN >= RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS12 &&
		       BUFFER_RECORD_LEN >= RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS13,
	       "a buffer has room for any record");

struct user_rx {
	struct record_rx base;
	struct cipher cipher;
	uint8_t *buf; /* NULL while empty: bytes from start to end are of the transport */
	size_t size, start, end;
	size_t plain, plain_end; /* between them plaintext has stood */
	uint8_t *dest;           /* from prep() to done(): where plaintext may go */
	size_t dest_len;
	struct iovec iov;
	int error; /* a record was wrong: nothing behind it can be trusted */
};

struct user_tx {
	struct record_tx base;
	struct cipher cipher;
	uint8_t *buf; /* NULL while empty: sealed bytes from start to end wait for the socket */
	size_t size, start, end;
	size_t taken; /* by the prep() whose done() is yet to come */
	struct iovec iov;
	int error; /* sealed bytes are lost: no later record may be sent */
};

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
	if (rx->buf != NULL)
		secret_wipe(rx->buf + rx->plain, rx->plain_end - rx->plain);
	buffer_give(rx->buf, rx->size);
	rx->buf = NULL;
	rx->size = rx->start = rx->end = rx->plain = rx->plain_end = 0;
}

/*
 * What must wait for the rest of a record does so in a buffer for one record: whoever sends a byte and
 * no more is given no large one. Without memory it stays where it is.
 */
static void rx_settle(struct user_rx *rx)
{
	size_t len = rx->end - rx->start;
	uint8_t *buf;

	if (len == 0) {
		rx_release(rx);
		return;
	}
	if (len > BUFFER_RECORD_LEN || rx->size <= BUFFER_RECORD_LEN)
		return;
	buf = buffer_take(BUFFER_RECORD_LEN);
	if (buf == NULL)
		return;
	memcpy(buf, rx->buf + rx->start, len);
	rx_release(rx);
	rx->buf = buf;
	rx->size = BUFFER_RECORD_LEN;
	rx->end = len;
}

/*
 * A caller with room for one record at a time waits for it in no larger buffer: with a ring's receive in flight
 * an idle connection has it for long.
 */
static int rx_reserve(struct user_rx *rx, size_t dest_len)
{
	size_t size = dest_len < 2 * RECORD_MAX_PLAIN ? BUFFER_RECORD_LEN : BUFFER_LEN;

	if (rx->buf == NULL) {
		rx->buf = buffer_take(size);
		if (rx->buf == NULL)
			return -SLUICE_E_NOMEM;
		rx->size = size;
	} else if (rx->start > 0) {
		memmove(rx->buf, rx->buf + rx->start, rx->end - rx->start);
		rx->end -= rx->start;
		rx->start = 0;
	}
	return 0;
}

static size_t rx_body_len(const uint8_t *header)
{
	return (size_t)header[3] << 8 | header[4];
}

/*
 * How much to ask for: what is missing of the record in front, and as many more of full length as the
 * caller and the buffer have room for. So reads end where records do if the peer fills its records, as
 * bulk senders do.
 */
static size_t rx_want(const struct user_rx *rx, size_t dest_len)
{
	size_t full = RECORD_MAX_PLAIN + cipher_overhead(&rx->cipher), room = rx->size - rx->end;
	size_t first = full, want, more = dest_len / RECORD_MAX_PLAIN;

	if (rx->end >= RECORD_HEADER_LEN)
		first = RECORD_HEADER_LEN + rx_body_len(rx->buf);
	/* Records that nobody has asked for may be there; done() has taken one: there is room. */
	if (first <= rx->end)
		return room;
	want = first - rx->end;
	more = more > 1 ? more - 1 : 0;
	if (more > (room - want) / full)
		more = (room - want) / full;
	return want + more * full;
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
	body_len = rx_body_len(header);
	if (body_len > max_body(rx))
		return -SLUICE_E_RECORD_OVERFLOW;
	if (body_len < cipher_min_body(&rx->cipher))
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

static void rx_mark_plain(struct user_rx *rx, size_t at, size_t len)
{
	if (rx->plain == rx->plain_end || at < rx->plain)
		rx->plain = at;
	if (rx->plain_end < at + len)
		rx->plain_end = at + len;
}

/* Opens the record in front, into @dest if it fits. */
static int rx_open(struct user_rx *rx, size_t body_len, uint8_t *dest, size_t dest_len,
		   struct record *ret_record)
{
	struct cipher *cipher = &rx->cipher;
	uint8_t *header = rx->buf + rx->start, *out = cipher_plain(cipher, header);
	size_t plain_len = cipher_plain_len(cipher, body_len);
	struct record record = { .type = header[0], .end = true, .len = plain_len };
	int r;

	if (plain_len > 0 && plain_len <= dest_len)
		out = dest;
	else
		rx_mark_plain(rx, (size_t)(out - rx->buf), plain_len);
	r = cipher_open(cipher, header, body_len, out);
	if (r < 0)
		return r;
	record.data = out;
	if (cipher->suite->version == TLS13)
		r = strip_padding(&record);
	else if (plain_len > RECORD_MAX_PLAIN)
		r = -SLUICE_E_RECORD_OVERFLOW;
	if (r < 0)
		return r;
	rx->start += RECORD_HEADER_LEN + body_len;
	rx->base.records = cipher->seq;
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
	return r;
}

static int user_rx_next(struct record_rx *base, void *buf, size_t buf_len,
			struct record *ret_record)
{
	struct user_rx *rx = user_rx(base);
	int r = rx_take(rx, buf, buf_len, ret_record);

	if (r == RECORD_MORE)
		rx_settle(rx);
	return r;
}

static int user_rx_prep(struct record_rx *base, void *buf, size_t buf_len, struct msghdr *msg)
{
	struct user_rx *rx = user_rx(base);
	int r = rx->error < 0 ? rx->error : rx_reserve(rx, buf_len);

	if (r < 0)
		return r;
	rx->dest = buf;
	rx->dest_len = buf_len;
	rx->iov = (struct iovec){ .iov_base = rx->buf + rx->end, .iov_len = rx_want(rx, buf_len) };
	assert(rx->iov.iov_len > 0);
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
		rx_settle(rx);
		if (res == 0)
			return RECORD_EOF;
		return is_again((int)-res) ? RECORD_MORE : -sys_errno_code((int)-res);
	}
	if ((size_t)res > rx->iov.iov_len)
		return -SLUICE_E_INTERNAL;
	rx->end += (size_t)res;
	return rx_take(rx, dest, dest_len, ret_record);
}

static void user_rx_used(struct record_rx *base)
{
	struct user_rx *rx = user_rx(base);

	if (rx->start == rx->end)
		rx_release(rx);
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
		cipher_clear(&rx->cipher);
		free(rx);
	}
	return NULL;
}

static const struct record_rx_ops user_rx_ops = {
	.path = SLUICE_PATH_USER,
	.next = user_rx_next,
	.prep = user_rx_prep,
	.done = user_rx_done,
	.used = user_rx_used,
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
	buffer_give(tx->buf, tx->size);
	tx->buf = NULL;
	tx->size = tx->start = tx->end = 0;
}

/* Bytes that must wait do so in a buffer of their own size, if they are few and there is memory. */
static void tx_settle(struct user_tx *tx)
{
	size_t len = tx->end - tx->start;
	uint8_t *buf;

	if (len == 0) {
		tx_release(tx);
		return;
	}
	if (len > tx->size / 2)
		return;
	buf = buffer_take(len);
	if (buf == NULL)
		return;
	memcpy(buf, tx->buf + tx->start, len);
	tx_release(tx);
	tx->buf = buf;
	tx->size = tx->end = len;
}

/* Seals one record of @len bytes behind tx->end, where there is room for it. */
static int tx_seal(struct user_tx *tx, uint8_t type, const uint8_t *in, size_t len)
{
	int r = cipher_seal(&tx->cipher, type, in, len, tx->buf + tx->end);

	if (r < 0)
		return r;
	tx->end += len + cipher_overhead(&tx->cipher);
	tx->base.records = tx->cipher.seq;
	return 0;
}

/* Seals as much of @in as one send is to carry. Returns the bytes taken, or an error. */
static ssize_t tx_fill(struct user_tx *tx, uint8_t type, const uint8_t *in, size_t len)
{
	uint64_t left = UINT64_MAX - tx->cipher.seq;
	size_t max = tx->base.max_payload;
	size_t n_fit = BUFFER_LEN / (max + cipher_overhead(&tx->cipher)), n_records, taken = 0;

	if (len > n_fit * max)
		len = n_fit * max;
	n_records = (len + max - 1) / max;
	/* RFC 8446, 5.3: the number must not wrap. A new epoch should have begun long ago. */
	if (left < n_records) {
		n_records = (size_t)left;
		len = n_records * max;
	}
	if (n_records == 0)
		return -SLUICE_E_REKEY;
	tx->buf = buffer_take(BUFFER_LEN);
	if (tx->buf == NULL)
		return -SLUICE_E_NOMEM;
	tx->size = BUFFER_LEN;
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
		res = 0;
	if (res < 0 || (size_t)res > tx->end - tx->start) {
		tx->error = res < 0 ? -sys_errno_code((int)-res) : -SLUICE_E_INTERNAL;
		tx_release(tx);
		return tx->error;
	}
	tx->start += (size_t)res;
	tx_settle(tx);
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
		cipher_clear(&tx->cipher);
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
