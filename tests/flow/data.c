/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving: everything arrives, once, in order, whatever the transport does to it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "support/certs.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "support/waits.h"

#define BIG (1024 * 1024) /* more than the sockets hold after small_buffers() */

static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };

/* struct stream - one direction: a pattern that is checked as it arrives. */
struct stream {
	struct sluice_conn *from, *to;
	size_t got;
	uint8_t *out; /* BIG bytes of the pattern */
};

static void small_buffers(struct stream *stream)
{
	int size = 65536;

	assert_int_equal(sluice_setopt(stream->from, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)),
			 0);
	assert_int_equal(sluice_setopt(stream->to, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
}

static void stream_open(struct stream *stream, struct pair *pair, const char *path)
{
	pair_open(pair, &(struct pair_setup){ .path = path });
	assert_int_equal(pair_connect(pair), 0);
	*stream = (struct stream){ pair->client, pair->server, 0, malloc(BIG) };
	assert_non_null(stream->out);
	pair_pattern(stream->out, BIG, 0);
	small_buffers(stream);
}

static void stream_close(struct stream *stream, struct pair *pair)
{
	free(stream->out);
	pair_close(pair);
}

/* Receives what is there. Returns the last result, which is no data. */
static ssize_t take(struct stream *stream, int timeout_ms)
{
	uint8_t in[50000];
	ssize_t n;

	while ((n = sluice_recv(stream->to, in, sizeof(in), timeout_ms)) > 0) {
		assert_true(stream->got + n <= BIG);
		assert_memory_equal(in, stream->out + stream->got, n);
		stream->got += n;
		timeout_ms = SLUICE_NOWAIT;
	}
	return n;
}

/* What is accepted arrives, and no more. */
static void expect_all(struct stream *stream, size_t accepted)
{
	while (stream->got < accepted) {
		assert_true(sluice_conn_dispatch(stream->from) <= 0);
		assert_int_equal(take(stream, TCP_WAIT_MS), -SLUICE_E_AGAIN);
	}
	assert_int_equal(sluice_conn_dispatch(stream->from), 0);
	assert_int_equal(stream->got, accepted);
	assert_int_equal(sluice_shutdown(stream->from, SHUT_WR, SLUICE_INFINITY), 0);
	assert_int_equal(take(stream, SLUICE_INFINITY), -SLUICE_E_CLOSED);
	assert_int_equal(stream->got, accepted);
}

/* The receiver reads only when the sender cannot go on. */
static void take_while_waiting(void *arg)
{
	struct stream *stream = arg;

	assert_int_equal(take(stream, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	waits.event = take_while_waiting;
}

/* --- sending ------------------------------------------------------------------------------- */

static ssize_t send_plain(struct stream *stream, int timeout_ms)
{
	return sluice_send(stream->from, stream->out, BIG, timeout_ms);
}

static ssize_t send_parts(struct stream *stream, int timeout_ms)
{
	const struct iovec iov[] = {
		{ stream->out, 0 },
		{ stream->out, 1 },
		{ stream->out + 1, 70000 },
		{ stream->out + 70001, 0 },
		{ stream->out + 70001, BIG - 70001 },
	};

	return sluice_sendv(stream->from, iov, sizeof(iov) / sizeof(iov[0]), timeout_ms);
}

static int pattern_file(const struct stream *stream)
{
	int fd = open(certs_file("pattern", stream->out, BIG), O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static ssize_t send_file(struct stream *stream, int timeout_ms)
{
	int fd = pattern_file(stream);
	off_t offset = 0;
	ssize_t n = sluice_sendfile(stream->from, fd, &offset, BIG, timeout_ms);

	assert_int_equal(offset, n > 0 ? n : 0);
	close(fd);
	return n;
}

static ssize_t (*const senders[])(struct stream *stream, int timeout_ms) = { send_plain, send_parts,
									     send_file };
#define N_SENDERS 3

static void LC_35_everything_is_sent(void **state)
{
	struct stream stream;
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < N_SENDERS; i++) {
			stream_open(&stream, &pair, path);
			waits_install();
			waits_until(take_while_waiting, &stream);
			assert_int_equal(senders[i](&stream, SLUICE_INFINITY), BIG);
			assert_true(waits.n > 1);
			assert_int_equal(waits.first_ms, -1);
			waits_uninstall();
			expect_all(&stream, BIG);
			stream_close(&stream, &pair);
		}
	}
}

static ssize_t send_from(struct stream *stream, int sender, size_t at, int timeout_ms)
{
	const struct iovec iov = { stream->out + at, BIG - at };
	off_t offset = at;
	ssize_t n;
	int fd;

	if (sender == 0)
		return sluice_send(stream->from, iov.iov_base, iov.iov_len, timeout_ms);
	if (sender == 1)
		return sluice_sendv(stream->from, &iov, 1, timeout_ms);
	fd = pattern_file(stream);
	n = sluice_sendfile(stream->from, fd, &offset, BIG - at, timeout_ms);
	close(fd);
	return n;
}

/*
 * No room: the send is refused. Where other CPUs move bytes on, or TCP packs its queue anew, there
 * can be room for some more; it is used up first.
 */
static void expect_no_room(struct stream *stream, int sender, ssize_t *accepted, int timeout_ms,
			   int code)
{
	ssize_t n;
	int i;

	for (i = 0; i < 100; i++) {
		waits_until(NULL, NULL);
		n = send_from(stream, sender, *accepted, timeout_ms);
		if (n <= 0)
			break;
		*accepted += n;
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
	}
	assert_int_equal(n, code);
}

/* Short only when the time passed; what was accepted is the connection's to deliver. */
static void LC_35_LC_40_a_timeout_makes_it_short(void **state)
{
	struct stream stream;
	struct pair pair;
	ssize_t n;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < N_SENDERS; i++) {
			stream_open(&stream, &pair, path);
			waits_install();
			n = senders[i](&stream, 250);
			assert_in_range(n, 1, BIG - 1);
			assert_int_equal(waits.passed_us, 250000);

			expect_no_room(&stream, i, &n, 250, -SLUICE_E_TIMEOUT);
			assert_int_equal(waits.first_ms, 250);
			expect_no_room(&stream, i, &n, SLUICE_NOWAIT, -SLUICE_E_AGAIN);
			assert_int_equal(waits.n, 0);
			waits_uninstall();
			expect_all(&stream, n);
			stream_close(&stream, &pair);
		}
	}
}

/* The caller's buffer is its own again when the call returns. */
static void LC_35_accepted_bytes_are_not_borrowed(void **state)
{
	struct stream stream;
	struct pair pair;
	uint8_t *copy = malloc(BIG);
	ssize_t n, total = 0;

	assert_non_null(copy);
	PAIR_FOR_EACH_PATH(path)
	{
		stream_open(&stream, &pair, path);
		total = 0;
		do {
			memcpy(copy, stream.out + total, BIG - total);
			n = sluice_send(stream.from, copy, BIG - total, SLUICE_NOWAIT);
			memset(copy, 0xaa, BIG);
			total += n > 0 ? n : 0;
		} while (n > 0);
		assert_int_equal(n, -SLUICE_E_AGAIN);
		expect_all(&stream, total);
		stream_close(&stream, &pair);
	}
	free(copy);
}

static void LC_35_parts_of_a_file(void **state)
{
	static const struct {
		off_t offset;
		size_t count, sent;
	} cases[] = {
		{ 0, 0, 0 },
		{ 5, 10, 10 },
		{ 1, 70000, 70000 },
		{ BIG - 100, 100, 100 },
		{ BIG - 100, 5000, 100 }, /* the file ends */
		{ BIG, 10, 0 },
		{ BIG + 10, 10, 0 },
	};
	uint8_t in[70000];
	struct stream stream;
	struct pair pair;
	off_t offset;
	size_t i;
	int fd;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		stream = (struct stream){ pair.client, pair.server, 0, malloc(BIG) };
		pair_pattern(stream.out, BIG, 0);
		fd = pattern_file(&stream);
		for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
			offset = cases[i].offset;
			assert_int_equal(sluice_sendfile(stream.from, fd, &offset, cases[i].count,
							 TCP_WAIT_MS),
					 cases[i].sent);
			assert_int_equal(offset, cases[i].offset + cases[i].sent);
			assert_int_equal(sluice_recv_exact(stream.to, in, cases[i].sent,
							   SLUICE_INFINITY),
					 cases[i].sent);
			assert_memory_equal(in, stream.out + cases[i].offset, cases[i].sent);
			assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
		}
		close(fd);
		stream_close(&stream, &pair);
	}
}

