/* SPDX-License-Identifier: Apache-2.0 */
/* The option table and an option set from the inside: for lib/options only. */
#ifndef SLUICE_OPTIONS_OPTIONS_H
#define SLUICE_OPTIONS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>
#include <openssl/pool.h>

#include <sluice/options.h>

struct set_list;
struct signer;
struct sluice_crl_cache_ops;

#define OPTION_MAX_STRING 4095        /* bytes of a path or name: PATH_MAX without its NUL */
#define OPTION_MAX_PASSWORD 1023      /* what PEM's password callback has room for */
#define OPTION_MAX_LIST 4096          /* bytes of a list as text */
#define OPTION_MAX_DATA (1024 * 1024) /* bytes of one DER object */
#define OPTION_MAX_OBJECTS 4096       /* DER objects of one option */
#define OPTION_MAX_TEXT (1024 * 1024) /* bytes of a configuration text */
#define OPTION_MAX_HOSTS 16384        /* rows of sni_hosts */
#define OPTION_MAX_CERTS 8            /* entries of certs_keys */
#define OPTION_MAX_CODES 32           /* code points of one list; no list has so many words */

/* struct option_row - one row of the table. */
struct option_row {
	const char *name;
	enum sluice_option_type type;
	uint8_t roles;          /* who has the option: SLUICE_CLIENT | SLUICE_SERVER */
	uint8_t late;           /* who may still change it after the peer's hello */
	const char *def;        /* the default as text; NULL: none */
	const char *def_server; /* a server's default where it differs */
	const char *values;     /* ENUM: words separated by '|'; LIST: by ','; NULL: free */
	int64_t min, max;       /* INT */
	const char *help;
};

/* option_row() returns a row of the table, or NULL. option_find() returns the id, or -1. */
const struct option_row *option_row(int id);
int option_find(const char *name, size_t name_len);

/* option_refused() tells why there is no option of a name that others have, or NULL. */
const char *option_refused(const char *name, size_t name_len);

/*
 * struct option_value - what an option is set to, in the form its type needs:
 *   BOOL, INT    @number
 *   ENUM         @number, the index of the word
 *   STRING       @bytes, NUL-terminated
 *   SECRET       @bytes, NUL-terminated, in secret memory
 *   LIST         @bytes: uint16_t code points, or of ALPN a ProtocolNameList (RFC 7301, 3.1), or of
 *                peers the text, NUL-terminated; of certs_keys @sets
 *   DATA         @ders; of `key` @key: a key is parsed at once, so that its bytes live in
 *                BoringSSL's object only, which wipes what it frees
 *   TABLE        @sets
 *   CALL         @call, of the type that its setter takes, and @arg
 */
struct option_value {
	bool set;
	int64_t number;
	void *bytes;
	size_t len; /* of @bytes, without the NUL of a text */
	STACK_OF(CRYPTO_BUFFER) * ders;
	EVP_PKEY *key;
	struct set_list *sets;
	void (*call)(void);
	void *arg;
};

struct sluice_options {
	struct option_value values[SLUICE_OPTIONS];
	const struct signer *signer; /* has the key of cert; NULL: key or keyfile is */
	const void *
		verify_rules; /* what verify_fun does, the same in each process; NULL: nobody knows */
	size_t verify_rules_len;
	const void *bound_to; /* sessions resume only where this is the same; NULL: nothing */
	size_t bound_to_len;  /* both are borrowed from who outlives all that is made of the set */
	struct sluice_hostname_check hostname_check; /* no functions: none */
	const struct sluice_crl_cache_ops *crl_ops;  /* NULL: the text of crl_cache tells */
	void *crl_db;
	bool crl_shared; /* whoever shares sessions with us has the same CRLs */
};

static inline bool option_is_set(const struct sluice_options *opts, enum sluice_option id)
{
	return opts->values[id].set;
}

/* option_text() returns a STRING's or SECRET's text; NULL: not set. */
static inline const char *option_text(const struct sluice_options *opts, enum sluice_option id)
{
	return opts->values[id].bytes;
}

/* option_is_peers() tells the LISTs of verify/rules.h. */
static inline bool option_is_peers(int id)
{
	return id == SLUICE_OPT_ALLOW_PEERS || id == SLUICE_OPT_DENY_PEERS;
}

/* option_number() returns a BOOL, INT or ENUM: what is set, else the default of @role. */
int64_t option_number(const struct sluice_options *opts, enum sluice_option id,
		      enum sluice_role role);

/* option_codes() copies a LIST's code points, of the default if none are set; returns how many. */
size_t option_codes(const struct sluice_options *opts, enum sluice_option id,
		    uint16_t codes[OPTION_MAX_CODES]);

/*
 * options_overlay() sets in @opts everything that @extra sets. What has two forms (cert, certfile)
 * counts as one: a new file replaces old bytes, and one certificate several (certs_keys). Errors: NOMEM.
 */
