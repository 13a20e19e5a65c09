// SPDX-License-Identifier: Apache-2.0
/* The addresses of backends: as they are told, and what names stand for. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "relay/backend.h"

#define UNIX_PREFIX "unix:"
#define FORM "it is not HOST:PORT, [ADDRESS]:PORT or unix:PATH"
#define MAX_TEXT 253 /* a name and a port */
#define ADDRESS_LEN 64

const char *backend_put(struct backends *backends, uint32_t of, const char *name, const void *addr,
			socklen_t len)
{
	struct backend *list;

	if (backends->n == MAX_BACKENDS)
		return "there are more than 64 addresses";
	list = reallocarray(backends->list, backends->n + 1, sizeof(*list));
	if (!list)
		return "no memory";
	backends->list = list;
	list += backends->n++;
	memset(list, 0, sizeof(*list));
	snprintf(list->name, sizeof(list->name), "%s", name);
	memcpy(&list->addr, addr, len);
	list->addr_len = len;
	list->of = of;
	list->is_backup = backends->texts[of].is_backup;
	list->group = backends->texts[of].group;
	list->check.watch.fd = -1;
	return NULL;
}

/* Of the text that was told last. */
static const char *add(struct backends *backends, const char *name, const void *addr, socklen_t len)
{
	return backend_put(backends, (uint32_t)backends->n_texts - 1, name, addr, len);
}

static const char *add_unix(struct backends *backends, const char *text)
{
	const char *path = text + strlen(UNIX_PREFIX);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (*path != '/' || strlen(path) >= sizeof(addr.sun_path))
		return "behind unix: is an absolute path of at most 107 bytes";
	memcpy(addr.sun_path, path, strlen(path) + 1);
	return add(backends, text, &addr, sizeof(addr));
}

static const char *add_address(struct backends *backends, const char *text,
			       const struct addrinfo *info)
{
	char name[BACKEND_NAME], host[ADDRESS_LEN];

	if (getnameinfo(info->ai_addr, info->ai_addrlen, host, sizeof(host), NULL, 0,
			NI_NUMERICHOST))
		return "it has an address that cannot be read";
	snprintf(name, sizeof(name), strstr(text, host) ? "%s" : "%s (%s)", text, host);
	return add(backends, name, info->ai_addr, info->ai_addrlen);
}

static const char *look_up(struct backends *backends, const char *text, const char *host,
			   const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
	struct addrinfo *all, *info;
	const char *wrong = NULL;
	int r = getaddrinfo(host, port, &hints, &all);

	if (r)
		return gai_strerror(r);
	for (info = all; info && !wrong; info = info->ai_next)
		wrong = add_address(backends, text, info);
	freeaddrinfo(all);
	return wrong;
}

static bool is_port(const char *text)
{
	size_t len = strspn(text, "0123456789");
	long port = len && len <= 5 && !text[len] ? strtol(text, NULL, 10) : 0;

	return port > 0 && port <= UINT16_MAX;
}

/* "[ADDRESS]:PORT" becomes "[ADDRESS" and then, moved, "ADDRESS". */
const char *address_split(const char *text, char *host, size_t host_size, char **ret_port)
{
	char *colon;

	if (strlen(text) > MAX_TEXT || strlen(text) >= host_size)
		return "it is too long";
	strcpy(host, text);
	colon = strrchr(host, ':');
	if (!colon || colon == host || !is_port(colon + 1))
		return FORM;
	*colon = '\0';
	*ret_port = colon + 1;
	if (*host == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		memmove(host, host + 1, strlen(host));
	} else if (strpbrk(host, "[]:")) {
		return FORM;
	}
	return NULL;
}

bool backend_is_local(const char *text)
{
	return strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0;
}

bool backend_is_name(const char *text)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST };
	char host[MAX_TEXT + 1], *port;
	struct addrinfo *info;

	if (backend_is_local(text) || address_split(text, host, sizeof(host), &port))
		return false;
	if (getaddrinfo(host, NULL, &hints, &info))
		return true;
	freeaddrinfo(info);
	return false;
}

const char *backend_add(struct backends *backends, const char *text, bool is_backup)
{
	char host[MAX_TEXT + 1], *port;
	const char *wrong;

	if (backends->n_texts == MAX_BACKENDS)
		return "there are more than 64";
	backends->texts[backends->n_texts++] = (struct backend_text){
		.text = text, .is_backup = is_backup, .group = (uint8_t)backends->n_routes
	};
	if (backend_is_local(text))
		return add_unix(backends, text);
	wrong = address_split(text, host, sizeof(host), &port);
	return wrong ? wrong : look_up(backends, text, host, port);
}
