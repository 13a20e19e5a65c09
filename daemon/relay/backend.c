// SPDX-License-Identifier: Apache-2.0
/* The backends: which one is next, whether it can be connected to, and what of it is idle. */
#include "relay/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "relay/relay.h"
#include "relay/supervise.h"

#define IDLE_LOOK_MS 1000
#define RETRY_MS 1000

void backends_free(struct backends *backends)
{
	if (backends->connector >= 0)
		close(backends->connector);
	backends->connector = -1;
	free(backends->list);
	backends->list = NULL;
	backends->n = 0;
	while (backends->n_routes)
		free(backends->routes[--backends->n_routes].words);
}

/* --- which one -------------------------------------------------------------------------------- */

/*
 * What is down comes last: better it than nothing, and so it is found to be back. Backups come before others that
 * are down.
 */
static int rank(const struct backend *backend, uint64_t now_ms)
{
	bool rests = backend->down && now_ms < backend->again_ms;

	return (backend->check.is_failing ? 4 : rests ? 2 : 0) + backend->is_backup;
}

static bool is_better(const struct backend *a, const struct backend *b, uint64_t now_ms)
{
	int rank_a = rank(a, now_ms), rank_b = rank(b, now_ms);

	if (rank_a != rank_b)
		return rank_a < rank_b;
	return a->n_links < b->n_links;
}

static struct backend *choose(struct backends *backends, const struct dial *dial, uint64_t now_ms)
{
	struct backend *best = NULL, *backend;
	size_t i, at;

	for (i = 0; i < backends->n; i++) {
		at = (backends->next + i) % backends->n;
		backend = &backends->list[at];
		if (backend->group == dial->group && !(dial->tried >> at & 1) &&
		    (!best || is_better(backend, best, now_ms)))
			best = backend;
	}
	backends->next++;
	return best;
}

static void went_down(struct relay *relay, struct backend *backend, const char *why)
{
	if (!backend->down)
		log_line("backend %s: %s; others first for %llu ms", backend->name, why,
			 (unsigned long long)relay->backends.rest_ms);
	backend->down = true;
	backend->refused++;
	backend->again_ms = relay->loop.now_ms + relay->backends.rest_ms;
}

static void is_up(struct backend *backend)
{
	if (backend->down)
		log_line("backend %s: it is back", backend->name);
	backend->down = false;
}

/* --- one try after the other ------------------------------------------------------------------ */

static void try_ready(struct watch *watch, uint32_t events);

static void forget_try(struct dial *dial)
{
	if (dial->watch.fd < 0)
		return;
	loop_forget(&dial->relay->loop, &dial->watch);
	close(dial->watch.fd);
	dial->watch.fd = -1;
}

void dial_stop(struct dial *dial)
{
	if (!dial->active)
		return;
	forget_try(dial);
	TAILQ_REMOVE(&dial->relay->backends.dials, dial, entry);
	dial->active = false;
}

/* Returns 0 when a connection is under way, or -errno; errors of ours are no backend's fault. */
static int try_one(struct dial *dial)
{
	struct relay *relay = dial->relay;
	struct backends *backends = &relay->backends;
	size_t i = (size_t)(dial->backend - backends->list);
	int fd = connector_socket(backends, i), r;

	dial->tried |= UINT64_C(1) << i;
	if (fd < 0)
		return fd;
	dial->watch = (struct watch){ .fd = fd, .ready = try_ready };
	dial->deadline_ms = relay->loop.now_ms + backends->connect_ms;
	r = loop_watch(&relay->loop, &dial->watch, EPOLLOUT);
	if (r < 0)
		forget_try(dial);
	return r;
}

bool dial_is_ours(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
	       error == -EADDRNOTAVAIL || error == -ETOOMANYREFS;
}

/* That is nobody's fault but ours, and does not last. */
static void wait_for_more(struct dial *dial, int error)
{
	struct backends *backends = &dial->relay->backends;

	if (!backends->is_short)
		log_line("backend %s: %s; connections wait", dial->backend->name, strerror(-error));
	backends->is_short = true;
	dial->tried &= ~(UINT64_C(1) << (dial->backend - backends->list));
	dial->waits = dial->is_short = true;
}

/* They may be starting: all once more, in a while. */
static bool wait_for_them(struct dial *dial)
{
	struct relay *relay = dial->relay;

	if (dial->rounds++ >= relay->backends.retries)
		return false;
	dial->tried = 0;
	dial->again_ms = relay->loop.now_ms + RETRY_MS;
	dial->waits = true;
	return true;
}

static void failed(struct dial *dial)
{
	dial_stop(dial);
	dial->done(dial, NULL, -1);
}

