/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record path of the kernel: plaintext goes through the socket, the record type beside it in a
 * control message. Connections use it through record.h once ktls_install() has put the keys in.
 * Owns no descriptor and no key. Must never take an end of the transport for an empty record or
 * the other way round, and never let a peer's broken record keep our alert from going out.
 */
#include "record/record.h"

#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>

#include <sluice/error.h>

#include "core/sys.h"
#include "record/ktls.h"

struct kernel_rx {
	struct record_rx head;
	int fd;
	struct iovec iov;
	alignas(struct cmsghdr) uint8_t control[KTLS_CONTROL_LEN];
};

struct kernel_tx {
	struct record_tx head;
	int fd;
	struct iovec iov;
	alignas(struct cmsghdr) uint8_t control[KTLS_CONTROL_LEN];
};

/* Nothing happened, do it again. io_uring has an errno of its own for what it cancelled. */
static bool is_again(int err)
{
	return err == EAGAIN || err == EINTR || err == ECANCELED;
}

/* Takes the error that lies on the socket, 0 if there is none. */
static int socket_error_take(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return sys->getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? 0 : err;
}

/* What the kernel says of a record that it would not take; 0 for every other errno. */
static int record_error(int err)
{
	switch (err) {
	case EBADMSG: /* not authentic, or too short to be */
		return -SLUICE_E_BAD_RECORD_MAC;
	case EMSGSIZE:
		return -SLUICE_E_RECORD_OVERFLOW;
	case EINVAL: /* the version in the header */
		return -SLUICE_E_PROTOCOL;
	default:
		return 0;
	}
}

static int rx_next(struct record_rx *head, struct record *ret_record)
{
	return RECORD_MORE;
}

static int rx_prep(struct record_rx *head, void *buf, size_t buf_len, struct msghdr *msg)
{
	struct kernel_rx *rx = (struct kernel_rx *)head;

	/* A receive of no bytes returns 0 without a type, which is what the end looks like. */
	if (buf_len == 0)
		return -SLUICE_E_INVALID;
	rx->iov = (struct iovec){ buf, buf_len };
	*msg = (struct msghdr){
		.msg_iov = &rx->iov,
		.msg_iovlen = 1,
		.msg_control = rx->control,
		.msg_controllen = sizeof(rx->control),
	};
	return 0;
}

static int rx_failed(const struct kernel_rx *rx, int err)
{
	int code;

	if (is_again(err))
		return RECORD_MORE;
	if (err == EKEYEXPIRED)
		return RECORD_REKEY;
	if (err == EIO) /* a control record and nowhere to put its type: there always is */
		return -SLUICE_E_INTERNAL;
	code = record_error(err);
	if (code == 0)
		return -sys_errno_code(err);
	/* While the error lies on the socket nothing can be sent, our alert included. */
	socket_error_take(rx->fd);
	return code;
}

/*
 * A control record, or a piece of one, comes alone, and MSG_EOR marks its last byte. Records of
 * data are joined up to the buffer's length, and MSG_EOR says that one of them ended somewhere.
 */
static int rx_done(struct record_rx *head, ssize_t res, struct msghdr *msg,
		   struct record *ret_record)
{
	struct kernel_rx *rx = (struct kernel_rx *)head;
	bool end;
	int type;

	if (res < 0)
		return rx_failed(rx, (int)-res);
	type = ktls_get_type(msg);
	if (type == -1 && res == 0)
		return RECORD_EOF;
	if (type < 0) /* cut, not the kernel's form, or bytes that were not a record's */
		return -SLUICE_E_INTERNAL;

	end = res == 0 || (msg->msg_flags & MSG_EOR);
	*ret_record = (struct record){
		.type = (uint8_t)type,
		.end = end,
		.data = rx->iov.iov_base,
		.len = (size_t)res,
	};
	if (end)
		head->records++;
	return RECORD_READY;
}

static int rx_rekey(struct record_rx *head, const struct traffic *next)
{
	struct kernel_rx *rx = (struct kernel_rx *)head;

	if (ktls_install(rx->fd, KTLS_RX, next) != 0)
		return -SLUICE_E_REKEY;
	head->records = next->seq;
	return 0;
}

