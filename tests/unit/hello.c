/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the hellos that BoringSSL sends, held against what BoringSSL says of them itself. What
 * nobody sends is in unit/hello-malformed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/bssl-pair.h"
#include "support/hellos.h"

#define RECORD_HEADER_LEN 5

/* --- a memory that runs out (linked with --wrap=calloc) ----------------------------------- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static bool calloc_fails;

void *__wrap_calloc(size_t n, size_t size)
{
	return calloc_fails ? NULL : __real_calloc(n, size);
}

/* --- what BoringSSL sends ---------------------------------------------------------------- */

/* The first handshake message that an end has written and nobody has read. */
static struct message sent_message(const SSL *ssl)
{
	size_t len;
	const uint8_t *record = bssl_pair_pending(ssl, &len);
	const uint8_t *msg = record + RECORD_HEADER_LEN;
	size_t msg_len;

	assert_true(len > RECORD_HEADER_LEN + MESSAGE_HEADER_LEN);
	assert_int_equal(record[0], SSL3_RT_HANDSHAKE);
	msg_len = MESSAGE_HEADER_LEN + ((size_t)msg[1] << 16 | (size_t)msg[2] << 8 | msg[3]);
	assert_true(RECORD_HEADER_LEN + msg_len <= len);
	return message_copy(msg, msg_len);
}

static struct message client_hello(struct bssl_pair *pair)
{
	assert_int_equal(SSL_do_handshake(pair->client), -1);
	return sent_message(pair->client);
}

static struct message server_hello(struct bssl_pair *pair)
{
	assert_int_equal(SSL_do_handshake(pair->client), -1);
	bssl_pair_move(pair->client, pair->server);
	assert_int_equal(SSL_do_handshake(pair->server), -1);
	return sent_message(pair->server);
}

static int select_next_proto(SSL *ssl, uint8_t **out, uint8_t *out_len, const uint8_t *in,
			     unsigned int in_len, void *arg)
{
	return SSL_TLSEXT_ERR_NOACK;
}

/* A client that sends all that BoringSSL can be made to send of what is read. */
static void start_full(struct bssl_pair *pair, uint16_t version)
{
	static const uint8_t alpn[] = "\2h2\10http/1.1";

	bssl_pair_init(pair, version);
	SSL_CTX_set_grease_enabled(pair->client_ctx, 1);
	SSL_CTX_set_next_proto_select_cb(pair->client_ctx, select_next_proto, NULL);
	assert_int_equal(SSL_CTX_set_alpn_protos(pair->client_ctx, alpn, sizeof(alpn) - 1), 0);
	assert_int_equal(SSL_CTX_set1_curves_list(pair->client_ctx, "P-384:X25519:P-256"), 1);
	bssl_pair_connect(pair);
	assert_int_equal(SSL_set_tlsext_host_name(pair->client, "www.example.test"), 1);
}

/* What the server's hook saw: the body's result and BoringSSL's own reading. */
static struct {
	struct hello *hello;
	unsigned int compared;
} hook;

static void compare(const SSL_CLIENT_HELLO *ssl_hello, uint16_t type, size_t prefix_len,
		    const void *bytes, size_t len)
{
	const uint8_t *body;
	size_t body_len;

	if (!SSL_early_callback_ctx_extension_get(ssl_hello, type, &body, &body_len)) {
		assert_null(bytes);
		return;
	}
	assert_non_null(bytes);
	assert_int_equal(body_len, prefix_len + len);
	assert_memory_equal(body + prefix_len, bytes, len);
	hook.compared++;
}

static void compare_u16s(const SSL_CLIENT_HELLO *ssl_hello, uint16_t type, size_t prefix_len,
			 const uint16_t *numbers, size_t n)
{
	uint8_t bytes[512];

	assert_true(n * 2 <= sizeof(bytes));
	for (size_t i = 0; i < n; i++) {
		bytes[2 * i] = (uint8_t)(numbers[i] >> 8);
		bytes[2 * i + 1] = (uint8_t)numbers[i];
	}
	compare(ssl_hello, type, prefix_len, numbers ? bytes : NULL, n * 2);
}

static enum ssl_select_cert_result_t on_client_hello(const SSL_CLIENT_HELLO *ssl_hello)
{
	struct message body = message_copy(ssl_hello->client_hello, ssl_hello->client_hello_len);
	struct sluice_hello hello;

