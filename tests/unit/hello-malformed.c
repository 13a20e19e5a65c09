/* SPDX-License-Identifier: Apache-2.0 */
/* Reading hellos that no library sends: every mistake there is room for, and what is absent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/hellos.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static struct hello *parse_ext(uint8_t type, const char *random, const struct ext *ext)
{
	return message_parse(message_make_hello(type, random, ext, 1));
}

static void nothing_sent_is_null(void **state)
{
	for (uint8_t type = CLIENT_HELLO; type <= SERVER_HELLO; type++) {
		struct hello *hello = message_parse(message_make_hello(type, RANDOM, NULL, 0));
		struct sluice_hello view;

		assert_non_null(hello);
		hello_export(hello, &view);
		assert_int_equal(view.n_suites, 1);
		assert_int_equal(view.suites[0], 0x1301);
		assert_null(view.sni);
		assert_null(view.alpn);
		assert_null(view.groups);
		assert_null(view.signature_algs);
		assert_null(view.versions);
		assert_null(view.ec_point_formats);
		assert_null(view.renegotiation_info);
		assert_null(view.srp);
		assert_null(view.next_protocol);
		assert_null(hello_free(hello));
	}
	assert_null(hello_free(NULL));
}

static void IN_32_srp_is_shown_as_it_came(void **state)
{
	const struct ext ext = EXT(12, "\4user");
	struct hello *hello = parse_ext(CLIENT_HELLO, RANDOM, &ext);
	struct sluice_hello view;

	assert_non_null(hello);
	hello_export(hello, &view);
	assert_int_equal(view.srp_len, 5);
	assert_memory_equal(view.srp, "\4user", 5);
	hello_free(hello);
}

static void IN_29_IN_33_renegotiation_info_and_next_protocol_with_content(void **state)
{
	const struct ext exts[] = { EXT(0xff01, "\3abc"), EXT(13172, "\2h2") };
	struct hello *hello =
		message_parse(message_make_hello(SERVER_HELLO, RANDOM, exts, ARRAY_SIZE(exts)));
	struct sluice_hello view;

	assert_non_null(hello);
	hello_export(hello, &view);
	assert_int_equal(view.renegotiation_info_len, 3);
	assert_memory_equal(view.renegotiation_info, "abc", 3);
	assert_int_equal(view.next_protocol_len, 3);
	assert_memory_equal(view.next_protocol, "\2h2", 3);
	hello_free(hello);
}

static void all_extensions_have_room(void **state)
{
	const struct ext exts[] = {
		EXT(0, "\0\6\0\0\3abc"), EXT(10, "\0\2\0\x1d"),     EXT(11, "\3\0\1\2"),
		EXT(12, "\4user"),       EXT(13, "\0\4\4\3\x08\4"), EXT(16, "\0\5\2h2\1x"),
		EXT(43, "\4\3\4\3\3"),   EXT(13172, "\7n-p-n-x"),   EXT(0xff01, "\5renew"),
	};
	struct hello *hello =
		message_parse(message_make_hello(CLIENT_HELLO, RANDOM, exts, ARRAY_SIZE(exts)));
	struct sluice_hello view;

	assert_non_null(hello);
	hello_export(hello, &view);
	assert_string_equal(view.sni, "abc");
	assert_int_equal(view.groups[0], 0x001d);
	assert_memory_equal(view.ec_point_formats, "\0\1\2", 3);
	assert_memory_equal(view.srp, "\4user", 5);
	assert_int_equal(view.signature_algs[1], 0x0804);
	assert_memory_equal(view.alpn, "\2h2\1x", 5);
	assert_int_equal(view.versions[1], 0x0303);
	assert_memory_equal(view.next_protocol, "\7n-p-n-x", 8);
	assert_memory_equal(view.renegotiation_info, "renew", 5);
	hello_free(hello);
}

struct body {
	struct ext ext;
	uint8_t from;
	bool accepted;
};

static void check_bodies(const struct body *bodies, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct hello *hello = parse_ext(bodies[i].from, RANDOM, &bodies[i].ext);

		if (!!hello != bodies[i].accepted)
			fail_msg("body %zu was %s", i, hello ? "accepted" : "refused");
		hello_free(hello);
	}
}

#define YES true
#define NO false

static void malformed_names_are_refused(void **state)
{
	static const struct body bodies[] = {
		{ EXT(0, "\0\4\0\0\1a"), CLIENT_HELLO, YES },
		{ EXT(0, ""), CLIENT_HELLO, NO },
		{ EXT(0, "\0"), CLIENT_HELLO, NO },
		{ EXT(0, "\0\0"), CLIENT_HELLO, NO },
		{ EXT(0, "\0\1\0"), CLIENT_HELLO, NO },
		{ EXT(0, "\0\2\0\0"), CLIENT_HELLO, NO },
		{ EXT(0, "\0\3\0\0\0"), CLIENT_HELLO, NO },    /* no name */
		{ EXT(0, "\0\4\1\0\1a"), CLIENT_HELLO, NO },   /* another type */
		{ EXT(0, "\0\4\0\0\2a"), CLIENT_HELLO, NO },   /* beyond the list */
		{ EXT(0, "\0\5\0\0\1a"), CLIENT_HELLO, NO },   /* beyond the extension */
		{ EXT(0, "\0\4\0\0\1ab"), CLIENT_HELLO, NO },  /* after the list */
		{ EXT(0, "\0\5\0\0\1ab"), CLIENT_HELLO, NO },  /* after the name */
		{ EXT(0, "\0\5\0\0\2a\0"), CLIENT_HELLO, NO }, /* NUL */
		{ EXT(0, "\0\6\0\0\3a\0b"), CLIENT_HELLO, NO },
		{ EXT(0, "\0\x08\0\0\1a\0\0\1b"), CLIENT_HELLO, NO }, /* two names */
		{ EXT(0, ""), SERVER_HELLO, YES },
		{ EXT(0, "\0\4\0\0\1a"), SERVER_HELLO, NO },
	};

	check_bodies(bodies, ARRAY_SIZE(bodies));
}

