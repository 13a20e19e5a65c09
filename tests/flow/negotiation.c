/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What both ends have to agree on: versions, suites, groups, signatures and protocols; and where
 * they cannot, the alert and the code on both sides.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "core/sys.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/peer.h"
#include "tls/control.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define RUN_MS 20000

#define ONLY_TLS13 "tlsv1.3"
#define ONLY_TLS12 "tlsv1.2"

/* --- application protocols --------------------------------------------------------------- */

static void CL_06_SV_10_IN_15_IN_16_the_server_prefers_among_common_protocols(void **state)
{
	static const struct {
		const char *client, *server, *expect;
	} cases[] = {
		{ "h2, http/1.1", "http/1.1, h2", "http/1.1" },
		{ "h2, http/1.1", "h2", "h2" },
		{ "x, y, z", "q, z", "z" },
		{ NULL, "h2", NULL },
		{ "h2", NULL, NULL },
		{ NULL, NULL, NULL },
	};
	char client[200], server[200];
	const char *protocol;
	struct pair pair;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		PAIR_FOR_EACH_VERSION(version)
		{
			snprintf(client, sizeof(client), "%s%s\n",
				 cases[i].client ? "alpn_advertised_protocols = " : "",
				 cases[i].client ? cases[i].client : "");
			snprintf(server, sizeof(server), "%s%s\n",
				 cases[i].server ? "alpn_preferred_protocols = " : "",
				 cases[i].server ? cases[i].server : "");
			pair_open(&pair, &(struct pair_setup){ .versions = version,
							       .client_options = client,
							       .server_options = server });
			assert_int_equal(pair_connect(&pair), 0);
			if (cases[i].expect) {
				assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol,
									    &len),
						 0);
				assert_int_equal(len, strlen(cases[i].expect));
				assert_memory_equal(protocol, cases[i].expect, len);
				assert_string_equal(check_info(pair.server).alpn, cases[i].expect);
			} else {
				assert_int_equal(sluice_negotiated_protocol(pair.client, &protocol,
									    &len),
						 -SLUICE_E_PROTOCOL_NOT_NEGOTIATED);
				assert_int_equal(sluice_negotiated_protocol(pair.server, &protocol,
									    &len),
						 -SLUICE_E_PROTOCOL_NOT_NEGOTIATED);
			}
			pair_close(&pair);
		}
	}
}

static void CL_06_SV_10_AL_40_no_protocol_in_common(void **state)
{
	PAIR_FOR_EACH_VERSION(version)
	{
		check_refusal(SLUICE_SERVER, SLUICE_E_NO_SHARED,
			      SLUICE_ALERT_NO_APPLICATION_PROTOCOL, .versions = version,
			      .client_options = "alpn_advertised_protocols = h2, h3\n",
			      .server_options = "alpn_preferred_protocols = http/1.1\n");
	}
}

/* What the kernel says of a socket: struct tls_crypto_info of linux/tls.h. */
static void assert_kernel_agrees(const struct sluice_conn *conn, const struct suite *suite)
{
	static const int options[] = { 1, 2 }; /* TLS_TX, TLS_RX */
	uint16_t info[2];
	socklen_t len;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(options); i++) {
		len = sizeof(info);
		assert_int_equal(getsockopt(sluice_conn_fd(conn), 282, options[i], info, &len), 0);
		assert_int_equal(info[0], suite->version);
		assert_int_equal(info[1], suite->kernel_cipher);
	}
}

/* --- suites, versions, groups, signatures ------------------------------------------------- */

