// SPDX-License-Identifier: Apache-2.0
#include "keeper/keys.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/x509.h>

#include <sluice/error.h>

#define MAX_KEYS 100000

struct key {
	uint8_t id[KEY_ID_LEN];
	EVP_PKEY *pkey;
	size_t needed;
};

static void *tree; /* tsearch(3) by id */
static size_t n_keys;

static int by_id(const void *a, const void *b)
{
	return memcmp(((const struct key *)a)->id, ((const struct key *)b)->id, KEY_ID_LEN);
}

static struct key *find(const uint8_t id[KEY_ID_LEN])
{
	struct key wanted, **found;

	memcpy(wanted.id, id, KEY_ID_LEN);
	found = tfind(&wanted, &tree, by_id);
	return found ? *found : NULL;
}

static int make_id(EVP_PKEY *pkey, uint8_t id[KEY_ID_LEN])
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(pkey, &der);

	if (len <= 0)
		return -SLUICE_E_NOMEM;
	SHA256(der, (size_t)len, id);
	OPENSSL_free(der);
	return 0;
}

static int add(EVP_PKEY *pkey, const uint8_t id[KEY_ID_LEN])
{
	struct key *key = n_keys < MAX_KEYS ? calloc(1, sizeof(*key)) : NULL;

	if (!key)
		return -SLUICE_E_NOMEM;
	memcpy(key->id, id, KEY_ID_LEN);
	if (!tsearch(key, &tree, by_id)) {
		free(key);
		return -SLUICE_E_NOMEM;
	}
	key->pkey = pkey;
	key->needed = 1;
	n_keys++;
	return 0;
}

int keys_keep(EVP_PKEY *pkey, uint8_t ret_id[KEY_ID_LEN])
{
	struct key *key;
	int r = make_id(pkey, ret_id);

	key = r < 0 ? NULL : find(ret_id);
	if (key)
		key->needed++;
	else if (r == 0)
		r = add(pkey, ret_id);
	if (key || r < 0)
		EVP_PKEY_free(pkey);
	return r;
}

/* BoringSSL wipes all that it frees (OPENSSL_free()). */
void keys_drop(const uint8_t id[KEY_ID_LEN])
{
	struct key *key = find(id);

	if (!key || --key->needed)
		return;
	tdelete(key, &tree, by_id);
	EVP_PKEY_free(key->pkey);
	free(key);
	n_keys--;
}

EVP_PKEY *keys_find(const uint8_t id[KEY_ID_LEN])
{
	struct key *key = find(id);

	return key ? key->pkey : NULL;
}

size_t keys_count(void)
{
	return n_keys;
}
