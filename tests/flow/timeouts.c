/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait: for as long as they are told, and without losing what came meanwhile. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/fault.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "support/waits.h"

static void open_connected(struct pair *pair, const char *path)
{
	pair_open(pair, &(struct pair_setup){ .path = path });
	assert_int_equal(pair_connect(pair), 0);
}

static void client_says(struct pair *pair, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(sluice_send(pair->client, text, len, TCP_WAIT_MS), len);
	tcp_flush(sluice_conn_fd(pair->client), sluice_conn_fd(pair->server));
}

/* One of the two ways to receive. */
typedef ssize_t receive_fn(struct sluice_conn *conn, void *buf, size_t buf_len, int timeout_ms);

static receive_fn *const receivers[] = { sluice_recv, sluice_recv_exact };

static void hello_now(void *arg)
{
	client_says(arg, "hello");
}

static void LC_39_LC_40_AL_06_receive_waits_as_long_as_told(void **state)
{
	struct pair pair;
	char in[5];
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 2; i++) {
			open_connected(&pair, path);
			waits_install();
			assert_int_equal(receivers[i](pair.server, in, 5, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
			assert_int_equal(waits.n, 0);

			assert_int_equal(receivers[i](pair.server, in, 5, 250), -SLUICE_E_TIMEOUT);
			assert_int_equal(waits.first_ms, 250);
			assert_int_equal(waits.passed_us, 250000);

			waits_until(hello_now, &pair);
			assert_int_equal(receivers[i](pair.server, in, 5, SLUICE_INFINITY), 5);
			assert_int_equal(waits.first_ms, -1);
			assert_memory_equal(in, "hello", 5);

			waits_until(hello_now, &pair);
			assert_int_equal(receivers[i](pair.server, in, 5, 250), 5);
			assert_int_equal(waits.passed_us, 0);
			waits_uninstall();
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
	}
}

/* The real clock: never early. */
static void LC_39_LC_40_a_timeout_is_not_early(void **state)
{
	struct pair pair;
	uint64_t began;

	open_connected(&pair, "user");
	began = sys->now_us();
	assert_int_equal(sluice_recv(pair.server, &(char){ 0 }, 1, 20), -SLUICE_E_TIMEOUT);
	assert_true(sys->now_us() - began >= 20000);
	pair_close(&pair);
}

static void LC_39_what_was_received_is_kept(void **state)
{
	static const char text[] = "one after the other";
	struct pair pair;
	char in[sizeof(text)];
	size_t i;

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path);
		waits_install();
		/* A byte comes, and it is not enough; so every time. */
		for (i = 0; i < sizeof(text) - 1; i++) {
			assert_int_equal(sluice_recv_exact(pair.server, in, sizeof(text),
							   i % 2 ? 250 : SLUICE_NOWAIT),
					 i % 2 ? -SLUICE_E_TIMEOUT : -SLUICE_E_AGAIN);
			assert_int_equal(sluice_send(pair.client, text + i, 1, TCP_WAIT_MS), 1);
			tcp_flush(sluice_conn_fd(pair.client), sluice_conn_fd(pair.server));
		}
		assert_int_equal(sluice_recv_exact(pair.server, in, sizeof(text), 250),
				 -SLUICE_E_TIMEOUT);
		assert_int_equal(sluice_recv(pair.server, in, 4, SLUICE_NOWAIT), 4);
		assert_int_equal(sluice_recv_exact(pair.server, in + 4, sizeof(text) - 4, 250),
				 -SLUICE_E_TIMEOUT);
		client_says(&pair, "!");
		assert_int_equal(sluice_recv_exact(pair.server, in + 4, sizeof(text) - 4, 250),
				 sizeof(text) - 4);
		assert_memory_equal(in, "one after the other!", sizeof(text));
		waits_uninstall();
		assert_int_equal(sluice_discarded(pair.server), 0);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* What was kept comes out before the rest of its record, and before the end. */
static void LC_39_what_was_kept_stays_in_order(void **state)
{
	struct sluice_conn_info info;
	struct pair pair;
	char in[20];

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path);
		client_says(&pair, "0123456789");
		assert_int_equal(sluice_recv(pair.server, in, 3, SLUICE_NOWAIT), 3);
		assert_int_equal(sluice_recv_exact(pair.server, in, 20, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(sluice_recv_exact(pair.server, in, 20, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		client_says(&pair, "abc");
		assert_int_equal(sluice_recv_exact(pair.server, in, 20, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(sluice_recv(pair.server, in, 2, SLUICE_NOWAIT), 2);
		assert_memory_equal(in, "34", 2);
		assert_int_equal(sluice_recv_exact(pair.server, in, 4, SLUICE_NOWAIT), 4);
		assert_memory_equal(in, "5678", 4);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_INFINITY), 0);
		tcp_flush(sluice_conn_fd(pair.client), sluice_conn_fd(pair.server));
		assert_int_equal(sluice_recv(pair.server, in, 20, SLUICE_INFINITY), 4);
		assert_memory_equal(in, "9abc", 4);
		assert_int_equal(sluice_recv(pair.server, in, 20, SLUICE_INFINITY),
				 -SLUICE_E_CLOSED);
		/* Every byte was counted once. */
		sluice_conn_info(pair.server, &info, sizeof(info));
		assert_int_equal(info.rx.bytes, 13);
		pair_close(&pair);
	}
}

/* A record of which only a part has come. On the kernel path that is the kernel's to keep. */
static void LC_39_a_part_of_a_record_is_kept(void **state)
{
	struct pair pair;
	char in[11];

	open_connected(&pair, "user");
	waits_install();
	fault_limit("sendmsg", 7);
	fault_arm_from("sendmsg", 2, EAGAIN);
	assert_int_equal(sluice_send(pair.client, "half a word", 11, SLUICE_NOWAIT), 11);
	assert_int_equal(sluice_recv(pair.server, in, 11, 250), -SLUICE_E_TIMEOUT);
	fault_limit("sendmsg", 20);
	fault_arm_from("sendmsg", 2, EAGAIN);
	assert_int_equal(sluice_conn_dispatch(pair.client), -SLUICE_E_AGAIN);
	assert_int_equal(sluice_recv_exact(pair.server, in, 11, 250), -SLUICE_E_TIMEOUT);
	fault_limit("sendmsg", 0);
	fault_arm("sendmsg", 0, 0);
	assert_int_equal(sluice_conn_dispatch(pair.client), 0);
	tcp_flush(sluice_conn_fd(pair.client), sluice_conn_fd(pair.server));
	assert_int_equal(sluice_recv(pair.server, in, 11, TCP_WAIT_MS), 11);
	assert_memory_equal(in, "half a word", 11);
	waits_uninstall();
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

/* A byte, late. */
static void dribble(void *arg)
{
	client_says(arg, "x");
	waits_advance(100);
}

/* One time-out for the call, however often it has to wait. */
static void LC_40_the_timeout_is_for_the_whole_call(void **state)
{
	struct pair pair;
	char in[10];

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path);
		waits_install();
		waits_until(dribble, &pair);
		assert_int_equal(sluice_recv_exact(pair.server, in, 10, 250), -SLUICE_E_TIMEOUT);
		assert_int_equal(waits.passed_us, 250000);
		assert_int_equal(sluice_recv(pair.server, in, 10, SLUICE_NOWAIT), 1);
		waits_uninstall();
		pair_close(&pair);
	}
}

/* Signals do not end a wait, nor start it anew. */
static void LC_40_a_signal_changes_nothing(void **state)
{
	struct pair pair;
	char in[5];
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 2; i++) {
			open_connected(&pair, path);
			fault_install();
			fault_arm("poll", 1, EINTR);
			assert_int_equal(receivers[i](pair.server, in, 5, 20), -SLUICE_E_TIMEOUT);
			assert_true(fault_count("poll") >= 2);

			client_says(&pair, "hello");
			fault_arm("recvmsg", 1, EINTR);
			assert_int_equal(receivers[i](pair.server, in, 5, SLUICE_INFINITY), 5);
			fault_arm("sendmsg", 1, EINTR);
			client_says(&pair, "again");
			assert_int_equal(receivers[i](pair.server, in, 5, SLUICE_INFINITY), 5);
			assert_memory_equal(in, "again", 5);
			assert_int_equal(fault_hits("recvmsg"), 1);
			assert_int_equal(fault_hits("sendmsg"), 1);
			fault_uninstall();
			pair_close(&pair);
		}
	}
}

