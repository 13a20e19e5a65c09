// SPDX-License-Identifier: Apache-2.0
/*
 * The issuer of a CRL. Mostly it is on the peer's path, which is valid. A CA may have another key for its
 * CRLs, or leave them to somebody else: that certificate comes with the connection, and may be the peer's
 * invention. It counts once it has a path to the same trust anchor; only then is a CRL hashed for its key.
 */
#include "crl/signer.h"

#include <openssl/asn1.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "verify/path.h"

void crl_signers_init(struct crl_signers *signers, const struct crl_check *check,
		      const struct verify_request *request, const STACK_OF(X509) * path)
{
	*signers = (struct crl_signers){
		.check = check,
		.request = request,
		.path = path,
		.budget = { CRL_MAX_SIGNER_STEPS, CRL_MAX_SIGNER_SIGNATURES },
	};
}

static bool has_name(const struct sluice_crl *crl, const X509 *x509)
{
	return !X509_NAME_cmp(X509_get_subject_name(x509), X509_CRL_get_issuer(crl->x509));
}

static bool may_sign_crls(X509 *x509)
{
	/* UINT32_MAX without the extension. */
	return X509_get_key_usage(x509) & X509v3_KU_CRL_SIGN;
}

enum crl_signed crl_signed_by_path(struct sluice_crl *crl, const STACK_OF(X509) * path,
				   size_t index)
{
	enum crl_signed found = CRL_NOBODY;
	X509 *issuer;
	size_t i;

	/* A CA that has changed its key is in the path more than once, and signs with one of them. */
	for (i = index; i < sk_X509_num(path); i++) {
		issuer = sk_X509_value(path, i);
		if (!has_name(crl, issuer))
			continue;
		if (!may_sign_crls(issuer)) {
			if (found == CRL_NOBODY)
				found = CRL_NO_SIGNER;
			continue;
		}
		if (crl_is_signed_by(crl, issuer))
			return CRL_SIGNED;
		found = CRL_UNSIGNED;
	}
	return found;
}

/* --- the path of a CRL issuer ----------------------------------------------------------------- */

bool crl_is_on_path(const STACK_OF(X509) * path, const X509 *x509)
{
	size_t i;

	for (i = 0; i < sk_X509_num(path); i++)
		if (!X509_cmp(sk_X509_value(path, i), x509))
			return true;
	return false;
}

static bool push(STACK_OF(X509) * certs, X509 *x509)
{
	return sk_X509_num(certs) >= PATH_MAX_CERTS || sk_X509_push(certs, x509);
}

/* The certificate, and what its path may be made of: what was sent, and intermediates that are trusted. */
static STACK_OF(X509) * collect(const struct crl_signers *signers, X509 *x509)
{
	const STACK_OF(X509_OBJECT) *trusted = X509_STORE_get0_objects(signers->request->trust);
	const STACK_OF(X509) *sent = signers->request->certs;
	STACK_OF(X509) *certs = sk_X509_new_null();
	bool ok = certs && push(certs, x509);
	X509 *other;
	size_t i;

	for (i = 1; ok && i < sk_X509_num(sent); i++)
		ok = push(certs, sk_X509_value(sent, i));
	for (i = 0; ok && i < sk_X509_OBJECT_num(trusted); i++) {
		other = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
		if (other &&
		    X509_NAME_cmp(X509_get_subject_name(other), X509_get_issuer_name(other)))
			ok = push(certs, other);
	}
	if (ok)
		return certs;
	sk_X509_free(certs);
	return NULL;
}

