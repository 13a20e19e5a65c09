// SPDX-License-Identifier: Apache-2.0
#include "common/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* --- standard error ------------------------------------------------------------------------------- */

static struct {
	bool opened, is_socket;
	int fd;
	bool torn; /* the line before ended early */
} err_out;

/*
 * O_NONBLOCK belongs to the open file, which others have too: our shell, our neighbours in a pipeline. So
 * a pipe or a terminal is opened once more. A socket cannot be, and need not: each call may say it.
 */
static void open_stderr(void)
{
	struct stat st = { 0 };
	int fd = -1;

	err_out.opened = true;
	err_out.fd = STDERR_FILENO;
	if (fstat(STDERR_FILENO, &st))
		return;
	err_out.is_socket = S_ISSOCK(st.st_mode);
	if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode))
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		err_out.fd = fd;
}

static ssize_t write_stderr(const char *bytes, size_t len)
{
	struct pollfd pfd = { .fd = err_out.fd, .events = POLLOUT };

	if (err_out.is_socket)
		return send(err_out.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	/* pipe(7): writable means that PIPE_BUF bytes fit. For one that could not be opened again. */
	if (err_out.fd == STDERR_FILENO && poll(&pfd, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(err_out.fd, bytes, len);
}

int sink_stderr(const char *line, size_t len)
{
	ssize_t n;

	if (!err_out.opened)
		open_stderr();
	if (err_out.torn && write_stderr("\n", 1) < 0)
		return -errno;
	err_out.torn = false;
	n = write_stderr(line, len);
	if (n < 0)
		return -errno;
	err_out.torn = (size_t)n < len;
	return err_out.torn ? -EAGAIN : 0;
}

/* --- datagrams ------------------------------------------------------------------------------------ */

static int open_dgram(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), err;

	if (fd < 0)
		return -errno;
	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}

/* A reader that was started again has another socket at the path. */
static int send_dgram(int *fd, const char *path, const char *bytes, size_t len)
{
	int err = 0, tries;

	for (tries = 0; tries < 2; tries++) {
		if (*fd < 0)
			*fd = open_dgram(path);
		if (*fd < 0)
			return *fd;
		if (send(*fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
			return 0;
		err = errno;
		if (err != ECONNREFUSED && err != ENOTCONN && err != ECONNRESET)
			break;
		close(*fd);
		*fd = -1;
	}
	return -err;
}

int sink_journal(const char *entry, size_t len)
{
	static int fd = -1;

	return send_dgram(&fd, "/run/systemd/journal/socket", entry, len);
}

int sink_syslog(const char *entry, size_t len)
{
	static int fd = -1;

	return send_dgram(&fd, "/dev/log", entry, len);
}
