/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Application data right behind a handshake's last flight, in one segment or cut anywhere: where the
 * record path takes over from BoringSSL nothing is lost, nothing is opened twice, and the numbers go
 * on. A proxy between the two ends holds a flight back until the data behind it are there, too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/tcp.h"

#define TRIES 1000
#define PEER_TRIES 200
#define MAX_CUTS 3
#define MAX_DATA 3000
#define RUN_MS 20000

/* --- chance, the same every time --------------------------------------------------------- */

static uint32_t dice = 2463534242u;

/* xorshift (Marsaglia): 0 to @n - 1. */
static size_t pick(size_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	return dice % n;
}

/* --- the proxy --------------------------------------------------------------------------- */

/* struct lane - what came from one end and is to go to the other. */
struct lane {
	int from, to;
	uint8_t bytes[65536];
	size_t len;  /* held */
	size_t seen; /* in all */
};

static struct lane up, down; /* from the client, from the server */

static void collect(struct lane *lane)
{
	ssize_t n;

	while ((n = recv(lane->from, lane->bytes + lane->len, sizeof(lane->bytes) - lane->len,
			 MSG_DONTWAIT)) > 0) {
		lane->len += n;
		lane->seen += n;
	}
	assert_true(n == 0 || errno == EAGAIN);
}

/* Waits until @total bytes have come in all. */
static void collect_until(struct lane *lane, size_t total)
{
	struct pollfd pfd = { .fd = lane->from, .events = POLLIN };

	while (collect(lane), lane->seen < total)
		assert_true(poll(&pfd, 1, RUN_MS) > 0);
	assert_int_equal(lane->seen, total);
}

static void forward(struct lane *lane, size_t len)
{
	assert_true(len <= lane->len);
	if (len)
		assert_int_equal(send(lane->to, lane->bytes, len, MSG_NOSIGNAL), len);
	lane->len -= len;
	memmove(lane->bytes, lane->bytes + len, lane->len);
}

