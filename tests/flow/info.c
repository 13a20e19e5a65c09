/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection tells of itself, and that it is true: held against the peer and the kernel. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conn/conn.h"
#include "core/sys.h"
#include "record/ktls-abi.h"
#include "support/certs.h"
#include "support/check.h"
#include "support/leaks.h"
#include "support/pair.h"
#include "support/tcp.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Names and numbers of the registry, apart from the library's table. */
static const struct {
	uint16_t id;
	const char *name;
	uint16_t kernel; /* TLS_CIPHER_* of linux/tls.h */
} suites[] = {
	{ 0x1301, "TLS_AES_128_GCM_SHA256", 51 },
	{ 0x1302, "TLS_AES_256_GCM_SHA384", 52 },
	{ 0x1303, "TLS_CHACHA20_POLY1305_SHA256", 54 },
	{ 0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", 51 },
	{ 0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", 52 },
	{ 0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", 54 },
};

static size_t find_suite(uint16_t id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(suites) && suites[i].id != id; i++)
		;
	assert_true(i < ARRAY_SIZE(suites));
	return i;
}

/* --- all of it ----------------------------------------------------------------------------- */

/* Zero wherever nothing was negotiated yet. */
static void check_before(const struct sluice_conn *conn, enum sluice_role role)
{
	struct sluice_conn_info info = check_info(conn), empty = { 0 };

	assert_int_equal(info.role, role);
	assert_in_range(info.stage, SLUICE_STAGE_TCP, SLUICE_STAGE_HANDSHAKE);
	assert_true(info.id > 0);
	empty.id = info.id;
	empty.role = info.role;
	empty.stage = info.stage;
	memcpy(empty.sni, info.sni, sizeof(info.sni)); /* a client's own */
	assert_memory_equal(&info, &empty, sizeof(info));
}

/* What both ends must agree about. */
static void check_common(const struct sluice_conn_info *info, uint16_t version)
{
	assert_int_equal(info->stage, SLUICE_STAGE_LIVE);
	assert_int_equal(info->version, version);
	assert_string_equal(info->version_name, version == 0x0304 ? "TLSv1.3" : "TLSv1.2");
	assert_string_equal(info->suite_name, suites[find_suite(info->suite)].name);
	assert_int_equal(info->suite >> 8 == 0x13, version == 0x0304);
	assert_int_equal(info->group, 24);
	assert_string_equal(info->group_name, "P-384");
	assert_int_equal(info->resumed, 0);
	assert_string_equal(info->sni, "localhost");
	assert_string_equal(info->alpn, "sluice-test");
	assert_int_equal(info->alerts_sent, 0);
	assert_int_equal(info->alerts_received, 0);
	assert_int_equal(info->tx.epoch, 0);
	assert_int_equal(info->rx.epoch, 0);
	assert_int_equal(info->tx.bytes, 0);
	assert_int_equal(info->rx.bytes, 0);
	assert_in_range(info->handshake_us, 1, 60000000);
	assert_true(info->handshake_bytes_in > 0);
	assert_true(info->handshake_bytes_out > 0);
}

static void check_path(const struct sluice_direction *dir, const char *path)
{
	assert_string_equal(sluice_path_name(dir->path), path);
	assert_int_equal(dir->reason,
			 strcmp(path, "kernel") ? SLUICE_REASON_OPTION : SLUICE_REASON_NONE);
}

static void IN_01_IN_04_IN_06_IN_07_every_field(void **state)
{
	struct sluice_conn_info client, server;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			pair_open(&pair,
				  &(struct pair_setup){
					  .path = path,
					  .versions = version,
					  .server_options =
						  "alpn_preferred_protocols = sluice-test\n"
						  "session_tickets = disabled",
					  .client_options =
						  "alpn_advertised_protocols = sluice-test\n"
						  "supported_groups = secp384r1,secp256r1" });
			pair_start(&pair, NULL);
			check_before(pair.client, SLUICE_CLIENT);
			check_before(pair.server, SLUICE_SERVER);
			assert_int_equal(pair_run(&pair), 0);
			client = check_info(pair.client);
			server = check_info(pair.server);
			check_common(&client, version_i ? 0x0303 : 0x0304);
			check_common(&server, version_i ? 0x0303 : 0x0304);
			assert_int_equal(client.role, SLUICE_CLIENT);
			assert_int_equal(server.role, SLUICE_SERVER);
			assert_int_not_equal(client.id, server.id);
			assert_int_equal(client.suite, server.suite);
			assert_int_equal(client.signature, 0x0403); /* ecdsa_secp256r1_sha256 */
			assert_int_equal(server.signature, 0);
			assert_int_equal(client.peer_verified, 1);
			assert_int_equal(server.peer_verified, 0);
			assert_int_equal(client.handshake_bytes_in, server.handshake_bytes_out);
			assert_int_equal(client.handshake_bytes_out, server.handshake_bytes_in);
			assert_int_equal(client.tickets, 0);
			assert_int_equal(server.tickets, 0);
			check_path(&client.tx, path);
			check_path(&client.rx, path);
			check_path(&server.tx, path);
			check_path(&server.rx, path);
			pair_close(&pair);
		}
	}
}

