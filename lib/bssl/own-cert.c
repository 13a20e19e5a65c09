// SPDX-License-Identifier: Apache-2.0
/*
 * Own certificates against what the peer can take. To a server that asks for one: the CAs that it names, the
 * types of keys that a TLS 1.2 server lists, and the signature schemes that both can do; showing one that
 * does not suit would fail the handshake, and tell the server who we are for nothing. To a client: the
 * schemes, and in TLS 1.2 the suites and groups. BoringSSL only ever has one certificate here: newer
 * versions could choose among several themselves, but not those of Debian 12.
 */
#include "bssl/own-cert.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "bssl/hello.h"
#include "bssl/hooks.h"
#include "bssl/signer.h"
#include "conn/conn.h"
#include "options/context.h"
#include "options/credentials.h"
#include "record/suite.h"

#define MAX_NAMES 1024 /* of CAs that a server lists, and we look at */

/* Whether a certificate of the chain was issued by one that has @name (RFC 8446, 4.2.4). */
static bool is_issuer(const X509_NAME *name, const struct own_cert *own)
{
	size_t i;

	for (i = 0; i < OWN_MAX_CHAIN && own->issuers[i]; i++)
		if (!X509_NAME_cmp(own->issuers[i], name))
			return true;
	return false;
}

/* No names: any CA will do. What cannot be read is no name of ours. */
static bool suits_authorities(const STACK_OF(CRYPTO_BUFFER) * names, const struct own_cert *own)
{
	size_t i, n = names ? sk_CRYPTO_BUFFER_num(names) : 0;
	bool found = !n;
	const CRYPTO_BUFFER *der;
	const uint8_t *bytes;
	X509_NAME *name;

	for (i = 0; !found && i < n && i < MAX_NAMES; i++) {
		der = sk_CRYPTO_BUFFER_value(names, i);
		bytes = CRYPTO_BUFFER_data(der);
		name = d2i_X509_NAME(NULL, &bytes, (long)CRYPTO_BUFFER_len(der));
		found = name && is_issuer(name, own);
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

/* What the peer can verify, of what we would sign with. */
static void common_schemes(struct protocol *both, const SSL *ssl, const struct protocol *ours)
{
	const uint16_t *theirs;
	size_t i, j, n = SSL_get0_peer_verify_algorithms(ssl, &theirs);

	for (i = 0; i < ours->n_sigalgs; i++)
		for (j = 0; j < n; j++)
			if (ours->sigalgs[i] == theirs[j]) {
				both->sigalgs[both->n_sigalgs++] = theirs[j];
				break;
			}
}

static bool has_scheme(const uint16_t *schemes, size_t n, uint16_t scheme)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (schemes[i] == scheme)
			return true;
	return false;
}

/* RFC 8446, 4.4.2.2: a chain whose signatures the peer takes goes before one that it may not. */
static bool suits_chain(const struct own_cert *own, const uint16_t *schemes, size_t n)
{
	size_t i;

	for (i = 0; n && i < sk_CRYPTO_BUFFER_num(own->chain); i++)
		if (own->schemes[i] && !has_scheme(schemes, n, own->schemes[i]))
			return false;
	return true;
}

/* --- a server ------------------------------------------------------------------------------------- */

static bool has_group(const struct sluice_hello *hello, const struct protocol *ours)
{
	size_t i, j;

	for (i = 0; i < hello->n_groups; i++)
		for (j = 0; j < ours->n_groups; j++)
			if (words_group_nid(hello->groups[i]) == ours->groups[j])
				return true;
	return false;
}

/* RFC 8422, 5.3: an ECDSA key is on a curve that the client has listed. */
static bool suits_curve(const struct sluice_hello *hello, const EVP_PKEY *key)
{
	size_t i;
	int nid;

	if (EVP_PKEY_id(key) != EVP_PKEY_EC)
		return true;
	nid = EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
	for (i = 0; i < hello->n_groups; i++)
		if (words_group_nid(hello->groups[i]) == nid)
			return true;
	return false;
}

/* TLS 1.2: the suite names the kind of key; without ECDHE the key signs nothing. */
static bool suits_client12(const struct sluice_hello *hello, const struct protocol *ours,
			   const struct protocol *both, const EVP_PKEY *key)
{
	bool ecdhe = has_group(hello, ours) && suits_curve(hello, key) &&
		     protocol_can_sign(both, key, TLS12);
	const struct suite *suite;
	size_t i, j;

	for (i = 0; i < ours->n_suites; i++) {
		suite = suite_find(ours->suites[i]);
		for (j = 0; j < hello->n_suites && hello->suites[j] != suite->id; j++)
			;
		if (j < hello->n_suites && protocol_suits_key(suite, key) &&
		    (ecdhe || !strncmp(suite->name, "TLS_RSA_", strlen("TLS_RSA_"))))
			return true;
	}
	return false;
}

static const struct own_cert *choose_for_client(const SSL *ssl, const struct sluice_conn *conn)
{
	const struct protocol *ours = &conn->profile->settings->protocol;
	const struct credentials *creds = conn->profile->creds;
	const struct own_cert *second_best = NULL, *own;
	struct protocol both = { .n_sigalgs = 0 };
	struct sluice_hello hello;
	const uint16_t *algs;
	size_t i, n_algs;
	bool suits;

	hello_export(conn->hello, &hello);
	n_algs = hello_cert_algs(conn->hello, &algs);
	common_schemes(&both, ssl, ours);
	for (i = 0; i < creds->n_own; i++) {
		own = &creds->own[i];
		suits = SSL_version(ssl) == TLS12
				? suits_client12(&hello, ours, &both, own->public_key)
				: protocol_can_sign(&both, own->public_key, TLS13);
		if (suits && suits_chain(own, algs, n_algs))
			return own;
		if (suits && !second_best)
			second_best = own;
	}
	return second_best;
}

/* --- a client ------------------------------------------------------------------------------------- */

static const struct own_cert *choose_for_server(const SSL *ssl, const struct protocol *ours,
						const struct credentials *creds)
{
	const STACK_OF(CRYPTO_BUFFER) *names = SSL_get0_server_requested_CAs(ssl);
	const struct own_cert *second_best = NULL, *own;
	struct protocol both = { .n_sigalgs = 0 };
	const uint16_t *algs;
	size_t i, n_algs = SSL_get0_peer_verify_algorithms(ssl, &algs);

	common_schemes(&both, ssl, ours);
	for (i = 0; i < creds->n_own; i++) {
		own = &creds->own[i];
		if (!suits_authorities(names, own) || !suits_types(ssl, own->public_key) ||
		    !protocol_can_sign(&both, own->public_key, (uint16_t)SSL_version(ssl)))
			continue;
		if (suits_chain(own, algs, n_algs))
			return own;
		if (!second_best)
			second_best = own;
	}
	return second_best;
}

/* --- both ----------------------------------------------------------------------------------------- */

static bool use(SSL *ssl, const struct protocol *ours, const struct own_cert *own)
{
	CRYPTO_BUFFER *certs[OWN_MAX_CHAIN];
	size_t n = own_chain(own, certs);
	bool ok;

	ok = SSL_set_chain_and_key(ssl, certs, n, own->key, own->key ? NULL : &signer_method) &&
	     SSL_set_signing_algorithm_prefs(ssl, ours->sigalgs, ours->n_sigalgs);
	ERR_clear_error();
	return ok;
}

int own_cert_choose(SSL *ssl, void *unused)
{
	struct sluice_conn *conn = hooks_conn(ssl);
	const struct protocol *ours;
	const struct credentials *creds;
	const struct own_cert *own;
	int r;

	if (!conn)
		return 1;
	r = conn->role == SLUICE_CLIENT ? client_cert_ask(conn, ssl) : 0;
	if (r)
		return r == SLUICE_PAUSED ? -1 : 0;
	ours = &conn->profile->settings->protocol;
	creds = conn->hs->own ? conn->hs->own : conn->profile->creds;
	own = conn->role == SLUICE_CLIENT ? choose_for_server(ssl, ours, creds)
					  : choose_for_client(ssl, conn);
	if (own) {
		conn->hs->own_index = (size_t)(own - creds->own);
		return use(ssl, ours, own) && (conn->role == SLUICE_CLIENT || conn->hs->own_index ||
					       profile_staple(conn->profile, ssl) == 0);
	}
	if (conn->role == SLUICE_CLIENT)
		SSL_certs_clear(ssl);
	return 1;
}
