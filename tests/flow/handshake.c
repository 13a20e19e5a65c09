/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake's verbs over real sockets: versions, keys, families, pause, continue, cancel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/certs.h"
#include "support/pair.h"

static void assert_path(struct sluice_conn *conn, const char *path)
{
	struct sluice_conn_info info;

	assert_int_equal(sluice_conn_info(conn, &info, sizeof(info)), 0);
	assert_string_equal(sluice_path_name(info.tx.path), path);
	assert_string_equal(sluice_path_name(info.rx.path), path);
	assert_int_equal(info.tx.reason,
			 strcmp(path, "kernel") ? SLUICE_REASON_OPTION : SLUICE_REASON_NONE);
}

static void LC_11_LC_21_handshake_and_connect(void **state)
{
	static const char *const versions[] = { "tlsv1.3", "tlsv1.2" };
	struct sluice_conn_info info;
	struct pair pair;
	int v;

	PAIR_FOR_EACH_PATH(path)
	{
		for (v = 0; v < 2; v++) {
			pair_open(&pair,
				  &(struct pair_setup){ .path = path, .versions = versions[v] });
			assert_int_equal(pair_connect(&pair), 0);
			sluice_conn_info(pair.client, &info, sizeof(info));
			assert_int_equal(info.version, v ? 0x0303 : 0x0304);
			assert_path(pair.client, path);
			assert_path(pair.server, path);
			pair_exchange(&pair, 300000);
			pair_close(&pair);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(LC_11_LC_21_handshake_and_connect),
	};

	return cmocka_run_group_tests_name("flow/handshake", tests, NULL, NULL);
}
