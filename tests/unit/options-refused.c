/* SPDX-License-Identifier: Apache-2.0 */
/* What is refused by its name, family by family: suites, groups, signatures, whole options. */
#include "options/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Each word alone and behind one that is taken; the text has the word and @says. */
static void expect_refused(enum sluice_option id, int code, const char *says,
			   const char *const *words, size_t n)
{
	static const char *const good[SLUICE_OPTIONS] = {
		[SLUICE_OPT_VERSIONS] = "tlsv1.3",
		[SLUICE_OPT_CIPHERS] = "TLS_AES_128_GCM_SHA256",
		[SLUICE_OPT_SUPPORTED_GROUPS] = "x25519",
		[SLUICE_OPT_SIGNATURE_ALGS] = "rsa_pss_rsae_sha256",
	};
	struct sluice_options *opts;
	struct sluice_error err;
	char list[200];
	size_t i;
	int r;

	assert_int_equal(sluice_options_new(&opts), 0);
	for (i = 0; i < n; i++) {
		r = sluice_options_set(opts, id, words[i], &err);
		if (r != -code || !strstr(err.text, words[i]) || !strstr(err.text, says))
			fail_msg("%s: %s \"%s\", not %s with \"%s\"", words[i],
				 sluice_error_name(r), err.text, sluice_error_name(code), says);
		snprintf(list, sizeof(list), "%s, %s", good[id], words[i]);
		assert_int_equal(sluice_options_set(opts, id, list, &err), -code);
		assert_false(opts->values[id].set);
	}
	sluice_options_free(opts);
}

#define REFUSED(id, code, says, ...)                                                      \
	do {                                                                              \
		static const char *const words[] = { __VA_ARGS__ };                       \
		expect_refused(SLUICE_OPT_##id, SLUICE_E_UNSUPPORTED_##code, says, words, \
			       ARRAY_LEN(words));                                         \
	} while (0)
#define SUITES(says, ...) REFUSED(CIPHERS, SUITE, says, __VA_ARGS__)

/* Whether one of the words of @list begins with @start. */
static bool has_word(const char *list, const char *start)
{
	const char *word;

	for (word = list; word; word = strchr(word, ',')) {
		word += *word == ',';
		if (!strncmp(word, start, strlen(start)))
			return true;
	}
	return false;
}

static struct sluice_option_info info_of(enum sluice_option id)
{
	struct sluice_option_info info;

	assert_int_equal(sluice_option_info((int)id, &info, sizeof(info)), 0);
	return info;
}

/* --- suites --------------------------------------------------------------------------------- */

static void CS_17_SV_05_finite_field_diffie_hellman(void **state)
{
	const char *values = info_of(SLUICE_OPT_CIPHERS).values;

	SUITES("finite-field", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
	       "TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "DHE-RSA-AES256-SHA",
	       "TLS_DH_RSA_WITH_AES_128_GCM_SHA256");
	SUITES("DSS", "TLS_DHE_DSS_WITH_AES_128_CBC_SHA", "DHE-DSS-AES128-GCM-SHA256",
	       "TLS_DH_DSS_WITH_AES_256_GCM_SHA384");
	SUITES("broken", "EDH-RSA-DES-CBC3-SHA");
	assert_false(has_word(values, "TLS_DH"));
	assert_false(has_word(info_of(SLUICE_OPT_SUPPORTED_GROUPS).values, "ffdhe"));
}

static void CS_34_diffie_hellman_certificates(void **state)
{
	SUITES("", "TLS_DH_RSA_WITH_AES_128_CBC_SHA", "TLS_DH_RSA_WITH_AES_256_GCM_SHA384",
	       "TLS_DH_DSS_WITH_AES_128_CBC_SHA256", "TLS_DH_DSS_WITH_3DES_EDE_CBC_SHA",
	       "DH-RSA-AES128-SHA", "DH-DSS-AES256-GCM-SHA384");
}

static void CS_19_static_ecdh(void **state)
{
	SUITES("forward secrecy", "TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256",
	       "TLS_ECDH_ECDSA_WITH_AES_256_CBC_SHA384", "ECDH-ECDSA-AES128-SHA",
	       "ECDH-RSA-AES256-GCM-SHA384");
}

