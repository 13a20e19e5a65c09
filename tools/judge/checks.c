/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks behind a verdict. Called by judge.c where they are asked for. The verdict stands already: nothing
 * here changes it. What it was not made of must not be called ok.
 */
#include "checks.h"

#include <stdarg.h>
#include <string.h>

#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include <sluice/sluice.h>

#include "crl/crl.h"
#include "options/pem.h"
#include "show.h"
#include "verify/names.h"
#include "verify/report.h"

#define DETAIL_LEN 400

enum check {
	CHECK_SEARCH,
	CHECK_ANCHOR,
	CHECK_SIGNATURES,
	CHECK_STRENGTH,
	CHECK_DATES,
	CHECK_ISSUERS,
	CHECK_PURPOSE,
	CHECK_LENGTH,
	CHECK_CONSTRAINTS,
	CHECK_EXTENSIONS,
	CHECK_POLICIES,
	CHECK_NAME,
	CHECKS_OF_PATHS
};

static const struct {
	const char *name;
	bool needs_anchor; /* of a path without one it is not known: certificates are missing */
} checks[CHECKS_OF_PATHS] = {
	[CHECK_SEARCH] = { "search", false },
	[CHECK_ANCHOR] = { "trust_anchor", false },
	[CHECK_SIGNATURES] = { "signatures", true },
	[CHECK_STRENGTH] = { "strength", false },
	[CHECK_DATES] = { "dates", false },
	[CHECK_ISSUERS] = { "issuers", false },
	[CHECK_PURPOSE] = { "purpose", false },
	[CHECK_LENGTH] = { "path_length", true },
	[CHECK_CONSTRAINTS] = { "name_constraints", true },
	[CHECK_EXTENSIONS] = { "critical_extensions", false },
	[CHECK_POLICIES] = { "policies", true },
	[CHECK_NAME] = { "name", false },
};

static struct json_object *add(struct json_object *array, const char *check, const char *result,
			       const char *detail)
{
	struct json_object *row = json_object_new_object();

	json_object_object_add(row, "check", json_object_new_string(check));
	json_object_object_add(row, "result", json_object_new_string(result));
	if (*detail)
		json_object_object_add(row, "detail", json_object_new_string(detail));
	json_object_array_add(array, row);
	return row;
}

/* Appends to a text that may be full. */
static void __attribute__((format(printf, 2, 3)))
append(char text[DETAIL_LEN], const char *format, ...)
{
	size_t len = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + len, DETAIL_LEN - len, format, args);
	va_end(args);
}

/* --- what is wrong -------------------------------------------------------------------------- */

static bool is_name_malformed(const struct verify_request *request)
{
	struct verify_verdict named = { 0 };

	if (request->name)
		verify_check_name(&named, request);
	return named.x509_error == X509_V_ERR_UNSUPPORTED_NAME_SYNTAX;
}

/* That of a finding whose reason does not tell. */
static enum check check_of_error(int x509_error, const struct verify_request *request)
{
	switch (x509_error) {
	case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
		return CHECK_SIGNATURES;
	case X509_V_ERR_INVALID_EXTENSION:
		return CHECK_EXTENSIONS;
	case X509_V_ERR_NO_EXPLICIT_POLICY:
	case X509_V_ERR_INVALID_POLICY_EXTENSION:
		return CHECK_POLICIES;
	case X509_V_ERR_UNSUPPORTED_NAME_SYNTAX:
		return is_name_malformed(request) ? CHECK_NAME : CHECK_CONSTRAINTS;
	case X509_V_ERR_NAME_CONSTRAINTS_WITHOUT_SANS:
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX:
	case X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE:
		return CHECK_CONSTRAINTS;
	default:
		return CHECK_SEARCH;
	}
}

