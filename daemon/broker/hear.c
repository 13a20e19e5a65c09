// SPDX-License-Identifier: Apache-2.0
/*
 * What handshakers tell of the handshakes that they have. They parse what peers send, so what they say is
 * checked: it is of a session of theirs, with its own socket, and what its listener allows.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "common/rules.h"
#include "core/secret.h"
#include "core/sys.h"
#include "handover/messages.h"

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
	session->message_len = (uint32_t)greeting_connection(broker, session, reader, broker->out);
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
	chain_keep(broker, session, reader);
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
	session->stage = failure.stage < SLUICE_STAGES ? (uint8_t)failure.stage : SLUICE_STAGE_NONE;
	session->has_alert = failure.alert <= UINT8_MAX;
	session->alert = (uint8_t)failure.alert;
	session->alert_sent = failure.alert_sent == 1;
	if (session->has_alert)
		trace_failed(broker, session, (int)failure.alert, failure.alert_sent);
	if (session->upgrade)
		keep_error(session->upgrade, &failure);
	session_end_of(broker, session, END_ERROR,
		       failure.code <= SLUICE_E_INTERNAL ? (int)failure.code : SLUICE_E_INTERNAL,
		       text);
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

int hear_message(struct handshaker *handshaker)
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
	lie = rules_open(ROUTE_HANDSHAKER_TO_BROKER, NULL, broker->buf, (size_t)n, &fds, &reader,
			 &head);
	session = lie ? NULL : session_find(broker, session_of(reader));
	if (!lie && head.type == MSG_READY)
		handshaker->ready = true;
	else if (!lie && head.type == MSG_JUDGED)
		lie = recheck_judged(handshaker, head.id, reader);
	else if (session && session->handshaker == handshaker)
		lie = hear_of(session, &head, reader, &fds);
	if (lie)
		drop_liar(handshaker, lie);
	channel_close_fds(&fds);
	secret_wipe(broker->buf, (size_t)n);
	if (!lie && head.type == MSG_READY)
		listeners_room(broker);
	return 1;
}
