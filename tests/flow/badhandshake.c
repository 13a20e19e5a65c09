/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that begin well: a real handshake in which a message is changed, a record is broken, or the
 * connection ends at some step. What they get is a name, the alert that is due, and nothing that
 * another connection would notice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/witness.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define SENT(name) ALERT_SENT(SLUICE_ALERT_##name)

static const uint16_t versions[] = { TLS13, TLS12 };
static const enum sluice_role roles[] = { SLUICE_CLIENT, SLUICE_SERVER };

#define FOR_EACH_VERSION(version)                              \
	for (size_t version_i = 0; version_i < 2; version_i++) \
		for (uint16_t version = versions[version_i]; version; version = 0)

/* --- messages of a flight in plain text -------------------------------------------------- */

enum message {
	SERVER_HELLO = 2,
	SERVER_KEY_EXCHANGE = 12,
};

/* Finds handshake message @type among the records at @flight; the header is part of it. */
static uint8_t *find_message(uint8_t *flight, size_t len, uint8_t type, size_t *ret_len)
{
	uint8_t *record, *message, *end;

	for (record = flight; record + RECORD_HEADER_LEN < flight + len; record = end) {
		message = record + RECORD_HEADER_LEN;
		end = message + (record[3] << 8 | record[4]);
		assert_int_equal(record[0], RECORD_HANDSHAKE);
		while (message + 4 <= end) {
			*ret_len = 4 + (message[1] << 16 | message[2] << 8 | message[3]);
			if (message[0] == type)
				return message;
			message += *ret_len;
		}
	}
	fail_msg("message %u is not there", type);
	return NULL;
}

/*
 * A server whose first flight is changed by @change (which returns its new length) before it goes
 * out; our client has to refuse it.
 */
static void run_changed(struct pair *pair, uint16_t version,
			size_t (*change)(uint8_t *flight, size_t len), int code, int alert)
{
	static uint8_t flight[PEER_BUFFER];
	const uint8_t *output;
	struct peer peer;
	size_t len;

	peer_open(&peer, pair, SLUICE_SERVER);
	peer_ssl(&peer, version, NULL);
	do {
		peer_dispatch(&peer);
		peer_step(&peer);
		output = peer_output(&peer, &len);
	} while (!len);
	memcpy(flight, output, len);
	len = change(flight, len);
	peer_send(&peer, flight, len);
	assert_int_equal(peer_run(&peer), -code);
	check_error(peer.conn, code, alert);
	peer_close(&peer);
	pair_exchange(pair, 100);
}

static void expect_changed(uint16_t version, size_t (*change)(uint8_t *flight, size_t len),
			   int code, int alert)
{
	struct pair pair;

	witness_open(&pair, &(struct pair_setup){ 0 });
	run_changed(&pair, version, change, code, alert);
	witness_close(&pair);
}

/* RFC 8446, 4.1.3: where things are in a ServerHello, header included. */
#define AT_VERSION 4
#define AT_RANDOM 6
#define AT_SESSION_ID 38

static uint8_t *suite_of(uint8_t *hello)
{
	return hello + AT_SESSION_ID + 1 + hello[AT_SESSION_ID];
}

static size_t unoffered_suite(uint8_t *flight, size_t len)
{
	size_t hello_len;
	uint8_t *hello = find_message(flight, len, SERVER_HELLO, &hello_len);

	memcpy(suite_of(hello), "\xc0\x13", 2); /* TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA */
	return len;
}

static size_t compression(uint8_t *flight, size_t len)
{
	size_t hello_len;
	uint8_t *hello = find_message(flight, len, SERVER_HELLO, &hello_len);

	suite_of(hello)[2] = 1;
	return len;
}

static void AL_22_an_answer_that_contradicts_the_offer(void **state)
{
	FOR_EACH_VERSION(version)
	expect_changed(version, unoffered_suite, SLUICE_E_PROTOCOL, SENT(ILLEGAL_PARAMETER));
	expect_changed(TLS12, compression, SLUICE_E_PROTOCOL, SENT(ILLEGAL_PARAMETER));
}

/* RFC 8446, 4.1.3: a server that could have spoken TLS 1.3 marks its random when it does not. */
static size_t downgrade_mark(uint8_t *flight, size_t len)
{
	size_t hello_len;
	uint8_t *hello = find_message(flight, len, SERVER_HELLO, &hello_len);

	memcpy(hello + AT_RANDOM + 24, "DOWNGRD\1", 8);
	return len;
}

static void AL_22_a_downgrade_is_noticed(void **state)
{
	expect_changed(TLS12, downgrade_mark, SLUICE_E_PROTOCOL, SENT(ILLEGAL_PARAMETER));
}

static size_t version_1_1(uint8_t *flight, size_t len)
{
	size_t hello_len;
	uint8_t *hello = find_message(flight, len, SERVER_HELLO, &hello_len);

	hello[AT_VERSION + 1] = 2;
	return len;
}

static void AL_28_an_old_version_is_refused(void **state)
{
	expect_changed(TLS12, version_1_1, SLUICE_E_NO_SHARED, SENT(PROTOCOL_VERSION));
}

/* Appends an extension that no client of ours has asked for. */
static size_t unsolicited_extension(uint8_t *flight, size_t len)
{
	static const uint8_t extension[] = { 0xfa, 0xce, 0, 0 };
	size_t hello_len, at, extensions_len;
	uint8_t *hello = find_message(flight, len, SERVER_HELLO, &hello_len), *extensions;

	extensions = suite_of(hello) + 3;
	extensions_len = (extensions[0] << 8 | extensions[1]) + sizeof(extension);
	extensions[0] = extensions_len >> 8;
	extensions[1] = extensions_len;
	at = hello + hello_len - flight;
	memmove(flight + at + sizeof(extension), flight + at, len - at);
	memcpy(flight + at, extension, sizeof(extension));
	hello[2] = (hello_len - 4 + sizeof(extension)) >> 8;
	hello[3] = hello_len - 4 + sizeof(extension);
	at = (flight[3] << 8 | flight[4]) + sizeof(extension);
	flight[3] = at >> 8;
	flight[4] = at;
	return len + sizeof(extension);
}

static void AL_34_an_extension_that_was_not_offered(void **state)
{
	FOR_EACH_VERSION(version)
	expect_changed(version, unsolicited_extension, SLUICE_E_PROTOCOL,
		       SENT(UNSUPPORTED_EXTENSION));
}

/* TLS 1.2 signs in plain text. */
static size_t wrong_signature(uint8_t *flight, size_t len)
{
	size_t message_len;
	uint8_t *message = find_message(flight, len, SERVER_KEY_EXCHANGE, &message_len);

	message[message_len - 1] ^= 1;
	return len;
}

static void AL_26_a_signature_that_does_not_verify(void **state)
{
	expect_changed(TLS12, wrong_signature, SLUICE_E_PROTOCOL, SENT(DECRYPT_ERROR));
}

/* TLS 1.3: what follows the ServerHello is encrypted. */
static size_t broken_record(uint8_t *flight, size_t len)
{
	flight[len - 1] ^= 1;
	return len;
}

static void AL_14_a_record_of_the_flight_is_broken(void **state)
{
	expect_changed(TLS13, broken_record, SLUICE_E_BAD_RECORD_MAC, SENT(BAD_RECORD_MAC));
}

/* --- a client's part --------------------------------------------------------------------- */

static void AL_14_a_finished_that_is_broken(void **state)
{
	static uint8_t flight[PEER_BUFFER];
	const uint8_t *output;
	struct pair pair;
	struct peer peer;
	size_t len;

	FOR_EACH_VERSION(version)
	{
		witness_open(&pair, &(struct pair_setup){ 0 });
		peer_open(&peer, &pair, SLUICE_CLIENT);
		peer_ssl(&peer, version, NULL);
		/* The hello is one flight; the second ends with the Finished. */
		peer_step(&peer);
		peer_flush(&peer);
		do {
			peer_dispatch(&peer);
			peer_step(&peer);
			output = peer_output(&peer, &len);
		} while (!len);
		memcpy(flight, output, len);
		flight[len - 1] ^= 1;
		peer_send(&peer, flight, len);
		assert_int_equal(peer_run(&peer), -SLUICE_E_BAD_RECORD_MAC);
		check_error(peer.conn, SLUICE_E_BAD_RECORD_MAC, SENT(BAD_RECORD_MAC));
		peer_close(&peer);
		witness_close(&pair);
	}
}

/* --- a server's part --------------------------------------------------------------------- */

/* The flight but for its last record: TLS 1.2 ends it with the Finished, alone in its record. */
static size_t without_finished(const uint8_t *flight, size_t len)
{
	size_t at = 0, record_len = 0;

	while (at + record_len < len) {
		at += record_len;
		record_len = RECORD_HEADER_LEN + ((size_t)flight[at + 3] << 8 | flight[at + 4]);
	}
	return at;
}

/* The record is in order, and what it says is not: nobody saw this handshake (RFC 5246, 7.4.9). */
static void AL_26_a_finished_that_does_not_verify(void **state)
{
	static const uint8_t finished[4 + 12] = { 20, 0, 0, 12 };
	static uint8_t flight[PEER_BUFFER];
	const uint8_t *output;
	struct pair pair;
	struct peer peer;
	size_t len;

	witness_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_SERVER);
	peer_ssl(&peer, TLS12, NULL);
	peer_until(&peer, peer_is_done);
	output = peer_output(&peer, &len);
	len = without_finished(output, len);
	memcpy(flight, output, len);
	peer_take_keys(&peer);
	peer.tx.seq = 0;
	peer_send(&peer, flight, len);
	peer_send_record(&peer, RECORD_HANDSHAKE, finished, sizeof(finished));
	assert_int_equal(peer_run(&peer), -SLUICE_E_PROTOCOL);
	check_error(peer.conn, SLUICE_E_PROTOCOL, SENT(DECRYPT_ERROR));
	peer_close(&peer);
	witness_close(&pair);
}

