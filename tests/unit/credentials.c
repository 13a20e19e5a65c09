/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates, keys and trust anchors as profiles load them: every form that is taken. */
#include "options/credentials.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include "core/sys.h"
#include "options/options.h"
#include "options/profile.h"
#include "options/trust.h"
#include "support/certs.h"
#include "support/profiles.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static bool leaf_is(const struct sluice_profile *profile, const char *path)
{
	const CRYPTO_BUFFER *leaf = sk_CRYPTO_BUFFER_value(profile->creds->own[0].chain, 0);
	size_t len;
	uint8_t *der = certs_der(path, 0, &len);
	bool same = CRYPTO_BUFFER_len(leaf) == len && !memcmp(CRYPTO_BUFFER_data(leaf), der, len);

	free(der);
	return same;
}

/* --- what is taken -------------------------------------------------------------------------- */

static void OC_03_OC_10_every_key_type_from_files(void **state)
{
	const struct certs *c = certs_get();
	const struct {
		const char *cert, *key;
		int type;
	} cases[] = {
		{ c->server_rsa, c->server_rsa_key, EVP_PKEY_RSA },
		{ c->server_p256, c->server_p256_key, EVP_PKEY_EC },
		{ c->server_ed25519, c->server_ed25519_key, EVP_PKEY_ED25519 },
	};
	struct sluice_profile *profile;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		profile = build_ok(SLUICE_SERVER,
				   PAIRS("certfile", cases[i].cert, "keyfile", cases[i].key));
		assert_int_equal(EVP_PKEY_id(profile->creds->own[0].key), cases[i].type);
		assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 2);
		assert_true(leaf_is(profile, cases[i].cert));
		assert_null(profile->trust);
		sluice_profile_unref(profile);

		profile = build_ok(SLUICE_CLIENT, PAIRS("certfile", cases[i].cert, "keyfile",
							cases[i].key, "cacertfile", c->ca));
		assert_non_null(profile->trust);
		sluice_profile_unref(profile);
	}
}

static void OC_04_certificate_and_key_in_one_file(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_profile *profile;

	profile = build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_combined));
	assert_int_equal(EVP_PKEY_id(profile->creds->own[0].key), EVP_PKEY_EC);
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 2);
	sluice_profile_unref(profile);
}

static void OC_01_OC_05_certificate_and_key_from_bytes(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	struct sluice_profile *profile;

	opts = new_options(PAIRS(NULL));
	set_der(opts, SLUICE_OPT_CERT, c->server_ed25519, 0);
	set_der(opts, SLUICE_OPT_CERT, c->server_ed25519, 1);
	set_der(opts, SLUICE_OPT_KEY, c->server_ed25519_key, 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 2);
	assert_int_equal(EVP_PKEY_id(profile->creds->own[0].key), EVP_PKEY_ED25519);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

/* What is overridden is not even read: the files do not exist. */
static void OC_02_CL_04_SV_01_bytes_override_files(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	struct sluice_profile *profile;
	struct sluice_error err;

	opts = new_options(PAIRS(NULL));
	set_der(opts, SLUICE_OPT_CERT, c->server_p256, 0);
	set_der(opts, SLUICE_OPT_KEY, c->server_p256_key, 0);
	set_der(opts, SLUICE_OPT_CACERTS, c->ca, 0);
	set_pairs(opts,
		  PAIRS("certfile", "/none/c", "keyfile", "/none/k", "cacertfile", "/none/a"));
	if (sluice_profile_new(&profile, opts, SLUICE_SERVER, &err) < 0)
		fail_msg("%s", err.text);
	assert_true(leaf_is(profile, c->server_p256));
	assert_non_null(profile->trust);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

static void OC_02_a_keyfile_goes_before_the_key_in_certfile(void **state)
{
	const struct certs *c = certs_get();

	build_fails(SLUICE_SERVER,
		    PAIRS("certfile", c->server_combined, "keyfile", c->mismatched_key),
		    SLUICE_E_KEY_MISMATCH, PAIRS(c->mismatched_key));
}

/* cert is bytes, the key is in a file that certfile names. */
static void OC_10_the_key_of_bytes_may_be_in_certfile(void **state)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	struct sluice_profile *profile;

	opts = new_options(PAIRS(NULL));
	set_der(opts, SLUICE_OPT_CERT, c->server_p256, 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CERTFILE, c->server_combined, NULL),
			 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 1);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
}

static void take_key_der(const EVP_PKEY *key, int (*i2d)(const EVP_PKEY *key, uint8_t **out))
{
	struct sluice_options *opts;
	uint8_t *der = NULL;
	int len = i2d(key, &der);

	assert_true(len > 0);
	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, der, (size_t)len, NULL), 0);
	assert_int_equal(EVP_PKEY_cmp(opts->values[SLUICE_OPT_KEY].key, key), 1);
	sluice_options_free(opts);
	OPENSSL_free(der);
}