static struct record_rx *rx_free(struct record_rx *head)
{
	free(head);
	return NULL;
}

static const struct record_rx_ops rx_ops = {
	.path = SLUICE_PATH_KERNEL,
	.next = rx_next,
	.prep = rx_prep,
	.done = rx_done,
	.rekey = rx_rekey,
	.free = rx_free,
};

int record_kernel_rx_new(struct record_rx **ret_rx, int fd, const struct traffic *traffic)
{
	struct kernel_rx *rx = calloc(1, sizeof(*rx));

	if (!rx)
		return -SLUICE_E_NOMEM;
	rx->head.ops = &rx_ops;
	rx->head.records = traffic->seq;
	rx->fd = fd;
	*ret_rx = &rx->head;
	return 0;
}

/*
 * The kernel takes all or nothing of a record: a short count ends between records, and a control
 * record of ours is one record.
 */
static ssize_t tx_prep(struct record_tx *head, uint8_t type, const void *buf, size_t len,
		       struct msghdr *msg)
{
	struct kernel_tx *tx = (struct kernel_tx *)head;

	if (head->by_length && type == RECORD_DATA && len > head->max_payload)
		len = head->max_payload;
	tx->iov = (struct iovec){ (void *)buf, len };
	*msg = (struct msghdr){ .msg_iov = &tx->iov, .msg_iovlen = 1 };
	if (type != RECORD_DATA)
		ktls_set_type(msg, tx->control, type);
	return (ssize_t)len;
}

static int tx_failed(const struct kernel_tx *tx, int err)
{
	int code;

	if (is_again(err))
		return 0;
	code = record_error(err);
	if (code == 0)
		return -sys_errno_code(err);
	/*
	 * The kernel parses records as they arrive, so a send can meet the error first. An EINVAL
	 * that does not lie on the socket is about the call: ours.
	 */
	if (socket_error_take(tx->fd) != err && err == EINVAL)
		return -SLUICE_E_INTERNAL;
	return code;
}

static ssize_t tx_done(struct record_tx *head, ssize_t res)
{
	struct kernel_tx *tx = (struct kernel_tx *)head;

	if (res < 0)
		return tx_failed(tx, (int)-res);
	head->records += ((uint64_t)res + head->max_payload - 1) / head->max_payload;
	return res;
}

/* Sealed bytes that found no room wait in the kernel, which sends them on by itself. */
static bool tx_pending(const struct record_tx *head)
{
	return false;
}

/*
 * Kernels since 7.0 keep the limit themselves. EBUSY: a record is open; the next call is in time. Whatever
 * else it says, the length of a send does as well, at a system call for each record.
 */
static void tx_limit(struct record_tx *head, uint16_t max_payload)
{
	struct kernel_tx *tx = (struct kernel_tx *)head;
	int err = ktls_set_option(tx->fd, KTLS_MAX_PAYLOAD, max_payload);

	if (err == EBUSY)
		return;
	head->by_length = err && max_payload < RECORD_MAX_PLAIN;
	head->max_payload = max_payload;
}

static int tx_rekey(struct record_tx *head, const struct traffic *next)
{
	struct kernel_tx *tx = (struct kernel_tx *)head;

	if (ktls_install(tx->fd, KTLS_TX, next) != 0)
		return -SLUICE_E_REKEY;
	head->records = next->seq;
	return 0;
}

static struct record_tx *tx_free(struct record_tx *head)
{
	free(head);
	return NULL;
}

static const struct record_tx_ops tx_ops = {
	.path = SLUICE_PATH_KERNEL,
	.prep = tx_prep,
	.done = tx_done,
	.pending = tx_pending,
	.limit = tx_limit,
	.rekey = tx_rekey,
	.free = tx_free,
};

int record_kernel_tx_new(struct record_tx **ret_tx, int fd, const struct traffic *traffic)
{
	struct kernel_tx *tx = calloc(1, sizeof(*tx));

	if (!tx)
		return -SLUICE_E_NOMEM;
	tx->head.ops = &tx_ops;
	tx->head.max_payload = RECORD_MAX_PLAIN;
	tx->head.records = traffic->seq;
	tx->fd = fd;
	*ret_tx = &tx->head;
	return 0;
}
