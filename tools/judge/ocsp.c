// SPDX-License-Identifier: Apache-2.0
/* OCSP responses in `sluice verify`: as one that a server has stapled. */
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#include "core/error.h"
#include "judge.h"

static const char *const modes[] = {
	[OCSP_OFF] = "off", [OCSP_IF_PRESENT] = "if_present", [OCSP_MUST] = "must"
};

bool verify_ocsp_mode(const char *word, enum ocsp_mode *ret_mode)
{
	size_t i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!strcmp(word, modes[i])) {
			*ret_mode = (enum ocsp_mode)i;
			return true;
		}
	}
	return false;
}

static int read_base64(CRYPTO_BUFFER **ret_der, const char *text, struct sluice_error *err)
{
	size_t der_len;
	uint8_t *der;
	int r;

	if (!verify_base64(text, strlen(text), &der, &der_len))
		return err_set(err, SLUICE_E_OCSP, "ocsp is neither PEM nor base64");
	r = ocsp_read(ret_der, der, der_len, "ocsp", err);
	free(der);
	return r;
}

int verify_ocsp_text(CRYPTO_BUFFER **ret_der, const char *text, struct sluice_error *ret_err)
{
	if (strstr(text, "-----BEGIN"))
		return ocsp_read(ret_der, text, strlen(text), "ocsp", ret_err);
	return read_base64(ret_der, text, ret_err);
}

/* --- verdicts ----------------------------------------------------------------------------------- */

static void add_text(struct json_object *object, const char *key, const char *text)
{
	json_object_object_add(object, key, json_object_new_string(text));
}

static void add_time(struct json_object *object, const char *key, int64_t time_s)
{
	if (time_s > 0)
		json_object_object_add(object, key, json_object_new_int64(time_s));
}

static struct json_object *describe(const struct staple *staple)
{
	const struct ocsp_verdict *verdict = &staple->verdict;
	struct json_object *object = json_object_new_object();

	add_text(object, "result",
		 staple->checked ? ocsp_result_name(verdict->result)
		 : staple->der   ? "not_checked"
				 : "none");
	if (!staple->checked)
		return object;
	if (verdict->reason)
		add_text(object, "reason", verdict->reason);
	/* What nobody has signed is not worth showing. */
	if (!verdict->is_signed)
		return object;
	add_time(object, "produced_at", verdict->produced_s);
	add_time(object, "this_update", verdict->this_update_s);
	add_time(object, "next_update", verdict->next_update_s);
	add_time(object, "revoked_at", verdict->revoked_s);
	return object;
}

struct json_object *verify_ocsp(struct verify_verdict *verdict,
				const struct verify_request *request,
				const struct verify_ocsp *ocsp)
{
	struct staple staple = { 0 };
	struct verify_finding finding;
	struct sluice_error err;
	struct json_object *object;
	uint8_t alert;

	if (ocsp->mode == OCSP_OFF || verdict->x509_error)
		return NULL;
	if (ocsp->der) {
		staple.der = CRYPTO_BUFFER_data(ocsp->der);
		staple.len = CRYPTO_BUFFER_len(ocsp->der);
	}
	if (!staple_check(&staple, ocsp->mode, verdict->path, request->now_s, &finding)) {
		err_clear(&err);
		bad_cert_refuse(&finding, request->name, &alert, &err);
		verify_verdict_refuse(verdict, finding.x509_error, finding.text, 0);
		verdict->alert = alert;
		verdict->bad_cert = finding.reason;
		verdict->crl_reason = finding.crl_reason;
	}
	object = describe(&staple);
	if (verdict->x509_error)
		add_text(object, "bad_cert", sluice_bad_cert_name(finding.reason));
	return object;
}
