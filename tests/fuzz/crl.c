/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for lib/crl: a CRL, or a text with CRLs, and a certificate whose distribution points are
 * held against it. Input: the certificate's length in two bytes, the certificate, the rest. What is
 * accepted keeps the promises of sluice_crl_parse(): complete, and evaluable without reading it again;
 * unsigned as it is, it must never be evidence.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/nid.h>
#include <openssl/x509.h>

#include "crl/check.h"
#include "crl/crl.h"
#include "crl/point.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int select_any(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
		      struct sluice_crl_found *found)
{
	struct crl_list *list = db;
	size_t i;

	for (i = 0; i < list->n; i++)
		REQUIRE(!sluice_crl_found_add(found, list->crls[i]));
	return 0;
}

static const struct sluice_crl_cache_ops ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.select = select_any,
};

/* Sorted; and of an issuer that is named only where that may be. */
static void check_entries(const struct sluice_crl *crl)
{
	size_t i;

	for (i = 1; i < crl->n_entries; i++)
		REQUIRE(ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(crl->entries[i - 1].x509),
					 X509_REVOKED_get0_serialNumber(crl->entries[i].x509)) <=
			0);
	for (i = 0; i < crl->n_entries; i++)
		REQUIRE(crl_is_indirect(crl) || !crl->entries[i].issuer);
}

static void check_crl(struct sluice_crl *crl)
{
	struct sluice_crl_info info;

	REQUIRE(!sluice_crl_info(crl, &info, sizeof(info)));
	REQUIRE(info.issuer && info.issuer_len && info.number_len <= CRL_MAX_NUMBER);
	REQUIRE(crl->is_delta == (X509_CRL_get_ext_by_NID(crl->x509, NID_delta_crl, -1) >= 0));
	REQUIRE(!crl->is_delta || (crl->number_len && crl->base_len));
	REQUIRE(!crl_supersedes(crl, crl) && !crl_completes(crl, crl));
	REQUIRE(crl_is_indirect(crl) || !crl->n_issuers);
	check_entries(crl);
	REQUIRE(!(crl->reasons & ~SLUICE_CRL_REASONS_ALL));
}

/* The certificate as peer and as its own issuer: nothing here has a signature that counts. */
static void check_path(X509 *x509, struct crl_list *list)
{
	struct crl_check check = { CRL_CHECK_TRUE, &ops, list, "" };
	STACK_OF(X509) *path = sk_X509_new_null();
	struct verify_request request = {
		.certs = path,
		.trust = X509_STORE_new(),
		.now_s = 1800000000,
		.depth = 10,
	};
	struct crl_verdict verdict = { 0 };
	int x509_error;

	REQUIRE(request.trust && path && sk_X509_push(path, x509) && sk_X509_push(path, x509));
	x509_error = crl_check_path(&check, &request, path, &verdict);
	REQUIRE(!x509_error || (verdict.reason && verdict.index == 0));
	X509_STORE_free(request.trust);
	sk_X509_free(path);
}

static void read_cert(const uint8_t *data, size_t len, struct crl_list *list)
{
	const uint8_t *p = data;
	X509 *x509 = d2i_X509(NULL, &p, (long)len);
	struct crl_points points;

	ERR_clear_error();
	if (!x509)
		return;
	if (!crl_points_freshest(&points, x509, list->n ? list->crls[0]->x509 : NULL)) {
		REQUIRE(points.n <= CRL_MAX_POINTS);
		crl_points_clear(&points);
	}
	if (!crl_points_get(&points, x509)) {
		REQUIRE(points.n >= 1 && points.n <= CRL_MAX_POINTS + 1);
		crl_points_clear(&points);
	}
	check_path(x509, list);
	X509_free(x509);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crl_list list = { 0 };
	struct sluice_error err = { 0 };
	size_t len, i;
	int r;

	if (size < 2)
		return 0;
	len = (size_t)data[0] << 8 | data[1];
	data += 2;
	size -= 2;
	if (len > size)
		len = size;
	r = crl_list_read(&list, data + len, size - len, "what", len & 1, &err);
	REQUIRE(!r || err.code == -r);
	REQUIRE(!r || err.code == SLUICE_E_CRL_PARSE || err.code == SLUICE_E_UNSUPPORTED ||
		err.code == SLUICE_E_OPTION_RANGE);
	for (i = 0; i < list.n; i++)
		check_crl(list.crls[i]);
	read_cert(data, len, &list);
	crl_list_clear(&list);
	REQUIRE(ERR_peek_error() == 0);
	return 0;
}
