/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verify_fun that keeps what it is told, and answers as it is told to. Included by flow programs; must
 * never accept an event that does not hold together.
 */
#ifndef SLUICE_TESTS_SUPPORT_TOLD_H
#define SLUICE_TESTS_SUPPORT_TOLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/pair.h"

#define TOLD_MAX 40
#define ANY (-1)

static struct {
	struct sluice_verify_event events[TOLD_MAX];
	char oids[TOLD_MAX][64];
	size_t n;
	int on_type, on_reason; /* what gets @answer; everything else is valid */
	int answer, reason;
	int first_state;
} told;

static inline int listen_to(struct sluice_conn *conn, const struct sluice_verify_event *event,
			    void **state, int *reason)
{
	size_t n = told.n++;

	assert_in_range(n, 0, TOLD_MAX - 1);
	/* What the call before has left; at first what was given with the option. */
	assert_ptr_equal(*state, n ? (void *)&told.events[n - 1] : (void *)&told.first_state);
	*state = &told.events[n];
	assert_int_equal(check_info(conn).stage, SLUICE_STAGE_VERIFY);
	assert_true(event->cert && event->cert_len > 100);
	assert_int_equal(*reason, event->reason ? event->reason : SLUICE_BAD_CERT_APPLICATION);
	told.events[n] = *event;
	if (event->oid)
		snprintf(told.oids[n], sizeof(told.oids[n]), "%s", event->oid);
	if (event->type != told.on_type ||
	    (told.on_reason != ANY && event->reason != told.on_reason))
		return SLUICE_VRET_VALID;
	if (told.reason)
		*reason = told.reason;
	return told.answer;
}

static inline void set_fun(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const enum sluice_role *who = arg;

	if (role == *who)
		assert_int_equal(
			sluice_options_set_verify_fun(opts, listen_to, &told.first_state, NULL), 0);
}

/* Opens a pair of which the end of @role listens; @answer is for events of @type. */
static inline void open_with(struct pair *pair, enum sluice_role role, struct pair_setup setup,
			     int type, int answer, int reason)
{
	static enum sluice_role who;

	memset(&told, 0, sizeof(told));
	told.on_type = type;
	told.on_reason = ANY;
	told.answer = answer;
	told.reason = reason;
	who = role;
	setup.set = set_fun;
	setup.arg = &who;
	pair_open(pair, &setup);
}

/* How often an event was raised; @reason ANY: for any. */
static inline size_t count(int type, int reason)
{
	size_t i, n = 0;

	for (i = 0; i < told.n && i < TOLD_MAX; i++)
		n += told.events[i].type == type &&
		     (reason == ANY || told.events[i].reason == reason);
	return n;
}

#endif
