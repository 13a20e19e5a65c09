/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of the PROXY protocol: every form there is, every way to get one wrong, in pieces of any size. */
#include "common/proxy.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define IPV4 \
	"\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb" /* 192.0.2.1 198.51.100.2 56324 443 */
#define IPV6                                       \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" \
	"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2" \
	"\xdc\x04\x01\xbb"
#define ZERO_54                                                                    \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" \
	"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define UNIX ZERO_54 ZERO_54 ZERO_54 ZERO_54
#define MAX_V6 "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
#define TEN_X "xxxxxxxxxx"

#define TEXT(text) (text), sizeof(text) - 1

static const struct header {
	const char *bytes;
	size_t len;
	const char *source, *destination; /* NULL: none is named */
	uint16_t source_port, destination_port;
} headers[] = {
	{ TEXT("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), "::ffff:192.0.2.1",
	  "::ffff:198.51.100.2", 56324, 443 },
	{ TEXT("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"), "::ffff:0.0.0.0",
	  "::ffff:255.255.255.255", 0, 65535 },
	{ TEXT("PROXY TCP6 2001:db8::1 2001:DB8::2 1 2\r\n"), "2001:db8::1", "2001:db8::2", 1, 2 },
	{ TEXT("PROXY TCP6 " MAX_V6 " " MAX_V6 " 65535 65535\r\n"), MAX_V6, MAX_V6, 65535, 65535 },
	{ TEXT("PROXY TCP6 ::ffff:c000:201 ::1 1 2\r\n"), "::ffff:192.0.2.1", "::1", 1, 2 },
	{ TEXT("PROXY UNKNOWN\r\n"), NULL, NULL, 0, 0 },
	{ TEXT("PROXY UNKNOWN " MAX_V6 " " MAX_V6 " 65535 65535\r\n"), NULL, NULL, 0, 0 },
	{ TEXT("PROXY UNKNOWN a b c d e f g h\r\n"), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x11\0\x0c" IPV4), "::ffff:192.0.2.1", "::ffff:198.51.100.2", 56324, 443 },
	{ TEXT(V2 "\x21\x21\0\x24" IPV6), "2001:db8::1", "2001:db8::2", 56324, 443 },
	/* LOCAL: whatever else it says. */
	{ TEXT(V2 "\x20\x00\0\0"), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x20\x11\0\x0c" IPV4), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x20\xff\0\x05hello"), NULL, NULL, 0, 0 },
	/* Of no use to us. */
	{ TEXT(V2 "\x21\x00\0\0"), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x00\0\x05hello"), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x12\0\x0c" IPV4), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x10\0\x0c" IPV4), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x31\0\xd8" UNIX), NULL, NULL, 0, 0 },
	{ TEXT(V2 "\x21\x32\0\xd8" UNIX), NULL, NULL, 0, 0 },
	/* TLVs: one of ALPN; three, one of them empty; one that is as long as it may be (below). */
	{ TEXT(V2 "\x21\x11\0\x11" IPV4 "\1\0\2h2"), "::ffff:192.0.2.1", "::ffff:198.51.100.2",
	  56324, 443 },
	{ TEXT(V2 "\x21\x11\0\x19" IPV4 "\4\0\0\3\0\4abcd\1\0\0"), "::ffff:192.0.2.1",
	  "::ffff:198.51.100.2", 56324, 443 },
	{ TEXT(V2 "\x21\x21\0\x2b" IPV6 "\2\0\4abcd"), "2001:db8::1", "2001:db8::2", 56324, 443 },
};

