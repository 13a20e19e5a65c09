/* SPDX-License-Identifier: Apache-2.0 */
/* Path validation: signature algorithms and keys that are too weak, and whom a certificate is for. */
#include "bssl/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/digest.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "support/verify_world.h"
#include "tls/control.h"
#include "verify/strength.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* --- weak signatures and keys --------------------------------------------------------------- */

/* Signs a certificate again, with RSASSA-PSS. False: this BoringSSL makes no such signature. */
static bool sign_pss(X509 *x509, EVP_PKEY *key, const EVP_MD *md)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *key_ctx;
	bool signed_again;

	assert_int_equal(EVP_DigestSignInit(ctx, &key_ctx, md, NULL, key), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, -1), 1);
	signed_again = X509_sign_ctx(x509, ctx) > 0;
	EVP_MD_CTX_free(ctx);
	return signed_again;
}

static void OC_40_signatures_with_sha1_are_refused(void **state)
{
	static const enum cert_key kinds[] = { CERT_KEY_P256, CERT_KEY_RSA2048 };
	const struct cert_spec ca = { .cn = "Root", .ca = true, .md = EVP_sha1() };
	const struct cert_spec leaf = { .cn = "x", .san = SERVER_NAMES };
	struct cert_spec weak_leaf = leaf, weak_ca = ca;
	struct entity root, intermediate, server;
	struct world w;
	size_t i;

	weak_leaf.md = EVP_sha1();
	weak_ca.cn = "Intermediate";
	for (i = 0; i < ARRAY_LEN(kinds); i++) {
		root = certify(ca, kinds[i], NULL); /* its own signature proves nothing */
		server = certify(leaf, CERT_KEY_P256, &root);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		accepts(&w, "localhost");
		world_deinit(&w);
		entity_free(&server);

		server = certify(weak_leaf, CERT_KEY_P256, &root);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, 0);
		world_deinit(&w);
		entity_free(&server);

		intermediate = certify(weak_ca, CERT_KEY_P256, &root);
		server = new_server(&intermediate);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		send_cert(&w, &intermediate);
		refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, 0);
		assert_non_null(strstr(w.err.text, "issuer 1"));
		world_deinit(&w);
		entity_free(&server);
		entity_free(&intermediate);
		entity_free(&root);
	}
}

static void OC_40_signature_algorithms(void **state)
{
	const struct {
		const EVP_MD *md;
		bool pss, ok;
	} cases[] = {
		{ EVP_sha256(), false, true }, { EVP_sha384(), false, true },
		{ EVP_sha512(), false, true }, { EVP_sha224(), false, false },
		{ EVP_sha256(), true, true },  { EVP_sha384(), true, true },
		{ EVP_sha512(), true, true },  { EVP_sha1(), true, false },
	};
	struct cert_spec leaf = { .cn = "x", .san = SERVER_NAMES };
	struct entity root, server;
	struct world w;
	size_t i;

	root = certify((struct cert_spec){ .cn = "Root", .ca = true }, CERT_KEY_RSA2048, NULL);
	for (i = 0; i < ARRAY_LEN(cases); i++) {
		leaf.md = cases[i].md;
		server = certify(leaf, CERT_KEY_P256, &root);
		if (cases[i].pss && !sign_pss(server.cert, root.key, cases[i].md)) {
			/* Nor does it need to be refused. What must work does. */
			assert_true(!cases[i].ok || cases[i].md != EVP_sha256());
			entity_free(&server);
			continue;
		}
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		if (cases[i].ok)
			accepts(&w, "localhost");
		else
			refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, 0);
		world_deinit(&w);
		entity_free(&server);
	}
	entity_free(&root);
}

static void OC_40_every_strong_key_and_no_weak_one(void **state)
{
	static const enum cert_key kinds[] = {
		CERT_KEY_P256,    CERT_KEY_P384,    CERT_KEY_P521,
		CERT_KEY_ED25519, CERT_KEY_RSA2048, CERT_KEY_RSA1024
	};
	const struct cert_spec ca = { .cn = "Root", .ca = true };
	const struct cert_spec leaf = { .cn = "x", .san = SERVER_NAMES };
	struct entity root, server;
	struct world w;
	size_t i, j;

	for (i = 0; i < 2 * ARRAY_LEN(kinds); i++) {
		j = i / 2;
		root = certify(ca, i & 1 ? kinds[j] : CERT_KEY_P256, NULL);
		server = certify(leaf, i & 1 ? CERT_KEY_P256 : kinds[j], &root);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		if (kinds[j] == CERT_KEY_RSA1024)
			refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
				X509_V_ERR_CERT_REJECTED);
		else
			accepts(&w, "localhost");
		world_deinit(&w);
		entity_free(&server);
		entity_free(&root);
	}
}

/* --- names ---------------------------------------------------------------------------------- */

