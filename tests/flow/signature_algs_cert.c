/* SPDX-License-Identifier: Apache-2.0 */
/* Option signature_algs_cert: what the certificates of a server may be signed with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/told.h"

#define OPTION "signature_algs_cert = "
#define OTHERS "rsa_pss_rsae_sha256,ed25519,rsa_pkcs1_sha256,ecdsa_secp384r1_sha384"

/* The server's key is RSA, its chain is signed by ECDSA: only that counts. */
static void OC_21_the_chain_is_held_to_it(void **state)
{
	struct sluice_error err;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		const char *versions = strcmp(version, "tlsv1.2") ? version : NULL;

		pair_open(&pair,
			  &(struct pair_setup){
				  .versions = versions,
				  .cert = certs_get()->server_rsa,
				  .key = certs_get()->server_rsa_key,
				  .server_options = versions ? "" : "versions = tlsv1.2\n",
				  .client_options = OPTION OTHERS ",ecdsa_secp256r1_sha256\n" });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(check_info(pair.client).warnings, SLUICE_W_NOT_SENT);
		assert_int_equal(check_info(pair.server).warnings, 0);
		pair_close(&pair);
		pair_open(&pair, &(struct pair_setup){
					 .versions = versions,
					 .server_options = versions ? "" : "versions = tlsv1.2\n",
					 .client_options = OPTION OTHERS "\n" });
		pair_connect(&pair);
		check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE);
		sluice_conn_error(pair.client, &err, sizeof(err));
		assert_int_equal(err.bad_cert, SLUICE_BAD_CERT_WEAK_SIGNATURE);
		assert_non_null(strstr(err.text, "signature_algs_cert"));
		pair_close(&pair);
	}
	/* Without it any signature that is strong enough will do. */
	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(check_info(pair.client).warnings, 0);
	pair_close(&pair);
}

/* A program that is asked hears of each certificate, and may let them pass. */
static void OC_21_a_program_is_told(void **state)
{
	struct pair pair;

	open_with(&pair, SLUICE_CLIENT, (struct pair_setup){ .client_options = OPTION OTHERS "\n" },
		  ANY, 0, 0);
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(count(SLUICE_EVT_BAD_CERT, SLUICE_BAD_CERT_WEAK_SIGNATURE), 2);
	assert_int_equal(count(SLUICE_EVT_BAD_CERT, ANY), 2);
	assert_false(check_info(pair.client).peer_verified);
	pair_close(&pair);
}

/* Who was let in under a wide list does not resume under a narrow one. */
static void OC_21_SV_19_sessions_are_of_their_list(void **state)
{
	struct sluice_session *session;
	struct pair pair, narrow;
	uint8_t byte;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_recv(pair.client, &byte, 1, SLUICE_NOWAIT), -SLUICE_E_AGAIN);
	assert_int_equal(sluice_take_session(pair.client, &session), 0);
	pair_drop(&pair);
	assert_int_equal(pair_resume(&pair, session), 0);
	assert_true(check_info(pair.client).resumed);
	pair_drop(&pair);
	pair_open(&narrow, &(struct pair_setup){ .client_options = OPTION OTHERS "\n" });
	pair.client_profile = sluice_profile_unref(pair.client_profile);
	pair.client_profile = sluice_profile_ref(narrow.client_profile);
	pair_resume(&pair, session);
	check_refused(&pair, SLUICE_CLIENT, SLUICE_E_VERIFY, SLUICE_ALERT_BAD_CERTIFICATE);
	sluice_session_free(session);
	pair_close(&pair);
	pair_close(&narrow);
}

static void OC_21_what_it_takes(void **state)
{
	static const struct {
		const char *text;
		enum sluice_role role;
		int code;
	} cases[] = {
		{ OPTION "rsa_pss_rsae_sha256\n", SLUICE_CLIENT, 0 },
		{ OPTION "rsa_pss_rsae_sha256\nversions = tlsv1.2\n", SLUICE_CLIENT,
		  SLUICE_E_OPTION_CONFLICT },
		{ OPTION "rsa_pss_rsae_sha256\n", SLUICE_SERVER, SLUICE_E_OPTION_ROLE },
	};
	struct sluice_profile *profile;
	struct sluice_options *opts;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		opts = check_options(cases[i].text);
		profile = NULL;
		assert_int_equal(sluice_profile_new(&profile, opts, cases[i].role, &err),
				 -cases[i].code);
		if (cases[i].code)
			assert_non_null(strstr(err.text, "signature_algs_cert"));
		sluice_profile_unref(profile);
		sluice_options_free(opts);
	}
	opts = check_options("");
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SIGNATURE_ALGS_CERT, "rsa_pkcs1_sha1",
					    &err),
			 -SLUICE_E_UNSUPPORTED_SIGALG);
	assert_int_equal(sluice_options_set(opts, SLUICE_OPT_SIGNATURE_ALGS_CERT, "nonsense", &err),
			 -SLUICE_E_UNSUPPORTED_SIGALG);
	sluice_options_free(opts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(OC_21_the_chain_is_held_to_it),
		cmocka_unit_test(OC_21_a_program_is_told),
		cmocka_unit_test(OC_21_SV_19_sessions_are_of_their_list),
		cmocka_unit_test(OC_21_what_it_takes),
	};

	return cmocka_run_group_tests_name("flow/signature_algs_cert", tests, leaks_setup,
					   leaks_teardown);
}