/* A file that cannot be read is no fault of the connection. */
static void LC_35_a_bad_file_leaves_the_connection(void **state)
{
	struct pair pair;
	int fds[2], i;
	off_t offset = 0;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	PAIR_FOR_EACH_PATH(path)
	{
		const int bad[] = { -1, fds[0], fds[1] };

		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		for (i = 0; i < 3; i++) {
			assert_int_equal(sluice_sendfile(pair.client, bad[i], &offset, 10,
							 TCP_WAIT_MS),
					 -SLUICE_E_FILE);
			assert_int_equal(offset, 0);
			pair_exchange(&pair, 100);
		}
		pair_close(&pair);
	}
	close(fds[0]);
	close(fds[1]);
}

static void LC_35_arguments(void **state)
{
	const struct iovec empty[] = { { NULL, 0 }, { NULL, 0 } };
	struct pair pair;
	uint8_t in[4];

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_send(pair.client, NULL, 0, 0), 0);
		assert_int_equal(sluice_sendv(pair.client, empty, 2, 0), 0);
		assert_int_equal(sluice_sendv(pair.client, NULL, 0, 0), 0);
		assert_int_equal(sluice_sendv(pair.client, empty, -1, 0), -SLUICE_E_INVALID);
		assert_int_equal(sluice_recv(pair.client, in, 0, 0), -SLUICE_E_INVALID);
		assert_int_equal(sluice_recv_exact(pair.client, in, 0, 0), 0);
		/* None of it sent anything. */
		assert_int_equal(sluice_recv(pair.server, in, sizeof(in), SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		pair_exchange(&pair, 10);
		pair_close(&pair);
	}
}

