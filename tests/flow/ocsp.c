/* SPDX-License-Identifier: Apache-2.0 */
/* Stapled OCSP responses in real handshakes: who staples what, who is refused, what both ends are told. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <sluice/ocsp.h>
#include <sluice/sluice.h>

#include "options/profile.h"
#include "support/certs.h"
#include "support/leaks.h"
#include "support/ocsps.h"
#include "support/pair.h"

static X509 *server, *client, *issuer;
static EVP_PKEY *issuer_key;

static X509 *read_cert(const char *path)
{
	BIO *bio = BIO_new_file(path, "r");
	X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(x509);
	BIO_free(bio);
	return x509;
}

static int setup(void **state)
{
	const struct certs *c = certs_get();
	BIO *bio = BIO_new_file(c->intermediate_key, "r");

	issuer_key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	server = read_cert(c->server_p256);
	client = read_cert(c->client);
	issuer = read_cert(c->intermediate);
	return leaks_setup(state);
}

static int teardown(void **state)
{
	int r = leaks_teardown(state);

	X509_free(server);
	X509_free(client);
	X509_free(issuer);
	EVP_PKEY_free(issuer_key);
	return r;
}

/* struct der - a response; free() its bytes. */
struct der {
	uint8_t *bytes;
	size_t len;
};

static struct der make(struct ocsp_entry entry)
{
	struct ocsp_spec spec = {
		.entries = &entry, .n = 1, .responder = issuer, .key = issuer_key
	};
	struct der der;

	if (!entry.cert)
		entry.cert = server;
	entry.issuer = issuer;
	der.bytes = ocsps_make(&spec, &der.len);
	return der;
}

/* Another signature: the last byte of one with ECDSA is of a number. */
static struct der spoil(struct der der)
{
	der.bytes[der.len - 1] ^= 1;
	return der;
}

#define MAKE(...) make((struct ocsp_entry){ __VA_ARGS__ })

/* Makes a server staple what its profile would not take. */
static void force(struct pair *pair, const struct der *der)
{
	assert_int_equal(SSL_CTX_set_ocsp_response(pair->server_profile->ctx, der->bytes, der->len),
			 1);
}

static int ocsp_of(const struct pair *pair)
{
	struct sluice_conn_info info;

	assert_int_equal(sluice_conn_info(pair->client, &info, sizeof(info)), 0);
	return info.ocsp;
}

static void check_refusal(struct pair *pair, int bad_cert, const char *alert)
{
	struct sluice_error err;

	assert_int_equal(pair->client_result, -SLUICE_E_VERIFY);
	sluice_conn_error(pair->client, &err, sizeof(err));
	assert_int_equal(err.code, SLUICE_E_VERIFY);
	assert_int_equal(err.stage, SLUICE_STAGE_VERIFY);
	assert_int_equal(err.bad_cert, bad_cert);
	assert_int_equal(err.alert_sent, 1);
	assert_string_equal(sluice_alert_name(err.alert), alert);
	sluice_conn_error(pair->server, &err, sizeof(err));
	assert_int_equal(err.alert_sent, 0);
	assert_string_equal(sluice_alert_name(err.alert), alert);
}

/* A client of @options meets a server that staples @der, which is freed. @bad_cert 0: it is accepted. */
static void check(const char *version, const char *options, struct der der, int ocsp, int bad_cert)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .versions = version, .client_options = options });
	if (der.bytes)
		force(&pair, &der);
	pair_connect(&pair);
	if (bad_cert)
		check_refusal(&pair, bad_cert,
			      bad_cert == SLUICE_BAD_CERT_REVOKED
				      ? "certificate_revoked"
				      : "bad_certificate_status_response");
	else
		assert_int_equal(pair.client_result, 0);
	assert_int_equal(ocsp_of(&pair), ocsp);
	pair_close(&pair);
	free(der.bytes);
}

static struct der cut(struct der der)
{
	der.len--;
	return der;
}

static struct der unsuccessful(int status)
{
	struct der der;

	der.bytes = ocsps_unsuccessful(status, &der.len);
	return der;
}

