/* SPDX-License-Identifier: Apache-2.0 */
/* Who the peer is, who may connect, and the lists that say so. */
#include "verify/identity.h"

#include <stdio.h>

#include "support/names_world.h"

#include <openssl/sha.h>

#include "core/error.h"
#include "support/certs.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define HASH "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* --- reading lists --------------------------------------------------------------------------- */

static void rules_that_are_taken(void **state)
{
	static const char *const lists[] = {
		"dns:a.test",
		" dns:a.test ,\tdns:*.a.test",
		"email:x@a.test,email:@a.test",
		"uri:https://a.test/x?y",
		"uri:urn:uuid:1",
		"spiffe://a.test",
		"spiffe://a.test/*",
		"spiffe://a.test/ns/x/*",
		"ip:10.1.2.3,ip:10.0.0.0/8,ip:::1,ip:2001:db8::/32,ip:::/0",
		"issuer:Issuing CA 1",
		"cert:" HASH,
		"key:" HASH,
		"issuer-key:" HASH,
		"key:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff",
	};
	struct peer_rules *rules;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++) {
		err_clear(&err);
		if (rules_parse(&rules, "allow_peers", lists[i], strlen(lists[i]), &err) < 0)
			fail_msg("%s: %s", lists[i], err.text);
		rules_free(rules);
	}
}

static void rules_that_are_refused(void **state)
{
	static const char *const lists[] = {
		"",
		",",
		"dns:a.test,",
		"a.test",
		"DNS:a.test",
		"dns:",
		"dns:*",
		"dns:*.",
		"dns:a*.test",
		"dns:a.*.test",
		"dns:.a.test",
		"dns:a.test.",
		"dns:m\xc3\xbcnchen.test",
		"dns:a test",
		"email:x",
		"email:x@",
		"email:@",
		"email:x y@a.test",
		"email:x@y@a.test",
		"uri:",
		"uri:x",
		"uri::x",
		"uri:https://a b",
		"spiffe://",
		"spiffe:///x",
		"spiffe://*",
		"spiffe://A.test",
		"spiffe://a.test/",
		"spiffe://a.test//x",
		"spiffe://a.test/./x",
		"spiffe://a.test/..",
		"spiffe://a.test/x*",
		"spiffe://a.test/*/x",
		"spiffe://a.test/x?y",
		"spiffe://a.test/x#y",
		"spiffe://u@a.test/x",
		"spiffe://a.test:1/x",
		"ip:",
		"ip:10.1.2",
		"ip:10.0.0.0/33",
		"ip:10.0.0.0/",
		"ip:10.0.0.0/-1",
		"ip:10.0.0.0/8x",
		"ip:::/129",
		"ip:fe80::1%eth0",
		"issuer:",
		"cert:",
		"cert:" HASH "00",
		"cert:0" HASH,
		"key:zz" HASH,
		"issuer-key:00",
		"key:::" HASH,
		"spiffe:x",
		"url:https://a.test",
	};
	struct peer_rules *rules;
	struct sluice_error err;
	char list[RULES_MAX * 16 + 64] = "", with_nul[] = "dns:a\0b";
	size_t i;

	for (i = 0; i < ARRAY_LEN(lists); i++) {
		err_clear(&err);
		if (rules_parse(&rules, "deny_peers", lists[i], strlen(lists[i]), &err) !=
			    -SLUICE_E_OPTION ||
		    strncmp(err.text, "deny_peers: ", 12) != 0)
			fail_msg("%s: %s", lists[i], err.text);
	}
	assert_int_equal(rules_parse(&rules, "x", with_nul, sizeof(with_nul) - 1, NULL),
			 -SLUICE_E_OPTION);
	for (i = 0; i < RULES_MAX; i++)
		strcat(list, i ? ",dns:a.test" : "dns:a.test");
	assert_int_equal(rules_parse(&rules, "x", list, strlen(list), NULL), 0);
	rules_free(rules);
	strcat(list, ",dns:a.test");
	assert_int_equal(rules_parse(&rules, "x", list, strlen(list), NULL),
			 -SLUICE_E_OPTION_RANGE);
}

