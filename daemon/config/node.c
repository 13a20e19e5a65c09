/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the tree that yaml.c makes: finding, judging and freeing them. */
#include "config/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

static void wipe_text(char *text)
{
	if (text)
		secret_wipe(text, strlen(text));
	free(text);
}

/* Recursion ends: the tree has at most NODE_MAX_DEPTH levels. */
struct node *node_free(struct node *node)
{
	size_t i;

	if (!node)
		return NULL;
	for (i = 0; i < node->n_items; i++)
		node_free(node->items[i]);
	wipe_text(node->text);
	free(node->items);
	free(node);
	return NULL;
}

const struct node *node_get(const struct node *map, const char *key)
{
	size_t i;

	for (i = 0; i < map->n_items; i += 2)
		if (!strcmp(map->items[i]->text, key))
			return map->items[i + 1];
	return NULL;
}

static const char *describe(const struct node *node)
{
	switch (node->kind) {
	case NODE_LIST:
		return "a list";
	case NODE_MAP:
		return "keys with values";
	default:
		return node->text[0] ? "one value" : "nothing";
	}
}

int node_expect(struct parse *p, const char *name, const struct node *node, enum node_kind kind)
{
	static const char *const wanted[] = {
		[NODE_TEXT] = "one value",
		[NODE_LIST] = "a list",
		[NODE_MAP] = "keys with values",
	};
	static const char *const remedy[] = {
		[NODE_TEXT] = "write it behind the colon",
		[NODE_LIST] = "begin each entry with \"- \" on a line of its own, or write [a, b]",
		[NODE_MAP] = "write \"key: value\" on indented lines of their own",
	};

	if (node->kind == kind)
		return 0;
	return parse_fail(p, SLUICE_E_OPTION, node->place, "%s: takes %s, not %s; %s", name,
			  wanted[kind], describe(node), remedy[kind]);
}

int node_expect_line(struct parse *p, const char *name, const struct node *node, size_t max)
{
	const char *c;
	int r = node_expect(p, name, node, NODE_TEXT);

	if (r < 0)
		return r;
	if (!node->text[0])
		return parse_fail(p, SLUICE_E_OPTION, node->place,
				  "%s: has no value; write one behind the colon", name);
	if (strlen(node->text) > max)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, node->place,
				  "%s: takes at most %zu bytes; write something shorter", name,
				  max);
	for (c = node->text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return parse_fail(p, SLUICE_E_OPTION, node->place,
					  "%s: takes one line without control characters; write "
					  "it so",
					  name);
	return 0;
}