static void a_name_has_at_most_255_bytes(void **state)
{
	for (size_t len = 254; len <= 257; len++) {
		char body[5 + 257];
		const struct ext ext = { 0, body, 5 + len };
		struct sluice_hello view;
		struct hello *hello;

		memset(body, 'a', sizeof(body));
		body[0] = (char)((len + 3) >> 8);
		body[1] = (char)(len + 3);
		body[2] = 0;
		body[3] = (char)(len >> 8);
		body[4] = (char)len;
		hello = parse_ext(CLIENT_HELLO, RANDOM, &ext);
		if (len > 255) {
			assert_null(hello);
			continue;
		}
		assert_non_null(hello);
		hello_export(hello, &view);
		assert_int_equal(strlen(view.sni), len);
		hello_free(hello);
	}
}

static void malformed_lists_are_refused(void **state)
{
	static const struct body bodies[] = {
		{ EXT(10, "\0\2\0\x1d"), CLIENT_HELLO, YES },
		{ EXT(10, "\0\0"), CLIENT_HELLO, NO },
		{ EXT(10, ""), CLIENT_HELLO, NO },
		{ EXT(10, "\0\1\0"), CLIENT_HELLO, NO },
		{ EXT(10, "\0\3\0\x1d\0"), CLIENT_HELLO, NO },
		{ EXT(10, "\0\4\0\x1d"), CLIENT_HELLO, NO },
		{ EXT(10, "\0\2\0\x1d\0"), CLIENT_HELLO, NO },
		{ EXT(10, "x"), SERVER_HELLO, YES }, /* not read: RFC 8422, 4 */
		{ EXT(13, "\0\2\4\3"), CLIENT_HELLO, YES },
		{ EXT(13, "\0\0"), CLIENT_HELLO, NO },
		{ EXT(13, "\0\3\4\3\4"), CLIENT_HELLO, NO },
		{ EXT(13, "\0\2\4\3\4"), CLIENT_HELLO, NO },
		{ EXT(13, "\0"), CLIENT_HELLO, NO },
		{ EXT(43, "\2\3\4"), CLIENT_HELLO, YES },
		{ EXT(43, "\0"), CLIENT_HELLO, NO },
		{ EXT(43, ""), CLIENT_HELLO, NO },
		{ EXT(43, "\3\3\4\3"), CLIENT_HELLO, NO },
		{ EXT(43, "\4\3\4"), CLIENT_HELLO, NO },
		{ EXT(43, "\2\3\4\3"), CLIENT_HELLO, NO },
		{ EXT(43, "\3\4"), SERVER_HELLO, YES },
		{ EXT(43, "\2\3\4"), SERVER_HELLO, NO },
		{ EXT(43, "\3"), SERVER_HELLO, NO },
		{ EXT(43, ""), SERVER_HELLO, NO },
	};

	check_bodies(bodies, ARRAY_SIZE(bodies));
}

