/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that have names and nothing else: no key, no signature. Included by the unit programs
 * of lib/verify. A list of names is text: "dns:a.test;ip:10.0.0.0/8;dir:C=DE/O=X".
 */
#ifndef SLUICE_TESTS_SUPPORT_NAMES_WORLD_H
#define SLUICE_TESTS_SUPPORT_NAMES_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <openssl/bytestring.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509.h>

/* struct names_spec - what a certificate has; NULL: it has not. */
struct names_spec {
	const char *subject; /* "C=DE/O=X", two attributes in one RDN with '+' */
	const char *issuer;  /* NULL: another one each time, so that it is not self-issued */
	const char *san;
	const char *permitted, *excluded;
	const char *raw_san, *raw_constraints; /* hexadecimal, instead */
};

static inline void world_name(X509_NAME *name, const char *text)
{
	char *copy = strdup(text), *save = NULL, *word, *equals;
	int set = 0;

	for (word = strtok_r(copy, "/", &save); word; word = strtok_r(NULL, "/", &save)) {
		char *plus_save = NULL, *part;

		set = 0;
		for (part = strtok_r(word, "+", &plus_save); part;
		     part = strtok_r(NULL, "+", &plus_save)) {
			equals = strchr(part, '=');
			assert_non_null(equals);
			*equals = '\0';
			assert_int_equal(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8,
								    (uint8_t *)equals + 1, -1, -1,
								    set),
					 1);
			set = -1;
		}
	}
	free(copy);
}

static inline void put_bytes(CBB *cbb, unsigned int tag, const void *bytes, size_t len)
{
	CBB child;

	assert_true(CBB_add_asn1(cbb, &child, tag) && CBB_add_bytes(&child, bytes, len) &&
		    CBB_flush(cbb));
}

/* An address, or with a slash an address and the mask of a prefix. */
static inline void put_ip(CBB *cbb, const char *text)
{
	const char *slash = strchr(text, '/');
	char address[INET6_ADDRSTRLEN] = "";
	uint8_t bytes[32] = { 0 };
	size_t len = 4, i;

	memcpy(address, text, slash ? (size_t)(slash - text) : strlen(text));
	if (inet_pton(AF_INET, address, bytes) != 1) {
		assert_int_equal(inet_pton(AF_INET6, address, bytes), 1);
		len = 16;
	}
	for (i = 0; slash && i < (size_t)atoi(slash + 1); i++)
		bytes[len + i / 8] |= (uint8_t)(0x80 >> i % 8);
	put_bytes(cbb, CBS_ASN1_CONTEXT_SPECIFIC | 7, bytes, slash ? 2 * len : len);
}

static inline void put_directory(CBB *cbb, const char *text)
{
	X509_NAME *name = X509_NAME_new();
	const uint8_t *der;
	size_t der_len;

	world_name(name, text);
	assert_int_equal(X509_NAME_get0_der(name, &der, &der_len), 1);
	put_bytes(cbb, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | 4, der, der_len);
	X509_NAME_free(name);
}

/* An otherName of a type, with an empty UTF8String. */
static inline void put_other(CBB *cbb, const char *oid)
{
	CBB other, value;
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);

	assert_non_null(object);
	assert_true(CBB_add_asn1(cbb, &other, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED));
	put_bytes(&other, CBS_ASN1_OBJECT, OBJ_get0_data(object), OBJ_length(object));
	assert_true(CBB_add_asn1(&other, &value, CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED));
	put_bytes(&value, CBS_ASN1_UTF8STRING, "", 0);
	assert_true(CBB_flush(cbb));
	ASN1_OBJECT_free(object);
}

