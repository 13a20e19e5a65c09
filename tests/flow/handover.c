/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that move: what is written of one in a process is read in another, and goes on. Both are
 * this process here; the socket is a duplicate, as after SCM_RIGHTS.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <sluice/worker.h>

#include "conn/epoch.h"
#include "core/error.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/state.h"
#include "handover/worker.h"
#include "record/ktls.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define PEER "spiffe://example.test/client"
#define WAIT_MS 20000
#define SESSION 4711

static uint8_t message[WIRE_MAX];

/* A pair whose server has kept its keys, as in a handshaker. */
static void open_pair(struct pair *pair, const char *path, const char *version, const char *options)
{
	pair_open(pair, &(struct pair_setup){
				.path = path, .versions = version, .server_options = options });
	pair_start(pair, NULL);
	pair->server->keep_keys = true;
	assert_int_equal(pair_run(pair), 0);
}

static size_t write_state(const struct pair *pair)
{
	struct wire wire;

	wire_begin(&wire, message, sizeof(message), MSG_ESTABLISHED, 1);
	wire_put_u64(&wire, ATTR_SESSION, SESSION);
	assert_int_equal(state_write(pair->server, &wire), 0);
	assert_true(wire_end(&wire) > 0);
	return wire_end(&wire);
}

/* The same without what the broker keeps. */
static size_t strip_keys(uint8_t *out, size_t len)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	struct wire wire;

	assert_true(wire_open(&reader, message, len, &head));
	wire_begin(&wire, out, WIRE_MAX, MSG_CONNECTION, SESSION);
	while (wire_next(&reader, &attr) == 1)
		if (attr.type != ATTR_RX_KEYS && attr.type != ATTR_TX_KEYS)
			wire_put(&wire, attr.type, attr.bytes, attr.len);
	return wire_end(&wire);
}

static int read_state(struct sluice_conn **ret_conn, struct pair *pair, const uint8_t *bytes,
		      size_t len, int fd)
{
	struct sluice_profile *profile = NULL;
	struct wire_reader reader;
	struct wire_head head;
	int r;

	if (!wire_open(&reader, bytes, len, &head))
		return -SLUICE_E_PROTOCOL;
	r = state_read(ret_conn, pair->sluice, &profile, &reader, fd);
	sluice_profile_unref(profile);
	return r;
}

static bool on_kernel(const struct sluice_conn *conn)
{
	return conn->info.rx.path == SLUICE_PATH_KERNEL;
}

/* Moves the server. On the kernel path it has no secrets afterwards. */
static void move(struct pair *pair)
{
	static uint8_t stripped[WIRE_MAX];
	size_t len = write_state(pair);
	int fd = dup(pair->server->fd);
	bool kernel = on_kernel(pair->server);
	const uint8_t *bytes = message;

	if (kernel) {
		len = strip_keys(stripped, len);
		bytes = stripped;
	}
	pair->server = state_release(pair->server);
	assert_int_equal(read_state(&pair->server, pair, bytes, len, fd), 0);
}

static void data_go_both_ways_after_the_move(void **state)
{
	struct sluice_conn_info before, after;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, path, version, "tx_max_payload_len = 1000");
		assert_int_equal(conn_text(&pair.server->info.peer_identity, PEER, strlen(PEER)),
				 0);
		before = check_info(pair.server);
		move(&pair);
		after = check_info(pair.server);
		assert_int_equal(before.version, after.version);
		assert_int_equal(before.suite, after.suite);
		assert_int_equal(before.group, after.group);
		assert_int_equal(before.rx.path, after.rx.path);
		assert_int_equal(before.tx.path, after.tx.path);
		assert_int_equal(before.tx.reason, after.tx.reason);
		assert_int_equal(after.stage, SLUICE_STAGE_LIVE);
		assert_string_equal(before.suite_name, after.suite_name);
		assert_string_equal(before.version_name, after.version_name);
		assert_string_equal(before.sni, after.sni);
		assert_string_equal(before.peer_identity, after.peer_identity);
		assert_int_equal(before.tx_max_payload, 1000);
		assert_int_equal(after.tx_max_payload, 1000);
		pair_exchange(&pair, 100000);
		pair_close(&pair);
	}
}

