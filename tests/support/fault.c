/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault-injecting table of system calls. It owns one slot of counters per member of struct
 * sys_ops; unit tests call it. It must never change what a call does to the kernel unless the call
 * is armed or limited, and must cover every member: the assertion below fails to compile when one
 * is added to struct sys_ops alone.
 */
#include "support/fault.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define FAULT_CALLS(X) \
	X(socket) X(bind) X(listen) X(accept4) X(connect) X(setsockopt) X(getsockopt) \
	X(getsockname) X(getpeername) X(fcntl) X(recvmsg) X(sendmsg) X(sendfile) X(pread) \
	X(open) X(stat) X(fstat) X(read) X(write) X(poll) X(shutdown) X(close) X(mmap) X(munmap) X(mlock) \
	X(madvise) X(eventfd) X(pthread_create) X(now_us) X(wall_s)

#define FAULT_ID(name) ID_##name,
enum fault_id { FAULT_CALLS(FAULT_ID) N_IDS };

#define FAULT_NAME(name) #name,
static const char *const names[N_IDS] = { FAULT_CALLS(FAULT_NAME) };
/* clang-format on */

_Static_assert(sizeof(struct sys_ops) == N_IDS * sizeof(void (*)(void)),
	       "every member of struct sys_ops is in FAULT_CALLS");

/* The most parts of a message that fault_limit() can cut; more are passed on uncut. */
#define LIMIT_MAX_IOV 16

struct fault_slot {
	atomic_uint count;
	atomic_uint hits;
	atomic_uint first; /* the first failing call; 0: none */
	atomic_uint last;  /* the last failing call */
	atomic_int err;
	atomic_size_t max; /* bytes; 0: no limit */
};

static struct fault_slot slots[N_IDS];
static atomic_ullong ahead_us;

/* Returns whether this call is to fail; errno is set then. */
static bool fails(enum fault_id id)
{
	struct fault_slot *slot = &slots[id];
	unsigned int nth = atomic_fetch_add(&slot->count, 1) + 1;
	unsigned int first = atomic_load(&slot->first);

	if (first == 0 || nth < first || nth > atomic_load(&slot->last))
		return false;
	atomic_fetch_add(&slot->hits, 1);
	errno = atomic_load(&slot->err);
	return true;
}

static size_t limited(enum fault_id id, size_t len)
{
	size_t max = atomic_load(&slots[id].max);

	return max > 0 && len > max ? max : len;
}

/* Copies the parts of @msg that hold its first bytes, as many as the limit allows. */
static struct msghdr limited_msg(enum fault_id id, const struct msghdr *msg,
				 struct iovec iov[LIMIT_MAX_IOV])
{
	struct msghdr cut = *msg;
	size_t left = limited(id, SIZE_MAX);

	if (left == SIZE_MAX || msg->msg_iovlen > LIMIT_MAX_IOV)
		return cut;
	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		iov[i] = msg->msg_iov[i];
		if (iov[i].iov_len > left)
			iov[i].iov_len = left;
		left -= iov[i].iov_len;
	}
	cut.msg_iov = iov;
	return cut;
}

static int fault_socket(int domain, int type, int protocol)
{
	return fails(ID_socket) ? -1 : sys_real.socket(domain, type, protocol);
}

static int fault_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
	return fails(ID_bind) ? -1 : sys_real.bind(fd, addr, len);
}

static int fault_listen(int fd, int backlog)
{
	return fails(ID_listen) ? -1 : sys_real.listen(fd, backlog);
}

static int fault_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	return fails(ID_accept4) ? -1 : sys_real.accept4(fd, addr, len, flags);
}

static int fault_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return fails(ID_connect) ? -1 : sys_real.connect(fd, addr, len);
}

static int fault_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	return fails(ID_setsockopt) ? -1 : sys_real.setsockopt(fd, level, name, value, len);
}

static int fault_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return fails(ID_getsockopt) ? -1 : sys_real.getsockopt(fd, level, name, value, len);
}

static int fault_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails(ID_getsockname) ? -1 : sys_real.getsockname(fd, addr, len);
}

static int fault_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
	return fails(ID_getpeername) ? -1 : sys_real.getpeername(fd, addr, len);
}

static int fault_fcntl(int fd, int cmd, int arg)
{
	return fails(ID_fcntl) ? -1 : sys_real.fcntl(fd, cmd, arg);
}

static ssize_t fault_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct iovec iov[LIMIT_MAX_IOV];
	struct msghdr cut;
	ssize_t n;

	if (fails(ID_recvmsg))
		return -1;
	cut = limited_msg(ID_recvmsg, msg, iov);
	n = sys_real.recvmsg(fd, &cut, flags);
	/* What the kernel reports back through the header. */
	msg->msg_namelen = cut.msg_namelen;
	msg->msg_controllen = cut.msg_controllen;
	msg->msg_flags = cut.msg_flags;
	return n;
}

static ssize_t fault_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	struct iovec iov[LIMIT_MAX_IOV];
	struct msghdr cut;

	if (fails(ID_sendmsg))
		return -1;
	cut = limited_msg(ID_sendmsg, msg, iov);
	return sys_real.sendmsg(fd, &cut, flags);
}

static ssize_t fault_sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
	if (fails(ID_sendfile))
		return -1;
	return sys_real.sendfile(out_fd, in_fd, offset, limited(ID_sendfile, count));
}

static ssize_t fault_pread(int fd, void *buf, size_t count, off_t offset)
{
	return fails(ID_pread) ? -1 : sys_real.pread(fd, buf, limited(ID_pread, count), offset);
}

