/* SPDX-License-Identifier: Apache-2.0 */
/* diag/diag.h when system calls fail, are interrupted, or the kernel does not answer in one piece. */
#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "core/sys.h"
#include "diag/diag.h"
#include "support/diag_world.h"
#include "support/fault.h"
#include "support/leaks.h"

/* Everything once. Returns the first error. */
static int do_everything(const struct side *side, struct wanted *wanted)
{
	struct diag_socket socket;
	struct diag *diag;
	int r;

	r = diag_new(&diag, want, wanted);
	if (r < 0)
		return r;
	r = diag_dump(diag, AF_INET, want, wanted);
	if (r >= 0)
		r = diag_find(diag, &side->local, &side->peer, side->cookie, &socket);
	if (r >= 0)
		r = diag_dispatch(diag);
	diag_free(diag);
	return r;
}

static void every_call_may_fail(void **state)
{
	static const char *const calls[] = { "socket", "sendmsg", "recvmsg" };
	struct wanted wanted = { 0 };
	unsigned int nth, failed;
	struct tcp tcp;
	size_t i;
	int fds, r;

	diag_free(diag_open(NULL, NULL));
	assert_true(open_kind(&tcp, 0));
	fds = fault_open_fds();
	fault_install();
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		for (nth = 1, failed = 0;; nth++) {
			fault_reset();
			fault_arm(calls[i], nth, ENOMEM);
			r = do_everything(&tcp.client, &wanted);
			assert_int_equal(fault_open_fds(), fds);
			if (!fault_hits(calls[i]))
				break;
			assert_true(r == -ENOMEM || r >= 0); /* without events one goes on */
			failed += r < 0;
		}
		assert_true(r >= 0);
		assert_true(failed >= 2);
	}
	fault_uninstall();
	close_both(&tcp);
}

static void interrupted_calls_are_made_again(void **state)
{
	static const char *const calls[] = { "sendmsg", "recvmsg" };
	struct wanted wanted = { 0 };
	struct tcp tcp;
	unsigned int nth;
	size_t i;

	diag_free(diag_open(NULL, NULL));
	assert_true(open_kind(&tcp, 0));
	fault_install();
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		for (nth = 1;; nth++) {
			fault_reset();
			fault_arm(calls[i], nth, EINTR);
			assert_true(do_everything(&tcp.client, &wanted) >= 0);
			if (!fault_hits(calls[i]))
				break;
		}
		assert_true(nth > 3);
	}
	fault_uninstall();
	close_both(&tcp);
}

/* An error may leave replies behind, which the next question must not take for its own. */
static void after_a_failure_the_next_question_is_answered(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct tcp tcp;
	int i;

	assert_true(open_kind(&tcp, 0));
	fault_install();
	for (i = 0; i < 3; i++) {
		struct wanted wanted = { .cookie = tcp.client.cookie };

		fault_reset();
		fault_arm("recvmsg", 1, EIO);
		assert_int_equal(find_error(diag, &tcp.client), -EIO);
		find(diag, &tcp.server);
		fault_arm("recvmsg", 1, ENOBUFS);
		assert_int_equal(diag_dump(diag, AF_INET, want, &wanted), -ENOBUFS);
		assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 2);
		assert_in_range(wanted.seen, 1, 4);
	}

	/* Nor does it need the old socket. */
	fault_arm("recvmsg", 1, EIO);
	assert_int_equal(diag_dump(diag, AF_INET, want, &(struct wanted){ 0 }), -EIO);
	fault_arm("socket", 1, EMFILE);
	assert_int_equal(diag_dump(diag, AF_INET, want, &(struct wanted){ 0 }), -EMFILE);
	assert_true(diag_dump(diag, AF_INET, want, &(struct wanted){ 0 }) >= 2);
	fault_uninstall();
	close_both(&tcp);
	diag_free(diag);
}

