// SPDX-License-Identifier: Apache-2.0
/*
 * Pools and their workers: who attaches, who has room, what is on its way, and what becomes of it when a
 * worker dies. Until a worker acknowledges a connection the broker keeps its socket and its message, so
 * that another can have it; from then on it keeps neither.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/error.h>

#include "broker/broker.h"
#include "common/offer.h"
#include "common/rules.h"
#include "core/secret.h"
#include "handover/messages.h"

#define SMALL_LEN 512
#define MAX_WORKERS 1024 /* of a pool */
#define MAX_GROUPS 1024  /* of a user; with more, none but the first counts */
#define ATTACH_MS 5000   /* from its connecting to its first message */

static void serve_queue(struct broker *broker, struct pool *pool);

/* --- giving -------------------------------------------------------------------------------------- */

/* The one with the fewest sessions among those that have room. */
static struct worker *choose(struct pool *pool)
{
	struct worker *worker, *best = NULL;

	LIST_FOREACH(worker, &pool->workers, in_pool)
	{
		if (!worker->attached || worker->draining || worker->full || !worker->credits)
			continue;
		if (!best || worker->n_sessions < best->n_sessions)
			best = worker;
	}
	return best;
}

static bool offer(struct session *session, struct worker *worker)
{
	if (channel_send(worker->watch.fd, session->message, session->message_len, &session->fd,
			 1) < 0) {
		worker->full = true;
		return false;
	}
	worker->credits--;
	worker->n_sessions++;
	session->worker = worker;
	session->state = SESSION_OFFERED;
	LIST_INSERT_HEAD(&worker->sessions, session, of_owner);
	trace_state(worker->pool->broker, session, "offered");
	return true;
}

static void enqueue(struct broker *broker, struct pool *pool, struct session *session)
{
	session->state = SESSION_QUEUED;
	session->queued_ms = broker->loop.now_ms;
	TAILQ_INSERT_TAIL(&pool->queue, session, in_pool);
	pool->n_queued++;
	trace_state(broker, session, "queued");
}

void pools_offer(struct broker *broker, struct session *session)
{
	struct pool *pool = &broker->pools[session->pool];
	struct worker *worker = pool->n_queued ? NULL : choose(pool); /* nobody overtakes */

	if (!worker || !offer(session, worker))
		enqueue(broker, pool, session);
}

static void serve_queue(struct broker *broker, struct pool *pool)
{
	struct session *session;
	struct worker *worker;

	while ((session = TAILQ_FIRST(&pool->queue)) && (worker = choose(pool))) {
		TAILQ_REMOVE(&pool->queue, session, in_pool);
		pool->n_queued--;
		if (!offer(session, worker)) {
			TAILQ_INSERT_HEAD(&pool->queue, session, in_pool);
			pool->n_queued++;
		}
	}
}

/* --- workers ------------------------------------------------------------------------------------- */

static const char *pool_word(const struct pool *pool)
{
	return pool->config->is_service ? "service" : "pool";
}

static const char *worker_word(const struct pool *pool)
{
	return pool->config->is_service ? "program" : "worker";
}

/* What it never acknowledged goes to another; the rest ended with it. */
static void lose_sessions(struct broker *broker, struct worker *worker)
{
	struct session *session;

	while ((session = LIST_FIRST(&worker->sessions))) {
		if (session->state != SESSION_OFFERED || session->ended) {
			session_end(broker, session, END_WORKER_GONE);
			continue;
		}
		LIST_REMOVE(session, of_owner);
		session->worker = NULL;
		worker->pool->requeued++;
		enqueue(broker, worker->pool, session);
	}
}

/* @closing: nobody else gets what it has not taken. */
static void drop(struct worker *worker, const char *why, bool closing)
{
	struct pool *pool = worker->pool;
	struct broker *broker = pool->broker;

	log_line(broker, CONFIG_LOG_INFO, "%s %llu of %s %s: %s", worker_word(pool),
		 (unsigned long long)worker->number, pool_word(pool), pool->config->name, why);
	upgrades_cancel(worker);
	LIST_REMOVE(worker, in_pool);
	loop_forget(&broker->loop, &worker->watch);
	close(worker->watch.fd);
	broker->n_workers--;
	if (worker->rekey.fd >= 0) {
		loop_forget(&broker->loop, &worker->rekey);
		close(worker->rekey.fd);
	}
	lose_sessions(broker, worker);
	free(worker);
	if (!closing)
		serve_queue(broker, pool);
}

