// SPDX-License-Identifier: Apache-2.0
/*
 * How much may be sent now, and in records of what size. Asked before every send of data: by rio.c for
 * messages, by whoever moves pages of files into the socket. Makes a system call only where the size
 * changes and the kernel has to be told. And what came and went, however it did.
 */
#include "conn/conn.h"
#include "conn/epoch.h"
#include "conn/hibernate.h"
#include "core/sys.h"

int conn_room(struct sluice_conn *conn, size_t *len)
{
	struct record_tx *tx = conn->tx;
	uint16_t size;
	int r;

	size = sizing_next(&conn->sizing, conn->sizing.dynamic ? sys->now_us() : 0, len);
	if (size != tx->max_payload)
		tx->ops->limit(tx, size);
	r = epoch_room(conn, len);
	if (r == 0 && tx->by_length && *len > tx->max_payload)
		*len = tx->max_payload;
	return r;
}

void conn_sent(struct sluice_conn *conn, size_t n)
{
	conn->info.tx.bytes += n;
	if (conn->sizing.dynamic)
		sizing_sent(&conn->sizing, n, sys->now_us());
	if (n)
		hibernate_put_off(conn);
}

void conn_received(struct sluice_conn *conn, size_t n)
{
	conn->info.rx.bytes += n;
	if (n)
		hibernate_put_off(conn);
}
