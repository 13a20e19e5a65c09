/* SPDX-License-Identifier: Apache-2.0 */
/* Receiving by io_uring from sockets with kernel TLS: part of sluice/uring.h, which says how it is used. */
#ifndef SLUICE_URING_RECV_H
#define SLUICE_URING_RECV_H

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <liburing.h>
#include <linux/tls.h>

#include <sluice/uring-messages.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* The control message that has a record's type (cmsg(3)): a struct cmsghdr and one byte. */
union sluice_uring_cmsg {
	size_t align;
	unsigned char bytes[CMSG_SPACE(1)];
};

/* That its level, its type and the byte are in a row, as sluice_uring_cmsg_is_data() needs it. */
typedef char sluice_uring_cmsg_layout[offsetof(struct cmsghdr, cmsg_level) + 8 == CMSG_LEN(0) &&
						      offsetof(struct cmsghdr, cmsg_type) + 4 ==
							      CMSG_LEN(0)
					      ? 1
					      : -1];

/*
 * struct sluice_uring_recv - a receive. The caller's, and in place until the completion; of a multishot
 * receive, until the last one.
 */
struct sluice_uring_recv {
	struct msghdr msg;
	struct iovec iov;
	union sluice_uring_cmsg cmsg;
};

/* What a completion is. */
enum sluice_uring_result {
	SLUICE_URING_DATA, /* bytes of the stream, of an empty record none: that is not the end */
	SLUICE_URING_CONTROL,    /* a control record: sluice_uring_next() */
	SLUICE_URING_NEEDS_TYPE, /* no type was received: receive again, by recvmsg */
	SLUICE_URING_END,        /* FIN. The stream was whole only if close_notify came before */
	SLUICE_URING_AGAIN,      /* nothing has happened: receive again */
	SLUICE_URING_KEYS,       /* EKEYEXPIRED: the kernel waits for the new receiving key */
	SLUICE_URING_NO_BUFFERS, /* ENOBUFS: the group had none; give some back, then receive again */
	SLUICE_URING_BAD_RECORD, /* sluice_uring_alert_for() says which alert is due; nothing more comes */
	SLUICE_URING_FAILED, /* -errno of the socket or the call: nothing can be received any more */
};

/*
 * sluice_uring_make_blocking() is for who splices into a socket: of all operations here, only that one asks for
 * the flag, and fails with -EAGAIN where it would wait. It is of the open file description: of all processes
 * that have it. Returns 0 or -errno.
 */
static inline int sluice_uring_make_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

/*
 * sluice_uring_prep_recvmsg() receives up to @len bytes (not 0) of one kind of record, and its type. For a
 * registered file set IOSQE_FIXED_FILE in sqe->flags afterwards, here as everywhere below.
 */
static inline void sluice_uring_prep_recvmsg(struct io_uring_sqe *sqe, int fd,
					     struct sluice_uring_recv *recv, void *buf, size_t len)
{
	memset(recv, 0, sizeof(*recv));
	recv->iov.iov_base = buf;
	recv->iov.iov_len = len;
	recv->msg.msg_iov = &recv->iov;
	recv->msg.msg_iovlen = 1;
	recv->msg.msg_control = recv->cmsg.bytes;
	recv->msg.msg_controllen = sizeof(recv->cmsg.bytes);
	io_uring_prep_recvmsg(sqe, fd, &recv->msg, 0);
}

/*
 * sluice_uring_prep_recv() receives data and nothing else: a control record stays in the socket and is
 * SLUICE_URING_NEEDS_TYPE. Saves the control message where hardly anything but data comes.
 */
static inline void sluice_uring_prep_recv(struct io_uring_sqe *sqe, int fd, void *buf, size_t len)
{
	io_uring_prep_recv(sqe, fd, buf, len, 0);
}

/*
 * Whether a control message says that its record is data, by one comparison: cmsg_level, cmsg_type and the
 * byte behind them are nine bytes in a row, and eight of them are enough: no other level that a TCP socket
 * has control messages of is SOL_TLS but for its first byte.
 */
static inline bool sluice_uring_cmsg_is_data(const unsigned char *cmsg)
{
	static const struct {
		int level, type;
		unsigned char record;
	} data = { SOL_TLS, TLS_GET_RECORD_TYPE, SLUICE_URING_TYPE_DATA };
	const size_t last = CMSG_LEN(0);

	return memcmp(cmsg + last - 7, (const unsigned char *)&data + 1, 8) == 0;
}

/*
 * sluice_uring_is_data() tells whether a completed sluice_uring_prep_recvmsg() brought data: @res (cqe->res)
 * bytes. The control message was zeroed before, so that a receive that brought none needs no test of its own.
 */
static inline bool sluice_uring_is_data(const struct sluice_uring_recv *recv, int res)
{
	return res >= 0 && sluice_uring_cmsg_is_data(recv->cmsg.bytes);
}

