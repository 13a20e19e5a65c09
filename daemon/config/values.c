/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values: what the text of a node takes to be a number, a word, a name, a path. Called by fields.c
 * for a row of a table. On failure a member is as before.
 */
#include "config/parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

int field_number(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	const char *c;
	char quote[PARSE_QUOTE_LEN];
	unsigned long long number = 0;
	int r = node_expect(p, field->name, value, NODE_TEXT);

	if (r < 0)
		return r;
	for (c = value->text; *c >= '0' && *c <= '9'; c++)
		if (number <= field->max) /* else it is too much already */
			number = 10 * number + (unsigned long long)(*c - '0');
	if (*c || c == value->text)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "%s: takes a whole number from %u to %u, not \"%s\"", field->name,
				  field->min, field->max, parse_quote(quote, value->text));
	if (number < field->min || number > field->max)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
				  "%s: takes %u to %u, not %s", field->name, field->min, field->max,
				  parse_quote(quote, value->text));
	*(unsigned int *)member = (unsigned int)number;
	return 0;
}

int field_word(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	char words[PARSE_MAX_WORDS] = "", quote[PARSE_QUOTE_LEN];
	unsigned int i;
	int r = node_expect(p, field->name, value, NODE_TEXT);

	if (r < 0)
		return r;
	for (i = 0; field->words[i]; i++) {
		if (!strcmp(field->words[i], value->text)) {
			*(unsigned int *)member = i;
			return 0;
		}
		words_append(words, sizeof(words), field->words[i + 1] ? ", " : " or ",
			     field->words[i]);
	}
	return parse_fail(p, SLUICE_E_OPTION, value->place, "%s: takes %s, not \"%s\"", field->name,
			  words, parse_quote(quote, value->text));
}

/* Replaces the default, if there was one. */
static int keep_text(struct parse *p, const struct node *value, char **member)
{
	char *text = strdup(value->text);

	if (!text)
		return parse_nomem(p);
	free(*member);
	*member = text;
	return 0;
}

int field_line(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	int r = node_expect_line(p, field->name, value, field->max);

	return r < 0 ? r : keep_text(p, value, member);
}

int fields_check_name(struct parse *p, const char *what, const struct node *node)
{
	const char *c;
	char quote[PARSE_QUOTE_LEN];
	int r = node_expect_line(p, what, node, PARSE_MAX_NAME);

	if (r < 0)
		return r;
	for (c = node->text; isascii(*c) && (isalnum(*c) || strchr("_.-", *c)) && *c; c++)
		;
	if (*c || !isalnum((unsigned char)node->text[0]))
		return parse_fail(p, SLUICE_E_OPTION, node->place,
				  "%s: a name takes letters, digits, \"_\", \"-\" and \".\", and "
				  "begins with a letter or digit, not \"%s\"",
				  what, parse_quote_key(quote, node->text));
	return 0;
}

int field_name(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	int r = fields_check_name(p, field->name, value);

	return r < 0 ? r : keep_text(p, value, member);
}

static int read_path(struct parse *p, const struct field *field, const struct node *value,
		     size_t max, char **member)
{
	int r = node_expect_line(p, field->name, value, max);
	char quote[PARSE_QUOTE_LEN];

	if (r < 0)
		return r;
	if (value->text[0] != '/')
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "%s: takes an absolute path, not \"%s\"; begin it with \"/\"",
				  field->name, parse_quote(quote, value->text));
	return keep_text(p, value, member);
}

int field_socket(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	return read_path(p, field, value, sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1,
			 member);
}

int field_directory(struct parse *p, const struct field *field, const struct node *value,
		    void *member)
{
	return read_path(p, field, value, field->max, member);
}

int field_node(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	*(const struct node **)member = value;
	return 0;
}

/* Finds what a listener refers to. */
static int find_name(struct parse *p, const struct field *field, const char *kind,
		     const struct index *index, const struct node *value, size_t *ret_value)
{
	const struct index_entry *entry;
	struct nearest nearest;
	char quote[PARSE_QUOTE_LEN];
	size_t i;
	int r = node_expect_line(p, field->name, value, PARSE_MAX_NAME);

	if (r < 0)
		return r;
	entry = index_find(index, value->text, NULL);
	if (entry) {
		*ret_value = entry->value;
		return 0;
	}
	nearest = (struct nearest){ .text = value->text };
	for (i = 0; i < index->n; i++)
		nearest_try(&nearest, index->entries[i].key);
	if (nearest.word)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "%s: there is no %s \"%s\"; did you mean \"%s\"?", field->name,
				  kind, parse_quote(quote, value->text), nearest.word);
	return parse_fail(p, SLUICE_E_OPTION, value->place,
			  "%s: there is no %s \"%s\"; add it to the section %ss", field->name, kind,
			  parse_quote(quote, value->text), kind);
}

int field_profile(struct parse *p, const struct field *field, const struct node *value,
		  void *member)
{
	return find_name(p, field, "profile", &p->profiles, value, member);
}

int field_pool(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	return find_name(p, field, "pool", &p->pools, value, member);
}
