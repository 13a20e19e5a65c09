/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path validation (RFC 5280, 6; names: RFC 9525) of a peer's chain. Called by bssl/verify.c, with nothing
 * but the chain and the profile. BoringSSL builds and checks the path; added to it are what it accepts and
 * we do not: weak signatures and keys, critical policy constraints that nobody evaluates, longer paths than
 * option depth. It must never accept where a check could not be made.
 */
#include "verify/report.h"

#include <string.h>

#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/sys.h"
#include "options/pem.h"

#define MIN_RSA_BITS 2048 /* NIST SP 800-131A; CA/Browser Forum, 6.1.5 */
#define MIN_EC_BITS 256

/*
 * BoringSSL's own limit counts certificates of any kind and answers with a misleading error; ours
 * is option depth. The difference leaves room for self-issued certificates, which do not count.
 */
#define MAX_SELF_ISSUED 8

/* --- signatures and keys -------------------------------------------------------------------- */

/* RFC 4055, 3.1: RSASSA-PSS-params; an absent hash is SHA-1. */
static int pss_digest(const X509 *x509)
{
	const ASN1_OBJECT *object;
	const X509_ALGOR *algorithm;
	const void *value;
	CBS cbs, params, hash, oid;
	int type, has_hash;

	X509_get0_signature(NULL, &algorithm, x509);
	X509_ALGOR_get0(&object, &type, &value, algorithm);
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

static bool is_strong_signature(const X509 *x509)
{
	switch (X509_get_signature_nid(x509)) {
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
	switch (pss_digest(x509)) {
	case NID_sha256:
	case NID_sha384:
	case NID_sha512:
		return true;
	default:
		return false;
	}
}

static bool is_strong_key(X509 *x509)
{
	EVP_PKEY *key = X509_get_pubkey(x509);
	bool strong = false;

	if (!key)
		return false;
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
		strong = EVP_PKEY_bits(key) >= MIN_RSA_BITS;
		break;
	case EVP_PKEY_EC:
		strong = EVP_PKEY_bits(key) >= MIN_EC_BITS;
		break;
	case EVP_PKEY_ED25519:
		strong = true;
		break;
	}
	EVP_PKEY_free(key);
	return strong;
}

/*
 * BoringSSL takes these for handled, and not every version evaluates policies; RFC 5280, 4.2 wants a
 * critical extension that is not evaluated to be refused. Policy constraints must be critical
 * (4.2.1.11), and newer versions hold to them in any case: they are refused in any case.
 */
static bool has_policy_constraints(const X509 *x509)
{
	static const int nids[] = { NID_policy_constraints, NID_inhibit_any_policy,
				    NID_policy_mappings };
	size_t i;
	int at;

	for (i = 0; i < sizeof(nids) / sizeof(nids[0]); i++) {
		at = X509_get_ext_by_NID(x509, nids[i], -1);
		if (at >= 0 && (nids[i] == NID_policy_constraints ||
				X509_EXTENSION_get_critical(X509_get_ext(x509, at))))
			return true;
	}
	return false;
}

/* --- the path ------------------------------------------------------------------------------- */

static bool is_self_issued(const X509 *x509)
{
	return !X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509));
}

/* Whatever is wrong with one certificate; false: nothing more is wanted. */
static bool judge_cert(struct verify_report *report, size_t index)
{
	X509 *x509 = sk_X509_value(report->path, index);

	if (!is_strong_key(x509) &&
	    !verify_note(report, SLUICE_BAD_CERT_WEAK_KEY, X509_V_ERR_CERT_REJECTED, index,
			 "its key is too weak, or of an unknown kind"))
		return false;
	/* The anchor is trusted as it is: nothing else in it proves anything. */
	if (report->anchored && index == sk_X509_num(report->path) - 1)
		return true;
	if (!is_strong_signature(x509) &&
	    !verify_note(report, SLUICE_BAD_CERT_WEAK_SIGNATURE, X509_V_ERR_CERT_REJECTED, index,
			 "its signature algorithm is too weak"))
		return false;
	return !has_policy_constraints(x509) ||
	       verify_note(report, SLUICE_BAD_CERT_CRITICAL_EXT,
			   X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, index, NULL);
}

