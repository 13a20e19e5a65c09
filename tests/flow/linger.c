/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a connection that has sent a fatal alert stays for its peer to read it: a socket closed
 * over unread bytes resets the connection, and the reset can overtake the alert. Blocking, and for
 * event loops.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sys.h"
#include "support/check.h"
#include "support/full.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "tls/control.h"

#define RUN_MS 20000
#define PATIENT "alert_timeout = 15000"

static void open_patient(struct pair *pair, const char *path, const char *options)
{
	pair_open(pair, &(struct pair_setup){ .path = path, .server_options = options });
}

/* A peer that goes on sending while the alert is under way to it. */
static void misbehave_and_send(struct peer *peer)
{
	static const uint8_t data[RECORD_MAX_PLAIN];
	uint8_t byte;
	int i;

	peer_send_record(peer, RECORD_CHANGE_CIPHER_SPEC, "\1", 1);
	for (i = 0; i < 4; i++)
		peer_send_record(peer, RECORD_DATA, data, sizeof(data));
	assert_int_equal(sluice_recv(peer->conn, &byte, 1, RUN_MS), -SLUICE_E_PROTOCOL);
}

static void *close_in_thread(void *arg)
{
	sluice_close(arg);
	return NULL;
}

static void AP_12_the_alert_reaches_a_peer_that_still_sends(void **state)
{
	struct pair pair;
	struct peer peer;
	pthread_t thread;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		open_patient(&pair, path, PATIENT);
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		misbehave_and_send(&peer);
		assert_int_equal(pthread_create(&thread, NULL, close_in_thread, peer.conn), 0);
		peer.conn = NULL;
		for (i = 0; i < 20; i++) {
			peer_send_record(&peer, RECORD_DATA, "late", 4);
			usleep(1000);
		}
		peer_expect_alert(&peer, ALERT_LEVEL_FATAL, SLUICE_ALERT_UNEXPECTED_MESSAGE);
		peer_fin(&peer);
		assert_int_equal(pthread_join(thread, NULL), 0);
		peer_close(&peer);
		pair_close(&pair);
	}
}

static uint64_t close_and_measure(struct peer *peer)
{
	uint64_t begin = sys->now_us();

	assert_int_equal(peer_close_conn(peer), 0);
	return sys->now_us() - begin;
}

static void AP_12_a_peer_that_stays_is_left_after_alert_timeout(void **state)
{
	struct pair pair;
	struct peer peer;

	PAIR_FOR_EACH_PATH(path)
	{
		open_patient(&pair, path, "alert_timeout = 300");
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		misbehave_and_send(&peer);
		assert_in_range(close_and_measure(&peer), 300000, 5000000);
		peer_close(&peer);
		pair_close(&pair);
	}
}

/* Nobody waits for a peer that is gone, nor without an alert of ours. */
static void AP_12_only_an_alert_of_ours_is_waited_for(void **state)
{
	struct pair pair;
	struct peer peer;

	PAIR_FOR_EACH_PATH(path)
	{
		open_patient(&pair, path, PATIENT);
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		misbehave_and_send(&peer);
		peer_fin(&peer);
		assert_in_range(close_and_measure(&peer), 0, 5000000);
		peer_close(&peer);

		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		assert_in_range(close_and_measure(&peer), 0, 5000000);
		peer_close(&peer);

		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		misbehave_and_send(&peer);
		peer_reset(&peer);
		assert_in_range(close_and_measure(&peer), 0, 5000000);
		peer_close(&peer);
		pair_close(&pair);
	}
}

static void AP_12_a_handshake_that_failed_lingers_too(void **state)
{
	struct pair pair;
	struct peer peer;

	open_patient(&pair, NULL, "alert_timeout = 300");
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_send(&peer, "\x16\3\1\0\4\x14\0\0\0", 9); /* a Finished first */
	assert_true(peer_run(&peer) < 0);
	assert_in_range(close_and_measure(&peer), 300000, 5000000);
	peer_close(&peer);
	pair_close(&pair);
}

/* Closes as an event loop does. Returns how often it waited. */
static int close_by_events(struct sluice_conn *conn, int *ret_result)
{
	struct pollfd pfd = { .fd = sluice_conn_fd(conn) };
	int waits = 0;

	while ((*ret_result = sluice_close_nowait(conn)) == -SLUICE_E_AGAIN) {
		pfd.events = sluice_conn_events(conn);
		assert_int_not_equal(pfd.events, 0);
		assert_in_range(sluice_conn_timeout(conn), 0, 20000);
		poll(&pfd, 1, sluice_conn_timeout(conn));
		assert_true(++waits < 10000);
	}
	return waits;
}

static void AP_12_an_event_loop_closes_without_waiting(void **state)
{
	struct pair pair;
	struct peer peer;
	int result;

	assert_int_equal(sluice_close_nowait(NULL), 0);
	PAIR_FOR_EACH_PATH(path)
	{
		open_patient(&pair, path, "alert_timeout = 300");
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		misbehave_and_send(&peer);
		/* A few times for what still comes, once for the time; never in a loop. */
		assert_in_range(close_by_events(peer.conn, &result), 1, 20);
		assert_int_equal(result, 0);
		peer.conn = NULL;
		peer_close(&peer);

		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		assert_int_equal(close_by_events(peer.conn, &result), 0);
		assert_int_equal(result, 0);
		peer.conn = NULL;
		peer_expect_alert(&peer, ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY);
		peer_close(&peer);
		pair_close(&pair);
	}
}

static void *close_events_thread(void *arg)
{
	static int result;

	close_by_events(arg, &result);
	return &result;
}

/* What was accepted arrives, however long the peer takes to read it. */
static void LC_30_an_event_loop_loses_nothing(void **state)
{
	struct pair pair;
	pthread_t thread;
	size_t accepted;
	ssize_t end;
	void *result;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		accepted = full_fill(pair.client);
		assert_int_equal(sluice_close_nowait(pair.client), -SLUICE_E_AGAIN);
		assert_int_equal(pthread_create(&thread, NULL, close_events_thread, pair.client),
				 0);
		pair.client = NULL;
		assert_int_equal(full_drain(pair.server, &end), accepted);
		assert_int_equal(end, -SLUICE_E_CLOSED);
		assert_int_equal(pthread_join(thread, &result), 0);
		assert_int_equal(*(int *)result, 0);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AP_12_the_alert_reaches_a_peer_that_still_sends),
		cmocka_unit_test(AP_12_a_peer_that_stays_is_left_after_alert_timeout),
		cmocka_unit_test(AP_12_only_an_alert_of_ours_is_waited_for),
		cmocka_unit_test(AP_12_a_handshake_that_failed_lingers_too),
		cmocka_unit_test(AP_12_an_event_loop_closes_without_waiting),
		cmocka_unit_test(LC_30_an_event_loop_loses_nothing),
	};

	return cmocka_run_group_tests_name("flow/linger", tests, leaks_setup, leaks_teardown);
}
