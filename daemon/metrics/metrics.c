// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-metrics: answers GET /metrics at the sockets that the broker opened, with the file that the broker
 * gives it. It holds no number, no key and no connection of others, and has no privileges, files or new
 * sockets: a scraper that takes it over has what it could have asked for.
 *
 * One loop, one thread. A request waits, suspended, for the broker's answer, which serves all that wait.
 * Connections are bounded in number, in memory and in time.
 */
#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/openmetrics.h"
#include "common/process.h"
#include "common/rules.h"
#include "handover/channel.h"
#include "handover/messages.h"
#include "handover/wire.h"

#define CONTENT_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define MAX_SOCKETS 2
#define MAX_CLIENTS 16     /* of each socket */
#define CLIENT_MEMORY 8192 /* bytes, a request's head included */
#define MAX_FILES 64
#define IDLE_S 10        /* nothing came, or went */
#define REQUEST_MS 30000 /* from the end of one request to that of the next */
#define ANSWER_MS 5000   /* the broker's */
#define MAX_TURNS 16     /* of one socket, before the other has its own */
#define SMALL_LEN 64

struct client {
	LIST_ENTRY(client) all;
	struct MHD_Connection *connection;
	uint64_t since_ms;
};

struct request {
	LIST_ENTRY(request) waiting;
	struct MHD_Connection *connection;
	uint64_t since_ms;
	bool is_waiting, is_answered;
};

struct front {
	struct watch watch; /* MHD's epoll */
	struct MHD_Daemon *daemon;
};

static struct {
	struct loop loop;
	struct watch broker;
	struct front fronts[MAX_SOCKETS];
	unsigned int n_fronts;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, request) waiting;
	bool asked;
	struct MHD_Response *counts; /* the broker's last answer; NULL: it could not */
	struct MHD_Response *missing, *not_allowed, *unavailable;
} self;

/* --- the broker ----------------------------------------------------------------------------------- */

static void ask(void)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (self.asked)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_SCRAPE, 0);
	if (channel_send(self.broker.fd, buf, wire_end(&wire), NULL, 0) < 0)
		exit(0); /* the broker is gone */
	self.asked = true;
}

/* Owns @fd; -1: there is none. */
static struct MHD_Response *response_of(int fd)
{
	struct MHD_Response *response = NULL;
	struct stat st;

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size <= OPENMETRICS_MAX)
		response = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
	if (!response && fd >= 0)
		close(fd);
	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, CONTENT_TYPE);
	return response;
}

static void resume(struct request *request, bool answered)
{
	request->is_answered = answered;
	request->is_waiting = false;
	LIST_REMOVE(request, waiting);
	MHD_resume_connection(request->connection);
}

static void take_counts(int fd)
{
	if (self.counts)
		MHD_destroy_response(self.counts); /* who is being answered keeps it */
	self.counts = response_of(fd);
	self.asked = false;
	while (!LIST_EMPTY(&self.waiting))
		resume(LIST_FIRST(&self.waiting), self.counts);
}

/* One run more than MHD asks for: it listens again in the run after the one in which a place became free. */
static void turn(struct front *front)
{
	MHD_UNSIGNED_LONG_LONG wait = 1;
	int i = 0;

	do {
		MHD_run(front->daemon);
		if (MHD_get_timeout(front->daemon, &wait) != MHD_YES)
			wait = 1;
	} while ((!wait || !i) && ++i < MAX_TURNS);
	self.loop.quiet = LIST_EMPTY(&self.clients); /* what is left comes at a tick */
}

static void turn_all(void)
{
	unsigned int i;

	for (i = 0; i < self.n_fronts; i++)
		turn(&self.fronts[i]);
}

static void broker_ready(struct watch *watch, uint32_t events)
{
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	uint8_t buf[SMALL_LEN];
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 ||
	    rules_open(ROUTE_BROKER_TO_METRICS, NULL, buf, (size_t)n, &fds, &reader, &head))
		exit(0);
	take_counts(channel_take_fd(&fds));
	channel_close_fds(&fds);
	turn_all();
}

/* --- requests ------------------------------------------------------------------------------------- */

static enum MHD_Result wait_for_counts(struct MHD_Connection *connection, struct request *request)
{
	request->connection = connection;
	request->since_ms = self.loop.now_ms;
	request->is_waiting = true;
	LIST_INSERT_HEAD(&self.waiting, request, waiting);
	MHD_suspend_connection(connection);
	ask();
	return MHD_YES;
}

