/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The hashed timer wheel of one event loop: setting and stopping cost O(1), which is what idle
 * time-outs of many connections do all day. A timer further away than one turn of the wheel is
 * looked at once per turn and stays.
 */
#include "timer.h"

static void ring_init(struct timer *head)
{
	head->prev = head;
	head->next = head;
}

static bool ring_empty(const struct timer *head)
{
	return head->next == head;
}

static void ring_add(struct timer *head, struct timer *timer)
{
	timer->next = head;
	timer->prev = head->prev;
	head->prev->next = timer;
	head->prev = timer;
}

static void ring_remove(struct timer *timer)
{
	timer->prev->next = timer->next;
	timer->next->prev = timer->prev;
	timer->prev = NULL;
	timer->next = NULL;
}

/* Moves everything from @from to the empty ring @to. */
static void ring_move(struct timer *to, struct timer *from)
{
	ring_init(to);
	if (ring_empty(from))
		return;
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	ring_init(from);
}

void timers_init(struct timers *timers, uint64_t now_ms)
{
	size_t i;

	for (i = 0; i < TIMER_SLOTS; i++)
		ring_init(&timers->slots[i]);
	for (i = 0; i < TIMER_SLOTS / 64; i++)
		timers->used[i] = 0;
	timers->tick = now_ms / TIMER_TICK_MS;
}

bool timer_is_set(const struct timer *timer)
{
	return timer->next != NULL;
}

void timer_stop(struct timer *timer)
{
	if (timer_is_set(timer))
		ring_remove(timer);
}

/* A timer's slot is that of the first tick at which it is due, and never one already run. */
static void insert(struct timers *timers, struct timer *timer)
{
	uint64_t tick = (timer->due_ms + TIMER_TICK_MS - 1) / TIMER_TICK_MS;
	size_t slot;

	if (tick <= timers->tick)
		tick = timers->tick + 1;
	slot = tick % TIMER_SLOTS;
	timers->used[slot / 64] |= UINT64_C(1) << (slot % 64);
	ring_add(&timers->slots[slot], timer);
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t due_ms)
{
	timer_stop(timer);
	timer->due_ms = due_ms;
	insert(timers, timer);
}

static void run_slot(struct timers *timers, size_t slot, uint64_t now_ms)
{
	struct timer due;

	timers->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
	/* What fires may change any ring: work on a ring of our own, from its head. */
	ring_move(&due, &timers->slots[slot]);
	while (!ring_empty(&due)) {
		struct timer *timer = due.next;

		ring_remove(timer);
		if (timer->due_ms <= now_ms)
			timer->fire(timer);
		else
			insert(timers, timer);
	}
}

void timers_run(struct timers *timers, uint64_t now_ms)
{
	uint64_t last = now_ms / TIMER_TICK_MS;

	/* After a long sleep every slot is looked at once, not once per missed turn. */
	if (last > timers->tick + TIMER_SLOTS)
		timers->tick = last - TIMER_SLOTS;
	while (timers->tick < last) {
		timers->tick++;
		run_slot(timers, timers->tick % TIMER_SLOTS, now_ms);
	}
}

int timers_wait_ms(struct timers *timers, uint64_t now_ms)
{
	uint64_t i;

	for (i = 1; i <= TIMER_SLOTS; i++) {
		uint64_t tick = timers->tick + i;
		size_t slot = tick % TIMER_SLOTS;

		if (!(timers->used[slot / 64] & (UINT64_C(1) << (slot % 64))))
			continue;
		if (ring_empty(&timers->slots[slot])) {
			timers->used[slot / 64] &= ~(UINT64_C(1) << (slot % 64));
			continue;
		}
		return tick * TIMER_TICK_MS > now_ms ? (int)(tick * TIMER_TICK_MS - now_ms) : 0;
	}
	return -1;
}