static void a_client_holds_a_staple_against_the_certificate(void **state)
{
	static const char *const options[] = { "", "ocsp = if_present", "ocsp = must" };
	size_t i;

	PAIR_FOR_EACH_VERSION(version)
	{
		for (i = 0; i < 3; i++) {
			check(version, options[i], MAKE(.sha256 = i), SLUICE_OCSP_GOOD, 0);
			check(version, options[i], MAKE(.status = 1, .reason = 2), SLUICE_OCSP_BAD,
			      SLUICE_BAD_CERT_REVOKED);
			check(version, options[i], MAKE(.status = 2), SLUICE_OCSP_BAD,
			      SLUICE_BAD_CERT_OCSP_UNKNOWN);
			check(version, options[i], MAKE(.from_s = -7200, .to_s = -3600),
			      SLUICE_OCSP_BAD, SLUICE_BAD_CERT_OCSP_STALE);
			check(version, options[i], MAKE(.from_s = 3600, .to_s = 7200),
			      SLUICE_OCSP_BAD, SLUICE_BAD_CERT_OCSP_STALE);
			check(version, options[i], MAKE(.cert = client), SLUICE_OCSP_BAD,
			      SLUICE_BAD_CERT_OCSP_INVALID);
			check(version, options[i], cut(MAKE(.status = 0)), SLUICE_OCSP_BAD,
			      SLUICE_BAD_CERT_OCSP_INVALID);
			check(version, options[i], unsuccessful(3), SLUICE_OCSP_BAD,
			      SLUICE_BAD_CERT_OCSP_INVALID);
		}
		check(version, "ocsp = off", MAKE(.status = 1), SLUICE_OCSP_NOT_ASKED, 0);
		check(version, "verify = verify_none", MAKE(.status = 1), SLUICE_OCSP_NOT_ASKED, 0);
	}
}

static void who_staples_nothing(void **state)
{
	const struct der none = { 0 };

	PAIR_FOR_EACH_VERSION(version)
	{
		check(version, "", none, SLUICE_OCSP_NONE, 0);
		check(version, "ocsp = off", none, SLUICE_OCSP_NOT_ASKED, 0);
		check(version, "ocsp = must", none, SLUICE_OCSP_NONE, SLUICE_BAD_CERT_OCSP_MISSING);
	}
}

/* --- servers ------------------------------------------------------------------------------------ */

static const char *write_der(const char *name, struct der der)
{
	const char *path = certs_file(name, der.bytes, der.len);

	free(der.bytes);
	return path;
}

static int build(const char *path, struct sluice_profile **ret_profile, struct sluice_error *err)
{
	const struct certs *c = certs_get();
	struct sluice_options *opts;
	int r;

	*ret_profile = NULL;
	assert_int_equal(sluice_options_new(&opts), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_CERTFILE, c->server_p256, err), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_KEYFILE, c->server_p256_key, err), 0);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_OCSP_FILE, path, err), 0);
	r = sluice_profile_new(ret_profile, opts, SLUICE_SERVER, err);
	sluice_options_free(opts);
	return r;
}

static void refuses_file(const char *path, const char *text)
{
	struct sluice_profile *profile;
	struct sluice_error err;

	assert_int_equal(build(path, &profile, &err), -SLUICE_E_OCSP);
	assert_null(profile);
	assert_non_null(strstr(err.text, "ocsp_file"));
	if (!strstr(err.text, text))
		fail_msg("%s", err.text);
}

static void a_server_checks_its_file(void **state)
{
	struct sluice_ocsp_info info;
	struct sluice_profile *profile;
	struct sluice_error err;
	struct pair pair;
	char options[500];
	const char *path;

	refuses_file(write_der("revoked.der", MAKE(.status = 1, .reason = 5)), "superseded");
	refuses_file(write_der("unknown.der", MAKE(.status = 2)), "does not know");
	refuses_file(write_der("other.der", MAKE(.cert = client)), "not about it");
	refuses_file(write_der("future.der", MAKE(.from_s = 3600, .to_s = 7200)), "not valid yet");
	refuses_file(write_der("cut.der", cut(MAKE(.status = 0))), "malformed");
	refuses_file(certs_get()->ca, "no OCSP response");
	/* One that is out of date is as good as none. */
	path = write_der("stale.der", MAKE(.from_s = -7200, .to_s = -3600));
	assert_int_equal(build(path, &profile, &err), 0);
	assert_int_equal(sluice_profile_ocsp(profile, NULL, &info, sizeof(info)), 0);
	assert_int_equal(info.stapled, 0);
	sluice_profile_unref(profile);
	/* So is one whose signature nobody can check any more. */
	path = write_der("unsigned.der", spoil(MAKE(.from_s = -7200, .to_s = -3600)));
	assert_int_equal(build(path, &profile, &err), 0);
	sluice_profile_unref(profile);
	refuses_file(write_der("spoilt.der", spoil(MAKE(.status = 0))), "signature");
	snprintf(options, sizeof(options), "ocsp_file = %s", path);
	pair_open(&pair, &(struct pair_setup){ .server_options = options });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(ocsp_of(&pair), SLUICE_OCSP_NONE);
	pair_close(&pair);
}

static int set(struct pair *pair, const char *host, struct der der)
{
	struct sluice_error err;
	int r = sluice_profile_set_ocsp(pair->server_profile, host, der.bytes, der.len, &err);

	assert_int_equal(err.code, -r);
	free(der.bytes);
	return r;
}

