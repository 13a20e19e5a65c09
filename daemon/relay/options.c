// SPDX-License-Identifier: Apache-2.0
/* What sluice-relay is told on its command line. */
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/relay.h"

#define EXIT_USAGE 2
#define MAX_MS 3600000

static void usage(FILE *out)
{
	fputs("usage: sluice-relay --pool SOCKET --backend ADDRESS... [--as NAME]\n"
	      "       sluice-relay --pool SOCKET --offer SOCKET [--as NAME] [--user NAME]...\n"
	      "       sluice-relay --listen ADDRESS --to ADDRESS... --service SOCKET --profile NAME [--host NAME]\n"
	      "Takes connections out of a pool of sluiced, and their plaintext to servers without TLS.\n"
	      "\n"
	      "  -p, --pool SOCKET   the pool\n"
	      "  -b, --backend ADDR  HOST:PORT, [ADDRESS]:PORT or unix:PATH, a server; repeatable\n"
	      "      --send-proxy V  v1 or v2: a PROXY header tells it who its client is\n"
	      "      --connect MS    how long one may take to accept (2000)\n"
	      "      --rest MS       how long one that failed comes last (10000)\n"
	      "      --idle MS       how long a connection may say nothing; 0: for ever (600000)\n"
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
	      "SIGTERM takes no more connections and waits for those that are open; twice: ends.\n",
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
	default:
		return NULL;
	}
}

static bool take_option(struct relay *relay, int c)
{
	const char *wrong;
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
		wrong = backend_add(&relay->backends, optarg);
		if (!wrong)
			return true;
		fprintf(stderr, "sluice-relay: backend %s: %s\n", optarg, wrong);
		return false;
	default:
		time = time_of(relay, c);
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
		if (geteuid() != 0 || relay->uid)
			return -1;
		fputs("sluice-relay: root must say whom to become (--as), one of the pool's users\n",
		      stderr);
		return EXIT_USAGE;
	}
	usage(stderr);
	return EXIT_USAGE;
}
