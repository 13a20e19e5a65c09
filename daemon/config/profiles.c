/* SPDX-License-Identifier: Apache-2.0 */
/* The section `profiles`: what a TLS connection is like, by name. */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DIRECTORY 3840 /* bytes; with a file in it no longer than PATH_MAX */

static const char *const no_match_words[] = {
	[CONFIG_NO_MATCH_DEFAULT] = "default",
	[CONFIG_NO_MATCH_REFUSE] = "refuse",
	NULL,
};

static int read_role(struct parse *p, const struct field *field, const struct node *value,
		     void *member)
{
	unsigned int word;
	int r = field_word(p, field, value, &word);

	if (!r)
		*(enum sluice_role *)member = word ? SLUICE_CLIENT : SLUICE_SERVER;
	return r;
}

/* struct section - what a profile has besides options. */
struct section {
	enum sluice_role role;
	enum config_no_match no_match;
	const struct node *hosts;
	char *hosts_dir;
	unsigned int ocsp_fetch;
	struct verify_nodes verify;
};

static const char *const role_words[] = { "server", "client", NULL };

static const struct field rows[] = {
	{ .name = "role",
	  .read = read_role,
	  .offset = offsetof(struct section, role),
	  .words = role_words },
	{ .name = "hosts", .read = field_node, .offset = offsetof(struct section, hosts) },
	{ .name = "hosts_dir",
	  .read = field_directory,
	  .offset = offsetof(struct section, hosts_dir),
	  .max = MAX_DIRECTORY },
	{ .name = "no_match",
	  .read = field_word,
	  .offset = offsetof(struct section, no_match),
	  .words = no_match_words },
	{ .name = "ocsp_fetch",
	  .read = field_word,
	  .offset = offsetof(struct section, ocsp_fetch),
	  .words = fetch_words },
	{ .name = "verify_policy",
	  .read = field_node,
	  .offset = offsetof(struct section, verify.policy) },
	{ .name = "verify_socket",
	  .read = field_node,
	  .offset = offsetof(struct section, verify.socket) },
};

static const struct fields fields = {
	.what = "a profile",
	.rows = rows,
	.n = ARRAY_LEN(rows),
	.has_options = true,
};

/* Hosts are chosen by what a client sends. */
static int check_meaning(struct parse *p, const struct node *map, const struct section *section)
{
	static const char *const keys[] = { "hosts", "hosts_dir", "no_match", "ocsp_fetch" };
	const struct node *no_match = node_get(map, "no_match"), *value;
	size_t i;

	for (i = 0; i < ARRAY_LEN(keys) && section->role == SLUICE_CLIENT; i++) {
		value = node_get(map, keys[i]);
		if (value)
			return parse_fail(p, SLUICE_E_OPTION_CONFLICT, value->place,
					  "%s: only for the role server; take it out", keys[i]);
	}
	if (section->no_match == CONFIG_NO_MATCH_REFUSE && !section->hosts && !section->hosts_dir)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, no_match->place,
				  "no_match: refuse without hosts refuses everybody; add hosts or "
				  "hosts_dir, or take it out");
	return 0;
}

/*
 * What works where handshake and connection are in one process: sessions come after the handshake, to
 * a program that has no TLS, and nobody could continue a handshake that pauses.
 */
static int check_client(struct parse *p, const struct node *map)
{
	const struct node *tickets = node_get(map, "session_tickets");
	const struct node *handshake = node_get(map, "handshake");

	if (tickets && strcmp(tickets->text, "disabled") != 0)
		return parse_fail(
			p, SLUICE_E_UNSUPPORTED, tickets->place,
			"session_tickets: a client of the daemon keeps no sessions; write "
			"disabled, or take it out");
	if (handshake && strcmp(handshake->text, "full") != 0)
		return parse_fail(
			p, SLUICE_E_UNSUPPORTED, handshake->place,
			"handshake: a client of the daemon does not pause; write full, or "
			"take it out");
	return 0;
}

static int read_profile(struct parse *p, const struct node *map, struct config_profile *profile)
{
	struct section section = { .role = SLUICE_SERVER };
	int r = fields_read(p, &fields, map, &section);

	profile->hosts_dir = section.hosts_dir;
	if (!r)
		r = check_meaning(p, map, &section);
	if (r < 0)
		return r;
	profile->role = section.role;
	profile->no_match = section.no_match;
	if (sluice_options_new(&profile->options) < 0)
		return parse_nomem(p);
	r = options_read(p, &fields, map, profile->role, profile->options);
	if (!r && profile->role == SLUICE_CLIENT)
		r = check_client(p, map);
	profile->ocsp_fetch = section.ocsp_fetch;
	if (!r)
		r = fetch_check_ocsp(p, map, profile->ocsp_fetch, profile->options);
	section.verify.owner = map;
	if (!r)
		r = verify_read(p, &section.verify, profile->options, profile->role,
				&profile->verify);
	/* Hosts begin with all options of their profile, wherever it has them. */
	if (!r && section.hosts)
		r = hosts_read(p, section.hosts, profile);
	return r;
}

int profiles_read(struct parse *p, const struct node *map)
{
	struct config *config = p->config;
	struct config_profile *profile;
	const struct node *key;
	size_t i, n;
	int r = node_expect(p, "profiles", map, NODE_MAP);

	if (r < 0)
		return r;
	n = map->n_items / 2;
	config->profiles = calloc(n + 1, sizeof(*config->profiles));
	if (!config->profiles)
		return parse_nomem(p);
	r = index_init(p, &p->profiles, n);
	for (i = 0; !r && i < n; i++) {
		key = map->items[2 * i];
		profile = &config->profiles[config->n_profiles++];
		profile->place = key->place;
		r = fields_check_name(p, "profiles", key);
		if (r < 0)
			return r;
		profile->name = strdup(key->text);
		if (!profile->name)
			return parse_nomem(p);
		index_add(&p->profiles, profile->name, NULL, key->place, i);
		r = read_profile(p, map->items[2 * i + 1], profile);
	}
	return r < 0 ? r : index_sort(p, &p->profiles, "the profile");
}
