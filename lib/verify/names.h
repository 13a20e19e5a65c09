/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whom a certificate is for (RFC 9525): the name that was asked for, the reference identity, held
 * against those that the certificate presents in its subjectAltName, never against its subject.
 * Nothing is allocated.
 */
#ifndef SLUICE_VERIFY_NAMES_H
#define SLUICE_VERIFY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/bytestring.h>
#include <openssl/x509.h>

#include <sluice/options.h>

#include "verify/dns.h"

/* The kinds of GeneralName (RFC 5280, 4.2.1.6), by their tags. */
enum general_name_kind {
	NAME_OTHER = 0,
	NAME_EMAIL = 1,
	NAME_DNS = 2,
	NAME_X400 = 3,
	NAME_DIRECTORY = 4,
	NAME_EDI_PARTY = 5,
	NAME_URI = 6,
	NAME_IP = 7,
	NAME_REGISTERED_ID = 8,
	NAME_KINDS
};

/* struct general_name - one name; @value is what its tag encloses, borrowed from the certificate. */
struct general_name {
	enum general_name_kind kind;
	CBS value;
};

/* general_name_get() takes the next name off @names. False: there is none, or it is malformed. */
bool general_name_get(CBS *names, struct general_name *ret_name);

/*
 * san_get() finds the names of a certificate's subjectAltName, every one of which can be had with
 * general_name_get(). Returns 1, 0 where there is no such extension, -SLUICE_E_CERT_PARSE where it is
 * malformed, empty or there twice.
 */
int san_get(const X509 *x509, CBS *ret_names);

/* What a client compares the certificate with. */
struct reference {
	enum general_name_kind kind; /* NAME_DNS or NAME_IP */
	size_t len;
	uint8_t bytes[DNS_MAX_NAME]; /* DNS: lower case, no final dot; IP: 4 or 16, network order */
};

/*
 * reference_parse() takes a DNS name in ASCII, with or without the root's dot, an IPv4 address or an
 * IPv6 address, with or without brackets. U-labels, zones of addresses and names that an address
 * parser might take for an address (127.1) are refused. Errors: HOSTNAME.
 */
int reference_parse(struct reference *ret_reference, const char *text,
		    struct sluice_error *ret_err);

/* Option customize_hostname_check, in the order of its words. */
enum name_rule {
	NAMES_STRICT, /* wildcards match nothing */
	NAMES_HTTPS, /* a wildcard is the whole left-most label, two labels behind (RFC 9110, 4.3.4) */
	NAMES_LDAP, /* the same, whatever stands behind (RFC 4513, 3.1.3.1) */
};

enum names_result {
	NAMES_MATCH,
	NAMES_MISMATCH,
	NAMES_WILDCARD, /* a wildcard would match by rule https */
	NAMES_ABSENT,   /* no name of the kind of the reference is presented */
	NAMES_MALFORMED,
};

/* names_compare() holds one name of a certificate against @reference; ABSENT: it is of another kind. */
enum names_result names_compare(const struct reference *reference, const struct general_name *name,
				enum name_rule rule);

/*
 * names_match() holds @x509 against @reference. @hook (NULL: none) is asked first, of every name;
 * what it has no opinion on is decided by @rule.
 */
enum names_result names_match(const X509 *x509, const struct reference *reference,
			      enum name_rule rule, const struct sluice_hostname_check *hook,
			      const char *text);

#endif
