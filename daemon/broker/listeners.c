// SPDX-License-Identifier: Apache-2.0
/*
 * Accepting: no more than can be negotiated at once, and no longer than there are descriptors and
 * memory for. What waits, waits in the kernel's backlog.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/error.h>

#include "broker/broker.h"

#define PAUSE_MS 100
#define ACCEPT_AT_ONCE 16
#define OWN_FILES 16   /* standard ones, epoll, signals, diag, keeper, catalogue, administration */
#define SPARE_FILES 64 /* administrators, workers that attach, certificates at a reload */

static void accept_until(struct broker *broker, bool accepting)
{
	size_t i;

	if (broker->accepting == accepting)
		return;
	broker->accepting = accepting;
	for (i = 0; i < broker->n_listeners; i++)
		loop_watch(&broker->loop, &broker->listeners[i].watch, accepting ? EPOLLIN : 0);
}

/* Of each handshake that is under way a descriptor is here; what the daemon needs besides is left free. */
bool listeners_have_files(const struct broker *broker)
{
	uint64_t rest = broker->max_files < 4 * SPARE_FILES ? broker->max_files / 4 : SPARE_FILES;
	uint64_t used = broker->n_listeners + broker->n_pools + broker->n_handshakers +
			2 * (uint64_t)broker->n_workers + OWN_FILES;

	return used + rest + broker->n_held + broker->in_progress < broker->max_files;
}

static bool have_room(const struct broker *broker)
{
	return !broker->stopping && !broker->draining && broker->loop.now_ms >= broker->resume_ms &&
	       listeners_have_files(broker) && children_ready(broker) &&
	       broker->in_progress < broker->config->limits.handshakes;
}

void listeners_room(struct broker *broker)
{
	accept_until(broker, have_room(broker));
}

void listeners_tick(struct broker *broker)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		broker->max_files = files.rlim_cur;
	listeners_room(broker);
}

static void pause_accepting(struct broker *broker, int err)
{
	if (broker->accepting)
		log_line(broker, CONFIG_LOG_WARNING, "accepting pauses: %s", strerror(err));
	broker->stats.accept_paused++;
	metrics_pause(broker, err);
	broker->resume_ms = broker->loop.now_ms + PAUSE_MS;
	accept_until(broker, false);
}

/* IPv4 addresses are kept mapped. */
static struct sockaddr_in6 mapped(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	if (addr->ss_family == AF_INET6)
		return *(const struct sockaddr_in6 *)addr;
	in6.sin6_port = in->sin_port;
	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6.sin6_addr.s6_addr + 12, &in->sin_addr, 4);
	return in6;
}

void session_describe(struct broker *broker, struct session *session, int fd,
		      const struct sockaddr_storage *peer)
{
	struct sockaddr_storage local = { 0 };
	socklen_t len = sizeof(local);
	uint64_t cookie = 0;

	session->peer = mapped(peer);
	if (getsockname(fd, (struct sockaddr *)&local, &len) == 0)
		session->local = mapped(&local);
	len = sizeof(cookie);
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) == 0)
		session_set_cookie(broker, session, cookie);
}

/* Whose connection it is says the proxy's header, where there is one: it is counted then. */
static enum end admit(struct broker *broker, struct session *session)
{
	const struct config_listener *config = &broker->config->listeners[session->listener];

	if (config->plain_pool != CONFIG_NO_POOL) {
		session->expects |= EXPECTS_PLAIN;
		session->plain_pool = (uint16_t)config->plain_pool;
	}
	if (!config->n_proxy_from)
		return session_enter(broker, session);
	session->expects |= EXPECTS_PROXY;
	return config_prefixes_have(config->proxy_from, config->n_proxy_from,
				    session->peer.sin6_addr.s6_addr)
		       ? END_NONE
		       : END_PROXY;
}

