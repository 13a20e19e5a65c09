/* SPDX-License-Identifier: Apache-2.0 */
/* Own certificates: a chain with its key each, of cert to password or of certs_keys. */
#ifndef SLUICE_OPTIONS_OWN_H
#define SLUICE_OPTIONS_OWN_H

#include <openssl/base.h>
#include <openssl/pool.h>

#include <sluice/options.h>

#define OWN_MAX_CHAIN 32 /* certificates that we send; longer ones meet a peer's depth limit */

/* struct own_cert - one; immutable once loaded. */
struct own_cert {
	STACK_OF(CRYPTO_BUFFER) * chain; /* the certificate, then its issuers */
	EVP_PKEY *key;                   /* NULL: somewhere else (bssl/signer.h) */
	EVP_PKEY *public_key;
	uint16_t schemes[OWN_MAX_CHAIN];   /* each was signed with; 0: a root, or not judged */
	X509_NAME *issuers[OWN_MAX_CHAIN]; /* who signed each */
};

/*
 * own_load() loads and checks one, and completes its chain from @cas (may be NULL). @opts says where it
 * is; @all are the options of the profile, whose signer has the key, and whose password is that of keys that
 * have none of their own. Errors: FILE, CERT_*, KEY_*, OPTION_RANGE, UNSUPPORTED_KEY_TYPE, NOMEM, NOFILE.
 */
int own_load(struct own_cert *ret_own, const struct sluice_options *opts,
	     const struct sluice_options *all, const STACK_OF(CRYPTO_BUFFER) * cas,
	     struct sluice_error *ret_err);

/* own_chain() lists the chain, whose certificates it borrows, as BoringSSL takes it. Returns how many. */
size_t own_chain(const struct own_cert *own, CRYPTO_BUFFER *ret_certs[OWN_MAX_CHAIN]);

void own_deinit(struct own_cert *own);

#endif
