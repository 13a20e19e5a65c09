/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options and credentials into a BoringSSL context. Called by profile.c alone. It must never leave a
 * default of BoringSSL in force that the option table does not show: each setting is written down
 * here, and what BoringSSL would take in silence has been refused before (words.c, check.c).
 */
#include "options/context.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "bssl/hooks.h"
#include "bssl/signer.h"
#include "core/error.h"
#include "options/profile.h"
#include "record/suite.h"

#define MAX_CA_NAMES 65535 /* bytes: RFC 8446, 4.2.4; RFC 5246, 7.4.4 */

/* --- settings ------------------------------------------------------------------------------- */

static void list_suites12(const struct protocol *protocol, char out[SUITES_TEXT_LEN])
{
	const struct suite *suite;
	size_t i, len = 0;

	out[0] = '\0';
	for (i = 0; i < protocol->n_suites; i++) {
		suite = suite_find(protocol->suites[i]);
		if (suite->version == TLS12)
			len += (size_t)snprintf(out + len, SUITES_TEXT_LEN - len, "%s%s",
						len ? ":" : "", suite->openssl_name);
	}
}

static void choose_option(struct settings *settings, uint32_t option, bool on)
{
	if (on) {
		settings->options |= option;
	} else {
		settings->no_options |= option;
	}
}

int settings_get(struct settings *ret_settings, const struct sluice_options *opts,
		 enum sluice_role role, struct sluice_error *ret_err)
{
	struct settings settings = { .verify_mode = SSL_VERIFY_NONE };
	int r = protocol_resolve(opts, &settings.protocol, ret_err);

	if (r < 0)
		return r;
	list_suites12(&settings.protocol, settings.suites12);
	choose_option(&settings, SSL_OP_NO_TICKET,
		      option_number(opts, SLUICE_OPT_SESSION_TICKETS, role) == TICKETS_DISABLED);
	choose_option(&settings, SSL_OP_CIPHER_SERVER_PREFERENCE,
		      option_number(opts, SLUICE_OPT_HONOR_CIPHER_ORDER, role));
	/* To a client of BoringSSL that means only that a refusal counts. */
	if (option_number(opts, SLUICE_OPT_VERIFY, role) ||
	    option_is_set(opts, SLUICE_OPT_VERIFY_FUN))
		settings.verify_mode = SSL_VERIFY_PEER;
	if (option_number(opts, SLUICE_OPT_FAIL_IF_NO_PEER_CERT, role))
		settings.verify_mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	settings.max_handshake_size =
		(size_t)option_number(opts, SLUICE_OPT_MAX_HANDSHAKE_SIZE, role);
	*ret_settings = settings;
	return 0;
}

/* --- the context ---------------------------------------------------------------------------- */

/* Fails because BoringSSL does not take what the option table allows. */
static int refused(int code, const char *option, struct sluice_error *err)
{
	uint32_t packed = ERR_peek_error();
	const char *reason = packed ? ERR_reason_error_string(packed) : NULL;

	ERR_clear_error();
	if (ERR_GET_REASON(packed) == ERR_R_MALLOC_FAILURE)
		code = SLUICE_E_NOMEM;
	err_set(err, code, "%s: BoringSSL refuses it: %s", option, reason ? reason : "no reason");
	if (err)
		err->bssl_error = packed;
	return -code;
}

static int set_protocol(SSL_CTX *ctx, const struct settings *settings, struct sluice_error *err)
{
	const struct protocol *protocol = &settings->protocol;

	if (!SSL_CTX_set_min_proto_version(ctx, protocol->min_version) ||
	    !SSL_CTX_set_max_proto_version(ctx, protocol->max_version))
		return refused(SLUICE_E_UNSUPPORTED_VERSION, "versions", err);
	/* The strict call: the other one skips names that it does not know. */
	if (settings->suites12[0] && !SSL_CTX_set_strict_cipher_list(ctx, settings->suites12))
		return refused(SLUICE_E_UNSUPPORTED_SUITE, "ciphers", err);
	if (!SSL_CTX_set1_curves(ctx, protocol->groups, protocol->n_groups))
		return refused(SLUICE_E_UNSUPPORTED_GROUP, "supported_groups", err);
	if (!SSL_CTX_set_verify_algorithm_prefs(ctx, protocol->sigalgs, protocol->n_sigalgs))
		return refused(SLUICE_E_UNSUPPORTED_SIGALG, "signature_algs", err);
	return 0;
}

