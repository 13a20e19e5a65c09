// SPDX-License-Identifier: Apache-2.0
/*
 * What outlives the broker: the sessions that workers have, and the secrets of their next keys, in a
 * memory file that the service manager keeps (sd_notify FDSTORE) and gives to the next broker. Killed at
 * any moment, it leaves a file that reads: a record's number is written last and cleared first, and new keys
 * are written where none are in force. Whether the last step of a rekey went into the socket is
 * asked of the socket itself (rekey.c). The file is the only place of a handed-over session's secrets: a
 * second copy would double what a connection costs here. What few sessions have lies beside the records, in
 * pages that are not there until one has it; what many have in common, names, is there once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "broker/broker.h"
#include "core/secret.h"

#define MAGIC 0x34656375736c75ull /* a file of another version is not read */
#define CAPACITY 131072           /* sessions; pages are taken as they are used */
#define NAME_LEN 256
#define MAX_NAMES 2048
#define MAX_POOL_NAMES 1024 /* of them, and the first; programs choose protocols, and no pools */
#define SWEEP_MS 1000
#define SNI_LEN 32 /* longer ones are beside the record */
#define TEXT_LEN 256
#define PLACES 3 /* of keys: of each direction, and for the next of either */

struct kept_keys {
	uint64_t epoch : 56, secret_len : 8; /* 0: none */
	uint8_t secret[SUITE_MAX_HASH];
};

struct kept {
	_Atomic uint64_t id; /* 0: free */
	uint64_t cookie, accepted_unix_ms;
	struct sockaddr_in6 local, peer;
	uint32_t handshake_us;
	uint16_t version, suite, group;
	uint16_t pool, alpn; /* of the names */
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	uint8_t role; /* enum sluice_role */
	uint8_t resumed, peer_verified, can_rekey;
	uint8_t has_peer, has_identity, has_proxied, long_sni; /* beside it */
	_Atomic uint8_t rx_at, tx_at; /* which of the keys is in force; never the same */
	char sni[SNI_LEN];
	struct kept_keys keys[PLACES];
};

struct kept_peer {
	uint8_t sha256[32];
	char identity[TEXT_LEN];
};

struct memory_head {
	uint64_t magic;
	uint32_t record_size, capacity;
	_Atomic uint32_t used; /* records behind it were never written */
	_Atomic uint64_t last_id;
};

struct memory {
	struct memory_head *head;
	char (*names)[NAME_LEN]; /* the first is the empty one */
	struct kept *records;
	/* One for each record: pages of those that have none stay away. */
	struct proxied *proxied;
	struct kept_peer *peers;
	char (*snis)[TEXT_LEN];
	size_t map_len;
	uint32_t *free; /* slots below head->used */
	uint32_t n_free;
	uint64_t sweep_ms; /* names are not looked through again before */
	int fd;
};

static uint64_t unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#define NAMES_AT 4096
#define RECORDS_AT (NAMES_AT + MAX_NAMES * NAME_LEN)
#define PROXIED_AT (RECORDS_AT + CAPACITY * sizeof(struct kept))
#define PEERS_AT (PROXIED_AT + CAPACITY * sizeof(struct proxied))
#define SNIS_AT (PEERS_AT + CAPACITY * sizeof(struct kept_peer))
#define FILE_LEN (SNIS_AT + (size_t)CAPACITY * TEXT_LEN)

/* --- opening -------------------------------------------------------------------------------------- */

static struct memory *map(int fd, size_t len)
{
	struct memory *memory = calloc(1, sizeof(*memory));
	void *p;

	if (!memory)
		return NULL;
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		free(memory);
		return NULL;
	}
	madvise(p, len, MADV_DONTDUMP);
	mlock2(p, len,
	       MLOCK_ONFAULT); /* as secret_new(): what cannot be locked is still not dumped */
	memory->head = p;
	memory->names = (void *)((char *)p + NAMES_AT);
	memory->records = (void *)((char *)p + RECORDS_AT);
	memory->proxied = (void *)((char *)p + PROXIED_AT);
	memory->peers = (void *)((char *)p + PEERS_AT);
	memory->snis = (void *)((char *)p + SNIS_AT);
	memory->map_len = len;
	memory->fd = fd;
	memory->free = calloc(CAPACITY, sizeof(*memory->free));
	if (memory->free)
		return memory;
	munmap(p, len);
	free(memory);
	return NULL;
}

