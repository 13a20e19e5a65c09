/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delta CRLs, indirect CRLs, and CRLs whose issuer is not on the peer's path (RFC 5280, 6.3.3). PKITS,
 * 4.4, 4.5, 4.14 and 4.15, has such cases; here are those that it has not.
 */
#include "crl/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/x509v3.h>

#include "crl/signer.h"
#include "support/crls.h"
#include "support/verify_world.h"

#define URI "http://crl.example.test/one.crl"

/* struct kinds - root -> CA -> server, another CA's certificate that may sign CRLs, and a cache. */
struct kinds {
	struct usual u;
	struct entity other; /* "CRLs", issued by the root; cRLSign */
	struct sluice_crl_db *db;
};

/* cRLDistributionPoints with one point: the URI, or none; and the CRL issuer, or NULL. */
static X509_EXTENSION *point_extension(const char *uri, X509 *issuer, int nid)
{
	DIST_POINT *point = DIST_POINT_new();
	CRL_DIST_POINTS *points = CRL_DIST_POINTS_new();
	GENERAL_NAME *name;
	X509_EXTENSION *ext;

	assert_true(point && points && sk_DIST_POINT_push(points, point));
	if (uri) {
		point->distpoint = DIST_POINT_NAME_new();
		point->distpoint->type = 0;
		point->distpoint->name.fullname = GENERAL_NAMES_new();
		name = a2i_GENERAL_NAME(NULL, NULL, NULL, GEN_URI, uri, 0);
		assert_true(name && sk_GENERAL_NAME_push(point->distpoint->name.fullname, name));
	}
	if (issuer) {
		point->CRLissuer = GENERAL_NAMES_new();
		name = GENERAL_NAME_new();
		GENERAL_NAME_set0_value(name, GEN_DIRNAME,
					X509_NAME_dup(X509_get_subject_name(issuer)));
		assert_true(sk_GENERAL_NAME_push(point->CRLissuer, name));
	}
	ext = X509V3_EXT_i2d(nid, 0, points);
	assert_non_null(ext);
	CRL_DIST_POINTS_free(points);
	return ext;
}

/* Adds an extension, and signs again. */
static void extend(struct entity *entity, X509_EXTENSION *ext, const struct entity *issuer)
{
	X509 *fresh;

	assert_true(X509_add_ext(entity->cert, ext, -1));
	X509_EXTENSION_free(ext);
	assert_true(X509_sign(entity->cert, issuer->key, EVP_sha256()) > 0);
	fresh = X509_dup(entity->cert);
	X509_free(entity->cert);
	entity->cert = fresh;
}

static struct entity new_crl_issuer(const char *cn, const char *usage, const struct entity *issuer)
{
	return certify((struct cert_spec){ .cn = cn, .key_usage = usage }, CERT_KEY_P256, issuer);
}

static void send_again(struct kinds *k, const struct entity *third)
{
	sk_CRYPTO_BUFFER_pop_free(k->u.w.chain, CRYPTO_BUFFER_free);
	k->u.w.chain = sk_CRYPTO_BUFFER_new_null();
	send_cert(&k->u.w, &k->u.server);
	send_cert(&k->u.w, &k->u.intermediate);
	if (third)
		send_cert(&k->u.w, third);
}

static void init(struct kinds *k, enum crl_mode mode)
{
	usual_init(&k->u);
	k->other = new_crl_issuer("CRLs", "critical,cRLSign", &k->u.root);
	assert_int_equal(sluice_crl_db_new(&k->db), 0);
	k->u.w.profile.crl = (struct crl_check){ mode, &sluice_crl_internal_ops, k->db, "" };
}

static void deinit(struct kinds *k)
{
	usual_deinit(&k->u);
	entity_free(&k->other);
	sluice_crl_db_free(k->db);
}

static void put_at(struct kinds *k, const char *uri, const struct entity *issuer,
		   struct crl_spec spec)
{
	struct sluice_error err;
	uint8_t *der;
	size_t len;
	int r;

