/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag(7) on real sockets: dumps, one by its cookie, and ending one. */
#include <errno.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "diag/diag.h"
#include "record/ktls-abi.h"
#include "support/check.h"
#include "support/diag_world.h"
#include "support/leaks.h"

#define NOBODY 65534

static void check_live(const struct diag_socket *socket, const struct side *side)
{
	assert_memory_equal(&socket->local, &side->local, sizeof(side->local));
	assert_memory_equal(&socket->peer, &side->peer, sizeof(side->peer));
	assert_int_equal(socket->state, TCP_ESTABLISHED);
	assert_int_equal(socket->uid, geteuid());
	assert_int_equal(socket->device, 0);
	assert_in_range(socket->retransmits, 0, 100); /* a loaded machine probes for lost tails */
	assert_false(socket->has_tls);
}

static void a_dump_has_both_ends(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct tcp tcp;
	size_t i;
	int r;

	assert_false(diag_has_events(diag));
	assert_int_equal(diag_fd(diag), -1);
	assert_int_equal(diag_dispatch(diag), 0);
	for (i = 0; i < ARRAY_SIZE(kinds) && open_kind(&tcp, i); i++) {
		struct wanted client = { .cookie = tcp.client.cookie };
		struct wanted server = { .cookie = tcp.server.cookie };

		exchange(&tcp);
		r = diag_dump(diag, kinds[i].client, want, &client);
		assert_true(r >= 1);
		assert_in_range(client.seen, 1, 2);
		check_live(&client.socket, &tcp.client);
		check_counts(&client.socket, SENT_BY_SERVER, SENT_BY_CLIENT);
		r = diag_dump(diag, kinds[i].server, want, &server);
		assert_true(r >= 1);
		assert_in_range(server.seen, 1, 2);
		check_live(&server.socket, &tcp.server);
		check_counts(&server.socket, SENT_BY_CLIENT, SENT_BY_SERVER);
		assert_true(server.socket.rtt_us > 0 || client.socket.rtt_us > 0);
		close_both(&tcp);
	}
	diag_free(diag);
}

static void a_dump_has_more_than_one_batch(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct tcp tcp[200];
	struct wanted first, last;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tcp); i++)
		assert_true(open_kind(&tcp[i], 0));
	first = (struct wanted){ .cookie = tcp[0].client.cookie };
	last = (struct wanted){ .cookie = tcp[ARRAY_SIZE(tcp) - 1].server.cookie };
	assert_true(diag_dump(diag, AF_INET, want, &first) >= (int)(2 * ARRAY_SIZE(tcp)));
	assert_true(diag_dump(diag, AF_INET, want, &last) >= (int)(2 * ARRAY_SIZE(tcp)));
	assert_in_range(first.seen, 1, 2);
	assert_in_range(last.seen, 1, 2);
	for (i = 0; i < ARRAY_SIZE(tcp); i++)
		close_both(&tcp[i]);
	diag_free(diag);
}

static void a_dump_leaves_out_what_listens_and_what_has_ended(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	struct diag *diag = diag_open(NULL, NULL);
	struct wanted wanted = { 0 };
	socklen_t len = sizeof(wanted.cookie);
	struct tcp tcp;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &wanted.cookie, &len), 0);
	assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 0);
	assert_int_equal(wanted.seen, 0);
	close(fd);

	/* Until the peer closes, it ends or does not: that is up to the kernel. */
	assert_true(open_kind(&tcp, 0));
	close_side(&tcp.client);
	wanted.cookie = tcp.client.cookie;
	tcp_wait(tcp.server.fd);
	close_side(&tcp.server);
	wait_gone(diag, &tcp.client);
	assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 0);
	assert_int_equal(wanted.seen, 0);
	assert_int_equal(find_error(diag, &tcp.client), -ENOENT);
	diag_free(diag);
}

