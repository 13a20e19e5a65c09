// SPDX-License-Identifier: Apache-2.0
/*
 * Epochs: when the keys of a live connection change, in both directions and on both record paths
 * (RFC 8446, 4.6.3 and 5.5), and what happens where they cannot. A KeyUpdate goes out under the old
 * key through the queue of control records; rio.c calls back when it is sealed, and nothing else is
 * sent between the message and the new key.
 */
#include "conn/epoch.h"

#include <string.h>

#include "conn/conn.h"
#include "conn/rio.h"
#include "core/error.h"
#include "core/sys.h"
#include "record/ktls.h"

#define REQUEST_BYTE (KEY_UPDATE_LEN - 1)

/* How often the kernel is asked for its record number while a key lasts. */
#define CONFIRMATIONS 32

bool epoch_can_change(const struct sluice_conn *conn)
{
	const struct sluice_capabilities *caps = &conn->sluice->caps;

	if (!conn->tx || conn->suite->version != TLS13 || conn->cannot_rekey)
		return false;
	return conn->tx->ops->path != SLUICE_PATH_KERNEL ||
	       (!caps->rekey_tx_errno && !caps->rekey_rx_errno);
}

/* The KeyUpdate that waits and is not in flight, or NULL. */
static struct outgoing *waiting_update(struct sluice_conn *conn)
{
	unsigned int i;

	for (i = conn->in_flight == SEND_CONTROL; i < conn->n_outgoing; i++)
		if (conn->outgoing[i].new_epoch)
			return &conn->outgoing[i];
	return NULL;
}

/*
 * One that waits serves every later wish. A second request must not leave before the first is
 * answered (RFC 9846, 4.7.3).
 */
int epoch_update(struct sluice_conn *conn, bool request, enum sluice_rekey_cause cause)
{
	struct outgoing *waiting = waiting_update(conn);
	uint8_t message[KEY_UPDATE_LEN];
	int r;

	conn->update_owed = false;
	request = request && !conn->update_asked;
	if (waiting) {
		waiting->bytes[REQUEST_BYTE] |= request;
	} else {
		control_build_key_update(message, request);
		r = conn_queue(conn, RECORD_HANDSHAKE, message, sizeof(message), true);
		if (r < 0)
			return r;
		conn->info.rekeys[cause]++;
	}
	conn->update_asked |= request;
	return 0;
}

void epoch_forget_update(struct sluice_conn *conn)
{
	struct outgoing *waiting = waiting_update(conn);

	if (!waiting)
		return;
	conn->n_outgoing--;
	memmove(waiting, waiting + 1,
		(size_t)(&conn->outgoing[conn->n_outgoing] - waiting) * sizeof(*waiting));
}

/* The secrets are elsewhere: whoever has them puts the keys into the socket. */
static int rekey_elsewhere(struct sluice_conn *conn, enum ktls_direction dir)
{
	struct conn_direction *direction = dir == KTLS_RX ? &conn->info.rx : &conn->info.tx;
	struct traffic *traffic = dir == KTLS_RX ? conn->rx_traffic : conn->tx_traffic;
	int r = conn->home->ops->rekey(conn->home->arg, conn, dir);

	if (r < 0)
		return r;
	if (traffic)
		traffic->epoch++;
	else
		direction->epoch++;
	if (dir == KTLS_RX)
		conn->rx->records = 0;
	else
		conn->tx->records = 0;
	return 0;
}

/* Takes a direction to its next epoch. The old keys stay in force if that fails. */
static int rekey(struct sluice_conn *conn, enum ktls_direction dir)
{
	struct traffic **current = dir == KTLS_RX ? &conn->rx_traffic : &conn->tx_traffic;
	struct traffic *next = NULL;
	int r;

	if (conn->home && conn->tx->ops->path == SLUICE_PATH_KERNEL)
		return rekey_elsewhere(conn, dir);
	if (!*current)
		return -SLUICE_E_REKEY; /* whoever has the secrets is not asked any more */
	r = traffic_next_epoch(&next, *current);
	if (r == 0)
		r = dir == KTLS_RX ? conn->rx->ops->rekey(conn->rx, next)
				   : conn->tx->ops->rekey(conn->tx, next);
	if (r < 0) {
		traffic_free(next);
		return r;
	}
	traffic_free(*current);
	*current = next;
	return 0;
}

