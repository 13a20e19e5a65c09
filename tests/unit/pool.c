/* SPDX-License-Identifier: Apache-2.0 */
/* The pool of threads: who goes first, how much may wait, and what is dropped. */
#include "core/pool.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>
#include <sluice/error.h>

#include "core/sys.h"
#include "support/fault.h"

#define WAIT_S 20
#define SECOND_US 1000000ull

/* struct task - a job that tells when it begins, and ends when it may. */
struct task {
	struct pool_job job;
	sem_t *begun, *go; /* NULL: it does not wait */
	atomic_uint *clock;
	unsigned int when; /* in the order of all */
	atomic_uint *freed;
};

static void run(struct pool_job *job)
{
	struct task *task = (struct task *)job;

	task->when = atomic_fetch_add(task->clock, 1) + 1;
	if (!task->go)
		return;
	sem_post(task->begun);
	while (sem_wait(task->go))
		;
}

static void count_free(struct pool_job *job)
{
	atomic_fetch_add(((struct task *)job)->freed, 1);
}

/* struct shop - a pool and what its tasks share. */
struct shop {
	struct pool *pool;
	sem_t begun, go;
	atomic_uint clock, freed;
};

static void shop_open(struct shop *shop, unsigned int n_threads)
{
	*shop = (struct shop){ .pool = pool_new() };
	assert_non_null(shop->pool);
	assert_int_equal(sem_init(&shop->begun, 0, 0), 0);
	assert_int_equal(sem_init(&shop->go, 0, 0), 0);
	assert_int_equal(pool_set_threads(shop->pool, n_threads), 0);
}

static struct task make(struct shop *shop, bool is_long, bool waits)
{
	return (struct task){
		.job = { .run = run, .free = count_free, .owner = shop, .is_long = is_long },
		.begun = &shop->begun,
		.go = waits ? &shop->go : NULL,
		.clock = &shop->clock,
		.freed = &shop->freed,
	};
}

static void submit(struct shop *shop, struct task *task)
{
	assert_int_equal(pool_submit(shop->pool, &task->job), 0);
}

static bool comes(sem_t *sem)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += WAIT_S;
	return !sem_timedwait(sem, &until);
}

static void wait_for(struct shop *shop, struct task *task)
{
	assert_int_equal(pool_wait(shop->pool, &task->job, sys->now_us() + WAIT_S * SECOND_US), 0);
	assert_true(pool_is_done(shop->pool, &task->job));
}

/* --- order --------------------------------------------------------------------------------- */

/* However many long ones there are, one thread is left, and serves whoever is short. */
static void long_jobs_leave_a_thread(void **state)
{
	struct task longs[8], shorts[8];
	struct shop shop;
	size_t i;

	shop_open(&shop, 4);
	for (i = 0; i < 8; i++) {
		longs[i] = make(&shop, true, true);
		submit(&shop, &longs[i]);
	}
	for (i = 0; i < 3; i++)
		assert_true(comes(&shop.begun));
	for (i = 0; i < 8; i++) {
		shorts[i] = make(&shop, false, false);
		submit(&shop, &shorts[i]);
		wait_for(&shop, &shorts[i]);
	}
	assert_int_equal(sem_trywait(&shop.begun), -1);
	for (i = 0; i < 8; i++)
		sem_post(&shop.go);
	for (i = 0; i < 8; i++) {
		wait_for(&shop, &longs[i]);
		pool_drop(shop.pool, &longs[i].job);
		pool_drop(shop.pool, &shorts[i].job);
	}
	pool_free(shop.pool);
	assert_int_equal(atomic_load(&shop.freed), 16);
}

/* A single thread takes the short ones first, and yet gets to the long ones. */
static void short_jobs_go_first_and_long_ones_go_on(void **state)
{
	struct task first, slow, quick[20];
	struct shop shop;
	size_t i;

	shop_open(&shop, 1);
	first = make(&shop, false, true);
	submit(&shop, &first);
	assert_true(comes(&shop.begun));
	slow = make(&shop, true, false);
	submit(&shop, &slow);
	for (i = 0; i < 20; i++) {
		quick[i] = make(&shop, false, false);
		submit(&shop, &quick[i]);
	}
	sem_post(&shop.go);
	for (i = 0; i < 20; i++)
		wait_for(&shop, &quick[i]);
	wait_for(&shop, &slow);
	assert_in_range(slow.when, 4, 12);
	for (i = 1; i < 20; i++)
		assert_true(quick[i].when > quick[i - 1].when);
	for (i = 0; i < 20; i++)
		pool_drop(shop.pool, &quick[i].job);
	pool_drop(shop.pool, &slow.job);
	pool_drop(shop.pool, &first.job);
	pool_free(shop.pool);
}

/* --- limits -------------------------------------------------------------------------------- */

static void each_queue_has_a_limit(void **state)
{
	static struct task tasks[POOL_MAX_LONG + 2];
	struct task quick;
	struct shop shop;
	size_t i;

	shop_open(&shop, 1);
	tasks[0] = make(&shop, true, true);
	submit(&shop, &tasks[0]);
	assert_true(comes(&shop.begun));
	for (i = 1; i <= POOL_MAX_LONG; i++) {
		tasks[i] = make(&shop, true, false);
		submit(&shop, &tasks[i]);
	}
	tasks[i] = make(&shop, true, false);
	assert_int_equal(pool_submit(shop.pool, &tasks[i].job), -SLUICE_E_BUSY);
	/* Whoever is short finds room, and a place is free as soon as one is dropped. */
	quick = make(&shop, false, false);
	submit(&shop, &quick);
	pool_drop(shop.pool, &tasks[i - 1].job);
	assert_int_equal(atomic_load(&shop.freed), 1);
	submit(&shop, &tasks[i]);
	sem_post(&shop.go);
	wait_for(&shop, &quick);
	pool_drop(shop.pool, &quick.job);
	for (i = 0; i < POOL_MAX_LONG + 2; i++) {
		if (i == POOL_MAX_LONG)
			continue;
		wait_for(&shop, &tasks[i]);
		pool_drop(shop.pool, &tasks[i].job);
	}
	pool_free(shop.pool);
	assert_int_equal(atomic_load(&shop.freed), POOL_MAX_LONG + 3);
}

