/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several workers: each a whole relay, with a loop, a ring, a connector and an attachment to the pool of its own,
 * so that nothing is shared where data moves. The supervisor starts them, again when they die, and has them end.
 * It is no part of any connection, and has no privileges once it listens.
 */
#ifndef SLUICE_RELAY_SUPERVISE_H
#define SLUICE_RELAY_SUPERVISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "common/loop.h"
#include "relay/backend.h"

#define MAX_WORKERS 64

struct relay;

/* What goes between the supervisor and a worker: one byte each. */
enum word {
	WORD_READY = 'r',   /* from a worker: it has attached */
	WORD_LEAVING = 'l', /* from a worker: it takes no more, and another is wanted */
	WORD_END = 'e',     /* to a worker: as SIGTERM, in --drain at most; twice: at once */
	WORD_RETIRE =
		't', /* to a worker: the same, but its connections have the time that they want */
	WORD_FIGURES = 'f', /* to a worker: as SIGUSR1 */
};

struct worker {
	LIST_ENTRY(worker) entry;
	struct watch watch; /* fd -1: it said goodbye */
	struct supervisor *supervisor;
	pid_t pid;
	unsigned int place;
	unsigned int generation; /* of the backends */
	bool has_limit;          /* it was told to end, in --drain at most */
	uint64_t since_ms;
};

/* struct place - of one worker at a time, but for those that end. */
struct place {
	struct worker *serving, *starting; /* NULL: none */
	uint64_t next_ms, back_off_ms;
	int listener; /* -1: none; it outlives its worker, with who waits in it */
};

/* struct resolver - looking names up, in a process of its own: it takes as long as it takes. */
struct resolver {
	struct watch watch; /* fd -1: none is under way */
	pid_t pid;
	uint8_t *buf;
	size_t len;
	uint64_t next_ms, deadline_ms;
	bool again; /* it was told to while it did */
};

struct supervisor {
	struct relay *relay; /* what each worker begins as */
	struct loop loop;
	struct watch signals;
	struct resolver resolver;
	LIST_HEAD(, worker) workers;
	struct place places[MAX_WORKERS];
	unsigned int n, generation;
	bool serving; /* every place had a worker */
	bool ending, failed;
};

/* supervise() returns the exit status. */
int supervise(struct relay *relay);

/* workers_auto() is how many there are processors for. */
unsigned int workers_auto(const struct relay *relay);

/* worker_pin() has it run where --cpus says, if it does. */
void worker_pin(const struct relay *relay);

/* close_others() closes all descriptors but standard ones and these two, -1: none. */
void close_others(int a, int b);

/* resolver_begin() looks names up; resolver_tick() does so in time, and ends one that takes too long. */
void resolver_begin(struct supervisor *supervisor);
void resolver_tick(struct supervisor *supervisor);

#endif
