/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SNI hosts: their names, and their options over those of their profile. There may be tens of
 * thousands, so nothing here compares each with each.
 */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#include "options/hostname.h"
#include "options/options.h"

/* --- names ------------------------------------------------------------------------------------ */

int host_name_read(struct parse *p, const char *name, const struct node *node, char **ret_host)
{
	char quote[PARSE_QUOTE_LEN], *host, *c;
	const char *fault;
	int r = node_expect_line(p, name, node, HOST_NAME_LONGEST);

	if (r < 0)
		return r;
	host = strdup(node->text);
	if (!host)
		return parse_nomem(p);
	for (c = host; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	fault = host_name_fault(host);
	if (fault) {
		free(host);
		return parse_fail(p, SLUICE_E_OPTION, node->place, "%s: \"%s\" %s", name,
				  parse_quote(quote, node->text), fault);
	}
	*ret_host = host;
	return 0;
}

/* --- hosts ------------------------------------------------------------------------------------ */

static int host_names(struct parse *p, const struct field *field, const struct node *value,
		      void *member)
{
	char **names;
	size_t i;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	if (!value->n_items)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "names: the list is empty; write the names of this host");
	names = calloc(value->n_items + 1, sizeof(*names));
	if (!names)
		return parse_nomem(p);
	*(char ***)member = names;
	for (i = 0; !r && i < value->n_items; i++)
		r = host_name_read(p, field->name, value->items[i], &names[i]);
	return r;
}

/* struct host_section - what a host has besides options. */
struct host_section {
	char **names;
	unsigned int ocsp_fetch;
	struct verify_nodes verify;
};

static const struct field host_rows[] = {
	{ .name = "names",
	  .read = host_names,
	  .offset = offsetof(struct host_section, names),
	  .required = true },
	{ .name = "ocsp_fetch",
	  .read = field_word,
	  .offset = offsetof(struct host_section, ocsp_fetch),
	  .words = fetch_words },
	{ .name = "verify_policy",
	  .read = field_node,
	  .offset = offsetof(struct host_section, verify.policy) },
	{ .name = "verify_socket",
	  .read = field_node,
	  .offset = offsetof(struct host_section, verify.socket) },
};

static const struct fields host_fields = {
	.what = "a host",
	.rows = host_rows,
	.n = ARRAY_LEN(host_rows),
	.has_options = true,
};

static int read_host(struct parse *p, const struct node *node, const struct config_profile *profile,
		     struct config_host *host)
{
	/* A file of its own goes before its profile's fetching. */
	struct host_section section = { .verify.owner = node,
					.ocsp_fetch = profile->ocsp_fetch &&
						      !node_get(node, "ocsp_file") };
	int r;

	host->place = node->place;
	r = fields_read(p, &host_fields, node, &section);
	host->names = section.names;
	if (r < 0)
		return r;
	if (sluice_options_clone(&host->options, profile->options) < 0 ||
	    config_verify_copy(&host->verify, &profile->verify) < 0)
		return parse_nomem(p);
	/* Another certificate needs a response of its own. */
	if (node_get(node, "certfile") || node_get(node, "certs_keys"))
		options_drop_ocsp(host->options);
	r = options_read(p, &host_fields, node, profile->role, host->options);
	host->ocsp_fetch = section.ocsp_fetch;
	if (!r)
		r = fetch_check_ocsp(p, node, host->ocsp_fetch, host->options);
	return r < 0 ? r
		     : verify_read(p, &section.verify, host->options, profile->role, &host->verify);
}

static int check_duplicates(struct parse *p, const struct node *list,
			    const struct config_profile *profile)
{
	const struct node *names;
	struct index index;
	size_t i, j, n = 0;
	int r;

	for (i = 0; i < list->n_items; i++)
		n += node_get(list->items[i], "names")->n_items;
	r = index_init(p, &index, n);
	if (r < 0)
		return r;
	for (i = 0; i < list->n_items; i++) {
		names = node_get(list->items[i], "names");
		for (j = 0; j < names->n_items; j++)
			index_add(&index, profile->hosts[i].names[j], NULL, names->items[j]->place,
				  i);
	}
	r = index_sort(p, &index, "the host");
	index_free(&index);
	return r;
}

int hosts_read(struct parse *p, const struct node *list, struct config_profile *profile)
{
	size_t i;
	int r = node_expect(p, "hosts", list, NODE_LIST);

	if (r < 0)
		return r;
	profile->hosts = calloc(list->n_items + 1, sizeof(*profile->hosts));
	if (!profile->hosts)
		return parse_nomem(p);
	profile->n_hosts = list->n_items;
	for (i = 0; !r && i < list->n_items; i++)
		r = read_host(p, list->items[i], profile, &profile->hosts[i]);
	return r < 0 ? r : check_duplicates(p, list, profile);
}
