/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Option sets: values from numbers and bytes, copies, and one set laid over another. Called by
 * programs and by profile.c. A value is checked where it is set, as far as that needs neither other
 * options nor files; on failure a set is as before. It must never keep a password outside secret
 * memory.
 */
#include "options/options.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include <sluice/verify.h>

#include "core/error.h"
#include "core/secret.h"
#include "options/hostname.h"
#include "options/pem.h"
#include "options/sets.h"

/* --- values --------------------------------------------------------------------------------- */

void option_value_clear(struct option_value *value, enum sluice_option_type type)
{
	if (type == SLUICE_TYPE_SECRET) {
		secret_free(value->bytes);
	} else {
		free(value->bytes);
	}
	sk_CRYPTO_BUFFER_pop_free(value->ders, CRYPTO_BUFFER_free);
	EVP_PKEY_free(value->key);
	set_list_unref(value->sets);
	*value = (struct option_value){ 0 };
}

void *option_bytes_new(enum sluice_option_type type, const void *bytes, size_t len)
{
	char *copy = type == SLUICE_TYPE_SECRET ? secret_new(len + 1) : malloc(len + 1);

	if (copy) {
		memcpy(copy, bytes, len);
		copy[len] = '\0';
	}
	return copy;
}

/* Appends a reference to @der. */
static int append(STACK_OF(CRYPTO_BUFFER) * *ders, CRYPTO_BUFFER *der)
{
	if (!*ders)
		*ders = sk_CRYPTO_BUFFER_new_null();
	if (!*ders || !sk_CRYPTO_BUFFER_push(*ders, der))
		return -SLUICE_E_NOMEM;
	CRYPTO_BUFFER_up_ref(der);
	return 0;
}

/* Copies a value; what cannot change is shared. */
static int value_copy(struct option_value *ret_value, const struct option_value *from,
		      enum sluice_option_type type)
{
	struct option_value copy = { .set = from->set,
				     .number = from->number,
				     .len = from->len,
				     .call = from->call,
				     .arg = from->arg };
	size_t i, n = from->ders ? sk_CRYPTO_BUFFER_num(from->ders) : 0;
	int r = 0;

	if (from->bytes) {
		copy.bytes = option_bytes_new(type, from->bytes, from->len);
		r = copy.bytes ? 0 : -SLUICE_E_NOMEM;
	}
	for (i = 0; !r && i < n; i++)
		r = append(&copy.ders, sk_CRYPTO_BUFFER_value(from->ders, i));
	if (r < 0) {
		option_value_clear(&copy, type);
		return r;
	}
	if (from->key)
		EVP_PKEY_up_ref(from->key);
	copy.key = from->key;
	copy.sets = set_list_ref(from->sets);
	*ret_value = copy;
	return 0;
}

void option_replace(struct sluice_options *opts, enum sluice_option id, struct option_value *value)
{
	option_value_clear(&opts->values[id], option_row((int)id)->type);
	opts->values[id] = *value;
	opts->values[id].set = true;
	if (id == SLUICE_OPT_CRL_CACHE) { /* a text replaces the operations of a program */
		opts->crl_ops = NULL;
		opts->crl_db = NULL;
	}
}

int64_t option_number(const struct sluice_options *opts, enum sluice_option id,
		      enum sluice_role role)
{
	const struct option_row *row = option_row((int)id);
	const char *def = role == SLUICE_SERVER && row->def_server ? row->def_server : row->def;
	struct option_value value = { 0 };

	if (opts->values[id].set)
		return opts->values[id].number;
	text_parse(id, def, strlen(def), &value, NULL); /* a test parses every default */
	return value.number;
}

size_t option_codes(const struct sluice_options *opts, enum sluice_option id,
		    uint16_t codes[OPTION_MAX_CODES])
{
	const struct option_value *value = &opts->values[id];
	const char *def = option_row((int)id)->def;
	size_t n = 0;

	if (value->set) {
		memcpy(codes, value->bytes, value->len);
		return value->len / sizeof(codes[0]);
	}
	words_parse_codes(id, def, strlen(def), codes, &n, NULL);
	return n;
}

/* --- sets ----------------------------------------------------------------------------------- */

int sluice_options_new(struct sluice_options **ret_opts)
{
	struct sluice_options *opts;

	if (!ret_opts)
		return -SLUICE_E_INVALID;
	opts = calloc(1, sizeof(*opts));
	if (!opts)
		return -SLUICE_E_NOMEM;
	*ret_opts = opts;
	return 0;
}

struct sluice_options *sluice_options_free(struct sluice_options *opts)
{
	int id;

	for (id = 0; opts && id < SLUICE_OPTIONS; id++)
		option_value_clear(&opts->values[id], option_row(id)->type);
	free(opts);
	return NULL;
}

