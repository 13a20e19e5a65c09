/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of BoringSSL's words and numbers become options of the library, or are not implemented. */
#include "profile.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "options/profile.h"

#define TEXT_MAX 4096

/* BoringSSL's default has those without forward secrecy, too. */
#define ALL_SUITES                                                                    \
	"TLS_AES_128_GCM_SHA256,TLS_AES_256_GCM_SHA384,TLS_CHACHA20_POLY1305_SHA256," \
	"ECDHE-ECDSA-AES128-GCM-SHA256,ECDHE-RSA-AES128-GCM-SHA256,"                  \
	"ECDHE-ECDSA-AES256-GCM-SHA384,ECDHE-RSA-AES256-GCM-SHA384,"                  \
	"ECDHE-ECDSA-CHACHA20-POLY1305,ECDHE-RSA-CHACHA20-POLY1305,"                  \
	"AES128-GCM-SHA256,AES256-GCM-SHA384"

_Noreturn void die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

X509 *read_cert(const char *path)
{
	FILE *file = fopen(path, "r");
	X509 *cert = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

	if (file)
		fclose(file);
	return cert;
}

static void set_text(struct sluice_options *opts, const char *name, const char *value)
{
	struct sluice_error err;

	if (sluice_options_set_name(opts, name, value, &err) >= 0)
		return;
	if (err.kind == SLUICE_KIND_UNSUPPORTED || err.code == SLUICE_E_OPTION)
		unimplemented(err.text);
	die("%s: %s", name, err.text);
}

static void add(char *list, const char *word)
{
	if (*list)
		strncat(list, ",", TEXT_MAX - strlen(list) - 1);
	strncat(list, word, TEXT_MAX - strlen(list) - 1);
}

static void set_versions(struct sluice_options *opts, const struct flags *flags)
{
	int min = flags->min_version ? flags->min_version : TLS1_2_VERSION;
	int max = flags->max_version ? flags->max_version : TLS1_3_VERSION;
	char list[TEXT_MAX] = "";

	if (max >= TLS1_3_VERSION && !flags->no_tls13)
		add(list, "tlsv1.3");
	if (min <= TLS1_2_VERSION && max >= TLS1_2_VERSION && !flags->no_tls12)
		add(list, "tlsv1.2");
	if (!*list)
		unimplemented("a version before TLS 1.2");
	set_text(opts, "versions", list);
}

static const char *curve_name(int curve)
{
	switch (curve) {
	case SSL_CURVE_SECP256R1:
		return "secp256r1";
	case SSL_CURVE_SECP384R1:
		return "secp384r1";
	case SSL_CURVE_SECP521R1:
		return "secp521r1";
	case SSL_CURVE_X25519:
		return "x25519";
	default:
		unimplemented("this curve");
	}
}

static void set_curves(struct sluice_options *opts, const struct codes *curves)
{
	char list[TEXT_MAX] = "";
	int i;

	for (i = 0; i < curves->n; i++)
		add(list, curve_name(curves->code[i]));
	if (*list)
		set_text(opts, "supported_groups", list);
}

