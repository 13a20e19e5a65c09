// SPDX-License-Identifier: Apache-2.0
/*
 * sluice-fetch as a child of the broker. It is not asked whether it is alive: every request has a time, and
 * one that is not answered by then has hung. What it had to do when it died is asked for again, once.
 */
#include "broker/fetch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "broker/broker.h"
#include "common/process.h"
#include "core/sys.h"
#include "fetch/when.h"

#define LOOK_MS 200   /* between two looks for what is due */
#define LATE_MS 2000  /* beyond its time a request is answered */
#define AGAIN_MS 1000 /* after which what failed for want of memory is tried again */
#define CALM_MS 60000

const char *fetch_for_name(enum fetch_for what)
{
	return what == FETCH_FOR_CRL ? "crl" : "ocsp";
}

/* Of the URL alone: what a server says is not repeated. */
static const char *reason_text(const struct fetch_answer *answer, char out[FETCH_MAX_WHY])
{
	static const char *const texts[] = {
		[FETCH_NOT_MODIFIED] = "the server says that nothing has changed since nothing",
		[FETCH_URL] = "this is no URL that is fetched",
		[FETCH_HOST] = "its host, or one that it was sent on to, is not among the hosts",
		[FETCH_ADDRESS] = "its host leads to addresses that are not among the hosts",
		[FETCH_RESOLVE] = "its host has no address",
		[FETCH_CONNECT] = "the server cannot be reached",
		[FETCH_TIME] = "the server takes too long",
		[FETCH_SIZE] = "the answer is too long",
		[FETCH_HTTP] = "the server answers without HTTP",
		[FETCH_REDIRECTS] = "it is sent on too often",
	};

	if (answer->reason == FETCH_HTTP && answer->status)
		snprintf(out, FETCH_MAX_WHY, "the server answers with status %u", answer->status);
	else
		snprintf(out, FETCH_MAX_WHY, "%s", texts[answer->reason]);
	return out;
}

/* --- what came of an item ------------------------------------------------------------------------- */

static uint32_t random32(void)
{
	uint32_t random;

	RAND_bytes((uint8_t *)&random, sizeof(random));
	return random;
}

static void tell(struct broker *broker, const struct fetch_item *item, enum config_log_level level,
		 const char *what)
{
	log_line(broker, level, "fetch: %s%s%s: %s", item->url, item->whom ? ", for " : "",
		 item->whom ? item->whom : "", what);
}

void fetch_item_good(struct broker *broker, struct fetch_item *item, int64_t this_s, int64_t next_s)
{
	struct fetch *fetch = &broker->fetch;

	if (item->failures) {
		fetch->failing[item->what]--;
		tell(broker, item, CONFIG_LOG_INFO, "good again");
	}
	fetch->good[item->what]++;
	item->held = item->lost = false;
	item->failures = 0;
	item->why[0] = '\0';
	item->fetched_s = sys->wall_s();
	item->refresh_s =
		item->again ? 0 : fetch_refresh_at(this_s, next_s, item->fetched_s, random32());
	item->again = false;
}

/* Once for what stays as it is. */
void fetch_item_bad(struct broker *broker, struct fetch_item *item, const char *why)
{
	struct fetch *fetch = &broker->fetch;

	if (strncmp(item->why, why, sizeof(item->why) - 1))
		tell(broker, item, CONFIG_LOG_WARNING, why);
	fetch->bad[item->what]++;
	fetch->failing[item->what] += !item->failures;
	item->held = item->lost = false;
	item->failures++;
	item->retry_ms =
		item->again ? 0 : broker->loop.now_ms + 1000ull * fetch_backoff_s(item->failures);
	item->again = false;
	item->etag[0] = item->modified[0] = '\0';
	snprintf(item->why, sizeof(item->why), "%s", why);
}

int64_t fetch_item_next(const struct broker *broker, const struct fetch_item *item)
{
	uint64_t now_ms = broker->loop.now_ms;

	if (!item->failures)
		return item->refresh_s;
	return sys->wall_s() +
	       (item->retry_ms > now_ms ? (int64_t)((item->retry_ms - now_ms) / 1000) : 0);
}

void fetch_item_add(struct broker *broker, struct fetch_item *item)
{
	TAILQ_INSERT_TAIL(&broker->fetch.items, item, all);
}

static void leave_place(struct fetch *fetch, const struct fetch_item *item)
{
	size_t i;

	for (i = 0; i < FETCH_MAX_ASKED; i++)
		if (fetch->asked[i] == item)
			fetch->asked[i] = NULL;
}

