// SPDX-License-Identifier: Apache-2.0
/* The keeper: started, told what it may do, and started again with the keys when it dies. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/options.h>

#include "broker/broker.h"
#include "common/process.h"
#include "core/secret.h"
#include "handover/messages.h"

#define SMALL_LEN 256
#define RETRY_MS 10000
#define CALM_MS 60000

static void keeper_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, keeper.watch));
	struct channel_fds fds;
	uint8_t buf[SMALL_LEN];
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN || n == -EMSGSIZE)
		return;
	channel_close_fds(&fds);
	if (n > 0)
		return; /* an answer that nobody waits for any more, as the long ones are */
	loop_forget(&broker->loop, watch); /* SIGCHLD follows, or is made to */
	kill(broker->keeper.pid, SIGKILL);
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
	int pair[2], r = children_pair(pair);

	if (r < 0)
		return r;
	r = process_spawn("sluice-keeper", &pair[1], 1, broker->config->uid, broker->config->gid);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	keeper->pid = r;
	keeper->restart_ms = 0;
	keeper->started_ms = broker->loop.now_ms;
	keeper->watch = (struct watch){ .fd = pair[0], .ready = keeper_ready };
	tell_permit_key(broker);
	return loop_watch(&broker->loop, &keeper->watch, EPOLLIN);
}

void keeper_give_channel(struct broker *broker, int fd)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_CHANNEL, 0);
	channel_send(broker->keeper.watch.fd, buf, wire_end(&wire), &fd, 1);
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
	close(keeper->watch.fd);
	keeper->watch.fd = -1;
	keeper->pid = 0;
	keeper->ready = false;
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

/* A new keeper has no keys: the files are read again, as at a reload. */
static void restart_keeper(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;
	struct config_error err = { { 0 } };
	int fd, r = keeper_start(broker);
	size_t i;

	if (r < 0) {
		keeper->restart_ms = broker->loop.now_ms + RETRY_MS;
		return;
	}
	fd = catalog_build(broker, broker->config, &err);
	if (fd < 0) {
		log_line(broker, CONFIG_LOG_ERROR, "the new keeper has no keys: %s", err.text);
		kill(keeper->pid, SIGKILL); /* which leads here again */
		return;
	}
	for (i = 0; i < broker->n_handshakers; i++)
		if (!broker->handshakers[i].restart_ms)
			connect_keeper(&broker->handshakers[i]);
	children_configure(broker, fd);
	log_line(broker, CONFIG_LOG_WARNING, "a new keeper (pid %d) has the keys",
		 (int)keeper->pid);
}

void keeper_tick(struct broker *broker)
{
	struct keeper *keeper = &broker->keeper;

	if (keeper->restart_ms && broker->loop.now_ms >= keeper->restart_ms)
		restart_keeper(broker);
	else if (keeper->ready && broker->loop.now_ms - keeper->started_ms > CALM_MS)
		keeper->crashes = 0;
}

void keeper_stop(struct broker *broker)
{
	loop_forget(&broker->loop, &broker->keeper.watch);
	if (broker->keeper.watch.fd >= 0)
		close(broker->keeper.watch.fd);
	if (broker->keeper.pid > 0)
		kill(broker->keeper.pid, SIGKILL);
}
