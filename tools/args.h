/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines by table: one row per option gives its spelling, its type, its place in the
 * command's settings and its line of help, so that parser, usage and completion cannot disagree.
 */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stddef.h>
#include <stdio.h>

enum arg_type {
	ARG_FLAG,   /* no value; bool */
	ARG_TEXT,   /* const char * */
	ARG_NUMBER, /* int64_t in [min, max] */
	ARG_LIST,   /* struct arg_list: may be repeated */
	ARG_CHOICE, /* const char *, one of the words in choices */
};

#define ARG_LIST_MAX 32

struct arg_list {
	size_t n;
	const char *items[ARG_LIST_MAX];
};

struct arg {
	const char *name; /* the long spelling; NULL ends the table */
	char letter;      /* the short spelling, or 0 */
	enum arg_type type;
	size_t offset;     /* of the setting in the command's structure */
	const char *value; /* what the value is called in the usage; NULL: it has none */
	const char *help;
	long long min, max;  /* ARG_NUMBER */
	const char *choices; /* ARG_CHOICE: words separated by '|' */
};

/*
 * args_parse() reads the options of @argv into @settings. Returns the index of the first operand,
 * or -1 after saying on standard error what is wrong. @argv is permuted: operands come last.
 */
int args_parse(const struct arg *table, void *settings, int argc, char **argv);

/* args_set_program() says what stands before argv[0] in what args_parse() says: "sluice " at first. */
void args_set_program(const char *name);

/* args_usage() prints the options, one line each. */
void args_usage(const struct arg *table, FILE *out);

/* args_words() prints the long spellings, one per line, for shell completion. */
void args_words(const struct arg *table, FILE *out);

#endif
