// SPDX-License-Identifier: Apache-2.0
/*
 * Record I/O in four steps (rio.h): what to hand to the kernel, and what its answer means. The
 * verbs of sluice.h, event loops and io_uring all go through here; the system call itself is made
 * by the caller.
 */
#include "conn/rio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/epoch.h"
#include "core/error.h"
#include "core/sys.h"

static int check_receiving(const struct sluice_conn *conn)
{
	if (conn->dead)
		return -conn->err.code;
	if (conn->stage != SLUICE_STAGE_LIVE)
		return -SLUICE_E_NOT_ESTABLISHED;
	return conn->read_closed ? -SLUICE_E_CLOSED : 0;
}

/* What the alert and the code are for what the record path found wrong. */
static int fail_record(struct sluice_conn *conn, int code, int err)
{
	int alert;

	switch (code) {
	case SLUICE_E_BAD_RECORD_MAC:
		alert = SLUICE_ALERT_BAD_RECORD_MAC;
		break;
	case SLUICE_E_RECORD_OVERFLOW:
		alert = SLUICE_ALERT_RECORD_OVERFLOW;
		break;
	case SLUICE_E_PROTOCOL:
		alert = SLUICE_ALERT_UNEXPECTED_MESSAGE;
		break;
	case SLUICE_E_RESET:
	case SLUICE_E_IO:
		return conn_fail(conn, code, -1, err, "receiving");
	default:
		alert = SLUICE_ALERT_INTERNAL_ERROR;
	}
	return conn_fail(conn, code, alert, 0, "receiving a record");
}

/*
 * One outcome of the record path; @err is the errno of the receive, or 0. Returns bytes of data, 0 for
 * none, or an error.
 */
static ssize_t take_result(struct sluice_conn *conn, int result, int err, struct record *record)
{
	ssize_t n;

	switch (result) {
	case RECORD_READY:
		conn->unblocked = false;
		n = live_record(conn, record, conn->recv_buf, conn->recv_len);
		if (!conn->rest.len)
			conn->rx->ops->used(conn->rx);
		return n;
	case RECORD_MORE:
		return 0;
	case RECORD_EOF:
		return live_eof(conn);
	case RECORD_REKEY:
		return epoch_unblock(conn);
	default:
		return fail_record(conn, -result, err);
	}
}

static ssize_t take_early(struct sluice_conn *conn)
{
	size_t n = conn->early_len - conn->early_used;

	if (n > conn->recv_len)
		n = conn->recv_len;
	memcpy(conn->recv_buf, conn->early + conn->early_used, n);
	conn->early_used += n;
	conn_received(conn, n);
	return n;
}

/* What is here already: early plaintext, the rest of a record, records read ahead. */
static ssize_t take_buffered(struct sluice_conn *conn)
{
	struct record record = conn->rest;
	ssize_t n;
	int r;

	if (conn->early_used < conn->early_len)
		return take_early(conn);
	if (record.len) {
		n = record.len < conn->recv_len ? record.len : conn->recv_len;
		memcpy(conn->recv_buf, record.data, n);
		conn->rest.data += n;
		conn->rest.len -= n;
		conn_received(conn, n);
		if (!conn->rest.len)
			conn->rx->ops->used(conn->rx);
		return n;
	}
	do {
		r = conn->rx->ops->next(conn->rx, conn->recv_buf, conn->recv_len, &record);
		n = take_result(conn, r, 0, &record);
	} while (r == RECORD_READY && n == 0);
	return n;
}

ssize_t rio_recv_here(struct sluice_conn *conn, void *buf, size_t buf_len)
{
	int r = check_receiving(conn);

	if (r < 0)
		return r;
	if (!buf_len)
		return -SLUICE_E_INVALID;
	conn->recv_buf = buf;
	conn->recv_len = buf_len;
	return take_buffered(conn);
}

/*
 * The kernel gives a control record in pieces of the receiver's length: whoever reads a few bytes at
 * a time would fetch a ticket that it knows nothing of by hundreds of system calls. Its receives go
 * through a buffer of ours; what it has no room for waits in conn->rest.
 */
