/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys `verify_policy` and `verify_socket` of profiles and hosts: what becomes of a peer whose path is not
 * valid, and who is asked about those whose path is. What nobody should accept cannot be written.
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include "common/decision.h"
#include "common/policy.h"
#include "options/options.h"

/* --- the policy ------------------------------------------------------------------------------- */

enum action {
	ACTION_DEFAULT,
	ACTION_ACCEPT,
	ACTION_LOG,
	ACTION_REFUSE,
};

/* struct actions - a verify_policy as it is read. */
struct actions {
	unsigned int of[SLUICE_BAD_CERTS]; /* enum action */
	const struct node *extensions;
};

static const char *const action_words[] = { "accept", "log", "refuse", NULL };

static int read_action(struct parse *p, const struct field *field, const struct node *value,
		       void *member)
{
	unsigned int word;
	int r = field_word(p, field, value, &word);

	if (!r)
		*(unsigned int *)member = word + ACTION_ACCEPT;
	return r;
}

/* Of what can only be refused, and is. @min is the reason. */
static int read_never(struct parse *p, const struct field *field, const struct node *value,
		      void *member)
{
	int r = read_action(p, field, value, member);

	if (r < 0 || *(unsigned int *)member == ACTION_REFUSE)
		return r;
	return parse_fail(p, SLUICE_E_UNSUPPORTED, value->place,
			  "%s: is never accepted, %s; write refuse, or take it out", field->name,
			  policy_never_why((int)field->min));
}

#define AT(reason) offsetof(struct actions, of[SLUICE_BAD_CERT_##reason])

static const struct field policy_rows[] = {
	{ "unknown_ca", read_action, AT(UNKNOWN_CA), .words = action_words },
	{ "selfsigned_peer", read_action, AT(SELFSIGNED_PEER), .words = action_words },
	{ "expired", read_action, AT(EXPIRED), .words = action_words },
	{ "not_yet", read_action, AT(NOT_YET), .words = action_words },
	{ "invalid_issuer", read_action, AT(INVALID_ISSUER), .words = action_words },
	{ "name_not_permitted", read_action, AT(NAME_NOT_PERMITTED), .words = action_words },
	{ "key_usage", read_action, AT(KEY_USAGE), .words = action_words },
	{ "ext_key_usage", read_action, AT(EXT_KEY_USAGE), .words = action_words },
	{ "max_path_length", read_action, AT(MAX_PATH_LENGTH), .words = action_words },
	{ "critical_ext", read_action, AT(CRITICAL_EXT), .words = action_words },
	{ "hostname", read_action, AT(HOSTNAME), .words = action_words },
	{ "weak_key", read_action, AT(WEAK_KEY), .words = action_words },
	{ "weak_signature", read_action, AT(WEAK_SIGNATURE), .words = action_words },
	{ "revocation_undetermined", read_action, AT(REVOCATION_UNDETERMINED),
	  .words = action_words },
	{ "invalid_signature", read_never, AT(INVALID_SIGNATURE),
	  .min = SLUICE_BAD_CERT_INVALID_SIGNATURE, .words = action_words },
	{ "revoked", read_never, AT(REVOKED), .min = SLUICE_BAD_CERT_REVOKED,
	  .words = action_words },
	{ "malformed", read_never, AT(MALFORMED), .min = SLUICE_BAD_CERT_MALFORMED,
	  .words = action_words },
	{ "not_checked", read_never, AT(NOT_CHECKED), .min = SLUICE_BAD_CERT_NOT_CHECKED,
	  .words = action_words },
	{ "other", read_never, AT(OTHER), .min = SLUICE_BAD_CERT_OTHER, .words = action_words },
	{ "extensions", field_node, offsetof(struct actions, extensions) },
};

static const struct fields policy_fields = {
	.what = "verify_policy",
	.rows = policy_rows,
	.n = ARRAY_LEN(policy_rows),
};