static void it_may_move_more_than_once(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, "user", version, NULL);
		move(&pair);
		move(&pair);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

static void early_plaintext_travels(void **state)
{
	struct pair pair;
	char buf[16];

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, path, version, NULL);
		assert_null(pair.server->early);
		pair.server->early = malloc(5);
		memcpy(pair.server->early, "early", 5);
		pair.server->early_len = 5;
		move(&pair);
		assert_int_equal(sluice_send(pair.client, "late", 4, WAIT_MS), 4);
		assert_int_equal(sluice_recv(pair.server, buf, 5, WAIT_MS), 5);
		assert_memory_equal(buf, "early", 5);
		assert_int_equal(sluice_recv(pair.server, buf, sizeof(buf), WAIT_MS), 4);
		assert_memory_equal(buf, "late", 4);
		pair_close(&pair);
	}
}

static void not_after_it_was_used(void **state)
{
	struct pair pair;
	struct wire wire;
	char byte;

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, path, version, NULL);
		assert_int_equal(sluice_send(pair.client, "x", 1, WAIT_MS), 1);
		assert_int_equal(sluice_recv(pair.server, &byte, 1, WAIT_MS), 1);
		wire_begin(&wire, message, sizeof(message), MSG_ESTABLISHED, 1);
		assert_int_equal(state_write(pair.server, &wire), -SLUICE_E_STATE);
		assert_int_equal(wire_end(&wire), WIRE_HEAD_LEN);
		pair_drop(&pair);
		pair_close(&pair);
	}
}

static void not_during_the_handshake(void **state)
{
	struct pair pair;
	struct wire wire;

	pair_open(&pair, &(struct pair_setup){ 0 });
	pair_start(&pair, NULL);
	wire_begin(&wire, message, sizeof(message), MSG_ESTABLISHED, 1);
	assert_int_equal(state_write(pair.server, &wire), -SLUICE_E_STATE);
	pair_close(&pair);
}

/* --- messages that nobody writes ---------------------------------------------------------------- */

/* What is read of it may be used, and freed; the real one goes on. */
static void try(struct pair *pair, const uint8_t *bytes, size_t len)
{
	struct sluice_conn *conn;
	int fd = dup(pair->server->fd);
	char byte;

	if (read_state(&conn, pair, bytes, len, fd) < 0) {
		assert_int_equal(close(fd), 0); /* still ours */
		return;
	}
	check_info(conn);
	sluice_conn_events(conn);
	sluice_conn_timeout(conn);
	if (!on_kernel(conn))
		sluice_recv(conn, &byte, 1, SLUICE_NOWAIT);
	state_release(conn);
}

static void corrupted_at_every_byte(void **state)
{
	static const uint8_t changes[] = { 0x01, 0x80, 0xff };
	struct pair pair;
	size_t len, i, j;
	uint8_t *copy;

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, path, version, NULL);
		len = write_state(&pair);
		for (i = 0; i < len; i++) {
			copy = malloc(i ? i : 1); /* cut off: no byte behind it may be read */
			memcpy(copy, message, i);
			try(&pair, copy, i);
			free(copy);
			for (j = 0; j < sizeof(changes); j++) {
				message[i] ^= changes[j];
				try(&pair, message, len);
				message[i] ^= changes[j];
			}
		}
		move(&pair);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

static void without_keys_there_is_no_user_path(void **state)
{
	static uint8_t stripped[WIRE_MAX];
	struct sluice_conn *conn;
	struct pair pair;
	size_t len;

	open_pair(&pair, "user", NULL, NULL);
	len = strip_keys(stripped, write_state(&pair));
	assert_int_equal(read_state(&conn, &pair, stripped, len, pair.server->fd),
			 -SLUICE_E_PROTOCOL);
	pair_close(&pair);
}

