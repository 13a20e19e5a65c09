/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles: options checked, credentials loaded and a BoringSSL context built from both. Called by
 * programs, and by connections for options of their own. After sluice_profile_new() nothing changes
 * any more, so that any number of connections in any thread share a profile; a handshake must never
 * open a file because of it, but for those of crl_cache = hash_dir.
 */
#include "options/profile.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

#include "core/error.h"
#include "core/secret.h"
#include "options/context.h"
#include "options/credentials.h"
#include "options/hosts.h"
#include "options/options.h"

_Static_assert(OPTION_MAX_SIGALGS == OPTION_MAX_CODES, "a profile has room for each list");

static void fill(struct sluice_profile *profile, const struct settings *settings)
{
	const struct sluice_options *opts = profile->opts;
	const struct option_value *alpn = &opts->values[SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS];
	enum sluice_role role = profile->role;
	size_t i;

	profile->trust = profile->creds ? profile->creds->trust : NULL;
	profile->signer = opts->signer;
	profile->verify_peer = option_number(opts, SLUICE_OPT_VERIFY, role);
	profile->fail_if_no_peer_cert = settings->verify_mode & SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	profile->depth = (int)option_number(opts, SLUICE_OPT_DEPTH, role);
	if (role == SLUICE_CLIENT && settings->verify_mode & SSL_VERIFY_PEER)
		profile->ocsp = (enum ocsp_mode)option_number(opts, SLUICE_OPT_OCSP, role);
	profile->sni = option_text(opts, SLUICE_OPT_SERVER_NAME_INDICATION);
	if (profile->sni && !strcmp(profile->sni, "disable")) {
		profile->sni_disabled = true;
		profile->sni = NULL;
	}
	profile->alpn_preferred = alpn->bytes;
	profile->alpn_preferred_len = alpn->len;
	for (i = 0; i < settings->protocol.n_suites; i++)
		if (settings->protocol.suites[i] >> 8 == 0x13)
			profile->suites13 |= 1u << (settings->protocol.suites[i] - 0x1301);
	profile->path_mode = (enum path_mode)option_number(opts, SLUICE_OPT_RECORD_PATH, role);
	profile->rekey_user_path = option_number(opts, SLUICE_OPT_REKEY_UNSUPPORTED, role);
	profile->key_update_at = option_number(opts, SLUICE_OPT_KEY_UPDATE_AT, role);
	profile->key_update_records = option_number(opts, SLUICE_OPT_KEY_UPDATE_RECORDS, role);
	profile->tx_max_payload_len =
		(uint16_t)option_number(opts, SLUICE_OPT_TX_MAX_PAYLOAD_LEN, role);
	profile->dynamic_record_size = option_number(opts, SLUICE_OPT_DYNAMIC_RECORD_SIZE, role);
	profile->tx_zerocopy_ro = option_number(opts, SLUICE_OPT_TX_ZEROCOPY_RO, role);
	profile->rx_expect_no_pad = option_number(opts, SLUICE_OPT_RX_EXPECT_NO_PAD, role);
	profile->limit_key_updates = option_number(opts, SLUICE_OPT_LIMIT_KEY_UPDATES, role);
	profile->limit_control_records =
		option_number(opts, SLUICE_OPT_LIMIT_CONTROL_RECORDS, role);
	profile->pause_hello = option_number(opts, SLUICE_OPT_HANDSHAKE, role);
	profile->tickets = (enum tickets)option_number(opts, SLUICE_OPT_SESSION_TICKETS, role);
	profile->keep_exporter = option_number(opts, SLUICE_OPT_EXPORTER, role);
	profile->handshake_timeout_ms =
		(int)option_number(opts, SLUICE_OPT_HANDSHAKE_TIMEOUT, role);
	profile->max_handshake_size = settings->max_handshake_size;
	profile->alert_timeout_ms = (int)option_number(opts, SLUICE_OPT_ALERT_TIMEOUT, role);
	profile->hibernate_after_ms = (int)option_number(opts, SLUICE_OPT_HIBERNATE_AFTER, role);
	profile->sni_fun = (sluice_sni_fun)opts->values[SLUICE_OPT_SNI_FUN].call;
	profile->sni_arg = opts->values[SLUICE_OPT_SNI_FUN].arg;
	profile->verify_fun = (sluice_verify_fun)opts->values[SLUICE_OPT_VERIFY_FUN].call;
	profile->verify_state = opts->values[SLUICE_OPT_VERIFY_FUN].arg;
	profile->client_cert_cb =
		(sluice_client_cert_cb)opts->values[SLUICE_OPT_CLIENT_CERT_CB].call;
	profile->client_cert_arg = opts->values[SLUICE_OPT_CLIENT_CERT_CB].arg;
	profile->verify_timeout_ms = (int)option_number(opts, SLUICE_OPT_VERIFY_TIMEOUT, role);
	profile->partial_chain = option_number(opts, SLUICE_OPT_PARTIAL_CHAIN, role);
	if (option_is_set(opts, SLUICE_OPT_SIGNATURE_ALGS_CERT))
		profile->n_cert_sigalgs =
			option_codes(opts, SLUICE_OPT_SIGNATURE_ALGS_CERT, profile->cert_sigalgs);
	profile->partial_chain_fun =
		(sluice_partial_chain_fun)opts->values[SLUICE_OPT_PARTIAL_CHAIN_FUN].call;
	profile->partial_chain_state = opts->values[SLUICE_OPT_PARTIAL_CHAIN_FUN].arg;
}

