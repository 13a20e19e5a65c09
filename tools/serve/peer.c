/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life: from the accepted socket over the handshake to the application, and its
 * release. Called by the listener, the ring and the timers. One connection's error ends that
 * connection and touches no other.
 */
#include "peer.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/rio.h"

static void link_peer(struct worker *worker, struct peer *peer)
{
	peer->next = worker->peers;
	if (peer->next)
		peer->next->prev = peer;
	worker->peers = peer;
	worker->n_peers++;
}

static void unlink_peer(struct peer *peer)
{
	struct worker *worker = peer->worker;

	if (peer->prev)
		peer->prev->next = peer->next;
	else
		worker->peers = peer->next;
	if (peer->next)
		peer->next->prev = peer->prev;
	worker->n_peers--;
}

void peer_deadline(struct peer *peer, int64_t ms)
{
	struct loop *loop = &peer->worker->loop;

	peer->deadline_ms = loop->now_ms + (uint64_t)ms;
	/* A later deadline is found when the timer fires: moving it every time would cost more. */
	if (!timer_is_set(&peer->timer) || peer->timer.due_ms > peer->deadline_ms)
		timer_set(&loop->timers, &peer->timer, peer->deadline_ms);
}

static void count_handshake(struct peer *peer)
{
	struct stats *stats = &peer->worker->server->stats;
	struct sluice_conn_info info;

	if (sluice_conn_info(peer->conn, &info, sizeof(info)) < 0)
		return;
	stats_add(&stats->handshakes, 1);
	if (info.resumed)
		stats_add(&stats->handshakes_resumed, 1);
	stats_add(info.tx.path == SLUICE_PATH_KERNEL ? &stats->tx_kernel : &stats->tx_user, 1);
	stats_add(info.rx.path == SLUICE_PATH_KERNEL ? &stats->rx_kernel : &stats->rx_user, 1);
}

static void established(struct peer *peer)
{
	const struct serve_settings *settings = peer->worker->server->settings;

	peer->state = PEER_LIVE;
	peer->established = true;
	peer->notify = true;
	count_handshake(peer);
	if (peer->worker->draining) {
		peer_finish(peer);
		return;
	}
	peer_deadline(peer, settings->idle_timeout);
	if (peer->worker->server->app->start(peer) < 0)
		peer_fail(peer, -SLUICE_E_NOMEM);
}

static void handshake_wait(struct peer *peer)
{
	short events = (short)sluice_conn_events(peer->conn);
	int ms = sluice_conn_timeout(peer->conn);

	if (loop_poll(&peer->worker->loop, &peer->rx, peer->fd, (unsigned short)events) < 0) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	if (ms >= 0)
		timer_set(&peer->worker->loop.timers, &peer->timer,
			  peer->worker->loop.now_ms + (uint64_t)ms);
}

static void handshake_step(struct peer *peer, int r)
{
	while (r == SLUICE_PAUSED) /* option handshake = hello: this server has nothing to add */
		r = sluice_handshake_continue(peer->conn, NULL, SLUICE_NOWAIT);
	if (r == -SLUICE_E_AGAIN) {
		handshake_wait(peer);
		return;
	}
	timer_stop(&peer->timer);
	if (r < 0) {
		stats_add(&peer->worker->server->stats.handshakes_failed, 1);
		peer->rx_raw = true;
		peer_fail(peer, r);
		return;
	}
	established(peer);
}

static void handshake_late(struct peer *peer)
{
	int r = sluice_conn_dispatch(peer->conn);

	/* The poll is still in the ring: only its completion may take the next step. */
	if (r == -SLUICE_E_AGAIN) {
		int ms = sluice_conn_timeout(peer->conn);

		if (ms >= 0)
			timer_set(&peer->worker->loop.timers, &peer->timer,
				  peer->worker->loop.now_ms + (uint64_t)ms);
		return;
	}
	handshake_step(peer, r);
}

