/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distinguished names against directoryName subtrees. Called by the check of name constraints. The
 * folding is BoringSSL's, so that what it takes for one name when it looks for an issuer is one name
 * here: white space, ASCII case and string types count for nothing.
 */
#include "verify/dname.h"

#include <stdint.h>

#include "verify/dns.h"

#define MAX_ATTRIBUTES 8 /* in one RDN: they are compared each with each */

/* Tags that bytestring.h has no names for. */
#define TAG_VISIBLE 0x1a
#define TAG_UNIVERSAL 0x1c

#define TEXT_END UINT32_MAX
#define TEXT_BAD (UINT32_MAX - 1)

/* --- strings -------------------------------------------------------------------------------- */

/* struct text - a string, read by code points. */
struct text {
	CBS cbs;
	unsigned int tag;
	uint32_t next; /* the one behind folded white space, if @has_next */
	bool has_next;
	bool begun;
};

static bool is_text(unsigned int tag)
{
	switch (tag) {
	case CBS_ASN1_UTF8STRING:
	case CBS_ASN1_PRINTABLESTRING:
	case CBS_ASN1_T61STRING:
	case CBS_ASN1_IA5STRING:
	case TAG_VISIBLE:
	case TAG_UNIVERSAL:
	case CBS_ASN1_BMPSTRING:
		return true;
	default:
		return false;
	}
}

/* RFC 3629, 3; overlong forms and surrogates would let one name have two encodings. */
static uint32_t get_utf8(CBS *cbs)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };
	unsigned int n, i;
	uint32_t c;
	uint8_t byte;

	CBS_get_u8(cbs, &byte);
	if (byte < 0x80)
		return byte;
	n = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
	if (byte < 0xc2 || byte > 0xf4)
		return TEXT_BAD;
	c = byte & (0x3fu >> n);
	for (i = 0; i < n; i++) {
		if (!CBS_get_u8(cbs, &byte) || (byte & 0xc0) != 0x80)
			return TEXT_BAD;
		c = c << 6 | (byte & 0x3f);
	}
	return c < least[n] ? TEXT_BAD : c;
}

static uint32_t get_char(struct text *text)
{
	uint32_t c = TEXT_BAD;
	uint16_t c16;
	uint8_t c8;

	if (!CBS_len(&text->cbs))
		return TEXT_END;
	switch (text->tag) {
	case CBS_ASN1_UTF8STRING:
		c = get_utf8(&text->cbs);
		break;
	case CBS_ASN1_BMPSTRING:
		c = CBS_get_u16(&text->cbs, &c16) ? c16 : TEXT_BAD;
		break;
	case TAG_UNIVERSAL:
		if (!CBS_get_u32(&text->cbs, &c))
			c = TEXT_BAD;
		break;
	case CBS_ASN1_T61STRING: /* read as Latin-1 by everyone */
		CBS_get_u8(&text->cbs, &c8);
		c = c8;
		break;
	default:
		CBS_get_u8(&text->cbs, &c8);
		c = c8 < 0x80 ? c8 : TEXT_BAD;
		break;
	}
	return c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? TEXT_BAD : c;
}

