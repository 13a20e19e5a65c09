/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What ktls.c says to the kernel, byte for byte, and what it makes of the answers. The two socket
 * option calls are replaced: they keep what they were given and answer as the test says.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/secret.h"
#include "core/sys.h"
#include "record/ktls-abi.h"
#include "record/ktls.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define FD 1000

static struct {
	int err;           /* what the next call fails with; 0: it does not */
	bool no_mmap;      /* no memory */
	uint64_t live_seq; /* what getsockopt(2) says */

	unsigned int n_calls;
	int level, name;
	uint8_t value[64];
	socklen_t value_len;
} fake;

static int fake_result(int fd, int level, int name, socklen_t len)
{
	assert_int_equal(fd, FD);
	assert_in_range(len, 1, sizeof(fake.value));
	fake.n_calls++;
	fake.level = level;
	fake.name = name;
	fake.value_len = len;
	errno = fake.err;
	return fake.err ? -1 : 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int r = fake_result(fd, level, name, len);

	memcpy(fake.value, value, len);
	return r;
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	uint8_t *p = value;
	int r = fake_result(fd, level, name, *len);

	if (r == 0) {
		memset(p, 0x5a, *len); /* the key among it */
		for (unsigned int i = 0; i < 8; i++)
			p[*len - 1 - i] = (uint8_t)(fake.live_seq >> (8 * i));
	}
	return r;
}

static void *fake_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	if (!fake.no_mmap)
		return sys_real.mmap(addr, len, prot, flags, fd, offset);
	errno = ENOMEM;
	return MAP_FAILED;
}

static int setup(void **state)
{
	static struct sys_ops fake_sys;

	memset(&fake, 0, sizeof(fake));
	fake_sys = sys_real;
	fake_sys.setsockopt = fake_setsockopt;
	fake_sys.getsockopt = fake_getsockopt;
	fake_sys.mmap = fake_mmap;
	sys = &fake_sys;
	return 0;
}

static int teardown(void **state)
{
	sys = &sys_real;
	assert_int_equal(secret_live(), 0);
	return 0;
}

/* ---- keys ---- */

#define KEY16 "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
#define KEY32 KEY16 "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f"
#define SALT "\xa0\xa1\xa2\xa3"
#define IV8 "\xa4\xa5\xa6\xa7\xa8\xa9\xaa\xab"
#define SEQ "\x01\x02\x03\x04\x05\x06\x07\x08"

/* Everything after version and cipher, written by hand from uapi/linux/tls.h. */
static const struct layout {
	uint16_t suite, version, cipher;
	size_t len;
	const char *bytes;
} layouts[] = {
	{ 0x1301, 0x0304, 51, 36, IV8 KEY16 SALT SEQ },
	{ 0x1302, 0x0304, 52, 52, IV8 KEY32 SALT SEQ },
	{ 0x1303, 0x0304, 54, 52, SALT IV8 KEY32 SEQ },
	{ 0xc02f, 0x0303, 51, 36, SEQ KEY16 SALT SEQ },
	{ 0xc030, 0x0303, 52, 52, SEQ KEY32 SALT SEQ },
	{ 0xcca8, 0x0303, 54, 52, SALT IV8 KEY32 SEQ },
};

static void traffic_fill(struct traffic *traffic, const struct suite *suite)
{
	*traffic = (struct traffic){ .suite = suite, .seq = 0x0102030405060708 };
	for (unsigned int i = 0; i < sizeof(traffic->key); i++)
		traffic->key[i] = (uint8_t)i;
	for (unsigned int i = 0; i < sizeof(traffic->iv); i++)
		traffic->iv[i] = (uint8_t)(0xa0 + i);
	/* What lies behind a TLS 1.2 GCM suite's four bytes must not get out. */
	if (suite->explicit_len)
		memset(traffic->iv + suite->fixed_iv_len, 0xee, SUITE_MAX_IV - suite->fixed_iv_len);
}