static void one_is_found_by_addresses_and_cookie(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct diag_socket socket;
	struct side other;
	struct tcp tcp;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && open_kind(&tcp, i); i++) {
		exchange(&tcp);
		socket = find(diag, &tcp.client);
		check_live(&socket, &tcp.client);
		check_counts(&socket, SENT_BY_SERVER, SENT_BY_CLIENT);
		socket = find(diag, &tcp.server);
		check_live(&socket, &tcp.server);
		check_counts(&socket, SENT_BY_CLIENT, SENT_BY_SERVER);

		other = tcp.server;
		other.cookie = tcp.client.cookie;
		assert_int_equal(find_error(diag, &other), -ENOENT);
		other.cookie = tcp.server.cookie ^ 1ull << 40;
		assert_int_equal(find_error(diag, &other), -ENOENT);
		other.cookie = 0;
		assert_int_equal(find_error(diag, &other), -ENOENT);
		other.cookie = UINT64_MAX; /* which the kernel takes for any */
		assert_int_equal(find_error(diag, &other), -ENOENT);
		assert_int_equal(diag_destroy(diag, &other.local, &other.peer, other.cookie),
				 -ENOENT);
		close_both(&tcp);
	}
	diag_free(diag);
}

/* The owner of a mapped socket may know the addresses of IPv4, and the other way round. */
static void ipv4_and_mapped_addresses_mean_the_same(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct side as_v4, as_mapped;
	struct tcp tcp;

	if (!open_kind(&tcp, 2)) {
		diag_free(diag);
		print_message("skipped: this machine has no IPv6\n");
		skip();
	}
	as_v4 = tcp.server;
	as_v4.local = tcp.client.peer;
	as_v4.peer = tcp.client.local;
	assert_int_equal(as_v4.local.ss_family, AF_INET);
	assert_int_equal(find(diag, &as_v4).local.ss_family, AF_INET6);
	as_mapped = tcp.client;
	as_mapped.local = tcp.server.peer;
	as_mapped.peer = tcp.server.local;
	assert_int_equal(as_mapped.local.ss_family, AF_INET6);
	assert_int_equal(find(diag, &as_mapped).local.ss_family, AF_INET);
	close_both(&tcp);
	diag_free(diag);
}

