/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plain TCP on loopback for tests: sockets to upgrade, and peers that do not speak TLS. Every
 * failure ends the test.
 */
#ifndef SLUICE_TESTS_SUPPORT_TCP_H
#define SLUICE_TESTS_SUPPORT_TCP_H

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TCP_WAIT_MS 10000 /* what takes longer on loopback does not come */

/* tcp_connect() connects to 127.0.0.1; the socket blocks. */
static inline int tcp_connect(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* tcp_pair() makes two connected sockets; both block. */
static inline void tcp_pair(int fds[2])
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	fds[0] = tcp_connect(ntohs(addr.sin_port));
	fds[1] = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fds[1] >= 0);
	close(fd);
}

/* tcp_wait() waits until there is something to read, the end included. */
static inline void tcp_wait(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&pfd, 1, TCP_WAIT_MS), 1);
}

/* tcp_read() reads exactly @len bytes. */
static inline void tcp_read(int fd, void *buf, size_t len)
{
	size_t got = 0;
	ssize_t n;

	for (; got < len; got += (size_t)n) {
		tcp_wait(fd);
		n = recv(fd, (char *)buf + got, len - got, 0);
		assert_true(n > 0);
	}
}

/* tcp_is_silent() tells whether nothing has come from the peer, not even its end. */
static inline int tcp_is_silent(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 0;
}

/*
 * tcp_flush() waits until the receiver's kernel has acknowledged, and so holds, everything that was
 * sent; which it is asked to do without delay.
 */
static inline void tcp_flush(int from, int to)
{
	int left = 1, one = 1, i;

	for (i = 0; left && i < TCP_WAIT_MS; i++) {
		assert_int_equal(setsockopt(to, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
		assert_int_equal(ioctl(from, SIOCOUTQ, &left), 0);
		if (left)
			poll(NULL, 0, 1);
	}
	assert_int_equal(left, 0);
}

#endif
