// SPDX-License-Identifier: Apache-2.0
/* What a connection can tell. BoringSSL's part is copied at EXPORT, before its object goes. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "conn/conn.h"
#include "conn/epoch.h"
#include "config.h"
#include "core/error.h"
#include "core/sys.h"
#include "record/ktls.h"

#define MAX_TEXT (sizeof(((struct sluice_conn_info *)0)->sni) - 1)

int conn_text(char **text, const char *bytes, size_t len)
{
	char *copy = NULL;

	if (len && !(copy = strndup(bytes, len < MAX_TEXT ? len : MAX_TEXT)))
		return -SLUICE_E_NOMEM;
	free(*text);
	*text = copy;
	return 0;
}

#if HAVE_SSL_GET_GROUP_ID
#define ssl_group_of SSL_get_group_id
#define ssl_group_name SSL_get_group_name
#else
#define ssl_group_of SSL_get_curve_id
#define ssl_group_name SSL_get_curve_name
#endif

static int snapshot_chain(struct sluice_conn *conn)
{
	const STACK_OF(CRYPTO_BUFFER) *chain = SSL_get0_peer_certificates(conn->ssl);
	CRYPTO_BUFFER *cert;
	size_t i;

	conn->peer_chain = sk_CRYPTO_BUFFER_new_null();
	if (!conn->peer_chain)
		return -SLUICE_E_NOMEM;
	for (i = 0; chain && i < sk_CRYPTO_BUFFER_num(chain); i++) {
		cert = sk_CRYPTO_BUFFER_value(chain, i);
		CRYPTO_BUFFER_up_ref(cert);
		if (!sk_CRYPTO_BUFFER_push(conn->peer_chain, cert)) {
			CRYPTO_BUFFER_free(cert);
			return -SLUICE_E_NOMEM;
		}
	}
	return 0;
}

static int snapshot_texts(struct sluice_conn *conn)
{
	const char *sni = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
	const uint8_t *alpn;
	unsigned int alpn_len;
	int r = 0;

	if (sni && conn->role == SLUICE_SERVER)
		r = conn_text(&conn->info.sni, sni, strlen(sni));
	SSL_get0_alpn_selected(conn->ssl, &alpn, &alpn_len);
	return r ? r : conn_text(&conn->info.alpn, (const char *)alpn, alpn_len);
}

int conn_snapshot(struct sluice_conn *conn)
{
	struct conn_info *info = &conn->info;

	info->version = SSL_version(conn->ssl);
	info->suite = conn->suite->id;
	info->signature = SSL_get_peer_signature_algorithm(conn->ssl);
	info->resumed = SSL_session_reused(conn->ssl);
	info->hello_retried = SSL_used_hello_retry_request(conn->ssl);
	info->handshake_bytes_in = conn->hs->gate.bytes_in;
	info->handshake_bytes_out = conn->hs->gate.bytes_out;
	info->group = ssl_group_of(conn->ssl);
	if (snapshot_texts(conn) < 0)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "keeping what was negotiated");
	if (!conn->peer_chain && snapshot_chain(conn) < 0)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "keeping the peer's certificates");
	return 0;
}

/* @out is all zeros. */
static void put_text(char *out, size_t out_size, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	memcpy(out, text ? text : "", len < out_size ? len : out_size - 1);
}

static void tell_texts(const struct sluice_conn *conn, struct sluice_conn_info *info)
{
	const struct conn_info *own = &conn->info;

	put_text(info->sni, sizeof(info->sni), own->sni);
	put_text(info->alpn, sizeof(info->alpn), own->alpn);
	put_text(info->peer_identity, sizeof(info->peer_identity), own->peer_identity);
	put_text(info->attributes, sizeof(info->attributes), own->attributes);
	if (!own->version)
		return;
	put_text(info->version_name, sizeof(info->version_name),
		 own->version == TLS13 ? "TLSv1.3" : "TLSv1.2");
	put_text(info->suite_name, sizeof(info->suite_name), conn->suite->name);
	put_text(info->group_name, sizeof(info->group_name), ssl_group_name(own->group));
}

static void tell_handshake(const struct conn_info *own, struct sluice_conn_info *info)
{
	info->id = own->id;
	info->role = own->role;
	info->stage = own->stage;
	info->version = own->version;
	info->suite = own->suite;
	info->group = own->group;
	info->signature = own->signature;
	info->resumed = own->resumed;
	info->hello_retried = own->hello_retried;
	info->peer_verified = own->peer_verified;
	info->handshake_us = own->handshake_us;
	info->handshake_bytes_in = own->handshake_bytes_in;
	info->handshake_bytes_out = own->handshake_bytes_out;
	info->bad_cert = own->bad_cert;
	info->x509_error = own->x509_error;
	info->bad_certs = own->bad_certs;
	info->ocsp = own->ocsp;
	info->tx_max_payload_len = own->tx_max_payload_len;
	info->tx_zerocopy_ro = own->tx_zerocopy_ro;
	info->rx_expect_no_pad = own->rx_expect_no_pad;
}

static void tell_direction(const struct conn_direction *own, const struct traffic *traffic,
			   struct sluice_direction *direction)
{
	direction->path = own->path;
	direction->reason = own->reason;
	direction->bytes = own->bytes;
	direction->epoch = traffic ? traffic->epoch : own->epoch;
}

static void tell_directions(const struct sluice_conn *conn, struct sluice_conn_info *info)
{
	tell_direction(&conn->info.rx, conn->rx_traffic, &info->rx);
	tell_direction(&conn->info.tx, conn->tx_traffic, &info->tx);
	if (conn->rx)
		info->rx.records = conn->rx->records;
	if (conn->tx) {
		info->tx.records = conn->tx->records;
		info->tx_max_payload = conn->tx->max_payload;
	}
}

