/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of a handshake, as it came: its bytes and the profile become a request, and the verdict an
 * error of the library. Called by stage VERIFY.
 */
#include "bssl/verify.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/sys.h"
#include "tls/control.h"
#include "verify/path.h"
#include "verify/report.h"
#include "verify/verify.h"

static int refuse(const struct verify_verdict *verdict, const char *name, uint8_t *ret_alert,
		  struct sluice_error *err)
{
	const struct verify_finding finding = { verdict->bad_cert, verdict->x509_error,
						verdict->index, verdict->reason };

	/* The first text stays. */
	if (verdict->by_wildcard)
		err_set(err, SLUICE_E_HOSTNAME,
			"the peer's certificate is for %.120s by a wildcard, which option "
			"customize_hostname_check = https would take",
			name);
	bad_cert_refuse(&finding, name, ret_alert, err);
	if (err)
		err->crl_reason = verdict->crl_reason;
	return -verdict->code;
}

/* Parses @chain. Returns 0, or has set @err and *@ret_alert. */
static int parse_chain(STACK_OF(X509) * certs, const STACK_OF(CRYPTO_BUFFER) * chain,
		       uint8_t *ret_alert, struct sluice_error *err)
{
	struct verify_finding finding = { SLUICE_BAD_CERT_MALFORMED, X509_V_ERR_CERT_REJECTED, 0,
					  "it cannot be parsed" };
	size_t i, n = sk_CRYPTO_BUFFER_num(chain);
	X509 *x509;

	/* One more than path_find() takes is enough for it to refuse. */
	for (i = 0; i < n && i <= PATH_MAX_CERTS; i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
		if (!x509) {
			finding.index = i;
			return bad_cert_refuse(&finding, NULL, ret_alert, err);
		}
		if (!sk_X509_push(certs, x509)) {
			X509_free(x509);
			*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
			return err_set(err, SLUICE_E_NOMEM, "no memory for the peer's chain");
		}
	}
	return 0;
}

/* Holds what is stapled against option ocsp. True: it passes. */
static bool judge_staple(const struct verify_input *in, const STACK_OF(X509) * path,
			 struct verify_finding *finding)
{
	return !in->staple || staple_check(in->staple, in->profile->ocsp, path, in->now_s, finding);
}

static struct verify_request request_of(const struct verify_input *in, STACK_OF(X509) * certs)
{
	const struct sluice_profile *profile = in->profile;
	bool client = profile->role == SLUICE_CLIENT;

	return (struct verify_request){
		.certs = certs,
		.trust = in->trust ? in->trust : profile->trust,
		.peer = client ? SLUICE_SERVER : SLUICE_CLIENT,
		.name = client ? in->name : NULL,
		.rule = profile->name_rule,
		.hook = profile->hostname_check,
		.named = in->named,
		.now_s = in->now_s,
		.until_us = in->until_us,
		.depth = profile->depth,
		.sigalgs = profile->cert_sigalgs,
		.n_sigalgs = profile->n_cert_sigalgs,
		.partial_chain = in->trust || profile->partial_chain,
	};
}

static void decide(struct verify_verdict *ret_verdict, const struct verify_input *in,
		   const struct verify_request *request)
{
	verify_run(ret_verdict, request);
	crl_check_verdict(ret_verdict, &in->profile->crl, request);
}

static int judge(const struct verify_input *in, STACK_OF(X509) * certs, uint8_t *ret_alert,
		 struct sluice_error *err)
{
	struct verify_request request = request_of(in, certs);
	struct verify_finding finding;
	struct verify_verdict verdict;
	int r;

	decide(&verdict, in, &request);
	if (verdict.x509_error)
		r = refuse(&verdict, in->name, ret_alert, err);
	else if (!judge_staple(in, verdict.path, &finding))
		r = bad_cert_refuse(&finding, in->name, ret_alert, err);
	else
		r = identity_check(&in->profile->identity, verdict.path, ret_alert, err);
	verify_verdict_clear(&verdict);
	return r;
}

/* Returns 0: nobody has to have a certificate, 1: there is one. */
static int expect_chain(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
			uint8_t *ret_alert, struct sluice_error *err)
{
	if (chain && sk_CRYPTO_BUFFER_num(chain))
		return 1;
	if (profile->role == SLUICE_SERVER && !profile->fail_if_no_peer_cert)
		return 0;
	*ret_alert = SLUICE_ALERT_CERTIFICATE_REQUIRED;
	return err_set(err, SLUICE_E_NO_PEERCERT, "the peer sent no certificate");
}

static STACK_OF(X509) * certs_new(uint8_t *ret_alert, struct sluice_error *err)
{
	STACK_OF(X509) *certs = sk_X509_new_null();

	if (!certs) {
		*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
		err_set(err, SLUICE_E_NOMEM, "no memory for the peer's chain");
	}
	return certs;
}

int verify_chain(const struct verify_input *in, uint8_t *ret_alert, struct sluice_error *ret_err)
{
	STACK_OF(X509) * certs;
	int r;

	if (!in->profile->verify_peer)
		return 0;
	r = expect_chain(in->profile, in->chain, ret_alert, ret_err);
	if (r <= 0)
		return r;
	certs = certs_new(ret_alert, ret_err);
	if (!certs)
		return -SLUICE_E_NOMEM;
	r = parse_chain(certs, in->chain, ret_alert, ret_err);
	if (!r)
		r = judge(in, certs, ret_alert, ret_err);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return r;
}

