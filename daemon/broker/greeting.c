// SPDX-License-Identifier: Apache-2.0
/*
 * What comes before a handshake and what is told behind it: PROXY headers, as a handshaker has read them,
 * and the message with which a connection goes to a worker. Nothing that a peer sent is parsed here.
 */
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "handover/address.h"
#include "handover/messages.h"

#define SMALL_LEN 64
#define ADDRESS_LEN 16

/* --- PROXY headers ---------------------------------------------------------------------------------- */

static bool read_endpoint(struct sockaddr_in6 *out, const struct attr *attr)
{
	if (attr->len != ENDPOINT_LEN)
		return false;
	out->sin6_family = AF_INET6;
	memcpy(&out->sin6_addr, attr->bytes, ADDRESS_LEN);
	memcpy(&out->sin6_port, attr->bytes + ADDRESS_LEN, 2);
	return true;
}

/* Both, or none: then nothing is changed. Returns false for anything else. */
static bool read_endpoints(struct proxied *out, struct wire_reader reader)
{
	struct sockaddr_in6 *endpoint;
	struct attr attr;
	int r;

	while ((r = wire_next(&reader, &attr)) == 1) {
		endpoint = attr.type == ATTR_SOURCE        ? &out->source
			   : attr.type == ATTR_DESTINATION ? &out->destination
							   : NULL;
		if (endpoint && (endpoint->sin6_family || !read_endpoint(endpoint, &attr)))
			return false;
	}
	return r == 0 && out->source.sin6_family == out->destination.sin6_family;
}

static enum end take_endpoints(struct broker *broker, struct session *session,
			       const struct proxied *proxied)
{
	if (proxied->source.sin6_family) {
		session->proxied = malloc(sizeof(*session->proxied));
		if (!session->proxied)
			return END_NO_MEMORY;
		*session->proxied = *proxied;
	}
	return session_enter(broker, session);
}

/* It waits for this: if it does not come, the time for the hello passes. */
static void answer(const struct session *session, enum message_type type, uint32_t id)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), type, id);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	channel_send(session->handshaker->watch.fd, buf, wire_end(&wire), NULL, 0);
}

const char *greeting_proxied(struct broker *broker, struct session *session,
			     struct wire_reader reader, uint32_t id)
{
	struct proxied proxied = { 0 };
	enum end refusal;

	if (!(session->expects & EXPECTS_PROXY))
		return "a PROXY header where there is none";
	if (!read_endpoints(&proxied, reader))
		return "a PROXY header with addresses that are none";
	session->expects &= (uint8_t)~EXPECTS_PROXY;
	refusal = take_endpoints(broker, session, &proxied);
	if (!refusal) {
		answer(session, MSG_GO_ON, id);
		return NULL;
	}
	answer(session, MSG_CANCEL, id);
	session_end(broker, session, refusal);
	return NULL;
}

/* --- what a worker gets ----------------------------------------------------------------------------- */

/* What only we say. */
static bool is_ours(uint16_t type)
{
	return type == ATTR_COOKIE || type == ATTR_LISTENER || type == ATTR_POOL ||
	       type == ATTR_LOCAL || type == ATTR_PEER || type == ATTR_PEER_ATTRIBUTES;
}

static void put_tls(struct wire *wire, const struct session *session, struct wire_reader reader)
{
	bool keeps = session->rx_path == SLUICE_PATH_KERNEL;
	struct attr attr;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type < ATTR_KEY_ID && /* from there on it is not for workers */
		    !is_ours(attr.type) &&
		    !(session->decided.identity && attr.type == ATTR_PEER_IDENTITY) &&
		    !(keeps && (attr.type == ATTR_RX_KEYS || attr.type == ATTR_TX_KEYS)))
			wire_put(wire, attr.type, attr.bytes, attr.len);
	if (session->decided.identity)
		wire_put_text(wire, ATTR_PEER_IDENTITY, session->decided.identity);
	if (session->decided.attributes)
		wire_put_text(wire, ATTR_PEER_ATTRIBUTES, session->decided.attributes);
}

static void put_plain(struct wire *wire, const struct session *session)
{
	wire_put_u64(wire, ATTR_SESSION, session->id);
	wire_put_u64(wire, ATTR_ROLE, SLUICE_SERVER);
	wire_put_u64(wire, ATTR_VERSION, 0);
	wire_put_u64(wire, ATTR_RX_PATH, SLUICE_PATH_NONE);
	wire_put_u64(wire, ATTR_TX_PATH, SLUICE_PATH_NONE);
}

size_t greeting_connection(const struct broker *broker, const struct session *session,
			   struct wire_reader reader, uint8_t *buf)
{
	const struct upgrade *upgrade = session->upgrade;
	struct wire wire;

	wire_begin(&wire, buf, WIRE_MAX, upgrade ? MSG_UPGRADED : MSG_CONNECTION,
		   upgrade ? upgrade->id : (uint32_t)session->id);
	wire_put_u64(&wire, ATTR_COOKIE, session->cookie);
	if (!upgrade)
		wire_put_text(&wire, ATTR_LISTENER,
			      broker->config->listeners[session->listener].name);
	wire_put_text(&wire, ATTR_POOL, broker->config->pools[session->pool].name);
	if (session->plain)
		put_plain(&wire, session);
	else
		put_tls(&wire, session, reader);
	if (session->plain || session->proxied) {
		wire_put_address(&wire, ATTR_LOCAL,
				 (const struct sockaddr *)session_destination(session));
		wire_put_address(&wire, ATTR_PEER,
				 (const struct sockaddr *)session_source(session));
	}
	return wire_end(&wire);
}
