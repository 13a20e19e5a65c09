/* SPDX-License-Identifier: Apache-2.0 */
/* OCSP responses held against certificates: what is good, and everything that is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/pool.h>

#include "ocsp/ocsp.h"
#include "ocsp/staple.h"
#include "support/certs.h"
#include "support/ocsps.h"

#define HOUR ((int64_t)3600)
#define TLS_FEATURE "1.3.6.1.5.5.7.1.24"

/* struct who - a certificate with its key. */
struct who {
	EVP_PKEY *key;
	X509 *cert;
};

static struct who ca, other_ca, server, delegate;

static struct who make(struct cert_spec spec, const struct who *issuer)
{
	struct who who = { .key = certs_key(CERT_KEY_P256) };

	spec.key = who.key;
	spec.issuer = issuer ? issuer->cert : NULL;
	spec.issuer_key = issuer ? issuer->key : NULL;
	who.cert = certs_make(&spec);
	return who;
}

static void drop(struct who *who)
{
	X509_free(who->cert);
	EVP_PKEY_free(who->key);
}

static int setup(void **state)
{
	ca = make((struct cert_spec){ .cn = "CA", .ca = true }, NULL);
	other_ca = make((struct cert_spec){ .cn = "Other CA", .ca = true }, NULL);
	server = make((struct cert_spec){ .cn = "server", .san = "DNS:localhost" }, &ca);
	delegate = make((struct cert_spec){ .cn = "OCSP", .eku = "OCSPSigning" }, &ca);
	return 0;
}

static int teardown(void **state)
{
	drop(&ca);
	drop(&other_ca);
	drop(&server);
	drop(&delegate);
	return 0;
}

static struct ocsp_verdict judge(const struct ocsp_spec *spec, X509 *cert, X509 *issuer)
{
	struct ocsp_verdict verdict;
	size_t len;
	uint8_t *der = ocsps_make(spec, &len);

	ocsp_check(&verdict, der, len, cert, issuer, time(NULL));
	free(der);
	assert_int_equal(!verdict.reason, verdict.result == OCSP_GOOD);
	assert_int_equal(ERR_peek_error(), 0);
	return verdict;
}

/* Demands @result for the server's certificate. */
static struct ocsp_verdict gives(struct ocsp_entry entry, struct ocsp_spec spec,
				 enum ocsp_result result)
{
	struct ocsp_verdict verdict;

	if (!entry.cert)
		entry.cert = server.cert;
	if (!entry.issuer)
		entry.issuer = ca.cert;
	if (!spec.entries) {
		spec.entries = &entry;
		spec.n = 1;
	}
	if (!spec.responder)
		spec.responder = ca.cert;
	if (!spec.key)
		spec.key = ca.key;
	verdict = judge(&spec, server.cert, ca.cert);
	if (verdict.result != result)
		fail_msg("%s (%s), and not %s", ocsp_result_name(verdict.result), verdict.reason,
			 ocsp_result_name(result));
	return verdict;
}

#define ENTRY(...) ((struct ocsp_entry){ __VA_ARGS__ })
#define SPEC(...) ((struct ocsp_spec){ __VA_ARGS__ })

static void what_is_said_is_found(void **state)
{
	struct ocsp_verdict verdict;
	int64_t now_s = time(NULL);

	verdict = gives(ENTRY(.status = 0), SPEC(.n = 0), OCSP_GOOD);
	assert_in_range(verdict.this_update_s, now_s - 3605, now_s - 3595);
	assert_in_range(verdict.next_update_s, now_s + 86395, now_s + 86405);
	assert_in_range(verdict.produced_s, now_s - 5, now_s + 5);
	gives(ENTRY(.sha256 = true), SPEC(.by_key = true), OCSP_GOOD);
	gives(ENTRY(.status = 2), SPEC(.n = 0), OCSP_UNKNOWN);
	verdict = gives(ENTRY(.status = 1, .reason = 2), SPEC(.n = 0), OCSP_REVOKED);
	assert_int_equal(verdict.crl_reason, 1);
	assert_non_null(strstr(verdict.reason, "keyCompromise"));
	assert_in_range(verdict.revoked_s, now_s - 7205, now_s - 7195);
	verdict = gives(ENTRY(.status = 1), SPEC(.n = 0), OCSP_REVOKED);
	assert_int_equal(verdict.crl_reason, -1);
}

