// SPDX-License-Identifier: Apache-2.0
/* What sluice-relay is told on its command line. */
#include <ctype.h>
#include <getopt.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#define EXIT_USAGE 2
#define MAX_MS 3600000
#define MAX_CHECK_PATH 256
#define MAX_IN_ROW 1000
#define MAX_RESOLVE_S 86400

enum {
	OPT_BACKUP = 256,
	OPT_ROUTE,
	OPT_CHECK,
	OPT_CHECK_EVERY,
	OPT_CHECK_TIMEOUT,
	OPT_RISE,
	OPT_FALL,
	OPT_RESOLVE,
	OPT_RETRIES,
	OPT_KEEPALIVE,
	OPT_USER_TIMEOUT,
	OPT_WORKERS,
	OPT_CPUS,
};

static void usage(FILE *out)
{
	fputs("usage: sluice-relay --pool SOCKET --backend ADDRESS... [--as NAME]\n"
	      "       sluice-relay --pool SOCKET --offer SOCKET [--as NAME] [--user NAME]...\n"
	      "       sluice-relay --listen ADDRESS --to ADDRESS... --service SOCKET --profile NAME [--host NAME]\n"
	      "Takes connections out of a pool of sluiced, and their plaintext to servers without TLS.\n"
	      "\n"
	      "  -p, --pool SOCKET   the pool\n"
	      "  -b, --backend ADDR  HOST:PORT, [ADDRESS]:PORT or unix:PATH, a server; repeatable\n"
	      "      --backup ADDR   one that serves where no other is well; repeatable\n"
	      "      --route RULE    listener=NAME, sni=NAME, alpn=NAME, or several with commas: the backends\n"
	      "                      behind it are for connections with these, those before it for others\n"
	      "      --check WHAT    tcp or http:PATH: asks them whether they are well\n"
	      "      --check-every MS    from one time to the next (2000)\n"
	      "      --check-timeout MS  how long an answer may take (2000)\n"
	      "      --rise N        so many good answers in a row: well again (2)\n"
	      "      --fall N        so many bad ones: a last resort (3)\n"
	      "      --resolve S     looks their names up every so many seconds, as SIGHUP does; 0: never (0)\n"
	      "      --send-proxy V  v1 or v2: a PROXY header tells it who its client is\n"
	      "      --connect MS    how long one may take to accept (2000)\n"
	      "      --retries N     how often all are tried again, after a second, within --wait (3)\n"
	      "      --rest MS       how long one that failed comes last (10000)\n"
	      "      --idle MS       how long a connection may say nothing; 0: for ever (600000)\n"
	      "      --keepalive I,N,C   seconds without a word, between questions, how many: on TCP, both sides\n"
	      "      --user-timeout MS   how long data may stay unacknowledged on TCP; 0: the kernel's (0)\n"
	      "      --workers N     processes that share the work; auto: one for each processor (auto)\n"
	      "      --cpus LIST     where workers run, one after the other, as 0-3,6\n"
	      "  -o, --offer SOCKET  where plain workers attach, instead\n"
	      "  -l, --listen ADDR   the other direction: accepts connections without TLS here ...\n"
	      "      --to ADDR       ... and joins them with connections with TLS to this\n"
	      "  -s, --service S     the service of sluiced that makes TLS\n"
	      "      --profile NAME  the profile: its certificate, and whom it trusts\n"
	      "      --host NAME     whom the peer's certificate must name, if not its address\n"
	      "  -a, --as NAME       whom to become, started by root\n"
	      "  -u, --user NAME     who may, besides root: a name or number; repeatable\n"
	      "      --wait MS       how long a connection waits for a backend or plain worker (5000)\n"
	      "      --io NAME       how data goes: uring (also auto), splice, uring-splice or epoll\n"
	      "      --drain MS      how long the end waits for connections (30000)\n"
	      "  -h, --help          this text\n"
	      "      --version\n"
	      "\n"
	      "SIGTERM takes no more connections and waits for those that are open; twice: ends.\n"
	      "SIGUSR1 logs figures; SIGHUP, of several workers, looks names up again.\n",
	      out);
}

