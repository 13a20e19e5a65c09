/* SPDX-License-Identifier: Apache-2.0 */
/* Name constraints (RFC 5280, 4.2.1.10 and 6.1) over a whole path. Nothing is allocated. */
#ifndef SLUICE_VERIFY_CONSTRAINTS_H
#define SLUICE_VERIFY_CONSTRAINTS_H

#include <stddef.h>

#include <openssl/x509.h>

/*
 * Most comparisons of a name with a subtree that one path may take, long names counting as several.
 * A path that needs more is refused.
 */
#define CONSTRAINTS_MAX_COMPARISONS 250000

/* struct constraints_verdict - why a path is refused; x509_error 0: it is not. */
struct constraints_verdict {
	int x509_error;     /* X509_V_ERR_* */
	const char *reason; /* static storage */
	size_t index;       /* the certificate that has the name, or bad constraints; 0: the leaf */
};

/*
 * constraints_check() holds the names of every certificate of @path, leaf first, against the name
 * constraints of those above it, the last one's too: a trust anchor that carries constraints means
 * them (RFC 5937). A name is the subject, its e-mail addresses, and what subjectAltName has. The leaf's
 * own constraints bind nobody. Names of a kind that is constrained and that cannot be compared are
 * refused: SRV names, registered IDs, names that are malformed. Errors, by x509_error:
 *
 *   PERMITTED_VIOLATION, EXCLUDED_VIOLATION   a name outside of what is permitted, or excluded
 *   UNSUPPORTED_CONSTRAINT_SYNTAX             constraints that are malformed
 *   SUBTREE_MINMAX                            a subtree with minimum or maximum
 *   UNSUPPORTED_CONSTRAINT_TYPE               names of a kind that is constrained, not comparable
 *   UNSUPPORTED_NAME_SYNTAX                   a name of a constrained kind, or names, malformed
 *   CERT_REJECTED                             CONSTRAINTS_MAX_COMPARISONS
 */
struct constraints_verdict constraints_check(const STACK_OF(X509) * path);

#endif
