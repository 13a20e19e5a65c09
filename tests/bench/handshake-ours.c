/* SPDX-License-Identifier: Apache-2.0 */
/* The same handshakes by this library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>
#include <sluice/sluice.h>

#include "bench/handshake.h"

#define WAIT_MS 10000

struct ours {
	struct sluice *sluice;
	struct sluice_profile *profile;
	struct sluice_listener *listener;
	uint16_t port;
};

static struct ours *open_ours(enum sluice_role role, const char *text)
{
	struct ours *ours = calloc(1, sizeof(*ours));
	struct sluice_options *opts = NULL;
	struct sluice_error err;

	need(ours && sluice_start(&ours->sluice, SLUICE_TEMPORARY, &err) == 0 &&
		     sluice_options_new(&opts) == 0,
	     "sluice_start");
	need(sluice_options_parse(opts, text, strlen(text), &err) == 0 &&
		     sluice_profile_new(&ours->profile, opts, role, &err) == 0,
	     "a profile");
	sluice_options_free(opts);
	return ours;
}

static void close_ours(void *server)
{
	struct ours *ours = server;

	sluice_listener_free(ours->listener);
	sluice_profile_unref(ours->profile);
	sluice_stop(ours->sluice);
	free(ours);
}

static const char *version_of(const struct cell *cell)
{
	return cell->version == TLS1_3_VERSION ? "tlsv1.3" : "tlsv1.2";
}

static void end_ours(void *end)
{
	sluice_close_timeout(end, 0);
}

/* --- a server ---------------------------------------------------------------------------------- */

static void *open_server(const struct cell *cell, int *ret_fd, uint16_t *ret_port)
{
	struct sluice_error err;
	struct ours *ours;
	char text[1024];

	snprintf(text, sizeof(text),
		 "certfile = %s\nkeyfile = %s\nversions = %s\nsession_tickets = stateless\n"
		 "alert_timeout = 0\n",
		 files.cert, files.key, version_of(cell));
	ours = open_ours(SLUICE_SERVER, text);
	need(sluice_listen(ours->sluice, "127.0.0.1", 0, ours->profile, &ours->listener, &err) == 0,
	     "sluice_listen");
	*ret_fd = sluice_listener_fd(ours->listener);
	*ret_port = (uint16_t)sluice_listener_port(ours->listener);
	return ours;
}

static void *accept_ours(void *server, int *ret_fd)
{
	struct ours *ours = server;
	struct sluice_conn *conn;
	int r = sluice_transport_accept(ours->listener, SLUICE_NOWAIT, &conn);

	need(r == 0 || r == -SLUICE_E_AGAIN, "sluice_transport_accept");
	if (r < 0)
		return NULL;
	*ret_fd = sluice_conn_fd(conn);
	return conn;
}

static int step_ours(void *end)
{
	int r = sluice_handshake(end, NULL, SLUICE_NOWAIT);

	need(r == 0 || r == -SLUICE_E_AGAIN, "sluice_handshake");
	return r ? STEP_WAIT : STEP_DONE;
}

const struct server our_server = {
	.open = open_server,
	.close = close_ours,
	.accept = accept_ours,
	.step = step_ours,
	.end = end_ours,
};

/* --- a client ---------------------------------------------------------------------------------- */

static void *open_client(const struct cell *cell, uint16_t port)
{
	struct ours *ours;
	char text[1024];

	snprintf(text, sizeof(text),
		 "cacertfile = %s\nserver_name_indication = localhost\nversions = %s\n"
		 "session_tickets = manual\nalert_timeout = 0\n",
		 files.ca, version_of(cell));
	ours = open_ours(SLUICE_CLIENT, text);
	need(sluice_set_verify_threads(ours->sluice, 0) == 0,
	     "no threads"); /* it judges as the other does */
	ours->port = port;
	return ours;
}

static void *connect_ours(void *client)
{
	struct ours *ours = client;
	struct sluice_conn *conn;
	struct sluice_error err;

	need(sluice_connect(ours->sluice, "127.0.0.1", ours->port, ours->profile, NULL, WAIT_MS,
			    &conn, &err) == 0,
	     "sluice_connect");
	return conn;
}

const struct client our_client = {
	.open = open_client,
	.close = close_ours,
	.connect = connect_ours,
	.end = end_ours,
};
