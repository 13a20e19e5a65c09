/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server for a foreign event loop, here poll(2): many connections, one thread, no call waits.
 * Sends back what it receives, and does not read while it has something to send.
 *
 *     server-eventloop PORT CERTFILE KEYFILE
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/sluice.h>

#define MAX_CLIENTS 64

struct client {
	struct sluice_conn *conn; /* NULL: a free place */
	char buf[16384];
	size_t len, sent;
	int closing;
};

static struct client clients[MAX_CLIENTS];

static struct sluice_profile *make_profile(char **argv, struct sluice_error *err)
{
	struct sluice_profile *profile = NULL;
	struct sluice_options *opts;

	if (sluice_options_new(&opts) < 0)
		return NULL;
	if (sluice_options_set(opts, SLUICE_OPT_CERTFILE, argv[2], err) >= 0 &&
	    sluice_options_set(opts, SLUICE_OPT_KEYFILE, argv[3], err) >= 0)
		sluice_profile_new(&profile, opts, SLUICE_SERVER, err);
	sluice_options_free(opts);
	return profile;
}

/* Does what can be done now. Returns -SLUICE_E_AGAIN, or why the connection is over. */
static int serve(struct client *client)
{
	ssize_t n;
	int r;

	for (;;) {
		r = sluice_conn_dispatch(client->conn); /* handshake; what send() has accepted */
		if (r < 0)
			return r;
		if (client->sent == client->len) {
			client->len = client->sent = 0;
			n = sluice_recv(client->conn, client->buf, sizeof(client->buf), 0);
			client->len = n > 0 ? (size_t)n : 0;
		} else {
			n = sluice_send(client->conn, client->buf + client->sent,
					client->len - client->sent, SLUICE_NOWAIT);
			client->sent += n > 0 ? (size_t)n : 0;
		}
		if (n < 0)
			return (int)n;
	}
}

/* Serves, then closes, all without waiting. Returns -SLUICE_E_AGAIN while there is a connection. */
static int step(struct client *client)
{
	int r = client->closing ? 0 : serve(client);

	if (r == -SLUICE_E_AGAIN)
		return r;
	client->closing = 1;
	client->sent = client->len;
	return sluice_close_nowait(client->conn);
}

static void accept_one(struct sluice_listener *listener)
{
	struct client *client = clients;
	struct sluice_conn *conn;

	if (sluice_transport_accept(listener, SLUICE_NOWAIT, &conn) < 0)
		return;
	while (client->conn)
		client++; /* run() accepts only while there is a free place */
	*client = (struct client){ .conn = conn };
	sluice_handshake(conn, NULL, SLUICE_NOWAIT); /* dispatch tells how it goes */
}

static void run(struct sluice_listener *listener)
{
	struct pollfd pfds[1 + MAX_CLIENTS] = { { sluice_listener_fd(listener), POLLIN, 0 } };
	int i, timeout, ms, free_places;

	for (;;) {
		for (timeout = -1, free_places = 0, i = 0; i < MAX_CLIENTS; i++) {
			struct sluice_conn *conn = clients[i].conn;

			pfds[1 + i].fd = conn ? sluice_conn_fd(conn) : -1;
			pfds[1 + i].events = conn ? (short)sluice_conn_events(conn) : 0;
			if (clients[i].sent < clients[i].len)
				pfds[1 + i].events = POLLOUT; /* not read from meanwhile */
			ms = conn ? sluice_conn_timeout(conn) : -1;
			timeout = ms >= 0 && (timeout < 0 || ms < timeout) ? ms : timeout;
			free_places += !conn;
		}
		pfds[0].events = free_places ? POLLIN : 0;
		if (poll(pfds, 1 + MAX_CLIENTS, timeout) > 0 && pfds[0].revents)
			accept_one(listener);
		for (i = 0; i < MAX_CLIENTS; i++)
			if (clients[i].conn && step(&clients[i]) != -SLUICE_E_AGAIN)
				clients[i].conn = NULL;
	}
}

int main(int argc, char **argv)
{
	struct sluice_error err = { .text = "usage: PORT CERTFILE KEYFILE" };
	struct sluice_profile *profile = argc == 4 ? make_profile(argv, &err) : NULL;
	struct sluice_listener *listener;
	struct sluice *sluice;

	if (!profile || sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_listen(sluice, "127.0.0.1", (uint16_t)atoi(argv[1]), profile, &listener, &err) <
		    0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	printf("listening on port %d\n", sluice_listener_port(listener));
	fflush(stdout);
	run(listener);
}
