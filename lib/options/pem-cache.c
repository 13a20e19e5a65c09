/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PEM cache. What is kept is what was parsed, shared with the profiles that have it: BoringSSL's objects,
 * which are immutable here and wiped when the last user frees them. A file is looked at by stat(2) at each use,
 * which costs what asking inotify(7) would, needs no descriptor in other people's processes, and sees what
 * symbolic links and network file systems hide from that. So nobody is given what a file had before; the
 * interval is only for how long something stays that nobody asks for any more.
 *
 * Files are looked at, read and parsed without the lock: one that blocks stops nobody else.
 */
#include "options/pem-cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include <openssl/evp.h>

#include <sluice/options.h>

#include "core/error.h"
#include "core/sys.h"

#define RACY_S 2 /* a file that changed so recently may change again without another stamp */

enum kind {
	KIND_CERTS,
	KIND_LENIENT,
	KIND_KEY,
};

struct entry {
	TAILQ_ENTRY(entry) all;
	enum kind kind;
	struct pem_stamp stamp;
	STACK_OF(CRYPTO_BUFFER) * certs; /* KIND_CERTS, KIND_LENIENT */
	EVP_PKEY *key;                   /* KIND_KEY */
	bool used;                       /* since the last check */
	char path[];
};
TAILQ_HEAD(entries, entry);

static struct {
	pthread_mutex_t lock;
	struct entries entries; /* the one used last comes first */
	size_t n, bytes;
	uint64_t interval_us, checked_us;
} cache = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.entries = TAILQ_HEAD_INITIALIZER(cache.entries),
	.interval_us = 1000ull * SLUICE_PEM_CACHE_CLEAN_MS,
};

/* --- entries -------------------------------------------------------------------------------------- */

static void entry_free(struct entry *entry)
{
	sk_CRYPTO_BUFFER_pop_free(entry->certs, CRYPTO_BUFFER_free);
	EVP_PKEY_free(entry->key);
	free(entry);
}

static void drop(struct entry *entry)
{
	TAILQ_REMOVE(&cache.entries, entry, all);
	cache.n--;
	cache.bytes -= (size_t)entry->stamp.size;
	entry_free(entry);
}

/* Drops what was not asked for since the last time; what is asked for is held against its file. */
static void check_all(void)
{
	uint64_t now = sys->now_us();
	struct entry *entry, *next;

	if (now - cache.checked_us < cache.interval_us)
		return;
	cache.checked_us = now;
	for (entry = TAILQ_FIRST(&cache.entries); entry; entry = next) {
		next = TAILQ_NEXT(entry, all);
		if (!entry->used)
			drop(entry);
		else
			entry->used = false;
	}
}

static struct entry *find(enum kind kind, const char *path)
{
	struct entry *entry;

	TAILQ_FOREACH(entry, &cache.entries, all)
	{
		if (entry->kind == kind && !strcmp(entry->path, path))
			return entry;
	}
	return NULL;
}

/* What there is of a file whose stamp is still @now (NULL: it has none), or NULL. */
static struct entry *find_current(enum kind kind, const char *path, const struct pem_stamp *now)
{
	struct entry *entry = find(kind, path);

	if (entry && !(now && pem_stamp_same(now, &entry->stamp))) {
		drop(entry);
		return NULL;
	}
	if (entry) {
		entry->used = true;
		TAILQ_REMOVE(&cache.entries, entry, all);
		TAILQ_INSERT_HEAD(&cache.entries, entry, all);
	}
	return entry;
}

/* Another thread may have read the same file meanwhile: the later one stays. */
static void insert(struct entry *entry)
{
	struct entry *old;

	pthread_mutex_lock(&cache.lock);
	old = find(entry->kind, entry->path);
	if (old)
		drop(old);
	TAILQ_INSERT_HEAD(&cache.entries, entry, all);
	cache.n++;
	cache.bytes += (size_t)entry->stamp.size;
	while (cache.n > PEM_CACHE_FILES || cache.bytes > PEM_CACHE_BYTES)
		drop(TAILQ_LAST(&cache.entries, entries));
	pthread_mutex_unlock(&cache.lock);
}

/* What cannot be read any more is not there any more, in whatever form. */
static void forget(const char *path)
{
	static const enum kind kinds[] = { KIND_CERTS, KIND_LENIENT, KIND_KEY };
	struct entry *entry;
	size_t i;

	pthread_mutex_lock(&cache.lock);
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		entry = find(kinds[i], path);
		if (entry)
			drop(entry);
	}
	pthread_mutex_unlock(&cache.lock);
}

static int read_file(struct pem_file *ret_file, struct pem_stamp *ret_stamp, const char *option,
		     const char *path, struct sluice_error *err)
{
	int r = pem_file_read_stamp(ret_file, ret_stamp, option, path, err);

	if (r < 0)
		forget(path);
	return r;
}

