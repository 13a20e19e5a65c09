/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What clients whose certificates are expensive do to those whose are not: one event loop that verifies
 * clients, half of which send a chain that costs the most that the search for a path allows, all at once.
 * Prints how long the others' handshakes take, from accept(2) to installed keys. The clients are another
 * process. With 0 threads the loop judges by itself.
 *
 *   bench_pool [CLIENTS] [THREADS...]      CLIENTS of each kind
 *   bench_pool single                      handshakes per second one after the other, threads or not
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <sluice/sluice.h>

#include "core/sys.h"
#include "support/certs.h"

#define DEPTH 9 /* intermediates above the crowd */
#define CROWD 9 /* times all that is signed above: 99 signatures, of PATH_MAX_SIGNATURES */
#define TIMES "handshake_timeout = 600000\nalert_timeout = 0\n"

struct entity {
	X509 *cert;
	EVP_PKEY *key;
};

/* struct end - one connection of a loop. */
struct end {
	struct sluice_conn *conn;
	uint64_t began_us, took_us;
	int result, events; /* @events: what epoll waits for; -1: not yet known to it */
};

struct loop {
	int epoll_fd;
	struct sluice *sluice;
	size_t n_open;
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench_pool: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* --- certificates ---------------------------------------------------------------------------- */

/* Without key identifiers only signatures tell who has issued what. */
static void strip(struct entity *entity, const EVP_PKEY *by)
{
	static const int nids[] = { NID_subject_key_identifier, NID_authority_key_identifier };
	size_t i;
	int at;

	for (i = 0; i < 2; i++) {
		at = X509_get_ext_by_NID(entity->cert, nids[i], -1);
		if (at >= 0)
			X509_EXTENSION_free(X509_delete_ext(entity->cert, at));
	}
	need(X509_sign(entity->cert, (EVP_PKEY *)by, EVP_sha256()) > 0, "signing");
}

static struct entity issue(const char *cn, bool ca, enum cert_key kind, const struct entity *issuer)
{
	struct entity made = { .key = certs_key(kind) };

	made.cert = certs_make(&(struct cert_spec){ .cn = cn,
						    .ca = ca,
						    .eku = ca ? NULL : "clientAuth",
						    .key = made.key,
						    .issuer = issuer ? issuer->cert : NULL,
						    .issuer_key = issuer ? issuer->key : NULL });
	strip(&made, issuer ? issuer->key : made.key);
	return made;
}

static const char *write_file(const char *name, const struct entity *certs, size_t n, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *bytes;
	const char *path;
	size_t i, len;

	for (i = 0; i < n; i++)
		need(PEM_write_bio_X509(bio, certs[i].cert), "writing");
	if (key)
		need(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), "writing");
	need(BIO_mem_contents(bio, &bytes, &len), "writing");
	path = certs_file(name, bytes, len);
	BIO_free(bio);
	return path;
}

static struct files {
	const char *root, *cheap, *costly;
} files;

/*
 * A client that is good, and one that none of the CAs of its issuer's name has signed, which is found out last:
 * signatures are checked from the root on. P-521 is what takes longest to check.
 */
static void make_files(void)
{
	struct entity root = issue("Root", true, CERT_KEY_P256, NULL), good, unknown;
	struct entity chain[1 + CROWD + DEPTH];
	const struct entity *above = &root;
	char cn[16];
	size_t i;

	good = issue("cheap", false, CERT_KEY_P256, &root);
	unknown = issue("Crowd", true, CERT_KEY_P521, NULL);
	chain[0] = issue("costly", false, CERT_KEY_P256, &unknown);
	for (i = 1 + CROWD; i < 1 + CROWD + DEPTH; i++) {
		snprintf(cn, sizeof(cn), "CA %zu", i);
		chain[i] = issue(cn, true, CERT_KEY_P521, above);
		above = &chain[i];
	}
	for (i = 1; i <= CROWD; i++)
		chain[i] = issue("Crowd", true, CERT_KEY_P521, above);
	files.root = write_file("bench-root.pem", &root, 1, NULL);
	files.cheap = write_file("bench-cheap.pem", &good, 1, good.key);
	files.costly = write_file("bench-costly.pem", chain, 1 + CROWD + DEPTH, chain[0].key);
}

static struct sluice_profile *profile(enum sluice_role role, const char *format, const char *cert,
				      const char *key, const char *ca)
{
	struct sluice_profile *made;
	struct sluice_options *opts;
	struct sluice_error err = { 0 };
	char text[1200];

	snprintf(text, sizeof(text), format, cert, key, ca);
	if (sluice_options_new(&opts) < 0 ||
	    sluice_options_parse(opts, text, strlen(text), &err) < 0 ||
	    sluice_profile_new(&made, opts, role, &err) < 0) {
		fprintf(stderr, "bench_pool: %s\n", err.text);
		exit(1);
	}
	sluice_options_free(opts);
	return made;
}

