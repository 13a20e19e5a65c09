/* SPDX-License-Identifier: Apache-2.0 */
/* What programs ask a service for: what is taken, and every kind of request that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker.h"

struct message {
	uint8_t bytes[1024];
	struct wire wire;
};

/* A request that is taken; more can be put behind it. */
static void begin(struct message *message, enum sluice_role role)
{
	wire_begin(&message->wire, message->bytes, sizeof(message->bytes), MSG_UPGRADE, 1);
	wire_put_u64(&message->wire, ATTR_ROLE, (uint64_t)role);
	wire_put_text(&message->wire, ATTR_NAME, "outgoing");
}

static const char *take(struct message *message, struct upgrade_request *ret_request)
{
	struct wire_reader reader;
	struct wire_head head;

	assert_true(wire_end(&message->wire) > 0);
	assert_true(wire_open(&reader, message->bytes, message->wire.len, &head));
	return upgrade_request_read(ret_request, reader);
}

static void refused(struct message *message, const char *why)
{
	struct upgrade_request request = { .plain = true };
	const char *wrong = take(message, &request);

	assert_non_null(wrong);
	assert_non_null(strstr(wrong, why));
	assert_int_equal(request.role, 0); /* not written */
}

static void a_whole_request(void **state)
{
	struct upgrade_request request;
	struct message message;

	begin(&message, SLUICE_CLIENT);
	wire_put_text(&message.wire, ATTR_HOST, "www.example.org");
	wire_put_text(&message.wire, ATTR_ALPN, "h2,http/1.1");
	wire_put_u64(&message.wire, ATTR_PLAIN, 1);
	wire_put_u64(&message.wire, 1000, 1); /* of a later version */
	assert_null(take(&message, &request));
	assert_int_equal(request.role, SLUICE_CLIENT);
	assert_string_equal(request.profile, "outgoing");
	assert_string_equal(request.host, "www.example.org");
	assert_string_equal(request.alpn, "h2,http/1.1");
	assert_true(request.plain);
}

static void what_may_be_left_out(void **state)
{
	struct upgrade_request request;
	struct message message;

	begin(&message, SLUICE_SERVER);
	assert_null(take(&message, &request));
	assert_int_equal(request.role, SLUICE_SERVER);
	assert_string_equal(request.host, "");
	assert_string_equal(request.alpn, "");
	assert_false(request.plain);
}

static void what_may_not(void **state)
{
	struct message message;

	wire_begin(&message.wire, message.bytes, sizeof(message.bytes), MSG_UPGRADE, 1);
	refused(&message, "role is missing");
	wire_put_u64(&message.wire, ATTR_ROLE, SLUICE_CLIENT);
	refused(&message, "profile is missing");
	wire_put_u64(&message.wire, ATTR_ROLE, 3);
	refused(&message, "neither client nor server");
}

static void texts(void **state)
{
	static const struct {
		uint16_t type;
		const char *bytes;
		size_t len;
		const char *why;
	} rows[] = {
		{ ATTR_HOST, "", 0, "host" },
		{ ATTR_HOST, "a b", 3, "host" },
		{ ATTR_HOST, "a\nb", 3, "host" },
		{ ATTR_HOST, "a\0b", 3, "host" },
		{ ATTR_HOST, "\xc3\xa4", 2, "host" },
		{ ATTR_NAME, "a\x7f", 2, "name of the profile" },
		{ ATTR_ALPN, ",", 1, "alpn" },
		{ ATTR_ALPN, "h2,,h2", 6, "alpn" },
		{ ATTR_PLAIN, "\2", 1, "plain" },
		{ ATTR_PLAIN, "", 0, "plain" },
		{ ATTR_ROLE, "", 0, "role" },
	};
	struct message message;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin(&message, SLUICE_CLIENT);
		wire_put(&message.wire, rows[i].type, rows[i].bytes, rows[i].len);
		refused(&message, rows[i].why);
	}
}

static void lengths(void **state)
{
	struct upgrade_request request;
	struct message message;
	char text[UPGRADE_HOST + 1];

	memset(text, 'a', sizeof(text));
	begin(&message, SLUICE_CLIENT);
	wire_put(&message.wire, ATTR_HOST, text, UPGRADE_HOST - 1);
	assert_null(take(&message, &request));
	begin(&message, SLUICE_CLIENT);
	wire_put(&message.wire, ATTR_HOST, text, UPGRADE_HOST);
	refused(&message, "host");
	begin(&message, SLUICE_CLIENT);
	wire_put(&message.wire, ATTR_NAME, text, UPGRADE_NAME);
	refused(&message, "name of the profile");
}

static void a_server_means_nobody(void **state)
{
	struct message message;

	begin(&message, SLUICE_SERVER);
	wire_put_text(&message.wire, ATTR_HOST, "www.example.org");
	refused(&message, "a client's");
	begin(&message, SLUICE_SERVER);
	wire_put_text(&message.wire, ATTR_ALPN, "h2");
	refused(&message, "a client's");
}

static void cut_off(void **state)
{
	struct message message;

	begin(&message, SLUICE_CLIENT);
	message.wire.len--;
	refused(&message, "cut off");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_request), cmocka_unit_test(what_may_be_left_out),
		cmocka_unit_test(what_may_not),    cmocka_unit_test(texts),
		cmocka_unit_test(lengths),         cmocka_unit_test(a_server_means_nobody),
		cmocka_unit_test(cut_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
