/* SPDX-License-Identifier: Apache-2.0 */
/* Revocation in real handshakes: who is refused, and what both ends are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <sluice/crl.h>

#include "support/certs.h"
#include "support/crls.h"
#include "support/leaks.h"
#include "support/pair.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* X509_V_ERR_* of BoringSSL. */
#define V_UNABLE_TO_GET_CRL 3
#define V_CERT_REVOKED 23

/* --- the test CA's CRLs ----------------------------------------------------------------------- */

static X509 *read_cert(const char *path)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(x509);
	BIO_free(bio);
	return x509;
}

/* Writes a CRL of the certificate in @ca, which revokes that in @revoked or nothing. */
static const char *write_crl(const char *name, const char *ca, const char *ca_key,
			     const char *revoked)
{
	BIO *bio = BIO_new_file(ca_key, "r");
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	X509 *issuer = read_cert(ca), *cert = revoked ? read_cert(revoked) : NULL;
	struct crl_der crl;
	const char *path;

	crl.der = crls_make(&(struct crl_spec){ .issuer = issuer, .key = key, .revoked = cert },
			    &crl.len);
	path = crls_pem(name, &crl, 1);
	free((void *)crl.der);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return path;
}

/* struct crls - files of CRLs, by the root and by the intermediate. */
static struct crls {
	const char *root, *intermediate;                     /* nobody is revoked */
	const char *no_intermediate, *no_server, *no_client; /* one is */
} crls;

static int setup(void **state)
{
	const struct certs *c = certs_get();

	crls.root = write_crl("root-crl.pem", c->ca, c->ca_key, NULL);
	crls.no_intermediate = write_crl("no-inter-crl.pem", c->ca, c->ca_key, c->intermediate);
	crls.intermediate = write_crl("inter-crl.pem", c->intermediate, c->intermediate_key, NULL);
	crls.no_server = write_crl("no-server-crl.pem", c->intermediate, c->intermediate_key,
				   c->server_p256);
	crls.no_client =
		write_crl("no-client-crl.pem", c->intermediate, c->intermediate_key, c->client);
	return leaks_setup(state);
}

static void insert(const char *path)
{
	struct sluice_error err;

	if (sluice_crl_insert_file(NULL, path, &err) < 0)
		fail_msg("%s", err.text);
}

static void forget_all(void)
{
	const char *paths[] = { crls.root, crls.intermediate, crls.no_intermediate, crls.no_server,
				crls.no_client };
	size_t i;

	for (i = 0; i < N(paths); i++)
		sluice_crl_delete_file(NULL, paths[i]);
}

/* --- handshakes ------------------------------------------------------------------------------- */

/* Demands that @judge refused with an alert that @other got. */
static void check_refusal(struct sluice_conn *judge, struct sluice_conn *other, int x509_error,
			  const char *alert)
{
	struct sluice_error err;

	sluice_conn_error(judge, &err, sizeof(err));
	assert_int_equal(err.code, SLUICE_E_VERIFY);
	assert_int_equal(err.stage, SLUICE_STAGE_VERIFY);
	assert_int_equal(err.x509_error, x509_error);
	assert_int_equal(err.alert_sent, 1);
	assert_string_equal(sluice_alert_name(err.alert), alert);
	sluice_conn_error(other, &err, sizeof(err));
	assert_int_equal(err.alert_sent, 0);
	assert_string_equal(sluice_alert_name(err.alert), alert);
}

/* A server with a client of @options. @x509_error 0: it is accepted. */
static void check_client(const char *version, const char *options, int x509_error,
			 const char *alert)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .versions = version, .client_options = options });
	pair_connect(&pair);
	assert_int_equal(pair.client_result, x509_error ? -SLUICE_E_VERIFY : 0);
	if (x509_error)
		check_refusal(pair.client, pair.server, x509_error, alert);
	else
		pair_exchange(&pair, 1000);
	pair_close(&pair);
}

static void CR_02_CR_03_AL_19_a_revoked_server_is_refused(void **state)
{
	PAIR_FOR_EACH_VERSION(version)
	{
		insert(crls.root);
		insert(crls.no_server);
		check_client(version, "", 0, NULL);
		check_client(version, "crl_check = false", 0, NULL);
		check_client(version, "crl_check = true", V_CERT_REVOKED, "certificate_revoked");
		check_client(version, "crl_check = peer", V_CERT_REVOKED, "certificate_revoked");
		check_client(version, "crl_check = best_effort", V_CERT_REVOKED,
			     "certificate_revoked");
		forget_all();
	}
}

