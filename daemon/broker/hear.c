// SPDX-License-Identifier: Apache-2.0
/*
 * What handshakers tell of the handshakes that they have. They parse what peers send, so what they say is
 * checked: it is of a session of theirs, and what its listener allows. The socket stays here all the time.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "common/policy.h"
#include "common/rules.h"
#include "core/error.h"
#include "common/text.h"
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

static void drop_liar(struct handshaker *handshaker, const char *lie)
{
	log_line(handshaker->broker, CONFIG_LOG_WARNING, "a handshaker (pid %d) lies: %s",
		 (int)handshaker->pid, lie);
	handshaker->ready = false;
	handshaker->lies = true;
	loop_forget(&handshaker->broker->loop, &handshaker->watch);
	kill(handshaker->pid, SIGKILL); /* SIGCHLD ends what it has */
}

/* The handshaker has done its part, and has closed its copy of the socket. */
static void take_back(struct broker *broker, struct session *session)
{
	leave(broker, session);
	broker->n_held++;
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

/* Of what a policy accepts, but wants to be heard of. */
static void warn(const struct broker *broker, const struct session *session)
{
	char names[POLICY_NAMES_LEN], peer[TEXT_ADDRESS_LEN];

	if (session->warn_bad_certs)
		log_line(broker, CONFIG_LOG_WARNING,
			 "session %" PRIu64 " of %s: its certificate is accepted in spite of: %s",
			 session->id, text_address(peer, session_source(session)),
			 policy_names(names, session->warn_bad_certs));
}

static void established(struct broker *broker, struct session *session, struct wire_reader reader)
{
	bool late = session->crls != crls_generation(broker);
	uint64_t id = session->id;

	take_back(broker, session);
	if (!session_established(session, reader)) {
		session_end(broker, session, END_HANDSHAKER_LIED);
		return;
	}
	chain_keep(broker, session, reader);
	broker->stats.established++;
	warn(broker, session);
	trace_established(broker, session);
	hand_on(broker, session,
		session->upgrade
			? session->pool
			: choose_pool(&broker->config->listeners[session->listener], session),
		reader);
	session = late ? session_find(broker, id) : NULL;
	if (session)
		recheck_late(broker, session);
}

static void plain(struct broker *broker, struct session *session, struct wire_reader reader)
{
	struct wire_reader times = reader;
	struct attr attr;

	take_back(broker, session);
	while (wire_next(&times, &attr) == 1)
		session_take_time(session, &attr);
	session->plain = true;
	broker->stats.plain++;
	hand_on(broker, session, session->plain_pool, reader);
}

/* What a handshaker tells of a handshake that failed; what cannot be is left out. */
static void read_failure(struct sluice_error *err, struct session *session,
			 struct wire_reader reader)
{
	uint64_t code = 0, alert = UINT64_MAX, alert_sent = 0, stage = SLUICE_STAGE_NONE;
	struct attr attr;

	err_clear(err);
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		else if (attr.type == ATTR_ALERT)
			attr_u64(&attr, &alert);
		else if (attr.type == ATTR_ALERT_SENT)
			attr_u64(&attr, &alert_sent);
		else if (attr.type == ATTR_STAGE)
			attr_u64(&attr, &stage);
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, err->text, sizeof(err->text));
		else if (attr.type == ATTR_SNI)
			session_take_sni(session, &attr);
		else
			session_take_time(session, &attr);
	}
	err->code = code && code <= SLUICE_E_INTERNAL ? (int)code : SLUICE_E_INTERNAL;
	err->alert = alert <= UINT8_MAX ? (int)alert : -1;
	err->alert_sent = alert_sent == 1;
	err->stage = stage < SLUICE_STAGES ? (int)stage : SLUICE_STAGE_NONE;
}

static void failed(struct broker *broker, struct session *session, struct wire_reader reader)
{
	struct sluice_error err;
	char text[300];

	read_failure(&err, session, reader);
	session->stage = (uint8_t)err.stage;
	session->has_alert = err.alert >= 0;
	if (session->has_alert) {
		session->alert = (uint8_t)err.alert;
		session->alert_sent = err.alert_sent;
		snprintf(text, sizeof(text), "%s, alert %s %s", err.text,
			 sluice_alert_name(err.alert), err.alert_sent ? "sent" : "received");
		trace_failed(broker, session, err.alert, err.alert_sent);
	} else {
		snprintf(text, sizeof(text), "%s", err.text);
	}
	broker->stats.failed++;
	if (session->upgrade)
		session->upgrade->err = err; /* the program that waits is told */
	session_end_of(broker, session, END_ERROR, err.code, text);
}

/* Of a session that it has. Returns NULL, or what cannot be. */
static const char *hear_of(struct session *session, const struct wire_head *head,
			   struct wire_reader reader)
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
		established(broker, session, reader);
		return NULL;
	case MSG_PLAIN:
		if (session->expects != EXPECTS_PLAIN)
			return "a plain session where there are none";
		plain(broker, session, reader);
		return NULL;
	case MSG_QUESTION:
		return decide_ask(broker, session, head->id, reader);
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
		lie = hear_of(session, &head, reader);
	if (lie)
		drop_liar(handshaker, lie);
	channel_close_fds(&fds);
	secret_wipe(broker->buf, (size_t)n);
	if (!lie && head.type == MSG_READY)
		listeners_room(broker);
	return 1;
}
