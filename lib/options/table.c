/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option table: one row for each option, and nowhere else a name, default, range or role. The
 * setters, the configuration file, `sluice options`, the manual and the error texts are made from
 * it. It must not know what an option does: that is profile.c.
 */
#include "options/options.h"

#include <string.h>

#include "config.h"

#define BOTH (SLUICE_CLIENT | SLUICE_SERVER)

/* The words of the lists; words.c gives them their code points, a test holds the two together. */
#define SUITES_TLS13 "TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256"
#define SUITES_TLS12                                                                     \
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256," \
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384," \
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,"                                 \
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"
#define SUITES_DEFAULT SUITES_TLS13 "," SUITES_TLS12

/* Without forward secrecy: only for who asks. */
#define SUITES_RSA "TLS_RSA_WITH_AES_128_GCM_SHA256,TLS_RSA_WITH_AES_256_GCM_SHA384"

#if HAVE_MLKEM
#define GROUPS_DEFAULT "x25519mlkem768,x25519,secp256r1,secp384r1"
#else
#define GROUPS_DEFAULT "x25519,secp256r1,secp384r1"
#endif

/* RFC 8446, 4.2.3, without what SHA-1 is part of. Preference: small signatures first. */
#define SIGALGS                                                                         \
	"ed25519,ecdsa_secp256r1_sha256,ecdsa_secp384r1_sha384,ecdsa_secp521r1_sha512," \
	"rsa_pss_rsae_sha256,rsa_pss_rsae_sha384,rsa_pss_rsae_sha512,"                  \
	"rsa_pkcs1_sha256,rsa_pkcs1_sha384,rsa_pkcs1_sha512"

/*
 * After the peer's hello a client has sent its own, so only what it has not used yet is left; a
 * server may change whatever answers. A pause can no longer be asked for, a deadline that runs is not
 * moved, and BoringSSL takes the number of tickets from where the connection began.
 */