static void expect_sending_fails(struct sluice_conn *conn, int code)
{
	const struct iovec iov = { (void *)"x", 1 };
	off_t offset = 0;
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	assert_int_equal(sluice_send(conn, "x", 1, SLUICE_INFINITY), -code);
	assert_int_equal(sluice_sendv(conn, &iov, 1, SLUICE_INFINITY), -code);
	assert_int_equal(sluice_sendfile(conn, fd, &offset, 1, SLUICE_INFINITY), -code);
	assert_int_equal(sluice_update_keys(conn, 0, SLUICE_INFINITY), -code);
	close(fd);
}

static void LC_35_sending_on_a_closed_connection(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_INFINITY), 0);
		expect_sending_fails(pair.client, SLUICE_E_CLOSED);
		pair_close(&pair);
	}
}

/* The peer is gone, with a reset. */
static void LC_35_LC_36_reset_by_the_peer(void **state)
{
	const struct linger linger = { 1, 0 };
	struct sluice_error err;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_setopt(pair.server, SOL_SOCKET, SO_LINGER, &linger,
					       sizeof(linger)),
				 0);
		pair.server = conn_free(pair.server);
		assert_int_equal(sluice_recv(pair.client, &(char){ 0 }, 1, SLUICE_INFINITY),
				 -SLUICE_E_RESET);
		sluice_conn_error(pair.client, &err, sizeof(err));
		assert_int_equal(err.code, SLUICE_E_RESET);
		assert_int_equal(err.sys_errno, ECONNRESET);
		expect_sending_fails(pair.client, SLUICE_E_RESET);
		assert_int_equal(sluice_recv(pair.client, &(char){ 0 }, 1, SLUICE_INFINITY),
				 -SLUICE_E_RESET);
		pair_close(&pair);
	}
}

