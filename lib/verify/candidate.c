/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One path judged. BoringSSL gets exactly this path: its certificates and a store with nothing but
 * the anchor. Before that comes what it accepts and we do not, which is also the cheaper part: weak
 * signatures and keys, critical policy constraints that nobody evaluates, more than option depth, or
 * than a root lets be below it.
 */
#include "verify/candidate.h"

#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include <sluice/verify.h>

#include "verify/constraints.h"
#include "verify/strength.h"

static struct verify_verdict refused(int x509_error, const char *reason, size_t index)
{
	return (struct verify_verdict){ .x509_error = x509_error,
					.reason = reason,
					.index = index };
}

/* X.509 has no error of its own for these. */
static struct verify_verdict too_weak(int bad_cert, const char *reason, size_t index)
{
	struct verify_verdict verdict = refused(X509_V_ERR_CERT_REJECTED, reason, index);

	verdict.bad_cert = bad_cert;
	return verdict;
}

/* --- what BoringSSL does not refuse --------------------------------------------------------- */

/*
 * BoringSSL takes these for handled, and not every version evaluates policies; RFC 5280, 4.2 wants a
 * critical extension that is not evaluated to be refused. Policy constraints must be critical
 * (4.2.1.11), and newer versions hold to them in any case: they are refused in any case.
 */
bool candidate_has_policies(const X509 *x509)
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

static bool is_self_issued(const X509 *x509)
{
	return !X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509));
}

/*
 * BoringSSL looks at no extension of an anchor. One that nobody understands may forbid what is being
 * done with it (RFC 5937, 3.2), and one that says of itself that it is no CA's has issued nothing.
 */
struct verify_verdict candidate_check_anchor(X509 *anchor, size_t index)
{
	uint32_t flags = X509_get_extension_flags(anchor);

	if ((flags & EXFLAG_CRITICAL) || candidate_has_policies(anchor))
		return refused(X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, NULL, index);
	if (flags & EXFLAG_INVALID)
		return refused(X509_V_ERR_INVALID_EXTENSION, NULL, index);
	if (index && !(flags & (EXFLAG_CA | EXFLAG_V1)))
		return refused(X509_V_ERR_INVALID_CA, NULL, index);
	return refused(X509_V_OK, NULL, 0);
}

/*
 * RFC 5280, 6.1.4 (l) and (m). BoringSSL does not look at the constraint of a self-issued certificate, and so at
 * no root's.
 */
bool candidate_exceeds_path_len(X509 *issuer, int n_below)
{
	long limit = X509_get_pathlen(issuer);

	return limit >= 0 && n_below > limit;
}

static struct verify_verdict check_certificates(X509 *const *path, size_t n,
						const struct verify_request *request)
{
	int n_intermediates = 0;
	const char *weakness;
	size_t i;

	for (i = 0; i < n; i++) {
		weakness = strength_of_key(path[i]);
		if (weakness)
			return too_weak(SLUICE_BAD_CERT_WEAK_KEY, weakness, i);
		if (i > 0 && candidate_exceeds_path_len(path[i], n_intermediates))
			return refused(X509_V_ERR_PATH_LENGTH_EXCEEDED, NULL, i);
		if (i == n - 1) /* trusted as it is: its signature proves nothing */
			return candidate_check_anchor(path[i], i);
		if (!strength_is_strong_signature(path[i]))
			return too_weak(SLUICE_BAD_CERT_WEAK_SIGNATURE,
					"its signature algorithm is too weak", i);
		if (request->n_sigalgs &&
		    !strength_is_listed(path[i], path[i + 1], request->sigalgs, request->n_sigalgs))
			return too_weak(SLUICE_BAD_CERT_WEAK_SIGNATURE, CANDIDATE_NOT_LISTED, i);
		if (!request->policies && candidate_has_policies(path[i]))
			return refused(X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, NULL, i);
		n_intermediates += i > 0 && !is_self_issued(path[i]);
		if (n_intermediates > request->depth)
			return refused(X509_V_ERR_CERT_CHAIN_TOO_LONG,
				       "the chain is longer than option depth allows", i);
	}
	return refused(X509_V_OK, NULL, 0);
}

/* --- BoringSSL ------------------------------------------------------------------------------ */

/*
 * RFC 5280, 4.1.2.5: a certificate is valid up to and including notAfter; for BoringSSL that second
 * is too late.
 */
static bool has_expired(const X509 *x509, int64_t now_s)
{
	time_t before = (time_t)now_s - 1;

	return X509_cmp_time(X509_get0_notAfter(x509), &before) <= 0;
}

