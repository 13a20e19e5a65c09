/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that answer by the name they are asked for: which options apply, and who may resume where. */
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
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* struct setting - hosts, or a function that is asked. */
struct setting {
	struct {
		const char *name, *text;
	} hosts[4];
	sluice_sni_fun fun;
};

static void set_server(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct setting *setting = arg;
	struct sluice_options *host;
	struct sluice_error err;
	size_t i;

	if (role != SLUICE_SERVER)
		return;
	for (i = 0; i < ARRAY_SIZE(setting->hosts) && setting->hosts[i].name; i++) {
		host = check_options(setting->hosts[i].text);
		if (sluice_options_add_sni_host(opts, setting->hosts[i].name, host, &err) < 0)
			fail_msg("%s", err.text);
		sluice_options_free(host);
	}
	if (setting->fun)
		assert_int_equal(sluice_options_set_sni_fun(opts, setting->fun, arg, NULL), 0);
}

/* The client asks for @name next; "disable": for none. Further options follow it. */
static void ask_for(struct pair *pair, const char *name, const char *more)
{
	char text[1000];

	sluice_profile_unref(pair->client_profile);
	snprintf(text, sizeof(text), "server_name_indication = %s\nverify = verify_none\n%s", name,
		 more ? more : "");
	pair->client_profile = pair_profile(SLUICE_CLIENT, text);
}

static const char *use(char text[600], const char *cert, const char *key)
{
	snprintf(text, 600, "certfile = %s\nkeyfile = %s\n", cert, key);
	return text;
}

static void assert_shows(const struct sluice_conn *client, const char *file)
{
	const uint8_t *der;
	uint8_t *expected;
	size_t len, expected_len;

	assert_int_equal(sluice_peercert(client, 0, &der, &len), 0);
	expected = certs_der(file, 0, &expected_len);
	assert_int_equal(len, expected_len);
	assert_memory_equal(der, expected, len);
	free(expected);
}

/* --- a table ----------------------------------------------------------------------------- */

static void SV_15_SV_18_CL_20_the_most_specific_host_answers(void **state)
{
	const struct certs *c = certs_get();
	const struct {
		const char *name, *cert;
	} cases[] = {
		{ "www.example.test", c->server_rsa },
		{ "WWW.example.test", c->server_rsa },
		{ "mail.example.test", c->server_ed25519 },
		{ "a.mail.example.test", c->server_p256 }, /* no host's */
		{ "other.test", c->server_p256 },
		{ "disable", c->server_p256 },
	};
	char rsa[600], ed25519[600];
	struct setting setting = {
		.hosts = { { "*.example.test",
			     use(ed25519, c->server_ed25519, c->server_ed25519_key) },
			   { "www.example.test", use(rsa, c->server_rsa, c->server_rsa_key) } }
	};
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = version,
							       .set = set_server,
							       .arg = &setting });
			for (i = 0; i < ARRAY_SIZE(cases); i++) {
				ask_for(&pair, cases[i].name, NULL);
				assert_int_equal(pair_connect(&pair), 0);
				assert_shows(pair.client, cases[i].cert);
				assert_int_equal(check_info(pair.client).alerts_received, 0);
				assert_int_equal(check_info(pair.server).alerts_sent, 0);
				pair_exchange(&pair, 1000);
				pair_drop(&pair);
			}
			pair_close(&pair);
		}
	}
}

/* Not the certificate alone: version, suite, protocol and who must show a certificate are the host's. */
static void SV_15_a_host_overrides_every_option(void **state)
{
	const struct certs *c = certs_get();
	char strict[800], client[800];
	struct setting setting = {
		.hosts = { { "strict.example.test", strict },
			   { "old.example.test",
			     "versions = tlsv1.2\nalpn_preferred_protocols = http/1.1\n"
			     "ciphers = TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256\n" } }
	};
	struct sluice_conn_info info;
	const char *protocol;
	struct pair pair;
	size_t len;

	snprintf(strict, sizeof(strict),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n", c->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s\n", c->client, c->client_key);
	pair_open(&pair, &(struct pair_setup){ .server_options = "alpn_preferred_protocols = h2\n",
					       .set = set_server,
					       .arg = &setting });
	ask_for(&pair, "old.example.test", "alpn_advertised_protocols = h2, http/1.1\n");
	assert_int_equal(pair_connect(&pair), 0);
	info = check_info(pair.client);
	assert_int_equal(info.version, TLS12);
	assert_int_equal(info.suite, 0xcca9);
	assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol, &len), 0);
	assert_memory_equal(protocol, "http/1.1", len);
	pair_drop(&pair);

	ask_for(&pair, "strict.example.test", "alpn_advertised_protocols = h2, http/1.1\n");
	pair_connect(&pair);
	check_refused(&pair, SLUICE_SERVER, SLUICE_E_NO_PEERCERT,
		      SLUICE_ALERT_CERTIFICATE_REQUIRED);
	pair_drop(&pair);
	ask_for(&pair, "strict.example.test", client);
	assert_int_equal(pair_connect(&pair), 0);
	assert_true(check_info(pair.server).peer_verified);
	pair_drop(&pair);

	/* And elsewhere the options are what they were. */
	ask_for(&pair, "other.example.test", "alpn_advertised_protocols = h2, http/1.1\n");
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(check_info(pair.client).version, TLS13);
	assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol, &len), 0);
	assert_memory_equal(protocol, "h2", len);
	pair_close(&pair);
}

