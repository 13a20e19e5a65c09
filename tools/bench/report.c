// SPDX-License-Identifier: Apache-2.0
/* What was measured, as text and as JSON (docs/bench.md has the schema). Called by bench.c. */
#include <errno.h>
#include <string.h>

#include "describe.h"
#include "load.h"

#define LIMIT_PERMILLE 950 /* of a thread's time: the client is what is measured then */

static const struct {
	const char *text, *json;
	uint64_t millis;
} quantiles[] = {
	{ "p50", "p50", 50000 },
	{ "p90", "p90", 90000 },
	{ "p99", "p99", 99000 },
	{ "p99.9", "p99_9", 99900 },
};

#define N_QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

static double per(double value, double of)
{
	return of > 0 ? value / of : 0;
}

bool report_client_limited(const struct result *result)
{
	return result->busiest_permille >= LIMIT_PERMILLE;
}

static const char *counted_from(const struct bench *bench)
{
	return bench->settings->rate ? "the intended start" : "its own start";
}

/* --- text */

static void text_errors(const struct result *result, FILE *out)
{
	int i;

	for (i = 0; i < result->n_kinds; i++)
		fprintf(out, "  %-34s %llu: %s\n", result->kinds[i].name,
			(unsigned long long)result->kinds[i].count, result->kinds[i].text);
}

static void text_latency(const struct bench *bench, const struct result *result, FILE *out)
{
	size_t i;

	if (!result->latency.count)
		return;
	fputs("latency    ", out);
	for (i = 0; i < N_QUANTILES; i++)
		fprintf(out, " %s %.3f ms,", quantiles[i].text,
			(double)hist_quantile(&result->latency, quantiles[i].millis) / NS_PER_MS);
	fprintf(out, " max %.3f ms; each from %s%s\n", (double)result->latency.max / NS_PER_MS,
		counted_from(bench),
		bench->settings->rate ? " (corrected for coordinated omission)"
				      : " (not corrected for coordinated omission)");
}

static void text_client(const struct result *result, FILE *out)
{
	fprintf(out, "client      %.2f s of processor time, busiest thread %.1f %%",
		(double)result->cpu_ns / NS_PER_S, (double)result->busiest_permille / 10);
	if (result->instructions_scope)
		fprintf(out, "; %.0f instructions for each operation (%s)\n",
			per((double)result->instructions, (double)result->ok),
			result->instructions_scope);
	else
		fputs("; instructions: not available\n", out);
	if (report_client_limited(result))
		fputs("warning: the client had no processor time to spare: this measures the client; "
		      "more --threads may help\n",
		      out);
}

static void text_memory(const struct bench *bench, const struct result *result, FILE *out)
{
	uint64_t memory = memory_per_conn(bench, result);

	if (memory)
		fprintf(out, "memory      %llu bytes of the client for each connection held\n",
			(unsigned long long)memory);
}

static void text_connection(const struct sluice_conn_info *info, FILE *out)
{
	if (info->version)
		fprintf(out, "connections %s, %s, %s; sending by %s, receiving by %s\n",
			info->version_name, info->suite_name,
			info->group ? info->group_name : "no key exchange group",
			sluice_path_name(info->tx.path), sluice_path_name(info->rx.path));
}

void report_text(const struct bench *bench, const struct result *result, double seconds, FILE *out)
{
	const struct bench_settings *settings = bench->settings;

	fprintf(out, "%s, %s, %lld connections, %lld threads, ", bench->target, settings->mode,
		(long long)settings->connections, (long long)settings->threads);
	if (settings->rate)
		fprintf(out, "open loop of %lld per second\n", (long long)settings->rate);
	else
		fputs("closed loop\n", out);
	text_connection(&result->info, out);
	fprintf(out, "operations  %llu in %.3f s, %.1f per second\n",
		(unsigned long long)result->ok, seconds, per((double)result->ok, seconds));
	fprintf(out, "handshakes  %llu full, %llu resumed\n", (unsigned long long)result->full,
		(unsigned long long)result->resumed);
	fprintf(out, "bytes       %llu received, %.2f MB/s; %llu sent, %.2f MB/s\n",
		(unsigned long long)result->bytes_in, per((double)result->bytes_in / 1e6, seconds),
		(unsigned long long)result->bytes_out,
		per((double)result->bytes_out / 1e6, seconds));
	text_latency(bench, result, out);
	text_client(result, out);
	text_memory(bench, result, out);
	if (result->unsent)
		fprintf(out,
			"warning: %llu operations were due and never begun: the latencies are "
			"too good\n",
			(unsigned long long)result->unsent);
	if (result->unfinished)
		fprintf(out, "unfinished  %llu operations at the end\n",
			(unsigned long long)result->unfinished);
	fprintf(out, "errors      %llu\n", (unsigned long long)result->errors);
	text_errors(result, out);
}

