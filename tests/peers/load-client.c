/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transfers with every byte compared, for tests/daemon/load.sh: one thread for each connection.
 *
 *	load-client PORT CAFILE CASE COUNT BYTES [PACE]
 *
 * CASE: exchange, client-first, server-first, drop: as load.h; reset: the client resets in the middle;
 * slow-client: what the server sends is received at PACE bytes per second, slow-server: the server does so,
 * both until the end of standard input. COUNT connections, each with a size of its own up to BYTES, both ways;
 * with PACE the server receives that many bytes of each per second.
 *
 * Prints "connected COUNT"; at the end "ok N failed N short N wrong N": short are ends in order before all had
 * come, and wrong other bytes. Each failure has a line "failed ID WHY".
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "load.h"

#define SLOW_BYTES (UINT64_C(1) << 30)
#define STACK (512 * 1024)

enum { CLIENT_RESET = LOAD_CASES, SLOW_CLIENT, SLOW_SERVER, N_CASES };

static const char *const names[N_CASES] = {
	[LOAD_EXCHANGE] = "exchange",
	[LOAD_CLIENT_FIRST] = "client-first",
	[LOAD_SERVER_FIRST] = "server-first",
	[LOAD_DROP] = "drop",
	[CLIENT_RESET] = "reset",
	[SLOW_CLIENT] = "slow-client",
	[SLOW_SERVER] = "slow-server",
};

static struct sluice *sluice;
static struct sluice_profile *profile;
static uint16_t port;
static unsigned int what;
static uint32_t pace;
static uint64_t bytes;
static atomic_bool over; /* standard input has ended */
static atomic_int connected;
static atomic_int n_ok, n_failed, n_short, n_wrong;

static struct order make_order(uint64_t number)
{
	struct order order = { .what = what < LOAD_CASES ? what : LOAD_EXCHANGE };

	order.id = (uint64_t)getpid() << 20 | number;
	order.up = bytes * (number % 10 + 1) / 10 + number;
	order.down = bytes * ((number + 5) % 10 + 1) / 10 + number;
	if (what == SLOW_CLIENT || what == SLOW_SERVER) {
		order.up = what == SLOW_SERVER ? SLOW_BYTES : 0;
		order.down = what == SLOW_CLIENT ? SLOW_BYTES : 0;
	}
	order.pace = what == SLOW_CLIENT ? 0 : pace;
	if (order.pace)
		order.down /= 10; /* a server that is killed over unread bytes resets */
	return order;
}

/* Both at once, until the end of standard input. */
static int move_slowly(const struct end *end, struct stream *out, struct stream *in)
{
	ssize_t n;

	in->pace = pace;
	while (!over) {
		n = what == SLOW_CLIENT ? load_recv(end, in) : load_send(end, out);
		if (n == 0)
			return ENDED_EARLY;
		if (n < 0 && n != -SLUICE_E_AGAIN)
			return (int)n;
		if (n < 0)
			usleep(100000);
	}
	return 0;
}

static int run(const struct end *end, const struct order *order)
{
	struct stream out = load_stream(order, 1, order->up), no_more = { 0 };
	struct stream in = load_stream(order, 0, order->down);
	int r = 0;

	switch (what) {
	case LOAD_EXCHANGE:
		r = load_move(end, &out, &in);
		return r ? r : load_ends(end);
	case LOAD_CLIENT_FIRST:
		r = load_move(end, &out, &no_more);
		if (r == 0)
			r = end_shutdown(end);
		if (r == 0)
			r = load_move(end, &no_more, &in);
		return r ? r : load_ends(end);
	case LOAD_SERVER_FIRST:
		r = load_move(end, &no_more, &in);
		if (r == 0)
			r = load_ends(end);
		return r ? r : load_move(end, &out, &no_more);
	case CLIENT_RESET:
		out.len /= 2;
		in.len /= 2;
		return load_move(end, &out, &in);
	case SLOW_CLIENT:
	case SLOW_SERVER:
		return move_slowly(end, &out, &in);
	default:
		return load_move(end, &out, &in);
	}
}

static int open_end(struct end *end, const struct order *order)
{
	struct sluice_error err;
	int r = sluice_connect(sluice, "127.0.0.1", port, profile, NULL, WAIT_MS, &end->conn, &err);

	if (r < 0) {
		printf("failed %llu connecting: %s\n", (unsigned long long)order->id, err.text);
		return r;
	}
	connected++;
	end->fd = sluice_conn_fd(end->conn);
	return sluice_send(end->conn, order, sizeof(*order), WAIT_MS) == sizeof(*order)
		       ? 0
		       : -SLUICE_E_IO;
}

static void *transfer(void *arg)
{
	struct order order = make_order((uint64_t)(uintptr_t)arg);
	struct end end = { 0 };
	int r = open_end(&end, &order);

	if (r == 0)
		r = run(&end, &order);
	if (end.conn && what >= CLIENT_RESET)
		end_reset(&end);
	else if (end.conn)
		end_close(&end);
	n_ok += r == 0;
	n_failed += r != 0;
	n_short += r == ENDED_EARLY;
	n_wrong += r == OTHER_BYTES;
	if (r)
		printf("failed %llu %s\n", (unsigned long long)order.id, load_error(r));
	return NULL;
}

static int start(const char *cafile)
{
	struct sluice_options *opts;
	struct sluice_error err;

	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 || sluice_options_new(&opts) < 0 ||
	    sluice_options_set(opts, SLUICE_OPT_CACERTFILE, cafile, &err) < 0 ||
	    sluice_options_set(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT, "60000", &err) < 0 ||
	    sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err) < 0) {
		fprintf(stderr, "load-client: %s\n", err.text);
		return -1;
	}
	sluice_options_free(opts);
	return 0;
}

static pthread_t *begin_all(int count)
{
	pthread_t *threads = calloc((size_t)count, sizeof(*threads));
	pthread_attr_t attr;
	int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (i = 0; i < count; i++)
		if (pthread_create(&threads[i], &attr, transfer, (void *)(uintptr_t)i)) {
			fprintf(stderr, "load-client: no thread\n");
			exit(1);
		}
	return threads;
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	int count, i;
	char byte;

	if (argc < 6 || argc > 7)
		return 2;
	port = (uint16_t)atoi(argv[1]);
	while (what < N_CASES && strcmp(argv[3], names[what]))
		what++;
	count = atoi(argv[4]);
	bytes = strtoull(argv[5], NULL, 10);
	pace = argc == 7 ? (uint32_t)atoi(argv[6]) : 0;
	if (what == N_CASES || count < 1 || start(argv[2]) < 0)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	threads = begin_all(count);
	for (i = 0; i < WAIT_MS / 10 && connected + n_failed < count; i++)
		usleep(10000);
	printf("connected %d\n", connected);
	if (what == SLOW_CLIENT || what == SLOW_SERVER)
		while (read(0, &byte, 1) > 0)
			;
	over = true;
	for (i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	printf("ok %d failed %d short %d wrong %d\n", n_ok, n_failed, n_short, n_wrong);
	free(threads);
	sluice_profile_unref(profile);
	sluice_stop(sluice);
	return n_failed ? 1 : 0;
}
