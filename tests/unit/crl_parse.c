/* SPDX-License-Identifier: Apache-2.0 */
/* What is a CRL that can be evaluated, and what is refused by name. */
#include "crl/crl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/crl_world.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static void a_crl_tells_of_itself(void **state)
{
	struct crl_der der = make((struct crl_spec){ .number = 0x1234, .n_others = 3 });
	struct sluice_crl_info info;
	struct sluice_crl *crl;

	assert_int_equal(sluice_crl_parse(&crl, der.der, der.len, NULL), 0);
	assert_int_equal(sluice_crl_info(crl, &info, sizeof(info)), 0);
	assert_int_equal(info.n_revoked, 3);
	assert_int_equal(info.number_len, 2);
	assert_memory_equal(info.number, "\x12\x34", 2);
	assert_true(info.this_update_s < info.next_update_s);
	assert_true(info.issuer_len > 10);
	assert_int_equal(sluice_crl_info(NULL, &info, sizeof(info)), -SLUICE_E_INVALID);
	sluice_crl_unref(crl);
	free((void *)der.der);
}

static void crls_that_contradict_themselves_or_are_unknown(void **state)
{
	const struct {
		struct crl_spec spec;
		int code;
		const char *says;
	} cases[] = {
		/* BoringSSL refuses the first already. */
		{ { .delta_of = 1 }, SLUICE_E_CRL_PARSE, "CRL" },
		{ { .number = -2 }, SLUICE_E_CRL_PARSE, "its CRL number is not one" },
		{ { .revoked = server.cert, .certificate_issuer = true },
		  SLUICE_E_UNSUPPORTED,
		  "it is no indirect CRL" },
		{ { .unknown_critical = true }, SLUICE_E_UNSUPPORTED, "it has a critical" },
		{ { .revoked = server.cert, .unknown_critical_entry = true },
		  SLUICE_E_UNSUPPORTED,
		  "an entry has a critical" },
		{ { .revoked = server.cert, .unknown_critical_entry = true, .n_others = 5 },
		  SLUICE_E_UNSUPPORTED,
		  "an entry has a critical" },
		{ { .idp = "critical,onlyuser:TRUE,onlyCA:TRUE" },
		  SLUICE_E_CRL_PARSE,
		  "contradicts itself" },
	};
	struct sluice_crl *crl;
	struct sluice_error err;
	struct crl_der der;
	size_t i;

	for (i = 0; i < ARRAY_LEN(cases); i++) {
		der = make(cases[i].spec);
		crl = NULL;
		assert_int_equal(sluice_crl_parse(&crl, der.der, der.len, &err), -cases[i].code);
		assert_null(crl);
		if (!strstr(err.text, cases[i].says))
			fail_msg("\"%s\" in \"%s\"", cases[i].says, err.text);
		free((void *)der.der);
	}
}

static void every_cut_and_every_tail_is_refused(void **state)
{
	struct crl_der der = make((struct crl_spec){ .revoked = server.cert, .number = 1 });
	uint8_t *longer = malloc(der.len + 1);
	struct sluice_crl *crl;
	size_t len;

	memcpy(longer, der.der, der.len);
	longer[der.len] = 0;
	for (len = 0; len <= der.len + 1; len++)
		if (len != der.len)
			assert_int_equal(sluice_crl_parse(&crl, longer, len, NULL),
					 -SLUICE_E_CRL_PARSE);
	assert_int_equal(sluice_crl_parse(&crl, longer, SLUICE_CRL_MAX_DER + 1, NULL),
			 -SLUICE_E_OPTION_RANGE);
	assert_int_equal(sluice_crl_parse(&crl, NULL, 1, NULL), -SLUICE_E_INVALID);
	free(longer);
	free((void *)der.der);
}

static void texts_with_crls_and_without(void **state)
{
	struct crl_der der = make((struct crl_spec){ 0 });
	struct crl_der unknown = make((struct crl_spec){ .unknown_critical = true });
	struct crl_der both[2];
	struct crl_list list = { 0 };
	struct sluice_error err;
	const char *path;

	both[0] = der;
	both[1] = unknown;
	path = crls_pem("crls.pem", both, 2);
	err_clear(&err);
	assert_int_equal(crl_file_read(&list, path, false, &err), -SLUICE_E_UNSUPPORTED);
	assert_non_null(strstr(err.text, "crls.pem: it has a critical"));
	crl_list_clear(&list);
	assert_int_equal(crl_file_read(&list, path, true, NULL), 0);
	assert_int_equal(list.n, 1);
	assert_int_equal(list.n_left_out, 1);
	crl_list_clear(&list);
	assert_int_equal(crl_list_read(&list, der.der, der.len, "x", false, NULL), 0);
	assert_int_equal(list.n, 1);
	crl_list_clear(&list);
	assert_int_equal(crl_list_read(&list, "", 0, "x", false, NULL), -SLUICE_E_CRL_PARSE);
	assert_int_equal(crl_file_read(&list, certs_get()->ca, false, NULL), -SLUICE_E_CRL_PARSE);
	assert_int_equal(crl_file_read(&list, "/nowhere/crl", false, NULL), -SLUICE_E_FILE);
	free((void *)der.der);
	free((void *)unknown.der);
}

/* Every serial number is found, and no other, whatever their order. */
static void a_crl_of_a_hundred_thousand(void **state)
{
	struct crl_der der = make((struct crl_spec){ .revoked = server.cert, .n_others = 100000 });
	STACK_OF(X509_REVOKED) * entries;
	X509 *cert = X509_dup(server.cert);
	const X509_REVOKED *entry;
	struct sluice_crl *crl;
	size_t i, found = 0;
	int reason;

	assert_int_equal(sluice_crl_parse(&crl, der.der, der.len, NULL), 0);
	entries = X509_CRL_get_REVOKED(crl->x509);
	for (i = 0; i < sk_X509_REVOKED_num(entries); i++) {
		entry = sk_X509_REVOKED_value(entries, i);
		assert_true(X509_set_serialNumber(cert, X509_REVOKED_get0_serialNumber(entry)));
		found += crl_find(crl, cert, &reason) == CRL_REVOKED;
	}
	assert_int_equal(found, 100001);
	assert_int_equal(crl_find(crl, server.cert, &reason), CRL_REVOKED);
	assert_int_equal(reason, 0);
	assert_int_equal(crl_find(crl, ca.cert, &reason), CRL_NOT_LISTED);
	X509_free(cert);
	assert_true(crl_is_signed_by(crl, ca.cert));
	assert_false(crl_is_signed_by(crl, server.cert));
	assert_true(crl_is_signed_by(crl, ca.cert));
	sluice_crl_unref(crl);
	free((void *)der.der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_crl_tells_of_itself),
		cmocka_unit_test(crls_that_contradict_themselves_or_are_unknown),
		cmocka_unit_test(every_cut_and_every_tail_is_refused),
		cmocka_unit_test(texts_with_crls_and_without),
		cmocka_unit_test(a_crl_of_a_hundred_thousand),
	};

	return cmocka_run_group_tests_name("unit/crl_parse", tests, crl_world_setup,
					   crl_world_teardown);
}
