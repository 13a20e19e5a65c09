/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker's end in the steps of sluice_worker_next(), for who needs the message itself, or wants to
 * acknowledge later: sluice-relay.
 */
#ifndef SLUICE_HANDOVER_WORKER_H
#define SLUICE_HANDOVER_WORKER_H

#include <sluice/worker.h>

#include "handover/channel.h"
#include "handover/wire.h"

/*
 * worker_recv() receives one message without waiting. *@ret_message is valid until the next call and
 * may hold secrets: worker_wipe(). Returns its length or an error as sluice_worker_next().
 */
ssize_t worker_recv(struct sluice_worker *worker, const uint8_t **ret_message,
		    struct channel_fds *ret_fds);
void worker_wipe(struct sluice_worker *worker, size_t len);

/*
 * worker_request() does what the daemon asks of a connection that this worker has: new keys, or its end.
 * Returns 1, or 0: the message is something else.
 */
int worker_request(struct sluice_worker *worker, const uint8_t *message, size_t len);

/*
 * worker_conn() makes a connection of a MSG_CONNECTION and takes its socket out of @fds. Nothing is
 * read from the socket, and nothing acknowledged: as long as that is so, another may have it.
 * -SLUICE_E_NOT_TLS: it has no TLS; *@ret_id is set, and the socket is still in @fds (plain.h).
 */
int worker_conn(struct sluice_worker *worker, const uint8_t *message, size_t len,
		struct channel_fds *fds, struct sluice_conn **ret_conn, uint32_t *ret_id);

/*
 * sluice_worker_reattach() for who must not wait: worker_attach_begin() asks, and returns a socket or
 * an error; when it can be read, worker_attach_end() takes the answer. It owns @fd, also when it fails.
 */
int worker_attach_begin(struct sluice_worker *worker, struct sluice_error *ret_err);
int worker_attach_end(struct sluice_worker *worker, int fd, struct sluice_error *ret_err);

/*
 * worker_detach() closes the channel: what was not acknowledged becomes another worker's. Connections
 * that were acknowledged go on.
 */
void worker_detach(struct sluice_worker *worker);

/*
 * worker_ended() tells the daemon of the end of a connection, and why, before it is freed; nothing is told
 * then. Its keys cannot change any more.
 */
void worker_ended(struct sluice_conn *conn, const char *why);

#endif
