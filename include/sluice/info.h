/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be known: the capabilities of this machine, versions, and the facts of one connection.
 * Structures that cross the boundary are passed with their size: the library fills the part that
 * both sides know and zeroes the rest.
 */
#ifndef SLUICE_INFO_H
#define SLUICE_INFO_H

#include <sluice/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct sluice;
struct sluice_conn;

/* Who runs the AEAD of one direction. */
enum sluice_path {
	SLUICE_PATH_NONE,   /* no keys yet */
	SLUICE_PATH_KERNEL, /* the socket's kernel TLS */
	SLUICE_PATH_USER,   /* this library, over EVP_AEAD */
};

/* Why a direction is not on the kernel path. Every connection that is not has a reason. */
enum sluice_path_reason {
	SLUICE_REASON_NONE,            /* it is on the kernel path, or has no keys yet */
	SLUICE_REASON_OPTION,          /* record_path = user */
	SLUICE_REASON_NO_KTLS,         /* this kernel has no TLS, or its module is not loaded */
	SLUICE_REASON_SUITE,           /* the kernel does not take this suite */
	SLUICE_REASON_NOT_ESTABLISHED, /* the peer closed before the ULP could be attached */
	SLUICE_REASON_ULP_TAKEN,       /* the socket carries another upper layer protocol */
	SLUICE_REASON_SOCKET,          /* not a TCP socket */
	SLUICE_REASON_NOMEM,           /* the kernel had no memory for the keys */
	SLUICE_REASON_REFUSED,         /* the kernel refused the keys; errno in the error */
	SLUICE_REASON_REKEY,           /* it cannot change keys; rekey_unsupported = user_path */
	SLUICE_REASONS
};

/* sluice_path_name() and sluice_path_reason_name(): one word, as in lists and JSON. */
const char *sluice_path_name(int path);
const char *sluice_path_reason_name(int reason);

/* sluice_path_reason_text(): one sentence with what to do about it. */
const char *sluice_path_reason_text(int reason);

/* Whether an option of the kernel's TLS is in force on a connection, or why not. */
enum sluice_ktls_use {
	SLUICE_KTLS_NOT_ASKED, /* the option is off */
	SLUICE_KTLS_IN_FORCE,  /* the socket has it */
	SLUICE_KTLS_USER_PATH, /* this direction is not on the kernel path */
	SLUICE_KTLS_VERSION,   /* it is for TLS 1.3 only */
	SLUICE_KTLS_MISSING,   /* this kernel does not have it */
	SLUICE_KTLS_REFUSED,   /* the kernel has it and refused */
	SLUICE_KTLS_USES
};

/* sluice_ktls_use_name() returns one word, as in JSON; static storage. */
const char *sluice_ktls_use_name(int use);

#define SLUICE_MAX_SUITES 24

/* What the start-up probe found for one suite. The errno values are positive, 0 means it works. */
struct sluice_suite_caps {
	uint16_t id;         /* IANA number */
	uint16_t version;    /* 0x0303 or 0x0304 */
	const char *name;    /* IANA name; static storage */
	int kernel_tx_errno; /* EOPNOTSUPP: the kernel's interface has no such cipher */
	int kernel_rx_errno;
};

/* struct sluice_capabilities - what this kernel and this BoringSSL can do, found by probing. */
struct sluice_capabilities {
	int ktls_errno;     /* of attaching the ULP; 0: there is kernel TLS */
	int rekey_tx_errno; /* of a second TLS_TX under TLS 1.3 */
	int rekey_rx_errno;
	int no_pad_errno;      /* of TLS_RX_EXPECT_NO_PAD */
	int max_payload_errno; /* of TLS_TX_MAX_PAYLOAD_LEN */
	int zerocopy_errno;    /* of TLS_TX_ZEROCOPY_RO */
	int memlock_errno;     /* of locking a page for secrets */
	int mlkem;             /* 1: BoringSSL offers X25519MLKEM768 */
	int n_suites;
	struct sluice_suite_caps suites[SLUICE_MAX_SUITES];
};

#define SLUICE_VERSION_TLS12 1u
#define SLUICE_VERSION_TLS13 2u

struct sluice_versions {
	char sluice[16];        /* of this library */
	char boringssl[64];     /* as the library names itself */
	char kernel[64];        /* uname -r; for reading, never for deciding */
	unsigned int supported; /* SLUICE_VERSION_*: on by default */
	unsigned int available; /* SLUICE_VERSION_*: can be switched on */
};

/* Why the keys of our sending direction were changed. */
enum sluice_rekey_cause {
	SLUICE_REKEY_CALL,    /* sluice_update_keys() */
	SLUICE_REKEY_BYTES,   /* key_update_at */
	SLUICE_REKEY_RECORDS, /* key_update_records */
	SLUICE_REKEY_PEER,    /* the peer asked for it */
	SLUICE_REKEY_CAUSES
};

