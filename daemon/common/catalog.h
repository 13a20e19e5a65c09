/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of profiles: what handshakers need of the configuration, in one sealed memory file that
 * all of them read in place. Opening one costs nothing that grows with it; a profile is built when a
 * connection wants it, and those that were not wanted for longest are dropped.
 *
 * The file: a head, entries, and an index of host names. An entry is its length in four bytes, then a
 * message (handover/wire.h) of a type below. Hosts follow their profile. The index is sorted by profile
 * and name and points to entries. Numbers are this machine's: reader and writer are of one build.
 */
#ifndef SLUICED_COMMON_CATALOG_H
#define SLUICED_COMMON_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/options.h>
#include <sluice/verify.h>

#include "bssl/signer.h"
#include "handover/wire.h"

enum catalog_entry {
	CATALOG_SECRETS = 1, /* ATTR_TICKET_KEYS */
	CATALOG_PROFILE, /* ATTR_NAME, ATTR_ROLE, ATTR_NO_MATCH, options, ATTR_POLICY, certificates */
	CATALOG_HOST,    /* ATTR_HOST_NAME, options, ATTR_POLICY, certificates */
	CATALOG_FILE, /* a certificate: its names are the hosts, the profile has the other options */
};
/*
 * A certificate: ATTR_CERT_FILE, ATTR_KEY_ID, ATTR_KEY_TYPE, ATTR_NOT_AFTER, ATTR_CERT, ATTR_CERT_NAME. What is
 * stapled to the first of an entry is its option ocsp_response.
 */

#define CATALOG_MAGIC 0x32746163u
#define CATALOG_MAX_BUILT 1024 /* profiles that a reader keeps */

/* struct catalog_head - what the file begins with. Offsets are of the file. */
struct catalog_head {
	uint32_t magic, n_profiles, n_names, unused;
	uint64_t
		profiles_at; /* n_profiles offsets of entries, eight bytes each; entries end here */
	uint64_t names_at;   /* n_names of struct catalog_name */
};

struct catalog_name {
	uint64_t entry;
	uint64_t text; /* where it is; without a NUL */
	uint32_t profile, text_len;
};

struct catalog;

/* catalog_open() maps a sealed file; owns @fd. Errors: PROTOCOL, NOMEM. */
int catalog_open(struct catalog **ret_catalog, int fd);

/* catalog_ref() takes another reference, catalog_unref() drops one; NULL is fine. One thread. */
struct catalog *catalog_ref(struct catalog *catalog);
struct catalog *catalog_unref(struct catalog *catalog);

/*
 * catalog_profile() returns a new reference to profile @index as it is before a host is known, or NULL.
 * Its connections pause at the hello, so that catalog_host() can choose.
 */
struct sluice_profile *catalog_profile(struct catalog *catalog, size_t index);

/*
 * catalog_host() returns a new reference to what answers for @sni (NULL: none was sent): the host of
 * that name, else the wildcard for it, else the profile itself; or NULL: unrecognized_name.
 */
struct sluice_profile *catalog_host(struct catalog *catalog, size_t index, const char *sni);

/*
 * catalog_key_id() returns the SHA-256 of the public key of a profile's certificate number @i, or NULL. It
 * points into the catalogue.
 */
const uint8_t *catalog_key_id(const struct sluice_profile *profile, size_t i);

/* catalog_set_signer() says who signs for all profiles. Before the first is wanted. */
void catalog_set_signer(struct catalog *catalog, const struct signer *signer);

/* catalog_set_crls() says where all profiles look revocation up; @crls must outlive them. Likewise. */
struct crl_cache;
void catalog_set_crls(struct catalog *catalog, struct crl_cache *crls);

/*
 * catalog_set_verify_fun() says who judges peers where a profile has a policy; its state is what
 * policy_from() reads. Before the first profile is wanted; without, such a profile is not built.
 */
void catalog_set_verify_fun(struct catalog *catalog, sluice_verify_fun fun);

/*
 * catalog_entry_next() goes through the entries of a mapped file: *@at is 0 at the beginning. Returns
 * false at the end, and for what is no catalogue.
 */
bool catalog_entry_next(const uint8_t *map, size_t map_len, uint64_t *at,
			const uint8_t **ret_message, size_t *ret_len);

#endif
