/* SPDX-License-Identifier: Apache-2.0 */
/* Sending by io_uring to sockets with kernel TLS, and closing them: part of sluice/uring.h, which says how it is used. */
#ifndef SLUICE_URING_SEND_H
#define SLUICE_URING_SEND_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <liburing.h>
#include <linux/tls.h>

#include <sluice/uring-recv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* struct sluice_uring_send - a send of a control record. In place until the completion. */
struct sluice_uring_send {
	struct msghdr msg;
	struct iovec iov;
	union sluice_uring_cmsg cmsg;
	uint8_t bytes[8];
};

/*
 * sluice_uring_prep_send() and sluice_uring_prep_sendmsg() send data. A send makes records of its own; with
 * @more what does not fill one waits for the next send without, and is lost if none comes before the close.
 * sluice_uring_prep_sendmsg() takes no control message together with @more (EINVAL). A count that is short is
 * not a failure: send the rest. What a completion counts is accepted, not yet on the wire.
 */
static inline void sluice_uring_prep_send(struct io_uring_sqe *sqe, int fd, const void *buf,
					  size_t len, bool more)
{
	io_uring_prep_send(sqe, fd, buf, len, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

static inline void sluice_uring_prep_sendmsg(struct io_uring_sqe *sqe, int fd,
					     const struct msghdr *msg, bool more)
{
	io_uring_prep_sendmsg(sqe, fd, msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
}

/* Fills @send with a record of @type. */
static inline void sluice_uring_set_record(struct sluice_uring_send *send, uint8_t type,
					   const void *data, size_t len)
{
	struct cmsghdr *head = (struct cmsghdr *)send->cmsg.bytes;

	memset(&send->msg, 0, sizeof(send->msg));
	memset(&send->cmsg, 0, sizeof(send->cmsg));
	send->iov.iov_base = (void *)(uintptr_t)data;
	send->iov.iov_len = len;
	send->msg.msg_iov = &send->iov;
	send->msg.msg_iovlen = 1;
	send->msg.msg_control = send->cmsg.bytes;
	send->msg.msg_controllen = sizeof(send->cmsg.bytes);
	head->cmsg_len = CMSG_LEN(1);
	head->cmsg_level = SOL_TLS;
	head->cmsg_type = TLS_SET_RECORD_TYPE;
	send->cmsg.bytes[CMSG_LEN(0)] = type;
}

/*
 * sluice_uring_prep_record() sends @len (1 to 16384) bytes as a record of @type. Ends a record that @more has
 * left open. The kernel takes all of it or nothing.
 */
static inline void sluice_uring_prep_record(struct io_uring_sqe *sqe, int fd,
					    struct sluice_uring_send *send, uint8_t type,
					    const void *data, size_t len)
{
	sluice_uring_set_record(send, type, data, len);
	io_uring_prep_sendmsg(sqe, fd, &send->msg, MSG_NOSIGNAL);
}

/* sluice_uring_prep_flush() ends a record that @more or SPLICE_F_MORE has left open, and sends nothing else. */
static inline void sluice_uring_prep_flush(struct io_uring_sqe *sqe, int fd,
					   struct sluice_uring_send *send)
{
	sluice_uring_prep_record(sqe, fd, send, SLUICE_URING_TYPE_DATA, NULL, 0);
}

/* Fills @send with an alert: a warning if it does not end the connection by itself (RFC 8446, 6). */
static inline void sluice_uring_set_alert(struct sluice_uring_send *send, uint8_t alert)
{
	bool warning = alert == SLUICE_URING_CLOSE_NOTIFY_ALERT ||
		       alert == SLUICE_URING_USER_CANCELED ||
		       alert == SLUICE_URING_NO_RENEGOTIATION;

	send->bytes[0] = warning ? 1 : 2;
	send->bytes[1] = alert;
	sluice_uring_set_record(send, SLUICE_URING_TYPE_ALERT, send->bytes, 2);
}

/* sluice_uring_prep_alert() sends @alert. After a fatal one only the close is left. */
static inline void sluice_uring_prep_alert(struct io_uring_sqe *sqe, int fd,
					   struct sluice_uring_send *send, uint8_t alert)
{
	sluice_uring_set_alert(send, alert);
	io_uring_prep_sendmsg(sqe, fd, &send->msg, MSG_NOSIGNAL);
}

/*
 * sluice_uring_prep_key_update() sends KeyUpdate, with @request one that asks for the peer's (RFC 8446,
 * 4.6.3). Between its submission and the new sending key nothing else may be sent, not by splice either.
 */
static inline void sluice_uring_prep_key_update(struct io_uring_sqe *sqe, int fd,
						struct sluice_uring_send *send, bool request)
{
	const uint8_t message[5] = { 24, 0, 0, 1, (uint8_t)request };

	memcpy(send->bytes, message, sizeof(message));
	sluice_uring_prep_record(sqe, fd, send, SLUICE_URING_TYPE_HANDSHAKE, send->bytes,
				 sizeof(message));
}

/*
 * splice(2), with a pipe between file or socket and socket: plaintext that the program does not touch. The
 * kernel runs these in threads of its own. Into the socket, @more leaves the last record open, as above.
 * Out of the socket nothing but data can be spliced: sluice_uring_splice_result() is NEEDS_TYPE where a
 * control record or the end is next, which sluice_uring_prep_recvmsg() fetches.
 */
static inline void sluice_uring_prep_splice_file(struct io_uring_sqe *sqe, int file_fd,
						 int64_t offset, int pipe_fd, unsigned int len)
{
	io_uring_prep_splice(sqe, file_fd, offset, pipe_fd, -1, len, 0);
}

static inline void sluice_uring_prep_splice_out(struct io_uring_sqe *sqe, int fd, int pipe_fd,
						unsigned int len)
{
	io_uring_prep_splice(sqe, fd, -1, pipe_fd, -1, len, 0);
}

static inline void sluice_uring_prep_splice_in(struct io_uring_sqe *sqe, int pipe_fd, int fd,
					       unsigned int len, bool more)
{
	io_uring_prep_splice(sqe, pipe_fd, -1, fd, -1, len, more ? SPLICE_F_MORE : 0);
}

/* What a completed sluice_uring_prep_splice_out() is: DATA with @res bytes, or why there are none. */
static inline enum sluice_uring_result sluice_uring_splice_result(int res)
{
	return res == -EINVAL ? SLUICE_URING_NEEDS_TYPE : sluice_uring_plain_result(res);
}

/* --- the end ---------------------------------------------------------------------------------- */

#define SLUICE_URING_CLOSE_SQES 7

/* struct sluice_uring_close - the end of a connection. In place until the completion. */
struct sluice_uring_close {
	struct sluice_uring_send send;
	struct __kernel_timespec limit;
};

/* One step of a close, which the next follows whatever comes of it. */
static inline void sluice_uring_close_step(struct io_uring_sqe *sqe, bool fixed)
{
	io_uring_sqe_set_data(sqe, NULL);
	sqe->flags |= IOSQE_IO_HARDLINK;
	if (fixed)
		sqe->flags |= IOSQE_FIXED_FILE;
}

/* The same, of waiting for @events. */
static inline void sluice_uring_close_wait(struct io_uring *uring, int fd, bool fixed,
					   unsigned int events, struct __kernel_timespec *limit)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(uring);

	io_uring_prep_poll_add(sqe, fd, events);
	sluice_uring_close_step(sqe, fixed);
	sqe = io_uring_get_sqe(uring);
	io_uring_prep_link_timeout(sqe, limit, 0);
	sluice_uring_close_step(sqe, false);
}

/* Room, the alert, FIN; behind a fatal one the peer's end, so that no reset overtakes it. */
static inline void sluice_uring_close_sending(struct io_uring *uring, int fd, bool fixed,
					      struct sluice_uring_close *close, uint8_t alert)
{
	struct io_uring_sqe *sqe;

	sluice_uring_close_wait(uring, fd, fixed, POLLOUT, &close->limit);
	sluice_uring_set_alert(&close->send, alert);
	sqe = io_uring_get_sqe(uring);
	io_uring_prep_sendmsg(sqe, fd, &close->send.msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	sluice_uring_close_step(sqe, fixed);
	sqe = io_uring_get_sqe(uring);
	io_uring_prep_shutdown(sqe, fd, SHUT_WR);
	sluice_uring_close_step(sqe, fixed);
	if (close->send.bytes[0] == 2)
		sluice_uring_close_wait(uring, fd, fixed, POLLRDHUP, &close->limit);
}

/*
 * sluice_uring_queue_close() closes a connection in the one order that loses nothing: room in the socket, @alert,
 * shutdown(2), close(2). Any other can lose the last record that the kernel has accepted (docs/architecture.md).
 * Cancel the receive and wait for the send first. @alert is close_notify (0), the fatal one that is due, or -1:
 * none, as after an alert or an end that came. @wait_ms is how long room is waited for at most, and behind a
 * fatal alert the peer's end: bytes that nobody has read make close(2) a reset, which overtakes it. @fixed: @fd is
 * an index of registered files.
 *
 * One completion has @user_data, the close's own. Others have 0, and are to be passed over.
 *
 * Returns 0, or -EBUSY with nothing queued: submit, and try again.
 */
static inline int sluice_uring_queue_close(struct io_uring *uring, int fd, bool fixed,
					   struct sluice_uring_close *close, int alert,
					   unsigned int wait_ms, uint64_t user_data)
{
	struct io_uring_sqe *sqe;

	if (io_uring_sq_space_left(uring) < SLUICE_URING_CLOSE_SQES)
		return -EBUSY;
	close->limit.tv_sec = wait_ms / 1000;
	close->limit.tv_nsec = wait_ms % 1000 * 1000000LL;
	if (alert >= 0)
		sluice_uring_close_sending(uring, fd, fixed, close, (uint8_t)alert);
	sqe = io_uring_get_sqe(uring);
	if (fixed)
		io_uring_prep_close_direct(sqe, (unsigned int)fd);
	else
		io_uring_prep_close(sqe, fd);
	sqe->user_data = user_data;
	return 0;
}

#ifdef __cplusplus
}
#endif
#endif
