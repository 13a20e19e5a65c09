// SPDX-License-Identifier: Apache-2.0
/*
 * The sections named here are those of proxy-protocol.txt. A byte is looked at as it comes, so that what is
 * no header is refused at its first wrong byte, and not when the peer has sent a whole line.
 */
#include "common/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#define SIGNATURE_LEN 12
#define FIXED_LEN 16 /* signature, version and command, family, length */
#define IPV4_LEN 12
#define IPV6_LEN 36
#define UNIX_LEN 216
#define TLV_HEAD_LEN 3
#define MAX_FIELDS 6

static const uint8_t signature[SIGNATURE_LEN] = { '\r', '\n', '\r', '\n', 0,   '\r',
						  '\n', 'Q',  'U',  'I',  'T', '\n' };
static const char prefix[] = "PROXY ";

enum command {
	COMMAND_LOCAL,
	COMMAND_PROXY,
	COMMANDS,
};

enum family {
	FAMILY_NONE,
	FAMILY_IPV4,
	FAMILY_IPV6,
	FAMILY_UNIX,
	FAMILIES,
};

enum protocol {
	PROTOCOL_NONE,
	PROTOCOL_STREAM,
	PROTOCOL_DATAGRAM,
	PROTOCOLS,
};

static void refuse(struct proxy *proxy, const char *error)
{
	proxy->status = PROXY_BAD;
	proxy->error = error;
}

static void map_ipv4(struct in6_addr *out, const void *in)
{
	memset(out, 0, sizeof(*out));
	out->s6_addr[10] = out->s6_addr[11] = 0xff;
	memcpy(out->s6_addr + 12, in, 4);
}

/* --- version 1 (2.1) -------------------------------------------------------------------------------- */

/* A number of 0 to 65535 without leading zeros. */
static bool read_port(const char *text, in_port_t *ret_port)
{
	size_t len = strspn(text, "0123456789"), i;
	unsigned int port = 0;

	if (!len || len > 5 || text[len] || (text[0] == '0' && len > 1))
		return false;
	for (i = 0; i < len; i++)
		port = 10 * port + (unsigned int)(text[i] - '0');
	*ret_port = htons((uint16_t)port);
	return port <= UINT16_MAX;
}

static bool read_ip(const char *text, bool v6, struct in6_addr *out)
{
	struct in_addr in;

	if (v6)
		return strspn(text, "0123456789abcdefABCDEF:") == strlen(text) &&
		       inet_pton(AF_INET6, text, out) == 1;
	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	map_ipv4(out, &in);
	return true;
}

/* Cuts a line at its blanks: there is one between two fields. Returns how many there are. */
static size_t split(char *line, char *fields[MAX_FIELDS])
{
	size_t n = 0;
	char *c;

	fields[n++] = line;
	for (c = line; *c; c++) {
		if (*c != ' ')
			continue;
		*c = '\0';
		if (n == MAX_FIELDS)
			return n + 1;
		fields[n++] = c + 1;
	}
	return n;
}

/* PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 */
static void read_line(struct proxy *proxy)
{
	char line[PROXY_MAX_TEXT], *fields[MAX_FIELDS];
	size_t len = proxy->have - 2u, n; /* without the CRLF */
	bool v6;

	memcpy(line, proxy->head, len);
	line[len] = '\0';
	if (strlen(line) != len) {
		refuse(proxy, "the PROXY line has a NUL in it");
		return;
	}
	n = split(line, fields);
	proxy->status = PROXY_DONE;
	if (strcmp(fields[1], "UNKNOWN") == 0)
		return; /* whatever follows is to be passed over */
	v6 = strcmp(fields[1], "TCP6") == 0;
	if (!v6 && strcmp(fields[1], "TCP4") != 0) {
		refuse(proxy, "the PROXY line is neither TCP4, TCP6 nor UNKNOWN");
		return;
	}
	if (n != MAX_FIELDS) {
		refuse(proxy, "the PROXY line does not have two addresses and two ports");
		return;
	}
	proxy->source.sin6_family = proxy->destination.sin6_family = AF_INET6;
	proxy->named = read_ip(fields[2], v6, &proxy->source.sin6_addr) &&
		       read_ip(fields[3], v6, &proxy->destination.sin6_addr) &&
		       read_port(fields[4], &proxy->source.sin6_port) &&
		       read_port(fields[5], &proxy->destination.sin6_port);
	if (!proxy->named)
		refuse(proxy, "the PROXY line has an address or port that is none");
}

static void take_text(struct proxy *proxy, uint8_t byte)
{
	size_t at = proxy->have;

	proxy->head[proxy->have++] = byte;
	if (at < sizeof(prefix) - 1) {
		if (byte != (uint8_t)prefix[at])
			refuse(proxy, "it does not begin with a PROXY header");
		return;
	}
	if (proxy->head[at - 1] == '\r') {
		if (byte == '\n')
			read_line(proxy);
		else
			refuse(proxy, "the PROXY line has a CR without LF");
	} else if (byte == '\n') {
		refuse(proxy, "the PROXY line ends without a CR");
	} else if (proxy->have == PROXY_MAX_TEXT) {
		refuse(proxy, "the PROXY line is longer than 107 bytes");
	}
}

/* --- version 2 (2.2) -------------------------------------------------------------------------------- */

