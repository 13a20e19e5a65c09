// SPDX-License-Identifier: Apache-2.0
/* sluiced: starts everything, runs the loop, reloads and ends. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include <sluice/error.h>

#include "broker/broker.h"
#include "core/secret.h"

#define EXIT_USAGE 2
#define POLL_MS 5000 /* how often ended sockets are looked for where the kernel does not tell */

/* --- ends of sockets ------------------------------------------------------------------------------ */

static void socket_ended(void *arg, const struct diag_socket *socket)
{
	struct broker *broker = arg;
	struct session *session = session_find_cookie(broker, socket->cookie);

	if (!session || session->state != SESSION_LIVE)
		return;
	session->rx_bytes = socket->bytes_in;
	session->tx_bytes = socket->bytes_out;
	session_end(broker, session, END_CLOSED);
}

static void diag_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, diag_watch));

	if (diag_dispatch(broker->diag) == -ENOBUFS)
		broker->poll_ms = broker->loop.now_ms; /* ends were missed */
}

static void socket_lives(void *arg, const struct diag_socket *socket)
{
	struct broker *broker = arg;
	struct session *session = session_find_cookie(broker, socket->cookie);

	if (!session)
		return;
	session->seen = broker->polls;
	session->rx_bytes = socket->bytes_in;
	session->tx_bytes = socket->bytes_out;
}

/* Not in the list, and not to be found by itself either. */
static bool is_gone(struct broker *broker, const struct session *session)
{
	struct sockaddr_storage local = { 0 }, peer = { 0 };
	struct diag_socket socket;

	if (session->state != SESSION_LIVE || session->seen == broker->polls)
		return false;
	memcpy(&local, &session->local, sizeof(session->local));
	memcpy(&peer, &session->peer, sizeof(session->peer));
	return diag_find(broker->diag, &local, &peer, session->cookie, &socket) == -ENOENT;
}

/* Where the kernel does not tell of ends, or they were too many to be told. */
static void poll_sockets(struct broker *broker)
{
	struct session *session, *next;
	size_t i;

	if (!broker->diag || !broker->poll_ms || broker->loop.now_ms < broker->poll_ms)
		return;
	broker->poll_ms = diag_has_events(broker->diag) ? 0 : broker->loop.now_ms + POLL_MS;
	broker->polls++;
	if (!broker->sessions.n || diag_dump(broker->diag, AF_INET, socket_lives, broker) < 0 ||
	    diag_dump(broker->diag, AF_INET6, socket_lives, broker) < 0)
		return;
	for (i = 0; i < SESSION_BUCKETS; i++)
		for (session = LIST_FIRST(&broker->sessions.by_id[i]); session; session = next) {
			next = LIST_NEXT(session, by_id);
			if (is_gone(broker, session))
				session_end(broker, session, END_CLOSED);
		}
}

static int open_diag(struct broker *broker)
{
	int r = diag_new(&broker->diag, socket_ended, broker);

	if (r < 0) {
		log_line(broker, CONFIG_LOG_WARNING, "the kernel does not tell of sockets: %s",
			 strerror(-r));
		broker->diag = NULL;
		return 0;
	}
	if (!diag_has_events(broker->diag)) {
		broker->poll_ms = broker->loop.now_ms + POLL_MS;
		return 0;
	}
	if (broker->sessions.n) /* some may have ended while nobody was told */
		broker->poll_ms = broker->loop.now_ms;
	broker->diag_watch = (struct watch){ .fd = diag_fd(broker->diag), .ready = diag_ready };
	return loop_watch(&broker->loop, &broker->diag_watch, EPOLLIN);
}

/* --- reload -------------------------------------------------------------------------------------- */

