/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path validation: which chains are accepted, which are not, and what the peer and the program are
 * told.
 */
#include "bssl/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/nid.h>
#include <openssl/x509.h>

#include "core/sys.h"
#include "options/pem.h"
#include "support/verify_world.h"
#include "tls/control.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* --- whether to verify at all --------------------------------------------------------------- */

static void CL_02_OC_40_a_valid_chain_is_accepted(void **state)
{
	struct usual u;

	usual_init(&u);
	accepts(&u.w, "localhost");
	accepts(&u.w, NULL);
	send_cert(&u.w, &u.root); /* needless, but nothing wrong with it */
	accepts(&u.w, "localhost");
	usual_deinit(&u);
}

static void CL_01_SV_06_verify_none_accepts_everything(void **state)
{
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	w.profile.verify_peer = false;
	accepts(&w, "localhost");
	send_der(&w, (const uint8_t *)"nonsense", 8);
	accepts(&w, "localhost");
	world_deinit(&w);
}

static void SV_09_no_certificate(void **state)
{
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	refuses(&w, NULL, SLUICE_E_NO_PEERCERT, SLUICE_ALERT_CERTIFICATE_REQUIRED, 0);
	world_deinit(&w);

	world_init(&w, SLUICE_SERVER);
	accepts(&w, NULL);
	w.profile.fail_if_no_peer_cert = true;
	refuses(&w, NULL, SLUICE_E_NO_PEERCERT, SLUICE_ALERT_CERTIFICATE_REQUIRED, 0);
	sk_CRYPTO_BUFFER_free(w.chain);
	w.chain = NULL;
	refuses(&w, NULL, SLUICE_E_NO_PEERCERT, SLUICE_ALERT_CERTIFICATE_REQUIRED, 0);
	world_deinit(&w);
}

/* --- depth ---------------------------------------------------------------------------------- */

/* Option depth counts intermediates: 0 is the peer's certificate issued by a trusted one. */
static void OC_22_depth_counts_intermediates(void **state)
{
	struct entity cas[6], server;
	struct world w;
	int n, depth, i;

	cas[0] = new_ca("Root", NULL);
	for (i = 1; i < 6; i++)
		cas[i] = new_ca((const char *[]){ "", "A", "B", "C", "D", "E" }[i], &cas[i - 1]);
	for (n = 0; n < 6; n++) { /* n intermediates */
		server = new_server(&cas[n]);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &cas[0]);
		send_cert(&w, &server);
		for (i = n; i > 0; i--)
			send_cert(&w, &cas[i]);
		for (depth = 0; depth < 7; depth++) {
			w.profile.depth = depth;
			if (depth >= n)
				accepts(&w, "localhost");
			else
				refuses(&w, "localhost", SLUICE_E_VERIFY,
					SLUICE_ALERT_BAD_CERTIFICATE,
					X509_V_ERR_CERT_CHAIN_TOO_LONG);
		}
		world_deinit(&w);
		entity_free(&server);
	}
	for (i = 0; i < 6; i++)
		entity_free(&cas[i]);
}

/* A CA that changes its key issues a certificate to itself; RFC 5280, 6.1 does not count it. */
static void OC_22_self_issued_certificates_do_not_count(void **state)
{
	struct entity root = new_ca("Root", NULL), old = new_ca("CA", &root);
	struct entity renewed = new_ca("CA", &old), server = new_server(&renewed);
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &server);
	send_cert(&w, &renewed);
	send_cert(&w, &old);
	w.profile.depth = 1;
	accepts(&w, "localhost");
	w.profile.depth = 0;
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_CERT_CHAIN_TOO_LONG);
	world_deinit(&w);
	entity_free(&root);
	entity_free(&old);
	entity_free(&renewed);
	entity_free(&server);
}

/* --- trust ---------------------------------------------------------------------------------- */

