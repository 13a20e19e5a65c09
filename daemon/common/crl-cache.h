/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of revocation lists as a cache of the library (sluice/crl.h). CRLs are made of the set in place, and
 * when one is asked for first: of one with an index only what is not its entries. One thread.
 */
#ifndef SLUICED_COMMON_CRL_CACHE_H
#define SLUICED_COMMON_CRL_CACHE_H

#include "common/crl-set.h"

/* struct crl_cache - the database handle of crl_cache_ops. It stays where it is; its set is exchanged. */
struct crl_cache {
	struct crl_set set;
	struct sluice_crl **made; /* of each row; NULL: not asked for yet */
};

/*
 * crl_cache_take() exchanges the set; @fd stays the caller's. On failure the one before stays. What is known
 * of the signatures of CRLs that both have goes on to be known. Errors: those of crl_set_open().
 */
int crl_cache_take(struct crl_cache *cache, int fd);
void crl_cache_clear(struct crl_cache *cache);

extern const struct sluice_crl_cache_ops crl_cache_ops;

#endif
