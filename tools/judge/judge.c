/* SPDX-License-Identifier: Apache-2.0 */
/* What both ways of asking have in common: certificates and times read, a verdict as JSON. */
#include <errno.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/base64.h>
#include <openssl/mem.h>
#include <openssl/obj.h>

#include <sluice/sluice.h>

#include "core/error.h"
#include "options/pem.h"
#include "tls/control.h"
#include "verify/reason.h"
#include "checks.h"
#include "show.h"

int verify_certs(STACK_OF(X509) * *ret_certs, const char *pem, size_t pem_len, const char *what,
		 struct sluice_error *ret_err)
{
	const struct pem_file file = { (char *)pem, pem_len };
	STACK_OF(CRYPTO_BUFFER) *ders = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	bool ok = certs != NULL;
	X509 *x509;
	size_t i;
	int r;

	r = pem_parse_certs(&ders, &file, what, false, ret_err);
	for (i = 0; ok && !r && i < sk_CRYPTO_BUFFER_num(ders); i++) {
		x509 = X509_parse_from_buffer(sk_CRYPTO_BUFFER_value(ders, i));
		ok = x509 && sk_X509_push(certs, x509);
		if (!ok)
			X509_free(x509);
	}
	if (!r)
		sk_CRYPTO_BUFFER_pop_free(ders, CRYPTO_BUFFER_free);
	if (!r && !ok)
		r = err_set(ret_err, SLUICE_E_NOMEM, "%s: no memory", what);
	if (r < 0)
		sk_X509_pop_free(certs, X509_free);
	else
		*ret_certs = certs;
	return r;
}

int verify_members(struct json_object *from, const char *const *known, const char *what,
		   struct sluice_error *ret_err)
{
	const char *const *word;

	json_object_object_foreach(from, key, value)
	{
		(void)value;
		for (word = known; *word && strcmp(key, *word) != 0; word++)
			;
		if (!*word)
			return err_set(ret_err, SLUICE_E_OPTION, "%s has no member %.40s", what,
				       key);
	}
	return 0;
}

bool verify_base64(const char *text, size_t len, uint8_t **ret_der, size_t *ret_der_len)
{
	uint8_t *stripped = malloc(len + 1), *der = malloc(len + 1);
	size_t i, n = 0;
	bool ok;

	for (i = 0; stripped && i < len; i++)
		if (!isspace((unsigned char)text[i]))
			stripped[n++] = (uint8_t)text[i];
	ok = stripped && der && EVP_DecodeBase64(der, ret_der_len, len, stripped, n);
	free(stripped);
	if (!ok)
		free(der);
	else
		*ret_der = der;
	return ok;
}

/* The offset of RFC 3339, 5.6, in seconds; false: @text is none. */
static bool parse_offset(const char *text, int64_t *ret_s)
{
	int hours, minutes, end = 0;

	if (!strcmp(text, "Z") || !strcmp(text, "z")) {
		*ret_s = 0;
		return true;
	}
	if ((*text != '+' && *text != '-') || strlen(text) != 6 ||
	    sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &end) != 2 || end != 5 || hours > 23 ||
	    minutes > 59)
		return false;
	*ret_s = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

/* Certificates have no others (RFC 5280, 4.1.2.5), and a struct tm in C no more to be sure of. */
static bool is_in_years(int64_t s)
{
	return s >= INT64_C(-62167219200) && s <= INT64_C(253402300799);
}

/* Digits where digits have to be: strptime(3) takes fewer, and blanks before them. */
static bool is_date_time(const char *text)
{
	static const char form[] = "0000-00-00T00:00:00";
	size_t i;

	for (i = 0; form[i]; i++) {
		if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	}
	return true;
}

bool verify_time(const char *text, int64_t *ret_s)
{
	const char *rest;
	int64_t offset_s;
	struct tm tm = { 0 };
	char *end;
	bool leap;
	int day;

	errno = 0;
	*ret_s = strtoll(text, &end, 10);
	if (end != text && !*end)
		return !errno && is_in_years(*ret_s);
	if (!is_date_time(text))
		return false;
	rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!rest)
		return false;
	if (*rest == '.' && rest[1] >= '0' && rest[1] <= '9')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!parse_offset(rest, &offset_s))
		return false;
	day = tm.tm_mday;
	leap = tm.tm_sec == 60; /* is the next minute, and maybe the next day */
	*ret_s = timegm(&tm) - offset_s;
	/* The 31st of February has become another day. */
	return (tm.tm_mday == day || leap) && is_in_years(*ret_s);
}

