/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of revocation lists: all that are in force, in one sealed memory file. sluice-crls writes it, all
 * handshakers read it in place, and the broker reads what it shows of it. The file: a head, then blobs
 * (CRLs in DER, tables of serial numbers, texts), then a table of rows. Numbers are this machine's:
 * writer and reader are of one build.
 */
#ifndef SLUICED_COMMON_CRL_SET_H
#define SLUICED_COMMON_CRL_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/crl.h>

#define CRL_SET_MAGIC 0x736c7263u
#define CRL_SET_MAX SLUICE_CRL_MAX_CACHE /* CRLs of a set */
#define CRL_SET_MAX_BYTES (1u << 30)
#define CRL_SET_MAX_TEXT 4096 /* bytes of a path or a URI */
#define CRL_SET_MAX_NUMBER 20

struct crl_set_head {
	uint32_t magic, n_rows;
	uint64_t rows_at;
};

/* struct crl_blob - a part of the file. */
struct crl_blob {
	uint64_t at, len;
};

/* struct crl_set_row - one CRL. */
struct crl_set_row {
	struct crl_blob der;     /* all of it */
	struct crl_blob core;    /* without its entries; len 0: there is no index */
	struct crl_blob entries; /* lib/crl/index.h */
	struct crl_blob path;    /* where it came from */
	struct crl_blob uri;     /* of a distribution point that it was added for; len 0: none */
	struct crl_blob issuer;  /* for people */
	int64_t this_update_s, next_update_s; /* -1: no next update */
	uint64_t n_revoked;
	uint32_t issuer_hash;
	uint8_t serial_len, number_len; /* number_len 0: none */
	uint8_t number[CRL_SET_MAX_NUMBER];
	uint8_t sha256[32]; /* of the encoding */
};

/* struct crl_set - a file that is mapped. */
struct crl_set {
	const uint8_t *map;
	size_t map_len;
	const struct crl_set_row *rows;
	size_t n_rows;
};

/*
 * crl_set_open() maps a sealed file and checks that all of it is in bounds; @fd stays the caller's.
 * Errors: PROTOCOL, NOMEM.
 */
int crl_set_open(struct crl_set *ret_set, int fd);
void crl_set_close(struct crl_set *set);

/* crl_set_bytes() returns where a blob is. */
static inline const uint8_t *crl_set_bytes(const struct crl_set *set, const struct crl_blob *blob)
{
	return set->map + blob->at;
}

/* crl_set_is() tells whether a blob is this text; NULL is that of no bytes. */
bool crl_set_is(const struct crl_set *set, const struct crl_blob *blob, const char *text);

/* crl_set_find() returns a row of a CRL by its digest, or NULL. */
const struct crl_set_row *crl_set_find(const struct crl_set *set, const uint8_t sha256[32]);

/* --- writing (crl-set-write.c) ------------------------------------------------------------------ */

/* struct crl_set_writer - the file, and the rows so far. */
struct crl_set_writer {
	int fd;
	uint64_t at;
	struct crl_set_row *rows;
	size_t n_rows;
};

/* All return 0 or a negative error: NOMEM, OPTION_RANGE (too many, too large). */
int crl_set_begin(struct crl_set_writer *writer);

/*
 * crl_set_read() adds the CRLs of a file's content, in PEM or one in DER, as those of @path and @uri
 * (NULL: none): all or none. *@ret_n is how many they are. Errors: also those of sluice_crl_parse().
 */
int crl_set_read(struct crl_set_writer *writer, const char *path, const char *uri, const void *data,
		 size_t len, size_t *ret_n, struct sluice_error *ret_err);

/*
 * crl_set_fetched() does so with what came over a network, where somebody may send again what was good once:
 * a CRL that is older than the one that @old has of its issuer and @path is an error. So is one that begins later.
 */
int crl_set_fetched(struct crl_set_writer *writer, const struct crl_set *old, const char *path,
		    const void *data, size_t len, size_t *ret_n, struct sluice_error *ret_err);

/* crl_set_copy() adds what an older set has of @path and @uri. */
int crl_set_copy(struct crl_set_writer *writer, const struct crl_set *old, const char *path,
		 const char *uri, size_t *ret_n);

/* crl_set_end() seals the file and returns its descriptor. crl_set_free() frees what there is. */
int crl_set_end(struct crl_set_writer *writer);
void crl_set_free(struct crl_set_writer *writer);

#endif
