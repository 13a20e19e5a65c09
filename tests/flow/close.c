/* SPDX-License-Identifier: Apache-2.0 */
/* The end: shutdown of one direction or both, close with and without a wait, and ends that are cut. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "support/fault.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "support/waits.h"

static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };

static void open_connected(struct pair *pair, const char *path, const char *version)
{
	pair_open(pair, &(struct pair_setup){ .path = path, .versions = version });
	assert_int_equal(pair_connect(pair), 0);
}

static ssize_t recv_one(struct sluice_conn *conn)
{
	return sluice_recv(conn, &(char){ 0 }, 1, TCP_WAIT_MS);
}

/* The transport's own end, below TLS: nothing more, not even a byte. */
static void expect_fin(struct sluice_conn *conn)
{
	char in[16];

	tcp_wait(sluice_conn_fd(conn));
	assert_int_equal(recv(sluice_conn_fd(conn), in, sizeof(in), 0), 0);
}

/* --- close --------------------------------------------------------------------------------- */

static void LC_30_LC_33_AL_12_close_ends_the_connection_in_order(void **state)
{
	struct sluice_conn_info info;
	struct pair pair;
	ssize_t end;
	int v;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			open_connected(&pair, path, versions[v]);
			assert_int_equal(sluice_send(pair.client, "", 0, 0), 0);
			assert_int_equal(sluice_close(pair.client), 0);
			pair.client = NULL;
			assert_int_equal(full_drain(pair.server, &end), 0);
			assert_int_equal(end, -SLUICE_E_CLOSED);
			sluice_conn_info(pair.server, &info, sizeof(info));
			assert_int_equal(info.alerts_received, 1);
			expect_fin(pair.server);
			assert_int_equal(sluice_close(pair.server), 0);
			pair.server = NULL;
			pair_close(&pair);
		}
	}
	assert_int_equal(sluice_close(NULL), 0);
	assert_int_equal(sluice_close_timeout(NULL, 10), 0);
}

/* A program that sends and closes, and nothing else, has lost nothing. */
static void LC_30_LC_33_what_was_accepted_arrives(void **state)
{
	struct pair pair;
	struct full_end end;
	size_t accepted;
	int v;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			open_connected(&pair, path, versions[v]);
			accepted = full_fill(pair.client);
			full_end(&end, sluice_close, pair.client);
			pair.client = NULL;
			full_drain_end(&end, pair.server, accepted);
			pair_close(&pair);
		}
	}
}

/* A queue that is full of control records must not cost the data behind which they wait. */
static void LC_30_a_full_queue_of_control_records(void **state)
{
	struct pair pair;
	uint8_t message[KEY_UPDATE_LEN];
	struct full_end end;
	size_t accepted;
	int i;

	open_connected(&pair, "user", "tlsv1.3");
	accepted = full_fill(pair.client);
	control_build_key_update(message, false);
	for (i = 0; i < OUTGOING_MAX; i++)
		assert_int_equal(conn_queue(pair.client, RECORD_HANDSHAKE, message, sizeof(message),
					    true),
				 0);
	assert_int_equal(conn_queue(pair.client, RECORD_HANDSHAKE, message, sizeof(message), true),
			 -SLUICE_E_STATE);
	full_end(&end, sluice_close, pair.client);
	pair.client = NULL;
	full_drain_end(&end, pair.server, accepted);
	pair_close(&pair);
}

/* A peer that does not read cannot hold us for ever; that something was lost is said to both. */
static void LC_30_close_waits_only_so_long(void **state)
{
	struct pair pair;
	size_t accepted;
	ssize_t end;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		accepted = full_fill(pair.client);
		waits_install();
		assert_int_equal(sluice_close(pair.client), -SLUICE_E_TIMEOUT);
		assert_int_equal(waits.passed_us, 5000000);
		waits_uninstall();
		pair.client = NULL;
		assert_true(full_drain(pair.server, &end) <= accepted);
		assert_int_equal(end, -SLUICE_E_TRUNCATED);
		pair_close(&pair);
	}
}

