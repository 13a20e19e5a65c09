// SPDX-License-Identifier: Apache-2.0
/* A connection's life in the relay: waiting, offered, live, closing. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conn/conn.h"
#include "handover/address.h"
#include "handover/messages.h"
#include "handover/state.h"
#include "handover/worker.h"
#include "relay/relay.h"

#define LINGER_MS 2000
#define LINGER_ROUNDS 16 /* chunks that are thrown away, before it is the turn of others */
#define STALL_MS 30000   /* a peer that reads nothing, when the worker that wrote is gone */

static void tls_ready(struct watch *watch, uint32_t events);
static void pair_ready(struct watch *watch, uint32_t events);

/* --- the message ------------------------------------------------------------------------------ */

/* What the daemon said, less secrets and plaintext; a pair cannot be asked for addresses. */
static int make_message(struct link *link, const uint8_t *message, size_t len)
{
	struct sockaddr_storage addr;
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	struct wire wire;

	if (!wire_open(&reader, message, len, &head))
		return -SLUICE_E_PROTOCOL;
	wire_begin(&wire, link->relay->buf, WIRE_MAX, MSG_CONNECTION, link->id);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type != ATTR_RX_KEYS && attr.type != ATTR_TX_KEYS &&
		    attr.type != ATTR_EARLY && attr.type != ATTR_LOCAL && attr.type != ATTR_PEER)
			wire_put(&wire, attr.type, attr.bytes, attr.len);
	if (sluice_sockname(link->conn, &addr) == 0)
		wire_put_address(&wire, ATTR_LOCAL, (struct sockaddr *)&addr);
	if (sluice_peername(link->conn, &addr) == 0)
		wire_put_address(&wire, ATTR_PEER, (struct sockaddr *)&addr);
	link->message_len = wire_end(&wire);
	link->message = link->message_len ? malloc(link->message_len) : NULL;
	if (!link->message)
		return -SLUICE_E_NOMEM;
	memcpy(link->message, wire.buf, link->message_len);
	return 0;
}

/* --- the pair --------------------------------------------------------------------------------- */

static void close_pair(struct link *link)
{
	if (link->pair.fd >= 0) {
		loop_forget(&link->relay->loop, &link->pair);
		close(link->pair.fd);
	}
	if (link->their_end >= 0)
		close(link->their_end);
	link->pair.fd = link->their_end = -1;
}

int link_pair(struct link *link)
{
	int fds[2];

	close_pair(link);
	/* Ours does not wait by what we ask of each call: O_NONBLOCK would be the worker's as well. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	link->pair.fd = fds[0];
	link->their_end = fds[1];
	return 0;
}

/* --- what waits ------------------------------------------------------------------------------- */

void flow_drop(struct flow *flow)
{
	free(flow->buf);
	flow->buf = NULL;
	flow->off = flow->len = 0;
}

void flow_advance(struct flow *flow, size_t n)
{
	flow->off += n;
	flow->len -= n;
	if (!flow->len)
		flow_drop(flow);
}

/* --- beginning -------------------------------------------------------------------------------- */

static void init(struct link *link, struct relay *relay, struct sluice_conn *conn)
{
	link->relay = relay;
	link->conn = conn;
	link->session = sluice_conn_session(conn);
	link->tls = (struct watch){ .fd = sluice_conn_fd(conn), .ready = tls_ready };
	link->pair = (struct watch){ .fd = -1, .ready = pair_ready };
	link->their_end = -1;
	relay->n_taken++;
}

struct link *link_new(struct relay *relay, struct sluice_conn *conn, uint32_t id,
		      const uint8_t *message, size_t len)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	init(link, relay, conn);
	backend_tune(&relay->backends, link->tls.fd);
	link->id = id;
	link->group = route_choose(&relay->backends, conn, message, len);
	if (!relay->backends.n && make_message(link, message, len) < 0) {
		free(link);
		return NULL;
	}
	link->since_ms = relay->loop.now_ms;
	TAILQ_INSERT_TAIL(&relay->waiting, link, entry);
	relay->n_waiting++;
	relay->n_links++;
	return link;
}

