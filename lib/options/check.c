/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What options mean together: roles, contradictions, and the versions, suites and algorithms that
 * they come to. Called when a profile is built. What could never work is an error here: it must
 * never be left for the first handshake to find out, nor quietly be made to work.
 */
#include "options/options.h"

#include <string.h>

#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/nid.h>

#include "core/error.h"
#include "options/profile.h"
#include "options/sets.h"
#include "record/suite.h"

/* --- roles ---------------------------------------------------------------------------------- */

static const char *role_name(enum sluice_role role)
{
	return role == SLUICE_SERVER ? "server" : "client";
}

static int check_roles(const struct sluice_options *opts, enum sluice_role role,
		       struct sluice_error *err)
{
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++)
		if (opts->values[id].set && !(option_row(id)->roles & role))
			return err_set(err, SLUICE_E_OPTION_ROLE, "%s: not an option of a %s",
				       option_row(id)->name, role_name(role));
	return 0;
}

int options_check_late(const struct sluice_options *extra, enum sluice_role role,
		       struct sluice_error *ret_err)
{
	int id, r = check_roles(extra, role, ret_err);

	for (id = 0; !r && id < SLUICE_OPTIONS; id++)
		if (extra->values[id].set && !(option_row(id)->late & role))
			r = err_set(ret_err, SLUICE_E_OPTION_TOO_LATE, "%s: too late after the %s",
				    option_row(id)->name,
				    role == SLUICE_SERVER ? "ClientHello" : "ServerHello");
	return r;
}

/* --- contradictions ------------------------------------------------------------------------- */

static int check_verify(const struct sluice_options *opts, enum sluice_role role,
			struct sluice_error *err)
{
	bool has_fun = option_is_set(opts, SLUICE_OPT_VERIFY_FUN);

	if (role == SLUICE_CLIENT && option_is_set(opts, SLUICE_OPT_OCSP) &&
	    option_number(opts, SLUICE_OPT_OCSP, role) &&
	    !option_number(opts, SLUICE_OPT_VERIFY, role) && !has_fun)
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "ocsp: needs verify = verify_peer, or verify_fun");
	if (option_is_set(opts, SLUICE_OPT_VERIFY_TIMEOUT) && !has_fun &&
	    !option_is_set(opts, SLUICE_OPT_CLIENT_CERT_CB))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "verify_timeout: needs verify_fun, a function of a program");
	if (role == SLUICE_CLIENT)
		return 0;
	if (option_number(opts, SLUICE_OPT_VERIFY, role)) {
		if (option_is_set(opts, SLUICE_OPT_CACERTS) ||
		    option_is_set(opts, SLUICE_OPT_CACERTFILE) ||
		    option_is_set(opts, SLUICE_OPT_PARTIAL_CHAIN_FUN))
			return 0;
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "verify: verify_peer of a server needs cacertfile or cacerts");
	}
	if (option_number(opts, SLUICE_OPT_FAIL_IF_NO_PEER_CERT, role))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "fail_if_no_peer_cert: needs verify = verify_peer");
	if (has_fun || option_is_set(opts, SLUICE_OPT_PARTIAL_CHAIN_FUN))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "%s: of a server needs verify = verify_peer",
			       has_fun ? "verify_fun" : "partial_chain_fun");
	return 0;
}

/* Returns 1 where there are several certificates, which override the options for one. */
static int check_pairs(const struct sluice_options *opts, struct sluice_error *err)
{
	const struct set_list *pairs = opts->values[SLUICE_OPT_CERTS_KEYS].sets;
	size_t i, n = set_list_count(pairs);
	int r = 0;

	for (i = 0; !r && i < n; i++)
		r = options_check_pair(set_list_at(pairs, i), opts->signer, err);
	return r < 0 ? r : n > 0;
}

