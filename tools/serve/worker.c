/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker: one thread, one ring, its own listening sockets (SO_REUSEPORT spreads connections over
 * the workers) and its own connections. Shares nothing that is written but counters.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "peer.h"
#include "request.h"

#define DRAIN_MS 5000 /* for connections to end in order after a signal */

/* Ends what has not ended by now. */
static void abort_all(struct worker *worker)
{
	struct peer *peer = worker->peers, *next;

	for (; peer; peer = next) {
		next = peer->next;
		peer_abort(peer, 0);
	}
}

static void drain_late(struct timer *timer)
{
	abort_all(owner_of(timer, struct worker, drain_deadline));
}

static void stop_if_empty(struct worker *worker)
{
	if (worker->draining && !worker->peers)
		worker->loop.stop = true;
}

static void drain(struct worker *worker)
{
	struct peer *peer, *next;
	size_t i;

	worker->draining = true;
	for (i = 0; i < worker->n_listeners; i++)
		listener_stop(&worker->listeners[i]);
	timer_set(&worker->loop.timers, &worker->drain_deadline, worker->loop.now_ms + DRAIN_MS);
	for (peer = worker->peers; peer; peer = next) {
		next = peer->next;
		if (peer->state == PEER_LIVE)
			worker->server->app->drain(peer);
	}
	stop_if_empty(worker);
}

static void wait_for_wake(struct worker *worker)
{
	if (loop_read(&worker->loop, &worker->wake, worker->wake_fd, &worker->wake_value,
		      sizeof(worker->wake_value), 0) < 0)
		worker->loop.stop = true;
}

static void woken(struct op *op, int res)
{
	struct worker *worker = owner_of(op, struct worker, wake);

	/* Once asks for an end in order, twice for an end. */
	if (!worker->draining)
		drain(worker);
	else
		abort_all(worker);
	wait_for_wake(worker);
}

void worker_peer_gone(struct worker *worker)
{
	struct server *server = worker->server;
	uint64_t once = (uint64_t)server->settings->once;
	uint64_t one = 1;
	size_t i;

	if (worker->draining) {
		stop_if_empty(worker);
		return;
	}
	for (i = 0; i < worker->n_listeners; i++)
		listener_resume(&worker->listeners[i]);
	if (once && atomic_load(&server->stats.closed) >= once &&
	    write(server->stop_fd, &one, sizeof(one)) != sizeof(one))
		worker->loop.stop = true;
}

static void serve(struct worker *worker)
{
	size_t i;

	worker->wake.done = woken;
	worker->drain_deadline.fire = drain_late;
	wait_for_wake(worker);
	for (i = 0; i < worker->n_listeners; i++)
		listener_start(&worker->listeners[i], worker);
	sem_post(worker->ready);
	worker->result = loop_run(&worker->loop);
}

/* Makes what the thread needs. Returns 0 or -errno. */
static int set_up(struct worker *worker)
{
	int r = loop_init(&worker->loop);

	if (r < 0)
		return r;
	worker->http = http_parser_new((uint64_t)worker->server->settings->upload_max);
	if (worker->http)
		return 0;
	loop_deinit(&worker->loop);
	return -ENOMEM;
}

void *worker_run(void *arg)
{
	const uint64_t one = 1;
	struct worker *worker = arg;

	worker->start_error = set_up(worker);
	if (worker->start_error == 0) {
		serve(worker);
		loop_deinit(&worker->loop);
		worker->http = http_parser_free(worker->http);
	} else {
		sem_post(worker->ready);
	}
	atomic_fetch_sub(&worker->server->running, 1);
	if (write(worker->server->stop_fd, &one, sizeof(one)) != sizeof(one))
		perror("sluice serve: eventfd");
	return NULL;
}
