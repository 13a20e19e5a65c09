/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What load-client asks of load-server, and how both move data: a stream of bytes that follows from a number,
 * so that each end knows every byte that must come, over a connection of the library or a plain socket.
 */
#ifndef SLUICE_TESTS_LOAD_H
#define SLUICE_TESTS_LOAD_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/sluice.h>

#define WAIT_MS 120000
#define CHUNK 65536

/* Of load_move(), besides the library's errors. */
#define OTHER_BYTES (-1000) /* what came is not what was to come */
#define ENDED_EARLY (-1001) /* the other end has ended in order before that was all */

enum load_case {
	LOAD_EXCHANGE,     /* both ways at once; the server ends when it has all, then the client */
	LOAD_CLIENT_FIRST, /* the server sends after the client has ended its direction */
	LOAD_SERVER_FIRST, /* the other way round */
	LOAD_DROP,         /* the server resets the connection when half is sent */
	LOAD_CASES,
};

/* struct order - the first bytes of a connection. */
struct order {
	uint32_t what; /* enum load_case */
	uint32_t pace; /* bytes per second that the server receives at most; 0: any number */
	uint64_t id, up, down;
};

/* struct end - one end of a connection. */
struct end {
	struct sluice_conn *conn; /* NULL: plain */
	int fd;
};

/* struct stream - one direction. */
struct stream {
	uint64_t key, at, len;
	uint32_t pace; /* of receiving */
};

/* splitmix64 */
static inline uint64_t load_word(uint64_t key, uint64_t i)
{
	uint64_t x = key * 0x9e3779b97f4a7c15ull + (i + 1) * 0xbf58476d1ce4e5b9ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline void load_fill(uint8_t *buf, size_t len, uint64_t key, uint64_t at)
{
	uint64_t word;
	size_t skip, n, i;

	for (i = 0; i < len; i += n) {
		word = load_word(key, (at + i) / 8);
		skip = (at + i) % 8;
		n = 8 - skip < len - i ? 8 - skip : len - i;
		memcpy(buf + i, (uint8_t *)&word + skip, n);
	}
}

static inline struct stream load_stream(const struct order *order, int up, uint64_t len)
{
	return (struct stream){ .key = order->id * 2 + (uint64_t)up, .len = len };
}

/* Results: a count, 0: the end, in order, -SLUICE_E_AGAIN or another error. */
static inline ssize_t end_recv(const struct end *end, void *buf, size_t len)
{
	ssize_t n;

	if (end->conn) {
		n = sluice_recv(end->conn, buf, len, SLUICE_NOWAIT);
		return n == -SLUICE_E_CLOSED ? 0 : n;
	}
	n = recv(end->fd, buf, len, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -SLUICE_E_AGAIN : -SLUICE_E_IO;
	return n;
}

static inline ssize_t end_send(const struct end *end, const void *buf, size_t len)
{
	ssize_t n;

	if (end->conn)
		return sluice_send(end->conn, buf, len, SLUICE_NOWAIT);
	n = send(end->fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -SLUICE_E_AGAIN : -SLUICE_E_IO;
	return n;
}

static inline int end_shutdown(const struct end *end)
{
	if (end->conn)
		return sluice_shutdown(end->conn, SHUT_WR, WAIT_MS);
	return shutdown(end->fd, SHUT_WR) ? -SLUICE_E_IO : 0;
}

static inline void end_close(const struct end *end)
{
	if (end->conn)
		sluice_close(end->conn);
	else
		close(end->fd);
}

/* Ends it by a reset: what is left to close is no socket any more. */
static inline void end_reset(const struct end *end)
{
	struct linger linger = { 1, 0 };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int fd = end->conn ? sluice_conn_fd(end->conn) : end->fd;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	dup2(null, fd);
	close(null);
	end_close(end);
}

static inline int end_wait(const struct end *end, int events)
{
	struct pollfd pfd = { .fd = end->fd, .events = (short)events };

	if (end->conn)
		pfd.events |= (short)(sluice_conn_events(end->conn) & POLLOUT);
	return poll(&pfd, 1, WAIT_MS) > 0 ? 0 : -SLUICE_E_TIMEOUT;
}

/* Receives a piece of what must come. Returns as end_recv(). */
static inline ssize_t load_recv(const struct end *end, struct stream *in)
{
	uint8_t buf[CHUNK], wanted[CHUNK];
	size_t room = in->len - in->at < CHUNK ? (size_t)(in->len - in->at) : CHUNK;
	ssize_t n;

	if (in->pace && room > in->pace / 10)
		room = in->pace / 10;
	n = end_recv(end, buf, room);
	if (n <= 0)
		return n;
	load_fill(wanted, (size_t)n, in->key, in->at);
	if (memcmp(buf, wanted, (size_t)n) != 0)
		return OTHER_BYTES;
	in->at += (uint64_t)n;
	if (in->pace)
		usleep(100000);
	return n;
}

static inline ssize_t load_send(const struct end *end, struct stream *out)
{
	uint8_t buf[CHUNK];
	size_t len = out->len - out->at < CHUNK ? (size_t)(out->len - out->at) : CHUNK;
	ssize_t n;

	load_fill(buf, len, out->key, out->at);
	n = end_send(end, buf, len);
	if (n > 0)
		out->at += (uint64_t)n;
	return n;
}

/*
 * load_move() sends all of @out and receives all of @in, both at once. Returns 0, OTHER_BYTES, ENDED_EARLY, or an
 * error.
 */
static inline int load_move(const struct end *end, struct stream *out, struct stream *in)
{
	ssize_t r = 1, s = 1;

	while (out->at < out->len || in->at < in->len) {
		r = in->at < in->len ? load_recv(end, in) : -SLUICE_E_AGAIN;
		if (r == 0)
			return ENDED_EARLY;
		s = out->at < out->len ? load_send(end, out) : -SLUICE_E_AGAIN;
		if (r < 0 && r != -SLUICE_E_AGAIN)
			return (int)r;
		if (s < 0 && s != -SLUICE_E_AGAIN)
			return (int)s;
		if (r < 0 && s < 0 && (out->at < out->len || in->at < in->len) &&
		    end_wait(end, (in->at < in->len ? POLLIN : 0) |
					  (out->at < out->len ? POLLOUT : 0)) < 0)
			return -SLUICE_E_TIMEOUT;
	}
	return 0;
}

static inline const char *load_error(int r)
{
	if (r == OTHER_BYTES)
		return "other bytes";
	return r == ENDED_EARLY ? "an end in order that comes early" : sluice_error_name(-r);
}

/* load_ends() waits for the other end's. Returns 0, OTHER_BYTES: there was more, or an error. */
static inline int load_ends(const struct end *end)
{
	uint8_t byte;
	ssize_t n;

	while ((n = end_recv(end, &byte, 1)) == -SLUICE_E_AGAIN)
		if (end_wait(end, POLLIN) < 0)
			return -SLUICE_E_TIMEOUT;
	return n > 0 ? OTHER_BYTES : (int)n;
}

#endif
