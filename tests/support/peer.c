/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Owns a raw TCP peer of the library: its socket, and BoringSSL over memory when a handshake is to
 * be real. Used by flow tests. Sealing and opening is in seal.c.
 */
#include "support/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/certs.h"

#define WAIT_MS 20000 /* whoever takes longer hangs */
#define MAX_TURNS 1000

/* --- TCP --------------------------------------------------------------------------------- */

static void no_delay(int fd)
{
	int one = 1;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
}

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

static void open_client(struct peer *peer)
{
	struct sockaddr_in addr = loopback(sluice_listener_port(peer->pair->listener));

	peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(peer->fd >= 0);
	assert_int_equal(connect(peer->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(sluice_transport_accept(peer->pair->listener, WAIT_MS, &peer->conn), 0);
	peer->result = sluice_handshake(peer->conn, NULL, SLUICE_NOWAIT);
}

static void open_server(struct peer *peer, struct sluice_session *session)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof(addr);
	struct sluice_error err;

	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
	peer->result = sluice_connect(peer->pair->sluice, "127.0.0.1", ntohs(addr.sin_port),
				      peer->pair->client_profile, session, SLUICE_NOWAIT,
				      &peer->conn, &err);
	peer->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer->fd >= 0);
	close(listener);
}

static void init(struct peer *peer, struct pair *pair, enum sluice_role role)
{
	memset(peer, 0, sizeof(*peer));
	peer->pair = pair;
	peer->role = role;
	peer->alert = -1;
}

static void opened(struct peer *peer)
{
	no_delay(peer->fd);
	assert_int_equal(peer->result, -SLUICE_E_AGAIN);
}

void peer_open(struct peer *peer, struct pair *pair, enum sluice_role role)
{
	init(peer, pair, role);
	if (role == SLUICE_CLIENT)
		open_client(peer);
	else
		open_server(peer, NULL);
	opened(peer);
}

void peer_open_offered(struct peer *peer, struct pair *pair, struct sluice_session *session)
{
	init(peer, pair, SLUICE_SERVER);
	open_server(peer, session);
	opened(peer);
}

int peer_close_conn(struct peer *peer)
{
	int r = sluice_close(peer->conn);

	peer->conn = NULL;
	return r;
}

void peer_close(struct peer *peer)
{
	sluice_close(peer->conn);
	SSL_free(peer->ssl);
	SSL_CTX_free(peer->ctx);
	EVP_AEAD_CTX_free(peer->rx.aead);
	EVP_AEAD_CTX_free(peer->tx.aead);
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
}

void peer_reset(struct peer *peer)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
	close(peer->fd);
	peer->fd = -1;
}

void peer_send(struct peer *peer, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	ssize_t n;

	while (len) {
		n = send(peer->fd, at, peer->by_bytes ? 1 : len, MSG_NOSIGNAL);
		assert_true(n > 0);
		at += n;
		len -= n;
	}
}

void peer_fin(struct peer *peer)
{
	assert_int_equal(shutdown(peer->fd, SHUT_WR), 0);
}

static void wait_for(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	assert_true(poll(&pfd, 1, WAIT_MS) > 0);
}

void peer_wait(struct peer *peer)
{
	wait_for(sluice_conn_fd(peer->conn), POLLIN);
}

int peer_dispatch(struct peer *peer)
{
	if (peer->result == -SLUICE_E_AGAIN)
		peer->result = sluice_conn_dispatch(peer->conn);
	return peer->result;
}

int peer_run(struct peer *peer)
{
	unsigned int turns = 0;

	while (peer_dispatch(peer) == -SLUICE_E_AGAIN) {
		assert_true(turns++ < MAX_TURNS);
		wait_for(sluice_conn_fd(peer->conn), sluice_conn_events(peer->conn));
	}
	return peer->result;
}

size_t peer_receive(struct peer *peer)
{
	ssize_t n;

	while (peer->end == PEER_OPEN && peer->in_len < sizeof(peer->in)) {
		n = recv(peer->fd, peer->in + peer->in_len, sizeof(peer->in) - peer->in_len,
			 MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n > 0)
			peer->in_len += n;
		else if (n == 0)
			peer->end = PEER_FIN;
		else if (errno == ECONNRESET)
			peer->end = PEER_RST;
		else
			fail_msg("recv: %s", strerror(errno));
	}
	return peer->in_len;
}

void peer_expect_end(struct peer *peer, enum peer_end end, const void *bytes, size_t len)
{
	while (peer_receive(peer), peer->end == PEER_OPEN)
		wait_for(peer->fd, POLLIN);
	assert_int_equal(peer->end, end);
	assert_int_equal(peer->in_len, len);
	assert_memory_equal(peer->in, bytes ? bytes : "", len);
	peer->in_len = 0;
}

/* --- BoringSSL --------------------------------------------------------------------------- */

static struct peer *peer_of(const SSL *ssl)
{
	return SSL_get_app_data(ssl);
}

