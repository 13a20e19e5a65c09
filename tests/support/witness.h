/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pair whose connection stays open while others of the same listener and profiles come to grief.
 * At the end it works still, and so does a new one.
 */
#ifndef SLUICE_TESTS_SUPPORT_WITNESS_H
#define SLUICE_TESTS_SUPPORT_WITNESS_H

#include <cmocka.h>

#include "support/pair.h"

static inline void witness_open(struct pair *pair, const struct pair_setup *setup)
{
	pair_open(pair, setup);
	assert_int_equal(pair_connect(pair), 0);
}

static inline void witness_close(struct pair *pair)
{
	pair_exchange(pair, 20000);
	pair_drop(pair);
	assert_int_equal(pair_connect(pair), 0);
	pair_exchange(pair, 20000);
	pair_close(pair);
}

#endif