static bool read_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	char *end;
	unsigned long long value;

	if (!*text || text[strspn(text, "0123456789")] || strlen(text) > 10)
		return false;
	value = strtoull(text, &end, 10);
	if (value > max)
		return false;
	*ret_value = value;
	return true;
}

/* "IDLE,INTERVAL,COUNT", in the kernel's ranges (tcp(7)). */
static bool set_keepalive(struct relay *relay, const char *text)
{
	struct backends *backends = &relay->backends;
	uint64_t *into[] = { &backends->keep_idle_s, &backends->keep_interval_s,
			     &backends->keep_count };
	static const uint64_t max[] = { 32767, 32767, 127 };
	char copy[32], *rest = copy, *word;
	size_t i;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	for (i = 0; i < 3; i++) {
		word = strsep(&rest, ",");
		if (!word || !read_number(word, max[i], into[i]) || !*into[i])
			return false;
	}
	return !rest;
}

static bool set_check(struct relay *relay, const char *text)
{
	struct backends *backends = &relay->backends;
	const char *c;

	backends->check = CHECK_TCP;
	if (strcmp(text, "tcp") == 0)
		return true;
	backends->check = CHECK_HTTP;
	backends->check_path = text + strlen("http:");
	if (strncmp(text, "http:/", strlen("http:/")) != 0 || strlen(text) > MAX_CHECK_PATH)
		return false;
	for (c = text; *c > ' ' && *c < 0x7f;)
		c++;
	return !*c;
}

/* Returns the number of processors in "0-3,6", 0: it is no such list. */
static unsigned int read_cpus(const char *text, unsigned int *cpus)
{
	unsigned int n = 0;
	unsigned long from, to;
	char *end;

	for (;; text = end + 1) {
		if (!isdigit((unsigned char)*text))
			return 0;
		from = to = strtoul(text, &end, 10);
		if (*end == '-' && isdigit((unsigned char)end[1]))
			to = strtoul(end + 1, &end, 10);
		if (from > to || to >= CPU_SETSIZE || to - from >= MAX_WORKERS - n)
			return 0;
		while (from <= to)
			cpus[n++] = (unsigned int)from++;
		if (*end != ',')
			return *end ? 0 : n;
	}
}

static bool set_workers(struct relay *relay, const char *text)
{
	uint64_t n = 0;

	if (strcmp(text, "auto") != 0 && (!read_number(text, MAX_WORKERS, &n) || !n))
		return false;
	relay->n_workers = (unsigned int)n;
	return true;
}

static bool add_user(struct relay *relay, const char *text)
{
	const struct passwd *user;
	uint64_t uid;

	if (relay->n_users == MAX_USERS)
		return false;
	if (!read_number(text, UINT32_MAX - 1, &uid)) {
		user = getpwnam(text);
		if (!user)
			return false;
		uid = user->pw_uid;
	}
	relay->users[relay->n_users++] = (uid_t)uid;
	return true;
}

static bool set_identity(struct relay *relay, const char *text)
{
	const struct passwd *user = getpwnam(text);

	if (!user || user->pw_uid == 0)
		return false;
	relay->uid = user->pw_uid;
	relay->gid = user->pw_gid;
	return true;
}

static bool set_io(struct relay *relay, const char *text)
{
	static const char *const names[] = {
		[IO_AUTO] = "auto",     [IO_URING] = "uring",
		[IO_SPLICE] = "splice", [IO_URING_SPLICE] = "uring-splice",
		[IO_EPOLL] = "epoll",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			relay->io = (enum relay_io)i;
			return true;
		}
	}
	return false;
}

static bool set_preamble(struct relay *relay, const char *text)
{
	relay->preamble = strcmp(text, "v1") == 0   ? PREAMBLE_PROXY_1
			  : strcmp(text, "v2") == 0 ? PREAMBLE_PROXY_2
						    : PREAMBLE_NONE;
	return relay->preamble != PREAMBLE_NONE;
}

static uint64_t *time_of(struct relay *relay, int c)
{
	switch (c) {
	case 'w':
		return &relay->wait_ms;
	case 'd':
		return &relay->drain_ms;
	case 'C':
		return &relay->backends.connect_ms;
	case 'R':
		return &relay->backends.rest_ms;
	case 'I':
		return &relay->backends.idle_ms;
	case OPT_CHECK_EVERY:
		return &relay->backends.check_ms;
	case OPT_CHECK_TIMEOUT:
		return &relay->backends.check_wait_ms;
	case OPT_USER_TIMEOUT:
		return &relay->backends.user_timeout_ms;
	default:
		return NULL;
	}
}

