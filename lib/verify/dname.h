/* SPDX-License-Identifier: Apache-2.0 */
/* Distinguished names (RFC 5280, 4.1.2.4) as DER: nesting, by the rules of 7.1. Allocates nothing. */
#ifndef SLUICE_VERIFY_DNAME_H
#define SLUICE_VERIFY_DNAME_H

#include <stdbool.h>

#include <openssl/bytestring.h>

/*
 * dname_open() enters the Name that is all of @der: what dname_within() and dname_email() take. False
 * where it is malformed, or has what these cannot compare: a string that its type does not allow, or
 * more than 8 attributes in one RDN.
 */
bool dname_open(const CBS *der, CBS *ret_rdns);

/*
 * dname_within() tells whether the RDNs of @base begin @name. Strings are compared without regard to
 * their type, to the case of ASCII letters and to how much white space there is.
 */
bool dname_within(const CBS *name, const CBS *base);

/*
 * dname_email() gives the emailAddress attributes (PKCS #9) of a name one after the other; @rdns is
 * the opened name, @rdn begins empty. False: there is none left.
 */
struct dname_emails {
	CBS rdns, rdn;
};
bool dname_email(struct dname_emails *emails, CBS *ret_email);

#endif