static void malformed_bytes_are_refused(void **state)
{
	static const struct body bodies[] = {
		{ EXT(16, "\0\3\2h2"), CLIENT_HELLO, YES },
		{ EXT(16, "\0\5\2h2\1x"), CLIENT_HELLO, YES },
		{ EXT(16, ""), CLIENT_HELLO, NO },
		{ EXT(16, "\0\0"), CLIENT_HELLO, NO },
		{ EXT(16, "\0\1\0"), CLIENT_HELLO, NO }, /* an empty name */
		{ EXT(16, "\0\4\2h2\0"), CLIENT_HELLO, NO },
		{ EXT(16, "\0\3\3h2"), CLIENT_HELLO, NO },
		{ EXT(16, "\0\4\2h2"), CLIENT_HELLO, NO },
		{ EXT(16, "\0\3\2h2\0"), CLIENT_HELLO, NO },
		{ EXT(16, "\0\3\2h2"), SERVER_HELLO, YES },
		{ EXT(16, "\0\5\2h2\1x"), SERVER_HELLO, NO }, /* a choice of two */
		{ EXT(16, "\0\0"), SERVER_HELLO, NO },
		{ EXT(11, "\1\0"), CLIENT_HELLO, YES },
		{ EXT(11, "\3\0\1\2"), SERVER_HELLO, YES },
		{ EXT(11, "\0"), CLIENT_HELLO, NO },
		{ EXT(11, ""), SERVER_HELLO, NO },
		{ EXT(11, "\2\0"), CLIENT_HELLO, NO },
		{ EXT(11, "\1\0\0"), SERVER_HELLO, NO },
		{ EXT(0xff01, "\0"), CLIENT_HELLO, YES },
		{ EXT(0xff01, ""), CLIENT_HELLO, NO },
		{ EXT(0xff01, "\1"), CLIENT_HELLO, NO },
		{ EXT(0xff01, "\0\0"), SERVER_HELLO, NO },
		{ EXT(12345, "anything"), CLIENT_HELLO, YES },
		{ EXT(12345, ""), SERVER_HELLO, YES },
	};

	check_bodies(bodies, ARRAY_SIZE(bodies));
}

static void malformed_key_shares_are_refused(void **state)
{
	static const struct {
		struct ext ext;
		const char *random;
		bool accepted;
	} shares[] = {
		{ EXT(51, "\0\x1d\0\1k"), RANDOM, YES },
		{ EXT(51, "\0\x1d"), RANDOM, NO },
		{ EXT(51, "\0\x1d\0\0"), RANDOM, NO },
		{ EXT(51, "\0\x1d\0\2k"), RANDOM, NO },
		{ EXT(51, "\0\x1d\0\1kk"), RANDOM, NO },
		{ EXT(51, "\0"), RANDOM, NO },
		{ EXT(51, "\0\x1d"), RETRY_RANDOM, YES },
		{ EXT(51, "\0\x1d\0\1k"), RETRY_RANDOM, NO },
		{ EXT(51, ""), RETRY_RANDOM, NO },
	};

	for (size_t i = 0; i < ARRAY_SIZE(shares); i++) {
		struct hello *hello = parse_ext(SERVER_HELLO, shares[i].random, &shares[i].ext);

		assert_int_equal(!!hello, shares[i].accepted);
		if (hello)
			assert_int_equal(hello_is_retry(hello), shares[i].random[0] != 'R');
		hello_free(hello);
	}
}

/* A client's random may be anything. */
static void only_a_server_asks_to_retry(void **state)
{
	struct hello *hello =
		message_parse(message_make_hello(CLIENT_HELLO, RETRY_RANDOM, NULL, 0));

	assert_non_null(hello);
	assert_false(hello_is_retry(hello));
	hello_free(hello);
}

