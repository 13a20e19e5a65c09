/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that go wrong after the handshake, on both roles, versions and record paths, in one piece and
 * byte by byte: the name, the alert as it is on the wire, nothing after it, and a clean end; and a
 * connection of the same listener that is open meanwhile does not notice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "core/sys.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/witness.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000
#define SENT(name) ALERT_SENT(SLUICE_ALERT_##name)

/* Who is attacked, and under which versions. */
#define V12 1
#define V13 2
#define BOTH (V12 | V13)
#define CLIENTS 1
#define SERVERS 2
#define ANYONE (CLIENTS | SERVERS)

struct attack {
	void (*run)(struct peer *peer);
	int versions, victims;
	int code, alert;
	const char *path; /* only on this one; NULL: on all */
};

static uint8_t record[2 * PEER_MAX_RECORD];

/* --- what a peer can do ------------------------------------------------------------------ */

#define SEND_RECORD(peer, type, bytes) peer_send_record(peer, type, bytes, sizeof(bytes) - 1)
#define SEND_RAW(peer, bytes) peer_send(peer, bytes, sizeof(bytes) - 1)

static void garbage(struct peer *peer)
{
	SEND_RAW(peer, "GET / HTTP/1.1\r\n\r\n");
}

static void old_record_version(struct peer *peer)
{
	size_t len = peer_seal(&peer->tx, RECORD_DATA, "x", 1, 0, record);

	record[2] = 1;
	peer_send(peer, record, len);
}

static void flipped_bit(struct peer *peer)
{
	size_t len = peer_seal(&peer->tx, RECORD_DATA, "secret", 6, 0, record);

	record[len / 2] ^= 4;
	peer_send(peer, record, len);
}

static void flipped_tag(struct peer *peer)
{
	size_t len = peer_seal(&peer->tx, RECORD_DATA, "secret", 6, 0, record);

	record[len - 1] ^= 0x80;
	peer_send(peer, record, len);
}

/* The number of the record before it, and the one after. */
static void repeated_record(struct peer *peer)
{
	peer->tx.seq--;
	SEND_RECORD(peer, RECORD_DATA, "secret");
}

static void skipped_record(struct peer *peer)
{
	peer->tx.seq++;
	SEND_RECORD(peer, RECORD_DATA, "secret");
}

/* The kernel looks at a TLS 1.2 header when the nonce behind it is there, too. */
#define NONCE "12345678"

static void too_short_record(struct peer *peer)
{
	SEND_RAW(peer, "\x17\3\3\0\4abcd" NONCE);
}

static void overlong_header_13(struct peer *peer)
{
	SEND_RAW(peer, "\x17\3\3\x41\1");
}

static void overlong_header_12(struct peer *peer)
{
	SEND_RAW(peer, "\x17\3\3\x48\1" NONCE);
}

static void overlong_plaintext(struct peer *peer)
{
	static const uint8_t zeros[RECORD_MAX_PLAIN + 1];

	peer_send_record(peer, RECORD_DATA, zeros, sizeof(zeros));
}

static void overlong_padding(struct peer *peer)
{
	peer_send(peer, record,
		  peer_seal(&peer->tx, RECORD_DATA, "x", 1, RECORD_MAX_PLAIN, record));
}

static void unknown_type(struct peer *peer)
{
	SEND_RECORD(peer, 99, "x");
}

static void change_cipher_spec(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_CHANGE_CIPHER_SPEC, "\1");
}

static void plain_change_cipher_spec(struct peer *peer)
{
	SEND_RAW(peer, "\x14\3\3\0\1\1");
}

static void plain_alert(struct peer *peer)
{
	SEND_RAW(peer, "\x15\3\3\0\2\2\x28");
}

static void no_type_at_all(struct peer *peer)
{
	/* Nothing but padding: the type itself is zero. */
	peer_send(peer, record, peer_seal(&peer->tx, 0, "\0\0\0", 3, 3, record));
}

