/* SPDX-License-Identifier: Apache-2.0 */
/* What a program that is asked hears of a chain: everything, by the rules that hold without one. */
#include "support/verify_world.h"

static struct verify_report *examine(struct world *w, const char *name)
{
	struct verify_input in = asked(w, name);
	struct verify_report *report;

	if (verify_report(&in, &report, &w->alert, &w->err) < 0)
		fail_msg("%s", w->err.text);
	assert_non_null(report);
	assert_non_null(report->path);
	return report;
}

static bool has(const struct verify_report *report, int reason)
{
	size_t i;

	for (i = 0; i < report->n; i++)
		if (report->findings[i].reason == reason)
			return true;
	return false;
}

static void nothing_is_wrong_with_a_valid_chain(void **state)
{
	struct verify_report *report;
	struct usual u;

	usual_init(&u);
	report = examine(&u.w, "a.example.test");
	assert_int_equal(report->n, 0);
	assert_true(report->anchored);
	assert_int_equal(sk_X509_num(report->path), 3);
	verify_report_free(report);
	usual_deinit(&u);
}

/* Who lets an unknown CA pass has not said what wildcards stand for. */
static void names_are_compared_by_the_rule_of_the_profile(void **state)
{
	struct verify_report *report;
	struct world w;
	struct usual u;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	send_cert(&w, &u.server);
	send_cert(&w, &u.intermediate);
	report = examine(&w, "a.example.test");
	assert_true(has(report, SLUICE_BAD_CERT_UNKNOWN_CA));
	assert_false(has(report, SLUICE_BAD_CERT_HOSTNAME));
	verify_report_free(report);
	w.profile.name_rule = NAMES_STRICT;
	report = examine(&w, "a.example.test");
	assert_true(has(report, SLUICE_BAD_CERT_UNKNOWN_CA));
	assert_true(has(report, SLUICE_BAD_CERT_HOSTNAME));
	verify_report_free(report);
	world_deinit(&w);
	usual_deinit(&u);
}

static void a_name_that_is_none_is_told(void **state)
{
	static const char *const names[] = { "", ".", "127.1", "a..example.test" };
	struct verify_report *report;
	struct usual u;
	size_t i;

	usual_init(&u);
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		report = examine(&u.w, names[i]);
		assert_int_equal(report->n, 1);
		assert_true(has(report, SLUICE_BAD_CERT_HOSTNAME));
		verify_report_free(report);
	}
	usual_deinit(&u);
}

/* Nobody can be asked about it: there is no certificate to ask about. */
static void what_is_about_no_certificate_is_refused(void **state)
{
	struct verify_report report = { .all = true };

	assert_null(verify_fatal(&report));
	verify_note(&report, SLUICE_BAD_CERT_HOSTNAME, X509_V_ERR_HOSTNAME_MISMATCH, 0, NULL);
	assert_ptr_equal(verify_fatal(&report), &report.findings[0]);
}

/* The key and name of @who, certified by @issuer. */
static struct entity twin(const struct entity *who, const char *cn, const struct entity *issuer,
			  int to_s)
{
	struct cert_spec spec = {
		.cn = cn,
		.ca = true,
		.from_s = -20,
		.to_s = to_s,
		.key = who->key,
		.issuer = issuer->cert,
		.issuer_key = issuer->key,
	};

	EVP_PKEY_up_ref(who->key);
	return (struct entity){ certs_make(&spec), who->key };
}

/* BoringSSL takes the first certificate that fits, which leads nowhere; the verdict is about the other. */
static void the_path_is_that_of_the_verdict(void **state)
{
	struct entity root = new_ca("Root", NULL), other = new_ca("Other", NULL);
	struct entity ca = new_ca("I", &root), server = new_server(&ca);
	struct entity stray = twin(&ca, "I", &other, 1000), old = twin(&ca, "I", &root, -10);
	struct verify_report *report;
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &server);
	send_cert(&w, &stray);
	send_cert(&w, &old);
	refuses(&w, "localhost", SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED,
		X509_V_ERR_CERT_HAS_EXPIRED);
	report = examine(&w, "localhost");
	assert_true(report->anchored);
	assert_int_equal(sk_X509_num(report->path), 3);
	assert_int_equal(X509_cmp(sk_X509_value(report->path, 1), old.cert), 0);
	assert_int_equal(X509_cmp(sk_X509_value(report->path, 2), root.cert), 0);
	assert_int_equal(report->n, 1);
	assert_int_equal(report->findings[0].reason, SLUICE_BAD_CERT_EXPIRED);
	assert_int_equal(report->findings[0].index, 1);
	verify_report_free(report);
	world_deinit(&w);
	entity_free(&root);
	entity_free(&other);
	entity_free(&ca);
	entity_free(&server);
	entity_free(&stray);
	entity_free(&old);
}

/* A root that was sent and is not trusted is a certificate of the path: a program can be asked about it. */
static void a_root_that_is_not_trusted_is_on_the_path(void **state)
{
	struct verify_report *report;
	struct world w;
	struct usual u;

	usual_init(&u);
	world_init(&w, SLUICE_CLIENT);
	send_cert(&w, &u.server);
	send_cert(&w, &u.intermediate);
	send_cert(&w, &u.root);
	report = examine(&w, "localhost");
	assert_false(report->anchored);
	assert_int_equal(sk_X509_num(report->path), 3);
	assert_int_equal(report->n, 1);
	assert_int_equal(report->findings[0].reason, SLUICE_BAD_CERT_UNKNOWN_CA);
	assert_int_equal(report->findings[0].index, 2);
	verify_report_free(report);
	world_deinit(&w);
	usual_deinit(&u);
}

/* BoringSSL says of no certificate that it is at fault; a program is asked about the peer's own. */
static void names_that_are_missing_are_the_fault_of_the_peer(void **state)
{
	struct entity root = certify(
		(struct cert_spec){ .cn = "Root",
				    .ca = true,
				    .name_constraints = "critical,permitted;DNS:example.test" },
		CERT_KEY_P256, NULL);
	struct entity server =
		certify((struct cert_spec){ .cn = "www.example.test" }, CERT_KEY_P256, &root);
	struct verify_report *report;
	struct world w;

	world_init(&w, SLUICE_CLIENT);
	trust(&w, &root);
	send_cert(&w, &server);
	refuses(&w, NULL, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE,
		X509_V_ERR_NAME_CONSTRAINTS_WITHOUT_SANS);
	report = examine(&w, NULL);
	assert_int_equal(report->n, 1);
	assert_int_equal(report->findings[0].x509_error, X509_V_ERR_NAME_CONSTRAINTS_WITHOUT_SANS);
	assert_int_equal(report->findings[0].index, 0);
	verify_report_free(report);
	world_deinit(&w);
	entity_free(&root);
	entity_free(&server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_wrong_with_a_valid_chain),
		cmocka_unit_test(names_are_compared_by_the_rule_of_the_profile),
		cmocka_unit_test(a_name_that_is_none_is_told),
		cmocka_unit_test(what_is_about_no_certificate_is_refused),
		cmocka_unit_test(the_path_is_that_of_the_verdict),
		cmocka_unit_test(a_root_that_is_not_trusted_is_on_the_path),
		cmocka_unit_test(names_that_are_missing_are_the_fault_of_the_peer),
	};

	return cmocka_run_group_tests_name("unit/verify-report", tests, NULL, NULL);
}
