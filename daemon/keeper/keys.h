/* SPDX-License-Identifier: Apache-2.0 */
/* The private keys that the keeper has, by the SHA-256 of their SubjectPublicKeyInfo. */
#ifndef SLUICED_KEEPER_KEYS_H
#define SLUICED_KEEPER_KEYS_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>
#include <openssl/sha.h>

#define KEY_ID_LEN SHA256_DIGEST_LENGTH

/*
 * keys_keep() owns @pkey and tells its id. A key that is there already is needed once more. Errors:
 * NOMEM, also for more than 100,000 keys.
 */
int keys_keep(EVP_PKEY *pkey, uint8_t ret_id[KEY_ID_LEN]);

/* keys_drop() takes one keys_keep() back; after the last one the key is wiped and freed. */
void keys_drop(const uint8_t id[KEY_ID_LEN]);

/* keys_find() returns a key, which stays the keeper's, or NULL. */
EVP_PKEY *keys_find(const uint8_t id[KEY_ID_LEN]);

/* keys_count() tells how many different keys there are. */
size_t keys_count(void);

#endif
