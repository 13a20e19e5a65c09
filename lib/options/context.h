/* SPDX-License-Identifier: Apache-2.0 */
/* A profile's BoringSSL context: for profile.c only. */
#ifndef SLUICE_OPTIONS_CONTEXT_H
#define SLUICE_OPTIONS_CONTEXT_H

#include <openssl/sha.h>
#include <openssl/ssl.h>

#include "options/credentials.h"
#include "options/options.h"

#define SUITES_TEXT_LEN 512 /* OpenSSL names of all TLS 1.2 suites, and colons */

/* struct settings - what is set on a context, and again on a connection that changes its profile. */
struct settings {
	struct protocol protocol;
	char suites12
		[SUITES_TEXT_LEN];    /* for SSL_CTX_set_strict_cipher_list(); empty: no TLS 1.2 */
	uint32_t options, no_options; /* SSL_OP_* to set and to clear */
	int verify_mode;              /* SSL_VERIFY_* */
	size_t max_handshake_size;
	uint8_t session_context[SHA256_DIGEST_LENGTH]; /* by context_new() */
};

/* settings_get() reads them from checked options. Errors: OPTION_CONFLICT. */
int settings_get(struct settings *ret_settings, const struct sluice_options *opts,
		 enum sluice_role role, struct sluice_error *ret_err);

/* context_new() makes a context. Errors: OPTION_RANGE, UNSUPPORTED_*, NOMEM. */
int context_new(SSL_CTX **ret_ctx, struct settings *settings, const struct sluice_options *opts,
		enum sluice_role role, const struct credentials *creds,
		struct sluice_error *ret_err);

/*
 * context_bind() makes the sessions of a server's context those of one host: they do not resume at
 * another, although it may have the same certificate and rules. Errors: NOMEM.
 */
int context_bind(SSL_CTX *ctx, const struct settings *settings, const char *host);

/*
 * settings_apply() sets on a connection what SSL_new() has copied from another context, and
 * SSL_set_SSL_CTX() does not replace. Errors: NOMEM.
 */
int settings_apply(const struct settings *settings, SSL *ssl);

#endif
