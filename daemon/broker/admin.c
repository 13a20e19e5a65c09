// SPDX-License-Identifier: Apache-2.0
/*
 * Administration: clients, their lines and their queues. What is asked is in the other admin files; this
 * one sees to it that no client makes the broker wait, or has more of it than its share.
 */
#include "broker/admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/error.h>

#include "broker/recheck.h"
#include "core/sys.h"

#define MAX_CLIENTS 64
#define MAX_READERS 48 /* of these: root finds room whatever others do */
#define IDLE_MS 60000
#define STALL_MS 10000 /* that a client leaves an answer unread */
#define TURN_US 1000   /* for all clients together, before handshakes get theirs */

static admin_step *const steps[ADMIN_VERBS] = {
	[ADMIN_STATUS] = admin_status,     [ADMIN_SESSIONS] = admin_sessions,
	[ADMIN_SESSION] = admin_session,   [ADMIN_STATS] = admin_stats,
	[ADMIN_WORKERS] = admin_workers,   [ADMIN_LISTENERS] = admin_listeners,
	[ADMIN_CERTS] = admin_certs,       [ADMIN_OPTIONS] = admin_options,
	[ADMIN_KILL] = admin_kill,         [ADMIN_DRAIN] = admin_drain,
	[ADMIN_RELOAD] = admin_reload,     [ADMIN_LOG] = admin_log,
	[ADMIN_STOP] = admin_stop,         [ADMIN_TRACE] = admin_trace,
	[ADMIN_REKEY] = admin_rekey,       [ADMIN_RECHECK] = admin_recheck,
	[ADMIN_CRL_LIST] = admin_crl_list, [ADMIN_CRL_ADD] = admin_crl_add,
	[ADMIN_CRL_DEL] = admin_crl_del,   [ADMIN_PEM_CLEAR] = admin_reload,
};

/* --- what comes in -------------------------------------------------------------------------------- */

static void take_line(struct admin_client *client, const char *line, size_t len)
{
	struct broker *broker = client->broker;
	uid_t uid = (uid_t)-1;
	enum admin_right right = admin_right_of(broker, client->watch.fd, &uid);
	struct admin_request request;
	const char *wrong = NULL;

	if (right != ADMIN_NOTHING)
		wrong = admin_request_parse(&request, line, len);
	if (wrong) {
		admin_refuse(client, "request", "%s", wrong);
	} else if (right == ADMIN_NOTHING ||
		   (right != ADMIN_ACT && admin_verb_acts(request.verb))) {
		admin_refuse(client, "permission", "user %u may not do this: ask root",
			     (unsigned int)uid);
	} else {
		if (admin_verb_acts(request.verb))
			log_line(broker, CONFIG_LOG_INFO, "administration: user %u: %.*s",
				 (unsigned int)uid, (int)len, line);
		broker_read_ends(broker);
		client->job = (struct admin_job){ .request = request,
						  .step = steps[request.verb],
						  .reloads = broker->stats.reloads };
	}
}

/* Returns false when there is no whole line. */
static bool next_line(struct admin_client *client)
{
	char *end = memchr(client->in, '\n', client->in_len);
	size_t len;

	if (!end && client->in_len == ADMIN_MAX_LINE) {
		admin_refuse(client, "request", "a request has at most %d bytes", ADMIN_MAX_LINE);
		client->ended = true;
		client->in_len = 0;
	}
	if (!end)
		return false;
	len = (size_t)(end - client->in) + 1;
	take_line(client, client->in, len - 1);
	client->in_len -= len;
	memmove(client->in, client->in + len, client->in_len);
	return true;
}

static void receive(struct admin_client *client)
{
	struct channel_fds fds;
	ssize_t n = channel_recv(client->watch.fd, client->in + client->in_len,
				 ADMIN_MAX_LINE - client->in_len, &fds);
	int fd = channel_take_fd(&fds);

	channel_close_fds(&fds);
	if (fd >= 0 && client->fd >= 0)
		close(client->fd);
	if (fd >= 0)
		client->fd = fd;
	if (n > 0) {
		client->in_len += (size_t)n;
		client->active_ms = client->broker->loop.now_ms;
	} else if (n == 0) {
		client->ended = true;
	} else if (n != -EAGAIN && n != -EINTR) {
		client->broken = true;
	}
}

/* --- clients -------------------------------------------------------------------------------------- */

static void drop(struct admin_client *client)
{
	LIST_REMOVE(client, all);
	client->broker->admin.n_clients--;
	loop_forget(&client->broker->loop, &client->watch);
	close(client->watch.fd);
	asks_forget(client->broker, client);
	recheck_forget(client->broker, client);
	admin_trace_end(client);
	admin_job_end(&client->job);
	if (client->fd >= 0)
		close(client->fd);
	free(client->out);
	free(client->in);
	free(client);
}

/* Goes on with an answer, or with the next line, while there is room and time: its share of a turn. */
static void work(struct admin_client *client)
{
	uint64_t until = sys->now_us() + TURN_US / client->broker->admin.n_clients;

	while (!client->broken && client->out_len - client->out_at < ADMIN_LOW_QUEUE) {
		if (client->job.waiting)
			return;
		if (client->job.step) {
			if (client->job.step(client))
				admin_job_end(&client->job);
			else if (client->job.parked)
				return;
		} else if (!next_line(client)) {
			return;
		}
		if (sys->now_us() >= until)
			return;
	}
}

