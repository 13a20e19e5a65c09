/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path validation (RFC 5280, 6; names: RFC 9525) of a peer's chain. Called by stage VERIFY, with
 * nothing but the chain and the profile. BoringSSL builds and checks the path; added to it are what
 * it accepts and we do not: weak signatures and keys, critical policy constraints that nobody
 * evaluates, longer paths than option depth. It must never accept where a check could not be made.
 */
#include "bssl/verify.h"

#include <string.h>

#include <arpa/inet.h>
#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/sys.h"
#include "options/pem.h"
#include "tls/control.h"

#define MIN_RSA_BITS 2048 /* NIST SP 800-131A; CA/Browser Forum, 6.1.5 */
#define MIN_EC_BITS 256

/*
 * BoringSSL's own limit counts certificates of any kind and answers with a misleading error; ours
 * is option depth. The difference leaves room for self-issued certificates, which do not count.
 */
#define MAX_SELF_ISSUED 8

/* --- verdicts ------------------------------------------------------------------------------- */

/* What the peer is told (RFC 8446, 6.2); what is not listed is bad_certificate. */
static const struct {
	int x509_error;
	uint8_t alert;
	int code;
} verdicts[] = {
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_UNTRUSTED, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_NOT_YET_VALID, SLUICE_ALERT_CERTIFICATE_EXPIRED, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_HAS_EXPIRED, SLUICE_ALERT_CERTIFICATE_EXPIRED, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_REVOKED, SLUICE_ALERT_CERTIFICATE_REVOKED, SLUICE_E_VERIFY },
	{ X509_V_ERR_INVALID_PURPOSE, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  SLUICE_E_VERIFY },
	{ X509_V_ERR_HOSTNAME_MISMATCH, SLUICE_ALERT_BAD_CERTIFICATE, SLUICE_E_HOSTNAME },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, SLUICE_ALERT_BAD_CERTIFICATE, SLUICE_E_HOSTNAME },
	{ X509_V_ERR_OUT_OF_MEM, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_NOMEM },
	{ X509_V_ERR_UNSPECIFIED, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
	{ X509_V_ERR_INVALID_CALL, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
	{ X509_V_ERR_STORE_LOOKUP, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
};

/* struct verdict - why a chain is refused; x509_error 0: it is not. */
struct verdict {
	int x509_error;
	const char *reason; /* NULL: BoringSSL's text of @x509_error */
	size_t index;       /* the certificate, 0: the peer's own */
};

static int code_of(int x509_error, uint8_t *ret_alert)
{
	size_t i;

	for (i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		if (verdicts[i].x509_error == x509_error) {
			*ret_alert = verdicts[i].alert;
			return verdicts[i].code;
		}
	}
	*ret_alert = SLUICE_ALERT_BAD_CERTIFICATE;
	return SLUICE_E_VERIFY;
}

static int refuse(const struct verdict *verdict, const char *name, uint8_t *ret_alert,
		  struct sluice_error *err)
{
	const char *reason = verdict->reason;
	int code = code_of(verdict->x509_error, ret_alert);

	if (!reason)
		reason = X509_verify_cert_error_string(verdict->x509_error);
	if (code == SLUICE_E_HOSTNAME) {
		err_set(err, code, "the peer's certificate is not for %.120s", name);
	} else if (verdict->index) {
		err_set(err, code, "issuer %zu of the peer's certificate: %s", verdict->index,
			reason);
	} else {
		err_set(err, code, "the peer's certificate: %s", reason);
	}
	if (err)
		err->x509_error = verdict->x509_error;
	return -code;
}

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

/* Judges what BoringSSL has accepted; @path ends with the trust anchor. */
static struct verdict judge_path(const STACK_OF(X509) * path, int depth)
{
	size_t i, n = sk_X509_num(path);
	int n_intermediate = 0;
	X509 *x509;

	for (i = 0; i < n; i++) {
		bool anchor = i == n - 1;

		x509 = sk_X509_value(path, i);
		if (!is_strong_key(x509))
			return (struct verdict){ X509_V_ERR_CERT_REJECTED,
						 "its key is too weak, or of an unknown kind", i };
		if (anchor) /* trusted as it is: nothing else in it proves anything */
			break;
		if (!is_strong_signature(x509))
			return (struct verdict){ X509_V_ERR_CERT_REJECTED,
						 "its signature algorithm is too weak", i };
		if (has_policy_constraints(x509))
			return (struct verdict){ X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, NULL, i };
		n_intermediate += i > 0 && !is_self_issued(x509);
		if (n_intermediate > depth)
			return (struct verdict){ X509_V_ERR_CERT_CHAIN_TOO_LONG,
						 "the chain is longer than option depth allows",
						 i };
	}
	return (struct verdict){ 0 };
}

static struct verdict judge_revocation(const struct sluice_profile *profile,
				       const STACK_OF(X509) * path, int64_t now_s)
{
	struct crl_verdict crl = { 0 };

	crl_check_path(&profile->crl, path, now_s, &crl);
	return (struct verdict){ crl.x509_error, crl.reason, crl.index };
}

/*
 * RFC 5280, 4.1.2.5: a certificate is valid up to and including notAfter; for BoringSSL that second
 * is too late.
 */
static int on_error(int ok, X509_STORE_CTX *ctx)
{
	const int64_t *now_s = X509_STORE_CTX_get_app_data(ctx);
	int64_t not_after_s;

	if (ok || X509_STORE_CTX_get_error(ctx) != X509_V_ERR_CERT_HAS_EXPIRED)
		return ok;
	if (!pem_time(X509_get0_notAfter(X509_STORE_CTX_get_current_cert(ctx)), &not_after_s) ||
	    not_after_s != *now_s)
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

/* Sets what the path must be like. Returns 0 or an X.509 error. */
static int prepare(X509_STORE_CTX *ctx, const struct sluice_profile *profile, X509 *leaf,
		   const char *name, int64_t *now_s)
{
	bool client = profile->role == SLUICE_CLIENT;
	X509_VERIFY_PARAM *param;

	if (!X509_STORE_CTX_set_default(ctx, client ? "ssl_server" : "ssl_client") ||
	    !X509_STORE_CTX_set_app_data(ctx, now_s))
		return X509_V_ERR_UNSPECIFIED;
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_TRUSTED_FIRST);
	/* Lets the certificate itself be the anchor; no other can be, as it has no other issuer. */
	if (is_self_signed(leaf))
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_depth(param, profile->depth + 1 + MAX_SELF_ISSUED);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)*now_s);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	if (client && name && !set_name(param, name))
		return X509_V_ERR_HOSTNAME_MISMATCH;
	return 0;
}