/* RSAPrivateKey and ECPrivateKey; PKCS#8 is what the other tests have. */
static void OC_06_OC_07_keys_in_their_own_der_forms(void **state)
{
	EVP_PKEY *rsa = certs_key(CERT_KEY_RSA2048), *ec = certs_key(CERT_KEY_P384);

	take_key_der(rsa, i2d_PrivateKey);
	take_key_der(ec, i2d_PrivateKey);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

static void OC_11_encrypted_keys(void **state)
{
	const struct certs *c = certs_get();
	const char *const keys[] = { c->encrypted_key, c->encrypted_key_legacy };
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys); i++) {
		sluice_profile_unref(
			build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile",
						      keys[i], "password", c->password)));
		build_fails(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile", keys[i]),
			    SLUICE_E_KEY_PASSWORD, PAIRS(keys[i], "password is missing"));
		err = build_fails(SLUICE_SERVER,
				  PAIRS("certfile", c->server_p256, "keyfile", keys[i], "password",
					"Wrong Password"),
				  SLUICE_E_KEY_PASSWORD, PAIRS(keys[i], "password is wrong"));
		assert_null(strstr(err.text, "Wrong Password"));
	}
	/* A password for a key that needs none is not an error. */
	sluice_profile_unref(build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_combined,
							   "password", c->password)));
}

/* --- trust ---------------------------------------------------------------------------------- */

static const char *system_cas; /* what stands in for the system's bundle; NULL: there is none */

static int open_other_cas(const char *path, int flags, mode_t mode)
{
	if (strcmp(path, TRUST_SYSTEM_FILE))
		return sys_real.open(path, flags, mode);
	if (!system_cas) {
		errno = ENOENT;
		return -1;
	}
	return sys_real.open(system_cas, flags, mode);
}

static int no_open(const char *path, int flags, mode_t mode)
{
	fail_msg("opened %s", path);
	return -1;
}

static void CL_02_CL_05_a_verifying_client_trusts_what_the_system_trusts(void **state)
{
	const struct certs *c = certs_get();
	struct sys_ops ops = sys_real;
	struct sluice_profile *profile;
	struct sluice_error err;

	ops.open = open_other_cas;
	sys = &ops;
	system_cas = c->ca;
	profile = build_ok(SLUICE_CLIENT, PAIRS("depth", "3"));
	assert_true(profile->verify_peer);
	assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(profile->trust)), 1);
	sluice_profile_unref(profile);

	system_cas = NULL;
	err = build_fails(SLUICE_CLIENT, PAIRS("depth", "3"), SLUICE_E_FILE,
			  PAIRS(TRUST_SYSTEM_FILE, "No such file", "set cacertfile",
				"ca-certificates"));
	assert_int_equal(err.sys_errno, ENOENT);

	/* Where nothing is verified, or own anchors are given, nobody asks for it. */
	profile = build_ok(SLUICE_CLIENT, PAIRS("cacertfile", c->other_ca));
	sluice_profile_unref(profile);
	ops.open = no_open;
	profile = build_ok(SLUICE_CLIENT, PAIRS("verify", "verify_none"));
	assert_false(profile->verify_peer);
	assert_null(profile->trust);
	sluice_profile_unref(profile);
	sys = &sys_real;
}

/* What others have put into the system's bundle must not stop every client. */
static void a_system_bundle_with_a_damaged_entry_still_serves(void **state)
{
	static const char damaged[] = "-----BEGIN CERTIFICATE-----\nMAA=\n"
				      "-----END CERTIFICATE-----\n";
	struct sys_ops ops = sys_real;
	size_t len;
	char *ca = certs_read(certs_get()->ca, &len), *both;
	struct sluice_profile *profile;

	assert_true(asprintf(&both, "%s%s", damaged, ca) > 0);
	system_cas = certs_file("system.pem", both, strlen(both));
	ops.open = open_other_cas;
	sys = &ops;
	profile = build_ok(SLUICE_CLIENT, PAIRS("depth", "3"));
	assert_int_equal(sk_X509_OBJECT_num(X509_STORE_get0_objects(profile->trust)), 1);
	sluice_profile_unref(profile);
	sys = &sys_real;
	free(both);
	free(ca);
}

static const char *concat(const char *name, const char *first, const char *second)
{
	size_t a_len, b_len;
	char *a = certs_read(first, &a_len), *b = certs_read(second, &b_len), *both;
	const char *path;

	assert_true(asprintf(&both, "%s%s", a, b) > 0);
	path = certs_file(name, both, strlen(both));
	free(a);
	free(b);
	free(both);
	return path;
}

