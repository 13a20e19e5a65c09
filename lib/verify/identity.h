/* SPDX-License-Identifier: Apache-2.0 */
/* Who the peer is, and whether that one may come. */
#ifndef SLUICE_VERIFY_IDENTITY_H
#define SLUICE_VERIFY_IDENTITY_H

#include "verify/rules.h"

/* Option peer_identity, in the order of its words. */
enum identity_kind {
	IDENTITY_NONE,
	IDENTITY_DNS,
	IDENTITY_EMAIL,
	IDENTITY_URI,
	IDENTITY_SPIFFE, /* the only URI (X509-SVID, 2) */
	IDENTITY_IP,
};

#define IDENTITY_SIZE 256 /* of an identity as text, with its NUL */

/* struct identity_policy - what a profile asks of its peers. All zero: nothing. */
struct identity_policy {
	enum identity_kind kind;
	struct peer_rules *allow, *deny; /* NULL: no such list */
};

static inline bool identity_wanted(const struct identity_policy *policy)
{
	return policy->kind != IDENTITY_NONE || policy->allow || policy->deny;
}

/*
 * identity_check() judges the peer whose valid path is @path, leaf first. Refused are, in this order:
 * names that are malformed (of DNS, e-mail, URI or IP; alert bad_certificate), a certificate without
 * a name of the wanted kind (bad_certificate), a peer of whom any name, or its certificate, is denied,
 * and one that no rule of the list of the allowed fits (access_denied). Of the names, only those of
 * the wanted kind can be allowed. Errors: PEER_REFUSED, NOMEM.
 */
int identity_check(const struct identity_policy *policy, const STACK_OF(X509) * path,
		   uint8_t *ret_alert, struct sluice_error *ret_err);

/*
 * identity_find() tells the identity of a peer that has passed: its first name that is allowed by
 * name, else its first name of the wanted kind, else "". DNS names are in lower case.
 */
void identity_find(const struct identity_policy *policy, const X509 *leaf,
		   char ret_text[IDENTITY_SIZE]);

#endif
