/* SPDX-License-Identifier: Apache-2.0 */
/* Listening, accepting, and what an accepted connection is before its handshake. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "support/waits.h"

/* --- listening ----------------------------------------------------------------------------- */

static void LC_05_the_kernel_chooses_the_port(void **state)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	struct pair pair;
	int port, value = 0;

	pair_open(&pair, &(struct pair_setup){ 0 });
	port = sluice_listener_port(pair.listener);
	assert_in_range(port, 1, 65535);
	assert_int_equal(
		getsockname(sluice_listener_fd(pair.listener), (struct sockaddr *)&addr, &len), 0);
	assert_int_equal(ntohs(addr.sin_port), port);
	assert_int_equal(addr.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	len = sizeof(value);
	assert_int_equal(getsockopt(sluice_listener_fd(pair.listener), SOL_SOCKET, SO_ACCEPTCONN,
				    &value, &len),
			 0);
	assert_int_equal(value, 1);
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);
}

static void LC_05_a_port_in_use(void **state)
{
	struct sluice_listener *untouched = (struct sluice_listener *)&untouched;
	struct sluice_listener *listener = untouched;
	struct sluice_error err;
	struct pair pair;
	int port;

	pair_open(&pair, &(struct pair_setup){ 0 });
	port = sluice_listener_port(pair.listener);
	assert_int_equal(sluice_listen(pair.sluice, "127.0.0.1", port, pair.server_profile,
				       &listener, &err),
			 -SLUICE_E_IO);
	assert_int_equal(err.code, SLUICE_E_IO);
	assert_int_equal(err.sys_errno, EADDRINUSE);
	assert_ptr_equal(listener, untouched);

	/* After its listener is gone the port is free, connections in TIME_WAIT or not. */
	assert_int_equal(pair_connect(&pair), 0);
	pair_drop(&pair);
	sluice_listener_free(pair.listener);
	assert_int_equal(sluice_listen(pair.sluice, "127.0.0.1", port, pair.server_profile,
				       &pair.listener, &err),
			 0);
	assert_int_equal(sluice_listener_port(pair.listener), port);
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);
}

static void LC_05_addresses_to_listen_on(void **state)
{
	/* Too long for a label of the DNS (RFC 1035, 2.3.4): no name server is asked. */
	char label[80] = { 0 };
	const struct {
		const char *host;
		int code, sys_errno;
	} cases[] = {
		{ "127.0.0.1", 0, 0 },
		{ "::1", 0, 0 },
		{ "localhost", 0, 0 },
		{ NULL, 0, 0 },
		{ "192.0.2.1", SLUICE_E_IO, EADDRNOTAVAIL },
		{ label, SLUICE_E_RESOLVE, 0 },
	};
	struct sluice_listener *listener;
	struct sluice_error err;
	struct pair pair;
	size_t i;

	memset(label, 'a', 64);
	pair_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		listener = NULL;
		assert_int_equal(sluice_listen(pair.sluice, cases[i].host, 0, pair.server_profile,
					       &listener, &err),
				 -cases[i].code);
		assert_int_equal(err.code, cases[i].code);
		assert_int_equal(err.sys_errno, cases[i].sys_errno);
		assert_int_equal(!listener, !!cases[i].code);
		sluice_listener_free(listener);
	}
	pair_close(&pair);
}

static void LC_05_every_call_of_listen_may_fail(void **state)
{
	static const char *const calls[] = { "socket", "setsockopt", "bind", "listen",
					     "getsockname" };
	struct sluice_listener *listener;
	struct sluice_error err;
	struct pair pair;
	int fds;
	size_t i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	fds = fault_open_fds();
	fault_install();
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fault_reset();
		fault_arm(calls[i], 1, EMFILE);
		listener = NULL;
		assert_true(sluice_listen(pair.sluice, "127.0.0.1", 0, pair.server_profile,
					  &listener, &err) < 0);
		assert_int_equal(fault_hits(calls[i]), 1);
		assert_null(listener);
		assert_int_equal(err.sys_errno, EMFILE);
		assert_int_equal(fault_open_fds(), fds);
	}
	fault_uninstall();
	pair_close(&pair);
}

