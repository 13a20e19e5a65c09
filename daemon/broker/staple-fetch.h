/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP responses that the daemon fetches for its own certificates (key ocsp_fetch): one for each certificate,
 * whoever has it, through reloads. The broker reads its own certificates, for the responder's URL and the
 * request; what the responder answers sluice-crls parses.
 */
#ifndef SLUICED_BROKER_STAPLE_FETCH_H
#define SLUICED_BROKER_STAPLE_FETCH_H

#include "broker/fetch.h"
#include "handover/wire.h"

#define STAPLE_DIGEST_LEN 32 /* SHA-256 of the certificate */

/* struct fetched - the response of one certificate. */
struct fetched {
	TAILQ_ENTRY(fetched) all, in_queue;
	uint8_t digest[STAPLE_DIGEST_LEN];
	uint64_t generation;    /* of the set of certificates that it is of */
	struct fetch_item item; /* url NULL: it cannot be fetched, problem says why */
	char problem[FETCH_MAX_WHY];
	uint8_t *certs; /* attributes: the certificate and its issuer's */
	size_t certs_len;
	uint8_t *der; /* the last response that was good; NULL: none */
	size_t der_len;
	int64_t this_s, next_s; /* of it */
	int fd;                 /* what came and is to be checked; -1: nothing */
};
TAILQ_HEAD(fetched_list, fetched);

struct staples {
	void *tree; /* tsearch(3), by digest */
	struct fetched_list all, queue;
	struct fetched *checked; /* what sluice-crls has; NULL: nothing */
	struct watch channel;    /* to it */
	pid_t pid;
	uint32_t id;
	uint64_t asked_ms;
};

/* enum staple_state - what a certificate has. */
enum staple_state { STAPLE_NONE, STAPLE_GOOD, STAPLE_STALE, STAPLE_STATES };

void staples_open(struct broker *broker);
void staples_close(struct broker *broker);
void staples_tick(struct broker *broker);

/*
 * staples_put() adds the response to an entry of the catalogue that has its certificates and CAs already, and has
 * it fetched from then on. @path names the certificate in the log.
 */
void staples_put(struct broker *broker, const char *path, struct wire *wire);

/* staples_sweep() forgets those of certificates that are not in force any more. */
void staples_sweep(struct broker *broker);

/* staples_find() finds that of a certificate in DER; NULL: it is not fetched. */
const struct fetched *staples_find(const struct broker *broker, const uint8_t *der, size_t len);
enum staple_state staple_state(const struct fetched *fetched);
const char *staple_state_name(enum staple_state state);

#endif
