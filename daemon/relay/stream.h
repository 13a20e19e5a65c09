/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ways of the ring share: through a buffer (stream.c), and through a pipe (splice.c). */
#ifndef SLUICE_RELAY_STREAM_H
#define SLUICE_RELAY_STREAM_H

#include "relay/relay.h"

enum step {
	STEP_RECEIVE,
	STEP_SEND,
	STEP_WAIT,
	STEP_WAIT_ROOM,
	STEP_FILL,  /* socket to pipe */
	STEP_DRAIN, /* pipe to socket */
	STEP_YIELD,
};

/* --- stream.c --------------------------------------------------------------------------------- */

void stream_drop_buffer(struct link *link, struct flow *flow);

/* Nothing has come: it waits with neither buffer nor pipe. Or the other side takes nothing. */
void stream_wait_in(struct link *link);
void stream_wait_out(struct link *link);
void stream_wait_room_in(struct link *link);
void stream_wait_room_out(struct link *link);

/* stream_receive_failed() ends what comes from the peer, stream_out_ended() what the worker writes: @res 0 or -errno. */
void stream_receive_failed(struct link *link, int code);
void stream_out_ended(struct link *link, int res);

/* stream_send_control() sends the control records that wait. */
void stream_send_control(struct link *link);

/* --- splice.c --------------------------------------------------------------------------------- */

/* splice_note_read() counts reads that were large: after some in a row *_begins() returns true, and there is a pipe. */
void splice_note_read(struct flow *flow, size_t n);
bool splice_in_begins(struct link *link);
bool splice_out_begins(struct link *link);

/* splice_in() and splice_out() do one step, or start it; the others take its result. */
void splice_in(struct link *link);
void splice_in_filled(struct link *link, int res);
void splice_in_drained(struct link *link, int res);
void splice_out(struct link *link);
void splice_out_filled(struct link *link, int res);
void splice_out_drained(struct link *link, int res);

/* splice_give_back() ends it: what is in the pipe is lost. */
void splice_give_back(struct link *link, struct flow *flow);

#endif