static int read_peers(struct peer_rules **ret_rules, const struct sluice_options *opts,
		      enum sluice_option id, struct sluice_error *err)
{
	const struct option_value *value = &opts->values[id];

	if (!value->set)
		return 0;
	return rules_parse(ret_rules, option_row((int)id)->name, value->bytes, value->len, err);
}

/* What is asked of the names in the peer's certificate. */
static int fill_names(struct sluice_profile *profile, struct sluice_error *err)
{
	const struct sluice_options *opts = profile->opts;
	struct identity_policy *identity = &profile->identity;
	int r;

	profile->hostname_check = &opts->hostname_check;
	profile->name_rule = (enum name_rule)option_number(
		opts, SLUICE_OPT_CUSTOMIZE_HOSTNAME_CHECK, profile->role);
	identity->kind =
		(enum identity_kind)option_number(opts, SLUICE_OPT_PEER_IDENTITY, profile->role);
	r = read_peers(&identity->allow, opts, SLUICE_OPT_ALLOW_PEERS, err);
	return r ? r : read_peers(&identity->deny, opts, SLUICE_OPT_DENY_PEERS, err);
}

/* Takes what @extra does not change from @base: deriving for a connection opens no file then. */
static int get_credentials(struct sluice_profile *profile, const struct sluice_profile *base,
			   const struct sluice_options *extra, struct sluice_error *err)
{
	if (base && !credentials_affected(extra)) {
		profile->creds = credentials_ref(base->creds);
		return 0;
	}
	return credentials_load(&profile->creds, profile->opts, profile->role, err);
}

/* A derived profile staples what its base does, unless it has another certificate or response. */
static int get_staple(struct sluice_profile *profile, const struct sluice_profile *base,
		      const struct sluice_options *extra, struct sluice_error *err)
{
	if (profile->role != SLUICE_SERVER)
		return 0;
	if (base && ocsp_keep_is_for(base->stapled, profile->creds) &&
	    !option_is_set(extra, SLUICE_OPT_OCSP_FILE) &&
	    !option_is_set(extra, SLUICE_OPT_OCSP_RESPONSE)) {
		profile->stapled = ocsp_keep_ref(base->stapled);
		return 0;
	}
	return ocsp_keep_new(&profile->stapled, profile->opts, profile->creds, err);
}

/*
 * Builds the profiles of the hosts, and takes their options out of the profile's own: what is derived from
 * it shares the table.
 */
