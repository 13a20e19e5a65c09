/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers that want no connection, for tests/daemon/crowds.sh:
 *
 *	mob PORT slow COUNT SOURCES     COUNT at once, each of which says one byte of a hello in a second
 *	mob PORT silent COUNT SOURCES   a whole hello, and nothing more
 *	mob PORT claim                  one hello that says it has 16 MB, in records of 2^14 bytes
 *	mob PORT crumbs                 one hello of 2^14 bytes, in records of one byte
 *	mob PORT hellos                 16 MB of hellos, one after the other
 *
 * slow and silent print "open COUNT" when all are connected, and "cut N first_ms=... last_ms=..." when the
 * other end has closed all of them, or after a minute. The others print how many bytes the socket took,
 * and the alert that came: "sent=... alert=...". Source addresses are 127.2.0.1 and up, SOURCES of them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <openssl/ssl.h>

#define FIRST_SOURCE 0x7f020001
#define MAX_MS 60000
#define SLOW_MS 1000
#define SIXTEEN_MB (16 << 20)
#define WAIT_MS 10000
#define RECORD_MAX 16384
#define RECORD_HEADER 5

struct peer {
	int fd; /* -1: cut */
	uint64_t opened_ms;
	size_t said;
};

static struct sockaddr_in server = { .sin_family = AF_INET };
static uint8_t hello[1024];
static size_t hello_len;
static struct peer *peers;
static int count, cut, epoll_fd;
static uint64_t first_ms = UINT64_MAX, last_ms;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The record with which BoringSSL would begin. */
static int make_hello(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL *ssl = SSL_new(ctx);
	int n;

	SSL_set_tlsext_host_name(ssl, "localhost");
	SSL_set_bio(ssl, in, out);
	SSL_connect(ssl);
	n = BIO_read(out, hello, sizeof(hello));
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	hello_len = n > 0 ? (size_t)n : 0;
	return n > 0 ? 0 : -1;
}

static int open_from(int number)
{
	struct sockaddr_in from = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(FIRST_SOURCE + (uint32_t)number) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    connect(fd, (struct sockaddr *)&server, sizeof(server)) == 0)
		return fd;
	perror("mob");
	exit(1);
}

/* --- many of them ------------------------------------------------------------------------------ */

static void is_cut(struct peer *peer)
{
	uint64_t ms = now_ms() - peer->opened_ms;

	close(peer->fd);
	peer->fd = -1;
	cut++;
	first_ms = ms < first_ms ? ms : first_ms;
	last_ms = ms > last_ms ? ms : last_ms;
}

static void say(struct peer *peer, size_t len)
{
	ssize_t n;

	if (len > hello_len - peer->said)
		len = hello_len - peer->said;
	n = send(peer->fd, hello + peer->said, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n > 0)
		peer->said += (size_t)n;
}

/* Whatever comes is thrown away until nothing more can. */
static void look(int timeout_ms)
{
	struct epoll_event events[256];
	struct peer *peer;
	char scrap[4096];
	int i, n = epoll_wait(epoll_fd, events, 256, timeout_ms);
	ssize_t len;

	for (i = 0; i < n; i++) {
		peer = events[i].data.ptr;
		len = recv(peer->fd, scrap, sizeof(scrap), MSG_DONTWAIT);
		if (len == 0 || (len < 0 && errno != EAGAIN))
			is_cut(peer);
	}
}

static void open_all(int sources)
{
	struct epoll_event event = { .events = EPOLLIN };
	int i;

	for (i = 0; i < count; i++) {
		peers[i].fd = open_from(i % sources);
		peers[i].opened_ms = now_ms();
		event.data.ptr = &peers[i];
		epoll_ctl(epoll_fd, EPOLL_CTL_ADD, peers[i].fd, &event);
	}
	printf("open %d\n", count);
	fflush(stdout);
}