/* A wait that fails is no news of the connection. */
static void LC_40_a_wait_that_fails_loses_nothing(void **state)
{
	struct pair pair;
	char in[5];

	PAIR_FOR_EACH_PATH(path)
	{
		open_connected(&pair, path);
		client_says(&pair, "he");
		fault_install();
		fault_arm("poll", 1, ENOMEM);
		assert_int_equal(sluice_recv_exact(pair.server, in, 5, SLUICE_INFINITY),
				 -SLUICE_E_NOMEM);
		fault_uninstall();
		client_says(&pair, "llo");
		assert_int_equal(sluice_recv_exact(pair.server, in, 5, TCP_WAIT_MS), 5);
		assert_memory_equal(in, "hello", 5);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* Receives @total bytes while the sender goes on. */
static void drain(struct sluice_conn *from, struct sluice_conn *to, size_t total)
{
	static uint8_t in[FULL_PIECE];
	ssize_t n;

	for (; total > 0; total -= n) {
		assert_true(sluice_conn_dispatch(from) <= 0);
		n = sluice_recv(to, in, sizeof(in), TCP_WAIT_MS);
		assert_in_range(n, 1, total);
	}
	assert_int_equal(sluice_send(from, "", 0, TCP_WAIT_MS), 0);
	assert_int_equal(sluice_conn_dispatch(from), 0);
}

/* A key update that finds no room is under way nevertheless, as bytes that were accepted are. */
static void LC_40_a_key_update_that_timed_out_goes_on(void **state)
{
	struct sluice_capabilities caps;
	struct sluice_conn_info info;
	struct pair pair;
	size_t total;
	int i, r;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 2; i++) {
			open_connected(&pair, path);
			sluice_capabilities(pair.sluice, &caps, sizeof(caps));
			if (!strcmp(path, "kernel") &&
			    (caps.rekey_tx_errno || caps.rekey_rx_errno)) {
				assert_int_equal(sluice_update_keys(pair.client, 0, 250),
						 -SLUICE_E_REKEY);
				pair_close(&pair);
				continue;
			}
			total = full_fill(pair.client);
			waits_install();
			r = sluice_update_keys(pair.client, 0, i ? 250 : SLUICE_NOWAIT);
			assert_int_equal(r, i ? -SLUICE_E_TIMEOUT : -SLUICE_E_AGAIN);
			assert_int_equal(waits.first_ms, i ? 250 : 0);
			waits_uninstall();
			drain(pair.client, pair.server, total);
			pair_exchange(&pair, 1000);
			sluice_conn_info(pair.client, &info, sizeof(info));
			assert_int_equal(info.tx.epoch, 1);
			sluice_conn_info(pair.server, &info, sizeof(info));
			assert_int_equal(info.rx.epoch, 1);
			pair_close(&pair);
		}
	}
}