static void an_extension_sent_twice_is_refused(void **state)
{
	static const struct ext twice[][3] = {
		{ EXT(16, "\0\3\2h2"), EXT(11, "\1\0"), EXT(16, "\0\3\2h2") },
		{ EXT(12345, ""), EXT(11, "\1\0"), EXT(12345, "x") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(twice); i++) {
		assert_null(message_parse(message_make_hello(CLIENT_HELLO, RANDOM, twice[i], 3)));
		assert_null(message_parse(message_make_hello(SERVER_HELLO, RANDOM, twice[i], 3)));
		hello_free(message_parse(message_make_hello(CLIENT_HELLO, RANDOM, twice[i], 2)));
	}
}

/* As many extensions as there is room for, and the last one again. */
static void as_many_extensions_as_fit(void **state)
{
	size_t n = 65535 / 4;
	struct ext *exts = calloc(n, sizeof(*exts));
	struct hello *hello;

	assert_non_null(exts);
	for (size_t i = 0; i < n; i++)
		exts[i] = (struct ext){ (uint16_t)(0x4000 + i), "", 0 };
	hello = message_parse(message_make_hello(CLIENT_HELLO, RANDOM, exts, n));
	assert_non_null(hello);
	hello_free(hello);
	exts[n - 1].type = exts[0].type;
	assert_null(message_parse(message_make_hello(CLIENT_HELLO, RANDOM, exts, n)));
	free(exts);
}

static void bytes_after_a_hello_are_refused(void **state)
{
	static const struct ext ext = EXT(11, "\1\0");

	for (uint8_t type = CLIENT_HELLO; type <= SERVER_HELLO; type++) {
		struct message message = message_make_hello(type, RANDOM, &ext, 1);
		struct message longer = message_copy(message.bytes, message.len);

		longer.bytes = realloc(longer.bytes, ++longer.len);
		assert_non_null(longer.bytes);
		longer.bytes[longer.len - 1] = 0;
		assert_null(message_parse(message_copy(longer.bytes, longer.len)));
		message_set_length(&longer);
		assert_null(message_parse(longer));
		free(message.bytes);
	}
}

static void only_a_hello_is_one(void **state)
{
	struct message message = message_make_hello(CLIENT_HELLO, RANDOM, NULL, 0);
	struct hello *hello = NULL;

	assert_int_equal(hello_parse_server(&hello, message.bytes, message.len),
			 -SLUICE_E_PROTOCOL);
	for (unsigned int type = 0; type <= 255; type++) {
		if (type == CLIENT_HELLO)
			continue;
		message.bytes[0] = (uint8_t)type;
		assert_int_equal(hello_parse_client(&hello, message.bytes, message.len),
				 -SLUICE_E_PROTOCOL);
	}
	assert_null(hello);
	free(message.bytes);
}

/* What may come after version and random, before the extensions. */
#define NO_ID "\0"
#define SUITE "\0\2\x13\1"
#define COMPRESSION "\1\0"
#define REST(type, rest, accepted)                     \
	{                                              \
		rest, sizeof(rest) - 1, type, accepted \
	}

static void malformed_starts_are_refused(void **state)
{
	static const struct {
		const char *rest;
		size_t len;
		uint8_t type;
		bool accepted;
	} rests[] = {
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION, YES),
		REST(CLIENT_HELLO, "\1s" SUITE "\2\1\0", YES),
		REST(CLIENT_HELLO, "\x20" RANDOM SUITE COMPRESSION, YES),
		REST(CLIENT_HELLO, "\x21" RANDOM "s" SUITE COMPRESSION, NO),
		REST(CLIENT_HELLO, NO_ID "\0\0" COMPRESSION, NO),
		REST(CLIENT_HELLO, NO_ID "\0\1\x13" COMPRESSION, NO),
		REST(CLIENT_HELLO, NO_ID "\0\3\x13\1\x13" COMPRESSION, NO),
		REST(CLIENT_HELLO, NO_ID SUITE "\0", NO),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0", NO),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0\0", YES),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0\1", NO),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0\1x", NO),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0\3\1\1\0", NO),
		REST(CLIENT_HELLO, NO_ID SUITE COMPRESSION "\0\4\1\1\0\1", NO),
		REST(SERVER_HELLO, NO_ID "\x13\1\0", YES),
		REST(SERVER_HELLO, "\x20" RANDOM "\x13\1\0\0\0", YES),
		REST(SERVER_HELLO, "\x21" RANDOM "s\x13\1\0", NO),
		REST(SERVER_HELLO, NO_ID "\x13\1", NO),
		REST(SERVER_HELLO, NO_ID "\x13\1\0\0\1", NO),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rests); i++) {
		struct message message = { malloc(256), MESSAGE_HEADER_LEN + 34 + rests[i].len };
		struct message exact;
		struct hello *hello;

		assert_non_null(message.bytes);
		message.bytes[0] = rests[i].type;
		memcpy(message.bytes + MESSAGE_HEADER_LEN, "\3\3" RANDOM, 34);
		memcpy(message.bytes + MESSAGE_HEADER_LEN + 34, rests[i].rest, rests[i].len);
		message_set_length(&message);
		exact = message_copy(message.bytes, message.len);
		free(message.bytes);
		hello = message_parse(exact);
		if (!!hello != rests[i].accepted)
			fail_msg("start %zu was %s", i, hello ? "accepted" : "refused");
		hello_free(hello);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_sent_is_null),
		cmocka_unit_test(IN_32_srp_is_shown_as_it_came),
		cmocka_unit_test(IN_29_IN_33_renegotiation_info_and_next_protocol_with_content),
		cmocka_unit_test(all_extensions_have_room),
		cmocka_unit_test(malformed_names_are_refused),
		cmocka_unit_test(a_name_has_at_most_255_bytes),
		cmocka_unit_test(malformed_lists_are_refused),
		cmocka_unit_test(malformed_bytes_are_refused),
		cmocka_unit_test(malformed_key_shares_are_refused),
		cmocka_unit_test(only_a_server_asks_to_retry),
		cmocka_unit_test(an_extension_sent_twice_is_refused),
		cmocka_unit_test(as_many_extensions_as_fit),
		cmocka_unit_test(bytes_after_a_hello_are_refused),
		cmocka_unit_test(only_a_hello_is_one),
		cmocka_unit_test(malformed_starts_are_refused),
	};

	return cmocka_run_group_tests_name("unit/hello-malformed", tests, NULL, NULL);
}