static void CS_21_psk_with_dhe_and_rsa(void **state)
{
	SUITES("pre-shared keys", "TLS_DHE_PSK_WITH_AES_128_GCM_SHA256",
	       "TLS_RSA_PSK_WITH_AES_256_CBC_SHA", "DHE-PSK-AES128-CBC-SHA",
	       "RSA-PSK-CHACHA20-POLY1305");
}

static void CS_22_secure_remote_passwords(void **state)
{
	SUITES("SRP", "TLS_SRP_SHA_WITH_AES_128_CBC_SHA", "TLS_SRP_SHA_RSA_WITH_AES_256_CBC_SHA",
	       "TLS_SRP_SHA_DSS_WITH_AES_128_CBC_SHA", "SRP-RSA-AES-128-CBC-SHA");
}

static void CS_23_suites_without_authentication(void **state)
{
	SUITES("authenticate", "TLS_DH_anon_WITH_AES_128_GCM_SHA256",
	       "TLS_DH_anon_WITH_3DES_EDE_CBC_SHA", "TLS_ECDH_anon_WITH_AES_256_CBC_SHA",
	       "ADH-AES256-GCM-SHA384", "AECDH-AES128-SHA");
}

static void CS_27_CS_28_ccm(void **state)
{
	SUITES("BoringSSL", "TLS_AES_128_CCM_SHA256", "TLS_RSA_WITH_AES_128_CCM",
	       "TLS_ECDHE_ECDSA_WITH_AES_256_CCM", "AES256-CCM", "ECDHE-ECDSA-AES128-CCM");
	SUITES("BoringSSL", "TLS_AES_128_CCM_8_SHA256", "TLS_RSA_WITH_AES_256_CCM_8",
	       "TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8", "AES128-CCM8", "ECDHE-ECDSA-AES256-CCM8");
}

static void CS_31_CS_32_CS_33_broken_ciphers(void **state)
{
	SUITES("broken", "TLS_RSA_WITH_DES_CBC_SHA", "DES-CBC-SHA", "TLS_RSA_WITH_RC4_128_SHA",
	       "TLS_ECDHE_RSA_WITH_RC4_128_SHA", "RC4-MD5", "ECDHE-ECDSA-RC4-SHA");
	SUITES("broken", "TLS_RSA_WITH_IDEA_CBC_SHA", "IDEA-CBC-SHA");
	SUITES("broken", "TLS_RSA_EXPORT_WITH_RC4_40_MD5", "TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5",
	       "TLS_DHE_RSA_EXPORT_WITH_DES40_CBC_SHA", "EXP-RC4-MD5", "EXP-DES-CBC-SHA");
}

/* --- versions, groups and signatures -------------------------------------------------------- */

static void OC_15_old_versions_beside_tls_1_3(void **state)
{
	REFUSED(VERSIONS, VERSION, "RFC 8996", "tlsv1", "tlsv1.1");
}

static void CS_44_x448(void **state)
{
	REFUSED(SUPPORTED_GROUPS, GROUP, "BoringSSL", "x448");
	assert_false(has_word(info_of(SLUICE_OPT_SUPPORTED_GROUPS).def, "x448"));
}

static void CS_45_finite_field_groups(void **state)
{
	REFUSED(SUPPORTED_GROUPS, GROUP, "finite-field", "ffdhe2048", "ffdhe3072", "ffdhe4096",
		"ffdhe6144", "ffdhe8192");
}

/* RFC 4492, 5.1.1, RFC 7027, 2 and what of them BoringSSL has, but nobody should. */
static void CS_46_other_curves(void **state)
{
	REFUSED(SUPPORTED_GROUPS, GROUP, "", "sect163k1", "sect163r1", "sect163r2", "sect193r1",
		"sect193r2", "sect233k1", "sect233r1", "sect239k1", "sect283k1", "sect283r1",
		"sect409k1", "sect409r1", "sect571k1", "sect571r1", "secp160k1", "secp160r1",
		"secp160r2", "secp192k1", "secp192r1", "secp224k1", "secp224r1", "secp256k1",
		"brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1");
}

