/* SPDX-License-Identifier: Apache-2.0 */
/* Options at work: laid over others at the handshake, refused by name, and those of the socket. */
#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "record/ktls-abi.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "support/tcp.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* --- options at the handshake -------------------------------------------------------------- */

/* Accepts, and begins the handshake with @extra, which is gone when it runs. As pair_run(). */
static int connect_with(struct pair *pair, const char *extra)
{
	struct sluice_options *opts = check_options(extra);

	pair_drop(pair);
	pair->client_result =
		sluice_connect(pair->sluice, pair->host, sluice_listener_port(pair->listener),
			       pair->client_profile, NULL, SLUICE_NOWAIT, &pair->client, NULL);
	assert_int_equal(pair->client_result, -SLUICE_E_AGAIN);
	assert_int_equal(sluice_transport_accept(pair->listener, TCP_WAIT_MS, &pair->server), 0);
	pair->server_result = sluice_handshake(pair->server, opts, SLUICE_NOWAIT);
	sluice_options_free(opts);
	return pair_run(pair);
}

static void LC_13_extra_options_add_and_override(void **state)
{
	const struct certs *certs = certs_get();
	struct sluice_conn_info info;
	struct pair pair;
	char extra[800];
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){
					 .path = path,
					 .server_options = "alpn_preferred_protocols = a",
					 .client_options = "alpn_advertised_protocols = a,b" });
		/* Versions and protocol in another way, a certificate of another kind. */
		snprintf(extra, sizeof(extra),
			 "versions = tlsv1.2\nalpn_preferred_protocols = b\ncertfile = %s\n"
			 "keyfile = %s\nexporter = true\n",
			 certs->server_rsa, certs->server_rsa_key);
		for (i = 0; i < 2; i++) {
			assert_int_equal(connect_with(&pair, extra), 0);
			info = check_info(pair.client);
			assert_int_equal(info.version, 0x0303);
			assert_string_equal(info.alpn, "b");
			assert_int_equal(info.signature, 0x0804); /* rsa_pss_rsae_sha256 */
			assert_string_equal(sluice_path_name(info.tx.path), path);
			assert_int_equal(sluice_export_keying_material(
						 pair.server, (uint8_t[8]){ 0 }, 8, "x", NULL, 0),
					 0);
			pair_exchange(&pair, 20000);
			pair_drop(&pair);

			/* It was for that connection. */
			assert_int_equal(pair_connect(&pair), 0);
			info = check_info(pair.client);
			assert_int_equal(info.version, 0x0304);
			assert_string_equal(info.alpn, "a");
			assert_int_equal(info.signature, 0x0403); /* ecdsa_secp256r1_sha256 */
			assert_int_equal(sluice_export_keying_material(
						 pair.server, (uint8_t[8]){ 0 }, 8, "x", NULL, 0),
					 -SLUICE_E_UNDEFINED);
		}
		/* What is not in the extra set stays. */
		assert_int_equal(connect_with(&pair, "versions = tlsv1.3"), 0);
		assert_string_equal(check_info(pair.server).alpn, "a");
		assert_int_equal(connect_with(&pair, ""), 0);
		assert_int_equal(check_info(pair.server).version, 0x0304);
		pair_close(&pair);
	}
}

