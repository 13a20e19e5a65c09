/* SPDX-License-Identifier: Apache-2.0 */
/* Many time-outs, few of which ever fire: a hashed wheel. Loop thread only. */
#ifndef TOOLS_SERVE_TIMER_H
#define TOOLS_SERVE_TIMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMER_SLOTS 256
#define TIMER_TICK_MS 32 /* a time-out of a connection may be this late */

struct timer {
	struct timer *prev, *next; /* NULL: not set */
	uint64_t due_ms;
	void (*fire)(struct timer *timer);
};

struct timers {
	struct timer slots[TIMER_SLOTS]; /* heads of rings */
	uint64_t used[TIMER_SLOTS / 64]; /* bit: the slot may hold a timer */
	uint64_t tick;                   /* the last one that was run */
};

void timers_init(struct timers *timers, uint64_t now_ms);

/* timer_set() lets @timer fire at @due_ms at the earliest, instead of whenever it was set to. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms);

/* timer_stop() takes @timer out. It may be not set. */
void timer_stop(struct timer *timer);

bool timer_is_set(const struct timer *timer);

/*
 * timers_run() fires what is due, each timer once; a timer is not set while it fires, and may set,
 * stop or free itself and others.
 */
void timers_run(struct timers *timers, uint64_t now_ms);

/* timers_wait_ms() returns how long nothing can be due, or -1 when no timer is set. */
int timers_wait_ms(struct timers *timers, uint64_t now_ms);

#endif
