/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets for tests of diag/diag.h, and looking for them. Other programs' sockets are in every dump
 * and among the ends, so everything goes by cookie. Every failure ends the test.
 */
#ifndef SLUICE_TESTS_SUPPORT_DIAG_WORLD_H
#define SLUICE_TESTS_SUPPORT_DIAG_WORLD_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diag/diag.h"
#include "support/tcp.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SENT_BY_CLIENT 70000
#define SENT_BY_SERVER 1234

/* --- sockets ------------------------------------------------------------------------------- */

struct side {
	int fd;
	uint64_t cookie;
	struct sockaddr_storage local, peer;
};

struct tcp {
	struct side client, server;
};

/* Servers and clients of these two families; IPv4 to an IPv6 socket makes mapped addresses. */
static const struct {
	const char *host; /* where the server listens */
	int server, client;
} kinds[] = {
	{ "127.0.0.1", AF_INET, AF_INET },
	{ "::1", AF_INET6, AF_INET6 },
	{ "::", AF_INET6, AF_INET },
	{ "::ffff:127.0.0.1", AF_INET6, AF_INET6 },
};

static inline bool have_ipv6(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool r = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;

	if (fd >= 0)
		close(fd);
	return r;
}

static inline socklen_t set_address(struct sockaddr_storage *ret_addr, int family, const char *host,
				    in_port_t port)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_addr;
	struct sockaddr_in *in = (struct sockaddr_in *)ret_addr;

	memset(ret_addr, 0, sizeof(*ret_addr));
	ret_addr->ss_family = (sa_family_t)family;
	in->sin_port = port; /* at the same place in both */
	assert_int_equal(inet_pton(family, host,
				   family == AF_INET ? (void *)&in->sin_addr
						     : (void *)&in6->sin6_addr),
			 1);
	return family == AF_INET ? sizeof(*in) : sizeof(*in6);
}

static inline void look_at(struct side *side)
{
	socklen_t len = sizeof(side->cookie);

	memset(&side->local, 0, sizeof(side->local));
	memset(&side->peer, 0, sizeof(side->peer));
	assert_int_equal(getsockopt(side->fd, SOL_SOCKET, SO_COOKIE, &side->cookie, &len), 0);
	len = sizeof(side->local);
	assert_int_equal(getsockname(side->fd, (struct sockaddr *)&side->local, &len), 0);
	len = sizeof(side->peer);
	assert_int_equal(getpeername(side->fd, (struct sockaddr *)&side->peer, &len), 0);
}

/* open_kind() connects two sockets. False: this machine has no such addresses. */
static inline bool open_kind(struct tcp *tcp, size_t kind)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd;

	if (kinds[kind].server == AF_INET6 && !have_ipv6())
		return false;
	fd = socket(kinds[kind].server, SOCK_STREAM | SOCK_CLOEXEC, 0);
	len = set_address(&addr, kinds[kind].server, kinds[kind].host, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	len = set_address(&addr, kinds[kind].client,
			  kinds[kind].client != kinds[kind].server ? "127.0.0.1" : kinds[kind].host,
			  ((struct sockaddr_in *)&addr)->sin_port);
	tcp->client.fd = socket(kinds[kind].client, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(tcp->client.fd, (struct sockaddr *)&addr, len), 0);
	tcp->server.fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(tcp->server.fd >= 0);
	close(fd);
	look_at(&tcp->client);
	look_at(&tcp->server);
	return true;
}

static inline void close_side(struct side *side)
{
	if (side->fd >= 0)
		close(side->fd);
	side->fd = -1;
}

static inline void close_both(struct tcp *tcp)
{
	close_side(&tcp->client);
	close_side(&tcp->server);
}

/* With a reset: the socket ends at once, and leaves no TIME_WAIT. */
static inline void reset_side(struct side *side)
{
	const struct linger linger = { 1, 0 };

	assert_int_equal(setsockopt(side->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close_side(side);
}

static inline void send_all(const struct side *from, const struct side *to, size_t len)
{
	char *buf = calloc(1, len);

	assert_non_null(buf);
	assert_int_equal(send(from->fd, buf, len, 0), len);
	tcp_read(to->fd, buf, len);
	tcp_flush(from->fd, to->fd);
	free(buf);
}

static inline void exchange(struct tcp *tcp)
{
	send_all(&tcp->client, &tcp->server, SENT_BY_CLIENT);
	send_all(&tcp->server, &tcp->client, SENT_BY_SERVER);
}

/* --- looking for them ---------------------------------------------------------------------- */

struct wanted {
	uint64_t cookie;
	unsigned int seen;
	struct diag_socket socket;
};

static inline void want(void *arg, const struct diag_socket *socket)
{
	struct wanted *wanted = arg;

	if (socket->cookie == wanted->cookie) {
		wanted->socket = *socket;
		wanted->seen++;
	}
}

static inline void ignore(void *arg, const struct diag_socket *socket)
{
}

static inline struct diag *diag_open(diag_each *on_end, void *arg)
{
	struct diag *diag;
	int r = diag_new(&diag, on_end, arg);

	if (r == -EOPNOTSUPP || r == -EPROTONOSUPPORT) {
		print_message("skipped: this kernel has no CONFIG_INET_TCP_DIAG\n");
		skip();
	}
	assert_int_equal(r, 0);
	return diag;
}

static inline struct diag_socket find(struct diag *diag, const struct side *side)
{
	struct diag_socket socket;

	assert_int_equal(diag_find(diag, &side->local, &side->peer, side->cookie, &socket), 0);
	assert_int_equal(socket.cookie, side->cookie);
	return socket;
}

static inline int find_error(struct diag *diag, const struct side *side)
{
	struct diag_socket socket, before;
	int r;

	memset(&socket, 0xaa, sizeof(socket));
	before = socket;
	r = diag_find(diag, &side->local, &side->peer, side->cookie, &socket);
	assert_true(r < 0);
	assert_memory_equal(&socket, &before, sizeof(socket));
	return r;
}

/* A TIME_WAIT in its place does not count. */
static inline void wait_gone(struct diag *diag, const struct side *side)
{
	struct diag_socket socket;
	int i, r = 0;

	for (i = 0; r == 0 && i < TCP_WAIT_MS; i++) {
		poll(NULL, 0, i ? 1 : 0);
		r = diag_find(diag, &side->local, &side->peer, side->cookie, &socket);
	}
	assert_int_equal(r, -ENOENT);
}

/* The octets that SYN and FIN take in the sequence may count. */
static inline void check_counts(const struct diag_socket *socket, uint64_t in, uint64_t out)
{
	assert_true(socket->has_counts);
	assert_in_range(socket->bytes_in, in, in + 1);
	assert_in_range(socket->bytes_out, out, out + 2);
}

static inline void skip_without(struct diag *diag)
{
	if (diag_has_events(diag))
		return;
	diag_free(diag);
	print_message("skipped: the kernel does not announce ends to us\n");
	skip();
}

static inline void wait_end(struct diag *diag, const struct wanted *wanted)
{
	struct pollfd pfd = { .fd = diag_fd(diag), .events = POLLIN };

	while (!wanted->seen) {
		assert_int_equal(poll(&pfd, 1, TCP_WAIT_MS), 1);
		assert_true(diag_dispatch(diag) >= 0);
	}
}

#endif
