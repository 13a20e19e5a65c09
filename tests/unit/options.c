/* SPDX-License-Identifier: Apache-2.0 */
/* The option table, values in all forms, copies of option sets and overlays. */
#include "options/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>

#include "core/secret.h"
#include "core/sys.h"
#include "options/profile.h"
#include "record/suite.h"
#include "support/certs.h"
#include "support/fault.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static struct sluice_options *new_set(void)
{
	struct sluice_options *opts;

	assert_int_equal(sluice_options_new(&opts), 0);
	return opts;
}

/* Sets and demands success. */
static void set(struct sluice_options *opts, enum sluice_option id, const char *text)
{
	struct sluice_error err;

	if (sluice_options_set(opts, id, text, &err) < 0)
		fail_msg("%s = %s: %s", option_row((int)id)->name, text, err.text);
}

/* --- the table ------------------------------------------------------------------------------ */

static void SV_21_every_option_is_described_once(void **state)
{
	struct sluice_option_info info;
	int id, other;

	for (id = 0; id < SLUICE_OPTIONS; id++) {
		assert_int_equal(sluice_option_info(id, &info, sizeof(info)), 0);
		assert_int_equal(info.id, id);
		assert_non_null(info.name);
		assert_int_equal(option_find(info.name, strlen(info.name)), id);
		assert_true(info.roles && !(info.roles & ~(SLUICE_CLIENT | SLUICE_SERVER)));
		assert_in_range(strlen(info.help), 10, 160);
		assert_null(strchr(info.help, '\n'));
		assert_int_equal(info.type == SLUICE_TYPE_INT, info.min < info.max);
		if (info.type == SLUICE_TYPE_ENUM)
			assert_non_null(info.values);
		for (other = 0; other < id; other++)
			assert_string_not_equal(option_row(other)->name, info.name);
	}
	assert_int_equal(sluice_option_info(-1, &info, sizeof(info)), -SLUICE_E_INVALID);
	assert_int_equal(sluice_option_info(SLUICE_OPTIONS, &info, sizeof(info)),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_option_info(0, NULL, 0), -SLUICE_E_INVALID);
}

static void a_description_fits_older_and_newer_callers(void **state)
{
	struct {
		struct sluice_option_info info;
		char later[16];
	} newer;
	struct sluice_option_info older;

	memset(&newer, 0xff, sizeof(newer));
	assert_int_equal(sluice_option_info(SLUICE_OPT_DEPTH, &newer.info, sizeof(newer)), 0);
	assert_string_equal(newer.info.name, "depth");
	assert_memory_equal(newer.later, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);

	memset(&older, 0xff, sizeof(older));
	assert_int_equal(sluice_option_info(SLUICE_OPT_DEPTH, &older,
					    offsetof(struct sluice_option_info, name)),
			 0);
	assert_int_equal(older.id, SLUICE_OPT_DEPTH);
	assert_int_equal(*(unsigned char *)&older.name, 0xff);
}

/* The defaults of the table are values that its own setters take. */
static void every_default_can_be_set(void **state)
{
	struct sluice_options *opts = new_set();
	const struct option_row *row;
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++) {
		row = option_row(id);
		if (row->def)
			set(opts, (enum sluice_option)id, row->def);
		if (row->def_server)
			set(opts, (enum sluice_option)id, row->def_server);
	}
	sluice_options_free(opts);
}

static void defaults_are_those_of_the_table(void **state)
{
	struct sluice_options *opts = new_set();
	uint16_t codes[OPTION_MAX_CODES];

	assert_int_equal(option_number(opts, SLUICE_OPT_VERIFY, SLUICE_CLIENT), 1);
	assert_int_equal(option_number(opts, SLUICE_OPT_VERIFY, SLUICE_SERVER), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 10);
	assert_int_equal(option_number(opts, SLUICE_OPT_SESSION_TICKETS, SLUICE_SERVER), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_TICKET_COUNT, SLUICE_SERVER), 2);
	assert_int_equal(option_number(opts, SLUICE_OPT_RECORD_PATH, SLUICE_CLIENT), PATH_AUTO);
	assert_int_equal(option_number(opts, SLUICE_OPT_HANDSHAKE, SLUICE_CLIENT), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT, SLUICE_CLIENT), 10000);
	assert_int_equal(option_number(opts, SLUICE_OPT_MAX_HANDSHAKE_SIZE, SLUICE_SERVER), 262144);
	assert_int_equal(option_number(opts, SLUICE_OPT_EXPORTER, SLUICE_SERVER), 0);
	assert_int_equal(option_codes(opts, SLUICE_OPT_VERSIONS, codes), 2);
	assert_int_equal(codes[0], TLS13);
	assert_int_equal(codes[1], TLS12);
	assert_int_equal(option_codes(opts, SLUICE_OPT_CIPHERS, codes), 9);
	sluice_options_free(opts);
}

