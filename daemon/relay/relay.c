// SPDX-License-Identifier: Apache-2.0
/* sluice-relay: its start, its signals, its end. */
#include "relay/relay.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/process.h"

#define WAIT_MS 5000
#define DRAIN_MS 30000
#define CONNECT_MS 2000
#define REST_MS 10000
#define IDLE_MS 600000
#define LINES_PER_SECOND 100
#define FILES_FOR_US 32   /* the loop, channels, attaching again */
#define FILES_PER_PIPE 16 /* one pipe, of two, for so many */
#define FILES_OF_LINK 3   /* the TLS socket, the pair: one end is on its way to a plain worker */

/* Whoever may attach may attach often. */
static bool may_log(void)
{
	static uint64_t second, n;
	uint64_t now = loop_clock_ms() / 1000;

	if (now != second) {
		if (n > LINES_PER_SECOND)
			fprintf(stderr, "sluice-relay: %llu lines were dropped\n",
				(unsigned long long)n - LINES_PER_SECOND);
		second = now;
		n = 0;
	}
	return ++n <= LINES_PER_SECOND;
}

void log_line(const char *format, ...)
{
	char line[300];
	va_list args;

	if (!may_log())
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "sluice-relay: %s\n", line);
}

/* --- signals and time ------------------------------------------------------------------------- */

void relay_drain(struct relay *relay)
{
	if (relay->draining)
		return;
	relay->draining = true;
	relay->drained_ms = relay->loop.now_ms + relay->drain_ms;
	upstream_drain(relay);
	plain_close(relay);
	join_close(relay);
	log_line("ending: %zu connections are open", relay->n_links);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, signals);
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (relay->draining)
			relay->loop.stop = true; /* asked twice */
		relay_drain(relay);
	}
}

static int open_signals(struct relay *relay)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	relay->signals = (struct watch){ .fd = fd, .ready = signals_ready };
	return loop_watch(&relay->loop, &relay->signals, EPOLLIN);
}

uint64_t relay_room(const struct relay *relay)
{
	uint64_t used = FILES_FOR_US + relay->n_plains + 2 * relay->pipes.max +
			FILES_OF_LINK * relay->n_links;

	return used < relay->max_files ? (relay->max_files - used) / FILES_OF_LINK : 0;
}

/* What waits for a worker goes back to the daemon when this process ends: nobody acknowledged it. */
static void tick(struct loop *loop, void *arg)
{
	struct relay *relay = arg;

	dial_tick(relay);
	link_tick(relay);
	backend_tick(relay);
	join_tick(relay);
	plain_tick(relay);
	upstream_tick(relay);
	if (relay->draining && ((relay->n_links == relay->n_waiting && !relay->joiner.n) ||
				loop->now_ms >= relay->drained_ms))
		loop->stop = true;
}

/* --- start ------------------------------------------------------------------------------------ */

/* As many descriptors as may be had; what is left of them decides how many connections come. */
static void raise_files(struct relay *relay)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	relay->max_files = files.rlim_max;
}

/* Before there are threads, and before this process can do nothing of the kind. */
static int connect_backends(struct relay *relay)
{
	return relay->backends.n ? connector_start(&relay->backends, relay->uid, relay->gid) : 0;
}

static int prepare(struct relay *relay)
{
	int r;

	close_range(STDERR_FILENO + 1, ~0u, 0); /* whatever its parent left open */
	raise_files(relay);
	relay->buf = wire_buffer_new();
	relay->scratch = malloc(RELAY_CHUNK);
	r = connect_backends(relay);
	if (r < 0)
		return r;
	r = relay->buf && relay->scratch ? loop_init(&relay->loop, tick, relay) : -ENOMEM;
	return r < 0 ? r : open_signals(relay);
}

