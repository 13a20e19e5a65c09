// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-metrics: started with the sockets that it is to listen at, asked nothing, and told all counts in
 * a sealed memory file when somebody asks it. No byte of HTTP comes here. However fast it asks, an answer
 * is made at a tick, and there is no second one before it has taken the first.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker/admin.h"
#include "broker/broker.h"
#include "common/process.h"
#include "common/rules.h"

#define SMALL_LEN 64
#define BACKLOG 64
#define CALM_MS 60000

/* --- answers -------------------------------------------------------------------------------------- */

/* Returns a sealed file with all counts, or -1. */
static int make_file(const struct broker *broker)
{
	struct openmetrics out = { NULL };
	int fd = -1;

	metrics_write(broker, &out);
	if (!out.failed)
		fd = memfd_create("sluice-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd >= 0 && write(fd, out.text, out.len) != (ssize_t)out.len) {
		close(fd);
		fd = -1;
	}
	if (fd >= 0)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	free(out.text);
	return fd;
}

/* Without a descriptor: there was no memory for it. */
static void answer(struct broker *broker)
{
	struct scrape *scrape = &broker->scrape;
	int fd = make_file(broker), unread = 0;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	scrape->asked = false;
	wire_begin(&wire, buf, sizeof(buf), MSG_SCRAPED, 0);
	/* It asks when it has nothing: one that does otherwise is not ours any more. */
	if (ioctl(scrape->watch.fd, SIOCOUTQ, &unread) || unread ||
	    channel_send(scrape->watch.fd, buf, wire_end(&wire), &fd, fd >= 0) < 0)
		kill(scrape->pid, SIGKILL);
	else
		loop_watch(&broker->loop, &scrape->watch, EPOLLIN);
	if (fd >= 0)
		close(fd);
}

static void scrape_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, scrape.watch));
	struct wire_reader reader;
	struct channel_fds fds;
	struct wire_head head;
	uint8_t buf[SMALL_LEN];
	ssize_t n = channel_recv(watch->fd, buf, sizeof(buf), &fds);

	if (n == -EAGAIN)
		return;
	if (n <= 0 ||
	    rules_open(ROUTE_METRICS_TO_BROKER, NULL, buf, (size_t)n, &fds, &reader, &head)) {
		channel_close_fds(&fds);
		loop_forget(&broker->loop, watch); /* SIGCHLD follows, or is made to */
		kill(broker->scrape.pid, SIGKILL);
		return;
	}
	broker->scrape.asked = true;
	loop_watch(&broker->loop, watch, 0); /* until it is answered */
}

/* --- the process ---------------------------------------------------------------------------------- */

static int start(struct broker *broker)
{
	struct scrape *scrape = &broker->scrape;
	int pair[2], fds[3], r = channel_pair(pair);
	unsigned int n = 1;

	if (r < 0)
		return r;
	fds[0] = pair[1];
	if (scrape->unix_fd >= 0)
		fds[n++] = scrape->unix_fd;
	if (scrape->tcp_fd >= 0)
		fds[n++] = scrape->tcp_fd;
	r = process_spawn("sluice-metrics", fds, n, broker->config->uid, broker->config->gid);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	scrape->pid = r;
	scrape->asked = false;
	scrape->restart_ms = 0;
	scrape->started_ms = broker->loop.now_ms;
	scrape->watch = (struct watch){ .fd = pair[0], .ready = scrape_ready };
	return loop_watch(&broker->loop, &scrape->watch, EPOLLIN);
}

void scrape_died(struct broker *broker, int status)
{
	struct scrape *scrape = &broker->scrape;

	if (!broker->stopping) {
		broker->metrics.crashes++;
		log_line(broker, CONFIG_LOG_WARNING, "sluice-metrics (pid %d) ended by %s %d",
			 (int)scrape->pid, WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	loop_forget(&broker->loop, &scrape->watch);
	close(scrape->watch.fd);
	scrape->watch.fd = -1;
	scrape->pid = 0;
	scrape->asked = false;
	scrape->restart_ms = broker->loop.now_ms + children_backoff(scrape->n_crashes++);
}

void scrape_tick(struct broker *broker)
{
	struct scrape *scrape = &broker->scrape;

	if (scrape->asked)
		answer(broker);
	if (broker->stopping)
		return;
	if (scrape->restart_ms && broker->loop.now_ms >= scrape->restart_ms && start(broker) < 0)
		scrape->restart_ms = broker->loop.now_ms + children_backoff(scrape->n_crashes++);
	else if (scrape->pid && broker->loop.now_ms - scrape->started_ms > CALM_MS)
		scrape->n_crashes = 0;
}

static int fail(struct broker *broker, struct config_error *err, const char *what,
		const char *where, int code)
{
	snprintf(err->text, sizeof(err->text), "%s: metrics: %s: %s: %s", broker->config_path, what,
		 where, strerror(-code));
	return code;
}

int scrape_open(struct broker *broker, struct config_error *ret_err)
{
	const struct config *config = broker->config;
	struct scrape *scrape = &broker->scrape;
	int r;

	scrape->unix_fd = scrape->tcp_fd = -1;
	if (config->metrics.socket) {
		scrape->unix_fd = admin_listen(config->metrics.socket);
		if (scrape->unix_fd < 0)
			return fail(broker, ret_err, "socket", config->metrics.socket,
				    scrape->unix_fd);
		scrape->path = strdup(config->metrics.socket);
	}
	if (config->metrics.host) {
		scrape->tcp_fd = listeners_listen(config->metrics.host, config->metrics.port,
						  BACKLOG, false);
		if (scrape->tcp_fd < 0)
			return fail(broker, ret_err, "address", config->metrics.host,
				    scrape->tcp_fd);
	}
	if (scrape->unix_fd < 0 && scrape->tcp_fd < 0)
		return 0;
	r = start(broker);
	return r < 0 ? fail(broker, ret_err, "starting", "sluice-metrics", r) : 0;
}

void scrape_close(struct broker *broker)
{
	struct scrape *scrape = &broker->scrape;

	if (scrape->watch.fd >= 0) {
		loop_forget(&broker->loop, &scrape->watch);
		close(scrape->watch.fd);
		scrape->watch.fd = -1;
	}
	if (scrape->pid > 0)
		kill(scrape->pid, SIGKILL);
	if (scrape->unix_fd >= 0)
		close(scrape->unix_fd);
	if (scrape->tcp_fd >= 0)
		close(scrape->tcp_fd);
	if (scrape->path)
		unlink(scrape->path);
	free(scrape->path);
	scrape->path = NULL;
	scrape->unix_fd = scrape->tcp_fd = -1;
}
