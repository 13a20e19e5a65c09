/* SPDX-License-Identifier: Apache-2.0 */
/* How alerts read, and what is sent, or not sent, about names and purposes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/witness.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000

static const uint16_t versions[] = { TLS13, TLS12 };

/* struct named - an alert, and what a person reads of it. */
struct named {
	uint8_t alert;
	const char *name;
};

static void expect_named(struct pair *pair, const struct named *named, enum sluice_role role,
			 uint16_t version)
{
	const uint8_t alert[] = { ALERT_LEVEL_FATAL, named->alert };
	char line[300], expect[80];
	struct sluice_error err;
	struct peer peer;
	uint8_t byte;

	peer_open_live(&peer, pair, role, version);
	peer_send_record(&peer, RECORD_ALERT, alert, sizeof(alert));
	assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_ALERT);
	check_error(peer.conn, SLUICE_E_ALERT, ALERT_RECEIVED(named->alert));
	sluice_conn_error(peer.conn, &err, sizeof(err));
	assert_string_equal(sluice_alert_name(err.alert), named->name);
	sluice_format_error(&err, line, sizeof(line));
	snprintf(expect, sizeof(expect), "alert %s(%u) received", named->name, named->alert);
	if (!strstr(line, expect))
		fail_msg("no \"%s\" in \"%s\"", expect, line);
	assert_int_equal(check_info(peer.conn).alerts_sent, 0);
	peer_close(&peer);
}

static void run_named(const struct named *named, size_t n)
{
	struct pair pair;
	size_t i, v;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (i = 0; i < n; i++) {
			for (v = 0; v < ARRAY_SIZE(versions); v++) {
				expect_named(&pair, &named[i], SLUICE_CLIENT, versions[v]);
				expect_named(&pair, &named[i], SLUICE_SERVER, versions[v]);
			}
		}
		witness_close(&pair);
	}
}

#define RUN_NAMED(...)                                               \
	do {                                                         \
		static const struct named named[] = { __VA_ARGS__ }; \
		run_named(named, ARRAY_SIZE(named));                 \
	} while (0)

static void AL_08_AL_14_AL_18_AL_23_AL_28_alerts_are_reported_by_name(void **state)
{
	RUN_NAMED({ 20, "bad_record_mac" }, { 43, "unsupported_certificate" }, { 48, "unknown_ca" },
		  { 70, "protocol_version" });
}

static void AL_41_further_alerts_and_unknown_ones(void **state)
{
	RUN_NAMED({ 109, "missing_extension" }, { 116, "certificate_required" }, { 1, "unknown" },
		  { 255, "unknown" });
}

/* A server that does not know the name serves with what it has and does not complain. */
static void AL_36_a_name_that_the_peer_does_not_know(void **state)
{
	struct pair pair;

	RUN_NAMED({ 112, "unrecognized_name" });
	pair_open(&pair, &(struct pair_setup){ 0 });
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = pair_profile(SLUICE_CLIENT, "server_name_indication = unheard.test\n"
							  "verify = verify_none\n");
	assert_int_equal(pair_connect(&pair), 0);
	assert_string_equal(check_info(pair.server).sni, "unheard.test");
	assert_int_equal(check_info(pair.server).alerts_sent, 0);
	assert_int_equal(check_info(pair.client).alerts_received, 0);
	pair_close(&pair);
}

/* A certificate that is good, but for clients: RFC 5280, 4.2.1.12. */
static void AL_18_a_certificate_of_another_purpose(void **state)
{
	static const char *const words[] = { "tlsv1.3", "tlsv1.2" };
	size_t v;

	for (v = 0; v < ARRAY_SIZE(words); v++)
		check_refusal(SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
			      .versions = words[v], .cert = certs_get()->client,
			      .key = certs_get()->client_key);
}

/* RFC 8446, 6.1: the close_notify behind it is the end, and an orderly one. */
static void AL_32_user_canceled_awaits_close_notify(void **state)
{
	static const uint8_t canceled[] = { ALERT_LEVEL_WARNING, SLUICE_ALERT_USER_CANCELED };
	static const uint8_t close_notify[] = { ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY };
	struct pair pair;
	struct peer peer;
	uint8_t byte;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		peer_send_record(&peer, RECORD_ALERT, canceled, sizeof(canceled));
		peer_wait(&peer);
		assert_int_equal(sluice_recv(peer.conn, &byte, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
		peer_send_record(&peer, RECORD_ALERT, close_notify, sizeof(close_notify));
		assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_CLOSED);
		peer_close(&peer);
		witness_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AL_08_AL_14_AL_18_AL_23_AL_28_alerts_are_reported_by_name),
		cmocka_unit_test(AL_41_further_alerts_and_unknown_ones),
		cmocka_unit_test(AL_36_a_name_that_the_peer_does_not_know),
		cmocka_unit_test(AL_18_a_certificate_of_another_purpose),
		cmocka_unit_test(AL_32_user_canceled_awaits_close_notify),
	};

	return cmocka_run_group_tests_name("flow/alert_names", tests, leaks_setup, leaks_teardown);
}