static int build_hosts(struct sluice_profile *profile, struct sluice_error *err)
{
	struct option_value *value = &profile->opts->values[SLUICE_OPT_SNI_HOSTS];
	struct option_value hosts = *value;
	int r;

	if (!hosts.set)
		return 0;
	*value = (struct option_value){ 0 };
	r = host_table_new(&profile->hosts, hosts.sets, profile, err);
	option_value_clear(&hosts, SLUICE_TYPE_TABLE);
	return r;
}

/* The keys that are here; others are held against the options where they are. */
static int check_keys(const struct sluice_profile *profile, const struct settings *settings,
		      struct sluice_error *err)
{
	EVP_PKEY *keys[OPTION_MAX_CERTS];
	size_t i, n = 0;

	for (i = 0; i < profile->creds->n_own; i++)
		if (profile->creds->own[i].key)
			keys[n++] = profile->creds->own[i].key;
	return protocol_check_keys(&settings->protocol, profile->role, keys, n, err);
}

/* Builds what a profile with its options in place needs. */
static int build(struct sluice_profile *profile, const struct sluice_profile *base,
		 const struct sluice_options *extra, struct sluice_error *err)
{
	struct settings *settings = malloc(sizeof(*settings));
	int r;

	if (!settings)
		return err_set(err, SLUICE_E_NOMEM, "no memory for a profile");
	profile->settings = settings;
	r = options_check(profile->opts, profile->role, err);
	if (!r)
		r = crl_check_get(&profile->crl, profile->opts, profile->role, err);
	if (!r)
		r = settings_get(settings, profile->opts, profile->role, err);
	if (!r)
		r = get_credentials(profile, base, extra, err);
	if (!r)
		r = get_staple(profile, base, extra, err);
	if (!r)
		r = check_keys(profile, settings, err);
	if (r < 0)
		return r;
	fill(profile, settings);
	r = fill_names(profile, err);
	if (r < 0)
		return r;
	r = context_new(&profile->ctx, settings, profile->opts, profile->role, profile->creds, err);
	return r < 0 ? r : build_hosts(profile, err);
}

static int profile_alloc(struct sluice_profile **ret_profile, const struct sluice_options *opts,
			 enum sluice_role role, struct sluice_error *err)
{
	struct sluice_profile *profile = calloc(1, sizeof(*profile));

	if (!profile || sluice_options_clone(&profile->opts, opts) < 0) {
		free(profile);
		return err_set(err, SLUICE_E_NOMEM, "no memory for a profile");
	}
	atomic_init(&profile->refs, 1);
	profile->role = role;
	*ret_profile = profile;
	return 0;
}

int profile_new_keyless(struct sluice_profile **ret_profile, const struct sluice_options *opts,
			enum sluice_role role, const struct signer *signer,
			struct sluice_error *ret_err)
{
	struct sluice_profile *profile;
	int r;

	err_clear(ret_err);
	if (!ret_profile || !opts || (role != SLUICE_CLIENT && role != SLUICE_SERVER))
		return err_set(ret_err, SLUICE_E_INVALID, "no options, or no such role");
	r = profile_alloc(&profile, opts, role, ret_err);
	if (r < 0)
		return r;
	profile->opts->signer = signer;
	r = build(profile, NULL, NULL, ret_err);
	if (r < 0) {
		sluice_profile_unref(profile);
		return r;
	}
	*ret_profile = profile;
	return 0;
}

int sluice_profile_new(struct sluice_profile **ret_profile, const struct sluice_options *opts,
		       enum sluice_role role, struct sluice_error *ret_err)
{
	return profile_new_keyless(ret_profile, opts, role, NULL, ret_err);
}

int profile_new_bare(struct sluice_profile **ret_profile, const struct sluice_options *opts,
		     enum sluice_role role, struct sluice_error *ret_err)
{
	struct sluice_profile *profile;
	struct settings settings;
	int r;