/* The options of one connection came before: where a host has none of its own, they stand. */
static void SV_15_a_host_goes_over_the_options_of_the_connection(void **state)
{
	struct setting setting = { .hosts = { { "a.example.test",
						"alpn_preferred_protocols = h2\n" } } };
	struct sluice_options *extra;
	const char *protocol;
	struct pair pair;
	size_t len;

	extra = check_options("alpn_preferred_protocols = http/1.1\nversions = tlsv1.2\n");
	pair_open(&pair, &(struct pair_setup){ .set = set_server, .arg = &setting });
	ask_for(&pair, "a.example.test", "alpn_advertised_protocols = h2, http/1.1\n");
	assert_int_equal(sluice_connect(pair.sluice, pair.host, sluice_listener_port(pair.listener),
					pair.client_profile, NULL, SLUICE_NOWAIT, &pair.client,
					NULL),
			 -SLUICE_E_AGAIN);
	assert_int_equal(sluice_transport_accept(pair.listener, 10000, &pair.server), 0);
	pair.client_result = -SLUICE_E_AGAIN;
	pair.server_result = sluice_handshake(pair.server, extra, SLUICE_NOWAIT);
	assert_int_equal(pair_run(&pair), 0);
	assert_int_equal(check_info(pair.client).version, TLS12);
	assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol, &len), 0);
	assert_int_equal(len, 2);
	sluice_options_free(extra);
	pair_close(&pair);
}

/* --- sessions ---------------------------------------------------------------------------- */