int sluice_options_clone(struct sluice_options **ret_opts, const struct sluice_options *opts)
{
	struct sluice_options *clone;
	int id, r;

	if (!opts || !ret_opts)
		return -SLUICE_E_INVALID;
	r = sluice_options_new(&clone);
	if (r < 0)
		return r;
	for (id = 0; !r && id < SLUICE_OPTIONS; id++)
		r = value_copy(&clone->values[id], &opts->values[id], option_row(id)->type);
	if (r < 0) {
		sluice_options_free(clone);
		return r;
	}
	clone->signer = opts->signer;
	clone->verify_rules = opts->verify_rules;
	clone->verify_rules_len = opts->verify_rules_len;
	clone->bound_to = opts->bound_to;
	clone->bound_to_len = opts->bound_to_len;
	clone->hostname_check = opts->hostname_check;
	clone->crl_ops = opts->crl_ops;
	clone->crl_db = opts->crl_db;
	clone->crl_shared = opts->crl_shared;
	*ret_opts = clone;
	return 0;
}

void options_swap(struct sluice_options *a, struct sluice_options *b)
{
	struct sluice_options tmp = *a;

	*a = *b;
	*b = tmp;
}

enum sluice_option option_other_form(enum sluice_option id)
{
	switch ((int)id) {
	case SLUICE_OPT_CERT:
		return SLUICE_OPT_CERTFILE;
	case SLUICE_OPT_CERTFILE:
		return SLUICE_OPT_CERT;
	case SLUICE_OPT_KEY:
		return SLUICE_OPT_KEYFILE;
	case SLUICE_OPT_KEYFILE:
		return SLUICE_OPT_KEY;
	case SLUICE_OPT_CACERTS:
		return SLUICE_OPT_CACERTFILE;
	case SLUICE_OPT_CACERTFILE:
		return SLUICE_OPT_CACERTS;
	case SLUICE_OPT_OCSP_RESPONSE:
		return SLUICE_OPT_OCSP_FILE;
	case SLUICE_OPT_OCSP_FILE:
		return SLUICE_OPT_OCSP_RESPONSE;
	default:
		return id;
	}
}

static bool sets_one_cert(const struct sluice_options *opts)
{
	return option_is_set(opts, SLUICE_OPT_CERT) || option_is_set(opts, SLUICE_OPT_CERTFILE) ||
	       option_is_set(opts, SLUICE_OPT_KEY) || option_is_set(opts, SLUICE_OPT_KEYFILE);
}

/* An OCSP response is about one certificate: another certificate leaves it behind. */
void options_drop_ocsp(struct sluice_options *opts)
{
	option_value_clear(&opts->values[SLUICE_OPT_OCSP_FILE], SLUICE_TYPE_STRING);
	option_value_clear(&opts->values[SLUICE_OPT_OCSP_RESPONSE], SLUICE_TYPE_DATA);
}

int options_overlay(struct sluice_options *opts, const struct sluice_options *extra)
{
	struct option_value copy;
	int id, other, r;

	if (sets_one_cert(extra))
		option_value_clear(&opts->values[SLUICE_OPT_CERTS_KEYS], SLUICE_TYPE_LIST);
	if (option_is_set(extra, SLUICE_OPT_CERT) || option_is_set(extra, SLUICE_OPT_CERTFILE))
		options_drop_ocsp(opts);
	for (id = 0; id < SLUICE_OPTIONS; id++) {
		if (!extra->values[id].set)
			continue;
		r = value_copy(&copy, &extra->values[id], option_row(id)->type);
		if (r < 0)
			return r;
		option_replace(opts, (enum sluice_option)id, &copy);
		other = (int)option_other_form((enum sluice_option)id);
		if (!extra->values[other].set)
			option_value_clear(&opts->values[other], option_row(other)->type);
	}
	if (extra->hostname_check.name || extra->hostname_check.match)
		opts->hostname_check = extra->hostname_check;
	if (extra->crl_ops) {
		opts->crl_ops = extra->crl_ops;
		opts->crl_db = extra->crl_db;
	}
	return 0;
}

/* --- from numbers and bytes ----------------------------------------------------------------- */

int option_check_range(const struct option_row *row, int64_t number, struct sluice_error *ret_err)
{
	if (number < row->min || number > row->max)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "%s: takes %lld to %lld", row->name,
			       (long long)row->min, (long long)row->max);
	return 0;
}

int sluice_options_set_int(struct sluice_options *opts, enum sluice_option id, int64_t value,
			   struct sluice_error *ret_err)
{
	const struct option_row *row = option_row((int)id);
	struct option_value new_value = { .number = value };
	int r;

	err_clear(ret_err);
	if (!opts || !row)
		return err_set(ret_err, SLUICE_E_INVALID, "no such option");
	if (row->type != SLUICE_TYPE_BOOL && row->type != SLUICE_TYPE_INT)
		return err_set(ret_err, SLUICE_E_OPTION, "%s: does not take a number", row->name);
	if (row->type == SLUICE_TYPE_BOOL && value != 0 && value != 1)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "%s: takes 0 or 1", row->name);
	r = row->type == SLUICE_TYPE_INT ? option_check_range(row, value, ret_err) : 0;
	if (!r)
		option_replace(opts, id, &new_value);
	return r;
}

