/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker of sluiced that does not keep to the rules, for tests/daemon/faults.sh:
 *
 *	liar SOCKET WHAT [SESSION]
 *
 *	liar SOCKET knocks COUNT	attaches and goes, without reading
 *	liar SOCKET crowd COUNT		attaches and stays until its standard input ends
 *
 * WHAT is version, oversize, early, midway, acked, ack, credits, ended, keys, unknown, descriptors or
 * attaches; SESSION is another worker's. Exits 0 when the daemon did what it must: end this channel, or
 * for `keys` and `descriptors` refuse.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

#define WAIT_MS 10000
#define ATTACHES 1000

static int channel, link_fd = -1;
static uint64_t session;
static uint8_t buf[WIRE_MAX + 1];
static struct wire wire;

static void begin(enum message_type type, uint32_t id)
{
	wire_begin(&wire, buf, WIRE_MAX, type, id);
}

static int say(int fd, const int *fds, unsigned int n_fds)
{
	return channel_send(fd, buf, wire_end(&wire), fds, n_fds);
}

/* Returns the length, 0 at the end; the first descriptor is *@ret_fd. */
static ssize_t hear(int fd, int *ret_fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct channel_fds fds;
	ssize_t n;

	if (poll(&pfd, 1, WAIT_MS) <= 0)
		return -1;
	n = channel_recv(fd, buf, sizeof(buf), &fds);
	*ret_fd = n > 0 ? channel_take_fd(&fds) : -1;
	return n < 0 ? 0 : n;
}

/* The daemon has ended the channel. Whatever it says before does not count. */
static int ended(void)
{
	ssize_t n;
	int fd;

	while ((n = hear(channel, &fd)) > 0)
		;
	return n == 0 ? 0 : 1;
}

static int attach(void)
{
	begin(MSG_ATTACH, 0);
	if (say(channel, NULL, 0) < 0 || hear(channel, &link_fd) <= 0 || buf[1] != MSG_WELCOME)
		return -1;
	return 0;
}

static int number(enum message_type type, uint32_t id, enum attr_type attr, uint64_t value)
{
	begin(type, id);
	wire_put_u64(&wire, attr, value);
	say(channel, NULL, 0);
	return ended();
}

/* New keys for sessions that are others', or nobody's. */
static int keys(void)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;
	uint64_t id, code;
	ssize_t n;
	int fd;

	for (id = session > 10 ? session - 10 : 0; id < session + 10; id++) {
		begin(MSG_REKEY, (uint32_t)id);
		wire_put_u64(&wire, ATTR_SESSION, id);
		wire_put_u64(&wire, ATTR_DIRECTION, id & 1);
		if (say(link_fd, &channel, 1) < 0)
			return 1;
		n = hear(link_fd, &fd);
		code = 0;
		if (n <= 0 || !wire_open(&reader, buf, (size_t)n, &head) || head.id != (uint32_t)id)
			return 1;
		while (wire_next(&reader, &attr) == 1)
			if (attr.type == ATTR_ERROR)
				attr_u64(&attr, &code);
		if (!code)
			return 1;
	}
	return 0;
}

/* Of two connections one is taken, the other is left unread; the daemon, stopped, learns of all at once. */
static int acked(void)
{
	struct pollfd pfd = { .fd = channel, .events = POLLIN };
	struct ucred daemon;
	uint32_t id;

	begin(MSG_CREDIT, 0);
	wire_put_u64(&wire, ATTR_COUNT, 2);
	say(channel, NULL, 0);
	puts("ready");
	fflush(stdout);
	if (hear(channel, &link_fd) <= 0 || buf[1] != MSG_CONNECTION ||
	    poll(&pfd, 1, WAIT_MS) != 1 || channel_peer(channel, &daemon) < 0)
		return 1;
	memcpy(&id, buf + 4, sizeof(id));
	kill(daemon.pid, SIGSTOP);
	begin(MSG_ACK, id);
	return say(channel, NULL, 0) < 0;
}

static int attaches(const char *path)
{
	int i, n = 0;

	for (i = 0; i < ATTACHES; i++) {
		channel = channel_connect(path);
		if (channel >= 0 && attach() == 0)
			n++;
		else
			break;
	}
	printf("%d attached\n", n);
	return n == ATTACHES ? 0 : 1; /* all of them end at once with this process */
}

static int knocks(const char *path, int count)
{
	int i, n = 0;

	for (i = 0; i < count; i++) {
		channel = channel_connect(path);
		if (channel == -EAGAIN) { /* unix(7): its backlog is full */
			i--;
			usleep(1000);
			continue;
		}
		begin(MSG_ATTACH, 0);
		n += channel >= 0 && say(channel, NULL, 0) == 0;
		close(channel);
	}
	printf("%d knocked\n", n);
	return 0;
}

static int crowd(const char *path, int count)
{
	int i, n = 0;

	for (i = 0; i < count; i++) {
		while ((channel = channel_connect(path)) == -EAGAIN)
			usleep(1000);
		if (channel >= 0 && attach() == 0)
			n++;
	}
	printf("%d attached\n", n);
	fflush(stdout);
	while (read(0, buf, 1) > 0)
		;
	return 0;
}

static int lie(const char *what)
{
	const int fds[4] = { channel, channel, channel, channel };

	if (!strcmp(what, "oversize")) {
		if (channel_send(channel, buf, sizeof(buf), NULL, 0) < 0)
			return 1;
		return ended();
	}
	if (!strcmp(what, "ack")) {
		begin(MSG_ACK, 12345);
		say(channel, NULL, 0);
		return ended();
	}
	if (!strcmp(what, "credits"))
		return number(MSG_CREDIT, 0, ATTR_COUNT, UINT64_MAX);
	if (!strcmp(what, "ended"))
		return number(MSG_ENDED, 0, ATTR_SESSION, session);
	if (!strcmp(what, "unknown"))
		return number(MSG_LOAD, 0, ATTR_SESSION, 1);
	if (!strcmp(what, "keys"))
		return keys();
	if (!strcmp(what, "descriptors")) { /* nobody wants them; they are closed */
		begin(MSG_DRAIN, 0);
		return say(channel, fds, 4) < 0;
	}
	if (!strcmp(what, "acked"))
		return acked();
	/* midway: takes a connection, says nothing and goes */
	begin(MSG_CREDIT, 0);
	wire_put_u64(&wire, ATTR_COUNT, 1);
	say(channel, NULL, 0);
	puts("ready");
	fflush(stdout);
	return hear(channel, &link_fd) > 0 && buf[1] == MSG_CONNECTION ? 0 : 1;
}

int main(int argc, char **argv)
{
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: liar SOCKET WHAT [SESSION]\n");
		return 2;
	}
	session = argc == 4 ? strtoull(argv[3], NULL, 10) : 0;
	if (!strcmp(argv[2], "attaches"))
		return attaches(argv[1]);
	if (!strcmp(argv[2], "knocks"))
		return knocks(argv[1], (int)session);
	if (!strcmp(argv[2], "crowd"))
		return crowd(argv[1], (int)session);
	channel = channel_connect(argv[1]);
	if (channel < 0)
		return 2;
	if (!strcmp(argv[2], "version")) {
		begin(MSG_ATTACH, 0);
		buf[0] = WIRE_VERSION + 1;
		say(channel, NULL, 0);
		return ended();
	}
	if (!strcmp(argv[2], "early")) { /* before it attached */
		begin(MSG_CREDIT, 0);
		wire_put_u64(&wire, ATTR_COUNT, 1);
		say(channel, NULL, 0);
		return ended();
	}
	return attach() < 0 ? 1 : lie(argv[2]);
}
