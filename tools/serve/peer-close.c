/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way in which connections close. On the kernel path a socket that is shut down while its
 * buffer is full drops the record it holds back, so the order is: everything accepted is sent,
 * the socket has room, close_notify, shutdown, the peer's end, close. Every other order can lose
 * the last record, and closing a socket with unread bytes sends a reset that can overtake an alert.
 */
#include <poll.h>
#include <stdlib.h>

#include "conn/rio.h"
#include "peer.h"

#define FLUSH_MS 5000  /* for a peer that does not read */
#define LINGER_MS 1000 /* for a peer that does not end */
#define ALERT_MS 5000  /* for one that has yet to read our alert */

void peer_finish(struct peer *peer)
{
	if (peer->state != PEER_LIVE)
		return;
	peer->state = PEER_FLUSH;
	peer->sending = false;
	peer_deadline(peer, FLUSH_MS);
	peer_tx_pump(peer);
}

void peer_fail(struct peer *peer, int code)
{
	if (peer->state != PEER_LIVE && peer->state != PEER_HANDSHAKE)
		return;
	peer->end_code = code;
	peer->notify = false;
	peer->tx_len = 0;
	peer->key_update_due = false;
	peer->state = PEER_FLUSH;
	peer->sending = false;
	peer_deadline(peer, FLUSH_MS);
	peer_tx_pump(peer);
}

static void wait_for_room(struct peer *peer)
{
	peer->polled_out = true;
	peer->tx_step = TX_POLL;
	if (loop_poll(&peer->worker->loop, &peer->tx, peer->fd, POLLOUT) < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
}

void peer_close_step(struct peer *peer)
{
	if (peer_kernel_tx(peer) && !peer->polled_out) {
		wait_for_room(peer);
		return;
	}
	if (peer->notify) {
		peer->notify = false;
		if (rio_close_notify(peer->conn) >= 0) {
			peer_tx_pump(peer);
			return;
		}
	}
	shutdown(peer->fd, SHUT_WR);
	peer->state = PEER_LINGER;
	peer_deadline(peer, peer->end_code < 0 ? ALERT_MS : LINGER_MS);
	peer_linger_receive(peer);
}
