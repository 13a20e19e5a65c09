/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of latencies, log-linear: every power of two is divided into HIST_SUB equal buckets, so
 * that a quantile is at most 1/HIST_SUB, 0.8 %, above the value that was recorded. Covers all of
 * uint64_t; nothing is clamped, and the smallest and the greatest value are exact.
 */
#ifndef TOOLS_BENCH_HIST_H
#define TOOLS_BENCH_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 7
#define HIST_SUB (1u << HIST_SUB_BITS)
#define HIST_BUCKETS ((64 - HIST_SUB_BITS + 1) * HIST_SUB)

struct hist {
	uint64_t buckets[HIST_BUCKETS];
	uint64_t count, sum, min, max; /* min and max: undefined while count is 0 */
};

/* hist_bound() returns the greatest value of bucket @i, which must be below HIST_BUCKETS. */
uint64_t hist_bound(unsigned int i);

void hist_add(struct hist *hist, uint64_t value);

/* hist_merge() adds everything of @from to @hist. */
void hist_merge(struct hist *hist, const struct hist *from);

/*
 * hist_quantile() returns a value that @millis thousandths of one percent of all values do not exceed
 * (99900: p99.9): the bound of its bucket, never more than the maximum. 0: there are no values.
 */
uint64_t hist_quantile(const struct hist *hist, uint64_t millis);

/*
 * schedule_due() returns when operation @k of an open loop is to start, in nanoseconds: @start plus
 * @k intervals of 1/@rate seconds. What is late moves nothing that comes after it.
 */
uint64_t schedule_due(uint64_t start, uint64_t rate, uint64_t k);

#endif
