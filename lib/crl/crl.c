// SPDX-License-Identifier: Apache-2.0
/*
 * One CRL out of bytes that may come from anywhere. What nobody here evaluates (unknown critical
 * extensions) is refused at once, so that no later step can take it for a list of its issuer:
 * BoringSSL's X509_CRL would be one.
 */
#include "crl/crl.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bytestring.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>

#include "core/error.h"
#include "options/pem.h"

/* --- what is refused -------------------------------------------------------------------------- */

/* RFC 5280, 5.2: critical extensions of a CRL that are evaluated here. */
static bool is_known_extension(int nid)
{
	return nid == NID_issuing_distribution_point || nid == NID_authority_key_identifier ||
	       nid == NID_delta_crl;
}

static const char *refuse_extensions(const X509_CRL *x509)
{
	const X509_EXTENSION *ext;
	int i, nid;

	for (i = 0; i < X509_CRL_get_ext_count(x509); i++) {
		ext = X509_CRL_get_ext(x509, i);
		nid = OBJ_obj2nid(X509_EXTENSION_get_object((X509_EXTENSION *)ext));
		if (X509_EXTENSION_get_critical(ext) && nid == NID_crl_number)
			return "its CRL number is critical, which RFC 5280, 5.2.3 forbids";
		if (X509_EXTENSION_get_critical(ext) && !is_known_extension(nid))
			return "it has a critical extension that is not evaluated";
	}
	return NULL;
}

/* --- the issuing distribution point (RFC 5280, 5.2.5) ----------------------------------------- */

static unsigned int reason_bits(const ASN1_BIT_STRING *flags)
{
	unsigned int bits = 0;
	int i;

	for (i = 1; i <= 8; i++)
		if (ASN1_BIT_STRING_get_bit(flags, i))
			bits |= 1u << i;
	return bits;
}

/* Takes the extension, if there is one. Returns what is wrong with it, or NULL. */
static const char *take_idp(struct sluice_crl *crl, int *ret_code)
{
	int critical;

	*ret_code = SLUICE_E_CRL_PARSE;
	crl->reasons = SLUICE_CRL_REASONS_ALL;
	crl->idp = X509_CRL_get_ext_d2i(crl->x509, NID_issuing_distribution_point, &critical, NULL);
	if (!crl->idp)
		return critical == -1 ? NULL : "its issuing distribution point cannot be parsed";
	if (crl->idp->distpoint &&
	    !DIST_POINT_set_dpname(crl->idp->distpoint, X509_CRL_get_issuer(crl->x509)))
		return "its distribution point cannot be parsed";
	if (!!crl->idp->onlyuser + !!crl->idp->onlyCA + !!crl->idp->onlyattr > 1)
		return "its scope contradicts itself";
	if (crl->idp->onlysomereasons)
		crl->reasons = reason_bits(crl->idp->onlysomereasons);
	return NULL;
}

/* --- what it says of itself ------------------------------------------------------------------- */

/* Takes an extension that is a number. False: it is none. @ret_len 0: there is none. */
static bool take_number(const X509_CRL *x509, int nid, uint8_t number[CRL_MAX_NUMBER],
			size_t *ret_len)
{
	int critical, len;
	ASN1_INTEGER *value = X509_CRL_get_ext_d2i(x509, nid, &critical, NULL);
	bool ok;

	if (!value)
		return critical == -1;
	len = ASN1_STRING_length(value);
	ok = len >= 0 && len <= CRL_MAX_NUMBER && ASN1_STRING_type(value) == V_ASN1_INTEGER;
	if (ok) {
		number[0] = 0; /* zero may have no bytes */
		memcpy(number, ASN1_STRING_get0_data(value), (size_t)len);
		*ret_len = len ? (size_t)len : 1;
	}
	ASN1_INTEGER_free(value);
	return ok;
}

/* The number and, of a delta, that of its base. Returns what is wrong. */
static const char *take_numbers(struct sluice_crl *crl)
{
	if (!take_number(crl->x509, NID_crl_number, crl->number, &crl->number_len))
		return "its CRL number is not one";
	crl->is_delta = X509_CRL_get_ext_by_NID(crl->x509, NID_delta_crl, -1) >= 0;
	if (!crl->is_delta)
		return NULL;
	if (!take_number(crl->x509, NID_delta_crl, crl->base, &crl->base_len) || !crl->number_len)
		return "a delta CRL whose numbers are none";
	return NULL;
}