/* Overrules BoringSSL where it is stricter than RFC 5280. */
static int on_error(int ok, X509_STORE_CTX *ctx)
{
	const struct verify_request *request = X509_STORE_CTX_get_app_data(ctx);

	if (ok)
		return ok;
	switch (X509_STORE_CTX_get_error(ctx)) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		if (has_expired(X509_STORE_CTX_get_current_cert(ctx), request->now_s))
			return 0;
		break;
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE: /* addresses; constraints_check() has all */
		break;
	default:
		return 0;
	}
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/* Sets what the path must be like. */
static bool prepare(X509_STORE_CTX *ctx, const struct verify_request *request, size_t n)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	bool server = request->peer == SLUICE_SERVER;

	if ((!request->any_purpose &&
	     !X509_STORE_CTX_set_default(ctx, server ? "ssl_server" : "ssl_client")) ||
	    !X509_STORE_CTX_set_app_data(ctx, (void *)request))
		return false;
	/* What may be an anchor has been decided. */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	/* BoringSSL's limit counts certificates of any kind, and answers with a misleading error. */
	X509_VERIFY_PARAM_set_depth(param, (int)n);
	X509_STORE_CTX_set_time(ctx, 0, (time_t)request->now_s);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	return !request->policies || policy_prepare(param, request->policies);
}

/* Has BoringSSL judged what it was given, and nothing else? */
static bool is_path(const STACK_OF(X509) * chain, X509 *const *path, size_t n)
{
	size_t i;

	if (sk_X509_num(chain) != n)
		return false;
	for (i = 0; i < n; i++) {
		if (X509_cmp(sk_X509_value(chain, i), path[i]))
			return false;
	}
	return true;
}

static struct verify_verdict verdict_of(X509_STORE_CTX *ctx, const struct verify_request *request)
{
	int x509_error = X509_STORE_CTX_get_error(ctx);
	int index = X509_STORE_CTX_get_error_depth(ctx);

	switch (x509_error) {
	case X509_V_OK:
		x509_error = X509_V_ERR_UNSPECIFIED;
		break;
	case X509_V_ERR_NO_EXPLICIT_POLICY: /* of the path as a whole */
	case X509_V_ERR_INVALID_POLICY_EXTENSION:
		if (request->policies)
			return refused(x509_error, NULL, 0);
		/* A BoringSSL that evaluates policies finds none of ours: the same verdict. */
		x509_error = X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION;
		break;
	}
	return refused(x509_error, NULL, index > 0 ? (size_t)index : 0);
}

/* BoringSSL has not compared every kind of name, nor wildcards with what is excluded. */
static struct verify_verdict check_names(const STACK_OF(X509) * chain)
{
	struct constraints_verdict verdict = constraints_check(chain);

	return refused(verdict.x509_error, verdict.reason, verdict.index);
}

static struct verify_verdict run_bssl(X509_STORE_CTX *ctx, X509_STORE *anchor,
				      STACK_OF(X509) * others, const struct verify_request *request,
				      X509 *const *path, size_t n)
{
	size_t i;

	for (i = 1; i + 1 < n; i++) {
		if (!sk_X509_push(others, path[i]))
			return refused(X509_V_ERR_OUT_OF_MEM, NULL, 0);
	}
	if (!X509_STORE_add_cert(anchor, path[n - 1]) ||
	    !X509_STORE_CTX_init(ctx, anchor, path[0], others) || !prepare(ctx, request, n))
		return refused(X509_V_ERR_OUT_OF_MEM, NULL, 0);
	if (X509_verify_cert(ctx) != 1)
		return verdict_of(ctx, request);
	if (!is_path(X509_STORE_CTX_get0_chain(ctx), path, n))
		return refused(X509_V_ERR_CERT_UNTRUSTED, NULL, 0);
	return check_names(X509_STORE_CTX_get0_chain(ctx));
}

static struct verify_verdict check_by_bssl(const struct verify_request *request, X509 *const *path,
					   size_t n)
{
	struct verify_verdict verdict = refused(X509_V_ERR_OUT_OF_MEM, NULL, 0);
	STACK_OF(X509) *others = sk_X509_new_null();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *anchor = X509_STORE_new();

	if (others && ctx && anchor)
		verdict = run_bssl(ctx, anchor, others, request, path, n);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(anchor);
	sk_X509_free(others);
	return verdict;
}

struct verify_verdict candidate_judge(const struct verify_request *request, X509 *const *path,
				      size_t n)
{
	struct verify_verdict verdict = check_certificates(path, n, request);

	if (!verdict.x509_error && request->policies && !policy_is_bounded(path, n - 1))
		verdict = refused(X509_V_ERR_INVALID_POLICY_EXTENSION,
				  "its policies are mapped in too many ways", 0);
	if (!verdict.x509_error)
		verdict = check_by_bssl(request, path, n);
	return verdict;
}
