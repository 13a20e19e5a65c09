/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that do not do a handshake: each is refused by name, with the alert that is due on the wire
 * or nothing, a clean end, and in time; and a connection of the same listener that is open
 * meanwhile does not notice. Peers that begin well are in flow/badserver and flow/badpeer_live.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/witness.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define SECOND 1000000ull
#define TIMEOUT_S 10 /* the default of handshake_timeout */

/* --- what comes first -------------------------------------------------------------------- */

/* struct first - the first bytes of a peer, and what becomes of it. */
struct first {
	const char *bytes;
	size_t len;
	enum sluice_role peer;
	int code;
	int alert; /* sent by us, ALERT_RECEIVED(), or NO_ALERT */
};

#define FIRST(bytes, peer, code, alert)                     \
	{                                                   \
		bytes, sizeof(bytes) - 1, peer, code, alert \
	}
#define CLIENT_SAYS(bytes, code, alert) FIRST(bytes, SLUICE_CLIENT, SLUICE_E_##code, alert)
#define SERVER_SAYS(bytes, code, alert) FIRST(bytes, SLUICE_SERVER, SLUICE_E_##code, alert)
#define SENT(name) ALERT_SENT(SLUICE_ALERT_##name)

/* The one record that we answer with: before a version is agreed on it says TLS 1.0. */
static void expect_answer(struct peer *peer, int alert)
{
	const uint8_t record[] = { RECORD_ALERT, 3, 1, 0, 2, ALERT_LEVEL_FATAL, alert & 0xff };
	bool sent = alert >= 0 && (alert & 0x100);

	peer_close_conn(peer);
	peer_expect_end(peer, PEER_FIN, record, sent ? sizeof(record) : 0);
}

/* A client of ours has sent its hello before anything else. */
static void skip_hello(struct peer *peer)
{
	if (peer->role == SLUICE_CLIENT)
		return;
	while (peer_receive(peer) < RECORD_HEADER_LEN ||
	       peer->in_len < RECORD_HEADER_LEN + ((size_t)peer->in[3] << 8 | peer->in[4]))
		peer_dispatch(peer);
	assert_int_equal(peer->in[0], RECORD_HANDSHAKE);
	peer->in_len = 0;
}

static void run_first(struct pair *pair, const struct first *first, bool one_by_one)
{
	struct peer peer;
	size_t i;

	peer_open(&peer, pair, first->peer);
	skip_hello(&peer);
	for (i = 0; one_by_one && i + 1 < first->len && peer.result == -SLUICE_E_AGAIN; i++) {
		peer_send(&peer, first->bytes + i, 1);
		peer_wait(&peer);
		peer_dispatch(&peer);
	}
	if (peer.result == -SLUICE_E_AGAIN)
		peer_send(&peer, first->bytes + i, first->len - i);
	peer_run(&peer);
	check_error(peer.conn, first->code, first->alert);
	assert_int_equal(peer.result, -first->code);
	assert_int_equal(check_info(peer.conn).alerts_sent,
			 first->alert >= 0 && (first->alert & 0x100));
	expect_answer(&peer, first->alert);
	peer_close(&peer);
}

static void run_firsts(const struct first *firsts, size_t n)
{
	struct pair pair;
	size_t i;

	witness_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < n; i++) {
		run_first(&pair, &firsts[i], false);
		run_first(&pair, &firsts[i], true);
		pair_exchange(&pair, 100);
	}
	witness_close(&pair);
}

#define RUN_FIRSTS(...)                                               \
	do {                                                          \
		static const struct first firsts[] = { __VA_ARGS__ }; \
		run_firsts(firsts, ARRAY_SIZE(firsts));               \
	} while (0)

static void plain_http_is_named_and_not_answered(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", HTTP_REQUEST, NO_ALERT),
		   CLIENT_SAYS("POST /form HTTP/1.0\r\n\r\nbody", HTTP_REQUEST, NO_ALERT),
		   CLIENT_SAYS("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HTTP_REQUEST, NO_ALERT));
}

static void AL_13_what_is_not_tls_is_refused(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("SSH-2.0-OpenSSH_9.2\r\n", NOT_TLS, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\0\0\0\0\0\0\0\0", NOT_TLS, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\xff\xff\xff\xff\xff\xff", NOT_TLS, SENT(UNEXPECTED_MESSAGE)),
		   SERVER_SAYS("HTTP/1.1 400 Bad Request\r\n\r\n", NOT_TLS,
			       SENT(UNEXPECTED_MESSAGE)),
		   SERVER_SAYS("220 mail.test ESMTP\r\n", NOT_TLS, SENT(UNEXPECTED_MESSAGE)));
}

