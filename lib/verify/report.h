/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a peer's chain. */
#ifndef SLUICE_VERIFY_REPORT_H
#define SLUICE_VERIFY_REPORT_H

#include "verify/hook.h"
#include "verify/verify.h"

/*
 * verify_examine() fills in @report, of which only @all is set: what is wrong with the path that BoringSSL
 * puts together, whether or not there is a better one. For what verify_run() has refused.
 */
void verify_examine(const struct verify_request *request, struct verify_report *report);

#endif