static bool take_times(struct sluice_crl *crl)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl->x509);

	crl->next_update_s = -1;
	return pem_time(X509_CRL_get0_lastUpdate(crl->x509), &crl->this_update_s) &&
	       (!next || pem_time(next, &crl->next_update_s));
}

static void hash_extension(SHA256_CTX *sha, const X509_CRL *x509, int nid)
{
	int at = X509_CRL_get_ext_by_NID(x509, nid, -1);
	const ASN1_OCTET_STRING *value = NULL;
	uint64_t len = 0;

	if (at >= 0)
		value = X509_EXTENSION_get_data(X509_CRL_get_ext(x509, at));
	if (value)
		len = (uint64_t)ASN1_STRING_length(value);
	SHA256_Update(sha, &len, sizeof(len));
	if (value)
		SHA256_Update(sha, ASN1_STRING_get0_data(value), len);
}

/* What two CRLs have in common of which one may replace the other. */
static void take_scope(struct sluice_crl *crl)
{
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, crl->issuer, crl->issuer_len);
	hash_extension(&sha, crl->x509, NID_issuing_distribution_point);
	hash_extension(&sha, crl->x509, NID_authority_key_identifier);
	SHA256_Final(crl->scope, &sha);
}

static bool take_issuer(struct sluice_crl *crl)
{
	X509_NAME *name = X509_CRL_get_issuer(crl->x509);
	int len = i2d_X509_NAME(name, &crl->issuer);

	if (len < 0)
		return false;
	crl->issuer_len = (size_t)len;
	crl->issuer_hash = (uint32_t)X509_NAME_hash(name);
	return true;
}

/* Takes everything out of @crl->x509. Returns what is wrong, or NULL. */
static const char *take_all(struct sluice_crl *crl, int *ret_code)
{
	const char *wrong = take_idp(crl, ret_code);
	bool nomem = false;

	if (wrong)
		return wrong;
	*ret_code = SLUICE_E_UNSUPPORTED;
	wrong = refuse_extensions(crl->x509);
	if (!wrong)
		wrong = crl_entries_take(crl, &nomem);
	if (nomem)
		*ret_code = SLUICE_E_NOMEM;
	if (wrong)
		return wrong;
	*ret_code = SLUICE_E_CRL_PARSE;
	wrong = take_numbers(crl);
	if (wrong)
		return wrong;
	if (!take_times(crl))
		return "its times cannot be parsed";
	if (!take_issuer(crl))
		return "its issuer cannot be parsed";
	take_scope(crl);
	return NULL;
}

/* --- from DER --------------------------------------------------------------------------------- */

static int parse(struct sluice_crl *crl, const uint8_t *der, size_t len, struct sluice_error *err)
{
	const uint8_t *p = der;
	const char *wrong;
	int code;

	crl->x509 = d2i_X509_CRL(NULL, &p, (long)len);
	if (!crl->x509 || p != der + len) {
		if (err_bssl() == -SLUICE_E_NOMEM)
			return err_set(err, SLUICE_E_NOMEM, "no memory for a CRL");
		return err_set(err, SLUICE_E_CRL_PARSE, "this is not a CRL in DER");
	}
	wrong = take_all(crl, &code);
	if (wrong) {
		if (err_bssl() == -SLUICE_E_NOMEM)
			code = SLUICE_E_NOMEM;
		return err_set(err, code, "%s", wrong);
	}
	SHA256(der, len, crl->sha256);
	return 0;
}

int sluice_crl_parse(struct sluice_crl **ret_crl, const void *der, size_t der_len,
		     struct sluice_error *ret_err)
{
	struct sluice_crl *crl;
	int r;

	err_clear(ret_err);
	if (!ret_crl || !der)
		return err_set(ret_err, SLUICE_E_INVALID, "no bytes");
	if (der_len > SLUICE_CRL_MAX_DER)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "a CRL has at most %u bytes",
			       SLUICE_CRL_MAX_DER);
	crl = calloc(1, sizeof(*crl));
	if (!crl)
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for a CRL");
	atomic_init(&crl->refs, 1);
	pthread_mutex_init(&crl->lock, NULL);
	r = parse(crl, der, der_len, ret_err);
	ERR_clear_error();
	if (r < 0) {
		sluice_crl_unref(crl);
		return r;
	}
	*ret_crl = crl;
	return 0;
}

