// SPDX-License-Identifier: Apache-2.0
/*
 * The built-in cache: parsed CRLs in memory, by issuer and by the URIs of distribution points.
 * Called by programs to insert and delete, and by handshakes in any thread to look up; these only
 * take references, so that nobody waits for a CRL to be parsed or hashed.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "core/error.h"
#include "crl/crl.h"
#include "fetch/fetch.h"

#define MAX_TEXT 4095 /* bytes of a path or URI */

struct entry {
	struct sluice_crl *crl;
	char *uri, *path; /* NULL: inserted without */
};

struct sluice_crl_db {
	pthread_rwlock_t lock;
	struct entry *entries;
	size_t n;
};

static struct sluice_crl_db process_db = { .lock = PTHREAD_RWLOCK_INITIALIZER };

static struct sluice_crl_db *db_of(void *db)
{
	return db ? db : &process_db;
}

int sluice_crl_db_new(struct sluice_crl_db **ret_db)
{
	struct sluice_crl_db *db;

	if (!ret_db)
		return -SLUICE_E_INVALID;
	db = calloc(1, sizeof(*db));
	if (!db)
		return -SLUICE_E_NOMEM;
	pthread_rwlock_init(&db->lock, NULL);
	*ret_db = db;
	return 0;
}

static void entry_clear(struct entry *entry)
{
	sluice_crl_unref(entry->crl);
	free(entry->uri);
	free(entry->path);
}

struct sluice_crl_db *sluice_crl_db_free(struct sluice_crl_db *db)
{
	size_t i;

	if (!db)
		return NULL;
	for (i = 0; i < db->n; i++)
		entry_clear(&db->entries[i]);
	free(db->entries);
	pthread_rwlock_destroy(&db->lock);
	free(db);
	return NULL;
}

/* --- insert ----------------------------------------------------------------------------------- */

static bool entry_init(struct entry *entry, struct sluice_crl *crl, const char *uri,
		       const char *path)
{
	*entry = (struct entry){ .crl = sluice_crl_ref(crl) };
	if (uri)
		entry->uri = strdup(uri);
	if (path)
		entry->path = strdup(path);
	if ((!uri || entry->uri) && (!path || entry->path))
		return true;
	entry_clear(entry);
	return false;
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool has_entry(const struct sluice_crl_db *db, const struct entry *entry)
{
	const struct entry *other;
	size_t i;

	for (i = 0; i < db->n; i++) {
		other = &db->entries[i];
		if (!memcmp(other->crl->sha256, entry->crl->sha256, SHA256_DIGEST_LENGTH) &&
		    is_same_text(other->uri, entry->uri) && is_same_text(other->path, entry->path))
			return true;
	}
	return false;
}

/* Moves @n entries into @db, or none. What is there already is not put there twice. */
static int put_entries(struct sluice_crl_db *db, struct entry *new, size_t n)
{
	struct entry *entries;
	size_t i;

	if (db->n + n > SLUICE_CRL_MAX_CACHE)
		return -SLUICE_E_OPTION_RANGE;
	entries = realloc(db->entries, (db->n + n) * sizeof(*entries));
	if (!entries)
		return -SLUICE_E_NOMEM;
	db->entries = entries;
	for (i = 0; i < n; i++) {
		if (has_entry(db, &new[i])) {
			entry_clear(&new[i]);
			continue;
		}
		entries[db->n++] = new[i];
	}
	return 0;
}

static int insert(struct sluice_crl_db *db, const struct crl_list *list, const char *uri,
		  const char *path, struct sluice_error *err)
{
	struct entry *entries = calloc(list->n, sizeof(*entries));
	size_t i = 0;
	int r = -SLUICE_E_NOMEM;

	while (entries && i < list->n && entry_init(&entries[i], list->crls[i], uri, path))
		i++;
	if (entries && i == list->n) {
		pthread_rwlock_wrlock(&db->lock);
		r = put_entries(db, entries, i);
		pthread_rwlock_unlock(&db->lock);
	}
	while (r < 0 && i)
		entry_clear(&entries[--i]);
	free(entries);
	if (r == -SLUICE_E_OPTION_RANGE)
		return err_set(err, -r, "the cache has room for %d CRLs", SLUICE_CRL_MAX_CACHE);
	return r < 0 ? err_set(err, -r, "no memory for a CRL") : 0;
}

static bool is_text(const char *text)
{
	return text && text[0] && strnlen(text, MAX_TEXT + 1) <= MAX_TEXT;
}

static int list_der(struct crl_list *list, const void *der, size_t der_len,
		    struct sluice_error *err)
{
	struct sluice_crl *crl;
	int r = sluice_crl_parse(&crl, der, der_len, err);

	if (r < 0)
		return r;
	if (crl_list_add(list, crl, 1) < 0)
		r = err_set(err, SLUICE_E_NOMEM, "no memory for a CRL");
	sluice_crl_unref(crl);
	return r;
}

/* Reads from @path, or takes @der where it is NULL, and inserts. */
static int read_and_insert(struct sluice_crl_db *db, const char *uri, const char *path,
			   const void *der, size_t der_len, struct sluice_error *err)
{
	struct crl_list list = { 0 };
	int r;

	err_clear(err);
	if (path ? !is_text(path) : !der)
		return err_set(err, SLUICE_E_INVALID, "no file, or no bytes");
	r = path ? crl_file_read(&list, path, false, err) : list_der(&list, der, der_len, err);
	if (!r)
		r = insert(db_of(db), &list, uri, path, err);
	crl_list_clear(&list);
	return r;
}

int sluice_crl_insert_file(struct sluice_crl_db *db, const char *path, struct sluice_error *ret_err)
{
	if (!path)
		return err_set(ret_err, SLUICE_E_INVALID, "no file");
	return read_and_insert(db, NULL, path, NULL, 0, ret_err);
}

int sluice_crl_insert_der(struct sluice_crl_db *db, const void *der, size_t der_len,
			  struct sluice_error *ret_err)
{
	return read_and_insert(db, NULL, NULL, der, der_len, ret_err);
}

int sluice_crl_insert_uri(struct sluice_crl_db *db, const char *uri, const char *path,
			  const void *der, size_t der_len, struct sluice_error *ret_err)
{
	if (!is_text(uri))
		return err_set(ret_err, SLUICE_E_INVALID, "no URI");
	return read_and_insert(db, uri, path, der, der_len, ret_err);
}

/* --- delete ----------------------------------------------------------------------------------- */

/* struct key - what to delete by; one member is set. */
struct key {
	const char *uri, *path;
	const uint8_t *sha256;
};

static bool is_meant(const struct entry *entry, const struct key *key)
{
	if (key->sha256)
		return !memcmp(entry->crl->sha256, key->sha256, SHA256_DIGEST_LENGTH);
	if (key->uri)
		return entry->uri && !strcmp(entry->uri, key->uri);
	return entry->path && !strcmp(entry->path, key->path);
}

static int delete_by(struct sluice_crl_db *db, const struct key *key)
{
	size_t i, kept = 0, n;

	db = db_of(db);
	pthread_rwlock_wrlock(&db->lock);
	n = db->n;
	for (i = 0; i < n; i++) {
		if (is_meant(&db->entries[i], key))
			entry_clear(&db->entries[i]);
		else
			db->entries[kept++] = db->entries[i];
	}
	db->n = kept;
	pthread_rwlock_unlock(&db->lock);
	return kept < n ? 0 : -SLUICE_E_UNDEFINED;
}

int sluice_crl_delete_uri(struct sluice_crl_db *db, const char *uri)
{
	return uri ? delete_by(db, &(struct key){ .uri = uri }) : -SLUICE_E_INVALID;
}

int sluice_crl_delete_file(struct sluice_crl_db *db, const char *path)
{
	return path ? delete_by(db, &(struct key){ .path = path }) : -SLUICE_E_INVALID;
}

int sluice_crl_delete_der(struct sluice_crl_db *db, const void *der, size_t der_len)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!der)
		return -SLUICE_E_INVALID;
	SHA256(der, der_len, digest);
	return delete_by(db, &(struct key){ .sha256 = digest });
}

