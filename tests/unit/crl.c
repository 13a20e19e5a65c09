/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CRLs against a path: which certificates are looked up, which CRLs are evidence, and what the peer
 * and the program are told. The cases are those of NIST's PKITS, 4.4 and 4.14 and 4.15.
 */
#include "crl/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "core/sys.h"
#include "support/crls.h"
#include "support/verify_world.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define URI "http://crl.example.test/one.crl"

/* struct revocation - root -> intermediate -> server, a cache, and CRLs that are put into it. */
struct revocation {
	struct usual u;
	struct sluice_crl_db *db;
};

static void set_mode(struct revocation *r, enum crl_mode mode)
{
	r->u.w.profile.crl.mode = mode;
}

/* As usual_init(), but the server has another extension. */
static void init(struct revocation *r, enum crl_mode mode, int extra_nid, const char *extra)
{
	struct cert_spec spec = { .cn = "server", .san = SERVER_NAMES, .eku = "serverAuth" };

	spec.extra_nid = extra_nid;
	spec.extra = extra;
	r->u.root = new_ca("Root", NULL);
	r->u.intermediate = new_ca("Intermediate", &r->u.root);
	r->u.server = certify(spec, CERT_KEY_P256, &r->u.intermediate);
	world_init(&r->u.w, SLUICE_CLIENT);
	trust(&r->u.w, &r->u.root);
	send_cert(&r->u.w, &r->u.server);
	send_cert(&r->u.w, &r->u.intermediate);
	assert_int_equal(sluice_crl_db_new(&r->db), 0);
	r->u.w.profile.crl = (struct crl_check){ mode, &sluice_crl_internal_ops, r->db, "" };
}

static void deinit(struct revocation *r)
{
	usual_deinit(&r->u);
	sluice_crl_db_free(r->db);
}

/* Puts a CRL by @ca into the cache. */
static void put(struct revocation *r, const struct entity *ca, struct crl_spec spec)
{
	struct sluice_error err;
	uint8_t *der;
	size_t len;

	spec.issuer = ca->cert;
	if (!spec.key)
		spec.key = ca->key;
	der = crls_make(&spec, &len);
	if (sluice_crl_insert_der(r->db, der, len, &err) < 0)
		fail_msg("%s", err.text);
	free(der);
}

/* Puts empty CRLs by both CAs. */
static void put_empty(struct revocation *r)
{
	put(r, &r->u.root, (struct crl_spec){ 0 });
	put(r, &r->u.intermediate, (struct crl_spec){ 0 });
}

static void is_revoked(struct revocation *r, const char *says)
{
	refuses(&r->u.w, NULL, SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_REVOKED,
		X509_V_ERR_CERT_REVOKED);
	assert_int_equal(r->u.w.err.bad_cert, SLUICE_BAD_CERT_REVOKED);
	if (!strstr(r->u.w.err.text, says))
		fail_msg("\"%s\" in \"%s\"", says, r->u.w.err.text);
}

/* Demands that the status is open: refused, but for best_effort. */
static void is_open(struct revocation *r, int x509_error, const char *says)
{
	enum crl_mode mode = r->u.w.profile.crl.mode;

	refuses(&r->u.w, NULL, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, x509_error);
	assert_int_equal(r->u.w.err.bad_cert, SLUICE_BAD_CERT_REVOCATION_UNDETERMINED);
	if (!strstr(r->u.w.err.text, "undetermined: ") || !strstr(r->u.w.err.text, says))
		fail_msg("\"%s\" in \"%s\"", says, r->u.w.err.text);
	set_mode(r, CRL_CHECK_BEST_EFFORT);
	accepts(&r->u.w, NULL);
	set_mode(r, mode);
}

/* --- which certificates ----------------------------------------------------------------------- */

static void CR_02_without_crl_check_nothing_is_looked_up(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_FALSE, 0, NULL);
	accepts(&r.u.w, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert });
	accepts(&r.u.w, NULL);
	deinit(&r);
}

