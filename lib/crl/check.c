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
#include "crl/signer.h"
#include "fetch/fetch.h"
#include "verify/reason.h"
#include "verify/strength.h"

#define UNDETERMINED(why) "its revocation status is undetermined: " why

/* struct status - what is known of one certificate. */
struct status {
	const struct crl_check *check;
	struct crl_signers *signers;
	bool of_signer;              /* of a CRL issuer's path, and not the peer's */
	const STACK_OF(X509) * path; /* that @cert is on */
	size_t index;                /* of @cert in @path */
	X509 *cert;
	int64_t now_s;
	unsigned int reasons; /* those for which it is known not to be revoked */
	bool revoked, failed; /* failed: CRLs may be missing */
	int crl_reason;
	int x509_error; /* why a CRL was no evidence; 0: there was none */
	const char *why;
	struct crl_status *told; /* NULL: nobody asks from where it is known */
};

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

/* Whether somebody has signed @crl who may. */
static bool is_signed(struct status *status, struct sluice_crl *crl)
{
	struct crl_signers *signers = status->signers;
	enum crl_signed found, other = CRL_NOBODY;

	/* A CRL issuer's own status may be in its own CRL: there is no other (PKITS, 4.14.30). */
	if (status->of_signer && !status->index)
		found = crl_signed_by_path(crl, status->path, 0);
	else
		found = crl_signed_by_path(crl, status->path, status->index + 1);
	if (found != CRL_SIGNED && status->of_signer)
		other = crl_signed_by_path(crl, signers->path, 1);
	else if (found != CRL_SIGNED)
		other = crl_signed_by_other(signers, crl, status->cert);
	if (other != CRL_NOBODY && found != CRL_SIGNED)
		found = other;
	switch (found) {
	case CRL_SIGNED:
		return true;
	case CRL_UNSIGNED:
		return reject(status, X509_V_ERR_CRL_SIGNATURE_FAILURE,
			      UNDETERMINED("the CRL's signature is wrong"));
	case CRL_NO_SIGNER:
		return reject(status, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN,
			      UNDETERMINED("its issuer may not sign CRLs"));
	case CRL_SIGNER_REVOKED:
		return reject(status, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,
			      UNDETERMINED("the CRL's issuer is revoked, or its status is open"));
	default:
		return reject(status, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,
			      UNDETERMINED("there is no certificate of the CRL's issuer"));
	}
}

/* RFC 5280, 6.3.3 (b) (1): by the certificate's issuer, or by whom the point names instead. */
static bool is_by_issuer(const struct sluice_crl *crl, const struct crl_point *point, X509 *cert)
{
	const X509_NAME *name = X509_CRL_get_issuer(crl->x509);

	if (!crl_point_is_indirect(point))
		return !X509_NAME_cmp(name, X509_get_issuer_name(cert));
	return crl_is_indirect(crl) && crl_names_have(point->point->CRLissuer, name);
}

/* Whether @crl proves anything about the certificate, if it has not expired. */
static bool is_evidence(struct status *status, struct sluice_crl *crl,
			const struct crl_point *point)
{
	const X509_ALGOR *algorithm;

	if (!is_by_issuer(crl, point, status->cert))
		return reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
			      UNDETERMINED("the CRL is by another issuer"));
	if (!is_in_scope(crl, point, status->cert))
		return reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
			      UNDETERMINED("the CRL is not about it"));
	if (crl->this_update_s > status->now_s)
		return reject(status, X509_V_ERR_CRL_NOT_YET_VALID,
			      UNDETERMINED("the CRL is not valid yet"));
	X509_CRL_get0_signature(crl->x509, NULL, &algorithm);
	if (!strength_is_strong_algorithm(algorithm))
		return reject(status, X509_V_ERR_CRL_SIGNATURE_FAILURE,
			      UNDETERMINED("the CRL's signature algorithm is too weak"));
	return true;
}

/* RFC 5280, 5.1.2.5: there must be a next update; without one it would be valid forever. */
static bool has_expired(const struct status *status, const struct sluice_crl *crl)
{
	return crl->next_update_s < status->now_s;
}

/* --- delta CRLs ------------------------------------------------------------------------------- */

/* struct pool - where CRLs about a certificate come from at one of its points. */
struct pool {
	const struct crl_point *point;
	const struct sluice_crl_found *found[3]; /* there, by its issuer, and at freshest CRLs */
};

