/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A direction in which nothing more finds room, and the way out of that. Called by flow tests of
 * what calls do when they have to wait for the peer to read.
 */
#ifndef SLUICE_TESTS_SUPPORT_FULL_H
#define SLUICE_TESTS_SUPPORT_FULL_H

#include <pthread.h>

#include <cmocka.h>

#include "support/pair.h"
#include "support/tcp.h"

#define FULL_PIECE 65536

/*
 * full_fill() sends a pattern until connection and sockets take no byte more. Returns how much they
 * took. The kernel's record layer still finds room for a byte where it has none for a record.
 */
static inline size_t full_fill(struct sluice_conn *conn)
{
	static uint8_t out[FULL_PIECE];
	int size = FULL_PIECE;
	size_t total = 0, piece = FULL_PIECE;
	ssize_t n;

	assert_int_equal(sluice_setopt(conn, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	while (piece > 0) {
		pair_pattern(out, piece, total);
		n = sluice_send(conn, out, piece, SLUICE_NOWAIT);
		if (n < 0) {
			assert_int_equal(n, -SLUICE_E_AGAIN);
			piece /= 2;
		}
		total += n > 0 ? n : 0;
	}
	assert_true(total > 0);
	return total;
}

/* full_drain() receives and checks the pattern to its end. Returns how much; *@ret_end is why. */
static inline size_t full_drain(struct sluice_conn *conn, ssize_t *ret_end)
{
	static uint8_t in[FULL_PIECE], expected[FULL_PIECE];
	size_t got = 0;
	ssize_t n;

	while ((n = sluice_recv(conn, in, sizeof(in), TCP_WAIT_MS)) > 0) {
		pair_pattern(expected, n, got);
		assert_memory_equal(in, expected, n);
		got += n;
	}
	*ret_end = n;
	return got;
}

/* struct full_end - an end of a connection that is made by a thread: close or shutdown. */
struct full_end {
	int (*end)(struct sluice_conn *conn);
	struct sluice_conn *conn;
	pthread_t thread;
	int result;
};

static inline void *full_end_thread(void *arg)
{
	struct full_end *end = arg;

	end->result = end->end(end->conn);
	return NULL;
}

/* full_end() starts it; full_drain_end() reads what it sends and expects an end in order. */
static inline void full_end(struct full_end *end, int (*call)(struct sluice_conn *conn),
			    struct sluice_conn *conn)
{
	end->end = call;
	end->conn = conn;
	assert_int_equal(pthread_create(&end->thread, NULL, full_end_thread, end), 0);
}

static inline void full_drain_end(struct full_end *end, struct sluice_conn *from, size_t accepted)
{
	ssize_t why;

	assert_int_equal(full_drain(from, &why), accepted);
	assert_int_equal(why, -SLUICE_E_CLOSED);
	assert_int_equal(pthread_join(end->thread, NULL), 0);
	assert_int_equal(end->result, 0);
}

#endif
