/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature algorithms and keys: what is allowed is listed, and everything else is refused, also what
 * a later BoringSSL may know.
 */
#include "verify/strength.h"

#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
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

/* The scheme of an ECDSA signature: each has one curve and one hash. 0: none has this pair. */
static uint16_t ecdsa_scheme(int signature, X509 *issuer)
{
	static const struct {
		int signature, curve;
		uint16_t scheme;
	} pairs[] = {
		{ NID_ecdsa_with_SHA256, NID_X9_62_prime256v1, 0x0403 },
		{ NID_ecdsa_with_SHA384, NID_secp384r1, 0x0503 },
		{ NID_ecdsa_with_SHA512, NID_secp521r1, 0x0603 },
	};
	EVP_PKEY *key = X509_get_pubkey(issuer);
	const EC_KEY *ec = key ? EVP_PKEY_get0_EC_KEY(key) : NULL;
	int curve = ec ? EC_GROUP_get_curve_name(EC_KEY_get0_group(ec)) : NID_undef;
	uint16_t scheme = 0;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		if (pairs[i].signature == signature && pairs[i].curve == curve)
			scheme = pairs[i].scheme;
	EVP_PKEY_free(key);
	return scheme;
}

static uint16_t scheme_of(const X509 *x509, X509 *issuer)
{
	const X509_ALGOR *algorithm;
	const ASN1_OBJECT *object;

	X509_get0_signature(NULL, &algorithm, x509);
	X509_ALGOR_get0(&object, NULL, NULL, algorithm);
	switch (OBJ_obj2nid(object)) {
	case NID_ED25519:
		return 0x0807;
	case NID_sha256WithRSAEncryption:
		return 0x0401;
	case NID_sha384WithRSAEncryption:
		return 0x0501;
	case NID_sha512WithRSAEncryption:
		return 0x0601;
	case NID_rsassaPss: /* with a key of rsaEncryption: BoringSSL takes no other */
		break;
	default:
		return ecdsa_scheme(OBJ_obj2nid(object), issuer);
	}
	switch (pss_digest(algorithm)) {
	case NID_sha256:
		return 0x0804;
	case NID_sha384:
		return 0x0805;
	case NID_sha512:
		return 0x0806;
	default:
		return 0;
	}
}

bool strength_is_listed(const X509 *x509, X509 *issuer, const uint16_t *schemes, size_t n)
{
	uint16_t scheme = scheme_of(x509, issuer);
	size_t i;

	for (i = 0; i < n; i++)
		if (schemes[i] == scheme)
			return true;
	return false;
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