static void without_the_groups_one_polls(void **state)
{
	struct wanted wanted = { 0 };
	struct diag *diag;
	unsigned int nth, calls;
	struct tcp tcp;
	int fds;

	diag_free(diag_open(NULL, NULL));
	assert_true(open_kind(&tcp, 0));
	fds = fault_open_fds();
	fault_install();
	diag_free(diag_open(want, &wanted));
	calls = fault_count("setsockopt"); /* the last two join the groups, the others make room */
	for (nth = calls - 1; nth <= calls; nth++) {
		fault_reset();
		fault_arm("setsockopt", nth, EPERM);
		assert_int_equal(diag_new(&diag, want, &wanted), 0);
		assert_int_equal(fault_hits("setsockopt"), 1);
		assert_false(diag_has_events(diag));
		assert_int_equal(diag_fd(diag), -1);
		assert_int_equal(diag_dispatch(diag), 0);
		find(diag, &tcp.client);
		diag_free(diag);
		assert_int_equal(fault_open_fds(), fds);
	}

	fault_reset();
	fault_arm("bind", 1, ENOMEM);
	assert_int_equal(diag_new(&diag, want, &wanted), 0);
	assert_false(diag_has_events(diag));
	diag_free(diag);

	/* Less room is no reason. */
	fault_reset();
	fault_arm("setsockopt", 1, EPERM);
	diag = diag_open(want, &wanted);
	assert_int_equal(fault_count("setsockopt"), 4);
	assert_true(diag_has_events(diag));
	diag_free(diag);
	fault_uninstall();
	close_both(&tcp);
}

static void an_overrun_comes_after_what_was_kept(void **state)
{
	struct wanted end = { 0 };
	struct diag *diag = diag_open(want, &end);
	struct pollfd pfd = { .fd = diag_fd(diag), .events = POLLIN };
	struct tcp tcp;

	skip_without(diag);
	assert_true(open_kind(&tcp, 0));
	while (diag_dispatch(diag) > 0)
		;
	end.cookie = tcp.client.cookie;
	reset_side(&tcp.client);
	fault_install();
	while (!end.seen) { /* others' ends may come first */
		assert_int_equal(poll(&pfd, 1, TCP_WAIT_MS), 1);
		fault_arm("recvmsg", 1, ENOBUFS);
		assert_int_equal(diag_dispatch(diag), -ENOBUFS);
	}
	fault_uninstall();
	close_both(&tcp);
	diag_free(diag);
}

/* --- answers ------------------------------------------------------------------------------- */

static int interrupt_left; /* replies still to be marked */

static ssize_t mark_interrupted(int fd, struct msghdr *msg, int flags)
{
	struct nlmsghdr *head = msg->msg_iov[0].iov_base;
	ssize_t n = sys_real.recvmsg(fd, msg, flags);

	if (n > 0 && interrupt_left > 0) {
		head->nlmsg_flags |= NLM_F_DUMP_INTR;
		interrupt_left--;
	}
	return n;
}

static void a_dump_that_changed_meanwhile_is_made_again(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct sys_ops table = sys_real;
	struct wanted wanted = { 0 };
	struct tcp tcp;

	assert_true(open_kind(&tcp, 0));
	wanted.cookie = tcp.client.cookie;
	assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 2);
	table.recvmsg = mark_interrupted;
	sys = &table;
	interrupt_left = 1;
	wanted.seen = 0;
	assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 2);
	assert_in_range(wanted.seen, 2, 4);
	interrupt_left = 1000000;
	wanted.seen = 0;
	assert_int_equal(diag_dump(diag, AF_INET, want, &wanted), -EINTR);
	assert_in_range(wanted.seen, 2, 10);
	sys = &sys_real;
	assert_true(diag_dump(diag, AF_INET, want, &wanted) >= 2);
	close_both(&tcp);
	diag_free(diag);
}

static uint64_t silent_us;

static uint64_t silent_now(void)
{
	return silent_us;
}

static ssize_t silent_recvmsg(int fd, struct msghdr *msg, int flags)
{
	errno = EAGAIN;
	return -1;
}

/* Interrupted all the time, too: that must not make it longer. */
static int silent_poll(struct pollfd *fds, nfds_t n_fds, int timeout_ms)
{
	assert_in_range(timeout_ms, 1, 60000);
	silent_us += 1000;
	errno = EINTR;
	return -1;
}

