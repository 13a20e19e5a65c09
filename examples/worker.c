/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of sluiced: takes connections out of a pool and echoes what comes, any number at once in one
 * thread. It has no certificate, no key and no handshake: what it gets is an established connection.
 *
 *	worker /run/sluice/web.sock
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include <sluice/worker.h>

#define AT_ONCE 64 /* connections that may wait for us */
#define WAIT_S 5   /* for a daemon that is being restarted */
#define RETRY_MS 50

struct client {
	struct sluice_conn *conn;
	size_t len; /* of what came and is not sent back yet */
	char *rest; /* malloc()ed while there is some */
};

static int epoll_fd;

/* What the library waits for is what we wait for; while the peer does not read, we do not either. */
static void watch(struct client *client, int op)
{
	int events = sluice_conn_events(client->conn);
	struct epoll_event event = { .data.ptr = client };

	if (client->len)
		event.events = EPOLLOUT;
	else
		event.events = (events & POLLIN ? EPOLLIN : 0) | (events & POLLOUT ? EPOLLOUT : 0);
	epoll_ctl(epoll_fd, op, sluice_conn_fd(client->conn), &event);
}

static void end(struct client *client)
{
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, sluice_conn_fd(client->conn), NULL);
	sluice_close(client->conn);
	free(client->rest);
	free(client);
}

/* Sends @buf, and keeps what the peer has no room for. Returns 0, AGAIN or an error. */
static int send_back(struct client *client, const char *buf, size_t len)
{
	ssize_t n = sluice_send(client->conn, buf, len, SLUICE_NOWAIT);

	if (n < 0 && n != -SLUICE_E_AGAIN)
		return (int)n;
	if (n < 0)
		n = 0;
	client->len = len - (size_t)n;
	if (!client->len)
		return 0;
	if (!client->rest)
		client->rest = malloc(client->len);
	if (!client->rest)
		return -SLUICE_E_NOMEM;
	memmove(client->rest, buf + n, client->len);
	return -SLUICE_E_AGAIN;
}

static int echo(struct client *client)
{
	char buf[16384];
	ssize_t n;
	int r = 0;

	if (client->len)
		r = send_back(client, client->rest, client->len);
	if (r == 0) {
		free(client->rest);
		client->rest = NULL;
	}
	while (r == 0) {
		n = sluice_recv(client->conn, buf, sizeof(buf), SLUICE_NOWAIT);
		r = n < 0 ? (int)n : send_back(client, buf, (size_t)n);
	}
	return r;
}

static void client_ready(struct client *client)
{
	if (echo(client) == -SLUICE_E_AGAIN)
		watch(client, EPOLL_CTL_MOD);
	else
		end(client);
}

/* Returns 0, or why no more connections come. */
static int take_all(struct sluice_worker *worker, unsigned int *room)
{
	struct sluice_conn *conn;
	struct client *client;
	int r;

	while ((r = sluice_worker_next(worker, SLUICE_NOWAIT, &conn)) == 0) {
		(*room)--;
		client = calloc(1, sizeof(*client));
		if (!client) {
			sluice_close(conn);
			continue;
		}
		client->conn = conn;
		watch(client, EPOLL_CTL_ADD);
		client_ready(client); /* something may have come with the handshake */
	}
	if (r == -SLUICE_E_AGAIN && *room < AT_ONCE / 2) {
		r = sluice_worker_credit(worker, AT_ONCE - *room);
		*room = AT_ONCE;
	}
	return r == -SLUICE_E_AGAIN ? 0 : r;
}

/* Until the daemon is gone. */
static int serve(struct sluice_worker *worker)
{
	struct epoll_event event = { .events = EPOLLIN };
	unsigned int room = 0;
	int r;

	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, sluice_worker_fd(worker), &event);
	r = take_all(worker, &room);
	while (r == 0) {
		if (epoll_wait(epoll_fd, &event, 1, -1) != 1)
			continue;
		if (event.data.ptr)
			client_ready(event.data.ptr);
		else
			r = take_all(worker, &room);
	}
	epoll_ctl(epoll_fd, EPOLL_CTL_DEL, sluice_worker_fd(worker), NULL);
	return r;
}

/* The connections that we have go on without the daemon. Returns whether it came back in time. */
static int wait_for_daemon(struct sluice_worker *worker)
{
	time_t until = time(NULL) + WAIT_S;
	struct epoll_event event;

	/* Not by counting: connections that have much to do would use up every try at once. */
	while (time(NULL) < until) {
		if (sluice_worker_reattach(worker, NULL) == 0)
			return 1;
		if (epoll_wait(epoll_fd, &event, 1, RETRY_MS) == 1)
			client_ready(event.data.ptr);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct sluice_worker *worker;
	struct sluice_error err;
	struct sluice *sluice;
	char text[300];
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: worker SOCKET\n");
		return 2;
	}
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_worker_attach(sluice, argv[1], &worker, &err) < 0) {
		sluice_format_error(&err, text, sizeof(text));
		fprintf(stderr, "worker: %s\n", text);
		return 1;
	}
	do
		r = serve(worker);
	while (r == -SLUICE_E_CLOSED && wait_for_daemon(worker));
	fprintf(stderr, "worker: %s\n", sluice_strerror(r));
	sluice_worker_free(worker);
	sluice_stop(sluice);
	return r == -SLUICE_E_CLOSED ? 0 : 1;
}
