/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of peers: read from options when a profile is built, and asked when a peer's path is valid.
 * What a list means is decided by identity.c. It must never read a rule in two ways: what is not
 * exactly of a known form is an error.
 */
#include "verify/rules.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/digest.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/sha.h>

#include "core/error.h"
#include "verify/dns.h"

enum rule_kind {
	RULE_DNS,
	RULE_EMAIL,
	RULE_URI,
	RULE_SPIFFE,
	RULE_IP,
	RULE_ISSUER,
	RULE_CERT,
	RULE_KEY,
	RULE_ISSUER_KEY,
};

static const struct {
	const char *prefix;
	const char *takes;
} kinds[] = {
	[RULE_DNS] = { "dns:", "a DNS name in ASCII, or *. before one" },
	[RULE_EMAIL] = { "email:", "an e-mail address, or @ before a host" },
	[RULE_URI] = { "uri:", "a URI" },
	[RULE_SPIFFE] = { "spiffe://", "a SPIFFE ID, or one with /* behind it" },
	[RULE_IP] = { "ip:", "an address, or a network like 10.0.0.0/8" },
	[RULE_ISSUER] = { "issuer:", "a common name" },
	[RULE_CERT] = { "cert:", "a SHA-256 in hexadecimal" },
	[RULE_KEY] = { "key:", "a SHA-256 in hexadecimal" },
	[RULE_ISSUER_KEY] = { "issuer-key:", "a SHA-256 in hexadecimal" },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* struct rule - @value is behind the prefix of its kind, but for a SPIFFE ID, which is whole. */
struct rule {
	enum rule_kind kind;
	bool wildcard; /* of DNS names and SPIFFE IDs: the asterisk is not in @value */
	const char *text, *value;
	size_t len; /* of @value */
	union {
		uint8_t digest[SHA256_DIGEST_LENGTH];
		struct {
			size_t len, prefix;
			uint8_t bytes[16];
		} ip;
	};
};

struct peer_rules {
	size_t n;
	struct rule rules[RULES_MAX];
	char text[]; /* the list, with NULs for commas */
};

/* --- SPIFFE ---------------------------------------------------------------------------------- */

#define SPIFFE "spiffe://"
#define SPIFFE_LEN (sizeof(SPIFFE) - 1)
#define SPIFFE_MAX 2048

static bool is_one_of(uint8_t c, const char *chars)
{
	return c && strchr(chars, c);
}

static bool is_lower_or_digit(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* SPIFFE-ID, 2.2: segments that are not empty, nor dots. */
static bool is_segment(const uint8_t *segment, size_t len)
{
	size_t i, n_dots = 0;

	for (i = 0; i < len; i++) {
		n_dots += segment[i] == '.';
		if (!is_lower_or_digit((uint8_t)dns_lower(segment[i])) &&
		    !is_one_of(segment[i], "-._"))
			return false;
	}
	return len && (n_dots < len || len > 2);
}

bool spiffe_is_id(const uint8_t *uri, size_t len)
{
	size_t i, from;

	if (len > SPIFFE_MAX || len <= SPIFFE_LEN || memcmp(uri, SPIFFE, SPIFFE_LEN) != 0)
		return false;
	for (i = SPIFFE_LEN; i < len && uri[i] != '/'; i++)
		if (!is_lower_or_digit(uri[i]) && !is_one_of(uri[i], "-._"))
			return false;
	if (i == SPIFFE_LEN || i - SPIFFE_LEN > 255)
		return false;
	while (i < len) {
		from = ++i;
		while (i < len && uri[i] != '/')
			i++;
		if (!is_segment(uri + from, i - from))
			return false;
	}
	return true;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool parse_dns(struct rule *rule)
{
	if (!strncmp(rule->value, "*.", 2)) {
		rule->wildcard = true;
		rule->value += 2;
		rule->len -= 2;
	}
	return dns_is_name((const uint8_t *)rule->value, rule->len);
}

static bool is_printable(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return len;
}

static bool parse_email(const struct rule *rule)
{
	const char *at = strchr(rule->value, '@');
	size_t local_len = at ? (size_t)(at - rule->value) : 0;

	return at && is_printable(rule->value, rule->len) &&
	       dns_is_name((const uint8_t *)at + 1, rule->len - local_len - 1);
}

static bool parse_uri(const struct rule *rule)
{
	const char *colon = strchr(rule->value, ':');

	return colon && colon > rule->value && is_printable(rule->value, rule->len);
}

static bool parse_spiffe(struct rule *rule)
{
	if (rule->len > 2 && !strcmp(rule->value + rule->len - 2, "/*")) {
		rule->wildcard = true;
		rule->len -= 2;
	}
	return spiffe_is_id((const uint8_t *)rule->value, rule->len);
}

static bool parse_ip(struct rule *rule)
{
	const char *slash = strchr(rule->value, '/');
	size_t len = slash ? (size_t)(slash - rule->value) : rule->len;
	char address[INET6_ADDRSTRLEN], *end;

	if (len >= sizeof(address))
		return false;
	memcpy(address, rule->value, len);
	address[len] = '\0';
	rule->ip.len = inet_pton(AF_INET, address, rule->ip.bytes) == 1    ? 4
		       : inet_pton(AF_INET6, address, rule->ip.bytes) == 1 ? 16
									   : 0;
	rule->ip.prefix = 8 * rule->ip.len;
	if (!slash || !rule->ip.len)
		return rule->ip.len;
	if (slash[1] < '0' || slash[1] > '9')
		return false;
	rule->ip.prefix = strtoul(slash + 1, &end, 10);
	return !*end && rule->ip.prefix <= 8 * rule->ip.len;
}

static int hex_digit(char c)
{
	c = (char)dns_lower((uint8_t)c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As sha256sum(1) prints it, or as openssl(1) does, with colons. */
static bool parse_digest(struct rule *rule)
{
	const char *at = rule->value;
	size_t i;

	for (i = 0; i < sizeof(rule->digest); i++) {
		if (i && *at == ':')
			at++;
		if (hex_digit(at[0]) < 0 || hex_digit(at[1]) < 0)
			return false;
		rule->digest[i] = (uint8_t)(hex_digit(at[0]) << 4 | hex_digit(at[1]));
		at += 2;
	}
	return !*at;
}

static bool parse_value(struct rule *rule)
{
	switch (rule->kind) {
	case RULE_DNS:
		return parse_dns(rule);
	case RULE_EMAIL:
		return parse_email(rule);
	case RULE_URI:
		return parse_uri(rule);
	case RULE_SPIFFE:
		return parse_spiffe(rule);
	case RULE_IP:
		return parse_ip(rule);
	case RULE_ISSUER:
		return rule->len;
	default:
		return parse_digest(rule);
	}
}

static int parse_rule(struct rule *rule, const char *option, const char *text,
		      struct sluice_error *err)
{
	size_t kind, prefix_len;

	for (kind = 0; kind < N_KINDS; kind++)
		if (!strncmp(text, kinds[kind].prefix, strlen(kinds[kind].prefix)))
			break;
	if (kind == N_KINDS)
		return err_set(err, SLUICE_E_OPTION,
			       "%s: takes dns:, email:, uri:, spiffe://, ip:, issuer:, cert:, key: "
			       "and issuer-key:, not \"%.40s\"",
			       option, text);
	prefix_len = kind == RULE_SPIFFE ? 0 : strlen(kinds[kind].prefix);
	*rule = (struct rule){ .kind = (enum rule_kind)kind,
			       .text = text,
			       .value = text + prefix_len,
			       .len = strlen(text) - prefix_len };
	if (!parse_value(rule))
		return err_set(err, SLUICE_E_OPTION, "%s: %s takes %s, not \"%.40s\"", option,
			       kinds[kind].prefix, kinds[kind].takes, text);
	return 0;
}

/* Cuts the next word off *@text, blanks around it too. */
static char *next_word(char **text)
{
	char *word = *text, *end = strchrnul(word, ',');

	*text = *end ? end + 1 : NULL;
	while (*word == ' ' || *word == '\t')
		word++;
	while (end > word && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	return word;
}

static int parse_all(struct peer_rules *rules, const char *option, struct sluice_error *err)
{
	char *rest = rules->text, *word;
	int r;

	while (rest) {
		word = next_word(&rest);
		if (rules->n == RULES_MAX)
			return err_set(err, SLUICE_E_OPTION_RANGE, "%s: more than %d rules", option,
				       RULES_MAX);
		r = parse_rule(&rules->rules[rules->n], option, word, err);
		if (r < 0)
			return r;
		rules->n++;
	}
	return 0;
}

int rules_parse(struct peer_rules **ret_rules, const char *option, const char *text,
		size_t text_len, struct sluice_error *ret_err)
{
	struct peer_rules *rules;
	int r;

	if (text_len && memchr(text, '\0', text_len))
		return err_set(ret_err, SLUICE_E_OPTION, "%s: takes a text", option);
	rules = calloc(1, sizeof(*rules) + text_len + 1);
	if (!rules)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", option);
	if (text_len)
		memcpy(rules->text, text, text_len);
	r = parse_all(rules, option, ret_err);
	if (r < 0) {
		rules_free(rules);
		return r;
	}
	*ret_rules = rules;
	return 0;
}

struct peer_rules *rules_free(struct peer_rules *rules)
{
	free(rules);
	return NULL;
}

/* --- names ----------------------------------------------------------------------------------- */

/* Whether "*.@base" stands for @name: one label more. */
static bool wildcard_covers(const uint8_t *base, size_t base_len, const uint8_t *name, size_t len)
{
	const uint8_t *dot = memchr(name, '.', len);
	size_t first = dot ? (size_t)(dot - name) + 1 : 0;

	return dot && dot > name && dns_equal(name + first, len - first, base, base_len);
}

static bool match_dns(const struct rule *rule, const uint8_t *name, size_t len, bool deny)
{
	const uint8_t *value = (const uint8_t *)rule->value, *rest;
	size_t rest_len;

	if (dns_wildcard(name, len, &rest, &rest_len)) {
		if (rule->wildcard)
			return dns_equal(rest, rest_len, value, rule->len);
		return deny && wildcard_covers(rest, rest_len, value, rule->len);
	}
	return rule->wildcard ? wildcard_covers(value, rule->len, name, len)
			      : dns_equal(name, len, value, rule->len);
}

static bool match_email(const struct rule *rule, const uint8_t *name, size_t len, bool deny)
{
	const uint8_t *value = (const uint8_t *)rule->value, *at = memchr(name, '@', len);
	const char *rule_at = strchr(rule->value, '@');
	size_t local = (size_t)(rule_at - rule->value), name_local = at ? (size_t)(at - name) : 0;

	if (!at || !dns_equal(at, len - name_local, value + local, rule->len - local))
		return false;
	if (!local)
		return true;
	return deny ? dns_equal(name, name_local, value, local)
		    : name_local == local && !memcmp(name, value, local);
}

static bool match_spiffe(const struct rule *rule, const uint8_t *name, size_t len)
{
	if (!spiffe_is_id(name, len) || len < rule->len ||
	    memcmp(name, rule->value, rule->len) != 0)
		return false;
	return rule->wildcard ? len > rule->len && name[rule->len] == '/' : len == rule->len;
}

static bool match_ip(const struct rule *rule, const uint8_t *name, size_t len)
{
	size_t whole = rule->ip.prefix / 8, bits = rule->ip.prefix % 8;

	if (len != rule->ip.len || memcmp(name, rule->ip.bytes, whole) != 0)
		return false;
	return !bits || !((name[whole] ^ rule->ip.bytes[whole]) >> (8 - bits));
}

static bool match_name(const struct rule *rule, const struct general_name *name, bool deny)
{
	const uint8_t *data = CBS_data(&name->value);
	size_t len = CBS_len(&name->value);

	switch (rule->kind) {
	case RULE_DNS:
		return name->kind == NAME_DNS && match_dns(rule, data, len, deny);
	case RULE_EMAIL:
		return name->kind == NAME_EMAIL && match_email(rule, data, len, deny);
	case RULE_URI:
		return name->kind == NAME_URI && len == rule->len &&
		       !memcmp(data, rule->value, len);
	case RULE_SPIFFE:
		return name->kind == NAME_URI && match_spiffe(rule, data, len);
	case RULE_IP:
		return name->kind == NAME_IP && match_ip(rule, data, len);
	default:
		return false;
	}
}

const char *rules_find_name(const struct peer_rules *rules, const struct general_name *name,
			    bool deny)
{
	size_t i;

	for (i = 0; rules && i < rules->n; i++)
		if (match_name(&rules->rules[i], name, deny))
			return rules->rules[i].text;
	return NULL;
}

/* --- certificates ---------------------------------------------------------------------------- */

/* Whether the issuer has the common name of @rule; to be allowed by it, it must have no other. */
static int match_issuer(const struct rule *rule, const X509 *leaf, bool deny)
{
	X509_NAME *issuer = X509_get_issuer_name(leaf);
	unsigned int n = 0, n_equal = 0;
	uint8_t *text;
	int len, at;

	for (at = -1; (at = X509_NAME_get_index_by_NID(issuer, NID_commonName, at)) >= 0; n++) {
		text = NULL;
		len = ASN1_STRING_to_UTF8(
			&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(issuer, at)));
		if (len < 0)
			return -1;
		n_equal += (size_t)len == rule->len && !memcmp(text, rule->value, rule->len);
		OPENSSL_free(text);
	}
	return deny ? n_equal > 0 : n == 1 && n_equal == 1;
}

static int match_key(const struct rule *rule, const X509 *x509)
{
	uint8_t *der = NULL, digest[SHA256_DIGEST_LENGTH];
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);

	if (len <= 0)
		return -1;
	SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	return !memcmp(digest, rule->digest, sizeof(digest));
}

static int match_digest(const struct rule *rule, const X509 *x509)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	if (!X509_digest(x509, EVP_sha256(), digest, NULL))
		return -1;
	return !memcmp(digest, rule->digest, sizeof(digest));
}

/* Returns 1, 0, or -1: it cannot be told, for want of memory. */
static int match_cert(const struct rule *rule, const STACK_OF(X509) * path, bool deny)
{
	const X509 *leaf = sk_X509_value(path, 0);
	size_t i;
	int r = 0;

	switch (rule->kind) {
	case RULE_ISSUER:
		return match_issuer(rule, leaf, deny);
	case RULE_CERT:
		return match_digest(rule, leaf);
	case RULE_KEY:
		return match_key(rule, leaf);
	case RULE_ISSUER_KEY:
		for (i = 1; !r && i < sk_X509_num(path); i++)
			r = match_key(rule, sk_X509_value(path, i));
		return r;
	default:
		return 0;
	}
}

const char *rules_find_cert(const struct peer_rules *rules, const STACK_OF(X509) * path, bool deny)
{
	size_t i;
	int r;

	for (i = 0; rules && i < rules->n; i++) {
		r = match_cert(&rules->rules[i], path, deny);
		if (r > 0 || (r < 0 && deny))
			return rules->rules[i].text;
	}
	return NULL;
}
