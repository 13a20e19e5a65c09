/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option hibernate_after: a connection that was silent for so long gives back what it needs for little: the SSL
 * object, which reads tickets and exports keying material, and buffers. It goes on as it was, but that further
 * tickets are passed over and nothing is exported any more.
 */
#ifndef SLUICE_CONN_HIBERNATE_H
#define SLUICE_CONN_HIBERNATE_H

#include "conn/conn.h"

/* hibernate_put_off() is called when LIVE begins, when data came or went, however they did, and by hibernate(). */
void hibernate_put_off(struct sluice_conn *conn);

/* hibernate_at() is when to call hibernate(), in time of sys->now_us(); UINT64_MAX: never. */
uint64_t hibernate_at(const struct sluice_conn *conn);

/* hibernate() gives back what it has, if it is time to; between conn_enter() and conn_leave(). */
void hibernate(struct sluice_conn *conn);

#endif
