/* SPDX-License-Identifier: Apache-2.0 */
/* What a private key is asked for: bytes in, bytes out. */
#ifndef SLUICED_KEEPER_SIGN_H
#define SLUICED_KEEPER_SIGN_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>

#include <sluice/options.h>

/*
 * sign_allowed() tells whether @in is what a handshake of @role signs: under TLS 1.3 the words of RFC
 * 8446, 4.4.3, so that no signature serves for anything else; under TLS 1.2 a client's messages.
 */
int sign_allowed(enum sluice_role role, uint16_t algorithm, const uint8_t *in, size_t in_len);

/* sign_make() signs, or with @algorithm 0 decrypts raw RSA. Returns the length, or 0. */
size_t sign_make(EVP_PKEY *key, uint16_t algorithm, const uint8_t *in, size_t in_len, uint8_t *out,
		 size_t out_size);

#endif
