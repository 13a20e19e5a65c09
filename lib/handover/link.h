/* SPDX-License-Identifier: Apache-2.0 */
/* What the connections of a worker need of the daemon: new keys, and to tell of their end. */
#ifndef SLUICE_HANDOVER_LINK_H
#define SLUICE_HANDOVER_LINK_H

#include "conn/conn.h"
#include "handover/guest.h"

struct link;

/* worker_link_new() makes a link to the pool at @path, not attached; NULL: no memory. */
struct link *worker_link_new(const char *path);
struct link *worker_link_ref(struct link *link);
void worker_link_unref(struct link *link);

/*
 * worker_link_attach() attaches to the pool, again if the daemon was restarted. Returns the descriptor by which
 * connections come, which is the caller's, or an error as sluice_worker_attach().
 */
int worker_link_attach(struct link *link, struct sluice_error *ret_err);

/*
 * The same in two steps, for who must not wait: worker_link_begin() asks, and returns a socket or an
 * error; when it can be read, worker_link_end() takes the answer. It owns @fd, also when it fails.
 */
int worker_link_begin(const struct link *link, struct sluice_error *ret_err);
int worker_link_end(struct link *link, int fd, struct sluice_error *ret_err);

/* worker_link_add() gives a connection its home. Returns 0 or -SLUICE_E_NOMEM. */
int worker_link_add(struct link *link, struct sluice_conn *conn);

/*
 * worker_link_ask() has @ask called with the connection of this session, which does not go away meanwhile.
 * Returns what it returns, or -SLUICE_E_CLOSED: there is none, or it is being closed.
 */
int worker_link_ask(struct link *link, uint64_t session, guest_ask *ask, void *arg);

/* worker_link_wait() waits for poll(2)'s @events. Returns 0 or -SLUICE_E_TIMEOUT. */
int worker_link_wait(int fd, short events, int timeout_ms);

#endif
