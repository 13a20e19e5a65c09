/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificate revocation lists (RFC 5280, 5 and 6.3). Option crl_check says which certificates of a
 * peer's path are looked up, option crl_cache where the CRLs come from: the built-in cache, a
 * directory, or operations of the program. Nothing goes to the network unless the built-in cache is
 * told to.
 *
 * Evaluated are complete CRLs, also such as are limited to a distribution point, to a kind of certificate
 * or to some reasons; delta CRLs, together with a complete one that they continue and never without; and
 * indirect CRLs, by whom the certificate's distribution point names. A CRL's issuer is a CA of the path,
 * or another with a path to the same trust anchor, of certificates that the peer sent or cacertfile has.
 * CRLs with critical extensions of other kinds are refused where they are parsed.
 */
#ifndef SLUICE_CRL_H
#define SLUICE_CRL_H

#include <sluice/options.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most bytes of one CRL in DER, and the most CRLs of one file, one cache and one answer. */
#define SLUICE_CRL_MAX_DER (16u << 20)
#define SLUICE_CRL_MAX_FILE 256
#define SLUICE_CRL_MAX_CACHE 4096
#define SLUICE_CRL_MAX_FOUND 256

/* struct sluice_crl - one CRL: immutable, reference counted, shared by any number of threads. */
struct sluice_crl;

/*
 * sluice_crl_parse() parses a CRL in DER; its signature is verified where it is evaluated, by the
 * key that the certificate's path has. Errors: CRL_PARSE; UNSUPPORTED (an unknown critical
 * extension of it or of an entry); OPTION_RANGE (too long); NOMEM.
 */
int sluice_crl_parse(struct sluice_crl **ret_crl, const void *der, size_t der_len,
		     struct sluice_error *ret_err);

/* sluice_crl_ref() takes another reference; sluice_crl_unref() drops one. NULL is fine. */
struct sluice_crl *sluice_crl_ref(struct sluice_crl *crl);
struct sluice_crl *sluice_crl_unref(struct sluice_crl *crl);

/* struct sluice_crl_info - what a CRL says of itself; the pointers are the CRL's. */
struct sluice_crl_info {
	const uint8_t *issuer; /* Name, DER */
	size_t issuer_len;
	int64_t this_update_s, next_update_s; /* seconds of the epoch; -1: no next update */
	const uint8_t *number;                /* CRL number, big endian; NULL: none */
	size_t number_len;
	size_t n_revoked;
	const uint8_t *sha256; /* of the encoding; 32 bytes */
};

int sluice_crl_info(const struct sluice_crl *crl, struct sluice_crl_info *ret_info,
		    size_t info_size);

/* --- caches ----------------------------------------------------------------------------------- */

/* Bits of ReasonFlags (RFC 5280, 4.2.1.13). */
#define SLUICE_CRL_REASONS_ALL 0x1fe

/*
 * struct sluice_dist_point - where CRLs about a certificate may be found: one DistributionPoint of
 * it. Valid during the call.
 */
struct sluice_dist_point {
	const char *const *uris; /* of the full name, as they stand in the certificate */
	size_t n_uris;
	const uint8_t
		*dir_name;    /* directory name, also made of one relative to the issuer: Name, */
	size_t dir_name_len;  /* DER; NULL: none */
	unsigned int reasons; /* bit i: ReasonFlags bit i; all if the point names none */
	const uint8_t *crl_issuer; /* directory name of another CRL issuer, DER; NULL: none */
	size_t crl_issuer_len;
};

/* struct sluice_crl_found - where operations put the CRLs that they have. */
struct sluice_crl_found;

/*
 * sluice_crl_found_add() adds a reference of its own; sluice_crl_found_der() parses first.
 * Errors: OPTION_RANGE (more than SLUICE_CRL_MAX_FOUND), NOMEM, those of sluice_crl_parse().
 */
int sluice_crl_found_add(struct sluice_crl_found *found, struct sluice_crl *crl);
int sluice_crl_found_der(struct sluice_crl_found *found, const void *der, size_t der_len);

#define SLUICE_CRL_NOT_AVAILABLE 1

/*
 * struct sluice_crl_cache_ops - a cache. Operations are called by threads that make handshakes or judge
 * certificates for them (sluice_set_verify_threads()), at the same time and while the handshake waits: they
 * answer from memory. One that has to fetch a CRL first answers SLUICE_CRL_NOT_AVAILABLE now, and a later
 * handshake finds what has come. @db and @args are those of
 * sluice_options_set_crl_cache(); @db means nothing to the library. They return 0 with what they
 * found, SLUICE_CRL_NOT_AVAILABLE, or -SLUICE_E_*. With -SLUICE_E_NOMEM the handshake fails; with
 * another error what was found still counts as far as it revokes, and the rest is undetermined.
 */
