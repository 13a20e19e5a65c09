/* SPDX-License-Identifier: Apache-2.0 */
#include "show.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/err.h>
#include <openssl/evp.h>

void show_name(const X509_NAME *name, char ret_text[SHOW_NAME_LEN])
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = -1;

	/* An empty name prints nothing. */
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_read(bio, ret_text, SHOW_NAME_LEN - 1);
	ret_text[len > 0 ? len : 0] = '\0';
	BIO_free(bio);
}

void show_general_name(const struct general_name *name, char ret_text[SHOW_NAME_LEN])
{
	const uint8_t *bytes = CBS_data(&name->value);
	size_t i, len = CBS_len(&name->value);
	int n;

	if (name->kind == NAME_IP) {
		n = snprintf(ret_text, SHOW_NAME_LEN, "IP:");
		if (len != 4 && len != 16)
			return;
		inet_ntop(len == 4 ? AF_INET : AF_INET6, bytes, ret_text + n,
			  (socklen_t)(SHOW_NAME_LEN - n));
		return;
	}
	n = snprintf(ret_text, SHOW_NAME_LEN, "DNS:");
	for (i = 0; i < len && n < SHOW_NAME_LEN - 1; i++)
		ret_text[n++] = isascii(bytes[i]) && isgraph(bytes[i]) ? (char)bytes[i] : '?';
	ret_text[n] = '\0';
}

void show_time(int64_t time_s, char ret_text[SHOW_TIME_LEN])
{
	time_t time = (time_t)time_s;
	struct tm tm;

	if (!gmtime_r(&time, &tm) || !strftime(ret_text, SHOW_TIME_LEN, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(ret_text, SHOW_TIME_LEN, "never");
}

void show_key(X509 *x509, char ret_text[SHOW_TIME_LEN])
{
	EVP_PKEY *key = X509_get_pubkey(x509);
	const char *curve = NULL;

	switch (key ? EVP_PKEY_id(key) : EVP_PKEY_NONE) {
	case EVP_PKEY_RSA:
		snprintf(ret_text, SHOW_TIME_LEN, "RSA %d", EVP_PKEY_bits(key));
		break;
	case EVP_PKEY_EC:
		curve = EC_curve_nid2nist(
			EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key))));
		snprintf(ret_text, SHOW_TIME_LEN, "%s", curve ? curve : "another curve");
		break;
	case EVP_PKEY_ED25519:
		snprintf(ret_text, SHOW_TIME_LEN, "Ed25519");
		break;
	default:
		snprintf(ret_text, SHOW_TIME_LEN, "a key of another kind");
	}
	EVP_PKEY_free(key);
	ERR_clear_error();
}
