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

static void judge(struct sluice_conn *conn)
{
	struct handshake *hs = conn->hs;
	struct sluice_error err;

	err_clear(&err);
	hs->verify_known = true;
	if (verify_chain(conn->profile, SSL_get0_peer_certificates(conn->ssl), conn_reference(conn),
			 &hs->verify_alert, &err) < 0) {
		if (!hs->verify_alert)
			hs->verify_alert = SLUICE_ALERT_INTERNAL_ERROR;
		conn->err = err;
		conn->err.stage = conn->stage;
		conn->err.alert = hs->verify_alert;
		conn->err.alert_sent = 1;
		return;
	}
	hs->verify_alert = 0;
	conn->info.peer_verified = conn->profile->verify_peer;
}

int stage_verify(struct sluice_conn *conn)
{
	uint64_t began_us;
	int r = drive(conn);

	if (r == DRIVE_VERIFY) {
		began_us = sys->now_us();
		judge(conn);
		conn->verify_us += sys->now_us() - began_us;
		r = drive(conn);
	}
	if (r < 0)
		return r;
	if (r == DRIVE_WAIT)
		return STAGE_WAIT;
	if (SSL_session_reused(conn->ssl))
		conn->info.peer_verified = conn->profile->verify_peer &&
					   SSL_get0_peer_certificates(conn->ssl) != NULL;
	verify_identity(conn->profile, SSL_get0_peer_certificates(conn->ssl),
			conn->info.peer_identity);
	return STAGE_DONE;
}
