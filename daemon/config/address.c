/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses to listen on: numbers only, as a name may be another address tomorrow. */
#include "config/parse.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ADDRESS 64 /* "[", INET6_ADDRSTRLEN, "]:65535" */
#define MAX_PORT 65535

static int fail(struct parse *p, const struct node *node)
{
	char quote[PARSE_QUOTE_LEN];

	return parse_fail(p, SLUICE_E_OPTION, node->place,
			  "address: takes \"192.0.2.1:443\", \"[2001:db8::1]:443\" or \":443\" for "
			  "all addresses, not \"%s\"; write one of these, in quotes",
			  parse_quote(quote, node->text));
}

static bool parse_port(const char *text, uint16_t *ret_port)
{
	size_t len = strspn(text, "0123456789");
	long port = len && len <= 5 && !text[len] ? strtol(text, NULL, 10) : 0;

	*ret_port = (uint16_t)port;
	return port > 0 && port <= MAX_PORT;
}

/* Writes the one form of an address that means the same. */
static bool parse_host(const char *text, size_t len, char out[INET6_ADDRSTRLEN])
{
	unsigned char address[sizeof(struct in6_addr)];
	char copy[INET6_ADDRSTRLEN];
	bool v6 = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (v6) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(v6 ? AF_INET6 : AF_INET, copy, address) == 1 &&
	       inet_ntop(v6 ? AF_INET6 : AF_INET, address, out, INET6_ADDRSTRLEN);
}

int address_read(struct parse *p, const struct field *field, const struct node *value, void *member)
{
	struct config_listener *listener = member;
	char host[INET6_ADDRSTRLEN];
	const char *colon;
	uint16_t port;
	int r = node_expect_line(p, field->name, value, MAX_ADDRESS);

	if (r < 0)
		return r;
	colon = strrchr(value->text, ':');
	if (!colon)
		return fail(p, value);
	if (colon > value->text && !parse_host(value->text, (size_t)(colon - value->text), host))
		return fail(p, value);
	if (!parse_port(colon + 1, &port))
		return parse_fail(p, SLUICE_E_OPTION_RANGE, value->place,
				  "address: takes a port from 1 to %d behind the last colon",
				  MAX_PORT);
	listener->port = port;
	if (colon == value->text)
		return 0;
	listener->host = strdup(host);
	return listener->host ? 0 : parse_nomem(p);
}
