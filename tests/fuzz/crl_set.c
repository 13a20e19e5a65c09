/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for daemon/common/crl-set.c and crl-cache.c. The input is a whole set of revocation lists. What
 * opens can be searched, and what is found in it is a CRL.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <openssl/err.h>

#include "common/crl-cache.h"
#include "crl/crl.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t name[] = { 0x30, 0 };
	static const char *const uris[] = { "http://a/" };
	const struct sluice_dist_point point = { .uris = uris, .n_uris = 1 };
	struct sluice_crl_found found = { 0 };
	struct crl_cache cache = { 0 };
	int fd = memfd_create("set", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	REQUIRE(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	REQUIRE(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0);
	if (crl_cache_take(&cache, fd) == 0) {
		crl_cache_ops.select(&cache, "", name, sizeof(name), &found);
		crl_cache_ops.lookup(&cache, "", &point, &found);
		crl_cache_take(&cache, fd);
		crl_list_clear(&found.list);
		crl_cache_clear(&cache);
	}
	close(fd);
	ERR_clear_error();
	return 0;
}