static const struct mistake {
	const char *bytes;
	size_t len;
	size_t at; /* the byte at which it is found, from 1 */
	const char *error;
} mistakes[] = {
	{ TEXT("\x16\x03\x01"), 1, "it does not begin with a PROXY header" },
	{ TEXT("GET / HTTP/1.1\r\n"), 1, "it does not begin with a PROXY header" },
	{ TEXT("\0"), 1, "it does not begin with a PROXY header" },
	{ TEXT("PROXX "), 5, "it does not begin with a PROXY header" },
	{ TEXT("proxy "), 1, "it does not begin with a PROXY header" },
	{ TEXT("PROXY\r\n"), 6, "it does not begin with a PROXY header" },
	{ TEXT("\r\n\r\n\0\r\nQUIT\r"), 12, "it does not begin with a PROXY header" },
	{ TEXT("\r\nPROXY"), 3, "it does not begin with a PROXY header" },
	{ TEXT("PROXY \r\n"), 8, "the PROXY line is neither TCP4, TCP6 nor UNKNOWN" },
	{ TEXT("PROXY  TCP4 1.2.3.4 1.2.3.4 1 2\r\n"), 33,
	  "the PROXY line is neither TCP4, TCP6 nor UNKNOWN" },
	{ TEXT("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"), 32,
	  "the PROXY line is neither TCP4, TCP6 nor UNKNOWN" },
	{ TEXT("PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n"), 32,
	  "the PROXY line is neither TCP4, TCP6 nor UNKNOWN" },
	{ TEXT("PROXY TCP4\r\n"), 12, "the PROXY line does not have two addresses and two ports" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), 30,
	  "the PROXY line does not have two addresses and two ports" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), 34,
	  "the PROXY line does not have two addresses and two ports" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), 33,
	  "the PROXY line does not have two addresses and two ports" },
	{ TEXT("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"), 33,
	  "the PROXY line does not have two addresses and two ports" },
	{ TEXT("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"), 34,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n"), 33,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"), 30,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 ::1 ::1 1 2\r\n"), 24,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), 32,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"), 35,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP6 fe80::1%lo ::1 1 2\r\n"), 31,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP6 1:2:3:4:5:6:7:8:9 ::1 1 2\r\n"), 38,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), 36,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 100000\r\n"), 37,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), 33,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"), 33,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2x\r\n"), 33,
	  "the PROXY line has an address or port that is none" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), 31, "the PROXY line ends without a CR" },
	{ TEXT("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n"), 32, "the PROXY line has a CR without LF" },
	{ TEXT("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"), 33, "the PROXY line has a NUL in it" },
	{ TEXT("PROXY UNKNOWN " TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X TEN_X), 107,
	  "the PROXY line is longer than 107 bytes" },
	{ TEXT(V2 "\x11\x11\0\x0c" IPV4), 16,
	  "the PROXY header is of a version that does not exist" },
	{ TEXT(V2 "\x31\x11\0\x0c" IPV4), 16,
	  "the PROXY header is of a version that does not exist" },
	{ TEXT(V2 "\x22\x11\0\x0c" IPV4), 16, "the PROXY header has a command that does not" },
	{ TEXT(V2 "\x21\x41\0\x0c" IPV4), 16, "the PROXY header has a family that does not exist" },
	{ TEXT(V2 "\x21\x13\0\x0c" IPV4), 16, "the PROXY header has a family that does not exist" },
	{ TEXT(V2 "\x21\x11\0\x0b" IPV4), 16, "the PROXY header is too short for its addresses" },
	{ TEXT(V2 "\x21\x11\0\0"), 16, "the PROXY header is too short for its addresses" },
	{ TEXT(V2 "\x21\x21\0\x23" IPV6), 16, "the PROXY header is too short for its addresses" },
	{ TEXT(V2 "\x21\x31\0\xd7" UNIX), 16, "the PROXY header is too short for its addresses" },
	{ TEXT(V2 "\x21\x11\x0f\xf1" IPV4), 16, "the PROXY header is longer than 4096 bytes" },
	{ TEXT(V2 "\x20\x00\xff\xff"), 16, "the PROXY header is longer than 4096 bytes" },
	{ TEXT(V2 "\x21\x11\0\x0d" IPV4 "\1"), 29, "the PROXY header ends within a TLV" },
	{ TEXT(V2 "\x21\x11\0\x0f" IPV4 "\1\0\1"), 31, "the PROXY header ends within a TLV" },
	{ TEXT(V2 "\x21\x11\0\x10" IPV4 "\1\xff\xffx"), 32, "the PROXY header ends within a TLV" },
};

