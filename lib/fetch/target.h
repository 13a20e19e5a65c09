/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The URLs that are fetched, and what is known of each: a CRL, or how long it is left alone. A table with
 * two bounds, number and bytes; who has not been asked for longest goes first. Its users have a lock.
 */
#ifndef SLUICE_FETCH_TARGET_H
#define SLUICE_FETCH_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "crl/crl.h"
#include "fetch/child.h"

#define FETCH_MAX_TARGETS 256
#define FETCH_MAX_BYTES (64u << 20) /* of all CRLs, in DER */

enum target_state {
	TARGET_IDLE,
	TARGET_QUEUED, /* to be asked for */
	TARGET_FLYING,
};

/* Whether the CRL that was got last is evidence: a handshake finds out, by the issuer's key. */
enum target_proof {
	PROOF_NONE,    /* nobody has looked */
	PROOF_OFFERED, /* it was looked up */
	PROOF_BAD,     /* and still no key has verified it */
	PROOF_GOOD,
};

struct fetch_target {
	char url[FETCH_MAX_URL + 1];
	enum target_state state;
	uint32_t id;           /* of the request */
	uint64_t overdue_us;   /* it should have been answered */
	unsigned int attempts; /* of this request, before a process was lost */
	unsigned int waiters;  /* threads that hold a pointer to it */
	uint64_t used;         /* when it was asked for last, in the table's own count */

	/*
	 * The CRL that was got last, and the one before it as long as nobody has seen the last one's
	 * signature verified: what is not evidence must not take the place of what was.
	 */
	struct sluice_crl *crl, *previous;
	size_t len, previous_len;
	enum target_proof proof;
	bool wanted; /* it was looked up since it was fetched last: worth a refresh */
	char etag[FETCH_MAX_TAG], modified[FETCH_MAX_TAG];

	int64_t refresh_s;     /* of the day: when to look for a newer one */
	unsigned int failures; /* in a row */
	uint64_t retry_us;     /* monotonic: not before */
	enum fetch_reason reason;
};

struct fetch_targets {
	struct fetch_target *targets[FETCH_MAX_TARGETS];
	size_t n, bytes;
	uint64_t uses;
	uint32_t next_id;
};

/* target_get() finds or makes the one of @url. NULL: no memory, or all places are in use. */
struct fetch_target *target_get(struct fetch_targets *targets, const char *url);
struct fetch_target *target_find(const struct fetch_targets *targets, uint32_t id);

/* target_has() tells whether it has a CRL that is not past its next update. */
bool target_has(const struct fetch_target *target);

/*
 * target_want() is asked before a look-up: queues the URL if there is no CRL, or a newer one is due, or
 * the last one was no evidence. Returns whether something was queued.
 */
bool target_want(struct fetch_target *target);

/* target_add_found() adds what is known. 0, SLUICE_CRL_NOT_AVAILABLE, or -SLUICE_E_*. */
int target_add_found(struct fetch_target *target, struct sluice_crl_found *found);

/* target_due() queues what is due by itself: a refresh of a CRL that is in use. */
bool target_due(struct fetch_target *target);

/* target_asked() says that the request of a queued one has gone to a process. */
void target_asked(struct fetch_targets *targets, struct fetch_target *target, unsigned int wait_ms);

/* How it ended: a CRL (taken over), the same CRL as before, or why not. */
void target_took(struct fetch_targets *targets, struct fetch_target *target, struct sluice_crl *crl,
		 size_t len, const struct fetch_answer *answer);
void target_confirmed(struct fetch_target *target);
void target_failed(struct fetch_target *target, enum fetch_reason reason);

/* target_lost() says that its process is gone: once it is asked for again. */
void target_lost(struct fetch_target *target);

void targets_clear(struct fetch_targets *targets);

#endif
