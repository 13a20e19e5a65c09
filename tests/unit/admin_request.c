/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the administration socket and the filters in them: what is meant, and what is refused. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/admin.h"

static const char *parse(struct admin_request *request, const char *line)
{
	return admin_request_parse(request, line, strlen(line));
}

static void requests_name_what_they_want(void **state)
{
	static const char *const names[ADMIN_VERBS] = {
		[ADMIN_STATUS] = "status",       [ADMIN_SESSIONS] = "sessions",
		[ADMIN_STATS] = "stats",         [ADMIN_WORKERS] = "workers",
		[ADMIN_LISTENERS] = "listeners", [ADMIN_CERTS] = "certs",
		[ADMIN_OPTIONS] = "options",     [ADMIN_DRAIN] = "drain",
		[ADMIN_RELOAD] = "reload",       [ADMIN_STOP] = "stop",
	};
	struct admin_request request;
	char line[80];
	size_t i;

	for (i = 0; i < ADMIN_VERBS; i++) {
		if (!names[i])
			continue;
		snprintf(line, sizeof(line), " {\"request\" : \"%s\"}", names[i]);
		assert_null(parse(&request, line));
		assert_int_equal(request.verb, i);
		assert_true(request.filter.any);
	}
	assert_null(parse(&request, "{\"request\":\"session\",\"id\":7}"));
	assert_int_equal(request.id, 7);
	assert_null(parse(&request, "{\"level\":\"debug\",\"request\":\"log\"}"));
	assert_int_equal(request.level, CONFIG_LOG_DEBUG);
	assert_null(parse(&request, "{\"request\":\"drain\",\"off\":true}"));
	assert_true(request.off);
	assert_null(parse(&request, "{\"request\":\"kill\",\"filter\":{\"pool\":\"app\"}}"));
	assert_false(request.filter.any);
	assert_string_equal(request.filter.pool, "app");
	assert_null(parse(&request, "{\"request\":\"rekey\",\"id\":7,\"both\":true}"));
	assert_true(request.both);
	assert_null(parse(&request, "{\"request\":\"trace\",\"for\":86400,\"filter\":{\"peer\":"
				    "\"192.0.2.0/24\",\"listener\":\"web\"}}"));
	assert_int_equal(request.for_ms, 86400000);
}

static void what_is_no_request_is_refused(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"status",
		"{",
		"{}",
		"[]",
		"1",
		"null",
		"\"status\"",
		"{\"request\":1}",
		"{\"request\":null}",
		"{\"request\":\"Status\"}",
		"{\"request\":\"status\"} x",
		"{\"request\":\"status\"}{\"request\":\"status\"}",
		"{\"request\":\"status\",}",
		"{'request':'status'}",
		"{\"request\":\"status\",\"id\":1}",
		"{\"request\":\"status\",\"filter\":{}}",
		"{\"request\":\"session\"}",
		"{\"request\":\"session\",\"id\":0}",
		"{\"request\":\"session\",\"id\":-1}",
		"{\"request\":\"session\",\"id\":\"1\"}",
		"{\"request\":\"session\",\"id\":1.5}",
		"{\"request\":\"log\"}",
		"{\"request\":\"log\",\"level\":7}",
		"{\"request\":\"log\",\"level\":null}",
		"{\"request\":\"drain\",\"off\":1}",
		"{\"request\":\"rekey\",\"id\":1,\"both\":1}",
		"{\"request\":\"kill\",\"id\":1,\"both\":true}",
		"{\"request\":\"trace\",\"id\":1,\"for\":0}",
		"{\"request\":\"trace\",\"id\":1,\"for\":-1}",
		"{\"request\":\"trace\",\"id\":1,\"for\":86401}",
		"{\"request\":\"trace\",\"id\":1,\"for\":\"1\"}",
		"{\"request\":\"trace\",\"id\":1,\"for\":99999999999999999999}",
		"{\"request\":\"rekey\",\"id\":1,\"for\":1}",
		"{\"request\":\"trace\",\"for\":1}",
		"{\"request\":\"trace\",\"filter\":{\"sni\":\"a\"}}",
		"{\"request\":\"trace\",\"filter\":{\"listener\":\"web\",\"state\":\"live\"}}",
		"{\"request\":\"sessions\",\"filter\":[]}",
		"{\"request\":\"sessions\",\"filter\":\"live\"}",
		"{\"request\":\"sessions\",\"filter\":null,\"x\":1}",
		"{\"request\":\"sessions\",\"filter\":{\"state\":{\"a\":{\"b\":{}}}}}",
		"{\"request\":\"\xff\"}",
	};
	struct admin_request request;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (!parse(&request, lines[i]))
			fail_msg("taken: %s", lines[i]);
	assert_non_null(admin_request_parse(&request, "{\"request\":\"status\"}\0x", 22));
}

