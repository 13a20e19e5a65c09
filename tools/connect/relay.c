/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay of `sluice connect`: standard input to the peer, the peer to standard output, by
 * poll(2) and calls that do not wait. The end of the input ends our direction only; the
 * relay is over when the peer has ended its own.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client.h"

#define RELAY_BUF 65536

struct relay {
	struct client *client;
	char in[RELAY_BUF];
	size_t in_len, in_sent;
	bool in_end;
	bool shut; /* our direction has ended */
};

static int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -SLUICE_E_IO;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Receives until there is nothing more. Returns AGAIN, CLOSED or another error. */
static int drain_peer(struct relay *relay)
{
	char buf[RELAY_BUF];
	ssize_t n;
	int r;

	for (;;) {
		n = sluice_recv(relay->client->conn, buf, sizeof(buf), SLUICE_NOWAIT);
		if (n < 0)
			return (int)n;
		r = write_all(STDOUT_FILENO, buf, (size_t)n);
		if (r < 0) {
			fprintf(stderr, "sluice connect: standard output: %s\n", strerror(errno));
			return r;
		}
	}
}

static int send_input(struct relay *relay)
{
	ssize_t n;

	if (relay->in_sent == relay->in_len)
		return 0;
	n = sluice_send(relay->client->conn, relay->in + relay->in_sent,
			relay->in_len - relay->in_sent, SLUICE_NOWAIT);
	if (n == -SLUICE_E_AGAIN)
		return 0;
	if (n < 0)
		return (int)n;
	relay->in_sent += (size_t)n;
	return 0;
}

static void read_input(struct relay *relay)
{
	ssize_t n = read(STDIN_FILENO, relay->in, sizeof(relay->in));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	relay->in_sent = 0;
	relay->in_len = n > 0 ? (size_t)n : 0;
	relay->in_end = n <= 0;
}

static bool input_sent(const struct relay *relay)
{
	return relay->in_sent == relay->in_len;
}

/* The input has ended and is sent, but our direction not yet. */
static bool is_ending(const struct relay *relay)
{
	return relay->in_end && input_sent(relay) && !relay->shut;
}

/*
 * Ends our direction: close_notify, then FIN. Never waits for room: the peer may be waiting for us
 * to read before it reads on.
 */
static int end_output(struct relay *relay)
{
	int r = 0;

	if (!is_ending(relay))
		return 0;
	if (!relay->client->settings->keep_open)
		r = sluice_shutdown(relay->client->conn, SHUT_WR, SLUICE_NOWAIT);
	if (r == -SLUICE_E_AGAIN)
		return 0;
	relay->shut = true;
	return r;
}

static int wait_for_something(struct relay *relay)
{
	struct sluice_conn *conn = relay->client->conn;
	bool wants_input = !relay->in_end && input_sent(relay);
	struct pollfd fds[2] = {
		{ .fd = sluice_conn_fd(conn), .events = POLLIN },
		{ .fd = wants_input ? STDIN_FILENO : -1, .events = POLLIN },
	};

	fds[0].events |= (short)sluice_conn_events(conn);
	if (!input_sent(relay) || is_ending(relay))
		fds[0].events |= POLLOUT;
	if (poll(fds, 2, -1) < 0)
		return errno == EINTR ? 0 : -SLUICE_E_IO;
	if (fds[1].revents)
		read_input(relay);
	return 0;
}

int relay(struct client *client)
{
	struct relay relay = { .client = client };
	int r;

	for (;;) {
		r = drain_peer(&relay);
		if (r == -SLUICE_E_CLOSED)
			return 0;
		if (r == -SLUICE_E_AGAIN)
			r = send_input(&relay);
		if (r >= 0)
			r = end_output(&relay);
		if (r >= 0)
			r = wait_for_something(&relay);
		if (r < 0)
			return client_failed(client, r);
	}
}
