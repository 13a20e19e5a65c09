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

int crl_points_get(struct crl_points *ret_points, X509 *cert)
{
	struct crl_points *points = ret_points;
	struct crl_point *point;
	size_t i, n = 0;
	int critical, r = 0;

	memset(points, 0, sizeof(*points));
	points->extension = X509_get_ext_d2i(cert, NID_crl_distribution_points, &critical, NULL);
	points->malformed = !points->extension && critical != -1;
	if (points->extension)
		n = sk_DIST_POINT_num(points->extension);
	if (n > CRL_MAX_POINTS)
		n = CRL_MAX_POINTS;
	for (i = 0; !r && i <= n; i++) {
		point = &points->points[points->n++];
		point->issuer = X509_get_issuer_name(cert);
		if (i < n)
			point->point = sk_DIST_POINT_value(points->extension, i);
		if (i < n && point->point->distpoint &&
		    !DIST_POINT_set_dpname(point->point->distpoint, point->issuer))
			points->malformed = true;
		r = fill(point);
	}
	ERR_clear_error();
	if (r < 0)
		crl_points_clear(points);
	return r;
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

static bool has_directory(const GENERAL_NAMES *names, const X509_NAME *directory)
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
		return has_directory(b->name.fullname, a->dpname);
	if (b->type == 1)
		return has_directory(a->name.fullname, b->dpname);
	return have_common(a->name.fullname, b->name.fullname);
}

static bool names_directory(const DIST_POINT_NAME *names, const X509_NAME *directory)
{
	if (names->type == 1)
		return names->dpname && !X509_NAME_cmp(names->dpname, directory);
	return has_directory(names->name.fullname, directory);
}

bool crl_point_matches(const struct crl_point *point, const DIST_POINT_NAME *crl_names)
{
	if (!point->point)
		return names_directory(crl_names, point->issuer);
	if (point->point->distpoint)
		return are_same(point->point->distpoint, crl_names);
	/* Without a name it has a CRL issuer, and that is the certificate's: no other is evaluated. */
	return names_directory(crl_names, point->issuer);
}

bool crl_point_is_indirect(const struct crl_point *point)
{
	return point->point && point->point->CRLissuer &&
	       !has_directory(point->point->CRLissuer, point->issuer);
}
