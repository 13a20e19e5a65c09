// SPDX-License-Identifier: Apache-2.0
/* What changes the daemon: accepting, configuration, the log, its end. */
#include "broker/admin.h"
#include "broker/crls.h"

/* A closed listener refuses at once: who balances load finds out, and nobody waits for nothing. */
static void drain(struct broker *broker)
{
	if (broker->draining)
		return;
	broker->draining = true;
	listeners_close(broker);
	log_line(broker, CONFIG_LOG_INFO, "the listeners are closed");
}

static int accept_again(struct broker *broker, struct config_error *err)
{
	int r;

	if (!broker->draining)
		return 0;
	r = listeners_open(broker, err);
	if (r < 0) {
		listeners_close(broker);
		return r;
	}
	broker->draining = false;
	listeners_room(broker);
	log_line(broker, CONFIG_LOG_INFO, "the listeners are open again");
	return 0;
}

bool admin_drain(struct admin_client *client)
{
	struct broker *broker = client->broker;
	struct config_error err = { { 0 } };
	struct json_object *facts;

	if (broker->stopping) {
		admin_refuse(client, "stopping", "the daemon is ending");
		return true;
	}
	if (!client->job.request.off) {
		drain(broker);
	} else if (accept_again(broker, &err) < 0) {
		admin_refuse(client, "listen", "%s", err.text);
		return true;
	}
	facts = json_object_new_object();
	put_bool(facts, "draining", broker->draining);
	put_number(facts, "sessions", broker->sessions.n);
	admin_done(client, facts);
	return true;
}

/* The answer comes when the reload is over; meanwhile others are served. */
bool admin_reload(struct admin_client *client)
{
	struct reload *reload = &client->broker->reload;
	struct admin_job *job = &client->job;

	if (!job->parked && reload->state != RELOAD_IDLE) {
		admin_refuse(client, "busy", "a reload is under way; try again");
		return true;
	}
	if (!job->parked) {
		job->parked = true;
		job->at = reload->n;
		broker_reload(client->broker, job->request.verb == ADMIN_PEM_CLEAR);
	}
	if (reload->n == job->at || crls_busy(client->broker))
		return false;
	if (reload->failed)
		admin_refuse(client, "config", "%s", reload->text);
	else if (client->broker->crls->text[0])
		admin_refuse(client, "crl",
			     "the configuration is new; revocation lists are as they were: %s",
			     client->broker->crls->text);
	else
		admin_done(client, NULL);
	return true;
}

/* Until the next reload, which takes the level of the file. */
bool admin_log(struct admin_client *client)
{
	client->broker->config->log.level = client->job.request.level;
	admin_done(client, NULL);
	return true;
}

bool admin_stop(struct admin_client *client)
{
	broker_stop(client->broker);
	admin_done(client, NULL);
	return true;
}
