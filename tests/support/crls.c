/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs made by BoringSSL in this process. A failure here is the end of the program. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "crls.h"
#include "support/certs.h"

#define CHECK(what)                                                                \
	do {                                                                       \
		if (!(what)) {                                                     \
			fprintf(stderr, "tests/support/crls: %s failed\n", #what); \
			ERR_print_errors_fp(stderr);                               \
			abort();                                                   \
		}                                                                  \
	} while (0)

static ASN1_TIME *time_at(int64_t s)
{
	ASN1_TIME *at = ASN1_TIME_adj(NULL, time(NULL), (int)(s / 86400), (long)(s % 86400));

	CHECK(at);
	return at;
}

static X509_EXTENSION *unknown_extension(void)
{
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.99999.1", 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;

	CHECK(oid && value && ASN1_OCTET_STRING_set(value, (const uint8_t *)"\x05\x00", 2));
	CHECK(ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value));
	ASN1_OBJECT_free(oid);
	ASN1_OCTET_STRING_free(value);
	return ext;
}

static void add_number(X509_CRL *crl, int nid, int number, int critical)
{
	ASN1_INTEGER *value = ASN1_INTEGER_new();

	CHECK(value && ASN1_INTEGER_set(value, number));
	CHECK(X509_CRL_add1_ext_i2d(crl, nid, value, critical, 0) == 1);
	ASN1_INTEGER_free(value);
}

static void add_text(X509_CRL *crl, X509 *issuer, int nid, const char *text)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	X509V3_set_ctx(&ctx, issuer, NULL, NULL, crl, 0);
	CHECK(ext = X509V3_EXT_nconf_nid(NULL, &ctx, nid, text));
	CHECK(X509_CRL_add_ext(crl, ext, -1));
	X509_EXTENSION_free(ext);
}

static void add_entry_extensions(X509_REVOKED *entry, const struct crl_spec *spec)
{
	ASN1_ENUMERATED *reason;
	GENERAL_NAMES *names;
	GENERAL_NAME *name;
	X509_EXTENSION *ext;

	if (spec->reason) {
		CHECK(reason = ASN1_ENUMERATED_new());
		CHECK(ASN1_ENUMERATED_set(reason, spec->reason - 1));
		CHECK(X509_REVOKED_add1_ext_i2d(entry, NID_crl_reason, reason, 0, 0) == 1);
		ASN1_ENUMERATED_free(reason);
	}
	if (spec->unknown_critical_entry) {
		ext = unknown_extension();
		CHECK(X509_REVOKED_add_ext(entry, ext, -1));
		X509_EXTENSION_free(ext);
	}
	if (spec->certificate_issuer) {
		CHECK(names = GENERAL_NAMES_new());
		CHECK(name = GENERAL_NAME_new());
		GENERAL_NAME_set0_value(name, GEN_DIRNAME,
					X509_NAME_dup(X509_get_issuer_name(spec->revoked)));
		CHECK(sk_GENERAL_NAME_push(names, name));
		CHECK(X509_REVOKED_add1_ext_i2d(entry, NID_certificate_issuer, names, 1, 0) == 1);
		GENERAL_NAMES_free(names);
	}
}

static void add_entry(X509_CRL *crl, const ASN1_INTEGER *serial, const struct crl_spec *spec)
{
	X509_REVOKED *entry = X509_REVOKED_new();
	ASN1_TIME *at = time_at(-3600);

	CHECK(entry && X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)serial) &&
	      X509_REVOKED_set_revocationDate(entry, at));
	add_entry_extensions(entry, spec);
	CHECK(X509_CRL_add0_revoked(crl, entry));
	ASN1_TIME_free(at);
}

