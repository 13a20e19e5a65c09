/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates judged by threads of the root object: who is told, what waits and for how long, and what
 * is left of a connection that ends meanwhile. A cache of CRLs that waits makes a judgement take as long
 * as a test wants.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sluice/crl.h>

#include "conn/conn.h"
#include "core/pool.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"
#include "tls/control.h"

#define RUN_MS 20000
#define SECOND 1000000ull

/* struct gate - what the judgement of a chain goes through. */
static struct {
	bool hold;
	sem_t entered, go;
	pthread_t by; /* who judged last */
	sigset_t mask;
	pthread_t asked_by; /* who called the program's function */
	atomic_uint n_asked;
} through;

static int select_slowly(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
			 struct sluice_crl_found *found)
{
	through.by = pthread_self();
	pthread_sigmask(SIG_BLOCK, NULL, &through.mask);
	if (through.hold) {
		sem_post(&through.entered);
		while (sem_wait(&through.go))
			;
	}
	return SLUICE_CRL_NOT_AVAILABLE;
}

static const struct sluice_crl_cache_ops slow_ops = {
	.size = sizeof(slow_ops),
	.select = select_slowly,
};

static int match_name(void *arg, const char *name, int kind, const void *presented, size_t len)
{
	through.asked_by = pthread_self();
	atomic_fetch_add(&through.n_asked, 1);
	return -1;
}

static const struct sluice_hostname_check check = { .match = match_name };

static int hear(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		int *reason)
{
	through.asked_by = pthread_self();
	atomic_fetch_add(&through.n_asked, 1);
	return SLUICE_VRET_VALID;
}

/* What a verifying end gets besides: @role has it. */
struct wants {
	enum sluice_role role;
	bool verify_fun;
};

static void set_slow(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct wants *wants = arg;

	if (role != wants->role)
		return;
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CRL_CHECK, "best_effort", NULL), 0);
	assert_int_equal(sluice_options_set_crl_cache(opts, &slow_ops, NULL, NULL, NULL), 0);
	if (role == SLUICE_CLIENT)
		assert_int_equal(sluice_options_set_hostname_check(opts, &check), 0);
	if (wants->verify_fun)
		assert_int_equal(sluice_options_set_verify_fun(opts, hear, NULL, NULL), 0);
}

static void open_slow(struct pair *pair, struct wants *wants, struct pair_setup setup)
{
	through.hold = false;
	atomic_store(&through.n_asked, 0);
	assert_int_equal(sem_init(&through.entered, 0, 0), 0);
	assert_int_equal(sem_init(&through.go, 0, 0), 0);
	setup.set = set_slow;
	setup.arg = wants;
	pair_open(pair, &setup);
}

static void wait_entered(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += RUN_MS / 1000;
	assert_int_equal(sem_timedwait(&through.entered, &until), 0);
}

/* Lets the certificate that is held, and all that follow, go on. Two are looked up in each path. */
static void let_go(void)
{
	int i;

	for (i = 0; i < 64; i++)
		sem_post(&through.go);
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) == 1;
}

/* Runs a pair by dispatch until the client's peer is being judged. */
static void run_to_judgement(struct pair *pair)
{
	through.hold = true;
	pair_start(pair, NULL);
	while (check_info(pair->client).stage != SLUICE_STAGE_VERIFY) {
		pair->client_result = sluice_conn_dispatch(pair->client);
		pair->server_result = sluice_conn_dispatch(pair->server);
		assert_int_equal(pair->client_result, -SLUICE_E_AGAIN);
	}
	wait_entered();
	assert_int_equal(sluice_conn_dispatch(pair->client), -SLUICE_E_AGAIN);
	assert_int_equal(sluice_conn_events(pair->client), 0);
}

/* Goes on by the descriptor alone. */
static void run_when_ready(struct pair *pair, int fd)
{
	while (pair->client_result == -SLUICE_E_AGAIN || pair->server_result == -SLUICE_E_AGAIN) {
		while (sluice_ready(pair->sluice))
			;
		pair->client_result = sluice_conn_dispatch(pair->client);
		pair->server_result = sluice_conn_dispatch(pair->server);
		if (pair->client_result == -SLUICE_E_AGAIN && !sluice_conn_events(pair->client))
			assert_true(is_readable(fd, RUN_MS));
	}
}

/* --- event loops --------------------------------------------------------------------------- */

