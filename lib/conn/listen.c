// SPDX-License-Identifier: Apache-2.0
/*
 * Listening and accepting. A listener outlives every failed accept: running out of descriptors or
 * memory is weather, not an end. No TLS byte is read here.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "conn/conn.h"
#include "conn/rio.h"
#include "core/error.h"
#include "core/sys.h"

#define BACKLOG 4096 /* cut by net.core.somaxconn */

struct sluice_listener {
	struct sluice *sluice;
	struct sluice_profile *profile;
	int fd;
	int port;
};

static int bind_one(const struct addrinfo *addr, int *ret_fd)
{
	int one = 1, err, fd;

	fd = sys->socket(addr->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return errno;
	/* Accepted sockets inherit TCP_NODELAY. */
	if (sys->setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    sys->setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) ||
	    sys->bind(fd, addr->ai_addr, addr->ai_addrlen) || sys->listen(fd, BACKLOG)) {
		err = errno;
		sys->close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

static int listener_port(int fd, int *ret_port)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (sys->getsockname(fd, (struct sockaddr *)&addr, &len))
		return errno;
	*ret_port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
						     : ((struct sockaddr_in *)&addr)->sin_port);
	return 0;
}

/* The first address of @host that can be bound. Returns 0, or the code and text in @ret_err. */
static int bind_host(const char *host, uint16_t port, int *ret_fd, struct sluice_error *ret_err)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *addrs = NULL, *addr;
	char service[8];
	int r, err = EADDRNOTAVAIL;

	snprintf(service, sizeof(service), "%u", port);
	r = getaddrinfo(host, service, &hints, &addrs);
	if (r)
		return err_set(ret_err, SLUICE_E_RESOLVE, "cannot listen on %s: %s",
			       host ? host : "any address", gai_strerror(r));
	for (addr = addrs; addr && err; addr = addr->ai_next)
		err = bind_one(addr, ret_fd);
	freeaddrinfo(addrs);
	if (err)
		return err_set_errno(ret_err, sys_errno_code(err), err,
				     "cannot listen on %s port %u", host ? host : "any address",
				     port);
	return 0;
}

int sluice_listen(struct sluice *sluice, const char *host, uint16_t port,
		  struct sluice_profile *profile, struct sluice_listener **ret_listener,
		  struct sluice_error *ret_err)
{
	struct sluice_listener *listener;
	int r, err;

	err_clear(ret_err);
	if (profile->role != SLUICE_SERVER)
		return err_set(ret_err, SLUICE_E_OPTION_ROLE, "listening needs a server profile");
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return err_set(ret_err, SLUICE_E_NOMEM, "making a listener");
	listener->fd = -1;
	r = bind_host(host, port, &listener->fd, ret_err);
	if (r < 0)
		goto fail;
	err = listener_port(listener->fd, &listener->port);
	if (err) {
		r = err_set_errno(ret_err, SLUICE_E_IO, err, "asking for the port");
		goto fail;
	}
	listener->sluice = sluice_ref(sluice);
	listener->profile = sluice_profile_ref(profile);
	*ret_listener = listener;
	return 0;
fail:
	if (listener->fd >= 0)
		sys->close(listener->fd);
	free(listener);
	return r;
}

int sluice_listener_fd(const struct sluice_listener *listener)
{
	return listener->fd;
}

int sluice_listener_port(const struct sluice_listener *listener)
{
	return listener->port;
}

struct sluice_listener *sluice_listener_free(struct sluice_listener *listener)
{
	if (!listener)
		return NULL;
	sys->close(listener->fd);
	sluice_profile_unref(listener->profile);
	sluice_unref(listener->sluice);
	free(listener);
	return NULL;
}

int rio_accepted(struct sluice_listener *listener, int fd, struct sluice_conn **ret_conn)
{
	return conn_new(ret_conn, listener->sluice, listener->profile, SLUICE_SERVER, fd);
}

/* accept(2): errors of a connection that is gone already; the next one may be there. */
static bool is_lost_connection(int err)
{
	return err == EINTR || err == ECONNABORTED || err == EPROTO || err == ENETDOWN ||
	       err == ENOPROTOOPT || err == EHOSTDOWN || err == ENONET || err == EHOSTUNREACH ||
	       err == ENETUNREACH || err == EOPNOTSUPP;
}

static int wait_accept(const struct sluice_listener *listener, uint64_t deadline)
{
	struct pollfd pfd = { .fd = listener->fd, .events = POLLIN };
	int r = sys->poll(&pfd, 1, timeout_until(deadline));

	if (r < 0 && errno != EINTR)
		return -sys_errno_code(errno);
	return r == 0 ? -SLUICE_E_TIMEOUT : 0;
}

int sluice_transport_accept(struct sluice_listener *listener, int timeout_ms,
			    struct sluice_conn **ret_conn)
{
	uint64_t deadline = deadline_from(timeout_ms);
	int fd, r;

	for (;;) {
		fd = sys->accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0)
			break;
		if (is_lost_connection(errno))
			continue;
		if (errno != EAGAIN)
			return -sys_errno_code(errno);
		if (timeout_ms == SLUICE_NOWAIT)
			return -SLUICE_E_AGAIN;
		r = wait_accept(listener, deadline);
		if (r < 0)
			return r;
	}
	r = rio_accepted(listener, fd, ret_conn);
	if (r < 0)
		sys->close(fd);
	return r;
}
