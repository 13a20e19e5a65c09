/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `sluice verify --batch`: a request per line, a verdict per line, which is out before the next line is read. A
 * line that is no request has its own verdict, "unusable".
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/asn1.h>
#include <openssl/err.h>

#include <sluice/sluice.h>

#include "core/error.h"
#include "judge.h"
#include "limbo.h"

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

/* Appends the certificates of a text. */
static int add_certs(STACK_OF(X509) * certs, struct json_object *text, const char *key,
		     struct sluice_error *err)
{
	STACK_OF(X509) *more = NULL;
	X509 *x509;
	int r;

	if (!json_object_is_type(text, json_type_string))
		return err_set(err, SLUICE_E_OPTION, "%s is not a string, nor an array of them",
			       key);
	r = verify_certs(&more, json_object_get_string(text),
			 (size_t)json_object_get_string_len(text), key, err);
	while (!r && (x509 = sk_X509_shift(more))) {
		if (!sk_X509_push(certs, x509)) {
			X509_free(x509);
			r = err_set(err, SLUICE_E_NOMEM, "%s: no memory", key);
		}
	}
	sk_X509_pop_free(more, X509_free);
	return r;
}

/* The certificates of member @key, a text in PEM or an array of such texts; NULL: it is not there. */
static int get_certs(struct json_object *from, const char *key, STACK_OF(X509) * *ret_certs,
		     struct sluice_error *err)
{
	STACK_OF(X509) * certs;
	struct json_object *member;
	size_t i;
	int r = 0;

	if (!json_object_object_get_ex(from, key, &member) || !member)
		return 0;
	certs = sk_X509_new_null();
	if (!certs)
		return err_set(err, SLUICE_E_NOMEM, "%s: no memory", key);
	if (!json_object_is_type(member, json_type_array))
		r = add_certs(certs, member, key, err);
	else
		for (i = 0; !r && i < json_object_array_length(member); i++)
			r = add_certs(certs, json_object_array_get_idx(member, i), key, err);
	if (r < 0)
		sk_X509_pop_free(certs, X509_free);
	else
		*ret_certs = certs;
	return r;
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
	if ((json_object_is_type(member, json_type_int) ||
	     json_object_is_type(member, json_type_string)) &&
	    verify_time(json_object_get_string(member), &request->now_s))
		return 0;
	return err_set(err, SLUICE_E_OPTION,
		       "time is neither seconds nor a time of RFC 3339, in the years 0 to 9999");
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
		"names",
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
		"key_usage",
		"extended_key_usage",
		NULL,
	};

	return verify_members(from, known, "a request", err);
}

static int get_name(struct json_object *from, struct verify_request *request,
		    struct sluice_error *err)
{
	int r = get_text(from, "name", &request->name, err);

	if (!r && request->name && strchr(request->name, '@'))
		return err_set(err, SLUICE_E_OPTION, "name: e-mail addresses are among names");
	if (!r && request->name)
		r = verify_wants_name(request->name, err);
	return r;
}

static int get_request(struct json_object *from, struct verify_case *it, struct sluice_error *err)
{
	struct verify_request *request = &it->request;
	int r;

	if (!json_object_is_type(from, json_type_object))
		return err_set(err, SLUICE_E_OPTION, "a request is an object");
	r = check_members(from, err);
	if (!r)
		r = get_name(from, request, err);
	if (!r)
		r = verify_wants_get(&it->wants, from, err);
	if (!r)
		r = get_time(from, request, err);
	if (!r)
		r = get_rules(from, request, err);
	if (!r)
		r = get_ocsp(from, it, err);
	if (!r)
		r = get_certs(from, "chain", &request->certs, err);
	if (!r && (!request->certs || !sk_X509_num(request->certs)))
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
	char text[sizeof(((struct sluice_error *)0)->text)];
	size_t i;

	/* It may quote the request, and may have been cut within a character. */
	for (i = 0; why[i] && i < sizeof(text) - 1; i++)
		text[i] = (char)(why[i] & 0x80 ? '?' : why[i]);
	text[i] = '\0';
	json_object_object_add(object, "result", json_object_new_string("unusable"));
	json_object_object_add(object, "reason", json_object_new_string(text));
	return object;
}

