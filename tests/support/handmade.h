/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS records made by hand: also those that no sender of ours would make (padding, any inner type,
 * wrong lengths). Written against the RFCs apart from lib/record, so that tests of the record
 * layer do not check it against itself.
 */
#ifndef SLUICE_TESTS_SUPPORT_HANDMADE_H
#define SLUICE_TESTS_SUPPORT_HANDMADE_H

#include <stddef.h>
#include <stdint.h>

#include "record/traffic.h"

#define HANDMADE_OVERHEAD_MAX (5 + 8 + 16)

/*
 * handmade_record() writes the record of number @seq whose protected content is exactly the @len bytes
 * of @plain to @out, which has room for @len + HANDMADE_OVERHEAD_MAX bytes. @type is the type in the
 * header; in TLS 1.3 that is 23, and the inner type and the padding are part of @plain. Returns the
 * record's length. Aborts when BoringSSL fails.
 */
size_t handmade_record(uint8_t *out, const struct traffic *traffic, uint64_t seq, uint8_t type,
		       const uint8_t *plain, size_t len);

#endif
