/* SPDX-License-Identifier: Apache-2.0 */
/* A histogram of times: fixed buckets, each twice as wide as the one before it. */
#ifndef SLUICED_COMMON_HISTOGRAM_H
#define SLUICED_COMMON_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BUCKETS 18 /* of 125 us to 16.384 s; what is longer is counted behind them */

struct histogram {
	uint64_t buckets[HISTOGRAM_BUCKETS + 1]; /* not cumulative */
	uint64_t count, sum_us;
};

/* histogram_bound() returns the longest time of a bucket, in microseconds. */
uint64_t histogram_bound(unsigned int bucket);

void histogram_add(struct histogram *histogram, uint64_t us);

/*
 * histogram_quantile() returns the bound of the bucket in which @percent of all times are, or 0: there
 * are none. Of what is behind the last bucket it is UINT64_MAX.
 */
uint64_t histogram_quantile(const struct histogram *histogram, unsigned int percent);

#endif
