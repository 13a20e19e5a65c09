// SPDX-License-Identifier: Apache-2.0
/*
 * An OCSPResponse out of bytes that may come from anywhere (RFC 6960, 4.2.1). DER and nothing else; what
 * follows a structure that is complete is malformed, too.
 */
#include "ocsp/ocsp.h"

#include <string.h>
#include <time.h>

#define TAG(n) (CBS_ASN1_CONTEXT_SPECIFIC | (n))
#define EXPLICIT(n) (CBS_ASN1_CONTEXT_SPECIFIC | CBS_ASN1_CONSTRUCTED | (n))

#define MAX_CRL_REASON 10 /* RFC 5280, 5.3.1 */

/* 1.3.6.1.5.5.7.48.1.1 */
static const uint8_t oid_basic[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1 };

/*
 * 1.3.6.1.5.5.7.48.1.2 (RFC 9654): none was sent that it could be held against. 1.3.6.1.5.5.7.48.1.9 (RFC
 * 6960, 4.4.8): what was never issued may be told to be revoked.
 */
static const uint8_t oid_nonce[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 2 };
static const uint8_t oid_extended_revoke[] = { 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 9 };

static bool is_oid(const CBS *oid, const uint8_t *bytes, size_t len)
{
	return CBS_len(oid) == len && !memcmp(CBS_data(oid), bytes, len);
}

/* --- parts -------------------------------------------------------------------------------------- */

static bool two_digits(const uint8_t *text, int min, int max, int *ret_value)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return false;
	*ret_value = (text[0] - '0') * 10 + text[1] - '0';
	return *ret_value >= min && *ret_value <= max;
}

/* RFC 5280, 4.1.2.5.2: YYYYMMDDHHMMSSZ. */
static bool get_time(CBS *from, int64_t *ret_s)
{
	struct tm tm = { 0 };
	int century, year, month, day;
	const uint8_t *p;
	CBS text;

	if (!CBS_get_asn1(from, &text, CBS_ASN1_GENERALIZEDTIME) || CBS_len(&text) != 15)
		return false;
	p = CBS_data(&text);
	if (!two_digits(p, 19, 99, &century) || !two_digits(p + 2, 0, 99, &year) ||
	    !two_digits(p + 4, 1, 12, &month) || !two_digits(p + 6, 1, 31, &day) ||
	    !two_digits(p + 8, 0, 23, &tm.tm_hour) || !two_digits(p + 10, 0, 59, &tm.tm_min) ||
	    !two_digits(p + 12, 0, 59, &tm.tm_sec) || p[14] != 'Z')
		return false;
	tm.tm_year = century * 100 + year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	*ret_s = timegm(&tm);
	return tm.tm_mday == day; /* timegm() makes March 2 of February 30 */
}

/* BOOLEAN DEFAULT FALSE, which is encoded only where it is true (X.690, 11.5). */
static bool get_critical(CBS *from, int *ret_critical)
{
	*ret_critical = 0;
	return !CBS_peek_asn1_tag(from, CBS_ASN1_BOOLEAN) ||
	       (CBS_get_asn1_bool(from, ret_critical) && *ret_critical);
}

/* Extensions (RFC 5280, 4.1), after an optional tag. *@unsupported: one is critical, and nobody knows it. */
static bool get_extensions(CBS *from, unsigned int tag, bool *ret_unsupported)
{
	CBS wrapped, list, extension, oid, value;
	int present, critical;

	*ret_unsupported = false;
	if (!CBS_get_optional_asn1(from, &wrapped, &present, tag))
		return false;
	if (!present)
		return true;
	if (!CBS_get_asn1(&wrapped, &list, CBS_ASN1_SEQUENCE) || CBS_len(&wrapped) ||
	    !CBS_len(&list))
		return false;
	while (CBS_len(&list)) {
		if (!CBS_get_asn1(&list, &extension, CBS_ASN1_SEQUENCE) ||
		    !CBS_get_asn1(&extension, &oid, CBS_ASN1_OBJECT) ||
		    !get_critical(&extension, &critical) ||
		    !CBS_get_asn1(&extension, &value, CBS_ASN1_OCTETSTRING) || CBS_len(&extension))
			return false;
		*ret_unsupported |= critical && !is_oid(&oid, oid_nonce, sizeof(oid_nonce)) &&
				    !is_oid(&oid, oid_extended_revoke, sizeof(oid_extended_revoke));
	}
	return true;
}