/* --- receiving ----------------------------------------------------------------------------- */

/* Sends each of @lens as records of its own, and waits until the receiver's kernel has them. */
static size_t send_records(struct stream *stream, const size_t *lens, size_t n_lens)
{
	size_t i, total = 0;

	for (i = 0; i < n_lens; i++) {
		assert_int_equal(sluice_send(stream->from, stream->out + total, lens[i],
					     TCP_WAIT_MS),
				 lens[i]);
		total += lens[i];
	}
	tcp_flush(sluice_conn_fd(stream->from), sluice_conn_fd(stream->to));
	return total;
}

static void LC_36_LC_37_all_that_is_there_is_returned(void **state)
{
	static const size_t small[] = { 100, 1, 30, 5000 }, big[] = { 16384, 16384, 16384, 20000 };
	static uint8_t in[100000];
	struct stream stream = { .out = malloc(BIG) };
	struct pair pair;
	size_t total;
	int v;

	pair_pattern(stream.out, BIG, 0);
	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[v] });
			assert_int_equal(pair_connect(&pair), 0);
			stream.from = pair.server;
			stream.to = pair.client;
			total = send_records(&stream, small, 4);
			assert_int_equal(sluice_recv(stream.to, in, sizeof(in), SLUICE_INFINITY),
					 total);
			assert_memory_equal(in, stream.out, total);

			total = send_records(&stream, big, 4);
			assert_int_equal(sluice_recv(stream.to, in, sizeof(in), SLUICE_INFINITY),
					 total);
			assert_memory_equal(in, stream.out, total);

			/* As far as the buffer holds them. */
			total = send_records(&stream, small, 4);
			assert_int_equal(sluice_recv(stream.to, in, 50, SLUICE_INFINITY), 50);
			assert_int_equal(sluice_recv(stream.to, in + 50, 80, SLUICE_INFINITY), 80);
			assert_int_equal(sluice_recv(stream.to, in + 130, 1, SLUICE_INFINITY), 1);
			assert_int_equal(sluice_recv(stream.to, in + 131, sizeof(in) - 131,
						     SLUICE_INFINITY),
					 total - 131);
			assert_memory_equal(in, stream.out, total);
			assert_int_equal(sluice_recv(stream.to, in, 1, SLUICE_NOWAIT),
					 -SLUICE_E_AGAIN);
			pair_close(&pair);
		}
	}
	free(stream.out);
}

/* Data, then the end: first the one, then the other. */
static void LC_36_LC_37_the_end_comes_after_the_data(void **state)
{
	struct pair pair;
	char in[100];
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_send(pair.client, "the last words", 14, TCP_WAIT_MS), 14);
		assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, SLUICE_INFINITY), 0);
		tcp_flush(sluice_conn_fd(pair.client), sluice_conn_fd(pair.server));
		assert_int_equal(sluice_recv(pair.server, in, sizeof(in), SLUICE_INFINITY), 14);
		assert_memory_equal(in, "the last words", 14);
		for (i = 0; i < 3; i++)
			assert_int_equal(sluice_recv(pair.server, in, sizeof(in), SLUICE_INFINITY),
					 -SLUICE_E_CLOSED);
		assert_int_equal(sluice_recv_exact(pair.server, in, 1, SLUICE_INFINITY),
				 -SLUICE_E_CLOSED);
		pair_close(&pair);
	}
}

