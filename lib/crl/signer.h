/* SPDX-License-Identifier: Apache-2.0 */
/* Whose key a CRL is signed by (RFC 5280, 6.3.3 (f) and (g)). */
#ifndef SLUICE_CRL_SIGNER_H
#define SLUICE_CRL_SIGNER_H

#include "crl/check.h"
#include "crl/crl.h"

/*
 * What the search for CRL issuers that are not on the peer's path may cost, for all certificates of it
 * together: the certificates to choose from are the peer's.
 */
#define CRL_MAX_SIGNERS 8        /* whose paths are looked for */
#define CRL_MAX_SIGNER_STEPS 200 /* verify/path.h */
#define CRL_MAX_SIGNER_SIGNATURES 100

enum crl_signed {
	CRL_SIGNED,
	CRL_UNSIGNED,      /* by none of the certificates that may sign it */
	CRL_NO_SIGNER,     /* none of them may */
	CRL_NOBODY,        /* there is none of its issuer */
	CRL_SIGNER_REVOKED /* or its status is open where it must not be */
};

/* struct crl_signers - one path's, while it is checked. */
struct crl_signers {
	const struct crl_check *check;
	const struct verify_request *request;
	const STACK_OF(X509) * path;
	struct verify_budget budget;
	struct {
		X509 *cert;
		enum crl_signed verdict; /* CRL_SIGNED: its path is valid */
	} known[CRL_MAX_SIGNERS];
	size_t n_known;
	bool nomem; /* memory was wanting, so that nothing is known */
};

void crl_signers_init(struct crl_signers *signers, const struct crl_check *check,
		      const struct verify_request *request, const STACK_OF(X509) * path);

/*
 * crl_signed_by_path() tries the certificates of @path from @index on: they are valid, and so is what they
 * sign.
 */
enum crl_signed crl_signed_by_path(struct sluice_crl *crl, const STACK_OF(X509) * path,
				   size_t index);

/*
 * crl_signed_by_other() tries other certificates of the CRL's issuer, of those that the peer sent and the
 * trust store has: such as have a valid path to the trust anchor of the peer's path, and are not revoked.
 */
enum crl_signed crl_signed_by_other(struct crl_signers *signers, struct sluice_crl *crl,
				    const X509 *subject);

bool crl_is_on_path(const STACK_OF(X509) * path, const X509 *x509);

/*
 * crl_check_signer() tells whether CRLs may be believed whose issuer has @path: no certificate of it is
 * known to be revoked and, where crl_check is true, none is open. Those of the peer's path are judged there.
 * In check.c.
 */
bool crl_check_signer(struct crl_signers *signers, const STACK_OF(X509) * path);

#endif
