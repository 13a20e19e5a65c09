/* SPDX-License-Identifier: Apache-2.0 */
/* diag_parse(): messages of sock_diag(7) as kernels send them, and as none does. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "diag/parse.h"

#define ESTABLISHED 1
#define HEAD_SIZE 72         /* struct inet_diag_msg */
#define INFO_COUNTS_SIZE 136 /* a struct tcp_info that ends with tcpi_bytes_received */
#define UNKNOWN 4000         /* a type that no kernel has yet */

struct bytes {
	size_t len;
	uint8_t at[1024];
};

static void put(struct bytes *bytes, const void *data, size_t len)
{
	assert_true(bytes->len + len <= sizeof(bytes->at));
	memcpy(bytes->at + bytes->len, data, len);
	bytes->len += len;
}

static void pad(struct bytes *bytes)
{
	while (bytes->len % NLA_ALIGNTO)
		put(bytes, "", 1);
}

/* open_attr() returns where close_attr() writes the length. */
static size_t open_attr(struct bytes *bytes, int type)
{
	struct nlattr head = { .nla_type = (uint16_t)type };
	size_t at;

	pad(bytes);
	at = bytes->len;
	put(bytes, &head, sizeof(head));
	return at;
}

static void close_attr(struct bytes *bytes, size_t at)
{
	uint16_t len = (uint16_t)(bytes->len - at);

	memcpy(bytes->at + at, &len, sizeof(len));
}

static void put_attr(struct bytes *bytes, int type, const void *data, size_t len)
{
	size_t at = open_attr(bytes, type);

	put(bytes, data, len);
	close_attr(bytes, at);
}

static void put_u16(struct bytes *bytes, int type, uint16_t value)
{
	put_attr(bytes, type, &value, sizeof(value));
}

static void put_head(struct bytes *bytes, int family, const char *local, const char *peer)
{
	struct inet_diag_msg msg = {
		.idiag_family = (uint8_t)family,
		.idiag_state = ESTABLISHED,
		.id = { .idiag_sport = htons(443),
			.idiag_dport = htons(50000),
			.idiag_cookie = { 0x55667788, 0x11223344 } },
		.idiag_uid = 1001,
	};

	assert_int_equal(sizeof(msg), HEAD_SIZE);
	assert_int_equal(inet_pton(family, local, msg.id.idiag_src), 1);
	assert_int_equal(inet_pton(family, peer, msg.id.idiag_dst), 1);
	bytes->len = 0;
	put(bytes, &msg, sizeof(msg));
}

static struct bytes head(void)
{
	struct bytes bytes;

	put_head(&bytes, AF_INET, "192.0.2.1", "198.51.100.2");
	return bytes;
}

/* The first @len bytes of a struct tcp_info; behind ours there is what a newer kernel would add. */
static void put_info(struct bytes *bytes, size_t len)
{
	struct tcp_info info = {
		.tcpi_state = ESTABLISHED,
		.tcpi_retransmits = 1,
		.tcpi_rtt = 250,
		.tcpi_total_retrans = 3,
		.tcpi_bytes_acked = 0x1234567890,
		.tcpi_bytes_received = 0x9876543210,
	};
	uint8_t all[512];

	memset(all, 0xee, sizeof(all));
	memcpy(all, &info, sizeof(info));
	assert_true(len <= sizeof(all));
	put_attr(bytes, INET_DIAG_INFO, all, len);
}

static void put_tls(struct bytes *bytes)
{
	size_t ulp = open_attr(bytes, INET_DIAG_ULP_INFO), tls;

	put_attr(bytes, INET_ULP_INFO_NAME, "tls", 4);
	tls = open_attr(bytes, INET_ULP_INFO_TLS);
	put_u16(bytes, TLS_INFO_VERSION, 0x0304);
	put_u16(bytes, TLS_INFO_CIPHER, TLS_CIPHER_AES_GCM_128);
	put_u16(bytes, TLS_INFO_TXCONF, TLS_CONF_SW);
	put_u16(bytes, TLS_INFO_RXCONF, TLS_CONF_BASE);
	pad(bytes);
	close_attr(bytes, tls);
	close_attr(bytes, ulp);
}

static struct bytes complete(void)
{
	struct bytes bytes = head();

	put_attr(&bytes, INET_DIAG_SHUTDOWN, "", 1);
	put_info(&bytes, sizeof(struct tcp_info));
	put_tls(&bytes);
	put_attr(&bytes, INET_DIAG_CGROUP_ID, "12345678", 8);
	return bytes;
}

