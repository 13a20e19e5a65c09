/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shortest client: connects, asks for a page, prints what comes back. Every call waits, with
 * a time-out.
 *
 *     client-blocking HOST PORT [CAFILE]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#define TIMEOUT_MS 10000

static int complain(const struct sluice_error *err)
{
	char line[512];

	sluice_format_error(err, line, sizeof(line));
	fprintf(stderr, "%s\n", line);
	return EXIT_FAILURE;
}

/* Without a CAFILE the server's certificate is checked with the system's trust anchors. */
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

static int talk(struct sluice_conn *conn, const char *host)
{
	struct sluice_conn_info info;
	char buf[16384];
	ssize_t n;
	int len;

	if (sluice_conn_info(conn, &info, sizeof(info)) >= 0)
		fprintf(stderr, "%s %s, the %s encrypts\n", info.version_name, info.suite_name,
			sluice_path_name(info.tx.path));
	len = snprintf(buf, sizeof(buf), "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", host);
	n = sluice_send(conn, buf, (size_t)len, TIMEOUT_MS);
	/* A response ends with close_notify; an end without it may be an attacker's. */
	while (n >= 0) {
		n = sluice_recv(conn, buf, sizeof(buf), TIMEOUT_MS);
		if (n > 0)
			fwrite(buf, 1, (size_t)n, stdout);
	}
	return n == -SLUICE_E_CLOSED ? 0 : (int)n;
}

int main(int argc, char **argv)
{
	struct sluice_error err = { .alert = -1 };
	struct sluice_profile *profile;
	struct sluice_conn *conn = NULL;
	struct sluice *sluice;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: %s HOST PORT [CAFILE]\n", argv[0]);
		return EXIT_FAILURE;
	}
	profile = make_profile(argv[3], &err);
	if (!profile)
		return complain(&err);
	if (sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0)
		return complain(&err);
	r = sluice_connect(sluice, argv[1], (uint16_t)atoi(argv[2]), profile, NULL, TIMEOUT_MS,
			   &conn, &err);
	if (r >= 0) {
		r = talk(conn, argv[1]);
		if (r < 0)
			sluice_conn_error(conn, &err, sizeof(err));
	}
	sluice_close(conn); /* NULL is fine */
	sluice_profile_unref(profile);
	sluice_stop(sluice);
	return r < 0 ? complain(&err) : EXIT_SUCCESS;
}