/* --- the operations --------------------------------------------------------------------------- */

static int check_args(void *db, const char *args, struct sluice_error *ret_err)
{
	return args[0] ? fetch_args_check(args, ret_err) : 0;
}

static bool has_uri(const struct sluice_dist_point *point, const char *uri)
{
	size_t i;

	for (i = 0; uri && i < point->n_uris; i++)
		if (!strcmp(point->uris[i], uri))
			return true;
	return false;
}

static int lookup(void *handle, const char *args, const struct sluice_dist_point *point,
		  struct sluice_crl_found *found)
{
	struct sluice_crl_db *db = db_of(handle);
	bool any = false;
	size_t i;
	int r = 0;

	pthread_rwlock_rdlock(&db->lock);
	for (i = 0; !r && i < db->n; i++) {
		if (!has_uri(point, db->entries[i].uri))
			continue;
		r = sluice_crl_found_add(found, db->entries[i].crl);
		any = true;
	}
	pthread_rwlock_unlock(&db->lock);
	if (any || !args[0])
		return r < 0 || any ? r : SLUICE_CRL_NOT_AVAILABLE;
	return fetch_crl_wait(args, point, found);
}

static int add_by_issuer(const struct sluice_crl_db *db, X509_NAME *issuer,
			 struct sluice_crl_found *found)
{
	uint32_t hash = (uint32_t)X509_NAME_hash(issuer);
	struct sluice_crl *crl;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < db->n; i++) {
		crl = db->entries[i].crl;
		if (crl->issuer_hash == hash &&
		    !X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), issuer))
			r = sluice_crl_found_add(found, crl);
	}
	return r;
}

static int select_issuer(void *handle, const char *args, const uint8_t *issuer, size_t issuer_len,
			 struct sluice_crl_found *found)
{
	struct sluice_crl_db *db = db_of(handle);
	X509_NAME *name = d2i_X509_NAME(NULL, &issuer, (long)issuer_len);
	int r;

	if (!name)
		return err_bssl();
	pthread_rwlock_rdlock(&db->lock);
	r = add_by_issuer(db, name, found);
	pthread_rwlock_unlock(&db->lock);
	X509_NAME_free(name);
	return r;
}

/* A newer CRL of the same scope replaces an older one that nobody has deleted. */
static struct sluice_crl *fresh_crl(void *handle, const char *args,
				    const struct sluice_dist_point *point, struct sluice_crl *crl)
{
	struct sluice_crl_db *db = db_of(handle);
	struct sluice_crl *newest = crl;
	size_t i;

	pthread_rwlock_rdlock(&db->lock);
	for (i = 0; i < db->n; i++)
		if (crl_supersedes(db->entries[i].crl, newest))
			newest = db->entries[i].crl;
	sluice_crl_ref(newest);
	pthread_rwlock_unlock(&db->lock);
	return newest;
}

const struct sluice_crl_cache_ops sluice_crl_internal_ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.check_args = check_args,
	.lookup = lookup,
	.select = select_issuer,
	.fresh_crl = fresh_crl,
};