static void empty_data_flood(struct peer *peer)
{
	unsigned int i;

	for (i = 0; i <= CONTROL_MAX_EMPTY_RECORDS; i++)
		SEND_RECORD(peer, RECORD_DATA, "");
}

static void empty_alert(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "");
}

static void empty_handshake(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "");
}

static void half_an_alert(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "\2");
	SEND_RECORD(peer, RECORD_ALERT, "\x28");
}

static void warning_flood(struct peer *peer)
{
	unsigned int i;

	for (i = 0; i <= CONTROL_MAX_WARNINGS; i++)
		SEND_RECORD(peer, RECORD_ALERT, "\1\x5a");
}

static void unknown_alert_level(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "\3\x28");
}

static void fatal_alert(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "\2\x50");
}

static void unknown_alert(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "\2\xc8");
}

static void warning_that_is_fatal(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_ALERT, "\1\x31");
}

static void finished(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x14\0\0\x0c............");
}

static void unknown_message(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x63\0\0\0");
}

static void client_hello(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\1\0\0\4abcd");
}

static void hello_request(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\0\0\0\0");
}

static void certificate_request(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x0d\0\0\3\0\0\0");
}

#define TICKET "\4\0\0\x0e\0\0\x1c\x20\1\2\3\4\0\0\1t\0\0"

static void ticket(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, TICKET);
}

static void malformed_ticket(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\4\0\0\x0e\0\0\x1c\x20\1\2\3\4\0\0\7t\0\0");
}

static void endless_message(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\4\xff\xff\xff");
}

static void data_inside_a_message(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\4\0\0\x0e\0\0");
	SEND_RECORD(peer, RECORD_DATA, "x");
}

static void key_update_of_no_kind(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x18\0\0\1\2");
}

static void key_update_too_long(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x18\0\0\2\0\0");
}

static void key_update_and_more(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x18\0\0\1\0\x18\0\0\1\0");
}

static void key_update_of_tls12(struct peer *peer)
{
	SEND_RECORD(peer, RECORD_HANDSHAKE, "\x18\0\0\1\0");
}

/* --- one attack -------------------------------------------------------------------------- */

/* The data that came before what was wrong is there, and then the error, again and again. */
static void expect_error(struct peer *peer, int code)
{
	uint8_t buf[16];
	int i;

	assert_int_equal(sluice_recv_exact(peer->conn, buf, 6, RUN_MS), 6);
	assert_memory_equal(buf, "before", 6);
	for (i = 0; i < 3; i++)
		assert_int_equal(sluice_recv(peer->conn, buf, sizeof(buf), RUN_MS), -code);
	assert_int_equal(sluice_send(peer->conn, "x", 1, RUN_MS), -code);
	assert_int_equal(sluice_conn_events(peer->conn), 0);
}

/* Behind a fatal alert, sent or received, there is nothing (RFC 8446, 6.2). */
static void expect_end(struct peer *peer, int alert)
{
	if (alert >= 0 && alert & 0x100)
		peer_expect_alert(peer, ALERT_LEVEL_FATAL, alert & 0xff);
	peer_skip_handshake(peer);
	assert_int_equal(peer_close_conn(peer), 0);
	peer_expect_end(peer, PEER_FIN, NULL, 0);
}

/* What the library receives on the user path: a byte at a time. */
static ssize_t receive_one_byte(int fd, struct msghdr *msg, int flags)
{
	struct iovec byte = { .iov_base = msg->msg_iov[0].iov_base, .iov_len = 1 };
	struct msghdr one = *msg;
	ssize_t n;

	one.msg_iov = &byte;
	one.msg_iovlen = 1;
	n = sys_real.recvmsg(fd, &one, flags);
	one.msg_iov = msg->msg_iov;
	one.msg_iovlen = msg->msg_iovlen;
	*msg = one;
	return n;
}