/* The type that a control message of @len bytes has, or -1: it is not of kernel TLS. */
static inline int sluice_uring_cmsg_type(const void *cmsg, size_t len)
{
	const struct cmsghdr *head = (const struct cmsghdr *)cmsg;

	if (len < CMSG_LEN(1) || head->cmsg_len != CMSG_LEN(1) || head->cmsg_level != SOL_TLS ||
	    head->cmsg_type != TLS_GET_RECORD_TYPE)
		return -1;
	return ((const unsigned char *)cmsg)[CMSG_LEN(0)];
}

/* What a negative completion of a receive is. */
static inline enum sluice_uring_result sluice_uring_failed(int res)
{
	switch (-res) {
	case EAGAIN:
	case EINTR:
	case ECANCELED:
		return SLUICE_URING_AGAIN;
	case EIO: /* a control record and no room for its type */
		return SLUICE_URING_NEEDS_TYPE;
	case EKEYEXPIRED:
		return SLUICE_URING_KEYS;
	case ENOBUFS:
		return SLUICE_URING_NO_BUFFERS;
	case EBADMSG:
	case EMSGSIZE:
	case EINVAL: /* the record's version */
		return SLUICE_URING_BAD_RECORD;
	default:
		return SLUICE_URING_FAILED;
	}
}

/* What a completion with a control message of @cmsg_len bytes is. Fills *@ret as far as it is a record. */
static inline enum sluice_uring_result sluice_uring_sort(int flags, const void *cmsg,
							 size_t cmsg_len, const void *data,
							 size_t len,
							 struct sluice_uring_record *ret)
{
	int type;

	if ((flags & MSG_CTRUNC) || (cmsg_len == 0 && len))
		return SLUICE_URING_FAILED; /* bytes of an unknown type are nobody's */
	if (cmsg_len == 0)
		return SLUICE_URING_END;
	type = sluice_uring_cmsg_type(cmsg, cmsg_len);
	if (type < 0)
		return SLUICE_URING_FAILED;
	ret->data = (const uint8_t *)data;
	ret->len = len;
	ret->type = (uint8_t)type;
	ret->end = len == 0 || (flags & MSG_EOR);
	if (type == SLUICE_URING_TYPE_DATA)
		return SLUICE_URING_DATA;
	return len ? SLUICE_URING_CONTROL
		   : SLUICE_URING_BAD_RECORD; /* RFC 8446, 5.1: none is empty */
}

/*
 * sluice_uring_result() tells what a completed sluice_uring_prep_recvmsg() brought; @res is cqe->res. *@ret
 * is set with DATA and CONTROL.
 */
static inline enum sluice_uring_result sluice_uring_result(const struct sluice_uring_recv *recv,
							   int res, struct sluice_uring_record *ret)
{
	if (res < 0)
		return sluice_uring_failed(res);
	return sluice_uring_sort(recv->msg.msg_flags, recv->cmsg.bytes, recv->msg.msg_controllen,
				 recv->iov.iov_base, (size_t)res, ret);
}

/*
 * sluice_uring_plain_result() is that of sluice_uring_prep_recv(): DATA with @res bytes, or why there are
 * none. 0 is NEEDS_TYPE: only a control message tells an empty record from the end.
 */
static inline enum sluice_uring_result sluice_uring_plain_result(int res)
{
	if (res < 0)
		return sluice_uring_failed(res);
	return res ? SLUICE_URING_DATA : SLUICE_URING_NEEDS_TYPE;
}

/*
 * sluice_uring_alert_for() is the alert that SLUICE_URING_BAD_RECORD is answered with. The error lies on the
 * socket until it is taken, and nothing can be sent before: sluice_uring_clear_error().
 */
static inline uint8_t sluice_uring_alert_for(int res)
{
	if (res == -EBADMSG)
		return SLUICE_URING_BAD_RECORD_MAC;
	return res == -EMSGSIZE ? SLUICE_URING_RECORD_OVERFLOW : SLUICE_URING_UNEXPECTED_MESSAGE;
}