static inline void put_general_name(CBB *cbb, const char *text)
{
	static const char *const kinds[] = { "", "email:", "dns:", "", "", "", "uri:" };
	const char *value = strchr(text, ':');
	unsigned int i;

	assert_non_null(value);
	value++;
	if (!strncmp(text, "ip:", 3)) {
		put_ip(cbb, value);
	} else if (!strncmp(text, "dir:", 4)) {
		put_directory(cbb, value);
	} else if (!strncmp(text, "other:", 6)) {
		put_other(cbb, value);
	} else if (!strncmp(text, "rid:", 4)) {
		put_bytes(cbb, CBS_ASN1_CONTEXT_SPECIFIC | 8, "\x2a\x03", 2);
	} else {
		for (i = 0; i < 7; i++)
			if (*kinds[i] && !strncmp(text, kinds[i], strlen(kinds[i])))
				break;
		assert_true(i < 7);
		put_bytes(cbb, CBS_ASN1_CONTEXT_SPECIFIC | i, value, strlen(value));
	}
}

/* The names of a list, each in a SEQUENCE of its own where they are subtrees. */
static inline void put_names(CBB *cbb, const char *list, bool subtrees)
{
	char *copy = strdup(list), *save = NULL, *word;
	CBB subtree;

	for (word = strtok_r(copy, ";", &save); word; word = strtok_r(NULL, ";", &save)) {
		if (subtrees)
			assert_true(CBB_add_asn1(cbb, &subtree, CBS_ASN1_SEQUENCE));
		put_general_name(subtrees ? &subtree : cbb, word);
		assert_true(CBB_flush(cbb));
	}
	free(copy);
}

static inline void add_raw(X509 *x509, int nid, const uint8_t *bytes, size_t len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	assert_true(value && ASN1_OCTET_STRING_set(value, bytes, (int)len));
	extension = X509_EXTENSION_create_by_NID(NULL, nid, 0, value);
	assert_true(extension && X509_add_ext(x509, extension, -1));
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(value);
}

static inline void add_hex(X509 *x509, int nid, const char *hex)
{
	size_t i, len = strlen(hex) / 2;
	uint8_t *bytes = malloc(len + 1);

	for (i = 0; i < len; i++)
		bytes[i] = (uint8_t)strtoul((char[]){ hex[2 * i], hex[2 * i + 1], 0 }, NULL, 16);
	add_raw(x509, nid, bytes, len);
	free(bytes);
}

static inline void add_cbb(X509 *x509, int nid, CBB *cbb)
{
	uint8_t *der;
	size_t der_len;

	assert_int_equal(CBB_finish(cbb, &der, &der_len), 1);
	add_raw(x509, nid, der, der_len);
	OPENSSL_free(der);
}

static inline void add_constraints(X509 *x509, const char *permitted, const char *excluded)
{
	const unsigned int tag = CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED;
	CBB cbb, both, subtrees;

	assert_true(CBB_init(&cbb, 64) && CBB_add_asn1(&cbb, &both, CBS_ASN1_SEQUENCE));
	if (permitted) {
		assert_true(CBB_add_asn1(&both, &subtrees, tag | 0));
		put_names(&subtrees, permitted, true);
	}
	if (excluded) {
		assert_true(CBB_add_asn1(&both, &subtrees, tag | 1));
		put_names(&subtrees, excluded, true);
	}
	add_cbb(x509, NID_name_constraints, &cbb);
}

/* Makes a certificate; X509_free() it. */
static inline X509 *named_cert(struct names_spec spec)
{
	static unsigned int n_issuers;
	char other_issuer[32];
	X509 *x509 = X509_new();
	CBB cbb, names;

	assert_non_null(x509);
	snprintf(other_issuer, sizeof(other_issuer), "CN=issuer %u", n_issuers++);
	if (spec.subject)
		world_name(X509_get_subject_name(x509), spec.subject);
	world_name(X509_get_issuer_name(x509), spec.issuer ? spec.issuer : other_issuer);
	if (spec.raw_san)
		add_hex(x509, NID_subject_alt_name, spec.raw_san);
	if (spec.raw_constraints)
		add_hex(x509, NID_name_constraints, spec.raw_constraints);
	if (spec.san) {
		assert_true(CBB_init(&cbb, 64) && CBB_add_asn1(&cbb, &names, CBS_ASN1_SEQUENCE));
		put_names(&names, spec.san, false);
		add_cbb(x509, NID_subject_alt_name, &cbb);
	}
	if (spec.permitted || spec.excluded)
		add_constraints(x509, spec.permitted, spec.excluded);
	return x509;
}

#endif
