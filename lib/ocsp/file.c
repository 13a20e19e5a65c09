// SPDX-License-Identifier: Apache-2.0
/* OCSP responses from texts and files. */
#include "ocsp/ocsp.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/pool.h>

#include "core/error.h"
#include "options/pem.h"

#define PEM_OCSP "OCSP RESPONSE" /* as GnuTLS's ocsptool(1) writes it */

/* Base64, line ends, and certificates or text beside it. */
#define MAX_FILE ((size_t)4 * OCSP_MAX_DER)

static int keep(CRYPTO_BUFFER **ret_der, const void *der, size_t len, const char *what,
		struct sluice_error *err)
{
	if (len > OCSP_MAX_DER)
		return err_set(err, SLUICE_E_OCSP, "%s: an OCSP response has at most %d bytes",
			       what, OCSP_MAX_DER);
	*ret_der = CRYPTO_BUFFER_new(der, len, NULL);
	return *ret_der ? 0 : err_set(err, SLUICE_E_NOMEM, "%s: no memory", what);
}

/* The first response of PEM; other blocks do not matter. */
static int read_pem(CRYPTO_BUFFER **ret_der, BIO *bio, const char *what, struct sluice_error *err)
{
	char *name, *header;
	bool found = false;
	uint8_t *der;
	long len;
	int r = 0;

	while (!found && PEM_read_bio(bio, &name, &header, &der, &len)) {
		found = !strcmp(name, PEM_OCSP);
		if (found)
			r = keep(ret_der, der, (size_t)len, what, err);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	ERR_clear_error();
	if (!found)
		r = err_set(err, SLUICE_E_OCSP,
			    "%s: there is no OCSP response in it, neither DER nor PEM", what);
	return r;
}

int ocsp_read(CRYPTO_BUFFER **ret_der, const void *data, size_t len, const char *what,
	      struct sluice_error *ret_err)
{
	const uint8_t *bytes = data;
	BIO *bio;
	int r;

	/* A SEQUENCE; a text that PEM may have before it begins otherwise, or is shorter than its digit 0 says. */
	if (len > 2 && bytes[0] == 0x30 && (bytes[1] >= 0x80 || bytes[1] + (size_t)2 == len))
		return keep(ret_der, data, len, what, ret_err);
	if (len > MAX_FILE)
		return err_set(ret_err, SLUICE_E_OCSP, "%s: the text is too long", what);
	ERR_clear_error();
	bio = BIO_new_mem_buf(data, (int)len);
	if (!bio)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	r = read_pem(ret_der, bio, what, ret_err);
	BIO_free(bio);
	return r;
}

int ocsp_read_file(CRYPTO_BUFFER **ret_der, const char *option, const char *path,
		   struct sluice_error *ret_err)
{
	size_t len = strlen(path);
	struct pem_file file;
	char what[140];
	int r = pem_file_read_max(&file, option, path, MAX_FILE, ret_err);

	if (r < 0)
		return r;
	snprintf(what, sizeof(what), "%s: %s%s", option, len > 100 ? "..." : "",
		 len > 100 ? path + len - 100 : path);
	r = ocsp_read(ret_der, file.data, file.len, what, ret_err);
	pem_file_free(&file);
	return r;
}
