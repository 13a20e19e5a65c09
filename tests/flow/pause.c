/* SPDX-License-Identifier: Apache-2.0 */
/* A handshake that pauses at the hello: what can be changed then, how it goes on, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/pause.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- going on ---------------------------------------------------------------------------- */

static void LC_17_server_changes_its_answer(void **state)
{
	const struct certs *certs = certs_get();
	struct sluice_conn_info info;
	const uint8_t *before, *after;
	size_t before_len, after_len;
	char text[1024];
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .server_options = PAUSE });
		pair_start(&pair, NULL);
		pause_run(&pair, SLUICE_SERVER);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
		assert_int_equal(check_info(pair.client).version, TLS13);
		assert_int_equal(sluice_peercert(pair.client, 0, &before, &before_len), 0);
		after = NULL;
		snprintf(text, sizeof(text),
			 "certfile = %s\nkeyfile = %s\nversions = tlsv1.2\n"
			 "ciphers = TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256\n",
			 certs->server_rsa, certs->server_rsa_key);
		{
			struct pair other = pair;

			pair_start(&other, NULL);
			pause_run(&other, SLUICE_SERVER);
			assert_int_equal(pause_continue(&other, SLUICE_SERVER, text), 0);
			info = check_info(other.client);
			assert_int_equal(info.version, TLS12);
			assert_int_equal(info.suite, 0xcca8);
			assert_int_equal(sluice_peercert(other.client, 0, &after, &after_len), 0);
			assert_false(before_len == after_len && !memcmp(before, after, before_len));
			pair_exchange(&other, 20000);
			pair_drop(&other);
		}
		/* The listener's profile is what it was. */
		pair_drop(&pair);
		pair_start(&pair, NULL);
		pause_run(&pair, SLUICE_SERVER);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
		assert_int_equal(check_info(pair.client).version, TLS13);
		pair_close(&pair);
	}
}

static void LC_17_server_asks_for_a_certificate_late(void **state)
{
	const struct certs *certs = certs_get();
	char server[512], client[512];
	struct pair pair;
	bool with;

	snprintf(server, sizeof(server),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n", certs->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		for (with = false;; with = true) {
			pause_open(&pair, SLUICE_SERVER,
				   (struct pair_setup){ .versions = version,
							.client_options = with ? client : NULL });
			pause_continue(&pair, SLUICE_SERVER, server);
			if (with) {
				assert_int_equal(pair.server_result, 0);
				assert_true(check_info(pair.server).peer_verified);
				pair_exchange(&pair, 1000);
			} else {
				assert_int_equal(pair.server_result, -SLUICE_E_NO_PEERCERT);
			}
			pair_close(&pair);
			if (with)
				break;
		}
	}
}

static void LC_17_server_chooses_a_protocol_late(void **state)
{
	const char *protocol;
	struct pair pair;
	size_t len;

	pause_open(&pair, SLUICE_SERVER,
		   (struct pair_setup){ .client_options =
						"alpn_advertised_protocols = h2, http/1.1\n" });
	assert_int_equal(
		pause_continue(&pair, SLUICE_SERVER, "alpn_preferred_protocols = http/1.1\n"), 0);
	assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol, &len), 0);
	assert_int_equal(len, 8);
	assert_memory_equal(protocol, "http/1.1", len);
	pair_close(&pair);
}