/* --- judging --------------------------------------------------------------------------------- */

struct verdict {
	int code;
	uint8_t alert;
	char identity[IDENTITY_SIZE];
	struct sluice_error err;
};

static struct peer_rules *read_rules(const char *list)
{
	struct peer_rules *rules = NULL;

	if (list)
		assert_int_equal(rules_parse(&rules, "list", list, strlen(list), NULL), 0);
	return rules;
}

static struct verdict judge(enum identity_kind kind, const char *allow, const char *deny,
			    X509 *leaf, X509 *issuer)
{
	struct identity_policy policy = { kind, read_rules(allow), read_rules(deny) };
	STACK_OF(X509) *path = sk_X509_new_null();
	struct verdict verdict = { 0 };

	assert_true(sk_X509_push(path, leaf) && (!issuer || sk_X509_push(path, issuer)));
	verdict.code = -identity_check(&policy, path, &verdict.alert, &verdict.err);
	assert_int_equal(verdict.code, verdict.err.code);
	assert_int_equal(!verdict.code, !verdict.alert);
	/* Nobody has to listen. */
	assert_int_equal(identity_check(&policy, path, &verdict.alert, NULL), -verdict.code);
	identity_find(&policy, leaf, verdict.identity);
	sk_X509_free(path);
	rules_free(policy.allow);
	rules_free(policy.deny);
	return verdict;
}

#define OK 0
#define DENIED SLUICE_ALERT_ACCESS_DENIED
#define BAD SLUICE_ALERT_BAD_CERTIFICATE

