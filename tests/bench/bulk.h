/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ways to move bulk data over one TCP connection of loopback that bench_bulk compares: bare loops
 * over the kernel's TLS and over EVP_AEAD, and the library's verbs. Each way has a lane: a sender, a
 * receiver, and what both need. Every failure ends the program.
 */
#ifndef SLUICE_TESTS_BENCH_BULK_H
#define SLUICE_TESTS_BENCH_BULK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include "record/record.h"
#include "record/traffic.h"

#define BULK_PERIOD (256 * 1024) /* the stream's bytes repeat after so many */
#define BULK_MAX_SIZE (256 * 1024)
#define BULK_FILE_LEN (8 * 1024 * 1024)

/* struct bulk - what is moved. */
struct bulk {
	const struct suite *suite;
	size_t size;     /* of a call */
	uint8_t *stream; /* BULK_PERIOD + BULK_MAX_SIZE bytes: the stream from any position on */
	int file;        /* BULK_FILE_LEN bytes of it */
};

struct way;

struct lane {
	const struct bulk *bulk;
	const struct way *way;
	int tx_fd, rx_fd;
	uint64_t sent, received; /* since the lane was opened */
	uint8_t *in;             /* @bulk->size bytes and one record more */
	bool check;              /* every byte that comes is compared */
	void *own;               /* the way's */
};

/* struct way - one way. send() and receive() move @n bytes, a multiple of the bulk's size, and may wait. */
struct way {
	const char *name;
	const char *floor; /* the way that it is held against; NULL: it is one */
	bool kernel;       /* needs a kernel with TLS */
	bool alone;        /* has no socket: receive() opens what send() has just sealed */
	void (*open)(struct lane *lane);
	void (*send)(struct lane *lane, uint64_t n);
	void (*receive)(struct lane *lane, uint64_t n);
	void (*close)(struct lane *lane);
};

extern const struct way bulk_bare_ways[], bulk_library_ways[]; /* up to a row without a name */

/* System calls of this thread; bulk_call() counts the one whose result it is given. */
extern __thread uint64_t bulk_calls;

static inline ssize_t bulk_call(ssize_t result)
{
	bulk_calls++;
	return result;
}

static inline void bulk_need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_bulk: ");
	perror(what);
	exit(1);
}

/* bulk_arrived() notes that @n bytes are in lane->in, and compares them if the lane is to. */
void bulk_arrived(struct lane *lane, size_t n);

/* bulk_room() makes room in both sockets for what one turn moves. */
void bulk_room(int tx_fd, int rx_fd);

/* bulk_traffic() makes fixed keys, the same for every lane and direction. */
struct traffic *bulk_traffic(const struct suite *suite);

/* bulk_connect() connects two sockets; bulk_ktls_open() puts the keys into both, too. */
void bulk_connect(struct lane *lane);
void bulk_ktls_open(struct lane *lane);
void bulk_ktls_close(struct lane *lane);

static inline const uint8_t *bulk_next(const struct lane *lane)
{
	return lane->bulk->stream + lane->sent % BULK_PERIOD;
}

#endif
