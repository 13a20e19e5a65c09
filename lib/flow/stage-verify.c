// SPDX-License-Identifier: Apache-2.0
/*
 * VERIFY: the peer's chain is judged, then the handshake is driven to its end, where the peer
 * learns the verdict. A resumed session keeps the verdict of the handshake that made it, which was
 * of the same rules: others are not offered and not taken (session_bind()).
 */
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
	conn->err = *err;
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

/* Examines the chain for a program that is asked about it. */
static int begin(struct sluice_conn *conn)
{
	const struct sluice_profile *profile = conn->profile;
	struct staple staple = staple_of(conn);
	struct verify_report *report;
	struct sluice_error err;
	uint8_t alert = 0;
	int r;

	err_clear(&err);
	r = verify_report(profile, SSL_get0_peer_certificates(conn->ssl), &staple,
			  conn_reference(conn), &report, &alert, &err);
	tell_staple(conn, &staple);
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

/* Returns STAGE_DONE: there is a verdict, or STAGE_HELD. */
static int judge(struct sluice_conn *conn)
{
	struct staple staple = staple_of(conn);
	struct sluice_error err;
	uint8_t alert = 0;
	int r;

	if (conn->profile->verify_fun)
		return conn->hs->walk ? ask(conn) : begin(conn);
	err_clear(&err);
	r = verify_chain(conn->profile, SSL_get0_peer_certificates(conn->ssl), &staple,
			 conn_reference(conn), &alert, &err);
	tell_staple(conn, &staple);
	if (r < 0)
		return refuse(conn, &err, alert);
	return let_pass(conn);
}

/*
 * A resumed session keeps the verdict of the handshake that made it; what a program had let pass then is
 * found again.
 */
static void take_over(struct sluice_conn *conn)
{
	const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(conn->ssl);
	struct verify_report *report = NULL;
	struct staple staple = staple_of(conn);
	struct sluice_error err;
	uint8_t alert;

	err_clear(&err);
	if (conn->profile->verify_fun && chain)
		verify_report(conn->profile, chain, &staple, conn_reference(conn), &report, &alert,
			      &err);
	tell_staple(conn, &staple);
	if (report) {
		keep_accepted(conn, report);
	} else if (err.code) {
		conn->info.bad_cert = err.bad_cert;
		conn->info.bad_certs = UINT64_C(1) << err.bad_cert;
		conn->info.x509_error = err.x509_error;
	}
	verify_report_free(report);
	conn->info.peer_verified = conn->profile->verify_peer && chain && !err.code &&
				   !conn->info.bad_cert;
}

int stage_verify(struct sluice_conn *conn)
{
	uint64_t began_us;
	int r = drive(conn);

	if (r == DRIVE_VERIFY) {
		began_us = sys->now_us();
		r = judge(conn);
		conn->verify_us += sys->now_us() - began_us;
		if (r == STAGE_HELD)
			return STAGE_HELD;
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
	if (SSL_session_reused(conn->ssl))
		take_over(conn);
	verify_identity(conn->profile, SSL_get0_peer_certificates(conn->ssl),
			conn->info.peer_identity);
	return STAGE_DONE;
}
