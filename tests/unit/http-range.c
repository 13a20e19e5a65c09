/* SPDX-License-Identifier: Apache-2.0 */
/* The small grammars of HTTP in `sluice serve`: byte ranges, dates, media types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>

#include "request.h"

static void check_part(const char *value, uint64_t size, uint64_t offset, uint64_t len)
{
	uint64_t got_offset, got_len;

	assert_int_equal(range_parse(value, size, &got_offset, &got_len), RANGE_PART);
	assert_int_equal(got_offset, offset);
	assert_int_equal(got_len, len);
}

static void check_other(const char *value, uint64_t size, enum range_result result)
{
	uint64_t offset = 7, len = 8;

	assert_int_equal(range_parse(value, size, &offset, &len), result);
	assert_int_equal(offset, 7);
	assert_int_equal(len, 8);
}

static void single_ranges_give_a_part(void **state)
{
	check_part("bytes=0-0", 10, 0, 1);
	check_part("bytes=0-9", 10, 0, 10);
	check_part("bytes=3-", 10, 3, 7);
	check_part("bytes=9-", 10, 9, 1);
	check_part("bytes=5-99999", 10, 5, 5);
	check_part("Bytes=5-6", 10, 5, 2);
	check_part("bytes=-3", 10, 7, 3);
	check_part("bytes=-10", 10, 0, 10);
	check_part("bytes=-11", 10, 0, 10);
	check_part("bytes=0-999999999999999999", 1, 0, 1);
}

static void ranges_outside_the_file_cannot_be_satisfied(void **state)
{
	check_other("bytes=10-", 10, RANGE_UNSATISFIABLE);
	check_other("bytes=10-20", 10, RANGE_UNSATISFIABLE);
	check_other("bytes=-0", 10, RANGE_UNSATISFIABLE);
	check_other("bytes=0-", 0, RANGE_UNSATISFIABLE);
	check_other("bytes=-1", 0, RANGE_UNSATISFIABLE);
}

static void what_is_no_single_range_gives_the_whole(void **state)
{
	static const char *const values[] = {
		"",           "bytes",
		"bytes=",     "bytes=-",
		"bytes=a-",   "bytes=1",
		"bytes=5-4",  "bytes=1-2,3-4",
		"bytes= 1-2", "bytes=1-2 ",
		"bytes=--1",  "lines=1-2",
		"bytes=1--2", "bytes=9999999999999999999-",
	};
	size_t i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		check_other(values[i], 10, RANGE_WHOLE);
}

static void dates_are_written_in_the_one_form_and_read_in_three(void **state)
{
	char text[HTTP_DATE_LEN];
	time_t when = 0;

	http_date(784111777, text);
	assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
	http_date(INT64_MAX, text); /* no calendar has it */
	assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
	assert_true(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT", &when));
	assert_int_equal(when, 784111777);
	when = 0;
	assert_true(http_date_parse("Sunday, 06-Nov-94 08:49:37 GMT", &when));
	assert_int_equal(when, 784111777);
	when = 0;
	assert_true(http_date_parse("Sun Nov  6 08:49:37 1994", &when));
	assert_int_equal(when, 784111777);
	assert_false(http_date_parse("", &when));
	assert_false(http_date_parse("1994-11-06", &when));
	assert_false(http_date_parse("Sun, 06 Nov 1994 08:49:37 GMT+1", &when));
}

static void media_types_follow_the_extension_of_the_last_segment(void **state)
{
	assert_string_equal(mime_type("/a.html"), "text/html; charset=utf-8");
	assert_string_equal(mime_type("/a.tar.GZ"), "application/gzip");
	assert_string_equal(mime_type("/a.html/b"), "application/octet-stream");
	assert_string_equal(mime_type("/a."), "application/octet-stream");
	assert_string_equal(mime_type("a"), "application/octet-stream");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_ranges_give_a_part),
		cmocka_unit_test(ranges_outside_the_file_cannot_be_satisfied),
		cmocka_unit_test(what_is_no_single_range_gives_the_whole),
		cmocka_unit_test(dates_are_written_in_the_one_form_and_read_in_three),
		cmocka_unit_test(media_types_follow_the_extension_of_the_last_segment),
	};

	return cmocka_run_group_tests_name("unit/http-range", tests, NULL, NULL);
}
