/* SPDX-License-Identifier: Apache-2.0 */
/*
 * YAML into a tree, over the events of libyaml: its own documents resolve aliases in silence, and
 * then nobody can refuse them. Called by config.c; must never leave a text of the file in memory
 * that it could have wiped (what libyaml has outgrown while it read a long scalar it cannot).
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "core/secret.h"

/* struct builder - the nodes that are open, outermost first. */
struct builder {
	struct parse *p;
	yaml_parser_t yaml;
	const char *text; /* what is parsed, for the places of errors in its encoding */
	size_t len;
	struct node *root; /* owns every node from its making on */
	struct node *open[NODE_MAX_DEPTH];
	size_t depth;
	unsigned int n_nodes;
	bool done; /* the document has ended */
};

static struct config_place place_of(yaml_mark_t mark)
{
	return (struct config_place){ (unsigned int)mark.line + 1, (unsigned int)mark.column + 1 };
}

/* --- what libyaml refuses -------------------------------------------------------------------- */

/* The place of a byte. Whatever stands before it has been found to be UTF-8. */
static struct config_place place_of_byte(const char *text, size_t offset)
{
	struct config_place place = { 1, 1 };
	size_t i;

	for (i = 0; i < offset; i++) {
		if (text[i] == '\n') {
			place.line++;
			place.column = 1;
		} else if (((unsigned char)text[i] & 0xc0) != 0x80) {
			place.column++;
		}
	}
	return place;
}

static int fail_encoding(struct builder *b)
{
	size_t offset = b->yaml.problem_offset < b->len ? b->yaml.problem_offset : b->len;
	bool control = !strcmp(b->yaml.problem, "control characters are not allowed");

	return parse_fail(b->p, SLUICE_E_OPTION_MALFORMED, place_of_byte(b->text, offset),
			  control ? "a control character; take it out"
				  : "not UTF-8; save the file as UTF-8");
}

static int fail_syntax(struct builder *b)
{
	const char *what = b->yaml.problem ? b->yaml.problem : "it ends in the middle";
	const char *context = b->yaml.context;
	const char *remedy = "look at indentation, colons and quotes here and in the line before";

	if (strstr(what, "cannot start any token"))
		remedy = "put a value with special characters in quotes, and indent with spaces";
	else if (strstr(what, "mapping values are not allowed"))
		remedy = "put a value with a colon in quotes, and indent all keys of one mapping "
			 "alike";
	return parse_fail(b->p, SLUICE_E_OPTION_MALFORMED, place_of(b->yaml.problem_mark),
			  "not YAML: %s%s%s; %s", what, context ? ", " : "", context ? context : "",
			  remedy);
}

static int fail_yaml(struct builder *b)
{
	switch (b->yaml.error) {
	case YAML_MEMORY_ERROR:
		return parse_nomem(b->p);
	case YAML_READER_ERROR:
		return fail_encoding(b);
	default:
		return fail_syntax(b);
	}
}

/* --- the tree -------------------------------------------------------------------------------- */

/* Makes room at 0, 1, 2, 4, 8, ... */
static bool make_room(struct node *node)
{
	size_t n = node->n_items;
	struct node **items;

	if (n & (n - 1))
		return true;
	items = realloc(node->items, (n ? 2 * n : 1) * sizeof(*items));
	if (!items)
		return false;
	node->items = items;
	return true;
}

static int attach(struct builder *b, struct node *node)
{
	struct node *parent = b->depth ? b->open[b->depth - 1] : NULL;
	size_t max = parent && parent->kind == NODE_MAP ? 2 * CONFIG_MAX_ITEMS : CONFIG_MAX_ITEMS;

	if (!parent) {
		b->root = node;
		return 0;
	}
	if (parent->n_items >= max || ++b->n_nodes > NODE_MAX_NODES)
		return parse_fail(b->p, SLUICE_E_OPTION_RANGE, node->place,
				  "more than %u entries; remove some",
				  parent->n_items >= max ? CONFIG_MAX_ITEMS : NODE_MAX_NODES);
	if (parent->kind == NODE_MAP && parent->n_items % 2 == 0 && node->kind != NODE_TEXT)
		return parse_fail(b->p, SLUICE_E_OPTION, node->place,
				  "a key is a word, not a list or a mapping; write \"key: value\"");
	if (!make_room(parent))
		return parse_nomem(b->p);
	parent->items[parent->n_items++] = node;
	return 0;
}

/* Makes a node and gives it to the tree. */
static int add(struct builder *b, enum node_kind kind, const yaml_event_t *event,
	       struct node **ret_node)
{
	struct node *node = calloc(1, sizeof(*node));
	int r;

	if (!node)
		return parse_nomem(b->p);
	node->kind = kind;
	node->place = place_of(event->start_mark);
	r = attach(b, node);
	if (r < 0) {
		free(node);
		return r;
	}
	*ret_node = node;
	return 0;
}

