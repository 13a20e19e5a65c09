/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DNS names in ASCII: syntax, comparison and nesting. Called by the checks of names and of name
 * constraints, which must agree about both. It must never depend on the locale.
 */
#include "verify/dns.h"

static bool is_label_byte(uint8_t c)
{
	c = (uint8_t)dns_lower(c);
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool dns_is_name(const uint8_t *name, size_t len)
{
	size_t i, label_len = 0;

	for (i = 0; i < len; i++) {
		if (name[i] == '.' && label_len) {
			label_len = 0;
		} else if (is_label_byte(name[i]) && label_len < 63) {
			label_len++;
		} else {
			return false;
		}
	}
	return label_len && len <= DNS_MAX_NAME;
}

bool dns_equal(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	size_t i;

	if (a_len != b_len)
		return false;
	for (i = 0; i < a_len; i++)
		if (dns_lower(a[i]) != dns_lower(b[i]))
			return false;
	return true;
}

bool dns_within(const uint8_t *name, size_t len, const uint8_t *base, size_t base_len)
{
	if (len < base_len)
		return false;
	if (len > base_len && (len == base_len + 1 || name[len - base_len - 1] != '.'))
		return false;
	return dns_equal(name + (len - base_len), base_len, base, base_len);
}

bool dns_wildcard(const uint8_t *name, size_t len, const uint8_t **ret_rest, size_t *ret_rest_len)
{
	if (len < 3 || name[0] != '*' || name[1] != '.' || !dns_is_name(name + 2, len - 2))
		return false;
	*ret_rest = name + 2;
	*ret_rest_len = len - 2;
	return true;
}
