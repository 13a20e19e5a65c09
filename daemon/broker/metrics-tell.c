// SPDX-License-Identifier: Apache-2.0
/* The families: their names, what they mean, and where their numbers are. */
#include <sluice/sluice.h>

#include "broker/broker.h"
#include "broker/crls.h"
#include "broker/recheck.h"
#include "record/suite.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char *const directions[METRICS_DIRECTIONS] = { "rx", "tx" };

/* --- one sample, or one for each word of a list --------------------------------------------------- */

static void one(struct telling *telling, const struct family *family, uint64_t value)
{
	telling->number(telling, family, NULL, 0, value);
}

static void labelled(struct telling *telling, const struct family *family, const char *name,
		     const char *word, uint64_t value)
{
	const struct metric_label label = { name, word };

	telling->number(telling, family, &label, 1, value);
}

static void listener_one(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family, uint64_t value)
{
	labelled(telling, family, "listener", broker->config->listeners[i].name, value);
}

static void pool_one(const struct broker *broker, size_t i, struct telling *telling,
		     const struct family *family, uint64_t value)
{
	labelled(telling, family, "pool", broker->config->pools[i].name, value);
}

/* Only what has happened: there are many words, and few of them are ever said. */
static void by_end(struct telling *telling, const struct family *family, const char *of,
		   const char *name, const struct ends_count *count)
{
	struct metric_label labels[] = { { of, name }, { "reason", NULL } };
	int i;

	for (i = 0; i < ENDS; i++) {
		labels[1].value = end_name((enum end)i, 0);
		if (i != END_ERROR && count->ends[i])
			telling->number(telling, family, labels, 2, count->ends[i]);
	}
	for (i = 1; i < METRICS_ERRORS; i++) {
		labels[1].value = end_name(END_ERROR, i);
		if (count->errors[i])
			telling->number(telling, family, labels, 2, count->errors[i]);
	}
}

/* --- the daemon ----------------------------------------------------------------------------------- */

static void tell_build(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	labelled(telling, family, "version", SLUICE_VERSION, 1);
}

static void tell_start(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	one(telling, family, broker->started_unix);
}

static void tell_in_progress(const struct broker *broker, size_t i, struct telling *telling,
			     const struct family *family)
{
	one(telling, family, broker->in_progress);
}

static void tell_limit(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	one(telling, family, broker->config->limits.handshakes);
}

static void tell_sessions(const struct broker *broker, size_t i, struct telling *telling,
			  const struct family *family)
{
	uint64_t queued = 0, live = 0, held;
	size_t n;

	for (n = 0; n < broker->n_pools; n++) {
		queued += broker->pools[n].n_queued;
		live += broker->metrics.pools[n].live;
	}
	held = queued + broker->n_answers; /* these are live */
	labelled(telling, family, "state", "handshake", broker->in_progress);
	labelled(telling, family, "state", "queued", queued);
	labelled(telling, family, "state", "offered",
		 broker->n_held > held ? broker->n_held - held : 0);
	labelled(telling, family, "state", "live", live);
}

static void tell_paths(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	struct metric_label labels[] = { { "direction", NULL }, { "path", NULL } };
	int dir, path;

	for (dir = 0; dir < METRICS_DIRECTIONS; dir++)
		for (path = SLUICE_PATH_KERNEL; path <= SLUICE_PATH_USER; path++) {
			labels[0].value = directions[dir];
			labels[1].value = sluice_path_name(path);
			telling->number(telling, family, labels, 2,
					broker->metrics.live[dir][path]);
		}
}

static void tell_total(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	telling->histogram(telling, family, NULL, 0, &broker->metrics.total);
}

static void tell_stages(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	const struct metrics *metrics = &broker->metrics;
	const struct {
		const char *stage;
		const struct histogram *histogram;
	} stages[] = {
		{ "queue", &metrics->queue },       { "network", &metrics->network },
		{ "sign", &metrics->sign },         { "verify", &metrics->verify },
		{ "handover", &metrics->handover },
	};
	struct metric_label label = { "stage", NULL };
	size_t n;

	for (n = 0; n < ARRAY_LEN(stages); n++) {
		label.value = stages[n].stage;
		telling->histogram(telling, family, &label, 1, stages[n].histogram);
	}
}

