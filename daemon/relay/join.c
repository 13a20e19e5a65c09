// SPDX-License-Identifier: Apache-2.0
/*
 * The other direction: what connects to us without TLS is joined with a connection with TLS to a backend. The
 * handshake is made by sluiced, at a service, with its profile's certificate and trust anchors: the relay has no
 * key, and cannot leave out verification.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/relay.h"

#define BACKLOG 4096
#define ACCEPT_AT_ONCE 64
#define BACK_OFF_MIN_MS 50
#define BACK_OFF_MAX_MS 5000

/* struct join - from accept to a connection with TLS. */
struct join {
	struct dial dial;
	LIST_ENTRY(join) entry;
	struct relay *relay;
	struct backend *backend;
	int plain;
	int fd; /* on which TLS is being made; -1: it is not connected yet */
};

static struct joiner *joiner_of(struct join *join)
{
	return &join->relay->joiner;
}

/* --- the end of one --------------------------------------------------------------------------- */

/* Its client must not take this for an end in order. */
static void reset_plain(int fd)
{
	const struct linger at_once = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

static void join_free(struct join *join)
{
	LIST_REMOVE(join, entry);
	joiner_of(join)->n--;
	free(join);
}

static void join_fail(struct join *join)
{
	dial_stop(&join->dial);
	reset_plain(join->plain);
	if (join->fd >= 0)
		close(join->fd);
	join_free(join);
}

static void join_failed(struct join *join, const struct sluice_error *err)
{
	char text[300];

	sluice_format_error(err, text, sizeof(text));
	log_line("backend %s: %s", join->backend->name, text);
	join_fail(join);
}

static void join_done(struct join *join, struct sluice_conn *conn)
{
	if (link_joined(join->relay, conn, join->plain, join->backend) < 0) {
		log_line("no memory for a connection");
		reset_plain(join->plain);
		sluice_abort(conn, SLUICE_ALERT_INTERNAL_ERROR);
		sluice_close_nowait(conn);
	}
	join_free(join);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static void service_gone(struct relay *relay)
{
	struct joiner *joiner = &relay->joiner;

	if (!joiner->via)
		return;
	loop_forget(&relay->loop, &joiner->service);
	joiner->via = sluice_via_free(joiner->via);
	joiner->back_off_ms = BACK_OFF_MIN_MS;
	joiner->next_ms = relay->loop.now_ms + joiner->back_off_ms;
	log_line("the daemon is gone: %zu connections go on, attaching again", relay->n_links);
}

static struct join *find(struct joiner *joiner, int fd)
{
	struct join *join;

	LIST_FOREACH(join, &joiner->joins, entry)
	if (join->fd == fd)
		return join;
	return NULL;
}

static void service_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, joiner.service);
	struct sluice_conn *conn;
	struct sluice_error err;
	struct join *join;
	int r, fd;

	for (;;) {
		r = sluice_via_next(relay->joiner.via, SLUICE_NOWAIT, &fd, &conn, &err);
		if (fd < 0)
			break;
		join = find(&relay->joiner, fd);
		if (r == 0)
			join_done(join, conn);
		else
			join_failed(join, &err);
	}
	if (r != -SLUICE_E_AGAIN)
		service_gone(relay);
}

static void connected(struct dial *dial, struct backend *backend, int fd)
{
	struct join *join = owner_of(dial, struct join, dial);
	struct joiner *joiner = joiner_of(join);
	const struct sluice_upgrade upgrade = { .size = sizeof(upgrade),
						.role = SLUICE_CLIENT,
						.profile = joiner->profile,
						.host = joiner->host };
	struct sluice_conn *conn;
	struct sluice_error err;
	int r;

	join->fd = fd;
	join->backend = backend;
	if (fd < 0 || !joiner->via) {
		log_line("a connection that is not made: %s",
			 fd < 0 ? "no backend could be reached" : "the daemon is gone");
		join_fail(join);
		return;
	}
	r = sluice_upgrade_via(joiner->via, fd, &upgrade, SLUICE_NOWAIT, &conn, &err);
	if (r == 0)
		join_done(join, conn);
	else if (r != -SLUICE_E_AGAIN)
		join_failed(join, &err);
}

/* --- accepting -------------------------------------------------------------------------------- */

