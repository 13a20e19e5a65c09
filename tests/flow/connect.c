/* SPDX-License-Identifier: Apache-2.0 */
/* Connections coming about: both ends waiting, upgrades of plain sockets, hosts. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "support/waits.h"

/* --- the handshake ------------------------------------------------------------------------- */

struct client {
	struct pair *pair;
	int result;
};

static void *connect_and_wait(void *arg)
{
	struct client *client = arg;
	struct pair *pair = client->pair;

	client->result = sluice_connect(pair->sluice, pair->host,
					sluice_listener_port(pair->listener), pair->client_profile,
					NULL, SLUICE_INFINITY, &pair->client, NULL);
	return NULL;
}

static void LC_11_LC_21_both_ends_wait(void **state)
{
	struct pair pair;
	struct client client = { .pair = &pair };
	struct sluice_conn *conn;
	pthread_t thread;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pthread_create(&thread, NULL, connect_and_wait, &client), 0);
		assert_int_equal(
			sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
		conn = pair.server;
		assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_INFINITY), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(client.result, 0);
		assert_ptr_equal(pair.server, conn);
		pair_exchange(&pair, 50000);

		/* There is one handshake in a connection's life, and it is the server's verb. */
		assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_INFINITY),
				 -SLUICE_E_STATE);
		assert_int_equal(sluice_handshake(pair.client, NULL, SLUICE_INFINITY),
				 -SLUICE_E_STATE);
		pair_exchange(&pair, 100);
		pair_close(&pair);
	}
}

/* The bytes of the handshake come and go one at a time. */
static void LC_11_LC_21_one_byte_at_a_time(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct pair pair;
	int v;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[v] });
			fault_install();
			fault_limit("recvmsg", 1);
			fault_limit("sendmsg", 1);
			assert_int_equal(pair_connect(&pair), 0);
			assert_true(fault_count("recvmsg") > 1000);
			fault_uninstall();
			pair_exchange(&pair, 40000);
			pair_close(&pair);
		}
	}
}

static void LC_11_LC_40_a_handshake_that_timed_out_goes_on(void **state)
{
	struct sluice_error err;
	struct pair pair;
	int fd;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		fd = tcp_connect(sluice_listener_port(pair.listener));
		assert_int_equal(
			sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
		waits_install();
		assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(waits.n, 0);
		assert_int_equal(sluice_handshake(pair.server, NULL, 300), -SLUICE_E_TIMEOUT);
		assert_int_equal(waits.first_ms, 300);
		assert_int_equal(waits.passed_us, 300000);

		/* Ten bytes of a hello. */
		fault_limit("sendmsg", 10);
		fault_arm_from("sendmsg", 2, EAGAIN);
		assert_int_equal(sluice_connect_fd(pair.sluice, fd, "localhost",
						   pair.client_profile, NULL, SLUICE_NOWAIT,
						   &pair.client, &err),
				 -SLUICE_E_AGAIN);
		fault_limit("sendmsg", 0);
		fault_arm("sendmsg", 0, 0);
		tcp_wait(sluice_conn_fd(pair.server));
		assert_int_equal(sluice_handshake(pair.server, NULL, 300), -SLUICE_E_TIMEOUT);
		sluice_conn_error(pair.server, &err, sizeof(err));
		assert_int_equal(err.code, SLUICE_OK);
		waits_uninstall();
		pair.client_result = pair.server_result = -SLUICE_E_AGAIN;
		assert_int_equal(pair_run(&pair), 0);
		pair_exchange(&pair, 5000);
		pair_close(&pair);
	}
}

/* The whole handshake has a limit of its own, which no caller's patience extends. */
static void LC_11_AL_06_the_handshake_itself_times_out(void **state)
{
	struct sluice_error err;
	struct pair pair;
	int fd;

	pair_open(&pair, &(struct pair_setup){ .server_options = "handshake_timeout = 700" });
	fd = tcp_connect(sluice_listener_port(pair.listener));
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
	waits_install();
	assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_INFINITY),
			 -SLUICE_E_HANDSHAKE_TIMEOUT);
	assert_int_equal(waits.passed_us, 700000);
	sluice_conn_error(pair.server, &err, sizeof(err));
	assert_int_equal(err.code, SLUICE_E_HANDSHAKE_TIMEOUT);
	assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_INFINITY),
			 -SLUICE_E_HANDSHAKE_TIMEOUT);
	waits_uninstall();
	close(fd);
	pair_close(&pair);
}

