/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A handshaker of sluiced that a peer has taken over, for tests/daemon/accept.sh: it stands where sluice-handshaker
 * does and lies about each socket that it gets. What it says is in the file false-handshaker.lie beside the
 * program, one word:
 *
 *	proxied	    whom a PROXY header names, of a listener without one, or twice of one with one
 *	garbage	    ... with addresses that are none
 *	half	    ... with one address
 *	plain	    that it does not begin with TLS, where there is no plain_pool
 *	headless    that it does not begin with TLS, before its PROXY header was read
 *	established	that its handshake is done, before its PROXY header was read
 *	socket	    ... with a socket, which it has none to give
 *	lines	    a question about a peer that would be two
 *	questions   one question after the other
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/process.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

static uint8_t buf[WIRE_MAX];
static struct wire wire;
static uint64_t session;

static void begin(enum message_type type)
{
	wire_begin(&wire, buf, sizeof(buf), type, 0);
	wire_put_u64(&wire, ATTR_SESSION, session);
}

static void say(const int *fd)
{
	channel_send(CHILD_BROKER_FD, buf, wire_end(&wire), fd, fd ? 1 : 0);
}

static void say_proxied(size_t len, bool both)
{
	uint8_t endpoint[64] = { [10] = 0xff, [11] = 0xff, [12] = 192, [15] = 1 };

	begin(MSG_PROXIED);
	wire_put(&wire, ATTR_SOURCE, endpoint, len);
	if (both)
		wire_put(&wire, ATTR_DESTINATION, endpoint, len);
	say(NULL);
}

/* Of a service that nobody has: what the broker makes of it is not what counts here. */
static void ask(const char *question)
{
	begin(MSG_QUESTION);
	wire_put_u64(&wire, ATTR_SERVICE, 1);
	wire_put_text(&wire, ATTR_QUESTION, question);
	say(NULL);
}

static void lie(const char *what, const int *fd)
{
	if (!strcmp(what, "proxied")) {
		say_proxied(ENDPOINT_LEN, true);
		say_proxied(ENDPOINT_LEN, true);
	} else if (!strcmp(what, "garbage")) {
		say_proxied(ENDPOINT_LEN + 1, true);
	} else if (!strcmp(what, "half")) {
		say_proxied(ENDPOINT_LEN, false);
	} else if (!strcmp(what, "lines")) {
		ask("{}}\n{\"question\":1");
	} else if (!strcmp(what, "questions")) {
		ask("{}");
		ask("{}");
	} else {
		begin(!strcmp(what, "plain") || !strcmp(what, "headless") ? MSG_PLAIN
									  : MSG_ESTABLISHED);
		say(strcmp(what, "socket") ? NULL : fd);
	}
}

/* The file beside the program. */
static int read_lie(char out[32])
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 32);
	char *slash;
	int fd;

	if (n < 0)
		return -1;
	path[n] = '\0';
	slash = strrchr(path, '/');
	strcpy(slash + 1, "false-handshaker.lie");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, 31);
	if (n <= 0)
		return -1;
	out[n] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

int main(void)
{
	struct pollfd pfd = { .fd = CHILD_BROKER_FD, .events = POLLIN };
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct attr attr;
	char what[32];
	ssize_t n;

	if (read_lie(what) < 0)
		return 2;
	begin(MSG_READY);
	say(NULL);
	for (;;) {
		poll(&pfd, 1, -1);
		n = channel_recv(CHILD_BROKER_FD, buf, sizeof(buf), &fds);
		if (n == -EAGAIN)
			continue;
		if (n <= 0 || !wire_open(&reader, buf, (size_t)n, &head))
			return 0;
		while (wire_next(&reader, &attr) == 1)
			if (attr.type == ATTR_SESSION)
				attr_u64(&attr, &session);
		if (head.type == MSG_HANDSHAKE && fds.n == 1)
			lie(what, &fds.fds[0]);
		channel_close_fds(&fds);
	}
}
