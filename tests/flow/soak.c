/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many connections at once, and a generator that decides what happens to which: sends and receives of
 * any size, key updates, half-closes, closes and resets. Whatever arrives must be the pattern from
 * where it stopped; an end in order must come after the last byte, and a reset after a prefix. Seconds
 * by default, ten minutes with SLUICE_TEST_LONG; SLUICE_TEST_SEED repeats a run.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sys.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define CONNECTIONS 200
#define MOST 40000 /* bytes of one call */
#define RUN_MS 20000
#define SHORT_US 3000000ull
#define LONG_US 600000000ull

/* One direction: @from's bytes on their way to its peer. */
struct stream {
	uint64_t sent, received;
	bool closed; /* close_notify is out */
	bool ended;  /* and has been read */
};

struct link {
	struct pair pair;       /* its two connections; the rest is shared */
	struct stream up, down; /* from the client, from the server */
	uint64_t updates;       /* asked for, by either end */
};

static struct link links[CONNECTIONS];
static uint64_t seed;
static int null_fd;
static struct {
	uint64_t bytes, updates, resets, closes, half_closes;
} total;

/* splitmix64: every run of a seed is the same. */
static uint64_t next_random(void)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Mostly small, sometimes large. */
static size_t random_size(void)
{
	uint64_t r = next_random();

	return 1 + (r >> 8) % (r % 4 ? 200 : MOST);
}

static void open_link(struct link *link, const struct pair *shared)
{
	*link = (struct link){ .pair = *shared };
	assert_int_equal(pair_connect(&link->pair), 0);
}

static void send_some(struct sluice_conn *conn, struct stream *stream)
{
	static uint8_t out[MOST];
	size_t len = random_size();
	ssize_t n;

	if (stream->closed)
		return;
	pair_pattern(out, len, stream->sent);
	n = sluice_send(conn, out, len, SLUICE_NOWAIT);
	if (n == -SLUICE_E_AGAIN)
		return;
	assert_in_range(n, 1, len);
	stream->sent += n;
}

/* Returns what the receive did; 0 after the end. */
static ssize_t receive_some(struct sluice_conn *conn, struct stream *stream)
{
	static uint8_t in[MOST], expected[MOST];
	size_t len = random_size();
	ssize_t n;

	if (stream->ended)
		return 0;
	n = sluice_recv(conn, in, len, SLUICE_NOWAIT);
	if (n == -SLUICE_E_CLOSED) {
		assert_true(stream->closed);
		assert_int_equal(stream->received, stream->sent);
		stream->ended = true;
		return 0;
	}
	if (n > 0) {
		pair_pattern(expected, n, stream->received);
		assert_memory_equal(in, expected, n);
		stream->received += n;
		total.bytes += n;
	}
	return n;
}

static void receive_in_order(struct sluice_conn *conn, struct stream *stream)
{
	ssize_t n = receive_some(conn, stream);

	assert_true(n >= 0 || n == -SLUICE_E_AGAIN);
}

static void update(struct link *link, struct sluice_conn *conn, const struct stream *stream)
{
	int r;

	if (stream->closed || !check_info(conn).can_rekey)
		return;
	r = sluice_update_keys(conn, next_random() % 2, SLUICE_NOWAIT);
	assert_true(r == 0 || r == -SLUICE_E_AGAIN);
	link->updates++;
	total.updates++;
}

static void half_close(struct sluice_conn *conn, struct stream *stream)
{
	int r;

	r = sluice_shutdown(conn, SHUT_WR, SLUICE_NOWAIT);
	assert_true(r == 0 || r == -SLUICE_E_AGAIN);
	total.half_closes += !stream->closed;
	stream->closed = true;
}