static void times_have_a_tolerance(void **state)
{
	gives(ENTRY(.from_s = 200, .to_s = HOUR), SPEC(.produced_s = 200), OCSP_GOOD);
	gives(ENTRY(.from_s = 400, .to_s = HOUR), SPEC(.n = 0), OCSP_FUTURE);
	gives(ENTRY(.status = 0), SPEC(.produced_s = 400), OCSP_FUTURE);
	gives(ENTRY(.from_s = -HOUR, .to_s = -200), SPEC(.n = 0), OCSP_GOOD);
	gives(ENTRY(.from_s = -HOUR, .to_s = -400), SPEC(.n = 0), OCSP_STALE);
	gives(ENTRY(.from_s = -23 * HOUR, .no_next_update = true), SPEC(.n = 0), OCSP_GOOD);
	gives(ENTRY(.from_s = -25 * HOUR, .no_next_update = true), SPEC(.n = 0), OCSP_STALE);
	gives(ENTRY(.from_s = HOUR / 20, .to_s = HOUR / 30), SPEC(.n = 0), OCSP_MALFORMED);
	/* Who was revoked then is so now. */
	gives(ENTRY(.status = 1, .from_s = -HOUR, .to_s = -400), SPEC(.n = 0), OCSP_REVOKED);
}

static void others_certificates_do_not_count(void **state)
{
	struct ocsp_entry entries[3] = {
		{ .cert = delegate.cert, .issuer = ca.cert, .status = 1 },
		{ .cert = server.cert, .issuer = other_ca.cert, .status = 1 },
		{ .cert = server.cert, .issuer = ca.cert },
	};

	gives(ENTRY(.cert = delegate.cert), SPEC(.n = 0), OCSP_OTHER);
	gives(ENTRY(.issuer = other_ca.cert), SPEC(.n = 0), OCSP_OTHER);
	gives(ENTRY(.wrong_key_hash = true), SPEC(.n = 0), OCSP_OTHER);
	gives(ENTRY(.status = 0), SPEC(.entries = entries, .n = 3), OCSP_GOOD);
	gives(ENTRY(.status = 0), SPEC(.entries = entries, .n = 2), OCSP_OTHER);
	/* Two about the same: a revocation goes first, wherever it stands; else the newest. */
	entries[0] = ENTRY(.cert = server.cert, .issuer = ca.cert, .from_s = -4 * HOUR,
			   .to_s = -2 * HOUR);
	gives(ENTRY(.status = 0), SPEC(.entries = entries, .n = 3), OCSP_GOOD);
	entries[0].status = 1;
	gives(ENTRY(.status = 0), SPEC(.entries = entries, .n = 3), OCSP_REVOKED);
}

static void critical_extensions_refuse(void **state)
{
	struct ocsp_entry entries[2] = {
		{ .cert = server.cert, .issuer = ca.cert },
		{ .cert = delegate.cert, .issuer = ca.cert, .unknown_critical = true },
	};

	gives(ENTRY(.unknown_critical = true), SPEC(.n = 0), OCSP_UNSUPPORTED);
	gives(ENTRY(.status = 0), SPEC(.unknown_critical = true), OCSP_UNSUPPORTED);
	/* What is about another certificate binds nobody here. */
	gives(ENTRY(.status = 0), SPEC(.entries = entries, .n = 2), OCSP_GOOD);
}

static void signatures_are_the_issuers(void **state)
{
	gives(ENTRY(.status = 0), SPEC(.key = other_ca.key), OCSP_UNTRUSTED);
	gives(ENTRY(.status = 0), SPEC(.key = other_ca.key, .by_key = true), OCSP_UNTRUSTED);
	gives(ENTRY(.status = 0), SPEC(.responder = other_ca.cert, .key = other_ca.key),
	      OCSP_UNTRUSTED);
	gives(ENTRY(.status = 0),
	      SPEC(.responder = other_ca.cert, .key = other_ca.key, .certs = { other_ca.cert }),
	      OCSP_UNTRUSTED);
	gives(ENTRY(.status = 0), SPEC(.sha1 = true), OCSP_UNTRUSTED);
	/* Nobody vouches for himself. */
	gives(ENTRY(.status = 0),
	      SPEC(.responder = server.cert, .key = server.key, .certs = { server.cert }),
	      OCSP_UNTRUSTED);
	/* Nor is a forged revocation one. */
	gives(ENTRY(.status = 1), SPEC(.key = other_ca.key), OCSP_UNTRUSTED);
}

