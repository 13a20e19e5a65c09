/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates where an option says they are: a PEM file, or DER objects. */
#ifndef SLUICE_OPTIONS_SOURCE_H
#define SLUICE_OPTIONS_SOURCE_H

#include <openssl/base.h>
#include <openssl/pool.h>

#include <sluice/options.h>

#define SOURCE_NAME_LEN 140 /* option and path in an error text */

/* source_name() writes the option's name with the path behind it. Returns @out. */
const char *source_name(char out[SOURCE_NAME_LEN], enum sluice_option id, const char *path);

/* source_certs() gives the certificates of @id, a path or DER. Errors: FILE, NOFILE, CERT_PARSE, NOMEM. */
int source_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const struct sluice_options *opts,
		 enum sluice_option id, struct sluice_error *ret_err);

#endif