/* After anything was done for a client: sends, and waits for what comes next. */
static void settle(struct admin_client *client)
{
	bool unread, busy, room = client->in_len < ADMIN_MAX_LINE;
	uint32_t events;

	admin_flush(client);
	unread = client->out_at < client->out_len;
	if (client->broken || (client->ended && !unread && !client->job.step && !client->in_len)) {
		drop(client);
		return;
	}
	/* Lines that are here already wait for room in the queue, as does the rest of an answer. */
	busy = client->job.step ? !client->job.waiting && !client->job.parked
				: memchr(client->in, '\n', client->in_len) != NULL;
	events = unread || busy ? EPOLLOUT : 0;
	if (!events && !client->job.parked && !client->ended && room)
		events = EPOLLIN;
	if (loop_watch(&client->broker->loop, &client->watch, events) < 0)
		drop(client);
}

static void client_ready(struct watch *watch, uint32_t events)
{
	struct admin_client *client = (struct admin_client *)watch;

	if (events & EPOLLIN)
		receive(client);
	if (events & EPOLLOUT) /* there is room: it has read */
		client->active_ms = client->broker->loop.now_ms;
	work(client);
	if (client->ended && !client->job.step && !memchr(client->in, '\n', client->in_len))
		client->in_len = 0; /* the beginning of a line that does not end */
	if ((events & (EPOLLHUP | EPOLLERR)) && !(events & EPOLLIN))
		client->broken = true;
	settle(client);
}

/* The turn of a client comes with the next events: whoever tells is in the middle of something else. */
static void give_turn(struct admin_client *client)
{
	if (loop_watch(&client->broker->loop, &client->watch, EPOLLOUT) < 0)
		client->broken = true;
}

void admin_tell(struct admin_client *client, struct json_object *row)
{
	admin_row(client, row);
	give_turn(client);
}

void admin_wake(struct admin_client *client)
{
	client->job.waiting = false;
	give_turn(client);
}

static void greet(struct broker *broker, int fd)
{
	struct admin_client *client = calloc(1, sizeof(*client));
	enum admin_right right;
	uid_t uid = (uid_t)-1;

	if (client)
		client->in = malloc(ADMIN_MAX_LINE);
	if (!client || !client->in) {
		free(client);
		close(fd);
		return;
	}
	client->broker = broker;
	client->fd = -1;
	client->active_ms = broker->loop.now_ms;
	client->watch = (struct watch){ .fd = fd, .ready = client_ready };
	LIST_INSERT_HEAD(&broker->admin.clients, client, all);
	broker->admin.n_clients++;
	right = admin_right_of(broker, fd, &uid);
	if (right == ADMIN_NOTHING)
		admin_refuse(client, "permission",
			     "user %u may not administer sluiced: be root, or join the group that "
			     "admin: read_group names",
			     (unsigned int)uid);
	else if (broker->admin.n_clients > (right == ADMIN_ACT ? MAX_CLIENTS : MAX_READERS))
		admin_refuse(client, "busy", "there are too many clients; try again");
	client->ended = client->out_len;
	settle(client);
}

static void admin_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, admin.watch));
	int fd = accept4(watch->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		greet(broker, fd);
	else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
		loop_watch(&broker->loop, watch, 0); /* until the next tick */
}

int admin_open(struct broker *broker, struct config_error *ret_err)
{
	const char *path = broker->config->admin.socket;
	struct admin *admin = &broker->admin;
	int fd = admin_listen(path);

	if (fd < 0) {
		snprintf(ret_err->text, sizeof(ret_err->text), "%s: admin: socket: %s: %s",
			 broker->config_path, path, strerror(-fd));
		return -SLUICE_E_IO;
	}
	admin->watch = (struct watch){ .fd = fd, .ready = admin_ready };
	admin->path = strdup(path);
	if (admin->path && loop_watch(&broker->loop, &admin->watch, EPOLLIN) == 0)
		return 0;
	snprintf(ret_err->text, sizeof(ret_err->text), "no memory for administration");
	return -SLUICE_E_NOMEM;
}

void admin_tick(struct broker *broker)
{
	uint64_t now = broker->loop.now_ms;
	struct admin_client *client, *next;
	uint64_t limit;

	for (client = LIST_FIRST(&broker->admin.clients); client; client = next) {
		next = LIST_NEXT(client, all);
		if (client->job.until_ms && now >= client->job.until_ms)
			admin_wake(client);
		if (client->job.waiting && !(client->watch.events & EPOLLOUT) && !client->broken)
			continue; /* it is we who let it wait */
		if (client->job.parked) {
			client->active_ms = now;
			work(client);
			settle(client);
			continue;
		}
		limit = client->watch.events & EPOLLOUT ? STALL_MS : IDLE_MS;
		if (client->broken || now - client->active_ms >= limit)
			drop(client);
	}
	if (broker->admin.watch.fd >= 0)
		loop_watch(&broker->loop, &broker->admin.watch, EPOLLIN);
}

void admin_close(struct broker *broker)
{
	struct admin *admin = &broker->admin;

	while (!LIST_EMPTY(&admin->clients))
		drop(LIST_FIRST(&admin->clients));
	if (admin->watch.fd < 0)
		return;
	loop_forget(&broker->loop, &admin->watch);
	close(admin->watch.fd);
	admin->watch.fd = -1;
	if (admin->path)
		unlink(admin->path);
	free(admin->path);
	admin->path = NULL;
}