static bool has_small(struct sluice_conn *conn)
{
	if (conn->rx->ops->path == SLUICE_PATH_KERNEL && !conn->small)
		conn->small = malloc(CONN_SMALL_LEN);
	return conn->small != NULL;
}

ssize_t rio_recv_prep(struct sluice_conn *conn, void *buf, size_t buf_len, struct msghdr **ret_msg)
{
	ssize_t n = rio_recv_here(conn, buf, buf_len);
	int r;

	if (n)
		return n;
	if (buf_len < CONN_SMALL_LEN && has_small(conn)) {
		buf = conn->small;
		buf_len = CONN_SMALL_LEN;
	}
	r = conn->rx->ops->prep(conn->rx, buf, buf_len, &conn->recv_msg);
	if (r < 0)
		return conn_fail(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, 0, "preparing to receive");
	conn->receiving = true;
	*ret_msg = &conn->recv_msg;
	return 0;
}

ssize_t rio_recv_done(struct sluice_conn *conn, ssize_t res)
{
	struct record record;
	ssize_t n;
	int r;

	conn->receiving = false;
	r = conn->rx->ops->done(conn->rx, res, &conn->recv_msg, &record);
	n = take_result(conn, r, res < 0 ? (int)-res : 0, &record);
	if (n == 0 && r == RECORD_READY)
		n = take_buffered(conn);
	return n ? n : -SLUICE_E_AGAIN;
}

bool rio_send_pending(const struct sluice_conn *conn)
{
	return conn->tx && (conn->n_outgoing || conn->tx->ops->pending(conn->tx));
}

ssize_t rio_send_prep(struct sluice_conn *conn, const void *buf, size_t buf_len,
		      struct msghdr **ret_msg)
{
	const struct outgoing *out = &conn->outgoing[0];
	ssize_t n;

	*ret_msg = NULL;
	if (!conn->tx)
		return conn->dead ? -conn->err.code : -SLUICE_E_NOT_ESTABLISHED;
	if (buf_len && !conn->dead && !conn->write_closed) {
		n = conn_room(conn, &buf_len);
		if (n < 0)
			return n;
	}
	if (conn->tx->ops->pending(conn->tx)) {
		conn->in_flight = SEND_PENDING;
		n = conn->tx->ops->prep(conn->tx, RECORD_DATA, NULL, 0, &conn->send_msg);
	} else if (conn->n_outgoing) {
		conn->in_flight = SEND_CONTROL;
		n = conn->tx->ops->prep(conn->tx, out->type, out->bytes, out->len, &conn->send_msg);
	} else if (buf_len && conn->dead) {
		return -conn->err.code;
	} else if (buf_len && conn->write_closed) {
		return conn->err.code ? -conn->err.code : -SLUICE_E_CLOSED;
	} else if (buf_len) {
		conn->in_flight = SEND_DATA;
		n = conn->tx->ops->prep(conn->tx, RECORD_DATA, buf, buf_len, &conn->send_msg);
	} else {
		return 0;
	}
	if (n < 0) {
		conn->in_flight = SEND_NONE;
		return conn_fail(conn, -n, -1, 0, "sealing a record");
	}
	*ret_msg = &conn->send_msg;
	return conn->in_flight == SEND_DATA ? n : 0;
}

/* The first queued control record is sealed; a new epoch begins behind a KeyUpdate. */
static int control_sent(struct sluice_conn *conn)
{
	bool new_epoch = conn->outgoing[0].new_epoch;

	conn->n_outgoing--;
	memmove(conn->outgoing, conn->outgoing + 1, conn->n_outgoing * sizeof(conn->outgoing[0]));
	return new_epoch ? epoch_sent(conn) : 0;
}

/*
 * A peer that has closed resets what is sent to it. What it sent before can still be received, so
 * only the sending direction ends here. What the kernel found wrong in a record that came, it tells
 * by whichever call is next.
 */
