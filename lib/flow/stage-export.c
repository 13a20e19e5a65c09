// SPDX-License-Identifier: Apache-2.0
/*
 * EXPORT: the end of BoringSSL's record layer on this connection. The order is the point:
 *
 *   1. flush the server's tickets, which wait unsealed for a first write;
 *   2. take what BoringSSL has opened already (early plaintext), which travels with the connection;
 *   3. read both sequence numbers, which steps 1 and 2 have moved;
 *   4. take the secrets;
 *   5. disarm: without BIOs no write can happen. From here on BoringSSL cannot seal a record with a
 *      key that the record path uses too: two writers with one key would reuse nonces.
 */
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>

#include "bssl/bridge.h"
#include "core/error.h"
#include "core/secret.h"
#include "flow/flow.h"

static int internal(struct sluice_conn *conn, const char *text)
{
	return conn_fail(conn, SLUICE_E_INTERNAL, SLUICE_ALERT_INTERNAL_ERROR, 0, text);
}

/* A suite that the profile excludes must not carry data (see POLICY for a client). */
static int check_suite(struct sluice_conn *conn)
{
	uint16_t id = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(conn->ssl));

	conn->suite = suite_find(id);
	if (!conn->suite)
		return conn_fail(conn, SLUICE_E_UNSUPPORTED_SUITE, SLUICE_ALERT_HANDSHAKE_FAILURE,
				 0, "the negotiated suite has no record path");
	if (conn->suite->version == TLS13 && !(conn->profile->suites13 & 1u << (id - 0x1301)))
		return conn_fail(conn, SLUICE_E_NO_SHARED, SLUICE_ALERT_HANDSHAKE_FAILURE, 0,
				 "the negotiated suite is one that option ciphers excludes");
	return 0;
}

/*
 * A zero-length write flushes the tickets and returns 0 when it has. After WANT_WRITE they are
 * sealed and numbered: nothing else may happen before they are out.
 */
static int flush_tickets(struct sluice_conn *conn)
{
	int r;

	if (conn->role != SLUICE_SERVER || conn->suite->version != TLS13)
		return STAGE_DONE;
	ERR_clear_error();
	r = SSL_write(conn->ssl, "", 0);
	if (r >= 0)
		return STAGE_DONE;
	if (SSL_get_error(conn->ssl, r) == SSL_ERROR_WANT_WRITE) {
		conn->events = POLLOUT;
		return STAGE_WAIT;
	}
	return conn_fail(conn, conn->hs->gate.code ? conn->hs->gate.code : SLUICE_E_IO, -1,
			 conn->hs->gate.sys_errno, "sending the session tickets");
}

/* The record path finds the next record in the socket, or not at all. */
static int check_left(struct sluice_conn *conn)
{
	if (!gate_left(&conn->hs->gate))
		return 0;
	return conn_fail(conn, SLUICE_E_PROTOCOL, SLUICE_ALERT_UNEXPECTED_MESSAGE, 0,
			 "the peer sent records that cannot stand where they do");
}

static int take_early(struct sluice_conn *conn)
{
	int pending = SSL_pending(conn->ssl);

	if (!pending)
		return 0;
	conn->early = malloc(pending);
	if (!conn->early)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "early plaintext");
	if (SSL_read(conn->ssl, conn->early, pending) != pending)
		return internal(conn, "early plaintext is gone");
	conn->early_len = pending;
	return 0;
}

static int take_tls13(struct sluice_conn *conn, uint64_t rx_seq, uint64_t tx_seq)
{
	const uint8_t *rx, *tx;
	size_t rx_len, tx_len;
	int r;

	r = bridge_traffic_secrets(conn->ssl, &rx, &rx_len, &tx, &tx_len);
	if (r == 0)
		r = traffic_new_tls13(&conn->hs->rx, conn->suite, rx, rx_len, rx_seq);
	if (r == 0)
		r = traffic_new_tls13(&conn->hs->tx, conn->suite, tx, tx_len, tx_seq);
	return r;
}

static int take_tls12(struct sluice_conn *conn, uint64_t rx_seq, uint64_t tx_seq)
{
	size_t len = SSL_get_key_block_len(conn->ssl);
	uint8_t *block = secret_new(len);
	int r = -SLUICE_E_NOMEM;

	if (!block)
		return r;
	r = SSL_generate_key_block(conn->ssl, block, len) ? 0 : err_bssl();
	if (r == 0)
		r = traffic_new_tls12(&conn->hs->rx, &conn->hs->tx, conn->suite, block, len,
				      conn->role == SLUICE_SERVER, rx_seq, tx_seq);
	secret_free(block);
	return r;
}

static int take_secrets(struct sluice_conn *conn)
{
	uint64_t rx_seq = SSL_get_read_sequence(conn->ssl);
	uint64_t tx_seq = SSL_get_write_sequence(conn->ssl);
	int r;

	if (conn->suite->version == TLS13)
		r = take_tls13(conn, rx_seq, tx_seq);
	else
		r = take_tls12(conn, rx_seq, tx_seq);
	if (r < 0)
		return conn_fail(conn, -r, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "taking the traffic secrets");
	return 0;
}

/* A client that wants tickets and whoever wants exporters keep the object; others free it. */
static void disarm(struct sluice_conn *conn)
{
	SSL_set0_rbio(conn->ssl, NULL);
	SSL_set0_wbio(conn->ssl, NULL);
	if (conn->role == SLUICE_CLIENT || conn->profile->keep_exporter)
		return;
	SSL_free(conn->ssl);
	conn->ssl = NULL;
}

int stage_export(struct sluice_conn *conn)
{
	int r = check_suite(conn);

	if (r < 0)
		return r;
	r = flush_tickets(conn);
	if (r != STAGE_DONE)
		return r;
	r = check_left(conn);
	if (r < 0)
		return r;
	r = take_early(conn);
	if (r < 0)
		return r;
	r = conn_snapshot(conn);
	if (r < 0)
		return r;
	r = take_secrets(conn);
	if (r < 0)
		return r;
	disarm(conn);
	return STAGE_DONE;
}
