/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for verify/path.c. A world of CAs that sign each other in every way is made once; the
 * input says which of their certificates the peer sends, in what order and with which bytes changed,
 * which are trusted, and by what rules. A path that is accepted must be one: signed link by link up
 * to what is trusted. What the peer sends in another order has the same verdict, unless a limit was
 * reached.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "support/certs.h"
#include "verify/path.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

#define N_CAS 5
#define N_CERTS (1 + N_CAS * N_CAS + 3)
#define MAX_SENT 24

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *world[N_CERTS]; /* the first is the server's */

static void make_world(void)
{
	static const char *const names[N_CAS] = { "A", "B", "C", "D", "A" };
	EVP_PKEY *keys[N_CAS];
	struct cert_spec spec;
	size_t i, j, n = 1;

	for (i = 0; i < N_CAS; i++) {
		keys[i] = certs_key(CERT_KEY_P256);
		world[n++] = certs_make(
			&(struct cert_spec){ .cn = names[i], .ca = true, .key = keys[i] });
	}
	for (i = 0; i < N_CAS; i++) {
		for (j = 0; j < N_CAS; j++) {
			if (i == j)
				continue;
			spec = (struct cert_spec){ .cn = names[i],
						   .ca = true,
						   .path_len = (int)((i + j) % 3),
						   .key = keys[i],
						   .issuer = world[1 + j],
						   .issuer_key = keys[j] };
			if ((i + 2 * j) % 4 == 3)
				spec.name_constraints = "permitted;DNS:other.test";
			world[n++] = certs_make(&spec);
		}
	}
	spec = (struct cert_spec){ .cn = "A",
				   .ca = true,
				   .key = keys[0],
				   .issuer = world[2],
				   .issuer_key = keys[1],
				   .from_s = -20,
				   .to_s = -10 };
	world[n++] = certs_make(&spec);
	spec = (struct cert_spec){
		.cn = "B", .key = keys[1], .issuer = world[3], .issuer_key = keys[2]
	};
	world[n++] = certs_make(&spec);
	spec = (struct cert_spec){ .cn = "C",
				   .ca = true,
				   .eku = "clientAuth",
				   .key = keys[2],
				   .issuer = world[4],
				   .issuer_key = keys[3] };
	world[n++] = certs_make(&spec);
	REQUIRE(n == N_CERTS);
	world[0] = certs_make(&(struct cert_spec){ .cn = "x",
						   .san = "DNS:localhost",
						   .key = keys[4],
						   .issuer = world[1],
						   .issuer_key = keys[0] });
	for (i = 0; i < N_CAS; i++)
		EVP_PKEY_free(keys[i]);
}

/* A certificate with one byte changed; or NULL: it cannot be parsed. */
static X509 *damaged(X509 *x509, size_t at, uint8_t by)
{
	uint8_t *der = NULL;
	int len = i2d_X509(x509, &der);
	const uint8_t *in = der;
	X509 *made;

	REQUIRE(len > 0);
	der[at % (size_t)len] ^= by;
	made = d2i_X509(NULL, &in, len);
	OPENSSL_free(der);
	ERR_clear_error();
	return made;
}

static void add_sent(STACK_OF(X509) * certs, const uint8_t *data, size_t size)
{
	X509 *x509;

	for (; size >= 2 && sk_X509_num(certs) < MAX_SENT; data += 2, size -= 2) {
		x509 = world[data[0] % N_CERTS];
		if (data[0] >= 224 && size >= 4) {
			x509 = damaged(x509, (size_t)data[1] << 2 | (data[2] & 3), data[3]);
			data += 2;
			size -= 2;
			if (!x509)
				continue;
		} else {
			X509_up_ref(x509);
		}
		REQUIRE(sk_X509_push(certs, x509));
	}
}

static bool is_trusted(X509_STORE *trust, const X509 *x509)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(trust);
	size_t i;

	for (i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		if (!X509_cmp(X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i)), x509))
			return true;
	}
	return false;
}

static void check_path(const struct verify_request *request, const STACK_OF(X509) * path)
{
	size_t i, n = sk_X509_num(path);
	EVP_PKEY *key;

	REQUIRE(n >= 1 && n <= (size_t)request->depth + 2 + PATH_MAX_SELF_ISSUED);
	REQUIRE(!X509_cmp(sk_X509_value(path, 0), sk_X509_value(request->certs, 0)));
	REQUIRE(is_trusted(request->trust, sk_X509_value(path, n - 1)));
	for (i = 0; i + 1 < n; i++) {
		key = X509_get_pubkey(sk_X509_value(path, i + 1));
		REQUIRE(key && X509_verify(sk_X509_value(path, i), key) == 1);
		EVP_PKEY_free(key);
	}
}

static bool accepts(const struct verify_request *request, bool *ret_limited)
{
	struct verify_verdict verdict;
	bool accepted;

	verify_run(&verdict, request);
	accepted = !verdict.x509_error;
	REQUIRE(verdict.index < sk_X509_num(verdict.path) && accepted == !verdict.reason);
	REQUIRE(accepted == (verdict.code == SLUICE_OK));
	REQUIRE(verdict.n_paths <= PATH_MAX_SIGNATURES);
	*ret_limited = !accepted && strstr(verdict.reason, "too many") != NULL;
	if (accepted)
		check_path(request, verdict.path);
	verify_verdict_clear(&verdict);
	return accepted;
}

static void reverse(STACK_OF(X509) * certs)
{
	size_t i, j;
	X509 *x509;

	for (i = 1, j = sk_X509_num(certs) - 1; i < j; i++, j--) {
		x509 = sk_X509_value(certs, i);
		sk_X509_set(certs, i, sk_X509_value(certs, j));
		sk_X509_set(certs, j, x509);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct verify_request request = { .peer = SLUICE_SERVER, .rule = NAMES_HTTPS };
	bool first, limited, limited_too;
	size_t i;

	if (!world[0])
		make_world();
	if (size < 6)
		return 0;
	request.certs = sk_X509_new_null();
	request.trust = X509_STORE_new();
	REQUIRE(request.certs && request.trust);
	for (i = 0; i < 24; i++) {
		if (data[i / 8] & 1 << i % 8)
			REQUIRE(X509_STORE_add_cert(request.trust, world[1 + i]));
	}
	request.depth = data[3] % 8;
	request.partial_chain = data[4] & 1;
	request.name = data[4] & 2 ? "localhost" : NULL;
	request.now_s = time(NULL);
	if (data[4] & 4) {
		X509_up_ref(world[0]);
		REQUIRE(sk_X509_push(request.certs, world[0]));
	}
	add_sent(request.certs, data + 5, size - 5);
	if (sk_X509_num(request.certs)) {
		first = accepts(&request, &limited);
		reverse(request.certs);
		REQUIRE(accepts(&request, &limited_too) == first || limited || limited_too);
	}
	sk_X509_pop_free(request.certs, X509_free);
	X509_STORE_free(request.trust);
	REQUIRE(ERR_peek_error() == 0);
	return 0;
}
