/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that is not the library: a TCP socket whose every byte the test writes and reads itself.
 * Where a real handshake is needed BoringSSL makes the bytes, over memory; after it the test seals
 * and opens records of its own. One peer is the other end of one connection of the library:
 *
 *	struct peer peer;
 *
 *	peer_open(&peer, &pair, SLUICE_CLIENT);      a raw client of the pair's listener
 *	peer_send(&peer, "GET / HTTP/1.1\r\n\r\n", 18);
 *	assert_int_equal(peer_run(&peer), -SLUICE_E_HTTP_REQUEST);
 *	peer_close_conn(&peer);
 *	peer_expect_end(&peer, PEER_FIN, NULL, 0);
 *	peer_close(&peer);
 *
 * The pair itself stays as it is: a connection that it has open must not notice.
 */
#ifndef SLUICE_TESTS_SUPPORT_PEER_H
#define SLUICE_TESTS_SUPPORT_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/aead.h>
#include <openssl/ssl.h>

#include "record/record.h"
#include "record/suite.h"
#include "support/pair.h"

#define PEER_MAX_RECORD (RECORD_HEADER_LEN + RECORD_MAX_CIPHER_TLS12)
#define PEER_BUFFER (8 * PEER_MAX_RECORD)

/* How the library ended the TCP connection. */
enum peer_end {
	PEER_OPEN,
	PEER_FIN,
	PEER_RST,
};

/* One direction's keys, as RFC 8446 and RFC 5246 have them. */
struct peer_keys {
	const struct suite *suite;
	EVP_AEAD_CTX *aead;
	uint8_t iv[SUITE_MAX_IV];
	uint8_t secret[SUITE_MAX_HASH]; /* TLS 1.3 */
	uint64_t seq;
};

struct peer {
	struct pair *pair;
	enum sluice_role role; /* of this peer, not of the library */
	int fd;
	struct sluice_conn *conn; /* the library's end; NULL once it is closed */
	int result;               /* of its last step */

	SSL_CTX *ctx; /* peer_ssl() */
	SSL *ssl;
	bool ssl_done;
	int alert; /* that BoringSSL has read, or -1 */
	uint8_t half_rtt_secret[SUITE_MAX_HASH];
	size_t half_rtt_secret_len;
	struct peer_keys rx, tx; /* peer_take_keys() */

	uint8_t in[PEER_BUFFER]; /* read from the socket and not used */
	size_t in_len;
	enum peer_end end;
	bool by_bytes; /* peer_send() sends each byte by itself */
};

/* peer_open() makes the TCP connection; the library's handshake has begun. Ends the test on failure. */
void peer_open(struct peer *peer, struct pair *pair, enum sluice_role role);

/* peer_open_offered() opens a server; the library's client offers @session to it. */
void peer_open_offered(struct peer *peer, struct pair *pair, struct sluice_session *session);

/* peer_close() frees everything; the library's end is closed if it is still there. */
void peer_close(struct peer *peer);

/* peer_close_conn() closes the library's end with sluice_close(). Returns its result. */
int peer_close_conn(struct peer *peer);

/* peer_reset() closes the peer's socket with RST. */
void peer_reset(struct peer *peer);

/* peer_send() writes to the socket; peer_fin() ends writing. */
void peer_send(struct peer *peer, const void *bytes, size_t len);
void peer_fin(struct peer *peer);

/* peer_dispatch() lets the library go on as far as it can without waiting. Returns its result. */
int peer_dispatch(struct peer *peer);

/* peer_run() lets it go on until it has a result other than AGAIN. A test that hangs fails. */
int peer_run(struct peer *peer);

/* peer_wait() waits until the library's socket has something to read, or its peer is gone. */
void peer_wait(struct peer *peer);

/* peer_receive() reads what has come into in[]. Returns the bytes that are in it. */
size_t peer_receive(struct peer *peer);

/* peer_expect_end() reads to the end and compares everything that is left in in[]. */
void peer_expect_end(struct peer *peer, enum peer_end end, const void *bytes, size_t len);

/* peer_ssl() gives the peer BoringSSL for one TLS version; @ciphers as of OpenSSL, or NULL. */
void peer_ssl(struct peer *peer, uint16_t version, const char *ciphers);

/* peer_ssl_again() gives it BoringSSL with the context of an earlier peer; owns the reference. */
void peer_ssl_again(struct peer *peer, SSL_CTX *ctx);

/*
 * peer_step() lets BoringSSL go on with what has come; what it writes stays in memory.
 * peer_output() shows that, peer_flush() sends it.
 */
void peer_step(struct peer *peer);
const uint8_t *peer_output(struct peer *peer, size_t *ret_len);
void peer_flush(struct peer *peer);

/* peer_handshake() runs both ends to the end of the handshake, or until one has failed. */
void peer_handshake(struct peer *peer);

/*
 * peer_until() does so until BoringSSL has an output of which @is_it says that it is the one; that
 * stays in memory.
 */
void peer_until(struct peer *peer, bool (*is_it)(struct peer *peer));

/* For peer_until(): BoringSSL thinks its handshake complete: the last flight is in its output. */
bool peer_is_done(struct peer *peer);

/* peer_take_keys() takes the traffic keys out of BoringSSL, which is not used from then on. */
void peer_take_keys(struct peer *peer);

/* peer_take_half_rtt() takes the key by which a TLS 1.3 server can send before it has a Finished. */
void peer_take_half_rtt(struct peer *peer);

/* peer_open_live() does all that for a connection that is to be established, whoever is who. */
void peer_open_live(struct peer *peer, struct pair *pair, enum sluice_role role, uint16_t version);

/* peer_next_epoch() moves one direction to the next epoch (RFC 8446, 7.2). */
void peer_next_epoch(struct peer_keys *keys);

/*
 * peer_seal() writes one record of any type and returns its length; TLS 1.3: @pad zeros follow the
 * type. peer_send_record() sends it.
 */
size_t peer_seal(struct peer_keys *keys, uint8_t type, const void *data, size_t len, size_t pad,
		 uint8_t *out);
void peer_send_record(struct peer *peer, uint8_t type, const void *data, size_t len);

/*
 * peer_next_record() waits for the next whole record and opens it. Returns the length of its
 * plaintext; @out has room for RECORD_MAX_PLAIN. Ends the test when it does not decrypt.
 */
size_t peer_next_record(struct peer *peer, uint8_t *ret_type, uint8_t *out);

/* peer_skip_handshake() drops the handshake records (tickets) in front of what has come. */
void peer_skip_handshake(struct peer *peer);

/* peer_expect_alert() reads records up to an alert and compares it; tickets may come before. */
void peer_expect_alert(struct peer *peer, uint8_t level, uint8_t alert);

#endif
