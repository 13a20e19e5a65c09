// SPDX-License-Identifier: Apache-2.0
/*
 * TCP: a client's connection is established, trying the host's addresses one after the other; then
 * the kernel's record layer is attached, while the socket is certainly ESTABLISHED. Accepted and
 * given sockets pass through.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "core/sys.h"
#include "flow/flow.h"

static void drop_socket(struct sluice_conn *conn)
{
	if (conn->fd >= 0)
		sys->close(conn->fd);
	conn->fd = -1;
}

/* Starts connecting to the present address. Returns 0 or an errno. */
static int start_connect(struct sluice_conn *conn)
{
	const struct addrinfo *addr = conn->hs->addr;

	conn->fd = sys->socket(addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
			       IPPROTO_TCP);
	if (conn->fd < 0)
		return errno;
	conn->hs->gate.fd = conn->fd;
	conn_set_nodelay(conn->fd);
	if (sys->connect(conn->fd, addr->ai_addr, addr->ai_addrlen) == 0 || errno == EINTR)
		return EINPROGRESS;
	return errno;
}

/* Asks a connecting socket. Returns 0, EINPROGRESS, or why it failed. */
static int poll_connect(struct sluice_conn *conn)
{
	struct pollfd pfd = { .fd = conn->fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int err = 0;

	if (sys->poll(&pfd, 1, 0) < 0)
		return errno == EINTR ? EINPROGRESS : errno;
	if (!pfd.revents)
		return EINPROGRESS;
	if (sys->getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return errno;
	return err;
}

int stage_tcp(struct sluice_conn *conn)
{
	struct handshake *hs = conn->hs;
	int err;

	while (hs->addr) {
		err = conn->fd < 0 ? start_connect(conn) : poll_connect(conn);
		if (err == EINPROGRESS)
			err = poll_connect(conn);
		if (err == EINPROGRESS) {
			conn->events = POLLOUT;
			return STAGE_WAIT;
		}
		if (!err)
			break;
		drop_socket(conn);
		hs->addr = hs->addr->ai_next;
		if (!hs->addr)
			return conn_fail(conn,
					 err == EMFILE || err == ENFILE ? SLUICE_E_NOFILE
									: SLUICE_E_CONNECT,
					 -1, err, "connecting");
	}
	conn_attach(conn);
	return STAGE_DONE;
}
