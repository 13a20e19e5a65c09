/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Post-handshake messages on the wire as the kernel's KeyUpdate detector does not expect them, and as
 * a receiver can come to sleep behind them: on both record paths and roles, in one segment and byte
 * by byte, read in the three ways there are: waiting, with poll(2), and by io_uring.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn/rio.h"
#include "core/sys.h"
#include "support/check.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define SILENCE_MS 100
#define MOST_PIECES 12

#define KEY_UPDATE "\x18\0\0\1\0"
/* RFC 8446, 4.6.1: the smallest; and one whose second part begins like a KeyUpdate. */
#define TICKET "\4\0\0\x0e\0\0\x1c\x20\1\2\3\4\0\0\1t\0\0"
#define TICKET_HEAD "\4\0\0\x12\0\0\x1c\x20\1\2\3\4\0\0\5"
#define TICKET_REST "\x18\0\0\1\0\0\0"

/* --- what is sent ------------------------------------------------------------------------- */

#define HS(bytes)                                                 \
	{                                                         \
		RECORD_HANDSHAKE, bytes, sizeof(bytes) - 1, false \
	}
#define UPDATE(bytes)                                            \
	{                                                        \
		RECORD_HANDSHAKE, bytes, sizeof(bytes) - 1, true \
	}
#define DATA(bytes)                                          \
	{                                                    \
		RECORD_DATA, bytes, sizeof(bytes) - 1, false \
	}

/* A script of records; behind one that ends a KeyUpdate the peer's next epoch begins. */
struct script {
	const char *name;
	const char *expect; /* the data, without their limits */
	uint64_t updates;
	bool of_server; /* only a server can send it */
	struct {
		uint8_t type;
		const char *bytes;
		size_t len;
		bool new_epoch;
	} records[MOST_PIECES];
};

static const struct script scripts[] = {
	{ "between data", "oldnew", 1, false, { DATA("old"), UPDATE(KEY_UPDATE), DATA("new") } },
	{ "three in a row",
	  "oldnew",
	  3,
	  false,
	  { DATA("old"), UPDATE(KEY_UPDATE), UPDATE(KEY_UPDATE), UPDATE(KEY_UPDATE),
	    DATA("new") } },
	{ "behind tickets in their record",
	  "oldnew",
	  1,
	  true,
	  { DATA("old"), UPDATE(TICKET TICKET KEY_UPDATE), DATA("new") } },
	{ "split after its type",
	  "oldnew",
	  1,
	  false,
	  { DATA("old"), HS("\x18"), UPDATE("\0\0\1\0"), DATA("new") } },
	{ "split before its last byte",
	  "new",
	  1,
	  false,
	  { HS("\x18\0\0\1"), UPDATE("\0"), DATA("new") } },
	{ "a record for each byte",
	  "oldnew",
	  1,
	  false,
	  { DATA("old"), HS("\x18"), HS("\0"), HS("\0"), HS("\1"), UPDATE("\0"), DATA("new") } },
	{ "half of it behind a ticket",
	  "new",
	  1,
	  true,
	  { HS(TICKET "\x18\0"), UPDATE("\0\1\0"), DATA("new") } },
	{ "a ticket whose second part looks like one",
	  "oldsame",
	  0,
	  true,
	  { DATA("old"), HS(TICKET_HEAD), HS(TICKET_REST), DATA("same") } },
	{ "first looks like one, then is one",
	  "oldnew",
	  1,
	  true,
	  { DATA("old"), HS(TICKET_HEAD), HS(TICKET_REST), UPDATE(KEY_UPDATE), DATA("new") } },
};

/* Returns the length of the whole script as it goes onto the wire. */
static size_t seal_script(struct peer *peer, const struct script *script, uint8_t *wire)
{
	size_t len = 0;
	int i;

	for (i = 0; i < MOST_PIECES && script->records[i].type; i++) {
		len += peer_seal(&peer->tx, script->records[i].type, script->records[i].bytes,
				 script->records[i].len, 0, wire + len);
		if (script->records[i].new_epoch)
			peer_next_epoch(&peer->tx);
	}
	return len;
}

/* --- how it is read ----------------------------------------------------------------------- */

static ssize_t read_waiting(struct sluice_conn *conn, void *buf, size_t len)
{
	return sluice_recv(conn, buf, len, RUN_MS);
}

/* Receives until there is nothing, and only then waits. */
static ssize_t read_polling(struct sluice_conn *conn, void *buf, size_t len)
{
	struct pollfd pfd = { .fd = sluice_conn_fd(conn) };
	ssize_t n;

	while ((n = sluice_recv(conn, buf, len, SLUICE_NOWAIT)) == -SLUICE_E_AGAIN) {
		pfd.events = (short)sluice_conn_events(conn);
		assert_int_equal(poll(&pfd, 1, RUN_MS), 1);
	}
	return n;
}

