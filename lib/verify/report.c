/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that is wrong with the path that came furthest, for a program that may let it pass and for `sluice
 * verify`. Called by bssl/verify.c. BoringSSL gets that path by itself and goes on after each error; added is what
 * candidate.c and verify.c hold against a path, too. It must never leave out a check that could not be made.
 */
#include "verify/report.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "options/pem.h"
#include "verify/candidate.h"
#include "verify/constraints.h"
#include "verify/path.h"
#include "verify/strength.h"

/* --- the path ------------------------------------------------------------------------------- */

static bool is_self_issued(const X509 *x509)
{
	return !X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509));
}

static bool note_verdict(struct verify_report *report, const struct verify_verdict *verdict)
{
	return !verdict->x509_error ||
	       verify_note(report, bad_cert_of(verdict->x509_error), verdict->x509_error,
			   verdict->index, verdict->reason);
}

/* Whatever is wrong with one certificate; false: nothing more is wanted. */
static bool judge_cert(struct verify_report *report, const struct verify_request *request,
		       size_t index)
{
	X509 *x509 = sk_X509_value(report->path, index);
	X509 *issuer = sk_X509_value(report->path, index + 1);
	const char *weakness = strength_of_key(x509);
	struct verify_verdict verdict;

	if (weakness && !verify_note(report, SLUICE_BAD_CERT_WEAK_KEY, X509_V_ERR_CERT_REJECTED,
				     index, weakness))
		return false;
	if (report->anchored && index == sk_X509_num(report->path) - 1) {
		verdict = candidate_check_anchor(x509, index);
		return note_verdict(report, &verdict);
	}
	if (!strength_is_strong_signature(x509) &&
	    !verify_note(report, SLUICE_BAD_CERT_WEAK_SIGNATURE, X509_V_ERR_CERT_REJECTED, index,
			 "its signature algorithm is too weak"))
		return false;
	if (request->n_sigalgs && issuer &&
	    !strength_is_listed(x509, issuer, request->sigalgs, request->n_sigalgs) &&
	    !verify_note(report, SLUICE_BAD_CERT_WEAK_SIGNATURE, X509_V_ERR_CERT_REJECTED, index,
			 CANDIDATE_NOT_LISTED))
		return false;
	return request->policies || !candidate_has_policies(x509) ||
	       verify_note(report, SLUICE_BAD_CERT_CRITICAL_EXT,
			   X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, index, NULL);
}

/* The names, as verify_run() compares them: of the path with constraints, and with whom is asked for. */
static void judge_names(struct verify_report *report, const struct verify_request *request)
{
	struct constraints_verdict constraints = constraints_check(report->path);
	struct verify_verdict verdict = {
		.x509_error = constraints.x509_error,
		.reason = constraints.reason,
		.index = constraints.index,
	};

	if (!note_verdict(report, &verdict) || !request->name)
		return;
	verdict = (struct verify_verdict){ 0 };
	verify_check_name(&verdict, request);
	note_verdict(report, &verdict);
}

/* Judges the certificates one by one. */
static void judge_path(struct verify_report *report, const struct verify_request *request)
{
	size_t i, n = sk_X509_num(report->path);
	int n_intermediate = 0;

	for (i = 0; i < n && judge_cert(report, request, i); i++) {
		if (i > 0 &&
		    candidate_exceeds_path_len(sk_X509_value(report->path, i), n_intermediate) &&
		    !verify_note(report, SLUICE_BAD_CERT_MAX_PATH_LENGTH,
				 X509_V_ERR_PATH_LENGTH_EXCEEDED, i, NULL))
			return;
		n_intermediate += i > 0 && !(report->anchored && i == n - 1) &&
				  !is_self_issued(sk_X509_value(report->path, i));
		if (n_intermediate > request->depth) {
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
	const struct verify_request *request;
	const struct verify_verdict *verdict;
	struct verify_report *report;
};

static X509 *leaf_of(const struct examination *exam)
{
	return sk_X509_value(exam->verdict->path, 0);
}

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
		return !index && is_self_signed(leaf_of(exam))
			       ? X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT
			       : x509_error;
	/* A BoringSSL that evaluates policies finds none of ours: the same verdict. */
	case X509_V_ERR_NO_EXPLICIT_POLICY:
	case X509_V_ERR_INVALID_POLICY_EXTENSION:
		return exam->request->policies ? x509_error
					       : X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION;
	case X509_V_OK:
		return X509_V_ERR_UNSPECIFIED;
	default:
		return x509_error;
	}
}

