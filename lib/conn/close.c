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

#define CLOSE_WAIT_MS 5000   /* for a peer that does not read what was accepted */
#define DRAIN_MAX (8u << 20) /* bytes: more than a receive buffer holds (tcp_rmem) */

/*
 * Unread bytes at close(2) make TCP send a reset, which overtakes the alert and whatever else is on
 * its way. They are thrown away first: raw, because nobody will open them any more.
 */
static void drain(struct sluice_conn *conn)
{
	char scrap[16384];
	struct iovec iov = { scrap, sizeof(scrap) };
	char control[64];
	size_t drained = 0;
	ssize_t n;

	while (drained < DRAIN_MAX) {
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };

		n = sys->recvmsg(conn->fd, &msg, MSG_DONTWAIT);
		if (n <= 0)
			return;
		drained += n;
	}
}

/*
 * Ends the sending direction as far as it can without waiting: close_notify, then FIN. No FIN
 * overtakes what was accepted.
 */
static int end_sending_step(struct sluice_conn *conn)
{
	int queued, r;

	do {
		queued = rio_close_notify(conn);
		r = conn_flush(conn);
	} while (r == 0 && queued == -SLUICE_E_STATE); /* the queue was full */
	if (r == 0 && rio_sendfile_direct(conn))
		r = conn_wait(conn, POLLOUT, 0);
	if (r == 0 && sys->shutdown(conn->fd, SHUT_WR) && errno != ENOTCONN)
		r = -sys_errno_code(errno);
	return r == -SLUICE_E_TIMEOUT ? -SLUICE_E_AGAIN : r;
}

/* After a time-out the next call goes on from there. */
static int end_sending(struct sluice_conn *conn, uint64_t deadline)
{
	int r;

	do {
		conn_enter(conn);
		r = end_sending_step(conn);
		conn_leave(conn);
	} while (r == -SLUICE_E_AGAIN && (r = conn_wait(conn, POLLOUT, deadline)) == 0);
	return r;
}

static int end_receiving(struct sluice_conn *conn)
{
	conn->read_closed = true;
	return sys->shutdown(conn->fd, SHUT_RD) && errno != ENOTCONN ? -sys_errno_code(errno) : 0;
}

int sluice_shutdown(struct sluice_conn *conn, int how, int timeout_ms)
{
	int r = 0, end;

	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -SLUICE_E_INVALID;
	if (conn->stage != SLUICE_STAGE_LIVE)
		return -SLUICE_E_NOT_ESTABLISHED;
	if (how != SHUT_RD)
		r = end_sending(conn, deadline_from(timeout_ms));
	if (r == -SLUICE_E_TIMEOUT && timeout_ms == SLUICE_NOWAIT)
		r = -SLUICE_E_AGAIN;
	if (how != SHUT_WR) {
		conn_enter(conn);
		end = end_receiving(conn);
		conn_leave(conn);
		r = r ? r : end;
	}
	return r;
}

int conn_dismiss(struct sluice_conn *conn)
{
	int r = 0;

	conn_enter(conn);
	if (!conn->dead) {
		r = end_sending_step(conn);
		conn_fail(conn, SLUICE_E_POLICY, -1, 0, "ended by the administrator");
		end_receiving(conn); /* who waits for the peer is woken */
	}
	conn_leave(conn);
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

/* Whether the peer has ended its side. A kernel that refused a record tells by no receive. */
static bool peer_is_gone(const struct sluice_conn *conn)
{
	struct pollfd pfd = { .fd = conn->fd, .events = POLLRDHUP };

	return sys->poll(&pfd, 1, 0) > 0 && (pfd.revents & (POLLRDHUP | POLLHUP));
}

/*
 * A fatal alert of ours is on its way: what the peer still sends is taken, so that no reset overtakes
 * it, until the peer goes or alert_timeout passes. What the kernel no longer decrypts stays where it
 * is, and is not waited for.
 */
static int linger_step(struct sluice_conn *conn)
{
	drain(conn);
	if (!conn->err.alert_sent || conn->close_result < 0 || peer_is_gone(conn))
		return 0;
	conn->events = rio_sendfile_direct(conn) ? POLLRDHUP : POLLIN | POLLRDHUP;
	return -SLUICE_E_AGAIN;
}

static int send_step(struct sluice_conn *conn)
{
	conn->events = POLLOUT;
	if (conn->tx)
		return end_sending_step(conn);
	if (conn->stage > SLUICE_STAGE_TCP)
		sys->shutdown(conn->fd, SHUT_WR);
	return 0;
}

static void enter(struct sluice_conn *conn, enum closing closing, int timeout_ms)
{
	conn->closing = closing;
	conn->close_deadline = deadline_from(timeout_ms);
}

/* Does what can be done without waiting. Returns AGAIN, or 0: nothing is left but to free it. */
static int close_step(struct sluice_conn *conn)
{
	int r;

	if (conn->fd < 0)
		return 0;
	if (conn->closing == CLOSING_NOT)
		enter(conn, CLOSING_SEND, CLOSE_WAIT_MS);
	if (conn->closing == CLOSING_SEND) {
		r = send_step(conn);
		if (r == -SLUICE_E_AGAIN && sys->now_us() < conn->close_deadline)
			return r;
		conn->close_result = r == -SLUICE_E_AGAIN ? -SLUICE_E_TIMEOUT : r;
		enter(conn, CLOSING_LINGER, conn->profile->alert_timeout_ms);
	}
	r = linger_step(conn);
	return r < 0 && sys->now_us() < conn->close_deadline ? r : 0;
}

static int finish(struct sluice_conn *conn)
{
	int r = conn->close_result;

	conn_free(conn);
	return r;
}

/* From here on the connection is asked nothing by the process that it came from. */
static void depart(struct sluice_conn *conn)
{
	if (conn->home)
		conn->home->ops->depart(conn->home->arg);
}

int sluice_close_nowait(struct sluice_conn *conn)
{
	if (!conn)
		return 0;
	depart(conn);
	return close_step(conn) < 0 ? -SLUICE_E_AGAIN : finish(conn);
}

int sluice_close(struct sluice_conn *conn)
{
	if (!conn)
		return 0;
	depart(conn);
	while (close_step(conn) < 0)
		conn_wait(conn, conn->events, conn->close_deadline);
	return finish(conn);
}

int sluice_close_timeout(struct sluice_conn *conn, int timeout_ms)
{
	if (conn)
		depart(conn);
	if (conn && conn->fd >= 0 && conn->tx && !conn->closing) {
		conn->close_result = end_sending(conn, deadline_from(CLOSE_WAIT_MS));
		if (conn->close_result == 0 && !conn->dead && !conn->read_closed)
			conn->close_result = wait_for_peer(conn, timeout_ms);
		enter(conn, CLOSING_LINGER, conn->profile->alert_timeout_ms);
	}
	return sluice_close(conn);
}
