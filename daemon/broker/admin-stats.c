// SPDX-License-Identifier: Apache-2.0
/*
 * What was counted: the daemon's own, that of its pools, and then every family of metrics.h, whose scope
 * is its name and whose names are its labels.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/admin.h"

#define PREFIX "sluiced_"
#define NAME_LEN 256

static void stat_row(struct admin_client *client, const char *scope, const char *name,
		     uint64_t value)
{
	struct json_object *row = json_object_new_object();

	put_text(row, "scope", scope);
	put_text(row, "name", name);
	put_number(row, "value", value);
	admin_row(client, row);
}

static void pool_stats(struct admin_client *client, const struct pool *pool)
{
	char scope[80];

	snprintf(scope, sizeof(scope), "pool:%s", pool->config->name);
	stat_row(client, scope, "queued", pool->n_queued);
	stat_row(client, scope, "handed_over", pool->handed_over);
	stat_row(client, scope, "timed_out", pool->timed_out);
	stat_row(client, scope, "requeued", pool->requeued);
}

const char *admin_refused_name(char out[ADMIN_REFUSED_LEN], enum end end)
{
	snprintf(out, ADMIN_REFUSED_LEN, "refused_%s", end_name(end, 0));
	return out;
}

static void daemon_stats(struct admin_client *client)
{
	const struct broker *broker = client->broker;
	const struct stats *stats = &broker->stats;
	char name[ADMIN_REFUSED_LEN];
	enum end end;

	stat_row(client, "daemon", "accepted", stats->accepted);
	stat_row(client, "daemon", "established", stats->established);
	stat_row(client, "daemon", "plain", stats->plain);
	stat_row(client, "daemon", "failed", stats->failed);
	stat_row(client, "daemon", "ended", stats->ended);
	for (end = END_NONE + 1; end <= END_LAST_REFUSAL; end++)
		stat_row(client, "daemon", admin_refused_name(name, end),
			 metrics_refused(broker, end));
	stat_row(client, "daemon", "rekeys", stats->rekeys);
	stat_row(client, "daemon", "rekeys_slowed", stats->rekeys_slowed);
	stat_row(client, "daemon", "accept_paused", stats->accept_paused);
	stat_row(client, "daemon", "handshaker_crashes", stats->handshaker_crashes);
	stat_row(client, "daemon", "keeper_crashes", stats->keeper_crashes);
	stat_row(client, "daemon", "keeper_keys", broker->keeper.keys);
	stat_row(client, "daemon", "reloads", stats->reloads);
	stat_row(client, "daemon", "reloads_refused", stats->reloads_refused);
	stat_row(client, "daemon", "log_lines_dropped_rate", log_dropped(LOG_LOSS_RATE));
	stat_row(client, "daemon", "log_lines_dropped_blocked", log_dropped(LOG_LOSS_BLOCKED));
}

/* --- families ------------------------------------------------------------------------------------- */

struct row_telling {
	struct telling telling;
	struct admin_client *client;
};

/* "listener=https,reason=SLUICE_E_ALERT"; where there are no labels, @what. */
static const char *name_of(char out[NAME_LEN], const struct metric_label *labels, size_t n_labels,
			   const char *what)
{
	size_t i, len = 0;

	*out = '\0';
	for (i = 0; i < n_labels && len < NAME_LEN; i++)
		len += (size_t)snprintf(out + len, NAME_LEN - len, "%s%s=%s", i ? "," : "",
					labels[i].name, labels[i].value);
	if (what && len < NAME_LEN)
		snprintf(out + len, NAME_LEN - len, "%s%s", len ? "," : "", what);
	return out;
}

static void tell_number(struct telling *telling, const struct family *family,
			const struct metric_label *labels, size_t n_labels, uint64_t value)
{
	char name[NAME_LEN];

	stat_row(((struct row_telling *)telling)->client, family->name + strlen(PREFIX),
		 name_of(name, labels, n_labels, n_labels ? NULL : "value"), value);
}

/* The quantiles are bounds of buckets: so long at most. */
static void tell_histogram(struct telling *telling, const struct family *family,
			   const struct metric_label *labels, size_t n_labels,
			   const struct histogram *histogram)
{
	static const struct {
		const char *name;
		unsigned int percent;
	} quantiles[] = { { "p50_us", 50 }, { "p90_us", 90 }, { "p99_us", 99 } };
	struct admin_client *client = ((struct row_telling *)telling)->client;
	const char *scope = family->name + strlen(PREFIX);
	char name[NAME_LEN];
	size_t i;

	stat_row(client, scope, name_of(name, labels, n_labels, "count"), histogram->count);
	stat_row(client, scope, name_of(name, labels, n_labels, "sum_us"), histogram->sum_us);
	for (i = 0; histogram->count && i < sizeof(quantiles) / sizeof(quantiles[0]); i++)
		stat_row(client, scope, name_of(name, labels, n_labels, quantiles[i].name),
			 histogram_quantile(histogram, quantiles[i].percent));
}

/* One item of one family. Returns false when there are no more. */
static bool tell_item(struct admin_client *client, size_t at)
{
	struct row_telling telling = { { tell_number, tell_histogram }, client };
	const struct broker *broker = client->broker;
	const struct family *family;
	size_t f, n;

	for (f = 0; (family = family_at(f)); f++) {
		n = family_items(broker, family);
		if (at < n) {
			family->tell(broker, at, &telling.telling, family);
			return true;
		}
		at -= n;
	}
	return false;
}

/* The daemon's own, then one pool at a time, then one item of a family. */
bool admin_stats(struct admin_client *client)
{
	const struct broker *broker = client->broker;
	size_t i = client->job.at++;

	if (i == 0) {
		daemon_stats(client);
	} else if (i <= broker->n_pools) {
		pool_stats(client, &broker->pools[i - 1]);
	} else if (!tell_item(client, i - 1 - broker->n_pools)) {
		admin_done(client, NULL);
		return true;
	}
	return false;
}
