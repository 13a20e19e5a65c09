// SPDX-License-Identifier: Apache-2.0
/* `sluicectl trace`: what happens to sessions, a line for each event, as it comes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

#define CELL_LEN 1024

/* What every event has stands in front; the rest as it comes. */
static bool is_front(const char *key)
{
	return strcmp(key, "session") == 0 || strcmp(key, "us") == 0 || strcmp(key, "event") == 0;
}

static void print_member(const char *key, struct json_object *value)
{
	static const struct column column = { .kind = COLUMN_TEXT };
	char text[CELL_LEN];

	if (value && !is_front(key))
		printf(" %s=%s", key, table_cell(text, sizeof(text), &column, value));
}

static void print_event(struct json_object *row)
{
	struct json_object *session, *us, *event;
	struct json_object_iter it;
	const char *name;

	if (!json_object_object_get_ex(row, "session", &session) ||
	    !json_object_object_get_ex(row, "us", &us) ||
	    !json_object_object_get_ex(row, "event", &event))
		return;
	name = json_object_get_string(event);
	printf("%6s %12s us  %s%-14s%s", json_object_get_string(session),
	       json_object_get_string(us), format_colour(name), name,
	       *format_colour(name) ? format_plain() : "");
	json_object_object_foreachC(row, it) print_member(it.key, it.val);
	putchar('\n');
}

static void take_event(void *arg, struct json_object *row)
{
	const struct settings *settings = arg;

	if (settings->json)
		puts(json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		print_event(row);
	if (fflush(stdout) == 0)
		return;
	if (errno != EPIPE) /* whoever closes a pipe has seen enough */
		perror("sluicectl: writing");
	exit(errno == EPIPE ? CTL_DONE : CTL_REFUSED);
}

static bool mean(struct json_object *request, const struct settings *settings, int argc,
		 char **argv)
{
	struct json_object *filter, *id;

	if (argc == !(settings->source || settings->listener)) {
		if (argc) {
			id = ctl_id(argv[0]);
			json_object_object_add(request, "id", id);
			return id;
		}
		filter = json_object_new_object();
		if (settings->source)
			json_object_object_add(filter, "peer",
					       json_object_new_string(settings->source));
		if (settings->listener)
			json_object_object_add(filter, "listener",
					       json_object_new_string(settings->listener));
		json_object_object_add(request, "filter", filter);
		return true;
	}
	fputs("sluicectl: trace takes the number of a session, or --source, --listener or both\n",
	      stderr);
	return false;
}

static enum ctl_status run_trace(const struct ctl_command *command, const struct settings *settings,
				 int argc, char **argv)
{
	struct json_object *request = ctl_request(command->name);
	enum ctl_status status;
	struct ctl ctl;

	if (!mean(request, settings, argc, argv)) {
		json_object_put(request);
		return CTL_USAGE;
	}
	if (settings->for_s)
		json_object_object_add(request, "for", json_object_new_int64(settings->for_s));
	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	ctl_wait_for_ever(&ctl);
	status = ctl_ask(&ctl, request, take_event, (void *)settings, NULL);
	ctl_close(&ctl);
	return status;
}

const struct ctl_command ctl_trace = {
	"trace",
	"ID | --source ADDRESS[/BITS] | --listener NAME",
	"follow sessions: a line for each event, as it comes",
	"A line has the session, the microseconds since it was accepted, the event, and what belongs to\n"
	"it: accepted, given (to a handshaker), hello, host, sign-asked, sign-answered, alert-sent,\n"
	"alert-received, established, queued, offered, acknowledged, rekey, ended. With --source or\n"
	"--listener all new sessions are followed, and of those that are there what comes. Ends with the\n"
	"session, after --for SECONDS, or at SIGINT. --json: an object on each line. Eight traces run at\n"
	"once; one that is not read for 10 seconds, or has 4 MiB to read, is cut off.",
	0,
	1,
	NULL,
	false,
	run_trace,
	CTL_OPTION_TRACE,
};