static void OC_14_IN_04_CS_18_every_suite(void **state)
{
	const struct certs *certs = certs_get();
	const struct suite *suite;
	struct sluice_conn_info info;
	struct pair pair;
	char text[200];
	size_t i;

	for (i = 0; (suite = suite_at(i)); i++) {
		if (suite->version == TLS13 || !strstr(suite->name, "_ECDHE_") ||
		    strstr(suite->name, "_PSK_"))
			continue;
		snprintf(text, sizeof(text), "ciphers = %s\n", suite->name);
		PAIR_FOR_EACH_PATH(path)
		{
			bool rsa = strstr(suite->name, "_RSA_");

			pair_open(&pair, &(struct pair_setup){
						 .path = path,
						 .client_options = text,
						 .cert = rsa ? certs->server_rsa : NULL,
						 .key = rsa ? certs->server_rsa_key : NULL });
			assert_int_equal(pair_connect(&pair), 0);
			info = check_info(pair.client);
			assert_int_equal(info.suite, suite->id);
			assert_string_equal(info.suite_name, suite->name);
			assert_int_equal(info.version, TLS12);
			assert_int_equal(check_info(pair.server).suite, suite->id);
			if (!strcmp(path, "kernel")) {
				assert_kernel_agrees(pair.client, suite);
				assert_kernel_agrees(pair.server, suite);
			}
			pair_exchange(&pair, 40000);
			pair_close(&pair);
		}
	}
}

/* RSA key transport has no forward secrecy: both ends have to ask for it. */
static void CS_16_OC_06_key_transport_by_rsa(void **state)
{
	static const char *const suites[] = { "TLS_RSA_WITH_AES_128_GCM_SHA256",
					      "TLS_RSA_WITH_AES_256_GCM_SHA384" };
	const struct certs *certs = certs_get();
	struct sluice_conn_info info;
	struct pair pair;
	char text[100];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suites); i++) {
		snprintf(text, sizeof(text), "ciphers = %s\n", suites[i]);
		PAIR_FOR_EACH_PATH(path)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .client_options = text,
							       .server_options = text,
							       .cert = certs->server_rsa,
							       .key = certs->server_rsa_key });
			assert_int_equal(pair_connect(&pair), 0);
			info = check_info(pair.client);
			assert_string_equal(info.suite_name, suites[i]);
			assert_int_equal(info.group, 0);
			assert_int_equal(info.signature, 0);
			assert_true(info.peer_verified);
			pair_exchange(&pair, 40000);
			pair_close(&pair);
		}
		check_refusal(SLUICE_SERVER, SLUICE_E_NO_SHARED, SLUICE_ALERT_HANDSHAKE_FAILURE,
			      .client_options = text, .cert = certs->server_rsa,
			      .key = certs->server_rsa_key);
	}
}

/* --- signatures --------------------------------------------------------------------------- */

/* A certificate and a key of @kind in files, signed by itself. */
static void make_identity(enum cert_key kind, const char *key_usage, const char **ret_cert,
			  const char **ret_key)
{
	struct cert_spec spec = { .cn = "localhost",
				  .san = "DNS:localhost",
				  .key_usage = key_usage };
	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
	const uint8_t *pem;
	X509 *x509;
	size_t len;

	spec.key = certs_key(kind);
	x509 = certs_make(&spec);
	assert_int_equal(PEM_write_bio_X509(cert, x509), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(key, spec.key, NULL, NULL, 0, NULL, NULL), 1);
	assert_int_equal(BIO_mem_contents(cert, &pem, &len), 1);
	*ret_cert = certs_file("own.pem", pem, len);
	assert_int_equal(BIO_mem_contents(key, &pem, &len), 1);
	*ret_key = certs_file("own-key.pem", pem, len);
	BIO_free(cert);
	BIO_free(key);
	X509_free(x509);
	EVP_PKEY_free(spec.key);
}