static void run_attack(struct pair *pair, const struct attack *attack, enum sluice_role victim,
		       int version, bool by_bytes)
{
	struct sys_ops slow = sys_real;
	struct peer peer;

	peer_open_live(&peer, pair, victim == SLUICE_CLIENT ? SLUICE_SERVER : SLUICE_CLIENT,
		       version == V13 ? TLS13 : TLS12);
	/* On the kernel path a segment is a byte: there the receiver is the kernel. */
	if (by_bytes && check_info(peer.conn).rx.path == SLUICE_PATH_USER)
		slow.recvmsg = receive_one_byte;
	sys = &slow;
	peer.by_bytes = by_bytes;
	SEND_RECORD(&peer, RECORD_DATA, "before");
	attack->run(&peer);
	expect_error(&peer, attack->code);
	check_error(peer.conn, attack->code, attack->alert);
	expect_end(&peer, attack->alert);
	sys = &sys_real;
	peer_close(&peer);
}

static void run_both_ways(struct pair *pair, const struct attack *attack, enum sluice_role victim,
			  int version)
{
	run_attack(pair, attack, victim, version, false);
	run_attack(pair, attack, victim, version, true);
}

static void run_attacks(const struct attack *attacks, size_t n)
{
	static const enum sluice_role victims[] = { SLUICE_CLIENT, SLUICE_SERVER };
	static const int versions[] = { V12, V13 };
	struct pair pair;
	size_t i, v, w;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (i = 0; i < n; i++) {
			for (v = 0; v < 2; v++) {
				for (w = 0; w < 2; w++) {
					if ((attacks[i].versions & versions[v]) &&
					    (attacks[i].victims & victims[w]) &&
					    (!attacks[i].path || !strcmp(attacks[i].path, path)))
						run_both_ways(&pair, &attacks[i], victims[w],
							      versions[v]);
				}
			}
			pair_exchange(&pair, 100);
		}
		witness_close(&pair);
	}
}

#define RUN_ATTACKS(...)                                                \
	do {                                                            \
		static const struct attack attacks[] = { __VA_ARGS__ }; \
		run_attacks(attacks, ARRAY_SIZE(attacks));              \
	} while (0)

#define ATTACK(run, versions, victims, code, alert)            \
	{                                                      \
		run, versions, victims, SLUICE_E_##code, alert \
	}
#define ATTACK_ON(path, run, versions, victims, code, alert)         \
	{                                                            \
		run, versions, victims, SLUICE_E_##code, alert, path \
	}

static void AL_11_AL_14_records_that_do_not_decrypt(void **state)
{
	RUN_ATTACKS(ATTACK(flipped_bit, BOTH, ANYONE, BAD_RECORD_MAC, SENT(BAD_RECORD_MAC)),
		    ATTACK(flipped_tag, BOTH, ANYONE, BAD_RECORD_MAC, SENT(BAD_RECORD_MAC)),
		    ATTACK(repeated_record, BOTH, ANYONE, BAD_RECORD_MAC, SENT(BAD_RECORD_MAC)),
		    ATTACK(skipped_record, BOTH, ANYONE, BAD_RECORD_MAC, SENT(BAD_RECORD_MAC)),
		    ATTACK(too_short_record, BOTH, ANYONE, BAD_RECORD_MAC, SENT(BAD_RECORD_MAC)));
}