/* Calls @visit with every word of a list of words. */
static size_t each_word(const char *words, void (*visit)(const char *word, void *arg), void *arg)
{
	char copy[2048], *save, *word;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", words);
	for (word = strtok_r(copy, ",|", &save); word; word = strtok_r(NULL, ",|", &save), n++)
		visit(word, arg);
	return n;
}

struct words_of {
	enum sluice_option id;
	struct sluice_options *opts;
};

static void word_can_be_set(const char *word, void *arg)
{
	const struct words_of *of = arg;
	uint16_t codes[OPTION_MAX_CODES];

	set(of->opts, of->id, word);
	if (option_row((int)of->id)->type == SLUICE_TYPE_ENUM)
		return;
	assert_int_equal(option_codes(of->opts, of->id, codes), 1);
	assert_string_equal(words_name(of->id, codes[0]), word);
}

static void OC_13_OC_43_every_word_that_is_printed_can_be_set(void **state)
{
	struct words_of of = { .opts = new_set() };
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++) {
		of.id = (enum sluice_option)id;
		if (option_row(id)->values)
			assert_true(each_word(option_row(id)->values, word_can_be_set, &of) >= 2);
	}
	sluice_options_free(of.opts);
}

static void suite_is_known(const char *word, void *arg)
{
	assert_non_null(suite_find_name(word, strlen(word)));
}

/* What can be set and what the record paths know is the same, but for PSK. */
static void OC_13_the_suites_are_those_of_the_record_paths(void **state)
{
	const char *values = option_row(SLUICE_OPT_CIPHERS)->values;
	const struct suite *suite;
	size_t i, n = 0;

	for (i = 0; (suite = suite_at(i)) != NULL; i++) {
		if (strstr(suite->name, "_PSK_"))
			continue;
		assert_non_null(strstr(values, suite->name));
		n++;
	}
	assert_int_equal(each_word(values, suite_is_known, NULL), n);
}

/* --- single values -------------------------------------------------------------------------- */

static void OC_13_ciphers_take_both_kinds_of_names(void **state)
{
	struct sluice_options *opts = new_set();
	uint16_t codes[OPTION_MAX_CODES];

	set(opts, SLUICE_OPT_CIPHERS,
	    "ECDHE-RSA-AES256-GCM-SHA384, TLS_AES_128_GCM_SHA256 ,AES128-GCM-SHA256");
	assert_int_equal(option_codes(opts, SLUICE_OPT_CIPHERS, codes), 3);
	assert_int_equal(codes[0], 0xc030);
	assert_int_equal(codes[1], 0x1301);
	assert_int_equal(codes[2], 0x009c);
	sluice_options_free(opts);
}

static void CL_06_SV_10_alpn_becomes_a_protocol_name_list(void **state)
{
	struct sluice_options *opts = new_set();
	const struct option_value *value = &opts->values[SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS];
	char longest[300];

	set(opts, SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, "h2, http/1.1");
	assert_int_equal(value->len, 12);
	assert_memory_equal(value->bytes, "\x02h2\x08http/1.1", 12);

	memset(longest, 'x', sizeof(longest));
	longest[255] = '\0';
	set(opts, SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, longest);
	assert_int_equal(value->len, 256);
	assert_int_equal(((uint8_t *)value->bytes)[0], 255);
	sluice_options_free(opts);
}

static void a_later_value_replaces_an_earlier_one(void **state)
{
	struct sluice_options *opts = new_set();
	uint16_t codes[OPTION_MAX_CODES];

	set(opts, SLUICE_OPT_DEPTH, "3");
	set(opts, SLUICE_OPT_DEPTH, "0");
	assert_int_equal(option_number(opts, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 0);
	set(opts, SLUICE_OPT_VERSIONS, "tlsv1.2,tlsv1.3");
	set(opts, SLUICE_OPT_VERSIONS, "tlsv1.2");
	assert_int_equal(option_codes(opts, SLUICE_OPT_VERSIONS, codes), 1);
	set(opts, SLUICE_OPT_CERTFILE, "/a");
	set(opts, SLUICE_OPT_CERTFILE, "/b/c");
	assert_string_equal(option_text(opts, SLUICE_OPT_CERTFILE), "/b/c");
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_DEPTH, 100, NULL), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 100);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_EXPORTER, 1, NULL), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_EXPORTER, SLUICE_SERVER), 1);
	assert_int_equal(sluice_options_set_name(opts, "record_path", "user", NULL), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_RECORD_PATH, SLUICE_SERVER), PATH_USER);
	sluice_options_free(opts);
}

