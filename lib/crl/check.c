// SPDX-License-Identifier: Apache-2.0
/*
 * CRLs against a path that has been validated (RFC 5280, 6.3.3). Called at stage VERIFY. A CRL that
 * is not evidence (another's, expired, out of scope, badly signed) is as good as none; it must never
 * make a status "not revoked". A CRL that lists the certificate is enough to refuse it, whatever
 * others say; that it is not revoked takes CRLs for every reason.
 */
#include "crl/check.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/mem.h>

#include "core/error.h"
#include "crl/crl.h"
#include "crl/point.h"
#include "verify/strength.h"

#define UNDETERMINED(why) "its revocation status is undetermined: " why

/* struct status - what is known of one certificate. */
struct status {
	const struct crl_check *check;
	const STACK_OF(X509) * path;
	size_t index; /* of @cert in @path */
	X509 *cert;
	int64_t now_s;
	unsigned int reasons; /* those for which it is known not to be revoked */
	bool revoked, failed; /* failed: CRLs may be missing */
	int crl_reason;
	int x509_error; /* why a CRL was no evidence; 0: there was none */
	const char *why;
};

static const char *const revoked_texts[] = {
	"it has been revoked",
	"it has been revoked: keyCompromise",
	"it has been revoked: cACompromise",
	"it has been revoked: affiliationChanged",
	"it has been revoked: superseded",
	"it has been revoked: cessationOfOperation",
	"it has been revoked: certificateHold",
	"it has been revoked",
	"it has been revoked",
	"it has been revoked: privilegeWithdrawn",
	"it has been revoked: aACompromise",
};

static const char *revoked_text(int reason)
{
	int n = (int)(sizeof(revoked_texts) / sizeof(revoked_texts[0]));

	return revoked_texts[reason >= 0 && reason < n ? reason : 0];
}

/* --- one CRL ---------------------------------------------------------------------------------- */

/* Keeps why a CRL was no evidence; one that came close tells more than one of another scope. */
static bool reject(struct status *status, int x509_error, const char *why)
{
	if (!status->x509_error || status->x509_error == X509_V_ERR_DIFFERENT_CRL_SCOPE) {
		status->x509_error = x509_error;
		status->why = why;
	}
	return false;
}

/* Whether @crl is about the certificate, if found by @point. */
static bool is_in_scope(const struct sluice_crl *crl, const struct crl_point *point, X509 *cert)
{
	bool is_ca = X509_get_extension_flags(cert) & EXFLAG_CA;
	const ISSUING_DIST_POINT *idp = crl->idp;

	if (!idp)
		return true;
	if (idp->onlyattr || (idp->onlyuser && is_ca) || (idp->onlyCA && !is_ca))
		return false;
	return !idp->distpoint || crl_point_matches(point, idp->distpoint);
}

static bool may_sign_crls(X509 *issuer)
{
	/* UINT32_MAX without the extension. */
	return X509_get_key_usage(issuer) & X509v3_KU_CRL_SIGN;
}

/*
 * Whether the issuer has signed @crl. A CA that has changed its key is in the path more than once,
 * by certificates that it has issued to itself, and signs with one of its keys.
 */
static bool is_signed(struct status *status, struct sluice_crl *crl)
{
	const X509_NAME *name = X509_get_issuer_name(status->cert);
	bool may = false;
	X509 *issuer;
	size_t i;

	for (i = status->index + 1; i < sk_X509_num(status->path); i++) {
		issuer = sk_X509_value(status->path, i);
		if (X509_NAME_cmp(X509_get_subject_name(issuer), name))
			break;
		if (!may_sign_crls(issuer))
			continue;
		may = true;
		if (crl_is_signed_by(crl, issuer))
			return true;
	}
	if (!may)
		return reject(status, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN,
			      UNDETERMINED("its issuer may not sign CRLs"));
	return reject(status, X509_V_ERR_CRL_SIGNATURE_FAILURE,
		      UNDETERMINED("the CRL's signature is wrong"));
}

