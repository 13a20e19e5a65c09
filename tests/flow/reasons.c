/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reason that is told is the one that ended the connection: not what failed after it, not what
 * ended one direction before it; and an alert is said to be sent where one was.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sys.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/tcp.h"

#define RUN_MS 20000

/* A Finished after the handshake: unexpected_message. */
static const uint8_t finished[4] = { 20, 0, 0, 0 };

static void a_reset_behind_it_does_not_hide_what_was_wrong(void **state)
{
	struct sluice_error err;
	struct peer peer;
	struct pair pair;
	uint8_t byte;

	pair_open(&pair, &(struct pair_setup){ .path = "user" });
	peer_open_live(&peer, &pair, SLUICE_SERVER, TLS13);
	peer_send_record(&peer, RECORD_HANDSHAKE, finished, sizeof(finished));
	peer_reset(&peer);
	assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_PROTOCOL);
	assert_int_equal(sluice_conn_error(peer.conn, &err, sizeof(err)), 0);
	assert_int_equal(err.code, SLUICE_E_PROTOCOL);
	peer_close(&peer);
	pair_close(&pair);
}

static void nor_in_the_handshake(void **state)
{
	static const uint8_t server_hello_done[] = { 22, 3, 3, 0, 4, 14, 0, 0, 0 };
	struct sluice_error err;
	struct peer peer;
	struct pair pair;
	int reset;

	for (reset = 0; reset < 2; reset++) {
		pair_open(&pair, &(struct pair_setup){ 0 });
		peer_open(&peer, &pair, SLUICE_SERVER);
		assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN); /* its hello is out */
		peer_send(&peer, server_hello_done, sizeof(server_hello_done));
		if (reset)
			peer_reset(&peer);
		assert_int_equal(peer_run(&peer), -SLUICE_E_PROTOCOL);
		assert_int_equal(sluice_conn_error(peer.conn, &err, sizeof(err)), 0);
		assert_int_equal(err.code, SLUICE_E_PROTOCOL);
		peer_close(&peer);
		pair_close(&pair);
	}
}

/* A peer that refuses us says why, and is gone: a send learns the second before a receive the first. */
static void a_send_that_fails_first_does_not_hide_the_alert(void **state)
{
	static const uint8_t alert[2] = { 2, SLUICE_ALERT_CERTIFICATE_REQUIRED };
	struct sluice_error err;
	struct peer peer;
	struct pair pair;
	uint8_t byte;
	int i, r = 1;

	pair_open(&pair, &(struct pair_setup){ .path = "user" });
	peer_open_live(&peer, &pair, SLUICE_SERVER, TLS13);
	peer_send_record(&peer, RECORD_ALERT, alert, sizeof(alert));
	peer_reset(&peer);
	for (i = 0; i < 10 && r > 0; i++)
		r = (int)sluice_send(peer.conn, "x", 1, RUN_MS);
	assert_int_equal(r, -SLUICE_E_RESET);
	assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_ALERT);
	assert_int_equal(sluice_conn_error(peer.conn, &err, sizeof(err)), 0);
	assert_int_equal(err.code, SLUICE_E_ALERT);
	assert_int_equal(err.alert, SLUICE_ALERT_CERTIFICATE_REQUIRED);
	assert_int_equal(err.alert_sent, 0);
	peer_close(&peer);
	pair_close(&pair);
}

/* The kernel tells of a bad record by whichever call is next; the peer is told all the same. */
static void a_send_may_be_the_first_to_learn_of_a_bad_record(void **state)
{
	static const uint8_t overlong[] = { 23, 3, 3, 0x48, 1, 0 };
	struct peer peer;
	struct pair pair;
	int by_file, fd, i;
	off_t offset;
	ssize_t n;

	PAIR_FOR_EACH_PATH(path)
	{
		if (strcmp(path, "kernel"))
			continue;
		for (by_file = 0; by_file < 2; by_file++) {
			fd = memfd_create("file", MFD_CLOEXEC);
			assert_int_equal(write(fd, "abc", 3), 3);
			pair_open(&pair, &(struct pair_setup){ .path = path });
			peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
			peer_send(&peer, overlong, sizeof(overlong));
			peer_wait(&peer);
			for (i = 0, n = 1; i < 1000 && n > 0; i++) {
				offset = 0;
				n = by_file ? sluice_sendfile(peer.conn, fd, &offset, 3, RUN_MS)
					    : sluice_send(peer.conn, "abc", 3, RUN_MS);
			}
			assert_int_equal(n, -SLUICE_E_RECORD_OVERFLOW);
			check_error(peer.conn, SLUICE_E_RECORD_OVERFLOW,
				    ALERT_SENT(SLUICE_ALERT_RECORD_OVERFLOW));
			peer_close(&peer);
			pair_close(&pair);
			close(fd);
		}
	}
}

static void assert_no_alert(struct sluice_conn *conn)
{
	struct sluice_error err;
	uint64_t before;

	assert_int_equal(sluice_conn_error(conn, &err, sizeof(err)), 0);
	assert_int_equal(err.alert_sent, 0);
	assert_int_equal(err.alert, -1);
	before = sys->now_us();
	sluice_close(conn);
	assert_true(sys->now_us() - before < 2000000); /* waits for nobody to read it */
}