static int append_der(struct option_value *value, const struct option_row *row, const void *data,
		      size_t data_len, struct sluice_error *err)
{
	CRYPTO_BUFFER *der;
	int r;

	if (value->ders && sk_CRYPTO_BUFFER_num(value->ders) >= OPTION_MAX_OBJECTS)
		return err_set(err, SLUICE_E_OPTION_RANGE, "%s: takes at most %d certificates",
			       row->name, OPTION_MAX_OBJECTS);
	der = CRYPTO_BUFFER_new(data, data_len, NULL);
	r = der ? append(&value->ders, der) : -SLUICE_E_NOMEM;
	CRYPTO_BUFFER_free(der);
	if (r < 0)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", row->name);
	value->set = true;
	return 0;
}

int sluice_options_set_data(struct sluice_options *opts, enum sluice_option id, const void *data,
			    size_t data_len, struct sluice_error *ret_err)
{
	const struct option_row *row = option_row((int)id);
	struct option_value key = { 0 };
	int r;

	err_clear(ret_err);
	if (!opts || !row || !data)
		return err_set(ret_err, SLUICE_E_INVALID, "no such option, or no bytes");
	if (row->type != SLUICE_TYPE_DATA)
		return err_set(ret_err, SLUICE_E_OPTION, "%s: takes text, not bytes", row->name);
	if (!data_len || data_len > OPTION_MAX_DATA)
		return err_set(ret_err, SLUICE_E_OPTION_RANGE, "%s: takes 1 to %d bytes", row->name,
			       OPTION_MAX_DATA);
	if (id != SLUICE_OPT_KEY)
		return append_der(&opts->values[id], row, data, data_len, ret_err);
	r = pem_parse_key_der(&key.key, data, data_len, row->name, ret_err);
	if (!r)
		option_replace(opts, id, &key);
	return r;
}

int sluice_options_set_hostname_check(struct sluice_options *opts,
				      const struct sluice_hostname_check *check)
{
	if (!opts)
		return -SLUICE_E_INVALID;
	opts->hostname_check = check ? *check : (struct sluice_hostname_check){ 0 };
	return 0;
}

/* --- from programs -------------------------------------------------------------------------- */

/* A name as it is kept, or why it is none. */
static int read_host(char name[HOST_NAME_LONGEST + 1], const char *host, struct sluice_error *err)
{
	char quote[OPTION_QUOTE_LEN];
	const char *fault = "is empty, or longer than a DNS name can be";

	if (host_name_fold(name, host))
		fault = host_name_fault(name);
	if (fault)
		return err_set(err, SLUICE_E_OPTION, "sni_hosts: \"%s\" %s",
			       option_quote(quote, host, strlen(host)), fault);
	return 0;
}

int sluice_options_add_sni_host(struct sluice_options *opts, const char *host,
				const struct sluice_options *host_opts,
				struct sluice_error *ret_err)
{
	struct option_value *value;
	char name[HOST_NAME_LONGEST + 1];
	int r;

	err_clear(ret_err);
	if (!opts || !host || !host_opts)
		return err_set(ret_err, SLUICE_E_INVALID, "no option set, or no name");
	value = &opts->values[SLUICE_OPT_SNI_HOSTS];
	r = read_host(name, host, ret_err);
	if (!r)
		r = set_list_add(&value->sets, name, host_opts, OPTION_MAX_HOSTS);
	if (r == -SLUICE_E_OPTION_RANGE)
		return err_set(ret_err, -r, "sni_hosts: takes at most %d names", OPTION_MAX_HOSTS);
	if (r < 0)
		return err_set(ret_err, -r, "sni_hosts: no memory");
	value->set = true;
	return 0;
}

static int set_call(struct sluice_options *opts, enum sluice_option id, void (*call)(void),
		    void *arg, struct sluice_error *err)
{
	struct option_value value = { .call = call, .arg = arg };

	err_clear(err);
	if (!opts || !call)
		return err_set(err, SLUICE_E_INVALID, "no option set, or no function");
	option_replace(opts, id, &value);
	return 0;
}

int sluice_options_set_sni_fun(struct sluice_options *opts, sluice_sni_fun fun, void *arg,
			       struct sluice_error *ret_err)
{
	return set_call(opts, SLUICE_OPT_SNI_FUN, (void (*)(void))fun, arg, ret_err);
}

int sluice_options_set_verify_fun(struct sluice_options *opts, sluice_verify_fun fun, void *state,
				  struct sluice_error *ret_err)
{
	return set_call(opts, SLUICE_OPT_VERIFY_FUN, (void (*)(void))fun, state, ret_err);
}

int sluice_options_set_client_cert_cb(struct sluice_options *opts, sluice_client_cert_cb cb,
				      void *arg, struct sluice_error *ret_err)
{
	return set_call(opts, SLUICE_OPT_CLIENT_CERT_CB, (void (*)(void))cb, arg, ret_err);
}

int sluice_options_set_partial_chain(struct sluice_options *opts, sluice_partial_chain_fun fun,
				     void *state, struct sluice_error *ret_err)
{
	return set_call(opts, SLUICE_OPT_PARTIAL_CHAIN_FUN, (void (*)(void))fun, state, ret_err);
}
