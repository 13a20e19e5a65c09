/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses for tests, made like certs.h makes certificates. */
#ifndef SLUICE_TESTS_OCSPS_H
#define SLUICE_TESTS_OCSPS_H

#include <openssl/x509.h>

/* struct ocsp_entry - one SingleResponse; what is zero has a sensible default. */
struct ocsp_entry {
	X509 *cert, *issuer;
	int status;           /* 0 good, 1 revoked, 2 unknown */
	int reason;           /* of a revocation, plus 1; 0: none stated */
	int64_t from_s, to_s; /* relative to now; both 0: an hour ago to a day ahead */
	bool no_next_update;
	bool sha256; /* CertID by SHA-256; else SHA-1 */
	bool wrong_key_hash;
	bool unknown_critical; /* an extension that nobody knows */
};

struct ocsp_spec {
	const struct ocsp_entry *entries;
	size_t n;
	X509 *responder;
	EVP_PKEY *key;  /* P-256 */
	bool by_key;    /* ResponderID; else by name */
	X509 *certs[4]; /* that it brings along */
	int64_t produced_s;
	bool sha1;             /* signed with */
	bool unknown_critical; /* an extension that nobody knows */
	int n_copies;          /* of each entry, besides the first: for length */
};

/* ocsps_make() makes a response in DER; free() it. Never fails. */
uint8_t *ocsps_make(const struct ocsp_spec *spec, size_t *ret_len);

/* ocsps_unsuccessful() makes a response that has no more than a status. */
uint8_t *ocsps_unsuccessful(int status, size_t *ret_len);

#endif
