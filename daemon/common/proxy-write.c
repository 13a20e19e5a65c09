// SPDX-License-Identifier: Apache-2.0
#include "common/proxy-write.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define FIXED_LEN 16
#define MAX_TEXT 255
#define MAX_UNIQUE_ID 128

/* Section 2.2: version 2, command PROXY; families, with STREAM. */
#define VERSION_PROXY 0x21
#define UNSPEC 0x00
#define TCP_IPV4 0x11
#define TCP_IPV6 0x21

/* Section 2.2.1 and up: types of TLVs, and of those in that of TLS. */
#define TYPE_ALPN 0x01
#define TYPE_AUTHORITY 0x02
#define TYPE_UNIQUE_ID 0x05
#define TYPE_SSL 0x20
#define SUBTYPE_VERSION 0x21
#define SUBTYPE_CN 0x22
#define SUBTYPE_CIPHER 0x23
#define CLIENT_SSL 0x01
#define CLIENT_CERT_CONN 0x02
#define CLIENT_CERT_SESS 0x04

static const uint8_t signature[] = {
	'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'
};

/* --- addresses -------------------------------------------------------------------------------- */

/* struct ends - both addresses, of one family. */
struct ends {
	int family; /* AF_UNSPEC: nothing is known */
	struct in6_addr source, destination;
	in_port_t source_port, destination_port;
};

/* IPv4: mapped, as it is where a socket takes both. */
static bool read_end(const struct sockaddr_storage *addr, struct in6_addr *ret_ip,
		     in_port_t *ret_port)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;

	if (addr->ss_family == AF_INET6) {
		*ret_ip = in6->sin6_addr;
		*ret_port = in6->sin6_port;
		return true;
	}
	if (addr->ss_family != AF_INET)
		return false;
	memset(ret_ip, 0, sizeof(*ret_ip));
	ret_ip->s6_addr[10] = ret_ip->s6_addr[11] = 0xff;
	memcpy(ret_ip->s6_addr + 12, &in->sin_addr, 4);
	*ret_port = in->sin_port;
	return true;
}

static struct ends read_ends(const struct proxy_facts *facts)
{
	struct ends ends = { .family = AF_UNSPEC };

	if (!read_end(&facts->source, &ends.source, &ends.source_port) ||
	    !read_end(&facts->destination, &ends.destination, &ends.destination_port))
		return ends;
	ends.family = IN6_IS_ADDR_V4MAPPED(&ends.source) && IN6_IS_ADDR_V4MAPPED(&ends.destination)
			      ? AF_INET
			      : AF_INET6;
	return ends;
}

static const void *bytes_of(const struct ends *ends, const struct in6_addr *ip)
{
	return ends->family == AF_INET ? ip->s6_addr + 12 : ip->s6_addr;
}

/* --- version 1 -------------------------------------------------------------------------------- */

size_t proxy_write_text(uint8_t out[PROXY_WRITE_MAX], const struct proxy_facts *facts)
{
	char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN];
	const struct ends ends = read_ends(facts);

	if (ends.family == AF_UNSPEC)
		return (size_t)snprintf((char *)out, PROXY_WRITE_MAX, "PROXY UNKNOWN\r\n");
	inet_ntop(ends.family, bytes_of(&ends, &ends.source), source, sizeof(source));
	inet_ntop(ends.family, bytes_of(&ends, &ends.destination), destination,
		  sizeof(destination));
	return (size_t)snprintf((char *)out, PROXY_WRITE_MAX, "PROXY TCP%c %s %s %u %u\r\n",
				ends.family == AF_INET ? '4' : '6', source, destination,
				ntohs(ends.source_port), ntohs(ends.destination_port));
}

/* --- version 2 -------------------------------------------------------------------------------- */

struct writer {
	uint8_t *out;
	size_t len;
};

static void put(struct writer *writer, const void *bytes, size_t len)
{
	memcpy(writer->out + writer->len, bytes, len);
	writer->len += len;
}

static void put_byte(struct writer *writer, uint8_t byte)
{
	put(writer, &byte, 1);
}

static void put_length(uint8_t *at, size_t len)
{
	at[0] = (uint8_t)(len >> 8);
	at[1] = (uint8_t)len;
}

static void put_tlv(struct writer *writer, uint8_t type, const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;

	if (!len || len > max)
		return;
	put_byte(writer, type);
	put_length(writer->out + writer->len, len);
	writer->len += 2;
	put(writer, text, len);
}

static void put_addresses(struct writer *writer, const struct ends *ends)
{
	size_t len = ends->family == AF_INET ? 4 : 16;

	put(writer, bytes_of(ends, &ends->source), len);
	put(writer, bytes_of(ends, &ends->destination), len);
	put(writer, &ends->source_port, 2);
	put(writer, &ends->destination_port, 2);
}

/* Flags, the result of verification, then TLVs in the TLV (2.2.6). */
static void put_tls(struct writer *writer, const struct proxy_facts *facts)
{
	const uint8_t result[4] = { 0, 0, 0, !(facts->has_cert && facts->is_verified) };
	uint8_t flags = CLIENT_SSL;
	size_t begin;

	if (facts->has_cert)
		flags |= facts->is_resumed ? CLIENT_CERT_SESS : CLIENT_CERT_CONN | CLIENT_CERT_SESS;
	put_byte(writer, TYPE_SSL);
	writer->len += 2;
	begin = writer->len;
	put_byte(writer, flags);
	put(writer, result, sizeof(result));
	put_tlv(writer, SUBTYPE_VERSION, facts->version, MAX_TEXT);
	put_tlv(writer, SUBTYPE_CIPHER, facts->cipher, MAX_TEXT);
	put_tlv(writer, SUBTYPE_CN, facts->common_name, MAX_TEXT);
	put_length(writer->out + begin - 2, writer->len - begin);
}

size_t proxy_write_binary(uint8_t out[PROXY_WRITE_MAX], const struct proxy_facts *facts)
{
	struct writer writer = { .out = out };
	const struct ends ends = read_ends(facts);

	put(&writer, signature, sizeof(signature));
	put_byte(&writer, VERSION_PROXY);
	put_byte(&writer, ends.family == AF_INET    ? TCP_IPV4
			  : ends.family == AF_INET6 ? TCP_IPV6
						    : UNSPEC);
	writer.len += 2;
	if (ends.family != AF_UNSPEC)
		put_addresses(&writer, &ends);
	put_tlv(&writer, TYPE_ALPN, facts->alpn, MAX_TEXT);
	put_tlv(&writer, TYPE_AUTHORITY, facts->sni, MAX_TEXT);
	put_tlv(&writer, TYPE_UNIQUE_ID, facts->unique_id, MAX_UNIQUE_ID);
	if (facts->version)
		put_tls(&writer, facts);
	put_length(out + FIXED_LEN - 2, writer.len - FIXED_LEN);
	return writer.len;
}
