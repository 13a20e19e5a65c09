// SPDX-License-Identifier: Apache-2.0
/*
 * A client's certificate against what the server asks for: the CAs that it names, the types of keys that a
 * TLS 1.2 server lists, and the signature schemes that both can do. Showing one that does not suit would
 * fail the handshake, and tell the server who we are for nothing.
 */
#include "bssl/client-cert.h"

#include <stdbool.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "bssl/hooks.h"
#include "conn/conn.h"
#include "options/context.h"
#include "options/credentials.h"

/* Whether a certificate of @chain was issued by one that has @name (RFC 8446, 4.2.4). */
static bool is_issuer(X509_NAME *name, const STACK_OF(CRYPTO_BUFFER) * chain)
{
	bool found = false;
	X509 *x509;
	size_t i;

	for (i = 0; !found && i < sk_CRYPTO_BUFFER_num(chain); i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
		found = x509 && !X509_NAME_cmp(X509_get_issuer_name(x509), name);
		X509_free(x509);
	}
	return found;
}

/* No names: any CA will do. What cannot be read is no name of ours. */
static bool suits_authorities(const STACK_OF(CRYPTO_BUFFER) * names,
			      const STACK_OF(CRYPTO_BUFFER) * chain)
{
	size_t i, n = names ? sk_CRYPTO_BUFFER_num(names) : 0;
	bool found = !n;
	const CRYPTO_BUFFER *der;
	const uint8_t *bytes;
	X509_NAME *name;

	for (i = 0; !found && i < n; i++) {
		der = sk_CRYPTO_BUFFER_value(names, i);
		bytes = CRYPTO_BUFFER_data(der);
		name = d2i_X509_NAME(NULL, &bytes, (long)CRYPTO_BUFFER_len(der));
		found = name && is_issuer(name, chain);
		X509_NAME_free(name);
	}
	ERR_clear_error();
	return found;
}

/* RFC 5246, 7.4.4; RFC 8422, 5.5: Ed25519 goes with ecdsa_sign. In TLS 1.3 there are none. */
static bool suits_types(const SSL *ssl, const EVP_PKEY *key)
{
	const uint8_t rsa_sign = 1, ecdsa_sign = 64;
	uint8_t wanted = EVP_PKEY_id(key) == EVP_PKEY_RSA ? rsa_sign : ecdsa_sign;
	const uint8_t *types;
	size_t i, n = SSL_get0_certificate_types(ssl, &types);

	for (i = 0; i < n; i++)
		if (types[i] == wanted)
			return true;
	return !n;
}

/* The schemes that both sides have must have one that the key can do. */
static bool suits_schemes(const SSL *ssl, const struct protocol *ours, const EVP_PKEY *key)
{
	struct protocol both = { .n_sigalgs = 0 };
	const uint16_t *theirs;
	size_t i, j, n = SSL_get0_peer_verify_algorithms(ssl, &theirs);

	for (i = 0; i < ours->n_sigalgs; i++)
		for (j = 0; j < n; j++)
			if (ours->sigalgs[i] == theirs[j]) {
				both.sigalgs[both.n_sigalgs++] = theirs[j];
				break;
			}
	return protocol_can_sign(&both, key, (uint16_t)SSL_version(ssl));
}

int client_cert_choose(SSL *ssl, void *unused)
{
	const struct sluice_conn *conn = hooks_conn(ssl);
	const struct credentials *creds = conn ? conn->profile->creds : NULL;
	EVP_PKEY *key;
	X509 *leaf;

	if (!creds || !creds->chain)
		return 1;
	leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(creds->chain, 0));
	key = leaf ? X509_get_pubkey(leaf) : NULL;
	X509_free(leaf);
	if (!key)
		return 0; /* it was read when the profile was built */
	if (!suits_authorities(SSL_get0_server_requested_CAs(ssl), creds->chain) ||
	    !suits_types(ssl, key) || !suits_schemes(ssl, &conn->profile->settings->protocol, key))
		SSL_certs_clear(ssl);
	EVP_PKEY_free(key);
	return 1;
}
