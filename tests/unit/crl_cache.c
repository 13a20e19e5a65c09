/* SPDX-License-Identifier: Apache-2.0 */
/* Where CRLs are kept: the built-in cache, a directory, and what operations are told. */
#include "crl/crl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/sys.h"
#include "crl/point.h"
#include "options/options.h"
#include "options/profile.h"
#include "support/certs.h"
#include "support/crls.h"
#include "support/verify_world.h"

#define URI "http://crl.example.test/one.crl"

static struct entity ca, other, server;
static struct crl_der first, second, foreign; /* by ca, by ca with a number, by other */

static struct crl_der make(const struct entity *issuer, struct crl_spec spec)
{
	struct crl_der crl;

	spec.issuer = issuer->cert;
	spec.key = issuer->key;
	crl.der = crls_make(&spec, &crl.len);
	return crl;
}

static int setup(void **state)
{
	struct cert_spec spec = { .cn = "server", .san = SERVER_NAMES };

	ca = new_ca("Root", NULL);
	other = new_ca("Other root", NULL);
	spec.extra_nid = NID_crl_distribution_points;
	spec.extra = "URI:" URI;
	server = certify(spec, CERT_KEY_P256, &ca);
	first = make(&ca, (struct crl_spec){ .revoked = server.cert });
	second = make(&ca, (struct crl_spec){ .number = 2 });
	foreign = make(&other, (struct crl_spec){ 0 });
	return 0;
}

static int teardown(void **state)
{
	entity_free(&ca);
	entity_free(&other);
	entity_free(&server);
	free((void *)first.der);
	free((void *)second.der);
	free((void *)foreign.der);
	return 0;
}

static struct sluice_crl_db *new_db(void)
{
	struct sluice_crl_db *db;

	assert_int_equal(sluice_crl_db_new(&db), 0);
	return db;
}

static void insert(struct sluice_crl_db *db, const struct crl_der *crl)
{
	assert_int_equal(sluice_crl_insert_der(db, crl->der, crl->len, NULL), 0);
}

/* How many CRLs by @issuer operations find. */
static int selected(const struct sluice_crl_cache_ops *ops, void *db, const char *args,
		    const struct entity *issuer)
{
	struct sluice_crl_found found = { 0 };
	uint8_t *name = NULL;
	int len = i2d_X509_NAME(X509_get_subject_name(issuer->cert), &name);
	int r = ops->select(db, args, name, (size_t)len, &found);
	int n = (int)found.list.n;

	OPENSSL_free(name);
	crl_list_clear(&found.list);
	return r < 0 ? r : n;
}

static int in_db(struct sluice_crl_db *db, const struct entity *issuer)
{
	return selected(&sluice_crl_internal_ops, db, "", issuer);
}

/* How many CRLs are found by @uri; -1: not available. */
static int at_uri(struct sluice_crl_db *db, const char *uri)
{
	const char *const uris[] = { "ldap://nowhere", uri };
	struct sluice_dist_point point = { .uris = uris, .n_uris = 2 };
	struct sluice_crl_found found = { 0 };
	int r = sluice_crl_internal_ops.lookup(db, "", &point, &found);
	int n = (int)found.list.n;

	crl_list_clear(&found.list);
	return r == SLUICE_CRL_NOT_AVAILABLE ? -1 : n;
}

/* --- the built-in cache ----------------------------------------------------------------------- */

static void CR_20_crls_are_found_by_their_issuer(void **state)
{
	struct sluice_crl_db *db = new_db();
	struct crl_der both[2] = { first, foreign };
	struct sluice_error err;
	const char *path;

	assert_int_equal(in_db(db, &ca), 0);
	insert(db, &first);
	insert(db, &first); /* the same once more */
	assert_int_equal(in_db(db, &ca), 1);
	insert(db, &second);
	assert_int_equal(in_db(db, &ca), 2);
	assert_int_equal(in_db(db, &other), 0);

	path = crls_pem("two.pem", both, 2);
	assert_int_equal(sluice_crl_insert_file(db, path, &err), 0);
	assert_int_equal(in_db(db, &other), 1);
	assert_int_equal(sluice_crl_insert_file(db, "/nowhere/crl.pem", &err), -SLUICE_E_FILE);
	assert_non_null(strstr(err.text, "/nowhere/crl.pem"));
	assert_int_equal(sluice_crl_insert_file(db, certs_get()->ca, &err), -SLUICE_E_CRL_PARSE);
	assert_int_equal(sluice_crl_insert_der(db, "no CRL", 6, &err), -SLUICE_E_CRL_PARSE);
	assert_int_equal(sluice_crl_insert_der(db, NULL, 0, &err), -SLUICE_E_INVALID);
	assert_int_equal(in_db(db, &other), 1);
	sluice_crl_db_free(db);
}

