// SPDX-License-Identifier: Apache-2.0
#include "common/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CHANNELS 4
#define NOBODY 65534
#define MAX_MEMORY (1 << 30)         /* bytes of a child's own */
#define MAX_FETCH_MEMORY (128 << 20) /* bodies are in files */
#define ABOVE_CHANNELS 64            /* room to move descriptors in without treading on one */

/* The program beside this one. */
static int sibling(const char *program, char *out, size_t out_size)
{
	ssize_t n = readlink("/proc/self/exe", out, out_size - 1);
	char *slash;

	if (n < 0)
		return -errno;
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (!slash || (size_t)(slash - out) + strlen(program) + 2 > out_size)
		return -ENAMETOOLONG;
	strcpy(slash + 1, program);
	return 0;
}

/* Only async-signal-safe calls: the parent may have threads. */
static void __attribute__((noreturn)) become(const char *path, const char *program, const int *fds,
					     unsigned int n_fds, char *const envp[])
{
	char *const argv[] = { (char *)program, NULL };
	unsigned int i;
	int moved[MAX_CHANNELS];

	for (i = 0; i < n_fds; i++) {
		moved[i] = fcntl(fds[i], F_DUPFD, ABOVE_CHANNELS);
		if (moved[i] < 0)
			_exit(126);
	}
	for (i = 0; i < n_fds; i++)
		if (dup2(moved[i], CHILD_BROKER_FD + (int)i) < 0)
			_exit(126);
	if (close_range(CHILD_BROKER_FD + n_fds, ~0u, 0))
		_exit(126);
	execve(path, argv, envp);
	_exit(127);
}

pid_t process_spawn(const char *program, const int *fds, unsigned int n_fds, uid_t uid, gid_t gid)
{
	char path[PATH_MAX], user[32], group[32];
	char *const envp[] = { user, group, NULL };
	int r = sibling(program, path, sizeof(path));
	pid_t pid;

	if (r < 0)
		return r;
	if (n_fds > MAX_CHANNELS)
		return -EINVAL;
	snprintf(user, sizeof(user), PROCESS_UID "=%u", (unsigned int)uid);
	snprintf(group, sizeof(group), PROCESS_GID "=%u", (unsigned int)gid);
	pid = fork();
	if (pid == 0)
		become(path, program, fds, n_fds, envp);
	return pid < 0 ? -errno : pid;
}

unsigned int process_id(const char *which)
{
	const char *text = getenv(which);
	unsigned long id = text ? strtoul(text, NULL, 10) : 0;

	return id && id < UINT_MAX ? (unsigned int)id : NOBODY;
}

static const int keeper_calls[] = {
	SCMP_SYS(read),        SCMP_SYS(write),         SCMP_SYS(close),
	SCMP_SYS(recvmsg),     SCMP_SYS(sendmsg),       SCMP_SYS(poll),
	SCMP_SYS(ppoll),       SCMP_SYS(epoll_wait),    SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),   SCMP_SYS(fstat),         SCMP_SYS(newfstatat),
	SCMP_SYS(lseek),       SCMP_SYS(brk),           SCMP_SYS(mmap),
	SCMP_SYS(munmap),      SCMP_SYS(mremap),        SCMP_SYS(mlock),
	SCMP_SYS(mlock2),      SCMP_SYS(munlock),       SCMP_SYS(madvise),
	SCMP_SYS(mprotect),    SCMP_SYS(futex),         SCMP_SYS(getrandom),
	SCMP_SYS(time),        SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),
	SCMP_SYS(getpid),      SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(exit),        SCMP_SYS(exit_group),    SCMP_SYS(restart_syscall),
	SCMP_SYS(sigaltstack),
};

/*
 * Besides those: what a handshake does with its socket, and what glibc's qsort(3) asks before it sorts
 * more than 1024 bytes, as the certificates of many CAs are.
 */
static const int handshaker_calls[] = {
	SCMP_SYS(sysinfo),     SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname),
	SCMP_SYS(getpeername), SCMP_SYS(shutdown),   SCMP_SYS(fcntl),
};

/*
 * Besides those: plain workers come, and the daemon is attached to again. The ring has no system call but
 * this one, and a list of its own (relay/ring.c).
 */
static const int relay_calls[] = {
	SCMP_SYS(accept4), SCMP_SYS(socketpair),     SCMP_SYS(connect), SCMP_SYS(recvfrom),
	SCMP_SYS(sendto),  SCMP_SYS(io_uring_enter), SCMP_SYS(pipe2),   SCMP_SYS(splice),
};

/* Besides the first two: accepting, and an answer out of a file that it was given. */
static const int metrics_calls[] = {
	SCMP_SYS(accept4), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
	SCMP_SYS(writev),  SCMP_SYS(sendfile), SCMP_SYS(pread64),
};

/*
 * Besides the first two: HTTP and DNS as a client, and an answer in a file that has no name. libcurl 8 holds
 * SIGPIPE off around its calls.
 */
static const int fetch_calls[] = {
	SCMP_SYS(connect), SCMP_SYS(recvfrom),     SCMP_SYS(sendto),    SCMP_SYS(rt_sigaction),
	SCMP_SYS(writev),  SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
};

