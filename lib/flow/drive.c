// SPDX-License-Identifier: Apache-2.0
/*
 * Driving BoringSSL: one call runs the handshake until it is complete, waits for the transport, or
 * stops where a stage has to decide. HELLO, HANDSHAKE and VERIFY are cut out of it.
 */
#include <openssl/err.h>
#include <poll.h>

#include "bssl/reason.h"
#include "core/error.h"
#include "flow/flow.h"

static int drive_transport(struct sluice_conn *conn, bool reading)
{
	struct gate *gate = &conn->hs->gate;

	switch (gate->status) {
	case GATE_HELD:
		return DRIVE_HELLO;
	case GATE_EOF:
		return conn_fail(conn, SLUICE_E_TRUNCATED, -1, 0,
				 "the peer closed the connection during the handshake");
	case GATE_REFUSED:
		return conn_fail(conn, gate->code, gate->alert, 0, gate->text);
	case GATE_FAILED:
		return conn_fail(conn, gate->code, -1, gate->sys_errno, gate->text);
	case GATE_OPEN:
	case GATE_WANT_READ:
	case GATE_WANT_WRITE:
		break;
	}
	conn->events = reading ? POLLIN : POLLOUT;
	return DRIVE_WAIT;
}

/*
 * BoringSSL has failed, and has mostly sent an alert of its own or read the peer's. Where it has done
 * neither the peer would wait for nothing.
 */
static int drive_failed(struct sluice_conn *conn)
{
	struct gate *gate = &conn->hs->gate;
	struct sluice_error err;
	int alert = -1;

	/* A write that failed may have been BoringSSL's alert: then it has a reason of its own. */
	if (gate->status == GATE_REFUSED || gate->status == GATE_EOF ||
	    (gate->status == GATE_FAILED && ERR_GET_LIB(ERR_peek_error()) != ERR_LIB_SSL))
		return drive_transport(conn, true);
	conn->err.stage = conn->stage;
	failure_get(&conn->err, &err);
	reason_take(&err);
	failure_put(&conn->err, &err);
	if (conn->err.alert < 0 && gate->status != GATE_FAILED)
		alert = conn->err.code == SLUICE_E_NOMEM ? SLUICE_ALERT_INTERNAL_ERROR
							 : SLUICE_ALERT_HANDSHAKE_FAILURE;
	return conn_fail(conn, conn->err.code, alert, 0, "");
}

int drive(struct sluice_conn *conn)
{
	int r, error;

	if (conn->hs->complete)
		return DRIVE_COMPLETE;
	ERR_clear_error();
	r = SSL_do_handshake(conn->ssl);
	if (r == 1) {
		conn->hs->complete = true;
		return DRIVE_COMPLETE;
	}
	error = SSL_get_error(conn->ssl, r);
	switch (error) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return drive_transport(conn, error == SSL_ERROR_WANT_READ);
	case SSL_ERROR_PENDING_CERTIFICATE:
		return DRIVE_HELLO;
	case SSL_ERROR_WANT_CERTIFICATE_VERIFY:
		return DRIVE_VERIFY;
	case SSL_ERROR_WANT_PRIVATE_KEY_OPERATION: /* signer_finish() ends the wait */
		conn->events = 0;
		return DRIVE_WAIT;
	case SSL_ERROR_WANT_X509_LOOKUP: /* client_cert_cb answers later */
		return DRIVE_CERT;
	case SSL_ERROR_ZERO_RETURN:
		return conn_fail(conn, SLUICE_E_CLOSED, -1, 0,
				 "the peer sent close_notify during the handshake");
	default:
		return drive_failed(conn);
	}
}

void drive_hello(struct sluice_conn *conn)
{
	gate_release(&conn->hs->gate);
	conn->hs->gate.stop_behind = true;
	drive(conn);
}
