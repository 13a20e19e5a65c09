/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as a whole: listening sockets, workers, signals. Called once by serve.c. The main
 * thread serves nobody: it waits for signals and for its workers.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "describe.h"
#include "server.h"

enum wake_reason {
	WAKE_SIGNAL,
	WAKE_WORKER, /* enough connections have been served, or a worker has ended */
};

static int port_of(int fd)
{
	struct sockaddr_in6 addr; /* the port of IPv4 stands at the same place */
	socklen_t len = sizeof(addr);

	return getsockname(fd, (struct sockaddr *)&addr, &len) < 0 ? 0 : ntohs(addr.sin6_port);
}

/* Every worker gets a socket of its own for every address. */
static int open_listeners(const struct serve_settings *settings, struct worker *workers)
{
	unsigned int ports[LISTEN_MAX] = { 0 };
	int64_t w;
	size_t i;

	for (w = 0; w < settings->workers; w++) {
		for (i = 0; i < settings->listen.n; i++) {
			int fd = listener_open(settings->listen.items[i], settings->workers > 1,
					       ports[i]);

			if (fd < 0)
				return -1;
			ports[i] = (unsigned int)port_of(fd);
			workers[w].listeners[i].fd = fd;
			workers[w].n_listeners++;
		}
	}
	return 0;
}

static void say_ready(const struct worker *worker)
{
	struct sockaddr_storage addr;
	char text[64];
	size_t i;

	for (i = 0; i < worker->n_listeners; i++) {
		socklen_t len = sizeof(addr);

		if (getsockname(worker->listeners[i].fd, (struct sockaddr *)&addr, &len) < 0)
			continue;
		describe_addr((struct sockaddr *)&addr, text, sizeof(text));
		printf("listening on %s\n", text);
	}
	fflush(stdout);
}

/* How many connections worker @w of @n may have, so that together they have @limit. */
static size_t share(int64_t limit, int64_t w, int64_t n)
{
	int64_t mine = limit / n + (w < limit % n);

	return (size_t)mine;
}

static int start_thread(struct server *server, struct worker *worker, sem_t *ready)
{
	int err;

	worker->server = server;
	worker->ready = ready;
	worker->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (worker->wake_fd < 0) {
		fprintf(stderr, "sluice serve: eventfd: %s\n", strerror(errno));
		return -1;
	}
	atomic_fetch_add(&server->running, 1);
	err = pthread_create(&worker->thread, NULL, worker_run, worker);
	if (err) {
		atomic_fetch_sub(&server->running, 1);
		fprintf(stderr, "sluice serve: cannot start a thread: %s\n", strerror(err));
		close(worker->wake_fd);
		return -1;
	}
	return 0;
}

/*
 * Starts the workers one by one, so that the ready line is true. Returns 0 or -1; *@ret_n threads
 * are to be joined in either case.
 */
static int start_workers(struct server *server, struct worker *workers, int64_t *ret_n)
{
	const struct serve_settings *settings = server->settings;
	sem_t ready;
	int r = 0;

	sem_init(&ready, 0, 0);
	for (*ret_n = 0; r == 0 && *ret_n < settings->workers;) {
		struct worker *worker = &workers[*ret_n];

		worker->max_peers = share(settings->max_conns, *ret_n, settings->workers);
		r = start_thread(server, worker, &ready);
		if (r < 0)
			break;
		++*ret_n;
		while (sem_wait(&ready) < 0)
			; /* EINTR */
		if (worker->start_error == 0)
			continue;
		fprintf(stderr, "sluice serve: cannot make an io_uring: %s\n",
			strerror(-worker->start_error));
		r = -1;
	}
	sem_destroy(&ready);
	return r;
}

static void wake_all(struct worker *workers, int64_t n)
{
	const uint64_t one = 1;
	int64_t w;

	for (w = 0; w < n; w++) {
		if (write(workers[w].wake_fd, &one, sizeof(one)) != sizeof(one))
			perror("sluice serve: eventfd");
	}
}

static enum wake_reason wait_for_reason(struct server *server, int signal_fd)
{
	struct pollfd fds[] = {
		{ .fd = signal_fd, .events = POLLIN },
		{ .fd = server->stop_fd, .events = POLLIN },
	};
	struct signalfd_siginfo info;
	uint64_t value;

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents && read(server->stop_fd, &value, sizeof(value)) > 0)
			return WAKE_WORKER;
		if (!fds[0].revents || read(signal_fd, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo != SIGUSR1)
			return WAKE_SIGNAL;
		stats_print(&server->stats, stdout);
	}
}

/* Whatever the first reason is, it drains; while that lasts, a signal aborts. */
static void serve_until_end(struct server *server, struct worker *workers, int64_t n, int signal_fd)
{
	wait_for_reason(server, signal_fd);
	wake_all(workers, n);
	while (atomic_load(&server->running) > 0) {
		if (wait_for_reason(server, signal_fd) == WAKE_SIGNAL)
			wake_all(workers, n);
	}
}

static int join_workers(struct worker *workers, int64_t n)
{
	int64_t w;
	int r = 0;

	for (w = 0; w < n; w++) {
		pthread_join(workers[w].thread, NULL);
		close(workers[w].wake_fd);
		if (workers[w].result < 0) {
			fprintf(stderr, "sluice serve: io_uring: %s\n",
				strerror(-workers[w].result));
			r = -1;
		}
	}
	return r;
}

/* Signals are read, in one place, by the main thread; the workers inherit that they are blocked. */
static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static int open_events(struct server *server, int *ret_signal_fd)
{
	server->stop_fd = eventfd(0, EFD_CLOEXEC);
	*ret_signal_fd = open_signals();
	if (server->stop_fd >= 0 && *ret_signal_fd >= 0)
		return 0;
	fprintf(stderr, "sluice serve: eventfd or signalfd: %s\n", strerror(errno));
	return -1;
}

static void close_listeners(struct worker *workers, int64_t n)
{
	size_t i;

	for (; n > 0; n--, workers++) {
		for (i = 0; i < workers->n_listeners; i++) {
			if (workers->listeners[i].fd >= 0)
				close(workers->listeners[i].fd);
		}
	}
}

int server_run(struct server *server)
{
	int64_t n = server->settings->workers, started = 0;
	int signal_fd = -1, r = -1;
	struct worker *workers;

	server->stop_fd = -1;
	workers = calloc((size_t)n, sizeof(*workers));
	if (!workers) {
		fprintf(stderr, "sluice serve: out of memory\n");
		return -1;
	}
	if (open_events(server, &signal_fd) < 0 || open_listeners(server->settings, workers) < 0)
		goto out;
	r = start_workers(server, workers, &started);
	if (r == 0) {
		say_ready(&workers[0]);
		serve_until_end(server, workers, n, signal_fd);
	} else {
		wake_all(workers, started);
	}
	if (join_workers(workers, started) < 0)
		r = -1;
out:
	close_listeners(workers, n);
	if (signal_fd >= 0)
		close(signal_fd);
	if (server->stop_fd >= 0)
		close(server->stop_fd);
	free(workers);
	return r;
}