static void a_kernel_that_does_not_answer_is_not_waited_for(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct sys_ops table = sys_real;
	struct diag *other;
	struct tcp tcp;

	assert_true(open_kind(&tcp, 0));
	table.now_us = silent_now;
	table.recvmsg = silent_recvmsg;
	table.poll = silent_poll;
	sys = &table;
	assert_int_equal(find_error(diag, &tcp.client), -ETIMEDOUT);
	assert_int_equal(diag_dump(diag, AF_INET, want, &(struct wanted){ 0 }), -ETIMEDOUT);
	assert_int_equal(diag_new(&other, NULL, NULL), -ETIMEDOUT);
	assert_in_range(silent_us, 3000000, 60000000);
	sys = &sys_real;
	find(diag, &tcp.client);
	assert_true(diag_dump(diag, AF_INET, want, &(struct wanted){ 0 }) >= 2);
	close_both(&tcp);
	diag_free(diag);
}

static enum {
	FORGED_CUT,
	FORGED_SENDER,
	FORGED_SEQ,
	FORGED_TYPE,
	FORGED_ATTR,
	FORGED_SHORT
} forged;

/* The next reply is not what the kernel sent; those after it are. */
static ssize_t forge(int fd, struct msghdr *msg, int flags)
{
	struct nlmsghdr *head = msg->msg_iov[0].iov_base;
	ssize_t n = sys_real.recvmsg(fd, msg, flags);
	uint16_t len = 0xffff;

	sys = &sys_real;
	switch (forged) {
	case FORGED_CUT:
		msg->msg_flags |= MSG_TRUNC;
		break;
	case FORGED_SENDER:
		((struct sockaddr_nl *)msg->msg_name)->nl_pid = 1;
		break;
	case FORGED_SEQ:
		head->nlmsg_seq += 1000;
		break;
	case FORGED_TYPE:
		head->nlmsg_type = 4711;
		break;
	case FORGED_ATTR:
		memcpy((char *)head + NLMSG_HDRLEN + 72, &len, sizeof(len));
		break;
	case FORGED_SHORT:
		n = NLMSG_HDRLEN - 1;
		break;
	}
	return n;
}

static int find_forged(struct diag *diag, const struct side *side, int how)
{
	struct sys_ops table = sys_real;
	struct diag_socket socket;
	int r;

	table.recvmsg = forge;
	forged = how;
	sys = &table;
	r = diag_find(diag, &side->local, &side->peer, side->cookie, &socket);
	sys = &sys_real;
	return r;
}

static void what_is_no_answer_is_not_taken_for_one(void **state)
{
	struct diag *diag = diag_open(NULL, NULL);
	struct tcp tcp;

	assert_true(open_kind(&tcp, 0));
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_CUT), -EMSGSIZE);
	find(diag, &tcp.client); /* takes what is left of it */
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_TYPE), -EBADMSG);
	find(diag, &tcp.client);
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_ATTR), -EBADMSG);
	find(diag, &tcp.client);
	/* The acknowledgement follows, and without a socket it says that there was none. */
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_SENDER), -ENOENT);
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_SEQ), -ENOENT);
	assert_int_equal(find_forged(diag, &tcp.client, FORGED_SHORT), -ENOENT);
	find(diag, &tcp.client);
	close_both(&tcp);
	diag_free(diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_call_may_fail),
		cmocka_unit_test(interrupted_calls_are_made_again),
		cmocka_unit_test(after_a_failure_the_next_question_is_answered),
		cmocka_unit_test(without_the_groups_one_polls),
		cmocka_unit_test(an_overrun_comes_after_what_was_kept),
		cmocka_unit_test(a_dump_that_changed_meanwhile_is_made_again),
		cmocka_unit_test(a_kernel_that_does_not_answer_is_not_waited_for),
		cmocka_unit_test(what_is_no_answer_is_not_taken_for_one),
	};

	return cmocka_run_group_tests_name("flow/diag_faults", tests, leaks_setup, leaks_teardown);
}
