// SPDX-License-Identifier: Apache-2.0
/*
 * `sluice bench`: reads the command line, builds the profile, runs the threads of the load, shows how
 * far they are, merges what they measured and has it written. Maps the first error to the exit status.
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "load.h"

#define FIELD(name) offsetof(struct bench_settings, name)
#define DEFAULT_SECONDS 10
#define DAY 86400
#define PROGRESS_NS (200 * NS_PER_MS)

static const char *const modes[] = {
	[MODE_HANDSHAKE] = "handshake", [MODE_RESUME] = "resume",     [MODE_IDLE] = "idle",
	[MODE_REQUEST] = "request",     [MODE_DOWNLOAD] = "download", [MODE_UPLOAD] = "upload",
	[MODE_ECHO] = "echo",
};

static const struct arg bench_args[] = {
	{ "mode", 0, ARG_CHOICE, FIELD(mode), "MODE",
	  "handshake (default), resume, request, download, upload, echo or idle",
	  .choices = "handshake|resume|request|download|upload|echo|idle" },
	{ "duration", 'd', ARG_NUMBER, FIELD(duration), "S",
	  "seconds to measure; default 10 unless --count", .min = 1, .max = DAY },
	{ "count", 'n', ARG_NUMBER, FIELD(count), "N", "end after N operations", .min = 1,
	  .max = INT64_C(1000000000000) },
	{ "connections", 'c', ARG_NUMBER, FIELD(connections), "N", "at once; default 10", .min = 1,
	  .max = 100000 },
	{ "threads", 't', ARG_NUMBER, FIELD(threads), "N", "each with an event loop; default 1",
	  .min = 1, .max = 256 },
	{ "rate", 'r', ARG_NUMBER, FIELD(rate), "R",
	  "begin R operations a second, whatever the server does (open loop)", .min = 1,
	  .max = 1000000 },
	{ "read-rate", 0, ARG_NUMBER, FIELD(read_rate), "BYTES",
	  "read at most so many a second of each connection: a slow client", .min = 1,
	  .max = INT64_C(1) << 40 },
	{ "ramp", 0, ARG_NUMBER, FIELD(ramp), "S", "open the connections over S seconds", .min = 0,
	  .max = DAY },
	{ "warm-up", 0, ARG_NUMBER, FIELD(warm_up), "S", "run so long before measuring", .min = 0,
	  .max = DAY },
	{ "timeout", 0, ARG_NUMBER, FIELD(timeout), "MS",
	  "without progress until an operation fails; default 10000", .min = 1, .max = 3600000 },
	{ "path", 0, ARG_TEXT, FIELD(path), "PATH", "what is asked for; default /" },
	{ "size", 0, ARG_NUMBER, FIELD(size), "BYTES",
	  "what is sent (upload, echo; default 1 MiB); otherwise what a body must be", .min = 0,
	  .max = INT64_C(1) << 40 },
	{ "verify-body", 0, ARG_TEXT, FIELD(verify_body), "SHA256",
	  "what the body of each response must hash to" },
	{ "keep-alive", 0, ARG_FLAG, FIELD(keep_alive), NULL,
	  "many requests on a connection; otherwise one" },
	{ "servername", 0, ARG_TEXT, FIELD(servername), "NAME",
	  "name to ask for and to check, instead of HOST" },
	{ "insecure", 'k', ARG_FLAG, FIELD(insecure), NULL, "accept every certificate" },
	TLS_ARG_ROWS(struct bench_settings, tls),
	{ "alpn", 0, ARG_TEXT, FIELD(alpn), "LIST", "application protocols to offer" },
	{ "tls1.2", 0, ARG_FLAG, FIELD(tls12), NULL, "offer TLS 1.2" },
	{ "tls1.3", 0, ARG_FLAG, FIELD(tls13), NULL, "offer TLS 1.3; default: both" },
	{ "json", 0, ARG_TEXT, FIELD(json), "FILE",
	  "write the results as JSON; -: standard output" },
	{ "html", 0, ARG_TEXT, FIELD(html), "FILE", "write a page with plots" },
	{ "quiet", 'q', ARG_FLAG, FIELD(quiet), NULL, "no progress and no summary" },
	{ NULL },
};

/* SIGINT and SIGTERM end the load, and what was measured is written; a second one ends the program. */
static atomic_bool *stop_flag;

static void on_signal(int signo)
{
	atomic_store(stop_flag, true);
	signal(signo, SIG_DFL);
}

static int usage_error(const char *text)
{
	fprintf(stderr, "sluice bench: %s\n", text);
	return -1;
}

