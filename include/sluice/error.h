/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors of libsluice. Every function that can fail returns 0 or a count on success and a negative
 * `-SLUICE_E_*` on failure; nothing else is negative. The numbers are stable. Programs switch on
 * the kind (sluice_error_kind()), people read the text.
 */
#ifndef SLUICE_ERROR_H
#define SLUICE_ERROR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sluice_errno {
	SLUICE_OK = 0,

	/* Nothing is wrong with the connection. */
	SLUICE_E_AGAIN = 1,   /* would block: wait for sluice_conn_events() */
	SLUICE_E_TIMEOUT = 2, /* the call's time-out passed; nothing was lost */

	/* The transport. */
	SLUICE_E_CLOSED = 10,    /* closed: close_notify seen, or closed by us */
	SLUICE_E_TRUNCATED = 11, /* the transport ended without close_notify */
	SLUICE_E_RESET = 12,     /* connection reset */
	SLUICE_E_CONNECT = 13,   /* TCP connect failed; errno tells why */
	SLUICE_E_RESOLVE = 14,   /* the host name has no address */
	SLUICE_E_IO = 15,        /* another system error; errno tells */

	/* The peer. */
	SLUICE_E_ALERT = 20,               /* the peer sent a fatal alert */
	SLUICE_E_PROTOCOL = 21,            /* the peer broke the protocol */
	SLUICE_E_BAD_RECORD_MAC = 22,      /* a record did not decrypt */
	SLUICE_E_RECORD_OVERFLOW = 23,     /* a record was longer than the protocol allows */
	SLUICE_E_NOT_TLS = 24,             /* the first bytes are not a TLS record */
	SLUICE_E_HTTP_REQUEST = 25,        /* a plain HTTP request on a TLS port */
	SLUICE_E_NO_SHARED = 26,           /* no version, suite, group or protocol in common */
	SLUICE_E_HANDSHAKE = 27,           /* the handshake failed for another reason */
	SLUICE_E_HANDSHAKE_TIMEOUT = 28,   /* the handshake's or a stage's time budget passed */
	SLUICE_E_HANDSHAKE_TOO_LARGE = 29, /* more handshake bytes than max_handshake_size */

	/* Certificates of the peer. */
	SLUICE_E_VERIFY = 40,       /* path validation failed; x509_error tells why */
	SLUICE_E_HOSTNAME = 41,     /* the certificate is not for this name */
	SLUICE_E_NO_PEERCERT = 42,  /* the peer sent no certificate */
	SLUICE_E_PEER_REFUSED = 43, /* its identity is not one that may connect */

	/* Options, found when a profile is built. */
	SLUICE_E_OPTION = 50,           /* the value does not suit the option */
	SLUICE_E_OPTION_UNKNOWN = 51,   /* no such option */
	SLUICE_E_OPTION_RANGE = 52,     /* a number out of range */
	SLUICE_E_OPTION_CONFLICT = 53,  /* two options contradict each other */
	SLUICE_E_OPTION_ROLE = 54,      /* not an option of this role */
	SLUICE_E_OPTION_TOO_LATE = 55,  /* the handshake has used this option already */
	SLUICE_E_OPTION_MALFORMED = 56, /* not of the form `name = value` */
	SLUICE_E_FILE = 57,             /* a file cannot be read; errno tells why */
	SLUICE_E_CERT_PARSE = 58,       /* not a certificate */
	SLUICE_E_KEY_PARSE = 59,        /* not a private key */
	SLUICE_E_KEY_PASSWORD = 60,     /* the key is encrypted: password missing or wrong */
	SLUICE_E_KEY_MISMATCH = 61,     /* key and certificate do not belong together */
	SLUICE_E_CERT_EXPIRED = 62,     /* the certificate's notAfter has passed */
	SLUICE_E_CERT_NOT_YET = 63,     /* the certificate's notBefore lies ahead */
	SLUICE_E_NO_CERT = 64,          /* a server profile without certificate */
	SLUICE_E_CRL_PARSE = 65,        /* not a CRL */
	SLUICE_E_OCSP = 68,             /* not an OCSP response, or none that can be stapled */

	/* Use of the API. */
	SLUICE_E_INVALID = 70,                 /* an argument makes no sense */
	SLUICE_E_STATE = 71,                   /* not allowed in the connection's present state */
	SLUICE_E_NOT_ESTABLISHED = 72,         /* the handshake is not complete */
	SLUICE_E_PROTOCOL_NOT_NEGOTIATED = 73, /* no ALPN protocol was negotiated */
	SLUICE_E_UNDEFINED = 74,               /* the item does not exist on this connection */
	SLUICE_E_POLICY = 75,                  /* refused by policy */

	/* This machine. */
	SLUICE_E_NOMEM = 80,       /* out of memory */
	SLUICE_E_NOFILE = 81,      /* out of file descriptors */
	SLUICE_E_MISSING_DEP = 82, /* something the call needs is not there */
	SLUICE_E_ABI = 83,         /* header and library do not fit together */
	SLUICE_E_KTLS_UNAVAILABLE =
		84, /* record_path = kernel, and the kernel path cannot be taken */
	SLUICE_E_KTLS_INSTALL =
		85,          /* the kernel took one direction's keys and refused the other's */
	SLUICE_E_REKEY = 86, /* a new epoch could not be installed */
	SLUICE_E_KEY_EXHAUSTED = 87, /* the key has sealed all it may, and cannot change */
	SLUICE_E_BUSY = 88,          /* too much waits to be done already */

	/* Refused by name: what BoringSSL or this project does not do. */
	SLUICE_E_UNSUPPORTED = 100,
	SLUICE_E_UNSUPPORTED_VERSION = 101,
	SLUICE_E_UNSUPPORTED_SSLV3 = 102,
	SLUICE_E_UNSUPPORTED_SUITE = 103,
	SLUICE_E_UNSUPPORTED_GROUP = 104,
	SLUICE_E_UNSUPPORTED_SIGALG = 105,
	SLUICE_E_UNSUPPORTED_KEY_TYPE = 106,
	SLUICE_E_UNSUPPORTED_RENEGOTIATION = 107,
	SLUICE_E_UNSAFE_REFUSED = 108, /* an option that would make connections unsafe */

	SLUICE_E_INTERNAL = 127, /* our bug */
};

