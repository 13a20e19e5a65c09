/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that have a say in path validation: what they are told, and what their answers do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/bio.h>
#include <openssl/nid.h>
#include <openssl/pem.h>

#include "core/sys.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/told.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
/* --- certificates ------------------------------------------------------------------------ */

static const char *write_pem(const char *name, X509 *cert, X509 *ca, EVP_PKEY *key)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const uint8_t *bytes;
	const char *path;
	size_t len;

	assert_true(PEM_write_bio_X509(bio, cert));
	if (ca)
		assert_true(PEM_write_bio_X509(bio, ca));
	if (key)
		assert_true(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
	assert_true(BIO_mem_contents(bio, &bytes, &len));
	path = certs_file(name, bytes, len);
	BIO_free(bio);
	return path;
}

/* A server's certificate with an extension that nobody knows; *@ret_ca issued it. */
static const char *unknown_extension(const char *value, const char **ret_ca)
{
	EVP_PKEY *ca_key = certs_key(CERT_KEY_P256), *key = certs_key(CERT_KEY_P256);
	X509 *ca, *cert;
	const char *path;

	ca = certs_make(&(struct cert_spec){ .cn = "Extensions", .ca = true, .key = ca_key });
	cert = certs_make(&(struct cert_spec){ .cn = "server",
					       .san = "DNS:localhost",
					       .eku = "serverAuth",
					       .extra_nid = NID_sinfo_access,
					       .extra = value,
					       .key = key,
					       .issuer = ca,
					       .issuer_key = ca_key });
	*ret_ca = write_pem("extension-ca.pem", ca, NULL, NULL);
	path = write_pem("extension.pem", cert, NULL, key);
	X509_free(ca);
	X509_free(cert);
	EVP_PKEY_free(ca_key);
	EVP_PKEY_free(key);
	return path;
}

/* The client trusts another CA, and asks for another name; with @fun it listens. */
static void trust_instead(struct pair *pair, const char *ca, const char *more, bool fun)
{
	struct sluice_options *opts;
	struct sluice_error err;
	char text[600];

	snprintf(text, sizeof(text), "cacertfile = %s\nalert_timeout = 0\n%s", ca, more);
	opts = check_options(text);
	if (fun)
		assert_int_equal(
			sluice_options_set_verify_fun(opts, listen_to, &told.first_state, NULL), 0);
	sluice_profile_unref(pair->client_profile);
	if (sluice_profile_new(&pair->client_profile, opts, SLUICE_CLIENT, &err) < 0)
		fail_msg("%s", err.text);
	sluice_options_free(opts);
}

/* --- events ------------------------------------------------------------------------------ */

