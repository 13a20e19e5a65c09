// SPDX-License-Identifier: Apache-2.0
/*
 * The keeper and the handshakers: started, given what they need, and started again when they die. What
 * a handshaker was doing when it died is lost; nothing else is.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "common/process.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/messages.h"
#include "options/options.h"

#define SMALL_LEN 256
#define HANDSHAKE_LEN 1024       /* a host and protocols */
#define CHANNEL_BUFFER (4 << 20) /* bytes: thousands of messages may wait */
#define BACKOFF_MS 100           /* doubles with each crash */
#define MAX_BACKOFF_MS 1000      /* that long none of its handshakes are made */
#define CALM_MS 60000
#define MAX_SUSPECTS 8
#define WATCH_MS 200
#define HANG_MS 700 /* beyond the longest handshake_timeout, and without a word */

int children_pair(int pair[2])
{
	int size = CHANNEL_BUFFER, i, r = channel_pair(pair);

	for (i = 0; r == 0 && i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return r;
}

uint64_t children_backoff(unsigned int crashes)
{
	uint64_t wait = BACKOFF_MS;

	while (crashes-- && wait < MAX_BACKOFF_MS)
		wait *= 2;
	return wait < MAX_BACKOFF_MS ? wait : MAX_BACKOFF_MS;
}

/* --- what handshakers tell ------------------------------------------------------------------------ */

static uint64_t session_of(struct wire_reader reader)
{
	struct attr attr;
	uint64_t id;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_SESSION && attr_u64(&attr, &id))
			return id;
	return 0;
}

static void leave(struct broker *broker, struct session *session)
{
	session->handshaker->in_progress--;
	broker->in_progress--;
	LIST_REMOVE(session, of_owner);
	session->handshaker = NULL;
	session_leave(broker, session);
	listeners_room(broker);
}

static bool host_matches(const char *pattern, const char *name)
{
	const char *dot;

	if (!pattern)
		return true;
	if (!name)
		return false;
	if (strncmp(pattern, "*.", 2) != 0)
		return strcasecmp(pattern, name) == 0;
	dot = strchr(name, '.');
	return dot && strcasecmp(pattern + 1, dot) == 0;
}

static size_t choose_pool(const struct config_listener *listener, const struct session *session)
{
	size_t i;

	for (i = 0; i < listener->n_routes; i++)
		if (host_matches(listener->routes[i].sni, session->sni) &&
		    (!listener->routes[i].alpn ||
		     (session->alpn && strcmp(listener->routes[i].alpn, session->alpn) == 0)))
			return listener->routes[i].pool;
	return listener->pool;
}

static bool make_message(struct broker *broker, struct session *session, struct wire_reader reader)
{
	session->message_len = greeting_connection(broker, session, reader, broker->out);
	session->message = session->message_len ? malloc(session->message_len) : NULL;
	if (session->message)
		memcpy(session->message, broker->out, session->message_len);
	secret_wipe(broker->out, session->message_len ? session->message_len : WIRE_MAX);
	return session->message;
}

/* A handshaker that a peer has taken over has others' sockets too. */
static bool is_its_socket(const struct session *session)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return session->fd >= 0 &&
	       getsockopt(session->fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0 &&
	       cookie == session->cookie;
}

static void drop_liar(struct handshaker *handshaker, const char *lie)
{
	log_line(handshaker->broker, CONFIG_LOG_WARNING, "a handshaker (pid %d) lies: %s",
		 (int)handshaker->pid, lie);
	handshaker->ready = false;
	handshaker->lies = true;
	loop_forget(&handshaker->broker->loop, &handshaker->watch);
	kill(handshaker->pid, SIGKILL); /* SIGCHLD ends what it has */
}

/* The handshaker has done its part: the socket comes back. Returns false when that is the end. */
static bool take_back(struct broker *broker, struct session *session, struct channel_fds *fds)
{
	leave(broker, session);
	session->fd = channel_take_fd(fds);
	broker->n_held += session->fd >= 0;
	if (!fds->lost && is_its_socket(session))
		return true;
	session_end(broker, session, fds->lost ? END_NO_DESCRIPTOR : END_HANDSHAKER_LIED);
	return false;
}

