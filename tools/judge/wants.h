/* SPDX-License-Identifier: Apache-2.0 */
/* What else a request may want of the peer's certificate, beyond a path and one name. */
#ifndef TOOLS_JUDGE_WANTS_H
#define TOOLS_JUDGE_WANTS_H

#include <stdint.h>

#include <json-c/json.h>

#include "verify/verify.h"

/* struct verify_wants - all of it must be there. All zero: nothing. */
struct verify_wants {
	struct json_object *names; /* of the request: DNS names, addresses, e-mail addresses */
	uint32_t uses, purposes;   /* KU_* and XKU_* of BoringSSL */
};

/*
 * verify_wants_get() reads members names, key_usage and extended_key_usage of a request, which has to live as
 * long as @ret_wants. Errors: OPTION, HOSTNAME.
 */
int verify_wants_get(struct verify_wants *ret_wants, struct json_object *from,
		     struct sluice_error *ret_err);

/* verify_wants_name() tells whether a name can be asked for. Errors: HOSTNAME. */
int verify_wants_name(const char *name, struct sluice_error *ret_err);

/* verify_wants_check() refuses what was accepted if the certificate is not what is wanted. */
void verify_wants_check(const struct verify_wants *wants, const struct verify_request *request,
			struct verify_verdict *verdict);

#endif
