/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SNI hosts: the list that an option set has, and the table that a profile makes of it. A handshake only
 * looks a name up: whatever can be wrong with a host is found when the profile is built.
 */
#include "options/hosts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "options/options.h"
#include "options/profile.h"

/* --- lists ---------------------------------------------------------------------------------- */

/* struct row - shared by the lists that have it; never changed. */
struct row {
	atomic_uint refs;
	struct sluice_options *opts;
	char name[];
};

struct host_list {
	atomic_uint refs;
	size_t n, room;
	struct row **rows;
};

static void row_unref(struct row *row)
{
	if (atomic_fetch_sub_explicit(&row->refs, 1, memory_order_acq_rel) != 1)
		return;
	sluice_options_free(row->opts);
	free(row);
}

static struct row *row_new(const char *name, const struct sluice_options *opts)
{
	size_t len = strlen(name) + 1;
	struct row *row = malloc(sizeof(*row) + len);

	if (!row || sluice_options_clone(&row->opts, opts) < 0) {
		free(row);
		return NULL;
	}
	atomic_init(&row->refs, 1);
	memcpy(row->name, name, len);
	return row;
}

struct host_list *host_list_ref(struct host_list *list)
{
	if (list)
		atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
	return list;
}

struct host_list *host_list_unref(struct host_list *list)
{
	size_t i;

	if (!list || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (i = 0; i < list->n; i++)
		row_unref(list->rows[i]);
	free(list->rows);
	free(list);
	return NULL;
}

/* A list with the rows of @from (NULL: none) and room for one more. */
static struct host_list *list_copy(const struct host_list *from)
{
	struct host_list *list = calloc(1, sizeof(*list));
	size_t i, n = from ? from->n : 0;

	if (!list)
		return NULL;
	list->room = n + 8;
	list->rows = calloc(list->room, sizeof(struct row *));
	if (!list->rows) {
		free(list);
		return NULL;
	}
	atomic_init(&list->refs, 1);
	for (i = 0; i < n; i++) {
		list->rows[i] = from->rows[i];
		atomic_fetch_add_explicit(&list->rows[i]->refs, 1, memory_order_relaxed);
	}
	list->n = n;
	return list;
}

/* Makes room for one more in a list that nobody shares. */
static int list_grow(struct host_list *list)
{
	struct row **rows;

	if (list->n < list->room)
		return 0;
	rows = realloc(list->rows, 2 * list->room * sizeof(*rows));
	if (!rows)
		return -SLUICE_E_NOMEM;
	list->rows = rows;
	list->room *= 2;
	return 0;
}

int host_list_add(struct host_list **list, const char *name, const struct sluice_options *opts)
{
	bool alone = *list && atomic_load_explicit(&(*list)->refs, memory_order_acquire) == 1;
	struct host_list *own = alone ? *list : list_copy(*list);
	struct row *row;

	if (*list && (*list)->n >= OPTION_MAX_HOSTS) {
		if (!alone)
			host_list_unref(own);
		return -SLUICE_E_OPTION_RANGE;
	}
	row = own && list_grow(own) == 0 ? row_new(name, opts) : NULL;
	if (!row) {
		if (!alone)
			host_list_unref(own);
		return -SLUICE_E_NOMEM;
	}
	own->rows[own->n++] = row;
	if (!alone)
		host_list_unref(*list);
	*list = own;
	return 0;
}

/* --- tables --------------------------------------------------------------------------------- */

struct host_table {
	atomic_uint refs;
	struct host_list *list; /* what the names and options are of */
	size_t n;
	struct host hosts[]; /* by name */
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct host *)a)->name, ((const struct host *)b)->name);
}

static int build(struct host *host, const struct sluice_profile *base, struct sluice_error *err)
{
	struct sluice_error why;
	int r;

	err_clear(&why);
	r = options_check_late(host->opts, SLUICE_SERVER, &why);
	if (!r)
		r = profile_derive(&host->profile, base, host->opts, &why);
	if (!r && profile_bind(host->profile, host->name) < 0)
		r = err_set(&why, SLUICE_E_NOMEM, "no memory for a profile");
	if (r < 0) {
		err_set(err, -r, "sni_hosts: %.80s: %s", host->name, why.text);
		if (err) {
			err->sys_errno = why.sys_errno;
			err->bssl_error = why.bssl_error;
		}
	}
	return r;
}

static int build_all(struct host_table *table, const struct sluice_profile *base,
		     struct sluice_error *err)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < table->n; i++) {
		if (i && !by_name(&table->hosts[i - 1], &table->hosts[i]))
			return err_set(err, SLUICE_E_OPTION_CONFLICT,
				       "sni_hosts: %.80s is there twice", table->hosts[i].name);
		r = build(&table->hosts[i], base, err);
	}
	return r;
}

int host_table_new(struct host_table **ret_table, struct host_list *list,
		   const struct sluice_profile *base, struct sluice_error *ret_err)
{
	struct host_table *table = calloc(1, sizeof(*table) + list->n * sizeof(struct host));
	size_t i;
	int r;

	if (!table)
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for sni_hosts");
	atomic_init(&table->refs, 1);
	table->list = host_list_ref(list);
	table->n = list->n;
	for (i = 0; i < list->n; i++)
		table->hosts[i] = (struct host){ list->rows[i]->name, list->rows[i]->opts, NULL };
	qsort(table->hosts, table->n, sizeof(struct host), by_name);
	r = build_all(table, base, ret_err);
	if (r < 0) {
		host_table_unref(table);
		return r;
	}
	*ret_table = table;
	return 0;
}

struct host_table *host_table_ref(struct host_table *table)
{
	if (table)
		atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
	return table;
}

struct host_table *host_table_unref(struct host_table *table)
{
	size_t i;

	if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	for (i = 0; i < table->n; i++)
		sluice_profile_unref(table->hosts[i].profile);
	host_list_unref(table->list);
	free(table);
	return NULL;
}

static const struct host *find(const struct host_table *table, const char *name)
{
	const struct host key = { .name = name };

	return bsearch(&key, table->hosts, table->n, sizeof(key), by_name);
}

const struct host *host_table_find(const struct host_table *table, const char *server_name)
{
	char name[HOST_NAME_LONGEST + 1];
	const struct host *host;
	const char *wildcard;

	if (!host_name_fold(name, server_name))
		return NULL;
	host = find(table, name);
	wildcard = host ? NULL : host_name_wildcard(name);
	return wildcard ? find(table, wildcard) : host;
}
