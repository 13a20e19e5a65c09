/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of cipher suites: every AEAD suite that BoringSSL can negotiate. Read by the options,
 * the export of keys and both record paths. A suite that is not here has no record path after the
 * handshake: it must never be offered.
 */
#include "record/suite.h"

#include <string.h>

#include <openssl/aead.h>
#include <openssl/digest.h>

/*
 * TLS_CIPHER_* of linux/tls.h. The numbers are kernel ABI; the header of an old distribution may
 * lack some.
 */
#define KERNEL_AES_GCM_128 51
#define KERNEL_AES_GCM_256 52
#define KERNEL_CHACHA20_POLY1305 54

/* RFC 8446, 5.5: 2^24.5 full records of AES-GCM; ChaCha20's numbers wrap first. */
#define LIMIT_AES_GCM 23726566
#define LIMIT_CHACHA20 UINT64_MAX

/* What follows from the AEAD: kernel number, key, IV lengths, record limit, function. */
/* clang-format off */
#define AES_128_TLS13 KERNEL_AES_GCM_128, 16, 12, 0, LIMIT_AES_GCM, EVP_aead_aes_128_gcm
#define AES_256_TLS13 KERNEL_AES_GCM_256, 32, 12, 0, LIMIT_AES_GCM, EVP_aead_aes_256_gcm
/* RFC 5288, 3: a salt of 4 bytes from the key block, 8 bytes of nonce in every record. */
#define AES_128_TLS12 KERNEL_AES_GCM_128, 16, 4, 8, LIMIT_AES_GCM, EVP_aead_aes_128_gcm
#define AES_256_TLS12 KERNEL_AES_GCM_256, 32, 4, 8, LIMIT_AES_GCM, EVP_aead_aes_256_gcm
/* RFC 7905, 2 gives TLS 1.2 the nonce of TLS 1.3. */
#define CHACHA20 KERNEL_CHACHA20_POLY1305, 32, 12, 0, LIMIT_CHACHA20, EVP_aead_chacha20_poly1305

/* Strongest first per version; the suites without forward secrecy last. */
static const struct suite suites[] = {
	{ 0x1302, TLS13, "TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384",
	  AES_256_TLS13, EVP_sha384 },
	{ 0x1303, TLS13, "TLS_CHACHA20_POLY1305_SHA256", "TLS_CHACHA20_POLY1305_SHA256",
	  CHACHA20, EVP_sha256 },
	{ 0x1301, TLS13, "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256",
	  AES_128_TLS13, EVP_sha256 },

	{ 0xc02c, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	  "ECDHE-ECDSA-AES256-GCM-SHA384", AES_256_TLS12, EVP_sha384 },
	{ 0xc030, TLS12, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	  "ECDHE-RSA-AES256-GCM-SHA384", AES_256_TLS12, EVP_sha384 },
	{ 0xcca9, TLS12, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	  "ECDHE-ECDSA-CHACHA20-POLY1305", CHACHA20, EVP_sha256 },
	{ 0xcca8, TLS12, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	  "ECDHE-RSA-CHACHA20-POLY1305", CHACHA20, EVP_sha256 },
	{ 0xccac, TLS12, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256",
	  "ECDHE-PSK-CHACHA20-POLY1305", CHACHA20, EVP_sha256 },
	{ 0xc02b, TLS12, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	  "ECDHE-ECDSA-AES128-GCM-SHA256", AES_128_TLS12, EVP_sha256 },
	{ 0xc02f, TLS12, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	  "ECDHE-RSA-AES128-GCM-SHA256", AES_128_TLS12, EVP_sha256 },
	{ 0x009d, TLS12, "TLS_RSA_WITH_AES_256_GCM_SHA384",
	  "AES256-GCM-SHA384", AES_256_TLS12, EVP_sha384 },
	{ 0x009c, TLS12, "TLS_RSA_WITH_AES_128_GCM_SHA256",
	  "AES128-GCM-SHA256", AES_128_TLS12, EVP_sha256 },
};
/* clang-format on */

#define N_SUITES (sizeof(suites) / sizeof(suites[0]))

const struct suite *suite_find(uint16_t id)
{
	for (size_t i = 0; i < N_SUITES; i++) {
		if (suites[i].id == id)
			return &suites[i];
	}
	return NULL;
}

static int is_name(const char *name, const char *text, size_t text_len)
{
	return strlen(name) == text_len && memcmp(name, text, text_len) == 0;
}

const struct suite *suite_find_name(const char *name, size_t name_len)
{
	for (size_t i = 0; i < N_SUITES; i++) {
		if (is_name(suites[i].name, name, name_len) ||
		    is_name(suites[i].openssl_name, name, name_len))
			return &suites[i];
	}
	return NULL;
}

const struct suite *suite_at(size_t i)
{
	return i < N_SUITES ? &suites[i] : NULL;
}