	spec.issuer = issuer->cert;
	if (!spec.key)
		spec.key = issuer->key;
	der = crls_make(&spec, &len);
	r = uri ? sluice_crl_insert_uri(k->db, uri, NULL, der, len, &err)
		: sluice_crl_insert_der(k->db, der, len, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	free(der);
}

static void put(struct kinds *k, const struct entity *issuer, struct crl_spec spec)
{
	put_at(k, NULL, issuer, spec);
}

static void forget(struct kinds *k)
{
	sluice_crl_db_free(k->db);
	assert_int_equal(sluice_crl_db_new(&k->db), 0);
	k->u.w.profile.crl.db = k->db;
}

static void is_revoked(struct kinds *k, const char *says)
{
	refuses(&k->u.w, NULL, SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_REVOKED,
		X509_V_ERR_CERT_REVOKED);
	if (!strstr(k->u.w.err.text, says))
		fail_msg("\"%s\" in \"%s\"", says, k->u.w.err.text);
}

static void is_open(struct kinds *k, const char *says)
{
	refuses(&k->u.w, NULL, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE, 0);
	assert_int_equal(k->u.w.err.bad_cert, SLUICE_BAD_CERT_REVOCATION_UNDETERMINED);
	if (!strstr(k->u.w.err.text, says))
		fail_msg("\"%s\" in \"%s\"", says, k->u.w.err.text);
}

/* --- delta CRLs ------------------------------------------------------------------------------- */

#define REMOVED (CRL_REASON_REMOVE_FROM_CRL + 1)
#define HOLD (CRL_REASON_CERTIFICATE_HOLD + 1)

static void CR_24_a_delta_continues_a_complete_crl(void **state)
{
	struct kinds k;
	X509 *server;

	init(&k, CRL_CHECK_PEER);
	server = k.u.server.cert;
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 6, .delta_of = 5 });
	is_open(&k, "there is a delta CRL alone");
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 5 });
	accepts(&k.u.w, NULL);
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 7, .delta_of = 5, .revoked = server, .reason = HOLD });
	is_revoked(&k, "certificateHold");
	assert_int_equal(k.u.w.err.crl_reason, CRL_REASON_CERTIFICATE_HOLD);
	/* The newest counts. */
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 8, .delta_of = 5, .revoked = server, .reason = REMOVED });
	accepts(&k.u.w, NULL);
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 9, .delta_of = 1, .revoked = server });
	is_revoked(&k, "revoked");
	deinit(&k);
}

static void CR_24_a_delta_takes_back_what_the_complete_crl_lists(void **state)
{
	struct kinds k;
	X509 *server;

	init(&k, CRL_CHECK_PEER);
	server = k.u.server.cert;
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 5, .revoked = server, .reason = HOLD });
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 6, .delta_of = 5 });
	is_revoked(&k, "certificateHold");
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 7, .delta_of = 5, .revoked = server, .reason = REMOVED });
	accepts(&k.u.w, NULL);
	deinit(&k);
}

/* Deltas that say that the server is held no longer, and must not be believed. */
static void CR_24_deltas_that_do_not_count(void **state)
{
	static const struct crl_spec cases[] = {
		{ .number = 7, .delta_of = 6 }, /* of a later one */
		{ .number = 5, .delta_of = 4 }, /* not newer */
		{ .number = 7, .delta_of = 5, .idp = "critical,onlyuser:TRUE" }, /* another scope */
		{ .number = 7, .delta_of = 5, .from_s = -7200, .to_s = -60 },    /* expired */
		{ .number = 7, .delta_of = 5, .from_s = 3600, .to_s = 7200 },    /* not valid yet */
	};
	struct crl_spec spec;
	struct kinds k;
	size_t i;

	init(&k, CRL_CHECK_PEER);
	for (i = 0; i <= sizeof(cases) / sizeof(cases[0]); i++) {
		forget(&k);
		put(&k, &k.u.intermediate,
		    (struct crl_spec){ .number = 5, .revoked = k.u.server.cert, .reason = HOLD });
		spec = (struct crl_spec){ .number = 7, .delta_of = 5, .key = k.u.root.key };
		if (i < sizeof(cases) / sizeof(cases[0]))
			spec = cases[i];
		spec.revoked = k.u.server.cert;
		spec.reason = REMOVED;
		put(&k, &k.u.intermediate, spec);
		is_revoked(&k, "certificateHold");
	}
	deinit(&k);
}

/* RFC 5280, 6.3.3 (a): a complete CRL that has expired, with a delta that has not. */
static void CR_24_a_delta_keeps_its_base_in_force(void **state)
{
	struct kinds k;

	init(&k, CRL_CHECK_PEER);
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 5, .from_s = -7200, .to_s = -60 });
	is_open(&k, "has expired");
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 7, .delta_of = 6 });
	is_open(&k, "has expired");
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 7, .delta_of = 5 });
	accepts(&k.u.w, NULL);
	deinit(&k);
}

