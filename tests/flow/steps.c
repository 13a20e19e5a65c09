/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of sluice/steps.h by io_uring, as a program uses them that has only the public headers: on every
 * record path, with keys that change, and to the end.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <liburing.h>

#include <sluice/steps.h>

#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define RUN_MS 20000
#define SIZE 40000

static struct io_uring ring;

static int run(struct io_uring_sqe *sqe)
{
	struct __kernel_timespec limit = { RUN_MS / 1000, 0 };
	struct io_uring_cqe *cqe;
	int res;

	assert_int_equal(io_uring_submit(&ring), 1);
	assert_int_equal(io_uring_wait_cqe_timeout(&ring, &cqe, &limit), 0);
	res = cqe->res;
	io_uring_cqe_seen(&ring, cqe);
	return res;
}

static ssize_t send_step(struct sluice_conn *conn, const void *buf, size_t len)
{
	struct io_uring_sqe *sqe;
	struct msghdr *msg;
	ssize_t n = sluice_send_prep(conn, buf, len, &msg);

	assert_true(n >= 0);
	assert_non_null(msg);
	assert_int_equal(sluice_send_prep(conn, buf, len, &msg), -SLUICE_E_STATE);
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_sendmsg(sqe, sluice_conn_fd(conn), msg, MSG_NOSIGNAL);
	n = sluice_send_done(conn, run(sqe));
	assert_true(n >= 0);
	return n;
}

static ssize_t recv_step(struct sluice_conn *conn, void *buf, size_t len)
{
	struct io_uring_sqe *sqe;
	struct msghdr *msg;
	ssize_t n = sluice_recv_prep(conn, buf, len, &msg);

	if (n)
		return n;
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_recvmsg(sqe, sluice_conn_fd(conn), msg, 0);
	n = sluice_recv_done(conn, run(sqe));
	while (sluice_send_pending(conn))
		send_step(conn, NULL, 0);
	return n;
}

/* Echoes what comes until the end. Returns why it ended. */
static ssize_t echo(struct sluice_conn *conn, size_t until)
{
	uint8_t buf[4096];
	size_t total = 0, sent;
	ssize_t n = 0;

	while (total < until && n >= 0) {
		do
			n = recv_step(conn, buf, sizeof(buf));
		while (n == -SLUICE_E_AGAIN);
		for (sent = 0; n > 0 && sent < (size_t)n;)
			sent += (size_t)send_step(conn, buf + sent, (size_t)n - sent);
		total += n > 0 ? (size_t)n : 0;
	}
	return n;
}

static void exchange(struct pair *pair)
{
	static uint8_t out[SIZE], in[SIZE];

	pair_pattern(out, sizeof(out), 0);
	assert_int_equal(sluice_send(pair->client, out, sizeof(out), RUN_MS), sizeof(out));
	assert_true(echo(pair->server, sizeof(out)) > 0);
	assert_int_equal(sluice_recv_exact(pair->client, in, sizeof(in), RUN_MS), sizeof(in));
	assert_memory_equal(in, out, sizeof(in));
}

static void a_ring_echoes_and_reads_the_end(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		exchange(&pair);
		assert_int_equal(check_info(pair.server).rx.bytes, SIZE);
		assert_int_equal(check_info(pair.server).tx.bytes, SIZE);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, RUN_MS), 0);
		assert_int_equal(echo(pair.server, 1), -SLUICE_E_CLOSED);
		assert_false(sluice_send_pending(pair.server));
		pair_close(&pair);
	}
}

static void keys_change_under_a_ring(void **state)
{
	struct pair pair;
	int i, r;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.3" });
		assert_int_equal(pair_connect(&pair), 0);
		for (i = 1; i <= 5; i++) {
			r = sluice_update_keys(pair.client, 1, RUN_MS);
			if (r == -SLUICE_E_REKEY)
				break; /* this kernel has no new keys */
			assert_int_equal(r, 0);
			exchange(&pair);
			assert_int_equal(check_info(pair.server).rx.epoch, i);
			assert_int_equal(check_info(pair.server).tx.epoch, i);
		}
		pair_close(&pair);
	}
}

static void results_without_a_step_are_refused(void **state)
{
	struct msghdr *msg;
	struct pair pair;
	char byte;

	pair_open(&pair, &(struct pair_setup){ .path = "user" });
	pair_start(&pair, NULL);
	assert_int_equal(sluice_recv_prep(pair.client, &byte, 1, &msg), -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_recv_done(pair.client, 1), -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_send_prep(pair.client, "x", 1, &msg), -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_send_done(pair.client, 1), -SLUICE_E_STATE);
	assert_int_equal(pair_run(&pair), 0);
	assert_int_equal(sluice_recv_prep(pair.client, &byte, 0, &msg), -SLUICE_E_INVALID);
	assert_int_equal(sluice_send_done(pair.client, 1), -SLUICE_E_STATE);
	assert_int_equal(sluice_send_prep(pair.client, NULL, 0, &msg), 0);
	assert_null(msg);
	pair_exchange(&pair, 100);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ring_echoes_and_reads_the_end),
		cmocka_unit_test(keys_change_under_a_ring),
		cmocka_unit_test(results_without_a_step_are_refused),
	};
	int r = io_uring_queue_init(8, &ring, 0);

	if (r < 0) {
		print_message("1..0 # SKIP io_uring: %s\n", strerror(-r));
		return 0;
	}
	r = cmocka_run_group_tests_name("flow/steps", tests, leaks_setup, leaks_teardown);
	io_uring_queue_exit(&ring);
	return r;
}