static bool same_pools(const struct config *a, const struct config *b)
{
	size_t i;

	if (a->n_pools != b->n_pools)
		return false;
	for (i = 0; i < a->n_pools; i++)
		if (strcmp(a->pools[i].name, b->pools[i].name) ||
		    strcmp(a->pools[i].socket, b->pools[i].socket))
			return false;
	return true;
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_listeners(const struct config *a, const struct config *b)
{
	size_t i;

	if (a->n_listeners != b->n_listeners)
		return false;
	for (i = 0; i < a->n_listeners; i++)
		if (!same_text(a->listeners[i].host, b->listeners[i].host) ||
		    a->listeners[i].port != b->listeners[i].port)
			return false;
	return true;
}

static bool same_metrics(const struct config *a, const struct config *b)
{
	return same_text(a->metrics.socket, b->metrics.socket) &&
	       same_text(a->metrics.host, b->metrics.host) && a->metrics.port == b->metrics.port;
}

static int refuse_reload(struct broker *broker, struct config *config, struct config_error *err,
			 int code)
{
	broker->stats.reloads_refused++;
	log_line(broker, CONFIG_LOG_ERROR, "the configuration stays as it was: %s", err->text);
	config_free(config);
	return -code;
}

int broker_reload(struct broker *broker, struct config_error *ret_err)
{
	struct config *config;
	int fd, r;
	size_t i;

	r = config_load(&config, broker->config_path, ret_err);
	if (r < 0)
		return refuse_reload(broker, NULL, ret_err, -r);
	if (!same_pools(broker->config, config) || !same_listeners(broker->config, config) ||
	    !same_metrics(broker->config, config)) {
		snprintf(ret_err->text, sizeof(ret_err->text),
			 "%s: listeners' addresses, pools and metrics change at a restart",
			 broker->config_path);
		return refuse_reload(broker, config, ret_err, SLUICE_E_OPTION_CONFLICT);
	}
	fd = catalog_build(broker, config, ret_err);
	if (fd < 0)
		return refuse_reload(broker, config, ret_err, SLUICE_E_OPTION);
	config->limits.handshakers = broker->config->limits.handshakers;
	config_free(broker->config);
	broker->config = config;
	for (i = 0; i < broker->n_pools; i++)
		broker->pools[i].config = &config->pools[i];
	children_configure(broker, fd);
	broker->stats.reloads++;
	log_line(broker, CONFIG_LOG_INFO, "the configuration is new");
	return 0;
}

/* --- signals and time ---------------------------------------------------------------------------- */

void broker_stop(struct broker *broker)
{
	if (broker->stopping)
		return;
	broker->stopping = true;
	broker->stop_ms = broker->loop.now_ms + broker->config->limits.drain_ms;
	listeners_close(broker);
	service_stopping();
	log_line(broker, CONFIG_LOG_INFO,
		 "ending: %u handshakes are under way, %u connections on their way to workers",
		 broker->in_progress, broker->n_held);
}

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker = (struct broker *)((char *)watch - offsetof(struct broker, signals));
	struct config_error err = { { 0 } };
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			children_reap(broker);
		else if (info.ssi_signo == SIGHUP)
			broker_reload(broker, &err);
		else
			broker_stop(broker);
	}
}

static int open_signals(struct broker *broker)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	broker->signals = (struct watch){ .fd = fd, .ready = signals_ready };
	return loop_watch(&broker->loop, &broker->signals, EPOLLIN);
}

static void tick(struct loop *loop, void *arg)
{
	struct broker *broker = arg;

	children_tick(broker);
	pools_tick(broker);
	sources_tick(broker);
	service_tick(broker);
	poll_sockets(broker);
	admin_tick(broker);
	scrape_tick(broker);
	log_tick(broker);
	if (broker->stopping) {
		if (!(broker->in_progress || broker->n_held) || loop->now_ms >= broker->stop_ms)
			loop->stop = true;
		return;
	}
	listeners_tick(broker);
}

/* --- start --------------------------------------------------------------------------------------- */

static void usage(FILE *out)
{
	fputs("usage: sluiced [--config FILE] [--check]\n"
	      "Terminates TLS for worker processes: keys in one process, plain sockets in others.\n"
	      "\n"
	      "  -c, --config FILE  configuration (default: " CONFIG_PATH ")\n"
	      "      --check        check the configuration and end: 0 good, 1 not\n"
	      "  -h, --help         this text\n"
	      "      --version\n"
	      "\n"
	      "SIGHUP reads the configuration again; SIGTERM ends.\n",
	      out);
}