static void hand_on(struct broker *broker, struct session *session, size_t pool,
		    struct wire_reader reader)
{
	session->pool = (uint16_t)pool;
	session->established_us = sys->now_us();
	session->times.total = session_since(session->accepted_us);
	if (!session->plain)
		metrics_established(broker, session);
	if (!make_message(broker, session, reader))
		session_end(broker, session, END_NO_MEMORY);
	else if (session->upgrade)
		upgrade_established(broker, session);
	else
		pools_offer(broker, session);
}

static void established(struct broker *broker, struct session *session, struct wire_reader reader,
			struct channel_fds *fds)
{
	if (!take_back(broker, session, fds))
		return;
	if (!session_established(session, reader)) {
		session_end(broker, session, END_HANDSHAKER_LIED);
		return;
	}
	broker->stats.established++;
	trace_established(broker, session);
	hand_on(broker, session,
		session->upgrade
			? session->pool
			: choose_pool(&broker->config->listeners[session->listener], session),
		reader);
}

static void plain(struct broker *broker, struct session *session, struct wire_reader reader,
		  struct channel_fds *fds)
{
	struct wire_reader times = reader;
	struct attr attr;

	if (!take_back(broker, session, fds))
		return;
	while (wire_next(&times, &attr) == 1)
		session_take_time(session, &attr);
	session->plain = true;
	broker->stats.plain++;
	hand_on(broker, session, session->plain_pool, reader);
}

/* struct failure - what a handshaker tells of a handshake that failed. */
struct failure {
	uint64_t code, alert, alert_sent, stage;
	char text[200];
};

static void read_failure(struct failure *failure, struct session *session,
			 struct wire_reader reader)
{
	struct attr attr;

	*failure = (struct failure){ .alert = UINT64_MAX };
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &failure->code);
		else if (attr.type == ATTR_ALERT)
			attr_u64(&attr, &failure->alert);
		else if (attr.type == ATTR_ALERT_SENT)
			attr_u64(&attr, &failure->alert_sent);
		else if (attr.type == ATTR_STAGE)
			attr_u64(&attr, &failure->stage);
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, failure->text, sizeof(failure->text));
		else if (attr.type == ATTR_SNI)
			session_take_sni(session, &attr);
		else
			session_take_time(session, &attr);
	}
}

/* What a program that waits is told. */
static void keep_error(struct upgrade *upgrade, const struct failure *failure)
{
	struct sluice_error *err = &upgrade->err;

	err->code = failure->code <= INT8_MAX ? (int)failure->code : SLUICE_E_INTERNAL;
	err->alert = failure->alert <= UINT8_MAX ? (int)failure->alert : -1;
	err->alert_sent = failure->alert_sent == 1;
	err->stage = failure->stage < SLUICE_STAGES ? (int)failure->stage : SLUICE_STAGE_NONE;
	snprintf(err->text, sizeof(err->text), "%s", failure->text);
}

static void failed(struct broker *broker, struct session *session, struct wire_reader reader)
{
	struct failure failure;
	char text[300];

	read_failure(&failure, session, reader);
	snprintf(text, sizeof(text), "%s%s%s%s", failure.text,
		 failure.alert <= UINT8_MAX ? ", alert " : "",
		 failure.alert <= UINT8_MAX ? sluice_alert_name((int)failure.alert) : "",
		 failure.alert > UINT8_MAX ? ""
		 : failure.alert_sent      ? " sent"
					   : " received");
	broker->stats.failed++;
	if (failure.alert <= UINT8_MAX)
		trace_failed(broker, session, (int)failure.alert, failure.alert_sent);
	if (session->upgrade)
		keep_error(session->upgrade, &failure);
	session_end_of(broker, session, END_ERROR,
		       failure.code <= SLUICE_E_INTERNAL ? (int)failure.code : SLUICE_E_INTERNAL,
		       text);
}

static void configure(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_CONFIG, 0);
	if (channel_send(handshaker->watch.fd, buf, wire_end(&wire), &broker->catalog_fd, 1) < 0)
		kill(handshaker->pid,
		     SIGKILL); /* it does not read; the next one gets the new one */
}

/* Of a session that it has. Returns NULL, or what cannot be. */
static const char *hear_of(struct session *session, const struct wire_head *head,
			   struct wire_reader reader, struct channel_fds *fds)
{
	struct broker *broker = session->handshaker->broker;

