// SPDX-License-Identifier: Apache-2.0
#include "handover/guest.h"

#include <stdlib.h>

void guest_enter(void *arg)
{
	pthread_mutex_lock(&((struct guest *)arg)->lock);
}

void guest_leave(void *arg)
{
	pthread_mutex_unlock(&((struct guest *)arg)->lock);
}

struct guest *guest_new(struct sluice_conn *conn, struct guests *guests)
{
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return NULL;
	guest->conn = conn;
	guest->home.arg = guest;
	pthread_mutex_init(&guest->lock, NULL);
	pthread_mutex_lock(&guests->lock);
	LIST_INSERT_HEAD(&guests->buckets[conn->session_id % GUEST_BUCKETS], guest, entry);
	pthread_mutex_unlock(&guests->lock);
	return guest;
}

void guest_remove(struct guest *guest, struct guests *guests)
{
	pthread_mutex_lock(&guests->lock);
	if (guest->entry.le_prev)
		LIST_REMOVE(guest, entry);
	guest->entry.le_prev = NULL;
	pthread_mutex_unlock(&guests->lock);
}

void guest_free(struct guest *guest, struct guests *guests)
{
	guest_remove(guest, guests);
	pthread_mutex_destroy(&guest->lock);
	free(guest);
}

int guests_ask(struct guests *guests, uint64_t session, guest_ask *ask, void *arg)
{
	int r = -SLUICE_E_CLOSED;
	struct guest *guest;

	pthread_mutex_lock(&guests->lock);
	LIST_FOREACH(guest, &guests->buckets[session % GUEST_BUCKETS], entry)
	if (guest->conn->session_id == session) {
		r = ask(guest->conn, arg);
		break;
	}
	pthread_mutex_unlock(&guests->lock);
	return r;
}