/* What does not wait for anybody but the broker: new keys, and ends. */
static bool serve_link(struct worker *worker, size_t len, struct channel_fds *fds)
{
	struct broker *broker = worker->pool->broker;
	struct wire_reader reader;
	struct wire_head head;

	if (rules_open(ROUTE_LINK_TO_BROKER, NULL, broker->buf, len, fds, &reader, &head))
		return false;
	if (head.type == MSG_ENDED)
		return worker_ended(worker, &reader);
	return rekey_answer(broker, worker, head.id, reader, fds);
}

static void drop_fds(struct channel_fds *fds)
{
	while (fds->n)
		channel_drop(channel_take_fd(fds));
}

static void rekey_ready(struct watch *watch, uint32_t events)
{
	struct worker *worker = (struct worker *)((char *)watch - offsetof(struct worker, rekey));
	struct broker *broker = worker->pool->broker;
	struct channel_fds fds;
	ssize_t n = channel_recv(watch->fd, broker->buf, WIRE_MAX, &fds);
	bool good;

	if (n == -EAGAIN)
		return;
	good = n > 0 && serve_link(worker, (size_t)n, &fds);
	if (n > 0)
		drop_fds(&fds);
	if (good)
		rekey_limit(broker, worker);
	else
		drop(worker, n > 0 ? "it asks for what is not its own" : "it detached", false);
}

static int welcome(struct worker *worker)
{
	struct broker *broker = worker->pool->broker;
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int pair[2], r;

	r = channel_pair(pair);
	if (r < 0)
		return r;
	worker->rekey = (struct watch){ .fd = pair[0], .ready = rekey_ready };
	rekey_refill(broker, worker);
	r = loop_watch(&broker->loop, &worker->rekey, EPOLLIN);
	wire_begin(&wire, buf, sizeof(buf), MSG_WELCOME, 0);
	wire_put_text(&wire, ATTR_POOL, worker->pool->config->name);
	wire_put_u64(&wire, ATTR_COUNT, worker->number);
	if (r == 0)
		r = channel_send(worker->watch.fd, buf, wire_end(&wire), &pair[1], 1);
	close(pair[1]);
	return r;
}

/* Without a descriptor it waits for a tick. Returns false when it is to be dropped. */
static bool let_in(struct worker *worker)
{
	int r = welcome(worker);

	if (r == -EMFILE || r == -ENFILE)
		return true;
	if (r < 0)
		return false;
	worker->attached = true;
	log_line(worker->pool->broker, CONFIG_LOG_INFO, "%s %llu of %s %s: attached, pid %d",
		 worker_word(worker->pool), (unsigned long long)worker->number,
		 pool_word(worker->pool), worker->pool->config->name, (int)worker->pid);
	return true;
}

static void take_attach(struct worker *worker, struct wire_reader *reader)
{
	struct attr attr;
	uint64_t knows;

	while (wire_next(reader, &attr) == 1)
		if (attr.type == ATTR_KNOWS && attr_u64(&attr, &knows) &&
		    !worker->pool->config->is_service) /* a program is not asked */
			worker->knows = (unsigned int)knows;
}

static bool take_ack(struct worker *worker, uint32_t id)
{
	struct broker *broker = worker->pool->broker;
	struct session *session;

	LIST_FOREACH(session, &worker->sessions, of_owner)
	{
		if ((uint32_t)session->id != id)
			continue;
		if (session->state != SESSION_OFFERED)
			return false;
		session->state = SESSION_LIVE;
		session->times.handover = session_since(session->established_us);
		metrics_live(broker, session);
		metrics_handed_over(broker, session);
		trace_state(broker, session, "acknowledged");
		memory_keep(broker, session);
		session_settled(broker, session);
		worker->pool->handed_over++;
		if (session->ended)
			session_end(broker, session, END_CLOSED);
		return true;
	}
	return false;
}

/* What a program may say to a service. */
static const char *take_of_program(struct worker *worker, const struct wire_head *head,
				   struct wire_reader *reader, struct channel_fds *fds)
{
	if (head->type == MSG_ENDED)
		return worker_ended(worker, reader) ? NULL : "it ended what is not its own";
	upgrade_begin(worker, head->id, *reader, fds);
	return NULL;
}

