/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers of sluiced, for tests/daemon: one thread for each connection.
 *
 *	worker SOCKET answer NAME   answers a line, or an HTTP request, with facts as an HTTP response
 *	worker SOCKET echo NAME     what comes, until the peer ends
 *	worker SOCKET hold NAME     attaches, gives credits, and takes nothing
 *
 * Prints "attached", then the number of each session that it has taken.
 */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/worker.h>

#define AT_ONCE 256
#define WAIT_MS 20000
#define RETRIES 200
#define RETRY_MS 50

static struct sluice_worker *worker;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *name;
static int echoes;
static atomic_int active;

static void echo(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;

	while ((n = sluice_recv(conn, buf, sizeof(buf), WAIT_MS)) > 0)
		if (sluice_send(conn, buf, (size_t)n, WAIT_MS) < n)
			break;
}

static void answer(struct sluice_conn *conn)
{
	char buf[4096], body[1024], text[1280];
	struct sluice_conn_info info;
	size_t len = 0;
	ssize_t n;

	while (len < sizeof(buf) - 1) {
		n = sluice_recv(conn, buf + len, sizeof(buf) - 1 - len, WAIT_MS);
		if (n <= 0)
			return;
		len += (size_t)n;
		buf[len] = '\0';
		if (strncmp(buf, "GET ", 4) ? strchr(buf, '\n') : strstr(buf, "\r\n\r\n"))
			break;
	}
	sluice_conn_info(conn, &info, sizeof(info));
	snprintf(body, sizeof(body),
		 "worker=%s version=%s suite=%s sni=%s alpn=%s resumed=%d verified=%d path=%s\n",
		 name, info.version_name, info.suite_name, info.sni, info.alpn, info.resumed,
		 info.peer_verified, sluice_path_name(info.rx.path));
	snprintf(text, sizeof(text),
		 "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	sluice_send(conn, text, strlen(text), WAIT_MS);
}

static void *serve(void *arg)
{
	struct sluice_conn *conn = arg;

	if (echoes)
		echo(conn);
	else
		answer(conn);
	sluice_close(conn);
	pthread_mutex_lock(&lock);
	sluice_worker_credit(worker, 1);
	pthread_mutex_unlock(&lock);
	active--;
	return NULL;
}

static int run(void)
{
	struct sluice_conn *conn;
	pthread_attr_t attr;
	pthread_t thread;
	struct pollfd pfd = { .fd = sluice_worker_fd(worker), .events = POLLIN };
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (;;) {
		poll(&pfd, 1, -1);
		pthread_mutex_lock(&lock);
		r = sluice_worker_next(worker, SLUICE_NOWAIT, &conn);
		pthread_mutex_unlock(&lock);
		if (r == -SLUICE_E_AGAIN)
			continue;
		if (r < 0)
			return r;
		printf("%llu\n", (unsigned long long)sluice_conn_session(conn));
		active++;
		if (pthread_create(&thread, &attr, serve, conn)) {
			sluice_close(conn);
			active--;
		}
	}
}

/* A daemon that is started again is waited for. Returns whether it came. */
static int come_back(void)
{
	int i, r = -1;

	for (i = 0; i < RETRIES && r < 0; i++) {
		usleep(RETRY_MS * 1000);
		pthread_mutex_lock(&lock);
		r = sluice_worker_reattach(worker, NULL);
		if (r == 0)
			sluice_worker_credit(worker, AT_ONCE);
		pthread_mutex_unlock(&lock);
	}
	return r == 0;
}

int main(int argc, char **argv)
{
	struct sluice_error err;
	struct sluice *sluice;
	char text[300];
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: worker SOCKET answer|echo|hold NAME\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	name = argv[3];
	echoes = !strcmp(argv[2], "echo");
	r = sluice_start(&sluice, SLUICE_TEMPORARY, &err);
	if (r == 0)
		r = sluice_worker_attach(sluice, argv[1], &worker, &err);
	if (r < 0) {
		sluice_format_error(&err, text, sizeof(text));
		fprintf(stderr, "worker: %s\n", text);
		return 1;
	}
	puts("attached");
	sluice_worker_credit(worker, AT_ONCE);
	if (!strcmp(argv[2], "hold"))
		pause();
	do
		r = run();
	while (r == -SLUICE_E_CLOSED && come_back());
	fprintf(stderr, "worker: %s\n", sluice_strerror(r));
	while (active) /* what we have needs no daemon */
		usleep(10000);
	return r == -SLUICE_E_CLOSED ? 0 : 1;
}
