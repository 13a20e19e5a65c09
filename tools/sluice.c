/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The `sluice` program: finds the subcommand in one table, which also gives the usage texts, and
 * runs it. What a subcommand does is in its own file.
 */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <sluice/sluice.h>

#include "command.h"

static int help_run(int argc, char **argv);

static const struct command cmd_help = {
	.name = "help",
	.synopsis = "[COMMAND]",
	.summary = "say what a command does and takes",
	.run = help_run,
};

static const struct command *const commands[] = {
	&cmd_serve,  &cmd_connect, &cmd_bench,  &cmd_probe,
	&cmd_verify, &cmd_options, &cmd_errors, &cmd_help,
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	size_t i;

	for (i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static void usage(FILE *out)
{
	size_t i;

	fputs("Usage: sluice COMMAND [OPTION]...\n"
	      "TLS with the kernel's record layer.\n\nCommands:\n",
	      out);
	for (i = 0; i < N_COMMANDS; i++)
		fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n`sluice help COMMAND` says more; `sluice --version` names the version.\n", out);
}

static void command_usage(const struct command *command, FILE *out)
{
	fprintf(out, "Usage: sluice %s %s\n%s.\n", command->name, command->synopsis,
		command->summary);
	if (command->details)
		fprintf(out, "\n%s\n", command->details);
	if (command->args) {
		fputs("\nOptions:\n", out);
		args_usage(command->args, out);
	}
}

/* `sluice help --words [COMMAND]` is what shell completion asks. */
static int words(const char *name)
{
	const struct command *command = name ? find_command(name) : NULL;
	size_t i;

	if (name && command && command->args)
		args_words(command->args, stdout);
	for (i = 0; !name && i < N_COMMANDS; i++)
		puts(commands[i]->name);
	return EXIT_OK;
}

static int help_run(int argc, char **argv)
{
	const struct command *command;

	if (argc < 2) {
		usage(stdout);
		return EXIT_OK;
	}
	if (strcmp(argv[1], "--words") == 0)
		return words(argv[2]);
	command = find_command(argv[1]);
	if (!command) {
		fprintf(stderr, "sluice help: there is no command '%s'\n", argv[1]);
		return EXIT_USAGE;
	}
	command_usage(command, stdout);
	return EXIT_OK;
}

static int version(void)
{
	struct sluice_versions v;

	if (sluice_versions(&v, sizeof(v)) < 0)
		return EXIT_FAILED;
	printf("sluice %s (%s)\n", v.sluice, v.boringssl);
	return EXIT_OK;
}

/* A command's `--help` anywhere on its line, before the command sees it. */
static bool wants_help(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0)
			return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const struct command *command;

	/* Writing to a peer or a pipe that is gone is an error result, not a signal. */
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (strcmp(argv[1], "--version") == 0)
		return version();
	if (strcmp(argv[1], "--help") == 0) {
		usage(stdout);
		return EXIT_OK;
	}
	command = find_command(argv[1]);
	if (!command) {
		fprintf(stderr, "sluice: there is no command '%s'; see `sluice help`\n", argv[1]);
		return EXIT_USAGE;
	}
	if (wants_help(argc - 1, argv + 1)) {
		command_usage(command, stdout);
		return EXIT_OK;
	}
	return command->run(argc - 1, argv + 1);
}
