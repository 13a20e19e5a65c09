/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of peers, as options allow_peers and deny_peers have them. */
#ifndef SLUICE_VERIFY_RULES_H
#define SLUICE_VERIFY_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include <sluice/error.h>

#include "verify/names.h"

#define RULES_MAX 256 /* rules of one list */

/*
 * struct peer_rules - a list, immutable. Each rule is one of
 *
 *   dns:a.test        dns:*.a.test (one label)
 *   email:x@a.test    email:@a.test (everyone there)
 *   uri:https://a.test/x
 *   spiffe://a.test/x spiffe://a.test/x/~ (all below; with an asterisk for the tilde)
 *   ip:10.1.2.3       ip:10.0.0.0/8
 *   issuer:NAME       the common name of who issued the certificate
 *   cert:HEX          SHA-256 of the certificate
 *   key:HEX           SHA-256 of its SubjectPublicKeyInfo
 *   issuer-key:HEX    SHA-256 of the SubjectPublicKeyInfo of a certificate above it on the path
 */
struct peer_rules;

/*
 * rules_parse() reads a list whose rules are separated by commas; @option is named in errors. An empty
 * list is an error. Errors: OPTION, OPTION_RANGE, NOMEM.
 */
int rules_parse(struct peer_rules **ret_rules, const char *option, const char *text,
		size_t text_len, struct sluice_error *ret_err);

/* rules_free() frees a list. NULL is fine. Returns NULL. */
struct peer_rules *rules_free(struct peer_rules *rules);

/*
 * rules_find_name() returns the text of the rule that fits a name, or NULL. A list that denies is
 * matched widely: a wildcard that stands for a denied name is denied, and case does not matter in
 * mailboxes. @rules may be NULL. The name is well-formed (identity.h).
 */
const char *rules_find_name(const struct peer_rules *rules, const struct general_name *name,
			    bool deny);

/*
 * rules_find_cert() does so for the rules of certificates, keys and issuers. Where memory does not
 * suffice to tell, a rule fits if it denies.
 */
const char *rules_find_cert(const struct peer_rules *rules, const STACK_OF(X509) * path, bool deny);

/* spiffe_is_id() tells whether a URI is a SPIFFE ID (SPIFFE-ID, 2). */
bool spiffe_is_id(const uint8_t *uri, size_t len);

#endif