/* From memory of just that size, at an odd address: what reads further or aligned is found out. */
static int parse_at(const uint8_t *at, size_t len, struct diag_socket *ret_socket)
{
	uint8_t *copy = malloc(len + 1);
	int r;

	assert_non_null(copy);
	memcpy(copy + 1, at, len);
	r = diag_parse(copy + 1, len, ret_socket);
	free(copy);
	return r;
}

static struct diag_socket parsed(const struct bytes *bytes)
{
	struct diag_socket socket;

	memset(&socket, 0, sizeof(socket)); /* padding, too: some compare it */
	assert_int_equal(parse_at(bytes->at, bytes->len, &socket), 0);
	return socket;
}

static void check_refused_to(const struct bytes *bytes, size_t len)
{
	struct diag_socket socket, before;

	memset(&socket, 0xaa, sizeof(socket));
	before = socket;
	assert_int_equal(parse_at(bytes->at, len, &socket), -EBADMSG);
	assert_memory_equal(&socket, &before, sizeof(socket));
}

static void check_address(const struct sockaddr_storage *addr, int family, const char *text,
			  int port, uint32_t scope)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *in = (const struct sockaddr_in *)addr;
	char got[INET6_ADDRSTRLEN];

	assert_int_equal(addr->ss_family, family);
	inet_ntop(family, family == AF_INET ? (void *)&in->sin_addr : (void *)&in6->sin6_addr, got,
		  sizeof(got));
	assert_string_equal(got, text);
	assert_int_equal(ntohs(in->sin_port), port); /* at the same place in both */
	if (family == AF_INET6)
		assert_int_equal(in6->sin6_scope_id, scope);
}

/* --- what kernels send --------------------------------------------------------------------- */

static void a_complete_message(void **state)
{
	struct bytes bytes = complete();
	struct diag_socket socket = parsed(&bytes);

	assert_int_equal(socket.cookie, 0x1122334455667788);
	check_address(&socket.local, AF_INET, "192.0.2.1", 443, 0);
	check_address(&socket.peer, AF_INET, "198.51.100.2", 50000, 0);
	assert_int_equal(socket.device, 0);
	assert_int_equal(socket.state, ESTABLISHED);
	assert_int_equal(socket.uid, 1001);
	assert_true(socket.has_counts);
	assert_int_equal(socket.bytes_in, 0x9876543210);
	assert_int_equal(socket.bytes_out, 0x1234567890);
	assert_int_equal(socket.rtt_us, 250);
	assert_int_equal(socket.retransmits, 3);
	assert_true(socket.has_tls);
	assert_int_equal(socket.tls_version, 0x0304);
	assert_int_equal(socket.tls_cipher, TLS_CIPHER_AES_GCM_128);
	assert_int_equal(socket.tls_tx, TLS_CONF_SW);
	assert_int_equal(socket.tls_rx, TLS_CONF_BASE);
}

static void addresses_of_ipv6(void **state)
{
	struct diag_socket socket;
	struct bytes bytes;
	uint32_t device = 7;

	put_head(&bytes, AF_INET6, "2001:db8::1", "::ffff:198.51.100.2");
	socket = parsed(&bytes);
	check_address(&socket.local, AF_INET6, "2001:db8::1", 443, 0);
	check_address(&socket.peer, AF_INET6, "::ffff:198.51.100.2", 50000, 0);

	/* Only on a link does the interface belong to the address. */
	put_head(&bytes, AF_INET6, "fe80::1", "2001:db8::2");
	memcpy(bytes.at + offsetof(struct inet_diag_msg, id.idiag_if), &device, sizeof(device));
	socket = parsed(&bytes);
	check_address(&socket.local, AF_INET6, "fe80::1", 443, 7);
	check_address(&socket.peer, AF_INET6, "2001:db8::2", 50000, 0);
	assert_int_equal(socket.device, 7);
}

static void without_attributes_nothing_is_known_of_them(void **state)
{
	struct bytes bytes = head();
	struct diag_socket socket = parsed(&bytes);

	assert_false(socket.has_counts);
	assert_int_equal(socket.bytes_in, 0);
	assert_int_equal(socket.bytes_out, 0);
	assert_false(socket.has_tls);
	assert_int_equal(socket.tls_version, 0);
}

static void tcp_info_of_every_length(void **state)
{
	size_t len;

	for (len = 0; len <= 512; len++) {
		struct bytes bytes = head();
		struct diag_socket socket;
		bool whole = len >= INFO_COUNTS_SIZE;

		put_info(&bytes, len);
		put_tls(&bytes);
		socket = parsed(&bytes);
		assert_int_equal(socket.has_counts, whole);
		assert_int_equal(socket.bytes_in, whole ? 0x9876543210 : 0);
		assert_int_equal(socket.bytes_out, whole ? 0x1234567890 : 0);
		assert_int_equal(socket.rtt_us, whole ? 250 : 0);
		assert_int_equal(socket.retransmits, whole ? 3 : 0);
		assert_int_equal(socket.tls_version, 0x0304);
	}
}