static const struct identity_case {
	enum identity_kind kind;
	const char *allow, *deny, *san;
	int alert;
	const char *identity; /* where it is let in */
} cases[] = {
	{ IDENTITY_NONE, NULL, NULL, "dns:a.test", OK, "" },
	{ IDENTITY_NONE, NULL, NULL, NULL, OK, "" },

	/* The kind that is asked for. */
	{ IDENTITY_DNS, NULL, NULL, "uri:x:y;dns:A.test;dns:b.test", OK, "a.test" },
	{ IDENTITY_DNS, NULL, NULL, "uri:x:y", BAD },
	{ IDENTITY_DNS, NULL, NULL, NULL, BAD },
	{ IDENTITY_EMAIL, NULL, NULL, "dns:a.test;email:X@a.test", OK, "X@a.test" },
	{ IDENTITY_EMAIL, NULL, NULL, "dns:a.test", BAD },
	{ IDENTITY_URI, NULL, NULL, "uri:x:y;uri:x:z", OK, "x:y" },
	{ IDENTITY_IP, NULL, NULL, "ip:10.1.2.3", OK, "10.1.2.3" },
	{ IDENTITY_IP, NULL, NULL, "ip:2001:db8::1", OK, "2001:db8::1" },
	{ IDENTITY_IP, NULL, NULL, "dns:10.1.2.3", BAD },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:spiffe://a.test/x", OK, "spiffe://a.test/x" },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:spiffe://a.test/x;dns:b.test", OK,
	  "spiffe://a.test/x" },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:spiffe://a.test/x;uri:spiffe://a.test/y", BAD },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:spiffe://a.test/x;uri:https://a.test/", BAD },
	{ IDENTITY_URI, NULL, NULL, "uri:spiffe://a.test/x;uri:https://a.test/", OK,
	  "https://a.test/" },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:https://a.test/", BAD },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:spiffe://a.test/../x", BAD },
	{ IDENTITY_SPIFFE, NULL, NULL, "uri:SPIFFE://a.test/x", BAD },
	{ IDENTITY_SPIFFE, NULL, NULL, "dns:a.test", BAD },

	/* The allowed. */
	{ IDENTITY_NONE, "dns:a.test", NULL, "dns:a.test", OK, "a.test" },
	{ IDENTITY_NONE, "dns:a.test", NULL, "dns:b.test;dns:a.test", OK, "a.test" },
	{ IDENTITY_NONE, "dns:a.test", NULL, "dns:b.a.test", DENIED },
	{ IDENTITY_NONE, "dns:a.test", NULL, "dns:*.test", DENIED },
	{ IDENTITY_NONE, "dns:a.test", NULL, "uri:x://a.test", DENIED },
	{ IDENTITY_NONE, "dns:a.test", NULL, NULL, DENIED },
	{ IDENTITY_NONE, "dns:*.a.test", NULL, "dns:b.A.test", OK, "b.a.test" },
	{ IDENTITY_NONE, "dns:*.a.test", NULL, "dns:*.a.test", OK, "*.a.test" },
	{ IDENTITY_NONE, "dns:*.a.test", NULL, "dns:a.test", DENIED },
	{ IDENTITY_NONE, "dns:*.a.test", NULL, "dns:c.b.a.test", DENIED },
	{ IDENTITY_NONE, "email:x@a.test", NULL, "email:x@A.test", OK, "x@A.test" },
	{ IDENTITY_NONE, "email:x@a.test", NULL, "email:X@a.test", DENIED },
	{ IDENTITY_NONE, "email:@a.test", NULL, "email:y@a.test", OK, "y@a.test" },
	{ IDENTITY_NONE, "email:@a.test", NULL, "email:y@b.a.test", DENIED },
	{ IDENTITY_NONE, "uri:x://a.test/y", NULL, "uri:x://a.test/y", OK, "x://a.test/y" },
	{ IDENTITY_NONE, "uri:x://a.test/y", NULL, "uri:x://a.test/Y", DENIED },
	{ IDENTITY_NONE, "ip:10.0.0.0/9", NULL, "ip:10.127.2.3", OK, "10.127.2.3" },
	{ IDENTITY_NONE, "ip:10.0.0.0/9", NULL, "ip:10.128.2.3", DENIED },
	{ IDENTITY_NONE, "ip:10.1.2.3", NULL, "ip:10.1.2.4", DENIED },
	{ IDENTITY_NONE, "ip:0.0.0.0/0", NULL, "ip:::1", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/x", NULL, "uri:spiffe://a.test/x", OK,
	  "spiffe://a.test/x" },
	{ IDENTITY_NONE, "spiffe://a.test/x", NULL, "uri:spiffe://a.test/xy", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/x", NULL, "uri:spiffe://a.test/x/y", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/*", NULL, "uri:spiffe://a.test/x/y", OK,
	  "spiffe://a.test/x/y" },
	{ IDENTITY_NONE, "spiffe://a.test/*", NULL, "uri:spiffe://a.test", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/*", NULL, "uri:spiffe://a.test.b/x", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/x/*", NULL, "uri:spiffe://a.test/x/../y", DENIED },
	{ IDENTITY_NONE, "spiffe://a.test/x", NULL, "uri:spiffe://a.test/x;uri:a:b", DENIED },
	{ IDENTITY_NONE, "uri:spiffe://a.test/x", NULL, "uri:spiffe://a.test/x;uri:a:b", DENIED },
	/* Names of another kind than is asked for allow nothing. */
	{ IDENTITY_DNS, "dns:a.test,uri:x:y", NULL, "dns:b.test;uri:x:y", DENIED },
	{ IDENTITY_DNS, "dns:a.test,dns:b.test", NULL, "dns:c.test;dns:b.test", OK, "b.test" },

	/* The denied: whatever the kind, and before the allowed. */
	{ IDENTITY_NONE, NULL, "dns:a.test", "dns:b.test", OK, "" },
	{ IDENTITY_NONE, NULL, "dns:a.test", NULL, OK, "" },
	{ IDENTITY_NONE, NULL, "dns:a.test", "dns:b.test;dns:A.test", DENIED },
	{ IDENTITY_NONE, NULL, "dns:b.a.test", "dns:*.a.test", DENIED },
	{ IDENTITY_NONE, NULL, "dns:*.a.test", "dns:b.a.test", DENIED },
	{ IDENTITY_NONE, NULL, "dns:*.a.test", "dns:a.test", OK, "" },
	{ IDENTITY_NONE, NULL, "email:x@a.test", "email:X@a.test", DENIED },
	{ IDENTITY_NONE, NULL, "spiffe://a.test/*", "uri:spiffe://a.test/x;uri:x:y", DENIED },
	{ IDENTITY_NONE, NULL, "ip:10.0.0.0/8", "dns:a.test;ip:10.1.2.3", DENIED },
	{ IDENTITY_NONE, "dns:a.test", "dns:a.test", "dns:a.test", DENIED },
	{ IDENTITY_NONE, "dns:*.a.test", "dns:b.a.test", "dns:c.a.test", OK, "c.a.test" },
	{ IDENTITY_NONE, "dns:*.a.test", "dns:b.a.test", "dns:b.a.test", DENIED },
	{ IDENTITY_DNS, "dns:a.test", "uri:x:y", "dns:a.test;uri:x:y", DENIED },

	/* What cannot be read is not let in. */
	{ IDENTITY_NONE, NULL, "dns:a.test", "dns:a.test.", BAD },
	{ IDENTITY_NONE, NULL, "dns:a.test", "dns:b..test", BAD },
	{ IDENTITY_NONE, NULL, "email:x@a.test", "email:x@y@a.test", BAD },
	{ IDENTITY_NONE, NULL, "uri:x:y", "uri:x: y", BAD },
	{ IDENTITY_NONE, "dns:a.test", NULL, "dns:a.test;dns:", BAD },
	{ IDENTITY_NONE, NULL, "dns:a.test", "dir:CN=a.test;other:1.2.3;rid:", OK, "" },
};

