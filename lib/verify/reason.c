// SPDX-License-Identifier: Apache-2.0
#include "verify/reason.h"

#include <openssl/x509.h>

#include "core/error.h"

/* What the peer is told (RFC 8446, 6.2). */
static const struct {
	const char *name;
	uint8_t alert;
} reasons[SLUICE_BAD_CERTS] = {
	[SLUICE_BAD_CERT_NONE] = { "none", SLUICE_ALERT_CERTIFICATE_UNKNOWN },
	[SLUICE_BAD_CERT_UNKNOWN_CA] = { "unknown_ca", SLUICE_ALERT_UNKNOWN_CA },
	[SLUICE_BAD_CERT_SELFSIGNED_PEER] = { "selfsigned_peer", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_EXPIRED] = { "expired", SLUICE_ALERT_CERTIFICATE_EXPIRED },
	[SLUICE_BAD_CERT_NOT_YET] = { "not_yet", SLUICE_ALERT_CERTIFICATE_EXPIRED },
	[SLUICE_BAD_CERT_INVALID_ISSUER] = { "invalid_issuer", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_INVALID_SIGNATURE] = { "invalid_signature", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_NAME_NOT_PERMITTED] = { "name_not_permitted",
						 SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_KEY_USAGE] = { "key_usage", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_EXT_KEY_USAGE] = { "ext_key_usage", SLUICE_ALERT_UNSUPPORTED_CERTIFICATE },
	[SLUICE_BAD_CERT_MAX_PATH_LENGTH] = { "max_path_length", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_CRITICAL_EXT] = { "critical_ext", SLUICE_ALERT_UNSUPPORTED_CERTIFICATE },
	[SLUICE_BAD_CERT_HOSTNAME] = { "hostname", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_REVOKED] = { "revoked", SLUICE_ALERT_CERTIFICATE_REVOKED },
	[SLUICE_BAD_CERT_WEAK_KEY] = { "weak_key", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_WEAK_SIGNATURE] = { "weak_signature", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_OTHER] = { "other", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_MALFORMED] = { "malformed", SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_NOT_CHECKED] = { "not_checked", SLUICE_ALERT_INTERNAL_ERROR },
	[SLUICE_BAD_CERT_APPLICATION] = { "application", SLUICE_ALERT_CERTIFICATE_UNKNOWN },
	[SLUICE_BAD_CERT_REVOCATION_UNDETERMINED] = { "revocation_undetermined",
						      SLUICE_ALERT_BAD_CERTIFICATE },
	[SLUICE_BAD_CERT_DENIED] = { "denied", SLUICE_ALERT_ACCESS_DENIED },
	[SLUICE_BAD_CERT_UNDECIDED] = { "undecided", SLUICE_ALERT_INTERNAL_ERROR },
	/* RFC 6066, 8 */
	[SLUICE_BAD_CERT_OCSP_MISSING] = { "ocsp_missing",
					   SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE },
	[SLUICE_BAD_CERT_OCSP_INVALID] = { "ocsp_invalid",
					   SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE },
	[SLUICE_BAD_CERT_OCSP_STALE] = { "ocsp_stale",
					 SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE },
	[SLUICE_BAD_CERT_OCSP_UNKNOWN] = { "ocsp_unknown",
					   SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE },
};

const char *sluice_bad_cert_name(int reason)
{
	return reason >= 0 && reason < SLUICE_BAD_CERTS ? reasons[reason].name : "unknown";
}

enum sluice_bad_cert bad_cert_of(int x509_error)
{
	switch (x509_error) {
	case X509_V_OK:
		return SLUICE_BAD_CERT_NONE;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_UNTRUSTED:
		return SLUICE_BAD_CERT_UNKNOWN_CA;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return SLUICE_BAD_CERT_SELFSIGNED_PEER;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return SLUICE_BAD_CERT_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return SLUICE_BAD_CERT_NOT_YET;
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_SUBJECT_ISSUER_MISMATCH:
		return SLUICE_BAD_CERT_INVALID_ISSUER;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
		return SLUICE_BAD_CERT_INVALID_SIGNATURE;
	case X509_V_ERR_PERMITTED_VIOLATION:
	case X509_V_ERR_EXCLUDED_VIOLATION:
	case X509_V_ERR_SUBTREE_MINMAX:
		return SLUICE_BAD_CERT_NAME_NOT_PERMITTED;
	case X509_V_ERR_KEYUSAGE_NO_CERTSIGN:
		return SLUICE_BAD_CERT_KEY_USAGE;
	case X509_V_ERR_INVALID_PURPOSE:
		return SLUICE_BAD_CERT_EXT_KEY_USAGE;
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
		return SLUICE_BAD_CERT_MAX_PATH_LENGTH;
	case X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION:
		return SLUICE_BAD_CERT_CRITICAL_EXT;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return SLUICE_BAD_CERT_HOSTNAME;
	case X509_V_ERR_CERT_REVOKED:
		return SLUICE_BAD_CERT_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
	case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
	case X509_V_ERR_DIFFERENT_CRL_SCOPE:
		return SLUICE_BAD_CERT_REVOCATION_UNDETERMINED;
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_UNSPECIFIED:
	case X509_V_ERR_INVALID_CALL:
	case X509_V_ERR_STORE_LOOKUP:
		return SLUICE_BAD_CERT_NOT_CHECKED;
	default:
		return SLUICE_BAD_CERT_OTHER;
	}
}

uint8_t bad_cert_alert(int reason)
{
	return reasons[reason].alert;
}

int bad_cert_code(int reason, int x509_error)
{
	if (reason == SLUICE_BAD_CERT_NONE)
		return SLUICE_OK;
	if (x509_error == X509_V_ERR_OUT_OF_MEM)
		return SLUICE_E_NOMEM;
	return reason == SLUICE_BAD_CERT_HOSTNAME ? SLUICE_E_HOSTNAME : SLUICE_E_VERIFY;
}

const char *bad_cert_revoked_text(int crl_reason)
{
	static const char *const texts[] = {
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
	int n = (int)(sizeof(texts) / sizeof(texts[0]));

	return texts[crl_reason >= 0 && crl_reason < n ? crl_reason : 0];
}

int bad_cert_refuse(const struct verify_finding *finding, const char *name, uint8_t *ret_alert,
		    struct sluice_error *ret_err)
{
	const char *text = finding->text;
	int code = bad_cert_code(finding->reason, finding->x509_error);

	*ret_alert = bad_cert_alert(finding->reason);
	if (!text)
		text = finding->x509_error ? X509_verify_cert_error_string(finding->x509_error)
					   : sluice_bad_cert_name(finding->reason);
	if (code == SLUICE_E_HOSTNAME && name) {
		err_set(ret_err, code, "the peer's certificate is not for %.120s", name);
	} else if (finding->index) {
		err_set(ret_err, code, "issuer %zu of the peer's certificate: %s", finding->index,
			text);
	} else {
		err_set(ret_err, code, "the peer's certificate: %s", text);
	}
	if (ret_err) {
		ret_err->x509_error = finding->x509_error;
		ret_err->bad_cert = finding->reason;
		ret_err->crl_reason = finding->crl_reason;
	}
	return -code;
}
