/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reference identities against presented identities (RFC 9525, 6). Called after a path has been
 * found valid, with the leaf. It must never look at the subject, nor take a name for valid up to a
 * NUL byte.
 */
#include "verify/names.h"

#include <arpa/inet.h>
#include <string.h>

#include <openssl/nid.h>
#include <openssl/obj.h>

#include "core/error.h"

/* --- what is presented ---------------------------------------------------------------------- */

bool general_name_get(CBS *names, struct general_name *ret_name)
{
	const unsigned int constructed = 1u << NAME_OTHER | 1u << NAME_X400 | 1u << NAME_DIRECTORY |
					 1u << NAME_EDI_PARTY;
	unsigned int tag, kind, want;
	CBS value;

	if (!CBS_get_any_asn1(names, &value, &tag))
		return false;
	kind = (unsigned int)(tag & CBS_ASN1_TAG_NUMBER_MASK);
	if (kind >= NAME_KINDS)
		return false;
	want = CBS_ASN1_CONTEXT_SPECIFIC | kind;
	if (constructed & 1u << kind)
		want |= CBS_ASN1_CONSTRUCTED;
	if (tag != want)
		return false;
	*ret_name = (struct general_name){ .kind = (enum general_name_kind)kind, .value = value };
	return true;
}

int san_get(const X509 *x509, CBS *ret_names)
{
	int at = X509_get_ext_by_NID(x509, NID_subject_alt_name, -1);
	const ASN1_OCTET_STRING *value;
	struct general_name name;
	CBS cbs, names, rest;

	if (at < 0)
		return 0;
	if (X509_get_ext_by_NID(x509, NID_subject_alt_name, at) >= 0)
		return -SLUICE_E_CERT_PARSE;
	value = X509_EXTENSION_get_data(X509_get_ext(x509, at));
	CBS_init(&cbs, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	if (!CBS_get_asn1(&cbs, &names, CBS_ASN1_SEQUENCE) || CBS_len(&cbs) || !CBS_len(&names))
		return -SLUICE_E_CERT_PARSE;
	rest = names;
	while (CBS_len(&rest))
		if (!general_name_get(&rest, &name))
			return -SLUICE_E_CERT_PARSE;
	*ret_names = names;
	return 1;
}

/* --- what is asked for ---------------------------------------------------------------------- */

static bool parse_address(struct reference *reference, const char *text, size_t len)
{
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	char address[INET6_ADDRSTRLEN];

	if (brackets) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	reference->kind = NAME_IP;
	reference->len = 4;
	if (!brackets && inet_pton(AF_INET, address, reference->bytes) == 1)
		return true;
	reference->len = 16;
	return inet_pton(AF_INET6, address, reference->bytes) == 1;
}

/* No top-level domain is a number (RFC 3696, 2), but 127.1 and 0x7f.1 are addresses to inet_aton(3). */
static bool ends_in_number(const char *text, size_t len)
{
	size_t i = len;

	while (i && text[i - 1] != '.')
		i--;
	return text[i] >= '0' && text[i] <= '9' &&
	       (len - i == strspn(text + i, "0123456789") || !strncasecmp(text + i, "0x", 2));
}

static bool is_ascii(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] & 0x80)
			return false;
	return true;
}

int reference_parse(struct reference *ret_reference, const char *text, struct sluice_error *ret_err)
{
	struct reference reference = { .kind = NAME_DNS };
	size_t i, len = strlen(text);

	if (parse_address(&reference, text, len)) {
		*ret_reference = reference;
		return 0;
	}
	if (!is_ascii(text, len))
		return err_set(ret_err, SLUICE_E_HOSTNAME,
			       "the name to check is not in ASCII: internationalized labels are "
			       "given as A-labels (xn--)");
	if (memchr(text, '%', len))
		return err_set(ret_err, SLUICE_E_HOSTNAME,
			       "%.60s: no certificate has the zone of an address", text);
	if (len && text[len - 1] == '.') /* the root label is not in certificates */
		len--;
	if (!dns_is_name((const uint8_t *)text, len) || ends_in_number(text, len))
		return err_set(ret_err, SLUICE_E_HOSTNAME,
			       "\"%.60s\" is neither a DNS name nor an address", text);
	for (i = 0; i < len; i++)
		reference.bytes[i] = (uint8_t)dns_lower((uint8_t)text[i]);
	reference.kind = NAME_DNS;
	reference.len = len;
	*ret_reference = reference;
	return 0;
}

/* --- comparison ----------------------------------------------------------------------------- */

/* RFC 9525, 6.3: the wildcard stands for exactly one label. */
static bool match_wildcard(const struct reference *reference, const uint8_t *rest, size_t rest_len)
{
	const uint8_t *dot = memchr(reference->bytes, '.', reference->len);
	size_t first = dot ? (size_t)(dot - reference->bytes) + 1 : 0;

	return dot && dns_equal(reference->bytes + first, reference->len - first, rest, rest_len);
}

static enum names_result match_dns(const struct reference *reference, const CBS *value,
				   enum name_rule rule)
{
	const uint8_t *rest;
	size_t rest_len;

	if (dns_equal(CBS_data(value), CBS_len(value), reference->bytes, reference->len))
		return NAMES_MATCH;
	if (!dns_wildcard(CBS_data(value), CBS_len(value), &rest, &rest_len) ||
	    !match_wildcard(reference, rest, rest_len))
		return NAMES_MISMATCH;
	/* A wildcard for everything under a top-level domain is nobody's to have. */
	if (rule == NAMES_LDAP)
		return NAMES_MATCH;
	if (!memchr(rest, '.', rest_len))
		return NAMES_MISMATCH;
	return rule == NAMES_HTTPS ? NAMES_MATCH : NAMES_WILDCARD;
}

enum names_result names_compare(const struct reference *reference, const struct general_name *name,
				enum name_rule rule)
{
	if (name->kind != reference->kind)
		return NAMES_ABSENT;
	if (reference->kind == NAME_DNS)
		return match_dns(reference, &name->value, rule);
	return CBS_mem_equal(&name->value, reference->bytes, reference->len) ? NAMES_MATCH
									     : NAMES_MISMATCH;
}

/* Returns a verdict, or -1: the hook has no opinion. */
static int ask(const struct sluice_hostname_check *hook, const char *text,
	       const struct general_name *name)
{
	int r = hook && hook->match ? hook->match(hook->arg, text, (int)name->kind,
						  CBS_data(&name->value), CBS_len(&name->value))
				    : -1;

	return r < 0 ? -1 : r ? NAMES_MATCH : NAMES_MISMATCH;
}

/* Of two verdicts the one that says more. */
static enum names_result better(enum names_result a, enum names_result b)
{
	static const int weight[] = {
		[NAMES_ABSENT] = 0, [NAMES_MISMATCH] = 1, [NAMES_WILDCARD] = 2, [NAMES_MATCH] = 3
	};

	return weight[b] > weight[a] ? b : a;
}

enum names_result names_match(const X509 *x509, const struct reference *reference,
			      enum name_rule rule, const struct sluice_hostname_check *hook,
			      const char *text)
{
	enum names_result result = NAMES_ABSENT;
	struct general_name name;
	int asked, r;
	CBS names;

	r = san_get(x509, &names);
	if (r <= 0)
		return r ? NAMES_MALFORMED : NAMES_ABSENT;
	while (result != NAMES_MATCH && general_name_get(&names, &name)) {
		asked = ask(hook, text, &name);
		result = better(result, asked >= 0 ? (enum names_result)asked
						   : names_compare(reference, &name, rule));
	}
	return result;
}
