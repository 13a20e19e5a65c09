// SPDX-License-Identifier: Apache-2.0
/* Client connections: by name, and on a socket that is connected already. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn/conn.h"
#include "conn/handshake.h"
#include "core/error.h"
#include "core/sys.h"
#include "flow/flow.h"

/* Brackets are how an IPv6 address stands in a URL; a zone is of this machine only. */
static int copy_host(struct sluice_conn *conn, const char *host)
{
	size_t len = strlen(host);

	if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (!len || len > 253 || memchr(host, '%', len))
		return conn_fail(conn, SLUICE_E_INVALID, -1, 0, "not a host name or address");
	conn->host = strndup(host, len);
	if (!conn->host)
		return conn_fail(conn, SLUICE_E_NOMEM, -1, 0, "keeping the host name");
	return 0;
}

static int resolve(struct sluice_conn *conn, uint16_t port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
	char service[8];
	int r;

	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(conn->host, service, &hints, &conn->hs->addrs);
	if (r)
		return conn_fail(conn, SLUICE_E_RESOLVE, -1, 0, gai_strerror(r));
	conn->hs->addr = conn->hs->addrs;
	return 0;
}

/* The address of the peer is the reference identity of a socket without a name. */
static int host_of_peer(struct sluice_conn *conn)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char host[NI_MAXHOST];

	if (sys->getpeername(conn->fd, (struct sockaddr *)&addr, &len))
		return conn_fail(conn, SLUICE_E_IO, -1, errno, "asking for the peer's address");
	if (getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST))
		return 0;                /* not an address of the internet: no name to check */
	host[strcspn(host, "%")] = '\0'; /* the zone of a link-local address is no part of it */
	return copy_host(conn, host);
}

static int set_nonblocking(struct sluice_conn *conn)
{
	int flags = sys->fcntl(conn->fd, F_GETFL, 0);

	if (flags >= 0 && flags & O_NONBLOCK)
		return 0;
	if (flags < 0 || sys->fcntl(conn->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return conn_fail(conn, SLUICE_E_IO, -1, errno, "making the socket non-blocking");
	return 0;
}

int sluice_connect(struct sluice *sluice, const char *host, uint16_t port,
		   struct sluice_profile *profile, struct sluice_session *session, int timeout_ms,
		   struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	struct sluice_conn *conn;
	int r;

	err_clear(ret_err);
	r = conn_new(&conn, sluice, profile, SLUICE_CLIENT, -1);
	if (r < 0)
		return err_set(ret_err, -r, "connecting: %s", sluice_strerror(r));
	r = copy_host(conn, host);
	if (r == 0)
		r = flow_begin(conn, session ? session->ssl_session : NULL);
	if (r == 0)
		r = resolve(conn, port);
	if (r < 0) {
		if (ret_err)
			failure_get(&conn->err, ret_err);
		conn_free(conn);
		return r;
	}
	return handshake_first(conn, timeout_ms, ret_conn, ret_err);
}

int fd_conn_new(struct sluice *sluice, int fd, const char *host, struct sluice_profile *profile,
		struct sluice_session *session, enum sluice_role role,
		struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	struct sluice_conn *conn;
	int r;

	err_clear(ret_err);
	r = conn_new(&conn, sluice, profile, role, fd);
	if (r < 0)
		return err_set(ret_err, -r, "upgrading a socket: %s", sluice_strerror(r));
	if (role == SLUICE_CLIENT)
		r = host ? copy_host(conn, host) : host_of_peer(conn);
	if (r == 0)
		r = flow_begin(conn, session ? session->ssl_session : NULL);
	if (r == 0)
		r = set_nonblocking(conn); /* last: a socket that is refused stays as it was */
	if (r < 0) {
		if (ret_err)
			failure_get(&conn->err, ret_err);
		conn->fd = -1; /* it stays the caller's */
		conn_free(conn);
		return r;
	}
	*ret_conn = conn;
	return 0;
}

int sluice_connect_fd(struct sluice *sluice, int fd, const char *host,
		      struct sluice_profile *profile, struct sluice_session *session,
		      int timeout_ms, struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	struct sluice_conn *conn;
	int r;

	r = fd_conn_new(sluice, fd, host, profile, session, SLUICE_CLIENT, &conn, ret_err);
	return r < 0 ? r : handshake_first(conn, timeout_ms, ret_conn, ret_err);
}
