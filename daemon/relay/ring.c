// SPDX-License-Identifier: Apache-2.0
#include "relay/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SQ_ENTRIES 1024
#define CQ_ENTRIES 8192

/* What the ring is for: the filter of system calls does not see what goes through it. */
static const uint8_t operations[] = {
	IORING_OP_SENDMSG,  IORING_OP_RECVMSG,      IORING_OP_SEND, IORING_OP_RECV,
	IORING_OP_POLL_ADD, IORING_OP_ASYNC_CANCEL, IORING_OP_NOP, /* the last two: with pipes only */
	IORING_OP_SPLICE,
};
#define N_OPERATIONS (sizeof(operations) / sizeof(operations[0]))
#define N_OF_PIPES 2

/* liburing 2.3 declares calls for the two of these and does not have them. */
static int ring_register(int fd, unsigned int opcode, const void *arg, unsigned int n)
{
	return syscall(__NR_io_uring_register, fd, opcode, arg, n) < 0 ? -errno : 0;
}

static int restrict_operations(struct io_uring *uring, bool with_pipes)
{
	struct io_uring_restriction list[N_OPERATIONS];
	unsigned int i, n = N_OPERATIONS - (with_pipes ? 0 : N_OF_PIPES);
	int r;

	memset(list, 0, sizeof(list));
	for (i = 0; i < n; i++) {
		list[i].opcode = IORING_RESTRICTION_SQE_OP;
		list[i].sqe_op = operations[i];
	}
	r = ring_register(uring->ring_fd, IORING_REGISTER_RESTRICTIONS, list, n);
	return r < 0 ? r : ring_register(uring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int setup(struct io_uring *uring)
{
	/* The better modes first: deferred task work is of Linux 6.1, cooperative of 5.19. */
	static const unsigned int modes[] = {
#ifdef IORING_SETUP_DEFER_TASKRUN
		IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
#endif
		IORING_SETUP_COOP_TASKRUN,
	};
	struct io_uring_params params;
	int r = -EINVAL;
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]) && r == -EINVAL; i++) {
		memset(&params, 0, sizeof(params));
		params.flags = modes[i] | IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL |
			       IORING_SETUP_R_DISABLED;
		params.cq_entries = CQ_ENTRIES;
		r = io_uring_queue_init_params(SQ_ENTRIES, uring, &params);
	}
	return r;
}

static void epoll_done(struct op *op, int res)
{
}

int ring_init(struct ring *ring, bool with_pipes)
{
	int r = setup(&ring->uring);

	if (r < 0)
		return r;
	r = restrict_operations(&ring->uring, with_pipes);
	if (r < 0) {
		io_uring_queue_exit(&ring->uring);
		return r;
	}
	ring->epoll.done = epoll_done;
	ring->on = true;
	return 0;
}

void ring_deinit(struct ring *ring)
{
	if (ring->on)
		io_uring_queue_exit(&ring->uring);
	ring->on = false;
	while (ring->n_spare)
		free(ring->spare[--ring->n_spare]);
}

/* --- operations ------------------------------------------------------------------------------- */

/* Returns NULL when the ring takes no more. */
static struct io_uring_sqe *begin(struct ring *ring)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->uring);

	if (sqe)
		return sqe;
	io_uring_submit(&ring->uring); /* makes room */
	return io_uring_get_sqe(&ring->uring);
}

/* What cannot begin has failed when its turn comes, as everything else: whoever began it goes on before. */
static struct io_uring_sqe *begin_op(struct ring *ring, struct op *op)
{
	struct io_uring_sqe *sqe = begin(ring);

	op->busy = true;
	if (!sqe)
		SLIST_INSERT_HEAD(&ring->failed, op, entry);
	return sqe;
}

void ring_recvmsg(struct ring *ring, struct op *op, int fd, struct msghdr *msg)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_recvmsg(sqe, fd, msg, MSG_DONTWAIT);
	io_uring_sqe_set_data(sqe, op);
}

