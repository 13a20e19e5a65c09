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

/*
 * Ends are read many at a time, at each tick and when somebody looks at the table: each for itself would
 * wake this process once more for every connection.
 */
void broker_read_ends(struct broker *broker)
{
	if (broker->diag && diag_dispatch(broker->diag) == -ENOBUFS)
		broker->poll_ms = broker->loop.now_ms; /* some were missed */
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
	struct diag_socket socket;

	return session->state == SESSION_LIVE && session->seen != broker->polls &&
	       session_find_socket(broker, session, &socket) == -ENOENT;
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

static void open_diag(struct broker *broker)
{
	int r = diag_new(&broker->diag, socket_ended, broker);

	if (r < 0) {
		log_line(broker, CONFIG_LOG_WARNING, "the kernel does not tell of sockets: %s",
			 strerror(-r));
		broker->diag = NULL;
		return;
	}
	if (!diag_has_events(broker->diag)) {
		broker->poll_ms = broker->loop.now_ms + POLL_MS;
		return;
	}
	if (broker->sessions.n) /* some may have ended while nobody was told */
		broker->poll_ms = broker->loop.now_ms;
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
	struct signalfd_siginfo info;

	while (read(watch->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			children_reap(broker);
		else if (info.ssi_signo == SIGHUP)
			broker_reload(broker, true);
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
	certs_tick(broker);
	crls_tick(broker);
	recheck_tick(broker);
	reload_tick(broker);
	pools_tick(broker);
	sources_tick(broker);
	service_tick(broker);
	broker_read_ends(broker);
	poll_sockets(broker);
	asks_tick(broker);
	decide_tick(broker);
	admin_tick(broker);
	scrape_tick(broker);
	fetch_tick(broker);
	staples_tick(broker);
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
	fd = certs_start(broker, err);
	if (fd < 0)
		return -1;
	r = crls_start(broker, err);
	if (r == 0)
		r = pools_open(broker, err);
	if (r == 0)
		memory_open(broker);
	if (r == 0)
		r = listeners_open(broker, err);
	if (r == 0)
		r = admin_open(broker, err);
	if (r == 0)
		r = scrape_open(broker, err);
	if (r == 0) {
		r = fetch_start(broker);
		if (r < 0)
			snprintf(err->text, sizeof(err->text), "starting sluice-fetch: %s",
				 strerror(-r));
	}
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
	int fd, r;

	broker->config->log.target =
		CONFIG_LOG_STDERR; /* what is wrong with files in directories */
	r = keeper_start(broker);
	if (r < 0) {
		snprintf(err->text, sizeof(err->text), "starting sluice-keeper: %s", strerror(-r));
		return r;
	}
	fd = certs_start(broker, err);
	if (fd < 0)
		return -1;
	close(fd);
	return crls_start(broker, err);
}

static int run(struct broker *broker, bool only_check)
{
	struct config_error err = { { 0 } };
	int r = config_load(&broker->config, broker->config_path, &err);

	if (r == 0)
		r = certs_open(broker);
	if (r == 0)
		r = crls_open(broker);
	if (r == 0)
		r = recheck_open(broker);
	if (r == 0)
		r = only_check ? check(broker, &err) : start(broker, &err);
	if (r < 0) {
		fprintf(stderr, "%s\n", err.text[0] ? err.text : strerror(ENOMEM));
	} else if (only_check) {
		printf("%s: good\n", broker->config_path);
	} else {
		open_diag(broker);
		log_line(broker, CONFIG_LOG_INFO,
			 "serving: %zu listeners, %zu pools and services, %zu handshakers",
			 broker->n_listeners, broker->n_pools, broker->n_handshakers);
		service_ready(broker);
		r = loop_run(&broker->loop);
	}
	listeners_close(broker);
	admin_close(broker);
	scrape_close(broker);
	fetch_close(broker);
	broker->handing_on = true;
	pools_close(broker);
	crls_close(broker); /* it may have a child */
	staples_close(broker);
	children_stop(broker);
	decide_close(broker);
	certs_close(broker);
	recheck_close(broker);
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
	uint64_t seed;

	if (status >= 0)
		return status;
	protect();
	raise_files();
	broker.buf = wire_buffer_new();
	broker.out = wire_buffer_new();
	broker.permit_key = secret_new(PERMIT_KEY_LEN);
	broker.admin.watch.fd = broker.keeper.watch.fd = broker.keeper.loads.fd = -1;
	if (!broker.buf || !broker.out || !broker.permit_key ||
	    getrandom(broker.permit_key, PERMIT_KEY_LEN, 0) < 0 ||
	    loop_init(&broker.loop, tick, &broker) < 0 || open_signals(&broker) < 0) {
		perror("sluiced");
		return EXIT_FAILURE;
	}
	TAILQ_INIT(&broker.asks);
	fetch_open(&broker);
	staples_open(&broker);
	broker.started_ms = broker.loop.now_ms;
	if (getrandom(&seed, sizeof(seed), 0) < 0)
		seed = broker.started_ms; /* spreads worse, and nothing else */
	sources_init(&broker.sources, seed);
	broker.started_unix = (uint64_t)time(NULL);
	status = run(&broker, only_check);
	wire_buffer_free(broker.buf);
	wire_buffer_free(broker.out);
	secret_free(broker.permit_key);
	config_free(broker.config);
	return status;
}