struct sluice_crl *sluice_crl_ref(struct sluice_crl *crl)
{
	if (crl)
		atomic_fetch_add_explicit(&crl->refs, 1, memory_order_relaxed);
	return crl;
}

struct sluice_crl *sluice_crl_unref(struct sluice_crl *crl)
{
	if (!crl || atomic_fetch_sub_explicit(&crl->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	ISSUING_DIST_POINT_free(crl->idp);
	crl_entries_free(crl);
	X509_CRL_free(crl->x509);
	OPENSSL_free(crl->issuer);
	pthread_mutex_destroy(&crl->lock);
	free(crl);
	return NULL;
}

int sluice_crl_info(const struct sluice_crl *crl, struct sluice_crl_info *ret_info,
		    size_t info_size)
{
	struct sluice_crl_info info = { 0 };

	if (!crl || !ret_info)
		return -SLUICE_E_INVALID;
	info.issuer = crl->issuer;
	info.issuer_len = crl->issuer_len;
	info.this_update_s = crl->this_update_s;
	info.next_update_s = crl->next_update_s;
	info.number = crl->number_len ? crl->number : NULL;
	info.number_len = crl->number_len;
	info.n_revoked = crl->index.der ? crl->index.n : crl->n_entries;
	info.sha256 = crl->sha256;
	memset(ret_info, 0, info_size);
	memcpy(ret_info, &info, info_size < sizeof(info) ? info_size : sizeof(info));
	return 0;
}

/* --- evaluation ------------------------------------------------------------------------------- */

static bool verify(struct sluice_crl *crl, X509 *issuer)
{
	EVP_PKEY *key = X509_get_pubkey(issuer);
	bool good = false;

	if (key)
		good = crl->index.der ? crl_index_verify(&crl->index, key)
				      : X509_CRL_verify(crl->x509, key) == 1;

	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

static bool hash_key(X509 *x509, uint8_t digest[SHA256_DIGEST_LENGTH])
{
	uint8_t *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &spki);

	if (len < 0)
		return false;
	SHA256(spki, (size_t)len, digest);
	OPENSSL_free(spki);
	return true;
}

/* Returns whether the verdict @good is that on the key of @digest. */
static bool is_verdict(const struct sluice_crl *crl, const uint8_t *digest, bool good)
{
	return crl->verdicts[good].known &&
	       !memcmp(crl->verdicts[good].key, digest, SHA256_DIGEST_LENGTH);
}

bool crl_is_signed_by(struct sluice_crl *crl, X509 *issuer)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	bool good;

	if (!hash_key(issuer, digest))
		return false;
	pthread_mutex_lock(&crl->lock);
	good = is_verdict(crl, digest, true);
	if (!good && !is_verdict(crl, digest, false)) {
		good = verify(crl, issuer);
		memcpy(crl->verdicts[good].key, digest, sizeof(digest));
		crl->verdicts[good].known = true;
	}
	pthread_mutex_unlock(&crl->lock);
	return good;
}

bool crl_is_indirect(const struct sluice_crl *crl)
{
	return crl->idp && crl->idp->indirectCRL;
}

/* Positive numbers as DER has them: without leading zeros. */
static int compare_numbers(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
	if (a_len != b_len)
		return a_len > b_len ? 1 : -1;
	return memcmp(a, b, a_len);
}

static bool is_newer(const struct sluice_crl *crl, const struct sluice_crl *old)
{
	return crl->number_len && old->number_len &&
	       !memcmp(crl->scope, old->scope, sizeof(crl->scope)) &&
	       compare_numbers(crl->number, crl->number_len, old->number, old->number_len) > 0;
}

bool crl_supersedes(const struct sluice_crl *crl, const struct sluice_crl *old)
{
	return crl->is_delta == old->is_delta && is_newer(crl, old);
}

bool crl_completes(const struct sluice_crl *delta, const struct sluice_crl *crl)
{
	return delta->is_delta && !crl->is_delta && is_newer(delta, crl) &&
	       compare_numbers(delta->base, delta->base_len, crl->number, crl->number_len) <= 0;
}