static int check_identity(const struct sluice_options *opts, enum sluice_role role,
			  struct sluice_error *err)
{
	int r = check_pairs(opts, err);
	bool cert = option_is_set(opts, SLUICE_OPT_CERT);
	bool certfile = option_is_set(opts, SLUICE_OPT_CERTFILE);
	bool key = option_is_set(opts, SLUICE_OPT_KEY) || option_is_set(opts, SLUICE_OPT_KEYFILE);

	if (r)
		return r < 0 ? r : 0;
	if (!cert && !certfile && role == SLUICE_SERVER)
		return err_set(err, SLUICE_E_NO_CERT, "a server needs certfile or cert");
	if (!cert && !certfile && key)
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "a private key without certfile or cert");
	if (cert && !certfile && !key && !opts->signer)
		return err_set(err, SLUICE_E_OPTION_CONFLICT, "cert: needs key or keyfile");
	return 0;
}

static int check_tickets(const struct sluice_options *opts, enum sluice_role role,
			 struct sluice_error *err)
{
	enum tickets tickets = (enum tickets)option_number(opts, SLUICE_OPT_SESSION_TICKETS, role);

	if (tickets != TICKETS_DISABLED &&
	    (tickets == TICKETS_STATELESS) != (role == SLUICE_SERVER))
		return err_set(err, SLUICE_E_OPTION_ROLE, "session_tickets: a %s takes %s",
			       role_name(role),
			       role == SLUICE_SERVER ? "disabled or stateless"
						     : "disabled, manual or auto");
	if (tickets == TICKETS_DISABLED && option_is_set(opts, SLUICE_OPT_TICKET_COUNT) &&
	    option_number(opts, SLUICE_OPT_TICKET_COUNT, role))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "ticket_count: session_tickets is disabled");
	return 0;
}

/* Who is let in by identity must be seen to have it. */
static int check_peers(const struct sluice_options *opts, enum sluice_role role,
		       struct sluice_error *err)
{
	bool allow = option_is_set(opts, SLUICE_OPT_ALLOW_PEERS);
	bool kind = option_number(opts, SLUICE_OPT_PEER_IDENTITY, role);
	const char *name = allow ? "allow_peers" : kind ? "peer_identity" : "deny_peers";

	if (!allow && !kind && !option_is_set(opts, SLUICE_OPT_DENY_PEERS))
		return 0;
	if (!option_number(opts, SLUICE_OPT_VERIFY, role))
		return err_set(err, SLUICE_E_OPTION_CONFLICT, "%s: needs verify = verify_peer",
			       name);
	if (role == SLUICE_SERVER && (allow || kind) &&
	    !option_number(opts, SLUICE_OPT_FAIL_IF_NO_PEER_CERT, role))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "%s: needs fail_if_no_peer_cert = true, or whoever has no "
			       "certificate gets in",
			       name);
	return 0;
}

static int check_names(const struct sluice_options *opts, struct sluice_error *err)
{
	if (option_is_set(opts, SLUICE_OPT_SNI_HOSTS) && option_is_set(opts, SLUICE_OPT_SNI_FUN))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "sni_hosts: sni_fun says already what a name gets");
	return 0;
}

/* RFC 8446, 4.2.3: an extension of TLS 1.3. */
static int check_cert_sigalgs(const struct sluice_options *opts, struct sluice_error *err)
{
	uint16_t versions[OPTION_MAX_CODES];
	size_t i, n = option_codes(opts, SLUICE_OPT_VERSIONS, versions);

	if (!option_is_set(opts, SLUICE_OPT_SIGNATURE_ALGS_CERT))
		return 0;
	for (i = 0; i < n; i++)
		if (versions[i] == TLS13)
			return 0;
	return err_set(err, SLUICE_E_OPTION_CONFLICT,
		       "signature_algs_cert: needs tlsv1.3 among versions");
}

int options_check(const struct sluice_options *opts, enum sluice_role role,
		  struct sluice_error *ret_err)
{
	int r = check_roles(opts, role, ret_err);