static void LC_13_extra_options_that_are_wrong(void **state)
{
	static const struct {
		const char *extra;
		int code;
	} cases[] = {
		{ "server_name_indication = localhost", SLUICE_E_OPTION_ROLE },
		{ "verify = verify_peer", SLUICE_E_OPTION_CONFLICT },
		{ "certfile = /no/such/file", SLUICE_E_FILE },
		{ "ciphers = TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\nversions = tlsv1.2",
		  SLUICE_E_OPTION_CONFLICT },
	};
	struct sluice_error err;
	struct pair pair;
	size_t i;

	pair_open(&pair, &(struct pair_setup){ 0 });
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sluice_options *opts = check_options(cases[i].extra);

		pair.client_result = sluice_connect(pair.sluice, pair.host,
						    sluice_listener_port(pair.listener),
						    pair.client_profile, NULL, SLUICE_NOWAIT,
						    &pair.client, NULL);
		assert_int_equal(sluice_transport_accept(pair.listener, TCP_WAIT_MS, &pair.server),
				 0);
		assert_int_equal(sluice_handshake(pair.server, opts, SLUICE_INFINITY),
				 -cases[i].code);
		sluice_options_free(opts);
		assert_int_equal(sluice_conn_error(pair.server, &err, sizeof(err)), 0);
		assert_int_equal(err.code, cases[i].code);
		assert_true(strlen(err.text) > 10);
		/* It does not go on with half of them. */
		assert_int_equal(sluice_handshake(pair.server, NULL, SLUICE_INFINITY),
				 -cases[i].code);
		pair_drop(&pair);
		assert_int_equal(pair_connect(&pair), 0);
		pair_drop(&pair);
	}
	pair_close(&pair);
}

/* --- text and names ------------------------------------------------------------------------ */

static void LC_26_what_is_not_an_option(void **state)
{
	static const char again[] = "depth = 1\nverify = verify_none";
	static const struct {
		const char *text, *line;
	} cases[] = {
		{ "verify", "line 1" },
		{ "depth = 3\n\n# a comment\n= 5\n", "line 4" },
		{ "depth = 3\njust words\n", "line 2" },
		{ "depth : 3", "line 1" },
	};
	struct sluice_profile *profile;
	struct sluice_options *opts;
	struct sluice_error err;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(sluice_options_new(&opts), 0);
		assert_int_equal(sluice_options_parse(opts, cases[i].text, strlen(cases[i].text),
						      &err),
				 -SLUICE_E_OPTION_MALFORMED);
		assert_int_equal(err.code, SLUICE_E_OPTION_MALFORMED);
		assert_non_null(strstr(err.text, cases[i].line));
		/* And nothing of it is in force: the depth can still be set. */
		assert_int_equal(sluice_options_parse(opts, again, sizeof(again) - 1, &err), 0);
		assert_int_equal(sluice_profile_new(&profile, opts, SLUICE_CLIENT, &err), 0);
		sluice_profile_unref(profile);
		sluice_options_free(opts);
	}
}

static void expect_word_refused(enum sluice_option id, const char *words, int code)
{
	struct sluice_options *opts;
	struct sluice_error err;

	assert_int_equal(sluice_options_new(&opts), 0);
	if (sluice_options_set(opts, id, words, &err) != -code)
		fail_msg("%s is not refused with %s", words, sluice_error_name(code));
	assert_int_equal(err.code, code);
	assert_int_equal(sluice_error_kind(err.code), SLUICE_KIND_UNSUPPORTED);
	assert_non_null(strstr(err.text, "not supported"));
	sluice_options_free(opts);
}

/* Sends a ClientHello of an old version and nothing newer; expects alert protocol_version. */
static void expect_version_refused(uint8_t minor)
{
	/* RFC 5246, 7.4.1.2, with TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA and TLS_RSA_...; RFC 6101. */
	uint8_t hello[] = {
		RECORD_HANDSHAKE,
		3,
		minor,
		0,
		49,
		1,
		0,
		0,
		45,
		3,
		minor,
		/* random */ 1,
		2,
		3,
		4,
		5,
		6,
		7,
		8,
		9,
		10,
		11,
		12,
		13,
		14,
		15,
		16,
		17,
		18,
		19,
		20,
		21,
		22,
		23,
		24,
		25,
		26,
		27,
		28,
		29,
		30,
		31,
		32,
		/* session id, suites, compression, no extensions */ 0,
		0,
		6,
		0xc0,
		0x09,
		0x00,
		0x2f,
		0x00,
		0x0a,
		1,
		0,
	};
	struct pair pair;
	struct peer peer;
	uint8_t alert[7];

	_Static_assert(sizeof(hello) == 5 + 49, "the lengths in the headers");
	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_send(&peer, hello, sizeof(hello));
	assert_int_equal(peer_run(&peer), -SLUICE_E_NO_SHARED);
	check_error(peer.conn, SLUICE_E_NO_SHARED, ALERT_SENT(SLUICE_ALERT_PROTOCOL_VERSION));
	tcp_read(peer.fd, alert, sizeof(alert));
	assert_int_equal(alert[0], RECORD_ALERT);
	assert_int_equal(alert[5], 2);
	assert_int_equal(alert[6], SLUICE_ALERT_PROTOCOL_VERSION);
	peer_close(&peer);
	assert_int_equal(pair_connect(&pair), 0);
	pair_close(&pair);
}

