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
#include <sys/socket.h>
#include <unistd.h>

#include "common/process.h"

#define RETRIES 3
#define CHECK_MS 2000
#define CHECK_RISE 2
#define CHECK_FALL 3
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

static unsigned int log_number;

void log_as(unsigned int number)
{
	log_number = number;
}

void log_line(const char *format, ...)
{
	char line[300], who[32] = "";
	va_list args;

	if (!may_log())
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (log_number)
		snprintf(who, sizeof(who), "worker %u: ", log_number);
	fprintf(stderr, "sluice-relay: %s%s\n", who, line);
}

/* --- signals ------------------------------------------------------------------------- */

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

/* Twice: at once. */
static void asked_to_end(struct relay *relay)
{
	if (relay->draining && relay->drained_ms == RELAY_NEVER)
		relay->drained_ms = relay->loop.now_ms + relay->drain_ms;
	else if (relay->draining)
		relay->loop.stop = true;
	relay_drain(relay);
}

static void tell_figures(const struct relay *relay)
{
	log_line("connections: open %zu, of these waiting %zu; since the start %llu",
		 relay->n_links, relay->n_waiting, (unsigned long long)relay->n_taken);
	backend_figures(relay);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, signals);
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR1) {
			tell_figures(relay);
		} else {
			asked_to_end(relay);
			relay_tell_boss(relay,
					WORD_LEAVING); /* at its socket somebody must accept */
		}
	}
}

/* Of a worker only SIGTERM counts: at a terminal SIGINT is everybody's, and the supervisor passes it on. */
static void choose_signals(const struct relay *relay, sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGUSR1);
	if (!relay->number)
		sigaddset(ret_set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (relay->number)
		signal(SIGINT, SIG_IGN);
}

static int open_signals(struct relay *relay)
{
	sigset_t set;
	int fd;

	choose_signals(relay, &set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	relay->signals = (struct watch){ .fd = fd, .ready = signals_ready };
	return loop_watch(&relay->loop, &relay->signals, EPOLLIN);
}

/* --- its supervisor --------------------------------------------------------------------------- */

void relay_tell_boss(const struct relay *relay, enum word word)
{
	uint8_t byte = (uint8_t)word;

	if (relay->boss.fd >= 0)
		send(relay->boss.fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void retire(struct relay *relay)
{
	if (relay->draining)
		return;
	relay_drain(relay);
	relay->drained_ms = RELAY_NEVER;
}

static void boss_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, boss);
	uint8_t byte;
	ssize_t n = recv(watch->fd, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		log_line("the supervisor is gone");
		loop_forget(&relay->loop, watch);
		close(watch->fd);
		watch->fd = -1;
		relay->failed = true;
		relay_drain(relay);
	} else if (byte == WORD_END) {
		asked_to_end(relay);
	} else if (byte == WORD_RETIRE) {
		retire(relay);
	} else if (byte == WORD_FIGURES) {
		tell_figures(relay);
	}
}

static int watch_boss(struct relay *relay)
{
	if (relay->boss.fd < 0)
		return 0;
	relay->boss.ready = boss_ready;
	return loop_watch(&relay->loop, &relay->boss, EPOLLIN);
}

/* --- time ------------------------------------------------------------------------------------- */

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

	link_tick(relay);
	dial_tick(relay);
	backend_tick(relay);
	join_tick(relay);
	plain_tick(relay);
	upstream_tick(relay);
	if (relay->draining && ((relay->n_links == relay->n_waiting && !relay->joiner.n) ||
				loop->now_ms >= relay->drained_ms))
		loop->stop = true;
}

/* --- start ------------------------------------------------------------------------------------ */

/*
 * As many descriptors as may be had; what is left of them, but for those of checks, decides how many connections
 * come.
 */
static void raise_files(struct relay *relay)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return;
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	relay->max_files = files.rlim_max;
	if (relay->backends.check != CHECK_NONE)
		relay->max_files -= relay->max_files < relay->backends.n ? relay->max_files
									 : relay->backends.n;
}

/* Before there are threads, and before this process can do nothing of the kind. */
static int connect_backends(struct relay *relay)
{
	return relay->backends.n ? connector_start(&relay->backends, relay->uid, relay->gid) : 0;
}

static int prepare(struct relay *relay)
{
	int r;

	raise_files(relay);
	relay->buf = wire_buffer_new();
	relay->scratch = malloc(RELAY_CHUNK);
	r = connect_backends(relay);
	if (r < 0)
		return r;
	r = relay->buf && relay->scratch ? loop_init(&relay->loop, tick, relay) : -ENOMEM;
	if (r == 0)
		r = connector_watch(&relay->backends, &relay->loop);
	if (r == 0)
		r = open_signals(relay);
	return r < 0 ? r : watch_boss(relay);
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
	wrong = relay->listen_text && relay->joiner.listener.fd < 0
			? join_bind(relay->listen_text, JOIN_ALONE, &relay->joiner.listener.fd)
			: NULL;
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

static void tell_backend(const struct relay *relay, const struct backend *backend, const char *io)
{
	const char *where = relay->listen_text;
	const char *route = backend->group ? relay->backends.routes[backend->group - 1].text : NULL;

	log_line("connecting what comes%s%s%s%s to %s%s%s", where ? " at " : "", where ? where : "",
		 route ? " with " : "", route ? route : "", backend->name,
		 backend->is_backup ? " as a backup" : "", io);
}

void relay_tell_start(const struct relay *relay, const char *io)
{
	size_t i;

	if (relay->offer_path)
		log_line("offering what comes at %s%s", relay->offer_path, io);
	for (i = 0; i < relay->backends.n; i++)
		tell_backend(relay, &relay->backends.list[i], io);
}

int relay_run(struct relay *relay)
{
	int r;

	log_as(relay->number);
	worker_pin(relay);
	r = start(relay);
	if (r == 0 && !relay->number)
		relay_tell_start(relay, relay->ring.on ? ", by io_uring" : ", by epoll");
	if (r == 0) {
		relay_tell_boss(relay, WORD_READY);
		r = relay->ring.on ? ring_run(&relay->ring, &relay->loop) : loop_run(&relay->loop);
	}
	end(relay);
	return r < 0 || relay->failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct relay relay = {
		.wait_ms = WAIT_MS,
		.drain_ms = DRAIN_MS,
		.backends = { .connector = -1,
			      .connect_ms = CONNECT_MS,
			      .rest_ms = REST_MS,
			      .idle_ms = IDLE_MS,
			      .retries = RETRIES,
			      .check_ms = CHECK_MS,
			      .check_wait_ms = CHECK_MS,
			      .rise = CHECK_RISE,
			      .fall = CHECK_FALL },
		.boss.fd = -1,
	};
	int status = relay_options(&relay, argc, argv);

	if (status >= 0)
		return status;
	relay.offer.fd = relay.joiner.listener.fd = -1;
	relay.upstream.gone = true;
	TAILQ_INIT(&relay.waiting);
	TAILQ_INIT(&relay.backends.dials);
	close_others(-1, -1); /* whatever its parent left open */
	return relay.n_workers > 1 || relay.resolve_s ? supervise(&relay) : relay_run(&relay);
}
