// SPDX-License-Identifier: Apache-2.0
#include "fetch/target.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/rand.h>

#include "core/sys.h"
#include "fetch/when.h"

#define MAX_ATTEMPTS 2

static uint32_t random32(void)
{
	uint32_t value;

	RAND_bytes((uint8_t *)&value, sizeof(value));
	return value;
}

/* Whether a key has verified its signature: then it was evidence somewhere. */
static bool is_verified(struct sluice_crl *crl)
{
	bool known;

	if (!crl)
		return false;
	pthread_mutex_lock(&crl->lock);
	known = crl->verdicts[true].known;
	pthread_mutex_unlock(&crl->lock);
	return known;
}

static bool is_current(const struct sluice_crl *crl)
{
	return crl && crl->next_update_s >= sys->wall_s();
}

/* --- the table -------------------------------------------------------------------------------- */

static void drop_previous(struct fetch_targets *targets, struct fetch_target *target)
{
	targets->bytes -= target->previous_len;
	target->previous_len = 0;
	target->previous = sluice_crl_unref(target->previous);
}

static void drop(struct fetch_targets *targets, size_t i)
{
	struct fetch_target *target = targets->targets[i];

	drop_previous(targets, target);
	targets->bytes -= target->len;
	sluice_crl_unref(target->crl);
	free(target);
	targets->targets[i] = targets->targets[--targets->n];
}

/* Makes room at the cost of the one that was not asked for longest, but never of @except. */
static bool drop_oldest(struct fetch_targets *targets, const struct fetch_target *except)
{
	const struct fetch_target *target;
	size_t i, oldest = targets->n;

	for (i = 0; i < targets->n; i++) {
		target = targets->targets[i];
		if (target == except || target->state != TARGET_IDLE || target->waiters)
			continue;
		if (oldest == targets->n || target->used < targets->targets[oldest]->used)
			oldest = i;
	}
	if (oldest == targets->n)
		return false;
	drop(targets, oldest);
	return true;
}

struct fetch_target *target_get(struct fetch_targets *targets, const char *url)
{
	struct fetch_target *target;
	size_t i;

	for (i = 0; i < targets->n; i++)
		if (!strcmp(targets->targets[i]->url, url))
			break;
	if (i == targets->n) {
		if (i == FETCH_MAX_TARGETS && !drop_oldest(targets, NULL))
			return NULL;
		target = calloc(1, sizeof(*target));
		if (!target)
			return NULL;
		strncpy(target->url, url, FETCH_MAX_URL);
		i = targets->n++;
		targets->targets[i] = target;
	}
	targets->targets[i]->used = ++targets->uses;
	return targets->targets[i];
}

struct fetch_target *target_find(const struct fetch_targets *targets, uint32_t id)
{
	size_t i;

	for (i = 0; i < targets->n; i++)
		if (targets->targets[i]->state == TARGET_FLYING && targets->targets[i]->id == id)
			return targets->targets[i];
	return NULL;
}

void targets_clear(struct fetch_targets *targets)
{
	while (targets->n)
		drop(targets, targets->n - 1);
}

/* --- what is wanted --------------------------------------------------------------------------- */

static struct sluice_crl *stand_in(const struct fetch_target *target)
{
	return is_verified(target->crl) ? NULL : target->previous;
}

bool target_has(const struct fetch_target *target)
{
	return is_current(target->crl) || is_current(stand_in(target));
}

static bool queue(struct fetch_target *target)
{
	if (target->state != TARGET_IDLE || sys->now_us() < target->retry_us)
		return false;
	target->state = TARGET_QUEUED;
	target->attempts = 0;
	return true;
}

static bool is_due(const struct fetch_target *target)
{
	return !is_current(target->crl) || sys->wall_s() >= target->refresh_s;
}

/* A CRL that no key has verified is as good as none: it is fetched again, at growing distances. */
static void look_at_proof(struct fetch_target *target)
{
	if (is_verified(target->crl) && target->proof != PROOF_GOOD) {
		target->proof = PROOF_GOOD;
		target->failures = 0;
	} else if (target->proof == PROOF_OFFERED && target->state == TARGET_IDLE) {
		target->proof = PROOF_BAD;
		target->refresh_s = sys->wall_s();
		target->etag[0] = target->modified[0] = '\0';
		target_failed(target, FETCH_CONTENT);
	}
}

