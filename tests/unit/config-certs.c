/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates in the configuration of sluiced: several, passwords from files, and every mistake with them. */
#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "options/options.h"
#include "options/sets.h"
#include "support/certs.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define LISTENERS "listeners: [{name: a, address: ':443', profile: p, pool: w}]\n"
#define POOLS "pools: {w: {socket: /s}}\n"
#define PROFILE(text) LISTENERS POOLS "profiles: {p: {" text "}}\n"

static const struct mistake {
	const char *text;
	int code;
	const char *says; /* the beginning */
} mistakes[] = {
	{ PROFILE("certs_keys: a"), SLUICE_E_OPTION,
	  "f:3:28: certs_keys: takes a list, not one value" },
	{ PROFILE("certs_keys: []"), SLUICE_E_OPTION, "f:3:28: certs_keys: the list is empty" },
	{ PROFILE("certs_keys: [/a], certfile: /b"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:28: certs_keys: goes before certfile and keyfile" },
	{ PROFILE("certs_keys: [{keyfile: /a}]"), SLUICE_E_OPTION,
	  "f:3:29: certs_keys: an entry needs certfile" },
	{ PROFILE("certs_keys: [{certfile: /a, depth: 3}]"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:44: an entry of certs_keys has no key \"depth\"; it takes certfile, keyfile" },
	{ PROFILE("certs_keys: [1,2,3,4,5,6,7,8,9]"), SLUICE_E_OPTION_RANGE,
	  "f:3:45: certs_keys: takes at most 8" },
	{ PROFILE("certs_keys: [[/a]]"), SLUICE_E_OPTION, "f:3:29: certs_keys: takes keys with" },
	{ PROFILE("password: a, password_file: /b"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:44: password_file: there is a password already" },
	{ PROFILE("certs_keys: [{certfile: /a, password: b, password_file: /c}]"),
	  SLUICE_E_OPTION_CONFLICT, "f:3:72: password_file: there is a password already" },
	{ PROFILE("password_file: /nowhere/at/all"), SLUICE_E_FILE,
	  "f:3:31: password_file: /nowhere/at/all: No such file" },
	{ PROFILE("password_file: /dev/null"), SLUICE_E_FILE,
	  "f:3:31: password_file: /dev/null: not a file" },
	{ PROFILE("password_files: /b"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:16: a profile has no key or option \"password_files\"; did you mean \"password_file\"?" },
};

static void every_mistake_has_its_place_and_words(void **state)
{
	const struct mistake *m;
	struct config_error err;
	struct config *config;
	size_t i;
	int r;

	for (i = 0; i < ARRAY_LEN(mistakes); i++) {
		m = &mistakes[i];
		config = NULL;
		r = config_parse(&config, "f", m->text, strlen(m->text), &err);
		assert_null(config);
		if (r != -m->code || strncmp(err.text, m->says, strlen(m->says)) != 0)
			fail_msg("%s: wanted %s \"%s\", got %s \"%s\"", m->text,
				 sluice_error_name(m->code), m->says, sluice_error_name(r),
				 err.text);
	}
}

static struct config *read_config(const char *text)
{
	struct config *config = NULL;
	struct config_error err;

	if (config_parse(&config, "f", text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return config;
}

static const char *entry(const struct sluice_options *opts, size_t i, enum sluice_option id)
{
	const struct set_list *list = opts->values[SLUICE_OPT_CERTS_KEYS].sets;

	assert_true(i < set_list_count(list));
	return option_text(set_list_at(list, i), id);
}

/* What a host has goes over what its profile has, whichever form it has. */
static void several_certificates(void **state)
{
	struct config *config = read_config(LISTENERS POOLS
					    "profiles:\n"
					    "  p:\n"
					    "    certs_keys:\n"
					    "    - {certfile: /a, keyfile: /b}\n"
					    "    - /c\n"
					    "    hosts:\n"
					    "    - {names: [x.test]}\n"
					    "    - {names: [y.test], certfile: /d}\n"
					    "    - {names: [z.test], certs_keys: [/e]}\n");
	const struct config_profile *p = &config->profiles[0];

	assert_string_equal(entry(p->options, 0, SLUICE_OPT_CERTFILE), "/a");
	assert_string_equal(entry(p->options, 0, SLUICE_OPT_KEYFILE), "/b");
	assert_string_equal(entry(p->options, 1, SLUICE_OPT_CERTFILE), "/c");
	assert_string_equal(entry(p->hosts[0].options, 1, SLUICE_OPT_CERTFILE), "/c");
	assert_false(option_is_set(p->hosts[1].options, SLUICE_OPT_CERTS_KEYS));
	assert_string_equal(option_text(p->hosts[1].options, SLUICE_OPT_CERTFILE), "/d");
	assert_int_equal(set_list_count(p->hosts[2].options->values[SLUICE_OPT_CERTS_KEYS].sets),
			 1);
	assert_string_equal(entry(p->hosts[2].options, 0, SLUICE_OPT_CERTFILE), "/e");
	config_free(config);
}

static int read_password(const void *text, size_t len, char password[1100],
			 struct config_error *err)
{
	struct config *config = NULL;
	char yaml[600];
	int r;

	snprintf(yaml, sizeof(yaml), PROFILE("certfile: /a, password_file: %s"),
		 certs_file("password", text, len));
	r = config_parse(&config, "f", yaml, strlen(yaml), err);
	if (r == 0)
		strcpy(password, option_text(config->profiles[0].options, SLUICE_OPT_PASSWORD));
	config_free(config);
	return r;
}

static void OC_11_passwords_from_files(void **state)
{
	static const struct {
		const char *text, *password; /* NULL: refused */
	} cases[] = {
		{ "secret", "secret" },
		{ "secret\n", "secret" },
		{ "secret\r\n", "secret" },
		{ " a # b \\ c: d \n", " a # b \\ c: d " },
		{ "", NULL },
		{ "\n", NULL },
		{ "hidden\nhidden too\n", NULL },
	};
	char password[1100], longest[1100];
	struct config_error err;
	size_t i;
	int r;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		r = read_password(cases[i].text, strlen(cases[i].text), password, &err);
		if (cases[i].password) {
			assert_int_equal(r, 0);
			assert_string_equal(password, cases[i].password);
		} else {
			assert_int_equal(r, -SLUICE_E_FILE);
			assert_non_null(strstr(err.text, "takes one line"));
			assert_null(strstr(err.text, "hidden"));
		}
	}
	assert_int_equal(read_password("a\0b", 3, password, &err), -SLUICE_E_FILE);
	memset(longest, 'x', sizeof(longest));
	longest[OPTION_MAX_PASSWORD] = '\n';
	assert_int_equal(read_password(longest, OPTION_MAX_PASSWORD + 1, password, &err), 0);
	assert_int_equal(strlen(password), OPTION_MAX_PASSWORD);
	longest[OPTION_MAX_PASSWORD] = 'x';
	assert_int_equal(read_password(longest, OPTION_MAX_PASSWORD + 1, password, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(read_password(longest, sizeof(longest), password, &err), -SLUICE_E_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_has_its_place_and_words),
		cmocka_unit_test(several_certificates),
		cmocka_unit_test(OC_11_passwords_from_files),
	};

	return cmocka_run_group_tests_name("unit/config-certs", tests, NULL, NULL);
}
