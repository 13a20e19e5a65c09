/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that choose what their client shows to a server that asks for a certificate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "tls/control.h"

/* struct program - what it answers, and what it was told. */
struct program {
	int answer;
	const char *own; /* options of the set it answers with; NULL: none */
	unsigned int asked;
	size_t n_types, n_algs, n_authorities;
};

static int on_request(void *arg, struct sluice_conn *conn,
		      const struct sluice_cert_request *request, struct sluice_options **ret_own)
{
	struct program *program = arg;

	program->asked++;
	program->n_types = request->n_types;
	program->n_algs = request->n_signature_algs;
	program->n_authorities = request->n_authorities;
	assert_int_equal(check_info(conn).stage, SLUICE_STAGE_VERIFY);
	if (request->n_authorities)
		assert_int_equal(request->authorities[0][0], 0x30); /* a SEQUENCE */
	if (program->own)
		*ret_own = check_options(program->own);
	return program->answer;
}

static int accept_all(struct sluice_conn *conn, const struct sluice_verify_event *event,
		      void **state, int *reason)
{
	return SLUICE_VRET_VALID;
}

static void set(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	/* What the certificates are for does not matter here. */
	if (role == SLUICE_SERVER && arg && ((struct program *)arg)->own)
		assert_int_equal(sluice_options_set_verify_fun(opts, accept_all, NULL, NULL), 0);
	if (role == SLUICE_CLIENT)
		assert_int_equal(sluice_options_set_client_cert_cb(opts, on_request, arg, NULL), 0);
}

static void open_pair(struct pair *pair, const char *version, struct program *program,
		      const char *client)
{
	static char server[400];

	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s", certs_get()->ca);
	pair_open(pair, &(struct pair_setup){ .versions = version,
					      .server_options = server,
					      .client_options = client,
					      .set = set,
					      .arg = program });
}

static void assert_shown(const struct sluice_conn *server, const char *file)
{
	size_t len, expected_len;
	const uint8_t *der;
	uint8_t *expected;

	if (!file) {
		assert_int_equal(sluice_peercert(server, 0, &der, &len), -SLUICE_E_NO_PEERCERT);
		return;
	}
	assert_int_equal(sluice_peercert(server, 0, &der, &len), 0);
	expected = certs_der(file, 0, &expected_len);
	assert_int_equal(len, expected_len);
	assert_memory_equal(der, expected, len);
	free(expected);
}

static const char *pair_text(const char *cert, const char *key)
{
	static char text[2][600];
	static unsigned int turn;
	char *out = text[turn++ % 2];

	snprintf(out, sizeof(text[0]), "certfile = %s\nkeyfile = %s\n", cert, key);
	return out;
}

static void CL_26_a_program_chooses(void **state)
{
	const struct certs *c = certs_get();
	const char *client = pair_text(c->client, c->client_key);
	const char *rsa = pair_text(c->server_rsa, c->server_rsa_key);
	char several[400];
	const struct {
		const char *own, *shown;
	} cases[] = {
		{ NULL, c->client },         /* the library's choice */
		{ rsa, c->server_rsa },      /* its own */
		{ "", NULL },                /* none */
		{ several, c->server_p256 }, /* several */
	};
	struct program program;
	struct pair pair;
	size_t i;

	snprintf(several, sizeof(several), "certs_keys = %s", c->server_combined);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		PAIR_FOR_EACH_VERSION(version)
		{
			program = (struct program){ .own = cases[i].own };
			open_pair(&pair, version, &program, client);
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(program.asked, 1);
			assert_true(program.n_algs > 0);
			assert_int_equal(program.n_authorities, 1);
			assert_true(version_i ? program.n_types > 0 : program.n_types == 0);
			assert_shown(pair.server, cases[i].shown);
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
}

/* What does not suit is not shown, whoever wants it. */
static void CL_26_what_does_not_suit_is_never_shown(void **state)
{
	const struct certs *c = certs_get();
	struct program program = { .own = pair_text(c->self_signed, c->server_p256_key) };
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, version, &program, NULL);
		assert_int_equal(pair_connect(&pair), 0);
		assert_shown(pair.server, NULL);
		pair_close(&pair);
	}
}

static void CL_26_nobody_is_asked_where_nobody_asks(void **state)
{
	struct program program = { .answer = -1 };
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .versions = version, .set = set, .arg = &program });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(program.asked, 0);
		pair_close(&pair);
	}
}