static void LC_05_a_client_profile_cannot_listen(void **state)
{
	struct sluice_listener *listener = NULL;
	struct sluice_error err;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(sluice_listen(pair.sluice, "127.0.0.1", 0, pair.client_profile, &listener,
				       &err),
			 -SLUICE_E_OPTION_ROLE);
	assert_null(listener);
	pair_close(&pair);
}

/* Options of the socket go the system's way: what is set on the listener is the connections', too. */
static void LC_05_options_of_the_listening_socket(void **state)
{
	struct pair pair;
	socklen_t len = sizeof(int);
	int one = 1, value = 0;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(setsockopt(sluice_listener_fd(pair.listener), SOL_SOCKET, SO_KEEPALIVE,
				    &one, sizeof(one)),
			 0);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_getopt(pair.server, SOL_SOCKET, SO_KEEPALIVE, &value, &len), 0);
	assert_int_equal(value, 1);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

/* --- options of a listener ----------------------------------------------------------------- */

static void expect_profile_error(const char *text, int code)
{
	struct sluice_profile *untouched = (struct sluice_profile *)&untouched;
	struct sluice_profile *profile = untouched;
	struct sluice_options *opts;
	struct sluice_error err;
	int r;

	assert_int_equal(sluice_options_new(&opts), 0);
	r = sluice_options_parse(opts, text, strlen(text), &err);
	if (r == 0)
		r = sluice_profile_new(&profile, opts, SLUICE_SERVER, &err);
	if (r != -code)
		fail_msg("%s for\n%s", sluice_error_name(r), text);
	assert_int_equal(err.code, code);
	assert_string_not_equal(err.text, "");
	assert_ptr_equal(profile, untouched);
	sluice_options_free(opts);
}

static void LC_06_options_are_checked_before_listening(void **state)
{
	const struct certs *certs = certs_get();
	char identity[600], text[1200];
	static const struct {
		const char *more;
		int code;
	} cases[] = {
		{ "no_such_option = 1", SLUICE_E_OPTION_UNKNOWN },
		{ "versions = tlsv9", SLUICE_E_OPTION },
		{ "handshake_timeout = 0", SLUICE_E_OPTION_RANGE },
		{ "server_name_indication = localhost", SLUICE_E_OPTION_ROLE },
		{ "fail_if_no_peer_cert = true", SLUICE_E_OPTION_CONFLICT },
		{ "verify = verify_peer", SLUICE_E_OPTION_CONFLICT },
		{ "versions = tlsv1.2\nciphers = TLS_AES_128_GCM_SHA256",
		  SLUICE_E_OPTION_CONFLICT },
		{ "ciphers = TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", SLUICE_E_OPTION_CONFLICT },
		{ "cacertfile = /no/such/file", SLUICE_E_FILE },
	};
	size_t i;

	snprintf(identity, sizeof(identity), "certfile = %s\nkeyfile = %s\n", certs->server_p256,
		 certs->server_p256_key);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "%s%s\n", identity, cases[i].more);
		expect_profile_error(text, cases[i].code);
	}
	expect_profile_error("", SLUICE_E_NO_CERT);
	expect_profile_error("certfile = /no/such/file\n", SLUICE_E_FILE);
	snprintf(text, sizeof(text), "certfile = %s\nkeyfile = %s\n", certs->server_p256,
		 certs->mismatched_key);
	expect_profile_error(text, SLUICE_E_KEY_MISMATCH);
	snprintf(text, sizeof(text), "certfile = %s\nkeyfile = %s\n", certs->expired,
		 certs->server_p256_key);
	expect_profile_error(text, SLUICE_E_CERT_EXPIRED);
	snprintf(text, sizeof(text), "certfile = %s\nkeyfile = %s\n", certs->server_p256,
		 certs->encrypted_key);
	expect_profile_error(text, SLUICE_E_KEY_PASSWORD);
}

