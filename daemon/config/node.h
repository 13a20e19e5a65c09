/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML document as a tree whose nodes know where they stand. Scalars are texts and nothing else:
 * `no`, `1e3` and `~` mean what they look like.
 */
#ifndef SLUICED_CONFIG_NODE_H
#define SLUICED_CONFIG_NODE_H

#include <stddef.h>

#include "config/config.h"

struct parse;

#define NODE_MAX_DEPTH 16       /* the deepest thing with a meaning stands at 7 */
#define NODE_MAX_NODES 2000000u /* of one file: bounds memory where 16 MiB of text do not */

enum node_kind {
	NODE_TEXT,
	NODE_LIST,
	NODE_MAP,
};

struct node {
	enum node_kind kind;
	struct config_place place;
	char *text;          /* TEXT: has no NUL in it */
	struct node **items; /* LIST; MAP: key, value, key, value, and every key is a TEXT */
	size_t n_items;      /* of @items: of a MAP twice the number of keys */
};

/*
 * node_parse() turns text into a tree without anchors, aliases, tags, a second document or a key
 * that is twice in its mapping. Errors: OPTION_MALFORMED, OPTION_RANGE, OPTION_CONFLICT, NOMEM.
 */
int node_parse(struct parse *p, const char *text, size_t text_len, struct node **ret_root);

/* node_free() wipes every text, as there may be a password, and frees. NULL is fine. */
struct node *node_free(struct node *node);

/* node_get() returns the value of a key of a MAP, or NULL. */
const struct node *node_get(const struct node *map, const char *key);

/* node_expect() makes it an error if @node, the value of @name, is not of @kind. */
int node_expect(struct parse *p, const char *name, const struct node *node, enum node_kind kind);

/* node_expect_line() expects a text of one line, 1 to @max bytes, without control characters. */
int node_expect_line(struct parse *p, const char *name, const struct node *node, size_t max);

#endif