static struct memory *make(void)
{
	size_t len = FILE_LEN;
	int fd = memfd_create("sluice-sessions", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct memory *memory;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, (off_t)len) ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) ||
	    !(memory = map(fd, len))) {
		close(fd);
		return NULL;
	}
	memory->head->magic = MAGIC;
	memory->head->record_size = sizeof(struct kept);
	memory->head->capacity = CAPACITY;
	return memory;
}

/* What cannot be read is left alone, and a new file made. */
static struct memory *reopen(int fd)
{
	size_t len = FILE_LEN;
	struct memory *memory;
	struct stat st;

	if (fstat(fd, &st) || st.st_size != (off_t)len || !(memory = map(fd, len)))
		return NULL;
	if (memory->head->magic == MAGIC && memory->head->record_size == sizeof(struct kept) &&
	    memory->head->used <= CAPACITY)
		return memory;
	munmap(memory->head, len);
	free(memory->free);
	free(memory);
	return NULL;
}

/* --- writing -------------------------------------------------------------------------------------- */

static struct kept *slot_of(struct broker *broker, const struct session *session)
{
	return session->slot ? &broker->memory->records[session->slot - 1] : NULL;
}

/* A broker that is killed in here leaves the old keys in force, or the new ones. */
static void put_keys(struct kept *kept, _Atomic uint8_t *at, const struct traffic *traffic)
{
	uint8_t old = atomic_load(at), next = 0;

	while (next == atomic_load(&kept->rx_at) || next == atomic_load(&kept->tx_at))
		next++;
	memset(&kept->keys[next], 0, sizeof(kept->keys[next]));
	if (traffic) {
		kept->keys[next].epoch = traffic->epoch;
		kept->keys[next].secret_len = traffic->secret_len;
		memcpy(kept->keys[next].secret, traffic->secret, SUITE_MAX_HASH);
	}
	atomic_store(at, next);
	secret_wipe(&kept->keys[old % PLACES], sizeof(kept->keys[0]));
}

static const struct kept_keys *keys_of(const struct kept *kept, bool receiving)
{
	return &kept->keys[(receiving ? kept->rx_at : kept->tx_at) % PLACES];
}

/* Names that no record has any more make room for others. */
static void sweep_names(struct memory *memory)
{
	uint32_t slot, used = atomic_load(&memory->head->used);
	bool wanted[MAX_NAMES] = { true };
	size_t i;

	for (slot = 0; slot < used; slot++) {
		wanted[memory->records[slot].pool % MAX_NAMES] = true;
		wanted[memory->records[slot].alpn % MAX_NAMES] = true;
	}
	for (i = 1; i < MAX_NAMES; i++)
		if (!wanted[i])
			memset(memory->names[i], 0, NAME_LEN);
}

/* Returns where it is among @from to @to, or 0: there is no room for one more. */
static uint16_t find_name(struct memory *memory, uint16_t from, uint16_t to, const char *name)
{
	uint16_t i = from;

	while (i < to && memory->names[i][0] && strncmp(memory->names[i], name, NAME_LEN - 1) != 0)
		i++;
	if (i == to)
		return 0;
	strncpy(memory->names[i], name, NAME_LEN - 1);
	return i;
}

static uint16_t put_name(struct broker *broker, uint16_t from, uint16_t to, const char *name)
{
	struct memory *memory = broker->memory;
	uint16_t i = find_name(memory, from, to, name);

	if (i || broker->loop.now_ms < memory->sweep_ms)
		return i;
	memory->sweep_ms = broker->loop.now_ms + SWEEP_MS;
	sweep_names(memory);
	return find_name(memory, from, to, name);
}

static uint32_t take_slot(struct memory *memory)
{
	uint32_t slot;

	if (memory->n_free)
		return memory->free[--memory->n_free] + 1;
	slot = atomic_load(&memory->head->used);
	if (slot == CAPACITY)
		return 0;
	atomic_store(&memory->head->used, slot + 1);
	return slot + 1;
}

static void give_slot(struct memory *memory, struct session *session)
{
	memory->free[memory->n_free++] = session->slot - 1;
	session->slot = 0;
}

