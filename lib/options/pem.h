/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and private keys from files and bytes. */
#ifndef SLUICE_OPTIONS_PEM_H
#define SLUICE_OPTIONS_PEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>
#include <openssl/pool.h>

#include <sluice/error.h>

#define PEM_MAX_FILE ((size_t)4 * 1024 * 1024)

/* struct pem_file - a file in memory. It may hold a key: pem_file_free() wipes it. */
struct pem_file {
	char *data;
	size_t len;
};

/* struct pem_stamp - what tells a file from what it was before; inode 0: it has none. */
struct pem_stamp {
	uint64_t dev, ino;
	int64_t size, mtime_ns, ctime_ns;
};

/* pem_stamp_path() takes that of a path; false: there is no regular file. */
bool pem_stamp_path(struct pem_stamp *ret_stamp, const char *path);
bool pem_stamp_same(const struct pem_stamp *a, const struct pem_stamp *b);

/*
 * pem_file_read_stamp() is pem_file_read(), and tells the stamp of what was read.
 */
int pem_file_read_stamp(struct pem_file *ret_file, struct pem_stamp *ret_stamp, const char *option,
			const char *path, struct sluice_error *ret_err);

/*
 * pem_file_read() reads a whole file. One that is changed meanwhile is read again, and an error if that
 * does not end: nobody gets a part of each. @option names it in error texts. Errors: FILE, NOFILE, NOMEM.
 */
int pem_file_read(struct pem_file *ret_file, const char *option, const char *path,
		  struct sluice_error *ret_err);

/* pem_file_read_max() does the same with at most @max bytes instead of PEM_MAX_FILE. */
int pem_file_read_max(struct pem_file *ret_file, const char *option, const char *path, size_t max,
		      struct sluice_error *ret_err);
void pem_file_free(struct pem_file *file);

/* pem_file_read_fd() reads an open file from where it stands. Returns 0 or an errno. */
int pem_file_read_fd(struct pem_file *ret_file, int fd);

/*
 * pem_parse_certs() gives every certificate of a PEM text, in order; there is at least one. @what
 * names the text in errors. With @lenient, certificates that BoringSSL cannot parse are left out:
 * for bundles that this machine's administrator did not write. Errors: CERT_PARSE, NOMEM.
 */
int pem_parse_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const struct pem_file *file,
		    const char *what, bool lenient, struct sluice_error *ret_err);

/*
 * pem_parse_key() gives the first private key of a PEM text; @password may be NULL.
 * pem_parse_key_der() takes PKCS#8, RSAPrivateKey or ECPrivateKey.
 * Errors: KEY_PARSE, KEY_PASSWORD, UNSUPPORTED_KEY_TYPE, NOMEM.
 */
int pem_parse_key(EVP_PKEY **ret_key, const struct pem_file *file, const char *what,
		  const char *password, struct sluice_error *ret_err);
int pem_parse_key_der(EVP_PKEY **ret_key, const void *der, size_t der_len, const char *what,
		      struct sluice_error *ret_err);

/* pem_time() gives a certificate's time in seconds of the epoch; false: it is not a valid one. */
bool pem_time(const ASN1_TIME *time, int64_t *ret_s);

#endif
