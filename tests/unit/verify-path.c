/* SPDX-License-Identifier: Apache-2.0 */
/* Path validation: which path is found where there are several, or none, and what that may cost. */
#include "verify/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "support/search_world.h"
#include "tls/control.h"

/* --- help ----------------------------------------------------------------------------------- */

/* The name and key of @who, certified by @issuer. */
static struct entity cross(const struct entity *who, const struct entity *issuer,
			   struct cert_spec spec)
{
	struct entity made = { .key = who->key };
	char cn[64];

	assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(who->cert), NID_commonName, cn,
					      sizeof(cn)) > 0);
	EVP_PKEY_up_ref(made.key);
	spec.cn = cn;
	spec.ca = true;
	spec.key = made.key;
	spec.issuer = issuer->cert;
	spec.issuer_key = issuer->key;
	made.cert = certs_make(&spec);
	return made;
}

/* Removes the key identifiers, so that only names and signatures tell who issued what. */
static void strip(struct entity *entity, const struct entity *issuer)
{
	static const int nids[] = { NID_subject_key_identifier, NID_authority_key_identifier };
	X509 *fresh;
	size_t i;
	int at;

	for (i = 0; i < 2; i++) {
		at = X509_get_ext_by_NID(entity->cert, nids[i], -1);
		if (at >= 0)
			X509_EXTENSION_free(X509_delete_ext(entity->cert, at));
	}
	assert_true(X509_sign(entity->cert, issuer->key, EVP_sha256()) > 0);
	/* What BoringSSL has cached of it is of the old one. */
	fresh = X509_dup(entity->cert);
	assert_non_null(fresh);
	X509_free(entity->cert);
	entity->cert = fresh;
}

/* --- several paths -------------------------------------------------------------------------- */

/* An intermediate that was renewed: whichever is sent first, the valid one is taken. */
static void OC_40_an_expired_alternative_is_no_obstacle(void **state)
{
	struct entity root = new_ca("Root", NULL), good = new_ca("I", &root);
	struct entity old = cross(&good, &root, (struct cert_spec){ .from_s = -20, .to_s = -10 });
	struct entity server = new_server(&good);
	struct search_world w;

	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &old);
	finds_none(&w, X509_V_ERR_CERT_HAS_EXPIRED);
	assert_int_equal(w.verdict.index, 1);
	offer(&w, &good);
	finds(&w, PATH(&server, &good, &root));
	assert_int_equal(w.verdict.n_paths, 2);
	search_deinit(&w);
	entity_free(&root);
	entity_free(&good);
	entity_free(&old);
	entity_free(&server);
}

/* A root that is not trusted yet, and that one which is has signed: the longer path is valid. */
static void OC_40_over_a_cross_signed_root(void **state)
{
	struct entity trusted = new_ca("Old Root", NULL), root = new_ca("New Root", NULL);
	struct entity crossed = cross(&root, &trusted, (struct cert_spec){ 0 });
	struct entity ca = new_ca("I", &root), server = new_server(&ca);
	struct search_world w;

	search_init(&w);
	offer(&w, &server);
	offer(&w, &ca);
	offer(&w, &root);
	anchor(&w, &trusted);
	finds_none(&w, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
	offer(&w, &crossed);
	finds(&w, PATH(&server, &ca, &crossed, &trusted));
	anchor(&w, &root); /* as soon as it is trusted, the shorter path is taken */
	finds(&w, PATH(&server, &ca, &root));
	search_deinit(&w);
	entity_free(&trusted);
	entity_free(&root);
	entity_free(&crossed);
	entity_free(&ca);
	entity_free(&server);
}

/* Only the signature tells which of two issuers of the same name it was. */
static void OC_40_an_issuer_of_the_same_name_is_passed_over(void **state)
{
	struct entity root = new_ca("Root", NULL), other_root = new_ca("Root", NULL);
	struct entity ca = new_ca("I", &root), other_ca = new_ca("I", &root);
	struct entity server = new_server(&ca);
	struct search_world w;

	strip(&root, &root);
	strip(&other_root, &other_root);
	strip(&ca, &root);
	strip(&other_ca, &root);
	strip(&server, &ca);
	search_init(&w);
	offer(&w, &server);
	offer(&w, &other_ca);
	anchor(&w, &other_root);
	anchor(&w, &root);
	finds_none(&w, X509_V_ERR_CERT_SIGNATURE_FAILURE);
	offer(&w, &ca);
	finds(&w, PATH(&server, &ca, &root));
	search_deinit(&w);
	entity_free(&root);
	entity_free(&other_root);
	entity_free(&ca);
	entity_free(&other_ca);
	entity_free(&server);
}

/* An authority key identifier that names another key rules that issuer out, and only that. */
static void OC_40_key_identifiers_choose(void **state)
{
	struct entity root = new_ca("Root", NULL), ca = new_ca("I", &root);
	struct entity foreign = new_ca("I", &root), server = new_server(&ca);
	struct search_world w;

	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &foreign);
	finds_none(&w, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	assert_int_equal(w.verdict.n_paths, 0);
	offer(&w, &ca);
	finds(&w, PATH(&server, &ca, &root));
	assert_int_equal(w.verdict.n_paths, 1);
	search_deinit(&w);
	entity_free(&root);
	entity_free(&ca);
	entity_free(&foreign);
	entity_free(&server);
}

/* A constraint on one path does not close the other. */
static void OC_40_a_path_that_may_not_name_it_is_passed_over(void **state)
{
	struct entity root = new_ca("Root", NULL), open = new_ca("I", &root);
	struct entity narrow = cross(
		&open, &root,
		(struct cert_spec){ .name_constraints = "critical,permitted;DNS:other.test" });
	struct entity server = new_server(&open);
	struct search_world w;

	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &narrow);
	finds_none(&w, X509_V_ERR_PERMITTED_VIOLATION);
	offer(&w, &open);
	finds(&w, PATH(&server, &open, &root));
	search_deinit(&w);
	entity_free(&root);
	entity_free(&open);
	entity_free(&narrow);
	entity_free(&server);
}