static int set_alpn(SSL_CTX *ctx, const struct sluice_options *opts, struct sluice_error *err)
{
	const struct option_value *value = &opts->values[SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS];

	/* The one setter that returns 0 on success. */
	if (value->set && SSL_CTX_set_alpn_protos(ctx, value->bytes, (unsigned int)value->len))
		return refused(SLUICE_E_OPTION, "alpn_advertised_protocols", err);
	return 0;
}

/* The first certificate; where there are more, own_cert_choose() takes another for a connection. */
static int set_identity(SSL_CTX *ctx, const struct credentials *creds,
			const struct protocol *protocol, struct sluice_error *err)
{
	const struct own_cert *own = &creds->own[0];
	CRYPTO_BUFFER *certs[OWN_MAX_CHAIN];
	size_t n = creds->n_own ? own_chain(own, certs) : 0;

	if (!n)
		return 0;
	if (!SSL_CTX_set_chain_and_key(ctx, certs, n, own->key, own->key ? NULL : &signer_method))
		return refused(SLUICE_E_UNSUPPORTED_KEY_TYPE, "certfile", err);
	if (!SSL_CTX_set_signing_algorithm_prefs(ctx, protocol->sigalgs, protocol->n_sigalgs))
		return refused(SLUICE_E_UNSUPPORTED_SIGALG, "signature_algs", err);
	return 0;
}

/* The subject of a CA certificate, DER. */
static CRYPTO_BUFFER *ca_name(const CRYPTO_BUFFER *ca)
{
	X509 *x509 = X509_parse_from_buffer((CRYPTO_BUFFER *)ca);
	uint8_t *der = NULL;
	int len = x509 ? i2d_X509_NAME(X509_get_subject_name(x509), &der) : -1;
	CRYPTO_BUFFER *name = len >= 0 ? CRYPTO_BUFFER_new(der, (size_t)len, NULL) : NULL;

	OPENSSL_free(der);
	X509_free(x509);
	return name;
}

/* Tells clients by whom their certificate may be issued. */
static int set_client_cas(SSL_CTX *ctx, const struct credentials *creds, struct sluice_error *err)
{
	STACK_OF(CRYPTO_BUFFER) *names = sk_CRYPTO_BUFFER_new_null();
	bool ok = names != NULL;
	CRYPTO_BUFFER *name;
	size_t i, len = 0;

	for (i = 0; ok && i < sk_CRYPTO_BUFFER_num(creds->cas); i++) {
		name = ca_name(sk_CRYPTO_BUFFER_value(creds->cas, i));
		ok = name && sk_CRYPTO_BUFFER_push(names, name);
		if (!ok)
			CRYPTO_BUFFER_free(name);
		else
			len += 2 + CRYPTO_BUFFER_len(name);
	}
	if (ok && len <= MAX_CA_NAMES) {
		SSL_CTX_set0_client_CAs(ctx, names);
		return 0;
	}
	sk_CRYPTO_BUFFER_pop_free(names, CRYPTO_BUFFER_free);
	if (ok)
		return err_set(err, SLUICE_E_OPTION_RANGE,
			       "cacertfile: the names of its certificates take %zu bytes; a "
			       "CertificateRequest has room for %d",
			       len, MAX_CA_NAMES);
	return refused(SLUICE_E_NOMEM, "cacertfile", err);
}

static void hash_der(SHA256_CTX *sha, const CRYPTO_BUFFER *der)
{
	uint64_t len = der ? CRYPTO_BUFFER_len(der) : 0;

	SHA256_Update(sha, &len, sizeof(len));
	if (der)
		SHA256_Update(sha, CRYPTO_BUFFER_data(der), len);
}

static void hash_value(SHA256_CTX *sha, const struct option_value *value)
{
	uint64_t len = value->len;

	SHA256_Update(sha, &len, sizeof(len));
	if (len)
		SHA256_Update(sha, value->bytes, len);
}

static uint8_t process_nonce[16];
static pthread_once_t process_nonce_once = PTHREAD_ONCE_INIT;

