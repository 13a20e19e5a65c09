/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own certificates from files or bytes, called when a profile is built: what is wrong with a file is
 * found here and named with the file, never at the first handshake. It must never load a certificate that
 * no peer can accept.
 */
#include "options/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/nid.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/sys.h"
#include "options/options.h"
#include "options/pem-cache.h"
#include "options/source.h"

#define MAX_COMPLETED 16 /* certificates of a chain that is completed */
#define PERIOD_LEN 32    /* a date in an error text */

/* Which option the own certificate comes from. */
static enum sluice_option cert_source(const struct sluice_options *opts)
{
	return option_is_set(opts, SLUICE_OPT_CERT) ? SLUICE_OPT_CERT : SLUICE_OPT_CERTFILE;
}

/* Which option's file or bytes the key comes from: `keyfile` defaults to `certfile`. */
static enum sluice_option key_source(const struct sluice_options *opts)
{
	if (option_is_set(opts, SLUICE_OPT_KEY))
		return SLUICE_OPT_KEY;
	return option_is_set(opts, SLUICE_OPT_KEYFILE) ? SLUICE_OPT_KEYFILE : SLUICE_OPT_CERTFILE;
}

/* A source as it is called in an error text: the path of a file, or the option itself. */
static const char *text_name(const struct sluice_options *opts, enum sluice_option id)
{
	const char *path = option_text(opts, id);

	return path ? path : option_row((int)id)->name;
}

static int load_key(struct own_cert *own, const struct sluice_options *opts, const char *password,
		    struct sluice_error *err)
{
	enum sluice_option id = key_source(opts);
	char where[SOURCE_NAME_LEN];
	const char *path;

	if (id == SLUICE_OPT_KEY) {
		EVP_PKEY_up_ref(opts->values[id].key);
		own->key = opts->values[id].key;
		return 0;
	}
	path = option_text(opts, id);
	return pem_cache_key(&own->key, option_row((int)id)->name, path,
			     source_name(where, id, path), password, err);
}

/* "Nov 20 00:58:47 2026 GMT", as openssl(1) prints it. */
static const char *date(char out[PERIOD_LEN], const ASN1_TIME *time)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = -1;

	if (bio && ASN1_TIME_print(bio, time))
		len = BIO_read(bio, out, PERIOD_LEN - 1);
	out[len > 0 ? len : 0] = '\0';
	BIO_free(bio);
	return out;
}

static int check_period(const X509 *leaf, const char *name, struct sluice_error *err)
{
	const ASN1_TIME *not_before = X509_get0_notBefore(leaf);
	const ASN1_TIME *not_after = X509_get0_notAfter(leaf);
	int64_t from_s, to_s, now_s = sys->wall_s();
	char text[PERIOD_LEN];

	if (!pem_time(not_before, &from_s) || !pem_time(not_after, &to_s))
		return err_set(err, SLUICE_E_CERT_PARSE, "%s: the validity is not two dates", name);
	/* RFC 5280, 4.1.2.5: both ends are inclusive. */
	if (now_s > to_s)
		return err_set(err, SLUICE_E_CERT_EXPIRED, "%s: the certificate expired on %s",
			       name, date(text, not_after));
	if (now_s < from_s)
		return err_set(err, SLUICE_E_CERT_NOT_YET,
			       "%s: the certificate is not valid before %s", name,
			       date(text, not_before));
	return 0;
}

static int check_pair(X509 *leaf, const struct own_cert *own, const struct sluice_options *opts,
		      struct sluice_error *err)
{
	const char *cert_name = text_name(opts, cert_source(opts));
	const char *key_name = text_name(opts, key_source(opts));
	int matches = X509_check_private_key(leaf, own->key);

	ERR_clear_error();
	if (!matches)
		return err_set(err, SLUICE_E_KEY_MISMATCH,
			       "the key of %.80s does not belong to the certificate of %.80s",
			       key_name, cert_name);
	return check_period(leaf, cert_name, err);
}

/* The certificate among @cas that issued @x509 and is not a root; a root the peer has itself. */
static CRYPTO_BUFFER *find_intermediate(X509 *x509, const STACK_OF(CRYPTO_BUFFER) * cas)
{
	CRYPTO_BUFFER *found = NULL;
	X509 *issuer;
	size_t i;

	for (i = 0; !found && i < sk_CRYPTO_BUFFER_num(cas); i++) {
		issuer = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(cas, i));
		if (issuer && X509_check_issued(issuer, x509) == X509_V_OK &&
		    X509_check_issued(issuer, issuer) != X509_V_OK)
			found = sk_CRYPTO_BUFFER_value(cas, i);
		X509_free(issuer);
	}
	return found;
}

static bool has_cert(const STACK_OF(CRYPTO_BUFFER) * certs, const CRYPTO_BUFFER *cert)
{
	const CRYPTO_BUFFER *other;
	size_t i;

	for (i = 0; i < sk_CRYPTO_BUFFER_num(certs); i++) {
		other = sk_CRYPTO_BUFFER_value(certs, i);
		if (CRYPTO_BUFFER_len(other) == CRYPTO_BUFFER_len(cert) &&
		    !memcmp(CRYPTO_BUFFER_data(other), CRYPTO_BUFFER_data(cert),
			    CRYPTO_BUFFER_len(cert)))
			return true;
	}
	return false;
}

