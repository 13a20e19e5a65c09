/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo: sends back what it receives. It reads on only when everything has been sent, so a peer that
 * does not read is not read from either. With --key-update-at-request a line KEYUPDATE lets
 * the answer to it begin a new epoch of our sending keys.
 */
#include <stdlib.h>
#include <string.h>

#include "apps.h"

#define ECHO_BUF (64 << 10)
#define COMMAND "KEYUPDATE\n"

struct echo {
	size_t matched; /* bytes of COMMAND seen at the beginning of the present line */
	bool in_line;   /* the present line is another one */
};

static void wait_for_data(struct peer *peer)
{
	peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	peer_receive(peer);
}

static int echo_start(struct peer *peer)
{
	peer->app_data = calloc(1, sizeof(struct echo));
	if (!peer->app_data)
		return -1;
	wait_for_data(peer);
	return 0;
}

/* Looks for the command line, which may come in pieces. */
static bool has_command(struct echo *echo, const uint8_t *data, size_t len)
{
	bool found = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (!echo->in_line && data[i] == COMMAND[echo->matched])
			echo->matched++;
		else
			echo->in_line = true;
		if (data[i] != '\n')
			continue;
		found = found || (!echo->in_line && echo->matched == strlen(COMMAND));
		echo->matched = 0;
		echo->in_line = false;
	}
	return found;
}

static void echo_data(struct peer *peer)
{
	struct echo *echo = peer->app_data;

	if (peer->worker->server->settings->key_update_at_request &&
	    has_command(echo, peer->rx_buf, peer->rx_len))
		peer->key_update_due = true;
	peer_deadline(peer, peer->worker->server->settings->idle_timeout);
	peer_send(peer, peer->rx_buf, peer->rx_len);
}

static void echo_sent(struct peer *peer)
{
	peer_consume(peer, peer->rx_len);
	if (peer->worker->draining)
		peer_finish(peer);
	else
		wait_for_data(peer);
}

/* Reading stops while there is something to send, so everything has been answered here. */
static void echo_end(struct peer *peer)
{
	peer_finish(peer);
}

static void echo_drain(struct peer *peer)
{
	if (!peer->sending)
		peer_finish(peer);
}

/* A peer that neither sends nor reads for so long: nothing orderly can be expected of it. */
static void echo_expired(struct peer *peer)
{
	if (peer->sending)
		peer_abort(peer, -SLUICE_E_TIMEOUT);
	else
		peer_finish(peer);
}

static void echo_free(struct peer *peer)
{
	free(peer->app_data);
}

const struct app app_echo = {
	.rx_size = ECHO_BUF,
	.start = echo_start,
	.data = echo_data,
	.sent = echo_sent,
	.end = echo_end,
	.drain = echo_drain,
	.expired = echo_expired,
	.free = echo_free,
};
