/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and profiles. An option set is a builder: set what differs from the defaults, build a
 * profile from it, free it. A profile is immutable and reference counted; building it loads and
 * checks everything, so that nothing is found out at the first handshake. The same table of options
 * feeds the setters, configuration files, `sluice options` and the manual.
 */
#ifndef SLUICE_OPTIONS_H
#define SLUICE_OPTIONS_H

#include <sluice/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum sluice_role {
	SLUICE_CLIENT = 1,
	SLUICE_SERVER = 2,
};

/* The options. sluice_option_info() tells name, type, default, range and effect of each. */
enum sluice_option {
	SLUICE_OPT_CERT, /* DER certificate; repeat for the chain */
	SLUICE_OPT_CERTFILE,
	SLUICE_OPT_KEY, /* DER private key */
	SLUICE_OPT_KEYFILE,
	SLUICE_OPT_PASSWORD,
	SLUICE_OPT_CACERTS, /* DER trust anchor; repeat for more */
	SLUICE_OPT_CACERTFILE,
	SLUICE_OPT_VERIFY,
	SLUICE_OPT_FAIL_IF_NO_PEER_CERT,
	SLUICE_OPT_DEPTH,
	SLUICE_OPT_SERVER_NAME_INDICATION,
	SLUICE_OPT_VERSIONS,
	SLUICE_OPT_CIPHERS,
	SLUICE_OPT_SUPPORTED_GROUPS,
	SLUICE_OPT_SIGNATURE_ALGS,
	SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS,
	SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS,
	SLUICE_OPT_HONOR_CIPHER_ORDER,
	SLUICE_OPT_SESSION_TICKETS,
	SLUICE_OPT_TICKET_COUNT,
	SLUICE_OPT_RECORD_PATH,
	SLUICE_OPT_REKEY_UNSUPPORTED,
	SLUICE_OPT_KEY_UPDATE_AT,
	SLUICE_OPT_KEY_UPDATE_RECORDS,
	SLUICE_OPT_SECURE_RENEGOTIATE,
	SLUICE_OPT_LIMIT_KEY_UPDATES,
	SLUICE_OPT_LIMIT_CONTROL_RECORDS,
	SLUICE_OPT_HANDSHAKE,
	SLUICE_OPT_HANDSHAKE_TIMEOUT,
	SLUICE_OPT_MAX_HANDSHAKE_SIZE,
	SLUICE_OPT_ALERT_TIMEOUT,
	SLUICE_OPT_EXPORTER, /* BOOL, default false; server: keep what exporters need */
	SLUICE_OPT_CUSTOMIZE_HOSTNAME_CHECK,
	SLUICE_OPT_PEER_IDENTITY,
	SLUICE_OPT_ALLOW_PEERS,
	SLUICE_OPT_DENY_PEERS,
	SLUICE_OPT_CRL_CHECK,
	SLUICE_OPT_CRL_CACHE, /* see crl.h */
	SLUICE_OPT_SNI_HOSTS,
	SLUICE_OPT_SNI_FUN,
	SLUICE_OPT_VERIFY_FUN, /* verify.h */
	SLUICE_OPT_VERIFY_TIMEOUT,
	SLUICE_OPT_CERTS_KEYS,
	SLUICE_OPT_CLIENT_CERT_CB,
	SLUICE_OPT_OCSP,
	SLUICE_OPT_OCSP_FILE,
	SLUICE_OPT_OCSP_RESPONSE, /* DER OCSP response, to be stapled */
	SLUICE_OPT_PARTIAL_CHAIN,
	SLUICE_OPT_PARTIAL_CHAIN_FUN, /* verify.h */
	SLUICE_OPT_SIGNATURE_ALGS_CERT,
	SLUICE_OPT_TX_MAX_PAYLOAD_LEN,
	SLUICE_OPT_DYNAMIC_RECORD_SIZE,
	SLUICE_OPT_TX_ZEROCOPY_RO,
	SLUICE_OPT_RX_EXPECT_NO_PAD,
	SLUICE_OPT_HIBERNATE_AFTER,
	SLUICE_OPTIONS
};

enum sluice_option_type {
	SLUICE_TYPE_BOOL,   /* true | false */
	SLUICE_TYPE_INT,    /* a whole number in [min, max] */
	SLUICE_TYPE_ENUM,   /* one of the words in values */
	SLUICE_TYPE_STRING, /* a text or a path */
	SLUICE_TYPE_LIST,   /* words separated by commas */
	SLUICE_TYPE_DATA,   /* bytes; only by sluice_options_set_data() */
	SLUICE_TYPE_SECRET, /* a text that is never printed */
	SLUICE_TYPE_TABLE,  /* option sets of a program; only by a setter of its own */
	SLUICE_TYPE_CALL,   /* a function of a program; only by a setter of its own */
};

/* struct sluice_option_info - one row of the option table; everything is static storage. */
struct sluice_option_info {
	int id;                 /* enum sluice_option */
	int type;               /* enum sluice_option_type */
	int roles;              /* SLUICE_CLIENT | SLUICE_SERVER */
	const char *name;       /* as in a configuration file */
	const char *def;        /* the default as text, or NULL for none */
	const char *values;     /* ENUM and LIST: the words; NULL: free */
	int64_t min, max;       /* INT: the range, both ends included */
	const char *help;       /* one line */
	const char *def_server; /* a server's default where it differs from def; else NULL */
};

