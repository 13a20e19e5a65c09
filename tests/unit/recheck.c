/* SPDX-License-Identifier: Apache-2.0 */
/* Rechecks: how far one turn goes, what handshakers owe, and who is judged behind the scan. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/crls.h"
#include "broker/recheck.h"
#include "handover/channel.h"
#include "handover/messages.h"

/* --- the rest of the broker ------------------------------------------------------------------------ */

#define ROW_LEN 200

static unsigned int n_rows, n_ended;

void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
{
}

void admin_names(const struct broker *broker, const struct session *session,
		 const char **ret_listener, const char **ret_pool)
{
	*ret_listener = "main";
	*ret_pool = "app";
}

void admin_recheck_row(struct admin_client *client, const struct session *session,
		       const char *result, const char *why)
{
	client->out_len += ROW_LEN;
	n_rows++;
}

void admin_recheck_progress(struct admin_client *client, uint64_t done, uint64_t total)
{
}

void admin_wake(struct admin_client *client)
{
}

int admin_destroy(struct broker *broker, struct session *session)
{
	return -ENOENT;
}

int ask_worker(struct broker *broker, struct session *session, enum ask_kind kind, bool both,
	       struct admin_client *client)
{
	return -EOPNOTSUPP;
}

void session_end(struct broker *broker, struct session *session, enum end end)
{
	n_ended++;
}

struct session *session_find(struct broker *broker, uint64_t id)
{
	struct session *session;

	LIST_FOREACH(session, &broker->sessions.by_id[id % SESSION_BUCKETS], by_id)
	if (session->id == id)
		return session;
	return NULL;
}

/* --- a broker --------------------------------------------------------------------------------------- */

/* struct world - a broker with a handshaker, whose end is @theirs; @chain is what all peers showed. */
struct world {
	struct config_profile profile;
	struct config config;
	struct crls crls;
	struct handshaker handshaker;
	struct broker broker;
	int theirs;
	uint64_t n;
	struct chain *chain;
};

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct broker *broker;
	int pair[2];

	assert_non_null(world);
	assert_int_equal(channel_pair(pair), 0);
	broker = &world->broker;
	world->theirs = pair[1];
	world->profile.name = "main";
	world->config.profiles = &world->profile;
	world->config.n_profiles = 1;
	world->handshaker.watch.fd = pair[0];
	world->handshaker.ready = true;
	world->handshaker.broker = broker;
	world->chain = calloc(1, sizeof(*world->chain));
	assert_non_null(world->chain);
	strcpy(world->chain->profile, "main");
	broker->config = &world->config;
	broker->crls = &world->crls;
	broker->handshakers = &world->handshaker;
	broker->n_handshakers = 1;
	broker->out = malloc(WIRE_MAX);
	assert_non_null(broker->out);
	assert_int_equal(recheck_open(broker), 0);
	n_rows = n_ended = 0;
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;
	struct session *session;
	size_t i;

	for (i = 0; i < SESSION_BUCKETS; i++)
		while ((session = LIST_FIRST(&world->broker.sessions.by_id[i]))) {
			LIST_REMOVE(session, by_id);
			free(session);
		}
	recheck_close(&world->broker);
	close(world->theirs);
	close(world->handshaker.watch.fd);
	free(world->broker.out);
	free(world->chain);
	free(world);
	return 0;
}

/* A live one; without a chain it is told, and nobody judges it. */
static struct session *add(struct world *world, struct chain *chain)
{
	struct session *session = calloc(1, sizeof(*session));

	assert_non_null(session);
	session->id = ++world->n;
	session->state = SESSION_LIVE;
	session->has_peer = true;
	session->chain = chain;
	LIST_INSERT_HEAD(&world->broker.sessions.by_id[session->id % SESSION_BUCKETS], session,
			 by_id);
	world->broker.sessions.n++;
	return session;
}

/* The handshaker finds whatever it was asked last in order. */
static void judge(struct world *world)
{
	uint32_t id = world->broker.recheck->last_id;

	assert_null(recheck_judged(&world->handshaker, id, (struct wire_reader){ 0 }));
}

static int begin(struct world *world, struct admin_client *client)
{
	struct admin_request request = { 0 };

	filter_parse(&request.filter, NULL);
	return recheck_begin(&world->broker, &request, client);
}

/* As many turns as one of these needs, and no verdict. */
static void go_on(struct world *world)
{
	size_t i;

	for (i = 0; i < SESSION_BUCKETS; i++)
		recheck_go_on(&world->broker);
}

