/* SPDX-License-Identifier: Apache-2.0 */
/* What a server staples to its certificate (RFC 6066, 8; RFC 8446, 4.4.2.1), held against option ocsp. */
#ifndef SLUICE_OCSP_STAPLE_H
#define SLUICE_OCSP_STAPLE_H

#include "ocsp/ocsp.h"
#include "verify/reason.h"

/* Option ocsp, in the order of its words. */
enum ocsp_mode {
	OCSP_OFF,
	OCSP_IF_PRESENT, /* what is stapled must be good */
	OCSP_MUST,       /* and there must be something */
};

/* struct staple - what came with a certificate. */
struct staple {
	const uint8_t *der; /* NULL: nothing */
	size_t len;
	bool kept; /* it came with an earlier handshake, whose session this is: judged as it was then */
	struct ocsp_verdict verdict; /* out: where @checked */
	bool checked;                /* out: there was one, and somebody to be asked about it */
};

/*
 * staple_check() judges what came with the first certificate of @path, of which the second is the issuer.
 * Where option ocsp is not off, one with the TLS feature status_request (RFC 7633) needs one in any case.
 * RFC 6066, 8: a response that is not satisfactory ends the handshake, also with OCSP_IF_PRESENT; nobody
 * but the server could have sent it. Returns true: it passes; else *@ret_finding tells what is wrong.
 */
bool staple_check(struct staple *staple, enum ocsp_mode mode, const STACK_OF(X509) * path,
		  int64_t now_s, struct verify_finding *ret_finding);

#endif