int verify_add_policy(STACK_OF(ASN1_OBJECT) * *policies, const char *oid,
		      struct sluice_error *ret_err)
{
	ASN1_OBJECT *object = OBJ_txt2obj(strcmp(oid, "any") ? oid : "2.5.29.32.0", 1);

	if (!object)
		return err_set(ret_err, SLUICE_E_OPTION, "policy %.100s is no OID", oid);
	if (!*policies)
		*policies = sk_ASN1_OBJECT_new_null();
	if (*policies && sk_ASN1_OBJECT_push(*policies, object))
		return 0;
	ASN1_OBJECT_free(object);
	return err_set(ret_err, SLUICE_E_NOMEM, "no memory for policies");
}

static void add_path(struct json_object *object, const STACK_OF(X509) * path)
{
	struct json_object *names = json_object_new_array();
	char name[SHOW_NAME_LEN];
	size_t i;

	for (i = 0; i < sk_X509_num(path); i++) {
		show_name(X509_get_subject_name(sk_X509_value(path, i)), name);
		json_object_array_add(names, json_object_new_string(name));
	}
	json_object_object_add(object, "path", names);
}

static void add_refusal(struct json_object *object, const struct verify_verdict *verdict)
{
	json_object_object_add(object, "reason", json_object_new_string(verdict->reason));
	json_object_object_add(object, "index", json_object_new_int64((int64_t)verdict->index));
	json_object_object_add(object, "x509_error", json_object_new_int(verdict->x509_error));
	json_object_object_add(object, "error",
			       json_object_new_string(sluice_error_name(verdict->code)));
	if (verdict->crl_reason)
		json_object_object_add(object, "crl_reason",
				       json_object_new_int(verdict->crl_reason));
	json_object_object_add(object, "bad_cert",
			       json_object_new_string(sluice_bad_cert_name(verdict->bad_cert)));
	json_object_object_add(object, "alert",
			       json_object_new_string(sluice_alert_name(verdict->alert)));
}

static enum verify_stage decide(struct verify_verdict *verdict, struct verify_judged *judged)
{
	const struct verify_case *it = judged->it;

	verify_run(verdict, judged->request);
	if (verdict->x509_error)
		return VERIFY_STAGE_PATH;
	verify_wants_check(&it->wants, judged->request, verdict);
	if (verdict->x509_error)
		return VERIFY_STAGE_WANTS;
	crl_check_verdict(verdict, judged->crl, judged->request);
	if (verdict->x509_error)
		return VERIFY_STAGE_CRLS;
	judged->ocsp = verify_ocsp(verdict, judged->request, &it->ocsp);
	return verdict->x509_error ? VERIFY_STAGE_OCSP : VERIFY_STAGE_DONE;
}

static struct json_object *describe(const struct verify_judged *judged)
{
	const struct verify_verdict *verdict = judged->verdict;
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "result",
			       json_object_new_string(verdict->x509_error ? "rejected"
									  : "accepted"));
	if (verdict->x509_error)
		add_refusal(object, verdict);
	else
		add_path(object, verdict->path);
	if (judged->it->with_checks) {
		json_object_object_add(object, "certificates", verify_describe_path(verdict));
		json_object_object_add(object, "checks", verify_checks(judged));
	}
	if (judged->ocsp)
		json_object_object_add(object, "ocsp", judged->ocsp);
	if (judged->it->crls.n_left_out)
		json_object_object_add(object, "crls_left_out",
				       json_object_new_int64((int64_t)judged->it->crls.n_left_out));
	json_object_object_add(object, "paths_tried", json_object_new_int64(verdict->n_paths));
	return object;
}

struct json_object *verify_judge(const struct verify_case *it, enum verify_status *ret_status)
{
	const struct crl_check crl = verify_crls_check(&it->crls, it->crl_mode);
	struct verify_request request = it->request;
	struct verify_verdict verdict;
	struct verify_judged judged = {
		.it = it, .request = &request, .crl = &crl, .verdict = &verdict
	};
	struct json_object *object;

	request.policies = it->evaluate_policies ? &it->policies : NULL;
	judged.stage = decide(&verdict, &judged);
	*ret_status = verdict.x509_error ? VERIFY_REJECTED : VERIFY_ACCEPTED;
	object = describe(&judged);
	verify_verdict_clear(&verdict);
	return object;
}
