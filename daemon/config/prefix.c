/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of addresses and prefixes, as in proxy_from: 192.0.2.1, 192.0.2.0/24, 2001:db8::/32. */
#include "config/parse.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PREFIX (INET6_ADDRSTRLEN + 4) /* with "/128" */
#define MAPPED_BITS 96
#define MAX_PREFIXES 1024 /* they are gone through for each connection */

static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const uint8_t address[16])
{
	return memcmp(address, mapped, MAPPED_BITS / 8) == 0;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	return memcmp(a, b, bytes) == 0 && (!rest || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

bool config_prefixes_have(const struct config_prefix *prefixes, size_t n, const uint8_t address[16])
{
	size_t i;

	for (i = 0; i < n; i++)
		/* ::/0 means all of IPv6, and none of IPv4. */
		if (is_mapped(address) == is_mapped(prefixes[i].address) &&
		    same_bits(address, prefixes[i].address, prefixes[i].bits))
			return true;
	return false;
}

static void mask(uint8_t address[16], unsigned int bits)
{
	unsigned int i;

	for (i = bits; i < 128; i++)
		address[i / 8] &= (uint8_t) ~(0x80 >> i % 8);
}

/* A number of @max at most, without leading zeros. */
static bool read_bits(const char *text, unsigned int max, unsigned int *ret_bits)
{
	size_t len = strspn(text, "0123456789");
	unsigned long bits = len && len <= 3 && !text[len] ? strtoul(text, NULL, 10) : max + 1;

	if ((text[0] == '0' && len > 1) || bits > max)
		return false;
	*ret_bits = (unsigned int)bits;
	return true;
}

static bool read_prefix(char *text, struct config_prefix *out)
{
	char *slash = strchr(text, '/');
	unsigned int offset = 0, bits;

	if (slash)
		*slash++ = '\0';
	memcpy(out->address, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, text, out->address + 12) == 1)
		offset = MAPPED_BITS;
	else if (inet_pton(AF_INET6, text, out->address) != 1 || is_mapped(out->address))
		return false;
	bits = 128 - offset;
	if (slash && !read_bits(slash, 128 - offset, &bits))
		return false;
	out->bits = bits + offset;
	return true;
}

/* Bits behind the prefix are a mistake in one of the two. */
static int check_mask(struct parse *p, const struct field *field, const struct node *node,
		      const struct config_prefix *prefix)
{
	bool v4 = is_mapped(prefix->address);
	char text[INET6_ADDRSTRLEN], quote[PARSE_QUOTE_LEN];
	uint8_t masked[16];

	memcpy(masked, prefix->address, sizeof(masked));
	mask(masked, prefix->bits);
	if (memcmp(masked, prefix->address, sizeof(masked)) == 0)
		return 0;
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? masked + 12 : masked, text, sizeof(text));
	return parse_fail(p, SLUICE_E_OPTION, node->place,
			  "%s: \"%s\" has bits behind its prefix; did you mean \"%s/%u\"?",
			  field->name, parse_quote(quote, node->text), text,
			  v4 ? prefix->bits - MAPPED_BITS : prefix->bits);
}

static int read_item(struct parse *p, const struct field *field, const struct node *node,
		     struct config_prefix *out)
{
	char text[MAX_PREFIX + 1], quote[PARSE_QUOTE_LEN];
	int r = node_expect_line(p, field->name, node, MAX_PREFIX);

	if (r < 0)
		return r;
	strcpy(text, node->text);
	if (!read_prefix(text, out))
		return parse_fail(p, SLUICE_E_OPTION, node->place,
				  "%s: takes \"192.0.2.1\", \"192.0.2.0/24\", \"2001:db8::1\" or "
				  "\"2001:db8::/32\", not \"%s\"; write one of these, in quotes",
				  field->name, parse_quote(quote, node->text));
	return check_mask(p, field, node, out);
}

int prefixes_read(struct parse *p, const struct field *field, const struct node *value,
		  void *member)
{
	struct config_listener *listener = member;
	size_t i;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	if (!value->n_items)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "%s: the list is empty; add an address, or take it out",
				  field->name);
	if (value->n_items > MAX_PREFIXES)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
				  "%s: takes at most %d entries; write shorter prefixes",
				  field->name, MAX_PREFIXES);
	listener->proxy_from = calloc(value->n_items, sizeof(*listener->proxy_from));
	if (!listener->proxy_from)
		return parse_nomem(p);
	for (i = 0; !r && i < value->n_items; i++)
		r = read_item(p, field, value->items[i], &listener->proxy_from[i]);
	listener->n_proxy_from = value->n_items;
	return r;
}