/* BoringSSL has no alert for it; the server must not wait for nothing. */
static void a_certificate_whose_key_may_not_encipher(void **state)
{
	static const char text[] =
		"ciphers = TLS_RSA_WITH_AES_128_GCM_SHA256\nverify = verify_none\n";
	const char *cert, *key;

	make_identity(CERT_KEY_RSA2048, "critical,digitalSignature", &cert, &key);
	check_refusal(SLUICE_CLIENT, SLUICE_E_HANDSHAKE, SLUICE_ALERT_HANDSHAKE_FAILURE,
		      .client_options = text,
		      .server_options = "ciphers = TLS_RSA_WITH_AES_128_GCM_SHA256", .cert = cert,
		      .key = key);
}

static void CS_38_CS_39_CS_40_every_signature_scheme(void **state)
{
	static const struct {
		const char *name;
		uint16_t id;
		enum cert_key key;
		bool only_tls12; /* RFC 8446, 4.2.3 */
	} schemes[] = {
		{ "rsa_pkcs1_sha256", 0x0401, CERT_KEY_RSA2048, true },
		{ "rsa_pkcs1_sha384", 0x0501, CERT_KEY_RSA2048, true },
		{ "rsa_pkcs1_sha512", 0x0601, CERT_KEY_RSA2048, true },
		{ "ecdsa_secp256r1_sha256", 0x0403, CERT_KEY_P256, false },
		{ "ecdsa_secp384r1_sha384", 0x0503, CERT_KEY_P384, false },
		{ "ecdsa_secp521r1_sha512", 0x0603, CERT_KEY_P521, false },
		{ "rsa_pss_rsae_sha256", 0x0804, CERT_KEY_RSA2048, false },
		{ "rsa_pss_rsae_sha384", 0x0805, CERT_KEY_RSA2048, false },
		{ "rsa_pss_rsae_sha512", 0x0806, CERT_KEY_RSA2048, false },
	};
	const char *cert, *key;
	struct pair pair;
	char text[200];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(schemes); i++) {
		make_identity(schemes[i].key, NULL, &cert, &key);
		/* TLS 1.2: an ECDSA key's group has to be the client's, too (RFC 8422, 5.1). */
		snprintf(text, sizeof(text),
			 "verify = verify_none\nsignature_algs = %s\n"
			 "supported_groups = x25519, secp256r1, secp384r1, secp521r1\n",
			 schemes[i].name);
		PAIR_FOR_EACH_VERSION(version)
		{
			if (version_i == 0 && schemes[i].only_tls12)
				continue;
			pair_open(&pair, &(struct pair_setup){ .versions = version,
							       .client_options = text,
							       .cert = cert,
							       .key = key });
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(check_info(pair.client).signature, schemes[i].id);
			pair_close(&pair);
		}
	}
}

/* --- compression -------------------------------------------------------------------------- */

#define ZEROS_32 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define HELLO_SESSION (RECORD_HEADER_LEN + 4 + 2 + 32) /* the session id's length */

/* A client that would rather compress (RFC 3749): DEFLATE, and none. */
static const char deflate_hello[] =
	"\x16\3\1\0\x4b\1\0\0\x47\3\3" ZEROS_32 "\0\0\2\xc0\x2b\2\1\0"
	"\0\x1b\0\x0a\0\4\0\2\0\x17\0\x0b\0\2\1\0\0\x0d\0\4\0\2\4\3\xff\1\0\1\0";

static void receive_hello(struct peer *peer)
{
	while (peer_receive(peer) <= HELLO_SESSION)
		peer_dispatch(peer);
	assert_int_equal(peer->in[0], RECORD_HANDSHAKE);
}

static void OC_55_compression_is_not_negotiated(void **state)
{
	struct pair pair;
	struct peer peer;
	const uint8_t *at;

	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_SERVER);
	receive_hello(&peer);
	at = peer.in + HELLO_SESSION;
	at += 1 + at[0];
	at += 2 + (at[0] << 8 | at[1]);
	assert_memory_equal(at, "\1\0", 2);
	peer_close(&peer);

	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_send(&peer, deflate_hello, sizeof(deflate_hello) - 1);
	peer_wait(&peer);
	receive_hello(&peer);
	at = peer.in + HELLO_SESSION;
	at += 1 + at[0];
	assert_memory_equal(at, "\xc0\x2b\0", 3);
	peer_close(&peer);
	pair_close(&pair);
}