static void delegate_gives(struct cert_spec spec, const struct who *issuer, enum ocsp_result result)
{
	struct who who = make(spec, issuer);

	gives(ENTRY(.status = 0),
	      SPEC(.responder = who.cert, .key = who.key, .certs = { who.cert }), result);
	gives(ENTRY(.status = 0),
	      SPEC(.responder = who.cert, .key = who.key, .by_key = true,
		   .certs = { ca.cert, who.cert }),
	      result);
	gives(ENTRY(.status = 0), SPEC(.responder = who.cert, .key = who.key), OCSP_UNTRUSTED);
	drop(&who);
}

static void delegates_are_the_issuers(void **state)
{
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "OCSPSigning" }, &ca, OCSP_GOOD);
	/* One that has the issuer's name. */
	delegate_gives((struct cert_spec){ .cn = "CA", .eku = "OCSPSigning" }, &ca, OCSP_GOOD);
	delegate_gives((struct cert_spec){ .cn = "OCSP" }, &ca, OCSP_UNTRUSTED);
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "serverAuth" }, &ca,
		       OCSP_UNTRUSTED);
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "anyExtendedKeyUsage" }, &ca,
		       OCSP_UNTRUSTED);
	delegate_gives((struct cert_spec){ .cn = "OCSP",
					   .eku = "OCSPSigning",
					   .key_usage = "critical,keyEncipherment" },
		       &ca, OCSP_UNTRUSTED);
	delegate_gives(
		(struct cert_spec){
			.cn = "OCSP", .eku = "OCSPSigning", .from_s = -48 * HOUR, .to_s = -HOUR },
		&ca, OCSP_UNTRUSTED);
	delegate_gives(
		(struct cert_spec){
			.cn = "OCSP", .eku = "OCSPSigning", .from_s = HOUR, .to_s = 48 * HOUR },
		&ca, OCSP_UNTRUSTED);
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "OCSPSigning" }, &other_ca,
		       OCSP_UNTRUSTED);
	/* Not directly. */
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "OCSPSigning" }, &delegate,
		       OCSP_UNTRUSTED);
	delegate_gives((struct cert_spec){ .cn = "OCSP", .eku = "OCSPSigning", .md = EVP_sha1() },
		       &ca, OCSP_UNTRUSTED);
}

static void some_have_no_status(void **state)
{
	struct ocsp_verdict verdict;
	uint8_t *der;
	size_t len;
	int status;

	for (status = 0; status < 256; status++) {
		der = ocsps_unsuccessful(status, &len);
		ocsp_check(&verdict, der, len, server.cert, ca.cert, time(NULL));
		assert_int_equal(verdict.result, status && status != 4 && status <= 6
							 ? OCSP_UNSUCCESSFUL
							 : OCSP_MALFORMED);
		assert_non_null(verdict.reason);
		free(der);
	}
}

static uint8_t *good(size_t *ret_len)
{
	struct ocsp_entry entry = { .cert = server.cert, .issuer = ca.cert };

	return ocsps_make(&(struct ocsp_spec){ .entries = &entry,
					       .n = 1,
					       .responder = delegate.cert,
					       .key = delegate.key,
					       .certs = { delegate.cert } },
			  ret_len);
}

