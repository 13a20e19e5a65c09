/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program's say in path validation: option verify_fun. The library finds out all that is wrong with the
 * peer's path; the function is told of it, certificate by certificate from the root to the peer's own, and
 * decides. Without a function, verify_peer refuses whatever is wrong, and verify_none accepts it.
 */
#ifndef SLUICE_VERIFY_H
#define SLUICE_VERIFY_H

#include <stddef.h>
#include <stdint.h>

#include <sluice/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What can be wrong with a certificate of a path; sluice_bad_cert_name() names it. */
enum sluice_bad_cert {
	SLUICE_BAD_CERT_NONE,
	SLUICE_BAD_CERT_UNKNOWN_CA,      /* no trusted CA ends the path */
	SLUICE_BAD_CERT_SELFSIGNED_PEER, /* the peer's own certificate is all of it, not trusted */
	SLUICE_BAD_CERT_EXPIRED,
	SLUICE_BAD_CERT_NOT_YET,
	SLUICE_BAD_CERT_INVALID_ISSUER, /* the issuer is no CA */
	SLUICE_BAD_CERT_INVALID_SIGNATURE,
	SLUICE_BAD_CERT_NAME_NOT_PERMITTED, /* by a CA's name constraints */
	SLUICE_BAD_CERT_KEY_USAGE,          /* a CA's that may not sign certificates */
	SLUICE_BAD_CERT_EXT_KEY_USAGE,      /* not for TLS servers, or not for clients */
	SLUICE_BAD_CERT_MAX_PATH_LENGTH,    /* longer than a CA or option depth allows */
	SLUICE_BAD_CERT_CRITICAL_EXT,       /* nobody knows an extension that is critical */
	SLUICE_BAD_CERT_HOSTNAME,           /* it is not for this name */
	SLUICE_BAD_CERT_REVOKED,
	SLUICE_BAD_CERT_WEAK_KEY,
	SLUICE_BAD_CERT_WEAK_SIGNATURE,
	SLUICE_BAD_CERT_OTHER,                   /* x509_error tells */
	SLUICE_BAD_CERT_MALFORMED,               /* it cannot be parsed: nobody is asked */
	SLUICE_BAD_CERT_NOT_CHECKED,             /* a check could not be made: nobody is asked */
	SLUICE_BAD_CERT_APPLICATION,             /* verify_fun says so, for a reason of its own */
	SLUICE_BAD_CERT_REVOCATION_UNDETERMINED, /* option crl_check: no CRL tells */
	SLUICE_BAD_CERT_DENIED,    /* somebody who was asked about the peer does not want it */
	SLUICE_BAD_CERT_UNDECIDED, /* somebody who was to be asked gave no answer */
	SLUICE_BAD_CERT_OCSP_MISSING, /* nothing is stapled, which option ocsp or the certificate wants */
	SLUICE_BAD_CERT_OCSP_INVALID, /* what is stapled is malformed, about another, or not signed */
	SLUICE_BAD_CERT_OCSP_STALE,   /* what is stapled is out of date, or not valid yet */
	SLUICE_BAD_CERT_OCSP_UNKNOWN, /* the OCSP responder does not know the certificate */
	SLUICE_BAD_CERTS
};

/* sluice_bad_cert_name() returns a reason's name, "unknown_ca"; static storage. */
const char *sluice_bad_cert_name(int reason);

enum sluice_verify_event_type {
	SLUICE_EVT_BAD_CERT,   /* something is wrong: reason, x509_error */
	SLUICE_EVT_EXTENSION,  /* one that the library does not evaluate: oid, critical, value */
	SLUICE_EVT_VALID,      /* a CA's certificate is valid, or what was wrong was accepted */
	SLUICE_EVT_VALID_PEER, /* the same of the peer's own; the last event */
};