static void CR_03_CR_06_every_certificate_but_the_anchor_is_checked(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_TRUE, 0, NULL);
	is_open(&r, X509_V_ERR_UNABLE_TO_GET_CRL, "there is no CRL of its issuer");
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	is_open(&r, X509_V_ERR_UNABLE_TO_GET_CRL, "there is no CRL of its issuer");
	verify(&r.u.w, NULL);
	assert_non_null(strstr(r.u.w.err.text, "issuer 1"));
	put(&r, &r.u.root, (struct crl_spec){ 0 });
	accepts(&r.u.w, NULL);
	put(&r, &r.u.root, (struct crl_spec){ .revoked = r.u.intermediate.cert });
	is_revoked(&r, "issuer 1 of the peer's certificate: it has been revoked");
	deinit(&r);
}

static void CR_03_the_anchor_needs_no_crl_and_no_crl_revokes_it(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_TRUE, 0, NULL);
	put_empty(&r);
	put(&r, &r.u.root, (struct crl_spec){ .revoked = r.u.root.cert });
	accepts(&r.u.w, NULL);
	deinit(&r);
}

static void CR_04_CR_06_peer_checks_the_peer_alone(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	is_open(&r, X509_V_ERR_UNABLE_TO_GET_CRL, "there is no CRL of its issuer");
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	accepts(&r.u.w, NULL);
	put(&r, &r.u.root, (struct crl_spec){ .revoked = r.u.intermediate.cert });
	accepts(&r.u.w, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert });
	is_revoked(&r, "the peer's certificate: it has been revoked");
	deinit(&r);
}

static void CR_05_best_effort_accepts_what_is_open_but_not_what_is_revoked(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_BEST_EFFORT, 0, NULL);
	accepts(&r.u.w, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .from_s = -7200, .to_s = -3600 });
	accepts(&r.u.w, NULL);
	put(&r, &r.u.root, (struct crl_spec){ .revoked = r.u.intermediate.cert });
	is_revoked(&r, "it has been revoked"); /* although the peer's own status is open */
	deinit(&r);
}

static void CR_04_OC_38_the_reason_is_told(void **state)
{
	static const struct {
		int reason;
		const char *says;
	} reasons[] = {
		{ 0, "revoked" },
		{ CRL_REASON_KEY_COMPROMISE + 1, "revoked: keyCompromise" },
		{ CRL_REASON_CERTIFICATE_HOLD + 1, "revoked: certificateHold" },
		{ CRL_REASON_AA_COMPROMISE + 1, "revoked: aACompromise" },
		/* Only deltas may take something back. */
		{ CRL_REASON_REMOVE_FROM_CRL + 1, "revoked" },
		{ 200, "revoked" },
	};
	struct crl_spec spec = { 0 };
	struct revocation r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(reasons); i++) {
		init(&r, CRL_CHECK_PEER, 0, NULL);
		spec.reason = reasons[i].reason;
		spec.revoked = r.u.server.cert;
		put(&r, &r.u.intermediate, spec);
		is_revoked(&r, reasons[i].says);
		assert_int_equal(r.u.w.err.crl_reason, spec.reason ? spec.reason - 1 : 0);
		deinit(&r);
	}
}

/* --- what is evidence ------------------------------------------------------------------------- */

static void CR_25_a_crl_by_another_key_is_no_evidence(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .key = r.u.root.key });
	is_open(&r, X509_V_ERR_CRL_SIGNATURE_FAILURE, "the CRL's signature is wrong");
	/* Nor can it refuse anybody. */
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .key = r.u.root.key, .revoked = r.u.server.cert });
	is_open(&r, X509_V_ERR_CRL_SIGNATURE_FAILURE, "the CRL's signature is wrong");
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	accepts(&r.u.w, NULL);
	deinit(&r);
}

static void CR_25_a_weak_signature_is_no_evidence(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .md = EVP_sha1() });
	is_open(&r, X509_V_ERR_CRL_SIGNATURE_FAILURE, "too weak");
	deinit(&r);
}

static void CR_25_an_issuer_that_may_not_sign_crls(void **state)
{
	struct revocation r;
	X509_EXTENSION *ext;
	int at;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	/* The intermediate once more, with keyCertSign alone. */
	at = X509_get_ext_by_NID(r.u.intermediate.cert, NID_key_usage, -1);
	X509_EXTENSION_free(X509_delete_ext(r.u.intermediate.cert, at));
	ext = X509V3_EXT_nconf_nid(NULL, NULL, NID_key_usage, "critical,keyCertSign");
	assert_int_equal(X509_add_ext(r.u.intermediate.cert, ext, -1), 1);
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(r.u.intermediate.cert, r.u.root.key, EVP_sha256()));
	sk_CRYPTO_BUFFER_pop_free(r.u.w.chain, CRYPTO_BUFFER_free);
	r.u.w.chain = sk_CRYPTO_BUFFER_new_null();
	send_cert(&r.u.w, &r.u.server);
	send_cert(&r.u.w, &r.u.intermediate);
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert });
	is_open(&r, X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, "its issuer may not sign CRLs");
	deinit(&r);
}

