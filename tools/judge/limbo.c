/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test cases of x509-limbo (https://x509-limbo.com/, limbo-schema.json): what they ask is said in the words of
 * our own requests. What a case has is never left out in silence: it is translated, known to ask nothing, or
 * an error.
 */
#include "limbo.h"

#include <string.h>

#include "core/error.h"
#include "judge.h"

#define MAX_DEPTH 100 /* where option depth ends; no path can be longer */

bool limbo_is_case(struct json_object *from)
{
	return json_object_is_type(from, json_type_object) &&
	       json_object_object_get_ex(from, "peer_certificate", NULL);
}

static int check_members(struct json_object *from, struct sluice_error *err)
{
	static const char *const known[] = {
		"id",
		"conflicts_with",
		"features",
		"importance",
		"description",
		"validation_kind",
		"trusted_certs",
		"untrusted_intermediates",
		"peer_certificate",
		"peer_certificate_key",
		"validation_time",
		"signature_algorithms",
		"key_usage",
		"extended_key_usage",
		"expected_result",
		"expected_peer_name",
		"expected_peer_names",
		"max_chain_depth",
		"crls",
		NULL,
	};

	return verify_members(from, known, "a test case of x509-limbo", err);
}

/* The member @key, or NULL where there is none, or null. */
static struct json_object *get(struct json_object *from, const char *key)
{
	struct json_object *member = NULL;

	json_object_object_get_ex(from, key, &member);
	return member;
}

/* The same, of one type. */
static int get_typed(struct json_object *from, const char *key, enum json_type type,
		     struct json_object **ret_member, struct sluice_error *err)
{
	*ret_member = get(from, key);
	if (*ret_member && !json_object_is_type(*ret_member, type))
		return err_set(err, SLUICE_E_OPTION, "%s is not of type %s", key,
			       json_type_to_name(type));
	return 0;
}

static void put(struct json_object *request, const char *key, struct json_object *value)
{
	json_object_object_add(request, key, json_object_get(value));
}

static int put_certs(struct json_object *request, struct json_object *from,
		     struct sluice_error *err)
{
	struct json_object *others, *trust, *chain;
	size_t i;
	int r;

	r = get_typed(from, "untrusted_intermediates", json_type_array, &others, err);
	if (!r)
		r = get_typed(from, "trusted_certs", json_type_array, &trust, err);
	if (r < 0)
		return r;
	chain = json_object_new_array();
	json_object_array_add(chain, json_object_get(get(from, "peer_certificate")));
	for (i = 0; others && i < json_object_array_length(others); i++)
		json_object_array_add(chain, json_object_get(json_object_array_get_idx(others, i)));
	json_object_object_add(request, "chain", chain);
	if (trust)
		put(request, "trust", trust);
	else
		json_object_object_add(request, "trust", json_object_new_array());
	/* To the suite every trusted certificate is an anchor. */
	json_object_object_add(request, "partial_chain", json_object_new_boolean(true));
	return 0;
}

static int put_name(struct json_object *names, struct json_object *name, struct sluice_error *err)
{
	static const char *const kinds[] = { "DNS", "IP", "RFC822" };
	struct json_object *kind, *value;
	size_t i;

	if (!json_object_is_type(name, json_type_object))
		return err_set(err, SLUICE_E_OPTION, "an expected name is not an object");
	kind = get(name, "kind");
	value = get(name, "value");
	if (!json_object_is_type(kind, json_type_string) ||
	    !json_object_is_type(value, json_type_string))
		return err_set(err, SLUICE_E_OPTION, "an expected name has no kind and value");
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!strcmp(json_object_get_string(kind), kinds[i]))
			break;
	}
	if (i == sizeof(kinds) / sizeof(kinds[0]))
		return err_set(err, SLUICE_E_OPTION,
			       "the kind of an expected name is none of DNS, IP and RFC822");
	json_object_array_add(names, json_object_get(value));
	return 0;
}

static int put_names(struct json_object *request, struct json_object *from,
		     struct sluice_error *err)
{
	struct json_object *name = get(from, "expected_peer_name"), *many, *names;
	size_t i;
	int r;

	r = get_typed(from, "expected_peer_names", json_type_array, &many, err);
	if (r < 0)
		return r;
	names = json_object_new_array();
	json_object_object_add(request, "names", names);
	if (name)
		r = put_name(names, name, err);
	for (i = 0; !r && many && i < json_object_array_length(many); i++)
		r = put_name(names, json_object_array_get_idx(many, i), err);
	return r;
}

static int put_rules(struct json_object *request, struct json_object *from,
		     struct sluice_error *err)
{
	struct json_object *kind, *depth, *algorithms;
	const char *text;
	int r;

	r = get_typed(from, "validation_kind", json_type_string, &kind, err);
	if (!r)
		r = get_typed(from, "max_chain_depth", json_type_int, &depth, err);
	if (!r)
		r = get_typed(from, "signature_algorithms", json_type_array, &algorithms, err);
	if (r < 0)
		return r;
	text = kind ? json_object_get_string(kind) : "";
	if (strcmp(text, "SERVER") != 0 && strcmp(text, "CLIENT") != 0)
		return err_set(err, SLUICE_E_OPTION,
			       "validation_kind is neither SERVER nor CLIENT");
	json_object_object_add(request, "peer",
			       json_object_new_string(*text == 'S' ? "server" : "client"));
	if (depth && json_object_get_int64(depth) > MAX_DEPTH)
		json_object_object_add(request, "depth", json_object_new_int(MAX_DEPTH));
	else if (depth)
		put(request, "depth", depth);
	if (algorithms && json_object_array_length(algorithms))
		return err_set(err, SLUICE_E_OPTION,
			       "signature_algorithms: which are good is not for a request to say");
	return 0;
}

/* What has the same meaning in both forms. */
static void put_same(struct json_object *request, struct json_object *from)
{
	struct json_object *member = get(from, "validation_time");

	if (member)
		put(request, "time", member);
	if ((member = get(from, "key_usage")))
		put(request, "key_usage", member);
	if ((member = get(from, "extended_key_usage")))
		put(request, "extended_key_usage", member);
	member = get(from, "crls");
	if (member &&
	    !(json_object_is_type(member, json_type_array) && !json_object_array_length(member)))
		put(request, "crls", member);
}

int limbo_request(struct json_object **ret_request, struct json_object *from,
		  struct sluice_error *ret_err)
{
	struct json_object *request = json_object_new_object();
	int r;

	r = check_members(from, ret_err);
	if (!r)
		r = put_certs(request, from, ret_err);
	if (!r)
		r = put_names(request, from, ret_err);
	if (!r)
		r = put_rules(request, from, ret_err);
	if (!r)
		put_same(request, from);
	if (r < 0) {
		json_object_put(request);
		return r;
	}
	*ret_request = request;
	return 0;
}
