/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates and keys that profiles do not take: types, dates, everything that can be in a file, and
 * every system call that can fail on the way to it.
 */
#include "options/credentials.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bytestring.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/secret.h"
#include "core/sys.h"
#include "options/options.h"
#include "options/pem.h"
#include "options/profile.h"
#include "support/certs.h"
#include "support/fault.h"
#include "support/profiles.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* A PEM block of base64 that is written down in this file. */
static const char *put_block(const char *name, const char *label, const char *base64)
{
	char text[2048];
	int len = snprintf(text, sizeof(text), "-----BEGIN %s-----\n%s\n-----END %s-----\n", label,
			   base64, label);

	assert_in_range(len, 1, sizeof(text) - 1);
	return certs_file(name, text, (size_t)len);
}

/* --- keys that are refused ------------------------------------------------------------------ */

static void OC_07_OC_08_keys_that_tls_cannot_use_are_refused_by_type(void **state)
{
	const struct certs *c = certs_get();
	const struct {
		const char *path, *says;
	} cases[] = {
		{ put_block("dsa.pem", "PRIVATE KEY",
			    "MIIBSgIBADCCASsGByqGSM44BAEwggEeAoGBAISh4PzAjmqMbXBDv5Wt5brnbmsN\n"
			    "4qbmYTIvZRAUF1FDJCBe71D/0PmHdSlualphXxpYgOGzZoZ5CWE5mDzT3burQGL7\n"
			    "YVRXsp9wcY5mnQ+biJBCEkCTE2OMA8Pv9DxiqwACc6SajjUT0qSxeg5AJresWEPQ\n"
			    "QSSlsteRyyH/mPA9AhUAznD1S8BX2lXGPi4eWLYgzsopBjcCgYAt0x8agBAYkHTb\n"
			    "jVtgGUqHn/MtYFWrO6yUrmTfq6HikgDLUZqwXQvJqfmTspR6Evc7iJW07HYLgRCC\n"
			    "7aoDKSqiX1qvOdFWH1d4Xej1lZfo5dULZKIElJUVRgm3f1p2RU8OsLCT8koSeij9\n"
			    "buYJUTJVrUF2ZlUaq63fPKXzslZtYQQWAhR4QCubflbs6cjfhrg35XNT56YuIA=="),
		  "RSA, ECDSA" },
		{ put_block("secp256k1.pem", "PRIVATE KEY",
			    "MIGEAgEAMBAGByqGSM49AgEGBSuBBAAKBG0wawIBAQQgbb+BZbNY++jvJG/wxF5v\n"
			    "SO7LxOTyd3Wy6v+Q+ATDa2ehRANCAAQAlj8Fenca2TJ7Lc7EbHsWwERzlmugGgMn\n"
			    "EQS+jTLnRrNd+iR9mqnqeVqJlH1IHMRAqsynCxJ8W2325tx+coZk"),
		  "BoringSSL does not have this type" },
		{ put_block("ed448.pem", "PRIVATE KEY",
			    "MEcCAQAwBQYDK2VxBDsEOTyjHi7JAx1hyt2ELiMf/1MC3tF1K2RNYBjqgLrF9CaI\n"
			    "iCYjRPTZC8k8/RQqJISzITykUAHO3I1JvQ=="),
		  "BoringSSL does not have this type" },
		{ put_block("secp224r1.pem", "PRIVATE KEY",
			    "MHgCAQAwEAYHKoZIzj0CAQYFK4EEACEEYTBfAgEBBBztkaOpYEKVDL6bwQ1hsZv+\n"
			    "+VQn6JhXlX0o6nq+oTwDOgAEYtMFhY+HMNPPAnT8rfLYQxV/riZ6PYL+gpH0x8ZM\n"
			    "p0HZj50ua3LZ6xwz+h8bJVCadDO3CkhOjrQ="),
		  "" },
		{ put_block("openssh.pem", "OPENSSH PRIVATE KEY",
			    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtz"),
		  "OpenSSH" },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++)
		build_fails(SLUICE_SERVER,
			    PAIRS("certfile", c->server_p256, "keyfile", cases[i].path),
			    SLUICE_E_UNSUPPORTED_KEY_TYPE, PAIRS(cases[i].path, cases[i].says));
}

static void OC_06_weak_and_useless_keys_are_refused(void **state)
{
	static const enum cert_key kinds[] = { CERT_KEY_RSA1024, CERT_KEY_X25519 };
	struct sluice_options *opts;
	uint8_t *der;
	const uint8_t *bytes;
	EVP_PKEY *key;
	size_t i, len;
	CBB cbb;

	assert_int_equal(sluice_options_new(&opts), 0);
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		key = certs_key(kinds[i]);
		assert_true(CBB_init(&cbb, 0) && EVP_marshal_private_key(&cbb, key) &&
			    CBB_finish(&cbb, &der, &len));
		bytes = der;
		assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, bytes, len, NULL),
				 -SLUICE_E_UNSUPPORTED_KEY_TYPE);
		OPENSSL_free(der);
		EVP_PKEY_free(key);
	}
	sluice_options_free(opts);
}