/* A CA that has changed its key: the peer has a certificate by one, the CRL is signed by the other. */
static void CR_03_a_ca_that_has_changed_its_key(void **state)
{
	struct entity root = new_ca("Root", NULL), old = new_ca("CA", &root);
	struct entity renewed = new_ca("CA", &old), server = new_server(&renewed);
	struct revocation r = { .u = { .root = root, .intermediate = old, .server = server } };

	world_init(&r.u.w, SLUICE_CLIENT);
	trust(&r.u.w, &root);
	send_cert(&r.u.w, &server);
	send_cert(&r.u.w, &renewed);
	send_cert(&r.u.w, &old);
	assert_int_equal(sluice_crl_db_new(&r.db), 0);
	r.u.w.profile.crl =
		(struct crl_check){ CRL_CHECK_TRUE, &sluice_crl_internal_ops, r.db, "" };
	put(&r, &root, (struct crl_spec){ 0 });
	put(&r, &old, (struct crl_spec){ .key = root.key });
	is_open(&r, X509_V_ERR_CRL_SIGNATURE_FAILURE, "the CRL's signature is wrong");
	put(&r, &old, (struct crl_spec){ 0 });
	accepts(&r.u.w, NULL);
	put(&r, &old, (struct crl_spec){ .revoked = renewed.cert });
	is_revoked(&r, "issuer 1");
	put(&r, &old, (struct crl_spec){ .revoked = server.cert });
	is_revoked(&r, "the peer's certificate");
	entity_free(&renewed);
	deinit(&r);
}

static void CR_25_crls_out_of_their_time(void **state)
{
	static const struct {
		struct crl_spec spec;
		int x509_error;
		const char *says;
	} cases[] = {
		{ { .from_s = -7200, .to_s = -60 }, X509_V_ERR_CRL_HAS_EXPIRED, "has expired" },
		{ { .from_s = 3600, .to_s = 7200 }, X509_V_ERR_CRL_NOT_YET_VALID, "not valid yet" },
		{ { .no_next_update = true }, X509_V_ERR_CRL_HAS_EXPIRED, "has expired" },
	};
	struct revocation r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		init(&r, CRL_CHECK_PEER, 0, NULL);
		put(&r, &r.u.intermediate, cases[i].spec);
		is_open(&r, cases[i].x509_error, cases[i].says);
		deinit(&r);
	}
}

/* --- time ------------------------------------------------------------------------------------- */

static int64_t wall_s;

static int64_t get_wall_s(void)
{
	return wall_s;
}

static void CR_25_a_crl_serves_up_to_its_next_update(void **state)
{
	struct sys_ops table = sys_real;
	int64_t now_s = sys_real.wall_s();
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .from_s = -1000, .to_s = 1000 });
	table.wall_s = get_wall_s;
	sys = &table;
	wall_s = now_s + 900;
	accepts(&r.u.w, NULL);
	wall_s = now_s + 1100;
	is_open(&r, X509_V_ERR_CRL_HAS_EXPIRED, "has expired");
	wall_s = now_s - 1100;
	is_open(&r, X509_V_ERR_CRL_NOT_YET_VALID, "not valid yet");
	sys = &sys_real;
	deinit(&r);
}

/* --- scopes ----------------------------------------------------------------------------------- */

/* struct scope - a CRL of limited scope, and what it says of a server and its issuer. */
static const struct scope {
	const char *idp;
	bool peer, ca; /* whether it is about the peer's certificate, and about a CA's */
} scopes[] = {
	{ "critical,onlyuser:TRUE", true, false },
	{ "critical,onlyCA:TRUE", false, true },
	{ "critical,onlyAA:TRUE", false, false },
	{ "onlyAA:TRUE", false, false },
	{ "critical,fullname:URI:http://crl.example.test/other.crl", false, false },
};