static void CR_03_CR_04_CR_05_AL_19_a_revoked_intermediate(void **state)
{
	PAIR_FOR_EACH_VERSION(version)
	{
		insert(crls.no_intermediate);
		insert(crls.intermediate);
		check_client(version, "crl_check = true", V_CERT_REVOKED, "certificate_revoked");
		check_client(version, "crl_check = peer", 0, NULL);
		check_client(version, "crl_check = best_effort", V_CERT_REVOKED,
			     "certificate_revoked");
		forget_all();
	}
}

static void CR_03_CR_04_CR_05_AL_17_without_crls_the_status_is_open(void **state)
{
	PAIR_FOR_EACH_VERSION(version)
	{
		check_client(version, "crl_check = true", V_UNABLE_TO_GET_CRL, "bad_certificate");
		check_client(version, "crl_check = peer", V_UNABLE_TO_GET_CRL, "bad_certificate");
		check_client(version, "crl_check = best_effort", 0, NULL);
		insert(crls.intermediate);
		check_client(version, "crl_check = true", V_UNABLE_TO_GET_CRL, "bad_certificate");
		check_client(version, "crl_check = peer", 0, NULL);
		insert(crls.root);
		check_client(version, "crl_check = true", 0, NULL);
		forget_all();
	}
}

static void CR_08_AL_19_a_server_refuses_a_revoked_client(void **state)
{
	const struct certs *c = certs_get();
	char server[500], client[500];
	struct sluice_error err;
	struct pair pair;

	snprintf(server, sizeof(server),
		 "verify = verify_peer\nfail_if_no_peer_cert = true\ncacertfile = %s\n"
		 "crl_check = true",
		 c->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s", c->client, c->client_key);
	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version,
						       .server_options = server,
						       .client_options = client });
		insert(crls.root);
		insert(crls.intermediate);
		assert_int_equal(pair_connect(&pair), 0);
		pair_exchange(&pair, 1000);
		pair_drop(&pair);
		/* What is inserted later counts for the next handshake, of the same profile. */
		insert(crls.no_client);
		pair_connect(&pair);
		assert_int_equal(pair.server_result, -SLUICE_E_VERIFY);
		sluice_conn_error(pair.server, &err, sizeof(err));
		assert_int_equal(err.alert, SLUICE_ALERT_CERTIFICATE_REVOKED);
		assert_int_equal(err.alert_sent, 1);
		/* A TLS 1.3 client is through with its handshake before the server is. */
		if (!strcmp(version, "tlsv1.2"))
			check_refusal(pair.server, pair.client, V_CERT_REVOKED,
				      "certificate_revoked");
		pair_close(&pair);
		forget_all();
	}
}

