/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section `metrics`: where sluice-metrics answers. Whoever can connect there may read the counts, so
 * an address is one of this machine alone.
 */
#include "config/parse.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define OFFSET(member) offsetof(struct config, member)

static bool is_loopback(const char *host)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (!host)
		return false; /* all addresses */
	if (inet_pton(AF_INET, host, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
	return inet_pton(AF_INET6, host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static int read_address(struct parse *p, const struct field *field, const struct node *value,
			void *member)
{
	struct config_listener address = { { 0 } };
	char quote[PARSE_QUOTE_LEN];
	int r = address_read(p, field, value, &address);

	if (r < 0)
		return r;
	p->config->metrics.host = address.host;
	p->config->metrics.port = address.port;
	if (is_loopback(address.host))
		return 0;
	return parse_fail(
		p, SLUICE_E_OPTION, value->place,
		"metrics: address: \"%s\" is not of the loopback, and everybody who reaches "
		"it could read the counts; write \"127.0.0.1:9180\" or \"[::1]:9180\"",
		parse_quote(quote, value->text));
}

static const struct field rows[] = {
	{ "socket", field_socket, OFFSET(metrics.socket) },
	{ "address", read_address },
};

static const struct fields fields = { .what = "metrics", .rows = rows, .n = ARRAY_LEN(rows) };

int metrics_read(struct parse *p, const struct node *map)
{
	return fields_read(p, &fields, map, p->config);
}
