/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the handshaker share: one process, one thread, so one of everything. */
#ifndef SLUICED_HANDSHAKER_HANDSHAKER_H
#define SLUICED_HANDSHAKER_HANDSHAKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/catalog.h"
#include "common/crl-cache.h"
#include "common/loop.h"
#include "common/permit.h"
#include "common/proxy.h"
#include "conn/conn.h"
#include "handover/wire.h"

#define MAX_HANDSHAKES 16384

/* What a connection waits for before its handshake. */
enum greeting {
	GREETING_HEADER, /* a PROXY header */
	GREETING_ANSWER, /* the broker's, whether who it names may */
	GREETING_BYTE,   /* the first, which shows whether it is TLS */
	GREETING_DONE,
};

/* struct session - a handshake, or the end of one that failed. */
struct session {
	struct watch watch;
	struct sluice_conn *conn;
	struct sluice_profile *profile; /* of the listener */
	struct catalog *catalog;
	uint64_t id;
	uint32_t slot;
	size_t profile_index;
	enum greeting greeting;
	uint8_t expects;             /* enum expects */
	struct proxy *proxy;         /* until the header is whole */
	uint64_t since_ms, hello_ms; /* when it came; when its hello must be here */
	bool chosen;                 /* the host is known */
	bool failed;                 /* told to the broker; only the end is left */
	bool waiting;                /* for the keeper's answer to @request */
	bool traced;
	bool deciding; /* the decision service is asked about the peer */
	uint32_t request;
	uint8_t permit[PERMIT_LEN];
	enum sluice_role role;
	char *host;                   /* whom a client means; NULL: nobody said */
	struct sluice_options *extra; /* over the profile's, for this connection; NULL: none */
	uint64_t since_us;            /* when it began to wait */
	uint64_t queue_us, network_us, sign_us, decision_us;
	uint64_t bad_certs, warn_bad_certs; /* accepted; POLICY_BIT() */
};

struct handshaker {
	struct loop loop;
	struct watch broker, keeper;
	struct sluice *sluice;
	struct catalog *catalog;
	struct signer signer;
	struct crl_cache crls; /* where all profiles look revocation up */
	struct session *sessions[MAX_HANDSHAKES];
	uint32_t free_slots[MAX_HANDSHAKES];
	uint32_t n_free, n_sessions;
	uint32_t last_request;
	uint64_t told_ms; /* when the broker heard of us last */
	uint8_t *buf;     /* WIRE_MAX bytes; secret memory */
};

extern struct handshaker self;

/* --- sessions and the broker (handshaker.c) --------------------------------------------------- */

/* send_to_broker() sends and wipes what is in self.buf. */
void send_to_broker(const struct wire *wire);

/* tell_failure() sends MSG_FAILED; @text is for where no connection object knows better. */
void tell_failure(struct session *session, int code, const char *text);

/* session_free() frees all but the socket. */
void session_free(struct session *session);

/* session_adapt() lays what was asked for a session over a profile; owns @profile. NULL: no memory. */
struct sluice_profile *session_adapt(const struct session *session, struct sluice_profile *profile);

/* session_fail() tells the broker and ends the connection. session_go_on() is for what the flow said. */
void session_fail(struct session *session, int code);
void session_go_on(struct session *session, int r);

/* session_dispatch() runs its flow on. */
void session_dispatch(struct session *session);

/* --- the keeper (sign.c) ----------------------------------------------------------------------- */

/* keeper_ask() is the signer of all profiles; keeper_ready() takes answers. */
bool keeper_ask(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		size_t in_len);
void keeper_ready(struct watch *watch, uint32_t events);

/*
 * keeper_lose() is for a keeper that is gone: what it was asked is lost; the broker starts a new one and
 * sends a channel to it (MSG_CHANNEL).
 */
void keeper_lose(void);

/* --- another look at a peer's chain (judge.c) -------------------------------------------------- */

/* judge_take() answers a MSG_JUDGE. judge_put_chain() tells the broker a chain, if there is room. */
void judge_take(uint32_t id, struct wire_reader *reader);
void judge_put_chain(struct wire *wire, const STACK_OF(CRYPTO_BUFFER) * chain);

/* --- where the time goes (times.c) ------------------------------------------------------------ */

/* times_begin() is for a new session: until now it has waited for us. */
void times_begin(struct session *session, uint64_t accepted_us);

/* times_pause() is for when a session begins to wait, and times_resume() for when it does not any more. */
void times_pause(struct session *session);
void times_resume(struct session *session);
void times_put(const struct session *session, struct wire *wire);

/* --- judging peers (policy.c, question.c) ------------------------------------------------------ */

struct policy;

/*
 * policy_verify() is the verify_fun of profiles with a policy, which is *@state. Without @conn it is another
 * look at a chain, for which nobody is asked.
 */
int policy_verify(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		  int *reason);

/* policy_decided() is for MSG_DECIDED. */
void policy_decided(uint32_t slot, struct wire_reader *reader);

/* question_prepare() does what opens files, before the process may not any more. False: no memory. */
bool question_prepare(void);

/* question_send() asks the broker about the peer whose certificate @event has. False: it could not be. */
bool question_send(const struct session *session, const struct policy *policy,
		   const struct sluice_verify_event *event);

/* --- before the handshake (greeting.c) -------------------------------------------------------- */

/* greeting_begin() is for a new session, which has its socket and owns it. */
void greeting_begin(struct session *session);

/* greeting_go_on() is for when its socket can be read. */
void greeting_go_on(struct session *session);

/* greeting_answered() is for MSG_GO_ON. greeting_end() ends a session that has no connection object. */
void greeting_answered(uint32_t slot, struct wire_reader *reader);
void greeting_end(struct session *session);

/* greeting_is_late() ends a session whose hello did not come in time. */
void greeting_is_late(struct session *session);

#endif