static void CR_11_all_of_a_file_or_nothing(void **state)
{
	struct crl_der unknown = make(&ca, (struct crl_spec){ .unknown_critical = true });
	struct sluice_crl_db *db = new_db();
	struct crl_der both[2];
	struct sluice_error err;

	both[0] = first;
	both[1] = unknown;
	assert_int_equal(sluice_crl_insert_file(db, crls_pem("unknown.pem", both, 2), &err),
			 -SLUICE_E_UNSUPPORTED);
	assert_int_equal(in_db(db, &ca), 0);
	free((void *)unknown.der);
	sluice_crl_db_free(db);
}

static void CR_12_CR_14_CR_19_one_under_a_uri_is_found_by_both(void **state)
{
	struct sluice_crl_db *db = new_db();
	const char *path = crls_pem("foreign.pem", &foreign, 1);
	struct sluice_error err;

	assert_int_equal(at_uri(db, URI), -1);
	assert_int_equal(sluice_crl_insert_uri(db, URI, NULL, first.der, first.len, &err), 0);
	assert_int_equal(sluice_crl_insert_uri(db, URI, path, NULL, 0, &err), 0);
	insert(db, &second);
	assert_int_equal(at_uri(db, URI), 2);
	assert_int_equal(at_uri(db, URI "x"), -1);
	assert_int_equal(in_db(db, &ca), 2);
	assert_int_equal(in_db(db, &other), 1);
	assert_int_equal(sluice_crl_insert_uri(db, NULL, path, NULL, 0, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_crl_insert_uri(db, "", path, NULL, 0, &err), -SLUICE_E_INVALID);
	assert_int_equal(sluice_crl_insert_uri(db, URI, NULL, NULL, 0, &err), -SLUICE_E_INVALID);
	sluice_crl_db_free(db);
}

static void CR_13_what_was_inserted_can_be_deleted(void **state)
{
	struct sluice_crl_db *db = new_db();
	const char *path = crls_pem("again.pem", &foreign, 1);

	insert(db, &first);
	assert_int_equal(sluice_crl_insert_uri(db, URI, NULL, second.der, second.len, NULL), 0);
	assert_int_equal(sluice_crl_insert_file(db, path, NULL), 0);

	assert_int_equal(sluice_crl_delete_uri(db, URI), 0);
	assert_int_equal(at_uri(db, URI), -1);
	assert_int_equal(sluice_crl_delete_uri(db, URI), -SLUICE_E_UNDEFINED);
	assert_int_equal(in_db(db, &ca), 1);
	unlink(path);
	assert_int_equal(sluice_crl_delete_file(db, path), 0);
	assert_int_equal(sluice_crl_delete_file(db, path), -SLUICE_E_UNDEFINED);
	assert_int_equal(in_db(db, &other), 0);
	assert_int_equal(sluice_crl_delete_der(db, second.der, second.len), -SLUICE_E_UNDEFINED);
	assert_int_equal(sluice_crl_delete_der(db, first.der, first.len), 0);
	assert_int_equal(in_db(db, &ca), 0);
	assert_int_equal(sluice_crl_delete_uri(db, NULL), -SLUICE_E_INVALID);
	assert_int_equal(sluice_crl_delete_file(db, NULL), -SLUICE_E_INVALID);
	assert_int_equal(sluice_crl_delete_der(db, NULL, 0), -SLUICE_E_INVALID);
	sluice_crl_db_free(db);
}

/* NULL is the database of the process. */
static void CR_09_the_default_is_the_cache_of_this_process(void **state)
{
	assert_int_equal(in_db(NULL, &ca), 0);
	insert(NULL, &first);
	assert_int_equal(in_db(NULL, &ca), 1);
	assert_int_equal(sluice_crl_delete_der(NULL, first.der, first.len), 0);
	assert_int_equal(in_db(NULL, &ca), 0);
}

static void CR_21_the_newest_of_a_scope(void **state)
{
	const struct sluice_dist_point point = { 0 };
	struct crl_der third = make(&ca, (struct crl_spec){ .number = 3 });
	struct sluice_crl_db *db = new_db();
	struct sluice_crl *crl, *fresh;

	assert_int_equal(sluice_crl_parse(&crl, second.der, second.len, NULL), 0);
	insert(db, &second);
	insert(db, &foreign);
	fresh = sluice_crl_internal_ops.fresh_crl(db, "", &point, crl);
	assert_memory_equal(fresh->sha256, crl->sha256, sizeof(crl->sha256));
	sluice_crl_unref(fresh);
	insert(db, &third);
	fresh = sluice_crl_internal_ops.fresh_crl(db, "", &point, crl);
	assert_int_equal(fresh->number[0], 3);
	sluice_crl_unref(fresh);
	sluice_crl_unref(crl);
	free((void *)third.der);
	sluice_crl_db_free(db);
}

/* --- directories ------------------------------------------------------------------------------ */

/* struct directory - an own directory in that of the certificates. */
struct directory {
	char path[200], args[220];
	unsigned int hash;
};

static void dir_init(struct directory *dir)
{
	snprintf(dir->path, sizeof(dir->path), "%s/crls", certs_get()->dir);
	snprintf(dir->args, sizeof(dir->args), "dir=%s", dir->path);
	assert_int_equal(mkdir(dir->path, 0700), 0);
	dir->hash = (unsigned int)X509_NAME_hash(X509_get_subject_name(ca.cert));
}

static const char *dir_file(const struct directory *dir, unsigned int n)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%08x.r%u", dir->path, dir->hash, n);
	return path;
}