/* --- JSON */

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
	json_object_object_add(object, name, json_object_new_int64((int64_t)value));
}

static void add_real(struct json_object *object, const char *name, double value)
{
	json_object_object_add(object, name, json_object_new_double(value));
}

static void add_text(struct json_object *object, const char *name, const char *value)
{
	json_object_object_add(object, name, value ? json_object_new_string(value) : NULL);
}

static struct json_object *begin(struct json_object *parent, const char *name)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(parent, name, object);
	return object;
}

static void json_settings(struct json_object *root, const struct bench *bench)
{
	const struct bench_settings *settings = bench->settings;
	struct json_object *object = begin(root, "settings");

	add_text(object, "target", bench->target);
	add_text(object, "address", bench->address);
	add_text(object, "mode", settings->mode);
	add_text(object, "loop", settings->rate ? "open" : "closed");
	add_number(object, "rate", (uint64_t)settings->rate);
	add_number(object, "connections", (uint64_t)settings->connections);
	add_number(object, "threads", (uint64_t)settings->threads);
	json_object_object_add(object, "keep_alive", json_object_new_boolean(settings->keep_alive));
	add_number(object, "read_rate", (uint64_t)settings->read_rate);
	add_number(object, "ramp", (uint64_t)settings->ramp);
	add_number(object, "warm_up", (uint64_t)settings->warm_up);
}

static void json_connection(struct json_object *root, const struct sluice_conn_info *info)
{
	struct json_object *object;

	if (!info->version) {
		json_object_object_add(root, "connection", NULL);
		return;
	}
	object = begin(root, "connection");
	add_text(object, "version", info->version_name);
	add_text(object, "suite", info->suite_name);
	add_text(object, "group", info->group ? info->group_name : NULL);
	add_text(object, "tx_path", sluice_path_name(info->tx.path));
	add_text(object, "rx_path", sluice_path_name(info->rx.path));
}

static void json_counts(struct json_object *root, const struct result *result, double seconds)
{
	struct json_object *object = begin(root, "operations");

	add_number(object, "ok", result->ok);
	add_number(object, "failed", result->failed);
	add_number(object, "unfinished", result->unfinished);
	add_number(object, "unsent", result->unsent);
	add_number(object, "warm_up", result->warm_up_ops);
	add_real(object, "per_second", per((double)result->ok, seconds));
	object = begin(root, "handshakes");
	add_number(object, "full", result->full);
	add_number(object, "resumed", result->resumed);
	object = begin(root, "bytes");
	add_number(object, "received", result->bytes_in);
	add_number(object, "sent", result->bytes_out);
	add_real(object, "received_per_second", per((double)result->bytes_in, seconds));
	add_real(object, "sent_per_second", per((double)result->bytes_out, seconds));
}

static void json_histogram(struct json_object *object, const struct hist *hist)
{
	struct json_object *list = json_object_new_array(), *pair;
	unsigned int i;

	for (i = 0; i < HIST_BUCKETS; i++) {
		if (!hist->buckets[i])
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_int64((int64_t)hist_bound(i)));
		json_object_array_add(pair, json_object_new_int64((int64_t)hist->buckets[i]));
		json_object_array_add(list, pair);
	}
	json_object_object_add(object, "buckets", list);
}

static void json_latency(struct json_object *root, const struct bench *bench,
			 const struct hist *hist)
{
	struct json_object *object = begin(root, "latency_ns");
	size_t i;

	add_text(object, "from", bench->settings->rate ? "intended_start" : "own_start");
	json_object_object_add(object, "corrected_for_coordinated_omission",
			       json_object_new_boolean(bench->settings->rate != 0));
	add_real(object, "error_bound", 1.0 / HIST_SUB);
	add_number(object, "count", hist->count);
	add_number(object, "min", hist->count ? hist->min : 0);
	add_real(object, "mean", per((double)hist->sum, (double)hist->count));
	for (i = 0; i < N_QUANTILES; i++)
		add_number(object, quantiles[i].json, hist_quantile(hist, quantiles[i].millis));
	add_number(object, "max", hist->count ? hist->max : 0);
	json_histogram(object, hist);
}

