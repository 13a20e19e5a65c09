/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts of a server: names, option sets that list them, and profiles that are built of them. */
#include "options/hosts.h"

#include <stdio.h>

#include "options/options.h"
#include "options/profile.h"
#include "support/profiles.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void add(struct sluice_options *opts, const char *host, const char *const pairs[])
{
	struct sluice_options *host_opts = new_options(pairs);
	struct sluice_error err;

	if (sluice_options_add_sni_host(opts, host, host_opts, &err) < 0)
		fail_msg("%s: %s", host, err.text);
	sluice_options_free(host_opts);
}

static struct sluice_options *server_options(void)
{
	return new_options(PAIRS("certfile", certs_get()->server_combined));
}

/* Demands that a server cannot be built, and that the text says @says. */
static void refused(struct sluice_options *opts, int code, const char *says)
{
	struct sluice_profile *profile = NULL;
	struct sluice_error err;

	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err), -code);
	assert_null(profile);
	assert_int_equal(err.code, code);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	sluice_options_free(opts);
}

/* --- names ------------------------------------------------------------------------------------ */

static void SV_15_names_that_no_host_can_have(void **state)
{
	static const char *const names[] = { "",
					     ".",
					     "*",
					     "127.0.0.1",
					     "::1",
					     "www.example.org:443",
					     "www.example.org.",
					     "a.*.example.org",
					     "w*.example.org",
					     "*.*.example.org",
					     "b\303\274cher.example",
					     "-a.example",
					     "a..example",
					     "a b.example" };
	struct sluice_options *opts = server_options(), *none = new_options(PAIRS(NULL));
	char longer[300];
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		if (sluice_options_add_sni_host(opts, names[i], none, &err) != -SLUICE_E_OPTION)
			fail_msg("%s is taken", names[i]);
		assert_non_null(strstr(err.text, "sni_hosts"));
	}
	memset(longer, 'a', sizeof(longer));
	for (i = 50; i < sizeof(longer); i += 50)
		longer[i] = '.';
	longer[254] = '\0';
	assert_int_equal(sluice_options_add_sni_host(opts, longer, none, &err), -SLUICE_E_OPTION);
	longer[253] = '\0';
	assert_int_equal(sluice_options_add_sni_host(opts, longer, none, &err), 0);
	assert_int_equal(sluice_options_add_sni_host(NULL, "a", none, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_add_sni_host(opts, NULL, none, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_add_sni_host(opts, "a", NULL, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SNI_HOSTS, "a", &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SNI_FUN, "a", &err), -SLUICE_E_OPTION);
	sluice_options_free(none);
	sluice_options_free(opts);
}

static void SV_15_the_most_specific_name_is_found(void **state)
{
	static const struct {
		const char *name, *host; /* NULL: none */
	} cases[] = {
		{ "example.org", "example.org" },
		{ "EXAMPLE.org", "example.org" },
		{ "www.example.org", "www.example.org" },
		{ "wWw.eXample.oRg", "www.example.org" },
		{ "mail.example.org", "*.example.org" },
		{ "a.www.example.org", NULL }, /* a star stands for one label */
		{ "a.b.example.org", "*.b.example.org" },
		{ "b.example.org", "*.example.org" },
		{ "org", NULL },
		{ "other.test", NULL },
		{ ".example.org", NULL },
		{ "", NULL },
	};
	struct sluice_options *opts = server_options();
	struct sluice_profile *profile;
	const struct host *host;
	char longer[300];
	size_t i;

	add(opts, "www.Example.org", PAIRS(NULL));
	add(opts, "*.example.org", PAIRS(NULL));
	add(opts, "*.b.example.org", PAIRS(NULL));
	add(opts, "example.org", PAIRS(NULL));
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		host = host_table_find(profile->hosts, cases[i].name);
		if (!host != !cases[i].host || (host && strcmp(host->name, cases[i].host) != 0))
			fail_msg("%s: %s", cases[i].name, host ? host->name : "-");
	}
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_null(host_table_find(profile->hosts, longer));
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

/* --- what cannot be built --------------------------------------------------------------------- */

static int any_fun(void *arg, struct sluice_conn *conn, const char *name,
		   struct sluice_options **ret_extra)
{
	return 0;
}

static void SV_17_hosts_and_a_function_exclude_each_other(void **state)
{
	struct sluice_options *opts = server_options(), *extra = new_options(PAIRS(NULL));
	struct sluice_profile *profile, *derived = NULL;
	struct sluice_error err;

	add(opts, "a.example", PAIRS(NULL));
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	assert_int_equal(sluice_options_set_sni_fun(opts, any_fun, NULL, NULL), 0);
	refused(opts, SLUICE_E_OPTION_CONFLICT, "sni_fun");

	/* Nor does it matter which came first. */
	assert_int_equal(sluice_options_set_sni_fun(extra, any_fun, NULL, NULL), 0);
	err = (struct sluice_error){ 0 };
	assert_int_equal(profile_derive(&derived, profile, extra, &err), -SLUICE_E_OPTION_CONFLICT);
	assert_non_null(strstr(err.text, "sni_fun"));
	assert_int_equal(sluice_options_set_sni_fun(extra, NULL, NULL, &err), -SLUICE_E_INVALID);
	sluice_options_free(extra);
	sluice_profile_unref(profile);
}

static void SV_15_what_is_wrong_with_a_host_is_found_with_the_profile(void **state)
{
	static const struct {
		const char *name, *value;
		int code;
	} cases[] = {
		{ "certfile", "/nowhere/at/all.pem", SLUICE_E_FILE },
		{ "verify", "verify_peer", SLUICE_E_OPTION_CONFLICT }, /* against whom? */
		{ "handshake", "hello", SLUICE_E_OPTION_TOO_LATE },
		{ "handshake_timeout", "1000", SLUICE_E_OPTION_TOO_LATE },
		{ "ticket_count", "1", SLUICE_E_OPTION_TOO_LATE },
		{ "server_name_indication", "a.example", SLUICE_E_OPTION_ROLE },
	};
	struct sluice_options *opts, *inner;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		opts = server_options();
		add(opts, "good.example", PAIRS(NULL));
		add(opts, "bad.example", PAIRS(cases[i].name, cases[i].value));
		refused(opts, cases[i].code, "bad.example");
	}
	opts = server_options();
	add(opts, "a.example", PAIRS(NULL));
	add(opts, "A.example", PAIRS(NULL));
	refused(opts, SLUICE_E_OPTION_CONFLICT, "a.example is there twice");

	/* Hosts of hosts. */
	inner = new_options(PAIRS(NULL));
	add(inner, "b.example", PAIRS(NULL));
	opts = server_options();
	assert_int_equal(sluice_options_add_sni_host(opts, "a.example", inner, &err), 0);
	refused(opts, SLUICE_E_OPTION_TOO_LATE, "a.example");
	sluice_options_free(inner);

	opts = new_options(PAIRS(NULL));
	add(opts, "a.example", PAIRS(NULL));
	assert_int_equal(sluice_profile_new(&(struct sluice_profile *){ NULL }, opts, SLUICE_CLIENT,
					    &err),
			 -SLUICE_E_OPTION_ROLE);
	sluice_options_free(opts);
}

