/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is fetched by HTTP: sluice-fetch as a child, and when which URL is asked for. Whoever wants a URL
 * keeps a struct fetch_item of it; the broker passes bodies on as descriptors and parses none.
 */
#ifndef SLUICED_BROKER_FETCH_H
#define SLUICED_BROKER_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/loop.h"
#include "fetch/child.h"

struct broker;

/* At once, as many as sluice-fetch has under way: others would wait there while their time runs. */
#define FETCH_MAX_ASKED 8
#define FETCH_MAX_WHY 160

enum fetch_for { FETCH_FOR_CRL, FETCH_FOR_OCSP, FETCH_FORS };

/* struct fetch_item - a URL that is fetched again and again. */
struct fetch_item {
	TAILQ_ENTRY(fetch_item) all;
	enum fetch_for what;
	char *url;
	char *whom;    /* the certificate that it is for, in the log; NULL: the URL says enough */
	uint8_t *body; /* of a POST; NULL: a GET */
	size_t body_len, max_len;
	/*
	 * taken() gets what came, whose descriptor is its own, or -1: what it has is still so. It says what
	 * came of that by fetch_item_good() or fetch_item_bad(), then or later.
	 */
	void (*taken)(struct broker *broker, struct fetch_item *item, int fd);

	char etag[FETCH_MAX_TAG], modified[FETCH_MAX_TAG];
	uint32_t id;           /* of the request under way; 0: none */
	uint64_t asked_ms;     /* when it was sent */
	uint64_t again_ms;     /* not before */
	bool again;            /* it was under way when all were to be fetched: once more */
	bool held;             /* taken() has not been answered */
	bool lost;             /* its process ended under it: once it is asked for again */
	int64_t fetched_s;     /* of the day: when it was good last; 0: never */
	int64_t refresh_s;     /* of the day: when it is asked for again */
	unsigned int failures; /* in a row; then retry_ms counts instead */
	uint64_t retry_ms;
	char why[FETCH_MAX_WHY]; /* what was wrong last; "": nothing */
};

TAILQ_HEAD(fetch_items, fetch_item);

struct fetch {
	struct watch watch;
	pid_t pid; /* of sluice-fetch; 0: it does not run */
	bool wanted;
	char *hosts;         /* that it was started with */
	uint64_t restart_ms; /* 0: it runs, or is not wanted */
	uint64_t started_ms, looked_ms;
	unsigned int n_crashes;
	uint32_t last_id;
	struct fetch_items items;
	struct fetch_item *asked[FETCH_MAX_ASKED]; /* NULL: a place that is free */
	uint64_t crashes;                          /* that were counted */
	uint64_t good[FETCH_FORS], bad[FETCH_FORS], failing[FETCH_FORS];
};

/* fetch_open() prepares; fetch_start() starts the process where the configuration wants it: 0 or -errno. */
void fetch_open(struct broker *broker);
int fetch_start(struct broker *broker);
void fetch_close(struct broker *broker);
void fetch_tick(struct broker *broker);

/* fetch_died() is for its SIGCHLD. */
void fetch_died(struct broker *broker, int status);

/*
 * fetch_reloaded() is for a new configuration: other hosts are another process. What failed is tried again at
 * once, with @all everything is.
 */
void fetch_reloaded(struct broker *broker, bool all);

/* fetch_item_add() begins: it is asked for at the next tick. fetch_item_drop() ends, and frees what is in it. */
void fetch_item_add(struct broker *broker, struct fetch_item *item);
void fetch_item_drop(struct broker *broker, struct fetch_item *item);

/*
 * fetch_item_good() says that what came counts, from @this_s to @next_s (-1: it does not say).
 * fetch_item_bad() says why it does not; what is known of it is forgotten.
 */
void fetch_item_good(struct broker *broker, struct fetch_item *item, int64_t this_s,
		     int64_t next_s);
void fetch_item_bad(struct broker *broker, struct fetch_item *item, const char *why);

/* fetch_item_next() tells when it is asked for again, in seconds of the epoch; 0: now. */
int64_t fetch_item_next(const struct broker *broker, const struct fetch_item *item);

const char *fetch_for_name(enum fetch_for what);

#endif
