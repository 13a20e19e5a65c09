/* SPDX-License-Identifier: Apache-2.0 */
/* Option session_tickets: what a client does with tickets, and whether a server has any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define RUN_MS 20000
#define AUTO "session_tickets = auto\n"

static void pass_byte(struct pair *pair)
{
	uint8_t byte;

	assert_int_equal(sluice_send(pair->server, "x", 1, RUN_MS), 1);
	assert_int_equal(sluice_recv(pair->client, &byte, 1, RUN_MS), 1);
}

/* One connection that takes the tickets it gets. Returns whether it was resumed. */
static bool visit(struct pair *pair)
{
	bool resumed;

	assert_int_equal(pair_connect(pair), 0);
	resumed = check_info(pair->client).resumed;
	assert_int_equal(check_info(pair->server).resumed, resumed);
	pass_byte(pair);
	pair_drop(pair);
	return resumed;
}

static void RS_12_auto_resumes_by_itself(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	int i;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = version,
							       .client_options = AUTO });
			assert_false(visit(&pair));
			for (i = 0; i < 10; i++)
				assert_true(visit(&pair));
			/* They are not for the program. */
			assert_int_equal(pair_connect(&pair), 0);
			pass_byte(&pair);
			assert_int_equal(sluice_take_session(pair.client, &session),
					 -SLUICE_E_UNDEFINED);
			pair_close(&pair);
		}
	}
}

/* Each ticket serves one connection: with none arriving, two tickets resume two connections. */
static void RS_12_a_tls13_session_is_used_once(void **state)
{
	struct pair pair;
	int i;

	pair_open(&pair, &(struct pair_setup){ .versions = "tlsv1.3", .client_options = AUTO });
	assert_false(visit(&pair));
	for (i = 0; i < 3; i++) {
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(check_info(pair.client).resumed, i < 2);
		pair_drop(&pair);
	}
	pair_close(&pair);
}

/* Another port is another server, and other rules would have judged it differently. */
static void RS_12_a_session_is_offered_only_to_its_server(void **state)
{
	struct sluice_profile *client;
	struct pair one, two;
	char text[600];

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&one,
			  &(struct pair_setup){ .versions = version, .client_options = AUTO });
		pair_open(&two,
			  &(struct pair_setup){ .versions = version, .client_options = AUTO });
		assert_false(visit(&one));
		sluice_stop(two.sluice);
		two.sluice = one.sluice;
		assert_false(visit(&two));
		assert_true(visit(&two));
		assert_true(visit(&one));
		two.sluice = NULL;

		client = one.client_profile;
		snprintf(text, sizeof(text),
			 "cacertfile = %s\nserver_name_indication = localhost\nversions = %s\n"
			 "depth = 3\n" AUTO,
			 certs_get()->ca, version);
		one.client_profile = pair_profile(SLUICE_CLIENT, text);
		assert_false(visit(&one));
		sluice_profile_unref(one.client_profile);
		one.client_profile = client;
		assert_true(visit(&one));
		pair_close(&two);
		pair_close(&one);
	}
}

static void a_session_of_the_program_goes_before_a_kept_one(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	struct sluice_profile *automatic;
	char text[600];

	pair_open(&pair, &(struct pair_setup){ .versions = "tlsv1.3", .client_options = AUTO });
	assert_false(visit(&pair));
	automatic = pair.client_profile;
	snprintf(text, sizeof(text),
		 "cacertfile = %s\nserver_name_indication = localhost\nversions = tlsv1.3\n",
		 certs_get()->ca);
	pair.client_profile = pair_profile(SLUICE_CLIENT, text);
	assert_int_equal(pair_connect(&pair), 0);
	pass_byte(&pair);
	assert_int_equal(sluice_take_session(pair.client, &session), 0);
	pair_drop(&pair);
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = automatic;
	/* None of the two that are kept is used up by it. */
	assert_int_equal(pair_resume(&pair, session), 0);
	assert_true(check_info(pair.client).resumed);
	sluice_session_free(session);
	pair_drop(&pair);
	assert_int_equal(pair_connect(&pair), 0);
	assert_true(check_info(pair.client).resumed);
	pair_close(&pair);
}

static void sluice_stop_forgets_what_was_kept(void **state)
{
	struct sluice_error err;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .client_options = AUTO });
	assert_false(visit(&pair));
	assert_int_equal(pair_connect(&pair), 0);
	sluice_stop(pair.sluice);
	/* A connection that outlives it has nowhere to keep its tickets. */
	pass_byte(&pair);
	pair_drop(&pair);
	assert_int_equal(sluice_start(&pair.sluice, SLUICE_TEMPORARY, &err), 0);
	assert_false(visit(&pair));
	assert_true(visit(&pair));
	pair_close(&pair);
}

/* A profile that has the defaults but for one or two options. */
static struct sluice_profile *plain_profile(enum sluice_role role, enum sluice_option id,
					    const char *value)
{
	struct sluice_profile *profile;
	struct sluice_options *opts;
	struct sluice_error err;

	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set(opts, id, value, &err), 0);
	if (role == SLUICE_CLIENT)
		sluice_options_set(opts, SLUICE_OPT_SERVER_NAME_INDICATION, "localhost", &err);
	assert_int_equal(sluice_profile_new(&profile, opts, role, &err), 0);
	sluice_options_free(opts);
	return profile;
}

static void assert_no_tickets(struct pair *pair)
{
	struct sluice_session *session;

	assert_int_equal(pair_connect(pair), 0);
	pass_byte(pair);
	assert_int_equal(check_info(pair->client).tickets, 0);
	assert_int_equal(sluice_take_session(pair->client, &session), -SLUICE_E_UNDEFINED);
}

/* What arrives all the same is taken off the wire and dropped. */
static void RS_10_a_client_drops_tickets_unless_asked(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path, .versions = version });
			sluice_profile_unref(pair.client_profile);
			pair.client_profile = plain_profile(SLUICE_CLIENT, SLUICE_OPT_CACERTFILE,
							    certs_get()->ca);
			assert_no_tickets(&pair);
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
	}
}

static void RS_15_a_server_has_no_tickets_unless_asked(void **state)
{
	struct sluice_error err;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		sluice_listener_free(pair.listener);
		sluice_profile_unref(pair.server_profile);
		pair.server_profile = plain_profile(SLUICE_SERVER, SLUICE_OPT_CERTFILE,
						    certs_get()->server_combined);
		assert_int_equal(sluice_listen(pair.sluice, pair.host, 0, pair.server_profile,
					       &pair.listener, &err),
				 0);
		assert_no_tickets(&pair);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(RS_12_auto_resumes_by_itself),
		cmocka_unit_test(RS_12_a_tls13_session_is_used_once),
		cmocka_unit_test(RS_12_a_session_is_offered_only_to_its_server),
		cmocka_unit_test(a_session_of_the_program_goes_before_a_kept_one),
		cmocka_unit_test(sluice_stop_forgets_what_was_kept),
		cmocka_unit_test(RS_10_a_client_drops_tickets_unless_asked),
		cmocka_unit_test(RS_15_a_server_has_no_tickets_unless_asked),
	};

	return cmocka_run_group_tests_name("flow/session_auto", tests, leaks_setup, leaks_teardown);
}
