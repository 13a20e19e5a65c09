/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded pool of threads for work that is done off the thread that asked for it. No thread is
 * started before the first job.
 */
#ifndef SLUICE_CORE_POOL_H
#define SLUICE_CORE_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define POOL_MAX_THREADS 64

/* Jobs that may wait. A short one takes about a millisecond, a long one up to a few hundred. */
#define POOL_MAX_SHORT 4096
#define POOL_MAX_LONG 256

enum pool_job_state {
	POOL_JOB_NEW,
	POOL_JOB_QUEUED,
	POOL_JOB_RUNNING,
	POOL_JOB_DONE,
};

/* struct pool_job - the first member of whatever a job is; all zero but for what the caller sets. */
struct pool_job {
	void (*run)(struct pool_job *job);  /* by any thread; reads and writes the job alone */
	void (*free)(struct pool_job *job); /* by any thread */
	void *owner;                        /* what pool_ready() returns */
	bool is_long;                       /* lets short ones pass */

	/* Of the pool, under its lock. */
	enum pool_job_state state;
	bool is_dropped; /* nobody waits for it: it ends where it is */
	bool is_told;    /* it is among what pool_ready() will return */
	TAILQ_ENTRY(pool_job) link;
};

struct pool;

/* pool_new() makes a pool of min(4, processors of this process) threads. NULL: no memory. */
struct pool *pool_new(void);

/* pool_free() waits for the jobs that are running, all of which have been dropped. Returns NULL. */
struct pool *pool_free(struct pool *pool);

/* pool_set_threads() says how many; 0: pool_submit() takes none. Errors: INVALID, STATE (started). */
int pool_set_threads(struct pool *pool, unsigned int n);

/*
 * pool_fd() returns a descriptor, made by the first call, that is readable while pool_ready() has an
 * owner to return. pool_has_fd() tells whether there is one. Errors: NOFILE, NOMEM, IO.
 */
int pool_fd(struct pool *pool);
bool pool_has_fd(struct pool *pool);

/* pool_ready() returns the owner of a job that is done, each once. NULL: there is none. */
void *pool_ready(struct pool *pool);

/*
 * pool_submit() has @job run. Returns 0, or -SLUICE_E_BUSY: too many wait, or -SLUICE_E_MISSING_DEP:
 * there are no threads (none wanted, none to be had, or those of a process that this one was forked from);
 * the job is new then, and the caller may run it.
 */
int pool_submit(struct pool *pool, struct pool_job *job);

/* pool_is_done() tells whether @job has been run. What it has written may be read then. */
bool pool_is_done(struct pool *pool, struct pool_job *job);

/* pool_wait() waits for that until @deadline_us of sys->now_us(). Returns 0, -SLUICE_E_TIMEOUT, or in a child -SLUICE_E_STATE. */
int pool_wait(struct pool *pool, struct pool_job *job, uint64_t deadline_us);

/*
 * pool_try() has the caller run @job, unless a thread is at it; it need not have been submitted. In a child, a
 * job that the parent has submitted stays as it is.
 */
void pool_try(struct pool *pool, struct pool_job *job);

/* pool_drop() frees @job, at once or when it has been run. NULL is fine. Returns NULL. */
struct pool_job *pool_drop(struct pool *pool, struct pool_job *job);

#endif
