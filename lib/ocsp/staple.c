// SPDX-License-Identifier: Apache-2.0
/* Called by stage VERIFY and by `sluice verify`, once a path is there. */
#include "ocsp/staple.h"

static enum sluice_bad_cert reason_of(enum ocsp_result result)
{
	switch (result) {
	case OCSP_REVOKED:
		return SLUICE_BAD_CERT_REVOKED;
	case OCSP_UNKNOWN:
		return SLUICE_BAD_CERT_OCSP_UNKNOWN;
	case OCSP_STALE:
	case OCSP_FUTURE:
		return SLUICE_BAD_CERT_OCSP_STALE;
	default:
		return SLUICE_BAD_CERT_OCSP_INVALID;
	}
}

/* The certificate that has issued the first; one that is trusted as it is may have no other. */
static X509 *issuer_of(const STACK_OF(X509) * path)
{
	X509 *cert = sk_X509_value(path, 0);

	if (sk_X509_num(path) > 1)
		return sk_X509_value(path, 1);
	return X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert)) ? NULL : cert;
}

static int64_t time_of(const struct staple *staple, int64_t now_s)
{
	struct ocsp_response response;

	if (staple->kept && ocsp_parse(&response, staple->der, staple->len) && !response.status)
		return response.produced_s;
	return now_s;
}

bool staple_check(struct staple *staple, enum ocsp_mode mode, const STACK_OF(X509) * path,
		  int64_t now_s, struct verify_finding *ret_finding)
{
	X509 *cert = sk_X509_value(path, 0), *issuer = issuer_of(path);
	struct verify_finding finding = { .x509_error = X509_V_ERR_APPLICATION_VERIFICATION };

	staple->checked = mode != OCSP_OFF && staple->der && issuer;
	if (mode == OCSP_OFF)
		return true;
	if (staple->checked) {
		ocsp_check(&staple->verdict, staple->der, staple->len, cert, issuer,
			   time_of(staple, now_s));
		if (staple->verdict.result == OCSP_GOOD)
			return true;
		finding.reason = reason_of(staple->verdict.result);
		finding.text = staple->verdict.reason;
		if (finding.reason == SLUICE_BAD_CERT_REVOKED) {
			finding.x509_error = X509_V_ERR_CERT_REVOKED;
			if (staple->verdict.crl_reason > 0)
				finding.crl_reason = staple->verdict.crl_reason;
		}
	} else {
		finding.reason = SLUICE_BAD_CERT_OCSP_MISSING;
		if (ocsp_must_staple(cert))
			finding.text = "its TLS feature extension asks for an OCSP response, and "
				       "there is none";
		else if (mode == OCSP_MUST)
			finding.text = "there is no OCSP response, which option ocsp asks for";
		else
			return true;
	}
	*ret_finding = finding;
	return false;
}
