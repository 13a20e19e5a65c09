// SPDX-License-Identifier: Apache-2.0
#include "common/histogram.h"

#define FIRST_BOUND_US 125u

uint64_t histogram_bound(unsigned int bucket)
{
	return bucket < HISTOGRAM_BUCKETS ? (uint64_t)FIRST_BOUND_US << bucket : UINT64_MAX;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
	unsigned int i = 0;

	while (us > histogram_bound(i))
		i++;
	histogram->buckets[i]++;
	histogram->count++;
	histogram->sum_us += us;
}

uint64_t histogram_quantile(const struct histogram *histogram, unsigned int percent)
{
	uint64_t wanted = (histogram->count * percent + 99) / 100, seen = 0;
	unsigned int i;

	if (!histogram->count)
		return 0;
	for (i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		if (seen >= wanted)
			break;
	}
	return histogram_bound(i);
}
