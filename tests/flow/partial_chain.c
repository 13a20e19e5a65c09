/* SPDX-License-Identifier: Apache-2.0 */
/* A program that names one of its peer's certificates as trusted: option partial_chain_fun. */
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

/* What the function answers, and what it was asked. */
static struct {
	int answer;
	struct sluice_der trusted;
	size_t at; /* instead: of the certificates that it is shown; SIZE_MAX: none of them */
	size_t n;  /* it was shown so many */
	unsigned int n_asked;
	size_t first_len;
} program;

static int choose(struct sluice_conn *conn, const struct sluice_der *certs, size_t n, void *state,
		  struct sluice_der *ret_trusted)
{
	assert_ptr_equal(state, &program);
	assert_int_equal(check_info(conn).stage, SLUICE_STAGE_VERIFY);
	program.n_asked++;
	program.n = n;
	program.first_len = certs[0].len;
	*ret_trusted = program.at < n ? certs[program.at] : program.trusted;
	return program.answer;
}

/* struct asking - who has the function, and what a client trusts instead of the test CA. */
struct asking {
	enum sluice_role role; /* 0: nobody */
	const char *trusts;    /* a file; NULL: the test CA */
};

static void trust_only(struct sluice_options *opts, const char *path)
{
	size_t len;
	uint8_t *der = certs_der(path, 0, &len);

	assert_int_equal(sluice_options_set_data(opts, SLUICE_OPT_CACERTS, der, len, NULL), 0);
	free(der);
}

static void set_fun(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct asking *asking = arg;

	if (role == asking->role)
		assert_int_equal(sluice_options_set_partial_chain(opts, choose, &program, NULL), 0);
	if (role == SLUICE_CLIENT && asking->trusts)
		trust_only(opts, asking->trusts);
}

static void open_asking(struct pair *pair, struct asking asking, struct pair_setup setup)
{
	memset(&program, 0, sizeof(program));
	program.at = SIZE_MAX;
	setup.set = set_fun;
	setup.arg = &asking;
	pair_open(pair, &setup);
}

/* A client that trusts nobody else. */
static struct asking client_without_ca(void)
{
	return (struct asking){ SLUICE_CLIENT, certs_get()->other_ca };
}

static void OC_42_an_intermediate_is_trusted(void **state)
{
	struct sluice_session *session = NULL;
	struct pair pair;
	uint8_t byte;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_asking(&pair, client_without_ca(), (struct pair_setup){ .versions = version });
		program.answer = SLUICE_TRUSTED_CA;
		program.at = 1;
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(program.n_asked, 1);
		assert_int_equal(program.n, 2);
		assert_true(program.first_len > 100);
		assert_true(check_info(pair.client).peer_verified);
		pair_exchange(&pair, 100);
		/* What was trusted then is asked again of a full handshake alone. */
		assert_int_equal(sluice_recv(pair.client, &byte, 1, SLUICE_NOWAIT),
				 -SLUICE_E_AGAIN);
		assert_int_equal(sluice_take_session(pair.client, &session), 0);
		pair_drop(&pair);
		assert_int_equal(pair_resume(&pair, session), 0);
		assert_true(check_info(pair.client).resumed);
		assert_int_equal(program.n_asked, 1);
		sluice_session_free(session);
		pair_drop(&pair);
		/* The peer's own may be it, too. */
		program.at = 0;
		assert_int_equal(pair_connect(&pair), 0);
		pair_close(&pair);
	}
}

/* The same bytes from the program's own memory. */
static void OC_42_a_pinned_certificate(void **state)
{
	struct pair pair;
	uint8_t *der;

	open_asking(&pair, client_without_ca(), (struct pair_setup){ 0 });
	der = certs_der(certs_get()->intermediate, 0, &program.trusted.len);
	program.trusted.data = der;
	program.answer = SLUICE_TRUSTED_CA;
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);
	free(der);
}