static struct sluice_profile *server_profile(void)
{
	return profile(SLUICE_SERVER,
		       "certfile = %s\nkeyfile = %s\ncacertfile = %s\nverify = verify_peer\n" TIMES,
		       certs_get()->server_p256, certs_get()->server_p256_key, files.root);
}

static struct sluice_profile *client_profile(const char *cert)
{
	return profile(SLUICE_CLIENT,
		       "certfile = %s\nkeyfile = %s\nverify = verify_none\n" TIMES "#%s\n", cert,
		       cert, "");
}

/* --- a loop ---------------------------------------------------------------------------------- */

static void watch(struct loop *loop, struct end *end)
{
	int events = sluice_conn_events(end->conn);
	struct epoll_event event = { .events = (uint32_t)events, .data.ptr = end };

	if (events == end->events)
		return;
	need(!epoll_ctl(loop->epoll_fd, end->events < 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
			sluice_conn_fd(end->conn), &event),
	     "epoll_ctl");
	end->events = events;
}

static void go_on(struct loop *loop, struct end *end)
{
	end->result = sluice_conn_dispatch(end->conn);
	if (end->result == -SLUICE_E_AGAIN) {
		watch(loop, end);
		return;
	}
	end->took_us = sys->now_us() - end->began_us;
	sluice_close(end->conn);
	end->conn = NULL;
	loop->n_open--;
}

static struct end *find(struct end *ends, size_t n, const struct sluice_conn *conn)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (ends[i].conn == conn)
			return &ends[i];
	return NULL;
}

/* @ends: their connections begun; with @listener, they are what it accepts. */
static void run(struct loop *loop, struct end *ends, size_t n, struct sluice_listener *listener)
{
	int ready_fd = listener ? sluice_ready_fd(loop->sluice) : -1;
	struct epoll_event events[64], event = { .events = EPOLLIN };
	struct sluice_conn *conn;
	size_t n_begun = listener ? 0 : n;
	int i, n_events;

	if (listener) {
		event.data.ptr = listener;
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, sluice_listener_fd(listener), &event);
		event.data.ptr = NULL;
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, ready_fd, &event);
	}
	while (loop->n_open || n_begun < n) {
		n_events = epoll_wait(loop->epoll_fd, events, 64, 600000);
		need(n_events > 0 || errno == EINTR, "nothing happens");
		for (i = 0; i < n_events; i++) {
			if (!events[i].data.ptr) {
				while ((conn = sluice_ready(loop->sluice)))
					go_on(loop, find(ends, n, conn));
			} else if (events[i].data.ptr != listener) {
				go_on(loop, events[i].data.ptr);
			} else if (!sluice_transport_accept(listener, SLUICE_NOWAIT, &conn)) {
				ends[n_begun] = (struct end){ .conn = conn,
							      .began_us = sys->now_us(),
							      .events = -1 };
				loop->n_open++;
				sluice_handshake(conn, NULL, SLUICE_NOWAIT);
				go_on(loop, &ends[n_begun++]);
			}
		}
	}
}

static struct loop loop_new(void)
{
	struct loop loop = { .epoll_fd = epoll_create1(EPOLL_CLOEXEC) };

	need(loop.epoll_fd >= 0 && !sluice_start(&loop.sluice, SLUICE_TEMPORARY, NULL), "starting");
	return loop;
}

/* --- many at once ---------------------------------------------------------------------------- */