static int fail_sending(struct sluice_conn *conn, int code, int err)
{
	if (code == SLUICE_E_BAD_RECORD_MAC || code == SLUICE_E_RECORD_OVERFLOW ||
	    code == SLUICE_E_PROTOCOL)
		return fail_record(conn, code, err);
	conn->n_outgoing = 0;
	conn->write_closed = true;
	if (code != SLUICE_E_RESET)
		return conn_fail(conn, code, -1, err, "sending");
	if (conn->err.code)
		return -conn->err.code;
	conn->err.stage = conn->stage;
	return failure_set(&conn->err, code, ECONNRESET, "sending");
}

ssize_t rio_send_done(struct sluice_conn *conn, ssize_t res)
{
	enum send_in_flight in_flight = conn->in_flight;
	ssize_t n = conn->tx->ops->done(conn->tx, res);

	conn->in_flight = SEND_NONE;
	if (n < 0)
		return fail_sending(conn, -n, res < 0 ? (int)-res : 0);
	if (in_flight == SEND_DATA) {
		conn_sent(conn, n);
		return n;
	}
	if (in_flight == SEND_CONTROL && n > 0)
		return control_sent(conn);
	return 0;
}

bool rio_sendfile_direct(const struct sluice_conn *conn)
{
	return conn->tx && conn->tx->ops->path == SLUICE_PATH_KERNEL;
}

int rio_direct_failed(struct sluice_conn *conn, int err)
{
	ssize_t n = conn->tx->ops->done(conn->tx, -err);

	return n < 0 ? fail_sending(conn, -n, err) : 0;
}

void rio_sent_direct(struct sluice_conn *conn, size_t n)
{
	conn_sent(conn, n);
	conn->tx->records += (n + conn->tx->max_payload - 1) / conn->tx->max_payload;
}

int rio_direct_room(struct sluice_conn *conn, size_t *len)
{
	if (!conn->dead && !conn->write_closed)
		return conn_room(conn, len);
	if (rio_send_pending(conn))
		return 0;
	return conn->err.code ? -conn->err.code : -SLUICE_E_CLOSED;
}

bool rio_may_hold(const struct sluice_conn *conn)
{
	return rio_sendfile_direct(conn) && !conn->tx->by_length;
}

bool rio_receive_direct(const struct sluice_conn *conn)
{
	return check_receiving(conn) == 0 && conn->rx->ops->path == SLUICE_PATH_KERNEL &&
	       !conn->rest.len && conn->early_used == conn->early_len;
}

int rio_received_direct(struct sluice_conn *conn, size_t n)
{
	conn->unblocked = false;
	conn->rx->records += (n + RECORD_MAX_PLAIN - 1) / RECORD_MAX_PLAIN;
	return live_spliced(conn, n);
}

int rio_close_notify(struct sluice_conn *conn)
{
	static const uint8_t close_notify[ALERT_LEN] = { ALERT_LEVEL_WARNING,
							 SLUICE_ALERT_CLOSE_NOTIFY };
	int r;

	if (conn->write_closed || !conn->tx)
		return 0;
	r = conn_queue(conn, RECORD_ALERT, close_notify, sizeof(close_notify), false);
	if (r < 0)
		return r;
	conn->write_closed = true;
	conn->info.alerts_sent++;
	return 0;
}

int conn_flush(struct sluice_conn *conn)
{
	struct msghdr *msg;
	ssize_t n;

	/* A ring has the message and its record: who reports the result sends what waits behind it. */
	if (conn->in_flight != SEND_NONE)
		return -SLUICE_E_AGAIN;
	while (rio_send_pending(conn)) {
		n = rio_send_prep(conn, NULL, 0, &msg);
		if (n < 0)
			return n;
		n = sys->sendmsg(conn->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		n = n < 0 ? -errno : n;
		if (rio_send_done(conn, n) < 0)
			return -conn->err.code;
		if (n == -EAGAIN)
			return -SLUICE_E_AGAIN;
	}
	return 0;
}
