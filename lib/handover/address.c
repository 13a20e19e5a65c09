// SPDX-License-Identifier: Apache-2.0
#include "handover/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (INET6_ADDRSTRLEN + sizeof("[]:65535"))

void wire_put_address(struct wire *wire, uint16_t type, const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	char host[INET6_ADDRSTRLEN], text[MAX_TEXT];

	if (addr->sa_family == AF_INET && inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)))
		snprintf(text, sizeof(text), "%s:%u", host, ntohs(in->sin_port));
	else if (addr->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) &&
		 inet_ntop(AF_INET, in6->sin6_addr.s6_addr + 12, host, sizeof(host)))
		snprintf(text, sizeof(text), "%s:%u", host, ntohs(in6->sin6_port));
	else if (addr->sa_family == AF_INET6 &&
		 inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host)))
		snprintf(text, sizeof(text), "[%s]:%u", host, ntohs(in6->sin6_port));
	else
		return;
	wire_put_text(wire, type, text);
}

static bool read_port(const char *text, in_port_t *ret_port)
{
	size_t len = strspn(text, "0123456789");
	long port = len && len <= 5 && !text[len] ? strtol(text, NULL, 10) : -1;

	*ret_port = htons((uint16_t)port);
	return port >= 0 && port <= UINT16_MAX;
}

bool attr_address(struct sockaddr_storage *ret_addr, const struct attr *attr)
{
	struct sockaddr_storage addr = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;
	char text[MAX_TEXT], *colon;
	size_t len;

	if (!attr_text(attr, text, sizeof(text)) || !(colon = strrchr(text, ':')))
		return false;
	*colon = '\0';
	len = strlen(text);
	if (text[0] == '[' && len > 2 && text[len - 1] == ']') {
		text[len - 1] = '\0';
		addr.ss_family = AF_INET6;
		if (inet_pton(AF_INET6, text + 1, &in6->sin6_addr) != 1 ||
		    !read_port(colon + 1, &in6->sin6_port))
			return false;
	} else {
		addr.ss_family = AF_INET;
		if (inet_pton(AF_INET, text, &in->sin_addr) != 1 ||
		    !read_port(colon + 1, &in->sin_port))
			return false;
	}
	*ret_addr = addr;
	return true;
}