static enum check check_of(const struct verify_finding *finding,
			   const struct verify_request *request)
{
	switch (finding->reason) {
	case SLUICE_BAD_CERT_UNKNOWN_CA:
	case SLUICE_BAD_CERT_SELFSIGNED_PEER:
		return CHECK_ANCHOR;
	case SLUICE_BAD_CERT_INVALID_SIGNATURE:
		return CHECK_SIGNATURES;
	case SLUICE_BAD_CERT_WEAK_KEY:
	case SLUICE_BAD_CERT_WEAK_SIGNATURE:
		return CHECK_STRENGTH;
	case SLUICE_BAD_CERT_EXPIRED:
	case SLUICE_BAD_CERT_NOT_YET:
	case SLUICE_BAD_CERT_MALFORMED: /* its dates are none */
		return CHECK_DATES;
	case SLUICE_BAD_CERT_INVALID_ISSUER:
	case SLUICE_BAD_CERT_KEY_USAGE:
		return CHECK_ISSUERS;
	case SLUICE_BAD_CERT_EXT_KEY_USAGE:
		return CHECK_PURPOSE;
	case SLUICE_BAD_CERT_MAX_PATH_LENGTH:
		return CHECK_LENGTH;
	case SLUICE_BAD_CERT_NAME_NOT_PERMITTED:
		return CHECK_CONSTRAINTS;
	case SLUICE_BAD_CERT_CRITICAL_EXT:
		return CHECK_EXTENSIONS;
	case SLUICE_BAD_CERT_HOSTNAME:
		return CHECK_NAME;
	default:
		return check_of_error(finding->x509_error, request);
	}
}

/* What is wrong as far as @check is concerned. False: nothing. */
static bool find_wrong(enum check check, const struct verify_report *report,
		       const struct verify_request *request, char ret_detail[DETAIL_LEN])
{
	const struct verify_finding *finding;
	size_t i;

	*ret_detail = '\0';
	for (i = 0; i < report->n; i++) {
		finding = &report->findings[i];
		if (check_of(finding, request) == check)
			append(ret_detail, "%scertificate %zu: %s", *ret_detail ? "; " : "",
			       finding->index,
			       finding->text ? finding->text
					     : X509_verify_cert_error_string(finding->x509_error));
	}
	return *ret_detail;
}

/* Are both paths the same? */
static bool is_about(const struct verify_report *report, const STACK_OF(X509) * path)
{
	size_t i;

	if (sk_X509_num(report->path) != sk_X509_num(path))
		return false;
	for (i = 0; i < sk_X509_num(path); i++)
		if (X509_cmp(sk_X509_value(report->path, i), sk_X509_value(path, i)))
			return false;
	return true;
}

/*
 * Everything that is wrong with the path. An extension that nobody knows is told of by verify_examine() to
 * nobody. False: of the path nothing is known but the verdict.
 */
static bool examine(const struct verify_judged *judged, struct verify_report *report)
{
	const struct verify_verdict *verdict = judged->verdict;
	const STACK_OF(X509) *path = verdict->path;
	bool known;
	size_t i;

	verify_examine(judged->request, verdict, report);
	known = is_about(report, path);
	if (!known)
		report->n = 0;
	for (i = 0; known && i < sk_X509_num(path); i++)
		if (X509_get_extension_flags(sk_X509_value(path, i)) & EXFLAG_CRITICAL)
			verify_note(report, SLUICE_BAD_CERT_CRITICAL_EXT,
				    X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, i, NULL);
	verify_note(report, verdict->bad_cert, verdict->x509_error, verdict->index,
		    verdict->reason);
	return known;
}

/* --- what is right -------------------------------------------------------------------------- */

static void tell_signatures(const STACK_OF(X509) * path, char detail[DETAIL_LEN])
{
	const char *name;
	size_t i;

	for (i = 0; i + 1 < sk_X509_num(path); i++) {
		name = OBJ_nid2sn(X509_get_signature_nid(sk_X509_value(path, i)));
		if (name && !strstr(detail, name))
			append(detail, "%s%s", *detail ? ", " : "", name);
	}
}

static void tell_dates(const struct verify_judged *judged, char detail[DETAIL_LEN])
{
	const STACK_OF(X509) *path = judged->verdict->path;
	int64_t until_s, first_s = INT64_MAX;
	char now[SHOW_TIME_LEN], end[SHOW_TIME_LEN];
	size_t i, first = 0;

	for (i = 0; i < sk_X509_num(path); i++) {
		if (pem_time(X509_get0_notAfter(sk_X509_value(path, i)), &until_s) &&
		    until_s < first_s) {
			first_s = until_s;
			first = i;
		}
	}
	show_time(judged->request->now_s, now);
	show_time(first_s, end);
	append(detail, "at %s; certificate %zu ends first, %s", now, first, end);
}

