/* SPDX-License-Identifier: Apache-2.0 */
/* Option hibernate_after: what a silent connection gives back, and that it goes on as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define AFTER_MS 50
#define SLEEPY "hibernate_after = 50\n"
#define RUN_MS 20000

static void open_sleepy(struct pair *pair, const char *path, const char *version)
{
	pair_open(pair, &(struct pair_setup){ .path = path,
					      .versions = version,
					      .server_options = SLEEPY,
					      .client_options = SLEEPY });
	assert_int_equal(pair_connect(pair), 0);
}

static int export(struct pair *pair)
{
	uint8_t out[16];

	return sluice_export_keying_material(pair->client, out, sizeof(out), "a label", NULL, 0);
}

static void go_on(struct pair *pair)
{
	pair_exchange(pair, 100000);
	if (check_info(pair->client).can_rekey) { /* not the kernel's, before Linux 6.14 */
		assert_int_equal(sluice_update_keys(pair->client, 1, RUN_MS), 0);
		pair_exchange(pair, 1000);
	}
}

static void OC_48_a_call_that_waits(void **state)
{
	struct pair pair;
	uint8_t byte;

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_sleepy(&pair, path, version);
		assert_non_null(pair.client->ssl);
		assert_int_equal(export(&pair), 0);
		assert_int_equal(sluice_recv(pair.client, &byte, 1, 4 * AFTER_MS),
				 -SLUICE_E_TIMEOUT);
		assert_null(pair.client->ssl);
		assert_null(pair.client->small);
		assert_int_equal(export(&pair), -SLUICE_E_UNDEFINED);
		go_on(&pair);
		pair_close(&pair);
	}
}

static void OC_48_an_event_loop(void **state)
{
	struct pair pair;
	int ms;

	PAIR_FOR_EACH_PATH(path)
	{
		open_sleepy(&pair, path, NULL);
		ms = sluice_conn_timeout(pair.client);
		assert_in_range(ms, 0, AFTER_MS);
		usleep((useconds_t)(ms + 1) * 1000);
		assert_int_equal(sluice_conn_timeout(pair.client), 0);
		assert_int_equal(sluice_conn_dispatch(pair.client), 0);
		assert_null(pair.client->ssl);
		assert_int_equal(sluice_conn_timeout(pair.client), -1);
		go_on(&pair);
		pair_close(&pair);
	}
}

/* A short receive on the kernel path makes a small buffer again: that has its time, and the loop has its peace. */
static void OC_48_a_loop_does_not_spin(void **state)
{
	int i, at_once = 0;
	struct pair pair;
	uint8_t byte;

	PAIR_FOR_EACH_PATH(path)
	{
		open_sleepy(&pair, path, NULL);
		usleep(2 * AFTER_MS * 1000);
		for (i = 0, at_once = 0; i < 100; i++) {
			at_once += sluice_conn_timeout(pair.client) == 0;
			assert_int_equal(sluice_conn_dispatch(pair.client), 0);
			if (!pair.client->small) /* on the user path, too */
				pair.client->small = malloc(CONN_SMALL_LEN);
			assert_int_equal(sluice_recv(pair.client, &byte, 1, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
		}
		assert_null(pair.client->ssl);
		assert_in_range(at_once, 1, 10);
		pair_close(&pair);
	}
}

static void OC_48_data_put_it_off(void **state)
{
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .path = path,
						.client_options = "hibernate_after = 1000\n" });
		assert_int_equal(pair_connect(&pair), 0);
		for (i = 0; i < 6; i++) {
			usleep(250000);
			pair_exchange(&pair, 100);
			assert_int_equal(sluice_conn_dispatch(pair.client), 0);
		}
		assert_int_equal(export(&pair), 0);
		pair_close(&pair);
	}
}

/* Whether @conn counted as silent for long, and does not any more. */
static bool was_put_off(struct sluice_conn *conn)
{
	bool was = conn->deadline_us > 1;

	conn->deadline_us = 1;
	return was;
}

static void OC_48_all_that_moves_data_puts_it_off(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint8_t buf[1000];
	struct pair pair;
	off_t offset = 0;

	assert_int_equal(ftruncate(fd, sizeof(buf)), 0);
	PAIR_FOR_EACH_PATH(path)
	{
		open_sleepy(&pair, path, NULL);
		assert_true(was_put_off(pair.client)); /* by the beginning of LIVE */
		assert_true(was_put_off(pair.server));
		assert_int_equal(sluice_recv(pair.client, buf, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
		assert_false(was_put_off(pair.client));
		assert_int_equal(sluice_send(pair.client, "abcd", 4, RUN_MS), 4);
		assert_true(was_put_off(pair.client));
		assert_int_equal(sluice_recv(pair.server, buf, 1, RUN_MS), 1);
		assert_true(was_put_off(pair.server));
		assert_int_equal(sluice_recv_exact(pair.server, buf, 3, RUN_MS),
				 3); /* it was here */
		assert_true(was_put_off(pair.server));
		offset = 0;
		assert_int_equal(sluice_sendfile(pair.client, fd, &offset, sizeof(buf), RUN_MS),
				 sizeof(buf));
		assert_true(was_put_off(pair.client));
		assert_int_equal(sluice_recv_exact(pair.server, buf, sizeof(buf), RUN_MS),
				 sizeof(buf));
		assert_true(was_put_off(pair.server));
		pair.server->early = malloc(5);
		memcpy(pair.server->early, "early", 5);
		pair.server->early_len = 5;
		assert_int_equal(sluice_recv(pair.server, buf, 5, RUN_MS), 5);
		assert_true(was_put_off(pair.server));
		assert_int_equal(live_spliced(pair.server, 100), 0);
		assert_true(was_put_off(pair.server));
		pair_close(&pair);
	}
	close(fd);
}

/* The tickets that a server sent at once are read late: they are passed over. */
static void OC_48_later_tickets_are_passed_over(void **state)
{
	struct sluice_session *session;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_sleepy(&pair, path, "tlsv1.3");
		usleep(2 * AFTER_MS * 1000);
		assert_int_equal(sluice_conn_dispatch(pair.client), 0);
		assert_null(pair.client->ssl);
		go_on(&pair);
		assert_true(sluice_take_session(pair.client, &session) < 0);
		pair_close(&pair);
	}
}

static void OC_48_unset_it_never_happens(void **state)
{
	struct pair pair;
	uint8_t byte;

	pair_open(&pair, &(struct pair_setup){ .path = NULL });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_conn_timeout(pair.client), -1);
	assert_int_equal(sluice_recv(pair.client, &byte, 1, 2 * AFTER_MS), -SLUICE_E_TIMEOUT);
	assert_int_equal(sluice_conn_dispatch(pair.client), 0);
	assert_int_equal(export(&pair), 0);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_48_a_call_that_waits),
		cmocka_unit_test(OC_48_an_event_loop),
		cmocka_unit_test(OC_48_a_loop_does_not_spin),
		cmocka_unit_test(OC_48_data_put_it_off),
		cmocka_unit_test(OC_48_all_that_moves_data_puts_it_off),
		cmocka_unit_test(OC_48_later_tickets_are_passed_over),
		cmocka_unit_test(OC_48_unset_it_never_happens),
	};

	return cmocka_run_group_tests_name("flow/hibernate", tests, leaks_setup, leaks_teardown);
}
