/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes many certificates, for tests/daemon and tests/bench:
 *
 *	make-certs DIRECTORY COUNT CAFILE CAKEYFILE
 *
 * hN.pem, with a P-256 key of its own, is for the name hN.many.test, N from 0 on.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#define S_PER_DAY 86400

static EVP_PKEY *make_key(void)
{
	EC_KEY *ec = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
	EVP_PKEY *key = EVP_PKEY_new();

	if (!ec || !key || !EC_KEY_generate_key(ec) || !EVP_PKEY_assign_EC_KEY(key, ec))
		abort();
	return key;
}

static void add_name(X509 *cert, const char *name)
{
	char value[128];
	X509_EXTENSION *ext;

	snprintf(value, sizeof(value), "DNS:%s", name);
	ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_subject_alt_name, value);
	if (!ext || !X509_add_ext(cert, ext, -1))
		abort();
	X509_EXTENSION_free(ext);
}

static X509 *make_cert(long number, const char *name, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *cert = X509_new();

	if (!cert || !X509_set_version(cert, X509_VERSION_3) ||
	    !ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), (uint64_t)number + 1) ||
	    !X509_set_issuer_name(cert, X509_get_subject_name(ca)) ||
	    !X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
					(const uint8_t *)name, -1, -1, 0) ||
	    !X509_gmtime_adj(X509_getm_notBefore(cert), -S_PER_DAY) ||
	    !X509_gmtime_adj(X509_getm_notAfter(cert), S_PER_DAY) || !X509_set_pubkey(cert, key))
		abort();
	add_name(cert, name);
	if (!X509_sign(cert, ca_key, EVP_sha256()))
		abort();
	return cert;
}

static bool write_pair(const char *path, X509 *cert, EVP_PKEY *key)
{
	FILE *file = fopen(path, "w");
	bool ok = file && PEM_write_X509(file, cert) &&
		  PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);

	return file && fclose(file) == 0 && ok;
}

int main(int argc, char **argv)
{
	FILE *ca_file = argc == 5 ? fopen(argv[3], "r") : NULL;
	FILE *key_file = argc == 5 ? fopen(argv[4], "r") : NULL;
	X509 *cert, *ca = ca_file ? PEM_read_X509(ca_file, NULL, NULL, NULL) : NULL;
	EVP_PKEY *key, *ca_key = key_file ? PEM_read_PrivateKey(key_file, NULL, NULL, NULL) : NULL;
	char path[4096], name[64];
	long i;

	if (!ca || !ca_key) {
		fprintf(stderr, "usage: make-certs DIRECTORY COUNT CAFILE CAKEYFILE\n");
		return 2;
	}
	for (i = 0; i < atol(argv[2]); i++) {
		snprintf(name, sizeof(name), "h%ld.many.test", i);
		snprintf(path, sizeof(path), "%s/h%ld.pem", argv[1], i);
		key = make_key();
		cert = make_cert(i, name, key, ca, ca_key);
		if (!write_pair(path, cert, key)) {
			perror(path);
			return 1;
		}
		X509_free(cert);
		EVP_PKEY_free(key);
	}
	return 0;
}