static const struct option_row rows[SLUICE_OPTIONS] = {
	[SLUICE_OPT_CERT] = {
		.name = "cert",
		.type = SLUICE_TYPE_DATA,
		.roles = BOTH,
		.late = BOTH,
		.help = "own certificate, DER; repeat for the chain; overrides certfile",
	},
	[SLUICE_OPT_CERTFILE] = {
		.name = "certfile",
		.type = SLUICE_TYPE_STRING,
		.roles = BOTH,
		.late = BOTH,
		.help = "PEM file: own certificate, then its chain; may hold the key too",
	},
	[SLUICE_OPT_KEY] = {
		.name = "key",
		.type = SLUICE_TYPE_DATA,
		.roles = BOTH,
		.late = BOTH,
		.help = "own private key, DER: PKCS#8, RSA or EC; overrides keyfile",
	},
	[SLUICE_OPT_KEYFILE] = {
		.name = "keyfile",
		.type = SLUICE_TYPE_STRING,
		.roles = BOTH,
		.late = BOTH,
		.help = "PEM file: own private key (RSA, ECDSA, Ed25519); default: certfile",
	},
	[SLUICE_OPT_PASSWORD] = {
		.name = "password",
		.type = SLUICE_TYPE_SECRET,
		.roles = BOTH,
		.late = BOTH,
		.help = "password of an encrypted keyfile",
	},
	[SLUICE_OPT_CACERTS] = {
		.name = "cacerts",
		.type = SLUICE_TYPE_DATA,
		.roles = BOTH,
		.late = BOTH,
		.help = "CA certificate, DER; repeat for more; overrides cacertfile",
	},
	[SLUICE_OPT_CACERTFILE] = {
		.name = "cacertfile",
		.type = SLUICE_TYPE_STRING,
		.roles = BOTH,
		.late = BOTH,
		.help = "PEM file: CA certificates to verify the peer, and to complete the own "
			"chain; default of a verifying client: the system's",
	},
	[SLUICE_OPT_VERIFY] = {
		.name = "verify",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = BOTH,
		.def = "verify_peer",
		.def_server = "verify_none",
		.values = "verify_none|verify_peer",
		.help = "whether the peer's certificate is asked for and must be valid",
	},
	[SLUICE_OPT_FAIL_IF_NO_PEER_CERT] = {
		.name = "fail_if_no_peer_cert",
		.type = SLUICE_TYPE_BOOL,
		.roles = SLUICE_SERVER,
		.late = SLUICE_SERVER,
		.def = "false",
		.help = "with verify_peer: refuse clients that have no certificate",
	},
	[SLUICE_OPT_DEPTH] = {
		.name = "depth",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "10",
		.max = 100,
		.help = "most intermediate CA certificates, not self-issued, between the peer's "
			"certificate and a trusted one",
	},
	[SLUICE_OPT_SERVER_NAME_INDICATION] = {
		.name = "server_name_indication",
		.type = SLUICE_TYPE_STRING,
		.roles = SLUICE_CLIENT,
		.help = "name to send and to check instead of the host of connect; disable: send "
			"and check none",
	},
	[SLUICE_OPT_VERSIONS] = {
		.name = "versions",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = SLUICE_SERVER,
		.def = "tlsv1.3,tlsv1.2",
		.values = "tlsv1.3,tlsv1.2",
		.help = "protocol versions",
	},
	[SLUICE_OPT_CIPHERS] = {
		.name = "ciphers",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = SLUICE_SERVER,
		.def = SUITES_DEFAULT,
		.values = SUITES_DEFAULT "," SUITES_RSA,
		.help = "cipher suites by preference, IANA or OpenSSL names; the order among TLS "
			"1.3 suites is BoringSSL's",
	},
	[SLUICE_OPT_SUPPORTED_GROUPS] = {
		.name = "supported_groups",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = SLUICE_SERVER,
		.def = GROUPS_DEFAULT,
		.values = GROUPS_DEFAULT ",secp521r1",
		.help = "key exchange groups by preference",
	},
	[SLUICE_OPT_SIGNATURE_ALGS] = {
		.name = "signature_algs",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = SLUICE_SERVER,
		.def = SIGALGS,
		.values = SIGALGS,
		.help = "signature algorithms by preference, to sign with and to accept",
	},
	[SLUICE_OPT_ALPN_ADVERTISED_PROTOCOLS] = {
		.name = "alpn_advertised_protocols",
		.type = SLUICE_TYPE_LIST,
		.roles = SLUICE_CLIENT,
		.help = "application protocols to offer, by preference",
	},
	[SLUICE_OPT_ALPN_PREFERRED_PROTOCOLS] = {
		.name = "alpn_preferred_protocols",
		.type = SLUICE_TYPE_LIST,
		.roles = SLUICE_SERVER,
		.late = SLUICE_SERVER,
		.help = "application protocols to accept, by preference; a client that offers "
			"only others is refused",
	},
	[SLUICE_OPT_HONOR_CIPHER_ORDER] = {
		.name = "honor_cipher_order",
		.type = SLUICE_TYPE_BOOL,
		.roles = SLUICE_SERVER,
		.late = SLUICE_SERVER,
		.def = "false",
		.help = "server's order of TLS 1.2 suites and of groups goes before the client's",
	},
	[SLUICE_OPT_SESSION_TICKETS] = {
		.name = "session_tickets",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = SLUICE_SERVER,
		.def = "disabled",
		.values = "disabled|manual|auto|stateless",
		.help = "server: stateless issues and takes session tickets; client: manual gives "
			"sessions to the program, auto resumes by itself",
	},
	[SLUICE_OPT_TICKET_COUNT] = {
		.name = "ticket_count",
		.type = SLUICE_TYPE_INT,
		.roles = SLUICE_SERVER,
		.def = "2",
		.max = 4,
		.help = "session tickets sent after a TLS 1.3 handshake",
	},
	[SLUICE_OPT_RECORD_PATH] = {
		.name = "record_path",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = BOTH,
		.def = "auto",
		.values = "auto|kernel|user",
		.help = "who encrypts: auto takes the kernel where it can, kernel fails where it "
			"cannot",
	},
	[SLUICE_OPT_REKEY_UNSUPPORTED] = {
		.name = "rekey_unsupported",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = BOTH,
		.def = "close",
		.values = "close|user_path",
		.help = "TLS 1.3 on a kernel that cannot change keys: kernel path, closed when the "
			"peer changes them, or user path",
	},
	[SLUICE_OPT_KEY_UPDATE_AT] = {
		.name = "key_update_at",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "388736063997",
		.min = 1,
		.max = 388736063997,
		.help = "TLS 1.3: bytes sent until the sending key is changed",
	},
	[SLUICE_OPT_KEY_UPDATE_RECORDS] = {
		.name = "key_update_records",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "8388608",
		.min = 1,
		.max = 23726566,
		.help = "TLS 1.3: records sent until the sending key is changed",
	},
	[SLUICE_OPT_SECURE_RENEGOTIATE] = {
		.name = "secure_renegotiate",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "true",
		.help = "renegotiation is declined, protected by RFC 5746 or not; false is refused",
	},
	[SLUICE_OPT_LIMIT_KEY_UPDATES] = {
		.name = "limit_key_updates",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "32",
		.max = 1000000,
		.help = "KeyUpdates, or TLS 1.2 requests to renegotiate, taken without data between",
	},
	[SLUICE_OPT_LIMIT_CONTROL_RECORDS] = {
		.name = "limit_control_records",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "6000",
		.max = 1000000000,
		.help = "handshake messages taken in a minute after the handshake",
	},
	[SLUICE_OPT_HANDSHAKE] = {
		.name = "handshake",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.def = "full",
		.values = "full|hello",
		.help = "hello: pause after the peer's hello",
	},
	[SLUICE_OPT_HANDSHAKE_TIMEOUT] = {
		.name = "handshake_timeout",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.def = "10000",
		.min = 1,
		.max = 3600000,
		.help = "milliseconds until a handshake is given up",
	},
	[SLUICE_OPT_MAX_HANDSHAKE_SIZE] = {
		.name = "max_handshake_size",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.def = "262144",
		.min = 1,
		.max = 16777215,
		.help = "most bytes of handshake messages taken from the peer",
	},
	[SLUICE_OPT_ALERT_TIMEOUT] = {
		.name = "alert_timeout",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "5000",
		.max = 3600000,
		.help = "milliseconds that a connection which sent a fatal alert waits for its peer "
			"to go",
	},
	[SLUICE_OPT_HIBERNATE_AFTER] = {
		.name = "hibernate_after",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "0",
		.max = INT32_MAX,
		.help = "milliseconds of silence after which what reads tickets and exports keying "
			"material is given back, with buffers; 0: never; never of one handed over",
	},
	[SLUICE_OPT_EXPORTER] = {
		.name = "exporter",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.help = "server: keep what exporting keying material needs; a client always does",
	},
	[SLUICE_OPT_CUSTOMIZE_HOSTNAME_CHECK] = {
		.name = "customize_hostname_check",
		.type = SLUICE_TYPE_ENUM,
		.roles = SLUICE_CLIENT,
		.late = SLUICE_CLIENT,
		.def = "strict",
		.values = "strict|https|ldap",
		.help = "what a wildcard in the server's certificate stands for: strict nothing, "
			"https one left-most label before two others, ldap before any",
	},
	[SLUICE_OPT_PEER_IDENTITY] = {
		.name = "peer_identity",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = BOTH,
		.def = "none",
		.values = "none|dns|email|uri|spiffe|ip",
		.help = "kind of name in the peer's certificate that is its identity, and must be "
			"there",
	},
	[SLUICE_OPT_ALLOW_PEERS] = {
		.name = "allow_peers",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = BOTH,
		.help = "peers that may connect, and no others: dns:, email:, uri:, spiffe://, ip:, "
			"issuer:, cert:, key:, issuer-key:",
	},
	[SLUICE_OPT_DENY_PEERS] = {
		.name = "deny_peers",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = BOTH,
		.help = "peers that may not connect, even if allow_peers has them; rules as there",
	},
	[SLUICE_OPT_CRL_CHECK] = {
		.name = "crl_check",
		.type = SLUICE_TYPE_ENUM,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.values = "false|true|peer|best_effort",
		.help = "which certificates must not be revoked: true: all but the trusted one; "
			"peer: the peer's own; best_effort: all, where a CRL is known",
	},
	[SLUICE_OPT_CRL_CACHE] = {
		.name = "crl_cache",
		.type = SLUICE_TYPE_STRING,
		.roles = BOTH,
		.late = BOTH,
		.def = "internal",
		.help = "where CRLs are: internal: inserted by the program, with http=MS "
			"hosts=LIST also fetched; hash_dir dir=PATH: files named by c_rehash",
	},
	[SLUICE_OPT_SNI_HOSTS] = {
		.name = "sni_hosts",
		.type = SLUICE_TYPE_TABLE,
		.roles = SLUICE_SERVER,
		.help = "host names, each with options that apply to clients that ask for it; not "
			"with sni_fun",
	},
	[SLUICE_OPT_SNI_FUN] = {
		.name = "sni_fun",
		.type = SLUICE_TYPE_CALL,
		.roles = SLUICE_SERVER,
		.help = "function that gives the options for the server name of a client",
	},
	[SLUICE_OPT_VERIFY_FUN] = {
		.name = "verify_fun",
		.type = SLUICE_TYPE_CALL,
		.roles = BOTH,
		.late = BOTH,
		.help = "function that decides about what is wrong with the peer's certificates",
	},
	[SLUICE_OPT_VERIFY_TIMEOUT] = {
		.name = "verify_timeout",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "60000",
		.min = 1,
		.max = 3600000,
		.help = "milliseconds that verify_fun or client_cert_cb may take for an answer that "
			"it gives later",
	},
	[SLUICE_OPT_CERTS_KEYS] = {
		.name = "certs_keys",
		.type = SLUICE_TYPE_LIST,
		.roles = BOTH,
		.late = BOTH,
		.help = "PEM files, each with a certificate, its chain and key; the first that the "
			"peer can take is shown; overrides cert, certfile, key and keyfile",
	},
	[SLUICE_OPT_CLIENT_CERT_CB] = {
		.name = "client_cert_cb",
		.type = SLUICE_TYPE_CALL,
		.roles = SLUICE_CLIENT,
		.late = SLUICE_CLIENT,
		.help = "function that chooses the certificate when a server asks for one",
	},
	[SLUICE_OPT_OCSP] = {
		.name = "ocsp",
		.type = SLUICE_TYPE_ENUM,
		.roles = SLUICE_CLIENT,
		.def = "if_present",
		.values = "off|if_present|must",
		.help = "stapled OCSP responses, where the server is verified: if_present: one "
			"that comes must be good; must: one must come; off: not asked for",
	},
	[SLUICE_OPT_OCSP_FILE] = {
		.name = "ocsp_file",
		.type = SLUICE_TYPE_STRING,
		.roles = SLUICE_SERVER,
		.late = SLUICE_SERVER,
		.help = "OCSP response for the own certificate, DER or PEM, to be stapled",
	},
	[SLUICE_OPT_OCSP_RESPONSE] = {
		.name = "ocsp_response",
		.type = SLUICE_TYPE_DATA,
		.roles = SLUICE_SERVER,
		.late = SLUICE_SERVER,
		.help = "OCSP response to be stapled, DER; overrides ocsp_file",
	},
	[SLUICE_OPT_PARTIAL_CHAIN] = {
		.name = "partial_chain",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.help = "any certificate of cacerts or cacertfile ends a path, not only a "
			"self-signed one",
	},
	[SLUICE_OPT_SIGNATURE_ALGS_CERT] = {
		.name = "signature_algs_cert",
		.type = SLUICE_TYPE_LIST,
		.roles = SLUICE_CLIENT,
		.late = SLUICE_CLIENT,
		.values = SIGALGS,
		.help = "signature algorithms that the server's certificates may be signed with; "
			"the server is not told, as BoringSSL cannot",
	},
	[SLUICE_OPT_PARTIAL_CHAIN_FUN] = {
		.name = "partial_chain_fun",
		.type = SLUICE_TYPE_CALL,
		.roles = BOTH,
		.late = BOTH,
		.help = "function that may name one of the peer's certificates as trusted",
	},
	[SLUICE_OPT_TX_MAX_PAYLOAD_LEN] = {
		.name = "tx_max_payload_len",
		.type = SLUICE_TYPE_INT,
		.roles = BOTH,
		.late = BOTH,
		.def = "16384",
		.min = 64,
		.max = 16384,
		.help = "most bytes of plaintext in a record that is sent",
	},
	[SLUICE_OPT_DYNAMIC_RECORD_SIZE] = {
		.name = "dynamic_record_size",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.help = "small records first, and after a second of silence: the first byte comes "
			"sooner over slow links",
	},
	[SLUICE_OPT_TX_ZEROCOPY_RO] = {
		.name = "tx_zerocopy_ro",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.help = "files that are sent do not change meanwhile: a device that encrypts need "
			"not have copies of them",
	},
	[SLUICE_OPT_RX_EXPECT_NO_PAD] = {
		.name = "rx_expect_no_pad",
		.type = SLUICE_TYPE_BOOL,
		.roles = BOTH,
		.late = BOTH,
		.def = "false",
		.help = "TLS 1.3, kernel path: trusted peers do not pad; saves a copy, and whoever "
			"pads all the same is decrypted twice",
	},
};

