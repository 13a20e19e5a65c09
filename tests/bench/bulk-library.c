/* SPDX-License-Identifier: Apache-2.0 */
/* The library's ways: its verbs on both record paths, and sluice/uring.h on sockets with kernel TLS. */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include <sluice/sluice.h>
#include <sluice/uring.h>

#include "bench/bulk.h"
#include "conn/conn.h"
#include "support/pair.h"

#define WAIT_MS 10000

/* --- the verbs ------------------------------------------------------------------------------ */

/* Two connections as they are behind a handshake, with the keys of the floors. */
struct live {
	struct sluice *sluice;
	struct sluice_profile *profile;
	struct sluice_conn *tx, *rx;
};

static int make_paths(struct sluice_conn *conn, bool kernel)
{
	int r;

	if (kernel) {
		conn->info.rx.path = conn->info.tx.path = SLUICE_PATH_KERNEL;
		r = record_kernel_rx_new(&conn->rx, conn->fd, conn->rx_traffic);
		return r ? r : record_kernel_tx_new(&conn->tx, conn->fd, conn->tx_traffic);
	}
	conn->info.rx.path = conn->info.tx.path = SLUICE_PATH_USER;
	r = record_user_rx_new(&conn->rx, conn->rx_traffic);
	return r ? r : record_user_tx_new(&conn->tx, conn->tx_traffic);
}

static struct sluice_conn *make_conn(const struct live *live, const struct lane *lane, int fd)
{
	struct sluice_conn *conn = NULL;

	bulk_need(!fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	bulk_need(!conn_new(&conn, live->sluice, live->profile, SLUICE_CLIENT, fd), "memory");
	conn->suite = lane->bulk->suite;
	conn->rx_traffic = bulk_traffic(conn->suite);
	conn->tx_traffic = bulk_traffic(conn->suite);
	bulk_need(!make_paths(conn, lane->way->kernel), "record path");
	conn->stage = conn->info.stage = SLUICE_STAGE_LIVE;
	live_start(conn);
	return conn;
}

static void verb_open(struct lane *lane)
{
	struct live *live = calloc(1, sizeof(*live));

	bulk_need(live && !sluice_start(&live->sluice, SLUICE_TEMPORARY, NULL), "starting");
	live->profile = pair_profile(SLUICE_CLIENT, "verify = verify_none\n");
	if (lane->way->kernel)
		bulk_ktls_open(lane);
	else
		bulk_connect(lane);
	live->tx = make_conn(live, lane, lane->tx_fd);
	live->rx = make_conn(live, lane, lane->rx_fd);
	lane->own = live;
}

static void verb_close(struct lane *lane)
{
	struct live *live = lane->own;

	conn_free(live->tx);
	conn_free(live->rx);
	sluice_profile_unref(live->profile);
	sluice_stop(live->sluice);
	free(live);
}

static void verb_send(struct lane *lane, uint64_t n)
{
	struct live *live = lane->own;
	uint64_t end = lane->sent + n;
	ssize_t r;

	while (lane->sent < end) {
		r = sluice_send(live->tx, bulk_next(lane), lane->bulk->size, WAIT_MS);
		bulk_need(r == (ssize_t)lane->bulk->size, "sluice_send");
		lane->sent += (uint64_t)r;
	}
}

static void verb_receive(struct lane *lane, uint64_t n)
{
	struct live *live = lane->own;
	uint64_t end = lane->received + n;
	ssize_t r;

	while (lane->received < end) {
		r = sluice_recv(live->rx, lane->in, lane->bulk->size, WAIT_MS);
		bulk_need(r > 0, "sluice_recv");
		bulk_arrived(lane, (size_t)r);
	}
}

static void verb_sendfile(struct lane *lane, uint64_t n)
{
	struct live *live = lane->own;
	uint64_t end = lane->sent + n;
	off_t offset;
	ssize_t r;

	while (lane->sent < end) {
		offset = (off_t)(lane->sent % BULK_FILE_LEN);
		r = sluice_sendfile(live->tx, lane->bulk->file, &offset, lane->bulk->size, WAIT_MS);
		bulk_need(r == (ssize_t)lane->bulk->size, "sluice_sendfile");
		lane->sent += (uint64_t)r;
	}
}

/* --- io_uring ------------------------------------------------------------------------------- */

struct rings {
	struct io_uring tx, rx; /* each end has its own, so that both may be threads */
	struct sluice_uring_recv recv;
};

static void uring_open(struct lane *lane)
{
	struct rings *rings = calloc(1, sizeof(*rings));

	bulk_need(rings != NULL, "memory");
	bulk_ktls_open(lane);
	lane->own = rings;
	bulk_need(!io_uring_queue_init(4, &rings->tx, 0) && !io_uring_queue_init(4, &rings->rx, 0),
		  "io_uring");
}

static void uring_close(struct lane *lane)
{
	struct rings *rings = lane->own;

	io_uring_queue_exit(&rings->tx);
	io_uring_queue_exit(&rings->rx);
	free(rings);
	bulk_ktls_close(lane);
}

/* One operation, submitted and waited for by one system call. */
static int ring_run(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int res;

	bulk_need(bulk_call(io_uring_submit_and_wait(ring, 1)) == 1, "io_uring_enter");
	bulk_need(!io_uring_peek_cqe(ring, &cqe), "a completion");
	res = cqe->res;
	io_uring_cqe_seen(ring, cqe);
	return res;
}

static void uring_send(struct lane *lane, uint64_t n)
{
	struct rings *rings = lane->own;
	uint64_t end = lane->sent + n;
	int r;

	while (lane->sent < end) {
		sluice_uring_prep_send(io_uring_get_sqe(&rings->tx), lane->tx_fd, bulk_next(lane),
				       lane->bulk->size, false);
		r = ring_run(&rings->tx);
		bulk_need(r > 0, "io_uring send");
		lane->sent += (uint64_t)r;
	}
}

static void uring_receive(struct lane *lane, uint64_t n)
{
	struct rings *rings = lane->own;
	uint64_t end = lane->received + n;
	int r;

	while (lane->received < end) {
		sluice_uring_prep_recvmsg(io_uring_get_sqe(&rings->rx), lane->rx_fd, &rings->recv,
					  lane->in, lane->bulk->size);
		r = ring_run(&rings->rx);
		bulk_need(sluice_uring_is_data(&rings->recv, r), "io_uring receive");
		bulk_arrived(lane, (size_t)r);
	}
}

const struct way bulk_library_ways[] = {
	{ "user", "aead", false, false, verb_open, verb_send, verb_receive, verb_close },
	{ "user-file", "aead-file", false, false, verb_open, verb_sendfile, verb_receive,
	  verb_close },
	{ "kernel", "ktls", true, false, verb_open, verb_send, verb_receive, verb_close },
	{ "kernel-file", "ktls-file", true, false, verb_open, verb_sendfile, verb_receive,
	  verb_close },
	{ "uring", "ktls", true, false, uring_open, uring_send, uring_receive, uring_close },
	{ NULL },
};
