/* SPDX-License-Identifier: Apache-2.0 */
/* Path validation of a peer's chain against a profile. */
#ifndef SLUICE_BSSL_VERIFY_H
#define SLUICE_BSSL_VERIFY_H

#include <stdint.h>

#include "ocsp/staple.h"
#include "options/profile.h"
#include "verify/hook.h"
#include "verify/verify.h"

/* struct verify_input - a peer's chain, and what is asked of it; everything is the caller's. */
struct verify_input {
	const struct sluice_profile *profile;  /* trust anchors, depth and rules */
	const STACK_OF(CRYPTO_BUFFER) * chain; /* leaf first */
	const char *name; /* client: the reference identity; NULL: no name check */
	int64_t now_s;
	uint64_t until_us;     /* of sys->now_us(), when to give up; 0: never */
	struct staple *staple; /* that came with the first; NULL: it is not looked at */
	X509_STORE *trust;     /* what is trusted instead of what the profile says; NULL: that */
	const struct verify_verdict *named; /* of verify_check_by_hook(); NULL: it was not called */
};

/*
 * verify_chain() validates @in->chain. With verify = none it returns 0 at once. On failure *@ret_alert is what
 * the peer is told and *@ret_err the reason. Any thread may call it; of a program it calls the
 * operations of option crl_cache alone, if @in->named is set where there is a hostname check.
 * Errors: VERIFY, HOSTNAME, PEER_REFUSED, NO_PEERCERT, NOMEM.
 */
int verify_chain(const struct verify_input *in, uint8_t *ret_alert, struct sluice_error *ret_err);

/*
 * verify_check_by_hook() compares names beforehand where a program has a rule of its own for them, which only
 * whoever drives the handshake calls. False: there is none, or no certificate that can be parsed.
 */
bool verify_check_by_hook(const struct verify_input *in, struct verify_verdict *ret_named);

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
int verify_report(const struct verify_input *in, struct verify_report **ret_report,
		  uint8_t *ret_alert, struct sluice_error *ret_err);

#endif
