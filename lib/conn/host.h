/* SPDX-License-Identifier: Apache-2.0 */
/* Which options a server has for the name that a client asks for. */
#ifndef SLUICE_CONN_HOST_H
#define SLUICE_CONN_HOST_H

#include "conn/conn.h"
#include "options/hostname.h"

/*
 * host_choose() gives a server's connection, of which the ClientHello is read, the profile of the host that
 * was asked for, by option sni_hosts or sni_fun. Returns 0, SLUICE_PAUSED (sni_fun answers later), or
 * fails the connection.
 */
int host_choose(struct sluice_conn *conn);

/*
 * host_name_of() returns the server name of a hello that is read, folded; NULL: none that a host can have.
 * @name is room for it.
 */
const char *host_name_of(const struct sluice_conn *conn, char name[HOST_NAME_LONGEST + 1]);

#endif
