// SPDX-License-Identifier: Apache-2.0
/* Distribution points out of a certificate, whose path has been validated already. */
#include "crl/point.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>

#include "core/error.h"

/* --- what operations are told ----------------------------------------------------------------- */

static int take_name(X509_NAME *name, uint8_t **bytes, const uint8_t **ret_der, size_t *ret_len)
{
	int len = i2d_X509_NAME(name, bytes);

	if (len < 0)
		return err_bssl();
	*ret_der = *bytes;
	*ret_len = (size_t)len;
	return 0;
}

/* The first directory name, or NULL. */
static X509_NAME *directory_of(const GENERAL_NAMES *names)
{
	size_t i, n = names ? sk_GENERAL_NAME_num(names) : 0;
	const GENERAL_NAME *name;

	for (i = 0; i < n; i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_DIRNAME)
			return name->d.directoryName;
	}
	return NULL;
}

/* A URI with a NUL in it is two to whoever reads it as text, and is left out. */
static void take_uris(struct crl_point *point, const GENERAL_NAMES *names)
{
	size_t i, n = names ? sk_GENERAL_NAME_num(names) : 0;
	const GENERAL_NAME *name;
	const char *text;

	point->public.uris = point->uris;
	for (i = 0; i < n && point->public.n_uris < CRL_MAX_URIS; i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI)
			continue;
		text = (const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier);
		if (strlen(text) == (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier))
			point->uris[point->public.n_uris++] = text;
	}
}

static unsigned int reasons_of(const DIST_POINT *point)
{
	unsigned int bits = 0;
	int i;

	if (!point || !point->reasons)
		return SLUICE_CRL_REASONS_ALL;
	for (i = 1; i <= 8; i++)
		if (ASN1_BIT_STRING_get_bit(point->reasons, i))
			bits |= 1u << i;
	return bits;
}

static int fill(struct crl_point *point)
{
	const DIST_POINT_NAME *names = point->point ? point->point->distpoint : NULL;
	const GENERAL_NAMES *full = names && names->type == 0 ? names->name.fullname : NULL;
	X509_NAME *directory = names && names->type == 1 ? names->dpname : directory_of(full);
	X509_NAME *other = point->point ? directory_of(point->point->CRLissuer) : NULL;
	int r = 0;

	take_uris(point, full);
	point->public.reasons = reasons_of(point->point);
	if (!point->point)
		directory = point->issuer;
	if (directory)
		r = take_name(directory, &point->dir_name, &point->public.dir_name,
			      &point->public.dir_name_len);
	if (!r && other)
		r = take_name(other, &point->crl_issuer, &point->public.crl_issuer,
			      &point->public.crl_issuer_len);
	return r;
}

/* RFC 5280, 4.2.1.13: what a relative name of @point is relative to. */
static X509_NAME *base_of(const DIST_POINT *point, X509_NAME *issuer)
{
	return point->CRLissuer ? directory_of(point->CRLissuer) : issuer;
}

/* Takes the extension, and after it the point that is implied, if there is one. Errors: NOMEM. */
static int take(struct crl_points *points, X509_NAME *issuer, bool implied)
{
	size_t i, n = points->extension ? sk_DIST_POINT_num(points->extension) : 0;
	struct crl_point *point;
	DIST_POINT_NAME *name;
	int r = 0;

	if (n > CRL_MAX_POINTS)
		n = CRL_MAX_POINTS;
	for (i = 0; !r && i < n + implied; i++) {
		point = &points->points[points->n++];
		point->issuer = issuer;
		if (i < n) {
			point->point = sk_DIST_POINT_value(points->extension, i);
			name = point->point->distpoint;
			if (name && name->type == 1 &&
			    (!base_of(point->point, issuer) ||
			     !DIST_POINT_set_dpname(name, base_of(point->point, issuer))))
				points->malformed = true;
		}
		r = fill(point);
	}
	ERR_clear_error();
	if (r < 0)
		crl_points_clear(points);
	return r;
}

int crl_points_get(struct crl_points *ret_points, X509 *cert)
{
	int critical;

	memset(ret_points, 0, sizeof(*ret_points));
	ret_points->extension =
		X509_get_ext_d2i(cert, NID_crl_distribution_points, &critical, NULL);
	ret_points->malformed = !ret_points->extension && critical != -1;
	return take(ret_points, X509_get_issuer_name(cert), true);
}

