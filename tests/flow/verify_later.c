/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that have a say in path validation: answers that come later, servers, and sessions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/told.h"
#include "tls/control.h"

#define SECOND 1000000ull

/* --- later ------------------------------------------------------------------------------- */

/* Runs a pair until the client's program wants time for its answer. */
static void run_to_question(struct pair *pair)
{
	pair_start(pair, NULL);
	while (pair->client_result == -SLUICE_E_AGAIN) {
		pair->client_result = sluice_conn_dispatch(pair->client);
		pair->server_result = sluice_conn_dispatch(pair->server);
	}
	assert_int_equal(pair->client_result, SLUICE_PAUSED);
	assert_int_equal(check_info(pair->client).stage, SLUICE_STAGE_VERIFY);
}

static void open_later(struct pair *pair, const char *version, const char *more)
{
	open_with(pair, SLUICE_CLIENT,
		  (struct pair_setup){ .versions = version,
				       .cert = certs_get()->server_bare,
				       .client_options = more },
		  SLUICE_EVT_BAD_CERT, SLUICE_VRET_LATER, 0);
}

static void CL_03_OC_23_the_handshake_waits_for_a_person(void **state)
{
	struct sluice_error err;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_later(&pair, version, NULL);
		run_to_question(&pair);
		assert_int_equal(sluice_conn_dispatch(pair.client), SLUICE_PAUSED);
		assert_int_equal(sluice_conn_events(pair.client), 0);
		assert_int_equal(sluice_handshake_continue(pair.client, NULL, SLUICE_NOWAIT),
				 -SLUICE_E_STATE);
		assert_int_equal(sluice_verify_continue(pair.client, SLUICE_VRET_LATER, 0,
							SLUICE_NOWAIT),
				 -SLUICE_E_INVALID);
		assert_int_equal(sluice_verify_continue(pair.server, SLUICE_VRET_VALID, 0,
							SLUICE_NOWAIT),
				 -SLUICE_E_STATE);
		pair.client_result =
			sluice_verify_continue(pair.client, SLUICE_VRET_VALID, 0, SLUICE_NOWAIT);
		assert_int_equal(pair_run(&pair), 0);
		assert_int_equal(check_info(pair.client).bad_cert, SLUICE_BAD_CERT_UNKNOWN_CA);
		assert_int_equal(count(SLUICE_EVT_VALID_PEER, ANY), 1);
		pair_exchange(&pair, 1000);
		assert_int_equal(sluice_verify_continue(pair.client, SLUICE_VRET_VALID, 0,
							SLUICE_NOWAIT),
				 -SLUICE_E_STATE);
		pair_drop(&pair);

		told.n = 0;
		run_to_question(&pair);
		pair.client_result =
			sluice_verify_continue(pair.client, SLUICE_VRET_FAIL, 0, SLUICE_NOWAIT);
		pair_run(&pair);
		check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
		pair_drop(&pair);

		told.n = 0;
		run_to_question(&pair);
		pair.client_result = sluice_verify_continue(
			pair.client, SLUICE_VRET_FAIL, SLUICE_BAD_CERT_APPLICATION, SLUICE_NOWAIT);
		pair_run(&pair);
		check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY,
			      SLUICE_ALERT_CERTIFICATE_UNKNOWN);
		sluice_conn_error(pair.client, &err, sizeof(err));
		assert_int_equal(err.bad_cert, SLUICE_BAD_CERT_APPLICATION);
		pair_close(&pair);
	}
}

static void CL_03_LC_18_a_question_can_be_cancelled_or_closed(void **state)
{
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_later(&pair, version, NULL);
		run_to_question(&pair);
		assert_int_equal(sluice_handshake_cancel(pair.client), 0);
		pair.client_result = -SLUICE_E_HANDSHAKE;
		pair.server_result = -SLUICE_E_AGAIN;
		pair_run(&pair);
		check_error(pair.client, SLUICE_E_HANDSHAKE,
			    ALERT_SENT(SLUICE_ALERT_USER_CANCELED));
		check_error(pair.server, SLUICE_E_ALERT,
			    ALERT_RECEIVED(SLUICE_ALERT_USER_CANCELED));
		pair_drop(&pair);
		told.n = 0;
		run_to_question(&pair);
		pair_close(&pair);
	}
}

static void CL_03_an_answer_has_a_time_of_its_own(void **state)
{
	struct pair pair;

	fault_install();
	open_later(&pair, NULL, "verify_timeout = 90000\nhandshake_timeout = 10000\n");
	run_to_question(&pair);
	fault_advance_us(60 * SECOND); /* far beyond the handshake's */
	assert_int_equal(sluice_conn_dispatch(pair.client), SLUICE_PAUSED);
	assert_in_range(sluice_conn_timeout(pair.client), 29000, 30001);
	fault_advance_us(31 * SECOND);
	assert_int_equal(sluice_verify_continue(pair.client, SLUICE_VRET_VALID, 0, SLUICE_NOWAIT),
			 -SLUICE_E_HANDSHAKE_TIMEOUT);
	check_error(pair.client, SLUICE_E_HANDSHAKE_TIMEOUT,
		    ALERT_SENT(SLUICE_ALERT_CERTIFICATE_UNKNOWN));
	assert_int_equal(sluice_conn_timeout(pair.client), -1);
	pair_close(&pair);
	fault_uninstall();
}

