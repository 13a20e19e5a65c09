/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SNI hosts: the table that a profile makes of the list that an option set has. A handshake only
 * looks a name up: whatever can be wrong with a host is found when the profile is built.
 */
#include "options/hosts.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "options/options.h"
#include "options/profile.h"

struct host_table {
	atomic_uint refs;
	struct set_list *list; /* what the names and options are of */
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

int host_table_new(struct host_table **ret_table, struct set_list *list,
		   const struct sluice_profile *base, struct sluice_error *ret_err)
{
	struct host_table *table =
		calloc(1, sizeof(*table) + set_list_count(list) * sizeof(struct host));
	size_t i;
	int r;

	if (!table)
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for sni_hosts");
	atomic_init(&table->refs, 1);
	table->list = set_list_ref(list);
	table->n = set_list_count(list);
	for (i = 0; i < set_list_count(list); i++)
		table->hosts[i] =
			(struct host){ set_list_name(list, i), set_list_at(list, i), NULL };
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
	set_list_unref(table->list);
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
