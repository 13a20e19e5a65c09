/* SPDX-License-Identifier: Apache-2.0 */
/* Two BoringSSL ends in one process, joined by memory: no socket, no thread, every byte visible. */
#ifndef SLUICE_TESTS_BSSL_PAIR_H
#define SLUICE_TESTS_BSSL_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

/* struct bssl_pair - the server has a P-256 certificate that the client does not check. */
struct bssl_pair {
	SSL_CTX *client_ctx, *server_ctx;
	SSL *client, *server;
};

/* bssl_pair_init() makes the contexts for one TLS version. Never fails: it ends the test. */
void bssl_pair_init(struct bssl_pair *pair, uint16_t version);

/* bssl_pair_connect() makes both ends from the contexts as they are now; no byte moves. */
void bssl_pair_connect(struct bssl_pair *pair);

/* bssl_pair_pending() shows the bytes that @ssl has written and nobody has read. */
const uint8_t *bssl_pair_pending(const SSL *ssl, size_t *ret_len);

/* bssl_pair_move() gives what @from has written to @to. Returns how much it was. */
size_t bssl_pair_move(SSL *from, SSL *to);

/* bssl_pair_handshake() runs the handshake to its end on both sides. */
void bssl_pair_handshake(struct bssl_pair *pair);

void bssl_pair_deinit(struct bssl_pair *pair);

#endif
