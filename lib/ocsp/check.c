// SPDX-License-Identifier: Apache-2.0
/*
 * What an OCSP response proves of one certificate (RFC 6960, 3.2 and 4.2.2). It must never make a
 * certificate good by a response of which a check could not be made.
 */
#include "ocsp/ocsp.h"

#include <openssl/asn1.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "options/pem.h"
#include "verify/reason.h"
#include "verify/strength.h"

/* A response needs one; each that is tried costs a signature, or two. */
#define MAX_DELEGATES 4

static const char *const unsuccessful_texts[] = {
	"the OCSP response has no status",
	"the OCSP response has no status: malformedRequest",
	"the OCSP response has no status: internalError",
	"the OCSP response has no status: tryLater",
	"the OCSP response has no status",
	"the OCSP response has no status: sigRequired",
	"the OCSP response has no status: unauthorized",
};

static const char *const names[OCSP_RESULTS] = {
	[OCSP_GOOD] = "good",
	[OCSP_REVOKED] = "revoked",
	[OCSP_UNKNOWN] = "unknown",
	[OCSP_UNSUCCESSFUL] = "unsuccessful",
	[OCSP_MALFORMED] = "malformed",
	[OCSP_UNSUPPORTED] = "unsupported",
	[OCSP_OTHER] = "other_certificate",
	[OCSP_UNTRUSTED] = "untrusted",
	[OCSP_STALE] = "stale",
	[OCSP_FUTURE] = "future",
};

const char *ocsp_result_name(enum ocsp_result result)
{
	return names[result];
}

static void refuse(struct ocsp_verdict *verdict, enum ocsp_result result, const char *reason)
{
	verdict->result = result;
	verdict->reason = reason;
}

/* --- who has signed it -------------------------------------------------------------------------- */

/* Whether the response says that it is by @x509: by its name, or by the SHA-1 of its key. */
static bool is_responder(const struct ocsp_response *response, X509 *x509)
{
	const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(x509);
	const uint8_t *p = CBS_data(&response->name);
	uint8_t digest[SHA_DIGEST_LENGTH];
	X509_NAME *name;
	bool same;

	if (!CBS_len(&response->name)) {
		SHA1(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), digest);
		return CBS_mem_equal(&response->key_hash, digest, sizeof(digest));
	}
	name = d2i_X509_NAME(NULL, &p, (long)CBS_len(&response->name));
	same = name && !X509_NAME_cmp(name, X509_get_subject_name(x509));
	X509_NAME_free(name);
	return same;
}

/* Whether the key of @x509 verifies the signature; the algorithm has been looked at. */
static bool is_signed_with(const struct ocsp_response *response, const X509_ALGOR *algorithm,
			   X509 *x509)
{
	const uint8_t *p = CBS_data(&response->tbs), *q = CBS_data(&response->signature);
	/* The bytes that were signed, as an ASN.1 value of any type. */
	ASN1_TYPE *tbs = d2i_ASN1_TYPE(NULL, &p, (long)CBS_len(&response->tbs));
	ASN1_BIT_STRING *bits = d2i_ASN1_BIT_STRING(NULL, &q, (long)CBS_len(&response->signature));
	EVP_PKEY *key = X509_get_pubkey(x509);
	bool ok;

	ok = tbs && bits && key &&
	     ASN1_item_verify(ASN1_ITEM_rptr(ASN1_ANY), algorithm, bits, tbs, key) == 1;
	EVP_PKEY_free(key);
	ASN1_BIT_STRING_free(bits);
	ASN1_TYPE_free(tbs);
	ERR_clear_error();
	return ok;
}

static bool is_valid_at(const X509 *x509, int64_t now_s)
{
	int64_t from_s, to_s;

	return pem_time(X509_get0_notBefore(x509), &from_s) &&
	       pem_time(X509_get0_notAfter(x509), &to_s) && now_s >= from_s && now_s <= to_s;
}