static void LC_07_accepted_connections_inherit_the_options(void **state)
{
	struct sluice_conn_info info;
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){
					 .path = path,
					 .server_options = "versions = tlsv1.2\n"
							   "alpn_preferred_protocols = b,a",
					 .client_options = "alpn_advertised_protocols = a,b",
				 });
		/* The listener and the connections keep it. */
		pair.server_profile = sluice_profile_unref(pair.server_profile);
		for (i = 0; i < 3; i++) {
			assert_int_equal(pair_connect(&pair), 0);
			sluice_conn_info(pair.server, &info, sizeof(info));
			assert_int_equal(info.version, 0x0303);
			assert_string_equal(info.alpn, "b");
			assert_string_equal(sluice_path_name(info.tx.path), path);
			if (i == 2)
				pair.listener = sluice_listener_free(pair.listener);
			pair_exchange(&pair, 1000);
			pair_drop(&pair);
		}
		pair_close(&pair);
	}
}

/* --- accepting ----------------------------------------------------------------------------- */

static void LC_08_accept_takes_connections_in_order(void **state)
{
	struct sockaddr_storage peer;
	struct sockaddr_in own;
	socklen_t len = sizeof(own);
	struct sluice_conn *conn;
	struct pair pair;
	int fds[3], i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < 3; i++)
		fds[i] = tcp_connect(sluice_listener_port(pair.listener));
	for (i = 0; i < 3; i++) {
		assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_INFINITY, &conn), 0);
		assert_int_equal(sluice_peername(conn, &peer), 0);
		assert_int_equal(getsockname(fds[i], (struct sockaddr *)&own, &len), 0);
		assert_int_equal(((struct sockaddr_in *)&peer)->sin_port, own.sin_port);
		assert_true(fcntl(sluice_conn_fd(conn), F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(sluice_conn_fd(conn), F_GETFD) & FD_CLOEXEC);
		assert_int_equal(sluice_close(conn), 0);
		close(fds[i]);
	}
	pair_close(&pair);
}

static void LC_08_accept_exchanges_no_tls_byte(void **state)
{
	static const char hello[] = "\x16\x03\x01";
	struct sluice_conn *conn;
	struct pair pair;
	char peek[8];
	int fd;

	pair_open(&pair, &(struct pair_setup){ 0 });
	fd = tcp_connect(sluice_listener_port(pair.listener));
	assert_int_equal(send(fd, hello, 3, 0), 3);
	fault_install();
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_INFINITY, &conn), 0);
	tcp_wait(sluice_conn_fd(conn));
	assert_int_equal(fault_count("recvmsg") + fault_count("read"), 0);
	assert_int_equal(fault_count("sendmsg") + fault_count("write"), 0);
	fault_uninstall();
	assert_int_equal(recv(sluice_conn_fd(conn), peek, sizeof(peek), MSG_PEEK | MSG_DONTWAIT),
			 3);
	assert_true(tcp_is_silent(fd));
	sluice_close(conn);
	close(fd);
	pair_close(&pair);
}

