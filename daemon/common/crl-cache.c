// SPDX-License-Identifier: Apache-2.0
#include "common/crl-cache.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/error.h"
#include "crl/crl.h"
#include "crl/index.h"

/* --- sets ------------------------------------------------------------------------------------------- */

void crl_cache_clear(struct crl_cache *cache)
{
	size_t i;

	for (i = 0; cache->made && i < cache->set.n_rows; i++)
		sluice_crl_unref(cache->made[i]);
	free(cache->made);
	crl_set_close(&cache->set);
	*cache = (struct crl_cache){ 0 };
}

static int make(struct crl_cache *cache, size_t i)
{
	const struct crl_set_row *row = &cache->set.rows[i];
	const uint8_t *der = crl_set_bytes(&cache->set, &row->der);
	struct crl_index index = {
		.der = der,
		.der_len = row->der.len,
		.entries = crl_set_bytes(&cache->set, &row->entries),
		.n = row->entries.len / ((size_t)row->serial_len + 1),
		.serial_len = row->serial_len,
	};

	if (!row->core.len)
		return sluice_crl_parse(&cache->made[i], der, row->der.len, NULL);
	return crl_index_open(&cache->made[i], crl_set_bytes(&cache->set, &row->core),
			      row->core.len, &index, row->sha256);
}

/* To verify the signature of a large CRL takes longer than a handshake. */
static void carry_over(struct crl_cache *cache, const struct crl_cache *old)
{
	size_t i, j;

	for (i = 0; old->made && i < old->set.n_rows; i++) {
		if (!old->made[i])
			continue;
		for (j = 0; j < cache->set.n_rows; j++)
			if (!memcmp(old->set.rows[i].sha256, cache->set.rows[j].sha256, 32))
				break;
		if (j < cache->set.n_rows && !cache->made[j] && make(cache, j) == 0)
			memcpy(cache->made[j]->verdicts, old->made[i]->verdicts,
			       sizeof(cache->made[j]->verdicts));
	}
	ERR_clear_error();
}

int crl_cache_take(struct crl_cache *cache, int fd)
{
	struct crl_cache taken = { 0 };
	int r = crl_set_open(&taken.set, fd);

	if (r < 0)
		return r;
	taken.made = calloc(taken.set.n_rows + 1, sizeof(*taken.made));
	if (!taken.made) {
		crl_set_close(&taken.set);
		return -SLUICE_E_NOMEM;
	}
	carry_over(&taken, cache);
	crl_cache_clear(cache);
	*cache = taken;
	return 0;
}

/* --- the operations --------------------------------------------------------------------------------- */

/* The same encoding may be there from several files: it counts once. */
static bool is_repeated(const struct crl_set *set, size_t i)
{
	size_t j;

	for (j = 0; j < i; j++)
		if (set->rows[j].der.at == set->rows[i].der.at)
			return true;
	return false;
}

/* What cannot be made (no memory: all else was made once, by the writer) leaves the status open. */
static int add(struct crl_cache *cache, size_t i, struct sluice_crl_found *found)
{
	int r = cache->made[i] ? 0 : make(cache, i);

	return r < 0 ? r : sluice_crl_found_add(found, cache->made[i]);
}

static bool has_uri(const struct crl_set *set, const struct crl_set_row *row,
		    const struct sluice_dist_point *point)
{
	size_t i;

	for (i = 0; row->uri.len && i < point->n_uris; i++)
		if (crl_set_is(set, &row->uri, point->uris[i]))
			return true;
	return false;
}

static int lookup(void *db, const char *args, const struct sluice_dist_point *point,
		  struct sluice_crl_found *found)
{
	struct crl_cache *cache = db;
	bool any = false;
	size_t i;
	int r = 0;

	for (i = 0; !r && i < cache->set.n_rows; i++) {
		if (!has_uri(&cache->set, &cache->set.rows[i], point))
			continue;
		r = add(cache, i, found);
		any = true;
	}
	return r < 0 || any ? r : SLUICE_CRL_NOT_AVAILABLE;
}

static int select_issuer(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
			 struct sluice_crl_found *found)
{
	struct crl_cache *cache = db;
	X509_NAME *name = d2i_X509_NAME(NULL, &issuer, (long)issuer_len);
	uint32_t hash;
	size_t i;
	int r = 0;

	if (!name)
		return err_bssl();
	hash = (uint32_t)X509_NAME_hash(name);
	for (i = 0; !r && i < cache->set.n_rows; i++)
		if (cache->set.rows[i].issuer_hash == hash && !is_repeated(&cache->set, i))
			r = add(cache, i, found); /* the check compares the names themselves */
	X509_NAME_free(name);
	return r;
}

/* A newer CRL of the same scope replaces an older one, whatever files they are in. */
static struct sluice_crl *fresh_crl(void *db, const char *args,
				    const struct sluice_dist_point *point, struct sluice_crl *crl)
{
	struct crl_cache *cache = db;
	struct sluice_crl *newest = crl;
	size_t i;

	for (i = 0; i < cache->set.n_rows; i++) {
		if (cache->set.rows[i].issuer_hash != crl->issuer_hash ||
		    (!cache->made[i] && make(cache, i) < 0))
			continue;
		if (crl_supersedes(cache->made[i], newest))
			newest = cache->made[i];
	}
	ERR_clear_error();
	return sluice_crl_ref(newest);
}

const struct sluice_crl_cache_ops crl_cache_ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.lookup = lookup,
	.select = select_issuer,
	.fresh_crl = fresh_crl,
};
