/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets: opening them, and accepting by the ring. When the process or the machine is
 * out of descriptors or memory, accepting pauses: connections wait in the backlog, and the loop
 * does not spin. Called by the worker; gives every accepted socket to the connection driver.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define BACKLOG 1024
#define PAUSE_MS 100

static void arm(struct listener *listener)
{
	struct worker *worker = listener->worker;

	if (listener->accept.busy || worker->draining || timer_is_set(&listener->pause))
		return;
	/* A limit is kept exactly: one accept at a time, and only when there is a place. */
	if (worker->max_peers && worker->n_peers + worker->n_accepting >= worker->max_peers)
		return;
	if (loop_accept(&worker->loop, &listener->accept, listener->fd, listener->multishot) < 0)
		timer_set(&worker->loop.timers, &listener->pause, worker->loop.now_ms + PAUSE_MS);
	else
		worker->n_accepting++;
}

static void pause_done(struct timer *timer)
{
	arm(owner_of(timer, struct listener, pause));
}

static void close_fd(struct listener *listener)
{
	if (listener->fd >= 0)
		close(listener->fd);
	listener->fd = -1;
}

static void accepted(struct listener *listener, int fd)
{
	struct worker *worker = listener->worker;
	int on = 1;

	stats_add(&worker->server->stats.accepted, 1);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	peer_new(worker, fd);
}

static void accept_failed(struct listener *listener, int err)
{
	struct worker *worker = listener->worker;

	if (err == ECONNABORTED || err == EINTR)
		return; /* that connection is gone; the next may be there */
	if (err == EINVAL && listener->multishot) {
		listener->multishot = false; /* a kernel before 5.19 */
		return;
	}
	stats_add(&worker->server->stats.accept_pauses, 1);
	timer_set(&worker->loop.timers, &listener->pause, worker->loop.now_ms + PAUSE_MS);
}

static void accept_done(struct op *op, int res)
{
	struct listener *listener = owner_of(op, struct listener, accept);

	if (!op->busy)
		listener->worker->n_accepting--;
	if (res >= 0)
		accepted(listener, res);
	else if (res != -ECANCELED)
		accept_failed(listener, -res);
	if (listener->worker->draining && !op->busy)
		close_fd(listener);
	else
		arm(listener);
}

void listener_start(struct listener *listener, struct worker *worker)
{
	listener->worker = worker;
	listener->multishot = worker->max_peers == 0;
	listener->accept.done = accept_done;
	listener->pause.fire = pause_done;
	arm(listener);
}

void listener_resume(struct listener *listener)
{
	if (listener->fd >= 0)
		arm(listener);
}

void listener_stop(struct listener *listener)
{
	timer_stop(&listener->pause);
	if (!listener->accept.busy || loop_cancel(&listener->worker->loop, &listener->accept) < 0)
		close_fd(listener);
}

/* Splits "HOST:PORT" or "[HOST]:PORT" in place. Returns the port, or NULL. */
static char *split(char *address, char **ret_host)
{
	char *colon = strrchr(address, ':');
	size_t len;

	if (!colon)
		return NULL;
	*colon = '\0';
	len = strlen(address);
	if (address[0] == '[' && len > 2 && address[len - 1] == ']') {
		address[len - 1] = '\0';
		address++;
	} else if (strchr(address, ':')) {
		return NULL; /* an IPv6 address without brackets */
	}
	*ret_host = *address && strcmp(address, "*") != 0 ? address : NULL;
	return colon + 1;
}

static int resolve(const char *address, struct addrinfo **ret_list)
{
	static const struct addrinfo hints = {
		.ai_flags = AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
	};
	char copy[300], *host, *port;
	int r;

	snprintf(copy, sizeof(copy), "%s", address);
	port = split(copy, &host);
	if (!port) {
		fprintf(stderr, "sluice serve: '%s' is not HOST:PORT\n", address);
		return -1;
	}
	r = getaddrinfo(host, port, &hints, ret_list);
	if (r != 0) {
		fprintf(stderr, "sluice serve: %s: %s\n", address, gai_strerror(r));
		return -1;
	}
	return 0;
}

static void set_port(struct sockaddr *addr, unsigned int port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)(void *)addr;
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)addr;

	if (addr->sa_family == AF_INET && in->sin_port == 0)
		in->sin_port = htons((uint16_t)port);
	else if (addr->sa_family == AF_INET6 && in6->sin6_port == 0)
		in6->sin6_port = htons((uint16_t)port);
}

static int bind_and_listen(const struct addrinfo *ai, bool reuse_port)
{
	int fd, on = 1, err;

	/* Blocking: io_uring answers EAGAIN at once for a non-blocking socket. */
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if ((reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0) {
		err = errno;
		close(fd);
		errno = err;
		return -1;
	}
	return fd;
}

int listener_open(const char *address, bool reuse_port, unsigned int port)
{
	struct addrinfo *list;
	int fd;

	if (resolve(address, &list) < 0)
		return -1;
	set_port(list->ai_addr, port);
	fd = bind_and_listen(list, reuse_port);
	if (fd < 0)
		fprintf(stderr, "sluice serve: cannot listen on %s: %s\n", address,
			strerror(errno));
	freeaddrinfo(list);
	return fd;
}