static int parse_sha256(struct bench *bench)
{
	const char *text = bench->settings->verify_body;
	unsigned int byte;
	size_t i;

	if (!text)
		return 0;
	if (strlen(text) != 2 * SHA256_DIGEST_LENGTH ||
	    strspn(text, "0123456789abcdefABCDEF") != 2 * SHA256_DIGEST_LENGTH)
		return usage_error("--verify-body takes 64 hexadecimal digits");
	for (i = 0; i < SHA256_DIGEST_LENGTH; i++) {
		sscanf(text + 2 * i, "%2x", &byte);
		bench->sha256[i] = (uint8_t)byte;
	}
	return 0;
}

static void find_mode(struct bench *bench)
{
	while (strcmp(modes[bench->mode], bench->settings->mode) != 0)
		bench->mode++;
}

static int parse(struct bench *bench, struct bench_settings *settings, int argc, char **argv)
{
	int operand = args_parse(bench_args, settings, argc, argv);

	if (operand < 0)
		return -1;
	if (operand + 1 != argc)
		return usage_error("one operand is needed: HOST:PORT");
	find_mode(bench);
	if (!settings->duration && !settings->count)
		settings->duration = DEFAULT_SECONDS;
	if (settings->threads > settings->connections)
		settings->threads = settings->connections;
	if (bench->mode >= MODE_UPLOAD && settings->size < 0)
		settings->size = 1 << 20;
	if (bench->mode == MODE_IDLE && (settings->count || settings->rate))
		return usage_error("--mode idle goes by --duration, without --count and --rate");
	if (bench->mode == MODE_ECHO && settings->size == 0)
		return usage_error("--size 0 is no echo");
	if (settings->path[0] != '/' || strpbrk(settings->path, " \r\n"))
		return usage_error("--path begins with / and has no blanks");
	if (parse_sha256(bench) < 0)
		return -1;
	bench->target = argv[operand];
	return tcp_target("bench", argv[operand], bench->host, sizeof(bench->host), bench->port,
			  sizeof(bench->port));
}

static bool is_address(const char *host)
{
	static const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	struct addrinfo *list;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return false;
	freeaddrinfo(list);
	return true;
}

static int set_options(const struct bench *bench, struct sluice_options *opts,
		       struct sluice_error *err)
{
	const struct bench_settings *settings = bench->settings;
	const char *name = settings->servername;
	int r = 0;

	if (!name && !is_address(bench->host))
		name = bench->host; /* the library is given an address */
	if (name)
		r = sluice_options_set(opts, SLUICE_OPT_SERVER_NAME_INDICATION, name, err);
	if (r >= 0 && settings->alpn)
		r = sluice_options_set(opts, SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS, settings->alpn,
				       err);
	if (r >= 0 && settings->tls12 != settings->tls13)
		r = sluice_options_set(opts, SLUICE_OPT_VERSIONS,
				       settings->tls12 ? "tlsv1.2" : "tlsv1.3", err);
	if (r >= 0 && settings->insecure)
		r = sluice_options_set(opts, SLUICE_OPT_VERIFY, "verify_none", err);
	return r;
}

static int make_profile(struct bench *bench, struct sluice_error *err)
{
	struct sluice_options *opts;
	int r;

	r = tls_args_options(&bench->settings->tls,
			     bench->mode == MODE_RESUME ? "manual" : "disabled", &opts, err);
	if (r < 0)
		return r;
	r = set_options(bench, opts, err);
	if (r >= 0)
		r = sluice_profile_new(&bench->profile, opts, SLUICE_CLIENT, err);
	sluice_options_free(opts);
	return r;
}

/*
 * Looks the name up once; the load must not wait for a resolver. Of several addresses the first one
 * that takes a TCP connection is used.
 */
static int resolve(struct bench *bench, struct sluice_error *err)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct addrinfo *list;
	int r, fd;

	r = getaddrinfo(bench->host, bench->port, &hints, &list);
	if (r != 0)
		return fail(err, SLUICE_E_RESOLVE, 0, "%s: %s", bench->host, gai_strerror(r));
	if (list->ai_next) {
		r = tcp_connect(bench->host, bench->port, (int)bench->settings->timeout, &fd, err);
		if (r >= 0) {
			getpeername(fd, (struct sockaddr *)&addr, &len);
			close(fd);
		}
	} else {
		len = list->ai_addrlen;
		memcpy(&addr, list->ai_addr, len);
	}
	if (r >= 0)
		r = getnameinfo((struct sockaddr *)&addr, len, bench->address,
				sizeof(bench->address), NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(list);
	return r < 0 ? r : r > 0 ? fail(err, SLUICE_E_RESOLVE, 0, "%s", gai_strerror(r)) : 0;
}