/* One message. Returns why the worker is dropped, or NULL. */
static const char *take(struct worker *worker, size_t len, struct channel_fds *fds)
{
	struct broker *broker = worker->pool->broker;
	struct wire_reader reader;
	enum route route = worker->pool->config->is_service ? ROUTE_PROGRAM_TO_BROKER
							    : ROUTE_WORKER_TO_BROKER;
	struct wire_head head;
	const char *wrong =
		rules_open(route, &worker->knocked, broker->buf, len, fds, &reader, &head);

	if (wrong)
		return wrong;
	if (head.type == MSG_ATTACH) {
		take_attach(worker, &reader);
		return let_in(worker) ? NULL : "it cannot be welcomed";
	}
	if (!worker->attached)
		return "it did not wait for its welcome";
	if (worker->pool->config->is_service)
		return take_of_program(worker, &head, &reader, fds);
	switch (head.type) {
	case MSG_CREDIT:
		return offer_take_credit(&reader, &worker->credits)
			       ? NULL
			       : "its credits are out of range";
	case MSG_ACK:
		return take_ack(worker, head.id) ? NULL : "it acknowledged what it never got";
	case MSG_ENDED:
		return worker_ended(worker, &reader) ? NULL : "it ended what is not its own";
	case MSG_UPDATED:
		ask_answered(worker, head.id, &reader);
		return NULL;
	case MSG_DRAIN:
		worker->draining = true;
		return NULL;
	default:
		return NULL;
	}
}

static void worker_ready(struct watch *watch, uint32_t events)
{
	struct worker *worker = (struct worker *)watch;
	struct broker *broker = worker->pool->broker;
	struct channel_fds fds;
	const char *why;
	ssize_t n;

	if (!STAILQ_EMPTY(&worker->answers)) { /* first it reads them */
		if (!upgrades_flush(worker))
			drop(worker, "it detached", false);
		return;
	}
	n = channel_recv(watch->fd, broker->buf, WIRE_MAX, &fds);
	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		drop(worker, n == -EMSGSIZE ? "its message is too long" : "it detached", false);
		return;
	}
	worker->full = false;
	why = take(worker, (size_t)n, &fds);
	drop_fds(&fds);
	if (why)
		drop(worker, why, false);
	else
		serve_queue(broker, worker->pool);
}

/* --- attaching ------------------------------------------------------------------------------------ */

static bool in_group(const struct pool *pool, gid_t gid)
{
	size_t i;

	for (i = 0; i < pool->config->n_groups; i++)
		if (pool->config->groups[i] == gid)
			return true;
	return false;
}

static bool may_attach(const struct pool *pool, int fd, const struct ucred *cred)
{
	gid_t groups[MAX_GROUPS]; /* besides its first one */
	socklen_t len = sizeof(groups);
	size_t i;

	if (cred->uid == 0)
		return true;
	for (i = 0; i < pool->config->n_users; i++)
		if (pool->config->users[i] == cred->uid)
			return true;
	if (in_group(pool, cred->gid))
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		return false;
	for (i = 0; i < len / sizeof(gid_t); i++)
		if (in_group(pool, groups[i]))
			return true;
	return false;
}

size_t pool_workers(const struct pool *pool)
{
	const struct worker *worker;
	size_t n = 0;

	LIST_FOREACH(worker, &pool->workers, in_pool)
	n++;
	return n;
}

static void pool_ready(struct watch *watch, uint32_t events)
{
	struct pool *pool = (struct pool *)watch;
	struct worker *worker;
	struct ucred cred;
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		pool->pausing = true; /* until the next tick; the backlog keeps who comes */
		loop_watch(&pool->broker->loop, watch, 0);
	}
	if (fd < 0)
		return;
	if (channel_peer(fd, &cred) < 0 || !may_attach(pool, fd, &cred)) {
		offer_refuse(fd, "this user may not attach here");
		return;
	}
	worker = pool_workers(pool) < MAX_WORKERS ? calloc(1, sizeof(*worker)) : NULL;
	if (!worker) {
		offer_refuse(fd, "too many are attached");
		return;
	}
	worker->pool = pool;
	worker->pid = cred.pid;
	worker->uid = cred.uid;
	worker->number = ++pool->broker->last_worker;
	worker->watch = (struct watch){ .fd = fd, .ready = worker_ready };
	worker->rekey.fd = -1;
	STAILQ_INIT(&worker->answers);
	worker->since_ms = pool->broker->loop.now_ms;
	pool->broker->n_workers++;
	LIST_INSERT_HEAD(&pool->workers, worker, in_pool);
	if (loop_watch(&pool->broker->loop, &worker->watch, EPOLLIN) < 0)
		drop(worker, "no memory", false);
}