/* Both connections through a proxy, their handshakes begun. */
static void start(struct pair *pair, struct sluice_session *session)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	socklen_t len = sizeof(addr);
	struct sluice_error err;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	pair->client_result = sluice_connect(pair->sluice, "127.0.0.1", ntohs(addr.sin_port),
					     pair->client_profile, session, SLUICE_NOWAIT,
					     &pair->client, &err);
	memset(&up, 0, sizeof(up));
	memset(&down, 0, sizeof(down));
	up.from = down.to = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(up.from >= 0);
	close(listener);
	down.from = up.to = tcp_connect(sluice_listener_port(pair->listener));
	assert_int_equal(setsockopt(up.to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(setsockopt(down.to, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	assert_int_equal(sluice_transport_accept(pair->listener, RUN_MS, &pair->server), 0);
	pair->server_result = sluice_handshake(pair->server, NULL, SLUICE_NOWAIT);
}

static void stop(struct pair *pair)
{
	close(up.from);
	close(up.to);
	pair_drop(pair);
}

static void wait_any(struct pair *pair)
{
	struct pollfd pfds[4] = {
		{ up.from, POLLIN, 0 },
		{ down.from, POLLIN, 0 },
		{ sluice_conn_fd(pair->client), sluice_conn_events(pair->client), 0 },
		{ sluice_conn_fd(pair->server), sluice_conn_events(pair->server), 0 },
	};

	if (pair->client_result != -SLUICE_E_AGAIN)
		pfds[2].fd = -1;
	if (pair->server_result != -SLUICE_E_AGAIN)
		pfds[3].fd = -1;
	assert_true(poll(pfds, 4, RUN_MS) > 0);
}

/* Runs until the end of @role is through; from then on nothing more of it is forwarded. */
static void run_until(struct pair *pair, enum sluice_role role)
{
	const int *result = role == SLUICE_CLIENT ? &pair->client_result : &pair->server_result;

	for (;;) {
		if (pair->client_result == -SLUICE_E_AGAIN)
			pair->client_result = sluice_conn_dispatch(pair->client);
		if (pair->server_result == -SLUICE_E_AGAIN)
			pair->server_result = sluice_conn_dispatch(pair->server);
		assert_true(pair->client_result == 0 || pair->client_result == -SLUICE_E_AGAIN);
		assert_true(pair->server_result == 0 || pair->server_result == -SLUICE_E_AGAIN);
		if (*result == 0)
			return;
		collect(&up);
		collect(&down);
		if (!up.len && !down.len)
			wait_any(pair);
		forward(&up, up.len);
		forward(&down, down.len);
	}
}

/* --- data behind a flight ----------------------------------------------------------------- */

struct burst {
	uint8_t data[MAX_DATA];
	size_t len, wire_len;
};

/* Sends one to three records behind what is held; all of it is with the proxy then. */
static void send_behind(struct sluice_conn *conn, struct lane *lane, struct burst *burst)
{
	struct sluice_conn_info info = check_info(conn);
	size_t n, overhead = info.version == TLS13 ? 5 + 1 + 16 : 5 + 8 + 16;
	int i, records = 1 + pick(3);

	burst->len = 0;
	burst->wire_len = info.handshake_bytes_out;
	for (i = 0; i < records; i++) {
		n = 1 + pick(MAX_DATA / 3);
		pair_pattern(burst->data + burst->len, n, dice);
		assert_int_equal(sluice_send(conn, burst->data + burst->len, n, RUN_MS), n);
		burst->len += n;
		burst->wire_len += n + overhead;
	}
	collect_until(lane, burst->wire_len);
}

/* How much goes out next of @len bytes: all, or up to a cut. */
static size_t piece(size_t len, size_t *cuts)
{
	if (!*cuts || len < 2)
		return len;
	(*cuts)--;
	return 1 + pick(len - 1);
}

/*
 * Forwards what is held: in one segment, or cut in up to MAX_CUTS places with a look in between. A
 * socket with the kernel's keys is readable by whole records only: then there is nothing to wait for.
 */
static void forward_cut(struct lane *lane, struct sluice_conn *conn, int *result)
{
	size_t cuts = pick(MAX_CUTS + 1);

	while (lane->len) {
		forward(lane, piece(lane->len, &cuts));
		if (*result != -SLUICE_E_AGAIN)
			continue;
		tcp_wait(sluice_conn_fd(conn));
		*result = sluice_conn_dispatch(conn);
	}
}

static void expect_burst(struct sluice_conn *conn, const struct burst *burst)
{
	uint8_t got[MAX_DATA];

	assert_int_equal(sluice_recv_exact(conn, got, burst->len, RUN_MS), burst->len);
	assert_memory_equal(got, burst->data, burst->len);
}

/* The rest of the way without tricks: the numbers of both directions are right. */
static void expect_more(struct sluice_conn *from, struct sluice_conn *to, struct lane *lane)
{
	uint8_t byte;

	assert_int_equal(sluice_send(from, "+", 1, RUN_MS), 1);
	while (collect(lane), !lane->len)
		tcp_wait(lane->from);
	forward(lane, lane->len);
	assert_int_equal(sluice_recv(to, &byte, 1, RUN_MS), 1);
	assert_int_equal(byte, '+');
}

static void finish(struct pair *pair)
{
	if (pair->server_result == -SLUICE_E_AGAIN)
		run_until(pair, SLUICE_SERVER);
	if (pair->client_result == -SLUICE_E_AGAIN)
		run_until(pair, SLUICE_CLIENT);
	expect_more(pair->client, pair->server, &up);
	expect_more(pair->server, pair->client, &down);
}

/* Records that the kernel could not open, in this network namespace; 0 without such a count. */
static unsigned long decrypt_errors(void)
{
	FILE *file = fopen("/proc/net/tls_stat", "re");
	unsigned long n = 0, value;
	char name[64];

	while (file && fscanf(file, "%63s %lu", name, &value) == 2)
		if (!strcmp(name, "TlsDecryptError"))
			n = value;
	if (file)
		fclose(file);
	return n;
}

/* The one who finishes first is the one with data behind its flight; then the other answers. */
static void one_try(struct pair *pair, struct sluice_session *session, enum sluice_role first)
{
	bool client = first == SLUICE_CLIENT;
	struct sluice_conn *from, *to;
	struct burst burst;

	start(pair, session);
	run_until(pair, first);
	from = client ? pair->client : pair->server;
	to = client ? pair->server : pair->client;
	assert_int_equal(client ? pair->server_result : pair->client_result, -SLUICE_E_AGAIN);
	send_behind(from, client ? &up : &down, &burst);
	forward_cut(client ? &up : &down, to, client ? &pair->server_result : &pair->client_result);
	if (client)
		run_until(pair, SLUICE_SERVER);
	else
		run_until(pair, SLUICE_CLIENT);
	expect_burst(to, &burst);
	/* A TLS 1.3 server has tickets to send; its data are right behind them. */
	send_behind(to, client ? &down : &up, &burst);
	forward_cut(client ? &down : &up, from, &(int){ 0 });
	expect_burst(from, &burst);
	finish(pair);
}

static void LC_12_data_behind_a_clients_finished(void **state)
{
	unsigned long errors = decrypt_errors();
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.3" });
		for (i = 0; i < TRIES; i++) {
			one_try(&pair, NULL, SLUICE_CLIENT);
			stop(&pair);
		}
		pair_close(&pair);
	}
	assert_int_equal(decrypt_errors(), errors);
}

/* TLS 1.2: the server finishes a full handshake, the client one that is resumed. */
static void LC_12_LC_22_data_behind_the_last_finished(void **state)
{
	unsigned long errors = decrypt_errors();
	struct sluice_session *session;
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path, .versions = "tlsv1.2" });
		for (i = 0; i < TRIES / 2; i++) {
			one_try(&pair, NULL, SLUICE_SERVER);
			assert_int_equal(sluice_take_session(pair.client, &session), 0);
			stop(&pair);
			one_try(&pair, session, SLUICE_CLIENT);
			assert_true(check_info(pair.client).resumed);
			sluice_session_free(session);
			stop(&pair);
		}
		pair_close(&pair);
	}
	assert_int_equal(decrypt_errors(), errors);
}

