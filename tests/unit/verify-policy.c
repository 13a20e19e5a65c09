/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in the search for a path. What they mean is told by PKITS (tests/suites/pkits). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/nid.h>
#include <openssl/obj.h>
#include <openssl/x509v3.h>

#include "support/search_world.h"
#include "verify/verify.h"

/* certificatePolicies with 1.2.3.4, or 1.2.3.1. */
#define POLICY_4 "DER:3007300506032a0304"
#define POLICY_1 "DER:3007300506032a0301"

static struct entity with_extension(const char *cn, EVP_PKEY *key, const struct entity *issuer,
				    int nid, const char *value)
{
	struct cert_spec spec = {
		.cn = cn, .ca = !!key, .key = key, .extra_nid = nid, .extra = value
	};
	struct entity entity = { .key = key ? key : certs_key(CERT_KEY_P256) };

	spec.key = entity.key;
	spec.san = key ? NULL : SERVER_NAMES;
	spec.issuer = issuer->cert;
	spec.issuer_key = issuer->key;
	entity.cert = certs_make(&spec);
	return entity;
}

/* Two certificates of one CA, of which the first that is tried has no policy. */
static void a_path_without_the_policy_is_passed_over(void **state)
{
	struct entity root = new_ca("Root", NULL), bare = new_ca("CA", &root);
	struct entity ca =
		with_extension("CA", bare.key, &root, NID_certificate_policies, POLICY_4);
	struct entity server =
		with_extension("server", NULL, &ca, NID_certificate_policies, POLICY_4);
	struct verify_policies policies = { .explicit_policy = true };
	STACK_OF(ASN1_OBJECT) *wanted = sk_ASN1_OBJECT_new_null();
	struct search_world w;

	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &bare);
	finds(&w, PATH(&server, &bare, &root));
	w.request.policies = &policies;
	finds_none(&w, X509_V_ERR_NO_EXPLICIT_POLICY);
	offer(&w, &ca);
	finds(&w, PATH(&server, &ca, &root));
	assert_int_equal(w.verdict.n_paths, 2);
	assert_true(sk_ASN1_OBJECT_push(wanted, OBJ_txt2obj("1.2.3.5", 1)));
	policies.wanted = wanted;
	finds_none(&w, X509_V_ERR_NO_EXPLICIT_POLICY);
	policies.explicit_policy = false;
	finds(&w, PATH(&server, &bare, &root));
	search_deinit(&w);
	sk_ASN1_OBJECT_pop_free(wanted, ASN1_OBJECT_free);
	X509_free(ca.cert);
	entity_free(&bare);
	entity_free(&server);
	entity_free(&root);
}

/* Policy constraints are evaluated where policies are, and refused otherwise. */
static void a_policy_constraint_is_refused_or_evaluated(void **state)
{
	struct verify_policies policies = { 0 };
	struct entity root = new_ca("Root", NULL);
	EVP_PKEY *key = certs_key(CERT_KEY_P256);
	struct entity ca = with_extension("CA", key, &root, NID_policy_constraints,
					  "critical,requireExplicitPolicy:0");
	struct entity server = with_extension("server", NULL, &ca, 0, NULL);
	X509_EXTENSION *ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_certificate_policies, POLICY_4);
	struct search_world w;

	/* Without policies beside them BoringSSL 13 loses the memory of policy constraints. */
	assert_true(ext && X509_add_ext(ca.cert, ext, -1));
	assert_true(X509_sign(ca.cert, root.key, EVP_sha256()) > 0);
	X509_EXTENSION_free(ext);
	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &ca);
	finds_none(&w, X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION);
	w.request.policies = &policies;
	finds_none(&w, X509_V_ERR_NO_EXPLICIT_POLICY);
	search_deinit(&w);
	entity_free(&ca);
	entity_free(&server);
	entity_free(&root);
}

/* 60 policies mapped to one policy, in each of three certificates, are 216,000 nodes: CVE-2023-0464. */
static void policies_have_a_limit(void **state)
{
	struct verify_policies policies = { .explicit_policy = true };
	struct entity path[5] = { new_ca("Root", NULL) };
	struct search_world w;
	char text[4096];
	int i, len = 0;

	for (i = 0; i < 60; i++)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%s1.2.3.%d:1.2.3.1",
				i ? "," : "", i + 1);
	search_init(&w);
	anchor(&w, &path[0]);
	for (i = 1; i < 4; i++)
		path[i] = with_extension("CA", certs_key(CERT_KEY_P256), &path[i - 1],
					 NID_policy_mappings, text);
	path[4] = with_extension("server", NULL, &path[3], NID_certificate_policies, POLICY_1);
	for (i = 4; i; i--)
		offer(&w, &path[i]);
	w.request.policies = &policies;
	finds_none(&w, X509_V_ERR_INVALID_POLICY_EXTENSION);
	assert_non_null(strstr(w.verdict.reason, "too many ways"));
	search_deinit(&w);
	for (i = 0; i < 5; i++)
		entity_free(&path[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_without_the_policy_is_passed_over),
		cmocka_unit_test(a_policy_constraint_is_refused_or_evaluated),
		cmocka_unit_test(policies_have_a_limit),
	};

	return cmocka_run_group_tests_name("unit/verify-policy", tests, NULL, NULL);
}
