/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions whose peer has shown a certificate, verified again: the broker keeps the chains as bytes, and
 * handshakers judge them, a few at a time, by the profile that is in force now. One recheck at a time.
 */
#ifndef SLUICED_BROKER_RECHECK_H
#define SLUICED_BROKER_RECHECK_H

#include "broker/admin.h"
#include "broker/broker.h"

/* --- chains (chains.c) -------------------------------------------------------------------------- */

/* struct chain - what peers of a profile showed: shared by all sessions that have the same. */
struct chain {
	LIST_ENTRY(chain) in_bucket;
	unsigned int refs;
	uint32_t len;
	uint8_t id[32];   /* SHA-256 of the profile's name and the chain */
	char profile[65]; /* its name: a reload may have it elsewhere */
	uint8_t attrs[];  /* ATTR_PEER_CHAIN, as they go into MSG_JUDGE */
};

#define CHAIN_BUCKETS 4096

struct chains {
	LIST_HEAD(, chain) buckets[CHAIN_BUCKETS];
	size_t n, bytes;
	bool full; /* it was told that there was no room */
};

/* --- one run (recheck.c) ---------------------------------------------------------------------------- */

/* struct judge - a session that is to be judged, or is being. */
struct judge {
	TAILQ_ENTRY(judge) all;
	uint64_t session;
	uint32_t id;
	const struct handshaker *handshaker; /* NULL: nobody has it */
	uint64_t sent_ms;
	unsigned int tries;
};
TAILQ_HEAD(judge_list, judge);

struct recheck_counts {
	uint64_t good, bad, closed, not_kept, unknown;
};

struct recheck {
	bool running, again; /* again: CRLs have changed meanwhile */
	bool dry_run;
	struct admin_client *client; /* NULL: the log is told */
	struct filter filter;
	uint64_t id;    /* of one session; 0: all that fit */
	size_t at;      /* in the table of sessions */
	uint64_t total; /* sessions at the beginning */
	uint64_t told_ms;
	struct judge_list todo, sent;
	size_t n_sent;
	uint32_t last_id;
	struct recheck_counts counts;
};

/* recheck_begin() starts one. Returns 0 or -EBUSY. */
int recheck_begin(struct broker *broker, const struct admin_request *request,
		  struct admin_client *client);

/* recheck_forget() is for the end of a client: its recheck ends, and closes nothing more. */
void recheck_forget(struct broker *broker, const struct admin_client *client);

/* --- telling (admin-recheck.c) -------------------------------------------------------------------- */

/* admin_recheck_row() tells of a session; @why may have words of the peer's. */
void admin_recheck_row(struct admin_client *client, const struct session *session,
		       const char *result, const char *why);
void admin_recheck_progress(struct admin_client *client, uint64_t done, uint64_t total);
void admin_rechecked(struct admin_client *client, const struct asked *asked);
bool admin_recheck(struct admin_client *client);

#endif
