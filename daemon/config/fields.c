/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mappings as tables: which keys there are, which are needed, and the same words for the same
 * mistakes in every section. Must not know what a section is for.
 */
#include "config/parse.h"

#include <stdio.h>
#include <string.h>

const struct field *fields_find(const struct fields *fields, const char *key)
{
	size_t i;

	for (i = 0; i < fields->n; i++)
		if (!strcmp(fields->rows[i].name, key))
			return &fields->rows[i];
	return NULL;
}

static int fail_unknown(struct parse *p, const struct fields *fields, const struct node *key)
{
	struct nearest nearest = { .text = key->text };
	char words[PARSE_MAX_WORDS] = "", quote[PARSE_QUOTE_LEN];
	size_t i;

	for (i = 0; i < fields->n; i++) {
		nearest_try(&nearest, fields->rows[i].name);
		words_append(words, sizeof(words), ", ", fields->rows[i].name);
	}
	parse_quote_key(quote, key->text);
	if (nearest.word)
		return parse_fail(p, SLUICE_E_OPTION_UNKNOWN, key->place,
				  "%s has no key \"%s\"; did you mean \"%s\"?", fields->what, quote,
				  nearest.word);
	return parse_fail(p, SLUICE_E_OPTION_UNKNOWN, key->place,
			  "%s has no key \"%s\"; it takes %s", fields->what, quote, words);
}

static int check_required(struct parse *p, const struct fields *fields, const struct node *map)
{
	size_t i;

	for (i = 0; i < fields->n; i++)
		if (fields->rows[i].required && !node_get(map, fields->rows[i].name))
			return parse_fail(p, SLUICE_E_OPTION, map->place,
					  "%s needs the key \"%s\"; add it", fields->what,
					  fields->rows[i].name);
	return 0;
}

int fields_read(struct parse *p, const struct fields *fields, const struct node *map, void *out)
{
	const struct field *field;
	size_t i;
	int r = node_expect(p, fields->what, map, NODE_MAP);

	for (i = 0; !r && i < map->n_items; i += 2) {
		field = fields_find(fields, map->items[i]->text);
		if (field)
			r = field->read(p, field, map->items[i + 1], (char *)out + field->offset);
		else if (!fields->has_options)
			r = fail_unknown(p, fields, map->items[i]);
	}
	return r < 0 ? r : check_required(p, fields, map);
}
