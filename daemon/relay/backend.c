// SPDX-License-Identifier: Apache-2.0
/* The backends: which one is next, whether it can be connected to, and what of it is idle. */
#include "relay/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

#include "relay/relay.h"
#include "relay/supervise.h"

#define UNIX_PREFIX "unix:"
#define FORM "it is not HOST:PORT, [ADDRESS]:PORT or unix:PATH"
#define MAX_TEXT 253 /* a name and a port */
#define ADDRESS_LEN 64
#define IDLE_LOOK_MS 1000
#define RETRY_MS 1000

/* --- addresses -------------------------------------------------------------------------------- */

const char *backend_put(struct backends *backends, uint32_t of, const char *name, const void *addr,
			socklen_t len)
{
	struct backend *list;

	if (backends->n == MAX_BACKENDS)
		return "there are more than 64 addresses";
	list = reallocarray(backends->list, backends->n + 1, sizeof(*list));
	if (!list)
		return "no memory";
	backends->list = list;
	list += backends->n++;
	memset(list, 0, sizeof(*list));
	snprintf(list->name, sizeof(list->name), "%s", name);
	memcpy(&list->addr, addr, len);
	list->addr_len = len;
	list->of = of;
	list->is_backup = backends->texts[of].is_backup;
	list->group = backends->texts[of].group;
	list->check.watch.fd = -1;
	return NULL;
}

/* Of the text that was told last. */
static const char *add(struct backends *backends, const char *name, const void *addr, socklen_t len)
{
	return backend_put(backends, (uint32_t)backends->n_texts - 1, name, addr, len);
}

static const char *add_unix(struct backends *backends, const char *text)
{
	const char *path = text + strlen(UNIX_PREFIX);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (*path != '/' || strlen(path) >= sizeof(addr.sun_path))
		return "behind unix: is an absolute path of at most 107 bytes";
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return add(backends, text, &addr, sizeof(addr));
}

static const char *add_address(struct backends *backends, const char *text,
			       const struct addrinfo *info)
{
	char name[BACKEND_NAME], host[ADDRESS_LEN];

	if (getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), NULL, 0,
			NI_NUMERICHOST))
		return "it has an address that cannot be read";
	snprintf(name, sizeof(name), strstr(text, host) ? "%s" : "%s (%s)", text, host);
	return add(backends, name, info->ai_addr, info->ai_addrlen);
}

static const char *look_up(struct backends *backends, const char *text, const char *host,
			   const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *all, *info;
	const char *wrong = NULL;
	int r = getaddrinfo(host, port, &hints, &all);

	if (r)
		return gai_strerror(r);
	for (info = all; info && !wrong; info = info->ai_next)
		wrong = add_address(backends, text, info);
	freeaddrinfo(all);
	return wrong;
}

static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	long port = len && len <= 5 && !text[len] ? strtol(text, NULL, 10) : 0;

	return port > 0 && port <= UINT16_MAX;
}

/* "[ADDRESS]:PORT" becomes "[ADDRESS" and then, moved, "ADDRESS". */
const char *address_split(const char *text, char *host, size_t host_size, char **ret_port)
{
	char *colon;

	if (strlen(text) > MAX_TEXT || strlen(text) >= host_size)
		return "it is too long";
	strcpy(host, text);
	colon = strrchr(host, ':');
	if (!colon || colon == host || !is_port(colon + 1))
		return FORM;
	*colon = '\0';
	*ret_port = colon + 1;
	if (*host == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		memmove(host, host + 1, strlen(host));
	} else if (strpbrk(host, "[]:")) {
		return FORM;
	}
	return NULL;
}

