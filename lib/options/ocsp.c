// SPDX-License-Identifier: Apache-2.0
/*
 * What a server staples. A response is checked when it comes, by ocsp_file or at run time; a handshake only
 * takes a reference. The last one that was good stays until it is out of date.
 */
#include <sluice/info.h>
#include <sluice/ocsp.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pool.h>
#include <openssl/x509v3.h>

#include "core/error.h"
#include "core/sys.h"
#include "options/credentials.h"
#include "options/hosts.h"
#include "options/options.h"
#include "options/profile.h"

struct ocsp_keep {
	atomic_uint refs;
	struct credentials *creds; /* whose certificate it is about */
	pthread_mutex_t lock;      /* of what follows */
	CRYPTO_BUFFER *der;        /* NULL: none */
	int64_t this_update_s, next_update_s;
};

const char *sluice_ocsp_name(int ocsp)
{
	static const char *const names[SLUICE_OCSPS] = { "not_asked", "none", "good", "bad",
							 "kept" };

	return ocsp >= 0 && ocsp < SLUICE_OCSPS ? names[ocsp] : "unknown";
}

struct ocsp_keep *ocsp_keep_ref(struct ocsp_keep *keep)
{
	if (keep)
		atomic_fetch_add_explicit(&keep->refs, 1, memory_order_relaxed);
	return keep;
}

struct ocsp_keep *ocsp_keep_unref(struct ocsp_keep *keep)
{
	if (!keep || atomic_fetch_sub_explicit(&keep->refs, 1, memory_order_acq_rel) != 1)
		return NULL;
	CRYPTO_BUFFER_free(keep->der);
	credentials_unref(keep->creds);
	pthread_mutex_destroy(&keep->lock);
	free(keep);
	return NULL;
}

/* --- whether a response will do ----------------------------------------------------------------- */

/* The certificate of @certs that has issued @cert, or NULL; X509_free() it. */
static X509 *find_issuer(const STACK_OF(CRYPTO_BUFFER) * certs, X509 *cert)
{
	size_t i, n = certs ? sk_CRYPTO_BUFFER_num(certs) : 0;
	X509 *issuer;

	for (i = 0; i < n; i++) {
		issuer = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(certs, i));
		if (issuer && X509_check_issued(issuer, cert) == X509_V_OK)
			return issuer;
		X509_free(issuer);
	}
	return NULL;
}

int ocsp_check_own(struct ocsp_verdict *ret_verdict, const CRYPTO_BUFFER *der,
		   const STACK_OF(CRYPTO_BUFFER) * chain, const STACK_OF(CRYPTO_BUFFER) * cas)
{
	X509 *cert = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(chain, 0));
	int64_t now_s = sys->wall_s();
	X509 *issuer;

	if (!cert)
		return -SLUICE_E_NOMEM;
	issuer = find_issuer(chain, cert);
	if (!issuer)
		issuer = find_issuer(cas, cert);
	ocsp_check_unsigned(ret_verdict, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der), cert,
			    now_s);
	if (issuer && ret_verdict->result != OCSP_STALE)
		ocsp_check(ret_verdict, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der), cert,
			   issuer, now_s);
	X509_free(issuer);
	X509_free(cert);
	ERR_clear_error();
	return 0;
}

static int refuse(const struct ocsp_verdict *verdict, const char *what, struct sluice_error *err)
{
	bool of_cert = verdict->result == OCSP_REVOKED;

	return err_set(err, SLUICE_E_OCSP, "%s: %s%s", what, of_cert ? "the certificate: " : "",
		       verdict->reason);
}