/* Returns -1: go on, or the exit status. */
static int parse(struct broker *broker, int argc, char **argv, bool *ret_check)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check", no_argument, NULL, 'C' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL },
	};
	int c;

	*ret_check = false;
	while ((c = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		switch (c) {
		case 'c':
			broker->config_path = optarg;
			break;
		case 'C':
			*ret_check = true;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("sluiced " SLUICE_VERSION);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "sluiced: '%s' is not an option\n", argv[optind]);
	return EXIT_USAGE;
}

/* Secrets of all connections are here. */
static void protect(void)
{
	const struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
}

static void raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static int start(struct broker *broker, struct config_error *err)
{
	int fd, r;

	if (metrics_open(broker) < 0)
		return -ENOMEM;
	r = keeper_start(broker);
	if (r < 0) {
		snprintf(err->text, sizeof(err->text), "starting sluice-keeper: %s", strerror(-r));
		return r;
	}
	fd = catalog_build(broker, broker->config, err);
	if (fd < 0)
		return -1;
	r = pools_open(broker, err);
	if (r == 0)
		memory_open(broker);
	if (r == 0)
		r = listeners_open(broker, err);
	if (r == 0)
		r = admin_open(broker, err);
	if (r == 0)
		r = scrape_open(broker, err);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = children_configure(broker, fd);
	if (r < 0)
		snprintf(err->text, sizeof(err->text), "starting handshakers: %s", strerror(-r));
	return r;
}

/* Everything of the configuration, and the files it names, without serving anybody. */
static int check(struct broker *broker, struct config_error *err)
{
	int fd, r = keeper_start(broker);

	if (r < 0) {
		snprintf(err->text, sizeof(err->text), "starting sluice-keeper: %s", strerror(-r));
		return r;
	}
	fd = catalog_build(broker, broker->config, err);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static int run(struct broker *broker, bool only_check)
{
	struct config_error err = { { 0 } };
	int r = config_load(&broker->config, broker->config_path, &err);

	if (r == 0)
		r = only_check ? check(broker, &err) : start(broker, &err);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text[0] ? err.text : strerror(ENOMEM));
	} else if (only_check) {
		printf("%s: good\n", broker->config_path);
	} else {
		open_diag(broker);
		log_line(broker, CONFIG_LOG_INFO,
			 "serving: %zu listeners, %zu pools, %zu handshakers", broker->n_listeners,
			 broker->n_pools, broker->n_handshakers);
		service_ready(broker);
		r = loop_run(&broker->loop);
	}
	listeners_close(broker);
	admin_close(broker);
	scrape_close(broker);
	broker->handing_on = true;
	pools_close(broker);
	children_stop(broker);
	sources_free(broker);
	metrics_close(broker);
	memory_close(broker);
	diag_free(broker->diag);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static struct broker broker = { .config_path = CONFIG_PATH, .catalog_fd = -1 };
	bool only_check;
	int status = parse(&broker, argc, argv, &only_check);

	if (status >= 0)
		return status;
	protect();
	raise_files();
	broker.buf = wire_buffer_new();
	broker.out = wire_buffer_new();
	if (!broker.buf || !broker.out || loop_init(&broker.loop, tick, &broker) < 0 ||
	    open_signals(&broker) < 0) {
		perror("sluiced");
		return EXIT_FAILURE;
	}
	broker.started_ms = broker.loop.now_ms;
	if (getrandom(&broker.sources.seed, sizeof(broker.sources.seed), 0) < 0)
		broker.sources.seed = broker.started_ms; /* spreads worse, and nothing else */
	broker.started_unix = (uint64_t)time(NULL);
	broker.admin.watch.fd = broker.keeper.watch.fd = broker.scrape.watch.fd = -1;
	broker.scrape.unix_fd = broker.scrape.tcp_fd = -1;
	status = run(&broker, only_check);
	wire_buffer_free(broker.buf);
	wire_buffer_free(broker.out);
	config_free(broker.config);
	return status;
}
