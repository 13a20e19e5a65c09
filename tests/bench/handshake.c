/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handshake costs the end that is measured, in processor time, from accept or connect to where data
 * could go: by BoringSSL over a BIO pair in memory, by BoringSSL over a socket, and by us. All three use one
 * library of BoringSSL, one certificate, one group and as many tickets, and the other end is another
 * process. What comes behind the handshake is not counted. In turns, medians; prints, and judges nothing.
 *
 *   bench_handshake [ROUNDS] [HANDSHAKES]
 *   bench_handshake one SIDE CELL HANDSHAKES      SIDE is pair, bare or ours, CELL a number: for callgrind
 *                                                 and strace, which tests/bench/handshake starts
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "bench/handshake.h"
#include "support/certs.h"

#define BATCH 64 /* ends that are kept open, and closed while the clock stands */
#define LOADS 4  /* processes */
#define WARM_UP 64
#define MAX_ROUNDS 99

static const struct cell cells[] = {
	{ "TLS 1.3, P-256", .version = TLS1_3_VERSION },
	{ "TLS 1.3, RSA-2048", .version = TLS1_3_VERSION, .rsa = true },
	{ "TLS 1.3, resumed", .version = TLS1_3_VERSION, .resumed = true },
	{ "TLS 1.2, P-256", .version = TLS1_2_VERSION },
	{ "TLS 1.2, resumed", .version = TLS1_2_VERSION, .resumed = true },
	{ "TLS 1.3, P-256, client", .version = TLS1_3_VERSION, .client = true },
	{ "TLS 1.2, P-256, client", .version = TLS1_2_VERSION, .client = true },
};

#define N_CELLS (sizeof(cells) / sizeof(cells[0]))

enum side { SIDE_PAIR, SIDE_BARE, SIDE_OURS, SIDES };

static const char *const side_names[SIDES] = { "pair", "bare", "ours" };

struct files files;

static void use_files(const struct cell *cell)
{
	const struct certs *certs = certs_get();

	files.cert = cell->rsa ? certs->server_rsa : certs->server_p256;
	files.key = cell->rsa ? certs->server_rsa_key : certs->server_p256_key;
	files.ca = certs->ca;
}

void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_handshake: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static double cpu_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* --- in memory --------------------------------------------------------------------------------- */

static SSL_SESSION *pair_session;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(pair_session);
	pair_session = session;
	return 1;
}

static SSL *new_end(SSL_CTX *ctx, BIO *bio)
{
	SSL *ssl = SSL_new(ctx);

	need(ssl, "SSL_new");
	SSL_set_bio(ssl, bio, bio);
	return ssl;
}

/* Not inlined: callgrind counts what is done in here, by its name. */
__attribute__((noinline)) bool measured_pair_step(SSL *ssl, bool accepts);
__attribute__((noinline)) bool measured_pair_step(SSL *ssl, bool accepts)
{
	bool done = SSL_do_handshake(ssl) == 1;

	if (done && accepts)
		SSL_write(ssl, "", 0);
	return done;
}

/* One handshake. Returns the processor time of the end that is measured. */
static double pair_handshake(const struct cell *cell, SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
	BIO *bios[2];
	SSL *client, *server, *measured;
	bool resume = cell->resumed && pair_session;
	double us = 0, began;
	char scrap;

	need(BIO_new_bio_pair(&bios[0], 0, &bios[1], 0), "BIO_new_bio_pair");
	client = new_end(client_ctx, bios[0]);
	began = cpu_us();
	server = new_end(server_ctx, bios[1]);
	us += cell->client ? 0 : cpu_us() - began;
	SSL_set_connect_state(client);
	SSL_set_accept_state(server);
	measured = cell->client ? client : server;
	if (resume)
		SSL_set_session(client, pair_session);
	while (SSL_in_init(client) || SSL_in_init(server)) {
		SSL *const ends[] = { client, server };

		for (int i = 0; i < 2; i++) {
			if (!SSL_in_init(ends[i]) && SSL_is_init_finished(ends[i]))
				continue;
			began = cpu_us();
			if (ends[i] == measured)
				measured_pair_step(ends[i], i);
			else if (SSL_do_handshake(ends[i]) == 1 && i)
				SSL_write(ends[i], "", 0);
			us += ends[i] == measured ? cpu_us() - began : 0;
		}
	}
	need(SSL_session_reused(server) == resume, "resumed or not");
	SSL_read(client, &scrap, 1); /* the tickets */
	SSL_free(client);
	SSL_free(server);
	ERR_clear_error();
	return us;
}

