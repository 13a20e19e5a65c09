/* SPDX-License-Identifier: Apache-2.0 */
/* The system-call seam: every call of the library that can fail in a way we must survive. */
#ifndef SLUICE_CORE_SYS_H
#define SLUICE_CORE_SYS_H

#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * struct sys_ops - the calls, with the signatures and results of their manual pages (-1 and errno).
 * Tests put their own table in place; nothing else does.
 */
struct sys_ops {
	int (*socket)(int domain, int type, int protocol);
	int (*bind)(int fd, const struct sockaddr *addr, socklen_t len);
	int (*listen)(int fd, int backlog);
	int (*accept4)(int fd, struct sockaddr *addr, socklen_t *len, int flags);
	int (*connect)(int fd, const struct sockaddr *addr, socklen_t len);
	int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t len);
	int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *len);
	int (*getsockname)(int fd, struct sockaddr *addr, socklen_t *len);
	int (*getpeername)(int fd, struct sockaddr *addr, socklen_t *len);
	int (*fcntl)(int fd, int cmd, int arg);
	ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
	ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
	ssize_t (*sendfile)(int out_fd, int in_fd, off_t *offset, size_t count);
	ssize_t (*pread)(int fd, void *buf, size_t count, off_t offset);
	int (*open)(const char *path, int flags, mode_t mode);
	int (*stat)(const char *path, struct stat *st);
	int (*fstat)(int fd, struct stat *st);
	ssize_t (*read)(int fd, void *buf, size_t count);
	ssize_t (*write)(int fd, const void *buf, size_t count);
	int (*poll)(struct pollfd *fds, nfds_t n_fds, int timeout_ms);
	int (*shutdown)(int fd, int how);
	int (*close)(int fd);
	void *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t offset);
	int (*munmap)(void *addr, size_t len);
	int (*mlock)(const void *addr, size_t len);
	int (*madvise)(void *addr, size_t len, int advice);
	int (*eventfd)(unsigned int value, int flags);
	/* Returns an errno, as its manual page says. */
	int (*pthread_create)(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			      void *arg);
	uint64_t (*now_us)(void); /* CLOCK_MONOTONIC, microseconds */
	int64_t (*wall_s)(void);  /* CLOCK_REALTIME, seconds */
};

/* The table in force. */
extern const struct sys_ops *sys;

/* sys_real is the table that calls the kernel. */
extern const struct sys_ops sys_real;

/* sys_errno_code() maps an errno to the error code that names it best. */
int sys_errno_code(int err);

#endif
