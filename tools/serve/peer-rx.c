/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receiving on one connection: tries, then polls, and gives what came to the application or, at
 * the end of the connection, to nobody. An idle connection holds no buffer.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conn/rio.h"
#include "peer.h"

static bool ensure_buffer(struct peer *peer)
{
	if (!peer->rx_buf)
		peer->rx_buf = malloc(peer->rx_size);
	return peer->rx_buf != NULL;
}

static void wait_readable(struct peer *peer)
{
	if (peer->rx_len == 0) {
		free(peer->rx_buf);
		peer->rx_buf = NULL;
	}
	peer->rx_step = RX_POLL;
	if (loop_poll(&peer->worker->loop, &peer->rx, peer->fd, POLLIN) < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
}

/* While lingering only the end matters; a failure then is an end like any other. */
static void linger_result(struct peer *peer, ssize_t n)
{
	peer->rx_len = 0;
	if (n > 0) {
		peer_linger_receive(peer);
		return;
	}
	peer->rx_ended = true;
	peer_abort(peer, 0);
}

static void live_result(struct peer *peer, ssize_t n)
{
	const struct app *app = peer->worker->server->app;

	peer->rx_wanted = false;
	if (n > 0) {
		peer->rx_len += (size_t)n;
		app->data(peer);
		return;
	}
	peer->rx_ended = true;
	if (n == -SLUICE_E_CLOSED) {
		app->end(peer);
		return;
	}
	/* After a record that could not be read the stream cannot be decrypted, only emptied. */
	if (n != -SLUICE_E_TRUNCATED && n != -SLUICE_E_RESET) {
		peer->rx_ended = false;
		peer->rx_raw = true;
	}
	peer_fail(peer, (int)n);
}

static void result(struct peer *peer, ssize_t n)
{
	if (peer->state == PEER_LIVE)
		live_result(peer, n);
	else if (peer->state == PEER_LINGER)
		linger_result(peer, n);
	else if (n < 0)
		peer->rx_ended = true; /* flushing: whatever came is of no interest any more */
}

static void pump(struct peer *peer)
{
	struct msghdr *msg = NULL;
	ssize_t n;

	if (!ensure_buffer(peer)) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	do
		n = rio_recv_prep(peer->conn, peer->rx_buf + peer->rx_len,
				  peer->rx_size - peer->rx_len, &msg);
	while (n == -SLUICE_E_AGAIN);
	if (n != 0) {
		result(peer, n);
		return;
	}
	peer->rx_step = RX_MESSAGE;
	if (loop_recvmsg(&peer->worker->loop, &peer->rx, peer->fd, msg) < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
}

static void message_done(struct peer *peer, int res)
{
	ssize_t n = rio_recv_done(peer->conn, res);

	/* A control record may want an answer: a KeyUpdate, an alert. */
	if (peer->state != PEER_LINGER && rio_send_pending(peer->conn))
		peer_tx_pump(peer);
	if (peer->state == PEER_DEAD)
		return;
	if (n != -SLUICE_E_AGAIN && n != 0) {
		result(peer, n);
		return;
	}
	if (peer->state == PEER_FLUSH)
		return;
	if (res == -EAGAIN)
		wait_readable(peer);
	else
		pump(peer);
}

static void raw_receive(struct peer *peer)
{
	if (!ensure_buffer(peer)) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	peer->rx_step = RX_RAW;
	if (loop_recv(&peer->worker->loop, &peer->rx, peer->fd, peer->rx_buf, peer->rx_size) < 0)
		peer_abort(peer, 0);
}

/* Our alert is on its way: closing over unread bytes would send a reset behind it. */
static void wait_for_end(struct peer *peer)
{
	peer->rx_step = RX_END;
	if (loop_poll(&peer->worker->loop, &peer->rx, peer->fd, POLLRDHUP) < 0)
		peer_abort(peer, 0);
}

static void raw_done(struct peer *peer, int res)
{
	peer->rx_len = 0;
	if (res > 0)
		raw_receive(peer);
	else if (res == -EAGAIN)
		wait_readable(peer);
	else if (res < 0 && peer_kernel_tx(peer) && peer->end_code < 0)
		wait_for_end(peer); /* what the kernel cannot decrypt, nobody can take away */
	else
		peer_abort(peer, 0);
}

void peer_linger_receive(struct peer *peer)
{
	if (peer->rx.busy)
		return;
	peer->rx_len = 0; /* nobody wants what has come */
	if (peer->rx_ended)
		peer_abort(peer, 0);
	else if (peer->rx_raw)
		raw_receive(peer);
	else
		pump(peer);
}

void peer_rx_done(struct op *op, int res)
{
	struct peer *peer = owner_of(op, struct peer, rx);

	switch (peer->rx_step) {
	case RX_POLL:
		if (peer->state == PEER_LINGER)
			peer_linger_receive(peer);
		else if (peer->rx_wanted)
			pump(peer);
		return;
	case RX_MESSAGE:
		message_done(peer, res);
		return;
	case RX_RAW:
		raw_done(peer, res);
		return;
	case RX_END:
		peer_abort(peer, 0);
		return;
	}
}

void peer_receive(struct peer *peer)
{
	if (peer->state != PEER_LIVE)
		return;
	if (peer->rx_ended) {
		peer->worker->server->app->end(peer);
		return;
	}
	peer->rx_wanted = true;
	if (!peer->rx.busy)
		pump(peer);
}

/*
 * The kernel path has to try: a record may have left the socket already. Of the user path's it is known that
 * none has, and a try would be a system call for nothing.
 */
void peer_await(struct peer *peer)
{
	ssize_t n;

	if (peer->state != PEER_LIVE || peer->rx.busy || peer->rx_ended || peer_kernel_tx(peer) ||
	    !ensure_buffer(peer)) {
		peer_receive(peer);
		return;
	}
	peer->rx_wanted = true;
	n = rio_recv_here(peer->conn, peer->rx_buf + peer->rx_len, peer->rx_size - peer->rx_len);
	if (n != 0)
		result(peer, n);
	else
		wait_readable(peer);
}

bool peer_rx_resize(struct peer *peer, size_t size)
{
	uint8_t *buf;

	if (size < peer->rx_len)
		return true;
	if (peer->rx_buf) {
		buf = realloc(peer->rx_buf, size);
		if (!buf)
			return false;
		peer->rx_buf = buf;
	}
	peer->rx_size = size;
	return true;
}

void peer_consume(struct peer *peer, size_t n)
{
	peer->rx_len -= n;
	memmove(peer->rx_buf, peer->rx_buf + n, peer->rx_len);
}