/* Besides the first: a sealed memory file, and qsort(3) again. */
static const int crls_calls[] = {
	SCMP_SYS(sysinfo),  SCMP_SYS(memfd_create), SCMP_SYS(ftruncate),
	SCMP_SYS(pwrite64), SCMP_SYS(fcntl),
};

static int allow(scmp_filter_ctx ctx, const int *calls, size_t n)
{
	size_t i;
	int r = 0;

	for (i = 0; r == 0 && i < n; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	return r;
}

static int allow_relay(scmp_filter_ctx ctx)
{
	int r = allow(ctx, relay_calls, sizeof(relay_calls) / sizeof(relay_calls[0]));

	if (r < 0)
		return r;
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

static int allow_connector(scmp_filter_ctx ctx)
{
	int r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);

	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	return r;
}

static int allow_fetch(scmp_filter_ctx ctx)
{
	int r = allow(ctx, fetch_calls, sizeof(fetch_calls) / sizeof(fetch_calls[0]));

	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_EQ, AF_INET6));
	return r;
}

static int filter(enum confinement confinement)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	int r;

	if (!ctx)
		return -ENOMEM;
	r = allow(ctx, keeper_calls, sizeof(keeper_calls) / sizeof(keeper_calls[0]));
	if (r == 0 && confinement == CONFINE_CRLS)
		r = allow(ctx, crls_calls, sizeof(crls_calls) / sizeof(crls_calls[0]));
	else if (r == 0 && confinement != CONFINE_KEEPER)
		r = allow(ctx, handshaker_calls,
			  sizeof(handshaker_calls) / sizeof(handshaker_calls[0]));
	if (r == 0 && confinement == CONFINE_RELAY)
		r = allow_relay(ctx);
	if (r == 0 && confinement == CONFINE_METRICS)
		r = allow(ctx, metrics_calls, sizeof(metrics_calls) / sizeof(metrics_calls[0]));
	if (r == 0 && confinement == CONFINE_FETCH)
		r = allow_fetch(ctx);
	if (r == 0 && confinement == CONFINE_CONNECTOR)
		r = allow_connector(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

/* A directory that has no name any more: it is empty, and nobody can put anything into it. */
static int empty_root(void)
{
	static const char *const places[] = { "/run", "/tmp", "/dev/shm" }; /* one may be full */
	char path[32];
	int r = -ENOENT;
	size_t i;

	for (i = 0; r < 0 && i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s/sluice-XXXXXX", places[i]);
		r = mkdtemp(path) ? 0 : -errno;
	}
	if (r < 0)
		return r;
	if (chdir(path))
		r = -errno;
	if (rmdir(path) || (r == 0 && chroot(".")))
		r = -errno;
	return r;
}

/* Beyond it an allocation fails, and with it one handshake. */
static int limit_memory(enum confinement confinement)
{
	const rlim_t max = confinement == CONFINE_FETCH ? MAX_FETCH_MEMORY : MAX_MEMORY;
	const struct rlimit memory = { max, max };

#ifdef __SANITIZE_ADDRESS__ /* its own memory alone is more */
	return 0;
#endif
	return setrlimit(RLIMIT_DATA, &memory) ? -errno : 0;
}

static int drop_user(uid_t uid, gid_t gid)
{
	if (uid == 0)
		return 0;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	return 0;
}

int process_become(uid_t uid, gid_t gid)
{
	const struct rlimit none = { 0, 0 };
	int r = geteuid() == 0 ? drop_user(uid, gid) : 0;

	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0) ||
	    setrlimit(RLIMIT_CORE, &none))
		return -errno;
	return 0;
}

int process_confine(enum confinement confinement, uid_t uid, gid_t gid)
{
	bool is_child = confinement != CONFINE_RELAY;
	int r = 0;

	tzset(); /* opens a file; gmtime_r(3) would, when a certificate's dates are looked at */
	if (is_child && confinement != CONFINE_CONNECTOR && geteuid() == 0)
		r = empty_root();
	if (r == 0)
		r = process_become(uid, gid);
	if (r == 0 && is_child)
		r = limit_memory(confinement);
	if (r < 0)
		return r;
	/* Nobody would talk to it any more. */
	if (is_child && prctl(PR_SET_PDEATHSIG, SIGKILL))
		return -errno;
	return filter(confinement);
}

/* By which a process gets at others, or gets rid of its filter's sight. */
static const int others_calls[] = {
	SCMP_SYS(kill),
	SCMP_SYS(tkill),
	SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(rt_tgsigqueueinfo),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(io_uring_setup),
};

int process_refuse_others(void)
{
	const uint32_t refuse = SCMP_ACT_ERRNO(EACCES);
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	size_t i;
	int r;

	if (!ctx)
		return -ENOMEM;
	r = seccomp_rule_add(ctx, refuse, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	for (i = 0; r == 0 && i < sizeof(others_calls) / sizeof(others_calls[0]); i++)
		r = seccomp_rule_add(ctx, refuse, others_calls[i], 0);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}