static void CL_26_answers_that_end_the_handshake(void **state)
{
	const struct {
		int answer;
		const char *own;
		int code;
	} cases[] = {
		{ -1, NULL, SLUICE_E_POLICY },
		{ 0, "certfile = /nowhere/cert.pem", SLUICE_E_FILE },
		{ 0, "depth = 3", SLUICE_E_OPTION },
	};
	struct program program;
	struct pair pair;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		PAIR_FOR_EACH_VERSION(version)
		{
			program =
				(struct program){ .answer = cases[i].answer, .own = cases[i].own };
			open_pair(&pair, version, &program, NULL);
			pair_connect(&pair);
			assert_int_equal(pair.client_result, -cases[i].code);
			check_error(pair.client, cases[i].code,
				    ALERT_SENT(SLUICE_ALERT_INTERNAL_ERROR));
			pair_close(&pair);
		}
}

/* --- later --------------------------------------------------------------------------------- */

static void run_to_question(struct pair *pair)
{
	pair_start(pair, NULL);
	while (pair->client_result == -SLUICE_E_AGAIN) {
		pair->client_result = sluice_conn_dispatch(pair->client);
		if (pair->server_result == -SLUICE_E_AGAIN)
			pair->server_result = sluice_conn_dispatch(pair->server);
	}
	assert_int_equal(pair->client_result, SLUICE_PAUSED);
}

static void CL_26_the_handshake_waits_for_a_later_answer(void **state)
{
	const struct certs *c = certs_get();
	struct program program = { .answer = SLUICE_PAUSED };
	struct sluice_options *own, *wrong;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		program.asked = 0;
		open_pair(&pair, version, &program, NULL);
		run_to_question(&pair);
		assert_int_equal(sluice_conn_dispatch(pair.client), SLUICE_PAUSED);
		assert_int_equal(sluice_conn_events(pair.client), 0);
		assert_int_equal(sluice_verify_continue(pair.client, SLUICE_VRET_VALID, 0,
							SLUICE_NOWAIT),
				 -SLUICE_E_STATE);
		/* What cannot be taken leaves the question open. */
		wrong = check_options("depth = 3");
		assert_int_equal(sluice_handshake_continue(pair.client, wrong, SLUICE_NOWAIT),
				 -SLUICE_E_OPTION);
		assert_int_equal(sluice_conn_dispatch(pair.client), SLUICE_PAUSED);
		own = check_options(pair_text(c->client, c->client_key));
		pair.client_result = sluice_handshake_continue(pair.client, own, SLUICE_NOWAIT);
		assert_int_equal(pair_run(&pair), 0);
		assert_int_equal(program.asked, 1);
		assert_shown(pair.server, c->client);
		pair_exchange(&pair, 1000);
		sluice_options_free(own);
		sluice_options_free(wrong);
		pair_close(&pair);
	}
}

static void CL_26_LC_18_a_question_can_be_cancelled(void **state)
{
	struct program program = { .answer = SLUICE_PAUSED };
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, version, &program, NULL);
		run_to_question(&pair);
		assert_int_equal(sluice_handshake_cancel(pair.client), 0);
		check_error(pair.client, SLUICE_E_HANDSHAKE,
			    ALERT_SENT(SLUICE_ALERT_USER_CANCELED));
		pair_close(&pair);
	}
}

static void CL_26_an_answer_has_a_time_of_its_own(void **state)
{
	struct program program = { .answer = SLUICE_PAUSED };
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_pair(&pair, version, &program, "verify_timeout = 50");
		run_to_question(&pair);
		while ((pair.client_result = sluice_conn_dispatch(pair.client)) == SLUICE_PAUSED)
			;
		assert_int_equal(pair.client_result, -SLUICE_E_HANDSHAKE_TIMEOUT);
		assert_int_equal(sluice_handshake_continue(pair.client, NULL, SLUICE_NOWAIT),
				 -SLUICE_E_STATE);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_26_a_program_chooses),
		cmocka_unit_test(CL_26_what_does_not_suit_is_never_shown),
		cmocka_unit_test(CL_26_nobody_is_asked_where_nobody_asks),
		cmocka_unit_test(CL_26_answers_that_end_the_handshake),
		cmocka_unit_test(CL_26_the_handshake_waits_for_a_later_answer),
		cmocka_unit_test(CL_26_LC_18_a_question_can_be_cancelled),
		cmocka_unit_test(CL_26_an_answer_has_a_time_of_its_own),
	};

	return cmocka_run_group_tests_name("flow/client_cert_cb", tests, leaks_setup,
					   leaks_teardown);
}
