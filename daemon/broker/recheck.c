// SPDX-License-Identifier: Apache-2.0
/*
 * A recheck: goes through the table of sessions, has handshakers judge the chains that are kept, a few at a
 * time so that no handshake waits for it, and closes the sessions whose peers would not be let in now. What
 * cannot be judged is told, and goes on.
 */
#include "broker/recheck.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/error.h>

#include "handover/messages.h"

#define SCAN 4096   /* buckets of the table, and sessions in them, in one turn */
#define WINDOW 4    /* chains that a handshaker has at a time: about a millisecond */
#define MAX_TRIES 2 /* of a chain that handshakers die of */
#define PROGRESS_MS 1000

/* --- results ---------------------------------------------------------------------------------------- */

static void tell(struct broker *broker, const struct session *session, const char *result,
		 const char *why)
{
	if (broker->recheck->client)
		admin_recheck_row(broker->recheck->client, session, result, why);
}

/* Closed as by `sluicectl kill`: by its worker, or by the kernel. */
static void close_session(struct broker *broker, struct session *session, const char *why)
{
	struct recheck *recheck = broker->recheck;
	int r = 0;

	log_line(broker, CONFIG_LOG_WARNING, "session %" PRIu64 ": recheck: %s", session->id, why);
	recheck->counts.closed++;
	if (session->state == SESSION_QUEUED) {
		session_end(broker, session, END_KILLED);
	} else if (ask_worker(broker, session, ASK_CLOSE, false, recheck->client) == 0) {
		if (recheck->client)
			recheck->client->job.pending++;
	} else {
		r = admin_destroy(broker, session);
	}
	if (r < 0 && r != -ENOENT) {
		recheck->counts.closed--;
		log_line(broker, CONFIG_LOG_ERROR, "session %" PRIu64 ": recheck: not closed: %s",
			 session->id, strerror(-r));
		tell(broker, session, "not closed", strerror(-r));
	}
}

static void take_verdict(struct broker *broker, struct session *session, uint64_t code,
			 const char *why)
{
	struct recheck *recheck = broker->recheck;

	if (!code) {
		recheck->counts.good++;
		return;
	}
	if (code == SLUICE_E_NOMEM || code == SLUICE_E_INTERNAL) {
		recheck->counts.unknown++;
		tell(broker, session, "unknown", why);
		return;
	}
	recheck->counts.bad++;
	tell(broker, session, recheck->dry_run ? "would be closed" : "closed", why);
	if (!recheck->dry_run)
		close_session(broker, session, why);
}

static void pass_over(struct broker *broker, const struct session *session)
{
	broker->recheck->counts.not_kept++;
	tell(broker, session, "not kept",
	     session->restored ? "it is from before the daemon was started again"
			       : "there was no room for its chain: limits: recheck_memory");
}

/* --- judges ----------------------------------------------------------------------------------------- */

static void judge_free(struct judge_list *list, struct judge *judge)
{
	TAILQ_REMOVE(list, judge, all);
	free(judge);
}

static struct handshaker *least_asked(struct broker *broker)
{
	struct handshaker *best = NULL, *handshaker;
	size_t i;

	for (i = 0; i < broker->n_handshakers; i++) {
		handshaker = &broker->handshakers[i];
		if (handshaker->ready && handshaker->judging < WINDOW &&
		    (!best || handshaker->judging < best->judging))
			best = handshaker;
	}
	return best;
}

static int find_profile(const struct broker *broker, const char *name)
{
	size_t i;

	for (i = 0; i < broker->config->n_profiles; i++)
		if (!strcmp(broker->config->profiles[i].name, name))
			return (int)i;
	return -1;
}

/* Returns 0, -ENOENT: there is nothing to judge it by, or an error of the channel. */
static int send_judge(struct broker *broker, const struct judge *judge,
		      const struct session *session, const struct handshaker *handshaker)
{
	int profile = find_profile(broker, session->chain->profile);
	struct wire wire;

	if (profile < 0)
		return -ENOENT;
	wire_begin(&wire, broker->out, WIRE_MAX, MSG_JUDGE, judge->id);
	wire_put_u64(&wire, ATTR_PROFILE, (uint64_t)profile);
	wire_put_u64(&wire, ATTR_ROLE, session->role);
	wire_put_text(&wire, ATTR_SNI, session->sni);
	if (wire.overflow || session->chain->len > wire.size - wire.len)
		return -ENOENT;
	memcpy(wire.buf + wire.len, session->chain->attrs, session->chain->len);
	wire.len += session->chain->len;
	return channel_send(handshaker->watch.fd, broker->out, wire_end(&wire), NULL, 0);
}

