/* SPDX-License-Identifier: Apache-2.0 */
/*
 * STARTTLS of SMTP (RFC 3207) and IMAP (RFC 9051, 6.2.1): the plain lines before the handshake.
 * Reads a line exactly to its end, because the byte after the last plain line belongs to TLS; and
 * what a server sends beyond that line, before it has seen a ClientHello, somebody else has put
 * there (CVE-2011-0411 and its kin), so it ends the connection.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "client.h"

#define LINE_MAX_LEN 1024 /* RFC 5321 allows 512, RFC 9051 advises 8192 for data, not for these */
#define LINES_MAX 64      /* of one reply */

struct plain {
	int fd;
	int64_t deadline_ms;
	struct sluice_error *err;
	char line[LINE_MAX_LEN];
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int wait_for(struct plain *plain, short events)
{
	struct pollfd pfd = { .fd = plain->fd, .events = events };
	int64_t left = plain->deadline_ms - now_ms();
	int r;

	r = left > 0 ? poll(&pfd, 1, (int)left) : 0;
	if (r == 0)
		return fail(plain->err, SLUICE_E_TIMEOUT, 0, "the server is silent before TLS");
	if (r < 0 && errno != EINTR)
		return fail(plain->err, SLUICE_E_IO, errno, "poll: %s", strerror(errno));
	return 0;
}

static int receive_failed(struct plain *plain, ssize_t n)
{
	if (n == 0)
		return fail(plain->err, SLUICE_E_CLOSED, 0, "the server closed before TLS");
	if (errno == EAGAIN || errno == EINTR)
		return wait_for(plain, POLLIN);
	return fail(plain->err, SLUICE_E_IO, errno, "receiving: %s", strerror(errno));
}

/* Looks at what is there, then takes exactly one line of it. */
static int read_line(struct plain *plain)
{
	size_t len = 0;

	for (;;) {
		char *lf;
		ssize_t n;
		int r;

		n = recv(plain->fd, plain->line + len, sizeof(plain->line) - 1 - len, MSG_PEEK);
		if (n <= 0) {
			r = receive_failed(plain, n);
			if (r < 0)
				return r;
			continue;
		}
		lf = memchr(plain->line + len, '\n', (size_t)n);
		if (lf)
			n = lf + 1 - (plain->line + len);
		/* These bytes are there: this takes them, and no more. */
		n = recv(plain->fd, plain->line + len, (size_t)n, 0);
		if (n <= 0)
			return fail(plain->err, SLUICE_E_IO, errno, "receiving what was there");
		len += (size_t)n;
		if (lf)
			break;
		if (len == sizeof(plain->line) - 1)
			return fail(plain->err, SLUICE_E_PROTOCOL, 0, "an endless line before TLS");
	}
	len--;
	if (len && plain->line[len - 1] == '\r')
		len--;
	plain->line[len] = '\0';
	return 0;
}

static int send_line(struct plain *plain, const char *line)
{
	size_t len = strlen(line);
	int r;

	while (len) {
		ssize_t n = send(plain->fd, line, len, MSG_NOSIGNAL);

		if (n >= 0) {
			line += n;
			len -= (size_t)n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return fail(plain->err, SLUICE_E_IO, errno, "sending: %s", strerror(errno));
		r = wait_for(plain, POLLOUT);
		if (r < 0)
			return r;
	}
	return 0;
}

static int refused(struct plain *plain)
{
	return fail(plain->err, SLUICE_E_PROTOCOL, 0, "the server answered '%.120s'", plain->line);
}

/* Reads an SMTP reply; @keyword (may be NULL) must be among its lines. */
static int smtp_reply(struct plain *plain, const char *code, const char *keyword)
{
	bool found = keyword == NULL;
	int i, r;

	for (i = 0; i < LINES_MAX; i++) {
		r = read_line(plain);
		if (r < 0)
			return r;
		if (strncmp(plain->line, code, 3) != 0)
			return refused(plain);
		if (keyword && plain->line[3] && strcasecmp(plain->line + 4, keyword) == 0)
			found = true;
		if (plain->line[3] == '-')
			continue;
		if (!found)
			return fail(plain->err, SLUICE_E_PROTOCOL, 0, "the server offers no %s",
				    keyword);
		return 0;
	}
	return fail(plain->err, SLUICE_E_PROTOCOL, 0, "an endless reply before TLS");
}

static int smtp(struct plain *plain)
{
	int r;

	r = smtp_reply(plain, "220", NULL);
	if (r >= 0)
		r = send_line(plain, "EHLO localhost\r\n");
	if (r >= 0)
		r = smtp_reply(plain, "250", "STARTTLS");
	if (r >= 0)
		r = send_line(plain, "STARTTLS\r\n");
	if (r >= 0)
		r = smtp_reply(plain, "220", NULL);
	return r;
}

static int imap(struct plain *plain)
{
	int i, r;

	r = read_line(plain);
	if (r < 0)
		return r;
	if (strncasecmp(plain->line, "* OK", 4) != 0)
		return refused(plain);
	r = send_line(plain, "a1 STARTTLS\r\n");
	/* Untagged lines may come before the answer. */
	for (i = 0; r >= 0 && i < LINES_MAX; i++) {
		r = read_line(plain);
		if (r < 0 || strncmp(plain->line, "* ", 2) == 0)
			continue;
		return strncasecmp(plain->line, "a1 OK", 5) == 0 ? 0 : refused(plain);
	}
	return r < 0 ? r : fail(plain->err, SLUICE_E_PROTOCOL, 0, "an endless reply before TLS");
}

int starttls(int fd, const char *protocol, int timeout_ms, struct sluice_error *ret_err)
{
	struct plain plain = {
		.fd = fd,
		.deadline_ms = now_ms() + timeout_ms,
		.err = ret_err,
	};
	char byte;
	int r;

	r = strcmp(protocol, "smtp") == 0 ? smtp(&plain) : imap(&plain);
	if (r < 0)
		return r;
	if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0)
		return fail(ret_err, SLUICE_E_PROTOCOL, 0,
			    "bytes behind the last plain line: somebody has put them there");
	return 0;
}
