/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How large the records of a connection are, seen on the wire: options tx_max_payload_len and
 * dynamic_record_size, for messages and files, on every record path; and what becomes of the options of the
 * kernel's TLS. The client is on the user path, so that its socket has the records as they came.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sys.h"
#include "record/record.h"
#include "record/sizing.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MANY 200
#define SUITES                              \
	"ciphers = TLS_AES_128_GCM_SHA256," \
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\nticket_count = 0\n"
#define WIRE_MAX (1 << 20)
#define WAIT_MS 5000

struct wire {
	size_t n;
	size_t len[MANY]; /* of the plaintext of each record */
};

static void open_sized(struct pair *pair, const char *path, const char *version,
		       const char *options)
{
	char text[512];

	snprintf(text, sizeof(text), "%s%s", SUITES, options);
	pair_open(pair, &(struct pair_setup){
				.path = path, .versions = version, .server_options = text });
	snprintf(text, sizeof(text),
		 "record_path = user\nserver_name_indication = localhost\n"
		 "cacertfile = %s\nversions = %s\n",
		 certs_get()->ca, version);
	sluice_profile_unref(pair->client_profile);
	pair->client_profile = pair_profile(SLUICE_CLIENT, text);
}

static void connect_sized(struct pair *pair, const char *path, const char *version,
			  const char *options)
{
	open_sized(pair, path, version, options);
	assert_int_equal(pair_connect(pair), 0);
}

/* What a record is longer than its plaintext, of the AES-128-GCM suites. */
static size_t overhead(const char *version)
{
	return strcmp(version, "tlsv1.3") == 0 ? 1 + 16 : 8 + 16;
}

/* The records of @len bytes of data that are in the client's socket, without taking them out. */
static void look(struct pair *pair, const char *version, size_t len, struct wire *ret_wire)
{
	uint8_t *bytes = malloc(WIRE_MAX);
	size_t at, got = 0, total = 0;
	struct wire wire = { 0 };
	ssize_t n;

	assert_non_null(bytes);
	for (int i = 0; i < WAIT_MS && total < len; i++) {
		n = recv(sluice_conn_fd(pair->client), bytes, WIRE_MAX, MSG_PEEK | MSG_DONTWAIT);
		got = n > 0 ? (size_t)n : 0;
		memset(&wire, 0, sizeof(wire));
		for (total = 0, at = 0; at + RECORD_HEADER_LEN <= got && wire.n < MANY;) {
			size_t body = (size_t)bytes[at + 3] << 8 | bytes[at + 4];

			at += RECORD_HEADER_LEN + body;
			if (at > got)
				break;
			assert_in_range(body, overhead(version) + 1, 20000);
			wire.len[wire.n] = body - overhead(version);
			total += wire.len[wire.n++];
		}
		if (total < len)
			usleep(1000);
	}
	free(bytes);
	assert_int_equal(total, len);
	*ret_wire = wire;
}

/* Takes what has been looked at, and compares it. */
static void take(struct pair *pair, size_t len)
{
	uint8_t *buf = malloc(2 * len);

	assert_non_null(buf);
	assert_int_equal(sluice_recv_exact(pair->client, buf, len, WAIT_MS), len);
	pair_pattern(buf + len, len, 0);
	assert_memory_equal(buf, buf + len, len);
	free(buf);
}

/* Sends the pattern, as a message or as a file. */
static void give(struct pair *pair, bool file, size_t len)
{
	uint8_t *buf = malloc(len);
	off_t offset = 0;
	int fd;

	assert_non_null(buf);
	pair_pattern(buf, len, 0);
	if (!file) {
		assert_int_equal(sluice_send(pair->server, buf, len, WAIT_MS), len);
		free(buf);
		return;
	}
	fd = memfd_create("file", MFD_CLOEXEC);
	assert_int_equal(write(fd, buf, len), len);
	free(buf);
	assert_int_equal(sluice_sendfile(pair->server, fd, &offset, len, WAIT_MS), len);
	assert_int_equal(offset, len);
	close(fd);
}

static void no_record_is_larger_than_tx_max_payload_len(void **state)
{
	uint64_t before;
	struct wire wire;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			connect_sized(&pair, path, version, "tx_max_payload_len = 1000\n");
			before = check_info(pair.server).tx.records;
			for (int file = 0; file < 2; file++) {
				give(&pair, file, 20500);
				look(&pair, version, 20500, &wire);
				assert_int_equal(wire.n, 21);
				for (size_t i = 0; i < 20; i++)
					assert_int_equal(wire.len[i], 1000);
				take(&pair, 20500);
			}
			assert_int_equal(check_info(pair.server).tx_max_payload, 1000);
			assert_int_equal(check_info(pair.server).tx.records - before, 42);
			pair_exchange(&pair, 100000);
			pair_close(&pair);
		}
	}
}