static void listen_pause(struct relay *relay)
{
	loop_watch(&relay->loop, &relay->joiner.listener, 0); /* the backlog keeps who comes */
}

static bool accept_one(struct relay *relay)
{
	struct join *join;
	int fd = accept4(relay->joiner.listener.fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
		listen_pause(relay);
	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR;
	join = calloc(1, sizeof(*join));
	if (!join) {
		reset_plain(fd);
		return false;
	}
	backend_tune(&relay->backends, fd);
	join->relay = relay;
	join->plain = fd;
	join->fd = -1;
	LIST_INSERT_HEAD(&relay->joiner.joins, join, entry);
	relay->joiner.n++;
	dial_start(relay, &join->dial, 0, connected);
	return true;
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct relay *relay = owner_of(watch, struct relay, joiner.listener);
	int i;

	for (i = 0; i < ACCEPT_AT_ONCE; i++) {
		if (relay_room(relay) <= relay->joiner.n) {
			listen_pause(relay);
			return;
		}
		if (!accept_one(relay))
			return;
	}
}

/*
 * Sockets that share an address all say so before they are bound. The first says it after that, so that an address
 * of somebody else's is still an error.
 */
static int listen_at(const struct addrinfo *info, enum join_share share)
{
	const int on = 1;
	int r, fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (share == JOIN_NEXT)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	r = bind(fd, info->ai_addr, info->ai_addrlen);
	if (r == 0 && share == JOIN_FIRST)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	if (r == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

const char *join_bind(const char *text, enum join_share share, int *ret_fd)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
					.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	char host[BACKEND_NAME], *port;
	const char *wrong = address_split(text, host, sizeof(host), &port);
	struct addrinfo *info;
	int r, fd;

	if (wrong)
		return wrong;
	r = getaddrinfo(host, port, &hints, &info);
	if (r)
		return gai_strerror(r);
	fd = listen_at(info, share);
	freeaddrinfo(info);
	if (fd < 0)
		return strerror(-fd);
	*ret_fd = fd;
	return NULL;
}

/* --- start, time, end ------------------------------------------------------------------------- */

static int attach(struct relay *relay, struct sluice_error *ret_err)
{
	struct joiner *joiner = &relay->joiner;
	int r = sluice_via_open(relay->sluice, joiner->service_path, &joiner->via, ret_err);

	if (r < 0)
		return r;
	joiner->service =
		(struct watch){ .fd = sluice_via_fd(joiner->via), .ready = service_ready };
	r = loop_watch(&relay->loop, &joiner->service, EPOLLIN);
	if (r < 0)
		joiner->via = sluice_via_free(joiner->via);
	return r < 0 ? -SLUICE_E_NOMEM : 0;
}

int join_open(struct relay *relay, struct sluice_error *ret_err)
{
	relay->joiner.listener.ready = listener_ready;
	return attach(relay, ret_err);
}

static void attach_again(struct relay *relay)
{
	struct joiner *joiner = &relay->joiner;
	struct sluice_error err;

	if (attach(relay, &err) == 0) {
		log_line("attached again");
		return;
	}
	joiner->back_off_ms *= 2;
	if (joiner->back_off_ms > BACK_OFF_MAX_MS)
		joiner->back_off_ms = BACK_OFF_MAX_MS;
	joiner->next_ms = relay->loop.now_ms + joiner->back_off_ms;
}

void join_tick(struct relay *relay)
{
	struct joiner *joiner = &relay->joiner;

	if (!joiner->service_path)
		return;
	if (!joiner->via && !relay->draining && relay->loop.now_ms >= joiner->next_ms)
		attach_again(relay);
	if (joiner->listener.fd >= 0 && relay_room(relay) > joiner->n)
		loop_watch(&relay->loop, &joiner->listener, joiner->via ? EPOLLIN : 0);
}

void join_close(struct relay *relay)
{
	struct joiner *joiner = &relay->joiner;

	if (joiner->listener.fd < 0)
		return;
	loop_forget(&relay->loop, &joiner->listener);
	close(joiner->listener.fd);
	joiner->listener.fd = -1;
}

void join_end(struct relay *relay)
{
	struct join *join;

	join_close(relay);
	relay->joiner.via = sluice_via_free(relay->joiner.via);
	while ((join = LIST_FIRST(&relay->joiner.joins)))
		join_fail(join);
}
