/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every alert, received and sent, by established connections on both record paths, roles and versions,
 * and by those that pause at the hello.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/pause.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000

/* All that end a connection. */
static const struct {
	uint8_t alert;
	const char *name;
	bool may_be_sent;
} alerts[] = {
	{ SLUICE_ALERT_UNEXPECTED_MESSAGE, "unexpected_message", true },
	{ SLUICE_ALERT_BAD_RECORD_MAC, "bad_record_mac", true },
	{ SLUICE_ALERT_DECRYPTION_FAILED, "decryption_failed", false },
	{ SLUICE_ALERT_RECORD_OVERFLOW, "record_overflow", true },
	{ SLUICE_ALERT_DECOMPRESSION_FAILURE, "decompression_failure", false },
	{ SLUICE_ALERT_HANDSHAKE_FAILURE, "handshake_failure", true },
	{ SLUICE_ALERT_NO_CERTIFICATE, "no_certificate", false },
	{ SLUICE_ALERT_BAD_CERTIFICATE, "bad_certificate", true },
	{ SLUICE_ALERT_UNSUPPORTED_CERTIFICATE, "unsupported_certificate", true },
	{ SLUICE_ALERT_CERTIFICATE_REVOKED, "certificate_revoked", true },
	{ SLUICE_ALERT_CERTIFICATE_EXPIRED, "certificate_expired", true },
	{ SLUICE_ALERT_CERTIFICATE_UNKNOWN, "certificate_unknown", true },
	{ SLUICE_ALERT_ILLEGAL_PARAMETER, "illegal_parameter", true },
	{ SLUICE_ALERT_UNKNOWN_CA, "unknown_ca", true },
	{ SLUICE_ALERT_ACCESS_DENIED, "access_denied", true },
	{ SLUICE_ALERT_DECODE_ERROR, "decode_error", true },
	{ SLUICE_ALERT_DECRYPT_ERROR, "decrypt_error", true },
	{ SLUICE_ALERT_EXPORT_RESTRICTION, "export_restriction", false },
	{ SLUICE_ALERT_PROTOCOL_VERSION, "protocol_version", true },
	{ SLUICE_ALERT_INSUFFICIENT_SECURITY, "insufficient_security", true },
	{ SLUICE_ALERT_INTERNAL_ERROR, "internal_error", true },
	{ SLUICE_ALERT_INAPPROPRIATE_FALLBACK, "inappropriate_fallback", true },
	{ SLUICE_ALERT_MISSING_EXTENSION, "missing_extension", true },
	{ SLUICE_ALERT_UNSUPPORTED_EXTENSION, "unsupported_extension", true },
	{ SLUICE_ALERT_CERTIFICATE_UNOBTAINABLE, "certificate_unobtainable", false },
	{ SLUICE_ALERT_UNRECOGNIZED_NAME, "unrecognized_name", true },
	{ SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE, "bad_certificate_status_response", true },
	{ SLUICE_ALERT_BAD_CERTIFICATE_HASH_VALUE, "bad_certificate_hash_value", false },
	{ SLUICE_ALERT_UNKNOWN_PSK_IDENTITY, "unknown_psk_identity", true },
	{ SLUICE_ALERT_CERTIFICATE_REQUIRED, "certificate_required", true },
	{ SLUICE_ALERT_GENERAL_ERROR, "general_error", true },
	{ SLUICE_ALERT_NO_APPLICATION_PROTOCOL, "no_application_protocol", true },
	{ SLUICE_ALERT_ECH_REQUIRED, "ech_required", true },
};

static const enum sluice_role roles[] = { SLUICE_CLIENT, SLUICE_SERVER };
static const uint16_t versions[] = { TLS12, TLS13 };

/* Calls @test with a live connection for each path, role and version. */
static void for_each_live(void (*test)(struct peer *peer, size_t i), size_t i)
{
	struct pair pair;
	struct peer peer;
	size_t r, v;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		for (r = 0; r < ARRAY_SIZE(roles); r++) {
			for (v = 0; v < ARRAY_SIZE(versions); v++) {
				peer_open_live(&peer, &pair, roles[r], versions[v]);
				test(&peer, i);
				peer_close(&peer);
			}
		}
		pair_close(&pair);
	}
}

static void receive_one(struct peer *peer, size_t i)
{
	uint8_t bytes[ALERT_LEN] = { ALERT_LEVEL_FATAL, alerts[i].alert };
	struct sluice_error err;
	uint8_t byte;

	peer_send_record(peer, RECORD_ALERT, bytes, sizeof(bytes));
	assert_int_equal(sluice_recv(peer->conn, &byte, 1, RUN_MS), -SLUICE_E_ALERT);
	assert_int_equal(sluice_send(peer->conn, "x", 1, RUN_MS), -SLUICE_E_ALERT);
	assert_int_equal(sluice_conn_error(peer->conn, &err, sizeof(err)), 0);
	assert_int_equal(err.code, SLUICE_E_ALERT);
	assert_int_equal(err.alert, alerts[i].alert);
	assert_int_equal(err.alert_sent, 0);
	assert_int_equal(err.stage, SLUICE_STAGE_LIVE);
	assert_non_null(strstr(err.text, alerts[i].name));
	assert_int_equal(check_info(peer->conn).alerts_received, 1);
	assert_string_equal(sluice_alert_name(err.alert), alerts[i].name);
	/* Nothing answers it, not even at the end (RFC 8446, 6.2). */
	peer_skip_handshake(peer);
	assert_int_equal(peer_close_conn(peer), 0);
	peer_expect_end(peer, PEER_FIN, NULL, 0);
}

