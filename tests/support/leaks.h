/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixtures of a test group: when its last test has passed, as many descriptors are open and as many
 * secrets are alive as before the first. Called by flow programs; must never hide a failed test.
 */
#ifndef SLUICE_TESTS_SUPPORT_LEAKS_H
#define SLUICE_TESTS_SUPPORT_LEAKS_H

#include <stddef.h>

#include <cmocka.h>

#include "core/secret.h"
#include "support/certs.h"
#include "support/fault.h"
#include "support/pair.h"

static int leaks_fds;
static size_t leaks_secrets;

/* Whatever is made once and kept is made before the count. */
static inline int leaks_setup(void **state)
{
	certs_get();
	pair_path(0);
	leaks_fds = fault_open_fds();
	leaks_secrets = secret_live();
	return 0;
}

/* A test that failed has jumped out of its cleanup: then the counts mean nothing, and harm nothing. */
static inline int leaks_teardown(void **state)
{
	int fds = fault_open_fds();
	size_t secrets = secret_live();

	if (fds == leaks_fds && secrets == leaks_secrets)
		return 0;
	print_error("left over: %d descriptors, %zd secrets\n", fds - leaks_fds,
		    (ssize_t)(secrets - leaks_secrets));
	return -1;
}

#endif
