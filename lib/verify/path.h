/* SPDX-License-Identifier: Apache-2.0 */
/* Finding a path from a certificate to a trust anchor (RFC 4158), at a bounded cost. */
#ifndef SLUICE_VERIFY_PATH_H
#define SLUICE_VERIFY_PATH_H

#include "verify/verify.h"

/*
 * What one search may cost. A peer sends its certificates before anybody knows it, and those that
 * issue each other in every order have more paths than can be tried.
 */
#define PATH_MAX_CERTS 128      /* that a peer may send */
#define PATH_MAX_STEPS 200      /* certificates put at the end of a path */
#define PATH_MAX_SIGNATURES 100 /* checked, over all paths */
#define PATH_MAX_SELF_ISSUED 8  /* in one path, beyond option depth */

/* depth, the peer's certificate, the anchor, and what depth does not count */
#define PATH_MAX_LEN (100 + 2 + PATH_MAX_SELF_ISSUED)

/*
 * path_find() tries the paths from the peer's certificate over its others to a trust anchor, the
 * shortest first, until one is valid. @verdict->path is that path; else the verdict is that on the path that
 * came furthest, and @verdict->path is that one: one certificate more than PATH_MAX_LEN at most.
 */
void path_find(struct verify_verdict *verdict, const struct verify_request *request);

#endif
