// SPDX-License-Identifier: Apache-2.0
/*
 * Bulk plaintext of the kernel path: from socket to socket through a pipe, and nobody copies it. A direction
 * of stream.c comes here while reads are large, has a pipe while it does, and goes back for whatever is not
 * plain data: a control record, new keys, an end. Nothing leaves the pipe out of order: it is emptied before.
 *
 * The calls never wait. The loop makes them itself, or has the ring make them, which does so on threads of
 * the kernel's always (--io uring-splice); the result is taken by the same functions.
 */
#include <errno.h>
#include <fcntl.h>

#include "conn/conn.h"
#include "conn/rio.h"
#include "record/record.h"
#include "relay/relay.h"
#include "relay/stream.h"

#define LARGE_READS 2 /* in a row, before a pipe is worth its while */
#define SMALL 4096    /* bytes: reads of less are words, which a copy is cheaper for */

void splice_note_read(struct flow *flow, size_t n)
{
	if (n < RECORD_MAX_PLAIN)
		flow->large = 0;
	else if (flow->large < LARGE_READS)
		flow->large++;
}

/* A call waits by the socket's flags, whatever its own say. */
static void never_wait(struct link *link)
{
	if (link->never_waits)
		return;
	fcntl(link->tls.fd, F_SETFL, fcntl(link->tls.fd, F_GETFL) | O_NONBLOCK);
	fcntl(link->pair.fd, F_SETFL, fcntl(link->pair.fd, F_GETFL) | O_NONBLOCK);
	link->never_waits = true;
}

static bool borrow(struct link *link, struct flow *flow)
{
	struct pipe *pipe;

	if (flow->large < LARGE_READS || flow->len)
		return false;
	pipe = pipes_lend(&link->relay->pipes);
	if (!pipe) {
		flow->large = 0; /* not asked for again at once */
		return false;
	}
	never_wait(link);
	stream_drop_buffer(link, flow);
	flow->pipe = pipe;
	flow->dry = false;
	return true;
}

void splice_give_back(struct link *link, struct flow *flow)
{
	if (flow->pipe)
		pipes_take_back(&link->relay->pipes, flow->pipe, flow->len == 0);
	flow->pipe = NULL;
}

/* Returns true when @*ret_res is the result; else op->done() will be called with it. */
static bool move(struct link *link, struct op *op, enum step step, int from, int to, size_t len,
		 int *ret_res)
{
	struct relay *relay = link->relay;
	ssize_t n;

	op->step = step;
	if (relay->io == IO_URING_SPLICE) {
		ring_splice(&relay->ring, op, from, to, len);
		return false;
	}
	n = splice(from, NULL, to, NULL, len, SPLICE_F_NONBLOCK);
	*ret_res = n < 0 ? -errno : (int)n;
	return true;
}

static bool is_nothing(int res)
{
	return res == -EINTR || res == -ECANCELED;
}

static void came(struct flow *flow, size_t n)
{
	pipe_filled(flow->pipe, n);
	flow->len += n;
	if (n < SMALL)
		flow->large = 0;
}

static void went(struct link *link, struct flow *flow, size_t n)
{
	flow->len -= n;
	if (!flow->len)
		pipe_emptied(flow->pipe);
	link->moved_ms = link->relay->loop.now_ms;
	link->relay->spliced += n;
}

static bool may_fill(const struct flow *flow)
{
	return flow->large && !flow->dry && !flow->ended && flow->len < PIPE_CHUNK &&
	       pipe_has_room(flow->pipe);
}

/* --- peer to worker --------------------------------------------------------------------------- */

bool splice_in_begins(struct link *link)
{
	return rio_receive_direct(link->conn) && borrow(link, &link->in);
}

void splice_in_filled(struct link *link, int res)
{
	struct flow *in = &link->in;
	int r;

	if (is_nothing(res))
		return;
	if (res > 0) {
		came(in, (size_t)res);
		r = rio_received_direct(link->conn, (size_t)res);
		if (r < 0)
			stream_receive_failed(link, r);
		return;
	}
	in->dry = true;
	if (res == -EAGAIN)
		return;
	/* What cannot be spliced is next: a receive says what, be it an empty record, or the end. */
	in->large = 0;
	link->refused = res == -EINVAL;
	if (res != 0 && res != -EINVAL && res != -EKEYEXPIRED)
		stream_receive_failed(link, (int)rio_recv_done(link->conn, res));
}

void splice_in_drained(struct link *link, int res)
{
	if (res > 0)
		went(link, &link->in, (size_t)res);
	else if (res == -EAGAIN)
		stream_wait_room_in(link);
	else if (!is_nothing(res))
		link_refused_in(link, -res);
}

void splice_in(struct link *link)
{
	struct flow *in = &link->in;
	bool is_idle;
	int res;

	if (may_fill(in)) {
		if (move(link, &link->in_op, STEP_FILL, link->tls.fd, in->pipe->in,
			 PIPE_CHUNK - in->len, &res))
			splice_in_filled(link, res);
	} else if (in->len) {
		if (move(link, &link->in_op, STEP_DRAIN, in->pipe->out, link->pair.fd, in->len,
			 &res))
			splice_in_drained(link, res);
	} else {
		is_idle = in->dry && in->large && !in->ended;
		splice_give_back(link, in);
		if (is_idle)
			stream_wait_in(link);
	}
}

/* --- worker to peer --------------------------------------------------------------------------- */

bool splice_out_begins(struct link *link)
{
	return rio_sendfile_direct(link->conn) && borrow(link, &link->out);
}

void splice_out_filled(struct link *link, int res)
{
	struct flow *out = &link->out;

	if (res > 0)
		came(out, (size_t)res);
	else if (res == -EAGAIN)
		out->dry = true;
	else if (!is_nothing(res))
		stream_out_ended(link, res);
}

void splice_out_drained(struct link *link, int res)
{
	int r;

	if (is_nothing(res))
		return;
	if (res > 0) {
		rio_sent_direct(link->conn, (size_t)res);
		went(link, &link->out, (size_t)res);
		link->since_ms = link->relay->loop.now_ms;
		return;
	}
	r = res < 0 ? rio_direct_failed(link->conn, -res) : -SLUICE_E_IO;
	if (r < 0)
		link_fail_out(link, r);
	else
		stream_wait_room_out(link);
}

/* Records are full as long as more may come, and the last one is not held back for what does not. */
static void drain_out(struct link *link)
{
	struct flow *out = &link->out;
	size_t n = out->len;
	int res, r;

	if (!out->dry && !out->ended && n > RECORD_MAX_PLAIN)
		n -= n % RECORD_MAX_PLAIN;
	r = rio_direct_room(link->conn, &n);
	if (r < 0)
		link_fail_out(link, r);
	else if (rio_send_pending(link->conn))
		stream_send_control(link);
	else if (move(link, &link->out_op, STEP_DRAIN, out->pipe->out, link->tls.fd, n, &res))
		splice_out_drained(link, res);
}

void splice_out(struct link *link)
{
	struct flow *out = &link->out;
	bool is_idle;
	int res;

	if (may_fill(out)) {
		if (move(link, &link->out_op, STEP_FILL, link->pair.fd, out->pipe->in,
			 PIPE_CHUNK - out->len, &res))
			splice_out_filled(link, res);
	} else if (out->len) {
		drain_out(link);
	} else {
		is_idle = out->dry && out->large && !out->ended;
		splice_give_back(link, out);
		if (is_idle)
			stream_wait_out(link);
	}
}
