/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for lib/ocsp: a response held against a certificate, and a text that may have one. The first byte
 * chooses whether the rest is a mutation of a good response. Nothing may be good but what that one has signed: the
 * certificates that it brings along are not.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pool.h>

#include "ocsp/ocsp.h"
#include "ocsp/staple.h"
#include "support/certs.h"
#include "support/ocsps.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *ca, *server;
static uint8_t *good;
static size_t good_len;

static void setup(void)
{
	struct cert_spec spec = { .cn = "CA", .ca = true, .key = certs_key(CERT_KEY_P256) };
	struct ocsp_entry entry = { 0 };

	ca = certs_make(&spec);
	server = certs_make(&(struct cert_spec){
		.cn = "server", .key = spec.key, .issuer = ca, .issuer_key = spec.key });
	entry.cert = server;
	entry.issuer = ca;
	good = ocsps_make(&(struct ocsp_spec){ .entries = &entry,
					       .n = 1,
					       .responder = ca,
					       .key = spec.key,
					       .certs = { ca } },
			  &good_len);
	EVP_PKEY_free(spec.key);
}

static void check(const uint8_t *der, size_t len)
{
	struct ocsp_response response, own;
	struct ocsp_verdict verdict;
	struct ocsp_single single;
	CBS singles;
	bool whole = ocsp_parse(&response, der, len);

	if (whole && !response.status) {
		singles = response.singles;
		while (ocsp_single_get(&singles, &single))
			REQUIRE(single.next_update_s < 0 ||
				single.next_update_s >= single.this_update_s);
		REQUIRE(!CBS_len(&singles));
	}
	ocsp_check(&verdict, der, len, server, ca, time(NULL));
	REQUIRE(whole == (verdict.result != OCSP_MALFORMED));
	REQUIRE(!verdict.reason == (verdict.result == OCSP_GOOD));
	REQUIRE(verdict.result != OCSP_GOOD ||
		(ocsp_parse(&own, good, good_len) &&
		 CBS_mem_equal(&response.tbs, CBS_data(&own.tbs), CBS_len(&own.tbs))));
	ocsp_check_unsigned(&verdict, der, len, server, time(NULL));
	REQUIRE(!verdict.is_signed && !verdict.reason == (verdict.result == OCSP_GOOD));
}

/* The good one, with bytes of @data at places of @data. */
static void check_mutant(const uint8_t *data, size_t size)
{
	uint8_t *der = malloc(good_len);
	size_t i;

	REQUIRE(der);
	memcpy(der, good, good_len);
	for (i = 0; i + 2 < size; i += 3)
		der[((size_t)data[i] << 8 | data[i + 1]) % good_len] = data[i + 2];
	check(der, good_len);
	free(der);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sluice_error err = { 0 };
	CRYPTO_BUFFER *der;
	int r;

	if (!good)
		setup();
	if (!size)
		return 0;
	if (*data & 1) {
		check_mutant(data + 1, size - 1);
	} else {
		check(data + 1, size - 1);
		r = ocsp_read(&der, data + 1, size - 1, "what", &err);
		REQUIRE(!r || (r == -SLUICE_E_OCSP && err.code == -r));
		if (!r) {
			check(CRYPTO_BUFFER_data(der), CRYPTO_BUFFER_len(der));
			CRYPTO_BUFFER_free(der);
		}
	}
	REQUIRE(ERR_peek_error() == 0);
	return 0;
}
