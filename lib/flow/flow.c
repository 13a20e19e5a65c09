// SPDX-License-Identifier: Apache-2.0
/*
 * The flow: the order of the stages, their time budgets, and the one loop that runs them. A stage's
 * error ends its connection here and goes no further; a budget that passes is such an error.
 */
#include "flow/flow.h"

#include <poll.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "bssl/hooks.h"
#include "conn/hibernate.h"
#include "core/secret.h"
#include "core/sys.h"
#include "options/credentials.h"

#define BUDGET_HANDSHAKE 0 /* as long as the whole handshake may take */

static const struct stage {
	int (*run)(struct sluice_conn *conn);
	unsigned int budget_ms;
} stages[SLUICE_STAGES] = {
	[SLUICE_STAGE_TCP] = { stage_tcp, BUDGET_HANDSHAKE },
	[SLUICE_STAGE_HELLO] = { stage_hello, BUDGET_HANDSHAKE },
	[SLUICE_STAGE_POLICY] = { stage_policy, 1000 },
	[SLUICE_STAGE_HANDSHAKE] = { stage_handshake, BUDGET_HANDSHAKE },
	[SLUICE_STAGE_VERIFY] = { stage_verify, BUDGET_HANDSHAKE },
	[SLUICE_STAGE_EXPORT] = { stage_export, 5000 },
	[SLUICE_STAGE_INSTALL] = { stage_install, 1000 },
};

bool flow_is_judging(const struct sluice_conn *conn)
{
	return conn->stage == SLUICE_STAGE_VERIFY && conn->hs && conn->hs->judging;
}

void flow_forget_job(struct sluice_conn *conn)
{
	if (!conn->hs || !conn->hs->judging)
		return;
	pool_drop(conn->sluice->pool, &conn->hs->judging->job);
	conn->hs->judging = NULL;
}

void handshake_free(struct sluice_conn *conn)
{
	struct handshake *hs = conn->hs;

	if (!hs)
		return;
	flow_forget_job(conn);
	conn->hs = NULL;
	gate_deinit(&hs->gate);
	signer_deinit(&hs->job);
	if (hs->addrs)
		freeaddrinfo(hs->addrs);
	SSL_SESSION_free(hs->offered);
	verify_walk_free(hs->walk);
	credentials_unref(hs->own);
	traffic_free(hs->rx);
	traffic_free(hs->tx);
	free(hs);
}

int flow_begin(struct sluice_conn *conn, SSL_SESSION *offered)
{
	uint64_t now = sys->now_us();

	conn->hs = calloc(1, sizeof(*conn->hs));
	if (!conn->hs)
		return conn_fail(conn, SLUICE_E_NOMEM, -1, 0, "starting a handshake");
	gate_init(&conn->hs->gate, conn->fd, conn->profile->max_handshake_size);
	conn->hs->gate.hold_hello = conn->role == SLUICE_CLIENT;
	conn->hs->gate.answers = conn->role == SLUICE_SERVER;
	if (offered) {
		SSL_SESSION_up_ref(offered);
		conn->hs->offered = offered;
	}
	conn->hs->stage_since_us = conn->started_us = now;
	conn->deadline_us = now + 1000ull * conn->profile->handshake_timeout_ms;
	return 0;
}

uint64_t flow_deadline(const struct sluice_conn *conn)
{
	uint64_t budget_us, stage_us;

	if (!conn->hs || conn->stage >= SLUICE_STAGE_LIVE)
		return UINT64_MAX;
	if (conn->paused)
		return conn->hs->answer_us ? conn->hs->answer_us : UINT64_MAX;
	budget_us = 1000ull * stages[conn->stage].budget_ms;
	stage_us = conn->hs->stage_since_us + budget_us;
	return budget_us && stage_us < conn->deadline_us ? stage_us : conn->deadline_us;
}

void flow_resume(struct sluice_conn *conn)
{
	uint64_t now = sys->now_us();

	conn->paused = false;
	conn->hs->answer_us = 0;
	conn->deadline_us += now - conn->hs->paused_us;
	conn->hs->stage_since_us = now;
}

static void pause_flow(struct sluice_conn *conn)
{
	conn->paused = true;
	conn->hs->paused_us = sys->now_us();
	conn->events = 0;
}

/* The program had a time for its answer. */
static int check_pause(struct sluice_conn *conn)
{
	if (sys->now_us() < flow_deadline(conn))
		return SLUICE_PAUSED;
	conn->paused = false;
	if (conn->hs->cert_asked)
		return conn_fail(conn, SLUICE_E_HANDSHAKE_TIMEOUT, SLUICE_ALERT_USER_CANCELED, 0,
				 "client_cert_cb's answer did not come in time");
	return conn_fail(conn, SLUICE_E_HANDSHAKE_TIMEOUT, SLUICE_ALERT_CERTIFICATE_UNKNOWN, 0,
			 "verify_fun's answer did not come in time");
}

/* The stage that is done gives way to the next one. */
static void next_stage(struct sluice_conn *conn)
{
	conn->stage++;
	conn->info.stage = conn->stage;
	conn->events = 0;
	if (conn->stage < SLUICE_STAGE_LIVE) {
		conn->hs->stage_since_us = sys->now_us();
		return;
	}
	conn->info.handshake_us = sys->now_us() - conn->started_us;
	handshake_free(conn);
	hibernate_put_off(conn);
}

static int too_late(struct sluice_conn *conn)
{
	const char *text = "the peer used up the time for the handshake";

	if (flow_is_judging(conn))
		text = "the peer's certificates were not judged in time";
	flow_forget_job(conn);
	return conn_fail(conn, SLUICE_E_HANDSHAKE_TIMEOUT, -1, 0, text);
}

int flow_run(struct sluice_conn *conn)
{
	int r;

	if (conn->err.code)
		return -conn->err.code;
	if (conn->paused)
		return check_pause(conn);
	if (!conn->hs && conn->stage < SLUICE_STAGE_LIVE)
		return -SLUICE_E_STATE; /* accepted, and sluice_handshake() was not called */
	if (conn->hs) {
		/* What was the case in an earlier run may have changed, and an edge have been told of. */
		conn->hs->gate.drained = false;
		conn->hs->gate.told_again = conn->may_wait || conn->told_again;
	}
	while (conn->stage < SLUICE_STAGE_LIVE) {
		r = stages[conn->stage].run(conn);
		if (r < 0)
			return r;
		if (r == STAGE_WAIT) {
			if (sys->now_us() < flow_deadline(conn))
				return -SLUICE_E_AGAIN;
			return too_late(conn);
		}
		if (r == STAGE_HELD) {
			pause_flow(conn);
			return SLUICE_PAUSED;
		}
		next_stage(conn);
		if (r == STAGE_PAUSED) {
			pause_flow(conn);
			return SLUICE_PAUSED;
		}
	}
	return 0;
}
