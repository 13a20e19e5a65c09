/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the two programs of a cycle (support/cycle.h). Used by tests in which calls and allocations
 * fail: so it asserts nothing while it runs, and every wait in it has an end.
 */
#include "support/cycle.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/secret.h"
#include "support/certs.h"
#include "support/fault.h"
#include "support/pair.h"

#define WAIT_MS 20000
#define DATA_LEN 20000
#define FILE_LEN 30000

static int fds_before;
static size_t secrets_before;

/* One end's buffers are its own: both run at once. */
struct end {
	struct cycle *cycle;
	struct sluice_listener *listener;
	int fd; /* by_fd: the connected socket */
	uint8_t out[DATA_LEN], in[DATA_LEN + FILE_LEN];
};

static struct end server_end, client_end;

static int make_file(void)
{
	static uint8_t bytes[FILE_LEN];
	int fd = open(certs_get()->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	pair_pattern(bytes, sizeof(bytes), 0);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	return fd;
}

void cycle_open(struct cycle *cycle, const char *path, const char *version)
{
	const struct certs *certs = certs_get();
	struct sluice_error err;
	char text[1000];

	memset(cycle, 0, sizeof(*cycle));
	cycle->file_fd = make_file();
	assert_int_equal(sluice_start(&cycle->sluice, SLUICE_TEMPORARY, &err), 0);
	snprintf(text, sizeof(text),
		 "record_path = %s\nversions = %s\ncertfile = %s\nkeyfile = %s\n", path, version,
		 certs->server_p256, certs->server_p256_key);
	cycle->server_profile = pair_profile(SLUICE_SERVER, text);
	snprintf(text, sizeof(text),
		 "record_path = %s\nversions = %s\ncacertfile = %s\n"
		 "server_name_indication = localhost\n",
		 path, version, certs->ca);
	cycle->client_profile = pair_profile(SLUICE_CLIENT, text);
	fds_before = fault_open_fds();
	secrets_before = secret_live();
}

void cycle_close(struct cycle *cycle)
{
	sluice_session_free(cycle->session);
	sluice_profile_unref(cycle->server_profile);
	sluice_profile_unref(cycle->client_profile);
	sluice_stop(cycle->sluice);
	close(cycle->file_fd);
}

static int loopback(int port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Whether @got is what the other end sends: its data, and of a client the file. */
static bool is_pattern(const uint8_t *got, size_t len)
{
	static uint8_t expected[2][DATA_LEN + FILE_LEN]; /* by role; written with the same bytes */
	uint8_t *want = expected[len > DATA_LEN];

	pair_pattern(want, DATA_LEN, 0);
	if (len > DATA_LEN)
		pair_pattern(want + DATA_LEN, FILE_LEN, 0);
	return memcmp(got, want, len) == 0;
}

/* --- the server -------------------------------------------------------------------------- */

static int answer(struct end *end, struct sluice_conn *conn)
{
	ssize_t n = sluice_recv_exact(conn, end->in, sizeof(end->in), WAIT_MS);

	if (n < 0)
		return n;
	if (!is_pattern(end->in, n))
		return -SLUICE_E_INTERNAL;
	n = sluice_send(conn, end->out, DATA_LEN, WAIT_MS);
	return n < 0 ? n : n == DATA_LEN ? 0 : -SLUICE_E_TIMEOUT;
}

static int accept_one(struct end *end, struct sluice_conn **ret_conn)
{
	struct cycle *cycle = end->cycle;
	int r;

	if (cycle->by_fd) {
		r = sluice_handshake_fd(cycle->sluice, end->fd, cycle->server_profile, WAIT_MS,
					ret_conn, NULL);
		if (!*ret_conn)
			close(end->fd);
		return r;
	}
	r = sluice_transport_accept(end->listener, WAIT_MS, ret_conn);
	return r < 0 ? r : sluice_handshake(*ret_conn, NULL, WAIT_MS);
}

static void *serve(void *arg)
{
	struct end *end = arg;
	struct sluice_conn *conn = NULL;
	int r, closed;

	r = accept_one(end, &conn);
	if (r == 0)
		r = answer(end, conn);
	/* Each waits for the other's close_notify: whoever closed first would reset the other's. */
	closed = r == 0 ? sluice_close_timeout(conn, WAIT_MS) : sluice_close(conn);
	/* A client that was never accepted learns it by this. */
	sluice_listener_free(end->listener);
	end->cycle->server = r < 0 ? r : closed;
	return NULL;
}

/* --- the client -------------------------------------------------------------------------- */

static int ask(struct end *end, struct sluice_conn *conn)
{
	off_t offset = 0;
	ssize_t n;

	n = sluice_send(conn, end->out, DATA_LEN, WAIT_MS);
	if (n != DATA_LEN)
		return n < 0 ? n : -SLUICE_E_TIMEOUT;
	n = sluice_sendfile(conn, end->cycle->file_fd, &offset, FILE_LEN, WAIT_MS);
	if (n != FILE_LEN)
		return n < 0 ? n : -SLUICE_E_TIMEOUT;
	n = sluice_recv_exact(conn, end->in, DATA_LEN, WAIT_MS);
	if (n < 0)
		return n;
	return is_pattern(end->in, DATA_LEN) ? 0 : -SLUICE_E_INTERNAL;
}

static int dial(struct end *end, int port, struct sluice_conn **ret_conn)
{
	struct cycle *cycle = end->cycle;
	int r;

	if (!cycle->by_fd)
		return sluice_connect(cycle->sluice, "127.0.0.1", port, cycle->client_profile,
				      cycle->session, WAIT_MS, ret_conn, NULL);
	r = sluice_connect_fd(cycle->sluice, end->fd, NULL, cycle->client_profile, cycle->session,
			      WAIT_MS, ret_conn, NULL);
	if (!*ret_conn)
		close(end->fd);
	return r;
}

static int run_client(struct end *end, int port)
{
	struct sluice_conn *conn = NULL;
	int r, closed, fd;

	r = dial(end, port, &conn);
	if (r == 0)
		r = ask(end, conn);
	closed = r == 0 ? sluice_close_timeout(conn, WAIT_MS) : sluice_close(conn);
	if (r < 0 && port) {
		/* The server may be waiting for a connection that never came. */
		fd = loopback(port);
		if (fd >= 0)
			close(fd);
	}
	return r < 0 ? r : closed;
}

/* --- both -------------------------------------------------------------------------------- */

static int prepare(struct cycle *cycle, int *ret_port)
{
	int r, listener;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);

	server_end.cycle = client_end.cycle = cycle;
	server_end.listener = NULL;
	pair_pattern(server_end.out, DATA_LEN, 0);
	pair_pattern(client_end.out, DATA_LEN, 0);
	*ret_port = 0;
	if (!cycle->by_fd) {
		r = sluice_listen(cycle->sluice, "127.0.0.1", 0, cycle->server_profile,
				  &server_end.listener, NULL);
		if (r == 0)
			*ret_port = sluice_listener_port(server_end.listener);
		return r;
	}
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		return -SLUICE_E_INTERNAL;
	client_end.fd = loopback(ntohs(addr.sin_port));
	server_end.fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return client_end.fd < 0 || server_end.fd < 0 ? -SLUICE_E_INTERNAL : 0;
}

bool cycle_run(struct cycle *cycle)
{
	pthread_t thread;
	int port, r;

	cycle->client = cycle->server = 0;
	r = prepare(cycle, &port);
	if (r < 0) {
		cycle->server = r;
		return false;
	}
	assert_int_equal(pthread_create(&thread, NULL, serve, &server_end), 0);
	cycle->client = run_client(&client_end, port);
	pthread_join(thread, NULL);
	return cycle->client == 0 && cycle->server == 0;
}

void cycle_check_at(const struct cycle *cycle, bool ok, const char *file, int line)
{
	const int results[] = { cycle->client, cycle->server };
	bool good = !ok || (cycle->client == 0 && cycle->server == 0);
	int fds = fault_open_fds() - fds_before;
	size_t secrets = secret_live() - secrets_before;
	size_t i;

	for (i = 0; i < 2; i++)
		good = good && results[i] <= 0 && results[i] != -SLUICE_E_INTERNAL &&
		       strcmp(sluice_error_name(results[i]), "SLUICE_E_?") != 0;
	if (good && fds == 0 && secrets == 0)
		return;
	print_error("client %s, server %s; left over: %d descriptors, %zd secrets\n",
		    sluice_error_name(cycle->client), sluice_error_name(cycle->server), fds,
		    (ssize_t)secrets);
	_fail(file, line);
}
