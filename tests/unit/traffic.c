/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule against published and independently computed values. */
#include "record/traffic.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/error.h>

#include "core/secret.h"
#include "support/fault.h"

static int teardown(void **state)
{
	fault_uninstall();
	return secret_live() == 0 ? 0 : -1;
}

static unsigned int nibble(char c)
{
	return c <= '9' ? (unsigned int)(c - '0') : (unsigned int)(c - 'a') + 10;
}

static size_t unhex(uint8_t *out, const char *hex)
{
	size_t len = strlen(hex) / 2;

	for (size_t i = 0; i < len; i++)
		out[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	return len;
}

static void assert_hex(const uint8_t *p, size_t len, const char *hex)
{
	uint8_t expected[64];

	assert_int_equal(unhex(expected, hex), len);
	assert_memory_equal(p, expected, len);
}

/* One epoch of a direction. */
struct epoch {
	const char *secret, *key, *iv;
};

static void assert_epoch(const struct traffic *traffic, const struct epoch *expected)
{
	assert_hex(traffic->secret, traffic->secret_len, expected->secret);
	assert_hex(traffic->key, traffic->suite->key_len, expected->key);
	assert_hex(traffic->iv, traffic->suite->fixed_iv_len, expected->iv);
}

/* Epoch 0 from the secret, the others by KeyUpdate. */
static void check_epochs(uint16_t id, const struct epoch *epochs, size_t n_epochs)
{
	struct traffic *traffic, *next;
	uint8_t secret[SUITE_MAX_HASH];
	size_t len = unhex(secret, epochs[0].secret);

	assert_int_equal(traffic_new_tls13(&traffic, suite_find(id), secret, len, 7), 0);
	assert_ptr_equal(traffic->suite, suite_find(id));
	assert_int_equal(traffic->seq, 7);
	for (size_t i = 0; i < n_epochs; i++) {
		assert_int_equal(traffic->epoch, i);
		assert_epoch(traffic, &epochs[i]);
		assert_int_equal(traffic_next_epoch(&next, traffic), 0);
		/* The present state is untouched: the caller may have to stay with it. */
		assert_int_equal(traffic->epoch, i);
		assert_epoch(traffic, &epochs[i]);
		assert_int_equal(next->seq, 0);
		traffic_free(traffic);
		traffic = next;
	}
	traffic_free(traffic);
}

/*
 * Epoch 0 of both is RFC 8448, 3. The RFC has no KeyUpdate: the later epochs were computed with
 * Python's hmac module from RFC 8446, 7.1 and 7.2.
 */
static void LC_58_epochs_of_rfc8448(void **state)
{
	static const struct epoch client[] = {
		{ "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
		  "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9" },
		{ "fcdfcc72725aaee48bf64e4fd8b749cdbdbab39d90da0b26e2245ca6ea167207",
		  "3879d82f5f14056e623f2ce5bfc66fce", "5dfb2c5938c3379b6cc5d1f2" },
		{ "68474fe58c172143d0a009a76edd231b0d934f3058588ea0852662279e54a573",
		  "215f086ece93c88043a7d492b236c774", "f3c0ed95225a0800394de786" },
	};
	static const struct epoch server[] = {
		{ "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
		  "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984" },
		{ "51921b8aa3001976eb401d0a4319a8516416a6c56001a357e5d162031e84f916",
		  "2e63be99d67b39097feb9786cf7a15a0", "628a0a8298ac953baef4255a" },
		{ "6418ddd5d277cde37bfaae96363a805a95abfaa55ccd80713848de187fb082f6",
		  "65b9c2b0f1a857bc47aac35f79d007c8", "3945073c176791288c5d8ce5" },
	};

	check_epochs(0x1301, client, 3);
	check_epochs(0x1301, server, 3);
}

/* Computed like the above: SHA-384, and a 32-byte key from SHA-256. */
static void epochs_of_the_other_suites(void **state)
{
	static const struct epoch aes_256[] = {
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		  "202122232425262728292a2b2c2d2e2f",
		  "6877d022f1c61d24ebb7487c16752d9a4798e40431c75b39320e537c90e23225",
		  "42822531a0fe88648fc09e9f" },
		{ "401331b63e9d59f202e8f041042d9516f4cd7fa2e2ee14631d3b49fc340d7af3"
		  "7fc2c0c9f252d8036f81ec5b85cbe5db",
		  "eb354f3b48924ed78de34dd8aa6a6a0a51d857ddad1454d5cfa7b69f60712911",
		  "8478ffbe4f2e5450789775b3" },
	};
	static const struct epoch chacha20[] = {
		{ "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		  "2ffbc449e87844051c7768f61ffd8ad070830f01ec2c520ef65f08e8296dffa0",
		  "2f41c846a431a163814bcd71" },
		{ "2cecd0a17506ef5fa73edc062d6e7b5397cf074ec1b4d8f99a120772932f0b45",
		  "c690ede9a7525f64b759094f3bda2da3b5b52e50cffacd89a37bdf85affdd091",
		  "4ef68fed17d39b5f23bb4b30" },
	};

	check_epochs(0x1302, aes_256, 2);
	check_epochs(0x1303, chacha20, 2);
}