static void timer_fired(struct timer *timer)
{
	struct peer *peer = owner_of(timer, struct peer, timer);
	struct loop *loop = &peer->worker->loop;

	if (peer->state == PEER_HANDSHAKE) {
		handshake_late(peer);
		return;
	}
	if (peer->deadline_ms > loop->now_ms) {
		timer_set(&loop->timers, timer, peer->deadline_ms);
		return;
	}
	switch (peer->state) {
	case PEER_LIVE:
		stats_add(&peer->worker->server->stats.timeouts, 1);
		peer->worker->server->app->expired(peer);
		return;
	case PEER_FLUSH:
	case PEER_LINGER:
		peer_abort(peer, 0);
		return;
	case PEER_HANDSHAKE:
	case PEER_DEAD:
		return;
	}
}

/* Frees the connection; after it the socket and everything of the application are gone. */
static void release_run(struct deferred *deferred)
{
	struct peer *peer = owner_of(deferred, struct peer, release);
	struct worker *worker = peer->worker;
	struct sluice_conn_info info;

	log_peer(peer);
	if (sluice_conn_info(peer->conn, &info, sizeof(info)) >= 0) {
		stats_add(&worker->server->stats.bytes_in, info.rx.bytes);
		stats_add(&worker->server->stats.bytes_out, info.tx.bytes);
	}
	if (peer->end_code < 0)
		stats_add(&worker->server->stats.errors, 1);
	stats_add(&worker->server->stats.closed, 1);
	if (peer->app_data)
		worker->server->app->free(peer);
	peer_file_drop(peer);
	/* The socket is shut down in both directions: this cannot wait for the peer. */
	sluice_close(peer->conn);
	free(peer->rx_buf);
	unlink_peer(peer);
	free(peer);
	worker_peer_gone(worker);
}

void peer_release(struct peer *peer)
{
	if (peer->releasing || peer->rx.busy || peer->tx.busy || peer->io.busy)
		return;
	/* Not now: whoever called us may still hold the peer. */
	peer->releasing = true;
	peer->release.run = release_run;
	loop_defer(&peer->worker->loop, &peer->release);
}

void peer_abort(struct peer *peer, int code)
{
	if (peer->state == PEER_DEAD)
		return;
	if (code < 0 && peer->end_code == 0)
		peer->end_code = code;
	peer->state = PEER_DEAD;
	timer_stop(&peer->timer);
	/* Completes every poll, and makes every later read or write return at once. */
	shutdown(peer->fd, SHUT_RDWR);
	peer_release(peer);
}

bool peer_kernel_tx(const struct peer *peer)
{
	return peer->established && rio_sendfile_direct(peer->conn);
}

static void rx_done(struct op *op, int res)
{
	struct peer *peer = owner_of(op, struct peer, rx);

	switch (peer->state) {
	case PEER_HANDSHAKE:
		handshake_step(peer, sluice_conn_dispatch(peer->conn));
		return;
	case PEER_LIVE:
	case PEER_FLUSH:
	case PEER_LINGER:
		peer_rx_done(op, res);
		return;
	case PEER_DEAD:
		peer_release(peer);
		return;
	}
}

static void tx_done(struct op *op, int res)
{
	struct peer *peer = owner_of(op, struct peer, tx);

	if (peer->state == PEER_DEAD)
		peer_release(peer);
	else
		peer_tx_done(op, res);
}

void peer_new(struct worker *worker, int fd)
{
	struct server *server = worker->server;
	struct sluice_error err = { .alert = -1 };
	struct sluice_conn *conn = NULL;
	socklen_t len;
	struct peer *peer;
	int r;

	peer = calloc(1, sizeof(*peer));
	if (!peer) {
		close(fd);
		return;
	}
	peer->worker = worker;
	peer->rx_size = server->app->rx_size;
	peer->file.fd = -1;
	peer->rx.done = rx_done;
	peer->tx.done = tx_done;
	peer->timer.fire = timer_fired;
	len = sizeof(peer->addr);
	if (getpeername(fd, &peer->addr.any, &len) < 0)
		peer->addr.any.sa_family = AF_UNSPEC;
	r = sluice_handshake_fd(server->sluice, fd, server->profile, SLUICE_NOWAIT, &conn, &err);
	if (!conn) {
		stats_add(&server->stats.handshakes_failed, 1);
		log_refused(server, &err);
		close(fd);
		free(peer);
		return;
	}
	peer->conn = conn;
	peer->fd = sluice_conn_fd(conn);
	link_peer(worker, peer);
	handshake_step(peer, r);
}
