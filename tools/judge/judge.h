/* SPDX-License-Identifier: Apache-2.0 */
/* `sluice verify` from the inside: certificates in, verdicts out. */
#ifndef TOOLS_JUDGE_JUDGE_H
#define TOOLS_JUDGE_JUDGE_H

#include <stdio.h>

#include <json-c/json.h>

#include <openssl/pool.h>

#include "crls.h"
#include "ocsp/staple.h"
#include "verify/verify.h"
#include "wants.h"

/* Exit statuses, which scripts tell apart: those of openssl-verify(1) and grep(1). */
enum verify_status {
	VERIFY_ACCEPTED = 0,
	VERIFY_REJECTED = 1,
	VERIFY_UNUSABLE = 2, /* there was nothing to judge */
};

/* struct verify_ocsp - a response, as a server would have stapled it. */
struct verify_ocsp {
	CRYPTO_BUFFER *der; /* NULL: none */
	enum ocsp_mode mode;
};

/* struct verify_case - what is judged: a path, and the revocation of what is on it. */
struct verify_case {
	struct verify_request request;
	struct verify_crls crls;
	enum crl_mode crl_mode;
	struct verify_ocsp ocsp;
	struct verify_policies policies; /* where @evaluate_policies */
	bool evaluate_policies;
	struct verify_wants wants;
	bool with_checks; /* the verdict tells what it is made of */
};

/*
 * verify_certs() gives every certificate of a PEM text, in order; sk_X509_pop_free() them. @what names
 * the text in errors. Errors: CERT_PARSE, NOMEM.
 */
int verify_certs(STACK_OF(X509) * *ret_certs, const char *pem, size_t pem_len, const char *what,
		 struct sluice_error *ret_err);

/*
 * verify_time() reads seconds of the epoch, or a time of RFC 3339 ("2026-01-31T12:00:00Z"; fractions of
 * a second are dropped), in the years 0 to 9999. False: it is neither.
 */
bool verify_time(const char *text, int64_t *ret_s);

/*
 * verify_members() tells whether an object has no other members than @known, which NULL ends. @what names it in
 * errors. Errors: OPTION.
 */
int verify_members(struct json_object *from, const char *const *known, const char *what,
		   struct sluice_error *ret_err);

/* verify_base64() decodes a text, in which white space does not count; free() it. False: it is none, or no memory. */
bool verify_base64(const char *text, size_t len, uint8_t **ret_der, size_t *ret_der_len);

/* verify_ocsp_mode() reads a word of option ocsp. False: it is none. */
bool verify_ocsp_mode(const char *word, enum ocsp_mode *ret_mode);

/* verify_ocsp_text() reads a response from PEM, or DER in base64. Errors: OCSP, NOMEM. */
int verify_ocsp_text(CRYPTO_BUFFER **ret_der, const char *text, struct sluice_error *ret_err);

/*
 * verify_ocsp() holds the response against a path that is valid, and refuses the verdict where a handshake
 * would. Returns what it found as an object; NULL: nothing was asked.
 */
struct json_object *verify_ocsp(struct verify_verdict *verdict,
				const struct verify_request *request,
				const struct verify_ocsp *ocsp);

/*
 * verify_add_policy() adds an OID in dots to the policies that are wanted; "any" is any. They are freed by
 * sk_ASN1_OBJECT_pop_free(). Errors: OPTION, NOMEM.
 */
int verify_add_policy(STACK_OF(ASN1_OBJECT) * *policies, const char *oid,
		      struct sluice_error *ret_err);

/*
 * verify_judge() judges @it, what it wants besides if the rest is accepted, and makes an object of the verdict.
 * NULL: no memory. *@ret_status is VERIFY_ACCEPTED or VERIFY_REJECTED.
 */
struct json_object *verify_judge(const struct verify_case *it, enum verify_status *ret_status);

/*
 * verify_batch() reads one request in JSON per line from @in, of our own form or a test case of x509-limbo, and
 * prints one verdict per line. @defaults has what a request leaves out, but for the certificates. Returns an exit
 * status: of the requests themselves only whether all were usable.
 */
enum verify_status verify_batch(FILE *in, const struct verify_case *defaults);

#endif
