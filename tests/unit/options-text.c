/* SPDX-License-Identifier: Apache-2.0 */
/* Options as text: what is refused and in what words, configuration files, passwords. */
#include "options/options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/secret.h"
#include "options/profile.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define LONGER_THAN_PASSWORDS 1100

static struct sluice_options *new_set(void)
{
	struct sluice_options *opts;

	assert_int_equal(sluice_options_new(&opts), 0);
	return opts;
}

/* Sets and demands success. */
static void set(struct sluice_options *opts, enum sluice_option id, const char *text)
{
	struct sluice_error err;

	if (sluice_options_set(opts, id, text, &err) < 0)
		fail_msg("%s = %s: %s", option_row((int)id)->name, text, err.text);
}

/* --- single values ------------------------------------------------------------------------- */

#define SUITE(name, says)                                                  \
	{                                                                  \
		SLUICE_OPT_CIPHERS, name, SLUICE_E_UNSUPPORTED_SUITE, says \
	}

/* What is refused: the code, and what the text says. Named by the row that wants it. */
static const struct refusal {
	enum sluice_option id;
	const char *value;
	int code;
	const char *says;
} refusals[] = {
	/* Numbers and words. */
	{ SLUICE_OPT_DEPTH, "abc", SLUICE_E_OPTION, "depth: takes a whole number from 0 to 100" },
	{ SLUICE_OPT_DEPTH, "", SLUICE_E_OPTION, "not \"\"" },
	{ SLUICE_OPT_DEPTH, "-", SLUICE_E_OPTION, "not \"-\"" },
	{ SLUICE_OPT_DEPTH, "+1", SLUICE_E_OPTION, "not \"+1\"" },
	{ SLUICE_OPT_DEPTH, "1.5", SLUICE_E_OPTION, "not \"1.5\"" },
	{ SLUICE_OPT_DEPTH, "0x10", SLUICE_E_OPTION, "not \"0x10\"" },
	{ SLUICE_OPT_DEPTH, "1 ", SLUICE_E_OPTION, "not \"1 \"" },
	{ SLUICE_OPT_DEPTH, "-1", SLUICE_E_OPTION_RANGE, "takes 0 to 100" },
	{ SLUICE_OPT_DEPTH, "101", SLUICE_E_OPTION_RANGE, "takes 0 to 100" },
	{ SLUICE_OPT_DEPTH, "18446744073709551617", SLUICE_E_OPTION_RANGE, "takes 0 to 100" },
	{ SLUICE_OPT_HANDSHAKE_TIMEOUT, "0", SLUICE_E_OPTION_RANGE, "takes 1 to 3600000" },
	{ SLUICE_OPT_HANDSHAKE_TIMEOUT, "3600001", SLUICE_E_OPTION_RANGE, "1 to 3600000" },
	{ SLUICE_OPT_MAX_HANDSHAKE_SIZE, "0", SLUICE_E_OPTION_RANGE, "1 to 16777215" },
	{ SLUICE_OPT_MAX_HANDSHAKE_SIZE, "16777216", SLUICE_E_OPTION_RANGE, "1 to 16777215" },
	{ SLUICE_OPT_TICKET_COUNT, "5", SLUICE_E_OPTION_RANGE, "takes 0 to 4" },
	{ SLUICE_OPT_EXPORTER, "yes", SLUICE_E_OPTION, "true or false, not \"yes\"" },
	{ SLUICE_OPT_EXPORTER, "TRUE", SLUICE_E_OPTION, "true or false" },
	{ SLUICE_OPT_SESSION_TICKETS, "true", SLUICE_E_OPTION, "disabled|manual|auto|stateless" },
	{ SLUICE_OPT_VERIFY, "verify", SLUICE_E_OPTION, "takes verify_none|verify_peer" },
	{ SLUICE_OPT_VERIFY, "verify_none|verify_peer", SLUICE_E_OPTION, "takes verify_none|" },
	{ SLUICE_OPT_RECORD_PATH, "ktls", SLUICE_E_OPTION, "takes auto|kernel|user, not \"ktls\"" },
	{ SLUICE_OPT_RECORD_PATH, "", SLUICE_E_OPTION, "takes auto|kernel|user" },
	{ SLUICE_OPT_HANDSHAKE, "hello\n", SLUICE_E_OPTION, "not \"hello?\"" },

	/* Versions. */
	{ SLUICE_OPT_VERSIONS, "sslv3", SLUICE_E_UNSUPPORTED_SSLV3, "sslv3 is not supported" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.2,sslv3", SLUICE_E_UNSUPPORTED_SSLV3, "RFC 7568" },
	{ SLUICE_OPT_VERSIONS, "tlsv1", SLUICE_E_UNSUPPORTED_VERSION, "tlsv1 is not supported" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.1", SLUICE_E_UNSUPPORTED_VERSION, "RFC 8996" },
	{ SLUICE_OPT_VERSIONS, "dtlsv1.2", SLUICE_E_UNSUPPORTED_VERSION, "TLS over TCP" },
	{ SLUICE_OPT_VERSIONS, "sslv2", SLUICE_E_UNSUPPORTED_VERSION, "RFC 6176" },
	{ SLUICE_OPT_VERSIONS, "dtlsv1", SLUICE_E_UNSUPPORTED_VERSION, "TLS over TCP" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.4", SLUICE_E_OPTION,
	  "no \"tlsv1.4\"; takes tlsv1.3,tlsv1.2" },
	{ SLUICE_OPT_VERSIONS, "", SLUICE_E_OPTION, "words separated by commas" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.2,", SLUICE_E_OPTION, "words separated by commas" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.2,,tlsv1.3", SLUICE_E_OPTION, "words separated by commas" },
	{ SLUICE_OPT_VERSIONS, "tlsv1.2,tlsv1.2", SLUICE_E_OPTION, "tlsv1.2 is there twice" },

	/* Suites: every family that others have, by IANA's or OpenSSL's name. */
	SUITE("TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
	      "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not supported: CBC"),
	SUITE("TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384", "CBC"),
	SUITE("ECDHE-RSA-AES128-SHA", "CBC"),
	SUITE("AES256-SHA256", "CBC"),
	SUITE("TLS_RSA_WITH_NULL_SHA", "does not encrypt"),
	SUITE("NULL-SHA", "does not encrypt"),
	SUITE("DES-CBC3-SHA", "broken"),
	SUITE("TLS_RSA_WITH_3DES_EDE_CBC_SHA", "broken"),
	SUITE("TLS_RSA_EXPORT_WITH_RC4_40_MD5", "broken"),
	SUITE("RC4-SHA", "broken"),
	SUITE("TLS_DH_anon_WITH_AES_128_GCM_SHA256", "does not authenticate"),
	SUITE("ADH-AES128-SHA", "does not authenticate"),
	SUITE("TLS_DHE_RSA_WITH_AES_128_GCM_SHA256", "finite-field"),
	SUITE("DHE-RSA-AES128-GCM-SHA256", "finite-field"),
	SUITE("TLS_DHE_DSS_WITH_AES_128_CBC_SHA", "DSS"),
	SUITE("TLS_SRP_SHA_RSA_WITH_AES_128_CBC_SHA", "SRP"),
	SUITE("PSK-AES128-CBC-SHA", "pre-shared"),
	SUITE("ECDHE-PSK-CHACHA20-POLY1305", "pre-shared"),
	SUITE("TLS_ECDH_RSA_WITH_AES_128_GCM_SHA256", "forward secrecy"),
	SUITE("TLS_AES_128_CCM_SHA256", "BoringSSL"),
	SUITE("TLS_AES_128_CCM_8_SHA256", "BoringSSL"),
	SUITE("ECDHE-ECDSA-AES128-CCM8", "BoringSSL"),
	SUITE("TLS_RSA_WITH_CAMELLIA_128_CBC_SHA", "BoringSSL"),
	SUITE("TLS_RSA_WITH_ARIA_128_GCM_SHA256", "BoringSSL"),
	SUITE("TLS_SM4_GCM_SM3", "BoringSSL"),
	{ SLUICE_OPT_CIPHERS, "HIGH", SLUICE_E_OPTION, "there is no \"HIGH\"" },
	{ SLUICE_OPT_CIPHERS, "ALL:!aNULL", SLUICE_E_OPTION, "there is no" },
	{ SLUICE_OPT_CIPHERS, "ECDHE-RSA", SLUICE_E_OPTION, "there is no" },
	{ SLUICE_OPT_CIPHERS, "SHA", SLUICE_E_OPTION, "there is no" },
	{ SLUICE_OPT_CIPHERS, "TLS_AES_128_GCM_SHA512", SLUICE_E_OPTION, "there is no" },
	{ SLUICE_OPT_CIPHERS, "[ECDHE-RSA-AES128-GCM-SHA256|AES128-GCM-SHA256]", SLUICE_E_OPTION,
	  "there is no" },
	{ SLUICE_OPT_CIPHERS, "@STRENGTH", SLUICE_E_OPTION, "there is no" },
	{ SLUICE_OPT_CIPHERS, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384", SLUICE_E_OPTION,
	  "there is no" },

	/* Groups. */
	{ SLUICE_OPT_SUPPORTED_GROUPS, "x448", SLUICE_E_UNSUPPORTED_GROUP,
	  "x448 is not supported" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "x25519,ffdhe2048", SLUICE_E_UNSUPPORTED_GROUP,
	  "ffdhe2048" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "secp224r1", SLUICE_E_UNSUPPORTED_GROUP, "secp224r1" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "secp256k1", SLUICE_E_UNSUPPORTED_GROUP, "secp256k1" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "brainpoolP256r1", SLUICE_E_UNSUPPORTED_GROUP, "brainpool" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "sect571r1", SLUICE_E_UNSUPPORTED_GROUP, "sect571r1" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "P-256", SLUICE_E_OPTION, "there is no \"P-256\"" },
	{ SLUICE_OPT_SUPPORTED_GROUPS, "x25519,x25519", SLUICE_E_OPTION, "twice" },

	/* Signature algorithms. */
	{ SLUICE_OPT_SIGNATURE_ALGS, "rsa_pkcs1_sha1", SLUICE_E_UNSUPPORTED_SIGALG, "SHA-1" },
	{ SLUICE_OPT_SIGNATURE_ALGS, "ecdsa_sha1", SLUICE_E_UNSUPPORTED_SIGALG, "SHA-1" },
	{ SLUICE_OPT_SIGNATURE_ALGS, "ed448", SLUICE_E_UNSUPPORTED_SIGALG, "ed448" },
	{ SLUICE_OPT_SIGNATURE_ALGS, "rsa_pss_pss_sha256", SLUICE_E_UNSUPPORTED_SIGALG,
	  "rsa_pss_pss_sha256" },
	{ SLUICE_OPT_SIGNATURE_ALGS, "nonsense", SLUICE_E_UNSUPPORTED_SIGALG, "nonsense" },
	{ SLUICE_OPT_SIGNATURE_ALGS, "0x0303", SLUICE_E_UNSUPPORTED_SIGALG, "0x0303" },

	/* Texts. */
	{ SLUICE_OPT_CERTFILE, "", SLUICE_E_OPTION, "certfile: takes a text" },
	{ SLUICE_OPT_PASSWORD, "", SLUICE_E_OPTION, "password: takes a text" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "", SLUICE_E_OPTION, "takes a text" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "127.0.0.1", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "::1", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "example.test.", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, ".example.test", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "a..b", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION, "exa mple", SLUICE_E_OPTION, "a host name" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION,
	  "b\xc3\xbc"
	  "cher.test",
	  SLUICE_E_OPTION, "\"b??cher.test\"" },
	{ SLUICE_OPT_SERVER_NAME_INDICATION,
	  "a123456789a123456789a123456789a123456789a123456789a123456789abcd.test", SLUICE_E_OPTION,
	  "a host name" },
	{ SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, "", SLUICE_E_OPTION, "must not be empty" },
	{ SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, "h2,,x", SLUICE_E_OPTION, "must not be empty" },
	{ SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS, "h2,", SLUICE_E_OPTION, "must not be empty" },
	{ SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS, " ", SLUICE_E_OPTION, "must not be empty" },

	/* Bytes are not text. */
	{ SLUICE_OPT_CERT, "text", SLUICE_E_OPTION, "cert: takes bytes; certfile takes a path" },
	{ SLUICE_OPT_KEY, "text", SLUICE_E_OPTION, "key: takes bytes; keyfile takes a path" },
	{ SLUICE_OPT_CACERTS, "text", SLUICE_E_OPTION, "cacertfile takes a path" },
};

/* A set as one number, to see whether it has changed. */
static uint64_t fingerprint(const struct sluice_options *opts)
{
	uint64_t sum = 0;
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++)
		sum = 31 * sum + (uint64_t)opts->values[id].set +
		      (uint64_t)opts->values[id].number + opts->values[id].len +
		      (uint64_t)(uintptr_t)opts->values[id].bytes;
	return sum;
}

static void OC_19_OC_43_OC_49_CL_07_CL_24_SV_20_refused_by_name(void **state)
{
	struct sluice_options *opts = new_set();
	const struct refusal *refusal;
	struct sluice_error err;
	uint64_t before;
	size_t i;
	int r;

	set(opts, SLUICE_OPT_DEPTH, "7");
	set(opts, SLUICE_OPT_VERSIONS, "tlsv1.3");
	set(opts, SLUICE_OPT_CERTFILE, "/x");
	before = fingerprint(opts);
	for (i = 0; i < ARRAY_LEN(refusals); i++) {
		refusal = &refusals[i];
		r = sluice_options_set(opts, refusal->id, refusal->value, &err);
		if (r != -refusal->code || err.code != refusal->code ||
		    !strstr(err.text, refusal->says) ||
		    !strstr(err.text, option_row((int)refusal->id)->name))
			fail_msg("%s = \"%s\": %s \"%s\", not %s with \"%s\"",
				 option_row((int)refusal->id)->name, refusal->value,
				 sluice_error_name(r), err.text, sluice_error_name(refusal->code),
				 refusal->says);
		assert_int_equal(sluice_options_set(opts, refusal->id, refusal->value, NULL), r);
	}
	assert_int_equal(fingerprint(opts), before);
	sluice_options_free(opts);
}

static void host_names_are_taken(void **state)
{
	static const char *const names[] = {
		"localhost",
		"example.test",
		"a.b.c.d.e",
		"xn--bcher-kva.test",
		"_srv.test",
		"1.2.3",
		"disable",
		"A-B.Test",
		"a123456789a123456789a123456789a123456789a123456789a123456789abc.test",
	};
	struct sluice_options *opts = new_set();
	size_t i;

	for (i = 0; i < ARRAY_LEN(names); i++) {
		set(opts, SLUICE_OPT_SERVER_NAME_INDICATION, names[i]);
		assert_string_equal(option_text(opts, SLUICE_OPT_SERVER_NAME_INDICATION), names[i]);
	}
	sluice_options_free(opts);
}

static void CL_07_lengths_are_bounded(void **state)
{
	static char text[OPTION_MAX_STRING + 2];
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	size_t i;

	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CERTFILE, text, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CERTFILE, text + 1, &err), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_PASSWORD, text, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS,
					    text + sizeof(text) - 257, &err),
			 -SLUICE_E_OPTION);
	assert_non_null(strstr(err.text, "at most 255 bytes"));
	for (i = 0; i < sizeof(text) - 1; i++)
		text[i] = i % 50 == 49 ? '.' : 'x';
	text[254] = '\0'; /* RFC 1035, 2.3.4: 255 bytes on the wire */
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SERVER_NAME_INDICATION, text, &err),
			 -SLUICE_E_OPTION);
	text[253] = '\0';
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SERVER_NAME_INDICATION, text, &err),
			 0);
	text[253] = text[254] = 'x';
	memset(text, ',', sizeof(text) - 1);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_VERSIONS, text, &err),
			 -SLUICE_E_OPTION);
	memset(text, '9', sizeof(text) - 1);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_DEPTH, text, &err),
			 -SLUICE_E_OPTION_RANGE);
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_VERIFY, text, &err), -SLUICE_E_OPTION);
	assert_non_null(strstr(err.text, "aaa...\""));
	sluice_options_free(opts);
}