static int meets(struct pair *pair)
{
	int ocsp;

	assert_int_equal(pair_connect(pair), 0);
	ocsp = ocsp_of(pair);
	pair_exchange(pair, 100);
	pair_drop(pair);
	return ocsp;
}

static void a_newer_response_is_put_in_while_the_profile_lives(void **state)
{
	struct sluice_ocsp_info info;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		assert_int_equal(sluice_profile_ocsp(pair.server_profile, NULL, &info,
						     sizeof(info)),
				 -SLUICE_E_UNDEFINED);
		assert_int_equal(meets(&pair), SLUICE_OCSP_NONE);
		assert_int_equal(set(&pair, NULL, MAKE(.from_s = -60, .to_s = 3600)), 0);
		assert_int_equal(meets(&pair), SLUICE_OCSP_GOOD);
		/* What will not do leaves what there is. */
		assert_int_equal(set(&pair, NULL, MAKE(.from_s = -120, .to_s = 3600)),
				 -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, NULL, MAKE(.status = 1)), -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, NULL, MAKE(.status = 2)), -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, NULL, MAKE(.cert = client)), -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, NULL, MAKE(.from_s = -50, .to_s = -40)), 0);
		assert_int_equal(set(&pair, NULL, MAKE(.from_s = -900, .to_s = -400)),
				 -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, NULL, cut(MAKE(.from_s = -1, .to_s = 60))),
				 -SLUICE_E_OCSP);
		assert_int_equal(set(&pair, "no.such.host", MAKE(.status = 0)),
				 -SLUICE_E_UNDEFINED);
		/* The one within the tolerance is not stapled any more: it would be refused soon. */
		assert_int_equal(meets(&pair), SLUICE_OCSP_NONE);
		assert_int_equal(set(&pair, NULL, MAKE(.from_s = -30, .to_s = 60)), 0);
		assert_int_equal(meets(&pair), SLUICE_OCSP_GOOD);
		assert_int_equal(sluice_profile_set_ocsp(pair.client_profile, NULL, "", 0, NULL),
				 -SLUICE_E_UNDEFINED);
		pair_close(&pair);
	}
}

/* A session has the verdict that it was made with, though the server staples something else by now. */
static void a_resumed_session_keeps_the_verdict(void **state)
{
	struct sluice_session *session;
	struct pair pair;
	struct der der;
	char byte;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .versions = version,
						.server_options = "session_tickets = stateless",
						.client_options = "session_tickets = manual\n"
								  "ocsp = must" });
		assert_int_equal(set(&pair, NULL, MAKE(.status = 0)), 0);
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(ocsp_of(&pair), SLUICE_OCSP_GOOD);
		pair_exchange(&pair, 100);
		sluice_recv(pair.client, &byte, 1, SLUICE_NOWAIT);
		assert_int_equal(sluice_take_session(pair.client, &session), 0);
		pair_drop(&pair);
		der = MAKE(.status = 1);
		force(&pair, &der);
		free(der.bytes);
		assert_int_equal(pair_resume(&pair, session), 0);
		assert_int_equal(ocsp_of(&pair), SLUICE_OCSP_KEPT);
		sluice_session_free(session);
		pair_close(&pair);
	}
}

/* --- hosts -------------------------------------------------------------------------------------- */

static void add_hosts(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	const struct certs *c = certs_get();
	struct sluice_options *own, *shared;
	struct sluice_error err;

	if (role != SLUICE_SERVER)
		return;
	assert_int_equal(sluice_options_new(&own), 0);
	assert_int_equal(sluice_options_new(&shared), 0);
	assert_int_equal(sluice_options_set(own, SLUICE_OPT_CERTFILE, c->server_rsa, &err), 0);
	assert_int_equal(sluice_options_set(own, SLUICE_OPT_KEYFILE, c->server_rsa_key, &err), 0);
	assert_int_equal(sluice_options_set(shared, SLUICE_OPT_DEPTH, "3", &err), 0);
	assert_int_equal(sluice_options_add_sni_host(opts, "own.example.test", own, &err), 0);
	assert_int_equal(sluice_options_add_sni_host(opts, "*.example.test", shared, &err), 0);
	sluice_options_free(own);
	sluice_options_free(shared);
}

static int meets_host(struct pair *pair, const char *host)
{
	char options[300];

	snprintf(options, sizeof(options),
		 "cacertfile = %s\nserver_name_indication = %s\n"
		 "customize_hostname_check = https",
		 certs_get()->ca, host);
	sluice_profile_unref(pair->client_profile);
	pair->client_profile = pair_profile(SLUICE_CLIENT, options);
	return meets(pair);
}

