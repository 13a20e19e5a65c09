/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: descriptors, lengths, peers that do not read or are gone, and files of sockets. */
#include "handover/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

static int count_files(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static int files_before;

static int setup(void **state)
{
	int *pair = malloc(2 * sizeof(int));

	files_before = count_files();
	*state = pair;
	return pair ? channel_pair(pair) : -1;
}

/* Every test leaves as many descriptors as there were. */
static int teardown(void **state)
{
	int *pair = *state, i;

	for (i = 0; i < 2; i++)
		if (pair[i] >= 0)
			close(pair[i]);
	free(pair);
	return count_files() == files_before ? 0 : -1;
}

static void messages_keep_their_bounds(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	char buf[16];

	assert_int_equal(channel_send(pair[0], "one", 3, NULL, 0), 0);
	assert_int_equal(channel_send(pair[0], "three", 5, NULL, 0), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), 3);
	assert_int_equal(fds.n, 0);
	assert_int_equal(channel_take_fd(&fds), -1);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), 5);
	assert_memory_equal(buf, "three", 5);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), -EAGAIN);
}

static void descriptors_come_in_their_order(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	struct stat st;
	int sent[4], fd;
	char buf[4];
	unsigned int i;

	for (i = 0; i < 4; i++)
		sent[i] = open(i % 2 ? "/dev/null" : "/dev/zero", O_RDONLY);
	assert_int_equal(channel_send(pair[0], "x", 1, sent, 4), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), 1);
	assert_int_equal(fds.n, 4);
	assert_false(fds.lost);
	for (i = 0; i < 4; i++) {
		fd = channel_take_fd(&fds);
		assert_true(fd >= 0 && fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(minor(st.st_rdev), i % 2 ? 3 : 5);
		close(fd);
		close(sent[i]);
	}
	assert_int_equal(channel_take_fd(&fds), -1);
}

static void what_is_not_taken_is_closed(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	char buf[4];

	assert_int_equal(channel_send(pair[0], "x", 1, pair, 2), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), 1);
	assert_int_equal(fds.n, 2);
	channel_close_fds(&fds);
	assert_int_equal(fds.n, 0);
}

static void no_more_than_four_are_sent(void **state)
{
	const int *pair = *state;
	const int fds[5] = { pair[0], pair[0], pair[0], pair[0], pair[0] };

	assert_int_equal(channel_send(pair[0], "x", 1, fds, 5), -EINVAL);
}

static void send_many(int fd, const int *fds, unsigned int n)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(64 * sizeof(int))] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = 1; /* descriptors: what channel_send() does not send */
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
}

static void too_many_are_refused_and_closed(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	unsigned int i, n;
	int many[64];
	char buf[4];

	for (i = 0; i < 64; i++)
		many[i] = pair[0];
	for (n = 5; n <= 64; n++) {
		send_many(pair[0], many, n);
		assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), -EMSGSIZE);
		assert_int_equal(fds.n, 0);
		assert_false(fds.lost);
	}
}

/* valgrind keeps the limit to itself: the kernel, which makes the descriptors, does not know it. */
static bool kernel_has_limit(rlim_t limit)
{
	FILE *file = fopen("/proc/self/limits", "re");
	unsigned long long soft = 0;
	char line[200];

	while (file && !soft && fgets(line, sizeof(line), file))
		sscanf(line, "Max open files %llu", &soft);
	if (file)
		fclose(file);
	return soft == limit;
}

/* Not even the sender's fault: the message is there, its descriptors are not. */
static void descriptors_without_room_are_lost(void **state)
{
	const int *pair = *state;
	struct rlimit before, few;
	struct channel_fds fds;
	int sent[2] = { pair[0], pair[1] };
	char buf[4];
	ssize_t n;

	assert_int_equal(channel_send(pair[0], "ab", 2, sent, 2), 0);
	getrlimit(RLIMIT_NOFILE, &before);
	few = before;
	few.rlim_cur = (rlim_t)dup(0); /* one more, and no other */
	close((int)few.rlim_cur);
	few.rlim_cur++;
	setrlimit(RLIMIT_NOFILE, &few);
	if (!kernel_has_limit(few.rlim_cur)) {
		setrlimit(RLIMIT_NOFILE, &before);
		print_message("skipped: descriptors cannot be limited here\n");
		skip();
	}
	n = channel_recv(pair[1], buf, sizeof(buf), &fds);
	setrlimit(RLIMIT_NOFILE, &before);
	assert_int_equal(n, 2);
	assert_true(fds.lost);
	assert_int_equal(fds.n, 0);
	assert_int_equal(channel_take_fd(&fds), -1);
}

