// SPDX-License-Identifier: Apache-2.0
/*
 * Who may ask what. Everybody may connect: who it is decides, not the mode of a file, so that whoever
 * may not is told so.
 *
 * The kernel tells who connected, as it was at connect(2): user and effective group by SO_PEERCRED, the
 * supplementary groups by SO_PEERGROUPS (Linux 4.13). These are the groups that the process really had;
 * the user database is not asked, so a membership given later counts from the next login on, as it does
 * for files.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker/admin.h"

#ifndef SO_PEERGROUPS
#define SO_PEERGROUPS 59
#endif

#define BACKLOG 128
#define MAX_GROUPS 65536 /* NGROUPS_MAX */

static bool has_group(int fd, gid_t wanted)
{
	socklen_t len = 64 * sizeof(gid_t);
	gid_t *groups = malloc(len), *more;
	bool found = false;
	size_t i;

	if (groups && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len)) {
		more = errno == ERANGE && len <= MAX_GROUPS * sizeof(gid_t) ? realloc(groups, len)
									    : NULL;
		if (!more || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, more, &len))
			len = 0; /* an old kernel: its effective group is all we know */
		groups = more ? more : groups;
	}
	for (i = 0; groups && !found && i < len / sizeof(gid_t); i++)
		found = groups[i] == wanted;
	free(groups);
	return found;
}

enum admin_right admin_right_of(const struct broker *broker, int fd, uid_t *ret_uid)
{
	gid_t group = broker->config->admin.read_group;
	struct ucred cred;

	if (channel_peer(fd, &cred) < 0)
		return ADMIN_NOTHING;
	if (ret_uid)
		*ret_uid = cred.uid;
	if (cred.uid == 0 || cred.uid == geteuid())
		return ADMIN_ACT;
	if (group != (gid_t)-1 && (cred.gid == group || has_group(fd, group)))
		return ADMIN_READ;
	return ADMIN_NOTHING;
}

/* A socket that nobody listens at any more is in the way; one of a running daemon is not ours. */
static int remove_stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int err = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		err = errno;
	close(fd);
	if (err == ENOENT)
		return 0;
	if (err != ECONNREFUSED || lstat(addr->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	return unlink(addr->sun_path) && errno != ENOENT ? -errno : 0;
}

int admin_listen(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, err, r;

	if (strlen(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	r = remove_stale(&addr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* Nobody can connect before listen(). */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && chmod(path, 0666) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	err = errno;
	close(fd);
	return -err;
}