/* --- servers, sessions, contradictions --------------------------------------------------- */

static void OC_23_a_server_asks_about_clients(void **state)
{
	const struct certs *c = certs_get();
	char server[600], client[600];
	struct pair pair;
	int fail;

	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s\n", c->namesake_ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", c->client, c->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		for (fail = 0; fail < 2; fail++) {
			open_with(&pair, SLUICE_SERVER,
				  (struct pair_setup){ .versions = version,
						       .server_options = server,
						       .client_options = client },
				  SLUICE_EVT_BAD_CERT, fail ? SLUICE_VRET_FAIL : SLUICE_VRET_VALID,
				  0);
			pair_connect(&pair);
			assert_int_equal(count(SLUICE_EVT_BAD_CERT, SLUICE_BAD_CERT_UNKNOWN_CA), 1);
			if (fail) {
				check_refused(&pair, SLUICE_SERVER, SLUICE_E_VERIFY,
					      SLUICE_ALERT_UNKNOWN_CA);
			} else {
				assert_int_equal(pair.server_result, 0);
				assert_false(check_info(pair.server).peer_verified);
				pair_exchange(&pair, 1000);
			}
			pair_close(&pair);
		}
	}
	/* Nobody is asked about a certificate that is not there. */
	open_with(&pair, SLUICE_SERVER, (struct pair_setup){ .server_options = server }, ANY, 0, 0);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(told.n, 0);
	pair_close(&pair);
}

static int another(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		   int *reason)
{
	return SLUICE_VRET_VALID;
}

/* Who was let in by a function is let in again by no other, and what was wrong is not forgotten. */
static void OC_30_SV_19_sessions_are_of_the_function_that_let_them_pass(void **state)
{
	struct sluice_session *session = NULL;
	struct sluice_options *opts;
	struct pair pair;
	char text[600];
	uint8_t byte;

	open_with(&pair, SLUICE_CLIENT, (struct pair_setup){ .cert = certs_get()->server_bare },
		  ANY, 0, 0);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_recv(pair.client, &byte, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	assert_int_equal(sluice_take_session(pair.client, &session), 0);
	pair_drop(&pair);

	told.n = 0;
	assert_int_equal(pair_resume(&pair, session), 0);
	assert_true(check_info(pair.client).resumed);
	assert_int_equal(told.n, 0);
	assert_false(check_info(pair.client).peer_verified);
	assert_int_equal(check_info(pair.client).bad_cert, SLUICE_BAD_CERT_UNKNOWN_CA);
	pair_drop(&pair);

	snprintf(text, sizeof(text), "cacertfile = %s\nserver_name_indication = localhost\n",
		 certs_get()->ca);
	opts = check_options(text);
	assert_int_equal(sluice_options_set_verify_fun(opts, another, &told.first_state, NULL), 0);
	sluice_profile_unref(pair.client_profile);
	assert_int_equal(sluice_profile_new(&pair.client_profile, opts, SLUICE_CLIENT, NULL), 0);
	sluice_options_free(opts);
	assert_int_equal(pair_resume(&pair, session), 0);
	assert_false(check_info(pair.client).resumed);
	sluice_session_free(session);
	pair_close(&pair);
}

static void OC_23_what_contradicts_a_function(void **state)
{
	struct sluice_options *opts;
	struct sluice_profile *profile;
	struct sluice_error err;
	char text[600];

	snprintf(text, sizeof(text), "certfile = %s\n", certs_get()->server_combined);
	opts = check_options(text);
	assert_int_equal(sluice_options_set_verify_fun(opts, NULL, NULL, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_VERIFY_FUN, "x", &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_verify_fun(opts, another, NULL, &err), 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err),
			 -SLUICE_E_OPTION_CONFLICT);
	assert_non_null(strstr(err.text, "verify_fun"));
	sluice_options_free(opts);
	opts = check_options("verify_timeout = 1000\n");
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err),
			 -SLUICE_E_OPTION_CONFLICT);
	assert_non_null(strstr(err.text, "verify_timeout"));
	sluice_options_free(opts);
	assert_string_equal(sluice_bad_cert_name(SLUICE_BAD_CERT_UNKNOWN_CA), "unknown_ca");
	assert_string_equal(sluice_bad_cert_name(-1), "unknown");
	assert_string_equal(sluice_bad_cert_name(SLUICE_BAD_CERTS), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_03_OC_23_the_handshake_waits_for_a_person),
		cmocka_unit_test(CL_03_LC_18_a_question_can_be_cancelled_or_closed),
		cmocka_unit_test(CL_03_an_answer_has_a_time_of_its_own),
		cmocka_unit_test(OC_23_a_server_asks_about_clients),
		cmocka_unit_test(OC_30_SV_19_sessions_are_of_the_function_that_let_them_pass),
		cmocka_unit_test(OC_23_what_contradicts_a_function),
	};

	return cmocka_run_group_tests_name("flow/verify_later", tests, leaks_setup, leaks_teardown);
}
