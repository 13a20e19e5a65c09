// SPDX-License-Identifier: Apache-2.0
#include "relay/supervise.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/process.h"
#include "relay/relay.h"

#define BACK_OFF_MIN_MS 100
#define BACK_OFF_MAX_MS 10000
#define STEADY_MS 10000 /* one that lived so long did not die of how it was started */

unsigned int workers_auto(const struct relay *relay)
{
	cpu_set_t set;
	int n = (int)relay->n_cpus;

	if (!n && sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > MAX_WORKERS ? MAX_WORKERS : (unsigned int)n;
}

void close_others(int a, int b)
{
	int low = a < b ? a : b, high = a < b ? b : a, from = STDERR_FILENO + 1;

	if (low >= from) {
		if (low > from)
			close_range((unsigned int)from, (unsigned int)low - 1, 0);
		from = low + 1;
	}
	if (high >= from) {
		if (high > from)
			close_range((unsigned int)from, (unsigned int)high - 1, 0);
		from = high + 1;
	}
	close_range((unsigned int)from, ~0u, 0);
}

/* --- one worker ------------------------------------------------------------------------------- */

void worker_pin(const struct relay *relay)
{
	unsigned int place = relay->number ? relay->number - 1 : 0;
	cpu_set_t set;

	if (!relay->n_cpus)
		return;
	CPU_ZERO(&set);
	CPU_SET(relay->cpus[place % relay->n_cpus], &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		log_line("processor %u: %s", relay->cpus[place % relay->n_cpus], strerror(errno));
}

static void __attribute__((noreturn))
become_worker(struct supervisor *supervisor, unsigned int place, int fd)
{
	struct relay *relay = supervisor->relay;
	int listener = supervisor->places[place].listener;

	close_others(fd, listener);
	relay->number = place + 1;
	relay->boss.fd = fd;
	relay->joiner.listener.fd = listener;
	exit(relay_run(relay));
}

static void worker_ready(struct watch *watch, uint32_t events);

/* @gone: what it had; NULL: nothing was started. */
static void start_later(struct supervisor *supervisor, struct place *place,
			const struct worker *gone)
{
	if (gone && supervisor->loop.now_ms - gone->since_ms >= STEADY_MS)
		place->back_off_ms = 0;
	place->back_off_ms = place->back_off_ms ? place->back_off_ms * 2 : BACK_OFF_MIN_MS;
	if (place->back_off_ms > BACK_OFF_MAX_MS)
		place->back_off_ms = BACK_OFF_MAX_MS;
	place->next_ms = supervisor->loop.now_ms + place->back_off_ms;
}

static void start_one(struct supervisor *supervisor, unsigned int at)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	struct place *place = &supervisor->places[at];
	int pair[2], r = worker ? channel_pair(pair) : -ENOMEM;

	if (r == 0) {
		worker->pid = fork();
		r = worker->pid < 0 ? -errno : 0;
		if (worker->pid == 0)
			become_worker(supervisor, at, pair[1]);
		close(pair[1]);
		if (r < 0)
			close(pair[0]);
	}
	if (r < 0) {
		log_line("worker %u: %s", at + 1, strerror(-r));
		free(worker);
		start_later(supervisor, place, NULL);
		return;
	}
	worker->supervisor = supervisor;
	worker->watch = (struct watch){ .fd = pair[0], .ready = worker_ready };
	worker->place = at;
	worker->generation = supervisor->generation;
	worker->since_ms = supervisor->loop.now_ms;
	place->starting = worker;
	LIST_INSERT_HEAD(&supervisor->workers, worker, entry);
	if (loop_watch(&supervisor->loop, &worker->watch, EPOLLIN) < 0) {
		close(worker->watch.fd); /* it takes that for our end, and ends */
		worker->watch.fd = -1;
	}
}

static void tell(struct worker *worker, enum word word)
{
	uint8_t byte = (uint8_t)word;

	if (worker->watch.fd >= 0)
		send(worker->watch.fd, &byte, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void close_listeners(struct supervisor *supervisor)
{
	unsigned int i;

	for (i = 0; i < supervisor->n; i++) {
		if (supervisor->places[i].listener >= 0)
			close(supervisor->places[i].listener);
		supervisor->places[i].listener = -1;
	}
}

/* Who comes from now on is refused, and does not wait in vain. */
static void end_all(struct supervisor *supervisor)
{
	struct worker *worker;

	close_listeners(supervisor);
	LIST_FOREACH(worker, &supervisor->workers, entry)
	{
		if (supervisor->ending || !worker->has_limit)
			tell(worker, WORD_END);
		worker->has_limit = true;
	}
	supervisor->ending = true;
}

/* Its connections have the time that they want, but those of names that have changed a second time since. */
static void retire(struct supervisor *supervisor, struct worker *old)
{
	struct worker *worker;

	tell(old, WORD_RETIRE);
	LIST_FOREACH(worker, &supervisor->workers, entry)
	{
		if (worker->place != old->place || worker->generation >= old->generation ||
		    worker->has_limit)
			continue;
		tell(worker, WORD_END);
		worker->has_limit = true;
	}
}

/* --- what workers say ------------------------------------------------------------------------- */

static bool all_serve(const struct supervisor *supervisor)
{
	unsigned int i;

	for (i = 0; i < supervisor->n; i++)
		if (!supervisor->places[i].serving)
			return false;
	return true;
}

static void serves(struct supervisor *supervisor, struct worker *worker)
{
	struct place *place = &supervisor->places[worker->place];

	if (place->starting != worker)
		return;
	if (place->serving)
		retire(supervisor, place->serving);
	place->starting = NULL;
	place->serving = worker;
	if (supervisor->serving) {
		log_line("worker %u: pid %d serves", worker->place + 1, (int)worker->pid);
	} else if (all_serve(supervisor)) {
		supervisor->serving = true;
		log_line("%u workers", supervisor->n);
		relay_tell_start(supervisor->relay, "");
	}
}

static void leaves(struct supervisor *supervisor, struct worker *worker)
{
	struct place *place = &supervisor->places[worker->place];

	if (place->serving != worker)
		return;
	place->serving = NULL;
	start_later(supervisor, place, worker);
}

static void worker_ready(struct watch *watch, uint32_t events)
{
	struct worker *worker = owner_of(watch, struct worker, watch);
	struct supervisor *supervisor = worker->supervisor;
	uint8_t byte;
	ssize_t n = recv(watch->fd, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* waitpid(2) says what became of it */
		loop_forget(&supervisor->loop, watch);
		close(watch->fd);
		watch->fd = -1;
	} else if (byte == WORD_READY) {
		serves(supervisor, worker);
	} else if (byte == WORD_LEAVING) {
		leaves(supervisor, worker);
	}
}

/* --- what becomes of them --------------------------------------------------------------------- */

static void tell_end(const struct worker *worker, int status)
{
	if (WIFSIGNALED(status))
		log_line("worker %u: pid %d was killed by signal %d, with its connections",
			 worker->place + 1, (int)worker->pid, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		log_line("worker %u: pid %d ended with status %d", worker->place + 1,
			 (int)worker->pid, WEXITSTATUS(status));
}

static void ended(struct supervisor *supervisor, struct worker *worker, int status)
{
	struct place *place = &supervisor->places[worker->place];
	bool had_place = place->serving == worker || place->starting == worker;

	tell_end(worker, status);
	if (place->serving == worker)
		place->serving = NULL;
	if (place->starting == worker)
		place->starting = NULL;
	if (had_place)
		start_later(supervisor, place, worker);
	if (status && supervisor->ending)
		supervisor->failed = true;
	if (had_place && !supervisor->serving && !supervisor->ending) {
		supervisor->failed = true; /* it has said why */
		end_all(supervisor);
	}
	if (worker->watch.fd >= 0) {
		loop_forget(&supervisor->loop, &worker->watch);
		close(worker->watch.fd);
	}
	LIST_REMOVE(worker, entry);
	free(worker);
}

static void reap(struct supervisor *supervisor)
{
	struct worker *worker;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		LIST_FOREACH(worker, &supervisor->workers, entry)
		if (worker->pid == pid)
			break;
		if (worker)
			ended(supervisor, worker, status);
		else if (pid == supervisor->resolver.pid)
			supervisor->resolver.pid = 0;
	}
}

static void ask_figures(struct supervisor *supervisor)
{
	struct worker *worker;

	LIST_FOREACH(worker, &supervisor->workers, entry)
	tell(worker, WORD_FIGURES);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct supervisor *supervisor = owner_of(watch, struct supervisor, signals);
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(supervisor);
		else if (info.ssi_signo == SIGUSR1)
			ask_figures(supervisor);
		else if (info.ssi_signo == SIGHUP)
			resolver_begin(supervisor);
		else
			end_all(supervisor);
	}
}

static bool wants_worker(const struct supervisor *supervisor, const struct place *place)
{
	if (place->starting || supervisor->loop.now_ms < place->next_ms)
		return false;
	return !place->serving || place->serving->generation != supervisor->generation;
}

static void tick(struct loop *loop, void *arg)
{
	struct supervisor *supervisor = arg;
	unsigned int i;

	for (i = 0; i < supervisor->n && !supervisor->ending; i++)
		if (wants_worker(supervisor, &supervisor->places[i]))
			start_one(supervisor, i);
	if (!supervisor->ending)
		resolver_tick(supervisor);
	else if (LIST_EMPTY(&supervisor->workers))
		loop->stop = true;
}

/* --- start ------------------------------------------------------------------------------------ */

static int open_signals(struct supervisor *supervisor)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN); /* who reads what it logs may go */
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	supervisor->signals = (struct watch){ .fd = fd, .ready = signals_ready };
	return loop_watch(&supervisor->loop, &supervisor->signals, EPOLLIN);
}

