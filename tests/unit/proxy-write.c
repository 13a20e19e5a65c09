/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers that we write: byte for byte, at their longest, and as our own parser reads them. */
#include "common/proxy-write.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/proxy.h"

#define V2 "\r\n\r\n\0\r\nQUIT\n"

static struct sockaddr_storage ipv4(const char *host, uint16_t port)
{
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	struct sockaddr_in *in = (struct sockaddr_in *)&addr;

	assert_int_equal(inet_pton(AF_INET, host, &in->sin_addr), 1);
	in->sin_port = htons(port);
	return addr;
}

static struct sockaddr_storage ipv6(const char *host, uint16_t port)
{
	struct sockaddr_storage addr = { .ss_family = AF_INET6 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&addr;

	assert_int_equal(inet_pton(AF_INET6, host, &in6->sin6_addr), 1);
	in6->sin6_port = htons(port);
	return addr;
}

static void expect_text(struct sockaddr_storage source, struct sockaddr_storage destination,
			const char *line)
{
	const struct proxy_facts facts = { .source = source, .destination = destination };
	uint8_t out[PROXY_WRITE_MAX];

	assert_int_equal(proxy_write_text(out, &facts), strlen(line));
	assert_memory_equal(out, line, strlen(line));
}

static void version_1(void **state)
{
	const struct sockaddr_storage none = { 0 };

	expect_text(ipv4("192.0.2.1", 56324), ipv4("198.51.100.2", 443),
		    "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
	expect_text(ipv6("2001:db8::1", 1), ipv6("2001:db8::2", 65535),
		    "PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n");
	expect_text(ipv6("::ffff:192.0.2.1", 1), ipv4("192.0.2.2", 2),
		    "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
	expect_text(ipv6("2001:db8::1", 1), ipv4("192.0.2.2", 2),
		    "PROXY TCP6 2001:db8::1 ::ffff:192.0.2.2 1 2\r\n");
	expect_text(none, ipv4("192.0.2.2", 2), "PROXY UNKNOWN\r\n");
}

static void expect_bytes(const struct proxy_facts *facts, const char *bytes, size_t len)
{
	uint8_t out[PROXY_WRITE_MAX];

	assert_int_equal(proxy_write_binary(out, facts), len);
	assert_memory_equal(out, bytes, len);
}

#define EXPECT(facts, bytes) expect_bytes(facts, bytes, sizeof(bytes) - 1)

static void version_2(void **state)
{
	struct proxy_facts facts = { .source = ipv4("192.0.2.1", 56324),
				     .destination = ipv4("198.51.100.2", 443) };

	EXPECT(&facts, V2 "\x21\x11\0\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb");
	facts.alpn = "h2";
	facts.sni = "a.test";
	facts.unique_id = "17";
	facts.version = "TLSv1.3";
	facts.cipher = "X";
	EXPECT(&facts, V2 "\x21\x11\0\x35\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
			  "\x01\0\2h2\x02\0\6a.test\x05\0\2"
			  "17\x20\0\x13\x01\0\0\0\1\x21\0\7TLSv1.3\x23\0\1X");
	facts.alpn = facts.unique_id = NULL;
	facts.sni = "";
	facts.has_cert = facts.is_verified = true;
	facts.common_name = "me";
	EXPECT(&facts, V2 "\x21\x11\0\x27\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"
			  "\x20\0\x18\x07\0\0\0\0\x21\0\7TLSv1.3\x23\0\1X\x22\0\2me");
	facts.is_resumed = true;
	facts.is_verified = false;
	facts.common_name = NULL;
	facts.source = facts.destination = (struct sockaddr_storage){ 0 };
	EXPECT(&facts, V2 "\x21\x00\0\x16\x20\0\x13\x05\0\0\0\1\x21\0\7TLSv1.3\x23\0\1X");
}

static void at_its_longest(void **state)
{
	char text[256], id[129], longer[257];
	struct proxy_facts facts = { .source = ipv6("2001:db8::1", 1),
				     .destination = ipv6("2001:db8::2", 2),
				     .alpn = text,
				     .sni = text,
				     .unique_id = id,
				     .version = text,
				     .cipher = text,
				     .common_name = text };
	uint8_t out[PROXY_WRITE_MAX];
	struct proxy proxy = { 0 };
	size_t len;

	memset(text, 'x', 255);
	text[255] = '\0';
	memset(id, 'y', 128);
	id[128] = '\0';
	len = proxy_write_binary(out, &facts);
	assert_int_equal(len, 16 + 36 + 2 * 258 + 131 + 3 + 5 + 3 * 258);
	assert_true(len <= PROXY_WRITE_MAX);
	assert_int_equal(proxy_feed(&proxy, out, len), len);
	assert_int_equal(proxy.status, PROXY_DONE);
	assert_true(proxy.named);

	/* What has no room in it is not there, and not cut. */
	memset(longer, 'x', 256);
	longer[256] = '\0';
	facts.sni = facts.alpn = facts.cipher = facts.common_name = facts.unique_id = longer;
	assert_int_equal(proxy_write_binary(out, &facts), 16 + 36 + 3 + 5 + 258);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_1),
		cmocka_unit_test(version_2),
		cmocka_unit_test(at_its_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