	switch (head->type) {
	case MSG_PROXIED:
		return greeting_proxied(broker, session, reader, head->id);
	case MSG_FAILED:
		failed(broker, session, reader);
		return NULL;
	case MSG_ESTABLISHED:
		if (session->expects & EXPECTS_PROXY)
			return "a session without the PROXY header that it needs";
		established(broker, session, reader, fds);
		return NULL;
	case MSG_PLAIN:
		if (session->expects != EXPECTS_PLAIN)
			return "a plain session where there are none";
		plain(broker, session, reader, fds);
		return NULL;
	case MSG_TRACE:
		trace_told(broker, session, reader);
		return NULL;
	default:
		return NULL;
	}
}

/* One message. Returns 1, 0: there is none now, or -1: there will be none that makes sense. */
static int hear(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	struct wire_reader reader;
	struct channel_fds fds;
	struct session *session;
	struct wire_head head;
	const char *lie = NULL;
	ssize_t n;

	if (handshaker->lies)
		return -1;
	n = channel_recv(handshaker->watch.fd, broker->buf, WIRE_MAX, &fds);
	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return -1;
	handshaker->heard_ms = broker->loop.now_ms;
	if (!wire_open(&reader, broker->buf, (size_t)n, &head)) {
		channel_close_fds(&fds);
		return -1;
	}
	session = session_find(broker, session_of(reader));
	if (head.type == MSG_READY)
		handshaker->ready = true;
	else if (session && session->handshaker == handshaker)
		lie = hear_of(session, &head, reader, &fds);
	if (lie)
		drop_liar(handshaker, lie);
	channel_close_fds(&fds);
	secret_wipe(broker->buf, (size_t)n);
	if (head.type == MSG_READY)
		listeners_room(broker);
	return 1;
}

static void handshaker_ready(struct watch *watch, uint32_t events)
{
	struct handshaker *handshaker = (struct handshaker *)watch;

	if (hear(handshaker) >= 0)
		return;
	loop_forget(&handshaker->broker->loop, watch); /* SIGCHLD follows, or is made to */
	kill(handshaker->pid, SIGKILL);
}

/* --- handshakers ---------------------------------------------------------------------------------- */

static int start_handshaker(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	int ours[2], keepers[2], fds[2], r;

	r = children_pair(ours);
	if (r < 0)
		return r;
	r = children_pair(keepers);
	if (r < 0) {
		close(ours[0]);
		close(ours[1]);
		return r;
	}
	fds[0] = ours[1];
	fds[1] = keepers[1];
	handshaker->pid = process_spawn("sluice-handshaker", fds, 2, broker->config->uid,
					broker->config->gid);
	keeper_give_channel(broker, keepers[0]);
	close(ours[1]);
	close(keepers[0]);
	close(keepers[1]);
	if (handshaker->pid < 0) {
		close(ours[0]);
		return handshaker->pid;
	}
	handshaker->ready = handshaker->lies = false;
	handshaker->restart_ms = 0;
	handshaker->started_ms = broker->loop.now_ms;
	handshaker->watch = (struct watch){ .fd = ours[0], .ready = handshaker_ready };
	r = loop_watch(&broker->loop, &handshaker->watch, EPOLLIN);
	configure(handshaker);
	return r;
}

static uint64_t longest_handshake(const struct config *config)
{
	uint64_t longest = 0, ms;
	size_t i, j;

	for (i = 0; i < config->n_profiles; i++) {
		ms = (uint64_t)option_number(config->profiles[i].options,
					     SLUICE_OPT_HANDSHAKE_TIMEOUT, SLUICE_SERVER);
		longest = ms > longest ? ms : longest;
		for (j = 0; j < config->profiles[i].n_hosts; j++) {
			ms = (uint64_t)option_number(config->profiles[i].hosts[j].options,
						     SLUICE_OPT_HANDSHAKE_TIMEOUT, SLUICE_SERVER);
			longest = ms > longest ? ms : longest;
		}
	}
	return longest;
}

