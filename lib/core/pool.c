// SPDX-License-Identifier: Apache-2.0
/*
 * The pool of threads. One lock is around everything but the jobs themselves. Short jobs go before long
 * ones, and one thread is always left for them: whoever asks for expensive work does not hold up the
 * rest. A thread must never touch what a job does not own.
 *
 * Threads do not survive fork(2), and the lock may be held by one at that moment: in the child nothing of the
 * pool is touched, and jobs are refused.
 */
#include "core/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <sluice/error.h>

#include "core/sys.h"

#define DEFAULT_THREADS 4
#define LONG_TURN 8          /* of so many jobs, one is long where both wait */
#define WAIT_SLICE_US 500000 /* a test may have moved the clock meanwhile */

TAILQ_HEAD(job_list, pool_job);

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t work; /* there is a job, or an end */
	pthread_cond_t done; /* a job has been run */
	struct job_list shorts, longs, told;
	unsigned int n_shorts, n_longs; /* that wait */
	unsigned int n_long_running, n_idle, turn, n_waiters;
	unsigned int n_threads, max_threads;
	pthread_t threads[POOL_MAX_THREADS];
	_Atomic pid_t pid; /* whose the threads are; 0: there are none */
	bool stopping;
	int fd; /* -1: nobody asked for it */
};

/* --- the queues ------------------------------------------------------------------------------ */

static void enqueue(struct pool *pool, struct pool_job *job)
{
	job->state = POOL_JOB_QUEUED;
	if (job->is_long) {
		TAILQ_INSERT_TAIL(&pool->longs, job, link);
		pool->n_longs++;
	} else {
		TAILQ_INSERT_TAIL(&pool->shorts, job, link);
		pool->n_shorts++;
	}
}

static void dequeue(struct pool *pool, struct pool_job *job)
{
	if (job->is_long) {
		TAILQ_REMOVE(&pool->longs, job, link);
		pool->n_longs--;
	} else {
		TAILQ_REMOVE(&pool->shorts, job, link);
		pool->n_shorts--;
	}
}

/* Takes the next job that may run now, or NULL. */
static struct pool_job *take(struct pool *pool)
{
	unsigned int max_long = pool->max_threads > 1 ? pool->max_threads - 1 : 1;
	struct pool_job *job = TAILQ_FIRST(&pool->shorts);
	struct pool_job *slow = pool->n_long_running < max_long ? TAILQ_FIRST(&pool->longs) : NULL;

	if (slow && (!job || ++pool->turn % LONG_TURN == 0))
		job = slow;
	if (!job)
		return NULL;
	dequeue(pool, job);
	job->state = POOL_JOB_RUNNING;
	pool->n_long_running += job->is_long;
	return job;
}

/* --- what is done ---------------------------------------------------------------------------- */