static void check_scope(const struct scope *scope)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .idp = scope->idp });
	if (scope->peer)
		accepts(&r.u.w, NULL);
	else
		is_open(&r, X509_V_ERR_DIFFERENT_CRL_SCOPE, "the CRL is not about it");
	/* A CRL that is not about a certificate does not revoke it either. */
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .idp = scope->idp, .revoked = r.u.server.cert });
	if (scope->peer)
		is_revoked(&r, "revoked");
	else
		is_open(&r, X509_V_ERR_DIFFERENT_CRL_SCOPE, "the CRL is not about it");
	deinit(&r);

	init(&r, CRL_CHECK_TRUE, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	put(&r, &r.u.root, (struct crl_spec){ .idp = scope->idp });
	if (scope->ca)
		accepts(&r.u.w, NULL);
	else
		is_open(&r, X509_V_ERR_DIFFERENT_CRL_SCOPE, "the CRL is not about it");
	deinit(&r);
}

static void crls_are_about_what_they_say(void **state)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(scopes); i++)
		check_scope(&scopes[i]);
}

static void a_partition_is_found_by_its_distribution_point(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, NID_crl_distribution_points, "URI:" URI);
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .idp = "critical,fullname:URI:http://crl.example.test/2.crl" });
	is_open(&r, X509_V_ERR_DIFFERENT_CRL_SCOPE, "the CRL is not about it");
	put(&r, &r.u.intermediate, (struct crl_spec){ .idp = "critical,fullname:URI:" URI });
	accepts(&r.u.w, NULL);
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .idp = "critical,fullname:URI:" URI, .revoked = r.u.server.cert });
	is_revoked(&r, "revoked");
	deinit(&r);
}

static void crls_for_some_reasons_leave_the_rest_open(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .only_reasons = 0x0e });
	is_open(&r, X509_V_ERR_UNABLE_TO_GET_CRL, "for some reasons only");
	put(&r, &r.u.intermediate, (struct crl_spec){ .only_reasons = 0x1f0 });
	accepts(&r.u.w, NULL); /* together they are about all */
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .only_reasons = 0x02, .revoked = r.u.server.cert, .reason = 2 });
	is_revoked(&r, "keyCompromise");
	deinit(&r);

	init(&r, CRL_CHECK_BEST_EFFORT, 0, NULL);
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .only_reasons = 0x02, .revoked = r.u.server.cert });
	is_revoked(&r, "revoked");
	deinit(&r);
}

/* --- several CRLs ----------------------------------------------------------------------------- */

static void CR_21_a_newer_crl_replaces_an_older_one(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .number = 7, .revoked = r.u.server.cert, .reason = 7 });
	is_revoked(&r, "certificateHold");
	put(&r, &r.u.intermediate, (struct crl_spec){ .number = 6 });
	is_revoked(&r, "certificateHold"); /* older */
	put(&r, &r.u.intermediate, (struct crl_spec){ .number = 300 });
	accepts(&r.u.w, NULL); /* released */
	deinit(&r);
}

static void CR_21_what_is_no_evidence_replaces_nothing(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_BEST_EFFORT, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .number = 7, .revoked = r.u.server.cert });
	is_revoked(&r, "revoked");
	put(&r, &r.u.intermediate, (struct crl_spec){ .number = 99, .key = r.u.root.key });
	is_revoked(&r, "revoked");
	put(&r, &r.u.intermediate,
	    (struct crl_spec){ .number = 100, .from_s = -7200, .to_s = -3600 });
	is_revoked(&r, "revoked");
	deinit(&r);
}

static void any_crl_that_lists_it_is_enough(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert });
	is_revoked(&r, "revoked");
	deinit(&r);
}

/* --- operations that fail --------------------------------------------------------------------- */

static int broken_result;
static struct sluice_crl_db *broken_db;

static int broken_select(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
			 struct sluice_crl_found *found)
{
	int r = sluice_crl_internal_ops.select(broken_db, "", issuer, issuer_len, found);

	return r < 0 ? r : broken_result;
}

static const struct sluice_crl_cache_ops broken_ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.select = broken_select,
};

