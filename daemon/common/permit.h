/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Permits: the keeper makes one private key operation for each handshake that the broker has begun. The
 * broker writes a permit, which the handshaker passes on with its request; the keeper, which shares a
 * secret with the broker alone, reads it. So nothing goes from broker to keeper for a handshake, and the
 * keeper has no state for one that never asks.
 */
#ifndef SLUICED_COMMON_PERMIT_H
#define SLUICED_COMMON_PERMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/sluice.h>

#define PERMIT_KEY_LEN 32
#define PERMIT_LEN 25 /* until, role, first half of an HMAC-SHA256 */

/* permit_write() permits an operation for @session until @until_ms of CLOCK_MONOTONIC. */
void permit_write(uint8_t permit[PERMIT_LEN], const uint8_t key[PERMIT_KEY_LEN], uint64_t session,
		  enum sluice_role role, uint64_t until_ms);

/* permit_read() tells whether it is one for @session now, and of which role the session is. */
bool permit_read(const uint8_t *permit, size_t len, const uint8_t key[PERMIT_KEY_LEN],
		 uint64_t session, uint64_t now_ms, enum sluice_role *ret_role);

/*
 * struct permits_used - which permits have been used: a window over the newest sessions, as their
 * numbers only grow. What is older than the window counts as used.
 */
struct permits_used;

/* permits_used_new() is for so many sessions, a power of two. NULL: no memory. */
struct permits_used *permits_used_new(size_t window);

/* permits_use() tells whether the permit of @session was not used yet; it is from now on. */
bool permits_use(struct permits_used *used, uint64_t session);
void permits_used_free(struct permits_used *used);

#endif
