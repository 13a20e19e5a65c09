// SPDX-License-Identifier: Apache-2.0
/*
 * LIVE: what records mean to an established connection, on both record paths. Records come from
 * rio.c one by one; control records are read by tls/control.c; what must be answered is queued and
 * sent before anything else. This file makes no system call of its own.
 */
#include <string.h>

#include "conn/conn.h"
#include "conn/epoch.h"
#include "core/error.h"
#include "core/sys.h"

void live_start(struct sluice_conn *conn)
{
	control_init(&conn->control, conn->suite->version, conn->role == SLUICE_SERVER);
	conn->control.max_requests = conn->profile->limit_key_updates;
	conn->control.max_messages = conn->profile->limit_control_records;
	sizing_start(&conn->sizing, conn->profile->tx_max_payload_len,
		     conn->profile->dynamic_record_size);
	/* Not at the first send only: of a connection that was handed over none but the socket knows it. */
	if (conn->profile->tx_max_payload_len < conn->tx->max_payload)
		conn->tx->ops->limit(conn->tx, conn->profile->tx_max_payload_len);
}

static int fail_control(struct sluice_conn *conn, int code)
{
	return conn_fail(conn, code, conn->control.fail_alert, 0, conn->control.fail_text);
}

/* RFC 5246, 7.2.2: a warning, and the connection goes on. */
static int refuse_renegotiation(struct sluice_conn *conn)
{
	static const uint8_t warning[ALERT_LEN] = { ALERT_LEVEL_WARNING,
						    SLUICE_ALERT_NO_RENEGOTIATION };

	if (conn->write_closed)
		return 0;
	if (conn_queue(conn, RECORD_ALERT, warning, sizeof(warning), false) < 0)
		return conn_fail(conn, SLUICE_E_UNSUPPORTED_RENEGOTIATION,
				 SLUICE_ALERT_NO_RENEGOTIATION, 0,
				 "the peer keeps asking to renegotiate");
	conn->info.alerts_sent++;
	return 0;
}

/* RFC 8446, 6.2: both close at once, without sending anything more, close_notify included. */
static int receive_alert(struct sluice_conn *conn, uint8_t alert)
{
	conn->info.alerts_received++;
	conn->n_outgoing = conn->in_flight == SEND_CONTROL ? 1 : 0;
	conn->write_closed = true;
	conn->err.alert = alert;
	conn->err.alert_sent = 0;
	return conn_fail(conn, SLUICE_E_ALERT, -1, 0, sluice_alert_name(alert));
}

static int handle_event(struct sluice_conn *conn, const struct control_event *event)
{
	switch (event->type) {
	case CONTROL_CLOSE_NOTIFY:
		conn->info.alerts_received++;
		conn->read_closed = true;
		return -SLUICE_E_CLOSED;
	case CONTROL_ALERT:
		return receive_alert(conn, event->alert);
	case CONTROL_WARNING:
		conn->info.alerts_received++;
		return 0;
	case CONTROL_TICKET:
		session_from_ticket(conn, event->msg, event->msg_len);
		return 0;
	case CONTROL_KEY_UPDATE:
		return epoch_received(conn, event->update_requested);
	case CONTROL_RENEGOTIATION:
		return refuse_renegotiation(conn);
	}
	return conn_fail(conn, SLUICE_E_INTERNAL, SLUICE_ALERT_INTERNAL_ERROR, 0,
			 "an unknown event");
}

/* Gives the receiver what it has room for; the rest waits in conn->rest. */
static ssize_t deliver(struct sluice_conn *conn, struct record *record, void *buf, size_t buf_len)
{
	size_t n = record->len < buf_len ? record->len : buf_len;

	if (record->data != buf)
		memcpy(buf, record->data, n);
	conn->rest = *record;
	conn->rest.data += n;
	conn->rest.len -= n;
	conn_received(conn, n);
	return n;
}

ssize_t live_record(struct sluice_conn *conn, struct record *record, void *buf, size_t buf_len)
{
	struct control_event event;
	int r;

	if (record->type == RECORD_DATA) {
		r = control_feed(&conn->control, record, &event);
		return r < 0 ? fail_control(conn, -r) : deliver(conn, record, buf, buf_len);
	}
	if (record->type == RECORD_HANDSHAKE)
		conn->control.now_us = sys->now_us();
	while ((r = control_feed(&conn->control, record, &event)) == 1) {
		r = handle_event(conn, &event);
		if (r < 0)
			return r;
	}
	return r < 0 ? fail_control(conn, -r) : 0;
}

int live_spliced(struct sluice_conn *conn, size_t n)
{
	struct record record = { .type = RECORD_DATA, .end = true, .len = n };
	struct control_event event;
	int r = control_feed(&conn->control, &record, &event);

	if (r < 0)
		return fail_control(conn, -r);
	conn_received(conn, n);
	return 0;
}

int live_eof(struct sluice_conn *conn)
{
	if (conn->read_closed)
		return -SLUICE_E_CLOSED;
	return conn_fail(conn, SLUICE_E_TRUNCATED, -1, 0, "no close_notify came before the end");
}