/* What crl_check_cert() tells of the server: in how many seconds, about, it ends; -1: there is no CRL that says so. */
static struct crl_status told(struct kinds *k, int64_t *ret_left_s)
{
	struct verify_request request = { .trust = k->u.w.profile.trust, .now_s = sys->wall_s() };
	STACK_OF(X509) *path = sk_X509_new_null();
	struct crl_status status;

	assert_true(sk_X509_push(path, k->u.server.cert) &&
		    sk_X509_push(path, k->u.intermediate.cert) &&
		    sk_X509_push(path, k->u.root.cert));
	request.certs = path;
	crl_check_cert(&k->u.w.profile.crl, &request, path, 0, &status);
	*ret_left_s = status.crl ? (status.until_s - request.now_s + 30) / 60 * 60 : -1;
	sk_X509_free(path);
	return status;
}

/* Who asks from where a status is known gets the CRL that counts, and when the first of them ends. */
static void CR_24_which_crl_says_so_is_told(void **state)
{
	struct crl_status status;
	int64_t left_s;
	struct kinds k;

	init(&k, CRL_CHECK_FALSE);
	status = told(&k, &left_s);
	assert_int_equal(status.verdict.x509_error, X509_V_ERR_UNABLE_TO_GET_CRL);
	assert_int_equal(left_s, -1);
	put(&k, &k.u.intermediate, (struct crl_spec){ .number = 5, .from_s = -60, .to_s = 7200 });
	status = told(&k, &left_s);
	assert_int_equal(status.verdict.x509_error, X509_V_OK);
	assert_int_equal(status.crl->number[0], 5);
	assert_false(status.by_delta);
	assert_int_equal(left_s, 7200);
	sluice_crl_unref(status.crl);
	put(&k, &k.u.intermediate,
	    (struct crl_spec){ .number = 6, .delta_of = 5, .from_s = -60, .to_s = 3600 });
	status = told(&k, &left_s);
	assert_int_equal(status.verdict.x509_error, X509_V_OK);
	assert_int_equal(status.crl->number[0], 5);
	assert_true(status.by_delta);
	assert_int_equal(left_s, 3600);
	sluice_crl_unref(status.crl);
	put(&k, &k.u.intermediate,
	    (struct crl_spec){
		    .number = 7, .from_s = -60, .to_s = 600, .revoked = k.u.server.cert });
	status = told(&k, &left_s);
	assert_int_equal(status.verdict.x509_error, X509_V_ERR_CERT_REVOKED);
	assert_int_equal(status.crl->number[0], 7);
	assert_int_equal(left_s, 600);
	sluice_crl_unref(status.crl);
	deinit(&k);
}

static void CR_24_a_delta_is_found_by_freshest_crl(void **state)
{
	struct kinds k;

	init(&k, CRL_CHECK_PEER);
	/* Only found by its URI: select() does not give it. */
	k.u.w.profile.crl.ops = &(struct sluice_crl_cache_ops){
		.size = sizeof(struct sluice_crl_cache_ops),
		.lookup = sluice_crl_internal_ops.lookup,
	};
	extend(&k.u.server, point_extension("http://base.test/", NULL, NID_crl_distribution_points),
	       &k.u.intermediate);
	send_again(&k, NULL);
	put_at(&k, "http://base.test/", &k.u.intermediate,
	       (struct crl_spec){ .number = 5, .freshest = "URI:" URI });
	accepts(&k.u.w, NULL);
	put_at(&k, URI, &k.u.intermediate,
	       (struct crl_spec){ .number = 6, .delta_of = 5, .revoked = k.u.server.cert });
	is_revoked(&k, "revoked");
	/* The certificate's extension leads there, too. */
	forget(&k);
	put_at(&k, "http://base.test/", &k.u.intermediate, (struct crl_spec){ .number = 5 });
	put_at(&k, URI, &k.u.intermediate,
	       (struct crl_spec){ .number = 6, .delta_of = 5, .revoked = k.u.server.cert });
	accepts(&k.u.w, NULL);
	extend(&k.u.server, point_extension(URI, NULL, NID_freshest_crl), &k.u.intermediate);
	send_again(&k, NULL);
	is_revoked(&k, "revoked");
	deinit(&k);
}

/* --- CRL issuers that are not on the path ----------------------------------------------------- */

