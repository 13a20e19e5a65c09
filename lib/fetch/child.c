// SPDX-License-Identifier: Apache-2.0
#include "fetch/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config.h"
#include "core/sys.h"
#include "handover/channel.h"
#include "handover/wire.h"

#define CHILD_FD 3 /* where it finds its channel */
#define MAX_MESSAGE (16 * 1024)
#define ANSWER_LEN 2048
#define FIRST_WAIT_US 100000
#define LONGEST_WAIT_US 30000000

static const char *program = SLUICE_LIBEXECDIR "/sluice-fetch";
static const char *servers;

void fetch_set_program(const char *path, const char *name_servers)
{
	program = path ? path : SLUICE_LIBEXECDIR "/sluice-fetch";
	servers = name_servers;
}

/* --- start and end ---------------------------------------------------------------------------- */

static int set_actions(posix_spawn_file_actions_t *actions, int end)
{
	int r = posix_spawn_file_actions_adddup2(actions, end, CHILD_FD);
	int fd;

	for (fd = 0; !r && fd < CHILD_FD; fd++)
		r = posix_spawn_file_actions_addopen(actions, fd, "/dev/null", O_RDWR, 0);
	return r ? r : posix_spawn_file_actions_addclosefrom_np(actions, CHILD_FD + 1);
}

/* Not with what the program's threads block or ignore. */
static int set_signals(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
	return posix_spawnattr_setflags(attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

static int spawn(pid_t *ret_pid, int end)
{
	char *const argv[] = { (char *)"sluice-fetch", NULL };
	char *const envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int r = posix_spawn_file_actions_init(&actions);

	if (r)
		return -r;
	posix_spawnattr_init(&attr);
	r = set_actions(&actions, end);
	if (!r)
		r = set_signals(&attr);
	if (!r)
		r = posix_spawn(ret_pid, program, &actions, &attr, argv, envp);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	return -r;
}

int fetch_child_allow(int fd, const char *hosts)
{
	uint8_t buf[MAX_MESSAGE];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_FETCH_ALLOW, 0);
	wire_put_text(&wire, ATTR_FETCH_HOSTS, hosts);
	if (servers)
		wire_put_text(&wire, ATTR_FETCH_DNS, servers);
	return channel_send(fd, buf, wire_end(&wire), NULL, 0);
}

int fetch_child_start(struct fetch_child *child, const char *hosts)
{
	int ends[2], r = channel_pair(ends);
	pid_t pid;

	if (r < 0)
		return r;
	r = fetch_child_allow(ends[0], hosts);
	if (r == 0)
		r = spawn(&pid, ends[1]);
	sys->close(ends[1]);
	if (r < 0) {
		sys->close(ends[0]);
		return r;
	}
	/* Once somebody else has waited for it (waitpid(-1)) its number may be another process's. */
	child->pidfd = pidfd_open(pid, 0);
	if (child->pidfd < 0) {
		r = -errno;
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		sys->close(ends[0]);
		return r;
	}
	child->fd = ends[0];
	return 0;
}

void fetch_child_end(struct fetch_child *child)
{
	uint64_t wait_us = FIRST_WAIT_US << (child->deaths < 9 ? child->deaths : 9);
	siginfo_t info;

	if (child->fd < 0)
		return;
	sys->close(child->fd);
	child->fd = -1;
	pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)child->pidfd, &info, WEXITED) < 0 && errno == EINTR)
		;
	sys->close(child->pidfd);
	child->pidfd = -1;
	child->deaths++;
	child->retry_us = sys->now_us() + (wait_us < LONGEST_WAIT_US ? wait_us : LONGEST_WAIT_US);
}

/* --- messages --------------------------------------------------------------------------------- */

int fetch_child_ask(struct fetch_child *child, const struct fetch_request *request)
{
	uint8_t buf[MAX_MESSAGE];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_FETCH, request->id);
	wire_put_u64(&wire, ATTR_FETCH_KIND, request->body ? FETCH_OCSP : FETCH_CRL);
	if (request->body)
		wire_put(&wire, ATTR_FETCH_BODY, request->body, request->body_len);
	wire_put_text(&wire, ATTR_FETCH_URL, request->url);
	wire_put_u64(&wire, ATTR_FETCH_MS, request->timeout_ms);
	wire_put_u64(&wire, ATTR_FETCH_MAX, request->max_len);
	if (request->etag[0])
		wire_put_text(&wire, ATTR_FETCH_ETAG, request->etag);
	if (request->modified[0])
		wire_put_text(&wire, ATTR_FETCH_MODIFIED, request->modified);
	return channel_send(child->fd, buf, wire_end(&wire), NULL, 0);
}

static bool take_attr(struct fetch_answer *answer, const struct attr *attr)
{
	uint64_t value = 0;
	bool ok = true;

	switch (attr->type) {
	case ATTR_FETCH_REASON:
		ok = attr_u64(attr, &value) && value < FETCH_PROCESS;
		answer->reason = (enum fetch_reason)value;
		return ok;
	case ATTR_FETCH_STATUS:
		ok = attr_u64(attr, &value) && value < 1000;
		answer->status = (unsigned int)value;
		return ok;
	case ATTR_FETCH_ETAG:
		return attr_text(attr, answer->etag, sizeof(answer->etag));
	case ATTR_FETCH_MODIFIED:
		return attr_text(attr, answer->modified, sizeof(answer->modified));
	default:
		return true;
	}
}

static int take_answer(struct fetch_answer *answer, const uint8_t *buf, size_t len)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	int r;

	if (!wire_open(&reader, buf, len, &head) || head.type != MSG_FETCHED)
		return -EPROTO;
	answer->id = head.id;
	while ((r = wire_next(&reader, &attr)) > 0)
		if (!take_attr(answer, &attr))
			return -EPROTO;
	return r < 0 ? -EPROTO : 1;
}

int fetch_child_answer(struct fetch_child *child, struct fetch_answer *ret_answer)
{
	uint8_t buf[ANSWER_LEN];
	struct channel_fds fds;
	ssize_t n = channel_recv(child->fd, buf, sizeof(buf), &fds);
	int r;

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	*ret_answer = (struct fetch_answer){ .reason = FETCH_PROCESS, .body_fd = -1 };
	r = take_answer(ret_answer, buf, (size_t)n);
	if (r > 0 && ret_answer->reason == FETCH_OK) {
		ret_answer->body_fd = channel_take_fd(&fds);
		if (ret_answer->body_fd < 0) /* this process had no room for it */
			ret_answer->reason = FETCH_RESOURCES;
	}
	channel_close_fds(&fds);
	if (r > 0)
		child->deaths = 0;
	return r;
}

static bool read_all(int fd, uint8_t *bytes, size_t len)
{
	size_t at = 0;
	ssize_t n;

	while (at < len) {
		n = sys->pread(fd, bytes + at, len - at, (off_t)at);
		if (n <= 0 && !(n < 0 && errno == EINTR))
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

uint8_t *fetch_body_read(int fd, size_t max, size_t *ret_len)
{
	const int sealed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	uint8_t *bytes = NULL;
	struct stat st;

	if ((fcntl(fd, F_GET_SEALS) & sealed) == sealed && !fstat(fd, &st) && st.st_size >= 0 &&
	    (uint64_t)st.st_size <= max)
		bytes = malloc((size_t)st.st_size + 1);
	if (bytes && !read_all(fd, bytes, (size_t)st.st_size)) {
		free(bytes);
		bytes = NULL;
	}
	if (bytes)
		*ret_len = (size_t)st.st_size;
	sys->close(fd);
	return bytes;
}
