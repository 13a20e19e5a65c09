/* SPDX-License-Identifier: Apache-2.0 */
/* The table of cipher suites: what each record path needs to know of them, once. */
#ifndef SLUICE_RECORD_SUITE_H
#define SLUICE_RECORD_SUITE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/base.h>

#define TLS12 0x0303
#define TLS13 0x0304

#define SUITE_MAX_KEY 32
#define SUITE_MAX_IV 12
#define SUITE_MAX_HASH 48
#define SUITE_TAG_LEN 16

struct suite {
	uint16_t id;      /* IANA number */
	uint16_t version; /* TLS12 or TLS13 */
	const char *name; /* IANA name */
	const char *openssl_name;
	uint16_t kernel_cipher; /* TLS_CIPHER_* of linux/tls.h; 0: the kernel has none */
	uint8_t key_len;
	uint8_t fixed_iv_len;  /* TLS 1.2: bytes of the key block; TLS 1.3: always 12 */
	uint8_t explicit_len;  /* TLS 1.2 GCM: 8 bytes of nonce in every record; else 0 */
	uint64_t record_limit; /* records that one key may seal */
	const EVP_AEAD *(*aead)(void);
	const EVP_MD *(*md)(void); /* of the key schedule */
};

/* suite_find() returns the row of an IANA number, or NULL. */
const struct suite *suite_find(uint16_t id);

/* suite_find_name() takes the IANA or the OpenSSL name. */
const struct suite *suite_find_name(const char *name, size_t name_len);

/* suite_at() returns row @i in the table's order (strongest first per version), NULL at the end. */
const struct suite *suite_at(size_t i);

#endif