/* What changes while the connection lives. */
static void IN_01_counts_follow_the_connection(void **state)
{
	struct sluice_conn_info before, after;
	struct sluice_capabilities caps;
	struct pair pair;
	char in[30];
	int i;

	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			pair_open(&pair, &(struct pair_setup){ .path = path, .versions = version });
			assert_int_equal(pair_connect(&pair), 0);
			before = check_info(pair.client);
			for (i = 0; i < 3; i++)
				assert_int_equal(sluice_send(pair.client, "0123456789", 10,
							     TCP_WAIT_MS),
						 10);
			assert_int_equal(sluice_recv_exact(pair.server, in, 30, TCP_WAIT_MS), 30);
			after = check_info(pair.client);
			assert_int_equal(after.tx.bytes, 30);
			assert_int_equal(after.tx.records, before.tx.records + 3);
			assert_int_equal(after.rx.bytes, 0);
			after = check_info(pair.server);
			assert_int_equal(after.rx.bytes, 30);
			assert_int_equal(after.tx.bytes, 0);
			if (!strcmp(path, "user")) /* the kernel joins what it delivers */
				assert_int_equal(after.rx.records, before.tx.records + 3);

			pair_exchange(&pair, 5000);
			after = check_info(pair.client);
			assert_int_equal(after.tx.bytes, 5030);
			assert_int_equal(after.rx.bytes, 5000);
			assert_int_equal(after.tickets, version_i ? 1 : 2);

			sluice_capabilities(pair.sluice, &caps, sizeof(caps));
			if (!version_i && (strcmp(path, "kernel") || !caps.rekey_tx_errno)) {
				assert_int_equal(sluice_update_keys(pair.client, 1, TCP_WAIT_MS),
						 0);
				pair_exchange(&pair, 100);
				after = check_info(pair.client);
				assert_int_equal(after.tx.epoch, 1);
				assert_int_equal(after.rx.epoch, 1);
				assert_int_equal(after.tx.records, 1);
				assert_int_equal(after.tx.bytes, 5130);
				after = check_info(pair.server);
				assert_int_equal(after.rx.epoch, 1);
				assert_int_equal(after.tx.epoch, 1);
			}
			assert_int_equal(sluice_shutdown(pair.client, SHUT_WR, TCP_WAIT_MS), 0);
			assert_int_equal(sluice_recv(pair.server, in, 1, TCP_WAIT_MS),
					 -SLUICE_E_CLOSED);
			assert_int_equal(check_info(pair.client).alerts_sent, 1);
			assert_int_equal(check_info(pair.server).alerts_received, 1);
			assert_int_equal(check_info(pair.server).alerts_sent, 0);
			pair_close(&pair);
		}
	}
}

static void IN_01_a_resumed_connection(void **state)
{
	struct sluice_session *session;
	struct sluice_conn_info info;
	struct pair pair;

	PAIR_FOR_EACH_VERSION(version)
	{
		pair_open(&pair, &(struct pair_setup){ .versions = version });
		assert_int_equal(pair_connect(&pair), 0);
		pair_exchange(&pair, 10);
		assert_int_equal(sluice_take_session(pair.client, &session), 0);
		pair_drop(&pair);
		assert_int_equal(pair_resume(&pair, session), 0);
		sluice_session_free(session);
		info = check_info(pair.client);
		assert_int_equal(info.resumed, 1);
		assert_int_equal(info.peer_verified, 1);
		assert_string_equal(info.sni, "localhost");
		assert_int_equal(check_info(pair.server).resumed, 1);
		pair_close(&pair);
	}
}

