/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed CRL from the inside. Immutable but for the remembered verdict on its signature. */
#ifndef SLUICE_CRL_CRL_H
#define SLUICE_CRL_CRL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/sha.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <sluice/crl.h>

#include "crl/index.h"

#define CRL_MAX_NUMBER 20 /* bytes: RFC 5280, 5.2.3 */

/* struct crl_entry - a certificate that is listed; @issuer NULL: of the CRL's issuer. */
struct crl_entry {
	const X509_REVOKED *x509;
	const GENERAL_NAMES *issuer;
};

struct sluice_crl {
	atomic_uint refs;
	X509_CRL *x509;
	struct crl_index index;  /* der NULL: none; else @x509 has no entries (crl/index.h) */
	ISSUING_DIST_POINT *idp; /* NULL: about every certificate of its issuer */
	unsigned int reasons;    /* those it is about: SLUICE_CRL_REASONS_ALL, or fewer */
	uint8_t *issuer;         /* Name, DER; OPENSSL_free() */
	size_t issuer_len;
	uint32_t issuer_hash;
	int64_t this_update_s, next_update_s; /* -1: no next update */
	uint8_t number[CRL_MAX_NUMBER];
	size_t number_len; /* 0: no number */
	bool is_delta;     /* of a CRL with at least number @base */
	uint8_t base[CRL_MAX_NUMBER];
	size_t base_len;
	struct crl_entry *entries; /* sorted by serial number */
	size_t n_entries;
	GENERAL_NAMES **issuers; /* that entries of an indirect CRL name; owned */
	size_t n_issuers;
	uint8_t scope[SHA256_DIGEST_LENGTH];  /* of issuer, issuing distribution point, key id */
	uint8_t sha256[SHA256_DIGEST_LENGTH]; /* of the encoding */

	/*
	 * The last key that verified the signature, and the last that did not: with 10 MB that takes
	 * longer than the rest of a handshake. Digests of their SubjectPublicKeyInfo.
	 */
	pthread_mutex_t lock;
	struct {
		uint8_t key[SHA256_DIGEST_LENGTH];
		bool known;
	} verdicts[2]; /* [true]: it did */
};

/* crl_is_signed_by() tells whether the public key of @issuer verifies the signature. */
bool crl_is_signed_by(struct sluice_crl *crl, X509 *issuer);

/* crl_is_indirect() tells whether it may list certificates of others (RFC 5280, 5.2.5). */
bool crl_is_indirect(const struct sluice_crl *crl);

/*
 * crl_entries_take() sorts what @crl->x509 lists. Returns what is wrong with it, or NULL; *@ret_nomem:
 * that is want of memory.
 */
const char *crl_entries_take(struct sluice_crl *crl, bool *ret_nomem);
void crl_entries_free(struct sluice_crl *crl);

enum crl_listing {
	CRL_NOT_LISTED,
	CRL_REVOKED,
	CRL_REMOVED, /* of a delta: no longer what the complete CRL says */
};

/* crl_find() looks a certificate up, by issuer and serial number. CRL_REVOKED: *@ret_reason is why, or 0. */
enum crl_listing crl_find(const struct sluice_crl *crl, X509 *cert, int *ret_reason);

/*
 * crl_supersedes() tells whether @crl replaces @old: both complete or both deltas, by the same issuer and
 * key, of the same scope, with a higher number (RFC 5280, 5.2.3).
 */
bool crl_supersedes(const struct sluice_crl *crl, const struct sluice_crl *old);

/*
 * crl_completes() tells whether the delta CRL @delta tells what came after the complete @crl (RFC 5280,
 * 5.2.4): by the same issuer and key, of the same scope, for a base that @crl has, and newer.
 */
bool crl_completes(const struct sluice_crl *delta, const struct sluice_crl *crl);

/* struct crl_list - CRLs of one file, or found by operations; each with a reference. */
struct crl_list {
	struct sluice_crl **crls;
	size_t n;
	size_t n_left_out; /* by crl_list_read(), because it was lenient */
};

struct sluice_crl_found {
	struct crl_list list;
};

int crl_list_add(struct crl_list *list, struct sluice_crl *crl, size_t max);
void crl_list_clear(struct crl_list *list);

/*
 * crl_list_read() adds all CRLs of a text in PEM, or the one in DER; there is at least one. With
 * @lenient, those that sluice_crl_parse() calls UNSUPPORTED are counted, and left out. @what names it in errors.
 */
int crl_list_read(struct crl_list *list, const void *data, size_t len, const char *what,
		  bool lenient, struct sluice_error *ret_err);

/* crl_file_read() does the same with a file. Errors: also FILE, NOFILE. */
int crl_file_read(struct crl_list *list, const char *path, bool lenient,
		  struct sluice_error *ret_err);

#endif