/* --- peers that are faster than ours ------------------------------------------------------ */

/* Everything that BoringSSL has written, with cuts, and the library looking in between. */
static void flush_cut(struct peer *peer, const uint8_t *bytes, size_t len)
{
	size_t cuts = pick(MAX_CUTS + 1), sent = 0, n;

	for (; sent < len; sent += n) {
		n = piece(len - sent, &cuts);
		peer_send(peer, bytes + sent, n);
		if (peer->result != -SLUICE_E_AGAIN)
			continue;
		peer_wait(peer);
		peer_dispatch(peer);
	}
}

static void expect_text(struct peer *peer, const char *text)
{
	uint8_t got[100];

	assert_int_equal(sluice_recv_exact(peer->conn, got, strlen(text), RUN_MS), strlen(text));
	assert_memory_equal(got, text, strlen(text));
}

/* RFC 7918: a TLS 1.2 client sends its data before it has seen the server's Finished. */
static void LC_12_data_of_a_false_start(void **state)
{
	static uint8_t flight[PEER_BUFFER];
	const uint8_t *output;
	struct pair pair;
	struct peer peer;
	size_t len;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path,
						       .server_options =
							       "alpn_preferred_protocols = h2\n" });
		for (i = 0; i < PEER_TRIES; i++) {
			peer_open(&peer, &pair, SLUICE_CLIENT);
			peer_ssl(&peer, TLS12, NULL);
			SSL_set_mode(peer.ssl, SSL_MODE_ENABLE_FALSE_START);
			SSL_set_alpn_protos(peer.ssl, (const uint8_t *)"\2h2", 3);
			peer_until(&peer, peer_is_done);
			assert_true(SSL_in_false_start(peer.ssl));
			assert_int_equal(SSL_write(peer.ssl, "too early", 9), 9);
			output = peer_output(&peer, &len);
			memcpy(flight, output, len);
			assert_int_equal(BIO_reset(SSL_get_wbio(peer.ssl)), 1);
			flush_cut(&peer, flight, len);
			assert_int_equal(peer_run(&peer), 0);
			expect_text(&peer, "too early");
			peer_close(&peer);
		}
		pair_close(&pair);
	}
}

static bool has_server_flight(struct peer *peer)
{
	size_t len;

	peer_output(peer, &len);
	return len > 0;
}

/* RFC 8446, 4.4.4: a TLS 1.3 server may send data behind its own Finished, and before its tickets. */
static void LC_22_data_of_a_server_that_does_not_wait(void **state)
{
	static uint8_t flight[PEER_BUFFER];
	const uint8_t *output;
	struct pair pair;
	struct peer peer;
	size_t len;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		for (i = 0; i < PEER_TRIES; i++) {
			peer_open(&peer, &pair, SLUICE_SERVER);
			peer_ssl(&peer, TLS13, NULL);
			peer_until(&peer, has_server_flight);
			output = peer_output(&peer, &len);
			memcpy(flight, output, len);
			peer_take_half_rtt(&peer);
			len += peer_seal(&peer.tx, RECORD_DATA, "at ", 3, 0, flight + len);
			len += peer_seal(&peer.tx, RECORD_DATA, "once", 4, pick(50), flight + len);
			flush_cut(&peer, flight, len);
			assert_int_equal(peer_run(&peer), 0);
			expect_text(&peer, "at once");
			peer_send_record(&peer, RECORD_DATA, ", and later", 11);
			expect_text(&peer, ", and later");
			peer_close(&peer);
		}
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_12_data_behind_a_clients_finished),
		cmocka_unit_test(LC_12_LC_22_data_behind_the_last_finished),
		cmocka_unit_test(LC_12_data_of_a_false_start),
		cmocka_unit_test(LC_22_data_of_a_server_that_does_not_wait),
	};

	return cmocka_run_group_tests_name("flow/coalesced", tests, leaks_setup, leaks_teardown);
}
