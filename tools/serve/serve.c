/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice serve`: reads the command line and builds the profile and the root directory; server.c
 * does the rest. Everything that can be wrong with the settings is found before the ready line.
 */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <string.h>
#include <unistd.h>

#include "apps.h"
#include "command.h"

#define FIELD(name) offsetof(struct serve_settings, name)
#define MS_MAX 86400000 /* a day */
#define TRIM_THRESHOLD (4 << 20)
#define MMAP_THRESHOLD (1 << 20)

static const struct arg serve_args[] = {
	{ "listen", 'l', ARG_LIST, FIELD(listen), "HOST:PORT",
	  "address to listen on, may be repeated; default 127.0.0.1:8443" },
	{ "mode", 0, ARG_CHOICE, FIELD(mode), "MODE", "http (default) or echo",
	  .choices = "http|echo" },
	{ "root", 0, ARG_TEXT, FIELD(root), "DIR",
	  "files to serve; default: the working directory" },
	TLS_ARG_ROWS(struct serve_settings, tls),
	{ "alpn", 0, ARG_TEXT, FIELD(alpn), "LIST", "application protocols to accept" },
	{ "ocsp", 0, ARG_TEXT, FIELD(tls.ocsp_file), "FILE",
	  "OCSP response to be stapled, DER or PEM" },
	{ "client-auth", 0, ARG_CHOICE, FIELD(client_auth), "WHEN",
	  "none (default), optional or required", .choices = "none|optional|required" },
	{ "tickets", 0, ARG_NUMBER, FIELD(tickets), "N", "session tickets per handshake; 0: none",
	  .max = 4 },
	{ "handshake-timeout", 0, ARG_NUMBER, FIELD(handshake_timeout), "MS",
	  "until a handshake is given up; default 10000", .min = 1, .max = 3600000 },
	{ "idle-timeout", 0, ARG_NUMBER, FIELD(idle_timeout), "MS",
	  "until an idle connection is closed; default 60000", .min = 1, .max = MS_MAX },
	{ "key-update-at-request", 0, ARG_FLAG, FIELD(key_update_at_request), NULL,
	  "new sending keys when asked: GET /.sluice/key-update, or a line KEYUPDATE" },
	{ "workers", 0, ARG_NUMBER, FIELD(workers), "N", "threads, each with its ring; default 1",
	  .min = 1, .max = WORKERS_MAX },
	{ "max-conns", 0, ARG_NUMBER, FIELD(max_conns), "N",
	  "connections at most; others wait; shared out among the workers", .min = 1,
	  .max = 10000000 },
	{ "upload-max", 0, ARG_NUMBER, FIELD(upload_max), "BYTES",
	  "take bodies of POST and PUT up to this, and answer with length and SHA-256; default 0: none",
	  .min = 0, .max = INT64_MAX },
	{ "once", 0, ARG_NUMBER, FIELD(once), "N", "end after N connections", .min = 1,
	  .max = INT64_MAX },
	{ "json-log", 0, ARG_FLAG, FIELD(json_log), NULL, "log connections as JSON" },
	{ "quiet", 'q', ARG_FLAG, FIELD(quiet), NULL, "do not log connections" },
	{ NULL },
};

static int set_client_auth(struct sluice_options *opts, const char *when, struct sluice_error *err)
{
	int r;

	if (!when)
		return 0;
	r = sluice_options_set(opts, SLUICE_OPT_VERIFY,
			       strcmp(when, "none") == 0 ? "verify_none" : "verify_peer", err);
	if (r < 0)
		return r;
	return sluice_options_set_int(opts, SLUICE_OPT_FAIL_IF_NO_PEER_CERT,
				      strcmp(when, "required") == 0, err);
}

static int set_tickets(struct sluice_options *opts, int64_t tickets, struct sluice_error *err)
{
	if (tickets < 0)
		return 0;
	if (tickets == 0)
		return sluice_options_set(opts, SLUICE_OPT_SESSION_TICKETS, "disabled", err);
	return sluice_options_set_int(opts, SLUICE_OPT_TICKET_COUNT, tickets, err);
}

static int make_profile(struct server *server, struct sluice_error *err)
{
	const struct serve_settings *settings = server->settings;
	struct sluice_options *opts;
	int r;

	r = tls_args_options(&settings->tls, "stateless", &opts, err);
	if (r < 0)
		return r;
	if (settings->alpn)
		r = sluice_options_set(opts, SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS, settings->alpn,
				       err);
	if (r >= 0)
		r = set_client_auth(opts, settings->client_auth, err);
	if (r >= 0)
		r = set_tickets(opts, settings->tickets, err);
	if (r >= 0 && settings->handshake_timeout)
		r = sluice_options_set_int(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT,
					   settings->handshake_timeout, err);
	if (r >= 0)
		r = sluice_profile_new(&server->profile, opts, SLUICE_SERVER, err);
	sluice_options_free(opts);
	return r;
}

/* What the library does in silence: a response that is out of date is no reason not to serve. */
static void warn_of_staple(const struct server *server)
{
	struct sluice_ocsp_info info;

	if (sluice_profile_ocsp(server->profile, NULL, &info, sizeof(info)) == 0 && !info.stapled)
		fprintf(stderr, "sluice serve: the OCSP response is out of date, and is not "
				"stapled\n");
}

static int open_root(struct server *server)
{
	const char *root = server->settings->root ? server->settings->root : ".";

	if (server->app != &app_http)
		return 0;
	server->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (server->root_fd >= 0)
		return 0;
	fprintf(stderr, "sluice serve: cannot open '%s': %s\n", root, strerror(errno));
	return -1;
}

static int parse(struct serve_settings *settings, int argc, char **argv)
{
	int r = args_parse(serve_args, settings, argc, argv);

	if (r < 0)
		return -1;
	if (r < argc) {
		fprintf(stderr, "sluice serve: '%s' is not an option\n", argv[r]);
		return -1;
	}
	if (settings->listen.n > LISTEN_MAX) {
		fprintf(stderr, "sluice serve: at most %d addresses\n", LISTEN_MAX);
		return -1;
	}
	if (settings->listen.n == 0)
		settings->listen.items[settings->listen.n++] = "127.0.0.1:8443";
	/* A place is for each address at least, or an address would never be served. */
	if (settings->max_conns && (size_t)settings->max_conns < settings->listen.n) {
		fprintf(stderr, "sluice serve: --max-conns: at least %zu, one for each address\n",
			(size_t)settings->listen.n);
		return -1;
	}
	if (settings->max_conns &&
	    settings->workers > settings->max_conns / (int64_t)settings->listen.n)
		settings->workers = settings->max_conns / (int64_t)settings->listen.n;
	return 0;
}

static int serve_run(int argc, char **argv)
{
	struct serve_settings settings = {
		.mode = "http",
		.tickets = -1,
		.idle_timeout = 60000,
		.workers = 1,
	};
	struct server server = { .settings = &settings, .root_fd = -1 };
	struct sluice_error err = { .alert = -1 };
	int status = EXIT_USAGE;
	int r;

	if (parse(&settings, argc, argv) < 0)
		return EXIT_USAGE;
	/* Buffers of a connection come and go with its data: not back to the kernel each time. */
	mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD);
	mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD);
	server.app = strcmp(settings.mode, "echo") == 0 ? &app_echo : &app_http;
	r = make_profile(&server, &err);
	if (r < 0) {
		complain("serve", &err);
		return EXIT_USAGE;
	}
	warn_of_staple(&server);
	if (open_root(&server) < 0)
		goto out;
	status = EXIT_FAILED;
	r = sluice_start(&server.sluice, SLUICE_PERMANENT, &err);
	if (r < 0) {
		complain("serve", &err);
		goto out;
	}
	status = server_run(&server) < 0 ? EXIT_FAILED : EXIT_OK;
	sluice_stop(server.sluice);
out:
	if (server.root_fd >= 0)
		close(server.root_fd);
	sluice_profile_unref(server.profile);
	return status;
}

const struct command cmd_serve = {
	.name = "serve",
	.synopsis = "--cert FILE --key FILE [OPTION]...",
	.summary = "serve files, or an echo, over TLS by io_uring",
	.details =
		"Prints `listening on ADDRESS` when ready, and a line per connection when it ends.\n"
		"SIGTERM and SIGINT let connections end in order, a second one ends them; SIGUSR1\n"
		"prints the counters.",
	.args = serve_args,
	.run = serve_run,
};