static void OC_56_an_unknown_option_is_an_error(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;

	assert_int_equal(sluice_options_set_name(opts, "certfiel", "/x", &err),
			 -SLUICE_E_OPTION_UNKNOWN);
	assert_string_equal(err.text, "there is no option \"certfiel\"");
	assert_int_equal(sluice_options_set_name(opts, "", "/x", &err), -SLUICE_E_OPTION_UNKNOWN);
	assert_int_equal(sluice_options_set_name(opts, "dhfiles", "/x", &err),
			 -SLUICE_E_OPTION_UNKNOWN);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPTIONS, "1", &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set(opts, (enum sluice_option) - 1, "1", &err),
			 -SLUICE_E_INVALID);
	sluice_options_free(opts);
}

/* --- passwords ------------------------------------------------------------------------------ */

static void OC_11_a_password_lives_in_secret_memory_only(void **state)
{
	struct sluice_options *opts = new_set(), *clone;
	size_t before = secret_live();

	set(opts, SLUICE_OPT_PASSWORD, "tell nobody");
	assert_int_equal(secret_live(), before + 1);
	set(opts, SLUICE_OPT_PASSWORD, "tell nobody else");
	assert_int_equal(secret_live(), before + 1);
	assert_int_equal(sluice_options_clone(&clone, opts), 0);
	assert_int_equal(secret_live(), before + 2);
	assert_string_equal(option_text(clone, SLUICE_OPT_PASSWORD), "tell nobody else");
	sluice_options_free(opts);
	sluice_options_free(clone);
	assert_int_equal(secret_live(), before);
}

