// SPDX-License-Identifier: Apache-2.0
/*
 * The hooks: BoringSSL's callbacks. Each one only looks up what a stage has decided, or asks
 * BoringSSL to come back (retry) because the stage has not run yet. Nothing is decided here.
 */
#include "bssl/hooks.h"

#include <pthread.h>

#include "bssl/hello.h"
#include "bssl/own-cert.h"
#include "conn/conn.h"
#include "core/error.h"
#include "options/credentials.h"

static int conn_index = -1;
static pthread_once_t conn_index_once = PTHREAD_ONCE_INIT;

static void conn_index_init(void)
{
	conn_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

int hooks_bind(SSL *ssl, struct sluice_conn *conn)
{
	pthread_once(&conn_index_once, conn_index_init);
	return SSL_set_ex_data(ssl, conn_index, conn);
}

struct sluice_conn *hooks_conn(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, conn_index);
}

/* BoringSSL would only say that the callback failed. */
static enum ssl_select_cert_result_t refuse_hello(struct sluice_conn *conn, int r)
{
	if (r == -SLUICE_E_NOMEM) {
		SSL_send_fatal_alert(conn->ssl, SLUICE_ALERT_INTERNAL_ERROR);
		failure_set(&conn->err, SLUICE_E_NOMEM, 0, "no memory to answer a ClientHello");
	} else {
		SSL_send_fatal_alert(conn->ssl, SLUICE_ALERT_DECODE_ERROR);
		failure_set(&conn->err, SLUICE_E_PROTOCOL, 0, "the ClientHello cannot be parsed");
	}
	return ssl_select_cert_error;
}

/* End of HELLO: keep the hello, then wait for POLICY. */
static enum ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO *client_hello)
{
	struct sluice_conn *conn = hooks_conn(client_hello->ssl);
	int r;

	/* What is stapled goes with the certificate; of several, one is still to be chosen. */
	if (conn->hs->hello_passed)
		return conn->profile->creds->n_own == 1 &&
				       profile_staple(conn->profile, conn->ssl) < 0
			       ? refuse_hello(conn, -SLUICE_E_NOMEM)
			       : ssl_select_cert_success;
	if (!conn->hello) {
		r = hello_parse_client_body(&conn->hello, client_hello->client_hello,
					    client_hello->client_hello_len);
		if (r < 0)
			return refuse_hello(conn, r);
	}
	return ssl_select_cert_retry;
}

/* End of HANDSHAKE where the peer has a certificate: wait for VERIFY. */
static enum ssl_verify_result_t on_verify(SSL *ssl, uint8_t *out_alert)
{
	struct sluice_conn *conn = hooks_conn(ssl);

	if (!conn->hs->verify_known)
		return ssl_verify_retry;
	if (!conn->hs->verify_alert)
		return ssl_verify_ok;
	*out_alert = conn->hs->verify_alert;
	return ssl_verify_invalid;
}

/*
 * RFC 7301, 3.2: the server picks by its own preference; without a common protocol it ends the
 * handshake with no_application_protocol.
 */
static int on_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
		   unsigned int in_len, void *arg)
{
	const struct sluice_profile *profile = hooks_conn(ssl)->profile;
	int r;

	if (!profile->alpn_preferred)
		return SSL_TLSEXT_ERR_NOACK;
	r = SSL_select_next_proto((uint8_t **)out, out_len, profile->alpn_preferred,
				  profile->alpn_preferred_len, in, in_len);
	return r == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
	struct sluice_conn *conn = hooks_conn(ssl);

	if (conn->profile->tickets == TICKETS_DISABLED)
		return 0;
	session_keep(conn, session);
	return 1;
}

/* Alerts of the handshake, both ways. */
static void on_info(const SSL *ssl, int where, int value)
{
	struct sluice_conn *conn = hooks_conn(ssl);
	int alert = value & 0xff;

	if (!conn || !(where & SSL_CB_ALERT))
		return;
	if (where & SSL_CB_WRITE) {
		conn->info.alerts_sent++;
	} else {
		conn->info.alerts_received++;
	}
	/* A fatal alert of the peer comes as an error; one that ends nothing is not the reason. */
	if (!conn->err.code && (where & SSL_CB_WRITE) && value >> 8 == ALERT_LEVEL_FATAL) {
		conn->err.alert = alert;
		conn->err.alert_sent = 1;
	}
}

void hooks_set_verify(SSL *ssl, int mode)
{
	SSL_set_custom_verify(ssl, mode, on_verify);
}

void hooks_install(SSL_CTX *ctx, enum sluice_role role, int verify_mode, bool has_choice)
{
	SSL_CTX_set_custom_verify(ctx, verify_mode, on_verify);
	SSL_CTX_set_info_callback(ctx, on_info);
	if (role == SLUICE_SERVER) {
		SSL_CTX_set_select_certificate_cb(ctx, on_client_hello);
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	} else {
		SSL_CTX_sess_set_new_cb(ctx, on_new_session);
	}
	if (role == SLUICE_CLIENT || has_choice)
		SSL_CTX_set_cert_cb(ctx, own_cert_choose, NULL);
}
