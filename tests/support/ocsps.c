/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses made with BoringSSL's CBB in this process. A failure here is the end of the program. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bytestring.h>
#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include "ocsps.h"

#define CHECK(what)                                                                 \
	do {                                                                        \
		if (!(what)) {                                                      \
			fprintf(stderr, "tests/support/ocsps: %s failed\n", #what); \
			ERR_print_errors_fp(stderr);                                \
			abort();                                                    \
		}                                                                   \
	} while (0)

#define EXPLICIT(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))

static void add_time(CBB *cbb, int64_t relative_s)
{
	time_t at = time(NULL) + relative_s;
	char text[32];
	struct tm tm;
	CBB child;

	gmtime_r(&at, &tm);
	strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	CHECK(CBB_add_asn1(cbb, &child, CBS_ASN1_GENERALIZEDTIME));
	CHECK(CBB_add_bytes(&child, (const uint8_t *)text, strlen(text)) && CBB_flush(cbb));
}

static void add_octets(CBB *cbb, const uint8_t *bytes, size_t len)
{
	CBB child;

	CHECK(CBB_add_asn1(cbb, &child, CBS_ASN1_OCTETSTRING));
	CHECK(CBB_add_bytes(&child, bytes, len) && CBB_flush(cbb));
}

static void add_hash(CBB *cbb, const EVP_MD *md, const uint8_t *bytes, size_t len, bool wrong)
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned int hash_len;

	CHECK(EVP_Digest(bytes, len, hash, &hash_len, md, NULL));
	hash[0] ^= wrong;
	add_octets(cbb, hash, hash_len);
}

static void add_key_hash(CBB *cbb, const EVP_MD *md, const X509 *x509, bool wrong)
{
	const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(x509);

	add_hash(cbb, md, ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), wrong);
}

static void add_critical(CBB *cbb)
{
	/* 1.3.6.1.4.1.99999.1 */
	static const uint8_t extensions[] = { 0x30, 0x14, 0x30, 0x12, 0x06, 0x09, 0x2b, 0x06,
					      0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x01, 0x01,
					      0x01, 0xff, 0x04, 0x02, 0x05, 0x00 };
	CBB child;

	CHECK(CBB_add_asn1(cbb, &child, EXPLICIT(1)));
	CHECK(CBB_add_bytes(&child, extensions, sizeof(extensions)) && CBB_flush(cbb));
}

static void add_cert_id(CBB *cbb, const struct ocsp_entry *entry)
{
	const EVP_MD *md = entry->sha256 ? EVP_sha256() : EVP_sha1();
	uint8_t *name = NULL, *serial = NULL;
	CBB id, algorithm, null;
	int len;

	CHECK(CBB_add_asn1(cbb, &id, CBS_ASN1_SEQUENCE));
	CHECK(CBB_add_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE));
	CHECK(OBJ_nid2cbb(&algorithm, EVP_MD_type(md)));
	CHECK(CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL) && CBB_flush(&id));
	len = i2d_X509_NAME(X509_get_subject_name(entry->issuer), &name);
	CHECK(len > 0);
	add_hash(&id, md, name, (size_t)len, false);
	add_key_hash(&id, md, entry->issuer, entry->wrong_key_hash);
	len = i2d_ASN1_INTEGER(X509_get_serialNumber(entry->cert), &serial);
	CHECK(len > 0 && CBB_add_bytes(&id, serial, (size_t)len) && CBB_flush(cbb));
	OPENSSL_free(name);
	OPENSSL_free(serial);
}

static void add_status(CBB *cbb, const struct ocsp_entry *entry)
{
	CBB status, wrapped, reason;

	if (entry->status != 1) {
		CHECK(CBB_add_asn1(cbb, &status,
				   CBS_ASN1_CONTEXT_SPECIFIC | (unsigned int)entry->status));
		CHECK(CBB_flush(cbb));
		return;
	}
	CHECK(CBB_add_asn1(cbb, &status, EXPLICIT(1)));
	add_time(&status, -7200);
	if (entry->reason) {
		CHECK(CBB_add_asn1(&status, &wrapped, EXPLICIT(0)));
		CHECK(CBB_add_asn1(&wrapped, &reason, CBS_ASN1_ENUMERATED));
		CHECK(CBB_add_u8(&reason, (uint8_t)(entry->reason - 1)));
	}
	CHECK(CBB_flush(cbb));
}

static void add_entry(CBB *cbb, const struct ocsp_entry *entry)
{
	bool is_default = !entry->from_s && !entry->to_s;
	CBB single, next;

	CHECK(CBB_add_asn1(cbb, &single, CBS_ASN1_SEQUENCE));
	add_cert_id(&single, entry);
	add_status(&single, entry);
	add_time(&single, is_default ? -3600 : entry->from_s);
	if (!entry->no_next_update) {
		CHECK(CBB_add_asn1(&single, &next, EXPLICIT(0)));
		add_time(&next, is_default ? 86400 : entry->to_s);
		CHECK(CBB_flush(&single));
	}
	if (entry->unknown_critical)
		add_critical(&single);
	CHECK(CBB_flush(cbb));
}