static bool note(const struct examination *exam, X509_STORE_CTX *ctx)
{
	int x509_error = X509_STORE_CTX_get_error(ctx);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	size_t index = depth > 0 ? (size_t)depth : 0; /* -1: of the path as a whole */

	/* The program is asked about each one. */
	if (x509_error == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION)
		return true;
	x509_error = translate(exam, x509_error, index);
	return verify_note(exam->report, bad_cert_of(x509_error), x509_error, index, NULL);
}

static int on_error(int ok, X509_STORE_CTX *ctx)
{
	const struct examination *exam = X509_STORE_CTX_get_app_data(ctx);

	if (ok)
		return ok;
	if (!is_last_second(ctx, exam->request->now_s) &&
	    /* addresses; constraints_check() has all kinds */
	    X509_STORE_CTX_get_error(ctx) != X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE &&
	    !note(exam, ctx))
		return 0;
	X509_STORE_CTX_set_error(ctx, X509_V_OK);
	return 1;
}

/* Has BoringSSL evaluate what policies are wanted, unless that takes too long. False: no memory. */
static bool prepare_policies(X509_VERIFY_PARAM *param, const struct examination *exam)
{
	STACK_OF(X509) *path = exam->verdict->path;
	X509 *certs[PATH_MAX_LEN + 1];
	size_t i, n = sk_X509_num(path);

	if (!exam->request->policies)
		return true;
	for (i = 0; i < n && i <= PATH_MAX_LEN; i++)
		certs[i] = sk_X509_value(path, i);
	if (policy_is_bounded(certs, i - exam->verdict->anchored))
		return policy_prepare(param, exam->request->policies);
	verify_note(exam->report, SLUICE_BAD_CERT_OTHER, X509_V_ERR_INVALID_POLICY_EXTENSION, 0,
		    "its policies are mapped in too many ways");
	return true;
}

/* Sets what the path must be like. False: no memory. */
static bool prepare(X509_STORE_CTX *ctx, struct examination *exam)
{
	const struct verify_request *request = exam->request;
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	bool server = request->peer == SLUICE_SERVER;

	if (!X509_STORE_CTX_set_default(ctx, server ? "ssl_server" : "ssl_client") ||
	    !X509_STORE_CTX_set_app_data(ctx, exam))
		return false;
	/* What may be an anchor has been decided. */
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	/* BoringSSL's limit counts certificates of any kind, and answers with a misleading error. */
	X509_VERIFY_PARAM_set_depth(param, (int)sk_X509_num(exam->verdict->path));
	X509_STORE_CTX_set_time(ctx, 0, (time_t)request->now_s);
	X509_STORE_CTX_set_verify_cb(ctx, on_error);
	return prepare_policies(param, exam);
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

/*
 * Gives BoringSSL the path as what was sent, and as what is trusted no more than its anchor. Of certificates
 * that have one name it might take another than path.c did: what is reported is about the path that it took.
 */
static bool run_bssl(X509_STORE_CTX *ctx, X509_STORE *trust, STACK_OF(X509) * sent,
		     struct examination *exam)
{
	const STACK_OF(X509) *path = exam->verdict->path;
	size_t i, n = sk_X509_num(path);

	if (exam->verdict->anchored && !X509_STORE_add_cert(trust, sk_X509_value(path, --n)))
		return false;
	for (i = 1; i < n; i++) {
		if (!sk_X509_push(sent, sk_X509_value(path, i)))
			return false;
	}
	if (!X509_STORE_CTX_init(ctx, trust, leaf_of(exam), sent) || !prepare(ctx, exam))
		return false;
	if (X509_verify_cert(ctx) != 1)
		note(exam, ctx);
	exam->report->path = X509_STORE_CTX_get1_chain(ctx);
	return exam->report->path != NULL;
}

static bool judge_by_bssl(struct examination *exam)
{
	STACK_OF(X509) *sent = sk_X509_new_null();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *trust = X509_STORE_new();
	bool ok = sent && ctx && trust && exam->verdict->path && run_bssl(ctx, trust, sent, exam);

	X509_STORE_CTX_free(ctx);
	X509_STORE_free(trust);
	sk_X509_free(sent);
	return ok;
}

void verify_examine(const struct verify_request *request, const struct verify_verdict *verdict,
		    struct verify_report *report)
{
	struct examination exam = { request, verdict, report };

	if (judge_by_bssl(&exam)) {
		report->anchored = has_anchor(report);
		judge_path(report, request);
		judge_times(report, request->now_s);
		judge_names(report, request);
	} else {
		verify_note(report, SLUICE_BAD_CERT_NOT_CHECKED, X509_V_ERR_OUT_OF_MEM, 0, NULL);
	}
	ERR_clear_error();
}