static bool complain(const char *what)
{
	fprintf(stderr, "sluice-relay: '%s' is not %s\n", optarg, what);
	return false;
}

/* At least 1 but for seconds: those may be 0. */
static bool take_count(struct relay *relay, int c)
{
	uint64_t *count = c == OPT_RISE   ? &relay->backends.rise
			  : c == OPT_FALL ? &relay->backends.fall
					  : &relay->resolve_s;

	if (c == OPT_RESOLVE)
		return read_number(optarg, MAX_RESOLVE_S, count) || complain("0 to 86400 seconds");
	return (read_number(optarg, MAX_IN_ROW, count) && *count) || complain("1 to 1000");
}

/* Of how backends and workers are kept. */
static bool take_more(struct relay *relay, int c)
{
	switch (c) {
	case OPT_CHECK:
		return set_check(relay, optarg) || complain("tcp or http:/PATH");
	case OPT_KEEPALIVE:
		return set_keepalive(relay, optarg) || complain("IDLE,INTERVAL,COUNT");
	case OPT_WORKERS:
		return set_workers(relay, optarg) || complain("auto or 1 to 64");
	case OPT_RETRIES:
		return read_number(optarg, MAX_IN_ROW, &relay->backends.retries) ||
		       complain("0 to 1000");
	case OPT_CPUS:
		relay->n_cpus = read_cpus(optarg, relay->cpus);
		return relay->n_cpus || complain("a list of at most 64 processors");
	default:
		return take_count(relay, c);
	}
}

static bool take_backend(struct relay *relay, bool is_backup)
{
	const char *wrong = backend_add(&relay->backends, optarg, is_backup);

	if (wrong)
		fprintf(stderr, "sluice-relay: backend %s: %s\n", optarg, wrong);
	return !wrong;
}

static bool take_route(struct relay *relay)
{
	const char *wrong = route_add(&relay->backends, optarg);

	if (wrong)
		fprintf(stderr, "sluice-relay: route %s: %s\n", optarg, wrong);
	return !wrong;
}

static bool take_option(struct relay *relay, int c)
{
	uint64_t *time;

	switch (c) {
	case 'p':
		relay->pool_path = optarg;
		return true;
	case 'o':
		relay->offer_path = optarg;
		return true;
	case 'a':
		if (set_identity(relay, optarg))
			return true;
		fprintf(stderr, "sluice-relay: '%s' is no user, or is root\n", optarg);
		return false;
	case 'u':
		if (add_user(relay, optarg))
			return true;
		fprintf(stderr, "sluice-relay: there is no user '%s'\n", optarg);
		return false;
	case 'i':
		if (set_io(relay, optarg))
			return true;
		fprintf(stderr,
			"sluice-relay: '%s' is not auto, uring, splice, uring-splice or epoll\n",
			optarg);
		return false;
	case 'P':
		if (set_preamble(relay, optarg))
			return true;
		fprintf(stderr, "sluice-relay: '%s' is not v1 or v2\n", optarg);
		return false;
	case 'l':
		relay->listen_text = optarg;
		return true;
	case 's':
		relay->joiner.service_path = optarg;
		return true;
	case 'f':
		relay->joiner.profile = optarg;
		return true;
	case 'H':
		relay->joiner.host = optarg;
		return true;
	case 'b':
		return take_backend(relay, false);
	case OPT_BACKUP:
		return take_backend(relay, true);
	case OPT_ROUTE:
		return take_route(relay);
	default:
		time = time_of(relay, c);
		if (!time && c >= OPT_BACKUP)
			return take_more(relay, c);
		if (time && read_number(optarg, MAX_MS, time))
			return true;
		if (time)
			fprintf(stderr, "sluice-relay: '%s' is not 0 to %d milliseconds\n", optarg,
				MAX_MS);
		return false;
	}
}