/* --- a worker and a broker's end ---------------------------------------------------------------- */

/* struct broker - as much of one as a worker sees; a thread of its own. */
struct broker {
	pthread_t thread;
	char path[100];
	int listen_fd, fd, link_fd;
	const uint8_t *message; /* MSG_CONNECTION */
	size_t len;
	int conn_fd;
	struct traffic *traffic[2]; /* by direction; NULL: not on the kernel path */
	int rekeys, acks;
	uint64_t ended, rx_bytes, tx_bytes; /* of MSG_ENDED */
	int failed;                         /* line of what went wrong */
};

#define MUST(what)                                 \
	do {                                       \
		if (!(what) && !broker->failed)    \
			broker->failed = __LINE__; \
	} while (0)

static ssize_t hear(int fd, uint8_t *buf, struct channel_fds *fds)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, WAIT_MS) == 1 ? channel_recv(fd, buf, WIRE_MAX, fds) : -ETIMEDOUT;
}

static void answer_rekey(struct broker *broker, struct wire_reader reader, uint32_t id, int fd)
{
	struct traffic *next;
	uint64_t direction = 2;
	struct attr attr;
	struct wire wire;
	uint8_t buf[64];
	int r = -1;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_DIRECTION)
			attr_u64(&attr, &direction);
	MUST(direction < 2 && fd >= 0);
	if (broker->traffic[direction] &&
	    traffic_next_epoch(&next, broker->traffic[direction]) == 0) {
		r = ktls_install(fd, direction ? KTLS_TX : KTLS_RX, next);
		traffic_free(broker->traffic[direction]);
		broker->traffic[direction] = next;
	}
	wire_begin(&wire, buf, sizeof(buf), MSG_REKEYED, id);
	if (r)
		wire_put_u64(&wire, ATTR_ERROR, SLUICE_E_REKEY);
	MUST(channel_send(broker->link_fd, buf, wire_end(&wire), NULL, 0) == 0);
	broker->rekeys++;
}

static void take_ended(struct broker *broker, struct wire_reader reader)
{
	struct attr attr;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_SESSION)
			attr_u64(&attr, &broker->ended);
		if (attr.type == ATTR_RX_BYTES)
			attr_u64(&attr, &broker->rx_bytes);
		if (attr.type == ATTR_TX_BYTES)
			attr_u64(&attr, &broker->tx_bytes);
	}
}

/* Both sockets, until both have ended. */
static void serve(struct broker *broker, uint8_t *buf)
{
	struct pollfd pfds[2] = { { broker->fd, POLLIN, 0 }, { broker->link_fd, POLLIN, 0 } };
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	int i, open = 2;
	ssize_t n;

	while (open && poll(pfds, 2, WAIT_MS) > 0)
		for (i = 0; i < 2; i++) {
			if (!pfds[i].revents)
				continue;
			n = channel_recv(pfds[i].fd, buf, WIRE_MAX, &fds);
			if (n <= 0) {
				pfds[i].fd = -1;
				open--;
				continue;
			}
			MUST(wire_open(&reader, buf, (size_t)n, &head));
			if (head.type == MSG_ACK)
				broker->acks++;
			else if (head.type == MSG_REKEY)
				answer_rekey(broker, reader, head.id, fds.n ? fds.fds[0] : -1);
			else if (head.type == MSG_ENDED)
				take_ended(broker, reader);
			channel_close_fds(&fds);
		}
	MUST(!open);
}