static void OC_35_unknown_authorities(void **state)
{
	struct usual u;
	struct entity other = new_ca("Other", NULL);
	struct world w;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &other);
	send_cert(&w, &u.server);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	send_cert(&w, &u.intermediate);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	send_cert(&w, &u.root);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA,
		X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN);
	world_deinit(&w);

	/* The right root, but the intermediate is missing. */
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &u.root);
	send_cert(&w, &u.server);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	world_deinit(&w);

	/* No trust at all. */
	world_init(&w, SLUICE_CLIENT);
	send_cert(&w, &u.server);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	X509_STORE_free(w.profile.trust);
	w.profile.trust = NULL;
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	world_deinit(&w);

	/* Same names, another key. */
	world_init(&w, SLUICE_CLIENT);
	entity_free(&other);
	other = new_ca("Root", NULL);
	trust(&w, &other);
	send_cert(&w, &u.server);
	send_cert(&w, &u.intermediate);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	world_deinit(&w);
	entity_free(&other);
	usual_deinit(&u);
}

/* Nor is an intermediate an anchor because somebody has put it among the trusted ones. */
static void OC_35_a_trusted_intermediate_does_not_replace_its_root(void **state)
{
	struct usual u;
	struct world w;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &u.intermediate);
	send_cert(&w, &u.server);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_UNKNOWN_CA, 0);
	trust(&w, &u.root);
	accepts(&w, "localhost");
	world_deinit(&w);
	usual_deinit(&u);
}

static void OC_36_a_self_signed_peer(void **state)
{
	struct entity server = new_server(NULL);
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	send_cert(&w, &server);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
	/* Unless it is trusted as it is. */
	trust(&w, &server);
	w.profile.depth = 0;
	accepts(&w, "localhost");
	refuses(&w, "elsewhere.test", SLUICE_E_HOSTNAME, SLUICE_ALERT_BAD_CERTIFICATE, 0);
	world_deinit(&w);
	entity_free(&server);
}

/* --- what is wrong with a certificate ------------------------------------------------------- */

static int64_t frozen_s;

static int64_t frozen_clock(void)
{
	return frozen_s;
}

static void OC_37_time(void **state)
{
	struct sys_ops ops = sys_real;
	struct usual u;
	int64_t from_s, to_s;

	usual_init(&u);
	assert_true(pem_time(X509_get0_notBefore(u.server.cert), &from_s));
	assert_true(pem_time(X509_get0_notAfter(u.server.cert), &to_s));
	ops.wall_s = frozen_clock;
	sys = &ops;
	frozen_s = to_s - 1;
	accepts(&u.w, "localhost");
	frozen_s = to_s; /* RFC 5280, 4.1.2.5: inclusive */
	accepts(&u.w, "localhost");
	refuses(&u.w, "elsewhere.test", SLUICE_E_HOSTNAME, SLUICE_ALERT_BAD_CERTIFICATE, 0);
	frozen_s = to_s + 5;
	refuses(&u.w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED,
		X509_V_ERR_CERT_HAS_EXPIRED);
	frozen_s = from_s - 5;
	refuses(&u.w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED,
		X509_V_ERR_CERT_NOT_YET_VALID);
	sys = &sys_real;
	usual_deinit(&u);
}

static void OC_37_a_signature_that_does_not_fit(void **state)
{
	struct usual u;
	struct world w;
	uint8_t *der = NULL;
	int len;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &u.root);
	len = i2d_X509(u.server.cert, &der);
	der[len - 1] ^= 1;
	send_der(&w, der, (size_t)len);
	send_cert(&w, &u.intermediate);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_CERT_SIGNATURE_FAILURE);
	OPENSSL_free(der);
	world_deinit(&w);
	usual_deinit(&u);
}

static void certificates_that_are_none(void **state)
{
	struct usual u;
	struct world w;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &u.root);
	send_cert(&w, &u.server);
	send_cert(&w, &u.intermediate);
	send_der(&w, (const uint8_t *)"\x30\x00", 2);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_CERT_REJECTED);
	assert_non_null(strstr(w.err.text, "issuer 2"));
	world_deinit(&w);
	usual_deinit(&u);
}

