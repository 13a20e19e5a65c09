/* SPDX-License-Identifier: Apache-2.0 */
/* Chains of peers: kept once for all that showed the same to one profile, and bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "broker/recheck.h"
#include "handover/messages.h"

static size_t n_lines;

void log_line(const struct broker *broker, enum config_log_level level, const char *format, ...)
{
	n_lines++;
}

/* struct world - a broker with one listener, whose profile is the last of two. */
struct world {
	struct config_profile profiles[2];
	struct config_listener listener;
	struct config config;
	struct chains chains;
	struct broker broker;
	uint8_t buf[400];
};

static void begin(struct world *world)
{
	*world = (struct world){
		.profiles = { { .name = "first" }, { .name = "last" } },
		.listener = { .profile = 1 },
	};
	world->config.profiles = world->profiles;
	world->config.n_profiles = 2;
	world->config.listeners = &world->listener;
	world->config.n_listeners = 1;
	world->config.limits.recheck_memory = 1000;
	world->broker.config = &world->config;
	world->broker.chains = &world->chains;
	n_lines = 0;
}

/* What a handshaker tells, with a chain of one certificate of @len bytes. */
static struct wire_reader told(struct world *world, size_t len, uint8_t fill)
{
	struct wire wire = { .buf = world->buf, .size = sizeof(world->buf) };
	uint8_t cert[300];

	assert_true(len <= sizeof(cert));
	memset(cert, fill, sizeof(cert));
	wire_put_u64(&wire, ATTR_ROLE, 1);
	wire_put(&wire, ATTR_PEER_CHAIN, cert, len);
	assert_false(wire.overflow);
	return (struct wire_reader){ world->buf, wire.len };
}

static void a_chain_is_kept_once(void **state)
{
	struct session a = { 0 }, b = { 0 }, c = { 0 };
	struct world world;

	begin(&world);
	chain_keep(&world.broker, &a, told(&world, 100, 1));
	chain_keep(&world.broker, &b, told(&world, 100, 1));
	chain_keep(&world.broker, &c, told(&world, 100, 2));
	assert_non_null(a.chain);
	assert_ptr_equal(a.chain, b.chain);
	assert_ptr_not_equal(a.chain, c.chain);
	assert_int_equal(world.chains.n, 2);
	assert_string_equal(a.chain->profile, "last");
	chain_drop(&world.broker, &a);
	chain_drop(&world.broker, &b);
	chain_drop(&world.broker, &c);
	assert_int_equal(world.chains.n, 0);
	assert_int_equal(world.chains.bytes, 0);
}

static void what_has_no_room_is_told_once(void **state)
{
	struct session a = { 0 }, b = { 0 };
	struct world world;

	begin(&world);
	world.config.limits.recheck_memory = 100;
	chain_keep(&world.broker, &a, told(&world, 200, 1));
	chain_keep(&world.broker, &b, told(&world, 200, 2));
	assert_null(a.chain);
	assert_null(b.chain);
	assert_int_equal(n_lines, 1);
}

/* The profile that was the second when the handshake began: after a reload there is one. */
static void an_upgrade_that_ends_behind_a_reload_has_the_profile_of_its_request(void **state)
{
	struct upgrade upgrade = { .profile = 1, .request.profile = "outgoing" };
	struct session session = { .upgrade = &upgrade };
	struct world world;

	begin(&world);
	world.config.n_profiles = 1;
	world.profiles[1] = (struct config_profile){ 0 };
	chain_keep(&world.broker, &session, told(&world, 100, 1));
	assert_non_null(session.chain);
	assert_string_equal(session.chain->profile, "outgoing");
	chain_drop(&world.broker, &session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_chain_is_kept_once),
		cmocka_unit_test(what_has_no_room_is_told_once),
		cmocka_unit_test(
			an_upgrade_that_ends_behind_a_reload_has_the_profile_of_its_request),
	};

	return cmocka_run_group_tests_name("unit/chains", tests, NULL, NULL);
}
