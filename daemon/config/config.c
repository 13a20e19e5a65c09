/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of sluiced, from its file to what the daemon works with. Called at start and
 * when it is to be read again; on failure there is no configuration, and the old one remains whoever
 * has it. Everything is freed in one way: what has been made so far is in the configuration.
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include "core/secret.h"

/* struct sections - what has to be read in another order than it may be written in. */
struct sections {
	const struct node *listeners, *profiles, *pools, *services, *admin, *metrics, *fetch, *crls,
		*user;
};

static const struct field rows[] = {
	{ "listeners", field_node, offsetof(struct sections, listeners) },
	{ "profiles", field_node, offsetof(struct sections, profiles), .required = true },
	{ "pools", field_node, offsetof(struct sections, pools) },
	{ "services", field_node, offsetof(struct sections, services) },
	{ "admin", field_node, offsetof(struct sections, admin) },
	{ "user", field_node, offsetof(struct sections, user) },
	{ "limits", daemon_limits },
	{ "log", daemon_log },
	{ "metrics", field_node, offsetof(struct sections, metrics) },
	{ "fetch", field_node, offsetof(struct sections, fetch) },
	{ "crls", field_node, offsetof(struct sections, crls) },
};

static const struct fields fields = { .what = "the file", .rows = rows, .n = ARRAY_LEN(rows) };

/* A daemon whose programs bring all connections needs no listener, and without one no pool. */
static int check_sections(struct parse *p, const struct node *root, const struct sections *sections)
{
	const char *missing = NULL;

	if (!sections->listeners && !sections->services)
		missing = "listeners";
	else if (!sections->pools && sections->listeners)
		missing = "pools";
	if (!missing)
		return 0;
	return parse_fail(p, SLUICE_E_OPTION, root->place, "%s needs the key \"%s\"; add it",
			  fields.what, missing);
}

static int read_sections(struct parse *p, const struct node *root)
{
	struct sections sections = { 0 };
	int r = daemon_read_defaults(p);

	if (!r)
		r = fields_read(p, &fields, root, &sections);
	if (!r)
		r = check_sections(p, root, &sections);
	if (!r && sections.admin)
		r = daemon_admin(p, NULL, sections.admin, NULL);
	if (!r && sections.metrics)
		r = metrics_read(p, sections.metrics);
	if (!r && sections.fetch)
		r = fetch_read(p, sections.fetch);
	if (!r && sections.crls)
		r = crls_read(p, sections.crls);
	if (!r)
		r = user_read(p, sections.user);
	if (!r && sections.pools)
		r = pools_read(p, sections.pools);
	if (!r)
		r = profiles_read(p, sections.profiles);
	if (!r)
		r = crls_check(p);
	if (!r && sections.services)
		r = services_read(p, sections.services);
	if (!r)
		r = sockets_check(p, sections.pools, sections.services, sections.admin,
				  sections.metrics);
	if (!r && sections.listeners)
		r = listeners_read(p, sections.listeners); /* by name, to profiles and pools */
	return r;
}

static int read_text(struct parse *p, const char *text, size_t text_len)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct node *root = NULL;
	int r;

	if (text_len > CONFIG_MAX_SIZE)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, (struct config_place){ 0 },
				  "has more than %d bytes; make it smaller", CONFIG_MAX_SIZE);
	if (text_len >= 3 && !memcmp(text, bom, 3)) {
		text += 3;
		text_len -= 3;
	}
	r = node_parse(p, text, text_len, &root);
	if (!r)
		r = read_sections(p, root);
	node_free(root);
	return r;
}

int config_parse(struct config **ret_config, const char *path, const char *text, size_t text_len,
		 struct config_error *ret_err)
{
	struct config_error ignored;
	struct parse p = { .path = path, .err = ret_err ? ret_err : &ignored };
	int r;

	*p.err = (struct config_error){ 0 };
	p.config = calloc(1, sizeof(*p.config));
	if (!p.config)
		return parse_nomem(&p);
	p.config->path = strdup(path);
	r = p.config->path ? read_text(&p, text, text_len) : parse_nomem(&p);
	index_free(&p.profiles);
	index_free(&p.pools);
	if (r < 0) {
		config_free(p.config);
		return r;
	}
	*ret_config = p.config;
	return 0;
}

int config_load(struct config **ret_config, const char *path, struct config_error *ret_err)
{
	struct config_error ignored;
	struct parse p = { .path = path, .err = ret_err ? ret_err : &ignored };
	size_t len;
	char *text;
	int r;

	*p.err = (struct config_error){ 0 };
	r = file_read(&p, &text, &len);
	if (r < 0)
		return r;
	r = config_parse(ret_config, path, text, len, ret_err);
	secret_wipe(text, len);
	free(text);
	return r;
}

/* --- the end ------------------------------------------------------------------------------------ */

static void free_listener(struct config_listener *listener)
{
	size_t i;

	for (i = 0; i < listener->n_routes; i++) {
		free(listener->routes[i].sni);
		free(listener->routes[i].alpn);
	}
	free(listener->routes);
	free(listener->proxy_from);
	free(listener->name);
	free(listener->host);
}

static void free_host(struct config_host *host)
{
	size_t i;

	for (i = 0; host->names && host->names[i]; i++)
		free(host->names[i]);
	free(host->names);
	config_verify_clear(&host->verify);
	sluice_options_free(host->options);
}

static void free_profile(struct config_profile *profile)
{
	size_t i;

	for (i = 0; i < profile->n_hosts; i++)
		free_host(&profile->hosts[i]);
	free(profile->hosts);
	free(profile->hosts_dir);
	free(profile->name);
	config_verify_clear(&profile->verify);
	sluice_options_free(profile->options);
}

static void free_pool(struct config_pool *pool)
{
	free(pool->name);
	free(pool->socket);
	free(pool->users);
	free(pool->groups);
	free(pool->profiles);
}

struct config *config_free(struct config *config)
{
	size_t i;

	if (!config)
		return NULL;
	for (i = 0; i < config->n_listeners; i++)
		free_listener(&config->listeners[i]);
	for (i = 0; i < config->n_profiles; i++)
		free_profile(&config->profiles[i]);
	for (i = 0; i < config->n_pools; i++)
		free_pool(&config->pools[i]);
	free(config->listeners);
	free(config->profiles);
	free(config->pools);
	free(config->admin.socket);
	free(config->metrics.socket);
	free(config->metrics.host);
	for (i = 0; i < config->crls.n_files; i++)
		free(config->crls.files[i]);
	free(config->crls.files);
	free(config->crls.dir);
	for (i = 0; i < config->crls.n_urls; i++)
		free(config->crls.urls[i]);
	free(config->crls.urls);
	free(config->fetch.hosts);
	free(config->user);
	free(config->path);
	free(config);
	return NULL;
}
