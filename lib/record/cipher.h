/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record sealed or opened: EVP_AEAD with the nonces and additional data of TLS 1.2 and 1.3. No
 * buffer and no socket. Must never use a record number twice, or leave a key outside locked memory.
 */
#ifndef SLUICE_RECORD_CIPHER_H
#define SLUICE_RECORD_CIPHER_H

#include <stddef.h>
#include <stdint.h>

#include "record/traffic.h"

struct cipher_keys;

/* struct cipher - one direction. All zeroes: no keys. */
struct cipher {
	const struct suite *suite;
	struct cipher_keys *keys;
	uint64_t seq; /* of the next record */
};

/* cipher_set() puts the keys of @traffic in force, or leaves the old ones. Errors: NOMEM, INTERNAL. */
int cipher_set(struct cipher *cipher, const struct traffic *traffic);

/* cipher_clear() frees the keys. May be called twice. */
void cipher_clear(struct cipher *cipher);

/* cipher_overhead() is what a record is longer than its plaintext, padding apart. */
size_t cipher_overhead(const struct cipher *cipher);

/*
 * cipher_seal() makes a whole record of @len bytes of @type at @record, which has room for
 * cipher_overhead() more and does not overlap @in. Returns 0, or -SLUICE_E_INTERNAL: the number may
 * have been used.
 */
int cipher_seal(struct cipher *cipher, uint8_t type, const uint8_t *in, size_t len,
		uint8_t *record);

/*
 * cipher_plain_len() is what cipher_open() writes for a body of @body_len bytes, which is at least
 * cipher_min_body(): the plaintext, under TLS 1.3 with type and padding.
 */
size_t cipher_min_body(const struct cipher *cipher);
size_t cipher_plain_len(const struct cipher *cipher, size_t body_len);

/*
 * cipher_open() opens the record at @record, whose body has @body_len bytes, into @out: that is @in
 * its own place (cipher_plain()) or apart from it. Returns 0, or -SLUICE_E_BAD_RECORD_MAC, or
 * -SLUICE_E_PROTOCOL: there are no numbers left. @out holds zeroes then, and the number is not used.
 */
int cipher_open(struct cipher *cipher, uint8_t *record, size_t body_len, uint8_t *out);

/* cipher_plain() is where the plaintext of @record stands when it is opened in place. */
uint8_t *cipher_plain(const struct cipher *cipher, uint8_t *record);

#endif
