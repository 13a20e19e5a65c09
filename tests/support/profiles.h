/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles for unit tests, built from pairs of names and values:
 *
 *	profile = build_ok(SLUICE_SERVER, PAIRS("certfile", path, "keyfile", other_path));
 *
 * Included by unit programs; must never let a profile that should fail be built in silence.
 */
#ifndef SLUICE_TESTS_SUPPORT_PROFILES_H
#define SLUICE_TESTS_SUPPORT_PROFILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sluice/options.h>

#include "support/certs.h"

/* A list of strings that ends with NULL. */
#define PAIRS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* set_pairs() sets options and demands that each can be set. */
static inline void set_pairs(struct sluice_options *opts, const char *const pairs[])
{
	struct sluice_error err;
	size_t i;

	for (i = 0; pairs[i]; i += 2)
		if (sluice_options_set_name(opts, pairs[i], pairs[i + 1], &err) < 0)
			fail_msg("%s = %s: %s", pairs[i], pairs[i + 1], err.text);
}

/* new_options() makes a set with options in it. */
static inline struct sluice_options *new_options(const char *const pairs[])
{
	struct sluice_options *opts;

	assert_int_equal(sluice_options_new(&opts), 0);
	set_pairs(opts, pairs);
	return opts;
}

/* build() builds a profile, or not; *@ret_profile is NULL then. */
static inline int build(struct sluice_profile **ret_profile, enum sluice_role role,
			struct sluice_error *err, const char *const pairs[])
{
	struct sluice_options *opts = new_options(pairs);
	int r;

	*ret_profile = NULL;
	r = sluice_profile_new(ret_profile, opts, role, err);
	sluice_options_free(opts);
	return r;
}

/* build_ok() demands that it can be built. */
static inline struct sluice_profile *build_ok(enum sluice_role role, const char *const pairs[])
{
	struct sluice_profile *profile;
	struct sluice_error err;

	if (build(&profile, role, &err, pairs) < 0)
		fail_msg("%s: %s", pairs[0], err.text);
	assert_int_equal(err.code, SLUICE_OK);
	return profile;
}

/* build_fails() demands that it fails with @code and a text that has each string of @says in it. */
static inline struct sluice_error build_fails(enum sluice_role role, const char *const pairs[],
					      int code, const char *const says[])
{
	struct sluice_profile *profile;
	struct sluice_error err;
	int r = build(&profile, role, &err, pairs);
	size_t i;

	if (r != -code || err.code != code || profile)
		fail_msg("%s: %s \"%s\", not %s", pairs[1], sluice_error_name(r), err.text,
			 sluice_error_name(code));
	for (i = 0; says[i]; i++)
		if (!strstr(err.text, says[i]))
			fail_msg("\"%s\" does not say \"%s\"", err.text, says[i]);
	return err;
}

/* set_der() appends PEM block @index of a file as DER. */
static inline void set_der(struct sluice_options *opts, enum sluice_option id, const char *path,
			   size_t index)
{
	size_t len;
	uint8_t *der = certs_der(path, index, &len);

	assert_int_equal(sluice_options_set_data(opts, id, der, len, NULL), 0);
	free(der);
}

#endif