/* Whether @crl proves anything about the certificate. The cheap questions go first. */
static bool is_evidence(struct status *status, struct sluice_crl *crl,
			const struct crl_point *point)
{
	const X509_ALGOR *algorithm;

	if (X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), X509_get_issuer_name(status->cert)))
		return reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
			      UNDETERMINED("the CRL is by another issuer"));
	if (!is_in_scope(crl, point, status->cert))
		return reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
			      UNDETERMINED("the CRL is not about it"));
	if (crl->this_update_s > status->now_s)
		return reject(status, X509_V_ERR_CRL_NOT_YET_VALID,
			      UNDETERMINED("the CRL is not valid yet"));
	/* RFC 5280, 5.1.2.5: there must be a next update; without one it would be valid forever. */
	if (crl->next_update_s < status->now_s)
		return reject(status, X509_V_ERR_CRL_HAS_EXPIRED,
			      UNDETERMINED("the CRL has expired"));
	X509_CRL_get0_signature(crl->x509, NULL, &algorithm);
	if (!strength_is_strong_algorithm(algorithm))
		return reject(status, X509_V_ERR_CRL_SIGNATURE_FAILURE,
			      UNDETERMINED("the CRL's signature algorithm is too weak"));
	return is_signed(status, crl);
}

/* Returns whether @crl was evidence. */
static bool evaluate(struct status *status, struct sluice_crl *crl, const struct crl_point *point)
{
	if (!is_evidence(status, crl, point))
		return false;
	if (crl_revoked(crl, X509_get0_serialNumber(status->cert), &status->crl_reason))
		status->revoked = true;
	else
		status->reasons |= crl->reasons & point->public.reasons;
	return true;
}

/*
 * Asks for a newer one before it counts. One that is no evidence cannot take another's place: whoever
 * can put a CRL into a cache could make a good one disappear.
 */
static void consider(struct status *status, struct sluice_crl *crl, const struct crl_point *point)
{
	const struct crl_check *check = status->check;
	struct sluice_crl *fresh = NULL;

	if (check->ops->fresh_crl) {
		fresh = check->ops->fresh_crl(check->db, check->args, &point->public, crl);
		status->failed |= !fresh;
	}
	if (!fresh || fresh == crl || !evaluate(status, fresh, point))
		evaluate(status, crl, point);
	sluice_crl_unref(fresh);
}

static void consider_all(struct status *status, const struct sluice_crl_found *found,
			 const struct crl_point *point)
{
	size_t i;

	for (i = 0; !status->revoked && i < found->list.n; i++)
		consider(status, found->list.crls[i], point);
}

/* --- one certificate -------------------------------------------------------------------------- */

/* Takes the result of an operation. Errors: NOMEM alone; the rest leaves the status open. */
static int answered(struct status *status, int r)
{
	if (r < 0 && r != -SLUICE_E_NOMEM)
		status->failed = true;
	return r == -SLUICE_E_NOMEM ? r : 0;
}

static int select_by_issuer(struct status *status, struct sluice_crl_found *found)
{
	const struct crl_check *check = status->check;
	uint8_t *issuer = NULL;
	int len, r;

	if (!check->ops->select)
		return 0;
	len = i2d_X509_NAME(X509_get_issuer_name(status->cert), &issuer);
	if (len < 0)
		return err_bssl();
	r = check->ops->select(check->db, check->args, issuer, (size_t)len, found);
	OPENSSL_free(issuer);
	return answered(status, r);
}

static int check_point(struct status *status, const struct crl_point *point,
		       const struct sluice_crl_found *by_issuer)
{
	const struct crl_check *check = status->check;
	struct sluice_crl_found found = { 0 };
	int r = 0;

	if (crl_point_is_indirect(point)) {
		reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
		       UNDETERMINED("its CRLs are indirect, which are not evaluated"));
		return 0;
	}
	if (check->ops->lookup)
		r = answered(status,
			     check->ops->lookup(check->db, check->args, &point->public, &found));
	if (!r)
		consider_all(status, &found, point);
	crl_list_clear(&found.list);
	if (!r)
		consider_all(status, by_issuer, point);
	return r;
}

