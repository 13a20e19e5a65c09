// SPDX-License-Identifier: Apache-2.0
#include "common/rules.h"

#include "bssl/signer.h"

#define SMALL 512
#define TEXT 2048 /* with a text for people */
#define FETCH_LEN (16 * 1024)
#define SOURCE 9000 /* a path and a URI */
#define SIGN_LEN (SIGNER_MAX_INPUT + 256)
#define SIGNED_LEN (SIGNER_MAX_OUTPUT + 64)

/*
 * How often is decided where the message is served: credits are bounded (MSG_CREDIT), an ACK is of one
 * connection, new keys have a rate (MSG_REKEY), a permit is used up (MSG_SIGN), a program's requests are
 * bounded by its share (MSG_UPGRADE), events by number (MSG_TRACE), loads by what was asked for.
 */
static const struct rule rules[] = {
	{ ROUTE_WORKER_TO_BROKER, MSG_ATTACH, WHEN_FIRST, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_BROKER, MSG_CREDIT, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_BROKER, MSG_ACK, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_BROKER, MSG_DRAIN, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_BROKER, MSG_ENDED, WHEN_LATER, TEXT, 0, 0 },
	{ ROUTE_WORKER_TO_BROKER, MSG_UPDATED, WHEN_LATER, SMALL, 0, 0 },

	{ ROUTE_WORKER_TO_RELAY, MSG_ATTACH, WHEN_FIRST, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_RELAY, MSG_CREDIT, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_RELAY, MSG_ACK, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_RELAY, MSG_DRAIN, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_WORKER_TO_RELAY, MSG_ENDED, WHEN_LATER, TEXT, 0, 0 },

	{ ROUTE_PROGRAM_TO_BROKER, MSG_ATTACH, WHEN_FIRST, SMALL, 0, 0 },
	/* A request with another number of descriptors than one is answered, and not the end of the others. */
	{ ROUTE_PROGRAM_TO_BROKER, MSG_UPGRADE, WHEN_LATER, TEXT, 0, CHANNEL_MAX_FDS },
	{ ROUTE_PROGRAM_TO_BROKER, MSG_ENDED, WHEN_LATER, TEXT, 0, 0 },

	{ ROUTE_LINK_TO_BROKER, MSG_REKEY, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_LINK_TO_BROKER, MSG_ENDED, WHEN_EVER, TEXT, 0, 0 },

	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_CONFIG, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_CHANNEL, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_HANDSHAKE, WHEN_EVER, TEXT, 1, 1 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_CANCEL, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_GO_ON, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_DECIDED, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_CRLS, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_BROKER_TO_HANDSHAKER, MSG_JUDGE, WHEN_EVER, WIRE_MAX, 0, 0 },

	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_READY, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_ESTABLISHED, WHEN_EVER, WIRE_MAX, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_FAILED, WHEN_EVER, TEXT, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_PROXIED, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_PLAIN, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_TRACE, WHEN_EVER, TEXT, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_QUESTION, WHEN_EVER, WIRE_MAX, 0, 0 },
	{ ROUTE_HANDSHAKER_TO_BROKER, MSG_JUDGED, WHEN_EVER, TEXT, 0, 0 },

	{ ROUTE_BROKER_TO_KEEPER, MSG_PERMIT_KEY, WHEN_FIRST, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_KEEPER, MSG_CHANNEL, WHEN_LATER, SMALL, 1, 1 },
	{ ROUTE_BROKER_TO_KEEPER, MSG_PING, WHEN_LATER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_KEEPER, MSG_LOAD, WHEN_EVER, WIRE_MAX, 1, 2 },
	{ ROUTE_BROKER_TO_KEEPER, MSG_UNLOAD, WHEN_EVER, WIRE_MAX, 0, 0 },

	{ ROUTE_KEEPER_TO_BROKER, MSG_PONG, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_KEEPER_TO_BROKER, MSG_LOADED, WHEN_EVER, WIRE_MAX, 0, 0 },

	{ ROUTE_HANDSHAKER_TO_KEEPER, MSG_SIGN, WHEN_EVER, SIGN_LEN, 0, 0 },
	{ ROUTE_KEEPER_TO_HANDSHAKER, MSG_SIGNED, WHEN_EVER, SIGNED_LEN, 0, 0 },

	{ ROUTE_METRICS_TO_BROKER, MSG_SCRAPE, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_METRICS, MSG_SCRAPED, WHEN_EVER, SMALL, 0, 1 },

	{ ROUTE_OWNER_TO_FETCH, MSG_FETCH_ALLOW, WHEN_FIRST, FETCH_LEN, 0, 0 },
	{ ROUTE_OWNER_TO_FETCH, MSG_FETCH, WHEN_LATER, FETCH_LEN, 0, 0 },
	{ ROUTE_FETCH_TO_OWNER, MSG_FETCHED, WHEN_EVER, TEXT, 0, 1 },
	{ ROUTE_BROKER_TO_CRLS, MSG_CRLS, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_BROKER_TO_CRLS, MSG_CRL_SOURCE, WHEN_EVER, SOURCE, 0, 1 },
	{ ROUTE_BROKER_TO_CRLS, MSG_CRL_END, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_BROKER_TO_CRLS, MSG_STAPLE, WHEN_EVER, WIRE_MAX, 1, 1 },

	{ ROUTE_CRLS_TO_BROKER, MSG_CRL_TAKEN, WHEN_EVER, TEXT, 0, 0 },
	{ ROUTE_CRLS_TO_BROKER, MSG_CRLS, WHEN_EVER, SMALL, 1, 1 },
	{ ROUTE_CRLS_TO_BROKER, MSG_STAPLE_CHECKED, WHEN_EVER, TEXT, 0, 0 },

	{ ROUTE_RELAY_TO_CONNECTOR, MSG_CONNECT, WHEN_EVER, SMALL, 0, 0 },
	{ ROUTE_CONNECTOR_TO_RELAY, MSG_CONNECTED, WHEN_EVER, SMALL, 0, 1 },
};

const struct rule *rule_at(size_t i)
{
	return i < sizeof(rules) / sizeof(rules[0]) ? &rules[i] : NULL;
}

static const struct rule *find(enum route route, uint8_t type)
{
	size_t i;

	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].route == route && rules[i].type == type)
			return &rules[i];
	return NULL;
}

const char *rules_open(enum route route, bool *begun, const uint8_t *message, size_t len,
		       const struct channel_fds *fds, struct wire_reader *ret_reader,
		       struct wire_head *ret_head)
{
	const struct rule *rule;
	bool is_first = begun && !*begun;

	if (!wire_open(ret_reader, message, len, ret_head))
		return "it speaks another version";
	rule = find(route, ret_head->type);
	if (!rule)
		return "it sent a message that this channel does not have";
	if (is_first && rule->when == WHEN_LATER)
		return "it did not attach";
	if (begun && !is_first && rule->when == WHEN_FIRST)
		return "it attached twice";
	if (len > rule->max_len)
		return "its message is too long";
	if (!fds->lost && (fds->n < rule->min_fds || fds->n > rule->max_fds))
		return "it sent another number of descriptors than the message has";
	if (begun)
		*begun = true;
	return NULL;
}
