/* SPDX-License-Identifier: Apache-2.0 */
/* What a handshake leaves behind: protocol, certificates, exporters, or an error as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"

/* --- the protocol -------------------------------------------------------------------------- */

static void expect_protocol(const struct sluice_conn *conn, const char *name)
{
	const char *protocol = NULL;
	size_t len = 0;

	assert_int_equal(sluice_negotiated_protocol(conn, &protocol, &len), 0);
	assert_int_equal(len, strlen(name));
	assert_memory_equal(protocol, name, len);
}

static void expect_no_protocol(const struct sluice_conn *conn, int code)
{
	const char *untouched = "untouched", *protocol = untouched;
	size_t len = 7;

	assert_int_equal(sluice_negotiated_protocol(conn, &protocol, &len), -code);
	assert_ptr_equal(protocol, untouched);
	assert_int_equal(len, 7);
}

static void IN_15_the_protocol_that_was_agreed_on(void **state)
{
	char longest[256] = { 0 }, server[300], client[300];
	const char *names[] = { "h2", longest };
	struct pair pair;
	int i;

	memset(longest, 'x', 255);
	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 2; i++) {
			snprintf(server, sizeof(server), "alpn_preferred_protocols = %s", names[i]);
			snprintf(client, sizeof(client), "alpn_advertised_protocols = a,%s",
				 names[i]);
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .server_options = server,
							       .client_options = client });
			pair_start(&pair, NULL);
			expect_no_protocol(pair.client, SLUICE_E_NOT_ESTABLISHED);
			expect_no_protocol(pair.server, SLUICE_E_NOT_ESTABLISHED);
			assert_int_equal(pair_run(&pair), 0);
			expect_protocol(pair.client, names[i]);
			expect_protocol(pair.server, names[i]);
			/* For as long as the connection lives. */
			assert_int_equal(sluice_shutdown(pair.client, SHUT_RDWR, TCP_WAIT_MS), 0);
			expect_protocol(pair.client, names[i]);
			pair_close(&pair);
		}
	}
}

static void IN_16_no_protocol_was_agreed_on(void **state)
{
	static const struct pair_setup setups[] = {
		{ 0 },
		{ .server_options = "alpn_preferred_protocols = h2" },
		{ .client_options = "alpn_advertised_protocols = h2" },
	};
	struct pair_setup setup;
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
			setup = setups[i];
			setup.path = path;
			pair_open(&pair, &setup);
			assert_int_equal(pair_connect(&pair), 0);
			expect_no_protocol(pair.client, SLUICE_E_PROTOCOL_NOT_NEGOTIATED);
			expect_no_protocol(pair.server, SLUICE_E_PROTOCOL_NOT_NEGOTIATED);
			pair_close(&pair);
		}
	}
}

/* --- certificates -------------------------------------------------------------------------- */

/* The peer's chain is that of a file, and ends where the file ends. */
static void expect_chain(const struct sluice_conn *conn, const char *file, size_t n)
{
	const uint8_t *untouched = (const uint8_t *)"untouched", *der = untouched;
	uint8_t *expected;
	size_t i, len, expected_len;

	for (i = 0; i < n; i++) {
		expected = certs_der(file, i, &expected_len);
		assert_int_equal(sluice_peercert(conn, i, &der, &len), 0);
		assert_int_equal(len, expected_len);
		assert_memory_equal(der, expected, len);
		free(expected);
	}
	der = untouched;
	assert_int_equal(sluice_peercert(conn, n, &der, &len), -SLUICE_E_NO_PEERCERT);
	assert_int_equal(sluice_peercert(conn, SIZE_MAX, &der, &len), -SLUICE_E_NO_PEERCERT);
	assert_ptr_equal(der, untouched);
}

static void IN_17_LC_59_certificates_of_both_ends(void **state)
{
	const struct certs *certs = certs_get();
	char server[500], client[500];
	struct sluice_session *session;
	struct pair pair;
	int resumed;

	snprintf(server, sizeof(server), "verify = verify_peer\ncacertfile = %s", certs->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s", certs->client,
		 certs->client_key);
	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path,
							       .versions = version,
							       .server_options = server,
							       .client_options = client });
			session = NULL;
			for (resumed = 0; resumed < 2; resumed++) {
				assert_int_equal(pair_resume(&pair, session), 0);
				assert_int_equal(check_info(pair.server).resumed, resumed);
				expect_chain(pair.client, certs->server_p256, 2);
				expect_chain(pair.server, certs->client, 2);
				pair_exchange(&pair, 100);
				if (!resumed)
					assert_int_equal(sluice_take_session(pair.client, &session),
							 0);
				assert_int_equal(
					sluice_shutdown(pair.client, SHUT_RDWR, TCP_WAIT_MS), 0);
				expect_chain(pair.client, certs->server_p256, 2);
				pair_drop(&pair);
			}
			sluice_session_free(session);
			pair_close(&pair);
		}
	}
}