static void AL_08_AL_27_AL_35_AL_37_AL_38_AL_41_every_alert_is_received_by_name(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(alerts); i++)
		for_each_live(receive_one, i);
}

static void send_one(struct peer *peer, size_t i)
{
	uint8_t byte;

	if (!alerts[i].may_be_sent) {
		assert_int_equal(sluice_abort(peer->conn, alerts[i].alert), -SLUICE_E_INVALID);
		assert_int_equal(sluice_send(peer->conn, "x", 1, RUN_MS), 1);
		return;
	}
	assert_int_equal(sluice_abort(peer->conn, alerts[i].alert), 0);
	check_error(peer->conn, SLUICE_E_POLICY, ALERT_SENT(alerts[i].alert));
	assert_int_equal(check_info(peer->conn).alerts_sent, 1);
	assert_int_equal(sluice_send(peer->conn, "x", 1, RUN_MS), -SLUICE_E_POLICY);
	assert_int_equal(sluice_recv(peer->conn, &byte, 1, RUN_MS), -SLUICE_E_POLICY);
	assert_int_equal(sluice_abort(peer->conn, alerts[i].alert), -SLUICE_E_STATE);
	peer_expect_alert(peer, ALERT_LEVEL_FATAL, alerts[i].alert);
	assert_int_equal(peer_close_conn(peer), 0);
	peer_expect_end(peer, PEER_FIN, NULL, 0);
}

static void AL_24_AL_27_AL_35_AL_38_every_alert_that_may_be_sent_is_sent(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(alerts); i++)
		for_each_live(send_one, i);
}

static void send_no_error(struct peer *peer, size_t i)
{
	static const int others[] = { SLUICE_ALERT_CLOSE_NOTIFY,
				      SLUICE_ALERT_USER_CANCELED,
				      SLUICE_ALERT_NO_RENEGOTIATION,
				      200,
				      -1,
				      256 };

	assert_int_equal(sluice_abort(peer->conn, others[i]), -SLUICE_E_INVALID);
	assert_int_equal(sluice_send(peer->conn, "x", 1, RUN_MS), 1);
}

static void what_is_no_error_or_unknown_ends_nothing(void **state)
{
	size_t i;

	for (i = 0; i < 6; i++)
		for_each_live(send_no_error, i);
}

/* Data that have come before the alert are there before it. */
static void data_then_alert(struct peer *peer, size_t i)
{
	static const uint8_t bytes[ALERT_LEN] = { ALERT_LEVEL_FATAL, SLUICE_ALERT_ACCESS_DENIED };
	uint8_t buf[16];

	peer_send_record(peer, RECORD_DATA, "before", 6);
	peer_send_record(peer, RECORD_ALERT, bytes, sizeof(bytes));
	assert_int_equal(sluice_recv_exact(peer->conn, buf, 6, RUN_MS), 6);
	assert_memory_equal(buf, "before", 6);
	assert_int_equal(sluice_recv(peer->conn, buf, 1, RUN_MS), -SLUICE_E_ALERT);
}

static void AL_08_AL_24_data_before_an_alert_are_delivered(void **state)
{
	for_each_live(data_then_alert, 0);
}

static void AL_24_who_pauses_at_the_hello_may_refuse(void **state)
{
	static const uint8_t refusals[] = { SLUICE_ALERT_ACCESS_DENIED,
					    SLUICE_ALERT_UNRECOGNIZED_NAME };
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		pair_open(&pair, &(struct pair_setup){ .server_options = "handshake = hello" });
		pair_start(&pair, NULL);
		assert_int_equal(sluice_abort(pair.client, refusals[i]), -SLUICE_E_STATE);
		pause_run(&pair, SLUICE_SERVER);
		assert_int_equal(sluice_abort(pair.server, refusals[i]), 0);
		check_error(pair.server, SLUICE_E_POLICY, ALERT_SENT(refusals[i]));
		assert_int_equal(sluice_handshake_continue(pair.server, NULL, RUN_MS),
				 -SLUICE_E_STATE);
		pair.server_result = -SLUICE_E_POLICY;
		pair_run(&pair);
		check_error(pair.client, SLUICE_E_ALERT, ALERT_RECEIVED(refusals[i]));
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			AL_08_AL_27_AL_35_AL_37_AL_38_AL_41_every_alert_is_received_by_name),
		cmocka_unit_test(AL_24_AL_27_AL_35_AL_38_every_alert_that_may_be_sent_is_sent),
		cmocka_unit_test(what_is_no_error_or_unknown_ends_nothing),
		cmocka_unit_test(AL_08_AL_24_data_before_an_alert_are_delivered),
		cmocka_unit_test(AL_24_who_pauses_at_the_hello_may_refuse),
	};

	return cmocka_run_group_tests_name("flow/alerts", tests, leaks_setup, leaks_teardown);
}