/* Dotted decimal numbers without leading zeros, at least two: as OBJ_obj2txt() writes them. */
static bool is_oid(const char *text)
{
	size_t arcs = 0;

	if (strlen(text) >= POLICY_MAX_OID)
		return false;
	for (;; arcs++) {
		size_t digits = strspn(text, "0123456789");

		if (!digits || (digits > 1 && *text == '0'))
			return false;
		text += digits;
		if (!*text)
			return arcs > 0;
		if (*text++ != '.')
			return false;
	}
}

static int read_extension(struct parse *p, const struct node *key, const struct node *value,
			  struct config_verify *verify)
{
	static const char *const words[] = { "accept", "refuse", NULL };
	const struct field field = { .name = "extensions", .words = words };
	char quote[PARSE_QUOTE_LEN], *grown;
	size_t len = strlen(key->text);
	unsigned int refuse;
	int r;

	if (!is_oid(key->text))
		return parse_fail(p, SLUICE_E_OPTION, key->place,
				  "extensions: \"%s\" is no OID; write one as 1.3.6.1.4.1.311.21.7",
				  parse_quote_key(quote, key->text));
	r = field_word(p, &field, value, &refuse);
	if (r < 0)
		return r;
	grown = realloc(verify->extensions, verify->extensions_len + len + 2);
	if (!grown)
		return parse_nomem(p);
	verify->extensions = grown;
	grown += verify->extensions_len;
	*grown = refuse ? '-' : '+';
	memcpy(grown + 1, key->text, len + 1);
	verify->extensions_len += len + 2;
	return 0;
}

static int read_extensions(struct parse *p, const struct node *map, struct config_verify *verify)
{
	size_t i;
	int r = node_expect(p, "extensions", map, NODE_MAP);

	if (!r && map->n_items / 2 > POLICY_MAX_EXTENSIONS)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, map->place,
				  "extensions: takes at most %d", POLICY_MAX_EXTENSIONS);
	for (i = 0; !r && i < map->n_items; i += 2)
		r = read_extension(p, map->items[i], map->items[i + 1], verify);
	return r;
}

static int read_policy(struct parse *p, const struct node *map, struct config_verify *verify)
{
	struct actions actions = { .extensions = NULL };
	int reason, r = fields_read(p, &policy_fields, map, &actions);

	if (r < 0)
		return r;
	free(verify->extensions); /* the profile's, of a host that has its own */
	verify->extensions = NULL;
	verify->extensions_len = 0;
	verify->has_policy = true;
	verify->accept = verify->warn = verify->refuse = 0;
	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++) {
		if (actions.of[reason] == ACTION_ACCEPT || actions.of[reason] == ACTION_LOG)
			verify->accept |= POLICY_BIT(reason);
		if (actions.of[reason] == ACTION_LOG)
			verify->warn |= POLICY_BIT(reason);
		if (actions.of[reason] == ACTION_REFUSE)
			verify->refuse |= POLICY_BIT(reason);
	}
	return actions.extensions ? read_extensions(p, actions.extensions, verify) : 0;
}

/* --- the service ------------------------------------------------------------------------------ */

static const char *const bool_words[] = { "false", "true", NULL };
static const char *const failure_words[] = { "refuse", NULL };

/* struct service - a verify_socket as it is read. */
struct service {
	char *path;
	unsigned int timeout_ms, questions, send_chain;
	const struct node *ask_on;
};

/* There is one answer to it, which nobody has to keep. */
static int read_failure(struct parse *p, const struct field *field, const struct node *value,
			void *member)
{
	unsigned int refuse;

	if (value->kind == NODE_TEXT && !strcmp(value->text, "accept"))
		return parse_fail(p, SLUICE_E_UNSUPPORTED, value->place,
				  "on_failure: a peer that nobody has decided about is refused; "
				  "write refuse, or take it out");
	return field_word(p, field, value, &refuse);
}

#define SERVICE(member) offsetof(struct service, member)

static const struct field service_rows[] = {
	{ "path", field_socket, SERVICE(path), .required = true },
	{ "timeout", field_number, SERVICE(timeout_ms), .min = 1, .max = POLICY_MAX_TIMEOUT },
	{ "questions", field_number, SERVICE(questions), .min = 1, .max = DECISION_MAX_OPEN },
	{ "send_chain", field_word, SERVICE(send_chain), .words = bool_words },
	{ "on_failure", read_failure, 0, .words = failure_words },
	{ "ask_on", field_node, SERVICE(ask_on) },
};

