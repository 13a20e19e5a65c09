// SPDX-License-Identifier: Apache-2.0
/* The handshake verbs: run the flow, wait in between, pause, continue, cancel. */
#include "conn/handshake.h"

#include <string.h>

#include "bssl/own-cert.h"
#include "conn/host.h"
#include "core/error.h"
#include "core/sys.h"
#include "fetch/fetch.h"
#include "flow/flow.h"

/* Waits for what the flow has stopped at: the peer, or the verdict on its certificates. */
static int wait_for_flow(struct sluice_conn *conn, uint64_t deadline_us)
{
	if (flow_is_judging(conn))
		return pool_wait(conn->sluice->pool, &conn->hs->judging->job, deadline_us);
	return conn_wait(conn, conn->events, deadline_us);
}

/* Where CRLs are fetched, VERIFY may wait for them: not longer than the call may. */
static int run_to_stop(struct sluice_conn *conn, int timeout_ms)
{
	int r;

	conn->may_wait = timeout_ms != SLUICE_NOWAIT;
	fetch_may_wait(timeout_ms);
	r = flow_run(conn);
	conn->may_wait = false;
	fetch_may_wait(-1);
	return r;
}

int handshake_wait(struct sluice_conn *conn, int timeout_ms)
{
	uint64_t call = deadline_from(timeout_ms);
	bool may_wait = timeout_ms != SLUICE_NOWAIT;
	uint64_t deadline;
	int r;

	while ((r = run_to_stop(conn, timeout_ms)) == -SLUICE_E_AGAIN && may_wait) {
		deadline = flow_deadline(conn);
		r = wait_for_flow(conn, call < deadline ? call : deadline);
		if (r < 0 && r != -SLUICE_E_TIMEOUT)
			return conn_fail(conn, -r, -1, 0, "waiting for the peer");
		if (r == -SLUICE_E_TIMEOUT && call < deadline)
			return r;
	}
	return r;
}

int handshake_first(struct sluice_conn *conn, int timeout_ms, struct sluice_conn **ret_conn,
		    struct sluice_error *ret_err)
{
	int r = handshake_wait(conn, timeout_ms);

	*ret_conn = conn;
	if (r < 0 && r != -SLUICE_E_AGAIN && ret_err) {
		failure_get(&conn->err, ret_err);
		err_set(ret_err, -r, "%s", sluice_strerror(r));
	}
	return r;
}

/* A paused client's alert is under the keys that only the ServerHello gives. */
static void end_handshake(struct sluice_conn *conn, int code, int alert, const char *text)
{
	if (conn->paused && conn->role == SLUICE_CLIENT && conn->stage < SLUICE_STAGE_VERIFY)
		drive_hello(conn);
	conn->paused = false;
	flow_forget_job(conn);
	conn_fail(conn, code, alert, 0, text);
}

int handshake_use_profile(struct sluice_conn *conn, struct sluice_profile *profile)
{
	bool is_new = profile != conn->profile;
	int r = conn->ssl && is_new ? profile_apply(profile, conn->ssl) : 0;

	if (r < 0) {
		sluice_profile_unref(profile);
		end_handshake(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, "changing the profile");
		return r;
	}
	sluice_profile_unref(conn->profile);
	conn->profile = profile;
	return conn->ssl && is_new && conn->role == SLUICE_CLIENT ? session_bind(conn) : 0;
}

/* Lays @extra over the connection's profile, for @host alone (NULL: for any). */
static int derive(struct sluice_conn *conn, const struct sluice_options *extra, const char *host)
{
	struct sluice_profile *profile = NULL;
	struct sluice_error err;
	int r;

	err_clear(&err);
	r = profile_derive(&profile, conn->profile, extra, &err);
	if (!r && host && profile_bind(profile, host) < 0) {
		sluice_profile_unref(profile);
		r = err_set(&err, SLUICE_E_NOMEM, "no memory for a profile");
	}
	if (r == 0)
		return handshake_use_profile(conn, profile);
	err.stage = conn->stage;
	if (!conn->err.code)
		failure_put(&conn->err, &err);
	end_handshake(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, "applying more options");
	return r;
}

int handshake_lay_over(struct sluice_conn *conn, const struct sluice_options *extra,
		       const char *host)
{
	struct sluice_error err;
	int r;

	err_clear(&err);
	r = options_check_late(extra, conn->role, &err);
	if (r < 0)
		return conn_fail(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, 0, err.text);
	return derive(conn, extra, host);
}

int sluice_handshake(struct sluice_conn *conn, const struct sluice_options *extra, int timeout_ms)
{
	int r = 0;

	if (conn->role != SLUICE_SERVER || conn->paused)
		return -SLUICE_E_STATE;
	if (!conn->hs) {
		if (conn->stage != SLUICE_STAGE_TCP)
			return -SLUICE_E_STATE;
		if (extra)
			r = derive(conn, extra, NULL);
		if (r == 0)
			r = flow_begin(conn, NULL);
		if (r < 0)
			return r;
	}
	return handshake_wait(conn, timeout_ms);
}

