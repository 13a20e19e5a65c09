/* SPDX-License-Identifier: Apache-2.0 */
/* Histograms of times, and the text of OpenMetrics that they and numbers become. */
#include "common/openmetrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define FAMILY "sluiced_x"

static void expect(struct openmetrics *out, const char *text)
{
	assert_false(out->failed);
	assert_int_equal(out->len, strlen(text));
	assert_memory_equal(out->text, text, out->len);
	free(out->text);
	*out = (struct openmetrics){ NULL };
}

static void times_fall_into_their_buckets(void **state)
{
	struct histogram histogram = { { 0 } };

	assert_int_equal(histogram_quantile(&histogram, 50), 0);
	histogram_add(&histogram, 0);
	histogram_add(&histogram, 125);
	histogram_add(&histogram, 126);
	histogram_add(&histogram, 16384000);
	histogram_add(&histogram, 16384001);
	assert_int_equal(histogram.buckets[0], 2);
	assert_int_equal(histogram.buckets[1], 1);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS - 1], 1);
	assert_int_equal(histogram.buckets[HISTOGRAM_BUCKETS], 1);
	assert_int_equal(histogram.count, 5);
	assert_int_equal(histogram.sum_us, 32768252);
	assert_int_equal(histogram_quantile(&histogram, 40), 125);
	assert_int_equal(histogram_quantile(&histogram, 50), 250);
	assert_int_equal(histogram_quantile(&histogram, 80), 16384000);
	assert_true(histogram_quantile(&histogram, 81) == UINT64_MAX);
}

static void families_have_type_unit_and_help(void **state)
{
	struct openmetrics out = { NULL };

	openmetrics_family(&out, FAMILY, METRIC_COUNTER, "", "What \"x\" is:\na \\.");
	expect(&out, "# TYPE sluiced_x counter\n"
		     "# HELP sluiced_x What \\\"x\\\" is:\\na \\\\.\n");
	openmetrics_family(&out, "sluiced_x_seconds", METRIC_HISTOGRAM, "seconds", "Time.");
	expect(&out, "# TYPE sluiced_x_seconds histogram\n# UNIT sluiced_x_seconds seconds\n"
		     "# HELP sluiced_x_seconds Time.\n");
}

static void samples_are_named_by_their_type(void **state)
{
	struct openmetrics out = { NULL };

	openmetrics_number(&out, FAMILY, METRIC_COUNTER, NULL, 0, UINT64_MAX);
	expect(&out, "sluiced_x_total 18446744073709551615\n");
	openmetrics_number(&out, FAMILY, METRIC_GAUGE, NULL, 0, 0);
	expect(&out, "sluiced_x 0\n");
	openmetrics_number(&out, FAMILY, METRIC_INFO, &(struct metric_label){ "version", "1" }, 1,
			   1);
	expect(&out, "sluiced_x_info{version=\"1\"} 1\n");
}

static void label_values_cannot_end_early(void **state)
{
	const struct metric_label labels[] = { { "a", "\"} 1\nsluiced_forged 2\n" },
					       { "b", "\\" },
					       { "c", "\xc3\xa4" } };
	struct openmetrics out = { NULL };

	openmetrics_number(&out, FAMILY, METRIC_GAUGE, labels, 3, 7);
	expect(&out,
	       "sluiced_x{a=\"\\\"} 1\\nsluiced_forged 2\\n\",b=\"\\\\\",c=\"\xc3\xa4\"} 7\n");
}

static void histograms_are_cumulative_and_exact(void **state)
{
	struct metric_label label = { "stage", "sign" };
	struct histogram histogram = { { 0 } };
	struct openmetrics out = { NULL };
	const char *line;
	int lines = 0;

	histogram_add(&histogram, 1);
	histogram_add(&histogram, 1500);
	histogram_add(&histogram, 20000000);
	openmetrics_histogram(&out, FAMILY, &label, 1, &histogram);
	assert_true(openmetrics_end(&out));
	out.text[out.len - 1] = '\0';
	for (line = out.text; (line = strchr(line, '\n')); line++)
		lines++;
	assert_int_equal(lines, HISTOGRAM_BUCKETS + 3);
	assert_ptr_equal(strstr(out.text, "sluiced_x_bucket{stage=\"sign\",le=\"0.000125\"} 1\n"),
			 out.text);
	assert_non_null(strstr(out.text, "{stage=\"sign\",le=\"0.001\"} 1\n"));
	assert_non_null(strstr(out.text, "{stage=\"sign\",le=\"0.002\"} 2\n"));
	assert_non_null(strstr(out.text, "{stage=\"sign\",le=\"16.384\"} 2\n"));
	assert_non_null(strstr(out.text, "{stage=\"sign\",le=\"+Inf\"} 3\n"));
	assert_non_null(strstr(out.text, "sluiced_x_count{stage=\"sign\"} 3\n"));
	assert_non_null(strstr(out.text, "sluiced_x_sum{stage=\"sign\"} 20.001501\n# EOF"));
	free(out.text);
}

static void an_answer_is_bounded(void **state)
{
	struct openmetrics out = { NULL };
	unsigned int i;

	for (i = 0; i < OPENMETRICS_MAX && !out.failed; i++)
		openmetrics_number(&out, FAMILY, METRIC_GAUGE, NULL, 0, i);
	assert_true(out.failed);
	assert_true(out.len <= OPENMETRICS_MAX);
	assert_false(openmetrics_end(&out));
	free(out.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_fall_into_their_buckets),
		cmocka_unit_test(families_have_type_unit_and_help),
		cmocka_unit_test(samples_are_named_by_their_type),
		cmocka_unit_test(label_values_cannot_end_early),
		cmocka_unit_test(histograms_are_cumulative_and_exact),
		cmocka_unit_test(an_answer_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
