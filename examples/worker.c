/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of sluiced: takes connections out of a pool and echoes what comes, one after the other. It has
 * no certificate, no key and no handshake: what it gets is an established connection.
 *
 *	worker /run/sluice/web.sock
 */
#include <stdio.h>
#include <stdlib.h>

#include <sluice/worker.h>

#define AT_ONCE 16 /* connections that may wait for us */

static void echo(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;

	while ((n = sluice_recv(conn, buf, sizeof(buf), SLUICE_INFINITY)) > 0)
		if (sluice_send(conn, buf, (size_t)n, 5000) < n)
			break;
	sluice_close(conn);
}

static int serve(struct sluice_worker *worker)
{
	struct sluice_conn *conn;
	int r = 0, room = 0;

	while (r == 0) {
		if (room < AT_ONCE / 2) {
			r = sluice_worker_credit(worker, AT_ONCE - room);
			room = AT_ONCE;
		}
		if (r == 0)
			r = sluice_worker_next(worker, SLUICE_INFINITY, &conn);
		if (r < 0)
			break;
		room--;
		echo(conn);
	}
	return r;
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
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_worker_attach(sluice, argv[1], &worker, &err) < 0) {
		sluice_format_error(&err, text, sizeof(text));
		fprintf(stderr, "worker: %s\n", text);
		return 1;
	}
	r = serve(worker);
	fprintf(stderr, "worker: %s\n", sluice_strerror(r));
	sluice_worker_free(worker);
	sluice_stop(sluice);
	return r == -SLUICE_E_CLOSED ? 0 : 1;
}
