// SPDX-License-Identifier: Apache-2.0
/*
 * The handshakers: started, given what they need, and started again when they die. What one was doing when
 * it died is lost; nothing else is.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "broker/broker.h"
#include "common/process.h"
#include "handover/messages.h"
#include "options/options.h"

#define SMALL_LEN 256
#define HANDSHAKE_LEN 1024       /* a host and protocols */
#define CHANNEL_BUFFER (4 << 20) /* bytes: thousands of messages may wait */
#define BACKOFF_MS 100           /* doubles with each crash */
#define MAX_BACKOFF_MS 1000      /* that long none of its handshakes are made */
#define CALM_MS 60000
#define MAX_SUSPECTS 8
#define WATCH_MS 200
#define DECISION_MS 1000 /* more than a service has: for the way */
#define HANG_MS 700      /* beyond the longest handshake_timeout, and without a word */
#define VERDICT_MS 30000 /* within which a chain is judged, whatever else it says */

int children_pair(int pair[2])
{
	int size = CHANNEL_BUFFER, i, r = channel_pair(pair);

	for (i = 0; r == 0 && i < 2; i++)
		if (setsockopt(pair[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return r;
}

uint64_t children_backoff(unsigned int crashes)
{
	uint64_t wait = BACKOFF_MS;

	while (crashes-- && wait < MAX_BACKOFF_MS)
		wait *= 2;
	return wait < MAX_BACKOFF_MS ? wait : MAX_BACKOFF_MS;
}

/* --- handshakers ---------------------------------------------------------------------------------- */

static void configure(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	wire_begin(&wire, buf, sizeof(buf), MSG_CONFIG, 0);
	if (channel_send(handshaker->watch.fd, buf, wire_end(&wire), &broker->catalog_fd, 1) < 0)
		kill(handshaker->pid,
		     SIGKILL); /* it does not read; the next one gets the new one */
}

static void handshaker_ready(struct watch *watch, uint32_t events)
{
	struct handshaker *handshaker = (struct handshaker *)watch;

	if (hear_message(handshaker) >= 0)
		return;
	loop_forget(&handshaker->broker->loop, watch); /* SIGCHLD follows, or is made to */
	kill(handshaker->pid, SIGKILL);
}

static int start_handshaker(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	int ours[2], keepers[2], fds[2], r;

	r = children_pair(ours);
	if (r < 0)
		return r;
	r = children_pair(keepers);
	if (r < 0) {
		close(ours[0]);
		close(ours[1]);
		return r;
	}
	fds[0] = ours[1];
	fds[1] = keepers[1];
	handshaker->pid = process_spawn("sluice-handshaker", fds, 2, broker->config->uid,
					broker->config->gid);
	keeper_give_channel(broker, keepers[0]);
	close(ours[1]);
	close(keepers[0]);
	close(keepers[1]);
	if (handshaker->pid < 0) {
		close(ours[0]);
		return handshaker->pid;
	}
	handshaker->ready = handshaker->lies = false;
	handshaker->restart_ms = 0;
	handshaker->started_ms = broker->loop.now_ms;
	handshaker->watch = (struct watch){ .fd = ours[0], .ready = handshaker_ready };
	r = loop_watch(&broker->loop, &handshaker->watch, EPOLLIN);
	crls_give(broker, handshaker);
	configure(handshaker);
	return r;
}

/* While a decision service is asked, the time of a handshake stands still. */
static uint64_t time_of(const struct sluice_options *options, const struct config_verify *verify)
{
	return (uint64_t)option_number(options, SLUICE_OPT_HANDSHAKE_TIMEOUT, SLUICE_SERVER) +
	       (verify->path ? verify->timeout_ms + DECISION_MS : 0);
}

static uint64_t longest_handshake(const struct config *config)
{
	const struct config_profile *profile;
	uint64_t longest = 0, ms;
	size_t i, j;

	for (i = 0; i < config->n_profiles; i++) {
		profile = &config->profiles[i];
		ms = time_of(profile->options, &profile->verify);
		longest = ms > longest ? ms : longest;
		for (j = 0; j < profile->n_hosts; j++) {
			ms = time_of(profile->hosts[j].options, &profile->hosts[j].verify);
			longest = ms > longest ? ms : longest;
		}
	}
	return longest;
}

int children_configure(struct broker *broker, int catalog_fd)
{
	size_t i, n = broker->config->limits.handshakers;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	int r = 0;

	if (!n)
		n = cores > 0 ? (size_t)cores : 1;

	if (broker->catalog_fd >= 0)
		close(broker->catalog_fd);
	broker->catalog_fd = catalog_fd;
	broker->keeper.ready = true;
	broker->handshake_ms = longest_handshake(broker->config);
	if (broker->handshakers) { /* as many as at the start: a reload changes what they have */
		for (i = 0; i < broker->n_handshakers; i++)
			if (!broker->handshakers[i].restart_ms)
				configure(&broker->handshakers[i]);
		return 0;
	}
	broker->handshakers = calloc(n, sizeof(*broker->handshakers));
	if (!broker->handshakers)
		return -ENOMEM;
	broker->n_handshakers = n;
	for (i = 0; i < n; i++) {
		broker->handshakers[i].broker = broker;
		broker->handshakers[i].watch.fd = -1;
	}
	for (i = 0; r >= 0 && i < n; i++)
		r = start_handshaker(&broker->handshakers[i]);
	return r;
}

bool children_ready(const struct broker *broker)
{
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++)
		if (broker->handshakers[i].ready)
			return broker->keeper.ready;
	return false;
}

static struct handshaker *least_busy(struct broker *broker)
{
	struct handshaker *best = NULL, *handshaker;
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++) {
		handshaker = &broker->handshakers[i];
		if (handshaker->ready && (!best || handshaker->in_progress < best->in_progress))
			best = handshaker;
	}
	return best;
}

static void put_handshake(const struct broker *broker, const struct session *session,
			  struct wire *wire)
{
	const struct upgrade *upgrade = session->upgrade;
	const struct config_listener *listener;
	uint8_t permit[PERMIT_LEN];

	permit_write(permit, broker->permit_key, session->id, session->role,
		     broker->loop.now_ms + broker->handshake_ms + HANG_MS);
	wire_put_u64(wire, ATTR_SESSION, session->id);
	wire_put(wire, ATTR_PERMIT, permit, sizeof(permit));
	wire_put_u64(wire, ATTR_ROLE, session->role);
	wire_put_u64(wire, ATTR_ACCEPTED_US, session->accepted_us);
	if (session->trace)
		wire_put_u64(wire, ATTR_TRACE, 1);
	if (!upgrade) {
		listener = &broker->config->listeners[session->listener];
		wire_put_u64(wire, ATTR_PROFILE, listener->profile);
		wire_put_u64(wire, ATTR_EXPECTS, session->expects);
		wire_put_u64(wire, ATTR_HELLO_TIMEOUT, listener->hello_timeout_ms);
		return;
	}
	wire_put_u64(wire, ATTR_PROFILE, upgrade->profile);
	wire_put_text(wire, ATTR_HOST, upgrade->request.host);
	wire_put_text(wire, ATTR_ALPN, upgrade->request.alpn);
	if (upgrade->request.plain)
		wire_put_u64(wire, ATTR_PLAIN, 1);
}

int children_handshake(struct broker *broker, struct session *session, int fd)
{
	struct handshaker *best;
	uint8_t buf[HANDSHAKE_LEN];
	struct wire wire;
	int r = -EAGAIN;

	wire_begin(&wire, buf, sizeof(buf), MSG_HANDSHAKE, 0);
	put_handshake(broker, session, &wire);
	while ((best = least_busy(broker))) {
		r = channel_send(best->watch.fd, buf, wire_end(&wire), &fd, 1);
		if (r != -EPIPE && r != -ECONNRESET)
			break;
		best->ready = false; /* it has died; its SIGCHLD comes */
	}
	if (r < 0)
		return r;
	session->fd = fd;
	session->handshaker = best;
	session->crls = crls_generation(broker);
	best->in_progress++;
	broker->in_progress++;
	LIST_INSERT_HEAD(&best->sessions, session, of_owner);
	trace_given(broker, session);
	return 0;
}

void children_cancel(struct broker *broker, const struct session *session)
{
	uint8_t buf[SMALL_LEN];
	struct wire wire;

	if (!session->handshaker)
		return;
	wire_begin(&wire, buf, sizeof(buf), MSG_CANCEL, 0);
	wire_put_u64(&wire, ATTR_SESSION, session->id);
	/* One that does not keep up finds out by time. */
	channel_send(session->handshaker->watch.fd, buf, wire_end(&wire), NULL, 0);
}

static void handshaker_died(struct handshaker *handshaker, int status)
{
	struct broker *broker = handshaker->broker;
	struct sockaddr_in6 payer;
	struct session *session;
	bool crashed;

	while (hear_message(handshaker) > 0) /* what it had finished is not lost with it */
		;
	crashed = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && !broker->stopping &&
		  handshaker->in_progress <= MAX_SUSPECTS;
	if (!broker->stopping) {
		broker->stats.handshaker_crashes++;
		log_line(broker, CONFIG_LOG_WARNING,
			 "a handshaker (pid %d) ended by %s %d: %u handshakes are lost",
			 (int)handshaker->pid, WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			 handshaker->in_progress);
	}
	loop_forget(&broker->loop, &handshaker->watch);
	close(handshaker->watch.fd);
	handshaker->watch.fd = -1;
	handshaker->pid = 0;
	handshaker->ready = false;
	recheck_lost(handshaker);
	while ((session = LIST_FIRST(&handshaker->sessions))) {
		broker->stats.failed++;
		/* Any of them may have done it: of many nobody is accused. */
		payer = session_payer(session);
		if (crashed && session->counted)
			source_penalise(broker, &payer);
		session_end(broker, session, END_HANDSHAKER_DIED);
	}
	handshaker->restart_ms = broker->loop.now_ms + children_backoff(handshaker->crashes++);
}

void children_reap(struct broker *broker)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == broker->keeper.pid)
			keeper_died(broker, status);
		if (pid == broker->scrape.pid)
			scrape_died(broker, status);
		if (pid == broker->fetch.pid)
			fetch_died(broker, status);
		for (i = 0; i < broker->n_handshakers; i++)
			if (broker->handshakers[i].pid == pid)
				handshaker_died(&broker->handshakers[i], status);
	}
}