/* What comes from a pool goes to backends or to plain workers; what we accept goes to backends, by a service. */
static bool is_sensible(const struct relay *relay)
{
	const struct joiner *joiner = &relay->joiner;

	if (relay->listen_text)
		return !relay->pool_path && !relay->offer_path && relay->backends.n &&
		       joiner->service_path && joiner->profile && !relay->preamble;
	return relay->pool_path && !relay->offer_path != !relay->backends.n &&
	       !joiner->service_path && !joiner->profile && !joiner->host &&
	       (relay->backends.n || !relay->preamble);
}

/* Returns whether processes and checks can be as told. */
static bool is_possible(struct relay *relay)
{
	const struct backends *backends = &relay->backends;

	if (!relay->n_workers)
		relay->n_workers = relay->offer_path ? 1 : workers_auto(relay);
	if (relay->offer_path && relay->n_workers > 1) {
		fputs("sluice-relay: plain workers attach to one process: --offer is for --workers 1\n",
		      stderr);
		return false;
	}
	if (routes_check(backends)) {
		fprintf(stderr, "sluice-relay: route %s has no backends\n", routes_check(backends));
		return false;
	}
	if (relay->listen_text && backends->n_routes) {
		fputs("sluice-relay: --route is for connections of a pool\n", stderr);
		return false;
	}
	if (!backends->n && (backends->check || relay->resolve_s)) {
		fputs("sluice-relay: --check and --resolve are for backends\n", stderr);
		return false;
	}
	if (backends->check && (!backends->check_ms || !backends->check_wait_ms)) {
		fputs("sluice-relay: checks need a time\n", stderr);
		return false;
	}
	return true;
}

int relay_options(struct relay *relay, int argc, char **argv)
{
	static const struct option options[] = {
		{ "pool", required_argument, NULL, 'p' },
		{ "offer", required_argument, NULL, 'o' },
		{ "as", required_argument, NULL, 'a' },
		{ "user", required_argument, NULL, 'u' },
		{ "wait", required_argument, NULL, 'w' },
		{ "drain", required_argument, NULL, 'd' },
		{ "io", required_argument, NULL, 'i' },
		{ "backend", required_argument, NULL, 'b' },
		{ "connect", required_argument, NULL, 'C' },
		{ "send-proxy", required_argument, NULL, 'P' },
		{ "listen", required_argument, NULL, 'l' },
		{ "to", required_argument, NULL, 'b' },
		{ "service", required_argument, NULL, 's' },
		{ "profile", required_argument, NULL, 'f' },
		{ "host", required_argument, NULL, 'H' },
		{ "rest", required_argument, NULL, 'R' },
		{ "idle", required_argument, NULL, 'I' },
		{ "backup", required_argument, NULL, OPT_BACKUP },
		{ "route", required_argument, NULL, OPT_ROUTE },
		{ "check", required_argument, NULL, OPT_CHECK },
		{ "check-every", required_argument, NULL, OPT_CHECK_EVERY },
		{ "check-timeout", required_argument, NULL, OPT_CHECK_TIMEOUT },
		{ "rise", required_argument, NULL, OPT_RISE },
		{ "fall", required_argument, NULL, OPT_FALL },
		{ "retries", required_argument, NULL, OPT_RETRIES },
		{ "resolve", required_argument, NULL, OPT_RESOLVE },
		{ "keepalive", required_argument, NULL, OPT_KEEPALIVE },
		{ "user-timeout", required_argument, NULL, OPT_USER_TIMEOUT },
		{ "workers", required_argument, NULL, OPT_WORKERS },
		{ "cpus", required_argument, NULL, OPT_CPUS },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL },
	};
	int c;

	while ((c = getopt_long(argc, argv, "p:o:b:l:s:a:u:h", options, NULL)) != -1) {
		if (c == 'h') {
			usage(stdout);
			return 0;
		}
		if (c == 'V') {
			puts("sluice-relay " SLUICE_VERSION);
			return 0;
		}
		if (!take_option(relay, c))
			return EXIT_USAGE;
	}
	if (optind == argc && is_sensible(relay)) {
		if (!is_possible(relay))
			return EXIT_USAGE;
		if (geteuid() != 0 || relay->uid)
			return -1;
		fputs("sluice-relay: root must say whom to become (--as), one of the pool's users\n",
		      stderr);
		return EXIT_USAGE;
	}
	usage(stderr);
	return EXIT_USAGE;
}