int children_configure(struct broker *broker, int catalog_fd)
{
	size_t i, n = broker->config->limits.handshakers;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	if (!n)
		n = cores > 0 ? (size_t)cores : 1;

	if (broker->catalog_fd >= 0)
		close(broker->catalog_fd);
	broker->catalog_fd = catalog_fd;
	broker->keeper.ready = true;
	broker->handshake_ms = longest_handshake(broker->config);
	if (broker->handshakers) { /* as many as at the start: a reload changes what they have */
		for (i = 0; i < broker->n_handshakers; i++)
			if (!broker->handshakers[i].restart_ms)
				configure(&broker->handshakers[i]);
		return 0;
	}
	broker->handshakers = calloc(n, sizeof(*broker->handshakers));
	if (!broker->handshakers)
		return -ENOMEM;
	broker->n_handshakers = n;
	for (i = 0; i < n; i++) {
		broker->handshakers[i].broker = broker;
		broker->handshakers[i].watch.fd = -1;
	}
	for (i = 0; r >= 0 && i < n; i++)
		r = start_handshaker(&broker->handshakers[i]);
	return r;
}

bool children_ready(const struct broker *broker)
{
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++)
		if (broker->handshakers[i].ready)
			return broker->keeper.ready;
	return false;
}

static struct handshaker *least_busy(struct broker *broker)
{
	struct handshaker *best = NULL, *handshaker;
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++) {
		handshaker = &broker->handshakers[i];
		if (handshaker->ready && (!best || handshaker->in_progress < best->in_progress))
			best = handshaker;
	}
	return best;
}

static void put_handshake(const struct broker *broker, const struct session *session,
			  struct wire *wire)
{
	const struct upgrade *upgrade = session->upgrade;
	const struct config_listener *listener;
	uint8_t permit[PERMIT_LEN];

	permit_write(permit, broker->permit_key, session->id, session->role,
		     broker->loop.now_ms + broker->handshake_ms + HANG_MS);
	wire_put_u64(wire, ATTR_SESSION, session->id);
	wire_put(wire, ATTR_PERMIT, permit, sizeof(permit));
	wire_put_u64(wire, ATTR_ROLE, session->role);
	wire_put_u64(wire, ATTR_ACCEPTED_US, session->accepted_us);
	if (session->trace)
		wire_put_u64(wire, ATTR_TRACE, 1);
	if (!upgrade) {
		listener = &broker->config->listeners[session->listener];
		wire_put_u64(wire, ATTR_PROFILE, listener->profile);
		wire_put_u64(wire, ATTR_EXPECTS, session->expects);
		wire_put_u64(wire, ATTR_HELLO_TIMEOUT, listener->hello_timeout_ms);
		return;
	}
	wire_put_u64(wire, ATTR_PROFILE, upgrade->profile);
	wire_put_text(wire, ATTR_HOST, upgrade->request.host);
	wire_put_text(wire, ATTR_ALPN, upgrade->request.alpn);
	if (upgrade->request.plain)
		wire_put_u64(wire, ATTR_PLAIN, 1);
}

int children_handshake(struct broker *broker, struct session *session, int fd)
{
	struct handshaker *best;
	uint8_t buf[HANDSHAKE_LEN];
	struct wire wire;
	int r = -EAGAIN;

	wire_begin(&wire, buf, sizeof(buf), MSG_HANDSHAKE, 0);
	put_handshake(broker, session, &wire);
	while ((best = least_busy(broker))) {
		r = channel_send(best->watch.fd, buf, wire_end(&wire), &fd, 1);
		if (r != -EPIPE && r != -ECONNRESET)
			break;
		best->ready = false; /* it has died; its SIGCHLD comes */
	}
	if (r < 0)
		return r;
	session->handshaker = best;
	best->in_progress++;
	broker->in_progress++;
	LIST_INSERT_HEAD(&best->sessions, session, of_owner);
	trace_given(broker, session);
	return 0;
}

void children_cancel(struct broker *broker, const struct session *session)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (!session->handshaker)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_CANCEL, 0);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	/* One that does not keep up finds out by time. */
	channel_send(session->handshaker->watch.fd, buf, wire_end(&wire), NULL, 0);
}

