/* SPDX-License-Identifier: Apache-2.0 */
/* Who the server is: host names, addresses, and what a client without options checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "options/trust.h"
#include "support/certs.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* X509_V_ERR_* of BoringSSL. */
#define V_HOSTNAME_MISMATCH 62
#define V_IP_ADDRESS_MISMATCH 64

/* Gives the pair another client profile; the test CA is trusted unless @text says otherwise. */
static void set_client(struct pair *pair, const char *text)
{
	char whole[1024];

	snprintf(whole, sizeof(whole), "%s%s\n%s\n",
		 strstr(text, "cacertfile") ? "#" : "cacertfile = ", certs_get()->ca, text);
	sluice_profile_unref(pair->client_profile);
	pair->client_profile = pair_profile(SLUICE_CLIENT, whole);
}

/* Makes a connection of two plain sockets, the client's for @host. Returns the client's result. */
static int upgrade(struct pair *pair, const char *host)
{
	struct sluice_error err;
	int fds[2];

	pair_drop(pair);
	tcp_pair(fds);
	pair->client_result = sluice_connect_fd(pair->sluice, fds[0], host, pair->client_profile,
						NULL, SLUICE_NOWAIT, &pair->client, &err);
	pair->server_result = sluice_handshake_fd(pair->sluice, fds[1], pair->server_profile,
						  SLUICE_NOWAIT, &pair->server, &err);
	pair_run(pair);
	return pair->client_result;
}

/* struct identity - a client of @options for @host, meeting a server with a certificate. */
struct identity {
	const char *host, *options;
	bool wrong_name; /* the certificate is for elsewhere.test; else for localhost and addresses */
	int code, x509_error;
	const char *sni;
};

static void check_identity(struct pair *pair, const struct identity *identity)
{
	struct sluice_error client, server;
	struct sluice_conn_info info;
	struct sluice_hello hello;
	int r;

	set_client(pair, identity->options);
	r = upgrade(pair, identity->host);
	if (r != -identity->code)
		fail_msg("%s for host %s, %s", sluice_error_name(r), identity->host,
			 identity->options);
	sluice_conn_error(pair->client, &client, sizeof(client));
	assert_int_equal(client.code, identity->code);
	assert_int_equal(client.x509_error, identity->x509_error);
	assert_int_equal(sluice_hello(pair->server, &hello, sizeof(hello)), 0);
	assert_int_equal(!hello.sni, !identity->sni);
	if (hello.sni)
		assert_string_equal(hello.sni, identity->sni);
	sluice_conn_info(pair->client, &info, sizeof(info));
	assert_int_equal(info.peer_verified, !identity->code && !strstr(identity->options, "none"));
	if (!identity->code)
		return;
	assert_int_equal(client.stage, SLUICE_STAGE_VERIFY);
	assert_int_equal(client.alert_sent, 1);
	assert_int_equal(pair->server_result, -SLUICE_E_ALERT);
	sluice_conn_error(pair->server, &server, sizeof(server));
	assert_int_equal(server.alert, client.alert);
	assert_int_equal(server.alert_sent, 0);
}

static void check_identities(const struct identity *identities, size_t n)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct pair pair;
	size_t i;

	for (i = 0; i < 2 * n; i++) {
		pair_open(&pair, &(struct pair_setup){ .versions = versions[i % 2],
						       .cert = identities[i / 2].wrong_name
								       ? certs_get()->wrong_name
								       : NULL });
		check_identity(&pair, &identities[i / 2]);
		pair_close(&pair);
	}
}

static void LC_27_CL_16_CL_17_CL_18_CL_19_the_certificate_must_be_for_the_host(void **state)
{
	static const struct identity identities[] = {
		{ "localhost", "", false, 0, 0, "localhost" },
		{ "elsewhere.test", "", true, 0, 0, "elsewhere.test" },
		{ "other.test", "", false, SLUICE_E_HOSTNAME, V_HOSTNAME_MISMATCH, "other.test" },
		{ "localhost", "", true, SLUICE_E_HOSTNAME, V_HOSTNAME_MISMATCH, "localhost" },
		/* The option goes before the host, to send and to check. */
		{ "other.test", "server_name_indication = localhost", false, 0, 0, "localhost" },
		{ "localhost", "server_name_indication = other.test", false, SLUICE_E_HOSTNAME,
		  V_HOSTNAME_MISMATCH, "other.test" },
		{ "other.test", "server_name_indication = disable", false, 0, 0, NULL },
		/* A part of a name is not the name. */
		{ "localhost.test", "", false, SLUICE_E_HOSTNAME, V_HOSTNAME_MISMATCH,
		  "localhost.test" },
		{ "other.test", "verify = verify_none", false, 0, 0, "other.test" },
	};

	check_identities(identities, N(identities));
}

