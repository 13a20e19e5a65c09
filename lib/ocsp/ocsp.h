/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OCSP (RFC 6960, the profile of RFC 5019): responses parsed and held against a certificate, requests
 * made. Knows neither options nor connections; nothing here goes to the network.
 */
#ifndef SLUICE_OCSP_OCSP_H
#define SLUICE_OCSP_OCSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/bytestring.h>
#include <openssl/x509.h>

#include <sluice/error.h>

/*
 * The most bytes of a response. A staple is about one certificate and has about 500 bytes, or 3000 with the
 * certificates of a delegate.
 */
#define OCSP_MAX_DER 65535

#define OCSP_TOLERANCE_S 300 /* that clocks may differ by */

/*
 * Where nextUpdate is missing, newer information is available all the time (RFC 6960, 4.2.2.1), and a
 * response counts for a day from thisUpdate.
 */
#define OCSP_MAX_AGE_S (24 * 60 * 60)

/* --- responses as they stand (response.c) ------------------------------------------------------- */

/* CertStatus, by its tags. */
enum ocsp_status {
	OCSP_STATUS_GOOD,
	OCSP_STATUS_REVOKED,
	OCSP_STATUS_UNKNOWN,
};

/* struct ocsp_single - what is said of one certificate; all CBS point into the response. */
struct ocsp_single {
	CBS hash; /* OID */
	CBS name_hash, key_hash, serial;
	enum ocsp_status status;
	int64_t this_update_s, next_update_s; /* seconds of the epoch; -1: no next update */
	int64_t revoked_s;                    /* revoked: since when */
	int crl_reason;                       /* revoked: CRLReason; -1: none stated */
	bool unsupported;                     /* it has an unknown critical extension */
};

/* struct ocsp_response - a response; all CBS point into it. */
struct ocsp_response {
	unsigned int status;      /* OCSPResponseStatus; 0: there is the rest */
	CBS tbs;                  /* what is signed, with its tag and length */
	CBS name, key_hash;       /* of the responder: one of the two; the other is empty */
	int64_t produced_s;       /* when it was signed */
	CBS singles;              /* at least one, each for ocsp_single_get() */
	CBS algorithm, signature; /* AlgorithmIdentifier, BIT STRING; with tag and length, too */
	CBS certs;                /* certificates, one after the other; may be empty */
	bool unsupported;         /* it has an unknown critical extension */
};

/*
 * ocsp_parse() parses a response, all singles of it too: what it has accepted is well-formed to its end.
 * Nothing is allocated; @der must outlive *@ret_response.
 */
bool ocsp_parse(struct ocsp_response *ret_response, const uint8_t *der, size_t len);

/* ocsp_single_get() takes the next one off @singles. False: there is none, or it is malformed. */
bool ocsp_single_get(CBS *singles, struct ocsp_single *ret_single);

/* --- which certificate (certid.c) --------------------------------------------------------------- */

/*
 * ocsp_is_about() tells whether @single is about @cert, which @issuer has issued, by the SHA-1 or SHA-256 of
 * the issuer's name and key, and the serial number. @issuer NULL: by the serial number alone.
 */
bool ocsp_is_about(const struct ocsp_single *single, X509 *cert, X509 *issuer);

/*
 * ocsp_request_make() makes a request for the status of @cert, in DER: one CertID by SHA-1, which every
 * responder knows (RFC 5019, 2.1.1), no nonce, so that the answer may come from a cache. OPENSSL_free()
 * *@ret_der. Errors: NOMEM.
 */
int ocsp_request_make(X509 *cert, X509 *issuer, uint8_t **ret_der, size_t *ret_len);

/*
 * ocsp_responder_url() copies the first http URL of a responder that authorityInfoAccess names (RFC 6960,
 * 3.1). False: there is none, or it does not fit.
 */
bool ocsp_responder_url(X509 *cert, char *ret_url, size_t size);

/*
 * ocsp_must_staple() tells whether @cert wants its server to staple: TLS feature status_request (RFC 7633).
 * An extension that is malformed may have meant it, and does.
 */
bool ocsp_must_staple(const X509 *cert);

/* --- what a response proves (check.c) ----------------------------------------------------------- */

enum ocsp_result {
	OCSP_GOOD,
	OCSP_REVOKED,
	OCSP_UNKNOWN,      /* the responder does not know the certificate */
	OCSP_UNSUCCESSFUL, /* an answer without a status: tryLater and the like */
	OCSP_MALFORMED,
	OCSP_UNSUPPORTED, /* an unknown critical extension */
	OCSP_OTHER,       /* not about this certificate */
	OCSP_UNTRUSTED,   /* not signed by who may */
	OCSP_STALE,
	OCSP_FUTURE,
	OCSP_RESULTS
};

/* ocsp_result_name() returns a result's name, "good"; static storage. */
const char *ocsp_result_name(enum ocsp_result result);

/* struct ocsp_verdict - what came of it; times as in struct ocsp_single, 0 where none was read. */
struct ocsp_verdict {
	enum ocsp_result result;
	const char *reason; /* what is wrong; static; NULL: good */
	bool is_signed;     /* by who may; the rest is as it says */
	int crl_reason;     /* revoked: CRLReason; -1: none stated */
	int64_t revoked_s, produced_s, this_update_s, next_update_s;
};

/*
 * ocsp_check() holds a response against @cert and its @issuer at the time @now_s: it must be signed by the
 * issuer's key, or by a certificate in it that the issuer has issued for id-kp-OCSPSigning and that is valid
 * now. That the issuer may be believed is for the caller to have found out. Who is revoked is so whatever the
 * age of the response.
 */
void ocsp_check(struct ocsp_verdict *ret_verdict, const uint8_t *der, size_t len, X509 *cert,
		X509 *issuer, int64_t now_s);

/*
 * ocsp_check_unsigned() does the same without asking who has signed it, by the serial number of @cert alone:
 * for whoever has the response from a file of its own, and not the issuer's certificate.
 */
void ocsp_check_unsigned(struct ocsp_verdict *ret_verdict, const uint8_t *der, size_t len,
			 X509 *cert, int64_t now_s);

/* --- files (file.c) ----------------------------------------------------------------------------- */

/*
 * ocsp_read() gives the response of a text: DER, or PEM of type "OCSP RESPONSE". It is not parsed. @what
 * names the text in errors. Errors: OCSP, NOMEM.
 */
int ocsp_read(CRYPTO_BUFFER **ret_der, const void *data, size_t len, const char *what,
	      struct sluice_error *ret_err);

/* ocsp_read_file() does the same with the file of @option. Errors: also FILE, NOFILE. */
int ocsp_read_file(CRYPTO_BUFFER **ret_der, const char *option, const char *path,
		   struct sluice_error *ret_err);

#endif
