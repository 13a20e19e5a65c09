/* SPDX-License-Identifier: Apache-2.0 */
/* Error codes: the table is complete, the first error stays, the printed line is one line. */
#include "core/error.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "core/sys.h"

/* The name of a code. A new code does not compile (-Wswitch) until it stands here. */
static const char *enum_name(int code)
{
#define NAME(code)            \
	case SLUICE_E_##code: \
		return "SLUICE_E_" #code

	/* clang-format off */
	switch ((enum sluice_errno)code) {
	case SLUICE_OK: return "SLUICE_OK";
	NAME(AGAIN); NAME(TIMEOUT);
	NAME(CLOSED); NAME(TRUNCATED); NAME(RESET); NAME(CONNECT); NAME(RESOLVE); NAME(IO);
	NAME(ALERT); NAME(PROTOCOL); NAME(BAD_RECORD_MAC); NAME(RECORD_OVERFLOW); NAME(NOT_TLS);
	NAME(HTTP_REQUEST); NAME(NO_SHARED); NAME(HANDSHAKE); NAME(HANDSHAKE_TIMEOUT);
	NAME(HANDSHAKE_TOO_LARGE);
	NAME(VERIFY); NAME(HOSTNAME); NAME(NO_PEERCERT); NAME(PEER_REFUSED);
	NAME(OPTION); NAME(OPTION_UNKNOWN); NAME(OPTION_RANGE); NAME(OPTION_CONFLICT);
	NAME(OPTION_ROLE); NAME(OPTION_TOO_LATE); NAME(OPTION_MALFORMED); NAME(FILE);
	NAME(CERT_PARSE); NAME(KEY_PARSE); NAME(KEY_PASSWORD); NAME(KEY_MISMATCH);
	NAME(CERT_EXPIRED); NAME(CERT_NOT_YET); NAME(NO_CERT); NAME(CRL_PARSE); NAME(OCSP);
	NAME(INVALID); NAME(STATE); NAME(NOT_ESTABLISHED); NAME(PROTOCOL_NOT_NEGOTIATED);
	NAME(UNDEFINED); NAME(POLICY);
	NAME(NOMEM); NAME(NOFILE); NAME(MISSING_DEP); NAME(ABI); NAME(KTLS_UNAVAILABLE);
	NAME(KEY_EXHAUSTED); NAME(BUSY);
	NAME(KTLS_INSTALL); NAME(REKEY);
	NAME(UNSUPPORTED); NAME(UNSUPPORTED_VERSION); NAME(UNSUPPORTED_SSLV3);
	NAME(UNSUPPORTED_SUITE); NAME(UNSUPPORTED_GROUP); NAME(UNSUPPORTED_SIGALG);
	NAME(UNSUPPORTED_KEY_TYPE); NAME(UNSUPPORTED_RENEGOTIATION);
	NAME(UNSAFE_REFUSED);
	NAME(INTERNAL);
	}
	/* clang-format on */
#undef NAME
	return NULL;
}

static void every_code_has_a_name_a_kind_and_a_text(void **state)
{
	unsigned int n = 0;

	for (int code = 0; code <= 1000; code++) {
		const char *name = enum_name(code);

		if (name == NULL) {
			assert_string_equal(sluice_error_name(code), "SLUICE_E_?");
			assert_string_equal(sluice_strerror(-code), "unknown error code");
			assert_int_equal(sluice_error_kind(code), SLUICE_KIND_INTERNAL);
			continue;
		}
		n++;
		assert_string_equal(sluice_error_name(code), name);
		assert_ptr_equal(sluice_error_name(-code), sluice_error_name(code));
		assert_ptr_equal(sluice_strerror(-code), sluice_strerror(code));
		assert_true(strlen(sluice_strerror(code)) > 5);
		assert_string_not_equal(sluice_strerror(code), "unknown error code");
		assert_int_equal(sluice_error_kind(-code), sluice_error_kind(code));
		assert_true((sluice_error_kind(code) == SLUICE_KIND_OK) == (code == SLUICE_OK));
		assert_true((sluice_error_kind(code) == SLUICE_KIND_INTERNAL) ==
			    (code == SLUICE_E_INTERNAL));
		/* No two codes say the same. */
		for (int other = 0; other < code; other++) {
			if (enum_name(other) != NULL)
				assert_string_not_equal(sluice_strerror(other),
							sluice_strerror(code));
		}
	}
	assert_true(n > 50);
	assert_string_equal(sluice_error_name(INT_MIN), "SLUICE_E_?");
	assert_string_equal(sluice_error_name(INT_MAX), "SLUICE_E_?");
}