/* Cut at each byte, with a byte behind, and with each bit turned: none is good, and none is read beyond. */
static void what_is_not_whole_is_malformed(void **state)
{
	struct ocsp_verdict verdict;
	size_t len, i, bit, n_good = 0;
	uint8_t *der = good(&len), *copy;

	for (i = 0; i < len; i++) {
		copy = malloc(i ? i : 1);
		assert_non_null(copy);
		memcpy(copy, der, i);
		ocsp_check(&verdict, copy, i, server.cert, ca.cert, time(NULL));
		assert_int_equal(verdict.result, OCSP_MALFORMED);
		free(copy);
	}
	copy = malloc(len + 1);
	assert_non_null(copy);
	memcpy(copy, der, len);
	copy[len] = 0;
	ocsp_check(&verdict, copy, len + 1, server.cert, ca.cert, time(NULL));
	assert_int_equal(verdict.result, OCSP_MALFORMED);
	ocsp_check(&verdict, copy, len, server.cert, ca.cert, time(NULL));
	assert_int_equal(verdict.result, OCSP_GOOD);
	for (bit = 0; bit < 8 * len; bit++) {
		copy[bit / 8] ^= 1u << bit % 8;
		ocsp_check(&verdict, copy, len, server.cert, ca.cert, time(NULL));
		n_good += verdict.result == OCSP_GOOD;
		copy[bit / 8] ^= 1u << bit % 8;
	}
	assert_int_equal(n_good, 0);
	free(copy);
	free(der);
}

/* Changed in a few places at once, by numbers that are the same each time. */
static void mutants_are_never_good(void **state)
{
	struct ocsp_verdict verdict;
	size_t len, n_parsed = 0;
	uint8_t *der = good(&len), *copy = malloc(len);
	struct ocsp_response response;
	uint64_t seed = 1;
	int i, j;

	assert_non_null(copy);
	for (i = 0; i < 10000; i++) {
		memcpy(copy, der, len);
		for (j = 0; j <= i % 4; j++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			copy[(seed >> 33) % len] ^= 1 + (seed >> 20) % 255;
		}
		n_parsed += ocsp_parse(&response, copy, len);
		ocsp_check(&verdict, copy, len, server.cert, ca.cert, time(NULL));
		if (verdict.result == OCSP_GOOD)
			assert_memory_equal(copy, der, len);
	}
	assert_true(n_parsed > 100 && n_parsed < 10000); /* most of them reach what lies behind */
	free(copy);
	free(der);
}

static void long_ones_are_refused(void **state)
{
	struct ocsp_entry entry = { .cert = server.cert, .issuer = ca.cert };
	struct ocsp_spec spec = {
		.entries = &entry, .n = 1, .responder = ca.cert, .key = ca.key, .n_copies = 500
	};
	uint8_t *huge = calloc(1, 100 * 1024);
	struct ocsp_verdict verdict;

	assert_int_equal(judge(&spec, server.cert, ca.cert).result, OCSP_GOOD);
	spec.n_copies = 1000; /* more than 100 KB */
	assert_int_equal(judge(&spec, server.cert, ca.cert).result, OCSP_MALFORMED);
	assert_non_null(huge);
	ocsp_check(&verdict, huge, 100 * 1024, server.cert, ca.cert, time(NULL));
	assert_int_equal(verdict.result, OCSP_MALFORMED);
	free(huge);
}

static void who_has_no_issuer_trusts_nobody(void **state)
{
	struct ocsp_verdict verdict;
	size_t len;
	uint8_t *der = good(&len);

	ocsp_check(&verdict, der, len, server.cert, NULL, time(NULL));
	assert_int_equal(verdict.result, OCSP_UNTRUSTED);
	ocsp_check_unsigned(&verdict, der, len, server.cert, time(NULL));
	assert_int_equal(verdict.result, OCSP_GOOD);
	ocsp_check_unsigned(&verdict, der, len, delegate.cert, time(NULL));
	assert_int_equal(verdict.result, OCSP_OTHER);
	free(der);
}

/* --- option ocsp -------------------------------------------------------------------------------- */

static enum sluice_bad_cert staple_gives(const struct who *who, enum ocsp_mode mode,
					 const uint8_t *der, size_t len, bool kept)
{
	STACK_OF(X509) *path = sk_X509_new_null();
	struct staple staple = { .der = der, .len = len, .kept = kept };
	struct verify_finding finding = { 0 };
	bool ok;

	assert_true(path && sk_X509_push(path, who->cert) && sk_X509_push(path, ca.cert));
	ok = staple_check(&staple, mode, path, time(NULL), &finding);
	sk_X509_free(path);
	assert_true(ok || (finding.reason && finding.text && finding.x509_error));
	return ok ? SLUICE_BAD_CERT_NONE : (enum sluice_bad_cert)finding.reason;
}

