/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an established connection survives, and how it ends: renegotiation that is declined, warnings
 * and empty records, close_notify, and ends without it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

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

static uint8_t record[PEER_MAX_RECORD];

#define SEND_RECORD(peer, type, bytes) peer_send_record(peer, type, bytes, sizeof(bytes) - 1)

/* --- what a connection survives ----------------------------------------------------------- */

/* RFC 5246, 7.4.1.2: the smallest there is. */
static void client_hello(struct peer *peer)
{
	static const uint8_t hello[4 + 41] = { 1, 0, 0, 41, 3, 3, [4 + 36] = 2, 0xc0, 0x2b, 1 };

	peer_send_record(peer, RECORD_HANDSHAKE, hello, sizeof(hello));
}

static void KY_06_AL_33_renegotiation_is_declined_and_data_go_on(void **state)
{
	static const enum sluice_role victims[] = { SLUICE_CLIENT, SLUICE_SERVER };
	struct pair pair;
	struct peer peer;
	char buf[16];
	size_t i, n;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (i = 0; i < ARRAY_SIZE(victims); i++) {
			bool client = victims[i] == SLUICE_CLIENT;

			peer_open_live(&peer, &pair, client ? SLUICE_SERVER : SLUICE_CLIENT, TLS12);
			for (n = 0; n < 100; n++) {
				if (client)
					SEND_RECORD(&peer, RECORD_HANDSHAKE, "\0\0\0\0");
				else
					client_hello(&peer);
				SEND_RECORD(&peer, RECORD_DATA, "data");
				assert_int_equal(sluice_recv_exact(peer.conn, buf, 4, RUN_MS), 4);
				assert_memory_equal(buf, "data", 4);
				peer_expect_alert(&peer, ALERT_LEVEL_WARNING,
						  SLUICE_ALERT_NO_RENEGOTIATION);
			}
			assert_int_equal(check_info(peer.conn).alerts_sent, 100);
			peer_close(&peer);
		}
		witness_close(&pair);
	}
}

/* And who wants one of us cannot have it, and loses nothing by asking. */
static void KY_04_KY_05_none_of_our_own(void **state)
{
	static const char *const versions[] = { "tlsv1.2", "tlsv1.3" };
	struct sluice_error err;
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(versions); i++) {
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[i] });
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(sluice_renegotiate(pair.client),
					 -SLUICE_E_UNSUPPORTED_RENEGOTIATION);
			assert_int_equal(sluice_renegotiate(pair.server),
					 -SLUICE_E_UNSUPPORTED_RENEGOTIATION);
			pair_exchange(&pair, 40000);
			assert_int_equal(sluice_conn_error(pair.client, &err, sizeof(err)), 0);
			assert_int_equal(err.code, 0);
			pair_close(&pair);
		}
	}
	assert_non_null(
		strstr(sluice_strerror(SLUICE_E_UNSUPPORTED_RENEGOTIATION), "sluice_update_keys"));
}

/* Fewer than would be a flood: they mean nothing, and the data around them are whole. */
static void AL_10_a_few_warnings_and_empty_records_change_nothing(void **state)
{
	static const uint16_t versions[] = { TLS12, TLS13 };
	struct pair pair;
	struct peer peer;
	char buf[16];
	size_t v, n;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			peer_open_live(&peer, &pair, SLUICE_CLIENT, versions[v]);
			for (n = 0; n < 20; n++) {
				SEND_RECORD(&peer, RECORD_DATA, "da");
				SEND_RECORD(&peer, RECORD_DATA, "");
				SEND_RECORD(&peer, RECORD_ALERT, "\1\x5a");
				SEND_RECORD(&peer, RECORD_DATA, "ta");
				assert_int_equal(sluice_recv_exact(peer.conn, buf, 4, RUN_MS), 4);
				assert_memory_equal(buf, "data", 4);
			}
			assert_int_equal(check_info(peer.conn).alerts_received, 20);
			peer_close(&peer);
		}
		witness_close(&pair);
	}
}

/* --- the end ----------------------------------------------------------------------------- */

enum ending {
	END_CLOSE_NOTIFY,
	END_CLOSE_NOTIFY_AND_MORE,
	END_FIN,
	END_FIN_IN_A_RECORD,
	END_RST,
	ENDINGS
};

static int run_ending(struct peer *peer, enum ending ending)
{
	size_t len;

	switch (ending) {
	case END_CLOSE_NOTIFY:
	case END_CLOSE_NOTIFY_AND_MORE:
		SEND_RECORD(peer, RECORD_ALERT, "\1\0");
		if (ending == END_CLOSE_NOTIFY_AND_MORE)
			SEND_RECORD(peer, RECORD_DATA, "more");
		peer_fin(peer);
		return SLUICE_E_CLOSED;
	case END_FIN_IN_A_RECORD:
		len = peer_seal(&peer->tx, RECORD_DATA, "secret", 6, 0, record);
		peer_send(peer, record, len - 1);
		/* fall through */
	case END_FIN:
		peer_fin(peer);
		return SLUICE_E_TRUNCATED;
	case END_RST:
		peer_reset(peer);
		return SLUICE_E_RESET;
	case ENDINGS:
		break;
	}
	return 0;
}

