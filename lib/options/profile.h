/* SPDX-License-Identifier: Apache-2.0 */
/* A profile from the inside: what the stages of a connection read. Immutable once built. */
#ifndef SLUICE_OPTIONS_PROFILE_H
#define SLUICE_OPTIONS_PROFILE_H

#include <stdatomic.h>
#include <stdbool.h>

#include <openssl/ssl.h>

#include <sluice/options.h>
#include <sluice/verify.h>

#include "crl/check.h"
#include "ocsp/staple.h"
#include "verify/identity.h"

struct credentials;
struct ocsp_keep;

#define OPTION_MAX_SIGALGS 32

enum path_mode {
	PATH_AUTO,
	PATH_KERNEL,
	PATH_USER,
};

/* Option session_tickets, in the order of its words. */
enum tickets {
	TICKETS_DISABLED,
	TICKETS_MANUAL,    /* client: sluice_take_session() */
	TICKETS_AUTO,      /* client: conn/store.h */
	TICKETS_STATELESS, /* server: the ticket has all that it takes, encrypted */
};

struct sluice_profile {
	atomic_uint refs;
	enum sluice_role role;
	struct sluice_options *opts; /* as given: what a derived profile starts from */
	const void *origin;          /* whoever built it: what it was built of */
	SSL_CTX *ctx;
	struct settings *settings; /* of @ctx, for profile_apply() */
	struct credentials *creds; /* own chain and key, CA certificates */
	X509_STORE *trust;         /* of @creds; NULL: no trust anchors */
	bool verify_peer;
	bool fail_if_no_peer_cert;
	int depth;
	uint16_t cert_sigalgs[OPTION_MAX_SIGALGS]; /* signature_algs_cert */
	size_t n_cert_sigalgs;                     /* 0: any */
	bool partial_chain;                        /* any trusted certificate ends a path */
	enum name_rule name_rule;
	const struct sluice_hostname_check *hostname_check; /* in opts */
	struct identity_policy identity;
	struct crl_check crl;
	enum ocsp_mode ocsp;           /* client */
	struct ocsp_keep *stapled;     /* server: what it staples; NULL: no certificate */
	bool sni_disabled;             /* no server name, and no name check */
	const char *sni;               /* NULL: the host of connect; in opts */
	const uint8_t *alpn_preferred; /* ProtocolNameList of a server; in opts; NULL: none */
	size_t alpn_preferred_len;
	unsigned int suites13; /* bit i: 0x1301 + i is allowed */
	enum path_mode path_mode;
	bool rekey_user_path; /* TLS 1.3 on kernels that cannot change keys takes the user path */
	uint64_t key_update_at;
	uint64_t key_update_records;
	uint16_t tx_max_payload_len;
	uint8_t dynamic_record_size; /* a flag that other processes tell as a number */
	bool tx_zerocopy_ro;
	bool rx_expect_no_pad;
	unsigned int limit_key_updates;
	unsigned int limit_control_records;
	bool pause_hello;
	const struct signer *signer; /* who has the private key; NULL: the context has it */
	bool keep_exporter;          /* option exporter: keep what exporters need */
	enum tickets tickets;
	int handshake_timeout_ms;
	size_t max_handshake_size;
	int alert_timeout_ms;
	int hibernate_after_ms;   /* 0: never */
	struct host_table *hosts; /* option sni_hosts; NULL: none */
	bool hosts_are_older;     /* their profiles lack what this one was derived with */
	sluice_sni_fun sni_fun;
	void *sni_arg;
	sluice_verify_fun verify_fun;
	void *verify_state;
	int verify_timeout_ms;
	sluice_client_cert_cb client_cert_cb;
	void *client_cert_arg;
	sluice_partial_chain_fun partial_chain_fun;
	void *partial_chain_state;
};

/*
 * profile_derive() builds a profile from @base's options with @extra laid over them. It shares
 * @base's ticket keys, so that sessions resume across both.
 */
int profile_derive(struct sluice_profile **ret_profile, const struct sluice_profile *base,
		   const struct sluice_options *extra, struct sluice_error *ret_err);

/*
 * profile_bind() makes a derived profile one of @host alone, before it is used: sessions do not resume
 * across hosts. Errors: NOMEM, INTERNAL.
 */
int profile_bind(const struct sluice_profile *profile, const char *host);

/*
 * profile_new_keyless() builds a profile whose private key @signer has; @signer must outlive it. The
 * certificate is in @opts, a key is not.
 */
int profile_new_keyless(struct sluice_profile **ret_profile, const struct sluice_options *opts,
			enum sluice_role role, const struct signer *signer,
			struct sluice_error *ret_err);

/*
 * profile_new_bare() builds a profile for connections that are established elsewhere: what counts
 * after the handshake, without context and credentials.
 */
int profile_new_bare(struct sluice_profile **ret_profile, const struct sluice_options *opts,
		     enum sluice_role role, struct sluice_error *ret_err);

/*
 * crl_check_get() takes what crl_check and crl_cache say; the arguments are those in @opts. Errors:
 * OPTION, OPTION_CONFLICT, OPTION_RANGE, UNSUPPORTED, and what the operations of a program return.
 */
int crl_check_get(struct crl_check *ret_check, const struct sluice_options *opts,
		  enum sluice_role role, struct sluice_error *ret_err);

/*
 * ocsp_keep_new() makes what a server with @creds staples, as ocsp_file or ocsp_response say. One that is out
 * of date is kept, and not stapled. Profiles that derive from each other share it. Errors: OCSP, FILE, NOFILE,
 * NOMEM.
 */
int ocsp_keep_new(struct ocsp_keep **ret_keep, const struct sluice_options *opts,
		  struct credentials *creds, struct sluice_error *ret_err);
struct ocsp_keep *ocsp_keep_ref(struct ocsp_keep *keep);
struct ocsp_keep *ocsp_keep_unref(struct ocsp_keep *keep);

/* ocsp_keep_is_for() tells whether the certificate of @creds is the one that @keep is about. NULL: it is not. */
bool ocsp_keep_is_for(const struct ocsp_keep *keep, const struct credentials *creds);

/*
 * ocsp_check_own() holds a response of a server's own against the first certificate of its chain; where neither
 * @chain nor @cas (NULL: none) has the issuer, without its signature. One that is out of date is that,
 * whatever else has become of it, such as the certificate of its responder. Errors: NOMEM.
 */
int ocsp_check_own(struct ocsp_verdict *ret_verdict, const CRYPTO_BUFFER *der,
		   const STACK_OF(CRYPTO_BUFFER) * chain, const STACK_OF(CRYPTO_BUFFER) * cas);

/* profile_staple() staples to the certificate of @ssl, which is about to be sent, what there is now. */
int profile_staple(const struct sluice_profile *profile, SSL *ssl);

/* profile_set_ticket_keys() makes a server's tickets those of everyone with the same 48 bytes. */
#define PROFILE_TICKET_KEYS_LEN 48
int profile_set_ticket_keys(const struct sluice_profile *profile,
			    const uint8_t keys[PROFILE_TICKET_KEYS_LEN]);

/*
 * profile_apply() makes @ssl, which was created from another profile and has at most read the
 * peer's hello, behave as if it had been created from @profile. Errors: NOMEM.
 */
int profile_apply(const struct sluice_profile *profile, SSL *ssl);

/*
 * options_check_late() refuses with OPTION_TOO_LATE what @role can no longer change after the
 * peer's hello: a client has then sent its own; a server may still change everything that answers.
 */
int options_check_late(const struct sluice_options *extra, enum sluice_role role,
		       struct sluice_error *ret_err);

#endif
