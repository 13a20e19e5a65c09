/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen of the peer's hello, on both roles, however it comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <poll.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/check.h"
#include "support/fault.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/pause.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define assert_numbers(numbers, n, ...)                                   \
	do {                                                              \
		static const uint16_t expected[] = { __VA_ARGS__ };       \
		assert_int_equal(n, ARRAY_SIZE(expected));                \
		assert_memory_equal(numbers, expected, sizeof(expected)); \
	} while (0)

/* --- what is seen ------------------------------------------------------------------------ */

#define OFFER                                                                     \
	"supported_groups = secp384r1, x25519\n"                                  \
	"signature_algs = rsa_pss_rsae_sha256, ecdsa_secp256r1_sha256\n"          \
	"alpn_advertised_protocols = h2, http/1.1\n"                              \
	"ciphers = TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, "              \
	"TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, " \
	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n"

static void assert_client_hello(const struct sluice_hello *hello)
{
	static const uint8_t alpn[] = "\2h2\10http/1.1";

	assert_int_equal(hello->legacy_version, 0x0303);
	assert_string_equal(hello->sni, "localhost");
	assert_int_equal(hello->alpn_len, sizeof(alpn) - 1);
	assert_memory_equal(hello->alpn, alpn, sizeof(alpn) - 1);
	assert_numbers(hello->groups, hello->n_groups, 0x0018, 0x001d);
	assert_numbers(hello->signature_algs, hello->n_signature_algs, 0x0804, 0x0403);
	assert_numbers(hello->versions, hello->n_versions, 0x0304, 0x0303);
	assert_numbers(hello->suites, hello->n_suites, 0x1301, 0x1302, 0x1303, 0xc02c, 0xc02b);
	assert_int_equal(hello->ec_point_formats_len, 1);
	assert_int_equal(hello->ec_point_formats[0], 0);
	assert_non_null(hello->renegotiation_info);
	assert_int_equal(hello->renegotiation_info_len, 0);
}

static void LC_15_LC_16_IN_29_IN_30_IN_31_IN_34_IN_35_IN_36_server_sees_the_hello(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pause_open(&pair, SLUICE_SERVER,
			   (struct pair_setup){ .path = path, .client_options = OFFER });
		hello = pause_hello(pair.server);
		assert_client_hello(&hello);
		assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
		/* What it points to lives as long as the connection. */
		assert_client_hello(&hello);
		pair_exchange(&pair, 20000);
		hello = pause_hello(pair.server);
		assert_client_hello(&hello);
		assert_string_equal(check_info(pair.server).sni, "localhost");
		pair_close(&pair);
	}
}

static void LC_15_LC_16_client_sees_the_answer(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		PAIR_FOR_EACH_PATH(path)
		{
			pause_open(&pair, SLUICE_CLIENT,
				   (struct pair_setup){
					   .path = path,
					   .versions = version,
					   .client_options =
						   "supported_groups = x25519, secp256r1\n" });
			hello = pause_hello(pair.client);
			assert_int_equal(hello.legacy_version, 0x0303);
			assert_int_equal(hello.n_suites, 1);
			assert_int_equal(hello.n_signature_algs, 0);
			if (version_i == 0) {
				assert_numbers(hello.versions, hello.n_versions, 0x0304);
				assert_numbers(hello.groups, hello.n_groups, 0x001d);
			} else {
				assert_int_equal(hello.n_versions, 0);
				assert_non_null(hello.renegotiation_info);
				assert_int_equal(hello.ec_point_formats_len, 1);
			}
			assert_int_equal(pause_continue(&pair, SLUICE_CLIENT, NULL), 0);
			assert_int_equal(check_info(pair.client).suite, hello.suites[0]);
			pair_exchange(&pair, 20000);
			pair_close(&pair);
		}
	}
}

/* What a client has that was told nothing. */
static void CL_25_OC_19_OC_44_the_default_offer(void **state)
{
	struct sluice_capabilities caps;
	struct sluice_hello hello;
	struct pair pair;
	size_t mlkem;

	pause_open(&pair, SLUICE_SERVER, (struct pair_setup){ 0 });
	hello = pause_hello(pair.server);
	assert_numbers(hello.signature_algs, hello.n_signature_algs, 0x0807, 0x0403, 0x0503, 0x0603,
		       0x0804, 0x0805, 0x0806, 0x0401, 0x0501, 0x0601);
	assert_numbers(hello.versions, hello.n_versions, 0x0304, 0x0303);
	assert_int_equal(sluice_capabilities(pair.sluice, &caps, sizeof(caps)), 0);
	mlkem = caps.mlkem ? 1 : 0;
	assert_int_equal(hello.groups[0], mlkem ? 0x11ec : 29);
	assert_numbers(hello.groups + mlkem, hello.n_groups - mlkem, 29, 23, 24);
	assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
	pair_close(&pair);
}

static void IN_31_IN_36_what_was_not_sent_is_absent(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ .server_options = PAUSE });
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = pair_profile(SLUICE_CLIENT, "verify = verify_none\n"
							  "server_name_indication = disable\n");
	pair_start(&pair, NULL);
	pause_run(&pair, SLUICE_SERVER);
	hello = pause_hello(pair.server);
	assert_null(hello.sni);
	assert_null(hello.alpn);
	assert_int_equal(hello.alpn_len, 0);
	assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
	assert_string_equal(check_info(pair.server).sni, "");
	pair_close(&pair);
}

