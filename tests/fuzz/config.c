/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz target for the configuration of sluiced (daemon/config). The input is a whole file. What is
 * refused must say why on one line, at a place that the file has; what is accepted must keep what
 * config.h promises, and be accepted again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "core/secret.h"

#define REQUIRE(what)            \
	do {                     \
		if (!(what))     \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* YAML has more ends of lines than LF: no line more than bytes, and none longer than the file. */
static void check_error(int r, const struct config_error *err, size_t size)
{
	char place[64] = "f: ";

	REQUIRE(r < 0 && sluice_error_kind(r) != SLUICE_KIND_INTERNAL);
	REQUIRE(r != -SLUICE_E_NOMEM && r != -SLUICE_E_INVALID);
	REQUIRE(err->place.line <= size + 1 && err->place.column <= size + 2);
	if (err->place.line)
		snprintf(place, sizeof(place), "f:%u:%u: ", err->place.line, err->place.column);
	REQUIRE(!strncmp(err->text, place, strlen(place)) && err->text[strlen(place)]);
	for (const char *c = err->text; *c; c++)
		REQUIRE((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_name(const char *name)
{
	REQUIRE(name && name[0] && strlen(name) <= 64);
	for (const char *c = name; *c; c++)
		REQUIRE(*c > 0x20 && *c < 0x7f);
}

static void check_host(const char *host)
{
	size_t len = strlen(host);

	REQUIRE(len && len <= 253 && host[0] != '.' && host[len - 1] != '.');
	REQUIRE(!strstr(host, "..") && !strchr(host + 1, '*'));
	for (const char *c = host; *c; c++)
		REQUIRE(*c > 0x20 && *c < 0x7f && !(*c >= 'A' && *c <= 'Z'));
}

static void check_listener(const struct config *config, const struct config_listener *listener)
{
	check_name(listener->name);
	REQUIRE(listener->port && listener->backlog && listener->backlog <= 65535);
	REQUIRE(listener->profile < config->n_profiles && listener->pool < config->n_pools);
	REQUIRE(config->profiles[listener->profile].role == SLUICE_SERVER);
	for (size_t i = 0; i < listener->n_routes; i++) {
		const struct config_route *route = &listener->routes[i];

		REQUIRE(route->pool < config->n_pools && (route->sni || route->alpn));
		REQUIRE(!route->alpn || (route->alpn[0] && strlen(route->alpn) <= 255));
		if (route->sni)
			check_host(route->sni);
	}
}

static void check_profile(const struct config_profile *profile)
{
	check_name(profile->name);
	REQUIRE(profile->options && profile->place.line);
	REQUIRE(profile->role == SLUICE_SERVER ||
		(profile->role == SLUICE_CLIENT && !profile->n_hosts));
	for (size_t i = 0; i < profile->n_hosts; i++) {
		REQUIRE(profile->hosts[i].options && profile->hosts[i].names[0]);
		for (char **name = profile->hosts[i].names; *name; name++)
			check_host(*name);
	}
}

static void check_accepted(const struct config *config)
{
	REQUIRE(config->n_listeners && config->uid && config->user);
	for (size_t i = 0; i < config->n_listeners; i++)
		check_listener(config, &config->listeners[i]);
	for (size_t i = 0; i < config->n_profiles; i++)
		check_profile(&config->profiles[i]);
	for (size_t i = 0; i < config->n_pools; i++) {
		check_name(config->pools[i].name);
		REQUIRE(config->pools[i].socket[0] == '/' &&
			strlen(config->pools[i].socket) <= 107);
		REQUIRE(strcmp(config->pools[i].socket, config->admin.socket) != 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t secrets = secret_live();
	struct config *config = NULL, *again = NULL;
	struct config_error err;
	int r = config_parse(&config, "f", (const char *)data, size, &err);

	if (r < 0) {
		REQUIRE(!config);
		check_error(r, &err, size);
	} else {
		REQUIRE(!err.text[0]);
		check_accepted(config);
		REQUIRE(!config_parse(&again, "f", (const char *)data, size, NULL));
		REQUIRE(again->n_listeners == config->n_listeners);
	}
	config_free(config);
	config_free(again);
	REQUIRE(secret_live() == secrets);
	return 0;
}
