// SPDX-License-Identifier: Apache-2.0
/*
 * The chains that peers have shown, for another look at them: bytes, which nobody here parses. Clients of one
 * CA share most of a chain, and reconnect; so each is kept once, whoever has it, and all together are bounded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/sha.h>

#include "broker/recheck.h"
#include "handover/messages.h"

#define ATTR_HEAD 4

/* A reload may have come since the handshake began: an index of then says nothing now. Listeners stay. */
static const char *profile_of(const struct broker *broker, const struct session *session)
{
	const struct config *config = broker->config;

	if (session->upgrade)
		return session->upgrade->request.profile;
	return config->profiles[config->listeners[session->listener].profile].name;
}

static size_t measure(struct wire_reader reader, SHA256_CTX *sha)
{
	struct attr attr;
	size_t len = 0;

	while (wire_next(&reader, &attr) == 1) {
		if (attr.type != ATTR_PEER_CHAIN)
			continue;
		len += ATTR_HEAD + attr.len;
		SHA256_Update(sha, &attr.len, sizeof(attr.len));
		SHA256_Update(sha, attr.bytes, attr.len);
	}
	return len;
}

static struct chain *find(const struct chains *chains, const uint8_t id[32])
{
	struct chain *chain;
	uint32_t bucket;

	memcpy(&bucket, id, sizeof(bucket));
	LIST_FOREACH(chain, &chains->buckets[bucket % CHAIN_BUCKETS], in_bucket)
	if (!memcmp(chain->id, id, sizeof(chain->id)))
		return chain;
	return NULL;
}

static void fill(struct chain *chain, struct wire_reader reader, size_t len)
{
	struct wire wire = { .buf = chain->attrs, .size = len };
	struct attr attr;

	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_PEER_CHAIN)
			wire_put(&wire, attr.type, attr.bytes, attr.len);
	chain->len = (uint32_t)wire.len;
}

static void tell_full(struct broker *broker)
{
	if (!broker->chains->full)
		log_line(broker, CONFIG_LOG_WARNING,
			 "recheck: no room for more peers' chains: `sluicectl recheck` passes over "
			 "those sessions; raise limits: recheck_memory");
	broker->chains->full = true;
}

static struct chain *add(struct broker *broker, const uint8_t id[32], const char *profile,
			 struct wire_reader reader, size_t len)
{
	struct chains *chains = broker->chains;
	size_t size = sizeof(struct chain) + len;
	struct chain *chain;
	uint32_t bucket;

	if (size > broker->config->limits.recheck_memory ||
	    chains->bytes > broker->config->limits.recheck_memory - size) {
		tell_full(broker);
		return NULL;
	}
	chain = calloc(1, size);
	if (!chain)
		return NULL;
	memcpy(chain->id, id, sizeof(chain->id));
	snprintf(chain->profile, sizeof(chain->profile), "%s", profile);
	fill(chain, reader, len);
	memcpy(&bucket, id, sizeof(bucket));
	LIST_INSERT_HEAD(&chains->buckets[bucket % CHAIN_BUCKETS], chain, in_bucket);
	chains->n++;
	chains->bytes += size;
	return chain;
}

void chain_keep(struct broker *broker, struct session *session, struct wire_reader reader)
{
	const char *profile = profile_of(broker, session);
	uint8_t id[SHA256_DIGEST_LENGTH];
	SHA256_CTX sha;
	size_t len;

	SHA256_Init(&sha);
	SHA256_Update(&sha, profile, strlen(profile) + 1);
	len = measure(reader, &sha);
	if (!len || session->chain)
		return;
	SHA256_Final(id, &sha);
	session->chain = find(broker->chains, id);
	if (!session->chain)
		session->chain = add(broker, id, profile, reader, len);
	if (session->chain)
		session->chain->refs++;
}

void chain_drop(struct broker *broker, struct session *session)
{
	struct chain *chain = session->chain;

	session->chain = NULL;
	if (!chain || --chain->refs)
		return;
	LIST_REMOVE(chain, in_bucket);
	broker->chains->n--;
	broker->chains->bytes -= sizeof(*chain) + chain->len;
	broker->chains->full = false;
	free(chain);
}