/* What one sends in pieces ends in pieces: only how large they get is looked at. */
static void a_young_connection_has_small_records(void **state)
{
	const size_t small = SIZING_STEP * SIZING_SEGMENT, middle = SIZING_STEP * SIZING_MIDDLE;
	struct wire wire;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		for (int file = 0; file < 2; file++) {
			connect_sized(&pair, path, "tlsv1.3", "dynamic_record_size = true\n");
			give(&pair, file, small);
			look(&pair, "tlsv1.3", small, &wire);
			assert_int_equal(wire.n, SIZING_STEP);
			assert_int_equal(wire.len[0], SIZING_SEGMENT);
			take(&pair, small);
			for (int part = 0; part < 4; part++) { /* as much as a socket holds */
				give(&pair, file, middle / 4);
				look(&pair, "tlsv1.3", middle / 4, &wire);
				assert_int_equal(wire.n, SIZING_STEP / 4);
				assert_int_equal(wire.len[0], SIZING_MIDDLE);
				take(&pair, middle / 4);
			}
			give(&pair, file, 2 * RECORD_MAX_PLAIN);
			look(&pair, "tlsv1.3", 2 * RECORD_MAX_PLAIN, &wire);
			assert_int_equal(wire.n, 2);
			take(&pair, 2 * RECORD_MAX_PLAIN);
			assert_int_equal(check_info(pair.server).tx_max_payload, RECORD_MAX_PLAIN);
			usleep(SIZING_IDLE_US + 10000);
			give(&pair, file, 3000);
			look(&pair, "tlsv1.3", 3000, &wire);
			assert_int_equal(wire.n, 3);
			assert_int_equal(wire.len[0], SIZING_SEGMENT);
			take(&pair, 3000);
			pair_close(&pair);
		}
	}
}

static void full_records_are_the_default(void **state)
{
	struct wire wire;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		connect_sized(&pair, path, "tlsv1.3", "");
		for (int file = 0; file < 2; file++) {
			give(&pair, file, 3 * RECORD_MAX_PLAIN);
			look(&pair, "tlsv1.3", 3 * RECORD_MAX_PLAIN, &wire);
			assert_int_equal(wire.n, 3);
			take(&pair, 3 * RECORD_MAX_PLAIN);
		}
		assert_int_equal(check_info(pair.server).tx_max_payload_len, SLUICE_KTLS_NOT_ASKED);
		pair_close(&pair);
	}
}

static int expected_use(const struct sluice_conn_info *info, int probed_errno, bool tls13_only)
{
	if (info->tx.path != SLUICE_PATH_KERNEL)
		return SLUICE_KTLS_USER_PATH;
	if (tls13_only && info->version != 0x0304)
		return SLUICE_KTLS_VERSION;
	return probed_errno ? SLUICE_KTLS_MISSING : SLUICE_KTLS_IN_FORCE;
}

static void what_became_of_options_is_told(void **state)
{
	struct sluice_capabilities caps;
	struct sluice_conn_info info;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			connect_sized(&pair, path, version,
				      "tx_zerocopy_ro = true\nrx_expect_no_pad = true\n"
				      "tx_max_payload_len = 5000\n");
			assert_int_equal(sluice_capabilities(pair.sluice, &caps, sizeof(caps)), 0);
			info = check_info(pair.server);
			assert_int_equal(info.tx_zerocopy_ro,
					 expected_use(&info, caps.zerocopy_errno, false));
			assert_int_equal(info.rx_expect_no_pad,
					 expected_use(&info, caps.no_pad_errno, true));
			assert_int_equal(info.tx_max_payload_len,
					 expected_use(&info, caps.max_payload_errno, false));
			info = check_info(pair.client);
			assert_int_equal(info.tx_zerocopy_ro, SLUICE_KTLS_NOT_ASKED);
			pair_exchange(&pair, 300000);
			pair_close(&pair);
		}
	}
}

/* A kernel that has the option and says no: the connection goes on, and says so. */
static int refuse_options(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == 282 && name >= 3) { /* SOL_TLS */
		errno = EPERM;
		return -1;
	}
	return setsockopt(fd, level, name, value, len);
}

static void a_refusal_is_no_end(void **state)
{
	const struct sys_ops *before = sys;
	struct sluice_capabilities caps;
	struct sys_ops ops;
	struct wire wire;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		open_sized(&pair, path, "tlsv1.3",
			   "tx_max_payload_len = 1000\nrx_expect_no_pad = true\n");
		assert_int_equal(sluice_capabilities(pair.sluice, &caps, sizeof(caps)), 0);
		ops = *before;
		ops.setsockopt = refuse_options;
		sys = &ops;
		assert_int_equal(pair_connect(&pair), 0);
		give(&pair, false, 10000);
		sys = before;
		look(&pair, "tlsv1.3", 10000, &wire);
		assert_int_equal(wire.n, 10);
		take(&pair, 10000);
		if (check_info(pair.server).tx.path == SLUICE_PATH_KERNEL && !caps.no_pad_errno)
			assert_int_equal(check_info(pair.server).rx_expect_no_pad,
					 SLUICE_KTLS_REFUSED);
		pair_close(&pair);
	}
}

static void every_use_has_a_name(void **state)
{
	for (int use = 0; use < SLUICE_KTLS_USES; use++)
		assert_string_not_equal(sluice_ktls_use_name(use), "unknown");
	assert_string_equal(sluice_ktls_use_name(-1), "unknown");
	assert_string_equal(sluice_ktls_use_name(SLUICE_KTLS_USES), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_record_is_larger_than_tx_max_payload_len),
		cmocka_unit_test(a_young_connection_has_small_records),
		cmocka_unit_test(full_records_are_the_default),
		cmocka_unit_test(what_became_of_options_is_told),
		cmocka_unit_test(a_refusal_is_no_end),
		cmocka_unit_test(every_use_has_a_name),
	};

	return cmocka_run_group_tests_name("flow/record_size", tests, leaks_setup, leaks_teardown);
}