/* --- circles and crowds --------------------------------------------------------------------- */

static void OC_40_certificates_in_a_circle(void **state)
{
	struct entity root = new_ca("Root", NULL), a = new_ca("A", NULL), b = new_ca("B", &a);
	struct entity a_by_b = cross(&a, &b, (struct cert_spec){ 0 });
	struct entity a_by_root = cross(&a, &root, (struct cert_spec){ 0 });
	struct entity server = new_server(&a);
	struct search_world w;

	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	offer(&w, &a_by_b);
	offer(&w, &b);
	finds_none(&w, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	offer(&w, &a_by_root);
	finds(&w, PATH(&server, &a_by_root, &root));
	search_deinit(&w);
	entity_free(&root);
	entity_free(&a);
	entity_free(&b);
	entity_free(&a_by_b);
	entity_free(&a_by_root);
	entity_free(&server);
}

/* Without key identifiers a certificate issued in its own name cannot be told from a root: no path goes on. */
static void OC_40_a_crowd_of_one_name(void **state)
{
	struct entity root = new_ca("Root", NULL), crowd[40], server;
	struct search_world w;
	size_t i;

	strip(&root, &root);
	for (i = 0; i < 40; i++) { /* by keys that nobody knows */
		struct entity unknown = new_ca("Crowd", NULL);

		crowd[i] = new_ca("Crowd", &unknown);
		strip(&crowd[i], &unknown);
		entity_free(&unknown);
	}
	server = new_server(&crowd[0]);
	strip(&server, &crowd[0]);
	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	for (i = 0; i < 40; i++)
		offer(&w, &crowd[i]);
	finds_none(&w, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
	assert_int_equal(w.verdict.n_paths, 0);
	search_deinit(&w);
	for (i = 0; i < 40; i++)
		entity_free(&crowd[i]);
	entity_free(&root);
	entity_free(&server);
}

/* Two names in turn, and an anchor above one of them that signed nothing. */
static void OC_40_signatures_have_a_limit(void **state)
{
	struct entity root = new_ca("Root", NULL), other = new_ca("Root", NULL);
	struct entity a = new_ca("A", &other), b = new_ca("B", &a);
	struct entity crowd[60], server = new_server(&b);
	struct search_world w;
	size_t i;

	for (i = 0; i < 60; i++) {
		struct entity named = i & 1 ? new_ca("A", &root) : new_ca("B", &a);

		crowd[i] = cross(&named, i & 1 ? &b : &a, (struct cert_spec){ 0 });
		strip(&crowd[i], i & 1 ? &root : &a);
		entity_free(&named);
	}
	strip(&root, &root);
	strip(&a, &other);
	strip(&server, &b);
	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	for (i = 0; i < 60; i++)
		offer(&w, &crowd[i]);
	offer(&w, &a);
	verify_run(&w.verdict, &w.request);
	assert_string_equal(w.verdict.reason, "there are too many possible paths from it");
	assert_int_equal(w.verdict.x509_error, X509_V_ERR_CERT_REJECTED);
	assert_int_equal(w.verdict.alert, SLUICE_ALERT_BAD_CERTIFICATE);
	search_deinit(&w);
	for (i = 0; i < 60; i++)
		entity_free(&crowd[i]);
	entity_free(&root);
	entity_free(&other);
	entity_free(&a);
	entity_free(&b);
	entity_free(&server);
}

/* A long chain below many roots of one name: few steps, but each root costs the signatures of all of it. */
static void OC_40_signatures_have_a_limit_where_steps_are_few(void **state)
{
	struct entity root = new_ca("Root", NULL), roots[40], cas[9], server;
	struct search_world w;
	size_t i;

	for (i = 0; i < 9; i++) {
		cas[i] = new_ca((const char *[]){ "0", "1", "2", "3", "4", "5", "6", "7", "8" }[i],
				i ? &cas[i - 1] : &root);
		strip(&cas[i], i ? &cas[i - 1] : &root);
	}
	server = new_server(&cas[8]);
	strip(&server, &cas[8]);
	search_init(&w);
	for (i = 0; i < 40; i++) {
		roots[i] = new_ca("Root", NULL);
		anchor(&w, &roots[i]);
	}
	offer(&w, &server);
	for (i = 0; i < 9; i++)
		offer(&w, &cas[i]);
	finds_none(&w, X509_V_ERR_CERT_REJECTED);
	assert_string_equal(w.verdict.reason, "there are too many possible paths from it");
	assert_int_equal(w.verdict.n_paths, PATH_MAX_SIGNATURES / 10);
	search_deinit(&w);
	for (i = 0; i < 40; i++)
		entity_free(&roots[i]);
	for (i = 0; i < 9; i++)
		entity_free(&cas[i]);
	entity_free(&root);
	entity_free(&server);
}

static void OC_40_certificates_have_a_limit(void **state)
{
	struct usual u;
	struct search_world w;
	size_t i;

	usual_init(&u);
	search_init(&w);
	anchor(&w, &u.root);
	offer(&w, &u.server);
	for (i = 1; i < PATH_MAX_CERTS; i++)
		offer(&w, &u.intermediate); /* again and again: it counts, and is tried once */
	finds(&w, PATH(&u.server, &u.intermediate, &u.root));
	assert_int_equal(w.verdict.n_paths, 1);
	offer(&w, &u.intermediate);
	finds_none(&w, X509_V_ERR_CERT_REJECTED);
	/* The same by bytes. */
	for (i = 2; i <= PATH_MAX_CERTS; i++)
		send_cert(&u.w, &u.intermediate);
	refuses(&u.w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_CERT_REJECTED);
	search_deinit(&w);
	usual_deinit(&u);
}

/* A key so long that checking a signature with it is an attack. */
static void OC_40_a_key_has_a_limit(void **state)
{
	struct entity root = new_ca("Root", NULL), server = { .key = EVP_PKEY_new() };
	struct cert_spec spec = { .cn = "x", .san = SERVER_NAMES, .issuer = root.cert };
	BIGNUM *n = BN_new(), *e = BN_new();
	RSA *rsa = RSA_new();
	struct search_world w;

	assert_true(n && e && rsa && BN_set_bit(n, 9000) && BN_add_word(n, 1) && BN_set_word(e, 3));
	assert_true(RSA_set0_key(rsa, n, e, NULL) && EVP_PKEY_assign_RSA(server.key, rsa));
	spec.key = server.key;
	spec.issuer_key = root.key;
	server.cert = certs_make(&spec);
	search_init(&w);
	anchor(&w, &root);
	offer(&w, &server);
	finds_none(&w, X509_V_ERR_CERT_REJECTED);
	assert_non_null(strstr(w.verdict.reason, "too long"));
	search_deinit(&w);
	entity_free(&root);
	entity_free(&server);
}

/* --- trust ---------------------------------------------------------------------------------- */

static void OC_35_a_partial_chain_has_to_be_asked_for(void **state)
{
	struct usual u;
	struct search_world w;

	usual_init(&u);
	search_init(&w);
	anchor(&w, &u.intermediate);
	offer(&w, &u.server);
	finds_none(&w, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	w.request.partial_chain = true;
	w.request.depth = 0; /* the anchor is no intermediate */
	finds(&w, PATH(&u.server, &u.intermediate));
	anchor(&w, &u.server);
	finds(&w, PATH(&u.server));
	/* Without it, a trusted intermediate helps on the way to its root. */
	w.request.partial_chain = false;
	finds_none(&w, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY);
	anchor(&w, &u.root);
	w.request.depth = 1;
	finds(&w, PATH(&u.server, &u.intermediate, &u.root));
	search_deinit(&w);
	usual_deinit(&u);
}

static void OC_40_what_an_anchor_may_not_be(void **state)
{
	static const struct {
		struct cert_spec spec;
		int x509_error;
	} cases[] = {
		{ { .cn = "Root", .key_usage = "keyCertSign" }, X509_V_ERR_INVALID_CA },
		{ { .cn = "Root",
		    .ca = true,
		    .extra_nid = NID_sinfo_access,
		    .extra = "critical,caRepository;URI:http://x.test/" },
		  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
		{ { .cn = "Root", .ca = true, .from_s = -20, .to_s = -10 },
		  X509_V_ERR_CERT_HAS_EXPIRED },
		{ { .cn = "Root", .ca = true, .name_constraints = "excluded;DNS:localhost" },
		  X509_V_ERR_EXCLUDED_VIOLATION },
		{ { .cn = "Root", .ca = true, .name_constraints = "permitted;DNS:localhost" },
		  X509_V_OK },
	};
	struct entity root, server;
	struct search_world w;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		root = certify(cases[i].spec, CERT_KEY_P256, NULL);
		server = certify((struct cert_spec){ .cn = "x", .san = "DNS:localhost" },
				 CERT_KEY_P256, &root);
		search_init(&w);
		anchor(&w, &root);
		offer(&w, &server);
		if (cases[i].x509_error)
			finds_none(&w, cases[i].x509_error);
		else
			finds(&w, PATH(&server, &root));
		search_deinit(&w);
		entity_free(&root);
		entity_free(&server);
	}
}

/* --- constraints on addresses and wildcards -------------------------------------------------- */

static void OC_37_constraints_that_boringssl_does_not_compare(void **state)
{
	static const struct {
		const char *constraints, *san, *name;
		int x509_error;
	} cases[] = {
		{ "critical,permitted;IP:192.0.2.0/255.255.255.0", "IP:192.0.2.7", "192.0.2.7",
		  X509_V_OK },
		{ "critical,permitted;IP:192.0.2.0/255.255.255.0", "IP:192.0.3.7", "192.0.3.7",
		  X509_V_ERR_PERMITTED_VIOLATION },
		{ "critical,excluded;IP:192.0.2.0/255.255.255.0", "IP:192.0.2.7", "192.0.2.7",
		  X509_V_ERR_EXCLUDED_VIOLATION },
		{ "critical,excluded;IP:192.0.2.0/255.255.255.0", "DNS:localhost", "localhost",
		  X509_V_OK },
		/* Another kind on the same path is still compared. */
		{ "critical,permitted;IP:192.0.2.0/255.255.255.0,excluded;DNS:localhost",
		  "IP:192.0.2.7,DNS:localhost", "192.0.2.7", X509_V_ERR_EXCLUDED_VIOLATION },
		/* The wildcard would be for the name that is excluded. */
		{ "critical,excluded;DNS:bad.example.test", "DNS:*.example.test",
		  "bad.example.test", X509_V_ERR_EXCLUDED_VIOLATION },
	};
	struct entity root = new_ca("Root", NULL), ca, server;
	struct search_world w;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ca = certify((struct cert_spec){ .cn = "I",
						 .ca = true,
						 .name_constraints = cases[i].constraints },
			     CERT_KEY_P256, &root);
		server = certify((struct cert_spec){ .cn = "x", .san = cases[i].san },
				 CERT_KEY_P256, &ca);
		search_init(&w);
		w.request.name = cases[i].name;
		anchor(&w, &root);
		offer(&w, &server);
		offer(&w, &ca);
		if (cases[i].x509_error)
			finds_none(&w, cases[i].x509_error);
		else
			finds(&w, PATH(&server, &ca, &root));
		search_deinit(&w);
		entity_free(&ca);
		entity_free(&server);
	}
	entity_free(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_40_an_expired_alternative_is_no_obstacle),
		cmocka_unit_test(OC_40_over_a_cross_signed_root),
		cmocka_unit_test(OC_40_an_issuer_of_the_same_name_is_passed_over),
		cmocka_unit_test(OC_40_key_identifiers_choose),
		cmocka_unit_test(OC_40_a_path_that_may_not_name_it_is_passed_over),
		cmocka_unit_test(OC_40_certificates_in_a_circle),
		cmocka_unit_test(OC_40_a_crowd_of_one_name),
		cmocka_unit_test(OC_40_signatures_have_a_limit),
		cmocka_unit_test(OC_40_signatures_have_a_limit_where_steps_are_few),
		cmocka_unit_test(OC_40_certificates_have_a_limit),
		cmocka_unit_test(OC_40_a_key_has_a_limit),
		cmocka_unit_test(OC_35_a_partial_chain_has_to_be_asked_for),
		cmocka_unit_test(OC_40_what_an_anchor_may_not_be),
		cmocka_unit_test(OC_37_constraints_that_boringssl_does_not_compare),
	};

	return cmocka_run_group_tests_name("unit/verify-path", tests, NULL, NULL);
}