static void dir_put(const struct directory *dir, unsigned int n, const struct crl_der *crl)
{
	const char *source = crls_pem("source.pem", crl, 1);

	assert_int_equal(rename(source, dir_file(dir, n)), 0);
}

static void dir_remove(const struct directory *dir, unsigned int n)
{
	assert_int_equal(unlink(dir_file(dir, n)), 0);
}

static int in_dir(const struct directory *dir)
{
	return selected(&sluice_crl_hash_dir_ops, NULL, dir->args, &ca);
}

static void dir_deinit(const struct directory *dir)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		unlink(dir_file(dir, i));
	assert_int_equal(rmdir(dir->path), 0);
}

static void CR_15_CR_17_consecutive_files_count_together(void **state)
{
	struct directory dir;

	dir_init(&dir);
	assert_int_equal(in_dir(&dir), 0);
	dir_put(&dir, 1, &second);
	assert_int_equal(in_dir(&dir), 0); /* 0 is missing */
	dir_put(&dir, 0, &first);
	assert_int_equal(in_dir(&dir), 2);
	dir_put(&dir, 3, &second);
	assert_int_equal(in_dir(&dir), 2); /* 2 is missing */
	dir_remove(&dir, 0);
	assert_int_equal(in_dir(&dir), 0);
	dir_deinit(&dir);
	assert_int_equal(in_dir(&dir), 0); /* no directory, no CRLs */
}

static void CR_15_a_file_that_changes_is_read_again(void **state)
{
	struct directory dir;

	dir_init(&dir);
	dir_put(&dir, 0, &first);
	assert_int_equal(in_dir(&dir), 1);
	assert_int_equal(in_dir(&dir), 1);
	dir_put(&dir, 0, &foreign);
	assert_int_equal(in_dir(&dir), 0);
	dir_put(&dir, 0, &second);
	assert_int_equal(in_dir(&dir), 1);
	dir_deinit(&dir);
}