static void keys_go_in_byte_for_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct layout *want = &layouts[i];
		struct kabi_crypto_info head;
		struct traffic traffic;

		traffic_fill(&traffic, suite_find(want->suite));
		for (int dir = KTLS_TX; dir <= KTLS_RX; dir++) {
			assert_int_equal(ktls_install(FD, (enum ktls_direction)dir, &traffic), 0);
			assert_int_equal(fake.level, 282);
			assert_int_equal(fake.name, dir == KTLS_TX ? 1 : 2);
			assert_int_equal(fake.value_len, sizeof(head) + want->len);
			memcpy(&head, fake.value, sizeof(head));
			assert_int_equal(head.version, want->version);
			assert_int_equal(head.cipher, want->cipher);
			assert_memory_equal(fake.value + sizeof(head), want->bytes, want->len);
		}
	}
}

/* Every suite that claims a kernel cipher must fit its layout: crypto_info_write() asserts it. */
static void every_suite_of_the_table_fits(void **state)
{
	const struct suite *suite;
	struct traffic traffic;
	size_t n_kernel = 0;

	for (size_t i = 0; (suite = suite_at(i)); i++) {
		traffic_fill(&traffic, suite);
		assert_int_equal(ktls_install(FD, KTLS_TX, &traffic),
				 suite->kernel_cipher ? 0 : EOPNOTSUPP);
		n_kernel += suite->kernel_cipher != 0;
	}
	assert_true(n_kernel >= ARRAY_SIZE(layouts));
}

static void a_cipher_the_kernel_lacks_costs_no_call(void **state)
{
	struct suite other = *suite_find(0x1301);
	struct traffic traffic;
	uint64_t seq = 77;

	other.kernel_cipher = 0;
	traffic_fill(&traffic, &other);
	assert_int_equal(ktls_install(1, KTLS_TX, &traffic), EOPNOTSUPP);
	assert_int_equal(ktls_record_seq(1, KTLS_TX, &other, &seq), EOPNOTSUPP);
	assert_int_equal(seq, 77);
	assert_int_equal(fake.n_calls, 0);
}

static void rekey_is_a_second_install(void **state)
{
	struct traffic traffic;
	uint8_t first[sizeof(fake.value)];

	traffic_fill(&traffic, suite_find(0x1302));
	assert_int_equal(ktls_install(FD, KTLS_TX, &traffic), 0);
	memcpy(first, fake.value, sizeof(first));
	traffic.seq = 0;
	traffic.key[0] ^= 1;
	assert_int_equal(ktls_install(FD, KTLS_TX, &traffic), 0);
	assert_int_equal(fake.name, 1);
	assert_int_equal(fake.value_len, 56);
	assert_int_equal(fake.value[12], first[12] ^ 1);
	assert_memory_equal(fake.value + 48, "\0\0\0\0\0\0\0\0", 8);
}

static void install_errors_are_passed_on(void **state)
{
	static const int errs[] = { EBUSY, EINVAL, ENOENT, ENOMEM, ENOPROTOOPT, EINTR };
	struct traffic traffic;

	traffic_fill(&traffic, suite_find(0x1303));
	for (size_t i = 0; i < ARRAY_SIZE(errs); i++) {
		fake.err = errs[i];
		assert_int_equal(ktls_install(FD, KTLS_RX, &traffic), errs[i]);
		assert_int_equal(fake.n_calls, i + 1);
	}
}

static void no_secret_memory(void **state)
{
	void *held[1024];
	struct traffic traffic;
	uint64_t seq = 77;
	size_t n = 0;

	traffic_fill(&traffic, suite_find(0x1301));
	fake.no_mmap = true;
	while (n < ARRAY_SIZE(held) && (held[n] = secret_new(40)))
		n++;
	assert_in_range(n, 0, ARRAY_SIZE(held) - 1);
	assert_int_equal(ktls_install(FD, KTLS_TX, &traffic), ENOMEM);
	assert_int_equal(ktls_record_seq(FD, KTLS_TX, traffic.suite, &seq), ENOMEM);
	assert_int_equal(seq, 77);
	assert_int_equal(fake.n_calls, 0);
	while (n > 0)
		secret_free(held[--n]);
}

