// SPDX-License-Identifier: Apache-2.0
/*
 * Which backends a connection goes to, of several groups: by what sluiced says of it. The first route that fits is
 * taken; what fits none goes to the backends that were told before all routes.
 */
#include <stdlib.h>
#include <string.h>

#include "handover/wire.h"
#include "handover/messages.h"
#include "options/hostname.h"
#include "relay/relay.h"

#define MAX_VALUE 255 /* bytes of a listener's name, or of a protocol (RFC 7301, 3.1) */

/* --- what is told ----------------------------------------------------------------------------- */

static const char *set_sni(struct backend_route *route, char *value)
{
	char *c;

	for (c = value; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	route->sni = value;
	return strlen(value) > HOST_NAME_LONGEST ? "its name is too long" : host_name_fault(value);
}

static const char *set_key(struct backend_route *route, char *word)
{
	static const char form[] =
		"it is not listener=NAME, sni=NAME, alpn=NAME, or several of them";
	char *value = strchr(word, '=');
	const char **into;

	if (!value || !value[1] || strlen(value + 1) > MAX_VALUE)
		return form;
	*value++ = '\0';
	if (strcmp(word, "sni") == 0)
		return route->sni ? form : set_sni(route, value);
	if (strcmp(word, "listener") != 0 && strcmp(word, "alpn") != 0)
		return form;
	into = *word == 'l' ? &route->listener : &route->alpn;
	if (*into)
		return form;
	*into = value;
	return NULL;
}

const char *route_add(struct backends *backends, const char *text)
{
	struct backend_route *route = &backends->routes[backends->n_routes];
	const char *wrong = NULL;
	char *rest, *word;

	if (backends->n_routes == MAX_ROUTES)
		return "there are more than 64 routes";
	rest = route->words = strdup(text);
	if (!rest)
		return "no memory";
	route->text = text;
	backends->n_routes++;
	while (!wrong && (word = strsep(&rest, ",")))
		wrong = set_key(route, word);
	return wrong;
}

const char *routes_check(const struct backends *backends)
{
	bool has[MAX_ROUTES + 1] = { false };
	size_t i;

	for (i = 0; i < backends->n_texts; i++)
		has[backends->texts[i].group] = true;
	for (i = 0; i < backends->n_routes; i++)
		if (!has[i + 1])
			return backends->routes[i].text;
	return NULL;
}

/* --- what comes ------------------------------------------------------------------------------- */

/* struct facts - of a connection; "": it has none. */
struct facts {
	struct sluice_conn_info info;
	char listener[MAX_VALUE + 1];
};

static void read_listener(struct facts *facts, const uint8_t *message, size_t len)
{
	struct wire_reader reader;
	struct wire_head head;
	struct attr attr;

	if (!wire_open(&reader, message, len, &head))
		return;
	while (wire_next(&reader, &attr) == 1)
		if (attr.type == ATTR_LISTENER && attr.len <= MAX_VALUE)
			memcpy(facts->listener, attr.bytes, attr.len);
}

/* A wildcard stands for one label, as in sluiced's own routes. */
static bool fits_name(const char *pattern, const char *name)
{
	char folded[HOST_NAME_LONGEST + 1];
	const char *wildcard;

	if (!host_name_fold(folded, name))
		return false;
	if (strcmp(pattern, folded) == 0)
		return true;
	wildcard = host_name_wildcard(folded);
	return wildcard && strcmp(pattern, wildcard) == 0;
}

static bool fits(const struct backend_route *route, const struct facts *facts)
{
	return (!route->listener || strcmp(route->listener, facts->listener) == 0) &&
	       (!route->alpn || strcmp(route->alpn, facts->info.alpn) == 0) &&
	       (!route->sni || fits_name(route->sni, facts->info.sni));
}

size_t route_choose(const struct backends *backends, const struct sluice_conn *conn,
		    const uint8_t *message, size_t len)
{
	struct facts facts;
	size_t i;

	if (!backends->n_routes)
		return 0;
	memset(&facts, 0, sizeof(facts));
	if (sluice_conn_info(conn, &facts.info, sizeof(facts.info)) < 0)
		return 0;
	read_listener(&facts, message, len);
	for (i = 0; i < backends->n_routes; i++)
		if (fits(&backends->routes[i], &facts))
			return i + 1;
	return 0;
}
