/* SPDX-License-Identifier: Apache-2.0 */
/* The names in a peer's certificate, for people. Called by session.c; decides nothing. */
#include <openssl/bio.h>
#include <openssl/x509.h>

#include "client.h"

/* RFC 2253's form: control characters and everything outside ASCII come out escaped. */
static int name_text(X509_NAME *name, char *buf, size_t buf_len)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	if (!bio)
		return -SLUICE_E_NOMEM;
	if (X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) < 0) {
		BIO_free(bio);
		return -SLUICE_E_CERT_PARSE;
	}
	n = BIO_read(bio, buf, (int)buf_len - 1);
	buf[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
	return 0;
}

int certificate_names(const uint8_t *der, size_t der_len, char *ret_subject, char *ret_issuer,
		      size_t name_len)
{
	X509 *x509 = d2i_X509(NULL, &der, (long)der_len);
	int r;

	if (!x509)
		return -SLUICE_E_CERT_PARSE;
	r = name_text(X509_get_subject_name(x509), ret_subject, name_len);
	if (r >= 0)
		r = name_text(X509_get_issuer_name(x509), ret_issuer, name_len);
	X509_free(x509);
	return r;
}
