/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in sorted arrays: duplicates and look-ups in n log n whatever the names are, so that who
 * chooses the names of ten thousand hosts cannot make a reload slow, as by collisions of a hash.
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

int index_init(struct parse *p, struct index *index, size_t max)
{
	*index = (struct index){ .entries = calloc(max ? max : 1, sizeof(*index->entries)) };
	return index->entries ? 0 : parse_nomem(p);
}

void index_add(struct index *index, const char *key, const char *key2, struct config_place place,
	       size_t value)
{
	index->entries[index->n++] = (struct index_entry){
		.key = key, .key2 = key2 ? key2 : "", .place = place, .value = value
	};
}

void index_free(struct index *index)
{
	free(index->entries);
	*index = (struct index){ 0 };
}

static int compare_keys(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;
	int r = strcmp(x->key, y->key);

	return r ? r : strcmp(x->key2, y->key2);
}

static int compare_places(struct config_place a, struct config_place b)
{
	if (a.line != b.line)
		return a.line < b.line ? -1 : 1;
	return a.column < b.column ? -1 : a.column > b.column;
}

static int compare(const void *a, const void *b)
{
	const struct index_entry *x = a, *y = b;
	int r = compare_keys(a, b);

	return r ? r : compare_places(x->place, y->place);
}

/* The first of the file that is there already; the one before it in the index is the other. */
static const struct index_entry *find_duplicate(const struct index *index)
{
	const struct index_entry *e, *first = NULL;
	size_t i;

	for (i = 1; i < index->n; i++) {
		e = &index->entries[i];
		if (!compare_keys(e - 1, e) &&
		    (!first || compare_places(e->place, first->place) < 0))
			first = e;
	}
	return first;
}

int index_sort(struct parse *p, struct index *index, const char *what)
{
	const struct index_entry *e;
	char key[PARSE_QUOTE_LEN];

	qsort(index->entries, index->n, sizeof(*index->entries), compare);
	e = find_duplicate(index);
	if (!e)
		return 0;
	if (!e[-1].place.line)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, e->place,
				  "%s \"%s\" is taken by default; choose another", what,
				  parse_quote_key(key, e->key));
	return parse_fail(p, SLUICE_E_OPTION_CONFLICT, e->place,
			  "%s \"%s\" is there already, at line %u, column %u; keep one of them",
			  what, parse_quote_key(key, e->key), e[-1].place.line, e[-1].place.column);
}

const struct index_entry *index_find(const struct index *index, const char *key, const char *key2)
{
	struct index_entry wanted = { .key = key, .key2 = key2 ? key2 : "" };

	return index->n ? bsearch(&wanted, index->entries, index->n, sizeof(*index->entries),
				  compare_keys)
			: NULL;
}