static int fault_open(const char *path, int flags, mode_t mode)
{
	return fails(ID_open) ? -1 : sys_real.open(path, flags, mode);
}

static int fault_stat(const char *path, struct stat *st)
{
	return fails(ID_stat) ? -1 : sys_real.stat(path, st);
}

static int fault_fstat(int fd, struct stat *st)
{
	return fails(ID_fstat) ? -1 : sys_real.fstat(fd, st);
}

static ssize_t fault_read(int fd, void *buf, size_t count)
{
	return fails(ID_read) ? -1 : sys_real.read(fd, buf, limited(ID_read, count));
}

static ssize_t fault_write(int fd, const void *buf, size_t count)
{
	return fails(ID_write) ? -1 : sys_real.write(fd, buf, limited(ID_write, count));
}

static int fault_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	return fails(ID_poll) ? -1 : sys_real.poll(fds, n_fds, timeout_ms);
}

static int fault_shutdown(int fd, int how)
{
	return fails(ID_shutdown) ? -1 : sys_real.shutdown(fd, how);
}

/* close(2): Linux always releases the descriptor, whatever it returns. */
static int fault_close(int fd)
{
	bool fail = fails(ID_close);
	int err = errno;
	int r = sys_real.close(fd);

	if (!fail)
		return r;
	errno = err;
	return -1;
}

static void *fault_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	/* MAP_FAILED. */
	return fails(ID_mmap) ? (void *)-1 : sys_real.mmap(addr, len, prot, flags, fd, offset);
}

static int fault_munmap(void *addr, size_t len)
{
	return fails(ID_munmap) ? -1 : sys_real.munmap(addr, len);
}

static int fault_mlock(const void *addr, size_t len)
{
	return fails(ID_mlock) ? -1 : sys_real.mlock(addr, len);
}

static int fault_madvise(void *addr, size_t len, int advice)
{
	return fails(ID_madvise) ? -1 : sys_real.madvise(addr, len, advice);
}

static int fault_eventfd(unsigned int value, int flags)
{
	return fails(ID_eventfd) ? -1 : sys_real.eventfd(value, flags);
}

static int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
				void *arg)
{
	return fails(ID_pthread_create) ? errno : sys_real.pthread_create(thread, attr, run, arg);
}

static uint64_t fault_now_us(void)
{
	if (fails(ID_now_us)) {
		fault_advance_us((uint64_t)atomic_load(&slots[ID_now_us].err) * 1000000);
		atomic_store(&slots[ID_now_us].first, 0);
	}
	return sys_real.now_us() + atomic_load(&ahead_us);
}

static int64_t fault_wall_s(void)
{
	if (fails(ID_wall_s)) {
		fault_advance_us((uint64_t)atomic_load(&slots[ID_wall_s].err) * 1000000);
		atomic_store(&slots[ID_wall_s].first, 0);
	}
	return sys_real.wall_s() + (int64_t)(atomic_load(&ahead_us) / 1000000);
}

/* clang-format off */
#define FAULT_MEMBER(name) .name = fault_##name,
const struct sys_ops fault_sys = { FAULT_CALLS(FAULT_MEMBER) };
/* clang-format on */

static struct fault_slot *slot_of(const char *call)
{
	for (unsigned int i = 0; i < N_IDS; i++) {
		if (strcmp(names[i], call) == 0)
			return &slots[i];
	}
	fprintf(stderr, "fault: struct sys_ops has no member \"%s\"\n", call);
	abort();
}

void fault_install(void)
{
	fault_reset();
	sys = &fault_sys;
}

void fault_uninstall(void)
{
	sys = &sys_real;
}

void fault_reset(void)
{
	for (unsigned int i = 0; i < N_IDS; i++) {
		atomic_store(&slots[i].first, 0);
		atomic_store(&slots[i].last, 0);
		atomic_store(&slots[i].count, 0);
		atomic_store(&slots[i].hits, 0);
		atomic_store(&slots[i].err, 0);
		atomic_store(&slots[i].max, 0);
	}
	atomic_store(&ahead_us, 0);
}

/* Counts @nth from now on, so that arming between two calls means what it says. */
static void arm(const char *call, unsigned int nth, bool all_later, int err)
{
	struct fault_slot *slot = slot_of(call);
	unsigned int first = atomic_load(&slot->count) + nth;

	atomic_store(&slot->err, err);
	atomic_store(&slot->last, all_later ? UINT_MAX : first);
	atomic_store(&slot->first, nth == 0 ? 0 : first);
}

void fault_arm(const char *call, unsigned int nth, int err)
{
	arm(call, nth, false, err);
}

void fault_arm_from(const char *call, unsigned int nth, int err)
{
	arm(call, nth, true, err);
}

void fault_limit(const char *call, size_t max)
{
	atomic_store(&slot_of(call)->max, max);
}

void fault_advance_us(uint64_t us)
{
	atomic_fetch_add(&ahead_us, us);
}

unsigned int fault_count(const char *call)
{
	return atomic_load(&slot_of(call)->count);
}

unsigned int fault_hits(const char *call)
{
	return atomic_load(&slot_of(call)->hits);
}

const char *fault_call_name(unsigned int i)
{
	return i < N_IDS ? names[i] : NULL;
}

int fault_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int n = 0;

	if (dir == NULL) {
		perror("fault: /proc/self/fd");
		abort();
	}
	while ((entry = readdir(dir)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(dir);
	return n - 1; /* without the directory's own */
}
