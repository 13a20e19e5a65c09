/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decision services: somebody else's word on a peer whose path is valid, over a local stream socket
 * (docs/protocol.md). A handshaker asks, the broker passes the question on and the answer back. Whatever goes
 * wrong means that nobody has decided, and the peer is refused; nothing here waits.
 */
#ifndef SLUICED_BROKER_DECIDE_H
#define SLUICED_BROKER_DECIDE_H

#include <stdint.h>
#include <sys/queue.h>

#include "handover/wire.h"

struct broker;
struct question;
struct session;

LIST_HEAD(deciders, decider);

/* struct decided - what a service said of a session's peer; texts are NULL where there are none. */
struct decided {
	bool refused; /* or nobody has decided */
	char *text;   /* why: of the service, or what went wrong */
	char *identity, *attributes;
};

/*
 * decide_ask() is for a handshaker's question. Returns NULL, or what a handshaker does not do. The
 * answer goes to it by itself, with the number @id.
 */
const char *decide_ask(struct broker *broker, struct session *session, uint32_t id,
		       struct wire_reader reader);

/* decide_forget() is for the end of a session: what was asked about it, and what was said. */
void decide_forget(struct session *session);

/* decide_tick() ends what is late; decide_reloaded() what the configuration does not have any more. */
void decide_tick(struct broker *broker);
void decide_reloaded(struct broker *broker);
void decide_close(struct broker *broker);

#endif