static void OC_42_a_foreign_certificate_is_refused(void **state)
{
	struct sluice_error err;
	struct pair pair;
	uint8_t *der;

	/* Even one that is trusted otherwise, and with a certificate that would be valid. */
	open_asking(&pair, (struct asking){ SLUICE_CLIENT }, (struct pair_setup){ 0 });
	der = certs_der(certs_get()->ca, 0, &program.trusted.len);
	program.trusted.data = der;
	program.answer = SLUICE_TRUSTED_CA;
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
	sluice_conn_error(pair.client, &err, sizeof(err));
	assert_int_equal(err.bad_cert, SLUICE_BAD_CERT_UNKNOWN_CA);
	assert_non_null(strstr(err.text, "partial_chain_fun"));
	pair_drop(&pair);
	/* Nor does it help to name nothing, or the beginning of one. */
	program.trusted = (struct sluice_der){ NULL, 10 };
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
	pair_close(&pair);
	free(der);
}

static void OC_42_unknown_ca_leaves_what_the_options_say(void **state)
{
	struct pair pair;

	open_asking(&pair, (struct asking){ SLUICE_CLIENT }, (struct pair_setup){ 0 });
	program.answer = SLUICE_UNKNOWN_CA;
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(program.n_asked, 1);
	pair_close(&pair);
	open_asking(&pair, client_without_ca(), (struct pair_setup){ 0 });
	program.answer = SLUICE_UNKNOWN_CA;
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
	pair_drop(&pair);
	/* What is trusted so is the anchor and no pardon: the name must fit. */
	pair_close(&pair);
	open_asking(&pair, client_without_ca(),
		    (struct pair_setup){ .cert = certs_get()->wrong_name });
	program.answer = SLUICE_TRUSTED_CA;
	program.at = 1;
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_HOSTNAME, SLUICE_ALERT_BAD_CERTIFICATE);
	pair_close(&pair);
}

/* A server needs no CA of its own then, and still asks for certificates. */
static void OC_42_a_server_asks_about_clients(void **state)
{
	const struct certs *c = certs_get();
	char client[600];
	struct pair pair;

	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", c->client, c->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		open_asking(&pair, (struct asking){ SLUICE_SERVER },
			    (struct pair_setup){ .versions = version,
						 .server_options = "verify = verify_peer\n",
						 .client_options = client });
		program.answer = SLUICE_TRUSTED_CA;
		program.at = 1;
		assert_int_equal(pair_connect(&pair), 0);
		assert_true(check_info(pair.server).peer_verified);
		pair_drop(&pair);
		program.answer = SLUICE_UNKNOWN_CA;
		pair_connect(&pair);
		check_refused(&pair, SLUICE_SERVER, SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA);
		pair_close(&pair);
	}
}

/* Option partial_chain: what is trusted need not be a root. */
static void OC_42_any_trusted_certificate_ends_a_path(void **state)
{
	struct pair pair;
	int on;

	for (on = 0; on < 2; on++) {
		open_asking(&pair, (struct asking){ 0, certs_get()->intermediate },
			    (struct pair_setup){ .client_options = on ? "partial_chain = true\n"
								      : "" });
		pair_connect(&pair);
		if (on)
			assert_int_equal(pair.client_result, 0);
		else
			check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY,
				      SLUICE_ALERT_UNKNOWN_CA);
		pair_close(&pair);
	}
}

static void OC_42_what_contradicts_it(void **state)
{
	struct sluice_profile *profile;
	struct sluice_options *opts;
	struct sluice_error err;
	char text[300];

	snprintf(text, sizeof(text), "certfile = %s\n", certs_get()->server_combined);
	opts = check_options(text);
	assert_int_equal(sluice_options_set_partial_chain(opts, NULL, NULL, &err),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_PARTIAL_CHAIN_FUN, "x", &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_partial_chain(opts, choose, NULL, &err), 0);
	assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_SERVER, &err),
			 -SLUICE_E_OPTION_CONFLICT);
	assert_non_null(strstr(err.text, "partial_chain_fun"));
	sluice_options_free(opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_42_an_intermediate_is_trusted),
		cmocka_unit_test(OC_42_a_pinned_certificate),
		cmocka_unit_test(OC_42_a_foreign_certificate_is_refused),
		cmocka_unit_test(OC_42_unknown_ca_leaves_what_the_options_say),
		cmocka_unit_test(OC_42_a_server_asks_about_clients),
		cmocka_unit_test(OC_42_any_trusted_certificate_ends_a_path),
		cmocka_unit_test(OC_42_what_contradicts_it),
	};

	return cmocka_run_group_tests_name("flow/partial_chain", tests, leaks_setup,
					   leaks_teardown);
}
