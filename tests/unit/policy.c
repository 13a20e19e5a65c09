/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a profile makes of peers: the policy on its way from the configuration to handshakers, and what a
 * decision service may answer. Policies of the configuration are those that its parser makes.
 */
#include "common/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/decision.h"
#include "config/config.h"

#define BIT(reason) POLICY_BIT(SLUICE_BAD_CERT_##reason)

/* --- policies --------------------------------------------------------------------------------- */

static const struct policy sample = {
	.accept = BIT(EXPIRED) | BIT(HOSTNAME),
	.warn = BIT(HOSTNAME),
	.asks = true,
	.send_chain = true,
	.timeout_ms = 1234,
	.service = 0x1122334455667788,
	.profile = "web",
	.extensions = "+1.2.3\0-1.2.4",
	.extensions_len = 14,
};

static void a_policy_arrives_as_it_was(void **state)
{
	uint8_t buf[POLICY_MAX_BYTES];
	struct policy policy;
	size_t len = policy_write(&sample, buf, sizeof(buf));

	assert_true(policy_read(&policy, buf, len));
	assert_int_equal(policy.accept, sample.accept);
	assert_int_equal(policy.warn, sample.warn);
	assert_true(policy.asks && policy.send_chain);
	assert_int_equal(policy.timeout_ms, 1234);
	assert_int_equal(policy.service, sample.service);
	assert_string_equal(policy.profile, "web");
	assert_int_equal(policy.extensions_len, 14);
	assert_memory_equal(policy.extensions, sample.extensions, 14);
	assert_int_equal(policy_write(&sample, buf, len - 1), 0);
}

/* Whatever is read of it stays within it. */
static void what_is_not_whole_is_no_policy(void **state)
{
	uint8_t buf[POLICY_MAX_BYTES], *copy;
	struct policy policy;
	size_t at, len = policy_write(&sample, buf, sizeof(buf));
	unsigned int bit;

	for (at = 0; at < len; at++) {
		copy = malloc(at ? at : 1);
		assert_non_null(copy);
		memcpy(copy, buf, at);
		assert_false(policy_read(&policy, copy, at));
		free(copy);
	}
	for (at = 0; at < len; at++) {
		for (bit = 0; bit < 8; bit++) {
			copy = malloc(len);
			assert_non_null(copy);
			memcpy(copy, buf, len);
			copy[at] ^= (uint8_t)(1 << bit);
			if (policy_read(&policy, copy, len))
				policy_extension(&policy, policy.profile, true);
			free(copy);
		}
	}
}

static void OC_33_OC_34_what_goes_without_a_policy(void **state)
{
	struct policy policy;
	int reason;

	policy_default(&policy, true);
	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++)
		assert_false(policy.accept & POLICY_BIT(reason));
	assert_int_equal(policy_extension(&policy, "1.2.3", true), POLICY_UNKNOWN);
	assert_int_equal(policy_extension(&policy, "1.2.3", false), POLICY_UNKNOWN);
	policy_default(&policy, false);
	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++)
		assert_true(policy.accept & POLICY_BIT(reason));
	assert_int_equal(policy_extension(&policy, "1.2.3", true), POLICY_ACCEPT);
	assert_int_equal(policy_extension(&policy, "1.2.3", false), POLICY_UNKNOWN);
}

static void extensions_by_oid(void **state)
{
	assert_int_equal(policy_extension(&sample, "1.2.3", true), POLICY_ACCEPT);
	assert_int_equal(policy_extension(&sample, "1.2.3", false), POLICY_ACCEPT);
	assert_int_equal(policy_extension(&sample, "1.2.4", true), POLICY_REFUSE);
	assert_int_equal(policy_extension(&sample, "1.2.4", false), POLICY_REFUSE);
	assert_int_equal(policy_extension(&sample, "1.2.33", true), POLICY_UNKNOWN);
	assert_int_equal(policy_extension(&sample, "1.2", true), POLICY_UNKNOWN);
}