static void LC_30_both_close_at_once(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		pair_exchange(&pair, 1000);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_INFINITY), 0);
		assert_int_equal(sluice_close(pair.server), 0);
		assert_int_equal(sluice_close(pair.client), 0);
		pair.client = pair.server = NULL;
		pair_close(&pair);
	}
}

/* Unread data must not turn our end into a reset, which could take what we sent with it. */
static void LC_30_closing_with_unread_data(void **state)
{
	struct pair pair;
	char in[16];

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		assert_int_equal(sluice_send(pair.server, "not wanted", 10, TCP_WAIT_MS), 10);
		tcp_flush(sluice_conn_fd(pair.server), sluice_conn_fd(pair.client));
		assert_int_equal(sluice_send(pair.client, "farewell", 8, TCP_WAIT_MS), 8);
		assert_int_equal(sluice_close(pair.client), 0);
		pair.client = NULL;
		assert_int_equal(sluice_recv_exact(pair.server, in, 8, TCP_WAIT_MS), 8);
		assert_memory_equal(in, "farewell", 8);
		assert_int_equal(recv_one(pair.server), -SLUICE_E_CLOSED);
		pair_close(&pair);
	}
}

/* An answer to somebody who has not stopped talking: more of both than a few buffers. */
static void LC_30_closing_with_much_unread_data(void **state)
{
	static uint8_t block[16384], in[16384];
	size_t sent = 0, got = 0;
	struct pair pair;
	ssize_t n;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		for (i = 0; i < 20; i++)
			assert_true(sluice_send(pair.server, block, sizeof(block), SLUICE_NOWAIT) >
				    0);
		for (sent = i = 0; i < 12; i++) {
			n = sluice_send(pair.client, block, sizeof(block), SLUICE_NOWAIT);
			assert_true(n > 0 || n == -SLUICE_E_AGAIN);
			sent += n > 0 ? n : 0;
		}
		assert_int_equal(sluice_close(pair.client), 0);
		pair.client = NULL;
		for (got = 0; (n = sluice_recv(pair.server, in, sizeof(in), TCP_WAIT_MS)) > 0;)
			got += n;
		assert_int_equal(n, -SLUICE_E_CLOSED);
		assert_int_equal(got, sent);
		pair_close(&pair);
	}
}

/* Wherever the handshake stands: no descriptor, no secret stays behind (see leaks.h). */
static void LC_30_closing_before_the_end_of_the_handshake(void **state)
{
	struct pair pair;
	int steps, i, r, left = 1;

	for (steps = 0; left; steps++) {
		pair_open(&pair, &(struct pair_setup){ 0 });
		pair_start(&pair, NULL);
		fault_install();
		fault_limit("recvmsg", 100);
		for (i = 0; i < steps; i++) {
			fault_arm_from("recvmsg", 2, EAGAIN); /* a few bytes in each step */
			if (i % 2)
				pair.server_result = sluice_conn_dispatch(pair.server);
			else
				pair.client_result = sluice_conn_dispatch(pair.client);
		}
		fault_uninstall();
		left = pair.client_result == -SLUICE_E_AGAIN ||
		       pair.server_result == -SLUICE_E_AGAIN;
		assert_true(steps < 1000);
		assert_int_equal(sluice_close(pair.client), 0);
		pair.client = NULL;
		if (pair.server_result == -SLUICE_E_AGAIN)
			pair.server_result = sluice_handshake(pair.server, NULL, TCP_WAIT_MS);
		/* What the server sends to a socket that is gone may be answered by a reset. */
		assert_true((pair.server_result == 0 && pair.client_result == 0) ||
			    pair.server_result == -SLUICE_E_TRUNCATED ||
			    pair.server_result == -SLUICE_E_RESET);
		r = sluice_close(pair.server);
		assert_true(r == 0 || (r == -SLUICE_E_RESET && pair.server_result == 0));
		pair.server = NULL;
		pair_close(&pair);
	}
	assert_true(steps > 10);
}

