// SPDX-License-Identifier: Apache-2.0
/* CRLs together: of a file, or found in a cache. */
#include "crl/crl.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/pem.h>

#include "core/error.h"
#include "options/pem.h"

/* Base64 and line ends of the longest CRL, and room for others beside it. */
#define MAX_FILE ((size_t)SLUICE_CRL_MAX_DER * 3 / 2)

int crl_list_add(struct crl_list *list, struct sluice_crl *crl, size_t max)
{
	struct sluice_crl **crls;

	if (list->n >= max)
		return -SLUICE_E_OPTION_RANGE;
	crls = realloc(list->crls, (list->n + 1) * sizeof(*crls));
	if (!crls)
		return -SLUICE_E_NOMEM;
	list->crls = crls;
	crls[list->n++] = sluice_crl_ref(crl);
	return 0;
}

void crl_list_clear(struct crl_list *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		sluice_crl_unref(list->crls[i]);
	free(list->crls);
	*list = (struct crl_list){ 0 };
}

int sluice_crl_found_add(struct sluice_crl_found *found, struct sluice_crl *crl)
{
	size_t i;

	if (!found || !crl)
		return -SLUICE_E_INVALID;
	/* Several distribution points may lead to the same one. */
	for (i = 0; i < found->list.n; i++)
		if (!memcmp(found->list.crls[i]->sha256, crl->sha256, sizeof(crl->sha256)))
			return 0;
	return crl_list_add(&found->list, crl, SLUICE_CRL_MAX_FOUND);
}

int sluice_crl_found_der(struct sluice_crl_found *found, const void *der, size_t der_len)
{
	struct sluice_crl *crl;
	int r = sluice_crl_parse(&crl, der, der_len, NULL);

	if (r < 0)
		return r;
	r = sluice_crl_found_add(found, crl);
	sluice_crl_unref(crl);
	return r;
}

/* --- files ------------------------------------------------------------------------------------ */

static int add_der(struct crl_list *list, const void *der, size_t len, const char *what,
		   bool lenient, struct sluice_error *err)
{
	struct sluice_error why;
	struct sluice_crl *crl;
	int r = sluice_crl_parse(&crl, der, len, &why);

	if (r == -SLUICE_E_UNSUPPORTED && lenient) {
		list->n_left_out++;
		return 0;
	}
	if (r < 0)
		return err_set(err, -r, "%s: %s", what, why.text);
	r = crl_list_add(list, crl, SLUICE_CRL_MAX_FILE);
	sluice_crl_unref(crl);
	if (r == -SLUICE_E_OPTION_RANGE)
		return err_set(err, -r, "%s: more than %d CRLs", what, SLUICE_CRL_MAX_FILE);
	return r < 0 ? err_set(err, -r, "%s: no memory", what) : 0;
}

/* Adds the CRLs of PEM; other blocks do not matter. @ret_n: how many there were. */
static int add_pem(struct crl_list *list, BIO *bio, const char *what, bool lenient, size_t *ret_n,
		   struct sluice_error *err)
{
	char *name, *header;
	uint8_t *der;
	long der_len;
	int r = 0;

	while (!r && PEM_read_bio(bio, &name, &header, &der, &der_len)) {
		if (!strcmp(name, PEM_STRING_X509_CRL)) {
			r = add_der(list, der, (size_t)der_len, what, lenient, err);
			++*ret_n;
		}
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(der);
	}
	if (!r && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = err_set(err, SLUICE_E_CRL_PARSE, "%s: this is not PEM", what);
	ERR_clear_error();
	return r;
}

int crl_list_read(struct crl_list *list, const void *data, size_t len, const char *what,
		  bool lenient, struct sluice_error *ret_err)
{
	const uint8_t *bytes = data;
	size_t n = 0;
	BIO *bio;
	int r;

	/* A SEQUENCE with a length of its own; a text that PEM may have before it has no such byte. */
	if (len > 1 && bytes[0] == 0x30 && bytes[1] >= 0x80)
		return add_der(list, data, len, what, lenient, ret_err);
	ERR_clear_error();
	bio = BIO_new_mem_buf(data, (int)len);
	if (!bio)
		return err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	r = add_pem(list, bio, what, lenient, &n, ret_err);
	BIO_free(bio);
	if (!r && !n)
		r = err_set(ret_err, SLUICE_E_CRL_PARSE, "%s: there is no CRL in it", what);
	return r;
}

int crl_file_read(struct crl_list *list, const char *path, bool lenient,
		  struct sluice_error *ret_err)
{
	struct pem_file file;
	size_t len = strlen(path);
	int r = pem_file_read_max(&file, "CRL", path, MAX_FILE, ret_err);

	if (r < 0)
		return r;
	r = crl_list_read(list, file.data, file.len, len > 100 ? path + len - 100 : path, lenient,
			  ret_err);
	pem_file_free(&file);
	return r;
}