static void names_of_reasons(void **state)
{
	char out[POLICY_NAMES_LEN];

	assert_string_equal(policy_names(out, 0), "");
	assert_string_equal(policy_names(out, BIT(EXPIRED)), "expired");
	assert_string_equal(policy_names(out, BIT(EXPIRED) | BIT(UNKNOWN_CA)),
			    "unknown_ca,expired");
	policy_names(out, UINT64_MAX);
	assert_true(strlen(out) < POLICY_NAMES_LEN);
	assert_non_null(strstr(out, "undecided"));
}

/* --- of the configuration --------------------------------------------------------------------- */

static struct config *parse(const char *profile)
{
	struct config *config = NULL;
	struct config_error err;
	char text[2048];

	snprintf(text, sizeof(text),
		 "listeners: [{name: a, address: ':1', profile: p, pool: w}]\n"
		 "pools: {w: {socket: /s}}\n"
		 "profiles: {p: {certfile: /c, verify: verify_peer, cacertfile: /d, "
		 "fail_if_no_peer_cert: true, %s}}\n",
		 profile);
	if (config_parse(&config, "f", text, strlen(text), &err) < 0)
		fail_msg("%s", err.text);
	return config;
}

static void reasons_of_a_profile(void **state)
{
	struct config *config = parse("verify_policy: {expired: accept, hostname: log, weak_key: "
				      "refuse, revoked: refuse, extensions: {1.2.3: accept, "
				      "2.5.4.3: refuse}}");
	struct policy policy;

	assert_true(config_verify_policy(&config->profiles[0].verify, true, "p", &policy));
	assert_int_equal(policy.accept, BIT(EXPIRED) | BIT(HOSTNAME));
	assert_int_equal(policy.warn, BIT(HOSTNAME));
	assert_false(policy.asks);
	assert_int_equal(policy_extension(&policy, "1.2.3", true), POLICY_ACCEPT);
	assert_int_equal(policy_extension(&policy, "2.5.4.3", false), POLICY_REFUSE);
	assert_true(config_verify_policy(&config->profiles[0].verify, false, "p", &policy));
	assert_int_equal(policy.accept, POLICY_ALL & ~(BIT(WEAK_KEY) | BIT(REVOKED)));
	config_free(config);
}

static void no_policy_is_none(void **state)
{
	struct config *config = parse("depth: 1");
	struct policy policy;

	assert_false(config_verify_policy(&config->profiles[0].verify, true, "p", &policy));
	assert_int_equal(policy.accept, 0);
	config_free(config);
}

static void hosts_have_those_of_their_profile_or_their_own(void **state)
{
	struct config *config = parse(
		"verify_policy: {expired: accept, extensions: {1.2.3: accept}}, "
		"verify_socket: {path: /d.sock, ask_on: [not_yet], send_chain: true}, "
		"hosts: [{names: [a.b]}, {names: [c.d], verify_policy: {hostname: accept}}, "
		"{names: [e.f], verify_socket: none}, {names: [g.h], verify: verify_none, fail_if_no_peer_cert: false}, "
		"{names: [i.j], verify_socket: {path: /e.sock, timeout: 1, questions: 2}}]");
	const struct config_host *hosts = config->profiles[0].hosts;
	struct policy policy;

	assert_true(config_verify_policy(&hosts[0].verify, true, "p", &policy));
	assert_int_equal(policy.accept, BIT(EXPIRED) | BIT(NOT_YET));
	assert_true(policy.asks && policy.send_chain);
	assert_int_equal(policy.timeout_ms, 2000);
	assert_int_equal(policy.service, decision_service_id("/d.sock", 2000, 256));
	assert_int_equal(policy_extension(&policy, "1.2.3", true), POLICY_ACCEPT);
	config_verify_policy(&hosts[1].verify, true, "p", &policy);
	assert_int_equal(policy.accept, BIT(HOSTNAME) | BIT(NOT_YET));
	assert_int_equal(policy_extension(&policy, "1.2.3", true), POLICY_UNKNOWN);
	config_verify_policy(&hosts[2].verify, true, "p", &policy);
	assert_int_equal(policy.accept, BIT(EXPIRED));
	assert_false(policy.asks);
	assert_false(config_verify_policy(&hosts[3].verify, false, "p", &policy));
	config_verify_policy(&hosts[4].verify, true, "p", &policy);
	assert_int_equal(policy.service, decision_service_id("/e.sock", 1, 2));
	assert_false(policy.send_chain);
	config_free(config);
}