struct sluice_options;
struct sluice_profile;
struct sluice_conn;

/* sluice_options_new() makes an empty option set: every option has its default. */
int sluice_options_new(struct sluice_options **ret_opts);

/* sluice_options_clone() copies a set. */
int sluice_options_clone(struct sluice_options **ret_opts, const struct sluice_options *opts);

/* sluice_options_free() wipes and frees a set. NULL is fine. Returns NULL. */
struct sluice_options *sluice_options_free(struct sluice_options *opts);

/*
 * sluice_options_set() sets an option from text, as in a configuration file. On failure @opts is
 * unchanged and *@ret_err (may be NULL) tells what the option takes.
 * Errors: OPTION, OPTION_RANGE, INVALID (no such id), NOMEM, UNSUPPORTED_*.
 */
int sluice_options_set(struct sluice_options *opts, enum sluice_option id, const char *value,
		       struct sluice_error *ret_err);

/* sluice_options_set_name() does the same by name. Errors: also OPTION_UNKNOWN, UNSUPPORTED. */
int sluice_options_set_name(struct sluice_options *opts, const char *name, const char *value,
			    struct sluice_error *ret_err);

/* sluice_options_set_int() sets a BOOL (0, 1) or INT option. */
int sluice_options_set_int(struct sluice_options *opts, enum sluice_option id, int64_t value,
			   struct sluice_error *ret_err);

/*
 * sluice_options_set_data() appends one DER object to a DATA option; the bytes are copied. A key is
 * parsed at once and replaces an earlier one. Errors: also KEY_PARSE.
 */
int sluice_options_set_data(struct sluice_options *opts, enum sluice_option id, const void *data,
			    size_t data_len, struct sluice_error *ret_err);

/*
 * sluice_options_add_cert_key() appends one of several own certificates to option certs_keys: @pair sets
 * cert or certfile, and where they need it key or keyfile and password, and nothing else; it is copied.
 * Shown is the first one that the peer can take: by the signature algorithms, suites, groups and version of
 * the handshake, for a client also by the authorities that the server names; first among those whose
 * chain is signed as the peer wants it. certs_keys overrides cert, certfile, key and keyfile; password is
 * that of keys which have none of their own.
 * Errors: OPTION (something else is set, or no certificate), OPTION_RANGE (more than 8), INVALID, NOMEM.
 */
int sluice_options_add_cert_key(struct sluice_options *opts, const struct sluice_options *pair,
				struct sluice_error *ret_err);

/* struct sluice_cert_request - what a server asks for; it is the library's, and valid during the call. */
struct sluice_cert_request {
	const uint8_t
		*types; /* TLS 1.2: ClientCertificateType (RFC 5246, 7.4.4); none in TLS 1.3 */
	size_t n_types;
	const uint16_t *signature_algs; /* RFC 8446, 4.2.3 */
	size_t n_signature_algs;
	const uint8_t *const *authorities; /* names of CAs, DER; none: any will do */
	const size_t *authority_lens;
	size_t n_authorities;
};

/*
 * sluice_client_cert_cb - asked by a client when its server wants a certificate, after the server's own was
 * accepted. It returns 0 with nothing in *@ret_own: the library chooses from what the profile has; or with
 * a new option set, which the library frees: from the certificates in that, which only sets what
 * sluice_options_add_cert_key() takes, or certs_keys; from an empty set none is shown. Or it returns SLUICE_PAUSED
 * to answer later: the handshake returns that, and sluice_handshake_continue() brings the set, or NULL,
 * with the same meaning, within verify_timeout. A negative code ends the handshake. What does not suit the
 * request is never shown, whoever chose it. sluice_conn_info() may be called on @conn.
 */
typedef int (*sluice_client_cert_cb)(void *arg, struct sluice_conn *conn,
				     const struct sluice_cert_request *request,
				     struct sluice_options **ret_own);

/*
 * sluice_options_set_client_cert_cb() sets option client_cert_cb of a client. Whoever shares the profile
 * among threads has @cb called by all of them; @arg must outlive the connections. Sessions resume only
 * where the same function and @arg are asked. Errors: INVALID.
 */
int sluice_options_set_client_cert_cb(struct sluice_options *opts, sluice_client_cert_cb cb,
				      void *arg, struct sluice_error *ret_err);

/*
 * sluice_options_add_sni_host() adds a row to option sni_hosts of a server: to clients that ask for @host
 * (a DNS name, or "*.example.org", whose star stands for one label), @host_opts apply over all options set
 * before, be it here or for the connection. A name goes before a wildcard; a client that asks for another
 * name, or for none, is served without any. Both are copied. @host_opts may set what a server can still
 * change after the ClientHello; the profile of each host is built with the profile.
 * Errors: OPTION (no name of a host), OPTION_RANGE, INVALID, NOMEM.
 */
