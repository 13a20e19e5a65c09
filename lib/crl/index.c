// SPDX-License-Identifier: Apache-2.0
/*
 * The index of a CRL. Only what is plain gets one: whatever is unusual here is left to the parser that
 * knows all kinds, so an index never answers where that one would refuse.
 */
#include "crl/index.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "crl/crl.h"

#define NO_REASON 0xff
#define MAX_REASON 10

/* struct parts - a CertificateList (RFC 5280, 5.1), cut up. */
struct parts {
	CBS tbs; /* with its header: what is signed */
	CBS before, entries,
		after; /* of it: the fields up to the entries, those, and the extensions */
	CBS algorithm, signature;
};

/* --- cutting up ------------------------------------------------------------------------------- */

/* As RFC 5280, 4.1.2.5 has it: to the second, and Z. */
static bool skip_time(CBS *cbs)
{
	bool utc = CBS_peek_asn1_tag(cbs, CBS_ASN1_UTCTIME);
	uint8_t digit;
	CBS time;

	if (!CBS_get_asn1(cbs, &time, utc ? CBS_ASN1_UTCTIME : CBS_ASN1_GENERALIZEDTIME) ||
	    CBS_len(&time) != (utc ? 13 : 15))
		return false;
	while (CBS_len(&time) > 1)
		if (!CBS_get_u8(&time, &digit) || digit < '0' || digit > '9')
			return false;
	return CBS_data(&time)[0] == 'Z';
}

static bool is_time(const CBS *cbs)
{
	return CBS_peek_asn1_tag(cbs, CBS_ASN1_UTCTIME) ||
	       CBS_peek_asn1_tag(cbs, CBS_ASN1_GENERALIZEDTIME);
}

/* The algorithm in what is signed must be the one that is used (5.1.2.2). */
static bool cut_fields(struct parts *parts, CBS *tbs)
{
	CBS rest = *tbs, algorithm;
	uint64_t version;

	/* Version 2, which must be there for extensions. */
	if (!CBS_get_asn1_uint64(&rest, &version) || version != 1 ||
	    !CBS_get_asn1_element(&rest, &algorithm, CBS_ASN1_SEQUENCE) ||
	    !CBS_mem_equal(&algorithm, CBS_data(&parts->algorithm), CBS_len(&parts->algorithm)) ||
	    !CBS_get_asn1(&rest, NULL, CBS_ASN1_SEQUENCE) || !skip_time(&rest) ||
	    (is_time(&rest) && !skip_time(&rest)))
		return false;
	CBS_init(&parts->before, CBS_data(tbs), (size_t)(CBS_data(&rest) - CBS_data(tbs)));
	if (!CBS_get_asn1(&rest, &parts->entries, CBS_ASN1_SEQUENCE))
		return false;
	parts->after = rest;
	return true;
}

