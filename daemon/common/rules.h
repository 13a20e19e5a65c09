/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What each channel of the daemon carries, as one table: who sends which message to whom, as what
 * message of a channel, how large, and with how many descriptors. Every process opens what it receives by
 * it; anything else ends the channel. docs/protocol.md says what the messages mean.
 */
#ifndef SLUICED_COMMON_RULES_H
#define SLUICED_COMMON_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

/* enum route - a channel, in one direction. */
enum route {
	ROUTE_WORKER_TO_BROKER,
	ROUTE_WORKER_TO_RELAY,
	ROUTE_PROGRAM_TO_BROKER, /* of a service */
	ROUTE_LINK_TO_BROKER,    /* the second socket of a worker or a program */
	ROUTE_BROKER_TO_HANDSHAKER,
	ROUTE_HANDSHAKER_TO_BROKER,
	ROUTE_BROKER_TO_KEEPER,
	ROUTE_KEEPER_TO_BROKER,
	ROUTE_HANDSHAKER_TO_KEEPER,
	ROUTE_KEEPER_TO_HANDSHAKER,
	ROUTE_METRICS_TO_BROKER,
	ROUTE_BROKER_TO_METRICS,
	ROUTE_OWNER_TO_FETCH, /* the owner: a program with libsluice */
	ROUTE_FETCH_TO_OWNER,
	ROUTE_BROKER_TO_CRLS,
	ROUTE_CRLS_TO_BROKER,
	ROUTE_RELAY_TO_CONNECTOR,
	ROUTE_CONNECTOR_TO_RELAY,
	ROUTES
};

enum rule_when {
	WHEN_FIRST, /* the first message, and no other: ATTACH, or a keeper's secret */
	WHEN_LATER, /* once the channel has begun */
	WHEN_EVER,
};

struct rule {
	enum route route;
	enum message_type type;
	enum rule_when when;
	unsigned int max_len; /* bytes of the message */
	unsigned int min_fds, max_fds;
};

/* rule_at() returns row @i of the table, NULL at the end. */
const struct rule *rule_at(size_t i);

/*
 * rules_open() opens a message of @len bytes that came by @route with @fds. *@begun is whether the channel
 * has had its first message, and is kept; NULL for a route without one. Returns NULL, or what is wrong, to be said of the sender.
 * Descriptors that this process had no room for (fds->lost) are not the sender's fault.
 */
const char *rules_open(enum route route, bool *begun, const uint8_t *message, size_t len,
		       const struct channel_fds *fds, struct wire_reader *ret_reader,
		       struct wire_head *ret_head);

#endif