static void AL_24_every_kind_of_rule(void **state)
{
	const struct identity_case *c;
	struct verdict verdict;
	X509 *leaf;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		c = &cases[i];
		leaf = named_cert((struct names_spec){ .subject = "CN=a.test", .san = c->san });
		verdict = judge(c->kind, c->allow, c->deny, leaf, NULL);
		if (verdict.alert != c->alert)
			fail_msg("allow %s, deny %s, %s: %s", c->allow, c->deny, c->san,
				 verdict.err.text);
		if (!c->alert)
			assert_string_equal(verdict.identity, c->identity);
		else
			assert_int_equal(verdict.code, SLUICE_E_PEER_REFUSED);
		X509_free(leaf);
	}
}

static void names_that_are_too_long_are_nobodys(void **state)
{
	char san[600] = "uri:x:";
	struct verdict verdict;
	X509 *leaf;

	memset(san + 6, 'y', 253);
	leaf = named_cert((struct names_spec){ .san = san });
	verdict = judge(IDENTITY_URI, NULL, NULL, leaf, NULL);
	assert_int_equal(verdict.code, 0);
	assert_int_equal(strlen(verdict.identity), 255);
	X509_free(leaf);
	san[259] = 'y';
	leaf = named_cert((struct names_spec){ .san = san });
	verdict = judge(IDENTITY_URI, NULL, NULL, leaf, NULL);
	assert_int_equal(verdict.alert, BAD);
	assert_string_equal(verdict.identity, "");
	X509_free(leaf);

	/* A name with a NUL byte, and names that are cut. */
	leaf = named_cert((struct names_spec){ .raw_san = "30098207612e7465737400" });
	assert_int_equal(judge(IDENTITY_NONE, NULL, "dns:b.test", leaf, NULL).alert, BAD);
	X509_free(leaf);
	leaf = named_cert((struct names_spec){ .raw_san = "300a8206612e746573748900" });
	assert_int_equal(judge(IDENTITY_NONE, "dns:a.test", NULL, leaf, NULL).alert, BAD);
	X509_free(leaf);
}