/* The rest of what it is written to is zeros: a slot is wiped when it is given back. */
static void keep_beside(struct memory *memory, struct kept *kept, const struct session *session)
{
	size_t slot = session->slot - 1;
	const char *sni = session->sni ? session->sni : "";

	kept->has_proxied = session->proxied != NULL;
	if (session->proxied)
		memory->proxied[slot] = *session->proxied;
	kept->has_peer = session->has_peer;
	if (session->has_peer)
		memcpy(memory->peers[slot].sha256, session->peer_sha256,
		       sizeof(session->peer_sha256));
	kept->has_identity = session->identity != NULL;
	if (session->identity)
		strncpy(memory->peers[slot].identity, session->identity, TEXT_LEN - 1);
	kept->long_sni = strlen(sni) >= SNI_LEN;
	if (kept->long_sni)
		strncpy(memory->snis[slot], sni, TEXT_LEN - 1);
	else
		strcpy(kept->sni, sni);
}

static void keep(struct broker *broker, struct kept *kept, struct session *session)
{
	kept->cookie = session->cookie;
	kept->accepted_unix_ms = unix_ms() - (broker->loop.now_ms - session->accepted_ms);
	kept->local = session->local;
	kept->peer = session->peer;
	kept->version = session->version;
	kept->suite = session->suite;
	kept->group = session->group;
	kept->rx_path = session->rx_path;
	kept->tx_path = session->tx_path;
	kept->rx_reason = session->rx_reason;
	kept->tx_reason = session->tx_reason;
	kept->resumed = session->resumed;
	kept->peer_verified = session->peer_verified;
	kept->can_rekey = session->can_rekey;
	kept->role = session->role;
	kept->handshake_us = session->handshake_us;
	keep_beside(broker->memory, kept, session);
	atomic_store(&kept->tx_at, 1);
	put_keys(kept, &kept->rx_at, session->rx);
	put_keys(kept, &kept->tx_at, session->tx);
	session->rx = traffic_free(session->rx);
	session->tx = traffic_free(session->tx);
}

void memory_keep(struct broker *broker, struct session *session)
{
	struct memory *memory = broker->memory;
	struct kept *kept;

	if (!memory || session->slot)
		return;
	session->slot = take_slot(memory);
	kept = slot_of(broker, session);
	if (!kept)
		return; /* served like any other, and forgotten with this broker */
	kept->pool = put_name(broker, 1, MAX_POOL_NAMES, broker->pools[session->pool].config->name);
	if (!kept->pool) {
		give_slot(memory, session);
		return;
	}
	/* Where there is no room for its name the protocol is forgotten, and not the session. */
	kept->alpn = session->alpn ? put_name(broker, MAX_POOL_NAMES, MAX_NAMES, session->alpn) : 0;
	keep(broker, kept, session);
	atomic_store(&kept->id, session->id);
	atomic_store(&memory->head->last_id, broker->sessions.last_id);
}

static struct traffic *get_keys(const struct kept_keys *keys, const struct suite *suite)
{
	struct traffic *traffic;

	if (!suite || keys->secret_len != EVP_MD_size(suite->md()) ||
	    traffic_new_tls13(&traffic, suite, keys->secret, keys->secret_len, 0) < 0)
		return NULL;
	traffic->epoch = keys->epoch;
	return traffic;
}

struct traffic *memory_take_keys(struct broker *broker, struct session *session, bool receiving)
{
	struct kept *kept = broker->memory ? slot_of(broker, session) : NULL;
	struct traffic **own = receiving ? &session->rx : &session->tx;
	struct traffic *traffic = *own;

	*own = NULL;
	if (!kept)
		return traffic;
	return get_keys(keys_of(kept, receiving), suite_find(session->suite));
}

void memory_put_keys(struct broker *broker, struct session *session, bool receiving,
		     struct traffic *traffic)
{
	struct kept *kept = broker->memory ? slot_of(broker, session) : NULL;

	if (!kept) {
		*(receiving ? &session->rx : &session->tx) = traffic;
		return;
	}
	put_keys(kept, receiving ? &kept->rx_at : &kept->tx_at, traffic);
	traffic_free(traffic);
}

void memory_forget(struct broker *broker, struct session *session)
{
	struct memory *memory = broker->memory;
	struct kept *kept = memory ? slot_of(broker, session) : NULL;
	size_t slot = session->slot - 1;

	if (!kept)
		return;
	atomic_store(&kept->id, 0);
	if (kept->has_proxied)
		memset(&memory->proxied[slot], 0, sizeof(memory->proxied[slot]));
	if (kept->has_peer || kept->has_identity)
		memset(&memory->peers[slot], 0, sizeof(memory->peers[slot]));
	if (kept->long_sni)
		memset(memory->snis[slot], 0, TEXT_LEN);
	secret_wipe(kept, sizeof(*kept));
	give_slot(memory, session);
}

/* --- the next broker ------------------------------------------------------------------------------ */

