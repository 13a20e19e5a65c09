/* SPDX-License-Identifier: Apache-2.0 */
/* Test cases of x509-limbo as requests. */
#ifndef TOOLS_JUDGE_LIMBO_H
#define TOOLS_JUDGE_LIMBO_H

#include <stdbool.h>

#include <json-c/json.h>

#include <sluice/error.h>

/* limbo_is_case() tells whether an object is a test case, and no request of our own form. */
bool limbo_is_case(struct json_object *from);

/*
 * limbo_request() makes a request of our own form of a test case; json_object_put() it. What the case expects
 * is not looked at. Errors: OPTION, also for what a case may ask and nobody here can judge.
 */
int limbo_request(struct json_object **ret_request, struct json_object *from,
		  struct sluice_error *ret_err);

#endif
