/* SPDX-License-Identifier: Apache-2.0 */
/* A verdict for people, and the certificates of its path. Called by judge.c and verify.c. */
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "checks.h"
#include "options/pem.h"
#include "show.h"

#define DIGEST_SHOWN 8 /* bytes of a SHA-256, enough to tell certificates from each other */

/* --- the path ------------------------------------------------------------------------------- */

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_digest(struct json_object *object, const X509 *x509)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[2 * SHA256_DIGEST_LENGTH + 1];
	unsigned int i, len = 0;

	if (!X509_digest(x509, EVP_sha256(), digest, &len))
		return;
	for (i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", digest[i]);
	add_text(object, "sha256", text);
}

static struct json_object *describe(X509 *x509, bool trusted)
{
	struct json_object *object = json_object_new_object();
	char name[SHOW_NAME_LEN], text[SHOW_TIME_LEN];
	int64_t until_s;

	show_name(X509_get_subject_name(x509), name);
	add_text(object, "subject", name);
	show_name(X509_get_issuer_name(x509), name);
	add_text(object, "issuer", name);
	if (pem_time(X509_get0_notAfter(x509), &until_s)) {
		show_time(until_s, text);
		add_text(object, "not_after", text);
	}
	show_key(x509, text);
	add_text(object, "key", text);
	add_digest(object, x509);
	json_object_object_add(object, "trusted", json_object_new_boolean(trusted));
	return object;
}

struct json_object *verify_describe_path(const struct verify_verdict *verdict)
{
	struct json_object *array = json_object_new_array();
	size_t i, n = sk_X509_num(verdict->path);

	for (i = 0; i < n; i++)
		json_object_array_add(array, describe(sk_X509_value(verdict->path, i),
						      verdict->anchored && i == n - 1));
	return array;
}

/* --- lines ---------------------------------------------------------------------------------- */

static const char *text_of(struct json_object *object, const char *key)
{
	struct json_object *member;

	return json_object_object_get_ex(object, key, &member) ? json_object_get_string(member)
							       : "";
}

static void print_path(struct json_object *certificates)
{
	struct json_object *cert;
	size_t i;

	for (i = 0; i < json_object_array_length(certificates); i++) {
		cert = json_object_array_get_idx(certificates, i);
		printf("%zu: %s\n   ", i, text_of(cert, "subject"));
		if (json_object_get_boolean(json_object_object_get(cert, "trusted")))
			printf("trusted");
		else
			printf("issued by %s", text_of(cert, "issuer"));
		printf(", until %s, %s, SHA-256 %.*s\n", text_of(cert, "not_after"),
		       text_of(cert, "key"), 2 * DIGEST_SHOWN, text_of(cert, "sha256"));
	}
}

/* Words of JSON as people write them. */
static void print_words(const char *words, int width)
{
	int n = 0;

	for (; words[n]; n++)
		putchar(words[n] == '_' ? ' ' : words[n]);
	printf("%*s", width > n ? width - n : 0, "");
}

static void print_checks(struct json_object *rows)
{
	struct json_object *row;
	size_t i;

	for (i = 0; i < json_object_array_length(rows); i++) {
		row = json_object_array_get_idx(rows, i);
		print_words(text_of(row, "result"), 14);
		if (json_object_object_get_ex(row, "detail", NULL)) {
			print_words(text_of(row, "check"), 21);
			puts(text_of(row, "detail"));
		} else {
			print_words(text_of(row, "check"), 0);
			putchar('\n');
		}
	}
}

void verify_print(struct json_object *verdict)
{
	print_path(json_object_object_get(verdict, "certificates"));
	print_checks(json_object_object_get(verdict, "checks"));
	printf("%s", text_of(verdict, "result"));
	if (json_object_object_get_ex(verdict, "reason", NULL))
		printf(": %s (certificate %s, X.509 error %s, alert %s)",
		       text_of(verdict, "reason"), text_of(verdict, "index"),
		       text_of(verdict, "x509_error"), text_of(verdict, "alert"));
	putchar('\n');
}