static void CR_08_CR_15_crls_of_a_directory(void **state)
{
	char dir[200], options[300], paths[2][300];
	const char *const files[2][2] = { { crls.root, certs_get()->ca },
					  { crls.no_server, certs_get()->intermediate } };
	X509 *issuer;
	size_t i;

	snprintf(dir, sizeof(dir), "%s/hashed", certs_get()->dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(options, sizeof(options), "crl_check = true\ncrl_cache = hash_dir dir=%s", dir);
	check_client("tlsv1.3", options, V_UNABLE_TO_GET_CRL, "bad_certificate");
	for (i = 0; i < 2; i++) {
		issuer = read_cert(files[i][1]);
		snprintf(paths[i], sizeof(paths[i]), "%s/%08x.r0", dir,
			 (unsigned int)X509_NAME_hash(X509_get_subject_name(issuer)));
		assert_int_equal(symlink(files[i][0], paths[i]), 0);
		X509_free(issuer);
	}
	check_client("tlsv1.3", options, V_CERT_REVOKED, "certificate_revoked");
	unlink(paths[1]);
	assert_int_equal(symlink(crls.intermediate, paths[1]), 0);
	check_client("tlsv1.3", options, 0, NULL);
	unlink(paths[0]);
	unlink(paths[1]);
	rmdir(dir);
}

/* --- operations of a program ------------------------------------------------------------------ */

/* struct own - a cache that has the CRLs of files, and counts. */
struct own {
	unsigned int n_select, n_lookup, n_fresh;
};

static void found_pem(struct sluice_crl_found *found, const char *path)
{
	size_t len;
	uint8_t *der = certs_der(path, 0, &len);

	assert_int_equal(sluice_crl_found_der(found, der, len), 0);
	free(der);
}

static int own_lookup(void *db, const char *args, const struct sluice_dist_point *point,
		      struct sluice_crl_found *found)
{
	struct own *own = db;

	assert_string_equal(args, "some=thing");
	own->n_lookup++;
	return SLUICE_CRL_NOT_AVAILABLE;
}

static int own_select(void *db, const char *args, const uint8_t *issuer, size_t issuer_len,
		      struct sluice_crl_found *found)
{
	struct own *own = db;

	own->n_select++;
	found_pem(found, crls.root);
	found_pem(found, crls.intermediate);
	return 0;
}

static struct sluice_crl *own_fresh(void *db, const char *args,
				    const struct sluice_dist_point *point, struct sluice_crl *crl)
{
	struct own *own = db;

	own->n_fresh++;
	return sluice_crl_ref(crl);
}

static int own_check_args(void *db, const char *args, struct sluice_error *ret_err)
{
	return strcmp(args, "some=thing") ? -SLUICE_E_OPTION : 0;
}

static const struct sluice_crl_cache_ops own_ops = {
	.size = sizeof(struct sluice_crl_cache_ops),
	.check_args = own_check_args,
	.lookup = own_lookup,
	.select = own_select,
	.fresh_crl = own_fresh,
};

static void CR_08_CR_09_CR_19_CR_20_CR_21_a_program_brings_its_cache(void **state)
{
	struct own own = { 0 };
	struct sluice_options *opts;
	struct sluice_error err;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	sluice_profile_unref(pair.client_profile);
	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CRL_CHECK, "true", &err), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CACERTFILE, certs_get()->ca, &err), 0);
	assert_int_equal(sluice_options_set_crl_cache(opts, &own_ops, &own, "other", &err), 0);
	assert_int_equal(sluice_profile_new(&pair.client_profile, opts, SLUICE_CLIENT, &err),
			 -SLUICE_E_OPTION);
	assert_int_equal(sluice_options_set_crl_cache(opts, &own_ops, &own, "some=thing", &err), 0);
	assert_int_equal(sluice_profile_new(&pair.client_profile, opts, SLUICE_CLIENT, &err), 0);
	sluice_options_free(opts);
	assert_int_equal(pair_connect(&pair), 0);
	/* Server and intermediate, each with the point that its issuer is; both CRLs each time. */
	assert_int_equal(own.n_select, 2);
	assert_int_equal(own.n_lookup, 2);
	assert_int_equal(own.n_fresh, 4);
	pair_close(&pair);
}

/* --- sessions --------------------------------------------------------------------------------- */

/* A session made without the check is no way around it. */
static void CR_03_sessions_do_not_go_around_the_check(void **state)
{
	struct sluice_session *session = NULL;
	struct sluice_conn_info info;
	struct pair pair;
	char text[300];

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	pair_exchange(&pair, 100);
	assert_int_equal(sluice_take_session(pair.client, &session), 0);
	pair_drop(&pair);
	sluice_profile_unref(pair.client_profile);
	snprintf(text, sizeof(text),
		 "cacertfile = %s\nserver_name_indication = localhost\ncrl_check = peer",
		 certs_get()->ca);
	pair.client_profile = pair_profile(SLUICE_CLIENT, text);
	insert(crls.no_server);
	pair_resume(&pair, session);
	assert_int_equal(pair.client_result, -SLUICE_E_VERIFY);
	check_refusal(pair.client, pair.server, V_CERT_REVOKED, "certificate_revoked");
	sluice_conn_info(pair.client, &info, sizeof(info));
	assert_int_equal(info.peer_verified, 0);
	sluice_session_free(session);
	forget_all();
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CR_02_CR_03_AL_19_a_revoked_server_is_refused),
		cmocka_unit_test(CR_03_CR_04_CR_05_AL_19_a_revoked_intermediate),
		cmocka_unit_test(CR_03_CR_04_CR_05_AL_17_without_crls_the_status_is_open),
		cmocka_unit_test(CR_08_AL_19_a_server_refuses_a_revoked_client),
		cmocka_unit_test(CR_08_CR_15_crls_of_a_directory),
		cmocka_unit_test(CR_08_CR_09_CR_19_CR_20_CR_21_a_program_brings_its_cache),
		cmocka_unit_test(CR_03_sessions_do_not_go_around_the_check),
	};

	return cmocka_run_group_tests_name("flow/crl", tests, setup, leaks_teardown);
}