static void LC_30_closing_after_a_failed_handshake(void **state)
{
	struct pair pair;
	int timed;

	for (timed = 0; timed < 2; timed++) {
		pair_open(&pair,
			  &(struct pair_setup){ .client_options = "alpn_advertised_protocols = a",
						.server_options = "alpn_preferred_protocols = b" });
		assert_int_equal(pair_connect(&pair), -SLUICE_E_NO_SHARED);
		assert_int_equal(timed ? sluice_close_timeout(pair.client, SLUICE_INFINITY)
				       : sluice_close(pair.client),
				 0);
		assert_int_equal(timed ? sluice_close_timeout(pair.server, SLUICE_INFINITY)
				       : sluice_close(pair.server),
				 0);
		pair.client = pair.server = NULL;
		pair_close(&pair);
	}
}

/* --- close with a wait --------------------------------------------------------------------- */

/* The peer reads our close_notify and answers with its own, after some last data. */
static void answer(void *arg)
{
	struct pair *pair = arg;

	if (recv_one(pair->server) != -SLUICE_E_CLOSED)
		return;
	assert_int_equal(sluice_send(pair->server, "still here", 10, TCP_WAIT_MS), 10);
	assert_int_equal(sluice_shutdown(pair->server, SHUT_WR, TCP_WAIT_MS), 0);
}

static void LC_31_close_waits_for_the_peers_close_notify(void **state)
{
	static const int timeouts[] = { SLUICE_INFINITY, 250 };
	struct pair pair;
	int v, t;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			for (t = 0; t < 2; t++) {
				open_connected(&pair, path, versions[v]);
				waits_install();
				waits_until(answer, &pair);
				assert_int_equal(sluice_close_timeout(pair.client, timeouts[t]), 0);
				waits_uninstall();
				pair.client = NULL;
				pair_close(&pair);
			}
		}
	}
}

/* The peer was first: there is nothing left to wait for. */
static void LC_31_the_peer_has_closed_already(void **state)
{
	struct pair pair;
	int seen;

	PAIR_FOR_EACH_PATH(path)
	{
		for (seen = 0; seen < 2; seen++) {
			open_connected(&pair, path, NULL);
			assert_int_equal(sluice_shutdown(pair.server, SHUT_WR, TCP_WAIT_MS), 0);
			if (seen)
				assert_int_equal(recv_one(pair.client), -SLUICE_E_CLOSED);
			assert_int_equal(sluice_close_timeout(pair.client, TCP_WAIT_MS), 0);
			pair.client = NULL;
			assert_int_equal(recv_one(pair.server), -SLUICE_E_CLOSED);
			pair_close(&pair);
		}
	}
}

static void LC_31_LC_40_the_peer_does_not_answer(void **state)
{
	static const int timeouts[] = { 0, 250 };
	struct pair pair;
	int t, fds;

	PAIR_FOR_EACH_PATH(path)
	{
		for (t = 0; t < 2; t++) {
			open_connected(&pair, path, NULL);
			fds = fault_open_fds();
			waits_install();
			assert_int_equal(sluice_close_timeout(pair.client, timeouts[t]),
					 -SLUICE_E_TIMEOUT);
			assert_int_equal(waits.passed_us, 1000 * timeouts[t]);
			waits_uninstall();
			pair.client = NULL;
			assert_int_equal(fault_open_fds(), fds - 1);
			/* Our own part was done. */
			assert_int_equal(recv_one(pair.server), -SLUICE_E_CLOSED);
			pair_close(&pair);
		}
	}
}

static void drop_server(void *arg)
{
	struct pair *pair = arg;

	pair->server = conn_free(pair->server);
}

static void LC_31_the_peer_ends_without_close_notify(void **state)
{
	struct pair pair;
	ssize_t r;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		waits_install();
		waits_until(drop_server, &pair);
		r = sluice_close_timeout(pair.client, SLUICE_INFINITY);
		/* Our close_notify, unread there, may make its TCP answer with a reset. */
		assert_true(r == -SLUICE_E_TRUNCATED || r == -SLUICE_E_RESET);
		waits_uninstall();
		pair.client = NULL;
		pair_close(&pair);
	}
}

/* --- shutdown ------------------------------------------------------------------------------ */

