/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name constraints over a path. Called by path validation, for every path that is otherwise valid.
 * It must never take a name that it cannot compare for one that is permitted, or that is not
 * excluded.
 */
#include "verify/constraints.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include "core/error.h"
#include "verify/dname.h"
#include "verify/dns.h"
#include "verify/names.h"

#define TAG_PERMITTED (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 0)
#define TAG_EXCLUDED (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 1)

/* Bytes that are compared in the time that a comparison takes by itself. */
#define UNIT 64
#define UNIT_DIRECTORY 16 /* decoded, folded, and each attribute of an RDN with each */

/* struct part - bytes of a name. */
struct part {
	const uint8_t *data;
	size_t len;
};

/* struct name - a name of a certificate, taken apart as far as its kind has parts. */
struct name {
	enum general_name_kind kind;
	CBS value;
	struct part local; /* of an e-mail address */
	struct part host;  /* of an e-mail address, URI or DNS name, without a wildcard */
	bool wildcard;     /* of a DNS name */
	CBS rdns;
};

/* struct check - one path's check: the subtrees of one issuer, and what is left to spend. */
struct check {
	CBS permitted, excluded;
	unsigned int kinds; /* 1 << kind: subtrees of that kind are among them */
	size_t budget;
	int x509_error;
	const char *reason;
};

/* Returns false, for what has failed. */
static bool fail(struct check *check, int x509_error, const char *reason)
{
	check->x509_error = x509_error;
	check->reason = reason;
	return false;
}

/* --- parts of names ------------------------------------------------------------------------- */

static struct part part_of(const CBS *value)
{
	return (struct part){ CBS_data(value), CBS_len(value) };
}

static bool is_host(struct part host)
{
	return dns_is_name(host.data, host.len);
}

/* RFC 5321, 4.1.2: a mailbox whose local part is a dot-string. Quoted ones are nobody's. */
static bool split_mailbox(struct part mailbox, struct part *ret_local, struct part *ret_host)
{
	const uint8_t *at = mailbox.len ? memchr(mailbox.data, '@', mailbox.len) : NULL;
	size_t i, local_len;

	if (!at || at == mailbox.data)
		return false;
	local_len = (size_t)(at - mailbox.data);
	for (i = 0; i < local_len; i++)
		if (mailbox.data[i] <= ' ' || mailbox.data[i] > '~' ||
		    strchr("\"(),:;<>[\\]", mailbox.data[i]))
			return false;
	*ret_local = (struct part){ mailbox.data, local_len };
	*ret_host = (struct part){ at + 1, mailbox.len - local_len - 1 };
	return is_host(*ret_host);
}

static const uint8_t *find_byte(struct part part, const char *bytes)
{
	size_t i;

	for (i = 0; i < part.len; i++)
		if (part.data[i] && strchr(bytes, part.data[i]))
			return part.data + i;
	return NULL;
}

static struct part after(struct part part, const uint8_t *at)
{
	return (struct part){ at + 1, part.len - (size_t)(at - part.data) - 1 };
}

static struct part before(struct part part, const uint8_t *at)
{
	return (struct part){ part.data, at ? (size_t)(at - part.data) : part.len };
}

static bool is_dotted_quad(struct part host)
{
	size_t i;

	for (i = 0; i < host.len; i++)
		if (host.data[i] != '.' && (host.data[i] < '0' || host.data[i] > '9'))
			return false;
	return true;
}

/*
 * RFC 3986, 3: scheme ":" "//" [ userinfo "@" ] host [ ":" port ]. RFC 5280 wants a URI without
 * authority, or whose host is not a DNS name, to be refused where URIs are constrained.
 */
static bool split_uri(struct part uri, struct part *ret_host)
{
	const uint8_t *colon = find_byte(uri, ":/?#"), *at;
	struct part rest;

	if (!colon || *colon != ':' || colon == uri.data)
		return false;
	rest = after(uri, colon);
	if (rest.len < 2 || rest.data[0] != '/' || rest.data[1] != '/')
		return false;
	rest = (struct part){ rest.data + 2, rest.len - 2 };
	rest = before(rest, find_byte(rest, "/?#"));
	at = find_byte(rest, "@");
	if (at)
		rest = after(rest, at);
	*ret_host = before(rest, find_byte(rest, ":"));
	return is_host(*ret_host) && !is_dotted_quad(*ret_host);
}

