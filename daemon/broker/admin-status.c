// SPDX-License-Identifier: Apache-2.0
/* Answers about the daemon itself: its state, its workers and listeners. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <sluice/sluice.h>

#include "broker/admin.h"

static const char *state_of(const struct broker *broker)
{
	if (broker->stopping)
		return "stopping";
	if (broker->draining)
		return "draining";
	return broker->accepting ? "serving" : "paused";
}

bool admin_status(struct admin_client *client)
{
	const struct broker *broker = client->broker;
	struct json_object *row = json_object_new_object();
	size_t i, queued = 0, workers = 0;
	char name[ADMIN_REFUSED_LEN];
	enum end end;

	for (i = 0; i < broker->n_pools; i++) {
		queued += broker->pools[i].n_queued;
		workers += pool_workers(&broker->pools[i]);
	}
	put_text(row, "version", SLUICE_VERSION);
	put_text(row, "state", state_of(broker));
	put_number(row, "pid", (uint64_t)getpid());
	put_number(row, "uptime_ms", broker->loop.now_ms - broker->started_ms);
	put_text(row, "config", broker->config_path);
	put_text(row, "log_level", admin_level_name(broker->config->log.level));
	put_number(row, "sessions", broker->sessions.n);
	put_number(row, "handshakes", broker->in_progress);
	put_number(row, "handshakes_limit", broker->config->limits.handshakes);
	put_number(row, "queued", queued);
	put_number(row, "workers", workers);
	put_number(row, "pools", broker->n_pools);
	put_number(row, "listeners", broker->config->n_listeners);
	put_number(row, "handshakers", broker->n_handshakers);
	put_bool(row, "live_counts", broker->diag);
	for (end = END_NONE + 1; end <= END_LAST_REFUSAL; end++)
		put_number(row, admin_refused_name(name, end), metrics_refused(broker, end));
	admin_row(client, row);
	admin_done(client, NULL);
	return true;
}

static void worker_row(struct admin_client *client, const struct worker *worker)
{
	struct json_object *row = json_object_new_object();
	const char *state = "attached";

	if (!worker->attached)
		state = "attaching";
	else if (worker->draining)
		state = "draining";
	put_number(row, "worker", worker->number);
	put_text(row, "pool", worker->pool->config->name);
	put_text(row, "state", state);
	put_number(row, "pid", (uint64_t)worker->pid);
	put_number(row, "uid", worker->uid);
	put_number(row, "sessions", worker->n_sessions);
	put_number(row, "credits", worker->credits);
	put_number(row, "rekeys", worker->rekeys);
	admin_row(client, row);
}

bool admin_workers(struct admin_client *client)
{
	const struct broker *broker = client->broker;
	const struct worker *worker;
	size_t i = client->job.at++;

	if (i < broker->n_pools) {
		LIST_FOREACH(worker, &broker->pools[i].workers, in_pool)
		worker_row(client, worker);
		return false;
	}
	admin_done(client, NULL);
	return true;
}

static void listener_row(struct admin_client *client, size_t i)
{
	const struct broker *broker = client->broker;
	const struct config_listener *config = &broker->config->listeners[i];
	struct json_object *row = json_object_new_object();
	bool open = i < broker->n_listeners;
	const char *state = "closed";
	char address[80];

	if (open)
		state = broker->accepting ? "accepting" : "paused";
	snprintf(address, sizeof(address),
		 config->host && strchr(config->host, ':') ? "[%s]:%u" : "%s:%u",
		 config->host ? config->host : "", config->port);
	put_text(row, "listener", config->name);
	put_text(row, "address", address);
	put_text(row, "state", state);
	put_text(row, "profile", broker->config->profiles[config->profile].name);
	put_text(row, "pool", broker->config->pools[config->pool].name);
	put_number(row, "routes", config->n_routes);
	put_number(row, "backlog", config->backlog);
	put_number(row, "accepted", broker->metrics.listeners[i].accepted);
	admin_row(client, row);
}

bool admin_listeners(struct admin_client *client)
{
	size_t i = client->job.at++;

	if (i < client->broker->config->n_listeners) {
		listener_row(client, i);
		return false;
	}
	admin_done(client, NULL);
	return true;
}