/* Who may connect is decided by who connects (SO_PEERCRED), not by the mode of a file. */
static int pool_open(struct broker *broker, struct pool *pool, struct config_error *err)
{
	int fd = channel_listen(pool->config->socket, 0666);

	if (fd < 0) {
		err->place = pool->config->place;
		snprintf(err->text, sizeof(err->text), "%s:%u:%u: %s %s: %s: %s",
			 broker->config->path, err->place.line, err->place.column, pool_word(pool),
			 pool->config->name, pool->config->socket, strerror(-fd));
		return -SLUICE_E_IO;
	}
	pool->watch = (struct watch){ .fd = fd, .ready = pool_ready };
	return loop_watch(&broker->loop, &pool->watch, EPOLLIN) < 0 ? -SLUICE_E_NOMEM : 0;
}

int pools_open(struct broker *broker, struct config_error *ret_err)
{
	const struct config *config = broker->config;
	size_t i;
	int r = 0;

	broker->pools = calloc(config->n_pools ? config->n_pools : 1, sizeof(*broker->pools));
	if (!broker->pools)
		return -SLUICE_E_NOMEM;
	broker->n_pools = config->n_pools;
	for (i = 0; i < config->n_pools; i++) {
		broker->pools[i] = (struct pool){
			.broker = broker, .config = &config->pools[i], .index = i, .watch.fd = -1
		};
		TAILQ_INIT(&broker->pools[i].queue);
	}
	for (i = 0; r == 0 && i < config->n_pools; i++)
		r = pool_open(broker, &broker->pools[i], ret_err);
	return r;
}

static void tick_workers(struct pool *pool)
{
	uint64_t now_ms = pool->broker->loop.now_ms;
	struct worker *worker, *next;

	for (worker = LIST_FIRST(&pool->workers); worker; worker = next) {
		next = LIST_NEXT(worker, in_pool);
		worker->full = false;
		rekey_refill(pool->broker, worker);
		if (worker->knocked && !worker->attached && !let_in(worker)) {
			drop(worker, "it cannot be welcomed", false);
			continue;
		}
		if (!worker->attached && now_ms - worker->since_ms >= ATTACH_MS)
			drop(worker, "it did not attach in time", false);
	}
	serve_queue(pool->broker, pool);
}

/* Whom nobody took in time, and what had to wait. */
void pools_tick(struct broker *broker)
{
	struct session *session;
	struct pool *pool;
	size_t i;

	for (i = 0; i < broker->n_pools; i++) {
		pool = &broker->pools[i];
		tick_workers(pool);
		if (pool->pausing)
			loop_watch(&broker->loop, &pool->watch, EPOLLIN);
		pool->pausing = false;
		while ((session = TAILQ_FIRST(&pool->queue)) &&
		       broker->loop.now_ms - session->queued_ms >= pool->config->wait_ms) {
			pool->timed_out++;
			session_end(broker, session, END_NO_WORKER);
		}
	}
}

void pools_close(struct broker *broker)
{
	struct session *session;
	struct worker *worker;
	struct pool *pool;
	size_t i;

	for (i = 0; i < broker->n_pools; i++) {
		pool = &broker->pools[i];
		while ((session = TAILQ_FIRST(&pool->queue)))
			session_end(broker, session, END_STOPPED);
		while ((worker = LIST_FIRST(&pool->workers)))
			drop(worker, "the daemon ends", true);
		while ((session = TAILQ_FIRST(&pool->queue)))
			session_end(broker, session, END_STOPPED);
		if (pool->watch.fd < 0)
			continue;
		loop_forget(&broker->loop, &pool->watch);
		close(pool->watch.fd);
		unlink(pool->config->socket);
	}
	free(broker->pools);
	broker->pools = NULL;
	broker->n_pools = 0;
}