/* --- SingleResponse ----------------------------------------------------------------------------- */

static bool get_cert_id(CBS *from, struct ocsp_single *single)
{
	CBS id, algorithm, null;
	int negative;

	if (!CBS_get_asn1(from, &id, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1(&algorithm, &single->hash, CBS_ASN1_OBJECT))
		return false;
	/* The parameters of a digest are NULL, or absent (RFC 5754, 2). */
	if (CBS_len(&algorithm) && (!CBS_get_asn1(&algorithm, &null, CBS_ASN1_NULL) ||
				    CBS_len(&null) || CBS_len(&algorithm)))
		return false;
	return CBS_get_asn1(&id, &single->name_hash, CBS_ASN1_OCTETSTRING) &&
	       CBS_get_asn1(&id, &single->key_hash, CBS_ASN1_OCTETSTRING) &&
	       CBS_get_asn1(&id, &single->serial, CBS_ASN1_INTEGER) &&
	       CBS_is_valid_asn1_integer(&single->serial, &negative) && !CBS_len(&id);
}

static bool get_revoked(CBS *info, struct ocsp_single *single)
{
	CBS wrapped, reason;
	int present;

	if (!get_time(info, &single->revoked_s) ||
	    !CBS_get_optional_asn1(info, &wrapped, &present, EXPLICIT(0)) || CBS_len(info))
		return false;
	if (!present)
		return true;
	/* ENUMERATED; 7 is not used. */
	if (!CBS_get_asn1(&wrapped, &reason, CBS_ASN1_ENUMERATED) || CBS_len(&wrapped) ||
	    CBS_len(&reason) != 1 || CBS_data(&reason)[0] > MAX_CRL_REASON ||
	    CBS_data(&reason)[0] == 7)
		return false;
	single->crl_reason = CBS_data(&reason)[0];
	return true;
}

static bool get_status(CBS *from, struct ocsp_single *single)
{
	CBS body;

	if (CBS_peek_asn1_tag(from, TAG(0))) {
		single->status = OCSP_STATUS_GOOD;
		return CBS_get_asn1(from, &body, TAG(0)) && !CBS_len(&body);
	}
	if (CBS_peek_asn1_tag(from, TAG(2))) {
		single->status = OCSP_STATUS_UNKNOWN;
		return CBS_get_asn1(from, &body, TAG(2)) && !CBS_len(&body);
	}
	single->status = OCSP_STATUS_REVOKED;
	return CBS_get_asn1(from, &body, EXPLICIT(1)) && get_revoked(&body, single);
}

static bool get_next_update(CBS *from, struct ocsp_single *single)
{
	CBS wrapped;
	int present;

	if (!CBS_get_optional_asn1(from, &wrapped, &present, EXPLICIT(0)))
		return false;
	return !present || (get_time(&wrapped, &single->next_update_s) && !CBS_len(&wrapped) &&
			    single->next_update_s >= single->this_update_s);
}

bool ocsp_single_get(CBS *singles, struct ocsp_single *ret_single)
{
	struct ocsp_single single = { .next_update_s = -1, .crl_reason = -1 };
	CBS body;

	if (!CBS_get_asn1(singles, &body, CBS_ASN1_SEQUENCE) || !get_cert_id(&body, &single) ||
	    !get_status(&body, &single) || !get_time(&body, &single.this_update_s) ||
	    !get_next_update(&body, &single) ||
	    !get_extensions(&body, EXPLICIT(1), &single.unsupported) || CBS_len(&body))
		return false;
	*ret_single = single;
	return true;
}

/* --- the response ------------------------------------------------------------------------------- */

static bool get_responder(CBS *from, struct ocsp_response *response)
{
	CBS wrapped;

	CBS_init(&response->name, NULL, 0);
	CBS_init(&response->key_hash, NULL, 0);
	if (CBS_peek_asn1_tag(from, EXPLICIT(1)))
		return CBS_get_asn1(from, &wrapped, EXPLICIT(1)) &&
		       CBS_get_asn1_element(&wrapped, &response->name, CBS_ASN1_SEQUENCE) &&
		       !CBS_len(&wrapped);
	return CBS_get_asn1(from, &wrapped, EXPLICIT(2)) &&
	       CBS_get_asn1(&wrapped, &response->key_hash, CBS_ASN1_OCTETSTRING) &&
	       !CBS_len(&wrapped) && CBS_len(&response->key_hash);
}

static bool are_singles(CBS singles)
{
	struct ocsp_single single;

	do {
		if (!ocsp_single_get(&singles, &single))
			return false;
	} while (CBS_len(&singles));
	return true;
}

static bool parse_tbs(struct ocsp_response *response, CBS tbs)
{
	uint64_t version;
	CBS data;

	/* That a default is not encoded (X.690, 11.5) was not everywhere known. */
	return CBS_get_asn1(&tbs, &data, CBS_ASN1_SEQUENCE) &&
	       CBS_get_optional_asn1_uint64(&data, &version, EXPLICIT(0), 0) && !version &&
	       get_responder(&data, response) && get_time(&data, &response->produced_s) &&
	       CBS_get_asn1(&data, &response->singles, CBS_ASN1_SEQUENCE) &&
	       are_singles(response->singles) &&
	       get_extensions(&data, EXPLICIT(1), &response->unsupported) && !CBS_len(&data);
}

static bool get_certs(CBS *from, struct ocsp_response *response)
{
	CBS wrapped, list, cert;
	int present;

	CBS_init(&response->certs, NULL, 0);
	if (!CBS_get_optional_asn1(from, &wrapped, &present, EXPLICIT(0)))
		return false;
	if (!present)
		return true;
	if (!CBS_get_asn1(&wrapped, &response->certs, CBS_ASN1_SEQUENCE) || CBS_len(&wrapped))
		return false;
	list = response->certs;
	while (CBS_len(&list)) {
		if (!CBS_get_asn1(&list, &cert, CBS_ASN1_SEQUENCE))
			return false;
	}
	return true;
}

static bool parse_basic(struct ocsp_response *response, CBS der)
{
	CBS basic;

	if (!CBS_get_asn1(&der, &basic, CBS_ASN1_SEQUENCE) || CBS_len(&der) ||
	    !CBS_get_asn1_element(&basic, &response->tbs, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1_element(&basic, &response->algorithm, CBS_ASN1_SEQUENCE) ||
	    !CBS_get_asn1_element(&basic, &response->signature, CBS_ASN1_BITSTRING) ||
	    !get_certs(&basic, response) || CBS_len(&basic))
		return false;
	return parse_tbs(response, response->tbs);
}

bool ocsp_parse(struct ocsp_response *ret_response, const uint8_t *der, size_t len)
{
	CBS cbs, outer, status, wrapped, bytes, oid, basic;
	struct ocsp_response response = { 0 };

	CBS_init(&cbs, der, len);
	if (len > OCSP_MAX_DER || !CBS_get_asn1(&cbs, &outer, CBS_ASN1_SEQUENCE) || CBS_len(&cbs) ||
	    !CBS_get_asn1(&outer, &status, CBS_ASN1_ENUMERATED) || CBS_len(&status) != 1)
		return false;
	response.status = CBS_data(&status)[0];
	*ret_response = response;
	/* RFC 6960, 4.2.1: 4 is not used, and responseBytes are there if and only if it is 0. */
	if (response.status)
		return response.status <= 6 && response.status != 4 && !CBS_len(&outer);
	if (!CBS_get_asn1(&outer, &wrapped, EXPLICIT(0)) || CBS_len(&outer) ||
	    !CBS_get_asn1(&wrapped, &bytes, CBS_ASN1_SEQUENCE) || CBS_len(&wrapped) ||
	    !CBS_get_asn1(&bytes, &oid, CBS_ASN1_OBJECT) ||
	    !is_oid(&oid, oid_basic, sizeof(oid_basic)) ||
	    !CBS_get_asn1(&bytes, &basic, CBS_ASN1_OCTETSTRING) || CBS_len(&bytes) ||
	    !parse_basic(&response, basic))
		return false;
	*ret_response = response;
	return true;
}