static void accepted(struct listener *listener, int fd, const struct sockaddr_storage *peer)
{
	struct broker *broker = listener->broker;
	struct session *session = session_new(broker);
	enum end refusal;
	int r;

	broker->metrics.listeners[listener->index].accepted++;
	broker->stats.accepted++;
	if (!session) {
		close(fd);
		pause_accepting(broker, ENOMEM);
		return;
	}
	session->listener = (uint16_t)listener->index;
	session_describe(broker, session, fd, peer);
	if (!LIST_EMPTY(&broker->admin.tracers))
		trace_begin(broker, session);
	refusal = admit(broker, session);
	if (refusal) {
		close(fd);
		session_end(broker, session, refusal);
		return;
	}
	r = children_handshake(broker, session, fd);
	if (r == 0) {
		listeners_room(broker);
		return;
	}
	close(fd);
	session_end(broker, session, END_NO_HANDSHAKER);
	pause_accepting(broker, -r);
}

static void listener_ready(struct watch *watch, uint32_t events)
{
	struct listener *listener = (struct listener *)watch;
	struct broker *broker = listener->broker;
	struct sockaddr_storage peer = { 0 };
	socklen_t len;
	unsigned int i;
	int fd;

	/* One that finds nobody costs a call: as many as came at once of late, and more while there are more. */
	for (i = 0; i < listener->at_once && broker->accepting; i++) {
		len = sizeof(peer);
		fd = accept4(watch->fd, (struct sockaddr *)&peer, &len,
			     SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd >= 0) {
			accepted(listener, fd, &peer);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			   errno == ENOBUFS) {
			pause_accepting(broker, errno);
		} else if (errno == EAGAIN) {
			listener->at_once = i > 1 ? i : 1;
			return;
		}
		/* Anything else is about one connection that is gone already. */
	}
	if (listener->at_once < ACCEPT_AT_ONCE)
		listener->at_once *= 2;
}

int listeners_listen(const char *host, uint16_t port, unsigned int backlog, bool reuse_port)
{
	struct addrinfo hints = { .ai_family = AF_UNSPEC,
				  .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
	struct addrinfo *addr;
	char service[8];
	int fd, on = 1, off = 0, err;

	if (!host)
		hints.ai_family = AF_INET6; /* both families */
	snprintf(service, sizeof(service), "%u", port);
	if (getaddrinfo(host, service, &hints, &addr))
		return -EINVAL;
	fd = service_socket(addr->ai_addr, addr->ai_addrlen);
	if (fd >= 0) {
		freeaddrinfo(addr);
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
		return fd;
	}
	fd = socket(addr->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	err = fd < 0 ? errno : 0;
	if (!err) {
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (reuse_port)
			setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* inherited */
		if (addr->ai_family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, host ? &on : &off, sizeof(on));
		if (bind(fd, addr->ai_addr, addr->ai_addrlen) || listen(fd, (int)backlog))
			err = errno;
	}
	freeaddrinfo(addr);
	if (!err)
		return fd;
	if (fd >= 0)
		close(fd);
	return -err;
}

int listeners_open(struct broker *broker, struct config_error *ret_err)
{
	const struct config *config = broker->config;
	struct listener *listener;
	size_t i;
	int fd;

	broker->listeners =
		calloc(config->n_listeners ? config->n_listeners : 1, sizeof(*broker->listeners));
	if (!broker->listeners)
		return -SLUICE_E_NOMEM;
	for (i = 0; i < config->n_listeners; i++) {
		fd = listeners_listen(config->listeners[i].host, config->listeners[i].port,
				      config->listeners[i].backlog,
				      config->listeners[i].reuse_port);
		if (fd < 0) {
			ret_err->place = config->listeners[i].place;
			snprintf(ret_err->text, sizeof(ret_err->text),
				 "%s:%u:%u: listener %s: port %u: %s", config->path,
				 ret_err->place.line, ret_err->place.column,
				 config->listeners[i].name, config->listeners[i].port,
				 strerror(-fd));
			return -SLUICE_E_IO;
		}
		listener = &broker->listeners[broker->n_listeners++];
		*listener = (struct listener){ .watch = { .fd = fd, .ready = listener_ready },
					       .broker = broker,
					       .index = i,
					       .at_once = 1 };
		loop_watch(&broker->loop, &listener->watch, 0);
	}
	return 0;
}

void listeners_close(struct broker *broker)
{
	size_t i;

	for (i = 0; i < broker->n_listeners; i++) {
		loop_forget(&broker->loop, &broker->listeners[i].watch);
		close(broker->listeners[i].watch.fd);
	}
	free(broker->listeners);
	broker->listeners = NULL;
	broker->n_listeners = 0;
	broker->accepting = false;
}