static void tell_suites(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	struct metric_label labels[] = { { "version", NULL },
					 { "suite", NULL },
					 { "resumed", NULL } };
	const struct suite *suite;
	size_t n;
	int resumed;

	for (n = 0; n < METRICS_SUITES && (suite = suite_at(n)); n++)
		for (resumed = 0; resumed < 2; resumed++) {
			labels[0].value = suite->version == TLS13 ? "TLSv1.3" : "TLSv1.2";
			labels[1].value = suite->name;
			labels[2].value = resumed ? "yes" : "no";
			if (broker->metrics.suites[n][resumed])
				telling->number(telling, family, labels, 3,
						broker->metrics.suites[n][resumed]);
		}
}

static void by_direction(struct telling *telling, const struct family *family,
			 const uint64_t values[METRICS_DIRECTIONS])
{
	labelled(telling, family, "direction", directions[METRICS_RX], values[METRICS_RX]);
	labelled(telling, family, "direction", directions[METRICS_TX], values[METRICS_TX]);
}

static void tell_rekeys(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	by_direction(telling, family, broker->metrics.rekeys);
}

static void tell_bytes(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	by_direction(telling, family, broker->metrics.bytes);
}

static void tell_crashes(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	labelled(telling, family, "process", "handshaker", broker->stats.handshaker_crashes);
	labelled(telling, family, "process", "keeper", broker->stats.keeper_crashes);
	labelled(telling, family, "process", "metrics", broker->metrics.crashes);
	labelled(telling, family, "process", "fetch", broker->fetch.crashes);
}

static void tell_plain(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	one(telling, family, broker->stats.plain);
}

static void tell_slowed(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	one(telling, family, broker->stats.rekeys_slowed);
}

static void tell_keys(const struct broker *broker, size_t i, struct telling *telling,
		      const struct family *family)
{
	one(telling, family, broker->keeper.keys);
}

static void tell_crls(const struct broker *broker, size_t i, struct telling *telling,
		      const struct family *family)
{
	one(telling, family, broker->crls->set.n_rows);
}

static void tell_crls_expired(const struct broker *broker, size_t i, struct telling *telling,
			      const struct family *family)
{
	one(telling, family, broker->crls->n_expired);
}

static void tell_crls_next(const struct broker *broker, size_t i, struct telling *telling,
			   const struct family *family)
{
	if (broker->crls->nearest_s)
		one(telling, family, (uint64_t)broker->crls->nearest_s);
}

static void tell_fetches(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	struct metric_label labels[] = { { "of", NULL }, { "result", NULL } };
	enum fetch_for what;

	for (what = 0; what < FETCH_FORS; what++) {
		labels[0].value = fetch_for_name(what);
		labels[1].value = "good";
		telling->number(telling, family, labels, 2, broker->fetch.good[what]);
		labels[1].value = "failed";
		telling->number(telling, family, labels, 2, broker->fetch.bad[what]);
	}
}

static void tell_failing(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	enum fetch_for what;

	for (what = 0; what < FETCH_FORS; what++)
		labelled(telling, family, "of", fetch_for_name(what), broker->fetch.failing[what]);
}

static void tell_staples(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	uint64_t n[STAPLE_STATES] = { 0 };
	const struct fetched *fetched;
	enum staple_state state;

	TAILQ_FOREACH(fetched, &broker->staples.all, all)
	n[staple_state(fetched)]++;
	for (state = 0; state < STAPLE_STATES; state++)
		labelled(telling, family, "state", staple_state_name(state), n[state]);
}

static void tell_staples_oldest(const struct broker *broker, size_t i, struct telling *telling,
				const struct family *family)
{
	const struct fetched *fetched;
	int64_t oldest_s = 0;

	TAILQ_FOREACH(fetched, &broker->staples.all, all)
	if (fetched->der && (!oldest_s || fetched->this_s < oldest_s))
		oldest_s = fetched->this_s;
	if (oldest_s)
		one(telling, family, (uint64_t)oldest_s);
}