static void CL_05_SV_02_the_chain_is_completed_from_the_ca_certificates(void **state)
{
	const struct certs *c = certs_get();
	const char *cas = concat("cas.pem", c->ca, c->intermediate);
	struct sluice_profile *profile;
	const CRYPTO_BUFFER *issuer;
	size_t len;
	uint8_t *der;

	profile = build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_bare, "keyfile",
						c->server_p256_key, "cacertfile", cas));
	/* The intermediate, and not the root, which who trusts it has. */
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 2);
	issuer = sk_CRYPTO_BUFFER_value(profile->creds->own[0].chain, 1);
	der = certs_der(c->intermediate, 0, &len);
	assert_int_equal(CRYPTO_BUFFER_len(issuer), len);
	assert_memory_equal(CRYPTO_BUFFER_data(issuer), der, len);
	free(der);
	sluice_profile_unref(profile);

	profile = build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_bare, "keyfile",
						c->server_p256_key, "cacertfile", c->other_ca));
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 1);
	sluice_profile_unref(profile);

	profile = build_ok(SLUICE_SERVER, PAIRS("certfile", c->server_p256, "keyfile",
						c->server_p256_key, "cacertfile", cas));
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 2);
	sluice_profile_unref(profile);
}

static void add_ca(struct sluice_options *opts, X509 *x509)
{
	uint8_t *der = NULL;
	int len = i2d_X509(x509, &der);

	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CACERTS, der, (size_t)len, NULL),
			 0);
	OPENSSL_free(der);
}

/* Two CAs that certify each other: the chain must end. */
static void SV_02_certificate_authorities_in_a_circle(void **state)
{
	struct cert_spec a = { .cn = "A", .ca = true }, b = { .cn = "B", .ca = true };
	struct cert_spec leaf = { .cn = "leaf" };
	X509 *a_root, *b_root, *a_by_b, *b_by_a, *x509;
	struct sluice_options *opts;
	struct sluice_profile *profile;
	uint8_t *der = NULL;
	int len;

	a.key = certs_key(CERT_KEY_P256);
	b.key = certs_key(CERT_KEY_P256);
	a_root = certs_make(&a);
	b_root = certs_make(&b);
	a.issuer = b_root;
	a.issuer_key = b.key;
	a_by_b = certs_make(&a);
	b.issuer = a_root;
	b.issuer_key = a.key;
	b_by_a = certs_make(&b);
	leaf.key = certs_key(CERT_KEY_P256);
	leaf.issuer = a_root;
	leaf.issuer_key = a.key;
	x509 = certs_make(&leaf);

	assert_int_equal(sluice_options_new(&opts), 0);
	len = i2d_X509(x509, &der);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CERT, der, (size_t)len, NULL), 0);
	OPENSSL_free(der);
	der = NULL;
	len = i2d_PrivateKey(leaf.key, &der);
	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_KEY, der, (size_t)len, NULL), 0);
	OPENSSL_free(der);
	add_ca(opts, a_by_b);
	add_ca(opts, b_by_a);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, NULL), 0);
	assert_int_equal(sk_CRYPTO_BUFFER_num(profile->creds->own[0].chain), 3);

	sluice_profile_unref(profile);
	sluice_options_free(opts);
	X509_free(a_root);
	X509_free(b_root);
	X509_free(a_by_b);
	X509_free(b_by_a);
	X509_free(x509);
	EVP_PKEY_free(a.key);
	EVP_PKEY_free(b.key);
	EVP_PKEY_free(leaf.key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_03_OC_10_every_key_type_from_files),
		cmocka_unit_test(OC_04_certificate_and_key_in_one_file),
		cmocka_unit_test(OC_01_OC_05_certificate_and_key_from_bytes),
		cmocka_unit_test(OC_02_CL_04_SV_01_bytes_override_files),
		cmocka_unit_test(OC_02_a_keyfile_goes_before_the_key_in_certfile),
		cmocka_unit_test(OC_10_the_key_of_bytes_may_be_in_certfile),
		cmocka_unit_test(OC_06_OC_07_keys_in_their_own_der_forms),
		cmocka_unit_test(OC_11_encrypted_keys),
		cmocka_unit_test(CL_02_CL_05_a_verifying_client_trusts_what_the_system_trusts),
		cmocka_unit_test(a_system_bundle_with_a_damaged_entry_still_serves),
		cmocka_unit_test(CL_05_SV_02_the_chain_is_completed_from_the_ca_certificates),
		cmocka_unit_test(SV_02_certificate_authorities_in_a_circle),
	};

	return cmocka_run_group_tests_name("unit/credentials", tests, NULL, NULL);
}