static void LC_54_AL_28_version_2_is_refused(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("\x80\x2e\1\0\2\0\x15\0\0\0\x10", UNSUPPORTED_VERSION,
			       SENT(PROTOCOL_VERSION)),
		   CLIENT_SAYS("\x80\x2e\1\3\3\0\x15\0\0\0\x10", UNSUPPORTED_VERSION,
			       SENT(PROTOCOL_VERSION)),
		   CLIENT_SAYS("\x16\2\0\0\4\1\0\0\0", NOT_TLS, SENT(PROTOCOL_VERSION)),
		   SERVER_SAYS("\x16\2\0\0\4\2\0\0\0", NOT_TLS, SENT(PROTOCOL_VERSION)));
}

/* 2^14 + 257 bytes: the header is enough to know it. */
static void AL_15_a_record_that_is_too_long(void **state)
{
	static char whole[RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS13 + 1] = "\x16\3\1\x41\1\1";
	const struct first complete = { whole, sizeof(whole), SLUICE_CLIENT,
					SLUICE_E_RECORD_OVERFLOW, SENT(RECORD_OVERFLOW) };
	struct pair pair;

	RUN_FIRSTS(CLIENT_SAYS("\x16\3\1\x41\1", RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)),
		   SERVER_SAYS("\x16\3\3\x41\1", RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)),
		   CLIENT_SAYS("\x16\3\1\xff\xff", RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)));
	witness_open(&pair, &(struct pair_setup){ 0 });
	run_first(&pair, &complete, false);
	witness_close(&pair);
}

