// SPDX-License-Identifier: Apache-2.0
#include "options/hostname.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define MAX_LABEL 63

/* RFC 1123, 2.1, with the underscores that there are in the wild. */
static bool is_dns_name(const char *name)
{
	size_t len;

	for (;; name += len + 1) {
		len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_");
		if (!len || len > MAX_LABEL || name[0] == '-' || name[len - 1] == '-')
			return false;
		if (!name[len])
			return true;
		if (name[len] != '.')
			return false;
	}
}

const char *host_name_fault(const char *host)
{
	struct in_addr ignored;
	const char *c;

	for (c = host; *c; c++)
		if (!isascii(*c))
			return "is not ASCII; write what DNS has, \"xn--...\"";
	if (inet_pton(AF_INET, host, &ignored) == 1 || strchr(host, ':'))
		return "is an address or has a port, and clients send names (RFC 6066, 3); take "
		       "it out";
	if (host[strlen(host) - 1] == '.')
		return "ends with a dot, and what clients send does not; take the dot away";
	if (!strcmp(host, "*"))
		return "would be every name; what has no host of its own gets the profile's "
		       "options anyway";
	if (!strncmp(host, "*.", 2))
		host += 2;
	if (strchr(host, '*'))
		return "has a \"*\" that is not all of the first label; write \"*.example.org\"";
	return is_dns_name(host) ? NULL : "is not a DNS name; write one like \"www.example.org\"";
}

size_t host_name_fold(char out[HOST_NAME_LONGEST + 1], const char *name)
{
	size_t i, len = strnlen(name, HOST_NAME_LONGEST + 1);

	if (len > HOST_NAME_LONGEST)
		len = 0;
	for (i = 0; i < len; i++)
		out[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
	out[len] = '\0';
	return len;
}

const char *host_name_wildcard(char *name)
{
	char *dot = strchr(name, '.');

	if (!dot || dot == name)
		return NULL;
	dot[-1] = '*';
	return dot - 1;
}
