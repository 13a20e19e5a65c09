// SPDX-License-Identifier: Apache-2.0
/*
 * Plaintext both ways by io_uring: what pump.c does, with one operation in flight in each direction. A
 * direction reads when what it read before is written, and has a buffer only from a read that may bring
 * something until then; an idle one waits by a poll.
 *
 * Receiving from the peer by the kernel path tries first and waits only after EAGAIN, one receive at a time: a
 * KeyUpdate can have left the socket while poll is silent, and the next receive needs its keys
 * (docs/post-handshake.md). Elsewhere a read that was not filled has emptied the socket: a poll comes next.
 * Nothing but this file's send is on its way to the peer while out_op is busy sending.
 */
#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>

#include "conn/conn.h"
#include "conn/rio.h"
#include "record/record.h"
#include "relay/relay.h"
#include "relay/stream.h"

#define TURNS 6 /* steps through a pipe, as much as a buffer holds, before others have their turn */

void stream_drop_buffer(struct link *link, struct flow *flow)
{
	splice_give_back(link, flow);
	ring_buffer_free(&link->relay->ring, flow->buf);
	flow->buf = NULL;
	flow->off = flow->len = 0;
}

static bool has_buffer(struct link *link, struct flow *flow)
{
	if (!flow->buf)
		flow->buf = ring_buffer(&link->relay->ring, RELAY_CHUNK);
	if (!flow->buf)
		link_fail_here(link);
	return flow->buf;
}

static void written(struct link *link, struct flow *flow, size_t n)
{
	flow->off += n;
	flow->len -= n;
	link->moved_ms = link->relay->loop.now_ms;
}

/* --- peer to worker --------------------------------------------------------------------------- */

/*
 * What else is here already goes along, and what a socket that filled its receive holds besides: a worker is
 * woken once for all of it. An error behind it is the next receive's to meet.
 */
static void received(struct link *link, size_t n, bool filled)
{
	struct flow *in = &link->in;
	ssize_t more = 1;

	for (in->len += n; in->len < RELAY_CHUNK && more > 0;
	     in->len += more > 0 ? (size_t)more : 0)
		more = rio_recv_here(link->conn, in->buf + in->len, RELAY_CHUNK - in->len);
	splice_note_read(in, n);
	link->more = filled && RELAY_CHUNK - in->len >= RECORD_MAX_PLAIN;
	link->in_drained = more == 0 && !filled && link->conn->rx->ops->path == SLUICE_PATH_USER;
}

void stream_receive_failed(struct link *link, int code)
{
	link->in.ended = true;
	link->more = false;
	if (code != -SLUICE_E_CLOSED)
		link_fail(link, code);
}

/* Starts a receive, behind what is there, or has data without one, or the end. */
static void receive(struct link *link)
{
	struct flow *in = &link->in;
	struct msghdr *msg = NULL;
	ssize_t n;

	if (!has_buffer(link, in))
		return;
	if (!in->len)
		in->off = 0;
	do
		n = rio_recv_prep(link->conn, in->buf + in->len, RELAY_CHUNK - in->len, &msg);
	while (n == -SLUICE_E_AGAIN);
	if (n > 0) {
		received(link, (size_t)n, false);
	} else if (n < 0) {
		stream_receive_failed(link, (int)n);
	} else {
		link->asked = msg->msg_iov->iov_len;
		link->in_op.step = STEP_RECEIVE;
		ring_recvmsg(&link->relay->ring, &link->in_op, link->tls.fd, msg);
	}
}

/* Nothing has come: wait without a buffer. */
void stream_wait_in(struct link *link)
{
	stream_drop_buffer(link, &link->in);
	link->in_drained = false;
	link->in_op.step = STEP_WAIT;
	ring_poll(&link->relay->ring, &link->in_op, link->tls.fd, POLLIN);
}

void stream_wait_room_in(struct link *link)
{
	link->in_op.step = STEP_WAIT_ROOM;
	ring_poll(&link->relay->ring, &link->in_op, link->pair.fd, POLLOUT);
}

static void yield(struct link *link, struct op *op)
{
	op->step = STEP_YIELD;
	ring_nop(&link->relay->ring, op);
}