static void CR_18_expired_and_foreign_crls_are_left_out(void **state)
{
	struct crl_der expired = make(&ca, (struct crl_spec){ .from_s = -7200, .to_s = -60 });
	struct directory dir;

	dir_init(&dir);
	dir_put(&dir, 0, &expired);
	assert_int_equal(in_dir(&dir), 0);
	dir_put(&dir, 1, &foreign);
	assert_int_equal(in_dir(&dir), 0);
	dir_put(&dir, 2, &first);
	assert_int_equal(in_dir(&dir), 1); /* they do not end the row of numbers */
	dir_deinit(&dir);
	free((void *)expired.der);
}

static void CR_15_a_file_that_cannot_be_read_is_an_error(void **state)
{
	static const char broken[] = "-----BEGIN X509 CRL-----\nMIIB\n-----END X509 CRL-----\n";
	struct crl_der unknown = make(&ca, (struct crl_spec){ .unknown_critical = true });
	struct directory dir;

	dir_init(&dir);
	dir_put(&dir, 0, &first);
	assert_int_equal(rename(certs_file("b.pem", broken, sizeof(broken) - 1), dir_file(&dir, 1)),
			 0);
	assert_int_equal(in_dir(&dir), -SLUICE_E_CRL_PARSE);
	dir_remove(&dir, 1);
	assert_int_equal(mkdir(dir_file(&dir, 1), 0700), 0);
	assert_int_equal(in_dir(&dir), -SLUICE_E_FILE);
	assert_int_equal(rmdir(dir_file(&dir, 1)), 0);
	dir_put(&dir, 1, &unknown); /* is none of what is evaluated, and hides nothing */
	assert_int_equal(in_dir(&dir), 1);
	dir_deinit(&dir);
	free((void *)unknown.der);
}

/* openssl(1) makes the CRL and the name of its link. */
static void CR_16_links_made_by_openssl_rehash_are_found(void **state)
{
	static const char script[] =
		"set -e; d=$1; mkdir $d; cd $d; touch index; echo 01 >crlnumber; "
		"printf '[ca]\\ndefault_ca=x\\n[x]\\ndatabase=%s/index\\ncrlnumber=%s/crlnumber\\n"
		"default_md=sha256\\ndefault_crl_days=1\\n' $d $d >conf; "
		"openssl ca -config conf -gencrl -cert $2 -keyfile $3 -out one.crl 2>log; "
		"openssl ca -config conf -gencrl -cert $2 -keyfile $3 -out two.crl 2>>log; "
		"openssl rehash $d 2>>log";
	char dir[200], args[220], command[2000];
	struct entity root;
	BIO *bio;

	if (system("openssl version >/dev/null 2>&1")) {
		print_message("# skip: there is no openssl(1)\n");
		skip();
	}
	snprintf(dir, sizeof(dir), "%s/rehash", certs_get()->dir);
	snprintf(args, sizeof(args), "dir=%s", dir);
	snprintf(command, sizeof(command), "sh -c '%s' sh %s %s %s", "eval \"$SCRIPT\"", dir,
		 certs_get()->ca, certs_get()->ca_key);
	setenv("SCRIPT", script, 1);
	assert_int_equal(system(command), 0);
	bio = BIO_new_file(certs_get()->ca, "r");
	root.cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	BIO_free(bio);
	assert_int_equal(selected(&sluice_crl_hash_dir_ops, NULL, args, &root), 2); /* .r0, .r1 */
	X509_free(root.cert);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

/* --- distribution points ---------------------------------------------------------------------- */

static void CR_22_operations_are_told_the_distribution_point(void **state)
{
	struct crl_points points;
	const uint8_t *p;
	X509_NAME *name;

	assert_int_equal(crl_points_get(&points, server.cert), 0);
	assert_int_equal(points.n, 2);
	assert_int_equal(points.points[0].public.n_uris, 1);
	assert_string_equal(points.points[0].public.uris[0], URI);
	assert_int_equal(points.points[0].public.reasons, SLUICE_CRL_REASONS_ALL);
	assert_null(points.points[0].public.dir_name);
	assert_null(points.points[0].public.crl_issuer);
	/* The one that every certificate has: its issuer. */
	assert_int_equal(points.points[1].public.n_uris, 0);
	p = points.points[1].public.dir_name;
	name = d2i_X509_NAME(NULL, &p, (long)points.points[1].public.dir_name_len);
	assert_int_equal(X509_NAME_cmp(name, X509_get_subject_name(ca.cert)), 0);
	X509_NAME_free(name);
	crl_points_clear(&points);
}

static X509_NAME *new_name(const char *cn)
{
	X509_NAME *name = X509_NAME_new();

	assert_true(name && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
						       (const uint8_t *)cn, -1, -1, 0));
	return name;
}

