/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workers of sluiced, for tests/daemon: one thread for each connection.
 *
 *	worker SOCKET answer NAME   answers a line, or an HTTP request, with facts as an HTTP response;
 *	                            what has no TLS too
 *	worker SOCKET strict NAME   the same, but does not know that there are connections without TLS
 *	worker SOCKET echo NAME     what comes, until the peer ends
 *	worker SOCKET hold NAME     attaches, gives credits, and takes nothing
 *
 * Prints "attached", then the number of each session that it has taken.
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sluice/verify.h>
#include <sluice/worker.h>

#define AT_ONCE 256
#define WAIT_MS 20000
#define RETRIES 200
#define RETRY_MS 50

static struct sluice_worker *worker;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *name;
static int echoes, strict;
static atomic_int active;

static void echo(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;

	while ((n = sluice_recv(conn, buf, sizeof(buf), WAIT_MS)) > 0)
		if (sluice_send(conn, buf, (size_t)n, WAIT_MS) < n)
			break;
}

/* Numeric, "192.0.2.1:443" or "2001:db8::1:443". */
static void print_address(char out[80], const struct sockaddr_storage *addr)
{
	char host[64] = "?", port[16] = "?";

	getnameinfo((const struct sockaddr *)addr, sizeof(*addr), host, sizeof(host), port,
		    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(out, 80, "%s:%s", host, port);
}

/* A connection without TLS: whose it is, and what is read of it at once. */
static void *serve_plain(void *arg)
{
	struct sluice_plain *plain = arg;
	struct pollfd pfd = { .fd = plain->fd, .events = POLLIN };
	char local[80], peer[80], buf[4096], text[4400];
	ssize_t n;

	print_address(local, &plain->local);
	print_address(peer, &plain->peer);
	poll(&pfd, 1, WAIT_MS);
	n = read(plain->fd, buf, sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = '\0';
	buf[strcspn(buf, "\r\n")] = '\0';
	n = snprintf(text, sizeof(text), "worker=%s plain listener=%s peer=%s local=%s read=%s\n",
		     name, plain->listener, peer, local, buf);
	if (write(plain->fd, text, (size_t)n) < n)
		fprintf(stderr, "worker: a plain peer is gone\n");
	close(plain->fd);
	free(plain);
	pthread_mutex_lock(&lock);
	sluice_worker_credit(worker, 1);
	pthread_mutex_unlock(&lock);
	active--;
	return NULL;
}

static void answer(struct sluice_conn *conn)
{
	char buf[4096], body[2048], text[2304], local[80] = "?", peer[80] = "?";
	struct sockaddr_storage addr;
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
	if (sluice_peername(conn, &addr) == 0)
		print_address(peer, &addr);
	if (sluice_sockname(conn, &addr) == 0)
		print_address(local, &addr);
	snprintf(body, sizeof(body),
		 "worker=%s version=%s suite=%s sni=%s alpn=%s resumed=%d verified=%d identity=%s "
		 "attributes=%s bad_cert=%s bad_certs=%llx path=%s peer=%s local=%s\n",
		 name, info.version_name, info.suite_name, info.sni, info.alpn, info.resumed,
		 info.peer_verified, info.peer_identity, info.attributes,
		 sluice_bad_cert_name(info.bad_cert), (unsigned long long)info.bad_certs,
		 sluice_path_name(info.rx.path), peer, local);
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

static int next(struct sluice_conn **ret_conn, struct sluice_plain *ret_plain)
{
	int r;

	pthread_mutex_lock(&lock);
	if (strict)
		r = sluice_worker_next(worker, SLUICE_NOWAIT, ret_conn);
	else
		r = sluice_worker_next_any(worker, SLUICE_NOWAIT, ret_conn, ret_plain,
					   sizeof(*ret_plain));
	pthread_mutex_unlock(&lock);
	return r;
}

static void begin(struct sluice_conn *conn, const struct sluice_plain *plain)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *arg = conn;

	if (!conn) {
		arg = malloc(sizeof(*plain));
		memcpy(arg, plain, sizeof(*plain));
	}
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	active++;
	if (pthread_create(&thread, &attr, conn ? serve : serve_plain, arg) == 0)
		return;
	active--;
	if (conn)
		sluice_close(conn);
	else
		close(plain->fd);
}

static int run(void)
{
	struct pollfd pfd = { .fd = sluice_worker_fd(worker), .events = POLLIN };
	struct sluice_plain plain;
	struct sluice_conn *conn;
	int r;

	for (;;) {
		poll(&pfd, 1, -1);
		r = next(&conn, &plain);
		if (r == -SLUICE_E_AGAIN)
			continue;
		if (r == -SLUICE_E_NOT_TLS) {
			puts("not TLS");
			continue;
		}
		if (r < 0)
			return r;
		printf("%llu\n",
		       (unsigned long long)(conn ? sluice_conn_session(conn) : plain.session));
		begin(conn, &plain);
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
		fprintf(stderr, "usage: worker SOCKET answer|strict|echo|hold NAME\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	name = argv[3];
	echoes = !strcmp(argv[2], "echo");
	strict = !strcmp(argv[2], "strict");
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
