// SPDX-License-Identifier: Apache-2.0
/*
 * HELLO: the peer's hello is read and kept, before anything is answered or believed. A server stops
 * in BoringSSL's own hook; a client stops at the gate, which holds the ServerHello back.
 */
#include <string.h>

#include <arpa/inet.h>
#include <openssl/err.h>

#include "bssl/hooks.h"
#include "core/error.h"
#include "flow/flow.h"

/* RFC 6066, 3: literal addresses are not server names. */
static bool is_address(const char *host)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, host, addr) == 1 || inet_pton(AF_INET6, host, addr) == 1;
}

/*
 * The name to send goes to info.sni: the option's, else the host's unless that is an address; without
 * the dot that ends a name in the DNS (RFC 6066, 3). Returns 0 or -SLUICE_E_NOMEM.
 */
static int server_name(struct sluice_conn *conn)
{
	const char *name = conn->profile->sni ? conn->profile->sni : conn->host;
	size_t len;

	if (conn->profile->sni_disabled || !name || is_address(name))
		return 0;
	len = strlen(name);
	if (len > 1 && name[len - 1] == '.')
		len--;
	return conn_text(&conn->info.sni, name, len);
}

static int prepare_client(struct sluice_conn *conn)
{
	SSL_set_connect_state(conn->ssl);
	SSL_set_enforce_rsa_key_usage(conn->ssl, 1); /* newer versions always do */
	if (server_name(conn) < 0)
		return conn_fail(conn, SLUICE_E_NOMEM, -1, 0, "the server name");
	if (conn->info.sni && !SSL_set_tlsext_host_name(conn->ssl, conn->info.sni))
		return conn_fail(conn, SLUICE_E_INVALID, -1, 0, "the server name is not one");
	if (session_bind(conn) < 0)
		return -conn->err.code;
	return session_offer(conn);
}

static int prepare(struct sluice_conn *conn)
{
	BIO *bio;

	ERR_clear_error();
	conn->ssl = SSL_new(conn->profile->ctx);
	bio = conn->ssl ? gate_bio(&conn->hs->gate) : NULL;
	if (!bio || !hooks_bind(conn->ssl, conn)) {
		BIO_free(bio);
		return conn_fail(conn, SLUICE_E_NOMEM, -1, 0, "making a TLS object");
	}
	SSL_set_bio(conn->ssl, bio, bio);
	if (conn->role == SLUICE_CLIENT)
		return prepare_client(conn);
	SSL_set_accept_state(conn->ssl);
	return 0;
}

/* A client reads the held ServerHello itself; BoringSSL gets it when the gate opens. */
static int read_server_hello(struct sluice_conn *conn)
{
	struct gate *gate = &conn->hs->gate;
	int r = hello_parse_server(&conn->hello, gate->hello, gate->hello_len);

	if (r == -SLUICE_E_NOMEM)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "reading a hello");
	if (r < 0)
		return conn_fail(conn, SLUICE_E_PROTOCOL, SLUICE_ALERT_DECODE_ERROR, 0,
				 "the ServerHello cannot be parsed");
	return 0;
}

int stage_hello(struct sluice_conn *conn)
{
	int r = conn->ssl ? 0 : prepare(conn);

	if (r < 0)
		return r;
	r = drive(conn);
	if (r < 0)
		return r;
	if (r == DRIVE_WAIT)
		return STAGE_WAIT;
	if (r == DRIVE_HELLO && conn->role == SLUICE_CLIENT) {
		r = read_server_hello(conn);
		if (r < 0)
			return r;
	}
	return conn->profile->pause_hello ? STAGE_PAUSED : STAGE_DONE;
}
