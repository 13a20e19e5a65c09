/* SPDX-License-Identifier: Apache-2.0 */
/* The timer wheel of `sluice serve`. */
#include "timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define START_MS 1000000
#define TURN_MS (TIMER_SLOTS * TIMER_TICK_MS)

struct probe {
	struct timer timer;
	struct timers *timers;
	unsigned int fired;
	uint64_t again_ms; /* not 0: set again when it fires */
	struct timer *stops;
};

static void fired(struct timer *timer)
{
	struct probe *probe = (struct probe *)timer;

	probe->fired++;
	if (probe->again_ms)
		timer_set(probe->timers, timer, probe->again_ms);
	if (probe->stops)
		timer_stop(probe->stops);
}

static void probe_init(struct probe *probe, struct timers *timers)
{
	memset(probe, 0, sizeof(*probe));
	probe->timer.fire = fired;
	probe->timers = timers;
}

static void a_timer_fires_once_never_early_and_at_most_a_tick_late(void **state)
{
	static const unsigned int delays[] = {
		0, 1, 31, 32, 33, 1000, TURN_MS - 1, TURN_MS, TURN_MS + 1, 5 * TURN_MS + 77,
	};
	struct timers timers;
	struct probe probe;
	size_t i;

	for (i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
		uint64_t now, due = START_MS + delays[i];

		timers_init(&timers, START_MS);
		probe_init(&probe, &timers);
		timer_set(&timers, &probe.timer, due);
		for (now = START_MS; !probe.fired; now++)
			timers_run(&timers, now);
		now--;
		assert_true(now >= due);
		assert_true(now <= due + TIMER_TICK_MS);
		assert_false(timer_is_set(&probe.timer));
		timers_run(&timers, now + 3 * TURN_MS);
		assert_int_equal(probe.fired, 1);
	}
}

static void a_timer_set_again_or_stopped_forgets_its_first_time(void **state)
{
	struct timers timers;
	struct probe probe;

	timers_init(&timers, START_MS);
	probe_init(&probe, &timers);
	timer_set(&timers, &probe.timer, START_MS + 100);
	timer_set(&timers, &probe.timer, START_MS + 1000);
	timers_run(&timers, START_MS + 500);
	assert_int_equal(probe.fired, 0);
	timer_stop(&probe.timer);
	timer_stop(&probe.timer);
	timers_run(&timers, START_MS + 5000);
	assert_int_equal(probe.fired, 0);
	assert_int_equal(timers_wait_ms(&timers, START_MS + 5000), -1);
}

static void timers_that_fire_may_set_and_stop(void **state)
{
	struct probe first, second;
	struct timers timers;

	timers_init(&timers, START_MS);
	probe_init(&first, &timers);
	probe_init(&second, &timers);
	first.again_ms = START_MS + 2 * TURN_MS;
	first.stops = &second.timer;
	timer_set(&timers, &first.timer, START_MS + 64);
	timer_set(&timers, &second.timer, START_MS + 64); /* the same slot, behind it */
	timers_run(&timers, START_MS + 200);
	assert_int_equal(first.fired, 1);
	assert_int_equal(second.fired, 0);
	first.again_ms = 0;
	timers_run(&timers, START_MS + TURN_MS);
	assert_int_equal(first.fired, 1);
	timers_run(&timers, START_MS + 2 * TURN_MS + TIMER_TICK_MS);
	assert_int_equal(first.fired, 2);
}

static void a_long_sleep_loses_no_timer(void **state)
{
	struct timers timers;
	struct probe probes[300];
	size_t i;

	timers_init(&timers, START_MS);
	for (i = 0; i < 300; i++) {
		probe_init(&probes[i], &timers);
		timer_set(&timers, &probes[i].timer, START_MS + i * 100);
	}
	timers_run(&timers, START_MS + 100 * TURN_MS);
	for (i = 0; i < 300; i++)
		assert_int_equal(probes[i].fired, 1);
}

static void the_wait_ends_when_the_next_timer_may_be_due(void **state)
{
	struct timers timers;
	struct probe probe;
	uint64_t now = START_MS;
	unsigned int wakes = 0;

	timers_init(&timers, now);
	assert_int_equal(timers_wait_ms(&timers, now), -1);
	probe_init(&probe, &timers);
	timer_set(&timers, &probe.timer, now + 10 * TURN_MS + 5);
	/* A loop that sleeps as it is told fires it, and wakes no more than once per turn. */
	while (!probe.fired) {
		int ms = timers_wait_ms(&timers, now);

		assert_in_range(ms, 0, TURN_MS);
		now += (uint64_t)ms;
		timers_run(&timers, now);
		wakes++;
	}
	assert_in_range(now, START_MS + 10 * TURN_MS + 5,
			START_MS + 10 * TURN_MS + 5 + TIMER_TICK_MS);
	assert_in_range(wakes, 1, 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_timer_fires_once_never_early_and_at_most_a_tick_late),
		cmocka_unit_test(a_timer_set_again_or_stopped_forgets_its_first_time),
		cmocka_unit_test(timers_that_fire_may_set_and_stop),
		cmocka_unit_test(a_long_sleep_loses_no_timer),
		cmocka_unit_test(the_wait_ends_when_the_next_timer_may_be_due),
	};

	return cmocka_run_group_tests_name("unit/timer", tests, NULL, NULL);
}
