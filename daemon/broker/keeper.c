// SPDX-License-Identifier: Apache-2.0
/* The keeper: started, told what it may do, and started again with the keys when it dies. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/process.h"
#include "common/rules.h"
#include "core/secret.h"
#include "handover/messages.h"

#define SMALL_LEN 256
#define RETRY_MS 10000
#define CALM_MS 60000
#define ASK_MS 500   /* how often it is asked whether it is alive */
#define HANG_MS 4000 /* without an answer: longer than any one key takes */

/* Its end: SIGCHLD follows, or is made to. */
static void give_up(struct broker *broker)
{
	loop_forget(&broker->loop, &broker->keeper.watch);
	loop_forget(&broker->loop, &broker->keeper.loads);
	if (broker->keeper.pid > 0)
		kill(broker->keeper.pid, SIGKILL);
}

static void take_pong(struct broker *broker, struct wire_reader reader)
{
	struct attr attr;

	broker->keeper.asked_ms = 0;
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_COUNT)
			attr_u64(&attr, &broker->keeper.keys);
}

static void keeper_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, keeper.watch));
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	uint8_t buf[SMALL_LEN];
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);
	bool good;

	if (n == -EAGAIN)
		return;
	good = n > 0 &&
	       !rules_open(ROUTE_KEEPER_TO_BROKER, NULL, buf, (size_t)n, &fds, &reader, &head) &&
	       head.type == MSG_PONG;
	channel_close_fds(&fds);
	if (good)
		take_pong(broker, reader);
	else
		give_up(broker);
}

bool keeper_receive(struct broker *broker)
{
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	ssize_t n = channel_recv(broker->keeper.loads.fd, broker->buf, WIRE_MAX, &fds);
	bool good;

	if (n == -EAGAIN)
		return true;
	good = n > 0 &&
	       !rules_open(ROUTE_KEEPER_TO_BROKER, NULL, broker->buf, (size_t)n, &fds, &reader,
			   &head) &&
	       head.type == MSG_LOADED;
	channel_close_fds(&fds);
	return good && certs_loaded(broker, head.id, reader);
}

static void loads_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, keeper.loads));

	if (!keeper_receive(broker))
		give_up(broker);
}

static pid_t spawn(struct broker *broker, int control, int loads)
{
	int fds[2] = { control, loads };

	return process_spawn("sluice-keeper", fds, 2, broker->config->uid, broker->config->gid);
}

static void close_pair(const int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

/* A new keeper takes the permits of the one before it: handshakes that are under way have no others. */
static void tell_permit_key(struct broker *broker)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_PERMIT_KEY, 0);
	wire_put(&wire, ATTR_PERMIT_KEY, broker->permit_key, PERMIT_KEY_LEN);
	channel_send(broker->keeper.watch.fd, buf, wire_end(&wire), NULL, 0);
	secret_wipe(buf, sizeof(buf));
}

int keeper_start(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;
	int control[2], loads[2], r = children_pair(control);

	if (r < 0)
		return r;
	r = children_pair(loads);
	if (r < 0) {
		close_pair(control);
		return r;
	}
	r = spawn(broker, control[1], loads[1]);
	if (r < 0) {
		close_pair(control);
		close_pair(loads);
		return r;
	}
	close(control[1]);
	close(loads[1]);
	keeper->pid = r;
	keeper->number++;
	keeper->restart_ms = keeper->asked_ms = 0;
	keeper->started_ms = broker->loop.now_ms;
	keeper->watch = (struct watch){ .fd = control[0], .ready = keeper_ready };
	keeper->loads = (struct watch){ .fd = loads[0], .ready = loads_ready };
	tell_permit_key(broker);
	r = loop_watch(&broker->loop, &keeper->watch, EPOLLIN);
	return r < 0 ? r : loop_watch(&broker->loop, &keeper->loads, EPOLLIN);
}

static void tell(struct broker *broker, enum message_type type, const int *fd)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), type, 0);
	channel_send(broker->keeper.watch.fd, buf, wire_end(&wire), fd, fd ? 1 : 0);
}

