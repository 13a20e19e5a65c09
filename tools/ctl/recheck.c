// SPDX-License-Identifier: Apache-2.0
/* `sluicectl recheck`: whose certificates would not be accepted now. */
#include <unistd.h>

#include "ctl.h"

static const struct column recheck_columns[] = {
	{ "id", "ID", COLUMN_NUMBER },
	{ "result", "RESULT", COLUMN_STATE },
	{ "peer_identity", "IDENTITY" },
	{ "peer", "PEER" },
	{ "peer_sha256", "CERTIFICATE SHA-256", COLUMN_TEXT, true },
	{ "why", "WHY" },
	{ NULL },
};

/* Progress is for who waits at a terminal. */
static void take_row(void *arg, struct json_object *row)
{
	struct json_object *done, *sessions;

	if (!json_object_object_get_ex(row, "done", &done) ||
	    !json_object_object_get_ex(row, "sessions", &sessions)) {
		table_row(arg, row);
		return;
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "sluicectl: %s of %s sessions\n", json_object_get_string(done),
			json_object_get_string(sessions));
}

static uint64_t number(struct json_object *answer, const char *name)
{
	return json_object_get_uint64(json_object_object_get(answer, name));
}

static void print_counts(const struct settings *settings, struct json_object *answer)
{
	fprintf(settings->json || settings->tsv ? stderr : stdout,
		"good: %llu, %s: %llu, not kept: %llu, unknown: %llu\n",
		(unsigned long long)number(answer, "good"),
		settings->dry_run ? "would be closed" : "closed",
		(unsigned long long)number(answer, settings->dry_run ? "bad" : "closed"),
		(unsigned long long)number(answer, "not_kept"),
		(unsigned long long)number(answer, "unknown"));
}

/* What is not sure to be good, or could not be closed, is a status of its own. */
static bool is_clear(const struct settings *settings, struct json_object *answer)
{
	return !number(answer, "not_kept") && !number(answer, "unknown") &&
	       (settings->dry_run || number(answer, "bad") == number(answer, "closed"));
}

static enum ctl_status run_recheck(const struct ctl_command *command,
				   const struct settings *settings, int argc, char **argv)
{
	struct json_object *request = ctl_request(command->name), *answer;
	enum ctl_status status;
	struct table table;
	struct ctl ctl;

	if (argc && !ctl_mean(request, argc, argv)) {
		json_object_put(request);
		return CTL_USAGE;
	}
	json_object_object_add(request, "dry_run", json_object_new_boolean(settings->dry_run));
	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	ctl_wait_for_ever(&ctl);
	table_begin(&table, command->columns, table_format(settings));
	table.wide = settings->wide;
	status = ctl_ask(&ctl, request, take_row, &table, &answer);
	if (table.n_rows || settings->json)
		table_end(&table);
	if (status == CTL_DONE) {
		print_counts(settings, answer);
		status = is_clear(settings, answer) ? CTL_DONE : CTL_REFUSED;
	}
	json_object_put(answer);
	ctl_close(&ctl);
	return status;
}

const struct ctl_command ctl_recheck = {
	"recheck",
	"[ID | KEY=VALUE...]",
	"verify the peers of sessions again, and close those that would not be let in now",
	"The filters are those of `sessions`; without any, all sessions whose peer showed a certificate.\n"
	"Each is held against what is in force now: trusted CAs, dates, allow_peers and deny_peers, and\n"
	"revocation lists. With --dry-run nothing is closed. RESULT: closed, as by `kill`; would be\n"
	"closed; not closed: it could not be; not kept: the daemon has its certificates no more;\n"
	"unknown: nobody could judge it. Status 0: every session was judged, and closed if it is bad.",
	0,
	8,
	recheck_columns,
	false,
	run_recheck,
	CTL_OPTION_DRY_RUN,
};
