/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a client shows its certificate to a server that asks for one. */
#ifndef SLUICE_BSSL_CLIENT_CERT_H
#define SLUICE_BSSL_CLIENT_CERT_H

#include <openssl/ssl.h>

/*
 * client_cert_choose() is the hook for a server's CertificateRequest: a certificate that does not suit it is
 * taken off @ssl, and an empty message goes out in its place (RFC 8446, 4.4.2; RFC 5246, 7.4.6). Returns 1,
 * or 0: no memory.
 */
int client_cert_choose(SSL *ssl, void *unused);

#endif