static void IN_01_sizes_of_the_structure(void **state)
{
	struct {
		struct sluice_conn_info info;
		char more[8];
	} longer;
	struct sluice_conn_info whole, part;
	struct sluice_error err;
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	assert_int_equal(pair_connect(&pair), 0);
	whole = check_info(pair.client);
	memset(&longer, 0xaa, sizeof(longer));
	assert_int_equal(sluice_conn_info(pair.client, &longer.info, sizeof(longer)), 0);
	assert_memory_equal(&longer.info, &whole, sizeof(whole));
	assert_memory_equal(longer.more, "\0\0\0\0\0\0\0\0", 8);
	memset(&part, 0xaa, sizeof(part));
	assert_int_equal(sluice_conn_info(pair.client, &part, sizeof(part.id)), 0);
	assert_int_equal(part.id, whole.id);
	assert_int_equal(part.role, (int)0xaaaaaaaa);
	assert_int_equal(sluice_conn_info(pair.client, &part, 0), -SLUICE_E_INVALID);
	assert_int_equal(sluice_conn_error(pair.client, &err, 0), -SLUICE_E_INVALID);
	assert_int_equal(sluice_conn_error(pair.client, &err, sizeof(err)), 0);
	assert_int_equal(err.code, SLUICE_OK);
	assert_int_equal(err.alert, -1);
	pair_close(&pair);
}

static void IN_07_no_name_was_sent(void **state)
{
	struct pair pair;

	pair_open(&pair, &(struct pair_setup){ 0 });
	sluice_profile_unref(pair.client_profile);
	pair.client_profile = pair_profile(SLUICE_CLIENT, "verify = verify_none");
	assert_int_equal(pair_connect(&pair), 0); /* the host is an address */
	assert_string_equal(check_info(pair.client).sni, "");
	assert_string_equal(check_info(pair.server).sni, "");
	pair_close(&pair);
}

/* --- secrets ------------------------------------------------------------------------------- */

/* Not even eight bytes of it. */
static void assert_absent(const struct sluice_conn *conn, const uint8_t *secret, size_t len)
{
	struct sluice_conn_info info = check_info(conn);
	size_t i;

	assert_true(len >= 8);
	for (i = 0; i + 8 <= len; i++)
		assert_null(memmem(&info, sizeof(info), secret + i, 8));
}

static void assert_no_secrets(const struct sluice_conn *conn, const struct sluice_conn *owner)
{
	uint8_t bytes[64];
	size_t len;

	len = SSL_get_client_random(owner->ssl, bytes, sizeof(bytes));
	assert_absent(conn, bytes, len);
	len = SSL_get_server_random(owner->ssl, bytes, sizeof(bytes));
	assert_absent(conn, bytes, len);
	len = SSL_SESSION_get_master_key(SSL_get_session(owner->ssl), bytes, sizeof(bytes));
	assert_absent(conn, bytes, len);
	if (!owner->tx_traffic)
		return;
	assert_absent(conn, owner->tx_traffic->secret, owner->tx_traffic->secret_len);
	assert_absent(conn, owner->tx_traffic->key, owner->suite->key_len);
	assert_absent(conn, owner->rx_traffic->key, owner->suite->key_len);
}

static void IN_12_secrets_stay_out(void **state)
{
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
			assert_no_secrets(pair.client, pair.client);
			assert_no_secrets(pair.server, pair.server);
			pair_exchange(&pair, 1000);
			assert_int_equal(sluice_shutdown(pair.client, SHUT_RDWR, TCP_WAIT_MS), 0);
			assert_no_secrets(pair.client, pair.client);
			assert_no_secrets(pair.server, pair.client);
			pair_close(&pair);
		}
	}
}

/* --- the record path ----------------------------------------------------------------------- */

/* linux/tls.h: what getsockopt(2) gives without the keys. */
struct crypto_info {
	uint16_t version, cipher_type;
};

