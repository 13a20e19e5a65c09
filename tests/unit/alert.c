/* SPDX-License-Identifier: Apache-2.0 */
/* Alerts after the handshake by transcript: what each means in either version, and their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/player.h"

static void feed_warnings(struct player *player, unsigned int n, const char *alert)
{
	for (unsigned int i = 0; i < n; i++)
		player_record(player, RECORD_ALERT, alert, 2);
	player->out[0] = '\0';
}

static void check_warning_limit(uint16_t version, const char *alert)
{
	struct player player = { 0 };

	for (player.cut = 0; player.cut < CUTS; player.cut++) {
		player_start(&player, version, false);
		feed_warnings(&player, CONTROL_MAX_WARNINGS, alert);
		assert_int_equal(player.control.failed, 0);
		player_record(&player, RECORD_DATA, "x", 1);
		feed_warnings(&player, CONTROL_MAX_WARNINGS, alert);
		assert_int_equal(player.control.failed, 0);
		/* Empty records are no progress. */
		player_record(&player, RECORD_DATA, "", 0);
		player.out[0] = '\0';
		player_record(&player, RECORD_ALERT, alert, 2);
		assert_string_equal(player.out, " error(10)");
		player_stop(&player);
	}
}

static void warnings_are_limited(void **state)
{
	check_warning_limit(TLS12, "\1\x64");
	check_warning_limit(TLS13, "\1\x5a");
}

/* A peer's fatal alert arrives as what it is, at the level that each version has for it. */
static void check_alert(uint8_t alert)
{
	const char fatal[] = { ALERT_LEVEL_FATAL, (char)alert };
	const char warning[] = { ALERT_LEVEL_WARNING, (char)alert };
	struct player player = { 0 };
	uint8_t built[ALERT_LEN];
	char expect[32];

	snprintf(expect, sizeof(expect), " alert(%u) ignored", alert);
	for (player.cut = 0; player.cut < CUTS; player.cut++) {
		player_start(&player, TLS12, true);
		player_record(&player, RECORD_ALERT, fatal, sizeof(fatal));
		player_record(&player, RECORD_DATA, "x", 1);
		assert_string_equal(player.out, expect);
		player_stop(&player);

		/* RFC 8446, 6.2: an error alert whatever its level. */
		player_start(&player, TLS13, true);
		player_record(&player, RECORD_ALERT, warning, sizeof(warning));
		player_record(&player, RECORD_DATA, "x", 1);
		assert_string_equal(player.out, expect);
		player_stop(&player);
	}
	control_build_alert(built, alert);
	assert_memory_equal(built, fatal, sizeof(built));
}

#define ALERT_TEST(name, alert)        \
	static void name(void **state) \
	{                              \
		check_alert(alert);    \
	}

ALERT_TEST(unexpected_message, SLUICE_ALERT_UNEXPECTED_MESSAGE)
ALERT_TEST(bad_record_mac, SLUICE_ALERT_BAD_RECORD_MAC)
ALERT_TEST(record_overflow, SLUICE_ALERT_RECORD_OVERFLOW)
ALERT_TEST(handshake_failure, SLUICE_ALERT_HANDSHAKE_FAILURE)
ALERT_TEST(bad_certificate, SLUICE_ALERT_BAD_CERTIFICATE)
ALERT_TEST(unsupported_certificate, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE)
ALERT_TEST(certificate_revoked, SLUICE_ALERT_CERTIFICATE_REVOKED)
ALERT_TEST(certificate_expired, SLUICE_ALERT_CERTIFICATE_EXPIRED)
ALERT_TEST(certificate_unknown, SLUICE_ALERT_CERTIFICATE_UNKNOWN)
ALERT_TEST(illegal_parameter, SLUICE_ALERT_ILLEGAL_PARAMETER)
ALERT_TEST(unknown_ca, SLUICE_ALERT_UNKNOWN_CA)
ALERT_TEST(access_denied, SLUICE_ALERT_ACCESS_DENIED)
ALERT_TEST(decode_error, SLUICE_ALERT_DECODE_ERROR)
ALERT_TEST(decrypt_error, SLUICE_ALERT_DECRYPT_ERROR)
ALERT_TEST(export_restriction, SLUICE_ALERT_EXPORT_RESTRICTION)
ALERT_TEST(protocol_version, SLUICE_ALERT_PROTOCOL_VERSION)
ALERT_TEST(insufficient_security, SLUICE_ALERT_INSUFFICIENT_SECURITY)
ALERT_TEST(internal_error, SLUICE_ALERT_INTERNAL_ERROR)
ALERT_TEST(inappropriate_fallback, SLUICE_ALERT_INAPPROPRIATE_FALLBACK)
ALERT_TEST(unsupported_extension, SLUICE_ALERT_UNSUPPORTED_EXTENSION)
ALERT_TEST(certificate_unobtainable, SLUICE_ALERT_CERTIFICATE_UNOBTAINABLE)
ALERT_TEST(unrecognized_name, SLUICE_ALERT_UNRECOGNIZED_NAME)
ALERT_TEST(bad_certificate_status_response, SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE)
ALERT_TEST(bad_certificate_hash_value, SLUICE_ALERT_BAD_CERTIFICATE_HASH_VALUE)
ALERT_TEST(unknown_psk_identity, SLUICE_ALERT_UNKNOWN_PSK_IDENTITY)
ALERT_TEST(no_application_protocol, SLUICE_ALERT_NO_APPLICATION_PROTOCOL)
ALERT_TEST(missing_extension, SLUICE_ALERT_MISSING_EXTENSION)
ALERT_TEST(certificate_required, SLUICE_ALERT_CERTIFICATE_REQUIRED)
ALERT_TEST(unknown, 213)

