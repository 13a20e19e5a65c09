/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of URLs, and when they are asked for again. */
#include "fetch/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fetch/when.h"
#include "support/certs.h"
#include "support/crls.h"
#include "support/fault.h"

#define HOUR 3600
#define SECOND 1000000ull

static EVP_PKEY *key;
static X509 *issuer;
static struct fetch_targets targets;
static const struct fetch_answer no_tags = { .reason = FETCH_OK };

/* A CRL from @from_s to @to_s, relative to now. */
static struct sluice_crl *make(int64_t from_s, int64_t to_s, int number)
{
	struct sluice_crl *crl;
	uint8_t *der;
	size_t len;

	der = crls_make(&(struct crl_spec){ .issuer = issuer,
					    .key = key,
					    .from_s = from_s,
					    .to_s = to_s,
					    .number = number },
			&len);
	assert_int_equal(sluice_crl_parse(&crl, der, len, NULL), 0);
	free(der);
	return crl;
}

static struct fetch_target *get(const char *url)
{
	struct fetch_target *target = target_get(&targets, url);

	assert_non_null(target);
	return target;
}

static void fly(struct fetch_target *target)
{
	assert_int_equal(target->state, TARGET_QUEUED);
	target_asked(&targets, target, 1000);
}

static void take(struct fetch_target *target, struct sluice_crl *crl, size_t len)
{
	fly(target);
	target_took(&targets, target, crl, len, &no_tags);
}

static size_t count_found(struct fetch_target *target)
{
	struct sluice_crl_found found = { 0 };
	size_t n;

	target_add_found(target, &found);
	n = found.list.n;
	crl_list_clear(&found.list);
	return n;
}

static int begin(void **state)
{
	fault_install();
	return 0;
}

static int end(void **state)
{
	targets_clear(&targets);
	assert_int_equal(targets.bytes, 0);
	fault_uninstall();
	return 0;
}

/* --- when ------------------------------------------------------------------------------------- */

static void CR_10_a_refresh_is_between_half_and_nine_tenths(void **state)
{
	const int64_t now = 1800000000;
	int64_t at, low = INT64_MAX, high = 0;
	uint32_t random;

	for (random = 0; random < 1000; random++) {
		at = fetch_refresh_at(now - 100, now + 9900, now, random * 7919);
		low = at < low ? at : low;
		high = at > high ? at : high;
	}
	assert_int_equal(low, now - 100 + 5000);
	assert_int_equal(high, now - 100 + 9000);
	/* Late in its life: of what is left. */
	assert_in_range(fetch_refresh_at(now - 9800, now + 200, now, 5), now + 100, now + 180);
	/* Not before a minute, not after a day. */
	assert_int_equal(fetch_refresh_at(now, now + 10, now, 5), now + 60);
	assert_int_equal(fetch_refresh_at(now - 50, now - 10, now, 5), now + 60);
	assert_int_equal(fetch_refresh_at(now, now + 400 * 86400, now, 5), now + 86400);
	assert_int_equal(fetch_refresh_at(-62167219200, 253402300799, now, 5), now + 86400);
	assert_int_equal(fetch_refresh_at(now, -1, now, 5), now + FETCH_NO_UPDATE_S);
}