/* --- suites that one side excludes -------------------------------------------------------- */

/* BoringSSL offers its three TLS 1.3 suites always: a narrower choice is enforced by us. */
static void OC_14_AL_22_a_client_refuses_a_suite_it_excludes(void **state)
{
	PAIR_FOR_EACH_PATH(path)
	{
		check_refusal(SLUICE_CLIENT, SLUICE_E_NO_SHARED, SLUICE_ALERT_ILLEGAL_PARAMETER,
			      .path = path, .versions = ONLY_TLS13,
			      .client_options = "ciphers = "
						"TLS_AES_256_GCM_SHA384\n");
	}
}

static void OC_14_AL_16_a_server_refuses_a_suite_it_excludes(void **state)
{
	struct pair pair;
	uint8_t byte;

	PAIR_FOR_EACH_PATH(path)
	{
		struct pair_setup setup = { .path = path,
					    .versions = ONLY_TLS13,
					    .server_options = "ciphers = "
							      "TLS_AES_256_GCM_SHA384\n" };

		check_refusal_at(&setup, SLUICE_SERVER, SLUICE_E_NO_SHARED,
				 SLUICE_ALERT_HANDSHAKE_FAILURE, __FILE__, __LINE__);
		/* Not a byte of data gets through. */
		pair_open(&pair, &setup);
		pair_connect(&pair);
		assert_int_equal(pair.client_result, 0);
		sluice_send(pair.client, "x", 1, RUN_MS);
		assert_int_equal(sluice_recv(pair.server, &byte, 1, RUN_MS), -SLUICE_E_NO_SHARED);
		pair_close(&pair);
	}
}

static void AL_16_AL_28_nothing_in_common(void **state)
{
	static const struct {
		const char *client, *server;
		int code, alert;
	} cases[] = {
		{ "versions = tlsv1.2\n", "versions = tlsv1.3\n", SLUICE_E_NO_SHARED,
		  SLUICE_ALERT_PROTOCOL_VERSION },
		{ "versions = tlsv1.3\n", "versions = tlsv1.2\n", SLUICE_E_NO_SHARED,
		  SLUICE_ALERT_PROTOCOL_VERSION },
		{ "ciphers = TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\n", "versions = tlsv1.2\n",
		  SLUICE_E_NO_SHARED, SLUICE_ALERT_HANDSHAKE_FAILURE },
		{ "versions = tlsv1.3\nsupported_groups = secp384r1\n",
		  "supported_groups = x25519\n", SLUICE_E_NO_SHARED,
		  SLUICE_ALERT_HANDSHAKE_FAILURE },
		{ "versions = tlsv1.2\nsupported_groups = secp256r1\n",
		  "supported_groups = x25519\n", SLUICE_E_NO_SHARED,
		  SLUICE_ALERT_HANDSHAKE_FAILURE },
		{ "versions = tlsv1.3\nsignature_algs = ed25519\n", "versions = tlsv1.3\n",
		  SLUICE_E_NO_SHARED, SLUICE_ALERT_HANDSHAKE_FAILURE },
		{ "versions = tlsv1.2\nsignature_algs = ed25519\n", "versions = tlsv1.2\n",
		  SLUICE_E_NO_SHARED, SLUICE_ALERT_HANDSHAKE_FAILURE },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		check_refusal(SLUICE_SERVER, cases[i].code, cases[i].alert,
			      .client_options = cases[i].client, .server_options = cases[i].server);
	}
}

