/* SPDX-License-Identifier: Apache-2.0 */
/* Path validation of a peer's chain against a profile. */
#ifndef SLUICE_BSSL_VERIFY_H
#define SLUICE_BSSL_VERIFY_H

#include <stdint.h>

#include "ocsp/staple.h"
#include "options/profile.h"
#include "verify/hook.h"

/*
 * verify_chain() validates @chain (leaf first) with the profile's trust anchors, depth and, for a
 * client, the reference identity @name (a DNS name or an address as text; NULL: no name check).
 * With verify = none it returns 0 at once. @staple is what came with the first, held against option ocsp; NULL:
 * it is not known any more, and that is not looked at. On failure *@ret_alert is what the peer is told and
 * *@ret_err the reason. Errors: VERIFY, HOSTNAME, PEER_REFUSED, NO_PEERCERT, NOMEM.
 */
int verify_chain(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		 struct staple *staple, const char *name, uint8_t *ret_alert,
		 struct sluice_error *ret_err);

/*
 * verify_identity() tells the identity of a peer whose chain has been accepted, of a resumed session
 * as well: by options peer_identity and allow_peers, or "".
 */
void verify_identity(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		     char ret_text[IDENTITY_SIZE]);

/*
 * verify_report() does the same for a program that is asked, whatever option verify says: *@ret_report
 * has everything that is wrong, and is the caller's; NULL: there is no certificate, and need not be. Refused
 * at once is what nobody is asked about. Errors: as above.
 */
int verify_report(const struct sluice_profile *profile, const STACK_OF(CRYPTO_BUFFER) * chain,
		  struct staple *staple, const char *name, struct verify_report **ret_report,
		  uint8_t *ret_alert, struct sluice_error *ret_err);

#endif
