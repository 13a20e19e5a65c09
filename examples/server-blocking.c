/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest server: takes one connection after another and sends back what it receives.
 *
 *     server-blocking PORT CERTFILE KEYFILE
 */
#include <stdio.h>
#include <stdlib.h>

#include <sluice/sluice.h>

#define TIMEOUT_MS 10000

static int complain(const struct sluice_error *err)
{
	char line[512];

	sluice_format_error(err, line, sizeof(line));
	fprintf(stderr, "%s\n", line);
	return EXIT_FAILURE;
}

static struct sluice_profile *make_profile(const char *cert, const char *key,
					   struct sluice_error *err)
{
	struct sluice_profile *profile = NULL;
	struct sluice_options *opts;

	if (sluice_options_new(&opts) < 0)
		return NULL;
	if (sluice_options_set(opts, SLUICE_OPT_CERTFILE, cert, err) >= 0 &&
	    sluice_options_set(opts, SLUICE_OPT_KEYFILE, key, err) >= 0)
		sluice_profile_new(&profile, opts, SLUICE_SERVER, err);
	sluice_options_free(opts);
	return profile;
}

/* Returns why it ended: -SLUICE_E_CLOSED is the orderly way. */
static int echo(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;
	int r;

	r = sluice_handshake(conn, NULL, TIMEOUT_MS);
	if (r < 0)
		return r;
	do {
		n = sluice_recv(conn, buf, sizeof(buf), TIMEOUT_MS);
		if (n > 0)
			n = sluice_send(conn, buf, (size_t)n, TIMEOUT_MS);
	} while (n > 0);
	return (int)n;
}

static void serve_one(struct sluice_conn *conn)
{
	struct sluice_error err;
	int r = echo(conn);

	if (r < 0 && r != -SLUICE_E_CLOSED && sluice_conn_error(conn, &err, sizeof(err)) >= 0)
		complain(&err);
	sluice_close(conn);
}

int main(int argc, char **argv)
{
	struct sluice_error err = { .alert = -1 };
	struct sluice_listener *listener;
	struct sluice_profile *profile;
	struct sluice_conn *conn;
	struct sluice *sluice;
	int r;

	if (argc != 4) {
		fprintf(stderr, "usage: %s PORT CERTFILE KEYFILE\n", argv[0]);
		return EXIT_FAILURE;
	}
	profile = make_profile(argv[2], argv[3], &err);
	if (!profile)
		return complain(&err);
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_listen(sluice, "127.0.0.1", (uint16_t)atoi(argv[1]), profile, &listener, &err) <
		    0)
		return complain(&err);
	printf("listening on port %d\n", sluice_listener_port(listener));
	fflush(stdout);
	/* Out of descriptors or memory is no reason to end: the listener remains usable. */
	for (;;) {
		r = sluice_transport_accept(listener, SLUICE_INFINITY, &conn);
		if (r >= 0)
			serve_one(conn);
		else
			fprintf(stderr, "%s\n", sluice_strerror(r));
	}
}
