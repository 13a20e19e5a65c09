// SPDX-License-Identifier: Apache-2.0
/* CertID (RFC 6960, 4.1.1): which certificate a response is about, and a request asks for. */
#include "ocsp/ocsp.h"

#include <string.h>

#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/sha.h>
#include <openssl/tls1.h>
#include <openssl/x509v3.h>

/* struct cert_id - of a certificate and its issuer. */
struct cert_id {
	uint8_t name_hash[EVP_MAX_MD_SIZE], key_hash[EVP_MAX_MD_SIZE];
	unsigned int hash_len;
};

static bool cert_id_make(struct cert_id *id, X509 *cert, X509 *issuer, const EVP_MD *md)
{
	const ASN1_BIT_STRING *key = X509_get0_pubkey_bitstr(issuer);
	uint8_t *name = NULL;
	bool ok;
	int len;

	len = i2d_X509_NAME(X509_get_issuer_name(cert), &name);
	ok = len >= 0 && key &&
	     EVP_Digest(name, (size_t)len, id->name_hash, &id->hash_len, md, NULL) &&
	     EVP_Digest(ASN1_STRING_get0_data(key), (size_t)ASN1_STRING_length(key), id->key_hash,
			&id->hash_len, md, NULL);
	OPENSSL_free(name);
	return ok;
}

/* The INTEGER's contents equal those of the serial number. */
static bool is_serial(const CBS *contents, X509 *cert)
{
	uint8_t *der = NULL;
	int len = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &der);
	CBS cbs, serial;
	bool same;

	if (len < 0)
		return false;
	CBS_init(&cbs, der, (size_t)len);
	same = CBS_get_asn1(&cbs, &serial, CBS_ASN1_INTEGER) &&
	       CBS_mem_equal(contents, CBS_data(&serial), CBS_len(&serial));
	OPENSSL_free(der);
	return same;
}

static const EVP_MD *digest_of(const CBS *oid)
{
	switch (OBJ_cbs2nid(oid)) {
	case NID_sha1: /* it identifies, and proves nothing */
		return EVP_sha1();
	case NID_sha256:
		return EVP_sha256();
	default:
		return NULL;
	}
}

bool ocsp_is_about(const struct ocsp_single *single, X509 *cert, X509 *issuer)
{
	const EVP_MD *md = digest_of(&single->hash);
	struct cert_id id;

	if (!md || !is_serial(&single->serial, cert))
		return false;
	return !issuer || (cert_id_make(&id, cert, issuer, md) &&
			   CBS_mem_equal(&single->name_hash, id.name_hash, id.hash_len) &&
			   CBS_mem_equal(&single->key_hash, id.key_hash, id.hash_len));
}

/* --- requests ----------------------------------------------------------------------------------- */

static bool add_hash(CBB *cbb, const uint8_t *hash, size_t len)
{
	CBB child;

	return CBB_add_asn1(cbb, &child, CBS_ASN1_OCTETSTRING) && CBB_add_bytes(&child, hash, len);
}

/* CertID into @cbb, which is its SEQUENCE. */
static bool add_cert_id(CBB *cbb, X509 *cert, const struct cert_id *id)
{
	CBB algorithm, null;
	uint8_t *serial = NULL;
	int len = i2d_ASN1_INTEGER(X509_get_serialNumber(cert), &serial);
	bool ok;

	ok = len >= 0 && CBB_add_asn1(cbb, &algorithm, CBS_ASN1_SEQUENCE) &&
	     OBJ_nid2cbb(&algorithm, NID_sha1) && CBB_add_asn1(&algorithm, &null, CBS_ASN1_NULL) &&
	     CBB_flush(cbb) && add_hash(cbb, id->name_hash, id->hash_len) &&
	     add_hash(cbb, id->key_hash, id->hash_len) && CBB_add_bytes(cbb, serial, (size_t)len);
	OPENSSL_free(serial);
	return ok;
}

int ocsp_request_make(X509 *cert, X509 *issuer, uint8_t **ret_der, size_t *ret_len)
{
	CBB cbb, outer, tbs, list, request, cert_id;
	struct cert_id id;
	bool ok;

	CBB_zero(&cbb);
	ok = cert_id_make(&id, cert, issuer, EVP_sha1()) && CBB_init(&cbb, 128) &&
	     CBB_add_asn1(&cbb, &outer, CBS_ASN1_SEQUENCE) &&
	     CBB_add_asn1(&outer, &tbs, CBS_ASN1_SEQUENCE) &&
	     CBB_add_asn1(&tbs, &list, CBS_ASN1_SEQUENCE) &&
	     CBB_add_asn1(&list, &request, CBS_ASN1_SEQUENCE) &&
	     CBB_add_asn1(&request, &cert_id, CBS_ASN1_SEQUENCE) &&
	     add_cert_id(&cert_id, cert, &id) && CBB_finish(&cbb, ret_der, ret_len);
	CBB_cleanup(&cbb);
	ERR_clear_error();
	return ok ? 0 : -SLUICE_E_NOMEM;
}

/* --- what a certificate says of OCSP ------------------------------------------------------------ */

/* What whoever fetches may put into a line of HTTP as it is. */
static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text <= ' ' || *text >= 0x7f)
			return false;
	return true;
}

bool ocsp_responder_url(X509 *cert, char *ret_url, size_t size)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(cert);
	bool found = false;
	const char *url;
	size_t i;

	for (i = 0; urls && !found && i < sk_OPENSSL_STRING_num(urls); i++) {
		url = sk_OPENSSL_STRING_value(urls, i);
		found = !strncasecmp(url, "http://", 7) && is_plain(url) && strlen(url) < size;
		if (found)
			memcpy(ret_url, url, strlen(url) + 1);
	}
	X509_email_free(urls);
	ERR_clear_error();
	return found;
}

bool ocsp_must_staple(const X509 *cert)
{
	/* 1.3.6.1.5.5.7.1.24, TLS feature (RFC 7633, 4): SEQUENCE OF INTEGER */
	static const uint8_t oid[] = { 0x2b, 6, 1, 5, 5, 7, 1, 24 };
	const ASN1_OBJECT *object;
	const ASN1_OCTET_STRING *value;
	uint64_t feature;
	CBS cbs, list;
	int i;

	for (i = 0; i < X509_get_ext_count(cert); i++) {
		object = X509_EXTENSION_get_object(X509_get_ext(cert, i));
		if (OBJ_length(object) != sizeof(oid) ||
		    memcmp(OBJ_get0_data(object), oid, sizeof(oid)) != 0)
			continue;
		value = X509_EXTENSION_get_data(X509_get_ext(cert, i));
		CBS_init(&cbs, ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));
		if (!CBS_get_asn1(&cbs, &list, CBS_ASN1_SEQUENCE) || CBS_len(&cbs))
			return true;
		while (CBS_len(&list)) {
			if (!CBS_get_asn1_uint64(&list, &feature) ||
			    feature == TLSEXT_TYPE_status_request)
				return true;
		}
	}
	return false;
}