/* Asked, and without one that suits: the empty message (RFC 8446, 4.4.2). Not asked: none at all. */
static void IN_17_LC_59_a_client_without_certificate(void **state)
{
	const struct certs *certs = certs_get();
	char asked[500], client[500];
	struct pair pair;
	int i;

	snprintf(asked, sizeof(asked), "verify = verify_peer\ncacertfile = %s", certs->ca);
	snprintf(client, sizeof(client), "certfile = %s\nkeyfile = %s", certs->client,
		 certs->client_key);
	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			for (i = 0; i < 2; i++) {
				pair_open(&pair, &(struct pair_setup){
							 .path = path,
							 .versions = version,
							 .server_options = i ? asked : NULL,
							 .client_options = i ? NULL : client });
				assert_int_equal(pair_connect(&pair), 0);
				expect_chain(pair.client, certs->server_p256, 2);
				expect_chain(pair.server, certs->client, 0);
				assert_int_equal(check_info(pair.server).peer_verified, 0);
				pair_close(&pair);
			}
		}
	}
}

/* --- exporters ----------------------------------------------------------------------------- */

#define OUT_LEN 40

static void export(struct sluice_conn *conn, uint8_t out[OUT_LEN], const char *label,
		   const char *context)
{
	memset(out, 0, OUT_LEN);
	assert_int_equal(sluice_export_keying_material(conn, out, OUT_LEN, label,
						       (const uint8_t *)context,
						       context ? strlen(context) : 0),
			 0);
}

/* Both ends the same. */
static void export_both(const struct pair *pair, uint8_t out[OUT_LEN], const char *label,
			const char *context)
{
	uint8_t other[OUT_LEN];

	export(pair->client, out, label, context);
	export(pair->server, other, label, context);
	assert_memory_equal(out, other, OUT_LEN);
}

static void exporters_agree(void **state)
{
	uint8_t plain[OUT_LEN], other[OUT_LEN];
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			pair_open(&pair,
				  &(struct pair_setup){ .path = path,
							.versions = version,
							.server_options = "exporter = true" });
			assert_int_equal(pair_connect(&pair), 0);
			export_both(&pair, plain, "EXPORTER-test", NULL);
			export_both(&pair, other, "EXPORTER-other", NULL);
			assert_memory_not_equal(plain, other, OUT_LEN);
			export_both(&pair, other, "EXPORTER-test", "context");
			assert_memory_not_equal(plain, other, OUT_LEN);
			/* RFC 5705, 4; RFC 8446, 7.5. */
			export_both(&pair, other, "EXPORTER-test", "");
			if (version_i)
				assert_memory_not_equal(plain, other, OUT_LEN);
			else
				assert_memory_equal(plain, other, OUT_LEN);

			/* Neither data nor new keys nor the end change it. */
			pair_exchange(&pair, 1000);
			if (!version_i && strcmp(path, "kernel")) {
				assert_int_equal(sluice_update_keys(pair.client, 1, TCP_WAIT_MS),
						 0);
				pair_exchange(&pair, 1000);
			}
			assert_int_equal(sluice_shutdown(pair.client, SHUT_RDWR, TCP_WAIT_MS), 0);
			export_both(&pair, other, "EXPORTER-test", NULL);
			assert_memory_equal(plain, other, OUT_LEN);
			pair_drop(&pair);

			/* Another connection, other material. */
			assert_int_equal(pair_connect(&pair), 0);
			export_both(&pair, other, "EXPORTER-test", NULL);
			assert_memory_not_equal(plain, other, OUT_LEN);
			pair_close(&pair);
		}
	}
}

static void exporters_refused(void **state)
{
	uint8_t out[OUT_LEN] = { 0 }, zeros[OUT_LEN] = { 0 };
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	assert_int_equal(sluice_export_keying_material(pair.client, out, 0, "x", NULL, 0),
			 -SLUICE_E_INVALID);
	assert_int_equal(sluice_export_keying_material(pair.client, out, OUT_LEN, NULL, NULL, 0),
			 -SLUICE_E_INVALID);
	/* A server has freed what it takes unless option exporter kept it. */
	assert_int_equal(sluice_export_keying_material(pair.server, out, OUT_LEN, "x", NULL, 0),
			 -SLUICE_E_UNDEFINED);
	assert_memory_equal(out, zeros, OUT_LEN);
	pair_exchange(&pair, 100);
	pair_close(&pair);
}

