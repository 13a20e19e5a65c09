/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parts of `sluice serve` share: the settings, the server (one), the workers (one thread
 * and one ring each). The server is written before the workers start and only read after, but for
 * its counters.
 */
#ifndef TOOLS_SERVE_SERVER_H
#define TOOLS_SERVE_SERVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

#include "loop.h"
#include "stats.h"
#include "tls-args.h"

#define LISTEN_MAX 16
#define WORKERS_MAX 256

struct app;
struct http_parser;
struct peer;

struct serve_settings {
	struct tls_args tls;
	struct arg_list listen;
	const char *alpn;
	const char *client_auth;
	const char *mode;
	const char *root;
	int64_t tickets;
	int64_t handshake_timeout;
	int64_t idle_timeout;
	int64_t workers;
	int64_t max_conns;  /* 0: no limit but the file descriptors */
	int64_t once;       /* 0: for ever */
	int64_t upload_max; /* bytes of a body that is taken; 0: none is */
	bool key_update_at_request;
	bool json_log;
	bool quiet;
};

struct server {
	const struct serve_settings *settings;
	struct sluice *sluice;
	struct sluice_profile *profile;
	const struct app *app;
	int root_fd;        /* of the files; -1 in echo mode */
	int stop_fd;        /* eventfd: a worker asks for the end, or has come to its own */
	atomic_int running; /* workers */
	struct stats stats;
};

struct listener {
	struct worker *worker;
	int fd;
	bool multishot;
	struct op accept;
	struct timer pause;
};

struct worker {
	struct server *server;
	struct loop loop;
	pthread_t thread;
	sem_t *ready;    /* posted once, when start_error is known */
	int start_error; /* 0 or -errno: why it could not begin */
	int result;      /* 0 or -errno: why its ring failed later */
	struct listener listeners[LISTEN_MAX];
	size_t n_listeners;
	size_t max_peers; /* 0: no limit */
	size_t n_peers;
	size_t n_accepting; /* single accepts that may still bring a connection */
	struct peer *peers;
	bool draining;
	struct timer drain_deadline;
	int wake_fd; /* eventfd: the first wake drains, the second aborts */
	uint64_t wake_value;
	struct op wake;
	struct http_parser *http; /* http mode: the parser's configuration */
};

/*
 * server_run() opens the listening sockets, runs the workers and returns when they have ended: 0,
 * or -1 after saying on standard error what is wrong.
 */
int server_run(struct server *server);

/* worker_run() is the thread: makes the ring, serves until drained. */
void *worker_run(void *worker);

/* worker_peer_gone() is told of every connection that has been freed. */
void worker_peer_gone(struct worker *worker);

/* listener_start() begins to accept; listener_stop() ends it and closes the socket in time. */
void listener_start(struct listener *listener, struct worker *worker);
void listener_stop(struct listener *listener);

/* listener_resume() accepts again after a connection has gone, where the limit had stopped it. */
void listener_resume(struct listener *listener);

/*
 * listener_open() binds and listens on `HOST:PORT`. @port replaces a port of 0 unless it is 0
 * itself. Returns the socket, or -1 after saying on standard error what is wrong.
 */
int listener_open(const char *address, bool reuse_port, unsigned int port);

#endif
