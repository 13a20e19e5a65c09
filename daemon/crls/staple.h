/* SPDX-License-Identifier: Apache-2.0 */
/* An OCSP response held against the certificate that it should be about. */
#ifndef SLUICED_CRLS_STAPLE_H
#define SLUICED_CRLS_STAPLE_H

#include <stddef.h>
#include <stdint.h>

#include "handover/wire.h"
#include "ocsp/ocsp.h"

/*
 * staple_judge() checks @der against the certificates of @reader: whom it is about, and who has issued that.
 * *@ret_verdict has a reason unless it is good, signed and in its time; and when it ends in any case.
 */
void staple_judge(struct wire_reader reader, const uint8_t *der, size_t len,
		  struct ocsp_verdict *ret_verdict);

#endif