static void be_clients(size_t n, uint16_t port)
{
	struct sluice_profile *profiles[2] = { client_profile(files.cheap),
					       client_profile(files.costly) };
	struct end *ends = calloc(2 * n, sizeof(*ends));
	struct loop loop = loop_new();
	struct sluice_error err;
	size_t i;
	int r;

	need(ends != NULL, "memory");
	for (i = 0; i < 2 * n; i++) {
		ends[i].events = -1;
		r = sluice_connect(loop.sluice, "127.0.0.1", port, profiles[i & 1], NULL,
				   SLUICE_NOWAIT, &ends[i].conn, &err);
		if (!ends[i].conn) {
			fprintf(stderr, "bench_pool: connecting: %d: %s\n", r, err.text);
			_exit(1);
		}
		loop.n_open++;
		go_on(&loop, &ends[i]);
	}
	run(&loop, ends, 2 * n, NULL);
	_exit(0);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void measure(size_t n, unsigned int threads)
{
	struct end *ends = calloc(2 * n, sizeof(*ends));
	uint64_t *took = calloc(2 * n, sizeof(*took)), began_us;
	struct sluice_profile *server = server_profile();
	struct sluice_listener *listener = NULL;
	size_t i, n_good = 0, n_busy = 0;
	struct loop loop;
	pid_t pid;

	loop = loop_new();
	need(ends && took && !sluice_listen(loop.sluice, "127.0.0.1", 0, server, &listener, NULL),
	     "listening");
	sluice_set_verify_threads(loop.sluice, threads);
	fflush(stdout);
	pid = fork();
	if (!pid)
		be_clients(n, (uint16_t)sluice_listener_port(listener));
	began_us = sys->now_us();
	run(&loop, ends, 2 * n, listener);
	for (i = 0; i < 2 * n; i++) {
		if (!ends[i].result)
			took[n_good++] = ends[i].took_us;
		n_busy += ends[i].result == -SLUICE_E_BUSY;
	}
	waitpid(pid, NULL, 0);
	qsort(took, n_good, sizeof(*took), by_number);
	need(n_good > 0, "no handshake succeeded");
	printf("%u threads: %zu cheap handshakes: median %.1f ms, 99 %% %.1f ms, longest %.1f ms; "
	       "%zu costly ones refused as busy; all in %.1f s\n",
	       threads, n_good, (double)took[n_good / 2] / 1e3,
	       (double)took[n_good * 99 / 100] / 1e3, (double)took[n_good - 1] / 1e3, n_busy,
	       (double)(sys->now_us() - began_us) / 1e6);
	sluice_listener_free(listener);
	sluice_profile_unref(server);
	sluice_stop(loop.sluice);
	close(loop.epoll_fd);
	free(took);
	free(ends);
}

/* --- one after the other --------------------------------------------------------------------- */

static void be_one_client(struct sluice_listener *listener)
{
	uint16_t port = (uint16_t)sluice_listener_port(listener);
	struct sluice_profile *client = client_profile(files.cheap);
	struct sluice_conn *conn;
	struct sluice *sluice;

	sluice_listener_free(listener); /* or nobody would be refused at the end */
	need(!sluice_start(&sluice, SLUICE_TEMPORARY, NULL), "starting");
	while (!sluice_connect(sluice, "127.0.0.1", port, client, NULL, 10000, &conn, NULL))
		sluice_close(conn);
	_exit(0);
}

/* Handshakes per second of a thread that waits for each. */
static double rate(unsigned int threads, double for_s)
{
	struct sluice_profile *server = server_profile();
	struct sluice_listener *listener = NULL;
	struct sluice_conn *conn;
	struct sluice *sluice;
	uint64_t began_us, n = 0;
	double took_s;
	pid_t pid;

	need(!sluice_start(&sluice, SLUICE_TEMPORARY, NULL) &&
		     !sluice_listen(sluice, "127.0.0.1", 0, server, &listener, NULL),
	     "listening");
	sluice_set_verify_threads(sluice, threads);
	pid = fork();
	if (!pid)
		be_one_client(listener);
	began_us = sys->now_us();
	do {
		need(!sluice_transport_accept(listener, 10000, &conn) &&
			     !sluice_handshake(conn, NULL, 10000),
		     "handshake");
		sluice_close(conn);
		n++;
		took_s = (double)(sys->now_us() - began_us) / 1e6;
	} while (took_s < for_s);
	sluice_listener_free(listener);
	waitpid(pid, NULL, 0);
	sluice_profile_unref(server);
	sluice_stop(sluice);
	return (double)n / took_s;
}

static void measure_single(void)
{
	double here = 0, there = 0, r;
	int i;

	for (i = 0; i < 5; i++) {
		r = rate(0, 1);
		here = r > here ? r : here;
		r = rate(4, 1);
		there = r > there ? r : there;
	}
	printf("one thread that waits: %.0f handshakes/s judged by itself, %.0f by the pool: %.2f\n",
	       here, there, there / here);
}

int main(int argc, char **argv)
{
	struct rlimit files_limit;
	int i;

	getrlimit(RLIMIT_NOFILE, &files_limit);
	files_limit.rlim_cur = files_limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files_limit);
	certs_get();
	make_files();
	if (argc > 1 && !strcmp(argv[1], "single")) {
		measure_single();
		return 0;
	}
	if (argc < 3) {
		measure(argc > 1 ? (size_t)atol(argv[1]) : 1000, 0);
		measure(argc > 1 ? (size_t)atol(argv[1]) : 1000, 4);
	}
	for (i = 2; i < argc; i++)
		measure((size_t)atol(argv[1]), (unsigned int)atol(argv[i]));
	return 0;
}
