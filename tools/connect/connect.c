/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice connect`: reads the command line, builds the profile, and runs what is asked for: the
 * connection, a second one that resumes, a request or the relay. Maps what went wrong to the exit
 * status.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "command.h"

#define FIELD(name) offsetof(struct connect_settings, name)
#define TICKET_MS 1000 /* how long a ticket is waited for */
#define CLOSE_MS 1000  /* and the peer's close_notify */

static const struct arg connect_args[] = {
	{ "servername", 0, ARG_TEXT, FIELD(servername), "NAME",
	  "name to ask for and to check, instead of HOST" },
	{ "insecure", 'k', ARG_FLAG, FIELD(insecure), NULL, "accept every certificate" },
	TLS_ARG_ROWS(struct connect_settings, tls),
	{ "alpn", 0, ARG_TEXT, FIELD(alpn), "LIST", "application protocols to offer" },
	{ "tls1.2", 0, ARG_FLAG, FIELD(tls12), NULL, "offer TLS 1.2" },
	{ "tls1.3", 0, ARG_FLAG, FIELD(tls13), NULL, "offer TLS 1.3; default: both" },
	{ "session-out", 0, ARG_TEXT, FIELD(session_out), "FILE",
	  "save the session to a new file" },
	{ "session-in", 0, ARG_TEXT, FIELD(session_in), "FILE", "resume a saved session" },
	{ "resume", 0, ARG_FLAG, FIELD(resume), NULL,
	  "connect twice, the second time resuming the first" },
	{ "starttls", 0, ARG_CHOICE, FIELD(starttls), "PROTOCOL", "begin in plain smtp or imap",
	  .choices = "smtp|imap" },
	{ "get", 0, ARG_TEXT, FIELD(get), "PATH", "HTTP GET, and write the body" },
	{ "request", 0, ARG_TEXT, FIELD(request), "TEXT",
	  "send TEXT (with \\r and \\n) and write what comes back" },
	{ "output", 'O', ARG_TEXT, FIELD(output), "FILE", "where --get and --request write" },
	{ "keep-open", 0, ARG_FLAG, FIELD(keep_open), NULL,
	  "do not end our direction at the end of the input" },
	{ "timeout", 0, ARG_NUMBER, FIELD(timeout), "MS",
	  "for connecting, and for each wait of a request; default 10000", .min = 1,
	  .max = 3600000 },
	{ "json", 0, ARG_FLAG, FIELD(json), NULL, "facts and errors as JSON" },
	{ "quiet", 'q', ARG_FLAG, FIELD(quiet), NULL, "do not print the facts" },
	{ NULL },
};

static const char *versions_of(const struct connect_settings *settings)
{
	if (settings->tls12 == settings->tls13)
		return NULL; /* the library's default is both */
	return settings->tls12 ? "tlsv1.2" : "tlsv1.3";
}

static int set_client_options(struct sluice_options *opts, const struct connect_settings *settings,
			      struct sluice_error *err)
{
	const struct {
		enum sluice_option id;
		const char *value;
	} named[] = {
		{ SLUICE_OPT_SERVER_NAME_INDICATION, settings->servername },
		{ SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, settings->alpn },
		{ SLUICE_OPT_VERSIONS, versions_of(settings) },
		{ SLUICE_OPT_VERIFY, settings->insecure ? "verify_none" : NULL },
	};
	size_t i;
	int r;

	for (i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		if (!named[i].value)
			continue;
		r = sluice_options_set(opts, named[i].id, named[i].value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int set_up(struct client *client, struct sluice_error *err)
{
	const struct connect_settings *settings = client->settings;
	struct sluice_options *opts;
	int r;

	r = tls_args_options(&settings->tls, "manual", &opts, err);
	if (r < 0)
		return r;
	r = set_client_options(opts, settings, err);
	if (r >= 0)
		r = sluice_profile_new(&client->profile, opts, SLUICE_CLIENT, err);
	sluice_options_free(opts);
	if (r >= 0)
		r = sluice_start(&client->sluice, SLUICE_TEMPORARY, err);
	if (r >= 0 && settings->session_in)
		r = sluice_session_load(client->sluice, settings->session_in, &client->session,
					err);
	return r;
}

/* Closes the first connection and opens the one that resumes it. */
static int reconnect(struct client *client)
{
	int r = client_ticket(client, TICKET_MS);

	if (r < 0) {
		fprintf(stderr, "sluice connect: the server sent no ticket: cannot resume\n");
		return r;
	}
	sluice_close_timeout(client->conn, CLOSE_MS);
	client->conn = NULL;
	return client_open(client);
}

static int save_session(struct client *client)
{
	struct sluice_error err = { .alert = -1 };
	int r;

	r = client_ticket(client, TICKET_MS);
	if (r < 0) {
		fprintf(stderr, "sluice connect: the server sent no ticket: nothing to save\n");
		return r;
	}
	r = sluice_session_save(client->session, client->settings->session_out, &err);
	if (r < 0)
		client_complain(client, r, &err);
	return r;
}

static int talk(struct client *client)
{
	const struct connect_settings *settings = client->settings;
	FILE *out = stdout;
	int r;

	if (!settings->get && !settings->request)
		return relay(client);
	if (settings->output)
		out = fopen(settings->output, "we");
	if (!out) {
		fprintf(stderr, "sluice connect: cannot write '%s': %s\n", settings->output,
			strerror(errno));
		return -SLUICE_E_FILE;
	}
	r = request(client, out);
	if (out != stdout && fclose(out) != 0 && r >= 0)
		r = -SLUICE_E_IO;
	return r;
}

/* Returns 0, 1 for an answer that is a refusal, or the library's error. */
static int run(struct client *client)
{
	int r, saved = 0;

	r = client_open(client);
	if (r >= 0 && client->settings->resume)
		r = reconnect(client);
	if (r >= 0)
		r = talk(client);
	if (r >= 0 && client->settings->session_out)
		saved = save_session(client);
	client_show_end(client);
	if (r < 0)
		sluice_close(client->conn); /* what it adds to the failure nobody needs */
	else
		sluice_close_timeout(client->conn, CLOSE_MS);
	client->conn = NULL;
	return r < 0 ? r : saved < 0 ? saved : r;
}

static int connect_run(int argc, char **argv)
{
	struct connect_settings settings = { .timeout = 10000 };
	struct client client = { .settings = &settings };
	struct sluice_error err = { .alert = -1 };
	int operand, r;

	operand = args_parse(connect_args, &settings, argc, argv);
	if (operand < 0)
		return EXIT_USAGE;
	if (operand + 1 != argc) {
		fprintf(stderr, "sluice connect: one operand is needed: HOST:PORT\n");
		return EXIT_USAGE;
	}
	if (tcp_target("connect", argv[operand], client.host, sizeof(client.host), client.port,
		       sizeof(client.port)) < 0)
		return EXIT_USAGE;
	r = set_up(&client, &err);
	if (r < 0)
		client_complain(&client, r, &err);
	else
		r = run(&client);
	sluice_session_free(client.session);
	sluice_profile_unref(client.profile);
	sluice_stop(client.sluice);
	return r == 1 ? EXIT_FAILED : exit_status_of(r);
}

const struct command cmd_connect = {
	.name = "connect",
	.synopsis = "HOST:PORT [OPTION]...",
	.summary = "connect as a TLS client",
	.details =
		"Shows on standard error what was negotiated and with whom, then relays standard\n"
		"input and output until the peer ends.\n\n"
		"Exit status: 0 in order, 1 usage or options, 2 TCP, 3 the peer sent an alert,\n"
		"4 the certificate is not acceptable, 5 another failure, 6 out of time.",
	.args = connect_args,
	.run = connect_run,
};