/* Serial numbers that no certificate here has, in no order. */
static void add_others(X509_CRL *crl, size_t n)
{
	struct crl_spec plain = { .reason = 2 };
	uint8_t bytes[18];
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	uint32_t state = 1;
	BIGNUM *bn = BN_new();
	size_t i, j;

	for (i = 0; i < n; i++) {
		for (j = 0; j < sizeof(bytes); j++) {
			state = state * 1664525 + 1013904223;
			bytes[j] = (uint8_t)(state >> 24);
		}
		bytes[0] = 0x11;
		CHECK(BN_bin2bn(bytes, sizeof(bytes), bn) && BN_to_ASN1_INTEGER(bn, serial));
		add_entry(crl, serial, &plain);
	}
	ASN1_INTEGER_free(serial);
	BN_free(bn);
}

static void add_reasons(X509_CRL *crl, unsigned int reasons)
{
	ISSUING_DIST_POINT *idp = ISSUING_DIST_POINT_new();
	int i;

	CHECK(idp && (idp->onlysomereasons = ASN1_BIT_STRING_new()));
	for (i = 0; i < 9; i++)
		if (reasons >> i & 1)
			CHECK(ASN1_BIT_STRING_set_bit(idp->onlysomereasons, i, 1));
	CHECK(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, idp, 1, 0) == 1);
	ISSUING_DIST_POINT_free(idp);
}

static void set_times(X509_CRL *crl, const struct crl_spec *spec)
{
	bool usual = !spec->from_s && !spec->to_s;
	ASN1_TIME *from = time_at(usual ? -3600 : spec->from_s);
	ASN1_TIME *to = time_at(usual ? 86400 : spec->to_s);

	CHECK(X509_CRL_set1_lastUpdate(crl, from));
	if (!spec->no_next_update)
		CHECK(X509_CRL_set1_nextUpdate(crl, to));
	ASN1_TIME_free(from);
	ASN1_TIME_free(to);
}

static void add_extensions(X509_CRL *crl, const struct crl_spec *spec)
{
	X509_EXTENSION *ext;

	if (spec->number)
		add_number(crl, NID_crl_number, spec->number, 0);
	if (spec->delta_of)
		add_number(crl, NID_delta_crl, spec->delta_of, 1);
	if (spec->idp)
		add_text(crl, spec->issuer, NID_issuing_distribution_point, spec->idp);
	if (spec->freshest)
		add_text(crl, spec->issuer, NID_freshest_crl, spec->freshest);
	if (spec->only_reasons)
		add_reasons(crl, spec->only_reasons);
	if (spec->unknown_critical) {
		ext = unknown_extension();
		CHECK(X509_CRL_add_ext(crl, ext, -1));
		X509_EXTENSION_free(ext);
	}
}

uint8_t *crls_make(const struct crl_spec *spec, size_t *ret_len)
{
	const EVP_MD *md = spec->md ? spec->md : EVP_sha256();
	X509_CRL *crl = X509_CRL_new();
	uint8_t *der = NULL, *copy;
	int len;

	CHECK(crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2));
	CHECK(X509_CRL_set_issuer_name(crl, X509_get_subject_name(spec->issuer)));
	set_times(crl, spec);
	if (spec->revoked)
		add_entry(crl, X509_get0_serialNumber(spec->revoked), spec);
	if (spec->revoked_next)
		add_entry(crl, X509_get0_serialNumber(spec->revoked_next), &(struct crl_spec){ 0 });
	add_others(crl, spec->n_others);
	add_extensions(crl, spec);
	CHECK(X509_CRL_sign(crl, spec->key, md));
	CHECK((len = i2d_X509_CRL(crl, &der)) > 0 && (copy = malloc((size_t)len)));
	memcpy(copy, der, (size_t)len);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	*ret_len = (size_t)len;
	return copy;
}

const char *crls_pem(const char *name, const struct crl_der *crls, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *text;
	const char *path;
	size_t i, len;

	CHECK(bio);
	for (i = 0; i < n; i++)
		CHECK(PEM_write_bio(bio, PEM_STRING_X509_CRL, "", crls[i].der, (long)crls[i].len));
	CHECK(BIO_mem_contents(bio, &text, &len));
	path = certs_file(name, text, len);
	BIO_free(bio);
	return path;
}