const struct option_row *option_row(int id)
{
	return id >= 0 && id < SLUICE_OPTIONS ? &rows[id] : NULL;
}

int option_find(const char *name, size_t name_len)
{
	int id;

	for (id = 0; id < SLUICE_OPTIONS; id++)
		if (strlen(rows[id].name) == name_len && !memcmp(rows[id].name, name, name_len))
			return id;
	return -1;
}

/*
 * Options of other TLS systems that ask for what BoringSSL or this project does not have: to be told
 * so, and not that the name is misspelt.
 */
static const struct {
	const char *name, *reason;
} refused[] = {
	{ "dh", "BoringSSL has no finite-field Diffie-Hellman" },
	{ "dhfile", "BoringSSL has no finite-field Diffie-Hellman" },
	{ "srp_identity", "BoringSSL has no SRP" },
	{ "beast_mitigation", "TLS 1.0 is not spoken" },
	{ "padding_check", "TLS 1.0 is not spoken" },
	{ "max_fragment_length",
	  "BoringSSL does not negotiate it (RFC 6066, 4); tx_max_payload_len limits what is sent" },
	{ "record_size_limit",
	  "BoringSSL does not negotiate it (RFC 8449); tx_max_payload_len limits what is sent" },
};

const char *option_refused(const char *name, size_t name_len)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (strlen(refused[i].name) == name_len && !memcmp(refused[i].name, name, name_len))
			return refused[i].reason;
	return NULL;
}

int sluice_option_info(int id, struct sluice_option_info *ret_info, size_t info_size)
{
	const struct option_row *row = option_row(id);
	struct sluice_option_info info = { .id = id };

	if (!row || !ret_info)
		return -SLUICE_E_INVALID;
	info.type = row->type;
	info.roles = row->roles;
	info.name = row->name;
	info.def = row->def;
	info.values = row->values;
	info.min = row->min;
	info.max = row->max;
	info.help = row->help;
	info.def_server = row->def_server;
	memset(ret_info, 0, info_size);
	memcpy(ret_info, &info, info_size < sizeof(info) ? info_size : sizeof(info));
	return 0;
}
