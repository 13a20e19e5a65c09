/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live connection on its way to another process: what it is made of besides its socket. It can leave
 * right after INSTALL, before anything was sent or received through it.
 */
#ifndef SLUICE_HANDOVER_STATE_H
#define SLUICE_HANDOVER_STATE_H

#include "conn/conn.h"
#include "handover/wire.h"

#define STATE_KEYS_LEN (8 + 8 + 1 + SUITE_MAX_HASH + SUITE_MAX_KEY + SUITE_MAX_IV)

/*
 * state_write() appends all of a connection to a message, its secrets included: wipe the message when
 * it is sent. Returns 0, or -SLUICE_E_STATE: the connection has been used, or was not told to keep its
 * keys (conn->keep_keys).
 */
int state_write(const struct sluice_conn *conn, struct wire *wire);

/* state_release() frees a connection whose socket went elsewhere, and leaves the socket alone. */
struct sluice_conn *state_release(struct sluice_conn *conn);

/*
 * state_read() makes a connection of a message and its socket. Owns @fd only on success. *@last is the
 * profile of the one before it, for this one too if it fits, or replaced; NULL at first, the caller's to
 * unref at last. Errors: PROTOCOL (not what state_write() writes), NOMEM, UNSUPPORTED_SUITE.
 */
int state_read(struct sluice_conn **ret_conn, struct sluice *sluice, struct sluice_profile **last,
	       struct wire_reader *reader, int fd);

/* keys_write() and keys_read() are ATTR_RX_KEYS and ATTR_TX_KEYS. */
void keys_write(struct wire *wire, uint16_t type, const struct traffic *traffic);
int keys_read(struct traffic **ret_traffic, const struct attr *attr, const struct suite *suite);

#endif