static int shutdown_writing(struct sluice_conn *conn)
{
	return sluice_shutdown(conn, SHUT_WR, SLUICE_INFINITY);
}

/* Half-closed either way round, and more on the other half than the sockets hold. */
static void LC_49_closing_writing_leaves_reading(void **state)
{
	struct sluice_conn *first, *second;
	struct pair pair;
	struct full_end end;
	size_t accepted;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 4; i++) {
			open_connected(&pair, path, versions[i % 2]);
			first = i / 2 ? pair.server : pair.client;
			second = i / 2 ? pair.client : pair.server;
			pair_exchange(&pair, 1000);
			assert_int_equal(sluice_shutdown(first, SHUT_WR, SLUICE_INFINITY), 0);
			assert_int_equal(sluice_send(first, "x", 1, SLUICE_INFINITY),
					 -SLUICE_E_CLOSED);
			assert_int_equal(sluice_shutdown(first, SHUT_WR, SLUICE_INFINITY), 0);
			assert_int_equal(recv_one(second), -SLUICE_E_CLOSED);
			expect_fin(second);

			accepted = full_fill(second);
			full_end(&end, shutdown_writing, second);
			full_drain_end(&end, first, accepted);
			pair_close(&pair);
		}
	}
}

/* A shutdown that had no time to send what was accepted has ended nothing yet. */
static void LC_49_LC_40_a_shutdown_that_timed_out_goes_on(void **state)
{
	struct pair pair;
	struct full_end end;
	size_t accepted;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		accepted = full_fill(pair.client);
		waits_install();
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, 250), -SLUICE_E_TIMEOUT);
		assert_int_equal(waits.passed_us, 250000);
		waits_uninstall();
		assert_int_equal(sluice_send(pair.client, "x", 1, SLUICE_NOWAIT), -SLUICE_E_CLOSED);
		full_end(&end, shutdown_writing, pair.client);
		full_drain_end(&end, pair.server, accepted);
		pair_close(&pair);
	}
}

static void LC_49_closing_reading_leaves_writing(void **state)
{
	struct pair pair;
	char in[8];

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_RD, SLUICE_NOWAIT), 0);
		assert_int_equal(recv_one(pair.client), -SLUICE_E_CLOSED);
		assert_int_equal(sluice_recv_exact(pair.client, in, 1, SLUICE_NOWAIT),
				 -SLUICE_E_CLOSED);
		assert_int_equal(sluice_send(pair.client, "one way", 7, TCP_WAIT_MS), 7);
		assert_int_equal(sluice_recv_exact(pair.server, in, 7, TCP_WAIT_MS), 7);
		assert_memory_equal(in, "one way", 7);
		/* The peer was told nothing. */
		assert_int_equal(sluice_recv(pair.server, in, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
		assert_int_equal(sluice_send(pair.server, "x", 1, TCP_WAIT_MS), 1);
		assert_int_equal(recv_one(pair.client), -SLUICE_E_CLOSED);
		assert_int_equal(sluice_close(pair.client), 0);
		pair.client = NULL;
		assert_int_equal(recv_one(pair.server), -SLUICE_E_CLOSED);
		pair_close(&pair);
	}
}

static void LC_49_closing_both(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_RDWR, SLUICE_INFINITY), 0);
		assert_int_equal(sluice_send(pair.client, "x", 1, SLUICE_NOWAIT), -SLUICE_E_CLOSED);
		assert_int_equal(recv_one(pair.client), -SLUICE_E_CLOSED);
		assert_int_equal(recv_one(pair.server), -SLUICE_E_CLOSED);
		assert_int_equal(sluice_close(pair.client), 0);
		assert_int_equal(sluice_close(pair.server), 0);
		pair.client = pair.server = NULL;
		pair_close(&pair);
	}
}

static void LC_49_directions_that_do_not_exist(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path, NULL);
		assert_int_equal(sluice_shutdown(pair.client, -1, 0), -SLUICE_E_INVALID);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_RDWR + 1, 0), -SLUICE_E_INVALID);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* --- ends that are cut --------------------------------------------------------------------- */

