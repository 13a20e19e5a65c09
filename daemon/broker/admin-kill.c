// SPDX-License-Identifier: Apache-2.0
/*
 * Ending sessions. A session's worker is asked first, so that the peer gets close_notify; where nobody can
 * be asked, or nothing comes of it in time, the kernel ends the socket, and its owner finds out. A
 * session that waits for a worker is our own.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "broker/admin.h"

int admin_destroy(struct broker *broker, struct session *session)
{
	int r = session_destroy_socket(broker, session);

	if (r < 0)
		return r;
	log_line(broker, CONFIG_LOG_INFO, "session %llu: the administrator ends it",
		 (unsigned long long)session->id);
	/* The kernel tells of it when its last descriptor is closed: whenever its worker does so. */
	if (session->state == SESSION_LIVE)
		session_end(broker, session, END_KILLED);
	return 0;
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

static void end_one(struct admin_client *client, struct session *session)
{
	struct broker *broker = client->broker;

	if (session->state == SESSION_QUEUED) {
		session_end(broker, session, END_KILLED);
		count(&client->job, 0);
	} else if (ask_worker(broker, session, ASK_CLOSE, false, client) == 0) {
		client->job.pending++;
	} else {
		count(&client->job, admin_destroy(broker, session));
	}
}

void admin_killed(struct admin_client *client, const struct asked *asked)
{
	count(&client->job, -asked->err);
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
	} else if (!job->rows) {
		admin_no_session(client);
	} else {
		facts = json_object_new_object();
		put_number(facts, "killed", job->rows);
		admin_done(client, facts);
	}
	return true;
}

bool admin_kill(struct admin_client *client)
{
	return admin_each(client, end_one) ? finish(client) : false;
}
