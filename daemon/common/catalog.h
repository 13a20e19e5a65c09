/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of profiles: what handshakers need of the configuration, in one sealed memory file that
 * all of them read in place. A profile is built when the first connection wants it.
 *
 * The file is a row of entries, each after its length in four bytes: messages (handover/wire.h) of type
 * CATALOG_SECRETS, CATALOG_PROFILE or CATALOG_HOST. Hosts follow their profile.
 */
#ifndef SLUICED_COMMON_CATALOG_H
#define SLUICED_COMMON_CATALOG_H

#include <stdbool.h>
#include <stddef.h>

#include <sluice/options.h>

#include "bssl/signer.h"
#include "handover/wire.h"

enum catalog_entry {
	CATALOG_SECRETS = 1, /* ATTR_TICKET_KEYS */
	CATALOG_PROFILE, /* ATTR_NAME, ATTR_ROLE, ATTR_NO_MATCH, ATTR_KEY_ID, ATTR_CERT, options */
	CATALOG_HOST,    /* ATTR_HOST_NAME, ATTR_KEY_ID, ATTR_CERT, options */
};

struct catalog;

/* catalog_open() reads a sealed file; owns @fd. Errors: PROTOCOL, NOMEM. */
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

/* catalog_key_id() returns the SHA-256 of the public key of a profile's certificate, or NULL. */
const uint8_t *catalog_key_id(const struct sluice_profile *profile);

/* catalog_set_signer() says who signs for all profiles. Before the first is wanted. */
void catalog_set_signer(struct catalog *catalog, const struct signer *signer);

#endif