static void a_message_that_is_too_long_leaves_nothing(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	char buf[4];

	assert_int_equal(channel_send(pair[0], "12345", 5, pair, 1), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), -EMSGSIZE);
	assert_int_equal(fds.n, 0);
	assert_int_equal(channel_send(pair[0], "1234", 4, NULL, 0), 0);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), 4);
}

static void a_peer_that_does_not_read(void **state)
{
	const int *pair = *state;
	struct channel_fds fds;
	char buf[4096] = "";
	int i, r = 0;

	for (i = 0; i < 100000 && r == 0; i++)
		r = channel_send(pair[0], buf, sizeof(buf), NULL, 0);
	assert_int_equal(r, -EAGAIN);
	assert_int_equal(channel_recv(pair[1], buf, sizeof(buf), &fds), sizeof(buf));
	assert_int_equal(channel_send(pair[0], "x", 1, NULL, 0), 0);
}

static void a_peer_that_is_gone(void **state)
{
	int *pair = *state;
	struct channel_fds fds;
	char buf[4];

	assert_int_equal(channel_send(pair[1], "bye", 3, NULL, 0), 0);
	close(pair[1]);
	pair[1] = -1;
	assert_int_equal(channel_send(pair[0], "x", 1, NULL, 0), -EPIPE); /* and no SIGPIPE */
	assert_int_equal(channel_recv(pair[0], buf, sizeof(buf), &fds), 3);
	assert_int_equal(channel_recv(pair[0], buf, sizeof(buf), &fds), 0);
}

/* --- files ----------------------------------------------------------------------------------- */

static char *path_of(const char *name)
{
	static char path[100];

	snprintf(path, sizeof(path), "/tmp/sluice-channel-%d-%s", (int)getpid(), name);
	return path;
}

static void who_is_there(void **state)
{
	const char *path = path_of("peer");
	int fd = channel_listen(path, 0600), client, server;
	struct ucred cred;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	client = channel_connect(path);
	assert_true(client >= 0);
	server = accept(fd, NULL, NULL);
	assert_int_equal(channel_peer(server, &cred), 0);
	assert_int_equal(cred.pid, getpid());
	assert_int_equal(cred.uid, geteuid());
	close(client);
	close(server);
	close(fd);
	unlink(path);
}

static void a_stale_socket_is_replaced(void **state)
{
	const char *path = path_of("stale");
	int fd = channel_listen(path, 0600);

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(channel_connect(path), -ECONNREFUSED);
	fd = channel_listen(path, 0666);
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	assert_int_equal(channel_connect(path), -ENOENT);
}

static void a_socket_in_use_is_not_taken(void **state)
{
	const char *path = path_of("used");
	int fd = channel_listen(path, 0600), client;

	assert_true(fd >= 0);
	assert_int_equal(channel_listen(path, 0600), -EADDRINUSE);
	client = channel_connect(path);
	assert_true(client >= 0);
	close(client);
	close(fd);
	unlink(path);
}

static void another_file_is_left_alone(void **state)
{
	const char *path = path_of("file");
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	struct stat st;

	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(channel_listen(path, 0600), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	unlink(path);
}

static void a_path_that_is_too_long(void **state)
{
	char path[200];

	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(channel_listen(path, 0600), -ENAMETOOLONG);
	assert_int_equal(channel_connect(path), -ENAMETOOLONG);
	path[108] = '\0'; /* one byte too many: the last is the NUL's */
	assert_int_equal(channel_connect(path), -ENAMETOOLONG);
	path[107] = '\0';
	assert_int_equal(channel_connect(path), -ENOENT);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(messages_keep_their_bounds),
		TEST(descriptors_come_in_their_order),
		TEST(what_is_not_taken_is_closed),
		TEST(no_more_than_four_are_sent),
		TEST(too_many_are_refused_and_closed),
		TEST(descriptors_without_room_are_lost),
		TEST(a_message_that_is_too_long_leaves_nothing),
		TEST(a_peer_that_does_not_read),
		TEST(a_peer_that_is_gone),
		TEST(who_is_there),
		TEST(a_stale_socket_is_replaced),
		TEST(a_socket_in_use_is_not_taken),
		TEST(another_file_is_left_alone),
		TEST(a_path_that_is_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