static int crowd(const char *how, int sources)
{
	bool slow = !strcmp(how, "slow");
	uint64_t until, next = 0;
	struct rlimit files;
	int i;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	peers = calloc((size_t)count, sizeof(*peers));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!peers || epoll_fd < 0 || sources <= 0)
		return 2;
	open_all(sources);
	for (until = now_ms() + MAX_MS; cut < count && now_ms() < until; look(50)) {
		if (now_ms() < next)
			continue;
		next = slow ? now_ms() + SLOW_MS : UINT64_MAX;
		for (i = 0; i < count; i++)
			if (peers[i].fd >= 0)
				say(&peers[i], slow ? 1 : hello_len);
	}
	printf("cut %d first_ms=%llu last_ms=%llu\n", cut, (unsigned long long)first_ms,
	       (unsigned long long)last_ms);
	return cut == count ? 0 : 1;
}

/* --- large ones -------------------------------------------------------------------------------- */

/* The alert that came, -1: none yet, -2: the end. Records before it are passed over. */
static int hear_alert(int fd)
{
	static uint8_t in[1 << 16];
	static size_t in_len;
	size_t at = 0, len;
	ssize_t n = recv(fd, in + in_len, sizeof(in) - in_len, MSG_DONTWAIT);

	if (n > 0)
		in_len += (size_t)n;
	for (; in_len - at >= RECORD_HEADER + 2; at += RECORD_HEADER + len) {
		if (in[at] == 21)
			return in[at + RECORD_HEADER + 1];
		len = (size_t)in[at + 3] << 8 | in[at + 4];
		if (len + RECORD_HEADER > in_len - at)
			break;
	}
	return n == 0 || (n < 0 && errno != EAGAIN) ? -2 : -1;
}

/* Sends @unit again and again. */
static int pour(const uint8_t *unit, size_t len)
{
	size_t sent = 0, at = 0;
	int fd = open_from(0), alert = -1;
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };
	ssize_t n;

	while (alert == -1 && poll(&pfd, 1, WAIT_MS) == 1) {
		alert = hear_alert(fd);
		if (alert != -1 || sent >= SIXTEEN_MB) {
			pfd.events = POLLIN;
			continue;
		}
		n = send(fd, unit + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0) {
			sent += (size_t)n;
			at = (at + (size_t)n) % len;
		}
	}
	printf("sent=%zu alert=%d\n", sent, alert);
	return 0;
}

static void put_record(uint8_t *out, size_t len)
{
	const uint8_t header[] = { 22, 3, 1, (uint8_t)(len >> 8), (uint8_t)len };

	memcpy(out, header, sizeof(header));
}

static int large(const char *how)
{
	static uint8_t unit[RECORD_MAX * (RECORD_HEADER + 1)];
	size_t i;

	if (!strcmp(how, "hellos"))
		return pour(hello, hello_len);
	if (!strcmp(how, "claim")) {
		put_record(unit, RECORD_MAX);
		memcpy(unit + RECORD_HEADER, "\x01\xff\xff\xff\x03\x03", 6);
		return pour(unit, RECORD_HEADER + RECORD_MAX);
	}
	for (i = 0; i < RECORD_MAX; i++)
		put_record(unit + i * (RECORD_HEADER + 1), 1);
	unit[RECORD_HEADER] = 1; /* a hello of 2^14 - 4 bytes, and its contents are zero */
	unit[2 * (RECORD_HEADER + 1) + RECORD_HEADER] = 0x3f;
	unit[3 * (RECORD_HEADER + 1) + RECORD_HEADER] = 0xfc;
	return pour(unit, sizeof(unit));
}

int main(int argc, char **argv)
{
	if (argc < 3 || make_hello() < 0) {
		fprintf(stderr,
			"usage: mob PORT slow|silent|claim|crumbs|hellos [COUNT SOURCES]\n");
		return 2;
	}
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server.sin_port = htons((uint16_t)atoi(argv[1]));
	if (argc < 5)
		return large(argv[2]);
	count = atoi(argv[3]);
	return crowd(argv[2], atoi(argv[4]));
}
