/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with a peer's chain. */
#ifndef SLUICE_VERIFY_REPORT_H
#define SLUICE_VERIFY_REPORT_H

#include "verify/hook.h"
#include "verify/verify.h"

/*
 * verify_examine() fills in @report, of which only @all is set: everything that is wrong with the path of
 * @verdict, which verify_run() has given for @request, and with the name.
 */
void verify_examine(const struct verify_request *request, const struct verify_verdict *verdict,
		    struct verify_report *report);

#endif