static void tell_length(const struct verify_judged *judged, char detail[DETAIL_LEN])
{
	const STACK_OF(X509) *path = judged->verdict->path;
	int n = 0;
	X509 *x509;
	size_t i;

	for (i = 1; i + 1 < sk_X509_num(path); i++) {
		x509 = sk_X509_value(path, i);
		n += X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) != 0;
	}
	append(detail, "intermediates: %d of at most %d", n, judged->request->depth);
}

static void tell_constraints(const STACK_OF(X509) * path, char detail[DETAIL_LEN])
{
	size_t i;

	for (i = 1; i < sk_X509_num(path); i++)
		if (X509_get_ext_by_NID(sk_X509_value(path, i), NID_name_constraints, -1) >= 0)
			append(detail, "%s %zu", *detail ? "," : "of certificate", i);
	if (!*detail)
		append(detail, "there are none");
}

/* The name of the certificate that fits. */
static void tell_name(const struct verify_request *request, char detail[DETAIL_LEN])
{
	const X509 *leaf = sk_X509_value(request->certs, 0);
	char text[SHOW_NAME_LEN];
	struct reference reference;
	struct general_name name;
	CBS names;

	append(detail, "%.260s", request->name);
	if (reference_parse(&reference, request->name, NULL) < 0 || san_get(leaf, &names) <= 0)
		return;
	while (general_name_get(&names, &name)) {
		if (names_compare(&reference, &name, request->rule) != NAMES_MATCH)
			continue;
		show_general_name(&name, text);
		append(detail, " is %s", text);
		return;
	}
}

static void tell(enum check check, const struct verify_judged *judged, char detail[DETAIL_LEN])
{
	const STACK_OF(X509) *path = judged->verdict->path;

	*detail = '\0';
	switch (check) {
	case CHECK_SEARCH:
		append(detail, "paths tried: %u", judged->verdict->n_paths);
		break;
	case CHECK_ANCHOR:
		append(detail, "certificate %zu is trusted", sk_X509_num(path) - 1);
		break;
	case CHECK_SIGNATURES:
		tell_signatures(path, detail);
		break;
	case CHECK_DATES:
		tell_dates(judged, detail);
		break;
	case CHECK_PURPOSE:
		append(detail, "%s",
		       judged->request->peer == SLUICE_SERVER ? "serverAuth" : "clientAuth");
		break;
	case CHECK_LENGTH:
		tell_length(judged, detail);
		break;
	case CHECK_CONSTRAINTS:
		tell_constraints(path, detail);
		break;
	case CHECK_NAME:
		tell_name(judged->request, detail);
		break;
	default:
		break;
	}
}

/* --- all of them ---------------------------------------------------------------------------- */

static bool is_asked(enum check check, const struct verify_request *request)
{
	return check == CHECK_NAME       ? request->name != NULL
	       : check == CHECK_POLICIES ? request->policies != NULL
					 : true;
}

/* A search that ended at one of its limits cannot tell that there is no trust anchor. */
static bool has_given_up(const struct verify_judged *judged)
{
	return judged->stage == VERIFY_STAGE_PATH && !judged->verdict->anchored &&
	       judged->verdict->x509_error == X509_V_ERR_CERT_REJECTED &&
	       judged->verdict->bad_cert == SLUICE_BAD_CERT_OTHER;
}

static bool is_reached(enum check check, const struct verify_judged *judged)
{
	if (check == CHECK_ANCHOR)
		return !has_given_up(judged);
	return !checks[check].needs_anchor || judged->verdict->anchored;
}

static void add_path_checks(struct json_object *array, const struct verify_judged *judged)
{
	struct verify_report report = { .all = true };
	bool wrong, known = true;
	char detail[DETAIL_LEN];
	int check;

	if (judged->stage == VERIFY_STAGE_PATH)
		known = examine(judged, &report);
	for (check = 0; check < CHECKS_OF_PATHS; check++) {
		wrong = find_wrong(check, &report, judged->request, detail);
		if (wrong && (check != CHECK_ANCHOR || is_reached(check, judged))) {
			add(array, checks[check].name, "failed", detail);
		} else if (!is_asked(check, judged->request)) {
			add(array, checks[check].name, "not_asked", "");
		} else if (!known || !is_reached(check, judged)) {
			add(array, checks[check].name, "not_reached", "");
		} else {
			tell(check, judged, detail);
			add(array, checks[check].name, "ok", detail);
		}
	}
	sk_X509_pop_free(report.path, X509_free);
}

