/* SPDX-License-Identifier: Apache-2.0 */
/* PEM files that options name, parsed once for all profiles of this process that name them. */
#ifndef SLUICE_OPTIONS_PEM_CACHE_H
#define SLUICE_OPTIONS_PEM_CACHE_H

#include "options/pem.h"

#define PEM_CACHE_FILES 256                        /* that are kept */
#define PEM_CACHE_BYTES ((size_t)32 * 1024 * 1024) /* of the files they came from, together */

/*
 * pem_cache_certs() is pem_file_read() and pem_parse_certs(): the stack is the caller's, the certificates in
 * it are shared. pem_cache_key() is the same with pem_parse_key(); a key that a password is for is not
 * kept. @option names the file in errors of reading, @what in those of parsing.
 */
int pem_cache_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const char *option, const char *path,
		    const char *what, bool lenient, struct sluice_error *ret_err);
int pem_cache_key(EVP_PKEY **ret_key, const char *option, const char *path, const char *what,
		  const char *password, struct sluice_error *ret_err);

/* pem_cache_count() returns how many files are kept now. */
size_t pem_cache_count(void);

#endif
