/* SPDX-License-Identifier: Apache-2.0 */
/* Reference identities against what certificates present (RFC 9525). */
#include "verify/names.h"

#include "support/names_world.h"

#include "core/error.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* --- references ------------------------------------------------------------------------------ */

static void CL_17_references_that_are_taken(void **state)
{
	static const struct {
		const char *text;
		enum general_name_kind kind;
		size_t len;
		const char *bytes;
	} cases[] = {
		{ "example.test", NAME_DNS, 12, "example.test" },
		{ "EXAMPLE.Test", NAME_DNS, 12, "example.test" },
		{ "example.test.", NAME_DNS, 12, "example.test" },
		{ "localhost", NAME_DNS, 9, "localhost" },
		{ "xn--mnchen-3ya.test", NAME_DNS, 19, "xn--mnchen-3ya.test" },
		{ "_dmarc.example.test", NAME_DNS, 19, "_dmarc.example.test" },
		{ "1.example", NAME_DNS, 9, "1.example" },
		{ "1.2.3.4a", NAME_DNS, 8, "1.2.3.4a" },
		{ "127.0.0.1", NAME_IP, 4, "\x7f\0\0\1" },
		{ "::1", NAME_IP, 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" },
		{ "[::1]", NAME_IP, 16, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" },
		{ "[2001:DB8::5]", NAME_IP, 16, "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\5" },
		{ "::ffff:1.2.3.4", NAME_IP, 16, "\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4" },
	};
	struct sluice_error err;
	struct reference reference;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		err_clear(&err);
		if (reference_parse(&reference, cases[i].text, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.text);
		assert_int_equal(reference.kind, cases[i].kind);
		assert_int_equal(reference.len, cases[i].len);
		assert_memory_equal(reference.bytes, cases[i].bytes, cases[i].len);
	}
}

static void CL_17_references_that_are_refused(void **state)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{ "", "neither" },
		{ ".", "neither" },
		{ "..", "neither" },
		{ ".example.test", "neither" },
		{ "example..test", "neither" },
		{ "example.test..", "neither" },
		{ "*.example.test", "neither" },
		{ "exa mple.test", "neither" },
		{ "example.test\n", "neither" },
		{ "user@example.test", "neither" },
		{ "https://example.test", "neither" },
		{ "m\xc3\xbcnchen.test", "A-labels" },
		{ "fe80::1%eth0", "zone" },
		{ "[fe80::1%eth0]", "zone" },
		{ "[127.0.0.1]", "neither" },
		{ "[::1", "neither" },
		{ "::1]", "neither" },
		{ "[]", "neither" },
		{ "::g", "neither" },
		/* What inet_aton(3) takes for an address. */
		{ "127.1", "neither" },
		{ "2130706433", "neither" },
		{ "127.0.0.0x1", "neither" },
		{ "127.0.0.256", "neither" },
		{ "127.0.0.1.", "neither" },
	};
	char name[300];
	struct sluice_error err;
	struct reference reference;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		err_clear(&err);
		if (reference_parse(&reference, cases[i].text, &err) != -SLUICE_E_HOSTNAME ||
		    !strstr(err.text, cases[i].reason))
			fail_msg("%s: \"%s\"", cases[i].text, err.text);
	}

	/* Lengths: 63 of a label, 253 of a name; a dot behind is not counted. */
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_int_equal(reference_parse(&reference, name, NULL), 0);
	name[63] = 'a';
	name[64] = '\0';
	assert_int_equal(reference_parse(&reference, name, NULL), -SLUICE_E_HOSTNAME);
	for (i = 0; i < sizeof(name); i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	name[253] = '\0';
	assert_int_equal(reference_parse(&reference, name, NULL), 0);
	assert_int_equal(reference.len, 253);
	name[253] = '.';
	name[254] = '\0';
	assert_int_equal(reference_parse(&reference, name, NULL), 0);
	name[253] = 'a';
	assert_int_equal(reference_parse(&reference, name, NULL), -SLUICE_E_HOSTNAME);
}

/* --- matching -------------------------------------------------------------------------------- */

#define Y NAMES_MATCH
#define N NAMES_MISMATCH
#define W NAMES_WILDCARD
#define A NAMES_ABSENT