	err_clear(ret_err);
	r = profile_alloc(&profile, opts, role, ret_err);
	if (r < 0)
		return r;
	r = settings_get(&settings, profile->opts, role, ret_err);
	if (r < 0) {
		sluice_profile_unref(profile);
		return r;
	}
	fill(profile, &settings);
	*ret_profile = profile;
	return 0;
}

int profile_set_ticket_keys(const struct sluice_profile *profile,
			    const uint8_t keys[PROFILE_TICKET_KEYS_LEN])
{
	bool ok = SSL_CTX_set_tlsext_ticket_keys(profile->ctx, keys, PROFILE_TICKET_KEYS_LEN);

	ERR_clear_error();
	return ok ? 0 : -SLUICE_E_NOMEM;
}

static int share_ticket_keys(const struct sluice_profile *profile,
			     const struct sluice_profile *base, struct sluice_error *err)
{
	uint8_t keys[PROFILE_TICKET_KEYS_LEN];
	bool ok;

	if (profile->role != SLUICE_SERVER)
		return 0;
	ok = SSL_CTX_get_tlsext_ticket_keys(base->ctx, keys, sizeof(keys)) &&
	     SSL_CTX_set_tlsext_ticket_keys(profile->ctx, keys, sizeof(keys));
	secret_wipe(keys, sizeof(keys));
	ERR_clear_error();
	return ok ? 0 : err_set(err, SLUICE_E_NOMEM, "no memory for ticket keys");
}

int profile_bind(const struct sluice_profile *profile, const char *host)
{
	int r = context_bind(profile->ctx, profile->settings, host);

	ERR_clear_error();
	return r;
}

/* The hosts of @base are those of @profile, unless it has others. */
static int share_hosts(struct sluice_profile *profile, const struct sluice_profile *base,
		       struct sluice_error *err)
{
	if (profile->hosts || !base->hosts)
		return 0;
	if (profile->sni_fun)
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "sni_fun: sni_hosts says already what a name gets");
	profile->hosts = host_table_ref(base->hosts);
	profile->hosts_are_older = true;
	return 0;
}

int profile_derive(struct sluice_profile **ret_profile, const struct sluice_profile *base,
		   const struct sluice_options *extra, struct sluice_error *ret_err)
{
	struct sluice_profile *profile;
	int r;

	r = profile_alloc(&profile, base->opts, base->role, ret_err);
	if (r < 0)
		return r;
	r = options_overlay(profile->opts, extra);
	if (r < 0)
		err_set(ret_err, -r, "no memory for a profile");
	if (!r)
		r = build(profile, base, extra, ret_err);
	if (!r)
		r = share_ticket_keys(profile, base, ret_err);
	if (!r)
		r = share_hosts(profile, base, ret_err);
	if (r < 0) {
		sluice_profile_unref(profile);
		return r;
	}
	*ret_profile = profile;
	return 0;
}

int profile_apply(const struct sluice_profile *profile, SSL *ssl)
{
	/* Replaces certificate and key, suites, CA names, session ID context and hooks. */
	if (!SSL_set_SSL_CTX(ssl, profile->ctx)) {
		ERR_clear_error();
		return -SLUICE_E_NOMEM;
	}
	return settings_apply(profile->settings, ssl);
}

struct sluice_profile *sluice_profile_ref(struct sluice_profile *profile)
{
	if (profile)
		atomic_fetch_add_explicit(&profile->refs, 1, memory_order_relaxed);
	return profile;
}

struct sluice_profile *sluice_profile_unref(struct sluice_profile *profile)
{
	if (!profile || atomic_fetch_sub_explicit(&profile->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	host_table_unref(profile->hosts);
	SSL_CTX_free(profile->ctx);
	free(profile->settings);
	ocsp_keep_unref(profile->stapled);
	credentials_unref(profile->creds);
	rules_free(profile->identity.allow);
	rules_free(profile->identity.deny);
	sluice_options_free(profile->opts);
	free(profile);
	return NULL;
}