/* --- tests -------------------------------------------------------------------------------------------- */

static void a_verdict_that_does_not_come_is_noticed(void **state)
{
	struct world *world = *state;
	struct broker *broker = &world->broker;

	add(world, world->chain);
	broker->loop.now_ms = 1000;
	assert_int_equal(recheck_waits(&world->handshaker), 0);
	assert_int_equal(begin(world, NULL), 0);
	go_on(world);
	broker->loop.now_ms = 8000;
	recheck_tick(broker);
	assert_true(broker->recheck->running);
	assert_int_equal(recheck_waits(&world->handshaker), 7000);
	judge(world);
	assert_int_equal(recheck_waits(&world->handshaker), 0);
	go_on(world);
	assert_false(broker->recheck->running);
	assert_int_equal(broker->recheck->counts.good, 1);
}

/* After a restart no chain is kept: a row for each session, more than any queue has room for. */
static void a_client_that_does_not_read_is_told_no_more(void **state)
{
	struct world *world = *state;
	struct admin_client client = { 0 };
	size_t i;

	for (i = 0; i < 2 * SESSION_BUCKETS; i++)
		add(world, NULL);
	assert_int_equal(begin(world, &client), 0);
	go_on(world);
	assert_in_range(client.out_len, ADMIN_LOW_QUEUE, ADMIN_LOW_QUEUE + 4 * ROW_LEN);
	for (i = 0; i < SESSION_BUCKETS && world->broker.recheck->running; i++) {
		client.out_at = client.out_len; /* now it has read */
		recheck_go_on(&world->broker);
	}
	assert_int_equal(n_rows, 2 * SESSION_BUCKETS);
	assert_int_equal(world->broker.recheck->counts.not_kept, 2 * SESSION_BUCKETS);
}

/* Nobody is told, and nobody has to wait for it. */
static void a_turn_looks_at_some_sessions(void **state)
{
	struct world *world = *state;
	size_t i;

	for (i = 0; i < 2 * SESSION_BUCKETS; i++)
		add(world, NULL);
	assert_int_equal(begin(world, NULL), 0);
	recheck_go_on(&world->broker);
	assert_in_range(world->broker.recheck->counts.not_kept, 1000, 4096);
}

/* Its handshake was verified by the set of then, and the scan was over, or had passed it. */
static void a_session_that_comes_late_is_judged(void **state)
{
	struct world *world = *state;
	struct recheck *recheck = world->broker.recheck;
	struct session *session = add(world, world->chain);

	recheck_late(&world->broker, session);
	assert_false(recheck->running); /* CRLs that change close nothing of themselves */
	world->config.crls.recheck = CONFIG_RECHECK_ON_CHANGE;
	recheck_late(&world->broker, session);
	go_on(world);
	assert_int_equal(recheck->n_sent, 1);
	recheck_late(&world->broker, add(world, world->chain));
	go_on(world);
	assert_int_equal(recheck->n_sent, 2);
	recheck_lost(&world->handshaker);
	recheck_forget(&world->broker, NULL);
}

/* One that the scan has before it is judged once; a client's recheck may have to be followed by another. */
static void a_session_that_comes_late_meets_a_recheck(void **state)
{
	struct world *world = *state;
	struct recheck *recheck = world->broker.recheck;
	struct admin_client client = { 0 };

	world->config.crls.recheck = CONFIG_RECHECK_ON_CHANGE;
	assert_int_equal(begin(world, NULL), 0);
	recheck_late(&world->broker, add(world, world->chain));
	go_on(world);
	assert_int_equal(recheck->n_sent, 1);
	assert_false(recheck->again);
	judge(world);
	go_on(world);
	assert_false(recheck->running);
	assert_int_equal(begin(world, &client), 0);
	recheck->dry_run = true;
	recheck_late(&world->broker, add(world, world->chain));
	go_on(world);
	assert_true(recheck->again);
	recheck_forget(&world->broker, &client);
	/* What is due is not forgotten for another's recheck. */
	recheck_lost(&world->handshaker);
	assert_int_equal(begin(world, &client), 0);
	assert_true(recheck->again);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_verdict_that_does_not_come_is_noticed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_client_that_does_not_read_is_told_no_more, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_turn_looks_at_some_sessions, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_that_comes_late_is_judged, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_session_that_comes_late_meets_a_recheck, setup,
						teardown),
	};

	return cmocka_run_group_tests_name("unit/recheck", tests, NULL, NULL);
}
