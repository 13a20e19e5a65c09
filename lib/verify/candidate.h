/* SPDX-License-Identifier: Apache-2.0 */
/* Judging one path, from the peer's certificate to a trust anchor. */
#ifndef SLUICE_VERIFY_CANDIDATE_H
#define SLUICE_VERIFY_CANDIDATE_H

#include "verify/verify.h"

#define CANDIDATE_NOT_LISTED "its signature algorithm is none of signature_algs_cert"

/*
 * candidate_judge() tells whether the @n certificates of @path, each issued by the next, prove what
 * @request wants of the first, but for the name. The last is trusted.
 */
struct verify_verdict candidate_judge(const struct verify_request *request, X509 *const *path,
				      size_t n);

/* candidate_check_anchor() tells what a trust anchor may not be; the last of a path, at @index. */
struct verify_verdict candidate_check_anchor(X509 *anchor, size_t index);

/*
 * candidate_exceeds_path_len() tells whether a path has more below @issuer than its pathLenConstraint allows:
 * @n_below intermediates that are not self-issued.
 */
bool candidate_exceeds_path_len(X509 *issuer, int n_below);

/* candidate_has_policies() tells whether policies are demanded, which nobody here evaluates. */
bool candidate_has_policies(const X509 *x509);

#endif
