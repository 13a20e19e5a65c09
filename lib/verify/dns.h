/* SPDX-License-Identifier: Apache-2.0 */
/* DNS names in ASCII, as certificates have them. */
#ifndef SLUICE_VERIFY_DNS_H
#define SLUICE_VERIFY_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DNS_MAX_NAME 253 /* RFC 1035, 2.3.4, as text and without the root's dot */

/*
 * dns_is_name() tells whether @name is labels of 1 to 63 letters, digits, hyphens and underscores
 * (which RFC 1034 lacks and certificates have), with single dots between. U-labels are not.
 */
bool dns_is_name(const uint8_t *name, size_t len);

/* dns_equal() compares two names, without regard to case (RFC 4343). */
bool dns_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/* dns_within() tells whether @name is @base, or @base with labels put in front. */
bool dns_within(const uint8_t *name, size_t len, const uint8_t *base, size_t base_len);

/*
 * dns_wildcard() takes the "*." off a name whose whole left-most label is a wildcard, if the rest is
 * a name and has no other; false: it is not of that kind.
 */
bool dns_wildcard(const uint8_t *name, size_t len, const uint8_t **ret_rest, size_t *ret_rest_len);

/* dns_lower() returns an ASCII letter in lower case, and anything else as it is. */
static inline uint32_t dns_lower(uint32_t c)
{
	return c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c;
}

#endif
