/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting without time: a clock that stands still, and a poll(2) that moves it to the end of the
 * wait when nothing is ready, or lets the test make something happen in the middle of it. Called by
 * flow tests; what would wait for ever ends the test.
 */
#ifndef SLUICE_TESTS_SUPPORT_WAITS_H
#define SLUICE_TESTS_SUPPORT_WAITS_H

#include <cmocka.h>

#include "core/sys.h"
#include "support/fault.h"
#include "support/tcp.h"

static struct {
	unsigned int n;     /* calls since waits_install() or waits_until() */
	int first_ms;       /* the time-out of the first of them */
	uint64_t passed_us; /* how far the clock has moved */
	uint64_t now_us;
	void (*event)(void *arg);
	void *arg;
	struct sys_ops table;
} waits;

static uint64_t waits_now_us(void)
{
	return waits.now_us;
}

static inline void waits_advance(unsigned int ms)
{
	waits.now_us += 1000 * (uint64_t)ms;
	waits.passed_us += 1000 * (uint64_t)ms;
}

static int waits_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	void (*event)(void *arg);
	int n, i;

	if (waits.n++ == 0)
		waits.first_ms = timeout_ms;
	n = sys_real.poll(fds, n_fds, 0);
	if (n != 0 || timeout_ms == 0)
		return n;
	if (waits.event) {
		for (i = 0; n == 0 && i < TCP_WAIT_MS; i++) {
			event = waits.event;
			waits.event = NULL;
			if (event)
				event(waits.arg);
			n = sys_real.poll(fds, n_fds, 1);
		}
		return n;
	}
	assert_true(timeout_ms > 0);
	waits_advance((unsigned int)timeout_ms);
	return 0;
}

/*
 * waits_until() makes the next wait call @event, which must end it. NULL: nothing happens. An event
 * may put another in its place (waits.event).
 */
static inline void waits_until(void (*event)(void *arg), void *arg)
{
	waits.event = event;
	waits.arg = arg;
	waits.n = 0;
	waits.first_ms = 0;
	waits.passed_us = 0;
}

static inline void waits_install(void)
{
	fault_install();
	waits.table = fault_sys;
	waits.table.poll = waits_poll;
	waits.table.now_us = waits_now_us;
	waits.now_us = sys_real.now_us();
	sys = &waits.table;
	waits_until(NULL, NULL);
}

static inline void waits_uninstall(void)
{
	fault_uninstall();
}

#endif
