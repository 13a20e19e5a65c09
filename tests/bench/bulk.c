/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What bulk data costs each end, by bare loops and by the library, in turns in one process: bytes for each
 * second of processor time and system calls for each 16 KiB, medians of the rounds, and the ratio of each
 * way to its floor in the same round. Every byte is compared before anything is measured. Judges nothing.
 *
 * Both ends are one thread that sends as much as the sockets hold and then receives it, so that no end ever
 * waits and each is charged with its own work only; with --threads they are two, which do wait.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <getopt.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bench/bulk.h"
#include "core/sys.h"
#include "support/tcp.h"

#define MAX_WAYS 16
#define MAX_ROUNDS 99
#define TURN (256 * 1024)
#define CHECK_LEN (4 * 1024 * 1024)

enum end { SEND, RECEIVE, ENDS };

static const char *const end_names[ENDS] = { "send", "receive" };

/* What an end has used. */
struct cost {
	double seconds;
	uint64_t calls;
};

struct contender {
	const struct way *way;
	struct lane lane;
	struct cost costs[MAX_ROUNDS][ENDS];
	struct contender *floor; /* NULL: none, or it does not take part */
};

static struct {
	const char *suites[16];
	size_t sizes[8];
	const char *only[MAX_WAYS];
	int n_suites, n_sizes, n_only;
	int rounds;
	uint64_t bytes; /* of a round */
	bool threads;
	clockid_t clock;
	FILE *json;
} settings = { .rounds = 7, .bytes = 32 << 20, .clock = CLOCK_THREAD_CPUTIME_ID };

/* --- what the ways need --------------------------------------------------------------------- */

__thread uint64_t bulk_calls;

static ssize_t counted_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return bulk_call(sys_real.recvmsg(fd, msg, flags));
}

static ssize_t counted_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return bulk_call(sys_real.sendmsg(fd, msg, flags));
}

static ssize_t counted_sendfile(int out_fd, int in_fd, off_t *offset, size_t count)
{
	return bulk_call(sys_real.sendfile(out_fd, in_fd, offset, count));
}

static ssize_t counted_pread(int fd, void *buf, size_t count, off_t offset)
{
	return bulk_call(sys_real.pread(fd, buf, count, offset));
}

static int counted_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	return (int)bulk_call(sys_real.poll(fds, n_fds, timeout_ms));
}

static int counted_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	return (int)bulk_call(sys_real.getsockopt(fd, level, name, value, len));
}

/* Those that an established connection makes. */
static void count_calls(void)
{
	static struct sys_ops counting;

	counting = sys_real;
	counting.recvmsg = counted_recvmsg;
	counting.sendmsg = counted_sendmsg;
	counting.sendfile = counted_sendfile;
	counting.pread = counted_pread;
	counting.poll = counted_poll;
	counting.getsockopt = counted_getsockopt;
	sys = &counting;
}

void bulk_arrived(struct lane *lane, size_t n)
{
	const uint8_t *expected = lane->bulk->stream + lane->received % BULK_PERIOD;

	if (lane->check && memcmp(lane->in, expected, n)) {
		fprintf(stderr, "bench_bulk: %s: wrong bytes behind %llu\n", lane->way->name,
			(unsigned long long)lane->received);
		exit(1);
	}
	lane->received += n;
}