static const struct match_case {
	const char *san, *name;
	enum names_result strict, https, ldap;
} match_cases[] = {
	{ "dns:example.test", "example.test", Y, Y, Y },
	{ "dns:example.test", "EXAMPLE.Test", Y, Y, Y },
	{ "dns:EXAMPLE.TEST", "example.test", Y, Y, Y },
	{ "dns:example.test", "example.test.", Y, Y, Y },
	{ "dns:example.test.", "example.test", N, N, N },
	{ "dns:example.test", "www.example.test", N, N, N },
	{ "dns:www.example.test", "example.test", N, N, N },
	{ "dns:.example.test", "www.example.test", N, N, N },
	{ "dns:example.test", "xexample.test", N, N, N },
	{ "dns:", "localhost", N, N, N },
	{ "dns:a.test;dns:b.test", "b.test", Y, Y, Y },
	{ "dns:a.test;uri:https://b.test", "b.test", N, N, N },
	{ "dns:xn--mnchen-3ya.test", "xn--mnchen-3ya.test", Y, Y, Y },

	/* Wildcards. */
	{ "dns:*.example.test", "www.example.test", W, Y, Y },
	{ "dns:*.EXAMPLE.test", "www.example.TEST", W, Y, Y },
	{ "dns:*.example.test", "xn--mnchen-3ya.example.test", W, Y, Y },
	{ "dns:*.example.test", "a.b.example.test", N, N, N },
	{ "dns:*.example.test", "example.test", N, N, N },
	{ "dns:*.test", "example.test", N, N, Y },
	{ "dns:*.test", "www.example.test", N, N, N },
	{ "dns:*", "localhost", N, N, N },
	{ "dns:*.", "localhost", N, N, N },
	{ "dns:*.*.test", "www.example.test", N, N, N },
	{ "dns:www.*.test", "www.example.test", N, N, N },
	{ "dns:w*.example.test", "www.example.test", N, N, N },
	{ "dns:*w.example.test", "www.example.test", N, N, N },
	{ "dns:w*w.example.test", "www.example.test", N, N, N },
	{ "dns:**.example.test", "www.example.test", N, N, N },
	{ "dns:xn--*.example.test", "xn--x.example.test", N, N, N },
	{ "dns:*.example.test;dns:www.example.test", "www.example.test", Y, Y, Y },
	{ "dns:*.0.0.1", "127.0.0.1", A, A, A },

	/* Addresses are held against addresses only. */
	{ "ip:127.0.0.1", "127.0.0.1", Y, Y, Y },
	{ "ip:127.0.0.1", "127.0.0.2", N, N, N },
	{ "ip:127.0.0.0/8", "127.0.0.1", N, N, N },
	{ "ip:127.0.0.0/8", "7f00:0:ff00::", N, N, N },
	{ "dns:127.0.0.1", "127.0.0.1", A, A, A },
	{ "ip:::1", "[::1]", Y, Y, Y },
	{ "ip:::1", "0:0:0:0:0:0:0:1", Y, Y, Y },
	{ "ip:::1", "::2", N, N, N },
	{ "ip:127.0.0.1", "::ffff:127.0.0.1", N, N, N },
	{ "ip:127.0.0.1", "localhost", A, A, A },

	/* Nor is the subject looked at, whose common name is "common.test". */
	{ "dns:example.test", "common.test", N, N, N },
	{ "email:a@common.test", "common.test", A, A, A },
	{ "uri:https://common.test/", "common.test", A, A, A },
	{ "dir:CN=common.test", "common.test", A, A, A },
	{ "other:1.2.3", "common.test", A, A, A },
	{ "rid:", "common.test", A, A, A },
	{ NULL, "common.test", A, A, A },
};

static enum names_result match(const X509 *x509, const char *name, enum name_rule rule,
			       const struct sluice_hostname_check *hook)
{
	struct reference reference;

	assert_int_equal(reference_parse(&reference, name, NULL), 0);
	return names_match(x509, &reference, rule, hook, name);
}

static void CL_17_CL_21_the_rules(void **state)
{
	const struct match_case *c;
	enum names_result got[3];
	X509 *x509;
	size_t i;

	for (i = 0; i < ARRAY_LEN(match_cases); i++) {
		c = &match_cases[i];
		x509 = named_cert(
			(struct names_spec){ .subject = "CN=common.test", .san = c->san });
		got[0] = match(x509, c->name, NAMES_STRICT, NULL);
		got[1] = match(x509, c->name, NAMES_HTTPS, NULL);
		got[2] = match(x509, c->name, NAMES_LDAP, NULL);
		if (got[0] != c->strict || got[1] != c->https || got[2] != c->ldap)
			fail_msg("%s of %s: %d %d %d", c->name, c->san, got[0], got[1], got[2]);
		X509_free(x509);
	}
}