/* struct sluice_verify_event - what verify_fun is told; everything is the library's, for the call. */
struct sluice_verify_event {
	int type;            /* enum sluice_verify_event_type */
	int reason;          /* enum sluice_bad_cert */
	int x509_error;      /* X509_V_ERR_* of BoringSSL, or 0 */
	int crl_reason;      /* SLUICE_BAD_CERT_REVOKED: CRLReason (RFC 5280, 5.3.1); 0: none */
	unsigned int index;  /* in the path; 0: the peer's own certificate */
	const uint8_t *cert; /* DER */
	size_t cert_len;
	const char *oid; /* of the extension, "2.5.29.31" */
	int critical;
	const uint8_t *value; /* of the extension, DER */
	size_t value_len;
};

/* What verify_fun answers. */
enum sluice_verify_ret {
	SLUICE_VRET_VALID,   /* go on */
	SLUICE_VRET_FAIL,    /* end the handshake */
	SLUICE_VRET_UNKNOWN, /* of an extension: not known here either; fails if it is critical */
	SLUICE_VRET_LATER,   /* sluice_verify_continue() will answer */
};

/*
 * sluice_verify_fun - asked about each event. *@state begins as given with the option, for each handshake
 * anew, and is what the call before has left. *@reason comes as the event's (APPLICATION where it has
 * none) and goes into the error and the alert of a FAIL. UNKNOWN of a BAD_CERT is FAIL, of a VALID and
 * VALID_PEER it is VALID. Of the trust anchor, extensions do not count and are not told (RFC 5280, 6.1.1).
 * sluice_hello() and sluice_conn_info() are the calls that it may make on @conn.
 */
typedef int (*sluice_verify_fun)(struct sluice_conn *conn, const struct sluice_verify_event *event,
				 void **state, int *reason);

/*
 * sluice_options_set_verify_fun() sets option verify_fun. It is in force whatever option verify says; a
 * server asks for certificates only with verify_peer. A session resumes only under the same function and
 * @state, in the same process. Whoever shares the profile among threads has @fun called by all of them.
 * Errors: INVALID.
 */
int sluice_options_set_verify_fun(struct sluice_options *opts, sluice_verify_fun fun, void *state,
				  struct sluice_error *ret_err);

/* struct sluice_der - one certificate, DER. */
struct sluice_der {
	const uint8_t *data;
	size_t len;
};

/* What partial_chain_fun answers. */
enum sluice_partial_chain_ret {
	SLUICE_UNKNOWN_CA, /* what the options say is trusted, and nothing else */
	SLUICE_TRUSTED_CA, /* *@ret_trusted is, and nothing else */
};

/*
 * sluice_partial_chain_fun - asked, before the peer's @n @certs (its own first) are judged, whether one of them is
 * trusted, such as an intermediate's. Path validation ends there then: that certificate's own signature proves
 * nothing, its dates and constraints count. *@ret_trusted is one of @certs, or the same bytes elsewhere, until
 * the function is called again; what the peer has not sent refuses the peer with unknown_ca. @certs is valid
 * for the call; the bytes of one may be anything. sluice_hello() and sluice_conn_info() are the calls that
 * it may make on @conn.
 */
typedef int (*sluice_partial_chain_fun)(struct sluice_conn *conn, const struct sluice_der *certs,
					size_t n, void *state, struct sluice_der *ret_trusted);

/*
 * sluice_options_set_partial_chain() sets that function; @state must outlive the connections. A session resumes
 * only under the same function and @state, in the same process. Errors: INVALID.
 */
int sluice_options_set_partial_chain(struct sluice_options *opts, sluice_partial_chain_fun fun,
				     void *state, struct sluice_error *ret_err);

/*
 * sluice_verify_continue() is the answer after SLUICE_VRET_LATER, for which the handshake returned
 * SLUICE_PAUSED: VALID, FAIL with @reason (0: the event's), or UNKNOWN; and goes on with the handshake. It
 * has to come within option verify_timeout, which stands still for no one: the handshake's own time budget
 * does meanwhile. Errors: STATE, INVALID, and those of sluice_handshake().
 */
int sluice_verify_continue(struct sluice_conn *conn, enum sluice_verify_ret answer, int reason,
			   int timeout_ms);

#ifdef __cplusplus
}
#endif
#endif