static void OC_11_a_password_is_never_in_an_error_text(void **state)
{
	struct sluice_options *opts = new_set();
	char text[LONGER_THAN_PASSWORDS + 32];
	struct sluice_error err;
	size_t len;

	len = (size_t)snprintf(text, sizeof(text), "password = ");
	memset(text + len, 'Z', LONGER_THAN_PASSWORDS);
	text[len + LONGER_THAN_PASSWORDS] = '\0';
	assert_int_equal(sluice_options_parse(opts, text, strlen(text), &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_null(strstr(err.text, "ZZ"));
	assert_non_null(strstr(err.text, "line 1: password: "));
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_PASSWORD, text + len, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_null(strstr(err.text, "ZZ"));
	sluice_options_free(opts);
}

/* --- configuration text --------------------------------------------------------------------- */

static void configuration_text_is_read(void **state)
{
	static const char text[] = "# a comment\n"
				   "\n"
				   "   # another = one\n"
				   "certfile = /etc/a b.pem   # and one more\n"
				   "\tdepth=3\r\n"
				   "verify  =verify_none\r\n"
				   "versions = tlsv1.3 , tlsv1.2\n"
				   "keyfile = /etc/a#b.pem\n"
				   "password = a = b # c \n"
				   "record_path = user";
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	uint16_t codes[OPTION_MAX_CODES];

	if (sluice_options_parse(opts, text, sizeof(text) - 1, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(err.code, SLUICE_OK);
	assert_string_equal(option_text(opts, SLUICE_OPT_CERTFILE), "/etc/a b.pem");
	assert_string_equal(option_text(opts, SLUICE_OPT_KEYFILE), "/etc/a#b.pem");
	assert_string_equal(option_text(opts, SLUICE_OPT_PASSWORD), "a = b # c");
	assert_int_equal(option_number(opts, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 3);
	assert_int_equal(option_number(opts, SLUICE_OPT_VERIFY, SLUICE_CLIENT), 0);
	assert_int_equal(option_codes(opts, SLUICE_OPT_VERSIONS, codes), 2);
	assert_int_equal(option_number(opts, SLUICE_OPT_RECORD_PATH, SLUICE_CLIENT), PATH_USER);
	sluice_options_free(opts);
}

static const struct bad_text {
	const char *text;
	int code;
	const char *says;
} bad_texts[] = {
	{ "depth = 3\r\nverify = maybe\r\n", SLUICE_E_OPTION,
	  "line 2: verify: takes verify_none|verify_peer, not \"maybe\"" },
	{ "dept = 3", SLUICE_E_OPTION_UNKNOWN, "line 1: there is no option \"dept\"" },
	{ "De\tpth = 3", SLUICE_E_OPTION_UNKNOWN, "\"De?pth\"" },
	{ "depth = ", SLUICE_E_OPTION, "line 1: depth: takes a whole number" },
	{ "depth = 3 4", SLUICE_E_OPTION, "not \"3 4\"" },
	{ "depth = 3#4", SLUICE_E_OPTION, "not \"3#4\"" },
	{ "depth = 300", SLUICE_E_OPTION_RANGE, "line 1: depth: takes 0 to 100" },
	{ "depth = 3\nverify = verify_peer\ndepth = 3", SLUICE_E_OPTION_CONFLICT,
	  "line 3: depth: is there already" },
	{ "versions = tlsv1.2, sslv3", SLUICE_E_UNSUPPORTED_SSLV3, "line 1: versions: sslv3" },
	{ "cert = abc", SLUICE_E_OPTION, "line 1: cert: takes bytes" },
};

static void OC_56_bad_configuration_text_changes_nothing(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	uint64_t before;
	size_t i;
	int r;

	set(opts, SLUICE_OPT_DEPTH, "7");
	set(opts, SLUICE_OPT_VERIFY, "verify_none");
	before = fingerprint(opts);
	for (i = 0; i < ARRAY_LEN(bad_texts); i++) {
		r = sluice_options_parse(opts, bad_texts[i].text, strlen(bad_texts[i].text), &err);
		if (r != -bad_texts[i].code || !strstr(err.text, bad_texts[i].says))
			fail_msg("\"%s\": %s \"%s\"", bad_texts[i].text, sluice_error_name(r),
				 err.text);
		assert_int_equal(err.kind, sluice_error_kind(r));
		assert_int_equal(fingerprint(opts), before);
	}
	sluice_options_free(opts);
}

static void LC_26_lines_that_are_not_name_and_value(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		const char *says;
	} cases[] = {
		{ "depth 3", 7, "line 1: not of the form name = value" },
		{ "\n\n= 3", 5, "line 3: not of the form" },
		{ "\t = 3", 5, "line 1: " },
		{ "depth = 3\nhello\n", 16, "line 2: " },
		{ "depth = 3\0", 10, "line 1: " },
		{ "\0", 1, "line 1: " },
	};
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(sluice_options_parse(opts, cases[i].text, cases[i].len, &err),
				 -SLUICE_E_OPTION_MALFORMED);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_false(option_is_set(opts, SLUICE_OPT_DEPTH));
	}
	sluice_options_free(opts);
}

/* Text lays over what is set already, as the setters do. */
static void configuration_text_adds_to_a_set(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;

	set(opts, SLUICE_OPT_DEPTH, "7");
	set(opts, SLUICE_OPT_CERTFILE, "/a");
	assert_int_equal(sluice_options_parse(opts, "depth = 1", 9, &err), 0);
	assert_int_equal(option_number(opts, SLUICE_OPT_DEPTH, SLUICE_CLIENT), 1);
	assert_string_equal(option_text(opts, SLUICE_OPT_CERTFILE), "/a");
	sluice_options_free(opts);
}

static void configuration_text_is_bounded(void **state)
{
	struct sluice_options *opts = new_set();
	struct sluice_error err;
	char *text = malloc(OPTION_MAX_TEXT + 1);

	memset(text, '\n', OPTION_MAX_TEXT + 1);
	assert_int_equal(sluice_options_parse(opts, text, OPTION_MAX_TEXT + 1, &err),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_options_parse(opts, text, OPTION_MAX_TEXT, &err), 0);
	text[OPTION_MAX_TEXT - 1] = 'x';
	assert_int_equal(sluice_options_parse(opts, text, OPTION_MAX_TEXT, &err),
			 -SLUICE_E_OPTION_MALFORMED);
	assert_non_null(strstr(err.text, "line 1048576: "));
	free(text);
	sluice_options_free(opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_19_OC_43_OC_49_CL_07_CL_24_SV_20_refused_by_name),
		cmocka_unit_test(host_names_are_taken),
		cmocka_unit_test(CL_07_lengths_are_bounded),
		cmocka_unit_test(OC_56_an_unknown_option_is_an_error),
		cmocka_unit_test(OC_11_a_password_lives_in_secret_memory_only),
		cmocka_unit_test(OC_11_a_password_is_never_in_an_error_text),
		cmocka_unit_test(configuration_text_is_read),
		cmocka_unit_test(OC_56_bad_configuration_text_changes_nothing),
		cmocka_unit_test(LC_26_lines_that_are_not_name_and_value),
		cmocka_unit_test(configuration_text_adds_to_a_set),
		cmocka_unit_test(configuration_text_is_bounded),
	};

	return cmocka_run_group_tests_name("unit/options-text", tests, NULL, NULL);
}
