// SPDX-License-Identifier: Apache-2.0
/* The four steps of rio.h for programs, which may share a connection's home with other threads. */
#include <sluice/steps.h>

#include "conn/conn.h"
#include "conn/rio.h"

ssize_t sluice_recv_prep(struct sluice_conn *conn, void *buf, size_t buf_len,
			 struct msghdr **ret_msg)
{
	ssize_t n;

	conn_enter(conn);
	n = rio_recv_prep(conn, buf, buf_len, ret_msg);
	conn_leave(conn);
	return n;
}

ssize_t sluice_recv_done(struct sluice_conn *conn, ssize_t res)
{
	ssize_t n;

	conn_enter(conn);
	n = conn->rx ? rio_recv_done(conn, res) : -SLUICE_E_NOT_ESTABLISHED;
	conn_leave(conn);
	return n;
}

ssize_t sluice_send_prep(struct sluice_conn *conn, const void *buf, size_t buf_len,
			 struct msghdr **ret_msg)
{
	ssize_t n;

	conn_enter(conn);
	n = conn->in_flight == SEND_NONE ? rio_send_prep(conn, buf, buf_len, ret_msg)
					 : -SLUICE_E_STATE;
	conn_leave(conn);
	return n;
}

ssize_t sluice_send_done(struct sluice_conn *conn, ssize_t res)
{
	ssize_t n;

	conn_enter(conn);
	n = conn->in_flight == SEND_NONE ? -SLUICE_E_STATE : rio_send_done(conn, res);
	conn_leave(conn);
	return n;
}

int sluice_send_pending(const struct sluice_conn *conn)
{
	int pending;

	conn_enter(conn);
	pending = rio_send_pending(conn);
	conn_leave(conn);
	return pending;
}
