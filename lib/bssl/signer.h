/* SPDX-License-Identifier: Apache-2.0 */
/* A private key that is in another process: BoringSSL waits where it would have used it. */
#ifndef SLUICE_BSSL_SIGNER_H
#define SLUICE_BSSL_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

struct sluice_conn;

/*
 * Bytes to sign, or to decrypt. A client of TLS 1.2 signs its whole handshake so far (RFC 5246, 7.4.8),
 * the server's certificates included; a message has room for no more.
 */
#define SIGNER_MAX_INPUT (60 * 1024)
#define SIGNER_MAX_OUTPUT 2048 /* of an RSA key of 16,384 bits */

/*
 * struct signer - who has the key. start() asks for @conn's private key operation: a signature with
 * @algorithm (RFC 8446, 4.2.3), or with 0 the raw RSA decryption of @in. It returns false if that
 * cannot even be asked for; else signer_finish() must follow, at once or later.
 */
struct signer {
	bool (*start)(void *arg, struct sluice_conn *conn, uint16_t algorithm, const uint8_t *in,
		      size_t in_len);
	void *arg;
};

enum signer_state {
	SIGNER_IDLE,
	SIGNER_ASKED,
	SIGNER_DONE,
	SIGNER_REFUSED,
};

/* struct signer_job - of one handshake. */
struct signer_job {
	enum signer_state state;
	uint8_t *out;
	size_t out_len;
};

/* signer_method is what BoringSSL gets instead of a key. */
extern const SSL_PRIVATE_KEY_METHOD signer_method;

/*
 * signer_finish() is the answer: the result, which is copied, or NULL for a refusal. The connection
 * must be dispatched then. Returns false where nothing was asked for, or there is no memory.
 */
bool signer_finish(struct sluice_conn *conn, const uint8_t *out, size_t out_len);

/* signer_key() tells which of the profile's own certificates the operation is for, counted from 0. */
size_t signer_key(const struct sluice_conn *conn);

/* signer_deinit() wipes and frees what a job holds. */
void signer_deinit(struct signer_job *job);

#endif