/* What a CA or leaf may say that makes the chain invalid; the usual chain but for one certificate. */
static const struct defect {
	bool in_ca; /* in the intermediate; else in the leaf */
	struct cert_spec spec;
	int alert, x509_error;
} defects[] = {
	{ true,
	  { .cn = "I" },
	  SLUICE_ALERT_UNKNOWN_CA,
	  X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY },
	{ true,
	  { .cn = "I", .ca = true, .name_constraints = "critical,permitted;DNS:other.test" },
	  SLUICE_ALERT_BAD_CERTIFICATE,
	  X509_V_ERR_PERMITTED_VIOLATION },
	{ true,
	  { .cn = "I", .ca = true, .name_constraints = "critical,excluded;DNS:localhost" },
	  SLUICE_ALERT_BAD_CERTIFICATE,
	  X509_V_ERR_EXCLUDED_VIOLATION },
	{ true,
	  { .cn = "I", .ca = true, .eku = "clientAuth" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_INVALID_PURPOSE },
	{ true,
	  { .cn = "I", .ca = true, .from_s = -20, .to_s = -10 },
	  SLUICE_ALERT_CERTIFICATE_EXPIRED,
	  X509_V_ERR_CERT_HAS_EXPIRED },
	{ true,
	  { .cn = "I",
	    .ca = true,
	    .extra_nid = NID_policy_constraints,
	    .extra = "critical,requireExplicitPolicy:0" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
	{ true,
	  { .cn = "I", .ca = true, .extra_nid = NID_inhibit_any_policy, .extra = "critical,0" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
	{ true,
	  { .cn = "I",
	    .ca = true,
	    .extra_nid = NID_sinfo_access,
	    .extra = "critical,caRepository;URI:http://x.test/" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
	{ false,
	  { .cn = "server",
	    .san = SERVER_NAMES,
	    .extra_nid = NID_sinfo_access,
	    .extra = "critical,caRepository;URI:http://x.test/" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
	{ false,
	  { .cn = "server", .san = SERVER_NAMES, .eku = "clientAuth" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_INVALID_PURPOSE },
	{ false,
	  { .cn = "server", .san = SERVER_NAMES, .eku = "codeSigning" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_INVALID_PURPOSE },
	/* And what is not wrong. */
	{ true, { .cn = "I", .ca = true, .path_len = 1 }, 0, 0 },
	{ true, { .cn = "I", .ca = true, .name_constraints = "permitted;DNS:localhost" }, 0, 0 },
	{ true,
	  { .cn = "I",
	    .ca = true,
	    .extra_nid = NID_sinfo_access,
	    .extra = "caRepository;URI:http://x.test/" },
	  0,
	  0 },
	{ true,
	  { .cn = "I",
	    .ca = true,
	    .extra_nid = NID_policy_constraints,
	    .extra = "requireExplicitPolicy:0" },
	  SLUICE_ALERT_UNSUPPORTED_CERTIFICATE,
	  X509_V_ERR_UNHANDLED_CRITICAL_EXTENSION },
	{ false, { .cn = "server", .san = SERVER_NAMES }, 0, 0 },
	{ false, { .cn = "server", .san = SERVER_NAMES, .eku = "serverAuth,clientAuth" }, 0, 0 },
};

static void OC_37_OC_41_defects_of_certificates(void **state)
{
	struct entity root = new_ca("Root", NULL), intermediate, server;
	struct world w;
	size_t i;

	for (i = 0; i < ARRAY_LEN(defects); i++) {
		intermediate = defects[i].in_ca ? certify(defects[i].spec, CERT_KEY_P256, &root)
						: new_ca("I", &root);
		server = defects[i].in_ca ? certify((struct cert_spec){ .cn = "server",
									.san = "DNS:localhost" },
						    CERT_KEY_P256, &intermediate)
					  : certify(defects[i].spec, CERT_KEY_P256, &intermediate);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		send_cert(&w, &intermediate);
		if (defects[i].alert)
			refuses(&w, "localhost", SLUICE_E_VERIFY, defects[i].alert,
				defects[i].x509_error);
		else
			accepts(&w, "localhost");
		world_deinit(&w);
		entity_free(&server);
		entity_free(&intermediate);
	}
	entity_free(&root);
}

static void OC_37_path_length_constraint(void **state)
{
	struct entity root, a, b, server;
	struct world w;

	root = new_ca("Root", NULL);
	a = certify((struct cert_spec){ .cn = "A", .ca = true, .path_len = 1 }, CERT_KEY_P256,
		    &root);
	b = new_ca("B", &a);
	server = new_server(&b);
	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &server);
	send_cert(&w, &b);
	send_cert(&w, &a);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_PATH_LENGTH_EXCEEDED);
	world_deinit(&w);
	entity_free(&root);
	entity_free(&a);
	entity_free(&b);
	entity_free(&server);
}

/* BoringSSL looks at no constraint of a self-issued certificate: a root's, or that of a CA with a new key. */
static void OC_37_path_length_constraint_of_roots_and_self_issued(void **state)
{
	struct entity root, again, a, server;
	struct world w;
	int limit;

	for (limit = 0; limit < 4; limit++) {
		root = certify((struct cert_spec){ .cn = "Root",
						   .ca = true,
						   .path_len = limit & 1 ? 1 : 0 },
			       CERT_KEY_P256, NULL);
		again = certify((struct cert_spec){ .cn = "Root",
						    .ca = true,
						    .path_len = limit & 2 ? 1 : 2 },
				CERT_KEY_P256, &root);
		a = new_ca("A", &again);
		server = new_server(&a);
		world_init(&w, SLUICE_CLIENT);
		trust(&w, &root);
		send_cert(&w, &server);
		send_cert(&w, &a);
		send_cert(&w, &again);
		if (limit)
			refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
				X509_V_ERR_PATH_LENGTH_EXCEEDED);
		else
			accepts(&w, "localhost");
		world_deinit(&w);
		entity_free(&root);
		entity_free(&again);
		entity_free(&a);
		entity_free(&server);
	}
}

/* --- client certificates -------------------------------------------------------------------- */

static void SV_07_SV_08_certificates_of_clients(void **state)
{
	struct entity root = new_ca("Root", NULL), client;
	static const struct {
		const char *eku;
		int alert;
	} cases[] = {
		{ "clientAuth", 0 },
		{ NULL, 0 },
		{ "serverAuth,clientAuth", 0 },
		{ "serverAuth", SLUICE_ALERT_UNSUPPORTED_CERTIFICATE },
		{ "emailProtection", SLUICE_ALERT_UNSUPPORTED_CERTIFICATE },
	};
	struct world w;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		client = certify((struct cert_spec){ .cn = "client", .eku = cases[i].eku },
				 CERT_KEY_P256, &root);
		world_init(&w, SLUICE_SERVER);
		trust(&w, &root);
		send_cert(&w, &client);
		if (cases[i].alert)
			refuses(&w, NULL, SLUICE_E_VERIFY, cases[i].alert,
				X509_V_ERR_INVALID_PURPOSE);
		else
			accepts(&w, NULL);
		world_deinit(&w);
		entity_free(&client);
	}
	entity_free(&root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_02_OC_40_a_valid_chain_is_accepted),
		cmocka_unit_test(CL_01_SV_06_verify_none_accepts_everything),
		cmocka_unit_test(SV_09_no_certificate),
		cmocka_unit_test(OC_22_depth_counts_intermediates),
		cmocka_unit_test(OC_22_self_issued_certificates_do_not_count),
		cmocka_unit_test(OC_35_unknown_authorities),
		cmocka_unit_test(OC_35_a_trusted_intermediate_does_not_replace_its_root),
		cmocka_unit_test(OC_36_a_self_signed_peer),
		cmocka_unit_test(OC_37_time),
		cmocka_unit_test(OC_37_a_signature_that_does_not_fit),
		cmocka_unit_test(certificates_that_are_none),
		cmocka_unit_test(OC_37_OC_41_defects_of_certificates),
		cmocka_unit_test(OC_37_path_length_constraint),
		cmocka_unit_test(OC_37_path_length_constraint_of_roots_and_self_issued),
		cmocka_unit_test(SV_07_SV_08_certificates_of_clients),
	};

	return cmocka_run_group_tests_name("unit/verify", tests, NULL, NULL);
}