/* Without one data goes by epoll: a ring is compiled out or forbidden in many places. */
static void open_ring(struct relay *relay)
{
	bool with_pipes = relay->io == IO_SPLICE || relay->io == IO_URING_SPLICE;
	uint64_t most = relay->max_files / FILES_PER_PIPE;
	int r = relay->io == IO_EPOLL ? 0 : ring_init(&relay->ring, with_pipes);

	if (r < 0)
		log_line("no io_uring (%s), going on by epoll", strerror(-r));
	else if (with_pipes)
		relay->pipes.max = most < PIPES_MAX ? most : PIPES_MAX;
}

/*
 * What needs files comes before this process gives them up. It attaches as whom it will be: so a pool that
 * does not let it in says so now, and not when the daemon is restarted.
 */
static int start(struct relay *relay)
{
	struct sluice_error err;
	const char *wrong;
	char text[300];
	int r = prepare(relay);

	if (r < 0) {
		log_line("%s", strerror(-r));
		return r;
	}
	r = sluice_start(&relay->sluice, SLUICE_PERMANENT, &err);
	if (r < 0) {
		sluice_format_error(&err, text, sizeof(text));
		log_line("%s", text);
		return r;
	}
	wrong = relay->listen_text ? join_listen(&relay->joiner, relay->listen_text) : NULL;
	if (wrong) {
		log_line("%s: %s", relay->listen_text, wrong);
		return -EINVAL;
	}
	r = relay->offer_path ? plain_open(relay, relay->offer_path) : 0;
	if (r < 0) {
		log_line("%s: %s", relay->offer_path, strerror(-r));
		return r;
	}
	open_ring(relay);
	r = process_confine(CONFINE_RELAY, relay->uid, relay->gid);
	if (r < 0) {
		log_line("giving up privileges: %s", strerror(-r));
		return r;
	}
	r = relay->pool_path ? upstream_open(relay, relay->pool_path, &err)
			     : join_open(relay, &err);
	if (r < 0) {
		sluice_format_error(&err, text, sizeof(text));
		log_line("%s", text);
	}
	return r;
}

static void end(struct relay *relay)
{
	struct link *link;

	if (relay->spliced)
		log_line("%llu bytes went by splice", (unsigned long long)relay->spliced);
	plain_close(relay);
	while ((link = TAILQ_FIRST(&relay->waiting)))
		link_leave(link);
	join_end(relay);
	upstream_close(relay);
	ring_deinit(&relay->ring);
	pipes_free(&relay->pipes);
	sluice_stop(relay->sluice);
	backends_free(&relay->backends);
	wire_buffer_free(relay->buf);
	free(relay->scratch);
}

static void tell_start(const struct relay *relay)
{
	const char *io = relay->ring.on ? "io_uring" : "epoll";
	size_t i;

	if (relay->offer_path)
		log_line("offering what comes at %s, by %s", relay->offer_path, io);
	for (i = 0; i < relay->backends.n; i++)
		log_line("connecting what comes%s%s to %s, by %s", relay->listen_text ? " at " : "",
			 relay->listen_text ? relay->listen_text : "", relay->backends.list[i].name,
			 io);
}

int main(int argc, char **argv)
{
	static struct relay relay = {
		.wait_ms = WAIT_MS,
		.drain_ms = DRAIN_MS,
		.backends = { .connector = -1,
			      .connect_ms = CONNECT_MS,
			      .rest_ms = REST_MS,
			      .idle_ms = IDLE_MS },
	};
	int r, status = relay_options(&relay, argc, argv);

	if (status >= 0)
		return status;
	relay.offer.fd = relay.joiner.listener.fd = -1;
	relay.upstream.gone = true;
	TAILQ_INIT(&relay.waiting);
	TAILQ_INIT(&relay.backends.dials);
	r = start(&relay);
	if (r == 0) {
		tell_start(&relay);
		r = relay.ring.on ? ring_run(&relay.ring, &relay.loop) : loop_run(&relay.loop);
	}
	end(&relay);
	return r < 0 || relay.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