static void CR_10_failures_wait_longer_each_time(void **state)
{
	const unsigned int waits[] = { 60, 120, 240, 480, 960, 1920, 3600, 3600 };
	unsigned int i;

	for (i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
		assert_int_equal(fetch_backoff_s(i + 1), waits[i]);
	assert_int_equal(fetch_backoff_s(1000000), 3600);
}

/* --- what is known ---------------------------------------------------------------------------- */

static void CR_10_a_failure_is_remembered(void **state)
{
	struct fetch_target *target = get("http://a/");
	unsigned int s;

	assert_true(target_want(target));
	assert_false(target_want(target)); /* it is on its way */
	for (s = 60; s <= 240; s *= 2) {
		fly(target);
		target_failed(target, FETCH_CONNECT);
		fault_advance_us((s - 1) * SECOND);
		assert_false(target_want(target));
		fault_advance_us(2 * SECOND);
		assert_true(target_want(target));
	}
}

static void CR_10_a_crl_stays_until_it_is_due(void **state)
{
	struct fetch_target *target = get("http://a/");

	assert_int_equal(count_found(target), 0);
	assert_true(target_want(target));
	take(target, make(-60, HOUR, 1), 1000);
	assert_true(target_has(target));
	assert_int_equal(targets.bytes, 1000);
	fault_advance_us(HOUR / 3 * SECOND);
	assert_false(target_want(target));
	fault_advance_us(HOUR * 6 / 10 * SECOND);
	assert_true(target_want(target)); /* and who wants it has it */
	assert_true(target_has(target));
	fly(target);
	target_failed(target, FETCH_TIME); /* the last good one stays, until it ends */
	assert_true(target_has(target));
	fault_advance_us(HOUR / 10 * SECOND);
	assert_false(target_has(target));
	assert_true(target_want(target));
}

static void CR_10_only_what_is_wanted_is_refreshed(void **state)
{
	struct fetch_target *target = get("http://a/");

	target_want(target);
	take(target, make(-60, HOUR, 1), 1000);
	fault_advance_us(HOUR * 95 / 100 * SECOND);
	assert_false(target_due(target));
	target->wanted = true;
	assert_true(target_due(target));
}

static void CR_10_what_has_not_changed_is_kept(void **state)
{
	struct fetch_target *target = get("http://a/");
	const struct sluice_crl *first;

	target_want(target);
	take(target, make(-60, HOUR, 1), 1000);
	first = target->crl;
	assert_true(crl_is_signed_by(target->crl, issuer));
	fault_advance_us(HOUR * 92 / 100 * SECOND);
	assert_true(target_want(target));
	fly(target);
	target_confirmed(target);
	assert_ptr_equal(target->crl, first);
	assert_false(target_want(target));
}

/* --- what is no evidence ---------------------------------------------------------------------- */

static void CR_10_what_nobody_verified_takes_nothings_place(void **state)
{
	struct fetch_target *target = get("http://a/");
	struct sluice_crl *good;

	target_want(target);
	take(target, make(-600, 10 * HOUR, 1), 1000);
	good = target->crl;
	assert_int_equal(count_found(target), 1);
	assert_true(crl_is_signed_by(good, issuer));
	fault_advance_us(9 * HOUR * SECOND + 60 * SECOND);
	assert_true(target_want(target));
	take(target, make(0, 20 * HOUR, 2), 2000);
	assert_int_equal(count_found(target), 2); /* the new one, and what is known to be good */
	/* Nobody could verify it: it is asked for again, and the old one still counts. */
	assert_false(target_want(target));
	assert_int_equal(target->proof, PROOF_BAD);
	assert_int_equal(count_found(target), 2);
	fault_advance_us(61 * SECOND);
	assert_true(target_want(target));
	take(target, make(60, 20 * HOUR, 3), 3000);
	assert_ptr_equal(target->previous, good);
	assert_int_equal(targets.bytes, 4000);
	/* This one is evidence: from then on it is alone. */
	assert_true(crl_is_signed_by(target->crl, issuer));
	assert_int_equal(count_found(target), 1);
	target_want(target);
	assert_int_equal(target->proof, PROOF_GOOD);
	assert_int_equal(target->failures, 0);
}

static void CR_10_an_older_one_does_not_come_back(void **state)
{
	struct fetch_target *target = get("http://a/");
	struct sluice_crl *newer;

	target_want(target);
	take(target, make(-600, 10 * HOUR, 2), 1000);
	newer = target->crl;
	assert_true(crl_is_signed_by(newer, issuer));
	fault_advance_us(9 * HOUR * SECOND + 60 * SECOND);
	target_want(target);
	take(target, make(-1200, 20 * HOUR, 1), 1000);
	assert_ptr_equal(target->crl, newer);
	assert_int_equal(target->reason, FETCH_CONTENT);
}

static void CR_10_one_that_has_ended_is_a_failure(void **state)
{
	struct fetch_target *target = get("http://a/");

	target_want(target);
	take(target, make(-2 * HOUR, -HOUR, 1), 1000);
	assert_null(target->crl);
	assert_int_equal(target->reason, FETCH_CONTENT);
	assert_false(target_want(target));
}

/* --- bounds ----------------------------------------------------------------------------------- */

static void CR_10_so_many_urls(void **state)
{
	struct fetch_target *first = get("http://0/"), *target;
	char url[32];
	int i;

	first->waiters = 1;
	for (i = 1; i < FETCH_MAX_TARGETS + 50; i++) {
		snprintf(url, sizeof(url), "http://%d/", i);
		get(url);
	}
	assert_int_equal(targets.n, FETCH_MAX_TARGETS);
	assert_ptr_equal(get("http://0/"), first); /* somebody waits for it */
	for (i = 0; i < (int)targets.n; i++)
		targets.targets[i]->state = TARGET_QUEUED;
	target = target_get(&targets, "http://another/");
	assert_null(target);
}

static void CR_10_so_many_bytes(void **state)
{
	struct fetch_target *old = get("http://old/"), *target = get("http://new/");

	target_want(old);
	take(old, make(-60, HOUR, 1), FETCH_MAX_BYTES - 10);
	target_want(target);
	take(target, make(-60, HOUR, 2), 11);
	assert_int_equal(targets.n, 1);
	assert_int_equal(targets.bytes, 11);
	assert_true(target_has(target));
}

static void CR_10_a_lost_process_costs_one_more_try(void **state)
{
	struct fetch_target *target = get("http://a/");

	target_want(target);
	fly(target);
	target_lost(target);
	fly(target);
	target_lost(target);
	assert_int_equal(target->state, TARGET_IDLE);
	assert_int_equal(target->reason, FETCH_PROCESS);
	assert_false(target_want(target));
}

static int setup(void **state)
{
	key = certs_key(CERT_KEY_P256);
	issuer = certs_make(&(struct cert_spec){
		.cn = "CA", .ca = true, .key_usage = "keyCertSign,cRLSign", .key = key });
	return 0;
}

static int teardown(void **state)
{
	X509_free(issuer);
	EVP_PKEY_free(key);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(CR_10_a_refresh_is_between_half_and_nine_tenths),
		TEST(CR_10_failures_wait_longer_each_time),
		TEST(CR_10_a_failure_is_remembered),
		TEST(CR_10_a_crl_stays_until_it_is_due),
		TEST(CR_10_only_what_is_wanted_is_refreshed),
		TEST(CR_10_what_has_not_changed_is_kept),
		TEST(CR_10_what_nobody_verified_takes_nothings_place),
		TEST(CR_10_an_older_one_does_not_come_back),
		TEST(CR_10_one_that_has_ended_is_a_failure),
		TEST(CR_10_so_many_urls),
		TEST(CR_10_so_many_bytes),
		TEST(CR_10_a_lost_process_costs_one_more_try),
	};

	return cmocka_run_group_tests_name("unit/fetch_target", tests, setup, teardown);
}