static void AL_13_messages_that_cannot_come_first(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("\x17\3\3\0\5hello", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\x14\3\3\0\1\1", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\x16\3\3\0\4\2\0\0\0", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\x16\3\3\0\4\x14\0\0\0", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS("\x16\3\3\0\4\x63\0\0\0", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   SERVER_SAYS("\x17\3\3\0\5hello", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   SERVER_SAYS("\x16\3\3\0\4\1\0\0\0", PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		   SERVER_SAYS("\x16\3\3\0\4\x0b\0\0\0", PROTOCOL, SENT(UNEXPECTED_MESSAGE)));
}

#define ZEROS_32 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define HELLO_START "\3\3" ZEROS_32 "\0"

static void AL_25_messages_that_cannot_be_parsed(void **state)
{
	RUN_FIRSTS(/* empty; cut; suites of an odd length; no compression method */
		   CLIENT_SAYS("\x16\3\1\0\4\1\0\0\0", PROTOCOL, SENT(DECODE_ERROR)),
		   CLIENT_SAYS("\x16\3\1\0\x06\1\0\0\2\3\3", PROTOCOL, SENT(DECODE_ERROR)),
		   CLIENT_SAYS("\x16\3\1\0\x2e\1\0\0\x2a" HELLO_START "\0\3\x13\1\0\1\0", PROTOCOL,
			       SENT(DECODE_ERROR)),
		   CLIENT_SAYS("\x16\3\1\0\x2c\1\0\0\x28" HELLO_START "\0\2\x13\1\0", PROTOCOL,
			       SENT(DECODE_ERROR)),
		   /* an extension that is longer than the message; one that is there twice */
		   CLIENT_SAYS("\x16\3\1\0\x33\1\0\0\x2f" HELLO_START
			       "\0\2\x13\1\1\0\0\4\0\x0a\0\4",
			       PROTOCOL, SENT(DECODE_ERROR)),
		   CLIENT_SAYS("\x16\3\1\0\x37\1\0\0\x33" HELLO_START
			       "\0\2\x13\1\1\0\0\x08\0\x17\0\0\0\x17\0\0",
			       PROTOCOL, SENT(DECODE_ERROR)),
		   /* a ServerHello of which nothing but the version is there */
		   SERVER_SAYS("\x16\3\3\0\6\2\0\0\2\3\3", PROTOCOL, SENT(DECODE_ERROR)));
}

static void OC_49_a_message_that_is_too_large(void **state)
{
	static char hello[RECORD_HEADER_LEN + 2000] = "\x16\3\1\7\xd0\1\0\7\xcc";
	const struct first large = { hello, sizeof(hello), SLUICE_CLIENT,
				     SLUICE_E_HANDSHAKE_TOO_LARGE, SENT(HANDSHAKE_FAILURE) };
	struct pair pair;

	/* By its own header: 16 KiB from a client that shows no certificate; and by an option. */
	RUN_FIRSTS(CLIENT_SAYS("\x16\3\1\0\4\1\xff\xff\xff", HANDSHAKE_TOO_LARGE,
			       SENT(ILLEGAL_PARAMETER)),
		   CLIENT_SAYS("\x16\3\1\0\4\1\0\x40\1", HANDSHAKE_TOO_LARGE,
			       SENT(ILLEGAL_PARAMETER)));
	witness_open(&pair,
		     &(struct pair_setup){ .server_options = "max_handshake_size = 1500\n" });
	run_first(&pair, &large, false);
	witness_close(&pair);
}

static void AL_08_AL_27_an_alert_comes_first(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("\x15\3\1\0\2\2\x28", ALERT, SLUICE_ALERT_HANDSHAKE_FAILURE),
		   CLIENT_SAYS("\x15\3\1\0\2\2\x3c", ALERT, SLUICE_ALERT_EXPORT_RESTRICTION),
		   SERVER_SAYS("\x15\3\3\0\2\2\x28", ALERT, SLUICE_ALERT_HANDSHAKE_FAILURE),
		   SERVER_SAYS("\x15\3\3\0\2\2\x46", ALERT, SLUICE_ALERT_PROTOCOL_VERSION),
		   SERVER_SAYS("\x15\3\3\0\2\2\x70", ALERT, SLUICE_ALERT_UNRECOGNIZED_NAME),
		   SERVER_SAYS("\x15\3\3\0\2\2\xfe", ALERT, 254));
}

static void AL_05_a_closure_alert_comes_first(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS("\x15\3\1\0\2\1\0", CLOSED, NO_ALERT),
		   SERVER_SAYS("\x15\3\3\0\2\1\0", CLOSED, NO_ALERT));
}

#define WARNING "\x15\3\1\0\2\1\x5a"
#define EMPTY "\x16\3\1\0\0"
#define TEN(x) x x x x x x x x x x

static void AL_10_AL_13_floods_before_the_handshake(void **state)
{
	RUN_FIRSTS(CLIENT_SAYS(WARNING WARNING WARNING WARNING WARNING, PROTOCOL,
			       SENT(UNEXPECTED_MESSAGE)),
		   CLIENT_SAYS(TEN(EMPTY) TEN(EMPTY) TEN(EMPTY) TEN(EMPTY), PROTOCOL,
			       SENT(UNEXPECTED_MESSAGE)));
}

/* --- peers that stop ---------------------------------------------------------------------- */

/* Half a record, half a header, half a hello, nothing. */
static const struct {
	const char *bytes;
	size_t len;
} halves[] = {
	{ "", 0 },
	{ "\x16", 1 },
	{ "\x16\3\1\0", 4 },
	{ "\x16\3\1\0\x2c", 5 },
	{ "\x16\3\1\0\x2c\1\0\0\x28\3\3", 11 },
	{ "\x16\3\1\0\x05\1\0\0\x28\3", 10 },
};