int sluice_options_add_sni_host(struct sluice_options *opts, const char *host,
				const struct sluice_options *host_opts,
				struct sluice_error *ret_err);

/*
 * sluice_sni_fun - asked by a server which options apply to @server_name, over all options set before.
 * It returns 0 with a new set in *@ret_extra, which the library frees (NULL as it comes: the options stay
 * what they are), or SLUICE_PAUSED to answer later: the handshake returns that, and
 * sluice_handshake_continue() brings the set. A negative code refuses the name: the client gets alert
 * unrecognized_name. It is not asked where the client sends no name. What it may set is as above;
 * sluice_hello() and sluice_conn_info() are the calls that it may make on @conn.
 */
typedef int (*sluice_sni_fun)(void *arg, struct sluice_conn *conn, const char *server_name,
			      struct sluice_options **ret_extra);

/*
 * sluice_options_set_sni_fun() sets option sni_fun of a server. Whoever shares the profile among threads
 * has @fun called by all of them; @arg must outlive the connections. Errors: INVALID.
 */
int sluice_options_set_sni_fun(struct sluice_options *opts, sluice_sni_fun fun, void *arg,
			       struct sluice_error *ret_err);

/*
 * sluice_options_parse() reads `name = value` lines over what @opts has; a bad line leaves it
 * unchanged. `#` at the start of a line or after a blank starts a comment, except in a password,
 * which goes to the end of its line but for the blanks around it. Errors as above, OPTION_MALFORMED, and OPTION_CONFLICT for an
 * option that the text has twice; the error's text names the line.
 */
int sluice_options_parse(struct sluice_options *opts, const char *text, size_t text_len,
			 struct sluice_error *ret_err);

/* The kinds of names in a certificate's subjectAltName, as numbered in RFC 5280, 4.2.1.6. */
enum sluice_name_kind {
	SLUICE_NAME_OTHER = 0,
	SLUICE_NAME_EMAIL = 1,
	SLUICE_NAME_DNS = 2,
	SLUICE_NAME_DIRECTORY = 4,
	SLUICE_NAME_URI = 6,
	SLUICE_NAME_IP = 7, /* 4 or 16 bytes */
	SLUICE_NAME_REGISTERED_ID = 8,
};

/*
 * struct sluice_hostname_check - a rule of one's own for whom a server's certificate is for. Either
 * function may be NULL. They are called while a handshake is driven, by whoever drives it, and must
 * not block; @arg must outlive every profile made with it.
 *
 * @name derives what is compared from what was asked for: it writes a name of less than @size bytes
 * and a NUL, and returns 1; 0: it stays as it is; -1: there is none, and the certificate is refused.
 *
 * @match tells whether a name of the certificate is the one that was asked for: 1 it is, 0 it is not,
 * -1: what option customize_hostname_check says. It is asked about names of every kind; the bytes of
 * one may be anything, have no NUL behind them, and are not checked.
 */
struct sluice_hostname_check {
	int (*name)(void *arg, const char *asked, char *ret_name, size_t size);
	int (*match)(void *arg, const char *name, int kind, const void *presented, size_t len);
	void *arg;
};

/*
 * sluice_options_set_hostname_check() makes a client compare names by @check, which is copied; NULL:
 * by option customize_hostname_check alone. Errors: INVALID.
 */
int sluice_options_set_hostname_check(struct sluice_options *opts,
				      const struct sluice_hostname_check *check);

/* sluice_option_info() describes option @id. Errors: INVALID. */
int sluice_option_info(int id, struct sluice_option_info *ret_info, size_t info_size);

/*
 * sluice_profile_new() checks the options for @role, loads certificates, keys and trust anchors,
 * and builds the profile. @opts is borrowed for the call. On failure *@ret_err tells which option
 * or file, and why. Errors: OPTION_*, FILE, CERT_*, KEY_*, NO_CERT, UNSUPPORTED_*, NOMEM, NOFILE.
 */
int sluice_profile_new(struct sluice_profile **ret_profile, const struct sluice_options *opts,
		       enum sluice_role role, struct sluice_error *ret_err);

/*
 * PEM files that options name are parsed once for all profiles of this process: what is kept is used as
 * long as device, inode, size and times of the file are as they were, which is looked at for each profile.
 * So a profile always has what its files hold when it is built; profiles and connections that
 * there are already keep what they had. A key for which a password is given is not kept.
 *
 * sluice_clear_pem_cache() empties the cache at once, whatever is in it. Thread-safe.
 * sluice_set_pem_cache_clean() sets after how many milliseconds what changed, is gone, or was not asked
 * for since the last time is dropped; 0: whenever the cache is used. Errors: OPTION_RANGE.
 */
#define SLUICE_PEM_CACHE_CLEAN_MS 120000
#define SLUICE_PEM_CACHE_CLEAN_MAX_MS 86400000
void sluice_clear_pem_cache(void);
int sluice_set_pem_cache_clean(int64_t interval_ms);

/* sluice_profile_ref() takes another reference; sluice_profile_unref() drops one. NULL is fine. */
struct sluice_profile *sluice_profile_ref(struct sluice_profile *profile);
struct sluice_profile *sluice_profile_unref(struct sluice_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
