/* SPDX-License-Identifier: Apache-2.0 */
/* The section `listeners`: where connections come in, how they are greeted, and who gets them. */
#include "config/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_BACKLOG 4096
#define MAX_BACKLOG 65535
#define DEFAULT_HELLO_MS 5000
#define MAX_ALPN 255 /* RFC 7301, 3.1 */

/* --- routes ------------------------------------------------------------------------------------ */

static int read_sni(struct parse *p, const struct field *field, const struct node *value,
		    void *member)
{
	return host_name_read(p, field->name, value, member);
}

static const struct field route_rows[] = {
	{ .name = "sni", .read = read_sni, .offset = offsetof(struct config_route, sni) },
	{ .name = "alpn",
	  .read = field_line,
	  .offset = offsetof(struct config_route, alpn),
	  .max = MAX_ALPN },
	{ .name = "pool",
	  .read = field_pool,
	  .offset = offsetof(struct config_route, pool),
	  .required = true },
};

static const struct fields route_fields = {
	.what = "a route",
	.rows = route_rows,
	.n = ARRAY_LEN(route_rows),
};

static int check_routes(struct parse *p, const struct node *list,
			const struct config_listener *listener)
{
	const struct config_route *route;
	struct index index;
	size_t i;
	int r = index_init(p, &index, listener->n_routes);

	if (r < 0)
		return r;
	for (i = 0; i < listener->n_routes; i++) {
		route = &listener->routes[i];
		index_add(&index, route->sni ? route->sni : "*", route->alpn, list->items[i]->place,
			  i);
	}
	r = index_sort(p, &index, "the same route for");
	index_free(&index);
	return r;
}

static int read_routes(struct parse *p, const struct field *field, const struct node *value,
		       void *member)
{
	struct config_listener *listener = member;
	struct config_route *route;
	size_t i;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	listener->routes = calloc(value->n_items + 1, sizeof(*listener->routes));
	if (!listener->routes)
		return parse_nomem(p);
	listener->n_routes = value->n_items;
	for (i = 0; !r && i < value->n_items; i++) {
		route = &listener->routes[i];
		r = fields_read(p, &route_fields, value->items[i], route);
		if (!r && !route->sni && !route->alpn)
			r = parse_fail(p, SLUICE_E_OPTION, value->items[i]->place,
				       "a route needs the key \"sni\", \"alpn\" or both; where no "
				       "route fits, the listener's pool is taken");
	}
	return r < 0 ? r : check_routes(p, value, listener);
}

/* --- listeners --------------------------------------------------------------------------------- */

static int read_profile(struct parse *p, const struct field *field, const struct node *value,
			void *member)
{
	const struct config_profile *profile;
	char quote[PARSE_QUOTE_LEN];
	size_t *i = member;
	int r = field_profile(p, field, value, i);

	if (r < 0)
		return r;
	profile = &p->config->profiles[*i];
	if (profile->role == SLUICE_SERVER)
		return 0;
	return parse_fail(p, SLUICE_E_OPTION_ROLE, value->place,
			  "profile: \"%s\" (line %u) is of the role client; a listener needs one "
			  "of the role server",
			  parse_quote(quote, profile->name), profile->place.line);
}

static const char *const reuse_words[] = { "no", "yes", NULL };

static const struct field rows[] = {
	{ .name = "name",
	  .read = field_name,
	  .offset = offsetof(struct config_listener, name),
	  .required = true },
	{ .name = "address", .read = address_read, .required = true },
	{ .name = "profile",
	  .read = read_profile,
	  .offset = offsetof(struct config_listener, profile),
	  .required = true },
	{ .name = "pool",
	  .read = field_pool,
	  .offset = offsetof(struct config_listener, pool),
	  .required = true },
	{ .name = "backlog",
	  .read = field_number,
	  .offset = offsetof(struct config_listener, backlog),
	  .min = 1,
	  .max = MAX_BACKLOG },
	{ .name = "reuse_port",
	  .read = field_word,
	  .offset = offsetof(struct config_listener, reuse_port),
	  .words = reuse_words },
	{ .name = "routes", .read = read_routes },
	{ .name = "proxy_from", .read = prefixes_read },
	{ .name = "plain_pool",
	  .read = field_pool,
	  .offset = offsetof(struct config_listener, plain_pool) },
	{ .name = "hello_timeout",
	  .read = field_number,
	  .offset = offsetof(struct config_listener, hello_timeout_ms),
	  .min = 1,
	  .max = PARSE_MAX_TIME_MS },
};