	if (!r)
		r = check_verify(opts, role, ret_err);
	if (!r)
		r = check_identity(opts, role, ret_err);
	if (!r && !option_number(opts, SLUICE_OPT_SECURE_RENEGOTIATE, role))
		r = err_set(ret_err, SLUICE_E_UNSAFE_REFUSED,
			    "secure_renegotiate: false would accept what RFC 5746 forbids");
	if (!r)
		r = check_tickets(opts, role, ret_err);
	if (!r)
		r = check_peers(opts, role, ret_err);
	if (!r)
		r = check_names(opts, ret_err);
	if (!r)
		r = check_cert_sigalgs(opts, ret_err);
	return r;
}

/* --- versions and suites -------------------------------------------------------------------- */

static bool has_version(const uint16_t *versions, size_t n, uint16_t version)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (versions[i] == version)
			return true;
	return false;
}

/* Copies the suites of one version behind those that are there; returns how many. */
static size_t take_suites(struct protocol *protocol, const uint16_t *suites, size_t n_suites,
			  uint16_t version)
{
	size_t i, n = 0;

	for (i = 0; i < n_suites; i++) {
		if (suite_find(suites[i])->version != version)
			continue;
		protocol->suites[protocol->n_suites++] = suites[i];
		n++;
	}
	return n;
}

/*
 * Enables the versions that have a suite: naming the suites of one version leaves the other out,
 * unless `versions` names it.
 */
static int resolve_versions(struct protocol *protocol, const struct sluice_options *opts,
			    struct sluice_error *err)
{
	static const uint16_t known[] = { TLS12, TLS13 };
	uint16_t versions[OPTION_MAX_CODES], suites[OPTION_MAX_CODES];
	size_t n_versions = option_codes(opts, SLUICE_OPT_VERSIONS, versions);
	size_t n_suites = option_codes(opts, SLUICE_OPT_CIPHERS, suites), i;

	for (i = 0; i < 2; i++) {
		if (!has_version(versions, n_versions, known[i]))
			continue;
		if (take_suites(protocol, suites, n_suites, known[i])) {
			protocol->max_version = known[i];
			if (!protocol->min_version)
				protocol->min_version = known[i];
		} else if (option_is_set(opts, SLUICE_OPT_VERSIONS)) {
			return err_set(err, SLUICE_E_OPTION_CONFLICT,
				       "ciphers: has no suite of %s, which versions asks for",
				       words_name(SLUICE_OPT_VERSIONS, known[i]));
		}
	}
	return 0;
}

int protocol_resolve(const struct sluice_options *opts, struct protocol *ret_protocol,
		     struct sluice_error *ret_err)
{
	struct protocol protocol = { 0 };
	uint16_t groups[OPTION_MAX_CODES];
	size_t i;
	int r;

	r = resolve_versions(&protocol, opts, ret_err);
	if (r < 0)
		return r;
	protocol.n_groups = option_codes(opts, SLUICE_OPT_SUPPORTED_GROUPS, groups);
	for (i = 0; i < protocol.n_groups; i++)
		protocol.groups[i] = words_group_nid(groups[i]);
	protocol.n_sigalgs = option_codes(opts, SLUICE_OPT_SIGNATURE_ALGS, protocol.sigalgs);
	*ret_protocol = protocol;
	return 0;
}

/* --- what an own key can do ----------------------------------------------------------------- */

/*
 * RFC 8446, 4.2.3: a scheme names key type and, for ECDSA, the curve; RSASSA-PKCS1-v1_5 is for
 * certificates only. In TLS 1.2 the curve is free (RFC 5246, 7.4.1.4.1).
 */