/* The CA's CRLs are signed by another key, which has a certificate of the CA's name. */
static void CR_07_another_key_of_the_ca(void **state)
{
	struct entity signer, stranger, elsewhere = new_ca("Elsewhere", NULL);
	struct crl_spec spec = { .number = 1 };
	struct kinds k;

	init(&k, CRL_CHECK_PEER);
	signer = new_crl_issuer("Intermediate", "critical,cRLSign", &k.u.root);
	stranger = new_crl_issuer("Intermediate", "critical,cRLSign", &elsewhere);
	put(&k, &signer, spec);
	is_open(&k, "the CRL's signature is wrong");
	send_again(&k, &stranger);
	is_open(&k, "the CRL's signature is wrong");
	send_again(&k, &signer);
	accepts(&k.u.w, NULL);
	spec.revoked = k.u.server.cert;
	spec.number = 2;
	put(&k, &signer, spec);
	is_revoked(&k, "revoked");
	/* It may be trusted, and not sent. */
	send_again(&k, NULL);
	is_open(&k, "the CRL's signature is wrong");
	trust(&k.u.w, &signer);
	is_revoked(&k, "revoked");
	/* Of another trust anchor it proves nothing. */
	forget(&k);
	trust(&k.u.w, &elsewhere);
	send_again(&k, &stranger);
	put(&k, &stranger, (struct crl_spec){ .number = 3 });
	is_open(&k, "the CRL's signature is wrong");
	entity_free(&signer);
	entity_free(&stranger);
	entity_free(&elsewhere);
	deinit(&k);
}

static void CR_07_what_a_crl_issuer_needs(void **state)
{
	struct cert_spec expired = { .cn = "Intermediate",
				     .key_usage = "critical,cRLSign",
				     .from_s = -86400,
				     .to_s = -3600 };
	struct entity signer;
	struct kinds k;

	init(&k, CRL_CHECK_PEER);
	signer = new_crl_issuer("Intermediate", "critical,digitalSignature", &k.u.root);
	send_again(&k, &signer);
	put(&k, &signer, (struct crl_spec){ 0 });
	is_open(&k, "may not sign CRLs");
	entity_free(&signer);
	forget(&k);
	signer = certify(expired, CERT_KEY_P256, &k.u.root);
	send_again(&k, &signer);
	put(&k, &signer, (struct crl_spec){ 0 });
	is_open(&k, "the CRL's signature is wrong");
	entity_free(&signer);
	/* The server's own certificate does not speak for itself. */
	forget(&k);
	put(&k, &k.u.server, (struct crl_spec){ 0 });
	is_open(&k, "there is no CRL of its issuer");
	deinit(&k);
}

static void CR_07_a_crl_issuer_may_be_revoked(void **state)
{
	struct entity signer;
	struct kinds k;

	init(&k, CRL_CHECK_TRUE);
	signer = new_crl_issuer("Intermediate", "critical,cRLSign", &k.u.root);
	send_again(&k, &signer);
	put(&k, &signer, (struct crl_spec){ 0 });
	is_open(&k, "the CRL's issuer is revoked, or its status is open");
	put(&k, &k.u.root, (struct crl_spec){ .number = 1 });
	accepts(&k.u.w, NULL);
	put(&k, &k.u.root, (struct crl_spec){ .number = 2, .revoked = signer.cert });
	is_open(&k, "the CRL's issuer is revoked, or its status is open");
	k.u.w.profile.crl.mode = CRL_CHECK_PEER;
	is_open(&k, "the CRL's issuer is revoked, or its status is open");
	entity_free(&signer);
	deinit(&k);
}

/* Whoever sends many that could be it makes no work without end. */
static void CR_07_crl_issuers_have_a_limit(void **state)
{
	struct entity signer;
	struct kinds k;
	int i;

	init(&k, CRL_CHECK_PEER);
	put(&k, &k.u.intermediate, (struct crl_spec){ .key = k.u.root.key });
	for (i = 0; i < 100; i++) {
		signer = new_crl_issuer("Intermediate", "critical,cRLSign", &k.other);
		send_cert(&k.u.w, &signer);
		entity_free(&signer);
	}
	is_open(&k, "the CRL's signature is wrong");
	deinit(&k);
}

/* --- indirect CRLs ---------------------------------------------------------------------------- */

#define INDIRECT "critical,indirectCRL:TRUE"

/* The server's CRLs are by another. */
static void init_indirect(struct kinds *k)
{
	init(k, CRL_CHECK_PEER);
	extend(&k->u.server, point_extension(NULL, k->other.cert, NID_crl_distribution_points),
	       &k->u.intermediate);
	send_again(k, &k->other);
}

