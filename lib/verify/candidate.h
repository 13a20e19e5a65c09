/* SPDX-License-Identifier: Apache-2.0 */
/* Judging one path, from the peer's certificate to a trust anchor. */
#ifndef SLUICE_VERIFY_CANDIDATE_H
#define SLUICE_VERIFY_CANDIDATE_H

#include "verify/verify.h"

/*
 * candidate_judge() tells whether the @n certificates of @path, each issued by the next, prove what
 * @request wants of the first, but for the name. The last is trusted.
 */
struct verify_verdict candidate_judge(const struct verify_request *request, X509 *const *path,
				      size_t n);

#endif
