/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judges names and name constraints of paths for the suite `run`. Each line of the input is a
 * reference identity ("-": none) and the certificates of a path, leaf first, in base64; each line of
 * the output is an X.509 error, 0 for none, of names_match() or constraints_check(), and its text.
 * Nothing else of a path is judged: that is what the suite wants to know about.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/base64.h>
#include <openssl/mem.h>
#include <openssl/pool.h>
#include <openssl/x509.h>

#include "core/error.h"
#include "verify/constraints.h"
#include "verify/names.h"

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "judge: %s\n", what);
	exit(2);
}

static X509 *parse(const char *base64)
{
	size_t len = strlen(base64), size, der_len;
	CRYPTO_BUFFER *buffer;
	uint8_t *der;
	X509 *x509 = NULL;

	if (!EVP_DecodedLength(&size, len) || !(der = malloc(size)) ||
	    !EVP_DecodeBase64(der, &der_len, size, (const uint8_t *)base64, len))
		die("bad base64");
	buffer = CRYPTO_BUFFER_new(der, der_len, NULL);
	if (buffer)
		x509 = X509_parse_from_buffer(buffer);
	CRYPTO_BUFFER_free(buffer);
	free(der);
	return x509;
}

static struct constraints_verdict judge_name(const X509 *leaf, const char *text)
{
	struct sluice_error err = { 0 };
	struct reference reference;

	if (!strcmp(text, "-"))
		return (struct constraints_verdict){ 0 };
	if (reference_parse(&reference, text, &err) == 0 &&
	    names_match(leaf, &reference, NAMES_HTTPS, NULL, text) == NAMES_MATCH)
		return (struct constraints_verdict){ 0 };
	return (struct constraints_verdict){ X509_V_ERR_HOSTNAME_MISMATCH, "name mismatch", 0 };
}

static void judge(char *line)
{
	STACK_OF(X509) *path = sk_X509_new_null();
	char *save = NULL, *name = strtok_r(line, " \n", &save), *word;
	struct constraints_verdict verdict = { 0 };
	X509 *x509;

	if (!path || !name)
		die("an empty line");
	while ((word = strtok_r(NULL, " \n", &save))) {
		x509 = parse(word);
		if (!x509)
			break;
		if (!sk_X509_push(path, x509))
			die("no memory");
	}
	if (word || !sk_X509_num(path))
		verdict = (struct constraints_verdict){ X509_V_ERR_CERT_REJECTED,
							"cannot be parsed", sk_X509_num(path) };
	if (!verdict.x509_error)
		verdict = constraints_check(path);
	if (!verdict.x509_error)
		verdict = judge_name(sk_X509_value(path, 0), name);
	printf("%d certificate %zu: %s\n", verdict.x509_error, verdict.index,
	       verdict.reason ? verdict.reason : "ok");
	sk_X509_pop_free(path, X509_free);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, stdin) > 0)
		judge(line);
	free(line);
	return 0;
}
