/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client for a foreign event loop, here poll(2): no call waits. The rule is always the same:
 * call; on -SLUICE_E_AGAIN wait for sluice_conn_events() or sluice_conn_timeout(), and call again.
 *
 *     client-eventloop HOST PORT [CAFILE]
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <sluice/sluice.h>

static const char request[] = "GET / HTTP/1.0\r\n\r\n";

static struct sluice_profile *make_profile(const char *cafile, struct sluice_error *err)
{
	struct sluice_profile *profile = NULL;
	struct sluice_options *opts;

	if (sluice_options_new(&opts) < 0)
		return NULL;
	if (!cafile || sluice_options_set(opts, SLUICE_OPT_CACERTFILE, cafile, err) >= 0)
		sluice_profile_new(&profile, opts, SLUICE_CLIENT, err);
	sluice_options_free(opts);
	return profile;
}

/* The loop's one place to wait. A time-out is for the connection to notice. */
static void wait_for(struct sluice_conn *conn)
{
	struct pollfd pfd = {
		.fd = sluice_conn_fd(conn),
		.events = (short)sluice_conn_events(conn),
	};

	if (poll(&pfd, 1, sluice_conn_timeout(conn)) < 0 && errno != EINTR)
		perror("poll");
}

/* Handshake and sending: 0 once everything is on its way. */
static int send_request(struct sluice_conn *conn, size_t *sent)
{
	ssize_t n;
	int r;

	r = sluice_conn_dispatch(conn);
	if (r < 0 || *sent == sizeof(request) - 1)
		return r;
	n = sluice_send(conn, request + *sent, sizeof(request) - 1 - *sent, SLUICE_NOWAIT);
	if (n < 0)
		return (int)n;
	*sent += (size_t)n;
	return *sent == sizeof(request) - 1 ? 0 : -SLUICE_E_AGAIN;
}

static int receive(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;

	/* Until AGAIN: a record may have left the socket already, and poll would not see it. */
	while ((n = sluice_recv(conn, buf, sizeof(buf), SLUICE_NOWAIT)) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	return (int)n;
}

static int run(struct sluice_conn *conn)
{
	size_t sent = 0;
	int r;

	for (;;) {
		r = send_request(conn, &sent);
		if (r >= 0)
			r = receive(conn);
		if (r != -SLUICE_E_AGAIN)
			return r == -SLUICE_E_CLOSED ? 0 : r;
		wait_for(conn);
	}
}

int main(int argc, char **argv)
{
	struct sluice_error err = { .text = "usage: HOST PORT [CAFILE]" };
	struct sluice_profile *profile;
	struct sluice_conn *conn = NULL;
	struct sluice *sluice;
	int r;

	profile = argc < 3 ? NULL : make_profile(argv[3], &err);
	if (!profile || sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		return EXIT_FAILURE;
	}
	r = sluice_connect(sluice, argv[1], (uint16_t)atoi(argv[2]), profile, NULL, SLUICE_NOWAIT,
			   &conn, &err);
	if (r >= 0 || r == -SLUICE_E_AGAIN) {
		r = run(conn);
		if (r < 0)
			sluice_conn_error(conn, &err, sizeof(err));
	}
	if (r < 0)
		fprintf(stderr, "%s\n", err.text);
	sluice_close(conn);
	sluice_profile_unref(profile);
	sluice_stop(sluice);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
