/* SPDX-License-Identifier: Apache-2.0 */
/* What a verdict of `sluice verify` is made of: the path, and what came of each check. */
#ifndef TOOLS_JUDGE_CHECKS_H
#define TOOLS_JUDGE_CHECKS_H

#include "judge.h"

/* Which part of a judgement has refused, in the order in which they are asked. */
enum verify_stage {
	VERIFY_STAGE_PATH, /* or the name */
	VERIFY_STAGE_WANTS,
	VERIFY_STAGE_CRLS,
	VERIFY_STAGE_OCSP,
	VERIFY_STAGE_DONE, /* none has */
};

/* struct verify_judged - a verdict, and what it is about. */
struct verify_judged {
	const struct verify_case *it;
	const struct verify_request *request;
	const struct crl_check *crl;
	const struct verify_verdict *verdict;
	enum verify_stage stage;
	struct json_object *ocsp; /* verify_ocsp(); NULL: was not asked */
};

/* verify_describe_path() makes an array of the certificates of a path, each an object. */
struct json_object *verify_describe_path(const struct verify_verdict *verdict);

/*
 * verify_checks() makes an array of what was checked: "check", "result" (ok, failed, undetermined, not_reached,
 * not_asked), "detail". A refused path is examined to its end: whatever else is wrong with it fails, too.
 */
struct json_object *verify_checks(const struct verify_judged *judged);

/* verify_print() prints the object of a verdict, which has both, for people. */
void verify_print(struct json_object *verdict);

#endif