static void OC_12_a_key_of_another_certificate(void **state)
{
	const struct certs *c = certs_get();
	const char *const keys[] = { c->mismatched_key, c->server_rsa_key, c->server_ed25519_key };
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++)
		build_fails(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile", keys[i]),
			    SLUICE_E_KEY_MISMATCH, PAIRS(c->server_p256, keys[i]));
}

/* --- dates ---------------------------------------------------------------------------------- */

static void LC_06_certificates_outside_their_time(void **state)
{
	const struct certs *c = certs_get();

	build_fails(SLUICE_SERVER, PAIRS("certfile", c->expired, "keyfile", c->server_p256_key),
		    SLUICE_E_CERT_EXPIRED, PAIRS(c->expired, "expired on ", " GMT"));
	build_fails(SLUICE_CLIENT,
		    PAIRS("certfile", c->not_yet, "keyfile", c->server_p256_key, "cacertfile",
			  c->ca),
		    SLUICE_E_CERT_NOT_YET, PAIRS(c->not_yet, "not valid before "));
}

static int64_t frozen_s;

static int64_t frozen_clock(void)
{
	return frozen_s;
}

/* RFC 5280, 4.1.2.5: both ends belong to the period. */
static void the_first_and_the_last_second_are_valid(void **state)
{
	const struct certs *c = certs_get();
	const char *const *pairs = PAIRS("certfile", c->server_combined);
	struct sys_ops ops = sys_real;
	struct pem_file file;
	struct sluice_profile *profile;
	struct sluice_error err;
	int64_t from_s, to_s;
	X509 *leaf;
	BIO *bio;

	assert_int_equal(pem_file_read(&file, "x", c->server_combined, NULL), 0);
	bio = BIO_new_mem_buf(file.data, (int)file.len);
	leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_true(pem_time(X509_get0_notBefore(leaf), &from_s));
	assert_true(pem_time(X509_get0_notAfter(leaf), &to_s));
	assert_int_equal(to_s - from_s, 366 * 24 * 60 * 60);
	ops.wall_s = frozen_clock;
	sys = &ops;

	frozen_s = from_s;
	sluice_profile_unref(build_ok(SLUICE_SERVER, pairs));
	frozen_s = to_s;
	sluice_profile_unref(build_ok(SLUICE_SERVER, pairs));
	frozen_s = from_s - 1;
	assert_int_equal(build(&profile, SLUICE_SERVER, &err, pairs), -SLUICE_E_CERT_NOT_YET);
	frozen_s = to_s + 1;
	assert_int_equal(build(&profile, SLUICE_SERVER, &err, pairs), -SLUICE_E_CERT_EXPIRED);

	sys = &sys_real;
	X509_free(leaf);
	BIO_free(bio);
	pem_file_free(&file);
}

