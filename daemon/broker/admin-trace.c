// SPDX-License-Identifier: Apache-2.0
/* Clients that follow sessions: how many, from when, until when. What they are told is in trace.c. */
#include "broker/admin.h"

#define MAX_TRACERS 8
#define MAX_READERS 6 /* of these: root finds room whatever others do */

static bool begin(struct admin_client *client)
{
	struct broker *broker = client->broker;
	uint64_t id = client->job.request.id;
	bool acts = admin_right_of(broker, client->watch.fd, NULL) == ADMIN_ACT;

	if (broker->admin.n_tracers >= (acts ? MAX_TRACERS : MAX_READERS)) {
		admin_refuse(client, "busy", "%zu traces are running; end one of them",
			     broker->admin.n_tracers);
		return false;
	}
	if (id && !session_find(broker, id)) {
		admin_refuse(client, "no-session",
			     "there is no session %llu now; `sluicectl sessions` lists them, and "
			     "trace --source or --listener waits for new ones",
			     (unsigned long long)id);
		return false;
	}
	LIST_INSERT_HEAD(&broker->admin.tracers, client, tracing);
	broker->admin.n_tracers++;
	client->is_tracing = true;
	if (client->job.request.for_ms)
		client->job.until_ms = broker->loop.now_ms + client->job.request.for_ms;
	return true;
}

void admin_trace_end(struct admin_client *client)
{
	if (!client->is_tracing)
		return;
	LIST_REMOVE(client, tracing);
	client->broker->admin.n_tracers--;
	client->is_tracing = false;
}

static bool is_over(const struct admin_client *client)
{
	const struct admin_job *job = &client->job;
	struct broker *broker = client->broker;

	return (job->until_ms && broker->loop.now_ms >= job->until_ms) ||
	       (job->request.id && !session_find(broker, job->request.id));
}

/* Those that are there already are taken along, one bucket at a time. */
bool admin_trace(struct admin_client *client)
{
	struct broker *broker = client->broker;
	struct admin_job *job = &client->job;
	struct json_object *facts;
	struct session *session;

	if (!client->is_tracing && !begin(client))
		return true;
	if (job->at < SESSION_BUCKETS) {
		LIST_FOREACH(session, &broker->sessions.by_id[job->at], by_id)
		trace_add(broker, session);
		job->at++;
		return false;
	}
	if (!is_over(client)) {
		job->waiting = true;
		return false;
	}
	admin_trace_end(client);
	facts = json_object_new_object();
	put_number(facts, "events", job->rows);
	admin_done(client, facts);
	return true;
}
