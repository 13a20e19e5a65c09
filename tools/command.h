/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `sluice`: one row each in the table of sluice.c. */
#ifndef TOOLS_COMMAND_H
#define TOOLS_COMMAND_H

#include "args.h"

/* Exit statuses of every subcommand but verify. */
enum exit_status {
	EXIT_OK = 0,
	EXIT_USAGE = 1,   /* the command line or an option of the library */
	EXIT_TCP = 2,     /* name resolution or TCP */
	EXIT_ALERT = 3,   /* the peer sent a fatal alert */
	EXIT_VERIFY = 4,  /* the peer's certificate is not acceptable */
	EXIT_FAILED = 5,  /* another failure */
	EXIT_TIMEOUT = 6, /* the time allowed passed */
};

struct command {
	const char *name;
	const char *synopsis; /* what follows the name */
	const char *summary;  /* one line */
	const char *details;  /* paragraphs for `sluice help NAME`, or NULL */
	const struct arg *args;
	int (*run)(int argc, char **argv); /* argv[0] is the subcommand */
};

extern const struct command cmd_serve;
extern const struct command cmd_connect;
extern const struct command cmd_bench;
extern const struct command cmd_probe;
extern const struct command cmd_verify;
extern const struct command cmd_options;
extern const struct command cmd_errors;

#endif