static void CR_24_an_indirect_crl_names_the_issuer(void **state)
{
	struct crl_spec spec = { .number = 1 };
	struct kinds k;

	init_indirect(&k);
	put(&k, &k.other, spec);
	is_open(&k, "the CRL is by another issuer"); /* it does not say that it is indirect */
	spec.idp = INDIRECT;
	put(&k, &k.other, spec);
	accepts(&k.u.w, NULL);
	/* An entry that names nobody is of the CRL's issuer. */
	spec.number++;
	spec.revoked = k.u.server.cert;
	put(&k, &k.other, spec);
	accepts(&k.u.w, NULL);
	spec.number++;
	spec.certificate_issuer = true;
	put(&k, &k.other, spec);
	is_revoked(&k, "revoked");
	/* Whom an entry names is whom the next is of. */
	spec.number++;
	spec.revoked = k.u.intermediate.cert;
	spec.revoked_next = k.u.server.cert;
	put(&k, &k.other, spec);
	accepts(&k.u.w, NULL);
	deinit(&k);
}

static void CR_24_the_issuer_of_an_entry_is_carried_forward(void **state)
{
	struct crl_spec spec = { .idp = INDIRECT, .certificate_issuer = true };
	struct entity sibling;
	struct kinds k;

	init_indirect(&k);
	sibling = new_server(&k.u.intermediate);
	spec.revoked = sibling.cert;
	spec.revoked_next = k.u.server.cert;
	put(&k, &k.other, spec);
	is_revoked(&k, "revoked");
	entity_free(&sibling);
	deinit(&k);
}

static void CR_24_an_indirect_crl_of_the_wrong_issuer(void **state)
{
	struct kinds k;

	init_indirect(&k);
	/* Not by whom the point names. */
	put(&k, &k.u.intermediate, (struct crl_spec){ .idp = INDIRECT });
	put(&k, &k.u.root, (struct crl_spec){ .idp = INDIRECT });
	accepts(&k.u.w, NULL); /* the issuer itself may always tell */
	forget(&k);
	put(&k, &k.u.root, (struct crl_spec){ .idp = INDIRECT });
	is_open(&k, "there is no CRL of its issuer");
	forget(&k);
	put(&k, &k.other, (struct crl_spec){ .idp = INDIRECT, .key = k.u.root.key });
	is_open(&k, "the CRL's signature is wrong");
	/* Its certificate is missing. */
	forget(&k);
	put(&k, &k.other, (struct crl_spec){ .idp = INDIRECT });
	accepts(&k.u.w, NULL);
	send_again(&k, NULL);
	is_open(&k, "there is no certificate of the CRL's issuer");
	deinit(&k);
}

/* --- a cache that has to fetch ---------------------------------------------------------------- */

static bool fetched;

static int fetching_select(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
			   struct sluice_crl_found *found)
{
	if (!fetched)
		return SLUICE_CRL_NOT_AVAILABLE;
	return sluice_crl_internal_ops.select(db, args, issuer, issuer_len, found);
}

static void CR_23_operations_may_answer_later(void **state)
{
	static const struct sluice_crl_cache_ops ops = {
		.size = sizeof(struct sluice_crl_cache_ops),
		.select = fetching_select,
	};
	struct kinds k;

	init(&k, CRL_CHECK_PEER);
	k.u.w.profile.crl.ops = &ops;
	put(&k, &k.u.intermediate, (struct crl_spec){ .revoked = k.u.server.cert });
	fetched = false;
	is_open(&k, "there is no CRL of its issuer");
	fetched = true; /* what has come is found by a later handshake */
	is_revoked(&k, "revoked");
	deinit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_24_a_delta_continues_a_complete_crl),
		cmocka_unit_test(CR_24_a_delta_takes_back_what_the_complete_crl_lists),
		cmocka_unit_test(CR_24_deltas_that_do_not_count),
		cmocka_unit_test(CR_24_a_delta_keeps_its_base_in_force),
		cmocka_unit_test(CR_24_which_crl_says_so_is_told),
		cmocka_unit_test(CR_24_a_delta_is_found_by_freshest_crl),
		cmocka_unit_test(CR_07_another_key_of_the_ca),
		cmocka_unit_test(CR_07_what_a_crl_issuer_needs),
		cmocka_unit_test(CR_07_a_crl_issuer_may_be_revoked),
		cmocka_unit_test(CR_07_crl_issuers_have_a_limit),
		cmocka_unit_test(CR_24_an_indirect_crl_names_the_issuer),
		cmocka_unit_test(CR_24_the_issuer_of_an_entry_is_carried_forward),
		cmocka_unit_test(CR_24_an_indirect_crl_of_the_wrong_issuer),
		cmocka_unit_test(CR_23_operations_may_answer_later),
	};

	return cmocka_run_group_tests_name("unit/crl_kinds", tests, NULL, NULL);
}
