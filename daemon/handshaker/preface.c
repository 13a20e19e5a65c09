// SPDX-License-Identifier: Apache-2.0
#include "handshaker/preface.h"

#include <errno.h>
#include <sys/socket.h>

#include <sluice/error.h>

#include "core/sys.h"
#include "record/record.h"

#define PIECE 512

/* recvmsg(2) and nothing else: the handshaker may make no other call. */
static ssize_t receive(int fd, void *buf, size_t len, int flags)
{
	struct iovec iov = { buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	do {
		n = sys->recvmsg(fd, &msg, flags | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n;
}

static int failure(ssize_t n, const char **ret_error)
{
	if (n < 0 && errno == EAGAIN)
		return -SLUICE_E_AGAIN;
	*ret_error = n < 0 ? "receiving the first bytes"
			   : "the peer closed the connection before its first bytes were whole";
	return n < 0 ? -sys_errno_code(errno) : -SLUICE_E_TRUNCATED;
}

int preface_header(struct proxy *proxy, int fd, const char **ret_error)
{
	uint8_t buf[PIECE];
	size_t used;
	ssize_t n;

	while (proxy->status == PROXY_MORE) {
		n = receive(fd, buf, sizeof(buf), MSG_PEEK);
		if (n <= 0)
			return failure(n, ret_error);
		used = proxy_feed(proxy, buf, (size_t)n);
		/* What was looked at is there. */
		n = receive(fd, buf, used, 0);
		if (n != (ssize_t)used)
			return failure(n < 0 ? n : 0, ret_error);
	}
	*ret_error = proxy->error;
	return proxy->status == PROXY_DONE ? 0 : -SLUICE_E_PROTOCOL;
}

int preface_is_tls(int fd, const char **ret_error)
{
	uint8_t byte;
	ssize_t n = receive(fd, &byte, 1, MSG_PEEK);

	return n == 1 ? byte == RECORD_HANDSHAKE : failure(n, ret_error);
}