/* Finds out everything about one certificate. Errors: NOMEM. */
static int check_cert(struct status *status)
{
	struct sluice_crl_found by_issuer = { 0 };
	struct crl_points points;
	size_t i;
	int r = crl_points_get(&points, status->cert);

	if (r < 0)
		return r;
	status->failed = points.malformed;
	r = select_by_issuer(status, &by_issuer);
	for (i = 0; !r && !status->revoked && i < points.n; i++)
		r = check_point(status, &points.points[i], &by_issuer);
	crl_list_clear(&by_issuer.list);
	crl_points_clear(&points);
	return r;
}

/* --- the path --------------------------------------------------------------------------------- */

static struct crl_verdict judge(const struct status *status)
{
	struct crl_verdict verdict = { 0 };

	if (status->revoked) {
		verdict.x509_error = X509_V_ERR_CERT_REVOKED;
		verdict.reason = revoked_text(status->crl_reason);
		verdict.crl_reason = status->crl_reason;
	} else if (status->failed) {
		verdict.x509_error = X509_V_ERR_UNABLE_TO_GET_CRL;
		verdict.reason = UNDETERMINED("CRLs could not be read");
	} else if (status->reasons != SLUICE_CRL_REASONS_ALL && status->reasons) {
		verdict.x509_error = X509_V_ERR_UNABLE_TO_GET_CRL;
		verdict.reason = UNDETERMINED("there are CRLs for some reasons only");
	} else if (!status->reasons) {
		verdict.x509_error = X509_V_ERR_UNABLE_TO_GET_CRL;
		verdict.reason = UNDETERMINED("there is no CRL of its issuer");
		if (status->x509_error) {
			verdict.x509_error = status->x509_error;
			verdict.reason = status->why;
		}
	}
	return verdict;
}

static struct crl_verdict check_at(const struct crl_check *check,
				   const struct verify_request *request,
				   const STACK_OF(X509) * path, size_t i)
{
	struct status status = {
		.check = check,
		.path = path,
		.index = i,
		.cert = sk_X509_value(path, i),
		.now_s = request->now_s,
	};
	struct crl_verdict verdict;
	int r = check_cert(&status);

	if (r < 0)
		verdict = (struct crl_verdict){ X509_V_ERR_OUT_OF_MEM, NULL, 0, 0 };
	else
		verdict = judge(&status);
	verdict.index = i;
	ERR_clear_error();
	return verdict;
}

static bool is_final(int x509_error)
{
	return x509_error == X509_V_ERR_CERT_REVOKED || x509_error == X509_V_ERR_OUT_OF_MEM;
}

int crl_check_path(const struct crl_check *check, const struct verify_request *request,
		   const STACK_OF(X509) * path, struct crl_verdict *ret_verdict)
{
	struct crl_verdict verdict, open = { 0 };
	size_t i, n = sk_X509_num(path);

	if (check->mode == CRL_CHECK_FALSE)
		return 0;
	n = n ? n - 1 : 0; /* no CRL is demanded for the trust anchor */
	if (check->mode == CRL_CHECK_PEER && n > 1)
		n = 1;
	for (i = 0; i < n; i++) {
		verdict = check_at(check, request, path, i);
		if (is_final(verdict.x509_error)) {
			*ret_verdict = verdict;
			return verdict.x509_error;
		}
		if (!open.x509_error)
			open = verdict;
	}
	if (!open.x509_error || check->mode == CRL_CHECK_BEST_EFFORT)
		return 0;
	*ret_verdict = open;
	return open.x509_error;
}

void crl_check_verdict(struct verify_verdict *verdict, const struct crl_check *check,
		       const struct verify_request *request)
{
	struct crl_verdict crl = { 0 };

	if (verdict->x509_error || !crl_check_path(check, request, verdict->path, &crl))
		return;
	verify_verdict_refuse(verdict, crl.x509_error, crl.reason, crl.index);
	verdict->crl_reason = crl.crl_reason;
}
