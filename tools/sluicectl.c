// SPDX-License-Identifier: Apache-2.0
/*
 * The `sluicectl` program: administers a running sluiced over its socket. One table of options for all
 * commands, one of commands; what they do is in ctl/.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "args.h"
#include "command.h"
#include "ctl.h"

static const struct arg args[] = {
	{ "socket", 's', ARG_TEXT, offsetof(struct settings, socket), "PATH",
	  "`admin: socket` of the daemon (default: " CTL_SOCKET ")" },
	{ "json", 'j', ARG_FLAG, offsetof(struct settings, json), NULL,
	  "print JSON: a list of objects, or one object" },
	{ "tsv", 't', ARG_FLAG, offsetof(struct settings, tsv), NULL,
	  "print values separated by tabs, after a line with their names" },
	{ "wide", 'w', ARG_FLAG, offsetof(struct settings, wide), NULL, "all columns in tables" },
	{ "both", 'b', ARG_FLAG, offsetof(struct settings, both), NULL,
	  "rekey: ask the peer for new keys of its own too" },
	{ "source", 0, ARG_TEXT, offsetof(struct settings, source), "ADDRESS[/BITS]",
	  "trace: sessions of these peers" },
	{ "listener", 0, ARG_TEXT, offsetof(struct settings, listener), "NAME",
	  "trace: sessions of this listener" },
	{ "uri", 0, ARG_TEXT, offsetof(struct settings, uri), "URI",
	  "crl add: of the distribution point that the CRLs are for" },
	{ "dry-run", 'n', ARG_FLAG, offsetof(struct settings, dry_run), NULL,
	  "recheck: close nothing" },
	{ "for", 0, ARG_NUMBER, offsetof(struct settings, for_s), "SECONDS",
	  "trace: end after this time", 1, 86400 },
	{ "help", 'h', ARG_FLAG, offsetof(struct settings, help), NULL,
	  "say what the command does and takes" },
	{ "version", 'V', ARG_FLAG, offsetof(struct settings, version), NULL, "name the version" },
	{ NULL },
};

static enum ctl_status run_probe(const struct ctl_command *command, const struct settings *settings,
				 int argc, char **argv)
{
	char probe[] = "probe", json[] = "--json";
	char *words[] = { probe, settings->json ? json : NULL, NULL };

	return cmd_probe.run(settings->json ? 2 : 1, words) == EXIT_OK ? CTL_DONE : CTL_REFUSED;
}

const struct ctl_command ctl_probe = {
	"probe",
	"",
	"show what this kernel and this BoringSSL can do",
	"Asks no daemon.",
	0,
	0,
	NULL,
	false,
	run_probe,
};

/* --- commands ------------------------------------------------------------------------------------- */

typedef void each_command(const struct ctl_command *command, FILE *out);

static void for_each(each_command *each, FILE *out)
{
	const struct ctl_command *command;

	for (command = ctl_lists; command->name; command++)
		each(command, out);
	each(&ctl_top, out);
	for (command = ctl_acts; command->name; command++)
		each(command, out);
	each(&ctl_rekey, out);
	each(&ctl_trace, out);
	each(&ctl_crl, out);
	each(&ctl_recheck, out);
	each(&ctl_probe, out);
}

static const struct ctl_command *find_in(const struct ctl_command *command, const char *name)
{
	for (; command->name; command++)
		if (strcmp(command->name, name) == 0)
			return command;
	return NULL;
}

static const struct ctl_command *find(const char *name)
{
	static const struct ctl_command *const others[] = { &ctl_top, &ctl_rekey,   &ctl_trace,
							    &ctl_crl, &ctl_recheck, &ctl_probe };
	const struct ctl_command *command = find_in(ctl_lists, name);
	size_t i;

	if (!command)
		command = find_in(ctl_acts, name);
	for (i = 0; !command && i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(others[i]->name, name) == 0)
			command = others[i];
	return command;
}

static void print_summary(const struct ctl_command *command, FILE *out)
{
	fprintf(out, "  %-10s %s\n", command->name, command->summary);
}

static void print_word(const struct ctl_command *command, FILE *out)
{
	fprintf(out, "%s\n", command->name);
}

