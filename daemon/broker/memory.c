// SPDX-License-Identifier: Apache-2.0
/*
 * What outlives the broker: the sessions that workers have, and the secrets of their next keys, in a
 * memory file that the service manager keeps (sd_notify FDSTORE) and gives to the next broker. Killed at
 * any moment, it leaves a file that reads: a record's number is written last and cleared first, and keys
 * lie in two places of which one is in force. Whether the last step of a rekey went into the socket is
 * asked of the socket itself (rekey.c). The file is the only place of a handed-over session's secrets: a
 * second copy would double what a connection costs here.
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

#define MAGIC 0x32656375736c75ull /* a file of another version is not read */
#define CAPACITY 131072           /* sessions; pages are taken as they are used */
#define NAME_LEN 32
#define SNI_LEN 64
#define IDENTITY_LEN 256

struct kept_keys {
	uint64_t epoch;
	uint8_t secret[SUITE_MAX_HASH];
	uint8_t secret_len; /* 0: none */
};

struct kept {
	_Atomic uint64_t id; /* 0: free */
	uint64_t cookie, accepted_unix_ms;
	struct sockaddr_in6 local, peer;
	struct proxied proxied; /* where its family is not 0 */
	uint16_t version, suite, group;
	uint8_t rx_path, tx_path, rx_reason, tx_reason;
	uint8_t resumed, peer_verified, can_rekey, has_peer,
		role; /* role 0: an older file's server */
	uint32_t handshake_us;
	uint8_t peer_sha256[32];
	uint8_t has_identity;
	char pool[NAME_LEN], sni[SNI_LEN], alpn[NAME_LEN];
	_Atomic uint8_t rx_at, tx_at; /* which of the two is in force */
	struct kept_keys rx[2], tx[2];
};

struct memory_head {
	uint64_t magic;
	uint32_t record_size, capacity;
	_Atomic uint32_t used; /* records behind it were never written */
	_Atomic uint64_t last_id;
};

struct memory {
	struct memory_head *head;
	struct kept *records;
	char *identities; /* of each record, IDENTITY_LEN bytes: pages of those that have none stay away */
	size_t map_len;
	uint32_t *free; /* slots below head->used */
	uint32_t n_free;
	int fd;
};

static uint64_t unix_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

#define FILE_LEN (4096 + CAPACITY * (sizeof(struct kept) + IDENTITY_LEN))

static char *identity_at(const struct memory *memory, uint32_t slot)
{
	return memory->identities + (size_t)slot * IDENTITY_LEN;
}

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
	memory->records = (struct kept *)((char *)p + 4096);
	memory->identities = (char *)(memory->records + CAPACITY);
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

static void put_keys(struct kept_keys keys[2], _Atomic uint8_t *at, const struct traffic *traffic)
{
	uint8_t next = !atomic_load(at);

	memset(&keys[next], 0, sizeof(keys[next]));
	if (traffic) {
		keys[next].epoch = traffic->epoch;
		keys[next].secret_len = (uint8_t)traffic->secret_len;
		memcpy(keys[next].secret, traffic->secret, SUITE_MAX_HASH);
	}
	atomic_store(at, next);
	secret_wipe(&keys[!next], sizeof(keys[!next]));
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

void memory_keep(struct broker *broker, struct session *session)
{
	struct kept *kept;

	if (!broker->memory || session->slot)
		return;
	session->slot = take_slot(broker->memory);
	kept = slot_of(broker, session);
	if (!kept)
		return; /* served like any other, and forgotten with this broker */
	kept->cookie = session->cookie;
	kept->accepted_unix_ms = unix_ms() - (broker->loop.now_ms - session->accepted_ms);
	kept->local = session->local;
	kept->peer = session->peer;
	kept->proxied = session->proxied ? *session->proxied : (struct proxied){ 0 };
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
	kept->has_peer = session->has_peer;
	kept->role = session->role;
	kept->handshake_us = session->handshake_us;
	memcpy(kept->peer_sha256, session->peer_sha256, sizeof(kept->peer_sha256));
	strncpy(kept->pool, broker->pools[session->pool].config->name, NAME_LEN - 1);
	strncpy(kept->sni, session->sni ? session->sni : "", SNI_LEN - 1);
	strncpy(kept->alpn, session->alpn ? session->alpn : "", NAME_LEN - 1);
	kept->has_identity = session->identity != NULL;
	if (session->identity) /* the rest is zeros: a slot is wiped when it is given back */
		strncpy(identity_at(broker->memory, session->slot - 1), session->identity,
			IDENTITY_LEN - 1);
	put_keys(kept->rx, &kept->rx_at, session->rx);
	put_keys(kept->tx, &kept->tx_at, session->tx);
	session->rx = traffic_free(session->rx);
	session->tx = traffic_free(session->tx);
	atomic_store(&kept->id, session->id);
	atomic_store(&broker->memory->head->last_id, broker->sessions.last_id);
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
	return get_keys(receiving ? &kept->rx[kept->rx_at & 1] : &kept->tx[kept->tx_at & 1],
			suite_find(session->suite));
}

void memory_put_keys(struct broker *broker, struct session *session, bool receiving,
		     struct traffic *traffic)
{
	struct kept *kept = broker->memory ? slot_of(broker, session) : NULL;

	if (!kept) {
		*(receiving ? &session->rx : &session->tx) = traffic;
		return;
	}
	if (receiving)
		put_keys(kept->rx, &kept->rx_at, traffic);
	else
		put_keys(kept->tx, &kept->tx_at, traffic);
	traffic_free(traffic);
}

void memory_forget(struct broker *broker, struct session *session)
{
	struct kept *kept = broker->memory ? slot_of(broker, session) : NULL;

	if (!kept)
		return;
	atomic_store(&kept->id, 0);
	if (kept->has_identity)
		memset(identity_at(broker->memory, session->slot - 1), 0, IDENTITY_LEN);
	secret_wipe(kept, sizeof(*kept));
	broker->memory->free[broker->memory->n_free++] = session->slot - 1;
	session->slot = 0;
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

static void restore(struct broker *broker, const struct kept *kept, uint32_t slot)
{
	uint64_t age = unix_ms() - kept->accepted_unix_ms;
	int pool = find_pool(broker, kept->pool);
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
	if (kept->proxied.source.sin6_family && (session->proxied = malloc(sizeof(kept->proxied))))
		*session->proxied = kept->proxied;
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
	session->has_peer = kept->has_peer;
	session->role = kept->role == SLUICE_CLIENT ? SLUICE_CLIENT : SLUICE_SERVER;
	session->handshake_us = kept->handshake_us;
	session->rx_epoch = (uint32_t)kept->rx[kept->rx_at & 1].epoch;
	session->tx_epoch = (uint32_t)kept->tx[kept->tx_at & 1].epoch;
	memcpy(session->peer_sha256, kept->peer_sha256, sizeof(kept->peer_sha256));
	session->sni = text_of(kept->sni, SNI_LEN);
	session->alpn = text_of(kept->alpn, NAME_LEN);
	if (kept->has_identity)
		session->identity = text_of(identity_at(broker->memory, slot), IDENTITY_LEN);
	metrics_live(broker, session);
}

static size_t restore_all(struct broker *broker)
{
	struct memory *memory = broker->memory;
	uint32_t slot, used = atomic_load(&memory->head->used);
	size_t n = broker->sessions.n;

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
	if (fd >= 0)
		close(fd);
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
