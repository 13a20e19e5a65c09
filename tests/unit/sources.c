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

static enum refusal enter(const struct sockaddr_in6 *addr)
{
	return source_enter(&broker, addr, config.limits.per_source, config.limits.per_source_rate);
}

/* A handshake that takes no time. */
static enum refusal pass(const struct sockaddr_in6 *addr)
{
	enum refusal refusal = enter(addr);

	if (refusal == REFUSED_NOT)
		source_leave(&broker, addr);
	return refusal;
}

static unsigned int pass_many(const struct sockaddr_in6 *addr, unsigned int n)
{
	unsigned int served = 0;

	while (n--)
		served += pass(addr) == REFUSED_NOT;
	return served;
}

static void a_source_has_its_share(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1"), b = address("::ffff:192.0.2.2");
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(enter(&a), REFUSED_NOT);
	assert_int_equal(enter(&a), REFUSED_SHARE);
	assert_int_equal(enter(&b), REFUSED_NOT);
	source_leave(&broker, &a);
	assert_int_equal(enter(&a), REFUSED_NOT);
	assert_int_equal(enter(&a), REFUSED_SHARE);
}

static void a_source_is_an_ipv4_address_or_half_an_ipv6_address(void **state)
{
	const struct sockaddr_in6 a = address("2001:db8:1:2::1"), b = address("2001:db8:1:2:f::"),
				  c = address("2001:db8:1:3::1");
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(enter(&a), REFUSED_NOT);
	assert_int_equal(enter(&b), REFUSED_SHARE);
	assert_int_equal(enter(&c), REFUSED_NOT);
}

static void a_rate_is_that_of_each_second(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1"), b = address("::ffff:192.0.2.2");
	unsigned int served = 0, ms;

	config.limits.per_source_rate = 10;
	assert_int_equal(pass_many(&a, 100), 10);
	assert_int_equal(pass(&a), REFUSED_RATE);
	assert_int_equal(pass_many(&b, 100), 10);
	broker.loop.now_ms += 99;
	assert_int_equal(pass(&a), REFUSED_RATE); /* a tenth of a second for each */
	broker.loop.now_ms += 1;
	assert_int_equal(pass_many(&a, 5), 1);
	/* Who tries all the time is served as often, and no more. */
	for (ms = 0; ms < 5000; ms++) {
		broker.loop.now_ms++;
		served += pass(&a) == REFUSED_NOT;
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
	assert_int_equal(pass(&a), REFUSED_RATE);
	broker.loop.now_ms += 1000; /* no debt is older than that */
	assert_int_equal(pass_many(&a, 10), 1);
	config.limits.per_source_rate = 0;
	assert_int_equal(pass_many(&a, 2000), 2000);
}

static void a_penalty_passes(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1");
	uint32_t i;

	assert_int_equal(enter(&a), REFUSED_NOT);
	source_penalise(&broker, &a);
	assert_int_equal(enter(&a), REFUSED_PENALTY);
	source_leave(&broker, &a);
	/* Others, however many, do not shorten it. */
	for (i = 0; i < 2 * SOURCE_IDLE_MAX; i++) {
		const struct sockaddr_in6 other = numbered(i);

		assert_int_equal(pass(&other), REFUSED_NOT);
	}
	broker.loop.now_ms += 9999;
	sources_tick(&broker);
	assert_int_equal(enter(&a), REFUSED_PENALTY);
	broker.loop.now_ms += 1;
	assert_int_equal(pass(&a), REFUSED_NOT);
}

static void leaving_what_was_never_entered_changes_nothing(void **state)
{
	const struct sockaddr_in6 a = address("::ffff:192.0.2.1");

	source_leave(&broker, &a);
	assert_int_equal(pass(&a), REFUSED_NOT);
	source_leave(&broker, &a);
	assert_int_equal(enter(&a), REFUSED_NOT);
}

/* A million addresses within a second: the memory is bounded, and whoever has something under way is known. */
static void a_flood_of_sources_has_a_bound(void **state)
{
	const struct sockaddr_in6 held = address("::ffff:192.0.2.1");
	struct sockaddr_in6 addr;
	uint32_t i;

	config.limits.per_source_rate = 1;
	config.limits.per_source = 1;
	assert_int_equal(enter(&held), REFUSED_NOT);
	for (i = 0; i < 1000000; i++) {
		addr = numbered(i);
		assert_int_equal(pass(&addr), REFUSED_NOT);
		assert_true(broker.sources.n <= SOURCE_IDLE_MAX + 1);
	}
	assert_int_equal(broker.sources.idle.n, SOURCE_IDLE_MAX);
	assert_int_equal(enter(&held), REFUSED_SHARE);
	/* The last ones that came are known, all of them. */
	for (i = 1000000 - SOURCE_IDLE_MAX; i < 1000000; i++) {
		addr = numbered(i);
		assert_int_equal(pass(&addr), REFUSED_RATE);
	}
	/* When their second has passed they are forgotten. */
	broker.loop.now_ms += 1000;
	for (i = 0; i < SOURCE_IDLE_MAX / SOURCE_SWEPT; i++)
		sources_tick(&broker);
	assert_int_equal(broker.sources.n, 1);
}

static void refusals_have_words_and_names(void **state)
{
	int i, j;

	for (i = REFUSED_NOT + 1; i < REFUSALS; i++) {
		assert_non_null(refusal_text((enum refusal)i));
		assert_non_null(refusal_name((enum refusal)i));
		for (j = REFUSED_NOT + 1; j < i; j++)
			assert_string_not_equal(refusal_name((enum refusal)i),
						refusal_name((enum refusal)j));
	}
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
		SOURCES_TEST(refusals_have_words_and_names),
	};

	return cmocka_run_group_tests_name("unit/sources", tests, NULL, NULL);
}
