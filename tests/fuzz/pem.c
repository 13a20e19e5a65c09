/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for options/pem.c. The input's first byte says what the rest is read as: certificates
 * (leniently or not), a key with or without a password, a key in DER. What is accepted must be of
 * use to TLS; what is not must be one of the documented errors; BoringSSL's error queue is empty
 * after both.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "options/pem.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_error(int r, const struct sluice_error *err)
{
	REQUIRE(err->code == -r && !strncmp(err->text, "what: ", 6));
	switch (err->code) {
	case SLUICE_E_CERT_PARSE:
	case SLUICE_E_KEY_PARSE:
	case SLUICE_E_KEY_PASSWORD:
	case SLUICE_E_UNSUPPORTED_KEY_TYPE:
		break;
	default:
		abort();
	}
}

static void read_certs(const struct pem_file *file, bool lenient)
{
	STACK_OF(CRYPTO_BUFFER) *certs = NULL;
	struct sluice_error err = { 0 };
	int r = pem_parse_certs(&certs, file, "what", lenient, &err);
	int64_t from_s, to_s;

	if (r < 0) {
		check_error(r, &err);
		REQUIRE(!certs && err.code == SLUICE_E_CERT_PARSE);
		return;
	}
	REQUIRE(sk_CRYPTO_BUFFER_num(certs) > 0);
	for (size_t i = 0; i < sk_CRYPTO_BUFFER_num(certs); i++) {
		X509 *x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(certs, i));

		REQUIRE(x509);
		pem_time(X509_get0_notBefore(x509), &from_s);
		pem_time(X509_get0_notAfter(x509), &to_s);
		X509_free(x509);
	}
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
}

static void check_key(int r, EVP_PKEY *key, const struct sluice_error *err)
{
	if (r < 0) {
		check_error(r, err);
		REQUIRE(!key && err->code != SLUICE_E_CERT_PARSE);
		return;
	}
	switch (EVP_PKEY_id(key)) {
	case EVP_PKEY_RSA:
		REQUIRE(EVP_PKEY_bits(key) >= 2048);
		break;
	case EVP_PKEY_EC:
		REQUIRE(EVP_PKEY_bits(key) >= 256);
		break;
	default:
		REQUIRE(EVP_PKEY_id(key) == EVP_PKEY_ED25519);
	}
	EVP_PKEY_free(key);
}

static void read_key(const struct pem_file *file, const char *password)
{
	/* PBES2 names its own number of rounds, up to hours of work for a few bytes of input. */
	static const char pbes2[] = "BEGIN ENCRYPTED";
	bool slow = memmem(file->data, file->len, pbes2, sizeof(pbes2) - 1) != NULL;
	struct sluice_error err = { 0 };
	EVP_PKEY *key = NULL;
	int r = pem_parse_key(&key, file, "what", slow ? NULL : password, &err);

	check_key(r, key, &err);
}

static void read_der(const uint8_t *data, size_t size)
{
	struct sluice_error err = { 0 };
	EVP_PKEY *key = NULL;
	int r = pem_parse_key_der(&key, data, size, "what", &err);

	check_key(r, key, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pem_file file;

	if (!size)
		return 0;
	file = (struct pem_file){ .data = (char *)data + 1, .len = size - 1 };
	switch (data[0] % 5) {
	case 0:
		read_certs(&file, false);
		break;
	case 1:
		read_certs(&file, true);
		break;
	case 2:
		read_key(&file, NULL);
		break;
	case 3:
		read_key(&file, "password");
		break;
	case 4:
		read_der(data + 1, size - 1);
		break;
	}
	REQUIRE(ERR_peek_error() == 0);
	return 0;
}