void ring_sendmsg(struct ring *ring, struct op *op, int fd, const struct msghdr *msg)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	/* Never MSG_WAITALL: kernel TLS refuses it. */
	io_uring_prep_sendmsg(sqe, fd, msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, op);
}

void ring_recv(struct ring *ring, struct op *op, int fd, void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_recv(sqe, fd, buf, len, MSG_DONTWAIT);
	io_uring_sqe_set_data(sqe, op);
}

void ring_send(struct ring *ring, struct op *op, int fd, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_send(sqe, fd, buf, len, MSG_NOSIGNAL);
	io_uring_sqe_set_data(sqe, op);
}

void ring_poll(struct ring *ring, struct op *op, int fd, unsigned int events)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_poll_add(sqe, fd, events);
	io_uring_sqe_set_data(sqe, op);
}

void ring_splice(struct ring *ring, struct op *op, int from, int to, size_t len)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_splice(sqe, from, -1, to, -1, (unsigned int)len, SPLICE_F_NONBLOCK);
	io_uring_sqe_set_data(sqe, op);
}

void ring_nop(struct ring *ring, struct op *op)
{
	struct io_uring_sqe *sqe = begin_op(ring, op);

	if (!sqe)
		return;
	io_uring_prep_nop(sqe);
	io_uring_sqe_set_data(sqe, op);
}

void ring_cancel(struct ring *ring, struct op *op)
{
	struct io_uring_sqe *sqe = begin(ring);

	if (!sqe)
		return;
	io_uring_prep_cancel(sqe, op, 0);
	io_uring_sqe_set_data(sqe, NULL);
}

/* --- buffers ---------------------------------------------------------------------------------- */

uint8_t *ring_buffer(struct ring *ring, size_t size)
{
	return ring->n_spare ? ring->spare[--ring->n_spare] : malloc(size);
}

void ring_buffer_free(struct ring *ring, uint8_t *buf)
{
	if (buf && ring->n_spare < RING_SPARE)
		ring->spare[ring->n_spare++] = buf;
	else
		free(buf);
}

/* --- the loop --------------------------------------------------------------------------------- */

static void complete(struct ring *ring)
{
	struct io_uring_cqe *cqe;
	struct op *op;
	int res, n;

	for (n = 0; n < CQ_ENTRIES && io_uring_peek_cqe(&ring->uring, &cqe) == 0; n++) {
		op = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&ring->uring, cqe);
		if (!op)
			continue; /* the answer to a cancellation */
		op->busy = false;
		op->done(op, res);
	}
}

/* What fails meanwhile has its turn the next time. */
static void fail(struct ring *ring)
{
	struct op *op, *failed = SLIST_FIRST(&ring->failed);

	SLIST_INIT(&ring->failed);
	while ((op = failed)) {
		failed = SLIST_NEXT(op, entry);
		op->busy = false;
		op->done(op, -ENOMEM);
	}
}

static int wait_for_work(struct ring *ring, int timeout_ms)
{
	struct __kernel_timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000LL,
	};
	struct io_uring_cqe *cqe;
	int r = io_uring_submit_and_wait_timeout(&ring->uring, &cqe, 1, &ts, NULL);

	/* EBUSY, EAGAIN: completions must be taken before the kernel accepts more. */
	if (r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN)
		return 0;
	return r;
}

int ring_run(struct ring *ring, struct loop *loop)
{
	int r = 0;

	while (r == 0 && !loop->stop) {
		if (!ring->epoll.busy)
			ring_poll(ring, &ring->epoll, loop->epoll_fd, POLLIN);
		r = wait_for_work(ring, SLIST_EMPTY(&ring->failed) ? loop_wait_ms(loop) : 0);
		if (r < 0)
			return r;
		loop->now_ms = loop_clock_ms();
		complete(ring);
		fail(ring);
		if (!ring->epoll.busy || loop->now_ms >= loop->next_tick_ms)
			r = loop_turn(loop, 0);
	}
	return r;
}