int epoch_sent(struct sluice_conn *conn)
{
	if (rekey(conn, KTLS_TX) < 0) {
		/* The peer expects the new epoch already: it could read no alert, and no close_notify. */
		conn->n_outgoing = 0;
		conn->write_closed = true;
		return conn_fail(conn, SLUICE_E_REKEY, -1, 0, "our new keys cannot be installed");
	}
	conn->epoch_bytes = conn->info.tx.bytes;
	conn->confirmed = 0;
	return 0;
}

int epoch_received(struct sluice_conn *conn, bool update_requested)
{
	int r = rekey(conn, KTLS_RX);

	if (r < 0)
		return conn_fail(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "the peer's new keys cannot be installed");
	conn->update_asked = false;
	conn->update_owed |= update_requested;
	return 0;
}

/*
 * The kernel takes every handshake record that begins with 24 for a KeyUpdate and stops receiving.
 * A real one has been read and answered with new keys before the next receive (epoch_received()),
 * so what is left are later pieces of a split message. The present keys are put in once more, at the
 * record where they stand, and the kernel goes on.
 */
int epoch_unblock(struct sluice_conn *conn)
{
	int err;

	if (conn->unblocked)
		return conn_fail(conn, SLUICE_E_REKEY, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "the kernel waits for new keys for no reason");
	conn->unblocked = true;
	err = ktls_repeat(conn->fd, KTLS_RX, conn->suite);
	if (err)
		return conn_fail(conn, SLUICE_E_REKEY, SLUICE_ALERT_INTERNAL_ERROR, err,
				 "going on in the middle of a message");
	return 0;
}

/*
 * The user path counts what it seals. Of the kernel path only the bytes are known, and small pieces
 * (splice) can make more records of them than their number says, so the kernel is asked now and then.
 */
static int confirm_records(struct sluice_conn *conn, uint64_t limit)
{
	uint64_t seq;
	int err;

	if (conn->tx->ops->path != SLUICE_PATH_KERNEL ||
	    conn->tx->records - conn->confirmed <= limit / CONFIRMATIONS)
		return 0;
	err = ktls_record_seq(conn->fd, KTLS_TX, conn->suite, &seq);
	if (err)
		return conn_fail(conn, sys_errno_code(err), SLUICE_ALERT_INTERNAL_ERROR, err,
				 "asking for the number of records");
	conn->tx->records = conn->confirmed = seq;
	return 0;
}

/* The last record that the key may seal is close_notify. The other direction goes on. */
static int exhausted(struct sluice_conn *conn)
{
	if (!conn->err.code)
		conn->err.stage = conn->stage;
	failure_set(&conn->err, SLUICE_E_KEY_EXHAUSTED, 0, "%s",
		    sluice_strerror(SLUICE_E_KEY_EXHAUSTED));
	rio_close_notify(conn);
	if (conn->in_flight == SEND_NONE)
		conn_flush(conn);
	return -SLUICE_E_KEY_EXHAUSTED;
}

/*
 * The peer's request is answered here, before our next data and not at once: a peer that asks many
 * times while we are silent gets a single answer (RFC 8446, 4.6.3), and costs us a single new key.
 */
int epoch_room(struct sluice_conn *conn, size_t *len)
{
	const struct sluice_profile *profile = conn->profile;
	bool can_change = epoch_can_change(conn);
	uint64_t limit = can_change ? profile->key_update_records : conn->suite->record_limit;
	uint64_t bytes = conn->info.tx.bytes - conn->epoch_bytes;
	uint64_t records;
	int r = confirm_records(conn, limit);

	if (r < 0)
		return r;
	records = conn->tx->records;
	if (conn->update_owed && can_change)
		return epoch_update(conn, false, SLUICE_REKEY_PEER);
	if (records >= limit)
		return can_change ? epoch_update(conn, false, SLUICE_REKEY_RECORDS)
				  : exhausted(conn);
	if (can_change && bytes >= profile->key_update_at)
		return epoch_update(conn, false, SLUICE_REKEY_BYTES);
	if (can_change && *len > profile->key_update_at - bytes)
		*len = profile->key_update_at - bytes;
	if (*len / conn->tx->max_payload >= limit - records)
		*len = (limit - records) * conn->tx->max_payload;
	return 0;
}
