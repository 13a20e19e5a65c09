// SPDX-License-Identifier: Apache-2.0
/*
 * Sending and receiving with time-outs: the four steps of rio.h around sendmsg and recvmsg, tried
 * first and waited for only after EAGAIN. A wait after a short read could sleep on a record that
 * has left the socket already.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/epoch.h"
#include "conn/hibernate.h"
#include "conn/rio.h"
#include "core/buffer.h"
#include "core/secret.h"
#include "core/sys.h"

#define FILE_CHUNK (4 * RECORD_MAX_PLAIN)
_Static_assert(FILE_CHUNK <= BUFFER_LEN, "a chunk of a file fits into a buffer");

static int check_sending(const struct sluice_conn *conn)
{
	if (conn->dead)
		return -conn->err.code;
	if (conn->stage != SLUICE_STAGE_LIVE)
		return -SLUICE_E_NOT_ESTABLISHED;
	if (conn->write_closed)
		return conn->err.code ? -conn->err.code : -SLUICE_E_CLOSED;
	return 0;
}

/* Until when a call may wait; NOW: not at all, not even to ask the clock or poll(2). */
#define NOW 0

static uint64_t until(int timeout_ms)
{
	return timeout_ms == SLUICE_NOWAIT ? NOW : deadline_from(timeout_ms);
}

/* What the process that it came from asks of it is done meanwhile. */
static int wait_apart(struct sluice_conn *conn, int events, uint64_t deadline)
{
	int r;

	conn_leave(conn);
	r = conn_wait(conn, events, deadline);
	conn_enter(conn);
	return r;
}

static int wait_until(struct sluice_conn *conn, int events, uint64_t deadline)
{
	uint64_t hibernates = hibernate_at(conn);
	int r;

	if (deadline == NOW)
		return -SLUICE_E_AGAIN;
	if (hibernates < deadline) {
		r = wait_apart(conn, events, hibernates);
		if (r != -SLUICE_E_TIMEOUT)
			return r;
		hibernate(conn);
	}
	return wait_apart(conn, events, deadline);
}

/* One send. Returns the bytes of @buf accepted; *@ret_full when the socket took no more. */
static ssize_t send_once(struct sluice_conn *conn, const void *buf, size_t len, bool *ret_full)
{
	struct msghdr *msg;
	ssize_t n = rio_send_prep(conn, buf, len, &msg);
	ssize_t res;

	*ret_full = false;
	if (n < 0 || !msg)
		return n;
	res = sys->sendmsg(conn->fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	res = res < 0 ? -errno : res;
	*ret_full = res == -EAGAIN;
	return rio_send_done(conn, res);
}

static ssize_t send_deadline(struct sluice_conn *conn, const void *buf, size_t buf_len,
			     uint64_t deadline)
{
	size_t sent = 0;
	bool full;
	ssize_t n;
	int r = check_sending(conn);

	if (r < 0)
		return r;
	while (sent < buf_len || rio_send_pending(conn)) {
		n = send_once(conn, (const char *)buf + sent, buf_len - sent, &full);
		if (n == -SLUICE_E_KEY_EXHAUSTED && sent)
			break; /* these arrive; the next call says it again */
		if (n < 0)
			return n;
		sent += n;
		r = full ? wait_until(conn, POLLOUT, deadline) : 0;
		if (r < 0)
			break;
	}
	return sent || !buf_len ? (ssize_t)sent : r;
}

ssize_t sluice_send(struct sluice_conn *conn, const void *buf, size_t buf_len, int timeout_ms)
{
	ssize_t n;

	conn_enter(conn);
	n = send_deadline(conn, buf, buf_len, until(timeout_ms));
	conn_leave(conn);
	return n;
}

static ssize_t sendv_deadline(struct sluice_conn *conn, const struct iovec *iov, int n_iov,
			      uint64_t deadline)
{
	size_t total = 0;
	ssize_t n;
	int i;

	for (i = 0; i < n_iov; i++) {
		n = send_deadline(conn, iov[i].iov_base, iov[i].iov_len, deadline);
		if (n < 0)
			return total ? (ssize_t)total : n;
		total += n;
		if ((size_t)n < iov[i].iov_len)
			break;
	}
	return total;
}

ssize_t sluice_sendv(struct sluice_conn *conn, const struct iovec *iov, int n_iov, int timeout_ms)
{
	ssize_t n;

	if (n_iov < 0)
		return -SLUICE_E_INVALID;
	conn_enter(conn);
	n = sendv_deadline(conn, iov, n_iov, until(timeout_ms));
	conn_leave(conn);
	return n;
}

/*
 * The errnos of sendfile(2) that are about the file: the connection can go on without it. EINVAL is
 * also what the kernel says of a record that it could not read, and then it lies on the socket.
 */
static bool is_of_file(const struct sluice_conn *conn, int err)
{
	socklen_t len = sizeof(int);
	int pending = 0;

	if (err == EINVAL) {
		sys->getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &pending, &len);
		return pending == 0;
	}
	return err == EBADF || err == EIO || err == ESPIPE || err == EOVERFLOW || err == EISDIR;
}

