/* SPDX-License-Identifier: Apache-2.0 */
/* CRLs with an index: the same answers as those that are parsed whole, and sets of them in a file. */
#include "crl/index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/crl-cache.h"
#include "common/crl-set.h"
#include "crl/check.h"
#include "crl/crl.h"
#include "support/certs.h"
#include "support/crl_world.h"

static struct crl_index index_of(const struct crl_indexed *indexed, struct crl_der der)
{
	return (struct crl_index){ der.der, der.len, indexed->entries, indexed->n,
				   indexed->serial_len };
}

static void the_same_answers(void **state)
{
	struct crl_der der = make((struct crl_spec){ .revoked = server.cert,
						     .reason = 1 + CRL_REASON_SUPERSEDED,
						     .n_others = 500,
						     .number = 7 });
	const STACK_OF(X509_REVOKED) * entries;
	struct crl_indexed indexed;
	struct sluice_crl *whole, *crl;
	struct crl_index index;
	int reason;
	size_t i;

	assert_int_equal(crl_index_make(&indexed, der.der, der.len), 0);
	assert_int_equal(indexed.n, 501);
	assert_true(indexed.core_len < 1000);
	assert_int_equal(sluice_crl_parse(&whole, der.der, der.len, NULL), 0);
	index = index_of(&indexed, der);
	assert_int_equal(
		crl_index_open(&crl, indexed.core, indexed.core_len, &index, whole->sha256), 0);
	assert_true(crl_is_signed_by(crl, ca.cert));
	assert_false(crl_is_signed_by(crl, server.cert));
	assert_int_equal(crl_find(crl, server.cert, &reason), CRL_REVOKED);
	assert_int_equal(reason, CRL_REASON_SUPERSEDED);
	assert_int_equal(crl_find(crl, ca.cert, &reason), CRL_NOT_LISTED);
	entries = X509_CRL_get_REVOKED(whole->x509);
	for (i = 0; i < sk_X509_REVOKED_num(entries); i++) {
		const X509_REVOKED *entry = sk_X509_REVOKED_value(entries, i);
		ASN1_ENUMERATED *code = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);

		assert_true(crl_index_find(&crl->index, X509_REVOKED_get0_serialNumber(entry),
					   &reason));
		assert_int_equal(reason, code ? ASN1_ENUMERATED_get(code) : 0);
		ASN1_ENUMERATED_free(code);
	}
	assert_memory_equal(crl->scope, whole->scope, sizeof(crl->scope));
	assert_int_equal(crl->next_update_s, whole->next_update_s);
	sluice_crl_unref(crl);
	sluice_crl_unref(whole);
	crl_indexed_free(&indexed);
	free((void *)der.der);
}

/* One byte of it at a time: who forges an entry forges the signature with it. */
static void what_is_changed_is_not_signed(void **state)
{
	struct crl_der der = make((struct crl_spec){ .revoked = server.cert, .n_others = 3 });
	uint8_t *bytes = (uint8_t *)der.der;
	struct crl_indexed indexed;
	struct sluice_crl *crl;
	struct crl_index index;
	size_t i;

	for (i = 0; i < der.len; i++) {
		bytes[i] ^= 1;
		if (crl_index_make(&indexed, bytes, der.len) == 0) {
			index = index_of(&indexed, der);
			assert_int_equal(crl_index_open(&crl, indexed.core, indexed.core_len,
							&index, (const uint8_t[32]){ 0 }),
					 0);
			assert_false(crl_is_signed_by(crl, ca.cert));
			sluice_crl_unref(crl);
			crl_indexed_free(&indexed);
		}
		bytes[i] ^= 1;
	}
	free((void *)der.der);
}

/* Those that only the whole parser knows, or refuses. */
static void what_is_unusual_has_no_index(void **state)
{
	const struct crl_spec specs[] = {
		{ .n_others = 0 },
		{ .n_others = 2, .delta_of = 1, .number = 2 },
		{ .n_others = 2, .revoked = server.cert, .certificate_issuer = true },
		{ .n_others = 2, .revoked = server.cert, .unknown_critical_entry = true },
		{ .n_others = 2, .unknown_critical = true },
		{ .n_others = 2, .idp = "critical,indirectCRL:TRUE" },
	};
	struct crl_indexed indexed;
	struct crl_der der;
	size_t i, cut;

	for (i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		der = make(specs[i]);
		assert_int_equal(crl_index_make(&indexed, der.der, der.len), 1);
		free((void *)der.der);
	}
	der = make((struct crl_spec){ .n_others = 3 });
	for (cut = 0; cut < der.len; cut++)
		assert_int_equal(crl_index_make(&indexed, der.der, cut), 1);
	free((void *)der.der);
}