static void tell_staples_next(const struct broker *broker, size_t i, struct telling *telling,
			      const struct family *family)
{
	const struct fetched *fetched;
	int64_t next_s = 0;

	TAILQ_FOREACH(fetched, &broker->staples.all, all)
	if (staple_state(fetched) == STAPLE_GOOD && (!next_s || fetched->next_s < next_s))
		next_s = fetched->next_s;
	if (next_s)
		one(telling, family, (uint64_t)next_s);
}

static void tell_chains(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	one(telling, family, broker->chains->bytes);
}

static void tell_pauses(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	static const char *const words[PAUSES] = { "descriptors", "memory", "handshakers" };
	int n;

	for (n = 0; n < PAUSES; n++)
		labelled(telling, family, "reason", words[n], broker->metrics.pauses[n]);
}

static void tell_reloads(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	labelled(telling, family, "result", "taken", broker->stats.reloads);
	labelled(telling, family, "result", "refused", broker->stats.reloads_refused);
}

static void tell_dropped(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	labelled(telling, family, "reason", "rate", log_dropped(LOG_LOSS_RATE));
	labelled(telling, family, "reason", "blocked", log_dropped(LOG_LOSS_BLOCKED));
}

/* --- listeners and pools -------------------------------------------------------------------------- */

static void tell_accepted(const struct broker *broker, size_t i, struct telling *telling,
			  const struct family *family)
{
	listener_one(broker, i, telling, family, broker->metrics.listeners[i].accepted);
}

static void tell_refused(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	by_end(telling, family, "listener", broker->config->listeners[i].name,
	       &broker->metrics.listeners[i].refused);
}

static void tell_failed(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	by_end(telling, family, "listener", broker->config->listeners[i].name,
	       &broker->metrics.listeners[i].failed);
}

static void tell_ended(const struct broker *broker, size_t i, struct telling *telling,
		       const struct family *family)
{
	by_end(telling, family, "pool", broker->config->pools[i].name,
	       &broker->metrics.pools[i].ended);
}

static void tell_live(const struct broker *broker, size_t i, struct telling *telling,
		      const struct family *family)
{
	pool_one(broker, i, telling, family, broker->metrics.pools[i].live);
}

static void tell_queued(const struct broker *broker, size_t i, struct telling *telling,
			const struct family *family)
{
	pool_one(broker, i, telling, family, broker->pools[i].n_queued);
}

static void tell_workers(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	const struct worker *worker;
	uint64_t n = 0;

	LIST_FOREACH(worker, &broker->pools[i].workers, in_pool)
	n += worker->attached;
	pool_one(broker, i, telling, family, n);
}

static void tell_credits(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	const struct worker *worker;
	uint64_t n = 0;

	LIST_FOREACH(worker, &broker->pools[i].workers, in_pool)
	n += worker->draining ? 0 : worker->credits;
	pool_one(broker, i, telling, family, n);
}

static void tell_handed_over(const struct broker *broker, size_t i, struct telling *telling,
			     const struct family *family)
{
	pool_one(broker, i, telling, family, broker->pools[i].handed_over);
}

static void tell_requeued(const struct broker *broker, size_t i, struct telling *telling,
			  const struct family *family)
{
	pool_one(broker, i, telling, family, broker->pools[i].requeued);
}

/* --- services ------------------------------------------------------------------------------------- */

static void tell_brought(const struct broker *broker, size_t i, struct telling *telling,
			 const struct family *family)
{
	const struct config_pool *service = &broker->config->pools[i];

	if (service->is_service)
		labelled(telling, family, "service", service->name,
			 broker->metrics.pools[i].brought);
}

static void tell_brought_refused(const struct broker *broker, size_t i, struct telling *telling,
				 const struct family *family)
{
	by_end(telling, family, "service", broker->config->pools[i].name,
	       &broker->metrics.pools[i].refused);
}

static void tell_brought_failed(const struct broker *broker, size_t i, struct telling *telling,
				const struct family *family)
{
	by_end(telling, family, "service", broker->config->pools[i].name,
	       &broker->metrics.pools[i].failed);
}

/* --- the table ------------------------------------------------------------------------------------ */

