/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that has TLS made by a service of sluiced, for tests/daemon.
 *
 *	via SOCKET ROLE PROFILE HOST PORT COUNT [echo BYTES EVERY | hold]
 *
 * ROLE client: connects COUNT times to PORT of loopback, brings all sockets at once, says a line on each
 * and prints the last line of each answer; HOST "-": none is given. With echo one connection sends BYTES
 * and gets them back, with new keys every EVERY bytes. ROLE server: listens at PORT, brings COUNT
 * connections and echoes what comes. Prints "failed CODE STAGE ALERT: TEXT" for what fails. With hold it
 * stops when it has asked.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/via.h>
#include <sluice/worker.h>

#define WAIT_MS 30000
#define PIECE 10000

static struct sluice_via *via;
static struct sluice_upgrade upgrade = { .size = sizeof(upgrade) };
static int port, failures;

static void tell(const struct sluice_error *err)
{
	printf("failed %s %s %s%s: %s\n", sluice_error_name(err->code),
	       sluice_stage_name(err->stage), err->alert >= 0 ? sluice_alert_name(err->alert) : "-",
	       err->alert >= 0 && err->alert_sent ? "(sent)" : "", err->text);
	failures++;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in address(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static int dial(void)
{
	struct sockaddr_in addr = address();
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail("connect");
	return fd;
}

static int listen_at(void)
{
	struct sockaddr_in addr = address();
	int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 256))
		fail("listen");
	puts("listening");
	return fd;
}

static void say(struct sluice_conn *conn)
{
	static const char line[] = "hello\n";
	struct sluice_conn_info info;
	char buf[8192], *last;
	size_t len = 0;
	ssize_t n;

	sluice_send(conn, line, sizeof(line) - 1, WAIT_MS);
	while ((n = sluice_recv(conn, buf + len, sizeof(buf) - 1 - len, WAIT_MS)) > 0 &&
	       !memchr(buf, '\n', len + (size_t)n))
		len += (size_t)n;
	len += n > 0 ? (size_t)n : 0;
	while (len && buf[len - 1] == '\n')
		len--;
	buf[len] = '\0';
	last = strrchr(buf, '\n');
	sluice_conn_info(conn, &info, sizeof(info));
	printf("%s; %s %s alpn=%s verified=%d session=%d\n", last ? last + 1 : buf,
	       info.version_name, sluice_path_name(info.tx.path), info.alpn, info.peer_verified,
	       sluice_conn_session(conn) != 0);
	if (!len)
		failures++;
}

static void echo(struct sluice_conn *conn)
{
	char buf[16384];
	ssize_t n;

	while ((n = sluice_recv(conn, buf, sizeof(buf), WAIT_MS)) > 0)
		sluice_send(conn, buf, (size_t)n, WAIT_MS);
	if (n != -SLUICE_E_CLOSED)
		failures++;
	printf("echoed, %s\n", sluice_error_name((int)n));
}

static void rekey(struct sluice_conn *conn, size_t bytes, size_t every)
{
	static char out[PIECE], in[PIECE];
	struct sluice_conn_info info;
	size_t sent;
	int r = 0;

	for (sent = 0; sent < bytes && r == 0; sent += PIECE) {
		memset(out, (int)(sent / PIECE), PIECE);
		if (sent % every == 0)
			r = sluice_update_keys(conn, 1, WAIT_MS);
		if (r == 0 && (sluice_send(conn, out, PIECE, WAIT_MS) != PIECE ||
			       sluice_recv_exact(conn, in, PIECE, WAIT_MS) != PIECE ||
			       memcmp(in, out, PIECE)))
			r = -1;
	}
	sluice_conn_info(conn, &info, sizeof(info));
	printf("%zu bytes, %s path, epochs %llu %llu, %d\n", sent, sluice_path_name(info.tx.path),
	       (unsigned long long)info.rx.epoch, (unsigned long long)info.tx.epoch, r);
	failures += r != 0;
}

static void use(struct sluice_conn *conn, char **argv)
{
	if (upgrade.role == SLUICE_SERVER)
		echo(conn);
	else if (argv[7])
		rekey(conn, strtoul(argv[8], NULL, 10), strtoul(argv[9], NULL, 10));
	else
		say(conn);
	sluice_close(conn);
}

/* All are under way at once; the ends come in any order. Returns how many are still to come. */
static int ask_all(int count, char **argv)
{
	int i, r, fd, left = 0, listener = upgrade.role == SLUICE_SERVER ? listen_at() : -1;
	struct sluice_conn *conn;
	struct sluice_error err;

	for (i = 0; i < count; i++) {
		fd = listener < 0 ? dial() : accept(listener, NULL, NULL);
		r = sluice_upgrade_via(via, fd, &upgrade, SLUICE_NOWAIT, &conn, &err);
		if (r == 0) {
			use(conn, argv);
		} else if (r == -SLUICE_E_AGAIN) {
			left++;
		} else {
			tell(&err);
			close(fd);
		}
	}
	return left;
}

static void next(char **argv)
{
	struct sluice_conn *conn;
	struct sluice_error err;
	int fd;

	if (sluice_via_next(via, WAIT_MS, &fd, &conn, &err) == 0) {
		use(conn, argv);
		return;
	}
	tell(&err);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	struct sluice_error err;
	struct sluice *sluice = NULL;
	int r, left;

	if (argc != 7 && argc != 8 && argc != 10) {
		fprintf(stderr, "usage: via SOCKET ROLE PROFILE HOST PORT COUNT "
				"[echo BYTES EVERY | hold]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	upgrade.role = strcmp(argv[2], "server") ? SLUICE_CLIENT : SLUICE_SERVER;
	upgrade.profile = argv[3];
	upgrade.host = strcmp(argv[4], "-") ? argv[4] : NULL;
	upgrade.alpn = getenv("ALPN");
	port = atoi(argv[5]);
	r = sluice_start(&sluice, SLUICE_TEMPORARY, &err);
	if (r == 0)
		r = sluice_via_open(sluice, argv[1], &via, &err);
	if (r < 0) {
		tell(&err);
		sluice_stop(sluice);
		return 1;
	}
	left = ask_all(atoi(argv[6]), argv);
	if (argc == 8) {
		puts("asked");
		pause();
	}
	while (left--)
		next(argv);
	sluice_via_free(via);
	sluice_stop(sluice);
	return failures > 0;
}
