// SPDX-License-Identifier: Apache-2.0
#include "fetch/when.h"

/* From half to nine tenths of the way; the ends of a hostile CRL may be years 0 and 9999. */
static int64_t between(int64_t from_s, int64_t to_s, uint32_t random)
{
	int64_t part = 500 + random % 401;

	return from_s + (to_s - from_s) / 1000 * part + (to_s - from_s) % 1000 * part / 1000;
}

int64_t fetch_refresh_at(int64_t this_s, int64_t next_s, int64_t now_s, uint32_t random)
{
	int64_t at;

	if (next_s < 0)
		return now_s + FETCH_NO_UPDATE_S;
	at = between(this_s, next_s, random);
	if (at < now_s + FETCH_LEAST_S)
		at = between(now_s, next_s, random);
	if (at < now_s + FETCH_LEAST_S)
		at = now_s + FETCH_LEAST_S;
	return at > now_s + FETCH_MOST_S ? now_s + FETCH_MOST_S : at;
}

unsigned int fetch_backoff_s(unsigned int failures)
{
	unsigned int s = FETCH_LEAST_S;

	while (--failures && s < FETCH_BACKOFF_S)
		s *= 2;
	return s < FETCH_BACKOFF_S ? s : FETCH_BACKOFF_S;
}
