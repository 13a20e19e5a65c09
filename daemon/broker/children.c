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
#define CHANNEL_BUFFER (4 << 20) /* bytes: thousands of messages may wait */
#define BACKOFF_MS 100           /* doubles with each crash */
#define MAX_BACKOFF_MS 10000
#define CALM_MS 60000
#define MAX_SUSPECTS 8
#define WATCH_MS 1000
#define HANG_MS 3000 /* beyond the longest handshake_timeout */

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

void children_forget(struct broker *broker, uint64_t session)
{
	keeper_tell(broker, MSG_FORGET, session, NULL);
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
	source_leave(broker, &session->peer);
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

/* What the worker gets: what the handshaker said, less the secrets that stay here, and our own. */
static bool make_message(struct broker *broker, struct session *session, struct wire_reader reader)
{
	const struct config_listener *listener = &broker->config->listeners[session->listener];
	bool keeps = session->rx_path == SLUICE_PATH_KERNEL;
	uint8_t *buf = broker->out;
	struct wire wire;
	struct attr attr;

	wire_begin(&wire, buf, WIRE_MAX, MSG_CONNECTION, (uint32_t)session->id);
	wire_put_u64(&wire, ATTR_COOKIE, session->cookie);
	wire_put_text(&wire, ATTR_LISTENER, listener->name);
	wire_put_text(&wire, ATTR_POOL, broker->config->pools[session->pool].name);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type < ATTR_KEY_ID && /* from there on it is not for workers */
		    (!keeps || (attr.type != ATTR_RX_KEYS && attr.type != ATTR_TX_KEYS)))
			wire_put(&wire, attr.type, attr.bytes, attr.len);
	session->message_len = wire_end(&wire);
	session->message = session->message_len ? malloc(session->message_len) : NULL;
	if (session->message)
		memcpy(session->message, buf, session->message_len);
	secret_wipe(buf, wire.len);
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

static void established(struct broker *broker, struct session *session, struct wire_reader reader,
			struct channel_fds *fds)
{
	leave(broker, session);
	children_forget(broker, session->id); /* a resumption needs no signature */
	session->fd = channel_take_fd(fds);
	broker->n_held += session->fd >= 0;
	if (fds->lost) {
		session_end(broker, session, END_NO_DESCRIPTOR);
		return;
	}
	if (!is_its_socket(session) || !session_established(session, reader)) {
		session_end(broker, session, END_HANDSHAKER_LIED);
		return;
	}
	session->established_us = sys->now_us();
	session->times.total = session_since(session->accepted_us);
	session->pool =
		(uint16_t)choose_pool(&broker->config->listeners[session->listener], session);
	if (!make_message(broker, session, reader)) {
		session_end(broker, session, END_NO_MEMORY);
		return;
	}
	broker->stats.established++;
	metrics_established(broker, session);
	pools_offer(broker, session);
}

/* struct failure - what a handshaker tells of a handshake that failed. */
struct failure {
	uint64_t code, alert, alert_sent;
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
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, failure->text, sizeof(failure->text));
		else if (attr.type == ATTR_SNI)
			session_take_sni(session, &attr);
		else
			session_take_time(session, &attr);
	}
}

static void failed(struct broker *broker, struct session *session, struct wire_reader reader)
{
	struct failure failure;
	char text[300];

	read_failure(&failure, session, reader);
	snprintf(text, sizeof(text), "%s%s%s%s", failure.text,
		 failure.alert <= 255 ? ", alert " : "",
		 failure.alert <= 255 ? sluice_alert_name((int)failure.alert) : "",
		 failure.alert > 255  ? ""
		 : failure.alert_sent ? " sent"
				      : " received");
	broker->stats.failed++;
	children_forget(broker, session->id);
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

static void handshaker_ready(struct watch *watch, uint32_t events)
{
	struct handshaker *handshaker = (struct handshaker *)watch;
	struct broker *broker = handshaker->broker;
	struct wire_reader reader;
	struct channel_fds fds;
	struct session *session;
	struct wire_head head;
	ssize_t n = channel_recv(watch->fd, broker->buf, WIRE_MAX, &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 || !wire_open(&reader, broker->buf, (size_t)n, &head)) {
		loop_forget(&broker->loop, watch); /* SIGCHLD follows, or is made to */
		kill(handshaker->pid, SIGKILL);
		return;
	}
	session = session_find(broker, session_of(reader));
	if (head.type == MSG_READY)
		handshaker->ready = true;
	else if (session && session->handshaker == handshaker && head.type == MSG_ESTABLISHED)
		established(broker, session, reader, &fds);
	else if (session && session->handshaker == handshaker && head.type == MSG_FAILED)
		failed(broker, session, reader);
	channel_close_fds(&fds);
	secret_wipe(broker->buf, (size_t)n);
	if (head.type == MSG_READY)
		listeners_room(broker);
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
	keeper_tell(broker, MSG_CHANNEL, 0, &keepers[0]);
	close(ours[1]);
	close(keepers[0]);
	close(keepers[1]);
	if (handshaker->pid < 0) {
		close(ours[0]);
		return handshaker->pid;
	}
	handshaker->ready = false;
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

int children_handshake(struct broker *broker, struct session *session, int fd)
{
	struct handshaker *best;
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int r = -EAGAIN;

	keeper_tell(broker, MSG_PERMIT, session->id, NULL);
	wire_begin(&wire, buf, sizeof(buf), MSG_HANDSHAKE, 0);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	wire_put_u64(&wire, ATTR_ACCEPTED_US, session->accepted_us);
	wire_put_u64(&wire, ATTR_PROFILE, broker->config->listeners[session->listener].profile);
	while ((best = least_busy(broker))) {
		r = channel_send(best->watch.fd, buf, wire_end(&wire), &fd, 1);
		if (r != -EPIPE && r != -ECONNRESET)
			break;
		best->ready = false; /* it has died; its SIGCHLD comes */
	}
	if (r < 0) {
		children_forget(broker, session->id);
		return r;
	}
	session->handshaker = best;
	best->in_progress++;
	broker->in_progress++;
	LIST_INSERT_HEAD(&best->sessions, session, of_owner);
	return 0;
}

static void handshaker_died(struct handshaker *handshaker, int status)
{
	struct broker *broker = handshaker->broker;
	struct session *session;
	bool crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && !broker->stopping &&
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
		children_forget(broker, session->id);
		broker->stats.failed++;
		/* Any of them may have done it: of many nobody is accused. */
		if (crashed)
			source_penalise(broker, &session->peer);
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

	LIST_FOREACH(session, &handshaker->sessions, of_owner)
	if (broker->loop.now_ms - session->accepted_ms > broker->handshake_ms + HANG_MS)
		return true;
	return false;
}

/*
 * Handshakers keep the time of their handshakes; one that does not has stopped, or turns in a circle.
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
