// SPDX-License-Identifier: Apache-2.0
/* Rechecks, as a client is told of them. */
#include <string.h>

#include "broker/recheck.h"

void admin_recheck_row(struct admin_client *client, const struct session *session,
		       const char *result, const char *why)
{
	struct json_object *row = json_object_new_object();

	put_number(row, "id", session->id);
	put_text(row, "result", result);
	put_peer_text(row, "peer_identity", session->identity);
	put_hex(row, "peer_sha256", session->peer_sha256, sizeof(session->peer_sha256));
	put_address(row, "peer", session_source(session));
	put_peer_words(row, "why", why);
	admin_tell(client, row);
}

void admin_recheck_progress(struct admin_client *client, uint64_t done, uint64_t total)
{
	struct json_object *row = json_object_new_object();

	put_number(row, "done", done);
	put_number(row, "sessions", total);
	admin_tell(client, row);
}

/* A worker has closed one, or could not. */
void admin_rechecked(struct admin_client *client, const struct asked *asked)
{
	struct json_object *row;

	if (!asked->err)
		return;
	client->broker->recheck->counts.closed--;
	client->job.failed++;
	row = json_object_new_object();
	put_number(row, "id", asked->session);
	put_text(row, "result", "not closed");
	put_text(row, "why", strerror(asked->err));
	admin_tell(client, row);
}

static bool finish(struct admin_client *client)
{
	const struct recheck_counts *counts = &client->broker->recheck->counts;
	struct json_object *facts = json_object_new_object();

	put_number(facts, "good", counts->good);
	put_number(facts, "bad", counts->bad);
	put_number(facts, "closed", counts->closed);
	put_number(facts, "not_kept", counts->not_kept);
	put_number(facts, "unknown", counts->unknown);
	admin_done(client, facts);
	return true;
}

/* It waits for revocation lists that are under way: their set is the one to judge by. */
bool admin_recheck(struct admin_client *client)
{
	struct recheck *recheck = client->broker->recheck;
	struct admin_job *job = &client->job;

	if (!job->at) {
		job->parked = crls_busy(client->broker);
		if (job->parked)
			return false;
		if (recheck_begin(client->broker, &job->request, client) < 0) {
			admin_refuse(client, "busy", "a recheck is under way; try again");
			return true;
		}
		job->at = 1;
	}
	if (recheck->client != client && !job->pending)
		return finish(client);
	job->waiting = true;
	return false;
}
