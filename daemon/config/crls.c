/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section `crls`: where revocation lists come from. They are looked up by their issuer, so one set
 * serves all profiles; which of these ask for it is their option crl_check.
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include "options/options.h"

#define OFFSET(member) offsetof(struct config, member)
#define MAX_PATH_LEN 3840 /* bytes; with a file in it no longer than PATH_MAX */
#define MAX_FILES 1024
#define MAX_URLS 256

static int read_files(struct parse *p, const struct field *field, const struct node *value,
		      void *member)
{
	static const struct field file = { .name = "files", .max = MAX_PATH_LEN };
	struct config *config = p->config;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	if (value->n_items > MAX_FILES)
		return parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
				  "files: takes at most %d; put them into a directory: dir",
				  MAX_FILES);
	config->crls.files = calloc(value->n_items + 1, sizeof(*config->crls.files));
	if (!config->crls.files)
		return parse_nomem(p);
	for (; !r && config->crls.n_files < value->n_items; config->crls.n_files++)
		r = field_directory(p, &file, value->items[config->crls.n_files],
				    &config->crls.files[config->crls.n_files]);
	return r;
}

static int read_urls(struct parse *p, const struct field *field, const struct node *value,
		     void *member)
{
	struct config *config = p->config;
	char *url;
	size_t i;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (!r && value->n_items > MAX_URLS)
		r = parse_fail(p, SLUICE_E_OPTION_RANGE, value->place, "urls: takes at most %d",
			       MAX_URLS);
	if (r < 0)
		return r;
	config->crls.urls = calloc(value->n_items + 1, sizeof(*config->crls.urls));
	if (!config->crls.urls)
		return parse_nomem(p);
	for (i = 0; i < value->n_items; i++) {
		r = fetch_check_url(p, field->name, value->items[i]);
		if (r < 0)
			return r;
		url = strdup(value->items[i]->text);
		if (!url)
			return parse_nomem(p);
		config->crls.urls[config->crls.n_urls++] = url;
	}
	return 0;
}

static const char *const recheck_words[] = {
	[CONFIG_RECHECK_NEVER] = "never",
	[CONFIG_RECHECK_ON_CHANGE] = "on_change",
	NULL,
};

static const struct field rows[] = {
	{ "files", read_files },
	{ "dir", field_directory, OFFSET(crls.dir), .max = MAX_PATH_LEN },
	{ "urls", read_urls },
	{ "recheck", field_word, OFFSET(crls.recheck), .words = recheck_words },
};

static const struct fields fields = { .what = "crls", .rows = rows, .n = ARRAY_LEN(rows) };

int crls_read(struct parse *p, const struct node *map)
{
	p->config->crls.used = true;
	return fields_read(p, &fields, map, p->config);
}

static bool checks(const struct sluice_options *options, enum sluice_role role)
{
	return option_number(options, SLUICE_OPT_CRL_CHECK, role) != 0;
}

/* Without any CRL most handshakes would fail: nobody wants that, and some forget the section. */
int crls_check(struct parse *p)
{
	const struct config *config = p->config;
	const struct config_profile *profile;
	size_t i, j;

	for (i = 0; !config->crls.used && i < config->n_profiles; i++) {
		profile = &config->profiles[i];
		for (j = 0; j <= profile->n_hosts; j++)
			if (checks(j ? profile->hosts[j - 1].options : profile->options,
				   profile->role))
				return parse_fail(
					p, SLUICE_E_OPTION_CONFLICT,
					j ? profile->hosts[j - 1].place : profile->place,
					"crl_check: there are no revocation lists; add the section "
					"crls with files, dir or urls");
	}
	return 0;
}
