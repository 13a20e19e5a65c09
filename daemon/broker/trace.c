// SPDX-License-Identifier: Apache-2.0
/*
 * Sessions that somebody follows: each event is a row for every client whose trace fits. Who is followed
 * is decided when a session begins, or when a trace does; all others pay one comparison an event.
 */
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#include "broker/admin.h"
#include "core/sys.h"
#include "handover/messages.h"
#include "options/options.h"
#include "record/suite.h"

#define MAX_TOLD 32 /* events of one session by its handshaker */
#define TEXT_LEN 256

struct trace {
	uint64_t accepted_us; /* CLOCK_MONOTONIC */
	uint64_t last_us;     /* of the last event */
	unsigned int told;
};

/* --- who is told ---------------------------------------------------------------------------------- */

static bool follows(const struct broker *broker, const struct admin_client *client,
		    const struct session *session)
{
	const struct admin_request *request = &client->job.request;
	const char *listener, *pool;

	if (request->id)
		return request->id == session->id;
	admin_names(broker, session, &listener, &pool);
	return filter_fits(&request->filter, session, listener, pool, 0);
}

static bool is_followed(const struct broker *broker, const struct session *session)
{
	const struct admin_client *client;

	LIST_FOREACH(client, &broker->admin.tracers, tracing)
	if (follows(broker, client, session))
		return true;
	return false;
}

/* Of two processes one may tell first what was second: events have an order, and time does not go back. */
static struct json_object *row_of(const struct session *session, const char *event, uint64_t at_us)
{
	struct json_object *row = json_object_new_object();
	struct trace *trace = session->trace;

	if (at_us < trace->last_us)
		at_us = trace->last_us;
	trace->last_us = at_us;

	put_number(row, "session", session->id);
	put_number(row, "us", at_us - trace->accepted_us);
	put_text(row, "event", event);
	return row;
}

static struct json_object *row_now(const struct session *session, const char *event)
{
	return row_of(session, event, sys->now_us());
}

/* Frees @row. Without memory the clients that follow are dropped: they would miss something. */
static void tell(struct broker *broker, const struct session *session, struct json_object *row)
{
	struct admin_client *client;

	LIST_FOREACH(client, &broker->admin.tracers, tracing)
	if (follows(broker, client, session))
		admin_tell(client, json_object_get(row));
	json_object_put(row);
}

/* --- beginning ------------------------------------------------------------------------------------ */

static void follow(struct session *session, uint64_t accepted_us)
{
	session->trace = calloc(1, sizeof(*session->trace));
	if (session->trace)
		*session->trace =
			(struct trace){ .accepted_us = accepted_us, .last_us = accepted_us };
}

void trace_begin(struct broker *broker, struct session *session)
{
	struct json_object *row;

	if (!is_followed(broker, session))
		return;
	follow(session, session->accepted_us);
	if (!session->trace)
		return;
	row = row_of(session, "accepted", session->trace->accepted_us);
	put_address(row, "peer", &session->peer);
	put_address(row, "local", &session->local);
	put_text(row, "listener", broker->config->listeners[session->listener].name);
	tell(broker, session, row);
}

void trace_add(struct broker *broker, struct session *session)
{
	if (!session->trace && is_followed(broker, session))
		follow(session, session->accepted_ms * 1000);
}

/* --- the handshake -------------------------------------------------------------------------------- */

void trace_given(struct broker *broker, struct session *session)
{
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, "given");
	put_number(row, "handshaker_pid", (uint64_t)session->handshaker->pid);
	tell(broker, session, row);
}

struct told {
	uint64_t event, time_us, algorithm, no_match, code;
	char sni[TEXT_LEN], alpn[TEXT_LEN], versions[TEXT_LEN];
	struct attr key_id;
};