	assert_int_equal(hello_parse_client_body(&hook.hello, body.bytes, body.len), 0);
	free(body.bytes);
	hello_export(hook.hello, &hello);
	assert_int_equal(hello.legacy_version, ssl_hello->version);
	assert_int_equal(hello.n_suites * 2, ssl_hello->cipher_suites_len);
	for (size_t i = 0; i < hello.n_suites; i++)
		assert_int_equal(hello.suites[i], ssl_hello->cipher_suites[2 * i] << 8 |
							  ssl_hello->cipher_suites[2 * i + 1]);
	/* The list's length, the type of the name and its length stand before the name. */
	compare(ssl_hello, 0, 5, hello.sni, hello.sni ? strlen(hello.sni) : 0);
	compare_u16s(ssl_hello, 10, 2, hello.groups, hello.n_groups);
	compare(ssl_hello, 11, 1, hello.ec_point_formats, hello.ec_point_formats_len);
	compare(ssl_hello, 12, 0, hello.srp, hello.srp_len);
	compare_u16s(ssl_hello, 13, 2, hello.signature_algs, hello.n_signature_algs);
	compare(ssl_hello, 16, 2, hello.alpn, hello.alpn_len);
	compare_u16s(ssl_hello, 43, 1, hello.versions, hello.n_versions);
	compare(ssl_hello, 13172, 0, hello.next_protocol, hello.next_protocol_len);
	compare(ssl_hello, 0xff01, 1, hello.renegotiation_info, hello.renegotiation_info_len);
	return ssl_select_cert_error;
}

static void check_against_boringssl(uint16_t version, unsigned int n_exts)
{
	struct bssl_pair pair;

	hook.hello = NULL;
	hook.compared = 0;
	start_full(&pair, version);
	SSL_CTX_set_select_certificate_cb(pair.server_ctx, on_client_hello);
	assert_int_equal(SSL_do_handshake(pair.client), -1);
	bssl_pair_move(pair.client, pair.server);
	assert_int_equal(SSL_do_handshake(pair.server), -1);
	assert_non_null(hook.hello);
	assert_int_equal(hook.compared, n_exts);
	hook.hello = hello_free(hook.hello);
	bssl_pair_deinit(&pair);
}

static void as_boringssl_reads_them(void **state)
{
	check_against_boringssl(TLS1_3_VERSION, 8);
	check_against_boringssl(TLS1_2_VERSION, 7); /* no supported_versions */
}

static void IN_33_client_hello_in_its_order(void **state)
{
	struct sluice_hello view;
	struct bssl_pair pair;
	struct hello *hello;

	start_full(&pair, TLS1_3_VERSION);
	hello = message_parse(client_hello(&pair));
	assert_non_null(hello);
	assert_false(hello_is_retry(hello));
	hello_export(hello, &view);
	assert_string_equal(view.sni, "www.example.test");
	assert_int_equal(view.alpn_len, 12);
	assert_memory_equal(view.alpn, "\2h2\10http/1.1", 12);
	/* GREASE first, and it is kept: RFC 8701, 2. */
	assert_int_equal(view.n_groups, 4);
	assert_int_equal(view.groups[0] & 0x0f0f, 0x0a0a);
	assert_int_equal(view.groups[1], SSL_CURVE_SECP384R1);
	assert_int_equal(view.groups[2], SSL_CURVE_X25519);
	assert_int_equal(view.groups[3], SSL_CURVE_SECP256R1);
	assert_int_equal(view.versions[0] & 0x0f0f, 0x0a0a);
	assert_int_equal(view.versions[1], TLS1_3_VERSION);
	assert_int_equal(view.suites[0] & 0x0f0f, 0x0a0a);
	assert_true(view.n_signature_algs > 3);
	assert_non_null(view.next_protocol);
	assert_int_equal(view.next_protocol_len, 0);
	hello_free(hello);
	bssl_pair_deinit(&pair);
}

static void server_hello_of_tls13(void **state)
{
	struct sluice_hello view;
	struct bssl_pair pair;
	struct hello *hello;

	bssl_pair_init(&pair, TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_set1_curves_list(pair.client_ctx, "X25519"), 1);
	bssl_pair_connect(&pair);
	hello = message_parse(server_hello(&pair));
	assert_non_null(hello);
	assert_false(hello_is_retry(hello));
	hello_export(hello, &view);
	assert_int_equal(view.legacy_version, TLS1_2_VERSION);
	assert_int_equal(view.n_versions, 1);
	assert_int_equal(view.versions[0], TLS1_3_VERSION);
	assert_int_equal(view.n_suites, 1);
	assert_int_equal(view.suites[0] >> 8, 0x13);
	assert_int_equal(view.n_groups, 1);
	assert_int_equal(view.groups[0], SSL_CURVE_X25519);
	assert_null(view.sni);
	assert_null(view.alpn);
	assert_null(view.signature_algs);
	assert_null(view.renegotiation_info);
	hello_free(hello);
	bssl_pair_deinit(&pair);
}