/* Gives the first that waits to a handshaker. Returns false when none takes any now. */
static bool give_one(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;
	struct judge *judge = TAILQ_FIRST(&recheck->todo);
	struct session *session = session_find(broker, judge->session);
	struct handshaker *handshaker = least_asked(broker);
	int r;

	if (session && session->chain && !handshaker)
		return false;
	r = session && session->chain ? send_judge(broker, judge, session, handshaker) : -ESRCH;
	if (r == -ENOENT)
		take_verdict(broker, session, SLUICE_E_INTERNAL, "its profile is gone");
	if (r == -ENOENT || r == -ESRCH) { /* the latter: it has ended */
		judge_free(&recheck->todo, judge);
		return true;
	}
	if (r < 0)
		return false;
	judge->handshaker = handshaker;
	judge->sent_ms = broker->loop.now_ms;
	judge->tries++;
	handshaker->judging++;
	TAILQ_REMOVE(&recheck->todo, judge, all);
	TAILQ_INSERT_TAIL(&recheck->sent, judge, all);
	recheck->n_sent++;
	return true;
}

const char *recheck_judged(struct handshaker *handshaker, uint32_t id, struct wire_reader reader)
{
	struct broker *broker = handshaker->broker;
	struct recheck *recheck = broker->recheck;
	char text[300] = "it is not verified";
	struct session *session;
	struct judge *judge;
	uint64_t code = 0;
	struct attr attr;

	TAILQ_FOREACH(judge, &recheck->sent, all)
	if (judge->id == id && judge->handshaker == handshaker)
		break;
	if (!judge)
		return id > recheck->last_id ? "a verdict that nobody asked for" : NULL;
	while (wire_next(&reader, &attr) == 1) {
		if (attr.type == ATTR_ERROR)
			attr_u64(&attr, &code);
		else if (attr.type == ATTR_TEXT)
			attr_text(&attr, text, sizeof(text));
	}
	session = session_find(broker, judge->session);
	handshaker->judging--;
	recheck->n_sent--;
	judge_free(&recheck->sent, judge);
	if (session && recheck->running)
		take_verdict(broker, session, code, text);
	recheck_go_on(broker);
	return NULL;
}

/* What it had may be what it died of: another one tries it, once. */
void recheck_lost(struct handshaker *handshaker)
{
	struct broker *broker = handshaker->broker;
	struct recheck *recheck = broker->recheck;
	struct judge *judge, *next;
	struct session *session;

	handshaker->judging = 0;
	for (judge = TAILQ_FIRST(&recheck->sent); judge; judge = next) {
		next = TAILQ_NEXT(judge, all);
		if (judge->handshaker != handshaker)
			continue;
		recheck->n_sent--;
		judge->handshaker = NULL;
		TAILQ_REMOVE(&recheck->sent, judge, all);
		TAILQ_INSERT_TAIL(&recheck->todo, judge, all);
		if (judge->tries < MAX_TRIES && recheck->running)
			continue;
		session = session_find(broker, judge->session);
		if (session && recheck->running)
			take_verdict(broker, session, SLUICE_E_INTERNAL,
				     "handshakers end while they judge it");
		judge_free(&recheck->todo, judge);
	}
}

uint64_t recheck_waits(const struct handshaker *handshaker)
{
	const struct broker *broker = handshaker->broker;
	const struct judge *judge;

	if (!handshaker->judging)
		return 0;
	TAILQ_FOREACH(judge, &broker->recheck->sent, all)
	if (judge->handshaker == handshaker)
		return broker->loop.now_ms - judge->sent_ms;
	return 0;
}

/* --- going through the table ------------------------------------------------------------------------ */

static void consider(struct broker *broker, const struct session *session)
{
	struct recheck *recheck = broker->recheck;
	const char *listener, *pool;
	struct judge *judge;

	admin_names(broker, session, &listener, &pool);
	if (!session->has_peer || session->state == SESSION_HANDSHAKE ||
	    !filter_fits(&recheck->filter, session, listener, pool,
			 session->worker ? session->worker->number : 0))
		return;
	if (!session->chain) {
		pass_over(broker, session);
		return;
	}
	judge = calloc(1, sizeof(*judge));
	if (!judge) {
		take_verdict(broker, (struct session *)session, SLUICE_E_NOMEM, "no memory");
		return;
	}
	judge->session = session->id;
	judge->id = ++recheck->last_id;
	TAILQ_INSERT_TAIL(&recheck->todo, judge, all);
}

/* A client that does not read makes its recheck wait, and not the broker. */
static bool client_waits(const struct recheck *recheck)
{
	return recheck->client &&
	       recheck->client->out_len - recheck->client->out_at > ADMIN_LOW_QUEUE;
}

static void scan(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;
	const struct session *session;
	size_t n;

	if (recheck->id) {
		session = recheck->at ? NULL : session_find(broker, recheck->id);
		recheck->at = SESSION_BUCKETS;
		if (session)
			consider(broker, session);
		return;
	}
	for (n = 0; n < SCAN && recheck->at < SESSION_BUCKETS && TAILQ_EMPTY(&recheck->todo) &&
		    !client_waits(recheck);
	     n++) {
		LIST_FOREACH(session, &broker->sessions.by_id[recheck->at], by_id)
		{
			consider(broker, session);
			n++;
		}
		recheck->at++;
	}
}