/* Runs openssl as client. Returns whether it printed the material that our end exports. */
static bool openssl_agrees(struct pair *pair, const char *flag)
{
	static const char intro[] = "Keying material: ";
	char command[400], line[300], hex[2 * OUT_LEN + 1];
	uint8_t out[OUT_LEN];
	bool found = false;
	FILE *openssl;
	int i;

	snprintf(command, sizeof(command),
		 "openssl s_client -connect 127.0.0.1:%d %s -CAfile %s -keymatexport EXPORTER-test "
		 "-keymatexportlen %d </dev/null 2>/dev/null",
		 sluice_listener_port(pair->listener), flag, certs_get()->ca, OUT_LEN);
	openssl = popen(command, "r");
	assert_non_null(openssl);
	assert_int_equal(sluice_transport_accept(pair->listener, TCP_WAIT_MS, &pair->server), 0);
	assert_int_equal(sluice_handshake(pair->server, NULL, TCP_WAIT_MS), 0);
	export(pair->server, out, "EXPORTER-test", NULL);
	for (i = 0; i < OUT_LEN; i++)
		snprintf(hex + 2 * i, 3, "%02X", out[i]);
	while (fgets(line, sizeof(line), openssl)) {
		const char *at = strstr(line, intro);

		found = found || (at && !strncmp(at + strlen(intro), hex, 2 * OUT_LEN));
	}
	pclose(openssl);
	return found;
}

static void exporters_agree_with_openssl(void **state)
{
	static const char *const flags[] = { "-tls1_3", "-tls1_2" };
	struct pair pair;
	size_t i;

	if (system("openssl version >/dev/null 2>&1")) {
		print_message("skipped: there is no openssl program\n");
		skip();
	}
	PAIR_FOR_EACH_PATH(path)
	{
		for (i = 0; i < 2; i++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path,
							.server_options = "exporter = true" });
			assert_true(openssl_agrees(&pair, flags[i]));
			pair_close(&pair);
		}
	}
}

/* --- errors as text ------------------------------------------------------------------------ */

static void expect_text(const struct sluice_conn *conn, const char *const parts[])
{
	struct sluice_error err;
	char line[400], cut[20];
	int i, len;

	assert_int_equal(sluice_conn_error(conn, &err, sizeof(err)), 0);
	len = sluice_format_error(&err, line, sizeof(line));
	assert_int_equal(len, strlen(line));
	assert_null(strchr(line, '\n'));
	for (i = 0; parts[i]; i++)
		if (!strstr(line, parts[i]))
			fail_msg("\"%s\" does not say \"%s\"", line, parts[i]);
	assert_int_equal(sluice_format_error(&err, cut, sizeof(cut)), sizeof(cut) - 1);
	assert_int_equal(strlen(cut), sizeof(cut) - 1);
}

static void IN_21_an_error_as_one_line(void **state)
{
	static const char *const client[] = {
		"not for localhost",        "SLUICE_E_HOSTNAME", "stage verify",
		"bad_certificate(42) sent", "X.509 error 62",    NULL,
	};
	static const char *const server[] = { "SLUICE_E_ALERT", "bad_certificate(42) received",
					      NULL };
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair,
			  &(struct pair_setup){ .path = path, .cert = certs_get()->wrong_name });
		assert_true(pair_connect(&pair) < 0);
		expect_text(pair.client, client);
		expect_text(pair.server, server);
		pair_close(&pair);
	}
}

static void IN_21_an_errno_as_text(void **state)
{
	static const char *const parts[] = { "SLUICE_E_RESET", "stage live", "ECONNRESET", NULL };
	const struct linger linger = { 1, 0 };
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		sluice_setopt(pair.server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		pair.server = conn_free(pair.server);
		assert_int_equal(sluice_recv(pair.client, &(char){ 0 }, 1, TCP_WAIT_MS),
				 -SLUICE_E_RESET);
		expect_text(pair.client, parts);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(IN_15_the_protocol_that_was_agreed_on),
		cmocka_unit_test(IN_16_no_protocol_was_agreed_on),
		cmocka_unit_test(IN_17_LC_59_certificates_of_both_ends),
		cmocka_unit_test(IN_17_LC_59_a_client_without_certificate),
		cmocka_unit_test(exporters_agree),
		cmocka_unit_test(exporters_refused),
		cmocka_unit_test(exporters_agree_with_openssl),
		cmocka_unit_test(IN_21_an_error_as_one_line),
		cmocka_unit_test(IN_21_an_errno_as_text),
	};

	return cmocka_run_group_tests_name("flow/outcome", tests, leaks_setup, leaks_teardown);
}
