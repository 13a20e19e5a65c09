/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring on sockets with kernel TLS: what to submit, what a completion means, and what a control record
 * asks for. For programs that have a ring of their own. Everything is inline, over liburing (2.3 or newer)
 * and linux/tls.h; nothing here has state of its own, allocates but the buffers, or waits but the probe.
 *
 *	sluice_uring_prep_recvmsg(sqe, fd, &recv, buf, sizeof(buf));
 *	... the completion:
 *	if (sluice_uring_is_data(&recv, cqe->res))
 *		... cqe->res bytes are in buf
 *	else
 *		switch (sluice_uring_result(&recv, cqe->res, &record)) ...
 *
 * What a program has to know, and how it uses this with sockets of sluiced or of libsluice, is in
 * docs/uring.md. The rules that the kernel does not enforce:
 *
 * - Never IORING_RECVSEND_POLL_FIRST: poll is silent while a KeyUpdate that was decrypted together with
 *   data waits.
 * - One receive at a time, and one send at a time: nothing else orders them.
 * - No send is in flight, and none is begun, between a KeyUpdate of ours and the new sending key.
 * - No MSG_WAITALL, MSG_ZEROCOPY, send bundles or IORING_OP_SEND_ZC on the socket: -EOPNOTSUPP.
 */
#ifndef SLUICE_URING_H
#define SLUICE_URING_H

#include <sys/socket.h>
#include <unistd.h>

#include <liburing.h>

#include <sluice/uring-messages.h>
#include <sluice/uring-recv.h>
#include <sluice/uring-send.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * struct sluice_uring_features - what this kernel's io_uring has, found by asking and trying it and not by a
 * version. What is missing has a plain path beside it.
 */
struct sluice_uring_features {
	bool messages; /* RECVMSG, SENDMSG, RECV, SEND. Without: recvmsg(2) and sendmsg(2) */
	bool close; /* all of sluice_uring_queue_close(). Without: poll(2), sendmsg(2), shutdown(2), close(2) */
	bool splice;  /* SPLICE. Without: splice(2), or a buffer */
	bool buffers; /* rings of provided buffers. Without: a buffer for each receive */
	bool multishot; /* multishot RECVMSG into them. Without: sluice_uring_prep_recvmsg() again and again */
	bool fixed; /* registered files that can be put in one by one. Without: descriptors */
};

static inline bool sluice_uring_has(const struct io_uring_probe *probe, const uint8_t *ops,
				    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!io_uring_opcode_supported(probe, ops[i]))
			return false;
	return true;
}

/* One multishot receive of a byte from a socket pair: no opcode tells whether the kernel has it. */
static inline void sluice_uring_try_multishot(struct io_uring *uring,
					      struct sluice_uring_buffers *buffers,
					      struct sluice_uring_features *features)
{
	struct __kernel_timespec limit = { 1, 0 };
	struct sluice_uring_recv recv;
	struct io_uring_cqe *cqe;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	sluice_uring_prep_recvmsg_multishot(io_uring_get_sqe(uring), pair[0], &recv,
					    buffers->group);
	if (io_uring_submit(uring) == 1 && send(pair[1], "", 1, MSG_NOSIGNAL) == 1 &&
	    io_uring_wait_cqe_timeout(uring, &cqe, &limit) == 0) {
		features->multishot = cqe->res == (int)SLUICE_URING_HEAD + 1 &&
				      (cqe->flags & IORING_CQE_F_MORE);
		io_uring_cqe_seen(uring, cqe);
	}
	close(pair[1]); /* ends the receive, which has @recv on this stack */
	close(pair[0]);
	if (features->multishot && io_uring_wait_cqe_timeout(uring, &cqe, &limit) == 0)
		io_uring_cqe_seen(uring, cqe);
}

/*
 * sluice_uring_probe() finds out, with a small ring of its own; once, at the start of a program. Returns 0, or
 * -errno: there is no io_uring (ENOSYS, EPERM), or no memory. A ring with restrictions may have less.
 */
static inline int sluice_uring_probe(struct sluice_uring_features *ret)
{
	static const uint8_t messages[] = { IORING_OP_RECVMSG, IORING_OP_SENDMSG, IORING_OP_RECV,
					    IORING_OP_SEND };
	static const uint8_t closing[] = { IORING_OP_POLL_ADD, IORING_OP_LINK_TIMEOUT,
					   IORING_OP_SHUTDOWN, IORING_OP_CLOSE };
	static const uint8_t splice[] = { IORING_OP_SPLICE };
	struct sluice_uring_buffers buffers;
	struct io_uring_probe *probe;
	struct io_uring uring;
	int r = io_uring_queue_init(4, &uring, 0);

	if (r < 0)
		return r;
	memset(ret, 0, sizeof(*ret));
	probe = io_uring_get_probe_ring(&uring);
	if (probe) {
		ret->messages = sluice_uring_has(probe, messages, sizeof(messages));
		ret->close = ret->messages && sluice_uring_has(probe, closing, sizeof(closing));
		ret->splice = sluice_uring_has(probe, splice, sizeof(splice));
		io_uring_free_probe(probe);
	}
	ret->fixed = io_uring_register_files_sparse(&uring, 1) == 0;
	if (sluice_uring_buffers_init(&buffers, &uring, 0, 1, 128) == 0) {
		ret->buffers = true;
		sluice_uring_try_multishot(&uring, &buffers, ret);
		sluice_uring_buffers_free(&buffers, &uring);
	}
	io_uring_queue_exit(&uring);
	return 0;
}

#ifdef __cplusplus
}
#endif
#endif
