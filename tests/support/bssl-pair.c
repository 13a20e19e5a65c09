/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns two BoringSSL ends over memory BIOs. Used by tests of what is parsed from BoringSSL or taken
 * out of it. Never touches a socket.
 */
#include "bssl-pair.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <openssl/bio.h>

#include "certs.h"

/* More turns than any handshake has; a loop that does not end is a failed test. */
#define MAX_TURNS 16

void bssl_pair_init(struct bssl_pair *pair, uint16_t version)
{
	EVP_PKEY *key = certs_key(CERT_KEY_P256);
	const struct cert_spec spec = { .cn = "localhost", .san = "DNS:localhost", .key = key };
	X509 *cert = certs_make(&spec);

	*pair = (struct bssl_pair){
		.client_ctx = SSL_CTX_new(TLS_method()),
		.server_ctx = SSL_CTX_new(TLS_method()),
	};
	assert_non_null(pair->client_ctx);
	assert_non_null(pair->server_ctx);
	assert_int_equal(SSL_CTX_use_certificate(pair->server_ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(pair->server_ctx, key), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(pair->client_ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(pair->server_ctx, version), 1);
	assert_int_equal(SSL_CTX_set_min_proto_version(pair->server_ctx, version), 1);
	SSL_CTX_set_verify(pair->client_ctx, SSL_VERIFY_NONE, NULL);
	X509_free(cert);
	EVP_PKEY_free(key);
}

static SSL *new_end(SSL_CTX *ctx)
{
	SSL *ssl = SSL_new(ctx);
	BIO *rbio = BIO_new(BIO_s_mem()), *wbio = BIO_new(BIO_s_mem());

	assert_non_null(ssl);
	assert_non_null(rbio);
	assert_non_null(wbio);
	BIO_set_mem_eof_return(rbio, -1);
	SSL_set_bio(ssl, rbio, wbio);
	return ssl;
}

void bssl_pair_connect(struct bssl_pair *pair)
{
	pair->client = new_end(pair->client_ctx);
	SSL_set_connect_state(pair->client);
	pair->server = new_end(pair->server_ctx);
	SSL_set_accept_state(pair->server);
}

const uint8_t *bssl_pair_pending(const SSL *ssl, size_t *ret_len)
{
	const uint8_t *data;

	assert_int_equal(BIO_mem_contents(SSL_get_wbio(ssl), &data, ret_len), 1);
	return data;
}

size_t bssl_pair_move(SSL *from, SSL *to)
{
	size_t len;
	const uint8_t *data = bssl_pair_pending(from, &len);

	if (len > 0)
		assert_int_equal(BIO_write(SSL_get_rbio(to), data, (int)len), (int)len);
	assert_int_equal(BIO_reset(SSL_get_wbio(from)), 1);
	return len;
}

/* turn() lets one end go on as far as it can; 1: its handshake is complete. */
static int turn(SSL *ssl)
{
	int r = SSL_do_handshake(ssl);

	if (r != 1)
		assert_int_equal(SSL_get_error(ssl, r), SSL_ERROR_WANT_READ);
	return r == 1;
}

void bssl_pair_handshake(struct bssl_pair *pair)
{
	for (int i = 0; i < MAX_TURNS; i++) {
		int client_done = turn(pair->client);
		int server_done;

		bssl_pair_move(pair->client, pair->server);
		server_done = turn(pair->server);
		bssl_pair_move(pair->server, pair->client);
		if (client_done && server_done)
			return;
	}
	fail_msg("the handshake does not end");
}

void bssl_pair_deinit(struct bssl_pair *pair)
{
	SSL_free(pair->client);
	SSL_free(pair->server);
	SSL_CTX_free(pair->client_ctx);
	SSL_CTX_free(pair->server_ctx);
	*pair = (struct bssl_pair){ 0 };
}
