/* SPDX-License-Identifier: Apache-2.0 */
/* The section `services`: programs that bring connections to have TLS made on them. */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_HANDSHAKES 256
#define MAX_HANDSHAKES 1000000

static int read_profiles(struct parse *p, const struct field *field, const struct node *value,
			 void *member)
{
	static const struct field profile = { .name = "profile" }; /* one of them, in error texts */
	struct config_pool *service = member;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	if (!value->n_items)
		return parse_fail(p, SLUICE_E_OPTION, value->place,
				  "profiles: the list is empty; write what may be asked for");
	service->profiles = calloc(value->n_items, sizeof(*service->profiles));
	if (!service->profiles)
		return parse_nomem(p);
	for (; !r && service->n_profiles < value->n_items; service->n_profiles++)
		r = field_profile(p, &profile, value->items[service->n_profiles],
				  &service->profiles[service->n_profiles]);
	return r;
}

static const struct field rows[] = {
	{ .name = "socket",
	  .read = field_socket,
	  .offset = offsetof(struct config_pool, socket),
	  .required = true },
	{ .name = "profiles", .read = read_profiles, .required = true },
	{ .name = "users", .read = field_users },
	{ .name = "groups", .read = field_groups },
	{ .name = "handshakes",
	  .read = field_number,
	  .offset = offsetof(struct config_pool, handshakes),
	  .min = 1,
	  .max = MAX_HANDSHAKES },
};

static const struct fields fields = { .what = "a service", .rows = rows, .n = ARRAY_LEN(rows) };

static int read_service(struct parse *p, const struct node *key, const struct node *value,
			struct config_pool *service)
{
	const struct index_entry *pool;
	char quote[PARSE_QUOTE_LEN];
	int r = fields_check_name(p, "services", key);

	if (r < 0)
		return r;
	pool = index_find(&p->pools, key->text, NULL);
	if (pool) /* one name in logs and counts */
		return parse_fail(p, SLUICE_E_OPTION_CONFLICT, key->place,
				  "the name \"%s\" is that of a pool already, at line %u, column "
				  "%u; choose another",
				  parse_quote(quote, key->text), pool->place.line,
				  pool->place.column);
	service->place = key->place;
	service->is_service = true;
	service->handshakes = DEFAULT_HANDSHAKES;
	service->name = strdup(key->text);
	return service->name ? fields_read(p, &fields, value, service) : parse_nomem(p);
}

/* A key that is twice in its mapping has been refused before. */
int services_read(struct parse *p, const struct node *map)
{
	struct config *config = p->config;
	struct config_pool *pools;
	size_t i, n;
	int r = node_expect(p, "services", map, NODE_MAP);

	if (r < 0)
		return r;
	n = map->n_items / 2;
	pools = realloc(config->pools, (config->n_pools + n + 1) * sizeof(*pools));
	if (!pools)
		return parse_nomem(p);
	config->pools = pools;
	memset(pools + config->n_pools, 0, (n + 1) * sizeof(*pools));
	for (i = 0; !r && i < n; i++)
		r = read_service(p, map->items[2 * i], map->items[2 * i + 1],
				 &config->pools[config->n_pools++]);
	return r;
}