static void OC_23_OC_26_OC_27_a_valid_path_from_the_root_downwards(void **state)
{
	struct pair pair;
	size_t i, n = 0;

	PAIR_FOR_EACH_VERSION(version)
	{
		open_with(&pair, SLUICE_CLIENT, (struct pair_setup){ .versions = version }, ANY, 0,
			  0);
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(count(SLUICE_EVT_BAD_CERT, ANY), 0);
		assert_int_equal(count(SLUICE_EVT_VALID, ANY), 2);
		assert_int_equal(count(SLUICE_EVT_VALID_PEER, ANY), 1);
		assert_int_equal(told.events[told.n - 1].type, SLUICE_EVT_VALID_PEER);
		for (i = 0, n = 3; i < told.n; i++)
			if (told.events[i].type != SLUICE_EVT_EXTENSION)
				assert_int_equal(told.events[i].index, --n);
		assert_true(check_info(pair.client).peer_verified);
		assert_int_equal(check_info(pair.client).bad_cert, SLUICE_BAD_CERT_NONE);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

struct bad {
	const char *cert;
	int reason, alert;
	int days;
};

static const struct bad *bad_certs(size_t *ret_n)
{
	static struct bad bad[4];
	const struct certs *c = certs_get();

	bad[0] = (struct bad){ c->wrong_name, SLUICE_BAD_CERT_HOSTNAME,
			       SLUICE_ALERT_BAD_CERTIFICATE, 0 };
	bad[1] = (struct bad){ c->self_signed, SLUICE_BAD_CERT_SELFSIGNED_PEER,
			       SLUICE_ALERT_BAD_CERTIFICATE, 0 };
	bad[2] = (struct bad){ c->server_bare, SLUICE_BAD_CERT_UNKNOWN_CA, SLUICE_ALERT_UNKNOWN_CA,
			       0 };
	bad[3] = (struct bad){ c->expired, SLUICE_BAD_CERT_EXPIRED,
			       SLUICE_ALERT_CERTIFICATE_EXPIRED, -2 };
	*ret_n = ARRAY_SIZE(bad);
	return bad;
}

#define DAY_S 86400

static struct sys_ops shifted_sys;
static int64_t shift_s;

static int64_t shifted_wall_s(void)
{
	return sys_real.wall_s() + shift_s;
}

/* A server that was set up when its certificate was good. */
static void open_bad(struct pair *pair, const struct bad *bad, const char *client, int type,
		     int answer, int reason)
{
	shifted_sys = sys_real;
	shifted_sys.wall_s = shifted_wall_s;
	shift_s = (int64_t)bad->days * DAY_S;
	sys = &shifted_sys;
	open_with(pair, SLUICE_CLIENT,
		  (struct pair_setup){ .cert = bad->cert, .client_options = client }, type, answer,
		  reason);
	sys = &sys_real;
}

static void OC_24_OC_29_OC_30_OC_39_CL_03_whatever_is_wrong_can_be_accepted(void **state)
{
	static const char *const modes[] = { "verify = verify_peer\n", "verify = verify_none\n" };
	struct sluice_conn_info info;
	const struct bad *bad;
	struct pair pair;
	size_t i, j, n;

	bad = bad_certs(&n);
	for (i = 0; i < n; i++) {
		for (j = 0; j < ARRAY_SIZE(modes); j++) {
			open_bad(&pair, &bad[i], modes[j], ANY, 0, 0);
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(count(SLUICE_EVT_BAD_CERT, bad[i].reason), 1);
			assert_int_equal(count(SLUICE_EVT_BAD_CERT, ANY), 1);
			assert_int_equal(count(SLUICE_EVT_VALID_PEER, ANY), 1);
			info = check_info(pair.client);
			assert_false(info.peer_verified);
			assert_int_equal(info.bad_cert, bad[i].reason);
			assert_int_not_equal(info.x509_error, 0);
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
	}
}

static void OC_24_OC_28_what_is_wrong_is_refused(void **state)
{
	struct sluice_error err;
	const struct bad *bad;
	struct pair pair;
	size_t i, n;
	int unknown;

	bad = bad_certs(&n);
	for (i = 0; i < n; i++) {
		for (unknown = 0; unknown < 2; unknown++) {
			open_bad(&pair, &bad[i], "verify = verify_none\n", SLUICE_EVT_BAD_CERT,
				 unknown ? SLUICE_VRET_UNKNOWN : SLUICE_VRET_FAIL, 0);
			pair_connect(&pair);
			check_refused(&pair, SLUICE_CLIENT,
				      bad[i].reason == SLUICE_BAD_CERT_HOSTNAME ? SLUICE_E_HOSTNAME
										: SLUICE_E_VERIFY,
				      bad[i].alert);
			sluice_conn_error(pair.client, &err, sizeof(err));
			assert_int_equal(err.bad_cert, bad[i].reason);
			assert_int_not_equal(err.x509_error, 0);
			assert_int_equal(err.stage, SLUICE_STAGE_VERIFY);
			/* At once: nothing was told after it. */
			assert_int_equal(told.events[told.n - 1].type, SLUICE_EVT_BAD_CERT);
			pair_close(&pair);
		}
	}
}

/* Everything is told, not the first alone: who accepts an unknown CA does not accept an old certificate. */
static void OC_24_each_error_is_told(void **state)
{
	struct bad bad = { certs_get()->expired, 0, 0, -2 };
	struct pair pair;

	open_bad(&pair, &bad, NULL, SLUICE_EVT_BAD_CERT, SLUICE_VRET_FAIL, 0);
	told.on_reason = SLUICE_BAD_CERT_EXPIRED;
	trust_instead(&pair, certs_get()->other_ca, "server_name_indication = elsewhere.test\n",
		      true);
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_CERTIFICATE_EXPIRED);
	assert_int_equal(count(SLUICE_EVT_BAD_CERT, SLUICE_BAD_CERT_UNKNOWN_CA), 1);
	assert_int_equal(count(SLUICE_EVT_BAD_CERT, SLUICE_BAD_CERT_EXPIRED), 1);
	assert_int_equal(count(SLUICE_EVT_VALID_PEER, ANY), 0);
	pair_close(&pair);
}

static void OC_28_AL_21_a_reason_of_its_own(void **state)
{
	static const struct {
		int reason, alert, told;
	} cases[] = {
		{ 0, SLUICE_ALERT_CERTIFICATE_UNKNOWN, SLUICE_BAD_CERT_APPLICATION },
		{ SLUICE_BAD_CERT_REVOKED, SLUICE_ALERT_CERTIFICATE_REVOKED,
		  SLUICE_BAD_CERT_REVOKED },
		{ 12345, SLUICE_ALERT_CERTIFICATE_UNKNOWN, SLUICE_BAD_CERT_APPLICATION },
	};
	static const int types[] = { SLUICE_EVT_VALID, SLUICE_EVT_VALID_PEER };
	struct sluice_error err;
	struct pair pair;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (j = 0; j < ARRAY_SIZE(types); j++) {
			open_with(&pair, SLUICE_CLIENT, (struct pair_setup){ 0 }, types[j],
				  SLUICE_VRET_FAIL, cases[i].reason);
			pair_connect(&pair);
			check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, cases[i].alert);
			sluice_conn_error(pair.client, &err, sizeof(err));
			assert_int_equal(err.bad_cert, cases[i].told);
			pair_close(&pair);
		}
	}
}

