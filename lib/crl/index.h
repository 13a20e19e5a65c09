/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A large CRL without its entries: X509_CRL makes several objects of each, twelve times the size of the
 * file. An index has the serial numbers sorted in one table, which many processes can share, and the rest
 * of the CRL (its core) is parsed as every CRL is.
 */
#ifndef SLUICE_CRL_INDEX_H
#define SLUICE_CRL_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include <sluice/crl.h>

#define CRL_INDEX_MAX_SERIAL 32 /* bytes; RFC 5280, 4.1.2.2 has 20 */

/* struct crl_index - a CRL in DER and the table of its entries; both are borrowed. */
struct crl_index {
	const uint8_t *der; /* NULL: no index */
	size_t der_len;
	const uint8_t
		*entries; /* n times a serial of @serial_len bytes, big endian, and its reason */
	size_t n, serial_len;
};

/* struct crl_indexed - what crl_index_make() makes; free() both. */
struct crl_indexed {
	uint8_t *core; /* a CRL in DER that has everything but the entries */
	size_t core_len;
	uint8_t *entries;
	size_t n, serial_len;
};

/*
 * crl_index_make() makes an index of a CRL in DER. Returns 0, 1: this one is not of the kind that has an
 * index (delta, indirect, unusual or malformed: sluice_crl_parse() says), or -SLUICE_E_NOMEM.
 */
int crl_index_make(struct crl_indexed *ret_indexed, const uint8_t *der, size_t der_len);
void crl_indexed_free(struct crl_indexed *indexed);

/*
 * crl_index_open() makes a CRL of a core and an index, which must outlive it. @sha256 is of the whole
 * encoding. Errors: those of sluice_crl_parse().
 */
int crl_index_open(struct sluice_crl **ret_crl, const uint8_t *core, size_t core_len,
		   const struct crl_index *index, const uint8_t sha256[32]);

/* crl_index_verify() verifies the signature of the whole; crl_index_find() is crl_find() by serial alone. */
bool crl_index_verify(const struct crl_index *index, EVP_PKEY *key);
bool crl_index_find(const struct crl_index *index, const ASN1_INTEGER *serial, int *ret_reason);

#endif
