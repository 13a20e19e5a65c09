// SPDX-License-Identifier: Apache-2.0
/*
 * Where connections come from: a source is an IPv4 address or an IPv6 /64, or of what programs bring the
 * user they run as. One source gets no more than its share of the handshakes under way, no more new ones
 * in a second than its rate, and none for a while after a handshake of its crashed a process.
 *
 * A source is known as long as there is something to know of it. Those that have handshakes under way are
 * as few as these, and those with a penalty as few as crashes. Those that have only come lately stand in a
 * row of at most SOURCE_IDLE_MAX, and who came longest ago is forgotten first: after a second its rate is
 * whole again, so that it makes no difference unless more sources than that come within one second.
 */
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"

#define PREFIX_LEN_IPV6 8
#define SECOND_MS 1000

struct source {
	LIST_ENTRY(source) in_bucket;
	TAILQ_ENTRY(source) in_row;
	struct source_row *row; /* NULL: something is under way */
	uint8_t prefix[16];
	unsigned int in_progress;
	uint32_t spent;      /* thousandths of connections that it has had of its rate */
	uint64_t spent_ms;   /* when that was so */
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

static struct source *find(struct sources *sources, const struct sockaddr_in6 *addr)
{
	struct source *source;
	uint8_t prefix[16];

	prefix_of(addr, prefix);
	LIST_FOREACH(source, &sources->buckets[bucket_of(sources, prefix)], in_bucket)
	if (memcmp(source->prefix, prefix, 16) == 0)
		return source;
	return NULL;
}

static void leave_row(struct source *source)
{
	if (!source->row)
		return;
	TAILQ_REMOVE(&source->row->sources, source, in_row);
	source->row->n--;
	source->row = NULL;
}

static void forget(struct sources *sources, struct source *source)
{
	leave_row(source);
	LIST_REMOVE(source, in_bucket);
	sources->n--;
	free(source);
}

static struct source *find_or_make(struct sources *sources, const struct sockaddr_in6 *addr)
{
	struct source *source = find(sources, addr);

	if (source)
		return source;
	source = calloc(1, sizeof(*source));
	if (!source)
		return NULL;
	prefix_of(addr, source->prefix);
	LIST_INSERT_HEAD(&sources->buckets[bucket_of(sources, source->prefix)], source, in_bucket);
	sources->n++;
	return source;
}

/* In the place of an address that no connection has: ff00::/8 is multicast. */
struct sockaddr_in6 source_of_user(uid_t uid)
{
	struct sockaddr_in6 addr = { .sin6_family = AF_INET6 };

	addr.sin6_addr.s6_addr[0] = 0xff;
	memcpy(addr.sin6_addr.s6_addr + PREFIX_LEN_IPV6 - sizeof(uid), &uid, sizeof(uid));
	return addr;
}

/* To the end of the row where it belongs now. */
static void touch(struct broker *broker, struct source *source)
{
	struct sources *sources = &broker->sources;

	leave_row(source);
	if (source->in_progress)
		return;
	source->row = source->penalty_ms > broker->loop.now_ms ? &sources->penalised
							       : &sources->idle;
	TAILQ_INSERT_TAIL(&source->row->sources, source, in_row);
	source->row->n++;
	if (sources->idle.n > SOURCE_IDLE_MAX)
		forget(sources, TAILQ_FIRST(&sources->idle.sources));
}

/* A bucket that holds a second's worth. Returns false when it is empty; a refusal costs nothing. */
static bool spend(struct source *source, uint64_t rate, uint64_t now_ms)
{
	uint64_t back = (now_ms - source->spent_ms) * rate, all = rate * SECOND_MS;

	if (!rate)
		return true;
	if (source->spent > all)
		source->spent = (uint32_t)all; /* the rate was another */
	source->spent = back < source->spent ? (uint32_t)(source->spent - back) : 0;
	source->spent_ms = now_ms;
	if (source->spent + SECOND_MS > all)
		return false;
	source->spent += SECOND_MS;
	return true;
}

enum end source_enter(struct broker *broker, const struct sockaddr_in6 *addr, unsigned int share,
		      unsigned int rate)
{
	struct source *source = find_or_make(&broker->sources, addr);
	enum end refusal;

	if (!source)
		return END_NO_MEMORY;
	if (source->penalty_ms > broker->loop.now_ms)
		refusal = END_PENALTY;
	else if (source->in_progress >= share)
		refusal = END_SHARE;
	else
		refusal = spend(source, rate, broker->loop.now_ms) ? END_NONE : END_RATE;
	if (!refusal)
		source->in_progress++;
	touch(broker, source);
	return refusal;
}

void source_leave(struct broker *broker, const struct sockaddr_in6 *addr)
{
	struct source *source = find(&broker->sources, addr);

	if (!source || !source->in_progress)
		return;
	source->in_progress--;
	touch(broker, source);
}

void source_penalise(struct broker *broker, const struct sockaddr_in6 *addr)
{
	struct source *source = find_or_make(&broker->sources, addr);

	if (!source)
		return;
	source->penalty_ms = broker->loop.now_ms + broker->config->limits.penalty_ms;
	touch(broker, source);
}

static bool is_forgettable(const struct broker *broker, const struct source *source)
{
	return source->penalty_ms <= broker->loop.now_ms &&
	       (!source->spent || broker->loop.now_ms - source->spent_ms >= SECOND_MS);
}

static void sweep(struct broker *broker, struct source_row *row)
{
	struct source *source, *next;
	size_t i = 0;

	for (source = TAILQ_FIRST(&row->sources); source && i < SOURCE_SWEPT; source = next, i++) {
		next = TAILQ_NEXT(source, in_row);
		if (is_forgettable(broker, source))
			forget(&broker->sources, source);
	}
}

void sources_tick(struct broker *broker)
{
	sweep(broker, &broker->sources.idle);
	sweep(broker, &broker->sources.penalised);
}

void sources_init(struct sources *sources, uint64_t seed)
{
	*sources = (struct sources){ .seed = seed };
	TAILQ_INIT(&sources->idle.sources);
	TAILQ_INIT(&sources->penalised.sources);
}

void sources_free(struct broker *broker)
{
	struct sources *sources = &broker->sources;
	struct source *source;
	size_t i;

	for (i = 0; i < SOURCE_BUCKETS; i++)
		while ((source = LIST_FIRST(&sources->buckets[i])))
			forget(sources, source);
}