void link_wait(struct link *link)
{
	struct relay *relay = link->relay;

	close_pair(link);
	link->state = LINK_WAITING;
	link->since_ms = relay->loop.now_ms;
	TAILQ_INSERT_TAIL(&relay->waiting, link, entry);
	relay->n_waiting++;
}

static void run(struct link *link)
{
	if (link->relay->ring.on)
		stream_run(link);
	else
		pump_run(link);
}

void link_live(struct link *link)
{
	link->state = LINK_LIVE;
	free(link->message);
	link->message = NULL;
	run(link);
}

/* --- ending ----------------------------------------------------------------------------------- */

static void wait_no_more(struct link *link)
{
	dial_stop(&link->dial);
	TAILQ_REMOVE(&link->relay->waiting, link, entry);
	link->relay->n_waiting--;
}

/* A backend that was not told the end must not take what it has for all: the socket is reset. */
static void reset_backend(const struct link *link)
{
	const struct linger at_once = { .l_onoff = 1 };

	if (link->backend && !link->in.shut)
		setsockopt(link->pair.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

static void detach(struct link *link)
{
	if (link->state == LINK_WAITING)
		wait_no_more(link);
	if (link->backend) {
		LIST_REMOVE(link, of_owner);
		link->backend->n_links--;
		link->backend = NULL;
	}
	if (link->plain) {
		LIST_REMOVE(link, of_owner);
		link->plain->n_links--;
		link->plain = NULL;
	}
}

static void free_memory(struct link *link)
{
	free(link->in.buf);
	free(link->out.buf);
	free(link->message);
	free(link);
}

static void link_free(struct link *link)
{
	if (link->is_timed)
		LIST_REMOVE(link, timed);
	link->relay->n_links--;
	free_memory(link);
}

void link_timed(struct link *link)
{
	if (link->is_timed)
		return;
	link->is_timed = true;
	LIST_INSERT_HEAD(&link->relay->timed, link, timed);
}

static void close_step(struct link *link)
{
	loop_forget(&link->relay->loop, &link->tls);
	if (sluice_close_nowait(link->conn) != -SLUICE_E_AGAIN) {
		link_free(link);
		return;
	}
	/* poll(2) and epoll(7) have the same numbers. Without memory the deadline goes on. */
	loop_watch(&link->relay->loop, &link->tls, (uint32_t)sluice_conn_events(link->conn));
}

void link_close(struct link *link, const char *why)
{
	if (!stream_stop(link, why))
		return;
	if (link->abort_due)
		sluice_abort(link->conn, SLUICE_ALERT_INTERNAL_ERROR);
	if (link->state == LINK_WAITING)
		upstream_ack(link->relay, link); /* or the daemon would keep it */
	worker_ended(link->conn, why);
	reset_backend(link);
	detach(link);
	close_pair(link);
	link->state = LINK_CLOSING;
	link_timed(link);
	close_step(link);
}

void link_leave(struct link *link)
{
	detach(link);
	close_pair(link);
	state_release(link->conn);
	link_free(link);
}

/* Its plain worker keeps its place in the list, so that an acknowledgement under way is no lie. */
static void withdraw(struct link *link)
{
	plain_tell_ended(link, -SLUICE_E_CLOSED, "the daemon is gone");
	close_pair(link);
	link->conn = state_release(link->conn);
	link->state = LINK_WITHDRAWN;
	link->relay->n_links--;
}

void link_withdraw_all(struct relay *relay)
{
	struct plain *plain;
	struct link *link;

	while ((link = TAILQ_FIRST(&relay->waiting)))
		link_leave(link);
	LIST_FOREACH(plain, &relay->plains, in_relay)
	{
		LIST_FOREACH(link, &plain->links, of_owner)
		{
			if (link->state == LINK_OFFERED)
				withdraw(link);
		}
	}
}

void link_forget(struct link *link)
{
	detach(link);
	free_memory(link);
}

static void linger_step(struct link *link)
{
	struct relay *relay = link->relay;
	ssize_t n = 1;
	int i;

	for (i = 0; i < LINGER_ROUNDS && n > 0; i++)
		n = sluice_recv(link->conn, relay->scratch, RELAY_CHUNK, SLUICE_NOWAIT);
	if ((n < 0 && n != -SLUICE_E_AGAIN) || loop_watch(&relay->loop, &link->tls, EPOLLIN) < 0)
		link_close(link, "ended by its worker");
}

void link_linger(struct link *link)
{
	if (!stream_stop(link, NULL))
		return;
	reset_backend(link);
	detach(link);
	close_pair(link);
	link->state = LINK_LINGER;
	link->since_ms = link->relay->loop.now_ms;
	link_timed(link);
	linger_step(link);
}

/* --- its backend ------------------------------------------------------------------------------ */

/* Nobody has answered: that must not look like an answer without a byte. */
static void no_backend(struct link *link, const char *why)
{
	log_line("session %llu: %s", (unsigned long long)link->session, why);
	link->abort_due = true;
	link_close(link, why);
}

/* @fd: where its plaintext goes. */
static void give(struct link *link, struct backend *backend, int fd)
{
	link->backend = backend;
	LIST_INSERT_HEAD(&backend->links, link, of_owner);
	backend->n_links++;
	link->pair.fd = fd;
	link->moved_ms = link->relay->loop.now_ms;
}

int link_joined(struct relay *relay, struct sluice_conn *conn, int plain, struct backend *backend)
{
	struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return -SLUICE_E_NOMEM;
	init(link, relay, conn);
	relay->n_links++;
	give(link, backend, plain);
	link_live(link);
	return 0;
}

static void dialled(struct dial *dial, struct backend *backend, int fd)
{
	struct link *link = owner_of(dial, struct link, dial);

	if (fd < 0) {
		no_backend(link, "no backend could be reached");
		return;
	}
	upstream_ack(link->relay, link);
	wait_no_more(link);
	give(link, backend, fd);
	if (preamble_begin(link) < 0) {
		link->state = LINK_LIVE;
		link_fail_here(link);
		link_close(link, "no memory for its PROXY header");
		return;
	}
	link_live(link);
}

void link_dial(struct link *link)
{
	dial_start(link->relay, &link->dial, link->group, dialled);
}

/* --- events and time -------------------------------------------------------------------------- */

static void tls_ready(struct watch *watch, uint32_t events)
{
	struct link *link = owner_of(watch, struct link, tls);

	if (link->state == LINK_CLOSING)
		close_step(link);
	else if (link->state == LINK_LINGER)
		linger_step(link);
	else
		run(link);
}

static void pair_ready(struct watch *watch, uint32_t events)
{
	struct link *link = owner_of(watch, struct link, pair);

	if (events & (EPOLLHUP | EPOLLERR))
		link->hung_up = true;
	run(link);
}

static void tick_one(struct link *link, uint64_t now_ms)
{
	if (link->state == LINK_CLOSING) {
		if (sluice_conn_timeout(link->conn) == 0)
			close_step(link);
	} else if (link->state == LINK_LINGER) {
		if (now_ms - link->since_ms >= LINGER_MS)
			link_close(link, "ended by its worker; the peer did not end");
	} else if (now_ms - link->since_ms >= STALL_MS) {
		link->abort_due = true;
		link_close(link, "the peer does not read");
	}
}

/* Where the relay is what was short of something, its connections go back: another one may have it. */
static void close_unserved(struct link *link)
{
	if (link->dial.active && link->dial.is_short && !link->relay->upstream.gone)
		upstream_leave(link->relay);
	else if (link->dial.active)
		no_backend(link, "no backend could be reached in time");
	else
		link_close(link, "no plain worker had room in time");
}

void link_tick(struct relay *relay)
{
	struct link *link, *next;

	for (link = LIST_FIRST(&relay->timed); link; link = next) {
		next = LIST_NEXT(link, timed);
		tick_one(link, relay->loop.now_ms);
	}
	while ((link = TAILQ_FIRST(&relay->waiting)) &&
	       relay->loop.now_ms - link->since_ms >= relay->wait_ms)
		close_unserved(link);
}