/* --- files that are wrong ------------------------------------------------------------------- */

static void LC_06_OC_03_OC_10_files_that_cannot_be_read(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_error err;

	err = build_fails(SLUICE_SERVER, PAIRS("certfile", "/none/cert.pem"), SLUICE_E_FILE,
			  PAIRS("certfile: /none/cert.pem: No such file or directory"));
	assert_int_equal(err.sys_errno, ENOENT);
	err = build_fails(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile", "/none/k"),
			  SLUICE_E_FILE, PAIRS("keyfile: /none/k: No such file"));
	assert_int_equal(err.sys_errno, ENOENT);
	err = build_fails(SLUICE_CLIENT, PAIRS("cacertfile", c->dir), SLUICE_E_FILE,
			  PAIRS("cacertfile: ", c->dir, "Is a directory"));
	assert_int_equal(err.sys_errno, EISDIR);
	err = build_fails(SLUICE_CLIENT, PAIRS("cacertfile", "/dev/zero"), SLUICE_E_FILE,
			  PAIRS("/dev/zero: File too large"));
	assert_int_equal(err.sys_errno, EFBIG);
}

static const struct bad_file {
	const char *option, *text;
	int code;
	const char *says;
} bad_files[] = {
	{ "certfile", "", SLUICE_E_CERT_PARSE, "no PEM certificate" },
	{ "certfile", "hello\n", SLUICE_E_CERT_PARSE, "no PEM certificate" },
	{ "certfile", "-----BEGIN CERTIFICATE-----\n", SLUICE_E_CERT_PARSE, "certfile: " },
	{ "certfile", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	  SLUICE_E_CERT_PARSE, "a certificate cannot be parsed" },
	{ "certfile", "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n",
	  SLUICE_E_CERT_PARSE, "not PEM" },
	{ "certfile", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n",
	  SLUICE_E_CERT_PARSE, "not PEM" },
	{ "cacertfile", "", SLUICE_E_CERT_PARSE, "no PEM certificate" },
	{ "cacertfile", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
	  SLUICE_E_CERT_PARSE, "a certificate cannot be parsed" },
	{ "keyfile", "", SLUICE_E_KEY_PARSE, "no PEM private key" },
	{ "keyfile", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
	  SLUICE_E_KEY_PARSE, "no PEM private key" },
	{ "keyfile", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
	  SLUICE_E_KEY_PARSE, "cannot be parsed" },
	{ "keyfile", "-----BEGIN PRIVATE KEY-----\n?\n-----END PRIVATE KEY-----\n",
	  SLUICE_E_KEY_PARSE, "cannot be parsed" },
	{ "keyfile", "-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n",
	  SLUICE_E_KEY_PARSE, "cannot be parsed" },
	{ "keyfile",
	  "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nMAA=\n"
	  "-----END RSA PRIVATE KEY-----\n",
	  SLUICE_E_KEY_PARSE, "cannot be parsed" },
	{ "keyfile",
	  "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
	  SLUICE_E_KEY_PARSE, "cannot be parsed" },
};

static void LC_06_OC_03_OC_10_files_with_something_else_in_them(void **state)
{
	const struct certs *c = certs_get();
	const char *path;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad_files); i++) {
		path = certs_file("bad.pem", bad_files[i].text, strlen(bad_files[i].text));
		if (!strcmp(bad_files[i].option, "keyfile"))
			build_fails(SLUICE_SERVER,
				    PAIRS("keyfile", path, "certfile", c->server_p256),
				    bad_files[i].code, PAIRS(path, bad_files[i].says));
		else
			build_fails(SLUICE_CLIENT,
				    PAIRS(bad_files[i].option, path, "verify", "verify_none"),
				    bad_files[i].code, PAIRS(path, bad_files[i].says));
	}
}

