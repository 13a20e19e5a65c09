/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection that begins in plain text and then becomes TLS, as mail does (RFC 3207): the socket
 * is the program's own, and is handed to the library between two lines.
 *
 *     starttls HOST PORT [CAFILE]
 */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/sluice.h>

#define TIMEOUT_MS 10000

static int tcp_connect(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *ai;
	int fd = -1;

	if (getaddrinfo(host, port, &hints, &ai) != 0)
		return -1;
	fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, ai->ai_addr, ai->ai_addrlen) < 0) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(ai);
	return fd;
}

/* Reads byte by byte: whatever follows the line is TLS's, and nobody can push it back. */
static int read_line(int fd, char *line, size_t size)
{
	size_t len;

	for (len = 0; len + 1 < size && recv(fd, line + len, 1, 0) == 1; len++) {
		if (line[len] != '\n')
			continue;
		line[len] = '\0';
		return 0;
	}
	return -1;
}

/* Sends @command (NULL: nothing) and reads the reply, whose lines but the last have a '-'. */
static int smtp(int fd, const char *command, const char *code)
{
	char line[1000] = "";

	if (command && send(fd, command, strlen(command), MSG_NOSIGNAL) < 0)
		return -1;
	do {
		if (read_line(fd, line, sizeof(line)) < 0 || strncmp(line, code, 3) != 0)
			return -1;
	} while (line[3] == '-');
	return 0;
}

static int start_tls(int fd)
{
	char byte;

	if (smtp(fd, NULL, "220") < 0 || smtp(fd, "EHLO localhost\r\n", "250") < 0 ||
	    smtp(fd, "STARTTLS\r\n", "220") < 0)
		return -1;
	/* A server is silent until our ClientHello: bytes here are somebody else's. */
	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0 ? -1 : 0;
}

int main(int argc, char **argv)
{
	struct sluice_profile *profile = NULL;
	struct sluice_error err = { .alert = -1 };
	struct sluice_options *opts;
	struct sluice_conn *conn = NULL;
	struct sluice *sluice;
	char line[512];
	ssize_t n;
	int fd;

	fd = argc < 3 ? -1 : tcp_connect(argv[1], argv[2]);
	if (fd < 0 || start_tls(fd) < 0) {
		fprintf(stderr, "no STARTTLS\n");
		return EXIT_FAILURE;
	}
	if (sluice_options_new(&opts) < 0 ||
	    (argv[3] && sluice_options_set(opts, SLUICE_OPT_CACERTFILE, argv[3], &err) < 0) ||
	    sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err) < 0 ||
	    sluice_start(&sluice, SLUICE_TEMPORARY, &err) < 0 ||
	    sluice_connect_fd(sluice, fd, argv[1], profile, NULL, TIMEOUT_MS, &conn, &err) < 0) {
		sluice_format_error(&err, line, sizeof(line));
		fprintf(stderr, "%s\n", line);
		return EXIT_FAILURE;
	}
	/* From here on the descriptor is the connection's. What was said in plain is void. */
	sluice_send(conn, "EHLO localhost\r\nQUIT\r\n", 22, TIMEOUT_MS);
	while ((n = sluice_recv(conn, line, sizeof(line), TIMEOUT_MS)) > 0)
		fwrite(line, 1, (size_t)n, stdout);
	sluice_close(conn);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
	sluice_stop(sluice);
	return n == -SLUICE_E_CLOSED ? EXIT_SUCCESS : EXIT_FAILURE;
}
