// SPDX-License-Identifier: Apache-2.0
/* Sessions by key, in buckets, and in the order they came in. A key is a digest: any byte spreads. */
#include "conn/store.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "core/sys.h"

#define BUCKETS 256

struct entry {
	LIST_ENTRY(entry) in_bucket; /* the newest first */
	TAILQ_ENTRY(entry) by_age;   /* the oldest first */
	uint8_t key[STORE_KEY_LEN];
	SSL_SESSION *session;
};

struct store {
	pthread_mutex_t lock;
	LIST_HEAD(, entry) buckets[BUCKETS];
	TAILQ_HEAD(, entry) entries;
	size_t n_entries;
	bool closed;
};

struct store *store_new(void)
{
	struct store *store = calloc(1, sizeof(*store));

	if (!store)
		return NULL;
	TAILQ_INIT(&store->entries);
	pthread_mutex_init(&store->lock, NULL);
	return store;
}

/* Returns the entry's session: the caller's. */
static SSL_SESSION *remove_entry(struct store *store, struct entry *entry)
{
	SSL_SESSION *session = entry->session;

	LIST_REMOVE(entry, in_bucket);
	TAILQ_REMOVE(&store->entries, entry, by_age);
	store->n_entries--;
	free(entry);
	return session;
}

static void forget_all(struct store *store)
{
	while (!TAILQ_EMPTY(&store->entries))
		SSL_SESSION_free(remove_entry(store, TAILQ_FIRST(&store->entries)));
}

struct store *store_free(struct store *store)
{
	if (!store)
		return NULL;
	forget_all(store);
	pthread_mutex_destroy(&store->lock);
	free(store);
	return NULL;
}

/* Makes room: of one key and of all the oldest goes. */
static void make_room(struct store *store, const uint8_t key[STORE_KEY_LEN])
{
	struct entry *entry, *oldest = NULL;
	unsigned int n = 0;

	LIST_FOREACH(entry, &store->buckets[key[0]], in_bucket)
	{
		if (memcmp(entry->key, key, STORE_KEY_LEN) != 0)
			continue;
		oldest = entry;
		n++;
	}
	if (n >= STORE_MAX_PER_KEY)
		SSL_SESSION_free(remove_entry(store, oldest));
	else if (store->n_entries >= STORE_MAX)
		SSL_SESSION_free(remove_entry(store, TAILQ_FIRST(&store->entries)));
}

void store_put(struct store *store, const uint8_t key[STORE_KEY_LEN], SSL_SESSION *session)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	pthread_mutex_lock(&store->lock);
	if (entry && !store->closed) {
		make_room(store, key);
		memcpy(entry->key, key, STORE_KEY_LEN);
		entry->session = session;
		LIST_INSERT_HEAD(&store->buckets[key[0]], entry, in_bucket);
		TAILQ_INSERT_TAIL(&store->entries, entry, by_age);
		store->n_entries++;
		entry = NULL;
		session = NULL;
	}
	pthread_mutex_unlock(&store->lock);
	SSL_SESSION_free(session);
	free(entry);
}

static bool expired(const SSL_SESSION *session)
{
	uint64_t now = sys->wall_s(), made = SSL_SESSION_get_time(session);

	return now < made || now - made >= SSL_SESSION_get_timeout(session);
}

/* The newest of a key, which leaves the store if it can be used only once, or not any more. */
static SSL_SESSION *newest(struct store *store, const uint8_t key[STORE_KEY_LEN])
{
	struct entry *entry;

	LIST_FOREACH(entry, &store->buckets[key[0]], in_bucket)
	{
		if (memcmp(entry->key, key, STORE_KEY_LEN) != 0)
			continue;
		if (SSL_SESSION_should_be_single_use(entry->session) || expired(entry->session))
			return remove_entry(store, entry);
		SSL_SESSION_up_ref(entry->session);
		return entry->session;
	}
	return NULL;
}

SSL_SESSION *store_take(struct store *store, const uint8_t key[STORE_KEY_LEN])
{
	SSL_SESSION *session;

	pthread_mutex_lock(&store->lock);
	session = newest(store, key);
	while (session && expired(session)) {
		SSL_SESSION_free(session);
		session = newest(store, key);
	}
	pthread_mutex_unlock(&store->lock);
	return session;
}

void store_close(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->closed = true;
	forget_all(store);
	pthread_mutex_unlock(&store->lock);
}