static struct io_uring ring;

/* One operation, and its result. */
static int ring_run(struct io_uring_sqe *sqe)
{
	struct __kernel_timespec limit = { .tv_sec = RUN_MS / 1000 };
	struct io_uring_cqe *cqe;
	int res;

	assert_non_null(sqe);
	assert_true(io_uring_submit(&ring) >= 0);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), 0);
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

static void ring_send_pending(struct sluice_conn *conn)
{
	struct io_uring_sqe *sqe;
	struct msghdr *msg;

	while (rio_send_pending(conn)) {
		assert_true(rio_send_prep(conn, NULL, 0, &msg) >= 0);
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_sendmsg(sqe, sluice_conn_fd(conn), msg, MSG_NOSIGNAL);
		assert_true(rio_send_done(conn, ring_run(sqe)) >= 0);
	}
}

/* As `sluice serve` does it: one receive in flight, and a poll only behind EAGAIN. */
static ssize_t read_ring(struct sluice_conn *conn, void *buf, size_t len)
{
	struct io_uring_sqe *sqe;
	struct msghdr *msg;
	ssize_t n;
	int res;

	for (;;) {
		n = rio_recv_prep(conn, buf, len, &msg);
		if (n == -SLUICE_E_AGAIN)
			continue;
		if (n)
			return n;
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_recvmsg(sqe, sluice_conn_fd(conn), msg, MSG_DONTWAIT);
		res = ring_run(sqe);
		n = rio_recv_done(conn, res);
		ring_send_pending(conn);
		if (n != -SLUICE_E_AGAIN)
			return n;
		if (res != -EAGAIN)
			continue;
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_poll_add(sqe, sluice_conn_fd(conn), POLLIN);
		assert_true(ring_run(sqe) > 0);
	}
}

static ssize_t (*const readers[])(struct sluice_conn *conn, void *buf,
				  size_t len) = { read_waiting, read_polling, read_ring };

static bool can_rekey(const struct pair *pair, const char *path)
{
	struct sluice_capabilities caps;

	assert_int_equal(sluice_capabilities(pair->sluice, &caps, sizeof(caps)), 0);
	return strcmp(path, "kernel") != 0 || (!caps.rekey_tx_errno && !caps.rekey_rx_errno);
}

/* Reads as many bytes as are expected, by receives that have room for far more. */
static void expect_data(struct peer *peer, size_t reader, const char *expect)
{
	uint8_t buf[4096];
	size_t got = 0;
	ssize_t n;

	while (got < strlen(expect)) {
		n = readers[reader](peer->conn, buf + got, sizeof(buf) - got);
		assert_in_range(n, 1, strlen(expect) - got);
		got += n;
	}
	assert_memory_equal(buf, expect, got);
}

static void run_script(struct pair *pair, const struct script *script, enum sluice_role role,
		       size_t reader, bool by_bytes)
{
	static uint8_t wire[PEER_BUFFER];
	struct peer peer;
	size_t len, i;

	peer_open_live(&peer, pair, role, TLS13);
	len = seal_script(&peer, script, wire);
	for (i = 0; by_bytes && i < len - 1; i++) {
		peer_send(&peer, wire + i, 1);
		if (i % 16 == 0)
			peer_dispatch(&peer);
	}
	peer_send(&peer, wire + i, len - i);
	expect_data(&peer, reader, script->expect);
	assert_int_equal(check_info(peer.conn).rx.epoch, script->updates);
	/* It goes on, and wakes whoever waits. */
	peer_send_record(&peer, RECORD_DATA, "more", 4);
	expect_data(&peer, reader, "more");
	peer_close(&peer);
}

static void KY_13_whatever_way_a_key_update_comes(void **state)
{
	static const enum sluice_role roles[] = { SLUICE_CLIENT, SLUICE_SERVER };
	struct pair pair;
	size_t s, r, reader;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.3" });
		for (s = 0; s < ARRAY_SIZE(scripts) && can_rekey(&pair, path); s++) {
			for (r = 0; r < ARRAY_SIZE(roles); r++) {
				if (scripts[s].of_server && roles[r] != SLUICE_SERVER)
					continue;
				for (reader = 0; reader < 2 * ARRAY_SIZE(readers); reader++)
					run_script(&pair, &scripts[s], roles[r], reader / 2,
						   reader % 2);
			}
		}
		pair_close(&pair);
	}
}

/* --- why it is done so -------------------------------------------------------------------- */