static int add_text(struct builder *b, const yaml_event_t *event)
{
	const char *value = (const char *)event->data.scalar.value;
	struct node *node;
	int r;

	if (memchr(value, '\0', event->data.scalar.length))
		return parse_fail(b->p, SLUICE_E_OPTION, place_of(event->start_mark),
				  "a NUL in a text; take it out");
	r = add(b, NODE_TEXT, event, &node);
	if (r < 0)
		return r;
	node->text = strdup(value);
	return node->text ? 0 : parse_nomem(b->p);
}

static int open_node(struct builder *b, enum node_kind kind, const yaml_event_t *event)
{
	struct node *node;
	int r;

	if (b->depth == NODE_MAX_DEPTH)
		return parse_fail(b->p, SLUICE_E_OPTION_RANGE, place_of(event->start_mark),
				  "nested more than %d deep; nothing here is", NODE_MAX_DEPTH);
	r = add(b, kind, event, &node);
	if (r < 0)
		return r;
	b->open[b->depth++] = node;
	return 0;
}

/* A key that is twice in a mapping: YAML forbids it and libyaml takes it. */
static int check_keys(struct parse *p, const struct node *map)
{
	struct index index;
	size_t i;
	int r;

	if (map->n_items <= 2)
		return 0;
	r = index_init(p, &index, map->n_items / 2);
	if (r < 0)
		return r;
	for (i = 0; i < map->n_items; i += 2)
		index_add(&index, map->items[i]->text, NULL, map->items[i]->place, i);
	r = index_sort(p, &index, "the key");
	index_free(&index);
	return r;
}

static int close_node(struct builder *b)
{
	const struct node *node = b->open[--b->depth];

	return node->kind == NODE_MAP ? check_keys(b->p, node) : 0;
}

/* --- events ---------------------------------------------------------------------------------- */

/* What YAML has and a configuration that is read by people does not need. */
static int check_plain(struct builder *b, const yaml_event_t *event)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	struct config_place place = place_of(event->start_mark);

	if (event->type == YAML_SCALAR_EVENT) {
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
	} else if (event->type == YAML_SEQUENCE_START_EVENT) {
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
	} else if (event->type == YAML_MAPPING_START_EVENT) {
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
	} else if (event->type == YAML_ALIAS_EVENT) {
		anchor = event->data.alias.anchor;
	}
	if (anchor)
		return parse_fail(b->p, SLUICE_E_OPTION, place,
				  "anchors and aliases (& and *) are not taken; write the value "
				  "out, or in quotes if it begins like this");
	if (tag)
		return parse_fail(b->p, SLUICE_E_OPTION, place,
				  "tags (!) are not taken; write the value without, or in quotes "
				  "if it begins like this");
	if (event->type == YAML_DOCUMENT_START_EVENT && b->done)
		return parse_fail(b->p, SLUICE_E_OPTION, place,
				  "a second document; take out the line \"---\"");
	return 0;
}

static int take(struct builder *b, const yaml_event_t *event)
{
	int r = check_plain(b, event);

	if (r < 0)
		return r;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return add_text(b, event);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(b, NODE_LIST, event);
	case YAML_MAPPING_START_EVENT:
		return open_node(b, NODE_MAP, event);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		return close_node(b);
	case YAML_DOCUMENT_END_EVENT:
		b->done = true;
		return 0;
	default:
		return 0;
	}
}

static void event_free(yaml_event_t *event)
{
	if (event->type == YAML_SCALAR_EVENT)
		secret_wipe(event->data.scalar.value, event->data.scalar.length);
	yaml_event_delete(event);
}

static int run(struct builder *b)
{
	yaml_event_t event;
	bool end = false;
	int r = 0;

	while (!r && !end) {
		if (!yaml_parser_parse(&b->yaml, &event))
			return fail_yaml(b);
		end = event.type == YAML_STREAM_END_EVENT;
		r = take(b, &event);
		event_free(&event);
	}
	if (!r && !b->root)
		r = parse_fail(b->p, SLUICE_E_OPTION, (struct config_place){ 1, 1 },
			       "the file is empty; it needs listeners, profiles and pools");
	return r;
}

/* What an error left of the text; libyaml frees it as it is. */
static void wipe(yaml_parser_t *yaml)
{
	yaml_token_t *token;

	for (token = yaml->tokens.head; token != yaml->tokens.tail; token++)
		if (token->type == YAML_SCALAR_TOKEN)
			secret_wipe(token->data.scalar.value, token->data.scalar.length);
	secret_wipe(yaml->buffer.start, (size_t)(yaml->buffer.end - yaml->buffer.start));
	secret_wipe(yaml->raw_buffer.start,
		    (size_t)(yaml->raw_buffer.end - yaml->raw_buffer.start));
}

int node_parse(struct parse *p, const char *text, size_t text_len, struct node **ret_root)
{
	struct builder b = { .p = p, .text = text, .len = text_len };
	int r;

	if (!yaml_parser_initialize(&b.yaml))
		return parse_nomem(p);
	yaml_parser_set_encoding(&b.yaml, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&b.yaml, (const unsigned char *)text, text_len);
	r = run(&b);
	wipe(&b.yaml);
	yaml_parser_delete(&b.yaml);
	if (r < 0) {
		node_free(b.root);
		return r;
	}
	*ret_root = b.root;
	return 0;
}