/* Nobody ends everything by leaving something out, nor gives all new keys. */
static void an_act_needs_to_mean_somebody(void **state)
{
	static const char *const verbs[] = { "kill", "rekey", "trace" };
	struct admin_request request;
	char line[120];
	size_t i;

	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		snprintf(line, sizeof(line), "{\"request\":\"%s\"}", verbs[i]);
		assert_non_null(parse(&request, line));
		snprintf(line, sizeof(line), "{\"request\":\"%s\",\"filter\":{}}", verbs[i]);
		assert_non_null(parse(&request, line));
		snprintf(line, sizeof(line), "{\"request\":\"%s\",\"filter\":null}", verbs[i]);
		assert_non_null(parse(&request, line));
		snprintf(line, sizeof(line),
			 "{\"request\":\"%s\",\"id\":1,\"filter\":{\"peer\":\"::1\"}}", verbs[i]);
		assert_non_null(parse(&request, line));
		snprintf(line, sizeof(line), "{\"request\":\"%s\",\"id\":1}", verbs[i]);
		assert_null(parse(&request, line));
	}
}

static void only_what_changes_something_acts(void **state)
{
	int verb;

	for (verb = 0; verb < ADMIN_VERBS; verb++)
		assert_int_equal(admin_verb_acts((enum admin_verb)verb),
				 verb >= ADMIN_KILL && verb != ADMIN_CRL_LIST);
}

/* --- filters -------------------------------------------------------------------------------------- */

static const char *set(struct filter *filter, const char *key, const char *value)
{
	struct json_object *object = json_object_new_object();
	const char *wrong;

	json_object_object_add(object, key, json_object_new_string(value));
	wrong = filter_parse(filter, object);
	json_object_put(object);
	return wrong;
}

static bool fits(const char *key, const char *value, const struct session *session)
{
	struct filter filter;

	if (set(&filter, key, value))
		fail_msg("refused: %s=%s", key, value);
	return filter_fits(&filter, session, "https", "app", 3);
}

static struct session from(const char *ip, uint16_t port)
{
	struct session session = { .state = SESSION_LIVE };

	session.peer.sin6_family = AF_INET6;
	session.peer.sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, ip, &session.peer.sin6_addr), 1);
	return session;
}

static void filters_by_name_and_state(void **state)
{
	struct session session = from("::1", 1);
	struct filter filter;

	assert_true(fits("state", "live", &session));
	assert_false(fits("state", "queued", &session));
	assert_true(fits("listener", "https", &session));
	assert_false(fits("listener", "http", &session));
	assert_true(fits("pool", "app", &session));
	assert_false(fits("pool", "ap", &session));
	assert_true(fits("worker", "3", &session));
	assert_false(fits("worker", "33", &session));
	assert_null(set(&filter, "pool", "app"));
	assert_false(filter_fits(&filter, &session, "https", NULL, 0)); /* none is chosen yet */
}