/* The text of an address as the kernel writes it. */
static void assert_address(const struct sockaddr_in6 *addr, const char *text, uint16_t port)
{
	struct in6_addr wanted;

	assert_int_equal(inet_pton(AF_INET6, text, &wanted), 1);
	assert_int_equal(addr->sin6_family, AF_INET6);
	assert_memory_equal(&addr->sin6_addr, &wanted, sizeof(wanted));
	assert_int_equal(ntohs(addr->sin6_port), port);
}

/* Feeds pieces of @step bytes; returns how many bytes were taken. */
static size_t feed(struct proxy *proxy, const char *bytes, size_t len, size_t step)
{
	size_t used = 0, n, piece;

	*proxy = (struct proxy){ 0 };
	while (used < len && proxy->status == PROXY_MORE) {
		piece = len - used < step ? len - used : step;
		n = proxy_feed(proxy, (const uint8_t *)bytes + used, piece);
		assert_true(n == piece || proxy->status != PROXY_MORE);
		used += n;
	}
	return used;
}

static void check_header(const struct header *header, size_t step)
{
	char bytes[PROXY_MAX + 16];
	struct proxy proxy;

	memcpy(bytes, header->bytes, header->len);
	memcpy(bytes + header->len, "\x16\x03\x01\r\n", 5); /* what is no header's stays */
	assert_int_equal(feed(&proxy, bytes, header->len + 5, step), header->len);
	assert_int_equal(proxy.status, PROXY_DONE);
	assert_int_equal(proxy.named, header->source != NULL);
	if (!header->source)
		return;
	assert_address(&proxy.source, header->source, header->source_port);
	assert_address(&proxy.destination, header->destination, header->destination_port);
}

static void headers_are_read_in_pieces_of_any_size(void **state)
{
	size_t i, step;

	for (i = 0; i < ARRAY_LEN(headers); i++)
		for (step = 1; step <= headers[i].len + 5; step++)
			check_header(&headers[i], step);
}

static void a_header_that_is_cut_off_is_not_there_yet(void **state)
{
	struct proxy proxy;
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(headers); i++)
		for (len = 0; len < headers[i].len; len++) {
			assert_int_equal(feed(&proxy, headers[i].bytes, len, SIZE_MAX), len);
			assert_int_equal(proxy.status, PROXY_MORE);
		}
}

static void every_mistake_is_named_at_its_byte(void **state)
{
	const struct mistake *m;
	struct proxy proxy;
	size_t i, step, used;

	for (i = 0; i < ARRAY_LEN(mistakes); i++)
		for (step = 1; step <= mistakes[i].len; step++) {
			m = &mistakes[i];
			used = feed(&proxy, m->bytes, m->len, step);
			if (proxy.status != PROXY_BAD || used != m->at ||
			    strncmp(proxy.error, m->error, strlen(m->error)) != 0)
				fail_msg("mistake %zu in pieces of %zu: status %d at %zu, \"%s\"",
					 i, step, proxy.status, used, proxy.error);
			assert_int_equal(proxy_feed(&proxy, (const uint8_t *)"x", 1), 0);
		}
}

/* As long as one may be, with one TLV that fills it. */
static void the_longest_header_is_read(void **state)
{
	size_t len = PROXY_MAX - 16, value = len - 12 - 3;
	char bytes[PROXY_MAX] = V2 "\x21\x11";
	struct proxy proxy;

	bytes[14] = (char)(len >> 8);
	bytes[15] = (char)len;
	memcpy(bytes + 16, IPV4, 12);
	bytes[28] = '\5';
	bytes[29] = (char)(value >> 8);
	bytes[30] = (char)value;
	assert_int_equal(feed(&proxy, bytes, sizeof(bytes), 1000), sizeof(bytes));
	assert_int_equal(proxy.status, PROXY_DONE);
	assert_address(&proxy.source, "::ffff:192.0.2.1", 56324);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_are_read_in_pieces_of_any_size),
		cmocka_unit_test(a_header_that_is_cut_off_is_not_there_yet),
		cmocka_unit_test(every_mistake_is_named_at_its_byte),
		cmocka_unit_test(the_longest_header_is_read),
	};

	return cmocka_run_group_tests_name("unit/proxy", tests, NULL, NULL);
}
