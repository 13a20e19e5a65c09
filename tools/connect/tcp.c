/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TCP connection for protocols that begin in plain text; the others let the library connect. And
 * what a command line names as target. Called by session.c and the command lines.
 */
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

int fail(struct sluice_error *ret_err, int code, int sys_errno, const char *format, ...)
{
	va_list args;

	memset(ret_err, 0, sizeof(*ret_err));
	ret_err->code = code;
	ret_err->kind = sluice_error_kind(code);
	ret_err->stage = SLUICE_STAGE_TCP;
	ret_err->alert = -1;
	ret_err->sys_errno = sys_errno;
	va_start(args, format);
	vsnprintf(ret_err->text, sizeof(ret_err->text), format, args);
	va_end(args);
	return -code;
}

int tcp_target(const char *command, const char *target, char *ret_host, size_t host_len,
	       char *ret_port, size_t port_len)
{
	const char *colon = strrchr(target, ':'), *host = target;
	size_t len = colon ? (size_t)(colon - target) : 0;
	char *end;

	if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
		host++;
		len -= 2;
	}
	if (!colon || len == 0 || len >= host_len || strlen(colon + 1) >= port_len ||
	    strtoul(colon + 1, &end, 10) - 1 > 65534 || *end) {
		fprintf(stderr, "sluice %s: '%s' is not HOST:PORT\n", command, target);
		return -1;
	}
	memcpy(ret_host, host, len);
	ret_host[len] = '\0';
	strcpy(ret_port, colon + 1);
	return 0;
}

/* Returns 0 or the errno of the connection attempt; ETIMEDOUT when the time is up. */
static int finish_connect(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLOUT };
	socklen_t len = sizeof(int);
	int r, err = 0;

	do
		r = poll(&pfd, 1, timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return ETIMEDOUT;
	if (r < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		return errno;
	return err;
}

static int connect_one(const struct addrinfo *ai, int timeout_ms, int *ret_fd)
{
	int fd, err = 0;

	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	if (fd < 0)
		return errno;
	if (connect(fd, ai->ai_addr, ai->ai_addrlen) < 0)
		err = errno == EINPROGRESS ? finish_connect(fd, timeout_ms) : errno;
	if (err) {
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return 0;
}

int tcp_connect(const char *host, const char *port, int timeout_ms, int *ret_fd,
		struct sluice_error *ret_err)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list, *ai;
	int r, err = 0;

	r = getaddrinfo(host, port, &hints, &list);
	if (r != 0)
		return fail(ret_err, SLUICE_E_RESOLVE, 0, "%s: %s", host, gai_strerror(r));
	for (ai = list; ai; ai = ai->ai_next) {
		err = connect_one(ai, timeout_ms, ret_fd);
		if (err == 0)
			break;
	}
	freeaddrinfo(list);
	if (err == ETIMEDOUT)
		return fail(ret_err, SLUICE_E_TIMEOUT, err, "connecting to %s:%s took too long",
			    host, port);
	if (err)
		return fail(ret_err, SLUICE_E_CONNECT, err, "cannot connect to %s:%s: %s", host,
			    port, strerror(err));
	return 0;
}