static void *run_broker(void *arg)
{
	struct broker *broker = arg;
	uint8_t *buf = malloc(WIRE_MAX);
	struct pollfd pfd = { .fd = broker->listen_fd, .events = POLLIN };
	struct channel_fds fds;
	struct wire wire;
	int pair[2];

	poll(&pfd, 1, WAIT_MS);
	broker->fd = accept4(broker->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	MUST(broker->fd >= 0 && hear(broker->fd, buf, &fds) > 0 && buf[1] == MSG_ATTACH);
	MUST(channel_pair(pair) == 0);
	broker->link_fd = pair[0];
	wire_begin(&wire, buf, WIRE_MAX, MSG_WELCOME, 0);
	MUST(channel_send(broker->fd, buf, wire_end(&wire), &pair[1], 1) == 0);
	close(pair[1]);
	MUST(hear(broker->fd, buf, &fds) > 0 && buf[1] == MSG_CREDIT);
	MUST(channel_send(broker->fd, broker->message, broker->len, &broker->conn_fd, 1) == 0);
	close(broker->conn_fd);
	serve(broker, buf);
	close(broker->fd);
	close(broker->link_fd);
	free(buf);
	return NULL;
}

static void start_broker(struct broker *broker, struct pair *pair)
{
	static uint8_t stripped[WIRE_MAX];
	const struct suite *suite = pair->server->suite;
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	size_t len = write_state(pair);

	memset(broker, 0, sizeof(*broker));
	broker->conn_fd = dup(pair->server->fd);
	broker->message = message;
	broker->len = len;
	message[1] = MSG_CONNECTION;
	if (on_kernel(pair->server)) {
		wire_open(&reader, message, len, &head);
		while (wire_next(&reader, &attr) == 1)
			if (attr.type == ATTR_RX_KEYS || attr.type == ATTR_TX_KEYS)
				assert_int_equal(
					keys_read(&broker->traffic[attr.type == ATTR_TX_KEYS],
						  &attr, suite),
					0);
		broker->message = stripped;
		broker->len = strip_keys(stripped, len);
	}
	pair->server = state_release(pair->server);
	snprintf(broker->path, sizeof(broker->path), "/tmp/sluice-handover-%d", (int)getpid());
	broker->listen_fd = channel_listen(broker->path, 0600);
	assert_true(broker->listen_fd >= 0);
	assert_int_equal(pthread_create(&broker->thread, NULL, run_broker, broker), 0);
}

static void stop_broker(struct broker *broker)
{
	pthread_join(broker->thread, NULL);
	close(broker->listen_fd);
	unlink(broker->path);
	traffic_free(broker->traffic[0]);
	traffic_free(broker->traffic[1]);
	if (broker->failed)
		fail_msg("the broker, line %d", broker->failed);
}

static struct sluice_worker *take(struct pair *pair, const struct broker *broker)
{
	struct sluice_worker *worker;
	struct sluice_error err;

	assert_int_equal(sluice_worker_attach(pair->sluice, broker->path, &worker, &err), 0);
	assert_int_equal(sluice_worker_credit(worker, 1), 0);
	assert_int_equal(sluice_worker_next(worker, WAIT_MS, &pair->server), 0);
	assert_int_equal(sluice_conn_session(pair->server), SESSION);
	assert_int_equal(sluice_worker_next(worker, SLUICE_NOWAIT, &pair->server), -SLUICE_E_AGAIN);
	return worker;
}

/* Connections outlive their worker object; the broker is told of their end then, too. */
static void a_worker_takes_it_and_tells_of_its_end(void **state)
{
	struct sluice_worker *worker;
	struct broker broker;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, path, version, NULL);
		start_broker(&broker, &pair);
		worker = take(&pair, &broker);
		sluice_worker_free(worker);
		pair_exchange(&pair, 50000);
		pair_close(&pair);
		stop_broker(&broker);
		assert_int_equal(broker.acks, 1);
		assert_int_equal(broker.ended, SESSION);
		assert_int_equal(broker.rx_bytes, 50000);
		assert_int_equal(broker.tx_bytes, 50000);
	}
}

