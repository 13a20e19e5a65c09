/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for daemon/common/catalog.c. The input is a whole catalogue. What opens can be asked for
 * every name, and what is built of it is a profile.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>

#include "common/catalog.h"
#include "common/policy.h"
#include "options/profile.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool start(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		  size_t in_len)
{
	return false;
}

/* What handshakers do with a policy, without its being one that policy_read() refuses. */
static int judge(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		 int *reason)
{
	return SLUICE_VRET_FAIL;
}

static void look_at_policy(const struct sluice_profile *profile)
{
	struct policy policy;

	policy_from(&policy, profile->verify_state);
	policy_extension(&policy, policy.profile, true);
}

static void look(struct sluice_profile *profile)
{
	if (!profile)
		return;
	REQUIRE(profile->role == SLUICE_SERVER || profile->role == SLUICE_CLIENT);
	catalog_key_id(profile, 0);
	if (profile->verify_fun)
		look_at_policy(profile);
	sluice_profile_unref(profile);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct signer signer = { start, NULL };
	static const char *const names[] = { NULL, "", ".", "a.b", "A.B", "x.a.b", "b" };
	struct catalog *catalog;
	size_t i, j;
	int fd = memfd_create("catalog", MFD_CLOEXEC);

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	if (catalog_open(&catalog, fd) < 0)
		return 0;
	catalog_set_signer(catalog, &signer);
	catalog_set_verify_fun(catalog, judge);
	for (i = 0; i < 4; i++) {
		look(catalog_profile(catalog, i));
		for (j = 0; j < sizeof(names) / sizeof(names[0]); j++)
			look(catalog_host(catalog, i, names[j]));
	}
	catalog_unref(catalog);
	ERR_clear_error();
	return 0;
}