static void process_nonce_init(void)
{
	RAND_bytes(process_nonce, sizeof(process_nonce));
}

/* A function is the same one only in its process: sessions may come from a file. */
static void hash_call(SHA256_CTX *sha, void (*call)(void), const void *arg)
{
	pthread_once(&process_nonce_once, process_nonce_init);
	SHA256_Update(sha, process_nonce, sizeof(process_nonce));
	SHA256_Update(sha, &call, sizeof(call));
	SHA256_Update(sha, &arg, sizeof(arg));
}

/*
 * Sessions resume only where the peer would have been judged by the same rules and would have met
 * the same identity: a resumed handshake shows no certificate. Profiles are told apart by their
 * session ID context, servers that share ticket keys as well as clients that share sessions (which
 * add the server's name: session_bind()).
 */
static void hash_session_context(struct settings *settings, const struct credentials *creds,
				 const struct sluice_options *opts, enum sluice_role role)
{
	const struct sluice_hostname_check *check = &opts->hostname_check;
	const struct option_value *fun = &opts->values[SLUICE_OPT_VERIFY_FUN];
	const struct option_value *cert_cb = &opts->values[SLUICE_OPT_CLIENT_CERT_CB];
	int64_t rules[10];
	const struct option_value *partial = &opts->values[SLUICE_OPT_PARTIAL_CHAIN_FUN];
	SHA256_CTX sha;
	size_t i;

	rules[0] = option_number(opts, SLUICE_OPT_VERIFY, role);
	rules[1] = option_number(opts, SLUICE_OPT_FAIL_IF_NO_PEER_CERT, role);
	rules[2] = option_number(opts, SLUICE_OPT_DEPTH, role);
	rules[3] = creds->trust && !creds->cas; /* the system's */
	rules[4] = role == SLUICE_CLIENT
			   ? option_number(opts, SLUICE_OPT_CUSTOMIZE_HOSTNAME_CHECK, role)
			   : 0;
	rules[5] = option_number(opts, SLUICE_OPT_PEER_IDENTITY, role);
	rules[6] = option_number(opts, SLUICE_OPT_CRL_CHECK, role);
	rules[7] = (int64_t)creds->n_own;
	rules[8] = role == SLUICE_CLIENT ? option_number(opts, SLUICE_OPT_OCSP, role) : 0;
	rules[9] = option_number(opts, SLUICE_OPT_PARTIAL_CHAIN, role);
	SHA256_Init(&sha);
	SHA256_Update(&sha, rules, sizeof(rules));
	if (opts->bound_to)
		SHA256_Update(&sha, opts->bound_to, opts->bound_to_len);
	hash_value(&sha, &opts->values[SLUICE_OPT_ALLOW_PEERS]);
	hash_value(&sha, &opts->values[SLUICE_OPT_DENY_PEERS]);
	hash_value(&sha, &opts->values[SLUICE_OPT_SIGNATURE_ALGS_CERT]);
	hash_value(&sha, &opts->values[SLUICE_OPT_CRL_CACHE]);
	for (i = 0; i < creds->n_own; i++)
		hash_der(&sha, sk_CRYPTO_BUFFER_value(creds->own[i].chain, 0));
	for (i = 0; (rules[0] || fun->set) && i < sk_CRYPTO_BUFFER_num(creds->cas); i++)
		hash_der(&sha, sk_CRYPTO_BUFFER_value(creds->cas, i));
	if (fun->set && opts->verify_rules)
		SHA256_Update(&sha, opts->verify_rules, opts->verify_rules_len);
	else if (fun->set)
		hash_call(&sha, fun->call, fun->arg);
	if (cert_cb->set)
		hash_call(&sha, cert_cb->call, cert_cb->arg);
	if (partial->set)
		hash_call(&sha, partial->call, partial->arg);
	if (opts->crl_ops && rules[6] && !opts->crl_shared)
		hash_call(&sha, (void (*)(void))opts->crl_ops->select, opts->crl_db);
	if (check->name)
		hash_call(&sha, (void (*)(void))check->name, check->arg);
	if (check->match)
		hash_call(&sha, (void (*)(void))check->match, check->arg);
	SHA256_Final(settings->session_context, &sha);
}