/* What a program does about an error; every code has one kind. The list is closed. */
enum sluice_kind {
	SLUICE_KIND_OK,
	SLUICE_KIND_WAIT,        /* try again when there is something to do */
	SLUICE_KIND_IO,          /* the network or a file */
	SLUICE_KIND_CLOSED,      /* the connection is over */
	SLUICE_KIND_ALERT,       /* the peer refused */
	SLUICE_KIND_PROTO,       /* the peer is wrong */
	SLUICE_KIND_VERIFY,      /* the peer's certificate is not acceptable */
	SLUICE_KIND_CONFIG,      /* the options are wrong */
	SLUICE_KIND_USAGE,       /* the call is wrong */
	SLUICE_KIND_LIMIT,       /* a resource of this machine ran out */
	SLUICE_KIND_KERNEL,      /* the kernel cannot or would not */
	SLUICE_KIND_UNSUPPORTED, /* refused by name */
	SLUICE_KIND_INTERNAL,    /* our bug */
};

/*
 * Alert descriptions: RFC 8446, 6; RFC 5246, 7.2; RFC 6066, 9; RFC 9846, 6. Those received only are
 * obsolete: nobody may send them any more.
 */
enum sluice_alert {
	SLUICE_ALERT_CLOSE_NOTIFY = 0,
	SLUICE_ALERT_UNEXPECTED_MESSAGE = 10,
	SLUICE_ALERT_BAD_RECORD_MAC = 20,
	SLUICE_ALERT_DECRYPTION_FAILED = 21, /* received only */
	SLUICE_ALERT_RECORD_OVERFLOW = 22,
	SLUICE_ALERT_DECOMPRESSION_FAILURE = 30, /* received only */
	SLUICE_ALERT_HANDSHAKE_FAILURE = 40,
	SLUICE_ALERT_NO_CERTIFICATE = 41, /* received only */
	SLUICE_ALERT_BAD_CERTIFICATE = 42,
	SLUICE_ALERT_UNSUPPORTED_CERTIFICATE = 43,
	SLUICE_ALERT_CERTIFICATE_REVOKED = 44,
	SLUICE_ALERT_CERTIFICATE_EXPIRED = 45,
	SLUICE_ALERT_CERTIFICATE_UNKNOWN = 46,
	SLUICE_ALERT_ILLEGAL_PARAMETER = 47,
	SLUICE_ALERT_UNKNOWN_CA = 48,
	SLUICE_ALERT_ACCESS_DENIED = 49,
	SLUICE_ALERT_DECODE_ERROR = 50,
	SLUICE_ALERT_DECRYPT_ERROR = 51,
	SLUICE_ALERT_EXPORT_RESTRICTION = 60, /* received only */
	SLUICE_ALERT_PROTOCOL_VERSION = 70,
	SLUICE_ALERT_INSUFFICIENT_SECURITY = 71,
	SLUICE_ALERT_INTERNAL_ERROR = 80,
	SLUICE_ALERT_INAPPROPRIATE_FALLBACK = 86,
	SLUICE_ALERT_USER_CANCELED = 90,
	SLUICE_ALERT_NO_RENEGOTIATION = 100,
	SLUICE_ALERT_MISSING_EXTENSION = 109,
	SLUICE_ALERT_UNSUPPORTED_EXTENSION = 110,
	SLUICE_ALERT_CERTIFICATE_UNOBTAINABLE = 111, /* received only */
	SLUICE_ALERT_UNRECOGNIZED_NAME = 112,
	SLUICE_ALERT_BAD_CERTIFICATE_STATUS_RESPONSE = 113,
	SLUICE_ALERT_BAD_CERTIFICATE_HASH_VALUE = 114, /* received only */
	SLUICE_ALERT_UNKNOWN_PSK_IDENTITY = 115,
	SLUICE_ALERT_CERTIFICATE_REQUIRED = 116,
	SLUICE_ALERT_GENERAL_ERROR = 117,
	SLUICE_ALERT_NO_APPLICATION_PROTOCOL = 120,
	SLUICE_ALERT_ECH_REQUIRED = 121,
};

