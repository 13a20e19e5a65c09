/* SPDX-License-Identifier: Apache-2.0 */
/* Shares, rates and penalties of sources, and that any number of sources takes a bounded memory. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "broker/broker.h"

static struct config config;
static struct broker broker = { .config = &config };

static int set_up(void **state)
{
	config.limits.per_source = 3;
	config.limits.per_source_rate = 0;
	config.limits.penalty_ms = 10000;
	broker.loop.now_ms = 1000000;
	sources_init(&broker.sources, 42);
	return 0;
}

static int tear_down(void **state)
{
	sources_free(&broker);
	assert_int_equal(broker.sources.n, 0);
	return 0;
}

static struct sockaddr_in6 address(const char *text)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };

	assert_int_equal(inet_pton(AF_INET6, text, &addr.sin6_addr), 1);
	return addr;
}

static struct sockaddr_in6 numbered(uint32_t i)
{
	struct sockaddr_in6 addr = address("::ffff:0.0.0.0");

	i = htonl(i);
	memcpy(addr.sin6_addr.s6_addr + 12, &i, 4);
	return addr;
}

static enum end enter(const struct sockaddr_in6 *addr)
{
	return source_enter(&broker, addr, config.limits.per_source, config.limits.per_source_rate);
}

/* A handshake that takes no time. */
static enum end pass(const struct sockaddr_in6 *addr)
{
	enum end refusal = enter(addr);

	if (refusal == END_NONE)
		source_leave(&broker, addr);
	return refusal;
}

static unsigned int pass_many(const struct sockaddr_in6 *addr, unsigned int n)
{
	unsigned int served = 0;

	while (n--)
		served += pass(addr) == END_NONE;
	return served;
}

static void a_source_has_its_share(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1"), b = address("::ffff:192.0.2.2");
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(enter(&a), END_NONE);
	assert_int_equal(enter(&a), END_SHARE);
	assert_int_equal(enter(&b), END_NONE);
	source_leave(&broker, &a);
	assert_int_equal(enter(&a), END_NONE);
	assert_int_equal(enter(&a), END_SHARE);
}

static void a_source_is_an_ipv4_address_or_half_an_ipv6_address(void **state)
{
	const struct sockaddr_in6 a = address("2001:db8:1:2::1"), b = address("2001:db8:1:2:f::"),
				  c = address("2001:db8:1:3::1");
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(enter(&a), END_NONE);
	assert_int_equal(enter(&b), END_SHARE);
	assert_int_equal(enter(&c), END_NONE);
}

static void a_rate_is_that_of_each_second(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1"), b = address("::ffff:192.0.2.2");
	unsigned int served = 0, ms;

	config.limits.per_source_rate = 10;
	assert_int_equal(pass_many(&a, 100), 10);
	assert_int_equal(pass(&a), END_RATE);
	assert_int_equal(pass_many(&b, 100), 10);
	broker.loop.now_ms += 99;
	assert_int_equal(pass(&a), END_RATE); /* a tenth of a second for each */
	broker.loop.now_ms += 1;
	assert_int_equal(pass_many(&a, 5), 1);
	/* Who tries all the time is served as often, and no more. */
	for (ms = 0; ms < 5000; ms++) {
		broker.loop.now_ms++;
		served += pass(&a) == END_NONE;
	}
	assert_int_equal(served, 50);
	/* Rest is worth a second at most. */
	broker.loop.now_ms += 3600000;
	assert_int_equal(pass_many(&a, 100), 10);
}

static void a_rate_may_change_at_any_time(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1");

	config.limits.per_source_rate = 1000000;
	assert_int_equal(pass_many(&a, 2000), 2000);
	config.limits.per_source_rate = 1;
	assert_int_equal(pass(&a), END_RATE);
	broker.loop.now_ms += 1000; /* no debt is older than that */
	assert_int_equal(pass_many(&a, 10), 1);
	config.limits.per_source_rate = 0;
	assert_int_equal(pass_many(&a, 2000), 2000);
}

static void a_penalty_passes(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1");
	uint32_t i;

	assert_int_equal(enter(&a), END_NONE);
	source_penalise(&broker, &a);
	assert_int_equal(enter(&a), END_PENALTY);
	source_leave(&broker, &a);
	/* Others, however many, do not shorten it. */
	for (i = 0; i < 2 * SOURCE_IDLE_MAX; i++) {
		const struct sockaddr_in6 other = numbered(i);

		assert_int_equal(pass(&other), END_NONE);
	}
	broker.loop.now_ms += 9999;
	sources_tick(&broker);
	assert_int_equal(enter(&a), END_PENALTY);
	broker.loop.now_ms += 1;
	assert_int_equal(pass(&a), END_NONE);
}

static void leaving_what_was_never_entered_changes_nothing(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1");

	source_leave(&broker, &a);
	assert_int_equal(pass(&a), END_NONE);
	source_leave(&broker, &a);
	assert_int_equal(enter(&a), END_NONE);
}

/* A million addresses within a second: the memory is bounded, and whoever has something under way is known. */
static void a_flood_of_sources_has_a_bound(void **state)
{
	const struct sockaddr_in6 held = address("::ffff:192.0.2.1");
	struct sockaddr_in6 addr;
	uint32_t i;

	config.limits.per_source_rate = 1;
	config.limits.per_source = 1;
	assert_int_equal(enter(&held), END_NONE);
	for (i = 0; i < 1000000; i++) {
		addr = numbered(i);
		assert_int_equal(pass(&addr), END_NONE);
		assert_true(broker.sources.n <= SOURCE_IDLE_MAX + 1);
	}
	assert_int_equal(broker.sources.idle.n, SOURCE_IDLE_MAX);
	assert_int_equal(enter(&held), END_SHARE);
	/* The last ones that came are known, all of them. */
	for (i = 1000000 - SOURCE_IDLE_MAX; i < 1000000; i++) {
		addr = numbered(i);
		assert_int_equal(pass(&addr), END_RATE);
	}
	/* When their second has passed they are forgotten. */
	broker.loop.now_ms += 1000;
	for (i = 0; i < SOURCE_IDLE_MAX / SOURCE_SWEPT; i++)
		sources_tick(&broker);
	assert_int_equal(broker.sources.n, 1);
}

static void ends_have_words_of_their_own(void **state)
{
	int i, j;

	for (i = 0; i < ENDS; i++) {
		if (i == END_ERROR)
			continue; /* it has those of the errors */
		assert_non_null(end_text((enum end)i));
		assert_string_not_equal(end_name((enum end)i, 0), "");
		for (j = 0; j < i; j++)
			if (j != END_ERROR)
				assert_string_not_equal(end_name((enum end)i, 0),
							end_name((enum end)j, 0));
	}
	for (i = END_NONE + 1; i <= END_LAST_REFUSAL; i++)
		assert_string_not_equal(end_text((enum end)i), "");
}

int main(void)
{
#define SOURCES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		SOURCES_TEST(a_source_has_its_share),
		SOURCES_TEST(a_source_is_an_ipv4_address_or_half_an_ipv6_address),
		SOURCES_TEST(a_rate_is_that_of_each_second),
		SOURCES_TEST(a_rate_may_change_at_any_time),
		SOURCES_TEST(a_penalty_passes),
		SOURCES_TEST(leaving_what_was_never_entered_changes_nothing),
		SOURCES_TEST(a_flood_of_sources_has_a_bound),
		SOURCES_TEST(ends_have_words_of_their_own),
	};

	return cmocka_run_group_tests_name("unit/sources", tests, NULL, NULL);
}