static void live_record_number(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		const struct suite *suite = suite_find(layouts[i].suite);
		uint64_t seq = 77;

		fake.live_seq = 0xfedcba9876543210;
		for (int dir = KTLS_TX; dir <= KTLS_RX; dir++) {
			assert_int_equal(ktls_record_seq(FD, (enum ktls_direction)dir, suite, &seq),
					 0);
			assert_true(seq == 0xfedcba9876543210);
			assert_int_equal(fake.level, 282);
			assert_int_equal(fake.name, dir == KTLS_TX ? 1 : 2);
			assert_int_equal(fake.value_len, 4 + layouts[i].len);
		}
	}
}

static void record_number_of_an_unkeyed_socket(void **state)
{
	uint64_t seq = 77;

	fake.err = EBUSY;
	assert_int_equal(ktls_record_seq(FD, KTLS_RX, suite_find(0x1301), &seq), EBUSY);
	assert_int_equal(seq, 77);
}

/* ---- attaching and options ---- */

static void attach(void **state)
{
	static const struct {
		int err;
		enum sluice_path_reason reason;
	} rows[] = {
		{ ENOENT, SLUICE_REASON_NO_KTLS },     { ENOTCONN, SLUICE_REASON_NOT_ESTABLISHED },
		{ EEXIST, SLUICE_REASON_ULP_TAKEN },   { EOPNOTSUPP, SLUICE_REASON_SOCKET },
		{ ENOPROTOOPT, SLUICE_REASON_SOCKET }, { ENOTSOCK, SLUICE_REASON_SOCKET },
		{ ENOMEM, SLUICE_REASON_NOMEM },       { ENOBUFS, SLUICE_REASON_NOMEM },
		{ EPERM, SLUICE_REASON_REFUSED },      { EINVAL, SLUICE_REASON_REFUSED },
	};
	assert_int_equal(ktls_attach(FD), 0);
	assert_int_equal(fake.level, IPPROTO_TCP);
	assert_int_equal(fake.name, 31);
	assert_int_equal(fake.value_len, 4);
	assert_memory_equal(fake.value, "tls", 4);
	assert_int_equal(ktls_attach_reason(0), SLUICE_REASON_NONE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake.err = rows[i].err;
		assert_int_equal(ktls_attach(FD), rows[i].err);
		assert_int_equal(ktls_attach_reason(rows[i].err), rows[i].reason);
	}
}

static void attach_to_other_sockets(void **state)
{
	int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int local = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int file[2];

	assert_true(udp >= 0 && local >= 0);
	assert_int_equal(pipe(file), 0);
	sys = &sys_real;
	assert_int_equal(ktls_attach_reason(ktls_attach(udp)), SLUICE_REASON_SOCKET);
	assert_int_equal(ktls_attach_reason(ktls_attach(local)), SLUICE_REASON_SOCKET);
	assert_int_equal(ktls_attach_reason(ktls_attach(file[0])), SLUICE_REASON_SOCKET);
	close(udp);
	close(local);
	close(file[0]);
	close(file[1]);
}

static void options_have_their_own_sizes(void **state)
{
	const uint32_t one = 1;
	const uint16_t payload = 1000;

	assert_int_equal(ktls_set_option(FD, KTLS_ZEROCOPY_RO, 1), 0);
	assert_int_equal(fake.level, 282);
	assert_int_equal(fake.name, 3);
	assert_int_equal(fake.value_len, sizeof(one));
	assert_memory_equal(fake.value, &one, sizeof(one));
	assert_int_equal(ktls_set_option(FD, KTLS_NO_PAD, 1), 0);
	assert_int_equal(fake.name, 4);
	assert_int_equal(fake.value_len, sizeof(one));
	assert_memory_equal(fake.value, &one, sizeof(one));
	assert_int_equal(ktls_set_option(FD, KTLS_MAX_PAYLOAD, payload), 0);
	assert_int_equal(fake.name, 5);
	assert_int_equal(fake.value_len, sizeof(payload));
	assert_memory_equal(fake.value, &payload, sizeof(payload));
	fake.err = ENOPROTOOPT;
	assert_int_equal(ktls_set_option(FD, KTLS_MAX_PAYLOAD, payload), ENOPROTOOPT);
}

