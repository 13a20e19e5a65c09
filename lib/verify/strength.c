/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature algorithms and keys: what is allowed is listed, and everything else is refused, also what
 * a later BoringSSL may know.
 */
#include "verify/strength.h"

#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#define MIN_RSA_BITS 2048 /* NIST SP 800-131A; CA/Browser Forum, 6.1.5 */
#define MAX_RSA_BITS 8192 /* a signature by a longer key costs whoever checks it too much */
#define MIN_EC_BITS 256

/* RFC 4055, 3.1: RSASSA-PSS-params; an absent hash is SHA-1. */
static int pss_digest(const X509_ALGOR *algorithm)
{
	const void *value;
	CBS cbs, params, hash, oid;
	int type, has_hash;

	X509_ALGOR_get0(NULL, &type, &value, algorithm);
	if (type != V_ASN1_SEQUENCE)
		return NID_undef;
	CBS_init(&cbs, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	if (!CBS_get_asn1(&cbs, &params, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_optional_asn1(&params, &hash, &has_hash,
				   CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0))
		return NID_undef;
	if (!has_hash)
		return NID_sha1;
	if (!CBS_get_asn1(&hash, &params, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&params, &oid, CBS_ASN1_OBJECT))
		return NID_undef;
	return OBJ_cbs2nid(&oid);
}

bool strength_is_strong_algorithm(const X509_ALGOR *algorithm)
{
	const ASN1_OBJECT *object;

	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	switch (OBJ_obj2nid(object)) {
	case NID_sha256WithRSAEncryption:
	case NID_sha384WithRSAEncryption:
	case NID_sha512WithRSAEncryption:
	case NID_ecdsa_with_SHA256:
	case NID_ecdsa_with_SHA384:
	case NID_ecdsa_with_SHA512:
	case NID_ED25519:
		return true;
	case NID_rsassaPss:
		break;
	default: /* MD5, SHA-1 and SHA-224, and what nobody knows */
		return false;
	}
	switch (pss_digest(algorithm)) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
		return true;
	default:
		return false;
	}
}

bool strength_is_strong_signature(const X509 *x509)
{
	const X509_ALGOR *algorithm;

	X509_get0_signature(NULL, &algorithm, x509);
	return strength_is_strong_algorithm(algorithm);
}

const char *strength_of_key(X509 *x509)
{
	EVP_PKEY *key = X509_get_pubkey(x509);
	const char *weakness = "its key is too weak, or of an unknown kind";
	int bits;

	/* Only of these kinds: of a DSA key without parameters BoringSSL's EVP_PKEY_bits() crashes. */
	switch (key ? EVP_PKEY_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
		bits = EVP_PKEY_bits(key);
		if (bits > MAX_RSA_BITS)
			weakness = "its key is too long to be used";
		else if (bits >= MIN_RSA_BITS)
			weakness = NULL;
		break;
	case EVP_PKEY_EC:
		if (EVP_PKEY_bits(key) >= MIN_EC_BITS)
			weakness = NULL;
		break;
	case EVP_PKEY_ED25519:
		weakness = NULL;
		break;
	}
	EVP_PKEY_free(key);
	return weakness;
}
