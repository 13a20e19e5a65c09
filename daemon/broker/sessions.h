/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sessions, from accept to the end, and who follows one of them. */
#ifndef SLUICED_BROKER_SESSIONS_H
#define SLUICED_BROKER_SESSIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "broker/decide.h"
#include "broker/end.h"
#include "handover/wire.h"
#include "record/traffic.h"

struct ask;
struct broker;
struct diag_socket;
struct chain;
struct handshaker;
struct trace;
struct upgrade;
struct worker;

/* --- sessions (sessions.c) -------------------------------------------------------------------- */

enum session_state {
	SESSION_HANDSHAKE,
	SESSION_QUEUED,  /* established; no worker has room */
	SESSION_OFFERED, /* on its way to a worker, not acknowledged */
	SESSION_LIVE,
};

/* struct proxied - what a PROXY header says of a connection; IPv4: mapped. */
struct proxied {
	struct sockaddr_in6 source, destination;
};

/* struct session_times - where the time went: microseconds, more than an hour told as one. */
struct session_times {
	uint32_t queue;    /* from accept to a handshaker's start */
	uint32_t network;  /* of the handshake: waiting for the peer */
	uint32_t sign;     /* ... for the keeper; 0: nothing was signed */
	uint32_t verify;   /* judging the peer's chain; 0: there was none */
	uint32_t decision; /* ... and for the decision service; 0: it was not asked */
	uint32_t total;    /* from accept to its being established */
	uint32_t handover; /* from there to the worker's acknowledgement; 0: there was none */
};

struct session {
	LIST_ENTRY(session) by_id, by_cookie;
	LIST_ENTRY(session) of_owner; /* of its handshaker or worker */
	TAILQ_ENTRY(session) in_pool; /* QUEUED */
	uint64_t id, cookie;
	enum session_state state;
	uint8_t role;                    /* enum sluice_role: ours */
	bool has_peer;                   /* @peer_sha256 is one */
	bool restored;                   /* its last keys may be one step ahead of ours */
	struct sockaddr_in6 local, peer; /* of the socket; IPv4: mapped */
	struct proxied *proxied;         /* NULL: the socket's addresses are those of the ends */
	uint16_t listener, pool;
	uint16_t plain_pool; /* EXPECTS_PLAIN */
	uint8_t expects;     /* enum expects: what may come still */
	bool counted;        /* among the handshakes of its source */
	struct handshaker *handshaker;
	struct worker *worker;
	struct upgrade *upgrade; /* brought by a program that waits for the answer; else NULL */
	uint64_t accepted_ms, queued_ms;
	uint64_t accepted_us, established_us; /* 0: before this broker, not yet */
	uint16_t version, suite, group;
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	bool resumed, peer_verified, can_rekey;
	bool plain; /* no TLS */
	bool ended; /* before its MSG_ACK, which comes another way */
	bool taken; /* by a worker: in metrics.live */
	/* of a handshake that failed */
	bool has_alert, alert_sent;
	uint8_t alert, stage;
	unsigned int seen; /* in which poll of the kernel's list */
	uint32_t handshake_us;
	struct session_times times;
	uint32_t rx_epoch, tx_epoch;     /* as often keys changed, as far as is known */
	uint32_t rx_records, tx_records; /* of the last epoch, as its worker told at the end */
	char *sni, *alpn, *identity;     /* of a client @sni is whom it meant */
	uint8_t peer_sha256[32];
	uint64_t bad_certs; /* what is wrong with the peer's path, and accepted; POLICY_BIT() */
	uint64_t warn_bad_certs;   /* of these, those that the policy logs */
	struct question *question; /* asked about the peer now; NULL: nothing */
	struct decided decided;    /* the answer */
	bool asked;                /* there was a question */
	uint32_t slot;             /* in the memory that outlives the broker, +1; 0: none */
	int fd;                    /* until it is acknowledged, as @message */
	uint32_t crls;             /* generation of the set that its handshaker had at the start */
	struct traffic *rx, *tx;   /* the next keys come from these, until memory_keep() has them */
	uint64_t rx_bytes, tx_bytes; /* as the worker or the kernel told last */
	uint8_t *message;
	uint32_t message_len;
	struct chain *chain; /* that its peer showed, for a recheck; NULL: none is kept */
	struct ask *ask;     /* what its worker is asked; NULL: nothing */
	struct trace *trace; /* NULL: nobody follows it */
};