static void LC_55_no_ssl_3(void **state)
{
	expect_word_refused(SLUICE_OPT_VERSIONS, "sslv3", SLUICE_E_UNSUPPORTED_SSLV3);
	expect_word_refused(SLUICE_OPT_VERSIONS, "tlsv1.3,tlsv1.2,sslv3",
			    SLUICE_E_UNSUPPORTED_SSLV3);
	expect_version_refused(0);
}

static void LC_56_no_tls_1_0_and_1_1(void **state)
{
	expect_word_refused(SLUICE_OPT_VERSIONS, "tlsv1", SLUICE_E_UNSUPPORTED_VERSION);
	expect_word_refused(SLUICE_OPT_VERSIONS, "tlsv1.1", SLUICE_E_UNSUPPORTED_VERSION);
	expect_word_refused(SLUICE_OPT_VERSIONS, "tlsv1.2, tlsv1.1", SLUICE_E_UNSUPPORTED_VERSION);
	expect_version_refused(1);
	expect_version_refused(2);
}

static void other_old_versions_and_dtls_are_refused_by_name(void **state)
{
	static const char *const words[] = { "sslv2", "dtlsv1", "dtlsv1.2", "dtlsv1.3" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		expect_word_refused(SLUICE_OPT_VERSIONS, words[i], SLUICE_E_UNSUPPORTED_VERSION);
}

/* The highest in common, in every combination; nothing in common is an error of both. */
static void LC_57_versions_1_2_and_1_3(void **state)
{
	static const char *const words[] = { "", "versions = tlsv1.2", "versions = tlsv1.3",
					     "versions = tlsv1.2,tlsv1.3" };
	static const uint16_t expected[4][4] = {
		{ 0x0304, 0x0303, 0x0304, 0x0304 },
		{ 0x0303, 0x0303, 0, 0x0303 },
		{ 0x0304, 0, 0x0304, 0x0304 },
		{ 0x0304, 0x0303, 0x0304, 0x0304 },
	};
	struct sluice_conn_info info;
	struct pair pair;
	int c, s, r;

	for (s = 0; s < 4; s++) {
		for (c = 0; c < 4; c++) {
			pair_open(&pair, &(struct pair_setup){ .server_options = words[s],
							       .client_options = words[c] });
			r = pair_connect(&pair);
			assert_int_equal(r == 0, expected[s][c] != 0);
			info = check_info(pair.client);
			assert_int_equal(info.version, expected[s][c]);
			assert_int_equal(check_info(pair.server).version, expected[s][c]);
			/* The kernel's record path wherever there is one. */
			if (r == 0)
				assert_string_equal(sluice_path_name(info.tx.path),
						    pair_path(1) ? "kernel" : "user");
			else
				assert_int_equal(pair.server_result, -SLUICE_E_NO_SHARED);
			pair_close(&pair);
		}
	}
}

/* --- options of the socket ----------------------------------------------------------------- */

static int get_int(struct sluice_conn *conn, int level, int name)
{
	socklen_t len = sizeof(int);
	int value = -1;

	assert_int_equal(sluice_getopt(conn, level, name, &value, &len), 0);
	assert_int_equal(len, sizeof(int));
	return value;
}

static void LC_41_LC_42_options_of_the_socket(void **state)
{
	const int values[] = { 0, 1 };
	struct pair pair;
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		/* Small records do not wait for others, on either end. */
		assert_true(get_int(pair.client, IPPROTO_TCP, TCP_NODELAY));
		assert_true(get_int(pair.server, IPPROTO_TCP, TCP_NODELAY));
		for (i = 0; i < 2; i++) {
			assert_int_equal(sluice_setopt(pair.client, IPPROTO_TCP, TCP_NODELAY,
						       &values[i], sizeof(int)),
					 0);
			assert_int_equal(!!get_int(pair.client, IPPROTO_TCP, TCP_NODELAY), i);
			assert_int_equal(sluice_setopt(pair.client, SOL_SOCKET, SO_KEEPALIVE,
						       &values[i], sizeof(int)),
					 0);
			assert_int_equal(get_int(pair.client, SOL_SOCKET, SO_KEEPALIVE), i);
			assert_int_equal(get_int(pair.server, SOL_SOCKET, SO_KEEPALIVE), 0);
			pair_exchange(&pair, 20000);
		}
		assert_int_equal(get_int(pair.client, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
		pair_close(&pair);
	}
}

static void LC_41_LC_42_what_the_socket_does_not_have(void **state)
{
	struct pair pair;
	socklen_t len = sizeof(int);
	int value = 7;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(sluice_setopt(pair.client, SOL_SOCKET, 9999, &value, len),
				 -SLUICE_E_IO);
		assert_int_equal(sluice_getopt(pair.client, SOL_SOCKET, 9999, &value, &len),
				 -SLUICE_E_IO);
		assert_int_equal(sluice_setopt(pair.client, IPPROTO_TCP, TCP_NODELAY, &value, 1),
				 -SLUICE_E_IO);
		assert_int_equal(value, 7);
		pair_exchange(&pair, 1000);
		pair_close(&pair);
	}
}

/* The kernel's TLS belongs to the connection: not set by others, and no key is read out of it. */
static void expect_policy(struct sluice_conn *conn)
{
	static const int names[] = { KABI_TX,
				     KABI_RX,
				     KABI_TX_ZEROCOPY_RO,
				     KABI_RX_EXPECT_NO_PAD,
				     KABI_TX_MAX_PAYLOAD_LEN,
				     99 };
	uint8_t value[64] = { 0 }, zeros[64] = { 0 };
	socklen_t len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		len = sizeof(value);
		assert_int_equal(sluice_setopt(conn, KABI_SOL_TLS, names[i], value, len),
				 -SLUICE_E_POLICY);
		assert_int_equal(sluice_getopt(conn, KABI_SOL_TLS, names[i], value, &len),
				 -SLUICE_E_POLICY);
		assert_int_equal(len, sizeof(value));
	}
	assert_int_equal(sluice_setopt(conn, IPPROTO_TCP, KABI_TCP_ULP, "tls", 4),
			 -SLUICE_E_POLICY);
	assert_int_equal(sluice_getopt(conn, IPPROTO_TCP, KABI_TCP_ULP, value, &len),
			 -SLUICE_E_POLICY);
	assert_memory_equal(value, zeros, sizeof(value));
}

static void LC_41_LC_42_the_kernels_tls_options_are_refused(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct pair pair;
	int v;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[v] });
			pair_start(&pair, NULL);
			expect_policy(pair.client);
			expect_policy(pair.server);
			assert_int_equal(pair_run(&pair), 0);
			expect_policy(pair.client);
			expect_policy(pair.server);
			pair_exchange(&pair, 20000);
			pair_close(&pair);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_13_extra_options_add_and_override),
		cmocka_unit_test(LC_13_extra_options_that_are_wrong),
		cmocka_unit_test(LC_26_what_is_not_an_option),
		cmocka_unit_test(LC_55_no_ssl_3),
		cmocka_unit_test(LC_56_no_tls_1_0_and_1_1),
		cmocka_unit_test(other_old_versions_and_dtls_are_refused_by_name),
		cmocka_unit_test(LC_57_versions_1_2_and_1_3),
		cmocka_unit_test(LC_41_LC_42_options_of_the_socket),
		cmocka_unit_test(LC_41_LC_42_what_the_socket_does_not_have),
		cmocka_unit_test(LC_41_LC_42_the_kernels_tls_options_are_refused),
	};

	return cmocka_run_group_tests_name("flow/options", tests, leaks_setup, leaks_teardown);
}
