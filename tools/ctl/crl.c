// SPDX-License-Identifier: Apache-2.0
/* `sluicectl crl`: the revocation lists that the daemon has. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

static const struct column crl_columns[] = {
	{ "issuer", "ISSUER" },
	{ "number", "NUMBER" },
	{ "this_update", "THIS UPDATE" },
	{ "next_update", "NEXT UPDATE" },
	{ "state", "STATE", COLUMN_STATE },
	{ "entries", "ENTRIES", COLUMN_NUMBER },
	{ "source", "FROM" },
	{ "file", "FILE" },
	{ "uri", "URI", COLUMN_TEXT, true },
	{ "sha256", "SHA-256", COLUMN_TEXT, true },
	{ "fetched", "FETCHED" },
	{ "next_fetch", "NEXT FETCH" },
	{ "problem", "PROBLEM" },
	{ NULL },
};

static void tell(const struct settings *settings, enum ctl_status status, const char *done,
		 struct json_object *answer)
{
	if (settings->json && answer)
		puts(json_object_to_json_string_ext(
			answer, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (status == CTL_DONE)
		puts(done);
}

static enum ctl_status change(const struct settings *settings, struct json_object *request, int fd,
			      const char *done)
{
	struct json_object *answer;
	enum ctl_status status;
	struct ctl ctl;

	status = ctl_connect(&ctl, settings->socket);
	if (status != CTL_DONE) {
		json_object_put(request);
		return status;
	}
	ctl.send_fd = fd;
	status = ctl_ask(&ctl, request, NULL, NULL, &answer);
	tell(settings, status, done, answer);
	json_object_put(answer);
	ctl_close(&ctl);
	return status;
}

/* Opened here, by whoever asks; the daemon reads what this descriptor has. */
static enum ctl_status add(const struct settings *settings, struct json_object *request,
			   const char *file)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *path = fd >= 0 ? realpath(file, NULL) : NULL;
	enum ctl_status status;

	if (!path) {
		fprintf(stderr, "sluicectl: %s: %s\n", file, strerror(errno));
		json_object_put(request);
		if (fd >= 0)
			close(fd);
		return CTL_REFUSED;
	}
	json_object_object_add(request, "file", json_object_new_string(path));
	if (settings->uri)
		json_object_object_add(request, "uri", json_object_new_string(settings->uri));
	status = change(settings, request, fd, "the CRLs of the file are in force");
	free(path);
	close(fd);
	return status;
}

/* A path as `add` took it; the file need not exist any more. */
static enum ctl_status del(const struct settings *settings, struct json_object *request,
			   const char *what)
{
	char *path = realpath(what, NULL);

	json_object_object_add(request, "file", json_object_new_string(path ? path : what));
	free(path);
	return change(settings, request, -1, "deleted");
}

static enum ctl_status run_crl(const struct ctl_command *command, const struct settings *settings,
			       int argc, char **argv)
{
	if (!strcmp(argv[0], "list") && argc == 1 && !settings->uri)
		return ctl_rows(settings, crl_columns, ctl_request("crl_list"));
	if (!strcmp(argv[0], "add") && argc == 2)
		return add(settings, ctl_request("crl_add"), argv[1]);
	if (!strcmp(argv[0], "del") && argc == 2 && !settings->uri)
		return del(settings, ctl_request("crl_del"), argv[1]);
	fputs("sluicectl: crl takes list, add FILE [--uri URI], or del FILE|URI\n", stderr);
	return CTL_USAGE;
}

const struct ctl_command ctl_crl = {
	"crl",
	"list | add FILE | del FILE|URI",
	"list the revocation lists that are in force, add some, or delete what was added",
	"STATE: good; expired: its next update is over, so it proves nothing; early: its time has not\n"
	"begun; missing: nothing of the file or URL is in force. With a PROBLEM what it had before stays.\n"
	"FETCHED, of a URL: when a list of it was last taken, or found to be as it was.\n"
	"`add` passes the open file to the daemon: CRLs in PEM, or one in DER; with --uri they are found\n"
	"by this distribution point as well. What was added stays through reloads, until `del` or the\n"
	"end of the daemon. Files of the configuration are not deleted here.",
	1,
	2,
	crl_columns,
	false,
	run_crl,
	CTL_OPTION_URI,
};
