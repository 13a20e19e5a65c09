// SPDX-License-Identifier: Apache-2.0
/*
 * The daemon's side: the relay is an aware worker of a pool. It acknowledges a connection when a plain
 * worker has done so; until then the daemon keeps its socket too, and gives it to another worker
 * should the relay die. When the daemon is gone, what a plain worker has goes on, and the relay attaches
 * again as soon as there is a daemon.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "handover/messages.h"
#include "handover/state.h"
#include "handover/worker.h"
#include "relay/relay.h"

#define SMALL_LEN 256
#define MAX_CREDITS 100000 /* the daemon takes no more at once */
#define WELCOME_MS 5000
#define BACK_OFF_MIN_MS 50
#define BACK_OFF_MAX_MS 5000

/* What was not acknowledged is the daemon's: it, or the next worker, may have given it to another. */
static void daemon_gone(struct relay *relay, const char *why)
{
	struct upstream *upstream = &relay->upstream;

	if (upstream->gone)
		return;
	loop_forget(&relay->loop, &upstream->watch);
	worker_detach(upstream->worker);
	upstream->gone = true;
	upstream->credits = 0;
	upstream->back_off_ms = BACK_OFF_MIN_MS;
	upstream->next_ms = relay->loop.now_ms + upstream->back_off_ms;
	link_withdraw_all(relay);
	log_line("%s: %zu connections go on%s", why, relay->n_links,
		 relay->draining ? "" : ", attaching again");
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
	/* The end of the channel is told to the loop; here its caller is in the middle of something. */
}

void upstream_balance(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;
	uint64_t spare = plain_credits(relay), owed = upstream->credits + relay->n_waiting;
	uint64_t room = relay_room(relay) + relay->n_waiting;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (spare > room)
		spare = room;
	if (spare > MAX_CREDITS)
		spare = MAX_CREDITS;
	if (spare <= owed || relay->draining || upstream->gone)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_CREDIT, 0);
	wire_put_u64(&wire, ATTR_COUNT, spare - owed);
	upstream->credits += spare - owed;
	send_up(relay, &wire);
}

static void send_ack(struct relay *relay, uint32_t id)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_ACK, id);
	send_up(relay, &wire);
}

void upstream_ack(struct relay *relay, const struct link *link)
{
	send_ack(relay, link->id);
}

/* A plain worker of ours could not tell it from one with TLS. Closed, and not given to anybody else. */
static void refuse_plain(struct relay *relay, uint32_t id)
{
	log_line("connection %u has no TLS: a relay takes none; its pool needs a worker that does",
		 (unsigned int)id);
	if (relay->upstream.credits)
		relay->upstream.credits--;
	send_ack(relay, id);
	upstream_balance(relay);
}

void upstream_drain(struct relay *relay)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_DRAIN, 0);
	send_up(relay, &wire);
}

void upstream_leave(struct relay *relay)
{
	if (relay->upstream.worker)
		daemon_gone(relay, "leaving the daemon");
}

/* A connection that cannot be kept stays with the daemon until the channel ends: so it ends. */
static bool take(struct relay *relay, const uint8_t *message, size_t len, struct channel_fds *fds)
{
	struct sluice_conn *conn;
	struct link *link;
	uint32_t id;
	int r;

	r = worker_conn(relay->upstream.worker, message, len, fds, &conn, &id);
	if (r == -SLUICE_E_NOT_TLS) {
		refuse_plain(relay, id);
		return true;
	}
	if (r < 0) {
		log_line("a connection that cannot be used: %s",
			 fds->lost ? "no descriptor is left" : sluice_strerror(r));
		return false;
	}
	link = link_new(relay, conn, id, message, len);
	if (!link) {
		state_release(conn);
		log_line("no memory for a connection");
		return false;
	}
	if (relay->upstream.credits)
		relay->upstream.credits--;
	if (relay->backends.n)
		link_dial(link); /* which may be its end */
	else
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
		daemon_gone(relay, "the daemon is gone");
		return;
	}
	good = worker_request(relay->upstream.worker, message, (size_t)n) ||
	       take(relay, message, (size_t)n, &fds);
	channel_close_fds(&fds);
	worker_wipe(relay->upstream.worker, (size_t)n);
	if (!good)
		daemon_gone(relay, "leaving the daemon");
}

/* --- attaching -------------------------------------------------------------------------------- */

static int watch_worker(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;

	upstream->watch =
		(struct watch){ .fd = sluice_worker_fd(upstream->worker), .ready = upstream_ready };
	return loop_watch(&relay->loop, &upstream->watch, EPOLLIN) < 0 ? -SLUICE_E_NOMEM : 0;
}

static void try_later(struct relay *relay, const struct sluice_error *err)
{
	struct upstream *upstream = &relay->upstream;
	char text[300];

	sluice_format_error(err, text, sizeof(text));
	if (upstream->back_off_ms < BACK_OFF_MAX_MS)
		upstream->back_off_ms *= 2;
	if (upstream->back_off_ms > BACK_OFF_MAX_MS)
		upstream->back_off_ms = BACK_OFF_MAX_MS;
	upstream->next_ms = relay->loop.now_ms + upstream->back_off_ms;
	log_line("%s; again in %llu ms", text, (unsigned long long)upstream->back_off_ms);
}

static void attach_end(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;
	struct sluice_error err;
	int r, fd = upstream->attaching.fd;

	loop_forget(&relay->loop, &upstream->attaching);
	upstream->attaching.fd = -1;
	r = worker_attach_end(upstream->worker, fd, &err);
	if (r == 0 && watch_worker(relay) < 0)
		worker_detach(upstream->worker);
	if (r < 0 || !upstream->watch.added) {
		try_later(relay, &err);
		return;
	}
	upstream->gone = false;
	log_line("attached again");
	upstream_balance(relay);
}

static void attaching_ready(struct watch *watch, uint32_t events)
{
	attach_end(owner_of(watch, struct relay, upstream.attaching));
}

static void attach_begin(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;
	struct sluice_error err;
	int fd = worker_attach_begin(upstream->worker, &err);

	if (fd < 0) {
		try_later(relay, &err);
		return;
	}
	upstream->attaching = (struct watch){ .fd = fd, .ready = attaching_ready };
	upstream->next_ms = relay->loop.now_ms + WELCOME_MS;
	if (loop_watch(&relay->loop, &upstream->attaching, EPOLLIN) < 0)
		attach_end(relay); /* its answer can hardly be there */
}

void upstream_tick(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;

	if (!upstream->worker)
		return; /* there is no pool: join.c */
	if (!upstream->gone) {
		upstream_balance(relay); /* what has ended makes room */
		return;
	}
	if (relay->draining || relay->loop.now_ms < upstream->next_ms)
		return;
	if (upstream->attaching.fd >= 0)
		attach_end(relay);
	else
		attach_begin(relay);
}

int upstream_open(struct relay *relay, const char *path, struct sluice_error *ret_err)
{
	struct upstream *upstream = &relay->upstream;
	int r;

	upstream->attaching.fd = -1;
	r = sluice_worker_attach(relay->sluice, path, &upstream->worker, ret_err);
	upstream->gone = r < 0;
	return r < 0 ? r : watch_worker(relay);
}

void upstream_close(struct relay *relay)
{
	struct upstream *upstream = &relay->upstream;

	if (!upstream->worker)
		return;
	if (upstream->attaching.fd >= 0)
		attach_end(relay);
	loop_forget(&relay->loop, &upstream->watch);
	upstream->gone = true;
	upstream->worker = sluice_worker_free(upstream->worker);
}