/* ---- control messages ---- */

static void record_type_out(void **state)
{
	union {
		struct cmsghdr cmsg;
		uint8_t bytes[KTLS_CONTROL_LEN];
	} control;
	struct msghdr msg = { 0 };

	memset(&control, 0xff, sizeof(control));
	ktls_set_type(&msg, &control, 21);
	assert_ptr_equal(msg.msg_control, &control);
	assert_int_equal(msg.msg_controllen, CMSG_SPACE(1));
	assert_int_equal(control.cmsg.cmsg_level, 282);
	assert_int_equal(control.cmsg.cmsg_type, 1);
	assert_int_equal(control.cmsg.cmsg_len, CMSG_LEN(1));
	assert_int_equal(control.bytes[CMSG_LEN(0)], 21);
	for (size_t i = CMSG_LEN(1); i < sizeof(control); i++)
		assert_int_equal(control.bytes[i], 0);
}

struct type_in {
	struct msghdr msg;
	union {
		struct cmsghdr cmsg;
		uint8_t bytes[2 * KTLS_CONTROL_LEN];
	} control;
};

/* A control message as the kernel gives it. */
static void type_in_init(struct type_in *in, uint8_t type)
{
	memset(in, 0, sizeof(*in));
	in->msg.msg_control = &in->control;
	in->msg.msg_controllen = KTLS_CONTROL_LEN;
	in->control.cmsg.cmsg_level = 282;
	in->control.cmsg.cmsg_type = 2;
	in->control.cmsg.cmsg_len = CMSG_LEN(1);
	in->control.bytes[CMSG_LEN(0)] = type;
}

static void record_type_in(void **state)
{
	struct type_in in;

	for (int type = 0; type < 256; type++) {
		type_in_init(&in, (uint8_t)type);
		in.msg.msg_flags = type & 1 ? MSG_EOR : 0;
		assert_int_equal(ktls_get_type(&in.msg), type);
	}
	type_in_init(&in, 23);
	in.msg.msg_controllen = CMSG_LEN(1); /* without the padding */
	assert_int_equal(ktls_get_type(&in.msg), 23);
	in.msg.msg_controllen = 0;
	assert_int_equal(ktls_get_type(&in.msg), -1);
}

static void malformed_record_type(void **state)
{
	struct type_in in;

	type_in_init(&in, 23);
	in.control.cmsg.cmsg_level = SOL_SOCKET;
	assert_int_equal(ktls_get_type(&in.msg), -2);
	type_in_init(&in, 23);
	in.control.cmsg.cmsg_type = 1;
	assert_int_equal(ktls_get_type(&in.msg), -2);
	for (size_t len = 0; len <= CMSG_LEN(8); len++) {
		type_in_init(&in, 23);
		in.control.cmsg.cmsg_len = len;
		assert_int_equal(ktls_get_type(&in.msg), len == CMSG_LEN(1) ? 23 : -2);
	}
	for (size_t len = 1; len < CMSG_LEN(1); len++) {
		type_in_init(&in, 23);
		in.msg.msg_controllen = len;
		assert_int_equal(ktls_get_type(&in.msg), -2);
	}
	type_in_init(&in, 23);
	in.msg.msg_flags = MSG_CTRUNC;
	assert_int_equal(ktls_get_type(&in.msg), -2);
	in.msg.msg_controllen = 0;
	assert_int_equal(ktls_get_type(&in.msg), -2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keys_go_in_byte_for_byte),
		TEST(every_suite_of_the_table_fits),
		TEST(a_cipher_the_kernel_lacks_costs_no_call),
		TEST(rekey_is_a_second_install),
		TEST(install_errors_are_passed_on),
		TEST(no_secret_memory),
		TEST(live_record_number),
		TEST(record_number_of_an_unkeyed_socket),
		TEST(attach),
		TEST(attach_to_other_sockets),
		TEST(options_have_their_own_sizes),
		TEST(record_type_out),
		TEST(record_type_in),
		TEST(malformed_record_type),
	};

	return cmocka_run_group_tests_name("unit/ktls", tests, NULL, NULL);
}
