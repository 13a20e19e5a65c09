// SPDX-License-Identifier: Apache-2.0
/*
 * Ending sessions. A socket that somebody else holds (a handshaker, a worker) is ended by the kernel:
 * its owner finds out, and tells the peer nothing more. A session that waits for a worker is our own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/admin.h"

/* Returns 0 or -errno; @session may be gone then. */
static int end_one(struct broker *broker, struct session *session)
{
	struct sockaddr_storage local = { 0 }, peer = { 0 };
	int r;

	if (session->state == SESSION_QUEUED) {
		session_end(broker, session, END_KILLED);
		return 0;
	}
	if (!broker->diag || !session->cookie)
		return -EOPNOTSUPP;
	memcpy(&local, &session->local, sizeof(session->local));
	memcpy(&peer, &session->peer, sizeof(session->peer));
	r = diag_destroy(broker->diag, &local, &peer, session->cookie);
	if (r == 0)
		log_line(broker, CONFIG_LOG_INFO, "session %llu: the administrator ends it",
			 (unsigned long long)session->id);
	return r;
}

static void count(struct admin_job *job, int r)
{
	if (r == 0) {
		job->rows++;
	} else if (r != -ENOENT) { /* it has just ended */
		job->failed++;
		job->err = -r;
	}
}

static const char *advice(int err)
{
	switch (err) {
	case EOPNOTSUPP:
		return "this kernel has no CONFIG_INET_DIAG_DESTROY; end the worker instead";
	case EPERM:
		return "sluiced has no CAP_NET_ADMIN; give it that, or end the worker";
	default:
		return "try again";
	}
}

static bool finish(struct admin_client *client)
{
	const struct admin_job *job = &client->job;
	struct json_object *facts;

	if (job->failed) {
		admin_refuse(client, "kill", "%llu sessions ended, %llu could not be: %s; %s",
			     (unsigned long long)job->rows, (unsigned long long)job->failed,
			     strerror(job->err), advice(job->err));
		return true;
	}
	if (!job->rows) {
		admin_refuse(client, "no-session",
			     "no session fits; `sluicectl sessions` lists them");
		return true;
	}
	facts = json_object_new_object();
	put_number(facts, "killed", job->rows);
	admin_done(client, facts);
	return true;
}

static void kill_bucket(struct admin_client *client)
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
			count(&client->job, end_one(broker, session));
	}
}

bool admin_kill(struct admin_client *client)
{
	struct admin_job *job = &client->job;
	struct session *session;

	if (job->request.id) {
		session = session_find(client->broker, job->request.id);
		if (session)
			count(job, end_one(client->broker, session));
		return finish(client);
	}
	if (job->at < SESSION_BUCKETS) {
		kill_bucket(client);
		job->at++;
		return false;
	}
	return finish(client);
}
