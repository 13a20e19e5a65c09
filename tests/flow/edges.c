/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes under an edge-triggered event loop (epoll(7), EPOLLET), which tells of new bytes once: an end that
 * says that it waits while something is in its socket would be called no more. Each end is called once for each
 * edge, and never otherwise.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define EDGE_MS 5000

static int watch_edges(const struct pair *pair)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	assert_true(fd >= 0);
	event.data.u32 = SLUICE_CLIENT;
	assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, sluice_conn_fd(pair->client), &event), 0);
	event.data.u32 = SLUICE_SERVER;
	assert_int_equal(epoll_ctl(fd, EPOLL_CTL_ADD, sluice_conn_fd(pair->server), &event), 0);
	return fd;
}

static void run_by_edges(struct pair *pair)
{
	int fd = watch_edges(pair);
	struct epoll_event events[2];
	int i, n;

	while (pair->client_result || pair->server_result) {
		n = epoll_wait(fd, events, 2, EDGE_MS);
		if (n <= 0)
			fail_msg("no edge: client %d, server %d", pair->client_result,
				 pair->server_result);
		for (i = 0; i < n; i++) {
			if (events[i].data.u32 == SLUICE_CLIENT && pair->client_result)
				pair->client_result = sluice_conn_dispatch(pair->client);
			else if (events[i].data.u32 == SLUICE_SERVER && pair->server_result)
				pair->server_result = sluice_conn_dispatch(pair->server);
		}
		assert_true(pair->client_result == 0 || pair->client_result == -SLUICE_E_AGAIN);
		assert_true(pair->server_result == 0 || pair->server_result == -SLUICE_E_AGAIN);
	}
	close(fd);
}

static void handshakes_by_edges(const char *path, const char *server_options,
				const char *client_options, bool retried)
{
	struct pair pair;
	size_t i;
	int n;

	for (i = 0; i < 2; i++) {
		pair_open(&pair, &(struct pair_setup){ .path = path,
						       .versions = pair_versions[i],
						       .server_options = server_options,
						       .client_options = client_options });
		for (n = 0; n < 20; n++) {
			pair_start(&pair, NULL);
			run_by_edges(&pair);
			assert_int_equal(check_info(pair.server).hello_retried, retried && i == 0);
			pair_exchange(&pair, 1000);
			pair_drop(&pair);
		}
		pair_close(&pair);
	}
}

static void LC_11_LC_21_no_edge_is_missed(void **state)
{
	PAIR_FOR_EACH_PATH(path)
	handshakes_by_edges(path, NULL, NULL, false);
}

/* Longer flights of the client: certificate, verification, Finished. */
static void no_edge_is_missed_with_client_certificates(void **state)
{
	const struct certs *certs = certs_get();
	char server[600], client[1200];

	snprintf(server, sizeof(server), "cacertfile = %s\nverify = verify_peer\n", certs->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", certs->client,
		 certs->client_key);
	PAIR_FOR_EACH_PATH(path)
	handshakes_by_edges(path, server, client, false);
}

/* A HelloRetryRequest makes the client's second flight another hello. */
static void no_edge_is_missed_behind_a_retry(void **state)
{
	PAIR_FOR_EACH_PATH(path)
	handshakes_by_edges(path, "supported_groups = secp384r1,secp256r1\n",
			    "supported_groups = x25519,secp384r1,secp256r1\n", true);
}

/* Connects @pair's server to a socket without TLS, which it returns. */
static int start_bare(struct pair *pair)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(sluice_listener_port(pair->listener)),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(sluice_transport_accept(pair->listener, EDGE_MS, &pair->server), 0);
	return fd;
}

/* Until the peer's end is in our socket, so that one edge is of it and of the bytes before it. */
static void await_end(const struct pair *pair)
{
	struct pollfd pfd = { sluice_conn_fd(pair->server), POLLRDHUP, 0 };

	assert_int_equal(poll(&pfd, 1, EDGE_MS), 1);
}

/* Bytes and the end behind them, before the loop looks: the end has no edge of its own. */
static void no_end_is_missed_behind_bytes(void **state)
{
	static const char piece[] = "\x16\x03\x01";
	struct epoll_event event = { .events = EPOLLIN | EPOLLRDHUP | EPOLLET };
	struct pair pair;
	int fd, epfd;

	pair_open(&pair, &(struct pair_setup){ .path = "user" });
	fd = start_bare(&pair);
	assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	assert_true(epfd >= 0);
	assert_int_equal(epoll_ctl(epfd, EPOLL_CTL_ADD, sluice_conn_fd(pair.server), &event), 0);
	assert_int_equal(epoll_wait(epfd, &event, 1, 0), 0);
	assert_int_equal(write(fd, piece, sizeof(piece) - 1), sizeof(piece) - 1);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	await_end(&pair);
	assert_int_equal(epoll_wait(epfd, &event, 1, EDGE_MS), 1);
	assert_int_equal(sluice_conn_dispatch(pair.server), -SLUICE_E_TRUNCATED);
	close(epfd);
	close(fd);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_11_LC_21_no_edge_is_missed),
		cmocka_unit_test(no_edge_is_missed_with_client_certificates),
		cmocka_unit_test(no_edge_is_missed_behind_a_retry),
		cmocka_unit_test(no_end_is_missed_behind_bytes),
	};

	return cmocka_run_group_tests_name("flow/edges", tests, leaks_setup, leaks_teardown);
}