static void handshaker_died(struct handshaker *handshaker, int status)
{
	struct broker *broker = handshaker->broker;
	struct sockaddr_in6 payer;
	struct session *session;
	bool crashed;

	while (hear(handshaker) > 0) /* what it had finished is not lost with it */
		;
	crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && !broker->stopping &&
		  handshaker->in_progress <= MAX_SUSPECTS;
	if (!broker->stopping) {
		broker->stats.handshaker_crashes++;
		log_line(broker, CONFIG_LOG_WARNING,
			 "a handshaker (pid %d) ended by %s %d: %u handshakes are lost",
			 (int)handshaker->pid, WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			 handshaker->in_progress);
	}
	loop_forget(&broker->loop, &handshaker->watch);
	close(handshaker->watch.fd);
	handshaker->watch.fd = -1;
	handshaker->pid = 0;
	handshaker->ready = false;
	while ((session = LIST_FIRST(&handshaker->sessions))) {
		broker->stats.failed++;
		/* Any of them may have done it: of many nobody is accused. */
		payer = session_payer(session);
		if (crashed && session->counted)
			source_penalise(broker, &payer);
		session_end(broker, session, END_HANDSHAKER_DIED);
	}
	handshaker->restart_ms = broker->loop.now_ms + children_backoff(handshaker->crashes++);
}

void children_reap(struct broker *broker)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == broker->keeper.pid)
			keeper_died(broker, status);
		if (pid == broker->scrape.pid)
			scrape_died(broker, status);
		for (i = 0; i < broker->n_handshakers; i++)
			if (broker->handshakers[i].pid == pid)
				handshaker_died(&broker->handshakers[i], status);
	}
}

static bool hangs(const struct handshaker *handshaker)
{
	const struct broker *broker = handshaker->broker;
	const struct session *session;

	if (broker->loop.now_ms - handshaker->heard_ms <= HANG_MS)
		return false;
	LIST_FOREACH(session, &handshaker->sessions, of_owner)
	if (broker->loop.now_ms - session->accepted_ms > broker->handshake_ms + HANG_MS)
		return true;
	return false;
}

/*
 * Handshakers keep the time of their handshakes; one that does not, and says nothing at all, has stopped or
 * turns in a circle. One that has much to do is late as well, but says so (MSG_READY).
 * If it was us who were late, there may be much that they have said: another round.
 */
static void look_for_hanging(struct broker *broker)
{
	uint64_t since_ms = broker->loop.now_ms - broker->watched_ms;
	size_t i;

	if (since_ms < WATCH_MS)
		return;
	broker->watched_ms = broker->loop.now_ms;
	for (i = 0; i < broker->n_handshakers && since_ms < 2 * WATCH_MS; i++)
		if (broker->handshakers[i].pid > 0 && hangs(&broker->handshakers[i])) {
			log_line(broker, CONFIG_LOG_WARNING, "a handshaker (pid %d) hangs",
				 (int)broker->handshakers[i].pid);
			kill(broker->handshakers[i].pid, SIGKILL);
		}
}

void children_tick(struct broker *broker)
{
	struct handshaker *handshaker;
	size_t i;

	look_for_hanging(broker);
	if (!broker->stopping)
		keeper_tick(broker);
	for (i = 0; i < broker->n_handshakers && !broker->stopping; i++) {
		handshaker = &broker->handshakers[i];
		if (handshaker->restart_ms && broker->loop.now_ms >= handshaker->restart_ms &&
		    start_handshaker(handshaker) < 0)
			handshaker->restart_ms = broker->loop.now_ms + MAX_BACKOFF_MS;
		else if (handshaker->crashes && handshaker->ready &&
			 broker->loop.now_ms - handshaker->started_ms > CALM_MS)
			handshaker->crashes = 0;
	}
}

void children_stop(struct broker *broker)
{
	struct session *session;
	size_t i;

	broker->stopping = true;
	for (i = 0; i < broker->n_handshakers; i++) {
		while ((session = LIST_FIRST(&broker->handshakers[i].sessions)))
			session_end(broker, session, END_STOPPED);
		if (broker->handshakers[i].watch.fd < 0)
			continue;
		loop_forget(&broker->loop, &broker->handshakers[i].watch);
		close(broker->handshakers[i].watch.fd);
		kill(broker->handshakers[i].pid, SIGKILL); /* one that is stopped too */
	}
	keeper_stop(broker);
	while (waitpid(-1, NULL, 0) > 0)
		;
	free(broker->handshakers);
	broker->handshakers = NULL;
	broker->n_handshakers = 0;
}
