// SPDX-License-Identifier: Apache-2.0
#include "handover/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/sys.h"

#define BACKLOG 128

/* Room for more than anyone may send: what is too much must be seen, and closed. */
#define RECEIVED_FDS (CHANNEL_MAX_FDS + 1)

int channel_pair(int ret_fds[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret_fds))
		return -errno;
	return 0;
}

int channel_send(int fd, const void *buf, size_t len, const int *fds, unsigned int n_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(CHANNEL_MAX_FDS * sizeof(int))];
	struct iovec iov = { (void *)buf, len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (n_fds > CHANNEL_MAX_FDS)
		return -EINVAL;
	if (n_fds) {
		memset(control, 0, sizeof(control));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, n_fds * sizeof(int));
	}
	do {
		n = sys->sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/*
 * Returns false where there were more than anyone may send; all are in @ret_fds or closed. Without that a
 * list that is cut off is our own limit's doing (recvmsg(2), MSG_CTRUNC): no fault of who sent it.
 */
static bool take_fds(struct msghdr *msg, struct channel_fds *ret_fds)
{
	struct cmsghdr *cmsg;
	bool fits = true;
	size_t i, n;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (ret_fds->n < CHANNEL_MAX_FDS) {
				ret_fds->fds[ret_fds->n++] = fd;
			} else {
				sys->close(fd);
				fits = false;
			}
		}
	}
	ret_fds->lost = fits && msg->msg_flags & MSG_CTRUNC;
	if (ret_fds->lost)
		channel_close_fds(ret_fds);
	return fits;
}

static ssize_t receive(int fd, struct msghdr *msg)
{
	ssize_t n;

	do {
		n = sys->recvmsg(fd, msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	return n;
}

ssize_t channel_recv(int fd, void *buf, size_t size, struct channel_fds *ret_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(RECEIVED_FDS * sizeof(int))];
	struct iovec iov = { buf, size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	*ret_fds = (struct channel_fds){ .n = 0 };
	n = receive(fd, &msg);
	/* unix(7): the other end went with messages of ours unread. What it said before that comes now. */
	if (n < 0 && errno == ECONNRESET)
		n = receive(fd, &msg);
	if (n < 0)
		return -errno;
	if (take_fds(&msg, ret_fds) && !(msg.msg_flags & MSG_TRUNC))
		return n;
	channel_close_fds(ret_fds);
	return -EMSGSIZE;
}

void channel_drop(int fd)
{
	const struct linger none = { 0 };

	sys->setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	sys->close(fd);
}

void channel_close_fds(struct channel_fds *fds)
{
	while (fds->n)
		sys->close(fds->fds[--fds->n]);
}

int channel_take_fd(struct channel_fds *fds)
{
	int fd;

	if (!fds->n)
		return -1;
	fd = fds->fds[0];
	fds->n--;
	memmove(fds->fds, fds->fds + 1, fds->n * sizeof(int));
	return fd;
}

void channel_end(int fd)
{
	struct channel_fds fds;
	char scrap[64];
	ssize_t n;

	sys->shutdown(fd, SHUT_RD); /* nothing more can come; what is there is taken away */
	do {
		n = channel_recv(fd, scrap, sizeof(scrap), &fds);
		channel_close_fds(&fds);
	} while (n > 0 || n == -EMSGSIZE);
	sys->close(fd);
}

int channel_peer(int fd, struct ucred *ret_cred)
{
	socklen_t len = sizeof(*ret_cred);

	return sys->getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_cred, &len) ? -errno : 0;
}

static int address_of(const char *path, struct sockaddr_un *ret_addr)
{
	if (strlen(path) >= sizeof(ret_addr->sun_path))
		return -ENAMETOOLONG;
	*ret_addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	strcpy(ret_addr->sun_path, path);
	return 0;
}

int channel_connect(const char *path)
{
	struct sockaddr_un addr;
	int err, r = address_of(path, &addr);
	int fd;

	if (r < 0)
		return r;
	fd = sys->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (sys->connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	err = errno;
	sys->close(fd);
	return -err;
}

/* A socket file outlives its process: it is in the way, unless somebody still listens at it. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) || !S_ISSOCK(st.st_mode))
		return 0;
	fd = channel_connect(path);
	if (fd >= 0) {
		sys->close(fd);
		return -EADDRINUSE;
	}
	if (fd == -ECONNREFUSED && unlink(path) && errno != ENOENT)
		return -errno;
	return 0;
}

int channel_listen(const char *path, mode_t mode)
{
	struct sockaddr_un addr;
	int err, fd, r = address_of(path, &addr);

	if (r == 0)
		r = remove_stale(path);
	if (r < 0)
		return r;
	fd = sys->socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(). */
	if (sys->bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && chmod(path, mode) == 0 &&
	    sys->listen(fd, BACKLOG) == 0)
		return fd;
	err = errno;
	sys->close(fd);
	return -err;
}
