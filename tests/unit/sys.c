/* SPDX-License-Identifier: Apache-2.0 */
/* The system-call seam: every member reaches the kernel, and every member can be made to fail. */
#include "core/sys.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/fault.h"

static int setup(void **state)
{
	fault_install();
	return 0;
}

static int teardown(void **state)
{
	fault_uninstall();
	return 0;
}

/* Makes a listener on a free port of loopback; tests with an accepted pair start here. */
static int listener(struct sockaddr_in *ret_addr)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = sys->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(sys->bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(sys->listen(fd, 1), 0);
	assert_int_equal(sys->getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	*ret_addr = addr;
	return fd;
}

static void connected(int *ret_near, int *ret_far)
{
	struct sockaddr_in addr, peer;
	socklen_t len = sizeof(peer);
	int fd = listener(&addr), near = sys->socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), far;

	assert_true(near >= 0);
	assert_int_equal(sys->connect(near, (struct sockaddr *)&addr, sizeof(addr)), 0);
	far = sys->accept4(fd, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	assert_true(far >= 0);
	len = sizeof(addr);
	assert_int_equal(sys->getpeername(far, (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(addr.sin_port, peer.sin_port);
	assert_int_equal(sys->close(fd), 0);
	*ret_near = near;
	*ret_far = far;
}

static ssize_t send_bytes(int fd, const char *text, size_t len)
{
	struct iovec iov[2] = { { (char *)text, len / 2 },
				{ (char *)text + len / 2, len - len / 2 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return sys->sendmsg(fd, &msg, MSG_NOSIGNAL);
}

static ssize_t recv_bytes(int fd, char *buf, size_t len)
{
	struct iovec iov[2] = { { buf, 1 }, { buf + 1, len - 1 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };

	return sys->recvmsg(fd, &msg, 0);
}

static void sockets_work_through_the_table(void **state)
{
	struct pollfd pollfd = { .events = POLLIN };
	int near, far, value = 1;
	socklen_t len = sizeof(value);
	char buf[16];

	connected(&near, &far);
	assert_int_equal(sys->setsockopt(near, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof(value)), 0);
	value = 0;
	assert_int_equal(sys->getsockopt(near, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	assert_int_equal(value, 1);
	assert_int_equal(sys->fcntl(near, F_SETFL, O_NONBLOCK), 0);
	assert_true(sys->fcntl(near, F_GETFL, 0) & O_NONBLOCK);
	pollfd.fd = near;
	assert_int_equal(sys->poll(&pollfd, 1, 0), 0);
	assert_int_equal(recv_bytes(near, buf, sizeof(buf)), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(send_bytes(far, "sluice", 6), 6);
	assert_int_equal(sys->poll(&pollfd, 1, 10000), 1);
	assert_int_equal(recv_bytes(near, buf, sizeof(buf)), 6);
	assert_memory_equal(buf, "sluice", 6);
	assert_int_equal(sys->shutdown(far, SHUT_WR), 0);
	assert_int_equal(sys->poll(&pollfd, 1, 10000), 1);
	assert_int_equal(recv_bytes(near, buf, sizeof(buf)), 0);
	assert_int_equal(sys->close(near), 0);
	assert_int_equal(sys->close(far), 0);
}

static void files_and_memory_work_through_the_table(void **state)
{
	char path[] = "/tmp/sluice-sys-XXXXXX", buf[16];
	int near, far, fd = mkstemp(path);
	off_t offset = 2;
	uint8_t *page;

	assert_true(fd >= 0);
	assert_int_equal(sys->write(fd, "sluice", 6), 6);
	assert_int_equal(sys->close(fd), 0);
	fd = sys->open(path, O_RDONLY | O_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(sys->read(fd, buf, 3), 3);
	assert_int_equal(sys->pread(fd, buf, sizeof(buf), 1), 5);
	assert_memory_equal(buf, "luice", 5);
	connected(&near, &far);
	assert_int_equal(sys->sendfile(near, fd, &offset, 100), 4);
	assert_int_equal(recv_bytes(far, buf, sizeof(buf)), 4);
	assert_memory_equal(buf, "uice", 4);
	sys->close(near);
	sys->close(far);
	sys->close(fd);
	unlink(path);

	page = sys->mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(page != MAP_FAILED);
	page[0] = 1;
	assert_int_equal(sys->mlock(page, 4096), 0);
	assert_int_equal(sys->madvise(page, 4096, MADV_DONTDUMP), 0);
	assert_int_equal(sys->munmap(page, 4096), 0);
}

static void clocks_go_forward_and_can_be_moved(void **state)
{
	uint64_t then = sys->now_us();
	int64_t wall = sys->wall_s();

	assert_true(then > 0 && wall > 1600000000);
	assert_true(sys->now_us() - then < 60000000);
	fault_advance_us(100000000);
	assert_in_range(sys->now_us() - then, 100000000, 160000000);
	assert_in_range(sys->wall_s() - wall, 100, 160);
	fault_reset();
	assert_true(sys->now_us() - then < 60000000);
	/* Armed, a clock jumps once, and stays ahead. */
	fault_arm("now_us", 2, 500);
	assert_true(sys->now_us() - then < 60000000);
	assert_in_range(sys->now_us() - then, 500000000, 560000000);
	assert_in_range(sys->now_us() - then, 500000000, 560000000);
	fault_arm("wall_s", 1, 3600);
	assert_in_range(sys->wall_s() - wall, 4100, 4160);
}

static void *do_nothing(void *arg)
{
	return arg;
}

/* Starts a thread that ends at once; the one call that returns its error. */
static int start_thread(void)
{
	pthread_t thread;
	int err = sys->pthread_create(&thread, NULL, do_nothing, NULL);

	if (!err)
		pthread_join(thread, NULL);
	errno = err;
	return err ? -1 : 0;
}

/* Calls the member of that name with arguments that make it do nothing. */
static bool call_fails(const char *name, int err)
{
	struct pollfd pfd = { .fd = -1 };
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct msghdr msg = { 0 };
	struct stat st;
	int r = 0;

	errno = 0;
	if (strcmp(name, "socket") == 0)
		r = sys->socket(-1, -1, -1);
	else if (strcmp(name, "bind") == 0)
		r = sys->bind(-1, NULL, 0);
	else if (strcmp(name, "listen") == 0)
		r = sys->listen(-1, 0);
	else if (strcmp(name, "accept4") == 0)
		r = sys->accept4(-1, NULL, NULL, 0);
	else if (strcmp(name, "connect") == 0)
		r = sys->connect(-1, NULL, 0);
	else if (strcmp(name, "setsockopt") == 0)
		r = sys->setsockopt(-1, 0, 0, NULL, 0);
	else if (strcmp(name, "getsockopt") == 0)
		r = sys->getsockopt(-1, 0, 0, &addr, &len);
	else if (strcmp(name, "getsockname") == 0)
		r = sys->getsockname(-1, (struct sockaddr *)&addr, &len);
	else if (strcmp(name, "getpeername") == 0)
		r = sys->getpeername(-1, (struct sockaddr *)&addr, &len);
	else if (strcmp(name, "fcntl") == 0)
		r = sys->fcntl(-1, F_GETFL, 0);
	else if (strcmp(name, "recvmsg") == 0)
		r = (int)sys->recvmsg(-1, &msg, 0);
	else if (strcmp(name, "sendmsg") == 0)
		r = (int)sys->sendmsg(-1, &msg, 0);
	else if (strcmp(name, "sendfile") == 0)
		r = (int)sys->sendfile(-1, -1, NULL, 0);
	else if (strcmp(name, "pread") == 0)
		r = (int)sys->pread(-1, NULL, 0, 0);
	else if (strcmp(name, "open") == 0)
		r = sys->open("", 0, 0);
	else if (strcmp(name, "stat") == 0)
		r = sys->stat("", &st);
	else if (strcmp(name, "fstat") == 0)
		r = sys->fstat(-1, &st);
	else if (strcmp(name, "read") == 0)
		r = (int)sys->read(-1, NULL, 0);
	else if (strcmp(name, "write") == 0)
		r = (int)sys->write(-1, NULL, 0);
	else if (strcmp(name, "poll") == 0)
		r = sys->poll(&pfd, 1, 0);
	else if (strcmp(name, "shutdown") == 0)
		r = sys->shutdown(-1, 0);
	else if (strcmp(name, "close") == 0)
		r = sys->close(-1);
	else if (strcmp(name, "mmap") == 0)
		r = sys->mmap(NULL, 0, 0, 0, -1, 0) == MAP_FAILED ? -1 : 0;
	else if (strcmp(name, "munmap") == 0)
		r = sys->munmap(NULL, 0);
	else if (strcmp(name, "mlock") == 0)
		r = sys->mlock(NULL, 4096);
	else if (strcmp(name, "madvise") == 0)
		r = sys->madvise(NULL, 4096, -1);
	else if (strcmp(name, "eventfd") == 0)
		r = sys->eventfd(0, -1);
	else if (strcmp(name, "pthread_create") == 0)
		r = start_thread();
	else
		fail_msg("no call of %s", name);
	return r == -1 && errno == err;
}

static void every_call_can_be_made_to_fail(void **state)
{
	unsigned int n = 0;
	const char *name;

	while ((name = fault_call_name(n)) != NULL) {
		n++;
		if (strcmp(name, "now_us") == 0 || strcmp(name, "wall_s") == 0)
			continue;
		fault_reset();
		fault_arm(name, 2, EXFULL); /* no call has this errno of its own */
		assert_false(call_fails(name, EXFULL));
		assert_true(call_fails(name, EXFULL));
		assert_false(call_fails(name, EXFULL));
		assert_int_equal(fault_count(name), 3);
		assert_int_equal(fault_hits(name), 1);
		/* Counted from here, and for good. */
		fault_arm_from(name, 1, ENOANO);
		assert_true(call_fails(name, ENOANO) && call_fails(name, ENOANO));
		fault_arm(name, 0, 0);
		assert_false(call_fails(name, ENOANO));
		assert_int_equal(fault_hits(name), 3);
	}
	assert_int_equal(n, sizeof(struct sys_ops) / sizeof(void *));
	assert_null(fault_call_name(n + 1));
}

static void a_failed_close_has_closed(void **state)
{
	int before = fault_open_fds(), fd = sys->open("/dev/null", O_RDONLY | O_CLOEXEC, 0);

	assert_int_equal(fault_open_fds(), before + 1);
	fault_arm("close", 1, EINTR);
	assert_int_equal(sys->close(fd), -1);
	assert_int_equal(errno, EINTR);
	assert_int_equal(fault_open_fds(), before);
}

static void transfers_can_be_limited(void **state)
{
	int near, far;
	char buf[16];

	connected(&near, &far);
	for (size_t max = 1; max < 7; max++) {
		fault_limit("sendmsg", max);
		assert_int_equal(send_bytes(near, "sluice", 6), max < 6 ? max : 6);
		fault_limit("sendmsg", 0);
		assert_int_equal(recv_bytes(far, buf, sizeof(buf)), max < 6 ? max : 6);
		assert_memory_equal(buf, "sluice", max < 6 ? max : 6);

		assert_int_equal(send_bytes(near, "sluice", 6), 6);
		fault_limit("recvmsg", max);
		assert_int_equal(recv_bytes(far, buf, sizeof(buf)), max < 6 ? max : 6);
		fault_limit("recvmsg", 0);
		if (max < 6)
			assert_int_equal(recv_bytes(far, buf + max, sizeof(buf) - max), 6 - max);
		assert_memory_equal(buf, "sluice", 6);
	}
	fault_limit("write", 2);
	fault_limit("read", 1);
	assert_int_equal(sys->write(near, "sluice", 6), 2);
	assert_int_equal(sys->read(far, buf, 6), 1);
	sys->close(near);
	sys->close(far);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sockets_work_through_the_table, setup, teardown),
		cmocka_unit_test_setup_teardown(files_and_memory_work_through_the_table, setup,
						teardown),
		cmocka_unit_test_setup_teardown(clocks_go_forward_and_can_be_moved, setup,
						teardown),
		cmocka_unit_test_setup_teardown(every_call_can_be_made_to_fail, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_close_has_closed, setup, teardown),
		cmocka_unit_test_setup_teardown(transfers_can_be_limited, setup, teardown),
	};

	return cmocka_run_group_tests_name("unit/sys", tests, NULL, NULL);
}