/* Connects with @session, if any, and takes a new one, if any; tells whether it was resumed. */
static bool resumes(struct pair *pair, const char *name, struct sluice_session **session)
{
	struct sluice_session *next;
	bool resumed;
	uint8_t byte;

	ask_for(pair, name, NULL);
	assert_int_equal(pair_resume(pair, *session), 0);
	resumed = check_info(pair->client).resumed;
	assert_int_equal(check_info(pair->server).resumed, resumed);
	assert_int_equal(sluice_recv(pair->client, &byte, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	if (sluice_take_session(pair->client, &next) ==
	    0) { /* TLS 1.2 keeps a ticket that served */
		sluice_session_free(*session);
		*session = next;
	}
	pair_drop(pair);
	return resumed;
}

/* RFC 6066, 3: with another name a handshake is a full one, even where all else is the same. */
static void SV_19_sessions_do_not_resume_at_another_host(void **state)
{
	struct setting setting = { .hosts = { { "a.example.test", "" },
					      { "b.example.test", "" } } };
	struct sluice_session *session;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		session = NULL;
		pair_open(&pair, &(struct pair_setup){
					 .versions = version, .set = set_server, .arg = &setting });
		assert_false(resumes(&pair, "a.example.test", &session));
		assert_true(resumes(&pair, "a.example.test", &session));
		assert_false(resumes(&pair, "b.example.test", &session));
		assert_true(resumes(&pair, "b.example.test", &session));
		assert_false(resumes(&pair, "other.test", &session)); /* the server's own */
		assert_true(resumes(&pair, "other.test", &session));
		assert_false(resumes(&pair, "a.example.test", &session));
		sluice_session_free(session);
		pair_close(&pair);
	}
}

/* --- a function -------------------------------------------------------------------------- */

static struct {
	unsigned int n;
	char name[256];
	int result;
	const char *text; /* of the options; NULL: none */
} asked;

static int answer(void *arg, struct sluice_conn *conn, const char *name,
		  struct sluice_options **ret_extra)
{
	struct sluice_hello hello;

	assert_null(*ret_extra);
	assert_int_equal(sluice_hello(conn, &hello, sizeof(hello)), 0);
	assert_non_null(hello.sni);
	snprintf(asked.name, sizeof(asked.name), "%s", name);
	asked.n++;
	if (asked.text)
		*ret_extra = check_options(asked.text);
	return asked.result;
}

static void open_asking(struct pair *pair, struct setting *setting)
{
	memset(&asked, 0, sizeof(asked));
	*setting = (struct setting){ .fun = answer };
	pair_open(pair, &(struct pair_setup){ .set = set_server, .arg = setting });
}

static void SV_16_SV_18_a_function_is_asked_for_the_options(void **state)
{
	struct setting setting;
	struct pair pair;

	open_asking(&pair, &setting);
	asked.text = "versions = tlsv1.2\n";
	ask_for(&pair, "A.example.test", NULL);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(asked.n, 1);
	assert_string_equal(asked.name, "a.example.test");
	assert_int_equal(check_info(pair.client).version, TLS12);
	pair_drop(&pair);

	asked.text = NULL; /* it has nothing to say */
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(asked.n, 2);
	assert_int_equal(check_info(pair.client).version, TLS13);
	pair_drop(&pair);

	ask_for(&pair, "disable", NULL);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(asked.n, 2); /* and is not asked without a name */
	pair_close(&pair);
}

static void SV_16_the_handshake_waits_for_a_later_answer(void **state)
{
	struct sluice_options *extra, *late;
	struct setting setting;
	struct pair pair;

	open_asking(&pair, &setting);
	asked.result = SLUICE_PAUSED;
	ask_for(&pair, "a.example.test", NULL);
	pair_start(&pair, NULL);
	while (pair.server_result == -SLUICE_E_AGAIN) {
		sluice_conn_dispatch(pair.client);
		pair.server_result = sluice_conn_dispatch(pair.server);
	}
	assert_int_equal(pair.server_result, SLUICE_PAUSED);
	assert_int_equal(sluice_conn_dispatch(pair.client), -SLUICE_E_AGAIN);
	assert_int_equal(sluice_conn_dispatch(pair.server), SLUICE_PAUSED);
	late = check_options("ticket_count = 1\n");
	assert_int_equal(sluice_handshake_continue(pair.server, late, SLUICE_NOWAIT),
			 -SLUICE_E_OPTION_TOO_LATE);
	sluice_options_free(late);
	extra = check_options("versions = tlsv1.2\n");
	pair.server_result = sluice_handshake_continue(pair.server, extra, SLUICE_NOWAIT);
	sluice_options_free(extra);
	assert_int_equal(pair_run(&pair), 0);
	assert_int_equal(check_info(pair.client).version, TLS12);
	assert_int_equal(asked.n, 1);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

static void SV_16_a_function_refuses_a_name(void **state)
{
	struct setting setting;
	struct pair pair;

	open_asking(&pair, &setting);
	asked.result = -SLUICE_E_POLICY;
	ask_for(&pair, "a.example.test", NULL);
	pair_connect(&pair);
	check_refused(&pair, SLUICE_SERVER, SLUICE_E_POLICY, SLUICE_ALERT_UNRECOGNIZED_NAME);
	pair_close(&pair);
}

static void SV_16_options_that_do_not_fit_end_the_handshake(void **state)
{
	static const struct {
		const char *text;
		int code;
	} cases[] = {
		{ "handshake_timeout = 1\n", SLUICE_E_OPTION_TOO_LATE },
		{ "certfile = /nowhere/at/all.pem\n", SLUICE_E_FILE },
	};
	struct setting setting;
	struct pair pair;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		open_asking(&pair, &setting);
		asked.text = cases[i].text;
		ask_for(&pair, "a.example.test", NULL);
		pair_connect(&pair);
		check_refused(&pair, SLUICE_SERVER, cases[i].code, SLUICE_ALERT_INTERNAL_ERROR);
		pair_close(&pair);
	}
}

static void SV_16_SV_19_sessions_are_of_the_name_that_was_asked_for(void **state)
{
	struct sluice_session *session = NULL;
	struct setting setting;
	struct pair pair;

	open_asking(&pair, &setting);
	asked.text = "";
	assert_false(resumes(&pair, "a.example.test", &session));
	assert_true(resumes(&pair, "a.example.test", &session));
	assert_false(resumes(&pair, "b.example.test", &session));
	sluice_session_free(session);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(SV_15_SV_18_CL_20_the_most_specific_host_answers),
		cmocka_unit_test(SV_15_a_host_overrides_every_option),
		cmocka_unit_test(SV_15_a_host_goes_over_the_options_of_the_connection),
		cmocka_unit_test(SV_19_sessions_do_not_resume_at_another_host),
		cmocka_unit_test(SV_16_SV_18_a_function_is_asked_for_the_options),
		cmocka_unit_test(SV_16_the_handshake_waits_for_a_later_answer),
		cmocka_unit_test(SV_16_a_function_refuses_a_name),
		cmocka_unit_test(SV_16_options_that_do_not_fit_end_the_handshake),
		cmocka_unit_test(SV_16_SV_19_sessions_are_of_the_name_that_was_asked_for),
	};

	return cmocka_run_group_tests_name("flow/sni", tests, leaks_setup, leaks_teardown);
}
