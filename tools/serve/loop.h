/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One io_uring event loop. An operation is a small object inside its owner: the owner starts it
 * with one of the loop_*() calls and its done() is called once per completion. Loop thread only.
 */
#ifndef TOOLS_SERVE_LOOP_H
#define TOOLS_SERVE_LOOP_H

#include <liburing.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "timer.h"

struct op {
	/* @res is a count or -errno. */
	void (*done)(struct op *op, int res);
	bool busy; /* in the kernel; a multishot operation stays so between completions */
};

/* Something to do when the present turn of the loop has called everybody. */
struct deferred {
	struct deferred *next;
	void (*run)(struct deferred *deferred);
};

struct loop {
	struct io_uring ring;
	struct deferred *deferred;
	struct timers timers;
	uint64_t now_ms; /* of this turn */
	bool stop;
};

/* The owner of an embedded member. */
#define owner_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* loop_init() makes the ring. To be called by the thread that runs the loop. Returns 0 or -errno. */
int loop_init(struct loop *loop);
void loop_deinit(struct loop *loop);

/* loop_run() runs until @loop->stop. Returns 0 or -errno when the ring itself fails. */
int loop_run(struct loop *loop);

/*
 * The operations. Each returns 0, or -EBUSY when the ring takes no more: the operation is not
 * started then. What the arguments point to must stay until the completion, except iovecs.
 */
int loop_poll(struct loop *loop, struct op *op, int fd, unsigned int events);
int loop_recvmsg(struct loop *loop, struct op *op, int fd, struct msghdr *msg);
int loop_sendmsg(struct loop *loop, struct op *op, int fd, const struct msghdr *msg, bool more);
int loop_recv(struct loop *loop, struct op *op, int fd, void *buf, size_t buf_len);
int loop_read(struct loop *loop, struct op *op, int fd, void *buf, size_t buf_len, uint64_t offset);
int loop_accept(struct loop *loop, struct op *op, int fd, bool multishot);
int loop_openat2(struct loop *loop, struct op *op, int dir_fd, const char *path,
		 struct open_how *how);

/* loop_splice() moves up to @len bytes; @offset is that of a file @from, -1 for a pipe. */
int loop_splice(struct loop *loop, struct op *op, int from, int64_t offset, int to, size_t len,
		unsigned int flags);

/* loop_defer() runs @deferred once, after this turn's completions and timers. */
void loop_defer(struct loop *loop, struct deferred *deferred);

/* loop_cancel() asks for the end of @op; it still completes, with -ECANCELED if it was in time. */
int loop_cancel(struct loop *loop, struct op *op);

#endif
