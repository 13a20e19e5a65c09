/* SPDX-License-Identifier: Apache-2.0 */
/* Which signatures and keys of certificates prove something. */
#ifndef SLUICE_VERIFY_STRENGTH_H
#define SLUICE_VERIFY_STRENGTH_H

#include <stdbool.h>

#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

/* strength_of_key() says what is wrong with the key of @x509: NULL: nothing. */
const char *strength_of_key(X509 *x509);

/* strength_is_strong_signature() tells whether the algorithm that signed @x509 is SHA-2's, or Ed25519. */
bool strength_is_strong_signature(const X509 *x509);

/* strength_is_strong_algorithm() tells the same of the algorithm itself: CRLs have one, too. */
bool strength_is_strong_algorithm(const X509_ALGOR *algorithm);

/*
 * strength_is_listed() tells whether the signature on @x509, which is strong, is of one of @n schemes (RFC 8446,
 * 4.2.3); of ECDSA the curve is that of @issuer's key.
 */
bool strength_is_listed(const X509 *x509, X509 *issuer, const uint16_t *schemes, size_t n);

#endif
