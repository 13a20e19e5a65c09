/* SPDX-License-Identifier: Apache-2.0 */
/* Whom connections are of, and what each may have. */
#ifndef SLUICED_BROKER_SOURCES_H
#define SLUICED_BROKER_SOURCES_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "broker/end.h"

struct broker;

#define SOURCE_BUCKETS 4096
#define SOURCE_IDLE_MAX 65536 /* 6 MiB of those that have nothing under way */
#define SOURCE_SWEPT 4096     /* in one tick: more than can have come since the last one */

/* struct source_row - sources, those that came longest ago first. */
struct source_row {
	TAILQ_HEAD(, source) sources;
	size_t n;
};

struct sources {
	LIST_HEAD(, source) buckets[SOURCE_BUCKETS];
	struct source_row idle, penalised;
	size_t n;
	uint64_t seed;
};

void sources_init(struct sources *sources, uint64_t seed);

/*
 * source_enter() counts a handshake of an address that may have @share of them under way and @rate new ones
 * in a second (0: any number). Returns END_NONE, or why it may not begin. source_of_user() stands for a user
 * of this machine.
 */
struct sockaddr_in6 source_of_user(uid_t uid);
enum end source_enter(struct broker *broker, const struct sockaddr_in6 *addr, unsigned int share,
		      unsigned int rate);
void source_leave(struct broker *broker, const struct sockaddr_in6 *addr);

/* source_penalise() keeps an address out for limits.penalty. */
void source_penalise(struct broker *broker, const struct sockaddr_in6 *addr);
void sources_tick(struct broker *broker);
void sources_free(struct broker *broker);

#endif