static void LC_38_exactly_what_was_asked_for(void **state)
{
	static const size_t lens[] = { 10, 16384, 1, 40000, 7 };
	static const size_t asked[] = { 1, 9, 1, 20000, 16384, 20000 };
	static uint8_t in[20000];
	struct stream stream = { .out = malloc(BIG) };
	struct pair pair;
	size_t i, got;

	pair_pattern(stream.out, BIG, 0);
	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		stream.from = pair.client;
		stream.to = pair.server;
		send_records(&stream, lens, 5);
		for (i = 0, got = 0; i < 6; i++) {
			assert_int_equal(sluice_recv_exact(stream.to, in, asked[i],
							   SLUICE_INFINITY),
					 asked[i]);
			assert_memory_equal(in, stream.out + got, asked[i]);
			got += asked[i];
		}
		assert_int_equal(sluice_discarded(stream.to), 0);
		/* 7 bytes are left; three of them, then the end. */
		assert_int_equal(sluice_recv_exact(stream.to, in, 4, SLUICE_INFINITY), 4);
		assert_int_equal(sluice_shutdown(stream.from, SHUT_WR, SLUICE_INFINITY), 0);
		assert_int_equal(sluice_recv_exact(stream.to, in, 4, SLUICE_INFINITY),
				 -SLUICE_E_CLOSED);
		assert_int_equal(sluice_discarded(stream.to), 3);
		assert_int_equal(sluice_recv_exact(stream.to, in, 4, SLUICE_INFINITY),
				 -SLUICE_E_CLOSED);
		assert_int_equal(sluice_discarded(stream.to), 3);
		pair_close(&pair);
	}
	free(stream.out);
}

/*
 * Both directions over a transport that moves one byte at a time. What the kernel's record layer is
 * given it takes as whole records, so there only the receiving calls are cut.
 */
static void LC_35_LC_36_LC_38_one_byte_at_a_time(void **state)
{
	struct pair pair;
	uint8_t in[600], out[600];
	int v;

	pair_pattern(out, sizeof(out), 0);
	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[v] });
			assert_int_equal(pair_connect(&pair), 0);
			fault_install();
			fault_limit("recvmsg", 1);
			if (!strcmp(path, "user"))
				fault_limit("sendmsg", 1);
			pair_exchange(&pair, 3000);
			assert_int_equal(sluice_send(pair.client, out, sizeof(out), TCP_WAIT_MS),
					 sizeof(out));
			assert_int_equal(sluice_recv_exact(pair.server, in, sizeof(in),
							   SLUICE_INFINITY),
					 sizeof(in));
			assert_memory_equal(in, out, sizeof(in));
			if (v == 0 && !strcmp(path, "user")) {
				assert_int_equal(sluice_update_keys(pair.client, 1, TCP_WAIT_MS),
						 0);
				pair_exchange(&pair, 500);
			}
			assert_int_equal(sluice_shutdown(pair.server, SHUT_WR, TCP_WAIT_MS), 0);
			assert_int_equal(sluice_recv(pair.client, in, 1, SLUICE_INFINITY),
					 -SLUICE_E_CLOSED);
			fault_uninstall();
			pair_close(&pair);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_35_everything_is_sent),
		cmocka_unit_test(LC_35_LC_40_a_timeout_makes_it_short),
		cmocka_unit_test(LC_35_accepted_bytes_are_not_borrowed),
		cmocka_unit_test(LC_35_parts_of_a_file),
		cmocka_unit_test(LC_35_a_bad_file_leaves_the_connection),
		cmocka_unit_test(LC_35_arguments),
		cmocka_unit_test(LC_35_sending_on_a_closed_connection),
		cmocka_unit_test(LC_35_LC_36_reset_by_the_peer),
		cmocka_unit_test(LC_36_LC_37_all_that_is_there_is_returned),
		cmocka_unit_test(LC_36_LC_37_the_end_comes_after_the_data),
		cmocka_unit_test(LC_38_exactly_what_was_asked_for),
		cmocka_unit_test(LC_35_LC_36_LC_38_one_byte_at_a_time),
	};

	return cmocka_run_group_tests_name("flow/data", tests, leaks_setup, leaks_teardown);
}