static void LC_16_hello_before_and_without_a_pause(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	pair_start(&pair, NULL);
	assert_int_equal(sluice_hello(pair.client, &hello, sizeof(hello)), -SLUICE_E_UNDEFINED);
	assert_int_equal(pair_run(&pair), 0);
	assert_string_equal(pause_hello(pair.server).sni, "localhost");
	assert_int_equal(pause_hello(pair.client).n_suites, 1);

	/* A program that was built when the structure was shorter, and one with a longer one. */
	assert_int_equal(sluice_hello(pair.server, &hello, 0), -SLUICE_E_INVALID);
	memset(&hello, 0x5a, sizeof(hello));
	assert_int_equal(sluice_hello(pair.server, &hello, offsetof(struct sluice_hello, alpn)), 0);
	assert_string_equal(hello.sni, "localhost");
	assert_int_equal(hello.alpn_len, 0x5a5a5a5a5a5a5a5a);
	pair_close(&pair);
}

static void LC_15_several_segments_make_one_hello(void **state)
{
	struct pair pair;
	struct peer peer;
	const uint8_t *flight;
	size_t len, i;

	pair_open(&pair, &(struct pair_setup){ .server_options = PAUSE });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS13, NULL);
	SSL_set_tlsext_host_name(peer.ssl, "one.byte.test");
	peer_step(&peer);
	flight = peer_output(&peer, &len);
	for (i = 0; i < len; i++) {
		assert_int_equal(peer_dispatch(&peer), -SLUICE_E_AGAIN);
		peer_send(&peer, flight + i, 1);
		peer_wait(&peer);
	}
	assert_int_equal(BIO_reset(SSL_get_wbio(peer.ssl)), 1);
	assert_int_equal(peer_run(&peer), SLUICE_PAUSED);
	assert_string_equal(pause_hello(peer.conn).sni, "one.byte.test");
	peer.result = sluice_handshake_continue(peer.conn, NULL, SLUICE_NOWAIT);
	peer_handshake(&peer);
	assert_int_equal(peer.result, 0);
	peer_close(&peer);
	pair_close(&pair);
}

static void LC_15_several_segments_make_one_answer(void **state)
{
	static const uint16_t numbers[] = { TLS13, TLS12 };
	struct pair pair;
	struct peer peer;
	const uint8_t *flight;
	size_t len, i, v;

	for (v = 0; v < ARRAY_SIZE(numbers); v++) {
		pair_open(&pair, &(struct pair_setup){ .client_options = PAUSE });
		peer_open(&peer, &pair, SLUICE_SERVER);
		peer_ssl(&peer, numbers[v], NULL);
		do {
			peer_dispatch(&peer);
			peer_step(&peer);
			flight = peer_output(&peer, &len);
		} while (!len);
		for (i = 0; i < len && peer.result == -SLUICE_E_AGAIN; i++) {
			peer_send(&peer, flight + i, 1);
			peer_wait(&peer);
			peer_dispatch(&peer);
		}
		/* The rest of the flight waits in the test: the ServerHello was enough. */
		assert_int_equal(peer.result, SLUICE_PAUSED);
		assert_int_equal(pause_hello(peer.conn).n_suites, 1);
		peer_send(&peer, flight + i, len - i);
		assert_int_equal(BIO_reset(SSL_get_wbio(peer.ssl)), 1);
		peer.result = sluice_handshake_continue(peer.conn, NULL, SLUICE_NOWAIT);
		peer_handshake(&peer);
		assert_int_equal(peer.result, 0);
		peer_close(&peer);
		pair_close(&pair);
	}
}

/* --- with a HelloRetryRequest ------------------------------------------------------------ */

static const struct pair_setup retry_setup = {
	.versions = "tlsv1.3",
	.client_options = "supported_groups = secp384r1, x25519\n",
	.server_options = "supported_groups = x25519\n",
};

static void LC_15_a_retried_hello_pauses_the_server_once(void **state)
{
	struct pair pair;

	pause_open(&pair, SLUICE_SERVER, retry_setup);
	assert_numbers(pause_hello(pair.server).groups, pause_hello(pair.server).n_groups, 0x0018,
		       0x001d);
	assert_int_equal(pause_continue(&pair, SLUICE_SERVER, NULL), 0);
	assert_int_equal(check_info(pair.server).group, 0x001d);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

static void LC_15_a_retry_request_does_not_pause_the_client(void **state)
{
	struct sluice_hello hello;
	struct pair pair;

	pause_open(&pair, SLUICE_CLIENT, retry_setup);
	hello = pause_hello(pair.client);
	assert_numbers(hello.groups, hello.n_groups, 0x001d);
	/* It is the ServerHello: the server has sent its certificate. */
	assert_true(check_info(pair.client).version == 0);
	assert_int_equal(pause_continue(&pair, SLUICE_CLIENT, NULL), 0);
	assert_int_equal(check_info(pair.client).group, 0x001d);
	pair_exchange(&pair, 1000);
	pair_close(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			LC_15_LC_16_IN_29_IN_30_IN_31_IN_34_IN_35_IN_36_server_sees_the_hello),
		cmocka_unit_test(LC_15_LC_16_client_sees_the_answer),
		cmocka_unit_test(CL_25_OC_19_OC_44_the_default_offer),
		cmocka_unit_test(IN_31_IN_36_what_was_not_sent_is_absent),
		cmocka_unit_test(LC_16_hello_before_and_without_a_pause),
		cmocka_unit_test(LC_15_several_segments_make_one_hello),
		cmocka_unit_test(LC_15_several_segments_make_one_answer),
		cmocka_unit_test(LC_15_a_retried_hello_pauses_the_server_once),
		cmocka_unit_test(LC_15_a_retry_request_does_not_pause_the_client),
	};

	return cmocka_run_group_tests_name("flow/hello", tests, leaks_setup, leaks_teardown);
}