void fetch_item_drop(struct broker *broker, struct fetch_item *item)
{
	TAILQ_REMOVE(&broker->fetch.items, item, all);
	leave_place(&broker->fetch, item);
	broker->fetch.failing[item->what] -= item->failures != 0;
	free(item->url);
	free(item->whom);
	free(item->body);
}

/* --- answers -------------------------------------------------------------------------------------- */

static struct fetch_item *find_asked(struct fetch *fetch, uint32_t id)
{
	size_t i;

	for (i = 0; i < FETCH_MAX_ASKED; i++)
		if (fetch->asked[i] && fetch->asked[i]->id == id)
			return fetch->asked[i];
	return NULL;
}

static void take_answer(struct broker *broker, const struct fetch_answer *answer)
{
	struct fetch_item *item = find_asked(&broker->fetch, answer->id);
	bool known = item && (item->etag[0] || item->modified[0]);
	char why[FETCH_MAX_WHY];

	if (!item) { /* nobody wants it any more */
		if (answer->body_fd >= 0)
			close(answer->body_fd);
		return;
	}
	leave_place(&broker->fetch, item);
	item->id = 0;
	if (answer->reason == FETCH_RESOURCES || answer->reason == FETCH_BUSY) {
		item->again_ms =
			broker->loop.now_ms + AGAIN_MS; /* of the moment, and of no server */
		return;
	}
	if (answer->reason != FETCH_OK && !(answer->reason == FETCH_NOT_MODIFIED && known)) {
		fetch_item_bad(broker, item, reason_text(answer, why));
		return;
	}
	/* What a POST got is no condition of another one. */
	if (answer->reason == FETCH_OK && !item->body) {
		memcpy(item->etag, answer->etag, sizeof(item->etag));
		memcpy(item->modified, answer->modified, sizeof(item->modified));
	}
	item->held = true;
	item->taken(broker, item, answer->body_fd);
}

/* --- requests ------------------------------------------------------------------------------------- */

static bool is_due(const struct broker *broker, const struct fetch_item *item)
{
	if (item->id || item->held || broker->loop.now_ms < item->again_ms)
		return false;
	return item->failures ? broker->loop.now_ms >= item->retry_ms
			      : sys->wall_s() >= item->refresh_s;
}

/* Returns false where there is no room for more. */
static bool ask(struct broker *broker, struct fetch_item *item)
{
	struct fetch *fetch = &broker->fetch;
	struct fetch_child child = { .fd = fetch->watch.fd };
	struct fetch_request request = { .url = item->url,
					 .timeout_ms = broker->config->fetch.timeout_ms,
					 .max_len = item->max_len,
					 .etag = item->etag,
					 .modified = item->modified,
					 .body = item->body,
					 .body_len = item->body_len };
	size_t i;

	for (i = 0; i < FETCH_MAX_ASKED && fetch->asked[i]; i++)
		;
	if (i == FETCH_MAX_ASKED)
		return false;
	if (!++fetch->last_id)
		fetch->last_id = 1;
	request.id = fetch->last_id;
	if (fetch_child_ask(&child, &request) < 0)
		return false; /* it does not read, or is gone */
	item->id = request.id;
	item->asked_ms = broker->loop.now_ms;
	fetch->asked[i] = item;
	return true;
}

/* Who was asked for goes to the end: nobody waits for the same ones twice. */
static void ask_due(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;
	struct fetch_item *last = TAILQ_LAST(&fetch->items, fetch_items), *item, *next;

	for (item = TAILQ_FIRST(&fetch->items); item; item = item == last ? NULL : next) {
		next = TAILQ_NEXT(item, all);
		if (!is_due(broker, item))
			continue;
		if (!ask(broker, item))
			return;
		TAILQ_REMOVE(&fetch->items, item, all);
		TAILQ_INSERT_TAIL(&fetch->items, item, all);
	}
}

/* SIGCHLD follows. */
static void give_up(struct broker *broker)
{
	loop_forget(&broker->loop, &broker->fetch.watch);
	kill(broker->fetch.pid, SIGKILL);
}

static void fetch_ready(struct watch *watch, uint32_t events)
{
	struct broker *broker =
		(struct broker *)((char *)watch - offsetof(struct broker, fetch.watch));
	struct fetch_child child = { .fd = watch->fd };
	struct fetch_answer answer;
	int r = fetch_child_answer(&child, &answer);

	if (r < 0)
		give_up(broker);
	if (r <= 0)
		return;
	take_answer(broker, &answer);
	if (!broker->stopping)
		ask_due(broker);
}

