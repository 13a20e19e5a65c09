/* SPDX-License-Identifier: Apache-2.0 */
/* The suite table against BoringSSL's own and against the kernel's header. */
#include "record/suite.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <cmocka.h>
#include <linux/tls.h>
#include <openssl/aead.h>
#include <openssl/cipher.h>
#include <openssl/digest.h>
#include <openssl/nid.h>
#include <openssl/ssl.h>

static void every_aead_suite_of_boringssl_is_a_row(void **state)
{
	unsigned int n = 0, rows = 0;

	while (suite_at(rows) != NULL)
		rows++;
	for (unsigned int id = 0; id <= 0xffff; id++) {
		const SSL_CIPHER *cipher = SSL_get_cipher_by_value((uint16_t)id);
		const struct suite *suite = suite_find((uint16_t)id);

		if (cipher == NULL || !SSL_CIPHER_is_aead(cipher)) {
			assert_null(suite);
			continue;
		}
		n++;
		assert_non_null(suite);
		assert_int_equal(suite->id, id);
		assert_int_equal(suite->version, SSL_CIPHER_get_min_version(cipher));
		assert_int_equal(suite->version, SSL_CIPHER_get_max_version(cipher));
		assert_string_equal(suite->name, SSL_CIPHER_standard_name(cipher));
		assert_int_equal(EVP_MD_type(suite->md()), SSL_CIPHER_get_prf_nid(cipher));
		/* The names of TLS 1.3 suites are the IANA names in OpenSSL; in BoringSSL they once
		 * were not. */
		assert_string_equal(suite->openssl_name, suite->version == TLS13
								 ? suite->name
								 : SSL_CIPHER_get_name(cipher));
	}
	assert_int_equal(n, rows);
	assert_int_equal(n, 12);
}

static void suites_are_found_by_both_names(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		const struct suite *suite = suite_at(i);
		size_t len = strlen(suite->name);

		assert_ptr_equal(suite_find(suite->id), suite);
		assert_ptr_equal(suite_find_name(suite->name, len), suite);
		assert_ptr_equal(suite_find_name(suite->openssl_name, strlen(suite->openssl_name)),
				 suite);
		/* The whole name or nothing: AES256-GCM-SHA384 ends another one's name. */
		assert_null(suite_find_name(suite->name, len - 1));
		assert_null(suite_find_name(suite->name, len + 1));
		assert_null(suite_find_name(suite->name + 1, len - 1));
	}
	assert_null(suite_find_name("", 0));
	assert_null(suite_find_name("tls_aes_128_gcm_sha256", 22));
	assert_null(suite_find(0));
	assert_null(suite_at(SIZE_MAX));
}

static void lengths_are_those_of_the_aead(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		const struct suite *suite = suite_at(i);
		const EVP_AEAD *aead = suite->aead();

		assert_int_equal(suite->key_len, EVP_AEAD_key_length(aead));
		assert_int_equal(suite->fixed_iv_len + suite->explicit_len,
				 EVP_AEAD_nonce_length(aead));
		assert_int_equal(EVP_AEAD_max_tag_len(aead), SUITE_TAG_LEN);
		assert_true(suite->key_len <= SUITE_MAX_KEY);
		assert_true(suite->fixed_iv_len <= SUITE_MAX_IV);
		assert_true(EVP_MD_size(suite->md()) <= SUITE_MAX_HASH);
		if (suite->version == TLS13)
			assert_int_equal(suite->explicit_len, 0);
	}
}

static void kernel_numbers_are_those_of_the_header(void **state)
{
	for (size_t i = 0; suite_at(i) != NULL; i++) {
		const struct suite *suite = suite_at(i);

		if (strstr(suite->name, "CHACHA20") != NULL)
			assert_int_equal(suite->kernel_cipher, TLS_CIPHER_CHACHA20_POLY1305);
		else if (strstr(suite->name, "AES_256") != NULL)
			assert_int_equal(suite->kernel_cipher, TLS_CIPHER_AES_GCM_256);
		else
			assert_int_equal(suite->kernel_cipher, TLS_CIPHER_AES_GCM_128);
	}
}

/* The order in which suites are offered by default: version, forward secrecy, key length. */
static void the_strongest_come_first(void **state)
{
	for (size_t i = 1; suite_at(i) != NULL; i++) {
		const struct suite *a = suite_at(i - 1), *b = suite_at(i);
		bool a_fs = strncmp(a->name, "TLS_RSA_", 8) != 0;
		bool b_fs = strncmp(b->name, "TLS_RSA_", 8) != 0;

		assert_true(a->version >= b->version);
		if (a->version != b->version)
			continue;
		assert_true(a_fs >= b_fs);
		if (a_fs == b_fs)
			assert_true(a->key_len >= b->key_len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_aead_suite_of_boringssl_is_a_row),
		cmocka_unit_test(suites_are_found_by_both_names),
		cmocka_unit_test(lengths_are_those_of_the_aead),
		cmocka_unit_test(kernel_numbers_are_those_of_the_header),
		cmocka_unit_test(the_strongest_come_first),
	};

	return cmocka_run_group_tests_name("unit/suite", tests, NULL, NULL);
}
