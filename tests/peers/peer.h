/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the peers made of other TLS libraries have in common: one exchange in both directions at once.
 * A client sends a pattern that tells its position and compares what comes back; a server sends back
 * what it receives. Both change their sending keys every so many bytes.
 */
#ifndef SLUICE_TESTS_PEERS_PEER_H
#define SLUICE_TESTS_PEERS_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PEER_BUF 32768
#define PEER_WAIT_MS 30000

/* The library's part. Counts of bytes, 0 for "not now", -1 for the end, -2 for an error. */
struct peer_library {
	long (*send)(void *session, const uint8_t *buf, size_t len);
	long (*recv)(void *session, uint8_t *buf, size_t len);
	bool (*update_keys)(void *session, bool request);
	bool (*has_pending)(void *session); /* bytes that poll(2) knows nothing of */
};

struct peer_settings {
	bool is_server;
	const char *cert, *key; /* server's; a client's: CA, NULL */
	uint16_t port;
	uint64_t bytes, every;
};

struct peer_exchange {
	const struct peer_library *library;
	const struct peer_settings *settings;
	void *session;
	int fd;
	uint64_t sent, received, updates;
	uint8_t echo[PEER_BUF]; /* server: received and not sent yet */
	size_t echo_len, echo_sent;
	size_t retry; /* the length that a refused send must be repeated with */
};

static inline _Noreturn void peer_die(const char *what)
{
	fprintf(stderr, "peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline uint8_t peer_pattern(uint64_t position)
{
	return (uint8_t)(position * 167 + (position >> 8) * 13 + (position >> 16));
}

static inline struct peer_settings peer_arguments(int argc, char **argv)
{
	if (argc != 7 || (strcmp(argv[1], "client") && strcmp(argv[1], "server"))) {
		fprintf(stderr,
			"usage: %s client PORT CA - BYTES EVERY\n"
			"       %s server PORT CERT KEY BYTES EVERY\n",
			argv[0], argv[0]);
		exit(2);
	}
	return (struct peer_settings){
		.is_server = !strcmp(argv[1], "server"),
		.port = (uint16_t)atoi(argv[2]),
		.cert = argv[3],
		.key = argv[4],
		.bytes = strtoull(argv[5], NULL, 10),
		.every = strtoull(argv[6], NULL, 10),
	};
}

/* A connected TCP socket: the only connection that a server takes. */
static inline int peer_socket(const struct peer_settings *settings)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(settings->port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int one = 1, accepted;

	if (fd < 0)
		peer_die("socket");
	if (!settings->is_server) {
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
			peer_die("connect");
	} else {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 1))
			peer_die("listen");
		accepted = accept(fd, NULL, NULL);
		if (accepted < 0)
			peer_die("accept");
		close(fd);
		fd = accepted;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Keys change before the data that would pass the limit; every tenth time the other end's, too. */
static inline void peer_update_if_due(struct peer_exchange *x)
{
	if (!x->settings->every || x->retry || x->sent / x->settings->every <= x->updates)
		return;
	x->updates++;
	if (!x->library->update_keys(x->session, x->updates % 10 == 0))
		peer_die("key update");
}

/* Sends @len bytes of @buf. Returns how many it took. */
static inline size_t peer_push(struct peer_exchange *x, const uint8_t *buf, size_t len)
{
	long n;

	peer_update_if_due(x);
	if (x->retry)
		len = x->retry;
	n = x->library->send(x->session, buf, len);
	if (n < 0)
		peer_die("send");
	x->retry = n == 0 ? len : 0;
	x->sent += (size_t)n;
	return (size_t)n;
}

static inline bool peer_send_some(struct peer_exchange *x)
{
	static uint8_t out[PEER_BUF];
	uint64_t left = x->settings->bytes - x->sent;
	size_t i, len = left < 10000 ? (size_t)left : 10000;

	if (x->settings->is_server) {
		if (x->echo_sent == x->echo_len)
			return false;
		x->echo_sent += peer_push(x, x->echo + x->echo_sent, x->echo_len - x->echo_sent);
		return !x->retry;
	}
	if (!len)
		return false;
	for (i = 0; i < len; i++)
		out[i] = peer_pattern(x->sent + i);
	peer_push(x, out, len);
	return !x->retry;
}

static inline void peer_compare(const struct peer_exchange *x, const uint8_t *in, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (in[i] == peer_pattern(x->received + i))
			continue;
		fprintf(stderr, "peer: byte %llu is wrong\n", (unsigned long long)x->received + i);
		exit(1);
	}
}

static inline bool peer_recv_some(struct peer_exchange *x)
{
	static uint8_t in[PEER_BUF];
	long n;

	if (x->settings->is_server && x->echo_sent < x->echo_len)
		return false;
	n = x->library->recv(x->session, in, sizeof(in));
	if (n == 0)
		return false;
	if (n < 0)
		peer_die(n == -1 ? "the other end has closed" : "receive");
	if (!x->settings->is_server)
		peer_compare(x, in, (size_t)n);
	x->received += (uint64_t)n;
	if (x->settings->is_server) {
		memcpy(x->echo, in, (size_t)n);
		x->echo_len = (size_t)n;
		x->echo_sent = 0;
	}
	return true;
}

/* Runs the whole exchange and prints one line. */
static inline void peer_run(struct peer_exchange *x)
{
	struct pollfd pfd = { .fd = x->fd };
	bool busy;

	while (x->sent < x->settings->bytes || x->received < x->settings->bytes) {
		busy = peer_recv_some(x);
		busy |= peer_send_some(x);
		if (busy || x->library->has_pending(x->session))
			continue;
		pfd.events = POLLIN;
		if (x->retry)
			pfd.events |= POLLOUT;
		if (poll(&pfd, 1, PEER_WAIT_MS) == 0) {
			fprintf(stderr, "peer: stuck after %llu sent, %llu received\n",
				(unsigned long long)x->sent, (unsigned long long)x->received);
			exit(1);
		}
	}
	printf("sent %llu received %llu updates %llu\n", (unsigned long long)x->sent,
	       (unsigned long long)x->received, (unsigned long long)x->updates);
}

#endif