/* Called when the head is here, for each piece of a body, and when it was resumed. */
static enum MHD_Result handle(void *arg, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *body,
			      size_t *body_len, void **context)
{
	bool get = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);
	struct request *request = *context;

	if (!request) {
		*context = calloc(1, sizeof(*request));
		return *context ? MHD_YES : MHD_NO;
	}
	if (*body_len) { /* nobody reads it */
		*body_len = 0;
		return MHD_YES;
	}
	if (!get)
		return MHD_queue_response(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
					  self.not_allowed);
	if (strcmp(url, "/metrics") != 0)
		return MHD_queue_response(connection, MHD_HTTP_NOT_FOUND, self.missing);
	if (!request->since_ms)
		return wait_for_counts(connection, request);
	if (request->is_answered && self.counts)
		return MHD_queue_response(connection, MHD_HTTP_OK, self.counts);
	return MHD_queue_response(connection, MHD_HTTP_SERVICE_UNAVAILABLE, self.unavailable);
}

static struct client *client_of(struct MHD_Connection *connection)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void request_over(void *arg, struct MHD_Connection *connection, void **context,
			 enum MHD_RequestTerminationCode how)
{
	struct client *client = client_of(connection);
	struct request *request = *context;

	if (client)
		client->since_ms = self.loop.now_ms;
	if (request && request->is_waiting)
		LIST_REMOVE(request, waiting);
	free(request);
	*context = NULL;
}

static void connection_changed(void *arg, struct MHD_Connection *connection, void **context,
			       enum MHD_ConnectionNotificationCode code)
{
	struct client *client = *context;

	if (code == MHD_CONNECTION_NOTIFY_STARTED) {
		client = calloc(1, sizeof(*client));
		*context = client;
		if (!client)
			return; /* it has its idle time, and no other limit */
		client->connection = connection;
		client->since_ms = self.loop.now_ms;
		LIST_INSERT_HEAD(&self.clients, client, all);
	} else if (client) {
		LIST_REMOVE(client, all);
		free(client);
		*context = NULL;
	}
}

/* --- time ----------------------------------------------------------------------------------------- */

/* MHD's own limit counts from the last byte: one byte now and then would keep a place for ever. */
static void end_slow(uint64_t now)
{
	const union MHD_ConnectionInfo *info;
	struct client *client;

	LIST_FOREACH(client, &self.clients, all)
	{
		if (now - client->since_ms < REQUEST_MS)
			continue;
		info = MHD_get_connection_info(client->connection,
					       MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info)
			shutdown(info->connect_fd, SHUT_RDWR);
	}
}

static void end_waiting(uint64_t now)
{
	struct request *request, *next;

	for (request = LIST_FIRST(&self.waiting); request; request = next) {
		next = LIST_NEXT(request, waiting);
		if (now - request->since_ms >= ANSWER_MS)
			resume(request, false);
	}
}

static void tick(struct loop *loop, void *arg)
{
	end_waiting(loop->now_ms);
	end_slow(loop->now_ms);
	turn_all();
}

static void front_ready(struct watch *watch, uint32_t events)
{
	turn((struct front *)watch);
}

/* --- start ---------------------------------------------------------------------------------------- */

static bool listens(int fd)
{
	socklen_t len = sizeof(int);
	int value = 0;

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &len) == 0 && value;
}

static int open_front(int fd)
{
	struct front *front = &self.fronts[self.n_fronts++];
	const union MHD_DaemonInfo *info;

	front->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, handle, NULL,
		MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, MAX_CLIENTS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CLIENT_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_NOTIFY_COMPLETED, request_over,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, NULL, MHD_OPTION_END);
	info = front->daemon ? MHD_get_daemon_info(front->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return -ENOMEM;
	front->watch = (struct watch){ .fd = info->epoll_fd, .ready = front_ready };
	return loop_watch(&self.loop, &front->watch, EPOLLIN);
}

static struct MHD_Response *fixed(const char *text)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

	if (response)
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					"text/plain; charset=utf-8");
	return response;
}

static int prepare(void)
{
	const struct rlimit files = { MAX_FILES, MAX_FILES };
	int fd, r = loop_init(&self.loop, tick, NULL);

	setrlimit(RLIMIT_NOFILE, &files);
	self.loop.quiet = true;
	self.missing = fixed("The counts are at /metrics.\n");
	self.not_allowed = fixed("GET and HEAD are all there is.\n");
	self.unavailable = fixed("The broker did not answer.\n");
	if (!self.missing || !self.not_allowed || !self.unavailable)
		return -ENOMEM;
	MHD_add_response_header(self.not_allowed, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	for (fd = CHILD_LISTENER_FD; r == 0 && fd < CHILD_LISTENER_FD + MAX_SOCKETS && listens(fd);
	     fd++)
		r = open_front(fd);
	self.broker = (struct watch){ .fd = CHILD_BROKER_FD, .ready = broker_ready };
	return r < 0 ? r : loop_watch(&self.loop, &self.broker, EPOLLIN);
}

int main(void)
{
	int r = prepare();

	if (r == 0)
		r = process_confine(CONFINE_METRICS, process_id(PROCESS_UID),
				    process_id(PROCESS_GID));
	if (r == 0)
		r = loop_run(&self.loop);
	fprintf(stderr, "sluice-metrics: %s\n", strerror(-r));
	return 1;
}