static void bad_arguments_are_refused(void **state)
{
	struct sluice_options *opts = new_set(), *other;
	struct sluice_error err;

	assert_int_equal(sluice_options_new(NULL), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_clone(&other, NULL), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_clone(NULL, opts), -SLUICE_E_INVALID);
	assert_null(sluice_options_free(NULL));
	assert_int_equal(sluice_options_set(NULL, SLUICE_OPT_DEPTH, "1", &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_DEPTH, NULL, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_name(opts, NULL, "1", &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_name(opts, "depth", NULL, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_int(NULL, SLUICE_OPT_DEPTH, 1, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_CERTFILE, 1, &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_VERIFY, 1, &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_EXPORTER, 2, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_DEPTH, INT64_MIN, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set_int(opts, SLUICE_OPT_DEPTH, INT64_MAX, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set_data(NULL, SLUICE_OPT_CERT, "x", 1, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, NULL, 1, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPTIONS, "x", 1, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERTFILE, "x", 1, &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, "x", 0, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, "x", OPTION_MAX_DATA + 1,
						 &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_parse(NULL, "", 0, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_parse(opts, NULL, 1, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_parse(opts, NULL, 0, &err), 0);
	sluice_options_free(opts);
}

/* --- bytes ---------------------------------------------------------------------------------- */

static void OC_01_bytes_are_copied_and_collected(void **state)
{
	struct sluice_options *opts = new_set(), *clone;
	char bytes[] = "first";
	STACK_OF(CRYPTO_BUFFER) * ders;

	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, bytes, 5, NULL), 0);
	memcpy(bytes, "other", 5);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, bytes, 3, NULL), 0);
	assert_int_equal(sluice_options_clone(&clone, opts), 0);
	sluice_options_free(opts);
	ders = clone->values[SLUICE_OPT_CERT].ders;
	assert_int_equal(sk_CRYPTO_BUFFER_num(ders), 2);
	assert_memory_equal(CRYPTO_BUFFER_data(sk_CRYPTO_BUFFER_value(ders, 0)), "first", 5);
	assert_int_equal(CRYPTO_BUFFER_len(sk_CRYPTO_BUFFER_value(ders, 1)), 3);
	sluice_options_free(clone);
}

static void OC_05_a_key_is_parsed_when_it_is_set(void **state)
{
	struct sluice_options *opts = new_set();
	uint8_t *der;
	struct sluice_error err;
	size_t len;

	der = certs_der(certs_get()->server_p256_key, 0, &len);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, der, len, &err), 0);
	assert_int_equal(EVP_PKEY_id(opts->values[SLUICE_OPT_KEY].key), EVP_PKEY_EC);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, der, len - 1, &err),
			 -SLUICE_E_KEY_PARSE);
	der = realloc(der, len + 1);
	der[len] = 0;
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, der, len + 1, &err),
			 -SLUICE_E_KEY_PARSE);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, "nonsense", 8, &err),
			 -SLUICE_E_KEY_PARSE);
	assert_non_null(strstr(err.text, "key: "));
	/* The good one is still there. */
	assert_int_equal(EVP_PKEY_id(opts->values[SLUICE_OPT_KEY].key), EVP_PKEY_EC);
	free(der);
	sluice_options_free(opts);
}

static void objects_are_counted(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	int i;

	for (i = 0; i < OPTION_MAX_OBJECTS; i++)
		assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CACERTS, "x", 1, NULL),
				 0);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CACERTS, "x", 1, &err),
			 -SLUICE_E_OPTION_RANGE);
	sluice_options_free(opts);
}

/* --- one set over another ------------------------------------------------------------------- */

