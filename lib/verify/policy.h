/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate policies (RFC 5280, 6.1), for whoever asks for them. */
#ifndef SLUICE_VERIFY_POLICY_H
#define SLUICE_VERIFY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/x509.h>

/* struct verify_policies - what RFC 5280, 6.1.1 (c) and (e) to (g) call inputs. Everything is the caller's. */
struct verify_policies {
	const STACK_OF(ASN1_OBJECT) * wanted; /* one of these; NULL, or none: any */
	bool explicit_policy;                 /* the path must be valid for one */
	bool inhibit_mapping, inhibit_any;
};

/* policy_prepare() makes BoringSSL evaluate policies. False: no memory. */
bool policy_prepare(X509_VERIFY_PARAM *param, const struct verify_policies *policies);

/*
 * policy_is_bounded() tells whether the policies of a path can be evaluated in reasonable time: the tree of
 * RFC 5280, 6.1.2 grows by a factor with every certificate that maps several policies to one (CVE-2023-0464).
 */
bool policy_is_bounded(X509 *const *path, size_t n);

#endif
