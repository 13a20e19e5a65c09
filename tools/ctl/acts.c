// SPDX-License-Identifier: Apache-2.0
/* The commands that change something: root's alone. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"

struct json_object *ctl_id(const char *text)
{
	unsigned long long id;
	char *end;

	errno = 0;
	id = *text >= '0' && *text <= '9' ? strtoull(text, &end, 10) : 0;
	if (id && !errno && !*end && id <= INT64_MAX)
		return json_object_new_uint64(id);
	fprintf(stderr,
		"sluicectl: '%s' is not the number of a session; `sluicectl sessions` shows them\n",
		text);
	return NULL;
}

/* What was done, in words, or the answer as it is. */
static void tell(const struct settings *settings, const char *text, struct json_object *answer)
{
	if (settings->json)
		printf("%s\n",
		       json_object_to_json_string_ext(
			       answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (text)
		puts(text);
}

/* Asks, and frees @request. What is told has member @number (may be NULL) in its middle. */
static enum ctl_status act(const struct settings *settings, struct json_object *request,
			   const char *before, const char *number, const char *after)
{
	struct json_object *answer, *value = NULL;
	enum ctl_status status;
	char text[100];
	struct ctl ctl;

	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	status = ctl_ask(&ctl, request, NULL, NULL, &answer);
	if (number)
		json_object_object_get_ex(answer, number, &value);
	snprintf(text, sizeof(text), "%s%s%s", before, value ? json_object_get_string(value) : "",
		 after);
	if (answer)
		tell(settings, status == CTL_DONE ? text : NULL, answer);
	json_object_put(answer);
	ctl_close(&ctl);
	return status;
}

bool ctl_mean(struct json_object *request, int argc, char **argv)
{
	bool by_filter = strchr(argv[0], '=');
	struct json_object *what;

	if (!by_filter && argc > 1) {
		fputs("sluicectl: give one session, or filters\n", stderr);
		return false;
	}
	what = by_filter ? ctl_filter(argc, argv) : ctl_id(argv[0]);
	if (what)
		json_object_object_add(request, by_filter ? "filter" : "id", what);
	return what;
}

static enum ctl_status run_kill(const struct ctl_command *command, const struct settings *settings,
				int argc, char **argv)
{
	struct json_object *request = ctl_request("kill");

	if (ctl_mean(request, argc, argv))
		return act(settings, request, "sessions ended: ", "killed", "");
	json_object_put(request);
	return CTL_USAGE;
}

static enum ctl_status run_drain(const struct ctl_command *command, const struct settings *settings,
				 int argc, char **argv)
{
	struct json_object *request;

	if (argc && strcmp(argv[0], "off") != 0) {
		fprintf(stderr, "sluicectl: drain takes nothing or off, not '%s'\n", argv[0]);
		return CTL_USAGE;
	}
	request = ctl_request("drain");
	if (argc)
		json_object_object_add(request, "off", json_object_new_boolean(true));
	return act(settings, request,
		   argc ? "accepting again; sessions: " : "accepting no more; sessions: ",
		   "sessions", "");
}

static enum ctl_status run_reload(const struct ctl_command *command,
				  const struct settings *settings, int argc, char **argv)
{
	return act(settings, ctl_request("reload"), "the configuration is new", NULL, "");
}

static enum ctl_status run_pem(const struct ctl_command *command, const struct settings *settings,
			       int argc, char **argv)
{
	if (strcmp(argv[0], "clear") != 0) {
		fprintf(stderr, "sluicectl: pem takes clear, not '%s'\n", argv[0]);
		return CTL_USAGE;
	}
	return act(settings, ctl_request("pem_clear"), "every certificate was loaded again", NULL,
		   "");
}

static enum ctl_status run_log(const struct ctl_command *command, const struct settings *settings,
			       int argc, char **argv)
{
	struct json_object *request = ctl_request("log");

	json_object_object_add(request, "level", json_object_new_string(argv[0]));
	return act(settings, request, "the log has level ", NULL, argv[0]);
}

static enum ctl_status run_stop(const struct ctl_command *command, const struct settings *settings,
				int argc, char **argv)
{
	return act(settings, ctl_request("stop"), "the daemon ends", NULL, "");
}

const struct ctl_command ctl_acts[] = {
	{ "kill", "ID | KEY=VALUE...", "end a session, or all that the filters fit",
	  "The filters are those of `sessions`. A session's worker is asked to send close_notify; its\n"
	  "calls fail from then on. What is not closed within a second the kernel ends, as it does at\n"
	  "once with what no worker has and where the worker's library is older: then the worker gets\n"
	  "ECONNABORTED, and the peer no close_notify. Status 1: no session fits.",
	  1, 8, NULL, false, run_kill },
	{ "drain", "[off]", "close the listeners; sessions go on",
	  "New connections are refused. `drain off` opens the listeners again.", 0, 1, NULL, false,
	  run_drain },
	{ "reload", "", "read the configuration again: all of it is taken, or nothing",
	  "Listeners' addresses, pools and services change at a restart.", 0, 0, NULL, false,
	  run_reload },
	{ "pem", "clear", "reload, and trust no file to be as it was, as SIGHUP does",
	  "Every certificate and key is loaded again, also where the times of its files have not changed.\n"
	  "If one of the configuration cannot be had nothing changes.",
	  1, 1, NULL, false, run_pem },
	{ "log", "LEVEL", "log error, warning, info or debug, until the next reload", NULL, 1, 1,
	  NULL, false, run_log },
	{ "stop", "", "end the daemon, as SIGTERM does", NULL, 0, 0, NULL, false, run_stop },
	{ NULL },
};
