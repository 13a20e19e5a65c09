// SPDX-License-Identifier: Apache-2.0
/*
 * How a connection ends: what the end or the failure of one side is to the other. Both ways of moving
 * data (pump.c, stream.c) find out, and come here.
 *
 * What a worker can tell: after close_notify its reads end and its writes go on. When the connection
 * failed the pair is closed: reads end, writes are refused, poll(2) says POLLHUP.
 */
#include <errno.h>
#include <sys/socket.h>

#include "relay/relay.h"

void link_fail(struct link *link, int code)
{
	if (!link->failure)
		link->failure = code;
}

/* Bytes are lost that the other side believes to be on their way: it must not end in order. */
void link_fail_here(struct link *link)
{
	link_fail(link, -SLUICE_E_NOMEM);
	link->in.ended = true;
	link->abort_due = true;
}

/* Where the connection failed the end is not told as one: the pair will be closed. */
void link_end_in(struct link *link)
{
	if (link->in.shut || link->failure)
		return;
	shutdown(link->pair.fd, SHUT_WR);
	link->in.shut = true;
}

/*
 * A peer that reset the connection may have said something before: that is still received. After any
 * other failure there is nothing more.
 */
void link_fail_out(struct link *link, int code)
{
	link_fail(link, code);
	link->out.discard = true;
	if (code != -SLUICE_E_RESET)
		link->in.ended = true;
}

/*
 * Who writes to a socket that was reset is told so, and who reads it afterwards only that there is nothing
 * more (tcp(7): an error is told once), as if it had ended in order.
 */
void link_refused_in(struct link *link, int err)
{
	link->in.discard = true;
	link->aborted = link->aborted || err == ECONNRESET;
}

/*
 * close_notify. A worker that closed without having read everything would have reset a TCP
 * connection: its peer gets an alert behind what was written.
 */
void link_end_out(struct link *link)
{
	int r;

	if (link->out.shut || link->out.discard)
		return;
	r = link->aborted ? sluice_conn_dispatch(link->conn)
			  : sluice_shutdown(link->conn, SHUT_WR, SLUICE_NOWAIT);
	if (r == -SLUICE_E_AGAIN)
		return;
	if (r < 0)
		link_fail_out(link, r);
	else if (link->aborted)
		sluice_abort(link->conn, SLUICE_ALERT_INTERNAL_ERROR);
	link->out.shut = r == 0;
}

bool link_settle(struct link *link)
{
	bool in_done = link->in.ended && !link->in.len;

	if (link->failure && in_done) {
		plain_tell_ended(link, link->failure, sluice_strerror(link->failure));
		link_close(link, sluice_strerror(link->failure));
	} else if (link->out.shut && link->aborted) {
		link_close(link, "reset by its worker");
	} else if (link->out.shut && in_done) {
		link_close(link, "ended");
	} else if (link->out.shut && (link->hung_up || link->in.discard)) {
		link_linger(link);
	} else {
		return false;
	}
	return true;
}
