/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending on one connection: control records that wait come first, then the application's bytes,
 * then its file. Tries, then polls. The application is told when everything is with the kernel, so
 * that it reads no faster than the peer does.
 */
#include <errno.h>
#include <poll.h>

#include "conn/rio.h"
#include "peer.h"

static void wait_writable(struct peer *peer)
{
	peer->tx_step = TX_POLL;
	if (loop_poll(&peer->worker->loop, &peer->tx, peer->fd, POLLOUT) < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
}

int peer_update_keys(struct peer *peer)
{
	int r = sluice_update_keys(peer->conn, 0, SLUICE_NOWAIT);

	if (r < 0 && r != -SLUICE_E_AGAIN)
		return r;
	/* AGAIN: the KeyUpdate waits for the socket, before everything else. */
	stats_add(&peer->worker->server->stats.key_updates, 1);
	return 0;
}

/* Starts a send. Returns false when there was nothing to send after all. */
static bool send_message(struct peer *peer)
{
	struct msghdr *msg = NULL;
	bool more;
	ssize_t n;

	n = rio_send_prep(peer->conn, peer->tx_buf, peer->tx_len, &msg);
	if (n < 0) {
		if (peer->state == PEER_LIVE)
			peer_fail(peer, (int)n);
		else
			peer_abort(peer, (int)n);
		return true;
	}
	if (!msg) {
		if (peer->tx_len)
			peer_abort(peer, -SLUICE_E_INTERNAL);
		return peer->tx_len != 0;
	}
	/* A head and the file behind it share a record; a control record never waits. */
	more = n > 0 && (size_t)n == peer->tx_len && peer_file_follows(peer);
	peer->tx_step = TX_MESSAGE;
	if (loop_sendmsg(&peer->worker->loop, &peer->tx, peer->fd, msg, more) < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
	return true;
}

/* A KeyUpdate goes before the data that waits. Where it cannot be done the old keys serve on. */
static void update_if_due(struct peer *peer)
{
	if (!peer->key_update_due || peer->state != PEER_LIVE)
		return;
	peer->key_update_due = false;
	peer_update_keys(peer);
}

void peer_tx_pump(struct peer *peer)
{
	if (peer->tx.busy || peer->state == PEER_DEAD || peer->state == PEER_LINGER)
		return;
	update_if_due(peer);
	if (peer->file.in_pipe && peer->state == PEER_LIVE && !peer_file_room(peer))
		return;
	if ((peer->tx_len || rio_send_pending(peer->conn)) && send_message(peer))
		return;
	if (peer->file.fd >= 0 && peer->state == PEER_LIVE && peer_file_pump(peer))
		return;
	peer_tx_idle(peer);
}

void peer_tx_idle(struct peer *peer)
{
	if (peer->state == PEER_FLUSH) {
		peer_close_step(peer);
		return;
	}
	if (peer->state != PEER_LIVE || !peer->sending)
		return;
	peer->sending = false;
	peer->worker->server->app->sent(peer);
}

/* A peer that sent what it should not is told, and waited for; one that is gone is not. */
void peer_send_failed(struct peer *peer, int code)
{
	if (peer->state == PEER_LIVE && code != -SLUICE_E_RESET && code != -SLUICE_E_IO)
		peer_fail(peer, code);
	else
		peer_abort(peer, code);
}

static void message_done(struct peer *peer, int res)
{
	ssize_t n = rio_send_done(peer->conn, res);

	if (n < 0 && n != -SLUICE_E_AGAIN) {
		peer_send_failed(peer, (int)n);
		return;
	}
	if (n > 0) {
		/* After a failure there is nothing left to give, whatever was on its way. */
		if ((size_t)n > peer->tx_len)
			n = (ssize_t)peer->tx_len;
		peer->tx_buf += n;
		peer->tx_len -= (size_t)n;
	}
	if (peer->state == PEER_LIVE)
		peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	if (res == -EAGAIN)
		wait_writable(peer);
	else
		peer_tx_pump(peer);
}

void peer_tx_done(struct op *op, int res)
{
	struct peer *peer = owner_of(op, struct peer, tx);

	switch (peer->tx_step) {
	case TX_POLL:
		peer_tx_pump(peer);
		return;
	case TX_MESSAGE:
		message_done(peer, res);
		return;
	case TX_READ:
	case TX_SPLICE_IN:
	case TX_SPLICE_OUT:
		peer_file_done(peer, res);
		return;
	}
}

void peer_send(struct peer *peer, const void *buf, size_t len)
{
	peer->tx_buf = buf;
	peer->tx_len = len;
	peer->sending = true;
	peer_tx_pump(peer);
}