/* Judges what BoringSSL has put together. */
static void judge_path(struct verify_report *report, int depth)
{
	size_t i, n = sk_X509_num(report->path);
	int n_intermediate = 0;

	for (i = 0; i < n && judge_cert(report, i); i++) {
		n_intermediate += i > 0 && !(report->anchored && i == n - 1) &&
				  !is_self_issued(sk_X509_value(report->path, i));
		if (n_intermediate > depth) {
			verify_note(report, SLUICE_BAD_CERT_MAX_PATH_LENGTH,
				    X509_V_ERR_CERT_CHAIN_TOO_LONG, i,
				    "the chain is longer than option depth allows");
			return;
		}
	}
}

/* Where no anchor was found BoringSSL does not look at every date. */
static void judge_times(struct verify_report *report, int64_t now_s)
{
	size_t i, n = sk_X509_num(report->path);
	int64_t from_s, to_s;
	X509 *x509;

	for (i = 0; i < n; i++) {
		x509 = sk_X509_value(report->path, i);
		if (!pem_time(X509_get0_notBefore(x509), &from_s) ||
		    !pem_time(X509_get0_notAfter(x509), &to_s))
			verify_note(report, SLUICE_BAD_CERT_MALFORMED, X509_V_ERR_CERT_REJECTED, i,
				    "its validity is not two dates");
		else if (now_s < from_s)
			verify_note(report, SLUICE_BAD_CERT_NOT_YET, X509_V_ERR_CERT_NOT_YET_VALID,
				    i, NULL);
		else if (now_s > to_s)
			verify_note(report, SLUICE_BAD_CERT_EXPIRED, X509_V_ERR_CERT_HAS_EXPIRED, i,
				    NULL);
	}
}

/*
 * RFC 5280, 3.2: signed by its own key. BoringSSL says so of certificates that may sign others, and
 * of the rest that their issuer is missing; even where such a certificate is trusted as it is.
 */
static bool is_self_signed(X509 *x509)
{
	EVP_PKEY *key = X509_get_pubkey(x509);
	bool self_signed = key && is_self_issued(x509) && X509_verify(x509, key) == 1;

	EVP_PKEY_free(key);
	return self_signed;
}

/* struct examination - what BoringSSL's callback is told by. */
struct examination {
	struct verify_report *report;
	X509 *leaf;
	int64_t now_s;
};

/*
 * RFC 5280, 4.1.2.5: a certificate is valid up to and including notAfter; for BoringSSL that second
 * is too late.
 */
static bool is_last_second(X509_STORE_CTX *ctx, int64_t now_s)
{
	int64_t not_after_s;

	return X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_HAS_EXPIRED &&
	       pem_time(X509_get0_notAfter(X509_STORE_CTX_get_current_cert(ctx)), &not_after_s) &&
	       not_after_s == now_s;
}

/* What BoringSSL found, in words that fit. */
static int translate(const struct examination *exam, int x509_error, size_t index)
{
	switch (x509_error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
		return !index && is_self_signed(exam->leaf) ? X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
							    : x509_error;
	/* A BoringSSL that evaluates policies finds none of ours: the same verdict. */
	case X509_V_ERR_NO_EXPLICIT_POLICY:
	case X509_V_ERR_INVALID_POLICY_EXTENSION:
		return X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION;
	case X509_V_OK:
		return X509_V_ERR_UNSPECIFIED;
	default:
		return x509_error;
	}
}

static bool note(const struct examination *exam, X509_STORE_CTX *ctx)
{
	size_t index = (size_t)X509_STORE_CTX_get_error_depth(ctx);
	int x509_error = X509_STORE_CTX_get_error(ctx);

	/* The program is asked about each one. */
	if (exam->report->all && x509_error == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION)
		return true;
	x509_error = translate(exam, x509_error, index);
	return verify_note(exam->report, bad_cert_of(x509_error), x509_error, index, NULL);
}