/* --- upgrades ------------------------------------------------------------------------------ */

static void say(int from, int to, const char *text)
{
	char buf[64];
	size_t len = strlen(text);

	assert_int_equal(send(from, text, len, 0), (ssize_t)len);
	tcp_read(to, buf, len);
	assert_memory_equal(buf, text, len);
}

static void LC_12_LC_22_upgrade_of_plain_sockets(void **state)
{
	struct sluice_error err;
	struct pair pair;
	int fds[2];

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		tcp_pair(fds);
		say(fds[0], fds[1], "STARTTLS\r\n");
		say(fds[1], fds[0], "220 ready\r\n");

		/* The ClientHello is in the queue before the server looks. */
		pair.client_result = sluice_connect_fd(pair.sluice, fds[0], "localhost",
						       pair.client_profile, NULL, SLUICE_NOWAIT,
						       &pair.client, &err);
		assert_int_equal(pair.client_result, -SLUICE_E_AGAIN);
		tcp_wait(fds[1]);
		pair.server_result = sluice_handshake_fd(pair.sluice, fds[1], pair.server_profile,
							 SLUICE_NOWAIT, &pair.server, &err);
		assert_int_equal(pair.server_result, -SLUICE_E_AGAIN);
		assert_int_equal(pair_run(&pair), 0);
		pair_exchange(&pair, 50000);

		assert_int_equal(sluice_conn_fd(pair.server), fds[1]);
		assert_int_equal(sluice_conn_fd(pair.client), fds[0]);
		assert_true(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
		assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
		pair_close(&pair);
		assert_int_equal(fcntl(fds[0], F_GETFD), -1);
		assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	}
}