/* The newest of @found that completes @crl and is not as old as @best; the cheap questions go first. */
static struct sluice_crl *newer_delta(struct status *status, const struct pool *pool,
				      const struct sluice_crl *crl, struct sluice_crl *best,
				      const struct sluice_crl_found *found)
{
	struct sluice_crl *delta;
	size_t i;

	for (i = 0; i < found->list.n; i++) {
		delta = found->list.crls[i];
		if (crl_completes(delta, crl) && (!best || crl_supersedes(delta, best)) &&
		    !has_expired(status, delta) && is_evidence(status, delta, pool->point) &&
		    is_signed(status, delta))
			best = delta;
	}
	return best;
}

static struct sluice_crl *find_delta(struct status *status, const struct pool *pool,
				     const struct sluice_crl *crl)
{
	struct sluice_crl *best = NULL;
	size_t i;

	if (crl->number_len)
		for (i = 0; i < sizeof(pool->found) / sizeof(pool->found[0]); i++)
			best = newer_delta(status, pool, crl, best, pool->found[i]);
	return best;
}

/* --- a complete CRL --------------------------------------------------------------------------- */

/* A CRL that lists the certificate is the one that counts; else the first is named, and the earliest end. */
static void tell(struct status *status, struct sluice_crl *crl, const struct sluice_crl *delta)
{
	struct crl_status *told = status->told;
	int64_t until_s = (delta ? delta : crl)->next_update_s;

	if (!told)
		return;
	if (told->crl && !status->revoked) {
		told->until_s = until_s < told->until_s ? until_s : told->until_s;
		return;
	}
	sluice_crl_unref(told->crl);
	told->crl = sluice_crl_ref(crl);
	told->by_delta = delta;
	told->until_s = until_s;
}

/* Returns whether @crl was evidence. */
static bool evaluate(struct status *status, struct sluice_crl *crl, const struct pool *pool)
{
	enum crl_listing listing = CRL_NOT_LISTED;
	struct sluice_crl *delta;

	if (!is_evidence(status, crl, pool->point))
		return false;
	/* One that has expired serves as the base of a delta that has not: RFC 5280, 6.3.3 (a). */
	delta = find_delta(status, pool, crl);
	if (!delta && has_expired(status, crl))
		return reject(status, X509_V_ERR_CRL_HAS_EXPIRED,
			      UNDETERMINED("the CRL has expired"));
	if (!is_signed(status, crl))
		return false;
	if (delta)
		listing = crl_find(delta, status->cert, &status->crl_reason);
	if (listing == CRL_NOT_LISTED)
		listing = crl_find(crl, status->cert, &status->crl_reason);
	if (listing == CRL_REVOKED)
		status->revoked = true;
	else
		status->reasons |= crl->reasons & pool->point->public.reasons;
	tell(status, crl, delta);
	return true;
}

/*
 * Asks for a newer one before it counts. One that is no evidence cannot take another's place: whoever
 * can put a CRL into a cache could make a good one disappear.
 */
static void consider(struct status *status, struct sluice_crl *crl, const struct pool *pool)
{
	const struct crl_check *check = status->check;
	struct sluice_crl *fresh = NULL;

	if (check->ops->fresh_crl) {
		fresh = check->ops->fresh_crl(check->db, check->args, &pool->point->public, crl);
		status->failed |= !fresh;
	}
	if (!fresh || fresh == crl || fresh->is_delta || !evaluate(status, fresh, pool))
		evaluate(status, crl, pool);
	sluice_crl_unref(fresh);
}

static void consider_all(struct status *status, const struct sluice_crl_found *found,
			 const struct pool *pool)
{
	size_t i;

	for (i = 0; !status->revoked && i < found->list.n; i++) {
		if (!found->list.crls[i]->is_delta)
			consider(status, found->list.crls[i], pool);
		else
			reject(status, X509_V_ERR_DIFFERENT_CRL_SCOPE,
			       UNDETERMINED("there is a delta CRL alone"));
	}
}

/* --- one certificate -------------------------------------------------------------------------- */

/* Takes the result of an operation. Errors: NOMEM alone; the rest leaves the status open. */
static int answered(struct status *status, int r)
{
	if (r < 0 && r != -SLUICE_E_NOMEM)
		status->failed = true;
	return r == -SLUICE_E_NOMEM ? r : 0;
}

static int select_by(struct status *status, X509_NAME *name, struct sluice_crl_found *found)
{
	const struct crl_check *check = status->check;
	uint8_t *issuer = NULL;
	int len, r;

	if (!check->ops->select)
		return 0;
	len = i2d_X509_NAME(name, &issuer);
	if (len < 0)
		return err_bssl();
	r = check->ops->select(check->db, check->args, issuer, (size_t)len, found);
	OPENSSL_free(issuer);
	return answered(status, r);
}

