// SPDX-License-Identifier: Apache-2.0
#include "keeper/sign.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#define PADDING 64
#define PADDING_BYTE 0x20
#define RANDOMS_LEN 64
#define HEAD_LEN 4 /* of a handshake message: its type, its length */
#define CLIENT_HELLO 1
#define SERVER_HELLO 2

static int is_tls13(const uint8_t *in, size_t in_len)
{
	size_t i;

	if (in_len < PADDING)
		return 0;
	for (i = 0; i < PADDING; i++)
		if (in[i] != PADDING_BYTE)
			return 0;
	return 1;
}

/* RFC 5246, 7.4.8: all messages from the ClientHello on. No server's signature begins like that. */
static int is_transcript(const uint8_t *in, size_t in_len)
{
	size_t len;

	if (in_len < HEAD_LEN || in[0] != CLIENT_HELLO)
		return 0;
	len = (size_t)in[1] << 16 | (size_t)in[2] << 8 | in[3];
	return in_len - HEAD_LEN > len && in[HEAD_LEN + len] == SERVER_HELLO;
}

/*
 * TLS 1.2: a server signs both randoms and its key share (RFC 8422, 5.4). That a random is 64 times 0x20
 * happens to nobody.
 */
int sign_allowed(enum sluice_role role, uint16_t algorithm, const uint8_t *in, size_t in_len)
{
	static const char server[] = "TLS 1.3, server CertificateVerify";
	static const char client[] = "TLS 1.3, client CertificateVerify";
	const char *words = role == SLUICE_SERVER ? server : client;

	if (algorithm == 0)
		return role == SLUICE_SERVER;
	if (is_tls13(in, in_len))
		return in_len > PADDING + sizeof(server) &&
		       memcmp(in + PADDING, words, sizeof(server)) == 0;
	return role == SLUICE_SERVER ? in_len > RANDOMS_LEN : is_transcript(in, in_len);
}

static size_t decrypt(EVP_PKEY *key, const uint8_t *in, size_t in_len, uint8_t *out,
		      size_t out_size)
{
	RSA *rsa = EVP_PKEY_get0_RSA(key);
	size_t len;

	if (!rsa || !RSA_decrypt(rsa, &len, out, out_size, in, in_len, RSA_NO_PADDING))
		return 0;
	return len;
}

static size_t sign(EVP_PKEY *key, uint16_t algorithm, const uint8_t *in, size_t in_len,
		   uint8_t *out, size_t out_size)
{
	EVP_MD_CTX ctx;
	EVP_PKEY_CTX *pctx;
	size_t len = out_size;
	int ok;

	if (EVP_PKEY_id(key) != SSL_get_signature_algorithm_key_type(algorithm))
		return 0;
	EVP_MD_CTX_init(&ctx);
	ok = EVP_DigestSignInit(&ctx, &pctx, SSL_get_signature_algorithm_digest(algorithm), NULL,
				key);
	if (ok && SSL_is_signature_algorithm_rsa_pss(algorithm))
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, -1 /* of the digest */);
	ok = ok && EVP_DigestSign(&ctx, out, &len, in, in_len);
	EVP_MD_CTX_cleanup(&ctx);
	return ok ? len : 0;
}

size_t sign_make(EVP_PKEY *key, uint16_t algorithm, const uint8_t *in, size_t in_len, uint8_t *out,
		 size_t out_size)
{
	size_t len = algorithm ? sign(key, algorithm, in, in_len, out, out_size)
			       : decrypt(key, in, in_len, out, out_size);

	ERR_clear_error();
	return len;
}
