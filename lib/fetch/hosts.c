// SPDX-License-Identifier: Apache-2.0
/* Called where options are checked, and in sluice-fetch. Uses nothing but the C library. */
#include "fetch/hosts.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define MAPPED_BITS 96
#define MAX_ENTRY (FETCH_MAX_HOST + sizeof(":65535"))

static const uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };

/* --- addresses -------------------------------------------------------------------------------- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned int bits)
{
	unsigned int bytes = bits / 8, rest = bits % 8;

	return !memcmp(a, b, bytes) && (!rest || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

static bool is_mapped(const uint8_t address[16])
{
	return same_bits(address, mapped, MAPPED_BITS);
}

bool fetch_address(const char *text, uint8_t ret_address[16])
{
	uint8_t address[16];

	memcpy(address, mapped, sizeof(mapped));
	/* ::ffff:127.0.0.1 would be an IPv4 address by another name. */
	if (inet_pton(AF_INET, text, address + 12) != 1 &&
	    (inet_pton(AF_INET6, text, address) != 1 || is_mapped(address)))
		return false;
	memcpy(ret_address, address, sizeof(address));
	return true;
}

struct range {
	uint8_t bytes[16];
	uint8_t bits;
};

/* The IANA registry of special purposes: what is not globally reachable, and multicast. */
static const struct range special4[] = {
	{ { 0 }, 8 },
	{ { 10 }, 8 },
	{ { 100, 64 }, 10 },
	{ { 127 }, 8 },
	{ { 169, 254 }, 16 },
	{ { 172, 16 }, 12 },
	{ { 192, 0, 0 }, 24 },
	{ { 192, 0, 2 }, 24 },
	{ { 192, 88, 99 }, 24 },
	{ { 192, 168 }, 16 },
	{ { 198, 18 }, 15 },
	{ { 198, 51, 100 }, 24 },
	{ { 203, 0, 113 }, 24 },
	{ { 224 }, 4 },
	{ { 240 }, 4 },
};

static const struct range global6 = { { 0x20 }, 3 };

/* Of those: protocol assignments with Teredo, documentation, and 6to4, which has IPv4 addresses in it. */
static const struct range special6[] = {
	{ { 0x20, 0x01 }, 23 },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },
	{ { 0x20, 0x02 }, 16 },
	{ { 0x3f, 0xff }, 20 },
};

static bool is_one_of(const uint8_t *address, const struct range *ranges, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (same_bits(address, ranges[i].bytes, ranges[i].bits))
			return true;
	return false;
}

bool fetch_is_public(const uint8_t address[16])
{
	if (is_mapped(address))
		return !is_one_of(address + 12, special4, N(special4));
	return same_bits(address, global6.bytes, global6.bits) &&
	       !is_one_of(address, special6, N(special6));
}

/* --- a list ----------------------------------------------------------------------------------- */

static bool is_name(const char *text)
{
	size_t i, label = 0;

	for (i = 0; text[i]; i++) {
		if (text[i] == '.') {
			if (!label)
				return false;
			label = 0;
		} else if (isalnum((unsigned char)text[i]) || text[i] == '-' || text[i] == '_') {
			label++;
		} else {
			return false;
		}
	}
	return label && i <= FETCH_MAX_HOST;
}

/* 127.1, 2130706433: that is an address in a URL. */
static bool ends_in_number(const char *text)
{
	const char *dot = strrchr(text, '.'), *last = dot ? dot + 1 : text;

	return !last[strspn(last, "0123456789")];
}

/* A number from @min to @max, in at most five digits. */
static bool read_number(const char *text, unsigned int min, unsigned int max, unsigned int *ret)
{
	size_t len = strspn(text, "0123456789");
	unsigned long value = len && len <= 5 && !text[len] ? strtoul(text, NULL, 10) : max + 1ul;

	if (value < min || value > max)
		return false;
	*ret = (unsigned int)value;
	return true;
}

/* Cuts ":PORT" off, and the brackets that an IPv6 address has before one. */
static const char *cut_port(char **text, uint16_t *ret_port)
{
	char *colon = strrchr(*text, ':'), *bracket = strchr(*text, ']');
	unsigned int port = 0;

	if ((*text)[0] == '[') {
		if (!bracket || (bracket[1] && bracket[1] != ':'))
			return "has no end of its brackets";
		*bracket = '\0';
		*text += 1;
		colon = bracket[1] ? bracket + 1 : NULL;
	} else if (colon && strchr(*text, ':') != colon) {
		return NULL; /* an IPv6 address alone */
	}
	if (colon && !read_number(colon + 1, 1, UINT16_MAX, &port))
		return "has no port behind its colon";
	if (colon)
		*colon = '\0';
	*ret_port = (uint16_t)port;
	return NULL;
}