/* --- ends ---------------------------------------------------------------------------------- */

static void a_dropped_job_ends_into_nowhere(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct task running, queued;
	struct shop shop;

	shop_open(&shop, 1);
	pfd.fd = pool_fd(shop.pool);
	assert_true(pfd.fd >= 0 && pool_has_fd(shop.pool));
	running = make(&shop, false, true);
	queued = make(&shop, false, false);
	submit(&shop, &running);
	assert_true(comes(&shop.begun));
	submit(&shop, &queued);
	pool_drop(shop.pool, &queued.job);
	assert_int_equal(atomic_load(&shop.freed), 1);
	pool_drop(shop.pool, &running.job);
	assert_int_equal(atomic_load(&shop.freed), 1);
	sem_post(&shop.go);
	pool_free(shop.pool);
	assert_int_equal(atomic_load(&shop.freed), 2);
	assert_int_equal(queued.when, 0);
}

static void owners_are_told_once_each(void **state)
{
	struct pollfd pfd = { .events = POLLIN };
	struct task tasks[3];
	struct shop shop;
	size_t i;

	shop_open(&shop, 2);
	pfd.fd = pool_fd(shop.pool);
	for (i = 0; i < 3; i++) {
		tasks[i] = make(&shop, false, false);
		tasks[i].job.owner = &tasks[i];
		submit(&shop, &tasks[i]);
	}
	while (!pool_is_done(shop.pool, &tasks[0].job) || !pool_is_done(shop.pool, &tasks[1].job) ||
	       !pool_is_done(shop.pool, &tasks[2].job))
		;
	assert_int_equal(poll(&pfd, 1, 0), 1);
	pool_drop(shop.pool, &tasks[1].job);
	assert_int_equal(poll(&pfd, 1, 0), 1);
	for (i = 0; i < 2; i++)
		assert_ptr_not_equal(pool_ready(shop.pool), &tasks[1]);
	assert_null(pool_ready(shop.pool));
	assert_int_equal(poll(&pfd, 1, 0), 0);
	pool_drop(shop.pool, &tasks[0].job);
	pool_drop(shop.pool, &tasks[2].job);
	pool_free(shop.pool);
}

static void waiting_ends_with_its_time(void **state)
{
	struct task task;
	struct shop shop;

	shop_open(&shop, 1);
	task = make(&shop, false, true);
	submit(&shop, &task);
	assert_true(comes(&shop.begun));
	assert_int_equal(pool_wait(shop.pool, &task.job, sys->now_us() + 1000), -SLUICE_E_TIMEOUT);
	sem_post(&shop.go);
	wait_for(&shop, &task);
	pool_drop(shop.pool, &task.job);
	pool_free(shop.pool);
}

static void without_threads_the_caller_does_it(void **state)
{
	struct task task;
	struct shop shop;

	shop_open(&shop, 0);
	task = make(&shop, false, false);
	assert_int_equal(pool_submit(shop.pool, &task.job), -SLUICE_E_MISSING_DEP);
	pool_try(shop.pool, &task.job);
	assert_true(pool_is_done(shop.pool, &task.job));
	assert_int_equal(task.when, 1);
	pool_drop(shop.pool, &task.job);
	assert_int_equal(pool_set_threads(shop.pool, POOL_MAX_THREADS + 1), -SLUICE_E_INVALID);
	pool_free(shop.pool);
	assert_null(pool_free(NULL));
}

/* Fewer than wanted are enough; with none at all nobody waits for ever. */
static void threads_that_cannot_be_had(void **state)
{
	struct task tasks[2];
	struct shop shop;

	fault_install();
	shop_open(&shop, 2);
	fault_arm_from("pthread_create", 1, EAGAIN);
	tasks[0] = make(&shop, false, true);
	assert_int_equal(pool_submit(shop.pool, &tasks[0].job), -SLUICE_E_MISSING_DEP);
	fault_reset();
	fault_arm_from("pthread_create", 2, EAGAIN);
	submit(&shop, &tasks[0]);
	assert_true(comes(&shop.begun));
	tasks[1] = make(&shop, false, false);
	submit(&shop, &tasks[1]);
	assert_int_equal(fault_hits("pthread_create"), 1);
	sem_post(&shop.go);
	wait_for(&shop, &tasks[1]);
	pool_drop(shop.pool, &tasks[0].job);
	pool_drop(shop.pool, &tasks[1].job);
	pool_free(shop.pool);
	fault_uninstall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_jobs_leave_a_thread),
		cmocka_unit_test(short_jobs_go_first_and_long_ones_go_on),
		cmocka_unit_test(each_queue_has_a_limit),
		cmocka_unit_test(a_dropped_job_ends_into_nowhere),
		cmocka_unit_test(owners_are_told_once_each),
		cmocka_unit_test(waiting_ends_with_its_time),
		cmocka_unit_test(without_threads_the_caller_does_it),
		cmocka_unit_test(threads_that_cannot_be_had),
	};

	return cmocka_run_group_tests_name("unit/pool", tests, NULL, NULL);
}