static GENERAL_NAMES *new_directory(const char *cn)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();

	GENERAL_NAME_set0_value(name, GEN_DIRNAME, new_name(cn));
	assert_true(sk_GENERAL_NAME_push(names, name));
	return names;
}

static void expect_name(const uint8_t *der, size_t len, const char *cn)
{
	X509_NAME *expected = new_name(cn), *name = d2i_X509_NAME(NULL, &der, (long)len);

	assert_int_equal(X509_NAME_cmp(name, expected), 0);
	X509_NAME_free(name);
	X509_NAME_free(expected);
}

static void CR_22_reasons_directory_name_and_crl_issuer(void **state)
{
	CRL_DIST_POINTS *extension = sk_DIST_POINT_new_null();
	struct entity cert = new_server(&ca);
	DIST_POINT *point = DIST_POINT_new();
	struct crl_points points;

	point->distpoint = DIST_POINT_NAME_new();
	point->distpoint->type = 0;
	point->distpoint->name.fullname = new_directory("point");
	point->reasons = ASN1_BIT_STRING_new();
	assert_true(ASN1_BIT_STRING_set_bit(point->reasons, 1, 1));
	assert_true(ASN1_BIT_STRING_set_bit(point->reasons, 8, 1));
	point->CRLissuer = new_directory("issuer");
	assert_true(sk_DIST_POINT_push(extension, point));
	assert_int_equal(X509_add1_ext_i2d(cert.cert, NID_crl_distribution_points, extension, 0, 0),
			 1);
	assert_int_equal(crl_points_get(&points, cert.cert), 0);
	assert_int_equal(points.n, 2);
	assert_int_equal(points.points[0].public.n_uris, 0);
	assert_int_equal(points.points[0].public.reasons, 0x102);
	expect_name(points.points[0].public.dir_name, points.points[0].public.dir_name_len,
		    "point");
	expect_name(points.points[0].public.crl_issuer, points.points[0].public.crl_issuer_len,
		    "issuer");
	assert_true(crl_point_is_indirect(&points.points[0]));
	assert_false(crl_point_is_indirect(&points.points[1]));
	crl_points_clear(&points);
	sk_DIST_POINT_pop_free(extension, DIST_POINT_free);
	entity_free(&cert);
}

/* --- options ---------------------------------------------------------------------------------- */

static int build(const char *text, const struct sluice_crl_cache_ops *ops, const char *args,
		 struct sluice_error *err)
{
	struct sluice_profile *profile = NULL;
	struct sluice_options *opts;
	int r;

	assert_int_equal(sluice_options_new(&opts), 0);
	sluice_options_set(opts, SLUICE_OPT_CACERTFILE, certs_get()->ca, NULL);
	r = sluice_options_parse(opts, text, strlen(text), err);
	if (!r && ops)
		r = sluice_options_set_crl_cache(opts, ops, NULL, args, err);
	if (!r)
		r = sluice_profile_new(&profile, opts, SLUICE_CLIENT, err);
	sluice_profile_unref(profile);
	sluice_options_free(opts);
	return r;
}

static const struct sluice_crl_cache_ops own_ops = { .size = sizeof(own_ops) };
static const struct sluice_crl_cache_ops old_ops = { .size = 8 };