/* A file that may change without its stamp is not kept, nor is one that has no stamp. */
static bool is_worth_it(const struct pem_stamp *stamp)
{
	return stamp->ino && sys->wall_s() - stamp->ctime_ns / 1000000000 >= RACY_S;
}

/* --- certificates --------------------------------------------------------------------------------- */

static STACK_OF(CRYPTO_BUFFER) * share(const STACK_OF(CRYPTO_BUFFER) * certs)
{
	STACK_OF(CRYPTO_BUFFER) *copy = sk_CRYPTO_BUFFER_new_null();
	CRYPTO_BUFFER *cert;
	size_t i;

	for (i = 0; copy && i < sk_CRYPTO_BUFFER_num(certs); i++) {
		cert = sk_CRYPTO_BUFFER_value(certs, i);
		if (!sk_CRYPTO_BUFFER_push(copy, cert)) {
			sk_CRYPTO_BUFFER_pop_free(copy, CRYPTO_BUFFER_free);
			return NULL;
		}
		CRYPTO_BUFFER_up_ref(cert);
	}
	return copy;
}

/* Keeps certificates, or a key; without memory it does not. */
static void keep(enum kind kind, const char *path, const struct pem_stamp *stamp,
		 const STACK_OF(CRYPTO_BUFFER) * certs, EVP_PKEY *key)
{
	size_t len = strlen(path) + 1;
	struct entry *entry;

	if (!is_worth_it(stamp))
		return;
	entry = calloc(1, sizeof(*entry) + len);
	if (!entry)
		return;
	entry->kind = kind;
	entry->stamp = *stamp;
	entry->used = true;
	memcpy(entry->path, path, len);
	if (key)
		EVP_PKEY_up_ref(key);
	entry->key = key;
	entry->certs = certs ? share(certs) : NULL;
	if (certs && !entry->certs)
		entry_free(entry);
	else
		insert(entry);
}

int pem_cache_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const char *option, const char *path,
		    const char *what, bool lenient, struct sluice_error *ret_err)
{
	enum kind kind = lenient ? KIND_LENIENT : KIND_CERTS;
	STACK_OF(CRYPTO_BUFFER) *certs = NULL;
	struct pem_stamp stamp, now;
	bool there = pem_stamp_path(&now, path);
	struct pem_file file;
	struct entry *entry;
	int r;

	pthread_mutex_lock(&cache.lock);
	check_all();
	entry = find_current(kind, path, there ? &now : NULL);
	if (entry)
		certs = share(entry->certs);
	pthread_mutex_unlock(&cache.lock);
	if (entry && !certs)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	if (!entry) {
		r = read_file(&file, &stamp, option, path, ret_err);
		if (r < 0)
			return r;
		r = pem_parse_certs(&certs, &file, what, lenient, ret_err);
		pem_file_free(&file);
		if (r < 0)
			return r;
		keep(kind, path, &stamp, certs, NULL);
	}
	*ret_certs = certs;
	return 0;
}

/* --- keys ----------------------------------------------------------------------------------------- */

int pem_cache_key(EVP_PKEY **ret_key, const char *option, const char *path, const char *what,
		  const char *password, struct sluice_error *ret_err)
{
	struct pem_stamp stamp, now;
	bool there = pem_stamp_path(&now, path);
	struct pem_file file;
	struct entry *entry;
	EVP_PKEY *key = NULL;
	int r;

	pthread_mutex_lock(&cache.lock);
	check_all();
	entry = find_current(KIND_KEY, path, there ? &now : NULL);
	if (entry) {
		key = entry->key;
		EVP_PKEY_up_ref(key);
	}
	pthread_mutex_unlock(&cache.lock);
	if (!key) {
		r = read_file(&file, &stamp, option, path, ret_err);
		if (r < 0)
			return r;
		r = pem_parse_key(&key, &file, what, password, ret_err);
		pem_file_free(&file);
		if (r < 0)
			return r;
		if (!password) /* else who does not know it could have the key */
			keep(KIND_KEY, path, &stamp, NULL, key);
	}
	*ret_key = key;
	return 0;
}

/* --- all of it ------------------------------------------------------------------------------------ */

void sluice_clear_pem_cache(void)
{
	pthread_mutex_lock(&cache.lock);
	while (!TAILQ_EMPTY(&cache.entries))
		drop(TAILQ_FIRST(&cache.entries));
	pthread_mutex_unlock(&cache.lock);
}

int sluice_set_pem_cache_clean(int64_t interval_ms)
{
	if (interval_ms < 0 || interval_ms > SLUICE_PEM_CACHE_CLEAN_MAX_MS)
		return -SLUICE_E_OPTION_RANGE;
	pthread_mutex_lock(&cache.lock);
	cache.interval_us = 1000ull * (uint64_t)interval_ms;
	pthread_mutex_unlock(&cache.lock);
	return 0;
}

size_t pem_cache_count(void)
{
	size_t n;

	pthread_mutex_lock(&cache.lock);
	n = cache.n;
	pthread_mutex_unlock(&cache.lock);
	return n;
}