static void kinds_say_what_to_do(void **state)
{
	static const struct {
		int code;
		enum sluice_kind kind;
	} cases[] = {
		{ SLUICE_E_AGAIN, SLUICE_KIND_WAIT },
		{ SLUICE_E_TIMEOUT, SLUICE_KIND_WAIT },
		{ SLUICE_E_CLOSED, SLUICE_KIND_CLOSED },
		/* Data may be missing: not the orderly end. */
		{ SLUICE_E_TRUNCATED, SLUICE_KIND_IO },
		{ SLUICE_E_RESET, SLUICE_KIND_IO },
		{ SLUICE_E_FILE, SLUICE_KIND_IO },
		{ SLUICE_E_ALERT, SLUICE_KIND_ALERT },
		{ SLUICE_E_BAD_RECORD_MAC, SLUICE_KIND_PROTO },
		{ SLUICE_E_HOSTNAME, SLUICE_KIND_VERIFY },
		{ SLUICE_E_OPTION_CONFLICT, SLUICE_KIND_CONFIG },
		{ SLUICE_E_STATE, SLUICE_KIND_USAGE },
		{ SLUICE_E_NOFILE, SLUICE_KIND_LIMIT },
		{ SLUICE_E_REKEY, SLUICE_KIND_KERNEL },
		{ SLUICE_E_UNSUPPORTED_RENEGOTIATION, SLUICE_KIND_UNSUPPORTED },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sluice_error_kind(-cases[i].code), cases[i].kind);
}

static void to_AL_41_alerts_have_their_names(void **state)
{
	static const struct {
		int alert;
		const char *name;
	} cases[] = {
		{ SSL_AD_CLOSE_NOTIFY, "close_notify" },
		{ SSL_AD_UNEXPECTED_MESSAGE, "unexpected_message" },
		{ SSL_AD_BAD_RECORD_MAC, "bad_record_mac" },
		{ SSL_AD_DECRYPTION_FAILED, "decryption_failed" },
		{ SSL_AD_RECORD_OVERFLOW, "record_overflow" },
		{ SSL_AD_DECOMPRESSION_FAILURE, "decompression_failure" },
		{ SSL_AD_HANDSHAKE_FAILURE, "handshake_failure" },
		{ SSL_AD_NO_CERTIFICATE, "no_certificate" },
		{ SSL_AD_BAD_CERTIFICATE, "bad_certificate" },
		{ SSL_AD_UNSUPPORTED_CERTIFICATE, "unsupported_certificate" },
		{ SSL_AD_CERTIFICATE_REVOKED, "certificate_revoked" },
		{ SSL_AD_CERTIFICATE_EXPIRED, "certificate_expired" },
		{ SSL_AD_CERTIFICATE_UNKNOWN, "certificate_unknown" },
		{ SSL_AD_ILLEGAL_PARAMETER, "illegal_parameter" },
		{ SSL_AD_UNKNOWN_CA, "unknown_ca" },
		{ SSL_AD_ACCESS_DENIED, "access_denied" },
		{ SSL_AD_DECODE_ERROR, "decode_error" },
		{ SSL_AD_DECRYPT_ERROR, "decrypt_error" },
		{ SSL_AD_EXPORT_RESTRICTION, "export_restriction" },
		{ SSL_AD_PROTOCOL_VERSION, "protocol_version" },
		{ SSL_AD_INSUFFICIENT_SECURITY, "insufficient_security" },
		{ SSL_AD_INTERNAL_ERROR, "internal_error" },
		{ SSL_AD_INAPPROPRIATE_FALLBACK, "inappropriate_fallback" },
		{ SSL_AD_USER_CANCELLED, "user_canceled" },
		{ SSL_AD_NO_RENEGOTIATION, "no_renegotiation" },
		{ SSL_AD_MISSING_EXTENSION, "missing_extension" },
		{ SSL_AD_UNSUPPORTED_EXTENSION, "unsupported_extension" },
		{ SSL_AD_CERTIFICATE_UNOBTAINABLE, "certificate_unobtainable" },
		{ SSL_AD_UNRECOGNIZED_NAME, "unrecognized_name" },
		{ SSL_AD_BAD_CERTIFICATE_STATUS_RESPONSE, "bad_certificate_status_response" },
		{ SSL_AD_BAD_CERTIFICATE_HASH_VALUE, "bad_certificate_hash_value" },
		{ SSL_AD_UNKNOWN_PSK_IDENTITY, "unknown_psk_identity" },
		{ SSL_AD_CERTIFICATE_REQUIRED, "certificate_required" },
		{ SSL_AD_NO_APPLICATION_PROTOCOL, "no_application_protocol" },
		{ SLUICE_ALERT_GENERAL_ERROR, "general_error" },
		{ SLUICE_ALERT_ECH_REQUIRED, "ech_required" },
	};
	unsigned int known = 0;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(sluice_alert_name(cases[i].alert), cases[i].name);
	for (int alert = -1; alert <= 256; alert++)
		known += strcmp(sluice_alert_name(alert), "unknown") != 0;
	assert_int_equal(known, sizeof(cases) / sizeof(cases[0]));
	assert_string_equal(sluice_alert_name(INT_MIN), "unknown");
}