static const char *result_at(const struct verify_judged *judged, enum verify_stage stage,
			     bool asked)
{
	return !asked                   ? "not_asked"
	       : judged->stage < stage  ? "not_reached"
	       : judged->stage == stage ? "failed"
					: "ok";
}

static void add_wants(struct json_object *array, const struct verify_judged *judged)
{
	const struct verify_wants *wants = &judged->it->wants;
	bool asked = wants->names || wants->uses || wants->purposes;

	add(array, "names_and_usages", result_at(judged, VERIFY_STAGE_WANTS, asked),
	    judged->stage == VERIFY_STAGE_WANTS ? judged->verdict->reason : "");
}

/* Which CRL has spoken about a certificate, and until when that holds. */
static void tell_crl(const struct crl_status *status, char detail[DETAIL_LEN])
{
	char issuer[SHOW_NAME_LEN], end[SHOW_TIME_LEN];
	size_t i;

	show_name(X509_CRL_get_issuer(status->crl->x509), issuer);
	show_time(status->until_s, end);
	append(detail, "by the CRL of %.200s", issuer);
	for (i = 0; i < status->crl->number_len; i++)
		append(detail, "%s%02x", i ? "" : ", number 0x", status->crl->number[i]);
	append(detail, "%s, until %s", status->by_delta ? " with a delta" : "", end);
}

static void add_revocation_of(struct json_object *array, const struct verify_judged *judged,
			      size_t index)
{
	bool best_effort = judged->crl->mode == CRL_CHECK_BEST_EFFORT;
	char detail[DETAIL_LEN] = "";
	struct crl_status status;
	const char *result = "ok";

	crl_check_cert(judged->crl, judged->request, judged->verdict->path, index, &status);
	if (status.verdict.x509_error)
		result = best_effort && status.verdict.x509_error != X509_V_ERR_CERT_REVOKED
				 ? "undetermined"
				 : "failed";
	append(detail, "certificate %zu%s%s", index, status.verdict.reason ? ": " : "",
	       status.verdict.reason ? status.verdict.reason : "");
	if (status.crl &&
	    (!status.verdict.x509_error || status.verdict.x509_error == X509_V_ERR_CERT_REVOKED)) {
		append(detail, ", ");
		tell_crl(&status, detail);
	}
	add(array, "revocation", result, detail);
	sluice_crl_unref(status.crl);
}

static void add_revocation(struct json_object *array, const struct verify_judged *judged)
{
	enum crl_mode mode = judged->crl->mode;
	size_t i, n = sk_X509_num(judged->verdict->path);

	if (mode == CRL_CHECK_FALSE || judged->stage < VERIFY_STAGE_CRLS) {
		add(array, "revocation",
		    result_at(judged, VERIFY_STAGE_CRLS, mode != CRL_CHECK_FALSE), "");
		return;
	}
	n = n ? n - 1 : 0; /* the trust anchor has no issuer */
	for (i = 0; i < n && (i == 0 || mode != CRL_CHECK_PEER); i++)
		add_revocation_of(array, judged, i);
	if (!n)
		add(array, "revocation", "ok", "there is nothing but the trust anchor");
}

static void add_ocsp(struct json_object *array, const struct verify_judged *judged)
{
	bool asked = judged->it->ocsp.mode != OCSP_OFF;
	char detail[DETAIL_LEN] = "", end[SHOW_TIME_LEN];
	struct json_object *member;

	if (judged->ocsp && json_object_object_get_ex(judged->ocsp, "result", &member))
		append(detail, "%s", json_object_get_string(member));
	if (judged->ocsp && json_object_object_get_ex(judged->ocsp, "next_update", &member)) {
		show_time(json_object_get_int64(member), end);
		append(detail, ", next update %s", end);
	}
	if (judged->stage == VERIFY_STAGE_OCSP)
		append(detail, ": %s", judged->verdict->reason);
	add(array, "ocsp", result_at(judged, VERIFY_STAGE_OCSP, asked), detail);
}

struct json_object *verify_checks(const struct verify_judged *judged)
{
	struct json_object *array = json_object_new_array();

	add_path_checks(array, judged);
	add_wants(array, judged);
	add_revocation(array, judged);
	add_ocsp(array, judged);
	return array;
}