/* Puts @der, of which it takes a reference, in place of what there is, unless that is newer. */
static int replace(struct ocsp_keep *keep, CRYPTO_BUFFER *der, const struct ocsp_verdict *verdict)
{
	CRYPTO_BUFFER *old = der;
	int r = 0;

	pthread_mutex_lock(&keep->lock);
	if (keep->der && verdict->this_update_s < keep->this_update_s) {
		r = -SLUICE_E_OCSP;
	} else {
		old = keep->der;
		CRYPTO_BUFFER_up_ref(der);
		keep->der = der;
		keep->this_update_s = verdict->this_update_s;
		keep->next_update_s = verdict->next_update_s;
	}
	pthread_mutex_unlock(&keep->lock);
	if (!r)
		CRYPTO_BUFFER_free(old);
	return r;
}

/* --- of the options ----------------------------------------------------------------------------- */

/* What ocsp_response or ocsp_file has; NULL: neither is set. */
static int read_option(CRYPTO_BUFFER **ret_der, const struct sluice_options *opts,
		       struct sluice_error *err)
{
	const STACK_OF(CRYPTO_BUFFER) *ders = opts->values[SLUICE_OPT_OCSP_RESPONSE].ders;

	*ret_der = NULL;
	if (option_is_set(opts, SLUICE_OPT_OCSP_RESPONSE)) {
		if (sk_CRYPTO_BUFFER_num(ders) != 1)
			return err_set(err, SLUICE_E_OPTION, "ocsp_response: takes one response");
		*ret_der = sk_CRYPTO_BUFFER_value(ders, 0);
		CRYPTO_BUFFER_up_ref(*ret_der);
		return 0;
	}
	if (!option_is_set(opts, SLUICE_OPT_OCSP_FILE))
		return 0;
	return ocsp_read_file(ret_der, "ocsp_file", option_text(opts, SLUICE_OPT_OCSP_FILE), err);
}

/* Of an option: one that is out of date is no error, as it was none before that. */
static int take(struct ocsp_keep *keep, CRYPTO_BUFFER *der, const char *what,
		struct sluice_error *err)
{
	struct ocsp_verdict verdict;
	int r = ocsp_check_own(&verdict, der, keep->creds->own[0].chain, keep->creds->cas);

	if (r < 0)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", what);
	if (verdict.result != OCSP_GOOD && verdict.result != OCSP_STALE)
		return refuse(&verdict, what, err);
	return replace(keep, der, &verdict);
}

int ocsp_keep_new(struct ocsp_keep **ret_keep, const struct sluice_options *opts,
		  struct credentials *creds, struct sluice_error *ret_err)
{
	bool is_file = !option_is_set(opts, SLUICE_OPT_OCSP_RESPONSE);
	struct ocsp_keep *keep;
	CRYPTO_BUFFER *der;
	int r;

	r = read_option(&der, opts, ret_err);
	if (r < 0)
		return r;
	keep = calloc(1, sizeof(*keep));
	if (!keep) {
		CRYPTO_BUFFER_free(der);
		return err_set(ret_err, SLUICE_E_NOMEM, "no memory for a profile");
	}
	atomic_init(&keep->refs, 1);
	pthread_mutex_init(&keep->lock, NULL);
	keep->creds = credentials_ref(creds);
	if (der)
		r = take(keep, der, is_file ? "ocsp_file" : "ocsp_response", ret_err);
	CRYPTO_BUFFER_free(der);
	if (r < 0) {
		ocsp_keep_unref(keep);
		return r;
	}
	*ret_keep = keep;
	return 0;
}

bool ocsp_keep_is_for(const struct ocsp_keep *keep, const struct credentials *creds)
{
	const CRYPTO_BUFFER *a, *b;

	if (!keep)
		return false;
	a = sk_CRYPTO_BUFFER_value(keep->creds->own[0].chain, 0);
	b = sk_CRYPTO_BUFFER_value(creds->own[0].chain, 0);
	return CRYPTO_BUFFER_len(a) == CRYPTO_BUFFER_len(b) &&
	       !memcmp(CRYPTO_BUFFER_data(a), CRYPTO_BUFFER_data(b), CRYPTO_BUFFER_len(a));
}

/* --- of handshakes ------------------------------------------------------------------------------ */