static void CR_09_CR_15_what_crl_cache_takes(void **state)
{
	static const struct {
		const char *text;
		const struct sluice_crl_cache_ops *ops;
		const char *args;
		int code;
		const char *says;
	} cases[] = {
		{ "", NULL, NULL, 0, "" },
		{ "crl_check = true\ncrl_cache = internal", NULL, NULL, 0, "" },
		{ "crl_check = peer\ncrl_cache = hash_dir dir=/x", NULL, NULL, 0, "" },
		{ "", &sluice_crl_internal_ops, NULL, 0, "" },
		{ "", &sluice_crl_hash_dir_ops, "dir=/x", 0, "" },
		{ "", &own_ops, "", 0, "" },
		{ "crl_cache = hash_dir", NULL, NULL, SLUICE_E_OPTION, "needs dir=PATH" },
		{ "crl_cache = hash_dir dir=", NULL, NULL, SLUICE_E_OPTION, "needs dir=PATH" },
		{ "", &sluice_crl_hash_dir_ops, NULL, SLUICE_E_OPTION, "needs dir=PATH" },
		{ "crl_cache = ldap", NULL, NULL, SLUICE_E_OPTION, "not \"ldap\"" },
		{ "crl_cache = internal x", NULL, NULL, SLUICE_E_OPTION, "or nothing" },
		{ "crl_cache = internal http=5000", NULL, NULL, SLUICE_E_OPTION, "needs hosts" },
		{ "crl_cache = internal http=5000 hosts=a", NULL, NULL, 0, "" },
		{ "", &own_ops, "x", SLUICE_E_OPTION, "no arguments" },
		{ "", &old_ops, NULL, SLUICE_E_INVALID, "no operations" },
		{ "crl_check = yes", NULL, NULL, SLUICE_E_OPTION, "false|true|peer|best_effort" },
		{ "crl_check = true\nverify = verify_none", NULL, NULL, SLUICE_E_OPTION_CONFLICT,
		  "verify_peer" },
	};
	struct sluice_error err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		err_clear(&err);
		if (build(cases[i].text, cases[i].ops, cases[i].args, &err) != -cases[i].code ||
		    !strstr(err.text, cases[i].says))
			fail_msg("%s: %s", cases[i].text, err.text);
	}
}

/* A copy and an overlay keep the operations; a text in their place drops them. */
static void CR_09_operations_stay_with_their_set(void **state)
{
	struct sluice_options *opts, *copy, *extra;
	struct crl_check check;

	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_new(&extra), 0);
	assert_int_equal(sluice_options_set_crl_cache(extra, &own_ops, &check, "", NULL), 0);
	assert_int_equal(options_overlay(opts, extra), 0);
	assert_int_equal(sluice_options_clone(&copy, opts), 0);
	assert_int_equal(crl_check_get(&check, copy, SLUICE_CLIENT, NULL), 0);
	assert_ptr_equal(check.ops, &own_ops);
	assert_ptr_equal(check.db, &check);
	assert_int_equal(sluice_options_set(copy, SLUICE_OPT_CRL_CACHE, "internal", NULL), 0);
	assert_int_equal(crl_check_get(&check, copy, SLUICE_CLIENT, NULL), 0);
	assert_ptr_equal(check.ops, &sluice_crl_internal_ops);
	assert_null(check.db);
	sluice_options_free(opts);
	sluice_options_free(extra);
	sluice_options_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_20_crls_are_found_by_their_issuer),
		cmocka_unit_test(CR_11_all_of_a_file_or_nothing),
		cmocka_unit_test(CR_12_CR_14_CR_19_one_under_a_uri_is_found_by_both),
		cmocka_unit_test(CR_13_what_was_inserted_can_be_deleted),
		cmocka_unit_test(CR_09_the_default_is_the_cache_of_this_process),
		cmocka_unit_test(CR_21_the_newest_of_a_scope),
		cmocka_unit_test(CR_15_CR_17_consecutive_files_count_together),
		cmocka_unit_test(CR_15_a_file_that_changes_is_read_again),
		cmocka_unit_test(CR_18_expired_and_foreign_crls_are_left_out),
		cmocka_unit_test(CR_15_a_file_that_cannot_be_read_is_an_error),
		cmocka_unit_test(CR_16_links_made_by_openssl_rehash_are_found),
		cmocka_unit_test(CR_22_operations_are_told_the_distribution_point),
		cmocka_unit_test(CR_22_reasons_directory_name_and_crl_issuer),
		cmocka_unit_test(CR_09_CR_15_what_crl_cache_takes),
		cmocka_unit_test(CR_09_operations_stay_with_their_set),
	};

	return cmocka_run_group_tests_name("unit/crl_cache", tests, setup, teardown);
}
