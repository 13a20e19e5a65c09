/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of options. What is wrong with a file is named with it. */
#include "options/source.h"

#include <stdio.h>
#include <string.h>

#include <openssl/x509.h>

#include "core/error.h"
#include "options/options.h"
#include "options/pem-cache.h"

const char *source_name(char out[SOURCE_NAME_LEN], enum sluice_option id, const char *path)
{
	size_t len = strlen(path), max = SOURCE_NAME_LEN - 32;

	snprintf(out, SOURCE_NAME_LEN, "%s: %s%s", option_row((int)id)->name,
		 len > max ? "..." : "", len > max ? path + len - max : path);
	return out;
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

int source_certs(STACK_OF(CRYPTO_BUFFER) * *ret_certs, const struct sluice_options *opts,
		 enum sluice_option id, struct sluice_error *ret_err)
{
	const char *path = option_text(opts, id);
	char where[SOURCE_NAME_LEN];

	if (option_row((int)id)->type == SLUICE_TYPE_DATA)
		return share_ders(ret_certs, opts, id, ret_err);
	return pem_cache_certs(ret_certs, option_row((int)id)->name, path,
			       source_name(where, id, path), false, ret_err);
}
