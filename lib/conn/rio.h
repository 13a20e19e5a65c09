/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Record I/O on an established connection for programs that make the system calls themselves
 * (io_uring): ask for a msghdr, perform recvmsg or sendmsg on sluice_conn_fd(), report the result.
 * The verbs of sluice.h are written over the same four steps. At most one receive and one send may
 * be in flight.
 *
 * Receiving:  n = rio_recv_prep(conn, buf, len, &msg);
 *             n > 0: that many bytes are in buf already; n == 0: perform the receive, then
 *             n = rio_recv_done(conn, res): bytes in buf, or -SLUICE_E_AGAIN: start again.
 * Sending:    n = rio_send_prep(conn, buf, len, &msg);
 *             n > 0 or (n == 0 and msg != NULL): perform the send, then rio_send_done(conn, res)
 *             returns how many of @buf's bytes are accepted. Give the rest again.
 * Handling a control record may leave something to send (rio_send_pending()): prep a send with
 * @len 0 then, before or instead of data. After a negative result other than AGAIN the same is
 * true: an alert may be pending.
 */
#ifndef SLUICE_CONN_RIO_H
#define SLUICE_CONN_RIO_H

#include <stdbool.h>

#include <sluice/sluice.h>

/* rio_recv_here() gives what needs no receive: bytes in buf, 0 for none, or an error. */
ssize_t rio_recv_here(struct sluice_conn *conn, void *buf, size_t buf_len);

ssize_t rio_recv_prep(struct sluice_conn *conn, void *buf, size_t buf_len, struct msghdr **ret_msg);
ssize_t rio_recv_done(struct sluice_conn *conn, ssize_t res);

ssize_t rio_send_prep(struct sluice_conn *conn, const void *buf, size_t buf_len,
		      struct msghdr **ret_msg);
ssize_t rio_send_done(struct sluice_conn *conn, ssize_t res);
bool rio_send_pending(const struct sluice_conn *conn);

/* rio_sendfile_direct() tells whether plaintext may be spliced into the socket (kernel path). */
bool rio_sendfile_direct(const struct sluice_conn *conn);

/*
 * rio_direct_room() cuts @len to what the next splice or sendfile may move: until keys change, or records
 * another size. Returns 0, with something to send first if rio_send_pending() (a KeyUpdate may have been
 * queued), or an error.
 */
int rio_direct_room(struct sluice_conn *conn, size_t *len);

/*
 * rio_may_hold() tells whether a send may leave its record open for what follows (MSG_MORE): on the kernel
 * path, unless the end of a send is what keeps records small.
 */
bool rio_may_hold(const struct sluice_conn *conn);

/* rio_sent_direct() counts @n bytes that went into the socket by splice or sendfile. */
void rio_sent_direct(struct sluice_conn *conn, size_t n);

/*
 * rio_direct_failed() is what splice's or sendfile's errno means for the connection. Returns 0 for one
 * that passes (EAGAIN), or the error that ended it.
 */
int rio_direct_failed(struct sluice_conn *conn, int err);

/*
 * rio_receive_direct() tells whether the next bytes of plaintext may be spliced out of the socket (kernel
 * path): nothing that came before them is kept here. rio_received_direct() counts @n that were. Returns 0, or
 * the error that data in this place are. Whatever else splice says, a receive is what comes next.
 */
bool rio_receive_direct(const struct sluice_conn *conn);
int rio_received_direct(struct sluice_conn *conn, size_t n);

/*
 * rio_close_notify() queues close_notify behind everything accepted; send until !rio_send_pending(),
 * then shut the socket down and free with sluice_close(), which then waits for nothing.
 */
int rio_close_notify(struct sluice_conn *conn);

/* rio_accepted() makes a connection of an accepted socket; owns @fd only on success. */
int rio_accepted(struct sluice_listener *listener, int fd, struct sluice_conn **ret_conn);

#endif