static bool has_bits_behind(const uint8_t address[16], unsigned int bits)
{
	unsigned int i;

	for (i = bits; i < 128; i++)
		if (address[i / 8] & 0x80 >> i % 8)
			return true;
	return false;
}

static const char *read_prefix(struct fetch_host *host, char *text, char *slash)
{
	unsigned int offset, bits;

	if (slash)
		*slash++ = '\0';
	if (!fetch_address(text, host->address))
		return "is no name, address or prefix";
	offset = is_mapped(host->address) ? MAPPED_BITS : 0;
	bits = 128 - offset;
	if (slash && !read_number(slash, 0, 128 - offset, &bits))
		return "has no number of bits behind its slash";
	host->bits = offset + bits;
	return has_bits_behind(host->address, host->bits) ? "has bits behind its prefix" : NULL;
}

static const char *read_entry(struct fetch_host *host, char *text)
{
	const char *wrong;
	char *slash;
	size_t i;

	*host = (struct fetch_host){ .port = 0 };
	wrong = cut_port(&text, &host->port);
	if (wrong)
		return wrong;
	slash = strchr(text, '/');
	if (slash || strchr(text, ':') || fetch_address(text, host->address))
		return read_prefix(host, text, slash);
	if (!is_name(text) || ends_in_number(text))
		return "is no name, address or prefix";
	for (i = 0; text[i]; i++)
		host->name[i] = (char)tolower((unsigned char)text[i]);
	return NULL;
}

const char *fetch_hosts_parse(struct fetch_hosts *ret_hosts, const char *text, const char **ret_at)
{
	char entry[MAX_ENTRY];
	const char *wrong;
	size_t len;

	ret_hosts->n = 0;
	if (strnlen(text, FETCH_MAX_HOSTS_TEXT + 1) > FETCH_MAX_HOSTS_TEXT) {
		*ret_at = "";
		return "is too long a list";
	}
	for (;;) {
		text += strspn(text, " ");
		len = strcspn(text, ", ");
		*ret_at = text;
		if (!len || len >= sizeof(entry))
			return len ? "is too long" : "is empty";
		if (ret_hosts->n == FETCH_MAX_HOSTS)
			return "is one too many";
		memcpy(entry, text, len);
		entry[len] = '\0';
		wrong = read_entry(&ret_hosts->hosts[ret_hosts->n], entry);
		if (wrong)
			return wrong;
		ret_hosts->n++;
		text += len + strspn(text + len, " ");
		if (!*text)
			return NULL;
		if (*text++ != ',') {
			*ret_at = text - 1;
			return "stands where a comma should";
		}
	}
}

bool fetch_url_host(const char *url, char ret_host[FETCH_MAX_HOST + 1], uint16_t *ret_port)
{
	char authority[MAX_ENTRY], *host = authority;
	size_t len;

	if (strncasecmp(url, "http://", 7))
		return false;
	len = strcspn(url + 7, "/?#");
	if (!len || len >= sizeof(authority) || memchr(url + 7, '@', len))
		return false;
	memcpy(authority, url + 7, len);
	authority[len] = '\0';
	*ret_port = 0;
	if (cut_port(&host, ret_port) || !*host || strlen(host) > FETCH_MAX_HOST)
		return false;
	if (!*ret_port)
		*ret_port = FETCH_HTTP_PORT;
	memcpy(ret_host, host, strlen(host) + 1);
	return true;
}

/* ::/0 means all of IPv6, and none of IPv4. */
static bool covers(const struct fetch_host *host, const uint8_t address[16])
{
	return !host->name[0] && is_mapped(address) == is_mapped(host->address) &&
	       same_bits(address, host->address, host->bits);
}

bool fetch_hosts_allow(const struct fetch_hosts *hosts, const char *name, uint16_t port)
{
	const struct fetch_host *host;
	uint8_t address[16];
	bool is_address = fetch_address(name, address);
	size_t i;

	for (i = 0; i < hosts->n; i++) {
		host = &hosts->hosts[i];
		if ((host->port ? host->port : FETCH_HTTP_PORT) != port)
			continue;
		if (is_address ? covers(host, address)
			       : host->name[0] && !strcasecmp(host->name, name))
			return true;
	}
	return false;
}

bool fetch_hosts_allow_address(const struct fetch_hosts *hosts, const uint8_t address[16],
			       uint16_t port)
{
	const struct fetch_host *host;
	size_t i;

	if (fetch_is_public(address))
		return true;
	for (i = 0; i < hosts->n; i++) {
		host = &hosts->hosts[i];
		if ((!host->port || host->port == port) && covers(host, address))
			return true;
	}
	return false;
}
