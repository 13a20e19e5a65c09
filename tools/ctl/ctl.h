/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of `sluicectl`: one connection to the daemon, three ways to print, and the commands. */
#ifndef TOOLS_CTL_CTL_H
#define TOOLS_CTL_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <json-c/json.h>

/* Exit statuses of every command. */
enum ctl_status {
	CTL_DONE = 0,
	CTL_REFUSED = 1, /* by the daemon, or nothing fits */
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3,
};

#define CTL_SOCKET "/run/sluice/admin.sock"

/* --- the daemon (client.c) -------------------------------------------------------------------- */

struct ctl {
	int fd;
	const char *path;
	char *buf;
	size_t at, len, size;
	int send_fd; /* goes with the next request; -1: none */
};

typedef void ctl_row(void *arg, struct json_object *row);

/* ctl_connect() connects. Returns a status, after saying on standard error what to do. */
enum ctl_status ctl_connect(struct ctl *ctl, const char *path);
void ctl_close(struct ctl *ctl);

/*
 * ctl_ask() sends @request, which it frees, and calls @each for every row of the answer.
 * *@ret_answer (may be NULL) is the answer's last line, also of a refusal, for json_object_put().
 */
enum ctl_status ctl_ask(struct ctl *ctl, struct json_object *request, ctl_row *each, void *arg,
			struct json_object **ret_answer);

/* ctl_wait_for_ever() is for answers that come when something happens. */
void ctl_wait_for_ever(struct ctl *ctl);

/* ctl_request() makes a request; NULL: no memory. */
struct json_object *ctl_request(const char *name);

/* ctl_id() reads the number of a session. Returns NULL after saying what is wrong. */
struct json_object *ctl_id(const char *text);

/* ctl_mean() adds the one session, or the filters, that @argv names. Returns false after saying what is wrong. */
bool ctl_mean(struct json_object *request, int argc, char **argv);

/* ctl_filter() reads key=value words into a filter. Returns NULL after saying what is wrong. */
struct json_object *ctl_filter(int argc, char **argv);

/* --- units (format.c) ------------------------------------------------------------------------- */

#define FORMAT_LEN 32

const char *format_bytes(char out[FORMAT_LEN], uint64_t bytes);
const char *format_ms(char out[FORMAT_LEN], uint64_t ms);
const char *format_us(char out[FORMAT_LEN], uint64_t us);

/* format_colour() returns the escape sequence for a state, or "": none, or no colours. */
const char *format_colour(const char *state);
const char *format_bold(void);
const char *format_plain(void);
bool format_has_colour(void);

struct settings;

/* --- tables (table.c) ------------------------------------------------------------------------- */

enum column_kind {
	COLUMN_TEXT,
	COLUMN_STATE, /* in colour */
	COLUMN_NUMBER,
	COLUMN_BYTES,
	COLUMN_MS,
	COLUMN_US,
};

/* struct column - a member of a row. The order of columns is that of --tsv: new ones come last. */
struct column {
	const char *key; /* as in JSON and --tsv; NULL ends the columns */
	const char *title;
	enum column_kind kind;
	bool wide; /* in tables only with --wide */
};

enum table_format {
	TABLE_TEXT,
	TABLE_JSON,
	TABLE_TSV,
};

struct table {
	const struct column *columns;
	enum table_format format;
	bool wide;
	bool one;          /* a single row: as a list of names and values, in JSON as an object */
	char ***rows;      /* TABLE_TEXT: cells, kept until the end for their widths */
	uint64_t *numbers; /* the first column as a number: what is sorted by */
	size_t n_rows;
	size_t n_columns;
};

/* table_format() is what the settings ask for. */
enum table_format table_format(const struct settings *settings);

void table_begin(struct table *table, const struct column *columns, enum table_format format);
void table_row(void *table, struct json_object *row); /* a ctl_row */
void table_end(struct table *table);

/* table_cell() writes a value for people. Returns @out. */
char *table_cell(char *out, size_t size, const struct column *column, struct json_object *value);

/* --- commands --------------------------------------------------------------------------------- */

struct settings {
	const char *socket;
	bool json, tsv, wide, help, version;
	bool both;                     /* rekey */
	const char *source, *listener; /* trace */
	const char *uri;               /* crl add */
	bool dry_run;                  /* recheck */
	int64_t for_s;                 /* trace; 0: without an end */
};

struct ctl_command {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *summary;  /* one line */
	const char *details;  /* or NULL */
	int min, max;         /* operands */
	const struct column *columns;
	bool one;
	enum ctl_status (*run)(const struct ctl_command *command, const struct settings *settings,
			       int argc, char **argv); /* the operands */
	unsigned int options;                          /* of its own: CTL_OPTION_* */
};

/* ctl_rows() asks, and shows the rows that come as a table; owns @request. */
enum ctl_status ctl_rows(const struct settings *settings, const struct column *columns,
			 struct json_object *request);

enum {
	CTL_OPTION_BOTH = 1,
	CTL_OPTION_TRACE = 2, /* --source, --listener, --for */
	CTL_OPTION_URI = 4,
	CTL_OPTION_DRY_RUN = 8,
};

extern const struct ctl_command ctl_lists[], ctl_acts[]; /* to a NULL */
extern const struct ctl_command ctl_top, ctl_probe, ctl_rekey, ctl_trace, ctl_crl, ctl_recheck;

#endif
