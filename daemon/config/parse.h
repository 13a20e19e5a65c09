/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the configuration's parser share: for daemon/config only. */
#ifndef SLUICED_CONFIG_PARSE_H
#define SLUICED_CONFIG_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/node.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define PARSE_MAX_NAME 64          /* bytes of the name of a listener, profile or pool */
#define PARSE_MAX_USER 256         /* bytes of the name of a user or group: LOGIN_NAME_MAX */
#define PARSE_MAX_TIME_MS 3600000u /* an hour, as of the library's timeouts */

/* --- index.c: texts to numbers, sorted: fast for many, and nobody can choose texts that are slow - */

struct index_entry {
	const char *key, *key2; /* borrowed; @key2 may be NULL */
	struct config_place place;
	size_t value;
};

struct index {
	struct index_entry *entries;
	size_t n;
};

/* --- one run of the parser ------------------------------------------------------------------- */

struct parse {
	const char *path;
	struct config_error *err;
	struct config *config;        /* what there is so far; config_free() it at any time */
	struct index profiles, pools; /* by name, when their sections have been read */
};

/* --- fail.c: errors --------------------------------------------------------------------------- */

/*
 * parse_fail() writes "path:line:column: text" and returns -@code. The first error stays. @place
 * may be of line 0: the error is of the whole file.
 */