/* Appends the issuers that the file left out, as far as the CA certificates have them. */
static int complete_chain(struct own_cert *own, const STACK_OF(CRYPTO_BUFFER) * cas)
{
	CRYPTO_BUFFER *last, *issuer;
	size_t n = sk_CRYPTO_BUFFER_num(own->chain);
	X509 *x509;

	while (cas && n < MAX_COMPLETED) {
		last = sk_CRYPTO_BUFFER_value(own->chain, n - 1);
		x509 = X509_parse_from_buffer(last);
		if (!x509)
			return -SLUICE_E_NOMEM;
		issuer = find_intermediate(x509, cas);
		X509_free(x509);
		if (!issuer || has_cert(own->chain, issuer)) /* CAs may sign each other */
			break;
		if (!sk_CRYPTO_BUFFER_push(own->chain, issuer))
			return -SLUICE_E_NOMEM;
		CRYPTO_BUFFER_up_ref(issuer);
		n++;
	}
	ERR_clear_error();
	return 0;
}

/*
 * The scheme (RFC 8446, 4.2.3) that a certificate was signed with; 0 for what says nothing of its issuer:
 * a root's own signature, which nobody checks, and RSASSA-PSS, whose scheme depends on the issuer's key.
 */
static uint16_t scheme_of(X509 *x509)
{
	static const struct {
		int nid;
		uint16_t scheme;
	} known[] = {
		{ NID_sha1WithRSAEncryption, 0x0201 },
		{ NID_ecdsa_with_SHA1, 0x0203 },
		{ NID_sha256WithRSAEncryption, 0x0401 },
		{ NID_sha384WithRSAEncryption, 0x0501 },
		{ NID_sha512WithRSAEncryption, 0x0601 },
		{ NID_ecdsa_with_SHA256, 0x0403 },
		{ NID_ecdsa_with_SHA384, 0x0503 },
		{ NID_ecdsa_with_SHA512, 0x0603 },
		{ NID_ED25519, 0x0807 },
	};
	int nid = X509_get_signature_nid(x509);
	size_t i;

	if (X509_check_issued(x509, x509) == X509_V_OK)
		return 0;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].nid == nid)
			return known[i].scheme;
	return 0;
}

/* What peers ask for: signature schemes, and names of CAs. */
static int read_issuers(struct own_cert *own, struct sluice_error *err)
{
	size_t i, n = sk_CRYPTO_BUFFER_num(own->chain);
	X509 *x509;

	if (n > OWN_MAX_CHAIN)
		return err_set(err, SLUICE_E_OPTION_RANGE,
			       "certfile: a chain has at most %d certificates", OWN_MAX_CHAIN);
	for (i = 0; i < n; i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(own->chain, i));
		if (!x509)
			return -SLUICE_E_NOMEM;
		own->schemes[i] = scheme_of(x509);
		own->issuers[i] = X509_NAME_dup(X509_get_issuer_name(x509));
		X509_free(x509);
		if (!own->issuers[i])
			return -SLUICE_E_NOMEM;
	}
	ERR_clear_error();
	return 0;
}

static int check_leaf(struct own_cert *own, const struct sluice_options *opts,
		      struct sluice_error *err)
{
	X509 *leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(own->chain, 0));
	int r = leaf ? 0 : -SLUICE_E_NOMEM;

	if (leaf && own->key)
		r = check_pair(leaf, own, opts, err);
	if (!r)
		own->public_key = X509_get_pubkey(leaf);
	X509_free(leaf);
	ERR_clear_error();
	if (!r && !own->public_key)
		return err_set(err, SLUICE_E_UNSUPPORTED_KEY_TYPE,
			       "%.80s: BoringSSL does not have the type of the certificate's key",
			       text_name(opts, cert_source(opts)));
	return r;
}

int own_load(struct own_cert *ret_own, const struct sluice_options *opts,
	     const struct sluice_options *all, const STACK_OF(CRYPTO_BUFFER) * cas,
	     struct sluice_error *ret_err)
{
	const char *password = option_text(opts, SLUICE_OPT_PASSWORD);
	struct own_cert own = { NULL };
	int r = source_certs(&own.chain, opts, cert_source(opts), ret_err);

	if (!r && !all->signer)
		r = load_key(&own, opts,
			     password ? password : option_text(all, SLUICE_OPT_PASSWORD), ret_err);
	if (!r)
		r = check_leaf(&own, opts, ret_err);
	if (!r)
		r = complete_chain(&own, cas);
	if (!r)
		r = read_issuers(&own, ret_err);
	if (r == -SLUICE_E_NOMEM)
		err_set(ret_err, SLUICE_E_NOMEM, "no memory for a certificate");
	if (r < 0)
		own_deinit(&own);
	else
		*ret_own = own;
	return r;
}

size_t own_chain(const struct own_cert *own, CRYPTO_BUFFER *ret_certs[OWN_MAX_CHAIN])
{
	size_t i, n = sk_CRYPTO_BUFFER_num(own->chain);

	for (i = 0; i < n; i++)
		ret_certs[i] = sk_CRYPTO_BUFFER_value(own->chain, i);
	return n;
}

void own_deinit(struct own_cert *own)
{
	size_t i;

	for (i = 0; i < OWN_MAX_CHAIN; i++)
		X509_NAME_free(own->issuers[i]);
	sk_CRYPTO_BUFFER_pop_free(own->chain, CRYPTO_BUFFER_free);
	EVP_PKEY_free(own->key);
	EVP_PKEY_free(own->public_key);
	*own = (struct own_cert){ NULL };
}
