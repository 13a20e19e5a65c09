/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long new keys take, for tests/daemon/rekeys.sh: a worker that takes one connection and asks for new
 * keys of it, without using them.
 *
 *	rekeys SOCKET COUNT [STORM]
 *
 * One at a time COUNT times, 200 in each second, and prints how many were given and refused and how long an
 * answer took. With STORM: COUNT as fast as they can be sent, answers being read as they come. Where a
 * connection has no keys at the daemon (user path) all are refused, after everything but the keys themselves.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

#define WAIT_MS 60000
#define MAX_COUNT 1000000
#define PAUSE_US 5000
#define UNREAD 100 /* answers; the daemon lets go of whoever does not read them */

static int channel, link_fd = -1, conn_fd = -1;
static uint64_t session, began_us;
static uint8_t buf[WIRE_MAX];
static struct wire wire;
static long given, refused;
static uint32_t latencies_us[MAX_COUNT];

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int say(int fd, enum message_type type, uint32_t id, enum attr_type attr, uint64_t value)
{
	wire_begin(&wire, buf, WIRE_MAX, type, id);
	if (attr)
		wire_put_u64(&wire, attr, value);
	return channel_send(fd, buf, wire_end(&wire), NULL, 0);
}

/* The value of a number in the message at hand, or 0. */
static uint64_t number(size_t len, enum attr_type type)
{
	struct wire_reader reader;
	struct wire_head head;
	uint64_t value = 0;
	struct attr attr;

	if (!wire_open(&reader, buf, len, &head))
		return 0;
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == type)
			attr_u64(&attr, &value);
	return value;
}

/* Returns the length, or -1. */
static ssize_t hear(int fd, enum message_type type, int *ret_fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	struct channel_fds fds;
	ssize_t n;

	if (poll(&pfd, 1, WAIT_MS) != 1)
		return -1;
	n = channel_recv(fd, buf, sizeof(buf), &fds);
	if (n <= 0 || buf[1] != type)
		return -1;
	if (ret_fd)
		*ret_fd = channel_take_fd(&fds);
	return n;
}

static int take_connection(const char *path)
{
	ssize_t n;

	channel = channel_connect(path);
	if (channel < 0 || say(channel, MSG_ATTACH, 0, 0, 0) < 0 ||
	    hear(channel, MSG_WELCOME, &link_fd) < 0 || link_fd < 0 ||
	    say(channel, MSG_CREDIT, 0, ATTR_COUNT, 1) < 0)
		return -1;
	puts("attached");
	fflush(stdout);
	n = hear(channel, MSG_CONNECTION, &conn_fd);
	if (n < 0 || conn_fd < 0)
		return -1;
	session = number((size_t)n, ATTR_SESSION);
	return say(channel, MSG_ACK, (uint32_t)session, 0, 0);
}

static int ask(uint32_t id)
{
	wire_begin(&wire, buf, WIRE_MAX, MSG_REKEY, id);
	wire_put_u64(&wire, ATTR_SESSION, session);
	wire_put_u64(&wire, ATTR_DIRECTION, 1);
	return channel_send(link_fd, buf, wire_end(&wire), &conn_fd, 1);
}

static int answer(void)
{
	ssize_t n = hear(link_fd, MSG_REKEYED, NULL);

	if (n < 0)
		return -1;
	if (number((size_t)n, ATTR_ERROR))
		refused++;
	else
		given++;
	return 0;
}

static int one_by_one(long count)
{
	uint64_t asked_us;
	long i;

	for (i = 0; i < count; i++) {
		asked_us = now_us();
		if (ask((uint32_t)i) < 0 || answer() < 0)
			return -1;
		latencies_us[i] = (uint32_t)(now_us() - asked_us);
		usleep(PAUSE_US);
	}
	return 0;
}

static int storm(long count)
{
	long asked = 0;

	while (given + refused < count) {
		while (asked < count && asked - given - refused < UNREAD &&
		       ask((uint32_t)asked) == 0)
			asked++;
		if (answer() < 0)
			return -1;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) -
	       (*(const uint32_t *)a < *(const uint32_t *)b);
}

int main(int argc, char **argv)
{
	long count = argc > 2 ? atol(argv[2]) : 0;
	double seconds;
	int r;

	if (argc < 3 || count <= 0 || count > MAX_COUNT) {
		fprintf(stderr, "usage: rekeys SOCKET COUNT [STORM]\n");
		return 2;
	}
	if (take_connection(argv[1]) < 0) {
		fprintf(stderr, "rekeys: no connection\n");
		return 1;
	}
	began_us = now_us();
	r = argc > 3 ? storm(count) : one_by_one(count);
	seconds = (double)(now_us() - began_us) / 1e6;
	qsort(latencies_us, (size_t)count, sizeof(*latencies_us), compare);
	printf("given=%ld refused=%ld seconds=%.2f median_us=%u p99_us=%u max_us=%u\n", given,
	       refused, seconds, latencies_us[count / 2], latencies_us[count * 99 / 100],
	       latencies_us[count - 1]);
	return r < 0 ? 1 : 0;
}
