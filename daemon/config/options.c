/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of TLS in a mapping: names, types and words are those of the library's table, of which
 * nothing is repeated here. Must never put a password into an error text.
 */
#include "config/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes and functions cannot come from a file. */
static bool comes_from_text(const struct sluice_option_info *info)
{
	return info->type != SLUICE_TYPE_DATA && info->type != SLUICE_TYPE_TABLE &&
	       info->type != SLUICE_TYPE_CALL;
}

void option_name_try(struct nearest *nearest)
{
	struct sluice_option_info info;
	int id;

	for (id = 0; !sluice_option_info(id, &info, sizeof(info)); id++)
		if (comes_from_text(&info))
			nearest_try(nearest, info.name);
	nearest_try(nearest, "password_file");
}

static bool find_option(const char *name, struct sluice_option_info *ret_info)
{
	int id;

	for (id = 0; !sluice_option_info(id, ret_info, sizeof(*ret_info)); id++)
		if (!strcmp(ret_info->name, name))
			return true;
	return false;
}

/* A name that is neither a key nor an option, or one that the library refuses with a reason. */
static int fail_unknown(struct parse *p, const struct fields *fields, const struct node *key)
{
	struct nearest nearest = { .text = key->text };
	struct sluice_error err = { 0 };
	char quote[PARSE_QUOTE_LEN];
	struct sluice_options *none;
	size_t i;
	int r;

	if (sluice_options_new(&none) < 0)
		return parse_nomem(p);
	r = sluice_options_set_name(none, key->text, "", &err);
	sluice_options_free(none);
	if (r != -SLUICE_E_OPTION_UNKNOWN)
		return parse_fail(p, -r, key->place, "%s; take it out", err.text);
	for (i = 0; i < fields->n; i++)
		nearest_try(&nearest, fields->rows[i].name);
	option_name_try(&nearest);
	parse_quote_key(quote, key->text);
	if (nearest.word)
		return parse_fail(p, SLUICE_E_OPTION_UNKNOWN, key->place,
				  "%s has no key or option \"%s\"; did you mean \"%s\"?",
				  fields->what, quote, nearest.word);
	return parse_fail(p, SLUICE_E_OPTION_UNKNOWN, key->place,
			  "%s has no key or option \"%s\"; `sluice options` shows those there are",
			  fields->what, quote);
}

/* Joins a list of texts by commas, as options take lists; free() it. */
static int join(struct parse *p, const char *name, const struct node *list, char **ret_text)
{
	size_t i, size = 1, len = 0;
	const struct node *item;
	char *text;
	int r = 0;

	for (i = 0; !r && i < list->n_items; i++) {
		item = list->items[i];
		r = node_expect(p, name, item, NODE_TEXT);
		if (!r && strchr(item->text, ','))
			r = parse_fail(p, SLUICE_E_OPTION, item->place,
				       "%s: a comma in an entry of a list; make it two entries",
				       name);
		size += r ? 0 : strlen(item->text) + 1;
	}
	if (r < 0)
		return r;
	text = malloc(size);
	if (!text)
		return parse_nomem(p);
	for (i = 0; i < list->n_items; i++)
		len += (size_t)sprintf(text + len, "%s%s", i ? "," : "", list->items[i]->text);
	text[len] = '\0';
	*ret_text = text;
	return 0;
}

static int set_text(struct parse *p, const char *name, const struct node *value, const char *text,
		    struct sluice_options *options)
{
	struct sluice_error err = { 0 };
	int r = sluice_options_set_name(options, name, text, &err);

	if (r == -SLUICE_E_NOMEM)
		return parse_nomem(p);
	return r < 0 ? parse_fail(p, -r, value->place, "%s", err.text) : 0;
}

static int set_value(struct parse *p, const struct sluice_option_info *info,
		     const struct node *value, struct sluice_options *options)
{
	char *joined = NULL;
	int r;

	if (value->kind == NODE_LIST && info->type == SLUICE_TYPE_LIST) {
		r = join(p, info->name, value, &joined);
		if (r < 0)
			return r;
		r = set_text(p, info->name, value, joined, options);
		free(joined);
		return r;
	}
	r = node_expect(p, info->name, value, NODE_TEXT);
	return r < 0 ? r : set_text(p, info->name, value, value->text, options);
}

/* Handshakers have no files: what they look up is what the section crls names, for all profiles. */
static int check_crl(struct parse *p, const char *name, const struct node *value)
{
	if (!strcmp(name, "crl_cache"))
		return parse_fail(p, SLUICE_E_UNSUPPORTED, value->place,
				  "crl_cache: the section crls says where revocation lists come "
				  "from; take it out");
	return 0;
}

static int set_option(struct parse *p, const struct fields *fields, const struct node *key,
		      const struct node *value, enum sluice_role role,
		      struct sluice_options *options)
{
	struct sluice_option_info info;
	int r;

	if (!strcmp(key->text, "password_file"))
		return password_file_read(p, value, options);
	if (!strcmp(key->text, "certs_keys"))
		return certs_keys_read(p, value, options);
	if (!find_option(key->text, &info))
		return fail_unknown(p, fields, key);
	if (!(info.roles & (int)role))
		return parse_fail(p, SLUICE_E_OPTION_ROLE, key->place,
				  "%s: is an option of a %s; take it out, or change the role",
				  info.name, role == SLUICE_SERVER ? "client" : "server");
	r = set_value(p, &info, value, options);
	return r < 0 ? r : check_crl(p, info.name, value);
}

int options_read(struct parse *p, const struct fields *fields, const struct node *map,
		 enum sluice_role role, struct sluice_options *options)
{
	size_t i;
	int r = certs_keys_check(p, map, options);

	for (i = 0; !r && i < map->n_items; i += 2)
		if (!fields_find(fields, map->items[i]->text))
			r = set_option(p, fields, map->items[i], map->items[i + 1], role, options);
	return r;
}