static void usage(FILE *out)
{
	fputs("Usage: sluicectl [OPTION]... COMMAND [OPERAND]...\n"
	      "Shows and changes what sluiced does.\n\nCommands:\n",
	      out);
	for_each(print_summary, out);
	fputs("\nOptions:\n", out);
	args_usage(args, out);
	fputs("\n`sluicectl COMMAND --help` says more. Status: 0 done, 1 refused or nothing fits,\n"
	      "2 usage, 3 the daemon is not reachable.\n",
	      out);
}

static void command_usage(const struct ctl_command *command)
{
	const struct column *column;
	size_t i = 0;

	printf("Usage: sluicectl [OPTION]... %s%s%s\n", command->name,
	       *command->synopsis ? " " : "", command->synopsis);
	printf("To %s.\n", command->summary);
	if (command->details)
		printf("\n%s\n", command->details);
	if (command->columns)
		printf("\nColumns of --tsv, in this order:\n ");
	for (column = command->columns; column && column->key; column++, i++)
		printf("%s%s", i && i % 7 == 0 ? "\n  " : " ", column->key);
	printf("%s\nOptions:\n", i ? "\n" : "");
	args_usage(args, stdout);
}

/* Operands in number, and what of the options makes no sense. */
static bool fits(const struct ctl_command *command, const struct settings *settings, int argc)
{
	if (argc < command->min || argc > command->max) {
		fprintf(stderr, "sluicectl: usage: sluicectl %s%s%s; see `sluicectl %s --help`\n",
			command->name, *command->synopsis ? " " : "", command->synopsis,
			command->name);
		return false;
	}
	if ((settings->both && !(command->options & CTL_OPTION_BOTH)) ||
	    ((settings->source || settings->listener || settings->for_s) &&
	     !(command->options & CTL_OPTION_TRACE))) {
		fprintf(stderr,
			"sluicectl: --both is rekey's, --source, --listener and --for are trace's: "
			"%s takes filters as in peer=192.0.2.0/24\n",
			command->name);
		return false;
	}
	if ((settings->uri && !(command->options & CTL_OPTION_URI)) ||
	    (settings->dry_run && !(command->options & CTL_OPTION_DRY_RUN))) {
		fputs("sluicectl: --uri is that of `crl add`, --dry-run of recheck\n", stderr);
		return false;
	}
	if (settings->json && settings->tsv) {
		fputs("sluicectl: --json and --tsv are two ways: choose one\n", stderr);
		return false;
	}
	if (settings->tsv && !command->columns) {
		fprintf(stderr, "sluicectl: %s has no --tsv\n", command->name);
		return false;
	}
	return true;
}

static enum ctl_status dispatch(const struct settings *settings, int argc, char **argv)
{
	const struct ctl_command *command = argc ? find(argv[0]) : NULL;

	if (settings->version) {
		puts("sluicectl " SLUICE_VERSION);
		return CTL_DONE;
	}
	if (!argc || (strcmp(argv[0], "help") == 0 && argc == 1)) {
		usage(argc || settings->help ? stdout : stderr);
		return argc || settings->help ? CTL_DONE : CTL_USAGE;
	}
	if (strcmp(argv[0], "help") == 0)
		command = find(argv[1]);
	if (!command) {
		fprintf(stderr, "sluicectl: there is no command '%s'; see `sluicectl --help`\n",
			argv[strcmp(argv[0], "help") == 0]);
		return CTL_USAGE;
	}
	if (settings->help || strcmp(argv[0], "help") == 0) {
		command_usage(command);
		return CTL_DONE;
	}
	if (!fits(command, settings, argc - 1))
		return CTL_USAGE;
	return command->run(command, settings, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	struct settings settings = { .socket = CTL_SOCKET };
	char name[] = "sluicectl";
	int first, status;

	signal(SIGPIPE, SIG_IGN);
	/* What shell completion asks. */
	if (argc == 2 && strcmp(argv[1], "--words") == 0) {
		for_each(print_word, stdout);
		args_words(args, stdout);
		return CTL_DONE;
	}
	args_set_program("");
	if (argc)
		argv[0] = name;
	first = args_parse(args, &settings, argc, argv);
	if (first < 0)
		return CTL_USAGE;
	status = (int)dispatch(&settings, argc - first, argv + first);
	/* Whoever closes a pipe has seen enough; a full disk is another matter. */
	if (fflush(stdout) && errno != EPIPE) {
		perror("sluicectl: writing");
		return status ? status : CTL_REFUSED;
	}
	return status;
}
