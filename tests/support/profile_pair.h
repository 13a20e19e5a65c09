/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes between two profiles in memory. The hooks of a connection are taken off the contexts,
 * since there is none. Included by unit programs; must never touch a socket.
 */
#ifndef SLUICE_TESTS_SUPPORT_PROFILE_PAIR_H
#define SLUICE_TESTS_SUPPORT_PROFILE_PAIR_H

#include <openssl/err.h>

#include "options/profile.h"
#include "support/bssl-pair.h"
#include "support/profiles.h"

#define PROFILE_PAIR_TURNS 16

static struct {
	unsigned int n;
	SSL_SESSION *last;
} sessions; /* what the client was given */

static inline int on_session(SSL *ssl, SSL_SESSION *session)
{
	sessions.n++;
	SSL_SESSION_free(sessions.last);
	sessions.last = session;
	return 1;
}

static inline void forget_sessions(void)
{
	SSL_SESSION_free(sessions.last);
	sessions.last = NULL;
	sessions.n = 0;
}

static inline enum ssl_verify_result_t accept_any(SSL *ssl, uint8_t *out_alert)
{
	return ssl_verify_ok;
}

/* Takes off the hooks, which look for a connection behind every SSL. */
static inline SSL_CTX *unhooked(struct sluice_profile *profile)
{
	SSL_CTX *ctx = profile->ctx;

	SSL_CTX_set_select_certificate_cb(ctx, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, NULL, NULL);
	SSL_CTX_set_info_callback(ctx, NULL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	SSL_CTX_set_custom_verify(ctx, SSL_CTX_get_verify_mode(ctx), accept_any);
	return ctx;
}

static inline void pair_new(struct bssl_pair *pair, struct sluice_profile *client,
			    struct sluice_profile *server)
{
	*pair = (struct bssl_pair){ .client_ctx = unhooked(client),
				    .server_ctx = unhooked(server) };
	SSL_CTX_up_ref(pair->client_ctx);
	SSL_CTX_up_ref(pair->server_ctx);
	bssl_pair_connect(pair);
}

/* Runs the handshake as far as it goes; true: to the end on both sides. */
static inline bool handshake(struct bssl_pair *pair)
{
	int turn, client = 0, server = 0;

	for (turn = 0; turn < PROFILE_PAIR_TURNS && (client != 1 || server != 1); turn++) {
		client = SSL_do_handshake(pair->client);
		bssl_pair_move(pair->client, pair->server);
		server = SSL_do_handshake(pair->server);
		bssl_pair_move(pair->server, pair->client);
	}
	ERR_clear_error();
	return client == 1 && server == 1;
}

/* Lets a server send its tickets and a client read them. */
static inline void pass_tickets(struct bssl_pair *pair)
{
	char byte;

	assert_int_equal(SSL_write(pair->server, "x", 1), 1);
	bssl_pair_move(pair->server, pair->client);
	assert_int_equal(SSL_read(pair->client, &byte, 1), 1);
}

static inline struct sluice_profile *new_server(const char *const pairs[])
{
	const struct certs *c = certs_get();
	struct sluice_options *opts =
		new_options(PAIRS("session_tickets", "stateless", "certfile", c->server_combined));
	struct sluice_profile *profile;
	struct sluice_error err;

	set_pairs(opts, pairs);
	if (sluice_profile_new(&profile, opts, SLUICE_SERVER, &err) < 0)
		fail_msg("%s", err.text);
	sluice_options_free(opts);
	return profile;
}

static inline struct sluice_profile *new_client(const char *const pairs[])
{
	struct sluice_options *opts =
		new_options(PAIRS("session_tickets", "manual", "cacertfile", certs_get()->ca));
	struct sluice_profile *profile;
	struct sluice_error err;

	set_pairs(opts, pairs);
	if (sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err) < 0)
		fail_msg("%s", err.text);
	sluice_options_free(opts);
	return profile;
}

#endif