static bool is_issued_by(X509 *x509, X509 *issuer)
{
	EVP_PKEY *key;
	bool ok;

	if (X509_NAME_cmp(X509_get_issuer_name(x509), X509_get_subject_name(issuer)))
		return false;
	key = X509_get_pubkey(issuer);
	ok = key && X509_verify(x509, key) == 1;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return ok;
}

/*
 * RFC 6960, 4.2.2.2: a certificate issued directly by the CA, for OCSP signing; anyExtendedKeyUsage does not
 * say that. What is wrong with it, or NULL.
 */
static const char *refuse_delegate(X509 *x509, X509 *issuer, int64_t now_s)
{
	uint32_t flags = X509_get_extension_flags(x509);

	if (flags & (EXFLAG_INVALID | EXFLAG_CRITICAL))
		return "the OCSP responder's certificate has an extension that is malformed, or "
		       "critical and unknown";
	if (!(flags & EXFLAG_XKUSAGE) || !(X509_get_extended_key_usage(x509) & XKU_OCSP_SIGN))
		return "the OCSP responder's certificate is not for OCSP signing";
	if (!(X509_get_key_usage(x509) & X509v3_KU_DIGITAL_SIGNATURE))
		return "the OCSP responder's certificate is not for signatures";
	if (!is_valid_at(x509, now_s))
		return "the OCSP responder's certificate has expired, or is not valid yet";
	if (strength_of_key(x509) || !strength_is_strong_signature(x509))
		return "the key of the OCSP responder's certificate, or its signature, is too weak";
	if (!is_issued_by(x509, issuer))
		return "the OCSP responder's certificate is by another issuer";
	return NULL;
}

/* Looks among the certificates of the response for who has signed it. NULL: found, or what is wrong. */
static const char *find_delegate(const struct ocsp_response *response, const X509_ALGOR *algorithm,
				 X509 *issuer, int64_t now_s)
{
	const char *wrong = "the OCSP response is by a responder that nobody knows", *why;
	unsigned int n_tried = 0;
	CBS certs = response->certs, cert;
	const uint8_t *p;
	X509 *x509;

	while (n_tried < MAX_DELEGATES && CBS_get_asn1_element(&certs, &cert, CBS_ASN1_SEQUENCE)) {
		p = CBS_data(&cert);
		x509 = d2i_X509(NULL, &p, (long)CBS_len(&cert));
		if (x509 && is_responder(response, x509)) {
			n_tried++;
			why = refuse_delegate(x509, issuer, now_s);
			if (!why && !is_signed_with(response, algorithm, x509))
				why = "the OCSP response's signature is wrong";
			wrong = why;
		}
		X509_free(x509);
		ERR_clear_error();
		if (!wrong)
			break;
	}
	return wrong;
}

/* What is wrong with the signature, or NULL. */
static const char *refuse_signature(const struct ocsp_response *response, X509 *issuer,
				    int64_t now_s)
{
	const uint8_t *p = CBS_data(&response->algorithm);
	X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &p, (long)CBS_len(&response->algorithm));
	const char *wrong;

	if (!algorithm || !strength_is_strong_algorithm(algorithm))
		wrong = "the OCSP response's signature algorithm is too weak, or unknown";
	else if (!is_responder(response, issuer))
		wrong = find_delegate(response, algorithm, issuer, now_s);
	else if (is_signed_with(response, algorithm, issuer))
		wrong = NULL;
	/* A delegate may have the issuer's name. */
	else if (find_delegate(response, algorithm, issuer, now_s))
		wrong = "the OCSP response's signature is wrong";
	else
		wrong = NULL;
	X509_ALGOR_free(algorithm);
	ERR_clear_error();
	return wrong;
}

/* --- what it says ------------------------------------------------------------------------------- */

/* The single that counts: one that revokes, else the newest. */
static bool find_single(const struct ocsp_response *response, X509 *cert, X509 *issuer,
			struct ocsp_single *ret_single)
{
	CBS singles = response->singles;
	struct ocsp_single single;
	bool found = false;