/* An eventfd is full only after 2^64 - 2 jobs: neither call can fail. */
static void raise_fd(const struct pool *pool)
{
	uint64_t one = 1;

	while (sys->write(pool->fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void lower_fd(const struct pool *pool)
{
	uint64_t n;

	while (sys->read(pool->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
}

static void tell(struct pool *pool, struct pool_job *job)
{
	if (pool->fd < 0)
		return;
	if (TAILQ_EMPTY(&pool->told))
		raise_fd(pool);
	TAILQ_INSERT_TAIL(&pool->told, job, link);
	job->is_told = true;
}

static void untell(struct pool *pool, struct pool_job *job)
{
	if (!job->is_told)
		return;
	TAILQ_REMOVE(&pool->told, job, link);
	job->is_told = false;
	if (TAILQ_EMPTY(&pool->told))
		lower_fd(pool);
}

/* Returns the job if it is to be freed. */
static struct pool_job *end(struct pool *pool, struct pool_job *job)
{
	pool->n_long_running -= job->is_long;
	job->state = POOL_JOB_DONE;
	if (job->is_dropped)
		return job;
	tell(pool, job);
	if (pool->n_waiters)
		pthread_cond_broadcast(&pool->done);
	return NULL;
}

/* --- the threads ----------------------------------------------------------------------------- */

static void *serve(void *arg)
{
	struct pool *pool = arg;
	struct pool_job *job, *left;

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		job = take(pool);
		if (!job && pool->stopping)
			break;
		if (!job) {
			pool->n_idle++;
			pthread_cond_wait(&pool->work, &pool->lock);
			pool->n_idle--;
			continue;
		}
		pthread_mutex_unlock(&pool->lock);
		job->run(job);
		pthread_mutex_lock(&pool->lock);
		left = end(pool, job);
		if (left) {
			pthread_mutex_unlock(&pool->lock);
			left->free(left);
			pthread_mutex_lock(&pool->lock);
		}
	}
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/*
 * Signals of the program are for its own threads. What a thread does to itself by a fault is not held
 * off: blocked, it would end the process past the program's handler.
 */
static void block_signals(sigset_t *ret_before)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT };
	sigset_t set;
	size_t i;

	sigfillset(&set);
	for (i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	pthread_sigmask(SIG_BLOCK, &set, ret_before);
}

/* Starts one more thread where none is idle. False: there is none at all. */
static bool have_thread(struct pool *pool)
{
	sigset_t before;
	int err;

	if (pool->n_threads == pool->max_threads || pool->n_idle > pool->n_shorts + pool->n_longs)
		return pool->n_threads > 0;
	block_signals(&before);
	err = sys->pthread_create(&pool->threads[pool->n_threads], NULL, serve, pool);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!err) {
		pool->n_threads++;
		pool->pid = getpid();
	}
	return pool->n_threads > 0;
}

/* False: in a child, whose parent has the threads. */
static bool is_ours(const struct pool *pool)
{
	return !pool->pid || pool->pid == getpid();
}

/* --- jobs ------------------------------------------------------------------------------------ */

int pool_submit(struct pool *pool, struct pool_job *job)
{
	int r = 0;

	if (!is_ours(pool))
		return -SLUICE_E_MISSING_DEP;
	pthread_mutex_lock(&pool->lock);
	if (job->is_long ? pool->n_longs >= POOL_MAX_LONG : pool->n_shorts >= POOL_MAX_SHORT) {
		r = -SLUICE_E_BUSY;
	} else if (!have_thread(pool)) {
		r = -SLUICE_E_MISSING_DEP;
	} else {
		enqueue(pool, job);
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->lock);
	return r;
}

bool pool_is_done(struct pool *pool, struct pool_job *job)
{
	bool done;

	if (!is_ours(pool))
		return job->state == POOL_JOB_DONE;
	pthread_mutex_lock(&pool->lock);
	done = job->state == POOL_JOB_DONE;
	pthread_mutex_unlock(&pool->lock);
	return done;
}

/* Waits a while for the end of a job. */
static void wait_slice(struct pool *pool, uint64_t us)
{
	struct timespec until;

	us = us < WAIT_SLICE_US ? us : WAIT_SLICE_US;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)us * 1000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pool->n_waiters++;
	pthread_cond_timedwait(&pool->done, &pool->lock, &until);
	pool->n_waiters--;
}

int pool_wait(struct pool *pool, struct pool_job *job, uint64_t deadline_us)
{
	uint64_t now;
	bool done;

	if (!is_ours(pool))
		return -SLUICE_E_STATE;
	pthread_mutex_lock(&pool->lock);
	while (!(done = job->state == POOL_JOB_DONE) && (now = sys->now_us()) < deadline_us)
		wait_slice(pool, deadline_us - now);
	if (done)
		untell(pool, job);
	pthread_mutex_unlock(&pool->lock);
	return done ? 0 : -SLUICE_E_TIMEOUT;
}

/* Takes a job that is not running yet away from the threads. */
static bool take_back(struct pool *pool, struct pool_job *job)
{
	bool taken;

	if (!is_ours(pool))
		return job->state == POOL_JOB_NEW;
	pthread_mutex_lock(&pool->lock);
	if (job->state == POOL_JOB_QUEUED) {
		dequeue(pool, job);
		job->state = POOL_JOB_NEW;
	}
	taken = job->state == POOL_JOB_NEW;
	pthread_mutex_unlock(&pool->lock);
	return taken;
}

void pool_try(struct pool *pool, struct pool_job *job)
{
	if (!take_back(pool, job))
		return;
	job->run(job);
	job->state = POOL_JOB_DONE;
}

struct pool_job *pool_drop(struct pool *pool, struct pool_job *job)
{
	bool running;

	if (!job)
		return NULL;
	/* What a thread of another process might have been at is left where it is. */
	if (!is_ours(pool) && job->state != POOL_JOB_NEW && job->state != POOL_JOB_DONE)
		return NULL;
	if (is_ours(pool)) {
		pthread_mutex_lock(&pool->lock);
		running = job->state == POOL_JOB_RUNNING;
		if (job->state == POOL_JOB_QUEUED)
			dequeue(pool, job);
		untell(pool, job);
		job->is_dropped = true;
		pthread_mutex_unlock(&pool->lock);
		if (running)
			return NULL;
	}
	job->free(job);
	return NULL;
}

/* --- the pool -------------------------------------------------------------------------------- */

void *pool_ready(struct pool *pool)
{
	struct pool_job *job;
	void *owner = NULL;

	if (!is_ours(pool))
		return NULL;
	pthread_mutex_lock(&pool->lock);
	job = TAILQ_FIRST(&pool->told);
	if (job) {
		owner = job->owner;
		untell(pool, job);
	}
	pthread_mutex_unlock(&pool->lock);
	return owner;
}

int pool_fd(struct pool *pool)
{
	int fd = -1, err = 0;

	if (!is_ours(pool))
		return -SLUICE_E_STATE;
	pthread_mutex_lock(&pool->lock);
	if (pool->fd < 0) {
		pool->fd = sys->eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		err = errno;
	}
	fd = pool->fd;
	pthread_mutex_unlock(&pool->lock);
	return fd < 0 ? -sys_errno_code(err) : fd;
}

bool pool_has_fd(struct pool *pool)
{
	bool has;

	if (!is_ours(pool))
		return false;
	pthread_mutex_lock(&pool->lock);
	has = pool->fd >= 0;
	pthread_mutex_unlock(&pool->lock);
	return has;
}

int pool_set_threads(struct pool *pool, unsigned int n)
{
	int r = 0;

	if (n > POOL_MAX_THREADS)
		return -SLUICE_E_INVALID;
	if (!is_ours(pool))
		return -SLUICE_E_STATE;
	pthread_mutex_lock(&pool->lock);
	if (pool->n_threads)
		r = -SLUICE_E_STATE;
	else
		pool->max_threads = n;
	pthread_mutex_unlock(&pool->lock);
	return r;
}

/* As many as this process may run on, which in a container are fewer than the machine has. */
static unsigned int default_threads(void)
{
	cpu_set_t cpus;
	int n;

	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		return DEFAULT_THREADS; /* more than 1024 processors */
	n = CPU_COUNT(&cpus);
	return n < DEFAULT_THREADS ? (unsigned int)n : DEFAULT_THREADS;
}

struct pool *pool_new(void)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	pthread_condattr_t attr;

	if (!pool)
		return NULL;
	TAILQ_INIT(&pool->shorts);
	TAILQ_INIT(&pool->longs);
	TAILQ_INIT(&pool->told);
	pool->max_threads = default_threads();
	pool->fd = -1;
	/* On Linux none of these can fail. */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, &attr);
	pthread_condattr_destroy(&attr);
	return pool;
}

static void stop(struct pool *pool)
{
	unsigned int i;

	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	if (is_ours(pool))
		stop(pool);
	if (pool->fd >= 0)
		sys->close(pool->fd);
	free(pool);
	return NULL;
}
