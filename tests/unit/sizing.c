/* SPDX-License-Identifier: Apache-2.0 */
/* How large records are: the steps of a young connection, idleness, and the limit above both. */
#include "record/sizing.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "record/record.h"

/* Sends @len bytes as whoever asks before each send does. Returns the number of records. */
static size_t send_all(struct sizing *sizing, size_t len, uint64_t now)
{
	size_t records = 0;

	while (len) {
		size_t n = len;
		uint16_t size = sizing_next(sizing, now, &n);

		assert_in_range(n, 1, len);
		assert_in_range(size, 1, RECORD_MAX_PLAIN);
		records += (n + size - 1) / size;
		sizing_sent(sizing, n, now);
		len -= n;
	}
	return records;
}

static uint16_t next_size(struct sizing *sizing, uint64_t now)
{
	size_t len = 1 << 20;

	return sizing_next(sizing, now, &len);
}

static void a_fixed_size_stays(void **state)
{
	struct sizing sizing;
	size_t len = 1 << 20;

	sizing_start(&sizing, 5000, false);
	assert_int_equal(sizing_next(&sizing, 0, &len), 5000);
	assert_int_equal(len, 1 << 20);
	sizing_sent(&sizing, len, 0);
	assert_int_equal(next_size(&sizing, 0), 5000);
}

static void small_then_middle_then_full(void **state)
{
	struct sizing sizing;

	sizing_start(&sizing, RECORD_MAX_PLAIN, true);
	assert_int_equal(next_size(&sizing, 5), SIZING_SEGMENT);
	assert_int_equal(send_all(&sizing, SIZING_STEP * SIZING_SEGMENT, 5), SIZING_STEP);
	assert_int_equal(next_size(&sizing, 5), SIZING_MIDDLE);
	assert_int_equal(send_all(&sizing, SIZING_STEP * SIZING_MIDDLE, 5), SIZING_STEP);
	assert_int_equal(next_size(&sizing, 5), RECORD_MAX_PLAIN);
	assert_int_equal(send_all(&sizing, 1 << 20, 5), 64);
	/* All of it at once is cut where the size changes. */
	sizing_start(&sizing, RECORD_MAX_PLAIN, true);
	assert_int_equal(send_all(&sizing, SIZING_STEP * (SIZING_SEGMENT + SIZING_MIDDLE) + 1, 5),
			 2 * SIZING_STEP + 1);
}

/* A segment with a record of the first size in it is one segment on every common path. */
static void the_first_record_fits_a_segment(void **state)
{
	assert_in_range(RECORD_HEADER_LEN + SIZING_SEGMENT + 1 + 16, 1300, 1500 - 40 - 20 - 12);
}

static void idleness_begins_anew(void **state)
{
	struct sizing sizing;

	sizing_start(&sizing, RECORD_MAX_PLAIN, true);
	send_all(&sizing, 1 << 20, 1000);
	assert_int_equal(next_size(&sizing, 1000 + SIZING_IDLE_US - 1), RECORD_MAX_PLAIN);
	assert_int_equal(next_size(&sizing, 1000 + SIZING_IDLE_US), SIZING_SEGMENT);
	/* What is sent all the time is not idle, however long it takes. */
	sizing_start(&sizing, RECORD_MAX_PLAIN, true);
	for (uint64_t i = 0; i < 1000; i++)
		send_all(&sizing, 1000, i * (SIZING_IDLE_US - 1));
	assert_int_equal(next_size(&sizing, 1000 * (uint64_t)(SIZING_IDLE_US - 1)),
			 RECORD_MAX_PLAIN);
	/* A connection that has sent nothing is young, not idle. */
	sizing_start(&sizing, RECORD_MAX_PLAIN, true);
	assert_int_equal(next_size(&sizing, UINT64_MAX), SIZING_SEGMENT);
}

static void the_limit_is_above_all(void **state)
{
	struct sizing sizing;

	sizing_start(&sizing, 2000, true);
	assert_int_equal(next_size(&sizing, 1), SIZING_SEGMENT);
	send_all(&sizing, 1 << 20, 1);
	assert_int_equal(next_size(&sizing, 1), 2000);
	sizing_start(&sizing, 64, true);
	assert_int_equal(next_size(&sizing, 1), 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_fixed_size_stays),
		cmocka_unit_test(small_then_middle_then_full),
		cmocka_unit_test(the_first_record_fits_a_segment),
		cmocka_unit_test(idleness_begins_anew),
		cmocka_unit_test(the_limit_is_above_all),
	};

	return cmocka_run_group_tests_name("unit/sizing", tests, NULL, NULL);
}
