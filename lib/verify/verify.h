/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate path validation (RFC 5280, 6; names: RFC 9525): one request, one verdict. */
#ifndef SLUICE_VERIFY_VERIFY_H
#define SLUICE_VERIFY_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/x509.h>

#include <sluice/options.h>

#include "verify/names.h"
#include "verify/policy.h"

/* struct verify_budget - what searches may still cost together (verify/path.h). */
struct verify_budget {
	int steps, signatures;
};

/* struct verify_request - a chain, and what is asked of it. Everything is the caller's. */
struct verify_request {
	STACK_OF(X509) * certs; /* the peer's own first, then any others in any order */
	X509_STORE *trust;      /* trust anchors; NULL: none. Not changed while this is under way */
	enum sluice_role peer;  /* as what the peer presents its certificate */
	const char *name;    /* a DNS name or an address as text; NULL: for whom does not matter */
	enum name_rule rule; /* what wildcards match */
	const struct sluice_hostname_check *hook; /* of whoever asks; NULL: none */
	const struct verify_verdict
		*named;    /* what verify_check_name() said before; NULL: nothing */
	int64_t now_s;     /* the time to judge at, seconds of the epoch */
	uint64_t until_us; /* of sys->now_us(), when the search gives up; 0: never */
	const uint16_t
		*sigalgs; /* schemes that certificates may be signed with (RFC 8446, 4.2.3) */
	size_t n_sigalgs; /* 0: any that is strong */
	int depth;        /* most intermediates that are not self-issued */
	const struct verify_policies *policies; /* NULL: whatever demands some is refused */
	struct verify_budget *budget;           /* NULL: one of its own */
	bool any_purpose;   /* it is no server's and no client's: a CRL issuer's */
	bool partial_chain; /* any trusted certificate ends a path, not only a self-signed one */
};

/* struct verify_verdict - what came of it. */
struct verify_verdict {
	int x509_error;        /* X509_V_ERR_*; X509_V_OK: accepted */
	const char *reason;    /* a text that is never freed; NULL: accepted */
	size_t index;          /* whose fault, counted from the peer's certificate: 0 */
	int bad_cert;          /* enum sluice_bad_cert */
	int code;              /* SLUICE_E_*, or SLUICE_OK */
	int crl_reason;        /* CERT_REVOKED: CRLReason (RFC 5280, 5.3.1), 0: none is stated */
	bool by_wildcard;      /* HOSTNAME: rule https would have accepted it */
	uint8_t alert;         /* what the peer is to be told; of no meaning if accepted */
	STACK_OF(X509) * path; /* refused: the one that came furthest; NULL: no memory */
	bool anchored;         /* the last of @path is trusted */
	unsigned int n_paths;  /* paths that were tried */
};

/*
 * verify_run() looks for a path from the peer's certificate to a trust anchor and judges it. The
 * verdict is always filled in; verify_verdict_clear() frees its path. What it costs is bounded
 * (verify/path.h), whatever the peer has sent.
 */
void verify_run(struct verify_verdict *ret_verdict, const struct verify_request *request);

/*
 * verify_check_name() puts into @verdict whether the peer's certificate is for @request->name, or for what a
 * program makes of it; no path is looked for.
 */
void verify_check_name(struct verify_verdict *verdict, const struct verify_request *request);

/*
 * verify_verdict_refuse() turns a verdict that accepted into one that does not; its path stays. @reason: static,
 * or NULL for BoringSSL's text.
 */
void verify_verdict_refuse(struct verify_verdict *verdict, int x509_error, const char *reason,
			   size_t index);
void verify_verdict_clear(struct verify_verdict *verdict);

#endif