static const struct family families[] = {
	{ "sluiced_build", METRIC_INFO, "", "The version of sluiced.", OF_DAEMON, tell_build },
	{ "sluiced_start_time_seconds", METRIC_GAUGE, "seconds",
	  "When it was started, in Unix time.", OF_DAEMON, tell_start },
	{ "sluiced_handshakes_in_progress", METRIC_GAUGE, "", "Handshakes under way.", OF_DAEMON,
	  tell_in_progress },
	{ "sluiced_handshakes_limit", METRIC_GAUGE, "",
	  "Handshakes that may be under way at once (limits: handshakes).", OF_DAEMON, tell_limit },
	{ "sluiced_sessions", METRIC_GAUGE, "", "Sessions by state.", OF_DAEMON, tell_sessions },
	{ "sluiced_session_paths", METRIC_GAUGE, "",
	  "Directions of live sessions by who makes their records.", OF_DAEMON, tell_paths },
	{ "sluiced_handshake_seconds", METRIC_HISTOGRAM, "seconds",
	  "From accept to established, of handshakes that were.", OF_DAEMON, tell_total },
	{ "sluiced_handshake_stage_seconds", METRIC_HISTOGRAM, "seconds",
	  "Where that time went: waiting for a handshaker, the peer, the keeper; judging the "
	  "peer's chain; and from there to the worker's acknowledgement.",
	  OF_DAEMON, tell_stages },
	{ "sluiced_handshakes", METRIC_COUNTER, "", "Handshakes by what was agreed on.", OF_DAEMON,
	  tell_suites },
	{ "sluiced_rekeys", METRIC_COUNTER, "",
	  "New keys of sessions: on the kernel path when they are made, else when the session ends.",
	  OF_DAEMON, tell_rekeys },
	{ "sluiced_rekeys_slowed", METRIC_COUNTER, "",
	  "How often a worker asked for more new keys than it may at once.", OF_DAEMON,
	  tell_slowed },
	{ "sluiced_session_bytes", METRIC_COUNTER, "bytes",
	  "Bytes of sessions that have ended, as the kernel or the worker told.", OF_DAEMON,
	  tell_bytes },
	{ "sluiced_process_crashes", METRIC_COUNTER, "", "Processes that ended by themselves.",
	  OF_DAEMON, tell_crashes },
	{ "sluiced_keeper_keys", METRIC_GAUGE, "", "Private keys that the keeper has.", OF_DAEMON,
	  tell_keys },
	{ "sluiced_crls", METRIC_GAUGE, "", "Revocation lists in force.", OF_DAEMON, tell_crls },
	{ "sluiced_crls_expired", METRIC_GAUGE, "",
	  "Of these, whose next update is over: they prove nothing.", OF_DAEMON,
	  tell_crls_expired },
	{ "sluiced_crls_next_update_seconds", METRIC_GAUGE, "seconds",
	  "When the first of the others ends, since the epoch.", OF_DAEMON, tell_crls_next },
	{ "sluiced_fetches", METRIC_COUNTER, "",
	  "Fetches of revocation lists and OCSP responses that ended; what has not changed is good.",
	  OF_DAEMON, tell_fetches },
	{ "sluiced_fetches_failing", METRIC_GAUGE, "", "URLs whose last fetch failed.", OF_DAEMON,
	  tell_failing },
	{ "sluiced_staples", METRIC_GAUGE, "",
	  "Certificates whose OCSP response is fetched, by whether there is one.", OF_DAEMON,
	  tell_staples },
	{ "sluiced_staples_oldest_seconds", METRIC_GAUGE, "seconds",
	  "When the oldest of these responses was made, since the epoch.", OF_DAEMON,
	  tell_staples_oldest },
	{ "sluiced_staples_next_update_seconds", METRIC_GAUGE, "seconds",
	  "When the first of them ends that has not ended, since the epoch.", OF_DAEMON,
	  tell_staples_next },
	{ "sluiced_peer_chains_bytes", METRIC_GAUGE, "bytes",
	  "Certificates of peers that are kept for a recheck.", OF_DAEMON, tell_chains },
	{ "sluiced_accept_pauses", METRIC_COUNTER, "",
	  "How often accepting paused, and for want of what.", OF_DAEMON, tell_pauses },
	{ "sluiced_reloads", METRIC_COUNTER, "", "Configurations that were read again.", OF_DAEMON,
	  tell_reloads },
	{ "sluiced_log_lines_dropped", METRIC_COUNTER, "",
	  "Lines of the log that were too many, or that nobody took.", OF_DAEMON, tell_dropped },
	{ "sluiced_connections_plain", METRIC_COUNTER, "",
	  "Connections that did not begin with TLS, and went to a pool without it.", OF_DAEMON,
	  tell_plain },
	{ "sluiced_connections", METRIC_COUNTER, "", "Connections accepted.", OF_LISTENER,
	  tell_accepted },
	{ "sluiced_connections_refused", METRIC_COUNTER, "",
	  "Connections closed before a handshake began, by why.", OF_LISTENER, tell_refused },
	{ "sluiced_handshakes_failed", METRIC_COUNTER, "",
	  "Handshakes that failed, by the name of the error.", OF_LISTENER, tell_failed },
	{ "sluiced_upgrades", METRIC_COUNTER, "", "Connections that programs brought.", OF_POOL,
	  tell_brought },
	{ "sluiced_upgrades_refused", METRIC_COUNTER, "",
	  "Of these, those refused before a handshake began, by why.", OF_POOL,
	  tell_brought_refused },
	{ "sluiced_upgrades_failed", METRIC_COUNTER, "",
	  "Of these, those whose handshake failed, by the name of the error.", OF_POOL,
	  tell_brought_failed },
	{ "sluiced_pool_sessions", METRIC_GAUGE, "", "Sessions that workers have.", OF_POOL,
	  tell_live },
	{ "sluiced_pool_queued", METRIC_GAUGE, "", "Sessions that wait for a worker.", OF_POOL,
	  tell_queued },
	{ "sluiced_pool_workers", METRIC_GAUGE, "", "Workers attached.", OF_POOL, tell_workers },
	{ "sluiced_pool_credits", METRIC_GAUGE, "", "Sessions for which workers have room.",
	  OF_POOL, tell_credits },
	{ "sluiced_sessions_handed_over", METRIC_COUNTER, "", "Sessions that a worker took.",
	  OF_POOL, tell_handed_over },
	{ "sluiced_sessions_requeued", METRIC_COUNTER, "",
	  "Sessions that were on their way to a worker that died.", OF_POOL, tell_requeued },
	{ "sluiced_sessions_ended", METRIC_COUNTER, "", "Established sessions that ended.", OF_POOL,
	  tell_ended },
};