/* json-c lets surrogates pass (RFC 3629, 3). */
static bool is_utf8(const char *text, size_t len)
{
	bool ok = ASN1_mbstring_copy(NULL, (const uint8_t *)text, (int)len, MBSTRING_UTF8,
				     B_ASN1_UTF8STRING) > 0;

	ERR_clear_error();
	return ok;
}

static struct json_object *answer(struct batch *batch, struct json_object *from)
{
	struct verify_case it = *batch->defaults;
	struct json_object *verdict, *translated = NULL;
	enum verify_status status;
	struct sluice_error err;
	int r = 0;

	err_clear(&err);
	it.request.certs = NULL;
	if (limbo_is_case(from))
		r = limbo_request(&translated, from, &err);
	if (!r)
		r = get_request(translated ? translated : from, &it, &err);
	if (r < 0) {
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
	json_object_put(translated);
	return verdict;
}

/*
 * Has an object a member twice? json-c keeps the last, others the first: who asks may mean another rule than is
 * held to. @line is known to be an object; outside of strings each member of it has one colon.
 */
static bool has_duplicates(struct json_object *from, const char *line, size_t len)
{
	int n_members = 0, depth = 0;
	bool in_string = false;
	size_t i;

	for (i = 0; i < len; i++) {
		if (in_string && line[i] == '\\')
			i++;
		else if (line[i] == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if (line[i] == '{' || line[i] == '[')
			depth++;
		else if (line[i] == '}' || line[i] == ']')
			depth--;
		else if (line[i] == ':')
			n_members += depth == 1;
	}
	return n_members != json_object_object_length(from);
}

/* Reads a line. Returns NULL or what is wrong with it; there may be a value even so. */
static const char *parse(struct batch *batch, const char *line, size_t len,
			 struct json_object **ret_from)
{
	*ret_from = NULL;
	if (len > MAX_LINE)
		return "the line is too long";
	if (!is_utf8(line, len))
		return "the line is not UTF-8";
	json_tokener_reset(batch->tokener);
	*ret_from = json_tokener_parse_ex(batch->tokener, line, (int)len);
	if (!*ret_from || json_tokener_get_parse_end(batch->tokener) != len)
		return "the line is not one JSON value";
	if (json_object_is_type(*ret_from, json_type_object) &&
	    has_duplicates(*ret_from, line, len))
		return "a member is there twice";
	return NULL;
}

static void do_line(struct batch *batch, const char *line, size_t len)
{
	struct json_object *from, *verdict, *id;
	const char *wrong = parse(batch, line, len, &from);

	if (wrong) {
		batch->unusable = true;
		verdict = unusable(wrong);
	} else {
		verdict = answer(batch, from);
	}
	if (json_object_is_type(from, json_type_object) &&
	    json_object_object_get_ex(from, "id", &id))
		json_object_object_add(verdict, "id", json_object_get(id));
	puts(json_object_to_json_string_ext(verdict, JSON_C_TO_STRING_PLAIN));
	json_object_put(verdict);
	json_object_put(from);
}

/*
 * Reads a line without its end into @buf of MAX_LINE + 1 bytes; of a longer one no more than that. Returns its
 * length, -1 at the end.
 */
static ssize_t read_line(FILE *in, char *buf)
{
	size_t len = 0;
	int c;

	while ((c = getc_unlocked(in)) != EOF && c != '\n') {
		if (len <= MAX_LINE)
			buf[len++] = (char)c;
	}
	return c == EOF && !len ? -1 : (ssize_t)len;
}

enum verify_status verify_batch(FILE *in, const struct verify_case *defaults)
{
	struct batch batch = { .defaults = defaults, .tokener = json_tokener_new() };
	char *line = malloc(MAX_LINE + 1);
	ssize_t len;

	if (!batch.tokener || !line) {
		fputs("sluice verify: --batch: no memory\n", stderr);
		batch.unusable = true;
		goto out;
	}
	json_tokener_set_flags(batch.tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while ((len = read_line(in, line)) >= 0) {
		if (len)
			do_line(&batch, line, (size_t)len);
	}
	if (ferror(in)) {
		perror("sluice verify: --batch");
		batch.unusable = true;
	}
	if (fflush(stdout) || ferror(stdout)) {
		perror("sluice verify: standard output");
		batch.unusable = true;
	}
out:
	free(line);
	json_tokener_free(batch.tokener);
	return batch.unusable ? VERIFY_UNUSABLE : VERIFY_ACCEPTED;
}
