/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access by identity. Called when a peer's path has been found valid: it decides about peers that are
 * who they say they are. It must never let a peer pass because a name of it could not be read.
 */
#include "verify/identity.h"

#include <arpa/inet.h>
#include <string.h>

#include "core/error.h"

/* --- names ----------------------------------------------------------------------------------- */

static bool is_printable(const CBS *value)
{
	const uint8_t *data = CBS_data(value);
	size_t i, len = CBS_len(value);

	for (i = 0; i < len; i++)
		if (data[i] <= ' ' || data[i] > '~')
			return false;
	return len;
}

/* Whether a name, if it is of a kind that lists have, can be read in one way only. */
static bool is_well_formed(const struct general_name *name)
{
	const uint8_t *data = CBS_data(&name->value), *rest;
	size_t len = CBS_len(&name->value), rest_len;

	switch (name->kind) {
	case NAME_DNS:
		return dns_is_name(data, len) || dns_wildcard(data, len, &rest, &rest_len);
	case NAME_EMAIL:
		return is_printable(&name->value) && memchr(data, '@', len) &&
		       memchr(data, '@', len) == memrchr(data, '@', len);
	case NAME_URI:
		return is_printable(&name->value);
	case NAME_IP:
		return len == 4 || len == 16;
	default:
		return true;
	}
}

/* struct names - what there is to know of a leaf's names; general_name.value.len 0: none. */
struct names {
	CBS all; /* empty: no subjectAltName */
	size_t n_uris;
};

static bool names_read(struct names *names, const X509 *leaf)
{
	struct general_name name;
	CBS rest;
	int r;

	memset(names, 0, sizeof(*names));
	r = san_get(leaf, &names->all);
	if (r <= 0)
		return !r;
	rest = names->all;
	while (general_name_get(&rest, &name)) {
		names->n_uris += name.kind == NAME_URI;
		if (!is_well_formed(&name))
			return false;
	}
	return true;
}

static bool is_spiffe(const struct names *names, const struct general_name *name)
{
	return name->kind == NAME_URI && names->n_uris == 1 &&
	       spiffe_is_id(CBS_data(&name->value), CBS_len(&name->value));
}

/* Whether a name may be the peer's identity. Several URIs are nobody's SPIFFE ID. */
static bool is_wanted(const struct names *names, const struct general_name *name,
		      enum identity_kind kind)
{
	const uint8_t *data = CBS_data(&name->value);
	size_t len = CBS_len(&name->value);

	if (spiffe_is_id(data, len) && !is_spiffe(names, name))
		return false;
	switch (kind) {
	case IDENTITY_DNS:
		return name->kind == NAME_DNS;
	case IDENTITY_EMAIL:
		return name->kind == NAME_EMAIL;
	case IDENTITY_URI:
		return name->kind == NAME_URI;
	case IDENTITY_SPIFFE:
		return is_spiffe(names, name);
	case IDENTITY_IP:
		return name->kind == NAME_IP;
	default:
		return true;
	}
}

/* Puts a well-formed name into @text; false: it has none, or is too long to be an identity. */
static bool name_text(const struct general_name *name, char text[IDENTITY_SIZE])
{
	const uint8_t *data = CBS_data(&name->value);
	size_t i, len = CBS_len(&name->value);

	if (name->kind == NAME_IP)
		return inet_ntop(len == 4 ? AF_INET : AF_INET6, data, text, IDENTITY_SIZE);
	if ((name->kind != NAME_DNS && name->kind != NAME_EMAIL && name->kind != NAME_URI) ||
	    len >= IDENTITY_SIZE)
		return false;
	for (i = 0; i < len; i++)
		text[i] = (char)(name->kind == NAME_DNS ? dns_lower(data[i]) : data[i]);
	text[len] = '\0';
	return true;
}

/*
 * Finds the identity: the first name that is wanted and allowed, else the first that is wanted.
 * Returns whether it is allowed by name; *@ret_text is "" where there is none.
 */
static bool find(const struct identity_policy *policy, const struct names *names,
		 char ret_text[IDENTITY_SIZE])
{
	char text[IDENTITY_SIZE];
	struct general_name name;
	CBS rest = names->all;

	ret_text[0] = '\0';
	while (general_name_get(&rest, &name)) {
		if (!is_wanted(names, &name, policy->kind) || !name_text(&name, text))
			continue;
		if (rules_find_name(policy->allow, &name, false)) {
			strcpy(ret_text, text);
			return true;
		}
		if (!ret_text[0] && policy->kind != IDENTITY_NONE)
			strcpy(ret_text, text);
	}
	return false;
}

static const char *find_denied(const struct identity_policy *policy, const struct names *names,
			       const STACK_OF(X509) * path)
{
	const char *rule = rules_find_cert(policy->deny, path, true);
	struct general_name name;
	CBS rest = names->all;

	while (!rule && general_name_get(&rest, &name))
		rule = rules_find_name(policy->deny, &name, true);
	return rule;
}

/* --- the verdict ----------------------------------------------------------------------------- */

static int refuse(struct sluice_error *err, int x509_error)
{
	if (err)
		err->x509_error = x509_error;
	return -SLUICE_E_PEER_REFUSED;
}

int identity_check(const struct identity_policy *policy, const STACK_OF(X509) * path,
		   uint8_t *ret_alert, struct sluice_error *ret_err)
{
	static const char *const kinds[] = { "",    "DNS name",  "e-mail address",
					     "URI", "SPIFFE ID", "address" };
	char text[IDENTITY_SIZE];
	struct names names;
	const char *rule;
	bool allowed;

	if (!identity_wanted(policy))
		return 0;
	*ret_alert = SLUICE_ALERT_BAD_CERTIFICATE;
	if (!names_read(&names, sk_X509_value(path, 0))) {
		err_set(ret_err, SLUICE_E_PEER_REFUSED,
			"the peer's certificate has a name that is malformed");
		return refuse(ret_err, X509_V_ERR_UNSUPPORTED_NAME_SYNTAX);
	}
	allowed = find(policy, &names, text);
	if (policy->kind != IDENTITY_NONE && !text[0]) {
		err_set(ret_err, SLUICE_E_PEER_REFUSED,
			"peer_identity: the peer's certificate has no %s to know it by%s",
			kinds[policy->kind],
			policy->kind == IDENTITY_SPIFFE ? ", or more than one URI" : "");
		return refuse(ret_err, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	*ret_alert = SLUICE_ALERT_ACCESS_DENIED;
	rule = find_denied(policy, &names, path);
	if (rule) {
		err_set(ret_err, SLUICE_E_PEER_REFUSED, "deny_peers: the peer is denied by %.120s",
			rule);
		return refuse(ret_err, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	if (policy->allow && !allowed && !rules_find_cert(policy->allow, path, false)) {
		err_set(ret_err, SLUICE_E_PEER_REFUSED,
			"allow_peers: no rule is for the peer%s%.120s", text[0] ? ", " : "", text);
		return refuse(ret_err, X509_V_ERR_APPLICATION_VERIFICATION);
	}
	*ret_alert = 0;
	return 0;
}

void identity_find(const struct identity_policy *policy, const X509 *leaf,
		   char ret_text[IDENTITY_SIZE])
{
	struct names names;

	ret_text[0] = '\0';
	if (identity_wanted(policy) && names_read(&names, leaf))
		find(policy, &names, ret_text);
}