/* Opens the kernel's path of a kernel that knows KeyUpdates; else the test says why not. */
static void open_kernel(struct pair *pair)
{
	if (!pair_path(1)) {
		print_message("skipped: this kernel has no TLS\n");
		skip();
	}
	pair_open(pair, &(struct pair_setup){ .path = "kernel", .versions = "tlsv1.3" });
	if (!can_rekey(pair, "kernel")) {
		pair_close(pair);
		print_message("skipped: this kernel cannot change keys\n");
		skip();
	}
}

/* Data and a KeyUpdate that the kernel decrypts with it: poll is silent, and only asking helps. */
static void a_wait_behind_a_short_receive_would_not_end(void **state)
{
	struct __kernel_timespec limit = { .tv_nsec = SILENCE_MS * 1000000 };
	static uint8_t wire[PEER_BUFFER];
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	struct msghdr *msg;
	struct pollfd pfd;
	struct pair pair;
	struct peer peer;
	uint8_t buf[4096];
	ssize_t n;

	open_kernel(&pair);
	peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
	peer_send(&peer, wire, seal_script(&peer, &scripts[0], wire));
	pfd = (struct pollfd){ .fd = sluice_conn_fd(peer.conn), .events = POLLIN };
	assert_int_equal(poll(&pfd, 1, RUN_MS), 1);
	assert_int_equal(rio_recv_prep(peer.conn, buf, sizeof(buf), &msg), 0);
	n = rio_recv_done(peer.conn, recvmsg(pfd.fd, msg, MSG_DONTWAIT));
	assert_int_equal(n, 3);

	assert_int_equal(poll(&pfd, 1, SILENCE_MS), 0);
	assert_int_equal(rio_recv_prep(peer.conn, buf, sizeof(buf), &msg), 0);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recvmsg(sqe, pfd.fd, msg, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
	io_uring_sqe_set_data64(sqe, 1);
	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), -ETIME);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_cancel64(sqe, 1, 0);
	io_uring_sqe_set_data64(sqe, 2);
	assert_int_equal(io_uring_submit_and_wait(&ring, 2), 1);
	while (io_uring_peek_cqe(&ring, &cqe) == 0)
		io_uring_cqe_seen(&ring, cqe);
	assert_int_equal(rio_recv_done(peer.conn, -ECANCELED), -SLUICE_E_AGAIN);

	expect_data(&peer, 2, "new");
	peer_close(&peer);
	pair_close(&pair);
}

/* --- the end ------------------------------------------------------------------------------ */

static int end_by_shutdown(struct sluice_conn *conn)
{
	return shutdown(sluice_conn_fd(conn), SHUT_WR);
}

static int null_fd;

static int end_by_close(struct sluice_conn *conn)
{
	return dup2(null_fd, sluice_conn_fd(conn)) < 0 ? -1 : 0;
}

/* A full socket of the kernel's path: what does not wait for room loses what was accepted. */
static void every_other_order_of_closing_loses_data(void **state)
{
	int (*const ends[])(struct sluice_conn *) = { end_by_shutdown, end_by_close };
	struct pair pair;
	size_t accepted, i;
	ssize_t end;

	open_kernel(&pair);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		assert_int_equal(pair_connect(&pair), 0);
		accepted = full_fill(pair.client);
		assert_int_equal(ends[i](pair.client), 0);
		assert_true(full_drain(pair.server, &end) < accepted);
		assert_true(end == -SLUICE_E_TRUNCATED || end == -SLUICE_E_RESET);
		pair_drop(&pair);
	}
	close(null_fd);
	pair_close(&pair);
}

static void our_order_of_closing_loses_nothing(void **state)
{
	struct full_end end;
	struct pair pair;
	size_t accepted;

	open_kernel(&pair);
	assert_int_equal(pair_connect(&pair), 0);
	accepted = full_fill(pair.client);
	full_end(&end, sluice_close, pair.client);
	pair.client = NULL;
	full_drain_end(&end, pair.server, accepted);
	pair_close(&pair);
}

static int setup(void **state)
{
	int r = io_uring_queue_init(8, &ring, 0);

	if (r < 0)
		print_error("io_uring: %s\n", strerror(-r));
	return r < 0 ? r : leaks_setup(state);
}

static int teardown(void **state)
{
	int r = leaks_teardown(state);

	io_uring_queue_exit(&ring);
	return r;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KY_13_whatever_way_a_key_update_comes),
		cmocka_unit_test(a_wait_behind_a_short_receive_would_not_end),
		cmocka_unit_test(every_other_order_of_closing_loses_data),
		cmocka_unit_test(our_order_of_closing_loses_nothing),
	};

	return cmocka_run_group_tests_name("flow/post_handshake", tests, setup, teardown);
}