bool backend_is_local(const char *text)
{
	return strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

const char *backend_add(struct backends *backends, const char *text, bool is_backup)
{
	char host[MAX_TEXT + 1], *port;
	const char *wrong;

	if (backends->n_texts == MAX_BACKENDS)
		return "there are more than 64";
	backends->texts[backends->n_texts++] = (struct backend_text){
		.text = text, .is_backup = is_backup, .group = (uint8_t)backends->n_routes
	};
	if (backend_is_local(text))
		return add_unix(backends, text);
	wrong = address_split(text, host, sizeof(host), &port);
	return wrong ? wrong : look_up(backends, text, host, port);
}

void backends_free(struct backends *backends)
{
	if (backends->connector >= 0)
		close(backends->connector);
	backends->connector = -1;
	free(backends->list);
	backends->list = NULL;
	backends->n = 0;
	while (backends->n_routes)
		free(backends->routes[--backends->n_routes].words);
}

/* --- which one -------------------------------------------------------------------------------- */

/*
 * What is down comes last: better it than nothing, and so it is found to be back. Backups come before others that
 * are down.
 */
static int rank(const struct backend *backend, uint64_t now_ms)
{
	bool rests = backend->down && now_ms < backend->again_ms;

	return (backend->check.is_failing ? 4 : rests ? 2 : 0) + backend->is_backup;
}

static bool is_better(const struct backend *a, const struct backend *b, uint64_t now_ms)
{
	int rank_a = rank(a, now_ms), rank_b = rank(b, now_ms);

	if (rank_a != rank_b)
		return rank_a < rank_b;
	return a->n_links < b->n_links;
}

static struct backend *choose(struct backends *backends, const struct dial *dial, uint64_t now_ms)
{
	struct backend *best = NULL, *backend;
	size_t i, at;

	for (i = 0; i < backends->n; i++) {
		at = (backends->next + i) % backends->n;
		backend = &backends->list[at];
		if (backend->group == dial->group && !(dial->tried >> at & 1) &&
		    (!best || is_better(backend, best, now_ms)))
			best = backend;
	}
	backends->next++;
	return best;
}

static void went_down(struct relay *relay, struct backend *backend, const char *why)
{
	if (!backend->down)
		log_line("backend %s: %s; others first for %llu ms", backend->name, why,
			 (unsigned long long)relay->backends.rest_ms);
	backend->down = true;
	backend->refused++;
	backend->again_ms = relay->loop.now_ms + relay->backends.rest_ms;
}

static void is_up(struct backend *backend)
{
	if (backend->down)
		log_line("backend %s: it is back", backend->name);
	backend->down = false;
}

/* --- one try after the other ------------------------------------------------------------------ */

static void try_ready(struct watch *watch, uint32_t events);

static void forget_try(struct dial *dial)
{
	if (dial->watch.fd < 0)
		return;
	loop_forget(&dial->relay->loop, &dial->watch);
	close(dial->watch.fd);
	dial->watch.fd = -1;
}

void dial_stop(struct dial *dial)
{
	if (!dial->active)
		return;
	forget_try(dial);
	TAILQ_REMOVE(&dial->relay->backends.dials, dial, entry);
	dial->active = false;
}

/* Returns 0 when a connection is under way, or -errno; errors of ours are no backend's fault. */
static int try_one(struct dial *dial)
{
	struct relay *relay = dial->relay;
	struct backends *backends = &relay->backends;
	size_t i = (size_t)(dial->backend - backends->list);
	int fd = connector_socket(backends, i), r;

	dial->tried |= UINT64_C(1) << i;
	if (fd < 0)
		return fd;
	dial->watch = (struct watch){ .fd = fd, .ready = try_ready };
	dial->deadline_ms = relay->loop.now_ms + backends->connect_ms;
	r = loop_watch(&relay->loop, &dial->watch, EPOLLOUT);
	if (r < 0)
		forget_try(dial);
	return r;
}

bool dial_is_ours(int error)
{
	return error == -EMFILE || error == -ENFILE || error == -ENOMEM || error == -ENOBUFS ||
	       error == -EADDRNOTAVAIL || error == -ETOOMANYREFS;
}

/* That is nobody's fault but ours, and does not last. */
static void wait_for_more(struct dial *dial, int error)
{
	struct backends *backends = &dial->relay->backends;

	if (!backends->is_short)
		log_line("backend %s: %s; connections wait", dial->backend->name, strerror(-error));
	backends->is_short = true;
	dial->tried &= ~(UINT64_C(1) << (dial->backend - backends->list));
	dial->waits = dial->is_short = true;
}

/* They may be starting: all once more, in a while. */
static bool wait_for_them(struct dial *dial)
{
	struct relay *relay = dial->relay;

	if (dial->rounds++ >= relay->backends.retries)
		return false;
	dial->tried = 0;
	dial->again_ms = relay->loop.now_ms + RETRY_MS;
	dial->waits = true;
	return true;
}

static void failed(struct dial *dial)
{
	dial_stop(dial);
	dial->done(dial, NULL, -1);
}

static void try_next(struct dial *dial)
{
	struct relay *relay = dial->relay;
	int r;

	while ((dial->backend = choose(&relay->backends, dial, relay->loop.now_ms))) {
		r = try_one(dial);
		if (r == 0) {
			relay->backends.is_short = false;
			return;
		}
		if (r == -EPIPE) { /* backend_tick() sees to it */
			dial->deadline_ms = relay->loop.now_ms + relay->backends.connect_ms;
			return;
		}
		if (dial_is_ours(r)) {
			wait_for_more(dial, r);
			return;
		}
		went_down(relay, dial->backend, strerror(-r));
	}
	if (!wait_for_them(dial))
		failed(dial);
}

static void try_ready(struct watch *watch, uint32_t events)
{
	struct dial *dial = owner_of(watch, struct dial, watch);
	struct relay *relay = dial->relay;
	socklen_t len = sizeof(int);
	int error = 0, fd = watch->fd;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		forget_try(dial);
		went_down(relay, dial->backend, strerror(error));
		try_next(dial);
		return;
	}
	is_up(dial->backend);
	dial->backend->taken++;
	loop_forget(&relay->loop, watch);
	watch->fd = -1;
	dial_stop(dial);
	/* As one of a pair of ours: whether a call waits is said with each call. */
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	dial->done(dial, dial->backend, fd);
}