static bool split_dns(struct name *name)
{
	name->host = part_of(&name->value);
	name->wildcard =
		dns_wildcard(name->host.data, name->host.len, &name->host.data, &name->host.len);
	return name->wildcard || is_host(name->host);
}

/* False: the name cannot be compared with any subtree of its kind. */
static bool name_parse(struct name *name)
{
	switch (name->kind) {
	case NAME_DNS:
		return split_dns(name);
	case NAME_EMAIL:
		return split_mailbox(part_of(&name->value), &name->local, &name->host);
	case NAME_URI:
		return split_uri(part_of(&name->value), &name->host);
	case NAME_IP:
		return CBS_len(&name->value) == 4 || CBS_len(&name->value) == 16;
	case NAME_DIRECTORY:
		return dname_open(&name->value, &name->rdns);
	default:
		return true;
	}
}

/* --- subtrees ------------------------------------------------------------------------------- */

/* RFC 5280: an address and a mask of its size, whose bits are those of a prefix (RFC 4632). */
static bool is_network(const CBS *base)
{
	const uint8_t *mask = CBS_data(base) + CBS_len(base) / 2;
	size_t i, len = CBS_len(base) / 2;
	bool ended = false;

	if (CBS_len(base) != 8 && CBS_len(base) != 32)
		return false;
	for (i = 0; i < 8 * len; i++) {
		bool bit = mask[i / 8] >> (7 - i % 8) & 1;

		if (bit && ended)
			return false;
		ended = !bit;
	}
	return true;
}

static bool is_host_or_domain(struct part base)
{
	bool domain = base.len && base.data[0] == '.';

	return !base.len || is_host((struct part){ base.data + domain, base.len - domain });
}

/* Whether a subtree is one that names can be held against. An empty one stands for every name. */
static bool base_valid(const struct general_name *base)
{
	struct part part = part_of(&base->value), local, host;
	CBS rdns;

	switch (base->kind) {
	case NAME_DNS:
		return !part.len || is_host(part);
	case NAME_EMAIL:
		return is_host_or_domain(part) || split_mailbox(part, &local, &host);
	case NAME_URI:
		return is_host_or_domain(part);
	case NAME_IP:
		return is_network(&base->value);
	case NAME_DIRECTORY:
		return dname_open(&base->value, &rdns);
	default: /* compared with nothing */
		return true;
	}
}

static bool get_subtree(CBS *subtrees, struct general_name *ret_base, CBS *ret_rest)
{
	CBS subtree;

	if (!CBS_get_asn1(subtrees, &subtree, CBS_ASN1_SEQUENCE) ||
	    !general_name_get(&subtree, ret_base))
		return false;
	*ret_rest = subtree;
	return true;
}

static bool subtrees_valid(struct check *check, CBS subtrees)
{
	struct general_name base;
	CBS rest;

	if (!CBS_len(&subtrees))
		return fail(check, X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, NULL);
	while (CBS_len(&subtrees)) {
		if (!get_subtree(&subtrees, &base, &rest) || !base_valid(&base))
			return fail(check, X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, NULL);
		if (CBS_len(&rest))
			return fail(check, X509_V_ERR_SUBTREE_MINMAX, NULL);
		check->kinds |= 1u << base.kind;
	}
	return true;
}

