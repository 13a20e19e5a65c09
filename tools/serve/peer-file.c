/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending a file on one connection. On the kernel path its pages go from the page cache through a
 * pipe into the socket, and are encrypted there; small files, and on the user path all, are read
 * into a buffer.
 * Both sides of every step are non-blocking or run on the kernel's own workers. A file that turns
 * out shorter than was promised ends the connection: the peer must not take it for the whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conn/epoch.h"
#include "conn/rio.h"
#include "peer.h"

#define FILE_BUF (64 << 10)
#define PIPE_SIZE (256 << 10) /* fewer, larger splices; a smaller pipe works too */
#define SPLICE_MIN (32 << 10) /* below, copying once costs less than a pipe and three steps */

void peer_file_drop(struct peer *peer)
{
	struct peer_file *file = &peer->file;

	if (file->fd < 0)
		return;
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
	if (pipe2(file->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
		file->pipe[0] = -1;
		file->pipe[1] = -1;
		return false; /* out of descriptors: reading needs none */
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
	peer->sending = true;
	if (peer_kernel_tx(peer) && left >= SPLICE_MIN && open_pipe(file)) {
		stats_add(&peer->worker->server->stats.files_spliced, 1);
		peer->tx_buf = head;
		peer->tx_len = head_len;
		peer_tx_pump(peer);
		return;
	}
	file->buf = malloc(FILE_BUF);
	if (!file->buf || head_len >= FILE_BUF) {
		peer_abort(peer, -SLUICE_E_NOMEM);
		return;
	}
	/* The head travels with the first piece of the file. */
	memcpy(file->buf, head, head_len);
	file->head_len = head_len;
	peer_tx_pump(peer);
}

static size_t at_most(uint64_t left, size_t most)
{
	return left < most ? (size_t)left : most;
}

static int pump_read(struct peer *peer, struct peer_file *file)
{
	peer->tx_step = TX_READ;
	return loop_read(&peer->worker->loop, &peer->tx, file->fd, file->buf + file->head_len,
			 at_most(file->left, FILE_BUF - file->head_len), file->offset);
}

static int pump_splice(struct peer *peer, struct peer_file *file)
{
	unsigned int flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

	if (file->in_pipe == 0) {
		peer->tx_step = TX_SPLICE_IN;
		return loop_splice(&peer->worker->loop, &peer->tx, file->fd, (int64_t)file->offset,
				   file->pipe[1], at_most(file->left, PIPE_SIZE), flags);
	}
	/* The last piece must close its record. */
	if (file->left || file->room < file->in_pipe)
		flags |= SPLICE_F_MORE;
	peer->tx_step = TX_SPLICE_OUT;
	return loop_splice(&peer->worker->loop, &peer->tx, file->pipe[0], -1, peer->fd, file->room,
			   flags);
}

/* A KeyUpdate may have to go before what is in the pipe; it is queued then. */
bool peer_file_room(struct peer *peer)
{
	int r;

	peer->file.room = peer->file.in_pipe;
	r = epoch_room(peer->conn, &peer->file.room);
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
	r = file->buf ? pump_read(peer, file) : pump_splice(peer, file);
	if (r < 0)
		peer_abort(peer, -SLUICE_E_NOMEM);
	return true;
}

static void taken(struct peer_file *file, size_t n)
{
	file->offset += n;
	file->left -= n;
}

static void splice_out_done(struct peer *peer, struct peer_file *file, int res)
{
	if (res == -EAGAIN) {
		peer->tx_step = TX_POLL;
		if (loop_poll(&peer->worker->loop, &peer->tx, peer->fd, POLLOUT) < 0)
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
	taken(file, (size_t)res);
	if (peer->tx_step == TX_SPLICE_IN) {
		file->in_pipe = (size_t)res;
	} else {
		peer->tx_buf = file->buf;
		peer->tx_len = file->head_len + (size_t)res;
		file->head_len = 0;
	}
	peer_tx_pump(peer);
}
