/* SPDX-License-Identifier: Apache-2.0 */
/* Name constraints (RFC 5280, 4.2.1.10) over paths of certificates that have nothing but names. */
#include "verify/constraints.h"

#include "support/names_world.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define OK 0
#define PERMITTED X509_V_ERR_PERMITTED_VIOLATION
#define EXCLUDED X509_V_ERR_EXCLUDED_VIOLATION
#define MINMAX X509_V_ERR_SUBTREE_MINMAX
#define TYPE X509_V_ERR_UNSUPPORTED_CONSTRAINT_TYPE
#define SYNTAX X509_V_ERR_UNSUPPORTED_CONSTRAINT_SYNTAX
#define NAME X509_V_ERR_UNSUPPORTED_NAME_SYNTAX

/* Judges a path of @n certificates, leaf first, and frees them. */
static struct constraints_verdict judge(const struct names_spec *specs, size_t n)
{
	STACK_OF(X509) *path = sk_X509_new_null();
	struct constraints_verdict verdict;
	size_t i;

	for (i = 0; i < n; i++)
		assert_true(sk_X509_push(path, named_cert(specs[i])));
	verdict = constraints_check(path);
	assert_int_equal(!verdict.x509_error, !verdict.reason);
	sk_X509_pop_free(path, X509_free);
	return verdict;
}

/* --- one name, one issuer --------------------------------------------------------------------- */

