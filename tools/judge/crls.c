/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRLs for a verdict. They go into a cache of their own, as those of a program do, so that what is
 * judged here is what a handshake would have found. Called by `sluice verify`.
 */
#include "judge.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/mem.h>

#include "core/error.h"
#include "crl/crl.h"

/* Moves the CRLs of @list into the cache. */
static int insert(struct verify_crls *crls, const struct crl_list *list, struct sluice_error *err)
{
	uint8_t *der;
	size_t i;
	int len, r = 0;

	if (!crls->db && sluice_crl_db_new(&crls->db) < 0)
		return err_set(err, SLUICE_E_NOMEM, "no memory for CRLs");
	for (i = 0; !r && i < list->n; i++) {
		der = NULL;
		len = i2d_X509_CRL(list->crls[i]->x509, &der);
		if (len < 0)
			return err_set(err, SLUICE_E_NOMEM, "no memory for CRLs");
		r = sluice_crl_insert_der(crls->db, der, (size_t)len, err);
		OPENSSL_free(der);
	}
	crls->n_left_out += list->n_left_out;
	return r;
}

int verify_crls_add_file(struct verify_crls *crls, const char *path, struct sluice_error *ret_err)
{
	struct crl_list list = { 0 };
	int r = crl_file_read(&list, path, true, ret_err);

	if (!r)
		r = insert(crls, &list, ret_err);
	crl_list_clear(&list);
	return r;
}

/* --- a request ------------------------------------------------------------------------------ */

static bool is_pem(const char *text)
{
	return strstr(text, "-----BEGIN ") != NULL;
}

static int add_base64(struct crl_list *list, const char *text, size_t len, struct sluice_error *err)
{
	size_t der_len;
	uint8_t *der;
	int r;

	if (!verify_base64(text, len, &der, &der_len))
		return err_set(err, SLUICE_E_CRL_PARSE, "crls: neither PEM nor base64");
	r = crl_list_read(list, der, der_len, "crls", true, err);
	free(der);
	return r;
}

static int add_text(struct verify_crls *crls, struct json_object *string, struct sluice_error *err)
{
	struct crl_list list = { 0 };
	const char *text;
	size_t len;
	int r;

	if (!json_object_is_type(string, json_type_string))
		return err_set(err, SLUICE_E_OPTION, "crls is not an array of strings");
	text = json_object_get_string(string);
	len = (size_t)json_object_get_string_len(string);
	if (is_pem(text))
		r = crl_list_read(&list, text, len, "crls", true, err);
	else
		r = add_base64(&list, text, len, err);
	if (!r)
		r = insert(crls, &list, err);
	crl_list_clear(&list);
	return r;
}

int verify_crls_add_json(struct verify_crls *crls, struct json_object *array,
			 struct sluice_error *ret_err)
{
	size_t i;
	int r = 0;

	if (!json_object_is_type(array, json_type_array))
		return err_set(ret_err, SLUICE_E_OPTION, "crls is not an array of strings");
	if (sluice_crl_db_new(&crls->db) < 0)
		return err_set(ret_err, SLUICE_E_NOMEM, "crls: no memory");
	for (i = 0; !r && i < json_object_array_length(array); i++)
		r = add_text(crls, json_object_array_get_idx(array, i), ret_err);
	return r;
}

/* --- what is asked -------------------------------------------------------------------------- */

struct crl_check verify_crls_check(const struct verify_crls *crls, enum crl_mode mode)
{
	return (struct crl_check){
		.mode = mode,
		.ops = &sluice_crl_internal_ops,
		.db = crls->db,
		.args = "",
	};
}

bool verify_crl_mode(const char *word, enum crl_mode *ret_mode)
{
	static const char *const words[] = {
		[CRL_CHECK_FALSE] = "false",
		[CRL_CHECK_TRUE] = "true",
		[CRL_CHECK_PEER] = "peer",
		[CRL_CHECK_BEST_EFFORT] = "best_effort",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word, words[i]) != 0)
			continue;
		*ret_mode = (enum crl_mode)i;
		return true;
	}
	return false;
}

void verify_crls_clear(struct verify_crls *crls)
{
	sluice_crl_db_free(crls->db);
	*crls = (struct verify_crls){ 0 };
}