/* The pause is not the peer's time; what comes after it is. */
static void LC_17_LC_40_continue_waits_as_long_as_told(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path,
						       .server_options = "handshake = hello" });
		pair_start(&pair, NULL);
		while (pair.server_result == -SLUICE_E_AGAIN) {
			pair.client_result = sluice_conn_dispatch(pair.client);
			pair.server_result = sluice_conn_dispatch(pair.server);
		}
		assert_int_equal(pair.server_result, SLUICE_PAUSED);
		waits_install();
		assert_int_equal(sluice_handshake_continue(pair.server, NULL, 250),
				 -SLUICE_E_TIMEOUT);
		assert_int_equal(waits.first_ms, 250);
		waits_uninstall();
		pair.server_result = -SLUICE_E_AGAIN;
		assert_int_equal(pair_run(&pair), 0);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_39_LC_40_AL_06_receive_waits_as_long_as_told),
		cmocka_unit_test(LC_39_LC_40_a_timeout_is_not_early),
		cmocka_unit_test(LC_39_what_was_received_is_kept),
		cmocka_unit_test(LC_39_what_was_kept_stays_in_order),
		cmocka_unit_test(LC_39_a_part_of_a_record_is_kept),
		cmocka_unit_test(LC_40_the_timeout_is_for_the_whole_call),
		cmocka_unit_test(LC_40_a_signal_changes_nothing),
		cmocka_unit_test(LC_40_a_wait_that_fails_loses_nothing),
		cmocka_unit_test(LC_40_a_key_update_that_timed_out_goes_on),
		cmocka_unit_test(LC_17_LC_40_continue_waits_as_long_as_told),
	};

	return cmocka_run_group_tests_name("flow/timeouts", tests, leaks_setup, leaks_teardown);
}