static void AL_13_what_is_not_a_record(void **state)
{
	RUN_ATTACKS(ATTACK(garbage, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(old_record_version, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    /* The kernel takes the outer type for what it has to be, and cannot open it. */
		    ATTACK_ON("user", plain_change_cipher_spec, V13, ANYONE, PROTOCOL,
			      SENT(UNEXPECTED_MESSAGE)),
		    ATTACK_ON("kernel", plain_change_cipher_spec, V13, ANYONE, BAD_RECORD_MAC,
			      SENT(BAD_RECORD_MAC)),
		    ATTACK_ON("user", plain_alert, V13, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK_ON("kernel", plain_alert, V13, ANYONE, BAD_RECORD_MAC,
			      SENT(BAD_RECORD_MAC)));
}

static void AL_15_records_that_are_too_long(void **state)
{
	RUN_ATTACKS(ATTACK(overlong_header_13, V13, ANYONE, RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)),
		    ATTACK(overlong_header_12, V12, ANYONE, RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)),
		    ATTACK(overlong_plaintext, BOTH, ANYONE, RECORD_OVERFLOW,
			   SENT(RECORD_OVERFLOW)),
		    ATTACK(overlong_padding, V13, ANYONE, RECORD_OVERFLOW, SENT(RECORD_OVERFLOW)));
}

static void AL_13_records_of_a_type_that_cannot_be(void **state)
{
	RUN_ATTACKS(ATTACK(unknown_type, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(change_cipher_spec, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(empty_alert, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(empty_handshake, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK_ON("user", no_type_at_all, V13, ANYONE, PROTOCOL,
			      SENT(UNEXPECTED_MESSAGE)),
		    /* The kernel joins data, so that an empty record leaves no trace. */
		    ATTACK_ON("user", empty_data_flood, BOTH, ANYONE, PROTOCOL,
			      SENT(UNEXPECTED_MESSAGE)));
}

static void AL_08_AL_10_AL_41_alerts(void **state)
{
	RUN_ATTACKS(ATTACK(fatal_alert, BOTH, ANYONE, ALERT, SLUICE_ALERT_INTERNAL_ERROR),
		    ATTACK(unknown_alert, BOTH, ANYONE, ALERT, 200),
		    ATTACK(warning_that_is_fatal, V13, ANYONE, ALERT, SLUICE_ALERT_ACCESS_DENIED),
		    ATTACK(warning_flood, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(half_an_alert, BOTH, ANYONE, PROTOCOL, SENT(DECODE_ERROR)),
		    ATTACK(unknown_alert_level, V12, ANYONE, PROTOCOL, SENT(ILLEGAL_PARAMETER)));
}

static void AL_13_messages_that_cannot_come_now(void **state)
{
	RUN_ATTACKS(ATTACK(finished, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(unknown_message, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(client_hello, V13, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(client_hello, V12, CLIENTS, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(hello_request, V13, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(hello_request, V12, SERVERS, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(certificate_request, BOTH, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(ticket, V12, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(ticket, V13, SERVERS, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(data_inside_a_message, V13, CLIENTS, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(key_update_and_more, V13, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)),
		    ATTACK(key_update_of_tls12, V12, ANYONE, PROTOCOL, SENT(UNEXPECTED_MESSAGE)));
}

static void AL_22_AL_25_messages_that_are_malformed(void **state)
{
	RUN_ATTACKS(ATTACK(malformed_ticket, V13, CLIENTS, PROTOCOL, SENT(DECODE_ERROR)),
		    ATTACK(endless_message, V13, CLIENTS, PROTOCOL, SENT(DECODE_ERROR)),
		    ATTACK(key_update_too_long, V13, ANYONE, PROTOCOL, SENT(DECODE_ERROR)),
		    ATTACK(key_update_of_no_kind, V13, ANYONE, PROTOCOL, SENT(ILLEGAL_PARAMETER)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AL_11_AL_14_records_that_do_not_decrypt),
		cmocka_unit_test(AL_13_what_is_not_a_record),
		cmocka_unit_test(AL_15_records_that_are_too_long),
		cmocka_unit_test(AL_13_records_of_a_type_that_cannot_be),
		cmocka_unit_test(AL_08_AL_10_AL_41_alerts),
		cmocka_unit_test(AL_13_messages_that_cannot_come_now),
		cmocka_unit_test(AL_22_AL_25_messages_that_are_malformed),
	};

	return cmocka_run_group_tests_name("flow/badpeer_live", tests, leaks_setup, leaks_teardown);
}
