/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What OpenSSL says of a chain, as `openssl verify -purpose sslserver -auth_level 2` asks it: the level of
 * Debian's TLS; with CRLs also -crl_check_all -extended_crl -use_deltas.
 */
#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "line.h"

static X509 *parse(const struct line_cert *cert)
{
	const uint8_t *p = cert->der;
	X509 *x509 = d2i_X509(NULL, &p, (long)cert->len);

	if (x509 && p != cert->der + cert->len) {
		X509_free(x509);
		return NULL;
	}
	return x509;
}

/* NULL: one cannot be parsed. */
static STACK_OF(X509) * parse_all(const struct line_cert *certs, size_t n)
{
	STACK_OF(X509) *stack = sk_X509_new_null();
	X509 *x509;
	size_t i;

	for (i = 0; i < n; i++) {
		x509 = parse(&certs[i]);
		if (!x509) {
			sk_X509_pop_free(stack, X509_free);
			return NULL;
		}
		sk_X509_push(stack, x509);
	}
	return stack;
}

/* NULL: one cannot be parsed. */
static STACK_OF(X509_CRL) * parse_crls(const struct line *line)
{
	STACK_OF(X509_CRL) *stack = sk_X509_CRL_new_null();
	const uint8_t *p;
	X509_CRL *crl;
	size_t i;

	for (i = 0; i < line->n_crls; i++) {
		p = line->crls[i].der;
		crl = d2i_X509_CRL(NULL, &p, (long)line->crls[i].len);
		if (!crl) {
			sk_X509_CRL_pop_free(stack, X509_CRL_free);
			return NULL;
		}
		sk_X509_CRL_push(stack, crl);
	}
	return stack;
}

static void set_rules(X509_STORE_CTX *ctx, const struct line *line)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	X509_STORE_CTX_set_default(ctx, line->client ? "ssl_client" : "ssl_server");
	X509_VERIFY_PARAM_set_time(param, (time_t)line->now_s);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	if (line->depth >= 0)
		X509_VERIFY_PARAM_set_depth(param, line->depth);
	if (line->revocation)
		X509_VERIFY_PARAM_set_flags(
			param, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL |
				       X509_V_FLAG_EXTENDED_CRL_SUPPORT | X509_V_FLAG_USE_DELTAS);
	if (line->partial)
		X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT |
						       X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (line->name && !X509_VERIFY_PARAM_set1_ip_asc(param, line->name))
		X509_VERIFY_PARAM_set1_host(param, line->name, 0);
}

static const char *judge(const struct line *line)
{
	STACK_OF(X509) *chain = parse_all(line->chain, line->n_chain);
	STACK_OF(X509) *trust = parse_all(line->trust, line->n_trust);
	STACK_OF(X509_CRL) *crls = parse_crls(line);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_STORE *store = X509_STORE_new();
	const char *reason = "cannot be parsed";
	int i;

	if (chain && trust && crls) {
		for (i = 0; i < sk_X509_num(trust); i++)
			X509_STORE_add_cert(store, sk_X509_value(trust, i));
		X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain);
		set_rules(ctx, line);
		X509_STORE_CTX_set0_crls(ctx, crls);
		reason = X509_verify_cert(ctx) == 1
				 ? NULL
				 : X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx));
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_CRL_pop_free(crls, X509_CRL_free);
	sk_X509_pop_free(trust, X509_free);
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return reason;
}

int main(void)
{
	static struct line line;
	char *text = NULL;
	size_t size = 0;

	while (getline(&text, &size, stdin) > 0) {
		line_parse(&line, text);
		line_answer(&line, judge(&line));
	}
	free(text);
	return 0;
}
