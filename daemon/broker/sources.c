// SPDX-License-Identifier: Apache-2.0
/*
 * Where connections come from: a source is an IPv4 address or an IPv6 /64. One source gets no more than
 * its share of the handshakes under way, and none for a while after a handshake of its crashed a process.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"

#define PREFIX_LEN_IPV6 8

struct source {
	LIST_ENTRY(source) in_bucket;
	uint8_t prefix[16];
	unsigned int in_progress;
	uint64_t penalty_ms; /* until then it is refused */
};

static void prefix_of(const struct sockaddr_in6 *addr, uint8_t prefix[16])
{
	memcpy(prefix, &addr->sin6_addr, 16);
	if (!IN6_IS_ADDR_V4MAPPED(&addr->sin6_addr))
		memset(prefix + PREFIX_LEN_IPV6, 0, 16 - PREFIX_LEN_IPV6);
}

/* FNV-1a over the prefix and a number nobody outside knows. */
static size_t bucket_of(const struct sources *sources, const uint8_t prefix[16])
{
	uint64_t hash = 14695981039346656037u ^ sources->seed;
	size_t i;

	for (i = 0; i < 16; i++)
		hash = (hash ^ prefix[i]) * 1099511628211u;
	return (hash ^ hash >> 32) % SOURCE_BUCKETS;
}

static struct source *find(struct sources *sources, const uint8_t prefix[16])
{
	struct source *source;

	LIST_FOREACH(source, &sources->buckets[bucket_of(sources, prefix)], in_bucket)
	if (memcmp(source->prefix, prefix, 16) == 0)
		return source;
	return NULL;
}

static struct source *find_or_make(struct sources *sources, const struct sockaddr_in6 *addr)
{
	struct source *source;
	uint8_t prefix[16];

	prefix_of(addr, prefix);
	source = find(sources, prefix);
	if (source)
		return source;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	memcpy(source->prefix, prefix, 16);
	LIST_INSERT_HEAD(&sources->buckets[bucket_of(sources, prefix)], source, in_bucket);
	sources->n++;
	return source;
}

enum end source_enter(struct broker *broker, const struct sockaddr_in6 *addr)
{
	struct source *source = find_or_make(&broker->sources, addr);

	if (!source)
		return END_NO_MEMORY;
	if (source->penalty_ms > broker->loop.now_ms)
		return END_PENALTY;
	if (source->in_progress >= broker->config->limits.per_source)
		return END_SHARE;
	source->in_progress++;
	return ENDS;
}

static void drop_if_idle(struct broker *broker, struct source *source)
{
	if (source->in_progress || source->penalty_ms > broker->loop.now_ms)
		return;
	LIST_REMOVE(source, in_bucket);
	broker->sources.n--;
	free(source);
}

void source_leave(struct broker *broker, const struct sockaddr_in6 *addr)
{
	struct source *source;
	uint8_t prefix[16];

	prefix_of(addr, prefix);
	source = find(&broker->sources, prefix);
	if (!source)
		return;
	source->in_progress--;
	drop_if_idle(broker, source);
}

void source_penalise(struct broker *broker, const struct sockaddr_in6 *addr)
{
	struct source *source = find_or_make(&broker->sources, addr);

	if (source)
		source->penalty_ms = broker->loop.now_ms + broker->config->limits.penalty_ms;
}

void sources_tick(struct broker *broker)
{
	struct sources *sources = &broker->sources;
	struct source *source, *next;

	/* One bucket a tick: whoever served their time are forgotten within minutes. */
	sources->swept = (sources->swept + 1) % SOURCE_BUCKETS;
	for (source = LIST_FIRST(&sources->buckets[sources->swept]); source; source = next) {
		next = LIST_NEXT(source, in_bucket);
		drop_if_idle(broker, source);
	}
}

void sources_free(struct broker *broker)
{
	struct sources *sources = &broker->sources;
	struct source *source;
	size_t i;

	for (i = 0; i < SOURCE_BUCKETS; i++)
		while ((source = LIST_FIRST(&sources->buckets[i]))) {
			LIST_REMOVE(source, in_bucket);
			free(source);
		}
}
