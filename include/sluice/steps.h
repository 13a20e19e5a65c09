/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that make the system calls of a connection themselves, as IORING_OP_RECVMSG and IORING_OP_SENDMSG
 * on sluice_conn_fd(): ask for a message, perform it, report the result. Works on both record paths; control
 * records, new keys and limits are the library's, as under sluice_recv() and sluice_send(), which may be used
 * in between while nothing is in flight in their direction.
 *
 * At most one receive and one send may be in flight. Their messages are the connection's and stay until the
 * result is reported, buffers the caller's. Before sluice_close() and its like both have been reported, a
 * cancelled one with -ECANCELED. IORING_RECVSEND_POLL_FIRST must not be used, nor flags but MSG_DONTWAIT and MSG_NOSIGNAL.
 *
 *	n = sluice_recv_prep(conn, buf, sizeof(buf), &msg);
 *	if (n == 0)
 *		io_uring_prep_recvmsg(sqe, sluice_conn_fd(conn), msg, 0);
 *	... and with its completion
 *	n = sluice_recv_done(conn, cqe->res);
 *	if (sluice_send_pending(conn))
 *		... sluice_send_prep(conn, NULL, 0, &msg), if no send is in flight
 */
#ifndef SLUICE_STEPS_H
#define SLUICE_STEPS_H

#include <sluice/sluice.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * sluice_recv_prep() returns the bytes that are in @buf already, without a receive; or 0, and *@ret_msg is what
 * is to be received. Errors: those of sluice_recv() but TIMEOUT, where AGAIN is to call it again; INVALID (@buf_len
 * is 0).
 */
ssize_t sluice_recv_prep(struct sluice_conn *conn, void *buf, size_t buf_len,
			 struct msghdr **ret_msg);

/*
 * sluice_recv_done() takes the receive's result, a count or -errno. Returns the bytes that are in the buffer now.
 * Errors: AGAIN (prepare another: it was a control record, part of a record, or nothing), and those of
 * sluice_recv().
 */
ssize_t sluice_recv_done(struct sluice_conn *conn, ssize_t res);

/*
 * sluice_send_prep() sets *@ret_msg to what is to be sent next: something that the library has to send, or a part
 * of @buf, or NULL: nothing (@buf_len is 0). Returns 0 or more; which bytes of @buf were accepted says
 * sluice_send_done(). Errors: those of sluice_send() but AGAIN and TIMEOUT; STATE (a send is in flight).
 */
ssize_t sluice_send_prep(struct sluice_conn *conn, const void *buf, size_t buf_len,
			 struct msghdr **ret_msg);

/*
 * sluice_send_done() takes the send's result, a count or -errno. Returns how many bytes of the buffer are accepted, 0
 * or more: prepare again with the rest. Errors: those of sluice_send(), where an alert may be pending; STATE (no send
 * was prepared).
 */
ssize_t sluice_send_done(struct sluice_conn *conn, ssize_t res);

/* sluice_send_pending() returns whether the library has something to send: prepare with @buf_len 0, or with data. */
int sluice_send_pending(const struct sluice_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
