/* SPDX-License-Identifier: Apache-2.0 */
/* Which signatures and keys of certificates prove something. */
#ifndef SLUICE_VERIFY_STRENGTH_H
#define SLUICE_VERIFY_STRENGTH_H

#include <stdbool.h>

#include <openssl/x509.h>

/* strength_of_key() says what is wrong with the key of @x509: NULL: nothing. */
const char *strength_of_key(X509 *x509);

/* strength_is_strong_signature() tells whether the algorithm that signed @x509 is SHA-2's, or Ed25519. */
bool strength_is_strong_signature(const X509 *x509);

/* strength_is_strong_algorithm() tells the same of the algorithm itself: CRLs have one, too. */
bool strength_is_strong_algorithm(const X509_ALGOR *algorithm);

#endif