const struct family *family_at(size_t i)
{
	return i < ARRAY_LEN(families) ? &families[i] : NULL;
}

/* While the daemon ends there are no pools any more. */
size_t family_items(const struct broker *broker, const struct family *family)
{
	if (family->of == OF_DAEMON)
		return 1;
	return family->of == OF_LISTENER ? broker->config->n_listeners : broker->n_pools;
}

/* --- as text -------------------------------------------------------------------------------------- */

struct text_telling {
	struct telling telling;
	struct openmetrics *out;
};

static void write_number(struct telling *telling, const struct family *family,
			 const struct metric_label *labels, size_t n_labels, uint64_t value)
{
	openmetrics_number(((struct text_telling *)telling)->out, family->name, family->type,
			   labels, n_labels, value);
}

static void write_histogram(struct telling *telling, const struct family *family,
			    const struct metric_label *labels, size_t n_labels,
			    const struct histogram *histogram)
{
	openmetrics_histogram(((struct text_telling *)telling)->out, family->name, labels, n_labels,
			      histogram);
}

void metrics_write(const struct broker *broker, struct openmetrics *out)
{
	struct text_telling telling = { { write_number, write_histogram }, out };
	const struct family *family;
	size_t f, i;

	for (f = 0; (family = family_at(f)) && !out->failed; f++) {
		openmetrics_family(out, family->name, family->type, family->unit, family->help);
		for (i = 0; i < family_items(broker, family) && !out->failed; i++)
			family->tell(broker, i, &telling.telling, family);
	}
	openmetrics_end(out);
}
