/* SPDX-License-Identifier: Apache-2.0 */
/* Why a certificate is refused: BoringSSL's errors as reasons, and what the peer is told. */
#ifndef SLUICE_VERIFY_REASON_H
#define SLUICE_VERIFY_REASON_H

#include <stdint.h>

#include <sluice/verify.h>

/* struct verify_finding - what is wrong with one certificate of a path. */
struct verify_finding {
	int reason;     /* enum sluice_bad_cert */
	int x509_error; /* X509_V_ERR_*, or 0 */
	size_t index;   /* 0: the peer's own */
	const char *text;
	int crl_reason; /* of a revoked one; 0: none is stated */
};

/* bad_cert_of() returns the reason of an X509_V_ERR_*. */
enum sluice_bad_cert bad_cert_of(int x509_error);

/*
 * bad_cert_alert() returns what the peer is told (RFC 8446, 6.2), bad_cert_code() the error code of the library:
 * VERIFY, HOSTNAME, NOMEM, or SLUICE_OK.
 */
uint8_t bad_cert_alert(int reason);
int bad_cert_code(int reason, int x509_error);

/* bad_cert_revoked_text() says why a certificate is revoked, by CRLReason (RFC 5280, 5.3.1). */
const char *bad_cert_revoked_text(int crl_reason);

/*
 * bad_cert_refuse() makes the error and the alert of a finding. @name is the reference identity, or NULL.
 * Returns the negative code: VERIFY, HOSTNAME, NOMEM.
 */
int bad_cert_refuse(const struct verify_finding *finding, const char *name, uint8_t *ret_alert,
		    struct sluice_error *ret_err);

#endif
