/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every system call of a connection's life fails once, at every place where it is made: nothing
 * crashes, hangs or is left behind, what is reported has a name, the next connection works; and an
 * interrupt is never seen at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/cycle.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MAX_ERRS 4

static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };

/*
 * What each call of the cycle can fail with (its manual page); of the clocks it is the seconds that
 * they jump ahead. @always: it is there in every cycle, so a table that never hits it is wrong.
 */
static const struct row {
	const char *call;
	int errs[MAX_ERRS];
	bool always;
} rows[] = {
	{ "socket", { EMFILE, ENFILE, ENOBUFS, ENOMEM } },
	{ "bind", { EADDRINUSE } },
	{ "listen", { EADDRINUSE } },
	{ "accept4", { EMFILE, ENFILE, ENOBUFS, ECONNABORTED } },
	{ "connect", { ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL } },
	{ "setsockopt", { ENOBUFS, ENOMEM, EINVAL } },
	{ "getsockopt", { ENOBUFS } },
	{ "getsockname", { ENOBUFS } },
	{ "getpeername", { ENOTCONN } },
	{ "fcntl", { EBADF } },
	{ "recvmsg", { ECONNRESET, ENOMEM, ETIMEDOUT }, true },
	{ "sendmsg", { ECONNRESET, EPIPE, ENOBUFS }, true },
	{ "sendfile", { EIO, ENOMEM } },
	{ "pread", { EIO } },
	{ "poll", { ENOMEM }, true },
	{ "shutdown", { ENOTCONN }, true },
	{ "close", { EIO, EINTR }, true },
	{ "mmap", { ENOMEM } },
	{ "munmap", { EINVAL } },
	{ "mlock", { ENOMEM, EPERM } },
	{ "madvise", { ENOMEM } },
	{ "now_us", { 3600 }, true },
	{ "wall_s", { 3600 }, true },
};

/* Those that a signal can interrupt, of which nothing may be seen. */
static const char *const interruptible[] = { "accept4", "recvmsg", "sendmsg", "sendfile",
					     "pread",   "poll",    "close" };

/* Fails the 1st, 2nd, … call until there is none left to fail. */
static unsigned int fail_each(struct cycle *cycle, const char *call, int err, bool must_work)
{
	unsigned int nth;

	for (nth = 1;; nth++) {
		fault_reset();
		fault_arm(call, nth, err);
		cycle_run(cycle);
		if (!fault_hits(call)) {
			cycle_check(cycle, true);
			return nth - 1;
		}
		cycle_check(cycle, must_work);
		fault_reset();
		cycle_run(cycle);
		cycle_check(cycle, true);
	}
}

static void fail_every_call(struct cycle *cycle)
{
	unsigned int hits;
	size_t i, e;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		for (e = 0; e < MAX_ERRS && rows[i].errs[e]; e++) {
			hits = fail_each(cycle, rows[i].call, rows[i].errs[e], false);
			if (rows[i].always)
				assert_true(hits > 0);
		}
	}
}

static void AL_07_every_call_of_a_connection_may_fail(void **state)
{
	struct cycle cycle;
	size_t v;

	fault_install();
	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			cycle_open(&cycle, path, versions[v]);
			fail_every_call(&cycle);
			cycle_close(&cycle);
		}
	}
	fault_uninstall();
}

static void AL_07_every_call_of_an_upgrade_may_fail(void **state)
{
	struct cycle cycle;

	fault_install();
	PAIR_FOR_EACH_PATH(path)
	{
		cycle_open(&cycle, path, versions[0]);
		cycle.by_fd = true;
		fail_every_call(&cycle);
		cycle_close(&cycle);
	}
	fault_uninstall();
}

static void interrupts_are_never_seen(void **state)
{
	struct cycle cycle;
	size_t i, v;

	fault_install();
	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < ARRAY_SIZE(versions); v++) {
			cycle_open(&cycle, path, versions[v]);
			for (i = 0; i < ARRAY_SIZE(interruptible); i++)
				fail_each(&cycle, interruptible[i], EINTR, true);
			cycle_close(&cycle);
		}
	}
	fault_uninstall();
}

/* connect(2): an interrupted one goes on; the table of faults would not have begun it. */
static int interrupted_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int r = sys_real.connect(fd, addr, len);

	if (r == 0 || errno == EINPROGRESS) {
		errno = EINTR;
		return -1;
	}
	return r;
}

static void an_interrupted_connect_goes_on(void **state)
{
	static struct sys_ops table;
	struct cycle cycle;

	table = sys_real;
	table.connect = interrupted_connect;
	cycle_open(&cycle, "user", versions[0]);
	sys = &table;
	cycle_run(&cycle);
	sys = &sys_real;
	cycle_check(&cycle, true);
	cycle_close(&cycle);
}

/* Short counts everywhere: a few bytes at a time are a connection, too. */
static void short_counts_are_no_errors(void **state)
{
	static const size_t limits[] = { 7, 1000 };
	static const char *const calls[] = { "recvmsg", "sendmsg", "sendfile", "pread" };
	struct cycle cycle;
	size_t i, l;

	fault_install();
	cycle_open(&cycle, "user", versions[0]);
	for (l = 0; l < ARRAY_SIZE(limits); l++) {
		fault_reset();
		for (i = 0; i < ARRAY_SIZE(calls); i++)
			fault_limit(calls[i], limits[l]);
		cycle_run(&cycle);
		cycle_check(&cycle, true);
	}
	cycle_close(&cycle);
	fault_uninstall();
}

/* A machine without descriptors for a while: when it has some again, everything works. */
static void no_descriptors_for_a_while(void **state)
{
	static const char *const calls[] = { "socket", "accept4" };
	struct cycle cycle;
	size_t i;

	fault_install();
	cycle_open(&cycle, "user", versions[0]);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		fault_reset();
		fault_arm_from(calls[i], 1, EMFILE);
		assert_false(cycle_run(&cycle));
		cycle_check(&cycle, false);
		assert_int_equal(cycle.server, -SLUICE_E_NOFILE);
		fault_reset();
		cycle_run(&cycle);
		cycle_check(&cycle, true);
	}
	cycle_close(&cycle);
	fault_uninstall();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(AL_07_every_call_of_a_connection_may_fail),
		cmocka_unit_test(AL_07_every_call_of_an_upgrade_may_fail),
		cmocka_unit_test(interrupts_are_never_seen),
		cmocka_unit_test(an_interrupted_connect_goes_on),
		cmocka_unit_test(short_counts_are_no_errors),
		cmocka_unit_test(no_descriptors_for_a_while),
	};

	return cmocka_run_group_tests_name("flow/faults", tests, leaks_setup, leaks_teardown);
}
