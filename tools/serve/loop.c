/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of one worker: submits, waits, and calls the owners of completed operations. Every
 * operation here either cannot block (sockets are non-blocking) or is run by the kernel's own
 * workers (files), so the loop never waits for anything but its ring.
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include <sluice/uring-send.h>

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192
#define BATCH 1024 /* completions between two looks at the timers */

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

int loop_init(struct loop *loop)
{
	/* The better modes first: deferred task work is of Linux 6.1, cooperative of 5.19. */
	static const unsigned int modes[] = {
#ifdef IORING_SETUP_DEFER_TASKRUN
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
		IORING_SETUP_COOP_TASKRUN,
		0,
	};
	struct io_uring_params params;
	size_t i;
	int r = -EINVAL;

	memset(loop, 0, sizeof(*loop));
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]) && r == -EINVAL; i++) {
		memset(&params, 0, sizeof(params));
		params.flags = modes[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL;
		params.cq_entries = CQ_ENTRIES;
		r = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params);
	}
	if (r < 0)
		return r;
	loop->now_ms = clock_ms();
	timers_init(&loop->timers, loop->now_ms);
	return 0;
}

void loop_deinit(struct loop *loop)
{
	io_uring_queue_exit(&loop->ring);
}

static int wait_for_work(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	struct __kernel_timespec ts;
	int ms, r;

	ms = timers_wait_ms(&loop->timers, loop->now_ms);
	ts.tv_sec = ms / 1000;
	ts.tv_nsec = ms % 1000 * 1000000LL;
	r = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, ms < 0 ? NULL : &ts, NULL);
	/* EBUSY, EAGAIN: completions must be taken before the kernel accepts more. */
	if (r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN)
		return 0;
	return r;
}

static void complete(struct loop *loop)
{
	struct io_uring_cqe *cqe;
	int n;

	for (n = 0; n < BATCH && io_uring_peek_cqe(&loop->ring, &cqe) == 0; n++) {
		struct op *op = io_uring_cqe_get_data(cqe);
		bool more = cqe->flags & IORING_CQE_F_MORE;
		int res = cqe->res;

		io_uring_cqe_seen(&loop->ring, cqe);
		if (!op)
			continue; /* the answer to a cancellation */
		op->busy = more;
		op->done(op, res);
	}
}

void loop_defer(struct loop *loop, struct deferred *deferred)
{
	deferred->next = loop->deferred;
	loop->deferred = deferred;
}

static void run_deferred(struct loop *loop)
{
	while (loop->deferred) {
		struct deferred *first = loop->deferred;

		loop->deferred = first->next;
		first->run(first);
	}
}

int loop_run(struct loop *loop)
{
	int r;

	while (!loop->stop) {
		r = wait_for_work(loop);
		if (r < 0)
			return r;
		loop->now_ms = clock_ms();
		complete(loop);
		timers_run(&loop->timers, loop->now_ms);
		run_deferred(loop);
	}
	return 0;
}

static struct io_uring_sqe *get_sqe(struct loop *loop)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);

	if (sqe)
		return sqe;
	io_uring_submit(&loop->ring); /* makes room, or get_sqe says that it did not */
	return io_uring_get_sqe(&loop->ring);
}

static int start(struct io_uring_sqe *sqe, struct op *op)
{
	io_uring_sqe_set_data(sqe, op);
	op->busy = true;
	return 0;
}

int loop_poll(struct loop *loop, struct op *op, int fd, unsigned int events)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_poll_add(sqe, fd, events);
	return start(sqe, op);
}

int loop_recvmsg(struct loop *loop, struct op *op, int fd, struct msghdr *msg)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_recvmsg(sqe, fd, msg, 0);
	return start(sqe, op);
}

int loop_sendmsg(struct loop *loop, struct op *op, int fd, const struct msghdr *msg, bool more)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	sluice_uring_prep_sendmsg(sqe, fd, msg, more);
	return start(sqe, op);
}

int loop_recv(struct loop *loop, struct op *op, int fd, void *buf, size_t buf_len)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_recv(sqe, fd, buf, buf_len, 0);
	return start(sqe, op);
}

int loop_read(struct loop *loop, struct op *op, int fd, void *buf, size_t buf_len, uint64_t offset)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_read(sqe, fd, buf, (unsigned int)buf_len, offset);
	return start(sqe, op);
}

int loop_accept(struct loop *loop, struct op *op, int fd, bool multishot)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	if (multishot)
		io_uring_prep_multishot_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	else
		io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return start(sqe, op);
}

int loop_openat2(struct loop *loop, struct op *op, int dir_fd, const char *path,
		 struct open_how *how)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_openat2(sqe, dir_fd, path, how);
	return start(sqe, op);
}

int loop_splice(struct loop *loop, struct op *op, int from, int64_t offset, int to, size_t len,
		unsigned int flags)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_splice(sqe, from, offset, to, -1, (unsigned int)len, flags);
	return start(sqe, op);
}

int loop_cancel(struct loop *loop, struct op *op)
{
	struct io_uring_sqe *sqe = get_sqe(loop);

	if (!sqe)
		return -EBUSY;
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
	return 0;
}