static void json_errors(struct json_object *root, const struct result *result)
{
	struct json_object *object = begin(root, "errors"), *list = json_object_new_array(), *kind;
	int i;

	add_number(object, "total", result->errors);
	json_object_object_add(object, "kinds", list);
	for (i = 0; i < result->n_kinds; i++) {
		kind = json_object_new_object();
		add_text(kind, "name", result->kinds[i].name);
		add_number(kind, "count", result->kinds[i].count);
		add_text(kind, "text", result->kinds[i].text);
		json_object_array_add(list, kind);
	}
}

static void json_client(struct json_object *root, const struct bench *bench,
			const struct result *result)
{
	uint64_t memory = memory_per_conn(bench, result);
	struct json_object *object = begin(root, "client");
	double bytes = (double)(result->bytes_in + result->bytes_out);
	bool known = result->instructions_scope != NULL;

	add_real(object, "cpu_seconds", (double)result->cpu_ns / NS_PER_S);
	add_real(object, "busiest_thread", (double)result->busiest_permille / 1000);
	json_object_object_add(object, "limited",
			       json_object_new_boolean(report_client_limited(result)));
	add_text(object, "instructions_scope", result->instructions_scope);
	json_object_object_add(object, "instructions",
			       known ? json_object_new_int64((int64_t)result->instructions) : NULL);
	json_object_object_add(
		object, "instructions_per_operation",
		known && result->ok
			? json_object_new_double((double)result->instructions / (double)result->ok)
			: NULL);
	json_object_object_add(
		object, "instructions_per_byte",
		known && bytes > 0 ? json_object_new_double((double)result->instructions / bytes)
				   : NULL);
	json_object_object_add(object, "memory_per_connection",
			       memory ? json_object_new_int64((int64_t)memory) : NULL);
}

size_t report_series(const struct result *result, double seconds, struct sample *ret_samples,
		     double *ret_interval)
{
	size_t n = (size_t)(seconds * NS_PER_S / SERIES_NS), group, i;

	if (n > result->n_series)
		n = result->n_series;
	group = n / REPORT_POINTS + 1;
	*ret_interval = (double)(group * SERIES_NS) / NS_PER_S;
	memset(ret_samples, 0, REPORT_POINTS * sizeof(*ret_samples));
	for (i = 0; i < n / group * group; i++) {
		ret_samples[i / group].ops += result->series[i].ops;
		ret_samples[i / group].bytes += result->series[i].bytes;
	}
	return n / group;
}

static void json_series(struct json_object *root, const struct result *result, double seconds)
{
	struct json_object *object = begin(root, "series"), *ops = json_object_new_array(),
			   *bytes = json_object_new_array();
	struct sample samples[REPORT_POINTS];
	double interval;
	size_t i, n;

	n = report_series(result, seconds, samples, &interval);
	for (i = 0; i < n; i++) {
		json_object_array_add(ops, json_object_new_int64((int64_t)samples[i].ops));
		json_object_array_add(bytes, json_object_new_int64((int64_t)samples[i].bytes));
	}
	add_real(object, "interval", interval);
	json_object_object_add(object, "operations", ops);
	json_object_object_add(object, "bytes", bytes);
}

static void json_versions(struct json_object *root)
{
	struct json_object *object = begin(root, "versions");
	struct sluice_versions versions;

	sluice_versions(&versions, sizeof(versions));
	add_text(object, "sluice", versions.sluice);
	add_text(object, "boringssl", versions.boringssl);
	add_text(object, "kernel", versions.kernel);
}

FILE *report_open(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		fprintf(stderr, "sluice bench: cannot write '%s': %s\n", path, strerror(errno));
	return file;
}

int report_close(FILE *file, const char *path)
{
	bool failed = ferror(file);

	if (fclose(file) == 0 && !failed)
		return 0;
	fprintf(stderr, "sluice bench: cannot write '%s'\n", path);
	return -SLUICE_E_FILE;
}

int report_json(const struct bench *bench, const struct result *result, double seconds,
		const char *path)
{
	bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdout : report_open(path);
	struct json_object *root;

	if (!file)
		return -SLUICE_E_FILE;
	root = json_object_new_object();
	add_text(root, "schema", "sluice-bench/1");
	json_versions(root);
	json_settings(root, bench);
	json_connection(root, &result->info);
	add_real(root, "seconds", seconds);
	json_counts(root, result, seconds);
	json_latency(root, bench, &result->latency);
	json_errors(root, result);
	json_client(root, bench, result);
	json_series(root, result, seconds);
	describe_print(root, file);
	if (standard)
		return fflush(file) == 0 ? 0 : -SLUICE_E_FILE;
	return report_close(file, path);
}
