// SPDX-License-Identifier: Apache-2.0
/* Permits of the daemon: who may have a private key operation, for what, until when, and how often. */
#include "common/permit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WINDOW 128

static const uint8_t key[PERMIT_KEY_LEN] = { 1, 2, 3 };

static bool reads(const uint8_t *permit, size_t len, uint64_t session, uint64_t now_ms)
{
	enum sluice_role role;

	return permit_read(permit, len, key, session, now_ms, &role);
}

static void is_for_one_session_and_until_a_time(void **state)
{
	uint8_t permit[PERMIT_LEN];
	enum sluice_role role;

	permit_write(permit, key, 7, SLUICE_CLIENT, 1000);
	assert_true(permit_read(permit, sizeof(permit), key, 7, 1000, &role));
	assert_int_equal(role, SLUICE_CLIENT);
	assert_false(reads(permit, sizeof(permit), 7, 1001));
	assert_false(reads(permit, sizeof(permit), 8, 1000));
	assert_false(reads(permit, sizeof(permit) - 1, 7, 1000));
	assert_false(reads(permit, 0, 7, 1000));
}

static void no_bit_of_it_may_change(void **state)
{
	uint8_t permit[PERMIT_LEN], other[PERMIT_KEY_LEN];
	enum sluice_role role;
	size_t i;

	permit_write(permit, key, 7, SLUICE_SERVER, 1000);
	for (i = 0; i < 8 * sizeof(permit); i++) {
		permit[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(reads(permit, sizeof(permit), 7, 0));
		permit[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	memcpy(other, key, sizeof(other));
	other[31] ^= 1;
	assert_true(reads(permit, sizeof(permit), 7, 0));
	assert_false(permit_read(permit, sizeof(permit), other, 7, 0, &role));
}

static void is_used_once(void **state)
{
	struct permits_used *used = permits_used_new(WINDOW);

	assert_non_null(used);
	assert_true(permits_use(used, 5));
	assert_false(permits_use(used, 5));
	assert_true(permits_use(used, 3)); /* their order is nobody's to choose */
	assert_true(permits_use(used, 100));
	assert_false(permits_use(used, 5));
	assert_true(permits_use(used, 4));
	assert_false(permits_use(used, 100));
	permits_used_free(used);
}

static void the_window_moves(void **state)
{
	struct permits_used *used = permits_used_new(WINDOW);
	uint64_t i;

	assert_non_null(used);
	for (i = 1; i <= 10 * WINDOW; i += 3) {
		assert_true(permits_use(used, i));
		assert_false(permits_use(used, i));
		if (i > WINDOW)
			assert_false(permits_use(used, i - WINDOW)); /* too old */
	}
	for (i = 9 * WINDOW + 3; i <= 10 * WINDOW - 3; i++)
		assert_int_equal(permits_use(used, i), i % 3 != 1);
	assert_true(permits_use(used, UINT64_MAX - 1)); /* far ahead */
	assert_true(permits_use(used, UINT64_MAX - WINDOW));
	assert_false(permits_use(used, UINT64_MAX - WINDOW - 1));
	assert_true(permits_use(used, UINT64_MAX));
	assert_false(permits_use(used, UINT64_MAX));
	permits_used_free(used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_for_one_session_and_until_a_time),
		cmocka_unit_test(no_bit_of_it_may_change),
		cmocka_unit_test(is_used_once),
		cmocka_unit_test(the_window_moves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