static void AL_05_AL_12_how_a_stream_ends(void **state)
{
	static const uint16_t versions[] = { TLS12, TLS13 };
	unsigned int ending;
	struct pair pair;
	struct peer peer;
	uint8_t buf[16];
	int code, i;
	size_t v;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			for (ending = 0; ending < ENDINGS; ending++) {
				peer_open_live(&peer, &pair, SLUICE_CLIENT, versions[v]);
				SEND_RECORD(&peer, RECORD_DATA, "before");
				if (ending != END_RST) {
					code = run_ending(&peer, ending);
					assert_int_equal(
						sluice_recv_exact(peer.conn, buf, 6, RUN_MS), 6);
				} else {
					/* A reset may overtake what came before it. */
					assert_int_equal(
						sluice_recv_exact(peer.conn, buf, 6, RUN_MS), 6);
					code = run_ending(&peer, ending);
				}
				for (i = 0; i < 3; i++)
					assert_int_equal(sluice_recv(peer.conn, buf, sizeof(buf),
								     RUN_MS),
							 -code);
				if (code != SLUICE_E_CLOSED)
					check_error(peer.conn, code, NO_ALERT);
				peer_close(&peer);
				pair_exchange(&pair, 100);
			}
		}
		witness_close(&pair);
	}
}

/* The peer has ended its data, not ours (RFC 8446, 6.1). */
static void AL_12_we_can_send_after_the_peers_close_notify(void **state)
{
	static const uint16_t versions[] = { TLS12, TLS13 };
	uint8_t out[RECORD_MAX_PLAIN], type, byte;
	struct pair pair;
	struct peer peer;
	size_t v;

	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			peer_open_live(&peer, &pair, SLUICE_CLIENT, versions[v]);
			SEND_RECORD(&peer, RECORD_ALERT, "\1\0");
			assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS),
					 -SLUICE_E_CLOSED);
			assert_int_equal(sluice_send(peer.conn, "answer", 6, RUN_MS), 6);
			assert_int_equal(peer_close_conn(&peer), 0);
			peer_skip_handshake(&peer);
			assert_int_equal(peer_next_record(&peer, &type, out), 6);
			assert_int_equal(type, RECORD_DATA);
			assert_memory_equal(out, "answer", 6);
			peer_expect_alert(&peer, ALERT_LEVEL_WARNING, SLUICE_ALERT_CLOSE_NOTIFY);
			peer_expect_end(&peer, PEER_FIN, NULL, 0);
			peer_close(&peer);
		}
		witness_close(&pair);
	}
}

/* Sending to a peer that is gone is an error of this connection, and no signal to the process. */
static void LC_35_a_peer_that_is_gone_raises_no_signal(void **state)
{
	static const uint8_t bytes[RECORD_MAX_PLAIN];
	const char *path_of_file = certs_file("bytes", bytes, sizeof(bytes));
	int file_fd = open(path_of_file, O_RDONLY | O_CLOEXEC);
	struct pair pair;
	struct peer peer;
	off_t offset;
	ssize_t n;
	int files;

	assert_true(file_fd >= 0);
	PAIR_FOR_EACH_PATH(path)
	{
		witness_open(&pair, &(struct pair_setup){ .path = path });
		for (files = 0; files < 2; files++) {
			peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
			peer_reset(&peer);
			/* The first one learns it, the next ones find a broken pipe. */
			do {
				offset = 0;
				n = files ? sluice_sendfile(peer.conn, file_fd, &offset,
							    sizeof(bytes), RUN_MS)
					  : sluice_send(peer.conn, bytes, sizeof(bytes), RUN_MS);
			} while (n > 0);
			assert_int_equal(n, -SLUICE_E_RESET);
			offset = 0;
			assert_int_equal(sluice_sendfile(peer.conn, file_fd, &offset, 1, RUN_MS),
					 -SLUICE_E_RESET);
			peer_close(&peer);
		}
		witness_close(&pair);
	}
	close(file_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(KY_06_AL_33_renegotiation_is_declined_and_data_go_on),
		cmocka_unit_test(KY_04_KY_05_none_of_our_own),
		cmocka_unit_test(AL_10_a_few_warnings_and_empty_records_change_nothing),
		cmocka_unit_test(AL_05_AL_12_how_a_stream_ends),
		cmocka_unit_test(AL_12_we_can_send_after_the_peers_close_notify),
		cmocka_unit_test(LC_35_a_peer_that_is_gone_raises_no_signal),
	};

	return cmocka_run_group_tests_name("flow/endings", tests, leaks_setup, leaks_teardown);
}
