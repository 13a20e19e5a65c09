/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding the file of a request: opened below the root by openat2(2), which lets neither "..", nor
 * a symbolic link, nor a race lead out of it, and by the ring, so that a slow disk keeps nobody
 * else waiting. Called by http.c; answers by the calls of http.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "http.h"

#define INDEX "index.html"

static struct exchange *exchange_of(struct peer *peer)
{
	return ((struct http *)peer->app_data)->exchange;
}

static void close_file(struct exchange *exchange)
{
	if (exchange->fd >= 0)
		close(exchange->fd);
	exchange->fd = -1;
}

static int open_status(int err)
{
	switch (err) {
	case ENOENT:
	case ENOTDIR:
	case ENAMETOOLONG:
		return 404;
	case EACCES:
	case EPERM:
	case ELOOP:
	case EXDEV: /* out of the root */
		return 403;
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		return 503;
	default:
		return 500;
	}
}

static void open_file(struct peer *peer, int dir_fd, const char *path)
{
	struct exchange *exchange = exchange_of(peer);

	/* Non-blocking: opening a FIFO must not wait for its other end. */
	exchange->how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	exchange->how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	if (loop_openat2(&peer->worker->loop, &peer->io, dir_fd, path, &exchange->how) < 0) {
		close_file(exchange);
		http_respond_status(peer, 503);
	}
}

void http_file_find(struct peer *peer)
{
	const char *path = exchange_of(peer)->request.path + 1;

	open_file(peer, peer->worker->server->root_fd, *path ? path : ".");
}

static void open_failed(struct peer *peer, struct exchange *exchange, int err)
{
	close_file(exchange);
	/* A directory without an index is there, but is not listed. */
	http_respond_status(peer, exchange->index && err == ENOENT ? 403 : open_status(err));
}

static void is_directory(struct peer *peer, struct exchange *exchange)
{
	const char *path = exchange->request.path;

	if (exchange->index) {
		close_file(exchange);
		http_respond_status(peer, 403);
	} else if (path[strlen(path) - 1] != '/') {
		close_file(exchange);
		http_respond_redirect(peer);
	} else {
		exchange->index = true;
		open_file(peer, exchange->fd, INDEX);
	}
}

static void known(struct peer *peer, struct exchange *exchange)
{
	if (S_ISDIR(exchange->stx.stx_mode)) {
		is_directory(peer, exchange);
	} else if (S_ISREG(exchange->stx.stx_mode)) {
		http_respond_file(peer);
	} else {
		close_file(exchange);
		http_respond_status(peer, 403);
	}
}

static void opened(struct peer *peer, struct exchange *exchange, int fd)
{
	close_file(exchange); /* the directory, when its index is what has been opened */
	exchange->fd = fd;
	/* By a thread of the ring's it would cost more than all the rest; open has asked a remote disk already. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &exchange->stx) <
	    0) {
		close_file(exchange);
		http_respond_status(peer, 500);
	} else {
		known(peer, exchange);
	}
}

void http_file_done(struct op *op, int res)
{
	struct peer *peer = owner_of(op, struct peer, io);
	struct exchange *exchange = exchange_of(peer);

	if (peer->state != PEER_LIVE) {
		if (res >= 0)
			close(res);
		if (peer->state == PEER_DEAD)
			peer_release(peer);
		return;
	}
	if (res >= 0)
		opened(peer, exchange, res);
	else
		open_failed(peer, exchange, -res);
}