static const struct name_case {
	const char *san, *name;
	bool ok;
} name_cases[] = {
	{ "DNS:example.test", "example.test", true },
	{ "DNS:example.test", "EXAMPLE.Test", true },
	{ "DNS:example.test", "example.test.", true },
	{ "DNS:example.test", "www.example.test", false },
	{ "DNS:example.test", "example.tes", false },
	{ "DNS:example.test", "xexample.test", false },
	{ "DNS:example.test", "", false },
	{ "DNS:example.test", ".", false },
	{ "DNS:example.test", ".example.test", false },
	{ "DNS:a.test,DNS:b.test", "b.test", true },

	/* Wildcards: the whole left-most label, and one label only (RFC 9525, 6.3). */
	{ "DNS:*.example.test", "www.example.test", true },
	{ "DNS:*.example.test", "a.b.example.test", false },
	{ "DNS:*.example.test", "example.test", false },
	{ "DNS:*.example.test", ".example.test", false },
	{ "DNS:w*.example.test", "www.example.test", false },
	{ "DNS:*w.example.test", "www.example.test", false },
	{ "DNS:www.*.test", "www.example.test", false },
	{ "DNS:*.*.test", "www.example.test", false },
	{ "DNS:*", "test", false },
	{ "DNS:*.test", "example.test", false },

	/* Addresses are held against addresses only. */
	{ "IP:127.0.0.1", "127.0.0.1", true },
	{ "IP:127.0.0.1", "127.0.0.2", false },
	{ "DNS:127.0.0.1", "127.0.0.1", false },
	{ "IP:::1", "::1", true },
	{ "IP:::1", "0:0:0:0:0:0:0:1", true },
	{ "IP:::1", "::2", false },
	{ "IP:fe80::1", "fe80::1%eth0", true },
	{ "IP:127.0.0.1", "::ffff:127.0.0.1", false },
	{ "IP:127.0.0.1", "localhost", false },
	{ "DNS:*.0.0.1", "127.0.0.1", false },

	/* Never the subject, whose common name is "common.test". */
	{ "DNS:example.test", "common.test", false },
	{ NULL, "common.test", false },
	{ "IP:127.0.0.1", "common.test", false },
	{ "email:a@common.test", "common.test", false },
};

/* A DSA key that inherits its parameters: Dss-Parms are absent (RFC 3279, 2.3.2). */
static void OC_40_a_dsa_key_without_parameters(void **state)
{
	uint8_t *key = OPENSSL_memdup("\x02\x01\x05", 3);
	X509 *x509 = X509_new();

	assert_true(X509_PUBKEY_set0_param(X509_get_X509_PUBKEY(x509), OBJ_nid2obj(NID_dsa),
					   V_ASN1_UNDEF, NULL, key, 3));
	assert_non_null(strstr(strength_of_key(x509), "of an unknown kind"));
	X509_free(x509);
}

static void CL_17_names(void **state)
{
	struct entity root = new_ca("Root", NULL), server;
	struct world w;
	size_t i;

	for (i = 0; i < ARRAY_LEN(name_cases); i++) {
		server =
			certify((struct cert_spec){ .cn = "common.test", .san = name_cases[i].san },
				CERT_KEY_P256, &root);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		if (name_cases[i].ok)
			accepts(&w, name_cases[i].name);
		else
			refuses(&w, name_cases[i].name, SLUICE_E_HOSTNAME,
				SLUICE_ALERT_BAD_CERTIFICATE, 0);
		world_deinit(&w);
		entity_free(&server);
	}
	entity_free(&root);
}

/* Each scheme names what made the signature, and of ECDSA with which curve: one, or none. */
static void OC_21_the_scheme_of_a_signature(void **state)
{
	static const uint16_t all[] = { 0x0401, 0x0501, 0x0601, 0x0403, 0x0503,
					0x0603, 0x0804, 0x0805, 0x0806, 0x0807 };
	const struct {
		enum cert_key kind;
		const EVP_MD *md;
		bool pss;
		uint16_t scheme; /* 0: none */
	} cases[] = {
		{ CERT_KEY_RSA2048, EVP_sha256(), false, 0x0401 },
		{ CERT_KEY_RSA2048, EVP_sha384(), false, 0x0501 },
		{ CERT_KEY_RSA2048, EVP_sha512(), false, 0x0601 },
		{ CERT_KEY_RSA2048, EVP_sha256(), true, 0x0804 },
		{ CERT_KEY_RSA2048, EVP_sha384(), true, 0x0805 },
		{ CERT_KEY_RSA2048, EVP_sha512(), true, 0x0806 },
		{ CERT_KEY_P256, EVP_sha256(), false, 0x0403 },
		{ CERT_KEY_P384, EVP_sha384(), false, 0x0503 },
		{ CERT_KEY_P521, EVP_sha512(), false, 0x0603 },
		{ CERT_KEY_P384, EVP_sha256(), false, 0 },
		{ CERT_KEY_ED25519, NULL, false, 0x0807 },
	};
	struct entity root, server;
	size_t i, j;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		root = certify((struct cert_spec){ .cn = "Root", .ca = true }, cases[i].kind, NULL);
		server = certify((struct cert_spec){ .cn = "x", .md = cases[i].md }, CERT_KEY_P256,
				 &root);
		if (!cases[i].pss || sign_pss(server.cert, root.key, cases[i].md))
			for (j = 0; j < ARRAY_LEN(all); j++)
				assert_int_equal(strength_is_listed(server.cert, root.cert, &all[j],
								    1),
						 all[j] == cases[i].scheme);
		assert_int_equal(strength_is_listed(server.cert, root.cert, all, 0), false);
		entity_free(&root);
		entity_free(&server);
	}
}

static void CL_18_without_a_name_any_name_will_do(void **state)
{
	struct usual u;

	usual_init(&u);
	refuses(&u.w, "elsewhere.test", SLUICE_E_HOSTNAME, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_HOSTNAME_MISMATCH);
	assert_non_null(strstr(u.w.err.text, "elsewhere.test"));
	accepts(&u.w, NULL);
	usual_deinit(&u);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_40_signatures_with_sha1_are_refused),
		cmocka_unit_test(OC_40_signature_algorithms),
		cmocka_unit_test(OC_40_every_strong_key_and_no_weak_one),
		cmocka_unit_test(OC_40_a_dsa_key_without_parameters),
		cmocka_unit_test(OC_21_the_scheme_of_a_signature),
		cmocka_unit_test(CL_17_names),
		cmocka_unit_test(CL_18_without_a_name_any_name_will_do),
	};

	return cmocka_run_group_tests_name("unit/verify-strength", tests, NULL, NULL);
}