/* Kernel path: page cache to socket. Returns bytes, 0 at the end of the file, or an error. */
static ssize_t sendfile_direct(struct sluice_conn *conn, int file_fd, off_t *offset, size_t count,
			       bool *ret_full)
{
	ssize_t n;
	int err;

	do {
		n = sys->sendfile(conn->fd, file_fd, offset, count);
	} while (n < 0 && errno == EINTR);
	err = n < 0 ? errno : 0;
	*ret_full = err == EAGAIN;
	if (err && is_of_file(conn, err))
		return -SLUICE_E_FILE;
	if (err)
		return rio_direct_failed(conn, err);
	rio_sent_direct(conn, n);
	return n;
}

/* User path: read and seal. Same results. */
static ssize_t sendfile_copied(struct sluice_conn *conn, int file_fd, off_t *offset, size_t count,
			       bool *ret_full)
{
	size_t want = count < FILE_CHUNK ? count : FILE_CHUNK;
	uint8_t *chunk = buffer_take(BUFFER_LEN);
	ssize_t n = -SLUICE_E_NOMEM, sent = 0, r;

	if (!chunk)
		return n;
	*ret_full = false;
	do {
		n = sys->pread(file_fd, chunk, want, *offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		sent = -SLUICE_E_FILE;
	while (n > 0 && sent < n && !*ret_full) {
		r = send_once(conn, chunk + sent, n - sent, ret_full);
		if (r < 0) {
			sent = r;
			break;
		}
		sent += r;
	}
	if (n > 0)
		secret_wipe(chunk, (size_t)n);
	buffer_give(chunk, BUFFER_LEN);
	if (sent > 0)
		*offset += sent;
	return sent;
}

static ssize_t sendfile_deadline(struct sluice_conn *conn, int file_fd, off_t *offset, size_t count,
				 uint64_t deadline)
{
	size_t sent = 0, room;
	bool full = false, pending;
	ssize_t n;
	int r = check_sending(conn);

	if (r < 0)
		return r;
	while (sent < count || rio_send_pending(conn)) {
		room = count - sent;
		r = room ? rio_direct_room(conn, &room) : 0;
		if (r < 0)
			return sent ? (ssize_t)sent : r;
		pending = rio_send_pending(conn);
		if (pending)
			n = send_once(conn, NULL, 0, &full);
		else if (rio_sendfile_direct(conn))
			n = sendfile_direct(conn, file_fd, offset, room, &full);
		else
			n = sendfile_copied(conn, file_fd, offset, room, &full);
		if (n < 0)
			return n;
		sent += n;
		r = full ? wait_until(conn, POLLOUT, deadline) : 0;
		if (r < 0)
			break;
		if (n == 0 && !full && !pending)
			break; /* the end of the file */
	}
	return sent ? (ssize_t)sent : r;
}

ssize_t sluice_sendfile(struct sluice_conn *conn, int file_fd, off_t *offset, size_t count,
			int timeout_ms)
{
	ssize_t n;

	conn_enter(conn);
	n = sendfile_deadline(conn, file_fd, offset, count, until(timeout_ms));
	conn_leave(conn);
	return n;
}

/*
 * One receive, answering what control records ask for. Returns as rio_recv_done(); *@ret_more when
 * the last receive filled what it was given, so that the socket may hold more.
 */
static ssize_t recv_once(struct sluice_conn *conn, void *buf, size_t len, bool *ret_more)
{
	struct msghdr *msg;
	ssize_t n = rio_recv_prep(conn, buf, len, &msg);
	ssize_t res;

	if (n == 0) {
		res = sys->recvmsg(conn->fd, msg, MSG_DONTWAIT);
		conn->recv_filled = res >= 0 && (size_t)res == msg->msg_iov->iov_len;
		res = res < 0 ? -errno : res;
		n = rio_recv_done(conn, res);
		if (n == -SLUICE_E_AGAIN && res != -EAGAIN)
			n = 0; /* a control record, or part of a record: go on */
	}
	*ret_more = conn->recv_filled;
	if (rio_send_pending(conn))
		conn_flush(conn);
	return n;
}

static ssize_t recv_deadline(struct sluice_conn *conn, void *buf, size_t len, uint64_t deadline,
			     bool *ret_more)
{
	ssize_t n;

	for (;;) {
		n = recv_once(conn, buf, len, ret_more);
		if (n > 0 || (n < 0 && n != -SLUICE_E_AGAIN))
			return n;
		if (n == 0)
			continue;
		n = wait_until(conn, conn_live_events(conn), deadline);
		if (n < 0)
			return n;
	}
}

/*
 * What has come behind the first bytes: records read ahead, and what the socket still holds where
 * the last receive shows that it may hold something. An error is the next call's to meet.
 */
static size_t recv_behind(struct sluice_conn *conn, char *buf, size_t len, bool more)
{
	size_t got = 0;
	ssize_t n;

	while (got < len) {
		n = rio_recv_here(conn, buf + got, len - got);
		if (n == 0 && !more)
			break;
		if (n == 0)
			n = recv_once(conn, buf + got, len - got, &more);
		if (n < 0)
			break;
		got += n;
	}
	if (rio_send_pending(conn))
		conn_flush(conn);
	return got;
}

ssize_t sluice_recv(struct sluice_conn *conn, void *buf, size_t buf_len, int timeout_ms)
{
	bool more;
	ssize_t n;

	conn_enter(conn);
	n = recv_deadline(conn, buf, buf_len, until(timeout_ms), &more);
	if (n > 0)
		n += (ssize_t)recv_behind(conn, (char *)buf + n, buf_len - n, more);
	conn_leave(conn);
	return n;
}

/* Bytes that a timed-out call had received already go in front of everything else. */
static int push_back(struct sluice_conn *conn, const void *buf, size_t len)
{
	uint8_t *early = malloc(len);

	if (!early)
		return -SLUICE_E_NOMEM;
	memcpy(early, buf, len);
	if (conn->early)
		secret_wipe(conn->early, conn->early_len);
	free(conn->early);
	conn->early = early;
	conn->early_len = len;
	conn->early_used = 0;
	conn->info.rx.bytes -= len;
	return 0;
}

/*
 * What becomes of the first @got bytes where the rest did not come: with the connection's end they
 * are lost, and counted; otherwise the next call begins with them. Returns @why.
 */
static ssize_t recv_cut_short(struct sluice_conn *conn, const void *buf, size_t got, ssize_t why)
{
	if (conn->dead || conn->read_closed)
		conn->discarded += got;
	else if (got && push_back(conn, buf, got) < 0) {
		conn->discarded += got;
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "keeping received bytes");
	}
	return why;
}

static ssize_t recv_exact_deadline(struct sluice_conn *conn, void *buf, size_t buf_len,
				   uint64_t deadline)
{
	size_t got = 0;
	ssize_t n;
	bool more;

	while (got < buf_len) {
		n = recv_deadline(conn, (char *)buf + got, buf_len - got, deadline, &more);
		if (n < 0)
			return recv_cut_short(conn, buf, got, n);
		got += n;
	}
	return got;
}

ssize_t sluice_recv_exact(struct sluice_conn *conn, void *buf, size_t buf_len, int timeout_ms)
{
	ssize_t n;

	conn_enter(conn);
	n = recv_exact_deadline(conn, buf, buf_len, until(timeout_ms));
	conn_leave(conn);
	return n;
}

size_t sluice_discarded(const struct sluice_conn *conn)
{
	return conn->discarded;
}

static int update_keys_deadline(struct sluice_conn *conn, int request, uint64_t deadline)
{
	int r = check_sending(conn);

	if (r < 0)
		return r;
	if (conn->suite->version != TLS13)
		return -SLUICE_E_UNDEFINED;
	if (!epoch_can_change(conn))
		return -SLUICE_E_REKEY;
	r = epoch_update(conn, request, SLUICE_REKEY_CALL);
	if (r < 0)
		return r;
	while ((r = conn_flush(conn)) == -SLUICE_E_AGAIN) {
		r = wait_until(conn, POLLOUT, deadline);
		if (r < 0)
			break;
	}
	return r;
}

int sluice_update_keys(struct sluice_conn *conn, int request, int timeout_ms)
{
	int r;

	conn_enter(conn);
	r = update_keys_deadline(conn, request, until(timeout_ms));
	conn_leave(conn);
	return r;
}

int sluice_renegotiate(struct sluice_conn *conn)
{
	return -SLUICE_E_UNSUPPORTED_RENEGOTIATION;
}