/* The stages of a connection, in order. The names are in sluice_stage_name(). */
enum sluice_stage {
	SLUICE_STAGE_NONE,
	SLUICE_STAGE_TCP,
	SLUICE_STAGE_HELLO,
	SLUICE_STAGE_POLICY,
	SLUICE_STAGE_HANDSHAKE,
	SLUICE_STAGE_VERIFY,
	SLUICE_STAGE_EXPORT,
	SLUICE_STAGE_INSTALL,
	SLUICE_STAGE_LIVE,
	SLUICE_STAGES
};

/*
 * struct sluice_error - why something failed, copied out so that it outlives the object.
 * @alert is -1 when no alert is involved. @text is for people and may change; it never holds
 * secrets.
 */
struct sluice_error {
	int code;            /* enum sluice_errno, positive */
	int kind;            /* enum sluice_kind */
	int stage;           /* enum sluice_stage */
	int alert;           /* alert description (RFC 8446, 6), or -1 */
	int alert_sent;      /* 1: sent by us; 0: received, or none */
	int sys_errno;       /* errno, or 0 */
	int x509_error;      /* X509_V_ERR_* of BoringSSL, or 0 */
	int bad_cert;        /* enum sluice_bad_cert (verify.h), or 0 */
	int crl_reason;      /* of a revoked certificate: CRLReason (RFC 5280, 5.3.1); 0: none */
	uint32_t bssl_error; /* packed BoringSSL error, or 0 */
	char text[200];
};

/*
 * sluice_strerror() returns one sentence for @code, which may be given as returned (negative) or
 * positive. Never NULL; static storage.
 */
const char *sluice_strerror(int code);

/* sluice_error_name() returns the code's name, "SLUICE_E_TIMEOUT"; static storage. */
const char *sluice_error_name(int code);

/* sluice_error_kind() returns the kind of @code. */
enum sluice_kind sluice_error_kind(int code);

/* sluice_alert_name() returns the name of RFC 8446, 6 for an alert description, or "unknown". */
const char *sluice_alert_name(int alert);

/* sluice_stage_name() returns a stage's name as in logs and statistics. */
const char *sluice_stage_name(int stage);

/*
 * sluice_format_error() writes everything @err knows into @buf as one line, NUL-terminated and cut
 * at @buf_len. Returns the length written without the NUL.
 */
int sluice_format_error(const struct sluice_error *err, char *buf, size_t buf_len);

#ifdef __cplusplus
}
#endif
#endif
