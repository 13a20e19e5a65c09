/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that were handed over, found by their session: what the daemon asks of one is done by the
 * thread that its messages reach, while another thread may be in the middle of a call on it.
 */
#ifndef SLUICE_HANDOVER_GUEST_H
#define SLUICE_HANDOVER_GUEST_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "conn/conn.h"

struct link;

#define GUEST_BUCKETS 1024

/* struct guests - those that can be asked something. */
struct guests {
	pthread_mutex_t lock; /* before that of a guest */
	LIST_HEAD(, guest) buckets[GUEST_BUCKETS];
};

/* struct guest - a connection's home. */
struct guest {
	struct home home;
	struct link *link;
	struct sluice_conn *conn;
	pthread_mutex_t lock;    /* between enter() and leave() */
	LIST_ENTRY(guest) entry; /* le_prev NULL: it is not listed any more */
};

/* guest_new() lists a connection by conn->session_id; home.ops is the caller's to set. Returns NULL: no memory. */
struct guest *guest_new(struct sluice_conn *conn, struct guests *guests);

/* guest_remove() is called before it is closed; twice is fine. guest_free() does so too. */
void guest_remove(struct guest *guest, struct guests *guests);
void guest_free(struct guest *guest, struct guests *guests);

/* Of struct home_ops. */
void guest_enter(void *arg);
void guest_leave(void *arg);

/* guest_ask - asks something of a connection by a public function, which keeps its thread out. */
typedef int guest_ask(struct sluice_conn *conn, void *arg);

/* guests_ask() is worker_link_ask(). */
int guests_ask(struct guests *guests, uint64_t session, guest_ask *ask, void *arg);

#endif