static void run_in(struct link *link)
{
	struct ring *ring = &link->relay->ring;
	struct flow *in = &link->in;
	int turns = TURNS;

	while (!link->in_op.busy && !link->stopping) {
		if (in->discard) {
			splice_give_back(link, in);
			in->len = 0;
			link->more = false;
		}
		if (in->pipe && turns-- == 0) {
			yield(link, &link->in_op);
		} else if (in->pipe) {
			splice_in(link);
		} else if (in->len && !link->more) {
			link->in_op.step = STEP_SEND;
			ring_send(ring, &link->in_op, link->pair.fd, in->buf + in->off, in->len);
			return;
		} else if (in->ended) {
			stream_drop_buffer(link, in);
			link_end_in(link);
			return;
		} else if (link->in_drained) {
			stream_wait_in(link);
		} else if (!splice_in_begins(link)) {
			receive(link);
		}
	}
}

static void receive_done(struct link *link, int res)
{
	ssize_t n = rio_recv_done(link->conn, res);

	if (res == -EAGAIN) {
		link->more = false;
		/* Nothing is there, and splice(2) did not want it: the kernel has given the stream up. */
		if (link->refused)
			n = rio_recv_done(link->conn, -EINVAL);
	}
	link->refused = false;
	if (n > 0)
		received(link, (size_t)n, (size_t)res == link->asked);
	else if (n < 0 && n != -SLUICE_E_AGAIN)
		stream_receive_failed(link, (int)n);
	else if (res == -EAGAIN && !link->in.len && !link->stopping)
		stream_wait_in(link);
}

static void send_in_done(struct link *link, int res)
{
	if (res >= 0)
		written(link, &link->in, (size_t)res);
	else if (res == -EAGAIN || res == -ENOBUFS) {
		stream_wait_room_in(link);
	} else if (res != -EINTR && res != -ECANCELED) {
		link_refused_in(link, -res);
	}
}

static void in_done(struct op *op, int res)
{
	struct link *link = owner_of(op, struct link, in_op);

	if (op->step == STEP_RECEIVE)
		receive_done(link, res);
	else if (op->step == STEP_SEND && !link->stopping)
		send_in_done(link, res);
	else if (op->step == STEP_FILL && link->in.pipe)
		splice_in_filled(link, res);
	else if (op->step == STEP_DRAIN && !link->stopping)
		splice_in_drained(link, res);
	stream_run(link);
}

/* --- worker to peer --------------------------------------------------------------------------- */

/* Nothing is written: wait without a buffer. */
void stream_wait_out(struct link *link)
{
	stream_drop_buffer(link, &link->out);
	link->out_drained = false;
	link->out_op.step = STEP_WAIT;
	ring_poll(&link->relay->ring, &link->out_op, link->pair.fd, POLLIN);
}

void stream_wait_room_out(struct link *link)
{
	link->out_op.step = STEP_WAIT_ROOM;
	ring_poll(&link->relay->ring, &link->out_op, link->tls.fd, POLLOUT);
}

static void send_bytes(struct link *link, const uint8_t *bytes, size_t len)
{
	struct msghdr *msg = NULL;
	ssize_t n = rio_send_prep(link->conn, bytes, len, &msg);

	if (n < 0) {
		link_fail_out(link, (int)n);
		return;
	}
	if (!msg)
		return;
	link->out_op.step = STEP_SEND;
	ring_sendmsg(&link->relay->ring, &link->out_op, link->tls.fd, msg);
}

/* Control records that wait go first, also when there is no data. */
static void send_out(struct link *link)
{
	struct flow *out = &link->out;

	send_bytes(link, out->len ? out->buf + out->off : NULL, out->len);
}

void stream_send_control(struct link *link)
{
	send_bytes(link, NULL, 0);
}

static void read_out(struct link *link)
{
	struct flow *out = &link->out;

	if (!has_buffer(link, out)) {
		out->discard = out->ended = true;
		return;
	}
	link->out_op.step = STEP_RECEIVE;
	ring_recv(&link->relay->ring, &link->out_op, link->pair.fd, out->buf, RELAY_CHUNK);
}

static void end_out(struct link *link)
{
	stream_drop_buffer(link, &link->out);
	link_end_out(link);
	if (!link->out.shut && !link->out.discard)
		stream_wait_room_out(link);
}