static void LC_28_addresses_are_matched_as_addresses(void **state)
{
	static const struct identity identities[] = {
		{ "127.0.0.1", "", false, 0, 0, NULL },
		{ "::1", "", false, 0, 0, NULL },
		{ "[::1]", "", false, 0, 0, NULL },
		{ "0:0:0:0:0:0:0:1", "", false, 0, 0, NULL },
		{ "127.0.0.2", "", false, SLUICE_E_HOSTNAME, V_IP_ADDRESS_MISMATCH, NULL },
		{ "::2", "", false, SLUICE_E_HOSTNAME, V_IP_ADDRESS_MISMATCH, NULL },
		{ "127.0.0.1", "", true, SLUICE_E_HOSTNAME, V_IP_ADDRESS_MISMATCH, NULL },
		/* Not quite an address is a name. */
		{ "127.0.0.1.test", "", false, SLUICE_E_HOSTNAME, V_HOSTNAME_MISMATCH,
		  "127.0.0.1.test" },
		{ "127.0.0.1", "server_name_indication = localhost", false, 0, 0, "localhost" },
	};

	check_identities(identities, N(identities));
}

static void LC_25_CL_16_without_a_name_the_address_is_checked(void **state)
{
	static const struct identity identities[] = {
		{ NULL, "", false, 0, 0, NULL },
		{ NULL, "", true, SLUICE_E_HOSTNAME, V_IP_ADDRESS_MISMATCH, NULL },
		{ NULL, "server_name_indication = elsewhere.test", true, 0, 0, "elsewhere.test" },
		{ NULL, "verify = verify_none", true, 0, 0, NULL },
	};

	check_identities(identities, N(identities));
}

static const char *system_cas; /* what stands where the system's CA certificates are */
static unsigned int system_cas_read;

static int open_system_cas(const char *path, int flags, mode_t mode)
{
	if (strcmp(path, TRUST_SYSTEM_FILE))
		return sys_real.open(path, flags, mode);
	system_cas_read++;
	return sys_real.open(system_cas, flags, mode);
}

/* Host, port and nothing else: the server is verified against the system's CAs. */
static void LC_61_connect_without_options(void **state)
{
	const struct certs *certs = certs_get();
	const struct {
		const char *cas, *options;
		int code;
		unsigned int read;
	} cases[] = {
		{ certs->ca, "", 0, 1 },
		{ certs->other_ca, "", SLUICE_E_VERIFY, 1 },
		{ certs->other_ca, "verify = verify_none", 0, 0 },
	};
	struct sys_ops table = sys_real;
	struct sluice_conn_info info;
	struct sluice_error err;
	struct pair pair;
	size_t i;

	table.open = open_system_cas;
	for (i = 0; i < N(cases); i++) {
		pair_open(&pair, &(struct pair_setup){ 0 });
		sluice_profile_unref(pair.client_profile);
		system_cas = cases[i].cas;
		system_cas_read = 0;
		sys = &table;
		pair.client_profile = pair_profile(SLUICE_CLIENT, cases[i].options);
		sys = &sys_real;
		assert_int_equal(system_cas_read, cases[i].read);
		pair_connect(&pair);
		assert_int_equal(pair.client_result, -cases[i].code);
		sluice_conn_info(pair.client, &info, sizeof(info));
		assert_int_equal(info.peer_verified, i == 0);
		if (cases[i].code) {
			assert_int_equal(pair.server_result, -SLUICE_E_ALERT);
			sluice_conn_error(pair.server, &err, sizeof(err));
			assert_string_equal(sluice_alert_name(err.alert), "unknown_ca");
		}
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			LC_27_CL_16_CL_17_CL_18_CL_19_the_certificate_must_be_for_the_host),
		cmocka_unit_test(LC_28_addresses_are_matched_as_addresses),
		cmocka_unit_test(LC_25_CL_16_without_a_name_the_address_is_checked),
		cmocka_unit_test(LC_61_connect_without_options),
	};

	return cmocka_run_group_tests_name("flow/identity", tests, leaks_setup, leaks_teardown);
}
