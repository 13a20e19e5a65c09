// SPDX-License-Identifier: Apache-2.0
/*
 * New keys for sockets that workers have: the worker passes the socket, its cookie says that it is the
 * session's, and the next keys go into it. A worker sees keys of the present, never the secret from
 * which the next ones come.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "broker/broker.h"
#include "handover/messages.h"
#include "record/ktls.h"

#define ANSWER_LEN 64

/*
 * What a worker may ask for: a thousand in a second, twice that at once. A connection needs new keys once in
 * 2^24.5 records (RFC 8446, 5.5), or as often as its peer says so and option limit_key_updates lets it; an
 * answer is some 50 us of the one thread that all others wait for.
 */
#define REKEY_RATE 1000
#define REKEY_BURST 2000

/*
 * A broker that died between the socket and its own records left a socket that is one epoch ahead. Then
 * the worker, which got no answer, asks for what has happened already.
 */
static bool is_ahead(const struct session *session, enum ktls_direction dir, int fd,
		     const struct traffic *next)
{
	return session->restored && ktls_has_keys(fd, dir, next);
}

static void note(struct broker *broker, struct session *session, bool receiving, uint64_t epoch)
{
	*(receiving ? &session->rx_epoch : &session->tx_epoch) = (uint32_t)epoch;
	broker->metrics.rekeys[receiving ? METRICS_RX : METRICS_TX]++;
	trace_rekey(broker, session, receiving, epoch);
}

static int advance(struct broker *broker, struct session *session, enum ktls_direction dir, int fd)
{
	struct traffic *current = memory_take_keys(broker, session, dir == KTLS_RX), *next = NULL;
	uint64_t epoch = 0;
	int code = 0;

	if (!current || traffic_next_epoch(&next, current) < 0 ||
	    (!is_ahead(session, dir, fd, next) && ktls_install(fd, dir, next)))
		code = SLUICE_E_REKEY;
	else
		epoch = next->epoch;
	if (current)
		memory_put_keys(broker, session, dir == KTLS_RX, code ? current : next);
	if (!code)
		note(broker, session, dir == KTLS_RX, epoch);
	traffic_free(code ? next : current);
	return code;
}

/* Whoever has the socket of a session that an earlier broker handed over is its worker. */
static bool is_worker_of(struct worker *worker, struct session *session)
{
	if (!session->worker && session->state == SESSION_LIVE &&
	    session->pool == worker->pool->index) {
		session->worker = worker;
		worker->n_sessions++;
		LIST_INSERT_HEAD(&worker->sessions, session, of_owner);
	}
	return session->worker == worker;
}

/* Whose socket is it? Returns an error code or 0. */
static int serve(struct broker *broker, struct worker *worker, uint64_t id, uint64_t direction,
		 int fd)
{
	struct session *session = session_find(broker, id);
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;

	if (!session || fd < 0 || getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ||
	    cookie != session->cookie || !is_worker_of(worker, session))
		return SLUICE_E_POLICY;
	return advance(broker, session, direction ? KTLS_TX : KTLS_RX, fd);
}

bool rekey_answer(struct broker *broker, struct worker *worker, uint32_t request,
		  struct wire_reader reader, const struct channel_fds *fds)
{
	uint64_t id = 0, direction = 0;
	uint8_t buf[ANSWER_LEN];
	struct attr attr;
	struct wire wire;
	int code;

	if (worker->rekey_tokens)
		worker->rekey_tokens--;
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &id);
		if (attr.type == ATTR_DIRECTION)
			attr_u64(&attr, &direction);
	}
	code = fds->lost ? SLUICE_E_REKEY : serve(broker, worker, id, direction, fds->fds[0]);
	if (!code) {
		broker->stats.rekeys++;
		worker->rekeys++;
	}
	wire_begin(&wire, buf, sizeof(buf), MSG_REKEYED, request);
	if (code)
		wire_put_u64(&wire, ATTR_ERROR, (uint64_t)code);
	return channel_send(worker->rekey.fd, buf, wire_end(&wire), NULL, 0) == 0;
}

/* --- no more than its share -------------------------------------------------------------------- */

void rekey_limit(struct broker *broker, struct worker *worker)
{
	if (worker->rekey_tokens)
		return;
	loop_watch(&broker->loop, &worker->rekey, 0);
	broker->stats.rekeys_slowed++;
	if (!worker->slowed)
		log_line(broker, CONFIG_LOG_WARNING,
			 "worker %llu of pool %s (pid %d) asks for new keys too often: it waits",
			 (unsigned long long)worker->number, worker->pool->config->name,
			 (int)worker->pid);
	worker->slowed = true;
}

void rekey_refill(struct broker *broker, struct worker *worker)
{
	uint64_t more = (broker->loop.now_ms - worker->refilled_ms) * REKEY_RATE / 1000;

	if (!more)
		return;
	worker->refilled_ms = broker->loop.now_ms;
	if (more >= REKEY_BURST - worker->rekey_tokens) {
		worker->rekey_tokens = REKEY_BURST;
		worker->slowed = false;
	} else {
		worker->rekey_tokens += (unsigned int)more;
	}
	if (worker->rekey.fd >= 0)
		loop_watch(&broker->loop, &worker->rekey, EPOLLIN);
}