/* sluice_uring_clear_error() takes the error off the socket (SO_ERROR, socket(7)) and returns it. */
static inline int sluice_uring_clear_error(int fd)
{
	socklen_t len = sizeof(int);
	int err = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

/* --- receiving into provided buffers -------------------------------------------------------- */

/* What a multishot receive writes before the payload: these bytes of each buffer are not the caller's. */
#define SLUICE_URING_HEAD (sizeof(struct io_uring_recvmsg_out) + CMSG_SPACE(1))

/* The least length of a buffer that a whole record fits in (RFC 8446, 5.1), in steps of a cache line. */
#define SLUICE_URING_BUFFER ((16384 + SLUICE_URING_HEAD + 63) / 64 * 64)

/* struct sluice_uring_buffers - a group of buffers that the kernel takes from (io_uring_register_buf_ring(3)). */
struct sluice_uring_buffers {
	struct io_uring_buf_ring *ring;
	uint8_t *memory;
	size_t mapped, size;
	unsigned int n;
	uint16_t group;
};

static inline uint8_t *sluice_uring_buffer(const struct sluice_uring_buffers *buffers,
					   unsigned int id)
{
	return buffers->memory + (size_t)id * buffers->size;
}

/* sluice_uring_buffer_return() gives buffer @id to the kernel again: nothing of it may be in use. */
static inline void sluice_uring_buffer_return(struct sluice_uring_buffers *buffers, unsigned int id)
{
	io_uring_buf_ring_add(buffers->ring, sluice_uring_buffer(buffers, id),
			      (unsigned int)buffers->size, (unsigned short)id,
			      io_uring_buf_ring_mask(buffers->n), 0);
	io_uring_buf_ring_advance(buffers->ring, 1);
}

/*
 * sluice_uring_buffers_init() registers @n (a power of two, at most 32768) buffers of @size bytes as group
 * @group. Returns 0 or -errno; -EINVAL also of kernels that have no such rings.
 */
static inline int sluice_uring_buffers_init(struct sluice_uring_buffers *buffers,
					    struct io_uring *uring, uint16_t group, unsigned int n,
					    size_t size)
{
	struct io_uring_buf_reg reg;
	size_t ring_len = (n * sizeof(struct io_uring_buf) + 4095) / 4096 * 4096;
	unsigned int i;
	void *memory;
	int r;

	memset(buffers, 0, sizeof(*buffers));
	if (n == 0 || n > 32768 || (n & (n - 1)) || size <= SLUICE_URING_HEAD || size > 1u << 30)
		return -EINVAL;
	buffers->mapped = ring_len + n * size;
	memory = mmap(NULL, buffers->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED)
		return -errno;
	memset(&reg, 0, sizeof(reg));
	reg.ring_addr = (uint64_t)(uintptr_t)memory;
	reg.ring_entries = n;
	reg.bgid = group;
	r = io_uring_register_buf_ring(uring, &reg, 0);
	if (r < 0) {
		munmap(memory, buffers->mapped);
		return r;
	}
	buffers->ring = (struct io_uring_buf_ring *)memory;
	buffers->memory = (uint8_t *)memory + ring_len;
	buffers->size = size;
	buffers->n = n;
	buffers->group = group;
	for (i = 0; i < n; i++)
		sluice_uring_buffer_return(buffers, i);
	return 0;
}

/* sluice_uring_buffers_free() takes the group away. No receive may use it any more. May be called twice. */
static inline void sluice_uring_buffers_free(struct sluice_uring_buffers *buffers,
					     struct io_uring *uring)
{
	if (!buffers->ring)
		return;
	io_uring_unregister_buf_ring(uring, buffers->group);
	munmap(buffers->ring, buffers->mapped);
	buffers->ring = NULL;
}

/*
 * sluice_uring_prep_recvmsg_multishot() receives, one completion for each record or more, until a completion
 * is without IORING_CQE_F_MORE. It reads on without being asked, so it is for who cannot be sent another
 * message before a KeyUpdate in one record: servers, and TLS 1.2. A client receives by
 * sluice_uring_prep_recvmsg() (docs/uring.md, "Multishot").
 */
static inline void sluice_uring_prep_recvmsg_multishot(struct io_uring_sqe *sqe, int fd,
						       struct sluice_uring_recv *recv,
						       uint16_t group)
{
	memset(recv, 0, sizeof(*recv));
	recv->msg.msg_controllen = sizeof(recv->cmsg.bytes);
	io_uring_prep_recvmsg_multishot(sqe, fd, &recv->msg, 0);
	sqe->flags |= IOSQE_BUFFER_SELECT;
	sqe->buf_group = group;
}

/*
 * sluice_uring_multishot_result() is sluice_uring_result() of a completion of that. With a buffer
 * (IORING_CQE_F_BUFFER), *@ret_id is to be given back once *@ret was used; without one it is -1. A buffer
 * comes with END too. Two comparisons tell data: an old control message may lie in a buffer.
 */
static inline enum sluice_uring_result
sluice_uring_multishot_result(const struct sluice_uring_buffers *buffers,
			      const struct io_uring_cqe *cqe, struct sluice_uring_record *ret,
			      int *ret_id)
{
	const struct io_uring_recvmsg_out *out;
	const uint8_t *buf;
	size_t len;

	*ret_id = -1;
	if (cqe->flags & IORING_CQE_F_BUFFER)
		*ret_id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
	if (cqe->res < 0)
		return sluice_uring_failed(cqe->res);
	if (*ret_id < 0 || (unsigned int)*ret_id >= buffers->n ||
	    (size_t)cqe->res < SLUICE_URING_HEAD || (size_t)cqe->res > buffers->size)
		return SLUICE_URING_FAILED;
	buf = sluice_uring_buffer(buffers, (unsigned int)*ret_id);
	out = (const struct io_uring_recvmsg_out *)buf;
	len = (size_t)cqe->res - SLUICE_URING_HEAD;
	if (out->controllen == CMSG_SPACE(1) && sluice_uring_cmsg_is_data(buf + sizeof(*out))) {
		ret->data = buf + SLUICE_URING_HEAD;
		ret->len = len;
		ret->type = SLUICE_URING_TYPE_DATA;
		ret->end = len == 0 || (out->flags & MSG_EOR);
		return SLUICE_URING_DATA;
	}
	return sluice_uring_sort((int)out->flags, buf + sizeof(*out), out->controllen,
				 buf + SLUICE_URING_HEAD, len, ret);
}

#ifdef __cplusplus
}
#endif
#endif