static void OC_01_bytes_with_something_else_in_them(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	struct sluice_profile *profile;
	struct sluice_error err;

	opts = new_options(PAIRS(NULL));
	set_der(opts, SLUICE_OPT_CERT, c->server_p256, 0);
	set_der(opts, SLUICE_OPT_CERT, c->server_p256_key, 0);
	set_der(opts, SLUICE_OPT_KEY, c->server_p256_key, 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err),
			 -SLUICE_E_CERT_PARSE);
	assert_string_equal(err.text, "cert: object 2 is not a certificate in DER");
	sluice_options_free(opts);
}

/* --- system calls that fail ----------------------------------------------------------------- */

/* Fails the @nth call of every kind with every errno, and looks for what is left over. */
static void LC_06_every_file_call_may_fail(void **state)
{
	static const struct {
		const char *call;
		int err_no, code;
	} faults[] = {
		{ "open", EMFILE, SLUICE_E_NOFILE },
		{ "open", ENFILE, SLUICE_E_NOFILE },
		{ "open", ENOMEM, SLUICE_E_NOMEM },
		{ "open", EACCES, SLUICE_E_FILE },
		{ "open", EINTR, 0 },
		{ "read", EIO, SLUICE_E_FILE },
		{ "read", ENOMEM, SLUICE_E_NOMEM },
		{ "read", EINTR, 0 },
		{ "close", EIO, 0 },
		{ "close", EINTR, 0 },
	};
	const struct certs *c = certs_get();
	const char *const *pairs = PAIRS("certfile", c->server_p256, "keyfile", c->encrypted_key,
					 "password", c->password, "cacertfile", c->ca);
	int fds = fault_open_fds();
	size_t i, secrets = secret_live();
	struct sluice_profile *profile;
	struct sluice_error err;
	unsigned int nth;
	int r;

	fault_install();
	for (i = 0; i < ARRAY_LEN(faults); i++) {
		for (nth = 1;; nth++) {
			fault_reset();
			fault_arm(faults[i].call, nth, faults[i].err_no);
			sluice_clear_pem_cache();
			r = build(&profile, SLUICE_SERVER, &err, pairs);
			if (!fault_hits(faults[i].call))
				break;
			if (r != -faults[i].code)
				fail_msg("%s %u, errno %d: %s", faults[i].call, nth,
					 faults[i].err_no, err.text);
			if (r < 0)
				assert_int_equal(err.sys_errno, faults[i].err_no);
			sluice_profile_unref(profile);
			assert_int_equal(fault_open_fds(), fds);
			assert_int_equal(secret_live(), secrets);
		}
		assert_int_equal(r, 0);
		assert_true(nth > 3); /* three files */
		sluice_profile_unref(profile);
	}
	fault_uninstall();
}

static void files_may_come_in_small_pieces(void **state)
{
	const struct certs *c = certs_get();

	fault_install();
	fault_limit("read", 7);
	sluice_profile_unref(build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_rsa, "keyfile",
							   c->server_rsa_key)));
	fault_uninstall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_07_OC_08_keys_that_tls_cannot_use_are_refused_by_type),
		cmocka_unit_test(OC_06_weak_and_useless_keys_are_refused),
		cmocka_unit_test(OC_12_a_key_of_another_certificate),
		cmocka_unit_test(LC_06_certificates_outside_their_time),
		cmocka_unit_test(the_first_and_the_last_second_are_valid),
		cmocka_unit_test(LC_06_OC_03_OC_10_files_that_cannot_be_read),
		cmocka_unit_test(LC_06_OC_03_OC_10_files_with_something_else_in_them),
		cmocka_unit_test(OC_01_bytes_with_something_else_in_them),
		cmocka_unit_test(LC_06_every_file_call_may_fail),
		cmocka_unit_test(files_may_come_in_small_pieces),
	};

	return cmocka_run_group_tests_name("unit/credentials-refused", tests, NULL, NULL);
}
