/* SPDX-License-Identifier: Apache-2.0 */
/* Epochs of a live connection: changing keys, on request, by itself, and because the peer does. */
#ifndef SLUICE_CONN_EPOCH_H
#define SLUICE_CONN_EPOCH_H

#include <stdbool.h>
#include <stddef.h>

#include <sluice/info.h>

/* epoch_can_change() tells whether this connection's keys can change: version and kernel decide. */
bool epoch_can_change(const struct sluice_conn *conn);

/*
 * epoch_update() queues a KeyUpdate of ours; the new key follows it. Returns 0, or -SLUICE_E_STATE
 * when too many control records wait.
 */
int epoch_update(struct sluice_conn *conn, bool request, enum sluice_rekey_cause cause);

/*
 * epoch_forget_update() takes back the KeyUpdate that waits, if there is one: nobody will change the key
 * behind it. One that a ring has in flight stays.
 */
void epoch_forget_update(struct sluice_conn *conn);

/* epoch_sent() moves the sending direction on: its KeyUpdate is sealed. */
int epoch_sent(struct sluice_conn *conn);

/* epoch_received() moves the receiving direction on; the answer, if asked for, is owed from then on. */
int epoch_received(struct sluice_conn *conn, bool update_requested);

/* epoch_unblock() deals with a kernel that waits for new receiving keys. Returns 0: go on. */
int epoch_unblock(struct sluice_conn *conn);

/*
 * epoch_room() is asked before data are sent. It shortens *@len to what the key may still seal; where
 * that is nothing, a KeyUpdate is queued and goes first. Errors: KEY_EXHAUSTED where keys cannot
 * change; close_notify is out then.
 */
int epoch_room(struct sluice_conn *conn, size_t *len);

#endif
