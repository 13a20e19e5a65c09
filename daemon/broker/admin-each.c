// SPDX-License-Identifier: Apache-2.0
/* Doing something to the session that a request means, or to all that its filter fits. */
#include "broker/admin.h"
#include "broker/recheck.h"

#define MAX_PENDING 256 /* of one client: what workers are asked at once */

void admin_no_session(struct admin_client *client)
{
	admin_refuse(client, "no-session", "no session fits; `sluicectl sessions` lists them");
}

static void each_of_bucket(struct admin_client *client, admin_act_on *act)
{
	struct broker *broker = client->broker;
	struct session *session, *next;
	const char *listener, *pool;

	for (session = LIST_FIRST(&broker->sessions.by_id[client->job.at]); session;
	     session = next) {
		next = LIST_NEXT(session, by_id);
		admin_names(broker, session, &listener, &pool);
		if (filter_fits(&client->job.request.filter, session, listener, pool,
				session->worker ? session->worker->number : 0))
			act(client, session);
	}
}

static void the_one(struct admin_client *client, admin_act_on *act)
{
	struct session *session = session_find(client->broker, client->job.request.id);

	if (session)
		act(client, session);
}

bool admin_each(struct admin_client *client, admin_act_on *act)
{
	struct admin_job *job = &client->job;

	if (job->at < SESSION_BUCKETS && job->pending < MAX_PENDING) {
		if (job->request.id)
			the_one(client, act);
		else
			each_of_bucket(client, act);
		job->at = job->request.id ? SESSION_BUCKETS : job->at + 1;
		return false;
	}
	job->waiting = job->pending != 0;
	return !job->pending;
}

void admin_asked(struct admin_client *client, const struct asked *asked)
{
	client->job.pending--;
	if (client->job.request.verb == ADMIN_RECHECK)
		admin_rechecked(client, asked);
	else if (asked->kind == ASK_CLOSE)
		admin_killed(client, asked);
	else
		admin_rekeyed(client, asked);
	admin_wake(client);
}