static bool hangs(const struct broker *broker)
{
	const struct fetch *fetch = &broker->fetch;
	uint64_t limit_ms = broker->config->fetch.timeout_ms + LATE_MS;
	size_t i;

	for (i = 0; i < FETCH_MAX_ASKED; i++)
		if (fetch->asked[i] && broker->loop.now_ms - fetch->asked[i]->asked_ms > limit_ms)
			return true;
	return false;
}

/* --- the process ---------------------------------------------------------------------------------- */

static int start(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;
	int pair[2], r;

	free(fetch->hosts);
	fetch->hosts = strdup(broker->config->fetch.hosts);
	if (!fetch->hosts)
		return -ENOMEM;
	r = channel_pair(pair);
	if (r < 0)
		return r;
	r = fetch_child_allow(pair[0], fetch->hosts);
	if (r == 0)
		r = process_spawn("sluice-fetch", &pair[1], 1, broker->config->uid,
				  broker->config->gid);
	close(pair[1]);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	fetch->pid = r;
	fetch->restart_ms = 0;
	fetch->started_ms = broker->loop.now_ms;
	fetch->watch = (struct watch){ .fd = pair[0], .ready = fetch_ready };
	return loop_watch(&broker->loop, &fetch->watch, EPOLLIN);
}

/* What was under way: the first time it may have been another's fault. */
static void lose_asked(struct broker *broker)
{
	struct fetch_item *item;
	size_t i;

	for (i = 0; i < FETCH_MAX_ASKED; i++) {
		item = broker->fetch.asked[i];
		broker->fetch.asked[i] = NULL;
		if (!item)
			continue;
		item->id = 0;
		if (item->lost)
			fetch_item_bad(broker, item, "sluice-fetch has ended twice in the middle");
		else
			item->lost = true;
	}
}

static void leave(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;

	loop_forget(&broker->loop, &fetch->watch);
	close(fetch->watch.fd);
	fetch->watch.fd = -1;
	fetch->pid = 0;
	lose_asked(broker);
}

void fetch_died(struct broker *broker, int status)
{
	struct fetch *fetch = &broker->fetch;

	if (!broker->stopping) {
		fetch->crashes++;
		log_line(broker, CONFIG_LOG_WARNING, "sluice-fetch (pid %d) ended by %s %d",
			 (int)fetch->pid, WIFSIGNALED(status) ? "signal" : "status",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	leave(broker);
	fetch->restart_ms = broker->loop.now_ms + children_backoff(fetch->n_crashes++);
}

static void run(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;

	if (broker->loop.now_ms - fetch->looked_ms < LOOK_MS)
		return;
	fetch->looked_ms = broker->loop.now_ms;
	if (hangs(broker)) {
		log_line(broker, CONFIG_LOG_WARNING, "sluice-fetch (pid %d) hangs",
			 (int)fetch->pid);
		give_up(broker);
		return;
	}
	ask_due(broker);
	if (broker->loop.now_ms - fetch->started_ms > CALM_MS)
		fetch->n_crashes = 0;
}

void fetch_tick(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;

	if (broker->stopping || !fetch->wanted)
		return;
	if (fetch->restart_ms && broker->loop.now_ms >= fetch->restart_ms && start(broker) < 0)
		fetch->restart_ms = broker->loop.now_ms + children_backoff(fetch->n_crashes++);
	if (fetch->pid && fetch->watch.added)
		run(broker);
}

void fetch_open(struct broker *broker)
{
	broker->fetch.watch.fd = -1;
	TAILQ_INIT(&broker->fetch.items);
}

int fetch_start(struct broker *broker)
{
	broker->fetch.wanted = broker->config->fetch.hosts;
	return broker->fetch.wanted ? start(broker) : 0;
}

/* Its end is no crash: nobody waits for it, and it is reaped with all others. */
static void stop(struct broker *broker)
{
	struct fetch *fetch = &broker->fetch;

	if (!fetch->pid)
		return;
	kill(fetch->pid, SIGKILL);
	leave(broker);
}

void fetch_reloaded(struct broker *broker, bool all)
{
	const char *hosts = broker->config->fetch.hosts;
	struct fetch *fetch = &broker->fetch;
	struct fetch_item *item;

	fetch->wanted = hosts;
	if (!hosts || !fetch->hosts || strcmp(hosts, fetch->hosts)) {
		stop(broker);
		fetch->restart_ms = hosts ? broker->loop.now_ms : 0;
	}
	TAILQ_FOREACH(item, &fetch->items, all)
	{
		item->retry_ms = 0;
		if (all)
			item->refresh_s = 0;
		item->again = (all || item->failures) && (item->id || item->held);
	}
}

void fetch_close(struct broker *broker)
{
	stop(broker);
	free(broker->fetch.hosts);
	broker->fetch.hosts = NULL;
	broker->fetch.wanted = false;
}