static int on_error(int ok, X509_STORE_CTX *ctx)
{
	const struct examination *exam = X509_STORE_CTX_get_app_data(ctx);

	if (ok)
		return ok;
	if (!is_last_second(ctx, exam->now_s) && !note(exam, ctx))
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/*
 * Makes the certificate be for @name: an address is held against addresses only, a DNS name against
 * DNS names only, never against the subject (RFC 9525, 6.3).
 */
static bool set_name(X509_VERIFY_PARAM *param, const char *name)
{
	size_t len = strcspn(name, "%"); /* the zone of a link-local address is ours alone */
	char address[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	if (len < sizeof(address)) {
		memcpy(address, name, len);
		address[len] = '\0';
		if (inet_pton(AF_INET, address, bytes) == 1)
			return X509_VERIFY_PARAM_set1_ip(param, bytes, 4);
		if (inet_pton(AF_INET6, address, bytes) == 1)
			return X509_VERIFY_PARAM_set1_ip(param, bytes, 16);
	}
	len = strlen(name);
	if (len && name[len - 1] == '.') /* the root label is not in certificates */
		len--;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	/* An empty name would switch the check off. */
	return len && X509_VERIFY_PARAM_set1_host(param, name, len);
}

/* Sets what the path must be like. */
static bool prepare(X509_STORE_CTX *ctx, const struct sluice_profile *profile,
		    struct examination *exam, const char *name)
{
	bool client = profile->role == SLUICE_CLIENT;
	X509_VERIFY_PARAM *param;

	if (!X509_STORE_CTX_set_default(ctx, client ? "ssl_server" : "ssl_client") ||
	    !X509_STORE_CTX_set_app_data(ctx, exam))
		return verify_note(exam->report, SLUICE_BAD_CERT_NOT_CHECKED,
				   X509_V_ERR_UNSPECIFIED, 0, NULL);
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST);
	/* Lets the certificate itself be the anchor; no other can be, as it has no other issuer. */
	if (is_self_signed(exam->leaf))
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(param, profile->depth + 1 + MAX_SELF_ISSUED);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)exam->now_s);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	return !client || !name || set_name(param, name) ||
	       verify_note(exam->report, SLUICE_BAD_CERT_HOSTNAME, X509_V_ERR_HOSTNAME_MISMATCH, 0,
			   NULL);
}

static bool has_anchor(const struct verify_report *report)
{
	size_t i;

	for (i = 0; i < report->n; i++)
		if (report->findings[i].reason == SLUICE_BAD_CERT_UNKNOWN_CA ||
		    report->findings[i].reason == SLUICE_BAD_CERT_SELFSIGNED_PEER)
			return false;
	return true;
}

static void judge(const struct sluice_profile *profile, X509_STORE *trust, STACK_OF(X509) * certs,
		  const char *name, struct verify_report *report)
{
	struct examination exam = { report, sk_X509_value(certs, 0), sys->wall_s() };
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	if (!ctx || !X509_STORE_CTX_init(ctx, trust, exam.leaf, certs)) {
		verify_note(report, SLUICE_BAD_CERT_NOT_CHECKED, X509_V_ERR_OUT_OF_MEM, 0, NULL);
		goto out;
	}
	if (!prepare(ctx, profile, &exam, name))
		goto out;
	if (X509_verify_cert(ctx) != 1) {
		if (report->all || !report->n)
			note(&exam, ctx);
		if (!report->all)
			goto out;
	}
	report->path = X509_STORE_CTX_get1_chain(ctx);
	if (!report->path) {
		verify_note(report, SLUICE_BAD_CERT_NOT_CHECKED, X509_V_ERR_OUT_OF_MEM, 0, NULL);
		goto out;
	}
	report->anchored = has_anchor(report);
	judge_path(report, profile->depth);
	if (report->all)
		judge_times(report, exam.now_s);
out:
	X509_STORE_CTX_free(ctx);
}

/* --- the chain as it came ------------------------------------------------------------------- */

static void parse_chain(STACK_OF(X509) * certs, const STACK_OF(CRYPTO_BUFFER) * chain,
			struct verify_report *report)
{
	size_t i, n = sk_CRYPTO_BUFFER_num(chain);
	X509 *x509;

	for (i = 0; !report->n && i < n; i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
		if (!x509) {
			verify_note(report, SLUICE_BAD_CERT_MALFORMED, X509_V_ERR_CERT_REJECTED, i,
				    "it cannot be parsed");
		} else if (!sk_X509_push(certs, x509)) {
			X509_free(x509);
			verify_note(report, SLUICE_BAD_CERT_NOT_CHECKED, X509_V_ERR_OUT_OF_MEM, i,
				    NULL);
		}
	}
}

void verify_examine(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		    const char *name, struct verify_report *report)
{
	X509_STORE *nobody = profile->trust ? NULL : X509_STORE_new();
	STACK_OF(X509) *certs = sk_X509_new_null();

	if (!certs || (!profile->trust && !nobody))
		verify_note(report, SLUICE_BAD_CERT_NOT_CHECKED, X509_V_ERR_OUT_OF_MEM, 0, NULL);
	if (!report->n)
		parse_chain(certs, chain, report);
	if (!report->n)
		judge(profile, nobody ? nobody : profile->trust, certs, name, report);
	sk_X509_pop_free(certs, X509_free);
	X509_STORE_free(nobody);
	ERR_clear_error();
}