/* --- copies ----------------------------------------------------------------------------------- */

static void SV_15_copies_of_a_set_have_hosts_of_their_own(void **state)
{
	struct sluice_options *opts = server_options(), *copy, *over;
	struct sluice_profile *profile;

	add(opts, "a.example", PAIRS("alpn_preferred_protocols", "h2"));
	assert_int_equal(sluice_options_clone(&copy, opts), 0);
	add(copy, "b.example", PAIRS(NULL));
	add(opts, "c.example", PAIRS(NULL));
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	assert_non_null(host_table_find(profile->hosts, "a.example"));
	assert_null(host_table_find(profile->hosts, "b.example"));
	assert_non_null(host_table_find(profile->hosts, "c.example"));
	sluice_profile_unref(profile);

	/* One table laid over another takes its place. */
	over = new_options(PAIRS(NULL));
	add(over, "d.example", PAIRS(NULL));
	assert_int_equal(options_overlay(copy, over), 0);
	sluice_options_free(over);
	sluice_options_free(opts);
	assert_int_equal(sluice_profile_new(&profile, copy, SLUICE_SERVER, NULL), 0);
	assert_null(host_table_find(profile->hosts, "a.example"));
	assert_non_null(host_table_find(profile->hosts, "d.example"));
	sluice_profile_unref(profile);
	sluice_options_free(copy);
}

static void SV_15_there_are_only_so_many(void **state)
{
	struct sluice_options *opts = server_options(), *none = new_options(PAIRS(NULL)), *copy;
	struct sluice_error err;
	char name[40];
	int i;

	for (i = 0; i < OPTION_MAX_HOSTS; i++) {
		snprintf(name, sizeof(name), "host-%d.example", i);
		assert_int_equal(sluice_options_add_sni_host(opts, name, none, NULL), 0);
	}
	assert_int_equal(sluice_options_add_sni_host(opts, "a.example", none, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_clone(&copy, opts), 0);
	assert_int_equal(sluice_options_add_sni_host(copy, "a.example", none, &err),
			 -SLUICE_E_OPTION_RANGE);
	sluice_options_free(copy);
	sluice_options_free(none);
	sluice_options_free(opts);
}

static void SV_15_the_profiles_of_hosts_are_ready_when_the_profile_is(void **state)
{
	struct sluice_options *opts = server_options();
	struct sluice_profile *profile, *derived;
	struct sluice_options *extra = new_options(PAIRS("record_path", "user"));
	const struct host *host;

	add(opts, "a.example",
	    PAIRS("certfile", certs_get()->server_combined, "record_path", "kernel"));
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	host = host_table_find(profile->hosts, "a.example");
	assert_int_equal(host->profile->path_mode, PATH_KERNEL);
	assert_null(host->profile->hosts);
	assert_false(profile->hosts_are_older);
	/* A profile for one connection shares them: nothing is built anew for it. */
	assert_int_equal(profile_derive(&derived, profile, extra, NULL), 0);
	assert_ptr_equal(derived->hosts, profile->hosts);
	assert_true(derived->hosts_are_older);
	sluice_profile_unref(profile);
	assert_ptr_equal(host_table_find(derived->hosts, "a.example"), host);
	sluice_profile_unref(derived);
	sluice_options_free(extra);
	sluice_options_free(opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(SV_15_names_that_no_host_can_have),
		cmocka_unit_test(SV_15_the_most_specific_name_is_found),
		cmocka_unit_test(SV_17_hosts_and_a_function_exclude_each_other),
		cmocka_unit_test(SV_15_what_is_wrong_with_a_host_is_found_with_the_profile),
		cmocka_unit_test(SV_15_copies_of_a_set_have_hosts_of_their_own),
		cmocka_unit_test(SV_15_there_are_only_so_many),
		cmocka_unit_test(SV_15_the_profiles_of_hosts_are_ready_when_the_profile_is),
	};

	return cmocka_run_group_tests_name("unit/hosts", tests, NULL, NULL);
}
