// SPDX-License-Identifier: Apache-2.0
/* The root object: what was probed once, and what every connection counts in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include <openssl/crypto.h>

#include "conn/conn.h"
#include "config.h"
#include "core/error.h"
#include "core/pool.h"
#include "core/secret.h"
#include "record/ktls.h"

int sluice_start(struct sluice **ret_sluice, enum sluice_start_type type,
		 struct sluice_error *ret_err)
{
	struct sluice *sluice;
	struct store *store;
	struct pool *pool;
	void *secret;

	err_clear(ret_err);
	if (type < SLUICE_TEMPORARY || type > SLUICE_PERMANENT)
		return err_set(ret_err, SLUICE_E_INVALID, "no such start type: %d", type);
	sluice = calloc(1, sizeof(*sluice));
	store = store_new();
	pool = pool_new();
	secret = secret_new(1);
	if (!sluice || !store || !pool || !secret) {
		free(sluice);
		store_free(store);
		pool_free(pool);
		secret_free(secret);
		return err_set(ret_err, SLUICE_E_NOMEM, "starting the library");
	}
	secret_free(secret);
	atomic_init(&sluice->refs, 1);
	sluice->store = store;
	sluice->pool = pool;
	sluice->type = type;
	ktls_probe(&sluice->caps);
	sluice->caps.memlock_errno = secret_memlock_errno();
	sluice->caps.mlkem = HAVE_MLKEM;
	*ret_sluice = sluice;
	return 0;
}

int sluice_stop(struct sluice *sluice)
{
	if (sluice)
		store_close(sluice->store);
	sluice_unref(sluice);
	return 0;
}

int sluice_set_verify_threads(struct sluice *sluice, unsigned int n)
{
	return pool_set_threads(sluice->pool, n);
}

int sluice_ready_fd(struct sluice *sluice)
{
	return pool_fd(sluice->pool);
}

struct sluice_conn *sluice_ready(struct sluice *sluice)
{
	return pool_ready(sluice->pool);
}

/* Structures that cross the boundary: the caller's part is filled, what it has more is zeroed. */
static int copy_out(void *ret, size_t ret_size, const void *from, size_t size)
{
	if (!ret_size)
		return -SLUICE_E_INVALID;
	memset(ret, 0, ret_size);
	memcpy(ret, from, ret_size < size ? ret_size : size);
	return 0;
}

int sluice_capabilities(const struct sluice *sluice, struct sluice_capabilities *ret_caps,
			size_t caps_size)
{
	return copy_out(ret_caps, caps_size, &sluice->caps, sizeof(sluice->caps));
}

int sluice_versions(struct sluice_versions *ret_versions, size_t versions_size)
{
	struct sluice_versions v = {
		.supported = SLUICE_VERSION_TLS12 | SLUICE_VERSION_TLS13,
		.available = SLUICE_VERSION_TLS12 | SLUICE_VERSION_TLS13,
	};
	struct utsname uts;

	snprintf(v.sluice, sizeof(v.sluice), "%s", SLUICE_VERSION);
	snprintf(v.boringssl, sizeof(v.boringssl), "%s", OpenSSL_version(OPENSSL_VERSION));
	if (uname(&uts) == 0)
		snprintf(v.kernel, sizeof(v.kernel), "%.63s", uts.release);
	return copy_out(ret_versions, versions_size, &v, sizeof(v));
}