int parse_fail(struct parse *p, int code, struct config_place place, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
int parse_nomem(struct parse *p);

/* parse_quote() makes a text fit for an error: at most 63 bytes, printable. Returns @out. */
#define PARSE_QUOTE_LEN 64
const char *parse_quote(char out[PARSE_QUOTE_LEN], const char *text);

/* parse_quote_key() ends at a blank or `=`: a key like `password=x` is one without its colon. */
const char *parse_quote_key(char out[PARSE_QUOTE_LEN], const char *key);

/* struct nearest - finds the word that somebody may have meant. */
struct nearest {
	const char *text;
	const char *word; /* NULL: nothing is near */
	size_t distance;
};
void nearest_try(struct nearest *nearest, const char *word);

/* words_append() adds a word to an enumeration of an error text; one that is full is cut. */
#define PARSE_MAX_WORDS 256
void words_append(char *out, size_t size, const char *separator, const char *word);

/* --- index.c ---------------------------------------------------------------------------------- */

int index_init(struct parse *p, struct index *index, size_t max);
void index_add(struct index *index, const char *key, const char *key2, struct config_place place,
	       size_t value);

/* index_sort() comes before index_find(). Twice the same is an error: "@what "key" is there ...". */
int index_sort(struct parse *p, struct index *index, const char *what);
const struct index_entry *index_find(const struct index *index, const char *key, const char *key2);
void index_free(struct index *index);

/* --- fields.c: mappings as tables ------------------------------------------------------------- */

struct field;

/* field_read turns @value into what is at @member. */
typedef int field_read(struct parse *p, const struct field *field, const struct node *value,
		       void *member);

struct field {
	const char *name;
	field_read *read;
	size_t offset; /* of the member */
	bool required;
	unsigned int min, max;    /* field_number: the range; texts: max is the most bytes */
	const char *const *words; /* field_word: the words of 0, 1, ...; NULL at the end */
};

struct fields {
	const char *what; /* "a listener" */
	const struct field *rows;
	size_t n;
	bool has_options; /* other keys are options of TLS, and somebody else's to read */
};

/* fields_read() reads a whole mapping into @out. */
int fields_read(struct parse *p, const struct fields *fields, const struct node *map, void *out);

/* fields_find() returns the row of a key, or NULL. */
const struct field *fields_find(const struct fields *fields, const char *key);

/* fields_check_name() holds the name of a listener, profile or pool against what logs can show. */
int fields_check_name(struct parse *p, const char *what, const struct node *node);

field_read field_number;    /* unsigned int */
field_read field_word;      /* unsigned int, or an enum */
field_read field_line;      /* char *: a line of text */
field_read field_name;      /* char *: fields_check_name() */
field_read field_socket;    /* char *: an absolute path that fits sockaddr_un */
field_read field_directory; /* char *: an absolute path of at most max bytes */
field_read field_node;      /* const struct node *: for later */
field_read field_profile;   /* size_t: index of the profile of that name */
field_read field_pool;      /* size_t */
field_read field_users;     /* struct config_pool: who may attach */
field_read field_groups;

/* --- users.c ----------------------------------------------------------------------------------- */

/* user_find() and group_find() take a name or a number. */
int user_find(struct parse *p, const char *name, const struct node *node, uid_t *ret_uid);
int group_find(struct parse *p, const char *name, const struct node *node, gid_t *ret_gid);

/* user_read() finds whom handshakes run as; @node may be NULL: the default. */
int user_read(struct parse *p, const struct node *node);

/* --- verify.c: what becomes of peers -------------------------------------------------------------- */

/* struct verify_nodes - where it stands; NULL: nowhere. */
struct verify_nodes {
	const struct node *policy, *socket;
	const struct node *owner; /* the profile or host */
};

/* verify_read() lays it over what is in @verify; the options are complete. */
int verify_read(struct parse *p, const struct verify_nodes *nodes,
		const struct sluice_options *options, enum sluice_role role,
		struct config_verify *verify);

/* --- hosts.c: SNI hosts ------------------------------------------------------------------------- */

/* host_name_read() checks and lower-cases a name or wildcard of @name's; free() it. */
int host_name_read(struct parse *p, const char *name, const struct node *node, char **ret_host);

/* hosts_read() reads the hosts of a profile whose options are complete. */
int hosts_read(struct parse *p, const struct node *list, struct config_profile *profile);

/* --- certs.c: own certificates ------------------------------------------------------------------- */

/* certs_keys_read() reads a list of certificates: paths, or certfile, keyfile, password of each. */
int certs_keys_read(struct parse *p, const struct node *value, struct sluice_options *options);

/* password_file_read() sets option password from a file of one line. Errors: FILE. */
int password_file_read(struct parse *p, const struct node *value, struct sluice_options *options);

/*
 * certs_keys_check() finds what contradicts each other in @map, before any of it is read: what it has of
 * certificates goes over the several that @options may have. password_twice() is one of its errors.
 */
int certs_keys_check(struct parse *p, const struct node *map, struct sluice_options *options);
int password_twice(struct parse *p, const struct node *map);

/* --- options.c ----------------------------------------------------------------------------------- */

/* options_read() sets what is in @map besides @fields. */
int options_read(struct parse *p, const struct fields *fields, const struct node *map,
		 enum sluice_role role, struct sluice_options *options);

/* option_name_try() offers the names of all options. */
void option_name_try(struct nearest *nearest);

/* --- the sections -------------------------------------------------------------------------------- */

int daemon_read_defaults(struct parse *p); /* daemon.c: limits, admin, log */

/*
 * socket_default() makes the path of @name's socket in the daemon's directory: RUNTIME_DIRECTORY as of
 * systemd.exec(5), else /run/sluice. @place is for errors.
 */
int socket_default(struct parse *p, const char *name, struct config_place place, char **ret_path);
field_read daemon_limits, daemon_admin, daemon_log;
int pools_read(struct parse *p, const struct node *map);
int services_read(struct parse *p, const struct node *map); /* after pools and profiles */
int metrics_read(struct parse *p, const struct node *map);
int fetch_read(struct parse *p, const struct node *map);
int crls_read(struct parse *p, const struct node *map); /* after fetch */
int crls_check(struct parse *p);                        /* after profiles */

/* fetch_check_url() makes a URL that would not be fetched an error. */
int fetch_check_url(struct parse *p, const char *key, const struct node *node);

/*
 * fetch_check_ocsp() checks key ocsp_fetch of a profile or host with @options, @wanted or not; without a
 * section fetch, or beside a file, it is an error. fetch_words are its words.
 */
int fetch_check_ocsp(struct parse *p, const struct node *owner, bool wanted,
		     const struct sluice_options *options);
extern const char *const fetch_words[];

/* sockets_check() makes two sockets of the same path an error. Sections that are not there are NULL. */
int sockets_check(struct parse *p, const struct node *pools, const struct node *services,
		  const struct node *admin, const struct node *metrics);
int profiles_read(struct parse *p, const struct node *map);
int listeners_read(struct parse *p, const struct node *list);

/* address_read() reads "host:port" into @listener. prefixes_read() reads its proxy_from. */
field_read address_read, prefixes_read;

/* --- file.c --------------------------------------------------------------------------------------- */

/* file_read() reads a whole file; wipe and free it. Errors: FILE, OPTION_RANGE, NOMEM. */
int file_read(struct parse *p, char **ret_text, size_t *ret_len);

#endif
