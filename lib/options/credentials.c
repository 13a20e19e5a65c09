/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are (certificate chain, key) and whom we trust (CA certificates), from files or bytes.
 * Called when a profile is built: what is wrong with a file is found here and named with the file,
 * never at the first handshake. It must never serve a certificate that no peer can accept.
 */
#include "options/credentials.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/sys.h"
#include "options/options.h"
#include "options/pem.h"
#include "options/trust.h"

#define MAX_CHAIN 16  /* certificates we send; longer ones meet a peer's depth limit */
#define WHAT_LEN 140  /* option and path in an error text */
#define PERIOD_LEN 32 /* a date in an error text */

/* The option's name with the path behind it, for error texts. */
static const char *what(char out[WHAT_LEN], enum sluice_option id, const char *path)
{
	size_t len = strlen(path), max = WHAT_LEN - 32;

	snprintf(out, WHAT_LEN, "%s: %s%s", option_row((int)id)->name, len > max ? "..." : "",
		 len > max ? path + len - max : path);
	return out;
}

static int load_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, enum sluice_option id, const char *path,
		      bool lenient, struct sluice_error *err)
{
	struct pem_file file;
	char where[WHAT_LEN];
	int r;

	r = pem_file_read(&file, option_row((int)id)->name, path, err);
	if (r < 0)
		return r;
	r = pem_parse_certs(ret_certs, &file, what(where, id, path), lenient, err);
	pem_file_free(&file);
	return r;
}

/* Appends a reference to @der if it is a certificate. */
static int share_der(STACK_OF(CRYPTO_BUFFER) * certs, CRYPTO_BUFFER *der)
{
	X509 *x509 = X509_parse_from_buffer(der);

	int r = err_bssl();

	X509_free(x509);
	if (!x509)
		return r == -SLUICE_E_NOMEM ? r : -SLUICE_E_CERT_PARSE;
	if (!sk_CRYPTO_BUFFER_push(certs, der))
		return -SLUICE_E_NOMEM;
	CRYPTO_BUFFER_up_ref(der);
	return 0;
}

/* Shares the DER objects of an option. */
static int share_ders(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const struct sluice_options *opts,
		      enum sluice_option id, struct sluice_error *err)
{
	const STACK_OF(CRYPTO_BUFFER) *ders = opts->values[id].ders;
	STACK_OF(CRYPTO_BUFFER) *certs = sk_CRYPTO_BUFFER_new_null();
	int r = certs ? 0 : -SLUICE_E_NOMEM;
	size_t i;

	for (i = 0; !r && i < sk_CRYPTO_BUFFER_num(ders); i++)
		r = share_der(certs, sk_CRYPTO_BUFFER_value(ders, i));
	if (!r) {
		*ret_certs = certs;
		return 0;
	}
	sk_CRYPTO_BUFFER_pop_free(certs, CRYPTO_BUFFER_free);
	if (r == -SLUICE_E_NOMEM)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", option_row((int)id)->name);
	return err_set(err, SLUICE_E_CERT_PARSE, "%s: object %zu is not a certificate in DER",
		       option_row((int)id)->name, i);
}

/* --- own certificate and key ---------------------------------------------------------------- */

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
static const char *source_name(const struct sluice_options *opts, enum sluice_option id)
{
	const char *path = option_text(opts, id);

	return path ? path : option_row((int)id)->name;
}

static int load_chain(struct credentials *creds, const struct sluice_options *opts,
		      struct sluice_error *err)
{
	enum sluice_option id = cert_source(opts);

	if (id == SLUICE_OPT_CERT)
		return share_ders(&creds->chain, opts, id, err);
	return load_certs(&creds->chain, id, option_text(opts, id), false, err);
}

static int load_key(struct credentials *creds, const struct sluice_options *opts,
		    struct sluice_error *err)
{
	enum sluice_option id = key_source(opts);
	struct pem_file file;
	char where[WHAT_LEN];
	const char *path;
	int r;