static bool read_told(struct told *told, struct wire_reader reader)
{
	struct attr attr;
	int r;

	while ((r = wire_next(&reader, &attr)) == 1) {
		switch (attr.type) {
		case ATTR_EVENT:
			attr_u64(&attr, &told->event);
			break;
		case ATTR_TIME_US:
			attr_u64(&attr, &told->time_us);
			break;
		case ATTR_ALGORITHM:
			attr_u64(&attr, &told->algorithm);
			break;
		case ATTR_NO_MATCH:
			attr_u64(&attr, &told->no_match);
			break;
		case ATTR_ERROR:
			attr_u64(&attr, &told->code);
			break;
		case ATTR_SNI:
			attr_text(&attr, told->sni, sizeof(told->sni));
			break;
		case ATTR_ALPN:
			attr_text(&attr, told->alpn, sizeof(told->alpn));
			break;
		case ATTR_TEXT:
			attr_text(&attr, told->versions, sizeof(told->versions));
			break;
		case ATTR_KEY_ID:
			told->key_id = attr;
			break;
		}
	}
	return r == 0;
}

static void put_told(struct json_object *row, const struct told *told)
{
	switch (told->event) {
	case TRACE_HELLO:
		put_peer_text(row, "sni", *told->sni ? told->sni : NULL);
		put_peer_text(row, "alpn", *told->alpn ? told->alpn : NULL);
		put_peer_text(row, "versions", *told->versions ? told->versions : NULL);
		break;
	case TRACE_HOST:
		put_bool(row, "default", told->no_match);
		if (told->key_id.bytes)
			put_hex(row, "key_sha256", told->key_id.bytes, told->key_id.len);
		break;
	case TRACE_SIGN:
		put_text(row, "algorithm",
			 words_name(SLUICE_OPT_SIGNATURE_ALGS, (uint16_t)told->algorithm));
		break;
	case TRACE_SIGNED:
		put_bool(row, "signed", !told->code);
		break;
	}
}

/* A handshaker may lie, but only of sessions of its own, a bounded number of times, and not about time. */
void trace_told(struct broker *broker, struct session *session, struct wire_reader reader)
{
	static const char *const names[] = { [TRACE_HELLO] = "hello",
					     [TRACE_HOST] = "host",
					     [TRACE_SIGN] = "sign-asked",
					     [TRACE_SIGNED] = "sign-answered" };
	struct told told = { 0 };
	struct json_object *row;
	uint64_t now_us;

	if (!session->trace || session->trace->told++ >= MAX_TOLD || !read_told(&told, reader) ||
	    told.event >= sizeof(names) / sizeof(names[0]) || !names[told.event])
		return;
	now_us = sys->now_us();
	if (told.time_us > now_us)
		told.time_us = now_us;
	row = row_of(session, names[told.event], told.time_us);
	put_told(row, &told);
	tell(broker, session, row);
}

void trace_failed(struct broker *broker, struct session *session, int alert, bool sent)
{
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, sent ? "alert-sent" : "alert-received");
	put_text(row, "alert", sluice_alert_name(alert));
	tell(broker, session, row);
}

void trace_established(struct broker *broker, struct session *session)
{
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, "established");
	admin_put_tls(row, session);
	tell(broker, session, row);
}

/* --- after it ------------------------------------------------------------------------------------- */

void trace_state(struct broker *broker, struct session *session, const char *event)
{
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, event);
	put_text(row, "pool", broker->pools[session->pool].config->name);
	if (session->worker) {
		put_number(row, "worker", session->worker->number);
		put_number(row, "worker_pid", (uint64_t)session->worker->pid);
	}
	tell(broker, session, row);
}

void trace_rekey(struct broker *broker, struct session *session, bool receiving, uint64_t epoch)
{
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, "rekey");
	put_text(row, "direction", receiving ? "receiving" : "sending");
	put_number(row, "epoch", epoch);
	tell(broker, session, row);
}

void trace_ended(struct broker *broker, struct session *session, const char *reason)
{
	struct admin_client *client;
	struct json_object *row;

	if (!session->trace)
		return;
	row = row_now(session, "ended");
	put_peer_words(row, "reason", reason);
	put_number(row, "rx_bytes", session->rx_bytes);
	put_number(row, "tx_bytes", session->tx_bytes);
	tell(broker, session, row);
	LIST_FOREACH(client, &broker->admin.tracers, tracing)
	if (client->job.request.id == session->id)
		admin_wake(client); /* there is nothing more to tell */
}
