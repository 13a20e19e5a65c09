/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns the record layer of a test's peer (support/peer.h): one record at a time, of any type and
 * length, right or wrong. It shares nothing with the library's own but BoringSSL's AEADs and the key
 * schedule, which has known answers of its own.
 */
#include "support/peer.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "bssl/bridge.h"
#include "core/secret.h"
#include "record/traffic.h"

#define WAIT_MS 20000
#define AAD_LEN 13
#define NONCE_LEN 12

/* --- keys -------------------------------------------------------------------------------- */

/* Owns @traffic. */
static void set_keys(struct peer_keys *keys, struct traffic *traffic)
{
	const struct suite *suite = traffic->suite;

	EVP_AEAD_CTX_free(keys->aead);
	keys->suite = suite;
	keys->aead = EVP_AEAD_CTX_new(suite->aead(), traffic->key, suite->key_len, SUITE_TAG_LEN);
	assert_non_null(keys->aead);
	memcpy(keys->iv, traffic->iv, sizeof(keys->iv));
	memcpy(keys->secret, traffic->secret, sizeof(keys->secret));
	keys->seq = traffic->seq;
	traffic_free(traffic);
}

static const struct suite *suite_of(const SSL *ssl)
{
	return suite_find(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)));
}

static void take_tls13(struct peer *peer, const struct suite *suite)
{
	const uint8_t *rx, *tx;
	struct traffic *traffic;
	size_t rx_len, tx_len;

	assert_int_equal(bridge_traffic_secrets(peer->ssl, &rx, &rx_len, &tx, &tx_len), 0);
	assert_int_equal(traffic_new_tls13(&traffic, suite, rx, rx_len,
					   SSL_get_read_sequence(peer->ssl)),
			 0);
	set_keys(&peer->rx, traffic);
	assert_int_equal(traffic_new_tls13(&traffic, suite, tx, tx_len,
					   SSL_get_write_sequence(peer->ssl)),
			 0);
	set_keys(&peer->tx, traffic);
}

static void take_tls12(struct peer *peer, const struct suite *suite)
{
	size_t len = SSL_get_key_block_len(peer->ssl);
	struct traffic *rx, *tx;
	uint8_t block[256];

	assert_true(len <= sizeof(block));
	assert_int_equal(SSL_generate_key_block(peer->ssl, block, len), 1);
	assert_int_equal(traffic_new_tls12(&rx, &tx, suite, block, len, peer->role == SLUICE_SERVER,
					   SSL_get_read_sequence(peer->ssl),
					   SSL_get_write_sequence(peer->ssl)),
			 0);
	set_keys(&peer->rx, rx);
	set_keys(&peer->tx, tx);
}

/* What BoringSSL was given and has not opened is opened by the test. */
static void take_back(struct peer *peer)
{
	BIO *rbio = SSL_get_rbio(peer->ssl);
	const uint8_t *unread;
	size_t len;

	assert_int_equal(BIO_mem_contents(rbio, &unread, &len), 1);
	assert_true(peer->in_len + len <= sizeof(peer->in));
	memmove(peer->in + len, peer->in, peer->in_len);
	memcpy(peer->in, unread, len);
	peer->in_len += len;
	assert_int_equal(BIO_reset(rbio), 1);
}

void peer_take_keys(struct peer *peer)
{
	const struct suite *suite = suite_of(peer->ssl);

	assert_non_null(suite);
	take_back(peer);
	if (suite->version == TLS13)
		take_tls13(peer, suite);
	else
		take_tls12(peer, suite);
}

void peer_open_live(struct peer *peer, struct pair *pair, enum sluice_role role, uint16_t version)
{
	peer_open(peer, pair, role);
	peer_ssl(peer, version, NULL);
	peer_handshake(peer);
	assert_int_equal(peer->result, 0);
	peer_take_keys(peer);
}

void peer_take_half_rtt(struct peer *peer)
{
	struct traffic *traffic;

	assert_int_equal(traffic_new_tls13(&traffic, suite_of(peer->ssl), peer->half_rtt_secret,
					   peer->half_rtt_secret_len, 0),
			 0);
	set_keys(&peer->tx, traffic);
}

void peer_next_epoch(struct peer_keys *keys)
{
	struct traffic *now, *next;

	assert_int_equal(traffic_new_tls13(&now, keys->suite, keys->secret,
					   EVP_MD_size(keys->suite->md()), keys->seq),
			 0);
	assert_int_equal(traffic_next_epoch(&next, now), 0);
	traffic_free(now);
	set_keys(keys, next);
}

/* --- records ----------------------------------------------------------------------------- */

static void put_seq(uint8_t out[8], uint64_t seq)
{
	int i;

	for (i = 7; i >= 0; i--, seq >>= 8)
		out[i] = seq & 0xff;
}

static void make_nonce(const struct peer_keys *keys, const uint8_t *explicit_nonce, uint8_t *nonce)
{
	uint8_t seq[8];
	size_t i;

	memcpy(nonce, keys->iv, NONCE_LEN);
	put_seq(seq, keys->seq);
	if (keys->suite->explicit_len) {
		memcpy(nonce + keys->suite->fixed_iv_len, explicit_nonce,
		       keys->suite->explicit_len);
		return;
	}
	for (i = 0; i < sizeof(seq); i++)
		nonce[NONCE_LEN - sizeof(seq) + i] ^= seq[i];
}