static void hello_retry_request(void **state)
{
	struct sluice_hello view;
	struct bssl_pair pair;
	struct hello *hello;

	bssl_pair_init(&pair, TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_set1_curves_list(pair.client_ctx, "X25519:P-256"), 1);
	assert_int_equal(SSL_CTX_set1_curves_list(pair.server_ctx, "P-256"), 1);
	bssl_pair_connect(&pair);
	hello = message_parse(server_hello(&pair));
	assert_non_null(hello);
	assert_true(hello_is_retry(hello));
	hello_export(hello, &view);
	assert_int_equal(view.n_groups, 1);
	assert_int_equal(view.groups[0], SSL_CURVE_SECP256R1);
	hello_free(hello);
	bssl_pair_deinit(&pair);
}

static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_len, const uint8_t *in,
		       unsigned int in_len, void *arg)
{
	*out = (const uint8_t *)"http/1.1";
	*out_len = 8;
	return SSL_TLSEXT_ERR_OK;
}

static void server_hello_of_tls12(void **state)
{
	struct sluice_hello view;
	struct bssl_pair pair;
	struct hello *hello;

	start_full(&pair, TLS1_2_VERSION);
	SSL_CTX_set_alpn_select_cb(pair.server_ctx, select_alpn, NULL);
	hello = message_parse(server_hello(&pair));
	assert_non_null(hello);
	assert_false(hello_is_retry(hello));
	hello_export(hello, &view);
	assert_int_equal(view.legacy_version, TLS1_2_VERSION);
	assert_int_equal(view.n_suites, 1);
	assert_int_equal(view.alpn_len, 9);
	assert_memory_equal(view.alpn, "\10http/1.1", 9);
	assert_non_null(view.renegotiation_info);
	assert_int_equal(view.renegotiation_info_len, 0);
	assert_int_equal(view.ec_point_formats_len, 1);
	assert_int_equal(view.ec_point_formats[0], 0);
	assert_null(view.versions);
	assert_null(view.groups);
	hello_free(hello);
	bssl_pair_deinit(&pair);
}

/* --- lengths ----------------------------------------------------------------------------- */

/* Where the list of extensions begins: a hello may end there. */
static size_t extensions_at(const struct message *message)
{
	size_t at = MESSAGE_HEADER_LEN + 2 + 32;

	at += 1u + message->bytes[at];
	if (message->bytes[0] == SERVER_HELLO)
		return at + 2 + 1;
	at += 2u + (message->bytes[at] << 8 | message->bytes[at + 1]);
	return at + 1 + message->bytes[at];
}

static void check_cuts(struct message message)
{
	size_t whole = extensions_at(&message);

	for (size_t len = 0; len < message.len; len++) {
		struct message cut = message_copy(message.bytes, len);
		struct hello *hello;

		/* The header tells more than there is. */
		assert_null(message_parse(message_copy(message.bytes, len)));
		if (len < MESSAGE_HEADER_LEN) {
			free(cut.bytes);
			continue;
		}
		message_set_length(&cut);
		hello = message_parse(cut);
		assert_int_equal(!!hello, len == whole);
		hello_free(hello);
	}
	free(message.bytes);
}

static void every_cut_is_noticed(void **state)
{
	struct bssl_pair pair;

	start_full(&pair, TLS1_3_VERSION);
	check_cuts(client_hello(&pair));
	bssl_pair_deinit(&pair);
	start_full(&pair, TLS1_3_VERSION);
	check_cuts(server_hello(&pair));
	bssl_pair_deinit(&pair);
	start_full(&pair, TLS1_2_VERSION);
	check_cuts(server_hello(&pair));
	bssl_pair_deinit(&pair);
}

static void memory_runs_out(void **state)
{
	struct message message = message_make_hello(CLIENT_HELLO, RANDOM, NULL, 0);
	struct hello *hello = NULL;

	calloc_fails = true;
	assert_int_equal(hello_parse_client(&hello, message.bytes, message.len), -SLUICE_E_NOMEM);
	message.bytes[0] = SERVER_HELLO;
	free(message.bytes);
	message = message_make_hello(SERVER_HELLO, RANDOM, NULL, 0);
	assert_int_equal(hello_parse_server(&hello, message.bytes, message.len), -SLUICE_E_NOMEM);
	calloc_fails = false;
	assert_null(hello);
	free(message.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_boringssl_reads_them),
		cmocka_unit_test(IN_33_client_hello_in_its_order),
		cmocka_unit_test(server_hello_of_tls13),
		cmocka_unit_test(hello_retry_request),
		cmocka_unit_test(server_hello_of_tls12),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(memory_runs_out),
	};

	return cmocka_run_group_tests_name("unit/hello", tests, NULL, NULL);
}
