// SPDX-License-Identifier: Apache-2.0
/*
 * Plaintext both ways. Each direction reads only when what it read before is written, so at most
 * RELAY_CHUNK bytes wait in it, and an idle connection has no buffer. An end of one direction is
 * passed on when everything before it is; the other direction goes on.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "relay/relay.h"

#define ROUNDS 4 /* chunks, before it is the turn of others */

/* --- what waits ------------------------------------------------------------------------------- */

static int flow_keep(struct flow *flow, const uint8_t *bytes, size_t len)
{
	if (!len)
		return 0;
	flow->buf = malloc(len);
	if (!flow->buf)
		return -SLUICE_E_NOMEM;
	memcpy(flow->buf, bytes, len);
	flow->off = 0;
	flow->len = len;
	return 0;
}

/* --- peer to worker --------------------------------------------------------------------------- */

/* Returns the bytes that the worker took, or that nobody wants any more. */
static size_t write_in(struct link *link, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	if (link->in.discard)
		return len;
	do {
		n = send(link->pair.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		link->moved_ms = link->relay->loop.now_ms;
		return (size_t)n;
	}
	if (errno == EAGAIN || errno == ENOBUFS)
		return 0;
	link_refused_in(link, errno);
	return len;
}

static bool flush_in(struct link *link)
{
	struct flow *in = &link->in;
	size_t n;

	while (in->len) {
		n = write_in(link, in->buf + in->off, in->len);
		if (!n)
			return false;
		flow_advance(in, n);
	}
	return true;
}

static void read_in(struct link *link)
{
	uint8_t *scratch = link->relay->scratch;
	ssize_t n = sluice_recv(link->conn, scratch, RELAY_CHUNK, SLUICE_NOWAIT);
	size_t written;

	if (n < 0) {
		link->in.ended = n != -SLUICE_E_AGAIN;
		if (link->in.ended && n != -SLUICE_E_CLOSED)
			link_fail(link, (int)n);
		link->yielding = false;
		return;
	}
	written = write_in(link, scratch, (size_t)n);
	if (flow_keep(&link->in, scratch + written, (size_t)n - written) < 0)
		link_fail_here(link);
}

static void pump_in(struct link *link)
{
	int i;

	link->yielding = true;
	for (i = 0; i < ROUNDS && link->yielding && flush_in(link) && !link->in.ended; i++)
		read_in(link);
	link->yielding = link->yielding && !link->in.len && !link->in.ended;
	if (link->in.ended && flush_in(link))
		link_end_in(link);
}

/* --- worker to peer --------------------------------------------------------------------------- */

static size_t write_out(struct link *link, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	if (link->out.discard)
		return len;
	n = sluice_send(link->conn, bytes, len, SLUICE_NOWAIT);
	if (n == -SLUICE_E_AGAIN)
		return 0;
	if (n < 0) {
		link_fail_out(link, (int)n);
		return len;
	}
	if (n)
		link->since_ms = link->moved_ms = link->relay->loop.now_ms;
	return (size_t)n;
}

static bool flush_out(struct link *link)
{
	struct flow *out = &link->out;
	size_t n;

	while (out->len) {
		n = write_out(link, out->buf + out->off, out->len);
		if (!n)
			return false;
		flow_advance(out, n);
	}
	return true;
}

/* Returns false when there is nothing more to read for now. */
static bool read_out(struct link *link)
{
	uint8_t *scratch = link->relay->scratch;
	size_t written;
	ssize_t n;

	n = recv(link->pair.fd, scratch, RELAY_CHUNK, MSG_DONTWAIT);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return errno == EINTR;
	if (n <= 0) {
		link->out.ended = true;
		link->aborted = link->aborted ||
				n < 0; /* unix(7): closed with bytes in it that nobody had read */
		link->in.discard = link->in.discard || n < 0;
		return false;
	}
	written = write_out(link, scratch, (size_t)n);
	if (flow_keep(&link->out, scratch + written, (size_t)n - written) < 0)
		link_fail_here(link);
	return true;
}

static void pump_out(struct link *link)
{
	int i;

	for (i = 0; i < ROUNDS && flush_out(link) && !link->out.ended; i++)
		if (!read_out(link))
			break;
	if (link->out.ended && flush_out(link))
		link_end_out(link);
}

/* --- both ------------------------------------------------------------------------------------- */

static void watch_for(struct link *link)
{
	const struct flow *in = &link->in, *out = &link->out;
	uint32_t tls = 0, pair = 0;

	if (!in->ended && !in->len && !link->yielding)
		tls |= EPOLLIN;
	if (out->len || (out->ended && !out->shut && !out->discard) ||
	    (sluice_conn_events(link->conn) & POLLOUT))
		tls |= EPOLLOUT;
	if (!out->ended && !out->len)
		pair |= EPOLLIN;
	if (in->len || link->yielding)
		pair |= EPOLLOUT;
	/* Whoever waits for nothing would be told of a hang-up for ever: EPOLLET tells it once. */
	if (loop_watch(&link->relay->loop, &link->tls, tls ? tls : EPOLLET) < 0 ||
	    loop_watch(&link->relay->loop, &link->pair, pair ? pair : EPOLLET) < 0) {
		link_fail_here(link);
		link_close(link, "no memory to watch it");
	}
}

void pump_run(struct link *link)
{
	if (sluice_conn_events(link->conn) & POLLOUT)
		sluice_conn_dispatch(link->conn); /* what fails, the next call tells */
	pump_out(link);
	pump_in(link);
	if (link->hung_up && !link->is_timed) {
		link->since_ms = link->relay->loop.now_ms;
		link_timed(link);
	}
	if (!link_settle(link))
		watch_for(link);
}