static void services_are_told_apart(void **state)
{
	uint64_t id = decision_service_id("/a", 1, 2);

	assert_int_equal(id, decision_service_id("/a", 1, 2));
	assert_int_not_equal(id, decision_service_id("/b", 1, 2));
	assert_int_not_equal(id, decision_service_id("/a", 2, 2));
	assert_int_not_equal(id, decision_service_id("/a", 1, 1));
}

/* What a server that asks for certificates has besides. */
#define PROFILE(text)                                                    \
	"listeners: [{name: a, address: ':443', profile: p, pool: w}]\n" \
	"pools: {w: {socket: /s}}\nprofiles: {p: {" text "}}\n"
#define PEERS(text) PROFILE("verify: verify_peer, cacertfile: /d, " text)
#define FORTY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct mistake {
	const char *text;
	int code;
	const char *says; /* the beginning */
} mistakes[] = {
	{ PROFILE("verify_policy: {expired: accept}"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:31: verify_policy: a server asks clients for certificates only with verify: verify_" },
	{ PEERS("verify_policy: {expird: accept}"), SLUICE_E_OPTION_UNKNOWN,
	  "f:3:69: verify_policy has no key \"expird\"; did you mean \"expired\"?" },
	{ PEERS("verify_policy: {expired: maybe}"), SLUICE_E_OPTION,
	  "f:3:78: expired: takes accept, log or refuse, not \"maybe\"" },
	{ PEERS("verify_policy: {revoked: accept}"), SLUICE_E_UNSUPPORTED,
	  "f:3:78: revoked: is never accepted, the key may be somebody else's; set crl_check" },
	{ PEERS("verify_policy: {malformed: log}"), SLUICE_E_UNSUPPORTED,
	  "f:3:80: malformed: is never accepted, nobody can say what they accept; write refuse" },
	{ PEERS("verify_policy: {not_checked: log}"), SLUICE_E_UNSUPPORTED,
	  "f:3:82: not_checked: is never accepted, what could not be checked may be wrong" },
	{ PEERS("verify_policy: {invalid_signature: accept}"), SLUICE_E_UNSUPPORTED,
	  "f:3:88: invalid_signature: is never accepted, anybody can write a certificate" },
	{ PEERS("verify_policy: {other: accept}"), SLUICE_E_UNSUPPORTED,
	  "f:3:76: other: is never accepted, it stands for errors that have no name yet" },
	{ PEERS("verify_policy: {extensions: [1.2.3]}"), SLUICE_E_OPTION,
	  "f:3:81: extensions: takes keys with values, not a list" },
	{ PEERS("verify_policy: {extensions: {subjectAltName: accept}}"), SLUICE_E_OPTION,
	  "f:3:82: extensions: \"subjectAltName\" is no OID; write one as 1.3" },
	{ PEERS("verify_policy: {extensions: {1: accept}}"), SLUICE_E_OPTION,
	  "f:3:82: extensions: " },
	{ PEERS("verify_policy: {extensions: {1.: accept}}"), SLUICE_E_OPTION,
	  "f:3:82: extensions" },
	{ PEERS("verify_policy: {extensions: {1.02: accept}}"), SLUICE_E_OPTION, "f:3:82: extens" },
	{ PEERS("verify_policy: {extensions: {1.2..3: accept}}"), SLUICE_E_OPTION, "f:3:82: exte" },
	{ PEERS("verify_policy: {extensions: {1.2.3: log}}"), SLUICE_E_OPTION,
	  "f:3:89: extensions: takes accept or refuse, not \"log\"" },
	{ PEERS("fail_if_no_peer_cert: true, peer_identity: dns, "
		"verify_policy: {unknown_ca: accept}"),
	  SLUICE_E_OPTION_CONFLICT,
	  "f:3:116: unknown_ca: who accepts this proves no name, and peer_identity and allow_" },
	{ PEERS("fail_if_no_peer_cert: true, allow_peers: ['cert:" FORTY_A
		"aaaaaaaaaaaaaaaaaaaaaaaa', 'dns:a.b'], "
		"verify_policy: {selfsigned_peer: log}"),
	  SLUICE_E_OPTION_CONFLICT, "f:3:195: selfsigned_peer: who accepts this proves no name" },
	{ PEERS("verify_socket: /s"), SLUICE_E_OPTION,
	  "f:3:68: verify_socket: takes keys with values, not one value" },
	{ PEERS("verify_socket: {timeout: 5}"), SLUICE_E_OPTION,
	  "f:3:68: verify_socket needs the key \"path\"; add it" },
	{ PEERS("verify_socket: {path: s}"), SLUICE_E_OPTION,
	  "f:3:75: path: takes an absolute path, not \"s\"; begin it with" },
	{ PEERS("verify_socket: {path: /s, timeout: 0}"), SLUICE_E_OPTION_RANGE,
	  "f:3:88: timeout: takes 1 to 60000, not 0" },
	{ PEERS("verify_socket: {path: /s, questions: 16385}"), SLUICE_E_OPTION_RANGE,
	  "f:3:90: questions: takes 1 to 16384, not 16385" },
	{ PEERS("verify_socket: {path: /s, on_failure: accept}"), SLUICE_E_UNSUPPORTED,
	  "f:3:91: on_failure: a peer that nobody has decided about is refused; write refuse" },
	{ PEERS("verify_socket: {path: /s, ask_on: expired}"), SLUICE_E_OPTION,
	  "f:3:87: ask_on: takes a list, not one value" },
	{ PEERS("verify_socket: {path: /s, ask_on: [expird]}"), SLUICE_E_OPTION,
	  "f:3:88: ask_on: there is no reason \"expird\"; did you mean expired" },
	{ PEERS("verify_socket: {path: /s, ask_on: [revoked]}"), SLUICE_E_UNSUPPORTED,
	  "f:3:88: ask_on: revoked is never accepted, the key may be somebody else's" },
	{ PEERS("verify_policy: {expired: refuse}, verify_socket: {path: /s, ask_on: [expired]}"),
	  SLUICE_E_OPTION_CONFLICT,
	  "f:3:102: ask_on: verify_policy has decided about expired; take it out of one" },
	{ PEERS("session_tickets: stateless, verify_socket: {path: /s}"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:96: verify_socket: nobody is asked about a session that resumes; set session_" },
	{ PEERS("fail_if_no_peer_cert: true, verify_socket: {path: /s}, hosts: [{names: [a.b], session_tickets: stateless}]"),
	  SLUICE_E_OPTION_CONFLICT, "f:3:116: verify_socket: nobody is asked about a session" },
	{ PEERS("verify_socket: {path: /s}"), SLUICE_E_OPTION_CONFLICT,
	  "f:3:68: verify_socket: nobody is asked about a client without a certificate; set" },
	{ "services: {s: {socket: /t, profiles: [p]}}\n"
	  "profiles: {p: {role: client, verify: verify_none, verify_socket: {path: /s}}}\n",
	  SLUICE_E_OPTION_CONFLICT,
	  "f:2:66: verify_socket: a client with verify_none accepts whatever is wrong, and" },
};

static void mistakes_have_their_place_and_words(void **state)
{
	struct config *config = NULL;
	struct config_error err;
	size_t i;
	int r;

	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		r = config_parse(&config, "f", mistakes[i].text, strlen(mistakes[i].text), &err);
		if (r != -mistakes[i].code ||
		    strncmp(err.text, mistakes[i].says, strlen(mistakes[i].says)))
			fail_msg("%s: %s", mistakes[i].text, err.text);
		assert_null(config);
	}
}

/* --- answers ---------------------------------------------------------------------------------- */

static void answers_that_are_taken(void **state)
{
	static const char all[] = "{\"question\": 7, \"answer\": \"accept\", \"reason\": \"r\", "
				  "\"identity\": \"who \\u00e9\", \"attributes\": \"a=b\"}";
	static const char least[] = " {\"answer\":\"refuse\",\"question\":9223372036854775807}";
	struct decision decision;

	assert_null(decision_parse(&decision, all, strlen(all)));
	assert_int_equal(decision.question, 7);
	assert_true(decision.accepted);
	assert_string_equal(decision.reason, "r");
	assert_string_equal(decision.identity, "who \xc3\xa9");
	assert_string_equal(decision.attributes, "a=b");
	assert_null(decision_parse(&decision, least, strlen(least)));
	assert_int_equal(decision.question, INT64_MAX);
	assert_false(decision.accepted);
	assert_string_equal(decision.reason, "");
	assert_string_equal(decision.identity, "");
}

static void answers_that_are_not(void **state)
{
	static const struct {
		const char *line, *why;
	} cases[] = {
		{ "", "one JSON object" },
		{ "1", "one JSON object" },
		{ "null", "one JSON object" },
		{ "[]", "one JSON object" },
		{ "accept", "one JSON object" },
		{ "{", "one JSON object" },
		{ "{}", "has question and answer" },
		{ "{} {}", "one JSON object" },
		{ "{\"question\":1,\"answer\":\"accept\"}}", "one JSON object" },
		{ "{'question':1,'answer':'accept'}", "one JSON object" },
		{ "{\"question\":1,\"answer\":\"accept\",}", "one JSON object" },
		{ "{\"question\":1}", "has question and answer" },
		{ "{\"answer\":\"accept\"}", "has question and answer" },
		{ "{\"question\":0,\"answer\":\"accept\"}", "the number of one" },
		{ "{\"question\":-1,\"answer\":\"accept\"}", "the number of one" },
		{ "{\"question\":1.0,\"answer\":\"accept\"}", "the number of one" },
		{ "{\"question\":\"1\",\"answer\":\"accept\"}", "the number of one" },
		{ "{\"question\":null,\"answer\":\"accept\"}", "the number of one" },
		{ "{\"question\":1,\"answer\":true}", "accept or refuse" },
		{ "{\"question\":1,\"answer\":null}", "accept or refuse" },
		{ "{\"question\":1,\"answer\":\"Accept\"}", "accept or refuse" },
		{ "{\"question\":1,\"answer\":\"accept\\u0000\"}", "accept or refuse" },
		{ "{\"question\":1,\"answer\":[\"accept\"]}", "accept or refuse" },
		{ "{\"question\":1,\"answer\":\"accept\",\"more\":1}", "a key that no answer has" },
		{ "{\"question\":1,\"answer\":\"accept\",\"identity\":1}", "are texts" },
		{ "{\"question\":1,\"answer\":\"accept\",\"identity\":null}", "are texts" },
		{ "{\"question\":1,\"answer\":\"accept\",\"identity\":\"a\\u0000b\"}",
		  "no control characters" },
		{ "{\"question\":1,\"answer\":\"accept\",\"reason\":\"a\\nb\"}",
		  "no control characters" },
		{ "{\"question\":1,\"answer\":\"accept\",\"attributes\":\"\\u007f\"}",
		  "no control characters" },
		{ "{\"question\":1,\"answer\":\"accept\",\"identity\":\"\xff\"}",
		  "one JSON object" },
		{ "{\"question\":1,\"answer\":\"accept\",\"identity\":[[[[[1]]]]]}",
		  "one JSON object" },
	};
	struct decision decision = { .question = 42 };
	const char *wrong;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wrong = decision_parse(&decision, cases[i].line, strlen(cases[i].line));
		if (!wrong || !strstr(wrong, cases[i].why))
			fail_msg("%s: %s", cases[i].line, wrong ? wrong : "taken");
		assert_int_equal(decision.question, 42); /* not written */
	}
}

static void texts_of_answers_have_a_length(void **state)
{
	char line[DECISION_MAX_ANSWER + 100], text[DECISION_TEXT + 1];
	struct decision decision;

	memset(text, 'a', sizeof(text));
	text[DECISION_TEXT - 1] = '\0';
	sprintf(line, "{\"question\":1,\"answer\":\"accept\",\"identity\":\"%s\"}", text);
	assert_null(decision_parse(&decision, line, strlen(line)));
	assert_int_equal(strlen(decision.identity), DECISION_TEXT - 1);
	text[DECISION_TEXT - 1] = 'a';
	text[DECISION_TEXT] = '\0';
	sprintf(line, "{\"question\":1,\"answer\":\"accept\",\"identity\":\"%s\"}", text);
	assert_non_null(decision_parse(&decision, line, strlen(line)));
	memset(line, ' ', sizeof(line));
	assert_string_equal(decision_parse(&decision, line, DECISION_MAX_ANSWER + 1),
			    "its line is too long");
}

/* --- questions -------------------------------------------------------------------------------- */

static bool is_object(const char *text)
{
	return decision_is_object((const uint8_t *)text, strlen(text));
}

static void questions_are_one_object(void **state)
{
	static const char *const good[] = {
		"{}",
		"{\"a\":[1,true,null],\"b\":{\"c\":{}}}",
		"{\"a\":\"}{\",\"}\":\"\\\"},\\\\\",\"b\":-1.5E+3}",
		"{\"a\":\"\xc3\xa9 // '\"}",
	};
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		if (!is_object(good[i]))
			fail_msg("%s", good[i]);
}

/* An owned handshaker would speak of other sessions. */
static void questions_that_are_more_than_one_object(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"[]",
		"}{",
		"{",
		"{\"a\":1",
		"{\"a\":\"}",
		"{\"a\":\"\\\"}",
		"{\"a\":1},\"question\":41,\"session\":7,\"tls\":{}",
		"{}}",
		"{} ",
		"{},\"b\":{}",
		"{\"a\":\"\\\\\"},\"b\":{\"c\":\"\"}",
		"{\"a\":[1},\"b\":{]}",
		"{'a':'\"'},\"question\":41,\"b\":{'c':'\"'}",
		"{/*\"*/},\"question\":41,\"b\":{/*\"*/}",
		"{\"a\":1\n}",
		"{\"a\":\"\\\n\"}",
	};
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (is_object(bad[i]))
			fail_msg("%s", bad[i]);
	assert_false(decision_is_object((const uint8_t *)"{\0}", 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_arrives_as_it_was),
		cmocka_unit_test(what_is_not_whole_is_no_policy),
		cmocka_unit_test(OC_33_OC_34_what_goes_without_a_policy),
		cmocka_unit_test(extensions_by_oid),
		cmocka_unit_test(names_of_reasons),
		cmocka_unit_test(reasons_of_a_profile),
		cmocka_unit_test(no_policy_is_none),
		cmocka_unit_test(hosts_have_those_of_their_profile_or_their_own),
		cmocka_unit_test(services_are_told_apart),
		cmocka_unit_test(mistakes_have_their_place_and_words),
		cmocka_unit_test(answers_that_are_taken),
		cmocka_unit_test(answers_that_are_not),
		cmocka_unit_test(texts_of_answers_have_a_length),
		cmocka_unit_test(questions_are_one_object),
		cmocka_unit_test(questions_that_are_more_than_one_object),
	};

	return cmocka_run_group_tests_name("unit/policy", tests, NULL, NULL);
}