/* RFC 5246, 6.3 without MAC keys: both keys, then both IVs, the client's first. */
static void LC_58_key_block_is_split_for_both_roles(void **state)
{
	static const struct {
		uint16_t id;
		size_t block_len;
	} cases[] = {
		{ 0xc02b, 40 }, { 0xc02f, 40 }, { 0x009c, 40 }, { 0xc02c, 72 }, { 0xc030, 72 },
		{ 0x009d, 72 }, { 0xcca8, 88 }, { 0xcca9, 88 }, { 0xccac, 88 },
	};
	uint8_t block[88];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (uint8_t)i;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct suite *suite = suite_find(cases[i].id);
		struct traffic *rx, *tx;
		size_t key = suite->key_len, iv = suite->fixed_iv_len, len = cases[i].block_len;

		assert_int_equal(traffic_key_block_len(suite), len);
		for (int is_server = 0; is_server < 2; is_server++) {
			const struct traffic *client, *server;

			assert_int_equal(
				traffic_new_tls12(&rx, &tx, suite, block, len, is_server, 1, 2), 0);
			assert_int_equal(rx->seq, 1);
			assert_int_equal(tx->seq, 2);
			client = is_server ? rx : tx;
			server = is_server ? tx : rx;
			assert_memory_equal(client->key, block, key);
			assert_memory_equal(server->key, block + key, key);
			assert_memory_equal(client->iv, block + 2 * key, iv);
			assert_memory_equal(server->iv, block + 2 * key + iv, iv);
			assert_int_equal(rx->secret_len + tx->secret_len + rx->epoch + tx->epoch,
					 0);
			traffic_free(rx);
			traffic_free(tx);
		}
		assert_int_equal(traffic_new_tls12(&rx, &tx, suite, block, len - 1, false, 0, 0),
				 -SLUICE_E_INVALID);
		assert_int_equal(traffic_new_tls12(&rx, &tx, suite, block, len + 1, false, 0, 0),
				 -SLUICE_E_INVALID);
	}
}

static void what_does_not_fit_the_suite_is_refused(void **state)
{
	const struct suite *tls13 = suite_find(0x1302), *tls12 = suite_find(0xc030);
	struct traffic *rx = (void *)1, *tx = (void *)2;
	uint8_t bytes[88] = { 0 };

	assert_int_equal(traffic_new_tls13(&rx, tls13, bytes, 32, 0), -SLUICE_E_INVALID);
	assert_int_equal(traffic_new_tls13(&rx, tls13, bytes, 0, 0), -SLUICE_E_INVALID);
	assert_int_equal(traffic_new_tls13(&rx, tls12, bytes, 48, 0), -SLUICE_E_INVALID);
	assert_int_equal(traffic_new_tls13(&rx, NULL, bytes, 48, 0), -SLUICE_E_INVALID);
	assert_int_equal(traffic_new_tls12(&rx, &tx, tls13, bytes, 88, true, 0, 0),
			 -SLUICE_E_INVALID);
	assert_int_equal(traffic_new_tls12(&rx, &tx, NULL, bytes, 88, true, 0, 0),
			 -SLUICE_E_INVALID);
	assert_ptr_equal(rx, (void *)1);
	assert_ptr_equal(tx, (void *)2);

	/* TLS 1.2 has no next epoch. */
	assert_int_equal(traffic_new_tls12(&rx, &tx, tls12, bytes, 72, true, 0, 0), 0);
	assert_int_equal(traffic_next_epoch(&tx, rx), -SLUICE_E_INVALID);
	traffic_free(rx);
	traffic_free(tx);
	assert_null(traffic_free(NULL));
}

/* Runs @attempt with no slot left for another struct traffic but @spare. */
static void with_slots(size_t spare, void (*attempt)(const struct traffic *traffic))
{
	struct traffic *traffic, *hold[512];
	uint8_t secret[48] = { 1 };
	size_t n = 0;

	fault_install();
	assert_int_equal(traffic_new_tls13(&traffic, suite_find(0x1302), secret, 48, 0), 0);
	fault_arm_from("mmap", 1, ENOMEM);
	while (n < 512 && (hold[n] = secret_new(sizeof(struct traffic))) != NULL)
		n++;
	assert_true(n < 512);
	for (size_t i = 0; i < spare; i++)
		secret_free(hold[--n]);
	attempt(traffic);
	while (n > 0)
		secret_free(hold[--n]);
	traffic_free(traffic);
}

static void fail_tls13(const struct traffic *traffic)
{
	struct traffic *next = (void *)1;
	size_t live = secret_live();

	assert_int_equal(traffic_next_epoch(&next, traffic), -SLUICE_E_NOMEM);
	assert_int_equal(traffic_new_tls13(&next, traffic->suite, traffic->secret, 48, 0),
			 -SLUICE_E_NOMEM);
	assert_ptr_equal(next, (void *)1);
	assert_int_equal(secret_live(), live);
}

static void fail_tls12(const struct traffic *traffic)
{
	struct traffic *rx = (void *)1, *tx = (void *)2;
	uint8_t block[72] = { 0 };
	size_t live = secret_live();

	assert_int_equal(traffic_new_tls12(&rx, &tx, suite_find(0xc030), block, 72, true, 0, 0),
			 -SLUICE_E_NOMEM);
	assert_ptr_equal(rx, (void *)1);
	assert_ptr_equal(tx, (void *)2);
	assert_int_equal(secret_live(), live);
}

static void no_memory_leaves_nothing_behind(void **state)
{
	with_slots(0, fail_tls13);
	with_slots(0, fail_tls12);
	with_slots(1, fail_tls12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(LC_58_epochs_of_rfc8448, teardown),
		cmocka_unit_test_teardown(epochs_of_the_other_suites, teardown),
		cmocka_unit_test_teardown(LC_58_key_block_is_split_for_both_roles, teardown),
		cmocka_unit_test_teardown(what_does_not_fit_the_suite_is_refused, teardown),
		cmocka_unit_test_teardown(no_memory_leaves_nothing_behind, teardown),
	};

	return cmocka_run_group_tests_name("unit/traffic", tests, NULL, NULL);
}