static int lookup(struct status *status, const struct crl_point *point,
		  struct sluice_crl_found *found)
{
	const struct crl_check *check = status->check;

	if (!check->ops->lookup)
		return 0;
	return answered(status, check->ops->lookup(check->db, check->args, &point->public, found));
}

/* Deltas that @crl (or the certificate, without one) says where to find; others are found by issuer. */
static int lookup_freshest(struct status *status, const X509_CRL *crl,
			   struct sluice_crl_found *found)
{
	struct crl_points points;
	size_t i;
	int r = crl_points_freshest(&points, status->cert, crl);

	if (r < 0)
		return r;
	for (i = 0; !r && i < points.n; i++)
		r = lookup(status, &points.points[i], found);
	crl_points_clear(&points);
	return r;
}

static int lookup_all_freshest(struct status *status, const struct pool *pool,
			       struct sluice_crl_found *freshest)
{
	const struct sluice_crl_found *found;
	size_t i, j;
	int r = lookup_freshest(status, NULL, freshest);

	for (i = 0; i < 2; i++) {
		found = pool->found[i];
		for (j = 0; !r && j < found->list.n; j++)
			if (!found->list.crls[j]->is_delta)
				r = lookup_freshest(status, found->list.crls[j]->x509, freshest);
	}
	return r;
}

static int check_pool(struct status *status, struct pool *pool)
{
	struct sluice_crl_found freshest = { 0 };
	int r = lookup_all_freshest(status, pool, &freshest);

	pool->found[2] = &freshest;
	if (!r) {
		consider_all(status, pool->found[0], pool);
		consider_all(status, pool->found[1], pool);
	}
	crl_list_clear(&freshest.list);
	return r;
}

static int check_point(struct status *status, const struct crl_point *point,
		       const struct sluice_crl_found *by_issuer)
{
	struct sluice_crl_found found = { 0 };
	struct pool pool = { point, { &found, by_issuer } };
	X509_NAME *other = crl_point_is_indirect(point) ? crl_point_issuer(point) : NULL;
	int r = lookup(status, point, &found);

	if (!r && other)
		r = select_by(status, other, &found);
	if (!r)
		r = check_pool(status, &pool);
	crl_list_clear(&found.list);
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
	r = select_by(status, X509_get_issuer_name(status->cert), &by_issuer);
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
		verdict.reason = bad_cert_revoked_text(status->crl_reason);
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

static struct crl_verdict check_at(struct crl_signers *signers, const STACK_OF(X509) * path,
				   size_t i, bool of_signer, struct crl_status *told)
{
	struct status status = {
		.check = signers->check,
		.signers = signers,
		.of_signer = of_signer,
		.path = path,
		.index = i,
		.cert = sk_X509_value(path, i),
		.now_s = signers->request->now_s,
		.told = told,
	};
	struct crl_verdict verdict;
	int r = check_cert(&status);

	if (r < 0 || signers->nomem)
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
	struct crl_signers signers;
	size_t i, n = sk_X509_num(path);

	if (check->mode == CRL_CHECK_FALSE)
		return 0;
	fetch_budget_begin();
	n = n ? n - 1 : 0; /* no CRL is demanded for the trust anchor */
	if (check->mode == CRL_CHECK_PEER && n > 1)
		n = 1;
	crl_signers_init(&signers, check, request, path);
	for (i = 0; i < n; i++) {
		verdict = check_at(&signers, path, i, false, NULL);
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

void crl_check_cert(const struct crl_check *check, const struct verify_request *request,
		    const STACK_OF(X509) * path, size_t index, struct crl_status *ret_status)
{
	struct crl_signers signers;

	*ret_status = (struct crl_status){ 0 };
	fetch_budget_begin();
	crl_signers_init(&signers, check, request, path);
	ret_status->verdict = check_at(&signers, path, index, false, ret_status);
}

bool crl_check_signer(struct crl_signers *signers, const STACK_OF(X509) * path)
{
	bool strict = signers->check->mode == CRL_CHECK_TRUE;
	struct crl_verdict verdict;
	size_t i;

	for (i = 0; i + 1 < sk_X509_num(path); i++) {
		if (crl_is_on_path(signers->path, sk_X509_value(path, i)))
			continue;
		verdict = check_at(signers, path, i, true, NULL);
		signers->nomem |= verdict.x509_error == X509_V_ERR_OUT_OF_MEM;
		if (is_final(verdict.x509_error) || (verdict.x509_error && strict))
			return false;
	}
	return true;
}

bool crl_check_waits(const struct crl_check *check)
{
	return check->mode != CRL_CHECK_FALSE && check->ops == &sluice_crl_internal_ops &&
	       fetch_args_wait(check->args);
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