/* One direction of a connection. */
struct sluice_direction {
	int path;         /* enum sluice_path */
	int reason;       /* enum sluice_path_reason */
	uint64_t epoch;   /* 0 until the first KeyUpdate */
	uint64_t records; /* records of this epoch; the kernel path's sent ones: estimated */
	uint64_t bytes;   /* application bytes */
};

/* What a server has stapled to its certificate (option ocsp). */
enum sluice_ocsp {
	SLUICE_OCSP_NOT_ASKED,
	SLUICE_OCSP_NONE, /* nothing */
	SLUICE_OCSP_GOOD, /* an OCSP response by which it is not revoked */
	SLUICE_OCSP_BAD,  /* one that verify_fun let pass, or that nobody could check */
	SLUICE_OCSP_KEPT, /* the session is resumed: one that was accepted when it was made */
	SLUICE_OCSPS
};

/* sluice_ocsp_name() returns one word, as in JSON; static storage. */
const char *sluice_ocsp_name(int ocsp);

/* BoringSSL cannot send signature_algs_cert: the server has not been told of it, but is held to it. */
#define SLUICE_W_NOT_SENT 1u

/* struct sluice_conn_info - one connection; see sluice_conn_info(). */
struct sluice_conn_info {
	uint64_t id;        /* unique in this process */
	int role;           /* enum sluice_role */
	int stage;          /* enum sluice_stage */
	uint16_t version;   /* 0x0303, 0x0304; 0 before the handshake */
	uint16_t suite;     /* IANA number */
	uint16_t group;     /* IANA number; 0: none (PSK, RSA) */
	uint16_t signature; /* IANA number of the peer's signature; 0: none */
	int resumed;
	int hello_retried; /* 1: a HelloRetryRequest was needed (TLS 1.3) */
	int peer_verified; /* 1: path validation was asked for and passed */
	uint64_t tickets;  /* session tickets received (client) */
	uint64_t alerts_sent, alerts_received;
	struct sluice_direction tx, rx;
	int can_rekey;                        /* 1: keys can change while it lives */
	uint64_t rekeys[SLUICE_REKEY_CAUSES]; /* of our sending direction */
	uint64_t key_updates_received, renegotiations_refused;
	uint64_t warnings_received, empty_records_received;
	uint32_t handshake_us; /* first byte to keys installed */
	uint32_t handshake_bytes_in, handshake_bytes_out;
	char version_name[8]; /* "TLSv1.3" */
	char suite_name[48];  /* IANA name */
	char group_name[24];
	char sni[256];
	char alpn[256];
	char peer_identity[256]; /* by peer_identity and allow_peers; "": none */
	int bad_cert; /* enum sluice_bad_cert (verify.h) that verify_fun accepted first; 0: none */
	int x509_error;     /* X509_V_ERR_* of it, or 0 */
	uint64_t bad_certs; /* all that was accepted: bits 1 << enum sluice_bad_cert */
	char attributes
		[256]; /* what a decision service says of the peer, in its own words; "": nothing */
	int ocsp;      /* enum sluice_ocsp: what the server has stapled */
	unsigned int warnings; /* SLUICE_W_*: what the options ask for and the connection lacks */
	/*
	 * Options of the kernel's TLS, enum sluice_ktls_use. Records are as small on the user path and without
	 * tx_max_payload_len in the kernel too; on the kernel path without it each costs a system call. Not
	 * known of a connection that was handed over.
	 */
	int tx_max_payload_len, tx_zerocopy_ro, rx_expect_no_pad;
	unsigned int tx_max_payload; /* bytes of plaintext in a record of ours now, at most */
};

/*
 * struct sluice_hello - the peer's hello as it stood on the wire: in its order, with the values
 * that nobody knows and those that only grease (RFC 8701). What was not sent is NULL; what was sent
 * empty is not NULL and has length 0. Everything lives as long as the connection.
 */
struct sluice_hello {
	uint16_t legacy_version;
	const char *sni; /* client's only */
	const uint8_t
		*alpn; /* names, each after its length in one byte; from a server: its choice */
	size_t alpn_len;
	const uint16_t *groups; /* client's list; from a server: the one of its key share */
	size_t n_groups;
	const uint16_t *signature_algs; /* client's only */
	size_t n_signature_algs;
	const uint16_t *suites; /* client's list; from a server: its choice */
	size_t n_suites;
	const uint16_t *versions; /* supported_versions; from a server: its choice */
	size_t n_versions;
	const uint8_t *ec_point_formats;
	size_t ec_point_formats_len;
	const uint8_t *renegotiation_info; /* RFC 5746: empty in a first handshake */
	size_t renegotiation_info_len;
	const uint8_t *srp; /* RFC 5054, the extension's body; client's only */
	size_t srp_len;
	const uint8_t *next_protocol; /* NPN, the extension's body */
	size_t next_protocol_len;
};

#ifdef __cplusplus
}
#endif
#endif
