// SPDX-License-Identifier: Apache-2.0
/* Reading a set of revocation lists. The file is another process's: nothing of it is believed. */
#include "common/crl-set.h"

#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/error.h"
#include "crl/index.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool has(const struct crl_set *set, const struct crl_blob *blob, size_t max)
{
	return blob->at <= set->map_len && blob->len <= set->map_len - blob->at && blob->len <= max;
}

static bool is_good(const struct crl_set *set, const struct crl_set_row *row)
{
	uint64_t size = (uint64_t)row->serial_len + 1;

	if (!has(set, &row->der, SLUICE_CRL_MAX_DER) || !row->der.len ||
	    !has(set, &row->core, SLUICE_CRL_MAX_DER) ||
	    !has(set, &row->entries, CRL_SET_MAX_BYTES) ||
	    !has(set, &row->path, CRL_SET_MAX_TEXT) || !has(set, &row->uri, CRL_SET_MAX_TEXT) ||
	    !has(set, &row->issuer, CRL_SET_MAX_TEXT))
		return false;
	if (row->number_len > CRL_SET_MAX_NUMBER || row->serial_len > CRL_INDEX_MAX_SERIAL)
		return false;
	return !row->core.len || row->entries.len % size == 0;
}

static bool check(struct crl_set *set)
{
	struct crl_set_head head;
	size_t i;

	if (set->map_len < sizeof(head))
		return false;
	memcpy(&head, set->map, sizeof(head));
	if (head.magic != CRL_SET_MAGIC || head.n_rows > CRL_SET_MAX ||
	    head.rows_at > set->map_len || head.rows_at % alignof(struct crl_set_row) ||
	    head.n_rows > (set->map_len - head.rows_at) / sizeof(struct crl_set_row))
		return false;
	set->rows = (const struct crl_set_row *)(const void *)(set->map + head.rows_at);
	set->n_rows = head.n_rows;
	for (i = 0; i < set->n_rows; i++)
		if (!is_good(set, &set->rows[i]))
			return false;
	return true;
}

int crl_set_open(struct crl_set *ret_set, int fd)
{
	struct crl_set set = { 0 };
	struct stat st;
	void *map;

	if (fstat(fd, &st) || st.st_size <= 0 || st.st_size > CRL_SET_MAX_BYTES ||
	    (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS)
		return -SLUICE_E_PROTOCOL;
	set.map_len = (size_t)st.st_size;
	map = mmap(NULL, set.map_len, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -SLUICE_E_NOMEM;
	set.map = map;
	if (!check(&set)) {
		munmap(map, set.map_len);
		return -SLUICE_E_PROTOCOL;
	}
	*ret_set = set;
	return 0;
}

void crl_set_close(struct crl_set *set)
{
	if (set->map)
		munmap((void *)set->map, set->map_len);
	*set = (struct crl_set){ 0 };
}

bool crl_set_is(const struct crl_set *set, const struct crl_blob *blob, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	return blob->len == len && !memcmp(crl_set_bytes(set, blob), text ? text : "", len);
}

const struct crl_set_row *crl_set_find(const struct crl_set *set, const uint8_t sha256[32])
{
	size_t i;

	for (i = 0; i < set->n_rows; i++)
		if (!memcmp(set->rows[i].sha256, sha256, 32))
			return &set->rows[i];
	return NULL;
}