int sluice_handshake_fd(struct sluice *sluice, int fd, struct sluice_profile *profile,
			int timeout_ms, struct sluice_conn **ret_conn, struct sluice_error *ret_err)
{
	struct sluice_conn *conn;
	int r;

	r = fd_conn_new(sluice, fd, NULL, profile, NULL, SLUICE_SERVER, &conn, ret_err);
	return r < 0 ? r : handshake_first(conn, timeout_ms, ret_conn, ret_err);
}

/* The answer of client_cert_cb; one that cannot be taken leaves the question open. */
static int continue_with_cert(struct sluice_conn *conn, const struct sluice_options *own,
			      int timeout_ms)
{
	struct sluice_error err;
	int r;

	r = flow_run(conn); /* it may be too late */
	err_clear(&err);
	if (r == SLUICE_PAUSED)
		r = client_cert_answer(conn, own, &err);
	if (r < 0)
		return r;
	flow_resume(conn);
	return handshake_wait(conn, timeout_ms);
}

int sluice_handshake_continue(struct sluice_conn *conn, const struct sluice_options *extra,
			      int timeout_ms)
{
	char name[HOST_NAME_LONGEST + 1];
	struct sluice_error err;
	int r;

	if (conn->paused && conn->hs->cert_asked)
		return continue_with_cert(conn, extra, timeout_ms);
	if (!conn->paused || conn->stage >= SLUICE_STAGE_VERIFY)
		return -SLUICE_E_STATE;
	if (extra) {
		err_clear(&err);
		r = options_check_late(extra, conn->role, &err);
		if (r < 0)
			return r; /* still paused: the caller may continue without it */
		r = derive(conn, extra, conn->hs->name_asked ? host_name_of(conn, name) : NULL);
		if (r < 0)
			return r;
	}
	flow_resume(conn);
	return handshake_wait(conn, timeout_ms);
}

int sluice_verify_continue(struct sluice_conn *conn, enum sluice_verify_ret answer, int reason,
			   int timeout_ms)
{
	int r;

	if (!conn->paused || conn->stage != SLUICE_STAGE_VERIFY || conn->hs->cert_asked)
		return -SLUICE_E_STATE;
	r = handshake_wait(conn, SLUICE_NOWAIT); /* it may be too late */
	if (r == SLUICE_PAUSED)
		r = verify_walk_answer(conn->hs->walk, (int)answer, reason);
	if (r < 0)
		return r;
	flow_resume(conn);
	return handshake_wait(conn, timeout_ms);
}

/* The program may end it: it is paused, or its peer's certificates are with the pool. */
static bool is_held(const struct sluice_conn *conn)
{
	return !conn->dead && (conn->paused || flow_is_judging(conn));
}

int sluice_handshake_cancel(struct sluice_conn *conn)
{
	if (!is_held(conn))
		return -SLUICE_E_STATE;
	end_handshake(conn, SLUICE_E_HANDSHAKE, SLUICE_ALERT_USER_CANCELED, "cancelled by us");
	return 0;
}

/* Alerts that are no errors, and those that RFC 8446, 6 forbids to send. */
static bool may_abort_with(int alert)
{
	switch (alert) {
	case SLUICE_ALERT_CLOSE_NOTIFY:
	case SLUICE_ALERT_USER_CANCELED:
	case SLUICE_ALERT_NO_RENEGOTIATION:
	case SLUICE_ALERT_DECRYPTION_FAILED:
	case SLUICE_ALERT_DECOMPRESSION_FAILURE:
	case SLUICE_ALERT_NO_CERTIFICATE:
	case SLUICE_ALERT_EXPORT_RESTRICTION:
	case SLUICE_ALERT_CERTIFICATE_UNOBTAINABLE:
	case SLUICE_ALERT_BAD_CERTIFICATE_HASH_VALUE:
		return false;
	default:
		return strcmp(sluice_alert_name(alert), "unknown") != 0;
	}
}

int sluice_abort(struct sluice_conn *conn, int alert)
{
	int r = 0;

	if (!may_abort_with(alert))
		return -SLUICE_E_INVALID;
	conn_enter(conn);
	if (is_held(conn))
		end_handshake(conn, SLUICE_E_POLICY, alert, "ended by the program");
	else if (conn->stage == SLUICE_STAGE_LIVE && !conn->dead && !conn->write_closed)
		conn_fail(conn, SLUICE_E_POLICY, alert, 0, "ended by the program");
	else
		r = -SLUICE_E_STATE;
	conn_leave(conn);
	return r;
}