/* Takes the constraints of @issuer into @check. Returns 1, 0: it has none, or -1: see @check. */
static int constraints_get(struct check *check, const X509 *issuer)
{
	int at = X509_get_ext_by_NID(issuer, NID_name_constraints, -1);
	int has_permitted = 0, has_excluded = 0;
	const ASN1_OCTET_STRING *value;
	CBS cbs, both;

	check->kinds = 0;
	if (at < 0)
		return 0;
	value = X509_EXTENSION_get_data(X509_get_ext(issuer, at));
	CBS_init(&cbs, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
	if (X509_get_ext_by_NID(issuer, NID_name_constraints, at) >= 0 ||
	    !CBS_get_asn1(&cbs, &both, CBS_ASN1_SEQUENCE) || CBS_len(&cbs) ||
	    !CBS_get_optional_asn1(&both, &check->permitted, &has_permitted, TAG_PERMITTED) ||
	    !CBS_get_optional_asn1(&both, &check->excluded, &has_excluded, TAG_EXCLUDED) ||
	    CBS_len(&both) || (!has_permitted && !has_excluded)) {
		fail(check, X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX, NULL);
		return -1;
	}
	if (!has_permitted)
		CBS_init(&check->permitted, NULL, 0);
	if (!has_excluded)
		CBS_init(&check->excluded, NULL, 0);
	if ((has_permitted && !subtrees_valid(check, check->permitted)) ||
	    (has_excluded && !subtrees_valid(check, check->excluded)))
		return -1;
	return 1;
}

/* --- comparison ----------------------------------------------------------------------------- */

/* RFC 5280: a name with any number of labels put in front, none included. */
static bool dns_matches(const struct name *name, struct part base, bool excluded)
{
	const uint8_t *dot;

	if (!base.len || dns_within(name->host.data, name->host.len, base.data, base.len))
		return true;
	if (!excluded || !name->wildcard)
		return false;
	/* One of the names that the wildcard stands for may be the base; none is deeper. */
	dot = memchr(base.data, '.', base.len);
	if (!dot)
		return false;
	base = after(base, dot);
	return dns_equal(name->host.data, name->host.len, base.data, base.len);
}

/* A host is itself; ".domain" is every host below, but not the domain. */
static bool host_matches(struct part host, struct part base)
{
	if (!base.len)
		return true;
	if (base.data[0] != '.')
		return dns_equal(host.data, host.len, base.data, base.len);
	return host.len > base.len - 1 &&
	       dns_within(host.data, host.len, base.data + 1, base.len - 1);
}

/*
 * The case of a local part may matter to its host (RFC 5321, 2.4), or may not: so it does for what is
 * permitted, and does not for what is excluded.
 */
static bool email_matches(const struct name *name, struct part base, bool excluded)
{
	struct part local, host;

	if (!base.len || !memchr(base.data, '@', base.len))
		return host_matches(name->host, base);
	if (!split_mailbox(base, &local, &host) ||
	    !dns_equal(name->host.data, name->host.len, host.data, host.len))
		return false;
	if (excluded)
		return dns_equal(name->local.data, name->local.len, local.data, local.len);
	return name->local.len == local.len && !memcmp(name->local.data, local.data, local.len);
}

static bool address_matches(const CBS *address, const CBS *base)
{
	const uint8_t *bytes = CBS_data(address), *network = CBS_data(base);
	size_t i, len = CBS_len(address);

	if (CBS_len(base) != 2 * len)
		return false;
	for (i = 0; i < len; i++)
		if ((bytes[i] ^ network[i]) & network[len + i])
			return false;
	return true;
}

static bool matches(const struct name *name, const struct general_name *base, bool excluded)
{
	struct part part = part_of(&base->value);
	CBS rdns;

	switch (name->kind) {
	case NAME_DNS:
		return dns_matches(name, part, excluded);
	case NAME_EMAIL:
		return email_matches(name, part, excluded);
	case NAME_URI:
		return host_matches(name->host, part);
	case NAME_IP:
		return address_matches(&name->value, &base->value);
	default:
		return dname_open(&base->value, &rdns) && dname_within(&name->rdns, &rdns);
	}
}

static bool spend(struct check *check, const struct name *name, const struct general_name *base)
{
	size_t unit = base->kind == NAME_DIRECTORY ? UNIT_DIRECTORY : UNIT, cost = 1;

	if (base->kind == name->kind)
		cost += (CBS_len(&name->value) + CBS_len(&base->value)) / unit;
	if (check->budget < cost)
		return fail(check, X509_V_ERR_CERT_REJECTED,
			    "its names and name constraints take too many comparisons");
	check->budget -= cost;
	return true;
}

/* Finds @name among @subtrees. False: see @check. */
static bool find(struct check *check, CBS subtrees, const struct name *name, bool excluded,
		 bool *ret_any, bool *ret_found)
{
	struct general_name base;
	CBS rest;

	*ret_any = *ret_found = false;
	while (!*ret_found && get_subtree(&subtrees, &base, &rest)) {
		if (!spend(check, name, &base))
			return false;
		if (base.kind != name->kind)
			continue;
		*ret_any = true;
		*ret_found = matches(name, &base, excluded);
	}
	return true;
}

/* --- the names of a certificate -------------------------------------------------------------- */

static bool constrains(const struct check *check, enum general_name_kind kind)
{
	return check->kinds & 1u << kind;
}

static bool is_comparable(enum general_name_kind kind)
{
	return kind == NAME_DNS || kind == NAME_EMAIL || kind == NAME_URI || kind == NAME_IP ||
	       kind == NAME_DIRECTORY;
}

static bool check_name(struct check *check, enum general_name_kind kind, const CBS *value)
{
	struct name name = { .kind = kind, .value = *value };
	bool any, found;

	if (!constrains(check, kind))
		return true;
	if (!is_comparable(kind))
		return fail(check, X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, NULL);
	if (!name_parse(&name))
		return fail(check, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, NULL);
	if (!find(check, check->excluded, &name, true, &any, &found))
		return false;
	if (found)
		return fail(check, X509_V_ERR_EXCLUDED_VIOLATION, NULL);
	if (!find(check, check->permitted, &name, false, &any, &found))
		return false;
	return !any || found || fail(check, X509_V_ERR_PERMITTED_VIOLATION, NULL);
}

/*
 * RFC 5280 holds e-mail addresses of the subject against constraints where there is no
 * subjectAltName; they are, always: who reads them does not ask whether there is one.
 */
static bool check_subject(struct check *check, const X509 *x509)
{
	struct dname_emails emails = { 0 };
	const uint8_t *der;
	size_t der_len;
	CBS name, email;

	if (!constrains(check, NAME_DIRECTORY) && !constrains(check, NAME_EMAIL))
		return true;
	if (!X509_NAME_get0_der(X509_get_subject_name(x509), &der, &der_len))
		return fail(check, X509_V_ERR_OUT_OF_MEM, NULL);
	CBS_init(&name, der, der_len);
	if (!dname_open(&name, &emails.rdns))
		return fail(check, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, NULL);
	if (CBS_len(&emails.rdns) && !check_name(check, NAME_DIRECTORY, &name))
		return false;
	while (dname_email(&emails, &email))
		if (!check_name(check, NAME_EMAIL, &email))
			return false;
	return true;
}

/* RFC 9598, 6: an internationalized mailbox is an e-mail address, which is not compared here. */
static bool is_smtp_utf8(const struct general_name *name)
{
	/* 1.3.6.1.5.5.7.8.9 */
	static const uint8_t oid[] = { 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x08, 0x09 };
	CBS value = name->value, type;

	return name->kind == NAME_OTHER && CBS_get_asn1(&value, &type, CBS_ASN1_OBJECT) &&
	       CBS_mem_equal(&type, oid, sizeof(oid));
}

static bool check_alternatives(struct check *check, const X509 *x509)
{
	struct general_name name;
	CBS names;
	int r = san_get(x509, &names);

	if (r <= 0)
		return !r || fail(check, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX, NULL);
	while (general_name_get(&names, &name)) {
		if (is_smtp_utf8(&name) && constrains(check, NAME_EMAIL))
			return fail(check, X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE, NULL);
		if (!check_name(check, name.kind, &name.value))
			return false;
	}
	return true;
}

/* --- the path ------------------------------------------------------------------------------- */

/* RFC 5280, 6.1.4 (b): an issuer that renews its own key is not held against constraints. */
static bool is_exempt(const X509 *x509, size_t index)
{
	return index > 0 && !X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509));
}

/* Holds all below @issuer against its constraints. */
static bool check_below(struct check *check, const STACK_OF(X509) * path, size_t issuer,
			size_t *ret_index)
{
	size_t i;
	int r = constraints_get(check, sk_X509_value(path, issuer));

	*ret_index = issuer;
	for (i = issuer; r > 0 && i-- > 0;) {
		const X509 *x509 = sk_X509_value(path, i);

		*ret_index = i;
		if (!is_exempt(x509, i) &&
		    (!check_subject(check, x509) || !check_alternatives(check, x509)))
			return false;
	}
	return r >= 0;
}

struct constraints_verdict constraints_check(const STACK_OF(X509) * path)
{
	struct check check = { .budget = CONSTRAINTS_MAX_COMPARISONS };
	size_t issuer, index;

	for (issuer = sk_X509_num(path); issuer-- > 1;) {
		if (check_below(&check, path, issuer, &index))
			continue;
		if (!check.reason)
			check.reason = X509_verify_cert_error_string(check.x509_error);
		return (struct constraints_verdict){ check.x509_error, check.reason, index };
	}
	return (struct constraints_verdict){ 0 };
}
