/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many connections at once, for tests/daemon: opens COUNT of them, says a line on each when all are
 * there, and reads it back; again for each byte of its standard input; at its end closes them.
 *
 *	crowd PORT CAFILE COUNT AT_ONCE [http]
 *
 * AT_ONCE: how many handshakes are under way. Prints "open COUNT" when all are open, "echoed COUNT" when
 * all were answered. http: the line is a request, and the answer's status is to be 200. Source addresses are
 * 127.0.0.1 and up, 10,000 connections each.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/sluice.h>

#define WAIT_MS 60000
#define LINE "a line of sixteen"
#define REQUEST "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
#define STATUS "HTTP/1.1 200"

static struct sluice *sluice;
static struct sluice_profile *profile;

static struct sluice_conn *begin(uint16_t port, int number)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	struct sluice_conn *conn = NULL;
	struct sluice_error err;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + number / 10000);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.sin_port = htons(port);
	if (fd < 0 || bind(fd, (struct sockaddr *)&from, sizeof(from)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		fprintf(stderr, "crowd: %d: %s\n", number, strerror(errno));
		exit(1);
	}
	r = sluice_connect_fd(sluice, fd, "localhost", profile, NULL, SLUICE_NOWAIT, &conn, &err);
	if (r < 0 && r != -SLUICE_E_AGAIN) {
		fprintf(stderr, "crowd: %d: %s\n", number, err.text);
		exit(1);
	}
	return conn;
}

/* Waits for whichever of conns[from..to) wants something, and goes on with each. Returns how many are left. */
static int turn(struct sluice_conn **conns, int from, int to)
{
	static struct pollfd pfds[1024];
	struct sluice_error err;
	int i, r, n = 0, left = 0;

	for (i = from; i < to; i++) {
		r = sluice_conn_dispatch(conns[i]);
		if (r == 0)
			continue;
		if (r != -SLUICE_E_AGAIN) {
			sluice_conn_error(conns[i], &err, sizeof(err));
			fprintf(stderr, "crowd: %d: %s\n", i, err.text);
			exit(1);
		}
		left++;
		if (n < 1024)
			pfds[n++] = (struct pollfd){ sluice_conn_fd(conns[i]),
						     sluice_conn_events(conns[i]), 0 };
	}
	if (left)
		poll(pfds, n, WAIT_MS);
	return left;
}

static void open_all(struct sluice_conn **conns, uint16_t port, int count, int at_once)
{
	int done = 0, begun = 0;

	while (done < count) {
		while (begun < count && begun - done < at_once)
			conns[begun] = begin(port, begun), begun++;
		while (turn(conns, done, begun))
			;
		done = begun;
	}
}

static int is_answered(struct sluice_conn *conn, int http)
{
	char buf[4096];
	ssize_t n;

	if (http) {
		n = sluice_recv(conn, buf, sizeof(buf), WAIT_MS);
		return n >= (ssize_t)strlen(STATUS) && !memcmp(buf, STATUS, strlen(STATUS));
	}
	n = sluice_recv_exact(conn, buf, sizeof(LINE), WAIT_MS);
	return n == sizeof(LINE) && !memcmp(buf, LINE, sizeof(LINE));
}

static int echo_all(struct sluice_conn **conns, int count, int http)
{
	const char *line = http ? REQUEST : LINE;
	ssize_t len = http ? strlen(REQUEST) : sizeof(LINE);
	int i;

	for (i = 0; i < count; i++)
		if (sluice_send(conns[i], line, (size_t)len, WAIT_MS) != len)
			return i;
	for (i = 0; i < count; i++)
		if (!is_answered(conns[i], http))
			return i;
	return count;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	struct sluice_conn **conns;
	struct sluice_options *opts;
	struct sluice_error err;
	int count, i, echoed, http;
	char byte;

	if (argc != 5 && (argc != 6 || strcmp(argv[5], "http")))
		return 2;
	http = argc == 6;
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	count = atoi(argv[3]);
	conns = calloc(count, sizeof(*conns));
	if (!conns || sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_options_new(&opts) < 0 ||
	    sluice_options_set(opts, SLUICE_OPT_CACERTFILE, argv[2], &err) < 0 ||
	    sluice_options_set(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT, "60000", &err) < 0 ||
	    sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err) < 0) {
		fprintf(stderr, "crowd: %s\n", err.text);
		return 1;
	}
	sluice_options_free(opts);
	open_all(conns, (uint16_t)atoi(argv[1]), count, atoi(argv[4]));
	printf("open %d\n", count);
	fflush(stdout);
	do {
		echoed = echo_all(conns, count, http);
		printf("echoed %d\n", echoed);
		fflush(stdout);
	} while (echoed == count && read(0, &byte, 1) > 0);
	for (i = 0; i < count; i++)
		sluice_close(conns[i]);
	free(conns);
	sluice_profile_unref(profile);
	sluice_stop(sluice);
	return echoed == count ? 0 : 1;
}
