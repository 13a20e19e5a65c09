/* SPDX-License-Identifier: Apache-2.0 */
/* What BoringSSL offers to C++ only, for C. */
#ifndef SLUICE_BSSL_BRIDGE_H
#define SLUICE_BSSL_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * bridge_traffic_secrets() gives the TLS 1.3 application traffic secrets of both directions after
 * the handshake. They stay BoringSSL's memory and end with @ssl or its next KeyUpdate: copy them
 * into a secret at once. Errors: INTERNAL (not TLS 1.3, or the handshake is not complete); the
 * reason is on BoringSSL's error queue.
 */
int bridge_traffic_secrets(const SSL *ssl, const uint8_t **ret_read, size_t *ret_read_len,
			   const uint8_t **ret_write, size_t *ret_write_len);

#ifdef __cplusplus
}
#endif
#endif