static int find_pool(const struct broker *broker, const char *name)
{
	size_t i;

	for (i = 0; i < broker->n_pools; i++)
		if (strcmp(broker->pools[i].config->name, name) == 0)
			return (int)i;
	return -1;
}

static char *text_of(const char *text, size_t size)
{
	return *text ? strndup(text, size - 1) : NULL;
}

static void restore_beside(const struct memory *memory, const struct kept *kept,
			   struct session *session)
{
	size_t slot = session->slot - 1;
	const struct kept_peer *peer = &memory->peers[slot];

	session->has_peer = kept->has_peer;
	if (kept->has_peer)
		memcpy(session->peer_sha256, peer->sha256, sizeof(peer->sha256));
	if (kept->has_proxied && (session->proxied = malloc(sizeof(*session->proxied))))
		*session->proxied = memory->proxied[slot];
	session->sni = kept->long_sni ? text_of(memory->snis[slot], TEXT_LEN)
				      : text_of(kept->sni, SNI_LEN);
	if (kept->has_identity)
		session->identity = text_of(peer->identity, TEXT_LEN);
}

static void restore(struct broker *broker, const struct kept *kept, uint32_t slot)
{
	const struct memory *memory = broker->memory;
	uint64_t age = unix_ms() - kept->accepted_unix_ms;
	int pool = find_pool(broker, memory->names[kept->pool % MAX_NAMES]);
	struct session *session;

	if (pool < 0)
		return; /* nobody can claim it */
	session = session_restored(broker, kept->id, kept->cookie);
	if (!session)
		return;
	session->slot = slot + 1;
	session->pool = (uint16_t)pool;
	session->accepted_ms = age < broker->loop.now_ms ? broker->loop.now_ms - age : 0;
	session->local = kept->local;
	session->peer = kept->peer;
	session->version = kept->version;
	session->suite = kept->suite;
	session->group = kept->group;
	session->rx_path = kept->rx_path;
	session->tx_path = kept->tx_path;
	session->rx_reason = kept->rx_reason;
	session->tx_reason = kept->tx_reason;
	session->resumed = kept->resumed;
	session->peer_verified = kept->peer_verified;
	session->can_rekey = kept->can_rekey;
	session->role = kept->role == SLUICE_CLIENT ? SLUICE_CLIENT : SLUICE_SERVER;
	session->handshake_us = kept->handshake_us;
	session->rx_epoch = (uint32_t)keys_of(kept, true)->epoch;
	session->tx_epoch = (uint32_t)keys_of(kept, false)->epoch;
	session->alpn = text_of(memory->names[kept->alpn % MAX_NAMES], NAME_LEN);
	restore_beside(memory, kept, session);
	metrics_live(broker, session);
}

static size_t restore_all(struct broker *broker)
{
	struct memory *memory = broker->memory;
	uint32_t slot, used = atomic_load(&memory->head->used);
	size_t n = broker->sessions.n;

	sweep_names(memory);

	for (slot = 0; slot < used; slot++) {
		if (atomic_load(&memory->records[slot].id))
			restore(broker, &memory->records[slot], slot);
		else
			memory->free[memory->n_free++] = slot;
	}
	if (broker->sessions.last_id < atomic_load(&memory->head->last_id))
		broker->sessions.last_id = atomic_load(&memory->head->last_id);
	return broker->sessions.n - n;
}

void memory_open(struct broker *broker)
{
	int fd = service_stored("sluice-sessions");

	if (fd >= 0)
		broker->memory = reopen(fd);
	if (broker->memory) {
		log_line(broker, CONFIG_LOG_INFO, "%zu sessions of the broker before this one",
			 restore_all(broker));
		return;
	}
	if (fd >= 0) {
		log_line(
			broker, CONFIG_LOG_WARNING,
			"what the broker before this one left cannot be read: its sessions are forgotten");
		service_unstore("sluice-sessions");
		close(fd);
	}
	broker->memory = make();
	if (broker->memory)
		service_store("sluice-sessions", broker->memory->fd);
	else
		log_line(broker, CONFIG_LOG_WARNING, "no memory for what a restart would need: %s",
			 strerror(errno));
}

/* The file itself goes when the service manager lets it go, or with this process. */
void memory_close(struct broker *broker)
{
	struct memory *memory = broker->memory;

	if (!memory)
		return;
	munmap(memory->head, memory->map_len);
	close(memory->fd);
	free(memory->free);
	free(memory);
	broker->memory = NULL;
}
