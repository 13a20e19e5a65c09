// SPDX-License-Identifier: Apache-2.0
/* The table of what each channel of the daemon carries. */
#include "common/rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static uint8_t message[WIRE_MAX];

static const char *open_it(const struct rule *rule, bool begun, size_t len, unsigned int n_fds)
{
	struct channel_fds fds = { .n = n_fds };
	struct wire_reader reader;
	struct wire_head head;
	struct wire wire;

	wire_begin(&wire, message, sizeof(message), (uint8_t)rule->type, 7);
	memset(message + WIRE_HEAD_LEN, 0, sizeof(message) - WIRE_HEAD_LEN);
	return rules_open(rule->route, &begun, message, len, &fds, &reader, &head);
}

static bool begun_for(const struct rule *rule)
{
	return rule->when == WHEN_LATER;
}

static void each_row_is_taken_as_it_says(void **state)
{
	const struct rule *rule;
	size_t i;

	for (i = 0; (rule = rule_at(i)); i++) {
		bool begun = begun_for(rule);

		assert_null(open_it(rule, begun, WIRE_HEAD_LEN, rule->min_fds));
		assert_null(open_it(rule, begun, rule->max_len, rule->max_fds));
		assert_non_null(open_it(rule, begun, WIRE_HEAD_LEN - 1, rule->min_fds));
		assert_non_null(open_it(rule, begun, WIRE_HEAD_LEN, rule->max_fds + 1));
		if (rule->max_len < WIRE_MAX)
			assert_non_null(open_it(rule, begun, rule->max_len + 1, rule->min_fds));
		if (rule->min_fds)
			assert_non_null(open_it(rule, begun, WIRE_HEAD_LEN, rule->min_fds - 1));
		if (rule->when != WHEN_EVER)
			assert_non_null(open_it(rule, !begun, WIRE_HEAD_LEN, rule->min_fds));
	}
	assert_true(i > 20);
}

/* Of 256 types, a channel carries those of its rows and no other. */
static void nothing_else_is(void **state)
{
	const struct rule *rule;
	struct rule any;
	unsigned int type;
	int route;
	size_t i;
	bool in_table;

	for (route = 0; route < ROUTES; route++)
		for (type = 0; type < 256; type++) {
			in_table = false;
			for (i = 0; (rule = rule_at(i)); i++)
				in_table |= rule->route == (enum route)route && rule->type == type;
			any = (struct rule){ .route = (enum route)route,
					     .type = (enum message_type)type };
			if (!in_table) {
				assert_non_null(open_it(&any, true, WIRE_HEAD_LEN, 0));
				assert_non_null(open_it(&any, false, WIRE_HEAD_LEN, 0));
			}
		}
}

static void a_channel_begins_once(void **state)
{
	struct channel_fds fds = { .n = 0 };
	struct wire_reader reader;
	struct wire_head head;
	struct wire wire;
	bool begun = false;

	wire_begin(&wire, message, sizeof(message), MSG_CREDIT, 0);
	assert_non_null(rules_open(ROUTE_WORKER_TO_BROKER, &begun, message, wire_end(&wire), &fds,
				   &reader, &head));
	assert_false(begun);
	wire_begin(&wire, message, sizeof(message), MSG_ATTACH, 0);
	assert_null(rules_open(ROUTE_WORKER_TO_BROKER, &begun, message, wire_end(&wire), &fds,
			       &reader, &head));
	assert_true(begun);
	assert_non_null(rules_open(ROUTE_WORKER_TO_BROKER, &begun, message, wire_end(&wire), &fds,
				   &reader, &head));
}

static void lost_descriptors_are_our_own_fault(void **state)
{
	struct channel_fds fds = { .lost = true };
	struct wire_reader reader;
	struct wire_head head;
	struct wire wire;
	bool begun = true;

	wire_begin(&wire, message, sizeof(message), MSG_REKEY, 0);
	assert_null(rules_open(ROUTE_LINK_TO_BROKER, &begun, message, wire_end(&wire), &fds,
			       &reader, &head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_row_is_taken_as_it_says),
		cmocka_unit_test(nothing_else_is),
		cmocka_unit_test(a_channel_begins_once),
		cmocka_unit_test(lost_descriptors_are_our_own_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
