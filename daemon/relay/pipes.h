/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes that plaintext goes through by splice(2). They are lent while data moves and not longer: an idle
 * connection has none. There are only so many, and where none is to be had (descriptors, the user's share
 * of pipe memory, pipe(7)) data goes through a buffer.
 */
#ifndef SLUICE_RELAY_PIPES_H
#define SLUICE_RELAY_PIPES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/types.h>

#define PIPE_CHUNK 65536 /* bytes that a pipe is filled with, at most */
#define PIPES_MAX 256

/* struct pipe - one; what is in it is the borrower's to know. */
struct pipe {
	SLIST_ENTRY(pipe) entry;
	int in, out;
	unsigned int used; /* places in it that may be taken */
};

struct pipes {
	SLIST_HEAD(, pipe) spare;
	size_t n_spare, n, max; /* max 0: none are wanted */
};

/* pipes_lend() returns an empty one, or NULL. pipes_take_back() closes one that is not empty. */
struct pipe *pipes_lend(struct pipes *pipes);
void pipes_take_back(struct pipes *pipes, struct pipe *pipe, bool is_empty);
void pipes_free(struct pipes *pipes);

/*
 * pipe_filled() notes @n bytes that came into it, pipe_emptied() that all have left. pipe_has_room() tells
 * whether a whole record fits: what does not can be lost in kernels that have not "tls: fix silent data drop
 * under pipe back-pressure" (6.12.113).
 */
void pipe_filled(struct pipe *pipe, size_t n);
void pipe_emptied(struct pipe *pipe);
bool pipe_has_room(const struct pipe *pipe);

#endif