static void no_alert_is_claimed_that_was_not_sent(void **state)
{
	struct sluice_options *extra;
	struct sluice_error err;
	struct peer peer;
	struct pair pair;
	uint8_t byte;

	/* Before the first byte. */
	pair_open(&pair, &(struct pair_setup){ .server_options = "alert_timeout = 5000\n" });
	assert_int_equal(sluice_options_new(&extra), 0);
	assert_int_equal(sluice_options_set(extra, SLUICE_OPT_CERTFILE, "/nowhere", &err), 0);
	assert_int_equal(sluice_connect(pair.sluice, pair.host, sluice_listener_port(pair.listener),
					pair.client_profile, NULL, SLUICE_NOWAIT, &pair.client,
					&err),
			 -SLUICE_E_AGAIN);
	assert_int_equal(sluice_transport_accept(pair.listener, RUN_MS, &pair.server), 0);
	assert_int_equal(sluice_handshake(pair.server, extra, RUN_MS), -SLUICE_E_FILE);
	assert_no_alert(pair.server);
	pair.server = NULL;
	sluice_options_free(extra);
	pair_close(&pair);

	/* Behind our close_notify. */
	pair_open(&pair, &(struct pair_setup){ .client_options = "alert_timeout = 5000\n" });
	peer_open_live(&peer, &pair, SLUICE_SERVER, TLS13);
	assert_int_equal(sluice_shutdown(peer.conn, SHUT_WR, RUN_MS), 0);
	peer_send_record(&peer, RECORD_HANDSHAKE, finished, sizeof(finished));
	assert_int_equal(sluice_recv(peer.conn, &byte, 1, RUN_MS), -SLUICE_E_PROTOCOL);
	assert_no_alert(peer.conn);
	peer.conn = NULL;
	peer_close(&peer);
	pair_close(&pair);
}

static void dispatch_before_the_handshake_is_begun(void **state)
{
	struct sluice_error err;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(sluice_connect(pair.sluice, pair.host, sluice_listener_port(pair.listener),
					pair.client_profile, NULL, SLUICE_NOWAIT, &pair.client,
					&err),
			 -SLUICE_E_AGAIN);
	assert_int_equal(sluice_transport_accept(pair.listener, RUN_MS, &pair.server), 0);
	assert_int_equal(sluice_conn_dispatch(pair.server), -SLUICE_E_STATE);
	pair.client_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	pair_close(&pair);
}

/* Behind our KeyUpdate the old key seals nothing more: the peer could not read it. */
static void new_keys_that_cannot_be_installed_end_it_without_a_word(void **state)
{
	uint8_t type, *plain = malloc(RECORD_MAX_PLAIN);
	struct peer peer;
	struct pair pair;
	int r;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		peer_open_live(&peer, &pair, SLUICE_CLIENT, TLS13);
		if (strcmp(path, "kernel") || !check_info(peer.conn).can_rekey) {
			peer_close(&peer);
			pair_close(&pair);
			continue;
		}
		peer_skip_handshake(&peer);
		fault_install();
		fault_arm("setsockopt", 1, ENOMEM);
		r = sluice_update_keys(peer.conn, 0, RUN_MS);
		fault_uninstall();
		assert_int_equal(r, -SLUICE_E_REKEY);
		sluice_close(peer.conn);
		peer.conn = NULL;
		do {
			peer_next_record(&peer, &type, plain);
			assert_int_equal(type, RECORD_HANDSHAKE);
		} while (plain[0] != 24);
		peer_expect_end(&peer, PEER_FIN, NULL, 0);
		peer_close(&peer);
		pair_close(&pair);
	}
	free(plain);
}

/* RFC 6066, 3: names are sent without a trailing dot. */
static void CL_01_the_root_of_the_dns_is_not_sent(void **state)
{
	struct sluice_error err;
	struct pair pair;
	int fd;

	pair_open(&pair, &(struct pair_setup){ 0 });
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = pair_profile(SLUICE_CLIENT, "verify = verify_none\n");
	fd = tcp_connect(sluice_listener_port(pair.listener));
	assert_int_equal(sluice_connect_fd(pair.sluice, fd, "localhost.", pair.client_profile, NULL,
					   SLUICE_NOWAIT, &pair.client, &err),
			 -SLUICE_E_AGAIN);
	assert_int_equal(sluice_transport_accept(pair.listener, RUN_MS, &pair.server), 0);
	pair.client_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	assert_string_equal(check_info(pair.client).sni, "localhost");
	assert_string_equal(check_info(pair.server).sni, "localhost");
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reset_behind_it_does_not_hide_what_was_wrong),
		cmocka_unit_test(nor_in_the_handshake),
		cmocka_unit_test(a_send_that_fails_first_does_not_hide_the_alert),
		cmocka_unit_test(a_send_may_be_the_first_to_learn_of_a_bad_record),
		cmocka_unit_test(no_alert_is_claimed_that_was_not_sent),
		cmocka_unit_test(dispatch_before_the_handshake_is_begun),
		cmocka_unit_test(new_keys_that_cannot_be_installed_end_it_without_a_word),
		cmocka_unit_test(CL_01_the_root_of_the_dns_is_not_sent),
	};

	return cmocka_run_group_tests_name("flow/reasons", tests, leaks_setup, leaks_teardown);
}
