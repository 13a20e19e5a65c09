/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's io_uring: operations on sockets, one system call for all that a turn of the loop starts and
 * waits for. Where there is none, or it is forbidden (seccomp, kernel.io_uring_disabled), ring.on is false
 * and the data goes by epoll.
 */
#ifndef SLUICE_RELAY_RING_H
#define SLUICE_RELAY_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <liburing.h>

#include "common/loop.h"

/* struct op - one operation; embedded in what it belongs to. @res is a count or -errno. */
struct op {
	void (*done)(struct op *op, int res);
	SLIST_ENTRY(op) entry; /* busy: of those that failed, if it did */
	bool busy;             /* in the kernel, or about to be done */
	int step;              /* the owner's */
};

#define RING_SPARE 64 /* buffers that are kept for the next who needs one */

struct ring {
	struct io_uring uring;
	bool on;
	struct op epoll;         /* everything else: that something is to be had there */
	SLIST_HEAD(, op) failed; /* there was no room for them */
	uint8_t *spare[RING_SPARE];
	size_t n_spare;
};

/*
 * ring_init() makes a ring that can do what is below and nothing else, whoever has this process.
 * @with_pipes: ring_splice() and ring_nop() too. Returns 0 or -errno.
 */
int ring_init(struct ring *ring, bool with_pipes);
void ring_deinit(struct ring *ring);

/* ring_run() is loop_run() with a ring. */
int ring_run(struct ring *ring, struct loop *loop);

/*
 * The operations. What they point to must stay until op->done(). Without room in the ring they fail as if
 * the kernel had said -ENOMEM; it is never called at once. The first two never wait (MSG_DONTWAIT).
 */
void ring_recvmsg(struct ring *ring, struct op *op, int fd, struct msghdr *msg);
void ring_sendmsg(struct ring *ring, struct op *op, int fd, const struct msghdr *msg);
void ring_recv(struct ring *ring, struct op *op, int fd, void *buf, size_t len);
void ring_send(struct ring *ring, struct op *op, int fd, const void *buf, size_t len);
void ring_poll(struct ring *ring, struct op *op, int fd, unsigned int events);

/* ring_splice() never waits for a pipe; for a socket by its O_NONBLOCK. ring_nop() is done when others had their turn. */
void ring_splice(struct ring *ring, struct op *op, int from, int to, size_t len);
void ring_nop(struct ring *ring, struct op *op);

/* ring_cancel() has @op end soon, with -ECANCELED if it was in time. */
void ring_cancel(struct ring *ring, struct op *op);

/* ring_buffer() is memory of RELAY_CHUNK bytes, or NULL; ring_buffer_free() may keep it for the next. */
uint8_t *ring_buffer(struct ring *ring, size_t size);
void ring_buffer_free(struct ring *ring, uint8_t *buf);

#endif