static size_t make_aad(const struct peer_keys *keys, const uint8_t *header, size_t plain_len,
		       uint8_t *aad)
{
	if (keys->suite->version == TLS13) {
		memcpy(aad, header, RECORD_HEADER_LEN);
		return RECORD_HEADER_LEN;
	}
	put_seq(aad, keys->seq);
	memcpy(aad + 8, header, 3);
	aad[11] = plain_len >> 8;
	aad[12] = plain_len & 0xff;
	return AAD_LEN;
}

size_t peer_seal(struct peer_keys *keys, uint8_t type, const void *data, size_t len, size_t pad,
		 uint8_t *out)
{
	static uint8_t plain[PEER_MAX_RECORD + 1024];
	bool tls13 = keys->suite->version == TLS13;
	size_t explicit_len = keys->suite->explicit_len;
	size_t inner = tls13 ? len + 1 + pad : len, sealed;
	size_t body = explicit_len + inner + SUITE_TAG_LEN;
	uint8_t *at = out + RECORD_HEADER_LEN, nonce[NONCE_LEN], aad[AAD_LEN];
	const uint8_t header[] = { tls13 ? RECORD_DATA : type, 3, 3, body >> 8, body & 0xff };

	assert_true(inner <= sizeof(plain) && body < 65536);
	memset(plain, 0, inner);
	memcpy(plain, data, len);
	if (tls13)
		plain[len] = type;
	memcpy(out, header, sizeof(header));
	if (explicit_len)
		put_seq(at, keys->seq);
	make_nonce(keys, at, nonce);
	assert_int_equal(EVP_AEAD_CTX_seal(keys->aead, at + explicit_len, &sealed,
					   inner + SUITE_TAG_LEN, nonce, NONCE_LEN, plain, inner,
					   aad, make_aad(keys, header, inner, aad)),
			 1);
	keys->seq++;
	return RECORD_HEADER_LEN + body;
}

void peer_send_record(struct peer *peer, uint8_t type, const void *data, size_t len)
{
	static uint8_t record[PEER_MAX_RECORD + 1024];

	peer_send(peer, record, peer_seal(&peer->tx, type, data, len, 0, record));
}

/* Opens the record in front of in[]. */
static size_t open_record(struct peer *peer, size_t body_len, uint8_t *ret_type, uint8_t *out)
{
	struct peer_keys *keys = &peer->rx;
	size_t explicit_len = keys->suite->explicit_len, len;
	size_t plain_len = body_len - explicit_len - SUITE_TAG_LEN;
	const uint8_t *body = peer->in + RECORD_HEADER_LEN;
	uint8_t plain[RECORD_MAX_PLAIN + 256], nonce[NONCE_LEN], aad[AAD_LEN];

	assert_true(body_len >= explicit_len + SUITE_TAG_LEN && plain_len <= sizeof(plain));
	make_nonce(keys, body, nonce);
	assert_int_equal(EVP_AEAD_CTX_open(keys->aead, plain, &len, sizeof(plain), nonce, NONCE_LEN,
					   body + explicit_len, body_len - explicit_len, aad,
					   make_aad(keys, peer->in, plain_len, aad)),
			 1);
	keys->seq++;
	*ret_type = peer->in[0];
	if (keys->suite->version == TLS13) {
		assert_int_equal(peer->in[0], RECORD_DATA);
		while (len && !plain[len - 1])
			len--;
		assert_true(len > 0);
		*ret_type = plain[--len];
	}
	assert_true(len <= RECORD_MAX_PLAIN);
	memcpy(out, plain, len);
	return len;
}

static void drop_record(struct peer *peer, size_t body_len)
{
	peer->in_len -= RECORD_HEADER_LEN + body_len;
	memmove(peer->in, peer->in + RECORD_HEADER_LEN + body_len, peer->in_len);
}

size_t peer_next_record(struct peer *peer, uint8_t *ret_type, uint8_t *out)
{
	struct pollfd pfd = { .fd = peer->fd, .events = POLLIN };
	size_t body_len, len;

	for (;;) {
		peer_receive(peer);
		body_len = (size_t)peer->in[3] << 8 | peer->in[4];
		if (peer->in_len >= RECORD_HEADER_LEN &&
		    peer->in_len >= RECORD_HEADER_LEN + body_len)
			break;
		assert_int_equal(peer->end, PEER_OPEN);
		assert_true(poll(&pfd, 1, WAIT_MS) > 0);
	}
	assert_int_equal(peer->in[1], 3);
	assert_int_equal(peer->in[2], 3);
	len = open_record(peer, body_len, ret_type, out);
	drop_record(peer, body_len);
	return len;
}

void peer_skip_handshake(struct peer *peer)
{
	static uint8_t out[RECORD_MAX_PLAIN];
	size_t body_len;
	uint8_t type;

	while (peer_receive(peer) > RECORD_HEADER_LEN) {
		body_len = (size_t)peer->in[3] << 8 | peer->in[4];
		if (peer->in_len < RECORD_HEADER_LEN + body_len)
			return;
		open_record(peer, body_len, &type, out);
		if (type != RECORD_HANDSHAKE) {
			peer->rx.seq--;
			return;
		}
		drop_record(peer, body_len);
	}
}

void peer_expect_alert(struct peer *peer, uint8_t level, uint8_t alert)
{
	static uint8_t out[RECORD_MAX_PLAIN];
	uint8_t type;
	size_t len;

	do {
		len = peer_next_record(peer, &type, out);
	} while (type == RECORD_HANDSHAKE);
	assert_int_equal(type, RECORD_ALERT);
	assert_int_equal(len, 2);
	assert_int_equal(out[0], level);
	assert_int_equal(out[1], alert);
}