bool target_want(struct fetch_target *target)
{
	target->wanted = true;
	look_at_proof(target);
	return is_due(target) && queue(target);
}

bool target_due(struct fetch_target *target)
{
	return target->wanted && target->crl && is_due(target) && queue(target);
}

int target_add_found(struct fetch_target *target, struct sluice_crl_found *found)
{
	int r;

	if (!target->crl)
		return SLUICE_CRL_NOT_AVAILABLE;
	r = sluice_crl_found_add(found, target->crl);
	if (!r && stand_in(target))
		r = sluice_crl_found_add(found, target->previous);
	if (target->proof == PROOF_NONE)
		target->proof = PROOF_OFFERED;
	return r;
}

/* --- how it ended ----------------------------------------------------------------------------- */

void target_asked(struct fetch_targets *targets, struct fetch_target *target, unsigned int wait_ms)
{
	target->state = TARGET_FLYING;
	target->id = targets->next_id++;
	target->overdue_us = sys->now_us() + 1000ull * wait_ms;
}

static void schedule(struct fetch_target *target)
{
	const struct sluice_crl *crl = target->crl;

	target->state = TARGET_IDLE;
	target->wanted = false;
	target->reason = FETCH_OK;
	if (target->proof == PROOF_GOOD)
		target->failures = 0;
	target->refresh_s =
		fetch_refresh_at(crl->this_update_s, crl->next_update_s, sys->wall_s(), random32());
	target->retry_us = sys->now_us() + 1000000ull * FETCH_LEAST_S;
}

void target_failed(struct fetch_target *target, enum fetch_reason reason)
{
	target->state = TARGET_IDLE;
	target->reason = reason;
	target->failures++;
	target->retry_us = sys->now_us() + 1000000ull * fetch_backoff_s(target->failures);
}

static void keep_tags(struct fetch_target *target, const struct fetch_answer *answer)
{
	memcpy(target->etag, answer->etag, sizeof(target->etag));
	memcpy(target->modified, answer->modified, sizeof(target->modified));
}

static bool make_room(struct fetch_targets *targets, const struct fetch_target *target, size_t len)
{
	while (targets->bytes + len > FETCH_MAX_BYTES)
		if (!drop_oldest(targets, target))
			return false;
	return true;
}

/* The new one in front; of the two that were, one stays that was evidence. */
static void put_in_front(struct fetch_targets *targets, struct fetch_target *target,
			 struct sluice_crl *crl, size_t len)
{
	if (is_verified(target->crl)) {
		drop_previous(targets, target);
		target->previous = target->crl;
		target->previous_len = target->len;
	} else {
		targets->bytes -= target->len;
		sluice_crl_unref(target->crl);
	}
	target->crl = crl;
	target->len = len;
	target->proof = PROOF_NONE;
	targets->bytes += len;
}

void target_took(struct fetch_targets *targets, struct fetch_target *target, struct sluice_crl *crl,
		 size_t len, const struct fetch_answer *answer)
{
	const struct sluice_crl *old = target->crl;

	if (old && !memcmp(old->sha256, crl->sha256, sizeof(crl->sha256))) {
		sluice_crl_unref(crl);
		keep_tags(target, answer);
		target_confirmed(target);
		return;
	}
	/* Whoever is between us and the server could take a revocation back by an older CRL. */
	if (!is_current(crl) || !make_room(targets, target, len) ||
	    (is_verified(target->crl) && crl->this_update_s < old->this_update_s)) {
		sluice_crl_unref(crl);
		target_failed(target, FETCH_CONTENT);
		return;
	}
	put_in_front(targets, target, crl, len);
	keep_tags(target, answer);
	schedule(target);
}

void target_confirmed(struct fetch_target *target)
{
	if (is_current(target->crl) && target->proof != PROOF_BAD)
		schedule(target);
	else
		target_failed(target, FETCH_CONTENT);
}

void target_lost(struct fetch_target *target)
{
	if (target->state != TARGET_FLYING)
		return;
	if (++target->attempts < MAX_ATTEMPTS)
		target->state = TARGET_QUEUED;
	else
		target_failed(target, FETCH_PROCESS);
}
