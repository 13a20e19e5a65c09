// SPDX-License-Identifier: Apache-2.0
#include "common/permit.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/sha.h>

#define UNTIL_LEN 8
#define TAG_AT (UNTIL_LEN + 1)
#define TAG_LEN (PERMIT_LEN - TAG_AT)

static void make_tag(uint8_t tag[SHA256_DIGEST_LENGTH], const uint8_t *permit,
		     const uint8_t key[PERMIT_KEY_LEN], uint64_t session)
{
	uint8_t text[sizeof(session) + TAG_AT];

	memcpy(text, &session, sizeof(session));
	memcpy(text + sizeof(session), permit, TAG_AT);
	HMAC(EVP_sha256(), key, PERMIT_KEY_LEN, text, sizeof(text), tag, NULL);
}

void permit_write(uint8_t permit[PERMIT_LEN], const uint8_t key[PERMIT_KEY_LEN], uint64_t session,
		  enum sluice_role role, uint64_t until_ms)
{
	uint8_t tag[SHA256_DIGEST_LENGTH];

	memcpy(permit, &until_ms, UNTIL_LEN);
	permit[UNTIL_LEN] = (uint8_t)role;
	make_tag(tag, permit, key, session);
	memcpy(permit + TAG_AT, tag, TAG_LEN);
}

bool permit_read(const uint8_t *permit, size_t len, const uint8_t key[PERMIT_KEY_LEN],
		 uint64_t session, uint64_t now_ms, enum sluice_role *ret_role)
{
	uint8_t tag[SHA256_DIGEST_LENGTH];
	uint64_t until_ms;

	if (len != PERMIT_LEN)
		return false;
	make_tag(tag, permit, key, session);
	memcpy(&until_ms, permit, UNTIL_LEN);
	*ret_role = (enum sluice_role)permit[UNTIL_LEN];
	return CRYPTO_memcmp(tag, permit + TAG_AT, TAG_LEN) == 0 && now_ms <= until_ms;
}

/* --- what has been used ------------------------------------------------------------------------ */

#define WORD 64

struct permits_used {
	uint64_t newest;
	size_t window;
	uint64_t words[]; /* bit: session % window */
};

struct permits_used *permits_used_new(size_t window)
{
	struct permits_used *used = calloc(1, sizeof(*used) + window / 8);

	if (used)
		used->window = window;
	return used;
}

void permits_used_free(struct permits_used *used)
{
	free(used);
}

static uint64_t *word_of(struct permits_used *used, uint64_t session)
{
	return &used->words[session % used->window / WORD];
}

/* The bits of those that come in are those of the ones that go out. */
static void advance(struct permits_used *used, uint64_t session)
{
	if (session - used->newest >= used->window)
		memset(used->words, 0, used->window / 8);
	else
		while (++used->newest < session)
			*word_of(used, used->newest) &= ~(1ull << used->newest % WORD);
	used->newest = session;
	*word_of(used, session) &= ~(1ull << session % WORD);
}

bool permits_use(struct permits_used *used, uint64_t session)
{
	uint64_t bit = 1ull << session % WORD;

	if (session > used->newest)
		advance(used, session);
	else if (used->newest - session >= used->window || *word_of(used, session) & bit)
		return false;
	*word_of(used, session) |= bit;
	return true;
}