/* The kernel marks a nested attribute or not, and says of tls only what there is. */
static void ulp_info_in_its_forms(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		bool is_tls;
	} names[] = {
		{ "tls", 4, true }, { "tls", 3, true },       { "tls\0\0\0", 6, true },
		{ "tl", 3, false }, { "mptcp", 6, false },    { "tlsx", 5, false },
		{ "", 0, false },   { "\0\0\0\0", 4, false }, { "x\0tls", 6, false },
	};
	struct diag_socket socket;
	struct bytes bytes;
	size_t i, at;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		bytes = head();
		at = open_attr(&bytes, INET_DIAG_ULP_INFO | NLA_F_NESTED);
		put_attr(&bytes, INET_ULP_INFO_NAME, names[i].name, names[i].len);
		close_attr(&bytes, at);
		socket = parsed(&bytes);
		assert_int_equal(socket.has_tls, names[i].is_tls);
		assert_int_equal(socket.tls_tx, 0);
	}
	bytes = head();
	put_attr(&bytes, INET_DIAG_ULP_INFO, "", 0);
	assert_false(parsed(&bytes).has_tls);
}

static void unknown_attributes_are_passed_over(void **state)
{
	struct diag_socket socket, plain;
	struct bytes bytes = complete();
	size_t len, ulp, tls;

	plain = parsed(&bytes);
	for (len = 0; len <= 9; len++) {
		bytes = head();
		put_attr(&bytes, UNKNOWN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", len);
		put_info(&bytes, sizeof(struct tcp_info));
		ulp = open_attr(&bytes, INET_DIAG_ULP_INFO);
		put_attr(&bytes, UNKNOWN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", len);
		put_attr(&bytes, INET_ULP_INFO_NAME, "tls", 4);
		tls = open_attr(&bytes, INET_ULP_INFO_TLS);
		put_u16(&bytes, TLS_INFO_VERSION, 0x0304);
		put_attr(&bytes, UNKNOWN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", len);
		put_u16(&bytes, TLS_INFO_CIPHER, TLS_CIPHER_AES_GCM_128);
		put_u16(&bytes, TLS_INFO_TXCONF, TLS_CONF_SW);
		put_u16(&bytes, TLS_INFO_RXCONF, TLS_CONF_BASE);
		put_attr(&bytes, UNKNOWN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", len);
		close_attr(&bytes, tls);
		close_attr(&bytes, ulp);
		put_attr(&bytes, UNKNOWN, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", len);
		socket = parsed(&bytes);
		assert_memory_equal(&socket, &plain, sizeof(socket));
	}
}

/* The length of a message does not count the padding of its last attribute. */
static void the_last_padding_may_miss(void **state)
{
	struct bytes bytes = head();

	put_attr(&bytes, INET_DIAG_SHUTDOWN, "", 1);
	assert_int_not_equal(bytes.len % NLA_ALIGNTO, 0);
	parsed(&bytes);
	pad(&bytes);
	parsed(&bytes);
}

/* --- what none sends ----------------------------------------------------------------------- */

/* Whole is a prefix that ends with an attribute of the first level, with or without its padding. */
static bool is_whole(const struct bytes *bytes, size_t len)
{
	size_t at = HEAD_SIZE;
	uint16_t attr_len;

	while (at < len) {
		memcpy(&attr_len, bytes->at + at, sizeof(attr_len));
		if (len >= at + attr_len && len <= at + NLA_ALIGN(attr_len))
			return true;
		at += NLA_ALIGN(attr_len);
	}
	return at == len;
}

static void a_message_cut_off_anywhere(void **state)
{
	struct bytes bytes = complete(), cut;
	unsigned int whole = 0;
	size_t len;

	for (len = 0; len < bytes.len; len++) {
		if (!is_whole(&bytes, len)) {
			check_refused_to(&bytes, len);
			continue;
		}
		cut = bytes;
		cut.len = len;
		parsed(&cut);
		whole++;
	}
	assert_int_equal(whole, 1 + 4 + 1 + 1); /* head, SHUTDOWN and its padding, INFO, ULP */
}

static void lengths_that_no_attribute_has(void **state)
{
	static const uint16_t lengths[] = { 0, 1, 2, 3, 9, 0x7fff, 0xfffc, 0xffff };
	struct bytes bytes;
	size_t i, level, at[3];

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (level = 0; level < 3; level++) {
			bytes = head();
			at[0] = open_attr(&bytes, INET_DIAG_ULP_INFO);
			at[1] = open_attr(&bytes, INET_ULP_INFO_TLS);
			at[2] = open_attr(&bytes, UNKNOWN);
			put(&bytes, "1234", 4);
			close_attr(&bytes, at[2]);
			close_attr(&bytes, at[1]);
			close_attr(&bytes, at[0]);
			parsed(&bytes);
			memcpy(bytes.at + at[level], &lengths[i], sizeof(lengths[i]));
			if (level < 2 && lengths[i] == 9)
				continue; /* there it cuts off what is inside */
			check_refused_to(&bytes, bytes.len);
		}
	}
}

/* An attribute must not reach out of the one that it stands in. */
static void an_attribute_longer_than_its_nest(void **state)
{
	struct bytes bytes = head();
	size_t ulp = open_attr(&bytes, INET_DIAG_ULP_INFO);
	uint16_t len = NLA_HDRLEN + 8;

	put_attr(&bytes, INET_ULP_INFO_NAME, "tls", 4);
	close_attr(&bytes, ulp);
	put_attr(&bytes, UNKNOWN, "12345678", 8);
	parsed(&bytes);
	memcpy(bytes.at + ulp + NLA_HDRLEN, &len, sizeof(len));
	check_refused_to(&bytes, bytes.len);
}

static void numbers_of_another_size(void **state)
{
	static const int types[] = { TLS_INFO_VERSION, TLS_INFO_CIPHER, TLS_INFO_TXCONF,
				     TLS_INFO_RXCONF };
	struct bytes bytes;
	size_t i, len, ulp, tls;

	for (i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (len = 0; len <= 5; len++) {
			bytes = head();
			ulp = open_attr(&bytes, INET_DIAG_ULP_INFO);
			tls = open_attr(&bytes, INET_ULP_INFO_TLS);
			put_attr(&bytes, types[i], "12345", len);
			close_attr(&bytes, tls);
			close_attr(&bytes, ulp);
			if (len == 2)
				parsed(&bytes);
			else
				check_refused_to(&bytes, bytes.len);
		}
	}
}

static void other_families(void **state)
{
	struct bytes bytes = complete();
	int family;

	for (family = 0; family < 256; family++) {
		bytes.at[0] = (uint8_t)family;
		if (family == AF_INET || family == AF_INET6)
			parsed(&bytes);
		else
			check_refused_to(&bytes, bytes.len);
	}
}

/* --- with its header ----------------------------------------------------------------------- */

static void a_message_is_of_the_right_type_and_length(void **state)
{
	struct bytes payload = complete();
	union {
		struct nlmsghdr head;
		uint8_t bytes[NLMSG_HDRLEN + sizeof(payload.at)];
	} msg = { .head = { .nlmsg_type = SOCK_DIAG_BY_FAMILY } };
	struct diag_socket socket;

	memcpy(NLMSG_DATA(&msg.head), payload.at, payload.len);
	msg.head.nlmsg_len = NLMSG_HDRLEN + (uint32_t)payload.len;
	assert_int_equal(diag_parse_message(&msg.head, &socket), 0);
	assert_int_equal(socket.cookie, 0x1122334455667788);
	msg.head.nlmsg_type = SOCK_DESTROY;
	assert_int_equal(diag_parse_message(&msg.head, &socket), -EBADMSG);
	msg.head.nlmsg_type = SOCK_DIAG_BY_FAMILY;
	for (msg.head.nlmsg_len = 0; msg.head.nlmsg_len < NLMSG_HDRLEN + HEAD_SIZE;
	     msg.head.nlmsg_len++)
		assert_int_equal(diag_parse_message(&msg.head, &socket), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_complete_message),
		cmocka_unit_test(addresses_of_ipv6),
		cmocka_unit_test(without_attributes_nothing_is_known_of_them),
		cmocka_unit_test(tcp_info_of_every_length),
		cmocka_unit_test(ulp_info_in_its_forms),
		cmocka_unit_test(unknown_attributes_are_passed_over),
		cmocka_unit_test(the_last_padding_may_miss),
		cmocka_unit_test(a_message_cut_off_anywhere),
		cmocka_unit_test(lengths_that_no_attribute_has),
		cmocka_unit_test(an_attribute_longer_than_its_nest),
		cmocka_unit_test(numbers_of_another_size),
		cmocka_unit_test(other_families),
		cmocka_unit_test(a_message_is_of_the_right_type_and_length),
	};

	return cmocka_run_group_tests_name("unit/diag_parse", tests, NULL, NULL);
}