static void on_info(const SSL *ssl, int where, int value)
{
	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
		peer_of(ssl)->alert = value & 0xff;
}

/* The secret that the interface hides until the handshake is complete. */
static void on_keylog(const SSL *ssl, const char *line)
{
	static const char label[] = "SERVER_TRAFFIC_SECRET_0 ";
	struct peer *peer = peer_of(ssl);
	const char *hex;
	unsigned int byte;

	if (strncmp(line, label, sizeof(label) - 1))
		return;
	hex = strrchr(line, ' ') + 1;
	for (peer->half_rtt_secret_len = 0; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		peer->half_rtt_secret[peer->half_rtt_secret_len++] = byte;
}

static SSL_CTX *new_ctx(enum sluice_role role, uint16_t version, const char *ciphers)
{
	const struct certs *certs = certs_get();
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	assert_non_null(ctx);
	assert_int_equal(SSL_CTX_set_min_proto_version(ctx, version), 1);
	assert_int_equal(SSL_CTX_set_max_proto_version(ctx, version), 1);
	if (ciphers)
		assert_int_equal(SSL_CTX_set_strict_cipher_list(ctx, ciphers), 1);
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	if (role == SLUICE_CLIENT)
		return ctx;
	assert_int_equal(SSL_CTX_use_certificate_chain_file(ctx, certs->server_p256), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, certs->server_p256_key, SSL_FILETYPE_PEM),
			 1);
	return ctx;
}

void peer_ssl_again(struct peer *peer, SSL_CTX *ctx)
{
	BIO *rbio = BIO_new(BIO_s_mem()), *wbio = BIO_new(BIO_s_mem());

	peer->ctx = ctx;
	peer->ssl = SSL_new(ctx);
	assert_true(peer->ssl && rbio && wbio);
	SSL_set_app_data(peer->ssl, peer);
	BIO_set_mem_eof_return(rbio, -1);
	SSL_set_bio(peer->ssl, rbio, wbio);
	if (peer->role == SLUICE_SERVER)
		SSL_set_accept_state(peer->ssl);
	else
		SSL_set_connect_state(peer->ssl);
}

void peer_ssl(struct peer *peer, uint16_t version, const char *ciphers)
{
	peer_ssl_again(peer, new_ctx(peer->role, version, ciphers));
}

void peer_step(struct peer *peer)
{
	uint8_t plain[256];
	int r;

	peer_receive(peer);
	if (peer->in_len)
		assert_int_equal(BIO_write(SSL_get_rbio(peer->ssl), peer->in, peer->in_len),
				 peer->in_len);
	peer->in_len = 0;
	if (!peer->ssl_done) {
		r = SSL_do_handshake(peer->ssl);
		peer->ssl_done = r == 1 && !SSL_in_false_start(peer->ssl);
		return;
	}
	/* An alert may follow the handshake: a verdict on our certificate, for one. */
	SSL_read(peer->ssl, plain, sizeof(plain));
}

const uint8_t *peer_output(struct peer *peer, size_t *ret_len)
{
	const uint8_t *data;

	assert_int_equal(BIO_mem_contents(SSL_get_wbio(peer->ssl), &data, ret_len), 1);
	return data;
}

void peer_flush(struct peer *peer)
{
	size_t len;
	const uint8_t *data = peer_output(peer, &len);

	peer_send(peer, data, len);
	assert_int_equal(BIO_reset(SSL_get_wbio(peer->ssl)), 1);
}

/* Waits until one of both has something to read. */
static void wait_either(struct peer *peer)
{
	struct pollfd pfds[2] = {
		{ peer->fd, POLLIN, 0 },
		{ sluice_conn_fd(peer->conn), sluice_conn_events(peer->conn), 0 },
	};

	if (peer->result != -SLUICE_E_AGAIN)
		pfds[1].fd = -1;
	assert_true(poll(pfds, 2, WAIT_MS) > 0);
}

bool peer_is_done(struct peer *peer)
{
	return SSL_in_false_start(peer->ssl) || !SSL_in_init(peer->ssl);
}

void peer_until(struct peer *peer, bool (*is_it)(struct peer *peer))
{
	unsigned int turns = 0;
	size_t len;

	for (;;) {
		assert_true(turns++ < MAX_TURNS);
		peer_dispatch(peer);
		peer_step(peer);
		peer_output(peer, &len);
		if (is_it(peer))
			return;
		if (len)
			peer_flush(peer);
		else
			wait_either(peer);
	}
}

static bool is_over(const struct peer *peer)
{
	if (peer->result != -SLUICE_E_AGAIN && peer->result != 0)
		return true;
	return peer->result == 0 && peer->ssl_done;
}

void peer_handshake(struct peer *peer)
{
	unsigned int turns = 0;

	while (!is_over(peer)) {
		assert_true(turns++ < MAX_TURNS);
		peer_step(peer);
		peer_flush(peer);
		peer_dispatch(peer);
		if (!is_over(peer) && !peer_receive(peer))
			wait_either(peer);
	}
}
