/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending a file on one connection. On the kernel path its pages go from the page cache into the socket,
 * and are encrypted there; small files, and on the user path all, are read into a buffer. Nothing here waits
 * for a disk: what is in memory goes by sendfile(2) at once, what is not goes through a pipe, by the ring's
 * threads. A file that turns out shorter than was promised ends the connection: the peer must not take it for
 * the whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <linux/magic.h>

#include "conn/rio.h"
#include "peer.h"

#define HEAD_MAX (8 << 10)
#define FILE_BUF (HEAD_MAX + (64 << 10)) /* so that a file of 64 KiB is one read and one send */
#define PIPE_SIZE (256 << 10)            /* fewer, larger splices; a smaller pipe works too */
#define TURN_MAX (512 << 10)             /* by sendfile before others have their turn */
#define DIRECT_MIN (32 << 10) /* below, copying once costs less than another system call */

/*
 * While a file is on its way TCP waits for full segments (tcp(7), TCP_CORK), as more comes at once: each record
 * would leave by itself, and wake the peer: 12 % of the instructions of a file of 64 KiB.
 */
static void cork(const struct peer *peer, int on)
{
	setsockopt(peer->fd, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

void peer_file_drop(struct peer *peer)
{
	struct peer_file *file = &peer->file;

	if (file->fd < 0)
		return;
	if (file->direct)
		cork(peer, 0);
	close(file->fd);
	if (file->pipe[0] >= 0)
		close(file->pipe[0]);
	if (file->pipe[1] >= 0)
		close(file->pipe[1]);
	free(file->buf);
	memset(file, 0, sizeof(*file));
	file->fd = -1;
}

static bool open_pipe(struct peer_file *file)
{
	if (file->pipe[0] >= 0)
		return true;
	if (pipe2(file->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		file->pipe[0] = -1;
		file->pipe[1] = -1;
		return false; /* out of descriptors */
	}
	fcntl(file->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
	return true;
}

void peer_send_file(struct peer *peer, const void *head, size_t head_len, int fd, uint64_t offset,
		    uint64_t left)
{
	struct peer_file *file = &peer->file;

	file->fd = fd;
	file->pipe[0] = -1;
	file->pipe[1] = -1;
	file->offset = offset;
	file->left = left;
	file->direct = peer_kernel_tx(peer) && left >= DIRECT_MIN;
	peer->sending = true;
	if (file->direct) {
		cork(peer, 1);
		stats_add(&peer->worker->server->stats.files_spliced, 1);
		peer->tx_buf = head;
		peer->tx_len = head_len;
		peer_tx_pump(peer);
		return;
	}
	/* No larger than the file needs: most are small. */
	file->buf_len = left < FILE_BUF - head_len ? head_len + (size_t)left : FILE_BUF;
	file->buf = head_len > HEAD_MAX ? NULL : malloc(file->buf_len);
	if (!file->buf) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	/* The head travels with the first piece of the file. */
	memcpy(file->buf, head, head_len);
	file->head_len = head_len;
	peer_tx_pump(peer);
}

bool peer_file_follows(const struct peer *peer)
{
	return peer->file.fd >= 0 && peer->file.direct && peer->file.left &&
	       rio_may_hold(peer->conn);
}

static size_t at_most(uint64_t left, size_t most)
{
	return left < most ? (size_t)left : most;
}

static void taken(struct peer_file *file, size_t n)
{
	file->offset += n;
	file->left -= n;
}

/* What has been read goes out, and the head before its first piece. */
static void send_piece(struct peer *peer, struct peer_file *file, size_t n)
{
	taken(file, n);
	peer->tx_buf = file->buf;
	peer->tx_len = file->head_len + n;
	file->head_len = 0;
	peer_tx_pump(peer);
}

/* What is in memory is read at once, the rest by the ring. */
static int pump_read(struct peer *peer, struct peer_file *file)
{
	struct iovec iov = { file->buf + file->head_len,
			     at_most(file->left, file->buf_len - file->head_len) };
	ssize_t n = preadv2(file->fd, &iov, 1, (off_t)file->offset, RWF_NOWAIT);

	if (n > 0) {
		send_piece(peer, file, (size_t)n);
		return 0;
	}
	peer->tx_step = TX_READ;
	return loop_read(&peer->worker->loop, &peer->tx, file->fd, iov.iov_base, iov.iov_len,
			 file->offset);
}

static int pump_splice_in(struct peer *peer, struct peer_file *file)
{
	peer->tx_step = TX_SPLICE_IN;
	return loop_splice(&peer->worker->loop, &peer->tx, file->fd, (int64_t)file->offset,
			   file->pipe[1], at_most(file->left, PIPE_SIZE),
			   SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

static int pump_splice_out(struct peer *peer, struct peer_file *file)
{
	unsigned int flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

	/* The last piece must close its record, and so must one that has the size of a record. */
	if (rio_may_hold(peer->conn) && (file->left || file->room < file->in_pipe))
		flags |= SPLICE_F_MORE;
	peer->tx_step = TX_SPLICE_OUT;
	return loop_splice(&peer->worker->loop, &peer->tx, file->pipe[0], -1, peer->fd, file->room,
			   flags);
}

static bool is_memory_fs(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

/*
 * Whether what this turn sends is in memory: its last page tells, as files are read ahead and not back. A file
 * system that cannot say is taken for slow, unless it is nowhere but in memory.
 */
static bool is_cached(struct peer_file *file)
{
	char byte;
	struct iovec iov = { &byte, 1 };
	off_t last = (off_t)(file->offset + at_most(file->left, TURN_MAX) - 1);

	if (file->in_memory || preadv2(file->fd, &iov, 1, last, RWF_NOWAIT) == 1)
		return true;
	file->in_memory = errno == EOPNOTSUPP && is_memory_fs(file->fd);
	return file->in_memory;
}

/* Others have their turn, or the socket is full: either way we go on when there is room. */
static int yield(struct peer *peer)
{
	peer->tx_step = TX_POLL;
	return loop_poll(&peer->worker->loop, &peer->tx, peer->fd, POLLOUT);
}

/* One sendfile(2). Returns bytes, 0 for a full socket, or an error of the connection's or the file's. */
static ssize_t send_pages(struct peer *peer, struct peer_file *file, size_t len)
{
	off_t offset = (off_t)file->offset;
	ssize_t n = sendfile(peer->fd, file->fd, &offset, len);

	if (n < 0 && (errno == EIO || errno == EOVERFLOW))
		return -SLUICE_E_IO; /* the disk's */
	if (n < 0)
		return rio_direct_failed(peer->conn, errno);
	if (n == 0)
		return -SLUICE_E_IO; /* shorter than it was */
	taken(file, (size_t)n);
	rio_sent_direct(peer->conn, (size_t)n);
	peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	return n;
}

/* A turn of what is in memory. Returns 0, or -1 when the ring takes no more. */
static int pump_pages(struct peer *peer, struct peer_file *file)
{
	size_t sent = 0, want, room;
	ssize_t n;

	do {
		room = want = at_most(file->left, TURN_MAX - sent);
		n = rio_direct_room(peer->conn, &room);
		if (n == 0 && rio_send_pending(peer->conn)) {
			peer_tx_pump(peer); /* a KeyUpdate goes first */
			return 0;
		}
		if (n == 0)
			n = send_pages(peer, file, room);
		if (n < 0) {
			peer_send_failed(peer, (int)n);
			return 0;
		}
		sent += (size_t)n;
	} while (file->left && (size_t)n == room && sent < TURN_MAX);
	if (file->left)
		return yield(peer);
	peer_tx_pump(peer);
	return 0;
}

static int pump_direct(struct peer *peer, struct peer_file *file)
{
	if (file->in_pipe)
		return pump_splice_out(peer, file);
	if (!is_cached(file) && open_pipe(file))
		return pump_splice_in(peer, file);
	return pump_pages(peer, file);
}

/* A KeyUpdate may have to go before what is in the pipe; it is queued then. */
bool peer_file_room(struct peer *peer)
{
	int r;

	peer->file.room = peer->file.in_pipe;
	r = rio_direct_room(peer->conn, &peer->file.room);
	if (r < 0)
		peer_fail(peer, r);
	return r == 0;
}

/* Returns false when the file has been sent. */
bool peer_file_pump(struct peer *peer)
{
	struct peer_file *file = &peer->file;
	int r;

	if (file->left == 0 && file->in_pipe == 0) {
		peer_file_drop(peer);
		return false;
	}
	r = file->direct ? pump_direct(peer, file) : pump_read(peer, file);
	if (r < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
	return true;
}

static void splice_out_done(struct peer *peer, struct peer_file *file, int res)
{
	if (res == -EAGAIN) {
		if (yield(peer) < 0)
			peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	if (res <= 0) {
		peer_send_failed(peer,
				 res < 0 ? rio_direct_failed(peer->conn, -res) : -SLUICE_E_IO);
		return;
	}
	file->in_pipe -= (size_t)res;
	rio_sent_direct(peer->conn, (size_t)res);
	peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	peer_tx_pump(peer);
}

void peer_file_done(struct peer *peer, int res)
{
	struct peer_file *file = &peer->file;

	if (peer->state != PEER_LIVE) {
		peer_tx_pump(peer); /* the connection failed meanwhile: only its end is left */
		return;
	}
	if (peer->tx_step == TX_SPLICE_OUT) {
		splice_out_done(peer, file, res);
		return;
	}
	if (res <= 0) {
		peer_abort(peer, -SLUICE_E_IO);
		return;
	}
	if (peer->tx_step == TX_READ) {
		send_piece(peer, file, (size_t)res);
		return;
	}
	taken(file, (size_t)res);
	file->in_pipe = (size_t)res;
	peer_tx_pump(peer);
}
