/* SPDX-License-Identifier: Apache-2.0 */
/* Trust anchors into a store: from DER objects, files, directories, and of this machine. */
#ifndef SLUICE_OPTIONS_TRUST_H
#define SLUICE_OPTIONS_TRUST_H

#include <openssl/pool.h>
#include <openssl/x509.h>

#include <sluice/error.h>

/* Where Debian's ca-certificates keeps what the administrator of this machine trusts. */
#define TRUST_SYSTEM_FILE "/etc/ssl/certs/ca-certificates.crt"

/* Files that a directory of trusted certificates may have. */
#define TRUST_MAX_FILES 4096

/* trust_add_certs() adds certificates, each of which has been parsed before. Errors: NOMEM. */
int trust_add_certs(X509_STORE *store, const STACK_OF(CRYPTO_BUFFER) * certs,
		    struct sluice_error *ret_err);

/*
 * trust_add_path() adds all certificates of a PEM file, or of the files of a directory whose names
 * end in .pem, .crt or .cer; @what names the source in errors. A directory without any is an error.
 * Errors: CERT_PARSE, FILE, NOFILE, NOMEM.
 */
int trust_add_path(X509_STORE *store, const char *what, const char *path,
		   struct sluice_error *ret_err);

/* trust_add_system() adds what this machine trusts; what cannot be parsed is left out. */
int trust_add_system(X509_STORE *store, const char *what, struct sluice_error *ret_err);

#endif