static const char *sigalg_name(int code)
{
	static const struct {
		int code;
		const char *name;
	} names[] = {
		{ SSL_SIGN_ED25519, "ed25519" },
		{ SSL_SIGN_ECDSA_SECP256R1_SHA256, "ecdsa_secp256r1_sha256" },
		{ SSL_SIGN_ECDSA_SECP384R1_SHA384, "ecdsa_secp384r1_sha384" },
		{ SSL_SIGN_ECDSA_SECP521R1_SHA512, "ecdsa_secp521r1_sha512" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA256, "rsa_pss_rsae_sha256" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA384, "rsa_pss_rsae_sha384" },
		{ SSL_SIGN_RSA_PSS_RSAE_SHA512, "rsa_pss_rsae_sha512" },
		{ SSL_SIGN_RSA_PKCS1_SHA256, "rsa_pkcs1_sha256" },
		{ SSL_SIGN_RSA_PKCS1_SHA384, "rsa_pkcs1_sha384" },
		{ SSL_SIGN_RSA_PKCS1_SHA512, "rsa_pkcs1_sha512" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	unimplemented("this signature algorithm");
}

/* Sluice has one list for both. */
static void set_sigalgs(struct sluice_options *opts, const struct flags *flags)
{
	const struct codes *codes = flags->signing_prefs.n ? &flags->signing_prefs
							   : &flags->verify_prefs;
	char list[TEXT_MAX] = "";
	int i;

	if (flags->signing_prefs.n && flags->verify_prefs.n)
		unimplemented("lists of their own for signing and verifying");
	for (i = 0; i < codes->n; i++)
		add(list, sigalg_name(codes->code[i]));
	if (*list)
		set_text(opts, "signature_algs", list);
}

/* From a ProtocolNameList's bytes to words. */
static void set_alpn(struct sluice_options *opts, const char *wire)
{
	char list[TEXT_MAX] = "", name[256];
	size_t i, len, left = strlen(wire);

	for (i = 0; i < left; i += 1 + len) {
		len = (unsigned char)wire[i];
		if (!len || i + 1 + len > left)
			unimplemented("this ALPN list");
		memcpy(name, wire + i + 1, len);
		name[len] = '\0';
		if (strchr(name, ','))
			unimplemented("a comma in an ALPN name");
		add(list, name);
	}
	set_text(opts, "alpn_advertised_protocols", list);
}

/* The runner's certificates sign themselves: each is its own CA. */
static void trust_all(struct sluice_options *opts)
{
	static const char *const files[] = { "cert.pem",
					     "ecdsa_p224_cert.pem",
					     "ecdsa_p256_cert.pem",
					     "ecdsa_p384_cert.pem",
					     "ecdsa_p521_cert.pem",
					     "ed25519_cert.pem",
					     "rsa_1024_cert.pem",
					     "rsa_chain_cert.pem" };
	struct sluice_error err;
	uint8_t *der;
	X509 *cert;
	size_t i;
	int len;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		cert = read_cert(files[i]);
		if (!cert)
			die("%s: not a certificate", files[i]);
		der = NULL;
		len = i2d_X509(cert, &der);
		if (len < 0 ||
		    sluice_options_set_data(opts, SLUICE_OPT_CACERTS, der, (size_t)len, &err) < 0)
			die("%s: cannot be trusted", files[i]);
		OPENSSL_free(der);
		X509_free(cert);
	}
}

static void set_client(struct sluice_options *opts, const struct flags *flags)
{
	if (!flags->verify_peer)
		set_text(opts, "verify", "verify_none");
	set_text(opts, "session_tickets", "manual");
	set_text(opts, "server_name_indication", flags->host_name ? flags->host_name : "disable");
	if (flags->advertise_alpn)
		set_alpn(opts, flags->advertise_alpn);
}

static void set_server(struct sluice_options *opts, const struct flags *flags)
{
	set_text(opts, "exporter", "true");
	if (flags->verify_peer || flags->require_any_client_certificate)
		set_text(opts, "verify", "verify_peer");
	if (flags->require_any_client_certificate)
		set_text(opts, "fail_if_no_peer_cert", "true");
	if (flags->select_alpn)
		set_text(opts, "alpn_preferred_protocols", flags->select_alpn);
	if (flags->server_preference)
		set_text(opts, "honor_cipher_order", "true");
	set_text(opts, "session_tickets", flags->no_ticket ? "disabled" : "stateless");
}

static struct sluice_options *make_options(const struct flags *flags)
{
	struct sluice_options *opts;

	if (sluice_options_new(&opts) < 0)
		die("no memory");
	set_text(opts, "record_path", "user");
	set_text(opts, "alert_timeout", "2000");
	set_versions(opts, flags);
	set_curves(opts, &flags->curves);
	set_sigalgs(opts, flags);
	set_text(opts, "ciphers", flags->cipher ? flags->cipher : ALL_SUITES);
	if (flags->cert_file)
		set_text(opts, "certfile", flags->cert_file);
	if (flags->key_file)
		set_text(opts, "keyfile", flags->key_file);
	if (flags->verify_peer || flags->require_any_client_certificate)
		trust_all(opts);
	if (flags->server)
		set_server(opts, flags);
	else
		set_client(opts, flags);
	return opts;
}

struct sluice_profile *make_profile(const struct flags *flags, const struct sluice_profile *base)
{
	struct sluice_options *opts = make_options(flags);
	struct sluice_profile *profile;
	struct sluice_error err;
	int r;

	if (base && flags->server)
		r = profile_derive(&profile, base, opts, &err);
	else
		r = sluice_profile_new(&profile, opts,
				       flags->server ? SLUICE_SERVER : SLUICE_CLIENT, &err);
	if (r < 0) {
		if (err.code == SLUICE_E_OPTION_CONFLICT || err.kind == SLUICE_KIND_UNSUPPORTED)
			unimplemented(err.text);
		die("profile: %s", err.text);
	}
	sluice_options_free(opts);
	return profile;
}
