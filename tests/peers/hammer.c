/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client that connects again and again, for tests/daemon: says a line, reads the answer to its end.
 *
 *	hammer PORT CAFILE COUNT THREADS [OPTION=VALUE]...
 *
 * Prints how many went well, failed, and were resumed. With COUNT 0 it goes on until its standard input
 * ends.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/sluice.h>

#define WAIT_MS 30000
#define MAX_THREADS 512

static struct sluice *sluice;
static struct sluice_profile *profile;
static uint16_t port;
static atomic_long left, good, bad, resumed;
static atomic_int stopped;

static int talk(struct sluice_conn *conn)
{
	static const char line[] = "hello\n";
	char buf[2048];
	size_t len = 0;
	ssize_t n;

	if (sluice_send(conn, line, sizeof(line) - 1, WAIT_MS) < 0)
		return -1;
	while ((n = sluice_recv(conn, buf + len, sizeof(buf) - 1 - len, WAIT_MS)) > 0)
		len += (size_t)n;
	buf[len] = '\0';
	return n == -SLUICE_E_CLOSED && strstr(buf, "worker=") ? 0 : -1;
}

static int once(void)
{
	struct sluice_error err = { .alert = -1 };
	struct sluice_conn *conn = NULL;
	struct sluice_conn_info info;
	char text[300];
	int r = sluice_connect(sluice, "localhost", port, profile, NULL, WAIT_MS, &conn, &err);

	if (r < 0) {
		sluice_format_error(&err, text, sizeof(text));
		fprintf(stderr, "%s\n", text);
	} else {
		r = talk(conn);
		if (sluice_conn_info(conn, &info, sizeof(info)) >= 0)
			resumed += info.resumed;
		if (r < 0) {
			sluice_conn_error(conn, &err, sizeof(err));
			sluice_format_error(&err, text, sizeof(text));
			fprintf(stderr, "talk: %s\n", text);
		}
	}
	if (conn)
		sluice_close(conn);
	return r;
}

static void *run(void *arg)
{
	while (!stopped && atomic_fetch_sub(&left, 1) > 0) {
		if (once() < 0)
			bad++;
		else
			good++;
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

static int make_profile(char **options, struct sluice_error *err)
{
	struct sluice_options *opts;
	char *value;
	int r = sluice_options_new(&opts);

	for (; r >= 0 && *options; options++) {
		value = strchr(*options, '=');
		if (!value)
			return -1;
		*value++ = '\0';
		r = sluice_options_set_name(opts, *options, value, err);
	}
	if (r >= 0)
		r = sluice_profile_new(&profile, opts, SLUICE_CLIENT, err);
	sluice_options_free(opts);
	return r;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX_THREADS], ender;
	struct sluice_error err = { .alert = -1 };
	char cafile[512], text[300];
	int i, n;

	if (argc < 5) {
		fprintf(stderr, "usage: hammer PORT CAFILE COUNT THREADS [OPTION=VALUE]...\n");
		return 2;
	}
	port = (uint16_t)atoi(argv[1]);
	left = atol(argv[3]);
	n = atoi(argv[4]) < MAX_THREADS ? atoi(argv[4]) : MAX_THREADS;
	snprintf(cafile, sizeof(cafile), "cacertfile=%s", argv[2]);
	argv[4] = cafile;
	if (make_profile(argv + 4, &err) < 0 || sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0) {
		sluice_format_error(&err, text, sizeof(text));
		fprintf(stderr, "hammer: %s\n", text);
		return 2;
	}
	if (!left) {
		left = INT64_MAX;
		pthread_create(&ender, NULL, await_end, NULL);
	}
	for (i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, NULL))
			return 2;
	for (i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("good=%ld bad=%ld resumed=%ld\n", good, bad, resumed);
	return bad ? 1 : 0;
}
