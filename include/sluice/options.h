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
	SLUICE_OPT_PARTIAL_CHAIN,
	SLUICE_OPT_PARTIAL_CHAIN_FUN, /* verify.h */
	SLUICE_OPT_SIGNATURE_ALGS_CERT,
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

/* sluice_profile_ref() takes another reference; sluice_profile_unref() drops one. NULL is fine. */
struct sluice_profile *sluice_profile_ref(struct sluice_profile *profile);
struct sluice_profile *sluice_profile_unref(struct sluice_profile *profile);

#ifdef __cplusplus
}
#endif
#endif