static void AL_06_silence_ends_when_the_time_is_up(void **state)
{
	struct pair pair;
	struct peer peer;
	size_t i;

	fault_install();
	witness_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(halves); i++) {
		peer_open(&peer, &pair, SLUICE_CLIENT);
		peer_send(&peer, halves[i].bytes, halves[i].len);
		if (halves[i].len)
			peer_wait(&peer);
		assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN);
		fault_advance_us((TIMEOUT_S - 1) * SECOND);
		assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN);
		assert_in_range(sluice_conn_timeout(peer.conn), 1, 1000);
		fault_advance_us(SECOND);
		assert_int_equal(sluice_conn_timeout(peer.conn), 0);
		assert_int_equal(peer_dispatch(&peer), -SLUICE_E_HANDSHAKE_TIMEOUT);
		check_error(peer.conn, SLUICE_E_HANDSHAKE_TIMEOUT, NO_ALERT);
		expect_answer(&peer, NO_ALERT);
		peer_close(&peer);
		pair_exchange(&pair, 100);
	}
	witness_close(&pair);
	fault_uninstall();
}

/* Each byte is in time; all of them together are not. */
static void AL_06_one_byte_a_second_is_too_slow(void **state)
{
	struct pair pair;
	struct peer peer;
	const uint8_t *hello;
	size_t len, i;

	fault_install();
	witness_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	peer_step(&peer);
	hello = peer_output(&peer, &len);
	assert_true(len > TIMEOUT_S);
	for (i = 0; i < len && peer_dispatch(&peer) == -SLUICE_E_AGAIN; i++) {
		peer_send(&peer, hello + i, 1);
		peer_wait(&peer);
		fault_advance_us(SECOND);
	}
	assert_int_equal(i, TIMEOUT_S);
	check_error(peer.conn, SLUICE_E_HANDSHAKE_TIMEOUT, NO_ALERT);
	expect_answer(&peer, NO_ALERT);
	peer_close(&peer);
	witness_close(&pair);
	fault_uninstall();
}

static void AL_05_the_end_in_the_middle_is_a_truncation(void **state)
{
	struct pair pair;
	struct peer peer;
	size_t i;

	witness_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(halves); i++) {
		peer_open(&peer, &pair, SLUICE_CLIENT);
		peer_send(&peer, halves[i].bytes, halves[i].len);
		peer_fin(&peer);
		assert_int_equal(peer_run(&peer), -SLUICE_E_TRUNCATED);
		check_error(peer.conn, SLUICE_E_TRUNCATED, NO_ALERT);
		expect_answer(&peer, NO_ALERT);
		peer_close(&peer);
		pair_exchange(&pair, 100);
	}
	witness_close(&pair);
}

static void AL_07_a_reset_in_the_middle_is_a_reset(void **state)
{
	struct sluice_error err;
	struct pair pair;
	struct peer peer;
	size_t i;

	witness_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(halves); i++) {
		peer_open(&peer, &pair, SLUICE_CLIENT);
		peer_send(&peer, halves[i].bytes, halves[i].len);
		peer_reset(&peer);
		assert_int_equal(peer_run(&peer), -SLUICE_E_RESET);
		check_error(peer.conn, SLUICE_E_RESET, NO_ALERT);
		sluice_conn_error(peer.conn, &err, sizeof(err));
		assert_int_not_equal(err.sys_errno, 0);
		peer_close(&peer);
		pair_exchange(&pair, 100);
	}
	witness_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_http_is_named_and_not_answered),
		cmocka_unit_test(AL_13_what_is_not_tls_is_refused),
		cmocka_unit_test(LC_54_AL_28_version_2_is_refused),
		cmocka_unit_test(AL_15_a_record_that_is_too_long),
		cmocka_unit_test(AL_13_messages_that_cannot_come_first),
		cmocka_unit_test(AL_25_messages_that_cannot_be_parsed),
		cmocka_unit_test(OC_49_a_message_that_is_too_large),
		cmocka_unit_test(AL_08_AL_27_an_alert_comes_first),
		cmocka_unit_test(AL_05_a_closure_alert_comes_first),
		cmocka_unit_test(AL_10_AL_13_floods_before_the_handshake),
		cmocka_unit_test(AL_06_silence_ends_when_the_time_is_up),
		cmocka_unit_test(AL_06_one_byte_a_second_is_too_slow),
		cmocka_unit_test(AL_05_the_end_in_the_middle_is_a_truncation),
		cmocka_unit_test(AL_07_a_reset_in_the_middle_is_a_reset),
	};

	return cmocka_run_group_tests_name("flow/badpeer", tests, leaks_setup, leaks_teardown);
}
