/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chain of a handshake, as it came: its bytes and the profile become a request, and the verdict an
 * error of the library. Called by stage VERIFY.
 */
#include "bssl/verify.h"

#include <openssl/err.h>
#include <openssl/x509.h>

#include "core/error.h"
#include "core/sys.h"
#include "tls/control.h"
#include "verify/path.h"
#include "verify/verify.h"

static int refuse(const struct verify_verdict *verdict, const char *name, uint8_t *ret_alert,
		  struct sluice_error *err)
{
	*ret_alert = verdict->alert;
	if (verdict->by_wildcard) {
		err_set(err, verdict->code,
			"the peer's certificate is for %.120s by a wildcard, which option "
			"customize_hostname_check = https would take",
			name);
	} else if (verdict->code == SLUICE_E_HOSTNAME) {
		err_set(err, verdict->code, "the peer's certificate is not for %.120s", name);
	} else if (verdict->index) {
		err_set(err, verdict->code, "issuer %zu of the peer's certificate: %s",
			verdict->index, verdict->reason);
	} else {
		err_set(err, verdict->code, "the peer's certificate: %s", verdict->reason);
	}
	if (err)
		err->x509_error = verdict->x509_error;
	return -verdict->code;
}

/* Parses @chain. Returns 0, or has set @err and *@ret_alert. */
static int parse_chain(STACK_OF(X509) * certs, const STACK_OF(CRYPTO_BUFFER) * chain,
		       uint8_t *ret_alert, struct sluice_error *err)
{
	struct verify_verdict verdict = {
		.x509_error = X509_V_ERR_CERT_REJECTED,
		.reason = "it cannot be parsed",
		.code = SLUICE_E_VERIFY,
		.alert = SLUICE_ALERT_BAD_CERTIFICATE,
	};
	size_t i, n = sk_CRYPTO_BUFFER_num(chain);
	X509 *x509;

	/* One more than path_find() takes is enough for it to refuse. */
	for (i = 0; i < n && i <= PATH_MAX_CERTS; i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, i));
		if (!x509) {
			verdict.index = i;
			return refuse(&verdict, NULL, ret_alert, err);
		}
		if (!sk_X509_push(certs, x509)) {
			X509_free(x509);
			*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
			return err_set(err, SLUICE_E_NOMEM, "no memory for the peer's chain");
		}
	}
	return 0;
}

/* Of a path that is valid: is any of it revoked? */
static void judge_revocation(struct verify_verdict *verdict, const struct sluice_profile *profile,
			     int64_t now_s)
{
	struct crl_verdict crl = { 0 };

	if (crl_check_path(&profile->crl, verdict->path, now_s, &crl))
		verify_verdict_refuse(verdict, crl.x509_error, crl.reason, crl.index);
}

static int judge(const struct sluice_profile *profile, STACK_OF(X509) * certs, const char *name,
		 uint8_t *ret_alert, struct sluice_error *err)
{
	bool client = profile->role == SLUICE_CLIENT;
	struct verify_request request = {
		.certs = certs,
		.trust = profile->trust,
		.peer = client ? SLUICE_SERVER : SLUICE_CLIENT,
		.name = client ? name : NULL,
		.rule = profile->name_rule,
		.hook = profile->hostname_check,
		.now_s = sys->wall_s(),
		.depth = profile->depth,
	};
	struct verify_verdict verdict;
	int r;

	verify_run(&verdict, &request);
	if (!verdict.x509_error)
		judge_revocation(&verdict, profile, request.now_s);
	if (verdict.x509_error)
		r = refuse(&verdict, name, ret_alert, err);
	else
		r = identity_check(&profile->identity, verdict.path, ret_alert, err);
	verify_verdict_clear(&verdict);
	return r;
}

int verify_chain(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		 const char *name, uint8_t *ret_alert, struct sluice_error *ret_err)
{
	STACK_OF(X509) * certs;
	int r;

	if (!profile->verify_peer)
		return 0;
	if (!chain || !sk_CRYPTO_BUFFER_num(chain)) {
		if (profile->role == SLUICE_SERVER && !profile->fail_if_no_peer_cert)
			return 0;
		*ret_alert = SLUICE_ALERT_CERTIFICATE_REQUIRED;
		return err_set(ret_err, SLUICE_E_NO_PEERCERT, "the peer sent no certificate");
	}
	certs = sk_X509_new_null();
	if (!certs) {
		*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for the peer's chain");
	}
	r = parse_chain(certs, chain, ret_alert, ret_err);
	if (!r)
		r = judge(profile, certs, name, ret_alert, ret_err);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
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