static void SV_13_whose_order_of_suites_decides(void **state)
{
	static const struct {
		const char *honor;
		uint16_t suite;
	} cases[] = { { "true", 0xc02c }, { "false", 0xc02b } };
	struct pair pair;
	char text[300];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		snprintf(text, sizeof(text),
			 "versions = tlsv1.2\nhonor_cipher_order = %s\n"
			 "ciphers = TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "
			 "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256\n",
			 cases[i].honor);
		pair_open(&pair,
			  &(struct pair_setup){
				  .server_options = text,
				  .client_options =
					  "ciphers = TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "
					  "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384\n" });
		assert_int_equal(pair_connect(&pair), 0);
		assert_int_equal(check_info(pair.client).suite, cases[i].suite);
		pair_close(&pair);
	}
}

/* RFC 7507: a client that says it has fallen back while we have more to offer. */
static void AL_31_a_needless_fallback(void **state)
{
	static const uint8_t alert[] = { 21, 3, 3, 0, 2, 2, SLUICE_ALERT_INAPPROPRIATE_FALLBACK };
	struct pair pair;
	struct peer peer;

	pair_open(&pair, &(struct pair_setup){ 0 });
	peer_open(&peer, &pair, SLUICE_CLIENT);
	peer_ssl(&peer, TLS12, NULL);
	SSL_set_mode(peer.ssl, SSL_MODE_SEND_FALLBACK_SCSV);
	peer_step(&peer);
	peer_flush(&peer);
	assert_int_equal(peer_run(&peer), -SLUICE_E_HANDSHAKE);
	check_error(peer.conn, SLUICE_E_HANDSHAKE, ALERT_SENT(SLUICE_ALERT_INAPPROPRIATE_FALLBACK));
	peer_close_conn(&peer);
	peer_expect_end(&peer, PEER_FIN, alert, sizeof(alert));
	peer_close(&peer);
	pair_close(&pair);
}

static void OC_19_CS_43_CS_44_every_group(void **state)
{
	static const struct {
		const char *name;
		uint16_t id;
	} groups[] = {
		{ "x25519", 29 }, { "secp256r1", 23 }, { "secp384r1", 24 }, { "secp521r1", 25 }
	};
	struct pair pair;
	char text[200];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		PAIR_FOR_EACH_VERSION(version)
		{
			/* TLS 1.2: the group of a server's ECDSA key has to be there, too. */
			snprintf(text, sizeof(text), "supported_groups = %s\n", groups[i].name);
			pair_open(&pair,
				  &(struct pair_setup){ .versions = version,
							.client_options = text,
							.server_options = text,
							.cert = certs_get()->server_rsa,
							.key = certs_get()->server_rsa_key });
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(check_info(pair.client).group, groups[i].id);
			assert_int_equal(check_info(pair.server).group, groups[i].id);
			pair_exchange(&pair, 1000);
			pair_close(&pair);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(CL_06_SV_10_IN_15_IN_16_the_server_prefers_among_common_protocols),
		cmocka_unit_test(CL_06_SV_10_AL_40_no_protocol_in_common),
		cmocka_unit_test(OC_14_IN_04_CS_18_every_suite),
		cmocka_unit_test(CS_16_OC_06_key_transport_by_rsa),
		cmocka_unit_test(a_certificate_whose_key_may_not_encipher),
		cmocka_unit_test(CS_38_CS_39_CS_40_every_signature_scheme),
		cmocka_unit_test(OC_55_compression_is_not_negotiated),
		cmocka_unit_test(OC_14_AL_22_a_client_refuses_a_suite_it_excludes),
		cmocka_unit_test(OC_14_AL_16_a_server_refuses_a_suite_it_excludes),
		cmocka_unit_test(AL_16_AL_28_nothing_in_common),
		cmocka_unit_test(SV_13_whose_order_of_suites_decides),
		cmocka_unit_test(AL_31_a_needless_fallback),
		cmocka_unit_test(OC_19_CS_43_CS_44_every_group),
	};

	return cmocka_run_group_tests_name("flow/negotiation", tests, leaks_setup, leaks_teardown);
}
