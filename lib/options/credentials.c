/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who we are (certificate chains, keys) and whom we trust (CA certificates), from files or bytes.
 * Called when a profile is built: what is wrong with a file is found here and named with the file,
 * never at the first handshake.
 */
#include "options/credentials.h"

#include <stdlib.h>

#include <openssl/x509.h>

#include "core/error.h"
#include "options/options.h"
#include "options/sets.h"
#include "options/source.h"
#include "options/trust.h"

/* --- own certificates --------------------------------------------------------------------- */

static int load_one(struct credentials *creds, const struct sluice_options *opts,
		    const struct sluice_options *all, const STACK_OF(CRYPTO_BUFFER) * cas,
		    struct sluice_error *err)
{
	int r = own_load(&creds->own[creds->n_own], opts, all, cas, err);

	creds->n_own += !r;
	return r;
}

/* One of certs_keys, in whose errors is which: the paths may be long, and the bytes have no name. */
static int load_row(struct credentials *creds, const struct sluice_options *opts, size_t i,
		    const STACK_OF(CRYPTO_BUFFER) * cas, struct sluice_error *err)
{
	const struct set_list *list = opts->values[SLUICE_OPT_CERTS_KEYS].sets;
	struct sluice_error why;
	int r;

	err_clear(&why);
	r = load_one(creds, set_list_at(list, i), opts, cas, &why);
	if (r < 0) {
		err_set(err, -r, "certs_keys: entry %zu: %s", i + 1, why.text);
		if (err) {
			err->sys_errno = why.sys_errno;
			err->bssl_error = why.bssl_error;
		}
	}
	return r;
}

/* certs_keys overrides the options for one certificate. */
static int load_own(struct credentials *creds, const struct sluice_options *opts,
		    const STACK_OF(CRYPTO_BUFFER) * cas, struct sluice_error *err)
{
	size_t i, n = set_list_count(opts->values[SLUICE_OPT_CERTS_KEYS].sets);
	int r = 0;

	for (i = 0; !r && i < n; i++)
		r = load_row(creds, opts, i, cas, err);
	if (n ||
	    (!option_is_set(opts, SLUICE_OPT_CERT) && !option_is_set(opts, SLUICE_OPT_CERTFILE)))
		return r;
	return load_one(creds, opts, opts, cas, err);
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
		r = source_certs(&creds->cas, opts, SLUICE_OPT_CACERTS, err);
	} else if (option_is_set(opts, SLUICE_OPT_CACERTFILE)) {
		r = source_certs(&creds->cas, opts, SLUICE_OPT_CACERTFILE, err);
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

static struct credentials *credentials_new(struct sluice_error *err)
{
	struct credentials *creds = calloc(1, sizeof(*creds));

	if (creds)
		atomic_init(&creds->refs, 1);
	else
		err_set(err, SLUICE_E_NOMEM, "no memory for credentials");
	return creds;
}

int credentials_load(struct credentials **ret_creds, const struct sluice_options *opts,
		     enum sluice_role role, struct sluice_error *ret_err)
{
	struct credentials *creds = credentials_new(ret_err);
	int r;

	if (!creds)
		return -SLUICE_E_NOMEM;
	r = load_trust(creds, opts, role, ret_err);
	if (!r)
		r = load_own(creds, opts, creds->cas, ret_err);
	if (r < 0) {
		credentials_unref(creds);
		return r;
	}
	*ret_creds = creds;
	return 0;
}

/* What a program shows is either one certificate or several, and nothing besides. */
static int check_own(const struct sluice_options *opts, struct sluice_error *err)
{
	int id, n = 0;

	for (id = 0; id < SLUICE_OPTIONS; id++)
		n += option_is_set(opts, (enum sluice_option)id);
	if (!n)
		return 0;
	if (n == 1 && option_is_set(opts, SLUICE_OPT_CERTS_KEYS))
		return options_check(opts, SLUICE_CLIENT, err);
	return options_check_pair(opts, false, err);
}

int credentials_load_own(struct credentials **ret_creds, const struct sluice_options *opts,
			 const struct credentials *base, struct sluice_error *ret_err)
{
	struct credentials *creds;
	int r = check_own(opts, ret_err);

	if (r < 0)
		return r;
	creds = credentials_new(ret_err);
	if (!creds)
		return -SLUICE_E_NOMEM;
	r = load_own(creds, opts, base->cas, ret_err);
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
		SLUICE_OPT_CERT,       SLUICE_OPT_CERTFILE, SLUICE_OPT_KEY,
		SLUICE_OPT_KEYFILE,    SLUICE_OPT_PASSWORD, SLUICE_OPT_CACERTS,
		SLUICE_OPT_CACERTFILE, SLUICE_OPT_VERIFY,   SLUICE_OPT_CERTS_KEYS,
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
	while (creds->n_own)
		own_deinit(&creds->own[--creds->n_own]);
	sk_CRYPTO_BUFFER_pop_free(creds->cas, CRYPTO_BUFFER_free);
	X509_STORE_free(creds->trust);
	free(creds);
	return NULL;
}
