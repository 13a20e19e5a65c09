// SPDX-License-Identifier: Apache-2.0
/* New keys for sessions: the broker has no socket of theirs, so their workers are asked. */
#include <errno.h>

#include <sluice/sluice.h>

#include "broker/admin.h"
#include "record/suite.h"

static void tell(struct admin_client *client, uint64_t id, const char *result, const char *why,
		 const struct asked *asked)
{
	struct json_object *row = json_object_new_object();

	put_number(row, "id", id);
	put_text(row, "result", result);
	if (asked) {
		put_number(row, "rx_epoch", asked->rx_epoch);
		put_number(row, "tx_epoch", asked->tx_epoch);
	}
	put_text(row, "why", why);
	client->job.failed += !asked;
	admin_tell(client, row);
}

/* What can be said without asking, or NULL. */
static const char *hopeless(const struct session *session)
{
	if (session->state != SESSION_LIVE)
		return "no worker has it yet";
	if (session->version == TLS12)
		return "TLS 1.2 has no new keys without a new handshake";
	if (!session->can_rekey)
		return "this kernel cannot change the keys of a socket";
	if (!session->worker)
		return "its worker has not spoken since the daemon was started again";
	return NULL;
}

static const char *not_asked(int r)
{
	switch (r) {
	case -EOPNOTSUPP:
		return "its worker's library is older than this request";
	case -EBUSY:
		return "it is being asked already";
	case -EAGAIN:
		return "its worker does not read what the daemon says";
	default:
		return "too many are being asked; try again";
	}
}

static void start(struct admin_client *client, struct session *session)
{
	const char *why = hopeless(session);
	int r;

	if (why) {
		tell(client, session->id, "refused", why, NULL);
		return;
	}
	r = ask_worker(client->broker, session, ASK_REKEY, client->job.request.both, client);
	if (r < 0)
		tell(client, session->id, "failed", not_asked(r), NULL);
	else
		client->job.pending++;
}

void admin_rekeyed(struct admin_client *client, const struct asked *asked)
{
	switch (asked->code) {
	case 0:
		tell(client, asked->session, "done", NULL, asked);
		break;
	case SLUICE_E_AGAIN:
		tell(client, asked->session, "waits",
		     "the peer does not read; they change behind what waits", NULL);
		break;
	case SLUICE_E_TIMEOUT:
		tell(client, asked->session, "timeout", "its worker does not answer", NULL);
		break;
	case SLUICE_E_CLOSED:
		tell(client, asked->session, "failed", "it has ended, or is ending", NULL);
		break;
	default:
		tell(client, asked->session, "failed", sluice_strerror(-asked->code), NULL);
	}
}

static bool finish(struct admin_client *client)
{
	const struct admin_job *job = &client->job;
	struct json_object *facts;

	if (!job->rows) {
		admin_no_session(client);
	} else if (job->failed) {
		admin_refuse(client, "rekey", "%llu sessions have new keys, %llu have not",
			     (unsigned long long)(job->rows - job->failed),
			     (unsigned long long)job->failed);
	} else {
		facts = json_object_new_object();
		put_number(facts, "rekeyed", job->rows);
		admin_done(client, facts);
	}
	return true;
}

bool admin_rekey(struct admin_client *client)
{
	return admin_each(client, start) ? finish(client) : false;
}
