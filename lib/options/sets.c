/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of option sets: what an option set has in it where one value is not enough. A list is shared by
 * the copies of its option set, and what is in it never changes.
 */
#include "options/sets.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* struct row - shared by the lists that have it; never changed. */
struct row {
	atomic_uint refs;
	struct sluice_options *opts;
	char name[];
};

struct set_list {
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

struct set_list *set_list_ref(struct set_list *list)
{
	if (list)
		atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
	return list;
}

struct set_list *set_list_unref(struct set_list *list)
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
static struct set_list *list_copy(const struct set_list *from)
{
	struct set_list *list = calloc(1, sizeof(*list));
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
static int list_grow(struct set_list *list)
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

int set_list_add(struct set_list **list, const char *name, const struct sluice_options *opts,
		 size_t max)
{
	bool alone = *list && atomic_load_explicit(&(*list)->refs, memory_order_acquire) == 1;
	struct set_list *own = alone ? *list : list_copy(*list);
	struct row *row;

	if (*list && (*list)->n >= max) {
		if (!alone)
			set_list_unref(own);
		return -SLUICE_E_OPTION_RANGE;
	}
	row = own && list_grow(own) == 0 ? row_new(name, opts) : NULL;
	if (!row) {
		if (!alone)
			set_list_unref(own);
		return -SLUICE_E_NOMEM;
	}
	own->rows[own->n++] = row;
	if (!alone)
		set_list_unref(*list);
	*list = own;
	return 0;
}

size_t set_list_count(const struct set_list *list)
{
	return list ? list->n : 0;
}

const struct sluice_options *set_list_at(const struct set_list *list, size_t i)
{
	return list->rows[i]->opts;
}

const char *set_list_name(const struct set_list *list, size_t i)
{
	return list->rows[i]->name;
}
