// SPDX-License-Identifier: Apache-2.0
/*
 * The end of a connection. There is one order: what was accepted, close_notify, room in the socket
 * (POLLOUT), shutdown, then close. Closing a kernel-path socket whose buffer is full would lose the
 * last record that the kernel has accepted, so the wait comes first.
 */
#include <errno.h>
#include <poll.h>

#include "conn/conn.h"
#include "conn/rio.h"
#include "core/sys.h"

#define CLOSE_WAIT_MS 5000 /* for a peer that does not read what was accepted */
#define DRAIN_ROUNDS 16    /* receives at most, before an alert could be lost to a reset */

/* Sends everything that is queued. Returns 0 or an error. */
static int flush_until(struct sluice_conn *conn, uint64_t deadline)
{
	int r;

	while ((r = conn_flush(conn)) == -SLUICE_E_AGAIN) {
		r = conn_wait(conn, POLLOUT, deadline);
		if (r < 0)
			break;
	}
	return r;
}

/*
 * Unread bytes at close(2) make TCP send a reset, which can overtake the alert. They are thrown
 * away first: raw, because nobody will open them any more.
 */
static void drain(struct sluice_conn *conn)
{
	char scrap[4096];
	struct iovec iov = { scrap, sizeof(scrap) };
	char control[64];
	int i;

	for (i = 0; i < DRAIN_ROUNDS; i++) {
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };

		if (sys->recvmsg(conn->fd, &msg, MSG_DONTWAIT) <= 0)
			return;
	}
}

/*
 * Ends the sending direction: close_notify, then FIN. No FIN overtakes what was accepted: after a
 * time-out the next call goes on from there.
 */
static int end_sending(struct sluice_conn *conn, uint64_t deadline)
{
	int r = rio_close_notify(conn);

	if (r == -SLUICE_E_STATE) { /* the queue is full */
		r = flush_until(conn, deadline);
		if (r == 0)
			r = rio_close_notify(conn);
	}
	if (r == 0)
		r = flush_until(conn, deadline);
	if (r == 0 && rio_sendfile_direct(conn))
		r = conn_wait(conn, POLLOUT, deadline);
	if (r == 0 && sys->shutdown(conn->fd, SHUT_WR) && errno != ENOTCONN)
		r = -sys_errno_code(errno);
	return r;
}

int sluice_shutdown(struct sluice_conn *conn, int how, int timeout_ms)
{
	int r = 0;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -SLUICE_E_INVALID;
	if (conn->stage != SLUICE_STAGE_LIVE)
		return -SLUICE_E_NOT_ESTABLISHED;
	if (how != SHUT_RD)
		r = end_sending(conn, deadline_from(timeout_ms));
	if (r == -SLUICE_E_TIMEOUT && timeout_ms == SLUICE_NOWAIT)
		r = -SLUICE_E_AGAIN;
	if (how != SHUT_WR) {
		conn->read_closed = true;
		if (sys->shutdown(conn->fd, SHUT_RD) && errno != ENOTCONN && r == 0)
			r = -sys_errno_code(errno);
	}
	return r;
}

/* Reads on until the peer's close_notify, so that both sides know the stream was whole. */
static int wait_for_peer(struct sluice_conn *conn, int timeout_ms)
{
	uint64_t deadline = deadline_from(timeout_ms);
	char scrap[4096];
	ssize_t n;

	do {
		n = sluice_recv(conn, scrap, sizeof(scrap), timeout_until(deadline));
	} while (n > 0);
	if (n == -SLUICE_E_CLOSED)
		return 0;
	return n == -SLUICE_E_AGAIN ? -SLUICE_E_TIMEOUT : n;
}

static int close_conn(struct sluice_conn *conn, bool wait, int timeout_ms)
{
	int r = 0;

	if (!conn)
		return 0;
	if (conn->fd >= 0 && conn->tx) {
		r = end_sending(conn, deadline_from(CLOSE_WAIT_MS));
		if (r == 0 && wait && !conn->dead && !conn->read_closed)
			r = wait_for_peer(conn, timeout_ms);
	} else if (conn->fd >= 0 && conn->stage > SLUICE_STAGE_TCP) {
		sys->shutdown(conn->fd, SHUT_WR);
	}
	if (conn->fd >= 0)
		drain(conn);
	conn_free(conn);
	return r;
}

int sluice_close(struct sluice_conn *conn)
{
	return close_conn(conn, false, 0);
}

int sluice_close_timeout(struct sluice_conn *conn, int timeout_ms)
{
	return close_conn(conn, true, timeout_ms);
}
