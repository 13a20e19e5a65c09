/* SPDX-License-Identifier: Apache-2.0 */
/* Handshakes by BoringSSL alone: what whoever knows it writes, and nothing more. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "bench/handshake.h"

#define BACKLOG 4096
#define TICKET_MS 1000

static void limit_version(SSL_CTX *ctx, const struct cell *cell)
{
	need(SSL_CTX_set_min_proto_version(ctx, cell->version) &&
		     SSL_CTX_set_max_proto_version(ctx, cell->version),
	     "SSL_CTX_set_min_proto_version");
}

SSL_CTX *bare_server_ctx(const struct cell *cell)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	need(ctx, "SSL_CTX_new");
	limit_version(ctx, cell);
	need(SSL_CTX_use_certificate_chain_file(ctx, files.cert) &&
		     SSL_CTX_use_PrivateKey_file(ctx, files.key, SSL_FILETYPE_PEM),
	     "loading the certificate");
	return ctx;
}

SSL_CTX *bare_client_ctx(const struct cell *cell, bool verify)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_method());

	need(ctx, "SSL_CTX_new");
	limit_version(ctx, cell);
	if (!verify)
		return ctx;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	need(SSL_CTX_load_verify_locations(ctx, files.ca, NULL), "loading the CA");
	return ctx;
}

int bare_socket(uint16_t *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* inherited */
	need(fd >= 0 && !bind(fd, (struct sockaddr *)&addr, len) && !listen(fd, BACKLOG) &&
		     !getsockname(fd, (struct sockaddr *)&addr, &len),
	     "listening");
	*ret_port = ntohs(addr.sin_port);
	return fd;
}

int bare_connect_tcp(uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	need(fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr)), "connecting");
	return fd;
}

static void end_bare(void *end)
{
	int fd = SSL_get_fd(end);

	SSL_free(end);
	close(fd);
}

/* --- a server ---------------------------------------------------------------------------------- */

struct bare {
	SSL_CTX *ctx;
	int fd; /* a listener */
	uint16_t port;
};

static void *open_server(const struct cell *cell, int *ret_fd, uint16_t *ret_port)
{
	struct bare *bare = calloc(1, sizeof(*bare));

	need(bare, "calloc");
	bare->ctx = bare_server_ctx(cell);
	bare->fd = *ret_fd = bare_socket(ret_port);
	return bare;
}

static void close_server(void *server)
{
	struct bare *bare = server;

	SSL_CTX_free(bare->ctx);
	close(bare->fd);
	free(bare);
}

static void *accept_bare(void *server, int *ret_fd)
{
	struct bare *bare = server;
	int fd = accept4(bare->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	SSL *ssl;

	if (fd < 0) {
		need(errno == EAGAIN, "accepting");
		return NULL;
	}
	ssl = SSL_new(bare->ctx);
	need(ssl && SSL_set_fd(ssl, fd), "SSL_new");
	SSL_set_accept_state(ssl);
	*ret_fd = fd;
	return ssl;
}

static int step_bare(void *end)
{
	int r = SSL_do_handshake(end);

	if (r == 1) {
		/* TLS 1.3: the tickets would wait for the first write. */
		need(SSL_write(end, "", 0) >= 0, "SSL_write");
		return STEP_DONE;
	}
	need(SSL_get_error(end, r) == SSL_ERROR_WANT_READ, "SSL_do_handshake");
	return STEP_WAIT;
}

const struct server bare_server = {
	.open = open_server,
	.close = close_server,
	.accept = accept_bare,
	.step = step_bare,
	.end = end_bare,
};

/* --- a client ---------------------------------------------------------------------------------- */

static void *open_client(const struct cell *cell, uint16_t port)
{
	struct bare *bare = calloc(1, sizeof(*bare));

	need(bare, "calloc");
	bare->ctx = bare_client_ctx(cell, true);
	bare->port = port;
	return bare;
}

static void close_client(void *client)
{
	struct bare *bare = client;

	SSL_CTX_free(bare->ctx);
	free(bare);
}

static void *connect_bare(void *client)
{
	struct bare *bare = client;
	int fd = bare_connect_tcp(bare->port);
	SSL *ssl = SSL_new(bare->ctx);

	need(ssl && SSL_set_fd(ssl, fd) && SSL_set_tlsext_host_name(ssl, "localhost") &&
		     X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), "localhost", 9),
	     "SSL_new");
	need(SSL_connect(ssl) == 1, "SSL_connect");
	return ssl;
}

const struct client bare_client = {
	.open = open_client,
	.close = close_client,
	.connect = connect_bare,
	.end = end_bare,
};

/* --- the load ---------------------------------------------------------------------------------- */

static SSL_SESSION *session; /* the newest */

static int on_session(SSL *ssl, SSL_SESSION *new_session)
{
	SSL_SESSION_free(session);
	session = new_session;
	return 1;
}

/* Waits until a server of TLS 1.3 has sent its tickets: its part is over then. */
static void connect_once(SSL_CTX *ctx, const struct cell *cell, uint16_t port)
{
	struct pollfd pfd = { .fd = bare_connect_tcp(port), .events = POLLIN };
	bool resume = cell->resumed && session;
	SSL *ssl = SSL_new(ctx);
	char scrap;

	need(ssl && SSL_set_fd(ssl, pfd.fd), "SSL_new");
	if (resume)
		need(SSL_set_session(ssl, session), "SSL_set_session");
	need(SSL_connect(ssl) == 1, "the load's SSL_connect");
	need(SSL_session_reused(ssl) == resume, "resumed or not");
	if (cell->version == TLS1_3_VERSION) {
		poll(&pfd, 1, TICKET_MS);
		if (cell->resumed && !resume) {
			fcntl(pfd.fd, F_SETFL, O_NONBLOCK);
			SSL_read(ssl, &scrap, 1);
		}
	}
	end_bare(ssl);
	ERR_clear_error();
}

void bare_load(const struct cell *cell, uint16_t port)
{
	SSL_CTX *ctx = bare_client_ctx(cell, false);
	struct pollfd stop = { .fd = STDIN_FILENO, .events = POLLIN };

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	while (poll(&stop, 1, 0) == 0)
		connect_once(ctx, cell, port);
}