static bool cut(struct parts *parts, const uint8_t *der, size_t len)
{
	CBS cbs, list, tbs;

	CBS_init(&cbs, der, len);
	return CBS_get_asn1(&cbs, &list, CBS_ASN1_SEQUENCE) && !CBS_len(&cbs) &&
	       CBS_get_asn1_element(&list, &parts->tbs, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1_element(&list, &parts->algorithm, CBS_ASN1_SEQUENCE) &&
	       CBS_get_asn1_element(&list, &parts->signature, CBS_ASN1_BITSTRING) &&
	       !CBS_len(&list) && (cbs = parts->tbs, CBS_get_asn1(&cbs, &tbs, CBS_ASN1_SEQUENCE)) &&
	       cut_fields(parts, &tbs);
}

/* --- entries ---------------------------------------------------------------------------------- */

/* One extension of an entry (5.3). Returns false for what an index does not have. */
static bool read_extension(CBS *extension, uint8_t *reason)
{
	CBS oid, value, code;
	int nid, critical = 0;

	if (!CBS_get_asn1(extension, &oid, CBS_ASN1_OBJECT) ||
	    (CBS_peek_asn1_tag(extension, CBS_ASN1_BOOLEAN) &&
	     !CBS_get_asn1_bool(extension, &critical)) ||
	    !CBS_get_asn1(extension, &value, CBS_ASN1_OCTETSTRING) || CBS_len(extension))
		return false;
	nid = OBJ_cbs2nid(&oid);
	if (nid != NID_crl_reason)
		return nid == NID_invalidity_date && !critical;
	return *reason == NO_REASON && CBS_get_asn1(&value, &code, CBS_ASN1_ENUMERATED) &&
	       !CBS_len(&value) && CBS_get_u8(&code, reason) && !CBS_len(&code) &&
	       *reason <= MAX_REASON;
}

static bool read_extensions(CBS *entry, uint8_t *reason)
{
	CBS extensions, extension;

	*reason = NO_REASON;
	if (!CBS_len(entry))
		return true;
	if (!CBS_get_asn1(entry, &extensions, CBS_ASN1_SEQUENCE) || CBS_len(entry) ||
	    !CBS_len(&extensions))
		return false;
	while (CBS_len(&extensions))
		if (!CBS_get_asn1(&extensions, &extension, CBS_ASN1_SEQUENCE) ||
		    !read_extension(&extension, reason))
			return false;
	return true;
}

/* @ret_serial: without leading zeros. */
static bool next_entry(CBS *entries, CBS *ret_serial, uint8_t *ret_reason)
{
	int is_negative;
	CBS entry;

	if (!CBS_get_asn1(entries, &entry, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&entry, ret_serial, CBS_ASN1_INTEGER) ||
	    !CBS_is_valid_asn1_integer(ret_serial, &is_negative) || is_negative ||
	    !skip_time(&entry) || !read_extensions(&entry, ret_reason))
		return false;
	while (CBS_len(ret_serial) && !CBS_data(ret_serial)[0])
		CBS_skip(ret_serial, 1);
	return CBS_len(ret_serial) <= CRL_INDEX_MAX_SERIAL;
}

/* Looks at all entries: how many, and how long. */
static bool measure(struct crl_indexed *indexed, CBS entries)
{
	uint8_t reason;
	CBS serial;

	while (CBS_len(&entries)) {
		if (!next_entry(&entries, &serial, &reason))
			return false;
		if (CBS_len(&serial) > indexed->serial_len)
			indexed->serial_len = CBS_len(&serial);
		indexed->n++;
	}
	return indexed->n;
}

static int by_serial(const void *a, const void *b, void *len)
{
	return memcmp(a, b, *(const size_t *)len);
}

static int fill(struct crl_indexed *indexed, CBS entries)
{
	size_t size = indexed->serial_len + 1;
	uint8_t *at;
	CBS serial;

	indexed->entries = calloc(indexed->n, size);
	if (!indexed->entries)
		return -SLUICE_E_NOMEM;
	for (at = indexed->entries; CBS_len(&entries); at += size) {
		next_entry(&entries, &serial, &at[size - 1]);
		memcpy(at + indexed->serial_len - CBS_len(&serial), CBS_data(&serial),
		       CBS_len(&serial));
	}
	qsort_r(indexed->entries, indexed->n, size, by_serial, &indexed->serial_len);
	return 0;
}

/* --- the core --------------------------------------------------------------------------------- */

static bool add_cbs(CBB *cbb, const CBS *cbs)
{
	return CBB_add_bytes(cbb, CBS_data(cbs), CBS_len(cbs));
}

static int make_core(struct crl_indexed *indexed, const struct parts *parts)
{
	CBB cbb, list, tbs;
	uint8_t *core;

	if (!CBB_init(&cbb, 1024))
		return -SLUICE_E_NOMEM;
	if (!CBB_add_asn1(&cbb, &list, CBS_ASN1_SEQUENCE) ||
	    !CBB_add_asn1(&list, &tbs, CBS_ASN1_SEQUENCE) || !add_cbs(&tbs, &parts->before) ||
	    !add_cbs(&tbs, &parts->after) || !add_cbs(&list, &parts->algorithm) ||
	    !add_cbs(&list, &parts->signature) || !CBB_finish(&cbb, &core, &indexed->core_len)) {
		CBB_cleanup(&cbb);
		return -SLUICE_E_NOMEM;
	}
	indexed->core = malloc(indexed->core_len);
	if (indexed->core)
		memcpy(indexed->core, core, indexed->core_len);
	OPENSSL_free(core);
	return indexed->core ? 0 : -SLUICE_E_NOMEM;
}

/* Entries of an indirect CRL are of others than its issuer; those of a delta change another CRL. */
static int check_core(const struct crl_indexed *indexed)
{
	struct sluice_crl *crl;
	int r = sluice_crl_parse(&crl, indexed->core, indexed->core_len, NULL);

	if (r == -SLUICE_E_NOMEM)
		return r;
	if (r < 0)
		return 1;
	r = (crl->idp && crl->idp->indirectCRL) ||
	    X509_CRL_get_ext_by_NID(crl->x509, NID_delta_crl, -1) >= 0;
	sluice_crl_unref(crl);
	return r;
}

/* --- signatures ------------------------------------------------------------------------------- */

/* Those without parameters that matter: @ret_digest NULL: Ed25519 hashes by itself. */
static bool find_algorithm(CBS algorithm, const EVP_MD **ret_digest, int *ret_key_type)
{
	int nid, digest_nid;
	CBS fields, oid;

	if (!CBS_get_asn1(&algorithm, &fields, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&fields, &oid, CBS_ASN1_OBJECT))
		return false;
	nid = OBJ_cbs2nid(&oid);
	*ret_digest = NULL;
	*ret_key_type = EVP_PKEY_ED25519;
	if (nid == NID_ED25519)
		return true;
	if (!OBJ_find_sigid_algs(nid, &digest_nid, ret_key_type))
		return false;
	*ret_digest = digest_nid ? EVP_get_digestbynid(digest_nid) : NULL;
	return *ret_digest && (*ret_key_type == EVP_PKEY_RSA || *ret_key_type == EVP_PKEY_EC);
}

bool crl_index_verify(const struct crl_index *index, EVP_PKEY *key)
{
	struct parts parts;
	const EVP_MD *digest;
	EVP_MD_CTX ctx;
	CBS signature;
	uint8_t unused;
	int key_type;
	bool good;

	if (!cut(&parts, index->der, index->der_len) ||
	    !CBS_get_asn1(&parts.signature, &signature, CBS_ASN1_BITSTRING) ||
	    !CBS_get_u8(&signature, &unused) || unused ||
	    !find_algorithm(parts.algorithm, &digest, &key_type) || EVP_PKEY_id(key) != key_type)
		return false;
	EVP_MD_CTX_init(&ctx);
	good = EVP_DigestVerifyInit(&ctx, NULL, digest, NULL, key) &&
	       EVP_DigestVerify(&ctx, CBS_data(&signature), CBS_len(&signature),
				CBS_data(&parts.tbs), CBS_len(&parts.tbs));
	EVP_MD_CTX_cleanup(&ctx);
	return good;
}

/* --- all of it -------------------------------------------------------------------------------- */

static int make(struct crl_indexed *indexed, const uint8_t *der, size_t der_len)
{
	const EVP_MD *digest;
	struct parts parts;
	int key_type, r;

	if (!cut(&parts, der, der_len) || !find_algorithm(parts.algorithm, &digest, &key_type) ||
	    !measure(indexed, parts.entries))
		return 1;
	r = make_core(indexed, &parts);
	if (!r)
		r = check_core(indexed);
	return r ? r : fill(indexed, parts.entries);
}

int crl_index_make(struct crl_indexed *ret_indexed, const uint8_t *der, size_t der_len)
{
	struct crl_indexed indexed = { 0 };
	int r = der_len <= SLUICE_CRL_MAX_DER ? make(&indexed, der, der_len) : 1;

	ERR_clear_error();
	if (r)
		crl_indexed_free(&indexed);
	else
		*ret_indexed = indexed;
	return r;
}

void crl_indexed_free(struct crl_indexed *indexed)
{
	free(indexed->core);
	free(indexed->entries);
	*indexed = (struct crl_indexed){ 0 };
}

int crl_index_open(struct sluice_crl **ret_crl, const uint8_t *core, size_t core_len,
		   const struct crl_index *index, const uint8_t sha256[32])
{
	int r = sluice_crl_parse(ret_crl, core, core_len, NULL);

	if (r < 0)
		return r;
	(*ret_crl)->index = *index;
	memcpy((*ret_crl)->sha256, sha256, sizeof((*ret_crl)->sha256));
	return 0;
}

/* Returns the entry of a serial number of index->serial_len bytes, or NULL. */
static const uint8_t *search(const struct crl_index *index, const uint8_t *key)
{
	size_t from = 0, to = index->n, middle, size = index->serial_len + 1;
	const uint8_t *entry;
	int order;

	while (from < to) {
		middle = from + (to - from) / 2;
		entry = index->entries + middle * size;
		order = memcmp(entry, key, index->serial_len);
		if (!order)
			return entry;
		if (order < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return NULL;
}

bool crl_index_find(const struct crl_index *index, const ASN1_INTEGER *serial, int *ret_reason)
{
	const uint8_t *bytes = ASN1_STRING_get0_data(serial);
	size_t len = (size_t)ASN1_STRING_length(serial), key_len = index->serial_len;
	uint8_t key[CRL_INDEX_MAX_SERIAL] = { 0 };
	const uint8_t *found;

	for (; len && !*bytes; len--)
		bytes++;
	if (ASN1_STRING_type(serial) != V_ASN1_INTEGER || len > key_len || key_len > sizeof(key))
		return false;
	memcpy(key + key_len - len, bytes, len);
	found = search(index, key);
	if (!found)
		return false;
	*ret_reason = found[key_len] == NO_REASON ? 0 : found[key_len];
	return true;
}
