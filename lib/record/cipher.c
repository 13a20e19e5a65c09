// SPDX-License-Identifier: Apache-2.0
#include "record/cipher.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/aead.h>
#include <openssl/err.h>

#include <sluice/error.h>

#include "core/error.h"
#include "core/secret.h"
#include "record/record.h"

#define NONCE_LEN 12
#define TLS12_AAD_LEN 13

/* The keys of one epoch, in memory of secret_new(). */
struct cipher_keys {
	EVP_AEAD_CTX aead;
	uint8_t iv[SUITE_MAX_IV];
	uint8_t nonce[NONCE_LEN]; /* of the record at hand */
};

static struct cipher_keys *keys_free(struct cipher_keys *keys)
{
	if (keys != NULL)
		EVP_AEAD_CTX_cleanup(&keys->aead);
	return secret_free(keys);
}

static int keys_new(struct cipher_keys **ret_keys, const struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;
	struct cipher_keys *keys = secret_new(sizeof(*keys));

	if (keys == NULL)
		return -SLUICE_E_NOMEM;
	if (!EVP_AEAD_CTX_init(&keys->aead, suite->aead(), traffic->key, suite->key_len,
			       SUITE_TAG_LEN, NULL)) {
		secret_free(keys);
		return err_bssl();
	}
	memcpy(keys->iv, traffic->iv, suite->fixed_iv_len);
	*ret_keys = keys;
	return 0;
}

int cipher_set(struct cipher *cipher, const struct traffic *traffic)
{
	struct cipher_keys *keys = NULL;
	int r = keys_new(&keys, traffic);

	if (r < 0)
		return r;
	keys_free(cipher->keys);
	cipher->suite = traffic->suite;
	cipher->keys = keys;
	cipher->seq = traffic->seq;
	return 0;
}

void cipher_clear(struct cipher *cipher)
{
	cipher->keys = keys_free(cipher->keys);
}

static bool is_tls13(const struct cipher *cipher)
{
	return cipher->suite->version == TLS13;
}

size_t cipher_overhead(const struct cipher *cipher)
{
	return RECORD_HEADER_LEN + cipher->suite->explicit_len + is_tls13(cipher) + SUITE_TAG_LEN;
}

size_t cipher_min_body(const struct cipher *cipher)
{
	return (size_t)cipher->suite->explicit_len + SUITE_TAG_LEN;
}

size_t cipher_plain_len(const struct cipher *cipher, size_t body_len)
{
	return body_len - cipher_min_body(cipher);
}

uint8_t *cipher_plain(const struct cipher *cipher, uint8_t *record)
{
	return record + RECORD_HEADER_LEN + cipher->suite->explicit_len;
}

static void put_u64(uint8_t out[8], uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		out[i] = (uint8_t)value;
}

/* RFC 5288, 3 (TLS 1.2 GCM: @explicit is in the record); RFC 8446, 5.3 and RFC 7905, 2. */
static void make_nonce(const struct cipher *cipher, const uint8_t *explicit)
{
	uint8_t *nonce = cipher->keys->nonce, seq[8];

	memcpy(nonce, cipher->keys->iv, cipher->suite->fixed_iv_len);
	if (cipher->suite->explicit_len > 0) {
		memcpy(nonce + cipher->suite->fixed_iv_len, explicit, cipher->suite->explicit_len);
		return;
	}
	put_u64(seq, cipher->seq);
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[NONCE_LEN - sizeof(seq) + i] ^= seq[i];
}

/* RFC 8446, 5.2: the header; RFC 5246, 6.2.3.3: seq, type, version and length of the plaintext. */
static size_t make_aad(const struct cipher *cipher, const uint8_t *header, size_t plain_len,
		       uint8_t aad[TLS12_AAD_LEN])
{
	if (is_tls13(cipher)) {
		memcpy(aad, header, RECORD_HEADER_LEN);
		return RECORD_HEADER_LEN;
	}
	put_u64(aad, cipher->seq);
	memcpy(aad + 8, header, 3);
	aad[11] = (uint8_t)(plain_len >> 8);
	aad[12] = (uint8_t)plain_len;
	return TLS12_AAD_LEN;
}

int cipher_seal(struct cipher *cipher, uint8_t type, const uint8_t *in, size_t len, uint8_t *record)
{
	bool tls13 = is_tls13(cipher);
	uint8_t *body = record + RECORD_HEADER_LEN, *out = cipher_plain(cipher, record);
	size_t body_len = len + cipher_overhead(cipher) - RECORD_HEADER_LEN, tag_len;
	uint8_t aad[TLS12_AAD_LEN];
	size_t aad_len;

	record[0] = tls13 ? RECORD_DATA : type;
	record[1] = TLS12 >> 8;
	record[2] = TLS12 & 0xff;
	record[3] = (uint8_t)(body_len >> 8);
	record[4] = (uint8_t)body_len;
	/* RFC 5288, 3: the explicit nonce may be the record number, which never repeats. */
	if (cipher->suite->explicit_len > 0)
		put_u64(body, cipher->seq);
	make_nonce(cipher, body);
	aad_len = make_aad(cipher, record, len, aad);
	if (!EVP_AEAD_CTX_seal_scatter(&cipher->keys->aead, out, out + len, &tag_len,
				       SUITE_TAG_LEN + tls13, cipher->keys->nonce, NONCE_LEN, in,
				       len, &type, tls13, aad, aad_len)) {
		ERR_clear_error();
		return -SLUICE_E_INTERNAL;
	}
	cipher->seq++;
	return 0;
}

int cipher_open(struct cipher *cipher, uint8_t *record, size_t body_len, uint8_t *out)
{
	size_t plain_len = cipher_plain_len(cipher, body_len);
	const uint8_t *in = cipher_plain(cipher, record);
	uint8_t aad[TLS12_AAD_LEN];
	size_t aad_len = make_aad(cipher, record, plain_len, aad);

	/* RFC 8446, 5.3: the number must not wrap. The peer should have changed its keys. */
	if (cipher->seq == UINT64_MAX)
		return -SLUICE_E_PROTOCOL;
	make_nonce(cipher, record + RECORD_HEADER_LEN);
	/* The form that writes exactly plain_len bytes, also when it fails. */
	if (!EVP_AEAD_CTX_open_gather(&cipher->keys->aead, out, cipher->keys->nonce, NONCE_LEN, in,
				      plain_len, in + plain_len, SUITE_TAG_LEN, aad, aad_len)) {
		ERR_clear_error();
		return -SLUICE_E_BAD_RECORD_MAC;
	}
	cipher->seq++;
	return 0;
}