/* Must hold the lock. */
static bool is_in_date(const struct ocsp_keep *keep, int64_t now_s)
{
	int64_t until_s = keep->next_update_s;

	if (until_s < 0)
		until_s = keep->this_update_s + OCSP_MAX_AGE_S;
	return now_s <= until_s;
}

int profile_staple(const struct sluice_profile *profile, SSL *ssl)
{
	struct ocsp_keep *keep = profile->stapled;
	CRYPTO_BUFFER *der = NULL;
	bool ok = true;

	if (!keep)
		return 0;
	pthread_mutex_lock(&keep->lock);
	if (keep->der && is_in_date(keep, sys->wall_s())) {
		der = keep->der;
		CRYPTO_BUFFER_up_ref(der);
	}
	pthread_mutex_unlock(&keep->lock);
	if (der)
		ok = SSL_set_ocsp_response(ssl, CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
	CRYPTO_BUFFER_free(der);
	ERR_clear_error();
	return ok ? 0 : -SLUICE_E_NOMEM;
}

/* --- of a program ------------------------------------------------------------------------------- */

static struct ocsp_keep *find_keep(const struct sluice_profile *profile, const char *host)
{
	const struct host *found;

	if (!host)
		return profile->stapled;
	found = profile->hosts ? host_table_find(profile->hosts, host) : NULL;
	return found ? found->profile->stapled : NULL;
}

int sluice_profile_set_ocsp(struct sluice_profile *profile, const char *host, const void *der,
			    size_t der_len, struct sluice_error *ret_err)
{
	struct ocsp_verdict verdict;
	struct ocsp_keep *keep;
	CRYPTO_BUFFER *buffer;
	int r;

	err_clear(ret_err);
	if (!profile || !der)
		return err_set(ret_err, SLUICE_E_INVALID, "no profile, or no response");
	keep = find_keep(profile, host);
	if (!keep)
		return err_set(ret_err, SLUICE_E_UNDEFINED,
			       "the profile has no certificate to staple to, or no such host");
	if (der_len > SLUICE_OCSP_MAX_DER)
		return err_set(ret_err, SLUICE_E_OCSP, "an OCSP response has at most %d bytes",
			       SLUICE_OCSP_MAX_DER);
	buffer = CRYPTO_BUFFER_new(der, der_len, NULL);
	r = buffer ? ocsp_check_own(&verdict, buffer, keep->creds->own[0].chain, keep->creds->cas)
		   : -SLUICE_E_NOMEM;
	if (r < 0)
		err_set(ret_err, SLUICE_E_NOMEM, "no memory for an OCSP response");
	else if (verdict.result != OCSP_GOOD)
		r = refuse(&verdict, "stapling", ret_err);
	else if (replace(keep, buffer, &verdict) < 0)
		r = err_set(ret_err, SLUICE_E_OCSP,
			    "stapling: the OCSP response is older than the one there is");
	CRYPTO_BUFFER_free(buffer);
	return r;
}

int sluice_profile_ocsp(const struct sluice_profile *profile, const char *host,
			struct sluice_ocsp_info *ret_info, size_t info_size)
{
	struct sluice_ocsp_info info = { 0 };
	struct ocsp_keep *keep;
	bool there;

	if (!profile || !ret_info || !info_size)
		return -SLUICE_E_INVALID;
	keep = find_keep(profile, host);
	if (!keep)
		return -SLUICE_E_UNDEFINED;
	pthread_mutex_lock(&keep->lock);
	there = keep->der;
	info.stapled = is_in_date(keep, sys->wall_s());
	info.this_update_s = keep->this_update_s;
	info.next_update_s = keep->next_update_s;
	pthread_mutex_unlock(&keep->lock);
	if (!there)
		return -SLUICE_E_UNDEFINED;
	memset(ret_info, 0, info_size);
	memcpy(ret_info, &info, info_size < sizeof(info) ? info_size : sizeof(info));
	return 0;
}