static void AL_05_an_end_without_close_notify(void **state)
{
	struct sluice_error err;
	struct pair pair;
	char in[16];
	int v, i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			open_connected(&pair, path, versions[v]);
			assert_int_equal(sluice_send(pair.server, "whole", 5, TCP_WAIT_MS), 5);
			pair.server = conn_free(pair.server);
			assert_int_equal(sluice_recv_exact(pair.client, in, 5, TCP_WAIT_MS), 5);
			assert_memory_equal(in, "whole", 5);
			for (i = 0; i < 3; i++)
				assert_int_equal(recv_one(pair.client), -SLUICE_E_TRUNCATED);
			sluice_conn_error(pair.client, &err, sizeof(err));
			assert_int_equal(err.code, SLUICE_E_TRUNCATED);
			assert_int_equal(err.alert, -1);
			assert_int_equal(sluice_send(pair.client, "x", 1, TCP_WAIT_MS),
					 -SLUICE_E_TRUNCATED);
			assert_int_equal(sluice_close(pair.client), 0);
			pair.client = NULL;
			pair_close(&pair);
		}
	}
}

/* The transport ends inside a record: what came whole is delivered, the piece is not. */
static void AL_05_an_end_inside_a_record(void **state)
{
	char options[64], in[16];
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		/* Our own record layer can be made to send a piece; the other end is what counts. */
		pair_open(&pair, &(struct pair_setup){ .path = "user" });
		sluice_profile_unref(pair.client_profile);
		snprintf(options, sizeof(options), "verify = verify_none\nrecord_path = %s", path);
		pair.client_profile = pair_profile(SLUICE_CLIENT, options);
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_send(pair.server, "whole", 5, TCP_WAIT_MS), 5);
		fault_install();
		fault_limit("sendmsg", 20);
		fault_arm_from("sendmsg", 2, EAGAIN);
		assert_int_equal(sluice_send(pair.server, "a piece", 7, SLUICE_NOWAIT), 7);
		pair.server = conn_free(pair.server);
		fault_uninstall();
		assert_int_equal(sluice_recv_exact(pair.client, in, 6, TCP_WAIT_MS),
				 -SLUICE_E_TRUNCATED);
		assert_memory_equal(in, "whole", 5);
		assert_int_equal(sluice_discarded(pair.client), 5);
		assert_int_equal(recv_one(pair.client), -SLUICE_E_TRUNCATED);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_30_LC_33_AL_12_close_ends_the_connection_in_order),
		cmocka_unit_test(LC_30_LC_33_what_was_accepted_arrives),
		cmocka_unit_test(LC_30_a_full_queue_of_control_records),
		cmocka_unit_test(LC_30_close_waits_only_so_long),
		cmocka_unit_test(LC_30_both_close_at_once),
		cmocka_unit_test(LC_30_closing_with_unread_data),
		cmocka_unit_test(LC_30_closing_with_much_unread_data),
		cmocka_unit_test(LC_30_closing_before_the_end_of_the_handshake),
		cmocka_unit_test(LC_30_closing_after_a_failed_handshake),
		cmocka_unit_test(LC_31_close_waits_for_the_peers_close_notify),
		cmocka_unit_test(LC_31_the_peer_has_closed_already),
		cmocka_unit_test(LC_31_LC_40_the_peer_does_not_answer),
		cmocka_unit_test(LC_31_the_peer_ends_without_close_notify),
		cmocka_unit_test(LC_49_closing_writing_leaves_reading),
		cmocka_unit_test(LC_49_LC_40_a_shutdown_that_timed_out_goes_on),
		cmocka_unit_test(LC_49_closing_reading_leaves_writing),
		cmocka_unit_test(LC_49_closing_both),
		cmocka_unit_test(LC_49_directions_that_do_not_exist),
		cmocka_unit_test(AL_05_an_end_without_close_notify),
		cmocka_unit_test(AL_05_an_end_inside_a_record),
	};

	return cmocka_run_group_tests_name("flow/close", tests, leaks_setup, leaks_teardown);
}