static size_t addresses_len(enum family family)
{
	switch (family) {
	case FAMILY_IPV4:
		return IPV4_LEN;
	case FAMILY_IPV6:
		return IPV6_LEN;
	case FAMILY_UNIX:
		return UNIX_LEN;
	default:
		return 0;
	}
}

static void end_if_all(struct proxy *proxy)
{
	if (proxy->left || proxy->status != PROXY_MORE)
		return;
	if (proxy->tlv_left || proxy->tlv_have)
		refuse(proxy, "the PROXY header ends within a TLV");
	else
		proxy->status = PROXY_DONE;
}

/* The sixteen bytes that say what follows. */
static void read_fixed(struct proxy *proxy)
{
	unsigned int command = proxy->head[12] & 15, family = proxy->head[13] >> 4;
	unsigned int protocol = proxy->head[13] & 15;
	size_t len = (size_t)proxy->head[14] << 8 | proxy->head[15];
	size_t addresses = addresses_len((enum family)family);

	proxy->left = (uint16_t)len;
	if (proxy->head[12] >> 4 != 2)
		refuse(proxy, "the PROXY header is of a version that does not exist");
	else if (command >= COMMANDS)
		refuse(proxy, "the PROXY header has a command that does not exist");
	else if (FIXED_LEN + len > PROXY_MAX)
		refuse(proxy, "the PROXY header is longer than 4096 bytes");
	if (proxy->status != PROXY_MORE)
		return;
	if (command == COMMAND_LOCAL) { /* the proxy's own; family and all else are not looked at */
		proxy->opaque = true;
		end_if_all(proxy);
		return;
	}
	if (family >= FAMILIES || protocol >= PROTOCOLS) {
		refuse(proxy, "the PROXY header has a family that does not exist");
		return;
	}
	if (len < addresses) {
		refuse(proxy, "the PROXY header is too short for its addresses");
		return;
	}
	/* UNIX and unspecified ones say nothing that we count by, nor does what is no stream. */
	proxy->named = protocol == PROTOCOL_STREAM &&
		       (family == FAMILY_IPV4 || family == FAMILY_IPV6);
	if (proxy->named) {
		proxy->need = (uint16_t)(FIXED_LEN + addresses);
		proxy->left = (uint16_t)(len - addresses);
		return;
	}
	proxy->opaque = true;
	end_if_all(proxy);
}

static void read_addresses(struct proxy *proxy)
{
	const uint8_t *at = proxy->head + FIXED_LEN;
	size_t len = proxy->head[13] >> 4 == FAMILY_IPV6 ? 16 : 4;

	proxy->source.sin6_family = proxy->destination.sin6_family = AF_INET6;
	if (len == 4) {
		map_ipv4(&proxy->source.sin6_addr, at);
		map_ipv4(&proxy->destination.sin6_addr, at + 4);
	} else {
		memcpy(&proxy->source.sin6_addr, at, 16);
		memcpy(&proxy->destination.sin6_addr, at + 16, 16);
	}
	memcpy(&proxy->source.sin6_port, at + 2 * len, 2);
	memcpy(&proxy->destination.sin6_port, at + 2 * len + 2, 2);
	end_if_all(proxy);
}

static void take_binary(struct proxy *proxy, uint8_t byte)
{
	size_t at = proxy->have;

	proxy->head[proxy->have++] = byte;
	if (at < SIGNATURE_LEN && byte != signature[at])
		refuse(proxy, "it does not begin with a PROXY header");
	else if (proxy->have == FIXED_LEN)
		read_fixed(proxy);
	else if (proxy->have == proxy->need && proxy->have > FIXED_LEN)
		read_addresses(proxy);
}

/* Type, two bytes length, value (2.2.1): nothing in them is used. */
static size_t take_rest(struct proxy *proxy, const uint8_t *bytes, size_t len)
{
	size_t n = len < proxy->left ? len : proxy->left;

	if (!proxy->opaque && !proxy->tlv_left) {
		n = 1;
		proxy->tlv[proxy->tlv_have++] = bytes[0];
		if (proxy->tlv_have == TLV_HEAD_LEN) {
			proxy->tlv_left = (uint16_t)(proxy->tlv[1] << 8 | proxy->tlv[2]);
			proxy->tlv_have = 0;
		}
	} else if (!proxy->opaque) {
		n = n < proxy->tlv_left ? n : proxy->tlv_left;
		proxy->tlv_left = (uint16_t)(proxy->tlv_left - n);
	}
	proxy->left = (uint16_t)(proxy->left - n);
	end_if_all(proxy);
	return n;
}

/* --- both ------------------------------------------------------------------------------------------- */

static size_t take(struct proxy *proxy, const uint8_t *bytes, size_t len)
{
	if (proxy->have == 0)
		proxy->need = bytes[0] == signature[0] ? FIXED_LEN : 0;
	if (!proxy->need) {
		take_text(proxy, bytes[0]);
		return 1;
	}
	if (proxy->have < proxy->need) {
		take_binary(proxy, bytes[0]);
		return 1;
	}
	return take_rest(proxy, bytes, len);
}

size_t proxy_feed(struct proxy *proxy, const uint8_t *bytes, size_t len)
{
	size_t used = 0;

	while (used < len && proxy->status == PROXY_MORE)
		used += take(proxy, bytes + used, len - used);
	return used;
}
