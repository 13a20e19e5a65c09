/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for lib/verify. The first byte is the length of a reference identity, which follows;
 * the next two are the length of a subjectAltName, which follows; the rest are name constraints. The
 * reference is a list of peers as well. A stricter rule must never take what a wider one does not, nor
 * a list let in whom it denies.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/nid.h>
#include <openssl/x509.h>

#include "verify/constraints.h"
#include "verify/identity.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add(X509 *x509, int nid, const uint8_t *bytes, size_t len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	REQUIRE(value && ASN1_OCTET_STRING_set(value, bytes, (int)len));
	extension = X509_EXTENSION_create_by_NID(NULL, nid, 0, value);
	REQUIRE(extension && X509_add_ext(x509, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
}

static void check_names(const X509 *leaf, const char *text)
{
	enum names_result strict, https, ldap;
	struct reference reference;

	if (reference_parse(&reference, text, NULL) < 0)
		return;
	REQUIRE(reference.len > 0 && reference.len <= sizeof(reference.bytes));
	strict = names_match(leaf, &reference, NAMES_STRICT, NULL, text);
	https = names_match(leaf, &reference, NAMES_HTTPS, NULL, text);
	ldap = names_match(leaf, &reference, NAMES_LDAP, NULL, text);
	/* Each rule takes what the stricter one takes. */
	REQUIRE(strict != NAMES_MATCH || https == NAMES_MATCH);
	REQUIRE(https != NAMES_MATCH || ldap == NAMES_MATCH);
	REQUIRE((strict == NAMES_WILDCARD) == (strict != NAMES_MATCH && https == NAMES_MATCH));
	REQUIRE((strict == NAMES_MALFORMED) == (ldap == NAMES_MALFORMED));
}

static void check_identity(X509 *leaf, const char *text, const STACK_OF(X509) * path)
{
	struct identity_policy policy = { 0 };
	char identity[IDENTITY_SIZE];
	uint8_t alert = 0;
	int kind;

	if (rules_parse(&policy.allow, "x", text, strlen(text), NULL) < 0)
		policy.allow = NULL;
	for (kind = IDENTITY_NONE; kind <= IDENTITY_IP; kind++) {
		policy.kind = (enum identity_kind)kind;
		policy.deny = NULL;
		identity_check(&policy, path, &alert, NULL);
		identity_find(&policy, leaf, identity);
		REQUIRE(strlen(identity) < sizeof(identity));
		/* What is denied is never let in by the same list. */
		policy.deny = policy.allow;
		REQUIRE(!policy.deny || !identity[0] || kind != IDENTITY_NONE ||
			identity_check(&policy, path, &alert, NULL) < 0);
	}
	rules_free(policy.allow);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	X509 *leaf = X509_new(), *issuer = X509_new();
	STACK_OF(X509) *path = sk_X509_new_null();
	struct constraints_verdict verdict;
	char text[256] = "";
	size_t len;

	REQUIRE(leaf && issuer && path && sk_X509_push(path, leaf) && sk_X509_push(path, issuer));
	if (size > 0) {
		len = data[0] < size - 1 ? data[0] : size - 1;
		memcpy(text, data + 1, len);
		data += 1 + len;
		size -= 1 + len;
	}
	if (size > 2) {
		len = (size_t)data[0] << 8 | data[1];
		len = len < size - 2 ? len : size - 2;
		add(leaf, NID_subject_alt_name, data + 2, len);
		if (size > 2 + len)
			add(issuer, NID_name_constraints, data + 2 + len, size - 2 - len);
	}
	check_names(leaf, text);
	check_identity(leaf, text, path);
	verdict = constraints_check(path);
	REQUIRE(!verdict.x509_error == !verdict.reason && verdict.index < 2);
	sk_X509_pop_free(path, X509_free);
	return 0;
}
