/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A verdict on a peer's chain: a path is found (path.c), then the certificate is held against the
 * name that was wanted. Called by stage VERIFY and by `sluice verify`. It must never accept where a
 * check could not be made.
 */
#include "verify/verify.h"

#include <string.h>

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/control.h"
#include "verify/path.h"

/* What the peer is told (RFC 8446, 6.2); what is not listed is bad_certificate. */
static const struct {
	int x509_error;
	uint8_t alert;
	int code;
} answers[] = {
	{ X509_V_OK, 0, SLUICE_OK },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_UNTRUSTED, SLUICE_ALERT_UNKNOWN_CA, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_NOT_YET_VALID, SLUICE_ALERT_CERTIFICATE_EXPIRED, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_HAS_EXPIRED, SLUICE_ALERT_CERTIFICATE_EXPIRED, SLUICE_E_VERIFY },
	{ X509_V_ERR_CERT_REVOKED, SLUICE_ALERT_CERTIFICATE_REVOKED, SLUICE_E_VERIFY },
	{ X509_V_ERR_INVALID_PURPOSE, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE, SLUICE_E_VERIFY },
	{ X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  SLUICE_E_VERIFY },
	{ X509_V_ERR_HOSTNAME_MISMATCH, SLUICE_ALERT_BAD_CERTIFICATE, SLUICE_E_HOSTNAME },
	{ X509_V_ERR_IP_ADDRESS_MISMATCH, SLUICE_ALERT_BAD_CERTIFICATE, SLUICE_E_HOSTNAME },
	{ X509_V_ERR_OUT_OF_MEM, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_NOMEM },
	{ X509_V_ERR_UNSPECIFIED, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
	{ X509_V_ERR_INVALID_CALL, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
	{ X509_V_ERR_STORE_LOOKUP, SLUICE_ALERT_INTERNAL_ERROR, SLUICE_E_VERIFY },
};

/* Fills in what follows from the X.509 error. */
static void answer(struct verify_verdict *verdict)
{
	size_t i;

	verdict->code = SLUICE_E_VERIFY;
	verdict->alert = SLUICE_ALERT_BAD_CERTIFICATE;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		if (answers[i].x509_error == verdict->x509_error) {
			verdict->alert = answers[i].alert;
			verdict->code = answers[i].code;
		}
	}
	if (verdict->x509_error && !verdict->reason)
		verdict->reason = X509_verify_cert_error_string(verdict->x509_error);
}

/*
 * Is @leaf for @name? An address is held against addresses only, a DNS name against DNS names only,
 * never against the subject (RFC 9525, 6.3). Returns X509_V_OK or an X.509 error.
 */
static int check_name(X509 *leaf, const char *name)
{
	size_t len = strcspn(name, "%"); /* the zone of a link-local address is ours alone */
	char address[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	if (len < sizeof(address)) {
		memcpy(address, name, len);
		address[len] = '\0';
		if (inet_pton(AF_INET, address, bytes) == 1)
			return X509_check_ip(leaf, bytes, 4, 0) == 1
				       ? X509_V_OK
				       : X509_V_ERR_IP_ADDRESS_MISMATCH;
		if (inet_pton(AF_INET6, address, bytes) == 1)
			return X509_check_ip(leaf, bytes, 16, 0) == 1
				       ? X509_V_OK
				       : X509_V_ERR_IP_ADDRESS_MISMATCH;
	}
	len = strlen(name);
	if (len && name[len - 1] == '.') /* the root label is not in certificates */
		len--;
	if (len && X509_check_host(leaf, name, len, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT, NULL) == 1)
		return X509_V_OK;
	return X509_V_ERR_HOSTNAME_MISMATCH;
}

void verify_run(struct verify_verdict *ret_verdict, const struct verify_request *request)
{
	struct verify_verdict verdict = { 0 };

	path_find(&verdict, request);
	if (!verdict.x509_error && request->name)
		verdict.x509_error = check_name(sk_X509_value(request->certs, 0), request->name);
	if (verdict.x509_error) {
		sk_X509_pop_free(verdict.path, X509_free);
		verdict.path = NULL;
	}
	ERR_clear_error();
	answer(&verdict);
	*ret_verdict = verdict;
}

void verify_verdict_clear(struct verify_verdict *verdict)
{
	sk_X509_pop_free(verdict->path, X509_free);
	*verdict = (struct verify_verdict){ 0 };
}