static void LC_17_client_changes_its_verdict(void **state)
{
	const struct certs *certs = certs_get();
	char text[512];
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		snprintf(text, sizeof(text), "cacertfile = %s\n", certs->other_ca);
		pause_open(&pair, SLUICE_CLIENT, (struct pair_setup){ .versions = version });
		pause_continue(&pair, SLUICE_CLIENT, text);
		assert_int_equal(pair.client_result, -SLUICE_E_VERIFY);
		check_error(pair.client, SLUICE_E_VERIFY, ALERT_SENT(SLUICE_ALERT_UNKNOWN_CA));
		pair_drop(&pair);

		pair_start(&pair, NULL);
		pause_run(&pair, SLUICE_CLIENT);
		snprintf(text, sizeof(text), "cacertfile = %s\nverify = verify_none\n",
			 certs->other_ca);
		assert_int_equal(pause_continue(&pair, SLUICE_CLIENT, text), 0);
		assert_false(check_info(pair.client).peer_verified);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* What is in the hello that has gone out cannot be changed any more: it is said, and nothing is lost. */
static void LC_17_what_is_too_late_is_said_and_the_pause_goes_on(void **state)
{
	static const char *const client[] = {
		"versions = tlsv1.2\n",
		"ciphers = TLS_AES_256_GCM_SHA384\n",
		"supported_groups = x25519\n",
		"signature_algs = ecdsa_secp256r1_sha256\n",
		"alpn_advertised_protocols = h2\n",
		"server_name_indication = other.test\n",
		"session_tickets = disabled\n",
		"handshake = full\n",
		"handshake_timeout = 1\n",
	};
	static const char *const server[] = { "handshake = full\n", "handshake_timeout = 1\n",
					      "ticket_count = 1\n" };
	struct sluice_options *extra;
	struct pair pair;
	size_t i;

	pause_open(&pair, SLUICE_CLIENT, (struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(client); i++) {
		extra = check_options(client[i]);
		assert_int_equal(sluice_handshake_continue(pair.client, extra, SLUICE_NOWAIT),
				 -SLUICE_E_OPTION_TOO_LATE);
		sluice_options_free(extra);
		assert_int_equal(sluice_conn_dispatch(pair.client), SLUICE_PAUSED);
	}
	assert_int_equal(pause_continue(&pair, SLUICE_CLIENT, NULL), 0);
	pair_exchange(&pair, 1000);
	pair_close(&pair);

	pause_open(&pair, SLUICE_SERVER, (struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(server); i++) {
		extra = check_options(server[i]);
		assert_int_equal(sluice_handshake_continue(pair.server, extra, SLUICE_NOWAIT),
				 -SLUICE_E_OPTION_TOO_LATE);
		sluice_options_free(extra);
		assert_int_equal(sluice_conn_dispatch(pair.server), SLUICE_PAUSED);
	}
	assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

static void LC_10_LC_17_calls_that_a_pause_does_not_allow(void **state)
{
	struct pair pair;
	struct peer peer;
	uint8_t byte = 0;

	pair_open(&pair, &(struct pair_setup){ .server_options = PAUSE });
	peer_open(&peer, &pair, SLUICE_CLIENT); /* and says nothing */
	assert_int_equal(sluice_handshake_continue(peer.conn, NULL, SLUICE_NOWAIT),
			 -SLUICE_E_STATE);
	assert_int_equal(sluice_handshake_cancel(peer.conn), -SLUICE_E_STATE);
	peer_close(&peer);

	pair_start(&pair, NULL);
	pause_run(&pair, SLUICE_SERVER);
	assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_NOWAIT), -SLUICE_E_STATE);
	assert_int_equal(sluice_send(pair.server, &byte, 1, SLUICE_NOWAIT),
			 -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_recv(pair.server, &byte, 1, SLUICE_NOWAIT),
			 -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_conn_events(pair.server), 0);
	assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
	assert_int_equal(sluice_handshake_continue(pair.server, NULL, SLUICE_NOWAIT),
			 -SLUICE_E_STATE);
	assert_int_equal(sluice_handshake_cancel(pair.server), -SLUICE_E_STATE);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

/* --- the end ----------------------------------------------------------------------------- */

static void LC_18_AL_32_a_cancelled_handshake_tells_the_peer(void **state)
{
	static const enum sluice_role roles[] = { SLUICE_SERVER, SLUICE_CLIENT };
	struct sluice_conn *self, *other;
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_VERSION(version)
	{
		for (i = 0; i < ARRAY_SIZE(roles); i++) {
			pause_open(&pair, roles[i], (struct pair_setup){ .versions = version });
			self = pause_end(&pair, roles[i]);
			other = pause_end(&pair, SLUICE_SERVER + SLUICE_CLIENT - roles[i]);
			assert_int_equal(sluice_handshake_cancel(self), 0);
			check_error(self, SLUICE_E_HANDSHAKE,
				    ALERT_SENT(SLUICE_ALERT_USER_CANCELED));
			assert_int_equal(check_info(self).alerts_sent, 1);
			assert_int_equal(check_info(self).tx.path, SLUICE_PATH_NONE);
			*(roles[i] == SLUICE_SERVER ? &pair.server_result : &pair.client_result) =
				-SLUICE_E_HANDSHAKE;
			pair_run(&pair);
			check_error(other, SLUICE_E_ALERT,
				    ALERT_RECEIVED(SLUICE_ALERT_USER_CANCELED));
			assert_int_equal(check_info(other).alerts_received, 1);
			pair_close(&pair);
		}
	}
}

static void LC_18_a_cancelled_handshake_sends_one_alert_and_ends(void **state)
{
	static const uint8_t alert[] = { 21, 3, 1, 0, 2, 2, 90 };
	struct pair pair;
	struct peer peer;

	pair_open(&pair, &(struct pair_setup){ .server_options = PAUSE });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	peer_step(&peer);
	peer_flush(&peer);
	assert_int_equal(peer_run(&peer), SLUICE_PAUSED);
	assert_int_equal(sluice_handshake_cancel(peer.conn), 0);
	peer_close_conn(&peer);
	peer_expect_end(&peer, PEER_FIN, alert, sizeof(alert));
	peer_close(&peer);
	pair_close(&pair);
}

static void LC_18_a_paused_connection_can_just_be_closed(void **state)
{
	static const enum sluice_role roles[] = { SLUICE_SERVER, SLUICE_CLIENT };
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(roles); i++) {
		pause_open(&pair, roles[i], (struct pair_setup){ 0 });
		pair_close(&pair);
	}
}

/* --- time -------------------------------------------------------------------------------- */

#define SECOND 1000000ull

static void LC_15_a_pause_takes_nothing_from_the_time_budget(void **state)
{
	struct pair pair;
	struct peer peer;

	fault_install();
	pair_open(&pair,
		  &(struct pair_setup){ .server_options = PAUSE "handshake_timeout = 10000\n" });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	fault_advance_us(6 * SECOND);
	assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN);
	assert_in_range(sluice_conn_timeout(peer.conn), 3000, 4000);
	peer_step(&peer);
	peer_flush(&peer);
	assert_int_equal(peer_run(&peer), SLUICE_PAUSED);
	assert_int_equal(sluice_conn_timeout(peer.conn), -1);
	fault_advance_us(3600 * SECOND);
	assert_int_equal(sluice_conn_timeout(peer.conn), -1);
	assert_int_equal(sluice_conn_dispatch(peer.conn), SLUICE_PAUSED);

	/* The budget that was left is what is left. */
	peer.result = sluice_handshake_continue(peer.conn, NULL, SLUICE_NOWAIT);
	assert_int_equal(peer.result, -SLUICE_E_AGAIN);
	assert_in_range(sluice_conn_timeout(peer.conn), 2500, 4000);
	fault_advance_us(2 * SECOND);
	assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN);
	fault_advance_us(2 * SECOND);
	assert_int_equal(peer_dispatch(&peer), -SLUICE_E_HANDSHAKE_TIMEOUT);
	check_error(peer.conn, SLUICE_E_HANDSHAKE_TIMEOUT, NO_ALERT);
	peer_close(&peer);
	pair_close(&pair);
	fault_uninstall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_17_server_changes_its_answer),
		cmocka_unit_test(LC_17_server_asks_for_a_certificate_late),
		cmocka_unit_test(LC_17_server_chooses_a_protocol_late),
		cmocka_unit_test(LC_17_client_changes_its_verdict),
		cmocka_unit_test(LC_17_what_is_too_late_is_said_and_the_pause_goes_on),
		cmocka_unit_test(LC_10_LC_17_calls_that_a_pause_does_not_allow),
		cmocka_unit_test(LC_18_AL_32_a_cancelled_handshake_tells_the_peer),
		cmocka_unit_test(LC_18_a_cancelled_handshake_sends_one_alert_and_ends),
		cmocka_unit_test(LC_18_a_paused_connection_can_just_be_closed),
		cmocka_unit_test(LC_15_a_pause_takes_nothing_from_the_time_budget),
	};

	return cmocka_run_group_tests_name("flow/pause", tests, leaks_setup, leaks_teardown);
}