static void a_bound_device_is_asked_for_by_its_index(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	int index = (int)if_nametoindex("lo");
	struct sockaddr_in6 *in6;
	struct side mapped;
	struct tcp tcp;
	char text[64];

	assert_true(open_kind(&tcp, 0));
	if (setsockopt(tcp.server.fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) < 0) {
		close_both(&tcp);
		diag_free(diag);
		print_message("skipped: SO_BINDTODEVICE: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(find_error(diag, &tcp.server), -ENOENT);
	mapped = tcp.server;
	snprintf(text, sizeof(text), "::ffff:127.0.0.1");
	set_address(&mapped.local, AF_INET6, text,
		    ((struct sockaddr_in *)&tcp.server.local)->sin_port);
	set_address(&mapped.peer, AF_INET6, text,
		    ((struct sockaddr_in *)&tcp.server.peer)->sin_port);
	in6 = (struct sockaddr_in6 *)&mapped.local;
	in6->sin6_scope_id = (uint32_t)index;
	assert_int_equal(find(diag, &mapped).device, index);
	close_both(&tcp);
	diag_free(diag);
}

static void questions_that_cannot_be_asked(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct side side = { .cookie = 1 };

	assert_int_equal(find_error(diag, &side), -EAFNOSUPPORT);
	side.local.ss_family = side.peer.ss_family = AF_UNIX;
	assert_int_equal(find_error(diag, &side), -EAFNOSUPPORT);
	assert_int_equal(diag_destroy(diag, &side.local, &side.peer, 1), -EAFNOSUPPORT);
	side.local.ss_family = AF_INET;
	side.peer.ss_family = AF_INET6;
	assert_int_equal(find_error(diag, &side), -EINVAL);
	assert_int_equal(diag_dump(diag, AF_UNIX, ignore, NULL), -EAFNOSUPPORT);
	assert_int_equal(diag_dump(diag, 0, ignore, NULL), -EAFNOSUPPORT);
	diag_free(diag);
	assert_null(diag_free(NULL));
}

/* --- ending one ---------------------------------------------------------------------------- */

static void destroy_or_skip(struct diag *diag, struct tcp *tcp, const struct side *side)
{
	int r = diag_destroy(diag, &side->local, &side->peer, side->cookie);

	if (r == 0)
		return;
	close_both(tcp);
	diag_free(diag);
	if (r == -EOPNOTSUPP)
		print_message("skipped: this kernel has no CONFIG_INET_DIAG_DESTROY\n");
	else if (r == -EPERM)
		print_message("skipped: no CAP_NET_ADMIN\n");
	else
		fail_msg("diag_destroy: %s", strerror(-r));
	skip();
}

static void destroy_ends_a_socket_and_no_other(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct tcp tcp;
	char in[1];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && open_kind(&tcp, i); i++) {
		exchange(&tcp);
		destroy_or_skip(diag, &tcp, &tcp.server);
		assert_int_equal(recv(tcp.server.fd, in, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, ECONNABORTED);
		tcp_wait(tcp.client.fd);
		assert_int_equal(recv(tcp.client.fd, in, 1, 0), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(find_error(diag, &tcp.server), -ENOENT);
		assert_int_equal(diag_destroy(diag, &tcp.server.local, &tcp.server.peer,
					      tcp.server.cookie),
				 -ENOENT);
		if (diag_has_events(diag)) { /* told when its owner lets go of it */
			end = (struct wanted){ .cookie = tcp.server.cookie };
			close_side(&tcp.server);
			wait_end(diag, &end);
			check_counts(&end.socket, SENT_BY_CLIENT, SENT_BY_SERVER);
		}
		close_both(&tcp);

		assert_true(open_kind(&tcp, i));
		assert_int_equal(diag_destroy(diag, &tcp.server.local, &tcp.server.peer,
					      tcp.client.cookie),
				 -ENOENT);
		exchange(&tcp);
		close_both(&tcp);
	}
	diag_free(diag);
}

struct sweep {
	struct diag *diag;
	uint64_t cookie;
	int found, destroyed, dumped;
};

static void sweep_one(void *arg, const struct diag_socket *socket)
{
	struct diag_socket again;
	struct sweep *sweep = arg;

	if (socket->cookie != sweep->cookie)
		return;
	sweep->found =
		diag_find(sweep->diag, &socket->local, &socket->peer, socket->cookie, &again);
	sweep->dumped = diag_dump(sweep->diag, AF_INET, ignore, NULL);
	sweep->destroyed = diag_destroy(sweep->diag, &socket->local, &socket->peer, socket->cookie);
}

static void a_dump_may_ask_and_end_as_it_goes(void **state)
{
	struct sweep sweep = { .diag = diag_open(NULL, NULL), .found = 1, .destroyed = 1 };
	struct tcp tcp;

	assert_true(open_kind(&tcp, 0));
	sweep.cookie = tcp.server.cookie;
	assert_true(diag_dump(sweep.diag, AF_INET, sweep_one, &sweep) >= 2);
	assert_int_equal(sweep.found, 0);
	assert_int_equal(sweep.dumped, -EBUSY);
	assert_true(sweep.destroyed == 0 || sweep.destroyed == -EPERM ||
		    sweep.destroyed == -EOPNOTSUPP);
	assert_true(diag_dump(sweep.diag, AF_INET, ignore, NULL) >= 0);
	close_both(&tcp);
	diag_free(sweep.diag);
}

/* What fails is the exit status: a child of cmocka cannot assert. */
static int without_privileges(const struct tcp *tcp)
{
	const struct side *side = &tcp->server;
	struct wanted wanted = { .cookie = side->cookie };
	struct diag_socket socket;
	struct diag *diag;
	int r;

	if (geteuid() == 0 && setuid(NOBODY) < 0)
		return 1;
	if (diag_new(&diag, want, &wanted) < 0)
		return 2;
	if (diag_has_events(diag) != (diag_fd(diag) >= 0))
		return 3;
	if (diag_find(diag, &side->local, &side->peer, side->cookie, &socket) < 0 ||
	    socket.bytes_in < SENT_BY_CLIENT)
		return 4;
	if (diag_dump(diag, AF_INET, want, &wanted) < 0 || !wanted.seen)
		return 5;
	r = diag_destroy(diag, &side->local, &side->peer, side->cookie);
	if (r != -EPERM && r != -EOPNOTSUPP)
		return 6;
	if (diag_dispatch(diag) < 0)
		return 7;
	diag_free(diag);
	return 0;
}

static void without_privileges_one_looks_but_does_not_touch(void **state)
{
	struct tcp tcp;
	int status;
	pid_t pid;

	diag_free(diag_open(NULL, NULL));
	assert_true(open_kind(&tcp, 0));
	exchange(&tcp);
	pid = fork();
	if (pid == 0)
		_exit(without_privileges(&tcp));
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	exchange(&tcp);
	close_both(&tcp);
}

/* --- kernel TLS ---------------------------------------------------------------------------- */

static uint64_t check_tls(struct diag *diag, const struct sluice_conn *conn)
{
	struct side side = { .fd = sluice_conn_fd(conn) };
	struct kabi_crypto_info info;
	struct diag_socket socket;
	socklen_t len;
	int dir;

	look_at(&side);
	socket = find(diag, &side);
	assert_true(socket.has_tls);
	for (dir = KABI_TX; dir <= KABI_RX; dir++) {
		len = sizeof(info); /* the head alone: without the keys */
		assert_int_equal(getsockopt(side.fd, KABI_SOL_TLS, dir, &info, &len), 0);
		assert_int_equal(socket.tls_version, info.version);
		assert_int_equal(socket.tls_cipher, info.cipher);
	}
	assert_int_equal(socket.tls_tx, 2);
	assert_int_equal(socket.tls_rx, 2);
	assert_true(socket.bytes_in > 100000);
	assert_true(socket.bytes_out > 100000);
	return socket.cookie;
}

static void kernel_tls_is_told_with_version_and_cipher(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct side side;
	struct pair pair;

	if (!pair_path(1) || geteuid() != 0) {
		diag_free(diag);
		print_message("skipped: %s\n",
			      pair_path(1) ? "not every kernel tells it without CAP_NET_ADMIN"
					   : "this kernel has no TLS");
		skip();
	}
	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .path = "kernel", .versions = version });
		assert_int_equal(pair_connect(&pair), 0);
		pair_exchange(&pair, 100000);
		check_tls(diag, pair.client);
		end = (struct wanted){ .cookie = check_tls(diag, pair.server) };
		pair_close(&pair);
		if (diag_has_events(diag)) {
			wait_end(diag, &end);
			assert_true(end.socket.bytes_in > 100000);
			assert_true(end.socket.bytes_out > 100000);
		}

		pair_open(&pair, &(struct pair_setup){ .path = "user", .versions = version });
		assert_int_equal(pair_connect(&pair), 0);
		side.fd = sluice_conn_fd(pair.client);
		look_at(&side);
		assert_false(find(diag, &side).has_tls);
		pair_close(&pair);
	}
	diag_free(diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dump_has_both_ends),
		cmocka_unit_test(a_dump_has_more_than_one_batch),
		cmocka_unit_test(a_dump_leaves_out_what_listens_and_what_has_ended),
		cmocka_unit_test(one_is_found_by_addresses_and_cookie),
		cmocka_unit_test(ipv4_and_mapped_addresses_mean_the_same),
		cmocka_unit_test(a_bound_device_is_asked_for_by_its_index),
		cmocka_unit_test(questions_that_cannot_be_asked),
		cmocka_unit_test(destroy_ends_a_socket_and_no_other),
		cmocka_unit_test(a_dump_may_ask_and_end_as_it_goes),
		cmocka_unit_test(without_privileges_one_looks_but_does_not_touch),
		cmocka_unit_test(kernel_tls_is_told_with_version_and_cipher),
	};

	return cmocka_run_group_tests_name("flow/diag", tests, leaks_setup, leaks_teardown);
}