static const struct fields service_fields = {
	.what = "verify_socket",
	.rows = service_rows,
	.n = ARRAY_LEN(service_rows),
};

static int reason_of(const char *name)
{
	int reason;

	for (reason = 1; reason < SLUICE_BAD_CERTS; reason++)
		if (!strcmp(sluice_bad_cert_name(reason), name))
			return reason;
	return 0;
}

static int read_reason(struct parse *p, const struct node *item, uint64_t *reasons)
{
	struct nearest nearest;
	char quote[PARSE_QUOTE_LEN];
	int i, reason, r = node_expect(p, "ask_on", item, NODE_TEXT);

	if (r < 0)
		return r;
	reason = reason_of(item->text);
	if (reason && !(POLICY_NEVER & POLICY_BIT(reason))) {
		*reasons |= POLICY_BIT(reason);
		return 0;
	}
	if (reason)
		return parse_fail(p, SLUICE_E_UNSUPPORTED, item->place,
				  "ask_on: %s is never accepted, %s; take it out", item->text,
				  policy_never_why(reason));
	nearest = (struct nearest){ .text = item->text };
	for (i = 1; i < SLUICE_BAD_CERTS; i++)
		nearest_try(&nearest, sluice_bad_cert_name(i));
	return parse_fail(p, SLUICE_E_OPTION, item->place, "ask_on: there is no reason \"%s\"%s%s",
			  parse_quote(quote, item->text), nearest.word ? "; did you mean " : "",
			  nearest.word ? nearest.word : "");
}

static int read_reasons(struct parse *p, const struct node *list, uint64_t *reasons)
{
	size_t i;
	int r = node_expect(p, "ask_on", list, NODE_LIST);

	for (i = 0; !r && i < list->n_items; i++)
		r = read_reason(p, list->items[i], reasons);
	return r;
}

static void drop_service(struct config_verify *verify)
{
	free(verify->path);
	verify->path = NULL;
	verify->ask = 0;
}

static int read_service(struct parse *p, const struct node *node, struct config_verify *verify)
{
	struct service service = { .timeout_ms = 2000, .questions = 256 };
	int r;

	drop_service(verify);
	if (node->kind == NODE_TEXT && !strcmp(node->text, "none"))
		return 0;
	r = fields_read(p, &service_fields, node, &service);
	verify->path = service.path;
	verify->timeout_ms = service.timeout_ms;
	verify->questions = service.questions;
	verify->send_chain = service.send_chain;
	return r < 0 || !service.ask_on ? r : read_reasons(p, service.ask_on, &verify->ask);
}

/* --- what does not fit ------------------------------------------------------------------------ */

/* Only rules of the certificate's bytes or its key, which need no CA. */
static bool are_pins(const struct sluice_options *options)
{
	const char *at = option_text(options, SLUICE_OPT_ALLOW_PEERS);

	while (at && *at) {
		at += strspn(at, " ");
		if (strncmp(at, "cert:", 5) != 0 && strncmp(at, "key:", 4) != 0)
			return false;
		at = strchr(at, ',');
		at = at ? at + 1 : NULL;
	}
	return true;
}

static int check_identity(struct parse *p, const struct node *where,
			  const struct sluice_options *options, enum sluice_role role,
			  const struct config_verify *verify)
{
	uint64_t unproven = (verify->accept | verify->ask) & POLICY_UNPROVEN;
	char names[POLICY_NAMES_LEN];

	if (!unproven ||
	    (!option_number(options, SLUICE_OPT_PEER_IDENTITY, role) && are_pins(options)))
		return 0;
	return parse_fail(p, SLUICE_E_OPTION_CONFLICT, where->place,
			  "%s: who accepts this proves no name, and peer_identity and allow_peers "
			  "go by names; leave cert: and key: in allow_peers only, or take it out",
			  policy_names(names, unproven));
}