#define SESSION_BUCKETS 16384

struct sessions {
	LIST_HEAD(, session) by_id[SESSION_BUCKETS];
	LIST_HEAD(, session) by_cookie[SESSION_BUCKETS];
	uint64_t last_id;
	size_t n;
};

/* session_source() is the peer, and session_destination() whom it connected to, as far as we are told. */
static inline const struct sockaddr_in6 *session_source(const struct session *session)
{
	return session->proxied ? &session->proxied->source : &session->peer;
}

static inline const struct sockaddr_in6 *session_destination(const struct session *session)
{
	return session->proxied ? &session->proxied->destination : &session->local;
}

/* session_payer() returns whose share a session's handshake is of: its source's, or a user's. */
struct sockaddr_in6 session_payer(const struct session *session);

/* session_enter() counts it among the handshakes of its source, as source_enter(); session_leave() ends that. */
enum end session_enter(struct broker *broker, struct session *session);
void session_leave(struct broker *broker, struct session *session);

struct session *session_new(struct broker *broker);
struct session *session_find(struct broker *broker, uint64_t id);
struct session *session_find_cookie(struct broker *broker, uint64_t cookie);
void session_set_cookie(struct broker *broker, struct session *session, uint64_t cookie);

/*
 * session_find_socket() asks the kernel for the socket of a session, session_destroy_socket() has it end
 * the socket. Errors: those of diag_find() and diag_destroy(), -EOPNOTSUPP without diag or cookie.
 */
int session_find_socket(struct broker *broker, const struct session *session,
			struct diag_socket *ret_socket);
int session_destroy_socket(struct broker *broker, const struct session *session);

/* session_restored() makes one that a worker has since before this broker was started. */
struct session *session_restored(struct broker *broker, uint64_t id, uint64_t cookie);

/* session_established() reads what the handshaker tells. Returns false for what is no such message. */
bool session_established(struct session *session, struct wire_reader reader);

/* session_take_sni() keeps the name that the peer asked for; false: no memory. */
bool session_take_sni(struct session *session, const struct attr *attr);

/* session_take_time() reads where the time went. Returns false for what is another attribute. */
bool session_take_time(struct session *session, const struct attr *attr);

/* session_settled() frees what only an unacknowledged session needs, its descriptor included. */
void session_settled(struct broker *broker, struct session *session);

/*
 * session_end() logs the end, counts it and frees all. session_end_of() is for END_ERROR and END_TOLD:
 * @code is that of the library's error, @text what is known besides.
 */
void session_end(struct broker *broker, struct session *session, enum end end);
void session_end_of(struct broker *broker, struct session *session, enum end end, int code,
		    const char *text);

/* session_log_end() writes the line of a session that ends (session-log.c). */
void session_log_end(const struct broker *broker, const struct session *session, enum end end,
		     int code, const char *text);

/* session_since() tells what has passed since a time of sys->now_us(), at most an hour. */
uint32_t session_since(uint64_t then_us);

/* --- following sessions (trace.c) ------------------------------------------------------------- */

/*
 * trace_begin() is for a new session: whether anybody follows it is decided here, and costs nothing
 * afterwards. trace_add() is for one that is there already. Without memory it is not followed.
 */
void trace_begin(struct broker *broker, struct session *session);
void trace_add(struct broker *broker, struct session *session);

/* What happens to a session; all return at once where session->trace is NULL. */
void trace_given(struct broker *broker, struct session *session);
void trace_told(struct broker *broker, struct session *session, struct wire_reader reader);
void trace_failed(struct broker *broker, struct session *session, int alert, bool sent);
void trace_established(struct broker *broker, struct session *session);
void trace_state(struct broker *broker, struct session *session, const char *event);
void trace_rekey(struct broker *broker, struct session *session, bool receiving, uint64_t epoch);
void trace_ended(struct broker *broker, struct session *session, const char *reason);

#endif
