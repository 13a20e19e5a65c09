/* SPDX-License-Identifier: Apache-2.0 */
/* Names, usages and purposes that a request names one by one. */
#include "wants.h"

#include <stdio.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "core/error.h"
#include "verify/rules.h"

#define MAX_NAMES 64
#define MAX_EMAIL 320 /* RFC 5321, 4.5.3.1: 64 octets, an at sign, 255 */

struct word {
	const char *text;
	uint32_t bit;
};

static const struct word uses[] = {
	{ "digitalSignature", KU_DIGITAL_SIGNATURE },
	{ "contentCommitment", KU_NON_REPUDIATION },
	{ "keyEncipherment", KU_KEY_ENCIPHERMENT },
	{ "dataEncipherment", KU_DATA_ENCIPHERMENT },
	{ "keyAgreement", KU_KEY_AGREEMENT },
	{ "keyCertSign", KU_KEY_CERT_SIGN },
	{ "cRLSign", KU_CRL_SIGN },
	{ "encipherOnly", KU_ENCIPHER_ONLY },
	{ "decipherOnly", KU_DECIPHER_ONLY },
	{ NULL },
};

static const struct word purposes[] = {
	{ "serverAuth", XKU_SSL_SERVER },      { "clientAuth", XKU_SSL_CLIENT },
	{ "codeSigning", XKU_CODE_SIGN },      { "emailProtection", XKU_SMIME },
	{ "timeStamping", XKU_TIMESTAMP },     { "OCSPSigning", XKU_OCSP_SIGN },
	{ "anyExtendedKeyUsage", XKU_ANYEKU }, { NULL },
};

/* Puts the words of an array together. */
static int get_bits(struct json_object *from, const char *key, const struct word *words,
		    uint32_t *ret_bits, struct sluice_error *err)
{
	struct json_object *member, *word;
	const struct word *known;
	size_t i;

	*ret_bits = 0;
	if (!json_object_object_get_ex(from, key, &member) || !member)
		return 0;
	if (!json_object_is_type(member, json_type_array))
		return err_set(err, SLUICE_E_OPTION, "%s is not an array", key);
	for (i = 0; i < json_object_array_length(member); i++) {
		word = json_object_array_get_idx(member, i);
		for (known = words; known->text; known++) {
			if (json_object_is_type(word, json_type_string) &&
			    !strcmp(json_object_get_string(word), known->text))
				break;
		}
		if (!known->text)
			return err_set(err, SLUICE_E_OPTION, "%s: %.60s is not known", key,
				       json_object_to_json_string(word));
		*ret_bits |= known->bit;
	}
	return 0;
}

/* --- names ---------------------------------------------------------------------------------- */

/* A rule for one e-mail address; NULL: it is none. */
static struct peer_rules *email_rule(const char *email, struct sluice_error *err)
{
	char text[sizeof("email:") + MAX_EMAIL];
	struct peer_rules *rules;
	int len = snprintf(text, sizeof(text), "email:%s", email);

	/* What a list of rules would take for several, or for everybody at a host. */
	if (len >= (int)sizeof(text) || *email == '@' || strpbrk(email, ", \t") ||
	    rules_parse(&rules, "names", text, (size_t)len, NULL) < 0) {
		err_set(err, SLUICE_E_HOSTNAME, "\"%.60s\" is not an e-mail address", email);
		return NULL;
	}
	return rules;
}

int verify_wants_name(const char *name, struct sluice_error *ret_err)
{
	char address[64];
	struct reference reference;
	struct peer_rules *rules;
	size_t len = strcspn(name, "%");

	if (strchr(name, '@')) {
		rules = email_rule(name, ret_err);
		rules_free(rules);
		return rules ? 0 : -SLUICE_E_HOSTNAME;
	}
	/* The zone of an address is looked over (verify.c). */
	if (name[len] && len < sizeof(address) && memchr(name, ':', len)) {
		memcpy(address, name, len);
		address[len] = '\0';
		return reference_parse(&reference, address, ret_err);
	}
	return reference_parse(&reference, name, ret_err);
}

static int get_names(struct json_object *from, struct json_object **ret_names,
		     struct sluice_error *err)
{
	struct json_object *member, *name;
	const char *text;
	size_t i;
	int r = 0;

	*ret_names = NULL;
	if (!json_object_object_get_ex(from, "names", &member) || !member)
		return 0;
	if (!json_object_is_type(member, json_type_array))
		return err_set(err, SLUICE_E_OPTION, "names is not an array");
	if (json_object_array_length(member) > MAX_NAMES)
		return err_set(err, SLUICE_E_OPTION, "names: more than %d", MAX_NAMES);
	for (i = 0; !r && i < json_object_array_length(member); i++) {
		name = json_object_array_get_idx(member, i);
		if (!json_object_is_type(name, json_type_string))
			return err_set(err, SLUICE_E_OPTION, "names: not all are strings");
		text = json_object_get_string(name);
		if (strlen(text) != (size_t)json_object_get_string_len(name))
			return err_set(err, SLUICE_E_OPTION, "names: one has a NUL character");
		r = verify_wants_name(text, err);
	}
	*ret_names = member;
	return r;
}

static bool has_email(const X509 *leaf, const char *email)
{
	struct peer_rules *rules = email_rule(email, NULL);
	struct general_name name;
	bool found = false;
	CBS names;

	if (rules && san_get(leaf, &names) > 0) {
		while (!found && general_name_get(&names, &name))
			found = name.kind == NAME_EMAIL && rules_find_name(rules, &name, false);
	}
	rules_free(rules);
	return found;
}

/* Returns an X.509 error. */
static int check_name(const struct verify_request *request, const char *name)
{
	struct verify_request one = *request;
	struct verify_verdict verdict = { 0 };

	if (strchr(name, '@'))
		return has_email(sk_X509_value(request->certs, 0), name)
			       ? X509_V_OK
			       : X509_V_ERR_EMAIL_MISMATCH;
	one.name = name;
	verify_check_name(&verdict, &one);
	return verdict.x509_error;
}

/* --- all of it ------------------------------------------------------------------------------- */

int verify_wants_get(struct verify_wants *ret_wants, struct json_object *from,
		     struct sluice_error *ret_err)
{
	int r = get_names(from, &ret_wants->names, ret_err);

	if (!r)
		r = get_bits(from, "key_usage", uses, &ret_wants->uses, ret_err);
	if (!r)
		r = get_bits(from, "extended_key_usage", purposes, &ret_wants->purposes, ret_err);
	return r;
}

void verify_wants_check(const struct verify_wants *wants, const struct verify_request *request,
			struct verify_verdict *verdict)
{
	X509 *leaf = sk_X509_value(request->certs, 0);
	int x509_error = X509_V_OK;
	size_t i;

	if (verdict->x509_error)
		return;
	/* Where the extension is absent BoringSSL gives every bit: nothing is forbidden. */
	if (wants->uses & ~X509_get_key_usage(leaf) ||
	    wants->purposes & ~X509_get_extended_key_usage(leaf))
		x509_error = X509_V_ERR_INVALID_PURPOSE;
	for (i = 0; !x509_error && wants->names && i < json_object_array_length(wants->names); i++)
		x509_error = check_name(request, json_object_get_string(json_object_array_get_idx(
							 wants->names, i)));
	if (x509_error)
		verify_verdict_refuse(verdict, x509_error, NULL, 0);
}