static const struct fields fields = { .what = "a listener", .rows = rows, .n = ARRAY_LEN(rows) };

/* struct address - the text of a listener's address that is the same for the same. */
struct address {
	char text[64];
};

static void print_address(struct address *out, const char *host, uint16_t port)
{
	bool v6 = host && strchr(host, ':');

	snprintf(out->text, sizeof(out->text), "%s%s%s:%u", v6 ? "[" : "", host ? host : "",
		 v6 ? "]" : "", port);
}

/* Where all addresses are taken, those that mean all of one family are not free. */
static int check_all(struct parse *p, const struct node *list, const struct index *index)
{
	static const char *const any[] = { "0.0.0.0", "::" };
	const struct config_listener *listener;
	const struct index_entry *other;
	struct address address;
	size_t i, j;

	for (i = 0; i < p->config->n_listeners; i++) {
		listener = &p->config->listeners[i];
		for (j = 0; !listener->host && j < ARRAY_LEN(any); j++) {
			print_address(&address, any[j], listener->port);
			other = index_find(index, address.text, NULL);
			if (!other)
				continue;
			return parse_fail(p, SLUICE_E_OPTION_CONFLICT,
					  node_get(list->items[i], "address")->place,
					  "the address \":%u\" is all addresses, and \"%s\" is "
					  "there already, at line %u, column %u; keep one of them",
					  listener->port, address.text, other->place.line,
					  other->place.column);
		}
	}
	return 0;
}

static int check_addresses(struct parse *p, const struct node *list)
{
	const struct config_listener *listener;
	struct address *addresses = calloc(list->n_items + 1, sizeof(*addresses));
	struct index index = { 0 };
	size_t i;
	int r = addresses ? index_init(p, &index, list->n_items) : parse_nomem(p);

	for (i = 0; !r && i < list->n_items; i++) {
		listener = &p->config->listeners[i];
		print_address(&addresses[i], listener->host, listener->port);
		index_add(&index, addresses[i].text, NULL,
			  node_get(list->items[i], "address")->place, i);
	}
	if (!r)
		r = index_sort(p, &index, "the address");
	if (!r)
		r = check_all(p, list, &index);
	index_free(&index);
	free(addresses);
	return r;
}

static int check_names(struct parse *p, const struct node *list)
{
	struct index index;
	size_t i;
	int r = index_init(p, &index, list->n_items);

	if (r < 0)
		return r;
	for (i = 0; i < list->n_items; i++)
		index_add(&index, p->config->listeners[i].name, NULL,
			  node_get(list->items[i], "name")->place, i);
	r = index_sort(p, &index, "the listener");
	index_free(&index);
	return r;
}

int listeners_read(struct parse *p, const struct node *list)
{
	struct config *config = p->config;
	struct config_listener *listener;
	size_t i;
	int r = node_expect(p, "listeners", list, NODE_LIST);

	if (r < 0)
		return r;
	if (!list->n_items)
		return parse_fail(p, SLUICE_E_OPTION, list->place,
				  "listeners: the list is empty; add one");
	config->listeners = calloc(list->n_items, sizeof(*config->listeners));
	if (!config->listeners)
		return parse_nomem(p);
	config->n_listeners = list->n_items;
	for (i = 0; !r && i < list->n_items; i++) {
		listener = &config->listeners[i];
		listener->place = list->items[i]->place;
		listener->backlog = DEFAULT_BACKLOG;
		listener->plain_pool = CONFIG_NO_POOL;
		listener->hello_timeout_ms = DEFAULT_HELLO_MS;
		r = fields_read(p, &fields, list->items[i], listener);
	}
	if (!r)
		r = check_names(p, list);
	return r < 0 ? r : check_addresses(p, list);
}
