/* SPDX-License-Identifier: Apache-2.0 */
/* Option certs_keys: what may be an entry, what it goes before, and what is wrong with it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "options/credentials.h"
#include "options/options.h"
#include "options/profile.h"
#include "options/sets.h"
#include "support/certs.h"
#include "support/profiles.h"

static int add_pair(struct sluice_options *opts, const char *const pairs[],
		    struct sluice_error *err)
{
	struct sluice_options *pair = new_options(pairs);
	int r = sluice_options_add_cert_key(opts, pair, err);

	sluice_options_free(pair);
	return r;
}

static int type_of(const struct sluice_profile *profile, size_t i)
{
	assert_true(i < profile->creds->n_own);
	return EVP_PKEY_id(profile->creds->own[i].key);
}

static void OC_03_several_go_before_one(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts =
		new_options(PAIRS("certfile", c->server_ed25519, "keyfile", c->server_ed25519_key));
	struct sluice_profile *profile;
	struct sluice_error err;

	assert_int_equal(add_pair(opts,
				  PAIRS("certfile", c->server_rsa, "keyfile", c->server_rsa_key),
				  &err),
			 0);
	assert_int_equal(add_pair(opts, PAIRS("certfile", c->server_combined), &err), 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err), 0);
	assert_int_equal(profile->creds->n_own, 2);
	assert_int_equal(type_of(profile, 0), EVP_PKEY_RSA);
	assert_int_equal(type_of(profile, 1), EVP_PKEY_EC);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

static void OC_03_a_list_of_files(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	struct sluice_profile *profile;
	struct sluice_error err;
	char text[400];

	snprintf(text, sizeof(text), " %s ,%s", c->server_combined, c->server_combined);
	opts = new_options(PAIRS("certs_keys", text));
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err), 0);
	assert_int_equal(profile->creds->n_own, 2);
	sluice_profile_unref(profile);
	/* A text replaces what was there, as with every option. */
	assert_int_equal(sluice_options_set_name(opts, "certs_keys", c->server_combined, &err), 0);
	assert_int_equal(set_list_count(opts->values[SLUICE_OPT_CERTS_KEYS].sets), 1);
	assert_int_equal(sluice_options_set_name(opts, "certs_keys", "a.pem,,b.pem", &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_name(opts, "certs_keys", "", &err), -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_name(opts, "certs_keys", "1,2,3,4,5,6,7,8,9", &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(set_list_count(opts->values[SLUICE_OPT_CERTS_KEYS].sets), 1);
	sluice_options_free(opts);
}

static void OC_03_what_is_no_entry(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts = new_options(PAIRS(NULL));
	struct sluice_error err;
	size_t i;

	assert_int_equal(add_pair(opts, PAIRS("certfile", c->server_rsa, "depth", "3"), &err),
			 -SLUICE_E_OPTION);
	assert_non_null(strstr(err.text, "depth"));
	assert_int_equal(add_pair(opts, PAIRS("keyfile", c->server_rsa_key), &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_add_cert_key(opts, NULL, &err), -SLUICE_E_INVALID);
	assert_false(opts->values[SLUICE_OPT_CERTS_KEYS].set);
	for (i = 0; i < OPTION_MAX_CERTS; i++)
		assert_int_equal(add_pair(opts, PAIRS("certfile", c->server_combined), &err), 0);
	assert_int_equal(add_pair(opts, PAIRS("certfile", c->server_combined), &err),
			 -SLUICE_E_OPTION_RANGE);
	sluice_options_free(opts);
}

/* An error names the entry and the file. */
static void OC_03_OC_12_an_entry_that_is_wrong(void **state)
{
	const struct certs *c = certs_get();
	const struct {
		const char *cert, *key;
		int code;
	} cases[] = {
		{ "/nowhere/a.pem", "/nowhere/a.pem", SLUICE_E_FILE },
		{ c->server_rsa, c->server_p256_key, SLUICE_E_KEY_MISMATCH },
		{ c->expired, c->server_p256_key, SLUICE_E_CERT_EXPIRED },
		{ c->server_p256, c->encrypted_key, SLUICE_E_KEY_PASSWORD },
	};
	struct sluice_profile *profile;
	struct sluice_options *opts;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		opts = new_options(PAIRS(NULL));
		assert_int_equal(add_pair(opts, PAIRS("certfile", c->server_combined), &err), 0);
		assert_int_equal(add_pair(opts,
					  PAIRS("certfile", cases[i].cert, "keyfile", cases[i].key),
					  &err),
				 0);
		assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err),
				 -cases[i].code);
		assert_non_null(strstr(err.text, "certs_keys: entry 2: "));
		sluice_options_free(opts);
	}
}

static void OC_03_OC_11_the_password_of_all_or_of_one(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *profile;
	struct sluice_options *opts = new_options(PAIRS("password", c->password));
	struct sluice_error err;

	assert_int_equal(add_pair(opts,
				  PAIRS("certfile", c->server_p256, "keyfile", c->encrypted_key),
				  &err),
			 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err), 0);
	sluice_profile_unref(profile);
	sluice_options_free(opts);

	opts = new_options(PAIRS("password", "another"));
	assert_int_equal(add_pair(opts,
				  PAIRS("certfile", c->server_p256, "keyfile", c->encrypted_key,
					"password", c->password),
				  &err),
			 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err), 0);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

/* One certificate laid over several replaces them, and several replace one. */
static void OC_03_LC_13_laid_over(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *base = new_options(PAIRS("certs_keys", c->server_combined));
	struct sluice_options *one =
		new_options(PAIRS("certfile", c->server_rsa, "keyfile", c->server_rsa_key));
	struct sluice_options *several = new_options(PAIRS("certs_keys", c->server_combined));
	struct sluice_profile *profile, *derived, *again;
	struct sluice_error err;

	assert_int_equal(sluice_profile_new(&profile, base, SLUICE_SERVER, &err), 0);
	assert_int_equal(profile_derive(&derived, profile, one, &err), 0);
	assert_int_equal(type_of(derived, 0), EVP_PKEY_RSA);
	assert_int_equal(profile_derive(&again, derived, several, &err), 0);
	assert_int_equal(type_of(again, 0), EVP_PKEY_EC);
	sluice_profile_unref(again);
	sluice_profile_unref(derived);
	sluice_profile_unref(profile);
	sluice_options_free(several);
	sluice_options_free(one);
	sluice_options_free(base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_03_several_go_before_one),
		cmocka_unit_test(OC_03_a_list_of_files),
		cmocka_unit_test(OC_03_what_is_no_entry),
		cmocka_unit_test(OC_03_OC_12_an_entry_that_is_wrong),
		cmocka_unit_test(OC_03_OC_11_the_password_of_all_or_of_one),
		cmocka_unit_test(OC_03_LC_13_laid_over),
	};

	return cmocka_run_group_tests_name("unit/certs_keys", tests, NULL, NULL);
}