static const struct kind_case {
	const char *subtree, *san;
	int permitted, excluded; /* the verdict where the subtree is permitted, or excluded */
} kind_cases[] = {
	/* DNS: the name, and with any labels in front. */
	{ "dns:a.test", "dns:a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:A.TEST", OK, EXCLUDED },
	{ "dns:a.test", "dns:b.a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:c.b.a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:ba.test", PERMITTED, OK },
	{ "dns:a.test", "dns:test", PERMITTED, OK },
	{ "dns:a.test", "dns:b.test", PERMITTED, OK },
	{ "dns:a.test", "dns:a.test.b", PERMITTED, OK },
	{ "dns:", "dns:a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:b.test;dns:a.test", PERMITTED, EXCLUDED },
	{ "dns:a.test", "dns:a.test;dns:b.test", PERMITTED, EXCLUDED },
	{ "dns:a.test;dns:b.test", "dns:a.test;dns:b.test", OK, EXCLUDED },
	{ "dns:a.test", "ip:1.2.3.4", OK, OK },
	{ "dns:a.test", "email:x@b.test", OK, OK },
	{ "dns:a.test", "uri:https://b.test/", OK, OK },
	{ "dns:a.test", NULL, OK, OK },

	/* Wildcards: all that they stand for must be permitted, and none be excluded. */
	{ "dns:a.test", "dns:*.a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:*.b.a.test", OK, EXCLUDED },
	{ "dns:a.test", "dns:*.test", PERMITTED, EXCLUDED },
	{ "dns:a.test", "dns:*.TEST", PERMITTED, EXCLUDED },
	{ "dns:b.a.test", "dns:*.test", PERMITTED, OK }, /* stands for one label, not two */
	{ "dns:b.a.test", "dns:*.a.test", PERMITTED, EXCLUDED },
	{ "dns:b.a.test", "dns:*.c.test", PERMITTED, OK },
	{ "dns:test", "dns:*.test", OK, EXCLUDED },
	{ "dns:", "dns:*.test", OK, EXCLUDED },

	/* Names that nobody can compare. */
	{ "dns:a.test", "dns:", NAME, NAME },
	{ "dns:a.test", "dns:a.test.", NAME, NAME },
	{ "dns:a.test", "dns:.a.test", NAME, NAME },
	{ "dns:a.test", "dns:b..a.test", NAME, NAME },
	{ "dns:a.test", "dns:*", NAME, NAME },
	{ "dns:a.test", "dns:b*.a.test", NAME, NAME },
	{ "dns:a.test", "dns:b.*.a.test", NAME, NAME },
	{ "dns:a.test", "dns:b a.test", NAME, NAME },
	{ "dns:a.test", "dns:\xc3\xa4.a.test", NAME, NAME },
	{ "ip:10.0.0.0/8", "dns:b..a.test", OK, OK }, /* DNS names are not constrained */

	/* Subtrees that are none. */
	{ "dns:.a.test", "dns:b.a.test", SYNTAX, SYNTAX },
	{ "dns:*.a.test", "dns:b.a.test", SYNTAX, SYNTAX },
	{ "dns:a.test.", "dns:a.test", SYNTAX, SYNTAX },
	{ "dns:a..test", "ip:1.2.3.4", SYNTAX, SYNTAX },

	/* Addresses. */
	{ "ip:10.0.0.0/8", "ip:10.1.2.3", OK, EXCLUDED },
	{ "ip:10.0.0.0/8", "ip:11.1.2.3", PERMITTED, OK },
	{ "ip:10.9.9.9/8", "ip:10.1.2.3", OK, EXCLUDED },
	{ "ip:10.1.2.3/32", "ip:10.1.2.3", OK, EXCLUDED },
	{ "ip:10.1.2.3/32", "ip:10.1.2.2", PERMITTED, OK },
	{ "ip:10.1.2.2/31", "ip:10.1.2.3", OK, EXCLUDED },
	{ "ip:0.0.0.0/0", "ip:10.1.2.3", OK, EXCLUDED },
	{ "ip:0.0.0.0/0", "ip:::1", PERMITTED, OK },
	{ "ip:::/0", "ip:10.1.2.3", PERMITTED, OK },
	{ "ip:::/0;ip:0.0.0.0/0", "ip:10.1.2.3;ip:::1", OK, EXCLUDED },
	{ "ip:2001:db8::/32", "ip:2001:db8:1::1", OK, EXCLUDED },
	{ "ip:2001:db8::/32", "ip:2001:db9::1", PERMITTED, OK },
	{ "ip:2001:db8::/33", "ip:2001:db8:8000::1", PERMITTED, OK },
	{ "ip:::1/128", "ip:::1", OK, EXCLUDED },
	{ "ip:::ffff:10.0.0.0/104", "ip:10.1.2.3", PERMITTED, OK },
	{ "ip:10.0.0.0/8", "dns:10.1.2.3", OK, OK },
	{ "ip:10.0.0.0/8", "ip:10.0.0.0/8", NAME, NAME }, /* nobody's address has a mask */

	/* Mailboxes, hosts and domains. */
	{ "email:x@a.test", "email:x@a.test", OK, EXCLUDED },
	{ "email:x@a.test", "email:x@A.Test", OK, EXCLUDED },
	{ "email:x@a.test", "email:X@a.test", PERMITTED, EXCLUDED },
	{ "email:x@a.test", "email:y@a.test", PERMITTED, OK },
	{ "email:x@a.test", "email:x@b.a.test", PERMITTED, OK },
	{ "email:*@a.test", "email:y@a.test", PERMITTED, OK },
	{ "email:*@a.test", "email:*@a.test", OK, EXCLUDED },
	{ "email:a.test", "email:x@a.test", OK, EXCLUDED },
	{ "email:a.test", "email:x@A.TEST", OK, EXCLUDED },
	{ "email:a.test", "email:x@b.a.test", PERMITTED, OK },
	{ "email:a.test", "email:x@ba.test", PERMITTED, OK },
	{ "email:.a.test", "email:x@b.a.test", OK, EXCLUDED },
	{ "email:.a.test", "email:x@c.b.a.test", OK, EXCLUDED },
	{ "email:.a.test", "email:x@a.test", PERMITTED, OK },
	{ "email:.a.test", "email:x@ba.test", PERMITTED, OK },
	{ "email:", "email:x@a.test", OK, EXCLUDED },
	{ "email:a.test", "email:a.test", NAME, NAME },
	{ "email:a.test", "email:@a.test", NAME, NAME },
	{ "email:a.test", "email:x@", NAME, NAME },
	{ "email:a.test", "email:x@y@a.test", NAME, NAME },
	{ "email:a.test", "email:\"x@y\"@a.test", NAME, NAME },
	{ "email:a.test", "email:x y@a.test", NAME, NAME },
	{ "email:a.test", "email:x@[10.1.2.3]", NAME, NAME },
	{ "email:a.test", "email:\xc3\xa4@a.test", NAME, NAME },
	{ "email:x@", "email:x@a.test", SYNTAX, SYNTAX },
	{ "email:@a.test", "email:x@a.test", SYNTAX, SYNTAX },
	{ "email:.", "email:x@a.test", SYNTAX, SYNTAX },
	{ "email:..a.test", "email:x@a.test", SYNTAX, SYNTAX },
	{ "email:a.test", "other:1.3.6.1.5.5.7.8.9", TYPE, TYPE },
	{ "email:a.test", "other:1.2.3", OK, OK },

	/* Hosts of URIs; a host is not its subdomains. */
	{ "uri:a.test", "uri:https://a.test/", OK, EXCLUDED },
	{ "uri:a.test", "uri:https://A.TEST:443/x?y#z", OK, EXCLUDED },
	{ "uri:a.test", "uri:https://b.test@a.test", OK, EXCLUDED },
	{ "uri:a.test", "uri:https://a.test@b.test", PERMITTED, OK },
	{ "uri:a.test", "uri:https://b.test/@a.test", PERMITTED, OK },
	{ "uri:a.test", "uri:https://b.test#@a.test", PERMITTED, OK },
	{ "uri:a.test", "uri:https://b.test?@a.test", PERMITTED, OK },
	{ "uri:a.test", "uri:spiffe://a.test/ns/x", OK, EXCLUDED },
	{ "uri:a.test", "uri:https://b.a.test/", PERMITTED, OK },
	{ "uri:.a.test", "uri:https://b.a.test/", OK, EXCLUDED },
	{ "uri:.a.test", "uri:https://a.test/", PERMITTED, OK },
	{ "uri:", "uri:https://a.test/", OK, EXCLUDED },
	{ "uri:a.test", "uri:urn:uuid:1", NAME, NAME },
	{ "uri:a.test", "uri:https:a.test", NAME, NAME },
	{ "uri:a.test", "uri://a.test/", NAME, NAME },
	{ "uri:a.test", "uri:a.test", NAME, NAME },
	{ "uri:a.test", "uri:https://10.1.2.3/", NAME, NAME },
	{ "uri:a.test", "uri:https://[::1]/", NAME, NAME },
	{ "uri:a.test", "uri:https://a.test./", NAME, NAME },
	{ "uri:a.test", "uri:https:///x", NAME, NAME },
	{ "uri:https://a.test", "uri:https://a.test/", SYNTAX, SYNTAX },

	/* Directory names: RDNs from the root on, folded. */
	{ "dir:C=DE/O=X", "dir:C=DE/O=X", OK, EXCLUDED },
	{ "dir:C=DE/O=X", "dir:C=DE/O=X/CN=y", OK, EXCLUDED },
	{ "dir:C=DE/O=X", "dir:C=DE/O=Y/CN=y", PERMITTED, OK },
	{ "dir:C=DE/O=X", "dir:C=DE", PERMITTED, OK },
	{ "dir:C=DE/O=X", "dir:O=X/C=DE", PERMITTED, OK },
	{ "dir:O=X  y", "dir:O= x Y ", OK, EXCLUDED },
	{ "dir:O=X y", "dir:O=Xy", PERMITTED, OK },
	{ "dir:O=X y", "dir:O=X\ty", OK, EXCLUDED },
	{ "dir:O=\xc3\xa4", "dir:O=\xc3\xa4", OK, EXCLUDED },
	{ "dir:O=\xc3\xa4", "dir:O=\xc3\x84", PERMITTED, OK },
	{ "dir:O=X+OU=Y", "dir:OU=y+O=x", OK, EXCLUDED },
	{ "dir:O=X+OU=Y", "dir:O=X", PERMITTED, OK },
	{ "dir:O=X", "dir:O=X+OU=Y", PERMITTED, OK },
	{ "dir:O=X", "dir:O=X/OU=Y", OK, EXCLUDED },
	{ "dir:O=X+O=Y", "dir:O=X+O=X", PERMITTED, OK },
	{ "dir:O=X+O=X", "dir:O=X+O=Y", PERMITTED, OK },

	/* Kinds that are not compared: refused where they are constrained. */
	{ "other:1.2.3", "other:1.2.3", TYPE, TYPE },
	{ "other:1.2.3", "other:1.2.4", TYPE, TYPE },
	{ "other:1.2.3", "dns:a.test", OK, OK },
	{ "rid:", "rid:", TYPE, TYPE },
	{ "rid:", "dns:a.test", OK, OK },
};

