/* SPDX-License-Identifier: Apache-2.0 */
/* What a hello says, copied out of the handshake so that it can be looked at at any time. */
#ifndef SLUICE_BSSL_HELLO_H
#define SLUICE_BSSL_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sluice/info.h>

struct hello;

/*
 * hello_parse_client() and hello_parse_server() read one handshake message, header included;
 * hello_parse_client_body() takes it without, as SSL_CLIENT_HELLO has it. Nothing refers to the
 * message afterwards. What is malformed, contradicts its own lengths or comes twice is refused;
 * whether the offer makes sense is BoringSSL's to judge. Errors: PROTOCOL, NOMEM.
 */
int hello_parse_client(struct hello **ret_hello, const uint8_t *msg, size_t msg_len);
int hello_parse_client_body(struct hello **ret_hello, const uint8_t *body, size_t body_len);
int hello_parse_server(struct hello **ret_hello, const uint8_t *msg, size_t msg_len);

/* hello_export() fills the public view; its pointers live as long as @hello. */
void hello_export(const struct hello *hello, struct sluice_hello *ret_hello);

/*
 * hello_cert_algs() lists what a client takes for signatures in certificates: signature_algorithms_cert, or
 * without it signature_algorithms (RFC 8446, 4.2.3). Returns how many; 0: it does not say.
 */
size_t hello_cert_algs(const struct hello *hello, const uint16_t **ret_algs);

/* hello_is_retry() tells a HelloRetryRequest from a ServerHello (RFC 8446, 4.1.3). */
bool hello_is_retry(const struct hello *hello);

/* hello_free() frees. NULL is fine. Returns NULL. */
struct hello *hello_free(struct hello *hello);

#endif