static void tell_control(const struct sluice_conn *conn, struct sluice_conn_info *info)
{
	const struct control_counts *counts = &conn->control.counts;
	int i;

	info->tickets = conn->info.tickets;
	info->alerts_sent = conn->info.alerts_sent;
	info->alerts_received = conn->info.alerts_received;
	for (i = 0; i < SLUICE_REKEY_CAUSES; i++)
		info->rekeys[i] = conn->info.rekeys[i];
	info->can_rekey = epoch_can_change(conn);
	info->key_updates_received = counts->key_updates;
	info->renegotiations_refused = counts->renegotiations;
	info->warnings_received = counts->warnings;
	info->empty_records_received = counts->empty_records;
}

int sluice_conn_info(const struct sluice_conn *conn, struct sluice_conn_info *ret_info,
		     size_t info_size)
{
	struct sluice_conn_info info = { 0 };

	if (!info_size)
		return -SLUICE_E_INVALID;
	conn_enter(conn);
	tell_handshake(&conn->info, &info);
	tell_texts(conn, &info);
	tell_directions(conn, &info);
	tell_control(conn, &info);
	if (conn->profile->n_cert_sigalgs)
		info.warnings |= SLUICE_W_NOT_SENT;
	conn_leave(conn);
	memset(ret_info, 0, info_size);
	memcpy(ret_info, &info, info_size < sizeof(info) ? info_size : sizeof(info));
	return 0;
}

int sluice_conn_error(const struct sluice_conn *conn, struct sluice_error *ret_err, size_t err_size)
{
	struct sluice_error err;

	if (!err_size)
		return -SLUICE_E_INVALID;
	memset(ret_err, 0, err_size);
	conn_enter(conn);
	failure_get(&conn->err, &err);
	conn_leave(conn);
	memcpy(ret_err, &err, err_size < sizeof(err) ? err_size : sizeof(err));
	return 0;
}

int sluice_hello(const struct sluice_conn *conn, struct sluice_hello *ret_hello, size_t hello_size)
{
	struct sluice_hello hello = { 0 };

	if (!hello_size)
		return -SLUICE_E_INVALID;
	if (!conn->hello)
		return -SLUICE_E_UNDEFINED;
	hello_export(conn->hello, &hello);
	memset(ret_hello, 0, hello_size);
	memcpy(ret_hello, &hello, hello_size < sizeof(hello) ? hello_size : sizeof(hello));
	return 0;
}

int sluice_peername(const struct sluice_conn *conn, struct sockaddr_storage *ret_addr)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);

	if (conn->ends && conn->ends->peer.ss_family) {
		*ret_addr = conn->ends->peer;
		return 0;
	}
	if (sys->getpeername(conn->fd, (struct sockaddr *)&addr, &len))
		return -sys_errno_code(errno);
	*ret_addr = addr;
	return 0;
}

int sluice_sockname(const struct sluice_conn *conn, struct sockaddr_storage *ret_addr)
{
	struct sockaddr_storage addr = { 0 };
	socklen_t len = sizeof(addr);

	if (conn->ends && conn->ends->local.ss_family) {
		*ret_addr = conn->ends->local;
		return 0;
	}
	if (sys->getsockname(conn->fd, (struct sockaddr *)&addr, &len))
		return -sys_errno_code(errno);
	*ret_addr = addr;
	return 0;
}

int sluice_setopt(struct sluice_conn *conn, int level, int name, const void *value, socklen_t len)
{
	if (ktls_owns_option(level, name))
		return -SLUICE_E_POLICY;
	return sys->setsockopt(conn->fd, level, name, value, len) ? -sys_errno_code(errno) : 0;
}

int sluice_getopt(const struct sluice_conn *conn, int level, int name, void *value, socklen_t *len)
{
	if (ktls_owns_option(level, name))
		return -SLUICE_E_POLICY;
	return sys->getsockopt(conn->fd, level, name, value, len) ? -sys_errno_code(errno) : 0;
}

int sluice_negotiated_protocol(const struct sluice_conn *conn, const char **ret_protocol,
			       size_t *ret_protocol_len)
{
	if (!conn->info.version)
		return -SLUICE_E_NOT_ESTABLISHED;
	if (!conn->info.alpn)
		return -SLUICE_E_PROTOCOL_NOT_NEGOTIATED;
	*ret_protocol = conn->info.alpn;
	*ret_protocol_len = strlen(conn->info.alpn);
	return 0;
}

int sluice_peercert(const struct sluice_conn *conn, size_t index, const uint8_t **ret_der,
		    size_t *ret_der_len)
{
	const CRYPTO_BUFFER *cert;

	if (!conn->peer_chain || index >= sk_CRYPTO_BUFFER_num(conn->peer_chain))
		return -SLUICE_E_NO_PEERCERT;
	cert = sk_CRYPTO_BUFFER_value(conn->peer_chain, index);
	*ret_der = CRYPTO_BUFFER_data(cert);
	*ret_der_len = CRYPTO_BUFFER_len(cert);
	return 0;
}

int sluice_export_keying_material(struct sluice_conn *conn, uint8_t *out, size_t out_len,
				  const char *label, const uint8_t *context, size_t context_len)
{
	if (conn->stage != SLUICE_STAGE_LIVE)
		return -SLUICE_E_NOT_ESTABLISHED;
	if (!conn->ssl)
		return -SLUICE_E_UNDEFINED;
	if (!out_len || !label)
		return -SLUICE_E_INVALID;
	if (!SSL_export_keying_material(conn->ssl, out, out_len, label, strlen(label), context,
					context_len, context != NULL))
		return -SLUICE_E_INVALID;
	return 0;
}