static void check_kernel_report(const struct sluice_conn *conn, bool kernel)
{
	struct sluice_conn_info info = check_info(conn);
	struct crypto_info crypto;
	socklen_t len;
	char ulp[16];
	int dir;

	for (dir = KABI_TX; dir <= KABI_RX; dir++) {
		len = sizeof(crypto);
		if (!kernel) {
			assert_int_equal(getsockopt(sluice_conn_fd(conn), KABI_SOL_TLS, dir,
						    &crypto, &len),
					 -1);
			continue;
		}
		assert_int_equal(getsockopt(sluice_conn_fd(conn), KABI_SOL_TLS, dir, &crypto, &len),
				 0);
		assert_int_equal(crypto.version, info.version);
		assert_int_equal(crypto.cipher_type, suites[find_suite(info.suite)].kernel);
	}
	len = sizeof(ulp);
	assert_int_equal(getsockopt(sluice_conn_fd(conn), IPPROTO_TCP, KABI_TCP_ULP, ulp, &len), 0);
	if (kernel)
		assert_string_equal(ulp, "tls");
	else
		assert_int_equal(len, 0);
}

static void IN_04_IN_06_IN_14_the_kernel_agrees(void **state)
{
	struct pair pair;
	size_t i;

	PAIR_FOR_EACH_PATH(path)
	{
		PAIR_FOR_EACH_VERSION(version)
		{
			for (i = 0; i < ARRAY_SIZE(suites); i++) {
				char options[100];

				if ((suites[i].id >> 8 == 0x13) != !version_i)
					continue;
				snprintf(options, sizeof(options), "ciphers = %s", suites[i].name);
				pair_open(&pair,
					  &(struct pair_setup){
						  .path = path,
						  .versions = version,
						  .client_options = version_i ? options : NULL });
				assert_int_equal(pair_connect(&pair), 0);
				if (version_i)
					assert_int_equal(check_info(pair.client).suite,
							 suites[i].id);
				check_kernel_report(pair.client, !strcmp(path, "kernel"));
				check_kernel_report(pair.server, !strcmp(path, "kernel"));
				pair_close(&pair);
			}
		}
	}
}

/* TLS over what is not TCP: there the kernel has no record layer, and says so in the end. */
static void IN_14_a_socket_that_is_not_tcp(void **state)
{
	struct sluice_capabilities caps;
	struct sluice_conn_info info;
	struct sluice_error err;
	struct pair pair;
	int fds[2], reason;

	pair_open(&pair, &(struct pair_setup){ .path = "auto" });
	sluice_capabilities(pair.sluice, &caps, sizeof(caps));
	reason = caps.ktls_errno ? SLUICE_REASON_NO_KTLS : SLUICE_REASON_SOCKET;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pair.client_result = sluice_connect_fd(pair.sluice, fds[0], NULL, pair.client_profile, NULL,
					       SLUICE_NOWAIT, &pair.client, &err);
	pair.server_result = sluice_handshake_fd(pair.sluice, fds[1], pair.server_profile,
						 SLUICE_NOWAIT, &pair.server, &err);
	assert_int_equal(pair_run(&pair), 0);
	info = check_info(pair.client);
	assert_int_equal(info.tx.path, SLUICE_PATH_USER);
	assert_int_equal(info.rx.path, SLUICE_PATH_USER);
	assert_int_equal(info.tx.reason, reason);
	assert_int_equal(info.rx.reason, reason);
	assert_true(strlen(sluice_path_reason_text(reason)) > 10);
	pair_exchange(&pair, 100000);
	pair_close(&pair);
}

static const struct sluice_conn *refused_conn; /* whose keys the kernel does not take */
static int refused_option, refused_err;

static int refuse_keys(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == KABI_SOL_TLS && name == refused_option && fd == sluice_conn_fd(refused_conn)) {
		errno = refused_err;
		return -1;
	}
	return sys_real.setsockopt(fd, level, name, value, len);
}

static int run_refused(struct pair *pair, int option, int err)
{
	struct sys_ops table = sys_real;

	table.setsockopt = refuse_keys;
	pair_start(pair, NULL);
	refused_conn = pair->client;
	refused_option = option;
	refused_err = err;
	sys = &table;
	pair_run(pair);
	sys = &sys_real;
	return pair->client_result;
}

