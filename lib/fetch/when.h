/* SPDX-License-Identifier: Apache-2.0 */
/* When a CRL is fetched again. Nothing here asks a clock. */
#ifndef SLUICE_FETCH_WHEN_H
#define SLUICE_FETCH_WHEN_H

#include <stdint.h>

#define FETCH_LEAST_S 60      /* between two fetches of one URL */
#define FETCH_MOST_S 86400    /* until it is looked whether there is a newer one */
#define FETCH_BACKOFF_S 3600  /* at most, after failures */
#define FETCH_NO_UPDATE_S 600 /* of a CRL that does not say when the next one comes */

/*
 * fetch_refresh_at() says when a CRL of @this_s to @next_s (-1: it does not say), which was got at @now_s,
 * is fetched again: between half and nine tenths of its life, so that it is there before it is needed;
 * where that is past, of the life it has left. @random picks the place, so that those who fetched
 * at once do not come back at once.
 */
int64_t fetch_refresh_at(int64_t this_s, int64_t next_s, int64_t now_s, uint32_t random);

/* fetch_backoff_s() says how long a URL is left alone after @failures in a row, 1 or more. */
unsigned int fetch_backoff_s(unsigned int failures);

#endif
