/* SPDX-License-Identifier: Apache-2.0 */
/* How much a peer may ask for after the handshake: in a row, and in a minute. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record/suite.h"
#include "tls/control.h"

#define KEY_UPDATE "\x18\0\0\1\0"

/* A NewSessionTicket, RFC 8446, 4.6.1: the smallest. */
#define TICKET "\4\0\0\x0e\0\0\x1c\x20\1\2\3\4\0\0\1t\0\0"

static int feed_message(struct control *control, const char *bytes, size_t len)
{
	struct control_event event;
	struct record record = {
		.type = RECORD_HANDSHAKE, .end = true, .data = (const uint8_t *)bytes, .len = len
	};

	return control_feed(control, &record, &event);
}

#define FEED(control, bytes) feed_message(control, bytes, sizeof(bytes) - 1)

static void feed_data(struct control *control)
{
	struct control_event event;
	struct record record = {
		.type = RECORD_DATA, .end = true, .data = (const uint8_t *)"x", .len = 1
	};

	assert_int_equal(control_feed(control, &record, &event), 0);
}

static void requests_in_a_row_are_limited(void **state)
{
	struct control control;
	unsigned int i, row;

	for (i = 0; i < 2; i++) {
		control_init(&control, i ? TLS12 : TLS13, false);
		assert_int_equal(control.max_requests, CONTROL_MAX_REQUESTS);
		for (row = 0; row < 3 * CONTROL_MAX_REQUESTS; row++) {
			if (row % CONTROL_MAX_REQUESTS == 0)
				feed_data(&control);
			assert_int_equal(
				i ? FEED(&control, "\0\0\0\0") : FEED(&control, KEY_UPDATE), 1);
		}
		assert_int_equal(i ? FEED(&control, "\0\0\0\0") : FEED(&control, KEY_UPDATE),
				 -SLUICE_E_PROTOCOL);
		assert_int_equal(control.fail_alert, SLUICE_ALERT_UNEXPECTED_MESSAGE);
		assert_int_equal(control.counts.key_updates + control.counts.renegotiations,
				 3 * CONTROL_MAX_REQUESTS + 1);
		control_deinit(&control);
	}
}

static void no_request_at_all_where_the_limit_says_so(void **state)
{
	struct control control;

	control_init(&control, TLS13, false);
	control.max_requests = 0;
	feed_data(&control);
	assert_int_equal(FEED(&control, TICKET), 1); /* asks for nothing */
	assert_int_equal(FEED(&control, KEY_UPDATE), -SLUICE_E_PROTOCOL);
	control_deinit(&control);
}

static void KY_03_messages_in_a_minute_are_limited(void **state)
{
	struct control control;
	unsigned int i, minute;

	control_init(&control, TLS13, false);
	assert_int_equal(control.max_messages, CONTROL_MAX_MESSAGES);
	control.now_us = 1000000000;
	for (minute = 0; minute < 3; minute++) {
		for (i = 0; i < CONTROL_MAX_MESSAGES; i++) {
			feed_data(&control);
			assert_int_equal(
				i % 2 ? FEED(&control, TICKET) : FEED(&control, KEY_UPDATE), 1);
		}
		control.now_us += 60000000;
	}
	control.now_us -= 1;
	feed_data(&control);
	assert_int_equal(FEED(&control, TICKET), -SLUICE_E_PROTOCOL);
	assert_int_equal(control.fail_alert, SLUICE_ALERT_UNEXPECTED_MESSAGE);
	assert_int_equal(control.counts.tickets, 3 * CONTROL_MAX_MESSAGES / 2);
	control_deinit(&control);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_in_a_row_are_limited),
		cmocka_unit_test(no_request_at_all_where_the_limit_says_so),
		cmocka_unit_test(KY_03_messages_in_a_minute_are_limited),
	};

	return cmocka_run_group_tests_name("unit/control_limits", tests, NULL, NULL);
}