static const struct scheme {
	uint16_t code;
	int key_type;
	int curve;
	bool tls13;
} schemes[] = {
	{ 0x0807, EVP_PKEY_ED25519, NID_undef, true },
	{ 0x0403, EVP_PKEY_EC, NID_X9_62_prime256v1, true },
	{ 0x0503, EVP_PKEY_EC, NID_secp384r1, true },
	{ 0x0603, EVP_PKEY_EC, NID_secp521r1, true },
	{ 0x0804, EVP_PKEY_RSA, NID_undef, true },
	{ 0x0805, EVP_PKEY_RSA, NID_undef, true },
	{ 0x0806, EVP_PKEY_RSA, NID_undef, true },
	{ 0x0401, EVP_PKEY_RSA, NID_undef, false },
	{ 0x0501, EVP_PKEY_RSA, NID_undef, false },
	{ 0x0601, EVP_PKEY_RSA, NID_undef, false },
};

static int curve_of(const EVP_PKEY *key)
{
	if (EVP_PKEY_id(key) != EVP_PKEY_EC)
		return NID_undef;
	return EC_GROUP_get_curve_name(EC_KEY_get0_group(EVP_PKEY_get0_EC_KEY(key)));
}

static bool suits(const struct scheme *scheme, const EVP_PKEY *key, uint16_t version)
{
	if (scheme->key_type != EVP_PKEY_id(key))
		return false;
	return version == TLS12 || (scheme->tls13 && scheme->curve == curve_of(key));
}

bool protocol_can_sign(const struct protocol *protocol, const EVP_PKEY *key, uint16_t version)
{
	size_t i, j;

	for (i = 0; i < protocol->n_sigalgs; i++)
		for (j = 0; j < sizeof(schemes) / sizeof(schemes[0]); j++)
			if (schemes[j].code == protocol->sigalgs[i] &&
			    suits(&schemes[j], key, version))
				return true;
	return false;
}

/* RFC 8422, 2: ECDHE_ECDSA is for ECDSA and EdDSA keys; the rest of our suites are for RSA. */
bool protocol_suits_key(const struct suite *suite, const EVP_PKEY *key)
{
	bool rsa = EVP_PKEY_id(key) == EVP_PKEY_RSA;

	return suite->version == TLS12 && rsa == !strstr(suite->name, "_ECDSA_");
}

static bool has_suite(const struct protocol *protocol, const EVP_PKEY *key)
{
	size_t i;

	for (i = 0; i < protocol->n_suites; i++)
		if (protocol_suits_key(suite_find(protocol->suites[i]), key))
			return true;
	return false;
}

static int check_version(const struct protocol *protocol, enum sluice_role role,
			 const EVP_PKEY *key, uint16_t version, struct sluice_error *err)
{
	if (!protocol_can_sign(protocol, key, version))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "signature_algs: none that the private key can do in %s",
			       words_name(SLUICE_OPT_VERSIONS, version));
	if (version == TLS12 && role == SLUICE_SERVER && !has_suite(protocol, key))
		return err_set(err, SLUICE_E_OPTION_CONFLICT,
			       "ciphers: no TLS 1.2 suite is for this type of private key");
	return 0;
}

/* Several keys share the versions: each must be of use in one, and each version have one. */
int protocol_check_keys(const struct protocol *protocol, enum sluice_role role,
			EVP_PKEY *const *keys, size_t n_keys, struct sluice_error *ret_err)
{
	bool useful[OPTION_MAX_CERTS] = { false };
	struct sluice_error why;
	uint16_t version;
	size_t i, n;
	int r;

	err_clear(&why);
	for (version = protocol->min_version; version <= protocol->max_version; version++) {
		for (i = n = 0; i < n_keys; i++) {
			err_clear(&why);
			r = check_version(protocol, role, keys[i], version, &why);
			useful[i] |= !r;
			n += !r;
		}
		if (n_keys && !n)
			return err_set(ret_err, why.code, "%s", why.text);
	}
	for (i = 0; i < n_keys; i++)
		if (!useful[i])
			return err_set(ret_err, SLUICE_E_OPTION_CONFLICT,
				       "certs_keys: entry %zu: neither signature_algs nor ciphers "
				       "have anything for its key",
				       i + 1);
	return 0;
}
