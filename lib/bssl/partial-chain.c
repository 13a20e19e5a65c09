// SPDX-License-Identifier: Apache-2.0
/*
 * Option partial_chain_fun: a program names one of the peer's certificates as the trust anchor. Called by stage
 * VERIFY, by whoever drives the handshake. It must never trust what the peer has not sent.
 */
#include "bssl/partial-chain.h"

#include <string.h>

#include <openssl/err.h>

#include "conn/conn.h"
#include "core/error.h"
#include "verify/path.h"

static int refuse(struct sluice_error *err, int bad_cert, int x509_error, const char *text)
{
	err_set(err, SLUICE_E_VERIFY, "%s", text);
	if (err) {
		err->x509_error = x509_error;
		err->bad_cert = bad_cert;
	}
	return -SLUICE_E_VERIFY;
}

/* The certificate of @chain that has these bytes, or NULL. */
static CRYPTO_BUFFER *find(const STACK_OF(CRYPTO_BUFFER) * chain, size_t n,
			   const struct sluice_der *der)
{
	CRYPTO_BUFFER *cert;
	size_t i;

	for (i = 0; der->data && i < n; i++) {
		cert = sk_CRYPTO_BUFFER_value(chain, i);
		if (CRYPTO_BUFFER_len(cert) == der->len &&
		    !memcmp(CRYPTO_BUFFER_data(cert), der->data, der->len))
			return cert;
	}
	return NULL;
}

static int trust(X509_STORE **ret_trust, CRYPTO_BUFFER *cert, uint8_t *ret_alert,
		 struct sluice_error *err)
{
	X509 *x509 = X509_parse_from_buffer(cert);
	X509_STORE *store;
	bool ok;

	if (!x509) {
		*ret_alert = SLUICE_ALERT_BAD_CERTIFICATE;
		return refuse(err, SLUICE_BAD_CERT_MALFORMED, X509_V_ERR_CERT_REJECTED,
			      "the peer's certificate that partial_chain_fun trusts cannot be "
			      "parsed");
	}
	store = X509_STORE_new();
	ok = store && X509_STORE_add_cert(store, x509);
	X509_free(x509);
	if (ok) {
		*ret_trust = store;
		return 0;
	}
	X509_STORE_free(store);
	*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
	return err_set(err, SLUICE_E_NOMEM, "no memory for a trust anchor");
}

int partial_chain_ask(struct sluice_conn *conn, const STACK_OF(CRYPTO_BUFFER) * chain,
		      X509_STORE **ret_trust, uint8_t *ret_alert, struct sluice_error *ret_err)
{
	const struct sluice_profile *profile = conn->profile;
	struct sluice_der certs[PATH_MAX_CERTS], trusted = { 0 };
	size_t i, n = chain ? sk_CRYPTO_BUFFER_num(chain) : 0;
	CRYPTO_BUFFER *cert;
	int r;

	*ret_trust = NULL;
	/* More are refused (path.h): nobody has to be asked. */
	if (!profile->partial_chain_fun || !n || n > PATH_MAX_CERTS)
		return 0;
	for (i = 0; i < n; i++) {
		cert = sk_CRYPTO_BUFFER_value(chain, i);
		certs[i] = (struct sluice_der){ CRYPTO_BUFFER_data(cert), CRYPTO_BUFFER_len(cert) };
	}
	if (profile->partial_chain_fun(conn, certs, n, profile->partial_chain_state, &trusted) !=
	    SLUICE_TRUSTED_CA)
		return 0;
	cert = find(chain, n, &trusted);
	if (!cert) {
		*ret_alert = SLUICE_ALERT_UNKNOWN_CA;
		return refuse(ret_err, SLUICE_BAD_CERT_UNKNOWN_CA, X509_V_ERR_CERT_UNTRUSTED,
			      "partial_chain_fun trusts a certificate that the peer has not sent");
	}
	r = trust(ret_trust, cert, ret_alert, ret_err);
	ERR_clear_error();
	return r;
}