/* One end vanishes: the other gets a prefix, then an error, and never an end in order. */
static void reset(struct link *link, const struct pair *shared)
{
	struct linger linger = { 1, 0 };
	bool by_client = next_random() % 2;
	struct sluice_conn **gone = by_client ? &link->pair.client : &link->pair.server;
	struct sluice_conn *left = by_client ? link->pair.server : link->pair.client;
	struct stream *stream = by_client ? &link->up : &link->down;
	bool was_closed = stream->closed;
	ssize_t n;

	if (stream->ended)
		return;
	assert_int_equal(sluice_setopt(*gone, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	/* The last descriptor of the socket goes: a reset. */
	assert_true(dup2(null_fd, sluice_conn_fd(*gone)) >= 0);
	sluice_close(*gone);
	*gone = NULL;
	do {
		n = receive_some(left, stream);
	} while (n > 0 || n == -SLUICE_E_AGAIN);
	assert_true(n == -SLUICE_E_RESET || n == -SLUICE_E_TRUNCATED || (n == 0 && was_closed));
	assert_true(stream->received <= stream->sent);
	pair_drop(&link->pair);
	open_link(link, shared);
	total.resets++;
}

/* Both directions to their ends: nothing is lost. */
static void finish(struct link *link)
{
	struct pair *pair = &link->pair;
	uint64_t until = sys->now_us() + 1000ull * RUN_MS;

	while (!link->up.ended || !link->down.ended) {
		half_close(pair->client, &link->up);
		half_close(pair->server, &link->down);
		receive_in_order(pair->server, &link->up);
		receive_in_order(pair->client, &link->down);
		assert_true(sys->now_us() < until);
	}
	assert_int_equal(link->up.received, link->up.sent);
	assert_int_equal(link->down.received, link->down.sent);
	assert_int_equal(check_info(pair->client).tx.bytes, link->up.sent);
	assert_int_equal(check_info(pair->server).tx.bytes, link->down.sent);
	pair_drop(pair);
	total.closes++;
}

static void step(struct link *link, const struct pair *shared)
{
	bool client = next_random() % 2;
	struct sluice_conn *conn = client ? link->pair.client : link->pair.server;
	struct stream *out = client ? &link->up : &link->down;
	struct stream *in = client ? &link->down : &link->up;
	uint64_t what = next_random() % 1000;

	if (what < 450) {
		send_some(conn, out);
	} else if (what < 950) {
		receive_in_order(conn, in);
	} else if (what < 985) {
		update(link, conn, out);
	} else if (what < 990) {
		half_close(conn, out);
	} else if (what < 993) {
		reset(link, shared);
	} else if (what < 996) {
		finish(link);
		open_link(link, shared);
	} else {
		int r = sluice_conn_dispatch(conn);

		assert_true(r == 0 || r == -SLUICE_E_AGAIN);
	}
}

static void soak(const char *path, uint64_t duration_us)
{
	struct pair shared;
	uint64_t begin = sys->now_us(), steps = 0;
	size_t i;

	memset(&total, 0, sizeof(total));
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(null_fd >= 0);
	/* Both ends ask for keys as often as chance has it: no limit of honest peers applies. */
	pair_open(&shared,
		  &(struct pair_setup){ .path = path,
					.server_options = "limit_control_records = 1000000000\n"
							  "limit_key_updates = 1000000",
					.client_options = "limit_control_records = 1000000000\n"
							  "limit_key_updates = 1000000" });
	for (i = 0; i < CONNECTIONS; i++)
		open_link(&links[i], &shared);
	for (; sys->now_us() - begin < duration_us; steps++)
		step(&links[next_random() % CONNECTIONS], &shared);
	for (i = 0; i < CONNECTIONS; i++)
		finish(&links[i]);
	pair_close(&shared);
	close(null_fd);
	print_message("%s: %" PRIu64 " steps, %" PRIu64 " bytes, %" PRIu64 " key updates, %" PRIu64
		      " half-closes, %" PRIu64 " closes, %" PRIu64 " resets\n",
		      path, steps, total.bytes, total.updates, total.half_closes, total.closes,
		      total.resets);
}

static void connections_that_come_and_go(void **state)
{
	const char *given = getenv("SLUICE_TEST_SEED");
	bool is_long = getenv("SLUICE_TEST_LONG") != NULL;
	const char *best = pair_path(1) ? pair_path(1) : pair_path(0);

	seed = given ? strtoull(given, NULL, 10) : is_long ? sys->now_us() : 1;
	print_message("seed %" PRIu64 "\n", seed);
	if (is_long) {
		soak(best, LONG_US);
		return;
	}
	PAIR_FOR_EACH_PATH(path)
	soak(path, SHORT_US);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_that_come_and_go),
	};

	return cmocka_run_group_tests_name("flow/soak", tests, leaks_setup, leaks_teardown);
}
