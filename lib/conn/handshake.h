/* SPDX-License-Identifier: Apache-2.0 */
/* Running the flow for a caller that may wait. */
#ifndef SLUICE_CONN_HANDSHAKE_H
#define SLUICE_CONN_HANDSHAKE_H

#include "conn/conn.h"

/* handshake_wait() runs the flow until it stops or @timeout_ms has passed. */
int handshake_wait(struct sluice_conn *conn, int timeout_ms);

/*
 * handshake_first() does so for a new connection and hands it to the caller, failed or not; a
 * failure is copied to @ret_err.
 */
int handshake_first(struct sluice_conn *conn, int timeout_ms, struct sluice_conn **ret_conn,
		    struct sluice_error *ret_err);

/*
 * handshake_use_profile() gives a connection that has at most read the peer's hello another profile,
 * whose reference it owns from then on. Returns 0, or fails the connection.
 */
int handshake_use_profile(struct sluice_conn *conn, struct sluice_profile *profile);

/*
 * handshake_lay_over() lays what may still change after the peer's hello over the connection's options;
 * with @host (NULL: for any) for that host alone. Returns 0, or fails the connection.
 */
int handshake_lay_over(struct sluice_conn *conn, const struct sluice_options *extra,
		       const char *host);

/* fd_conn_new() makes a connection of a connected socket; owns @fd only on success. */
int fd_conn_new(struct sluice *sluice, int fd, const char *host, struct sluice_profile *profile,
		struct sluice_session *session, enum sluice_role role,
		struct sluice_conn **ret_conn, struct sluice_error *ret_err);

#endif