void bulk_room(int tx_fd, int rx_fd)
{
	struct timeval limit = { .tv_sec = 20 };
	int room = 16 * TURN, one = 1;

	/* It may be refused: then there is what the system grows buffers to. */
	setsockopt(tx_fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	/* SO_RCVBUF would end the growth of the window; this begins with a large one. */
	room = 4 * TURN;
	setsockopt(rx_fd, SOL_SOCKET, SO_RCVLOWAT, &room, sizeof(room));
	setsockopt(rx_fd, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof(one));
	setsockopt(tx_fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	setsockopt(rx_fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
}

static void bulk_init(struct bulk *bulk)
{
	size_t i;

	bulk->stream = malloc(BULK_PERIOD + BULK_MAX_SIZE);
	bulk->file = memfd_create("bulk", MFD_CLOEXEC);
	bulk_need(bulk->stream && bulk->file >= 0, "memory");
	for (i = 0; i < BULK_PERIOD + BULK_MAX_SIZE; i++)
		bulk->stream[i] = (uint8_t)(i % BULK_PERIOD * 2654435761u >> 13);
	for (i = 0; i < BULK_FILE_LEN; i += BULK_PERIOD)
		bulk_need(write(bulk->file, bulk->stream, BULK_PERIOD) == BULK_PERIOD, "file");
}

/* --- measuring ------------------------------------------------------------------------------ */

static double seconds_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_now(void)
{
	return seconds_of(settings.clock);
}

/*
 * User Mode Linux counts processor time in ticks: there, rates are of what the turns take, and there are
 * no ratios, as those would be of whatever else the host did meanwhile.
 */
static void choose_clock(void)
{
	double began = seconds_of(CLOCK_THREAD_CPUTIME_ID), now;

	do {
		now = seconds_of(CLOCK_THREAD_CPUTIME_ID);
	} while (now == began);
	if (now - began < 1e-4)
		return;
	fprintf(stderr,
		"bench_bulk: processor time goes by %.1f ms here: time that passes instead\n",
		(now - began) * 1e3);
	settings.clock = CLOCK_MONOTONIC;
}

static bool is_processor_time(void)
{
	return settings.clock == CLOCK_THREAD_CPUTIME_ID;
}

/* Functions of their own: profilers are told to look at them only. */
__attribute__((noinline)) void bulk_measured_send(struct lane *lane, uint64_t n);
__attribute__((noinline)) void bulk_measured_receive(struct lane *lane, uint64_t n);

void bulk_measured_send(struct lane *lane, uint64_t n)
{
	lane->way->send(lane, n);
}

void bulk_measured_receive(struct lane *lane, uint64_t n)
{
	lane->way->receive(lane, n);
}

static void measure(struct lane *lane, enum end end, uint64_t n, struct cost *cost)
{
	uint64_t calls = bulk_calls;
	double began = cpu_now();

	if (lane->check)
		(end == SEND ? lane->way->send : lane->way->receive)(lane, n);
	else if (end == SEND)
		bulk_measured_send(lane, n);
	else
		bulk_measured_receive(lane, n);
	cost->seconds += cpu_now() - began;
	cost->calls += bulk_calls - calls;
}

static void run_in_turns(struct lane *lane, uint64_t n, struct cost costs[ENDS])
{
	uint64_t done;

	for (done = 0; done < n; done += TURN) {
		measure(lane, SEND, TURN, &costs[SEND]);
		measure(lane, RECEIVE, TURN, &costs[RECEIVE]);
	}
}

struct receiver {
	struct lane *lane;
	uint64_t n;
	struct cost *cost;
};

static void *be_receiver(void *arg)
{
	struct receiver *receiver = arg;

	measure(receiver->lane, RECEIVE, receiver->n, receiver->cost);
	return NULL;
}

static void run_in_threads(struct lane *lane, uint64_t n, struct cost costs[ENDS])
{
	struct receiver receiver = { lane, n, &costs[RECEIVE] };
	pthread_t thread;

	bulk_need(!pthread_create(&thread, NULL, be_receiver, &receiver), "thread");
	measure(lane, SEND, n, &costs[SEND]);
	pthread_join(thread, NULL);
}

static void run(struct lane *lane, uint64_t n, struct cost costs[ENDS])
{
	if (settings.threads && !lane->way->alone)
		run_in_threads(lane, n, costs);
	else
		run_in_turns(lane, n, costs);
}

/* --- who takes part ------------------------------------------------------------------------- */

static bool has_kernel_tls(void)
{
	int fds[2], r;

	tcp_pair(fds);
	r = setsockopt(fds[0], IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls"));
	close(fds[0]);
	close(fds[1]);
	return r == 0;
}

static bool is_wanted(const struct way *way)
{
	int i;

	for (i = 0; i < settings.n_only; i++)
		if (!strcmp(settings.only[i], way->name))
			return true;
	return settings.n_only == 0;
}

static struct contender *find(struct contender *contenders, int n, const char *name)
{
	int i;

	for (i = 0; name && i < n; i++)
		if (!strcmp(contenders[i].way->name, name))
			return &contenders[i];
	return NULL;
}

static int gather(struct contender *contenders, const struct bulk *bulk, bool kernel)
{
	static const struct way *const tables[] = { bulk_bare_ways, bulk_library_ways };
	const struct way *way;
	int i, n = 0;

	for (i = 0; i < 2; i++) {
		for (way = tables[i]; way->name; way++) {
			if (!is_wanted(way) || (way->kernel && !kernel))
				continue;
			contenders[n] = (struct contender){ .way = way };
			contenders[n].lane = (struct lane){ .bulk = bulk, .way = way };
			contenders[n].lane.in = malloc(TURN + RECORD_MAX_PLAIN);
			bulk_need(contenders[n].lane.in != NULL, "memory");
			contenders[n].floor = find(contenders, n, way->floor);
			way->open(&contenders[n].lane);
			n++;
		}
	}
	return n;
}

static void dismiss(struct contender *contenders, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		contenders[i].way->close(&contenders[i].lane);
		free(contenders[i].lane.in);
	}
}

/* --- results -------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), by_value);
	return values[n / 2];
}

struct figures {
	double rate;  /* bytes for each second, of processor time if is_processor_time() */
	double calls; /* for each 16 KiB */
	double ratio; /* of the rate to the floor's; 0: there is none */
};

static struct figures summarize(const struct contender *contender, enum end end)
{
	double rates[MAX_ROUNDS], ratios[MAX_ROUNDS];
	const struct contender *floor = contender->floor;
	uint64_t calls = 0;
	int i;

	for (i = 0; i < settings.rounds; i++) {
		const struct cost *cost = &contender->costs[i][end];

		rates[i] = (double)settings.bytes / cost->seconds;
		ratios[i] = floor ? floor->costs[i][end].seconds / cost->seconds : 0;
		calls += cost->calls;
	}
	return (struct figures){
		.rate = median(rates, settings.rounds),
		.calls = (double)calls * RECORD_MAX_PLAIN /
			 (double)(settings.bytes * (uint64_t)settings.rounds),
		.ratio = median(ratios, settings.rounds),
	};
}

static void print_json(const struct contender *contender, enum end end,
		       const struct figures *figures)
{
	static const char *between = "";
	const struct bulk *bulk = contender->lane.bulk;

	if (!settings.json)
		return;
	fprintf(settings.json,
		"%s\n  {\"suite\": \"%s\", \"version\": \"%s\", \"size\": %zu, \"way\": \"%s\", "
		"\"end\": \"%s\", \"clock\": \"%s\", \"bytes_per_second\": %.0f, "
		"\"calls_per_16_kib\": %.4f, \"floor\": ",
		between, bulk->suite->name, bulk->suite->version == TLS13 ? "TLSv1.3" : "TLSv1.2",
		bulk->size, contender->way->name, end_names[end],
		is_processor_time() ? "processor" : "elapsed", figures->rate, figures->calls);
	if (!contender->floor)
		fprintf(settings.json, "null, \"ratio\": null}");
	else if (!is_processor_time())
		fprintf(settings.json, "\"%s\", \"ratio\": null}", contender->floor->way->name);
	else
		fprintf(settings.json, "\"%s\", \"ratio\": %.4f}", contender->floor->way->name,
			figures->ratio);
	between = ",";
}

static void print(const struct contender *contenders, int n, const struct bulk *bulk)
{
	struct figures figures;
	int i, end;

	printf("%s, %zu bytes in each call\n%-12s", bulk->suite->name, bulk->size, "");
	printf(" %10s %6s %6s   %10s %6s %6s\n", "send MB/s", "ratio", "calls", "recv MB/s",
	       "ratio", "calls");
	for (i = 0; i < n; i++) {
		printf("%-12s", contenders[i].way->name);
		for (end = 0; end < ENDS; end++) {
			char ratio[16] = "-";

			figures = summarize(&contenders[i], end);
			if (contenders[i].floor && is_processor_time())
				snprintf(ratio, sizeof(ratio), "%.3f", figures.ratio);
			printf(" %10.0f %6s %6.2f  ", figures.rate / 1e6, ratio, figures.calls);
			print_json(&contenders[i], end, &figures);
		}
		printf("\n");
	}
	fflush(stdout);
}

static void compare(struct bulk *bulk, bool kernel)
{
	static struct contender contenders[MAX_WAYS];
	struct cost unused[ENDS] = { 0 };
	int i, round, n = gather(contenders, bulk, kernel);

	for (i = 0; i < n; i++) {
		contenders[i].lane.check = true;
		run(&contenders[i].lane, CHECK_LEN, unused);
		contenders[i].lane.check = false;
	}
	for (round = 0; round < settings.rounds; round++)
		for (i = 0; i < n; i++)
			run(&contenders[i].lane, settings.bytes, contenders[i].costs[round]);
	if (settings.rounds)
		print(contenders, n, bulk);
	dismiss(contenders, n);
}

/* --- the program ---------------------------------------------------------------------------- */

static void usage(FILE *out)
{
	fprintf(out,
		"usage: bench_bulk [--suite NAME]... [--size BYTES]... [--only WAY]...\n"
		"                  [--megabytes N] [--rounds N] [--threads] [--json FILE]\n"
		"\n"
		"--size       of each call: multiples of 16384 up to 262144 that divide it\n"
		"--only       aead-alone, aead, aead-file, ktls, ktls-file: the floors;\n"
		"             user, user-file, kernel, kernel-file: the library's verbs;\n"
		"             uring: sluice/uring.h. All that this kernel can do, if none is named\n"
		"--megabytes  of each way in a round (32)\n"
		"--rounds     7; 0 compares the bytes and measures nothing\n"
		"--threads    an end is a thread, and waits for the other\n");
}

static void parse(int argc, char **argv)
{
	static const struct option options[] = {
		{ "suite", required_argument, NULL, 's' },
		{ "size", required_argument, NULL, 'z' },
		{ "only", required_argument, NULL, 'o' },
		{ "megabytes", required_argument, NULL, 'm' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "threads", no_argument, NULL, 't' },
		{ "json", required_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL },
	};
	bool fits = true;
	int c;

	while (fits && (c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 's' && settings.n_suites < 16)
			settings.suites[settings.n_suites++] = optarg;
		else if (c == 'z' && settings.n_sizes < 8)
			settings.sizes[settings.n_sizes++] = (size_t)atol(optarg);
		else if (c == 'o' && settings.n_only < MAX_WAYS)
			settings.only[settings.n_only++] = optarg;
		else if (c == 'm')
			fits = atol(optarg) > 0;
		else if (c == 'r')
			fits = atoi(optarg) >= 0 && atoi(optarg) <= MAX_ROUNDS;
		else if (c == 'h')
			usage(stdout), exit(0);
		else if (c != 't' && c != 'j')
			fits = false;
		if (c == 'm')
			settings.bytes = (uint64_t)atol(optarg) << 20;
		else if (c == 'r')
			settings.rounds = atoi(optarg);
		else if (c == 't')
			settings.threads = true;
		else if (c == 'j')
			bulk_need((settings.json = fopen(optarg, "we")) != NULL, optarg);
	}
	for (c = 0; c < settings.n_sizes; c++)
		fits = fits && settings.sizes[c] >= RECORD_MAX_PLAIN &&
		       settings.sizes[c] % RECORD_MAX_PLAIN == 0 && TURN % settings.sizes[c] == 0;
	if (!fits || optind < argc) {
		usage(stderr);
		exit(2);
	}
}

static void use_defaults(void)
{
	static const char *const suites[] = {
		"TLS_AES_128_GCM_SHA256",
		"TLS_AES_256_GCM_SHA384",
		"TLS_CHACHA20_POLY1305_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
		"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
		"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	};
	static const size_t sizes[] = { 16 << 10, 64 << 10, 256 << 10 };
	size_t i;

	for (i = 0; !settings.n_suites || (i && i < 6); i++)
		settings.suites[settings.n_suites++] = suites[i];
	for (i = 0; !settings.n_sizes || (i && i < 3); i++)
		settings.sizes[settings.n_sizes++] = sizes[i];
}

int main(int argc, char **argv)
{
	bool kernel = has_kernel_tls();
	struct bulk bulk = { 0 };
	int i, k;

	parse(argc, argv);
	use_defaults();
	bulk_init(&bulk);
	choose_clock();
	count_calls();
	if (!kernel)
		fprintf(stderr, "bench_bulk: this kernel has no TLS: without its ways\n");
	if (settings.json)
		fprintf(settings.json, "[");
	for (i = 0; i < settings.n_suites; i++) {
		bulk.suite = suite_find_name(settings.suites[i], strlen(settings.suites[i]));
		bulk_need(bulk.suite != NULL, settings.suites[i]);
		for (k = 0; k < settings.n_sizes; k++) {
			bulk.size = settings.sizes[k];
			compare(&bulk, kernel);
		}
	}
	if (settings.json) {
		fprintf(settings.json, "\n]\n");
		bulk_need(fclose(settings.json) == 0, "writing");
	}
	close(bulk.file);
	free(bulk.stream);
	return 0;
}
