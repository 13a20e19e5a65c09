/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes OpenMetrics 1.0 text (github.com/OpenObservability/OpenMetrics). All samples of a family follow
 * it; whoever writes sees to it that none has the labels of another.
 */
#ifndef SLUICED_COMMON_OPENMETRICS_H
#define SLUICED_COMMON_OPENMETRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/histogram.h"

#define OPENMETRICS_MAX (4u << 20) /* bytes of an answer */

enum metric_type {
	METRIC_GAUGE,
	METRIC_COUNTER,
	METRIC_HISTOGRAM, /* of seconds */
	METRIC_INFO,      /* its labels are what it says */
};

/* struct metric_label - a value may have any bytes; it is escaped. */
struct metric_label {
	const char *name, *value;
};

/* struct openmetrics - a text that is being written; free() its text. */
struct openmetrics {
	char *text;
	size_t len, size;
	bool failed; /* no memory, or longer than OPENMETRICS_MAX */
};

/* openmetrics_family() begins a family; @unit "": none, else @name ends in it. */
void openmetrics_family(struct openmetrics *out, const char *name, enum metric_type type,
			const char *unit, const char *help);

/* openmetrics_number() writes a sample; _total and _info are added where the type has them. */
void openmetrics_number(struct openmetrics *out, const char *name, enum metric_type type,
			const struct metric_label *labels, size_t n_labels, uint64_t value);

void openmetrics_histogram(struct openmetrics *out, const char *name,
			   const struct metric_label *labels, size_t n_labels,
			   const struct histogram *histogram);

/* openmetrics_end() writes the end. Returns whether all of it is there. */
bool openmetrics_end(struct openmetrics *out);

#endif