static void filters_by_server_name(void **state)
{
	struct session session = from("::1", 1);

	assert_true(fits("sni", "-", &session));
	assert_false(fits("sni", "example.org", &session));
	session.sni = (char[]){ "www.Example.org" };
	assert_false(fits("sni", "-", &session));
	assert_true(fits("sni", "WWW.example.org", &session));
	assert_true(fits("sni", "*.example.org", &session));
	assert_true(fits("sni", "*.org", &session));
	assert_false(fits("sni", "*.www.example.org", &session));
	assert_false(fits("sni", "*.ample.org", &session));
	assert_false(fits("sni", "example.org", &session));
}

static void filters_by_address(void **state)
{
	struct session v4 = from("::ffff:192.0.2.130", 443), v6 = from("2001:db8:1::8", 40000);

	assert_true(fits("peer", "192.0.2.130", &v4));
	assert_true(fits("peer", "192.0.2.130:443", &v4));
	assert_false(fits("peer", "192.0.2.130:444", &v4));
	assert_false(fits("peer", "192.0.2.131", &v4));
	assert_true(fits("peer", "192.0.2.128/25", &v4));
	assert_false(fits("peer", "192.0.2.0/25", &v4));
	assert_true(fits("peer", "192.0.2.131/31", &v4));
	assert_false(fits("peer", "192.0.2.132/31", &v4));
	assert_true(fits("peer", "0.0.0.0/0", &v4));
	assert_false(fits("peer", "0.0.0.0/0", &v6));
	assert_true(fits("peer", "2001:db8:1::8", &v6));
	assert_true(fits("peer", "[2001:db8:1::8]", &v6));
	assert_true(fits("peer", "[2001:db8:1::8]:40000", &v6));
	assert_false(fits("peer", "[2001:db8:1::8]:1", &v6));
	assert_true(fits("peer", "2001:db8::/32", &v6));
	assert_true(fits("peer", "2001:db8:1::8/128", &v6));
	assert_false(fits("peer", "2001:db8:2::/47", &v6));
}

static void what_is_no_filter_is_refused(void **state)
{
	static const char *const wrong[][2] = {
		{ "state", "" },
		{ "state", "dead" },
		{ "states", "live" },
		{ "listener", "" },
		{ "worker", "" },
		{ "worker", "0" },
		{ "worker", "-1" },
		{ "worker", "1x" },
		{ "worker", " 1" },
		{ "worker", "99999999999999999999" },
		{ "peer", "" },
		{ "peer", "localhost" },
		{ "peer", "192.0.2.1/33" },
		{ "peer", "192.0.2.1/" },
		{ "peer", "192.0.2.1/-1" },
		{ "peer", "192.0.2.1:" },
		{ "peer", "192.0.2.1:0" },
		{ "peer", "192.0.2.1:65536" },
		{ "peer", "2001:db8::/129" },
		{ "peer", "[2001:db8::1" },
		{ "peer", "[2001:db8::1]x" },
		{ "peer", "[2001:db8::1]:" },
		{ "peer", "::/0" },
		{ "peer", "192.0.2.1/24:443" },
	};
	struct filter filter;
	char long_name[FILTER_TEXT + 1];
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (!set(&filter, wrong[i][0], wrong[i][1]))
			fail_msg("taken: %s=%s", wrong[i][0], wrong[i][1]);
	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_non_null(set(&filter, "sni", long_name));
	long_name[FILTER_TEXT - 1] = '\0';
	assert_null(set(&filter, "sni", long_name));
	memset(long_name, '1', sizeof(long_name) - 1);
	assert_non_null(set(&filter, "peer", long_name));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_name_what_they_want),
		cmocka_unit_test(what_is_no_request_is_refused),
		cmocka_unit_test(an_act_needs_to_mean_somebody),
		cmocka_unit_test(only_what_changes_something_acts),
		cmocka_unit_test(filters_by_name_and_state),
		cmocka_unit_test(filters_by_server_name),
		cmocka_unit_test(filters_by_address),
		cmocka_unit_test(what_is_no_filter_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