static void try_next(struct dial *dial)
{
	struct relay *relay = dial->relay;
	int r;

	while ((dial->backend = choose(&relay->backends, dial, relay->loop.now_ms))) {
		r = try_one(dial);
		if (r == 0) {
			relay->backends.is_short = false;
			return;
		}
		if (r == -EPIPE) { /* backend_tick() sees to it */
			dial->deadline_ms = relay->loop.now_ms + relay->backends.connect_ms;
			return;
		}
		if (dial_is_ours(r)) {
			wait_for_more(dial, r);
			return;
		}
		went_down(relay, dial->backend, strerror(-r));
	}
	if (!dial->tried || !wait_for_them(dial)) /* none tried: none is for what fits no route */
		failed(dial);
}

static void try_ready(struct watch *watch, uint32_t events)
{
	struct dial *dial = owner_of(watch, struct dial, watch);
	struct relay *relay = dial->relay;
	socklen_t len = sizeof(int);
	int error = 0, fd = watch->fd;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		forget_try(dial);
		went_down(relay, dial->backend, strerror(error));
		try_next(dial);
		return;
	}
	is_up(dial->backend);
	dial->backend->taken++;
	loop_forget(&relay->loop, watch);
	watch->fd = -1;
	dial_stop(dial);
	/* As one of a pair of ours: whether a call waits is said with each call. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	dial->done(dial, dial->backend, fd);
}

void dial_start(struct relay *relay, struct dial *dial, size_t group,
		void (*done)(struct dial *dial, struct backend *backend, int fd))
{
	*dial = (struct dial){
		.relay = relay, .group = group, .done = done, .watch.fd = -1, .active = true
	};
	dial->wait_until_ms = relay->loop.now_ms + relay->wait_ms;
	TAILQ_INSERT_TAIL(&relay->backends.dials, dial, entry);
	try_next(dial);
}

/* --- time ------------------------------------------------------------------------------------- */

/* The first that has to wait on says that the others would, too. */
static void try_again(struct dial *dial)
{
	struct relay *relay = dial->relay;

	if (relay->loop.now_ms >= dial->wait_until_ms) {
		failed(dial);
	} else if (relay->loop.now_ms >= dial->again_ms && !relay->backends.tick_short) {
		dial->waits = dial->is_short = false;
		try_next(dial);
		relay->backends.tick_short = relay->backends.is_short;
	}
}

/* Each end of a try may free its dial, and no other. */
void dial_tick(struct relay *relay)
{
	struct dial *dial, *next;

	relay->backends.tick_short = false;
	for (dial = TAILQ_FIRST(&relay->backends.dials); dial; dial = next) {
		next = TAILQ_NEXT(dial, entry);
		if (dial->waits) {
			try_again(dial);
			continue;
		}
		if (relay->loop.now_ms < dial->deadline_ms)
			continue;
		if (dial->watch.fd < 0) {
			failed(dial);
			continue;
		}
		forget_try(dial);
		went_down(relay, dial->backend, "it did not answer in time");
		try_next(dial);
	}
}

static void end_idle(struct relay *relay, struct backend *backend)
{
	struct link *link, *next;

	for (link = LIST_FIRST(&backend->links); link; link = next) {
		next = LIST_NEXT(link, of_owner);
		if (relay->loop.now_ms - link->moved_ms < relay->backends.idle_ms)
			continue;
		link->abort_due = true; /* nobody has said that it is complete */
		link_close(link, "nothing moved for too long");
	}
}

/*
 * Without a connector there are no new connections. Those that wait go back to the daemon at once, for another
 * relay; this one ends with those that it has, and is to be started again.
 */
static void lose_connector(struct relay *relay)
{
	log_line("the process that connects is gone");
	relay->failed = true;
	relay_drain(relay);
	upstream_leave(relay);
	relay_tell_boss(relay, WORD_LEAVING);
}

static const char *state_of(const struct backend *backend, uint64_t now_ms)
{
	static const char *const words[] = { "up", "resting", "failing" };

	return words[rank(backend, now_ms) / 2];
}

void backend_figures(const struct relay *relay)
{
	const struct backend *backend;
	size_t i;

	for (i = 0; i < relay->backends.n; i++) {
		backend = &relay->backends.list[i];
		log_line(
			"backend %s: %s%s, open %zu, taken %llu, refused %llu, checks good %llu bad %llu",
			backend->name, state_of(backend, relay->loop.now_ms),
			backend->is_backup ? " backup" : "", backend->n_links,
			(unsigned long long)backend->taken, (unsigned long long)backend->refused,
			(unsigned long long)backend->check.good,
			(unsigned long long)backend->check.bad);
	}
}

void backend_tick(struct relay *relay)
{
	size_t i;

	if (relay->backends.n && relay->backends.connector < 0 && !relay->failed)
		lose_connector(relay);
	check_tick(relay);
	if (!relay->backends.idle_ms || relay->loop.now_ms < relay->backends.look_ms)
		return;
	relay->backends.look_ms = relay->loop.now_ms + IDLE_LOOK_MS;
	for (i = 0; i < relay->backends.n; i++)
		end_idle(relay, &relay->backends.list[i]);
}
