// SPDX-License-Identifier: Apache-2.0
#include "relay/pipes.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define PLACES 64        /* a buffer of the kernel each, of a page at most (pipe(7)) */
#define RECORD_PLACES 18 /* MAX_SKB_FRAGS and the head: what one record may be spread over */
#define SPARE_MAX 32

static size_t page_size(void)
{
	static size_t size;

	if (!size)
		size = (size_t)sysconf(_SC_PAGESIZE);
	return size;
}

static int open_pipe(struct pipe *pipe)
{
	int fds[2], size = (int)(PLACES * page_size());

	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK))
		return -1;
	pipe->out = fds[0];
	pipe->in = fds[1];
	/* Whose share of pipe memory is used up gets smaller ones, and no larger. */
	if (fcntl(pipe->in, F_SETPIPE_SZ, size) >= size)
		return 0;
	close(fds[0]);
	close(fds[1]);
	return -1;
}

static void close_pipe(struct pipes *pipes, struct pipe *pipe)
{
	close(pipe->in);
	close(pipe->out);
	free(pipe);
	pipes->n--;
}

struct pipe *pipes_lend(struct pipes *pipes)
{
	struct pipe *pipe = SLIST_FIRST(&pipes->spare);

	if (pipe) {
		SLIST_REMOVE_HEAD(&pipes->spare, entry);
		pipes->n_spare--;
		return pipe;
	}
	if (pipes->n >= pipes->max)
		return NULL;
	pipe = calloc(1, sizeof(*pipe));
	if (!pipe || open_pipe(pipe) < 0) {
		free(pipe);
		return NULL;
	}
	pipes->n++;
	return pipe;
}

void pipes_take_back(struct pipes *pipes, struct pipe *pipe, bool is_empty)
{
	if (!is_empty || pipes->n_spare >= SPARE_MAX) {
		close_pipe(pipes, pipe);
		return;
	}
	pipe_emptied(pipe);
	SLIST_INSERT_HEAD(&pipes->spare, pipe, entry);
	pipes->n_spare++;
}

void pipes_free(struct pipes *pipes)
{
	struct pipe *pipe;

	while ((pipe = SLIST_FIRST(&pipes->spare))) {
		SLIST_REMOVE_HEAD(&pipes->spare, entry);
		close_pipe(pipes, pipe);
	}
	pipes->n_spare = 0;
}

/* The kernel does not tell how many places it took: one for each page that was touched, at most. */
void pipe_filled(struct pipe *pipe, size_t n)
{
	pipe->used += (unsigned int)(n / page_size()) + 2;
}

void pipe_emptied(struct pipe *pipe)
{
	pipe->used = 0;
}

bool pipe_has_room(const struct pipe *pipe)
{
	return pipe->used + RECORD_PLACES <= PLACES;
}