/* Without a connection the descriptor is the caller's, as it was. */
static void LC_12_LC_22_a_refused_socket_stays_the_callers(void **state)
{
	struct sluice_conn *untouched = (struct sluice_conn *)&untouched, *conn = untouched;
	struct sluice_error err;
	struct pair pair;
	int fds[2], fd;

	pair_open(&pair, &(struct pair_setup){ 0 });
	tcp_pair(fds);
	assert_int_equal(sluice_handshake_fd(pair.sluice, fds[1], pair.client_profile, 0, &conn,
					     &err),
			 -SLUICE_E_OPTION_ROLE);
	assert_int_equal(err.code, SLUICE_E_OPTION_ROLE);
	assert_int_equal(sluice_connect_fd(pair.sluice, fds[0], "localhost", pair.server_profile,
					   NULL, 0, &conn, &err),
			 -SLUICE_E_OPTION_ROLE);
	assert_int_equal(sluice_connect_fd(pair.sluice, fds[0], "no%name", pair.client_profile,
					   NULL, 0, &conn, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_handshake_fd(pair.sluice, -1, pair.server_profile, 0, &conn, &err),
			 -SLUICE_E_IO);
	assert_int_equal(err.sys_errno, EBADF);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(sluice_connect_fd(pair.sluice, fd, NULL, pair.client_profile, NULL, 0,
					   &conn, &err),
			 -SLUICE_E_IO);
	assert_int_equal(err.sys_errno, ENOTCONN);
	assert_ptr_equal(conn, untouched);
	assert_int_equal(fcntl(fds[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	say(fds[0], fds[1], "still plain");
	close(fd);
	close(fds[0]);
	close(fds[1]);
	pair_close(&pair);
}

/* LC-22: where the socket cannot take the kernel's record layer any more, the other end may. */
static void LC_22_the_user_path_serves_where_the_kernel_cannot(void **state)
{
	struct sluice_capabilities caps;
	struct sluice_conn_info info;
	struct sluice_error err;
	struct pair pair;
	int fds[2];

	pair_open(&pair, &(struct pair_setup){ .path = "auto" });
	sluice_capabilities(pair.sluice, &caps, sizeof(caps));
	tcp_pair(fds);
	fault_install();
	fault_arm("setsockopt", 1, ENOTCONN); /* the peer's FIN was there first */
	pair.client_result = sluice_connect_fd(pair.sluice, fds[0], "localhost",
					       pair.client_profile, NULL, SLUICE_NOWAIT,
					       &pair.client, &err);
	assert_int_equal(fault_hits("setsockopt"), !caps.ktls_errno);
	fault_uninstall();
	pair.server_result = sluice_handshake_fd(pair.sluice, fds[1], pair.server_profile,
						 SLUICE_NOWAIT, &pair.server, &err);
	assert_int_equal(pair_run(&pair), 0);
	sluice_conn_info(pair.client, &info, sizeof(info));
	assert_int_equal(info.tx.path, SLUICE_PATH_USER);
	assert_int_equal(info.rx.path, SLUICE_PATH_USER);
	assert_int_equal(info.rx.reason,
			 caps.ktls_errno ? SLUICE_REASON_NO_KTLS : SLUICE_REASON_NOT_ESTABLISHED);
	sluice_conn_info(pair.server, &info, sizeof(info));
	assert_int_equal(info.tx.path, caps.ktls_errno ? SLUICE_PATH_USER : SLUICE_PATH_KERNEL);
	pair_exchange(&pair, 100000);
	pair_close(&pair);
}

/* --- connecting ---------------------------------------------------------------------------- */

static void LC_21_connect_reports_what_went_wrong(void **state)
{
	char label[80] = { 0 }; /* no DNS label is so long: no name server is asked */
	struct sluice_conn *untouched = (struct sluice_conn *)&untouched, *conn = untouched;
	struct sluice_error err;
	struct pair pair;
	int port;

	memset(label, 'a', 64);
	pair_open(&pair, &(struct pair_setup){ 0 });
	port = sluice_listener_port(pair.listener);
	assert_int_equal(sluice_connect(pair.sluice, label, port, pair.client_profile, NULL,
					SLUICE_INFINITY, &conn, &err),
			 -SLUICE_E_RESOLVE);
	assert_int_equal(err.code, SLUICE_E_RESOLVE);
	assert_int_equal(sluice_connect(pair.sluice, pair.host, port, pair.server_profile, NULL,
					SLUICE_INFINITY, &conn, &err),
			 -SLUICE_E_OPTION_ROLE);
	assert_int_equal(err.code, SLUICE_E_OPTION_ROLE);
	assert_ptr_equal(conn, untouched);

	fault_install();
	fault_arm("socket", 1, EMFILE);
	assert_int_equal(sluice_connect(pair.sluice, pair.host, port, pair.client_profile, NULL,
					SLUICE_INFINITY, &conn, &err),
			 -SLUICE_E_NOFILE);
	fault_uninstall();
	assert_int_equal(err.sys_errno, EMFILE);
	sluice_close(conn);

	pair.listener = sluice_listener_free(pair.listener);
	assert_int_equal(sluice_connect(pair.sluice, pair.host, port, pair.client_profile, NULL,
					SLUICE_INFINITY, &conn, &err),
			 -SLUICE_E_CONNECT);
	assert_int_equal(err.code, SLUICE_E_CONNECT);
	assert_int_equal(err.sys_errno, ECONNREFUSED);
	assert_int_equal(err.stage, SLUICE_STAGE_TCP);
	sluice_close(conn);
	pair_close(&pair);
}

/* A listener whose queue is full answers nothing: the time-out is of connect(2)'s part too. */
static void LC_21_LC_40_AL_06_one_timeout_for_tcp_and_handshake(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct sluice_conn_info info;
	struct sluice_error err;
	socklen_t len = sizeof(addr);
	struct pair pair;
	int fd, fill[2], i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(fd, 0), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	for (i = 0; i < 2; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fill[i], (struct sockaddr *)&addr, len);
	}
	waits_install();
	assert_int_equal(sluice_connect(pair.sluice, "127.0.0.1", ntohs(addr.sin_port),
					pair.client_profile, NULL, 400, &pair.client, &err),
			 -SLUICE_E_TIMEOUT);
	assert_int_equal(err.code, SLUICE_E_TIMEOUT);
	assert_int_equal(waits.passed_us, 400000);
	sluice_conn_info(pair.client, &info, sizeof(info));
	assert_int_equal(info.stage, SLUICE_STAGE_TCP);
	sluice_close(pair.client);

	/* Connected, but nobody answers. */
	waits_until(NULL, NULL);
	assert_int_equal(sluice_connect(pair.sluice, pair.host, sluice_listener_port(pair.listener),
					pair.client_profile, NULL, 400, &pair.client, &err),
			 -SLUICE_E_TIMEOUT);
	assert_int_equal(waits.passed_us, 400000);
	sluice_conn_info(pair.client, &info, sizeof(info));
	assert_int_equal(info.stage, SLUICE_STAGE_HELLO);
	waits_uninstall();

	/* Nothing is lost: the same connection can be completed. */
	assert_int_equal(sluice_transport_accept(pair.listener, SLUICE_INFINITY, &pair.server), 0);
	pair.client_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, NULL, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	pair_exchange(&pair, 1000);
	close(fill[0]);
	close(fill[1]);
	close(fd);
	pair_close(&pair);
}

static void LC_21_connect_pauses_at_the_hello(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path,
						       .client_options = "handshake = hello" });
		pair_start(&pair, NULL);
		while (pair.client_result == -SLUICE_E_AGAIN) {
			pair.client_result = sluice_conn_dispatch(pair.client);
			pair.server_result = sluice_conn_dispatch(pair.server);
		}
		assert_int_equal(pair.client_result, SLUICE_PAUSED);
		assert_int_equal(sluice_hello(pair.client, &hello, sizeof(hello)), 0);
		assert_int_equal(hello.n_suites, 1);
		pair.client_result = sluice_handshake_continue(pair.client, NULL, SLUICE_NOWAIT);
		pair.server_result = -SLUICE_E_AGAIN;
		pair_run(&pair);
		assert_int_equal(pair.client_result, 0);
		assert_int_equal(pair.server_result, 0);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* --- hosts --------------------------------------------------------------------------------- */

static void LC_29_hosts_are_names_and_addresses(void **state)
{
	static const struct {
		const char *bind, *host;
		int family;
	} cases[] = {
		{ "127.0.0.1", "127.0.0.1", AF_INET },
		{ "::1", "::1", AF_INET6 },
		{ "::1", "[::1]", AF_INET6 },
		{ "127.0.0.1", "localhost", AF_INET },
	};
	struct sockaddr_storage addr;
	struct sluice_conn_info info;
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .bind = cases[i].bind });
			pair.host = cases[i].host;
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(sluice_peername(pair.client, &addr), 0);
			assert_int_equal(addr.ss_family, cases[i].family);
			sluice_conn_info(pair.client, &info, sizeof(info));
			assert_string_equal(sluice_path_name(info.tx.path), path);
			pair_exchange(&pair, 20000);
			pair_close(&pair);
		}
	}
}

