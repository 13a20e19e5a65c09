/* SPDX-License-Identifier: Apache-2.0 */
/* The ends of sockets as sock_diag(7) announces them: told, lost, and told again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "diag/diag.h"
#include "support/diag_world.h"
#include "support/leaks.h"

static void an_end_is_told_with_its_last_counts(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct tcp tcp;
	size_t i;

	skip_without(diag);
	for (i = 0; i < ARRAY_SIZE(kinds) && open_kind(&tcp, i); i++) {
		exchange(&tcp);
		assert_true(diag_dispatch(diag) >= 0);

		/* The side that closes first is told when a TIME_WAIT takes its place. */
		end = (struct wanted){ .cookie = tcp.client.cookie };
		close_side(&tcp.client);
		tcp_wait(tcp.server.fd);
		wait_end(diag, &end);
		check_counts(&end.socket, SENT_BY_SERVER, SENT_BY_CLIENT);
		assert_memory_equal(&end.socket.local, &tcp.client.local, sizeof(end.socket.local));
		assert_memory_equal(&end.socket.peer, &tcp.client.peer, sizeof(end.socket.peer));

		end = (struct wanted){ .cookie = tcp.server.cookie };
		close_side(&tcp.server);
		wait_end(diag, &end);
		check_counts(&end.socket, SENT_BY_CLIENT, SENT_BY_SERVER);
		assert_memory_equal(&end.socket.local, &tcp.server.local, sizeof(end.socket.local));
		assert_memory_equal(&end.socket.peer, &tcp.server.peer, sizeof(end.socket.peer));
		assert_int_equal(end.seen, 1);
		assert_int_equal(find_error(diag, &tcp.server), -ENOENT);
	}
	diag_free(diag);
}

static void lost_ends_are_reported_and_later_ones_told(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct pollfd pfd = { .fd = diag_fd(diag) };
	int little = 1, much = 100000, i, r;
	struct tcp tcp;

	skip_without(diag);
	assert_int_equal(setsockopt(diag_fd(diag), SOL_SOCKET, SO_RCVBUF, &little, sizeof(little)),
			 0);
	for (i = 0; i < 50; i++) {
		assert_true(open_kind(&tcp, 0));
		reset_side(&tcp.client);
		close_side(&tcp.server);
	}
	/* POLLERR, which is always asked for, without reading: the kernel tells them in its own time. */
	assert_int_equal(poll(&pfd, 1, TCP_WAIT_MS), 1);
	assert_int_equal(diag_dispatch(diag), -ENOBUFS);

	/* Ends of the fifty may still be on their way. */
	assert_int_equal(setsockopt(diag_fd(diag), SOL_SOCKET, SO_RCVBUF, &much, sizeof(much)), 0);
	assert_true(open_kind(&tcp, 0));
	while ((r = diag_dispatch(diag)) != 0)
		assert_true(r > 0 || r == -ENOBUFS);
	end = (struct wanted){ .cookie = tcp.client.cookie };
	reset_side(&tcp.client);
	wait_end(diag, &end);
	close_side(&tcp.server);
	diag_free(diag);
}

static void one_call_tells_so_many_that_others_get_their_turn(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct tcp tcp;
	int i, r, most = 0, calls = 0;

	skip_without(diag);
	for (i = 0; i < 600; i++) {
		assert_true(open_kind(&tcp, 0));
		reset_side(&tcp.client);
		close_side(&tcp.server);
	}
	end.cookie = tcp.server.cookie;
	while (!end.seen) {
		struct pollfd pfd = { .fd = diag_fd(diag), .events = POLLIN };

		assert_int_equal(poll(&pfd, 1, TCP_WAIT_MS), 1);
		r = diag_dispatch(diag);
		if (r == -ENOBUFS) { /* without CAP_NET_ADMIN there is not the room */
			diag_free(diag);
			print_message("skipped: the ends do not fit into SO_RCVBUF\n");
			skip();
		}
		assert_true(r >= 0);
		most = r > most ? r : most;
		calls++;
	}
	assert_in_range(most, 1, 1024);
	assert_true(calls > 1);
	diag_free(diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_end_is_told_with_its_last_counts),
		cmocka_unit_test(lost_ends_are_reported_and_later_ones_told),
		cmocka_unit_test(one_call_tells_so_many_that_others_get_their_turn),
	};

	return cmocka_run_group_tests_name("flow/diag_ends", tests, leaks_setup, leaks_teardown);
}