static void LC_08_the_listener_survives_errors(void **state)
{
	static const struct {
		int err, code;
	} cases[] = {
		{ EMFILE, SLUICE_E_NOFILE },
		{ ENFILE, SLUICE_E_NOFILE },
		{ ENOMEM, SLUICE_E_NOMEM },
		{ ENOBUFS, SLUICE_E_NOMEM },
		{ EPERM, SLUICE_E_IO },
		/* Of a connection that is gone, or nothing at all: not the caller's business. */
		{ ECONNABORTED, 0 },
		{ EPROTO, 0 },
		{ EINTR, 0 },
	};
	struct sluice_conn *untouched = (struct sluice_conn *)&untouched, *conn;
	struct pair pair;
	size_t i;
	int fd, r;

	pair_open(&pair, &(struct pair_setup){ 0 });
	fault_install();
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fd = tcp_connect(sluice_listener_port(pair.listener));
		fault_reset();
		fault_arm("accept4", 1, cases[i].err);
		conn = untouched;
		r = sluice_transport_accept(pair.listener, TCP_WAIT_MS, &conn);
		assert_int_equal(r, -cases[i].code);
		assert_int_equal(fault_hits("accept4"), 1);
		if (r < 0) {
			assert_ptr_equal(conn, untouched);
			assert_int_equal(
				sluice_transport_accept(pair.listener, SLUICE_INFINITY, &conn), 0);
		}
		sluice_close(conn);
		close(fd);
	}
	fault_uninstall();
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);
}

static void connect_now(void *arg)
{
	struct pair *pair = arg;
	struct sluice_error err;

	assert_int_equal(sluice_connect(pair->sluice, pair->host,
					sluice_listener_port(pair->listener), pair->client_profile,
					NULL, SLUICE_NOWAIT, &pair->client, &err),
			 -SLUICE_E_AGAIN);
}

static void LC_08_LC_40_accept_waits_as_long_as_told(void **state)
{
	struct sluice_conn *untouched = (struct sluice_conn *)&untouched;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	waits_install();
	pair.server = untouched;
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_NOWAIT, &pair.server),
			 -SLUICE_E_AGAIN);
	assert_int_equal(waits.n, 0);

	waits_until(connect_now, &pair);
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
	assert_int_equal(waits.first_ms, -1);
	waits_uninstall();

	pair.client_result = pair.server_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	pair_close(&pair);
}

static void LC_09_AL_06_accept_times_out_and_the_listener_lives(void **state)
{
	struct sluice_conn *untouched = (struct sluice_conn *)&untouched;
	struct pair pair;
	int i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	waits_install();
	for (i = 0; i < 3; i++) {
		waits_until(NULL, NULL);
		pair.server = untouched;
		assert_int_equal(sluice_transport_accept(pair.listener, 250, &pair.server),
				 -SLUICE_E_TIMEOUT);
		assert_ptr_equal(pair.server, untouched);
		assert_int_equal(waits.first_ms, 250);
		assert_int_equal(waits.passed_us, 250000);
	}
	waits_uninstall();
	pair.server = NULL;
	assert_int_equal(pair_connect(&pair), 0);
	pair_exchange(&pair, 100);
	pair_close(&pair);
}

/* The real clock: never early. */
static void LC_09_accept_does_not_give_up_early(void **state)
{
	struct sluice_conn *conn;
	struct pair pair;
	uint64_t began;

	pair_open(&pair, &(struct pair_setup){ 0 });
	began = sys->now_us();
	assert_int_equal(sluice_transport_accept(pair.listener, 20, &conn), -SLUICE_E_TIMEOUT);
	assert_true(sys->now_us() - began >= 20000);
	pair_close(&pair);
}

static struct pair *late_pair;

/* Time passes, and in the same moment a connection comes. */
static int late_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	sys = &sys_real;
	connect_now(late_pair);
	assert_int_equal(sys_real.poll(fds, n_fds, TCP_WAIT_MS), 1);
	fds[0].revents = 0;
	return 0;
}

static void LC_09_a_connection_that_raced_is_delivered_next(void **state)
{
	struct sys_ops table = sys_real;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	table.poll = late_poll;
	late_pair = &pair;
	sys = &table;
	assert_int_equal(sluice_transport_accept(pair.listener, 250, &pair.server),
			 -SLUICE_E_TIMEOUT);
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_NOWAIT, &pair.server), 0);
	pair.client_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	pair_close(&pair);
}

/* --- before the handshake ------------------------------------------------------------------ */

