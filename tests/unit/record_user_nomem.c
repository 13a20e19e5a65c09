/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user record path without memory: every allocation fails once, nothing is lost or leaked, and
 * the same call works afterwards. Linked with --wrap=malloc and --wrap=calloc.
 */
#include "record/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "core/buffer.h"
#include "core/secret.h"
#include "support/mem_link.h"

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static unsigned int fails_in; /* 0: never; 1: the next one */
static unsigned int n_failed;

static bool fails_now(void)
{
	if (fails_in == 0 || --fails_in > 0)
		return false;
	n_failed++;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

/* The next buffer cannot be had: the thread has none either. */
static void no_memory(void)
{
	buffer_trim();
	fails_in = 1;
}

static int teardown(void **state)
{
	fails_in = 0;
	return secret_live() == 0 ? 0 : -1;
}

static struct traffic *make_traffic(void)
{
	struct traffic *traffic;
	uint8_t secret[32] = { 1 };

	assert_int_equal(traffic_new_tls13(&traffic, suite_find(0x1301), secret, 32, 0), 0);
	return traffic;
}

static void neither_end_can_be_made(void **state)
{
	struct traffic *traffic = make_traffic();
	struct record_tx *tx = (void *)1;
	struct record_rx *rx = (void *)2;
	size_t live = secret_live();

	fails_in = 1;
	assert_int_equal(record_user_tx_new(&tx, traffic), -SLUICE_E_NOMEM);
	fails_in = 1;
	assert_int_equal(record_user_rx_new(&rx, traffic), -SLUICE_E_NOMEM);
	assert_int_equal(n_failed, 2);
	assert_ptr_equal(tx, (void *)1);
	assert_ptr_equal(rx, (void *)2);
	assert_int_equal(secret_live(), live);
	traffic_free(traffic);
}

/* No buffer: no byte was taken, no record number used. */
static void sending_and_receiving_go_on_afterwards(void **state)
{
	struct traffic *traffic = make_traffic();
	struct mem_link link;
	struct record record;
	struct msghdr msg;

	assert_int_equal(mem_link_open(&link, traffic), 0);
	n_failed = 0;
	for (unsigned int i = 0; i < 3; i++) {
		no_memory();
		assert_int_equal(link.tx->ops->prep(link.tx, RECORD_DATA, "sluice", 6, &msg),
				 -SLUICE_E_NOMEM);
		assert_false(link.tx->ops->pending(link.tx));
		assert_int_equal(link.tx->records, i);
		assert_int_equal(mem_link_send(&link, RECORD_DATA, "sluice", 6), 0);
		no_memory();
		assert_int_equal(link.rx->ops->prep(link.rx, NULL, 0, &msg), -SLUICE_E_NOMEM);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_READY);
		assert_int_equal(record.len, 6);
		assert_memory_equal(record.data, "sluice", 6);
		assert_int_equal(mem_link_recv(&link, NULL, 0, &record), RECORD_MORE);
	}
	assert_int_equal(n_failed, 6);
	mem_link_close(&link);
	traffic_free(traffic);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(neither_end_can_be_made, teardown),
		cmocka_unit_test_teardown(sending_and_receiving_go_on_afterwards, teardown),
	};

	return cmocka_run_group_tests_name("unit/record_user_nomem", tests, NULL, NULL);
}