static void OC_37_every_kind_of_name(void **state)
{
	const struct kind_case *c;
	struct names_spec path[2];
	struct constraints_verdict permitted, excluded;
	size_t i;

	for (i = 0; i < ARRAY_LEN(kind_cases); i++) {
		c = &kind_cases[i];
		memset(path, 0, sizeof(path));
		path[0].san = c->san;
		path[1].permitted = c->subtree;
		permitted = judge(path, 2);
		path[1].permitted = NULL;
		path[1].excluded = c->subtree;
		excluded = judge(path, 2);
		if (permitted.x509_error != c->permitted || excluded.x509_error != c->excluded)
			fail_msg("%s under %s: %d %d", c->san, c->subtree, permitted.x509_error,
				 excluded.x509_error);
	}
}

/* --- the subject ------------------------------------------------------------------------------ */

static void OC_37_the_subject_is_a_name(void **state)
{
	static const struct {
		const char *permitted, *subject, *san;
		int result;
	} cases[] = {
		{ "dir:O=X", "O=X/CN=a", NULL, OK },
		{ "dir:O=X", "O=Y/CN=a", NULL, PERMITTED },
		{ "dir:O=X", NULL, NULL, OK }, /* there is none */
		{ "dir:O=X", NULL, "dir:O=Y", PERMITTED },
		{ "dir:O=X", "O=X", "dir:O=Y", PERMITTED },
		{ "dir:O=X", "O=Y", "dir:O=X", PERMITTED },
		{ "email:a.test", "emailAddress=x@a.test", NULL, OK },
		{ "email:a.test", "emailAddress=x@b.test", NULL, PERMITTED },
		{ "email:a.test", "emailAddress=x@b.test", "email:x@a.test", PERMITTED },
		{ "email:a.test", "CN=a/emailAddress=x@a.test/emailAddress=x@b.test", NULL,
		  PERMITTED },
		{ "email:a.test", "CN=a+emailAddress=x@a.test+emailAddress=x@b.test", NULL,
		  PERMITTED },
		{ "email:a.test", "emailAddress=nobody", NULL, NAME },
		/* A common name is not a DNS name, and nothing takes it for one. */
		{ "dns:a.test", "CN=b.test", NULL, OK },
	};
	struct names_spec path[2] = { 0 };
	struct constraints_verdict verdict;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		path[0].subject = cases[i].subject;
		path[0].san = cases[i].san;
		path[1].permitted = cases[i].permitted;
		verdict = judge(path, 2);
		if (verdict.x509_error != cases[i].result)
			fail_msg("case %zu: %d", i, verdict.x509_error);
	}
}