	while (ocsp_single_get(&singles, &single)) {
		if (!ocsp_is_about(&single, cert, issuer))
			continue;
		if (!found || single.status == OCSP_STATUS_REVOKED ||
		    (ret_single->status != OCSP_STATUS_REVOKED &&
		     single.this_update_s > ret_single->this_update_s))
			*ret_single = single;
		found = true;
	}
	return found;
}

static bool is_stale(const struct ocsp_single *single, int64_t now_s)
{
	int64_t until_s = single->next_update_s;

	if (until_s < 0)
		until_s = single->this_update_s + OCSP_MAX_AGE_S;
	return now_s > until_s + OCSP_TOLERANCE_S;
}

static void judge_single(struct ocsp_verdict *verdict, const struct ocsp_single *single,
			 int64_t now_s)
{
	if (single->unsupported)
		refuse(verdict, OCSP_UNSUPPORTED,
		       "the OCSP response has an unknown critical extension");
	else if (single->status == OCSP_STATUS_REVOKED)
		refuse(verdict, OCSP_REVOKED, bad_cert_revoked_text(single->crl_reason));
	else if (single->this_update_s > now_s + OCSP_TOLERANCE_S ||
		 verdict->produced_s > now_s + OCSP_TOLERANCE_S)
		refuse(verdict, OCSP_FUTURE, "the OCSP response is not valid yet");
	else if (is_stale(single, now_s))
		refuse(verdict, OCSP_STALE, "the OCSP response is out of date");
	else if (single->status == OCSP_STATUS_UNKNOWN)
		refuse(verdict, OCSP_UNKNOWN, "the OCSP responder does not know it");
}

static void judge(struct ocsp_verdict *verdict, const struct ocsp_response *response, X509 *cert,
		  X509 *issuer, int64_t now_s)
{
	struct ocsp_single single = { 0 };
	const char *wrong;

	verdict->produced_s = response->produced_s;
	if (response->unsupported) {
		refuse(verdict, OCSP_UNSUPPORTED,
		       "the OCSP response has an unknown critical extension");
		return;
	}
	if (!find_single(response, cert, issuer, &single)) {
		refuse(verdict, OCSP_OTHER, "the OCSP response is not about it");
		return;
	}
	verdict->this_update_s = single.this_update_s;
	verdict->next_update_s = single.next_update_s;
	wrong = issuer ? refuse_signature(response, issuer, now_s) : NULL;
	if (wrong) {
		refuse(verdict, OCSP_UNTRUSTED, wrong);
		return;
	}
	verdict->is_signed = issuer;
	verdict->crl_reason = single.crl_reason;
	verdict->revoked_s = single.revoked_s;
	judge_single(verdict, &single, now_s);
}

static void check(struct ocsp_verdict *ret_verdict, const uint8_t *der, size_t len, X509 *cert,
		  X509 *issuer, int64_t now_s)
{
	struct ocsp_verdict verdict = { .crl_reason = -1 };
	struct ocsp_response response;

	if (!ocsp_parse(&response, der, len))
		refuse(&verdict, OCSP_MALFORMED, "the OCSP response is malformed");
	else if (response.status)
		refuse(&verdict, OCSP_UNSUCCESSFUL, unsuccessful_texts[response.status]);
	else
		judge(&verdict, &response, cert, issuer, now_s);
	ERR_clear_error();
	*ret_verdict = verdict;
}

void ocsp_check(struct ocsp_verdict *ret_verdict, const uint8_t *der, size_t len, X509 *cert,
		X509 *issuer, int64_t now_s)
{
	if (issuer)
		check(ret_verdict, der, len, cert, issuer, now_s);
	else
		*ret_verdict = (struct ocsp_verdict){ .result = OCSP_UNTRUSTED,
						      .reason = "its issuer is not known",
						      .crl_reason = -1 };
}

void ocsp_check_unsigned(struct ocsp_verdict *ret_verdict, const uint8_t *der, size_t len,
			 X509 *cert, int64_t now_s)
{
	check(ret_verdict, der, len, cert, NULL, now_s);
}