static void modes_differ_where_nothing_comes(void **state)
{
	struct who must = make(
		(struct cert_spec){ .cn = "must",
				    .extra_nid = OBJ_create(TLS_FEATURE, "tlsf", "TLS feature"),
				    .extra = "DER:30:03:02:01:05" },
		&ca);
	size_t len;
	uint8_t *der = good(&len), *bad;

	assert_false(ocsp_must_staple(server.cert));
	assert_true(ocsp_must_staple(must.cert));
	assert_int_equal(staple_gives(&server, OCSP_OFF, NULL, 0, false), SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&server, OCSP_IF_PRESENT, NULL, 0, false),
			 SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&server, OCSP_MUST, NULL, 0, false),
			 SLUICE_BAD_CERT_OCSP_MISSING);
	assert_int_equal(staple_gives(&must, OCSP_OFF, NULL, 0, false), SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&must, OCSP_IF_PRESENT, NULL, 0, false),
			 SLUICE_BAD_CERT_OCSP_MISSING);
	assert_int_equal(staple_gives(&server, OCSP_MUST, der, len, false), SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&must, OCSP_IF_PRESENT, der, len, false),
			 SLUICE_BAD_CERT_OCSP_INVALID);
	free(der);
	der = ocsps_make(&SPEC(.entries = &ENTRY(.cert = must.cert, .issuer = ca.cert), .n = 1,
			       .responder = ca.cert, .key = ca.key),
			 &len);
	assert_int_equal(staple_gives(&must, OCSP_MUST, der, len, false), SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&must, OCSP_IF_PRESENT, der, len - 1, false),
			 SLUICE_BAD_CERT_OCSP_INVALID);
	free(der);
	/* A session has what was in date when it was made. */
	bad = ocsps_make(&SPEC(.entries = &ENTRY(.cert = server.cert, .issuer = ca.cert,
						 .from_s = -9 * HOUR, .to_s = -HOUR),
			       .n = 1, .responder = ca.cert, .key = ca.key,
			       .produced_s = -8 * HOUR),
			 &len);
	assert_int_equal(staple_gives(&server, OCSP_IF_PRESENT, bad, len, false),
			 SLUICE_BAD_CERT_OCSP_STALE);
	assert_int_equal(staple_gives(&server, OCSP_MUST, bad, len, true), SLUICE_BAD_CERT_NONE);
	assert_int_equal(staple_gives(&server, OCSP_OFF, bad, len, false), SLUICE_BAD_CERT_NONE);
	free(bad);
	drop(&must);
}

/* --- requests ----------------------------------------------------------------------------------- */

static void requests_name_the_certificate(void **state)
{
	struct who aia = make((struct cert_spec){ .cn = "aia",
						  .extra_nid = NID_info_access,
						  .extra = "OCSP;URI:ldap://x,"
							   "caIssuers;URI:http://not.this/,"
							   "OCSP;URI:http://ocsp.test/a" },
			      &ca);
	struct ocsp_single single = { 0 };
	CBS cbs, outer, tbs, list, request, id, algorithm;
	uint8_t *der;
	char url[32];
	size_t len;

	assert_int_equal(ocsp_request_make(aia.cert, ca.cert, &der, &len), 0);
	CBS_init(&cbs, der, len);
	assert_true(CBS_get_asn1(&cbs, &outer, CBS_ASN1_SEQUENCE) && !CBS_len(&cbs));
	assert_true(CBS_get_asn1(&outer, &tbs, CBS_ASN1_SEQUENCE) && !CBS_len(&outer));
	assert_true(CBS_get_asn1(&tbs, &list, CBS_ASN1_SEQUENCE) && !CBS_len(&tbs));
	assert_true(CBS_get_asn1(&list, &request, CBS_ASN1_SEQUENCE) && !CBS_len(&list));
	assert_true(CBS_get_asn1(&request, &id, CBS_ASN1_SEQUENCE) && !CBS_len(&request));
	assert_true(CBS_get_asn1(&id, &algorithm, CBS_ASN1_SEQUENCE));
	assert_true(CBS_get_asn1(&algorithm, &single.hash, CBS_ASN1_OBJECT));
	assert_true(CBS_get_asn1(&id, &single.name_hash, CBS_ASN1_OCTETSTRING));
	assert_true(CBS_get_asn1(&id, &single.key_hash, CBS_ASN1_OCTETSTRING));
	assert_true(CBS_get_asn1(&id, &single.serial, CBS_ASN1_INTEGER) && !CBS_len(&id));
	assert_true(ocsp_is_about(&single, aia.cert, ca.cert));
	assert_false(ocsp_is_about(&single, server.cert, ca.cert));
	OPENSSL_free(der);
	assert_true(ocsp_responder_url(aia.cert, url, sizeof(url)));
	assert_string_equal(url, "http://ocsp.test/a");
	assert_false(ocsp_responder_url(aia.cert, url, strlen("http://ocsp.test/a")));
	assert_false(ocsp_responder_url(server.cert, url, sizeof(url)));
	drop(&aia);
}