static void allow_descriptors(const struct bench_settings *settings)
{
	rlim_t wanted = (rlim_t)(settings->connections + 8 * settings->threads + 64);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit); /* what is too little is counted as SLUICE_E_NOFILE */
}

/* --- the run */

static void set_times(struct bench *bench)
{
	const struct bench_settings *settings = bench->settings;

	bench->start_ns = now_ns();
	bench->measure_ns = bench->start_ns + (uint64_t)settings->warm_up * NS_PER_S;
	if (settings->duration)
		bench->end_ns = bench->measure_ns + (uint64_t)settings->duration * NS_PER_S;
}

static void show_progress(const struct bench *bench, struct loader *loaders)
{
	double seconds = (double)(int64_t)(now_ns() - bench->measure_ns) / NS_PER_S;
	uint64_t done = 0, failed = 0;
	int i;

	for (i = 0; i < bench->settings->threads; i++) {
		done += atomic_load_explicit(&loaders[i].done, memory_order_relaxed);
		failed += atomic_load_explicit(&loaders[i].failed, memory_order_relaxed);
	}
	if (seconds <= 0)
		fprintf(stderr, "\r\033[Kwarming up, %llu errors", (unsigned long long)failed);
	else
		fprintf(stderr, "\r\033[K%.0f s: %llu done, %.0f per second, %llu errors", seconds,
			(unsigned long long)done, (double)done / seconds,
			(unsigned long long)failed);
}

static void join(struct bench *bench, struct loader *loaders, int n)
{
	static const struct timespec pause = { .tv_nsec = PROGRESS_NS };
	bool show = !bench->settings->quiet && isatty(STDERR_FILENO);
	int i;

	while (show && atomic_load(&bench->running)) {
		show_progress(bench, loaders);
		nanosleep(&pause, NULL);
	}
	if (show)
		fputs("\r\033[K", stderr);
	for (i = 0; i < n; i++)
		pthread_join(loaders[i].thread, NULL);
}

static int run_loaders(struct bench *bench, struct loader *loaders)
{
	const struct bench_settings *settings = bench->settings;
	int i, r = 0, n = (int)settings->threads;

	for (i = 0; i < n; i++) {
		loaders[i].bench = bench;
		loaders[i].id = i;
		loaders[i].n_slots =
			(int)(settings->connections / n + (i < settings->connections % n ? 1 : 0));
		loaders[i].epoll_fd = -1;
		atomic_fetch_add(&bench->running, 1);
		r = pthread_create(&loaders[i].thread, NULL, loader_run, &loaders[i]);
		if (r != 0) {
			fprintf(stderr, "sluice bench: no thread: %s\n", strerror(r));
			atomic_fetch_sub(&bench->running, 1);
			atomic_store(&bench->stop, true);
			break;
		}
	}
	join(bench, loaders, i);
	return r ? -SLUICE_E_NOMEM : 0;
}

/* --- results */

static void merge_errors(struct loader *to, const struct result *from)
{
	struct result *result = &to->result;
	uint64_t before = result->errors;
	int i, k;

	for (i = 0; i < from->n_kinds; i++) {
		const struct error_count *kind = &from->kinds[i];

		loader_error(to, kind->name, kind->code, kind->text);
		for (k = 0; k < result->n_kinds; k++) {
			if (strcmp(result->kinds[k].name, kind->name) == 0)
				result->kinds[k].count += kind->count - 1;
		}
	}
	result->errors = before + from->errors;
}

static void merge_series(struct result *to, struct result *from)
{
	size_t i;

	if (from->n_series > to->n_series) {
		struct sample *series = to->series;
		size_t n = to->n_series;

		to->series = from->series;
		to->n_series = from->n_series;
		from->series = series;
		from->n_series = n;
	}
	for (i = 0; i < from->n_series; i++) {
		to->series[i].ops += from->series[i].ops;
		to->series[i].bytes += from->series[i].bytes;
	}
	free(from->series);
	from->series = NULL;
}