static void finish(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;
	const struct recheck_counts *counts = &recheck->counts;

	recheck->running = false;
	log_line(broker, CONFIG_LOG_INFO,
		 "recheck%s: %" PRIu64 " good, %" PRIu64 " bad, %" PRIu64 " closed, %" PRIu64
		 " not kept, %" PRIu64 " unknown",
		 recheck->dry_run ? " (dry run)" : "", counts->good, counts->bad, counts->closed,
		 counts->not_kept, counts->unknown);
	if (recheck->client)
		admin_wake(recheck->client);
	recheck->client = NULL;
}

void recheck_go_on(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;

	if (!recheck->running || client_waits(recheck))
		return;
	for (;;) {
		if (TAILQ_EMPTY(&recheck->todo) && recheck->at < SESSION_BUCKETS)
			scan(broker);
		if (TAILQ_EMPTY(&recheck->todo) || !give_one(broker))
			break;
	}
	if (recheck->at >= SESSION_BUCKETS && TAILQ_EMPTY(&recheck->todo) &&
	    TAILQ_EMPTY(&recheck->sent))
		finish(broker);
}

/* --- the beginning and the end ---------------------------------------------------------------------- */

int recheck_begin(struct broker *broker, const struct admin_request *request,
		  struct admin_client *client)
{
	struct recheck *recheck = broker->recheck;

	if (recheck->running || !TAILQ_EMPTY(&recheck->sent))
		return -EBUSY;
	recheck->running = true;
	recheck->client = client;
	recheck->dry_run = request->dry_run;
	recheck->filter = request->filter;
	recheck->id = request->id;
	recheck->at = 0;
	recheck->total = request->id ? 1 : broker->sessions.n;
	recheck->told_ms = broker->loop.now_ms;
	recheck->counts = (struct recheck_counts){ 0 };
	return 0; /* the tick goes on */
}

void recheck_forget(struct broker *broker, const struct admin_client *client)
{
	struct recheck *recheck = broker->recheck;

	if (!recheck->running || recheck->client != client)
		return;
	recheck->running = false;
	recheck->client = NULL;
	while (!TAILQ_EMPTY(&recheck->todo))
		judge_free(&recheck->todo, TAILQ_FIRST(&recheck->todo));
}

static int begin_all(struct broker *broker)
{
	struct admin_request all = { 0 };

	filter_parse(&all.filter, NULL);
	return recheck_begin(broker, &all, NULL);
}

void crls_changed(struct broker *broker)
{
	broker->recheck->again = begin_all(broker) < 0;
}

/* Another one of all sessions follows where this one is not for all, or may close nothing. */
void recheck_late(struct broker *broker, const struct session *session)
{
	bool on_change = broker->config->crls.recheck == CONFIG_RECHECK_ON_CHANGE;
	struct recheck *recheck = broker->recheck;

	if (on_change && !recheck->again && begin_all(broker) == 0)
		recheck->at = SESSION_BUCKETS; /* all others were judged */
	else if (on_change && (!recheck->running || recheck->client))
		recheck->again = true;
	if (recheck->running && !recheck->id && recheck->at > session->id % SESSION_BUCKETS)
		consider(broker, session);
}

void recheck_tick(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;
	const struct recheck_counts *counts = &recheck->counts;

	if (recheck->again && !recheck->running)
		crls_changed(broker);
	if (!recheck->running)
		return;
	if (recheck->client && broker->loop.now_ms - recheck->told_ms >= PROGRESS_MS) {
		recheck->told_ms = broker->loop.now_ms;
		admin_recheck_progress(recheck->client,
				       counts->good + counts->bad + counts->not_kept +
					       counts->unknown,
				       recheck->total);
	}
	recheck_go_on(broker);
}

int recheck_open(struct broker *broker)
{
	broker->chains = calloc(1, sizeof(*broker->chains));
	broker->recheck = calloc(1, sizeof(*broker->recheck));
	if (!broker->chains || !broker->recheck)
		return -ENOMEM;
	TAILQ_INIT(&broker->recheck->todo);
	TAILQ_INIT(&broker->recheck->sent);
	return 0;
}

/* Sessions have ended by now, and their chains with them. */
void recheck_close(struct broker *broker)
{
	struct recheck *recheck = broker->recheck;

	while (recheck && !TAILQ_EMPTY(&recheck->todo))
		judge_free(&recheck->todo, TAILQ_FIRST(&recheck->todo));
	while (recheck && !TAILQ_EMPTY(&recheck->sent))
		judge_free(&recheck->sent, TAILQ_FIRST(&recheck->sent));
	free(recheck);
	free(broker->chains);
	broker->recheck = NULL;
	broker->chains = NULL;
}
