// SPDX-License-Identifier: Apache-2.0
/*
 * VERIFY: the peer's chain is judged, by the pool where somebody waits for that or can be told, then the
 * handshake is driven to its end, where the peer learns the verdict. Functions of the program are called
 * here, before and after, and never by the pool. A resumed session keeps the verdict of the handshake that
 * made it, which was of the same rules: others are not offered and not taken (session_bind()).
 */
#include <poll.h>
#include <string.h>

#include "bssl/partial-chain.h"
#include "bssl/verify.h"
#include "core/error.h"
#include "core/sys.h"
#include "flow/flow.h"

/* What the peer will be told; the first error stays. */
static int refuse(struct sluice_conn *conn, struct sluice_error *err, uint8_t alert)
{
	struct handshake *hs = conn->hs;

	hs->verify_known = true;
	hs->verify_alert = alert ? alert : SLUICE_ALERT_INTERNAL_ERROR;
	failure_put(&conn->err, err);
	conn->err.stage = conn->stage;
	conn->err.alert = hs->verify_alert;
	conn->err.alert_sent = 1;
	return STAGE_DONE;
}

static int let_pass(struct sluice_conn *conn)
{
	conn->hs->verify_known = true;
	conn->hs->verify_alert = 0;
	conn->info.peer_verified = conn->profile->verify_peer && !conn->info.bad_cert;
	return STAGE_DONE;
}

/* What the program let pass can be read from the connection. */
static void keep_accepted(struct sluice_conn *conn, const struct verify_report *report)
{
	size_t i;

	for (i = 0; i < report->n; i++)
		conn->info.bad_certs |= UINT64_C(1) << report->findings[i].reason;
	if (!report->n)
		return;
	conn->info.bad_cert = report->findings[0].reason;
	conn->info.x509_error = report->findings[0].x509_error;
}

/* Asks the program on. */
static int ask(struct sluice_conn *conn)
{
	struct handshake *hs = conn->hs;
	struct verify_walk *walk = hs->walk;
	int r = verify_walk_run(walk, conn);
	struct sluice_error err;
	uint8_t alert;

	if (r == SLUICE_PAUSED) {
		hs->answer_us = deadline_from(conn->profile->verify_timeout_ms);
		return STAGE_HELD;
	}
	if (r < 0) {
		err_clear(&err);
		bad_cert_refuse(&walk->refused, conn_reference(conn), &alert, &err);
		return refuse(conn, &err, alert);
	}
	keep_accepted(conn, walk->report);
	return let_pass(conn);
}

/* What the server has stapled, or did when the session was made. */
static struct staple staple_of(const struct sluice_conn *conn)
{
	struct staple staple = { .kept = SSL_session_reused(conn->ssl) };

	SSL_get0_ocsp_response(conn->ssl, &staple.der, &staple.len);
	if (!staple.len)
		staple.der = NULL;
	return staple;
}

static void tell_staple(struct sluice_conn *conn, const struct staple *staple)
{
	if (conn->profile->ocsp == OCSP_OFF)
		conn->info.ocsp = SLUICE_OCSP_NOT_ASKED;
	else if (!staple->der)
		conn->info.ocsp = SLUICE_OCSP_NONE;
	else if (staple->kept)
		conn->info.ocsp = SLUICE_OCSP_KEPT;
	else
		conn->info.ocsp = staple->checked && staple->verdict.result == OCSP_GOOD
					  ? SLUICE_OCSP_GOOD
					  : SLUICE_OCSP_BAD;
}

/* --- the chain ------------------------------------------------------------------------------- */

/* Makes the job. Errors: of partial_chain_ask(), NOMEM. */
static int prepare(struct sluice_conn *conn, bool examine, uint8_t *ret_alert,
		   struct sluice_error *err)
{
	struct staple staple = staple_of(conn);
	struct verify_input input = {
		.profile = conn->profile,
		.chain = SSL_get0_peer_certificates(conn->ssl),
		.name = conn_reference(conn),
		.now_s = sys->wall_s(),
		.until_us = flow_deadline(conn),
		.staple = &staple,
	};
	int r = 0;

	if (examine || conn->profile->verify_peer)
		r = partial_chain_ask(conn, input.chain, &input.trust, ret_alert, err);
	if (r < 0)
		return r;
	*ret_alert = SLUICE_ALERT_INTERNAL_ERROR;
	conn->hs->judging = verify_job_new(&input, examine, conn);
	return conn->hs->judging ? 0 : err_set(err, SLUICE_E_NOMEM, "no memory to verify the peer");
}

/*
 * Gives the job to the pool, or does it here: where nobody would be told of its end, and for a caller that
 * waits in any case while too many others do. Errors: BUSY.
 */
static int give(struct sluice_conn *conn, bool must)
{
	struct pool *pool = conn->sluice->pool;
	struct verify_job *job = conn->hs->judging;
	int r = -SLUICE_E_MISSING_DEP;

	if (!verify_job_is_empty(job) && (conn->may_wait || pool_has_fd(pool)))
		r = pool_submit(pool, &job->job);
	if (r == -SLUICE_E_BUSY && !conn->may_wait && !must)
		return r;
	if (r < 0)
		pool_try(pool, &job->job);
	return 0;
}

