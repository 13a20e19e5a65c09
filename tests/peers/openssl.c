/* SPDX-License-Identifier: Apache-2.0 */
/* A peer of OpenSSL that changes keys: see peer.h. */
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "peer.h"

static long outcome(SSL *ssl, int r)
{
	if (r > 0)
		return r;
	switch (SSL_get_error(ssl, r)) {
	case SSL_ERROR_WANT_READ:
	case SSL_ERROR_WANT_WRITE:
		return 0;
	case SSL_ERROR_ZERO_RETURN:
		return -1;
	default:
		ERR_print_errors_fp(stderr);
		return -2;
	}
}

static long do_send(void *session, const uint8_t *buf, size_t len)
{
	return outcome(session, SSL_write(session, buf, (int)len));
}

static long do_recv(void *session, uint8_t *buf, size_t len)
{
	return outcome(session, SSL_read(session, buf, (int)len));
}

static bool update_keys(void *session, bool request)
{
	return SSL_key_update(session,
			      request ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
}

static bool has_pending(void *session)
{
	return SSL_pending(session) > 0;
}

int main(int argc, char **argv)
{
	static const struct peer_library library = { do_send, do_recv, update_keys, has_pending };
	struct peer_settings settings = peer_arguments(argc, argv);
	SSL_CTX *ctx = SSL_CTX_new(settings.is_server ? TLS_server_method() : TLS_client_method());
	struct peer_exchange x = { .library = &library, .settings = &settings };
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (settings.is_server) {
		if (SSL_CTX_use_certificate_chain_file(ctx, settings.cert) != 1 ||
		    SSL_CTX_use_PrivateKey_file(ctx, settings.key, SSL_FILETYPE_PEM) != 1)
			peer_die("certificate");
	} else {
		if (SSL_CTX_load_verify_locations(ctx, settings.cert, NULL) != 1)
			peer_die("CA");
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	ssl = SSL_new(ctx);
	x.fd = peer_socket(&settings);
	SSL_set_fd(ssl, x.fd);
	SSL_set_tlsext_host_name(ssl, "localhost");
	if ((settings.is_server ? SSL_accept(ssl) : SSL_connect(ssl)) != 1) {
		ERR_print_errors_fp(stderr);
		return 1;
	}
	fcntl(x.fd, F_SETFL, O_NONBLOCK);
	x.session = ssl;
	peer_run(&x);
	fcntl(x.fd, F_SETFL, 0);
	SSL_shutdown(ssl);
	while (SSL_read(ssl, x.echo, sizeof(x.echo)) > 0)
		;
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return 0;
}