static void CS_38_CS_39_signatures_with_sha1(void **state)
{
	REFUSED(SIGNATURE_ALGS, SIGALG, "SHA-1", "rsa_pkcs1_sha1", "ecdsa_sha1");
}

static void CS_41_keys_for_rsa_pss_only(void **state)
{
	REFUSED(SIGNATURE_ALGS, SIGALG, "BoringSSL", "rsa_pss_pss_sha256", "rsa_pss_pss_sha384",
		"rsa_pss_pss_sha512");
}

static void CS_42_weak_pairs(void **state)
{
	const char *values = info_of(SLUICE_OPT_SIGNATURE_ALGS).values;

	REFUSED(SIGNATURE_ALGS, SIGALG, "signature_algs", "rsa_pkcs1_sha224", "ecdsa_sha224",
		"rsa_pkcs1_md5", "dsa_sha1", "dsa_sha224", "dsa_sha256");
	assert_null(strstr(values, "sha224"));
	assert_null(strstr(values, "md5"));
	assert_false(has_word(values, "dsa"));
}

/* --- options -------------------------------------------------------------------------------- */

static void expect_no_option(const char *name, const char *value, const char *says)
{
	struct sluice_options *opts;
	struct sluice_error err;
	char text[100];

	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set_name(opts, name, value, &err), -SLUICE_E_UNSUPPORTED);
	assert_int_equal(err.code, SLUICE_E_UNSUPPORTED);
	assert_non_null(strstr(err.text, name));
	assert_non_null(strstr(err.text, says));
	snprintf(text, sizeof(text), "depth = 1\n%s = %s\n", name, value);
	assert_int_equal(sluice_options_parse(opts, text, strlen(text), &err),
			 -SLUICE_E_UNSUPPORTED);
	assert_non_null(strstr(err.text, "line 2: "));
	assert_non_null(strstr(err.text, says));
	sluice_options_free(opts);
}

static void SV_03_SV_04_parameters_for_diffie_hellman(void **state)
{
	expect_no_option("dh", "0", "finite-field");
	expect_no_option("dhfile", "/no/such/file.pem", "finite-field");
}

static void CL_15_an_identity_for_srp(void **state)
{
	expect_no_option("srp_identity", "user", "SRP");
}

static void OC_50_OC_51_OC_52_OC_53_remedies_for_tls_1_0(void **state)
{
	expect_no_option("padding_check", "false", "TLS 1.0");
	expect_no_option("padding_check", "true", "TLS 1.0");
	expect_no_option("max_fragment_length", "1024", "RFC 6066");
	expect_no_option("record_size_limit", "16385", "RFC 8449");
	expect_no_option("beast_mitigation", "one_n_minus_one", "TLS 1.0");
	expect_no_option("beast_mitigation", "zero_n", "TLS 1.0");
	expect_no_option("beast_mitigation", "disabled", "TLS 1.0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CS_17_SV_05_finite_field_diffie_hellman),
		cmocka_unit_test(CS_34_diffie_hellman_certificates),
		cmocka_unit_test(CS_19_static_ecdh),
		cmocka_unit_test(CS_21_psk_with_dhe_and_rsa),
		cmocka_unit_test(CS_22_secure_remote_passwords),
		cmocka_unit_test(CS_23_suites_without_authentication),
		cmocka_unit_test(CS_27_CS_28_ccm),
		cmocka_unit_test(CS_31_CS_32_CS_33_broken_ciphers),
		cmocka_unit_test(OC_15_old_versions_beside_tls_1_3),
		cmocka_unit_test(CS_44_x448),
		cmocka_unit_test(CS_45_finite_field_groups),
		cmocka_unit_test(CS_46_other_curves),
		cmocka_unit_test(CS_38_CS_39_signatures_with_sha1),
		cmocka_unit_test(CS_41_keys_for_rsa_pss_only),
		cmocka_unit_test(CS_42_weak_pairs),
		cmocka_unit_test(SV_03_SV_04_parameters_for_diffie_hellman),
		cmocka_unit_test(CL_15_an_identity_for_srp),
		cmocka_unit_test(OC_50_OC_51_OC_52_OC_53_remedies_for_tls_1_0),
	};

	return cmocka_run_group_tests_name("unit/options-refused", tests, NULL, NULL);
}