static SSL_SESSION *newest;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(newest);
	newest = session;
	return 1;
}

/* RFC 8446, 4.2.11.2: the binder is the last thing in a ClientHello. */
static void AL_26_a_binder_that_does_not_verify(void **state)
{
	static uint8_t hello[PEER_BUFFER];
	const uint8_t *output;
	struct pair pair;
	struct peer peer;
	SSL_CTX *ctx;
	size_t len;

	witness_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	SSL_CTX_set_session_cache_mode(peer.ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(peer.ctx, on_session);
	peer_handshake(&peer);
	while (!newest)
		peer_step(&peer);
	ctx = peer.ctx;
	SSL_CTX_up_ref(ctx);
	peer_close(&peer);

	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl_again(&peer, ctx);
	assert_int_equal(SSL_set_session(peer.ssl, newest), 1);
	peer_step(&peer);
	output = peer_output(&peer, &len);
	memcpy(hello, output, len);
	hello[len - 1] ^= 1;
	peer_send(&peer, hello, len);
	assert_int_equal(peer_run(&peer), -SLUICE_E_PROTOCOL);
	check_error(peer.conn, SLUICE_E_PROTOCOL, SENT(DECRYPT_ERROR));
	peer_close(&peer);
	SSL_SESSION_free(newest);
	newest = NULL;
	witness_close(&pair);
}

/* --- the end at every step ---------------------------------------------------------------- */

enum ending { END_FIN, END_RST, ENDINGS };

/*
 * Runs a handshake in which the peer stops after @step of its flights, with @cut bytes of the next
 * one sent. Returns false when there is no such step.
 */
static bool stop_at(struct pair *pair, enum sluice_role role, uint16_t version, unsigned int step,
		    bool half, enum ending ending)
{
	const uint8_t *output;
	struct peer peer;
	bool stopped;
	size_t len;

	peer_open(&peer, pair, role);
	peer_ssl(&peer, version, NULL);
	for (;;) {
		peer_dispatch(&peer);
		peer_step(&peer);
		output = peer_output(&peer, &len);
		if (peer.ssl_done && !len && peer.result == 0)
			break;
		if (len && !step--)
			break;
		if (len)
			peer_flush(&peer);
	}
	stopped = peer.result == -SLUICE_E_AGAIN;
	if (stopped) {
		if (half)
			peer_send(&peer, output, len / 2);
		if (ending == END_FIN)
			peer_fin(&peer);
		else
			peer_reset(&peer);
		peer_run(&peer);
		if (ending == END_FIN || peer.result != -SLUICE_E_RESET)
			assert_int_equal(peer.result, -SLUICE_E_TRUNCATED);
		if (ending == END_RST)
			assert_int_equal(peer.result, -SLUICE_E_RESET);
		check_error(peer.conn, -peer.result, NO_ALERT);
	}
	peer_close(&peer);
	return stopped;
}

static void AL_05_AL_07_the_end_at_every_step_of_a_handshake(void **state)
{
	unsigned int step, ending, half;
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		FOR_EACH_VERSION(version)
		{
			for (i = 0; i < ARRAY_SIZE(roles); i++) {
				for (step = 0; step < 8; step++) {
					bool any = false;

					for (ending = 0; ending < ENDINGS; ending++)
						for (half = 0; half < 2; half++)
							any |= stop_at(&pair, roles[i], version,
								       step, half, ending);
					if (!any)
						break;
				}
				/* Hello and Finished of a client; one flight of a 1.3 server. */
				assert_int_equal(step, roles[i] == SLUICE_SERVER && version == TLS13
							       ? 1
							       : 2);
			}
		}
		witness_close(&pair);
	}
}

