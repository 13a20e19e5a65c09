/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other end of load-client, for tests/daemon/load.sh: one thread for each connection.
 *
 *	load-server plain PORT      a server without TLS, behind sluice-relay
 *	load-server worker SOCKET   a worker of sluiced
 *	load-server echo PORT       a server without TLS that sends back what comes; one thread for all
 *
 * Prints "ready"; then for each connection "begin ID", and when it ends "done ID", "dropped ID" (it was
 * asked to), or "cut ID WHY".
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <sluice/worker.h>

#include "load.h"

#define AT_ONCE 256
#define STACK (512 * 1024)

static struct sluice_worker *worker; /* NULL: plain */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int read_order(const struct end *end, struct order *order)
{
	size_t got = 0;
	ssize_t n;

	while (got < sizeof(*order)) {
		n = end_recv(end, (uint8_t *)order + got, sizeof(*order) - got);
		if (n == 0 || (n < 0 && n != -SLUICE_E_AGAIN))
			return n ? (int)n : ENDED_EARLY;
		if (n > 0)
			got += (size_t)n;
		else if (end_wait(end, POLLIN) < 0)
			return -SLUICE_E_TIMEOUT;
	}
	return order->what < LOAD_CASES ? 0 : OTHER_BYTES;
}

static int obey(const struct end *end, const struct order *order)
{
	struct stream in = load_stream(order, 1, order->up), no_more = { 0 };
	struct stream out = load_stream(order, 0, order->down);
	int r;

	in.pace = order->pace;
	switch (order->what) {
	case LOAD_EXCHANGE:
		r = load_move(end, &out, &in);
		if (r == 0)
			r = end_shutdown(end);
		return r ? r : load_ends(end);
	case LOAD_CLIENT_FIRST:
		r = load_move(end, &no_more, &in);
		if (r == 0)
			r = load_ends(end);
		return r ? r : load_move(end, &out, &no_more);
	case LOAD_SERVER_FIRST:
		r = load_move(end, &out, &no_more);
		if (r == 0)
			r = end_shutdown(end);
		if (r == 0)
			r = load_move(end, &no_more, &in);
		return r ? r : load_ends(end);
	default:
		out.len /= 2;
		return load_move(end, &out, &no_more);
	}
}

static void *serve(void *arg)
{
	struct end *end = arg;
	struct order order = { 0 };
	int r = read_order(end, &order);
	int dropped;

	if (r == 0) {
		printf("begin %llu\n", (unsigned long long)order.id);
		r = obey(end, &order);
	}
	dropped = r == 0 && order.what == LOAD_DROP;
	if (dropped)
		end_reset(end);
	else
		end_close(end);
	if (r == 0)
		printf("%s %llu\n", dropped ? "dropped" : "done", (unsigned long long)order.id);
	else
		printf("cut %llu %s\n", (unsigned long long)order.id, load_error(r));
	free(end);
	if (worker) {
		pthread_mutex_lock(&lock);
		sluice_worker_credit(worker, 1);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void begin(struct sluice_conn *conn, int fd)
{
	struct end *end = malloc(sizeof(*end));
	pthread_attr_t attr;
	pthread_t thread;

	*end = (struct end){ conn, fd };
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	if (pthread_create(&thread, &attr, serve, end)) {
		fprintf(stderr, "load-server: no thread\n");
		exit(1);
	}
}

static int listen_at(const char *port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 4096)) {
		perror("load-server");
		exit(1);
	}
	puts("ready");
	return fd;
}

static int serve_plain(const char *port)
{
	int fd, listener = listen_at(port);

	while ((fd = accept(listener, NULL, NULL)) >= 0)
		begin(NULL, fd);
	perror("load-server: accept");
	return 1;
}

static int serve_pool(const char *path)
{
	struct sluice_error err;
	struct sluice *sluice;
	struct sluice_conn *conn;
	struct pollfd pfd;
	int r = sluice_start(&sluice, SLUICE_TEMPORARY, &err);

	if (r == 0)
		r = sluice_worker_attach(sluice, path, &worker, &err);
	if (r < 0) {
		fprintf(stderr, "load-server: %s\n", err.text);
		return 1;
	}
	puts("ready");
	sluice_worker_credit(worker, AT_ONCE);
	pfd = (struct pollfd){ .fd = sluice_worker_fd(worker), .events = POLLIN };
	do {
		poll(&pfd, 1, -1);
		pthread_mutex_lock(&lock);
		r = sluice_worker_next(worker, SLUICE_NOWAIT, &conn);
		pthread_mutex_unlock(&lock);
		if (r == 0)
			begin(conn, sluice_conn_fd(conn));
	} while (r == 0 || r == -SLUICE_E_AGAIN);
	fprintf(stderr, "load-server: %s\n", sluice_strerror(r));
	return 1;
}

/* Short lines, of peers that read: what does not fit into the socket is an error. */
static void echo(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		if (send(fd, buf, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
			break;
	if (n >= 0 || errno != EAGAIN)
		close(fd);
}

static int serve_echo(const char *port)
{
	int listener = listen_at(port), epoll = epoll_create1(EPOLL_CLOEXEC), fd;
	struct epoll_event event = { .events = EPOLLIN, .data.fd = listener };

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	while (epoll_wait(epoll, &event, 1, -1) == 1) {
		if (event.data.fd != listener) {
			echo(event.data.fd);
			continue;
		}
		fd = accept(listener, NULL, NULL);
		event = (struct epoll_event){ .events = EPOLLIN, .data.fd = fd };
		if (fd >= 0)
			epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct rlimit files;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && !strcmp(argv[1], "plain"))
		return serve_plain(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "echo"))
		return serve_echo(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "worker"))
		return serve_pool(argv[2]);
	fprintf(stderr, "usage: load-server plain|echo PORT | worker SOCKET\n");
	return 2;
}
