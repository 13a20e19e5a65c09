/* SPDX-License-Identifier: Apache-2.0 */
/* The callbacks by which BoringSSL pauses where the stages of a connection end. */
#ifndef SLUICE_BSSL_HOOKS_H
#define SLUICE_BSSL_HOOKS_H

#include <stdbool.h>

#include <openssl/ssl.h>

#include <sluice/options.h>

struct sluice_conn;

/*
 * hooks_install() sets them on a context that a profile is being built with; @verify_mode is
 * SSL_VERIFY_*. @has_choice: there is more than one own certificate.
 */
void hooks_install(SSL_CTX *ctx, enum sluice_role role, int verify_mode, bool has_choice);

/* hooks_set_verify() makes @ssl ask for a peer certificate: SSL_VERIFY_* of @mode. */
void hooks_set_verify(SSL *ssl, int mode);

/* hooks_bind() tells the callbacks which connection @ssl belongs to. Returns 1, or 0 on failure. */
int hooks_bind(SSL *ssl, struct sluice_conn *conn);

/* hooks_conn() returns it. */
struct sluice_conn *hooks_conn(const SSL *ssl);

#endif