/* --- paths ------------------------------------------------------------------------------------ */

static void OC_37_along_a_path(void **state)
{
	const struct names_spec narrower[] = { { .san = "dns:b.a.test" },
					       { .permitted = "dns:b.a.test" },
					       { .permitted = "dns:a.test" } };
	const struct names_spec wider[] = { { .san = "dns:b.test" },
					    { .permitted = "dns:b.test" },
					    { .permitted = "dns:a.test" } };
	const struct names_spec between[] = { { .san = "dns:a.test" },
					      { .san = "dns:b.test" },
					      { .permitted = "dns:a.test" } };
	const struct names_spec both[] = { { .san = "dns:b.a.test" },
					   { 0 },
					   { .permitted = "dns:a.test",
					     .excluded = "dns:b.a.test" } };
	const struct names_spec own[] = { { .san = "dns:a.test", .excluded = "dns:a.test" },
					  { 0 } };
	const struct names_spec broken[] = { { 0 }, { .raw_constraints = "0500" }, { 0 } };
	const struct names_spec alone[] = { { .san = "dns:a.test", .excluded = "dns:a.test" } };
	struct constraints_verdict verdict;

	assert_int_equal(judge(narrower, 3).x509_error, OK);
	verdict = judge(wider, 3);
	assert_int_equal(verdict.x509_error, PERMITTED);
	assert_int_equal(verdict.index, 0);
	verdict = judge(between, 3);
	assert_int_equal(verdict.x509_error, PERMITTED);
	assert_int_equal(verdict.index, 1);
	assert_int_equal(judge(both, 3).x509_error, EXCLUDED);
	/* What a certificate constrains is what stands below it. */
	assert_int_equal(judge(own, 2).x509_error, OK);
	assert_int_equal(judge(alone, 1).x509_error, OK);
	assert_int_equal(judge(alone, 0).x509_error, OK);
	verdict = judge(broken, 3);
	assert_int_equal(verdict.x509_error, SYNTAX);
	assert_int_equal(verdict.index, 1);
}