static void LC_13_an_overlay_replaces_what_it_sets(void **state)
{
	struct sluice_options *base = new_set(), *extra = new_set();
	uint16_t codes[OPTION_MAX_CODES];

	set(base, SLUICE_OPT_DEPTH, "1");
	set(base, SLUICE_OPT_VERSIONS, "tlsv1.2");
	set(base, SLUICE_OPT_PASSWORD, "old");
	set(extra, SLUICE_OPT_VERSIONS, "tlsv1.3");
	set(extra, SLUICE_OPT_PASSWORD, "new");
	assert_int_equal(options_overlay(base, extra), 0);
	assert_int_equal(option_number(base, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 1);
	assert_int_equal(option_codes(base, SLUICE_OPT_VERSIONS, codes), 1);
	assert_int_equal(codes[0], TLS13);
	assert_string_equal(option_text(base, SLUICE_OPT_PASSWORD), "new");
	sluice_options_free(base);
	sluice_options_free(extra);
}

/* Else a new certfile would lose against old bytes, in silence. */
static void OC_02_LC_13_an_overlay_ends_the_other_form_of_an_option(void **state)
{
	struct sluice_options *base = new_set(), *extra = new_set();

	assert_int_equal(sluice_options_set_data(base, SLUICE_OPT_CERT, "x", 1, NULL), 0);
	set(base, SLUICE_OPT_CACERTFILE, "/ca");
	set(extra, SLUICE_OPT_CERTFILE, "/cert");
	assert_int_equal(sluice_options_set_data(extra, SLUICE_OPT_CACERTS, "x", 1, NULL), 0);
	assert_int_equal(options_overlay(base, extra), 0);
	assert_false(option_is_set(base, SLUICE_OPT_CERT));
	assert_true(option_is_set(base, SLUICE_OPT_CERTFILE));
	assert_false(option_is_set(base, SLUICE_OPT_CACERTFILE));
	assert_true(option_is_set(base, SLUICE_OPT_CACERTS));
	sluice_options_free(base);
	sluice_options_free(extra);
}

/* --- memory --------------------------------------------------------------------------------- */

/* Takes all secret memory that is left; the next secret_new() of any size fails. */
static size_t use_up_secrets(void *filler[], size_t max)
{
	static const size_t sizes[] = { SECRET_MAX, 64, 1 };
	size_t i, n = 0;

	fault_install();
	fault_arm_from("mmap", 1, ENOMEM);
	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		while (n < max && (filler[n] = secret_new(sizes[i])) != NULL)
			n++;
	}
	assert_in_range(n, 0, max - 1);
	return n;
}

static void OC_11_without_secret_memory_nothing_changes(void **state)
{
	struct sluice_options *opts = new_set(), *clone;
	void *filler[4096];
	struct sluice_error err;
	size_t n, before;

	set(opts, SLUICE_OPT_PASSWORD, "secret");
	n = use_up_secrets(filler, ARRAY_LEN(filler));
	before = secret_live();
	assert_int_equal(sluice_options_clone(&clone, opts), -SLUICE_E_NOMEM);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_PASSWORD, "other", &err),
			 -SLUICE_E_NOMEM);
	assert_int_equal(sluice_options_parse(opts, "depth = 1", 9, &err), -SLUICE_E_NOMEM);
	assert_string_equal(option_text(opts, SLUICE_OPT_PASSWORD), "secret");
	assert_false(option_is_set(opts, SLUICE_OPT_DEPTH));
	assert_int_equal(secret_live(), before);
	fault_uninstall();
	while (n)
		secret_free(filler[--n]);
	sluice_options_free(opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(SV_21_every_option_is_described_once),
		cmocka_unit_test(a_description_fits_older_and_newer_callers),
		cmocka_unit_test(every_default_can_be_set),
		cmocka_unit_test(defaults_are_those_of_the_table),
		cmocka_unit_test(OC_13_OC_43_every_word_that_is_printed_can_be_set),
		cmocka_unit_test(OC_13_the_suites_are_those_of_the_record_paths),
		cmocka_unit_test(OC_13_ciphers_take_both_kinds_of_names),
		cmocka_unit_test(CL_06_SV_10_alpn_becomes_a_protocol_name_list),
		cmocka_unit_test(a_later_value_replaces_an_earlier_one),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(OC_01_bytes_are_copied_and_collected),
		cmocka_unit_test(OC_05_a_key_is_parsed_when_it_is_set),
		cmocka_unit_test(objects_are_counted),
		cmocka_unit_test(LC_13_an_overlay_replaces_what_it_sets),
		cmocka_unit_test(OC_02_LC_13_an_overlay_ends_the_other_form_of_an_option),
		cmocka_unit_test(OC_11_without_secret_memory_nothing_changes),
	};

	return cmocka_run_group_tests_name("unit/options", tests, NULL, NULL);
}