/* --- sets ----------------------------------------------------------------------------------------- */

static int write_set(const struct crl_der *crls, size_t n, const struct crl_set *old)
{
	struct crl_set_writer writer;
	struct sluice_error err;
	char path[20];
	size_t i, told;
	int fd;

	assert_int_equal(crl_set_begin(&writer), 0);
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "/crl/%zu", i);
		assert_int_equal(crl_set_read(&writer, path, i ? NULL : "http://x/", crls[i].der,
					      crls[i].len, &told, &err),
				 0);
		assert_int_equal(told, 1);
	}
	assert_true(crl_set_read(&writer, "/bad", NULL, "0\x82nonsense", 10, &told, &err) < 0);
	assert_true(err.text[0]);
	if (old) {
		assert_int_equal(crl_set_copy(&writer, old, "/crl/1", NULL, &told), 0);
		assert_int_equal(told, 1);
		assert_int_equal(crl_set_copy(&writer, old, "/crl/0", NULL, &told), 0);
		assert_int_equal(told, 0);
	}
	fd = crl_set_end(&writer);
	assert_true(fd >= 0);
	crl_set_free(&writer);
	return fd;
}

static int check(struct crl_cache *cache)
{
	struct crl_check crl_check = {
		.mode = CRL_CHECK_TRUE, .ops = &crl_cache_ops, .db = cache, .args = ""
	};
	STACK_OF(X509) *path = sk_X509_new_null();
	struct verify_request request = { .certs = path, .now_s = time(NULL) };
	struct crl_verdict verdict = { 0 };
	int r;

	sk_X509_push(path, server.cert);
	sk_X509_push(path, ca.cert);
	r = crl_check_path(&crl_check, &request, path, &verdict);
	sk_X509_free(path);
	return r;
}

static void a_set_is_a_cache(void **state)
{
	struct crl_der crls[] = { make((struct crl_spec){ .n_others = 100, .number = 1 }),
				  make((struct crl_spec){ .number = 2 }) };
	struct crl_der revoking =
		make((struct crl_spec){ .revoked = server.cert, .n_others = 9, .number = 3 });
	struct crl_cache cache = { 0 };
	struct crl_set set;
	int fd;

	assert_int_equal(check(&cache), X509_V_ERR_UNABLE_TO_GET_CRL);
	fd = write_set(crls, 2, NULL);
	assert_int_equal(crl_cache_take(&cache, fd), 0);
	assert_int_equal(cache.set.n_rows, 2);
	assert_int_equal(cache.set.rows[0].n_revoked, 100);
	assert_true(cache.set.rows[0].core.len && !cache.set.rows[1].core.len);
	assert_int_equal(check(&cache), 0);
	assert_int_equal(crl_set_open(&set, fd), 0);
	close(fd);
	fd = write_set(&revoking, 1, &set);
	assert_int_equal(crl_cache_take(&cache, fd), 0);
	close(fd);
	assert_int_equal(cache.set.n_rows, 2);
	assert_true(cache.made[1]->verdicts[true].known); /* of the one that both sets have */
	assert_int_equal(check(&cache), X509_V_ERR_CERT_REVOKED);
	crl_set_close(&set);
	crl_cache_clear(&cache);
	free((void *)crls[0].der);
	free((void *)crls[1].der);
	free((void *)revoking.der);
}

static void what_is_no_set_is_refused(void **state)
{
	struct crl_der der = make((struct crl_spec){ .n_others = 10 });
	int fd = write_set(&der, 1, NULL), other = memfd_create("test", MFD_ALLOW_SEALING);
	struct crl_cache cache = { 0 };
	uint8_t bytes[16384];
	ssize_t len = pread(fd, bytes, sizeof(bytes), 0);

	assert_true(len > 0 && len < (ssize_t)sizeof(bytes));
	assert_int_equal(write(other, bytes, (size_t)len), len);
	assert_int_equal(crl_cache_take(&cache, other), -SLUICE_E_PROTOCOL); /* not sealed */
	assert_null(cache.set.map);
	close(other);
	close(fd);
	free((void *)der.der);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_answers),
		cmocka_unit_test(what_is_changed_is_not_signed),
		cmocka_unit_test(what_is_unusual_has_no_index),
		cmocka_unit_test(a_set_is_a_cache),
		cmocka_unit_test(what_is_no_set_is_refused),
	};

	return cmocka_run_group_tests(tests, crl_world_setup, crl_world_teardown);
}
