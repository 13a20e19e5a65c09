/* SPDX-License-Identifier: Apache-2.0 */
/* The revocation status of a validated path (RFC 5280, 6.3). */
#ifndef SLUICE_CRL_CHECK_H
#define SLUICE_CRL_CHECK_H

#include <stdint.h>

#include <openssl/x509.h>

#include <sluice/crl.h>

#include "verify/verify.h"

/* Option crl_check, in the order of its words. */
enum crl_mode {
	CRL_CHECK_FALSE,
	CRL_CHECK_TRUE,        /* every certificate but the trust anchor */
	CRL_CHECK_PEER,        /* the peer's own */
	CRL_CHECK_BEST_EFFORT, /* as TRUE, but only known revocations count */
};

/* struct crl_check - what a profile asks for. */
struct crl_check {
	enum crl_mode mode;
	const struct sluice_crl_cache_ops *ops;
	void *db;
	const char *args; /* "" without */
};

/* crl_check_waits() tells whether looking certificates up may take time, for CRLs that are fetched. */
bool crl_check_waits(const struct crl_check *check);

/* struct crl_verdict - why a path is refused. */
struct crl_verdict {
	int x509_error;     /* X509_V_ERR_* */
	const char *reason; /* static */
	size_t index;       /* of the certificate */
	int crl_reason;     /* revoked: CRLReason (RFC 5280, 5.3.1); 0: none is stated */
};

/* struct crl_status - what is known of one certificate, and from where. */
struct crl_status {
	struct crl_verdict verdict; /* x509_error 0: it is not revoked */
	struct sluice_crl *crl;     /* the complete CRL that says so; NULL: none does. Owned */
	bool by_delta;              /* with a delta CRL, which is newer */
	int64_t until_s;            /* when the first of the CRLs that say so has its next update */
};

/*
 * crl_check_cert() looks up the certificate at @index of @path alone, whatever the mode; the trust anchor has no
 * issuer that could say anything. sluice_crl_unref() what @ret_status has.
 */
void crl_check_cert(const struct crl_check *check, const struct verify_request *request,
		    const STACK_OF(X509) * path, size_t index, struct crl_status *ret_status);

/*
 * crl_check_path() looks up the certificates of @path, leaf first, trust anchor last, that was found for
 * @request and is judged at its time.
 * Returns 0, or the X.509 error that *@ret_verdict tells more of: CERT_REVOKED, OUT_OF_MEM, or why
 * a status is undetermined.
 */
int crl_check_path(const struct crl_check *check, const struct verify_request *request,
		   const STACK_OF(X509) * path, struct crl_verdict *ret_verdict);

/* crl_check_verdict() does it with the path of a verdict that accepts, and refuses in it. */
void crl_check_verdict(struct verify_verdict *verdict, const struct crl_check *check,
		       const struct verify_request *request);

#endif
