/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted, and how it is told: by sluicectl and by sluice-metrics, from one table of families.
 * Every label is a name of the configuration or a word of a closed list; nothing in it is a peer's.
 */
#ifndef SLUICED_BROKER_METRICS_H
#define SLUICED_BROKER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include <sluice/error.h>

#include "broker/end.h"
#include "common/histogram.h"
#include "common/openmetrics.h"

struct broker;
struct session;

#define METRICS_ERRORS (SLUICE_E_INTERNAL + 1)
#define METRICS_SUITES 32
#define METRICS_PATHS 3 /* enum sluice_path */

enum metrics_direction { METRICS_RX, METRICS_TX, METRICS_DIRECTIONS };

/* enum metrics_pause - why accepting paused. */
enum metrics_pause { PAUSE_DESCRIPTORS, PAUSE_MEMORY, PAUSE_HANDSHAKERS, PAUSES };

/* struct ends_count - by why; those of END_ERROR by the error. */
struct ends_count {
	uint64_t ends[ENDS], errors[METRICS_ERRORS];
};

struct listener_counts {
	uint64_t accepted;
	struct ends_count refused, failed;
};

/* struct pool_counts - of a pool, or of a service: what programs brought is counted there. */
struct pool_counts {
	uint64_t live, brought;
	struct ends_count refused, failed, ended;
};

struct metrics {
	struct listener_counts *listeners; /* as in the configuration */
	struct pool_counts *pools;
	struct histogram queue, network, sign, verify, handover; /* of what was established */
	struct histogram total;
	uint64_t suites[METRICS_SUITES][2]; /* by suite_at(), full and resumed */
	uint64_t live[METRICS_DIRECTIONS][METRICS_PATHS];
	uint64_t rekeys[METRICS_DIRECTIONS], bytes[METRICS_DIRECTIONS];
	uint64_t pauses[PAUSES];
	uint64_t crashes; /* of sluice-metrics */
};

/* metrics_open() returns 0 or -SLUICE_E_NOMEM. */
int metrics_open(struct broker *broker);
void metrics_close(struct broker *broker);

void metrics_established(struct broker *broker, const struct session *session);
void metrics_handed_over(struct broker *broker, const struct session *session);

/* metrics_live() counts a session that a worker has; metrics_ended() any that ends. */
void metrics_live(struct broker *broker, struct session *session);
void metrics_ended(struct broker *broker, const struct session *session, enum end end, int code);

/* metrics_refused() tells how many connections were refused for @end, all together. */
uint64_t metrics_refused(const struct broker *broker, enum end end);

/* metrics_pause() counts that accepting pauses: @err is an errno. */
void metrics_pause(struct broker *broker, int err);

/* --- telling (metrics-tell.c) ----------------------------------------------------------------- */

struct family;

/* struct telling - to whom: called for every sample of a family. */
struct telling {
	void (*number)(struct telling *telling, const struct family *family,
		       const struct metric_label *labels, size_t n_labels, uint64_t value);
	void (*histogram)(struct telling *telling, const struct family *family,
			  const struct metric_label *labels, size_t n_labels,
			  const struct histogram *histogram);
};

/* enum family_of - what it has samples for: the daemon, or each listener or pool. */
enum family_of {
	OF_DAEMON,
	OF_LISTENER,
	OF_POOL, /* or service */
};

struct family {
	const char *name;
	enum metric_type type;
	const char *unit, *help;
	enum family_of of;
	void (*tell)(const struct broker *broker, size_t i, struct telling *telling,
		     const struct family *family);
};

/* family_at() returns family @i, or NULL at the end. family_items() tells for how many it is told. */
const struct family *family_at(size_t i);
size_t family_items(const struct broker *broker, const struct family *family);

/* metrics_write() writes all of it as OpenMetrics text. */
void metrics_write(const struct broker *broker, struct openmetrics *out);

#endif
