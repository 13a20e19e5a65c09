/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at a steady rate from many addresses, for tests/daemon: connects, says a line, reads the answer
 * to its end, and accounts for every one of them.
 *
 *	storm PORT CAFILE COUNT THREADS RATE
 *
 * Prints "failed MS ADDRESS:PORT STAGE TEXT" for each request that failed, MS being the milliseconds of the
 * Unix time, and at the end a line of counts and latencies. Before its hello and before its request a client
 * hesitates for up to 40 ms, so that many are always there; latencies do not contain that. With COUNT 0 it goes on until its standard
 * input ends. Requests that are late are not made up for: RATE, for each second, is never passed. Source addresses
 * are 127.0.1.1 and up, one for each thread.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <sluice/sluice.h>

#define WAIT_MS 30000
#define MAX_THREADS 200
#define MAX_COUNT 1000000
#define HESITATE_US 40000
#define FIRST_SOURCE 0x7f000101

struct client {
	pthread_t thread;
	int number;
	unsigned int seed;
	uint64_t began_us;
	struct sockaddr_in local;
	struct sluice_error err;
};

static struct client clients[MAX_THREADS];
static struct sluice *sluice;
static struct sluice_profile *profile;
static struct sockaddr_in server = { .sin_family = AF_INET };
static uint64_t step_us, next_us; /* when the next request may begin, with the lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t *latencies_us;
static long count;
static atomic_long begun, good, bad;
static atomic_int stopped;
static _Atomic uint64_t longest_failure_us;

static uint64_t now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void await_turn(void)
{
	uint64_t now = now_us(CLOCK_MONOTONIC), turn;

	pthread_mutex_lock(&lock);
	turn = next_us > now ? next_us : now;
	next_us = turn + step_us;
	pthread_mutex_unlock(&lock);
	if (turn > now)
		usleep((useconds_t)(turn - now));
}

static int connect_from(int number, struct sockaddr_in *ret_local)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(FIRST_SOURCE + (uint32_t)number) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*ret_local);
	int on = 1;

	*ret_local = from;
	if (fd >= 0) /* the request follows the Finished in a segment of its own */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    getsockname(fd, (struct sockaddr *)ret_local, &len) == 0 &&
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void hesitate(unsigned int *seed, uint64_t *began_us)
{
	uint64_t now = now_us(CLOCK_MONOTONIC);

	usleep((useconds_t)rand_r(seed) % HESITATE_US);
	*began_us += now_us(CLOCK_MONOTONIC) - now;
}

/* Returns what it was doing when it failed, or NULL. */
static const char *talk(struct sluice_conn *conn)
{
	static const char line[] = "hello\n";
	char buf[2048];
	size_t len = 0;
	ssize_t n;

	if (sluice_send(conn, line, sizeof(line) - 1, WAIT_MS) < 0)
		return "request";
	while ((n = sluice_recv(conn, buf + len, sizeof(buf) - 1 - len, WAIT_MS)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	return n == -SLUICE_E_CLOSED && strstr(buf, "worker=") ? NULL : "answer";
}

static const char *once(struct client *client)
{
	struct sluice_conn *conn = NULL;
	int fd = connect_from(client->number, &client->local);
	const char *failed = "handshake";

	if (fd < 0) {
		snprintf(client->err.text, sizeof(client->err.text), "%s", strerror(errno));
		return "connect";
	}
	hesitate(&client->seed, &client->began_us);
	if (sluice_connect_fd(sluice, fd, "localhost", profile, NULL, WAIT_MS, &conn,
			      &client->err) == 0) {
		hesitate(&client->seed, &client->began_us);
		failed = talk(conn);
		if (failed)
			sluice_conn_error(conn, &client->err, sizeof(client->err));
	}
	if (conn)
		sluice_close(conn);
	else
		close(fd);
	return failed;
}

static void account(const struct client *client, const char *failed)
{
	uint64_t took_us = now_us(CLOCK_MONOTONIC) - client->began_us;
	uint64_t longest = longest_failure_us;
	char address[INET_ADDRSTRLEN];

	if (!failed) {
		latencies_us[good++] = (uint32_t)took_us;
		return;
	}
	bad++;
	while (took_us > longest &&
	       !atomic_compare_exchange_weak(&longest_failure_us, &longest, took_us))
		;
	inet_ntop(AF_INET, &client->local.sin_addr, address, sizeof(address));
	printf("failed %llu %s:%u %s %s\n", (unsigned long long)now_us(CLOCK_REALTIME) / 1000,
	       address, ntohs(client->local.sin_port), failed, client->err.text);
}

static void *run(void *arg)
{
	struct client *client = arg;

	while (!stopped && begun++ < count) {
		await_turn();
		client->began_us = now_us(CLOCK_MONOTONIC);
		account(client, once(client));
	}
	return NULL;
}

static void *await_end(void *arg)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
	stopped = 1;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) -
	       (*(const uint32_t *)a < *(const uint32_t *)b);
}

/* Milliseconds that so many of a thousand requests did not pass. */
static double quantile(long per_mille)
{
	return good ? latencies_us[(good - 1) * per_mille / 1000] / 1000.0 : 0;
}

static int prepare(const char *cafile, struct sluice_error *err)
{
	struct sluice_options *opts = NULL;
	int r = sluice_options_new(&opts);

	if (r >= 0)
		r = sluice_options_set(opts, SLUICE_OPT_CACERTFILE, cafile, err);
	if (r >= 0)
		r = sluice_options_set(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT, "30000", err);
	if (r >= 0)
		r = sluice_profile_new(&profile, opts, SLUICE_CLIENT, err);
	sluice_options_free(opts);
	if (r >= 0)
		r = sluice_start(&sluice, SLUICE_TEMPORARY, err);
	return r;
}

int main(int argc, char **argv)
{
	pthread_t ender;
	struct sluice_error err = { .alert = -1 };
	uint64_t began_us;
	int i, n;

	if (argc != 6) {
		fprintf(stderr, "usage: storm PORT CAFILE COUNT THREADS RATE\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	count = atol(argv[3]);
	n = atoi(argv[4]) < MAX_THREADS ? atoi(argv[4]) : MAX_THREADS;
	step_us = 1000000 / (uint64_t)atoi(argv[5]);
	latencies_us = calloc(MAX_COUNT, sizeof(*latencies_us));
	if (!latencies_us || count > MAX_COUNT || prepare(argv[2], &err) < 0) {
		fprintf(stderr, "storm: %s\n", err.text);
		return 2;
	}
	if (!count) {
		count = MAX_COUNT;
		pthread_create(&ender, NULL, await_end, NULL);
	}
	began_us = next_us = now_us(CLOCK_MONOTONIC);
	for (i = 0; i < n; i++) {
		clients[i].number = clients[i].seed = i;
		if (pthread_create(&clients[i].thread, NULL, run, &clients[i]))
			return 2;
	}
	for (i = 0; i < n; i++)
		pthread_join(clients[i].thread, NULL);
	qsort(latencies_us, (size_t)good, sizeof(*latencies_us), compare);
	printf("requests=%ld good=%ld bad=%ld seconds=%.1f p50_ms=%.1f p99_ms=%.1f p999_ms=%.1f max_ms=%.1f "
	       "failed_max_ms=%.1f\n",
	       good + bad, good, bad, (double)(now_us(CLOCK_MONOTONIC) - began_us) / 1e6,
	       quantile(500), quantile(990), quantile(999), quantile(1000),
	       (double)longest_failure_us / 1000);
	return bad ? 1 : 0;
}