int crl_points_freshest(struct crl_points *ret_points, X509 *cert, const X509_CRL *crl)
{
	memset(ret_points, 0, sizeof(*ret_points));
	if (crl)
		ret_points->extension = X509_CRL_get_ext_d2i(crl, NID_freshest_crl, NULL, NULL);
	else
		ret_points->extension = X509_get_ext_d2i(cert, NID_freshest_crl, NULL, NULL);
	return take(ret_points, X509_get_issuer_name(cert), false);
}

void crl_points_clear(struct crl_points *points)
{
	size_t i;

	for (i = 0; i < points->n; i++) {
		OPENSSL_free(points->points[i].dir_name);
		OPENSSL_free(points->points[i].crl_issuer);
	}
	sk_DIST_POINT_pop_free(points->extension, DIST_POINT_free);
	memset(points, 0, sizeof(*points));
}

/* --- names ------------------------------------------------------------------------------------ */

bool crl_names_have(const GENERAL_NAMES *names, const X509_NAME *directory)
{
	size_t i, n = names && directory ? sk_GENERAL_NAME_num(names) : 0;
	const GENERAL_NAME *name;

	for (i = 0; i < n; i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type == GEN_DIRNAME && !X509_NAME_cmp(name->d.directoryName, directory))
			return true;
	}
	return false;
}

/* GENERAL_NAME_cmp() is not in every BoringSSL: the encodings tell as much. */
static bool are_equal(const GENERAL_NAME *a, const GENERAL_NAME *b)
{
	uint8_t *a_der = NULL, *b_der = NULL;
	int a_len = i2d_GENERAL_NAME((GENERAL_NAME *)a, &a_der);
	int b_len = i2d_GENERAL_NAME((GENERAL_NAME *)b, &b_der);
	bool equal = a_len > 0 && a_len == b_len && !memcmp(a_der, b_der, (size_t)a_len);

	OPENSSL_free(a_der);
	OPENSSL_free(b_der);
	return equal;
}

static bool have_common(const GENERAL_NAMES *a, const GENERAL_NAMES *b)
{
	size_t i, j, n = a && b ? sk_GENERAL_NAME_num(a) : 0;

	for (i = 0; i < n; i++)
		for (j = 0; j < sk_GENERAL_NAME_num(b); j++)
			if (are_equal(sk_GENERAL_NAME_value(a, i), sk_GENERAL_NAME_value(b, j)))
				return true;
	return false;
}

/* A name that was relative to the issuer is a directory name by now. */
static bool are_same(const DIST_POINT_NAME *a, const DIST_POINT_NAME *b)
{
	if (a->type == 1 && b->type == 1)
		return a->dpname && b->dpname && !X509_NAME_cmp(a->dpname, b->dpname);
	if (a->type == 1)
		return crl_names_have(b->name.fullname, a->dpname);
	if (b->type == 1)
		return crl_names_have(a->name.fullname, b->dpname);
	return have_common(a->name.fullname, b->name.fullname);
}

static bool names_directory(const DIST_POINT_NAME *names, const X509_NAME *directory)
{
	if (names->type == 1)
		return names->dpname && !X509_NAME_cmp(names->dpname, directory);
	return crl_names_have(names->name.fullname, directory);
}

/* Is one of the directory names among @issuers a name of the CRL's point? */
static bool names_any(const DIST_POINT_NAME *names, const GENERAL_NAMES *issuers)
{
	const GENERAL_NAME *name;
	size_t i;

	for (i = 0; i < sk_GENERAL_NAME_num(issuers); i++) {
		name = sk_GENERAL_NAME_value(issuers, i);
		if (name->type == GEN_DIRNAME && names_directory(names, name->d.directoryName))
			return true;
	}
	return false;
}

bool crl_point_matches(const struct crl_point *point, const DIST_POINT_NAME *crl_names)
{
	if (!point->point)
		return names_directory(crl_names, point->issuer);
	if (point->point->distpoint)
		return are_same(point->point->distpoint, crl_names);
	return point->point->CRLissuer && names_any(crl_names, point->point->CRLissuer);
}

bool crl_point_is_indirect(const struct crl_point *point)
{
	return point->point && point->point->CRLissuer &&
	       !crl_names_have(point->point->CRLissuer, point->issuer);
}

X509_NAME *crl_point_issuer(const struct crl_point *point)
{
	return point->point ? directory_of(point->point->CRLissuer) : NULL;
}