	if (id == SLUICE_OPT_KEY) {
		EVP_PKEY_up_ref(opts->values[id].key);
		creds->key = opts->values[id].key;
		return 0;
	}
	path = option_text(opts, id);
	r = pem_file_read(&file, option_row((int)id)->name, path, err);
	if (r < 0)
		return r;
	r = pem_parse_key(&creds->key, &file, what(where, id, path),
			  option_text(opts, SLUICE_OPT_PASSWORD), err);
	pem_file_free(&file);
	return r;
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

static int check_pair(X509 *leaf, const struct credentials *creds,
		      const struct sluice_options *opts, struct sluice_error *err)
{
	const char *cert_name = source_name(opts, cert_source(opts));
	const char *key_name = source_name(opts, key_source(opts));
	int matches = X509_check_private_key(leaf, creds->key);

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
static int complete_chain(struct credentials *creds)
{
	CRYPTO_BUFFER *last, *issuer;
	size_t n = sk_CRYPTO_BUFFER_num(creds->chain);
	X509 *x509;

	while (creds->cas && n < MAX_CHAIN) {
		last = sk_CRYPTO_BUFFER_value(creds->chain, n - 1);
		x509 = X509_parse_from_buffer(last);
		if (!x509)
			return -SLUICE_E_NOMEM;
		issuer = find_intermediate(x509, creds->cas);
		X509_free(x509);
		if (!issuer || has_cert(creds->chain, issuer)) /* CAs may sign each other */
			break;
		if (!sk_CRYPTO_BUFFER_push(creds->chain, issuer))
			return -SLUICE_E_NOMEM;
		CRYPTO_BUFFER_up_ref(issuer);
		n++;
	}
	ERR_clear_error();
	return 0;
}

static int load_identity(struct credentials *creds, const struct sluice_options *opts,
			 struct sluice_error *err)
{
	X509 *leaf;
	int r;

	r = load_chain(creds, opts, err);
	if (!r && !opts->signer)
		r = load_key(creds, opts, err);
	if (r < 0)
		return r;
	leaf = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(creds->chain, 0));
	if (!leaf)
		r = -SLUICE_E_NOMEM;
	else if (creds->key)
		r = check_pair(leaf, creds, opts, err);
	X509_free(leaf);
	if (!r)
		r = complete_chain(creds);
	if (r == -SLUICE_E_NOMEM)
		return err_set(err, SLUICE_E_NOMEM, "no memory for a certificate");
	return r;
}

/* --- trust ---------------------------------------------------------------------------------- */

static int new_trust(struct credentials *creds, struct sluice_error *err)
{
	creds->trust = X509_STORE_new();
	return creds->trust ? 0 : err_set(err, SLUICE_E_NOMEM, "no memory for CA certificates");
}

static int load_system_trust(struct credentials *creds, struct sluice_error *err)
{
	struct sluice_error why;
	int r;

	r = new_trust(creds, err);
	if (r < 0)
		return r;
	err_clear(&why);
	r = trust_add_system(creds->trust, option_row(SLUICE_OPT_CACERTFILE)->name, &why);
	if (r < 0) {
		err_set(err, -r, "%s; set cacertfile, or install package ca-certificates",
			why.text);
		if (err)
			err->sys_errno = why.sys_errno;
	}
	return r;
}

static int load_trust(struct credentials *creds, const struct sluice_options *opts,
		      enum sluice_role role, struct sluice_error *err)
{
	int r;

	if (option_is_set(opts, SLUICE_OPT_CACERTS)) {
		r = share_ders(&creds->cas, opts, SLUICE_OPT_CACERTS, err);
	} else if (option_is_set(opts, SLUICE_OPT_CACERTFILE)) {
		r = load_certs(&creds->cas, SLUICE_OPT_CACERTFILE,
			       option_text(opts, SLUICE_OPT_CACERTFILE), false, err);
	} else if (role == SLUICE_CLIENT && option_number(opts, SLUICE_OPT_VERIFY, role)) {
		return load_system_trust(creds, err);
	} else {
		return 0;
	}
	if (!r)
		r = new_trust(creds, err);
	return r < 0 ? r : trust_add_certs(creds->trust, creds->cas, err);
}

/* --- all of it ------------------------------------------------------------------------------ */

int credentials_load(struct credentials **ret_creds, const struct sluice_options *opts,
		     enum sluice_role role, struct sluice_error *ret_err)
{
	struct credentials *creds = calloc(1, sizeof(*creds));
	int r;

	if (!creds)
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for credentials");
	atomic_init(&creds->refs, 1);
	r = load_trust(creds, opts, role, ret_err);
	if (!r &&
	    (option_is_set(opts, SLUICE_OPT_CERT) || option_is_set(opts, SLUICE_OPT_CERTFILE)))
		r = load_identity(creds, opts, ret_err);
	if (r < 0) {
		credentials_unref(creds);
		return r;
	}
	*ret_creds = creds;
	return 0;
}

int credentials_affected(const struct sluice_options *extra)
{
	static const enum sluice_option read[] = {
		SLUICE_OPT_CERT,     SLUICE_OPT_CERTFILE, SLUICE_OPT_KEY,        SLUICE_OPT_KEYFILE,
		SLUICE_OPT_PASSWORD, SLUICE_OPT_CACERTS,  SLUICE_OPT_CACERTFILE, SLUICE_OPT_VERIFY,
	};
	size_t i;

	for (i = 0; i < sizeof(read) / sizeof(read[0]); i++)
		if (option_is_set(extra, read[i]))
			return 1;
	return 0;
}

struct credentials *credentials_ref(struct credentials *creds)
{
	atomic_fetch_add_explicit(&creds->refs, 1, memory_order_relaxed);
	return creds;
}

struct credentials *credentials_unref(struct credentials *creds)
{
	if (!creds || atomic_fetch_sub_explicit(&creds->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	sk_CRYPTO_BUFFER_pop_free(creds->chain, CRYPTO_BUFFER_free);
	sk_CRYPTO_BUFFER_pop_free(creds->cas, CRYPTO_BUFFER_free);
	EVP_PKEY_free(creds->key);
	X509_STORE_free(creds->trust);
	free(creds);
	return NULL;
}