bool verify_check_by_hook(const struct verify_input *in, struct verify_verdict *ret_named)
{
	const struct sluice_hostname_check *hook = in->profile->hostname_check;
	STACK_OF(X509) *certs = NULL;
	struct verify_request request;
	X509 *leaf;
	bool done = false;

	if (in->profile->role != SLUICE_CLIENT || !in->name || !hook ||
	    (!hook->name && !hook->match))
		return false;
	leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(in->chain, 0));
	if (leaf)
		certs = sk_X509_new_null();
	if (certs && sk_X509_push(certs, leaf)) {
		request = request_of(in, certs);
		*ret_named = (struct verify_verdict){ 0 };
		verify_check_name(ret_named, &request);
		done = true;
	}
	sk_X509_free(certs);
	X509_free(leaf);
	ERR_clear_error();
	return done;
}

/* --- for a program that is asked ------------------------------------------------------------ */

/* Is the verdict in @report already, or will each of the extensions be asked about? */
static bool is_reported(const struct verify_report *report, const struct verify_verdict *verdict)
{
	X509 *x509 = sk_X509_value(report->path, verdict->index);
	size_t i;

	for (i = 0; i < report->n; i++) {
		if (report->findings[i].reason == verdict->bad_cert &&
		    report->findings[i].index == verdict->index)
			return true;
	}
	return verdict->x509_error == X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION && x509 &&
	       !(report->anchored && verdict->index == sk_X509_num(report->path) - 1) &&
	       (X509_get_extension_flags(x509) & EXFLAG_CRITICAL);
}

/*
 * Whether CRLs are looked up for a path that is refused. For one that no anchor vouches for, anybody could
 * have them fetched, and judged by keys of his own.
 */
static bool is_vouched_for(const struct verify_report *report)
{
	size_t i;

	if (!report->anchored)
		return false;
	for (i = 0; i < report->n; i++)
		if (report->findings[i].reason == SLUICE_BAD_CERT_UNKNOWN_CA ||
		    report->findings[i].reason == SLUICE_BAD_CERT_SELFSIGNED_PEER ||
		    report->findings[i].reason == SLUICE_BAD_CERT_INVALID_SIGNATURE)
			return false;
	return true;
}

static void examine_status(struct verify_report *report, const struct verify_input *in,
			   const struct verify_request *request)
{
	struct crl_verdict crl = { .x509_error = X509_V_ERR_UNABLE_TO_GET_CRL,
				   .reason = "its revocation status is undetermined: no anchor "
					     "vouches for its path" };
	enum crl_mode mode = in->profile->crl.mode;

	if (is_vouched_for(report)) {
		if (!crl_check_path(&in->profile->crl, request, report->path, &crl))
			return;
	} else if (mode != CRL_CHECK_TRUE && mode != CRL_CHECK_PEER) {
		return;
	}
	verify_note(report, bad_cert_of(crl.x509_error), crl.x509_error, crl.index, crl.reason);
	report->crl_reason = crl.crl_reason;
}

/* Finds out what else is wrong with a chain that is refused. */
static void examine(struct verify_report *report, const struct verify_input *in,
		    const struct verify_request *request, const struct verify_verdict *verdict)
{
	verify_examine(request, verdict, report);
	report->crl_reason = verdict->crl_reason;
	if (report->path && verdict->bad_cert != SLUICE_BAD_CERT_REVOKED &&
	    verdict->bad_cert != SLUICE_BAD_CERT_REVOCATION_UNDETERMINED)
		examine_status(report, in, request);
	if (!is_reported(report, verdict))
		verify_note(report, verdict->bad_cert, verdict->x509_error, verdict->index,
			    verdict->reason);
}

/* Fills in @report. Refused is what nobody is asked about. */
static int fill_report(struct verify_report *report, const struct verify_input *in,
		       STACK_OF(X509) * certs, uint8_t *ret_alert, struct sluice_error *err)
{
	struct verify_request request = request_of(in, certs);
	struct verify_finding finding;
	struct verify_verdict verdict;

	decide(&verdict, in, &request);
	if (verdict.x509_error) {
		examine(report, in, &request, &verdict);
	} else {
		report->path = verdict.path;
		report->anchored = true;
		verdict.path = NULL;
	}
	verify_verdict_clear(&verdict);
	if (report->path && !judge_staple(in, report->path, &finding))
		verify_note(report, finding.reason, finding.x509_error, finding.index,
			    finding.text);
	if (verify_fatal(report))
		return bad_cert_refuse(verify_fatal(report), in->name, ret_alert, err);
	return identity_check(&in->profile->identity, report->path, ret_alert, err);
}

int verify_report(const struct verify_input *in, struct verify_report **ret_report,
		  uint8_t *ret_alert, struct sluice_error *ret_err)
{
	struct verify_report *report;
	STACK_OF(X509) * certs;
	int r = expect_chain(in->profile, in->chain, ret_alert, ret_err);

	*ret_report = NULL;
	if (r <= 0)
		return r;
	certs = certs_new(ret_alert, ret_err);
	report = calloc(1, sizeof(*report));
	if (!certs || !report) {
		*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
		r = err_set(ret_err, SLUICE_E_NOMEM, "no memory to verify the peer");
	} else {
		report->all = true;
		r = parse_chain(certs, in->chain, ret_alert, ret_err);
	}
	if (!r)
		r = fill_report(report, in, certs, ret_alert, ret_err);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	if (r < 0)
		verify_report_free(report);
	else
		*ret_report = report;
	return r;
}

void verify_identity(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		     char ret_text[IDENTITY_SIZE])
{
	X509 *leaf;

	ret_text[0] = '\0';
	if (!identity_wanted(&profile->identity) || !chain || !sk_CRYPTO_BUFFER_num(chain))
		return;
	leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
	if (leaf)
		identity_find(&profile->identity, leaf, ret_text);
	X509_free(leaf);
	ERR_clear_error();
}