static bool hangs(const struct handshaker *handshaker)
{
	const struct broker *broker = handshaker->broker;
	const struct session *session;
	uint64_t waits = recheck_waits(handshaker);

	if (waits > VERDICT_MS)
		return true;
	if (broker->loop.now_ms - handshaker->heard_ms <= HANG_MS)
		return false;
	if (waits > broker->handshake_ms + HANG_MS)
		return true;
	LIST_FOREACH(session, &handshaker->sessions, of_owner)
	if (broker->loop.now_ms - session->accepted_ms > broker->handshake_ms + HANG_MS)
		return true;
	return false;
}

/*
 * Handshakers keep the time of their handshakes; one that does not, or owes a verdict as long, and says nothing
 * at all, has stopped or turns in a circle. One that has much to do is late as well, but says so (MSG_READY).
 * If it was us who were late, there may be much that they have said: another round.
 */
static void look_for_hanging(struct broker *broker)
{
	uint64_t since_ms = broker->loop.now_ms - broker->watched_ms;
	size_t i;

	if (since_ms < WATCH_MS)
		return;
	broker->watched_ms = broker->loop.now_ms;
	for (i = 0; i < broker->n_handshakers && since_ms < 2 * WATCH_MS; i++)
		if (broker->handshakers[i].pid > 0 && hangs(&broker->handshakers[i])) {
			log_line(broker, CONFIG_LOG_WARNING, "a handshaker (pid %d) hangs",
				 (int)broker->handshakers[i].pid);
			kill(broker->handshakers[i].pid, SIGKILL);
		}
}

