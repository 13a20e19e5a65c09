/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's TLS socket interface (uapi/linux/tls.h) as far as ktls.c uses it. Carried along,
 * since the headers of a build machine are often older than the kernel the program meets; where
 * they know a number, the compiler holds ours against it.
 */
#ifndef SLUICE_RECORD_KTLS_ABI_H
#define SLUICE_RECORD_KTLS_ABI_H

#include <stddef.h>
#include <stdint.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#define KABI_TCP_ULP 31
#define KABI_SOL_TLS 282

/* Socket options of KABI_SOL_TLS. The first two came with it, the others later: probe for them. */
#define KABI_TX 1
#define KABI_RX 2
#define KABI_TX_ZEROCOPY_RO 3     /* uint32_t, 0 or 1 */
#define KABI_RX_EXPECT_NO_PAD 4   /* uint32_t, 0 or 1 */
#define KABI_TX_MAX_PAYLOAD_LEN 5 /* uint16_t */

/* Control messages of KABI_SOL_TLS; their payload is one byte, the record type. */
#define KABI_SET_RECORD_TYPE 1
#define KABI_GET_RECORD_TYPE 2

/* What KABI_TX and KABI_RX take: this head, then the four fields below without padding. */
struct kabi_crypto_info {
	uint16_t version;
	uint16_t cipher;
};

#define KABI_SEQ_LEN 8

/* X(name, the kernel's structure, number, length of iv, of key, of salt); rec_seq comes last. */
#define KABI_CIPHERS(X)                           \
	X(AES_GCM_128, aes_gcm_128, 51, 8, 16, 4) \
	X(AES_GCM_256, aes_gcm_256, 52, 8, 32, 4) \
	X(CHACHA20_POLY1305, chacha20_poly1305, 54, 12, 32, 0)

#if defined(__has_include)
#if __has_include(<linux/tls.h>)
#include <linux/tls.h>

#define KABI_SAME(ours, theirs) _Static_assert((ours) == (theirs), #ours " is not " #theirs)

#define KABI_SAME_CIPHER(name, type, id, iv_len, key_len, salt_len)                                \
	KABI_SAME(id, TLS_CIPHER_##name);                                                          \
	KABI_SAME(sizeof(struct kabi_crypto_info), offsetof(struct tls12_crypto_info_##type, iv)); \
	KABI_SAME(4 + (iv_len), offsetof(struct tls12_crypto_info_##type, key));                   \
	KABI_SAME(4 + (iv_len) + (key_len), offsetof(struct tls12_crypto_info_##type, salt));      \
	KABI_SAME(4 + (iv_len) + (key_len) + (salt_len),                                           \
		  offsetof(struct tls12_crypto_info_##type, rec_seq));                             \
	KABI_SAME(4 + (iv_len) + (key_len) + (salt_len) + KABI_SEQ_LEN,                            \
		  sizeof(struct tls12_crypto_info_##type));

/* The ciphers stand in headers since Linux 5.11, which is older than all we support. */
KABI_CIPHERS(KABI_SAME_CIPHER)
KABI_SAME(KABI_TX, TLS_TX);
KABI_SAME(KABI_RX, TLS_RX);
KABI_SAME(KABI_SET_RECORD_TYPE, TLS_SET_RECORD_TYPE);
KABI_SAME(KABI_GET_RECORD_TYPE, TLS_GET_RECORD_TYPE);
#ifdef TLS_TX_ZEROCOPY_RO
KABI_SAME(KABI_TX_ZEROCOPY_RO, TLS_TX_ZEROCOPY_RO);
#endif
#ifdef TLS_RX_EXPECT_NO_PAD
KABI_SAME(KABI_RX_EXPECT_NO_PAD, TLS_RX_EXPECT_NO_PAD);
#endif
#ifdef TLS_TX_MAX_PAYLOAD_LEN
KABI_SAME(KABI_TX_MAX_PAYLOAD_LEN, TLS_TX_MAX_PAYLOAD_LEN);
#endif
#ifdef TCP_ULP
KABI_SAME(KABI_TCP_ULP, TCP_ULP);
#endif
#ifdef SOL_TLS
KABI_SAME(KABI_SOL_TLS, SOL_TLS);
#endif

#endif
#endif

#endif
