/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection costs: system calls and heap allocations of each end, for a handshake, a record
 * and the end, on every record path. Printed as the table of docs/performance.md, and held to it:
 * whoever adds a call or an allocation changes a number here, and says why there.
 *
 * Linked with --wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strndup,--wrap=free.
 */
#include <malloc.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/mem.h>

#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RECORD_LEN 16384
#define READ_LEN 4096

/* --- counting ---------------------------------------------------------------------------- */

/* The calls that an end makes; the rest of struct sys_ops is not made by any. */
static const char *const calls[] = { "socket",  "connect", "accept4", "setsockopt", "getsockopt",
				     "recvmsg", "sendmsg", "poll",    "shutdown",   "close" };

/* struct tally - what one end has done so far, and how much memory it holds. */
struct tally {
	unsigned int calls[ARRAY_SIZE(calls)];
	unsigned int other_calls;
	unsigned int ours, bssl; /* allocations */
	long ours_bytes, bssl_bytes;
};

static struct tally *counting; /* whoever is making a call; NULL: nobody */

static void at_alloc(void *p)
{
	if (counting && p) {
		counting->ours++;
		counting->ours_bytes += malloc_usable_size(p);
	}
}

static void at_free(void *p)
{
	if (counting && p)
		counting->ours_bytes -= malloc_usable_size(p);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strndup(const char *s, size_t n);
void __real_free(void *p);
void __wrap_free(void *p);

void *__wrap_malloc(size_t size)
{
	void *p = __real_malloc(size);

	at_alloc(p);
	return p;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p = __real_calloc(n, size);

	at_alloc(p);
	return p;
}

void *__wrap_realloc(void *p, size_t size)
{
	at_free(p);
	p = __real_realloc(p, size);
	at_alloc(p);
	return p;
}

char *__wrap_strndup(const char *s, size_t n)
{
	char *p = __real_strndup(s, n);

	at_alloc(p);
	return p;
}

void __wrap_free(void *p)
{
	at_free(p);
	__real_free(p);
}

/* BoringSSL's weak functions; the size is kept in front of the bytes. */
#define HEAD 16

__attribute__((visibility("default"))) void *OPENSSL_memory_alloc(size_t size);
__attribute__((visibility("default"))) void OPENSSL_memory_free(void *p);
__attribute__((visibility("default"))) size_t OPENSSL_memory_get_size(void *p);

void *OPENSSL_memory_alloc(size_t size)
{
	char *p = __real_malloc(size + HEAD);

	if (!p)
		return NULL;
	memcpy(p, &size, sizeof(size));
	if (counting) {
		counting->bssl++;
		counting->bssl_bytes += malloc_usable_size(p) - HEAD;
	}
	return p + HEAD;
}

void OPENSSL_memory_free(void *p)
{
	char *start = (char *)p - HEAD;

	if (!p)
		return;
	if (counting)
		counting->bssl_bytes -= malloc_usable_size(start) - HEAD;
	__real_free(start);
}

size_t OPENSSL_memory_get_size(void *p)
{
	size_t size = 0;

	if (p)
		memcpy(&size, (char *)p - HEAD, sizeof(size));
	return size;
}

/* What is done between the two is @tally's. */
static void begin(struct tally *tally)
{
	fault_reset();
	counting = tally;
}

static void end(void)
{
	static const char *const others[] = { "bind",     "listen", "getsockname", "getpeername",
					      "fcntl",    "open",   "read",        "write",
					      "sendfile", "pread",  "mmap",        "munmap",
					      "mlock",    "madvise" };
	struct tally *tally = counting;
	size_t i;

	counting = NULL;
	for (i = 0; i < ARRAY_SIZE(calls); i++)
		tally->calls[i] += fault_count(calls[i]);
	for (i = 0; i < ARRAY_SIZE(others); i++)
		tally->other_calls += fault_count(others[i]);
}

/* --- one connection ---------------------------------------------------------------------- */

enum phase { HANDSHAKE, IDLE, SEND, RECEIVE, CLOSE, PHASES };

static const char *const phase_names[PHASES] = { "handshake", "idle", "send 16 KiB",
						 "receive 16 KiB", "close" };

struct cost {
	struct tally client[PHASES], server[PHASES];
};

static bool is_ready(const struct sluice_conn *conn)
{
	struct pollfd pfd = { sluice_conn_fd(conn), sluice_conn_events(conn), 0 };

	return poll(&pfd, 1, 0) > 0;
}

static void wait_any(const struct pair *pair)
{
	struct pollfd pfds[2] = {
		{ sluice_conn_fd(pair->client), sluice_conn_events(pair->client), 0 },
		{ sluice_conn_fd(pair->server), sluice_conn_events(pair->server), 0 },
	};

	assert_true(poll(pfds, 2, TCP_WAIT_MS) > 0);
}

/* Both ends as under an event loop: an end is called when its socket is ready, and only then. */
static void count_handshake(struct pair *pair, struct sluice_session *session, struct cost *cost)
{
	struct sluice_error err;

	begin(&cost->client[HANDSHAKE]);
	pair->client_result =
		sluice_connect(pair->sluice, "127.0.0.1", sluice_listener_port(pair->listener),
			       pair->client_profile, session, SLUICE_NOWAIT, &pair->client, &err);
	end();
	tcp_wait(sluice_listener_fd(pair->listener));
	begin(&cost->server[HANDSHAKE]);
	assert_int_equal(sluice_transport_accept(pair->listener, SLUICE_NOWAIT, &pair->server), 0);
	end();
	tcp_wait(sluice_conn_fd(pair->server));
	begin(&cost->server[HANDSHAKE]);
	pair->server_result = sluice_handshake(pair->server, NULL, SLUICE_NOWAIT);
	end();
	while (pair->client_result || pair->server_result) {
		assert_int_equal(pair->client_result ? pair->client_result : -SLUICE_E_AGAIN,
				 -SLUICE_E_AGAIN);
		assert_int_equal(pair->server_result ? pair->server_result : -SLUICE_E_AGAIN,
				 -SLUICE_E_AGAIN);
		wait_any(pair);
		if (pair->client_result && is_ready(pair->client)) {
			begin(&cost->client[HANDSHAKE]);
			pair->client_result = sluice_conn_dispatch(pair->client);
			end();
		}
		if (pair->server_result && is_ready(pair->server)) {
			begin(&cost->server[HANDSHAKE]);
			pair->server_result = sluice_conn_dispatch(pair->server);
			end();
		}
	}
}

/* A client reads its tickets with the first data; they belong to the handshake. */
static void count_tickets(struct pair *pair, struct cost *cost)
{
	uint8_t in[READ_LEN];

	assert_int_equal(sluice_send(pair->server, "t", 1, TCP_WAIT_MS), 1);
	tcp_wait(sluice_conn_fd(pair->client));
	begin(&cost->client[HANDSHAKE]);
	assert_int_equal(sluice_recv(pair->client, in, sizeof(in), SLUICE_NOWAIT), 1);
	end();
}

static void count_record(struct sluice_conn *from, struct sluice_conn *to, struct tally *sending,
			 struct tally *receiving)
{
	static uint8_t out[RECORD_LEN], in[RECORD_LEN];

	begin(sending);
	assert_int_equal(sluice_send(from, out, sizeof(out), SLUICE_NOWAIT), sizeof(out));
	end();
	tcp_wait(sluice_conn_fd(to));
	begin(receiving);
	assert_int_equal(sluice_recv(to, in, sizeof(in), SLUICE_NOWAIT), sizeof(in));
	end();
}

/* The client closes first; the server finds it out and closes, too. */
static void count_close(struct pair *pair, struct cost *cost)
{
	uint8_t in[READ_LEN];

	begin(&cost->client[CLOSE]);
	assert_int_equal(sluice_shutdown(pair->client, SHUT_WR, TCP_WAIT_MS), 0);
	end();
	tcp_wait(sluice_conn_fd(pair->server));
	begin(&cost->server[CLOSE]);
	assert_int_equal(sluice_recv(pair->server, in, sizeof(in), SLUICE_NOWAIT),
			 -SLUICE_E_CLOSED);
	assert_int_equal(sluice_close(pair->server), 0);
	end();
	begin(&cost->client[CLOSE]);
	assert_int_equal(sluice_close(pair->client), 0);
	end();
	pair->client = pair->server = NULL;
}

/* What is held by a connection that waits for its peer: the sums of everything so far. */
static void count_idle(struct sluice_conn *conn, struct tally *idle)
{
	uint8_t in[READ_LEN];

	begin(idle);
	assert_int_equal(sluice_recv(conn, in, sizeof(in), SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	end();
}

static void count_connection(struct pair *pair, struct sluice_session *session, struct cost *cost,
			     struct sluice_session **ret_session)
{
	memset(cost, 0, sizeof(*cost));
	count_handshake(pair, session, cost);
	assert_int_equal(check_info(pair->client).resumed, session != NULL);
	count_tickets(pair, cost);
	count_idle(pair->client, &cost->client[IDLE]);
	count_idle(pair->server, &cost->server[IDLE]);
	count_record(pair->client, pair->server, &cost->client[SEND], &cost->server[RECEIVE]);
	count_record(pair->server, pair->client, &cost->server[SEND], &cost->client[RECEIVE]);
	if (ret_session)
		assert_int_equal(sluice_take_session(pair->client, ret_session), 0);
	count_close(pair, cost);
}

/* --- what is expected -------------------------------------------------------------------- */

/* The calls in words, in the order of the table above. */
static unsigned int describe(const struct tally *tally, char *out, size_t size)
{
	unsigned int total = tally->other_calls;
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		total += tally->calls[i];
		if (tally->calls[i])
			len += snprintf(out + len, size - len, "%s%u %s", len ? ", " : "",
					tally->calls[i], calls[i]);
	}
	if (tally->other_calls)
		snprintf(out + len, size - len, ", %u others", tally->other_calls);
	return total;
}

struct expected {
	const char *calls;
	unsigned int ours;
	unsigned int
		bssl; /* at most: it differs with BoringSSL and with the length of signatures */
};

/* Handshakes: by path, version, full and resumed. */
static const struct handshake_row {
	const char *path, *version;
	bool resumed;
	struct expected client, server;
} handshake_rows[] = {
	{ "user",
	  "tlsv1.3",
	  false,
	  { "1 socket, 1 connect, 1 setsockopt, 1 getsockopt, 5 recvmsg, 2 sendmsg, 1 poll", 10,
	    700 },
	  { "1 accept4, 4 recvmsg, 2 sendmsg", 7, 300 } },
	{ "user",
	  "tlsv1.3",
	  true,
	  { "1 socket, 1 connect, 1 setsockopt, 1 getsockopt, 5 recvmsg, 2 sendmsg, 1 poll", 9,
	    300 },
	  { "1 accept4, 4 recvmsg, 2 sendmsg", 7, 300 } },
	{ "user",
	  "tlsv1.2",
	  false,
	  { "1 socket, 1 connect, 1 setsockopt, 1 getsockopt, 10 recvmsg, 2 sendmsg, 1 poll", 10,
	    600 },
	  { "1 accept4, 5 recvmsg, 2 sendmsg", 7, 200 } },
	{ "user",
	  "tlsv1.2",
	  true,
	  { "1 socket, 1 connect, 1 setsockopt, 1 getsockopt, 5 recvmsg, 2 sendmsg, 1 poll", 9,
	    120 },
	  { "1 accept4, 4 recvmsg, 1 sendmsg", 7, 140 } },
	{ "kernel",
	  "tlsv1.3",
	  false,
	  { "1 socket, 1 connect, 4 setsockopt, 1 getsockopt, 6 recvmsg, 2 sendmsg, 1 poll", 10,
	    700 },
	  { "1 accept4, 3 setsockopt, 4 recvmsg, 2 sendmsg", 7, 300 } },
	{ "kernel",
	  "tlsv1.3",
	  true,
	  { "1 socket, 1 connect, 4 setsockopt, 1 getsockopt, 6 recvmsg, 2 sendmsg, 1 poll", 9,
	    300 },
	  { "1 accept4, 3 setsockopt, 4 recvmsg, 2 sendmsg", 7, 300 } },
	{ "kernel",
	  "tlsv1.2",
	  false,
	  { "1 socket, 1 connect, 4 setsockopt, 1 getsockopt, 10 recvmsg, 2 sendmsg, 1 poll", 10,
	    600 },
	  { "1 accept4, 3 setsockopt, 5 recvmsg, 2 sendmsg", 7, 200 } },
	{ "kernel",
	  "tlsv1.2",
	  true,
	  { "1 socket, 1 connect, 4 setsockopt, 1 getsockopt, 5 recvmsg, 2 sendmsg, 1 poll", 9,
	    120 },
	  { "1 accept4, 3 setsockopt, 4 recvmsg, 1 sendmsg", 7, 140 } },
};

/* Everything else is the same for every version, resumed or not. */
static const struct live_row {
	const char *path;
	enum phase phase;
	struct expected client, server;
} live_rows[] = {
	{ "user", SEND, { "1 sendmsg", 0, 0 }, { "1 sendmsg", 0, 0 } },
	{ "user", RECEIVE, { "1 recvmsg", 0, 0 }, { "1 recvmsg", 0, 0 } },
	{ "user",
	  CLOSE,
	  { "2 recvmsg, 1 sendmsg, 2 shutdown, 1 close", 0, 10 },
	  { "2 recvmsg, 1 sendmsg, 1 shutdown, 1 close", 0, 10 } },
	{ "kernel", SEND, { "1 sendmsg", 0, 0 }, { "1 sendmsg", 0, 0 } },
	{ "kernel", RECEIVE, { "1 recvmsg", 0, 0 }, { "1 recvmsg", 0, 0 } },
	{ "kernel",
	  CLOSE,
	  { "2 recvmsg, 1 sendmsg, 2 poll, 2 shutdown, 1 close", 0, 10 },
	  { "2 recvmsg, 1 sendmsg, 1 poll, 1 shutdown, 1 close", 0, 10 } },
};

static void check(const char *what, const char *who, enum phase phase, const struct tally *tally,
		  const struct expected *expected)
{
	char text[300];
	unsigned int total = describe(tally, text, sizeof(text));

	printf("# | %s | %s | %s | %s | %u | %u | %u |\n", what, phase_names[phase], who, text,
	       total, tally->ours, tally->bssl);
	assert_string_equal(text, expected->calls);
	assert_int_equal(tally->ours, expected->ours);
	assert_in_range(tally->bssl, 0, expected->bssl);
}

/* What an idle connection keeps, rounded up to KiB: as much as its structures, and no buffer. */
static void check_idle(const char *what, const char *who, const struct tally *handshake,
		       const struct tally *idle, long ours_kib, long bssl_kib)
{
	long ours = (handshake->ours_bytes + idle->ours_bytes + 1023) / 1024;
	long bssl = (handshake->bssl_bytes + idle->bssl_bytes + 1023) / 1024;

	printf("# | %s | idle | %s | %ld bytes ours, %ld KiB BoringSSL |\n", what, who,
	       (long)(handshake->ours_bytes + idle->ours_bytes), bssl);
	assert_in_range(ours, 1, ours_kib);
	assert_in_range(bssl, 1, bssl_kib);
}

static void check_connection(const struct handshake_row *row, const struct cost *cost)
{
	char what[64];
	size_t i;

	snprintf(what, sizeof(what), "%s, %s, %s", row->path, row->version,
		 row->resumed ? "resumed" : "full");
	check(what, "client", HANDSHAKE, &cost->client[HANDSHAKE], &row->client);
	check(what, "server", HANDSHAKE, &cost->server[HANDSHAKE], &row->server);
	for (i = 0; i < ARRAY_SIZE(live_rows); i++) {
		enum phase phase = live_rows[i].phase;

		if (strcmp(live_rows[i].path, row->path))
			continue;
		check(what, "client", phase, &cost->client[phase], &live_rows[i].client);
		check(what, "server", phase, &cost->server[phase], &live_rows[i].server);
	}
	check_idle(what, "client", &cost->client[HANDSHAKE], &cost->client[IDLE], 2, 12);
	check_idle(what, "server", &cost->server[HANDSHAKE], &cost->server[IDLE], 2, 1);
}

static void calls_and_allocations_of_a_connection(void **state)
{
	struct sluice_session *session = NULL;
	const struct handshake_row *row;
	struct cost cost;
	struct pair pair;
	size_t i;

	fault_install();
	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < ARRAY_SIZE(handshake_rows); i++) {
			row = &handshake_rows[i];
			if (strcmp(row->path, path))
				continue;
			/* Each resumed row stands behind the full one that it resumes. */
			if (!row->resumed) {
				pair_open(&pair, &(struct pair_setup){ .path = path,
								       .versions = row->version });
				/* What is made once and kept is made before anything is counted. */
				count_connection(&pair, NULL, &cost, NULL);
			}
			count_connection(&pair, row->resumed ? session : NULL, &cost,
					 row->resumed ? NULL : &session);
			check_connection(row, &cost);
			if (row->resumed) {
				session = sluice_session_free(session);
				pair_close(&pair);
			}
		}
	}
	fault_uninstall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(calls_and_allocations_of_a_connection),
	};

	return cmocka_run_group_tests_name("flow/counts", tests, leaks_setup, leaks_teardown);
}
