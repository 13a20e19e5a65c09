/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS records by the letter of RFC 8446, 5.2 and 5.3, RFC 5246, 6.2.3.3, RFC 5288, 3 and RFC 7905, 2.
 * Unit tests and fuzz targets call it. It must not use lib/record but for the types.
 */
#include "support/handmade.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/aead.h>

static void put(uint8_t *out, uint64_t value, size_t len)
{
	while (len-- > 0) {
		out[len] = (uint8_t)value;
		value >>= 8;
	}
}

size_t handmade_record(uint8_t *out, const struct traffic *traffic, uint64_t seq, uint8_t type,
		       const uint8_t *plain, size_t len)
{
	const struct suite *suite = traffic->suite;
	uint8_t aad[13], nonce[12], seq_bytes[12] = { 0 };
	size_t explicit_len = suite->explicit_len, aad_len, sealed_len;
	EVP_AEAD_CTX *ctx =
		EVP_AEAD_CTX_new(suite->aead(), traffic->key, suite->key_len, SUITE_TAG_LEN);

	out[0] = type;
	put(out + 1, 0x0303, 2);
	put(out + 3, explicit_len + len + SUITE_TAG_LEN, 2);
	put(seq_bytes + 4, seq, 8);
	if (explicit_len > 0) {
		memcpy(nonce, traffic->iv, 4);
		memcpy(nonce + 4, seq_bytes + 4, 8);
		memcpy(out + 5, seq_bytes + 4, 8);
	} else {
		for (size_t i = 0; i < sizeof(nonce); i++)
			nonce[i] = traffic->iv[i] ^ seq_bytes[i];
	}
	if (suite->version == TLS13) {
		memcpy(aad, out, 5);
		aad_len = 5;
	} else {
		memcpy(aad, seq_bytes + 4, 8);
		memcpy(aad + 8, out, 3);
		put(aad + 11, len, 2);
		aad_len = 13;
	}
	if (ctx == NULL ||
	    !EVP_AEAD_CTX_seal(ctx, out + 5 + explicit_len, &sealed_len, len + SUITE_TAG_LEN, nonce,
			       sizeof(nonce), plain, len, aad, aad_len)) {
		fprintf(stderr, "handmade_record: EVP_AEAD failed\n");
		abort();
	}
	EVP_AEAD_CTX_free(ctx);
	return 5 + explicit_len + sealed_len;
}