static int check_service(struct parse *p, const struct node *where,
			 const struct sluice_options *options, enum sluice_role role,
			 const struct config_verify *verify)
{
	uint64_t both = verify->ask & (verify->accept | verify->refuse);
	char names[POLICY_NAMES_LEN];

	if (!verify->path)
		return 0;
	if (both)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, where->place,
				  "ask_on: verify_policy has decided about %s; take it out of one",
				  policy_names(names, both));
	if (option_number(options, SLUICE_OPT_SESSION_TICKETS, role))
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, where->place,
				  "verify_socket: nobody is asked about a session that resumes; "
				  "set session_tickets to disabled");
	if (role == SLUICE_SERVER && !option_number(options, SLUICE_OPT_FAIL_IF_NO_PEER_CERT, role))
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, where->place,
				  "verify_socket: nobody is asked about a client without a "
				  "certificate; set fail_if_no_peer_cert to true");
	if (role == SLUICE_CLIENT && !option_number(options, SLUICE_OPT_VERIFY, role))
		return parse_fail(
			p, SLUICE_E_OPTION_CONFLICT, where->place,
			"verify_socket: a client with verify_none accepts whatever is "
			"wrong, and what it would ask about proves nothing; set verify to "
			"verify_peer");
	return 0;
}

int verify_read(struct parse *p, const struct verify_nodes *nodes,
		const struct sluice_options *options, enum sluice_role role,
		struct config_verify *verify)
{
	const struct node *where = nodes->socket ? nodes->socket : nodes->policy;
	bool peer = option_number(options, SLUICE_OPT_VERIFY, role);
	int r = 0;

	if (role == SLUICE_SERVER && !peer) {
		if (where)
			return parse_fail(p, SLUICE_E_OPTION_CONFLICT, where->place,
					  "%s: a server asks clients for certificates only with "
					  "verify: verify_peer; set it, or take this out",
					  nodes->socket ? "verify_socket" : "verify_policy");
		config_verify_clear(
			verify); /* a host that does not ask has nothing of its profile */
		return 0;
	}
	if (nodes->policy)
		r = read_policy(p, nodes->policy, verify);
	if (!r && nodes->socket)
		r = read_service(p, nodes->socket, verify);
	where = where ? where : nodes->owner;
	if (!r)
		r = check_identity(p, where, options, role, verify);
	return r < 0 ? r : check_service(p, where, options, role, verify);
}

/* --- memory ----------------------------------------------------------------------------------- */

int config_verify_copy(struct config_verify *ret_copy, const struct config_verify *verify)
{
	*ret_copy = *verify;
	ret_copy->path = verify->path ? strdup(verify->path) : NULL;
	ret_copy->extensions = verify->extensions_len ? malloc(verify->extensions_len) : NULL;
	if ((verify->path && !ret_copy->path) ||
	    (verify->extensions_len && !ret_copy->extensions)) {
		config_verify_clear(ret_copy);
		return -SLUICE_E_NOMEM;
	}
	if (verify->extensions_len)
		memcpy(ret_copy->extensions, verify->extensions, verify->extensions_len);
	return 0;
}

void config_verify_clear(struct config_verify *verify)
{
	free(verify->path);
	free(verify->extensions);
	*verify = (struct config_verify){ 0 };
}

bool config_verify_policy(const struct config_verify *verify, bool verify_peer, const char *profile,
			  struct policy *ret_policy)
{
	policy_default(ret_policy, verify_peer);
	if (!verify->has_policy && !verify->path)
		return false;
	ret_policy->accept = (ret_policy->accept | verify->accept | verify->ask) & ~verify->refuse;
	ret_policy->warn = verify->warn;
	ret_policy->asks = verify->path;
	ret_policy->send_chain = verify->send_chain;
	ret_policy->timeout_ms = verify->path ? verify->timeout_ms : 0;
	ret_policy->service = verify->path ? decision_service_id(verify->path, verify->timeout_ms,
								 verify->questions)
					   : 0;
	ret_policy->profile = profile;
	ret_policy->extensions = verify->extensions;
	ret_policy->extensions_len = verify->extensions_len;
	return true;
}