static void CR_05_a_cache_that_fails_leaves_it_open(void **state)
{
	struct revocation r;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ 0 });
	r.u.w.profile.crl.ops = &broken_ops;
	broken_db = r.db;
	broken_result = SLUICE_CRL_NOT_AVAILABLE;
	accepts(&r.u.w, NULL);
	broken_result = -SLUICE_E_FILE;
	is_open(&r, X509_V_ERR_UNABLE_TO_GET_CRL, "CRLs could not be read");
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert });
	is_revoked(&r, "revoked");
	set_mode(&r, CRL_CHECK_BEST_EFFORT);
	is_revoked(&r, "revoked");
	/* Want of memory is our trouble, and nothing that best_effort could accept. */
	broken_result = -SLUICE_E_NOMEM;
	refuses(&r.u.w, NULL, SLUICE_E_NOMEM, SLUICE_ALERT_INTERNAL_ERROR, 0);
	deinit(&r);
}

/* A program that is asked hears of it, whatever else is wrong, and is not asked about the rest. */
static int told_reason;

static int on_event(struct sluice_conn *conn, const struct sluice_verify_event *event, void **state,
		    int *ret_reason)
{
	if (event->type == SLUICE_EVT_BAD_CERT && event->reason == SLUICE_BAD_CERT_REVOKED) {
		told_reason = event->crl_reason;
		return SLUICE_VRET_FAIL;
	}
	return SLUICE_VRET_VALID;
}

static void OC_38_a_program_is_told(void **state)
{
	struct verify_report *report;
	struct verify_walk *walk;
	struct verify_input in;
	struct revocation r;
	size_t i, n = 0;

	init(&r, CRL_CHECK_PEER, 0, NULL);
	put(&r, &r.u.intermediate, (struct crl_spec){ .revoked = r.u.server.cert, .reason = 5 });
	in = asked(&r.u.w, "elsewhere.test");
	assert_int_equal(verify_report(&in, &report, &r.u.w.alert, &r.u.w.err), 0);
	assert_int_equal(report->n, 2);
	for (i = 0; i < report->n; i++)
		n += report->findings[i].reason == SLUICE_BAD_CERT_REVOKED ||
		     report->findings[i].reason == SLUICE_BAD_CERT_HOSTNAME;
	assert_int_equal(n, 2);
	walk = verify_walk_new(report, on_event, NULL);
	assert_non_null(walk);
	told_reason = 0;
	assert_int_equal(verify_walk_run(walk, NULL), -SLUICE_E_VERIFY);
	assert_int_equal(told_reason, CRL_REASON_SUPERSEDED);
	assert_int_equal(walk->refused.crl_reason, CRL_REASON_SUPERSEDED);
	verify_walk_free(walk);
	deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_02_without_crl_check_nothing_is_looked_up),
		cmocka_unit_test(CR_03_CR_06_every_certificate_but_the_anchor_is_checked),
		cmocka_unit_test(CR_03_the_anchor_needs_no_crl_and_no_crl_revokes_it),
		cmocka_unit_test(CR_04_CR_06_peer_checks_the_peer_alone),
		cmocka_unit_test(CR_05_best_effort_accepts_what_is_open_but_not_what_is_revoked),
		cmocka_unit_test(CR_04_OC_38_the_reason_is_told),
		cmocka_unit_test(CR_25_a_crl_by_another_key_is_no_evidence),
		cmocka_unit_test(CR_25_a_weak_signature_is_no_evidence),
		cmocka_unit_test(CR_25_an_issuer_that_may_not_sign_crls),
		cmocka_unit_test(CR_03_a_ca_that_has_changed_its_key),
		cmocka_unit_test(CR_25_crls_out_of_their_time),
		cmocka_unit_test(CR_25_a_crl_serves_up_to_its_next_update),
		cmocka_unit_test(crls_are_about_what_they_say),
		cmocka_unit_test(a_partition_is_found_by_its_distribution_point),
		cmocka_unit_test(crls_for_some_reasons_leave_the_rest_open),
		cmocka_unit_test(CR_21_a_newer_crl_replaces_an_older_one),
		cmocka_unit_test(CR_21_what_is_no_evidence_replaces_nothing),
		cmocka_unit_test(any_crl_that_lists_it_is_enough),
		cmocka_unit_test(CR_05_a_cache_that_fails_leaves_it_open),
		cmocka_unit_test(OC_38_a_program_is_told),
	};

	return cmocka_run_group_tests_name("unit/crl", tests, NULL, NULL);
}