void dial_start(struct relay *relay, struct dial *dial, size_t group,
		void (*done)(struct dial *dial, struct backend *backend, int fd))
{
	*dial = (struct dial){
		.relay = relay, .group = group, .done = done, .watch.fd = -1, .active = true
	};
	dial->wait_until_ms = relay->loop.now_ms + relay->wait_ms;
	TAILQ_INSERT_TAIL(&relay->backends.dials, dial, entry);
	try_next(dial);
}

/* --- time ------------------------------------------------------------------------------------- */

/* The first that has to wait on says that the others would, too. */
static void try_again(struct dial *dial)
{
	struct relay *relay = dial->relay;

	if (relay->loop.now_ms >= dial->wait_until_ms) {
		failed(dial);
	} else if (relay->loop.now_ms >= dial->again_ms && !relay->backends.tick_short) {
		dial->waits = dial->is_short = false;
		try_next(dial);
		relay->backends.tick_short = relay->backends.is_short;
	}
}

/* Each end of a try may free its dial, and no other. */
void dial_tick(struct relay *relay)
{
	struct dial *dial, *next;

	relay->backends.tick_short = false;
	for (dial = TAILQ_FIRST(&relay->backends.dials); dial; dial = next) {
		next = TAILQ_NEXT(dial, entry);
		if (dial->waits) {
			try_again(dial);
			continue;
		}
		if (relay->loop.now_ms < dial->deadline_ms)
			continue;
		if (dial->watch.fd < 0) {
			failed(dial);
			continue;
		}
		forget_try(dial);
		went_down(relay, dial->backend, "it did not answer in time");
		try_next(dial);
	}
}

static void end_idle(struct relay *relay, struct backend *backend)
{
	struct link *link, *next;

	for (link = LIST_FIRST(&backend->links); link; link = next) {
		next = LIST_NEXT(link, of_owner);
		if (relay->loop.now_ms - link->moved_ms < relay->backends.idle_ms)
			continue;
		link->abort_due = true; /* nobody has said that it is complete */
		link_close(link, "nothing moved for too long");
	}
}

/*
 * Without a connector there are no new connections. Those that wait go back to the daemon at once, for another
 * relay; this one ends with those that it has, and is to be started again.
 */
static void lose_connector(struct relay *relay)
{
	log_line("the process that connects is gone");
	relay->failed = true;
	relay_drain(relay);
	upstream_leave(relay);
	relay_tell_boss(relay, WORD_LEAVING);
}

static const char *state_of(const struct backend *backend, uint64_t now_ms)
{
	static const char *const words[] = { "up", "resting", "failing" };

	return words[rank(backend, now_ms) / 2];
}

void backend_figures(const struct relay *relay)
{
	const struct backend *backend;
	size_t i;

	for (i = 0; i < relay->backends.n; i++) {
		backend = &relay->backends.list[i];
		log_line(
			"backend %s: %s%s, open %zu, taken %llu, refused %llu, checks good %llu bad %llu",
			backend->name, state_of(backend, relay->loop.now_ms),
			backend->is_backup ? " backup" : "", backend->n_links,
			(unsigned long long)backend->taken, (unsigned long long)backend->refused,
			(unsigned long long)backend->check.good,
			(unsigned long long)backend->check.bad);
	}
}

void backend_tick(struct relay *relay)
{
	size_t i;

	if (relay->backends.n && relay->backends.connector < 0 && !relay->failed)
		lose_connector(relay);
	check_tick(relay);
	if (!relay->backends.idle_ms || relay->loop.now_ms < relay->backends.look_ms)
		return;
	relay->backends.look_ms = relay->loop.now_ms + IDLE_LOOK_MS;
	for (i = 0; i < relay->backends.n; i++)
		end_idle(relay, &relay->backends.list[i]);
}
