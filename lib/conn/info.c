// SPDX-License-Identifier: Apache-2.0
/* What a connection can tell. BoringSSL's part is copied at EXPORT, before its object goes. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include <openssl/ssl.h>

#include "conn/conn.h"
#include "conn/epoch.h"
#include "config.h"
#include "core/error.h"
#include "core/sys.h"
#include "record/ktls.h"

static void copy_text(char *out, size_t out_size, const char *in, size_t in_len)
{
	if (in_len >= out_size)
		in_len = out_size - 1;
	if (in_len)
		memcpy(out, in, in_len);
	out[in_len] = '\0';
}

static void snapshot_group(struct sluice_conn_info *info, const SSL *ssl)
{
	const char *name;

#if HAVE_SSL_GET_GROUP_ID
	info->group = SSL_get_group_id(ssl);
	name = SSL_get_group_name(info->group);
#else
	info->group = SSL_get_curve_id(ssl);
	name = SSL_get_curve_name(info->group);
#endif
	if (name)
		copy_text(info->group_name, sizeof(info->group_name), name, strlen(name));
}

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

int conn_snapshot(struct sluice_conn *conn)
{
	struct sluice_conn_info *info = &conn->info;
	const char *sni = SSL_get_servername(conn->ssl, TLSEXT_NAMETYPE_host_name);
	const uint8_t *alpn;
	unsigned int alpn_len;

	info->version = SSL_version(conn->ssl);
	info->suite = conn->suite->id;
	info->signature = SSL_get_peer_signature_algorithm(conn->ssl);
	info->resumed = SSL_session_reused(conn->ssl);
	info->hello_retried = SSL_used_hello_retry_request(conn->ssl);
	info->handshake_bytes_in = conn->hs->gate.bytes_in;
	info->handshake_bytes_out = conn->hs->gate.bytes_out;
	snapshot_group(info, conn->ssl);
	copy_text(info->version_name, sizeof(info->version_name), SSL_get_version(conn->ssl),
		  strlen(SSL_get_version(conn->ssl)));
	copy_text(info->suite_name, sizeof(info->suite_name), conn->suite->name,
		  strlen(conn->suite->name));
	if (sni && conn->role == SLUICE_SERVER)
		copy_text(info->sni, sizeof(info->sni), sni, strlen(sni));
	SSL_get0_alpn_selected(conn->ssl, &alpn, &alpn_len);
	copy_text(info->alpn, sizeof(info->alpn), (const char *)alpn, alpn_len);
	if (!conn->peer_chain && snapshot_chain(conn) < 0)
		return conn_fail(conn, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0,
				 "keeping the peer's certificates");
	return 0;
}

/* What changes while the connection lives. */
static void snapshot_directions(const struct sluice_conn *conn, struct sluice_conn_info *info)
{
	if (conn->rx)
		info->rx.records = conn->rx->records;
	if (conn->tx) {
		info->tx.records = conn->tx->records;
		info->tx_max_payload = conn->tx->max_payload;
	}
	if (conn->rx_traffic)
		info->rx.epoch = conn->rx_traffic->epoch;
	if (conn->tx_traffic)
		info->tx.epoch = conn->tx_traffic->epoch;
}

static void snapshot_control(const struct sluice_conn *conn, struct sluice_conn_info *info)
{
	const struct control_counts *counts = &conn->control.counts;

	info->can_rekey = epoch_can_change(conn);
	info->key_updates_received = counts->key_updates;
	info->renegotiations_refused = counts->renegotiations;
	info->warnings_received = counts->warnings;
	info->empty_records_received = counts->empty_records;
}

int sluice_conn_info(const struct sluice_conn *conn, struct sluice_conn_info *ret_info,
		     size_t info_size)
{
	struct sluice_conn_info info;

	if (!info_size)
		return -SLUICE_E_INVALID;
	conn_enter(conn);
	info = conn->info;
	snapshot_directions(conn, &info);
	snapshot_control(conn, &info);
	if (conn->profile->n_cert_sigalgs)
		info.warnings |= SLUICE_W_NOT_SENT;
	conn_leave(conn);
	memset(ret_info, 0, info_size);
	memcpy(ret_info, &info, info_size < sizeof(info) ? info_size : sizeof(info));
	return 0;
}

int sluice_conn_error(const struct sluice_conn *conn, struct sluice_error *ret_err, size_t err_size)
{
	if (!err_size)
		return -SLUICE_E_INVALID;
	memset(ret_err, 0, err_size);
	conn_enter(conn);
	memcpy(ret_err, &conn->err, err_size < sizeof(conn->err) ? err_size : sizeof(conn->err));
	conn_leave(conn);
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
	if (!conn->info.alpn[0])
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