/* One socket for each worker: the kernel spreads who comes, and no worker wakes for another's. */
static const char *open_listeners(struct supervisor *supervisor)
{
	const char *text = supervisor->relay->listen_text, *wrong = NULL;
	unsigned int i;

	for (i = 0; i < supervisor->n; i++)
		supervisor->places[i].listener = -1;
	for (i = 0; text && !wrong && i < supervisor->n; i++)
		wrong = join_bind(text, i ? JOIN_NEXT : JOIN_FIRST,
				  &supervisor->places[i].listener);
	return wrong;
}

static const char *prepare(struct supervisor *supervisor)
{
	struct relay *relay = supervisor->relay;
	const char *wrong = open_listeners(supervisor);
	int r;

	if (wrong)
		return wrong;
	r = process_become(relay->uid, relay->gid);
	if (r == 0)
		r = loop_init(&supervisor->loop, tick, supervisor);
	if (r == 0)
		r = open_signals(supervisor);
	return r < 0 ? strerror(-r) : NULL;
}

int supervise(struct relay *relay)
{
	static struct supervisor supervisor;
	const char *wrong;
	int r;

	supervisor.relay = relay;
	supervisor.n = relay->n_workers;
	supervisor.resolver.watch.fd = -1;
	wrong = prepare(&supervisor);
	if (wrong) {
		log_line("%s", wrong);
		return EXIT_FAILURE;
	}
	r = loop_run(&supervisor.loop);
	loop_deinit(&supervisor.loop);
	return r < 0 || supervisor.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