static void merge(struct loader *loader, struct result *from)
{
	struct result *to = &loader->result;

	hist_merge(&to->latency, &from->latency);
	to->ok += from->ok;
	to->failed += from->failed;
	to->warm_up_ops += from->warm_up_ops;
	to->unsent += from->unsent;
	to->unfinished += from->unfinished;
	to->full += from->full;
	to->resumed += from->resumed;
	to->bytes_in += from->bytes_in;
	to->bytes_out += from->bytes_out;
	to->cpu_ns += from->cpu_ns;
	to->instructions += from->instructions;
	if (from->last_ns > to->last_ns)
		to->last_ns = from->last_ns;
	if (from->busiest_permille > to->busiest_permille)
		to->busiest_permille = from->busiest_permille;
	if (!to->info.version)
		to->info = from->info;
	merge_errors(loader, from);
	merge_series(to, from);
}

/* In seconds: the duration and what was waited for behind it, or until the last operation. */
static double measured_seconds(const struct bench *bench, const struct result *result)
{
	bool whole = bench->end_ns && !bench->settings->count && !atomic_load(&bench->stop);
	uint64_t end = result->last_ns ? result->last_ns : now_ns();

	if (whole && end < bench->end_ns)
		end = bench->end_ns;
	return end > bench->measure_ns ? (double)(end - bench->measure_ns) / NS_PER_S : 0;
}

static int write_reports(const struct bench *bench, const struct result *result)
{
	const struct bench_settings *settings = bench->settings;
	double seconds = measured_seconds(bench, result);
	int r = 0;

	if (!settings->quiet)
		report_text(bench, result, seconds,
			    settings->json && strcmp(settings->json, "-") == 0 ? stderr : stdout);
	if (settings->json)
		r = report_json(bench, result, seconds, settings->json);
	if (settings->html && report_html(bench, result, seconds, settings->html) < 0)
		r = -SLUICE_E_FILE;
	return r;
}

static int verdict(const struct result *result)
{
	if (!result->errors && result->ok)
		return EXIT_OK;
	return result->first_code ? exit_status_of(result->first_code) : EXIT_FAILED;
}

static int run(struct bench *bench)
{
	int i, r, n = (int)bench->settings->threads, status = EXIT_FAILED;
	struct loader *loaders = calloc((size_t)n, sizeof(*loaders));

	if (!loaders)
		return EXIT_FAILED;
	stop_flag = &bench->stop;
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	if (bench->mode == MODE_IDLE)
		bench->memory_before = memory_resident();
	set_times(bench);
	r = run_loaders(bench, loaders);
	for (i = 0; r >= 0 && i < n; i++) {
		if (loaders[i].fatal.code) {
			complain("bench", &loaders[i].fatal);
			r = -loaders[i].fatal.code;
		} else if (i > 0) {
			merge(&loaders[0], &loaders[i].result);
		}
	}
	if (r >= 0)
		status = write_reports(bench, &loaders[0].result) < 0 ? EXIT_FAILED
								      : verdict(&loaders[0].result);
	for (i = 0; i < n; i++)
		free(loaders[i].result.series);
	free(loaders);
	return status;
}

static int bench_run(int argc, char **argv)
{
	struct bench_settings settings = {
		.mode = "handshake",
		.path = "/",
		.connections = 10,
		.threads = 1,
		.timeout = 10000,
		.size = -1,
	};
	struct bench bench = { .settings = &settings };
	struct sluice_error err = { .alert = -1 };
	int r, status;

	if (parse(&bench, &settings, argc, argv) < 0)
		return EXIT_USAGE;
	r = make_profile(&bench, &err);
	if (r >= 0)
		r = resolve(&bench, &err);
	if (r >= 0)
		r = exchange_setup(&bench);
	if (r < 0 && !err.code)
		fail(&err, -r, 0, "%s", sluice_strerror(r));
	if (r < 0) {
		complain("bench", &err);
		status = exit_status_of(r);
	} else {
		allow_descriptors(&settings);
		status = run(&bench);
	}
	exchange_free(&bench);
	sluice_profile_unref(bench.profile);
	return status;
}

const struct command cmd_bench = {
	.name = "bench",
	.synopsis = "HOST:PORT [OPTION]...",
	.summary = "load a TLS server and measure it",
	.details =
		"An operation is a handshake, a resumed one, a request with its response, or an echo;\n"
		"of --mode idle a connection that says nothing for --duration, then a request.\n"
		"With --rate they begin by a schedule, and latency counts from when each was to\n"
		"begin; without, each begins when the one before it on its connection has ended,\n"
		"and a server that stalls is asked less often: its latencies look better than they\n"
		"are.\n\n"
		"Exit status: that of the first error as of `sluice connect`; 0: there was none.",
	.args = bench_args,
	.run = bench_run,
};