static void CL_17_bytes_that_are_no_names(void **state)
{
	static const struct {
		const char *hex;
		enum names_result result; /* for "a.test" */
	} cases[] = {
		{ "30088206612e74657374", NAMES_MATCH },                   /* a.test */
		{ "30098207612e7465737400", NAMES_MISMATCH },              /* a.test NUL */
		{ "300b820a612e7465737400782e", NAMES_MALFORMED },         /* longer than it is */
		{ "300d820b612e7465737400782e7979", NAMES_MISMATCH },      /* a.test NUL x.yy */
		{ "30108206612e746573748206612e74657374", NAMES_MATCH },   /* twice */
		{ "30108206612e746573748206612e746573", NAMES_MALFORMED }, /* the second is cut */
		{ "", NAMES_MALFORMED },
		{ "3000", NAMES_MALFORMED },
		{ "0500", NAMES_MALFORMED },
		{ "31088206612e74657374", NAMES_MALFORMED },     /* a SET */
		{ "30088206612e7465737400", NAMES_MALFORMED },   /* something behind */
		{ "3081088206612e74657374", NAMES_MALFORMED },   /* BER's long form */
		{ "30808206612e746573740000", NAMES_MALFORMED }, /* indefinite */
		{ "3008a206612e74657374", NAMES_MALFORMED },     /* constructed */
		{ "30080c06612e74657374", NAMES_MALFORMED },     /* UTF8String */
		{ "30088906612e74657374", NAMES_MALFORMED },     /* [9] */
		{ "300a8206612e746573748900", NAMES_MALFORMED }, /* a good one, then [9] */
		{ "300b8206612e746573748703010203", NAMES_MALFORMED },
		{ "300d8206612e746573748703010203", NAMES_MATCH }, /* 3 bytes of an address */
	};
	X509 *x509;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		enum names_result got;

		x509 = named_cert((struct names_spec){ .raw_san = cases[i].hex });
		got = match(x509, "a.test", NAMES_HTTPS, NULL);
		if (got != cases[i].result)
			fail_msg("%s: %d", cases[i].hex, got);
		X509_free(x509);
	}

	/* Two extensions: which of them counts? */
	x509 = named_cert((struct names_spec){ .raw_san = "30088206612e74657374" });
	add_hex(x509, NID_subject_alt_name, "30088206622e74657374");
	assert_int_equal(match(x509, "a.test", NAMES_HTTPS, NULL), NAMES_MALFORMED);
	X509_free(x509);
}

/* --- a rule of one's own --------------------------------------------------------------------- */

struct asked {
	int answer; /* of every name of @kind; -1 of the rest */
	int kind;
	int n;
	char text[64], last[64];
};

static int answer(void *arg, const char *name, int kind, const void *presented, size_t len)
{
	struct asked *asked = arg;

	asked->n++;
	snprintf(asked->text, sizeof(asked->text), "%s", name);
	snprintf(asked->last, sizeof(asked->last), "%.*s", (int)len, (const char *)presented);
	return kind == asked->kind ? asked->answer : -1;
}

static void CL_21_a_function_decides(void **state)
{
	struct asked asked = { .answer = 1, .kind = SLUICE_NAME_URI };
	const struct sluice_hostname_check hook = { .match = answer, .arg = &asked };
	X509 *x509 = named_cert(
		(struct names_spec){ .san = "dns:a.test;dns:*.b.test;uri:ldap://c.test" });

	/* It says yes to what no rule would, */
	assert_int_equal(match(x509, "c.test", NAMES_STRICT, &hook), NAMES_MATCH);
	assert_int_equal(asked.n, 3);
	assert_string_equal(asked.text, "c.test");
	assert_string_equal(asked.last, "ldap://c.test");
	/* no to what every rule would, */
	asked = (struct asked){ .answer = 0, .kind = SLUICE_NAME_DNS };
	assert_int_equal(match(x509, "a.test", NAMES_STRICT, &hook), NAMES_MISMATCH);
	assert_int_equal(match(x509, "x.b.test", NAMES_HTTPS, &hook), NAMES_MISMATCH);
	/* or nothing. */
	asked.answer = -1;
	assert_int_equal(match(x509, "a.test", NAMES_STRICT, &hook), NAMES_MATCH);
	assert_int_equal(match(x509, "x.b.test", NAMES_STRICT, &hook), NAMES_WILDCARD);
	assert_int_equal(match(x509, "x.b.test", NAMES_HTTPS, &hook), NAMES_MATCH);
	assert_int_equal(match(x509, "d.test", NAMES_HTTPS, &hook), NAMES_MISMATCH);
	X509_free(x509);

	/* It is not asked about what cannot be read. */
	asked = (struct asked){ .answer = 1, .kind = SLUICE_NAME_DNS };
	x509 = named_cert((struct names_spec){ .raw_san = "300a8206612e746573748900" });
	assert_int_equal(match(x509, "a.test", NAMES_STRICT, &hook), NAMES_MALFORMED);
	assert_int_equal(asked.n, 0);
	X509_free(x509);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_17_references_that_are_taken),
		cmocka_unit_test(CL_17_references_that_are_refused),
		cmocka_unit_test(CL_17_CL_21_the_rules),
		cmocka_unit_test(CL_17_bytes_that_are_no_names),
		cmocka_unit_test(CL_21_a_function_decides),
	};

	return cmocka_run_group_tests_name("unit/names", tests, NULL, NULL);
}
