/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that have private keys, and those that make handshakes: the broker gives them what they need
 * and takes what they say, which it does not believe unseen.
 */
#ifndef SLUICED_BROKER_CHILDREN_H
#define SLUICED_BROKER_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/loop.h"
#include "handover/wire.h"

struct broker;
struct session;

/* --- the keeper (keeper.c) --------------------------------------------------------------------- */

struct keeper {
	struct watch watch; /* permits, and whether it is alive */
	struct watch loads; /* keys come and go */
	pid_t pid;
	uint64_t number;     /* of all that there were: keys belong to one of them */
	uint64_t asked_ms;   /* when it was asked whether it is alive; 0: it has answered */
	uint64_t asking_ms;  /* when it is asked next */
	uint64_t keys;       /* that it had then */
	bool ready;          /* it has the keys of the catalogue */
	uint64_t restart_ms; /* not running: when it is started again; 0: running */
	uint64_t started_ms;
	unsigned int crashes;
};

/* keeper_start() starts the keeper, which has no keys then. Returns 0 or -errno. */
int keeper_start(struct broker *broker);

/* keeper_give_channel() gives it its end of a handshaker's channel; the descriptor stays the caller's. */
void keeper_give_channel(struct broker *broker, int fd);

/* keeper_receive() takes what it says of keys. Returns false when it is gone. */
bool keeper_receive(struct broker *broker);

/* keeper_has_keys() is for a new one that has loaded all keys; keeper_has_no_keys() for one that cannot. */
void keeper_has_keys(struct broker *broker);
void keeper_has_no_keys(struct broker *broker, const char *reason);

/* keeper_died() is for its SIGCHLD. keeper_tick() starts it again, and ends one that hangs. */
void keeper_died(struct broker *broker, int status);
void keeper_tick(struct broker *broker);
void keeper_stop(struct broker *broker);

/* --- children (children.c) -------------------------------------------------------------------- */

struct handshaker {
	struct watch watch;
	struct broker *broker;
	pid_t pid;
	bool ready;
	unsigned int in_progress;
	unsigned int judging; /* chains that it was asked about */
	uint64_t restart_ms;  /* not running: when it is started again; 0: running */
	uint64_t started_ms, heard_ms;
	bool lies; /* nothing that it says counts any more */
	unsigned int crashes;
	LIST_HEAD(, session) sessions; /* being negotiated by it */
};

/* children_configure() gives every handshaker the catalogue, and starts those that are missing. */
int children_configure(struct broker *broker, int catalog_fd);

/* children_ready() tells whether handshakes can be made: there is a keeper and a handshaker. */
bool children_ready(const struct broker *broker);
void children_tick(struct broker *broker);
void children_stop(struct broker *broker);

/* children_reap() is for SIGCHLD. */
void children_reap(struct broker *broker);

/* children_cancel() ends a handshake for which nobody waits any more. */
void children_cancel(struct broker *broker, const struct session *session);

/*
 * children_handshake() gives a socket to the handshaker with the least to do. Returns 0: the descriptor is the
 * session's, or -errno.
 */
int children_handshake(struct broker *broker, struct session *session, int fd);

/* children_pair() makes a channel in which thousands of messages may wait. Returns 0 or -errno. */
int children_pair(int ret_fds[2]);

/* children_backoff() tells how many milliseconds a child waits for its restart. */
uint64_t children_backoff(unsigned int crashes);

/*
 * hear_message() takes one message of a handshaker (hear.c). Returns 1, 0: there is none now, or -1: there will
 * be none that makes sense.
 */
int hear_message(struct handshaker *handshaker);

/* --- beginnings (greeting.c) -------------------------------------------------------------------- */

/*
 * greeting_proxied() takes what a handshaker read of a PROXY header, and answers: the handshake may go on, or
 * it may not and the session is ended. Returns NULL, or why the handshaker is not to be believed.
 */
const char *greeting_proxied(struct broker *broker, struct session *session,
			     struct wire_reader reader, uint32_t id);

/*
 * greeting_connection() writes what a worker gets of a session: what the handshaker said, less what stays
 * here, and our own. Returns the length, or 0: it had no room. Wipe @buf, of WIRE_MAX bytes, afterwards.
 */
size_t greeting_connection(const struct broker *broker, const struct session *session,
			   struct wire_reader reader, uint8_t *buf);

#endif