static void run_out(struct link *link)
{
	struct flow *out = &link->out;
	int turns = TURNS;

	while (!link->out_op.busy && !link->stopping) {
		if (out->discard) {
			splice_give_back(link, out);
			out->len = 0;
		}
		if (out->pipe && turns-- == 0) {
			yield(link, &link->out_op);
		} else if (out->pipe) {
			splice_out(link);
		} else if (!out->discard && (out->len || rio_send_pending(link->conn))) {
			send_out(link);
		} else if (out->ended) {
			end_out(link);
			return;
		} else if (link->out_drained) {
			stream_wait_out(link);
		} else if (!splice_out_begins(link)) {
			read_out(link);
		}
	}
}

static void send_out_done(struct link *link, int res)
{
	ssize_t n = rio_send_done(link->conn, res);

	if (n < 0 && n != -SLUICE_E_AGAIN) {
		link_fail_out(link, (int)n);
		return;
	}
	if (n > 0) {
		written(link, &link->out, (size_t)n);
		link->since_ms = link->relay->loop.now_ms;
	}
	if (res == -EAGAIN && !link->stopping)
		stream_wait_room_out(link);
}

void stream_out_ended(struct link *link, int res)
{
	link->out.ended = true;
	if (res < 0) /* unix(7): closed with bytes in it that nobody had read */
		link->aborted = true;
	link->in.discard = link->in.discard || res < 0;
}

static void read_out_done(struct link *link, int res)
{
	struct flow *out = &link->out;

	if (res > 0) {
		out->off = 0;
		out->len = (size_t)res;
		link->out_drained = res < RELAY_CHUNK;
		splice_note_read(out, (size_t)res);
	} else if (res == -EAGAIN && !link->stopping) {
		stream_wait_out(link);
	} else if (res == 0 || (res != -EAGAIN && res != -EINTR && res != -ECANCELED)) {
		stream_out_ended(link, res);
	}
}

static void out_done(struct op *op, int res)
{
	struct link *link = owner_of(op, struct link, out_op);

	if (op->step == STEP_SEND)
		send_out_done(link, res);
	else if (op->step == STEP_RECEIVE)
		read_out_done(link, res);
	else if (op->step == STEP_FILL && link->out.pipe)
		splice_out_filled(link, res);
	else if (op->step == STEP_DRAIN)
		splice_out_drained(link, res);
	stream_run(link);
}

/* --- both ------------------------------------------------------------------------------------- */

static bool is_idle(const struct link *link)
{
	return !link->in_op.busy && !link->out_op.busy;
}

bool stream_stop(struct link *link, const char *why)
{
	struct ring *ring = &link->relay->ring;

	if (is_idle(link)) {
		stream_drop_buffer(link, &link->in);
		stream_drop_buffer(link, &link->out);
		return true;
	}
	link->why = why;
	if (link->stopping)
		return false;
	link->stopping = true;
	if (link->in_op.busy)
		ring_cancel(ring, &link->in_op);
	if (link->out_op.busy)
		ring_cancel(ring, &link->out_op);
	return false;
}

static void stopped(struct link *link)
{
	link->stopping = false;
	if (link->why)
		link_close(link, link->why);
	else
		link_linger(link);
}

/* That the worker is gone is told once, by the loop: nothing may be read or written for long. */
static bool watch_hang_up(struct link *link)
{
	return loop_watch(&link->relay->loop, &link->pair, EPOLLET) == 0;
}

static bool begin(struct link *link)
{
	if (link->in_op.done)
		return true;
	link->in_op.done = in_done;
	link->out_op.done = out_done;
	return watch_hang_up(link);
}

void stream_run(struct link *link)
{
	if (link->stopping) {
		if (is_idle(link))
			stopped(link);
		return;
	}
	if (!begin(link)) {
		link_fail_here(link);
		link_close(link, "no memory to watch it");
		return;
	}
	run_out(link);
	run_in(link);
	/* The answer to a control record does not wait until the worker writes. */
	if (link->out_op.busy && link->out_op.step == STEP_WAIT && rio_send_pending(link->conn))
		ring_cancel(&link->relay->ring, &link->out_op);
	if (link->hung_up && !link->is_timed) {
		link->since_ms = link->relay->loop.now_ms;
		link_timed(link);
	}
	link_settle(link);
}
