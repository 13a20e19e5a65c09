// SPDX-License-Identifier: Apache-2.0
#include "common/openmetrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_SIZE 16384
#define SECONDS_LEN 32

static const struct {
	const char *name, *suffix;
} types[] = {
	[METRIC_GAUGE] = { "gauge", "" },
	[METRIC_COUNTER] = { "counter", "_total" },
	[METRIC_HISTOGRAM] = { "histogram", "" },
	[METRIC_INFO] = { "info", "_info" },
};

static void put(struct openmetrics *out, const char *bytes, size_t len)
{
	size_t size = out->size ? out->size : FIRST_SIZE;
	char *bigger;

	while (size < out->len + len)
		size *= 2;
	if (out->failed || out->len + len > OPENMETRICS_MAX) {
		out->failed = true;
		return;
	}
	if (size != out->size) {
		bigger = realloc(out->text, size);
		if (!bigger) {
			out->failed = true;
			return;
		}
		out->text = bigger;
		out->size = size;
	}
	memcpy(out->text + out->len, bytes, len);
	out->len += len;
}

static void put_text(struct openmetrics *out, const char *text)
{
	put(out, text, strlen(text));
}

/* ABNF of the specification: escaped-string, for label values and help. */
static void put_escaped(struct openmetrics *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			put(out, "\\n", 2);
		else if (*text == '"' || *text == '\\')
			put(out, (char[]){ '\\', *text }, 2);
		else
			put(out, text, 1);
	}
}

static void put_number(struct openmetrics *out, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, value);
	put_text(out, text);
}

/* Exact, and without what follows from a locale. */
static const char *seconds(char out[SECONDS_LEN], uint64_t us)
{
	char *end;

	snprintf(out, SECONDS_LEN, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
	for (end = out + strlen(out) - 1; *end == '0' && end[-1] != '.'; end--)
		*end = '\0';
	return out;
}

/* @le: one more label, of a bucket; NULL: none. */
static void put_labels(struct openmetrics *out, const struct metric_label *labels, size_t n_labels,
		       const char *le)
{
	size_t i;

	if (!n_labels && !le)
		return;
	put_text(out, "{");
	for (i = 0; i < n_labels; i++) {
		put_text(out, i ? "," : "");
		put_text(out, labels[i].name);
		put_text(out, "=\"");
		put_escaped(out, labels[i].value);
		put_text(out, "\"");
	}
	if (le) {
		put_text(out, n_labels ? ",le=\"" : "le=\"");
		put_text(out, le);
		put_text(out, "\"");
	}
	put_text(out, "}");
}

static void put_line(struct openmetrics *out, const char *what, const char *name, const char *text)
{
	put_text(out, what);
	put_text(out, name);
	put_text(out, " ");
	put_escaped(out, text);
	put_text(out, "\n");
}

void openmetrics_family(struct openmetrics *out, const char *name, enum metric_type type,
			const char *unit, const char *help)
{
	put_line(out, "# TYPE ", name, types[type].name);
	if (*unit)
		put_line(out, "# UNIT ", name, unit);
	put_line(out, "# HELP ", name, help);
}

void openmetrics_number(struct openmetrics *out, const char *name, enum metric_type type,
			const struct metric_label *labels, size_t n_labels, uint64_t value)
{
	put_text(out, name);
	put_text(out, types[type].suffix);
	put_labels(out, labels, n_labels, NULL);
	put_text(out, " ");
	put_number(out, value);
	put_text(out, "\n");
}

static void put_part(struct openmetrics *out, const char *name, const char *suffix,
		     const struct metric_label *labels, size_t n_labels, const char *le)
{
	put_text(out, name);
	put_text(out, suffix);
	put_labels(out, labels, n_labels, le);
	put_text(out, " ");
}

void openmetrics_histogram(struct openmetrics *out, const char *name,
			   const struct metric_label *labels, size_t n_labels,
			   const struct histogram *histogram)
{
	char text[SECONDS_LEN];
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; i <= HISTOGRAM_BUCKETS; i++) {
		n += histogram->buckets[i];
		put_part(out, name, "_bucket", labels, n_labels,
			 i < HISTOGRAM_BUCKETS ? seconds(text, histogram_bound(i)) : "+Inf");
		put_number(out, n);
		put_text(out, "\n");
	}
	put_part(out, name, "_count", labels, n_labels, NULL);
	put_number(out, histogram->count);
	put_text(out, "\n");
	put_part(out, name, "_sum", labels, n_labels, NULL);
	put_text(out, seconds(text, histogram->sum_us));
	put_text(out, "\n");
}

bool openmetrics_end(struct openmetrics *out)
{
	put_text(out, "# EOF\n");
	return !out->failed;
}