/* --- certificates and keys ------------------------------------------------------------------- */

static const char *rule(const char *prefix, const uint8_t digest[SHA256_DIGEST_LENGTH])
{
	static char text[100];
	int len = snprintf(text, sizeof(text), "%s:", prefix), i;

	for (i = 0; i < SHA256_DIGEST_LENGTH; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%02x", digest[i]);
	return text;
}

static const char *cert_rule(const X509 *x509)
{
	uint8_t *der = NULL, digest[SHA256_DIGEST_LENGTH];
	int len = i2d_X509((X509 *)x509, &der);

	assert_true(len > 0);
	SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	return rule("cert", digest);
}

static const char *key_rule(const char *prefix, const EVP_PKEY *key)
{
	uint8_t *der = NULL, digest[SHA256_DIGEST_LENGTH];
	int len = i2d_PUBKEY(key, &der);

	assert_true(len > 0);
	SHA256(der, (size_t)len, digest);
	OPENSSL_free(der);
	return rule(prefix, digest);
}

static void AL_24_pins_and_issuers(void **state)
{
	EVP_PKEY *ca_key = certs_key(CERT_KEY_P256), *key = certs_key(CERT_KEY_P256);
	X509 *ca = certs_make(&(struct cert_spec){ .cn = "Issuing CA", .ca = true, .key = ca_key });
	X509 *leaf = certs_make(&(struct cert_spec){
		.cn = "x", .san = "DNS:a.test", .key = key, .issuer = ca, .issuer_key = ca_key });
	struct verdict verdict;

	/* Allowed, and denied, by each; the other one's is not theirs. */
	assert_int_equal(judge(0, cert_rule(leaf), NULL, leaf, ca).alert, OK);
	assert_int_equal(judge(0, NULL, cert_rule(leaf), leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, cert_rule(ca), NULL, leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, NULL, cert_rule(ca), leaf, ca).alert, OK);
	assert_int_equal(judge(0, key_rule("key", key), NULL, leaf, ca).alert, OK);
	assert_int_equal(judge(0, NULL, key_rule("key", key), leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, key_rule("key", ca_key), NULL, leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, key_rule("issuer-key", ca_key), NULL, leaf, ca).alert, OK);
	assert_int_equal(judge(0, NULL, key_rule("issuer-key", ca_key), leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, key_rule("issuer-key", key), NULL, leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, "issuer:Issuing CA", NULL, leaf, ca).alert, OK);
	assert_int_equal(judge(0, NULL, "issuer:Issuing CA", leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, "issuer:issuing CA", NULL, leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, "issuer:Issuing CA 2", NULL, leaf, ca).alert, DENIED);
	/* Let in by its issuer, known by its name. */
	verdict = judge(IDENTITY_DNS, "issuer:Issuing CA", NULL, leaf, ca);
	assert_int_equal(verdict.alert, OK);
	assert_string_equal(verdict.identity, "a.test");
	X509_free(leaf);

	/* An issuer of two names is denied by each, and allowed by neither. */
	leaf = named_cert((struct names_spec){ .issuer = "CN=A/CN=B" });
	assert_int_equal(judge(0, "issuer:A,issuer:B", NULL, leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, NULL, "issuer:A", leaf, ca).alert, DENIED);
	assert_int_equal(judge(0, NULL, "issuer:B", leaf, ca).alert, DENIED);
	X509_free(leaf);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_that_are_taken),
		cmocka_unit_test(rules_that_are_refused),
		cmocka_unit_test(AL_24_every_kind_of_rule),
		cmocka_unit_test(names_that_are_too_long_are_nobodys),
		cmocka_unit_test(AL_24_pins_and_issuers),
	};

	return cmocka_run_group_tests_name("unit/identity", tests, NULL, NULL);
}