void keeper_give_channel(struct broker *broker, int fd)
{
	tell(broker, MSG_CHANNEL, &fd);
}

void keeper_died(struct broker *broker, int status)
{
	struct keeper *keeper = &broker->keeper;

	if (!broker->stopping) {
		broker->stats.keeper_crashes++;
		log_line(broker, CONFIG_LOG_ERROR, "the keeper (pid %d) ended by %s %d",
			 (int)keeper->pid, WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	loop_forget(&broker->loop, &keeper->watch);
	loop_forget(&broker->loop, &keeper->loads);
	close(keeper->watch.fd);
	close(keeper->loads.fd);
	keeper->watch.fd = keeper->loads.fd = -1;
	keeper->pid = 0;
	keeper->ready = false;
	keeper->asked_ms = 0;
	certs_keeper_died(broker);
	keeper->restart_ms = broker->loop.now_ms + children_backoff(keeper->crashes++);
}

/* What is under way may go on: what it had asked the old keeper, and no more, is lost. */
static void connect_keeper(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	uint8_t buf[SMALL_LEN];
	struct wire wire;
	int pair[2];

	if (children_pair(pair) < 0) {
		kill(handshaker->pid, SIGKILL);
		return;
	}
	keeper_give_channel(broker, pair[0]);
	wire_begin(&wire, buf, sizeof(buf), MSG_CHANNEL, 0);
	if (channel_send(handshaker->watch.fd, buf, wire_end(&wire), &pair[1], 1) < 0)
		kill(handshaker->pid, SIGKILL);
	close(pair[0]);
	close(pair[1]);
}

/* --- a new one ----------------------------------------------------------------------------------- */

/* It has no keys: the files are read again, as at a reload. */
static void restart_keeper(struct broker *broker)
{
	if (keeper_start(broker) < 0)
		broker->keeper.restart_ms = broker->loop.now_ms + RETRY_MS;
	else
		certs_restart(broker);
}

void keeper_has_keys(struct broker *broker)
{
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++)
		if (!broker->handshakers[i].restart_ms)
			connect_keeper(&broker->handshakers[i]);
	log_line(broker, CONFIG_LOG_WARNING, "a new keeper (pid %d) has the keys",
		 (int)broker->keeper.pid);
}

void keeper_has_no_keys(struct broker *broker, const char *reason)
{
	log_line(broker, CONFIG_LOG_ERROR, "the new keeper has no keys: %s", reason);
	give_up(broker); /* which leads to another one */
}

/* --- is it alive? --------------------------------------------------------------------------------- */

/* If it was us who were late, its answer is here. */
static bool hangs(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;

	if (!keeper->asked_ms || broker->loop.now_ms - keeper->asked_ms < HANG_MS)
		return false;
	keeper_ready(&keeper->watch, EPOLLIN);
	return keeper->asked_ms;
}

static void ask(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;

	if (keeper->asked_ms || broker->loop.now_ms < keeper->asking_ms)
		return;
	tell(broker, MSG_PING, NULL);
	keeper->asked_ms = broker->loop.now_ms;
	keeper->asking_ms = broker->loop.now_ms + ASK_MS;
}

void keeper_tick(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;

	if (keeper->restart_ms) {
		if (broker->loop.now_ms >= keeper->restart_ms && !certs_busy(broker))
			restart_keeper(broker);
		return;
	}
	if (keeper->watch.added && hangs(broker)) {
		log_line(broker, CONFIG_LOG_ERROR, "the keeper (pid %d) hangs", (int)keeper->pid);
		give_up(broker);
	}
	if (keeper->watch.added)
		ask(broker);
	if (keeper->ready && broker->loop.now_ms - keeper->started_ms > CALM_MS)
		keeper->crashes = 0;
}

void keeper_stop(struct broker *broker)
{
	loop_forget(&broker->loop, &broker->keeper.watch);
	loop_forget(&broker->loop, &broker->keeper.loads);
	if (broker->keeper.watch.fd >= 0) {
		close(broker->keeper.watch.fd);
		close(broker->keeper.loads.fd);
	}
	if (broker->keeper.pid > 0)
		kill(broker->keeper.pid, SIGKILL);
}