static void an_event_loop_is_told_by_a_descriptor(void **state)
{
	struct wants wants = { SLUICE_CLIENT, true };
	struct pair pair;
	int fd;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_slow(&pair, &wants, (struct pair_setup){ .versions = version });
		fd = sluice_ready_fd(pair.sluice);
		assert_true(fd >= 0);
		assert_int_equal(sluice_ready_fd(pair.sluice), fd);
		run_to_judgement(&pair);
		assert_false(is_readable(fd, 0));
		assert_null(sluice_ready(pair.sluice));
		assert_in_range(sluice_conn_timeout(pair.client), 1, 10000);
		let_go();
		assert_true(is_readable(fd, RUN_MS));
		assert_ptr_equal(sluice_ready(pair.sluice), pair.client);
		assert_null(sluice_ready(pair.sluice));
		assert_false(is_readable(fd, 0));
		run_when_ready(&pair, fd);
		assert_int_equal(pair.client_result, 0);
		assert_true(check_info(pair.client).peer_verified);
		/* Judged elsewhere; the functions of the program were called here. */
		assert_false(pthread_equal(through.by, pthread_self()));
		assert_true(atomic_load(&through.n_asked) > 1);
		assert_true(pthread_equal(through.asked_by, pthread_self()));
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* Nobody would tell a program that has not asked for the descriptor. */
static void without_the_descriptor_dispatch_judges(void **state)
{
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair;

	fault_install();
	open_slow(&pair, &wants, (struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	assert_true(pthread_equal(through.by, pthread_self()));
	assert_int_equal(fault_count("pthread_create"), 0);
	pair_drop(&pair);
	/* Nor does one that wants no threads get any. */
	assert_int_equal(sluice_set_verify_threads(pair.sluice, 0), 0);
	assert_true(sluice_ready_fd(pair.sluice) >= 0);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(fault_count("pthread_create"), 0);
	pair_drop(&pair);
	/* The first chain starts the first one, and then their number stands. */
	assert_int_equal(sluice_set_verify_threads(pair.sluice, 65), -SLUICE_E_INVALID);
	assert_int_equal(sluice_set_verify_threads(pair.sluice, 2), 0);
	pair_start(&pair, NULL);
	run_when_ready(&pair, sluice_ready_fd(pair.sluice));
	assert_int_equal(pair.client_result, 0);
	assert_int_equal(fault_count("pthread_create"), 1);
	assert_int_equal(sluice_set_verify_threads(pair.sluice, 1), -SLUICE_E_STATE);
	pair_close(&pair);
	fault_uninstall();
}

static void signals_are_not_for_the_threads(void **state)
{
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair;

	open_slow(&pair, &wants, (struct pair_setup){ 0 });
	sluice_ready_fd(pair.sluice);
	pair_start(&pair, NULL);
	run_when_ready(&pair, sluice_ready_fd(pair.sluice));
	assert_int_equal(pair.client_result, 0);
	assert_true(sigismember(&through.mask, SIGTERM));
	assert_true(sigismember(&through.mask, SIGCHLD));
	assert_false(sigismember(&through.mask, SIGSEGV));
	pthread_sigmask(SIG_BLOCK, NULL, &through.mask);
	assert_false(
		sigismember(&through.mask, SIGTERM)); /* those of the program's are as they were */
	pair_close(&pair);
}

/* --- ends while a chain is judged ---------------------------------------------------------- */

enum ending { BY_CLOSE, BY_CANCEL, BY_ABORT, BY_TIME, BY_PEER, ENDINGS };

static void end_by(struct pair *pair, enum ending ending)
{
	struct linger reset = { .l_onoff = 1 };
	struct sluice_error err;

	switch (ending) {
	case BY_CANCEL:
		assert_int_equal(sluice_handshake_cancel(pair->client), 0);
		check_error(pair->client, SLUICE_E_HANDSHAKE,
			    ALERT_SENT(SLUICE_ALERT_USER_CANCELED));
		assert_int_equal(sluice_handshake_cancel(pair->client), -SLUICE_E_STATE);
		break;
	case BY_ABORT:
		assert_int_equal(sluice_abort(pair->client, SLUICE_ALERT_ACCESS_DENIED), 0);
		check_error(pair->client, SLUICE_E_POLICY, ALERT_SENT(SLUICE_ALERT_ACCESS_DENIED));
		break;
	case BY_TIME:
		fault_advance_us(60 * SECOND);
		assert_int_equal(sluice_conn_dispatch(pair->client), -SLUICE_E_HANDSHAKE_TIMEOUT);
		sluice_conn_error(pair->client, &err, sizeof(err));
		assert_non_null(strstr(err.text, "not judged in time"));
		break;
	case BY_PEER:
		setsockopt(sluice_conn_fd(pair->server), SOL_SOCKET, SO_LINGER, &reset,
			   sizeof(reset));
		conn_free(pair->server);
		pair->server = NULL;
		assert_true(is_readable(sluice_conn_fd(pair->client), RUN_MS));
		assert_int_equal(sluice_conn_dispatch(pair->client), -SLUICE_E_RESET);
		break;
	default:
		break;
	}
	sluice_close(pair->client);
	pair->client = NULL;
}

static void an_end_meanwhile_leaves_nothing(void **state)
{
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair;
	int ending, later;

	fault_install();
	for (ending = 0; ending < ENDINGS; ending++) {
		for (later = 0; later < 2; later++) {
			fault_reset();
			open_slow(&pair, &wants, (struct pair_setup){ 0 });
			sluice_ready_fd(pair.sluice);
			run_to_judgement(&pair);
			if (later) /* what is judged and not fetched goes as well */
				let_go();
			if (later)
				assert_true(is_readable(sluice_ready_fd(pair.sluice), RUN_MS));
			if (later && ending == BY_PEER) {
				pair_drop(&pair);
			} else if (later && (ending == BY_TIME)) {
				sluice_close(pair.client);
				pair.client = NULL;
			} else {
				end_by(&pair, (enum ending)ending);
			}
			assert_null(sluice_ready(pair.sluice));
			assert_false(is_readable(sluice_ready_fd(pair.sluice), 0));
			let_go();
			pair_close(&pair); /* waits for the thread */
		}
	}
	fault_uninstall();
}

/* --- calls that wait ----------------------------------------------------------------------- */

struct dialer {
	struct pair *pair;
	pthread_t thread;
	int result;
};

static void *dial(void *arg)
{
	struct dialer *dialer = arg;
	struct pair *pair = dialer->pair;

	dialer->result = sluice_connect(pair->sluice, pair->host,
					sluice_listener_port(pair->listener), pair->client_profile,
					NULL, RUN_MS, &pair->client, NULL);
	return NULL;
}

static void open_server(struct pair *pair, struct wants *wants)
{
	const struct certs *c = certs_get();
	char server[600], client[600];

	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s\n", c->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", c->client, c->client_key);
	open_slow(pair, wants,
		  (struct pair_setup){ .server_options = server, .client_options = client });
}

static void a_call_that_waits_has_its_own_time(void **state)
{
	struct wants wants = { SLUICE_SERVER };
	struct dialer dialer;
	struct pair pair;

	open_server(&pair, &wants);
	through.hold = true;
	dialer = (struct dialer){ .pair = &pair };
	assert_int_equal(pthread_create(&dialer.thread, NULL, dial, &dialer), 0);
	assert_int_equal(sluice_transport_accept(pair.listener, RUN_MS, &pair.server), 0);
	do {
		pair.server_result = sluice_handshake(pair.server, NULL, 20);
		assert_int_equal(pair.server_result, -SLUICE_E_TIMEOUT);
	} while (check_info(pair.server).stage != SLUICE_STAGE_VERIFY);
	wait_entered();
	assert_int_equal(sluice_handshake(pair.server, NULL, 20), -SLUICE_E_TIMEOUT);
	let_go();
	assert_int_equal(sluice_handshake(pair.server, NULL, RUN_MS), 0);
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.result, 0);
	assert_true(check_info(pair.server).peer_verified);
	assert_false(pthread_equal(through.by, pthread_self()));
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

/* An event loop that never asked for the descriptor goes on with what such a call has begun. */
static void dispatch_finishes_what_a_call_that_waits_began(void **state)
{
	struct wants wants = { SLUICE_SERVER };
	struct dialer dialer;
	struct pair pair;

	open_server(&pair, &wants);
	through.hold = true;
	dialer = (struct dialer){ .pair = &pair };
	assert_int_equal(pthread_create(&dialer.thread, NULL, dial, &dialer), 0);
	assert_int_equal(sluice_transport_accept(pair.listener, RUN_MS, &pair.server), 0);
	do {
		pair.server_result = sluice_handshake(pair.server, NULL, 20);
	} while (check_info(pair.server).stage != SLUICE_STAGE_VERIFY);
	wait_entered();
	let_go();
	while ((pair.server_result = sluice_conn_dispatch(pair.server)) == -SLUICE_E_AGAIN)
		;
	assert_int_equal(pair.server_result, 0);
	pthread_join(dialer.thread, NULL);
	assert_int_equal(dialer.result, 0);
	pair_close(&pair);
}

/* --- weather ------------------------------------------------------------------------------- */

static void run_nothing(struct pool_job *job)
{
}

static void free_nothing(struct pool_job *job)
{
}

/* Whoever comes when too much waits is told so at once, and the rest are not disturbed. */
static void a_full_queue_refuses(void **state)
{
	static struct pool_job jobs[POOL_MAX_SHORT];
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair, other;
	size_t i;

	open_slow(&pair, &wants, (struct pair_setup){ 0 });
	assert_int_equal(sluice_set_verify_threads(pair.sluice, 1), 0);
	sluice_ready_fd(pair.sluice);
	run_to_judgement(&pair);
	for (i = 0; i < POOL_MAX_SHORT; i++) {
		jobs[i] = (struct pool_job){ .run = run_nothing, .free = free_nothing };
		assert_int_equal(pool_submit(pair.sluice->pool, &jobs[i]), 0);
	}
	other = pair;
	other.server = other.client = NULL;
	assert_int_equal(pair_connect(&other), -SLUICE_E_ALERT);
	check_refused(&other, SLUICE_CLIENT, SLUICE_E_BUSY, SLUICE_ALERT_INTERNAL_ERROR);
	pair_drop(&other);
	for (i = 0; i < POOL_MAX_SHORT; i++)
		pool_drop(pair.sluice->pool, &jobs[i]);
	let_go();
	run_when_ready(&pair, sluice_ready_fd(pair.sluice));
	assert_int_equal(pair.client_result, 0);
	pair_close(&pair);
}

static void without_threads_or_descriptors(void **state)
{
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair;

	fault_install();
	open_slow(&pair, &wants, (struct pair_setup){ 0 });
	fault_arm("eventfd", 1, EMFILE);
	assert_int_equal(sluice_ready_fd(pair.sluice), -SLUICE_E_NOFILE);
	assert_true(sluice_ready_fd(pair.sluice) >= 0);
	fault_arm_from("pthread_create", 1, EAGAIN);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(fault_hits("pthread_create"), 1);
	assert_true(pthread_equal(through.by, pthread_self()));
	pair_close(&pair);
	fault_uninstall();
}

/* A child has no threads; it does without, also while its parent's hold the lock or a job. */
static void a_child_judges_by_itself(void **state)
{
	struct wants wants = { SLUICE_CLIENT };
	struct pair pair, child;
	int status, r;
	pid_t pid;

	open_slow(&pair, &wants, (struct pair_setup){ 0 });
	sluice_ready_fd(pair.sluice);
	run_to_judgement(&pair);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		alarm(20);
		through.hold = false;
		r = sluice_ready_fd(pair.sluice) != -SLUICE_E_STATE;
		r |= sluice_ready(pair.sluice) ? 2 : 0;
		child = pair;
		r |= pair_connect(&child) ? 4 : 0;
		r |= pthread_equal(through.by, pthread_self()) ? 0 : 8;
		pair_drop(&child);
		conn_free(pair.client);
		_exit(r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	let_go();
	run_when_ready(&pair, sluice_ready_fd(pair.sluice));
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_loop_is_told_by_a_descriptor),
		cmocka_unit_test(without_the_descriptor_dispatch_judges),
		cmocka_unit_test(signals_are_not_for_the_threads),
		cmocka_unit_test(an_end_meanwhile_leaves_nothing),
		cmocka_unit_test(a_call_that_waits_has_its_own_time),
		cmocka_unit_test(dispatch_finishes_what_a_call_that_waits_began),
		cmocka_unit_test(a_full_queue_refuses),
		cmocka_unit_test(without_threads_or_descriptors),
		cmocka_unit_test(a_child_judges_by_itself),
	};

	return cmocka_run_group_tests_name("flow/verify_pool", tests, leaks_setup, leaks_teardown);
}
