/* SPDX-License-Identifier: Apache-2.0 */
/* Which own certificate is shown, if any: the first that the peer can take. */
#ifndef SLUICE_BSSL_OWN_CERT_H
#define SLUICE_BSSL_OWN_CERT_H

#include <openssl/ssl.h>

#include <sluice/options.h>

struct sluice_conn;

/*
 * own_cert_choose() is the hook for where a certificate is needed. A server keeps its first one where none
 * suits the client, so that the handshake fails as it does with one certificate. Of a client's, what does
 * not suit a server's request is taken off @ssl, and an empty message goes out in its place (RFC 8446, 4.4.2;
 * RFC 5246, 7.4.6). Returns 1, 0: an error, in the connection's if there is more to say than "no memory",
 * or -1: client_cert_cb answers later.
 */
int own_cert_choose(SSL *ssl, void *unused);

/* --- a program's say (client-cert-cb.c) --------------------------------------------------------- */

/*
 * client_cert_ask() asks client_cert_cb, once. Returns 0, SLUICE_PAUSED, or an error, which is the
 * connection's then.
 */
int client_cert_ask(struct sluice_conn *conn, const SSL *ssl);

/*
 * client_cert_answer() takes what a program wants to show (sluice_client_cert_cb). On failure the
 * question is open as before. Errors: OPTION, and those of a profile's certificates.
 */
int client_cert_answer(struct sluice_conn *conn, const struct sluice_options *own,
		       struct sluice_error *ret_err);

#endif