struct sluice_crl_cache_ops {
	size_t size; /* of this structure */

	/* Checks @args when a profile is built. NULL: there must be none. */
	int (*check_args)(void *db, const char *args, struct sluice_error *ret_err);

	/* The CRLs of a distribution point of a certificate. NULL: not available. */
	int (*lookup)(void *db, const char *args, const struct sluice_dist_point *point,
		      struct sluice_crl_found *found);

	/* All CRLs, deltas too, that were issued by @issuer: Name, DER. NULL: not available. */
	int (*select)(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
		      struct sluice_crl_found *found);

	/*
	 * Called before @crl, which is complete, is evaluated for @point: returns a reference to a newer one, or to
	 * @crl itself; NULL: an error. NULL instead of the operation: @crl.
	 */
	struct sluice_crl *(*fresh_crl)(void *db, const char *args,
					const struct sluice_dist_point *point,
					struct sluice_crl *crl);
};

/*
 * sluice_crl_internal_ops is the built-in cache: @db is a struct sluice_crl_db, NULL the database
 * of this process. Without arguments, "", it has what the program inserts. "http=MS hosts=LIST" lets it
 * fetch what it does not have from the http URIs of distribution points: all CRLs of a path are waited
 * for at most MS milliseconds, 1 to 30000, and not longer than the handshake may last. A call waits no longer
 * than it may (SLUICE_NOWAIT: not at all); without threads that judge certificates (sluice_set_verify_threads())
 * the handshake goes on without the CRL then, and the next one finds it. LIST says from where, with
 * commas: NAME[:PORT], ADDRESS[/BITS][:PORT]; without a port 80. A name must lead to addresses of the public
 * internet, or to such as are listed. Errors, when a profile is built: OPTION, OPTION_RANGE (MS).
 * Fetching is done by a process sluice-fetch, one for each list and four at most, which the program has as a
 * child (sluice-fetch(8)); what it got is kept until the next update, fetched again before that, and
 * stays out of @db: 256 URIs and 64 MiB.
 *
 * sluice_crl_hash_dir_ops reads files named as c_rehash(1) does. @args is "dir=PATH", without which
 * a profile is refused with OPTION. Files are read when a certificate is looked up, again only
 * after they have changed.
 */
extern const struct sluice_crl_cache_ops sluice_crl_internal_ops;
extern const struct sluice_crl_cache_ops sluice_crl_hash_dir_ops;

/*
 * sluice_options_set_crl_cache() is option crl_cache for programs: the operations, the database
 * handle given to them, and arguments (copied; NULL: none). @ops and @db must outlive every profile
 * that is built from @opts, and the root objects that its connections were made with. The text of the option names the two above: "internal", or
 * "hash_dir dir=PATH". Errors: INVALID, NOMEM.
 */
int sluice_options_set_crl_cache(struct sluice_options *opts,
				 const struct sluice_crl_cache_ops *ops, void *db, const char *args,
				 struct sluice_error *ret_err);

/* --- the built-in cache ----------------------------------------------------------------------- */

/* struct sluice_crl_db - a database of the built-in cache. NULL is the one of this process. */
struct sluice_crl_db;

int sluice_crl_db_new(struct sluice_crl_db **ret_db);
struct sluice_crl_db *sluice_crl_db_free(struct sluice_crl_db *db);

/*
 * sluice_crl_insert_file() inserts every CRL of a file, in PEM or one in DER; sluice_crl_insert_der()
 * one from memory. They are found by their issuer. All or none are inserted. Errors: FILE, NOFILE,
 * those of sluice_crl_parse(), OPTION_RANGE (the cache is full).
 */
int sluice_crl_insert_file(struct sluice_crl_db *db, const char *path,
			   struct sluice_error *ret_err);
int sluice_crl_insert_der(struct sluice_crl_db *db, const void *der, size_t der_len,
			  struct sluice_error *ret_err);

/*
 * sluice_crl_insert_uri() inserts CRLs that are found by the URI of a distribution point as well:
 * those of the file @path or, if that is NULL, @der.
 */
int sluice_crl_insert_uri(struct sluice_crl_db *db, const char *uri, const char *path,
			  const void *der, size_t der_len, struct sluice_error *ret_err);

/*
 * These delete what was inserted under that URI, from that file (by the path it was given by; it
 * need not exist any more), or as that encoding, however it came. Errors: UNDEFINED (nothing was),
 * INVALID.
 */
int sluice_crl_delete_uri(struct sluice_crl_db *db, const char *uri);
int sluice_crl_delete_file(struct sluice_crl_db *db, const char *path);
int sluice_crl_delete_der(struct sluice_crl_db *db, const void *der, size_t der_len);

#ifdef __cplusplus
}
#endif
#endif