/*
 * The client's last flight and its end are both there before the server looks: the handshake is
 * whole, and so is what came with it.
 */
static void LC_12_AL_05_the_end_behind_the_finished(void **state)
{
	static const uint8_t close_notify[] = { ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY };
	struct pair pair;
	struct peer peer;
	uint8_t buf[16];
	bool closes;

	PAIR_FOR_EACH_PATH(path)
	{
		for (closes = false;; closes = true) {
			witness_open(&pair, &(struct pair_setup){ .path = path });
			peer_open(&peer, &pair, SLUICE_CLIENT);
			peer_ssl(&peer, TLS13, NULL);
			peer_until(&peer, peer_is_done);
			peer_flush(&peer);
			peer_take_keys(&peer);
			if (closes) {
				peer_send_record(&peer, RECORD_DATA, "last words", 10);
				peer_send_record(&peer, RECORD_ALERT, close_notify, 2);
			}
			peer_fin(&peer);
			assert_int_equal(peer_run(&peer), 0);
			assert_string_equal(sluice_path_name(check_info(peer.conn).rx.path), path);
			if (closes) {
				assert_int_equal(sluice_recv_exact(peer.conn, buf, 10, RUN_MS), 10);
				assert_memory_equal(buf, "last words", 10);
			}
			assert_int_equal(sluice_recv(peer.conn, buf, 1, RUN_MS),
					 closes ? -SLUICE_E_CLOSED : -SLUICE_E_TRUNCATED);
			peer_close(&peer);
			witness_close(&pair);
			if (closes)
				break;
		}
	}
}