/* --- extensions -------------------------------------------------------------------------- */

#define NOT_CRITICAL "caRepository;URI:http://x.test/"
#define CRITICAL "critical," NOT_CRITICAL
#define SINFO_ACCESS "1.3.6.1.5.5.7.1.11"

static void OC_25_OC_31_OC_32_extensions_that_nobody_knows(void **state)
{
	static const struct {
		const char *value;
		int answer;
		bool accepted;
	} cases[] = {
		{ NOT_CRITICAL, SLUICE_VRET_VALID, true },
		{ NOT_CRITICAL, SLUICE_VRET_UNKNOWN, true },
		{ NOT_CRITICAL, SLUICE_VRET_FAIL, false },
		{ CRITICAL, SLUICE_VRET_VALID, true },
		{ CRITICAL, SLUICE_VRET_UNKNOWN, false },
		{ CRITICAL, SLUICE_VRET_FAIL, false },
	};
	struct sluice_error err;
	const char *path, *ca;
	struct pair pair;
	bool critical;
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		critical = !strcmp(cases[i].value, CRITICAL);
		path = unknown_extension(cases[i].value, &ca);
		open_with(&pair, SLUICE_CLIENT, (struct pair_setup){ .cert = path, .key = path },
			  SLUICE_EVT_EXTENSION, cases[i].answer, 0);
		trust_instead(&pair, ca, "server_name_indication = localhost\n", true);
		pair_connect(&pair);
		for (j = 0; j < told.n && told.events[j].type != SLUICE_EVT_EXTENSION; j++)
			;
		assert_in_range(j, 0, told.n - 1);
		assert_string_equal(told.oids[j], SINFO_ACCESS);
		assert_int_equal(told.events[j].critical, critical);
		assert_int_equal(told.events[j].index, 0);
		assert_true(told.events[j].value_len > 10);
		assert_int_equal(count(SLUICE_EVT_EXTENSION, ANY), 1);
		if (cases[i].accepted) {
			assert_int_equal(pair.client_result, 0);
			assert_true(check_info(pair.client).peer_verified);
		} else {
			sluice_conn_error(pair.client, &err, sizeof(err));
			assert_int_equal(err.code, SLUICE_E_VERIFY);
			assert_int_equal(err.bad_cert, cases[i].answer == SLUICE_VRET_UNKNOWN
							       ? SLUICE_BAD_CERT_CRITICAL_EXT
							       : SLUICE_BAD_CERT_APPLICATION);
			assert_int_equal(err.alert, cases[i].answer == SLUICE_VRET_UNKNOWN
							    ? SLUICE_ALERT_UNSUPPORTED_CERTIFICATE
							    : SLUICE_ALERT_CERTIFICATE_UNKNOWN);
		}
		pair_close(&pair);
	}
}

static void OC_33_OC_34_without_a_function(void **state)
{
	const char *ca, *path = unknown_extension(CRITICAL, &ca);
	struct pair pair;

	memset(&told, 0, sizeof(told));
	pair_open(&pair, &(struct pair_setup){ .cert = path, .key = path });
	trust_instead(&pair, ca, "server_name_indication = localhost\n", false);
	pair_connect(&pair);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_UNSUPPORTED_CERTIFICATE);
	pair_drop(&pair);
	trust_instead(&pair, certs_get()->other_ca, "verify = verify_none\n", false);
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);

	path = unknown_extension(NOT_CRITICAL, &ca);
	pair_open(&pair, &(struct pair_setup){ .cert = path, .key = path });
	trust_instead(&pair, ca, "server_name_indication = localhost\n", false);
	assert_int_equal(pair_connect(&pair), 0);
	assert_true(check_info(pair.client).peer_verified);
	assert_int_equal(told.n, 0);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_23_OC_26_OC_27_a_valid_path_from_the_root_downwards),
		cmocka_unit_test(OC_24_OC_29_OC_30_OC_39_CL_03_whatever_is_wrong_can_be_accepted),
		cmocka_unit_test(OC_24_OC_28_what_is_wrong_is_refused),
		cmocka_unit_test(OC_24_each_error_is_told),
		cmocka_unit_test(OC_28_AL_21_a_reason_of_its_own),
		cmocka_unit_test(OC_25_OC_31_OC_32_extensions_that_nobody_knows),
		cmocka_unit_test(OC_33_OC_34_without_a_function),
	};

	return cmocka_run_group_tests_name("flow/verify_fun", tests, leaks_setup, leaks_teardown);
}