static double run_pair(const struct cell *cell, unsigned int n)
{
	SSL_CTX *server_ctx = bare_server_ctx(cell);
	SSL_CTX *client_ctx = bare_client_ctx(cell, cell->client);
	double us = 0;
	unsigned int i;

	SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT);
	SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
	pair_handshake(cell, server_ctx, client_ctx);
	for (i = 0; i < n; i++)
		us += pair_handshake(cell, server_ctx, client_ctx);
	SSL_SESSION_free(pair_session);
	pair_session = NULL;
	SSL_CTX_free(server_ctx);
	SSL_CTX_free(client_ctx);
	return us / n;
}

/* --- processes at the other end ------------------------------------------------------------------ */

/* A copy of this program, so that callgrind and strace leave it alone; its input ends with us. */
static pid_t start_peer(const char *what, const struct cell *cell, uint16_t port, int *ret_stop,
			int *ret_out)
{
	char number[16], where[16], self[PATH_MAX] = "";
	int in[2], out[2];
	pid_t pid;

	/* The name, not the link: valgrind shows whom it runs by readlink(2) alone. */
	need(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0, "readlink");
	need(!pipe(in) && !pipe(out), "pipe");
	snprintf(number, sizeof(number), "%zu", (size_t)(cell - cells));
	snprintf(where, sizeof(where), "%u", port);
	pid = fork();
	need(pid >= 0, "fork");
	if (pid == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[0]);
		close(in[1]);
		close(out[0]);
		close(out[1]);
		execl(self, "bench_handshake", what, number, where, files.cert, files.key, NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	*ret_stop = in[1];
	*ret_out = out[0];
	return pid;
}

static void stop_peer(pid_t pid, int stop, int out)
{
	close(stop);
	kill(pid, SIGTERM);
	close(out);
	waitpid(pid, NULL, 0);
}

/* --- a server ------------------------------------------------------------------------------------ */

struct watch {
	void *end;
	int fd;
};

/* struct world - a server in its loop. */
struct world {
	const struct server *ops;
	void *server;
	int epoll_fd;
	struct watch done[BATCH];
	unsigned int n_done;
};

static void accept_all(struct world *world)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct watch *watch;
	void *end;
	int fd;

	while ((end = world->ops->accept(world->server, &fd))) {
		watch = malloc(sizeof(*watch));
		need(watch, "malloc");
		*watch = (struct watch){ end, fd };
		event.data.ptr = watch;
		need(!epoll_ctl(world->epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
	}
}

/* Not inlined: callgrind counts what is done in here, by its name. Serves until a batch is full. */
__attribute__((noinline)) void measured_serve(struct world *world);
__attribute__((noinline)) void measured_serve(struct world *world)
{
	struct epoll_event events[BATCH];
	struct watch *watch;
	int i, n;

	while (world->n_done < BATCH) {
		n = epoll_wait(world->epoll_fd, events, (int)(BATCH - world->n_done), -1);
		need(n >= 0 || errno == EINTR, "epoll_wait");
		for (i = 0; i < n; i++) {
			watch = events[i].data.ptr;
			if (!watch) {
				accept_all(world);
			} else if (world->ops->step(watch->end) == STEP_DONE) {
				epoll_ctl(world->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
				world->done[world->n_done++] = *watch;
				free(watch);
			}
		}
	}
}

static bool keep_open; /* the end of a connection would be among what strace counts */

static void end_batch(struct world *world)
{
	while (world->n_done && keep_open)
		world->n_done--;
	while (world->n_done)
		world->ops->end(world->done[--world->n_done].end);
}

static void open_world(struct world *world, const struct server *ops, const struct cell *cell,
		       uint16_t *ret_port)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd;

	*world = (struct world){ .ops = ops, .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };
	world->server = ops->open(cell, &fd, ret_port);
	need(!epoll_ctl(world->epoll_fd, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static double run_server(const struct server *ops, const struct cell *cell, unsigned int n)
{
	/* Counted, a handshake that is under way at the end is one too many: one client has one at most. */
	unsigned int n_loads = keep_open ? 1 : LOADS;
	int stops[LOADS], outs[LOADS];
	pid_t loads[LOADS];
	struct world world;
	unsigned int i, done = 0;
	double us = 0, began;
	uint16_t port;

	open_world(&world, ops, cell, &port);
	for (i = 0; i < n_loads; i++)
		loads[i] = start_peer("load", cell, port, &stops[i], &outs[i]);
	for (i = 0; i < WARM_UP; i += BATCH) {
		measured_serve(&world);
		end_batch(&world);
	}
	for (; done < n; done += BATCH) {
		began = cpu_us();
		measured_serve(&world);
		us += cpu_us() - began;
		end_batch(&world);
	}
	for (i = 0; i < n_loads; i++)
		stop_peer(loads[i], stops[i], outs[i]);
	close(world.epoll_fd); /* what was under way ends with the program */
	if (!keep_open)
		ops->close(world.server);
	return us / done;
}

/* The server at the other end of a client that is measured: it tells its port, and ends with its input. */
static void serve_clients(const struct cell *cell)
{
	struct world world;
	uint16_t port;

	open_world(&world, &bare_server, cell, &port);
	need(write(STDOUT_FILENO, &port, sizeof(port)) == sizeof(port), "telling the port");
	for (;;) {
		measured_serve(&world);
		end_batch(&world);
	}
}

/* --- a client ------------------------------------------------------------------------------------ */

__attribute__((noinline)) void *measured_connect(const struct client *ops, void *client);
__attribute__((noinline)) void *measured_connect(const struct client *ops, void *client)
{
	return ops->connect(client);
}

static double run_client(const struct client *ops, const struct cell *cell, unsigned int n)
{
	int stop, out;
	pid_t pid = start_peer("serve", cell, 0, &stop, &out);
	double us = 0, began;
	void *client, *end;
	uint16_t port;
	unsigned int i;

	need(read(out, &port, sizeof(port)) == sizeof(port), "the server's port");
	client = ops->open(cell, port);
	for (i = 0; i < n + WARM_UP; i++) {
		began = cpu_us();
		end = measured_connect(ops, client);
		us += i >= WARM_UP ? cpu_us() - began : 0;
		if (!keep_open)
			ops->end(end);
	}
	if (!keep_open)
		ops->close(client);
	stop_peer(pid, stop, out);
	return us / n;
}

/* --- all of it ------------------------------------------------------------------------------------ */

/* Microseconds of processor time for each handshake. */
static double run(enum side side, const struct cell *cell, unsigned int n)
{
	use_files(cell);
	if (side == SIDE_PAIR)
		return run_pair(cell, n);
	if (cell->client)
		return run_client(side == SIDE_BARE ? &bare_client : &our_client, cell, n);
	return run_server(side == SIDE_BARE ? &bare_server : &our_server, cell, n);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned int n)
{
	qsort(values, n, sizeof(*values), compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

/* The ratio is that of each round, whose two halves had the same neighbours. */
static void run_cell(const struct cell *cell, unsigned int rounds, unsigned int n)
{
	double us[SIDES][MAX_ROUNDS], ratio[MAX_ROUNDS];
	unsigned int i, side;

	for (i = 0; i < rounds; i++) {
		for (side = 0; side < SIDES; side++)
			us[side][i] = run(side, cell, n);
		ratio[i] = us[SIDE_OURS][i] / us[SIDE_BARE][i];
	}
	printf("%-24s %8.1f %8.1f %8.1f   %.2f\n", cell->name, median(us[SIDE_PAIR], rounds),
	       median(us[SIDE_BARE], rounds), median(us[SIDE_OURS], rounds), median(ratio, rounds));
	fflush(stdout);
}

static const struct cell *cell_of(const char *number)
{
	size_t i = strtoul(number, NULL, 10);

	need(i < N_CELLS, "no such kind of handshake");
	return &cells[i];
}

static int run_one(const char *side, const char *number, const char *n)
{
	const struct cell *cell = cell_of(number);
	int i;

	keep_open = true;
	for (i = 0; i < SIDES; i++)
		if (strcmp(side, side_names[i]) == 0)
			run(i, cell, (unsigned int)strtoul(n, NULL, 10));
	printf("%s\n", cell->name);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned int rounds = 5, n = 1024;
	size_t i;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 5 && strcmp(argv[1], "one") == 0)
		return run_one(argv[2], argv[3], argv[4]);
	if (argc == 6 && strcmp(argv[1], "load") == 0) {
		bare_load(cell_of(argv[2]), (uint16_t)strtoul(argv[3], NULL, 10));
		return 0;
	}
	if (argc == 6 && strcmp(argv[1], "serve") == 0) {
		files = (struct files){ .cert = argv[4], .key = argv[5] };
		serve_clients(cell_of(argv[2]));
	}
	if (argc > 1)
		rounds = (unsigned int)strtoul(argv[1], NULL, 10);
	if (argc > 2)
		n = (unsigned int)strtoul(argv[2], NULL, 10);
	need(rounds > 0 && rounds <= MAX_ROUNDS && n > 0,
	     "usage: bench_handshake [ROUNDS] [HANDSHAKES]");
	printf("us of processor time per handshake, medians of %u rounds of %u\n", rounds, n);
	printf("%-24s %8s %8s %8s   %s\n", "", "memory", "socket", "ours", "ours/socket");
	for (i = 0; i < N_CELLS; i++)
		run_cell(&cells[i], rounds, n);
	return 0;
}
