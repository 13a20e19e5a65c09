/* SPDX-License-Identifier: Apache-2.0 */
/* The section `pools`: the workers that take connections, and who may be one. */
#include "config/parse.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_WAIT_MS 5000

int field_users(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	struct config_pool *pool = member;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	pool->users = calloc(value->n_items + 1, sizeof(*pool->users));
	if (!pool->users)
		return parse_nomem(p);
	for (; !r && pool->n_users < value->n_items; pool->n_users++)
		r = user_find(p, field->name, value->items[pool->n_users],
			      &pool->users[pool->n_users]);
	return r;
}

int field_groups(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	struct config_pool *pool = member;
	int r = node_expect(p, field->name, value, NODE_LIST);

	if (r < 0)
		return r;
	pool->groups = calloc(value->n_items + 1, sizeof(*pool->groups));
	if (!pool->groups)
		return parse_nomem(p);
	for (; !r && pool->n_groups < value->n_items; pool->n_groups++)
		r = group_find(p, field->name, value->items[pool->n_groups],
			       &pool->groups[pool->n_groups]);
	return r;
}

static const struct field rows[] = {
	{ .name = "socket", .read = field_socket, .offset = offsetof(struct config_pool, socket) },
	{ .name = "users", .read = field_users },
	{ .name = "groups", .read = field_groups },
	{ .name = "wait",
	  .read = field_number,
	  .offset = offsetof(struct config_pool, wait_ms),
	  .max = PARSE_MAX_TIME_MS },
};

static const struct fields fields = { .what = "a pool", .rows = rows, .n = ARRAY_LEN(rows) };

int pools_read(struct parse *p, const struct node *map)
{
	struct config *config = p->config;
	struct config_pool *pool;
	const struct node *key;
	size_t i, n;
	int r = node_expect(p, "pools", map, NODE_MAP);

	if (r < 0)
		return r;
	n = map->n_items / 2;
	config->pools = calloc(n + 1, sizeof(*config->pools));
	if (!config->pools)
		return parse_nomem(p);
	r = index_init(p, &p->pools, n);
	for (i = 0; !r && i < n; i++) {
		key = map->items[2 * i];
		pool = &config->pools[config->n_pools++];
		pool->place = key->place;
		pool->wait_ms = DEFAULT_WAIT_MS;
		r = fields_check_name(p, "pools", key);
		if (r < 0)
			return r;
		pool->name = strdup(key->text);
		if (!pool->name)
			return parse_nomem(p);
		index_add(&p->pools, pool->name, NULL, key->place, i);
		r = fields_read(p, &fields, map->items[2 * i + 1], pool);
		if (!r && !pool->socket)
			r = socket_default(p, pool->name, pool->place, &pool->socket);
	}
	return r < 0 ? r : index_sort(p, &p->pools, "the pool");
}

/* Where the socket of the pool or service stands; one that has the default, where its name does. */
static struct config_place socket_place(const struct config_pool *pool, const struct node *map)
{
	const struct node *socket = node_get(map, "socket");

	return socket ? socket->place : pool->place;
}

int sockets_check(struct parse *p, const struct node *pools, const struct node *services,
		  const struct node *admin, const struct node *metrics)
{
	const struct node *socket = admin ? node_get(admin, "socket") : NULL;
	const struct config *config = p->config;
	size_t i, n_pools = pools ? pools->n_items / 2 : 0;
	const struct node *map;
	struct index index;
	int r = index_init(p, &index, config->n_pools + 2);

	if (r < 0)
		return r;
	index_add(&index, config->admin.socket, NULL,
		  socket ? socket->place : (struct config_place){ 0 }, 0);
	if (config->metrics.socket)
		index_add(&index, config->metrics.socket, NULL, node_get(metrics, "socket")->place,
			  0);
	for (i = 0; i < config->n_pools; i++) {
		map = i < n_pools ? pools->items[2 * i + 1]
				  : services->items[2 * (i - n_pools) + 1];
		index_add(&index, config->pools[i].socket, NULL,
			  socket_place(&config->pools[i], map), i);
	}
	r = index_sort(p, &index, "the socket");
	index_free(&index);
	return r;
}