static void IN_14_the_kernel_refuses_the_keys(void **state)
{
	static const struct {
		int err, reason;
	} cases[] = {
		{ EOPNOTSUPP, SLUICE_REASON_REFUSED },
		{ EINVAL, SLUICE_REASON_REFUSED },
		{ ENOMEM, SLUICE_REASON_NOMEM },
	};
	struct sluice_conn_info info;
	struct pair pair;
	char in[1];
	size_t i;

	if (!pair_path(1)) {
		print_message("skipped: this kernel has no TLS\n");
		skip();
	}
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pair_open(&pair, &(struct pair_setup){ .path = "auto" });
		assert_int_equal(run_refused(&pair, KABI_RX, cases[i].err), 0);
		info = check_info(pair.client);
		assert_int_equal(info.tx.path, SLUICE_PATH_USER);
		assert_int_equal(info.tx.reason, cases[i].reason);
		assert_int_equal(info.rx.path, SLUICE_PATH_USER);
		assert_int_equal(info.rx.reason, cases[i].reason);
		assert_int_equal(check_info(pair.server).tx.path, SLUICE_PATH_KERNEL);
		pair_exchange(&pair, 100000);
		pair_drop(&pair);

		/* Half of it would be worse than nothing. */
		assert_int_equal(run_refused(&pair, KABI_TX, cases[i].err), -SLUICE_E_KTLS_INSTALL);
		check_error(pair.client, SLUICE_E_KTLS_INSTALL, ALERT_SENT(80));
		assert_int_equal(pair.server_result, 0);
		assert_int_equal(sluice_recv(pair.server, in, 1, TCP_WAIT_MS), -SLUICE_E_ALERT);
		check_error(pair.server, SLUICE_E_ALERT, ALERT_RECEIVED(80));
		pair_close(&pair);
	}
}

/* --- addresses ----------------------------------------------------------------------------- */

static void IN_18_IN_19_names_of_both_ends(void **state)
{
	static const char *const hosts[] = { "127.0.0.1", "::1" };
	struct sockaddr_storage client[2], server[2];
	struct pair pair;
	char text[INET6_ADDRSTRLEN];
	int h, port;

	PAIR_FOR_EACH_PATH(path)
	{
		for (h = 0; h < 2; h++) {
			pair_open(&pair, &(struct pair_setup){ .path = path, .bind = hosts[h] });
			assert_int_equal(pair_connect(&pair), 0);
			assert_int_equal(sluice_sockname(pair.client, &client[0]), 0);
			assert_int_equal(sluice_peername(pair.client, &client[1]), 0);
			assert_int_equal(sluice_sockname(pair.server, &server[0]), 0);
			assert_int_equal(sluice_peername(pair.server, &server[1]), 0);
			assert_memory_equal(&client[0], &server[1], sizeof(client[0]));
			assert_memory_equal(&client[1], &server[0], sizeof(client[1]));
			if (h == 0) {
				struct sockaddr_in *in = (struct sockaddr_in *)&client[1];

				port = ntohs(in->sin_port);
				inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
			} else {
				struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&client[1];

				port = ntohs(in6->sin6_port);
				inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
			}
			assert_int_equal(port, sluice_listener_port(pair.listener));
			assert_string_equal(text, hosts[h]);
			pair_close(&pair);
		}
	}
}

static void IN_18_the_peer_is_gone(void **state)
{
	const struct linger linger = { 1, 0 };
	struct sockaddr_storage addr;
	struct pair pair;

	PAIR_FOR_EACH_PATH(path)
	{
		pair_open(&pair, &(struct pair_setup){ .path = path });
		assert_int_equal(pair_connect(&pair), 0);
		sluice_setopt(pair.server, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
		pair.server = conn_free(pair.server);
		tcp_wait(sluice_conn_fd(pair.client));
		memset(&addr, 0xaa, sizeof(addr));
		assert_int_equal(sluice_peername(pair.client, &addr), -SLUICE_E_IO);
		assert_int_equal(addr.ss_family, 0xaaaa);
		pair_close(&pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(IN_01_IN_04_IN_06_IN_07_every_field),
		cmocka_unit_test(IN_01_counts_follow_the_connection),
		cmocka_unit_test(IN_01_a_resumed_connection),
		cmocka_unit_test(IN_01_sizes_of_the_structure),
		cmocka_unit_test(IN_07_no_name_was_sent),
		cmocka_unit_test(IN_12_secrets_stay_out),
		cmocka_unit_test(IN_04_IN_06_IN_14_the_kernel_agrees),
		cmocka_unit_test(IN_14_a_socket_that_is_not_tcp),
		cmocka_unit_test(IN_14_the_kernel_refuses_the_keys),
		cmocka_unit_test(IN_18_IN_19_names_of_both_ends),
		cmocka_unit_test(IN_18_the_peer_is_gone),
	};

	return cmocka_run_group_tests_name("flow/info", tests, leaks_setup, leaks_teardown);
}
