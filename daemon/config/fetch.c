/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section `fetch`: whether sluice-fetch runs, and what it may fetch from. The grammar of hosts is the
 * library's (fetch/hosts.h).
 */
#include "config/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fetch/child.h"
#include "fetch/hosts.h"
#include "options/options.h"

#define OFFSET(member) offsetof(struct config, member)
#define DEFAULT_MS 10000
#define LEAST_MS 100
#define MOST_MS 60000 /* as sluice-fetch has it */

/* Entry by entry, so that an error has a place. */
static int check_entry(struct parse *p, const struct node *entry)
{
	struct fetch_hosts hosts;
	char quote[PARSE_QUOTE_LEN];
	const char *wrong, *at;
	int r = node_expect_line(p, "hosts", entry, FETCH_MAX_HOSTS_TEXT);

	if (r < 0)
		return r;
	wrong = strchr(entry->text, ',') ? "is more than one; make it several entries"
					 : fetch_hosts_parse(&hosts, entry->text, &at);
	if (!wrong)
		return 0;
	return parse_fail(p, SLUICE_E_OPTION, entry->place,
			  "hosts: \"%s\" %s; write a name, an address or a prefix, with a port "
			  "that is not 80",
			  parse_quote(quote, entry->text), wrong);
}

static int read_hosts(struct parse *p, const struct field *field, const struct node *value,
		      void *member)
{
	size_t i, len = 0;
	int r = node_expect(p, field->name, value, NODE_LIST);
	char *text;

	if (!r && (!value->n_items || value->n_items > FETCH_MAX_HOSTS))
		r = parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
			       "hosts: takes 1 to %d entries", FETCH_MAX_HOSTS);
	for (i = 0; !r && i < value->n_items; i++) {
		r = check_entry(p, value->items[i]);
		len += r ? 0 : strlen(value->items[i]->text) + 1;
	}
	if (!r && len > FETCH_MAX_HOSTS_TEXT)
		r = parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
			       "hosts: the list has more than %d bytes; make it shorter",
			       FETCH_MAX_HOSTS_TEXT);
	if (r < 0)
		return r;
	text = malloc(len);
	if (!text)
		return parse_nomem(p);
	p->config->fetch.hosts = text;
	for (i = 0; i < value->n_items; i++)
		text += sprintf(text, "%s%s", i ? "," : "", value->items[i]->text);
	return 0;
}

static const struct field rows[] = {
	{ .name = "hosts", .read = read_hosts, .required = true },
	{ .name = "timeout",
	  .read = field_number,
	  .offset = OFFSET(fetch.timeout_ms),
	  .min = LEAST_MS,
	  .max = MOST_MS },
};

static const struct fields fields = { .what = "fetch", .rows = rows, .n = ARRAY_LEN(rows) };

int fetch_read(struct parse *p, const struct node *map)
{
	p->config->fetch.timeout_ms = DEFAULT_MS;
	return fields_read(p, &fields, map, p->config);
}

int fetch_check_url(struct parse *p, const char *key, const struct node *node)
{
	char host[FETCH_MAX_HOST + 1], quote[PARSE_QUOTE_LEN];
	struct fetch_hosts hosts;
	const char *at;
	uint16_t port;
	int r = node_expect_line(p, key, node, FETCH_MAX_URL);

	if (r < 0)
		return r;
	parse_quote(quote, node->text);
	if (strchr(node->text, ' ') || !fetch_url_host(node->text, host, &port))
		return parse_fail(p, SLUICE_E_OPTION, node->place,
				  "%s: \"%s\" is no http URL; write http://HOST/PATH", key, quote);
	if (!p->config->fetch.hosts)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, node->place,
				  "%s: nothing is fetched without the section fetch; add it, with "
				  "\"%.60s\" among its hosts",
				  key, host);
	if (fetch_hosts_parse(&hosts, p->config->fetch.hosts, &at) ||
	    !fetch_hosts_allow(&hosts, host, port))
		return parse_fail(p, SLUICE_E_OPTION, node->place,
				  "%s: \"%s\": the hosts of the section fetch do not have "
				  "\"%.60s:%u\"; add it",
				  key, quote, host, port);
	return 0;
}

const char *const fetch_words[] = { "false", "true", NULL };

int fetch_check_ocsp(struct parse *p, const struct node *owner, bool wanted,
		     const struct sluice_options *options)
{
	const struct node *node = node_get(owner, "ocsp_fetch");
	struct config_place place = node ? node->place : owner->place;

	if (!wanted)
		return 0;
	if (!p->config->fetch.hosts)
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, place,
				  "ocsp_fetch: nothing is fetched without the section fetch; add "
				  "it, with the host of the OCSP responder among its hosts");
	if (option_text(options, SLUICE_OPT_OCSP_FILE))
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, place,
				  "ocsp_fetch: there is ocsp_file too; take one of them out");
	return 0;
}
