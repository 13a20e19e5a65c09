/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client's sessions of option session_tickets = auto: kept from one connection for the next that
 * would accept the same server. Bounded; safe to use from several threads.
 */
#ifndef SLUICE_CONN_STORE_H
#define SLUICE_CONN_STORE_H

#include <stdint.h>

#include <openssl/ssl.h>

#define STORE_KEY_LEN 32
#define STORE_MAX 1024      /* sessions; the oldest goes first */
#define STORE_MAX_PER_KEY 4 /* of one server: as many connections can resume at once */

struct store;

/* store_new() makes an empty store; NULL: no memory. store_free() forgets all. Returns NULL. */
struct store *store_new(void);
struct store *store_free(struct store *store);

/* store_put() keeps @session, which it owns from then on. Without memory it is forgotten. */
void store_put(struct store *store, const uint8_t key[STORE_KEY_LEN], SSL_SESSION *session);

/*
 * store_take() returns the newest session of @key that has not expired, or NULL; it is the caller's.
 * A TLS 1.3 session is given once (RFC 8446, C.4), one of TLS 1.2 stays for others.
 */
SSL_SESSION *store_take(struct store *store, const uint8_t key[STORE_KEY_LEN]);

/* store_close() forgets all sessions and keeps none from then on. */
void store_close(struct store *store);

#endif