static void keys_change_after_the_move(void **state)
{
	struct sluice_conn_info info;
	struct sluice_worker *worker;
	struct broker broker;
	struct pair pair;
	bool kernel, can;

	PAIR_FOR_EACH_PATH(path)
	{
		open_pair(&pair, path, "tlsv1.3", "key_update_at = 20000");
		kernel = on_kernel(pair.server);
		can = !kernel ||
		      (!pair.sluice->caps.rekey_rx_errno && !pair.sluice->caps.rekey_tx_errno);
		start_broker(&broker, &pair);
		worker = take(&pair, &broker);
		pair_exchange(&pair, 200000);
		info = check_info(pair.server);
		if (can)
			assert_true(info.tx.epoch >= 5);
		pair_close(&pair);
		sluice_worker_free(worker);
		stop_broker(&broker);
		if (kernel && can)
			assert_true(broker.rekeys >= 5);
		else if (!kernel)
			assert_int_equal(broker.rekeys, 0); /* it has its secrets itself */
	}
}

/*
 * A server without secrets, also where the kernel has no TLS: there it is told that its path is the kernel's,
 * and what it sends goes out as it is.
 */
static void open_without_secrets(struct pair *pair, const char *path)
{
	open_pair(pair, path, "tlsv1.3", NULL);
	pair->server->info.rx.path = pair->server->info.tx.path = SLUICE_PATH_KERNEL;
}

static void a_key_update_that_waits_does_not_keep_close_notify_back(void **state)
{
	struct sluice_worker *worker;
	struct broker broker;
	struct pair pair;
	uint8_t byte;
	bool kernel;

	PAIR_FOR_EACH_PATH(path)
	{
		open_without_secrets(&pair, path);
		kernel = on_kernel(pair.client);
		start_broker(&broker, &pair);
		worker = take(&pair, &broker);
		assert_null(pair.server->tx_traffic);
		assert_int_equal(epoch_update(pair.server, false, SLUICE_REKEY_PEER), 0);
		worker_ended(pair.server, "over");
		assert_int_equal(pair.server->n_outgoing, 0);
		assert_int_equal(sluice_close(pair.server), 0);
		pair.server = NULL;
		if (kernel)
			assert_int_equal(sluice_recv(pair.client, &byte, 1, WAIT_MS),
					 -SLUICE_E_CLOSED);
		sluice_worker_free(worker);
		stop_broker(&broker);
		assert_int_equal(broker.ended, SESSION);
		assert_int_equal(broker.rekeys, 0);
		pair_close(&pair);
	}
}

/* Nobody has the secrets: the keys stay, and that is an error. */
static void keys_do_not_change_where_nobody_has_them(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_without_secrets(&pair, path);
		move(&pair);
		assert_null(pair.server->home);
		assert_null(pair.server->rx_traffic);
		assert_int_equal(epoch_received(pair.server, false), -SLUICE_E_REKEY);
		pair_close(&pair);
		open_without_secrets(&pair, path);
		move(&pair);
		assert_int_equal(sluice_update_keys(pair.server, 0, WAIT_MS), -SLUICE_E_REKEY);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_go_both_ways_after_the_move),
		cmocka_unit_test(it_may_move_more_than_once),
		cmocka_unit_test(early_plaintext_travels),
		cmocka_unit_test(not_after_it_was_used),
		cmocka_unit_test(not_during_the_handshake),
		cmocka_unit_test(corrupted_at_every_byte),
		cmocka_unit_test(without_keys_there_is_no_user_path),
		cmocka_unit_test(a_worker_takes_it_and_tells_of_its_end),
		cmocka_unit_test(keys_change_after_the_move),
		cmocka_unit_test(a_key_update_that_waits_does_not_keep_close_notify_back),
		cmocka_unit_test(keys_do_not_change_where_nobody_has_them),
	};

	return cmocka_run_group_tests(tests, leaks_setup, leaks_teardown);
}
