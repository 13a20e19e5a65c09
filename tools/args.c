/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table-driven command line: turns a table of options into getopt_long(3)'s, checks values and
 * stores them. Called by every subcommand; says on standard error what is wrong, and never exits.
 */
#include "args.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 64
#define FIRST_LONG 256 /* codes of options without a letter start above every letter */

static const char *program = "sluice ";

void args_set_program(const char *name)
{
	program = name;
}

static bool is_choice(const char *choices, const char *value)
{
	size_t len = strlen(value);

	while (*choices) {
		size_t n = strcspn(choices, "|");

		if (n == len && memcmp(choices, value, n) == 0)
			return true;
		choices += n + (choices[n] == '|');
	}
	return false;
}

static int store_number(const char *command, const struct arg *arg, int64_t *field,
			const char *value)
{
	char *end;
	long long number;

	errno = 0;
	number = strtoll(value, &end, 10);
	if (end == value || *end || errno || number < arg->min || number > arg->max) {
		fprintf(stderr, "%s%s: --%s takes a whole number from %lld to %lld, not '%s'\n",
			program, command, arg->name, arg->min, arg->max, value);
		return -1;
	}
	*field = number;
	return 0;
}

static int store_item(const char *command, const struct arg *arg, struct arg_list *list,
		      const char *value)
{
	if (list->n == ARG_LIST_MAX) {
		fprintf(stderr, "%s%s: --%s may be given at most %d times\n", program, command,
			arg->name, ARG_LIST_MAX);
		return -1;
	}
	list->items[list->n++] = value;
	return 0;
}

static int store(const char *command, const struct arg *arg, void *settings, const char *value)
{
	void *field = (char *)settings + arg->offset;

	switch (arg->type) {
	case ARG_FLAG:
		*(bool *)field = true;
		return 0;
	case ARG_TEXT:
		*(const char **)field = value;
		return 0;
	case ARG_NUMBER:
		return store_number(command, arg, field, value);
	case ARG_LIST:
		return store_item(command, arg, field, value);
	case ARG_CHOICE:
		if (is_choice(arg->choices, value)) {
			*(const char **)field = value;
			return 0;
		}
		fprintf(stderr, "%s%s: --%s takes %s, not '%s'\n", program, command, arg->name,
			arg->choices, value);
		return -1;
	}
	return -1;
}

/* Fills getopt's two descriptions; an option's code is its letter or FIRST_LONG + its row. */
static void describe(const struct arg *table, struct option longs[static MAX_ARGS + 1],
		     char shorts[static 2 * MAX_ARGS + 1])
{
	size_t i;

	memset(longs, 0, (MAX_ARGS + 1) * sizeof(longs[0]));
	for (i = 0; table[i].name && i < MAX_ARGS; i++) {
		bool has_value = table[i].type != ARG_FLAG;

		longs[i].name = table[i].name;
		longs[i].has_arg = has_value ? required_argument : no_argument;
		longs[i].val = table[i].letter ? table[i].letter : FIRST_LONG + (int)i;
		if (!table[i].letter)
			continue;
		*shorts++ = table[i].letter;
		if (has_value)
			*shorts++ = ':';
	}
	*shorts = '\0';
}

static const struct arg *find(const struct arg *table, int code)
{
	if (code >= FIRST_LONG)
		return &table[code - FIRST_LONG];
	for (; table->name; table++) {
		if (table->letter == code)
			return table;
	}
	return NULL;
}

int args_parse(const struct arg *table, void *settings, int argc, char **argv)
{
	struct option longs[MAX_ARGS + 1];
	char shorts[2 * MAX_ARGS + 1];
	const char *command = argv[0];
	char prefixed[64];
	int code;

	describe(table, longs, shorts);
	/* getopt_long() itself reports unknown options and missing values, under argv[0]. */
	snprintf(prefixed, sizeof(prefixed), "%s%s", program, command);
	argv[0] = prefixed;
	optind = 1;
	while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		const struct arg *arg = code == '?' ? NULL : find(table, code);

		if (!arg || store(command, arg, settings, optarg) < 0) {
			argv[0] = (char *)command;
			return -1;
		}
	}
	argv[0] = (char *)command;
	return optind;
}

void args_usage(const struct arg *table, FILE *out)
{
	char left[80];

	for (; table->name; table++) {
		char letter[8] = "";

		if (table->letter)
			snprintf(letter, sizeof(letter), "-%c, ", table->letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, table->name,
			 table->value ? " " : "", table->value ? table->value : "");
		if (strlen(left) > 27)
			fprintf(out, "  %s\n  %-27s %s\n", left, "", table->help);
		else
			fprintf(out, "  %-27s %s\n", left, table->help);
	}
}

void args_words(const struct arg *table, FILE *out)
{
	for (; table->name; table++)
		fprintf(out, "--%s\n", table->name);
}
