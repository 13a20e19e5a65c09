// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon's side: the relay is an aware worker of a pool. It acknowledges a connection when a plain
 * worker has done so; until then the daemon keeps its socket too, and gives it to another worker
 * should the relay die.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "handover/messages.h"
#include "handover/worker.h"
#include "relay/relay.h"

#define SMALL_LEN 256
#define MAX_CREDITS 100000 /* the daemon takes no more at once */

static void daemon_gone(struct relay *relay)
{
	if (relay->upstream.gone)
		return;
	relay->upstream.gone = true;
	loop_forget(&relay->loop, &relay->upstream.watch);
	log_line("the daemon is gone: %zu connections go on", relay->n_links);
	relay_drain(relay);
}

/* The daemon never waits for a worker, so it may be waited for. */
static void send_up(struct relay *relay, const struct wire *wire)
{
	struct pollfd pfd = { .fd = relay->upstream.watch.fd, .events = POLLOUT };
	int r;

	if (relay->upstream.gone)
		return;
	while ((r = channel_send(pfd.fd, wire->buf, wire_end(wire), NULL, 0)) == -EAGAIN)
		poll(&pfd, 1, -1);
	if (r < 0)
		daemon_gone(relay);
}

void upstream_balance(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;
	uint64_t spare = plain_credits(relay), owed = upstream->credits + relay->n_waiting;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (spare > MAX_CREDITS)
		spare = MAX_CREDITS;
	if (spare <= owed || relay->draining || upstream->gone)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_CREDIT, 0);
	wire_put_u64(&wire, ATTR_COUNT, spare - owed);
	upstream->credits += spare - owed;
	send_up(relay, &wire);
}

void upstream_ack(struct relay *relay, const struct link *link)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_ACK, link->id);
	send_up(relay, &wire);
}

void upstream_drain(struct relay *relay)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_DRAIN, 0);
	send_up(relay, &wire);
}

/* A connection that cannot be kept stays with the daemon until this process ends: so it ends. */
static bool take(struct relay *relay, const uint8_t *message, size_t len, struct channel_fds *fds)
{
	struct sluice_conn *conn;
	struct link *link;
	uint32_t id;
	int r;

	r = worker_conn(relay->upstream.worker, message, len, fds, &conn, &id);
	if (r < 0) {
		log_line("a connection that cannot be used: %s", sluice_strerror(r));
		return false;
	}
	link = link_new(relay, conn, id, message, len);
	if (!link) {
		sluice_close_nowait(conn);
		log_line("no memory for a connection");
		return false;
	}
	if (relay->upstream.credits)
		relay->upstream.credits--;
	plain_serve(relay);
	return true;
}

static void upstream_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, upstream.watch);
	const uint8_t *message;
	struct channel_fds fds;
	ssize_t n = worker_recv(relay->upstream.worker, &message, &fds);
	bool good;

	if (n == -SLUICE_E_AGAIN)
		return;
	if (n < 0) {
		daemon_gone(relay);
		return;
	}
	good = worker_request(relay->upstream.worker, message, (size_t)n) ||
	       take(relay, message, (size_t)n, &fds);
	channel_close_fds(&fds);
	worker_wipe(relay->upstream.worker, (size_t)n);
	if (!good)
		daemon_gone(relay);
}

int upstream_open(struct relay *relay, const char *path, struct sluice_error *ret_err)
{
	struct upstream *upstream = &relay->upstream;
	int r = sluice_worker_attach(relay->sluice, path, &upstream->worker, ret_err);

	if (r < 0)
		return r;
	upstream->watch =
		(struct watch){ .fd = sluice_worker_fd(upstream->worker), .ready = upstream_ready };
	return loop_watch(&relay->loop, &upstream->watch, EPOLLIN) < 0 ? -SLUICE_E_NOMEM : 0;
}

void upstream_close(struct relay *relay)
{
	if (!relay->upstream.worker)
		return;
	loop_forget(&relay->loop, &relay->upstream.watch);
	relay->upstream.gone = true;
	relay->upstream.worker = sluice_worker_free(relay->upstream.worker);
}
