/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts on a peer's chain: whether there has to be one, and what the peer is told about what is wrong
 * with it. Called by stage VERIFY, with nothing but the chain and the profile.
 */
#include "bssl/verify.h"

#include <stdlib.h>

#include "core/error.h"
#include "verify/report.h"

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

int verify_chain(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		 const char *name, uint8_t *ret_alert, struct sluice_error *ret_err)
{
	struct verify_report report = { .n = 0 };
	int r;

	if (!profile->verify_peer)
		return 0;
	r = expect_chain(profile, chain, ret_alert, ret_err);
	if (r <= 0)
		return r;
	verify_examine(profile, chain, name, &report);
	sk_X509_pop_free(report.path, X509_free);
	return report.n ? bad_cert_refuse(&report.findings[0], name, ret_alert, ret_err) : 0;
}

int verify_report(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		  const char *name, struct verify_report **ret_report, uint8_t *ret_alert,
		  struct sluice_error *ret_err)
{
	struct verify_report *report;
	int r = expect_chain(profile, chain, ret_alert, ret_err);

	*ret_report = NULL;
	if (r <= 0)
		return r;
	report = calloc(1, sizeof(*report));
	if (!report) {
		*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory to verify the peer");
	}
	report->all = true;
	verify_examine(profile, chain, name, report);
	if (verify_fatal(report)) {
		r = bad_cert_refuse(verify_fatal(report), name, ret_alert, ret_err);
		verify_report_free(report);
		return r;
	}
	*ret_report = report;
	return 0;
}