int options_overlay(struct sluice_options *opts, const struct sluice_options *extra);

/*
 * options_check_pair() tells whether @pair is an entry of certs_keys: only what says where one certificate
 * and its key are. With @keyless a key is not needed. Errors: OPTION, OPTION_CONFLICT.
 */
int options_check_pair(const struct sluice_options *pair, bool keyless,
		       struct sluice_error *ret_err);
/* options_drop_ocsp() forgets the OCSP response of another certificate. */
void options_drop_ocsp(struct sluice_options *opts);

/* options_swap() exchanges the contents of two sets. */
void options_swap(struct sluice_options *a, struct sluice_options *b);

/* option_other_form() returns certfile for cert and so on; @id itself where there is one form. */
enum sluice_option option_other_form(enum sluice_option id);

/* options_check() finds options that are not @role's, and those that contradict each other. */
int options_check(const struct sluice_options *opts, enum sluice_role role,
		  struct sluice_error *ret_err);

/*
 * words_parse() turns the words of LIST option @id into what struct option_value keeps; free()
 * *@ret_bytes. Errors: OPTION, OPTION_RANGE, UNSUPPORTED_*, NOMEM.
 */
int words_parse(enum sluice_option id, const char *text, size_t text_len, void **ret_bytes,
		size_t *ret_len, struct sluice_error *ret_err);

/*
 * pairs_parse() turns a list of paths into what certs_keys keeps. Errors: OPTION, OPTION_RANGE, NOMEM.
 */
int pairs_parse(const char *text, size_t text_len, struct option_value *ret_value,
		struct sluice_error *ret_err);

/* words_parse_codes() does the same for lists of code points, into the caller's array. */
int words_parse_codes(enum sluice_option id, const char *text, size_t text_len,
		      uint16_t codes[OPTION_MAX_CODES], size_t *ret_n,
		      struct sluice_error *ret_err);

/* words_name() returns the word of a code point of LIST option @id, or "?". */
const char *words_name(enum sluice_option id, uint16_t code);

/* words_group_nid() returns BoringSSL's NID of a supported group. */
int words_group_nid(uint16_t group);

/*
 * text_parse() turns text into a value of option @id, which the caller puts into a set or drops
 * with option_value_clear(). Errors: those of sluice_options_set().
 */
int text_parse(enum sluice_option id, const char *text, size_t text_len,
	       struct option_value *ret_value, struct sluice_error *ret_err);

/* option_replace() moves @value into @opts. option_value_clear() wipes and frees a value. */
void option_replace(struct sluice_options *opts, enum sluice_option id, struct option_value *value);
void option_value_clear(struct option_value *value, enum sluice_option_type type);

/* option_bytes_new() copies @bytes and a NUL into memory that suits @type. NULL: no memory. */
void *option_bytes_new(enum sluice_option_type type, const void *bytes, size_t len);

/* option_check_range() holds an INT against its row. Errors: OPTION_RANGE. */
int option_check_range(const struct option_row *row, int64_t number, struct sluice_error *ret_err);

/*
 * struct protocol - what versions, ciphers, supported_groups and signature_algs come to, in the
 * form BoringSSL takes.
 */
struct protocol {
	uint16_t min_version, max_version;
	uint16_t suites[OPTION_MAX_CODES]; /* those of the enabled versions */
	size_t n_suites;
	int groups[OPTION_MAX_CODES]; /* NIDs */
	size_t n_groups;
	uint16_t sigalgs[OPTION_MAX_CODES];
	size_t n_sigalgs;
};

/* protocol_resolve() fills it. Errors: OPTION_CONFLICT where versions and ciphers do not meet. */
int protocol_resolve(const struct sluice_options *opts, struct protocol *ret_protocol,
		     struct sluice_error *ret_err);

/*
 * protocol_check_keys() finds out whether own keys (at most OPTION_MAX_CERTS) can be used at all with what
 * is allowed: a server that could answer no client should not start. Errors: OPTION_CONFLICT.
 */
int protocol_check_keys(const struct protocol *protocol, enum sluice_role role,
			EVP_PKEY *const *keys, size_t n_keys, struct sluice_error *ret_err);

/* protocol_suits_key() tells whether a TLS 1.2 suite is one for a key of this type. */
struct suite;
bool protocol_suits_key(const struct suite *suite, const EVP_PKEY *key);

/* protocol_can_sign() tells whether a key can sign with one of the signature algorithms in @version. */
bool protocol_can_sign(const struct protocol *protocol, const EVP_PKEY *key, uint16_t version);

/*
 * option_quote() copies a value for an error text: at most 47 bytes, printable, never of a SECRET.
 * Returns @out.
 */
#define OPTION_QUOTE_LEN 48
const char *option_quote(char out[OPTION_QUOTE_LEN], const char *value, size_t value_len);

#endif
