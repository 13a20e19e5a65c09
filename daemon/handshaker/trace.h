/* SPDX-License-Identifier: Apache-2.0 */
/* What a handshaker tells the broker of a session that somebody follows: never waited for, at most lost. */
#ifndef SLUICED_HANDSHAKER_TRACE_H
#define SLUICED_HANDSHAKER_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include <sluice/sluice.h>

/* What the client offers. */
void trace_hello(int broker_fd, uint64_t session, const struct sluice_hello *hello);

/* Who answers: the digest of its key, or NULL, and whether no host has the name. */
void trace_host(int broker_fd, uint64_t session, const uint8_t *key_id, bool is_default);

/* The keeper is asked for a signature, and has answered: with one, or not. */
void trace_sign(int broker_fd, uint64_t session, uint16_t algorithm);
void trace_signed(int broker_fd, uint64_t session, bool good);

#endif
