/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule after the handshake: from what BoringSSL exports to the keys of one direction,
 * and from one epoch to the next (RFC 8446, 7.2 and 7.3; RFC 5246, 6.3).
 */
#ifndef SLUICE_RECORD_TRAFFIC_H
#define SLUICE_RECORD_TRAFFIC_H

#include <stdbool.h>

#include "record/suite.h"

/* struct traffic - the state of one direction. Always allocated by secret_new(). */
struct traffic {
	const struct suite *suite;
	uint64_t epoch;                 /* 0 after the handshake, +1 per KeyUpdate */
	uint64_t seq;                   /* of the next record */
	uint8_t secret[SUITE_MAX_HASH]; /* TLS 1.3: application_traffic_secret_N */
	size_t secret_len;              /* 0 under TLS 1.2 */
	uint8_t key[SUITE_MAX_KEY];
	uint8_t iv[SUITE_MAX_IV]; /* TLS 1.3, ChaCha20: 12 bytes; TLS 1.2 GCM: the 4 fixed */
};

/* traffic_free() wipes and frees. NULL is fine. Returns NULL. */
struct traffic *traffic_free(struct traffic *traffic);

/*
 * traffic_new_tls13() makes epoch 0 from a traffic secret, at record number @seq. The caller wipes
 * its own copy. Errors: INVALID (the secret's length is not the suite's), NOMEM.
 */
int traffic_new_tls13(struct traffic **ret_traffic, const struct suite *suite,
		      const uint8_t *secret, size_t secret_len, uint64_t seq);

/*
 * traffic_new_tls12() splits a key block (client key, server key, client IV, server IV) into both
 * directions as seen by @is_server. Errors: INVALID (the block's length is not the suite's), NOMEM.
 */
int traffic_new_tls12(struct traffic **ret_rx, struct traffic **ret_tx, const struct suite *suite,
		      const uint8_t *key_block, size_t key_block_len, bool is_server,
		      uint64_t rx_seq, uint64_t tx_seq);

/* traffic_key_block_len() returns the length of a suite's TLS 1.2 key block. */
size_t traffic_key_block_len(const struct suite *suite);

/*
 * traffic_next_epoch() makes the state of the next epoch beside the present one ("traffic upd"),
 * so that a failed installation loses nothing. Errors: INVALID (TLS 1.2), KEY_EXHAUSTED (no epoch
 * after 2^48-1: RFC 9846, 4.7.3), NOMEM.
 */
int traffic_next_epoch(struct traffic **ret_next, const struct traffic *traffic);

#endif