/* RFC 5280, 6.1.4 (b) (1): only the last certificate of a path is held against them anyway. */
static void OC_37_self_issued_certificates(void **state)
{
	struct names_spec path[3] = { { .san = "dns:a.test" },
				      { .subject = "CN=Q", .issuer = "CN=Q", .san = "dns:b.test" },
				      { .subject = "CN=Q", .permitted = "dns:a.test" } };

	assert_int_equal(judge(path, 3).x509_error, OK);
	path[1].issuer = "CN=Z";
	assert_int_equal(judge(path, 3).x509_error, PERMITTED);
	path[1].issuer = "CN=Q";
	path[0] = path[1];
	assert_int_equal(judge(path, 3).x509_error, PERMITTED);
	/* Its own constraints count all the same. */
	path[0] = (struct names_spec){ .san = "dns:a.test" };
	path[1].excluded = "dns:a.test";
	assert_int_equal(judge(path, 3).x509_error, EXCLUDED);
}

/* --- encodings -------------------------------------------------------------------------------- */

static void OC_37_constraints_that_are_malformed(void **state)
{
	static const struct {
		const char *hex;
		int result;
	} cases[] = {
		{ "300ca00a30088206612e74657374", OK },           /* permitted a.test */
		{ "300ca10a30088206612e74657374", EXCLUDED },     /* excluded a.test */
		{ "300fa00d300b8206612e74657374800100", MINMAX }, /* minimum 0, DER omits it */
		{ "300fa00d300b8206612e74657374800101", MINMAX }, /* minimum 1 */
		{ "300fa00d300b8206612e74657374810105", MINMAX }, /* maximum 5 */
		{ "", SYNTAX },
		{ "3000", SYNTAX },
		{ "3002a000", SYNTAX },
		{ "3002a100", SYNTAX },
		{ "3004a000a100", SYNTAX },
		{ "3004a0020500", SYNTAX },
		{ "3004a0023000", SYNTAX },
		{ "30020500", SYNTAX },
		{ "310ca00a30088206612e74657374", SYNTAX },   /* a SET */
		{ "300ca00a30088206612e7465737400", SYNTAX }, /* something behind */
		{ "300ca00a30088206612e746573", SYNTAX },     /* cut */
		{ "300ca20a30088206612e74657374", SYNTAX },   /* [2] */
		{ "3018a10a30088206612e74657374a00a30088206612e74657374", SYNTAX }, /* order */
		{ "300ca00a30088906612e74657374", SYNTAX },       /* a name of kind [9] */
		{ "300ca00a3008a206612e74657374", SYNTAX },       /* constructed */
		{ "300aa00830068704ffffffff", SYNTAX },           /* an address, no mask */
		{ "300ea00c300a87080a000000ff00ff00", SYNTAX },   /* mask with holes */
		{ "300ea00c300a87080a00000000ffffff", SYNTAX },   /* mask from behind */
		{ "300fa00d300b87090a000000ff00000000", SYNTAX }, /* nine bytes */
		{ "300aa0083006a40430020500", SYNTAX },           /* a Name of NULL */
		{ "300aa0083006a40430023100", SYNTAX },           /* an empty RDN */
		{ "3008a0063004a4023000", OK },                   /* every directory name */
	};
	struct names_spec path[2] = { { .san = "dns:a.test" } };
	struct constraints_verdict verdict;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		path[1].raw_constraints = cases[i].hex;
		verdict = judge(path, 2);
		if (verdict.x509_error != cases[i].result)
			fail_msg("%s: %d", cases[i].hex, verdict.x509_error);
	}
}

