/* SPDX-License-Identifier: Apache-2.0 */
/* The secrets that the bridge gives: what one side reads with, the other writes with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/err.h>

#include <sluice/error.h>

#include "bssl/bridge.h"
#include "support/bssl-pair.h"

struct secrets {
	const uint8_t *read, *write;
	size_t read_len, write_len;
};

static int get(struct secrets *secrets, const SSL *ssl)
{
	return bridge_traffic_secrets(ssl, &secrets->read, &secrets->read_len, &secrets->write,
				      &secrets->write_len);
}

static void check_refused(const SSL *ssl)
{
	struct secrets secrets = { 0 };

	ERR_clear_error();
	assert_int_equal(get(&secrets, ssl), -SLUICE_E_INTERNAL);
	assert_null(secrets.read);
	assert_null(secrets.write);
	assert_int_not_equal(ERR_peek_error(), 0);
	ERR_clear_error();
}

static void both_sides_have_the_same_secrets(void **state)
{
	struct secrets client = { 0 }, server = { 0 };
	struct bssl_pair pair;

	bssl_pair_init(&pair, TLS1_3_VERSION);
	bssl_pair_connect(&pair);
	check_refused(pair.client);
	bssl_pair_handshake(&pair);
	assert_int_equal(get(&client, pair.client), 0);
	assert_int_equal(get(&server, pair.server), 0);
	assert_true(client.read_len == 32 || client.read_len == 48);
	assert_int_equal(client.write_len, client.read_len);
	assert_int_equal(server.write_len, client.read_len);
	assert_int_equal(server.read_len, client.write_len);
	assert_memory_equal(client.read, server.write, client.read_len);
	assert_memory_equal(client.write, server.read, client.write_len);
	assert_memory_not_equal(client.read, client.write, client.read_len);
	bssl_pair_deinit(&pair);
}

static void tls12_has_no_traffic_secrets(void **state)
{
	struct bssl_pair pair;

	bssl_pair_init(&pair, TLS1_2_VERSION);
	bssl_pair_connect(&pair);
	bssl_pair_handshake(&pair);
	check_refused(pair.client);
	check_refused(pair.server);
	bssl_pair_deinit(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_have_the_same_secrets),
		cmocka_unit_test(tls12_has_no_traffic_secrets),
	};

	return cmocka_run_group_tests_name("unit/bridge", tests, NULL, NULL);
}
