/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a peer's chain. */
#ifndef SLUICE_VERIFY_REPORT_H
#define SLUICE_VERIFY_REPORT_H

#include "options/profile.h"
#include "verify/hook.h"

/*
 * verify_examine() fills in @report, of which only @all is set: what is wrong with a chain that is not empty
 * (leaf first), for the reference identity @name (NULL: for anyone).
 */
void verify_examine(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		    const char *name, struct verify_report *report);

#endif
