// SPDX-License-Identifier: Apache-2.0
/* Which sessions a request means. From outside: everything is checked before anything is matched. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "broker/admin.h"

static const char *const states[] = {
	[SESSION_HANDSHAKE] = "handshake",
	[SESSION_QUEUED] = "queued",
	[SESSION_OFFERED] = "offered",
	[SESSION_LIVE] = "live",
};

const char *admin_state_name(enum session_state state)
{
	return states[state];
}

static const char *take_state(struct filter *filter, const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i], text) == 0) {
			filter->state = (int)i;
			return NULL;
		}
	}
	return "state takes handshake, queued, offered or live";
}

static const char *take_name(char name[FILTER_TEXT], const char *text)
{
	if (!*text || strlen(text) >= FILTER_TEXT)
		return "listener, pool, sni and identity take a name of 1 to 255 bytes";
	strcpy(name, text);
	return NULL;
}

static const char *take_digest(struct filter *filter, const char *text)
{
	size_t i;

	for (i = 0; i < 64 && strchr("0123456789abcdefABCDEF", text[i]) && text[i]; i++)
		filter->digest[i] = (char)tolower((unsigned char)text[i]);
	return i == 64 && !text[i] ? NULL : "sha256 takes 64 hex digits";
}

static bool number(const char *text, uint64_t max, uint64_t *ret_number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	return !*end && !errno && *ret_number <= max;
}

static const char *take_worker(struct filter *filter, const char *text)
{
	if (number(text, UINT64_MAX, &filter->worker) && filter->worker)
		return NULL;
	return "worker takes the number of a worker; `sluicectl workers` shows them";
}

static bool take_ip(struct filter *filter, const char *text, unsigned int *ret_offset)
{
	struct in6_addr *peer = &filter->peer;

	memset(peer, 0, sizeof(*peer));
	*ret_offset = 0;
	if (inet_pton(AF_INET6, text, peer) == 1)
		return true;
	peer->s6_addr[10] = peer->s6_addr[11] = 0xff;
	*ret_offset = 96;
	return inet_pton(AF_INET, text, peer->s6_addr + 12) == 1;
}

/* ADDRESS, ADDRESS/BITS, ADDRESS:PORT; with a port an IPv6 address is in brackets. */
static const char *take_peer(struct filter *filter, const char *text)
{
	static const char what[] =
		"peer takes 192.0.2.1, 192.0.2.0/24, 192.0.2.1:443, 2001:db8::1, "
		"2001:db8::/32 or [2001:db8::1]:443";
	char buf[80], *ip = buf, *end, *port = NULL, *bits = NULL;
	unsigned int offset;
	uint64_t n;

	if (strlen(text) >= sizeof(buf))
		return what;
	strcpy(buf, text);
	if (*ip == '[') {
		end = strchr(++ip, ']');
		if (!end || (end[1] && end[1] != ':'))
			return what;
		*end = '\0';
		port = end[1] ? end + 2 : NULL;
	} else if ((bits = strchr(ip, '/'))) {
		*bits++ = '\0';
	} else if ((end = strchr(ip, ':')) && !strchr(end + 1, ':')) {
		*end = '\0';
		port = end + 1;
	}
	if (!take_ip(filter, ip, &offset))
		return what;
	n = 128 - offset;
	if (bits && (!number(bits, n, &n) || !(n + offset)))
		return what;
	filter->peer_bits = (unsigned int)n + offset;
	if (port && (!number(port, UINT16_MAX, &n) || !n))
		return what;
	filter->peer_port = port ? (uint16_t)n : 0;
	return NULL;
}

static const char *take(struct filter *filter, const char *key, const char *text)
{
	if (strcmp(key, "state") == 0)
		return take_state(filter, text);
	if (strcmp(key, "listener") == 0)
		return take_name(filter->listener, text);
	if (strcmp(key, "pool") == 0)
		return take_name(filter->pool, text);
	if (strcmp(key, "sni") == 0)
		return take_name(filter->sni, text);
	if (strcmp(key, "identity") == 0)
		return take_name(filter->identity, text);
	if (strcmp(key, "sha256") == 0)
		return take_digest(filter, text);
	if (strcmp(key, "worker") == 0)
		return take_worker(filter, text);
	if (strcmp(key, "peer") == 0)
		return take_peer(filter, text);
	return "a filter has the keys state, listener, pool, worker, sni, peer, identity and sha256";
}

const char *filter_parse(struct filter *ret_filter, struct json_object *object)
{
	struct json_object_iter it;
	const char *wrong;

	*ret_filter = (struct filter){ .state = FILTER_ANY_STATE, .any = true };
	if (!object)
		return NULL;
	if (!json_object_is_type(object, json_type_object))
		return "filter takes an object, as in {\"state\":\"live\"}";
	json_object_object_foreachC(object, it)
	{
		if (!json_object_is_type(it.val, json_type_string) &&
		    !json_object_is_type(it.val, json_type_int))
			return "the values of a filter are texts";
		wrong = take(ret_filter, it.key, json_object_get_string(it.val));
		if (wrong)
			return wrong;
		ret_filter->any = false;
	}
	return NULL;
}

bool filter_is_early(const struct filter *filter)
{
	return filter->state == FILTER_ANY_STATE && !*filter->pool && !*filter->sni &&
	       !*filter->identity && !*filter->digest && !filter->worker;
}

/* --- matching ------------------------------------------------------------------------------------- */

static bool sni_fits(const char *wanted, const char *sni)
{
	size_t tail, len;

	if (!sni)
		return strcmp(wanted, "-") == 0;
	if (strncmp(wanted, "*.", 2) != 0)
		return strcasecmp(wanted, sni) == 0;
	tail = strlen(wanted) - 1;
	len = strlen(sni);
	return len > tail && strcasecmp(sni + len - tail, wanted + 1) == 0;
}

static bool identity_fits(const char *wanted, const char *identity)
{
	return strcmp(wanted, identity ? identity : "-") == 0;
}

static bool digest_fits(const char *wanted, const struct session *session)
{
	char hex[65];
	size_t i;

	for (i = 0; i < sizeof(session->peer_sha256); i++)
		snprintf(hex + 2 * i, 3, "%02x", session->peer_sha256[i]);
	return session->has_peer && strcmp(wanted, hex) == 0;
}

static bool peer_fits(const struct filter *filter, const struct sockaddr_in6 *peer)
{
	const uint8_t *a = filter->peer.s6_addr, *b = peer->sin6_addr.s6_addr;
	unsigned int bytes = filter->peer_bits / 8, rest = filter->peer_bits % 8;

	if (memcmp(a, b, bytes) != 0)
		return false;
	if (rest && (a[bytes] ^ b[bytes]) >> (8 - rest))
		return false;
	return !filter->peer_port || filter->peer_port == ntohs(peer->sin6_port);
}

bool filter_fits(const struct filter *filter, const struct session *session, const char *listener,
		 const char *pool, uint64_t worker)
{
	if (filter->any)
		return true;
	if (filter->state != FILTER_ANY_STATE && filter->state != (int)session->state)
		return false;
	if (*filter->listener && (!listener || strcmp(filter->listener, listener) != 0))
		return false;
	if (*filter->pool && (!pool || strcmp(filter->pool, pool) != 0))
		return false;
	if (filter->worker && filter->worker != worker)
		return false;
	if (*filter->sni && !sni_fits(filter->sni, session->sni))
		return false;
	if (*filter->identity && !identity_fits(filter->identity, session->identity))
		return false;
	if (*filter->digest && !digest_fits(filter->digest, session))
		return false;
	return !filter->peer_bits || peer_fits(filter, session_source(session));
}
