// SPDX-License-Identifier: Apache-2.0
#include "hist.h"

#define NS_PER_S 1000000000ull
#define ALL 100000u /* thousandths of a percent */

/* The values below HIST_SUB have a bucket each; above, the leading bit tells the power of two. */
static unsigned int bucket_of(uint64_t value)
{
	unsigned int shift;

	if (value < HIST_SUB)
		return (unsigned int)value;
	shift = 63 - (unsigned int)__builtin_clzll(value) - HIST_SUB_BITS;
	return (shift + 1) * HIST_SUB + (unsigned int)(value >> shift) - HIST_SUB;
}

uint64_t hist_bound(unsigned int i)
{
	unsigned int shift;

	if (i < HIST_SUB)
		return i;
	shift = i / HIST_SUB - 1;
	return ((uint64_t)(HIST_SUB + i % HIST_SUB) << shift) + ((1ull << shift) - 1);
}

void hist_add(struct hist *hist, uint64_t value)
{
	hist->buckets[bucket_of(value)]++;
	if (!hist->count || value < hist->min)
		hist->min = value;
	if (!hist->count || value > hist->max)
		hist->max = value;
	hist->count++;
	hist->sum += value;
}

void hist_merge(struct hist *hist, const struct hist *from)
{
	unsigned int i;

	if (!from->count)
		return;
	for (i = 0; i < HIST_BUCKETS; i++)
		hist->buckets[i] += from->buckets[i];
	if (!hist->count || from->min < hist->min)
		hist->min = from->min;
	if (!hist->count || from->max > hist->max)
		hist->max = from->max;
	hist->count += from->count;
	hist->sum += from->sum;
}

uint64_t hist_quantile(const struct hist *hist, uint64_t millis)
{
	uint64_t wanted = (hist->count * millis + ALL - 1) / ALL, seen = 0;
	unsigned int i;

	if (!hist->count)
		return 0;
	for (i = 0; i < HIST_BUCKETS - 1; i++) {
		seen += hist->buckets[i];
		if (seen && seen >= wanted)
			break;
	}
	return hist_bound(i) < hist->max ? hist_bound(i) : hist->max;
}

uint64_t schedule_due(uint64_t start, uint64_t rate, uint64_t k)
{
	return start + k / rate * NS_PER_S + k % rate * NS_PER_S / rate;
}