/* TLS 1.2: the server's Finished answers the client's, so the client's end comes in between. */
static void LC_12_AL_05_the_end_between_the_finisheds(void **state)
{
	struct pair pair;
	struct peer peer;
	const uint8_t *output;
	uint8_t byte;
	size_t len;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		peer_open(&peer, &pair, SLUICE_CLIENT);
		peer_ssl(&peer, TLS12, NULL);
		peer_step(&peer);
		peer_flush(&peer);
		do {
			peer_dispatch(&peer);
			peer_step(&peer);
			output = peer_output(&peer, &len);
		} while (!len);
		peer_send(&peer, output, len);
		peer_fin(&peer);
		assert_int_equal(peer_run(&peer), 0);
		assert_string_equal(sluice_path_name(check_info(peer.conn).rx.path), path);
		assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_TRUNCATED);
		peer_close(&peer);
		witness_close(&pair);
	}
}

/* RFC 6066, 3: a server that does not know the name may say so and go on. It is not the reason. */
static void AL_10_a_warning_is_not_the_reason_of_what_follows(void **state)
{
	static const uint8_t warning[] = {
		RECORD_ALERT, 3, 3, 0, 2, ALERT_LEVEL_WARNING, SLUICE_ALERT_UNRECOGNIZED_NAME
	};
	struct pair pair;
	struct peer peer;

	witness_open(&pair, &(struct pair_setup){ .versions = "tlsv1.2" });
	peer_open(&peer, &pair, SLUICE_SERVER);
	peer_ssl(&peer, TLS12, NULL);
	peer_send(&peer, warning, sizeof(warning));
	peer_handshake(&peer);
	assert_int_equal(peer.result, 0);
	assert_int_equal(check_info(peer.conn).alerts_received, 1);
	peer_close(&peer);

	peer_open(&peer, &pair, SLUICE_SERVER);
	peer_send(&peer, warning, sizeof(warning));
	peer_fin(&peer);
	assert_int_equal(peer_run(&peer), -SLUICE_E_TRUNCATED);
	check_error(peer.conn, SLUICE_E_TRUNCATED, NO_ALERT);
	peer_close(&peer);
	witness_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AL_22_an_answer_that_contradicts_the_offer),
		cmocka_unit_test(AL_22_a_downgrade_is_noticed),
		cmocka_unit_test(AL_28_an_old_version_is_refused),
		cmocka_unit_test(AL_34_an_extension_that_was_not_offered),
		cmocka_unit_test(AL_26_a_signature_that_does_not_verify),
		cmocka_unit_test(AL_14_a_record_of_the_flight_is_broken),
		cmocka_unit_test(AL_14_a_finished_that_is_broken),
		cmocka_unit_test(AL_26_a_finished_that_does_not_verify),
		cmocka_unit_test(AL_26_a_binder_that_does_not_verify),
		cmocka_unit_test(AL_05_AL_07_the_end_at_every_step_of_a_handshake),
		cmocka_unit_test(LC_12_AL_05_the_end_behind_the_finished),
		cmocka_unit_test(LC_12_AL_05_the_end_between_the_finisheds),
		cmocka_unit_test(AL_10_a_warning_is_not_the_reason_of_what_follows),
	};

	return cmocka_run_group_tests_name("flow/badhandshake", tests, leaks_setup, leaks_teardown);
}