static bool is_judged(struct sluice_conn *conn)
{
	struct pool *pool = conn->sluice->pool;

	/* A call that could wait has begun it, and one that cannot goes on: nobody would tell that one. */
	if (!conn->may_wait && !pool_has_fd(pool))
		pool_try(pool, &conn->hs->judging->job);
	return pool_is_done(pool, &conn->hs->judging->job);
}

/*
 * poll(2) reports the end of both directions whatever it is asked for: an event loop would turn without
 * rest, and a thread would work for nobody.
 */
static int wait_for_judgement(struct sluice_conn *conn)
{
	struct pollfd pfd = { .fd = conn->fd };

	conn->events = 0;
	if (conn->may_wait || sys->poll(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLHUP | POLLERR)))
		return STAGE_WAIT;
	flow_forget_job(conn);
	return conn_fail(conn, SLUICE_E_RESET, -1, 0,
			 "the peer went while its certificates were judged");
}

/* What the job has found out: the program is asked, or there is a verdict. */
static int conclude(struct sluice_conn *conn)
{
	struct verify_job *job = conn->hs->judging;
	const struct sluice_profile *profile = conn->profile;
	struct verify_report *report = job->report;
	struct sluice_error err = job->err;
	uint8_t alert = job->alert;
	int r = job->result;

	conn->verify_us += job->took_us;
	tell_staple(conn, &job->staple);
	job->report = NULL;
	flow_forget_job(conn);
	if (r < 0)
		return refuse(conn, &err, alert);
	if (!report)
		return let_pass(conn);
	conn->hs->walk = verify_walk_new(report, profile->verify_fun, profile->verify_state);
	if (conn->hs->walk)
		return ask(conn);
	err_set(&err, SLUICE_E_NOMEM, "no memory to verify the peer");
	return refuse(conn, &err, SLUICE_ALERT_INTERNAL_ERROR);
}

/* Returns STAGE_DONE: there is a verdict, STAGE_WAIT, STAGE_HELD, or an error. */
static int judge(struct sluice_conn *conn)
{
	struct sluice_error err;
	uint8_t alert;

	if (conn->hs->walk)
		return ask(conn);
	err_clear(&err);
	if (!conn->hs->judging) {
		if (prepare(conn, conn->profile->verify_fun, &alert, &err) < 0)
			return refuse(conn, &err, alert);
		if (give(conn, false) < 0) {
			flow_forget_job(conn);
			err_set(&err, SLUICE_E_BUSY,
				"too many peers' certificates wait to be judged");
			return refuse(conn, &err, SLUICE_ALERT_INTERNAL_ERROR);
		}
	}
	return is_judged(conn) ? conclude(conn) : wait_for_judgement(conn);
}

/* --- resumption ------------------------------------------------------------------------------ */

/* What was accepted of the chain, or would have been refused. */
static void tell_accepted(struct sluice_conn *conn, const struct verify_job *job)
{
	if (job->report) {
		keep_accepted(conn, job->report);
	} else if (job->err.code) {
		conn->info.bad_cert = job->err.bad_cert;
		conn->info.bad_certs = UINT64_C(1) << job->err.bad_cert;
		conn->info.x509_error = job->err.x509_error;
	}
}

/*
 * A resumed session keeps the verdict of the handshake that made it; what a program had let pass then is
 * found again. Returns STAGE_DONE, STAGE_WAIT, or an error.
 */
static int take_over(struct sluice_conn *conn)
{
	const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(conn->ssl);
	struct staple staple = staple_of(conn);
	struct sluice_error err;
	uint8_t alert;

	err_clear(&err);
	if (conn->profile->verify_fun && chain) {
		if (!conn->hs->judging) {
			if (prepare(conn, true, &alert, &err) < 0)
				return conn_fail(conn, err.code, -1, 0, err.text);
			give(conn, true);
		}
		if (!is_judged(conn))
			return wait_for_judgement(conn);
		err = conn->hs->judging->err;
		conn->verify_us += conn->hs->judging->took_us;
		tell_accepted(conn, conn->hs->judging);
		flow_forget_job(conn);
	}
	tell_staple(conn, &staple);
	conn->info.peer_verified = conn->profile->verify_peer && chain && !err.code &&
				   !conn->info.bad_cert;
	return STAGE_DONE;
}

static int identify(struct sluice_conn *conn)
{
	char identity[sizeof(((struct sluice_conn_info *)0)->peer_identity)] = "";

	verify_identity(conn->profile, SSL_get0_peer_certificates(conn->ssl), identity);
	if (conn_text(&conn->info.peer_identity, identity, strlen(identity)) < 0)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "the peer's identity");
	return STAGE_DONE;
}

int stage_verify(struct sluice_conn *conn)
{
	int r = drive(conn);

	if (r == DRIVE_VERIFY) {
		r = judge(conn);
		if (r != STAGE_DONE)
			return r;
		r = drive(conn);
	}
	if (r < 0)
		return r;
	if (r == DRIVE_WAIT)
		return STAGE_WAIT;
	if (r == DRIVE_CERT) {
		conn->hs->answer_us = deadline_from(conn->profile->verify_timeout_ms);
		return STAGE_HELD;
	}
	r = SSL_session_reused(conn->ssl) ? take_over(conn) : STAGE_DONE;
	return r == STAGE_DONE ? identify(conn) : r;
}