static bool is_space(uint32_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* RFC 5280, 7.1, after RFC 4518: one space for each run of them, none at the ends; lower case. */
static uint32_t get_folded(struct text *text)
{
	uint32_t c = text->has_next ? text->next : get_char(text);
	bool spaces = false;

	text->has_next = false;
	while (is_space(c)) {
		spaces = true;
		c = get_char(text);
	}
	if (spaces && text->begun && c != TEXT_END) {
		text->next = c;
		text->has_next = true;
		return ' ';
	}
	text->begun = true;
	return dns_lower(c);
}

static bool text_valid(const CBS *value, unsigned int tag)
{
	struct text text = { .cbs = *value, .tag = tag };
	uint32_t c;

	do {
		c = get_char(&text);
		if (c == TEXT_BAD)
			return false;
	} while (c != TEXT_END);
	return true;
}

static bool text_equal(const CBS *a, unsigned int a_tag, const CBS *b, unsigned int b_tag)
{
	struct text x = { .cbs = *a, .tag = a_tag }, y = { .cbs = *b, .tag = b_tag };
	uint32_t c;

	do {
		c = get_folded(&x);
		if (c != get_folded(&y) || c == TEXT_BAD)
			return false;
	} while (c != TEXT_END);
	return true;
}

/* --- attributes and RDNs -------------------------------------------------------------------- */

struct attribute {
	CBS type, value;
	unsigned int tag;
};

static bool get_attribute(CBS *rdn, struct attribute *ret_attribute)
{
	struct attribute attribute;
	CBS pair;

	if (!CBS_get_asn1(rdn, &pair, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&pair, &attribute.type, CBS_ASN1_OBJECT) ||
	    !CBS_get_any_asn1(&pair, &attribute.value, &attribute.tag) || CBS_len(&pair))
		return false;
	*ret_attribute = attribute;
	return true;
}

static bool attribute_equal(const struct attribute *a, const struct attribute *b)
{
	if (!CBS_mem_equal(&a->type, CBS_data(&b->type), CBS_len(&b->type)))
		return false;
	if (is_text(a->tag) && is_text(b->tag))
		return text_equal(&a->value, a->tag, &b->value, b->tag);
	return a->tag == b->tag &&
	       CBS_mem_equal(&a->value, CBS_data(&b->value), CBS_len(&b->value));
}

/* Whether every attribute of @a is one of @b's. */
static bool rdn_covers(CBS a, const CBS *b)
{
	struct attribute x, y;
	bool found = true;
	CBS rest;

	while (found && get_attribute(&a, &x)) {
		found = false;
		rest = *b;
		while (!found && get_attribute(&rest, &y))
			found = attribute_equal(&x, &y);
	}
	return found;
}

static bool rdn_valid(CBS rdn)
{
	struct attribute attribute;
	size_t n = 0;

	while (CBS_len(&rdn)) {
		if (n++ == MAX_ATTRIBUTES || !get_attribute(&rdn, &attribute) ||
		    (is_text(attribute.tag) && !text_valid(&attribute.value, attribute.tag)))
			return false;
	}
	return n > 0;
}

/* --- names ---------------------------------------------------------------------------------- */

bool dname_open(const CBS *der, CBS *ret_rdns)
{
	CBS cbs = *der, rdns, rest, rdn;

	if (!CBS_get_asn1(&cbs, &rdns, CBS_ASN1_SEQUENCE) || CBS_len(&cbs))
		return false;
	rest = rdns;
	while (CBS_len(&rest))
		if (!CBS_get_asn1(&rest, &rdn, CBS_ASN1_SET) || !rdn_valid(rdn))
			return false;
	*ret_rdns = rdns;
	return true;
}

bool dname_within(const CBS *name, const CBS *base)
{
	CBS names = *name, bases = *base, a, b;

	while (CBS_len(&bases)) {
		if (!CBS_get_asn1(&bases, &b, CBS_ASN1_SET) ||
		    !CBS_get_asn1(&names, &a, CBS_ASN1_SET) || !rdn_covers(a, &b) ||
		    !rdn_covers(b, &a))
			return false;
	}
	return true;
}

bool dname_email(struct dname_emails *emails, CBS *ret_email)
{
	/* 1.2.840.113549.1.9.1 */
	static const uint8_t oid[] = { 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01 };
	struct attribute attribute;

	do {
		while (CBS_len(&emails->rdn) && get_attribute(&emails->rdn, &attribute))
			if (CBS_mem_equal(&attribute.type, oid, sizeof(oid))) {
				*ret_email = attribute.value;
				return true;
			}
	} while (CBS_get_asn1(&emails->rdns, &emails->rdn, CBS_ASN1_SET));
	return false;
}
