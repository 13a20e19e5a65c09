/* SPDX-License-Identifier: Apache-2.0 */
/* Lines for logs: what a peer chose ends no line and makes no key. */
#include "common/text.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static const char *value(const char *text)
{
	static char out[4 * TEXT_MAX_VALUE + 3];

	size_t n = text_value(out, sizeof(out), text);

	assert_int_equal(n, strlen(out));
	return out;
}

static void values_are_plain_or_quoted(void **state)
{
	assert_string_equal(value("example.org"), "example.org");
	assert_string_equal(value("[::1]:443"), "[::1]:443");
	assert_string_equal(value(""), "\"\"");
	assert_string_equal(value("a b"), "\"a b\"");
	assert_string_equal(value("a=b"), "\"a=b\"");
	assert_string_equal(value("a\"b"), "\"a\\\"b\"");
	assert_string_equal(value("a\\b"), "\"a\\\\b\"");
	assert_string_equal(value("a\nreason=closed"), "\"a\\x0areason=closed\"");
	assert_string_equal(value("\x1b[2J\x7f\r\t"), "\"\\x1b[2J\\x7f\\x0d\\x09\"");
	assert_string_equal(value("\xc2\x9b\xff"), "\"\\xc2\\x9b\\xff\"");
}

static void long_values_are_cut(void **state)
{
	char text[2 * TEXT_MAX_VALUE], out[4 * TEXT_MAX_VALUE + 3];

	memset(text, '\n', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(text_value(out, sizeof(out), text), 4 * TEXT_MAX_VALUE + 2);
	assert_int_equal(text_value(out, sizeof(out) - 1, text), 0);
	assert_int_equal(text_value(out, 4, "a"), 0); /* might have become a quote of seven bytes */
	assert_int_equal(text_value(out, 7, "\n"), 6);
}

static void a_line_has_what_is_known(void **state)
{
	const struct text_field fields[] = {
		{ "session", "12", true },
		{ "reason", "closed" },
		{ "sni", NULL },
		{ "alpn", "h2 x" },
	};
	char out[200];
	size_t n = text_line(out, sizeof(out), "session 12 ended", fields, ARRAY_LEN(fields));

	assert_string_equal(out, "session 12 ended: reason=closed alpn=\"h2 x\"");
	assert_int_equal(n, strlen(out));
	text_line(out, sizeof(out), "nothing", NULL, 0);
	assert_string_equal(out, "nothing");
}

/* Of every size: never beyond it, always ended, no field in half. */
static void a_line_never_passes_its_end(void **state)
{
	const struct text_field fields[] = { { "a", "\n\n\n" }, { "b", "bbbb" } };
	static const char *const whole = "message: a=\"\\x0a\\x0a\\x0a\" b=bbbb";
	char out[80];
	size_t size, n;

	for (size = 1; size < sizeof(out) - 1; size++) {
		memset(out, '#', sizeof(out));
		n = text_line(out, size, "message", fields, ARRAY_LEN(fields));
		assert_true(n < size);
		assert_int_equal(strlen(out), n);
		assert_int_equal(out[size], '#');
		if (n > 8 && out[9] == 'a') /* b may be there without a, where a had no room */
			assert_memory_equal(out, whole, n);
	}
}

static void entries_of_the_journal_have_lengths(void **state)
{
	const struct text_field fields[] = {
		{ "session", "12", true },
		{ "sni", "a\nPRIORITY=0" },
		{ "alpn", NULL },
	};
	static const char wanted[] = "MESSAGE\n\2\0\0\0\0\0\0\0hi\n"
				     "PRIORITY\n\1\0\0\0\0\0\0\0006\n"
				     "SYSLOG_IDENTIFIER\n\7\0\0\0\0\0\0\0sluiced\n"
				     "SLUICE_SESSION\n\2\0\0\0\0\0\0\00012\n"
				     "SLUICE_SNI\n\14\0\0\0\0\0\0\0a\nPRIORITY=0\n";
	char out[400];
	size_t n = text_journal(out, sizeof(out), 6, "hi", fields, ARRAY_LEN(fields));

	assert_int_equal(n, sizeof(wanted) - 1);
	assert_memory_equal(out, wanted, n);
	assert_int_equal(text_journal(out, 4, 6, "hi", fields, ARRAY_LEN(fields)), 0);
}

static void addresses_are_of_their_family(void **state)
{
	struct sockaddr_in6 addr = { .sin6_port = htons(443) };
	char out[TEXT_ADDRESS_LEN];

	assert_int_equal(inet_pton(AF_INET6, "::ffff:192.0.2.1", &addr.sin6_addr), 1);
	assert_string_equal(text_address(out, &addr), "192.0.2.1:443");
	assert_int_equal(inet_pton(AF_INET6, "2001:db8::1", &addr.sin6_addr), 1);
	assert_string_equal(text_address(out, &addr), "[2001:db8::1]:443");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_plain_or_quoted),
		cmocka_unit_test(long_values_are_cut),
		cmocka_unit_test(a_line_has_what_is_known),
		cmocka_unit_test(a_line_never_passes_its_end),
		cmocka_unit_test(entries_of_the_journal_have_lengths),
		cmocka_unit_test(addresses_are_of_their_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
