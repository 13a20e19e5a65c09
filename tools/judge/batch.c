/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice verify --batch`: a request per line, a verdict per line. A line that is no request has its
 * own verdict, "unusable", and the next is read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sluice/sluice.h>

#include "core/error.h"
#include "judge.h"

#define MAX_LINE (8 << 20)

struct batch {
	const struct verify_case *defaults;
	json_tokener *tokener;
	bool unusable; /* a request was */
};

/* --- one request ---------------------------------------------------------------------------- */

/* The member @key as a text, or NULL; a member of another type is an error. */
static int get_text(struct json_object *from, const char *key, const char **ret_text,
		    struct sluice_error *err)
{
	struct json_object *member;

	*ret_text = NULL;
	if (!json_object_object_get_ex(from, key, &member) || !member)
		return 0;
	if (!json_object_is_type(member, json_type_string))
		return err_set(err, SLUICE_E_OPTION, "%s is not a string", key);
	*ret_text = json_object_get_string(member);
	if (strlen(*ret_text) != (size_t)json_object_get_string_len(member))
		return err_set(err, SLUICE_E_OPTION, "%s has a NUL character", key);
	return 0;
}

static int get_certs(struct json_object *from, const char *key, STACK_OF(X509) * *ret_certs,
		     struct sluice_error *err)
{
	const char *pem;
	int r = get_text(from, key, &pem, err);

	if (r < 0 || !pem)
		return r;
	return verify_certs(ret_certs, pem, strlen(pem), key, err);
}

static int get_trust(struct json_object *from, struct verify_request *request,
		     struct sluice_error *err)
{
	STACK_OF(X509) *certs = NULL;
	int r = get_certs(from, "trust", &certs, err);
	size_t i;

	if (r < 0 || !certs)
		return r;
	request->trust = X509_STORE_new();
	for (i = 0; request->trust && i < sk_X509_num(certs); i++) {
		if (!X509_STORE_add_cert(request->trust, sk_X509_value(certs, i))) {
			X509_STORE_free(request->trust);
			request->trust = NULL;
		}
	}
	sk_X509_pop_free(certs, X509_free);
	return request->trust ? 0 : err_set(err, SLUICE_E_NOMEM, "trust: no memory");
}

static int get_time(struct json_object *from, struct verify_request *request,
		    struct sluice_error *err)
{
	struct json_object *member;

	if (!json_object_object_get_ex(from, "time", &member) || !member)
		return 0;
	if (json_object_is_type(member, json_type_int)) {
		request->now_s = json_object_get_int64(member);
		return 0;
	}
	if (json_object_is_type(member, json_type_string) &&
	    verify_time(json_object_get_string(member), &request->now_s))
		return 0;
	return err_set(err, SLUICE_E_OPTION, "time is neither seconds nor a time of RFC 3339");
}

static int get_crls(struct json_object *from, struct verify_case *it, struct sluice_error *err)
{
	struct json_object *member;
	const char *mode;
	int r;

	if (json_object_object_get_ex(from, "crls", &member) && member) {
		it->crls = (struct verify_crls){ 0 };
		r = verify_crls_add_json(&it->crls, member, err);
		if (r < 0)
			return r;
		if (it->crl_mode == CRL_CHECK_FALSE)
			it->crl_mode = CRL_CHECK_TRUE;
	}
	r = get_text(from, "crl_check", &mode, err);
	if (r < 0 || !mode)
		return r;
	if (!verify_crl_mode(mode, &it->crl_mode))
		return err_set(err, SLUICE_E_OPTION,
			       "crl_check is none of false, true, peer, best_effort");
	return 0;
}

/* A member that is true or false, which turns policies on; absent: as it was. */
static int get_flag(struct json_object *from, const char *key, struct verify_case *it,
		    bool *ret_flag, struct sluice_error *err)
{
	struct json_object *member;

	if (!json_object_object_get_ex(from, key, &member) || !member)
		return 0;
	if (!json_object_is_type(member, json_type_boolean))
		return err_set(err, SLUICE_E_OPTION, "%s is not true or false", key);
	*ret_flag = json_object_get_boolean(member);
	it->evaluate_policies |= *ret_flag;
	return 0;
}

static int get_wanted(struct json_object *array, struct verify_case *it, struct sluice_error *err)
{
	STACK_OF(ASN1_OBJECT) *wanted = NULL;
	struct json_object *oid;
	size_t i;
	int r = 0;

	if (!json_object_is_type(array, json_type_array))
		return err_set(err, SLUICE_E_OPTION, "policies is not an array of strings");
	for (i = 0; !r && i < json_object_array_length(array); i++) {
		oid = json_object_array_get_idx(array, i);
		if (json_object_is_type(oid, json_type_string))
			r = verify_add_policy(&wanted, json_object_get_string(oid), err);
		else
			r = err_set(err, SLUICE_E_OPTION, "policies is not an array of strings");
	}
	it->policies.wanted = wanted;
	it->evaluate_policies = true;
	return r;
}

static int get_policies(struct json_object *from, struct verify_case *it, struct sluice_error *err)
{
	struct verify_policies *policies = &it->policies;
	struct json_object *member;
	int r = 0;

	if (json_object_object_get_ex(from, "policies", &member) && member)
		r = get_wanted(member, it, err);
	if (!r)
		r = get_flag(from, "explicit_policy", it, &policies->explicit_policy, err);
	if (!r)
		r = get_flag(from, "inhibit_policy_mapping", it, &policies->inhibit_mapping, err);
	if (!r)
		r = get_flag(from, "inhibit_any_policy", it, &policies->inhibit_any, err);
	return r;
}

static int get_rules(struct json_object *from, struct verify_request *request,
		     struct sluice_error *err)
{
	struct json_object *member;
	const char *peer;
	int r;

	r = get_text(from, "peer", &peer, err);
	if (r < 0)
		return r;
	if (peer && strcmp(peer, "server") != 0 && strcmp(peer, "client") != 0)
		return err_set(err, SLUICE_E_OPTION, "peer is neither server nor client");
	if (peer)
		request->peer = strcmp(peer, "client") == 0 ? SLUICE_CLIENT : SLUICE_SERVER;
	if (json_object_object_get_ex(from, "depth", &member) && member) {
		if (!json_object_is_type(member, json_type_int) ||
		    json_object_get_int64(member) < 0 || json_object_get_int64(member) > 100)
			return err_set(err, SLUICE_E_OPTION, "depth is not a number up to 100");
		request->depth = json_object_get_int(member);
	}
	if (json_object_object_get_ex(from, "partial_chain", &member) && member) {
		if (!json_object_is_type(member, json_type_boolean))
			return err_set(err, SLUICE_E_OPTION, "partial_chain is not true or false");
		request->partial_chain = json_object_get_boolean(member);
	}
	return 0;
}

static int get_ocsp(struct json_object *from, struct verify_case *it, struct sluice_error *err)
{
	struct verify_ocsp *ocsp = &it->ocsp;
	bool is_asked = ocsp->mode != OCSP_OFF;
	const char *text;
	int r;

	if (it->request.peer == SLUICE_CLIENT) { /* clients staple nothing */
		ocsp->mode = OCSP_OFF;
		if (json_object_object_get_ex(from, "ocsp", NULL) ||
		    json_object_object_get_ex(from, "ocsp_check", NULL))
			return err_set(err, SLUICE_E_OPTION,
				       "ocsp is of a server, not of a client");
		return 0;
	}
	r = get_text(from, "ocsp_check", &text, err);
	if (r < 0)
		return r;
	if (text && !verify_ocsp_mode(text, &ocsp->mode))
		return err_set(err, SLUICE_E_OPTION, "ocsp_check is not off, if_present or must");
	is_asked |= text != NULL;
	r = get_text(from, "ocsp", &text, err);
	if (r < 0 || !text)
		return r;
	if (!is_asked)
		ocsp->mode = OCSP_IF_PRESENT;
	return verify_ocsp_text(&ocsp->der, text, err);
}

/* An unknown member is an error: it could be a rule that nobody would hold to. */
static int check_members(struct json_object *from, struct sluice_error *err)
{
	static const char *const known[] = {
		"id",
		"chain",
		"trust",
		"name",
		"time",
		"peer",
		"depth",
		"partial_chain",
		"crls",
		"crl_check",
		"policies",
		"explicit_policy",
		"inhibit_policy_mapping",
		"inhibit_any_policy",
		"ocsp",
		"ocsp_check",
	};
	size_t i;

	json_object_object_foreach(from, key, value)
	{
		(void)value;
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (!strcmp(key, known[i]))
				break;
		}
		if (i == sizeof(known) / sizeof(known[0]))
			return err_set(err, SLUICE_E_OPTION, "a request has no member %.40s", key);
	}
	return 0;
}

static int get_request(struct json_object *from, struct verify_case *it, struct sluice_error *err)
{
	struct verify_request *request = &it->request;
	int r;

	if (!json_object_is_type(from, json_type_object))
		return err_set(err, SLUICE_E_OPTION, "a request is an object");
	r = check_members(from, err);
	if (!r)
		r = get_text(from, "name", &request->name, err);
	if (!r)
		r = get_time(from, request, err);
	if (!r)
		r = get_rules(from, request, err);
	if (!r)
		r = get_ocsp(from, it, err);
	if (!r)
		r = get_certs(from, "chain", &request->certs, err);
	if (!r && !request->certs)
		r = err_set(err, SLUICE_E_OPTION, "a request needs a chain");
	if (!r)
		r = get_trust(from, request, err);
	if (!r)
		r = get_crls(from, it, err);
	if (!r)
		r = get_policies(from, it, err);
	return r;
}

/* --- all of them ---------------------------------------------------------------------------- */

static struct json_object *unusable(const char *why)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "result", json_object_new_string("unusable"));
	json_object_object_add(object, "reason", json_object_new_string(why));
	return object;
}

static struct json_object *answer(struct batch *batch, struct json_object *from)
{
	struct verify_case it = *batch->defaults;
	struct json_object *verdict;
	enum verify_status status;
	struct sluice_error err;

	err_clear(&err);
	it.request.certs = NULL;
	if (get_request(from, &it, &err) < 0) {
		batch->unusable = true;
		verdict = unusable(err.text);
	} else {
		verdict = verify_judge(&it, &status);
	}
	if (it.ocsp.der != batch->defaults->ocsp.der)
		CRYPTO_BUFFER_free(it.ocsp.der);
	sk_X509_pop_free(it.request.certs, X509_free);
	if (it.request.trust != batch->defaults->request.trust)
		X509_STORE_free(it.request.trust);
	if (it.policies.wanted != batch->defaults->policies.wanted)
		sk_ASN1_OBJECT_pop_free((STACK_OF(ASN1_OBJECT) *)it.policies.wanted,
					ASN1_OBJECT_free);
	if (it.crls.db != batch->defaults->crls.db)
		verify_crls_clear(&it.crls);
	return verdict;
}

static void do_line(struct batch *batch, const char *line, size_t len)
{
	struct json_object *from = NULL, *verdict, *id;

	json_tokener_reset(batch->tokener);
	if (len <= MAX_LINE)
		from = json_tokener_parse_ex(batch->tokener, line, (int)len);
	if (from && json_tokener_get_parse_end(batch->tokener) == len) {
		verdict = answer(batch, from);
		if (json_object_is_type(from, json_type_object) &&
		    json_object_object_get_ex(from, "id", &id))
			json_object_object_add(verdict, "id", json_object_get(id));
	} else {
		batch->unusable = true;
		verdict = unusable(len > MAX_LINE ? "the line is too long"
						  : "the line is not one JSON value");
	}
	puts(json_object_to_json_string_ext(verdict, JSON_C_TO_STRING_PLAIN));
	json_object_put(verdict);
	json_object_put(from);
}

enum verify_status verify_batch(FILE *in, const struct verify_case *defaults)
{
	struct batch batch = { .defaults = defaults, .tokener = json_tokener_new() };
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	if (!batch.tokener)
		return VERIFY_UNUSABLE;
	while ((errno = 0, len = getline(&line, &size, in)) >= 0) {
		if (len && line[len - 1] == '\n')
			line[--len] = '\0';
		if (len)
			do_line(&batch, line, (size_t)len);
	}
	if (errno || ferror(in)) {
		perror("sluice verify: --batch");
		batch.unusable = true;
	}
	free(line);
	json_tokener_free(batch.tokener);
	if (fflush(stdout)) {
		perror("sluice verify: standard output");
		batch.unusable = true;
	}
	return batch.unusable ? VERIFY_UNUSABLE : VERIFY_ACCEPTED;
}
