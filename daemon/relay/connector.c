// SPDX-License-Identifier: Apache-2.0
/*
 * The connector: it has the addresses of the backends, and makes a socket to one of them when the relay says which.
 * What it is told is a number. So a relay that a peer has taken over is given no other connections than it
 * would have anyway.
 *
 * It never waits for a backend: the relay gets the socket while it is being connected. So the relay may wait for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/process.h"
#include "common/rules.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"
#include "relay/backend.h"
#include "relay/relay.h"
#include "relay/supervise.h"

#define SMALL_LEN 512
#define ANSWER_MS 2000 /* far more than it ever takes: it is stuck, or gone */
#define KEEP_IDLE_S 60 /* a backend that says nothing for so long is asked */
#define KEEP_INTERVAL_S 10
#define KEEP_COUNT 6

/* --- its process ------------------------------------------------------------------------------ */

static void keep_alive(int fd, uint64_t idle_s, uint64_t interval_s, uint64_t n)
{
	const int on = 1, idle = (int)idle_s, interval = (int)interval_s, count = (int)n;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

void backend_tune(const struct backends *backends, int fd)
{
	const unsigned int timeout = (unsigned int)backends->user_timeout_ms;

	if (backends->keep_idle_s)
		keep_alive(fd, backends->keep_idle_s, backends->keep_interval_s,
			   backends->keep_count);
	if (timeout)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

/* Small writes go at once, as the peer's did; a backend whose machine is gone is noticed. */
static void tune(const struct backends *backends, int fd)
{
	const int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!backends->keep_idle_s)
		keep_alive(fd, KEEP_IDLE_S, KEEP_INTERVAL_S, KEEP_COUNT);
	backend_tune(backends, fd);
}

static int begin(const struct backends *backends, size_t i)
{
	const struct backend *backend = &backends->list[i];
	int fd, family = backend->addr.ss_family;

	fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (family != AF_UNIX)
		tune(backends, fd);
	if (connect(fd, (const struct sockaddr *)&backend->addr, backend->addr_len) &&
	    errno != EINPROGRESS) {
		family = -errno;
		close(fd);
		return family;
	}
	return fd;
}

static int try_answer(int channel, int fd)
{
	struct pollfd pfd = { .fd = channel, .events = POLLOUT };
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int r;

	wire_begin(&wire, buf, sizeof(buf), MSG_CONNECTED, 0);
	if (fd < 0)
		wire_put_u64(&wire, ATTR_ERRNO, (uint64_t)-fd);
	while ((r = channel_send(channel, buf, wire_end(&wire), &fd, fd >= 0)) == -EAGAIN)
		poll(&pfd, 1, -1);
	if (fd >= 0)
		close(fd);
	return r;
}

/*
 * Descriptors on their way are counted for a user, over all its processes, against the limit of who sends
 * (unix(7), ETOOMANYREFS): others may be the cause, and the relay tries again.
 */
static void answer(int channel, int fd)
{
	int r = try_answer(channel, fd);

	if (r == -ETOOMANYREFS)
		r = try_answer(channel, r);
	if (r < 0)
		_exit(0); /* the relay is gone */
}

static void __attribute__((noreturn)) serve(const struct backends *backends, int channel)
{
	struct pollfd pfd = { .fd = channel, .events = POLLIN };
	uint8_t buf[SMALL_LEN];
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n;

	for (;;) {
		n = channel_recv(channel, buf, sizeof(buf), &fds);
		if (n == -EAGAIN) {
			poll(&pfd, 1, -1);
			continue;
		}
		if (n <= 0 ||
		    rules_open(ROUTE_RELAY_TO_CONNECTOR, NULL, buf, (size_t)n, &fds, &reader,
			       &head) ||
		    head.id >= backends->n)
			_exit(0);
		answer(channel, begin(backends, head.id));
	}
}

/* Signals that end the relay are the relay's: it needs this process until its end, which is noticed. */
static void __attribute__((noreturn))
run(const struct backends *backends, int channel, uid_t uid, gid_t gid)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	prctl(PR_SET_NAME, "sluice-connect");
	if (process_confine(CONFINE_CONNECTOR, uid, gid) < 0)
		_exit(1);
	serve(backends, channel);
}

int connector_start(struct backends *backends, uid_t uid, gid_t gid)
{
	int pair[2], r = channel_pair(pair);
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	r = -errno;
	if (pid == 0) {
		close_others(pair[1], -1);
		run(backends, pair[1], uid, gid);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return r;
	}
	backends->connector = pair[0];
	return 0;
}

/* --- the relay's end -------------------------------------------------------------------------- */

static int receive(int channel)
{
	struct pollfd pfd = { .fd = channel, .events = POLLIN };
	uint8_t buf[SMALL_LEN];
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	struct attr attr;
	uint64_t error = 0;
	ssize_t n;
	int fd;

	while ((n = channel_recv(channel, buf, sizeof(buf), &fds)) == -EAGAIN)
		if (poll(&pfd, 1, ANSWER_MS) == 0)
			return -EPIPE;
	if (n <= 0)
		return -EPIPE;
	if (rules_open(ROUTE_CONNECTOR_TO_RELAY, NULL, buf, (size_t)n, &fds, &reader, &head)) {
		channel_close_fds(&fds);
		return -EPIPE;
	}
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_ERRNO)
			attr_u64(&attr, &error);
	if (fds.lost)
		return -EMFILE;
	fd = channel_take_fd(&fds);
	channel_close_fds(&fds);
	if (fd >= 0)
		return fd;
	return error && error < 4096 ? -(int)error : -EIO;
}

int connector_socket(struct backends *backends, size_t i)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int r = -EPIPE;

	if (backends->connector < 0)
		return r;
	wire_begin(&wire, buf, sizeof(buf), MSG_CONNECT, (uint32_t)i);
	if (channel_send(backends->connector, buf, wire_end(&wire), NULL, 0) == 0)
		r = receive(backends->connector);
	if (r == -EPIPE) { /* a late answer would be taken for that to another request */
		close(backends->connector);
		backends->connector = -1;
	}
	return r;
}

static void connector_ended(struct watch *watch, uint32_t events)
{
	struct backends *backends = owner_of(watch, struct backends, connector_end);

	if (backends->connector >= 0)
		close(backends->connector);
	backends->connector = -1;
}

int connector_watch(struct backends *backends, struct loop *loop)
{
	if (backends->connector < 0)
		return 0;
	backends->connector_end =
		(struct watch){ .fd = backends->connector, .ready = connector_ended };
	return loop_watch(loop, &backends->connector_end, 0);
}
