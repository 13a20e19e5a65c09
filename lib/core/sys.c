/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the kernel behind struct sys_ops, and what an errno means. The calls are raw: EINTR,
 * EAGAIN and short counts are passed on, because only the caller knows whether to go on, to wait or
 * to look at a deadline first. It must never retry, log or change an argument.
 */
#include "core/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include <sluice/error.h>

/*
 * glibc declares the address argument of these five as a transparent union, and fcntl() and open()
 * as variadic: their own types do not fit the table.
 */
static int real_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return bind(fd, addr, len);
}

static int real_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return accept4(fd, addr, len, flags);
}

static int real_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return connect(fd, addr, len);
}

static int real_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getsockname(fd, addr, len);
}

static int real_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return getpeername(fd, addr, len);
}

static int real_fcntl(int fd, int cmd, int arg)
{
	return fcntl(fd, cmd, arg);
}

static int real_open(const char *path, int flags, mode_t mode)
{
	return open(path, flags, mode);
}

/*
 * sendfile(2) has no MSG_NOSIGNAL: a peer that is gone would end the whole process. The signal goes
 * to the thread that made the call, so it is held off and taken back there. A caller that blocks
 * SIGPIPE itself keeps what it finds pending.
 */
static ssize_t real_sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
	static const struct timespec at_once;
	sigset_t sigpipe, before;
	ssize_t n;
	int err;

	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	n = sendfile(out_fd, in_fd, offset, count);
	err = errno;
	if (!sigismember(&before, SIGPIPE)) {
		if (n < 0 || (size_t)n < count)
			sigtimedwait(&sigpipe, NULL, &at_once);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	errno = err;
	return n;
}

/* clock_gettime(2) cannot fail for these two clocks. */
static uint64_t real_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int64_t real_wall_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec;
}

const struct sys_ops sys_real = {
	.socket = socket,
	.bind = real_bind,
	.listen = listen,
	.accept4 = real_accept4,
	.connect = real_connect,
	.setsockopt = setsockopt,
	.getsockopt = getsockopt,
	.getsockname = real_getsockname,
	.getpeername = real_getpeername,
	.fcntl = real_fcntl,
	.recvmsg = recvmsg,
	.sendmsg = sendmsg,
	.sendfile = real_sendfile,
	.pread = pread,
	.open = real_open,
	.stat = stat,
	.fstat = fstat,
	.read = read,
	.write = write,
	.poll = poll,
	.shutdown = shutdown,
	.close = close,
	.mmap = mmap,
	.munmap = munmap,
	.mlock = mlock,
	.madvise = madvise,
	.eventfd = eventfd,
	.pthread_create = pthread_create,
	.now_us = real_now_us,
	.wall_s = real_wall_s,
};

const struct sys_ops *sys = &sys_real;

int sys_errno_code(int err)
{
	switch (err) {
	case EAGAIN: /* EWOULDBLOCK is the same number on Linux */
	case EINTR:
		return SLUICE_E_AGAIN;
	case EMFILE:
	case ENFILE:
		return SLUICE_E_NOFILE;
	case ENOMEM:
	case ENOBUFS:
		return SLUICE_E_NOMEM;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return SLUICE_E_RESET;
	default:
		return SLUICE_E_IO;
	}
}
