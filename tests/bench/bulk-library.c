/* SPDX-License-Identifier: Apache-2.0 */
/* The library's ways: its verbs on both record paths, and sluice/uring.h on sockets with kernel TLS. */
#include <string.h>
#include <sys/socket.h>

#include <sluice/sluice.h>
#include <sluice/uring.h>

#include "bench/bulk.h"
#include "support/pair.h"

#define WAIT_MS 10000

/* --- the verbs ------------------------------------------------------------------------------ */

static void check_path(const struct lane *lane, const struct sluice_conn *conn, const char *path)
{
	struct sluice_conn_info info;
	int wanted = strcmp(path, "user") ? SLUICE_PATH_KERNEL : SLUICE_PATH_USER;

	sluice_conn_info(conn, &info, sizeof(info));
	bulk_need(info.suite == lane->bulk->suite->id, "the suite was not negotiated");
	bulk_need(info.tx.path == wanted && info.rx.path == wanted, "the record path is another");
}

static void open_pair(struct lane *lane, const char *path)
{
	const struct suite *suite = lane->bulk->suite;
	struct pair *pair = malloc(sizeof(*pair));
	struct sluice_error err;
	char server_options[200], client_options[200];
	int r;

	bulk_need(pair != NULL, "memory");
	snprintf(server_options, sizeof(server_options),
		 "ciphers = %s\nsession_tickets = disabled\n", suite->name);
	snprintf(client_options, sizeof(client_options), "ciphers = %s\n", suite->name);
	pair_open(pair, &(struct pair_setup){
				.path = path,
				.versions = suite->version == TLS13 ? "tlsv1.3" : "tlsv1.2",
				.server_options = server_options,
				.client_options = client_options,
			});
	r = pair_connect(pair);
	if (r) {
		sluice_conn_error(pair->client, &err, sizeof(err));
		fprintf(stderr, "bench_bulk: handshake: %s\n", err.text);
		exit(1);
	}
	check_path(lane, pair->client, path);
	check_path(lane, pair->server, path);
	lane->tx_fd = sluice_conn_fd(pair->client);
	lane->rx_fd = sluice_conn_fd(pair->server);
	bulk_room(lane->tx_fd, lane->rx_fd);
	lane->own = pair;
}

static void user_open(struct lane *lane)
{
	open_pair(lane, "user");
}

static void kernel_open(struct lane *lane)
{
	open_pair(lane, "kernel");
}

static void close_pair(struct lane *lane)
{
	pair_close(lane->own);
	free(lane->own);
}

static void verb_send(struct lane *lane, uint64_t n)
{
	struct pair *pair = lane->own;
	uint64_t end = lane->sent + n;
	ssize_t r;

	while (lane->sent < end) {
		r = sluice_send(pair->client, bulk_next(lane), lane->bulk->size, WAIT_MS);
		bulk_need(r == (ssize_t)lane->bulk->size, "sluice_send");
		lane->sent += (uint64_t)r;
	}
}

static void verb_receive(struct lane *lane, uint64_t n)
{
	struct pair *pair = lane->own;
	uint64_t end = lane->received + n;
	ssize_t r;

	while (lane->received < end) {
		r = sluice_recv(pair->server, lane->in, lane->bulk->size, WAIT_MS);
		bulk_need(r > 0, "sluice_recv");
		bulk_arrived(lane, (size_t)r);
	}
}

static void verb_sendfile(struct lane *lane, uint64_t n)
{
	struct pair *pair = lane->own;
	uint64_t end = lane->sent + n;
	off_t offset;
	ssize_t r;

	while (lane->sent < end) {
		offset = (off_t)(lane->sent % BULK_FILE_LEN);
		r = sluice_sendfile(pair->client, lane->bulk->file, &offset, lane->bulk->size,
				    WAIT_MS);
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
	{ "user", "aead", false, false, user_open, verb_send, verb_receive, close_pair },
	{ "user-file", "aead-file", false, false, user_open, verb_sendfile, verb_receive,
	  close_pair },
	{ "kernel", "ktls", true, false, kernel_open, verb_send, verb_receive, close_pair },
	{ "kernel-file", "ktls-file", true, false, kernel_open, verb_sendfile, verb_receive,
	  close_pair },
	{ "uring", "ktls", true, false, uring_open, uring_send, uring_receive, uring_close },
	{ NULL },
};
