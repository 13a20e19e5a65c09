/* SPDX-License-Identifier: Apache-2.0 */
/* The histogram of `sluice bench`, its error bound, and when an open loop's operations are due. */
#include "bench/hist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MS 1000000ull

static struct hist hist, other;

static int reset(void **state)
{
	memset(&hist, 0, sizeof(hist));
	memset(&other, 0, sizeof(other));
	return 0;
}

static void buckets_lie_side_by_side_and_keep_the_bound(void **state)
{
	unsigned int i;

	for (i = 1; i < HIST_BUCKETS; i++) {
		uint64_t low = hist_bound(i - 1) + 1, high = hist_bound(i);

		assert_true(low <= high);
		assert_true(high - low <= low / HIST_SUB);
	}
	assert_true(hist_bound(HIST_BUCKETS - 1) == UINT64_MAX);
}

static void every_value_is_in_its_bucket(void **state)
{
	uint64_t value;
	unsigned int bit;
	int delta;

	for (bit = 0; bit < 64; bit++) {
		for (delta = -1; delta <= 1; delta++) {
			unsigned int i;

			value = (1ull << bit) + (uint64_t)(int64_t)delta;
			reset(NULL);
			hist_add(&hist, value);
			for (i = 0; !hist.buckets[i]; i++)
				;
			assert_true(value <= hist_bound(i));
			assert_true(i == 0 || value > hist_bound(i - 1));
			assert_true(hist_quantile(&hist, 50000) == value);
		}
	}
}

static void quantiles_are_within_the_bound(void **state)
{
	static const struct {
		uint64_t millis, exact;
	} wanted[] = { { 50000, 5000 }, { 90000, 9000 },   { 99000, 9900 },
		       { 99900, 9990 }, { 100000, 10000 }, { 0, 1 } };
	uint64_t i, got;

	assert_int_equal(hist_quantile(&hist, 50000), 0);
	for (i = 1; i <= 10000; i++)
		hist_add(&hist, i * 1000);
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		got = hist_quantile(&hist, wanted[i].millis);
		assert_true(got >= wanted[i].exact * 1000);
		assert_true(got <= wanted[i].exact * 1000 * (HIST_SUB + 1) / HIST_SUB);
	}
	assert_int_equal(hist.min, 1000);
	assert_int_equal(hist.max, 10000000);
	assert_int_equal(hist.sum, 10000ull * 10001 / 2 * 1000);
}

static void merged_is_as_if_added_to_one(void **state)
{
	struct hist *both = calloc(1, sizeof(*both));
	uint64_t i;

	assert_non_null(both);
	for (i = 1; i < 5000; i++) {
		hist_add(i % 3 ? &hist : &other, i * i);
		hist_add(both, i * i);
	}
	hist_merge(&hist, &other);
	assert_memory_equal(&hist, both, sizeof(hist));
	memset(&other, 0, sizeof(other));
	hist_merge(&hist, &other); /* an empty one has no minimum */
	assert_memory_equal(&hist, both, sizeof(hist));
	free(both);
}

static void a_schedule_has_no_drift(void **state)
{
	assert_int_equal(schedule_due(7, 1000, 0), 7);
	assert_int_equal(schedule_due(7, 1000, 1), 7 + MS);
	assert_int_equal(schedule_due(0, 3, 1), 333333333);
	assert_int_equal(schedule_due(0, 3, 3), 1000 * MS);
	assert_int_equal(schedule_due(0, 3, 3000000), 1000000 * 1000 * MS);
	/* Ten years at ten million a second. */
	assert_int_equal(schedule_due(0, 10000000, 10000000ull * 315360000),
			 315360000ull * 1000 * MS);
}

/*
 * A server that takes 1 ms stalls for a second, at 100 operations a second on one connection. From
 * their own starts one operation of a thousand was slow; from the intended ones a tenth waited.
 */
static void a_stall_shows_from_the_intended_starts(void **state)
{
	uint64_t k, now = 0;

	for (k = 0; k < 1000; k++) {
		uint64_t due = schedule_due(0, 100, k), started = now > due ? now : due;

		now = started + (k == 500 ? 1000 * MS : MS);
		hist_add(&hist, now - due);
		hist_add(&other, now - started);
	}
	assert_true(hist_quantile(&other, 99000) <= MS * (HIST_SUB + 1) / HIST_SUB);
	assert_true(hist_quantile(&hist, 99000) >= 880 * MS);
	assert_true(hist_quantile(&hist, 92000) >= 200 * MS);
	assert_int_equal(hist.max, 1000 * MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(buckets_lie_side_by_side_and_keep_the_bound, reset),
		cmocka_unit_test_setup(every_value_is_in_its_bucket, reset),
		cmocka_unit_test_setup(quantiles_are_within_the_bound, reset),
		cmocka_unit_test_setup(merged_is_as_if_added_to_one, reset),
		cmocka_unit_test_setup(a_schedule_has_no_drift, reset),
		cmocka_unit_test_setup(a_stall_shows_from_the_intended_starts, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