/* --- files -------------------------------------------------------------------------------------- */

static void files_are_der_or_pem(void **state)
{
	static const char begin[] = "a text\n-----BEGIN OCSP RESPONSE-----\n";
	static const char end[] = "-----END OCSP RESPONSE-----\n";
	char base64[8192], pem[9000];
	struct sluice_error err = { 0 };
	CRYPTO_BUFFER *read;
	size_t len;
	uint8_t *der = good(&len);

	EVP_EncodeBlock((uint8_t *)base64, der, len);
	len = (size_t)snprintf(pem, sizeof(pem), "%s%s\n%s", begin, base64, end);
	assert_int_equal(ocsp_read(&read, pem, len, "x", &err), 0);
	assert_memory_equal(CRYPTO_BUFFER_data(read), der, CRYPTO_BUFFER_len(read));
	CRYPTO_BUFFER_free(read);
	assert_int_equal(ocsp_read_file(&read, "ocsp_file", certs_file("ocsp.pem", pem, len), &err),
			 0);
	len = CRYPTO_BUFFER_len(read);
	CRYPTO_BUFFER_free(read);
	assert_int_equal(ocsp_read(&read, der, len, "x", &err), 0);
	assert_int_equal(CRYPTO_BUFFER_len(read), len);
	CRYPTO_BUFFER_free(read);
	free(der);
	der = ocsps_unsuccessful(3, &len);
	assert_int_equal(ocsp_read(&read, der, len, "x", &err), 0);
	CRYPTO_BUFFER_free(read);
	free(der);
	assert_int_equal(ocsp_read(&read, "", 0, "x", &err), -SLUICE_E_OCSP);
	assert_int_equal(ocsp_read(&read, "0x", 2, "x", &err), -SLUICE_E_OCSP);
	assert_int_equal(ocsp_read(&read, begin, strlen(begin), "x", &err), -SLUICE_E_OCSP);
	err = (struct sluice_error){ 0 };
	assert_int_equal(ocsp_read_file(&read, "ocsp_file", certs_get()->ca, &err), -SLUICE_E_OCSP);
	assert_non_null(strstr(err.text, "ocsp_file: "));
	assert_int_equal(ocsp_read_file(&read, "ocsp_file", "/nonexistent", &err), -SLUICE_E_FILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_found),
		cmocka_unit_test(times_have_a_tolerance),
		cmocka_unit_test(others_certificates_do_not_count),
		cmocka_unit_test(critical_extensions_refuse),
		cmocka_unit_test(signatures_are_the_issuers),
		cmocka_unit_test(delegates_are_the_issuers),
		cmocka_unit_test(some_have_no_status),
		cmocka_unit_test(what_is_not_whole_is_malformed),
		cmocka_unit_test(mutants_are_never_good),
		cmocka_unit_test(long_ones_are_refused),
		cmocka_unit_test(who_has_no_issuer_trusts_nobody),
		cmocka_unit_test(modes_differ_where_nothing_comes),
		cmocka_unit_test(requests_name_the_certificate),
		cmocka_unit_test(files_are_der_or_pem),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
