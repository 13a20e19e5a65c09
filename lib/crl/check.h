/* SPDX-License-Identifier: Apache-2.0 */
/* The revocation status of a validated path (RFC 5280, 6.3). */
#ifndef SLUICE_CRL_CHECK_H
#define SLUICE_CRL_CHECK_H

#include <stdint.h>

#include <openssl/x509.h>

#include <sluice/crl.h>

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

/* struct crl_verdict - why a path is refused. */
struct crl_verdict {
	int x509_error;     /* X509_V_ERR_* */
	const char *reason; /* static */
	size_t index;       /* of the certificate */
	int crl_reason;     /* revoked: CRL_REASON_* */
};

/*
 * crl_check_path() looks up the certificates of @path, leaf first, trust anchor last, at @now_s.
 * Returns 0, or the X.509 error that *@ret_verdict tells more of: CERT_REVOKED, OUT_OF_MEM, or why
 * a status is undetermined.
 */
int crl_check_path(const struct crl_check *check, const STACK_OF(X509) * path, int64_t now_s,
		   struct crl_verdict *ret_verdict);

#endif
