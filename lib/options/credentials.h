/* SPDX-License-Identifier: Apache-2.0 */
/* Who we are and whom we trust: what the options cert to cacertfile load. */
#ifndef SLUICE_OPTIONS_CREDENTIALS_H
#define SLUICE_OPTIONS_CREDENTIALS_H

#include <stdatomic.h>

#include <openssl/base.h>
#include <openssl/pool.h>

#include <sluice/options.h>

#include "options/options.h"
#include "options/own.h"

/* struct credentials - immutable once loaded; profiles that derive from each other share it. */
struct credentials {
	atomic_uint refs;
	struct own_cert own[OPTION_MAX_CERTS]; /* by preference */
	size_t n_own;
	STACK_OF(CRYPTO_BUFFER) * cas; /* of cacerts or cacertfile; NULL: none given */
	X509_STORE *trust;             /* NULL: no trust anchors */
};

/*
 * credentials_load() loads and checks everything. A client that verifies and has no CA certificates
 * of its own trusts the system's. Errors: FILE, CERT_*, KEY_*, NO_CERT, OPTION_CONFLICT,
 * OPTION_RANGE, UNSUPPORTED_KEY_TYPE, NOMEM, NOFILE.
 */
int credentials_load(struct credentials **ret_creds, const struct sluice_options *opts,
		     enum sluice_role role, struct sluice_error *ret_err);

/*
 * credentials_load_own() loads own certificates alone: those that @opts names and nothing besides, their
 * chains completed from the CA certificates of @base. Errors: OPTION, and as above.
 */
int credentials_load_own(struct credentials **ret_creds, const struct sluice_options *opts,
			 const struct credentials *base, struct sluice_error *ret_err);

/* credentials_affected() tells whether @extra sets an option that credentials_load() reads. */
int credentials_affected(const struct sluice_options *extra);

struct credentials *credentials_ref(struct credentials *creds);
struct credentials *credentials_unref(struct credentials *creds);

#endif
