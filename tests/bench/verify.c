/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What our search and checks add to a path validation: verdicts per second of processor time on one
 * core, against nothing but X509_verify_cert() on the same parsed certificates and the same store. In
 * turns, the best of the rounds of each. Prints, and judges only that both accept.
 *
 *   verify [ROUNDS] [MILLISECONDS]
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/err.h>

#include "support/certs.h"
#include "verify/verify.h"

#define MAX_LEN 3

/* struct chain - certificates from the peer's to the root's, and what trusts the root. */
struct chain {
	const char *name;
	size_t n;
	X509 *certs[MAX_LEN];
	STACK_OF(X509) * sent; /* all but the root; borrowed */
	X509_STORE *trust;
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "verify: %s\n", what);
	exit(1);
}

static void make_chain(struct chain *chain, const char *name, enum cert_key kind, size_t n)
{
	EVP_PKEY *keys[MAX_LEN];
	size_t i;

	*chain = (struct chain){ .name = name, .n = n };
	for (i = n; i-- > 0;) {
		struct cert_spec spec = { .cn = i ? (i == n - 1 ? "Root" : "CA") : "server" };

		spec.ca = i > 0;
		spec.san = i ? NULL : "DNS:localhost";
		spec.eku = i ? NULL : "serverAuth";
		spec.key = keys[i] = certs_key(kind);
		if (i < n - 1) {
			spec.issuer = chain->certs[i + 1];
			spec.issuer_key = keys[i + 1];
		}
		chain->certs[i] = certs_make(&spec);
	}
	chain->sent = sk_X509_new_null();
	chain->trust = X509_STORE_new();
	need(chain->sent && chain->trust, "no memory");
	for (i = 0; i < n; i++) {
		EVP_PKEY_free(keys[i]);
		need(i == n - 1 ? X509_STORE_add_cert(chain->trust, chain->certs[i])
				: sk_X509_push(chain->sent, chain->certs[i]) > 0,
		     "no memory");
	}
}

static void free_chain(struct chain *chain)
{
	size_t i;

	for (i = 0; i < chain->n; i++)
		X509_free(chain->certs[i]);
	sk_X509_free(chain->sent);
	X509_STORE_free(chain->trust);
}

static bool by_bssl(const struct chain *chain)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = ctx && X509_STORE_CTX_init(ctx, chain->trust, chain->certs[0], chain->sent) &&
		  X509_STORE_CTX_set_default(ctx, "ssl_server") &&
		  X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), "localhost", 9) &&
		  X509_verify_cert(ctx) == 1;

	X509_STORE_CTX_free(ctx);
	return ok;
}

static bool by_us(const struct chain *chain)
{
	struct verify_request request = {
		.certs = chain->sent,
		.trust = chain->trust,
		.peer = SLUICE_SERVER,
		.name = "localhost",
		.rule = NAMES_HTTPS,
		.now_s = time(NULL),
		.depth = 10,
	};
	struct verify_verdict verdict;
	bool ok;

	verify_run(&verdict, &request);
	ok = !verdict.x509_error;
	verify_verdict_clear(&verdict);
	return ok;
}

static double cpu_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Verdicts per second of processor time. */
static double rate(bool (*verify)(const struct chain *), const struct chain *chain, double for_s)
{
	double start_s = cpu_s(), now_s = start_s;
	unsigned long n = 0;
	int i;

	while (now_s - start_s < for_s) {
		for (i = 0; i < 16; i++, n++)
			need(verify(chain), "a good chain is refused");
		now_s = cpu_s();
	}
	return (double)n / (now_s - start_s);
}

static void compare(const struct chain *chain, int rounds, double for_s)
{
	double ours = 0, bare = 0, r;

	while (rounds--) {
		r = rate(by_bssl, chain, for_s);
		bare = r > bare ? r : bare;
		r = rate(by_us, chain, for_s);
		ours = r > ours ? r : ours;
	}
	printf("%-8s chain of %zu: %7.0f/s, X509_verify_cert() alone %7.0f/s, ratio %.2f\n",
	       chain->name, chain->n, ours, bare, ours / bare);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum cert_key kind;
	} kinds[] = { { "P-256", CERT_KEY_P256 }, { "RSA-2048", CERT_KEY_RSA2048 } };
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	double for_s = (argc > 2 ? atoi(argv[2]) : 400) / 1e3;
	struct chain chain;
	size_t i, n;

	need(rounds > 0 && for_s > 0, "usage: verify [ROUNDS] [MILLISECONDS]");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		for (n = 2; n <= MAX_LEN; n++) {
			make_chain(&chain, kinds[i].name, kinds[i].kind, n);
			compare(&chain, rounds, for_s);
			free_chain(&chain);
		}
	}
	return 0;
}
