// SPDX-License-Identifier: Apache-2.0
/*
 * The reason for a failed handshake: what BoringSSL's error queue says, mapped to the public codes.
 * The first error of the queue is where it began; the rest is the way up.
 */
#include "bssl/reason.h"

#include <stdio.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "core/error.h"
#include "tls/control.h"

static int code_of(uint32_t packed)
{
	if (ERR_GET_LIB(packed) != ERR_LIB_SSL)
		return ERR_GET_REASON(packed) == ERR_R_MALLOC_FAILURE ? SLUICE_E_NOMEM
								      : SLUICE_E_HANDSHAKE;
	switch (ERR_GET_REASON(packed)) {
	case ERR_R_MALLOC_FAILURE:
		return SLUICE_E_NOMEM;
	case SSL_R_HTTP_REQUEST:
		return SLUICE_E_HTTP_REQUEST;
	case SSL_R_NO_SHARED_CIPHER:
	case SSL_R_NO_SHARED_GROUP:
	case SSL_R_NO_COMMON_SIGNATURE_ALGORITHMS:
	case SSL_R_NO_APPLICATION_PROTOCOL:
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_WRONG_VERSION_NUMBER:
		return SLUICE_E_NO_SHARED;
	case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
		return SLUICE_E_NO_PEERCERT;
	case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
	case SSL_R_DATA_LENGTH_TOO_LONG:
		return SLUICE_E_RECORD_OVERFLOW;
	case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
		return SLUICE_E_BAD_RECORD_MAC;
	case SSL_R_UNEXPECTED_MESSAGE:
	case SSL_R_UNEXPECTED_RECORD:
	case SSL_R_DECODE_ERROR:
		return SLUICE_E_PROTOCOL;
	case SSL_R_EXCESSIVE_MESSAGE_SIZE:
		return SLUICE_E_HANDSHAKE_TOO_LARGE;
	case SSL_R_CERTIFICATE_VERIFY_FAILED:
		return SLUICE_E_VERIFY;
	default:
		return SLUICE_E_HANDSHAKE;
	}
}

/* BoringSSL has many words for a peer that is wrong, and says by few alerts that it is. */
static int code_of_alert(const struct sluice_error *err)
{
	if (!err->alert_sent)
		return SLUICE_E_HANDSHAKE;
	switch (err->alert) {
	case SLUICE_ALERT_UNEXPECTED_MESSAGE:
	case SLUICE_ALERT_ILLEGAL_PARAMETER:
	case SLUICE_ALERT_DECODE_ERROR:
	case SLUICE_ALERT_DECRYPT_ERROR:
	case SLUICE_ALERT_MISSING_EXTENSION:
	case SLUICE_ALERT_UNSUPPORTED_EXTENSION:
		return SLUICE_E_PROTOCOL;
	case SLUICE_ALERT_BAD_RECORD_MAC:
		return SLUICE_E_BAD_RECORD_MAC;
	case SLUICE_ALERT_RECORD_OVERFLOW:
		return SLUICE_E_RECORD_OVERFLOW;
	default:
		return SLUICE_E_HANDSHAKE;
	}
}

int reason_take(struct sluice_error *err)
{
	uint32_t packed = ERR_peek_error();
	const char *text = packed ? ERR_reason_error_string(packed) : NULL;
	int reason = ERR_GET_REASON(packed);
	int code;

	if (ERR_GET_LIB(packed) == ERR_LIB_SSL && reason > SSL_AD_REASON_OFFSET) {
		err->alert = reason - SSL_AD_REASON_OFFSET;
		err->alert_sent = 0;
		err_set(err, SLUICE_E_ALERT, "the peer refused the handshake: alert %s",
			sluice_alert_name(err->alert));
	} else {
		code = packed ? code_of(packed) : SLUICE_E_HANDSHAKE;
		if (code == SLUICE_E_HANDSHAKE)
			code = code_of_alert(err);
		err_set(err, code, "%s%s%s", sluice_strerror(code), text ? ": " : "",
			text ? text : "");
	}
	if (!err->bssl_error)
		err->bssl_error = packed;
	ERR_clear_error();
	return -err->code;
}
