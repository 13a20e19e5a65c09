/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate revocation lists for tests, made like certs.h makes certificates. */
#ifndef SLUICE_TESTS_CRLS_H
#define SLUICE_TESTS_CRLS_H

#include <openssl/x509.h>

/* struct crl_spec - a CRL to be made; what is zero has a sensible default. */
struct crl_spec {
	X509 *issuer; /* whose name it has */
	EVP_PKEY *key;
	X509 *revoked;        /* NULL: nobody */
	int reason;           /* of the entry, plus 1; 0: none stated */
	int64_t from_s, to_s; /* relative to now; both 0: an hour ago to a day ahead */
	bool no_next_update;
	int number;                /* CRL number; 0: none */
	const char *idp;           /* "critical,onlyuser:TRUE"; NULL: no extension */
	unsigned int only_reasons; /* of an issuing distribution point: ReasonFlags */
	int delta_of;              /* deltaCRLIndicator; 0: none */
	bool unknown_critical;     /* an extension that nobody knows */
	bool unknown_critical_entry;
	bool certificate_issuer; /* in the entry: the issuer of @revoked, as in indirect CRLs */
	X509 *revoked_next;      /* in the entry after it, without one; NULL: nobody */
	const char *freshest;    /* "URI:..."; NULL: no extension */
	size_t n_others;         /* further entries, with serial numbers of 18 bytes */
	const EVP_MD *md;        /* NULL: SHA-256 */
};

/* crls_make() makes a CRL in DER; free() it. Never fails. */
uint8_t *crls_make(const struct crl_spec *spec, size_t *ret_len);

/* crls_pem() writes CRLs in DER into a file of certs_file(), one after the other. */
struct crl_der {
	const uint8_t *der;
	size_t len;
};
const char *crls_pem(const char *name, const struct crl_der *crls, size_t n);

#endif