static void some_alerts_are_sent_as_warnings(void **state)
{
	static const uint8_t warnings[] = { SLUICE_ALERT_CLOSE_NOTIFY, SLUICE_ALERT_USER_CANCELED,
					    SLUICE_ALERT_NO_RENEGOTIATION };

	for (size_t i = 0; i < sizeof(warnings); i++) {
		const uint8_t expect[] = { ALERT_LEVEL_WARNING, warnings[i] };
		uint8_t built[ALERT_LEN];

		control_build_alert(built, warnings[i]);
		assert_memory_equal(built, expect, sizeof(built));
	}
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_script(close_notify, TLS13, CLIENT, "data close", DATA("x"), AL("\1\0")),
	cmocka_unit_test_script(close_notify_in_tls12, TLS12, SERVER, "close", AL("\1\0")),
	cmocka_unit_test_script(close_notify_at_level_fatal, TLS12, SERVER, "close", AL("\2\0")),
	cmocka_unit_test_script(close_notify_at_no_known_level, TLS13, SERVER, "close",
				AL("\x4d\0")),
	cmocka_unit_test_script(what_follows_is_ignored, TLS13, CLIENT, "close ignored", AL("\1\0"),
				DATA("x"), HS("\xff\xff\xff\xff"), AL("\2\x28"), REC(99, "x")),
	cmocka_unit_test_script(fatal_alert, TLS12, CLIENT, "alert(40) ignored", AL("\2\x28"),
				DATA("x")),
	cmocka_unit_test_script(tls13_ignores_the_level, TLS13, CLIENT, "alert(40)", AL("\1\x28")),
	cmocka_unit_test_script(no_known_level_in_tls13, TLS13, CLIENT, "alert(40)",
				AL("\x4d\x28")),
	cmocka_unit_test_script(no_known_level_in_tls12, TLS12, CLIENT, "error(47)", AL("\3\x28")),
	cmocka_unit_test_script(no_renegotiation, TLS12, SERVER, "warning(100) data", AL("\1\x64"),
				DATA("x")),
	cmocka_unit_test_script(user_canceled, TLS13, CLIENT, "warning(90) close", AL("\1\x5a"),
				AL("\1\0")),
	cmocka_unit_test_script(user_canceled_at_level_fatal, TLS13, CLIENT, "warning(90)",
				AL("\2\x5a")),
	cmocka_unit_test_script(user_canceled_is_fatal_in_tls12, TLS12, SERVER, "alert(90)",
				AL("\2\x5a")),
	cmocka_unit_test(warnings_are_limited),
	cmocka_unit_test_script(two_alerts_in_a_record, TLS13, CLIENT, "error(10)",
				AL("\1\x5a\1\0")),
	cmocka_unit_test_script(a_byte_after_an_alert, TLS13, CLIENT, "error(10)", AL("\2\x28\2")),
	cmocka_unit_test_script(tls12_alerts_share_a_record, TLS12, CLIENT, "warning(90) close",
				AL("\1\x5a\1\0")),
	cmocka_unit_test_script(half_an_alert_after_an_alert, TLS12, CLIENT,
				"warning(90) error(50)", AL("\1\x5a\1")),
	cmocka_unit_test_script(alert_split_over_records, TLS13, CLIENT, "error(50)", AL("\1"),
				AL("\0")),
	cmocka_unit_test_script(alert_split_over_records_in_tls12, TLS12, CLIENT, "error(50)",
				AL("\1"), AL("\0")),
	cmocka_unit_test_script(empty_alert_record, TLS13, CLIENT, "error(10)", AL("")),
	cmocka_unit_test_script(empty_alert_record_in_tls12, TLS12, SERVER, "error(10)", AL("")),
	cmocka_unit_test(some_alerts_are_sent_as_warnings),
	cmocka_unit_test(unexpected_message),
	cmocka_unit_test(bad_record_mac),
	cmocka_unit_test(record_overflow),
	cmocka_unit_test(handshake_failure),
	cmocka_unit_test(bad_certificate),
	cmocka_unit_test(unsupported_certificate),
	cmocka_unit_test(certificate_revoked),
	cmocka_unit_test(certificate_expired),
	cmocka_unit_test(certificate_unknown),
	cmocka_unit_test(illegal_parameter),
	cmocka_unit_test(unknown_ca),
	cmocka_unit_test(access_denied),
	cmocka_unit_test(decode_error),
	cmocka_unit_test(decrypt_error),
	cmocka_unit_test(export_restriction),
	cmocka_unit_test(protocol_version),
	cmocka_unit_test(insufficient_security),
	cmocka_unit_test(internal_error),
	cmocka_unit_test(inappropriate_fallback),
	cmocka_unit_test(unsupported_extension),
	cmocka_unit_test(certificate_unobtainable),
	cmocka_unit_test(unrecognized_name),
	cmocka_unit_test(bad_certificate_status_response),
	cmocka_unit_test(bad_certificate_hash_value),
	cmocka_unit_test(unknown_psk_identity),
	cmocka_unit_test(no_application_protocol),
	cmocka_unit_test(missing_extension),
	cmocka_unit_test(certificate_required),
	cmocka_unit_test(unknown),
};

int main(void)
{
	return cmocka_run_group_tests_name("unit/alert", tests, NULL, NULL);
}
