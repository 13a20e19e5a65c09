// SPDX-License-Identifier: Apache-2.0
/*
 * Names to addresses, without a thread and without a file: c-ares asks the name servers over sockets
 * that our loop watches, and what the system's files say was read before this process gave them up.
 */
#include <ares.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <strings.h>

#include "fetch/fetch.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define QUERY_MS 1500 /* c-ares lets it grow from try to try; a job's deadline comes first */
#define QUERY_TRIES 3
#define MAX_SOCKETS 16
#define MAX_FILE_LINES 4096 /* of /etc/hosts */

static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

static ares_channel channel;

/* What c-ares waits for; a place without a socket is -1. */
static struct {
	int fd;
	bool in, out;
} sockets[MAX_SOCKETS];

/* What /etc/hosts says of @fetch_hosts, at the same index. */
static struct addresses from_file[FETCH_MAX_HOSTS];

static void add(struct addresses *addresses, int family, const void *bytes)
{
	uint8_t *address;

	if (addresses->n == MAX_ADDRESSES || (family != AF_INET && family != AF_INET6))
		return;
	address = addresses->bytes[addresses->n++];
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address + (family == AF_INET ? 12 : 0), bytes, family == AF_INET ? 4 : 16);
}

/* --- /etc/hosts ------------------------------------------------------------------------------- */

static bool has_name(const struct hostent *line, const char *name)
{
	char **alias;

	if (!strcasecmp(line->h_name, name))
		return true;
	for (alias = line->h_aliases; alias && *alias; alias++)
		if (!strcasecmp(*alias, name))
			return true;
	return false;
}

static void read_line(const struct hostent *line)
{
	const struct fetch_host *host;
	char **address;
	size_t i;

	for (i = 0; i < fetch_hosts.n; i++) {
		host = &fetch_hosts.hosts[i];
		if (!host->name[0] || !has_name(line, host->name))
			continue;
		for (address = line->h_addr_list; *address; address++)
			add(&from_file[i], line->h_addrtype, *address);
	}
}

static void read_file(void)
{
	const struct hostent *line;
	unsigned int i = 0;

	sethostent(1);
	while (i++ < MAX_FILE_LINES && (line = gethostent()))
		read_line(line);
	endhostent();
}

static const struct addresses *find_in_file(const char *name)
{
	size_t i;

	for (i = 0; i < fetch_hosts.n; i++)
		if (from_file[i].n && !strcasecmp(fetch_hosts.hosts[i].name, name))
			return &from_file[i];
	return NULL;
}

/* --- name servers ----------------------------------------------------------------------------- */

static void socket_state(void *data, ares_socket_t fd, int in, int out)
{
	size_t i, place = N(sockets);

	for (i = 0; i < N(sockets); i++) {
		if (sockets[i].fd == fd)
			break;
		if (sockets[i].fd < 0 && place == N(sockets))
			place = i;
	}
	if (i == N(sockets))
		i = place;
	if (i == N(sockets))
		return; /* c-ares runs into its own time limit */
	sockets[i].fd = in || out ? fd : -1;
	sockets[i].in = in;
	sockets[i].out = out;
}

int resolve_open(const char *servers)
{
	static char lookups[] = "b"; /* name servers only */
	struct ares_options options = {
		.timeout = QUERY_MS,
		.tries = QUERY_TRIES,
		.lookups = lookups,
		.sock_state_cb = socket_state,
	};
	int mask = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB;
	size_t i;

	for (i = 0; i < N(sockets); i++)
		sockets[i].fd = -1;
	read_file();
	if (ares_library_init(ARES_LIB_INIT_ALL) != ARES_SUCCESS ||
	    ares_init_options(&channel, &options, mask) != ARES_SUCCESS)
		return -ENOMEM;
	if (servers && ares_set_servers_ports_csv(channel, servers) != ARES_SUCCESS)
		return -EINVAL;
	return 0;
}

static void found(void *arg, int status, int timeouts, struct ares_addrinfo *info)
{
	struct addresses addresses = { .n = 0 };
	const struct ares_addrinfo_node *node;

	for (node = info ? info->nodes : NULL; node; node = node->ai_next) {
		if (node->ai_family == AF_INET)
			add(&addresses, AF_INET,
			    &((const struct sockaddr_in *)(const void *)node->ai_addr)->sin_addr);
		else if (node->ai_family == AF_INET6)
			add(&addresses, AF_INET6,
			    &((const struct sockaddr_in6 *)(const void *)node->ai_addr)->sin6_addr);
	}
	if (info)
		ares_freeaddrinfo(info);
	job_resolved(arg, &addresses);
}

void resolve(struct job *job)
{
	const struct ares_addrinfo_hints hints = { .ai_flags = ARES_AI_NOSORT,
						   .ai_family = AF_UNSPEC };
	struct addresses addresses = { .n = 0 };

	job->state = JOB_RESOLVES;
	if (fetch_address(job->host, addresses.bytes[0])) {
		addresses.n = 1;
		job_resolved(job, &addresses);
	} else if (find_in_file(job->host)) {
		job_resolved(job, find_in_file(job->host));
	} else {
		ares_getaddrinfo(channel, job->host, NULL, &hints, found, job);
	}
}

unsigned int resolve_fds(struct curl_waitfd *fds, unsigned int max)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < N(sockets) && n < max; i++) {
		if (sockets[i].fd < 0)
			continue;
		fds[n++] = (struct curl_waitfd){
			.fd = sockets[i].fd,
			.events = (short)((sockets[i].in ? CURL_WAIT_POLLIN : 0) |
					  (sockets[i].out ? CURL_WAIT_POLLOUT : 0)),
		};
	}
	return n;
}

int resolve_wait_ms(int max_ms)
{
	struct timeval max = { .tv_sec = max_ms / 1000, .tv_usec = max_ms % 1000 * 1000 }, out;
	const struct timeval *wait = ares_timeout(channel, &max, &out);

	return wait ? (int)(wait->tv_sec * 1000 + (wait->tv_usec + 999) / 1000) : max_ms;
}

void resolve_run(const struct curl_waitfd *fds, unsigned int n)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (!fds[i].revents)
			continue;
		/* An error of a socket shows when it is read. */
		ares_process_fd(channel,
				fds[i].revents & ~CURL_WAIT_POLLOUT ? fds[i].fd : ARES_SOCKET_BAD,
				fds[i].revents & CURL_WAIT_POLLOUT ? fds[i].fd : ARES_SOCKET_BAD);
		any = true;
	}
	if (!any)
		ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}