static bool find_path(struct crl_signers *signers, X509 *x509, struct verify_verdict *verdict)
{
	const STACK_OF(X509) *path = signers->path;
	const struct verify_policies any = { 0 };
	struct verify_request request = *signers->request;

	request.certs = collect(signers, x509);
	request.trust = X509_STORE_new();
	request.name = NULL;
	request.budget = &signers->budget;
	request.any_purpose = true;
	request.partial_chain = true; /* the same anchor: RFC 5280, 6.3.3 (f) */
	request.policies = request.policies ? &any : NULL;
	verdict->x509_error = X509_V_ERR_OUT_OF_MEM;
	if (request.certs && request.trust &&
	    X509_STORE_add_cert(request.trust, sk_X509_value(path, sk_X509_num(path) - 1)))
		verify_run(verdict, &request);
	sk_X509_free(request.certs);
	X509_STORE_free(request.trust);
	signers->nomem |= verdict->x509_error == X509_V_ERR_OUT_OF_MEM;
	return !verdict->x509_error;
}

static enum crl_signed judge(struct crl_signers *signers, X509 *x509)
{
	struct verify_verdict verdict = { 0 };
	enum crl_signed judged = CRL_UNSIGNED;

	if (find_path(signers, x509, &verdict))
		judged = crl_check_signer(signers, verdict.path) ? CRL_SIGNED : CRL_SIGNER_REVOKED;
	verify_verdict_clear(&verdict);
	return judged;
}

/* Judges each certificate once, and no more than there may be. */
static enum crl_signed judge_once(struct crl_signers *signers, X509 *x509)
{
	enum crl_signed judged;
	size_t i;

	for (i = 0; i < signers->n_known; i++)
		if (!X509_cmp(signers->known[i].cert, x509))
			return signers->known[i].verdict;
	if (signers->n_known == CRL_MAX_SIGNERS)
		return CRL_UNSIGNED;
	judged = judge(signers, x509);
	signers->known[signers->n_known].cert = x509;
	signers->known[signers->n_known++].verdict = judged;
	return judged;
}

/* --- candidates ------------------------------------------------------------------------------- */

/* Do the key identifiers allow it? They need not be there. */
static bool has_key_id(const struct sluice_crl *crl, X509 *x509)
{
	AUTHORITY_KEYID *akid =
		X509_CRL_get_ext_d2i(crl->x509, NID_authority_key_identifier, NULL, NULL);
	const ASN1_OCTET_STRING *id = X509_get0_subject_key_id(x509);
	bool may = !akid || !akid->keyid || !id || !ASN1_OCTET_STRING_cmp(akid->keyid, id);

	AUTHORITY_KEYID_free(akid);
	return may;
}

static enum crl_signed try_other(struct crl_signers *signers, struct sluice_crl *crl, X509 *x509,
				 const X509 *subject)
{
	enum crl_signed judged;

	/* A certificate does not speak for itself, and those of the path have been tried. */
	if (!has_name(crl, x509) || crl_is_on_path(signers->path, x509) || !X509_cmp(x509, subject))
		return CRL_NOBODY;
	if (!may_sign_crls(x509))
		return CRL_NO_SIGNER;
	if (!has_key_id(crl, x509))
		return CRL_NOBODY;
	judged = judge_once(signers, x509);
	if (judged != CRL_SIGNED)
		return judged;
	return crl_is_signed_by(crl, x509) ? CRL_SIGNED : CRL_UNSIGNED;
}

enum crl_signed crl_signed_by_other(struct crl_signers *signers, struct sluice_crl *crl,
				    const X509 *subject)
{
	const STACK_OF(X509_OBJECT) * trusted;
	const STACK_OF(X509) *sent = signers->request->certs;
	enum crl_signed tried, found = CRL_NOBODY;
	X509 *x509;
	size_t i, n_trusted;

	if (!signers->request->trust)
		return CRL_NOBODY;
	trusted = X509_STORE_get0_objects(signers->request->trust);
	n_trusted = sk_X509_OBJECT_num(trusted);
	for (i = 0; i < n_trusted + sk_X509_num(sent); i++) {
		if (i < n_trusted)
			x509 = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(trusted, i));
		else
			x509 = sk_X509_value(sent, i - n_trusted);
		tried = x509 ? try_other(signers, crl, x509, subject) : CRL_NOBODY;
		if (tried == CRL_SIGNED)
			return tried;
		if (tried != CRL_NOBODY)
			found = tried;
	}
	return found;
}