static int set_session_context(SSL_CTX *ctx, const uint8_t context[SHA256_DIGEST_LENGTH],
			       struct sluice_error *err)
{
	if (!SSL_CTX_set_session_id_context(ctx, context, SHA256_DIGEST_LENGTH))
		return refused(SLUICE_E_INTERNAL, "session context", err);
	return 0;
}

int context_bind(SSL_CTX *ctx, const struct settings *settings, const char *host)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, settings->session_context, sizeof(settings->session_context));
	SHA256_Update(&sha, host, strlen(host));
	SHA256_Final(digest, &sha);
	return set_session_context(ctx, digest, NULL);
}

static int set_role(SSL_CTX *ctx, const struct settings *settings,
		    const struct sluice_options *opts, enum sluice_role role,
		    const struct credentials *creds, struct sluice_error *err)
{
	int r;

	r = set_session_context(ctx, settings->session_context, err);
	if (r < 0)
		return r;
	if (role == SLUICE_CLIENT) {
		/* Sessions go to the hook only, for whoever asks for them. */
		SSL_CTX_set_session_cache_mode(ctx,
					       SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
		if ((settings->verify_mode & SSL_VERIFY_PEER) &&
		    option_number(opts, SLUICE_OPT_OCSP, role) != OCSP_OFF)
			SSL_CTX_enable_ocsp_stapling(ctx);
		return set_alpn(ctx, opts, err);
	}
	/* Resumption is by ticket only: no state per client. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, (size_t)option_number(opts, SLUICE_OPT_TICKET_COUNT, role));
	if (settings->verify_mode & SSL_VERIFY_PEER)
		return set_client_cas(ctx, creds, err);
	return 0;
}

static int set_all(SSL_CTX *ctx, const struct settings *settings, const struct sluice_options *opts,
		   enum sluice_role role, const struct credentials *creds, struct sluice_error *err)
{
	int r;

	SSL_CTX_set_options(ctx, settings->options);
	SSL_CTX_clear_options(ctx, settings->no_options);
	SSL_CTX_set_max_cert_list(ctx, settings->max_handshake_size);
	SSL_CTX_set_early_data_enabled(ctx, 0); /* 0-RTT data can be replayed */
	SSL_CTX_set_quiet_shutdown(ctx, 1);     /* close_notify is ours to send */
	hooks_install(ctx, role, settings->verify_mode, creds->n_own > 1);
	r = set_protocol(ctx, settings, err);
	if (!r)
		r = set_identity(ctx, creds, &settings->protocol, err);
	if (!r)
		r = set_role(ctx, settings, opts, role, creds, err);
	return r;
}

int context_new(SSL_CTX **ret_ctx, struct settings *settings, const struct sluice_options *opts,
		enum sluice_role role, const struct credentials *creds,
		struct sluice_error *ret_err)
{
	/*
	 * Certificates are bytes to BoringSSL and are parsed once, where they are judged
	 * (verify.c): with TLS_method() each would be parsed for every connection besides.
	 */
	SSL_CTX *ctx = SSL_CTX_new(TLS_with_buffers_method());
	int r;

	hash_session_context(settings, creds, opts, role);
	r = ctx ? set_all(ctx, settings, opts, role, creds, ret_err)
		: refused(SLUICE_E_NOMEM, "profile", ret_err);
	ERR_clear_error();
	if (r < 0) {
		SSL_CTX_free(ctx);
		return r;
	}
	*ret_ctx = ctx;
	return 0;
}

int settings_apply(const struct settings *settings, SSL *ssl)
{
	const struct protocol *protocol = &settings->protocol;
	bool ok;

	ok = SSL_set_min_proto_version(ssl, protocol->min_version) &&
	     SSL_set_max_proto_version(ssl, protocol->max_version) &&
	     SSL_set1_curves(ssl, protocol->groups, protocol->n_groups) &&
	     SSL_set_verify_algorithm_prefs(ssl, protocol->sigalgs, protocol->n_sigalgs);
	SSL_set_options(ssl, settings->options);
	SSL_clear_options(ssl, settings->no_options);
	SSL_set_max_cert_list(ssl, settings->max_handshake_size);
	hooks_set_verify(ssl, settings->verify_mode);
	ERR_clear_error();
	return ok ? 0 : -SLUICE_E_NOMEM;
}