/* Everything that an established connection can do, refused. */
static void assert_inert(struct sluice_conn *conn)
{
	const struct iovec iov = { (void *)"secret", 6 };
	const char *protocol = NULL;
	const uint8_t *der = NULL;
	struct sluice_session *session = NULL;
	struct sluice_hello hello;
	size_t len = 0;
	uint8_t buf[32];
	off_t offset = 0;
	int t;

	for (t = SLUICE_INFINITY; t <= 1; t++) {
		assert_int_equal(sluice_send(conn, "secret", 6, t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_send(conn, "", 0, t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_sendv(conn, &iov, 1, t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_sendfile(conn, 0, &offset, 6, t),
				 -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_recv(conn, buf, sizeof(buf), t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_recv_exact(conn, buf, sizeof(buf), t),
				 -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_update_keys(conn, 1, t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_shutdown(conn, SHUT_WR, t), -SLUICE_E_NOT_ESTABLISHED);
		assert_int_equal(sluice_shutdown(conn, SHUT_RD, t), -SLUICE_E_NOT_ESTABLISHED);
	}
	assert_int_equal(sluice_export_keying_material(conn, buf, sizeof(buf), "x", NULL, 0),
			 -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_negotiated_protocol(conn, &protocol, &len),
			 -SLUICE_E_NOT_ESTABLISHED);
	assert_int_equal(sluice_peercert(conn, 0, &der, &len), -SLUICE_E_NO_PEERCERT);
	assert_int_equal(sluice_take_session(conn, &session), -SLUICE_E_UNDEFINED);
	assert_int_equal(sluice_hello(conn, &hello, sizeof(hello)), -SLUICE_E_UNDEFINED);
	assert_int_equal(sluice_handshake_continue(conn, NULL, 0), -SLUICE_E_STATE);
	assert_int_equal(sluice_handshake_cancel(conn), -SLUICE_E_STATE);
	assert_null(protocol);
	assert_null(der);
	assert_null(session);
	assert_int_equal(offset, 0);
}

static void LC_10_inert_before_the_handshake(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		connect_now(&pair);
		assert_int_equal(
			sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
		fault_install();
		assert_inert(pair.server);
		assert_inert(pair.client);
		assert_int_equal(fault_count("sendmsg") + fault_count("write"), 0);
		assert_int_equal(fault_count("recvmsg") + fault_count("read"), 0);
		assert_int_equal(fault_count("sendfile") + fault_count("shutdown"), 0);
		fault_uninstall();

		/* None of it did any harm. */
		pair.client_result = -SLUICE_E_AGAIN;
		pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
		assert_int_equal(pair_run(&pair), 0);
		pair_exchange(&pair, 5000);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_05_the_kernel_chooses_the_port),
		cmocka_unit_test(LC_05_a_port_in_use),
		cmocka_unit_test(LC_05_addresses_to_listen_on),
		cmocka_unit_test(LC_05_every_call_of_listen_may_fail),
		cmocka_unit_test(LC_05_a_client_profile_cannot_listen),
		cmocka_unit_test(LC_05_options_of_the_listening_socket),
		cmocka_unit_test(LC_06_options_are_checked_before_listening),
		cmocka_unit_test(LC_07_accepted_connections_inherit_the_options),
		cmocka_unit_test(LC_08_accept_takes_connections_in_order),
		cmocka_unit_test(LC_08_accept_exchanges_no_tls_byte),
		cmocka_unit_test(LC_08_the_listener_survives_errors),
		cmocka_unit_test(LC_08_LC_40_accept_waits_as_long_as_told),
		cmocka_unit_test(LC_09_AL_06_accept_times_out_and_the_listener_lives),
		cmocka_unit_test(LC_09_accept_does_not_give_up_early),
		cmocka_unit_test(LC_09_a_connection_that_raced_is_delivered_next),
		cmocka_unit_test(LC_10_inert_before_the_handshake),
	};

	return cmocka_run_group_tests_name("flow/accept", tests, leaks_setup, leaks_teardown);
}