static void add_responder(CBB *cbb, const struct ocsp_spec *spec)
{
	uint8_t *name = NULL;
	CBB child;
	int len;

	CHECK(CBB_add_asn1(cbb, &child, EXPLICIT(spec->by_key ? 2 : 1)));
	if (spec->by_key) {
		add_key_hash(&child, EVP_sha1(), spec->responder, false);
	} else {
		len = i2d_X509_NAME(X509_get_subject_name(spec->responder), &name);
		CHECK(len > 0 && CBB_add_bytes(&child, name, (size_t)len));
		OPENSSL_free(name);
	}
	CHECK(CBB_flush(cbb));
}

static void make_tbs(CBB *cbb, const struct ocsp_spec *spec)
{
	CBB data, list;
	size_t i;
	int j;

	CHECK(CBB_init(cbb, 512) && CBB_add_asn1(cbb, &data, CBS_ASN1_SEQUENCE));
	add_responder(&data, spec);
	add_time(&data, spec->produced_s);
	CHECK(CBB_add_asn1(&data, &list, CBS_ASN1_SEQUENCE));
	for (i = 0; i < spec->n; i++)
		for (j = 0; j <= spec->n_copies; j++)
			add_entry(&list, &spec->entries[i]);
	CHECK(CBB_flush(&data));
	if (spec->unknown_critical)
		add_critical(&data);
	CHECK(CBB_flush(cbb));
}

static void add_signature(CBB *cbb, const struct ocsp_spec *spec, const uint8_t *tbs, size_t len)
{
	CBB algorithm, bits;
	EVP_MD_CTX ctx;
	uint8_t signature[256];
	size_t signature_len = sizeof(signature);

	EVP_MD_CTX_init(&ctx);
	CHECK(EVP_DigestSignInit(&ctx, NULL, spec->sha1 ? EVP_sha1() : EVP_sha256(), NULL,
				 spec->key));
	CHECK(EVP_DigestSign(&ctx, signature, &signature_len, tbs, len));
	EVP_MD_CTX_cleanup(&ctx);
	CHECK(CBB_add_asn1(cbb, &algorithm, CBS_ASN1_SEQUENCE));
	CHECK(OBJ_nid2cbb(&algorithm, spec->sha1 ? NID_ecdsa_with_SHA1 : NID_ecdsa_with_SHA256));
	CHECK(CBB_add_asn1(cbb, &bits, CBS_ASN1_BITSTRING) && CBB_add_u8(&bits, 0));
	CHECK(CBB_add_bytes(&bits, signature, signature_len) && CBB_flush(cbb));
}

static void add_certs(CBB *cbb, const struct ocsp_spec *spec)
{
	CBB wrapped, list;
	uint8_t *der;
	size_t i;
	int len;

	if (!spec->certs[0])
		return;
	CHECK(CBB_add_asn1(cbb, &wrapped, EXPLICIT(0)));
	CHECK(CBB_add_asn1(&wrapped, &list, CBS_ASN1_SEQUENCE));
	for (i = 0; i < 4 && spec->certs[i]; i++) {
		der = NULL;
		len = i2d_X509(spec->certs[i], &der);
		CHECK(len > 0 && CBB_add_bytes(&list, der, (size_t)len));
		OPENSSL_free(der);
	}
	CHECK(CBB_flush(cbb));
}

static uint8_t *finish(CBB *cbb, size_t *ret_len)
{
	uint8_t *der, *copy;

	CHECK(CBB_finish(cbb, &der, ret_len));
	copy = malloc(*ret_len);
	CHECK(copy);
	memcpy(copy, der, *ret_len);
	OPENSSL_free(der);
	return copy;
}

uint8_t *ocsps_make(const struct ocsp_spec *spec, size_t *ret_len)
{
	static const uint8_t oid[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1 };
	CBB tbs, cbb, outer, status, wrapped, bytes, type, octets, basic;
	size_t len;
	uint8_t *der;

	make_tbs(&tbs, spec);
	der = finish(&tbs, &len);
	CHECK(CBB_init(&cbb, 1024) && CBB_add_asn1(&cbb, &outer, CBS_ASN1_SEQUENCE));
	CHECK(CBB_add_asn1(&outer, &status, CBS_ASN1_ENUMERATED) && CBB_add_u8(&status, 0));
	CHECK(CBB_add_asn1(&outer, &wrapped, EXPLICIT(0)));
	CHECK(CBB_add_asn1(&wrapped, &bytes, CBS_ASN1_SEQUENCE));
	CHECK(CBB_add_asn1(&bytes, &type, CBS_ASN1_OBJECT));
	CHECK(CBB_add_bytes(&type, oid, sizeof(oid)));
	CHECK(CBB_add_asn1(&bytes, &octets, CBS_ASN1_OCTETSTRING));
	CHECK(CBB_add_asn1(&octets, &basic, CBS_ASN1_SEQUENCE) && CBB_add_bytes(&basic, der, len));
	add_signature(&basic, spec, der, len);
	add_certs(&basic, spec);
	free(der);
	return finish(&cbb, ret_len);
}

uint8_t *ocsps_unsuccessful(int status, size_t *ret_len)
{
	CBB cbb, outer, child;

	CHECK(CBB_init(&cbb, 16) && CBB_add_asn1(&cbb, &outer, CBS_ASN1_SEQUENCE));
	CHECK(CBB_add_asn1(&outer, &child, CBS_ASN1_ENUMERATED) &&
	      CBB_add_u8(&child, (uint8_t)status));
	return finish(&cbb, ret_len);
}