static void OC_37_names_that_are_malformed(void **state)
{
	static const struct {
		const char *permitted, *hex;
		int result;
	} cases[] = {
		{ "dns:a.test", "30088206612e74657374", OK },
		{ "dns:a.test", "30098207612e7465737400", NAME }, /* NUL behind */
		{ "dns:a.test", "3009820700612e74657374", NAME },
		{ "dns:a.test", "300a8206612e746573748900", NAME },
		{ "dns:a.test", "3000", NAME },
		{ "ip:10.0.0.0/8", "300587030a0000", NAME },
		{ "ip:10.0.0.0/8", "300a87080a000000ff000000", NAME },
		{ "ip:10.0.0.0/8", "30028700", NAME },
		/* O = X, as UTF8String, PrintableString, BMPString, UniversalString, T61String */
		{ "dir:O=X", "3010a40e300c310a3008060355040a0c0158", OK },
		{ "dir:O=X", "3010a40e300c310a3008060355040a130158", OK },
		{ "dir:O=X", "3011a40f300d310b3009060355040a1e020058", OK },
		{ "dir:O=X", "3013a411300f310d300b060355040a1c0400000058", OK },
		{ "dir:O=X", "3010a40e300c310a3008060355040a140158", OK },
		/* Half a character, an overlong one, a surrogate, one beyond Unicode. */
		{ "dir:O=X", "3010a40e300c310a3008060355040a1e0100", NAME },
		{ "dir:O=X", "3011a40f300d310b3009060355040a0c02c198", NAME },
		{ "dir:O=X", "3012a410300e310c300a060355040a0c03eda080", NAME },
		{ "dir:O=X", "3013a411300f310d300b060355040a1c0400110000", NAME },
		{ "dir:O=X", "3010a40e300c310a3008060355040a0cff58", NAME },
		/* "X NUL" is not "X". */
		{ "dir:O=X", "3011a40f300d310b3009060355040a0c025800", PERMITTED },
		/* An OCTET STRING is not a string. */
		{ "dir:O=X", "3010a40e300c310a3008060355040a040158", PERMITTED },
	};
	struct names_spec path[2] = { 0 };
	struct constraints_verdict verdict;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		path[0].raw_san = cases[i].hex;
		path[1].permitted = cases[i].permitted;
		verdict = judge(path, 2);
		if (verdict.x509_error != cases[i].result)
			fail_msg("%s: %d", cases[i].hex, verdict.x509_error);
	}
}

/* --- much work -------------------------------------------------------------------------------- */

/* "@prefix@i@suffix" for i < @n, separated by ';'; free() it. */
static char *many(const char *prefix, size_t n, const char *suffix)
{
	size_t size = n * (strlen(prefix) + strlen(suffix) + 12) + 1, at = 0, i;
	char *list = malloc(size);

	assert_non_null(list);
	for (i = 0; i < n; i++)
		at += (size_t)snprintf(list + at, size - at, "%s%s%zu%s", i ? ";" : "", prefix, i,
				       suffix);
	return list;
}

static int judge_many(const char *kind, const char *suffix, size_t n_subtrees, size_t n_names)
{
	char *subtrees = many(kind, n_subtrees, suffix), *names = many(kind, n_names, ".b.test");
	const struct names_spec path[] = { { .san = names }, { .excluded = subtrees } };
	int x509_error = judge(path, 2).x509_error;

	free(subtrees);
	free(names);
	return x509_error;
}

static void OC_37_work_is_bounded(void **state)
{
	const int too_much = X509_V_ERR_CERT_REJECTED;

	assert_int_equal(judge_many("dns:", ".a.test", 500, 500), OK);
	assert_int_equal(judge_many("dns:", ".a.test", 10000, 10000), too_much);
	assert_int_equal(judge_many("dns:", ".a.test", 10000, 24), OK);
	assert_int_equal(judge_many("dns:", ".a.test", 10000, 26), too_much);
	assert_int_equal(judge_many("dir:O=", ".a.test", 2000, 2000), too_much);
	assert_int_equal(judge_many("email:x@", ".a.test", 2000, 2000), too_much);
	assert_int_equal(judge_many("uri:x://", ".a.test", 1, 10000), SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_37_every_kind_of_name),
		cmocka_unit_test(OC_37_the_subject_is_a_name),
		cmocka_unit_test(OC_37_along_a_path),
		cmocka_unit_test(OC_37_self_issued_certificates),
		cmocka_unit_test(OC_37_constraints_that_are_malformed),
		cmocka_unit_test(OC_37_names_that_are_malformed),
		cmocka_unit_test(OC_37_work_is_bounded),
	};

	return cmocka_run_group_tests_name("unit/name_constraints", tests, NULL, NULL);
}