static void stages_have_their_names_in_order(void **state)
{
	static const char *const names[] = { "none",   "tcp",    "hello",   "policy", "handshake",
					     "verify", "export", "install", "live" };

	assert_int_equal(sizeof(names) / sizeof(names[0]), SLUICE_STAGES);
	for (int i = 0; i < SLUICE_STAGES; i++)
		assert_string_equal(sluice_stage_name(i), names[i]);
	assert_string_equal(sluice_stage_name(SLUICE_STAGES), "unknown");
	assert_string_equal(sluice_stage_name(-1), "unknown");
}

static void the_first_error_stays(void **state)
{
	struct sluice_error err;

	err_clear(&err);
	assert_int_equal(err.code, SLUICE_OK);
	assert_int_equal(err.alert, ERR_NO_ALERT);
	assert_int_equal(err_set(&err, SLUICE_E_OPTION_RANGE, "depth = %d", 101),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(err_set_errno(&err, SLUICE_E_FILE, ENOENT, "ca.pem"), -SLUICE_E_FILE);
	assert_int_equal(err.code, SLUICE_E_OPTION_RANGE);
	assert_int_equal(err.kind, SLUICE_KIND_CONFIG);
	assert_int_equal(err.sys_errno, 0);
	assert_int_equal(err.alert, ERR_NO_ALERT);
	assert_string_equal(err.text, "depth = 101");

	err_clear(&err);
	assert_int_equal(err_set_errno(&err, SLUICE_E_FILE, ENOENT, "%s", "ca.pem"),
			 -SLUICE_E_FILE);
	assert_int_equal(err.sys_errno, ENOENT);
	assert_int_equal(err.kind, SLUICE_KIND_IO);
	assert_string_equal(err.text, "ca.pem: No such file or directory");

	err_clear(&err);
	err_set_errno(&err, SLUICE_E_IO, 4095, "x");
	assert_string_equal(err.text, "x: unknown errno");

	assert_int_equal(err_set(NULL, SLUICE_E_NOMEM, "x"), -SLUICE_E_NOMEM);
	err_clear(NULL);
}

static void a_text_is_one_line_and_shows_where_it_was_cut(void **state)
{
	struct sluice_error err;
	char longest[sizeof(err.text)];

	err_clear(&err);
	err_set(&err, SLUICE_E_FILE, "a\nb\x1b[2J\x7f%s", "\xc3\xa4\t");
	assert_string_equal(err.text, "a?b?[2J?\xc3\xa4?");

	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	err_clear(&err);
	err_set(&err, SLUICE_E_FILE, "%s", longest);
	assert_string_equal(err.text, longest);
	err_clear(&err);
	err_set(&err, SLUICE_E_FILE, "%s!", longest);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_string_equal(err.text + sizeof(err.text) - 6, "xx...");
	err_clear(&err);
	err_set_errno(&err, SLUICE_E_FILE, ENOENT, "%s", longest);
	assert_string_equal(err.text + sizeof(err.text) - 6, "xx...");
}

static void format_error_tells_everything(void **state)
{
	struct sluice_error err;
	char buf[512];
	int n;

	err_clear(&err);
	n = sluice_format_error(&err, buf, sizeof(buf));
	assert_int_equal(n, strlen(buf));
	assert_string_equal(buf, "no error [SLUICE_OK]");

	/* Without a text of its own, the code's. */
	err.code = SLUICE_E_CLOSED;
	sluice_format_error(&err, buf, sizeof(buf));
	assert_string_equal(buf, "the connection is closed [SLUICE_E_CLOSED]");

	err_clear(&err);
	err_set_errno(&err, SLUICE_E_VERIFY, EPERM, "no way to a trust anchor");
	err.stage = SLUICE_STAGE_VERIFY;
	err.alert = SSL_AD_UNKNOWN_CA;
	err.alert_sent = 1;
	err.x509_error = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	err.bssl_error = ERR_PACK(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
	n = sluice_format_error(&err, buf, sizeof(buf));
	assert_int_equal(n, strlen(buf));
	assert_non_null(strstr(buf, "no way to a trust anchor: Operation not permitted "
				    "[SLUICE_E_VERIFY, stage verify, alert unknown_ca(48) sent, "
				    "errno EPERM(1), X.509 error 20: unable to get local issuer "
				    "certificate, error:"));
	assert_non_null(strstr(buf, "CERTIFICATE_VERIFY_FAILED]"));

	/* close_notify is alert 0, and no alert is not close_notify. */
	err_clear(&err);
	err.code = SLUICE_E_ALERT;
	err.alert = 0;
	sluice_format_error(&err, buf, sizeof(buf));
	assert_non_null(strstr(buf, "alert close_notify(0) received"));
}

static void format_error_cuts_at_every_length(void **state)
{
	struct sluice_error err;
	char whole[512], buf[512];
	int len;

	err_clear(&err);
	err_set_errno(&err, SLUICE_E_FILE, ENOENT, "ca.pem");
	len = sluice_format_error(&err, whole, sizeof(whole));
	for (size_t size = 1; size < sizeof(buf); size++) {
		int n;

		memset(buf, '#', sizeof(buf));
		n = sluice_format_error(&err, buf, size);
		assert_int_equal(n, (int)size > len ? len : (int)size - 1);
		assert_int_equal(buf[n], '\0');
		assert_int_equal(strlen(buf), n);
		assert_int_equal(buf[n + 1], '#');
		if (n > 3)
			assert_memory_equal(buf, whole, n - 3);
	}
	assert_int_equal(sluice_format_error(&err, buf, 0), 0);
	assert_int_equal(sluice_format_error(&err, NULL, 0), 0);
}

static void errno_becomes_the_code_that_names_it(void **state)
{
	static const struct {
		int err, code;
	} cases[] = {
		{ EAGAIN, SLUICE_E_AGAIN },   { EWOULDBLOCK, SLUICE_E_AGAIN },
		{ EINTR, SLUICE_E_AGAIN },    { EMFILE, SLUICE_E_NOFILE },
		{ ENFILE, SLUICE_E_NOFILE },  { ENOMEM, SLUICE_E_NOMEM },
		{ ENOBUFS, SLUICE_E_NOMEM },  { ECONNRESET, SLUICE_E_RESET },
		{ EPIPE, SLUICE_E_RESET },    { ECONNABORTED, SLUICE_E_RESET },
		{ ETIMEDOUT, SLUICE_E_IO },   { EHOSTUNREACH, SLUICE_E_IO },
		{ ENETUNREACH, SLUICE_E_IO }, { EBADF, SLUICE_E_IO },
		{ 0, SLUICE_E_IO },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(sys_errno_code(cases[i].err), cases[i].code);
	/* Whatever the kernel comes up with: never success. */
	for (int err = -1; err < 600; err++)
		assert_true(sys_errno_code(err) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_has_a_name_a_kind_and_a_text),
		cmocka_unit_test(kinds_say_what_to_do),
		cmocka_unit_test(to_AL_41_alerts_have_their_names),
		cmocka_unit_test(stages_have_their_names_in_order),
		cmocka_unit_test(the_first_error_stays),
		cmocka_unit_test(a_text_is_one_line_and_shows_where_it_was_cut),
		cmocka_unit_test(format_error_tells_everything),
		cmocka_unit_test(format_error_cuts_at_every_length),
		cmocka_unit_test(errno_becomes_the_code_that_names_it),
	};

	return cmocka_run_group_tests_name("unit/error", tests, NULL, NULL);
}