static void hosts_staple_to_their_own_certificates(void **state)
{
	X509 *rsa = read_cert(certs_get()->server_rsa);
	struct pair pair;
	char options[500];

	snprintf(options, sizeof(options), "ocsp_file = %s",
		 write_der("host.der", MAKE(.status = 0)));
	pair_open(&pair, &(struct pair_setup){ .server_options = options, .set = add_hosts });
	assert_int_equal(meets_host(&pair, "localhost"), SLUICE_OCSP_GOOD);
	assert_int_equal(meets_host(&pair, "other.example.test"), SLUICE_OCSP_GOOD);
	assert_int_equal(meets_host(&pair, "own.example.test"), SLUICE_OCSP_NONE);
	assert_int_equal(set(&pair, "own.example.test", MAKE(.status = 0)), -SLUICE_E_OCSP);
	assert_int_equal(set(&pair, "own.example.test", MAKE(.cert = rsa)), 0);
	assert_int_equal(meets_host(&pair, "own.example.test"), SLUICE_OCSP_GOOD);
	assert_int_equal(meets_host(&pair, "localhost"), SLUICE_OCSP_GOOD);
	X509_free(rsa);
	pair_close(&pair);
}

/* --- a program's say ---------------------------------------------------------------------------- */

static int accept_stale(struct sluice_conn *conn, const struct sluice_verify_event *event,
			void **state, int *reason)
{
	if (event->type != SLUICE_EVT_BAD_CERT || event->reason == SLUICE_BAD_CERT_OCSP_STALE)
		return SLUICE_VRET_VALID;
	return SLUICE_VRET_FAIL;
}

static void set_fun(struct sluice_options *opts, enum sluice_role role, void *arg)
{
	if (role == SLUICE_CLIENT)
		assert_int_equal(sluice_options_set_verify_fun(opts, accept_stale, NULL, NULL), 0);
}

static void a_program_is_asked(void **state)
{
	struct sluice_conn_info info;
	struct pair pair;
	struct der der;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version, .set = set_fun });
		der = MAKE(.from_s = -7200, .to_s = -3600);
		force(&pair, &der);
		free(der.bytes);
		assert_int_equal(pair_connect(&pair), 0);
		sluice_conn_info(pair.client, &info, sizeof(info));
		assert_int_equal(info.bad_cert, SLUICE_BAD_CERT_OCSP_STALE);
		assert_int_equal(info.peer_verified, 0);
		assert_int_equal(info.ocsp, SLUICE_OCSP_BAD);
		pair_drop(&pair);
		der = MAKE(.status = 1);
		force(&pair, &der);
		free(der.bytes);
		pair_connect(&pair);
		check_refusal(&pair, SLUICE_BAD_CERT_REVOKED, "certificate_revoked");
		pair_close(&pair);
	}
}

/* --- threads ------------------------------------------------------------------------------------ */

struct setter {
	struct sluice_profile *profile;
	struct der ders[2];
	atomic_bool done;
	unsigned int n_set;
};

static void *set_on(void *arg)
{
	struct setter *setter = arg;
	unsigned int i;

	for (i = 0; !atomic_load(&setter->done); i++)
		setter->n_set += sluice_profile_set_ocsp(setter->profile, NULL,
							 setter->ders[i % 2].bytes,
							 setter->ders[i % 2].len, NULL) == 0;
	return NULL;
}

static void handshakes_and_setters_do_not_meet(void **state)
{
	struct setter setter = { 0 };
	pthread_t thread;
	struct pair pair;
	int i;

	setter.ders[0] = MAKE(.from_s = -60, .to_s = 3600);
	setter.ders[1] = MAKE(.from_s = -60, .to_s = 7200);
	pair_open(&pair, &(struct pair_setup){ 0 });
	setter.profile = pair.server_profile;
	assert_int_equal(sluice_profile_set_ocsp(setter.profile, NULL, setter.ders[0].bytes,
						 setter.ders[0].len, NULL),
			 0);
	assert_int_equal(pthread_create(&thread, NULL, set_on, &setter), 0);
	for (i = 0; i < 50; i++)
		assert_int_equal(meets(&pair), SLUICE_OCSP_GOOD);
	atomic_store(&setter.done, true);
	pthread_join(thread, NULL);
	assert_true(setter.n_set > 1);
	free(setter.ders[0].bytes);
	free(setter.ders[1].bytes);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_client_holds_a_staple_against_the_certificate),
		cmocka_unit_test(who_staples_nothing),
		cmocka_unit_test(a_server_checks_its_file),
		cmocka_unit_test(a_newer_response_is_put_in_while_the_profile_lives),
		cmocka_unit_test(a_resumed_session_keeps_the_verdict),
		cmocka_unit_test(hosts_staple_to_their_own_certificates),
		cmocka_unit_test(a_program_is_asked),
		cmocka_unit_test(handshakes_and_setters_do_not_meet),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
