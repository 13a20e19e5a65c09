// SPDX-License-Identifier: Apache-2.0
/*
 * What a CRL lists (RFC 5280, 5.3), sorted once when it is parsed. BoringSSL's own lookup knows no
 * indirect CRLs in every version: there a serial number is of the issuer that the entry, or one before
 * it, names. It must never find an entry of another issuer, nor miss one.
 */
#include "crl/crl.h"

#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include "crl/point.h"

/* Of each entry: what is wrong with its extensions; NULL: nothing. */
static const char *refuse_extensions(const struct sluice_crl *crl, const X509_REVOKED *entry)
{
	const X509_EXTENSION *ext;
	int i, nid;

	for (i = 0; i < X509_REVOKED_get_ext_count(entry); i++) {
		ext = X509_REVOKED_get_ext(entry, i);
		nid = OBJ_obj2nid(X509_EXTENSION_get_object((X509_EXTENSION *)ext));
		if (nid == NID_certificate_issuer && !crl_is_indirect(crl))
			return "an entry is of another issuer, and it is no indirect CRL";
		if (X509_EXTENSION_get_critical(ext) && nid != NID_crl_reason &&
		    nid != NID_certificate_issuer)
			return "an entry has a critical extension that is not evaluated";
	}
	return NULL;
}

/* RFC 5280, 5.3.3: whose an entry is holds for those after it. Returns what is wrong. */
static const char *take_issuer(struct sluice_crl *crl, const X509_REVOKED *x509,
			       const GENERAL_NAMES **current)
{
	int critical;
	GENERAL_NAMES *names =
		X509_REVOKED_get_ext_d2i(x509, NID_certificate_issuer, &critical, NULL);

	if (!names)
		return critical == -1 ? NULL : "an entry's issuer cannot be parsed";
	if (!sk_GENERAL_NAME_num(names) || !crl->issuers) {
		GENERAL_NAMES_free(names);
		return "an entry's issuer cannot be parsed";
	}
	crl->issuers[crl->n_issuers++] = names;
	*current = names;
	return NULL;
}

static int compare(const void *a, const void *b)
{
	const struct crl_entry *x = a, *y = b;

	return ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(x->x509),
				X509_REVOKED_get0_serialNumber(y->x509));
}

const char *crl_entries_take(struct sluice_crl *crl, bool *ret_nomem)
{
	const STACK_OF(X509_REVOKED) *stack = X509_CRL_get_REVOKED(crl->x509);
	size_t i, n = stack ? sk_X509_REVOKED_num(stack) : 0;
	const GENERAL_NAMES *issuer = NULL;
	const X509_REVOKED *entry;
	const char *wrong = NULL;

	crl->entries = n ? calloc(n, sizeof(*crl->entries)) : NULL;
	if (n && crl_is_indirect(crl))
		crl->issuers = calloc(n, sizeof(GENERAL_NAMES *));
	*ret_nomem = n && (!crl->entries || (crl_is_indirect(crl) && !crl->issuers));
	if (*ret_nomem)
		return "no memory for a CRL";
	for (i = 0; !wrong && i < n; i++) {
		entry = sk_X509_REVOKED_value(stack, i);
		wrong = refuse_extensions(crl, entry);
		if (!wrong && crl->issuers)
			wrong = take_issuer(crl, entry, &issuer);
		crl->entries[i] = (struct crl_entry){ entry, issuer };
	}
	crl->n_entries = i;
	if (i)
		qsort(crl->entries, i, sizeof(*crl->entries), compare);
	return wrong;
}

void crl_entries_free(struct sluice_crl *crl)
{
	size_t i;

	for (i = 0; i < crl->n_issuers; i++)
		GENERAL_NAMES_free(crl->issuers[i]);
	free(crl->issuers);
	free(crl->entries);
}

/* --- evaluation ------------------------------------------------------------------------------- */

static size_t first_of(const struct sluice_crl *crl, const ASN1_INTEGER *serial)
{
	size_t low = 0, high = crl->n_entries, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(crl->entries[middle].x509),
				     serial) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_issued_by(const struct sluice_crl *crl, const struct crl_entry *entry,
			 const X509_NAME *issuer)
{
	if (entry->issuer)
		return crl_names_have(entry->issuer, issuer);
	return !X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), issuer);
}

static int reason_of(const struct crl_entry *entry)
{
	ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry->x509, NID_crl_reason, NULL, NULL);
	int code = reason ? (int)ASN1_ENUMERATED_get(reason) : 0;

	ASN1_ENUMERATED_free(reason);
	ERR_clear_error();
	return code;
}

enum crl_listing crl_find(const struct sluice_crl *crl, X509 *cert, int *ret_reason)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(cert);
	enum crl_listing listing = CRL_NOT_LISTED;
	const struct crl_entry *entry;
	int reason;
	size_t i;

	if (crl->index.der) /* neither delta nor indirect */
		return !X509_NAME_cmp(X509_CRL_get_issuer(crl->x509), X509_get_issuer_name(cert)) &&
				       crl_index_find(&crl->index, serial, ret_reason)
			       ? CRL_REVOKED
			       : CRL_NOT_LISTED;
	for (i = first_of(crl, serial); i < crl->n_entries; i++) {
		entry = &crl->entries[i];
		if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(entry->x509), serial))
			break;
		if (!is_issued_by(crl, entry, X509_get_issuer_name(cert)))
			continue;
		reason = reason_of(entry);
		/* Only deltas may take something back: RFC 5280, 5.3.1. */
		if (!crl->is_delta || reason != CRL_REASON_REMOVE_FROM_CRL) {
			*ret_reason = reason;
			return CRL_REVOKED;
		}
		listing = CRL_REMOVED;
	}
	return listing;
}
