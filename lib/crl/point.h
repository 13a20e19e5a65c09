/* SPDX-License-Identifier: Apache-2.0 */
/* The distribution points of a certificate (RFC 5280, 4.2.1.13). */
#ifndef SLUICE_CRL_POINT_H
#define SLUICE_CRL_POINT_H

#include <stdbool.h>

#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <sluice/crl.h>

#define CRL_MAX_POINTS 16 /* of one certificate; the rest is not looked at */
#define CRL_MAX_URIS 16   /* of one point */

/* struct crl_point - one point, as operations see it and as it is compared. */
struct crl_point {
	struct sluice_dist_point public;
	const char *uris[CRL_MAX_URIS];
	uint8_t *dir_name, *crl_issuer; /* OPENSSL_free() */
	const DIST_POINT *point;        /* NULL: implied */
	X509_NAME *issuer;              /* of the certificate; borrowed */
};

/* struct crl_points - those of a certificate, and behind them the one that every has. */
struct crl_points {
	CRL_DIST_POINTS *extension;
	struct crl_point points[CRL_MAX_POINTS + 1];
	size_t n;
	bool malformed; /* the extension is there and cannot be parsed */
};

/*
 * crl_points_get() takes the points of @cert, which it borrows. Last comes the point of RFC 5280,
 * 6.3.3, for CRLs that the certificate does not name: its issuer. Errors: NOMEM.
 */
int crl_points_get(struct crl_points *ret_points, X509 *cert);

/*
 * crl_points_freshest() takes the points of @cert, or of @crl where that is not NULL, at which delta CRLs
 * are (RFC 5280, 4.2.1.15 and 5.2.6); there may be none. Errors: NOMEM.
 */
int crl_points_freshest(struct crl_points *ret_points, X509 *cert, const X509_CRL *crl);
void crl_points_clear(struct crl_points *points);

/*
 * crl_point_matches() holds a point against the distribution point of a CRL (RFC 5280, 6.3.3 (b)
 * (2) (i)): one name of each must be the same.
 */
bool crl_point_matches(const struct crl_point *point, const DIST_POINT_NAME *crl_names);

/* crl_names_have() tells whether one of @names is the directory name @directory. */
bool crl_names_have(const GENERAL_NAMES *names, const X509_NAME *directory);

/* crl_point_issuer() is the directory name that a point's CRLs have instead, or NULL. */
X509_NAME *crl_point_issuer(const struct crl_point *point);

/* crl_point_is_indirect() tells whether its CRLs are by others than the certificate's issuer. */
bool crl_point_is_indirect(const struct crl_point *point);

#endif