static struct verdict judge(const struct sluice_profile *profile, X509 *leaf,
			    STACK_OF(X509) * certs, const char *name)
{
	struct verdict verdict = { X509_V_ERR_OUT_OF_MEM };
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int64_t now_s = sys->wall_s();

	if (!ctx || !X509_STORE_CTX_init(ctx, profile->trust, leaf, certs))
		goto out;
	verdict.x509_error = prepare(ctx, profile, leaf, name, &now_s);
	if (verdict.x509_error)
		goto out;
	if (X509_verify_cert(ctx) == 1) {
		verdict = judge_path(X509_STORE_CTX_get0_chain(ctx), profile->depth);
		if (!verdict.x509_error)
			verdict = judge_revocation(profile, X509_STORE_CTX_get0_chain(ctx), now_s);
	} else {
		verdict.x509_error = X509_STORE_CTX_get_error(ctx);
		verdict.index = (size_t)X509_STORE_CTX_get_error_depth(ctx);
		if (!verdict.x509_error)
			verdict.x509_error = X509_V_ERR_UNSPECIFIED;
		if (verdict.x509_error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY &&
		    !verdict.index && is_self_signed(leaf))
			verdict.x509_error = X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT;
		/* A BoringSSL that evaluates policies finds none of ours: the same verdict. */
		if (verdict.x509_error == X509_V_ERR_NO_EXPLICIT_POLICY ||
		    verdict.x509_error == X509_V_ERR_INVALID_POLICY_EXTENSION)
			verdict.x509_error = X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION;
	}
out:
	X509_STORE_CTX_free(ctx);
	return verdict;
}

/* --- the chain as it came ------------------------------------------------------------------- */

/* Parses @chain. Returns 0 or a verdict. */
static struct verdict parse_chain(STACK_OF(X509) * certs, const STACK_OF(CRYPTO_BUFFER) * chain)
{
	struct verdict verdict = { 0 };
	size_t i, n = sk_CRYPTO_BUFFER_num(chain);
	X509 *x509;

	for (i = 0; !verdict.x509_error && i < n; i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
		if (!x509) {
			verdict = (struct verdict){ X509_V_ERR_CERT_REJECTED, "it cannot be parsed",
						    i };
		} else if (!sk_X509_push(certs, x509)) {
			X509_free(x509);
			verdict = (struct verdict){ X509_V_ERR_OUT_OF_MEM };
		}
	}
	return verdict;
}

int verify_chain(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		 const char *name, uint8_t *ret_alert, struct sluice_error *ret_err)
{
	struct verdict verdict = { X509_V_ERR_OUT_OF_MEM };
	STACK_OF(X509) * certs;

	if (!profile->verify_peer)
		return 0;
	if (!chain || !sk_CRYPTO_BUFFER_num(chain)) {
		if (profile->role == SLUICE_SERVER && !profile->fail_if_no_peer_cert)
			return 0;
		*ret_alert = SLUICE_ALERT_CERTIFICATE_REQUIRED;
		return err_set(ret_err, SLUICE_E_NO_PEERCERT, "the peer sent no certificate");
	}
	certs = sk_X509_new_null();
	if (certs)
		verdict = parse_chain(certs, chain);
	if (!verdict.x509_error && !profile->trust)
		verdict = (struct verdict){ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY };
	if (!verdict.x509_error)
		verdict = judge(profile, sk_X509_value(certs, 0), certs, name);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return verdict.x509_error ? refuse(&verdict, name, ret_alert, ret_err) : 0;
}