static void LC_29_what_is_no_host(void **state)
{
	char text[300] = { 0 };
	const char *const hosts[] = { "", "fe80::1%lo", text };
	struct sluice_conn *conn = NULL;
	struct sluice_error err;
	struct pair pair;
	size_t i;

	memset(text, 'a', sizeof(text) - 1);
	pair_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		assert_int_equal(sluice_connect(pair.sluice, hosts[i], 1, pair.client_profile, NULL,
						0, &conn, &err),
				 -SLUICE_E_INVALID);
		assert_int_equal(err.code, SLUICE_E_INVALID);
		assert_null(conn);
	}
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_11_LC_21_both_ends_wait),
		cmocka_unit_test(LC_11_LC_21_one_byte_at_a_time),
		cmocka_unit_test(LC_11_LC_40_a_handshake_that_timed_out_goes_on),
		cmocka_unit_test(LC_11_AL_06_the_handshake_itself_times_out),
		cmocka_unit_test(LC_12_LC_22_upgrade_of_plain_sockets),
		cmocka_unit_test(LC_12_LC_22_a_refused_socket_stays_the_callers),
		cmocka_unit_test(LC_22_the_user_path_serves_where_the_kernel_cannot),
		cmocka_unit_test(LC_21_connect_reports_what_went_wrong),
		cmocka_unit_test(LC_21_LC_40_AL_06_one_timeout_for_tcp_and_handshake),
		cmocka_unit_test(LC_21_connect_pauses_at_the_hello),
		cmocka_unit_test(LC_29_hosts_are_names_and_addresses),
		cmocka_unit_test(LC_29_what_is_no_host),
	};

	return cmocka_run_group_tests_name("flow/connect", tests, leaks_setup, leaks_teardown);
}