void children_tick(struct broker *broker)
{
	struct handshaker *handshaker;
	size_t i;

	look_for_hanging(broker);
	if (!broker->stopping)
		keeper_tick(broker);
	for (i = 0; i < broker->n_handshakers && !broker->stopping; i++) {
		handshaker = &broker->handshakers[i];
		if (handshaker->restart_ms && broker->loop.now_ms >= handshaker->restart_ms &&
		    start_handshaker(handshaker) < 0)
			handshaker->restart_ms = broker->loop.now_ms + MAX_BACKOFF_MS;
		else if (handshaker->crashes && handshaker->ready &&
			 broker->loop.now_ms - handshaker->started_ms > CALM_MS)
			handshaker->crashes = 0;
	}
}

void children_stop(struct broker *broker)
{
	struct session *session;
	size_t i;

	broker->stopping = true;
	for (i = 0; i < broker->n_handshakers; i++) {
		while ((session = LIST_FIRST(&broker->handshakers[i].sessions)))
			session_end(broker, session, END_STOPPED);
		if (broker->handshakers[i].watch.fd < 0)
			continue;
		loop_forget(&broker->loop, &broker->handshakers[i].watch);
		close(broker->handshakers[i].watch.fd);
		kill(broker->handshakers[i].pid, SIGKILL); /* one that is stopped too */
	}
	keeper_stop(broker);
	while (waitpid(-1, NULL, 0) > 0)
		;
	free(broker->handshakers);
	broker->handshakers = NULL;
	broker->n_handshakers = 0;
}
