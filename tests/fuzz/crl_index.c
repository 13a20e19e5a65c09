/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for lib/crl/index.c. The input is a CRL in DER. What gets an index is a CRL to the parser that
 * knows all kinds as well, and both find the same entries.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <openssl/err.h>

#include "crl/crl.h"
#include "crl/index.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(struct sluice_crl *crl, struct sluice_crl *whole)
{
	const STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(whole->x509);
	size_t i, n = entries ? sk_X509_REVOKED_num(entries) : 0;
	const ASN1_INTEGER *serial;
	int reason;

	REQUIRE(n == crl->index.n);
	REQUIRE(crl->next_update_s == whole->next_update_s);
	for (i = 0; i < n; i++) {
		serial = X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(entries, i));
		REQUIRE(crl_index_find(&crl->index, serial, &reason));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct crl_indexed indexed = { 0 };
	struct sluice_crl *crl, *whole;
	uint8_t digest[32] = { 0 };
	struct crl_index index;

	if (crl_index_make(&indexed, data, size) == 0) {
		index = (struct crl_index){ data, size, indexed.entries, indexed.n,
					    indexed.serial_len };
		REQUIRE(crl_index_open(&crl, indexed.core, indexed.core_len, &index, digest) == 0);
		if (sluice_crl_parse(&whole, data, size, NULL) == 0) {
			compare(crl, whole);
			sluice_crl_unref(whole);
		}
		sluice_crl_unref(crl);
		crl_indexed_free(&indexed);
	}
	ERR_clear_error();
	return 0;
}
